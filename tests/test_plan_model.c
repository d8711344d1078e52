/*
 * A plan as the engine gets it: order, defaults, what belongs to the target, values at run time, params,
 * and how it looks on paper.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/plan/plan.h"

static struct plan *read_text(const char *text)
{
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    struct plan *p = plan_read("t.yaml", text, strlen(text), NULL, &d);
    if (p == NULL) {
        DR_CLEANUP(buf_fini) struct buf out = { 0 };
        diag_print(&d, &out);
        fail_msg("%s", out.data);
    }
    return p;
}

static char *slurp(const char *path)
{
    struct buf b = { 0 };
    struct dr_err err;
    if (fs_read_file(path, 4 << 20, &b, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return buf_take(&b);
}

static struct plan *read_runbook(const char *name)
{
    DR_FREE char *path = dr_strf("runbooks/%s.yaml", name);
    DR_FREE char *text = slurp(path);
    return read_text(text);
}

static const struct plan_step *step(const struct plan *p, const char *id)
{
    size_t i = plan_find_step(p, id);
    assert_true(i != PLAN_NO_STEP);
    return &p->steps[i];
}

static bool waits(const struct plan *p, const char *later, const char *earlier)
{
    return plan_is_after(p, plan_find_step(p, earlier), plan_find_step(p, later));
}

/* ---- order, defaults ---------------------------------------------------------------------------- */

static void a_step_waits_for_all_above_unless_needs_says_otherwise(void **state)
{
    (void)state;
    DR_CLEANUP(plan_free_ptr) struct plan *p = read_runbook("primary_region_failure");
    assert_true(waits(p, "fence", "go"));
    assert_true(waits(p, "snapshot", "pick"));
    assert_false(waits(p, "snapshot", "go"));
    assert_false(waits(p, "snapshot", "fence"));
    assert_true(waits(p, "activate", "fence"));
    assert_true(waits(p, "activate", "snapshot"));
    assert_false(waits(p, "dns", "lb"));
    assert_true(waits(p, "moved", "dns"));
    assert_int_equal(step(p, "lb")->need_count, 1);
    assert_int_equal(step(p, "activate")->need_count, 4);
}

static void what_belongs_to_the_target_is_computed(void **state)
{
    (void)state;
    static const char *const not_its[] = { "pick", "go", "fence", "snapshot" };
    static const char *const its[] = { "activate", "restore", "data_ok", "go_live", "lb",
                                       "dns",      "moved",   "healthy", "intact",  "protect" };
    DR_CLEANUP(plan_free_ptr) struct plan *p = read_runbook("primary_region_failure");
    for (size_t i = 0; i < DR_ARRAY_LEN(not_its); i++)
        assert_false(step(p, not_its[i])->belongs_to_target);
    for (size_t i = 0; i < DR_ARRAY_LEN(its); i++)
        assert_true(step(p, its[i])->belongs_to_target);
    assert_true(p->preflight[2].uses_target);
    assert_false(p->preflight[0].uses_target);
    assert_true(p->uses_failed);
}

static void defaults_are_those_of_the_type(void **state)
{
    (void)state;
    DR_CLEANUP(plan_free_ptr) struct plan *p = read_runbook("primary_region_failure");
    assert_int_equal(step(p, "go")->on_error, PLAN_ROLLBACK);
    assert_int_equal(step(p, "go")->timeout_ms, 0);
    assert_int_equal(step(p, "pick")->on_error, PLAN_HOLD);
    assert_int_equal(step(p, "data_ok")->timeout_ms, 30000);
    assert_int_equal(step(p, "go_live")->timeout_ms, 300000);
    assert_int_equal(step(p, "fence")->timeout_ms, 120000);
    assert_int_equal(step(p, "fence")->retry, 2);
    assert_int_equal(step(p, "fence")->check_source, PLAN_CHECK_OWN);
    assert_int_equal(step(p, "activate")->check_source, PLAN_CHECK_GIVEN);
    assert_int_equal(step(p, "activate")->undo_source, PLAN_UNDO_GIVEN);
    assert_int_equal(step(p, "restore")->undo_source, PLAN_UNDO_OWN);
    assert_int_equal(step(p, "restore")->on_error, PLAN_NEXT_STANDBY);
    assert_int_equal(step(p, "restore")->drill, DRILL_ISOLATED);
    assert_int_equal(step(p, "lb")->drill, DRILL_SIMULATE);
    assert_int_equal(step(p, "moved")->drill, DRILL_RUN);
    assert_int_equal(p->no_return, plan_find_step(p, "go_live"));
    assert_int_equal(p->rto_ms, 1800000);
    assert_int_equal(p->rpo_ms, 3600000);
    assert_int_equal(p->trigger.mode, PLAN_TRIGGER_ASK);
    assert_int_equal(p->trigger.for_ms, 90000);
}

