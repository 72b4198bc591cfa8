/*
 * Members whose data differ decide who is right: it is the minority that stops, be it the leader.
 */

#include "tests/sim/dispute_scene.h"

#include "stages/digest.h"

static struct group *const group = dispute_group;

/* ---- who stops ------------------------------------------------------------------------------- */

static void two_members_that_differ_both_stop(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(601); seed <= dispute_seeds_last(601, 3); seed++) {
        dispute_begin(seed, 2);
        const uint32_t victim = (uint32_t)(seed % 2);
        dispute_err(victim, 5, 4);
        group->nodes[1 - victim].may_fail = true;
        assert_true(dispute_run_until_failure(victim) && dispute_run_until_failure(1 - victim));
        for (uint32_t i = 0; i < 2; i++) {
            dispute_assert_says(dispute_failure_of(i), "no majority has the same data");
            dispute_assert_says(dispute_failure_of(i), "in 1 of 8 partitions: partition 5 has");
        }
        dispute_expect_all_agree(); /* their logs are the same, and their memories right */
        group_free(group);
    }
}

static void a_leader_that_errs_stops_and_a_follower_takes_over(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(611); seed <= dispute_seeds_last(611, 6); seed++) {
        dispute_begin(seed, 3);
        const uint32_t victim = group_leader(group);
        dispute_err(victim, (uint32_t)seed % DISPUTE_PARTITIONS, UINT64_C(1) << seed % 64);
        assert_true(dispute_run_until_failure(victim));
        group_expect(group, dispute_defects[victim].is_flipped, "it has erred");
        dispute_assert_told(victim);
        dispute_expect_going_on();
        group_expect(group, sim_node_ended(group->nodes[victim].node), "it has stopped");
        uint64_t upheld = 0;
        for (uint32_t i = 0; i < 3; i++)
            upheld += i != victim && node_figure(&dispute_figures_of(i)->digests_upheld) > 0;
        group_expect(group, upheld == 2, "both others know that they are right");
        /* Its log has the wrong digests, and what it makes of it now is right. */
        dispute_expect_all_agree();
        group_expect(group, node_figure(&dispute_figures_of(victim)->digests_upheld) > 0,
                     "it is told that it is right now");
        group_free(group);
    }
}

static void a_follower_that_errs_stops_whoever_else_leads(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(621); seed <= dispute_seeds_last(621, 3); seed++) {
        dispute_begin(seed, 3);
        const uint32_t victim = (group_leader(group) + 1) % 3;
        dispute_err(victim, 2, 1);
        assert_true(dispute_run_until_failure(victim));
        dispute_assert_told(victim);
        dispute_expect_going_on();
        dispute_expect_all_agree();
        group_free(group);
    }
}

static void a_learner_has_no_vote_and_stops_if_the_voters_have_other_data(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(711); seed <= dispute_seeds_last(711, 3); seed++) {
        group_init(group, seed, 3, dispute_maps[seed % DISPUTE_MAPS]);
        for (uint32_t i = 0; i < 3; i++)
            group->nodes[i].options.member_count = 2;
        dispute_start(0);
        dispute_start(1);
        group_run(group, SECOND_NS);
        group_expect(group, group_leader(group) != UINT32_MAX, "somebody leads");
        dispute_start(2);
        group_run(group, SECOND_NS); /* it introduces itself */
        dispute_learner_add(2);
        group_run(group, SECOND_NS);
        dispute_err(2, 6, 1);
        assert_true(dispute_run_until_failure(2));
        dispute_assert_told(2);
        dispute_expect_going_on();
        group_crash(group, 2);
        dispute_start(2);
        group_run(group, SECOND_NS);
        /* Two voters that differ: with the learner there are two of three, and yet no majority. */
        const uint32_t victim = (uint32_t)(seed % 2);
        dispute_err(victim, 5, 4);
        for (uint32_t i = 0; i < 3; i++)
            group->nodes[i].may_fail = true;
        for (uint32_t i = 0; i < 2; i++) {
            assert_true(dispute_run_until_failure(i));
            dispute_assert_says(dispute_failure_of(i), "no majority has the same data");
        }
        group_free(group);
    }
}

