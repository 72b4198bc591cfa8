/*
 * What a leader promises its caller beyond the paper (raft/raft.h): limits of proposals, clogged
 * data, lost connections, messages that were shortened, looks.
 */

#include "base/error.h"
#include "tests/raft/support.h"

static int propose(uint32_t count, uint64_t length_bytes) {
    uint64_t index = 0;
    uint64_t term = 0;
    int result = raft_propose(core->raft, count, length_bytes, &index, &term);
    if (result == 0) {
        assert_int_equal(index, raft_last_index(core->raft) + 1);
        assert_int_equal(term, raft_term(core->raft));
    } else {
        assert_int_equal(index, 0);
    }
    return result;
}

/* Silence but for heartbeats' answers of 2, for so many time-outs, in steps of a heartbeat; stops
 * at the first step with an action of this kind, and says how long that was. */
static uint64_t pass_until(enum raft_action_kind kind, uint32_t timeouts) {
    uint64_t began_ns = core->now_ns;
    while (core->now_ns < began_ns + (uint64_t)timeouts * T_NS) {
        core_pass(HEARTBEAT_NS);
        if (core_did(kind) != NULL) {
            return core->now_ns - began_ns;
        }
        core_hear_heartbeat_answer(2);
    }
    return UINT64_MAX;
}

/* ---- proposals ------------------------------------------------------------------------------- */

/* Only a leader takes proposals, and only behind its first entry of the term. */
TEST(a_proposal_is_taken_behind_the_first_entry_of_the_term) {
    START("1v 2v 3v", .term = 4);
    assert_int_equal(propose(1, 10), WEIR_EAGAIN);
    core_win();
    assert_int_equal(propose(1, 10), WEIR_EAGAIN);
    core_append(1);
    assert_int_equal(propose(1, 10), 0);
    assert_int_equal(propose(200, 100000), 0);
}

/* During a transfer none is taken. */
TEST(no_proposal_is_taken_during_a_transfer) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_transfer(2);
    assert_int_equal(propose(1, 10), WEIR_EAGAIN);
}

/* What is uncommitted is bounded in bytes, up to exactly the limit. */
TEST(uncommitted_bytes_are_bounded) {
    START("1v 2v 3v", .term = 4, .uncommitted_bytes_max = 1000);
    core_serve();
    core_append_bytes(400);
    assert_int_equal(propose(1, 600), 0);
    assert_int_equal(propose(1, 601), WEIR_EFULL);
    core_stored(2);
    core_hear_granted(3, 2);
    assert_int_equal(propose(1, 601), 0);
}

/* And a proposal always fits when nothing else is uncommitted, however large. */
TEST(a_proposal_into_an_empty_log_always_fits) {
    START("1v 2v 3v", .term = 4, .uncommitted_bytes_max = 1000);
    core_serve();
    assert_int_equal(propose(1, 1000000), 0);
}

/* What is uncommitted is bounded in entries; some places are kept for the core's own. */
TEST(uncommitted_entries_are_bounded) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(200);
    assert_int_equal(propose(40, 1), 0);
    assert_int_equal(propose(41, 1), WEIR_EFULL);
}

/* Entries of before the start are uncommitted too, and nobody knows how many bytes they are. */
TEST(a_new_leader_with_an_uncommitted_log_takes_nothing_yet) {
    START("1v 2v 3v", .term = 4, .terms = "1 2 2");
    core_lead();
    assert_int_equal(propose(1, 1), WEIR_EFULL);
    core_stored(4);
    core_hear_granted(2, 4);
    assert_int_equal(propose(1, 1), 0);
}

/* ---- clogged data ---------------------------------------------------------------------------- */

/* Heartbeats pass, entries do not: after 2 T their connections are opened anew, of those that lack
 * something; after 4 T somebody else shall try. */
