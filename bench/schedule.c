/*
 * Both directions split time into whole seconds and a rest below a second. A product then stays
 * below 1e9 * 1e9 and fits 64 bits, and no rounding adds up: the schedule does not drift.
 */
#include "bench/schedule.h"

#include "base/assert.h"

#define NS_PER_SECOND UINT64_C(1000000000)

_Static_assert(SCHEDULE_RATE_MAX_PER_SECOND *NS_PER_SECOND < UINT64_MAX / 2,
               "the product of a rest and a rate fits");

static void check(const struct schedule *schedule) {
    ASSERT_HOT(schedule->rate_per_second >= 1);
    ASSERT_HOT(schedule->rate_per_second <= SCHEDULE_RATE_MAX_PER_SECOND);
    ASSERT_HOT(schedule->first < schedule->stride);
}

uint64_t schedule_intended_ns(const struct schedule *schedule, uint64_t own_index) {
    check(schedule);
    uint64_t arrival = schedule->first + own_index * schedule->stride;
    uint64_t seconds = arrival / schedule->rate_per_second;
    uint64_t rest = arrival % schedule->rate_per_second;
    return schedule->start_ns + seconds * NS_PER_SECOND +
           rest * NS_PER_SECOND / schedule->rate_per_second;
}

uint64_t schedule_due_count(const struct schedule *schedule, uint64_t now_ns) {
    check(schedule);
    if (now_ns < schedule->start_ns)
        return 0;
    uint64_t elapsed_ns = now_ns - schedule->start_ns;
    /* Arrival g is due when g * 1e9 < (elapsed + 1) * rate: the inverse of the floor above. */
    uint64_t last =
        elapsed_ns / NS_PER_SECOND * schedule->rate_per_second +
        ((elapsed_ns % NS_PER_SECOND + 1) * schedule->rate_per_second - 1) / NS_PER_SECOND;
    return last < schedule->first ? 0 : (last - schedule->first) / schedule->stride + 1;
}
