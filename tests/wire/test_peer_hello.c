/* The handshake of members: every field refused by name, and who is let in. */

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/random.h"
#include "tests/cmocka_wrapper.h"
#include "wire/peer_hello.h"

static const struct peer_hello hello_of_2 = {.connection = PEER_CONNECTION_DATA,
                                             .cluster_id = 0x1111111111111111,
                                             .from = 2,
                                             .incarnation = 0x2222222222222222,
                                             .to = 1,
                                             .known = 0x3333333333333333,
                                             .own = {7, 5, 1000},
                                             .told = {8, 6, UINT64_MAX},
                                             .address = "[::1]:7379"};
static const struct peer_answer answer_of_1 = {.result = PEER_ACCEPTED,
                                               .version = PEER_PROTOCOL_VERSION,
                                               .cluster_id = 0x1111111111111111,
                                               .from = 1,
                                               .incarnation = 0x3333333333333333,
                                               .to = 2};

/* ---- helpers -------------------------------------------------------------------------------- */

/* Reads in memory of exactly `length_bytes`; a fault must leave `out` unchanged. */
static enum peer_hello_fault hello_read(const uint8_t *bytes, size_t length_bytes,
                                        struct peer_hello *out) {
    uint8_t *copy = malloc(length_bytes > 0 ? length_bytes : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length_bytes);
    struct peer_hello before;
    memset(&before, 0x77, sizeof(before));
    memcpy(out, &before, sizeof(before));
    const enum peer_hello_fault fault = peer_hello_read(copy, length_bytes, false, out);
    if (fault != PEER_HELLO_VALID)
        assert_memory_equal(out, &before, sizeof(before));
    free(copy);
    return fault;
}

static enum peer_hello_fault answer_read(const uint8_t *bytes, size_t length_bytes,
                                         struct peer_answer *out) {
    uint8_t *copy = malloc(length_bytes > 0 ? length_bytes : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length_bytes);
    struct peer_answer before;
    memset(&before, 0x77, sizeof(before));
    memcpy(out, &before, sizeof(before));
    const enum peer_hello_fault fault = peer_answer_read(copy, length_bytes, false, out);
    if (fault != PEER_HELLO_VALID)
        assert_memory_equal(out, &before, sizeof(before));
    free(copy);
    return fault;
}

/* The HELLO above, 152 bytes, with one byte changed. */
static enum peer_hello_fault hello_fault(size_t offset, uint8_t value) {
    uint8_t bytes[PEER_HELLO_BYTES_MAX];
    struct peer_hello out;
    const uint32_t length = peer_hello_write(bytes, &hello_of_2);
    assert_int_equal(length, 152);
    bytes[offset] = value;
    return hello_read(bytes, length, &out);
}

static enum peer_hello_fault answer_fault(size_t offset, uint8_t value) {
    uint8_t bytes[PEER_ANSWER_BYTES];
    struct peer_answer out;
    peer_answer_write(bytes, &answer_of_1);
    bytes[offset] = value;
    return answer_read(bytes, sizeof(bytes), &out);
}

/* A u64 field of the HELLO set to a value. */
static enum peer_hello_fault hello_fault_u64(size_t offset, uint64_t value) {
    uint8_t bytes[PEER_HELLO_BYTES_MAX];
    struct peer_hello out;
    const uint32_t length = peer_hello_write(bytes, &hello_of_2);
    bytes_put_u64(bytes + offset, value);
    return hello_read(bytes, length, &out);
}

static struct peer_expected expected_by_1(void) {
    return (struct peer_expected){.cluster_id = hello_of_2.cluster_id,
                                  .node_id = 1,
                                  .peer = 2,
                                  .peer_known = true,
                                  .incarnation = hello_of_2.incarnation,
                                  .own_incarnation = hello_of_2.known};
}

static struct peer_expected expected_by_2(void) {
    return (struct peer_expected){.cluster_id = answer_of_1.cluster_id,
                                  .node_id = 2,
                                  .peer = 1,
                                  .peer_known = true,
                                  .incarnation = answer_of_1.incarnation};
}

