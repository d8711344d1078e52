/*
 * store.c - `drctl store test URL`: does that store keep what backups need?
 *
 * It needs no configuration: a store is tried before it is declared.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/store/promises.h"
#include "dr/base/mem.h"
#include "dr/cli/verbs.h"

enum { MANY = 1001, MANY_MAX = 100000 };

struct screen {
    const struct cli *cli;
    json_t *list; /* with --json */
};

static void show(void *arg, const char *says, enum promise_verdict verdict,
                 const struct dr_err *why)
{
    static const char *const words[] = { "kept", "broken", "not claimed" };
    struct screen *s = arg;
    DR_FREE char *seen = cli_printable(why != NULL ? why->msg : "");
    if (!s->cli->json) {
        printf("%-12s %s\n", words[verdict], says);
        if (why != NULL)
            printf("%-12s   %s\n", "", seen);
        (void)fflush(stdout); /* each is seen as it comes; cli_main() looks at errors */
        return;
    }
    json_t *o = json_object();
    json_put_text(o, "promise", says);
    json_put_text(o, "verdict", words[verdict]);
    if (why != NULL)
        json_put_text(o, "why", seen);
    cli_json_add(s->list, o);
}

static bool read_many(const struct cli *cli, const char *text, unsigned *ret)
{
    char *end = NULL;
    unsigned long n = text != NULL ? strtoul(text, &end, 10) : MANY;
    if (n >= 1 && n <= MANY_MAX &&
        (text == NULL || (*text >= '0' && *text <= '9' && *end == '\0'))) {
        *ret = (unsigned)n;
        return true;
    }
    cli_usage(cli, "--many is a number from 1 to %d, not '%s'", MANY_MAX, text != NULL ? text : "");
    return false;
}

static int run_store(struct cli *cli)
{
    const char *many = NULL;
    const struct cli_option options[] = { { .name = "many", .value = &many } };
    struct promises_options o = { .told = show };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 2, 2) || !read_many(cli, many, &o.many))
        return EXIT_USAGE;
    if (strcmp(cli->argv[1], "test") != 0)
        return cli_usage(cli, "store test URL, not '%s'", cli->argv[1]);
    struct screen screen = { .cli = cli, .list = json_array() };
    DR_JSON json_t *list = screen.list;
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    struct dr_err err = { 0 };
    unsigned broken = 0;
    o.arg = &screen;
    if (store_open_url("test", NULL, cli->argv[2], &s, &err) != DR_OK ||
        promises_ask(s, &o, &broken, &err) != DR_OK)
        return cli_fail(cli, &err);
    int exit = broken > 0 ? EXIT_FAILED : EXIT_DONE;
    if (!cli->json) {
        if (broken > 0)
            printf("%u promise%s broken\n", broken, CLI_S(broken));
        return exit;
    }
    json_t *result = json_object();
    json_put(result, "promises", DR_TAKE(list));
    json_put_int(result, "broken", broken);
    return cli_result_json(result, exit, broken > 0 ? "promises of the store are broken" : NULL);
}

const struct cli_verb verb_store = {
    .name = "store",
    .summary = "Try whether a store keeps what backups need",
    .usage =
        "drctl store test URL [--many N]      Try whether a store keeps what backups need\n"
        "\n"
        "  --many N   Objects in the long list (default 1001: more than one page)\n"
        "\n"
        "The place must be empty, and is again afterwards. Each promise is one line: kept, broken\n"
        "with what was seen, or not claimed by the store. No configuration is read.\n"
        "For a program of your own: exec:///PATH?KEY=VALUE, as told in EXEC.md.\n",
    .run = run_store,
};
