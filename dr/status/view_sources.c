/*
 * Sources and buckets: how old, how many copies, when proved, and what would be lost with each region.
 */
#include <string.h>

#include "backup/work/durable.h"
#include "dr/base/mem.h"
#include "dr/data/duration.h"
#include "dr/status/finding.h"
#include "dr/status/holdings.h"
#include "dr/status/status.h"
#include "dr/status/view.h"

static const int64_t SECOND_NS = 1000000000;

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static const char *region_of(const struct config_bucket *b)
{
    return b->region != NULL ? b->region : b->name;
}

/* -- what all answers say of a source --------------------------------------------------------- */

static int64_t newest_proof(const struct view *v, const char *source)
{
    int64_t newest = 0;
    for (size_t i = 0; i < json_array_size(v->in->looks); i++) {
        const json_t *proofs = json_object_get(json_array_get(v->in->looks, i), "proofs");
        if (v->ours[i])
            newest = max_of(newest, json_integer_value(json_object_get(proofs, source)));
    }
    return newest;
}

static int64_t oldest_start(const struct view *v, const char *source)
{
    int64_t oldest = 0;
    for (size_t i = 0; i < json_array_size(v->in->looks); i++) {
        const json_t *all = json_object_get(json_array_get(v->in->looks, i), "oldest");
        int64_t ns = json_integer_value(json_object_get(all, source));
        if (v->ours[i] && ns > 0 && (oldest == 0 || ns < oldest))
            oldest = ns;
    }
    return oldest;
}

/* Why the newest objects of a source are not believed, in the first bucket that says so; or NULL. */
static const char *refusal(const struct view *v, const char *source)
{
    for (size_t i = 0; i < json_array_size(v->in->looks); i++) {
        const json_t *all = json_object_get(json_array_get(v->in->looks, i), "refused");
        const char *why = json_string_value(json_object_get(all, source));
        if (v->ours[i] && why != NULL)
            return why;
    }
    return NULL;
}

/* By day, as many as the bucket with the most of them has. */
static json_t *days_of(const struct view *v, const char *source)
{
    DR_JSON json_t *most = json_object();
    DR_CLEANUP(text_list_fini) struct text_list days = { 0 };
    for (size_t i = 0; i < json_array_size(v->in->looks); i++) {
        const json_t *all = json_object_get(json_array_get(v->in->looks, i), "days");
        const char *day;
        json_t *count;
        json_object_foreach(json_object_get(all, source), day,
                            count) if (v->ours[i] &&
                                       json_integer_value(count) >
                                           json_integer_value(json_object_get(most, day)))
            json_put_int(most, day, json_integer_value(count));
    }
    const char *day;
    json_t *count, *list = json_array();
    json_object_foreach(most, day, count) text_list_add(&days, day);
    text_list_sort(&days);
    for (size_t i = 0; i < days.count; i++) {
        json_t *o = json_object();
        json_put_text(o, "day", days.items[i]);
        json_put(o, "snapshots", json_incref(json_object_get(most, days.items[i])));
        DR_ASSERT(json_array_append_new(list, o) == 0);
    }
    return list;
}

/* -- one source ------------------------------------------------------------------------------ */

struct facts {
    const char *name;
    const struct holding *newest; /* or NULL */
    int64_t every_s, age_s, proved_ns;
    size_t copies, needed;
    bool overdue;
};

/* That of drctl itself is each host's own: that another host's is not believed here is no loss yet. */
static void judge_none(const struct view *v, const struct facts *f)
{
    const char *why = refusal(v, f->name);
    bool self = strcmp(f->name, CONFIG_SELF) == 0;
    const struct finding none = { .severity = self ? FINDING_WARNING : FINDING_CRITICAL,
                                  .key = { "none", f->name, NULL },
                                  .hint = why == NULL ? "Take one: drctl backup"
                                          : self
                                              ? "Name the key under trusted_writers: {" CONFIG_SELF
                                                ": [KEY]}, if you know it."
                                              : "See them all: drctl snapshots" };
    finding_add(v->findings, &none, "%s has no snapshot that could be restored%s%s", f->name,
                why != NULL ? ": " : "", why != NULL ? why : "");
}

