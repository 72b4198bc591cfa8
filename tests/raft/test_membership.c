/* Configurations in the log, and what a change appends. */

#include "raft/membership.h"

#include "base/error.h"

#include <string.h>

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"
#include "tests/raft/configurations.h"

static struct membership membership;

static void append(uint64_t index, const char *text) {
    struct configuration configuration = configuration_of(text);
    membership_append(&membership, index, &configuration);
    membership_check(&membership);
}

/* Committed at 1: three voters. */
static void begin(void) {
    struct raft_configuration_entry found = {.index = 1,
                                             .configuration = configuration_of("1v 2v 3v")};
    membership_init(&membership, &found, 1);
}

static void expect_current(uint64_t index, const char *text) {
    struct configuration expected = configuration_of(text);
    assert_int_equal(membership_index(&membership), index);
    assert_memory_equal(membership_current(&membership), &expected, sizeof(expected));
}

static void expect_same(const struct configuration *actual, const struct configuration *expected) {
    assert_true(configuration_valid(actual));
    assert_int_equal(actual->member_count, expected->member_count);
    assert_int_equal(actual->flags, expected->flags);
    for (uint32_t i = 0; i < actual->member_count; i++) {
        assert_int_equal(actual->members[i].node_id, expected->members[i].node_id);
        assert_int_equal(actual->members[i].incarnation, expected->members[i].incarnation);
        assert_int_equal(actual->members[i].roles, expected->members[i].roles);
    }
}

static void expect_change(const char *from, const char *to, const char *expected_text) {
    struct configuration current = configuration_of(from);
    struct configuration wanted = configuration_of(to);
    struct configuration expected = configuration_of(expected_text);
    struct configuration next;
    assert_int_equal(membership_change(&current, &wanted, &next), WEIR_OK);
    expect_same(&next, &expected);
}

static void expect_refused(const struct configuration *current,
                           const struct configuration *wanted) {
    struct configuration next;
    struct configuration untouched;
    memset(&next, 0x5a, sizeof(next));
    memset(&untouched, 0x5a, sizeof(untouched));
    assert_int_equal(membership_change(current, wanted, &next), WEIR_EINVAL);
    assert_memory_equal(&next, &untouched, sizeof(next));
}

static void expect_refused_text(const char *from, const char *to) {
    struct configuration current = configuration_of(from);
    struct configuration wanted = configuration_of(to);
    expect_refused(&current, &wanted);
}

/* ---- invalid --------------------------------------------------------------------------------- */

static void append_at_an_old_index(void *context) {
    (void)context;
    append(1, "1v");
}

static void append_what_is_not_valid(void *context) {
    (void)context;
    append(5, "1l");
}

static void truncate_what_is_committed(void *context) {
    (void)context;
    membership_truncate(&membership, 0);
}

static void change_a_joint_one(void *context) {
    (void)context;
    expect_change("1v 2o", "1v", "1v");
}

static void leave_a_simple_one(void *context) {
    (void)context;
    struct configuration simple = configuration_of("1v 2v");
    struct configuration next;
    membership_leave(&simple, &next);
}

static void begin_with_nothing(void *context) {
    (void)context;
    membership_init(&membership, NULL, 0);
}

static void misuse_aborts(void **state) {
    (void)state;
    begin();
    death_expect_abort(begin_with_nothing, NULL, "count >= 1");
    death_expect_abort(append_at_an_old_index, NULL, "membership_index");
    death_expect_abort(append_what_is_not_valid, NULL, "configuration_valid");
    death_expect_abort(truncate_what_is_committed, NULL, "index <= index");
    death_expect_abort(change_a_joint_one, NULL, "quorum_is_joint");
    death_expect_abort(leave_a_simple_one, NULL, "quorum_is_joint");
}

static void what_is_no_change_is_refused(void **state) {
    (void)state;
    expect_refused_text("1v 2v 3v", "1v 2v 3v");
    expect_refused_text("1v 2v 3l", "1v 2v 3l");
    struct configuration current = configuration_of("1v 2v");
    struct configuration wanted = current;
    wanted.members[1].incarnation = 0; /* as it is */
    expect_refused(&current, &wanted);
}

