/*
 * promote.c - service.promote: the restored data goes live, and the target may write.
 *
 *     1. live becomes a symbolic link to data, by one rename: the service sees the old
 *        generation or the new one, never a mixture;
 *     2. the writer lease is granted to the target's region (epoch + 1): until then the
 *        service there is refused by its own lease;
 *     3. the unit is started, and its status is asked.
 *
 * Commands come from providers.service (start, stop, status), default systemctl; "${unit}" and
 * "${region}" in their words are replaced. What fails is taken back in reverse (stop, revoke,
 * link), so a failure means that nothing stands; when that fails as well it is unknown. The
 * link's former target is kept before anything is touched; a live that is a real directory is
 * refused, since a rename could not bring it back. Honours the epoch: enforced by the lease.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/lease/lease.h"
#include "plugins/command.h"
#include "plugins/providers.h"
#include "plugins/stage.h"

struct promotion {
    struct stage p;
    struct lease_place where;
    const struct config_site *site;
    const char *unit, *data, *live, *lease; /* lease: or NULL */
    char *was;                              /* what live pointed to; NULL: nothing there */
};

static void promotion_fini(struct promotion *m)
{
    free(m->was);
    lease_place_fini(&m->where);
    stage_fini(&m->p);
}

/* What live points to; NULL when it is absent. Anything but a link is refused. */
static enum dr_rc read_live(const char *live, char **ret, struct dr_err *err)
{
    char target[PATH_MAX];
    ssize_t n = readlink(live, target, sizeof(target));
    if (n < 0 && errno == ENOENT) {
        *ret = NULL;
        return DR_OK;
    }
    if (n < 0 && errno == EINVAL)
        return dr_fail(err, DR_E_EXISTS,
                       "'%s' is not a symbolic link: it cannot be exchanged in one step", live);
    if (n < 0)
        return dr_fail_sys(err, errno, "cannot read '%s'", live);
    if (n == (ssize_t)sizeof(target))
        return dr_fail(err, DR_E_CORRUPT, "'%s' points to a path that is too long", live);
    if (!text_is_utf8(target, (size_t)n))
        return dr_fail(err, DR_E_CORRUPT, "'%s' points to a path that is not UTF-8", live);
    *ret = dr_memdup(target, (size_t)n);
    return DR_OK;
}

/* live points to 'to' from now on, durably; to NULL: live is no more. */
static enum dr_rc point_live(const char *live, const char *to, struct dr_err *err)
{
    const char *slash = strrchr(live, '/');
    DR_FREE char *dir = slash == live ? dr_strdup("/") : dr_memdup(live, (size_t)(slash - live));
    DR_FREE char *fresh = dr_strf("%s.drctl-new", live);
    if (sys_unlink(to ? fresh : live) != 0 && errno != ENOENT)
        return dr_fail_sys(err, errno, "cannot remove '%s'", to ? fresh : live);
    if (to) {
        if (sys.symlinkat(to, AT_FDCWD, fresh) != 0)
            return dr_fail_sys(err, errno, "cannot make '%s'", fresh);
        if (sys_rename(fresh, live) != 0) {
            int why = errno;
            (void)sys_unlink(fresh); /* the rename's failure is the one to tell */
            return dr_fail_sys(err, why, "cannot put '%s' in place", live);
        }
    }
    return fs_sync_dir(dir, err);
}

static bool good_path(const char *path)
{
    return path && path[0] == '/' && path[1] != '\0' && !text_ends(path, "/") &&
           strlen(path) < PATH_MAX - 16;
}

static enum dr_rc open_promotion(struct promotion *m, struct step_call *call, struct dr_err *err)
{
    DR_TRY(stage_need_config(&m->p, call, err));
    DR_TRY(stage_at(&m->p, step_text(call, "at", ""), &m->site, err));
    m->unit = step_text(call, "unit", "");
    m->data = step_text(call, "data", NULL);
    m->live = step_text(call, "live", NULL);
    m->lease = step_text(call, "lease", NULL);
    if (!good_path(m->data) || !good_path(m->live))
        return dr_fail(err, DR_E_CONFIG, "'data' and 'live' must be absolute paths");
    if (m->lease)
        DR_TRY(lease_place_of(m->p.config, m->p.gate, &m->where, err));
    return read_live(m->live, &m->was, err);
}

