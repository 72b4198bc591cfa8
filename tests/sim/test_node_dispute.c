/*
 * Members whose data differ decide who is right: it is the minority that stops, be it the leader.
 *
 * The defect is one bit of the words in which a machine keeps its digests: from some index on it is
 * flipped, in one process.  The linker puts our machine_find in front of the real one (--wrap), so
 * that each process has a machine of its own; the replies to clients stay right, and the group
 * judges all of them.
 *
 * WEIR_SIM_SEEDS multiplies the number of seeds, WEIR_SIM_SEED runs one.
 */

#include "tests/sim/node_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stages/change.h"
#include "stages/digest.h"

#define SECOND_NS UINT64_C(1000000000)

enum { PARTITIONS = 8, NODES_MAX = 5 };

static const char *const maps[] = {"fused", "pair", "split"};
static struct group group[1];

/* The last of `count` seeds from `first` on. Under a sanitizer there is one of each. */
static uint64_t seeds_last(uint64_t first, uint64_t count) {
    if (getenv("WEIR_SIM_SEED") != NULL)
        return node_world_seed_last(first);
    return first +
           (WEIR_SANITIZER_BUILD ? 1 : count) * node_world_environment("WEIR_SIM_SEEDS", 1) - 1;
}

/* ---- the defect ---------------------------------------------------------------------------- */

static struct {
    uint64_t at; /* from this index on; */
    bool is_flipped;
    uint32_t partition;
    uint64_t bit;
    struct machine_operations wrong;
} defects[NODES_MAX];

static const struct machine_operations *machine_real;
static uint32_t starting; /* the node that is started next */

static enum machine_progress execute(uint32_t node, struct machine *machine,
                                     struct machine_run *run) {
    const enum machine_progress progress = machine_real->execute(machine, run);
    defects[node].is_flipped |= run->moment.index >= defects[node].at;
    return progress;
}

static uint64_t digest(uint32_t node, const struct machine *machine, uint32_t partition) {
    const uint64_t right = machine_real->digest(machine, partition);
    return defects[node].is_flipped && partition == defects[node].partition
               ? right ^ defects[node].bit
               : right;
}

#define OF_NODE(i)                                                                               \
    static enum machine_progress execute_##i(struct machine *machine, struct machine_run *run) { \
        return execute(i, machine, run);                                                         \
    }                                                                                            \
    static uint64_t digest_##i(const struct machine *machine, uint32_t partition) {              \
        return digest(i, machine, partition);                                                    \
    }
OF_NODE(0)
OF_NODE(1)
OF_NODE(2)
OF_NODE(3)
OF_NODE(4)

static enum machine_progress (*const executes[NODES_MAX])(struct machine *machine,
                                                          struct machine_run *run) = {
    execute_0, execute_1, execute_2, execute_3, execute_4};
static uint64_t (*const digests[NODES_MAX])(const struct machine *machine, uint32_t partition) = {
    digest_0, digest_1, digest_2, digest_3, digest_4};

const struct machine_operations *__real_machine_find(const char *name);
const struct machine_operations *__wrap_machine_find(const char *name);
const struct machine_operations *__wrap_machine_find(const char *name) {
    machine_real = __real_machine_find(name);
    struct machine_operations *wrong = &defects[starting].wrong;
    *wrong = *machine_real;
    wrong->execute = executes[starting];
    wrong->digest = digests[starting];
    return wrong;
}

/* ---- runs ---------------------------------------------------------------------------------- */

static void start(uint32_t node) {
    starting = node;
    defects[node].at = UINT64_MAX;
    defects[node].is_flipped = false;
    group->nodes[node].may_fail = false;
    group_start(group, node);
}

/* The memory of a process errs, soon. */
static void err(uint32_t node, uint32_t partition, uint64_t bit) {
    const struct node *figures = sim_node_figures(group->nodes[node].node);
    defects[node].at = node_figure(&figures->apply.applied_index) + 100;
    defects[node].partition = partition;
    defects[node].bit = bit;
    group->nodes[node].may_fail = true;
}

static void begin_with_snapshots(uint64_t seed, uint32_t node_count, uint64_t snapshot_log_bytes) {
    group_init(group, seed, node_count, maps[seed % ARRAY_COUNT(maps)]);
    for (uint32_t i = 0; i < node_count; i++) {
        group->nodes[i].options.snapshot_log_bytes = snapshot_log_bytes;
        start(i);
    }
    group_run(group, SECOND_NS);
    group_expect(group, group_leader(group) != UINT32_MAX, "somebody leads");
}

