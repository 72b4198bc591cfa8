/* The core's messages as bytes: each fault by name, and what goes in comes out, of every kind. */

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "tests/cmocka_wrapper.h"
#include "tests/death.h"
#include "tests/stages/peer_case.h"

/* ---- helpers ------------------------------------------------------------------------------ */

/* Decodes in memory of exactly the body's length; pointers into it are moved to `body`. */
static enum peer_message_fault decode(const uint8_t *body, uint32_t body_bytes,
                                      enum raft_message_kind kind, struct peer_message **out) {
    uint8_t *copy = malloc(body_bytes > 0 ? body_bytes : 1);
    assert_non_null(copy);
    memcpy(copy, body, body_bytes);
    struct peer_message *room = peer_case_room();
    const struct peer_message_link link = peer_case_link(kind);
    const enum peer_message_fault fault = peer_message_decode(copy, body_bytes, &link, room);
    if (fault == PEER_MESSAGE_VALID && room->payload != NULL)
        room->payload = body + (room->payload - copy);
    free(copy);
    if (out != NULL)
        *out = room;
    return fault;
}

/* A case with at least `entry_count` entries. */
static void append_with(struct peer_case *out, uint64_t seed, uint32_t entry_count) {
    struct random random;
    random_seed(&random, seed);
    do
        peer_case_make(out, &random, RAFT_MESSAGE_APPEND, false);
    while (out->entry_count < entry_count);
}

static enum peer_message_fault judge(const struct peer_case *made) {
    return decode(made->body, made->body_bytes, made->message.kind, NULL);
}

/* A message of a kind with one byte changed. */
static enum peer_message_fault fault_of(enum raft_message_kind kind, uint32_t offset,
                                        uint8_t value) {
    struct random random;
    random_seed(&random, 1);
    struct peer_case made;
    peer_case_make(&made, &random, kind, false);
    assert_int_equal(judge(&made), PEER_MESSAGE_VALID);
    made.body[offset] = value;
    return judge(&made);
}

static bool messages_are_equal(const struct raft_message *a, const struct raft_message *b) {
    return a->kind == b->kind && a->session == b->session && a->from == b->from && a->to == b->to &&
           a->term == b->term && a->round == b->round && a->last_index == b->last_index &&
           a->last_term == b->last_term && a->previous_index == b->previous_index &&
           a->previous_term == b->previous_term && a->commit == b->commit &&
           a->match_index == b->match_index && a->hint_index == b->hint_index &&
           a->hint_term == b->hint_term && a->offset == b->offset &&
           a->snapshot.index == b->snapshot.index && a->snapshot.term == b->snapshot.term &&
           a->snapshot.size_bytes == b->snapshot.size_bytes && a->entry_count == b->entry_count &&
           a->length_bytes == b->length_bytes && a->granted == b->granted &&
           a->transfer == b->transfer && a->full == b->full &&
           (a->configuration == NULL) == (b->configuration == NULL);
}

/* ---- what is refused ---------------------------------------------------------------------- */

static void unknown_kinds_flags_and_members_are_refused(void **state) {
    (void)state;
    for (uint32_t kind = RAFT_MESSAGE_PRE_VOTE; kind <= RAFT_MESSAGE_TIMEOUT_NOW; kind++) {
        assert_int_equal(fault_of(kind, 0, 0), PEER_MESSAGE_FAULT_KIND);
        assert_int_equal(fault_of(kind, 0, RAFT_MESSAGE_TIMEOUT_NOW + 1), PEER_MESSAGE_FAULT_KIND);
        assert_int_equal(fault_of(kind, 0, 255), PEER_MESSAGE_FAULT_KIND);
        assert_int_equal(fault_of(kind, 1, 8), PEER_MESSAGE_FAULT_FLAGS);
        assert_int_equal(fault_of(kind, 1, 128), PEER_MESSAGE_FAULT_FLAGS);
        assert_int_equal(fault_of(kind, 2, 1), PEER_MESSAGE_FAULT_RESERVED);
        assert_int_equal(fault_of(kind, 3, 1), PEER_MESSAGE_FAULT_RESERVED);
        assert_int_equal(fault_of(kind, 8, 4), PEER_MESSAGE_FAULT_MEMBER);
        assert_int_equal(fault_of(kind, 15, 1), PEER_MESSAGE_FAULT_MEMBER);
        assert_int_equal(fault_of(kind, 16, 2), PEER_MESSAGE_FAULT_MEMBER);
    }
    for (uint32_t i = 0; i <= PEER_MESSAGE_FAULT_DIGEST; i++)
        assert_string_not_equal(peer_message_fault_name((enum peer_message_fault)i),
                                "unknown fault");
    assert_string_equal(peer_message_fault_name((enum peer_message_fault)99), "unknown fault");
}

