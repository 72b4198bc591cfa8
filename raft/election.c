/*
 * Elections: who may lead the next term.
 *
 * Happy path: the time-out finds no leader; every voter is asked whether it would vote for us
 * (pre-vote, 9.6), which changes nothing anywhere; a majority would; so the term rises, our own
 * vote is stored, the others are asked for theirs (3.4), and a majority of votes makes a leader.
 *
 * Failure modes: nobody wins: the time-out is drawn anew, and pre-votes are asked for again.  The
 * voter hears a leader: it refuses, and (for VOTE) does not even take over the term, so that a
 * node which was cut off cannot depose a leader that works (stickiness, 4.2.3).  An answer is
 * late: it carries the number of the attempt that it answers and is dropped.  Our own log is still
 * being written: we do not campaign with what a crash could take from us.  Two ask at the same
 * time, as after the end of their leader's process, which all see at once: one gives way, or both
 * would raise the term, vote for themselves, and wait for another time-out.  We did not run
 * ourselves: the leader's word may be here already, so nobody is judged at once.  We have no room
 * for entries: others first (room.c).
 */

#include <string.h>

#include "raft/raft_internal.h"

void raft_election_rearm(struct raft *raft) {
    raft->excused = false; /* a new silence: the next late tick is excused again */
    raft->election_due_ns = raft->now_ns + raft->election_timeout_ns +
                            random_below(&raft->random, raft->election_timeout_ns) +
                            raft_room_wait_ns(raft);
}

static uint32_t place_of(const struct configuration *configuration, uint64_t node_id) {
    const struct configuration_member *member = configuration_find(configuration, node_id);
    return member == NULL ? CONFIGURATION_MEMBERS_MAX : (uint32_t)(member - configuration->members);
}

static bool is_voter(const struct configuration_member *member) {
    return (member->roles & (CONFIGURATION_VOTER | CONFIGURATION_OUTGOING)) != 0;
}

/* Asks every voter but ourselves, in the term given. */
static void ask(struct raft *raft, enum raft_message_kind kind, uint64_t term,
                struct raft_actions *actions) {
    const struct configuration *configuration = raft_members(raft);
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        const struct configuration_member *member = &configuration->members[i];
        if (member->node_id == raft->node_id || !is_voter(member)) {
            continue;
        }
        struct raft_message *message = raft_send(raft, actions, kind, member->node_id);
        message->term = term;
        message->round = raft->attempt;
        message->last_index = raft->last_index;
        message->last_term = terms_last(&raft->terms);
        message->transfer = kind == RAFT_MESSAGE_VOTE && raft->transferred;
    }
}

static void attempt_begin(struct raft *raft) {
    raft->attempt++;
    memset(raft->votes, 0, sizeof(raft->votes));
    raft_election_rearm(raft);
}

/* How the attempt stands after a vote. */
static void votes_count(struct raft *raft, struct raft_actions *actions) {
    switch (quorum_votes(raft_members(raft), raft->votes)) {
    case QUORUM_PENDING: break;
    case QUORUM_WON:
        if (raft->role == RAFT_PRE_CANDIDATE) {
            raft_campaign(raft, false, actions);
        } else if (raft->vote_stored) {
            raft_become_leader(raft, actions);
        } /* else the term is not durable here: votes that came so soon count when it is */
        break;
    case QUORUM_LOST:
        /* The time-out stands: whoever can win shall try first. */
        raft_become_follower(raft, raft->term, 0, actions);
        break;
    }
}

static void vote_take(struct raft *raft, uint64_t voter, bool granted,
                      struct raft_actions *actions) {
    uint32_t place = place_of(raft_members(raft), voter);
    if (place != CONFIGURATION_MEMBERS_MAX && raft->votes[place] == QUORUM_VOTE_NONE) {
        raft->votes[place] = granted ? QUORUM_VOTE_GRANTED : QUORUM_VOTE_REFUSED;
    } /* else of no member, or repeated */
    votes_count(raft, actions);
}

void raft_campaign(struct raft *raft, bool transfer, struct raft_actions *actions) {
    raft->transferred = transfer;
    raft_become_candidate(raft, actions);
    attempt_begin(raft);
    ask(raft, RAFT_MESSAGE_VOTE, raft->term, actions); /* they wait for our own vote's storage */
}

