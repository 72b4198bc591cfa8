/*
 * The consensus core, for a group of one member.
 *
 * Happy path: the first tick makes the follower a candidate of the next term; its own vote, once
 * durable, is the majority, so it leads; its no-op, once durable, commits everything before it;
 * from then on every entry commits when it is durable, and every read is confirmed at once.
 *
 * Failure modes: there is nobody to lose leadership to.  What can go wrong here is the caller: an
 * answer about another term, an index that goes back.  The first is dropped (it can be late), the
 * second is a bug and asserted.
 */

#include "raft/raft.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/error.h"

struct raft {
    uint64_t node_id;
    enum raft_role role;
    uint64_t term;
    uint64_t voted_for;
    uint64_t leader;
    uint64_t last_index;
    uint64_t last_term;
    uint64_t stored_index;
    uint64_t commit_index;
    uint64_t applied_index;
    uint64_t term_first_index; /* the no-op of this term as leader; 0 before it is appended */
    bool vote_stored;          /* term and voted_for are durable */
    bool ticked;
    struct configuration configuration;
};

/*
 * Roles (dissertation, figure 3.3).  A group of one never falls back.
 *
 *   FOLLOWER ──tick──► CANDIDATE ──own vote durable──► LEADER
 */
static const bool role_moves[4][4] = {
    [RAFT_FOLLOWER][RAFT_CANDIDATE] = true,
    [RAFT_CANDIDATE][RAFT_LEADER] = true,
};

static void role_set(struct raft *raft, enum raft_role role) {
    ASSERT(role_moves[raft->role][role]);
    raft->role = role;
}

int raft_create(struct raft **out, const struct raft_options *options) {
    if (options->configuration.member_count != 1) {
        return WEIR_EUNSUPPORTED;
    }
    const struct configuration_member *self =
        configuration_find(&options->configuration, options->node_id);
    if (self == NULL || (self->roles & CONFIGURATION_VOTER) == 0 ||
        options->term < options->last_term) {
        return WEIR_EINVAL;
    }
    struct raft *raft = calloc(1, sizeof(*raft));
    if (raft == NULL) {
        return WEIR_ENOMEM;
    }
    raft->node_id = options->node_id;
    raft->role = RAFT_FOLLOWER;
    raft->term = options->term;
    raft->voted_for = options->voted_for;
    raft->vote_stored = true;
    raft->last_index = options->last_index;
    raft->last_term = options->last_term;
    raft->stored_index = options->last_index; /* it was read back from disk */
    raft->commit_index = options->snapshot_index;
    raft->applied_index = options->snapshot_index;
    raft->configuration = options->configuration;
    raft_check(raft);
    *out = raft;
    return WEIR_OK;
}

void raft_destroy(struct raft *raft) {
    free(raft);
}

static struct raft_action *action_add(struct raft_actions *actions, enum raft_action_kind kind) {
    ASSERT(actions->count < RAFT_ACTIONS_MAX);
    struct raft_action *action = &actions->action[actions->count++];
    *action = (struct raft_action){.kind = kind};
    return action;
}

static void role_tell(const struct raft *raft, struct raft_actions *actions) {
    struct raft_action *action = action_add(actions, RAFT_ACTION_ROLE);
    action->role = raft->role;
    action->term = raft->term;
    action->node_id = raft->leader;
}

/* Starts an election: a new term, and our vote for ourselves (dissertation 3.4). */
static void campaign(struct raft *raft, struct raft_actions *actions) {
    ASSERT(raft->vote_stored);
    ASSERT(raft->term < UINT64_MAX);
    role_set(raft, RAFT_CANDIDATE);
    raft->term++;
    raft->voted_for = raft->node_id;
    raft->vote_stored = false;
    raft->leader = 0;
    role_tell(raft, actions);
    struct raft_action *action = action_add(actions, RAFT_ACTION_STORE_VOTE);
    action->term = raft->term;
    action->node_id = raft->voted_for;
}

/* Our vote is durable: of one member it is the majority.  A term begins with a no-op (6.4). */
static void win(struct raft *raft, struct raft_actions *actions) {
    role_set(raft, RAFT_LEADER);
    raft->leader = raft->node_id;
    raft->term_first_index = 0;
    role_tell(raft, actions);
    action_add(actions, RAFT_ACTION_APPEND_NOOP)->term = raft->term;
}

