/*
 * Whole clusters under faults: nothing breaks, a seed gives the same run again, and what was
 * planted is found.
 *
 * WEIR_SIM_SEEDS multiplies the number of seeds.  With WEIR_SIM_CPU_SECONDS more of them follow,
 * one behind the other, until the process has used so many seconds of processor time.
 */

#include "sim/swarm.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/decimal.h"
#include "base/log.h"
#include "tests/cmocka_wrapper.h"

enum { SEEDS = WEIR_SANITIZER_BUILD ? 4 : 24 };

#define SECOND_NS (UINT64_C(1000) * 1000 * 1000)

static struct swarm_plan plan[1];

static uint64_t environment_number(const char *name, uint64_t usual) {
    const char *text = getenv(name);
    uint64_t number = usual;
    if (text != NULL && decimal_parse_u64(text, strlen(text), &number) != 0) {
        fail_msg("%s is no number: %s", name, text);
    }
    return number;
}

static uint64_t cpu_seconds_used(void) {
    struct timespec used;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
    return (uint64_t)used.tv_sec;
}

static void a_plan_is_drawn_from_its_seed_alone(void **state) {
    (void)state;
    static struct swarm_plan again[1];
    for (uint64_t seed = 0; seed < 200; seed++) {
        swarm_plan_draw(plan, seed, 0);
        swarm_plan_draw(again, seed, 0);
        assert_memory_equal(plan, again, sizeof(plan));
        assert_in_range(plan->node_count, 1, SWARM_NODES_MAX);
        for (uint32_t i = 1; i < plan->action_count; i++) {
            assert_true(plan->actions[i - 1].from_ns <= plan->actions[i].from_ns);
            assert_true(plan->actions[i].from_ns <= plan->actions[i].to_ns);
        }
    }
}

/* Those that 200 seeds from this one on draw. */
static uint32_t faults_drawn(uint64_t first) {
    uint32_t seen = 0;
    for (uint64_t seed = first; seed < first + 200; seed++) {
        swarm_plan_draw(plan, seed, 0);
        for (uint32_t i = 0; i < plan->action_count; i++) {
            seen |= 1U << plan->actions[i].fault;
        }
    }
    return seen;
}

static void every_fault_is_drawn_by_some_seed(void **state) {
    (void)state;
    const uint32_t all = (1U << SWARM_FAULTS) - 1;
    const uint32_t from_the_millionth = 1U << SWARM_NO_HANDLES;
    assert_int_equal(faults_drawn(0), all & ~from_the_millionth);
    assert_int_equal(faults_drawn(1000000), all);
}

static void a_seed_gives_the_same_run_event_by_event(void **state) {
    (void)state;
    struct swarm_result first;
    struct swarm_result second;
    for (uint64_t seed = 1; seed <= (WEIR_SANITIZER_BUILD ? 1 : 3); seed++) {
        swarm_plan_draw(plan, seed, 3);
        swarm_run(plan, NULL, &first);
        swarm_run(plan, NULL, &second);
        assert_int_equal(first.trace_hash, second.trace_hash);
        assert_int_equal(first.step, second.step);
        assert_int_equal(first.counts.ok, second.counts.ok);
        swarm_plan_draw(plan, seed + 1000, 3);
        swarm_run(plan, NULL, &second);
        assert_int_not_equal(first.trace_hash, second.trace_hash);
    }
}

static void nothing_breaks_under_any_faults(void **state) {
    (void)state;
    struct swarm_result result;
    const uint64_t seeds = SEEDS * environment_number("WEIR_SIM_SEEDS", 1);
    const uint64_t cpu_seconds = environment_number("WEIR_SIM_CPU_SECONDS", 0);
    uint64_t seed = 1;
    for (; seed <= seeds || cpu_seconds_used() < cpu_seconds; seed++) {
        /* An assertion inside a node ends the process: then this is the last line. */
        (void)fprintf(stderr, "seed %" PRIu64 "\n", seed);
        swarm_plan_draw(plan, seed, 0);
        swarm_run(plan, NULL, &result);
        if (result.failed) {
            fail_msg("seed %" PRIu64 ": %s", seed, result.finding);
        }
        assert_true(result.time_ns >= UINT64_C(20) * 1000 * 1000 * 1000);
        assert_true(result.counts.ok >= 200);
    }
    print_message("%" PRIu64 " seeds, %" PRIu64 " s of processor time\n", seed - 1,
                  cpu_seconds_used());
}

/* ---- what was found ------------------------------------------------------------------------ */

/* A plan of three nodes without faults, and many keys with deadlines. */
static void plan_by_hand(uint64_t seed) {
    swarm_plan_draw(plan, seed, 3);
    plan->world = world_options_calm();
    plan->clients = cluster_clients_options_default();
    plan->safety_ns = 12 * SECOND_NS;
    plan->action_count = 0;
}

static void action_by_hand(const struct swarm_action *action) {
    assert_true(plan->action_count < SWARM_ACTIONS_MAX);
    plan->actions[plan->action_count++] = *action;
}