/* One word of a command with its placeholders filled in. */
static void add_word(const struct promotion *m, const char *word, struct text_list *argv)
{
    const struct {
        const char *mark, *value;
    } rows[] = { { "${unit}", m->unit }, { "${region}", m->site->region } };
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    buf_adds(&out, "");
    while (*word) {
        bool filled = false;
        for (size_t i = 0; i < DR_ARRAY_LEN(rows) && !filled; i++) {
            filled = text_starts(word, rows[i].mark);
            if (filled) {
                buf_adds(&out, rows[i].value);
                word += strlen(rows[i].mark);
            }
        }
        if (!filled)
            buf_addc(&out, *word++);
    }
    text_list_add(argv, out.data);
}

/* Run start, stop or status; the exit code in ret->code. */
static enum dr_rc service(struct promotion *m, const char *verb, struct command_result *ret,
                          char why[DR_ERR_MSG_MAX], struct dr_err *err)
{
    const struct config *c = m->p.config;
    const struct text_list *words = strcmp(verb, "start") == 0  ? &c->providers.service_start
                                    : strcmp(verb, "stop") == 0 ? &c->providers.service_stop
                                                                : &c->providers.service_status;
    DR_CLEANUP(text_list_fini) struct text_list argv = { 0 };
    for (size_t i = 0; i < words->count; i++)
        add_word(m, words->items[i], &argv);
    if (words->count == 0) {
        text_list_add(&argv, "systemctl");
        text_list_add(&argv, strcmp(verb, "status") == 0 ? "is-active" : verb);
        text_list_add(&argv, m->unit);
    }
    DR_TRY(command_run(&m->p, m->site, &argv, NULL, ret, err));
    command_tell(ret, argv.items[0], why);
    return DR_OK;
}

/* The command must end with 0: DR_E_STEP with its own words otherwise. */
static enum dr_rc must_do(struct promotion *m, const char *verb, struct dr_err *err)
{
    DR_CLEANUP(command_result_fini) struct command_result r = { 0 };
    char why[DR_ERR_MSG_MAX];
    DR_TRY(service(m, verb, &r, why, err));
    if (r.code == 0)
        return DR_OK;
    return dr_fail(err, r.code < 0 ? DR_E_UNKNOWN : DR_E_STEP, "%s %s: %s", verb, m->unit, why);
}

static const char *keeper(const struct promotion *m)
{
    const char *id = stage_run_text(&m->p, "id");
    return id[0] ? id : "drctl";
}

static enum dr_rc take_grant_back(struct promotion *m, struct dr_err *err)
{
    if (!m->lease)
        return DR_OK;
    struct lease_fence wish = { .key = m->lease,
                                .region = m->site->region,
                                .by = keeper(m),
                                .deadline_ms = step_deadline_ms(m->p.call) - 500 };
    return lease_revoke(&m->where, &wish, err);
}

static void keep_former(struct promotion *m)
{
    if (json_object_size(step_former(m->p.call)) > 0)
        return;
    json_t *former = json_object();
    json_put_text(former, "live", m->live);
    json_put_text(former, "data", m->data);
    json_put(former, "was", m->was ? json_printable(m->was) : json_null());
    step_keep(m->p.call, former);
}

/* Is it in place? The cheap questions first: the link, then the lease, then the service. */
static enum step_verdict promote_check(struct step_call *call)
{
    DR_CLEANUP(promotion_fini) struct promotion m = { 0 };
    DR_CLEANUP(lease_record_fini) struct lease_record record = { 0 };
    DR_CLEANUP(command_result_fini) struct command_result r = { 0 };
    char why[DR_ERR_MSG_MAX];
    struct dr_err err = { 0 };
    if (open_promotion(&m, call, &err) != DR_OK)
        return err.rc == DR_E_EXISTS ? stage_cannot(&m.p, &err) : stage_cannot_tell(&m.p, &err);
    if (!m.was || strcmp(m.was, m.data) != 0) {
        keep_former(&m);
        return stage_says(&m.p, STEP_FAIL, "'%s' is %s%s", m.live, m.was ? "still " : "",
                          m.was ? m.was : "absent");
    }
    if (m.lease) {
        if (lease_read(&m.where, m.lease, &record, &err) != DR_OK)
            return stage_cannot_tell(&m.p, &err);
        bool ours =
            strcmp(record.granted, m.site->region) == 0 ||
            (record.holder[0] && !record.keeper && strcmp(record.region, m.site->region) == 0);
        if (!ours)
            return stage_says(&m.p, STEP_FAIL, "the lease %s is not %s's", m.lease, m.site->region);
    }
    if (m.lease)
        step_output(call, "epoch", json_integer(record.epoch));
    if (service(&m, "status", &r, why, &err) != DR_OK)
        return stage_cannot_tell(&m.p, &err);
    if (r.code != 0)
        return stage_says(&m.p, r.code > 0 ? STEP_FAIL : STEP_UNKNOWN, "%s is not running: %s",
                          m.unit, why);
    return stage_says(&m.p, STEP_PASS, "%s runs in %s on %s", m.unit, m.site->region, m.data);
}

