#ifndef WEIR_BENCH_HISTOGRAM_H
#define WEIR_BENCH_HISTOGRAM_H

/*
 * A histogram of latencies with a bounded relative error, for millions of recordings a second.
 *
 * Log-linear buckets (the idea of Gil Tene's HdrHistogram): every power of two of the value's range
 * is divided into the same number of equal buckets, so a bucket is never wider than 1/128 of the
 * values in it. Values below 128 ns have a bucket each.
 *
 *     value (ns)     0..127   128..255   256..511   512..1023   ...   2^35..2^36-1
 *     bucket width        1          1          2           4   ...           2^28
 *
 * A quantile answers the highest value of its bucket (never more than the largest value recorded):
 * it is never lower than the exact quantile, and at most 1/128 (0.79 %) higher. The largest value
 * is kept exactly. Longer than HISTOGRAM_VALUE_MAX_NS counts in the last bucket.
 *
 * A histogram is owned by one thread. Nothing here blocks or allocates; the struct is 29 KiB.
 */

#include <stdint.h>

enum {
    HISTOGRAM_PRECISION_BITS = 7,
    HISTOGRAM_BUCKETS_PER_OCTAVE = 1 << HISTOGRAM_PRECISION_BITS,
    HISTOGRAM_VALUE_BITS = 36,
    /* One linear octave below 128, then one row of buckets for each bit above the precision. */
    HISTOGRAM_BUCKET_COUNT =
        (1 + HISTOGRAM_VALUE_BITS - HISTOGRAM_PRECISION_BITS) * HISTOGRAM_BUCKETS_PER_OCTAVE
};

/* 68.7 seconds. */
#define HISTOGRAM_VALUE_MAX_NS ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)

/* Quantiles are asked in parts of a million, so that p99.9 is exact. */
enum {
    HISTOGRAM_P50 = 500000,
    HISTOGRAM_P90 = 900000,
    HISTOGRAM_P99 = 990000,
    HISTOGRAM_P999 = 999000,
    HISTOGRAM_P100 = 1000000
};

struct histogram {
    uint64_t count; /* sum of all buckets */
    uint64_t sum_ns;
    uint64_t minimum_ns; /* UINT64_MAX while empty */
    uint64_t maximum_ns; /* 0 while empty; exact, also above HISTOGRAM_VALUE_MAX_NS */
    uint64_t buckets[HISTOGRAM_BUCKET_COUNT];
};

/* Empties the histogram; also how it is initialized. */
void histogram_reset(struct histogram *histogram);

/* Records `count` operations of `value_ns` nanoseconds each. A count of 0 changes nothing. */
void histogram_record(struct histogram *histogram, uint64_t value_ns, uint64_t count);

/* Adds everything recorded in `from` to `into`; `from` is unchanged. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/*
 * The smallest latency that at least `parts_per_million` of all recordings do not exceed, within
 * the error stated above. `parts_per_million` is 0..1000000; 0 asks for the first recording.
 * 0 when the histogram is empty.
 */
uint64_t histogram_quantile_ns(const struct histogram *histogram, uint32_t parts_per_million);

/* Arithmetic mean, exact but for the fraction of a nanosecond; 0 when the histogram is empty. */
uint64_t histogram_mean_ns(const struct histogram *histogram);

#endif
