/* The published values of HMAC-SHA-256, and pieces that equal the whole. */

#include "base/mac.h"

#include "base/bytes.h"
#include "base/random.h"

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

#include <stdio.h>
#include <string.h>

static void tag_of(uint8_t out[MAC_BYTES], const void *secret, size_t secret_bytes,
                   const void *data, size_t length_bytes) {
    struct mac_key key;
    struct mac_state state;
    mac_key_set(&key, secret, secret_bytes);
    mac_begin(&state, &key);
    mac_update(&state, data, length_bytes);
    mac_end(&state, &key, out);
}

static void expect(const void *secret, size_t secret_bytes, const void *data, size_t length_bytes,
                   const char *expected) {
    uint8_t tag[MAC_BYTES];
    char text[2 * MAC_BYTES + 1];
    tag_of(tag, secret, secret_bytes, data, length_bytes);
    for (size_t i = 0; i < MAC_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", tag[i]);
    assert_string_equal(text, expected);
}

/* RFC 4231, cases 1 to 4, 6 and 7 (5 is of a tag that is cut). */
static void the_values_are_those_of_the_rfc(void **state) {
    (void)state;
    uint8_t many[131];
    uint8_t counting[25];
    memset(many, 0x0b, sizeof(many));
    expect(many, 20, "Hi There", 8,
           "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    expect("Jefe", 4, "what do ya want for nothing?", 28,
           "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    uint8_t data[50];
    memset(many, 0xaa, sizeof(many));
    memset(data, 0xdd, sizeof(data));
    expect(many, 20, data, sizeof(data),
           "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    for (size_t i = 0; i < sizeof(counting); i++)
        counting[i] = (uint8_t)(i + 1);
    memset(data, 0xcd, sizeof(data));
    expect(counting, sizeof(counting), data, sizeof(data),
           "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
    const char *long_key = "Test Using Larger Than Block-Size Key - Hash Key First";
    expect(many, 131, long_key, strlen(long_key),
           "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    const char *both_long =
        "This is a test using a larger than block-size key and a larger than block-size data. The "
        "key needs to be hashed before being used by the HMAC algorithm.";
    expect(many, 131, both_long, strlen(both_long),
           "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

static void nothing_under_no_secret_has_a_tag_too(void **state) {
    (void)state;
    expect(NULL, 0, NULL, 0, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void every_bit_of_secret_and_bytes_matters(void **state) {
    (void)state;
    static const size_t lengths[] = {1, 31, 32, 63, 64, 65, 128, 200};
    uint8_t secret[200];
    uint8_t data[200];
    uint8_t right[MAC_BYTES];
    uint8_t other[MAC_BYTES];
    struct random random;
    random_seed(&random, 7);
    for (size_t i = 0; i < sizeof(secret); i++) {
        secret[i] = (uint8_t)random_u64(&random);
        data[i] = (uint8_t)random_u64(&random);
    }
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        const size_t length = lengths[i];
        tag_of(right, secret, length, data, length);
        for (size_t bit = 0; bit < 8 * length; bit++) {
            secret[bit / 8] ^= (uint8_t)(1u << bit % 8);
            tag_of(other, secret, length, data, length);
            assert_false(mac_equal(right, other, MAC_BYTES));
            secret[bit / 8] ^= (uint8_t)(1u << bit % 8);
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            tag_of(other, secret, length, data, length);
            assert_false(mac_equal(right, other, MAC_BYTES));
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        tag_of(other, secret, length, data, length);
        assert_true(mac_equal(right, other, MAC_BYTES));
    }
}

static void pieces_give_the_tag_of_the_whole(void **state) {
    (void)state;
    uint8_t data[1000];
    struct random random;
    struct mac_key key;
    random_seed(&random, 1);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)random_u64(&random);
    mac_key_set(&key, "some secret", 11);
    for (int round = 0; round < 1000; round++) {
        const size_t length = (size_t)random_below(&random, sizeof(data) + 1);
        uint8_t whole[MAC_BYTES];
        uint8_t pieces[MAC_BYTES];
        struct mac_state state_of_pieces;
        tag_of(whole, "some secret", 11, data, length);
        mac_begin(&state_of_pieces, &key);
        for (size_t done = 0; done < length;) {
            size_t piece = (size_t)random_below(&random, length - done + 1);
            mac_update(&state_of_pieces, data + done, piece);
            done += piece;
            struct mac_state moved = state_of_pieces; /* nothing in it points anywhere */
            memset(&state_of_pieces, 0xee, sizeof(state_of_pieces));
            state_of_pieces = moved;
        }
        mac_end(&state_of_pieces, &key, pieces);
        assert_memory_equal(whole, pieces, MAC_BYTES);
    }
}

static void a_cleared_key_is_gone(void **state) {
    (void)state;
    struct mac_key key;
    static const struct mac_key zeros;
    mac_key_set(&key, "some secret", 11);
    mac_key_clear(&key);
    assert_memory_equal(&key, &zeros, sizeof(key));
}

static void a_difference_in_any_byte_is_seen(void **state) {
    (void)state;
    uint8_t a[16] = {0};
    uint8_t b[16] = {0};
    assert_true(mac_equal(a, b, 16));
    assert_true(mac_equal(a, b, 0));
    for (size_t i = 0; i < 16; i++) {
        b[i] = 0x80;
        assert_false(mac_equal(a, b, 16));
        assert_true(mac_equal(a, b, i));
        b[i] = 0;
    }
}

static void add_nothing_of_some_length(void *context) {
    mac_update(context, NULL, 1);
}

static void a_length_without_bytes_is_a_bug(void **state) {
    (void)state;
    struct mac_key key;
    struct mac_state tag;
    mac_key_set(&key, NULL, 0);
    mac_begin(&tag, &key);
    death_expect_abort(add_nothing_of_some_length, &tag, "data != NULL");
}

static void begin_a_tag(void *key) {
    struct mac_state tag;
    mac_begin(&tag, key);
}

static void end_a_tag(void *key) {
    struct mac_key good;
    struct mac_state tag;
    uint8_t out[MAC_BYTES];
    mac_key_set(&good, "a", 1);
    mac_begin(&tag, &good);
    mac_end(&tag, key, out);
}

/* Its tag would be whatever was in the memory that it goes to. */
static void a_tag_under_a_key_that_is_not_set_is_a_bug(void **state) {
    (void)state;
    struct mac_key key = {0};
    death_expect_abort(begin_a_tag, &key, "key_is_set");
    death_expect_abort(end_a_tag, &key, "key_is_set");
    mac_key_set(&key, "a", 1);
    mac_key_clear(&key);
    death_expect_abort(begin_a_tag, &key, "key_is_set");
    death_expect_abort(end_a_tag, &key, "key_is_set");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_under_a_key_that_is_not_set_is_a_bug),
        cmocka_unit_test(a_length_without_bytes_is_a_bug),
        cmocka_unit_test(the_values_are_those_of_the_rfc),
        cmocka_unit_test(nothing_under_no_secret_has_a_tag_too),
        cmocka_unit_test(every_bit_of_secret_and_bytes_matters),
        cmocka_unit_test(pieces_give_the_tag_of_the_whole),
        cmocka_unit_test(a_cleared_key_is_gone),
        cmocka_unit_test(a_difference_in_any_byte_is_seen),
    };
    return cmocka_run_group_tests_name("base_mac", tests, NULL, NULL);
}
