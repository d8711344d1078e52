/*
 * configure.c - cli_config(): the configuration of this run, with its findings told.
 */
#include <stdio.h>

#include "dr/base/log.h"
#include "dr/cli/cli.h"

struct config *cli_config(struct cli *cli)
{
    struct dr_err err;
    if (cli->config_path == NULL) {
        dr_fail(&err, DR_E_CONFIG,
                "no configuration: no -c FILE, no $DRCTL_CONFIG, no ./dr.yaml, "
                "no /etc/drctl/dr.yaml");
        dr_hint(&err, "drctl config new writes a first one; man dr.yaml tells every key.");
        cli_fail(cli, &err);
        return NULL;
    }
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    struct config *c = NULL;
    enum dr_rc rc = config_load(cli->config_path, &d, &c, &err);
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    diag_print(&d, &out);
    if (out.len > 0)
        fwrite(out.data, 1, out.len, stderr);
    if (rc == DR_OK)
        return c;
    err.rc = DR_E_CONFIG; /* a file that cannot be read is a wrong configuration as well */
    cli_fail(cli, &err);
    return NULL;
}
