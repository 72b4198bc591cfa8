/*
 * Leases whose length the configuration says (the dissertation's 6.4.1): then the election time-out
 * T is each node's own, and no promise is shorter than what a leader trusts.  Leases that are as
 * long as T are in test_paper_read.c.
 */

#include "tests/raft/support.h"

/* T is a millisecond here; such is a lease. */
enum { LEASE_MS = 3, UNSAID_MS = 200 };
#define LEASE_NS ((uint64_t)LEASE_MS * T_NS)
_Static_assert(T_NS == RAFT_NS_PER_MS, "lengths of leases are multiples of T");

/* A serving leader of three, confirmed by 2 just now. */
static void serve_with_a_lease(uint16_t lease_ms, uint32_t drift_per_mille) {
    START("1v 2v 3v", .term = 4, .leases = true, .lease_ms = lease_ms,
          .lease_unsaid = lease_ms == 0, .drift_per_mille = drift_per_mille);
    if (lease_ms != 1) {
        core_time_out(); /* what it may have promised before its start lasts longer */
        assert_true(core_is(RAFT_FOLLOWER));
    }
    core_serve();
    core_time_out();
    core_hear_heartbeat_answer(2);
}

static bool read_runs_at_once(void) {
    core_read(true);
    return core_did(RAFT_ACTION_READ_READY) != NULL;
}

/* Asks the leader for leases of another length; its log has that then. */
static void configure(uint16_t lease_ms) {
    struct configuration wanted = *raft_configuration(core->raft);
    wanted.lease_ms = lease_ms;
    core_step((struct raft_event){.kind = RAFT_EVENT_CONFIGURE, .configuration = &wanted});
    core_append_configuration();
}

/* ---- the voter ------------------------------------------------------------------------------- */

TEST(a_voter_keeps_a_promise_that_is_longer_than_its_time_out) {
    START("1v 2v 3v", .term = 4, .leases = true, .lease_ms = LEASE_MS);
    core_follow(2, 4);
    core_pass(T_NS - 1);
    core_hear_heartbeat(2, 4, 0);
    core->now_ns += LEASE_NS - 1;
    core_hear_vote(3, 5, 9, 4);
    assert_false(core_gave_vote(3));
    core->now_ns += 1;
    core_hear_vote(3, 5, 9, 4);
    assert_true(core_gave_vote(3));
}

/* It was started again with a shorter time-out: what it had promised before is in its log. */
TEST(a_voter_with_a_shorter_time_out_keeps_what_its_earlier_life_has_promised) {
    START("1v 2v 3v", .term = 4, .leases = true, .lease_ms = LEASE_MS);
    core->now_ns += LEASE_NS - 1;
    core_hear_vote(3, 5, 9, 4);
    assert_true(core_silent());
    core->now_ns += 1;
    core_hear_vote(3, 5, 9, 4);
    assert_true(core_gave_vote(3));
}

/* A vote for itself is one, too. */
TEST(a_voter_stands_for_nothing_before_its_promise_is_over) {
    START("1v 2v 3v", .term = 4, .leases = true, .lease_ms = LEASE_MS);
    core_follow(2, 4);
    uint64_t promised_ns = core->now_ns;
    for (uint32_t i = 0; i < 1000 && core_is(RAFT_FOLLOWER); i++) {
        core->now_ns = raft_deadline_ns(core->raft);
        core_tick();
    }
    assert_true(core_is(RAFT_PRE_CANDIDATE));
    assert_true(core->now_ns >= promised_ns + LEASE_NS);
    assert_true(core->now_ns <= promised_ns + LEASE_NS + 2 * (uint64_t)T_NS);
}

/* Where a promise is shorter than T the time-out alone counts. */
TEST(a_short_promise_brings_no_election_forward) {
    START("1v 2v 3v", .term = 4, .leases = true, .lease_ms = 1);
    core_follow(2, 4);
    core->now_ns += T_NS - 1;
    core_hear_pre_vote(3, 5, 9, 4);
    assert_false(core_gave_pre_vote(3));
    assert_true(raft_deadline_ns(core->raft) >= core->now_ns + 1);
}

