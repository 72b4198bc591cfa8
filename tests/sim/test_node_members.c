/*
 * Members that come and go, and leadership that is handed over, in clusters of whole nodes under
 * load: nothing acknowledged is lost, and what was asked comes about or is said not to.
 */

#include "tests/sim/node_group.h"

#include <string.h>

#include "raft/raft.h"
#include "stages/change.h"
#include "stages/peers.h"

#define SECOND_NS UINT64_C(1000000000)

/* One for each map; with label long more of them, and under a sanitizer one. */
enum { SEEDS = WEIR_SANITIZER_BUILD ? 1 : 3 };

static struct group group[1];
static const char *const maps[] = {"fused", "pair", "split"};

/* ---- what the tests share ------------------------------------------------------------------ */

static void cut(uint32_t node, bool is_cut) {
    for (uint32_t i = 0; i < group->node_count; i++) {
        group->cut[node][i] = is_cut;
        group->cut[i][node] = is_cut;
    }
}

/* Founders that run, and nodes that may be added and do not run yet. */
static void begin(uint64_t seed, uint32_t founders, uint32_t nodes) {
    group_init(group, seed, nodes, maps[seed % 3]);
    for (uint32_t i = 0; i < nodes; i++) {
        group->nodes[i].options.member_count = founders;
    }
    for (uint32_t i = 0; i < founders; i++) {
        group_start(group, i);
    }
}

/* The same over connections of their own; the address books have all from the start. */
static void begin_networked(uint64_t seed, uint32_t founders, uint32_t nodes) {
    group_init_networked(group, seed, nodes, maps[seed % 3]);
    for (uint32_t i = 0; i < nodes; i++) {
        group->nodes[i].options.member_count = founders;
        group->nodes[i].options.member_hosts_count = nodes;
    }
    for (uint32_t i = 0; i < founders; i++) {
        group_start(group, i);
    }
}

/* The role of a node as another one has it in the configuration in force; 0: no member. */
static uint32_t role_at(uint32_t at, uint32_t node) {
    const struct configuration_member *member =
        configuration_find(raft_configuration(sim_node_raft(group->nodes[at].node)), node + 1);
    return member == NULL ? 0 : member->roles;
}

/* Whether the leader has it, and committed. */
static uint32_t role_of(uint32_t node) {
    uint32_t leader = group_leader(group);
    return leader == UINT32_MAX ? UINT32_MAX : role_at(leader, node);
}

/* Asks one node, and waits until it has said what became of it, or has no process any more. */
static enum change_state ask_at(uint32_t node, const struct change_request *request,
                                const char **reason) {
    struct change_box *box = sim_node_changes(group->nodes[node].node);
    assert_true(change_ask(box, request));
    assert_false(change_ask(box, request)); /* one at a time */
    sim_node_wake(group->nodes[node].node);
    uint64_t until_ns = world_now_ns(group->world) + 10 * SECOND_NS;
    enum change_state state = change_look(box, reason);
    while (state < CHANGE_DONE && world_now_ns(group->world) < until_ns &&
           group->finding[0] == '\0') {
        group_step(group);
        state = change_look(box, reason);
    }
    if (state >= CHANGE_DONE) {
        change_forget(box);
    }
    return state;
}

/* Asks whoever leads, again and again, until it is done. */
static void ask_until_done(const struct change_request *request, const char *what) {
    uint64_t until_ns = world_now_ns(group->world) + 60 * SECOND_NS;
    enum change_state state = CHANGE_NONE;
    const char *reason = "nobody leads";
    while (state != CHANGE_DONE && world_now_ns(group->world) < until_ns &&
           group->finding[0] == '\0') {
        uint32_t leader = group_leader(group);
        if (leader != UINT32_MAX && !group->nodes[leader].paused) {
            state = ask_at(leader, request, &reason);
        }
        if (state == CHANGE_UNKNOWN ||
            (state == CHANGE_REFUSED && strcmp(reason, "it is a member already") == 0)) {
            group_run(group, SECOND_NS); /* an earlier one may have come about */
            return;
        }
        if (state != CHANGE_DONE) {
            group_run(group, SECOND_NS / 20);
        }
    }
    if (state != CHANGE_DONE) {
        print_error("%s: state %d, %s\n", what, (int)state, reason);
    }
    group_expect(group, state == CHANGE_DONE, what);
}