static void two_of_five_stop_also_if_one_leads(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(631); seed <= dispute_seeds_last(631, 4); seed++) {
        dispute_begin(seed, 5);
        const uint32_t first = group_leader(group);
        const uint32_t second = (first + 2) % 5;
        dispute_err(first, 3, 8);
        dispute_err(second, 3, seed % 2 == 0 ? 8 : 16); /* alike, or not even that */
        dispute_defects[second].at = dispute_defects[first].at;
        assert_true(dispute_run_until_failure(first) && dispute_run_until_failure(second));
        dispute_assert_told(first);
        dispute_assert_told(second);
        dispute_expect_going_on();
        dispute_expect_all_agree();
        group_free(group);
    }
}

static void messages_that_are_lost_are_repeated_until_it_is_decided(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(641); seed <= dispute_seeds_last(641, 4); seed++) {
        dispute_begin(seed, 3);
        const uint32_t leader = group_leader(group);
        const uint32_t victim = seed % 2 == 0 ? leader : (leader + 1) % 3;
        dispute_err(victim, 1, 2);
        group->loss_per_mille = 150;
        group->twice_per_mille = 50;
        assert_true(dispute_run_until_failure(victim));
        dispute_assert_told(victim);
        group->loss_per_mille = 0;
        dispute_expect_going_on();
        dispute_expect_all_agree();
        group_free(group);
    }
}

static void who_hears_of_it_late_and_only_from_others_stops_too(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(701); seed <= dispute_seeds_last(701, 3); seed++) {
        dispute_begin(seed, 3);
        const uint32_t victim = group_leader(group);
        const uint32_t others[2] = {(victim + 1) % 3, (victim + 2) % 3};
        dispute_err(victim, 3, 1);
        const uint64_t index = (dispute_defects[victim].at / DIGEST_INTERVAL + 1) * DIGEST_INTERVAL;
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
            group_expect(group, node_figure(&dispute_figures_of(others[i])->digests_upheld) == 1,
                         "the others have decided it");
        group_expect(group, dispute_failure_of(victim) == NULL, "and it does not know");
        group->cut[others[0]][victim] = false;
        group->cut[others[1]][victim] = false;
        assert_true(dispute_run_until_failure(victim));
        dispute_assert_told(victim);
        group->load_on = true;
        dispute_expect_going_on();
        group_free(group);
    }
}

static void it_is_decided_over_connections_too(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(651); seed <= dispute_seeds_last(651, 3); seed++) {
        group_init_networked(group, seed, 3, dispute_maps[seed % DISPUTE_MAPS]);
        for (uint32_t i = 0; i < 3; i++)
            dispute_start(i);
        group_run(group, 2 * SECOND_NS);
        const uint32_t victim = group_leader(group);
        group_expect(group, victim != UINT32_MAX, "somebody leads");
        dispute_err(victim, 7, 1);
        assert_true(dispute_run_until_failure(victim));
        dispute_assert_told(victim);
        dispute_expect_going_on();
        group_free(group);
    }
}

/* ---- what is not decided --------------------------------------------------------------------- */

static uint64_t snapshots_of(uint32_t node) {
    return node_figure(&sim_node_figures(group->nodes[node].node)->apply.snapshots);
}

static void while_a_member_is_missing_nobody_stops_and_nobody_takes_snapshots(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(661); seed <= dispute_seeds_last(661, 3); seed++) {
        dispute_begin(seed, 3);
        const uint32_t victim = group_leader(group);
        const uint32_t away = (victim + 1) % 3;
        const uint32_t other = (victim + 2) % 3;
        group_crash(group, away);
        dispute_err(victim, 6, 1);
        group_expect(group, dispute_run_until_undecided(other), "it differs from the log");
        group_expect(group, dispute_run_until_undecided(victim), "and the leader hears of it");
        const uint64_t acked = group->counts.incr_acked;
        for (uint32_t i = 0; i < 2; i++) { /* as for a member that needs one */
            struct node *node = (struct node *)(uintptr_t)sim_node_figures(
                group->nodes[i == 0 ? victim : other].node);
            atomic_store_relaxed_u64(&node->signals.snapshot_wanted, 1024);
        }
        group_run(group, 5 * SECOND_NS);
        group_expect(group, group->counts.incr_acked > acked + 50, "both go on");
        group_expect(group, dispute_failure_of(victim) == NULL && dispute_failure_of(other) == NULL,
                     "nobody stops");
        group_expect(group, snapshots_of(victim) == 0 && snapshots_of(other) == 0,
                     "nobody takes a snapshot");
        dispute_start(away);
        assert_true(dispute_run_until_failure(victim));
        dispute_assert_told(victim);
        dispute_expect_going_on();
        group_expect(group, dispute_undecided(other) == 0 && dispute_undecided(away) == 0,
                     "it is decided");
        dispute_expect_all_agree();
        group_free(group);
    }
}

