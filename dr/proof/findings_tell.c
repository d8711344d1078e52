/*
 * findings_tell.c - a register for people: how late, in which order, and which one is meant by what was typed.
 */
#include <ctype.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/proof/findings.h"
#include "dr/proof/period_work.h"

void findings_judge(json_t *one, int64_t as_of_ns)
{
    int64_t due_ns, opened_ns;
    bool open = findings_is_open(one);
    bool dated = open && period_time(one, "due", &due_ns);
    bool late = dated && due_ns < as_of_ns;
    json_put_text(one, "state", open ? "open" : "closed");
    json_put(one, "overdue", dated ? json_boolean(late) : json_null());
    json_put(one, "overdue_days",
             dated ? json_integer(late ? (as_of_ns - due_ns) / PERIOD_DAY_NS : 0) : json_null());
    bool aged = period_time(one, "opened", &opened_ns) && opened_ns <= as_of_ns;
    json_put(one, "age_days",
             aged ? json_integer((as_of_ns - opened_ns) / PERIOD_DAY_NS) : json_null());
}

/* -- order ---------------------------------------------------------------------------------------------- */

static bool is_critical(const json_t *one)
{
    return strcmp(report_word(one, "severity"), "critical") == 0;
}

/* What has the member stands before what has not; of two, the earlier. */
static int by_moment(const json_t *a, const json_t *b, const char *key)
{
    bool has_a = report_has(a, key), has_b = report_has(b, key);
    return has_a != has_b ? (has_a ? -1 : 1) : strcmp(report_word(a, key), report_word(b, key));
}

static int by_weight(const void *left, const void *right)
{
    const json_t *a = *(json_t *const *)left, *b = *(json_t *const *)right;
    if (findings_is_open(a) != findings_is_open(b))
        return findings_is_open(a) ? -1 : 1;
    if (body_is(a, "overdue") != body_is(b, "overdue"))
        return body_is(a, "overdue") ? -1 : 1;
    if (is_critical(a) != is_critical(b))
        return is_critical(a) ? -1 : 1;
    int order = by_moment(a, b, "due");
    order = order != 0 ? order : by_moment(a, b, "opened");
    return order != 0 ? order : strcmp(report_word(a, "id"), report_word(b, "id"));
}

json_t *findings_sorted(const json_t *list)
{
    size_t count = json_array_size(list);
    json_t *sorted = json_array();
    DR_FREE json_t **all = dr_alloc(count + 1, sizeof(json_t *));
    for (size_t i = 0; i < count; i++)
        all[i] = json_array_get(list, i);
    if (count > 1)
        qsort((void *)all, count, sizeof(json_t *), by_weight);
    for (size_t i = 0; i < count; i++)
        json_array_append(sorted, all[i]);
    return sorted;
}

/* -- which one is meant ----------------------------------------------------------------------------------- */

enum { LEAST_DIGITS = 2, NEAR_MAX = 5, NEAR_DISTANCE = 2 };

/* "f-1A2b", "1a2b": "F-1a2b". The caller frees. */
static char *normal(const char *word)
{
    bool marked = (word[0] == 'F' || word[0] == 'f') && word[1] == '-';
    char *id = dr_strf("F-%s", marked ? word + 2 : word);
    for (char *at = id + 2; *at != '\0'; at++)
        *at = (char)tolower((unsigned char)*at);
    return id;
}

/* Those that begin so; else those that are nearly so. */
static void add_near(const json_t *list, const char *id, struct text_list *ret)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one) if (text_starts(report_word(one, "id"), id))
        text_list_add(ret, report_word(one, "id"));
    if (ret->count > 0)
        return;
    json_array_foreach(list, i, one) if (ret->count < NEAR_MAX &&
                                         text_distance(report_word(one, "id"), id) <= NEAR_DISTANCE)
        text_list_add(ret, report_word(one, "id"));
}

json_t *findings_find(const json_t *list, const char *word, struct text_list *ret_near)
{
    DR_FREE char *id = normal(word);
    json_t *exact = findings_get(list, id);
    if (exact == NULL)
        exact = findings_get(list, word); /* of a ledger that numbered them */
    if (exact != NULL)
        return exact;
    add_near(list, id, ret_near);
    bool one = ret_near->count == 1 && text_starts(ret_near->items[0], id) &&
               strlen(id) >= 2 + LEAST_DIGITS;
    return one ? findings_get(list, ret_near->items[0]) : NULL;
}
