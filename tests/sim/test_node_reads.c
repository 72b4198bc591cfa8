/*
 * How current reads are: by quorum, by lease, and stale, on leaders and on those who follow.
 *
 * The group's own load judges quorum and lease: no reply is older than what was acknowledged before
 * it was asked for.  WEIR_SIM_SEEDS multiplies the number of seeds, WEIR_SIM_SEED runs one.
 */

#include "raft/raft.h"
#include "tests/sim/node_talk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECOND_NS UINT64_C(1000000000)

/* One for each map; with label long more of them, and under a sanitizer one. */
enum { SEEDS = WEIR_SANITIZER_BUILD ? 1 : 3 };

static struct group group[1];
static struct talk talks[4];

static const char *const maps[] = {"fused", "pair", "split"};

static void begin(uint64_t seed, enum read_mode reads, enum node_leases leases) {
    group_init(group, seed, 3, maps[seed % 3]);
    for (uint32_t i = 0; i < 3; i++) {
        group->nodes[i].options.reads = (uint8_t)reads;
        group->nodes[i].options.leases = leases;
        group->nodes[i].options.knows_addresses = true;
        group_start(group, i);
    }
}

/* Begins without load; returns the leader. */
static uint32_t begin_quiet(uint64_t seed, enum read_mode reads) {
    begin(seed, reads, NODE_LEASES_KEEP);
    group->load_on = false;
    group_expect(group, group_settle(group, 5 * SECOND_NS), "somebody leads");
    return group_leader(group);
}

static const struct node_replicate_figures *figures(uint32_t node) {
    return &sim_node_figures(group->nodes[node].node)->replicate;
}

static void cut_off(uint32_t node, bool cut) {
    for (uint32_t i = 0; i < 3; i++) {
        group->cut[node][i] = cut;
        group->cut[i][node] = cut;
    }
}

static void end(uint32_t talk_count) {
    for (uint32_t i = 0; i < talk_count; i++) {
        talk_close(&talks[i]);
    }
    group_expect(group, true, "no finding");
    group_free(group);
}

/* ---- what is not served -------------------------------------------------------------------- */

static void who_follows_sends_clients_to_the_leader(void **state) {
    (void)state;
    uint32_t leader = begin_quiet(1, READ_QUORUM);
    uint32_t follower = (leader + 1) % 3;
    char moved[64];
    (void)snprintf(moved, sizeof(moved), "-MOVED 12182 10.0.0.%u:7379", leader + 1); /* foo */
    talk_open(&talks[0], group, follower);
    talk_expect(&talks[0], "get foo", moved);
    talk_expect(&talks[0], "set foo x", moved);
    talk_expect(&talks[0], "flushall", "-READONLY You can't write against a read only replica.");
    (void)snprintf(moved, sizeof(moved), "the leader is at 10.0.0.%u:7379", leader + 1);
    talk_expect(&talks[0], "dbsize", "-CLUSTERDOWN");
    assert_non_null(strstr(talk_ask(&talks[0], "dbsize"), moved));
    talk_expect(&talks[0], "ping", "+PONG");
    cut_off(follower, true);
    group_run(group, SECOND_NS); /* it knows nobody any more */
    talk_expect(&talks[0], "get foo", "-CLUSTERDOWN");
    talk_expect(&talks[0], "set foo x", "-CLUSTERDOWN");
    talk_expect(&talks[0], "flushall", "-CLUSTERDOWN");
    end(1);
}

/* ---- stale --------------------------------------------------------------------------------- */

static void who_follows_answers_stale_reads_only_to_who_takes_them(void **state) {
    (void)state;
    uint32_t leader = begin_quiet(2, READ_QUORUM);
    talk_open(&talks[0], group, leader);
    talk_expect(&talks[0], "set foo old", "+OK");
    group_expect(group, group_settle(group, 5 * SECOND_NS), "all have it");
    talk_open(&talks[1], group, (leader + 1) % 3);
    talk_expect(&talks[1], "get foo", "-MOVED");
    talk_expect(&talks[1], "readonly", "+OK");
    talk_expect(&talks[1], "get foo", "old");
    talk_expect(&talks[1], "dbsize", ":1");
    talk_expect(&talks[1], "set foo x", "-MOVED");
    talk_expect(&talks[1], "flushall", "-READONLY");
    talk_expect(&talks[1], "readwrite", "+OK");
    talk_expect(&talks[1], "get foo", "-MOVED");
    talk_expect(&talks[1], "client reads stale", "+OK");
    talk_expect(&talks[1], "get foo", "old");
    talk_expect(&talks[1], "client reads lease", "+OK");
    talk_expect(&talks[1], "get foo", "-MOVED");
    /* In one piece: each as it was said. */
    talk_say(&talks[1], "client reads stale\r\nget foo\r\nreset\r\nget foo\r\nset foo x\r\n");
    const char *replies = talk_hear(&talks[1], 5, SECOND_NS);
    if (strncmp(replies, "+OK\nold\n+RESET\n-MOVED", 21) != 0) {
        fail_msg("replies: %s", replies);
    }
    end(2);
}