static void what_a_kind_does_not_have_is_refused(void **state) {
    (void)state;
    assert_int_equal(fault_of(RAFT_MESSAGE_VOTE, 1, PEER_MESSAGE_GRANTED),
                     PEER_MESSAGE_FAULT_FLAGS);
    assert_int_equal(fault_of(RAFT_MESSAGE_PRE_VOTE, 1, PEER_MESSAGE_TRANSFER),
                     PEER_MESSAGE_FAULT_FLAGS);
    assert_int_equal(fault_of(RAFT_MESSAGE_APPEND_ANSWER, 1, PEER_MESSAGE_FULL),
                     PEER_MESSAGE_FAULT_FLAGS);
    assert_int_equal(fault_of(RAFT_MESSAGE_APPEND, 1, PEER_MESSAGE_GRANTED),
                     PEER_MESSAGE_FAULT_FLAGS);
    assert_int_equal(fault_of(RAFT_MESSAGE_SNAPSHOT_ANSWER, 1, PEER_MESSAGE_GRANTED),
                     PEER_MESSAGE_FAULT_FLAGS);
    assert_int_equal(fault_of(RAFT_MESSAGE_VOTE, 4, 1), PEER_MESSAGE_FAULT_RESERVED);
    assert_int_equal(fault_of(RAFT_MESSAGE_TIMEOUT_NOW, 7, 1), PEER_MESSAGE_FAULT_RESERVED);
    assert_int_equal(fault_of(RAFT_MESSAGE_TIMEOUT_NOW, 39, 1), PEER_MESSAGE_FAULT_RESERVED);
}

static void each_kind_has_its_connection(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 2);
    for (uint32_t kind = RAFT_MESSAGE_PRE_VOTE; kind <= RAFT_MESSAGE_TIMEOUT_NOW; kind++) {
        struct peer_case made;
        peer_case_make(&made, &random, kind, false);
        const bool control = raft_message_is_control(made.message.kind);
        assert_int_equal(decode(made.body, made.body_bytes,
                                control ? RAFT_MESSAGE_APPEND : RAFT_MESSAGE_VOTE, NULL),
                         PEER_MESSAGE_FAULT_CONNECTION);
    }
}

static void every_truncation_and_every_byte_behind_the_end_is_refused(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 3);
    for (uint32_t run = 0; run < 110; run++) {
        const enum raft_message_kind kind = (enum raft_message_kind)(1 + run % 11);
        struct peer_case made;
        peer_case_make(&made, &random, kind, run % 2 == 0);
        for (uint32_t length = 0; length < made.body_bytes; length++)
            assert_int_not_equal(decode(made.body, length, kind, NULL), PEER_MESSAGE_VALID);
        for (uint32_t length = 1; length <= 64; length += length == 8 ? 8 : 1) {
            const uint32_t longer = made.body_bytes + length;
            const enum peer_message_fault fault = decode(made.body, longer, kind, NULL);
            assert_int_equal(fault, PEER_MESSAGE_FAULT_TRAILING);
        }
    }
}

static void an_append_is_refused_by_name(void **state) {
    (void)state;
    struct peer_case made;
    append_with(&made, 4, 3);
    const struct peer_case whole = made;
    bytes_put_u32(made.body + 80, made.entry_count + 1); /* one more than there is */
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_ENTRY_CUT);
    bytes_put_u32(made.body + 80, made.entry_count - 1);
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_TRAILING);
    bytes_put_u32(made.body + 80, 0);
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_TRAILING);
    bytes_put_u32(made.body + 80, RAFT_MESSAGE_ENTRIES_MAX + 1);
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_COUNT);
    bytes_put_u32(made.body + 80, UINT32_C(1) << 29); /* times 8, or times 40, it overflows */
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_COUNT);
    bytes_put_u32(made.body + 80, UINT32_MAX);
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_COUNT);
    made = whole;
    made.body[84] = 1;
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_RESERVED);
}