TEST(clogged_data_is_reopened_and_then_given_up) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_hear_granted(3, 2);
    uint64_t took_ns = pass_until(RAFT_ACTION_REOPEN, 10);
    assert_true(took_ns >= 2 * T_NS && took_ns <= 2 * T_NS + HEARTBEAT_NS);
    assert_int_equal(core_count(RAFT_ACTION_REOPEN), 1);
    assert_int_equal(core_action(RAFT_ACTION_REOPEN)->node_id, 2);
    core_hear_heartbeat_answer(2);
    took_ns += pass_until(RAFT_ACTION_REOPEN, 1);
    assert_true(core_is(RAFT_LEADER));
    core_append(1); /* more entries do not put it off */
    pass_until(RAFT_ACTION_ROLE, 10);
    assert_true(core_is(RAFT_FOLLOWER));
    assert_true(core->now_ns > 0);
}

/* Exactly how long: 4 T from the last commit. */
TEST(a_leader_that_cannot_commit_steps_down_after_four_time_outs) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    uint64_t took_ns = pass_until(RAFT_ACTION_ROLE, 10);
    assert_true(core_is(RAFT_FOLLOWER));
    assert_true(took_ns >= 4 * T_NS && took_ns <= 4 * T_NS + HEARTBEAT_NS);
}

/* And then it lets the others try first, for as long again: its log may be the longest. */
TEST(a_leader_that_could_not_commit_does_not_campaign_at_once) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_stored(2);
    (void)pass_until(RAFT_ACTION_ROLE, 10);
    assert_true(core_is(RAFT_FOLLOWER));
    uint64_t wait_ns = raft_deadline_ns(core->raft) - core->now_ns;
    assert_in_range(wait_ns, 5 * T_NS, 6 * T_NS);
    core_pass(5 * T_NS - 1);
    assert_true(core_is(RAFT_FOLLOWER));
    core_time_out();
    assert_true(core_is(RAFT_PRE_CANDIDATE));
}

/* Every commit begins the time anew. */
TEST(a_commit_shows_that_data_gets_through) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(2);
    core_stored(3);
    assert_true(pass_until(RAFT_ACTION_REOPEN, 10) <= 2 * T_NS + HEARTBEAT_NS);
    core_hear_granted(2, 2);
    assert_int_equal(core_committed(), 2);
    uint64_t took_ns = pass_until(RAFT_ACTION_REOPEN, 10);
    assert_true(took_ns >= 2 * T_NS - HEARTBEAT_NS && took_ns <= 2 * T_NS + HEARTBEAT_NS);
}

/* A majority needs a member that lacks entries of earlier terms, so that nothing can be committed
 * meanwhile: as long as it gets on, nobody would do better. */
TEST(a_member_that_catches_up_shows_that_data_gets_through) {
    START("1v 2v 3v", .term = 4, .terms = "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1");
    core_lead();
    core_stored(17);
    for (uint64_t index = 2; index < 14; index += 2) {
        assert_int_equal(pass_until(RAFT_ACTION_REOPEN, 1), UINT64_MAX);
        assert_true(core_is(RAFT_LEADER));
        core_hear_granted(2, index);
    }
    uint64_t took_ns = pass_until(RAFT_ACTION_REOPEN, 10);
    assert_true(took_ns >= 2 * T_NS - HEARTBEAT_NS && took_ns <= 2 * T_NS + HEARTBEAT_NS);
    core_hear_granted(2, 15);
    took_ns = pass_until(RAFT_ACTION_REOPEN, 10);
    assert_true(took_ns >= 2 * T_NS - HEARTBEAT_NS && took_ns <= 2 * T_NS + HEARTBEAT_NS);
    assert_int_equal(core_committed(), 0);
    pass_until(RAFT_ACTION_ROLE, 10);
    assert_true(core_is(RAFT_FOLLOWER));
}

/* So does an entry behind a log that is committed: it has just begun. */
TEST(an_idle_leader_is_not_clogged) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    assert_int_equal(pass_until(RAFT_ACTION_REOPEN, 6), UINT64_MAX);
    assert_true(core_is(RAFT_LEADER));
    core_append(1);
    uint64_t took_ns = pass_until(RAFT_ACTION_REOPEN, 10);
    assert_true(took_ns >= 2 * T_NS - HEARTBEAT_NS);
}

/* A leader whose log has no room for the term's first entry leads nobody anywhere. */
TEST(a_leader_that_cannot_begin_its_term_steps_down) {
    START("1v 2v 3v", .term = 4);
    core_win();
    uint64_t took_ns = pass_until(RAFT_ACTION_ROLE, 10);
    assert_true(core_is(RAFT_FOLLOWER));
    assert_true(took_ns >= 4 * T_NS && took_ns <= 4 * T_NS + HEARTBEAT_NS);
}