static void the_hash_is_that_of_the_bytes(void **state)
{
    (void)state;
    static const char text[] = "plan: p\nsteps: [{id: a, use: wait, with: {for: 5s}}]\n";
    DR_CLEANUP(plan_free_ptr) struct plan *a = read_text(text);
    DR_CLEANUP(plan_free_ptr) struct plan *b = read_text(text);
    DR_FREE char *other = dr_strf("%s# x\n", text);
    DR_CLEANUP(plan_free_ptr) struct plan *c = read_text(other);
    assert_int_equal(strlen(a->hash), 64);
    assert_string_equal(a->hash, b->hash);
    assert_string_not_equal(a->hash, c->hash);
}

/* ---- values ------------------------------------------------------------------------------------- */

/* What the test knows: name, JSON text. */
struct known {
    const char *name, *json;
};

static json_t *look_up(void *arg, const char *name)
{
    for (const struct known *k = arg; k->name != NULL; k++)
        if (strcmp(k->name, name) == 0)
            return json_loads(k->json, JSON_DECODE_ANY, NULL);
    return NULL;
}

static void assert_with(const struct plan_call *c, struct known *known, const char *want)
{
    const struct plan_lookup look = { look_up, known, 0 };
    struct dr_err err;
    DR_JSON json_t *with = NULL;
    if (plan_call_resolve(c, NULL, &look, &with, &err) != DR_OK)
        fail_msg("%s", err.msg);
    char *text = json_dumps(with, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(6));
    assert_non_null(text);
    DR_FREE char *owned = text;
    assert_string_equal(owned, want);
}

static struct known failover[] = { { "failed", "\"us\"" },
                                   { "target", "\"eu\"" },
                                   { "target.address", "\"10.0.0.2\"" },
                                   { "failed.bmc", "\"10.0.0.9\"" },
                                   { "ticket", "\"INC-7\"" },
                                   { "run.epoch", "18" },
                                   { "snapshot.id", "\"S1\"" },
                                   { NULL, NULL } };

static void arguments_become_typed_json(void **state)
{
    (void)state;
    DR_CLEANUP(plan_free_ptr) struct plan *p = read_runbook("primary_region_failure");
    assert_with(&step(p, "snapshot")->call, failover,
                "{\"source\":\"config-db\",\"verified_within\":86400000}");
    assert_with(&step(p, "restore")->call, failover,
                "{\"at\":\"eu\",\"snapshot\":\"S1\",\"to\":\"/var/lib/config/gen-18\"}");
    assert_with(&step(p, "moved")->call, failover,
                "{\"name\":\"config.example.com\",\"share\":0.95,\"want\":[\"10.0.0.2\"]}");
    assert_with(&step(p, "go")->call, failover,
                "{\"question\":\"Give up us? (INC-7)\",\"role\":\"dr-commander\"}");
    assert_with(
        &step(p, "fence")->call, failover,
        "{\"methods\":[{\"use\":\"fence.lease\",\"with\":{\"key\":\"writer/config-service\","
        "\"margin\":15000}},{\"use\":\"fence.firewall\",\"with\":{\"jump\":\"edge-fw\"}},"
        "{\"use\":\"fence.ipmi\",\"with\":{\"bmc\":\"10.0.0.9\"}}],\"region\":\"us\"}");
    assert_with(&step(p, "activate")->call, failover,
                "{\"argv\":[\"/usr/local/bin/activate-region.sh\",\"eu\"],\"at\":\"eu\","
                "\"phase\":\"activate\"}");
}

