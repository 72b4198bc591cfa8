/*
 * Members whose data differ while the configuration is a joint one: only what most of both sets of
 * voters have is right, and until that is known nobody stops.
 *
 * Nodes 1 to 3 vote, node 4 is a learner.  The leader errs, and what two of the others say of it is
 * lost, so that it stays undecided.  Then one of the voters is to be replaced by the learner, and
 * the disks of the others stand still: the joint configuration is in the leader's log, and stays.
 */

#include "tests/sim/dispute_scene.h"

#include "raft/raft.h"
#include "stages/change.h"
#include "stages/digest.h"

static struct group *const group = dispute_group;

enum { NODES = 4, LEARNER = 3 };

/* What a node says is lost from now on, or is not. */
static void mute(uint32_t node, bool is_mute) {
    for (uint32_t i = 0; i < NODES; i++)
        group->cut[node][i] = is_mute;
}

static void begin_with_learner(uint64_t seed) {
    group_init(group, seed, NODES, dispute_maps[seed % DISPUTE_MAPS]);
    for (uint32_t i = 0; i < NODES; i++) {
        group->nodes[i].options.member_count = LEARNER;
        dispute_start(i);
    }
    group_run(group, SECOND_NS);
    group_expect(group, group_leader(group) != UINT32_MAX, "somebody leads");
    dispute_learner_add(LEARNER);
    group_run(group, SECOND_NS);
}

/* The leader is asked to put the learner in the place of a voter, and does not get far. */
static void replace_and_stall(uint32_t leader, uint32_t leaving) {
    for (uint32_t i = 0; i < LEARNER; i++)
        if (i != leader)
            world_disk_stall(group->world, group->nodes[i].host, true);
    const struct change_request request = {
        .kind = CHANGE_MEMBERS,
        .edit_count = 2,
        .edits = {{CHANGE_PROMOTE, LEARNER + 1, 0}, {CHANGE_REMOVE, leaving + 1, 0}}};
    assert_true(change_ask(sim_node_changes(group->nodes[leader].node), &request));
    sim_node_wake(group->nodes[leader].node);
    group_run(group, SECOND_NS / 20);
}

/* Whether the configuration in force at a node has outgoing voters. */
static bool is_joint(uint32_t node) {
    const struct configuration *members =
        raft_configuration(sim_node_raft(group->nodes[node].node));
    uint32_t outgoing = 0;
    for (uint32_t i = 0; i < members->member_count; i++)
        outgoing += (members->members[i].roles & CONFIGURATION_OUTGOING) != 0;
    return outgoing > 0;
}

static uint64_t applied(uint32_t node) {
    return node_figure(&sim_node_figures(group->nodes[node].node)->apply.applied_index);
}

/*
 * Of the old voters (leader, other, leaving) and the new ones (leader, other, learner) the other
 * one is heard.  With `first`, leaving or learner, most of one set are known to be right, with the
 * second one most of both.
 */
static void both_sets_decide(uint64_t seed, bool old_set_first) {
    begin_with_learner(seed);
    const uint32_t leader = group_leader(group);
    const uint32_t leaving = (leader + 1) % LEARNER;
    dispute_err(leader, (uint32_t)seed % DISPUTE_PARTITIONS, 4);
    const uint64_t index = (dispute_defects[leader].at / DIGEST_INTERVAL + 1) * DIGEST_INTERVAL;
    for (uint32_t i = 0; i < NODES; i++) /* so far all come */
        while (applied(i) < index)
            assert_true(group_step(group));
    mute(leaving, true);
    mute(LEARNER, true);
    group_expect(group, dispute_run_until_undecided(leader), "the leader hears of it");
    group_run(group, SECOND_NS);
    group_expect(group, dispute_failure_of(leader) == NULL, "and it is not decided");
    group_expect(group, group_leader(group) == leader, "it leads");

    replace_and_stall(leader, leaving);
    group_expect(group, is_joint(leader), "the configuration is a joint one");
    group->load_on = false;
    mute(old_set_first ? leaving : LEARNER, false);
    group_run(group, 2 * SECOND_NS);
    group_expect(group, is_joint(leader), "it still is");
    group_expect(group, dispute_failure_of(leader) == NULL && dispute_undecided(leader) != 0,
                 "one of the two sets does not decide it");

    mute(old_set_first ? LEARNER : leaving, false);
    group_expect(group, dispute_run_until_failure(leader), "the leader stops");
    group_expect(group, is_joint(leader), "it was decided in the joint configuration");
    dispute_assert_told(leader);
    for (uint32_t i = 0; i < LEARNER; i++)
        world_disk_stall(group->world, group->nodes[i].host, false);
    group->load_on = true;
    dispute_expect_going_on();
    group_free(group);
}

static void most_of_the_old_voters_do_not_decide_without_most_of_the_new(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(801); seed <= dispute_seeds_last(801, 3); seed++)
        both_sets_decide(seed, true);
}

static void most_of_the_new_voters_do_not_decide_without_most_of_the_old(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(811); seed <= dispute_seeds_last(811, 3); seed++)
        both_sets_decide(seed, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(most_of_the_old_voters_do_not_decide_without_most_of_the_new),
        cmocka_unit_test(most_of_the_new_voters_do_not_decide_without_most_of_the_old),
    };
    return cmocka_run_group_tests_name("sim_node_dispute_joint", tests, NULL, NULL);
}
