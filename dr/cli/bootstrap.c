/*
 * bootstrap.c - `drctl bootstrap URL`: a bare host, one bucket, and everything comes back.
 *
 * The bucket is looked into with a configuration of three lines in a scratch directory. The newest
 * snapshot of drctl-self names the key that signed it; nobody is believed because he says so, therefore
 * a person has to know the key: --trust, --identity, or "yes" at a terminal. Then it is restored and
 * verified like any snapshot, and placed where nothing is overwritten (bootstrap_place.h).
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup/store/bucket.h"
#include "backup/work/work.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/cli/bootstrap_place.h"
#include "dr/cli/data.h"
#include "dr/cli/self.h"
#include "dr/cli/verbs.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"

enum { IDENTITY_MAX = 4096, FACTS_MAX = 1 << 20, NS_PER_MS = 1000000 };

struct wish {
    const char *url, *identity, *trust, *to, *ca, *profile;
};

struct boot {
    struct cli *cli;
    const struct wish *wish;
    char *top;               /* scratch, gone at the end */
    char key[KEYS_TEXT_MAX]; /* who is believed; empty: not known yet */
    char *pem;               /* the identity is a secret key: its file; or NULL */
    struct snapshot found;
    size_t passed_over; /* newer ones that nobody believed */
    char *tree, *state_dir;
    json_t *facts; /* self.json */
    struct placed placed;
};

static void boot_fini(struct boot *b)
{
    struct dr_err err = { 0 };
    if (b->top != NULL && fs_remove_tree(b->top, &err) != DR_OK)
        log_warning("%s: remove it by hand", err.msg);
    snapshot_fini(&b->found);
    placed_fini(&b->placed);
    json_decref(b->facts);
    free(b->top);
    free(b->pem);
    free(b->tree);
    free(b->state_dir);
}

/* -- whom to believe --------------------------------------------------------------------------- */

static enum dr_rc believe(struct boot *b, const char *text, const char *what, struct dr_err *err)
{
    DR_FREE char *key = dr_memdup(text, strcspn(text, "\r\n"));
    if (!keys_is_public(key)) {
        (void)dr_fail(err, DR_E_USAGE, "%s is no key", what);
        return dr_hint(err, "A key is 'ed25519:' and 44 letters, as 'drctl key show' prints it.");
    }
    (void)snprintf(b->key, sizeof(b->key), "%s", key);
    return DR_OK;
}

/* A public key, or the secret key file of the host that is lost: then we become its writer. */
static enum dr_rc read_identity(struct boot *b, struct dr_err *err)
{
    const char *file = b->wish->identity;
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_CLEANUP(keys_free_ptr) struct keys *keys = NULL;
    DR_TRY(fs_read_file(file, IDENTITY_MAX, &text, err));
    if (text.len == 0 || strstr(text.data, "-----BEGIN") == NULL)
        return believe(b, text.len > 0 ? text.data : "", file, err);
    DR_FREE char *dir = dr_strf("%s/identity/keys", b->top);
    DR_FREE char *state = dr_strf("%s/identity", b->top);
    DR_TRY(fs_make_dirs(dir, 0700, err));
    DR_TRY(fs_replace(dir, "writer.pem", text.data, text.len, err));
    DR_TRY(keys_open(state, false, &keys, err));
    b->pem = dr_strf("%s/writer.pem", dir);
    return believe(b, keys_public(keys), file, err);
}

static enum dr_rc settle_trust(struct boot *b, struct dr_err *err)
{
    char named[KEYS_TEXT_MAX] = "";
    if (b->wish->trust != NULL) {
        DR_TRY(believe(b, b->wish->trust, b->wish->trust, err));
        memcpy(named, b->key, sizeof(named));
    }
    if (b->wish->identity == NULL)
        return DR_OK;
    DR_TRY(read_identity(b, err));
    if (named[0] != '\0' && strcmp(named, b->key) != 0)
        return dr_fail(err, DR_E_USAGE, "--trust and --identity name two different keys");
    return DR_OK;
}

/* -- the bucket -------------------------------------------------------------------------------- */

/* A text in double quotes, for YAML. */
static void add_text(struct buf *out, const char *text)
{
    buf_addc(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            buf_addc(out, '\\');
        buf_addc(out, *text);
    }
    buf_addc(out, '"');
}

