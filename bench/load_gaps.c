/* Few gaps, so they are kept unsorted and the shortest gives way. Nothing can fail. */
#include "bench/load_gaps.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"

#define STEP_NS (LOAD_TIMELINE_STEP_MS * CLOCK_NS_PER_MS)

static uint64_t length_ns(const struct load_gap *gap) {
    ASSERT(gap->begin_ns <= gap->end_ns);
    return gap->end_ns - gap->begin_ns;
}

void load_gaps_note(struct load_gaps *gaps, uint64_t begin_ns, uint64_t end_ns) {
    const struct load_gap gap = {begin_ns, end_ns};
    struct load_gap *place = &gaps->items[gaps->count];
    if (gaps->count < LOAD_GAPS_MAX) {
        gaps->count++;
    } else {
        place = gaps->items;
        for (uint32_t i = 1; i < LOAD_GAPS_MAX; i++)
            if (length_ns(&gaps->items[i]) < length_ns(place))
                place = &gaps->items[i];
        if (length_ns(&gap) <= length_ns(place))
            return;
    }
    *place = gap;
}

void load_gaps_merge(struct load_gaps *into, const struct load_gaps *from) {
    ASSERT(into != from);
    for (uint32_t i = 0; i < from->count; i++)
        load_gaps_note(into, from->items[i].begin_ns, from->items[i].end_ns);
}

static int begin_compare(const void *a, const void *b) {
    const struct load_gap *x = a;
    const struct load_gap *y = b;
    return x->begin_ns < y->begin_ns ? -1 : x->begin_ns > y->begin_ns;
}

void load_gaps_finish(struct load_gaps *gaps, uint64_t minimum_ns) {
    uint64_t longest_ns = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < gaps->count; i++)
        if (length_ns(&gaps->items[i]) > longest_ns)
            longest_ns = length_ns(&gaps->items[i]);
    if (longest_ns < minimum_ns)
        minimum_ns = longest_ns;
    for (uint32_t i = 0; i < gaps->count; i++)
        if (length_ns(&gaps->items[i]) >= minimum_ns)
            gaps->items[kept++] = gaps->items[i];
    gaps->count = kept;
    qsort(gaps->items, gaps->count, sizeof *gaps->items, begin_compare);
}

void load_timeline_add(struct load_timeline *timeline, uint64_t after_ns, uint64_t count) {
    const uint64_t step = after_ns / STEP_NS;
    if (step < LOAD_TIMELINE_STEPS_MAX)
        timeline->steps[step] += (uint32_t)count;
}

void load_timeline_merge(struct load_timeline *into, const struct load_timeline *from) {
    ASSERT(into != from);
    for (uint32_t i = 0; i < LOAD_TIMELINE_STEPS_MAX; i++)
        into->steps[i] += from->steps[i];
}

struct load_timeline_rows load_timeline_around(const struct load_timeline *timeline,
                                               const struct load_gap *gap, uint64_t from_ns,
                                               uint64_t elapsed_ns) {
    const bool is_long = length_ns(gap) >= LOAD_TIMELINE_LONG_GAP_MS * CLOCK_NS_PER_MS;
    const uint64_t steps = is_long ? LOAD_TIMELINE_ROW_STEPS : 1;
    const uint64_t row_ns = steps * STEP_NS;
    uint64_t first = gap->begin_ns > from_ns ? (gap->begin_ns - from_ns) / row_ns : 0;
    uint64_t end = gap->end_ns > from_ns ? (gap->end_ns - from_ns) / row_ns : 0;
    const uint64_t run_rows = (elapsed_ns + row_ns - 1) / row_ns;
    first = first > LOAD_TIMELINE_MARGIN_ROWS ? first - LOAD_TIMELINE_MARGIN_ROWS : 0;
    end += 1 + LOAD_TIMELINE_MARGIN_ROWS;
    if (end > run_rows)
        end = run_rows;
    if (end > LOAD_TIMELINE_STEPS_MAX / steps)
        end = LOAD_TIMELINE_STEPS_MAX / steps;
    if (end > first + LOAD_TIMELINE_SHOWN_MAX)
        end = first + LOAD_TIMELINE_SHOWN_MAX;
    struct load_timeline_rows rows = {.row_ms = (uint32_t)steps * LOAD_TIMELINE_STEP_MS,
                                      .first = (uint32_t)first};
    for (uint64_t row = first; row < end; row++, rows.count++)
        for (uint64_t step = row * steps; step < (row + 1) * steps; step++)
            rows.served[rows.count] += timeline->steps[step];
    ASSERT(rows.count <= LOAD_TIMELINE_SHOWN_MAX);
    return rows;
}
