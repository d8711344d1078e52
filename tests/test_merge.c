/*
 * The rules of an incremental snapshot, each turned over: what is believed unread, what is written afresh,
 * and which paths a recovery must delete. Numbers and names only; no file is read.
 */
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "backup/work/merge_plan.h"
#include "backup/work/merge_removed.h"
#include "backup/work/merge_rule.h"
#include "dr/base/mem.h"

/* -- trust --------------------------------------------------------------------------------- */

static struct toc_record record(char type)
{
    return (struct toc_record){ .path = "p",
                                .path_len = 1,
                                .type = type,
                                .link = type == '1' ? "a" : NULL,
                                .mode = 0644,
                                .uid = 10,
                                .gid = 20,
                                .mtime_s = 1000,
                                .mtime_ns = 5,
                                .major = 3,
                                .minor = 4,
                                .size = type == '0' ? 77 : 0 };
}

static struct scan_stat stat_of(uint32_t format)
{
    return (struct scan_stat){ .dev = 1,
                               .rdev = makedev(3, 4),
                               .ino = 2,
                               .size = 77,
                               .mtime_s = 1000,
                               .mtime_ns = 5,
                               .ctime_s = 2000,
                               .ctime_ns = 6,
                               .mode = format | 0644,
                               .uid = 10,
                               .gid = 20,
                               .nlink = 1 };
}

static struct prev_extra extra_of(uint32_t flags)
{
    return (struct prev_extra){
        .dev = 1, .ino = 2, .ctime_s = 2000, .ctime_ns = 6, .flags = EXTRA_KNOWN | flags
    };
}

static enum merge_trust trust(const struct toc_record *r, const struct scan_stat *st)
{
    struct prev_extra extra = extra_of(0);
    return merge_trust(r, &extra, st, NULL, false);
}

static void an_entry_is_believed_when_nothing_about_it_differs(void **state)
{
    (void)state;
    static const struct {
        char type;
        uint32_t format;
    } types[] = { { '0', S_IFREG }, { '2', S_IFLNK }, { '3', S_IFCHR },
                  { '4', S_IFBLK }, { '5', S_IFDIR }, { '6', S_IFIFO } };
    for (size_t i = 0; i < DR_ARRAY_LEN(types); i++) {
        struct toc_record r = record(types[i].type);
        for (size_t k = 0; k < DR_ARRAY_LEN(types); k++) {
            struct scan_stat st = stat_of(types[k].format);
            assert_int_equal(trust(&r, &st), i == k ? MERGE_SAME : MERGE_CHANGED);
        }
    }
    assert_int_equal(merge_type(S_IFSOCK), 0);
}

static void each_word_of_the_stat_counts(void **state)
{
    (void)state;
    struct toc_record r = record('0');
#define DIFFERS(set)                                     \
    do {                                                 \
        struct scan_stat st = stat_of(S_IFREG);          \
        st.set;                                          \
        assert_int_equal(trust(&r, &st), MERGE_CHANGED); \
    } while (0)
    DIFFERS(size++);
    DIFFERS(mode ^= 01);
    DIFFERS(mode |= S_ISUID);
    DIFFERS(uid++);
    DIFFERS(gid++);
    DIFFERS(mtime_s--);
    DIFFERS(mtime_ns++);
    DIFFERS(ctime_s++);
    DIFFERS(ctime_ns--);
    DIFFERS(ino++);
    DIFFERS(dev++);
#undef DIFFERS
    struct scan_stat st = stat_of(S_IFREG);
    st.rdev++; /* of a file it means nothing, and so do more names */
    st.nlink++;
    st.blocks++;
    assert_int_equal(trust(&r, &st), MERGE_SAME);
    struct toc_record device = record('3');
    st = stat_of(S_IFCHR);
    st.rdev = makedev(3, 5);
    assert_int_equal(trust(&device, &st), MERGE_CHANGED);
}

