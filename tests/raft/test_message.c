/* Which messages cannot be from a member that works, kind by kind. */

#include "raft/message.h"

#include <string.h>

#include "base/bytes.h"

#include "tests/cmocka_wrapper.h"
#include "tests/raft/configurations.h"

static struct configuration members;
static struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX + 1];

/* One valid message of a kind; two entries for APPEND: term 4 and 5. */
static struct raft_message valid(enum raft_message_kind kind) {
    members = configuration_of("1v 2v 3v");
    memset(entries, 0, sizeof(entries));
    for (uint32_t i = 0; i < ARRAY_COUNT(entries); i++) {
        entries[i] = (struct raft_entry){.term = i == 0 ? 4 : 5, .length_bytes = 100};
    }
    struct raft_message message = {.kind = kind, .from = 1, .to = 2, .term = 5, .round = 3};
    switch (kind) {
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_VOTE:
        message.last_index = 10;
        message.last_term = 4;
        break;
    case RAFT_MESSAGE_APPEND: message.entry_count = 2; __attribute__((fallthrough));
    case RAFT_MESSAGE_HEARTBEAT:
        message.previous_index = 10;
        message.previous_term = 4;
        message.commit = 9;
        break;
    case RAFT_MESSAGE_APPEND_ANSWER:
        message.previous_index = 10;
        message.hint_index = 8;
        message.hint_term = 3;
        break;
    case RAFT_MESSAGE_SNAPSHOT:
        message.configuration = &members;
        message.offset = 100;
        message.length_bytes = 50;
        __attribute__((fallthrough));
    case RAFT_MESSAGE_SNAPSHOT_ANSWER:
        message.snapshot = (struct raft_snapshot){.index = 10, .term = 4, .size_bytes = 150};
        break;
    default: break;
    }
    return message;
}

static void expect(enum raft_message_fault expected, struct raft_message message) {
    assert_int_equal(raft_message_check(&message, entries), expected);
}

static void an_unknown_kind_is_refused(void **state) {
    (void)state;
    expect(RAFT_MESSAGE_FAULT_KIND, valid((enum raft_message_kind)0));
    expect(RAFT_MESSAGE_FAULT_KIND, valid((enum raft_message_kind)12));
    expect(RAFT_MESSAGE_FAULT_KIND, valid((enum raft_message_kind) - 1));
}

static void every_kind_has_two_members_and_a_term(void **state) {
    (void)state;
    for (int kind = RAFT_MESSAGE_PRE_VOTE; kind <= RAFT_MESSAGE_TIMEOUT_NOW; kind++) {
        const struct raft_message good = valid((enum raft_message_kind)kind);
        expect(RAFT_MESSAGE_VALID, good);
        struct raft_message bad = good;
        bad.from = 0;
        expect(RAFT_MESSAGE_FAULT_MEMBER, bad);
        bad = good;
        bad.to = 0;
        expect(RAFT_MESSAGE_FAULT_MEMBER, bad);
        bad.to = bad.from;
        expect(RAFT_MESSAGE_FAULT_MEMBER, bad);
        bad = good;
        bad.term = 0;
        expect(RAFT_MESSAGE_FAULT_TERM, bad);
        bad.term = RAFT_TERM_MAX + 1;
        expect(RAFT_MESSAGE_FAULT_TERM, bad);
        bad.term = RAFT_TERM_MAX;
        expect(RAFT_MESSAGE_VALID, bad);
    }
}

/* Where a kind has a place in the log: index and term. */
struct place {
    enum raft_message_kind kind;
    size_t index_offset;
    size_t term_offset;
};

static void a_place_in_the_log_must_be_possible(void **state) {
    (void)state;
    static const struct place places[] = {
        {RAFT_MESSAGE_PRE_VOTE, offsetof(struct raft_message, last_index),
         offsetof(struct raft_message, last_term)},
        {RAFT_MESSAGE_VOTE, offsetof(struct raft_message, last_index),
         offsetof(struct raft_message, last_term)},
        {RAFT_MESSAGE_APPEND, offsetof(struct raft_message, previous_index),
         offsetof(struct raft_message, previous_term)},
        {RAFT_MESSAGE_HEARTBEAT, offsetof(struct raft_message, previous_index),
         offsetof(struct raft_message, previous_term)},
        {RAFT_MESSAGE_SNAPSHOT, offsetof(struct raft_message, snapshot.index),
         offsetof(struct raft_message, snapshot.term)},
        {RAFT_MESSAGE_SNAPSHOT_ANSWER, offsetof(struct raft_message, snapshot.index),
         offsetof(struct raft_message, snapshot.term)},
    };
    static const struct {
        uint64_t index;
        uint64_t term;
        enum raft_message_fault fault;
    } cases[] = {
        {10, 6, RAFT_MESSAGE_FAULT_TERM},
        {10, 0, RAFT_MESSAGE_FAULT_INDEX},
        {RAFT_INDEX_MAX + 1, 4, RAFT_MESSAGE_FAULT_INDEX},
        {UINT64_MAX, 4, RAFT_MESSAGE_FAULT_INDEX},
        {10, 5, RAFT_MESSAGE_VALID},
    };
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        for (size_t k = 0; k < ARRAY_COUNT(cases); k++) {
            struct raft_message message = valid(places[i].kind);
            message.entry_count = 0;
            memcpy((char *)&message + places[i].index_offset, &cases[k].index, sizeof(uint64_t));
            memcpy((char *)&message + places[i].term_offset, &cases[k].term, sizeof(uint64_t));
            expect(cases[k].fault, message);
        }
    }
}

