/*
 * text.h - small things about strings: lists, nearest words, printable forms.
 */
#ifndef DR_BASE_TEXT_H
#define DR_BASE_TEXT_H

#include "dr/base/buf.h"

/* A growing list of strings. A zeroed struct is an empty list. */
struct text_list {
    char **items; /* owned, each item too */
    size_t count;
    size_t cap;
};

void text_list_fini(struct text_list *list);
void text_list_add(struct text_list *list, const char *text); /* copied */
void text_list_addn(struct text_list *list, const char *text, size_t len);
bool text_list_has(const struct text_list *list, const char *text);
void text_list_sort(struct text_list *list); /* bytewise */

/* text_list_has() by halving: the list is sorted. */
bool text_list_has_sorted(const struct text_list *list, const char *text);

/* "a, b, c". The caller frees. */
char *text_list_join(const struct text_list *list, const char *between) DR_MUST_USE;

bool text_starts(const char *text, const char *prefix);
bool text_ends(const char *text, const char *suffix);

/* Number of insertions, deletions, replacements and swaps of neighbours between a and b
 * (Damerau 1964, optimal string alignment). Words over 64 bytes count as far apart. */
unsigned text_distance(const char *a, const char *b);

/*
 * The candidate nearest to word, or NULL when none is near enough to be what was meant:
 * at most a third of its length (at least 1, at most 3) apart. Borrowed from candidates.
 */
const char *text_nearest(const char *word, const char *const *candidates, size_t count);

/* Valid UTF-8 (RFC 3629: no surrogates, no overlong forms)? */
bool text_is_utf8(const char *text, size_t len);

/*
 * Append text for a terminal or a log: control bytes, DEL and invalid UTF-8 become \xNN, so
 * that a file name can never move the cursor or forge a line; what turns the direction of text about or cannot be seen
 * becomes \uNNNN, so that it shows the name that it is. Backslash becomes "\\".
 */
void text_add_printable(struct buf *out, const char *text, size_t len);

/* "12.3 MiB"; units of 1024. Writes at most size bytes. Returns out. */
char *text_size(char *out, size_t size, uint64_t bytes);

#endif