/* ---- connections ----------------------------------------------------------------------------- */

/* What was on a closed connection is lost: sending begins again at what the peer is known to
 * have. */
TEST(a_disconnected_peer_is_probed) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(2);
    assert_int_equal(core_peer(2).inflight_messages, 1);
    core_disconnect(2);
    assert_string_equal(core_peer(2).state, "probe");
    assert_int_equal(core_peer(2).inflight_messages, 0);
    assert_int_equal(core_peer(2).next_index, 2);
    core_hear_heartbeat_answer(2);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, 1);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 2);
    core_disconnect(9);
    assert_true(core_silent());
    core_disconnect(1);
    assert_true(core_silent());
}

/* A follower whose leader's connection closed does not wait for a whole time-out. */
TEST(a_follower_whose_leader_disconnected_campaigns_soon) {
    START("1v 2v 3v", .term = 4);
    core_follow(2, 4);
    core_disconnect(3);
    assert_true(core_silent());
    core_disconnect(2);
    assert_int_equal(raft_leader(core->raft), 0);
    assert_int_equal(core_action(RAFT_ACTION_ROLE)->node_id, 0);
    assert_true(raft_deadline_ns(core->raft) < core->now_ns + T_NS / 4);
    core_disconnect(2);
    assert_true(core_silent());
    core_time_out();
    assert_true(core_is(RAFT_PRE_CANDIDATE));
    core_disconnect(2);
    assert_true(core_silent());
}

/* It votes then, too: it does not hear the leader any more. */
TEST(a_follower_whose_leader_disconnected_votes) {
    START("1v 2v 3v", .term = 4);
    core_follow(2, 4);
    core_disconnect(2);
    core_hear_pre_vote(3, 5, 0, 0);
    assert_true(core_gave_pre_vote(3));
}

/* But where voters are bound by leases it waits: the leader may live and read. */
TEST(with_leases_a_disconnection_changes_nothing) {
    START("1v 2v 3v", .term = 4, .leases = true);
    core_follow(2, 4);
    uint64_t deadline_ns = raft_deadline_ns(core->raft);
    core_disconnect(2);
    assert_true(core_silent());
    assert_int_equal(raft_leader(core->raft), 2);
    assert_int_equal(raft_deadline_ns(core->raft), deadline_ns);
}

/* ---- ticks that come late -------------------------------------------------------------------- */

/* Who did not run for a while is told the time first, and what others have said meanwhile only
 * then: so nobody's silence is judged at that tick. */
TEST(a_leader_that_was_late_itself_hears_the_others_first) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_pass(2 * T_NS);
    assert_true(core_is(RAFT_LEADER));
    assert_non_null(core_sent(RAFT_MESSAGE_HEARTBEAT, 2));
    core_hear_heartbeat_answer(2);
    core_silence(T_NS - HEARTBEAT_NS);
    assert_true(core_is(RAFT_LEADER));
}

/* But if nobody has said anything, it is over a heartbeat later, however late that comes. */
TEST(a_leader_is_excused_once) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_pass(2 * T_NS);
    assert_true(core_is(RAFT_LEADER));
    assert_int_equal(raft_deadline_ns(core->raft), core->now_ns + HEARTBEAT_NS);
    core_pass(2 * T_NS);
    assert_true(core_is(RAFT_FOLLOWER));
}

/* After 2 T the others have all timed out, and somebody else may lead: over at once. */
TEST(a_leader_that_was_away_for_long_steps_down_at_once) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_pass(2 * T_NS + HEARTBEAT_NS);
    assert_true(core_is(RAFT_FOLLOWER));
}

/* A tick that is hardly late, or in time, is no excuse. */
TEST(a_leader_in_time_has_no_excuse) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_silence(T_NS - HEARTBEAT_NS);
    assert_true(core_is(RAFT_LEADER));
    core_pass(2 * HEARTBEAT_NS - 1);
    assert_true(core_is(RAFT_FOLLOWER));
}

