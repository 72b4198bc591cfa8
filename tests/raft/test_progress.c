/* What a leader knows of one peer: every move, and every answer that comes late. */

#include "raft/progress.h"

#include <string.h>

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

enum { RING = 3, LAST = 1000 };

static struct progress_inflight ring[RING];
static struct progress peer;

/* PROBE at next 101, as after an election with 100 entries in the log. */
static void begin(void) {
    memset(&peer, 0x5a, sizeof(peer));
    peer.inflight = ring;
    peer.inflight_capacity = RING;
    progress_begin(&peer, 2, 102, 7, 101, 5000);
}

/* REPLICATE, match 100, next 101. */
static void replicate(void) {
    begin();
    progress_sent(&peer, 100, 0, 0);
    assert_true(progress_granted(&peer, 100));
    assert_int_equal(peer.state, PROGRESS_REPLICATE);
}

/* An APPEND of `count` entries of 10 bytes each. */
static void send(uint32_t count) {
    progress_sent(&peer, peer.next - 1 + count, count, 10 * (uint64_t)count);
    progress_check(&peer, LAST);
}

static void expect(enum progress_state state, uint64_t match, uint64_t next) {
    progress_check(&peer, LAST);
    assert_int_equal(peer.state, state);
    assert_int_equal(peer.match, match);
    assert_int_equal(peer.next, next);
}

static void expect_inflight(uint32_t count, uint64_t bytes) {
    assert_int_equal(peer.inflight_count, count);
    assert_int_equal(peer.inflight_bytes, bytes);
}

/* ---- invalid --------------------------------------------------------------------------------- */

static void send_two_probes(void *context) {
    (void)context;
    begin();
    send(1);
    send(1);
}

static void send_into_a_full_ring(void *context) {
    (void)context;
    replicate();
    for (uint32_t i = 0; i <= RING; i++) {
        send(1);
    }
}

static void send_with_a_gap(void *context) {
    (void)context;
    replicate();
    progress_sent(&peer, 150, 1, 10);
}

static void send_entries_during_a_snapshot(void *context) {
    (void)context;
    replicate();
    progress_snapshot(&peer, 200);
    send(1);
}

static void a_snapshot_during_a_snapshot(void *context) {
    (void)context;
    replicate();
    progress_snapshot(&peer, 200);
    progress_snapshot(&peer, 300);
}

static void a_snapshot_of_what_it_has(void *context) {
    (void)context;
    replicate();
    progress_snapshot(&peer, 100);
}

static void misuse_aborts(void **state) {
    (void)state;
    death_expect_abort(send_two_probes, NULL, "probe_sent");
    death_expect_abort(send_into_a_full_ring, NULL, "inflight_capacity");
    death_expect_abort(send_with_a_gap, NULL, "next");
    death_expect_abort(send_entries_during_a_snapshot, NULL, "PROGRESS_REPLICATE");
    death_expect_abort(a_snapshot_during_a_snapshot, NULL, "moves[");
    death_expect_abort(a_snapshot_of_what_it_has, NULL, "match");
}

static void an_old_grant_changes_nothing(void **state) {
    (void)state;
    replicate();
    send(10);
    assert_false(progress_granted(&peer, 100));
    assert_false(progress_granted(&peer, 3));
    expect(PROGRESS_REPLICATE, 100, 111);
    expect_inflight(1, 100);
}

static void an_old_grant_does_not_answer_a_probe(void **state) {
    (void)state;
    replicate();
    progress_refused(&peer, 100, 0); /* of what it has granted: old */
    send(10);
    progress_refused(&peer, 110, 105);
    expect(PROGRESS_PROBE, 100, 106);
    assert_false(progress_granted(&peer, 100));
    expect(PROGRESS_PROBE, 100, 106);
}

static void an_old_refusal_changes_nothing(void **state) {
    (void)state;
    replicate();
    send(10);
    assert_false(progress_refused(&peer, 100, 0));
    assert_false(progress_refused(&peer, 50, 0));
    assert_false(progress_refused(&peer, 111, 110)); /* never sent */
    expect(PROGRESS_REPLICATE, 100, 111);
    begin();
    send(0);
    assert_false(progress_refused(&peer, 99, 0)); /* not the one being probed */
    expect(PROGRESS_PROBE, 0, 101);
    assert_true(peer.probe_sent);
    progress_snapshot(&peer, 200);
    assert_false(progress_refused(&peer, 100, 0));
    expect(PROGRESS_SNAPSHOT, 0, 1);
}