/* ---- bodies that are none ------------------------------------------------------------------- */

static void each_field_of_a_hello_is_refused_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(hello_fault(i, 0xff), PEER_HELLO_FAULT_MAGIC);
    assert_int_equal(hello_fault(8, 0), PEER_HELLO_FAULT_VERSION);
    assert_int_equal(hello_fault(8, 2), PEER_HELLO_FAULT_VERSION); /* the one before */
    assert_int_equal(hello_fault(8, 4), PEER_HELLO_FAULT_VERSION);
    assert_int_equal(hello_fault(11, 1), PEER_HELLO_FAULT_VERSION);
    assert_int_equal(hello_fault(12, 0), PEER_HELLO_FAULT_CONNECTION);
    assert_int_equal(hello_fault(12, 3), PEER_HELLO_FAULT_CONNECTION);
    assert_int_equal(hello_fault(13, 1), PEER_HELLO_FAULT_RESERVED);
    assert_int_equal(hello_fault(14, 0), PEER_HELLO_FAULT_LENGTH);
    assert_int_equal(hello_fault(14, 8), PEER_HELLO_FAULT_LENGTH);
    assert_int_equal(hello_fault(14, 9), PEER_HELLO_FAULT_RESERVED);
    assert_int_equal(hello_fault(14, 16), PEER_HELLO_FAULT_ADDRESS); /* zeros are no letters */
    assert_int_equal(hello_fault(14, 17), PEER_HELLO_FAULT_LENGTH);
    assert_int_equal(hello_fault(15, 255), PEER_HELLO_FAULT_ADDRESS);
    assert_int_equal(hello_fault_u64(24, 0), PEER_HELLO_FAULT_NODE);
    assert_int_equal(hello_fault_u64(24, 1), PEER_HELLO_FAULT_NODE); /* to itself */
    assert_int_equal(hello_fault_u64(40, 0), PEER_HELLO_FAULT_NODE);
    assert_int_equal(hello_fault_u64(32, 0), PEER_HELLO_FAULT_INCARNATION);
    for (size_t i = 48; i < 80; i++)
        assert_int_equal(hello_fault(i, 1), PEER_HELLO_FAULT_NONCE);
    static const uint8_t letters[] = {0, '\n', '\r', ' ', 0x7f, 0x80, 0xff};
    for (size_t i = 0; i < sizeof(letters); i++)
        assert_int_equal(hello_fault(140, letters[i]), PEER_HELLO_FAULT_ADDRESS);
    for (size_t i = 146; i < 152; i++)
        assert_int_equal(hello_fault(i, 'x'), PEER_HELLO_FAULT_RESERVED);
}

static void each_field_of_an_answer_is_refused_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(answer_fault(i, 0xff), PEER_HELLO_FAULT_MAGIC);
    assert_int_equal(answer_fault(8, 2), PEER_HELLO_FAULT_VERSION);
    assert_int_equal(answer_fault(8, 4), PEER_HELLO_FAULT_VERSION);
    assert_int_equal(answer_fault(12, 8), PEER_HELLO_FAULT_RESULT);
    for (size_t i = 13; i < 16; i++)
        assert_int_equal(answer_fault(i, 1), PEER_HELLO_FAULT_RESERVED);
    assert_int_equal(answer_fault(24, 0), PEER_HELLO_FAULT_NODE);
    assert_int_equal(answer_fault(24, 2), PEER_HELLO_FAULT_NODE); /* it accepts itself */
    assert_int_equal(answer_fault(40, 0), PEER_HELLO_FAULT_NODE);
    for (size_t i = 48; i < 80; i++)
        assert_int_equal(answer_fault(i, 1), PEER_HELLO_FAULT_NONCE);
    uint8_t bytes[PEER_ANSWER_BYTES];
    struct peer_answer out;
    peer_answer_write(bytes, &answer_of_1);
    bytes_put_u64(bytes + 32, 0);
    assert_int_equal(answer_read(bytes, sizeof(bytes), &out), PEER_HELLO_FAULT_INCARNATION);
    for (uint32_t i = 0; i <= PEER_HELLO_FAULT_ADDRESS; i++)
        assert_string_not_equal(peer_hello_fault_name((enum peer_hello_fault)i), "unknown fault");
}

