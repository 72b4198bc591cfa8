/*
 * See stages/lateness.h.
 *
 * Happy path: an occurrence adds one to its bucket.
 *
 * Failure modes: none.  A reader may see a bucket before or after another one's latest occurrence;
 * whatever it sees, the bucket it looks for is there, since it counts by what it has read.
 */

#include "stages/lateness.h"

#include <stdbool.h>

#include "base/assert.h"

void lateness_add(struct lateness *lateness, uint64_t late_ns) {
    gauge_add(&lateness->buckets[gauge_latency_bucket(late_ns)], 1);
    gauge_max(&lateness->max_ns, late_ns);
    ASSERT_HOT(gauge_read(&lateness->max_ns) >= late_ns);
}

uint64_t lateness_count(const struct lateness *lateness) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < GAUGE_LATENCY_BUCKETS; i++) {
        count += gauge_read(&lateness->buckets[i]);
    }
    return count;
}

uint64_t lateness_bound_ns(const struct lateness *lateness, uint32_t per_mille) {
    ASSERT(per_mille >= 1 && per_mille <= 1000);
    uint64_t counts[GAUGE_LATENCY_BUCKETS];
    uint64_t total = 0;
    for (uint32_t i = 0; i < GAUGE_LATENCY_BUCKETS; i++) {
        counts[i] = gauge_read(&lateness->buckets[i]);
        total += counts[i];
    }
    uint64_t max_ns = gauge_read(&lateness->max_ns);
    uint64_t wanted = total - total * (1000 - per_mille) / 1000;
    uint64_t below = 0;
    for (uint32_t i = 0; total > 0 && i < GAUGE_LATENCY_BUCKETS; i++) {
        below += counts[i];
        if (below >= wanted) {
            uint64_t end_ns = UINT64_C(1) << (GAUGE_LATENCY_SHIFT + i);
            bool open_end = i + 1 == GAUGE_LATENCY_BUCKETS;
            return end_ns < max_ns && !open_end ? end_ns : max_ns;
        }
    }
    ASSERT(total == 0);
    return 0;
}
