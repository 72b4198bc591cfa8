#ifndef WEIR_BENCH_SCHEDULE_H
#define WEIR_BENCH_SCHEDULE_H

/*
 * The arrivals of an open-loop load: arrival number g of the whole run is meant to be sent at
 *
 *     start_ns + floor(g * 1e9 / rate_per_second)
 *
 * whatever the server does. Latency counts from that moment, so a server that stalls is charged for
 * every request that would have arrived in the meantime: no coordinated omission.
 *
 * Several threads share one schedule: thread t of n owns the arrivals t, t + n, t + 2n, ... An own
 * arrival is named by its place in that sequence, counted from 0. All arithmetic is in whole
 * numbers and exact for runs of centuries; pure, no clock.
 */

#include <stdint.h>

/* One arrival a nanosecond; more cannot be told apart by the clock. */
#define SCHEDULE_RATE_MAX_PER_SECOND UINT64_C(1000000000)

struct schedule {
    uint64_t start_ns;        /* when arrival 0 of the whole run is due */
    uint64_t rate_per_second; /* of the whole run, 1..SCHEDULE_RATE_MAX_PER_SECOND */
    uint64_t first;           /* the thread's number, below stride */
    uint64_t stride;          /* the number of threads, at least 1 */
};

/* The intended send time of the thread's arrival `own_index`, on the clock of start_ns. */
uint64_t schedule_intended_ns(const struct schedule *schedule, uint64_t own_index);

/* How many of the thread's own arrivals are due at `now_ns`; one that is due at now_ns counts. */
uint64_t schedule_due_count(const struct schedule *schedule, uint64_t now_ns);

#endif
