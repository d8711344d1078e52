/*
 * run_screen_start.c - what stands above the question for the region's name.
 *
 * What would be lost is asked of the buckets outside the failed region, in a process of its own and for a
 * few seconds at most: a failover must not wait for a bucket that hangs.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backup/work/repo.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/cli/run_screen.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"
#include "dr/run/health.h"

enum { DATA_WAIT_MS = 5000, TRIES = 3, LINE_BYTES = 1024 };

/* -- when it broke ---------------------------------------------------------------------------------- */

/* What the losses count to: --since, the last good answer, or 0: not known. */
static int64_t broke_ns(const char *since, const json_t *health)
{
    struct health_facts facts;
    int64_t ns = 0;
    if (since != NULL && since[0] != '\0' && time_parse(since, &ns))
        return ns;
    if (health_facts_read(health, &facts) && facts.last_good.known)
        return facts.last_good.wall_ns;
    return 0;
}

void run_screen_tell_broke(const struct run_screen *s, const char *since, const char *by,
                           const json_t *health)
{
    struct health_facts facts;
    char at[TIME_TEXT_MAX];
    char ago[DURATION_TEXT_MAX];
    if (since != NULL && since[0] != '\0')
        run_screen_say(s, "BROKE    %s, says %s", since, by);
    else if (health_facts_read(health, &facts) && facts.last_good.known)
        run_screen_say(s, "BROKE    last good answer %s (%s ago), by probe %s",
                       time_tell(facts.last_good.wall_ns, at),
                       duration_tell((clock_wall_ns() - facts.last_good.wall_ns) / 1000000, ago),
                       facts.probe);
    else
        run_screen_say(s,
                       "BROKE    not known: no probe looked; the clock counts from this command");
}

/* -- what would be lost ----------------------------------------------------------------------------- */

static void say_data(const struct run_screen_start *start, const char *source, int64_t broke,
                     struct buf *out)
{
    struct dr_err err = { 0 };
    char at[TIME_TEXT_MAX];
    char lost[DURATION_TEXT_MAX];
    const char *dark[] = { start->failed };
    struct repo_options o = { .dark = dark, .dark_count = start->failed != NULL ? 1 : 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *repo = NULL;
    struct snapshot_list list = { 0 };
    const struct snapshot_info *best = NULL;
    if (repo_open(start->config, &o, &repo, &err) != DR_OK ||
        repo_snapshots(repo, source, &list, &err) != DR_OK) {
        buf_addf(out, "what would be lost is not known: %s", err.msg);
        return;
    }
    for (size_t i = 0; i < list.count; i++)
        if (list.items[i].state == SNAPSHOT_GOOD)
            best = &list.items[i];
    if (best == NULL) {
        buf_addf(out, "NO GOOD SNAPSHOT of '%s' in any bucket%s%s: its data cannot be brought back",
                 source, start->failed != NULL ? " outside " : "",
                 start->failed != NULL ? start->failed : "");
    } else {
        DR_FREE char *buckets = text_list_join(&best->buckets, ", ");
        int64_t ms = (broke - best->start_ns) / 1000000;
        buf_addf(out,
                 "newest good snapshot of '%s' %s in bucket%s %s: about %s of writes will be lost",
                 source, time_tell(best->start_ns, at), best->buckets.count == 1 ? "" : "s",
                 buckets, duration_tell(ms > 0 ? ms : 0, lost));
    }
    snapshot_list_fini(&list);
}

/* The child's words, or why there are none. */
static char *hear_child(int fd, pid_t pid)
{
    char line[LINE_BYTES];
    size_t len = 0;
    int64_t until = clock_boot_ms() + DATA_WAIT_MS;
    for (;;) {
        int64_t left = until - clock_boot_ms();
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
        ssize_t n = ready > 0 ? read(fd, line + len, sizeof(line) - 1 - len) : -1;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    bool late = clock_boot_ms() >= until;
    if (late)
        (void)kill(pid, SIGKILL);
    (void)close(fd);
    if (!late)
        (void)waitpid(pid, NULL, 0); /* one that hangs in the kernel is left to init */
    line[len] = '\0';
    if (len > 0)
        return dr_strdup(line);
    return dr_strdup(late ? "what would be lost is not known: the buckets do not answer"
                          : "what would be lost is not known");
}

static char *ask_data(const struct run_screen_start *start, const char *source, int64_t broke)
{
    int ends[2];
    if (pipe(ends) != 0)
        return dr_strdup("what would be lost is not known");
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        DR_CLEANUP(buf_fini) struct buf out = { 0 };
        (void)close(ends[0]);
        say_data(start, source, broke, &out);
        size_t len = out.len < LINE_BYTES - 1 ? out.len : LINE_BYTES - 1;
        _exit(write(ends[1], out.data, len) == (ssize_t)len ? 0 : 1);
    }
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        return dr_strdup("what would be lost is not known");
    }
    return hear_child(ends[0], pid);
}