static void what_is_unknown_racy_or_full_is_checked_and_what_differs_is_not(void **state)
{
    (void)state;
    struct toc_record r = record('0');
    struct scan_stat st = stat_of(S_IFREG);
    struct prev_extra none = { .flags = 0 }, racy = extra_of(EXTRA_RACY), known = extra_of(0);
    assert_int_equal(merge_trust(&r, &none, &st, NULL, false), MERGE_CHECK);
    assert_int_equal(merge_trust(&r, &racy, &st, NULL, false), MERGE_CHECK);
    assert_int_equal(merge_trust(&r, &known, &st, NULL, true), MERGE_CHECK);
    st.size++;
    assert_int_equal(merge_trust(&r, &none, &st, NULL, false), MERGE_CHANGED);
    assert_int_equal(merge_trust(&r, &known, &st, NULL, true), MERGE_CHANGED);
}

static void a_link_is_the_same_only_with_the_same_first_name(void **state)
{
    (void)state;
    struct toc_record link = record('1'), file = record('0');
    struct scan_stat st = stat_of(S_IFREG);
    struct prev_extra extra = extra_of(0);
    assert_int_equal(merge_trust(&link, &extra, &st, "a", false), MERGE_SAME);
    assert_int_equal(merge_trust(&link, &extra, &st, "b", false), MERGE_CHANGED);
    assert_int_equal(merge_trust(&link, &extra, &st, NULL, false), MERGE_CHANGED);
    assert_int_equal(merge_trust(&file, &extra, &st, "a", false), MERGE_CHANGED);
}

static void what_changed_just_before_or_in_the_future_is_racy(void **state)
{
    (void)state;
    static const struct {
        int64_t ctime_s;
        uint32_t ctime_ns;
        bool racy;
    } cases[] = {
        { 100, 500000000, true },  { 100, 499999999, true }, { 100, 460000000, true },
        { 100, 449999999, false }, { 99, 999999999, false }, { 101, 1, true },
        { 4000, 1, true },         { -1, 5, false },         { 100, 0, true },
        { 98, 0, false },          { 99, 0, true },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        struct scan_stat st = { .ctime_s = cases[i].ctime_s, .ctime_ns = cases[i].ctime_ns };
        assert_int_equal(merge_is_racy(&st, INT64_C(100500000000)), cases[i].racy);
    }
}

/* -- thresholds ---------------------------------------------------------------------------- */

static void a_bundle_may_be_cut_from_a_quarter_and_must_from_three_that_are_dead(void **state)
{
    (void)state;
    struct merge_range r = { .raw = 1000, .dead = 250, .entries = 100 };
    assert_int_equal(merge_recuts(&r), MERGE_STAYS);
    r.dead = 251;
    assert_int_equal(merge_recuts(&r), MERGE_MAY);
    r.dead = 750;
    assert_int_equal(merge_recuts(&r), MERGE_MAY);
    r.dead = 751;
    assert_int_equal(merge_recuts(&r), MERGE_MUST);
    r.dead = 101;
    assert_int_equal(merge_recuts(&r), MERGE_STAYS);
    r.full = true;
    assert_int_equal(merge_recuts(&r), MERGE_MUST);
    r.dead = 100;
    assert_int_equal(merge_recuts(&r), MERGE_STAYS);
    r.links = true;
    assert_int_equal(merge_recuts(&r), MERGE_MUST);
    assert_false(merge_folds(1000, 500, true));
    assert_true(merge_folds(1000, 501, true));
    assert_false(merge_folds(1000, 750, false));
    assert_true(merge_folds(1000, 751, false));
}

static void a_range_is_cut_for_what_is_new_in_it(void **state)
{
    (void)state;
    struct merge_range r = { .raw = 1000, .avoided = true };
    assert_int_equal(merge_recuts(&r), MERGE_MUST);
    r = (struct merge_range){ .raw = 0, .entries = 3 };
    assert_int_equal(merge_recuts(&r), MERGE_STAYS);
    r.new_bytes = 1;
    assert_int_equal(merge_recuts(&r), MERGE_MUST);
    r = (struct merge_range){ .raw = 1000, .new_bytes = MERGE_NEW_BYTES };
    assert_int_equal(merge_recuts(&r), MERGE_STAYS);
    r.new_bytes++;
    assert_int_equal(merge_recuts(&r), MERGE_MAY);
    r.full = true;
    assert_int_equal(merge_recuts(&r), MERGE_MUST);
    r.full = false;
    r.new_bytes = MERGE_NEW_BYTES_MUST + 1;
    assert_int_equal(merge_recuts(&r), MERGE_MUST);
    r = (struct merge_range){ .raw = 1000, .entries = MERGE_RANGE_ENTRIES + 1 };
    assert_int_equal(merge_recuts(&r), MERGE_MUST);
}

