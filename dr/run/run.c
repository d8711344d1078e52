/*
 * A whole run from a plan or from a journal: which run, whose lease, which world; then the engine
 * drives it to its end, to a person, or to the loss of the lease.
 */
#include "dr/run/run.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/run/gather.h"
#include "dr/run/guard.h"
#include "dr/run/plan.h"

enum { PASSWD_MAX = 4096, CREATE_TRIES = 16, PLAN_FILE_MAX = 1 << 20 };

enum { YIELD_MS = 5000, YIELD_LOOK_MS = 50 }; /* how long a drill here may take to make room */

static const char run_key[] = "run"; /* one run at a time, whatever the plan */

/* How the name of a holder begins that makes room for a run in earnest. */
static const char drill_mark[] = "drill/";

enum kind { KIND_EARNEST = 'R', KIND_DRILL = 'D', KIND_DRY = 'T' };

void run_close(struct run *r)
{
    if (r == NULL)
        return;
    engine_free(r->engine);
    real_world_free(r->world);
    journal_close(r->journal);
    script_free(r->script);
    free(r->from);
    free(r->note);
    free(r);
}

char *run_operator(void)
{
    /* NOLINTBEGIN(concurrency-mt-unsafe): one thread */
    static const char *const names[] = { "DRCTL_OPERATOR", "SUDO_USER" };
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++) {
        const char *name = getenv(names[i]);
        if (name != NULL && name[0] != '\0')
            return dr_strdup(name);
    }
    /* NOLINTEND(concurrency-mt-unsafe) */
    struct passwd pw;
    struct passwd *found = NULL;
    char room[PASSWD_MAX];
    if (getpwuid_r(getuid(), &pw, room, sizeof(room), &found) == 0 && found != NULL)
        return dr_strdup(pw.pw_name);
    return dr_strf("uid-%u", getuid());
}

char *run_host(void)
{
    char name[256] = "";
    if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
        return dr_strdup("localhost");
    return dr_strdup(name);
}

/* -- earlier runs -------------------------------------------------------------------------------- */

static bool load_state(const struct config *c, const char *id, struct run_state *ret)
{
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    struct dr_err err = { 0 };
    struct gather_wish peek = { .peek = true };
    enum dr_rc rc = journal_load(c->state_dir, id, &all, &err);
    if (rc == DR_E_NOTFOUND && id[0] != KIND_DRY)
        rc = gather_run(c, id, &peek, &all, NULL, &err);
    if (rc != DR_OK || all.count == 0)
        return false;
    state_replay(ret, &all);
    return true;
}

void run_list_outside(const struct config *c, const char *dark, struct text_list *ret)
{
    DR_CLEANUP(text_list_fini) struct text_list here = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list all = { 0 };
    struct dr_err err = { 0 };
    gather_ids(c, dark, &all);
    if (journal_runs(c->state_dir, &here, &err) != DR_OK)
        here.count = 0;
    for (size_t i = 0; i < all.count; i++)
        if (!text_list_has(&here, all.items[i]))
            text_list_add(ret, all.items[i]);
}

bool run_peek(const struct config *c, const char *id, struct run_state *ret)
{
    return load_state(c, id, ret);
}

static bool is_outside(const struct config *c, const char *id)
{
    DR_CLEANUP(text_list_fini) struct text_list ids = { 0 };
    gather_ids(c, NULL, &ids);
    return text_list_has(&ids, id);
}

/* The newest that is open of those that only the buckets know; NULL: none. The caller frees. */
static char *open_outside(const struct config *c, const char *dark, enum kind kind)
{
    DR_CLEANUP(text_list_fini) struct text_list ids = { 0 };
    run_list_outside(c, dark, &ids);
    for (size_t i = ids.count; i > 0; i--) {
        DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
        if (ids.items[i - 1][0] == (char)kind && load_state(c, ids.items[i - 1], &s) &&
            s.phase != RUN_NONE && !run_is_final(s.phase))
            return dr_strdup(ids.items[i - 1]);
    }
    return NULL;
}