static void what_is_not_known_is_named(void **state)
{
    (void)state;
    struct known nothing[] = { { NULL, NULL } };
    const struct plan_lookup look = { look_up, nothing, 0 };
    DR_CLEANUP(plan_free_ptr) struct plan *p = read_runbook("primary_region_failure");
    struct dr_err err;
    json_t *with = NULL;
    assert_int_equal(plan_call_resolve(&step(p, "lb")->call, NULL, &look, &with, &err),
                     DR_E_UNKNOWN);
    assert_non_null(strstr(err.msg, "'target' is not known"));
    assert_null(with);
}

static void a_value_of_the_wrong_type_is_refused_at_run_time(void **state)
{
    (void)state;
    struct known wrong[] = { { "d", "\"soon\"" }, { NULL, NULL } };
    const struct plan_lookup look = { look_up, wrong, 0 };
    DR_CLEANUP(plan_free_ptr)
    struct plan *p = read_text("plan: p\nparams: {d: {type: duration}}\n"
                               "steps: [{id: a, use: wait, with: {for: \"${d}\"}}]\n");
    struct dr_err err;
    json_t *with = NULL;
    assert_int_equal(plan_call_resolve(&p->steps[0].call, NULL, &look, &with, &err), DR_E_CONFIG);
}

static void a_substituted_value_is_never_substituted_again(void **state)
{
    (void)state;
    struct known sly[] = { { "x", "\"${secret.k} $${\"" },
                           { "l", "[\"a b\",\"${x}\"]" },
                           { NULL, NULL } };
    DR_CLEANUP(plan_free_ptr)
    struct plan *p =
        read_text("plan: p\nparams: {x: {type: string}, l: {type: list}}\nsteps:\n"
                  "  - {id: a, use: exec, undo: none, with: {argv: [/x, \"-${x}-\", \"$${x}\"]}}\n"
                  "  - {id: b, use: exec, undo: none, with: {argv: \"${l}\"}}\n");
    assert_with(&p->steps[0].call, sly, "{\"argv\":[\"/x\",\"-${secret.k} $${-\",\"${x}\"]}");
    assert_with(&p->steps[1].call, sly, "{\"argv\":[\"a b\",\"${x}\"]}");
}

static void a_secret_travels_as_its_name(void **state)
{
    (void)state;
    struct known nothing[] = { { NULL, NULL } };
    DR_CLEANUP(plan_free_ptr)
    struct plan *p = read_text(
        "plan: p\nsteps:\n"
        "  - {id: a, use: powerdns, with: {zone: z, name: n, to: [\"::1\"], key: \"${secret.pdns}\"}}\n");
    assert_with(&p->steps[0].call, nothing,
                "{\"key\":{\"secret\":\"pdns\"},\"name\":\"n\",\"to\":[\"::1\"],\"zone\":\"z\"}");
    DR_FREE char *told = plan_value_tell(p->steps[0].call.values[3], NULL);
    assert_string_equal(told, "${secret.pdns}");
}

static void a_drill_replaces_only_what_it_names(void **state)
{
    (void)state;
    struct known nothing[] = { { NULL, NULL } };
    const struct plan_lookup look = { look_up, nothing, 0 };
    DR_CLEANUP(plan_free_ptr)
    struct plan *p = read_text("plan: p\nsteps:\n  - id: a\n    use: dns.check\n"
                               "    with: {name: www.x, want: [192.0.2.1]}\n"
                               "    drill: {with: {name: drill.x}}\n");
    struct dr_err err;
    DR_JSON json_t *with = NULL;
    assert_int_equal(
        plan_call_resolve(&p->steps[0].call, p->steps[0].drill_with, &look, &with, &err), DR_OK);
    assert_string_equal(json_string_value(json_object_get(with, "name")), "drill.x");
    assert_int_equal(json_array_size(json_object_get(with, "want")), 1);
}

static void titles_are_told_with_what_is_known(void **state)
{
    (void)state;
    const struct plan_lookup look = { look_up, failover, 0 };
    DR_CLEANUP(plan_free_ptr) struct plan *p = read_runbook("primary_region_failure");
    DR_FREE char *before = plan_step_title(step(p, "lb"), NULL);
    DR_FREE char *after = plan_step_title(step(p, "lb"), &look);
    DR_FREE char *own = plan_step_title(step(p, "activate"), &look);
    DR_FREE char *way = plan_value_tell(step(p, "go_live")->point_of_no_return, &look);
    assert_string_equal(before, "Send the traffic of config to ${target}");
    assert_string_equal(after, "Send the traffic of config to eu");
    assert_string_equal(own, "Start the standby region");
    assert_string_equal(way, "new writes exist only in eu");
}

