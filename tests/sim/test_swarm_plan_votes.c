/*
 * Contested elections: how many seeds have them, and what they consist of.
 */

#include "sim/swarm.h"

#include "tests/cmocka_wrapper.h"

enum { SEEDS = 1000, PACES = 3 };

static struct swarm_plan plan[1];

/* Whether three paces begin here together, which nothing else draws. */
static bool begins_here(uint32_t at) {
    for (uint32_t i = at; i < at + PACES; i++) {
        if (i >= plan->action_count || plan->actions[i].fault != SWARM_SLOW_LINK ||
            plan->actions[i].from_ns != plan->actions[at].from_ns ||
            plan->actions[i].to_ns != plan->actions[at].to_ns) {
            return false;
        }
    }
    return true;
}

static uint32_t first_contest(void) {
    uint32_t at = 0;
    while (at < plan->action_count && !begins_here(at)) {
        at++;
    }
    return at;
}

static void a_cluster_of_one_or_two_has_none(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        swarm_plan_draw(plan, seed, 1 + seed % 2);
        assert_true(plan->node_count > 2 || first_contest() == plan->action_count);
    }
}

static void about_a_quarter_of_the_seeds_has_them(void **state) {
    (void)state;
    uint32_t count = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        swarm_plan_draw(plan, seed, 5);
        count += first_contest() < plan->action_count;
    }
    assert_in_range(count, SEEDS / 5, SEEDS * 3 / 10);
}

static void each_way_between_nodes_has_one_pace(void **state) {
    (void)state;
    uint32_t count = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        swarm_plan_draw(plan, seed, 4);
        uint32_t at = first_contest();
        for (uint32_t from = 0; from < plan->node_count && at < plan->action_count; from++) {
            uint32_t seen = 0;
            for (uint32_t i = at; i < at + PACES; i++) {
                assert_int_equal(seen & plan->actions[i].links[from], 0);
                seen |= plan->actions[i].links[from];
            }
            assert_int_equal(seen, ((1U << plan->node_count) - 1) & ~(1U << from));
            count++;
        }
    }
    assert_true(count > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_of_one_or_two_has_none),
        cmocka_unit_test(about_a_quarter_of_the_seeds_has_them),
        cmocka_unit_test(each_way_between_nodes_has_one_pace),
    };
    return cmocka_run_group_tests_name("sim_swarm_plan_votes", tests, NULL, NULL);
}