static void begin(uint64_t seed, uint32_t node_count) {
    begin_with_snapshots(seed, node_count, 0);
}

static const char *failure_of(uint32_t node) {
    return sim_node_failure(group->nodes[node].node);
}

static bool run_until_failure(uint32_t node) {
    for (uint32_t i = 0; i < 600 && failure_of(node) == NULL; i++)
        group_run(group, SECOND_NS / 10);
    return failure_of(node) != NULL;
}

static const struct node_replicate_figures *figures_of(uint32_t node) {
    return &sim_node_figures(group->nodes[node].node)->replicate;
}

static uint64_t undecided(uint32_t node) {
    return node_figure(&figures_of(node)->digest_undecided);
}

static bool run_until_undecided(uint32_t node) {
    for (uint32_t i = 0; i < 600 && undecided(node) == 0; i++)
        group_run(group, SECOND_NS / 10);
    return undecided(node) != 0;
}

static void assert_says(const char *sentence, const char *part) {
    assert_non_null(sentence);
    if (strstr(sentence, part) == NULL)
        fail_msg("\"%s\" is missing in: %s", part, sentence);
}

/* That the sentence names the partition and the interval in which the bit was flipped. */
static void assert_told(uint32_t node) {
    char text[64];
    const uint64_t before = (defects[node].at - 1) / DIGEST_INTERVAL * DIGEST_INTERVAL;
    snprintf(text, sizeof(text), "in 1 of 8 partitions: partition %u has", defects[node].partition);
    assert_says(failure_of(node), text);
    snprintf(text, sizeof(text), "(%lu, %lu]", (unsigned long)before,
             (unsigned long)before + DIGEST_INTERVAL);
    assert_says(failure_of(node), text);
    assert_says(failure_of(node), "most members have other data than this node");
}

/* The others go on without those that have stopped, and lose nothing that was acknowledged. */
static void expect_going_on(void) {
    const uint64_t acked = group->counts.incr_acked;
    group_run(group, 3 * SECOND_NS);
    group_expect(group, group->counts.incr_acked > acked + 50, "the others go on");
    const uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX && failure_of(leader) == NULL, "one of them leads");
}

/* All that were stopped come back, and all agree on what is logged from now on. */
static void expect_all_agree(void) {
    for (uint32_t i = 0; i < group->node_count; i++) {
        if (failure_of(i) == NULL)
            continue;
        group_crash(group, i);
        start(i);
    }
    group_run(group, SECOND_NS);
    group->load_on = false;
    group_expect(group, group_settle(group, 20 * SECOND_NS), "all have applied everything");
    for (uint32_t i = 0; i < group->node_count; i++)
        group_expect(group, failure_of(i) == NULL, "nobody stops");
}

/* ---- who stops ------------------------------------------------------------------------------- */

static void two_members_that_differ_both_stop(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(601); seed <= seeds_last(601, 3); seed++) {
        begin(seed, 2);
        const uint32_t victim = (uint32_t)(seed % 2);
        err(victim, 5, 4);
        group->nodes[1 - victim].may_fail = true;
        assert_true(run_until_failure(victim) && run_until_failure(1 - victim));
        for (uint32_t i = 0; i < 2; i++) {
            assert_says(failure_of(i), "no majority has the same data");
            assert_says(failure_of(i), "in 1 of 8 partitions: partition 5 has");
        }
        expect_all_agree(); /* their logs are the same, and their memories right */
        group_free(group);
    }
}

static void a_leader_that_errs_stops_and_a_follower_takes_over(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(611); seed <= seeds_last(611, 6); seed++) {
        begin(seed, 3);
        const uint32_t victim = group_leader(group);
        err(victim, (uint32_t)seed % PARTITIONS, UINT64_C(1) << seed % 64);
        assert_true(run_until_failure(victim));
        group_expect(group, defects[victim].is_flipped, "it has erred");
        assert_told(victim);
        expect_going_on();
        group_expect(group, sim_node_ended(group->nodes[victim].node), "it has stopped");
        uint64_t upheld = 0;
        for (uint32_t i = 0; i < 3; i++)
            upheld += i != victim && node_figure(&figures_of(i)->digests_upheld) > 0;
        group_expect(group, upheld == 2, "both others know that they are right");
        /* Its log has the wrong digests, and what it makes of it now is right. */
        expect_all_agree();
        group_expect(group, node_figure(&figures_of(victim)->digests_upheld) > 0,
                     "it is told that it is right now");
        group_free(group);
    }
}