static void pre_campaign(struct raft *raft, struct raft_actions *actions) {
    raft_become_pre_candidate(raft, actions);
    attempt_begin(raft);
    ask(raft, RAFT_MESSAGE_PRE_VOTE, raft->term + 1, actions);
    vote_take(raft, raft->node_id, true, actions);
}

bool raft_settled(const struct raft *raft) {
    return MUTANT(CAMPAIGNS_UNDURABLE, true, raft->stored_index == raft->last_index) &&
           raft->vote_stored && !raft->installing && raft->term < RAFT_TERM_MAX;
}

bool raft_may_campaign(const struct raft *raft) {
    for (uint32_t i = 0; i < raft->membership.count; i++) {
        if (quorum_is_voter(&raft->membership.stack[i].configuration, raft->node_id)) {
            return true;
        }
    }
    return false;
}

/* A vote for itself is one, too.  Where a promise is no longer than T it ended before the time-out
 * did: that began with the leader's word, as the promise of what answers it. */
static bool promise_outlasts(const struct raft *raft) {
    uint64_t promise_ns = raft_promise_ns(raft);
    return promise_ns > raft->election_timeout_ns &&
           MUTANT(STANDS_UNDER_PROMISE, false, raft->now_ns < raft->promised_ns + promise_ns);
}

void raft_election_tick(struct raft *raft, struct raft_actions *actions) {
    ASSERT(raft->role != RAFT_LEADER);
    if (raft->now_ns < raft->election_due_ns) {
        return;
    }
    if (!raft_may_campaign(raft) || !raft_settled(raft)) {
        raft_election_rearm(raft);
        return;
    }
    if (raft_late(raft, raft->election_due_ns)) {
        raft->election_due_ns = raft->now_ns + raft->heartbeat_ns;
        return;
    }
    if (promise_outlasts(raft)) {
        raft->election_due_ns = raft->promised_ns + raft_promise_ns(raft) +
                                random_below(&raft->random, raft->election_timeout_ns);
        return;
    }
    pre_campaign(raft, actions);
}

void raft_on_vote_stored(struct raft *raft, const struct raft_event *event,
                         struct raft_actions *actions) {
    bool latest = event->term == raft->term && event->node_id == raft->voted_for;
    if (MUTANT(TAKES_OLDER_VOTE, event->term != raft->term, !latest) || raft->vote_stored) {
        return; /* an older record: the latest is still on its way */
    }
    raft->vote_stored = true;
    if (raft->role == RAFT_CANDIDATE) {
        vote_take(raft, raft->node_id, true, actions);
    }
}

/* The candidate's log is at least as up to date as ours (3.6.1). */
static bool log_up_to_date(const struct raft *raft, const struct raft_message *message) {
    uint64_t last_term = terms_last(&raft->terms);
    if (message->last_term != last_term) {
        return message->last_term > last_term;
    }
    return MUTANT(VOTES_FOR_SHORTER_LOG, true, message->last_index >= raft->last_index);
}

bool raft_election_refused(const struct raft *raft, bool transfer) {
    if (transfer) {
        return false; /* its leader wants it, and has dropped its lease */
    }
    if (raft->role == RAFT_LEADER) {
        return true; /* it looks after its quorum itself */
    }
    uint64_t promise_ns =
        MUTANT(PROMISE_OF_TIMEOUT, raft->election_timeout_ns, raft_promise_ns(raft));
    if (raft_leases(raft) && raft->now_ns < raft->promised_ns + promise_ns) {
        return MUTANT(BREAKS_PROMISE, false, true);
    }
    return raft->leader != 0 && raft->now_ns < raft->heard_ns + raft->election_timeout_ns;
}

/*
 * We would consent to somebody's election while we ask for consent ourselves.  If both went on,
 * both would raise the term and vote for themselves.  So one gives way: whose log is behind, for it
 * cannot win the other's vote, or else the one with the higher id.  Both see it alike; and since a
 * question precedes the same node's later consent on its way, whoever is to give way learns of it
 * before it could have won, where each needs the other's consent (three members, one of them gone).
 */
