/*
 * notify.c - findings, events and acknowledgements: the pure alerts and the kept state put together.
 *
 * Between two calls nothing is held but the sender's lock and the children that run (deliver.c).
 */
#include "dr/notify/notify.h"

#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/notify/inside.h"
#include "dr/run/health.h"

/* ---- life -------------------------------------------------------------------------------------- */

enum dr_rc notify_open(const struct config *c, struct notify **ret, struct dr_err *err)
{
    struct notify *n = dr_alloc(1, sizeof(*n));
    const char *boot_id = health_boot_id();
    setup_init(&n->setup, c);
    n->sender_fd = -1;
    n->keep = (struct keep){ .dir = dr_strf("%s/alerts", c->state_dir),
                             .boot_id = boot_id[0] != '\0' ? boot_id : "unknown",
                             .lock_fd = -1 };
    enum dr_rc rc = keep_look(&n->keep, err);
    if (rc == DR_OK && uv_loop_init(&n->loop) != 0)
        rc = dr_fail(err, DR_E_NOMEM, "cannot make a loop for letters");
    if (rc != DR_OK) {
        keep_fini(&n->keep);
        setup_fini(&n->setup);
        free(n);
        return rc;
    }
    *ret = n;
    return DR_OK;
}

void notify_close(struct notify *n)
{
    if (n == NULL)
        return;
    deliver_stop(n);
    int rc = uv_loop_close(&n->loop);
    DR_ASSERT(rc == 0);
    dr_close_fd(&n->sender_fd);
    keep_fini(&n->keep);
    setup_fini(&n->setup);
    free(n);
}

int notify_fd(const struct notify *n)
{
    return uv_backend_fd(&n->loop);
}

/* ---- findings, events, acknowledgement ------------------------------------------------------------ */

enum dr_rc notify_begin(struct notify *n, struct dr_err *trouble)
{
    enum dr_rc rc = keep_begin(&n->keep, trouble);
    if (rc == DR_E_BUSY || !n->keep.was_corrupt)
        return rc;
    const struct setup_text what = {
        "critical",
        "notify/state",
        "what was told before is forgotten",
        "The state of the alerts could not be read. It was put aside as alerts/state.corrupt; "
        "everything that holds is told again, and what waited may be lost.",
        "Look at the disk of the state directory.",
        NULL
    };
    alerts_event(&n->keep.alerts, &n->setup, &what);
    n->keep.was_corrupt = false;
    return rc;
}

enum dr_rc notify_end(struct notify *n, const struct dr_err *trouble, struct dr_err *err)
{
    struct dr_err late = { 0 };
    enum dr_rc rc = keep_end(&n->keep, true, &late);
    if (trouble->rc != DR_OK)
        *err = *trouble;
    else if (rc != DR_OK)
        *err = late;
    else
        return DR_OK;
    return dr_context(err, "keeping the alerts");
}

enum dr_rc notify_findings(struct notify *n, const json_t *findings, struct dr_err *err)
{
    DR_ASSERT(json_is_array(findings));
    struct dr_err trouble = { 0 };
    if (notify_begin(n, &trouble) == DR_E_BUSY) {
        *err = trouble;
        return DR_E_BUSY;
    }
    alerts_findings(&n->keep.alerts, &n->setup, findings);
    return notify_end(n, &trouble, err);
}

enum dr_rc notify_event_to(struct notify *n, const struct notify_event_of *event,
                           struct dr_err *err)
{
    struct dr_err trouble = { 0 };
    const struct setup_text what = { event->severity, event->key, event->title,
                                     event->text,     NULL,       event->channels };
    if (notify_begin(n, &trouble) == DR_E_BUSY) {
        *err = trouble;
        return DR_E_BUSY;
    }
    alerts_event(&n->keep.alerts, &n->setup, &what);
    return notify_end(n, &trouble, err);
}

enum dr_rc notify_event(struct notify *n, const char *severity, const char *key, const char *title,
                        const char *text, struct dr_err *err)
{
    const struct notify_event_of event = { severity, key, title, text, NULL };
    return notify_event_to(n, &event, err);
}

enum dr_rc notify_acknowledge(struct notify *n, const char *key, const char *who,
                              struct dr_err *err)
{
    DR_TRY(keep_begin(&n->keep, err));
    enum dr_rc rc = alerts_acknowledge(&n->keep.alerts, &n->setup, key, who, err);
    struct dr_err late = { 0 };
    if (keep_end(&n->keep, rc == DR_OK, &late) != DR_OK && rc == DR_OK) {
        *err = late;
        rc = late.rc;
    }
    return rc;
}