/* -- names that are known already -------------------------------------------------------------------- */

static json_t *named(const char *name)
{
    json_t *o = json_object();
    json_put_text(o, "", name);
    return o;
}

static json_t *known_facts(const struct run_screen_start *start)
{
    json_t *values = json_object();
    if (start->failed != NULL)
        json_put(values, "failed", named(start->failed));
    if (start->active != NULL)
        json_put(values, "active", named(start->active));
    json_put(values, "target", named(start->to != NULL ? start->to : "the new region"));
    DR_JSON json_t *params = json_deep_copy(start->params);
    (void)json_object_update(values, params);
    return values;
}

/* The source that the plan brings back: known when it is written there or comes from --set. */
static char *source_of(const struct script *s, const struct script_facts *facts)
{
    for (size_t i = 0; i < s->step_count; i++) {
        DR_JSON json_t *with = NULL;
        struct dr_err err = { 0 };
        if (strcmp(s->steps[i].type->name, "backup.pick") != 0)
            continue;
        if (s->ops->resolve(s, s->steps[i].with, NULL, facts, &with, &err) != DR_OK)
            return NULL;
        const char *source = json_string_value(json_object_get(with, "source"));
        return source != NULL ? dr_strdup(source) : NULL;
    }
    return NULL;
}

void run_screen_learn(struct run_screen *s, const struct run_screen_start *start)
{
    DR_JSON json_t *values = known_facts(start);
    DR_JSON json_t *health = real_health_at_start(start->config);
    struct script_facts facts = { .values = values };
    DR_FREE char *source = source_of(start->script, &facts);
    int64_t broke = broke_ns(start->since, health);
    if (s->cli->json)
        return;
    free(s->data);
    s->data = source != NULL ? ask_data(start, source, broke != 0 ? broke : clock_wall_ns()) : NULL;
    for (size_t i = 0; i < start->script->step_count; i++) {
        const struct script_step *st = &start->script->steps[i];
        if (!st->ponr)
            continue;
        DR_FREE char *text = st->ponr_text != NULL
                                 ? start->script->ops->text(start->script, st->ponr_text, &facts)
                                 : dr_strdup("");
        free(s->no_way_back);
        s->no_way_back = dr_strf("%s%s%s", st->id, text[0] != '\0' ? ": " : "", text);
    }
}

void run_screen_tell_stakes(const struct run_screen *s)
{
    if (s->data != NULL)
        run_screen_say(s, "DATA     %s", s->data);
    if (s->no_way_back != NULL) {
        run_screen_say(s, "CANNOT BE TAKEN BACK after %s.", s->no_way_back);
        run_screen_say(s, "Until then everything is undone on request.");
    }
}

/* -- the region's name -------------------------------------------------------------------------------- */

bool run_screen_confirm(struct run_screen *s, const struct run_screen_start *start)
{
    const struct script *p = start->script;
    DR_JSON json_t *health = real_health_at_start(start->config);
    char line[256];
    run_screen_say(s, "PLAN     %s%s%s%s, %zu steps", p->name, p->title != NULL ? " (" : "",
                   p->title != NULL ? p->title : "", p->title != NULL ? ")" : "", p->step_count);
    run_screen_say(s, "GIVES UP %s", start->failed);
    run_screen_tell_broke(s, start->since, "you", health);
    run_screen_tell_stakes(s);
    s->started = true;
    puts("");
    for (int tries = 0; tries < TRIES; tries++) {
        DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
        DR_FREE char *question =
            dr_strf("Type the region to give up, or Ctrl-C [%s]:", start->failed);
        screen_wrap(question, run_screen_width() - 1, &lines);
        for (size_t i = 0; i < lines.count; i++)
            printf("%s%s", lines.items[i], i + 1 < lines.count ? "\n" : " ");
        (void)fflush(stdout);
        if (fgets(line, sizeof(line), stdin) == NULL) {
            puts("");
            break;
        }
        line[strcspn(line, "\r\n")] = '\0';
        if (strcmp(line, start->failed) == 0)
            return true;
        run_screen_say(s, "'%s' is not '%s'.", line, start->failed);
    }
    run_screen_say(s, "Nothing was begun.");
    return false;
}
