/*
 * Members that come back with less than they have told: old copies of their directories
 * (stages/replicate_standing.c), said by scripted ones, word by word.
 */

#include <string.h>

#include "stages/peers.h"
#include "tests/sim/scripted_members.h"

#define MILLISECOND_NS UINT64_C(1000000)

enum { SEEDS = 3 /* one for each map */ };

static struct scripted scripted[1];

/* A life of member 2 that began like that opens its connections. */
static void begins(uint64_t life, uint64_t term, uint64_t index) {
    const struct peer_introduction introduction = {.incarnation = 2, .own = {life, term, index}};
    scripted_introduce(scripted, 2, PEER_CONTROL, &introduction);
    scripted_introduce(scripted, 2, PEER_DATA, &introduction);
    scripted_run(scripted, MILLISECOND_NS);
}

/* Whether the node answers when 2 asks for its vote in that term; its log is as good as any. */
static bool is_heard(uint64_t term) {
    const struct raft_message vote = {.kind = RAFT_MESSAGE_VOTE,
                                      .from = 2,
                                      .to = 1,
                                      .term = term,
                                      .round = term,
                                      .last_index = 1000,
                                      .last_term = term - 1,
                                      .transfer = true};
    const uint64_t before = scripted->heard[2][RAFT_MESSAGE_VOTE_ANSWER];
    scripted_say(scripted, &vote);
    scripted_run(scripted, 20 * MILLISECOND_NS);
    return scripted->heard[2][RAFT_MESSAGE_VOTE_ANSWER] > before;
}

static const struct peer_standing *told(void) {
    return &peers_find(sim_node_peers(scripted->node), 2)->told;
}

static void who_lacks_a_vote_is_not_heard(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        scripted_begin(scripted, seed);
        begins(20, 1, 1);
        assert_true(is_heard(9));
        begins(21, 8, UINT64_MAX); /* even one that promises nothing of its log */
        assert_false(is_heard(12));
        begins(22, 8, 1000); /* it was only started again */
        assert_false(is_heard(13));
        begins(23, 9, 1);
        assert_true(is_heard(14));
        scripted_end(scripted);
    }
}

static void who_lacks_an_entry_that_it_acknowledged_is_not_heard(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        scripted_begin(scripted, seed);
        begins(20, 1, 1);
        scripted_elect(scripted);
        assert_string_equal(scripted_ask(scripted, "SET key value"), "+OK\r\n");
        const struct peer_standing had = *told();
        assert_int_equal(had.life, 20);
        assert_int_equal(had.index, scripted->reached[2]);
        assert_true(had.index > 1 && had.term > 1);
        scripted->follows[2] = false;
        begins(21, had.term, had.index - 1);
        assert_false(is_heard(had.term + 1));
        /* Of entries of another term a later leader may have made others. */
        begins(22, had.term + 1, 1);
        assert_true(is_heard(had.term + 2));
        scripted_end(scripted);
    }
}

static void who_promises_no_entries_is_judged_by_its_votes_alone(void **state) {
    (void)state;
    scripted_begin(scripted, 1);
    begins(20, 1, UINT64_MAX);
    scripted_elect(scripted);
    const struct peer_standing had = *told();
    scripted->follows[2] = false;
    begins(21, had.term, UINT64_MAX);
    assert_true(is_heard(had.term + 1));
    scripted_end(scripted);
}

static void a_late_word_of_an_earlier_life_counts_for_none(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        scripted_begin(scripted, seed);
        begins(20, 1, 1);
        assert_true(is_heard(5));
        const struct peer_introduction next = {.incarnation = 2, .own = {21, 5, 7}};
        scripted_introduce(scripted, 2, PEER_CONTROL, &next);
        scripted_run(scripted, MILLISECOND_NS);
        const struct raft_message late = {.kind = RAFT_MESSAGE_APPEND_ANSWER,
                                          .from = 2,
                                          .to = 1,
                                          .term = 6,
                                          .session = 1,
                                          .granted = true,
                                          .match_index = 900};
        scripted_say(scripted, &late); /* over the connection of life 20 */
        scripted_run(scripted, MILLISECOND_NS);
        assert_int_equal(told()->life, 21);
        assert_int_equal(told()->term, 5);
        begins(22, 5, 7);
        assert_true(is_heard(7));
        scripted_end(scripted);
    }
}