static void every_other_length_is_refused(void **state) {
    (void)state;
    uint8_t bytes[PEER_HELLO_BYTES_MAX] = {0};
    struct peer_hello hello;
    struct peer_answer answer;
    (void)peer_hello_write(bytes, &hello_of_2);
    for (size_t length = 0; length <= sizeof(bytes); length++) {
        const enum peer_hello_fault wanted =
            length == 152 ? PEER_HELLO_VALID : PEER_HELLO_FAULT_LENGTH;
        assert_int_equal(hello_read(bytes, length, &hello), wanted);
    }
    memset(bytes, 0, sizeof(bytes));
    peer_answer_write(bytes, &answer_of_1);
    for (size_t length = 0; length <= sizeof(bytes); length++) {
        const enum peer_hello_fault wanted =
            length == 80 ? PEER_HELLO_VALID : PEER_HELLO_FAULT_LENGTH;
        assert_int_equal(answer_read(bytes, length, &answer), wanted);
    }
}

/* What is read is written again with the same bytes, whatever the bytes were. */
static void what_is_taken_has_one_form_only(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 1);
    uint32_t hellos = 0;
    uint32_t answers = 0;
    for (uint32_t run = 0; run < 20000; run++) {
        uint8_t bytes[PEER_HELLO_BYTES_MAX];
        uint8_t again[PEER_HELLO_BYTES_MAX];
        struct peer_hello hello;
        struct peer_answer answer;
        const uint32_t length = peer_hello_write(bytes, &hello_of_2);
        for (uint64_t changes = random_below(&random, 3); changes > 0; changes--)
            bytes[random_below(&random, length)] = (uint8_t)random_u64(&random);
        if (hello_read(bytes, length, &hello) == PEER_HELLO_VALID) {
            assert_int_equal(peer_hello_write(again, &hello), length);
            assert_memory_equal(again, bytes, length);
            hellos++;
        }
        peer_answer_write(bytes, &answer_of_1);
        for (uint64_t changes = random_below(&random, 3); changes > 0; changes--)
            bytes[random_below(&random, PEER_ANSWER_BYTES)] = (uint8_t)random_u64(&random);
        if (answer_read(bytes, PEER_ANSWER_BYTES, &answer) == PEER_HELLO_VALID &&
            answer.version == PEER_PROTOCOL_VERSION) {
            peer_answer_write(again, &answer);
            assert_memory_equal(again, bytes, PEER_ANSWER_BYTES);
            answers++;
        }
    }
    assert_true(hellos > 1000 && answers > 1000);
}

/* ---- bodies that are ------------------------------------------------------------------------ */

static void the_bytes_are_the_documented_ones(void **state) {
    (void)state;
    uint8_t expected[152] = {'w', 'e', 'i', 'r', 'p', 'e', 'e', 'r', 3, 0, 0, 0, 2, 0, 10, 0};
    bytes_put_u64(expected + 16, hello_of_2.cluster_id);
    bytes_put_u64(expected + 24, 2);
    bytes_put_u64(expected + 32, hello_of_2.incarnation);
    bytes_put_u64(expected + 40, 1);
    bytes_put_u64(expected + 80, hello_of_2.known);
    bytes_put_u64(expected + 88, 7);
    bytes_put_u64(expected + 96, 5);
    bytes_put_u64(expected + 104, 1000);
    bytes_put_u64(expected + 112, 8);
    bytes_put_u64(expected + 120, 6);
    bytes_put_u64(expected + 128, UINT64_MAX);
    memcpy(expected + 136, "[::1]:7379", 10);
    uint8_t bytes[PEER_HELLO_BYTES_MAX];
    assert_int_equal(peer_hello_write(bytes, &hello_of_2), sizeof(expected));
    assert_memory_equal(bytes, expected, sizeof(expected));

    memset(expected + 12, 0, sizeof(expected) - 12);
    expected[12] = PEER_REFUSED_INCARNATION;
    bytes_put_u64(expected + 16, answer_of_1.cluster_id);
    bytes_put_u64(expected + 24, 1);
    bytes_put_u64(expected + 32, answer_of_1.incarnation);
    bytes_put_u64(expected + 40, 2);
    struct peer_answer refusal = answer_of_1;
    refusal.result = PEER_REFUSED_INCARNATION;
    peer_answer_write(bytes, &refusal);
    assert_memory_equal(bytes, expected, PEER_ANSWER_BYTES);
}

