#ifndef WEIR_RAFT_QUORUM_H
#define WEIR_RAFT_QUORUM_H

/*
 * Majorities of a configuration, joint ones included (dissertation, 4.3).
 *
 * A joint configuration decides only what a majority of the incoming voters and a majority of the
 * outgoing voters both decide.  Learners count in neither.  A configuration without outgoing
 * voters is a simple one.
 *
 * Values and votes are given in arrays parallel to configuration->members.  Pure; no state.
 */

#include <stdbool.h>
#include <stdint.h>

#include "entry/configuration.h"

/* What one member has answered. */
enum quorum_vote { QUORUM_VOTE_NONE = 0, QUORUM_VOTE_GRANTED, QUORUM_VOTE_REFUSED };

enum quorum_result {
    QUORUM_PENDING, /* neither is certain yet */
    QUORUM_WON,     /* a majority (of both sets) granted */
    QUORUM_LOST,    /* that has become impossible */
};

/*
 * The largest value v such that a majority (of both sets) has a value >= v.  For match indices:
 * what is stored on a quorum.  For rounds: what a quorum has confirmed.  For times: since when a
 * quorum was heard from.
 */
uint64_t quorum_value(const struct configuration *configuration, const uint64_t *values);

/* How an election stands. */
enum quorum_result quorum_votes(const struct configuration *configuration,
                                const enum quorum_vote *votes);

/* True if there are outgoing voters. */
bool quorum_is_joint(const struct configuration *configuration);

/* True if the node is an incoming or an outgoing voter. */
bool quorum_is_voter(const struct configuration *configuration, uint64_t node_id);

#endif