static void judge_age(const struct view *v, const struct facts *f)
{
    char age[DURATION_TEXT_MAX], every[DURATION_TEXT_MAX];
    if (f->newest == NULL) {
        judge_none(v, f);
    } else if (f->overdue) {
        const struct finding late = { .severity = FINDING_CRITICAL,
                                      .key = { "overdue", f->name, NULL },
                                      .hint = "Take one now (drctl backup), and look why backupd "
                                              "did not." };
        finding_add(v->findings, &late,
                    "%s is overdue: the newest snapshot is %s old, and one is due "
                    "every %s",
                    f->name, duration_tell(f->age_s * 1000, age),
                    duration_print(f->every_s * 1000, every));
    }
    if (f->newest != NULL && f->copies < f->needed) {
        const struct finding few = { .severity = FINDING_CRITICAL,
                                     .key = { "copies", f->name, NULL },
                                     .hint = "When the buckets are well again: drctl repair" };
        finding_add(v->findings, &few,
                    "the newest snapshot of %s is whole in %zu of %zu buckets, %zu "
                    "are wanted",
                    f->name, f->copies, v->in->config->bucket_count, f->needed);
    }
}

/* The regions without which nothing is durable (buckets' "require"). */
static void judge_required(const struct view *v, const struct facts *f)
{
    const struct config *c = v->in->config;
    for (size_t i = 0; i < c->require.count && f->newest != NULL; i++) {
        const char *region = c->require.items[i];
        bool there = false;
        for (size_t k = 0; k < c->bucket_count; k++)
            there = there || (v->ours[k] && strcmp(region_of(&c->buckets[k]), region) == 0 &&
                              holding_is_whole_in(f->newest, k));
        const struct finding none = { .severity = FINDING_CRITICAL,
                                      .key = { "copies", f->name, NULL },
                                      .hint = "When its buckets are well again: drctl repair" };
        if (!there)
            finding_add(v->findings, &none,
                        "the newest snapshot of %s is in no bucket of region %s, which is required",
                        f->name, region);
    }
}

static void judge_proof(const struct view *v, const struct facts *f)
{
    int64_t limit_s =
        max_of(2 * v->in->config->verification.frequency_ms / 1000, STATUS_UNPROVED_LEAST_S);
    int64_t since_ns = f->proved_ns > 0 ? f->proved_ns : oldest_start(v, f->name);
    char age[DURATION_TEXT_MAX];
    int64_t age_s = (v->in->now_ns - since_ns) / SECOND_NS;
    if (f->newest == NULL || since_ns == 0 || age_s <= limit_s)
        return;
    const struct finding old = { .severity = FINDING_WARNING,
                                 .key = { "unproved", f->name, NULL },
                                 .hint = "Prove that it can be restored: drctl verify --data" };
    if (f->proved_ns > 0)
        finding_add(v->findings, &old, "no snapshot of %s was proved for %s", f->name,
                    duration_tell(age_s * 1000, age));
    else
        finding_add(v->findings, &old, "no snapshot of %s was ever proved", f->name);
}

static json_t *newest_json(const struct facts *f)
{
    const struct holding *n = f->newest;
    if (n == NULL)
        return json_null();
    json_t *o = json_object();
    json_put_text(o, "id", n->id);
    json_put_text(o, "kind", n->kind);
    json_put(o, "taken_at", view_time(n->end_ns));
    json_put(o, "started_at", view_time(n->start_ns));
    json_put_int(o, "age_s", f->age_s);
    json_put_int(o, "bytes", n->bytes);
    json_put(o, "verified_at", view_time(n->proved_ns));
    return o;
}

static void find_facts(const struct view *v, const struct holdings *h, const char *class,
                       struct facts *f)
{
    f->newest = holdings_newest(h, v->ours);
    f->needed = durable_wanted(v->in->config);
    f->proved_ns = newest_proof(v, f->name);
    f->every_s = class != NULL ? view_interval_s(v->in->config, class) : 0;
    if (f->newest == NULL)
        return;
    f->age_s = max_of(0, (v->in->now_ns - f->newest->end_ns) / SECOND_NS);
    int64_t late_s = max_of(f->every_s / 2, STATUS_OVERDUE_LEAST_S);
    f->overdue = f->every_s > 0 && f->age_s > f->every_s + late_s;
    for (size_t i = 0; i < h->buckets; i++)
        f->copies += v->ours[i] && holding_is_whole_in(f->newest, i);
}

