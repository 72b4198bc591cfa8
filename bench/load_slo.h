#ifndef WEIR_BENCH_LOAD_SLO_H
#define WEIR_BENCH_LOAD_SLO_H

/*
 * The knee of a server: the highest rate that it holds with a percentile of its latencies within a
 * bound (a service level objective, SLO).
 *
 * A rate is held if no request failed, at least LOAD_SLO_ANSWERED_PERCENT in 100 of what was due
 * were answered in time to be counted, and the percentile is at most the bound. bench/knee has the
 * same definitions, in Python and for other servers too.
 *
 * The search doubles the rate for as long as it is held, then tries the middle between the highest
 * one that was held and the lowest one above it that was not, until these are less than a sixteenth
 * of the lower one apart. A rate that fails is tried once more: one hiccup of the machine is not
 * the server's knee.
 *
 *     phase      this rate was held          it failed once   it failed twice
 *     DOUBLING   DOUBLING, at twice of it;   the same again   HALVING; OVER if it was the first
 *                OVER beyond the last rate
 *     HALVING    HALVING, above it           the same again   HALVING, below it
 *                (both: OVER when the gap is small enough)
 *     OVER       not told any more
 *
 * Whatever the server does, then, the knee is a rate that was held, and the search ends: a server
 * that holds a rate, not a lower one, and again a higher one, gets one of its knees.
 *
 * Pure: told results, says the next rate. No clock, no allocation; owned by one thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first rate and the last one, a second: what bench/knee takes. */
#define LOAD_SLO_RATE_FIRST UINT64_C(1000)
#define LOAD_SLO_RATE_LAST  UINT64_C(8000000)

enum {
    LOAD_SLO_ANSWERED_PERCENT = 98,
    LOAD_SLO_GAP_PARTS = 16,   /* the search ends below this part of the knee */
    LOAD_SLO_HALF_TIMES = 5,   /* the measurement at half of the knee is so much longer */
    LOAD_SLO_ATTEMPTS_MAX = 2, /* at a rate */
    /* 1,000 times 2^0 to 2^12; 2^13 is beyond the last rate. */
    LOAD_SLO_DOUBLINGS_MAX = 13,
    /* The gap begins as wide as the lower rate; 2^-4 is small enough; one more for rounding. */
    LOAD_SLO_HALVINGS_MAX = 5,
    LOAD_SLO_TRIED_MAX = LOAD_SLO_ATTEMPTS_MAX * (LOAD_SLO_DOUBLINGS_MAX + LOAD_SLO_HALVINGS_MAX),
    LOAD_SLO_ERROR_BYTES = 96
};

/* What is judged, and the bound. */
struct load_slo_goal {
    const char *percentile;     /* "p50", "p90", "p99" or "p99.9"; static; NULL: no search */
    uint32_t parts_per_million; /* the same, for bench/histogram.h */
    uint64_t bound_ns;          /* at least 1 */
};

/* What was measured at a rate. */
struct load_slo_measured {
    uint64_t done_per_second; /* answered without an error, up to the end of the measurement */
    uint64_t errors;
    uint64_t p50_ns;
    uint64_t p99_ns;
    uint64_t judged_ns;               /* the goal's percentile */
    double client_busy;               /* of the client's cores, 0..1 */
    char error[LOAD_SLO_ERROR_BYTES]; /* the first one; "" without errors */
};

/* The first of these that holds is the reason. */
enum load_slo_verdict {
    LOAD_SLO_HELD,
    LOAD_SLO_ERRORS,     /* requests failed */
    LOAD_SLO_UNANSWERED, /* fewer than LOAD_SLO_ANSWERED_PERCENT in 100 were answered */
    LOAD_SLO_LATE        /* the percentile is above the bound */
};

/* One try. */
struct load_slo_tried {
    uint64_t rate_per_second;
    struct load_slo_measured measured;
    enum load_slo_verdict verdict;
};

/* The table above says what leads from one to another. */
enum load_slo_phase { LOAD_SLO_DOUBLING, LOAD_SLO_HALVING, LOAD_SLO_OVER };

/* A search. Read by others through the functions below, but for what was tried. */
struct load_slo {
    struct load_slo_goal goal;
    enum load_slo_phase phase;
    uint64_t rate;     /* to be tried now; meaningless when OVER */
    uint32_t attempts; /* at this rate, that failed */
    uint64_t low;      /* the highest rate that was held, below `high`; 0: none */
    uint64_t high;     /* the lowest rate that failed, above `low`; 0: none */
    uint32_t tried_count;
    struct load_slo_tried tried[LOAD_SLO_TRIED_MAX]; /* in the order of time */
};

/*
 * Reads "p99=" of a text like p99=2ms: fills the goal's percentile and returns what is behind the
 * equals sign, a part of `text`. NULL, and `goal` as it was, if no known percentile stands before
 * an equals sign.
 */
const char *load_slo_parse_percentile(const char *text, struct load_slo_goal *goal);

/* Begins a search; `goal` is complete and copied. */
void load_slo_begin(struct load_slo *slo, const struct load_slo_goal *goal);

/* The rate to be tried now, requests a second; 0 when the search is over. */
uint64_t load_slo_rate(const struct load_slo *slo);

/* Whether `measured` at `rate` is held, or why not. */
enum load_slo_verdict load_slo_judge(const struct load_slo_goal *goal, uint64_t rate,
                                     const struct load_slo_measured *measured);

/* Tells what was measured at load_slo_rate(slo), which is not 0. */
void load_slo_tell(struct load_slo *slo, const struct load_slo_measured *measured);

/*
 * The highest rate that was held so far below all that failed twice: the knee when the search is
 * over; 0: none was held.
 */
uint64_t load_slo_knee(const struct load_slo *slo);

/* Whether no rate failed, up to the last one that is tried: the true knee may be higher. */
bool load_slo_is_open_above(const struct load_slo *slo);

#endif
