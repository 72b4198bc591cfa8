/*
 * Entries do not get through, while control messages do, or do not get onto the leader's disk; and
 * what a leader that had some of its own does when it comes back.
 */

#include "raft/raft.h"
#include "tests/sim/node_talk.h"

#include <string.h>

#define SECOND_NS           UINT64_C(1000000000)
#define ELECTION_TIMEOUT_NS UINT64_C(200000000)       /* stages/replicate_internal.h */
#define STALLED_NS          (5 * ELECTION_TIMEOUT_NS) /* likewise */

/* One for each map; with label long more of them, and under a sanitizer one. */
enum { SEEDS = WEIR_SANITIZER_BUILD ? 1 : 3 };

static struct group group[1];

static const char *const maps[] = {"fused", "pair", "split"};

static uint32_t begin(uint64_t seed) {
    group_init(group, seed, 3, maps[seed % 3]);
    for (uint32_t i = 0; i < 3; i++) {
        group_start(group, i);
    }
    group_run(group, 2 * SECOND_NS);
    group_expect(group, group_leader(group) != UINT32_MAX, "somebody leads");
    return group_leader(group);
}

static void data_clog(uint32_t leader) {
    for (uint32_t i = 0; i < 3; i++) {
        group->clogged[leader][i] = true;
    }
}

static uint64_t figure(const uint64_t *figure_at) {
    return node_figure(figure_at);
}

static const struct node_replicate_figures *figures(uint32_t node) {
    return &sim_node_figures(group->nodes[node].node)->replicate;
}

static void end(void) {
    group->load_on = false;
    memset(group->clogged, 0, sizeof(group->clogged));
    group_expect(group, group_settle(group, 10 * SECOND_NS), "all have applied everything");
    group_free(group);
}

static void a_clogged_data_connection_is_opened_anew(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        uint32_t leader = begin(seed);
        uint64_t term = figure(&figures(leader)->term);
        group->reopening_mends = true;
        data_clog(leader);
        group_run(group, 3 * ELECTION_TIMEOUT_NS / 2);
        group_expect(group, group->counts.reopened == 0, "not before two time-outs");
        uint64_t commit = figure(&figures(leader)->commit_index);
        group_run(group, ELECTION_TIMEOUT_NS);
        group_expect(group, group->counts.reopened > 0, "then");
        group_run(group, SECOND_NS);
        group_expect(group, group_leader(group) == leader, "it still leads");
        group_expect(group, figure(&figures(leader)->term) == term, "in the same term");
        group_expect(group, figure(&figures(leader)->commit_index) > commit, "and commits");
        end();
    }
}

static void a_leader_whose_data_stays_clogged_steps_down(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        uint32_t leader = begin(100 + seed);
        uint64_t term = figure(&figures(leader)->term);
        data_clog(leader);
        group_run(group, 3 * ELECTION_TIMEOUT_NS);
        group_expect(group, figure(&figures(leader)->role) == RAFT_LEADER, "not before four");
        group_expect(group, group->counts.reopened > 0, "it has tried to open them anew");
        group_run(group, 2 * ELECTION_TIMEOUT_NS);
        group_expect(group, figure(&figures(leader)->term) > term || group_leader(group) != leader,
                     "then it has stepped down");
        /* Whoever of them is elected again cannot commit, and steps down again. */
        uint64_t acked = group->counts.incr_acked;
        for (uint32_t i = 0; i < 20 && group->counts.incr_acked < acked + 50; i++) {
            group_run(group, SECOND_NS);
        }
        group_expect(group, group->counts.incr_acked >= acked + 50, "another one goes on");
        group_expect(group, group_leader(group) != leader, "who is heard");
        end();
    }
}

/* The most messages that were under way to a member whose answers do not come, for a while. */
static uint32_t most_under_way(uint32_t append_messages_max, uint64_t append_bytes_max) {
    struct raft_peer_status peers[3];
    uint32_t most = 0;
    group_init(group, 300 + append_messages_max + append_bytes_max, 3, "fused");
    for (uint32_t i = 0; i < 3; i++) {
        group->nodes[i].options.append_messages_max = append_messages_max;
        group->nodes[i].options.append_bytes_max = append_bytes_max;
        group_start(group, i);
    }
    group_run(group, 2 * SECOND_NS);
    uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    uint32_t silent = (leader + 1) % 3;
    group->clogged[silent][leader] = true;
    uint64_t commit = figure(&figures(leader)->commit_index);
    uint64_t until_ns = world_now_ns(group->world) + ELECTION_TIMEOUT_NS;
    while (world_now_ns(group->world) < until_ns && group_step(group)) {
        uint32_t count = raft_peers(sim_node_raft(group->nodes[leader].node), peers, 3);
        for (uint32_t i = 0; i < count; i++) {
            if (peers[i].node_id == silent + 1 && peers[i].inflight_messages > most) {
                most = peers[i].inflight_messages;
            }
        }
    }
    group_expect(group, figure(&figures(leader)->commit_index) > commit + 8, "the others go on");
    end();
    return most;
}

static void no_more_messages_are_under_way_than_configured(void **state) {
    (void)state;
    assert_int_equal(most_under_way(1, 0), 1);
    assert_int_equal(most_under_way(3, 0), 3);
    assert_true(most_under_way(0, 0) > 8);
}

