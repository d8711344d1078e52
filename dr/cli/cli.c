/*
 * cli.c - from the command line to a verb, and from its outcome to an exit code.
 *
 * The shared options may stand anywhere, for nobody remembers at three in the morning on which
 * side of the verb they belong. What a verb takes beside them is read by cli_options() from a
 * table, so that every verb answers a mistyped option in the same words.
 */
#include "dr/cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/base/text.h"

/* ---- outcomes ------------------------------------------------------------------------------ */

int cli_exit_of(enum dr_rc rc)
{
    switch (rc) {
    case DR_OK:
        return EXIT_DONE;
    case DR_E_USAGE:
    case DR_E_CONFIG:
        return EXIT_USAGE;
    case DR_E_BUSY:
        return EXIT_BUSY;
    case DR_E_REFUSED:
        return EXIT_REFUSED;
    case DR_E_UNKNOWN:
        return EXIT_UNKNOWN;
    case DR_E_HELD:
        return EXIT_HELD;
    default:
        return EXIT_FAILED;
    }
}

int cli_gravest(int a, int b)
{
    static const int order[] = { EXIT_UNKNOWN, EXIT_FAILED,   EXIT_REFUSED, EXIT_USAGE,   EXIT_BUSY,
                                 EXIT_HELD,    EXIT_DEGRADED, EXIT_MISSED,  EXIT_WARNINGS };
    for (size_t i = 0; i < DR_ARRAY_LEN(order); i++)
        if (a == order[i] || b == order[i])
            return order[i];
    DR_ASSERT(a == EXIT_DONE && b == EXIT_DONE);
    return EXIT_DONE;
}