/* A follower likewise: its leader may have spoken. */
TEST(a_follower_that_was_late_itself_hears_its_leader_first) {
    START("1v 2v 3v", .term = 4);
    core_follow(2, 4);
    core->now_ns = raft_deadline_ns(core->raft) + HEARTBEAT_NS;
    core_tick();
    assert_true(core_is(RAFT_FOLLOWER));
    assert_true(core_silent());
    assert_int_equal(raft_deadline_ns(core->raft), core->now_ns + HEARTBEAT_NS);
    core_hear_heartbeat(2, 4, 0);
    assert_true(raft_deadline_ns(core->raft) >= core->now_ns + T_NS);
}

/* And it campaigns if it has not. */
TEST(a_follower_is_excused_once) {
    START("1v 2v 3v", .term = 4);
    core_follow(2, 4);
    core->now_ns = raft_deadline_ns(core->raft) + HEARTBEAT_NS;
    core_tick();
    assert_true(core_is(RAFT_FOLLOWER));
    core_pass(9 * T_NS);
    assert_true(core_is(RAFT_PRE_CANDIDATE));
}

/* Each time that it has heard its leader in between. */
TEST(a_follower_that_heard_its_leader_is_excused_again) {
    START("1v 2v 3v", .term = 4);
    core_follow(2, 4);
    for (uint32_t i = 0; i < 3; i++) {
        core->now_ns = raft_deadline_ns(core->raft) + HEARTBEAT_NS;
        core_tick();
        assert_true(core_is(RAFT_FOLLOWER));
        core_hear_heartbeat(2, 4, 0);
        core_silence(T_NS - HEARTBEAT_NS);
    }
}

/* ---- shortened messages ---------------------------------------------------------------------- */

/* An APPEND that ended earlier than said: the rest is sent again. */
TEST(what_was_shortened_is_sent_again) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(5);
    assert_int_equal(core_peer(2).next_index, 7);
    core_shorten(2, 4);
    assert_int_equal(core_peer(2).next_index, 5);
    core_append(1);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, 4);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 3);
}

/* An APPEND that was not sent at all: without an answer of its own, the peer's next one to a
 * heartbeat is enough, and nothing has to be refused. */
TEST(what_was_not_sent_is_sent_when_its_peer_is_heard) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_shorten(2, 1);
    assert_true(core_silent());
    assert_int_equal(core_peer(2).next_index, 2);
    assert_int_equal(core_peer(2).inflight_messages, 0);
    core_time_out();
    core_hear_heartbeat_answer(2);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_APPEND), 1);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, 1);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 1);
    assert_string_equal(core_peer(2).state, "replicate");
}

/* The peer may have had more than that by itself, and said so meanwhile: what was queued behind
 * the message was dropped all the same. */
TEST(what_is_behind_a_shortened_message_is_sent_again_though_more_is_granted) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_append(1);
    core_append(1);
    core_hear_granted(2, 3);
    core_shorten(2, 2);
    assert_int_equal(core_peer(2).next_index, 4);
    assert_int_equal(core_peer(2).inflight_messages, 0);
    core_append(1);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, 3);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 2);
}

/* The news may come when it is about nobody, about what is granted, or about a peer that gets a
 * snapshot now. */
TEST(a_late_word_of_shortening_is_dropped) {
    START("1v 2v 3v", .term = 4, .compacted_index = 20, .compacted_term = 3, .terms = "3 4",
          .snapshot = {20, 3, 500});
    core_lead();
    core_hear_granted(2, 23);
    core_shorten(2, 21);
    assert_int_equal(core_peer(2).next_index, 24);
    core_shorten(9, 21);
    assert_true(core_silent());
    core_hear_refused(3, 22, 5, 1);
    assert_string_equal(core_peer(3).state, "snapshot");
    core_shorten(3, 22);
    assert_string_equal(core_peer(3).state, "snapshot");
    assert_true(core_silent());
}

/* ---- compaction ------------------------------------------------------------------------------ */

/* What was sent and not answered may be compacted meanwhile: asking about it leads to a
 * snapshot. */
