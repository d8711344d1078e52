/*
 * alerts.c - `drctl alerts`: what people were told, who has it in hand, and whether a channel works.
 *
 * backupd raises alerts and sends letters (dr/notify/notify.h); this verb looks at what it wrote down, notes
 * an acknowledgement there, or sends one letter by itself. The hidden verb `notify-send` is the child that
 * brings one letter to its server.
 */
#include <stdio.h>
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/cli/verbs.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"
#include "dr/notify/notify.h"
#include "dr/run/run.h"

enum { INDENT = 12 };

static char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return cli_printable(text != NULL ? text : "");
}

/* "12m 13s" since an RFC 3339 time, or "a time unknown". */
static const char *age(const json_t *object, const char *name, char out[DURATION_TEXT_MAX])
{
    int64_t then = 0;
    const char *text = json_string_value(json_object_get(object, name));
    if (text == NULL || !time_parse(text, &then) || clock_wall_ns() < then)
        return "a time unknown";
    return duration_tell((clock_wall_ns() - then) / 1000000, out);
}

static void print_alert(const json_t *row)
{
    char since[DURATION_TEXT_MAX], ago[DURATION_TEXT_MAX];
    DR_FREE char *state = text_of(row, "state");
    DR_FREE char *severity = text_of(row, "severity");
    DR_FREE char *key = text_of(row, "key");
    DR_FREE char *title = text_of(row, "title");
    DR_FREE char *hint = text_of(row, "hint");
    const json_t *acked = json_object_get(row, "acknowledged");
    json_int_t escalated = json_integer_value(json_object_get(row, "escalated"));
    bool over = strcmp(state, "resolved") == 0 || strcmp(state, "event") == 0;
    printf("%-11s %s   %s\n", over ? state : severity, key, title);
    printf("%*ssince %s", INDENT, "", age(row, "since", since));
    if (strcmp(state, "calming") == 0)
        printf("; it is gone, and told so when it has been calm for 15m");
    if (json_is_object(acked)) {
        DR_FREE char *by = text_of(acked, "by");
        printf("; acknowledged by %s %s ago", by, age(acked, "at", ago));
    } else if (!over)
        printf("; nobody acknowledged it");
    if (escalated > 0)
        printf("; escalated %d time%s", (int)escalated, CLI_S(escalated));
    putchar('\n');
    if (!over && hint[0] != '\0')
        printf("%*snext: %s\n", INDENT, "", hint);
}

static void print_channel(const json_t *row)
{
    char since[DURATION_TEXT_MAX];
    DR_FREE char *name = text_of(row, "name");
    DR_FREE char *kind = text_of(row, "kind");
    DR_FREE char *why = text_of(row, "why");
    json_int_t wait = json_integer_value(json_object_get(row, "waiting"));
    json_int_t dead = json_integer_value(json_object_get(row, "dead"));
    printf("%-11s %s (%s)", "channel", name, kind);
    if (json_is_string(json_object_get(row, "failing_since")))
        printf(", fails since %s: %s", age(row, "failing_since", since), why);
    if (wait > 0)
        printf("; %d letter%s wait%s", (int)wait, CLI_S(wait), wait == 1 ? "s" : "");
    if (dead > 0)
        printf("; %d given up, kept in alerts/dead", (int)dead);
    putchar('\n');
}

static int show(struct cli *cli, const struct notify *n)
{
    size_t i;
    const json_t *row;
    DR_JSON json_t *alerts = notify_list(n);
    DR_JSON json_t *channels = notify_channels(n);
    if (cli->json) {
        json_t *o = json_object();
        json_put(o, "alerts", DR_TAKE(alerts));
        json_put(o, "channels", DR_TAKE(channels));
        return cli_result_json(o, EXIT_DONE, NULL);
    }
    json_array_foreach(alerts, i, row) print_alert(row);
    if (json_array_size(alerts) == 0)
        printf("no alerts\n");
    json_array_foreach(channels, i, row) print_channel(row);
    if (json_array_size(channels) == 0)
        printf("no channels: the configuration has no 'notify' block, so nobody is told\n");
    return EXIT_DONE;
}

static int acknowledge(struct cli *cli, struct notify *n, const char *key)
{
    struct dr_err err = { 0 };
    DR_FREE char *who = run_operator();
    if (notify_acknowledge(n, key, who, &err) != DR_OK)
        return cli_fail(cli, &err);
    if (cli->json) {
        json_t *o = json_object();
        json_put(o, "key", json_printable(key));
        json_put(o, "by", json_printable(who));
        return cli_result_json(o, EXIT_DONE, NULL);
    }
    DR_FREE char *shown_key = cli_printable(key);
    DR_FREE char *shown_who = cli_printable(who);
    printf("%s is acknowledged by %s: nobody else is called; backupd tells the channels\n",
           shown_key, shown_who);
    return EXIT_DONE;
}

static int test_channel(struct cli *cli, const struct config *c, const char *channel)
{
    struct dr_err err = { 0 };
    DR_FREE char *answer = NULL;
    if (notify_test(c, channel, &answer, &err) != DR_OK)
        return cli_fail(cli, &err);
    if (cli->json) {
        json_t *o = json_object();
        json_put(o, "channel", json_printable(channel));
        json_put(o, "answer", json_printable(answer));
        return cli_result_json(o, EXIT_DONE, NULL);
    }
    DR_FREE char *shown = cli_printable(answer);
    printf("%s took the test letter: %s\n", channel, shown);
    return EXIT_DONE;
}

static int run_alerts(struct cli *cli)
{
    struct dr_err err = { 0 };
    if (!cli_options(cli, NULL, 0, 0, 2))
        return EXIT_USAGE;
    const char *word = cli->argc > 1 ? cli->argv[1] : NULL;
    const char *what = cli->argc > 2 ? cli->argv[2] : NULL;
    bool ack = word != NULL && strcmp(word, "ack") == 0;
    bool test = word != NULL && strcmp(word, "test") == 0;
    if (word != NULL && !ack && !test)
        return cli_usage(cli, "'%s' is neither 'ack' nor 'test'", word);
    if (word != NULL && what == NULL)
        return cli_usage(cli, ack ? "alerts ack needs the key of an alert"
                                  : "alerts test needs the name of a channel");
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL)
        return EXIT_USAGE;
    if (test)
        return test_channel(cli, c, what);
    DR_CLEANUP(notify_close_ptr) struct notify *n = NULL;
    if (notify_open(c, &n, &err) != DR_OK)
        return cli_fail(cli, &err);
    return ack ? acknowledge(cli, n, what) : show(cli, n);
}

const struct cli_verb verb_alerts = {
    .name = "alerts",
    .summary = "what people were told; take an alert in hand; test a channel",
    .usage =
        "drctl alerts                 Which alerts are open, who has them in hand, which channels work\n"
        "drctl alerts ack KEY         Take it in hand: nobody else is called. The name noted is\n"
        "                             $DRCTL_OPERATOR, $SUDO_USER or the user's\n"
        "drctl alerts test CHANNEL    Send a test letter now, and say what the server answered\n"
        "\n"
        "backupd raises the alerts on its host and sends their letters; run this on the same host.\n",
    .run = run_alerts,
};

static int run_notify_send(struct cli *cli)
{
    if (cli->argc > 1)
        return cli_usage(cli, "'notify-send' takes no arguments");
    return notify_child();
}

const struct cli_verb verb_notify_send = {
    .name = "notify-send",
    .usage =
        "drctl notify-send      One letter, from standard input to its server; backupd starts this\n",
    .run = run_notify_send,
};