static void what_may_be_wrong_is_sent_to_nobody(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(691); seed <= dispute_seeds_last(691, 3); seed++) {
        dispute_begin_with_snapshots(seed, 3, 16 * 1024);
        const uint32_t victim = group_leader(group);
        const uint32_t away = (victim + 1) % 3;
        const uint32_t other = (victim + 2) % 3;
        const uint64_t last = node_figure(&dispute_figures_of(away)->last_index);
        group_crash(group, away);
        for (uint32_t i = 0; i < 600; i++) {
            if (node_figure(&dispute_figures_of(victim)->compacted_index) > last)
                break;
            group_run(group, SECOND_NS / 100);
        }
        group_expect(group, node_figure(&dispute_figures_of(victim)->compacted_index) > last,
                     "it needs a snapshot");
        dispute_err(victim, 0, 1);
        group_expect(group,
                     dispute_run_until_undecided(victim) && dispute_run_until_undecided(other),
                     "two differ, and one is away");
        dispute_start(away);
        group_run(group, 5 * SECOND_NS);
        group_expect(group, group->counts.chunks == 0, "no piece of a snapshot is sent");
        group_expect(group, dispute_failure_of(victim) == NULL && dispute_failure_of(other) == NULL,
                     "nobody stops");
        group_free(group);
    }
}

/* Makes a log with one wrong digest, the last one in it; returns who was wrong. */
static uint32_t log_spoil(uint64_t seed) {
    dispute_begin(seed, 3);
    const uint32_t victim = group_leader(group);
    dispute_err(victim, 4, 1);
    assert_true(dispute_run_until_failure(victim));
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
        dispute_start(others[i]);
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
        dispute_start(others[i]);
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
    for (uint64_t seed = node_world_seed_first(671); seed <= dispute_seeds_last(671, 3); seed++) {
        const uint32_t node = log_spoil(seed);
        const uint64_t index = (dispute_defects[node].at / DIGEST_INTERVAL + 1) * DIGEST_INTERVAL;
        group_crash(group, node);
        dispute_start(node); /* it has all of the log, */
        others_begin_behind(node, index);
        group_crash(group, node);
        group->nodes[node].options.snapshot_log_bytes = 1;
        dispute_start(node);
        group_expect(group, dispute_run_until_undecided(node),
                     "its data are not what is in the log");
        const uint64_t snapshots = snapshots_of(node);
        group_run(group, 5 * SECOND_NS);
        group_expect(group, dispute_undecided(node) != 0, "and nobody can say who is right");
        group_expect(group, snapshots_of(node) == snapshots, "it takes no snapshot");
        group->load_on = true;
        for (uint32_t i = 0; i < 600 && dispute_undecided(node) != 0; i++)
            group_run(group, SECOND_NS / 10);
        group_expect(group, dispute_undecided(node) == 0, "later digests agree");
        group_run(group, SECOND_NS);
        group_expect(group, snapshots_of(node) > snapshots, "it takes snapshots again");
        group_expect(group, node_figure(&dispute_figures_of(node)->digests_upheld) == 0,
                     "it was never decided");
        dispute_expect_all_agree();
        group_free(group);
    }
}

static void an_old_digest_that_was_wrong_is_outvoted_by_all_that_replay_it(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(681); seed <= dispute_seeds_last(681, 3); seed++) {
        (void)log_spoil(seed);
        for (uint32_t i = 0; i < 3; i++)
            group_crash(group, i);
        for (uint32_t i = 0; i < 3; i++)
            dispute_start(i);
        group->load_on = true;
        group_run(group, 2 * SECOND_NS);
        for (uint32_t i = 0; i < 3; i++)
            group_expect(group, node_figure(&dispute_figures_of(i)->digests_upheld) == 1,
                         "the log is wrong, and all are right");
        dispute_expect_going_on();
        dispute_expect_all_agree();
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