/* The region is of no consequence but for signatures, where the url names none. */
static enum dr_rc make_config(struct boot *b, struct config **ret, struct dr_err *err)
{
    const struct wish *w = b->wish;
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    DR_FREE char *path = dr_strf("%s/" SELF_CONFIG, b->top);
    DR_FREE char *state = dr_strf("%s/state", b->top);
    DR_FREE char *url = w->url[0] == '/' ? dr_strf("file://%s", w->url) : dr_strdup(w->url);
    buf_adds(&out, "buckets:\n  - {name: bootstrap, region: us-east-1, url: ");
    add_text(&out, url);
    if (w->ca != NULL) {
        buf_adds(&out, ", ca: ");
        add_text(&out, w->ca);
    }
    if (w->profile != NULL) {
        buf_adds(&out, ", credentials: {profile: ");
        add_text(&out, w->profile);
        buf_addc(&out, '}');
    }
    buf_adds(&out, "}\nstate_dir: ");
    add_text(&out, state);
    if (b->key[0] != '\0')
        buf_addf(&out, "\ntrusted_writers: {" CONFIG_SELF ": [\"%s\"]}", b->key);
    buf_addc(&out, '\n');
    DR_TRY(fs_replace(b->top, SELF_CONFIG, out.data, out.len, err));
    if (config_load(path, &d, ret, err) == DR_OK)
        return DR_OK;
    for (size_t i = 0; i < d.count; i++)
        if (d.items[i].severity == DIAG_ERROR) {
            (void)dr_fail(err, DR_E_USAGE, "%s", d.items[i].what);
            return d.items[i].hint != NULL ? dr_hint(err, "%s", d.items[i].hint) : err->rc;
        }
    return err->rc;
}

/* One snapshot object: by whom, of which host. False: it is damaged, or not of drctl-self. */
static bool look_at(struct store *s, const char *name, struct snapshot *ret)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    struct dr_err ignored = { 0 };
    if (store_get_all(s, name, SNAPSHOT_SIZE_MAX, &object, &ignored) != DR_OK ||
        snapshot_parse(name, object.data, object.len, ret, &ignored) != DR_OK)
        return false;
    if (strcmp(ret->source, CONFIG_SELF) == 0)
        return true;
    snapshot_fini(ret);
    return false;
}

static enum dr_rc tell_none(const struct boot *b, size_t count, struct dr_err *err)
{
    if (count == 0) {
        (void)dr_fail(err, DR_E_NOTFOUND, "'%s' holds no snapshot of " CONFIG_SELF, b->wish->url);
        return dr_hint(err,
                       "backupd takes them, or: drctl backup " CONFIG_SELF ". Without one, write "
                       "dr.yaml by hand: its snapshots of data are there all the same.");
    }
    (void)dr_fail(err, DR_E_REFUSED, "none of %zu snapshots of " CONFIG_SELF " is signed by %s",
                  count, b->key[0] != '\0' ? b->key : "anybody");
    return dr_hint(err, "Without --trust and --identity the newest is shown with its key.");
}

static bool is_believed(const struct boot *b, const struct snapshot *s)
{
    return b->key[0] == '\0' || strcmp(b->key, s->writer) == 0;
}

/* A name has its time, to the second, and then a hash: is this one of the same second? at NULL: yes. */
static bool is_as_new(const char *name, const char *at)
{
    const char *dash = at != NULL ? strrchr(at, '-') : NULL;
    return dash == NULL || strncmp(name, at, (size_t)(dash - at)) == 0;
}

/* The newest that is whole, and signed by whom we believe, if we believe somebody already. */
static enum dr_rc find(struct boot *b, struct dr_err *err)
{
    DR_CLEANUP(config_free_ptr) struct config *c = NULL;
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_TRY(make_config(b, &c, err));
    DR_TRY(bucket_open(c, &c->buckets[0], NULL, &s, err));
    DR_TRY(store_list(s, NAMES_SNAPSHOTS CONFIG_SELF "-", &names, err));
    const char *at = NULL; /* name of the newest so far */
    for (size_t i = names.count; i > 0 && is_as_new(names.items[i - 1], at); i--) {
        struct snapshot found = { 0 };
        if (!look_at(s, names.items[i - 1], &found) || !is_believed(b, &found)) {
            b->passed_over += at == NULL;
        } else if (at == NULL || found.end_ns > b->found.end_ns) {
            struct snapshot older = b->found;
            b->found = found;
            found = older;
            at = names.items[i - 1];
        }
        snapshot_fini(&found);
    }
    return at != NULL ? DR_OK : tell_none(b, names.count, err);
}

/* -- confirming -------------------------------------------------------------------------------- */

static void tell_found(const struct boot *b, FILE *to)
{
    const struct snapshot *s = &b->found;
    char taken[TIME_TEXT_MAX], age[DURATION_TEXT_MAX];
    DR_FREE char *host = cli_printable(s->host);
    int64_t ms = (clock_wall_ns() - s->end_ns) / NS_PER_MS;
    (void)fprintf(to,
                  "found      %s\n"
                  "taken      %s, %s ago, on host %s\n"
                  "signed by  %s\n",
                  s->id, time_print_s(s->end_ns, taken), duration_tell(ms > 0 ? ms : 0, age), host,
                  s->writer);
    if (b->passed_over > 0)
        (void)fprintf(to, "           %zu newer one%s not believed\n", b->passed_over,
                      b->passed_over == 1 ? " is" : "s are");
}

