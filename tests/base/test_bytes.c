/* Bytes are little-endian at any alignment, and the arithmetic macros are right at their edges. */

#include "base/bytes.h"

#include "tests/cmocka_wrapper.h"

#include <string.h>

static void numbers_are_stored_least_byte_first(void **state) {
    (void)state;
    uint8_t bytes[8];
    bytes_put_u16(bytes, 0x0102);
    assert_memory_equal(bytes, ((uint8_t[]){2, 1}), 2);
    bytes_put_u32(bytes, 0x01020304);
    assert_memory_equal(bytes, ((uint8_t[]){4, 3, 2, 1}), 4);
    bytes_put_u64(bytes, UINT64_C(0x0102030405060708));
    assert_memory_equal(bytes, ((uint8_t[]){8, 7, 6, 5, 4, 3, 2, 1}), 8);
}

static void numbers_are_read_least_byte_first(void **state) {
    (void)state;
    const uint8_t bytes[8] = {0xf8, 0xf7, 0xf6, 0xf5, 0xf4, 0xf3, 0xf2, 0xf1};
    assert_int_equal(bytes_get_u16(bytes), 0xf7f8);
    assert_int_equal(bytes_get_u32(bytes), 0xf5f6f7f8);
    assert_true(bytes_get_u64(bytes) == UINT64_C(0xf1f2f3f4f5f6f7f8));
}

static void a_number_survives_at_every_alignment_and_touches_no_neighbour(void **state) {
    (void)state;
    for (size_t offset = 1; offset < 9; offset++) {
        uint8_t bytes[18];
        memset(bytes, 0xaa, sizeof(bytes));
        bytes_put_u16(bytes + offset, 0xfedc);
        assert_int_equal(bytes_get_u16(bytes + offset), 0xfedc);
        assert_int_equal(bytes[offset + 2], 0xaa);
        bytes_put_u32(bytes + offset, 0xfedcba98);
        assert_int_equal(bytes_get_u32(bytes + offset), 0xfedcba98);
        assert_int_equal(bytes[offset + 4], 0xaa);
        bytes_put_u64(bytes + offset, UINT64_C(0xfedcba9876543210));
        assert_true(bytes_get_u64(bytes + offset) == UINT64_C(0xfedcba9876543210));
        assert_int_equal(bytes[offset - 1], 0xaa);
        assert_int_equal(bytes[offset + 8], 0xaa);
    }
}

static void align_up_keeps_multiples_and_raises_the_rest(void **state) {
    (void)state;
    assert_int_equal(ALIGN_UP(0u, 8u), 0);
    assert_int_equal(ALIGN_UP(1u, 8u), 8);
    assert_int_equal(ALIGN_UP(8u, 8u), 8);
    assert_int_equal(ALIGN_UP(9u, 8u), 16);
    assert_int_equal(ALIGN_UP(7u, 1u), 7);
    assert_true(ALIGN_UP(UINT64_C(0x100000001), UINT64_C(4096)) == UINT64_C(0x100001000));
}

static void only_one_bit_is_a_power_of_two(void **state) {
    (void)state;
    assert_false(IS_POWER_OF_TWO(0u));
    assert_true(IS_POWER_OF_TWO(1u));
    assert_false(IS_POWER_OF_TWO(3u));
    assert_true(IS_POWER_OF_TWO(UINT64_C(1) << 63));
    assert_false(IS_POWER_OF_TWO((UINT64_C(1) << 63) + 1));
}

struct outer {
    int before;
    char member[3];
    int after;
};

static void a_member_leads_back_to_its_struct(void **state) {
    (void)state;
    struct outer outer;
    assert_ptr_equal(CONTAINER_OF(&outer.member, struct outer, member), &outer);
    assert_ptr_equal(CONTAINER_OF(&outer.after, struct outer, after), &outer);
    assert_int_equal(ARRAY_COUNT(outer.member), 3);
}

struct shared {
    char producer;
    CACHE_ALIGNED char consumer;
};

static void aligned_members_do_not_share_a_line(void **state) {
    (void)state;
    struct shared shared;
    assert_int_equal((uintptr_t)&shared % CACHE_LINE_BYTES, 0);
    assert_int_equal(&shared.consumer - &shared.producer, CACHE_LINE_BYTES);
    assert_int_equal(sizeof(shared), 2 * CACHE_LINE_BYTES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_stored_least_byte_first),
        cmocka_unit_test(numbers_are_read_least_byte_first),
        cmocka_unit_test(a_number_survives_at_every_alignment_and_touches_no_neighbour),
        cmocka_unit_test(align_up_keeps_multiples_and_raises_the_rest),
        cmocka_unit_test(only_one_bit_is_a_power_of_two),
        cmocka_unit_test(a_member_leads_back_to_its_struct),
        cmocka_unit_test(aligned_members_do_not_share_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
