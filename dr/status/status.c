/*
 * The effects around the view: ask the buckets (crew.h), read what this host remembers, keep what it saw. A host that may
 * write nothing (`drctl serve`) sees the same, but cannot notice a replay over its own restarts.
 */
#include "dr/status/status.h"

#include <string.h>
#include <unistd.h>

#include "backup/work/measure.h"
#include "dr/audit/pick.h"
#include "dr/base/clock.h"
#include "dr/base/crew.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/proof/findings.h"
#include "dr/status/finding.h"
#include "dr/status/look.h"
#include "dr/status/view.h"

struct status {
    const struct config *config;
    char *by; /* owned */
    int64_t ask_ms;
    struct crew *crew; /* owned */
    json_t *seen;      /* owned; NULL: not read yet */
};

enum dr_rc status_open(const struct config *c, const struct status_options *o, struct status **ret,
                       struct dr_err *err)
{
    if (c->bucket_count == 0) {
        dr_fail(err, DR_E_CONFIG, "the configuration names no bucket: there is no status");
        return dr_hint(err, "Name them under buckets: [{name, url, region}].");
    }
    struct status *s = dr_alloc(1, sizeof(*s));
    s->config = c;
    s->by = o->by != NULL ? dr_strdup(o->by) : status_own_site(c);
    s->ask_ms = o->ask_ms > 0 ? o->ask_ms : STATUS_ASK_MS;
    s->crew = crew_new(c->bucket_count);
    *ret = s;
    return DR_OK;
}

void status_close(struct status *s)
{
    if (s == NULL)
        return;
    crew_free(s->crew);
    json_decref(s->seen);
    free(s->by);
    free(s);
}

static void look(void *arg, size_t index, int fd)
{
    const struct status *s = arg;
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    struct dr_err ignored = { 0 };
    DR_JSON json_t *answer = look_bucket(s->config, index);
    json_add_canonical(&text, answer);
    enum dr_rc rc = fs_write_all(fd, "the pipe", text.data, text.len, &ignored);
    (void)rc; /* who asked is gone */
}

/* By bucket; null where nobody answered. */
static json_t *ask_all(struct status *s)
{
    size_t count = s->config->bucket_count;
    DR_FREE struct buf *answers = dr_alloc(count + 1, sizeof(answers[0]));
    json_t *looks = json_array();
    crew_run(s->crew, look, s, clock_boot_ms() + s->ask_ms, answers);
    for (size_t i = 0; i < count; i++) {
        struct dr_err ignored = { 0 };
        json_t *answer = NULL;
        if (answers[i].len == 0 ||
            json_read("the answer", answers[i].data, answers[i].len, &answer, &ignored) != DR_OK)
            answer = json_null();
        DR_ASSERT(json_array_append_new(looks, answer) == 0);
        buf_fini(&answers[i]);
    }
    return looks;
}

/* What could not be kept is told, unless nothing of this host could be written anyway. */
static void keep_seen(const struct status *s, const json_t *before, struct rows *rows)
{
    struct dr_err err = { 0 };
    if (json_equal(before, s->seen) || rows_keep_seen(s->config, s->seen, &err) == DR_OK)
        return;
    if (err.rc == DR_E_DENIED || access(s->config->state_dir, F_OK) != 0)
        return;
    const struct finding f = { .severity = FINDING_WARNING,
                               .key = { "state", NULL },
                               .hint = err.hint };
    finding_add(rows->findings, &f, "the status that was seen cannot be remembered: %s", err.msg);
}

static const int64_t BACK_NS =
    400 * 86400000000000; /* what was opened longer ago is not told any more */

/* What runs of this host found, by its ledger. One that cannot be read is the audit's business; here it says nothing. */
static json_t *own_findings(const struct config *c)
{
    struct dr_err ignored = { 0 };
    DR_JSON json_t *book = NULL;
    if (book_pick_json(c->state_dir, "finding", clock_wall_ns() - BACK_NS, &book, &ignored) !=
        DR_OK)
        return json_array();
    const struct findings_facts facts = { .book = book, .end_ns = INT64_MAX };
    return findings_register(&facts);
}

json_t *status_view(struct status *s)
{
    const struct config *c = s->config;
    DR_JSON json_t *looks = ask_all(s), *runs = row_runs(c), *measures = measure_read(c->state_dir);
    DR_CLEANUP(buf_fini) struct buf own = { 0 };
    DR_CLEANUP(rows_fini) struct rows rows = { 0 };
    char own_key[KEYS_TEXT_MAX];
    struct dr_err ignored = { 0 };
    if (keys_read_public(c->state_dir, own_key, &ignored) != DR_OK)
        own_key[0] = '\0';
    rows_read_own(c, &own);
    if (s->seen == NULL)
        s->seen = rows_read_seen(c);
    DR_JSON json_t *before = json_deep_copy(s->seen);
    const struct rows_from from = { .config = c, .own_key = own_key, .looks = looks, .own = &own };
    rows_choose(&from, s->seen, &rows);
    keep_seen(s, before, &rows);
    DR_JSON json_t *known = own_findings(c);
    const struct view_input in = { .config = c,
                                   .by = s->by,
                                   .now_ns = clock_wall_ns(),
                                   .asked_ms = s->ask_ms,
                                   .looks = looks,
                                   .rows = &rows,
                                   .runs = runs,
                                   .measures = measures,
                                   .known = known };
    return view_make(&in);
}

/* -- what it comes to ------------------------------------------------------------------------ */

enum { CODE_MISSED = 4, CODE_HELD = 3, CODE_UNKNOWN = 7, CODE_WARNINGS = 8, CODE_DEGRADED = 9 };

static int code_of(const json_t *finding)
{
    static const char *const degraded[] = { "copies/", "unreachable/", "behind/", "foreign/" };
    for (size_t i = 0; i < DR_ARRAY_LEN(degraded); i++)
        if (finding_is(finding, degraded[i]))
            return CODE_DEGRADED;
    if (finding_is(finding, "buckets"))
        return CODE_UNKNOWN;
    if (finding_is(finding, "run/"))
        return CODE_HELD;
    return finding_is_critical(finding) ? CODE_MISSED : CODE_WARNINGS;
}

int status_exit(const json_t *view)
{
    static const int gravest[] = { CODE_UNKNOWN, CODE_HELD, CODE_DEGRADED, CODE_MISSED,
                                   CODE_WARNINGS };
    const json_t *findings = json_object_get(view, "findings");
    for (size_t i = 0; i < DR_ARRAY_LEN(gravest); i++)
        for (size_t k = 0; k < json_array_size(findings); k++)
            if (code_of(json_array_get(findings, k)) == gravest[i])
                return gravest[i];
    return 0;
}
