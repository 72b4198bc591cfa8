/*
 * What a leader does with entries of which it is told that others follow (RAFT_EVENT_SEND).
 */

#include "base/error.h"
#include "tests/raft/support.h"

static void append_more(void) {
    struct raft_entry entry = {raft_term(core->raft), 10, NULL};
    core_step((struct raft_event){
        .kind = RAFT_EVENT_APPENDED, .entries = &entry, .entry_count = 1, .more = true});
}

static void lead_two_that_have_all(void) {
    core_serve();
    core_hear_granted(2, raft_last_index(core->raft));
    core_hear_granted(3, raft_last_index(core->raft));
}

/* They wait for those, and go out with them in one message to each. */
TEST(entries_that_others_follow_go_out_with_them) {
    START("1v 2v 3v", .term = 4);
    lead_two_that_have_all();
    uint64_t before = raft_last_index(core->raft);
    append_more();
    assert_true(core_silent());
    append_more();
    assert_true(core_silent());
    assert_int_equal(raft_last_index(core->raft), before + 2);
    core_append(1);
    for (uint64_t peer = 2; peer <= 3; peer++) {
        const struct raft_message *sent = core_message(RAFT_MESSAGE_APPEND, peer);
        assert_int_equal(sent->previous_index, before);
        assert_int_equal(sent->entry_count, 3);
    }
    assert_int_equal(core_sent_count(RAFT_MESSAGE_APPEND), 2);
}

/* If none follows after all, SEND lets them go; once. */
TEST(entries_that_nothing_followed_go_out_when_that_is_said) {
    START("1v 2v 3v", .term = 4);
    lead_two_that_have_all();
    append_more();
    core_step((struct raft_event){.kind = RAFT_EVENT_SEND});
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 1);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 3)->entry_count, 1);
    core_step((struct raft_event){.kind = RAFT_EVENT_SEND});
    assert_true(core_silent());
}

/* They are as durable, and count as much, as others. */
TEST(entries_that_others_follow_are_bounded_and_commit_as_others) {
    START("1v 2v 3v", .term = 4, .uncommitted_bytes_max = 1000);
    lead_two_that_have_all();
    append_more();
    uint64_t index = 0;
    uint64_t term = 0;
    assert_int_equal(raft_propose(core->raft, 1, 990, &index, &term), 0);
    assert_int_equal(raft_propose(core->raft, 1, 991, &index, &term), WEIR_EFULL);
    core_step((struct raft_event){.kind = RAFT_EVENT_SEND});
    core_stored(raft_last_index(core->raft));
    core_hear_granted(3, raft_last_index(core->raft));
    assert_int_equal(core_committed(), raft_last_index(core->raft));
}

/* Who leads no more has nothing to send. */
TEST(a_node_that_lost_its_lead_sends_nothing) {
    START("1v 2v 3v", .term = 4);
    lead_two_that_have_all();
    append_more();
    core_hear_heartbeat(2, raft_term(core->raft) + 1, 0);
    assert_true(core_is(RAFT_FOLLOWER));
    core_step((struct raft_event){.kind = RAFT_EVENT_SEND});
    assert_true(core_silent());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CORE_TEST(entries_that_others_follow_go_out_with_them),
        CORE_TEST(entries_that_nothing_followed_go_out_when_that_is_said),
        CORE_TEST(entries_that_others_follow_are_bounded_and_commit_as_others),
        CORE_TEST(a_node_that_lost_its_lead_sends_nothing),
    };
    return cmocka_run_group_tests_name("raft_core_send", tests, NULL, NULL);
}