static void what_is_not_valid_is_refused(void **state) {
    (void)state;
    expect_refused_text("1v 2v 3v", "1l 2l");
    expect_refused_text("1v 2v 3v", "1v 2o");
    expect_refused_text("1v 2v 3v", "");
    expect_refused_text("1v 2v 3v", "2v 1v");
}

static void too_many_together_are_refused(void **state) {
    (void)state;
    struct configuration current = {.member_count = 9};
    struct configuration wanted = {.member_count = 8};
    for (uint32_t i = 0; i < 9; i++) {
        current.members[i] = (struct configuration_member){1 + i, 1, CONFIGURATION_VOTER};
        wanted.members[i] = (struct configuration_member){10 + i, 1, CONFIGURATION_VOTER};
    }
    expect_refused(&current, &wanted);
    wanted.member_count = 7;
    struct configuration next;
    assert_int_equal(membership_change(&current, &wanted, &next), WEIR_OK);
    assert_int_equal(next.member_count, CONFIGURATION_MEMBERS_MAX);
}

static void a_voter_with_another_disk_is_refused(void **state) {
    (void)state;
    struct configuration current = configuration_of("1v 2v 3v 4l");
    struct configuration wanted = current;
    wanted.members[2].incarnation = 9;
    expect_refused(&current, &wanted); /* a voter that stays one */
    wanted.members[2].roles = CONFIGURATION_LEARNER;
    expect_refused(&current, &wanted); /* it is still counted until the change is over */
    wanted = current;
    wanted.members[3].incarnation = 9;
    wanted.members[3].roles = CONFIGURATION_VOTER;
    expect_refused(&current, &wanted); /* what the learner has, another disk had */
}

/* ---- valid ----------------------------------------------------------------------------------- */

static void an_incarnation_becomes_known(void **state) {
    (void)state;
    struct configuration wanted = configuration_of("1v 2v");
    struct configuration current = wanted;
    current.members[1].incarnation = 0;
    struct configuration next;
    assert_int_equal(membership_change(&current, &wanted, &next), WEIR_OK);
    expect_same(&next, &wanted);
}

static void a_learner_with_another_disk_begins_anew(void **state) {
    (void)state;
    struct configuration current = configuration_of("1v 2l");
    struct configuration wanted = current;
    wanted.members[1].incarnation = 9;
    struct configuration next;
    assert_int_equal(membership_change(&current, &wanted, &next), WEIR_OK);
    expect_same(&next, &wanted);
}

static void the_wanted_flags_are_taken(void **state) {
    (void)state;
    struct configuration current = configuration_of("1v 2v");
    struct configuration wanted = current;
    wanted.flags = CONFIGURATION_LEASES;
    struct configuration next;
    assert_int_equal(membership_change(&current, &wanted, &next), WEIR_OK);
    expect_same(&next, &wanted);
}

static void a_change_of_voters_is_joint(void **state) {
    (void)state;
    expect_change("1v 2v 3v", "1v 2v 4v", "1vo 2vo 3o 4v");
    expect_change("1v", "1v 2v", "1vo 2v");
    expect_change("1v 2v", "1v", "1vo 2o");
    expect_change("4v 5v 6v", "1v 2v 3v", "1v 2v 3v 4o 5o 6o");
    expect_change("1v 2v", "8v 9v", "1o 2o 8v 9v");
}

static void a_change_of_learners_is_not(void **state) {
    (void)state;
    expect_change("1v 2v", "1v 2v 3l", "1v 2v 3l");
    expect_change("1v 2v 3l", "1v 2v", "1v 2v");
    expect_change("1v 2l 4v", "1v 3l 4v", "1v 3l 4v");
}

static void a_voter_made_a_learner_is_outgoing_too(void **state) {
    (void)state;
    expect_change("1v 2v 3v", "1v 2v 3l", "1vo 2vo 3lo");
}