static json_t *source_json(const struct view *v, const char *name)
{
    const struct config_source *known = config_source(v->in->config, name);
    const struct config_site *site =
        known != NULL && known->site != NULL ? config_site(v->in->config, known->site) : NULL;
    DR_CLEANUP(holdings_fini) struct holdings h = { 0 };
    holdings_read(v->in->looks, v->ours, name, &h);
    struct facts f = { .name = name };
    const char *class = known != NULL ? known->class : h.count > 0 ? h.items[0].class : NULL;
    find_facts(v, &h, known != NULL ? class : NULL, &f);
    if (v->answered && known != NULL) {
        judge_age(v, &f);
        judge_required(v, &f);
    }
    if (v->answered)
        judge_proof(v, &f);
    json_t *o = json_object();
    json_put_text(o, "name", name);
    json_put(o, "site", view_text(known != NULL ? known->site : NULL));
    json_put(o, "region", view_text(site != NULL ? site->region : NULL));
    json_put(o, "class", view_text(class));
    json_put(o, "newest", newest_json(&f));
    json_put(o, "every_s", f.every_s > 0 ? json_integer(f.every_s) : json_null());
    json_put(o, "overdue", v->answered ? json_boolean(f.overdue) : json_null());
    json_put(o, "copies", v->answered ? json_integer((json_int_t)f.copies) : json_null());
    json_put_int(o, "needed", (int64_t)f.needed);
    json_put(o, "proved_at", view_time(f.proved_ns));
    json_put(o, "days", days_of(v, name));
    return o;
}

json_t *view_sources(const struct view *v)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    json_t *list = json_array();
    view_source_names(v, &names);
    for (size_t i = 0; i < names.count; i++)
        DR_ASSERT(json_array_append_new(list, source_json(v, names.items[i])) == 0);
    return list;
}

/* -- buckets --------------------------------------------------------------------------------- */

/* Does the source itself live in that region? -1: nobody says where it lives. */
static int lives_in(const struct view *v, const char *source, const char *region)
{
    const struct config_source *known = config_source(v->in->config, source);
    const struct config_site *site =
        known != NULL && known->site != NULL ? config_site(v->in->config, known->site) : NULL;
    return site == NULL || site->region == NULL ? -1 : strcmp(site->region, region) == 0;
}

/* Of a source that has snapshots: one that has none is told already. */
static void judge_loss(const struct view *v, const char *region, const char *source, int lives)
{
    const struct finding f = { .severity = lives == 1 ? FINDING_CRITICAL : FINDING_WARNING,
                               .key = { "region", region, source, NULL },
                               .hint =
                                   "Bring a bucket of another region up to date (drctl repair), or "
                                   "add one." };
    if (lives != 0)
        finding_add(v->findings, &f,
                    "if region %s died now, nothing of %s is known to be left outside it", region,
                    source);
}

static json_t *loss_json(const struct view *v, const char *region, const char *source,
                         const bool *outside)
{
    DR_CLEANUP(holdings_fini) struct holdings h = { 0 };
    holdings_read(v->in->looks, v->ours, source, &h);
    const struct holding *left = holdings_newest(&h, outside);
    int lives = lives_in(v, source, region);
    json_t *o = json_object();
    json_put_text(o, "source", source);
    json_put(o, "lives_there", lives < 0 ? json_null() : json_boolean(lives == 1));
    if (left == NULL) {
        if (holdings_newest(&h, v->ours) != NULL)
            judge_loss(v, region, source, lives);
        json_put(o, "loss_s", json_null());
    } else {
        json_put_int(o, "loss_s", max_of(0, (v->in->now_ns - left->start_ns) / SECOND_NS));
    }
    return o;
}

static json_t *losses(const struct view *v, const struct config_bucket *dead)
{
    const struct config *c = v->in->config;
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_FREE bool *outside = dr_alloc(c->bucket_count + 1, sizeof(outside[0]));
    json_t *list = json_array();
    for (size_t i = 0; i < c->bucket_count; i++)
        outside[i] = v->ours[i] && strcmp(region_of(&c->buckets[i]), region_of(dead)) != 0;
    view_source_names(v, &names);
    for (size_t i = 0; i < names.count; i++)
        DR_ASSERT(json_array_append_new(
                      list, loss_json(v, region_of(dead), names.items[i], outside)) == 0);
    return list;
}