static void a_follower_that_errs_stops_whoever_else_leads(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(621); seed <= seeds_last(621, 3); seed++) {
        begin(seed, 3);
        const uint32_t victim = (group_leader(group) + 1) % 3;
        err(victim, 2, 1);
        assert_true(run_until_failure(victim));
        assert_told(victim);
        expect_going_on();
        expect_all_agree();
        group_free(group);
    }
}

/* The leader makes it a learner. */
static void learner_add(uint32_t node) {
    const struct change_request request = {
        .kind = CHANGE_MEMBERS,
        .edit_count = 1,
        .edits = {{.kind = CHANGE_ADD_LEARNER, .node_id = node + 1}}};
    struct change_box *box = sim_node_changes(group->nodes[group_leader(group)].node);
    const char *reason = "";
    assert_true(change_ask(box, &request));
    sim_node_wake(group->nodes[group_leader(group)].node);
    while (change_look(box, &reason) < CHANGE_DONE)
        assert_true(group_step(group));
    if (change_look(box, &reason) != CHANGE_DONE)
        fail_msg("no learner: %s", reason);
    change_forget(box);
}

static void a_learner_has_no_vote_and_stops_if_the_voters_have_other_data(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(711); seed <= seeds_last(711, 3); seed++) {
        group_init(group, seed, 3, maps[seed % ARRAY_COUNT(maps)]);
        for (uint32_t i = 0; i < 3; i++)
            group->nodes[i].options.member_count = 2;
        start(0);
        start(1);
        group_run(group, SECOND_NS);
        group_expect(group, group_leader(group) != UINT32_MAX, "somebody leads");
        start(2);
        group_run(group, SECOND_NS); /* it introduces itself */
        learner_add(2);
        group_run(group, SECOND_NS);
        err(2, 6, 1);
        assert_true(run_until_failure(2));
        assert_told(2);
        expect_going_on();
        group_crash(group, 2);
        start(2);
        group_run(group, SECOND_NS);
        /* Two voters that differ: with the learner there are two of three, and yet no majority. */
        const uint32_t victim = (uint32_t)(seed % 2);
        err(victim, 5, 4);
        for (uint32_t i = 0; i < 3; i++)
            group->nodes[i].may_fail = true;
        for (uint32_t i = 0; i < 2; i++) {
            assert_true(run_until_failure(i));
            assert_says(failure_of(i), "no majority has the same data");
        }
        group_free(group);
    }
}

static void two_of_five_stop_also_if_one_leads(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(631); seed <= seeds_last(631, 4); seed++) {
        begin(seed, 5);
        const uint32_t first = group_leader(group);
        const uint32_t second = (first + 2) % 5;
        err(first, 3, 8);
        err(second, 3, seed % 2 == 0 ? 8 : 16); /* alike, or not even that */
        defects[second].at = defects[first].at;
        assert_true(run_until_failure(first) && run_until_failure(second));
        assert_told(first);
        assert_told(second);
        expect_going_on();
        expect_all_agree();
        group_free(group);
    }
}

static void messages_that_are_lost_are_repeated_until_it_is_decided(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(641); seed <= seeds_last(641, 4); seed++) {
        begin(seed, 3);
        const uint32_t leader = group_leader(group);
        const uint32_t victim = seed % 2 == 0 ? leader : (leader + 1) % 3;
        err(victim, 1, 2);
        group->loss_per_mille = 150;
        group->twice_per_mille = 50;
        assert_true(run_until_failure(victim));
        assert_told(victim);
        group->loss_per_mille = 0;
        expect_going_on();
        expect_all_agree();
        group_free(group);
    }
}

static void who_hears_of_it_late_and_only_from_others_stops_too(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(701); seed <= seeds_last(701, 3); seed++) {
        begin(seed, 3);
        const uint32_t victim = group_leader(group);
        const uint32_t others[2] = {(victim + 1) % 3, (victim + 2) % 3};
        err(victim, 3, 1);
        const uint64_t index = (defects[victim].at / DIGEST_INTERVAL + 1) * DIGEST_INTERVAL;
        const struct node *figures = sim_node_figures(group->nodes[victim].node);
        while (node_figure(&figures->apply.applied_index) < index)
            assert_true(group_step(group));
        /* Its digests come to the others, and nothing back. */
        group->cut[others[0]][victim] = true;
        group->cut[others[1]][victim] = true;
        group_run(group, SECOND_NS / 10);
        group->load_on = false;
        group_run(group, 3 * SECOND_NS);
        for (uint32_t i = 0; i < 2; i++)
            group_expect(group, node_figure(&figures_of(others[i])->digests_upheld) == 1,
                         "the others have decided it");
        group_expect(group, failure_of(victim) == NULL, "and it does not know");
        group->cut[others[0]][victim] = false;
        group->cut[others[1]][victim] = false;
        assert_true(run_until_failure(victim));
        assert_told(victim);
        group->load_on = true;
        expect_going_on();
        group_free(group);
    }
}