char *run_active_region(const struct config *c, const char *const *regions, size_t count)
{
    DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
    struct dr_err err = { 0 };
    char *active = NULL;
    if (journal_runs(c->state_dir, &runs, &err) != DR_OK)
        runs.count = 0;
    for (size_t i = runs.count; i > 0 && active == NULL; i--) {
        DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
        if (runs.items[i - 1][0] != KIND_EARNEST || !load_state(c, runs.items[i - 1], &s))
            continue;
        if ((s.phase == RUN_RECOVERED || s.phase == RUN_FAILED) && s.target != NULL && !s.dry)
            active = dr_strdup(s.target);
    }
    if (active == NULL && count > 0)
        active = dr_strdup(regions[0]);
    return active;
}

/* The newest run of this kind that is not over. DR_E_CORRUPT: nobody can say what one of them did. */
static enum dr_rc find_open(const struct config *c, const char *dark, enum kind kind, char **ret,
                            struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
    *ret = NULL;
    DR_TRY(journal_runs(c->state_dir, &runs, err));
    for (size_t i = runs.count; i > 0; i--) {
        DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
        DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
        if (runs.items[i - 1][0] != (char)kind)
            continue;
        enum dr_rc rc = journal_load(c->state_dir, runs.items[i - 1], &all, err);
        if (rc == DR_E_NOTFOUND)
            continue; /* its runner died before it made the file */
        if (rc != DR_OK)
            return rc;
        state_replay(&s, &all);
        if (s.phase == RUN_NONE || run_is_final(s.phase))
            continue;
        *ret = dr_strdup(runs.items[i - 1]);
        return DR_OK;
    }
    *ret = open_outside(c, dark, kind);
    return DR_OK;
}

/* One recovery at a time: another one would work against what the open one has done so far. */
static enum dr_rc refuse_second(const struct config *c, const char *dark, struct dr_err *err)
{
    DR_FREE char *open = NULL;
    DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
    if (find_open(c, dark, KIND_EARNEST, &open, err) != DR_OK) {
        err->rc = err->rc == DR_E_CORRUPT ? DR_E_UNKNOWN : err->rc;
        (void)dr_context(err, "cannot tell whether another run is still open");
        return dr_hint(err, "Look at it: drctl runs. A person who knows better moves it away.");
    }
    if (open == NULL || !load_state(c, open, &s))
        return DR_OK;
    bool live = journal_is_live(c->state_dir, open);
    (void)dr_fail(err, DR_E_BUSY, "run %s (%s) is not over: %s%s%s%s", open, s.plan,
                  run_phase_name(s.phase), live ? "" : ", and nobody runs it",
                  s.phase == RUN_HELD && s.why != NULL ? ": " : "",
                  s.phase == RUN_HELD && s.why != NULL ? s.why : "");
    if (live)
        return dr_hint(err, "Look at it: drctl runs watch %s", open);
    return dr_hint(
        err,
        "Go on with it: drctl runs resume %s; take it back: drctl runs undo %s; or leave "
        "it as it is: drctl runs abort %s --reason TEXT",
        open, open, open);
}

/* One drill at a time, and what the last one made is gone before the next begins. */
static enum dr_rc refuse_second_drill(const struct config *c, const char *dark, struct dr_err *err)
{
    DR_FREE char *open = NULL;
    DR_TRY(find_open(c, dark, KIND_DRILL, &open, err));
    if (open == NULL)
        return DR_OK;
    if (journal_is_live(c->state_dir, open)) {
        (void)dr_fail(err, DR_E_BUSY, "drill %s is under way", open);
        return dr_hint(err, "Look at it: drctl runs watch %s", open);
    }
    (void)dr_fail(err, DR_E_BUSY, "drill %s has not been cleaned up after", open);
    return dr_hint(err, "Clean up after it: drctl drill --clean %s", open);
}

char *run_open_drill(const struct config *c)
{
    DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
    struct dr_err err = { 0 };
    if (journal_runs(c->state_dir, &runs, &err) != DR_OK)
        return NULL;
    for (size_t i = 0; i < runs.count; i++) {
        DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
        if (runs.items[i][0] == KIND_DRILL && load_state(c, runs.items[i], &s) &&
            s.phase != RUN_NONE && !run_is_final(s.phase))
            return dr_strdup(runs.items[i]);
    }
    return open_outside(c, NULL, KIND_DRILL);
}

