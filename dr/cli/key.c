/*
 * key.c - `drctl key`: the line that makes another host believe this one's backups.
 */
#include "dr/cli/key.h"

#include <stdio.h>
#include <string.h>

#include "backup/format/keys.h"
#include "dr/base/mem.h"
#include "dr/cli/verbs.h"

enum dr_rc key_look(const struct config *c, char **ret_path, char **ret_public, struct dr_err *err)
{
    char public[KEYS_TEXT_MAX];
    enum dr_rc rc = keys_read_public(c->state_dir, public, err);
    if (rc == DR_E_NOTFOUND) {
        dr_fail(err, DR_E_NOTFOUND, "this host has no key yet: '%s/keys' holds none", c->state_dir);
        return dr_hint(err, "drctl init makes the key.");
    }
    if (rc != DR_OK)
        return rc;
    *ret_public = dr_strdup(public);
    *ret_path = dr_strf("%s/keys/writer.pem", c->state_dir);
    return DR_OK;
}

static int run_key(struct cli *cli)
{
    if (!cli_options(cli, NULL, 0, 0, 1))
        return EXIT_USAGE;
    const char *what = cli->argc > 1 ? cli->argv[1] : "show";
    bool show = strcmp(what, "show") == 0;
    if (!show && strcmp(what, "path") != 0)
        return cli_usage(cli, "key show or key path, not '%s'", what);
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL)
        return EXIT_USAGE;
    DR_FREE char *path = NULL;
    DR_FREE char *public = NULL;
    struct dr_err err;
    if (key_look(c, &path, &public, &err) != DR_OK)
        return cli_fail(cli, &err);
    if (!cli->json) {
        puts(show ? public : path);
        return EXIT_DONE;
    }
    json_t *o = json_object();
    json_put_text(o, "public", public);
    json_put_text(o, "path", path);
    return cli_result_json(o, EXIT_DONE, NULL);
}

const struct cli_verb verb_key = {
    .name = "key",
    .summary = "The key that signs this host's snapshots",
    .usage =
        "drctl key [show]      The public key, as it is written under trusted_writers\n"
        "drctl key path        The file that holds the secret part\n"
        "\n"
        "Losing the key harms no snapshot: the next one is signed by a new key, which the other\n"
        "hosts have to be told.\n",
    .run = run_key,
};
