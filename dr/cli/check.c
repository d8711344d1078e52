/*
 * check.c - `drctl check`: the configuration, and nothing but the configuration.
 *
 * Here the findings are the result: they go to stdout.
 */
#include <inttypes.h>
#include <stdio.h>

#include "dr/cli/verbs.h"

/* A number, a word and its ending for printf: "%zu %s%s". */
#define COUNT(n, word) (n), (word), CLI_S(n)

static int tell_json(const struct diag *d, int exit)
{
    json_t *list = json_array(), *o = json_object();
    for (size_t i = 0; i < d->count; i++)
        cli_json_add(list, cli_finding_json(&d->items[i]));
    json_put(o, "findings", list);
    char why[96];
    snprintf(why, sizeof(why), "%zu %s%s, %zu %s%s", COUNT(d->errors, "error"),
             COUNT(d->count - d->errors, "warning"));
    return cli_result_json(o, exit, exit == EXIT_DONE ? NULL : why);
}

static int tell(struct diag *d, const struct config *c, int exit)
{
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    diag_print(d, &out);
    if (out.len > 0)
        fwrite(out.data, 1, out.len, stdout);
    if (c != NULL)
        printf("%s: %zu %s%s, %zu %s%s in %zu %s%s, %zu %s%s\n", c->path,
               COUNT(c->source_count, "source"), COUNT(c->bucket_count, "bucket"),
               COUNT(c->regions.count, "region"), COUNT(d->count, "warning"));
    return exit;
}

static int run_check(struct cli *cli)
{
    if (!cli_options(cli, NULL, 0, 0, 0))
        return EXIT_USAGE;
    if (cli->config_path == NULL) {
        config_free(cli_config(cli)); /* there is none: it says where it looked */
        return EXIT_USAGE;
    }
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    DR_CLEANUP(config_free_ptr) struct config *c = NULL;
    struct dr_err err;
    enum dr_rc rc = config_load(cli->config_path, &d, &c, &err);
    if (rc != DR_OK && d.errors == 0) { /* it cannot be read at all */
        cli_fail(cli, &err);
        return EXIT_USAGE;
    }
    int exit = c == NULL ? EXIT_USAGE : d.count > 0 ? EXIT_WARNINGS : EXIT_DONE;
    return cli->json ? tell_json(&d, exit) : tell(&d, c, exit);
}

const struct cli_verb verb_check = {
    .name = "check",
    .summary = "What is wrong with the configuration, file:line:column",
    .usage = "drctl check      What is wrong with the configuration, file:line:column\n"
             "\n"
             "Exit 0: nothing. 8: warnings only. 2: mistakes.\n",
    .run = run_check,
};