static void before_the_first_entry_is_the_tail_of_an_empty_log(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 5);
    static const uint32_t offsets[] = {48, 56, 64, 71}; /* term, log time, chain */
    for (size_t i = 0; i < ARRAY_COUNT(offsets); i++) {
        struct peer_case made;
        peer_case_make(&made, &random, RAFT_MESSAGE_APPEND, true);
        assert_int_equal(judge(&made), PEER_MESSAGE_VALID);
        made.body[offsets[i]] ^= 1;
        assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_PREVIOUS);
    }
}

/* The second of three entries with a u32 put at an offset of its header. */
static enum peer_message_fault entry_fault_u32(uint32_t offset, uint32_t value) {
    struct peer_case made;
    append_with(&made, 6, 3);
    bytes_put_u32(made.body + made.entry_offsets[1] + offset, value);
    return judge(&made);
}

static void an_entry_is_refused_by_name(void **state) {
    (void)state;
    assert_int_equal(entry_fault_u32(0, 0), PEER_MESSAGE_FAULT_ENTRY_LENGTH);
    assert_int_equal(entry_fault_u32(0, 39), PEER_MESSAGE_FAULT_ENTRY_LENGTH);
    assert_int_equal(entry_fault_u32(0, PEER_CASE_ENTRY_BYTES_MAX + 1),
                     PEER_MESSAGE_FAULT_ENTRY_LENGTH);
    assert_int_equal(entry_fault_u32(0, UINT32_C(1) << 31), PEER_MESSAGE_FAULT_ENTRY_LENGTH);
    assert_int_equal(entry_fault_u32(0, UINT32_MAX), PEER_MESSAGE_FAULT_ENTRY_LENGTH);
    assert_int_equal(entry_fault_u32(0, UINT32_MAX - 7), PEER_MESSAGE_FAULT_ENTRY_LENGTH);

    struct peer_case made;
    append_with(&made, 6, 3);
    const struct peer_case whole = made;
    const uint32_t last = made.entry_count - 1;
    uint8_t *entry = made.body + made.entry_offsets[last];
    bytes_put_u32(entry, entry_stride_bytes(made.headers[last].length_bytes) + 1); /* beyond it */
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_ENTRY_CUT);
    made = whole;
    entry[5] = ENTRY_VERSION + 1;
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_ENTRY_VERSION);
    made = whole;
    bytes_put_u64(entry + 16, made.headers[last].index + 1); /* a gap */
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_ENTRY_INDEX);
    bytes_put_u64(entry + 16, made.headers[last].index - 1); /* the one before, again */
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_ENTRY_INDEX);
    made = whole;
    bytes_put_u64(made.body + 40, UINT64_MAX); /* the previous index: the sum wraps */
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_ENTRY_INDEX);
}

/* One entry with a body of one argument of 3 bytes, so that it ends in padding of its own. */
static void padding_between_entries_is_zero(void **state) {
    (void)state;
    struct peer_case made;
    append_with(&made, 7, 2);
    struct raft_message message = made.message;
    message.entry_count = 1;
    memset(made.body + PEER_MESSAGE_APPEND_BYTES, 0, made.payload_bytes);
    (void)peer_message_encode(made.body, &message, &made.previous);
    uint8_t *entry = made.body + PEER_MESSAGE_APPEND_BYTES;
    bytes_put_u32(entry, ENTRY_HEADER_BYTES + 1); /* of a length that no writer gives */
    entry[4] = ENTRY_COMMANDS;
    entry[5] = ENTRY_VERSION;
    bytes_put_u64(entry + 16, made.previous.index + 1);
    made.body_bytes = PEER_MESSAGE_APPEND_BYTES + ENTRY_HEADER_BYTES + 8;
    assert_int_equal(judge(&made), PEER_MESSAGE_VALID);
    for (uint32_t i = 1; i < 8; i++) {
        entry[ENTRY_HEADER_BYTES + i] = 1;
        assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_RESERVED);
        entry[ENTRY_HEADER_BYTES + i] = 0;
    }
}