static void run_by_hand(void) {
    struct swarm_result result;
    swarm_run(plan, NULL, &result);
    if (result.failed) {
        fail_msg("seed %" PRIu64 ": %s", plan->seed, result.finding);
    }
}

/* Whoever leads is cut off for a second, goes on writing, and has its entries replaced when it is
 * back: it then looks on its disk for where its log ends, while keys expire. */
static void a_deposed_leader_with_expired_keys_comes_back(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        plan_by_hand(seed);
        plan->clients.expiry_share = 300;
        plan->world.disk_delay_ns_max = 15 * 1000 * 1000;
        for (uint64_t at = 1; at < 12; at += 2) {
            action_by_hand(&(struct swarm_action){.fault = SWARM_PARTITION,
                                                  .from_ns = at * SECOND_NS,
                                                  .to_ns = (at + 1) * SECOND_NS,
                                                  .leader = true,
                                                  .links = {6, 1, 1}});
        }
        run_by_hand();
    }
}

/* Clients who can note nothing any more ask nothing any more: nobody shall take that for a cluster
 * that does not answer, or that answers everything. */
static void a_full_history_is_called_so(void **state) {
    (void)state;
    struct swarm_result result;
    plan_by_hand(1);
    plan->clients.operations_max = 500;
    swarm_run(plan, NULL, &result);
    assert_true(result.failed);
    assert_non_null(strstr(result.finding, "the history of the clients is full"));
}

/* Writes under ONCE wait for room in the snapshot whose header is still on its way to the disk: who
 * waits sleeps, or no time passes here. */
static void a_snapshot_on_a_slow_disk_makes_nobody_spin(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        plan_by_hand(seed);
        plan->clients.once_share = 900;
        plan->clients.read_share = 100;
        plan->snapshot_log_bytes = 8000;
        plan->world.disk_delay_ns_max = 5 * 1000 * 1000;
        run_by_hand();
    }
}

/* The same for a long value that is to be changed, and must be in the snapshot first, piece by
 * piece. */
static void a_write_that_waits_for_a_snapshot_on_a_slow_disk_makes_nobody_spin(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= (WEIR_SANITIZER_BUILD ? 1 : 3); seed++) {
        plan_by_hand(seed);
        plan->clients.once_share = 0;
        plan->clients.read_share = 100;
        plan->clients.long_share = 900;
        plan->clients.value_bytes_max = 20000;
        plan->snapshot_log_bytes = 8000;
        plan->world.disk_delay_ns_max = 20 * 1000 * 1000;
        run_by_hand();
    }
}

/* Everybody loses power between a configuration's append and its commit: whoever commits it then
 * has it on the disk only.  It is in force all the same, and nobody waits for who is no member. */
static void a_configuration_that_is_committed_after_a_blackout_is_known(void **state) {
    (void)state;
    for (uint64_t at_ms = 1110; at_ms <= 1130; at_ms += WEIR_SANITIZER_BUILD ? 10 : 5) {
        plan_by_hand(at_ms);
        plan->founder_count = 4;
        plan->node_count = 4;
        plan->clients.host_count = 4;
        plan->snapshot_log_bytes = 0;
        plan->world.network_delay_ns_min = 50 * 1000 * 1000;
        plan->world.network_delay_ns_max = 50 * 1000 * 1000;
        plan->world.network_piece_bytes_max = 32768;
        action_by_hand(&(struct swarm_action){.fault = SWARM_MEMBERS,
                                              .from_ns = SECOND_NS,
                                              .to_ns = SECOND_NS + SECOND_NS / 2,
                                              .node = 3,
                                              .amount = 2}); /* somebody is removed */
        action_by_hand(&(struct swarm_action){.fault = SWARM_BLACKOUT,
                                              .from_ns = at_ms * (SECOND_NS / 1000),
                                              .to_ns = 2 * SECOND_NS,
                                              .amount = WORLD_KEEP_NOTHING});
        run_by_hand();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_is_drawn_from_its_seed_alone),
        cmocka_unit_test(every_fault_is_drawn_by_some_seed),
        cmocka_unit_test(a_deposed_leader_with_expired_keys_comes_back),
        cmocka_unit_test(a_full_history_is_called_so),
        cmocka_unit_test(a_snapshot_on_a_slow_disk_makes_nobody_spin),
        cmocka_unit_test(a_write_that_waits_for_a_snapshot_on_a_slow_disk_makes_nobody_spin),
        cmocka_unit_test(a_configuration_that_is_committed_after_a_blackout_is_known),
        cmocka_unit_test(a_seed_gives_the_same_run_event_by_event),
        cmocka_unit_test(nothing_breaks_under_any_faults),
    };
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(nowhere >= 0);
    log_descriptor_set(nowhere); /* what nodes say of the faults that befall them */
    return cmocka_run_group_tests_name("sim_swarm", tests, NULL, NULL);
}
