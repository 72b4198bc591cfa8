/*
 * A value finds its bucket with one count of leading zeros and one shift.
 *
 * Below 2^7 the value is the index. Above, let `shift` be the number of bits that do not fit into
 * the precision: value >> shift lies in 128..255, and the row of its octave starts at
 * (shift + 1) * 128. What can go wrong is only a value that is too large: it is counted in the last
 * bucket, and the exact maximum tells of it.
 */
#include "bench/histogram.h"

#include <string.h>

#include "base/assert.h"

_Static_assert(HISTOGRAM_VALUE_BITS > HISTOGRAM_PRECISION_BITS, "at least one logarithmic row");
_Static_assert(HISTOGRAM_VALUE_MAX_NS >= UINT64_C(60) * 1000 * 1000 * 1000,
               "a minute must be measurable");
_Static_assert(HISTOGRAM_BUCKETS_PER_OCTAVE >= 100, "at most one percent of error");

static uint32_t bucket_index(uint64_t value_ns) {
    if (value_ns < HISTOGRAM_BUCKETS_PER_OCTAVE)
        return (uint32_t)value_ns;
    if (value_ns > HISTOGRAM_VALUE_MAX_NS)
        return HISTOGRAM_BUCKET_COUNT - 1;
    uint32_t highest_bit = 63u - (uint32_t)__builtin_clzll(value_ns);
    uint32_t shift = highest_bit - HISTOGRAM_PRECISION_BITS;
    /* The leading one of value >> shift is worth one row, hence shift and not shift + 1 rows. */
    uint32_t index = shift * HISTOGRAM_BUCKETS_PER_OCTAVE + (uint32_t)(value_ns >> shift);
    ASSERT_HOT(index < HISTOGRAM_BUCKET_COUNT);
    return index;
}

static uint64_t bucket_highest_value_ns(uint32_t index) {
    ASSERT(index < HISTOGRAM_BUCKET_COUNT);
    if (index < 2 * HISTOGRAM_BUCKETS_PER_OCTAVE)
        return index;
    uint32_t shift = index / HISTOGRAM_BUCKETS_PER_OCTAVE - 1;
    uint64_t step = index - shift * HISTOGRAM_BUCKETS_PER_OCTAVE;
    return ((step + 1) << shift) - 1;
}

void histogram_reset(struct histogram *histogram) {
    memset(histogram, 0, sizeof *histogram);
    histogram->minimum_ns = UINT64_MAX;
}

void histogram_record(struct histogram *histogram, uint64_t value_ns, uint64_t count) {
    if (count == 0)
        return;
    histogram->buckets[bucket_index(value_ns)] += count;
    histogram->count += count;
    histogram->sum_ns += value_ns * count;
    if (value_ns < histogram->minimum_ns)
        histogram->minimum_ns = value_ns;
    if (value_ns > histogram->maximum_ns)
        histogram->maximum_ns = value_ns;
}

void histogram_merge(struct histogram *into, const struct histogram *from) {
    ASSERT(into != from);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
        into->buckets[i] += from->buckets[i];
    into->count += from->count;
    into->sum_ns += from->sum_ns;
    if (from->minimum_ns < into->minimum_ns)
        into->minimum_ns = from->minimum_ns;
    if (from->maximum_ns > into->maximum_ns)
        into->maximum_ns = from->maximum_ns;
}

/* The 1-based rank of the recording that answers the quantile: ceil(count * parts / million). */
static uint64_t quantile_rank(uint64_t count, uint32_t parts_per_million) {
    uint64_t whole = count / HISTOGRAM_P100 * parts_per_million;
    uint64_t rest =
        (count % HISTOGRAM_P100 * parts_per_million + HISTOGRAM_P100 - 1) / HISTOGRAM_P100;
    uint64_t rank = whole + rest;
    return rank == 0 ? 1 : rank;
}

uint64_t histogram_quantile_ns(const struct histogram *histogram, uint32_t parts_per_million) {
    ASSERT(parts_per_million <= HISTOGRAM_P100);
    if (histogram->count == 0)
        return 0;
    uint64_t rank = quantile_rank(histogram->count, parts_per_million);
    ASSERT(rank <= histogram->count);
    uint64_t passed = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKET_COUNT - 1; i++) {
        passed += histogram->buckets[i];
        if (passed < rank)
            continue;
        uint64_t highest_ns = bucket_highest_value_ns(i);
        return highest_ns < histogram->maximum_ns ? highest_ns : histogram->maximum_ns;
    }
    return histogram->maximum_ns; /* the last bucket has no upper end */
}

uint64_t histogram_mean_ns(const struct histogram *histogram) {
    return histogram->count == 0 ? 0 : histogram->sum_ns / histogram->count;
}
