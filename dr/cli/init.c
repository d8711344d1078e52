/*
 * init.c - `drctl init`: make the buckets ready, once.
 */
#include <stdio.h>

#include "backup/work/repo.h"
#include "dr/cli/verbs.h"

static int run_init(struct cli *cli)
{
    if (!cli_options(cli, NULL, 0, 0, 0))
        return EXIT_USAGE;
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL)
        return EXIT_USAGE;
    struct dr_err err;
    if (repo_init(c, &err) != DR_OK)
        return cli_fail(cli, &err);
    if (!cli->json) {
        for (size_t i = 0; i < c->bucket_count; i++)
            printf("bucket %s in %s is ready: %s\n", c->buckets[i].name, c->buckets[i].region,
                   c->buckets[i].url);
        return EXIT_DONE;
    }
    json_t *o = json_object(), *list = json_array();
    for (size_t i = 0; i < c->bucket_count; i++) {
        json_t *b = json_object();
        json_put_text(b, "name", c->buckets[i].name);
        json_put_text(b, "region", c->buckets[i].region);
        json_put_text(b, "url", c->buckets[i].url);
        cli_json_add(list, b);
    }
    json_put(o, "buckets", list);
    return cli_result_json(o, EXIT_DONE, NULL);
}

const struct cli_verb verb_init = {
    .name = "init",
    .summary = "Make the buckets ready, and this host's key",
    .usage =
        "drctl init      Make the buckets ready, and this host's key\n"
        "\n"
        "Each bucket must be empty or ours already: init may be run again, and does not change\n"
        "what is there. The key that signs this host's snapshots is made at first use.\n",
    .run = run_init,
};
