/*
 * Clusters of whole nodes that talk over the simulated network, by connections of their own: they
 * elect, replicate and apply, whatever becomes of bytes and connections on the way, and of nodes.
 *
 * WEIR_SIM_SEEDS multiplies the number of seeds, WEIR_SIM_SEED runs one.
 */

#include "tests/sim/node_group.h"

#include <stdio.h>
#include <string.h>

#define SECOND_NS UINT64_C(1000000000)

/* One for each map; with label long more of them, and under a sanitizer one. */
enum { SEEDS = WEIR_SANITIZER_BUILD ? 1 : 3 };

static struct group group[1];
static const char *const maps[] = {"fused", "split", "pair"};

static void begin(uint64_t seed, uint32_t nodes) {
    group_init_networked(group, seed, nodes, maps[seed % 3]);
    for (uint32_t i = 0; i < nodes; i++) {
        group_start(group, i);
    }
}

/* What all nodes together have counted. */
struct totals {
    uint64_t introduced;
    uint64_t broken;
    uint64_t refused;
    uint64_t replaced;
    uint64_t messages;
    uint64_t opened;
    uint64_t open;
};

static struct totals totals_now(void) {
    struct totals totals = {0};
    for (uint32_t i = 0; i < group->node_count; i++) {
        if (group->nodes[i].node != NULL) {
            const struct node *node = sim_node_figures(group->nodes[i].node);
            totals.introduced += node_figure(&node->parse.peers_introduced);
            totals.broken += node_figure(&node->parse.peers_broken);
            totals.refused += node_figure(&node->parse.peers_refused);
            totals.replaced += node_figure(&node->parse.peers_replaced);
            totals.messages += node_figure(&node->parse.peer_messages);
            totals.open += node_figure(&node->write.peers_open);
            totals.opened += node_figure(&node->write.peers_opened);
        }
    }
    return totals;
}

/* Nobody sends any more, and all come to the same end. */
static void end(uint64_t acked_min) {
    group_run(group, 2 * SECOND_NS);
    group->load_on = false;
    group_expect(group, group_settle(group, 20 * SECOND_NS), "all have applied everything");
    group_expect(group, group->counts.incr_acked > acked_min, "many were acknowledged");
    group_free(group);
}

/* ---- the network as it is ------------------------------------------------------------------ */

static void members_find_each_other_and_replicate(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        uint32_t nodes = 3 + 2 * (uint32_t)(seed % 2);
        begin(seed, nodes);
        group_run(group, 3 * SECOND_NS);
        struct totals totals = totals_now();
        /* A question from before its answer had a connection may have made one come again. */
        group_expect(group, totals.open == 2 * nodes * (nodes - 1), "each has two to each");
        group_expect(group, totals.introduced < 2 * totals.open, "and has kept most of them");
        group_expect(group, totals.opened == totals.introduced, "both ends know it");
        group_expect(group, totals.broken == 0 && totals.refused == 0, "nothing was wrong");
        end(300);
    }
}

static void a_node_that_loses_power_is_found_again(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(100 + seed, 3);
        for (uint32_t round = 0; round < 4; round++) {
            group_run(group, SECOND_NS);
            uint32_t leader = group_leader(group);
            group_expect(group, leader != UINT32_MAX, "somebody leads");
            group_crash(group, leader);
            group_run(group, SECOND_NS);
            group_start(group, leader);
        }
        end(300);
    }
}

static void all_can_lose_power_at_once(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(200 + seed, 3);
        for (uint32_t round = 0; round < 3; round++) {
            group_run(group, SECOND_NS + random_below(&group->random, SECOND_NS));
            for (uint32_t i = 0; i < 3; i++) {
                group_crash(group, i);
            }
            for (uint32_t i = 0; i < 3; i++) {
                group_start(group, i);
            }
        }
        end(200);
    }
}

/* ---- where clients reach the others ------------------------------------------------------- */

