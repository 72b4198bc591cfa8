/* What members tell each other when their data differ, as bytes; and the boxes it comes from. */

#include <stdlib.h>
#include <string.h>

#include "stages/peer_digest.h"
#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

enum { FROM = 2, TO = 3, LONGER_BYTES = PEER_DIGEST_BYTES + 16 };

static const struct peer_digest whole = {.asks = true,
                                         .known = true,
                                         .index = UINT64_C(5) * DIGEST_INTERVAL,
                                         .hash = UINT64_C(0x1122334455667788),
                                         .difference = {.agreed_index = 4096,
                                                        .own = 77,
                                                        .logged = UINT64_MAX,
                                                        .first = 3,
                                                        .count = 2,
                                                        .partitions = 8}};

/* Decodes in memory of exactly that size. */
static enum peer_message_fault decode(const uint8_t *body, uint32_t body_bytes, bool control,
                                      struct peer_digest *out) {
    uint8_t *copy = malloc(body_bytes > 0 ? body_bytes : 1);
    assert_non_null(copy);
    memcpy(copy, body, body_bytes);
    const struct peer_message_link link = {.from = FROM, .to = TO, .control = control};
    const enum peer_message_fault fault = peer_digest_decode(copy, body_bytes, &link, out);
    free(copy);
    return fault;
}

static enum peer_message_fault fault_of(uint32_t offset, uint8_t value) {
    uint8_t body[PEER_DIGEST_BYTES];
    struct peer_digest out;
    peer_digest_encode(body, FROM, TO, &whole);
    assert_int_not_equal(body[offset], value);
    body[offset] = value;
    return decode(body, sizeof(body), true, &out);
}

static void what_no_member_sends_is_refused_by_name(void **state) {
    (void)state;
    assert_int_equal(fault_of(0, 63), PEER_MESSAGE_FAULT_KIND);
    assert_int_equal(fault_of(0, RAFT_MESSAGE_VOTE), PEER_MESSAGE_FAULT_KIND);
    assert_int_equal(fault_of(1, 4), PEER_MESSAGE_FAULT_FLAGS);
    assert_int_equal(fault_of(2, 1), PEER_MESSAGE_FAULT_RESERVED);
    assert_int_equal(fault_of(7, 1), PEER_MESSAGE_FAULT_RESERVED);
    assert_int_equal(fault_of(76, 1), PEER_MESSAGE_FAULT_RESERVED);
    assert_int_equal(fault_of(8, 4), PEER_MESSAGE_FAULT_MEMBER);
    assert_int_equal(fault_of(16, 2), PEER_MESSAGE_FAULT_MEMBER);
    assert_int_equal(fault_of(24, 1), PEER_MESSAGE_FAULT_DIGEST);  /* no multiple */
    assert_int_equal(fault_of(25, 0), PEER_MESSAGE_FAULT_DIGEST);  /* index 0 */
    assert_int_equal(fault_of(1, 1), PEER_MESSAGE_FAULT_DIGEST);   /* not known, and yet a hash */
    assert_int_equal(fault_of(64, 8), PEER_MESSAGE_FAULT_DIGEST);  /* first of 8 */
    assert_int_equal(fault_of(68, 9), PEER_MESSAGE_FAULT_DIGEST);  /* nine of 8 */
    assert_int_equal(fault_of(68, 0), PEER_MESSAGE_FAULT_DIGEST);  /* none, and yet something */
    assert_int_equal(fault_of(73, 2), PEER_MESSAGE_FAULT_DIGEST);  /* 520 partitions */
    assert_int_equal(fault_of(41, 20), PEER_MESSAGE_FAULT_DIGEST); /* agreed at the same index */
}

static void two_equal_digests_are_no_difference(void **state) {
    (void)state;
    uint8_t body[PEER_DIGEST_BYTES];
    struct peer_digest out;
    peer_digest_encode(body, FROM, TO, &whole);
    memcpy(body + 56, body + 48, 8);
    assert_int_equal(decode(body, sizeof(body), true, &out), PEER_MESSAGE_FAULT_DIGEST);
}

static void every_other_length_and_connection_is_refused(void **state) {
    (void)state;
    uint8_t body[LONGER_BYTES] = {0};
    struct peer_digest out;
    peer_digest_encode(body, FROM, TO, &whole);
    for (uint32_t length = 0; length < PEER_DIGEST_BYTES; length++)
        assert_int_equal(decode(body, length, true, &out), PEER_MESSAGE_FAULT_SHORT);
    for (uint32_t length = PEER_DIGEST_BYTES + 1; length <= LONGER_BYTES; length++)
        assert_int_equal(decode(body, length, true, &out), PEER_MESSAGE_FAULT_TRAILING);
    assert_int_equal(decode(body, PEER_DIGEST_BYTES, false, &out), PEER_MESSAGE_FAULT_CONNECTION);
}

static void the_core_is_never_given_one(void **state) {
    (void)state;
    uint8_t body[PEER_DIGEST_BYTES];
    static struct configuration configuration;
    static struct peer_message room;
    room.configurations = &configuration;
    room.configurations_max = 1;
    const struct peer_message_link link = {.from = FROM, .to = TO, .control = true};
    peer_digest_encode(body, FROM, TO, &whole);
    assert_int_equal(peer_message_decode(body, sizeof(body), &link, &room),
                     PEER_MESSAGE_FAULT_KIND);
    assert_true(peer_digest_is(body, sizeof(body)));
    assert_false(peer_digest_is(body, 0));
    for (uint8_t kind = 0; kind < PEER_DIGEST_KIND; kind++)
        assert_false(peer_digest_is(&kind, 1));
}

