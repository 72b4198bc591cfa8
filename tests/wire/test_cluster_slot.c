/* The slot of a key: against the specification's vector, a bitwise twin, and the tag's edges. */

#include "wire/cluster_slot.h"

#include "tests/cmocka_wrapper.h"

#include <string.h>

#include "base/random.h"

static uint16_t slot(const char *key) {
    return cluster_slot((const uint8_t *)key, strlen(key));
}

static uint16_t crc(const char *text) {
    return cluster_crc16((const uint8_t *)text, strlen(text));
}

/* The definition, bit by bit. */
static uint16_t crc_twin(const uint8_t *data, size_t length_bytes) {
    uint32_t rest = 0;
    for (size_t i = 0; i < length_bytes; i++) {
        rest ^= (uint32_t)data[i] << 8;
        for (uint32_t bit = 0; bit < 8; bit++)
            rest = (rest & 0x8000) != 0 ? rest << 1 ^ 0x1021 : rest << 1;
        rest &= 0xffff;
    }
    return (uint16_t)rest;
}

static void without_a_closing_brace_there_is_no_tag(void **state) {
    (void)state;
    assert_int_equal(slot("{a"), crc("{a") % CLUSTER_SLOTS);
    assert_int_equal(slot("a}b{c"), crc("a}b{c") % CLUSTER_SLOTS);
    assert_int_equal(slot("{"), crc("{") % CLUSTER_SLOTS);
    assert_int_equal(slot("a}"), crc("a}") % CLUSTER_SLOTS);
}

static void an_empty_tag_is_none(void **state) {
    (void)state;
    assert_int_equal(slot("{}"), crc("{}") % CLUSTER_SLOTS);
    assert_int_equal(slot("foo{}{bar}"), crc("foo{}{bar}") % CLUSTER_SLOTS);
}

static void the_tag_is_the_first_one_up_to_the_first_closing_brace(void **state) {
    (void)state;
    assert_int_equal(slot("{a}{b}"), slot("a"));
    assert_int_not_equal(slot("{a}{b}"), slot("b"));
    assert_int_equal(slot("{user1000}.following"), slot("{user1000}.followers"));
    assert_int_equal(slot("foo{{bar}}zap"), crc("{bar") % CLUSTER_SLOTS);
    assert_int_equal(slot("foo{bar}{zap}"), slot("bar"));
    assert_int_equal(slot("}{a}"), slot("a"));
}

static void known_keys_have_their_known_slots(void **state) {
    (void)state;
    assert_int_equal(crc("123456789"), 0x31c3);
    assert_int_equal(crc(""), 0);
    assert_int_equal(cluster_slot(NULL, 0), 0);
    assert_int_equal(slot("foo"), 12182);
    assert_int_equal(slot("bar"), 5061);
    assert_int_equal(slot("somekey"), 11058);
}

static void any_bytes_agree_with_the_definition(void **state) {
    (void)state;
    uint8_t bytes[300];
    struct random random;
    random_seed(&random, 7);
    for (size_t length = 0; length <= sizeof(bytes); length++) {
        for (size_t i = 0; i < length; i++)
            bytes[i] = (uint8_t)random_u64(&random);
        assert_int_equal(cluster_crc16(bytes, length), crc_twin(bytes, length));
        assert_true(cluster_slot(bytes, length) < CLUSTER_SLOTS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_closing_brace_there_is_no_tag),
        cmocka_unit_test(an_empty_tag_is_none),
        cmocka_unit_test(the_tag_is_the_first_one_up_to_the_first_closing_brace),
        cmocka_unit_test(known_keys_have_their_known_slots),
        cmocka_unit_test(any_bytes_agree_with_the_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
