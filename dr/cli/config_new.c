/*
 * config_new.c - `drctl config new`: the first configuration of somebody who has none.
 *
 * It writes as little as works: sources, buckets, a policy. What was not said on the command line is asked,
 * one question a line, where a person is there to answer; a script gets a usage error instead. The file
 * is read back by the same loader before it gets its name, so it is either one that loads or it is
 * not there; and it gets its name by link(2), which replaces nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/cli/verbs.h"
#include "dr/config/review.h"

enum { ANSWER_MAX = 4096, MANY_MAX = 100 };

struct first {
    struct text_list sources; /* [NAME=]DIRECTORY */
    struct text_list buckets; /* [REGION=]URL */
    const char *region;       /* of buckets that say none */
    const char *state_dir;
};

static void first_fini(struct first *f)
{
    text_list_fini(&f->sources);
    text_list_fini(&f->buckets);
}

/* ---- asking ---------------------------------------------------------------------------------------- */

/* One line of the person. False: it was empty, or the person has gone. */
static bool ask(const char *question, char line[ANSWER_MAX])
{
    (void)fprintf(stderr, "%s ", question);
    (void)fflush(stderr);
    if (fgets(line, ANSWER_MAX, stdin) == NULL)
        line[0] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    return line[0] != '\0';
}

static void ask_all(struct first *f)
{
    char line[ANSWER_MAX], region[ANSWER_MAX];
    while (f->sources.count < MANY_MAX &&
           ask(f->sources.count == 0 ? "Which directory is to be backed up?"
                                     : "Which else? (nothing: that is all)",
               line))
        text_list_add(&f->sources, line);
    while (f->sources.count > 0 && f->buckets.count < MANY_MAX &&
           ask(f->buckets.count == 0 ? "Where to? A directory, or s3://BUCKET:"
                                     : "Where else, best in another region? (nothing: that is all)",
               line)) {
        bool said = ask("In which region does that lie?", region);
        DR_FREE char *both = said ? dr_strf("%s=%s", region, line) : dr_strdup(line);
        text_list_add(&f->buckets, both);
    }
}

/* ---- writing --------------------------------------------------------------------------------------- */

