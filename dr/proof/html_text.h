/*
 * html_text.h - text from outside as HTML: the one door that it may pass.
 *
 * Names, reasons and outputs in a journal were written by people and programs, and an attacker may be
 * among them. What goes through here is content and nothing else, in an element as in an attribute
 * between double quotes: no markup, no control character, nothing that turns the order of
 * letters round or hides some. What cannot be shown is shown as its number ("\x07", "\u202e"), and
 * a backslash is doubled, so that a number cannot be forged either.
 *
 * Whatever takes a literal (`const char *` with markup in it) is written with buf_adds() instead.
 */
#ifndef DR_PROOF_HTML_TEXT_H
#define DR_PROOF_HTML_TEXT_H

#include "dr/base/buf.h"

/* text: any bytes up to its NUL. */
void html_add_text(struct buf *out, const char *text);

/*
 * The same of names in running text: a short one with a '-' stays in one piece, a long one may break behind '_', and
 * one that is longer still may break anywhere. For content only, since it has elements.
 */
void html_add_name(struct buf *out, const char *text);

/* At most so many letters of text, and ".." when that is not all. Not escaped. The caller frees. */
char *html_short(const char *text, size_t letters) DR_MUST_USE;

#endif