char *run_newest_open(const struct config *c)
{
    DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
    struct dr_err err = { 0 };
    if (journal_runs(c->state_dir, &runs, &err) != DR_OK)
        return NULL;
    for (size_t i = runs.count; i > 0; i--) {
        DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
        if (runs.items[i - 1][0] == KIND_EARNEST && load_state(c, runs.items[i - 1], &s) &&
            !run_is_final(s.phase))
            return dr_strdup(runs.items[i - 1]);
    }
    return open_outside(c, NULL, KIND_EARNEST);
}

/* -- lease --------------------------------------------------------------------------------------- */

/* Without the lease nobody may begin, and a bucket of the region that is given up is not to be asked. */
static enum dr_rc refuse_dark_lease(const struct config *c, const char *failed, struct dr_err *err)
{
    const struct config_bucket *b =
        c->lease.bucket != NULL ? config_bucket(c, c->lease.bucket) : NULL;
    if (b == NULL || failed == NULL || strcmp(b->region, failed) != 0)
        return DR_OK;
    (void)dr_fail(err, DR_E_REFUSED,
                  "the lease lies in bucket '%s', in the region '%s' that is given up", b->name,
                  failed);
    return dr_hint(err,
                   "Move it by hand: coordination.lease.bucket of another region, on every host.");
}

static bool held_by_drill(const struct lease_place *place)
{
    DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
    struct dr_err ignored = { 0 };
    return lease_read(place, run_key, &r, &ignored) == DR_OK && text_starts(r.holder, drill_mark);
}

/*
 * A drill that holds the lease on this host is told to stop, so that its journal says why it ended; it has a moment
 * to do so. One elsewhere, or that does not listen, finds its lease taken at the next renewal.
 */
static void ask_for_room(const struct config *c, const struct lease_place *place, const char *who)
{
    DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
    struct dr_err ignored = { 0 };
    bool told = false;
    if (!held_by_drill(place) || journal_runs(c->state_dir, &runs, &ignored) != DR_OK)
        return;
    for (size_t i = 0; i < runs.count; i++) {
        if (runs.items[i][0] != KIND_DRILL || !journal_is_live(c->state_dir, runs.items[i]))
            continue;
        json_t *words = json_object();
        json_put_text(words, "verb", "abort");
        json_put_text(words, "by", who);
        json_put_text(words, "reason", "a recovery in earnest needs its place");
        json_put(words, "give_way", json_true());
        told = journal_tell(c->state_dir, runs.items[i], words, &ignored) == DR_OK || told;
    }
    for (int64_t end_ms = clock_boot_ms() + YIELD_MS; told && clock_boot_ms() < end_ms;) {
        const struct timespec ts = { .tv_nsec = YIELD_LOOK_MS * 1000000L };
        (void)nanosleep(&ts, NULL); /* a signal ends it early: it is asked again */
        told = held_by_drill(place);
    }
}

static enum dr_rc take_lease(const struct config *c, const char *who, bool drill,
                             struct keeper **ret, struct dr_err *err)
{
    struct lease *lease = NULL;
    DR_CLEANUP(lease_place_fini) struct lease_place place = { 0 };
    DR_FREE char *holder = dr_strf("%s%s", drill ? drill_mark : "", who);
    struct lease_wish wish = { .key = run_key,
                               .holder = holder,
                               .over = drill ? NULL : drill_mark };
    DR_TRY(lease_place_of(c, NULL, &place, err));
    if (!drill)
        ask_for_room(c, &place, who);
    if (lease_acquire(&place, &wish, &lease, err) == DR_OK)
        return keeper_new(lease, ret, err);
    if (err->rc == DR_E_BUSY)
        return dr_hint(err, "Another run is under way: drctl runs, drctl runs watch.");
    return err->rc;
}

