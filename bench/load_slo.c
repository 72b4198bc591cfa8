/*
 * Happy path: held, held, ... failed twice, and the gap is halved until it is small. What fails at
 * the first rate ends the search without a knee; what holds the last one ends it with that rate.
 */
#include "bench/load_slo.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "bench/histogram.h"

_Static_assert(LOAD_SLO_RATE_FIRST << (LOAD_SLO_DOUBLINGS_MAX - 1) <= LOAD_SLO_RATE_LAST &&
                   LOAD_SLO_RATE_FIRST << LOAD_SLO_DOUBLINGS_MAX > LOAD_SLO_RATE_LAST,
               "so many rates are tried while doubling");
_Static_assert(1 << (LOAD_SLO_HALVINGS_MAX - 1) == LOAD_SLO_GAP_PARTS,
               "so many halvings make the gap small enough");

const char *load_slo_parse_percentile(const char *text, struct load_slo_goal *goal) {
    static const struct {
        const char *name;
        uint32_t parts_per_million;
    } percentiles[] = {{"p50", HISTOGRAM_P50},
                       {"p90", HISTOGRAM_P90},
                       {"p99", HISTOGRAM_P99},
                       {"p99.9", HISTOGRAM_P999}};
    ASSERT(text != NULL && goal != NULL);
    const size_t length = strcspn(text, "=");
    for (size_t i = 0; text[length] == '=' && i < ARRAY_COUNT(percentiles); i++) {
        if (strlen(percentiles[i].name) != length || memcmp(percentiles[i].name, text, length) != 0)
            continue;
        goal->percentile = percentiles[i].name;
        goal->parts_per_million = percentiles[i].parts_per_million;
        return text + length + 1;
    }
    return NULL;
}

void load_slo_begin(struct load_slo *slo, const struct load_slo_goal *goal) {
    ASSERT(goal->percentile != NULL && goal->parts_per_million > 0);
    ASSERT(goal->bound_ns > 0);
    memset(slo, 0, sizeof *slo);
    slo->goal = *goal;
    slo->phase = LOAD_SLO_DOUBLING;
    slo->rate = LOAD_SLO_RATE_FIRST;
}

uint64_t load_slo_rate(const struct load_slo *slo) {
    return slo->phase == LOAD_SLO_OVER ? 0 : slo->rate;
}

enum load_slo_verdict load_slo_judge(const struct load_slo_goal *goal, uint64_t rate,
                                     const struct load_slo_measured *measured) {
    ASSERT(rate > 0);
    if (measured->errors > 0)
        return LOAD_SLO_ERRORS;
    if (measured->done_per_second * 100 < rate * LOAD_SLO_ANSWERED_PERCENT)
        return LOAD_SLO_UNANSWERED;
    return measured->judged_ns > goal->bound_ns ? LOAD_SLO_LATE : LOAD_SLO_HELD;
}

/* Between a rate that was held and one that was not: the middle, or the end. */
static void narrow(struct load_slo *slo) {
    ASSERT(slo->low > 0 && slo->high > slo->low);
    slo->phase = LOAD_SLO_HALVING;
    slo->rate = slo->low + (slo->high - slo->low) / 2;
    if ((slo->high - slo->low) * LOAD_SLO_GAP_PARTS <= slo->low)
        slo->phase = LOAD_SLO_OVER;
}

static void go_up(struct load_slo *slo) {
    ASSERT(slo->rate > slo->low);
    slo->low = slo->rate;
    if (slo->phase == LOAD_SLO_HALVING)
        narrow(slo);
    else if (slo->rate * 2 > LOAD_SLO_RATE_LAST)
        slo->phase = LOAD_SLO_OVER;
    else
        slo->rate *= 2;
}

static void go_down(struct load_slo *slo) {
    ASSERT(slo->high == 0 || slo->rate < slo->high);
    slo->high = slo->rate;
    if (slo->low == 0)
        slo->phase = LOAD_SLO_OVER;
    else
        narrow(slo);
}

void load_slo_tell(struct load_slo *slo, const struct load_slo_measured *measured) {
    ASSERT(slo->phase != LOAD_SLO_OVER);
    ASSERT(slo->tried_count < LOAD_SLO_TRIED_MAX);
    struct load_slo_tried *tried = &slo->tried[slo->tried_count++];
    *tried = (struct load_slo_tried){.rate_per_second = slo->rate,
                                     .measured = *measured,
                                     .verdict = load_slo_judge(&slo->goal, slo->rate, measured)};
    if (tried->verdict != LOAD_SLO_HELD && ++slo->attempts < LOAD_SLO_ATTEMPTS_MAX)
        return;
    slo->attempts = 0;
    if (tried->verdict == LOAD_SLO_HELD)
        go_up(slo);
    else
        go_down(slo);
}

uint64_t load_slo_knee(const struct load_slo *slo) {
    ASSERT(slo->high == 0 || slo->low < slo->high);
    return slo->low;
}

bool load_slo_is_open_above(const struct load_slo *slo) {
    return slo->phase == LOAD_SLO_OVER && slo->low > 0 && slo->high == 0;
}