/* After a failure: stop what may run, take the grant and the link back. What an earlier attempt of
 * this round kept is older than what this one found. */
static enum step_verdict take_back(struct promotion *m, const struct dr_err *cause, bool started)
{
    struct dr_err err = { 0 };
    const json_t *kept = json_object_get(step_former(m->p.call), "was");
    const char *was = kept ? json_string_value(kept) : m->was;
    if ((started && must_do(m, "stop", &err) != DR_OK) || take_grant_back(m, &err) != DR_OK ||
        point_live(m->live, was, &err) != DR_OK)
        return stage_says(&m->p, STEP_UNKNOWN, "%s; and taking it back failed: %s", cause->msg,
                          err.msg);
    return stage_says(&m->p, STEP_FAIL, "%s (taken back)", cause->msg);
}

static enum step_verdict promote_apply(struct step_call *call)
{
    DR_CLEANUP(promotion_fini) struct promotion m = { 0 };
    struct dr_err err = { 0 };
    int64_t epoch = 0;
    if (open_promotion(&m, call, &err) != DR_OK)
        return stage_says(&m.p, STEP_FAIL, "%s", err.msg);
    DR_CLEANUP(dr_close_fd) int fd = sys_open(m.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return stage_says(&m.p, STEP_FAIL, "cannot open the data '%s': %s", m.data,
                          strerrordesc_np(errno));
    keep_former(&m);
    if (point_live(m.live, m.data, &err) != DR_OK)
        return take_back(&m, &err, false);
    step_log(call, "%s -> %s", m.live, m.data);
    if (m.lease) {
        if (lease_grant(&m.where, m.lease, m.site->region, &epoch, &err) != DR_OK)
            return take_back(&m, &err, false);
        step_log(call, "lease %s granted to %s, epoch %" PRId64, m.lease, m.site->region, epoch);
        json_put_int(m.p.evidence, "epoch", epoch);
        step_output(call, "epoch", json_integer(epoch));
        json_put_text(m.p.evidence, "honours", "enforced");
    }
    if (must_do(&m, "start", &err) != DR_OK || must_do(&m, "status", &err) != DR_OK)
        return take_back(&m, &err, true);
    return stage_says(&m.p, STEP_PASS, "%s runs in %s on %s", m.unit, m.site->region, m.data);
}

static enum step_verdict promote_undo(struct step_call *call)
{
    DR_CLEANUP(promotion_fini) struct promotion m = { 0 };
    struct dr_err err = { 0 };
    const json_t *was = json_object_get(step_former(call), "was");
    if (open_promotion(&m, call, &err) != DR_OK)
        return stage_cannot(&m.p, &err);
    if (!was)
        return stage_says(&m.p, STEP_PASS, "nothing was changed");
    const char *former = json_string_value(was);
    bool is_ours = m.was && strcmp(m.was, m.data) == 0;
    bool is_former = former ? m.was && strcmp(m.was, former) == 0 : !m.was;
    if (!is_ours && !is_former)
        return stage_says(&m.p, STEP_FAIL, "'%s' is neither the former nor ours: it is %s", m.live,
                          m.was ? m.was : "absent");
    if (must_do(&m, "stop", &err) != DR_OK || take_grant_back(&m, &err) != DR_OK ||
        point_live(m.live, former, &err) != DR_OK)
        return stage_says(&m.p, STEP_UNKNOWN, "%s", err.msg);
    return stage_says(&m.p, STEP_PASS, "%s stopped in %s, '%s' as before", m.unit, m.site->region,
                      m.live);
}

const struct provider provider_service_promote = {
    .type = "service.promote", .check = promote_check, .apply = promote_apply, .undo = promote_undo
};
