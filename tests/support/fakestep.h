/*
 * fakestep.h - a world in which every verdict is scripted and no time passes but what we say.
 *
 * Effects are remembered: an apply that passes puts its step in place, an undo that passes takes it
 * away, the step's own check answers by what is in place. So a test can ask afterwards what stands, and
 * an effect done again while it stands is counted in `twice`. The world outlives engines: one
 * that dies is followed by another in the same world.
 *
 * Words, by "VERB:STEP" or "VERB:STEP@TARGET", used up one by one, then the last default holds:
 *     pass  fail  unknown      the verdict, at once
 *     hang                     nothing is done, the deadline passes: in doubt
 *     late                     it is done, and yet the deadline passes: in doubt
 *     noproof                  pass, but a fence that says so gives no proof
 *     crash                    nothing is done, no result: in doubt
 *     dark                     fail, after a connect to the dark region that the gate refused
 * A word with '!' behind it is never used up.
 */
#ifndef TESTS_SUPPORT_FAKESTEP_H
#define TESTS_SUPPORT_FAKESTEP_H

#include "dr/base/text.h"
#include "dr/run/engine.h"

struct fake_world {
    struct world world;
    json_t *words;          /* "apply:restore" -> ["fail", ...] */
    json_t *in_place;       /* step -> target */
    struct text_list log;   /* "apply a", "undo a": in the order in which they took effect */
    struct text_list inbox; /* JSON */
    int twice;              /* an effect applied again while it stood, unasked */
    int puts, put_fails;    /* bucket copies; how many of the next ones fail (-1: all) */
    int lose_at;            /* the lease ends while the n-th intent is stored; 0: never */
    int fail_after;         /* from this copy on the bucket is full; 0: never */
    int intents_out;        /* copies of intents that were stored */
    bool late_deaths;       /* what is stopped has taken effect */
    int64_t lease_ms;       /* what is left of the lease, always */
    struct text_list fenced;
    void *events;  /* internal */
    json_t *asked; /* steps whose own check answered since their last apply */
    int running, most_running;
    json_t *last; /* the newest request; NULL: none */
};

/* Installs the fake clock. */
void fake_world_init(struct fake_world *w);
void fake_world_fini(struct fake_world *w);

/* Add words: fake_say(w, "apply:a", "fail fail pass"). */
void fake_say(struct fake_world *w, const char *key, const char *words);
void fake_pass(int64_t ms); /* time goes by */
void fake_hear(struct fake_world *w, const char *json);

/* A plan in JSON: {"regions":[...], "preflight":[...], "invariants":[...], "steps":[{"id","use",...}]}.
 * Types: effect, own (an effect with its own check), fence, promote, check, give (outputs), approve,
 * region.pick, wait, traffic, backup.restore, backup.now. Keys of a step: needs on_error retry check
 * ("repeatable") undo ("none" "not") verify ([{}]) ponr target with when ("yes" "no" "unknown") drill (a word, or
 * {"with":{}}). The caller frees. */
struct script *fake_script(const char *json);

#endif