static enum dr_rc record_lease(struct run *r, const struct keeper *keeper, struct dr_err *err)
{
    const struct lease *lease = keeper_lease(keeper);
    json_t *b = json_object();
    json_put_text(b, "key", run_key);
    json_put_int(b, "epoch", lease != NULL ? lease->epoch : 0);
    json_put_text(b, "holder", lease != NULL ? lease->holder : "");
    return journal_append(r->journal, "lease", b, err);
}

/* -- beginning ------------------------------------------------------------------------------------ */

/* Runs in earnest and drills have one row of numbers, over all hosts. Dry runs are this host's alone: they have one
 * of their own, so that none is ever taken for a run of another host. */
static enum dr_rc create_journal(struct run *r, enum kind kind, const char *dark,
                                 struct dr_err *err)
{
    const char *dir = r->config->state_dir;
    for (int tries = 0; tries < CREATE_TRIES; tries++) {
        DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
        long long last = 0;
        DR_TRY(journal_runs(dir, &runs, err));
        if (kind != KIND_DRY)
            gather_ids(r->config, dark, &runs); /* a number is never given twice */
        for (size_t i = 0; i < runs.count; i++) {
            long long n = strtoll(runs.items[i] + 2, NULL, 10);
            if ((runs.items[i][0] == KIND_DRY) == (kind == KIND_DRY) && n > last)
                last = n;
        }
        (void)snprintf(r->id, sizeof(r->id), "%c-%lld", (char)kind, last + 1);
        enum dr_rc rc = journal_create(dir, r->id, &r->journal, err);
        if (rc != DR_E_EXISTS)
            return rc;
    }
    return dr_fail(err, DR_E_BUSY, "others take each run id in '%s'", dir);
}

static enum dr_rc record_impact(struct run *r, const struct run_begin *begin, const char *since,
                                struct dr_err *err)
{
    char now[TIME_TEXT_MAX];
    json_t *b = json_object();
    DR_JSON json_t *health = begin->drill ? NULL : real_health_at_start(r->config);
    const json_t *good = json_object_get(health, "last_good");
    bool seen = health != NULL && good != NULL && !json_is_null(good);
    json_put_text(b, "method", since != NULL ? "since" : seen ? "probe" : "command");
    json_put(b, "since", since != NULL ? json_printable(since) : json_null());
    json_put(b, "health", health != NULL ? json_incref(health) : json_null());
    json_put_text(b, "by", begin->by);
    json_put_text(b, "at", time_print(clock_wall_ns(), now));
    return journal_append(r->journal, "impact", b, err);
}

static void on_lost(void *arg)
{
    engine_lose(arg);
}

static void start_engine(struct run *r, const struct engine_options *options, struct keeper *keeper,
                         const char *failed)
{
    const struct real_options o = {
        .config = r->config, .run = r->id, .failed = failed, .keeper = keeper
    };
    r->world = real_world_new(&o);
    r->engine = engine_new(r->script, r->journal, r->world, options);
    real_world_on_loss(r->world, on_lost, r->engine);
}

/* The lease of a run that is to begin: none other may be open, before we have it and after. */
static enum dr_rc take_first_lease(const struct config *c, const char *who,
                                   const struct run_begin *begin, struct keeper **ret,
                                   struct dr_err *err)
{
    DR_CLEANUP(keeper_free_ptr) struct keeper *keeper = NULL;
    for (int looks = 0; looks < 2; looks++) { /* another one may begin while we wait */
        DR_TRY(refuse_second(c, begin->failed, err));
        if (begin->drill)
            DR_TRY(refuse_second_drill(c, begin->failed, err));
        if (keeper == NULL)
            DR_TRY(take_lease(c, who, begin->drill, &keeper, err));
    }
    *ret = DR_TAKE(keeper);
    return DR_OK;
}

static enum kind kind_of(const struct run_begin *begin)
{
    return begin->dry ? KIND_DRY : begin->drill ? KIND_DRILL : KIND_EARNEST;
}

static json_t *ms_or_null(int64_t ms)
{
    return ms > 0 ? json_integer(ms) : json_null();
}