/* Commits what is durable, counting only from an entry of this term on (3.6.2, figure 3.7). */
static void commit_advance(struct raft *raft, struct raft_actions *actions) {
    if (raft->role != RAFT_LEADER || raft->term_first_index == 0 ||
        raft->stored_index < raft->term_first_index || raft->stored_index <= raft->commit_index) {
        return;
    }
    raft->commit_index = raft->stored_index;
    action_add(actions, RAFT_ACTION_COMMIT)->index = raft->commit_index;
}

static void on_appended(struct raft *raft, const struct raft_event *event) {
    ASSERT(raft->role == RAFT_LEADER);
    ASSERT(event->term == raft->term);
    ASSERT(event->index > raft->last_index);
    if (raft->term_first_index == 0) {
        raft->term_first_index = raft->last_index + 1;
    }
    raft->last_index = event->index;
    raft->last_term = event->term;
}

static void on_stored(struct raft *raft, const struct raft_event *event,
                      struct raft_actions *actions) {
    ASSERT(event->index <= raft->last_index);
    ASSERT(event->term <= raft->last_term);
    if (event->index > raft->stored_index) {
        raft->stored_index = event->index;
    }
    commit_advance(raft, actions);
}

static void on_read(const struct raft *raft, const struct raft_event *event,
                    struct raft_actions *actions) {
    bool ready = raft->role == RAFT_LEADER && raft_serving(raft);
    struct raft_action *action =
        action_add(actions, ready ? RAFT_ACTION_READ_READY : RAFT_ACTION_READ_FAILED);
    action->context = event->context;
    action->index = raft->commit_index;
}

void raft_step(struct raft *raft, const struct raft_event *event, struct raft_actions *actions) {
    actions->count = 0;
    switch (event->kind) {
    case RAFT_EVENT_TICK:
        raft->ticked = true;
        if (raft->role == RAFT_FOLLOWER) {
            campaign(raft, actions);
        }
        break;
    case RAFT_EVENT_VOTE_STORED:
        /* A late answer about an older term says nothing about this one. */
        if (event->term == raft->term && !raft->vote_stored) {
            raft->vote_stored = true;
            win(raft, actions);
        }
        break;
    case RAFT_EVENT_APPENDED: on_appended(raft, event); break;
    case RAFT_EVENT_STORED: on_stored(raft, event, actions); break;
    case RAFT_EVENT_APPLIED:
        ASSERT(event->index >= raft->applied_index);
        ASSERT(event->index <= raft->commit_index);
        raft->applied_index = event->index;
        break;
    case RAFT_EVENT_READ: on_read(raft, event, actions); break;
    default: UNREACHABLE("an event kind of this header");
    }
    raft_check(raft);
}

int raft_propose(const struct raft *raft, uint32_t count, uint64_t *first_index, uint64_t *term) {
    ASSERT(count > 0);
    if (raft->role != RAFT_LEADER || raft->term_first_index == 0) {
        return WEIR_EAGAIN;
    }
    *first_index = raft->last_index + 1;
    *term = raft->term;
    return WEIR_OK;
}

enum raft_role raft_role(const struct raft *raft) {
    return raft->role;
}

uint64_t raft_term(const struct raft *raft) {
    return raft->term;
}

uint64_t raft_leader(const struct raft *raft) {
    return raft->leader;
}

uint64_t raft_commit_index(const struct raft *raft) {
    return raft->commit_index;
}

uint64_t raft_last_index(const struct raft *raft) {
    return raft->last_index;
}

bool raft_serving(const struct raft *raft) {
    return raft->role == RAFT_LEADER && raft->term_first_index != 0 &&
           raft->commit_index >= raft->term_first_index;
}

uint64_t raft_deadline_ns(const struct raft *raft) {
    /* A follower of itself campaigns at its first tick; after that time means nothing to it. */
    return raft->role == RAFT_FOLLOWER && !raft->ticked ? 0 : UINT64_MAX;
}

void raft_check(const struct raft *raft) {
    ASSERT(raft->applied_index <= raft->commit_index);
    ASSERT(raft->commit_index <= raft->last_index || raft->last_index == 0);
    ASSERT(raft->stored_index <= raft->last_index);
    ASSERT(raft->last_term <= raft->term);
    ASSERT(raft->role != RAFT_LEADER || (raft->vote_stored && raft->voted_for == raft->node_id));
    ASSERT(raft->term_first_index == 0 || raft->role == RAFT_LEADER);
}
