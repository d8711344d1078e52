/*
 * drill_plant.c - what the drill has to find again: a sentinel in each source, and a backup that holds it.
 *
 * It happens before the drill is a run: the region that will be dark is still light, as it is until the
 * hour of a disaster, and the clock that measures the recovery has not begun. What it leaves is what
 * normal life leaves each minute and each backup, so there is nothing to take back when it dies.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/drill/drill.h"
#include "dr/drill/drill_ask.h"
#include "dr/drill/drill_facts.h"

enum { NONCE_BYTES = 8, MARGIN_MS = 60 * 1000 };

/* What came out of one planting, as a row of `planted`. */
static json_t *row_of(const char *source, const json_t *outputs)
{
    static const char *const keys[] = { "nonce", "time", "until", "by", "snapshot" };
    json_t *row = json_object();
    json_put_text(row, "source", source);
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++) {
        json_t *value = json_object_get(outputs, keys[i]);
        if (value != NULL || strcmp(keys[i], "until") != 0)
            json_put(row, keys[i], value != NULL ? json_incref(value) : json_null());
    }
    return row;
}

static json_t *arguments(const struct production_place *p, const struct config_source *source)
{
    uint8_t bytes[NONCE_BYTES];
    char nonce[2 * NONCE_BYTES + 1];
    json_t *with = json_object();
    random_bytes(bytes, sizeof(bytes));
    json_put_text(with, "source", source->name);
    json_put_text(with, "nonce", hex_encode(bytes, sizeof(bytes), nonce));
    json_put(with, "prove", json_boolean(drill_wants_proof(p, source->name)));
    if (source->site != NULL)
        json_put_text(with, "at", source->site);
    return with;
}

static enum dr_rc plant_one(const struct production_place *p, const struct config_source *source,
                            json_t *rows, struct dr_err *err)
{
    struct step_outcome o = { 0 };
    DR_JSON json_t *with = arguments(p, source);
    const struct drill_ask ask = { .config = p->config,
                                   .type = "drill.plant",
                                   .verb = "apply",
                                   .with = with,
                                   .timeout_ms = source->timeout_ms + MARGIN_MS };
    DR_TRY(drill_ask(&ask, &o, err));
    enum dr_rc rc = DR_OK;
    if (o.verdict == STEP_PASS)
        json_array_append_new(rows, row_of(source->name, o.outputs));
    else
        rc = dr_fail(err, DR_E_STEP, "nothing could be planted in '%s': %s", source->name, o.why);
    step_outcome_fini(&o);
    return rc;
}

static json_t *drawn(const struct drill_faults *faults)
{
    json_t *list = json_array();
    for (size_t i = 0; i < faults->count; i++) {
        json_t *o = json_object();
        json_put_text(o, "name", faults->controls[i]->name);
        json_put_text(o, "title", faults->controls[i]->title);
        json_array_append_new(list, o);
    }
    return list;
}

enum dr_rc drill_plant(const struct production_place *p, const struct drill_faults *faults,
                       json_t **ret, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list sources = { 0 };
    DR_JSON json_t *body = json_object();
    json_t *rows = json_array();
    DR_FREE char *seed = dr_strf("%" PRIu64, faults->seed);
    json_put(body, "sentinels", rows);
    json_put(body, "controls", drawn(faults));
    json_put_text(body, "seed", seed);
    drill_sources(p, &sources);
    for (size_t i = 0; i < sources.count; i++) {
        const struct config_source *source = config_source(p->config, sources.items[i]);
        if (source == NULL)
            return dr_fail(err, DR_E_CONFIG, "'%s' is no source of the configuration",
                           sources.items[i]);
        DR_TRY(plant_one(p, source, rows, err));
    }
    *ret = json_incref(body);
    return DR_OK;
}