static void nothing_before_the_first_entry_has_a_term(void **state) {
    (void)state;
    struct raft_message message = valid(RAFT_MESSAGE_APPEND);
    message.previous_index = 0;
    expect(RAFT_MESSAGE_FAULT_INDEX, message);
    message.previous_term = 0;
    expect(RAFT_MESSAGE_VALID, message);
    message = valid(RAFT_MESSAGE_VOTE);
    message.last_index = 0;
    expect(RAFT_MESSAGE_FAULT_INDEX, message);
    message.last_term = 0;
    expect(RAFT_MESSAGE_VALID, message);
}

static void an_index_has_a_bound(void **state) {
    (void)state;
    struct raft_message message = valid(RAFT_MESSAGE_APPEND);
    message.commit = RAFT_INDEX_MAX + 1;
    expect(RAFT_MESSAGE_FAULT_INDEX, message);
    message = valid(RAFT_MESSAGE_APPEND);
    message.previous_index = RAFT_INDEX_MAX - 1; /* and two entries */
    expect(RAFT_MESSAGE_FAULT_INDEX, message);
    message.previous_index--;
    expect(RAFT_MESSAGE_VALID, message);
    message = valid(RAFT_MESSAGE_HEARTBEAT);
    message.commit = RAFT_INDEX_MAX + 1;
    expect(RAFT_MESSAGE_FAULT_INDEX, message);
}

static void entries_must_be_possible(void **state) {
    (void)state;
    struct raft_message message = valid(RAFT_MESSAGE_APPEND);
    message.entry_count = RAFT_MESSAGE_ENTRIES_MAX + 1;
    expect(RAFT_MESSAGE_FAULT_ENTRIES, message);
    message.entry_count--;
    expect(RAFT_MESSAGE_VALID, message);

    message = valid(RAFT_MESSAGE_APPEND);
    entries[1].term = 0;
    expect(RAFT_MESSAGE_FAULT_ENTRIES, message);
    entries[1].term = 6; /* above the message's */
    expect(RAFT_MESSAGE_FAULT_ENTRIES, message);
    entries[1].term = 3; /* going back */
    expect(RAFT_MESSAGE_FAULT_ENTRIES, message);
    entries[1].term = 4;
    entries[0].term = 3; /* before the one that it follows */
    expect(RAFT_MESSAGE_FAULT_ENTRIES, message);
    entries[0].term = 4;
    entries[0].length_bytes = 0;
    expect(RAFT_MESSAGE_FAULT_ENTRIES, message);
    entries[0].length_bytes = 1;
    expect(RAFT_MESSAGE_VALID, message);
    message.previous_index = 0; /* the first entry of all has a term too */
    message.previous_term = 0;
    entries[0].term = 0;
    expect(RAFT_MESSAGE_FAULT_ENTRIES, message);
}

static void a_configuration_in_an_entry_must_be_valid(void **state) {
    (void)state;
    struct raft_message message = valid(RAFT_MESSAGE_APPEND);
    entries[1].configuration = &members;
    expect(RAFT_MESSAGE_VALID, message);
    members.flags = 2;
    expect(RAFT_MESSAGE_FAULT_CONFIGURATION, message);
}

static void a_message_without_entries_needs_none(void **state) {
    (void)state;
    struct raft_message message = valid(RAFT_MESSAGE_APPEND);
    message.entry_count = 0;
    assert_int_equal(raft_message_check(&message, NULL), RAFT_MESSAGE_VALID);
}

static void a_grant_names_a_possible_match(void **state) {
    (void)state;
    struct raft_message message = {
        .kind = RAFT_MESSAGE_APPEND_ANSWER, .from = 1, .to = 2, .term = 5, .granted = true};
    expect(RAFT_MESSAGE_VALID, message);
    message.match_index = RAFT_INDEX_MAX;
    expect(RAFT_MESSAGE_VALID, message);
    message.match_index++;
    expect(RAFT_MESSAGE_FAULT_INDEX, message);
}