/* Makes cases until one carries a configuration; returns the position of its entry. */
static uint32_t append_with_configuration(struct peer_case *out, uint64_t seed) {
    for (;; seed++) {
        append_with(out, seed, 1);
        for (uint32_t i = 0; i < out->entry_count; i++) {
            if (out->headers[i].kind == ENTRY_CONFIGURATION)
                return i;
        }
    }
}

static void configurations_of_entries_are_judged_and_bounded(void **state) {
    (void)state;
    struct peer_case made;
    const uint32_t position = append_with_configuration(&made, 8);
    uint8_t *body = made.body + made.entry_offsets[position] + ENTRY_HEADER_BYTES;
    const struct peer_case whole = made;
    bytes_put_u16(body + 2, 0); /* no members */
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_CONFIGURATION);
    made = whole;
    body[CONFIGURATION_HEADER_BYTES + 16] = CONFIGURATION_OUTGOING; /* perhaps no voter left */
    bytes_put_u64(body + CONFIGURATION_HEADER_BYTES, 0);            /* and surely no id */
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_CONFIGURATION);

    uint32_t count;
    const struct peer_message_link link = peer_case_link(RAFT_MESSAGE_APPEND);
    struct random random;
    random_seed(&random, 9);
    do {
        peer_case_make(&made, &random, RAFT_MESSAGE_APPEND, false);
        count = 0;
        for (uint32_t i = 0; i < made.entry_count; i++)
            count += made.headers[i].kind == ENTRY_CONFIGURATION;
    } while (count < 2);
    struct peer_message *room = peer_case_room();
    room->configurations_max = count;
    assert_int_equal(peer_message_decode(made.body, made.body_bytes, &link, room),
                     PEER_MESSAGE_VALID);
    assert_int_equal(room->configuration_count, count);
    room->configurations_max = count - 1;
    assert_int_equal(peer_message_decode(made.body, made.body_bytes, &link, room),
                     PEER_MESSAGE_FAULT_CONFIGURATIONS);
}

static void a_snapshots_chunk_is_refused_by_name(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 10);
    struct peer_case made;
    do
        peer_case_make(&made, &random, RAFT_MESSAGE_SNAPSHOT, false);
    while (made.message.length_bytes % 8 != 3);
    const struct peer_case whole = made;
    const uint32_t length = made.message.length_bytes;
    const uint32_t configuration_bytes = bytes_get_u32(made.body + 76);
    bytes_put_u32(made.body + 72, UINT32_MAX);
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_CHUNK);
    bytes_put_u32(made.body + 72, length + 6); /* one byte more than there is */
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_CHUNK);
    made = whole;
    made.body_bytes--; /* of its padding */
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_CHUNK);
    made.body_bytes++;
    bytes_put_u32(made.body + 72, length - 3);
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_TRAILING);
    made = whole;
    made.body[made.body_bytes - 1] = 1;
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_RESERVED);
    made = whole;
    bytes_put_u32(made.body + 76, UINT32_MAX);
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_CONFIGURATION);
    bytes_put_u32(made.body + 76, 0);
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_CONFIGURATION);
    bytes_put_u32(made.body + 76, configuration_bytes - 8);
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_CONFIGURATION);
    made = whole;
    made.body[80] = 9; /* version of the configuration */
    assert_int_equal(judge(&made), PEER_MESSAGE_FAULT_CONFIGURATION);
}

/* ---- what comes out ----------------------------------------------------------------------- */

