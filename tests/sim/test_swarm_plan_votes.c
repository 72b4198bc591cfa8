/*
 * Contested elections: how many seeds have them, and what they consist of.
 */

#include "sim/swarm.h"

#include "tests/cmocka_wrapper.h"

enum { SEEDS = 1000, PACES = 3 };

#define SECOND_NS (UINT64_C(1000) * 1000 * 1000)

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

/* The end of a plan whose election is cut: nobody hears anybody, for ever. */
static bool ends_apart(void) {
    for (uint32_t i = 0; i < plan->action_count; i++) {
        const struct swarm_action *action = &plan->actions[i];
        bool apart =
            action->fault == SWARM_PARTITION && action->to_ns > plan->safety_ns && !action->leader;
        for (uint32_t from = 0; from < plan->node_count; from++) {
            apart &= action->links[from] == (((1U << plan->node_count) - 1) & ~(1U << from));
        }
        if (apart && action->to_ns == plan->safety_ns + SECOND_NS) {
            return true;
        }
    }
    return false;
}

static void about_a_third_of_the_seeds_ends_in_an_election(void **state) {
    (void)state;
    uint32_t count = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        swarm_plan_draw(plan, seed, 3);
        count += ends_apart();
    }
    assert_in_range(count, SEEDS / 4, SEEDS * 2 / 5);
}

/* So that somebody leads when it begins. */
static void nothing_else_is_in_force_when_that_election_begins(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        swarm_plan_draw(plan, seed, 3);
        uint32_t behind = 0;
        for (uint32_t i = 0; i < plan->action_count && ends_apart(); i++) {
            const struct swarm_action *action = &plan->actions[i];
            bool of_it = action->to_ns == plan->safety_ns + SECOND_NS;
            assert_true(of_it || action->to_ns < plan->safety_ns - SECOND_NS);
            behind += of_it;
        }
        assert_true(behind == 0 || behind >= 3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_of_one_or_two_has_none),
        cmocka_unit_test(about_a_quarter_of_the_seeds_has_them),
        cmocka_unit_test(each_way_between_nodes_has_one_pace),
        cmocka_unit_test(about_a_third_of_the_seeds_ends_in_an_election),
        cmocka_unit_test(nothing_else_is_in_force_when_that_election_begins),
    };
    return cmocka_run_group_tests_name("sim_swarm_plan_votes", tests, NULL, NULL);
}
