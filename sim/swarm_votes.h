#ifndef WEIR_SIM_SWARM_VOTES_H
#define WEIR_SIM_SWARM_VOTES_H

/*
 * Who has voted for whom, as seen from outside.
 *
 * After each step of a node its term and its vote are looked at, whether they are durable yet or
 * not.  Three things must hold of them, whatever happens (Ongaro's dissertation, 3.4):
 *
 *   - a node votes for one candidate in a term at most: within a process its vote in a term, once
 *     given, stays what it is;
 *   - what was durable when a process ended, the next one of the same disk knows: the term has not
 *     fallen, and in the same term the vote is the same;
 *   - whoever leads a term has the votes of a quorum in that term.
 *
 * For the third one it is remembered which votes were seen.  A node may do several things in a
 * step, and then a vote may be given and be over, with its term, before anybody looks.  So a node
 * that has come to a later term, and was never seen to vote in this one, counts as one that may
 * have voted.  One that never came to the term, or was seen to vote for others only, cannot have.
 *
 * Pure: these functions know nothing of the swarm.  Memory: half a MiB, of which only what terms
 * need is touched.  One thread; nothing allocates.
 */

#include <stdbool.h>
#include <stdint.h>

/* Bounds: terms from there on are not remembered, which the other checks find; nodes fit a mask. */
enum {
    SWARM_VOTES_TERMS_MAX = 1 << 16,
    SWARM_VOTES_NODES_MAX = 7,
};

/* One node. */
struct swarm_voter {
    uint64_t term; /* of its process, when it was last looked at */
    uint64_t voted_for;
    uint64_t stored_term; /* of its disk: what was last known to be durable */
    uint64_t stored_for;
    uint64_t term_most; /* of all its processes */
};

/* Begins as zeros. */
struct swarm_votes {
    struct swarm_voter nodes[SWARM_VOTES_NODES_MAX];
    /* By term and node: for which nodes (bit n: of id n + 1) it was seen to vote. */
    uint8_t given[SWARM_VOTES_TERMS_MAX][SWARM_VOTES_NODES_MAX];
};

/*
 * A process of a node (an index) has started, and has this term and vote (a node's id, 0: nobody).
 * False: something that was durable is not there any more.
 */
bool swarm_votes_started(struct swarm_votes *votes, uint32_t node, uint64_t term,
                         uint64_t voted_for);

/*
 * A process was looked at.  `stored`: its term and vote are durable.
 * False: it had voted for somebody else in this term.
 */
bool swarm_votes_saw(struct swarm_votes *votes, uint32_t node, uint64_t term, uint64_t voted_for,
                     bool stored);

/* The disk of a node is lost: nothing is demanded of what comes next.  The votes that it has given
 * still count. */
void swarm_votes_lost(struct swarm_votes *votes, uint32_t node);

/* The nodes (bit n) that may have voted for a candidate (an index) in a term. */
uint32_t swarm_votes_for(const struct swarm_votes *votes, uint64_t term, uint32_t candidate);

#endif