static void edit(enum change_edit_kind kind, uint32_t node, const char *what) {
    const struct change_request request = {
        .kind = CHANGE_MEMBERS, .edit_count = 1, .edits = {{.kind = kind, .node_id = node + 1}}};
    ask_until_done(&request, what);
}

/* A node joins as a learner, catches up, and becomes a voter. */
static void grow(uint32_t node) {
    edit(CHANGE_ADD_LEARNER, node, "a learner is added");
    group_expect(group, role_of(node) == CONFIGURATION_LEARNER, "it is a learner");
    edit(CHANGE_PROMOTE, node, "it becomes a voter");
    group_expect(group, role_of(node) == CONFIGURATION_VOTER, "it is a voter");
}

static void settle(uint64_t acked_min) {
    group_run(group, SECOND_NS);
    group->load_on = false;
    group_expect(group, group_settle(group, 10 * SECOND_NS), "all have applied everything");
    group_expect(group, group->counts.incr_acked > acked_min, "many were acknowledged");
    group_free(group);
}

/* ---- what is refused ----------------------------------------------------------------------- */

static void assert_refused(uint32_t node, enum change_edit_kind kind, uint64_t node_id,
                           const char *words) {
    const struct change_request request = {
        .kind = CHANGE_MEMBERS, .edit_count = 1, .edits = {{.kind = kind, .node_id = node_id}}};
    const char *reason;
    assert_int_equal(ask_at(node, &request, &reason), CHANGE_REFUSED);
    if (strstr(reason, words) == NULL) {
        fail_msg("\"%s\" is not in: %s", words, reason);
    }
}

static void what_cannot_be_done_is_refused_with_its_reason(void **state) {
    (void)state;
    begin(1, 3, 5);
    group_run(group, 2 * SECOND_NS);
    uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    const char *reason;
    assert_refused((leader + 1) % 3, CHANGE_REMOVE, 1, "not the leader");
    assert_refused(leader, CHANGE_ADD_LEARNER, 0, "no node has the id 0");
    assert_refused(leader, CHANGE_ADD_LEARNER, 2, "it is a member already");
    assert_refused(leader, CHANGE_ADD_LEARNER, 4, "has not introduced itself yet");
    assert_refused(leader, CHANGE_PROMOTE, 4, "it is no member");
    assert_refused(leader, CHANGE_REMOVE, 5, "it is no member");
    assert_refused(leader, CHANGE_PROMOTE, leader + 1, "it is a voter already");
    const struct change_request nobody = {
        .kind = CHANGE_MEMBERS,
        .edit_count = 3,
        .edits = {{CHANGE_REMOVE, 1, 0}, {CHANGE_REMOVE, 2, 0}, {CHANGE_REMOVE, 3, 0}}};
    assert_int_equal(ask_at(leader, &nobody, &reason), CHANGE_REFUSED);
    for (uint64_t target = 1; target <= 4; target++) {
        const struct change_request transfer = {.kind = CHANGE_LEADER, .leader = target};
        uint32_t at = target == leader + 1 || target == 4 ? leader : (leader + 1) % 3;
        assert_int_equal(ask_at(at, &transfer, &reason), CHANGE_REFUSED);
    }
    /* A learner without a log becomes no voter: the next commit would need one more. */
    group_start(group, 3);
    group_run(group, SECOND_NS / 10);
    cut(3, true);
    edit(CHANGE_ADD_LEARNER, 3, "a learner is added");
    leader = group_leader(group);
    assert_refused(leader, CHANGE_PROMOTE, 4, "a new voter must first catch up as a learner");
    cut(3, false);
    settle(20);
}

/* ---- growing and shrinking ----------------------------------------------------------------- */

static void a_cluster_grows_from_three_to_five(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(seed, 3, 5);
        group_run(group, SECOND_NS);
        for (uint32_t node = 3; node < 5; node++) {
            group_start(group, node);
            grow(node);
        }
        /* The new ones count: two founders are gone, and the rest goes on, also from its disks. */
        group_crash(group, 0);
        group_crash(group, 1);
        uint64_t acked = group->counts.incr_acked;
        group_run(group, 4 * SECOND_NS);
        group_expect(group, group->counts.incr_acked > acked + 50, "three of five go on");
        for (uint32_t node = 2; node < 5; node++) {
            group_crash(group, node);
        }
        for (uint32_t node = 2; node < 5; node++) {
            group_start(group, node);
        }
        acked = group->counts.incr_acked;
        group_run(group, 4 * SECOND_NS);
        group_expect(group, group->counts.incr_acked > acked + 50, "also after a power cut of all");
        group_start(group, 0);
        group_start(group, 1);
        settle(100);
    }
}

