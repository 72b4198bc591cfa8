/*
 * Log time over several leaders, whose clocks are hours apart and jump: it never goes back, and
 * keys expire by it alone, at the same entry everywhere.
 *
 * Planted, and found: a replica that expires by its own clock (--wrap of machine_find).
 */

#include "base/decimal.h"
#include "machines/machine.h"
#include "raft/raft.h"
#include "tests/sim/node_talk.h"

#include <stdio.h>
#include <string.h>

#define SECOND_NS UINT64_C(1000000000)

enum { HOUR_MS = 3600 * 1000, SEEDS = WEIR_SANITIZER_BUILD ? 1 : 3, MACHINES_MAX = 8 };

#define DECADES_MS (INT64_C(40) * 365 * 24 * 3600 * 1000)

static struct group group[1];
static struct talk talks[3];

/* ---- a replica that expires by its own clock ----------------------------------------------- */

static bool planted;
static const struct machine_operations *machine_real;
static struct machine *machines[MACHINES_MAX];

static enum machine_progress execute_by_own_clock(struct machine *machine,
                                                  struct machine_run *run) {
    uint32_t which = 0;
    while (which < MACHINES_MAX - 1 && machines[which] != NULL && machines[which] != machine) {
        which++;
    }
    machines[which] = machine;
    run->moment.log_time_ms += planted ? which * (uint64_t)HOUR_MS : 0;
    return machine_real->execute(machine, run);
}

const struct machine_operations *__real_machine_find(const char *name);
const struct machine_operations *__wrap_machine_find(const char *name);
const struct machine_operations *__wrap_machine_find(const char *name) {
    static struct machine_operations own;
    machine_real = __real_machine_find(name);
    own = *machine_real;
    own.execute = execute_by_own_clock;
    return &own;
}

/* ---- groups -------------------------------------------------------------------------------- */

/* Three nodes whose wall clocks are an hour apart; returns the leader. */
static uint32_t begin(uint64_t seed, uint64_t jump_ms_max) {
    static const char *const maps[] = {"fused", "pair", "split"};
    memset(machines, 0, sizeof(machines));
    group_init(group, seed, 3, maps[seed % 3]);
    for (uint32_t i = 0; i < 3; i++) {
        world_clock_jump(group->world, group->nodes[i].host, (int64_t)i * HOUR_MS);
        group->nodes[i].options.reads = READ_STALE;
        group->nodes[i].options.log_time_jump_ms_max = jump_ms_max;
        group_start(group, i);
    }
    group->load_on = false;
    group_expect(group, group_settle(group, 5 * SECOND_NS), "somebody leads");
    for (uint32_t i = 0; i < 3; i++) {
        talk_open(&talks[i], group, i);
    }
    return group_leader(group);
}

static void end(void) {
    for (uint32_t i = 0; i < 3; i++) {
        talk_close(&talks[i]);
    }
    group_expect(group, true, "no finding");
    group_free(group);
}

static const struct node *figures(uint32_t node) {
    return sim_node_figures(group->nodes[node].node);
}

/* What is left of the key here, milliseconds; 0: it is absent. */
static uint64_t left_ms(uint32_t node) {
    const char *answer = talk_ask(&talks[node], "pttl k");
    uint64_t left = 0;
    if (strncmp(answer, ":-2", 3) != 0) {
        assert_int_equal(answer[0], ':');
        assert_int_equal(decimal_parse_u64(answer + 1, strcspn(answer + 1, "\r\n"), &left), 0);
    }
    return left;
}

/* ---- what is to be ------------------------------------------------------------------------- */

/* Whether all have a key of a minute, whatever their clocks say. */
static bool keys_outlive_wrong_clocks(uint64_t seed) {
    uint32_t leader = begin(seed, 0);
    bool all = true;
    talk_expect(&talks[leader], "set k v px 60000", "+OK");
    group_expect(group, group_settle(group, 5 * SECOND_NS), "all have it");
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t left = left_ms(i);
        all &= left > 50000 && left <= 60000;
        world_clock_jump(group->world, group->nodes[i].host, 2 * HOUR_MS); /* while it runs */
    }
    group_run(group, 2 * SECOND_NS);
    talk_expect(&talks[leader], "set other v", "+OK");
    group_expect(group, group_settle(group, 5 * SECOND_NS), "all have that");
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t left = left_ms(i);
        all &= left > 50000 && left < 58100;
    }
    return all;
}

static void keys_outlive_clocks_that_differ_and_jump(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        group_expect(group, keys_outlive_wrong_clocks(seed), "all have the key, and what is left");
        end();
    }
}

