/*
 * Majorities.
 *
 * Happy path: the values of one set of voters are sorted, largest first; the one in the middle is
 * what a majority has.  A joint configuration takes the smaller of its two sets' answers.  Sets
 * are small (CONFIGURATION_MEMBERS_MAX), so insertion is the fastest sort.
 *
 * Failure modes: none from outside; a configuration without incoming voters is not valid, and
 * asserted.
 */

#include "raft/quorum.h"

#include "base/assert.h"
#include "base/mutant.h"

/* Is this a member of the set that has this role? */
static bool counts(const struct configuration_member *member, uint8_t role) {
    bool learner = role == CONFIGURATION_VOTER && (member->roles & CONFIGURATION_LEARNER) != 0;
    return (member->roles & role) != 0 || MUTANT(COUNTS_LEARNER, learner, false);
}

/* The members with this role decide by majority; UINT64_MAX if there are none. */
static uint64_t value_of_role(const struct configuration *configuration, uint8_t role,
                              const uint64_t *values) {
    uint64_t sorted[CONFIGURATION_MEMBERS_MAX]; /* descending */
    uint32_t count = 0;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        if (!counts(&configuration->members[i], role)) {
            continue;
        }
        uint32_t at = count++;
        while (at > 0 && sorted[at - 1] < values[i]) {
            sorted[at] = sorted[at - 1];
            at--;
        }
        sorted[at] = values[i];
    }
    /* Of n voters, the first n / 2 + 1 are a majority; the last of them has the smallest value. */
    return count == 0 ? UINT64_MAX : sorted[count / 2];
}

uint64_t quorum_value(const struct configuration *configuration, const uint64_t *values) {
    ASSERT_HOT(configuration->member_count >= 1);
    ASSERT_HOT(configuration->member_count <= CONFIGURATION_MEMBERS_MAX);
    uint64_t incoming = value_of_role(configuration, CONFIGURATION_VOTER, values);
    uint64_t outgoing = value_of_role(configuration, CONFIGURATION_OUTGOING, values);
    return MUTANT(ONE_MAJORITY, true, incoming < outgoing) ? incoming : outgoing;
}

/* Without voters of this role: won, as nobody objects. */
static enum quorum_result votes_of_role(const struct configuration *configuration, uint8_t role,
                                        const enum quorum_vote *votes) {
    uint32_t count = 0;
    uint32_t granted = 0;
    uint32_t refused = 0;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        if (!counts(&configuration->members[i], role)) {
            continue;
        }
        count++;
        granted += votes[i] == QUORUM_VOTE_GRANTED ? 1 : 0;
        refused += votes[i] == QUORUM_VOTE_REFUSED ? 1 : 0;
    }
    if (count == 0 || granted > count / 2) {
        return QUORUM_WON;
    }
    return count - refused > count / 2 ? QUORUM_PENDING : QUORUM_LOST;
}

enum quorum_result quorum_votes(const struct configuration *configuration,
                                const enum quorum_vote *votes) {
    ASSERT(configuration_valid(configuration));
    enum quorum_result incoming = votes_of_role(configuration, CONFIGURATION_VOTER, votes);
    enum quorum_result outgoing = MUTANT(
        ONE_MAJORITY, QUORUM_WON, votes_of_role(configuration, CONFIGURATION_OUTGOING, votes));
    if (incoming == QUORUM_LOST || outgoing == QUORUM_LOST) {
        return QUORUM_LOST;
    }
    return incoming == QUORUM_WON ? outgoing : QUORUM_PENDING;
}

bool quorum_is_joint(const struct configuration *configuration) {
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        if ((configuration->members[i].roles & CONFIGURATION_OUTGOING) != 0) {
            return true;
        }
    }
    return false;
}

bool quorum_is_voter(const struct configuration *configuration, uint64_t node_id) {
    const struct configuration_member *member = configuration_find(configuration, node_id);
    return member != NULL && (member->roles & (CONFIGURATION_VOTER | CONFIGURATION_OUTGOING)) != 0;
}