static bool gives_way(const struct raft *raft, const struct raft_message *message) {
    if (raft->role != RAFT_PRE_CANDIDATE || !quorum_is_voter(raft_members(raft), message->from)) {
        return false;
    }
    bool equal =
        message->last_term == terms_last(&raft->terms) && message->last_index == raft->last_index;
    return !equal || message->from < raft->node_id;
}

void raft_on_pre_vote(struct raft *raft, const struct raft_message *message,
                      struct raft_actions *actions) {
    bool granted = message->term > raft->term && log_up_to_date(raft, message) &&
                   !raft_election_refused(raft, false);
    if (granted && gives_way(raft, message)) {
        raft_become_follower(raft, raft->term, 0, actions); /* our time-out stands */
    }
    struct raft_message *answer =
        raft_send(raft, actions, RAFT_MESSAGE_PRE_VOTE_ANSWER, message->from);
    answer->round = message->round;
    answer->granted = granted;
    if (granted) {
        answer->term = message->term; /* of the election to be; ours stays as it is */
    }
}

void raft_on_pre_vote_answer(struct raft *raft, const struct raft_message *message,
                             struct raft_actions *actions) {
    if (raft->role != RAFT_PRE_CANDIDATE || message->round != raft->attempt) {
        return;
    }
    if (message->granted && message->term != raft->term + 1) {
        return;
    }
    vote_take(raft, message->from, message->granted, actions);
}

void raft_on_vote(struct raft *raft, const struct raft_message *message,
                  struct raft_actions *actions) {
    ASSERT(message->term == raft->term);
    /* Of a term that we have taken from others, its candidate may ask while we are bound to the
     * leader of an earlier one: so here, too, it may have to be refused. */
    bool free = raft->voted_for == message->from ||
                (MUTANT(VOTES_TWICE, true, raft->voted_for == 0) && raft->leader == 0);
    bool granted = free && log_up_to_date(raft, message) &&
                   MUTANT(PROMISE_OF_TERM, true, !raft_election_refused(raft, message->transfer));
    if (granted) {
        if (raft->role == RAFT_PRE_CANDIDATE) {
            raft_become_follower(raft, raft->term, 0, actions); /* somebody was faster */
        }
        ASSERT(raft->role == RAFT_FOLLOWER || MUTANT_IS(VOTES_TWICE));
        raft_vote(raft, message->from);
        raft_election_rearm(raft);
    }
    raft_vote_flush(raft, actions); /* the answer waits until it is stored */
    struct raft_message *answer = raft_send(raft, actions, RAFT_MESSAGE_VOTE_ANSWER, message->from);
    answer->round = message->round;
    answer->granted = granted;
}

void raft_on_vote_answer(struct raft *raft, const struct raft_message *message,
                         struct raft_actions *actions) {
    ASSERT(message->term == raft->term || MUTANT_IS(COUNTS_STALE_VOTE));
    if (raft->role != RAFT_CANDIDATE ||
        MUTANT(COUNTS_STALE_VOTE, false, message->round != raft->attempt)) {
        return;
    }
    vote_take(raft, message->from, message->granted, actions);
}

void raft_on_disconnected(struct raft *raft, uint64_t node_id, struct raft_actions *actions) {
    struct progress *peer = raft_peer(raft, node_id);
    if (peer != NULL) {
        /* What was in flight is lost.  A snapshot goes on where the peer says. */
        if (peer->state == PROGRESS_SNAPSHOT) {
            peer->chunk_sent = false;
        } else {
            progress_probe(peer);
        }
        return;
    }
    if (raft->role == RAFT_FOLLOWER && node_id == raft->leader && !raft_leases(raft)) {
        /* Most likely its process has ended: no need to wait for a time-out.  If it has not, the
         * others still hear it, and refuse. */
        raft_become_follower(raft, raft->term, 0, actions);
        raft->election_due_ns =
            raft->now_ns +
            random_below(&raft->random, raft->election_timeout_ns / RAFT_DISCONNECTED_SHARE) +
            raft_room_wait_ns(raft);
    }
}