static void addresses_of_every_length_come_back(void **state) {
    (void)state;
    for (size_t length = 0; length <= PEER_ADDRESS_BYTES_MAX; length++) {
        struct peer_hello hello = hello_of_2;
        hello.connection = length % 2 == 0 ? PEER_CONNECTION_CONTROL : PEER_CONNECTION_DATA;
        memset(hello.address, 0, sizeof(hello.address));
        memset(hello.address, length % 3 == 0 ? '~' : '!', length);
        uint8_t bytes[PEER_HELLO_BYTES_MAX];
        const uint32_t written = peer_hello_write(bytes, &hello);
        assert_int_equal(written, (136 + length + 7) / 8 * 8);
        struct peer_hello back;
        assert_int_equal(hello_read(bytes, written, &back), PEER_HELLO_VALID);
        assert_string_equal(back.address, hello.address);
        assert_int_equal(back.connection, hello.connection);
        assert_int_equal(back.cluster_id, hello.cluster_id);
        assert_int_equal(back.from, hello.from);
        assert_int_equal(back.incarnation, hello.incarnation);
        assert_int_equal(back.to, hello.to);
        assert_int_equal(back.known, hello.known);
        assert_memory_equal(&back.own, &hello.own, sizeof(back.own));
        assert_memory_equal(&back.told, &hello.told, sizeof(back.told));
    }
}

static void a_refusal_of_the_version_is_read_from_any_version(void **state) {
    (void)state;
    struct peer_answer refusal = answer_of_1;
    refusal.result = PEER_REFUSED_VERSION;
    refusal.to = 0; /* it could not read who asked */
    uint8_t bytes[PEER_ANSWER_BYTES];
    peer_answer_write(bytes, &refusal);
    bytes_put_u32(bytes + 8, 7);
    struct peer_answer back;
    assert_int_equal(answer_read(bytes, sizeof(bytes), &back), PEER_HELLO_VALID);
    assert_int_equal(back.version, 7);
    const struct peer_expected expected = expected_by_2();
    assert_int_equal(peer_answer_judge(&back, &expected), PEER_REFUSED_VERSION);
}

/* ---- who is let in -------------------------------------------------------------------------- */

static void strangers_are_not_let_in(void **state) {
    (void)state;
    struct peer_expected expected = expected_by_1();
    expected.cluster_id++;
    assert_int_equal(peer_hello_judge(&hello_of_2, &expected), PEER_REFUSED_CLUSTER);
    expected = expected_by_1();
    expected.node_id = 3;
    assert_int_equal(peer_hello_judge(&hello_of_2, &expected), PEER_REFUSED_RECEIVER);
    expected.node_id = 2; /* our own id, from elsewhere */
    assert_int_equal(peer_hello_judge(&hello_of_2, &expected), PEER_REFUSED_SENDER);
    expected = expected_by_1();
    expected.peer_known = false;
    assert_int_equal(peer_hello_judge(&hello_of_2, &expected), PEER_REFUSED_SENDER);
    expected = expected_by_1();
    expected.incarnation++; /* it lost its disk */
    assert_int_equal(peer_hello_judge(&hello_of_2, &expected), PEER_REFUSED_INCARNATION);
    expected = expected_by_1();
    expected.own_incarnation++; /* we lost ours */
    assert_int_equal(peer_hello_judge(&hello_of_2, &expected), PEER_REFUSED_INCARNATION);
}

