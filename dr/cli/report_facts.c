/*
 * report_facts.c - the edge of the report over a time: files and buckets become lists.
 */
#include "dr/cli/report_facts.h"

#include <string.h>
#include <unistd.h>

#include "dr/audit/book.h"
#include "dr/audit/elsewhere.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/proof/report_work.h"
#include "dr/run/gather.h"
#include "dr/run/run.h"

enum { CLAUSES_MAX = 1 << 20, BOOK_DAYS = 400 };

static const int64_t DAY_NS = 86400000000000;

void report_facts_fini(struct report_facts *r)
{
    json_t *const all[] = { r->plans, r->sources, r->buckets, r->runs, r->book,
                            r->heads, r->clauses, r->hosts,   r->notes };
    for (size_t i = 0; i < DR_ARRAY_LEN(all); i++)
        json_decref(all[i]);
    *r = (struct report_facts){ 0 };
}

/* text is taken over. */
static void note(struct report_facts *r, char *text)
{
    json_array_append_new(r->notes, json_printable(text));
    free(text);
}

/* --- the configuration --- */

/* "runbooks/node-failure.yaml" is the plan node_failure. The caller frees. */
static char *plan_name(const char *text)
{
    const char *slash = strrchr(text, '/');
    char *name = dr_strdup(slash != NULL ? slash + 1 : text);
    char *dot = strrchr(name, '.');
    if (dot != NULL && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0))
        *dot = '\0';
    for (char *at = name; *at != '\0'; at++)
        if (*at == '-')
            *at = '_';
    return name;
}

static void put_ms(json_t *to, const char *key, int64_t ms)
{
    json_put(to, key, ms >= 0 ? json_integer(ms) : json_null());
}

/* Once each; drilled: drill_schedule wants it. */
static void add_plan(struct report_facts *r, const struct config *c, const char *text, bool drilled)
{
    DR_FREE char *name = plan_name(text);
    size_t i;
    const json_t *other;
    json_array_foreach(r->plans, i,
                       other) if (strcmp(report_word(other, "name"), name) == 0) return;
    json_t *one = json_object();
    bool often = drilled && c->drill.given && c->drill.frequency_ms > 0;
    json_put_text(one, "name", name);
    put_ms(one, "rto_ms", config_rto_ms(c, name));
    put_ms(one, "rpo_ms", config_rpo_ms(c, name));
    put_ms(one, "drill_every_ms", often ? c->drill.frequency_ms : -1);
    json_array_append_new(r->plans, one);
}

static void gather_plans(struct report_facts *r, const struct config *c)
{
    const struct text_list *drilled = c->drill.plans.count > 0 ? &c->drill.plans : &c->runbooks;
    for (size_t i = 0; i < drilled->count; i++)
        add_plan(r, c, drilled->items[i], true);
    for (size_t i = 0; i < c->runbooks.count; i++)
        add_plan(r, c, c->runbooks.items[i], false);
    for (size_t i = 0; i < c->rto_count; i++)
        add_plan(r, c, c->rto[i].plan, false);
    for (size_t i = 0; i < c->rpo_count; i++)
        add_plan(r, c, c->rpo[i].plan, false);
}

/* How often a source is backed up, by the shortest of what holds for its class; -1: not at all. */
static int64_t every_ms(const struct config *c, const struct config_source *source)
{
    bool config = strcmp(source->class, "config") == 0 && c->snapshot.frequency_ms > 0;
    int64_t often = config ? c->snapshot.frequency_ms : c->incremental.frequency_ms;
    int64_t full = c->full.frequency_ms;
    int64_t shorter = often > 0 && (full <= 0 || often < full) ? often : full;
    return shorter > 0 ? shorter : -1;
}

static void gather_config(struct report_facts *r, const struct config *c)
{
    DR_FREE char *host = run_host();
    const struct config_site *here = config_here(c, host);
    gather_plans(r, c);
    for (size_t i = 0; i < c->source_count; i++) {
        const struct config_source *source = &c->sources[i];
        bool mine = config_is_mine(c, here, source);
        json_t *one = json_object();
        json_put_text(one, "name", source->name);
        json_put_text(one, "class", source->class);
        json_put(one, "mine", json_boolean(mine));
        put_ms(one, "every_ms", mine ? every_ms(c, source) : -1);
        json_array_append_new(r->sources, one);
    }
    for (size_t i = 0; i < c->bucket_count; i++) {
        json_t *one = json_object();
        json_put_text(one, "name", c->buckets[i].name);
        report_put_text(one, "region", c->buckets[i].region);
        json_array_append_new(r->buckets, one);
    }
}

