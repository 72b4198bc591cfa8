/* XXH3's published values, and pieces that equal the whole. */

#include "base/checksum.h"
#include "base/random.h"

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

#include <string.h>

static uint8_t data[4096];

static int fill_data(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 42);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)random_u64(&random);
    return 0;
}

/* Our formats hold these values: a library that computes another one cannot read our logs. */
static void the_values_are_those_of_xxh3(void **state) {
    (void)state;
    assert_true(checksum_64("", 0, 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(checksum_64(NULL, 0, 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(checksum_64("weir", 4, 0) == UINT64_C(0x09831dc741817118));
    assert_true(checksum_64("weir", 4, 1) == UINT64_C(0x18b3a371387f03a2));
    uint8_t counting[256];
    for (size_t i = 0; i < sizeof(counting); i++)
        counting[i] = (uint8_t)i;
    assert_true(checksum_64(counting, sizeof(counting), 0) == UINT64_C(0x9408a4433b952d71));
    assert_true(checksum_64(counting, sizeof(counting), 7) == UINT64_C(0xbdc8572069c5da9d));
}

static void every_bit_and_the_seed_matter(void **state) {
    (void)state;
    static const size_t lengths[] = {1, 3, 4, 8, 9, 16, 17, 128, 129, 240, 241, 1024, 1025};
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        const uint64_t whole = checksum_64(data, lengths[i], 5);
        assert_true(whole != checksum_64(data, lengths[i], 6));
        assert_true(whole != checksum_64(data, lengths[i] - 1, 5));
        for (size_t bit = 0; bit < lengths[i] * 8; bit++) {
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_true(whole != checksum_64(data, lengths[i], 5));
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_true(whole == checksum_64(data, lengths[i], 5));
    }
}

static void pieces_give_the_checksum_of_the_whole(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 1);
    for (int round = 0; round < 2000; round++) {
        const size_t length_bytes = (size_t)random_below(&random, sizeof(data) + 1);
        const uint64_t seed = random_chance(&random, 1, 4) ? 0 : random_u64(&random);
        struct checksum_state streaming;
        checksum_begin(&streaming, seed);
        size_t done_bytes = 0;
        while (done_bytes < length_bytes) {
            const size_t rest_bytes = length_bytes - done_bytes;
            size_t piece_bytes = (size_t)random_below(&random, 300);
            piece_bytes = piece_bytes < rest_bytes ? piece_bytes : rest_bytes;
            checksum_update(&streaming, data + done_bytes, piece_bytes);
            done_bytes += piece_bytes;
        }
        assert_true(checksum_end(&streaming) == checksum_64(data, length_bytes, seed));
    }
}

static void no_pieces_and_empty_pieces_are_the_empty_checksum(void **state) {
    (void)state;
    struct checksum_state streaming;
    checksum_begin(&streaming, 9);
    assert_true(checksum_end(&streaming) == checksum_64(NULL, 0, 9));
    checksum_update(&streaming, NULL, 0);
    checksum_update(&streaming, data, 0);
    assert_true(checksum_end(&streaming) == checksum_64(NULL, 0, 9));
}

static void more_may_follow_an_end(void **state) {
    (void)state;
    struct checksum_state streaming;
    checksum_begin(&streaming, 3);
    checksum_update(&streaming, data, 1000);
    assert_true(checksum_end(&streaming) == checksum_64(data, 1000, 3));
    checksum_update(&streaming, data + 1000, 1);
    assert_true(checksum_end(&streaming) == checksum_64(data, 1001, 3));
}

static void a_copied_state_goes_its_own_way(void **state) {
    (void)state;
    struct checksum_state first;
    checksum_begin(&first, 3);
    checksum_update(&first, data, 700);
    struct checksum_state second = first;
    checksum_update(&first, data + 700, 300);
    checksum_update(&second, data + 700, 50);
    memset(&first, 0xff, sizeof(first));
    assert_true(checksum_end(&second) == checksum_64(data, 750, 3));
}

static void a_used_state_can_begin_again(void **state) {
    (void)state;
    struct checksum_state streaming;
    checksum_begin(&streaming, 3);
    checksum_update(&streaming, data, 700);
    checksum_begin(&streaming, 4);
    checksum_update(&streaming, data, 10);
    assert_true(checksum_end(&streaming) == checksum_64(data, 10, 4));
}

static void a_keys_hash_is_the_checksum_of_its_bytes(void **state) {
    (void)state;
    for (size_t length_bytes = 0; length_bytes < 300; length_bytes++)
        assert_true(hash_key(data, length_bytes, 77) == checksum_64(data, length_bytes, 77));
}

static void checksum_of_null(void *context) {
    const size_t *length_bytes = context;
    checksum_64(NULL, *length_bytes, 0);
}

static void null_with_a_length_is_our_mistake(void **state) {
    (void)state;
    size_t length_bytes = 1;
    death_expect_abort(checksum_of_null, &length_bytes, "data != NULL || length_bytes == 0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_with_a_length_is_our_mistake),
        cmocka_unit_test(the_values_are_those_of_xxh3),
        cmocka_unit_test(every_bit_and_the_seed_matter),
        cmocka_unit_test(pieces_give_the_checksum_of_the_whole),
        cmocka_unit_test(no_pieces_and_empty_pieces_are_the_empty_checksum),
        cmocka_unit_test(more_may_follow_an_end),
        cmocka_unit_test(a_copied_state_goes_its_own_way),
        cmocka_unit_test(a_used_state_can_begin_again),
        cmocka_unit_test(a_keys_hash_is_the_checksum_of_its_bytes),
    };
    return cmocka_run_group_tests(tests, fill_data, NULL);
}
