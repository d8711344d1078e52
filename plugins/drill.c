/*
 * drill.c - what a drill does beside the plan's steps, at the site where it has to be done.
 *
 *     drill.plant   a fresh sentinel in a source, then a backup of it      before the region is dark
 *     drill.look    what production is now: paths, links, mounts, units    before and after
 *     drill.tree    the sentinel that a restored scratch tree holds        after the steps
 *     drill.clean   remove the scratch directory                           at the end
 *
 * They are steps like all others (the same child, the same protocol, the same way over ssh), but no plan
 * can name them: the language's table (dr/step/type.h) does not have them. drill.look and
 * drill.tree change nothing. drill.plant changes a source exactly as backupd does each minute, and
 * takes a snapshot as each backup does. drill.clean removes one directory (scratch.h) and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "plugins/command.h"
#include "plugins/drill.h"
#include "plugins/providers.h"
#include "plugins/scratch.h"
#include "plugins/vault.h"

enum { ANSWER_MAX = 1 << 20, WORDS_MAX = 16, WORD_VERB = 3, AGAIN_MS = 200, SAYS_BUSY = 6 };

/* -- drill.plant ------------------------------------------------------------------------------- */

/* Our own program with these words, its output into a file in memory. */
static enum dr_rc spawn_self(const char *const *words, int out, pid_t *ret, struct dr_err *err)
{
    static const char self[] = "/proc/self/exe";
    char *argv[WORDS_MAX + 1] = { 0 };
    posix_spawn_file_actions_t actions;
    for (size_t i = 0; words[i] != NULL; i++) {
        DR_ASSERT(i < WORDS_MAX);
        argv[i] = dr_strdup(words[i]);
    }
    int why = posix_spawn_file_actions_init(&actions);
    if (why == 0) {
        why = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        if (why == 0)
            why = posix_spawn(ret, self, &actions, NULL, argv, environ);
        (void)posix_spawn_file_actions_destroy(&actions); /* cannot fail */
    }
    for (size_t i = 0; argv[i] != NULL; i++)
        free(argv[i]);
    return why == 0 ? DR_OK : dr_fail_sys(err, why, "cannot start 'drctl %s'", words[WORD_VERB]);
}

/* What the child said on one line of JSON. The group's deadline ends it together with us. */
static enum dr_rc run_self(const char *const *words, json_t **ret, struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int out = memfd_create("answer", MFD_CLOEXEC);
    DR_CLEANUP(buf_fini) struct buf said = { 0 };
    pid_t pid = 0;
    int status = 0;
    if (out < 0)
        return dr_fail_sys(err, errno, "cannot keep an answer");
    DR_TRY(spawn_self(words, out, &pid, err));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return dr_fail_sys(err, errno, "cannot wait for 'drctl %s'", words[WORD_VERB]);
    struct stat st;
    if (fstat(out, &st) != 0 || st.st_size <= 0 || st.st_size > ANSWER_MAX)
        return dr_fail(err, DR_E_STEP, "'drctl %s' ended with exit code %d and no answer",
                       words[WORD_VERB], WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    char *bytes = buf_reserve(&said, (size_t)st.st_size);
    DR_TRY(fs_pread_all(out, "the answer", bytes, (size_t)st.st_size, 0, err));
    return json_read("the answer", bytes, (size_t)st.st_size, ret, err);
}

/* The same, again and again while another backup of the source is at work. */
static enum dr_rc run_when_free(const struct step_call *call, const char *const *words,
                                json_t **ret, struct dr_err *err)
{
    const struct timespec pause = { .tv_nsec = AGAIN_MS * 1000000L };
    for (;;) {
        DR_TRY(run_self(words, ret, err));
        if (json_integer_value(json_object_get(*ret, "exit")) != SAYS_BUSY ||
            clock_boot_ms() > step_deadline_ms(call))
            return DR_OK;
        json_decref(*ret);
        *ret = NULL;
        (void)clock_nanosleep(CLOCK_BOOTTIME, 0, &pause, NULL); /* woken early: asked again */
    }
}

/* The snapshot that the child made, or why there is none. */
static enum dr_rc take_backup(struct stage *p, const char *source, struct dr_err *err)
{
    DR_JSON json_t *said = NULL;
    const char *const words[] = { "drctl", "-c", step_config(p->call), "backup", "--json", "-q",
                                  source,  NULL };
    DR_TRY(run_when_free(p->call, words, &said, err));
    const char *id = json_string_value(json_object_get(said, "id"));
    const char *why = json_string_value(json_object_get(said, "why"));
    if (id == NULL)
        return dr_fail(err, DR_E_STEP, "no backup of '%s': %s", source,
                       why != NULL ? why : "it gave no reason");
    static const char *const kept[] = { "started_at", "taken_at" };
    for (size_t i = 0; i < DR_ARRAY_LEN(kept); i++)
        if (json_is_string(json_object_get(said, kept[i])))
            json_put(p->evidence, kept[i], json_incref(json_object_get(said, kept[i])));
    step_output(p->call, "snapshot", json_string(id));
    return DR_OK;
}

/* Plans that want proved data would pass the fresh snapshot over: its bytes are read and compared first. */
static enum dr_rc prove_backup(struct stage *p, const char *source, struct dr_err *err)
{
    DR_JSON json_t *said = NULL;
    const char *const words[] = { "drctl",    "-c",     step_config(p->call),
                                  "verify",   "--json", "--data",
                                  "--source", source,   NULL };
    if (!json_is_true(json_object_get(step_with(p->call), "prove")))
        return DR_OK;
    return run_self(words, &said, err);
}

static enum step_verdict plant(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    const struct config_site *at = NULL;
    const char *name = step_text(call, "source", "");
    if (stage_need_config(&p, call, &err) != DR_OK ||
        stage_at(&p, step_text(call, "at", NULL), &at, &err) != DR_OK)
        return stage_says(&p, STEP_FAIL, "%s", err.msg);
    const struct config_source *source = config_source(p.config, name);
    if (source == NULL)
        return stage_says(&p, STEP_FAIL, "'%s' is no source of the configuration", name);
    if (drill_sentinel_plant(&p, source, &err) != DR_OK || take_backup(&p, name, &err) != DR_OK ||
        drill_sentinel_after(&p, source, &err) != DR_OK || prove_backup(&p, name, &err) != DR_OK)
        return stage_says(&p, STEP_FAIL, "%s", err.msg);
    return stage_says(&p, STEP_PASS, "the sentinel of '%s' stands, and a backup holds it", name);
}

/* -- drill.clean ------------------------------------------------------------------------------- */

static enum step_verdict clean(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    const struct config_site *at = NULL;
    const char *dir = step_text(call, "scratch", ""), *run = step_text(call, "run", "");
    if (stage_init(&p, call, &err) != DR_OK ||
        stage_at(&p, step_text(call, "at", NULL), &at, &err) != DR_OK ||
        scratch_remove(dir, run, &err) != DR_OK)
        return stage_says(&p, STEP_FAIL, "%s", err.msg);
    return stage_says(&p, STEP_PASS, "'%s' is gone", dir);
}

const struct provider provider_drill_plant = { .type = "drill.plant", .apply = plant };
const struct provider provider_drill_clean = { .type = "drill.clean", .apply = clean };
