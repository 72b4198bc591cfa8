#ifndef WEIR_STAGES_LATENESS_H
#define WEIR_STAGES_LATENESS_H

/*
 * How late something was that is due again and again, since the start of the process.
 *
 * Every occurrence is counted in a bucket of a power of two (queues/gauge.h: the first below 1 us,
 * the last from 18 minutes on), and the largest is kept as it is.  One writer; readers of any
 * thread get whole words of some recent moment, perhaps one occurrence apart.
 */

#include <stdint.h>

#include "queues/gauge.h"

/* All zero at the start.  Owner of the words: the one writer. */
struct lateness {
    uint64_t max_ns;
    uint64_t buckets[GAUGE_LATENCY_BUCKETS];
};

/* One more was `late_ns` late (0: in time).  The writer. */
void lateness_add(struct lateness *lateness, uint64_t late_ns);

/* How many were counted.  Any thread. */
uint64_t lateness_count(const struct lateness *lateness);

/*
 * What `per_mille` of them, in [1, 1000], did not exceed: the upper end of the bucket in which that
 * one is, so up to twice too much, but never more than the largest.  0 if there was none.  Any
 * thread.
 */
uint64_t lateness_bound_ns(const struct lateness *lateness, uint32_t per_mille);

#endif
