/*
 * serve.c - `drctl serve`: the status page and the metrics, until SIGTERM.
 */
#include "dr/serve/serve.h"

#include <signal.h>
#include <stdio.h>

#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/cli/verbs.h"
#include "dr/status/status.h"

static volatile sig_atomic_t ending;

static void on_end(int signal)
{
    (void)signal;
    ending = 1;
}

static int run_serve(struct cli *cli)
{
    const char *listen = NULL, *view = NULL;
    DR_CLEANUP(text_list_fini) struct text_list hosts = { 0 };
    const struct cli_option options[] = { { .name = "listen", .value = &listen },
                                          { .name = "view", .value = &view },
                                          { .name = "host", .many = &hosts } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 0))
        return EXIT_USAGE;
    /* Told both, it needs no configuration, which its user may not be able to read. */
    bool told = listen != NULL && view != NULL;
    DR_CLEANUP(config_free_ptr) struct config *c = told ? NULL : cli_config(cli);
    if (c == NULL && !told)
        return EXIT_USAGE;
    DR_FREE char *usual = c != NULL ? status_public_path(c->state_dir) : NULL;
    struct serve_options o = { .listen = listen, .hosts = &hosts, .view = view };
    if (c != NULL) {
        o.listen = listen != NULL ? listen : c->serve.listen;
        o.hosts = &c->serve.hosts;
        o.view = view != NULL ? view : usual;
    }
    DR_CLEANUP(serve_free_ptr) struct serve *s = NULL;
    struct dr_err err = { 0 };
    if (!told && hosts.count > 0)
        return cli_usage(cli, "--host goes with --listen and --view; else write serve: hosts:");
    if (serve_new(&o, &s, &err) != DR_OK)
        return cli_fail(cli, &err);
    const struct sigaction end = { .sa_handler = on_end };
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
    log_notice("the status of '%s' is at http://%s/", o.view, serve_address(s));
    while (!ending)
        serve_turn(s, 1000); /* a signal just before the wait is seen after it */
    return EXIT_DONE;
}

const struct cli_verb verb_serve = {
    .name = "serve",
    .summary = "The status as a web page and as metrics",
    .usage =
        "drctl serve [--listen ADDRESS:PORT] [--view FILE] [--host NAME]\n"
        "\n"
        "  --listen A    where to listen; default: serve: listen: of the configuration, 127.0.0.1:9188\n"
        "  --view FILE   what backupd publishes; default: STATE_DIR/public/status.json\n"
        "  --host NAME   with both of these, when no configuration is read: a name that may be asked for\n"
        "\n"
        "/ is a page for people, /metrics for Prometheus, /healthz says 200 while backupd looks, and\n"
        "/status.json is what 'drctl status --json' prints. It holds no key, opens no bucket and cannot\n"
        "act; run it as a user that can read that one file. There is no password: elsewhere than on\n"
        "loopback everybody who reaches it reads it. SIGTERM ends it.\n",
    .run = run_serve,
};
