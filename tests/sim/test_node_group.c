/*
 * Clusters of whole nodes: they elect, replicate and apply; nothing acknowledged is lost, nothing
 * old is read, whatever of messages is lost, and whoever loses power.
 *
 * WEIR_SIM_SEEDS multiplies the number of seeds, WEIR_SIM_SEED runs one.
 */

#include "tests/sim/node_group.h"

#include <stdio.h>

#define SECOND_NS UINT64_C(1000000000)

/* One for each map; with label long more of them, and under a sanitizer one. */
enum { SEEDS = WEIR_SANITIZER_BUILD ? 1 : 3 };

static struct group group[1];

static void begin(uint64_t seed, uint32_t nodes, const char *map) {
    group_init(group, seed, nodes, map);
    for (uint32_t i = 0; i < nodes; i++) {
        group_start(group, i);
    }
}

static const char *const maps[] = {"fused", "pair", "split"};

static void a_cluster_elects_serves_and_replicates(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(seed, 3 + 2 * (uint32_t)(seed % 2), maps[seed % 3]);
        group_run(group, 3 * SECOND_NS);
        group->load_on = false;
        group_expect(group, group_settle(group, 5 * SECOND_NS), "all have applied everything");
        group_expect(group, group->counts.incr_acked > 200, "many were acknowledged");
        group_expect(group, group->counts.gets > 200, "many were read");
        group_free(group);
    }
}

static void the_loss_of_a_leader_loses_nothing_acknowledged(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(100 + seed, 3, maps[seed % 3]);
        for (uint32_t round = 0; round < 5; round++) {
            group_run(group, SECOND_NS);
            uint32_t leader = group_leader(group);
            group_expect(group, leader != UINT32_MAX, "somebody leads");
            group_crash(group, leader);
            group_run(group, SECOND_NS);
            group_start(group, leader);
        }
        group_run(group, SECOND_NS);
        group->load_on = false;
        group_expect(group, group_settle(group, 5 * SECOND_NS), "all have applied everything");
        group_expect(group, group->counts.incr_acked > 300, "many were acknowledged");
        group_free(group);
    }
}

static void all_of_them_can_lose_power_at_once(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(200 + seed, 3, maps[seed % 3]);
        for (uint32_t round = 0; round < 4; round++) {
            group_run(group, SECOND_NS + random_below(&group->random, SECOND_NS));
            for (uint32_t i = 0; i < 3; i++) {
                group_crash(group, i);
            }
            for (uint32_t i = 0; i < 3; i++) {
                group_start(group, i);
            }
        }
        group_run(group, 2 * SECOND_NS);
        group->load_on = false;
        group_expect(group, group_settle(group, 5 * SECOND_NS), "all have applied everything");
        group_expect(group, group->counts.incr_acked > 200, "many were acknowledged");
        group_free(group);
    }
}

static void lost_late_and_repeated_messages_change_nothing(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(300 + seed, 3 + 2 * (uint32_t)(seed % 2), maps[seed % 3]);
        group->loss_per_mille = 50;
        group->twice_per_mille = 50;
        group->delay_ns_max = 20 * 1000 * 1000;
        group_run(group, 6 * SECOND_NS);
        group->load_on = false;
        group->loss_per_mille = 0;
        group_expect(group, group_settle(group, 10 * SECOND_NS), "all have applied everything");
        group_expect(group, group->counts.incr_acked > 50, "some were acknowledged");
        group_expect(group, group->counts.lost > 50, "messages were lost");
        group_free(group);
    }
}

/* The others commit without its disk, but it is no good leader. */
static void a_leader_whose_disk_stands_still_lets_another_one_lead(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(800 + seed, 3, maps[seed % 3]);
        group_run(group, 2 * SECOND_NS);
        uint32_t leader = group_leader(group);
        group_expect(group, leader != UINT32_MAX, "somebody leads");
        world_disk_stall(group->world, group->nodes[leader].host, true);
        uint64_t acked = group->counts.incr_acked;
        group_run(group, 3 * SECOND_NS);
        group_expect(group, group_leader(group) != leader, "another one leads");
        group_expect(group, group->counts.incr_acked > acked + 50, "and clients go on");
        world_disk_stall(group->world, group->nodes[leader].host, false);
        group_run(group, SECOND_NS);
        group->load_on = false;
        group_expect(group, group_settle(group, 10 * SECOND_NS), "all have applied everything");
        group_free(group);
    }
}

