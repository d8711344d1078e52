/*
 * html_work.h - what the files of the page share: html.c, html_run.c, html_steps.c, html_drill.c, html_period.c,
 * html_tables.c and the plots.
 *
 * A page is a row of numbered sections; each also stands in the list of contents, so the page is made in two
 * pieces that html.c joins. Tables know their columns: on a narrow screen each cell shows the name of its
 * column, so cells are written in order, one call of html_cell() each:
 *
 * The first letter of a column's name may say what becomes of it on a narrow screen, where each row is a card:
 * "~State" flows beside its neighbours, "=What" is a line of its own, and neither shows its name there, since its values
 * speak for themselves; "+Took" flows and shows it. All others are lines that begin with their names.
 *
 *     struct html_table t = html_table(h, "Findings", columns);
 *     html_row(&t);
 *     html_cell(&t);            the first cell of a row is its heading
 *     html_add_word(h, f, "id");
 *     html_cell(&t);
 *     html_add_word(h, f, "text");
 *     html_table_end(&t);
 *
 * Writers that are called html_add_... take whatever the report holds: absent, null or of another type is said
 * to be missing, never left empty.
 */
#ifndef DR_PROOF_HTML_WORK_H
#define DR_PROOF_HTML_WORK_H

#include "dr/data/json.h"
#include "dr/proof/html_text.h"
#include "dr/proof/svg.h"

struct html {
    struct buf *out;     /* the head, then the sections */
    struct buf contents; /* owned: items of the list of contents */
    size_t head_len;     /* of out: the contents come behind it */
    int sections;
    bool in_fact; /* between html_facts() and html_facts_end() */
};

/* What stands between <style> and </style>. */
void html_add_style(struct buf *out);

/* -- sections ----------------------------------------------------------------------------------- */

/* Opens a section, and closes the one before. id and title are ours. */
void html_section(struct html *h, const char *id, const char *title);

/* Closes the section that is open, if one is: html.c does it behind the last. */
void html_section_end(struct html *h);

/* A title within a section. */
void html_part(struct html *h, const char *title);

/* "<p class=soft>none on record</p>": for lists that are empty. words are ours. */
void html_nothing(struct html *h, const char *words);

/* -- tables, as above; a row that lacks a cell is a bug of ours, and asserted -------------------- */

struct html_table {
    struct html *h;
    const char *const *columns; /* ours, ended by NULL */
    size_t at;                  /* cells of this row so far */
    bool in_row;
};

struct html_table html_table(struct html *h, const char *caption, const char *const *columns);
void html_row(struct html_table *t);
void html_cell(struct html_table *t);
void html_table_end(struct html_table *t);

/*
 * What is only looked up folds on a narrow screen, behind words of ours; it is open on a wide one and on paper. `open`: it
 * is unfolded from the start. html_fold_end() closes it.
 */
void html_fold(struct html *h, const char *words, bool open);
void html_fold_end(struct html *h);

/* A text of the report; a long one folds behind its first words, unless `open`. */
void html_add_long(struct html *h, const char *text, bool open);

/* A list of names and values, for things that are one of a kind. name is ours. */
void html_facts(struct html *h);
void html_fact(struct html *h, const char *name);
void html_facts_end(struct html *h);

/* -- values ------------------------------------------------------------------------------------- */

/* Text of the report, or "not on record". */
void html_add_word(struct html *h, const json_t *object, const char *key);

/* The same, and `missing` (ours) instead of "not on record". */
void html_add_word_or(struct html *h, const json_t *object, const char *key, const char *missing);

/* A whole number, or "not on record". */
void html_add_number(struct html *h, const json_t *object, const char *key);

/* "41.2 GiB", rounded down, or "not on record". */
void html_add_bytes(struct html *h, const json_t *object, const char *key);

/* true, false, neither: in our words, with their colours. */
void html_add_bool(struct html *h, const json_t *value, const char *yes, const char *no);

/* "2026-11-21 03:16:00.020 UTC"; the day and minute alone. */
void html_add_time(struct html *h, const json_t *object, const char *key);
void html_add_minute(struct html *h, const json_t *object, const char *key);