/* In double quotes, as YAML reads them. */
static void add_quoted(struct buf *out, const char *text)
{
    buf_addf(out, "\"");
    for (const char *p = text; *p != '\0'; p++)
        buf_addf(out, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
    buf_addf(out, "\"");
}

/* What stands before '=', when it does not belong to what stands behind: "us=s3://b?style=path". */
static char *take_name(const char **text)
{
    size_t len = strcspn(*text, "=:/");
    if ((*text)[len] != '=' || len == 0)
        return NULL;
    char *name = dr_memdup(*text, len);
    *text += len + 1;
    return name;
}

/* A name of the letters that names have, which is not in the list yet, from what stands last in text. */
static char *make_name(const struct text_list *taken, const char *text)
{
    enum { LETTERS = 40 };
    char base[LETTERS + 1];
    size_t len = 0;
    const char *slash = strrchr(text, '/');
    for (const char *p = slash != NULL ? slash + 1 : text; *p != '\0' && len < LETTERS; p++) {
        int lower = *p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p;
        bool plain = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9');
        if (plain)
            base[len++] = (char)lower;
        else if (len > 0 && base[len - 1] != '-')
            base[len++] = '-';
    }
    while (len > 0 && base[len - 1] == '-')
        len--;
    base[len] = '\0';
    char *name = dr_strdup(len > 0 ? base : "root");
    for (int n = 2; text_list_has(taken, name); n++) {
        free(name);
        name = dr_strf("%s-%d", len > 0 ? base : "root", n);
    }
    return name;
}

static void add_sources(struct buf *out, const struct first *f)
{
    DR_CLEANUP(text_list_fini) struct text_list taken = { 0 };
    buf_addf(out,
             "\n# What is backed up. class: config is for the config_snapshot policy.\nsources:\n");
    for (size_t i = 0; i < f->sources.count; i++) {
        const char *written = f->sources.items[i];
        DR_FREE char *named = take_name(&written);
        size_t len = strlen(written);
        while (len > 1 && written[len - 1] == '/')
            len--;
        DR_FREE char *path = dr_memdup(written, len);
        DR_FREE char *name = named != NULL ? dr_strdup(named) : make_name(&taken, path);
        text_list_add(&taken, name);
        buf_addf(out, "  - {name: ");
        add_quoted(out, name);
        buf_addf(out, ", path: ");
        add_quoted(out, path);
        buf_addf(out, ", class: data}\n");
    }
}

/* False after it was told: nobody said in which region a bucket lies. */
static bool add_buckets(struct cli *cli, struct buf *out, const struct first *f)
{
    DR_CLEANUP(text_list_fini) struct text_list taken = { 0 };
    buf_addf(out,
             "\n# Where to. Every snapshot goes to every bucket; region: what is lost together.\n"
             "buckets:\n");
    for (size_t i = 0; i < f->buckets.count; i++) {
        const char *url = f->buckets.items[i];
        DR_FREE char *said = take_name(&url);
        const char *region = said != NULL ? said : f->region;
        if (region == NULL) {
            (void)cli_usage(cli, "in which region does '%s' lie? REGION=%s, or --region REGION",
                            url, url);
            return false;
        }
        DR_FREE char *full = url[0] == '/' ? dr_strf("file://%s", url) : dr_strdup(url);
        DR_FREE char *name = make_name(&taken, region);
        text_list_add(&taken, name);
        buf_addf(out, "  - {name: %s, url: ", name);
        add_quoted(out, full);
        buf_addf(out, ", region: ");
        add_quoted(out, region);
        buf_addf(out, "}\n");
    }
    return true;
}

static bool compose(struct cli *cli, const struct first *f, struct buf *out)
{
    buf_addf(
        out,
        "# The configuration of drctl. dr.yaml(5) has every key; after a change: drctl check.\n"
        "\n"
        "disaster_recovery:\n"
        "  backup_policy:\n"
        "    full_backup: {frequency: daily, retention: 30d}          # reads every byte\n"
        "    incremental_backup: {frequency: hourly, retention: 7d}   # reads what changed\n"
        "  # How long a recovery may take and how much may be lost, for each plan:\n"
        "  # rto: {primary_region_failure: 30m}\n"
        "  # rpo: {primary_region_failure: 2h}\n");
    add_sources(out, f);
    if (!add_buckets(cli, out, f))
        return false;
    if (f->state_dir != NULL) {
        buf_addf(out, "\n# Keys, journals, leases of this host.\nstate_dir: ");
        add_quoted(out, f->state_dir);
        buf_addf(out, "\n");
    }
    return true;
}

/* Load what was written under its first name; findings are told. False: it does not load. */
static bool reads_back(struct cli *cli, const char *path, size_t *ret_warnings)
{
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    DR_CLEANUP(config_free_ptr) struct config *c = NULL;
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    struct dr_err err;
    enum dr_rc rc = config_load(path, &d, &c, &err);
    if (rc == DR_OK)
        config_review(c, &(struct config_facts){ 0 }, &d);
    for (size_t i = 0; i < d.count; i++) { /* its place is in a file that nobody has seen */
        const struct diag_item *item = &d.items[i];
        buf_addf(&out, "%s: %s\n", item->severity == DIAG_ERROR ? "error" : "warning", item->what);
        if (item->hint != NULL)
            buf_addf(&out, "    hint: %s\n", item->hint);
    }
    if (out.len > 0)
        fwrite(out.data, 1, out.len, stderr);
    if (rc != DR_OK && d.errors == 0)
        (void)cli_fail(cli, &err);
    *ret_warnings = d.count - d.errors;
    return rc == DR_OK;
}

static enum dr_rc give_name(const char *dir, const char *hidden, const char *path,
                            struct dr_err *err)
{
    if (sys.linkat(AT_FDCWD, hidden, AT_FDCWD, path, 0) != 0) {
        if (errno == EEXIST) {
            dr_fail(err, DR_E_EXISTS, "'%s' is there already", path);
            return dr_hint(err, "Nothing was changed. Name another FILE, or edit this one.");
        }
        return dr_fail_sys(err, errno, "cannot make '%s'", path);
    }
    return fs_sync_dir(dir, err);
}

static int put(struct cli *cli, const char *path, const struct buf *text)
{
    struct dr_err err;
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    DR_FREE char *dir = slash == NULL   ? dr_strdup(".")
                        : slash == path ? dr_strdup("/")
                                        : dr_memdup(path, (size_t)(slash - path));
    DR_FREE char *name = dr_strf(".%s.%ld", base, (long)getpid());
    DR_FREE char *hidden = dr_strf("%s/%s", dir, name);
    if (access(path, F_OK) == 0) {
        dr_fail(&err, DR_E_EXISTS, "'%s' is there already", path);
        dr_hint(&err, "Nothing was changed. Name another FILE, or edit this one.");
        (void)cli_fail(cli, &err);
        return EXIT_USAGE;
    }
    if (fs_replace(dir, name, text->data, text->len, &err) != DR_OK)
        return cli_fail(cli, &err);
    size_t warnings = 0;
    bool good = reads_back(cli, hidden, &warnings);
    enum dr_rc rc = good ? give_name(dir, hidden, path, &err) : DR_OK;
    if (sys.unlinkat(AT_FDCWD, hidden, 0) != 0)
        log_line(LOG_WARNING, "cannot remove '%s'", hidden);
    if (!good)
        return EXIT_USAGE;
    if (rc != DR_OK)
        return cli_fail(cli, &err);
    if (cli->json) {
        json_t *o = json_object();
        json_put_text(o, "file", path);
        return cli_result_json(o, EXIT_DONE, NULL);
    }
    printf("%s is written. Next: drctl -c %s init\n", path, path);
    return EXIT_DONE;
}

/* -c FILE names the file, too; but one that was found by looking around is not meant. */
static const char *where(const struct cli *cli)
{
    return cli->config_path != NULL && access(cli->config_path, F_OK) != 0 ? cli->config_path
                                                                           : "dr.yaml";
}

static int run_config(struct cli *cli)
{
    DR_CLEANUP(first_fini) struct first f = { 0 };
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    const struct cli_option options[] = { { .name = "source", .many = &f.sources },
                                          { .name = "bucket", .many = &f.buckets },
                                          { .name = "region", .value = &f.region },
                                          { .name = "state-dir", .value = &f.state_dir } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 1, 2))
        return EXIT_USAGE;
    if (strcmp(cli->argv[1], "new") != 0)
        return cli_usage(cli, "config has 'new', not '%s'", cli->argv[1]);
    bool nothing = f.sources.count == 0 && f.buckets.count == 0;
    if (nothing && !cli->json && isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1)
        ask_all(&f);
    if (f.sources.count == 0)
        return cli_usage(cli, "what is to be backed up? --source DIRECTORY");
    if (f.buckets.count == 0)
        return cli_usage(cli, "where to? --bucket REGION=URL");
    if (!compose(cli, &f, &text))
        return EXIT_USAGE;
    return put(cli, cli->argc > 2 ? cli->argv[2] : where(cli), &text);
}

const struct cli_verb verb_config = {
    .name = "config",
    .summary = "write a first configuration",
    .usage = "drctl config new [FILE] [--source [NAME=]DIRECTORY]... [--bucket [REGION=]URL]...\n"
             "                 [--region REGION] [--state-dir DIRECTORY]\n"
             "      Write FILE (dr.yaml), mode 0600; what is there is never overwritten.\n"
             "      A URL is s3://BUCKET, file:///DIRECTORY, or a DIRECTORY; --region is that of\n"
             "      buckets that say none. Without a source and a bucket it asks, on a terminal.\n",
    .run = run_config,
};
