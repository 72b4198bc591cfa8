/*
 * Full disks in the plans of the swarm: which seeds have them, and what they consist of.
 */

#include "sim/swarm.h"

#include "tests/cmocka_wrapper.h"

enum {
    SEEDS = 1000,
    LASTING_MS =
        3000, /* what is to fill a log; by chance disks are full for half of that, mostly */
};

#define MS_NS          UINT64_C(1000000)
#define FULL_MIN       UINT64_C(1000000)
#define FULL_ALWAYS    UINT64_C(8000000)
#define GROUP_APART_NS (400 * MS_NS)

static struct swarm_plan plan[1];

static bool lasts(const struct swarm_action *action, enum swarm_fault fault) {
    return action->fault == fault && action->to_ns - action->from_ns >= LASTING_MS / 2 * MS_NS;
}

/* How many nodes have none of it from this action's moment on. */
static uint32_t together(uint32_t at) {
    const struct swarm_action *first = &plan->actions[at];
    uint32_t nodes = 0;
    for (uint32_t i = at; i < plan->action_count; i++) {
        if (lasts(&plan->actions[i], first->fault) &&
            plan->actions[i].from_ns - first->from_ns <= GROUP_APART_NS) {
            nodes |= 1U << plan->actions[i].node;
        }
    }
    return (uint32_t)__builtin_popcount(nodes);
}

static void smaller_seeds_have_neither_missing_descriptors_nor_slow_reads(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        swarm_plan_draw(plan, seed, 0);
        assert_int_equal(plan->world.disk_read_times, 1);
        for (uint32_t i = 0; i < plan->action_count; i++) {
            assert_int_not_equal(plan->actions[i].fault, SWARM_NO_HANDLES);
        }
    }
}

static void some_seeds_read_slowly_and_no_read_takes_longer_than_40_ms(void **state) {
    (void)state;
    uint32_t count = 0;
    for (uint64_t seed = FULL_MIN; seed < FULL_MIN + SEEDS; seed++) {
        swarm_plan_draw(plan, seed, 0);
        count += plan->world.disk_read_times > 1;
        assert_true(plan->world.disk_read_times * plan->world.disk_delay_ns_max <= 40 * MS_NS);
    }
    assert_in_range(count, SEEDS / 10, SEEDS / 3);
}

static void where_all_have_them_a_majority_is_full_and_descriptors_are_missing(void **state) {
    (void)state;
    uint32_t one = 0;
    uint32_t majority = 0;
    uint32_t no_handles = 0;
    for (uint64_t seed = FULL_ALWAYS; seed < FULL_ALWAYS + SEEDS; seed++) {
        swarm_plan_draw(plan, seed, 5);
        bool is_one = false;
        bool is_majority = false;
        bool is_no_handles = false;
        for (uint32_t i = 0; i < plan->action_count; i++) {
            const struct swarm_action *action = &plan->actions[i];
            assert_true(action->node < plan->node_count && action->to_ns >= action->from_ns);
            assert_true(i == 0 || plan->actions[i - 1].from_ns <= action->from_ns);
            is_no_handles |= action->fault == SWARM_NO_HANDLES;
            is_one |= lasts(action, SWARM_FULL_DISK);
            is_majority |= lasts(action, SWARM_FULL_DISK) && together(i) > plan->node_count / 2;
        }
        one += is_one;
        majority += is_majority;
        no_handles += is_no_handles;
    }
    /* The links of about half of the seeds carry the load. */
    assert_in_range(one, SEEDS / 3, SEEDS * 3 / 4);
    assert_in_range(majority, SEEDS / 5, one);
    assert_in_range(no_handles, SEEDS / 10, SEEDS / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smaller_seeds_have_neither_missing_descriptors_nor_slow_reads),
        cmocka_unit_test(some_seeds_read_slowly_and_no_read_takes_longer_than_40_ms),
        cmocka_unit_test(where_all_have_them_a_majority_is_full_and_descriptors_are_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