static void it_is_decided_over_connections_too(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(651); seed <= seeds_last(651, 3); seed++) {
        group_init_networked(group, seed, 3, maps[seed % ARRAY_COUNT(maps)]);
        for (uint32_t i = 0; i < 3; i++)
            start(i);
        group_run(group, 2 * SECOND_NS);
        const uint32_t victim = group_leader(group);
        group_expect(group, victim != UINT32_MAX, "somebody leads");
        err(victim, 7, 1);
        assert_true(run_until_failure(victim));
        assert_told(victim);
        expect_going_on();
        group_free(group);
    }
}

/* ---- what is not decided --------------------------------------------------------------------- */

static uint64_t snapshots_of(uint32_t node) {
    return node_figure(&sim_node_figures(group->nodes[node].node)->apply.snapshots);
}

static void while_a_member_is_missing_nobody_stops_and_nobody_takes_snapshots(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(661); seed <= seeds_last(661, 3); seed++) {
        begin(seed, 3);
        const uint32_t victim = group_leader(group);
        const uint32_t away = (victim + 1) % 3;
        const uint32_t other = (victim + 2) % 3;
        group_crash(group, away);
        err(victim, 6, 1);
        group_expect(group, run_until_undecided(other), "it differs from the log");
        group_expect(group, run_until_undecided(victim), "and the leader hears of it");
        const uint64_t acked = group->counts.incr_acked;
        for (uint32_t i = 0; i < 2; i++) { /* as for a member that needs one */
            struct node *node = (struct node *)(uintptr_t)sim_node_figures(
                group->nodes[i == 0 ? victim : other].node);
            atomic_store_relaxed_u64(&node->signals.snapshot_wanted, 1024);
        }
        group_run(group, 5 * SECOND_NS);
        group_expect(group, group->counts.incr_acked > acked + 50, "both go on");
        group_expect(group, failure_of(victim) == NULL && failure_of(other) == NULL,
                     "nobody stops");
        group_expect(group, snapshots_of(victim) == 0 && snapshots_of(other) == 0,
                     "nobody takes a snapshot");
        start(away);
        assert_true(run_until_failure(victim));
        assert_told(victim);
        expect_going_on();
        group_expect(group, undecided(other) == 0 && undecided(away) == 0, "it is decided");
        expect_all_agree();
        group_free(group);
    }
}

static void what_may_be_wrong_is_sent_to_nobody(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(691); seed <= seeds_last(691, 3); seed++) {
        begin_with_snapshots(seed, 3, 16 * 1024);
        const uint32_t victim = group_leader(group);
        const uint32_t away = (victim + 1) % 3;
        const uint32_t other = (victim + 2) % 3;
        const uint64_t last = node_figure(&figures_of(away)->last_index);
        group_crash(group, away);
        for (uint32_t i = 0; i < 600; i++) {
            if (node_figure(&figures_of(victim)->compacted_index) > last)
                break;
            group_run(group, SECOND_NS / 100);
        }
        group_expect(group, node_figure(&figures_of(victim)->compacted_index) > last,
                     "it needs a snapshot");
        err(victim, 0, 1);
        group_expect(group, run_until_undecided(victim) && run_until_undecided(other),
                     "two differ, and one is away");
        start(away);
        group_run(group, 5 * SECOND_NS);
        group_expect(group, group->counts.chunks == 0, "no piece of a snapshot is sent");
        group_expect(group, failure_of(victim) == NULL && failure_of(other) == NULL,
                     "nobody stops");
        group_free(group);
    }
}

/* Makes a log with one wrong digest, the last one in it; returns who was wrong. */
static uint32_t log_spoil(uint64_t seed) {
    begin(seed, 3);
    const uint32_t victim = group_leader(group);
    err(victim, 4, 1);
    assert_true(run_until_failure(victim));
    group->load_on = false;
    group_run(group, 2 * SECOND_NS); /* another one leads, and logs nothing else */
    return victim;
}