static void a_cluster_shrinks_from_five_to_three_and_its_leader_goes_first(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(100 + seed, 5, 5);
        group_run(group, 2 * SECOND_NS);
        for (uint32_t round = 0; round < 2; round++) {
            uint32_t leader = group_leader(group);
            group_expect(group, leader != UINT32_MAX, "somebody leads");
            edit(CHANGE_REMOVE, leader, "the leader is removed");
            group_run(group, 2 * SECOND_NS);
            group_expect(group, role_of(leader) == 0, "it is no member any more");
            group_expect(group, group_leader(group) != leader, "nor does it lead");
            group_crash(group, leader);
        }
        uint64_t acked = group->counts.incr_acked;
        group_run(group, 2 * SECOND_NS);
        group_expect(group, group->counts.incr_acked > acked + 50, "three go on");
        for (uint32_t node = 0; node < 5; node++) { /* a majority of three are two */
            if (group->nodes[node].node != NULL && node != group_leader(group)) {
                group_crash(group, node);
                break;
            }
        }
        acked = group->counts.incr_acked;
        group_run(group, 2 * SECOND_NS);
        group_expect(group, group->counts.incr_acked > acked + 50, "two of three go on");
        settle(200);
    }
}

static void two_leave_in_one_step_with_the_leader_among_them(void **state) {
    (void)state;
    begin(200, 5, 5);
    group_run(group, 2 * SECOND_NS);
    uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    uint32_t other = (leader + 1) % 5;
    const struct change_request request = {
        .kind = CHANGE_MEMBERS,
        .edit_count = 2,
        .edits = {{CHANGE_REMOVE, leader + 1, 0}, {CHANGE_REMOVE, other + 1, 0}}};
    ask_until_done(&request, "two are removed at once");
    group_run(group, 2 * SECOND_NS);
    group_expect(group, role_of(leader) == 0 && role_of(other) == 0, "both are gone");
    group_crash(group, leader);
    group_crash(group, other);
    settle(100);
}

/* Power cuts and partitions while members come and go. */
static void changes_survive_power_cuts_and_partitions(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(300 + seed, 3, 5);
        group->loss_per_mille = 20;
        group_run(group, SECOND_NS);
        group_start(group, 3);
        group_start(group, 4);
        const struct change_request requests[] = {
            {.kind = CHANGE_MEMBERS,
             .edit_count = 2,
             .edits = {{CHANGE_ADD_LEARNER, 4, 0}, {CHANGE_ADD_LEARNER, 5, 0}}},
            {.kind = CHANGE_MEMBERS,
             .edit_count = 2,
             .edits = {{CHANGE_PROMOTE, 4, 0}, {CHANGE_PROMOTE, 5, 0}}},
            {.kind = CHANGE_MEMBERS, .edit_count = 1, .edits = {{CHANGE_REMOVE, 1, 0}}},
        };
        for (uint32_t round = 0; round < 12; round++) {
            uint32_t leader = group_leader(group);
            struct change_box *box =
                leader == UINT32_MAX ? NULL : sim_node_changes(group->nodes[leader].node);
            if (box != NULL && change_ask(box, &requests[round / 4])) {
                sim_node_wake(group->nodes[leader].node);
            }
            group_run(group, random_below(&group->random, 60 * 1000 * 1000));
            uint32_t victim = random_below(&group->random, 2) == 0 && leader != UINT32_MAX
                                  ? leader
                                  : (uint32_t)random_below(&group->random, 5);
            if (random_below(&group->random, 2) == 0) {
                group_crash(group, victim);
                group_run(group, SECOND_NS / 2);
                group_start(group, victim);
            } else {
                cut(victim, true);
                group_run(group, SECOND_NS);
                cut(victim, false);
            }
            group_run(group, SECOND_NS / 2);
            for (uint32_t i = 0; i < 5; i++) {
                const char *reason;
                box = sim_node_changes(group->nodes[i].node);
                if (change_look(box, &reason) >= CHANGE_DONE) {
                    change_forget(box);
                }
            }
        }
        group->loss_per_mille = 0;
        group_run(group, 3 * SECOND_NS);
        group_expect(group, group_leader(group) != UINT32_MAX, "somebody leads");
        for (uint32_t i = 0; i < 5; i++) {
            if (role_of(i) == 0) {
                group_crash(group, i); /* who was removed gets nothing more */
            }
        }
        settle(20);
    }
}