static void who_is_cut_off_answers_stale_reads_from_what_it_has(void **state) {
    (void)state;
    uint32_t leader = begin_quiet(3, READ_STALE);
    uint32_t follower = (leader + 1) % 3;
    talk_open(&talks[0], group, leader);
    talk_expect(&talks[0], "set foo old", "+OK");
    group_expect(group, group_settle(group, 5 * SECOND_NS), "all have it");
    cut_off(follower, true);
    talk_expect(&talks[0], "set foo new", "+OK");
    talk_open(&talks[1], group, follower);
    group_run(group, SECOND_NS);
    talk_expect(&talks[1], "get foo", "old");
    cut_off(follower, false);
    group_expect(group, group_settle(group, 5 * SECOND_NS), "all have it");
    talk_expect(&talks[1], "get foo", "new");
    end(2);
}

/* A stale read does not pass the write before it, nor anything before that. */
static void a_connection_sees_its_own_writes_in_every_mode(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        uint32_t leader = begin_quiet(10 + seed, READ_QUORUM);
        talk_open(&talks[0], group, leader);
        for (uint32_t i = 1; i <= 150; i++) {
            char text[256];
            char expected[64];
            static const char *const mode[] = {"stale", "lease", "quorum"};
            (void)snprintf(text, sizeof(text),
                           "get n\r\nclient reads %s\r\nincr n\r\nget n\r\nclient reads %s\r\n",
                           mode[i % 3], mode[i / 3 % 3]);
            (void)snprintf(expected, sizeof(expected), "+OK\n:%u\n%u\n+OK\n%u\n", i, i, i);
            for (size_t at = 0, length = strlen(text); at < length;) {
                size_t some = 1 + random_below(&group->random, length - at);
                talk_send(&talks[0], text + at, some); /* in batches of any shape */
                at += some;
                for (uint64_t steps = random_below(&group->random, 20); steps > 0; steps--) {
                    (void)group_step(group);
                }
            }
            talk_say(&talks[0], "get n\r\n");
            const char *replies = talk_hear(&talks[0], 6, 2 * SECOND_NS);
            const char *tail = strchr(replies, '\n');
            if (tail == NULL || strcmp(tail + 1, expected) != 0) {
                fail_msg("seed %" PRIu64 ": \"%s\", not \"%s\"", group->seed, replies, expected);
            }
        }
        end(1);
    }
}

/* ---- leases -------------------------------------------------------------------------------- */

static void without_leases_in_the_configuration_reads_ask_a_quorum(void **state) {
    (void)state;
    begin(20, READ_LEASE, NODE_LEASES_KEEP);
    group_run(group, 2 * SECOND_NS);
    uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    group_expect(group, node_figure(&figures(leader)->leases) == 0, "there are no leases");
    group_expect(group, node_figure(&figures(leader)->reads_leased) == 0, "none was answered so");
    group_expect(group, node_figure(&figures(leader)->reads_asked) > 100, "a quorum was asked");
    end(0);
}

static void leases_are_turned_on_and_off_by_the_leaders_option(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(30 + seed, READ_LEASE, NODE_LEASES_ON);
        group_run(group, 3 * SECOND_NS);
        uint32_t leader = group_leader(group);
        group_expect(group, leader != UINT32_MAX, "somebody leads");
        group_expect(group, node_figure(&figures(leader)->reads_leased) > 200,
                     "reads are answered by the lease");
        group->load_on = false;
        group_expect(group, group_settle(group, 5 * SECOND_NS), "all have applied everything");
        for (uint32_t i = 0; i < 3; i++) {
            group_expect(group, node_figure(&figures(i)->leases) == 1, "all have the leases");
            group_crash(group, i);
            group->nodes[i].options.leases = NODE_LEASES_OFF;
        }
        for (uint32_t i = 0; i < 3; i++) {
            group_start(group, i);
        }
        group_expect(group, group_settle(group, 5 * SECOND_NS), "somebody leads again");
        group->load_on = true;
        group_run(group, SECOND_NS);
        group->load_on = false;
        group_expect(group, group_settle(group, 5 * SECOND_NS), "all have applied everything");
        for (uint32_t i = 0; i < 3; i++) {
            group_expect(group, node_figure(&figures(i)->leases) == 0, "nobody has leases");
        }
        end(0);
    }
}

/* Clocks that run up to 4 per cent wrong, either way, and leaders that are cut off or stand still:
 * within the bound, nobody reads what is old. */