/* ---- PROBE ----------------------------------------------------------------------------------- */

static void it_begins_by_probing(void **state) {
    (void)state;
    begin();
    expect(PROGRESS_PROBE, 0, 101);
    expect_inflight(0, 0);
    assert_int_equal(peer.node_id, 2);
    assert_int_equal(peer.incarnation, 102);
    assert_int_equal(peer.session, 7);
    assert_int_equal(peer.began_ns, 5000);
    assert_int_equal(peer.answered_ns, 0);
    assert_ptr_equal(peer.inflight, ring);
    assert_int_equal(peer.inflight_capacity, RING);
}

static void a_probe_waits_for_its_answer(void **state) {
    (void)state;
    begin();
    assert_true(progress_may_send(&peer, 1));
    send(5);
    assert_false(progress_may_send(&peer, UINT64_MAX));
    expect(PROGRESS_PROBE, 0, 101); /* next is not optimistic */
    expect_inflight(0, 0);
}

static void a_heartbeats_answer_repeats_a_lost_probe(void **state) {
    (void)state;
    begin();
    send(5);
    assert_false(progress_heard(&peer));
    assert_true(progress_may_send(&peer, 1));
    expect(PROGRESS_PROBE, 0, 101);
}

static void a_refused_probe_goes_back_to_the_hint(void **state) {
    (void)state;
    begin();
    send(0);
    assert_true(progress_refused(&peer, 100, 40));
    expect(PROGRESS_PROBE, 0, 41);
    assert_true(progress_may_send(&peer, 1));
}

static void a_refused_probe_goes_back_by_one_at_least(void **state) {
    (void)state;
    begin();
    send(0);
    assert_true(progress_refused(&peer, 100, 5000));
    expect(PROGRESS_PROBE, 0, 100);
    assert_true(progress_refused(&peer, 99, 0));
    expect(PROGRESS_PROBE, 0, 1);
}

static void a_refused_probe_never_goes_behind_match(void **state) {
    (void)state;
    replicate();
    send(10);
    assert_true(progress_refused(&peer, 105, 0));
    expect(PROGRESS_PROBE, 100, 101);
}

static void a_granted_probe_replicates(void **state) {
    (void)state;
    begin();
    send(5);
    assert_true(progress_granted(&peer, 105));
    expect(PROGRESS_REPLICATE, 105, 106);
    assert_true(progress_may_send(&peer, 1));
}

static void a_probe_into_an_empty_log_replicates(void **state) {
    (void)state;
    begin();
    progress_begin(&peer, 2, 102, 8, 1, 0);
    send(0);
    assert_false(progress_granted(&peer, 0)); /* match did not rise, and yet it was granted */
    expect(PROGRESS_REPLICATE, 0, 1);
}

static void a_probe_that_is_still_being_written_replicates(void **state) {
    (void)state;
    begin();
    send(0);
    assert_true(progress_granted(&peer, 60));
    expect(PROGRESS_REPLICATE, 60, 101);
}

static void a_lost_connection_keeps_the_place_of_a_probe(void **state) {
    (void)state;
    begin();
    send(1);
    progress_probe(&peer);
    expect(PROGRESS_PROBE, 0, 101);
    assert_true(progress_may_send(&peer, 1));
}

/* ---- REPLICATE ------------------------------------------------------------------------------- */

static void entries_are_sent_ahead(void **state) {
    (void)state;
    replicate();
    send(1);
    send(2);
    expect(PROGRESS_REPLICATE, 100, 104);
    expect_inflight(2, 30);
}

static void sending_ends_with_the_ring_or_the_bytes(void **state) {
    (void)state;
    replicate();
    send(1);
    assert_true(progress_may_send(&peer, 11));
    assert_false(progress_may_send(&peer, 10));
    send(1);
    send(1);
    assert_false(progress_may_send(&peer, UINT64_MAX));
}

