/*
 * snapshots.c - `drctl snapshots`: what there is to restore, and what is refused and why.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/work/pins.h"
#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/cli/data.h"
#include "dr/cli/verbs.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"

static void print_json(const struct snapshot_list *list, const struct pins *pins)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const struct pin *pin = pins_find(pins, list->items[i].id);
        json_t *o = data_snapshot_json(&list->items[i]);
        json_put(o, "pinned", pin != NULL ? json_printable(pin->reason) : json_null());
        cli_json_add(array, o);
    }
    cli_print_json(array);
}

/* Leave only those that carry all of these words. */
static void keep_tagged(struct snapshot_list *list, const struct text_list *tags)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        bool all = true;
        for (size_t k = 0; k < tags->count; k++)
            all = all && text_list_has(&list->items[i].tags, tags->items[k]);
        if (all)
            list->items[kept++] = list->items[i];
        else
            snapshot_info_fini(&list->items[i]);
    }
    list->count = kept;
}

/* What stands behind the buckets: nothing for a good snapshot that was proved. */
static void print_state(const struct snapshot_info *info, int64_t now_ns)
{
    DR_FREE char *why = cli_printable(info->why != NULL ? info->why : "");
    char age[DURATION_TEXT_MAX];
    if (info->state == SNAPSHOT_REFUSED)
        printf("REFUSED: %s", why);
    else if (info->state == SNAPSHOT_INCOMPLETE)
        printf("INCOMPLETE: %s", why);
    else if (info->proved_ns == 0)
        printf("good, not proved yet");
    else
        printf("good, proved %s ago", duration_tell((now_ns - info->proved_ns) / 1000000, age));
}

static void print_pin(const struct pin *pin)
{
    if (pin == NULL)
        return;
    DR_FREE char *reason = cli_printable(pin->reason);
    printf(", pinned%s%s", reason[0] != '\0' ? ": " : "", reason);
}

static void print_table(const struct snapshot_list *list, const struct pins *pins)
{
    int64_t now_ns = clock_wall_ns();
    size_t id_width = strlen("SNAPSHOT");
    for (size_t i = 0; i < list->count; i++)
        if (strlen(list->items[i].id) > id_width)
            id_width = strlen(list->items[i].id);
    if (list->count > 0)
        printf("%-*s  %-11s  %-20s  %9s  %10s  %-12s  %s\n", (int)id_width, "SNAPSHOT", "KIND",
               "TAKEN", "FILES", "SIZE", "BUCKETS", "STATE");
    for (size_t i = 0; i < list->count; i++) {
        const struct snapshot_info *info = &list->items[i];
        char taken[TIME_TEXT_MAX] = "-", size[32];
        if (info->end_ns != 0)
            time_print_s(info->end_ns, taken);
        DR_FREE char *id = cli_printable(info->id);
        DR_FREE char *buckets = text_list_join(&info->buckets, ",");
        printf("%-*s  %-11s  %-20s  %9" PRIu64 "  %10s  %-12s  ", (int)id_width, id,
               info->kind != NULL ? info->kind : "-", taken, info->files,
               text_size(size, sizeof(size), info->bytes), buckets);
        print_state(info, now_ns);
        print_pin(pins_find(pins, info->id));
        DR_FREE char *tags = text_list_join(&info->tags, " #");
        DR_FREE char *shown = cli_printable(tags);
        if (info->tags.count > 0)
            printf("  #%s", shown);
        putchar('\n');
    }
}

static int list_snapshots(struct cli *cli, struct data *d, const char *source,
                          const struct text_list *tags)
{
    struct snapshot_list list = { 0 };
    DR_CLEANUP(pins_fini) struct pins pins = { 0 };
    struct dr_err err;
    if (repo_snapshots(d->repo, source, &list, &err) != DR_OK)
        return cli_fail(cli, &err);
    if (pins_read(d->repo, &pins, &err) != DR_OK)
        log_warning("which snapshots are pinned cannot be told: %s", err.msg);
    data_tell_unlisted(d);
    int exit = EXIT_DONE;
    bool none = list.count == 0;
    keep_tagged(&list, tags);
    if (none && source != NULL && data_source(cli, d->config, source) == NULL)
        exit =
            EXIT_USAGE; /* nothing under that name, neither there nor here: most likely mistyped */
    else if (cli->json)
        print_json(&list, &pins);
    else
        print_table(&list, &pins);
    if (exit == EXIT_DONE && list.count == 0 && !cli->json)
        log_line(LOG_NOTICE, none ? "no snapshots yet: drctl backup takes the first"
                                  : "no snapshot carries that tag");
    snapshot_list_fini(&list);
    return exit;
}

static int run_snapshots(struct cli *cli)
{
    const char *source = NULL;
    DR_CLEANUP(text_list_fini) struct text_list tags = { 0 };
    const struct cli_option options[] = { { "source", .value = &source },
                                          { "tag", .many = &tags } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 0))
        return EXIT_USAGE;
    struct data data;
    int exit = data_open(cli, &data);
    if (exit == EXIT_DONE)
        exit = list_snapshots(cli, &data, source, &tags);
    data_close(&data);
    return exit;
}

const struct cli_verb verb_snapshots = {
    .name = "snapshots",
    .summary = "What there is to restore, newest last",
    .usage =
        "drctl snapshots [--source S] [--tag WORD] [--json]      What there is to restore, newest last\n"
        "\n"
        "  --source S   only those of this source\n"
        "  --tag WORD   only those that carry this tag; given again, all of them\n"
        "  --json       one array of objects: id source kind parent tags state taken_at buckets ...\n"
        "\n"
        "Refused snapshots (unsigned, forged, damaged) are listed with the reason and never chosen.\n",
    .run = run_snapshots,
};
