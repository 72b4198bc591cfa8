/*
 * The packed form of small collections: what is malformed first, then every length of a length,
 * then random sequences against an array.
 */

#include "base/bytes.h"
#include "base/random.h"
#include "machines/kv_packed.h"
#include "tests/cmocka_wrapper.h"

enum { ELEMENTS_MAX = 40, ELEMENT_BYTES_MAX = 300, ROUNDS = 300 };

static void a_length_that_is_not_the_shortest_is_malformed(void **state) {
    (void)state;
    static const uint8_t forms[][KV_PACKED_LENGTH_BYTES_MAX] = {
        {0x80, 0x00},
        {0xff, 0x00},
        {0x80, 0x80, 0x00},
        {0x80, 0x80, 0x80, 0x80, 0x00},
        {0x80, 0x80, 0x80, 0x80, 0x10}, /* 2^32 */
        {0xff, 0xff, 0xff, 0xff, 0x7f},
        {0xff, 0xff, 0xff, 0xff, 0xff},
    };
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        uint32_t length_bytes;
        uint64_t count;
        assert_int_equal(kv_packed_get_length(forms[i], sizeof(forms[i]), &length_bytes),
                         KV_PACKED_MALFORMED);
        assert_false(kv_packed_check(forms[i], sizeof(forms[i]), &count));
    }
}

static void a_length_that_is_cut_off_is_not_there_yet(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0x80, 0x81, 0x82, 0x83, 0x01};
    uint32_t length_bytes = 0;
    for (uint32_t available = 0; available < sizeof(bytes); available++)
        assert_int_equal(kv_packed_get_length(bytes, available, &length_bytes), 0);
    assert_int_equal(kv_packed_get_length(bytes, sizeof(bytes), &length_bytes), 5);
    assert_int_equal(length_bytes, 1u << 7 | 2u << 14 | 3u << 21 | 1u << 28);
}

static void elements_that_end_behind_the_bytes_are_malformed(void **state) {
    (void)state;
    static const uint8_t bytes[] = {1, 'a', 3, 'b', 'c', 'd'};
    uint64_t count;
    for (uint32_t length = 0; length <= sizeof(bytes); length++) {
        const bool whole = length == 0 || length == 2 || length == 6;
        assert_int_equal(kv_packed_check(bytes, length, &count), whole);
    }
    assert_int_equal(count, 2);
    /* A length so long that adding it to an offset of 32 bits would come round. */
    static const uint8_t long_one[] = {1, 'a', 0xff, 0xff, 0xff, 0xff, 0x0f, 'b'};
    assert_false(kv_packed_check(long_one, sizeof(long_one), &count));
}

static void every_length_comes_back_in_its_shortest_form(void **state) {
    (void)state;
    static const uint32_t lengths[] = {0,         1,
                                       127,       128,
                                       129,       (1 << 14) - 1,
                                       1 << 14,   (1 << 21) - 1,
                                       1 << 21,   (1 << 28) - 1,
                                       1 << 28,   UINT32_MAX - 1,
                                       UINT32_MAX};
    static const uint32_t forms[] = {1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 5};
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        uint8_t bytes[KV_PACKED_LENGTH_BYTES_MAX];
        uint32_t length_bytes = ~lengths[i];
        assert_int_equal(kv_packed_put_length(bytes, lengths[i]), forms[i]);
        assert_int_equal(kv_packed_length_bytes(lengths[i]), forms[i]);
        assert_int_equal(kv_packed_element_bytes(lengths[i]), (uint64_t)lengths[i] + forms[i]);
        assert_int_equal(kv_packed_get_length(bytes, forms[i], &length_bytes), forms[i]);
        assert_int_equal(length_bytes, lengths[i]);
    }
}

/* A sequence, packed, and as it was made. */
struct sequence {
    uint8_t packed[ELEMENTS_MAX * (ELEMENT_BYTES_MAX + 2)];
    uint32_t length_bytes;
    uint32_t count;
    struct kv_bytes element[ELEMENTS_MAX];
    uint8_t bytes[ELEMENTS_MAX][ELEMENT_BYTES_MAX];
};

/* Few different bytes and often short, so that some elements are equal. */
static void sequence_make(struct sequence *sequence, struct random *random) {
    sequence->length_bytes = 0;
    sequence->count = (uint32_t)random_below(random, ELEMENTS_MAX + 1);
    for (uint32_t i = 0; i < sequence->count; i++) {
        const uint64_t limit = random_chance(random, 1, 3) ? ELEMENT_BYTES_MAX : 3;
        const uint32_t length_bytes = (uint32_t)random_below(random, limit);
        for (uint32_t j = 0; j < length_bytes; j++)
            sequence->bytes[i][j] = (uint8_t)('a' + random_below(random, 2));
        sequence->element[i] = (struct kv_bytes){sequence->bytes[i], length_bytes};
        sequence->length_bytes += kv_packed_put(sequence->packed + sequence->length_bytes,
                                                sequence->bytes[i], length_bytes);
    }
}

static void a_walk_meets_every_element_in_order(void **state) {
    (void)state;
    static struct sequence sequence;
    struct random random;
    random_seed(&random, 1);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        sequence_make(&sequence, &random);
        uint32_t offset = 0;
        struct kv_bytes element;
        for (uint32_t i = 0; i < sequence.count; i++) {
            assert_int_equal(kv_packed_seek(sequence.packed, sequence.length_bytes, i), offset);
            assert_true(kv_packed_next(sequence.packed, sequence.length_bytes, &offset, &element));
            assert_true(kv_bytes_equal(element, sequence.element[i]));
        }
        assert_false(kv_packed_next(sequence.packed, sequence.length_bytes, &offset, &element));
        assert_int_equal(offset, sequence.length_bytes);
        assert_int_equal(kv_packed_seek(sequence.packed, offset, sequence.count), offset);
        assert_int_equal(kv_packed_count(sequence.packed, offset), sequence.count);
        uint64_t count;
        assert_true(kv_packed_check(sequence.packed, offset, &count));
        assert_int_equal(count, sequence.count);
    }
}

static void what_is_found_is_the_first_at_its_stride(void **state) {
    (void)state;
    static struct sequence sequence;
    struct random random;
    random_seed(&random, 2);
    uint32_t found_count = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        sequence_make(&sequence, &random);
        for (uint32_t stride = 1; stride <= 2; stride++) {
            if (sequence.count % stride != 0)
                continue;
            const struct kv_bytes wanted = {(const uint8_t *)"ab",
                                            (uint32_t)random_below(&random, 3)};
            uint32_t expected = 0;
            while (expected < sequence.count && !kv_bytes_equal(sequence.element[expected], wanted))
                expected += stride;
            uint32_t offset;
            const bool found =
                kv_packed_find(sequence.packed, sequence.length_bytes, stride, wanted, &offset);
            assert_int_equal(found, expected < sequence.count);
            if (!found)
                continue;
            assert_int_equal(offset,
                             kv_packed_seek(sequence.packed, sequence.length_bytes, expected));
            found_count++;
        }
    }
    assert_true(found_count > ROUNDS / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_length_that_is_not_the_shortest_is_malformed),
        cmocka_unit_test(a_length_that_is_cut_off_is_not_there_yet),
        cmocka_unit_test(elements_that_end_behind_the_bytes_are_malformed),
        cmocka_unit_test(every_length_comes_back_in_its_shortest_form),
        cmocka_unit_test(a_walk_meets_every_element_in_order),
        cmocka_unit_test(what_is_found_is_the_first_at_its_stride),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