static void a_grant_frees_what_it_covers(void **state) {
    (void)state;
    replicate();
    send(1);
    send(2);
    send(3);
    assert_true(progress_granted(&peer, 103)); /* the first two */
    expect(PROGRESS_REPLICATE, 103, 107);
    expect_inflight(1, 30);
    send(1); /* round the end of the ring */
    send(1);
    assert_true(progress_granted(&peer, 105)); /* within the third */
    expect_inflight(3, 50);
    assert_true(progress_granted(&peer, 108));
    expect_inflight(0, 0);
    expect(PROGRESS_REPLICATE, 108, 109);
}

static void a_grant_may_be_ahead_of_what_was_sent(void **state) {
    (void)state;
    replicate();
    progress_probe(&peer); /* what was sent before is forgotten, its answer comes */
    assert_true(progress_granted(&peer, 120));
    expect(PROGRESS_REPLICATE, 120, 121);
}

static void a_question_takes_no_room(void **state) {
    (void)state;
    replicate();
    send(1);
    send(1);
    send(1);
    send(0);
    expect_inflight(3, 30);
    expect(PROGRESS_REPLICATE, 100, 104);
}

static void a_heartbeats_answer_asks_while_something_is_open(void **state) {
    (void)state;
    replicate();
    assert_false(progress_heard(&peer));
    send(1);
    assert_true(progress_heard(&peer));
    expect_inflight(1, 10);
}

static void a_heartbeats_answer_makes_no_room(void **state) {
    (void)state;
    replicate();
    send(1);
    send(2);
    send(3);
    assert_true(progress_heard(&peer));
    expect_inflight(3, 60);
    assert_false(progress_may_send(&peer, UINT64_MAX));
}

static void a_refusal_probes_again(void **state) {
    (void)state;
    replicate();
    send(10);
    send(10);
    assert_true(progress_refused(&peer, 110, 104)); /* the first was lost */
    expect(PROGRESS_PROBE, 100, 105);
    expect_inflight(0, 0);
}

static void a_lost_connection_probes_behind_match(void **state) {
    (void)state;
    replicate();
    send(10);
    progress_probe(&peer);
    expect(PROGRESS_PROBE, 100, 101);
    expect_inflight(0, 0);
}

/* ---- shortened ------------------------------------------------------------------------------- */

static void a_shortened_message_ends_where_it_was_cut(void **state) {
    (void)state;
    replicate();
    send(10);
    progress_shortened(&peer, 104);
    expect(PROGRESS_REPLICATE, 100, 105);
    expect_inflight(1, 100); /* how much shorter is not known */
    assert_true(progress_granted(&peer, 104));
    expect_inflight(0, 0);
}

static void what_is_behind_a_shortened_message_was_not_sent(void **state) {
    (void)state;
    replicate();
    send(10);
    send(10);
    send(10);
    progress_shortened(&peer, 113);
    expect(PROGRESS_REPLICATE, 100, 114);
    expect_inflight(2, 200);
    progress_shortened(&peer, 104);
    expect(PROGRESS_REPLICATE, 100, 105);
    expect_inflight(1, 100);
}

static void a_message_shortened_to_nothing_is_gone(void **state) {
    (void)state;
    replicate();
    send(10);
    send(10);
    progress_shortened(&peer, 110);
    expect(PROGRESS_REPLICATE, 100, 111);
    expect_inflight(1, 100);
    progress_shortened(&peer, 100);
    expect(PROGRESS_REPLICATE, 100, 101);
    expect_inflight(0, 0);
}

static void a_late_word_of_a_shortened_message_changes_nothing(void **state) {
    (void)state;
    replicate();
    send(10);
    progress_shortened(&peer, 110); /* as it was sent */
    expect(PROGRESS_REPLICATE, 100, 111);
    progress_granted(&peer, 110);
    progress_shortened(&peer, 105); /* it has them */
    expect(PROGRESS_REPLICATE, 110, 111);
    progress_probe(&peer);
    progress_shortened(&peer, 50);
    expect(PROGRESS_PROBE, 110, 111);
    begin();
    send(5);
    progress_shortened(&peer, 102);
    expect(PROGRESS_PROBE, 0, 101);
}

static void the_first_of_a_full_ring_is_shortened(void **state) {
    (void)state;
    replicate();
    send(10);
    send(10);
    send(10);
    progress_shortened(&peer, 105); /* the two behind it were dropped */
    expect(PROGRESS_REPLICATE, 100, 106);
    expect_inflight(1, 100);
}