/* Whether every node knows the address of every node. */
static bool all_addresses_known(void) {
    for (uint32_t i = 0; i < group->node_count; i++) {
        const struct node *node = sim_node_figures(group->nodes[i].node);
        for (uint32_t j = 0; j < group->node_count; j++) {
            struct entry_address found;
            char host[WORLD_ADDRESS_BYTES];
            snprintf(host, sizeof(host), "10.0.0.%u", group->hosts[j] + 1);
            if (!addresses_find(&node->addresses, j + 1, &found) || found.port != SIM_NODE_PORT ||
                strcmp(found.host, host) != 0) {
                return false;
            }
        }
    }
    return true;
}

static void the_log_says_where_clients_reach_each_node(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(700 + seed, 3);
        group_run(group, 2 * SECOND_NS);
        (void)group_settle(group, 20 * SECOND_NS);
        group_expect(group, all_addresses_known(), "all know where clients reach the others");
        for (uint32_t i = 0; i < 3; i++) {
            group_crash(group, i);
        }
        for (uint32_t i = 0; i < 3; i++) {
            group_start(group, i);
        }
        (void)group_settle(group, 20 * SECOND_NS);
        group_expect(group, all_addresses_known(), "and still do, by log or snapshot");
        end(100);
    }
}

/* ---- faults of the network ----------------------------------------------------------------- */

static void flip_all(uint32_t chance) {
    for (uint32_t i = 0; i < group->node_count; i++) {
        for (uint32_t j = 0; j < group->node_count; j++) {
            if (i != j) {
                world_link_flip(group->world, group->hosts[i], group->hosts[j], chance);
            }
        }
    }
}

static void flipped_bytes_end_connections_and_nothing_else(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(300 + seed, 3);
        group_run(group, SECOND_NS);
        flip_all(20);
        group_run(group, 5 * SECOND_NS);
        flip_all(0);
        struct totals totals = totals_now();
        group_expect(group, totals.broken > 20, "frames were found to be wrong");
        group_expect(group, totals.opened > 30, "and connections were opened again");
        end(100);
    }
}

static void connections_can_be_reset_at_any_byte(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(400 + seed, 3);
        for (uint32_t round = 0; round < 60; round++) {
            group_run(group, random_below(&group->random, SECOND_NS / 10));
            uint32_t a = (uint32_t)random_below(&group->random, 3);
            world_link_reset(group->world, group->hosts[a], group->hosts[(a + 1) % 3]);
        }
        struct totals totals = totals_now();
        group_expect(group, totals.introduced > 90, "they were opened again");
        end(200);
    }
}

static void link_set(void (*set)(struct world *, uint32_t, uint32_t, bool), uint32_t alone,
                     bool both_ways, bool on) {
    for (uint32_t i = 0; i < group->node_count; i++) {
        if (i != alone) {
            set(group->world, group->hosts[alone], group->hosts[i], on);
            if (both_ways || !on) {
                set(group->world, group->hosts[i], group->hosts[alone], on);
            }
        }
    }
}

/* One node is cut off, or clogged, both ways or one way; the others go on, and it catches up. */
static void who_is_cut_off_or_clogged_catches_up(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(500 + seed, 3 + 2 * (uint32_t)(seed % 2));
        for (uint32_t round = 0; round < 5; round++) {
            group_run(group, SECOND_NS);
            uint32_t alone = random_below(&group->random, 2) == 0
                                 ? group_leader(group)
                                 : (uint32_t)random_below(&group->random, group->node_count);
            if (alone == UINT32_MAX) {
                continue;
            }
            bool both_ways = random_below(&group->random, 2) == 0;
            void (*set)(struct world *, uint32_t, uint32_t, bool) =
                random_below(&group->random, 2) == 0 ? world_link_cut : world_link_clog;
            link_set(set, alone, both_ways, true);
            group_run(group, 2 * SECOND_NS);
            link_set(set, alone, true, false);
        }
        end(200);
    }
}