TEST(a_question_about_what_was_compacted_leads_to_a_snapshot) {
    START("1v 2v 3v", .term = 4, .inflight_bytes_max = 100);
    core_serve();
    core_append(1);
    core_append(1);
    core_append(1);
    core_stored(4);
    core_hear_granted(2, 2);
    core_hear_granted(2, 3);
    core_hear_granted(2, 4);
    assert_int_equal(core_peer(3).next_index, 3);
    core_applied(4);
    core_compacted(4, (struct raft_snapshot){4, 5, 100});
    core_time_out();
    core_hear_heartbeat_answer(3);
    assert_string_equal(core_peer(3).state, "probe");
    core_time_out();
    core_hear_heartbeat_answer(3);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->snapshot.index, 4);
}

/* ---- looks ----------------------------------------------------------------------------------- */

/* A follower knows nothing of peers. */
TEST(only_a_leader_knows_of_peers) {
    START("1v 2v 3v", .term = 4);
    struct raft_peer_status peers[4];
    assert_int_equal(raft_peers(core->raft, peers, 4), 0);
    assert_int_equal(raft_needed_index(core->raft), UINT64_MAX);
    assert_false(raft_serving(core->raft));
    core_serve();
    assert_int_equal(raft_peers(core->raft, peers, 4), 2);
    assert_int_equal(raft_peers(core->raft, peers, 1), 1);
    assert_int_equal(peers[0].node_id, 2);
    assert_int_equal(peers[0].answered_ns, core->now_ns);
    assert_int_equal(raft_needed_index(core->raft), 2);
}

/* Time does not go back, whatever is said. */
TEST(time_does_not_go_back) {
    START("1v 2v 3v", .term = 4);
    core_follow(2, 4);
    uint64_t deadline_ns = raft_deadline_ns(core->raft);
    core->now_ns -= T_NS;
    core_hear_heartbeat(2, 4, 0);
    assert_true(raft_deadline_ns(core->raft) >= core->now_ns + 2 * T_NS);
    assert_true(raft_deadline_ns(core->raft) != deadline_ns);
}

/* The same events give the same actions: the core is a function. */
TEST(the_same_events_give_the_same_actions) {
    struct raft_actions first;
    for (uint32_t i = 0; i < 2; i++) {
        START("1v 2v 3v", .term = 4, .terms = "1 2");
        core_serve();
        core_append(3);
        core_hear_granted(2, 4);
        core_stored(6);
        core_read(false);
        if (i == 0) {
            first = core->actions;
            core_stop(NULL);
        }
    }
    assert_int_equal(first.count, core->actions.count);
    for (uint32_t i = 0; i < first.count; i++) {
        assert_memory_equal(&first.action[i], &core->actions.action[i], sizeof(first.action[i]));
    }
}

/* Sixteen members, everything at once: the actions of a step have room. */
TEST(the_largest_cluster_fits) {
    struct raft_options options = core_options("1v", (struct core_disk){.term = 4});
    struct raft_configuration_entry members = {.configuration = configuration_of("1v")};
    members.configuration.member_count = CONFIGURATION_MEMBERS_MAX;
    for (uint32_t i = 1; i < CONFIGURATION_MEMBERS_MAX; i++) {
        members.configuration.members[i] = (struct configuration_member){
            .node_id = i + 1, .roles = i < 9 ? CONFIGURATION_VOTER : CONFIGURATION_LEARNER};
    }
    options.configurations = &members;
    options.message_bytes_max = ENTRY_BYTES;
    core_start_with(&options);
    core_serve();
    core_append(10);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_APPEND), 2 * (CONFIGURATION_MEMBERS_MAX - 1));
    core_time_out();
    assert_int_equal(core_sent_count(RAFT_MESSAGE_HEARTBEAT), CONFIGURATION_MEMBERS_MAX - 1);
}

/* The step with the most actions: a change leaves the leader as the only voter of the largest
 * cluster, which confirms a round, begins the next and confirms that; and everybody gets as many
 * entries as one step sends. */