static void every_kind_comes_back_as_it_went(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 11);
    uint32_t configurations = 0;
    for (uint32_t run = 0; run < 11 * 500; run++) {
        const enum raft_message_kind kind = (enum raft_message_kind)(1 + run % 11);
        struct peer_case made;
        peer_case_make(&made, &random, kind, random_chance(&random, 1, 4));
        struct peer_message *back;
        assert_int_equal(decode(made.body, made.body_bytes, kind, &back), PEER_MESSAGE_VALID);
        assert_true(messages_are_equal(&back->message, &made.message));
        assert_int_equal(raft_message_check(&back->message, back->entries), RAFT_MESSAGE_VALID);
        assert_memory_equal(&back->previous, &made.previous, sizeof(made.previous));
        if (kind == RAFT_MESSAGE_SNAPSHOT) {
            assert_memory_equal(back->message.configuration, &made.configuration,
                                sizeof(made.configuration));
            assert_int_equal(back->payload_bytes, made.message.length_bytes);
        }
        if (made.payload_bytes > 0)
            assert_ptr_equal(back->payload, made.body + made.head_bytes);
        uint32_t offset = made.head_bytes;
        for (uint32_t i = 0; i < made.entry_count; i++) {
            const struct raft_entry *entry = &back->entries[i];
            assert_int_equal(made.entry_offsets[i], offset);
            assert_int_equal(entry->term, made.headers[i].term);
            assert_int_equal(entry->length_bytes, made.headers[i].length_bytes);
            const bool carries = made.headers[i].kind == ENTRY_CONFIGURATION;
            assert_int_equal(entry->configuration != NULL, carries);
            if (carries)
                assert_memory_equal(entry->configuration, &made.configuration,
                                    sizeof(made.configuration));
            configurations += carries;
            offset += entry_stride_bytes(entry->length_bytes);
        }
        uint32_t position;
        assert_int_equal(peer_message_entries_check(back, PEER_CASE_ENTRY_BYTES_MAX, &position),
                         ENTRY_VALID);
    }
    assert_true(configurations > 100);
}

static void the_bytes_are_the_documented_ones(void **state) {
    (void)state;
    const struct raft_message append = {.kind = RAFT_MESSAGE_APPEND,
                                        .session = 0x01020304,
                                        .from = 2,
                                        .to = 3,
                                        .term = 4,
                                        .round = 5,
                                        .previous_index = 6,
                                        .previous_term = 3,
                                        .commit = 7};
    const struct entry_tail previous = {.index = 6, .term = 3, .log_time_ms = 8, .chain = 9};
    uint8_t expected[88] = {RAFT_MESSAGE_APPEND, 0, 0, 0, 4, 3, 2, 1};
    static const uint64_t fields[] = {2, 3, 4, 5, 6, 3, 8, 9, 7};
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
        bytes_put_u64(expected + 8 + 8 * i, fields[i]);
    uint8_t head[PEER_MESSAGE_HEAD_BYTES_MAX];
    assert_int_equal(peer_message_encode(head, &append, &previous), sizeof(expected));
    assert_memory_equal(head, expected, sizeof(expected));

    const struct raft_message refusal = {.kind = RAFT_MESSAGE_APPEND_ANSWER,
                                         .session = 0x01020304,
                                         .from = 2,
                                         .to = 3,
                                         .term = 4,
                                         .round = 5,
                                         .previous_index = 6,
                                         .hint_index = 5,
                                         .hint_term = 3};
    static const uint64_t answers[] = {2, 3, 4, 5, 0, 6, 5, 3};
    expected[0] = RAFT_MESSAGE_APPEND_ANSWER;
    for (size_t i = 0; i < ARRAY_COUNT(answers); i++)
        bytes_put_u64(expected + 8 + 8 * i, answers[i]);
    assert_int_equal(peer_message_encode(head, &refusal, NULL), 72);
    assert_memory_equal(head, expected, 72);
}

