/*
 * view_late.c - findings of drills and runs whose date is over: a promise to see to something that was not kept.
 *
 * Each host tells those that its own ledger opened, so each is told once; another host's word about one counts here once
 * `drctl findings` has read it.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/findings.h"
#include "dr/status/finding.h"
#include "dr/status/view.h"

static const char *text_of(const json_t *o, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL ? text : otherwise;
}

static void tell(const struct view *v, const json_t *one)
{
    const char *id = text_of(one, "id", "");
    DR_FREE char *hint = dr_strf("When it is seen to: drctl findings close %s --reason TEXT", id);
    const struct finding f = { FINDING_WARNING, { "late", id, NULL }, hint };
    finding_add(v->findings, &f, "finding %s was due on %.10s, %s: %s", id, text_of(one, "due", ""),
                text_of(one, "owner", "no owner"), text_of(one, "text", "no words on record"));
}

void view_late(const struct view *v)
{
    size_t i;
    const json_t *record;
    json_array_foreach(v->in->known, i, record)
    {
        DR_JSON json_t *one = json_deep_copy(record);
        findings_judge(one, v->in->now_ns);
        if (json_is_true(json_object_get(one, "overdue")) &&
            !json_is_true(json_object_get(one, "said")))
            tell(v, one);
    }
}
