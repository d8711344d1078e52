/*
 * Which buckets count is decided first: those that answered and hold one repository, the one that most of
 * them hold. Everything else is told of these, and of the others only what is wrong with them.
 */
#include "dr/status/view.h"

#include <stdlib.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/status/finding.h"

json_t *view_time(int64_t ns)
{
    char text[TIME_TEXT_MAX];
    return ns > 0 ? json_string(time_print_s(ns, text)) : json_null();
}

json_t *view_text(const char *text)
{
    return text != NULL ? json_printable(text) : json_null();
}

int64_t view_interval_s(const struct config *c, const char *class)
{
    if (class != NULL && strcmp(class, "config") == 0)
        return c->snapshot.frequency_ms / 1000;
    int64_t full_ms = c->full.frequency_ms, incremental_ms = c->incremental.frequency_ms;
    bool full_first = incremental_ms == 0 || (full_ms > 0 && full_ms < incremental_ms);
    return (full_first ? full_ms : incremental_ms) / 1000;
}

void view_source_names(const struct view *v, struct text_list *ret)
{
    const struct config *c = v->in->config;
    for (size_t i = 0; i < c->source_count; i++)
        text_list_add(ret, c->sources[i].name);
    for (size_t i = 0; i < json_array_size(v->in->looks); i++) {
        const char *name;
        json_t *ignored;
        json_object_foreach(json_object_get(json_array_get(v->in->looks, i), "days"), name,
                            ignored) if (v->ours[i] && !text_list_has(ret, name))
            text_list_add(ret, name);
    }
}

static const char *repository_of(const json_t *looks, size_t index)
{
    return json_string_value(json_object_get(json_array_get(looks, index), "repository"));
}

/* The repository of most buckets; of equally many, the one that the first bucket has. */
static const char *our_repository(const json_t *looks)
{
    const char *best = NULL;
    size_t best_count = 0;
    for (size_t i = 0; i < json_array_size(looks); i++) {
        const char *id = repository_of(looks, i);
        size_t count = 0;
        for (size_t k = 0; id != NULL && k < json_array_size(looks); k++) {
            const char *other = repository_of(looks, k);
            count += other != NULL && strcmp(id, other) == 0;
        }
        if (count > best_count) {
            best = id;
            best_count = count;
        }
    }
    return best;
}

static void choose_ours(struct view *v)
{
    const char *repository = our_repository(v->in->looks);
    for (size_t i = 0; i < json_array_size(v->in->looks); i++) {
        const json_t *look = json_array_get(v->in->looks, i);
        const char *id = repository_of(v->in->looks, i);
        v->ours[i] =
            id != NULL && strcmp(id, repository) == 0 && json_object_get(look, "why") == NULL;
    }
}

static bool any(const bool *flags, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (flags[i])
            return true;
    return false;
}

static const char *verdict(const struct view *v)
{
    if (!v->answered)
        return "cannot tell";
    for (size_t i = 0; i < json_array_size(v->findings); i++)
        if (finding_is_critical(json_array_get(v->findings, i)))
            return "attention";
    return "ok";
}

json_t *view_make(const struct view_input *in)
{
    size_t count = in->config->bucket_count;
    DR_ASSERT(json_array_size(in->looks) == count);
    DR_FREE bool *ours = dr_alloc(count + 1, sizeof(ours[0]));
    json_t *view = json_object(), *findings = json_array();
    struct view v = { .in = in, .ours = ours, .findings = findings };
    choose_ours(&v);
    v.answered = any(ours, count);
    if (!v.answered) {
        const struct finding f = { .severity = FINDING_CRITICAL,
                                   .key = { "buckets", NULL },
                                   .hint = "Look at the network and the credentials of this host "
                                           "first: drctl doctor" };
        finding_add(findings, &f, "no bucket answered: what there is to restore cannot be told");
    }
    json_put_text(view, "schema", "drctl-status-1");
    json_put(view, "made_at", view_time(in->now_ns));
    json_put(view, "by", view_text(in->by));
    json_put(view, "runs", view_runs(&v));
    json_t *sources = view_sources(&v);
    json_put(view, "sources", sources);
    json_put(view, "buckets", view_buckets(&v));
    json_put(view, "sites", view_sites(&v));
    json_put(view, "forecast", view_forecast(&v, sources));
    view_late(&v);
    DR_ASSERT(json_array_extend(findings, in->rows->findings) == 0);
    json_put_text(view, "verdict", verdict(&v));
    json_put(view, "findings", finding_sort(findings));
    return view;
}