static void a_purse_holds_a_share_of_what_has_changed(void **state)
{
    (void)state;
    struct merge_purse p = { .changed = 100 * MERGE_SHARE };
    assert_false(merge_affords(&p, 101));
    assert_true(merge_affords(&p, 60));
    assert_false(merge_affords(&p, 41));
    assert_true(merge_affords(&p, 40));
    assert_false(merge_affords(&p, 1));
    p.changed += MERGE_SHARE;
    assert_true(merge_affords(&p, 1));
}

static void a_segment_is_rewritten_for_each_reason_alone(void **state)
{
    (void)state;
    struct merge_segment s = { .entries = 2000, .before = 2000, .removed = 1000 };
    assert_false(merge_rewrites(&s));
#define REWRITES(set)                        \
    do {                                     \
        struct merge_segment other = s;      \
        other.set;                           \
        assert_true(merge_rewrites(&other)); \
    } while (0)
    REWRITES(type_changed = true);
    REWRITES(reborn = true);
    REWRITES(blocked = true);
    REWRITES(first_gone = true);
    REWRITES(removed++);
    REWRITES(entries = MERGE_SEGMENT_ENTRIES + 1);
    REWRITES(entries = MERGE_SEGMENT_SMALL - 1);
    REWRITES(names = MERGE_SEGMENT_NAMES + 1);
    REWRITES(rows = MERGE_SEGMENT_ROWS + 1);
#undef REWRITES
    struct merge_segment small = { .entries = 10, .before = 11, .removed = MERGE_REMOVED_MIN };
    assert_false(merge_rewrites(&small)); /* it was small before */
    small.removed++;
    assert_true(merge_rewrites(&small));
}

static void the_bytes_of_an_entry_are_whole_blocks(void **state)
{
    (void)state;
    struct toc_record r = record('0');
    assert_int_equal(merge_entry_bytes(&r), 3 * BLOCK_SIZE + BLOCK_SIZE);
    r.mtime_ns = 0;
    assert_int_equal(merge_entry_bytes(&r), 2 * BLOCK_SIZE);
    r.size = 0;
    assert_int_equal(merge_entry_bytes(&r), BLOCK_SIZE);
}

/* -- removed paths ------------------------------------------------------------------------- */

/* "a/ b -c": directory a, file b, and c that is gone; in path order. */
static void make_parts(struct parts *p, const char *text)
{
    char *copy = dr_strdup(text), *save = NULL;
    *p = (struct parts){ .items = dr_alloc(64, sizeof(struct part)) };
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        struct part *part = &p->items[p->count++];
        size_t len = strlen(word);
        bool gone = word[0] == '-', directory = word[len - 1] == '/';
        char *path = dr_strdup(word + gone);
        path[strlen(path) - directory] = '\0';
        *part = (struct part){ .now = { .path = path, .path_len = strlen(path) } };
        part->now.st.mode = directory ? S_IFDIR : S_IFREG;
        part->verdict = gone ? PART_GONE : PART_SAME;
    }
    free(copy);
}

static void free_parts(struct parts *p)
{
    for (size_t i = 0; i < p->count; i++)
        free((void *)(uintptr_t)p->items[i].now.path);
    parts_fini(p);
}

/* Words to a list ended by NUL each, and back. */
static void to_list(struct buf *out, const char *text)
{
    buf_clear(out);
    buf_adds(out, text);
    if (out->len > 0)
        buf_addc(out, '\0');
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] == ' ')
            out->data[i] = '\0';
}

static const char *to_text(struct buf *list)
{
    for (size_t i = 0; i + 1 < list->len; i++)
        if (list->data[i] == '\0')
            list->data[i] = ' ';
    return list->len > 0 ? list->data : "";
}

struct removed_case {
    const char *before, *parts, *expected;
    bool fresh, reborn, blocked;
};