/* Beside the configuration, then where it is installed. */
static void gather_clauses(struct report_facts *r, const struct config *c)
{
    const char *slash = strrchr(c->path, '/');
    DR_FREE char *home = dr_memdup(c->path, slash != NULL ? (size_t)(slash - c->path) : 0);
    DR_FREE char *beside = dr_strf("%s/clauses.json", home);
    const char *const places[] = { beside, "/etc/drctl/clauses.json",
                                   "/usr/local/share/drctl/clauses.json",
                                   "/usr/share/drctl/clauses.json" };
    for (size_t i = 0; i < DR_ARRAY_LEN(places); i++) {
        DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
        DR_JSON json_t *value = NULL;
        struct dr_err err = { 0 };
        enum dr_rc rc = fs_read_file(places[i], CLAUSES_MAX, &bytes, &err);
        if (rc == DR_E_NOTFOUND)
            continue;
        if (rc == DR_OK)
            rc = json_read(places[i], bytes.data, bytes.len, &value, &err);
        json_t *list = json_object_get(value, "clauses");
        if (rc == DR_OK && json_is_array(list))
            json_array_extend(r->clauses, list);
        else
            note(r, dr_strf("the clause map '%s' cannot be read: %s", places[i],
                            rc == DR_OK ? "it has no list 'clauses'" : err.msg));
        return;
    }
    note(r, dr_strdup("no clause map (clauses.json) was found: evidence is not sorted by clauses"));
}

/* --- runs --- */

static void add_host(struct report_facts *r, const char *name)
{
    size_t i;
    const json_t *one;
    if (name == NULL)
        return;
    json_array_foreach(r->hosts, i, one) if (strcmp(json_string_value(one), name) == 0) return;
    json_array_append_new(r->hosts, json_printable(name));
}

static void add_head(struct report_facts *r, const char *of, int64_t records, const char *head)
{
    json_t *one = json_object();
    json_put_text(one, "of", of);
    json_put_int(one, "records", records);
    report_put_text(one, "head", head);
    json_array_append_new(r->heads, one);
}

static bool is_within(const struct report_when *when, int64_t ns)
{
    return ns >= when->from_ns && ns < when->to_ns && ns < when->as_of_ns;
}

/* began_ns 0: nobody knows. */
static void add_broken(struct report_facts *r, const char *run, int64_t began_ns, const char *why)
{
    json_t *one = json_object();
    json_put_text(one, "run", run);
    report_put_text(one, "broken", why);
    report_put_time(one, "started", began_ns != 0, began_ns);
    json_array_append_new(r->runs, one);
    r->broken++;
}

static void add_records(struct report_facts *r, const char *run, const struct report_when *when,
                        const struct journal_records *records, size_t torn_bytes)
{
    struct dr_err err = { 0 };
    json_t *report = NULL;
    if (report_make(records, torn_bytes, &report, &err) != DR_OK) {
        add_broken(r, run, 0, err.msg);
        return;
    }
    json_array_append_new(r->runs, report);
    r->broken += torn_bytes > 0;
    if (!is_within(when, records->items[0].wall_ns))
        return;
    const struct journal_record *last = &records->items[records->count - 1];
    add_head(r, run, last->n, last->hash);
    add_host(r, body_text(report, "host"));
}

static void read_here(struct report_facts *r, const struct config *c, const char *run,
                      const struct report_when *when)
{
    DR_FREE char *path = dr_strf("%s/runs/%s/journal.jsonl", c->state_dir, run);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    DR_CLEANUP(journal_records_fini) struct journal_records records = { 0 };
    struct dr_err err = { 0 };
    size_t whole = 0;
    if (fs_read_file(path, JOURNAL_FILE_MAX, &bytes, &err) == DR_OK &&
        journal_parse(bytes.data, bytes.len, &records, &whole, &err) == DR_OK) {
        bool live = journal_is_live(c->state_dir, run); /* then its end is being written */
        add_records(r, run, when, &records, live ? 0 : bytes.len - whole);
        return;
    }
    add_broken(r, run, records.count > 0 ? records.items[0].wall_ns : 0, err.msg);
}

static void read_outside(struct report_facts *r, const struct config *c, const char *run,
                         const struct report_when *when)
{
    DR_CLEANUP(journal_records_fini) struct journal_records records = { 0 };
    const struct gather_wish peek = { .peek = true };
    struct dr_err err = { 0 };
    if (gather_run(c, run, &peek, &records, NULL, &err) == DR_OK)
        add_records(r, run, when, &records, 0);
    else
        add_broken(r, run, 0, err.msg);
}

