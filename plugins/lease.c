/*
 * lease.c - lease.check: how many may write now.
 *
 * Asked as an invariant ("one writer"): the number of holders by the record in its one declared
 * place. A key that was never taken has none.
 */
#include <inttypes.h>

#include "dr/lease/lease.h"
#include "plugins/providers.h"
#include "plugins/stage.h"

static enum step_verdict lease_check(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_place_fini) struct lease_place where = { 0 };
    DR_CLEANUP(lease_record_fini) struct lease_record record = { 0 };
    const char *key = step_text(call, "key", "");
    if (stage_need_config(&p, call, &err) != DR_OK ||
        lease_place_of(p.config, p.gate, &where, &err) != DR_OK ||
        lease_read(&where, key, &record, &err) != DR_OK)
        return stage_cannot_tell(&p, &err);
    int holders = lease_holders(&record);
    int64_t wanted = step_int(call, "holders", 1);
    const char *holder = record.holder && record.holder[0] ? record.holder : "nobody";
    json_put_int(p.evidence, "epoch", record.epoch);
    json_put_text(p.evidence, "holder", holder);
    return stage_says(&p, holders == wanted ? STEP_PASS : STEP_FAIL,
                      "%s: %d may write (%s, epoch %" PRId64 "), wanted %" PRId64, key, holders,
                      holder, record.epoch, wanted);
}

const struct provider provider_lease_check = { .type = "lease.check", .check = lease_check };