static void typed_values_are_told_with_their_units(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum arg_type type;
        const char *want;
    } cases[] = { { "90000", ARG_DURATION, "1m30s" },    { "1610612736", ARG_SIZE, "1.5GiB" },
                  { "512", ARG_SIZE, "512B" },           { "0.25", ARG_PERCENT, "25%" },
                  { "0.025", ARG_PERCENT, "2.5%" },      { "7", ARG_INTEGER, "7" },
                  { "1.5", ARG_NUMBER, "1.5" },          { "true", ARG_BOOLEAN, "true" },
                  { "[\"a\",\"b\"]", ARG_LIST, "a, b" }, { "\"x\"", ARG_TEXT, "x" } };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        DR_JSON json_t *value = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        DR_FREE char *got = plan_json_tell(value, cases[i].type);
        assert_string_equal(got, cases[i].want);
    }
}

static void a_condition_has_three_answers(void **state)
{
    (void)state;
    DR_CLEANUP(plan_free_ptr)
    struct plan *p = read_text(
        "plan: p\nparams: {d: {type: duration, default: 5m}}\nsteps:\n"
        "  - {id: a, use: wait, when: run.mode == 'failover' and d > 90s, with: {for: 5s}}\n"
        "  - {id: b, use: wait, with: {for: 5s}}\n");
    struct known yes[] = { { "run.mode", "\"failover\"" }, { "d", "300000" }, { NULL, NULL } };
    struct known no[] = { { "run.mode", "\"run\"" }, { NULL, NULL } };
    struct known half[] = { { "run.mode", "\"failover\"" }, { NULL, NULL } };
    struct plan_lookup look = { look_up, yes, 0 };
    assert_int_equal(plan_when(p, p->steps[0].when, &look), EXPR_TRUE);
    look.arg = no;
    assert_int_equal(plan_when(p, p->steps[0].when, &look), EXPR_FALSE);
    look.arg = half;
    assert_int_equal(plan_when(p, p->steps[0].when, &look), EXPR_UNKNOWN);
    assert_int_equal(plan_when(p, p->steps[1].when, &look), EXPR_TRUE);
}

/* ---- params ------------------------------------------------------------------------------------- */

static void params_are_checked_by_type_match_and_values(void **state)
{
    (void)state;
    DR_CLEANUP(plan_free_ptr)
    struct plan *p = read_text("plan: p\nparams:\n"
                               "  ticket: {type: string, match: \"INC-[0-9]+|none\"}\n"
                               "  size: {type: percent, default: 20%}\n"
                               "  how: {type: string, values: [fast, safe], default: safe}\n"
                               "  hosts: {type: list, default: [a, b]}\n"
                               "  word: {type: string}\n"
                               "steps: [{id: a, use: wait, with: {for: 5s}}]\n");
    static const struct {
        const char *name, *text, *json;
    } cases[] = { { "ticket", "INC-47", "\"INC-47\"" },
                  { "ticket", "xINC-47", NULL },
                  { "ticket", "INC-47x", NULL },
                  { "ticket", "none", "\"none\"" },
                  { "size", "50%", "0.5" },
                  { "size", "50", NULL },
                  { "how", "fast", "\"fast\"" },
                  { "how", "slow", NULL },
                  { "hosts", "x,y", "[\"x\",\"y\"]" },
                  { "word", "true", "\"true\"" },
                  { "word", "\xff", NULL },
                  { "word", "", "\"\"" } };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        struct dr_err err;
        DR_JSON json_t *value = NULL;
        const struct plan_param *param = plan_find_param(p, cases[i].name);
        enum dr_rc rc = plan_param_read(param, cases[i].text, &value, &err);
        assert_int_equal(rc, cases[i].json == NULL ? DR_E_USAGE : DR_OK);
        if (rc != DR_OK)
            continue;
        DR_JSON json_t *want = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        assert_true(json_equal(value, want));
    }
    assert_non_null(plan_find_param(p, "hosts")->fallback);
    assert_null(plan_find_param(p, "ticket")->fallback);
}

/* ---- the engine's limits, paper ----------------------------------------------------------------- */

static bool runs_all_but(void *arg, const char *type)
{
    return strcmp(type, arg) != 0;
}