void cli_print_json(json_t *value)
{
    DR_ASSERT(value != NULL);
    if (json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
        putchar('\n');
    json_decref(value);
}

json_t *cli_finding_json(const struct diag_item *item)
{
    json_t *o = json_object();
    json_put_text(o, "severity", item->severity == DIAG_ERROR ? "error" : "warning");
    json_put_text(o, "file", item->file);
    json_put_int(o, "line", item->line);
    json_put_int(o, "column", item->col);
    json_put_text(o, "code", item->code);
    json_put(o, "what", json_printable(item->what));
    if (item->hint != NULL)
        json_put(o, "hint", json_printable(item->hint));
    return o;
}

void cli_json_add(json_t *list, json_t *value)
{
    int rc = json_array_append_new(list, value);
    DR_ASSERT(rc == 0);
}

int cli_result_json(json_t *object, int exit, const char *why)
{
    json_put_int(object, "exit", exit);
    if (why != NULL)
        json_put(object, "why", json_printable(why));
    cli_print_json(object);
    return exit;
}

int cli_fail(const struct cli *cli, const struct dr_err *err)
{
    log_err(err);
    int exit = cli_exit_of(err->rc);
    if (cli->json) {
        json_t *object = json_object();
        json_put_text(object, "error", dr_rc_name(err->rc));
        if (err->hint[0] != '\0')
            json_put(object, "hint", json_printable(err->hint));
        cli_result_json(object, exit, err->msg);
    }
    return exit;
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
    struct dr_err err;
    char text[DR_ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    dr_fail(&err, DR_E_USAGE, "%s", text);
    if (cli->verb != NULL)
        dr_hint(&err, "drctl %s --help", cli->verb->name);
    else
        dr_hint(&err, "drctl --help");
    return cli_fail(cli, &err);
}

char *cli_printable(const char *text)
{
    struct buf out = { 0 };
    text_add_printable(&out, text, strlen(text));
    return buf_take(&out);
}

bool cli_colour(int fd)
{
    const char *no = getenv("NO_COLOR"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    return (no == NULL || no[0] == '\0') && isatty(fd) == 1;
}

/* ---- options ------------------------------------------------------------------------------- */

const struct cli_verb *cli_find_verb(const char *name)
{
    for (size_t i = 0; cli_verbs[i] != NULL; i++)
        if (strcmp(cli_verbs[i]->name, name) == 0)
            return cli_verbs[i];
    return NULL;
}

/* Does arg name the option ("--to" or "--to=X")? The value behind '=' goes to ret, else NULL. */
static bool option_is(const char *arg, const char *name, const char **ret)
{
    size_t len = strlen(name);
    if (strncmp(arg, "--", 2) != 0 || strncmp(arg + 2, name, len) != 0)
        return false;
    if (arg[2 + len] != '\0' && arg[2 + len] != '=')
        return false;
    *ret = arg[2 + len] == '=' ? arg + 3 + len : NULL;
    return true;
}

static int unknown_option(const struct cli *cli, const char *arg, const struct cli_option *options,
                          size_t count)
{
    DR_FREE const char **names = dr_alloc(count + 1, sizeof(*names));
    for (size_t i = 0; i < count; i++)
        names[i] = options[i].name;
    DR_FREE char *word = dr_strdup(arg[1] == '-' ? arg + 2 : arg + 1);
    word[strcspn(word, "=")] = '\0';
    const char *near = text_nearest(word, names, count);
    const char *verb = cli->verb->name;
    if (near == NULL)
        return cli_usage(cli, "%s has no option '%s'", verb, arg);
    return cli_usage(cli, "%s has no option '%s': did you mean '--%s'?", verb, arg, near);
}

/* Read the option at argv[i]; returns how many words it took, or 0 after a mistake was told. */
static int take_option(struct cli *cli, int i, const struct cli_option *options, size_t count)
{
    const char *arg = cli->argv[i];
    for (size_t k = 0; k < count; k++) {
        const struct cli_option *o = &options[k];
        const char *value = NULL;
        if (!option_is(arg, o->name, &value))
            continue;
        if (o->flag != NULL) {
            *o->flag = true;
            if (value == NULL)
                return 1;
            cli_usage(cli, "--%s takes no value", o->name);
            return 0;
        }
        int words = value == NULL ? 2 : 1;
        if (value == NULL)
            value = cli->argv[i + 1];
        if (value == NULL) {
            cli_usage(cli, "--%s needs a value", o->name);
            return 0;
        }
        if (o->many != NULL)
            text_list_add(o->many, value);
        else if (*o->value != NULL) {
            cli_usage(cli, "--%s is given twice", o->name);
            return 0;
        } else
            *o->value = value;
        return words;
    }
    unknown_option(cli, arg, options, count);
    return 0;
}

bool cli_options(struct cli *cli, const struct cli_option *options, size_t count, int least,
                 int most)
{
    DR_ASSERT(cli->verb != NULL && cli->argc >= 1);
    int kept = 1;
    bool words_only = false;
    for (int i = 1; i < cli->argc;) {
        char *arg = cli->argv[i];
        if (!words_only && strcmp(arg, "--") == 0) {
            words_only = true;
            i++;
        } else if (words_only || arg[0] != '-' || arg[1] == '\0') {
            cli->argv[kept++] = arg;
            i++;
        } else {
            int taken = take_option(cli, i, options, count);
            if (taken == 0)
                return false;
            i += taken;
        }
    }
    cli->argc = kept;
    cli->argv[kept] = NULL;
    if (kept - 1 > most) {
        cli_usage(cli, "too many words: '%s'", cli->argv[most + 1]);
        return false;
    }
    if (kept - 1 < least) {
        cli_usage(cli, "%s needs %s", cli->verb->name,
                  kept == 1 ? "a word behind it" : "one more word");
        return false;
    }
    return true;
}

/* ---- the shared part of the command line ---------------------------------------------------- */

struct shared {
    bool help, version;
};

/* Is argv[i] a shared option? Returns how many words it took, 0 for none, -1 after a mistake. */
static int take_shared(struct cli *cli, struct shared *shared, char **argv)
{
    const char *arg = argv[0];
    const char *value = NULL;
    if (strcmp(arg, "--json") == 0)
        cli->json = true;
    else if (strcmp(arg, "--yes") == 0)
        cli->yes = true;
    else if (strcmp(arg, "-q") == 0 || strcmp(arg, "--quiet") == 0)
        cli->quiet = true;
    else if (strcmp(arg, "-h") == 0 || strcmp(arg, "--help") == 0)
        shared->help = true;
    else if (strcmp(arg, "--version") == 0)
        shared->version = true;
    else if (strcmp(arg, "-c") == 0 || option_is(arg, "config", &value)) {
        bool own_word = value == NULL;
        value = own_word ? argv[1] : value;
        if (value == NULL || value[0] == '\0') {
            cli_usage(cli, "%s needs a file", arg);
            return -1;
        }
        cli->config_path = value;
        return own_word ? 2 : 1;
    } else
        return 0;
    return 1;
}

/* Sort the words of the command line: shared options are read, the others go to cli->argv. */
static bool read_shared(struct cli *cli, struct shared *shared, int argc, char **argv)
{
    bool words_only = false;
    for (int i = 1; i < argc;) {
        int taken = words_only ? 0 : take_shared(cli, shared, argv + i);
        if (taken < 0)
            return false;
        if (taken == 0) {
            words_only = words_only || strcmp(argv[i], "--") == 0;
            cli->argv[cli->argc++] = argv[i];
            taken = 1;
        }
        i += taken;
    }
    cli->argv[cli->argc] = NULL;
    return true;
}

static const char *default_config(void)
{
    const char *named = getenv("DRCTL_CONFIG"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    if (named != NULL && named[0] != '\0')
        return named;
    static const char *const places[] = { "dr.yaml", "/etc/drctl/dr.yaml" };
    for (size_t i = 0; i < DR_ARRAY_LEN(places); i++)
        if (access(places[i], F_OK) == 0)
            return places[i];
    return NULL;
}

static int unknown_verb(const struct cli *cli, const char *word)
{
    if (word[0] == '-')
        return cli_usage(cli, "no option '%s' before the verb", word);
    const char *names[64];
    size_t count = 0;
    for (size_t i = 0; cli_verbs[i] != NULL && count < DR_ARRAY_LEN(names); i++)
        if (cli_verbs[i]->summary != NULL)
            names[count++] = cli_verbs[i]->name;
    const char *near = text_nearest(word, names, count);
    if (near == NULL)
        return cli_usage(cli, "no verb '%s'", word);
    return cli_usage(cli, "no verb '%s': did you mean '%s'?", word, near);
}

/* A result that could not be written is a failure, whatever the verb thought. */
static int finish_output(const struct cli *cli, int exit)
{
    errno = 0;
    bool lost = fflush(stdout) != 0 || ferror(stdout) != 0;
    if (!lost || exit == EXIT_FAILED)
        return exit; /* a failure was told already, most likely this one */
    int errnum = errno;
    if (errnum == EPIPE) /* the reader had enough ("| head"): it knows */
        return cli_gravest(exit, EXIT_FAILED);
    struct dr_err err;
    dr_fail_sys(&err, errnum == 0 ? EIO : errnum, "cannot write the result to standard output");
    struct cli plain = *cli;
    plain.json = false;
    return cli_gravest(exit, cli_fail(&plain, &err));
}

static int dispatch(struct cli *cli, const struct shared *shared)
{
    if (shared->version) {
        printf("%s %s\n", cli->program, DRCTL_VERSION);
        return EXIT_DONE;
    }
    if (strcmp(cli->program, "backupd") == 0) { /* a second name for: drctl daemon */
        static char daemon_verb[] = "daemon";
        cli->argv[0] = daemon_verb;
    } else if (cli->argc > 1) {
        cli->argv++;
        cli->argc--;
    } else {
        const char *path = cli->config_path != NULL ? cli->config_path : default_config();
        if (path == NULL || shared->help) {
            cli_help();
            return EXIT_DONE;
        }
        static char status_verb[] = "status";
        cli->argv[0] = status_verb;
    }
    cli->verb = cli_find_verb(cli->argv[0]);
    if (cli->verb == NULL)
        return unknown_verb(cli, cli->argv[0]);
    if (shared->help) {
        fputs(cli->verb->usage, stdout);
        return EXIT_DONE;
    }
    if (cli->config_path == NULL)
        cli->config_path = default_config();
    return cli->verb->run(cli);
}

int cli_main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "drctl";
    struct cli cli = { .program = strcmp(name, "backupd") == 0 ? "backupd" : "drctl", .argc = 1 };
    DR_FREE char **words = dr_alloc((size_t)argc + 2, sizeof(*words));
    cli.argv = words; /* words[0] is the program's own name; verbs move argv, words stays */
    words[0] = argc > 0 ? argv[0] : NULL;
    log_setup(cli.program, LOG_NOTICE, false);

    struct shared shared = { 0 };
    if (!read_shared(&cli, &shared, argc, argv))
        return EXIT_USAGE;
    return finish_output(&cli, dispatch(&cli, &shared));
}
