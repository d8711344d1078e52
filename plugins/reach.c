/*
 * reach.c - the site of `at`, its gate, and the way there.
 */
#include "plugins/reach.h"

#include <string.h>

#include "dr/step/remote.h"
#include "dr/step/ssh.h"
#include "plugins/stage.h"

enum { SSH_PORT = 22 }; /* for the gate's rules that name a port */

/* Asked by the name or the address that ssh will be given. */
static enum dr_rc pass_gate(struct stage *p, const struct config_site *site, struct dr_err *err)
{
    struct net_addr addr;
    const char *host = site->ssh.host != NULL ? site->ssh.host : site->name;
    uint16_t port = site->ssh.port > 0 ? (uint16_t)site->ssh.port : SSH_PORT;
    if (net_addr_parse(host, port, &addr))
        return gate_pass(p->gate, (const struct sockaddr *)&addr.sa, err);
    return gate_pass_name(p->gate, host, err);
}

/* A region that is dark, whatever addresses its site has: told in the same words, counted by the gate. */
static enum dr_rc refuse_dark(struct stage *p, const struct config_site *site, struct dr_err *err)
{
    if (!step_is_dark(p->call, site->region) && !step_is_dark(p->call, site->name))
        return DR_OK;
    gate_dark(p->gate, site->region, site->name);
    return gate_pass_name(p->gate, site->name, err);
}

static enum step_verdict send_there(struct stage *p, const struct config_site *site)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list argv = { 0 };
    if (refuse_dark(p, site, &err) != DR_OK || pass_gate(p, site, &err) != DR_OK)
        return stage_says(p, STEP_FAIL, "%s", err.msg);
    if (ssh_command(&site->ssh, &argv, &err) != DR_OK)
        return stage_says(p, STEP_FAIL, "site '%s': %s", site->name, err.msg);
    const struct remote r = { .site = site->name, .argv = &argv, .evidence = p->evidence };
    enum step_verdict verdict = remote_step(p->call, &r);
    step_evidence(p->call, json_incref(p->evidence));
    return verdict;
}

bool reach_elsewhere(struct step_call *call, enum step_verdict *ret)
{
    const char *at = step_text(call, "at", NULL);
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    if (at == NULL || stage_init(&p, call, &err) != DR_OK || p.config == NULL)
        return false; /* the provider says what is wrong, if it needs any of it */
    const struct config_site *site = config_site(p.config, at);
    if (site == NULL || !stage_is_elsewhere(&p, site))
        return false;
    *ret = send_there(&p, site);
    return true;
}