/* TCP tries less and less often; connections of a minute ago are not waited for. */
static void who_was_cut_off_for_a_minute_is_back_at_once(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(800 + seed, 3);
        group_run(group, SECOND_NS);
        uint32_t leader = group_leader(group);
        group_expect(group, leader != UINT32_MAX, "somebody leads");
        uint32_t alone = seed % 2 == 0 ? leader : (leader + 1) % 3;
        link_set(world_link_cut, alone, true, true);
        group_run(group, 2 * SECOND_NS);
        group->load_on = false;
        group_run(group, 60 * SECOND_NS);
        group->load_on = true;
        link_set(world_link_cut, alone, true, false);
        group_run(group, SECOND_NS);
        group->load_on = false;
        group_expect(group, group_settle(group, 3 * SECOND_NS), "all have applied everything");
        group_free(group);
    }
}

static void slow_links_delay_and_lose_nothing(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(600 + seed, 3);
        for (uint32_t i = 0; i < 9; i++) {
            if (i / 3 != i % 3) {
                world_link_delay(group->world, group->hosts[i / 3], group->hosts[i % 3],
                                 1000 * 1000, 30 * 1000 * 1000);
            }
        }
        group_run(group, 6 * SECOND_NS);
        end(50);
    }
}

/* Everything at once, for a while. */
static void anything_can_happen_at_any_time(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(2 * SEEDS);
         seed++) {
        uint32_t nodes = 3 + 2 * (uint32_t)(seed % 2);
        begin(700 + seed, nodes);
        flip_all(2);
        for (uint32_t round = 0; round < 25; round++) {
            group_run(group, random_below(&group->random, SECOND_NS / 2));
            uint32_t a = (uint32_t)random_below(&group->random, nodes);
            uint32_t b = (a + 1 + (uint32_t)random_below(&group->random, nodes - 1)) % nodes;
            uint32_t from = group->hosts[a];
            uint32_t to = group->hosts[b];
            switch (random_below(&group->random, 6)) {
            case 0: world_link_reset(group->world, from, to); break;
            case 1: world_link_cut(group->world, from, to, random_below(&group->random, 2)); break;
            case 2: world_link_clog(group->world, from, to, random_below(&group->random, 2)); break;
            case 3:
                world_link_delay(group->world, from, to, 50 * 1000,
                                 1000 * 1000 + random_below(&group->random, 20 * 1000 * 1000));
                break;
            case 4: /* one at a time: if all stood still, nothing would ever happen */
                for (uint32_t i = 0; i < nodes; i++) {
                    group->nodes[i].paused = i == a && random_below(&group->random, 2) == 0;
                }
                break;
            default:
                if (!group->nodes[a].paused) {
                    group_crash(group, a);
                    group_run(group, random_below(&group->random, SECOND_NS / 2));
                    group_start(group, a);
                }
            }
        }
        flip_all(0);
        for (uint32_t i = 0; i < nodes * nodes; i++) {
            if (i / nodes != i % nodes) {
                world_link_cut(group->world, group->hosts[i / nodes], group->hosts[i % nodes],
                               false);
                world_link_clog(group->world, group->hosts[i / nodes], group->hosts[i % nodes],
                                false);
            }
            group->nodes[i % nodes].paused = false;
        }
        end(20);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_find_each_other_and_replicate),
        cmocka_unit_test(a_node_that_loses_power_is_found_again),
        cmocka_unit_test(all_can_lose_power_at_once),
        cmocka_unit_test(the_log_says_where_clients_reach_each_node),
        cmocka_unit_test(flipped_bytes_end_connections_and_nothing_else),
        cmocka_unit_test(connections_can_be_reset_at_any_byte),
        cmocka_unit_test(who_is_cut_off_or_clogged_catches_up),
        cmocka_unit_test(who_was_cut_off_for_a_minute_is_back_at_once),
        cmocka_unit_test(slow_links_delay_and_lose_nothing),
        cmocka_unit_test(anything_can_happen_at_any_time),
    };
    return cmocka_run_group_tests_name("sim_node_cluster", tests, NULL, NULL);
}
