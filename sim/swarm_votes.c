/*
 * Who has voted for whom.  See sim/swarm_votes.h.
 *
 * Happy path: a look finds the term and the vote of the last look; or a later term; or a vote in a
 * term that had none.  Each is noted.
 *
 * Failure modes: another vote in the same term, or none any more: told.  A term beyond the table:
 * it is not remembered, and everybody may have voted in it.
 */

#include "sim/swarm_votes.h"

#include "base/assert.h"

/* Remembers a look at a process. */
static void note(struct swarm_votes *votes, uint32_t node, uint64_t term, uint64_t voted_for) {
    struct swarm_voter *voter = &votes->nodes[node];
    ASSERT(voted_for <= SWARM_VOTES_NODES_MAX);
    voter->term = term;
    voter->voted_for = voted_for;
    voter->term_most = term > voter->term_most ? term : voter->term_most;
    if (voted_for != 0 && term < SWARM_VOTES_TERMS_MAX) {
        votes->given[term][node] |= (uint8_t)(1U << (voted_for - 1));
    }
}

bool swarm_votes_started(struct swarm_votes *votes, uint32_t node, uint64_t term,
                         uint64_t voted_for) {
    ASSERT(node < SWARM_VOTES_NODES_MAX);
    const struct swarm_voter *voter = &votes->nodes[node];
    bool kept = voter->stored_for == 0 || voter->stored_for == voted_for;
    bool is_right = term > voter->stored_term || (term == voter->stored_term && kept);
    note(votes, node, term, voted_for);
    return is_right;
}

bool swarm_votes_saw(struct swarm_votes *votes, uint32_t node, uint64_t term, uint64_t voted_for,
                     bool stored) {
    ASSERT(node < SWARM_VOTES_NODES_MAX);
    struct swarm_voter *voter = &votes->nodes[node];
    bool kept = voter->voted_for == 0 || voter->voted_for == voted_for;
    bool is_right = term != voter->term || kept;
    note(votes, node, term, voted_for);
    if (stored) {
        voter->stored_term = term;
        voter->stored_for = voted_for;
    }
    return is_right;
}

void swarm_votes_lost(struct swarm_votes *votes, uint32_t node) {
    ASSERT(node < SWARM_VOTES_NODES_MAX);
    votes->nodes[node].stored_term = 0;
    votes->nodes[node].stored_for = 0;
}

uint32_t swarm_votes_for(const struct swarm_votes *votes, uint64_t term, uint32_t candidate) {
    ASSERT(candidate < SWARM_VOTES_NODES_MAX);
    uint32_t nodes = 0;
    for (uint32_t i = 0; i < SWARM_VOTES_NODES_MAX; i++) {
        uint32_t given = term < SWARM_VOTES_TERMS_MAX ? votes->given[term][i] : 0;
        bool unseen = given == 0 && votes->nodes[i].term_most > term;
        bool beyond = term >= SWARM_VOTES_TERMS_MAX;
        nodes |= (uint32_t)((given >> candidate & 1) != 0 || unseen || beyond) << i;
    }
    return nodes;
}
