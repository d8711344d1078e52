/*
 * doctor.c - `drctl doctor`: would it work, if it had to work now?
 *
 * Looks at everything that a backup or a recovery from this machine leans on, one line for each, and
 * goes on after a finding. What it writes into a bucket, to see whether it may, it takes away
 * again. The last lines say what a thief of this machine could do: who may write may also destroy,
 * except where a lock holds what is there.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <uv.h>
#include <zstd.h>

#include "backup/format/names.h"
#include "backup/format/sealed.h"
#include "backup/store/bucket.h"
#include "backup/work/durable.h"
#include "backup/work/repo.h"
#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/cli/key.h"
#include "dr/cli/verbs.h"
#include "dr/config/rights.h"
#include "dr/config/s3_url.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"

enum state { FINE, NOTE, WARNING, ERROR };

struct doctor {
    const struct cli *cli;
    const struct config *config;
    json_t *checks; /* with --json; else NULL */
    size_t warnings, errors;
    struct text_list writable; /* names of buckets, for the thief */
    struct text_list addable;  /* what is there stays */
    struct text_list readable;
};

enum { CLOCK_OFF_MS = 60 * 1000, CLOCK_WRONG_MS = 10 * 60 * 1000 };

static const int64_t SECOND_NS = 1000000000;

/* One line. what: the thing looked at. hint: NULL or the next move. */
DR_PRINTF(5, 6)
static void say(struct doctor *doc, enum state state, const char *what, const char *hint,
                const char *fmt, ...)
{
    static const char *const words[] = { "ok", "note", "warning", "error" };
    va_list ap;
    va_start(ap, fmt);
    char raw[DR_ERR_MSG_MAX];
    vsnprintf(raw, sizeof(raw), fmt, ap);
    va_end(ap);
    doc->warnings += state == WARNING;
    doc->errors += state == ERROR;
    if (hint != NULL && hint[0] == '\0')
        hint = NULL;
    if (doc->checks == NULL) {
        DR_FREE char *text = cli_printable(raw);
        printf("%-8s %-18s %s\n", words[state], what, text);
        if (hint != NULL)
            printf("%-27s hint: %s\n", "", hint);
        return;
    }
    json_t *o = json_object();
    json_put_text(o, "state", words[state]);
    json_put_text(o, "check", what);
    json_put_text(o, "text", raw);
    if (hint != NULL)
        json_put_text(o, "hint", hint);
    cli_json_add(doc->checks, o);
}

/* ---- this machine ---------------------------------------------------------------------------- */

static void check_state_dir(struct doctor *doc)
{
    const char *dir = doc->config->state_dir;
    struct stat st;
    if (stat(dir, &st) != 0)
        say(doc, errno == ENOENT ? WARNING : ERROR, "state_dir", "drctl init makes it.", "'%s': %s",
            dir, strerrordesc_np(errno));
    else if (!S_ISDIR(st.st_mode))
        say(doc, ERROR, "state_dir", NULL, "'%s' is not a directory", dir);
    else if (access(dir, W_OK | X_OK) != 0)
        say(doc, ERROR, "state_dir", "Run as the user who owns it.", "'%s' is not writable for us",
            dir);
    else if ((st.st_mode & 022) != 0)
        say(doc, WARNING, "state_dir", "chmod go-w", "'%s' can be written by others", dir);
    else
        say(doc, FINE, "state_dir", NULL, "%s", dir);
}

static void check_key(struct doctor *doc)
{
    DR_FREE char *path = NULL;
    DR_FREE char *public = NULL;
    struct dr_err err;
    if (key_look(doc->config, &path, &public, &err) != DR_OK) {
        say(doc, err.rc == DR_E_NOTFOUND ? WARNING : ERROR, "key", err.hint, "%s", err.msg);
        return;
    }
    struct stat st;
    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
        say(doc, ERROR, "key", "chmod 600", "'%s' has mode %03o: others can read it", path,
            (unsigned)st.st_mode & 0777);
    else
        say(doc, FINE, "key", NULL, "%s", public);
    for (size_t i = 0; i < doc->config->trust_count; i++) {
        const struct config_trust *trust = &doc->config->trusts[i];
        if (!text_list_has(&trust->keys, public))
            say(doc, NOTE, "key", NULL,
                "this host is no trusted writer of source '%s': its backups would be refused",
                trust->source);
    }
}

