#ifndef WEIR_STAGES_REPLICATE_H
#define WEIR_STAGES_REPLICATE_H

/*
 * The replicate stage: the only one that touches Raft and the log.
 *
 * It gives every batch its place in the one order, which is the order of the ring replicate_apply:
 *
 *   - A batch with writes becomes one entry.  It waits in `writing`, first in first out, until its
 *     entry is committed; then it is handed to apply beside its entry.
 *   - A batch without writes (reads, refusals, replies of validate's) is noted with its place p =
 *     max(commit index, last index proposed by its connection).  It is handed on as soon as every
 *     entry up to p has been handed on, and before every entry appended after it was noted.  So a
 *     read sees its own connection's writes, never waits for another's, and never overtakes.
 *   - Entries without a batch (no-op, time, everything read back from disk at start) are handed on
 *     in between.
 *
 * Commit follows durability: the log says how far it is durable, the core says what that commits.
 */

#include "stages/stage.h"

/* Given by whoever starts the pipeline. */
struct replicate_options {
    /* Progress of the verification at start; may be NULL. */
    void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total);
    void *context;
};

/* ---- for whoever checks a stepped pipeline (pipeline_look) ----------------------------------- */

struct log;
struct raft;

/* The shard's log and core, to be looked at between two steps; owned by the shard. */
const struct log *replicate_look_log(const void *state);
const struct raft *replicate_look_raft(const void *state);

/* Whether the log is what the core believes it is: no truncation or append waits. */
bool replicate_look_in_step(const void *state);

#endif
