/*
 * fence.c - make sure that the failed region cannot write, with a typed proof.
 *
 * The methods are tried in order, and the first proof is enough. fence.lease waits until the old
 * holder cannot believe in its lease any more, takes it with the next epoch and marks the region,
 * so that the old writer is refused when it comes back (proof lease_expired). A method without a
 * provider in this binary is said so and passed over. Silence is no proof: when no method gives one,
 * the fence failed, or is unknown when one of them began and could not tell.
 *
 * This is the one step that may concern a dark region; fence.lease connects nowhere, it
 * works in the lease's place. Honours the epoch: enforced (compare-and-set).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/lease/lease.h"
#include "plugins/providers.h"
#include "plugins/stage.h"

enum { METHODS_MAX = 16 };

struct fence {
    struct stage p;
    struct lease_place where;
    const char *region;
    const json_t *methods;
};

static void fence_fini(struct fence *f)
{
    lease_place_fini(&f->where);
    stage_fini(&f->p);
}

static enum dr_rc open_fence(struct fence *f, struct step_call *call, struct dr_err *err)
{
    DR_TRY(stage_need_config(&f->p, call, err));
    DR_TRY(lease_place_of(f->p.config, f->p.gate, &f->where, err));
    const char *name = step_text(call, "region", step_text(call, "host", NULL));
    if (!name)
        return dr_fail(err, DR_E_CONFIG, "a fence needs 'region' or 'host'");
    const struct config_site *site = config_site(f->p.config, name);
    f->region = site ? site->region : name;
    f->methods = json_object_get(step_with(call), "methods");
    if (json_array_size(f->methods) == 0 || json_array_size(f->methods) > METHODS_MAX)
        return dr_fail(err, DR_E_CONFIG, "a fence needs 1 to %d methods", METHODS_MAX);
    return DR_OK;
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* The run's name, as keeper of the lease. */
static const char *keeper(const struct fence *f)
{
    const char *id = stage_run_text(&f->p, "id");
    return id[0] ? id : "drctl";
}

/* The key of the i-th method when it is fence.lease; NULL and why else. */
static const char *lease_key(const struct fence *f, size_t i, char *why, size_t size)
{
    const json_t *method = json_array_get(f->methods, i);
    const char *use = text_of(method, "use");
    const char *key = text_of(json_object_get(method, "with"), "key");
    if (!use || strcmp(use, "fence.lease") != 0) {
        snprintf(why, size, "%s: no provider for it in this drctl", use ? use : "?");
        return NULL;
    }
    if (!key)
        snprintf(why, size, "fence.lease: 'key' is missing");
    if (json_is_true(json_object_get(json_object_get(method, "with"), "release"))) {
        snprintf(why, size, "fence.lease: 'release' is not built in this drctl");
        return NULL;
    }
    return key;
}

static int64_t margin_of(const struct fence *f, size_t i)
{
    const json_t *with = json_object_get(json_array_get(f->methods, i), "with");
    return json_integer_value(json_object_get(with, "margin"));
}

static void keep_former(struct fence *f, const char *key)
{
    if (json_object_size(step_former(f->p.call)) > 0)
        return;
    json_t *former = json_object();
    json_put_text(former, "key", key);
    json_put_text(former, "region", f->region);
    json_put_text(former, "by", keeper(f));
    step_keep(f->p.call, former);
}

static enum dr_rc by_lease(struct fence *f, const char *key, size_t i, struct dr_err *err)
{
    DR_CLEANUP(lease_record_fini) struct lease_record record = { 0 };
    struct lease_fence wish = { .key = key,
                                .region = f->region,
                                .margin_ms = margin_of(f, i),
                                .by = keeper(f),
                                .deadline_ms = step_deadline_ms(f->p.call) - 500 };
    keep_former(f, key);
    step_log(f->p.call, "waiting until the lease %s of %s cannot be believed any more", key,
             f->region);
    DR_TRY(lease_fence(&f->where, &wish, &record, err));
    json_put_text(f->p.evidence, "key", key);
    json_put_int(f->p.evidence, "epoch", record.epoch);
    json_put_text(f->p.evidence, "honours", "enforced");
    return DR_OK;
}

