/*
 * Plans that are made smaller: edits as options and back, which findings are the same, and what is
 * left of a plan that breaks.
 */

#include "tools/sim_minimize.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/log.h"
#include "tests/cmocka_wrapper.h"
#include "tools/sim_child.h"
#include "tools/sim_edit.h"

#define SECOND_NS (UINT64_C(1000) * 1000 * 1000)

static struct swarm_plan drawn[1];
static struct swarm_plan plan[1];
static struct swarm_result result[1];

/* ---- options ------------------------------------------------------------------------------- */

static enum sim_edit_option parse(const char *name, const char *value, struct swarm_edit *edit) {
    bool has_value;
    return sim_edit_parse(name, value, edit, &has_value);
}

static void a_wrong_value_of_an_option_is_refused(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"--only", ""},     {"--only", "0"},        {"--only", "161"},      {"--only", "3,"},
        {"--only", "5..3"}, {"--only", "1..161"},   {"--only", "x"},        {"--without", "1 2"},
        {"--until", "0"},   {"--until", "0.000"},   {"--until", "1.2345"},  {"--until", "1."},
        {"--until", "-1"},  {"--until", "9999999"}, {"--first-nodes", "0"}, {"--first-nodes", "8"},
        {"--clients", "0"}, {"--clients", "65"},
    };
    struct swarm_edit edit = {0};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        assert_int_equal(parse(wrong[i][0], wrong[i][1], &edit), SIM_EDIT_VALUE_WRONG);
    }
    assert_int_equal(parse("--until", NULL, &edit), SIM_EDIT_VALUE_WRONG);
    assert_int_equal(parse("--seed", "1", &edit), SIM_EDIT_NOT_MINE);
}

/* Parses "--only 1,3" and so on, a name or a value each. */
static void parse_all(char *text, struct swarm_edit *edit) {
    *edit = (struct swarm_edit){0};
    for (char *rest = text, *name; (name = strtok_r(NULL, " ", &rest)) != NULL;) {
        bool has_value = strcmp(name, "--calm") != 0 && strcmp(name, "--plain") != 0;
        char *value = has_value ? strtok_r(NULL, " ", &rest) : NULL;
        assert_int_equal(parse(name, value, edit), SIM_EDIT_TAKEN);
    }
}

static void an_edit_as_options_is_the_same_edit_again(void **state) {
    (void)state;
    static const char *const edits[] = {
        "",
        " --only none",
        " --only 1",
        " --only 2,4..5,9",
        " --without 1..3,7,10",
        " --until 0.050",
        " --until 12.340",
        " --only 3 --until 7.001 --first-nodes 2 --clients 1 --calm --plain",
    };
    drawn->action_count = 10;
    for (size_t i = 0; i < ARRAY_COUNT(edits); i++) {
        char text[256];
        struct swarm_edit edit;
        (void)snprintf(text, sizeof(text), "%s", edits[i]);
        parse_all(text, &edit);
        assert_int_equal(sim_edit_any(&edit), i > 0);
        sim_edit_print(&edit, drawn, text, sizeof(text));
        assert_string_equal(text, edits[i]);
    }
    struct swarm_edit edit = {0};
    assert_int_equal(parse("--until", "2.5", &edit), SIM_EDIT_TAKEN);
    assert_int_equal(edit.until_ms, 2500);
}

/* ---- findings ------------------------------------------------------------------------------ */

static bool same(const char *a, const char *b, uint32_t kind_bytes) {
    static struct swarm_result results[2];
    results[0] = (struct swarm_result){.failed = true, .kind_bytes = kind_bytes};
    results[1] = results[0];
    (void)snprintf(results[0].finding, sizeof(results[0].finding), "%s", a);
    (void)snprintf(results[1].finding, sizeof(results[1].finding), "%s", b);
    return sim_same_finding(&results[0], &results[1]);
}

static void findings_are_the_same_if_only_numbers_and_details_differ(void **state) {
    (void)state;
    assert_false(same("node 1 leads term 2", "node 1 lacks term 2", 0));
    assert_false(same("node 1 leads", "node 1 leads term 2", 0));
    assert_false(same("node 1 leads term 2", "node 1 leads", 0));
    assert_false(same("a key: GET", "the log: GET", 5));
    assert_false(same("a key: GET", "a kex: GET", 5));
    assert_true(same("node 1 leads term 2", "node 13 leads term 4711", 0));
    assert_true(same("a key: GET k1", "a key: SET", 5));
    assert_true(same("", "", 0));
}

/* ---- what is left -------------------------------------------------------------------------- */

/* Clients that ask for next to nothing: a healed quorum answers nothing, which is a finding,
 * whatever else happens.  Thirty power cuts have nothing to do with it. */
static void plan_that_breaks_by_itself(void) {
    swarm_plan_draw(drawn, 2, 3);
    drawn->node_count = drawn->founder_count;
    drawn->world = world_options_calm();
    drawn->safety_ns = 4 * SECOND_NS;
    drawn->clients = cluster_clients_options_default();
    drawn->clients.rate = 1;
    drawn->action_count = 0;
    for (uint64_t i = 0; i < 30; i++) {
        drawn->actions[drawn->action_count++] =
            (struct swarm_action){.fault = SWARM_KILL,
                                  .from_ns = i * SECOND_NS / 10,
                                  .to_ns = i * SECOND_NS / 10 + SECOND_NS / 20,
                                  .node = (uint32_t)(i % 3)};
    }
}