/* Is there a snapshot that a bucket lacks, though there was time to put it there, and none after it that it has? */
static bool lags(const struct view *v, const struct holdings *h, size_t bucket)
{
    const struct holding *newest = holdings_newest(h, v->ours);
    bool counts = false, late = false;
    for (size_t i = h->count; i > 0; i--) {
        const struct holding *one = &h->items[i - 1];
        counts = counts || one == newest;
        if (!counts)
            continue; /* nothing that could be put there */
        if (holding_is_whole_in(one, bucket))
            break;
        late = late || v->in->now_ns - one->end_ns > STATUS_BEHIND_S * SECOND_NS;
    }
    return late;
}

/* "app, etc"; NULL: none. The caller frees. */
static char *lagging(const struct view *v, size_t bucket)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list late = { 0 };
    view_source_names(v, &names);
    for (size_t i = 0; i < names.count; i++) {
        DR_CLEANUP(holdings_fini) struct holdings h = { 0 };
        holdings_read(v->in->looks, v->ours, names.items[i], &h);
        if (lags(v, &h, bucket))
            text_list_add(&late, names.items[i]);
    }
    return late.count > 0 ? text_list_join(&late, ", ") : NULL;
}

struct bucket_state {
    const char *word, *hint;
    char *detail; /* owned; NULL: nothing to say */
    enum finding_severity severity;
};

static struct bucket_state state_of(const struct view *v, size_t index)
{
    const json_t *look = json_array_get(v->in->looks, index);
    const char *why = json_string_value(json_object_get(look, "why"));
    const char *hint = json_string_value(json_object_get(look, "hint"));
    char time[DURATION_TEXT_MAX];
    bool none = json_is_true(json_object_get(look, "empty"));
    if (!json_is_object(look))
        return (struct bucket_state){
            "unreachable", "drctl doctor says more.",
            dr_strf("no answer within %s", duration_tell(v->in->asked_ms, time)), FINDING_WARNING
        };
    if (why != NULL)
        return (struct bucket_state){ none ? "foreign" : "unreachable", hint, dr_strdup(why),
                                      FINDING_WARNING };
    if (!v->ours[index])
        return (struct bucket_state){ "foreign", "Correct its url in the configuration.",
                                      dr_strdup("it holds another repository than the others"),
                                      FINDING_CRITICAL };
    char *late = lagging(v, index);
    if (late == NULL)
        return (struct bucket_state){ .word = "ok" };
    DR_FREE char *names = late;
    return (struct bucket_state){ "behind", "Copy what it lacks: drctl repair",
                                  dr_strf("lacks newer snapshots of %s", names), FINDING_WARNING };
}

/* While one is away nothing is pruned anywhere; one that never comes back has to be given up by a person. The
 * caller frees. */
static char *hint_of(const struct bucket_state *state, const struct config_bucket *b)
{
    const char *hint = state->hint != NULL ? state->hint : "";
    if (strcmp(state->word, "unreachable") != 0)
        return dr_strdup(hint);
    return dr_strf("%s%sNothing is pruned until it answers; if it is gone for ever, take it out of "
                   "the configuration of every host, then: drctl prune --retire %s",
                   hint, hint[0] != '\0' ? " " : "", b->name);
}

static json_t *bucket_json(const struct view *v, size_t index)
{
    const struct config_bucket *b = &v->in->config->buckets[index];
    const json_t *look = json_array_get(v->in->looks, index);
    struct bucket_state state = state_of(v, index);
    json_t *o = json_object(), *count = json_object_get(look, "snapshots");
    json_t *bytes = json_object_get(look, "bytes");
    if (state.detail != NULL) {
        DR_FREE char *hint = hint_of(&state, b);
        const struct finding f = { .severity = state.severity,
                                   .key = { state.word, b->name, NULL },
                                   .hint = hint };
        finding_add(v->findings, &f, "bucket %s (%s) is %s: %s", b->name, region_of(b), state.word,
                    state.detail);
    }
    json_put_text(o, "name", b->name);
    json_put(o, "region", view_text(b->region));
    json_put_text(o, "url", b->url);
    json_put_text(o, "state", state.word);
    json_put(o, "detail", view_text(state.detail));
    json_put(o, "snapshots", v->ours[index] && count != NULL ? json_incref(count) : json_null());
    json_put(o, "bytes", v->ours[index] && bytes != NULL ? json_incref(bytes) : json_null());
    json_put(o, "if_region_died", losses(v, b));
    free(state.detail);
    return o;
}

json_t *view_buckets(const struct view *v)
{
    json_t *list = json_array();
    for (size_t i = 0; i < v->in->config->bucket_count; i++)
        DR_ASSERT(json_array_append_new(list, bucket_json(v, i)) == 0);
    return list;
}
