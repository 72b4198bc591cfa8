#ifndef WEIR_SIM_COMMITTED_LOG_H
#define WEIR_SIM_COMMITTED_LOG_H

/*
 * The log that a simulated cluster has committed, collected while it runs.
 *
 * After each step of a node whoever steps it calls committed_log_look. Then
 *
 *   - every entry that has appeared in the node's log memory is copied, whether or not it will be
 *     committed. An entry is known by its index and its chain, which vouches for all entries before
 *     it (entry/entry.h): two that are equal in both are the same log up to there.
 *   - the node's applied index and the chain of that entry say what is committed: this entry, and
 *     all before it, which are found by going back from chain to chain.
 *   - an index that another node applied with another chain is a finding: the state machines have
 *     been given different commands (Ongaro's dissertation, figure 3.2, State Machine Safety).
 *
 * So nothing depends on snapshots, which remove a log's beginning, nor on disks, which are lost.
 * Every entry appears in the memory of the leader that made it, and stays there at least until its
 * write is done, that is for one look at least.
 *
 * What may be undecided. An entry that no look has seen is missing if nobody looked between its
 * append and its release, if a node was started from a directory that this log knows nothing of, or
 * if a map polls apply before replicate on one thread. committed_log_complete is then false, and a
 * checker's verdict over what is there would be worth nothing. Entry 1, which is made with the data
 * directory and is only on disk, is taken for granted.
 *
 * Memory: a copy of each entry that was ever seen, until committed_log_destroy. One thread.
 */

#include "sim/committed_commands.h"
#include "sim/node.h"

struct committed_log;

/* An empty one. It aborts if there is no memory, as whatever grows below. */
struct committed_log *committed_log_create(void);
void committed_log_destroy(struct committed_log *log);

/* Looks at a node that runs, after a step of it and before the next. Cheap if nothing is new. */
void committed_log_look(struct committed_log *log, const struct sim_node *node);

/* The last committed index known. */
uint64_t committed_log_index(const struct committed_log *log);

/* The entry, whole, or NULL: not committed, not known, or entry 1. Borrowed until destroyed. */
const uint8_t *committed_log_entry(const struct committed_log *log, uint64_t index);

/* Whether every entry from 2 to committed_log_index is there. */
bool committed_log_complete(const struct committed_log *log);

/* Two nodes have applied different entries: a sentence. NULL: no. */
const char *committed_log_finding(const struct committed_log *log);

/*
 * The writes of the committed entries, in log order (sim/committed_commands.h). The words are
 * borrowed from the log, which must not be looked at meanwhile. *out is then the caller's:
 * committed_commands_free. Allocates.
 */
void committed_log_commands(const struct committed_log *log, committed_once *once,
                            const void *context, struct committed_commands *out);

#endif