static void what_is_left_breaks_in_the_same_way_and_has_nothing_beside(void **state) {
    (void)state;
    const struct sim_minimize_options quiet = {.quiet = true};
    struct swarm_edit edit = {0};
    struct swarm_result first;
    plan_that_breaks_by_itself();
    *plan = *drawn;
    assert_true(sim_child_run(plan, SIM_STORY_NONE, result));
    assert_true(result->failed);
    first = *result;
    assert_true(sim_minimize(drawn, &quiet, &edit, result));
    assert_true(result->failed);
    assert_true(sim_same_finding(&first, result));
    *plan = *drawn;
    swarm_plan_edit(plan, &edit);
    assert_int_equal(swarm_plan_actions(plan), 0);
    assert_true(plan->node_count < drawn->node_count);
    assert_false(edit.plain); /* it would ask for more */
    struct swarm_result again;
    assert_true(sim_child_run(plan, SIM_STORY_NONE, &again));
    assert_true(again.failed);
    assert_string_equal(again.finding, result->finding);
    assert_int_equal(again.step, result->step);
    assert_int_equal(again.trace_hash, result->trace_hash);
}

/* Only the order of the edits counts, not which run ends first. */
static void what_is_left_does_not_depend_on_how_many_run_at_once(void **state) {
    (void)state;
    static struct swarm_result results[2];
    struct swarm_edit edits[2] = {0};
    plan_that_breaks_by_itself();
    for (uint32_t i = 0; i < 2; i++) {
        const struct sim_minimize_options how = {.quiet = true, .jobs = 1 + 4 * i};
        *plan = *drawn;
        assert_true(sim_child_run(plan, SIM_STORY_NONE, &results[i]));
        assert_true(sim_minimize(drawn, &how, &edits[i], &results[i]));
    }
    assert_memory_equal(&edits[0], &edits[1], sizeof(edits[0]));
    assert_int_equal(results[0].trace_hash, results[1].trace_hash);
    assert_string_equal(results[0].finding, results[1].finding);
}

/* A bound is kept: what was found until then is what is left, and it breaks. */
static void a_minimization_ends_when_its_time_is_over(void **state) {
    (void)state;
    const struct sim_minimize_options short_one = {.quiet = true, .seconds_max = 1};
    struct swarm_edit edit = {0};
    struct timespec begun;
    struct timespec now;
    plan_that_breaks_by_itself();
    *plan = *drawn;
    assert_true(sim_child_run(plan, SIM_STORY_NONE, result));
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &begun), 0);
    assert_true(sim_minimize(drawn, &short_one, &edit, result));
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    assert_true(now.tv_sec - begun.tv_sec < 60); /* the last runs are let come to their end */
    assert_true(result->failed);
    *plan = *drawn;
    swarm_plan_edit(plan, &edit);
    struct swarm_result again;
    assert_true(sim_child_run(plan, SIM_STORY_NONE, &again));
    assert_true(again.failed);
    assert_int_equal(again.trace_hash, result->trace_hash);
}

/* An edit that breaks is where it starts from: nothing comes back. */
static void what_was_taken_away_before_stays_away(void **state) {
    (void)state;
    const struct sim_minimize_options quiet = {.quiet = true};
    struct swarm_edit edit = {.left_out = {true, true}, .clients = 3};
    plan_that_breaks_by_itself();
    *plan = *drawn;
    swarm_plan_edit(plan, &edit);
    assert_true(sim_child_run(plan, SIM_STORY_NONE, result));
    assert_true(result->failed);
    assert_true(sim_minimize(drawn, &quiet, &edit, result));
    assert_true(edit.left_out[0] && edit.left_out[1]);
    assert_in_range(edit.clients, 1, 3);
    assert_true(result->failed);
}

/* ---- what ends a process -------------------------------------------------------------------- */

static void an_assertion_says_whose_code_it_ended(void **state) {
    (void)state;
    swarm_plan_draw(plan, 1, 3);
    plan->founder_count = 0; /* asserted by the run itself */
    assert_true(sim_child_run(plan, SIM_STORY_NONE, result));
    assert_true(result->failed);
    assert_non_null(strstr(result->finding, "the process died (signal 6): "));
    assert_non_null(strstr(result->finding, "assertion failed"));
    swarm_plan_draw(plan, 1, 3);
    plan->batch_count = 3; /* no power of two: asserted by the node that starts first */
    assert_true(sim_child_run(plan, SIM_STORY_NONE, result));
    assert_true(result->failed);
    assert_int_equal(strncmp(result->finding, "node ", strlen("node ")), 0);
    assert_non_null(strstr(result->finding, " died (signal 6): "));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_value_of_an_option_is_refused),
        cmocka_unit_test(an_edit_as_options_is_the_same_edit_again),
        cmocka_unit_test(findings_are_the_same_if_only_numbers_and_details_differ),
        cmocka_unit_test(an_assertion_says_whose_code_it_ended),
        cmocka_unit_test(what_is_left_breaks_in_the_same_way_and_has_nothing_beside),
        cmocka_unit_test(what_is_left_does_not_depend_on_how_many_run_at_once),
        cmocka_unit_test(a_minimization_ends_when_its_time_is_over),
        cmocka_unit_test(what_was_taken_away_before_stays_away),
    };
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(nowhere >= 0);
    log_descriptor_set(nowhere); /* what nodes say of the faults that befall them */
    return cmocka_run_group_tests_name("tools_sim_minimize", tests, NULL, NULL);
}
