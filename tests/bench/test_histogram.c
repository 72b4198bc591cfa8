/* The histogram against the exact quantiles of the sorted values. */
#include <stdlib.h>

#include "base/random.h"
#include "bench/histogram.h"

#include "tests/cmocka_wrapper.h"

static struct histogram histogram;

static int compare_u64(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static uint64_t exact_quantile(const uint64_t *sorted, uint64_t count, uint64_t parts_per_million) {
    uint64_t rank = (count * parts_per_million + 999999) / 1000000;
    return sorted[rank == 0 ? 0 : rank - 1];
}

static void assert_within_one_percent_above(uint64_t answer, uint64_t exact) {
    assert_true(answer >= exact);
    assert_true(answer - exact <= exact / 100);
}

static void an_empty_histogram_answers_zero(void **state) {
    (void)state;
    histogram_reset(&histogram);
    assert_int_equal(histogram_quantile_ns(&histogram, HISTOGRAM_P50), 0);
    assert_int_equal(histogram_mean_ns(&histogram), 0);
    histogram_record(&histogram, 5, 0);
    assert_int_equal(histogram.count, 0);
    assert_int_equal(histogram.maximum_ns, 0);
}

static void values_below_two_octaves_are_exact(void **state) {
    (void)state;
    for (uint64_t value = 0; value < 2 * HISTOGRAM_BUCKETS_PER_OCTAVE; value++) {
        histogram_reset(&histogram);
        histogram_record(&histogram, value, 3);
        histogram_record(&histogram, 100000, 1);
        assert_int_equal(histogram_quantile_ns(&histogram, HISTOGRAM_P50), value);
    }
}

/* Around every power of two a value answers at least itself and at most one percent more. */
static void the_edges_of_every_octave_keep_the_error_bound(void **state) {
    (void)state;
    for (int bit = 1; bit < HISTOGRAM_VALUE_BITS; bit++) {
        for (int64_t offset = -2; offset <= 2; offset++) {
            uint64_t value = (uint64_t)((INT64_C(1) << bit) + offset);
            if (value > HISTOGRAM_VALUE_MAX_NS)
                continue;
            histogram_reset(&histogram);
            histogram_record(&histogram, value, 2);
            histogram_record(&histogram, HISTOGRAM_VALUE_MAX_NS, 1);
            assert_within_one_percent_above(histogram_quantile_ns(&histogram, HISTOGRAM_P50),
                                            value);
        }
    }
}

static void random_latencies_have_the_exact_quantiles_within_one_percent(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    static const uint32_t PARTS[] = {0, 1, 500000, 900000, 990000, 999000, 999999, 1000000};
    uint64_t *values = malloc(COUNT * sizeof *values);
    assert_non_null(values);
    struct random random;
    random_seed(&random, 7);
    for (int round = 0; round < 5; round++) {
        histogram_reset(&histogram);
        uint64_t sum = 0;
        for (int i = 0; i < COUNT; i++) {
            /* Uniform in the exponent: 1 microsecond to 60 seconds. */
            uint64_t span = UINT64_C(1000) << random_below(&random, 26);
            values[i] = 1000 + random_below(&random, span);
            sum += values[i];
            histogram_record(&histogram, values[i], 1);
        }
        qsort(values, COUNT, sizeof *values, compare_u64);
        for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++)
            assert_within_one_percent_above(histogram_quantile_ns(&histogram, PARTS[i]),
                                            exact_quantile(values, COUNT, PARTS[i]));
        assert_int_equal(histogram_quantile_ns(&histogram, HISTOGRAM_P100), values[COUNT - 1]);
        assert_int_equal(histogram.minimum_ns, values[0]);
        assert_int_equal(histogram_mean_ns(&histogram), sum / COUNT);
    }
    free(values);
}

static void too_long_a_latency_counts_and_its_maximum_is_exact(void **state) {
    (void)state;
    histogram_reset(&histogram);
    histogram_record(&histogram, 1000, 1);
    histogram_record(&histogram, UINT64_C(600) * 1000000000, 1);
    assert_int_equal(histogram.count, 2);
    assert_int_equal(histogram_quantile_ns(&histogram, HISTOGRAM_P99), UINT64_C(600) * 1000000000);
    assert_int_equal(histogram_quantile_ns(&histogram, HISTOGRAM_P50), 1003);
}

static void merging_is_the_same_as_recording_into_one(void **state) {
    (void)state;
    static struct histogram parts[2];
    struct random random;
    random_seed(&random, 11);
    histogram_reset(&histogram);
    histogram_reset(&parts[0]);
    histogram_reset(&parts[1]);
    for (int i = 0; i < 10000; i++) {
        uint64_t value = random_below(&random, 1 << 30);
        histogram_record(&histogram, value, 2);
        histogram_record(&parts[i % 2], value, 2);
    }
    histogram_merge(&parts[0], &parts[1]);
    assert_memory_equal(&parts[0], &histogram, sizeof histogram);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_histogram_answers_zero),
        cmocka_unit_test(values_below_two_octaves_are_exact),
        cmocka_unit_test(the_edges_of_every_octave_keep_the_error_bound),
        cmocka_unit_test(random_latencies_have_the_exact_quantiles_within_one_percent),
        cmocka_unit_test(too_long_a_latency_counts_and_its_maximum_is_exact),
        cmocka_unit_test(merging_is_the_same_as_recording_into_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