static void a_lease_ends_before_another_leads(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(40 + seed, READ_LEASE, NODE_LEASES_ON);
        uint64_t leased = 0;
        for (uint32_t round = 0; round < 8; round++) {
            for (uint32_t i = 0; i < 3; i++) {
                int32_t ppm = (int32_t)random_below(&group->random, 80001) - 40000;
                world_clock_rate(group->world, group->nodes[i].host, ppm);
            }
            group_run(group, SECOND_NS);
            uint32_t leader = group_leader(group);
            group_expect(group, leader != UINT32_MAX, "somebody leads");
            leased += node_figure(&figures(leader)->reads_leased);
            if (round % 2 == 0) {
                cut_off(leader, true);
                group_run(group, SECOND_NS);
                cut_off(leader, false);
            } else {
                group->nodes[leader].paused = true;
                cut_off(leader, round % 4 == 1); /* it may go on before it hears of another */
                group_run(group, SECOND_NS / 5 + random_below(&group->random, SECOND_NS));
                group->nodes[leader].paused = false;
                group_run(group, SECOND_NS / 5);
                cut_off(leader, false);
            }
        }
        group_run(group, SECOND_NS);
        group->load_on = false;
        group_expect(group, group_settle(group, 10 * SECOND_NS), "all have applied everything");
        group_expect(group, leased > 200, "many were answered by a lease");
        group_expect(group, group->counts.gets > 200, "many were read");
        end(0);
    }
}

/* A lease is as long as the leader's time-out.  Both others are started again at once, with a
 * shorter one: what they had promised is longer, and they keep it. */
static void who_restarts_with_a_shorter_time_out_keeps_its_promise(void **state) {
    (void)state;
    group_init(group, 61, 3, "fused");
    for (uint32_t i = 0; i < 3; i++) {
        group->nodes[i].options.election_timeout_ms = 1000;
        group->nodes[i].options.reads = READ_LEASE;
        group->nodes[i].options.leases = NODE_LEASES_ON;
        group_start(group, i);
    }
    group_run(group, 6 * SECOND_NS);
    uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    group->load_on = false;
    group_expect(group, group_settle(group, 5 * SECOND_NS), "all have applied everything");
    talk_open(&talks[0], group, leader);
    talk_expect(&talks[0], "get foo", "(nil)");
    uint64_t leased = node_figure(&figures(leader)->reads_leased);
    group_expect(group, leased > 200, "reads are answered by the lease");
    cut_off(leader, true);
    for (uint32_t i = 1; i < 3; i++) {
        uint32_t other = (leader + i) % 3;
        group_crash(group, other);
        group->nodes[other].options.election_timeout_ms = 50;
        group_start(group, other);
    }
    group_run(group, SECOND_NS * 3 / 5);
    talk_expect(&talks[0], "get foo", "(nil)");
    group_expect(group, node_figure(&figures(leader)->reads_leased) == leased + 1,
                 "it is answered by the lease");
    group_expect(group, group_leader(group) == leader, "nobody else leads yet");
    group_run(group, 2 * SECOND_NS);
    group_expect(group, group_leader(group) != leader, "another leads then");
    cut_off(leader, false);
    group_run(group, SECOND_NS);
    end(1);
}

/* Members with other time-outs, which change: each leader has leases of its own length, and nobody
 * reads what is old. */
static void leases_are_as_long_as_the_leader_says(void **state) {
    (void)state;
    static const uint32_t timeouts_ms[] = {50, 200, 700};
    begin(62, READ_LEASE, NODE_LEASES_ON);
    uint64_t leased = 0;
    for (uint32_t round = 0; round < 8; round++) {
        group_run(group, 3 * SECOND_NS);
        uint32_t leader = group_leader(group);
        group_expect(group, leader != UINT32_MAX, "somebody leads");
        leased += node_figure(&figures(leader)->reads_leased);
        cut_off(leader, true);
        uint32_t other = (leader + 1 + round % 2) % 3;
        group_crash(group, other);
        group->nodes[other].options.election_timeout_ms =
            timeouts_ms[random_below(&group->random, 3)];
        group_start(group, other);
        group_run(group, random_below(&group->random, 2 * SECOND_NS));
        cut_off(leader, false);
    }
    group->load_on = false;
    group_expect(group, group_settle(group, 10 * SECOND_NS), "all have applied everything");
    group_expect(group, leased > 200, "many were answered by a lease");
    end(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_follows_sends_clients_to_the_leader),
        cmocka_unit_test(who_follows_answers_stale_reads_only_to_who_takes_them),
        cmocka_unit_test(who_is_cut_off_answers_stale_reads_from_what_it_has),
        cmocka_unit_test(a_connection_sees_its_own_writes_in_every_mode),
        cmocka_unit_test(without_leases_in_the_configuration_reads_ask_a_quorum),
        cmocka_unit_test(leases_are_turned_on_and_off_by_the_leaders_option),
        cmocka_unit_test(a_lease_ends_before_another_leads),
        cmocka_unit_test(who_restarts_with_a_shorter_time_out_keeps_its_promise),
        cmocka_unit_test(leases_are_as_long_as_the_leader_says),
    };
    return cmocka_run_group_tests_name("sim_node_reads", tests, NULL, NULL);
}
