#ifndef WEIR_SIM_RAFT_CLUSTER_RANDOM_H
#define WEIR_SIM_RAFT_CLUSTER_RANDOM_H

/*
 * A cluster of cores driven at random, all of it decided by one seed.
 *
 * The seed draws the size of the cluster, its limits, how often each thing happens, and up to three
 * kinds of fault that this run has: few at a time, since many kinds together hide each other.
 * Then thing follows thing: a message is delivered, lost, repeated or overtakes others; a disk
 * carries out what it was asked, late and piece by piece; clocks go on at their own rates; clients
 * write and read; members come and go, leadership is moved; snapshots are taken; nodes crash, start
 * again, or stand still; links are cut.
 *
 * At the end all faults end, and the cluster has to recover: a leader, a new entry committed, and
 * the same log at every member.
 */

#include <stdbool.h>
#include <stdint.h>

#include "sim/raft_cluster.h"

/* Runs `steps` things of this seed and then the recovery, and adds what happened to *counts.
 * Returns true if all went well; otherwise prints the trace's end and what was violated.  `trace`
 * (may be NULL) gets every line of the trace. */
bool cluster_random(uint64_t seed, uint32_t steps, struct cluster_counts *counts,
                    void (*trace)(void *context, const char *line), void *trace_context);

#endif