static void what_an_engine_cannot_run_is_named(void **state)
{
    (void)state;
    char each[] = "for_each", plan[] = "plan", none[] = "";
    DR_CLEANUP(plan_free_ptr) struct plan *p = read_runbook("regional_outage");
    DR_FREE char *what = plan_unsupported(p, runs_all_but, each);
    assert_string_equal(what, "step 'shift' uses for_each, which this drctl cannot run yet");
    assert_null(plan_unsupported(p, runs_all_but, none));
    DR_CLEANUP(plan_free_ptr) struct plan *q = read_runbook("rollback_playbook");
    DR_FREE char *sub = plan_unsupported(q, runs_all_but, plan);
    assert_string_equal(sub, "step 'at_once' uses plan, which this drctl cannot run yet");
}

static void assert_golden(const char *name, const struct buf *got)
{
    DR_FREE char *path = dr_strf("tests/golden/plan/%s", name);
    DR_FREE char *want = slurp(path);
    assert_string_equal(got->data, want);
}

static void paper_shows_what_the_golden_files_show(void **state)
{
    (void)state;
    static const char *const names[] = { "primary_region_failure", "rollback_playbook",
                                         "regional_outage" };
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++) {
        DR_CLEANUP(plan_free_ptr) struct plan *p = read_runbook(names[i]);
        DR_CLEANUP(buf_fini) struct buf out = { 0 };
        DR_FREE char *golden = dr_strf("print-%s.txt", names[i]);
        plan_print(p, &out);
        assert_golden(golden, &out);
    }
}

static void types_are_told_as_the_golden_files_show(void **state)
{
    (void)state;
    static const char *const names[] = { "exec", "fence", "http.check" };
    DR_CLEANUP(buf_fini) struct buf all = { 0 };
    plan_print_types(&all);
    assert_golden("types.txt", &all);
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++) {
        DR_CLEANUP(buf_fini) struct buf out = { 0 };
        DR_FREE char *golden = dr_strf("type-%s.txt", names[i]);
        plan_print_type(step_type_find(names[i]), &out);
        assert_golden(golden, &out);
    }
}

static void the_table_of_types_is_sorted_and_whole(void **state)
{
    (void)state;
    size_t count;
    const struct step_type *all = step_type_all(&count);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            assert_true(strcmp(all[i - 1].name, all[i].name) < 0);
        assert_ptr_equal(step_type_find(all[i].name), &all[i]);
        bool check =
            strlen(all[i].name) > 6 && strcmp(all[i].name + strlen(all[i].name) - 6, ".check") == 0;
        if (check)
            assert_int_equal(all[i].class, STEP_CHECK);
        for (const char *ref = strstr(all[i].sentence, "${"); ref != NULL;
             ref = strstr(ref + 1, "${")) {
            DR_FREE char *name = dr_memdup(ref + 2, strcspn(ref + 2, "}"));
            assert_non_null(step_type_arg(&all[i], name));
        }
    }
    assert_null(step_type_find("fence.lease"));
    assert_non_null(step_method_find("fence.lease"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_waits_for_all_above_unless_needs_says_otherwise),
        cmocka_unit_test(what_belongs_to_the_target_is_computed),
        cmocka_unit_test(defaults_are_those_of_the_type),
        cmocka_unit_test(the_hash_is_that_of_the_bytes),
        cmocka_unit_test(arguments_become_typed_json),
        cmocka_unit_test(what_is_not_known_is_named),
        cmocka_unit_test(a_value_of_the_wrong_type_is_refused_at_run_time),
        cmocka_unit_test(a_substituted_value_is_never_substituted_again),
        cmocka_unit_test(a_secret_travels_as_its_name),
        cmocka_unit_test(a_drill_replaces_only_what_it_names),
        cmocka_unit_test(titles_are_told_with_what_is_known),
        cmocka_unit_test(typed_values_are_told_with_their_units),
        cmocka_unit_test(a_condition_has_three_answers),
        cmocka_unit_test(params_are_checked_by_type_match_and_values),
        cmocka_unit_test(what_an_engine_cannot_run_is_named),
        cmocka_unit_test(paper_shows_what_the_golden_files_show),
        cmocka_unit_test(types_are_told_as_the_golden_files_show),
        cmocka_unit_test(the_table_of_types_is_sorted_and_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