/* Fixed before the start, as objectives are: who owns what this run finds, and until when it has to be seen to. */
static json_t *findings_of(const struct config *c)
{
    const struct config_findings *f = &c->findings;
    json_t *o = json_object(), *due = json_object();
    json_put(due, "critical", ms_or_null(f->critical_ms));
    json_put(due, "warning", ms_or_null(f->warning_ms));
    json_put(o, "owner", f->owner != NULL ? json_printable(f->owner) : json_null());
    json_put(o, "due_ms", due);
    return o;
}

/* A drill has a directory of its own below the one for all of them. */
static enum dr_rc record_start(struct run *r, const struct run_begin *begin, struct dr_err *err)
{
    struct run_begin full = *begin;
    DR_FREE char *all = begin->scratch != NULL ? dr_strdup(begin->scratch)
                                               : dr_strf("%s/scratch", r->config->state_dir);
    DR_FREE char *scratch = dr_strf("%s/%s", all, r->id);
    full.scratch = scratch;
    DR_JSON json_t *findings = findings_of(r->config);
    full.findings = full.findings != NULL ? full.findings : findings;
    return journal_append(r->journal, "start", run_begin_body(r->script, &full), err);
}

enum dr_rc run_begin(const struct config *c, struct script *script, struct run_begin *begin,
                     const struct engine_options *options, struct run **ret, struct dr_err *err)
{
    DR_CLEANUP(run_close_ptr) struct run *r = dr_alloc(1, sizeof(*r));
    DR_CLEANUP(keeper_free_ptr) struct keeper *keeper = NULL;
    DR_FREE char *host = run_host();
    DR_FREE char *who = dr_strf("%s@%s:%d", begin->by, host, (int)getpid());
    r->config = c;
    r->script = script;
    DR_TRY(guard_plan(script, begin, err));
    DR_TRY(refuse_dark_lease(c, begin->failed, err));
    if (!begin->dry)
        DR_TRY(take_first_lease(c, who, begin, &keeper, err));
    DR_TRY(create_journal(r, kind_of(begin), begin->failed, err));
    begin->id = r->id;
    begin->host = host;
    begin->config_path = c->path;
    DR_TRY(record_start(r, begin, err));
    DR_TRY(record_lease(r, keeper, err));
    DR_TRY(record_impact(r, begin, begin->since, err));
    start_engine(r, options, DR_TAKE(keeper), begin->failed);
    *ret = DR_TAKE(r);
    return DR_OK;
}

/* -- taking up ------------------------------------------------------------------------------------ */

static enum dr_rc plan_as_journalled(struct run *r, const struct run_state *s, struct dr_err *err)
{
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    if (s->text == NULL)
        return dr_fail(err, DR_E_CORRUPT, "the journal of %s has no plan", r->id);
    const char *file = s->file != NULL ? s->file : "plan.yaml";
    struct plan *p = plan_read(file, s->text, strlen(s->text), NULL, &d);
    if (p == NULL)
        return dr_fail(err, DR_E_UNKNOWN, "the plan in the journal of %s is not understood: %s",
                       r->id, d.count > 0 ? d.items[0].what : "nothing was read");
    r->script = script_of_plan(p, s->text, r->config);
    if (r->script->step_count != s->step_count)
        return dr_fail(err, DR_E_UNKNOWN, "the plan in the journal of %s has other steps", r->id);
    return DR_OK;
}

/* The file may have changed since; what was journalled is what is carried out. */
static char *note_on_file(const struct run_state *s)
{
    DR_CLEANUP(buf_fini) struct buf now = { 0 };
    struct dr_err ignored = { 0 };
    if (s->file == NULL || s->text == NULL ||
        fs_read_file(s->file, PLAN_FILE_MAX, &now, &ignored) != DR_OK)
        return NULL;
    if (now.len == strlen(s->text) && (now.len == 0 || memcmp(now.data, s->text, now.len) == 0))
        return NULL;
    return dr_strf("The file %s differs: not used.", s->file);
}

static enum dr_rc record_note(struct run *r, const char *text, struct dr_err *err)
{
    json_t *b = json_object();
    json_put_text(b, "text", text);
    return journal_append(r->journal, "note", b, err);
}