static void a_refusal_has_a_possible_hint(void **state) {
    (void)state;
    struct raft_message message = valid(RAFT_MESSAGE_APPEND_ANSWER);
    message.hint_term = 0; /* not known */
    expect(RAFT_MESSAGE_VALID, message);
    message.hint_term = 6;
    expect(RAFT_MESSAGE_FAULT_TERM, message);
    message.hint_term = 3;
    message.hint_index = 0;
    expect(RAFT_MESSAGE_FAULT_INDEX, message);
    message.hint_term = 0;
    expect(RAFT_MESSAGE_VALID, message);
    message.hint_index = RAFT_INDEX_MAX + 1;
    expect(RAFT_MESSAGE_FAULT_INDEX, message);
    message = valid(RAFT_MESSAGE_APPEND_ANSWER);
    message.previous_index = 0; /* nobody refuses the beginning of the log */
    expect(RAFT_MESSAGE_FAULT_INDEX, message);
    message.previous_index = RAFT_INDEX_MAX + 1;
    expect(RAFT_MESSAGE_FAULT_INDEX, message);
}

static void a_chunk_lies_within_its_snapshot(void **state) {
    (void)state;
    struct raft_message message = valid(RAFT_MESSAGE_SNAPSHOT);
    message.length_bytes = 51;
    expect(RAFT_MESSAGE_FAULT_CHUNK, message);
    message.length_bytes = 0;
    message.offset = 150;
    expect(RAFT_MESSAGE_VALID, message);
    message.offset = 151;
    expect(RAFT_MESSAGE_FAULT_CHUNK, message);
    message.offset = UINT64_MAX;
    message.length_bytes = 1;
    expect(RAFT_MESSAGE_FAULT_CHUNK, message);
}

static void a_snapshot_is_of_something(void **state) {
    (void)state;
    struct raft_message message = valid(RAFT_MESSAGE_SNAPSHOT);
    message.snapshot.index = 0;
    expect(RAFT_MESSAGE_FAULT_CHUNK, message);
    message = valid(RAFT_MESSAGE_SNAPSHOT_ANSWER);
    message.snapshot.index = 0;
    expect(RAFT_MESSAGE_FAULT_CHUNK, message);
}

static void a_snapshot_comes_with_a_valid_configuration(void **state) {
    (void)state;
    struct raft_message message = valid(RAFT_MESSAGE_SNAPSHOT);
    message.configuration = NULL;
    expect(RAFT_MESSAGE_FAULT_CONFIGURATION, message);
    message.configuration = &members;
    members.member_count = 0;
    expect(RAFT_MESSAGE_FAULT_CONFIGURATION, message);
}

static void names_are_for_people(void **state) {
    (void)state;
    assert_string_equal(raft_message_kind_name(RAFT_MESSAGE_APPEND), "append");
    assert_string_equal(raft_message_kind_name(RAFT_MESSAGE_VOTE_ANSWER), "vote answer");
    assert_string_equal(raft_message_kind_name((enum raft_message_kind)0), "unknown kind");
    assert_string_equal(raft_message_kind_name((enum raft_message_kind)12), "unknown kind");
    assert_string_equal(raft_message_fault_name(RAFT_MESSAGE_VALID), "valid");
    for (int i = 0; i < RAFT_MESSAGE_FAULT_CONFIGURATION; i++) {
        const char *name = raft_message_fault_name((enum raft_message_fault)i);
        assert_non_null(name);
        assert_string_not_equal(name, raft_message_fault_name((enum raft_message_fault)(i + 1)));
    }
    assert_string_equal(raft_message_fault_name((enum raft_message_fault)8), "unknown fault");
}

static void entries_and_snapshots_travel_apart(void **state) {
    (void)state;
    static const bool data[] = {
        [RAFT_MESSAGE_APPEND] = true,       [RAFT_MESSAGE_APPEND_ANSWER] = true,
        [RAFT_MESSAGE_SNAPSHOT] = true,     [RAFT_MESSAGE_SNAPSHOT_ANSWER] = true,
        [RAFT_MESSAGE_TIMEOUT_NOW] = false,
    };
    for (int kind = RAFT_MESSAGE_PRE_VOTE; kind <= RAFT_MESSAGE_TIMEOUT_NOW; kind++) {
        assert_int_equal(raft_message_is_control((enum raft_message_kind)kind), !data[kind]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_kind_is_refused),
        cmocka_unit_test(every_kind_has_two_members_and_a_term),
        cmocka_unit_test(a_place_in_the_log_must_be_possible),
        cmocka_unit_test(nothing_before_the_first_entry_has_a_term),
        cmocka_unit_test(an_index_has_a_bound),
        cmocka_unit_test(entries_must_be_possible),
        cmocka_unit_test(a_configuration_in_an_entry_must_be_valid),
        cmocka_unit_test(a_message_without_entries_needs_none),
        cmocka_unit_test(a_grant_names_a_possible_match),
        cmocka_unit_test(a_refusal_has_a_possible_hint),
        cmocka_unit_test(a_chunk_lies_within_its_snapshot),
        cmocka_unit_test(a_snapshot_is_of_something),
        cmocka_unit_test(a_snapshot_comes_with_a_valid_configuration),
        cmocka_unit_test(names_are_for_people),
        cmocka_unit_test(entries_and_snapshots_travel_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