TEST(the_worst_step_fits) {
    enum { PEERS = CONFIGURATION_MEMBERS_MAX - 1 };
    struct raft_options options = core_options("1v", (struct core_disk){.term = 4});
    struct raft_configuration_entry members = {.configuration = configuration_of("1v 2v")};
    members.configuration.member_count = CONFIGURATION_MEMBERS_MAX;
    for (uint32_t i = 2; i < CONFIGURATION_MEMBERS_MAX; i++) {
        members.configuration.members[i] =
            (struct configuration_member){.node_id = i + 1, .roles = CONFIGURATION_LEARNER};
    }
    options.configurations = &members;
    options.message_bytes_max = ENTRY_BYTES;
    core_start_with(&options);
    core_serve();
    struct configuration alone = members.configuration;
    alone.members[1].roles = CONFIGURATION_LEARNER;
    core_step((struct raft_event){.kind = RAFT_EVENT_CONFIGURE, .configuration = &alone});
    core_append_configuration();
    core_stored(2);
    core_hear_granted(2, 2);
    struct raft_action asked = *core_action(RAFT_ACTION_APPEND_CONFIGURATION);
    struct configuration wanted = *asked.configuration;
    core_read(false);
    core_read(false);
    struct raft_entry entries[] = {{asked.term, ENTRY_BYTES, &wanted},
                                   {asked.term, ENTRY_BYTES, NULL},
                                   {asked.term, ENTRY_BYTES, NULL}};
    core_step(
        (struct raft_event){.kind = RAFT_EVENT_APPENDED, .entries = entries, .entry_count = 3});
    assert_int_equal(core_count(RAFT_ACTION_READ_CONFIRMED), 2);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_HEARTBEAT), PEERS);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_APPEND), PEERS * RAFT_SENDS_PER_STEP);
    assert_true(core->actions.count <= RAFT_ACTIONS_MAX - PEERS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CORE_TEST(a_proposal_is_taken_behind_the_first_entry_of_the_term),
        CORE_TEST(no_proposal_is_taken_during_a_transfer),
        CORE_TEST(uncommitted_bytes_are_bounded),
        CORE_TEST(a_proposal_into_an_empty_log_always_fits),
        CORE_TEST(uncommitted_entries_are_bounded),
        CORE_TEST(a_new_leader_with_an_uncommitted_log_takes_nothing_yet),
        CORE_TEST(clogged_data_is_reopened_and_then_given_up),
        CORE_TEST(a_leader_that_cannot_commit_steps_down_after_four_time_outs),
        CORE_TEST(a_leader_that_could_not_commit_does_not_campaign_at_once),
        CORE_TEST(a_commit_shows_that_data_gets_through),
        CORE_TEST(a_member_that_catches_up_shows_that_data_gets_through),
        CORE_TEST(an_idle_leader_is_not_clogged),
        CORE_TEST(a_leader_that_cannot_begin_its_term_steps_down),
        CORE_TEST(a_disconnected_peer_is_probed),
        CORE_TEST(a_follower_whose_leader_disconnected_campaigns_soon),
        CORE_TEST(a_follower_whose_leader_disconnected_votes),
        CORE_TEST(with_leases_a_disconnection_changes_nothing),
        CORE_TEST(a_leader_that_was_late_itself_hears_the_others_first),
        CORE_TEST(a_leader_is_excused_once),
        CORE_TEST(a_leader_that_was_away_for_long_steps_down_at_once),
        CORE_TEST(a_leader_in_time_has_no_excuse),
        CORE_TEST(a_follower_that_was_late_itself_hears_its_leader_first),
        CORE_TEST(a_follower_is_excused_once),
        CORE_TEST(a_follower_that_heard_its_leader_is_excused_again),
        CORE_TEST(what_was_shortened_is_sent_again),
        CORE_TEST(what_was_not_sent_is_sent_when_its_peer_is_heard),
        CORE_TEST(what_is_behind_a_shortened_message_is_sent_again_though_more_is_granted),
        CORE_TEST(a_late_word_of_shortening_is_dropped),
        CORE_TEST(a_question_about_what_was_compacted_leads_to_a_snapshot),
        CORE_TEST(only_a_leader_knows_of_peers),
        CORE_TEST(time_does_not_go_back),
        CORE_TEST(the_same_events_give_the_same_actions),
        CORE_TEST(the_largest_cluster_fits),
        CORE_TEST(the_worst_step_fits),
    };
    return cmocka_run_group_tests_name("raft_core_leader", tests, NULL, NULL);
}
