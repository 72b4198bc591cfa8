/* The published sequences, exact bounds, and uniformity that a wrong generator would not have. */

#include "base/random.h"

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

static void the_sequence_is_that_of_xoshiro256_star_star(void **state) {
    (void)state;
    static const uint64_t expected[] = {
        11520,
        0,
        1509978240,
        1215971899390074240,
        1216172134540287360,
        607988272756665600,
        UINT64_C(16172922978634559625),
        8476171486693032832,
        UINT64_C(10595114339597558777),
        2904607092377533576,
    };
    struct random random = {.s = {1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_true(random_u64(&random) == expected[i]);
}

static void the_seed_is_spread_by_split_mix(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 0);
    assert_true(random.s[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(random.s[1] == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(random.s[2] == UINT64_C(0x06c45d188009454f));
    assert_true(random.s[3] == UINT64_C(0xf88bb8a8724c81ec));
}

static void a_seed_repeats_and_another_differs(void **state) {
    (void)state;
    struct random first, same, other;
    random_seed(&first, 12345);
    random_seed(&same, 12345);
    random_seed(&other, 12346);
    int equal_count = 0;
    for (int i = 0; i < 1000; i++) {
        const uint64_t value = random_u64(&first);
        assert_true(value == random_u64(&same));
        equal_count += value == random_u64(&other);
    }
    assert_int_equal(equal_count, 0);
}

static void below_reaches_every_value_evenly_and_nothing_else(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 7);
    int counts[10] = {0};
    for (int i = 0; i < 100000; i++) {
        const uint64_t value = random_below(&random, 10);
        assert_true(value < 10);
        counts[value]++;
    }
    for (int i = 0; i < 10; i++) /* sigma is 95: ten of it */
        assert_in_range(counts[i], 9050, 10950);
}

/*
 * 3 * 2^62 does not divide 2^64. Without rejection a modulus would give the lowest third of the
 * values twice as often, a multiplication each third value.
 */
static void below_is_even_where_the_limit_does_not_divide(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 8);
    const uint64_t third = UINT64_C(1) << 62;
    int range_counts[3] = {0};
    int residue_counts[3] = {0};
    for (int i = 0; i < 30000; i++) {
        const uint64_t value = random_below(&random, 3 * third);
        range_counts[value / third]++;
        residue_counts[value % 3]++;
    }
    for (int i = 0; i < 3; i++) { /* sigma is 82 */
        assert_in_range(range_counts[i], 9200, 10800);
        assert_in_range(residue_counts[i], 9200, 10800);
    }
}

static void below_one_is_zero(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 1);
    for (int i = 0; i < 100; i++)
        assert_true(random_below(&random, 1) == 0);
}

static void below_the_largest_limit_never_reaches_it(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 2);
    for (int i = 0; i < 1000; i++)
        assert_true(random_below(&random, UINT64_MAX) < UINT64_MAX);
}

static void chance_is_never_always_and_one_in_four(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 3);
    int hit_count = 0;
    for (int i = 0; i < 40000; i++) {
        assert_false(random_chance(&random, 0, 5));
        assert_true(random_chance(&random, 5, 5));
        hit_count += random_chance(&random, 1, 4);
    }
    assert_in_range(hit_count, 9130, 10870); /* sigma is 87 */
}

static void below_zero(void *context) {
    random_below(context, 0);
}

static void more_than_certain(void *context) {
    random_chance(context, 2, 1);
}

static void impossible_requests_are_our_mistake(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 4);
    death_expect_abort(below_zero, &random, "limit >= 1");
    death_expect_abort(more_than_certain, &random, "numerator <= denominator");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(impossible_requests_are_our_mistake),
        cmocka_unit_test(the_sequence_is_that_of_xoshiro256_star_star),
        cmocka_unit_test(the_seed_is_spread_by_split_mix),
        cmocka_unit_test(a_seed_repeats_and_another_differs),
        cmocka_unit_test(below_reaches_every_value_evenly_and_nothing_else),
        cmocka_unit_test(below_is_even_where_the_limit_does_not_divide),
        cmocka_unit_test(below_one_is_zero),
        cmocka_unit_test(below_the_largest_limit_never_reaches_it),
        cmocka_unit_test(chance_is_never_always_and_one_in_four),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
