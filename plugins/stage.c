/*
 * stage.c - what every provider needs first: the configuration, the gate, the site.
 */
#include "plugins/stage.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/data/diag.h"

static void close_address(struct stage *p, const char *region, const char *address)
{
    if (address && address[0] != '\0')
        gate_dark(p->gate, region, address);
}

/* The addresses of every site whose region (or own name) is dark. */
static void close_gate(struct stage *p)
{
    const struct config *c = p->config;
    struct text_list regions = { 0 };
    config_known_regions(c, &regions);
    for (size_t i = 0; i < regions.count; i++)
        if (step_is_dark(p->call, regions.items[i]))
            text_list_add(&p->dark, regions.items[i]);
    text_list_fini(&regions);

    for (size_t i = 0; i < c->site_count; i++) {
        const struct config_site *site = &c->sites[i];
        if (!step_is_dark(p->call, site->region) && !step_is_dark(p->call, site->name))
            continue;
        close_address(p, site->region, site->address);
        close_address(p, site->region, site->host);
        close_address(p, site->region, site->ssh.host);
        for (size_t k = 0; k < site->field_count; k++) {
            struct net_addr addr;
            if (net_addr_parse(site->fields[k].value, 0, &addr))
                gate_dark(p->gate, site->region, site->fields[k].value);
        }
    }
}

static enum dr_rc load(struct stage *p, const char *path, struct dr_err *err)
{
    struct diag d = { 0 };
    enum dr_rc rc = config_load(path, &d, &p->config, err);
    for (size_t i = 0; rc == DR_E_CONFIG && i < d.count; i++) {
        if (d.items[i].severity == DIAG_ERROR) {
            rc = dr_fail(err, DR_E_CONFIG, "%s:%d:%d: %s", path, d.items[i].line, d.items[i].col,
                         d.items[i].what);
            break;
        }
    }
    diag_fini(&d);
    return rc;
}

/* Of a drill, unless the plan says that this very step does its work in it, too. */
static bool is_rehearsal(const struct step_call *call)
{
    const json_t *run = step_run(call);
    return json_is_true(json_object_get(run, "drill")) &&
           !json_is_true(json_object_get(run, "meant"));
}

enum dr_rc stage_init(struct stage *p, struct step_call *call, struct dr_err *err)
{
    const char *path = step_config(call);
    *p = (struct stage){ .call = call, .gate = gate_new(), .evidence = json_object() };
    if (path && path[0] != '\0') {
        DR_TRY(load(p, path, err));
        p->config->rehearsal = is_rehearsal(call);
        close_gate(p);
    }
    return DR_OK;
}

enum dr_rc stage_need_config(struct stage *p, struct step_call *call, struct dr_err *err)
{
    DR_TRY(stage_init(p, call, err));
    if (!p->config)
        return dr_fail(err, DR_E_CONFIG, "this step needs a configuration, and none was given");
    return DR_OK;
}

/* Evidence goes out before the result. */
static void put_evidence(struct stage *p)
{
    unsigned refused = gate_refused(p->gate);
    if (refused > 0)
        json_put_int(p->evidence, "refused_connects", refused);
    if (p->plant != NULL && p->plant->kind != PLANT_NONE)
        json_put_int(p->evidence, "planted", atomic_load(&p->plant->met));
    if (json_object_size(p->evidence) > 0)
        step_evidence(p->call, json_incref(p->evidence));
}

void stage_fini(struct stage *p)
{
    json_decref(p->evidence);
    gate_free(p->gate);
    config_free(p->config);
    text_list_fini(&p->dark);
    *p = (struct stage){ 0 };
}

enum step_verdict stage_says(struct stage *p, enum step_verdict verdict, const char *fmt, ...)
{
    char why[DR_ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    put_evidence(p);
    return step_says(p->call, verdict, "%s", why);
}

static void put_error(struct stage *p, const struct dr_err *err)
{
    json_put_text(p->evidence, "error", dr_rc_name(err->rc));
}

enum step_verdict stage_fails(struct stage *p, const struct dr_err *err)
{
    put_error(p, err);
    return stage_says(p, STEP_FAIL, "%s", err->msg);
}

enum step_verdict stage_cannot(struct stage *p, const struct dr_err *err)
{
    put_error(p, err);
    put_evidence(p);
    return step_says_err(p->call, err);
}

enum step_verdict stage_cannot_tell(struct stage *p, const struct dr_err *err)
{
    put_error(p, err);
    return stage_says(p, err->rc == DR_E_REFUSED ? STEP_FAIL : STEP_UNKNOWN, "%s", err->msg);
}

enum dr_rc stage_site(struct stage *p, const char *name, const struct config_site **ret,
                      struct dr_err *err)
{
    if (step_is_dark(p->call, name))
        return dr_fail(err, DR_E_REFUSED, "refused: %s is dark", name);
    const struct config_site *site = p->config ? config_site(p->config, name) : NULL;
    if (!site)
        return dr_fail(err, DR_E_CONFIG, "'%s' is no site of the configuration", name);
    if (step_is_dark(p->call, site->region))
        return dr_fail(err, DR_E_REFUSED, "refused: %s is dark", site->region);
    *ret = site;
    return DR_OK;
}

bool stage_is_elsewhere(const struct stage *p, const struct config_site *site)
{
    char host[256] = "";
    if (step_is_here(p->call) || !site->reach || strcmp(site->reach, "ssh") != 0)
        return false;
    if (gethostname(host, sizeof(host) - 1) != 0)
        host[0] = '\0'; /* then no site is this host by its name */
    return config_here(p->config, host) != site;
}

enum dr_rc stage_at(struct stage *p, const char *name, const struct config_site **ret,
                    struct dr_err *err)
{
    const struct config_site *site = NULL;
    if (name) {
        DR_TRY(stage_site(p, name, &site, err));
        DR_ASSERT(site != NULL);
        if (stage_is_elsewhere(p, site))
            return dr_fail(err, DR_E_CONFIG,
                           "site '%s' is another host: the step was not sent there", site->name);
    }
    *ret = site;
    return DR_OK;
}

void stage_list(const struct stage *p, const char *name, struct text_list *ret)
{
    const json_t *list = json_object_get(step_with(p->call), name);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_string(json_array_get(list, i)))
            text_list_add(ret, json_string_value(json_array_get(list, i)));
}

const char *stage_run_text(const struct stage *p, const char *name)
{
    const char *text = json_string_value(json_object_get(step_run(p->call), name));
    return text ? text : "";
}
