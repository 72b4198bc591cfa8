#ifndef WEIR_BENCH_RAFT_BENCH_H
#define WEIR_BENCH_RAFT_BENCH_H

/*
 * Three cores in one process, for measuring.  Their disks and their network take no time: what is
 * put out is delivered in order, what is to be stored is stored by the time the queue comes to it.
 * One thread; nothing but raft_bench_open allocates.
 */

#include <stdbool.h>
#include <stdint.h>

/* How many cores, and the length of each entry. */
enum { RAFT_BENCH_NODES = 3, RAFT_BENCH_ENTRY_BYTES = 100 };

struct raft_bench_nodes;

/* Creates the cores and elects node 1.  Errors: NULL without memory. */
struct raft_bench_nodes *raft_bench_open(void);
void raft_bench_close(struct raft_bench_nodes *nodes);

/* Proposes one message of `entries` entries to the leader, at once. */
void raft_bench_propose(struct raft_bench_nodes *nodes, uint32_t entries);

/* Delivers and stores until nothing is left to do. */
void raft_bench_settle(struct raft_bench_nodes *nodes);

/* Calls of raft_step so far, and the leader's commit index. */
uint64_t raft_bench_calls(const struct raft_bench_nodes *nodes);
uint64_t raft_bench_committed(const struct raft_bench_nodes *nodes);

/* The commit index that every node knows. */
uint64_t raft_bench_committed_everywhere(const struct raft_bench_nodes *nodes);

#endif
