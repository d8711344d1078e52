/*
 * stage.h - what every provider needs first: the configuration, the gate, the site.
 *
 *     DR_CLEANUP(stage_fini) struct stage p = { 0 };
 *     struct dr_err err = { 0 };
 *     if (stage_init(&p, call, &err) != DR_OK)
 *         return stage_cannot(&p, &err);
 *     ...
 *     return stage_says(&p, STEP_PASS, "%s", "why");
 *
 * In a drill the configuration reads by the drill's own credentials (dr/config/rights.h).
 *
 * The gate is closed to every address that the configuration gives the dark regions (the sites'
 * address, host, and each field that is one), so a URL, a name server or a socket in there is
 * refused although the plan's author wrote it. stage_says() and stage_cannot() put the number of
 * refused connects into the evidence ("refused_connects"). Effects say there how they honour the
 * run's epoch: "honours" is "enforced" (the target refuses an older one), "guarded" (read, compare,
 * write, read back) or "none". A failure is in the evidence by its kind ("error": "corrupt"), so that
 * nobody has to read words, and a planted fault by how often it was met ("planted": 2).
 */
#ifndef PLUGINS_STAGE_H
#define PLUGINS_STAGE_H

#include "backup/store/plant.h"
#include "dr/config/config.h"
#include "dr/net/gate.h"
#include "dr/step/step.h"

struct stage {
    struct step_call *call;
    struct config *config; /* NULL when the request names none */
    struct gate *gate;
    json_t *evidence;          /* an object; providers put facts into it */
    struct text_list dark;     /* names of the dark regions that the configuration knows */
    const struct plant *plant; /* the fault that is planted here, by whoever obeys it; or NULL */
};

/* A configuration that cannot be read is DR_E_CONFIG, with its first finding. */
enum dr_rc stage_init(struct stage *p, struct step_call *call, struct dr_err *err) DR_MUST_USE;

/* The same, and a configuration is needed. */
enum dr_rc stage_need_config(struct stage *p, struct step_call *call, struct dr_err *err)
    DR_MUST_USE;

/* For DR_CLEANUP; a stage that was not set up is fine. */
void stage_fini(struct stage *p);

/* Give the verdict and why, with the evidence. */
enum step_verdict stage_says(struct stage *p, enum step_verdict verdict, const char *fmt, ...)
    DR_PRINTF(3, 4);

/* The failure of what changed nothing, or nothing that its undo does not find: STEP_FAIL. */
enum step_verdict stage_fails(struct stage *p, const struct dr_err *err);

/* The failure as a verdict, by step_says_err(): fail for what certainly did nothing. */
enum step_verdict stage_cannot(struct stage *p, const struct dr_err *err);

/* The failure of a check: what we could not look at is unknown, a dark region is a fail. */
enum step_verdict stage_cannot_tell(struct stage *p, const struct dr_err *err);

/*
 * The site that an argument (at, to, region) names: a site or a region. DR_E_REFUSED when it is
 * dark; DR_E_CONFIG when it is none.
 */
enum dr_rc stage_site(struct stage *p, const char *name, const struct config_site **ret,
                      struct dr_err *err) DR_MUST_USE;

/* Is the site's host another one than this, reached by ssh? Not for a step that was sent here. */
bool stage_is_elsewhere(const struct stage *p, const struct config_site *site);

/* stage_site() for work that happens there, which is this host: reach.h sends on what belongs elsewhere.
 * name NULL: here (ret is NULL). */
enum dr_rc stage_at(struct stage *p, const char *name, const struct config_site **ret,
                    struct dr_err *err) DR_MUST_USE;

/* A list of texts among the arguments; empty when absent. The caller finis. */
void stage_list(const struct stage *p, const char *name, struct text_list *ret);

/* A text of step_run(), or "". */
const char *stage_run_text(const struct stage *p, const char *name);

#endif
