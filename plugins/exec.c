/*
 * exec.c - exec and exec.check: a command of the operator's, at a site.
 *
 * exec: exit code 0 is done, another one is failed (the command itself says so); killed or out of
 * time is unknown. exec.check: 0 pass, 1 fail, everything else unknown, as a script that could not
 * look must not be taken for one that looked. A command has sockets of its own: dark regions are not
 * enforced for it, and the evidence says so.
 */
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "plugins/command.h"
#include "plugins/providers.h"

enum { LINES_MAX = 10000 };

static void env_of(const struct stage *p, struct text_list *ret)
{
    const char *name;
    json_t *value, *map = json_object_get(step_with(p->call), "env");
    json_object_foreach(map, name, value)
    {
        if (!json_is_string(value) || strchr(name, '='))
            continue;
        DR_FREE char *line = dr_strf("%s=%s", name, json_string_value(value));
        text_list_add(ret, line);
    }
}

static enum dr_rc run(struct stage *p, struct command_result *ret, struct dr_err *err)
{
    const struct config_site *at = NULL;
    DR_TRY(stage_at(p, step_text(p->call, "at", NULL), &at, err));
    DR_CLEANUP(text_list_fini) struct text_list argv = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list env = { 0 };
    stage_list(p, "argv", &argv);
    env_of(p, &env);
    DR_TRY(command_run(p, at, &argv, &env, ret, err));
    json_put_int(p->evidence, "exit_code", ret->code);
    if (p->dark.count > 0)
        json_put_text(p->evidence, "dark", "not enforced for commands");
    if (ret->last[0])
        json_put_text(p->evidence, "stderr", ret->last);
    return DR_OK;
}

static const char *command_of(const struct step_call *call)
{
    const char *name =
        json_string_value(json_array_get(json_object_get(step_with(call), "argv"), 0));
    return name ? name : "";
}

/* stdout whole (last newline removed), and as a list of lines. */
static void put_outputs(struct stage *p, struct command_result *r)
{
    char *data = r->output.data;
    size_t len = r->output.len;
    if (len > 0 && data[len - 1] == '\n')
        len--;
    DR_FREE char *text = dr_memdup(data ? data : "", len);
    json_t *lines = json_array();
    char *rest = text[0] ? text : NULL;
    step_output(p->call, "stdout", json_printable(text));
    for (char *l = strsep(&rest, "\n"); l && json_array_size(lines) < LINES_MAX;
         l = strsep(&rest, "\n"))
        json_array_append_new(lines, json_printable(l));
    step_output(p->call, "lines", lines);
    if (r->cut)
        step_log(p->call, "only the first %d bytes of the output were kept", COMMAND_OUTPUT_MAX);
}

static enum step_verdict exec_apply(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    DR_CLEANUP(command_result_fini) struct command_result r = { 0 };
    char why[DR_ERR_MSG_MAX];
    if (stage_init(&p, call, &err) != DR_OK || run(&p, &r, &err) != DR_OK)
        return stage_says(&p, err.rc == DR_E_UNKNOWN ? STEP_UNKNOWN : STEP_FAIL, "%s", err.msg);
    json_put_text(p.evidence, "honours", "none");
    if (r.code == 0)
        put_outputs(&p, &r);
    return stage_says(&p,
                      r.code == 0  ? STEP_PASS
                      : r.code > 0 ? STEP_FAIL
                                   : STEP_UNKNOWN,
                      "%s", command_tell(&r, command_of(call), why));
}

static enum step_verdict exec_check(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    DR_CLEANUP(command_result_fini) struct command_result r = { 0 };
    char why[DR_ERR_MSG_MAX];
    if (stage_init(&p, call, &err) != DR_OK || run(&p, &r, &err) != DR_OK)
        return stage_cannot_tell(&p, &err);
    return stage_says(&p,
                      r.code == 0   ? STEP_PASS
                      : r.code == 1 ? STEP_FAIL
                                    : STEP_UNKNOWN,
                      "%s", command_tell(&r, command_of(call), why));
}

const struct provider provider_exec = { .type = "exec", .apply = exec_apply };
const struct provider provider_exec_check = { .type = "exec.check", .check = exec_check };