/* One word after another: "fence.ipmi: no provider...; fence.lease: ..." */
static void add_why(struct buf *whys, const char *why)
{
    buf_addf(whys, "%s%s", whys->len ? "; " : "", why);
}

static void give_proof(struct step_call *call)
{
    step_proof(call, "lease_expired");
    step_output(call, "proof", json_string("lease_expired"));
}

static enum step_verdict fence_apply(struct step_call *call)
{
    DR_CLEANUP(fence_fini) struct fence f = { 0 };
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf whys = { 0 };
    if (open_fence(&f, call, &err) != DR_OK)
        return stage_says(&f.p, STEP_FAIL, "%s", err.msg);
    bool in_doubt = false;
    for (size_t i = 0; i < json_array_size(f.methods); i++) {
        char why[DR_ERR_MSG_MAX + 32] = "";
        const char *key = lease_key(&f, i, why, sizeof(why));
        if (key && by_lease(&f, key, i, &err) == DR_OK) {
            give_proof(call);
            return stage_says(&f.p, STEP_PASS, "the lease %s of %s has expired, and was taken", key,
                              f.region);
        }
        if (key) {
            snprintf(why, sizeof(why), "fence.lease: %s", err.msg);
            /* BUSY and TIMEOUT changed nothing by contract: the old holder still renews. */
            in_doubt |= err.rc == DR_E_UNKNOWN || err.rc == DR_E_IO || err.rc == DR_E_TRANSIENT;
        }
        step_log(call, "%s", why);
        add_why(&whys, why);
    }
    return stage_says(&f.p, in_doubt ? STEP_UNKNOWN : STEP_FAIL, "no proof that %s is fenced: %s",
                      f.region, whys.data);
}

static enum step_verdict fence_check(struct step_call *call)
{
    DR_CLEANUP(fence_fini) struct fence f = { 0 };
    struct dr_err err = { 0 };
    if (open_fence(&f, call, &err) != DR_OK)
        return stage_cannot_tell(&f.p, &err);
    for (size_t i = 0; i < json_array_size(f.methods); i++) {
        char why[DR_ERR_MSG_MAX];
        DR_CLEANUP(lease_record_fini) struct lease_record record = { 0 };
        const char *key = lease_key(&f, i, why, sizeof(why));
        if (!key)
            continue;
        if (lease_read(&f.where, key, &record, &err) != DR_OK)
            return stage_cannot_tell(&f.p, &err);
        json_put_int(f.p.evidence, "epoch", record.epoch);
        if (text_list_has(&record.fenced, f.region)) {
            give_proof(call);
            return stage_says(&f.p, STEP_PASS, "%s is fenced from %s since epoch %" PRId64,
                              f.region, key, record.epoch);
        }
    }
    return stage_says(&f.p, STEP_FAIL, "%s is not fenced", f.region);
}

static enum step_verdict fence_undo(struct step_call *call)
{
    DR_CLEANUP(fence_fini) struct fence f = { 0 };
    struct dr_err err = { 0 };
    const json_t *former = step_former(call);
    const char *key = text_of(former, "key"), *region = text_of(former, "region");
    const char *by = text_of(former, "by");
    if (open_fence(&f, call, &err) != DR_OK)
        return stage_cannot(&f.p, &err);
    if (!key || !region || !by)
        return stage_says(&f.p, STEP_PASS, "nothing was changed");
    if (lease_lift(&f.where, key, region, by, &err) != DR_OK)
        return stage_cannot(&f.p, &err);
    return stage_says(&f.p, STEP_PASS, "%s may take the lease %s again", region, key);
}

const struct provider provider_fence = {
    .type = "fence", .check = fence_check, .apply = fence_apply, .undo = fence_undo
};
