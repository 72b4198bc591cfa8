/*
 * Running sums of lengths.
 *
 * Happy path: an entry is appended and its sum written behind the last one's; a message's entries
 * are bounded by two looks at the ring.
 *
 * Failure mode: what is asked for is older than the ring: then it is not known, and said so.
 */

#include "raft/window.h"

#include "base/assert.h"
#include "base/bytes.h"

static uint64_t sum_at(const struct window *window, uint64_t index) {
    return window->sums[index & (window->capacity - 1)];
}

void window_init(struct window *window, uint64_t *sums, uint64_t capacity, uint64_t last) {
    ASSERT(sums != NULL);
    ASSERT(capacity >= 2 && IS_POWER_OF_TWO(capacity));
    window->sums = sums;
    window->capacity = capacity;
    window_reset(window, last);
}

void window_reset(struct window *window, uint64_t last) {
    window->first_known = last;
    window->last = last;
    window->sums[last & (window->capacity - 1)] = 0;
}

void window_append(struct window *window, uint32_t length_bytes) {
    ASSERT_HOT(length_bytes > 0);
    uint64_t sum = sum_at(window, window->last) + length_bytes;
    window->last++;
    window->sums[window->last & (window->capacity - 1)] = sum;
    /* The new sum took the place of the oldest one, if that was in the ring. */
    window->first_known += window->last - window->first_known == window->capacity ? 1 : 0;
}

void window_truncate(struct window *window, uint64_t index) {
    ASSERT(index <= window->last);
    if (index < window->first_known) {
        window_reset(window, index);
    } else {
        window->last = index;
    }
}

bool window_bytes(const struct window *window, uint64_t after, uint64_t index, uint64_t *bytes) {
    ASSERT_HOT(after <= index);
    ASSERT_HOT(index <= window->last);
    if (after < window->first_known) {
        return false;
    }
    *bytes = sum_at(window, index) - sum_at(window, after);
    return true;
}

/* The largest number of entries behind `after` with at most bytes_max; count have more, or it is
 * 1.  Their sums ascend, so the place is found by halving. */
static uint32_t count_within(const struct window *window, uint64_t after, uint32_t count,
                             uint64_t bytes_max) {
    uint64_t limit = sum_at(window, after) + bytes_max;
    uint32_t fits = 0;
    uint32_t exceeds = count;
    while (exceeds - fits > 1) {
        uint32_t middle = fits + (exceeds - fits) / 2;
        if (sum_at(window, after + middle) <= limit) {
            fits = middle;
        } else {
            exceeds = middle;
        }
    }
    return fits > 0 ? fits : 1;
}

uint32_t window_fit(const struct window *window, uint64_t first, uint32_t count_max,
                    uint64_t bytes_max, uint64_t *bytes) {
    ASSERT_HOT(first >= 1 && first <= window->last + 1);
    ASSERT_HOT(count_max >= 1);
    uint64_t after = first - 1;
    uint64_t available = window->last - after;
    uint32_t count = available < count_max ? (uint32_t)available : count_max;
    if (count == 0) {
        *bytes = 0;
        return 0;
    }
    if (!window_bytes(window, after, after + count, bytes)) {
        *bytes = bytes_max;
        return count;
    }
    if (*bytes > bytes_max) {
        count = count_within(window, after, count, bytes_max);
        *bytes = sum_at(window, after + count) - sum_at(window, after);
    }
    return count;
}