static void encode_it(void *context) {
    uint8_t body[PEER_DIGEST_BYTES];
    const struct peer_digest *digest = context;
    peer_digest_encode(body, FROM, TO, digest);
}

static void what_is_not_valid_is_not_encoded(void **state) {
    (void)state;
    struct peer_digest digest = whole;
    digest.index++;
    death_expect_abort(encode_it, &digest, "digest_is_valid");
    digest = whole;
    digest.known = false;
    death_expect_abort(encode_it, &digest, "digest_is_valid");
}

static void what_goes_in_comes_out(void **state) {
    (void)state;
    const struct peer_digest cases[] = {
        whole,
        {.asks = true, .index = DIGEST_INTERVAL},
        {.index = UINT64_C(0) - DIGEST_INTERVAL},
        {.known = true, .index = DIGEST_INTERVAL},
        {.known = true, .index = DIGEST_INTERVAL, .hash = UINT64_MAX},
    };
    for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint8_t body[PEER_DIGEST_BYTES];
        struct peer_digest out;
        peer_digest_encode(body, FROM, TO, &cases[i]);
        assert_int_equal(decode(body, sizeof(body), true, &out), PEER_MESSAGE_VALID);
        assert_true(out.asks == cases[i].asks && out.known == cases[i].known);
        assert_true(out.index == cases[i].index && out.hash == cases[i].hash);
        assert_true(out.difference.agreed_index == cases[i].difference.agreed_index);
        assert_true(out.difference.own == cases[i].difference.own);
        assert_true(out.difference.logged == cases[i].difference.logged);
        assert_true(out.difference.first == cases[i].difference.first);
        assert_true(out.difference.count == cases[i].difference.count);
        assert_true(out.difference.partitions == cases[i].difference.partitions);
    }
}

static void the_layout_is_the_documented_one(void **state) {
    (void)state;
    uint8_t body[PEER_DIGEST_BYTES];
    peer_digest_encode(body, FROM, TO, &whole);
    assert_int_equal(body[0], 64);
    assert_int_equal(body[1], 3);
    assert_int_equal(bytes_get_u64(body + 24), 5 * 1024);
    assert_true(bytes_get_u64(body + 32) == whole.hash);
    assert_int_equal(bytes_get_u64(body + 40), 4096);
    assert_int_equal(bytes_get_u64(body + 48), 77);
    assert_true(bytes_get_u64(body + 56) == UINT64_MAX);
    assert_int_equal(bytes_get_u32(body + 64), 3);
    assert_int_equal(bytes_get_u32(body + 68), 2);
    assert_int_equal(bytes_get_u32(body + 72), 8);
}

static void the_table_of_hashes_keeps_the_last_ones_until_it_is_cleared(void **state) {
    (void)state;
    static struct digest_hashes hashes;
    uint64_t hash = 0;
    assert_false(digest_hashes_find(&hashes, DIGEST_INTERVAL, &hash));
    for (uint64_t i = 1; i <= DIGEST_HASHES_KEPT + 1; i++)
        digest_hashes_put(&hashes, i * DIGEST_INTERVAL, i + 1000);
    assert_false(digest_hashes_find(&hashes, DIGEST_INTERVAL, &hash)); /* displaced */
    for (uint64_t i = 2; i <= DIGEST_HASHES_KEPT + 1; i++) {
        assert_true(digest_hashes_find(&hashes, i * DIGEST_INTERVAL, &hash));
        assert_int_equal(hash, i + 1000);
    }
    digest_hashes_clear(&hashes);
    for (uint64_t i = 1; i <= DIGEST_HASHES_KEPT + 1; i++)
        assert_false(digest_hashes_find(&hashes, i * DIGEST_INTERVAL, &hash));
}

static void the_box_of_doubts_holds_one_until_it_is_cleared(void **state) {
    (void)state;
    static struct digest_doubt_box box;
    const struct digest_doubt first = {.index = 1024, .difference = {.count = 1, .partitions = 8}};
    const struct digest_doubt second = {.index = 2048};
    assert_null(digest_doubt_look(&box));
    assert_true(digest_doubt_put(&box, &first));
    assert_false(digest_doubt_put(&box, &second));
    assert_int_equal(digest_doubt_look(&box)->index, 1024);
    digest_doubt_clear(&box);
    assert_null(digest_doubt_look(&box));
    assert_true(digest_doubt_put(&box, &second));
    assert_int_equal(digest_doubt_look(&box)->index, 2048);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_member_sends_is_refused_by_name),
        cmocka_unit_test(two_equal_digests_are_no_difference),
        cmocka_unit_test(every_other_length_and_connection_is_refused),
        cmocka_unit_test(the_core_is_never_given_one),
        cmocka_unit_test(what_is_not_valid_is_not_encoded),
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(the_layout_is_the_documented_one),
        cmocka_unit_test(the_table_of_hashes_keeps_the_last_ones_until_it_is_cleared),
        cmocka_unit_test(the_box_of_doubts_holds_one_until_it_is_cleared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
