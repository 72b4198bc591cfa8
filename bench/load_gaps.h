#ifndef WEIR_BENCH_LOAD_GAPS_H
#define WEIR_BENCH_LOAD_GAPS_H

/*
 * The longest times in which nobody was served, and how many operations were served in each
 * hundredth of a second.
 *
 * Served is an acknowledged write; in a load without writes, an answered read. A gap lies between
 * two neighbours in time, of whichever connections and threads. A worker records what it sees; the
 * main thread adds up. Nothing allocates.
 */

#include <stdint.h>

enum {
    LOAD_GAPS_MAX = 64,
    LOAD_GAPS_DRAWN_MAX = 4, /* the longest ones have a time line in the text */
    LOAD_TIMELINE_STEP_MS = 10,
    /* An hour; what is served later stands in no step. 1.4 MB a worker. */
    LOAD_TIMELINE_STEPS_MAX = 360000,
    /* A row of a time line has so many steps, if the gap is this long, or else one. */
    LOAD_TIMELINE_ROW_STEPS = 10,
    LOAD_TIMELINE_LONG_GAP_MS = 200,
    /* Shown before and behind a gap, and at most altogether. */
    LOAD_TIMELINE_MARGIN_ROWS = 5,
    LOAD_TIMELINE_SHOWN_MAX = 60,
};

/* One gap, in the time of CLOCK_MONOTONIC. */
struct load_gap {
    uint64_t begin_ns; /* the last one served before */
    uint64_t end_ns;   /* the first one served behind; or the end of the run */
};

/* The longest ones, in no order. Zeroed, there are none. */
struct load_gaps {
    uint32_t count;
    struct load_gap items[LOAD_GAPS_MAX];
};

/* Served operations by time. Zeroed, there are none. */
struct load_timeline {
    uint32_t steps[LOAD_TIMELINE_STEPS_MAX];
};

/* Notes a gap, if it is one of the longest. begin_ns <= end_ns. */
void load_gaps_note(struct load_gaps *gaps, uint64_t begin_ns, uint64_t end_ns);

/* Adds the gaps of another one. */
void load_gaps_merge(struct load_gaps *into, const struct load_gaps *from);

/* Leaves the longest one and those of at least `minimum_ns`, in the order of time. */
void load_gaps_finish(struct load_gaps *gaps, uint64_t minimum_ns);

/* Counts operations that were served so long after the beginning of the measured time. */
void load_timeline_add(struct load_timeline *timeline, uint64_t after_ns, uint64_t count);

/* Adds another one. */
void load_timeline_merge(struct load_timeline *into, const struct load_timeline *from);

/* Rows to show around a gap. */
struct load_timeline_rows {
    uint32_t row_ms; /* of each */
    uint32_t first;  /* number of the first one: it begins first * row_ms after the start */
    uint32_t count;
    uint32_t served[LOAD_TIMELINE_SHOWN_MAX];
};

/* The rows around a gap of a run that was measured in [from_ns, from_ns + elapsed_ns). */
struct load_timeline_rows load_timeline_around(const struct load_timeline *timeline,
                                               const struct load_gap *gap, uint64_t from_ns,
                                               uint64_t elapsed_ns);

#endif