/* The journal is not here, or somebody else may have written since: the buckets are asked. */
static enum dr_rc complete_journal(struct run *r, const struct text_list *accept_missing,
                                   struct dr_err *err)
{
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    struct gather_wish wish = { .accept_missing = accept_missing };
    DR_TRY(gather_run(r->config, r->id, &wish, &all, &r->from, err));
    if (r->journal == NULL)
        DR_TRY(journal_create(r->config->state_dir, r->id, &r->journal, err));
    return journal_extend(r->journal, &all, err);
}

static enum dr_rc refuse_final(const char *id, const struct run_state *s, struct dr_err *err)
{
    if (!run_is_final(s->phase))
        return DR_OK;
    (void)dr_fail(err, DR_E_REFUSED, "run %s is over: %s", id, run_phase_name(s->phase));
    return dr_hint(err, "A run that ended is followed by another one: drctl failover ...");
}

/* With the lease in hand: the whole journal, its state, its plan. */
static enum dr_rc read_up(struct run *r, const struct keeper *keeper, bool known,
                          const struct text_list *accept_missing, struct run_state *s,
                          struct dr_err *err)
{
    const struct lease *lease = keeper_lease(keeper);
    /* Whoever writes a journal has taken the lease: one epoch on means that nobody did since. */
    bool ours = known && (s->dry || !s->remote || lease == NULL || lease->epoch == s->epoch + 1);
    if (!ours) {
        DR_TRY(complete_journal(r, accept_missing, err));
        run_state_fini(s);
        state_replay(s, journal_all(r->journal));
    }
    if (s->phase == RUN_NONE)
        return dr_fail(err, DR_E_UNKNOWN, "run %s ended before its first record", r->id);
    DR_TRY(refuse_final(r->id, s, err));
    DR_TRY(plan_as_journalled(r, s, err));
    DR_TRY(record_lease(r, keeper, err));
    r->note = note_on_file(s);
    if (r->note != NULL)
        return record_note(r, r->note, err);
    return DR_OK;
}

/* What was said to the runner of a drill that is gone: a run that wanted its place has it, or had it. */
static void forget_words(const struct config *c, const char *id)
{
    struct dr_err ignored = { 0 };
    json_t *words = NULL;
    while (journal_hear(c->state_dir, id, &words, &ignored) == DR_OK && words != NULL)
        json_decref(words);
}

enum dr_rc run_take_up(const struct config *c, const char *id, const struct engine_options *options,
                       const struct text_list *accept_missing, struct run **ret, struct dr_err *err)
{
    DR_CLEANUP(run_close_ptr) struct run *r = dr_alloc(1, sizeof(*r));
    DR_CLEANUP(keeper_free_ptr) struct keeper *keeper = NULL;
    DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
    DR_FREE char *host = run_host();
    DR_FREE char *who = dr_strf("%s@%s:%d", options->operator, host, (int)getpid());
    r->config = c;
    (void)snprintf(r->id, sizeof(r->id), "%s", id);
    enum dr_rc rc = journal_open(c->state_dir, id, &r->journal, err);
    if (rc != DR_OK && (rc != DR_E_NOTFOUND || !is_outside(c, id)))
        return rc;
    bool known = rc == DR_OK && journal_all(r->journal)->count > 0;
    if (known)
        state_replay(&s, journal_all(r->journal));
    DR_TRY(refuse_final(id, &s, err));
    DR_TRY(refuse_dark_lease(c, s.failed, err));
    int64_t before = clock_boot_ms();
    if (!s.dry)
        DR_TRY(take_lease(c, who, id[0] == KIND_DRILL, &keeper, err));
    r->lease_waited_ms = clock_boot_ms() - before;
    DR_TRY(read_up(r, keeper, known, accept_missing, &s, err));
    start_engine(r, options, DR_TAKE(keeper), s.failed);
    const struct run_state *now = engine_state(r->engine);
    if (now->drill)
        forget_words(c, id);
    if (now->drill && now->phase != RUN_HELD && now->phase != RUN_CLEANING)
        DR_TRY(engine_drop_drill(r->engine, options->operator, "its runner is gone", err));
    *ret = DR_TAKE(r);
    return DR_OK;
}
