#ifndef WEIR_RAFT_TERMS_H
#define WEIR_RAFT_TERMS_H

/*
 * Which term an index of the log has.
 *
 * Terms never go back along a log, so the log is a sequence of runs of one term, and the terms of
 * any number of entries are as many numbers as there were elections.  The last RAFT_TERM_RUNS_MAX
 * runs are remembered.  What is before them, or was compacted, is unknown, except the entry just
 * before the log's first one (the base), whose term the snapshot or the compaction said.
 *
 *   base        run 0          run 1      run 2
 *   (i, t)  |  i+1 .. a  |  a+1 .. b  |  b+1 .. last
 *
 * Invariants: the runs' first indices and terms ascend strictly; the first run begins behind the
 * base, or later if runs were forgotten; the base's term is not above the first run's.
 * Owner: the core.  Nothing allocates.
 */

#include "raft/raft.h"

struct terms {
    uint64_t base_index; /* 0: the log begins at entry 1 */
    uint64_t base_term;
    uint64_t last_index; /* >= base_index */
    uint32_t head;       /* of the ring of runs: the oldest one */
    uint32_t count;      /* [0, RAFT_TERM_RUNS_MAX]; 0 only if last_index == base_index */
    struct raft_term_run runs[RAFT_TERM_RUNS_MAX];
};

/* An empty log behind a base. */
void terms_reset(struct terms *terms, uint64_t base_index, uint64_t base_term);

/* `count` more entries of a term, not below the last one's, behind the last. */
void terms_append(struct terms *terms, uint64_t count, uint64_t term);

/* Removes what is after index, [base_index, last_index].  Its term is known (where it was
 * forgotten, terms_reset with the term that a leader names). */
void terms_truncate(struct terms *terms, uint64_t index);

/* The base moves up to index, [base_index, last_index], of a known term. */
void terms_compact(struct terms *terms, uint64_t index);

/* The term of an entry, or of the base.  False, and nothing written, if the index is outside
 * [base_index, last_index] or its run was forgotten.  Index 0 with base 0 has term 0. */
bool terms_at(const struct terms *terms, uint64_t index, uint64_t *term);

/* From this index on every term is known: the oldest run's first, or the base if there is none. */
uint64_t terms_first_known(const struct terms *terms);

/* Of the last entry, or the base. */
uint64_t terms_last(const struct terms *terms);

/* The largest known index <= `index` whose term is <= `term`; the base, even if that is above, if
 * there is none. */
uint64_t terms_last_not_above(const struct terms *terms, uint64_t index, uint64_t term);

/* Asserts the invariants. */
void terms_check(const struct terms *terms);

#endif
