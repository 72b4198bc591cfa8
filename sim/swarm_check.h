#ifndef WEIR_SIM_SWARM_CHECK_H
#define WEIR_SIM_SWARM_CHECK_H

/*
 * What must hold of a cluster after every step, whatever happens to it.
 *
 * The checker stands outside: it looks at each node's log, core and figures after the node has done
 * something, and remembers what it saw of all of them:
 *
 *   terms      who led in each term.  Nobody else may.
 *   votes      see sim/swarm_votes.h: one in a term, over restarts too; a leader has a quorum's.
 *   entries    for each index and term the chain that was seen there.  Since a chain vouches for
 *              everything before it, equal chains are equal logs up to there (log matching).
 *   committed  the one history: for each index the entry that some node was first to commit, with
 *              its bytes.  Every node's commits and applied entries must be these; a leader of a
 *              later term has them all (leader completeness); when one is first committed it is
 *              durable on a quorum; by counting, a leader commits entries of its own term only.
 *   configurations  those that were seen in any log, and which was the one before.  A core goes by
 *              the last one in its log.
 *   stored     what a core counts as stored, of its own log and as a leader of a peer's, is durable
 *              there, and the same entry (sim/swarm_stored.c).  While a node is in a term, no entry
 *              of that term goes from its log: only its leader could have it removed, and a leader
 *              takes back nothing that it has appended.
 *   reads      those that a leader answers at once, by its lease: at the moment nobody has
 *              committed more (sim/swarm_reads.c).
 *   digests    of the machine after each index, from whoever was there first.
 *   nodes      how far each node's process was: within a process commit, applied and term only
 *              grow, and what was durable when it ended is there when the next one starts.
 *
 * Cost: a node whose numbers have not changed costs a dozen comparisons; one that has new entries
 * or commits, a look at each of these.
 *
 * Bounds: SWARM_CHECK_TERMS_MAX terms and SWARM_CHECK_CONFIGURATIONS_MAX configurations; more are a
 * finding.  The rest grows.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "entry/configuration.h"

struct swarm;

/* Bounds; a node has a few hundred terms at most. */
enum {
    SWARM_CHECK_TERMS_MAX = 1 << 16,
    SWARM_CHECK_NODES_MAX = 7,
    SWARM_CHECK_CONFIGURATIONS_MAX = 1024,
};

/* An entry as it was first committed. */
struct swarm_entry {
    uint64_t term;
    uint64_t chain;       /* 0: not known, it was committed unseen */
    uint64_t commit_term; /* of the node that was first */
    uint8_t *bytes;       /* owned; NULL: not known */
    uint64_t digest;      /* of the machine behind it; meaningful if digest_known */
    bool digest_known;
};

/* A configuration as it was first seen in a log. */
struct swarm_configuration {
    uint64_t index;
    uint64_t chain;    /* 0: of entry 1, which is the same on all */
    uint32_t previous; /* its place in the list; SWARM_CHECK_UNKNOWN */
    struct configuration members;
};

/* What one node was last seen with. */
struct swarm_seen {
    uint64_t term;
    uint64_t role;
    uint64_t last_index;
    uint64_t commit_index;
    uint64_t applied_index;
    uint64_t commit_most;   /* of all its processes */
    uint64_t reads_at_once; /* how many this process has answered without asking anybody */
    /* Of the process that is ending: what is durable then. */
    uint64_t ended_durable_index;
    /* The chains of its log, by index; 0: not known.  [0, chain_count) */
    uint64_t *chains;
    size_t chain_count;
    size_t chain_capacity;
    /* As a leader of these terms: up to where it counts each node's log as stored. */
    uint64_t match_terms[SWARM_CHECK_NODES_MAX];
    uint64_t match[SWARM_CHECK_NODES_MAX];
    /* Of the disk that was lost: what had been durable on it, which was acknowledged in time. */
    uint64_t lost_durable_index;
    uint64_t *lost_chains;
    size_t lost_chain_count;
};

/* No place of a configuration. */
#define SWARM_CHECK_UNKNOWN UINT32_MAX

struct swarm_check {
    uint8_t leaders[SWARM_CHECK_TERMS_MAX]; /* index + 1 of who led; 0: nobody */
    struct swarm_entry *committed;          /* by index - 1 */
    size_t committed_count;
    size_t committed_capacity;
    /* Chains by index and term: a table with open addressing, half full at most. */
    struct swarm_matching *matching;
    size_t matching_count;
    size_t matching_capacity;
    struct swarm_seen nodes[SWARM_CHECK_NODES_MAX];
    struct swarm_configuration configurations[SWARM_CHECK_CONFIGURATIONS_MAX];
    uint32_t configuration_count;
};

/* Nothing was seen yet but the first configuration: voters 1 to `founders`; and the end. */
void swarm_check_create(struct swarm_check *check, uint32_t founders);
void swarm_check_destroy(struct swarm_check *check);

/* A process has started; it has done nothing yet. */
void swarm_check_started(struct swarm_check *check, struct swarm *swarm, uint32_t index);

/* A process is about to be ended. */
void swarm_check_ending(struct swarm_check *check, struct swarm *swarm, uint32_t index);

/* The disk of this node, which has no process, is lost. */
void swarm_check_lost(struct swarm_check *check, uint32_t index);

/* The process of this node has done something. */
void swarm_check_node(struct swarm_check *check, struct swarm *swarm, uint32_t index);

/* At the end, with all processes at rest in peace: all have committed and applied everything that
 * any of them ever committed. */
void swarm_check_peace(struct swarm_check *check, struct swarm *swarm);

#endif
