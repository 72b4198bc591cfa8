/* What is taken away from a plan, and what stays as it was. */

#include "sim/swarm_edit.h"

#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "tests/cmocka_wrapper.h"

enum { SEEDS = 200, MS_NS = 1000 * 1000 };

static struct swarm_plan drawn[1];
static struct swarm_plan plan[1];

static void draw(uint64_t seed) {
    swarm_plan_draw(drawn, seed, 0);
    *plan = *drawn;
}

/* How many actions begin when the safety phase is over: they never do. */
static uint32_t begins_late(const struct swarm_plan *any) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < any->action_count; i++) {
        count += any->actions[i].from_ns >= any->safety_ns;
    }
    return count;
}

static void an_empty_edit_changes_nothing(void **state) {
    (void)state;
    const struct swarm_edit nothing = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        draw(seed);
        swarm_plan_edit(plan, &nothing);
        assert_memory_equal(plan, drawn, sizeof(*plan));
        assert_int_equal(swarm_plan_actions(plan), plan->action_count);
    }
}

static void more_than_there_is_stays_as_it_is(void **state) {
    (void)state;
    const struct swarm_edit more = {
        .until_ms = 1000 * 1000, .nodes = SWARM_NODES_MAX, .clients = CLUSTER_CLIENTS_MAX};
    draw(1);
    swarm_plan_edit(plan, &more);
    assert_int_equal(swarm_plan_actions(plan), swarm_plan_actions(drawn) - begins_late(drawn));
    assert_int_equal(plan->node_count, drawn->node_count);
    assert_int_equal(plan->clients.clients, drawn->clients.clients);
    assert_int_equal(plan->safety_ns, drawn->safety_ns);
}

static void what_begins_later_than_the_end_is_left_out(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        const struct swarm_edit edit = {.until_ms = 5000};
        draw(seed);
        swarm_plan_edit(plan, &edit);
        assert_int_equal(plan->safety_ns, UINT64_C(5000) * MS_NS);
        for (uint32_t i = 0; i < plan->action_count; i++) {
            assert_int_equal(plan->actions[i].left_out,
                             plan->actions[i].from_ns >= plan->safety_ns);
        }
    }
}

/* No action of the plan speaks of a node that is not there. */
static void nodes_that_are_not_there_have_no_faults_and_no_ways(void **state) {
    (void)state;
    uint32_t left_out = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        const struct swarm_edit edit = {.nodes = 1 + (uint32_t)(seed % 3)};
        draw(seed);
        swarm_plan_edit(plan, &edit);
        assert_true(plan->node_count <= edit.nodes && plan->founder_count <= plan->node_count);
        const uint32_t there = ((1U << plan->node_count) - 1) | 1U << SWARM_OUTSIDE;
        for (uint32_t i = 0; i < plan->action_count; i++) {
            const struct swarm_action *action = &plan->actions[i];
            assert_true(action->node < plan->node_count);
            left_out += action->left_out;
            for (uint32_t end = 0; end < SWARM_ENDS; end++) {
                assert_true(action->links[end] == 0 || (there >> end & 1) != 0);
                assert_int_equal(action->links[end] & ~there, 0);
            }
        }
    }
    assert_true(left_out > 0);
}

/* What is left out never begins: nothing of its sort is counted. */
static void what_is_left_out_never_begins(void **state) {
    (void)state;
    struct swarm_edit edit = {.until_ms = 3000};
    struct swarm_result result;
    uint64_t seed = 1;
    do {
        draw(seed++);
    } while (plan->action_count < 10);
    for (uint32_t i = 1; i < SWARM_ACTIONS_MAX; i++) {
        edit.left_out[i] = true;
    }
    swarm_plan_edit(plan, &edit);
    assert_int_equal(swarm_plan_actions(plan), 1);
    swarm_run(plan, NULL, &result);
    uint64_t faults = 0;
    for (uint32_t i = 0; i < SWARM_FAULTS; i++) {
        faults += result.counts.faults[i];
    }
    assert_int_equal(faults, 1);
    assert_false(result.failed);
}

static void a_calm_and_plain_plan_keeps_its_actions_and_its_clients(void **state) {
    (void)state;
    const struct swarm_edit edit = {.calm = true, .plain = true, .clients = 2};
    const struct world_options calm = world_options_calm();
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        draw(seed);
        swarm_plan_edit(plan, &edit);
        assert_memory_equal(&plan->world, &calm, sizeof(calm));
        assert_memory_equal(plan->actions, drawn->actions, sizeof(plan->actions));
        assert_in_range(plan->clients.clients, 1, 2);
        assert_false(plan->leases);
        assert_int_equal(plan->snapshot_log_bytes, 0);
        assert_string_equal(plan->maps[0], "fused");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_edit_changes_nothing),
        cmocka_unit_test(more_than_there_is_stays_as_it_is),
        cmocka_unit_test(what_begins_later_than_the_end_is_left_out),
        cmocka_unit_test(nodes_that_are_not_there_have_no_faults_and_no_ways),
        cmocka_unit_test(what_is_left_out_never_begins),
        cmocka_unit_test(a_calm_and_plain_plan_keeps_its_actions_and_its_clients),
    };
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(nowhere >= 0);
    log_descriptor_set(nowhere); /* what nodes say of the faults that befall them */
    return cmocka_run_group_tests_name("sim_swarm_edit", tests, NULL, NULL);
}