/* Nobody named the key: a person has to. */
static enum dr_rc confirm(struct boot *b, struct dr_err *err)
{
    char line[64] = "";
    if (b->key[0] == '\0' && !b->cli->json && isatty(STDIN_FILENO) == 1) {
        (void)fflush(stdout);
        (void)fprintf(stderr, "Is this the key of that host ('drctl key show' printed it there)? "
                              "Type yes: ");
        if (fgets(line, sizeof(line), stdin) == NULL)
            line[0] = '\0';
        line[strcspn(line, "\r\n")] = '\0';
    }
    if (b->key[0] == '\0' && strcmp(line, "yes") != 0) {
        (void)dr_fail(err, DR_E_REFUSED, "nobody said that the key %s is to be believed",
                      b->found.writer);
        return dr_hint(err, "If it is the key of your host: --trust %s", b->found.writer);
    }
    memcpy(b->key, b->found.writer, sizeof(b->key));
    return DR_OK;
}

/* -- restoring --------------------------------------------------------------------------------- */

static enum dr_rc restore(struct boot *b, struct dr_err *err)
{
    DR_CLEANUP(config_free_ptr) struct config *c = NULL;
    DR_CLEANUP(repo_close_ptr) struct repo *r = NULL;
    struct snapshot_info info = { 0 };
    struct restore_result result = { 0 };
    const struct repo_options options = { .near = NULL };
    b->tree = dr_strf("%s/tree", b->top);
    DR_TRY(make_config(b, &c, err));
    DR_TRY(repo_open(c, &options, &r, err));
    DR_TRY(repo_find(r, b->found.id, CONFIG_SELF, &info, err));
    const struct restore_options how = { .to = b->tree, .verify = true };
    enum dr_rc rc = restore_run(r, &info, &how, NULL, &result, err);
    snapshot_info_fini(&info);
    DR_TRY(rc);
    return result.differ == 0 ? DR_OK : dr_fail(err, DR_E_CORRUPT, "what was restored differs");
}

static enum dr_rc read_facts(struct boot *b, struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/" SELF_FACTS, b->tree);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    const char *state_dir = NULL;
    DR_TRY(fs_read_file(path, FACTS_MAX, &text, err));
    DR_TRY(json_read(SELF_FACTS, text.data != NULL ? text.data : "", text.len, &b->facts, err));
    DR_TRY(json_get_text(b->facts, "state_dir", &state_dir, err));
    if (state_dir[0] != '/')
        return dr_fail(err, DR_E_CORRUPT, SELF_FACTS " has a state_dir that is not absolute");
    b->state_dir = dr_strdup(state_dir);
    return DR_OK;
}

static enum dr_rc place(struct boot *b, struct dr_err *err)
{
    const struct place p = {
        .tree = b->tree,
        .snapshot = b->found.id,
        .to = b->wish->to,
        .state_dir = b->state_dir,
        .pem = b->pem,
        .key = b->key,
    };
    DR_TRY(place_check(&p, err));
    return place_all(&p, &b->placed, err);
}

/* -- telling ----------------------------------------------------------------------------------- */

/* Files that the configuration names and nobody brought yet. */
static void list_missing(const struct boot *b, struct text_list *ret)
{
    size_t at = 0;
    const json_t *item = NULL;
    json_array_foreach(json_object_get(b->facts, "not_in_here"), at, item)
    {
        const char *path = json_string_value(item);
        bool secret_key = path != NULL && text_ends(path, "/keys/writer.pem");
        if (path != NULL && !secret_key && access(path, F_OK) != 0)
            text_list_add(ret, path);
    }
}

static int tell_json(const struct boot *b, const struct text_list *missing, int exit)
{
    json_t *o = json_object();
    DR_FREE char *config = dr_strf("%s/" SELF_CONFIG, b->wish->to);
    json_put_text(o, "snapshot", b->found.id);
    json_put(o, "taken_at", data_time_json(b->found.end_ns));
    json_put(o, "host", json_printable(b->found.host));
    json_put_text(o, "signed_by", b->found.writer);
    json_put(o, "config", json_printable(config));
    json_put(o, "state_dir", json_printable(b->state_dir));
    json_put(o, "plans", data_texts_json(&b->placed.plans));
    json_put(o, "runs", data_texts_json(&b->placed.runs));
    json_put(o, "same_writer", json_boolean(b->pem != NULL));
    json_put(o, "missing", data_texts_json(missing));
    return cli_result_json(
        o, exit, exit == EXIT_DONE ? NULL : "files that the configuration names are missing");
}