static int by_begin(const void *left, const void *right)
{
    const json_t *a = *(json_t *const *)left, *b = *(json_t *const *)right;
    int order = strcmp(report_word(a, "started"), report_word(b, "started"));
    return order != 0 ? order : strcmp(report_word(a, "run"), report_word(b, "run"));
}

/* Lines of the ledger; those of one moment, on several hosts, by what they say. */
static int by_time(const void *left, const void *right)
{
    const json_t *a = *(json_t *const *)left, *b = *(json_t *const *)right;
    int order = strcmp(report_word(a, "time"), report_word(b, "time"));
    return order != 0 ? order : strcmp(report_word(a, "type"), report_word(b, "type"));
}

static void sort_by(json_t *list, int (*order)(const void *, const void *))
{
    size_t count = json_array_size(list);
    DR_FREE json_t **all = dr_alloc(count + 1, sizeof(json_t *));
    for (size_t i = 0; i < count; i++)
        all[i] = json_incref(json_array_get(list, i));
    if (count > 1)
        qsort((void *)all, count, sizeof(json_t *), order);
    json_array_clear(list);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, all[i]);
}

static enum dr_rc gather_runs(struct report_facts *r, const struct config *c,
                              const struct report_when *when, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list here = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list outside = { 0 };
    DR_TRY(journal_runs(c->state_dir, &here, err));
    run_list_outside(c, NULL, &outside);
    for (size_t i = 0; i < here.count; i++)
        if (here.items[i][0] != 'T') /* a dry run proves nothing */
            read_here(r, c, here.items[i], when);
    for (size_t i = 0; i < outside.count; i++)
        read_outside(r, c, outside.items[i], when);
    return DR_OK;
}

/* --- the ledger --- */

struct reading {
    struct report_facts *r;
    const struct report_when *when;
    int64_t count;
    char head[HASH_HEX_SIZE];
};

static bool has_run(const struct report_facts *r, const char *run)
{
    size_t i;
    const json_t *one;
    json_array_foreach(r->runs, i, one) if (strcmp(report_word(one, "run"), run) == 0) return true;
    return false;
}

static void take_run(struct reading *reading, const json_t *body)
{
    const char *run = report_word(body, "id");
    int64_t began_ns = 0;
    const char *began = body_text(body, "began");
    if (run[0] == '\0' || has_run(reading->r, run))
        return;
    if (began != NULL && time_parse(began, &began_ns) && !is_within(reading->when, began_ns))
        return;
    add_broken(reading->r, run, began_ns,
               "the ledger names it, and its journal is neither here nor in a readable bucket");
}

static bool take_line(void *arg, const struct book_record *line)
{
    static const char *const kept[] = { "backup",  "verify",        "restore",
                                        "finding", "finding_owned", "finding_closed" };
    struct reading *reading = arg;
    char time[TIME_TEXT_MAX];
    reading->count++;
    memcpy(reading->head, line->hash, sizeof(reading->head));
    if (strcmp(line->type, "open") == 0)
        add_host(reading->r, body_text(line->body, "host"));
    if (strcmp(line->type, "run") == 0)
        take_run(reading, line->body);
    bool old = line->wall_ns < reading->when->from_ns - PERIOD_BEFORE_DAYS * DAY_NS;
    for (size_t i = 0; i < DR_ARRAY_LEN(kept); i++) {
        if (strcmp(line->type, kept[i]) != 0 || (i == 0 && old))
            continue;
        json_t *one = json_object();
        json_put_text(one, "type", line->type);
        json_put_text(one, "time", time_print(line->wall_ns, time));
        json_put(one, "body", json_incref(line->body));
        json_array_append_new(reading->r->book, one);
    }
    return true;
}

/* Backups of a source whose host's ledger is known are counted as this host's are. */
static void know_site(struct report_facts *r, const struct config *c, const char *site)
{
    for (size_t i = 0; i < c->source_count; i++) {
        const struct config_source *source = &c->sources[i];
        json_t *one = json_array_get(r->sources, i);
        if (source->site == NULL || strcmp(source->site, site) != 0 ||
            json_is_true(json_object_get(one, "mine")))
            continue;
        json_put(one, "mine", json_true());
        put_ms(one, "every_ms", every_ms(c, source));
    }
}

struct away {
    struct reading reading; /* of the book at hand */
    const struct config *c;
    char *site; /* whose; owned */
};