static void a_flipped_bit_of_an_entry_is_found_by_its_chain(void **state) {
    (void)state;
    struct peer_case made;
    append_with(&made, 12, 4);
    uint32_t found = 0;
    for (uint32_t bit = 8 * PEER_MESSAGE_APPEND_BYTES; bit < 8 * made.body_bytes; bit++) {
        made.body[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct peer_message *back;
        if (decode(made.body, made.body_bytes, RAFT_MESSAGE_APPEND, &back) == PEER_MESSAGE_VALID) {
            uint32_t position = UINT32_MAX;
            assert_int_not_equal(
                peer_message_entries_check(back, PEER_CASE_ENTRY_BYTES_MAX, &position),
                ENTRY_VALID);
            const uint32_t start = made.entry_offsets[position];
            assert_true(bit / 8 >= start &&
                        bit / 8 < start + entry_stride_bytes(made.headers[position].length_bytes));
            found++;
        }
        made.body[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(found > 100);
}

/* Whatever is taken is written again with the same bytes. */
static void what_is_taken_has_one_form_only(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 13);
    uint32_t taken = 0;
    uint32_t refused = 0;
    for (uint32_t run = 0; run < 11 * 3000; run++) {
        const enum raft_message_kind kind = (enum raft_message_kind)(1 + run % 11);
        struct peer_case made;
        peer_case_make(&made, &random, kind, random_chance(&random, 1, 4));
        for (uint64_t changes = random_below(&random, 3); changes > 0; changes--)
            made.body[random_below(&random, made.head_bytes)] = (uint8_t)random_u64(&random);
        struct peer_message *back;
        if (decode(made.body, made.body_bytes, kind, &back) != PEER_MESSAGE_VALID) {
            refused++;
            continue;
        }
        taken++;
        uint8_t head[PEER_MESSAGE_HEAD_BYTES_MAX];
        assert_int_equal(peer_message_encode(head, &back->message, &back->previous),
                         made.head_bytes);
        assert_memory_equal(head, made.body, made.head_bytes);
        (void)raft_message_check(&back->message, back->entries);
    }
    assert_true(taken > 5000 && refused > 5000);
}

static void random_bytes_of_a_known_kind_do_no_harm(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 14);
    for (uint32_t run = 0; run < 50000; run++) {
        uint8_t body[300];
        const uint32_t length = 8 * (uint32_t)random_below(&random, sizeof(body) / 8 + 1);
        const enum raft_message_kind kind = (enum raft_message_kind)(1 + run % 11);
        for (uint32_t i = 0; i < length; i++)
            body[i] = random_chance(&random, 1, 2) ? 0 : (uint8_t)random_u64(&random);
        if (length >= 40) {
            bytes_put_u64(body, (uint64_t)kind);
            bytes_put_u64(body + 8, PEER_CASE_FROM);
            bytes_put_u64(body + 16, PEER_CASE_TO);
        }
        struct peer_message *back;
        if (decode(body, length, kind, &back) == PEER_MESSAGE_VALID)
            (void)raft_message_check(&back->message, back->entries);
    }
}

/* ---- what must not be --------------------------------------------------------------------- */

static void encode_what_would_be_lost(void *context) {
    struct raft_message message = *(const struct raft_message *)context;
    uint8_t head[PEER_MESSAGE_HEAD_BYTES_MAX];
    (void)peer_message_encode(head, &message, NULL);
}

static void a_field_that_would_be_lost_ends_the_process(void **state) {
    (void)state;
    struct raft_message messages[] = {
        {.kind = RAFT_MESSAGE_VOTE, .session = 1},
        {.kind = RAFT_MESSAGE_TIMEOUT_NOW, .round = 1},
        {.kind = RAFT_MESSAGE_HEARTBEAT, .match_index = 1},
        {.kind = RAFT_MESSAGE_VOTE, .granted = true},
        {.kind = RAFT_MESSAGE_PRE_VOTE, .transfer = true},
        {.kind = RAFT_MESSAGE_HEARTBEAT, .entry_count = 1},
        {.kind = RAFT_MESSAGE_SNAPSHOT},
    };
    for (size_t i = 0; i < ARRAY_COUNT(messages); i++)
        death_expect_abort(encode_what_would_be_lost, &messages[i], "message_is_whole");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_kinds_flags_and_members_are_refused),
        cmocka_unit_test(what_a_kind_does_not_have_is_refused),
        cmocka_unit_test(each_kind_has_its_connection),
        cmocka_unit_test(every_truncation_and_every_byte_behind_the_end_is_refused),
        cmocka_unit_test(an_append_is_refused_by_name),
        cmocka_unit_test(before_the_first_entry_is_the_tail_of_an_empty_log),
        cmocka_unit_test(an_entry_is_refused_by_name),
        cmocka_unit_test(padding_between_entries_is_zero),
        cmocka_unit_test(configurations_of_entries_are_judged_and_bounded),
        cmocka_unit_test(a_snapshots_chunk_is_refused_by_name),
        cmocka_unit_test(every_kind_comes_back_as_it_went),
        cmocka_unit_test(the_bytes_are_the_documented_ones),
        cmocka_unit_test(a_flipped_bit_of_an_entry_is_found_by_its_chain),
        cmocka_unit_test(what_is_taken_has_one_form_only),
        cmocka_unit_test(random_bytes_of_a_known_kind_do_no_harm),
        cmocka_unit_test(a_field_that_would_be_lost_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
