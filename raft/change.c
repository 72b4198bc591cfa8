/*
 * Membership changes by joint consensus (dissertation 4.3; the erratum to 4.1).
 *
 * Happy path: the wanted configuration is checked, the joint one appended and in force at once;
 * when it is committed (by both majorities), the new one is appended, and the change is over when
 * that is committed.  A leader that is not in it leads until then, and steps down.
 *
 * Failure modes: the leader changes in between: whoever is elected has the joint configuration in
 * its log or not; if so, it goes on from there as soon as it has committed an entry of its own
 * term.  The joint configuration is truncated: the one before it is in force again.  A second
 * change, or one before the term's first commit, is refused: two changes at a time, or one built
 * on a configuration that another leader has already replaced, would give two majorities that do
 * not meet.  A new voter that has no log yet is refused: it could be needed for the next commit;
 * it catches up as a learner first (4.2.1).
 */

#include "base/error.h"
#include "raft/raft_internal.h"

void raft_self_find(struct raft *raft) {
    const struct configuration *configuration = raft_members(raft);
    uint32_t voters = 0;
    raft->self = CONFIGURATION_MEMBERS_MAX;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        const struct configuration_member *member = &configuration->members[i];
        if (member->node_id == raft->node_id) {
            raft->self = i;
        }
        voters += (member->roles & (CONFIGURATION_VOTER | CONFIGURATION_OUTGOING)) != 0 ? 1 : 0;
    }
    raft->only_voter = voters == 1 && quorum_is_voter(configuration, raft->node_id);
}

void raft_members_changed(struct raft *raft) {
    raft_self_find(raft);
    if (raft->role == RAFT_LEADER) {
        raft_peers_follow(raft);
    }
}

/* Every new voter is a learner that has (nearly) what is committed. */
static bool caught_up(struct raft *raft, const struct configuration *wanted) {
    for (uint32_t i = 0; i < wanted->member_count; i++) {
        const struct configuration_member *member = &wanted->members[i];
        if ((member->roles & CONFIGURATION_VOTER) == 0 ||
            quorum_is_voter(raft_members(raft), member->node_id)) {
            continue;
        }
        const struct progress *peer = raft_peer(raft, member->node_id);
        if (peer == NULL || peer->state != PROGRESS_REPLICATE ||
            peer->match + RAFT_CAUGHT_UP_ENTRIES < raft->commit_index) {
            return false;
        }
    }
    return true;
}

static enum raft_refusal configure_check(struct raft *raft, const struct configuration *wanted,
                                         struct configuration *next) {
    if (raft->role != RAFT_LEADER) {
        return RAFT_REFUSAL_NOT_LEADER;
    }
    if (MUTANT(CHANGES_BEFORE_TERM, false, !raft_serving(raft))) {
        return RAFT_REFUSAL_NOT_SERVING;
    }
    if (raft->transfer_target != 0) {
        return RAFT_REFUSAL_TRANSFERRING;
    }
    if (raft->change_pending || raft->change_open) {
        return RAFT_REFUSAL_CHANGING;
    }
    if (membership_change(raft_members(raft), wanted, next) != WEIR_OK) {
        return RAFT_REFUSAL_CONFIGURATION;
    }
    return caught_up(raft, wanted) ? RAFT_REFUSAL_NONE : RAFT_REFUSAL_LAGGING;
}

static void append_ask(struct raft *raft, const struct configuration *next,
                       struct raft_actions *actions) {
    ASSERT(!raft->change_pending);
    raft->change = *next;
    raft->change_pending = true;
    struct raft_action *action = raft_action_add(actions, RAFT_ACTION_APPEND_CONFIGURATION);
    action->term = raft->term;
    action->configuration = &raft->change;
}

static void leave_ask(struct raft *raft, struct raft_actions *actions) {
    struct configuration next;
    membership_leave(raft_members(raft), &next);
    append_ask(raft, &next, actions);
}

void raft_on_configure(struct raft *raft, const struct raft_event *event,
                       struct raft_actions *actions) {
    struct configuration next;
    enum raft_refusal refusal = configure_check(raft, event->configuration, &next);
    if (refusal != RAFT_REFUSAL_NONE) {
        raft_action_add(actions, RAFT_ACTION_REFUSED)->refusal = refusal;
        return;
    }
    append_ask(raft, &next, actions);
}

void raft_change_appended(struct raft *raft, struct raft_actions *actions) {
    ASSERT(raft->role == RAFT_LEADER && raft->change_pending);
    raft->change_pending = false;
    raft->change_open = true;
    if (MUTANT(LEAVES_JOINT_EARLY, quorum_is_joint(raft_members(raft)), false)) {
        leave_ask(raft, actions);
    }
    if (raft->transfer_target != 0 && !quorum_is_voter(raft_members(raft), raft->transfer_target)) {
        raft_transfer_fail(raft, actions);
    }
    raft_rounds_advance(raft, actions); /* fewer may be needed now */
}

void raft_change_advance(struct raft *raft, struct raft_actions *actions) {
    ASSERT(raft->role == RAFT_LEADER);
    ASSERT(raft_serving(raft) ||
           MUTANT_IS(COMMITS_OLD_TERM)); /* commit rises by an entry of this term only */
    uint64_t index = membership_index(&raft->membership);
    if (!raft->change_open || index > raft->commit_index || raft->change_pending) {
        return;
    }
    const struct configuration *configuration = raft_members(raft);
    if (quorum_is_joint(configuration)) {
        leave_ask(raft, actions);
        return;
    }
    raft->change_open = false;
    struct raft_action *action = raft_action_add(actions, RAFT_ACTION_CONFIGURED);
    action->index = index;
    action->configuration = configuration;
    if (!quorum_is_voter(configuration, raft->node_id)) {
        raft_heartbeat(raft, actions); /* the others learn of the commit */
        raft_become_follower(raft, raft->term, 0, actions);
    }
}
