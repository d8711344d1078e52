/*
 * Samples as lines of text. What a line says is only believed as a number of milliseconds: the worst that a
 * wrong one does is a second request too early or too late, until 64 reads have pushed it out.
 */
#include "backup/work/hedge_keep.h"

#include <stdlib.h>
#include <string.h>

#include "backup/work/hedge.h"
#include "backup/work/memo.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

static const char file[] = "latency", magic[] = "latency1 ";

/* "eu-0123abcd". The caller frees. */
static char *key_of(const struct config_bucket *b)
{
    enum { DIGITS = 8 };
    uint8_t digest[HASH_SIZE];
    char hex[HASH_HEX_SIZE];
    hash_bytes(b->url, strlen(b->url), digest);
    return dr_strf("%s-%.*s", b->name, DIGITS, hex_encode(digest, sizeof(digest), hex));
}

void hedge_keep_print(struct hedge *h, const struct config *config, struct buf *out)
{
    uint32_t ms[HEDGE_SAMPLES];
    for (size_t i = 0; i < config->bucket_count; i++) {
        DR_FREE char *key = key_of(&config->buckets[i]);
        for (unsigned class = 0; class < HEDGE_CLASSES; class ++) {
            unsigned count = hedge_samples(h, i, class, ms);
            if (count == 0)
                continue;
            buf_addf(out, "%s%s %u", magic, key, class);
            for (unsigned k = 0; k < count; k++)
                buf_addf(out, " %u", ms[k]);
            buf_addc(out, '\n');
        }
    }
}

/* "12 7 130"; a letter ends it. */
static void learn(struct hedge *h, size_t bucket, unsigned class, const char *at)
{
    for (unsigned n = 0; n < HEDGE_SAMPLES && *at == ' '; n++) {
        size_t digits = strspn(at + 1, "0123456789");
        if (digits == 0 || digits > 7)
            return;
        hedge_learn(h, bucket, class, (uint32_t)strtoul(at + 1, NULL, 10));
        at += 1 + digits;
    }
}

void hedge_keep_parse(struct hedge *h, const struct config *config, const char *text, size_t len)
{
    DR_FREE char *copy = dr_memdup(len > 0 ? text : "", len); /* with a NUL behind it */
    for (char *rest = copy, *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (!text_starts(line, magic))
            continue;
        const char *at = line + strlen(magic);
        for (size_t i = 0; i < config->bucket_count; i++) {
            DR_FREE char *key = key_of(&config->buckets[i]);
            size_t len_of = strlen(key);
            bool ours = text_starts(at, key) && at[len_of] == ' ' && at[len_of + 1] >= '0' &&
                        at[len_of + 1] < '0' + HEDGE_CLASSES;
            if (ours)
                learn(h, i, (unsigned)(at[len_of + 1] - '0'), at + len_of + 2);
        }
    }
}

static void write_down(void *arg)
{
    struct repo *r = arg;
    struct dr_err ignored = { 0 };
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    const struct config *c = repo_config(r);
    if (c->state_dir == NULL || !hedge_has_news(repo_hedge(r)))
        return;
    hedge_keep_print(repo_hedge(r), c, &text);
    if (text.len == 0 || text.len > MEMO_SIZE_MAX)
        return;
    enum dr_rc rc = memo_replace(c->state_dir, file, text.data, text.len, &ignored);
    (void)rc; /* learnt anew */
}

void hedge_keep(struct repo *r)
{
    struct dr_err ignored = { 0 };
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    const struct config *c = repo_config(r);
    if (c->state_dir != NULL && memo_read(c->state_dir, file, &text, &ignored) == DR_OK)
        hedge_keep_parse(repo_hedge(r), c, text.data, text.len);
    repo_at_close(r, write_down, r);
}
