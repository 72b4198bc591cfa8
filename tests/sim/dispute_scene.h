#ifndef WEIR_TESTS_SIM_DISPUTE_SCENE_H
#define WEIR_TESTS_SIM_DISPUTE_SCENE_H

/*
 * Members whose data differ, since the memory of one errs.
 *
 * The defect is one bit of the words in which a machine keeps its digests: from some index on it is
 * flipped, in one process.  The linker puts our machine_find in front of the real one (--wrap), so
 * that each process has a machine of its own; the replies to clients stay right, and the group
 * judges all of them.
 *
 * WEIR_SIM_SEEDS multiplies the number of seeds, WEIR_SIM_SEED runs one.
 */

#include "tests/sim/node_group.h"

#define SECOND_NS UINT64_C(1000000000)

enum { DISPUTE_PARTITIONS = 8, DISPUTE_NODES_MAX = 5, DISPUTE_MAPS = 3 };

struct dispute_defect {
    uint64_t at; /* from this index on; */
    bool is_flipped;
    uint32_t partition;
    uint64_t bit;
};

extern struct group dispute_group[1];
extern struct dispute_defect dispute_defects[DISPUTE_NODES_MAX]; /* of each node */
extern const char *const dispute_maps[DISPUTE_MAPS];

/* The last of `count` seeds from `first` on.  Under a sanitizer there is one of each. */
uint64_t dispute_seeds_last(uint64_t first, uint64_t count);

/* Starts a process that does not err, in a group that is there. */
void dispute_start(uint32_t node);

/* A group whose members have run for a second, and one of which leads; without snapshots, or each
 * takes one when its log has grown by so much. */
void dispute_begin(uint64_t seed, uint32_t node_count);
void dispute_begin_with_snapshots(uint64_t seed, uint32_t node_count, uint64_t snapshot_log_bytes);

/* The memory of a process errs, soon. */
void dispute_err(uint32_t node, uint32_t partition, uint64_t bit);

/* The sentence with which a node has stopped; NULL: it has not.  And whether it comes to that. */
const char *dispute_failure_of(uint32_t node);
bool dispute_run_until_failure(uint32_t node);

const struct node_replicate_figures *dispute_figures_of(uint32_t node);

/* The index about which the node knows that somebody differs; 0: none.  And whether it comes to
 * that. */
uint64_t dispute_undecided(uint32_t node);
bool dispute_run_until_undecided(uint32_t node);

/* Fails the test unless `part` stands in the sentence. */
void dispute_assert_says(const char *sentence, const char *part);

/* That the sentence names the partition and the interval in which the bit was flipped. */
void dispute_assert_told(uint32_t node);

/* The others go on without those that have stopped, and lose nothing that was acknowledged. */
void dispute_expect_going_on(void);

/* All that were stopped come back, and all agree on what is logged from now on. */
void dispute_expect_all_agree(void);

/* The leader makes it a learner. */
void dispute_learner_add(uint32_t node);

#endif