static int tell(const struct boot *b)
{
    DR_CLEANUP(text_list_fini) struct text_list missing = { 0 };
    list_missing(b, &missing);
    int exit = missing.count > 0 ? EXIT_WARNINGS : EXIT_DONE;
    if (b->cli->json)
        return tell_json(b, &missing, exit);
    DR_FREE char *to = cli_printable(b->wish->to);
    DR_FREE char *state = cli_printable(b->state_dir);
    printf("restored   %s/" SELF_CONFIG ", %zu plan%s in %s/" SELF_PLANS "\n", to,
           b->placed.plans.count, CLI_S(b->placed.plans.count), to);
    printf("           %s: public keys, %zu journal%s\n", state, b->placed.runs.count,
           CLI_S(b->placed.runs.count));
    if (missing.count > 0)
        puts("\nBring these files, which are in no backup (exit 8):");
    for (size_t i = 0; i < missing.count; i++) {
        DR_FREE char *path = cli_printable(missing.items[i]);
        printf("    %s\n", path);
    }
    puts("\nWhat to do next:");
    printf("    drctl check -c %s/" SELF_CONFIG "\n", to);
    printf("    drctl doctor -c %s/" SELF_CONFIG "\n", to);
    printf("    drctl failover PLAN -c %s/" SELF_CONFIG "\n", to);
    if (b->pem == NULL)
        puts("This host will sign with a key of its own: after its first backup, tell the others\n"
             "('drctl key show', trusted_writers).");
    return exit;
}

/* -- the verb ---------------------------------------------------------------------------------- */

static enum dr_rc make_top(struct boot *b, struct dr_err *err)
{
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    char *top = dr_strf("%s/drctl-bootstrap.XXXXXX", tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    if (mkdtemp(top) == NULL) {
        (void)dr_fail(err, DR_E_IO, "cannot make the directory '%s'", top);
        free(top);
        return dr_hint(err, "TMPDIR names where scratch files may be.");
    }
    b->top = top;
    return DR_OK;
}

static enum dr_rc bring_back(struct boot *b, struct dr_err *err)
{
    DR_TRY(make_top(b, err));
    DR_TRY(settle_trust(b, err));
    DR_TRY(find(b, err));
    if (!b->cli->json)
        tell_found(b, stdout);
    DR_TRY(confirm(b, err));
    DR_TRY(restore(b, err));
    DR_TRY(read_facts(b, err));
    return place(b, err);
}

static int run_bootstrap(struct cli *cli)
{
    struct wish w = { .url = NULL };
    struct dr_err err = { 0 };
    const struct cli_option options[] = {
        { "identity", .value = &w.identity },
        { "trust", .value = &w.trust },
        { "to", .value = &w.to },
        { "ca", .value = &w.ca },
        { "profile", .value = &w.profile },
    };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 1, 1))
        return EXIT_USAGE;
    w.url = cli->argv[1];
    w.to = w.to != NULL ? w.to : "/etc/drctl";
    if (w.to[0] != '/')
        return cli_usage(cli, "--to '%s' is not an absolute path", w.to);
    DR_CLEANUP(boot_fini) struct boot b = { .cli = cli, .wish = &w };
    if (bring_back(&b, &err) != DR_OK)
        return cli_fail(cli, &err);
    return tell(&b);
}

const struct cli_verb verb_bootstrap = {
    .name = "bootstrap",
    .summary = "Bring configuration, plans and journals back onto a bare host",
    .usage =
        "drctl bootstrap URL [--trust KEY] [--identity FILE] [--to DIR] [--ca FILE]\n"
        "                [--profile NAME]\n"
        "\n"
        "From one bucket: the newest snapshot of drctl-self brings the configuration, the plans, the\n"
        "public keys and the journals of finished runs. Secrets are in no bucket: the files that are\n"
        "still missing are listed. Nothing is overwritten.\n"
        "\n"
        "  URL              file:///DIRECTORY, or s3://BUCKET[/PREFIX][?endpoint=URL][&region=NAME]\n"
        "                   with credentials from where AWS's own tools take them\n"
        "  --trust KEY      the key of the host that is lost: ed25519:..., as 'drctl key show' prints\n"
        "                   it. Without a key the snapshot's is shown, and asked about\n"
        "  --identity FILE  a file with that key; or that host's writer.pem: then this host goes on\n"
        "                   as the same writer\n"
        "  --to DIR         where dr.yaml and runbooks go (default /etc/drctl); all else goes to the\n"
        "                   state_dir that dr.yaml names\n"
        "  --ca FILE        trusted certificates of the bucket's endpoint\n"
        "  --profile NAME   of AWS's shared credentials file\n"
        "\n"
        "Exit 5: something is there already, or nobody said whom to believe. Exit 8: done, but files\n"
        "that the configuration names are missing.\n",
    .run = run_bootstrap,
};