static void a_learner_is_made_a_voter(void **state) {
    (void)state;
    expect_change("1v 2v 3l", "1v 2v 3v", "1vo 2vo 3v");
    expect_change("1v 2v 3l 4l", "1v 2v 3v", "1vo 2vo 3v");
}

static void leaving_drops_who_was_only_outgoing(void **state) {
    (void)state;
    struct configuration joint = configuration_of("1vo 2v 3o 4lo 5l");
    struct configuration expected = configuration_of("1v 2v 4l 5l");
    joint.flags = CONFIGURATION_LEASES;
    expected.flags = CONFIGURATION_LEASES;
    struct configuration next;
    membership_leave(&joint, &next);
    expect_same(&next, &expected);
}

static void a_configuration_is_in_force_when_appended(void **state) {
    (void)state;
    begin();
    expect_current(1, "1v 2v 3v");
    append(7, "1vo 2vo 3o 4v");
    expect_current(7, "1vo 2vo 3o 4v");
}

static void truncation_restores_the_one_before(void **state) {
    (void)state;
    begin();
    append(7, "1vo 2vo 3o 4v");
    append(9, "1v 2v 4v");
    assert_false(membership_truncate(&membership, 9));
    assert_true(membership_truncate(&membership, 8));
    expect_current(7, "1vo 2vo 3o 4v");
    assert_true(membership_truncate(&membership, 1));
    expect_current(1, "1v 2v 3v");
    assert_false(membership_truncate(&membership, 1));
}

static void commit_forgets_what_is_before(void **state) {
    (void)state;
    begin();
    append(7, "1v 2v 3v 4l");
    append(9, "1v 2v 3v");
    membership_commit(&membership, 6);
    assert_int_equal(membership.count, 3);
    membership_commit(&membership, 8);
    assert_int_equal(membership.count, 2);
    expect_current(9, "1v 2v 3v");
    membership_commit(&membership, 100);
    assert_int_equal(membership.count, 1);
    membership_check(&membership);
    expect_current(9, "1v 2v 3v");
}

static void of_a_full_stack_the_oldest_is_forgotten(void **state) {
    (void)state;
    begin();
    for (uint64_t i = 1; i <= RAFT_CONFIGURATIONS_MAX; i++) {
        append(10 * i, "1v 2v");
    }
    assert_int_equal(membership.count, RAFT_CONFIGURATIONS_MAX);
    assert_int_equal(membership.stack[0].index, 10);
    expect_current(10 * RAFT_CONFIGURATIONS_MAX, "1v 2v");
    membership_check(&membership);
}

static void a_snapshot_leaves_only_its_own(void **state) {
    (void)state;
    begin();
    append(7, "1v 2v");
    struct configuration configuration = configuration_of("5v");
    membership_install(&membership, 50, &configuration);
    assert_int_equal(membership.count, 1);
    expect_current(50, "5v");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_aborts),
        cmocka_unit_test(what_is_no_change_is_refused),
        cmocka_unit_test(what_is_not_valid_is_refused),
        cmocka_unit_test(too_many_together_are_refused),
        cmocka_unit_test(a_voter_with_another_disk_is_refused),
        cmocka_unit_test(an_incarnation_becomes_known),
        cmocka_unit_test(a_learner_with_another_disk_begins_anew),
        cmocka_unit_test(the_wanted_flags_are_taken),
        cmocka_unit_test(a_change_of_voters_is_joint),
        cmocka_unit_test(a_change_of_learners_is_not),
        cmocka_unit_test(a_voter_made_a_learner_is_outgoing_too),
        cmocka_unit_test(a_learner_is_made_a_voter),
        cmocka_unit_test(leaving_drops_who_was_only_outgoing),
        cmocka_unit_test(a_configuration_is_in_force_when_appended),
        cmocka_unit_test(truncation_restores_the_one_before),
        cmocka_unit_test(commit_forgets_what_is_before),
        cmocka_unit_test(of_a_full_stack_the_oldest_is_forgotten),
        cmocka_unit_test(a_snapshot_leaves_only_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