/* ---- SNAPSHOT -------------------------------------------------------------------------------- */

static void a_snapshot_stops_entries(void **state) {
    (void)state;
    replicate();
    send(10);
    progress_snapshot(&peer, 200);
    expect(PROGRESS_SNAPSHOT, 100, 101);
    expect_inflight(0, 0);
    assert_false(progress_may_send(&peer, UINT64_MAX));
    assert_false(progress_heard(&peer));
    assert_int_equal(peer.snapshot_index, 200);
    assert_int_equal(peer.snapshot_offset, 0);
}

static void a_chunk_is_not_waited_for_when_it_is_over(void **state) {
    (void)state;
    begin();
    progress_snapshot(&peer, 200);
    peer.chunk_sent = true;
    progress_probe(&peer);
    assert_false(peer.chunk_sent);
}

static void an_installed_snapshot_probes_behind_it(void **state) {
    (void)state;
    begin();
    progress_snapshot(&peer, 200);
    assert_true(progress_granted(&peer, 150)); /* an old answer, true all the same */
    expect(PROGRESS_SNAPSHOT, 150, 151);
    assert_true(progress_granted(&peer, 200));
    expect(PROGRESS_PROBE, 200, 201);
    assert_int_equal(peer.snapshot_index, 0);
}

static void a_snapshot_given_up_probes_behind_it(void **state) {
    (void)state;
    begin();
    progress_snapshot(&peer, 200);
    progress_probe(&peer);
    expect(PROGRESS_PROBE, 0, 201);
}

static void states_have_names(void **state) {
    (void)state;
    assert_string_equal(progress_state_name(PROGRESS_PROBE), "probe");
    assert_string_equal(progress_state_name(PROGRESS_REPLICATE), "replicate");
    assert_string_equal(progress_state_name(PROGRESS_SNAPSHOT), "snapshot");
    assert_string_equal(progress_state_name((enum progress_state)9), "unknown state");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_aborts),
        cmocka_unit_test(an_old_grant_changes_nothing),
        cmocka_unit_test(an_old_grant_does_not_answer_a_probe),
        cmocka_unit_test(an_old_refusal_changes_nothing),
        cmocka_unit_test(it_begins_by_probing),
        cmocka_unit_test(a_probe_waits_for_its_answer),
        cmocka_unit_test(a_heartbeats_answer_repeats_a_lost_probe),
        cmocka_unit_test(a_refused_probe_goes_back_to_the_hint),
        cmocka_unit_test(a_refused_probe_goes_back_by_one_at_least),
        cmocka_unit_test(a_refused_probe_never_goes_behind_match),
        cmocka_unit_test(a_granted_probe_replicates),
        cmocka_unit_test(a_probe_into_an_empty_log_replicates),
        cmocka_unit_test(a_probe_that_is_still_being_written_replicates),
        cmocka_unit_test(a_lost_connection_keeps_the_place_of_a_probe),
        cmocka_unit_test(entries_are_sent_ahead),
        cmocka_unit_test(sending_ends_with_the_ring_or_the_bytes),
        cmocka_unit_test(a_grant_frees_what_it_covers),
        cmocka_unit_test(a_grant_may_be_ahead_of_what_was_sent),
        cmocka_unit_test(a_question_takes_no_room),
        cmocka_unit_test(a_heartbeats_answer_asks_while_something_is_open),
        cmocka_unit_test(a_heartbeats_answer_makes_no_room),
        cmocka_unit_test(a_refusal_probes_again),
        cmocka_unit_test(a_lost_connection_probes_behind_match),
        cmocka_unit_test(a_shortened_message_ends_where_it_was_cut),
        cmocka_unit_test(what_is_behind_a_shortened_message_was_not_sent),
        cmocka_unit_test(a_message_shortened_to_nothing_is_gone),
        cmocka_unit_test(a_late_word_of_a_shortened_message_changes_nothing),
        cmocka_unit_test(the_first_of_a_full_ring_is_shortened),
        cmocka_unit_test(a_snapshot_stops_entries),
        cmocka_unit_test(a_chunk_is_not_waited_for_when_it_is_over),
        cmocka_unit_test(an_installed_snapshot_probes_behind_it),
        cmocka_unit_test(a_snapshot_given_up_probes_behind_it),
        cmocka_unit_test(states_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