/* One message may exceed them, and then there is no other one; an entry has some 70 here. */
static void no_more_bytes_are_under_way_than_configured(void **state) {
    (void)state;
    assert_int_equal(most_under_way(0, 1), 1);
    assert_in_range(most_under_way(0, 300), 2, 8);
}

/*
 * Found by chance: a leader of before, with entries of its own that nobody has, is told to replace
 * them, which waits for its vote to be durable; a heartbeat meanwhile says that this index is
 * committed.  What stood there must not be applied.
 */
static void nothing_is_applied_that_is_about_to_be_replaced(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        (void)begin(200 + seed);
        for (uint32_t round = 0; round < 5; round++) {
            group_run(group, SECOND_NS);
            uint32_t leader = group_leader(group);
            group_expect(group, leader != UINT32_MAX, "somebody leads");
            data_clog(leader);
            group_run(group, ELECTION_TIMEOUT_NS / 4); /* nobody has these entries */
            group->nodes[leader].paused = true;
            group_run(group, SECOND_NS);
            group->nodes[leader].paused = false;
            world_disk_delay(group->world, group->nodes[leader].host, 40000000, 60000000);
            group_run(group, SECOND_NS / 2);
            world_disk_delay(group->world, group->nodes[leader].host, 50000, 6000000);
            memset(group->clogged, 0, sizeof(group->clogged));
        }
        end();
    }
}

static void stall(uint32_t node, bool stalled) {
    world_disk_stall(group->world, group->nodes[node].host, stalled);
}

/* A disk that is only slow, or stands still for less than the bound, deposes nobody. */
static void a_leader_whose_disk_stands_still_for_a_moment_goes_on(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        uint32_t leader = begin(300 + seed);
        uint64_t term = figure(&figures(leader)->term);
        uint64_t acked = group->counts.incr_acked;
        stall(leader, true);
        group_run(group, STALLED_NS - ELECTION_TIMEOUT_NS);
        group_expect(group, group->counts.incr_acked > acked, "the others' disks are enough");
        stall(leader, false);
        group_run(group, SECOND_NS);
        group_expect(group, group_leader(group) == leader, "it still leads");
        group_expect(group, figure(&figures(leader)->term) == term, "in the same term");
        end();
    }
}

/* Longer than that: it hands over, without a time-out in between. */
static void a_leader_whose_disk_stands_still_gives_leadership_away(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        uint32_t leader = begin(400 + seed);
        uint64_t term = figure(&figures(leader)->term);
        stall(leader, true);
        group_run(group, STALLED_NS - ELECTION_TIMEOUT_NS);
        group_expect(group, group_leader(group) == leader, "not before the bound");
        group_run(group, 2 * ELECTION_TIMEOUT_NS);
        uint32_t next = group_leader(group);
        group_expect(group, next != leader && next != UINT32_MAX, "then another one leads");
        group_expect(group, figure(&figures(next)->term) == term + 1, "by one election");
        uint64_t acked = group->counts.incr_acked;
        group_run(group, SECOND_NS);
        group_expect(group, group->counts.incr_acked >= acked + 50, "and serves");
        group_expect(group, group_leader(group) == next, "and is not asked to hand it back");
        stall(leader, false);
        end();
    }
}

/* Nobody can take over, and nothing is committed: it steps down, and nobody campaigns with what is
 * on no disk.  As soon as two disks take something again, theirs are who lead. */
static void while_all_disks_stand_still_nobody_is_elected(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        uint32_t leader = begin(500 + seed);
        uint64_t term = figure(&figures(leader)->term);
        for (uint32_t i = 0; i < 3; i++) {
            stall(i, true);
        }
        uint64_t acked = group->counts.incr_acked;
        group_run(group, 3 * SECOND_NS);
        group_expect(group, group->counts.incr_acked <= acked + GROUP_CLIENTS,
                     "nothing is acknowledged that is on no disk");
        group_expect(group,
                     group_leader(group) == UINT32_MAX ||
                         figure(&figures(group_leader(group))->term) == term,
                     "nobody is elected");
        for (uint32_t i = 0; i < 3; i++) {
            stall(i, i == leader);
        }
        acked = group->counts.incr_acked;
        for (uint32_t i = 0; i < 10 && group->counts.incr_acked < acked + 50; i++) {
            group_run(group, SECOND_NS);
        }
        group_expect(group, group->counts.incr_acked >= acked + 50, "two disks are enough");
        group_expect(group, group_leader(group) != leader, "and its own is none of them");
        stall(leader, false);
        end();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clogged_data_connection_is_opened_anew),
        cmocka_unit_test(a_leader_whose_data_stays_clogged_steps_down),
        cmocka_unit_test(no_more_messages_are_under_way_than_configured),
        cmocka_unit_test(no_more_bytes_are_under_way_than_configured),
        cmocka_unit_test(nothing_is_applied_that_is_about_to_be_replaced),
        cmocka_unit_test(a_leader_whose_disk_stands_still_for_a_moment_goes_on),
        cmocka_unit_test(a_leader_whose_disk_stands_still_gives_leadership_away),
        cmocka_unit_test(while_all_disks_stand_still_nobody_is_elected),
    };
    return cmocka_run_group_tests_name("sim_node_clogged", tests, NULL, NULL);
}