/* "29m 40s", "4.1s", "320ms"; rounded down, or up. Missing: "not measured". */
void html_add_ms(struct html *h, const json_t *object, const char *key);
void html_tell_ms(struct buf *out, int64_t ms, bool up);

/* "30m", "none": plain text, for titles and pages alike. */
void html_add_objective(struct buf *out, const json_t *object, const char *key);

/* "14.4s to 15.6s", "at least 14.4s", "not measured"; figure: {lo_ms, hi_ms}. */
void html_add_interval(struct html *h, const json_t *figure);

/* A hash, name of an object, path: monospaced, and it may break anywhere. Missing: "not on record". */
void html_add_code(struct html *h, const json_t *object, const char *key);

/* A word such as "met" or "FAILED" in its frame and colour: html_looks() of it. Missing: `missing`. */
void html_add_badge(struct html *h, const char *word, const char *missing);

/* "good", "bad" or "open": the class of a verdict, a state, a severity. Words not known are "open". */
const char *html_looks(const char *word);

/* Any small value that was recorded, as canonical JSON; nothing when it is absent. Evidence folds. */
void html_add_evidence(struct html *h, const json_t *value);
void html_add_params(struct html *h, const json_t *value);

/* "a, b"; none: "-". Items that are no text are left out. */
void html_add_list(struct html *h, const json_t *list);

/* -- plots -------------------------------------------------------------------------------------- */

/* A picture with its title (ours) and below it a caption, which the caller writes; then figure_end. */
void html_figure(struct html *h, const char *title);
void html_figure_end(struct html *h);

/* The same without a picture: why there is none, in words (ours). */
void html_figure_none(struct html *h, const char *title, const char *why);

/*
 * html_plots_run.c: each of these writes a whole figure, or html_figure_none() when the report has nothing to draw. What
 * a picture shows stands in words, too: in its desc for those who cannot see it, in a legend or caption for all.
 */
void html_plot_phases(struct html *h, const json_t *report);
void html_plot_samples(struct html *h, const json_t *report);

/* html_plots_period.c: over a period; a spark line is a small picture within a table. */
void html_plot_runs(struct html *h, const json_t *report);
void html_plot_trend(struct html *h, const json_t *plan);
void html_spark(struct html *h, const json_t *plan);
void html_plot_power(struct html *h, const json_t *report);

/* html_plots_loss.c */
void html_plot_loss(struct html *h, const json_t *report);

/* One bar of phases ({phase, ms} each) from 0 on; returns where it ends. */
int html_bar(const struct plot *p, const json_t *list, int y, int height);

/* The place of a phase in the order of colours, 0 to 8; names not known are the last. */
size_t html_phase(const char *name);

/* -- the kinds ---------------------------------------------------------------------------------- */

/* Each writes the head, then sections. */
void html_run(struct html *h, const json_t *report);
void html_period(struct html *h, const json_t *report);

void html_run_timeline(struct html *h, const json_t *report); /* html_timeline.c */
void html_run_steps(struct html *h, const json_t *report); /* html_steps.c: steps, people, guards */
void html_run_drill(struct html *h, const json_t *report); /* html_drill.c */

/* html_tables.c: plans, sources, runs, forecasts; then the map of clauses. */
void html_period_tables(struct html *h, const json_t *report);
void html_period_clauses(struct html *h, const json_t *report);

/* Opens the head: what the page is, and its verdict in big words; words and looks are ours, of is escaped. */
void html_head(struct html *h, const char *kind, const char *of, const char *words,
               const char *looks);
void html_head_end(struct html *h);

/* What both kinds have. */
void html_findings(struct html *h, const json_t *list); /* html_findings.c */
void html_findings_closed(struct html *h, const json_t *list);
void html_texts(struct html *h, const json_t *list, const char *none);

/* A tile of the head: name (ours), a badge or NULL; the caller writes the value between. */
void html_tile(struct html *h, const char *name);
void html_tile_end(struct html *h, const char *badge);

#endif
