/* The body of a configuration entry: its exact bytes, and everything that is not one. */

#include "entry/configuration.h"

#include "base/bytes.h"
#include "base/error.h"

#include "tests/cmocka_wrapper.h"

#include <stdlib.h>
#include <string.h>

static const struct configuration three = {
    .member_count = 3,
    .members = {{.node_id = 1, .incarnation = 0, .roles = CONFIGURATION_VOTER},
                {.node_id = 2,
                 .incarnation = 0x1122334455667788,
                 .roles = CONFIGURATION_VOTER | CONFIGURATION_OUTGOING},
                {.node_id = 0x0300000000000000, .incarnation = 9, .roles = CONFIGURATION_LEARNER}},
};

static void its_bytes_are_the_documented_ones(void **state) {
    (void)state;
    static const uint8_t expected[CONFIGURATION_HEADER_BYTES + 3 * CONFIGURATION_MEMBER_BYTES] = {
        1,    0,    3,    0,    0,    0,    0,    0,    /* version 1, 3 members */
        1,    0,    0,    0,    0,    0,    0,    0,    /* id 1 */
        0,    0,    0,    0,    0,    0,    0,    0,    /* incarnation not yet known */
        1,    0,    0,    0,    0,    0,    0,    0,    /* voter */
        0,    0,    0,    0,    0,    0,    0,    0,    /* */
        2,    0,    0,    0,    0,    0,    0,    0,    /* id 2 */
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, /* incarnation */
        3,    0,    0,    0,    0,    0,    0,    0,    /* voter, and outgoing */
        0,    0,    0,    0,    0,    0,    0,    0,    /* */
        0,    0,    0,    0,    0,    0,    0,    3,    /* id 0x03.. */
        9,    0,    0,    0,    0,    0,    0,    0,    /* incarnation 9 */
        4,    0,    0,    0,    0,    0,    0,    0,    /* learner */
        0,    0,    0,    0,    0,    0,    0,    0,
    };
    uint8_t bytes[CONFIGURATION_BYTES_MAX];
    struct configuration back;
    assert_int_equal(configuration_bytes(&three), sizeof(expected));
    assert_int_equal(configuration_write(bytes, &three), sizeof(expected));
    assert_memory_equal(bytes, expected, sizeof(expected));
    assert_int_equal(configuration_read(bytes, sizeof(expected), &back), 0);
    assert_int_equal(back.member_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(back.members[i].node_id == three.members[i].node_id);
        assert_true(back.members[i].incarnation == three.members[i].incarnation);
        assert_int_equal(back.members[i].roles, three.members[i].roles);
    }
}

static void flags_are_kept(void **state) {
    (void)state;
    struct configuration with_leases = three;
    with_leases.flags = CONFIGURATION_LEASES;
    uint8_t bytes[CONFIGURATION_BYTES_MAX];
    struct configuration back;
    const uint32_t length = configuration_write(bytes, &with_leases);
    assert_int_equal(bytes_get_u32(bytes + 4), 1);
    assert_int_equal(configuration_read(bytes, length, &back), 0);
    assert_int_equal(back.flags, CONFIGURATION_LEASES);
    assert_int_equal(back.lease_ms, 0); /* as what was written before they had a length */
    bytes_put_u32(bytes + 4, 0);
    assert_int_equal(configuration_read(bytes, length, &back), 0);
    assert_int_equal(back.flags, 0);
}

static void the_length_of_a_lease_is_kept(void **state) {
    (void)state;
    struct configuration with_leases = three;
    with_leases.flags = CONFIGURATION_LEASES;
    with_leases.lease_ms = 60000;
    uint8_t bytes[CONFIGURATION_BYTES_MAX];
    struct configuration back;
    const uint32_t length = configuration_write(bytes, &with_leases);
    assert_true(bytes_get_u32(bytes + 4) == (UINT32_C(60000) << 16 | 1));
    assert_int_equal(configuration_read(bytes, length, &back), 0);
    assert_int_equal(back.flags, CONFIGURATION_LEASES);
    assert_int_equal(back.lease_ms, 60000);
    bytes_put_u16(bytes + 4, 0);
    assert_int_equal(configuration_read(bytes, length, &back), WEIR_EINVAL);
}