/* Its log is of a version that did not say how long: then it was 200 ms everywhere, whatever T is
 * here and now. */
TEST(a_voter_keeps_a_promise_of_a_length_that_is_not_said_for_200_ms) {
    START("1v 2v 3v", .term = 4, .leases = true, .lease_unsaid = true);
    core->now_ns += UNSAID_MS * (uint64_t)T_NS - 1;
    core_hear_vote(3, 5, 9, 4);
    assert_false(core_gave_vote(3));
    core->now_ns += 1;
    core_hear_vote(3, 5, 9, 4);
    assert_true(core_gave_vote(3));
}

/* ---- the leader ------------------------------------------------------------------------------ */

TEST(a_lease_is_as_long_as_the_configuration_says) {
    for (uint16_t lease_ms = 1; lease_ms <= LEASE_MS; lease_ms += LEASE_MS - 1) {
        serve_with_a_lease(lease_ms, 100);
        core->now_ns += lease_ms * UINT64_C(900000) - 1;
        assert_true(read_runs_at_once());
        core->now_ns += 1;
        assert_false(read_runs_at_once());
        core_stop(NULL);
    }
}

/* Who has heard of a shorter promise keeps no longer one. */
TEST(a_lease_is_void_when_a_shorter_one_is_in_the_log) {
    serve_with_a_lease(LEASE_MS, 0);
    assert_true(read_runs_at_once());
    configure(1);
    assert_false(read_runs_at_once());
    core_stored(2);
    core_hear_granted(2, 2);
    core_time_out();
    uint64_t began_ns = core->now_ns;
    core_hear_heartbeat_answer(2);
    assert_true(read_runs_at_once());
    core->now_ns = began_ns + T_NS;
    assert_false(read_runs_at_once());
}

/* And who has not heard of a longer one does not keep it. */
TEST(only_who_knows_of_a_longer_lease_counts_for_it) {
    serve_with_a_lease(1, 0);
    assert_true(read_runs_at_once());
    configure(LEASE_MS);
    core_time_out();
    core_hear_heartbeat_answer(2);
    assert_false(read_runs_at_once());
    core_hear_granted(2, 2);
    core_time_out();
    core_hear_heartbeat_answer(2);
    core->now_ns += 2 * (uint64_t)T_NS;
    assert_true(read_runs_at_once());
}

/* A leader of another T than others logs it as the length: what it earned before is void. */
TEST(a_lease_of_a_length_that_is_not_said_is_void_when_another_is_in_the_log) {
    serve_with_a_lease(0, 0);
    core->now_ns += UNSAID_MS * (uint64_t)T_NS - 1;
    assert_true(read_runs_at_once());
    core->now_ns += 1;
    assert_false(read_runs_at_once());
    core_stop(NULL);
    serve_with_a_lease(0, 0);
    assert_true(read_runs_at_once());
    configure(1);
    assert_false(read_runs_at_once());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CORE_TEST(a_voter_keeps_a_promise_that_is_longer_than_its_time_out),
        CORE_TEST(a_voter_with_a_shorter_time_out_keeps_what_its_earlier_life_has_promised),
        CORE_TEST(a_voter_stands_for_nothing_before_its_promise_is_over),
        CORE_TEST(a_short_promise_brings_no_election_forward),
        CORE_TEST(a_voter_keeps_a_promise_of_a_length_that_is_not_said_for_200_ms),
        CORE_TEST(a_lease_is_as_long_as_the_configuration_says),
        CORE_TEST(a_lease_is_void_when_a_shorter_one_is_in_the_log),
        CORE_TEST(only_who_knows_of_a_longer_lease_counts_for_it),
        CORE_TEST(a_lease_of_a_length_that_is_not_said_is_void_when_another_is_in_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