/* The others have a snapshot behind the index, and start with that. */
static void others_begin_behind(uint32_t node, uint64_t index) {
    const uint32_t others[2] = {(node + 1) % 3, (node + 2) % 3};
    for (uint32_t i = 0; i < 2; i++) {
        group_crash(group, others[i]);
        group->nodes[others[i]].options.snapshot_log_bytes = 1;
        start(others[i]);
    }
    group->load_on = true;
    uint64_t least = 0;
    for (uint32_t i = 0; i < 1000 && least < index; i++) {
        group_run(group, SECOND_NS / 100);
        least = UINT64_MAX;
        for (uint32_t j = 0; j < 2; j++) {
            const struct node *figures = sim_node_figures(group->nodes[others[j]].node);
            const uint64_t covered = node_figure(&figures->replicate.compacted_index);
            least = covered < least ? covered : least;
        }
    }
    group->load_on = false;
    for (uint32_t i = 0; i < 2; i++) {
        group_run(group, SECOND_NS);
        group_crash(group, others[i]);
        start(others[i]);
        group_run(group, SECOND_NS);
        const struct node *figures = sim_node_figures(group->nodes[others[i]].node);
        group_expect(group, figures->recovery.tail.index > index, "it begins behind it");
        group_expect(group, node_figure(&figures->replicate.last_index) < index + DIGEST_INTERVAL,
                     "and the log has no other digest");
    }
}

static void an_old_digest_that_others_have_no_more_is_not_decided_and_then_made_up_for(
    void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(671); seed <= seeds_last(671, 3); seed++) {
        const uint32_t node = log_spoil(seed);
        const uint64_t index = (defects[node].at / DIGEST_INTERVAL + 1) * DIGEST_INTERVAL;
        group_crash(group, node);
        start(node); /* it has all of the log, */
        others_begin_behind(node, index);
        group_crash(group, node);
        group->nodes[node].options.snapshot_log_bytes = 1;
        start(node);
        group_expect(group, run_until_undecided(node), "its data are not what is in the log");
        const uint64_t snapshots = snapshots_of(node);
        group_run(group, 5 * SECOND_NS);
        group_expect(group, undecided(node) != 0, "and nobody can say who is right");
        group_expect(group, snapshots_of(node) == snapshots, "it takes no snapshot");
        group->load_on = true;
        for (uint32_t i = 0; i < 600 && undecided(node) != 0; i++)
            group_run(group, SECOND_NS / 10);
        group_expect(group, undecided(node) == 0, "later digests agree");
        group_run(group, SECOND_NS);
        group_expect(group, snapshots_of(node) > snapshots, "it takes snapshots again");
        group_expect(group, node_figure(&figures_of(node)->digests_upheld) == 0,
                     "it was never decided");
        expect_all_agree();
        group_free(group);
    }
}

static void an_old_digest_that_was_wrong_is_outvoted_by_all_that_replay_it(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(681); seed <= seeds_last(681, 3); seed++) {
        (void)log_spoil(seed);
        for (uint32_t i = 0; i < 3; i++)
            group_crash(group, i);
        for (uint32_t i = 0; i < 3; i++)
            start(i);
        group->load_on = true;
        group_run(group, 2 * SECOND_NS);
        for (uint32_t i = 0; i < 3; i++)
            group_expect(group, node_figure(&figures_of(i)->digests_upheld) == 1,
                         "the log is wrong, and all are right");
        expect_going_on();
        expect_all_agree();
        group_free(group);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_members_that_differ_both_stop),
        cmocka_unit_test(a_leader_that_errs_stops_and_a_follower_takes_over),
        cmocka_unit_test(a_follower_that_errs_stops_whoever_else_leads),
        cmocka_unit_test(a_learner_has_no_vote_and_stops_if_the_voters_have_other_data),
        cmocka_unit_test(two_of_five_stop_also_if_one_leads),
        cmocka_unit_test(messages_that_are_lost_are_repeated_until_it_is_decided),
        cmocka_unit_test(who_hears_of_it_late_and_only_from_others_stops_too),
        cmocka_unit_test(it_is_decided_over_connections_too),
        cmocka_unit_test(while_a_member_is_missing_nobody_stops_and_nobody_takes_snapshots),
        cmocka_unit_test(what_may_be_wrong_is_sent_to_nobody),
        cmocka_unit_test(
            an_old_digest_that_others_have_no_more_is_not_decided_and_then_made_up_for),
        cmocka_unit_test(an_old_digest_that_was_wrong_is_outvoted_by_all_that_replay_it),
    };
    return cmocka_run_group_tests_name("sim_node_dispute", tests, NULL, NULL);
}
