/*
 * production.h - what a drill could have changed, read before and after, compared field by field.
 *
 *     fields  [{"name": "lease writer/app epoch", "value": "7"},
 *              {"name": "haproxy config", "value": null, "note": "why it could not be read"}, ...]
 *
 * Read are, each at the place that decides and not at a memory of it:
 *
 *     leases    every key at the declared place but that of runs: holder, epoch, granted, fenced
 *     traffic   what HAProxy and PowerDNS answer now for each step of the plan that would set them (the
 *               step's own check, as the engine asks it)
 *     paths     of every source, and the live path of every promotion: link, inode, mounts below
 *     units     of every promotion, at every site that the plan might promote
 *
 * A value is text, or null: it could not be read. Then the proof is "not measured", never "equal".
 * The digest is over the canonical form of the fields; equal fields have equal digests. Comparing is
 * pure.
 */
#ifndef DR_DRILL_PRODUCTION_H
#define DR_DRILL_PRODUCTION_H

#include "dr/run/script.h"

struct production_place {
    const struct config *config;
    const struct script *script;
    const json_t *params;
    const char *run;         /* its id, or NULL before it has one */
    const char *failed, *to; /* or NULL */
};

/* Read it all. Never fails: what cannot be read is null, with a note. The caller drops. */
json_t *production_read(const struct production_place *p) DR_MUST_USE;

enum production_proof { PRODUCTION_EQUAL, PRODUCTION_DIFFERS, PRODUCTION_NOT_MEASURED };

/* The body of the record "production" {when: before}. fields are borrowed. */
json_t *production_before(const json_t *fields) DR_MUST_USE;

/*
 * That of {when: after}: equal (true, false, or null: not measured), differs [{name, before, after}],
 * and unread [names].
 */
json_t *production_after(const json_t *before, const json_t *after, enum production_proof *ret)
    DR_MUST_USE;

/* SHA-256 of the canonical fields, 64 hexadecimal digits. The caller frees. */
char *production_digest(const json_t *fields) DR_MUST_USE;

#endif