/* A joint configuration that only its leader has goes away with the leader's tail, and with it the
 * incarnation that counted there. */
static void a_change_that_was_truncated_is_rolled_back(void **state) {
    (void)state;
    begin(400, 3, 4);
    group_start(group, 3);
    group_run(group, 2 * SECOND_NS);
    uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    const struct change_request request = {
        .kind = CHANGE_MEMBERS, .edit_count = 1, .edits = {{CHANGE_ADD_LEARNER, 4, 4711}}};
    cut(leader, true);
    struct change_box *box = sim_node_changes(group->nodes[leader].node);
    assert_true(change_ask(box, &request));
    sim_node_wake(group->nodes[leader].node);
    const char *reason;
    while (change_look(box, &reason) != CHANGE_ACCEPTED || role_at(leader, 3) == 0) {
        group_step(group);
    }
    const struct peer_link *link = peers_find(sim_node_peers(group->nodes[leader].node), 4);
    group_expect(group, role_at(leader, 3) == CONFIGURATION_LEARNER, "in force when appended");
    group_expect(group, link->incarnation == 4711, "and with it the incarnation");
    group_run(group, 3 * SECOND_NS);
    assert_int_equal(change_look(box, &reason), CHANGE_UNKNOWN);
    group_expect(group, role_of(3) == 0, "the others know nothing of it");
    cut(leader, false);
    group_run(group, 2 * SECOND_NS);
    group_expect(group, role_at(leader, 3) == 0, "rolled back");
    group_expect(group, link->incarnation == 0, "and with it the incarnation");
    change_forget(box);
    grow(3); /* under the incarnation that it really has */
    settle(50);
}

static void a_cluster_changes_over_connections_of_its_own(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin_networked(800 + seed, 3, 5);
        group_run(group, 2 * SECOND_NS);
        for (uint32_t node = 3; node < 5; node++) {
            group_start(group, node);
            grow(node);
        }
        uint32_t leader = group_leader(group);
        group_expect(group, leader != UINT32_MAX, "somebody leads");
        edit(CHANGE_REMOVE, leader, "the leader is removed");
        group_run(group, 2 * SECOND_NS);
        group_expect(group, role_of(leader) == 0, "it is no member any more");
        group_crash(group, leader);
        uint32_t wiped = leader == 3 ? 4 : 3;
        group_crash(group, wiped);
        group_wipe(group, wiped);
        group_start(group, wiped);
        group_run(group, 2 * SECOND_NS);
        const struct node *figures = sim_node_figures(group->nodes[wiped].node);
        group_expect(group, node_figure(&figures->replicate.last_index) == 1, "it gets no entry");
        group_crash(group, wiped);
        settle(200);
    }
}

/* A node added later and then wiped is refused by the incarnation in the log. */
static void a_later_member_that_was_wiped_is_refused(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(500 + seed, 3, 5);
        group_start(group, 3);
        group_run(group, SECOND_NS);
        grow(3);
        group_crash(group, 3);
        group_wipe(group, 3);
        group_start(group, 3);
        group_run(group, 2 * SECOND_NS);
        const struct node *wiped = sim_node_figures(group->nodes[3].node);
        group_expect(group, node_figure(&wiped->replicate.last_index) == 1, "it gets no entry");
        /* Removed, and added again with what it now is. */
        edit(CHANGE_REMOVE, 3, "it is removed");
        group_run(group, SECOND_NS);
        grow(3);
        settle(50);
    }
}

/* ---- handing over -------------------------------------------------------------------------- */