static void what_is_not_valid_is_told_before_it_is_written(void **state) {
    (void)state;
    assert_true(configuration_valid(&three));
    struct configuration wrong = three;
    wrong.flags = 2;
    assert_false(configuration_valid(&wrong));
    wrong = three;
    wrong.lease_ms = 1;
    assert_false(configuration_valid(&wrong));
    wrong = three;
    wrong.members[1].node_id = 1;
    assert_false(configuration_valid(&wrong));
    wrong = three;
    wrong.member_count = CONFIGURATION_MEMBERS_MAX + 1;
    assert_false(configuration_valid(&wrong));
    wrong.member_count = 0;
    assert_false(configuration_valid(&wrong));
}

static void a_member_is_found_by_its_id(void **state) {
    (void)state;
    assert_ptr_equal(configuration_find(&three, 2), &three.members[1]);
    assert_null(configuration_find(&three, 3));
    assert_null(configuration_find(&three, 0));
}

/* Each line makes one byte of the valid body wrong. */
static void what_is_not_a_configuration_is_refused(void **state) {
    (void)state;
    static const struct {
        uint32_t offset;
        uint8_t value;
    } wrongs[] = {
        {0, 2},           /* version */
        {1, 1},           /* version */
        {2, 2},           /* count does not fit the length */
        {2, 4},           /* likewise */
        {3, 1},           /* count above the maximum */
        {4, 2},           /* unknown flag */
        {4, 3},           /* unknown flag beside a known one */
        {7, 1},           /* unknown flag */
        {8, 0},           /* id 0 */
        {8, 2},           /* ids not ascending: 2, 2 */
        {8, 3},           /* ids not ascending: 3, 2 */
        {8 + 16, 0},      /* no role */
        {8 + 16, 8},      /* unknown role */
        {8 + 16, 5},      /* voter and learner */
        {8 + 17, 1},      /* reserved */
        {8 + 31, 1},      /* reserved */
        {8 + 64 + 17, 1}, /* reserved, last member */
    };
    uint8_t bytes[CONFIGURATION_BYTES_MAX];
    const uint32_t length = configuration_write(bytes, &three);
    for (size_t i = 0; i < ARRAY_COUNT(wrongs); i++) {
        struct configuration untouched = {.member_count = 77};
        const uint8_t saved = bytes[wrongs[i].offset];
        bytes[wrongs[i].offset] = wrongs[i].value;
        assert_int_equal(configuration_read(bytes, length, &untouched), WEIR_EINVAL);
        assert_int_equal(untouched.member_count, 77);
        bytes[wrongs[i].offset] = saved;
    }
    struct configuration out;
    for (uint32_t shorter = 0; shorter < length; shorter++) {
        uint8_t *exact = malloc(shorter + 1); /* the sanitizer sees one byte too far */
        memcpy(exact, bytes, shorter);
        assert_int_equal(configuration_read(exact, shorter, &out), WEIR_EINVAL);
        free(exact);
    }
    assert_int_equal(configuration_read(bytes, length + 8, &out), WEIR_EINVAL);
}

static void a_configuration_without_a_voter_is_refused(void **state) {
    (void)state;
    struct configuration one = {
        .member_count = 1,
        .members = {{.node_id = 1, .incarnation = 0, .roles = CONFIGURATION_VOTER}}};
    uint8_t bytes[CONFIGURATION_BYTES_MAX];
    const uint32_t length = configuration_write(bytes, &one);
    bytes[8 + 16] = CONFIGURATION_LEARNER;
    assert_int_equal(configuration_read(bytes, length, &one), WEIR_EINVAL);
    bytes[8 + 16] = CONFIGURATION_OUTGOING;
    assert_int_equal(configuration_read(bytes, length, &one), WEIR_EINVAL);
    bytes[2] = 0;
    assert_int_equal(configuration_read(bytes, CONFIGURATION_HEADER_BYTES, &one), WEIR_EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_a_configuration_is_refused),
        cmocka_unit_test(a_configuration_without_a_voter_is_refused),
        cmocka_unit_test(what_is_not_valid_is_told_before_it_is_written),
        cmocka_unit_test(flags_are_kept),
        cmocka_unit_test(the_length_of_a_lease_is_kept),
        cmocka_unit_test(its_bytes_are_the_documented_ones),
        cmocka_unit_test(a_member_is_found_by_its_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