static void end_book(struct away *a)
{
    if (a->site != NULL) {
        DR_FREE char *of = dr_strf("ledger of %s", a->site);
        add_head(a->reading.r, of, a->reading.count, a->reading.head);
    }
    free(DR_TAKE(a->site));
    a->reading.count = 0;
}

static bool take_away(void *arg, const char *site, const struct book_record *line)
{
    struct away *a = arg;
    if (a->site == NULL || strcmp(a->site, site) != 0) {
        end_book(a);
        a->site = dr_strdup(site);
        know_site(a->reading.r, a->c, site);
    }
    return take_line(&a->reading, line);
}

static void gather_elsewhere(struct report_facts *r, const struct config *c,
                             const struct report_when *when, const char *own)
{
    struct away away = { .reading = { .r = r, .when = when }, .c = c };
    DR_CLEANUP(text_list_fini) struct text_list notes = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list keys = { 0 };
    struct dr_err err = { 0 };
    if (book_keys(c->state_dir, &keys, &err) != DR_OK)
        note(r, dr_strdup(err.msg));
    const struct elsewhere_wish wish = { .config = c,
                                         .own_keys = &keys,
                                         .own = own[0] != '\0' ? own : NULL,
                                         .from_ns = when->from_ns - PERIOD_BEFORE_DAYS * DAY_NS,
                                         .to_ns = when->to_ns };
    elsewhere_each(&wish, take_away, &away, &notes);
    end_book(&away);
    for (size_t i = 0; i < notes.count; i++)
        note(r, dr_strdup(notes.items[i]));
    for (size_t i = 0; i < c->source_count; i++)
        if (!json_is_true(json_object_get(json_array_get(r->sources, i), "mine")))
            note(r, dr_strf(
                        "backups of %s that the host takes where it lives now are not counted: the "
                        "ledger of that host is neither here nor in a readable bucket",
                        c->sources[i].name));
}

static void gather_book(struct report_facts *r, const struct config *c,
                        const struct report_when *when)
{
    struct reading reading = { .r = r, .when = when };
    struct dr_err err = { 0 };
    int64_t from_ns = when->from_ns - BOOK_DAYS * DAY_NS;
    enum dr_rc rc =
        book_each(c->state_dir, from_ns > 0 ? from_ns : 0, when->to_ns, take_line, &reading, &err);
    if (rc != DR_OK) {
        note(r, dr_strf("the ledger cannot be read to its end: %s; what stands behind is not in "
                        "this report",
                        err.msg));
        r->broken++;
    }
    if (reading.count > 0)
        add_head(r, "ledger", reading.count, reading.head);
    else
        note(r, dr_strdup("no ledger of this host has a line of this time: backups were not "
                          "counted"));
    char own[BOOK_ID_SIZE] = "";
    book_own(c->state_dir, own);
    gather_elsewhere(r, c, when, own);
    sort_by(r->book, by_time);
}

enum dr_rc report_facts_gather(const struct config *c, const struct report_when *when,
                               struct report_facts *ret, struct dr_err *err)
{
    struct report_facts r = { 0 };
    json_t **const all[] = { &r.plans, &r.sources, &r.buckets, &r.runs, &r.book,
                             &r.heads, &r.clauses, &r.hosts,   &r.notes };
    for (size_t i = 0; i < DR_ARRAY_LEN(all); i++)
        *all[i] = json_array();
    if (gather_runs(&r, c, when, err) != DR_OK) {
        report_facts_fini(&r);
        return err->rc;
    }
    gather_config(&r, c);
    gather_clauses(&r, c);
    gather_book(&r, c, when);
    sort_by(r.runs, by_begin);
    *ret = r;
    return DR_OK;
}

struct period_facts report_facts_of(const struct report_facts *r, const struct config *c,
                                    const struct report_when *when)
{
    return (struct period_facts){ .from_ns = when->from_ns,
                                  .to_ns = when->to_ns,
                                  .as_of_ns = when->as_of_ns,
                                  .name = when->name,
                                  .owner = c->findings.owner,
                                  .due_critical_ms = c->findings.critical_ms,
                                  .due_warning_ms = c->findings.warning_ms,
                                  .plans = r->plans,
                                  .sources = r->sources,
                                  .buckets = r->buckets,
                                  .runs = r->runs,
                                  .book = r->book,
                                  .heads = r->heads,
                                  .clauses = r->clauses,
                                  .hosts = r->hosts,
                                  .notes = r->notes };
}