static void leadership_goes_back_and_forth_under_load(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(600 + seed, 3, 3);
        group_run(group, 2 * SECOND_NS);
        for (uint32_t round = 0; round < 10; round++) {
            uint32_t leader = group_leader(group);
            group_expect(group, leader != UINT32_MAX, "somebody leads");
            uint32_t target = (leader + 1 + round % 2) % 3;
            const struct change_request request = {.kind = CHANGE_LEADER, .leader = target + 1};
            const char *reason;
            uint64_t asked_ns = world_now_ns(group->world);
            assert_int_equal(ask_at(leader, &request, &reason), CHANGE_DONE);
            group_expect(group, world_now_ns(group->world) - asked_ns < SECOND_NS / 4,
                         "sooner than by an election time-out and its round");
            group_expect(group, group_leader(group) == target, "the target leads");
            uint64_t acked = group->counts.incr_acked;
            group_run(group, SECOND_NS / 2);
            group_expect(group, group->counts.incr_acked > acked, "and serves");
        }
        settle(100);
    }
}

static void a_transfer_to_who_is_gone_is_given_up_and_the_leader_goes_on(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(700 + seed, 3, 3);
        group_run(group, 2 * SECOND_NS);
        uint32_t leader = group_leader(group);
        group_expect(group, leader != UINT32_MAX, "somebody leads");
        group_crash(group, (leader + 1) % 3);
        const struct change_request request = {.kind = CHANGE_LEADER,
                                               .leader = (leader + 1) % 3 + 1};
        const char *reason;
        assert_int_equal(ask_at(leader, &request, &reason), CHANGE_FAILED);
        group_expect(group, group_leader(group) == leader, "it leads on");
        uint64_t acked = group->counts.incr_acked;
        group_run(group, SECOND_NS);
        group_expect(group, group->counts.incr_acked > acked + 20, "and serves");
        group_start(group, (leader + 1) % 3);
        settle(50);
    }
}

/* A new leader asks for leases by itself, and is refused while a transfer is under way: that is no
 * answer to who asked for the transfer. */
static void what_the_node_asks_for_by_itself_answers_nobody_else(void **state) {
    (void)state;
    group_init(group, 900, 3, "fused");
    for (uint32_t i = 0; i < 3; i++) {
        group->nodes[i].options.leases = i % 2 == 0 ? NODE_LEASES_ON : NODE_LEASES_OFF;
        group_start(group, i);
    }
    group_run(group, 2 * SECOND_NS);
    uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    uint32_t gone = leader == 2 ? 0 : 2;
    group_crash(group, gone);
    for (uint32_t round = 0; round < 6; round++) {
        leader = group_leader(group);
        group_expect(group, leader != UINT32_MAX, "somebody leads");
        uint32_t target = 3 - gone - leader;
        const struct change_request there = {.kind = CHANGE_LEADER, .leader = target + 1};
        const struct change_request nowhere = {.kind = CHANGE_LEADER, .leader = gone + 1};
        const char *reason;
        assert_int_equal(ask_at(leader, &there, &reason), CHANGE_DONE);
        while (group_leader(group) != target) {
            group_step(group);
        }
        enum change_state told = ask_at(target, &nowhere, &reason);
        if (told != CHANGE_FAILED) {
            fail_msg("round %u: %d, %s", round, (int)told, reason);
        }
        group_run(group, 2 * SECOND_NS);
    }
    group_start(group, gone);
    settle(50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_done_is_refused_with_its_reason),
        cmocka_unit_test(a_transfer_to_who_is_gone_is_given_up_and_the_leader_goes_on),
        cmocka_unit_test(a_cluster_grows_from_three_to_five),
        cmocka_unit_test(a_cluster_shrinks_from_five_to_three_and_its_leader_goes_first),
        cmocka_unit_test(two_leave_in_one_step_with_the_leader_among_them),
        cmocka_unit_test(changes_survive_power_cuts_and_partitions),
        cmocka_unit_test(a_cluster_changes_over_connections_of_its_own),
        cmocka_unit_test(a_change_that_was_truncated_is_rolled_back),
        cmocka_unit_test(a_later_member_that_was_wiped_is_refused),
        cmocka_unit_test(what_the_node_asks_for_by_itself_answers_nobody_else),
        cmocka_unit_test(leadership_goes_back_and_forth_under_load),
    };
    return cmocka_run_group_tests_name("sim_node_members", tests, NULL, NULL);
}
