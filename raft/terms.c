/*
 * The terms of a log, as runs.
 *
 * Happy path: entries of the current term make the last run longer; a look at a recent index finds
 * it in the last run.  A new term begins a new run.
 *
 * Failure modes: the ring of runs is full: the oldest run is forgotten, and its entries' terms are
 * unknown from then on.  What is asked about them is answered as unknown.
 */

#include "raft/terms.h"

#include "base/assert.h"
#include "base/bytes.h"

_Static_assert(IS_POWER_OF_TWO(RAFT_TERM_RUNS_MAX), "the ring of runs is indexed by a mask");

/* The position-th run from the oldest. */
static const struct raft_term_run *run_at(const struct terms *terms, uint32_t position) {
    return &terms->runs[(terms->head + position) & (RAFT_TERM_RUNS_MAX - 1)];
}

/* The last run that begins at or before index; there is one. */
static uint32_t run_find(const struct terms *terms, uint64_t index) {
    uint32_t low = 0;
    uint32_t high = terms->count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (run_at(terms, middle)->first_index <= index) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

void terms_reset(struct terms *terms, uint64_t base_index, uint64_t base_term) {
    ASSERT((base_index == 0) == (base_term == 0));
    terms->base_index = base_index;
    terms->base_term = base_term;
    terms->last_index = base_index;
    terms->head = 0;
    terms->count = 0;
}

/* A run of a new term behind the last; the oldest one makes room. */
static void run_add(struct terms *terms, uint64_t first_index, uint64_t term) {
    if (terms->count == RAFT_TERM_RUNS_MAX) {
        terms->head = (terms->head + 1) & (RAFT_TERM_RUNS_MAX - 1);
        terms->count--;
    }
    uint32_t at = (terms->head + terms->count) & (RAFT_TERM_RUNS_MAX - 1);
    terms->runs[at].first_index = first_index;
    terms->runs[at].term = term;
    terms->count++;
}

void terms_append(struct terms *terms, uint64_t count, uint64_t term) {
    ASSERT_HOT(count >= 1);
    ASSERT_HOT(term >= 1 && term >= terms_last(terms));
    if (terms->count == 0 || run_at(terms, terms->count - 1)->term != term) {
        run_add(terms, terms->last_index + 1, term);
    }
    terms->last_index += count;
}

void terms_truncate(struct terms *terms, uint64_t index) {
    ASSERT(index >= terms->base_index && index <= terms->last_index);
    while (terms->count > 0 && run_at(terms, terms->count - 1)->first_index > index) {
        terms->count--;
    }
    ASSERT(terms->count > 0 || index == terms->base_index);
    terms->last_index = index;
}

void terms_compact(struct terms *terms, uint64_t index) {
    uint64_t term;
    bool known = terms_at(terms, index, &term);
    ASSERT(known);
    /* Runs that end at or before the new base. */
    while (terms->count > 1 && run_at(terms, 1)->first_index <= index + 1) {
        terms->head = (terms->head + 1) & (RAFT_TERM_RUNS_MAX - 1);
        terms->count--;
    }
    if (index == terms->last_index) {
        terms->count = 0;
    } else {
        struct raft_term_run *oldest = &terms->runs[terms->head];
        if (oldest->first_index <= index) {
            oldest->first_index = index + 1;
        }
    }
    terms->base_index = index;
    terms->base_term = term;
}

bool terms_at(const struct terms *terms, uint64_t index, uint64_t *term) {
    if (index > terms->last_index) {
        return false;
    }
    if (terms->count > 0) {
        const struct raft_term_run *newest = run_at(terms, terms->count - 1);
        if (index >= newest->first_index) { /* nearly always */
            *term = newest->term;
            return true;
        }
        if (index >= run_at(terms, 0)->first_index) {
            *term = run_at(terms, run_find(terms, index))->term;
            return true;
        }
    }
    if (index != terms->base_index) {
        return false;
    }
    *term = terms->base_term;
    return true;
}

uint64_t terms_first_known(const struct terms *terms) {
    return terms->count > 0 ? run_at(terms, 0)->first_index : terms->base_index;
}

uint64_t terms_last(const struct terms *terms) {
    return terms->count > 0 ? run_at(terms, terms->count - 1)->term : terms->base_term;
}

uint64_t terms_last_not_above(const struct terms *terms, uint64_t index, uint64_t term) {
    if (index > terms->last_index) {
        index = terms->last_index;
    }
    if (terms->count == 0 || index < run_at(terms, 0)->first_index ||
        run_at(terms, 0)->term > term) {
        return terms->base_index;
    }
    uint32_t position = run_find(terms, index);
    if (run_at(terms, position)->term <= term) {
        return index;
    }
    /* Terms ascend with the runs: the last run not above `term`, which ends before the next. */
    uint32_t low = 0;
    while (position - low > 1) {
        uint32_t middle = low + (position - low) / 2;
        if (run_at(terms, middle)->term <= term) {
            low = middle;
        } else {
            position = middle;
        }
    }
    return run_at(terms, position)->first_index - 1;
}

void terms_check(const struct terms *terms) {
    ASSERT(terms->last_index >= terms->base_index);
    ASSERT(terms->head < RAFT_TERM_RUNS_MAX && terms->count <= RAFT_TERM_RUNS_MAX);
    ASSERT((terms->base_index == 0) == (terms->base_term == 0));
    ASSERT((terms->count == 0) == (terms->last_index == terms->base_index));
    uint64_t index = terms->base_index;
    uint64_t term = terms->base_term;
    for (uint32_t i = 0; i < terms->count; i++) {
        const struct raft_term_run *run = run_at(terms, i);
        ASSERT(run->first_index > index && run->first_index <= terms->last_index);
        ASSERT(run->term > term || (i == 0 && run->term == term && term > 0));
        index = run->first_index;
        term = run->term;
    }
}
