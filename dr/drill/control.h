/*
 * control.h - negative controls: faults that a drill plants, and that its own machinery must catch.
 *
 * "It cannot fail, which means it also cannot pass." A drill that says yes is worth as much as what would have
 * made it say no. So some faults, drawn by the run's seed from a catalogue, are planted on the real path: a
 * real step in a real child ("drctl step"), whose buckets lie on what is read (backup/store/plant.h) or whose disk
 * is full. What judges the real restore then has to say no to this one, and for the right reason:
 *
 *     drill power = caught / planted             below 100 % the drill has failed, whatever else went well
 *
 * A control counts as caught only when the step failed with that kind of error which the fault must lead to, named
 * what it is about, and left nothing that looks finished. A restore that fails because its directory cannot be
 * made has caught nothing. A fault that nobody came upon was not caught either: the child counts how often it
 * was met.
 *
 *     const struct control *drawn[CONTROLS_MAX];
 *     size_t n = controls_draw(seed, 8, drawn);
 *     for (size_t i = 0; i < n; i++) {
 *         struct control_result r = { 0 };
 *         rc = control_run(drawn[i], &place, &r, &err);     r.planted, r.caught, r.why, r.dur_ms
 *         control_result_fini(&r);
 *     }
 *
 * Nothing is written into a bucket, nothing outside of place.scratch is touched, and what a control restored it
 * takes away again. Restores bring back one file each, so a large source costs no more than a small one (its
 * table of contents is read).
 */
#ifndef DR_DRILL_CONTROL_H
#define DR_DRILL_CONTROL_H

#include "dr/config/config.h"
#include "dr/data/json.h"

enum { CONTROLS_MAX = 32 };

/* What the drill says of a sentinel. That it could not look is no answer: nothing is caught by it. */
enum control_sentinel { CONTROL_FRESH, CONTROL_OTHER, CONTROL_NOT_TOLD };

/* Where and on what. Everything is borrowed. */
struct control_place {
    const struct config *config;
    const char *program;  /* is started as "PROGRAM step"; NULL: this very program */
    const char *run;      /* "D-118" */
    const char *mode;     /* that is rehearsed; NULL: "failover" */
    const char *failed;   /* the region that is dark; or NULL */
    const char *at;       /* the site of restores; NULL: here */
    const char *source;   /* a name of the configuration */
    const char *snapshot; /* of it: the id that the drill picked and restored */
    const char *
        planted; /* when the sentinel was (RFC 3339): what ended before is older; NULL: not known */
    const char *scratch; /* a directory of the controls' own, at `at`; gone again when empty */
    int64_t epoch;
    uint64_t seed;
    int64_t timeout_ms; /* of one step; 0: ten minutes */
    /*
     * The drill's own judgement of a restored tree, the one that the real restore has to stand: is the sentinel in
     * it exactly the one that was planted? outputs: of the restore, or NULL. ret_found: what is there instead, or
     * why it cannot be told, or NULL; taken over by the caller.
     */
    enum control_sentinel (*sentinel)(void *arg, const char *tree, const json_t *outputs,
                                      char **ret_found);
    bool (*stop)(void *arg); /* asked while a step runs: does the drill give way? or NULL */
    void *arg;
};

struct control_job;

struct control {
    const char *name;    /* "flipped-byte" */
    const char *title;   /* a few words without a comma: "a flipped byte in every bucket" */
    const char *plants;  /* "one byte of a pack is wrong in every bucket" */
    const char *expects; /* "the restore fails and names the object" */
    /* By the configuration alone. ret_why_not: one sentence, the caller frees. */
    bool (*possible)(const struct control_place *p, char **ret_why_not);
    enum dr_rc (*run)(struct control_job *j, struct dr_err *err); /* control_run() calls it */
};

/* The catalogue: all of them, in its order. */
const struct control *const *control_all(size_t *ret_count);

/* NULL: there is none of that name. */
const struct control *control_find(const char *name);

/* Draw that many (0: all) by the seed; ret has room for CONTROLS_MAX. Pure: the same seed, the same controls in
 * the same order. Returns how many. */
size_t controls_draw(uint64_t seed, size_t want, const struct control **ret);

struct control_result {
    bool planted; /* false: it was not possible here, why says so; it does not count */
    bool caught;
    char *why; /* what happened, one sentence; owned, never NULL once filled */
    int64_t dur_ms;
};
void control_result_fini(struct control_result *r);

/*
 * Plant it and look. DR_OK whatever came of it. An error means that the controls' own machinery failed (the
 * snapshot cannot be read, no child can be started): nothing was proved, so it counts as planted and missed.
 * DR_E_CANCELLED: stop() said so, and the control says nothing. The caller finis ret.
 */
enum dr_rc control_run(const struct control *c, const struct control_place *p,
                       struct control_result *ret, struct dr_err *err) DR_MUST_USE;

#endif