/* Each secret can be had, and by nobody else. Its value is read and forgotten. */
static void check_secrets(struct doctor *doc)
{
    const struct config *c = doc->config;
    size_t good = 0;
    for (size_t i = 0; i < c->secret_count; i++) {
        const struct config_secret *secret = &c->secrets[i];
        DR_FREE char *value = NULL;
        struct dr_err err;
        struct stat st;
        if (config_secret(c, secret->name, &value, &err) != DR_OK)
            say(doc, WARNING, "secrets", err.hint, "%s", err.msg);
        else if (secret->file != NULL && stat(secret->file, &st) == 0 && (st.st_mode & 077) != 0)
            say(doc, WARNING, "secrets", "chmod 600", "'%s' has mode %03o: others can read it",
                secret->file, (unsigned)st.st_mode & 0777);
        else
            good++;
        if (value != NULL)
            explicit_bzero(value, strlen(value));
    }
    if (good > 0)
        say(doc, FINE, "secrets", NULL, "%zu can be read, by us alone", good);
}

static void check_clock(struct doctor *doc, const struct snapshot_list *list)
{
    int64_t now_ns = clock_wall_ns(), newest_ns = 0;
    char now[TIME_TEXT_MAX], newest[TIME_TEXT_MAX];
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].state == SNAPSHOT_GOOD && list->items[i].end_ns > newest_ns)
            newest_ns = list->items[i].end_ns;
    time_print_s(now_ns, now);
    time_print_s(newest_ns, newest);
    if (newest_ns > now_ns + 60 * SECOND_NS)
        say(doc, ERROR, "clock", "Set the clock: ages and retention hang on it.",
            "it is %s here, and the newest snapshot is of %s", now, newest);
    else
        say(doc, FINE, "clock", NULL, "%s", now);
}