/* Data waits for room on the disk, say, while its sender is started again: what begins a connection
 * of the earlier life is looked at behind the introduction of the later one. */
static void a_late_begin_of_an_earlier_life_silences_nobody(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        scripted_begin(scripted, seed);
        begins(20, 1, 1);
        assert_true(is_heard(9));
        const struct peer_introduction later = {.incarnation = 2, .own = {21, 9, 7}};
        const struct peer_introduction earlier = {.incarnation = 2, .own = {20, 1, 1}};
        scripted_introduce(scripted, 2, PEER_CONTROL, &later);
        scripted_run(scripted, MILLISECOND_NS);
        assert_true(is_heard(10));
        scripted_introduce(scripted, 2, PEER_DATA, &earlier);
        scripted_run(scripted, MILLISECOND_NS);
        assert_true(is_heard(11));
        assert_int_equal(told()->life, 21);
        scripted_introduce(scripted, 2, PEER_DATA, &later);
        scripted_run(scripted, MILLISECOND_NS);
        assert_true(is_heard(12));
        scripted_end(scripted);
    }
}

/* Whose host stood still finds the connections of both lives, and looks at them in any order. */
static void a_life_that_has_told_is_heard_again_behind_an_earlier_one(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        scripted_begin(scripted, seed);
        begins(20, 1, 1);
        assert_true(is_heard(9));
        begins(21, 9, 7);
        assert_true(is_heard(10));
        begins(20, 1, 1);
        assert_false(is_heard(11));
        begins(21, 9, 7);
        assert_true(is_heard(12));
        begins(20, 1, 1);
        begins(22, 12, 1); /* started again, it has all that 21 has told */
        assert_true(is_heard(13) && told()->life == 22);
        begins(21, 9, 7);
        assert_false(is_heard(14));
        scripted_end(scripted);
    }
}

/* What the node does when 2 says that much of it. */
static bool is_ended_by(uint64_t known, struct peer_standing told_of_it) {
    const struct peer_introduction introduction = {
        .incarnation = 2, .known = known, .own = {20, 1, 1}, .told = told_of_it};
    scripted->may_fail = true;
    scripted_introduce(scripted, 2, PEER_CONTROL, &introduction);
    scripted_run(scripted, 10 * MILLISECOND_NS);
    const char *failure = sim_node_failure(scripted->node);
    assert_true(failure == NULL || strstr(failure, "an old copy of this node's") != NULL);
    return failure != NULL;
}

static void a_node_that_has_told_more_than_it_has_ends(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        scripted_begin(scripted, seed);
        const struct node *node = scripted_figures(scripted);
        const struct peer_standing own = node->standing;
        const uint64_t incarnation = node->options->identity.incarnation;
        assert_true(own.life != 0 && own.term >= 1);
        const struct peer_standing nothing = {0};
        const struct peer_standing this_life = {own.life, own.term + 50, 900};
        const struct peer_standing same = {own.life + 2, own.term, own.index};
        const struct peer_standing older = {own.life + 2, own.term - 1, 900};
        const struct peer_standing more = {own.life + 2, own.term, own.index + 1};
        assert_false(is_ended_by(incarnation, nothing));
        assert_false(is_ended_by(incarnation, this_life));
        assert_false(is_ended_by(incarnation, same));
        assert_false(is_ended_by(incarnation, older));
        assert_false(is_ended_by(incarnation + 1, more)); /* of whoever had its id before */
        assert_true(is_ended_by(incarnation, more));
        scripted_end(scripted);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_lacks_a_vote_is_not_heard),
        cmocka_unit_test(who_lacks_an_entry_that_it_acknowledged_is_not_heard),
        cmocka_unit_test(who_promises_no_entries_is_judged_by_its_votes_alone),
        cmocka_unit_test(a_late_word_of_an_earlier_life_counts_for_none),
        cmocka_unit_test(a_late_begin_of_an_earlier_life_silences_nobody),
        cmocka_unit_test(a_life_that_has_told_is_heard_again_behind_an_earlier_one),
        cmocka_unit_test(a_node_that_has_told_more_than_it_has_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