static void a_replica_that_expires_by_its_own_clock_is_found(void **state) {
    (void)state;
    planted = true;
    bool all = keys_outlive_wrong_clocks(1);
    planted = false;
    end();
    assert_false(all);
}

/* The entry that says so is the only one that an idle log gets. */
static void an_idle_log_gets_one_entry_when_something_expires(void **state) {
    (void)state;
    for (uint64_t seed = 11; seed < 11 + SEEDS; seed++) {
        uint32_t leader = begin(seed, 0);
        talk_expect(&talks[leader], "set far v px 3600000", "+OK");
        uint64_t first = node_figure(&figures(leader)->replicate.last_index);
        group_run(group, 3 * SECOND_NS);
        group_expect(group, node_figure(&figures(leader)->replicate.last_index) == first,
                     "it does not grow by itself, nor for a deadline that is far");
        talk_expect(&talks[leader], "set k v ex 1", "+OK");
        group_run(group, SECOND_NS / 2);
        group_expect(group, node_figure(&figures(leader)->replicate.last_index) == first + 1,
                     "nor before the deadline");
        group_run(group, SECOND_NS * 6 / 10); /* 1.1 s in all */
        for (uint32_t i = 0; i < 3; i++) {
            group_expect(group, left_ms(i) == 0, "it has expired everywhere");
            group_expect(group, node_figure(&figures(i)->apply.applied_index) == first + 2,
                         "at the one entry");
        }
        group_run(group, 3 * SECOND_NS);
        group_expect(group, node_figure(&figures(leader)->replicate.last_index) == first + 2,
                     "and no other came");
        end();
    }
}

static void log_time_never_goes_back_over_leaders(void **state) {
    (void)state;
    for (uint64_t seed = 21; seed < 21 + SEEDS; seed++) {
        uint32_t leader = begin(seed, 0);
        uint64_t latest_ms = 0;
        for (uint32_t round = 0; round < 6; round++) {
            talk_expect(&talks[leader], "set k v", "+OK");
            group_expect(group, group_settle(group, 5 * SECOND_NS), "all have it");
            for (uint32_t i = 0; i < 3; i++) {
                uint64_t time_ms = node_figure(&figures(i)->apply.log_time_ms);
                group_expect(group, time_ms >= latest_ms, "log time does not go back");
                int64_t by_ms = (int64_t)random_below(&group->random, 4 * HOUR_MS) - 2 * HOUR_MS;
                world_clock_jump(group->world, group->nodes[i].host, by_ms);
            }
            latest_ms = node_figure(&figures(leader)->apply.log_time_ms);
            talk_close(&talks[leader]);
            group_crash(group, leader);
            group_run(group, SECOND_NS);
            group_start(group, leader);
            group_expect(group, group_settle(group, 5 * SECOND_NS), "somebody leads");
            talk_open(&talks[leader], group, leader);
            leader = group_leader(group);
        }
        end();
    }
}

/* The next leader's clock is decades ahead of what hosts begin with: without a limit the key is
 * gone, with one it is not. */
static void the_first_jump_of_log_time_can_be_limited(void **state) {
    (void)state;
    for (uint64_t seed = 31; seed < 31 + 2 * SEEDS; seed++) {
        bool limited = seed % 2 == 0;
        uint32_t leader = begin(seed, limited ? 5000 : 0);
        for (uint32_t i = 0; i < 3; i++) {
            world_clock_jump(group->world, group->nodes[i].host, i == leader ? 0 : DECADES_MS);
        }
        talk_expect(&talks[leader], "set k v px 60000", "+OK");
        group_expect(group, group_settle(group, 5 * SECOND_NS), "all have it");
        group->nodes[leader].paused = true;
        group_run(group, 2 * SECOND_NS);
        uint32_t next = group_leader(group);
        group_expect(group, next != leader && next != UINT32_MAX, "another one leads");
        group_run(group, SECOND_NS); /* it may just have been elected */
        uint64_t left = left_ms(next);
        group->nodes[leader].paused = false;
        group_expect(group, limited ? left > 45000 && left < 58000 : left == 0,
                     "the jump is as the option wants it");
        end();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_outlive_clocks_that_differ_and_jump),
        cmocka_unit_test(a_replica_that_expires_by_its_own_clock_is_found),
        cmocka_unit_test(an_idle_log_gets_one_entry_when_something_expires),
        cmocka_unit_test(log_time_never_goes_back_over_leaders),
        cmocka_unit_test(the_first_jump_of_log_time_can_be_limited),
    };
    return cmocka_run_group_tests_name("sim_node_time", tests, NULL, NULL);
}