static void a_member_is_let_in_also_before_its_incarnation_is_known(void **state) {
    (void)state;
    struct peer_expected expected = expected_by_1();
    assert_int_equal(peer_hello_judge(&hello_of_2, &expected), PEER_ACCEPTED);
    expected.incarnation = 0;
    assert_int_equal(peer_hello_judge(&hello_of_2, &expected), PEER_ACCEPTED);
    struct peer_hello hello = hello_of_2;
    hello.known = 0; /* nor does it know ours yet */
    assert_int_equal(peer_hello_judge(&hello, &expected), PEER_ACCEPTED);
}

/* Everybody can claim our own id; answering that must not end the process. */
static void who_claims_our_own_id_can_be_told_so(void **state) {
    (void)state;
    struct peer_answer refusal = answer_of_1;
    refusal.result = PEER_REFUSED_SENDER;
    refusal.to = refusal.from;
    uint8_t bytes[PEER_ANSWER_BYTES];
    peer_answer_write(bytes, &refusal);
    struct peer_answer back;
    assert_int_equal(answer_read(bytes, sizeof(bytes), &back), PEER_HELLO_VALID);
    assert_int_equal(back.result, PEER_REFUSED_SENDER);
}

static void an_acceptor_that_is_not_the_one_called_is_left(void **state) {
    (void)state;
    struct peer_expected expected = expected_by_2();
    assert_int_equal(peer_answer_judge(&answer_of_1, &expected), PEER_ACCEPTED);
    expected.incarnation = 0;
    assert_int_equal(peer_answer_judge(&answer_of_1, &expected), PEER_ACCEPTED);
    expected.incarnation = 9;
    assert_int_equal(peer_answer_judge(&answer_of_1, &expected), PEER_REFUSED_INCARNATION);
    expected = expected_by_2();
    expected.cluster_id = 9;
    assert_int_equal(peer_answer_judge(&answer_of_1, &expected), PEER_REFUSED_CLUSTER);
    expected = expected_by_2();
    expected.peer = 3;
    assert_int_equal(peer_answer_judge(&answer_of_1, &expected), PEER_REFUSED_RECEIVER);
    expected = expected_by_2();
    expected.node_id = 4;
    assert_int_equal(peer_answer_judge(&answer_of_1, &expected), PEER_REFUSED_SENDER);
    struct peer_answer refusal = answer_of_1;
    for (uint32_t i = PEER_REFUSED_VERSION; i <= PEER_REFUSED_SECRET; i++) {
        refusal.result = (enum peer_handshake)i;
        expected = expected_by_2();
        assert_int_equal(peer_answer_judge(&refusal, &expected), i);
        assert_non_null(strstr(peer_handshake_name(refusal.result), "it "));
    }
    assert_string_equal(peer_handshake_name((enum peer_handshake)99),
                        "it refuses without a reason");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_field_of_a_hello_is_refused_by_name),
        cmocka_unit_test(each_field_of_an_answer_is_refused_by_name),
        cmocka_unit_test(every_other_length_is_refused),
        cmocka_unit_test(what_is_taken_has_one_form_only),
        cmocka_unit_test(the_bytes_are_the_documented_ones),
        cmocka_unit_test(addresses_of_every_length_come_back),
        cmocka_unit_test(a_refusal_of_the_version_is_read_from_any_version),
        cmocka_unit_test(strangers_are_not_let_in),
        cmocka_unit_test(a_member_is_let_in_also_before_its_incarnation_is_known),
        cmocka_unit_test(who_claims_our_own_id_can_be_told_so),
        cmocka_unit_test(an_acceptor_that_is_not_the_one_called_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