/* Only what stands in PATH: nothing is started. */
static bool in_path(const char *tool)
{
    const char *path = getenv("PATH"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    while (path != NULL && *path != '\0') {
        size_t len = strcspn(path, ":");
        DR_FREE char *file = dr_strf("%.*s/%s", (int)len, path, tool);
        if (len > 0 && access(file, X_OK) == 0)
            return true;
        path += len + (path[len] == ':');
    }
    return false;
}

static void check_tools(struct doctor *doc)
{
    static const char *const tools[] = { "zstd", "tar", "sha256sum" };
    DR_CLEANUP(text_list_fini) struct text_list missing = { 0 };
    for (size_t i = 0; i < DR_ARRAY_LEN(tools); i++)
        if (!in_path(tools[i]))
            text_list_add(&missing, tools[i]);
    DR_FREE char *all = text_list_join(&missing, ", ");
    say(doc, NOTE, "versions", NULL, "drctl %s, zstd %s, curl %s, jansson %s, libuv %s, %s",
        DRCTL_VERSION, ZSTD_versionString(), curl_version_info(CURLVERSION_NOW)->version,
        jansson_version_str(), uv_version_string(), OpenSSL_version(OPENSSL_VERSION));
    if (missing.count > 0)
        say(doc, WARNING, "tools", "apt-get install zstd tar coreutils",
            "not here: %s; a recovery without drctl needs them", all);
    else
        say(doc, FINE, "tools", NULL, "zstd, tar, sha256sum: a recovery without drctl is possible");
}

/* ---- the buckets -------------------------------------------------------------------------------- */

/* What the store says begins with the bucket's name, which stands in front of the line already. */
static const char *cause(const struct config_bucket *b, const struct dr_err *err)
{
    DR_FREE char *prefix = dr_strf("bucket '%s': ", b->name);
    return err->msg + (text_starts(err->msg, prefix) ? strlen(prefix) : 0);
}

static bool is_directory(const struct config_bucket *b)
{
    return text_starts(b->url, "file:");
}

/* May we add, and what may be done to what was added? The object is named at random and taken away. */
static void try_writing(struct doctor *doc, struct store *store, const struct config_bucket *b,
                        const char *what)
{
    uint8_t nonce[8];
    char hex[2 * sizeof(nonce) + 1];
    random_bytes(nonce, sizeof(nonce));
    DR_FREE char *name = dr_strf("doctor-%s", hex_encode(nonce, sizeof(nonce), hex));
    struct dr_err err, again;
    if (store_put(store, name, name, strlen(name), &err) != DR_OK) {
        say(doc, ERROR, what, err.hint, "cannot be written: %s", cause(b, &err));
        return;
    }
    if (store_put(store, name, "", 0, &again) == DR_OK || again.rc != DR_E_EXISTS)
        say(doc, ERROR, what, NULL, "an object could be changed: it must be write-once");
    enum dr_rc rc = store_remove(store, name, &err);
    if (rc == DR_E_DENIED && !is_directory(b))
        say(doc, NOTE, what, NULL,
            "we may not delete in it: good for a source ('%s' is left there)", name);
    else if (rc != DR_OK)
        say(doc, WARNING, what, NULL, "the object '%s' of this test is left in it: %s", name,
            cause(b, &err));
    /* who may put may overwrite, whoever may delete: only a lock keeps what was there */
    text_list_add(b->lock.ms > 0 ? &doc->addable : &doc->writable, store->name);
}

/* What its kind of store can do: for a directory there is nothing to find out. */
static void try_abilities(struct doctor *doc, struct store *store, const struct config_bucket *b,
                          const char *what)
{
    struct store_abilities can;
    struct dr_err err;
    if (is_directory(b))
        return;
    if (store_abilities(store, &can, &err) != DR_OK) {
        say(doc, WARNING, what, err.hint, "what it can do is not known: %s", cause(b, &err));
        return;
    }
    char offset[DURATION_TEXT_MAX];
    int64_t off_ms = can.clock_offset_ms < 0 ? -can.clock_offset_ms : can.clock_offset_ms;
    say(doc, NOTE, what, NULL, "%s; %s; %s; %s",
        can.conditional_put ? "refuses a second put by itself" : "is looked at before each put",
        can.conditional_swap ? "can hold a lease" : "cannot hold a lease",
        can.versioning ? "keeps versions" : "keeps no versions",
        can.object_lock ? "can lock objects" : "cannot lock objects");
    if (can.versioning && b->lock.ms == 0)
        say(doc, NOTE, what, "Give it a lifecycle rule that ends versions that are not current.",
            "keeps what prune removes as old versions");
    if (off_ms > CLOCK_OFF_MS)
        say(doc, off_ms > CLOCK_WRONG_MS ? ERROR : WARNING, what,
            "Set the clock: requests are refused when it is 15 minutes wrong.",
            "the clock here is %s %s its own", duration_tell(off_ms, offset),
            can.clock_offset_ms > 0 ? "behind" : "ahead of");
    if (b->lock.ms > 0)
        say(doc, FINE, what, NULL, "what is put is locked for %s (%s)",
            duration_tell(b->lock.ms, offset), b->lock.mode);
    else if (can.object_lock)
        say(doc, NOTE, what, "lock: 30d", "could lock what is put, and is not asked to");
}

/* Secrets do not go over the wire, but all else does. */
static void check_wire(struct doctor *doc, const struct config_bucket *b, const char *what)
{
    struct s3_url u;
    struct dr_err ignored;
    if (s3_url_parse(b->url, &u, &ignored) != DR_OK)
        return;
    if (u.endpoint != NULL && text_starts(u.endpoint, "http://")) {
        DR_FREE char *host = s3_url_host(u.endpoint);
        bool here = text_starts(host, "127.") || strcmp(host, "localhost") == 0 ||
                    strcmp(host, "[::1]") == 0;
        if (!here)
            say(doc, WARNING, what, "Use https://", "what goes there goes in the clear: %s",
                u.endpoint);
    }
    s3_url_fini(&u);
}

/* A bucket may open and be written, and still hide what it holds. */
static void try_listing(struct doctor *doc, struct store *store, const struct config_bucket *b,
                        const char *what)
{
    static const char *const folders[] = { NAMES_SNAPSHOTS, NAMES_PACKS };
    struct dr_err err;
    for (size_t i = 0; i < DR_ARRAY_LEN(folders); i++) {
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        if (store_list(store, folders[i], &names, &err) != DR_OK)
            say(doc, ERROR, what, err.hint, "%s", cause(b, &err));
    }
}

/* What drills read it by. Whether that can write is for the drill to find out: it leaves a record. */
static void try_drilling(struct doctor *doc, const struct config_bucket *b, const char *what)
{
    const struct config reading = config_rehearsing(doc->config);
    DR_CLEANUP(store_close_ptr) struct store *store = NULL;
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    struct dr_err err;
    if (is_directory(b))
        return;
    if (!config_bucket_drills(b))
        say(doc, NOTE, what, "drill: {profile: NAME}",
            "drills read it by the usual credentials: it has none of its own for them");
    else if (bucket_open(&reading, b, NULL, &store, &err) != DR_OK ||
             store_get_all(store, NAMES_REPOSITORY, SEALED_SIZE_MAX, &object, &err) != DR_OK)
        say(doc, ERROR, what, err.hint, "no drill can read it by its credentials: %s",
            cause(b, &err));
    else
        say(doc, FINE, what, NULL,
            "drills read it by credentials of their own; that these cannot write, a drill proves");
}

static void check_drilled(struct doctor *doc)
{
    const struct config *c = doc->config;
    const struct {
        const char *what, *usual, *drill, *hint;
    } rows[] = {
        { "haproxy", c->providers.haproxy_socket, c->providers.haproxy_drill_socket,
          "drill_socket: a stats socket of level user" },
        { "powerdns", c->providers.powerdns_key, c->providers.powerdns_drill_key,
          "drill_key: one that a proxy lets read only" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        if (rows[i].usual == NULL)
            continue;
        bool own = rows[i].drill != NULL;
        say(doc, own ? FINE : NOTE, rows[i].what, own ? NULL : rows[i].hint,
            own ? "drills read by credentials of their own"
                : "drills read by the usual credentials, which can change it");
    }
}

static void check_bucket(struct doctor *doc, const struct config_bucket *b)
{
    DR_FREE char *what = dr_strf("bucket %s", b->name);
    DR_CLEANUP(store_close_ptr) struct store *store = NULL;
    struct dr_err err;
    if (bucket_open(doc->config, b, NULL, &store, &err) != DR_OK) {
        say(doc, ERROR, what, err.hint, "%s", cause(b, &err));
        return;
    }
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    struct repository repository;
    size_t errors = doc->errors;
    enum dr_rc rc = store_get_all(store, NAMES_REPOSITORY, SEALED_SIZE_MAX, &object, &err);
    if (rc == DR_OK)
        text_list_add(&doc->readable, b->name);
    if (rc == DR_OK)
        rc = repository_parse("its object '" NAMES_REPOSITORY "'", object.data, object.len,
                              &repository, &err);
    if (rc == DR_OK)
        try_listing(doc, store, b, what);
    else if (rc == DR_E_NOTFOUND)
        say(doc, ERROR, what, "drctl init", "holds no repository");
    else
        say(doc, ERROR, what, err.hint, "%s", cause(b, &err));
    try_writing(doc, store, b, what);
    try_abilities(doc, store, b, what);
    check_wire(doc, b, what);
    try_drilling(doc, b, what);
    if (doc->errors == errors)
        say(doc, FINE, what, NULL, "%s, %s: reachable and writable", b->url, b->region);
}

/* Two copies in one region are lost together. */
static void check_regions(struct doctor *doc)
{
    DR_CLEANUP(text_list_fini) struct text_list regions = { 0 };
    const struct config *c = doc->config;
    for (size_t i = 0; i < c->bucket_count; i++)
        if (!text_list_has(&regions, c->buckets[i].region))
            text_list_add(&regions, c->buckets[i].region);
    if (regions.count < 2)
        say(doc, WARNING, "regions", "Add a bucket in a second region.",
            "all buckets are in one region: its loss is the loss of everything");
    else
        say(doc, FINE, "regions", NULL, "buckets in %zu regions", regions.count);
}

/* ---- what there is to restore --------------------------------------------------------------------- */

static const struct snapshot_info *newest_of(const struct snapshot_list *list, const char *source)
{
    for (size_t i = list->count; i > 0; i--)
        if (list->items[i - 1].state == SNAPSHOT_GOOD && list->items[i - 1].source != NULL &&
            strcmp(list->items[i - 1].source, source) == 0)
            return &list->items[i - 1];
    return NULL;
}

/* A region that the policy requires, and in which no bucket shows it. */
static void check_required(struct doctor *doc, const char *what, const struct snapshot_info *info)
{
    const struct config *c = doc->config;
    DR_CLEANUP(text_list_fini) struct text_list lacks = { 0 };
    DR_FREE bool *has = dr_alloc(c->bucket_count + 1, sizeof(*has));
    for (size_t i = 0; i < c->bucket_count; i++)
        has[i] = text_list_has(&info->buckets, c->buckets[i].name);
    durable_lacks(c, has, &lacks);
    for (size_t i = 0; i < lacks.count; i++)
        say(doc, WARNING, what, "drctl repair",
            "the newest snapshot has no copy in region %s, which 'require' names", lacks.items[i]);
}

static void check_source(struct doctor *doc, const struct snapshot_list *list,
                         const struct config_source *source)
{
    DR_FREE char *what = dr_strf("source %s", source->name);
    if (access(source->path, R_OK | X_OK) != 0)
        say(doc, WARNING, what, NULL, "'%s': %s", source->path, strerrordesc_np(errno));
    const struct snapshot_info *newest = newest_of(list, source->name);
    if (newest == NULL) {
        say(doc, WARNING, what, "drctl backup", "there is nothing to restore it from");
        return;
    }
    char age[DURATION_TEXT_MAX], every[DURATION_TEXT_MAX];
    int64_t age_ms = (clock_wall_ns() - newest->end_ns) / 1000000;
    int64_t every_ms = doc->config->full.frequency_ms;
    bool late = every_ms > 0 && age_ms > 2 * every_ms;
    DR_FREE char *buckets = text_list_join(&newest->buckets, ", ");
    duration_tell(age_ms < 0 ? 0 : age_ms, age);
    say(doc, late ? WARNING : FINE, what, late ? "drctl backup" : NULL,
        "newest good snapshot %s old, in %s%s%s%s", age, buckets, late ? "; wanted every " : "",
        late ? duration_tell(every_ms, every) : "",
        newest->proved_ns == 0 ? "; not proved yet: drctl verify --data" : "");
    check_required(doc, what, newest);
}

static void check_snapshots(struct doctor *doc)
{
    DR_CLEANUP(repo_close_ptr) struct repo *repo = NULL;
    struct snapshot_list list = { 0 };
    const struct repo_options options = { 0 };
    struct dr_err err;
    bool open = repo_open(doc->config, &options, &repo, &err) == DR_OK &&
                repo_snapshots(repo, NULL, &list, &err) == DR_OK;
    if (!open)
        say(doc, ERROR, "snapshots", err.hint, "%s", err.msg);
    check_clock(doc, &list);
    for (size_t i = 0; open && i < doc->config->source_count; i++)
        check_source(doc, &list, &doc->config->sources[i]);
    for (size_t i = 0; i < list.count; i++)
        if (list.items[i].state != SNAPSHOT_GOOD)
            say(doc, WARNING, "snapshots", NULL, "%s is %s: %s", list.items[i].id,
                list.items[i].state == SNAPSHOT_REFUSED ? "refused" : "incomplete",
                list.items[i].why != NULL ? list.items[i].why : "no reason known");
    snapshot_list_fini(&list);
}

static void tell_thief(struct doctor *doc)
{
    DR_FREE char *readable = text_list_join(&doc->readable, ", ");
    DR_FREE char *writable = text_list_join(&doc->writable, ", ");
    if (doc->readable.count > 0)
        say(doc, NOTE, "a thief", NULL, "of this account could read every snapshot in %s",
            readable);
    if (doc->writable.count > 0)
        say(doc, NOTE, "a thief", NULL,
            "could add to, and destroy everything in %s; keep one bucket that this machine cannot "
            "write",
            writable);
    DR_FREE char *addable = text_list_join(&doc->addable, ", ");
    if (doc->addable.count > 0)
        say(doc, NOTE, "a thief", NULL,
            "could add to %s, and take nothing away that is locked there", addable);
    say(doc, NOTE, "a thief", NULL, "with the key could sign snapshots as this host");
}

static int run_doctor(struct cli *cli)
{
    if (!cli_options(cli, NULL, 0, 0, 0))
        return EXIT_USAGE;
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL)
        return EXIT_USAGE;
    struct doctor doc = { .cli = cli, .config = c, .checks = cli->json ? json_array() : NULL };
    say(&doc, FINE, "configuration", NULL, "%s", c->path);
    check_state_dir(&doc);
    check_key(&doc);
    check_secrets(&doc);
    for (size_t i = 0; i < c->bucket_count; i++)
        check_bucket(&doc, &c->buckets[i]);
    check_regions(&doc);
    check_drilled(&doc);
    check_snapshots(&doc);
    check_tools(&doc);
    tell_thief(&doc);
    text_list_fini(&doc.readable);
    text_list_fini(&doc.writable);
    text_list_fini(&doc.addable);

    int exit = doc.errors > 0 ? EXIT_FAILED : doc.warnings > 0 ? EXIT_WARNINGS : EXIT_DONE;
    char why[96];
    snprintf(why, sizeof(why), "%zu error%s, %zu warning%s", doc.errors, CLI_S(doc.errors),
             doc.warnings, CLI_S(doc.warnings));
    if (!cli->json) {
        printf("%s\n", exit == EXIT_DONE ? "all is well" : why);
        return exit;
    }
    json_t *o = json_object();
    json_put(o, "checks", doc.checks);
    return cli_result_json(o, exit, exit == EXIT_DONE ? NULL : why);
}

const struct cli_verb verb_doctor = {
    .name = "doctor",
    .summary = "Would it work, if it had to work now?",
    .usage =
        "drctl doctor      Would it work, if it had to work now?\n"
        "\n"
        "Looks at the configuration, the keys, each bucket (reads, writes, removes a small object),\n"
        "the newest snapshots, the clock, the tools, and says what a thief of this account could\n"
        "do. Exit 0: all is well. 8: warnings. 1: errors.\n",
    .run = run_doctor,
};