static void check_removed(const struct removed_case *c)
{
    struct buf before = { 0 };
    struct parts parts;
    struct removed r;
    struct merge_segment facts = { .removed = 0 };
    to_list(&before, c->before);
    make_parts(&parts, c->parts);
    removed_init(&r, &before);
    removed_look(&r, &parts, NULL, &facts);
    struct removed_scope scope = { .first = "", .keep_from = c->fresh ? "~" : NULL };
    removed_pass(&r, &parts, &scope);
    if (facts.reborn != c->reborn || facts.blocked != c->blocked)
        fail_msg("'%s' with '%s': reborn %d, blocked %d", c->before, c->parts, facts.reborn,
                 facts.blocked);
    assert_string_equal(to_text(&r.paths), c->expected);
    removed_fini(&r);
    free_parts(&parts);
    buf_fini(&before);
}

static void dead_paths_are_listed_by_what_is_highest_and_never_what_lives(void **state)
{
    (void)state;
    static const struct removed_case cases[] = {
        { .before = "", .parts = "a/ a/x b", .expected = "" },
        { .before = "", .parts = "a/ -a/x b", .expected = "a/x" },
        { .before = "", .parts = "-a -a/x -a/y b", .expected = "a" },
        { .before = "a/y", .parts = "a/ -a/x b", .expected = "a/x a/y" },
        { .before = "a/y", .parts = "-a b", .expected = "a" },
        { .before = "a/b/c/d", .parts = "a/ a/b/ a/b/x", .expected = "a/b/c" },
        { .before = "a/b/c", .parts = "a/ -a/b -a/b/d z", .expected = "a/b" },
        { .before = "a.b z", .parts = "a/ a/x y", .expected = "a.b z" },
        { .before = "a", .parts = "a/ a/x", .expected = "", .reborn = true },
        { .before = "a/x", .parts = "a b", .expected = "", .blocked = true },
        { .before = "", .parts = "a -a/x -a/y b", .expected = "", .blocked = true },
        { .before = "c d", .parts = "a/ -a/x b", .expected = "", .fresh = true },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++)
        check_removed(&cases[i]);
}

static void a_dead_path_stays_listed_when_its_directory_belongs_to_an_earlier_segment(void **state)
{
    (void)state;
    struct buf before = { 0 };
    struct parts one, two;
    struct removed r;
    make_parts(&one, "a/ -q -q/a");
    make_parts(&two, "-q/m -q/n z");
    removed_init(&r, &before);
    struct removed_scope first = { .first = "", .end = "q/m" }, second = { .first = "q/m" };
    removed_pass(&r, &one, &first);
    removed_pass(&r, &two, &second);
    assert_string_equal(to_text(&r.paths), "q q/m q/n");
    removed_fini(&r);
    /* The first segment is written afresh and forgets q, which a dead copy in the second still makes. */
    to_list(&before, "q q/m q/n");
    free_parts(&one);
    free_parts(&two);
    make_parts(&one, "a/ -a/x");
    make_parts(&two, "z");
    removed_init(&r, &before);
    first.keep_from = "~";
    removed_pass(&r, &one, &first);
    removed_pass(&r, &two, &second);
    assert_string_equal(to_text(&r.paths), "q q/m q/n");
    removed_fini(&r);
    free_parts(&one);
    free_parts(&two);
    buf_fini(&before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_is_believed_when_nothing_about_it_differs),
        cmocka_unit_test(each_word_of_the_stat_counts),
        cmocka_unit_test(what_is_unknown_racy_or_full_is_checked_and_what_differs_is_not),
        cmocka_unit_test(a_link_is_the_same_only_with_the_same_first_name),
        cmocka_unit_test(what_changed_just_before_or_in_the_future_is_racy),
        cmocka_unit_test(a_bundle_may_be_cut_from_a_quarter_and_must_from_three_that_are_dead),
        cmocka_unit_test(a_range_is_cut_for_what_is_new_in_it),
        cmocka_unit_test(a_purse_holds_a_share_of_what_has_changed),
        cmocka_unit_test(a_segment_is_rewritten_for_each_reason_alone),
        cmocka_unit_test(the_bytes_of_an_entry_are_whole_blocks),
        cmocka_unit_test(dead_paths_are_listed_by_what_is_highest_and_never_what_lives),
        cmocka_unit_test(a_dead_path_stays_listed_when_its_directory_belongs_to_an_earlier_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