/* Cuts one node off, and heals; in the meantime the others go on, and it serves nobody. */
static void who_is_cut_off_serves_nobody_and_catches_up(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(400 + seed, 3, maps[seed % 3]);
        for (uint32_t round = 0; round < 4; round++) {
            group_run(group, SECOND_NS);
            uint32_t alone = random_below(&group->random, 2) == 0
                                 ? group_leader(group)
                                 : (uint32_t)random_below(&group->random, 3);
            for (uint32_t i = 0; alone < 3 && i < 3; i++) {
                group->cut[alone][i] = true;
                group->cut[i][alone] = random_below(&group->random, 3) != 0; /* or one-way */
            }
            group_run(group, 2 * SECOND_NS);
            for (uint32_t i = 0; alone < 3 && i < 3; i++) {
                group->cut[alone][i] = false;
                group->cut[i][alone] = false;
            }
        }
        group_run(group, SECOND_NS);
        group->load_on = false;
        group_expect(group, group_settle(group, 10 * SECOND_NS), "all have applied everything");
        group_expect(group, group->counts.incr_acked > 200, "many were acknowledged");
        group_free(group);
    }
}

/* A leader that stood still, with requests in its sockets, meets a cluster that has gone on. */
static void a_leader_that_stood_still_serves_nothing_stale(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(500 + seed, 3, maps[seed % 3]);
        for (uint32_t round = 0; round < 4; round++) {
            group_run(group, SECOND_NS);
            uint32_t leader = group_leader(group);
            group_expect(group, leader != UINT32_MAX, "somebody leads");
            group->nodes[leader].paused = true;
            group_run(group, SECOND_NS / 4 + random_below(&group->random, 2 * SECOND_NS));
            group->nodes[leader].paused = false;
        }
        group_run(group, SECOND_NS);
        group->load_on = false;
        group_expect(group, group_settle(group, 10 * SECOND_NS), "all have applied everything");
        group_expect(group, group->counts.incr_acked > 200, "many were acknowledged");
        group_free(group);
    }
}

/* What others have said while it stood still it hears before it looks whether they have.  Their own
 * patience is longer here. */
static void a_leader_that_stands_still_again_and_again_leads_on(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        group_init(group, 700 + seed, 3, maps[seed % 3]);
        for (uint32_t i = 0; i < 3; i++) {
            group->nodes[i].options.election_timeout_ms = i == 0 ? 200 : 1000;
            group_start(group, i);
        }
        group_run(group, SECOND_NS);
        group_expect(group, group_leader(group) == 0, "the first to lose patience leads");
        const struct node_replicate_figures *figures =
            &sim_node_figures(group->nodes[0].node)->replicate;
        uint64_t term = node_figure(&figures->term);
        for (uint32_t i = 0; i < 40; i++) {
            group->nodes[0].paused = true;
            group_run(group, SECOND_NS / 1000 * 202);
            group->nodes[0].paused = false;
            group_run(group, SECOND_NS / 1000 * (1 + i % 4));
        }
        group_expect(group, group_leader(group) == 0 && node_figure(&figures->term) == term,
                     "and goes on");
        group->load_on = false;
        group_expect(group, group_settle(group, 10 * SECOND_NS), "all have applied everything");
        group_free(group);
    }
}

/* Entries of its own that nobody else has are replaced once it hears of the new leader.  While its
 * vote for that term is on its way to a slow disk they are still in its log, at indexes that are
 * committed: with other entries. */
static void a_deposed_leader_applies_nothing_that_is_to_be_replaced(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(600 + seed, 3, maps[seed % 3]);
        for (uint32_t round = 0; round < 4; round++) {
            group_run(group, SECOND_NS);
            uint32_t leader = group_leader(group);
            group_expect(group, leader != UINT32_MAX, "somebody leads");
            for (uint32_t i = 0; i < 3; i++) {
                group->cut[leader][i] = true;
            }
            group_run(group, SECOND_NS / 10);
            group->nodes[leader].paused = true;
            group_run(group, SECOND_NS);
            for (uint32_t i = 0; i < 3; i++) {
                group->cut[leader][i] = false;
            }
            world_disk_delay(group->world, group->nodes[leader].host, SECOND_NS / 20,
                             SECOND_NS / 10);
            group->nodes[leader].paused = false;
            group_run(group, SECOND_NS);
            world_disk_delay(group->world, group->nodes[leader].host, 50 * 1000, 6 * 1000 * 1000);
        }
        group->load_on = false;
        group_expect(group, group_settle(group, 10 * SECOND_NS), "all have applied everything");
        group_expect(group, group->counts.incr_acked > 200, "many were acknowledged");
        group_free(group);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_elects_serves_and_replicates),
        cmocka_unit_test(the_loss_of_a_leader_loses_nothing_acknowledged),
        cmocka_unit_test(all_of_them_can_lose_power_at_once),
        cmocka_unit_test(lost_late_and_repeated_messages_change_nothing),
        cmocka_unit_test(a_leader_whose_disk_stands_still_lets_another_one_lead),
        cmocka_unit_test(who_is_cut_off_serves_nobody_and_catches_up),
        cmocka_unit_test(a_leader_that_stood_still_serves_nothing_stale),
        cmocka_unit_test(a_leader_that_stands_still_again_and_again_leads_on),
        cmocka_unit_test(a_deposed_leader_applies_nothing_that_is_to_be_replaced),
    };
    return cmocka_run_group_tests_name("sim_node_group", tests, NULL, NULL);
}
