/*
 * Changes of members and of the leader: from the box of stages/change.h to the core and back.
 *
 * Happy path: the request is made a configuration (or a transfer), the core takes it, and says when
 * it is committed (or somebody else leads).
 *
 * Failure modes: it is refused, by what is known here or by the core, and nothing was changed.
 * Leadership is lost meanwhile: nobody here can know whether the change comes about.  A transfer is
 * given up by the core after an election time-out.
 */

#include "base/assert.h"
#include "base/error.h"
#include "base/log.h"
#include "stages/replicate_internal.h"

static void tell(struct replicate_shard *shard, enum change_state state, const char *reason) {
    shard->change_under_way = state == CHANGE_ACCEPTED;
    change_tell(&shard->node->changes, state, reason);
}

/* ---- the configuration wanted --------------------------------------------------------------- */

/* Where a node stands, or would stand. */
static uint32_t position_of(const struct configuration *wanted, uint64_t node_id) {
    uint32_t at = 0;
    while (at < wanted->member_count && wanted->members[at].node_id < node_id) {
        at++;
    }
    return at;
}

static const char *add(struct replicate_shard *shard, struct configuration *wanted, uint32_t at,
                       const struct change_edit *edit) {
    uint64_t known = replicate_members_incarnation(shard, edit->node_id);
    uint64_t incarnation = edit->incarnation == 0 ? known : edit->incarnation;
    if (wanted->member_count == CONFIGURATION_MEMBERS_MAX) {
        return "there are as many members as there can be";
    }
    if (replicate_row(shard, edit->node_id) == NULL) {
        return "there is no room for one more node now: nodes that are no members any more make "
               "some, so ask again; if that does not help, the address book has too many others";
    }
    if (incarnation == 0) {
        return "the new node has not introduced itself yet: start it, and ask again";
    }
    for (uint32_t i = wanted->member_count; i > at; i--) {
        wanted->members[i] = wanted->members[i - 1];
    }
    wanted->members[at] = (struct configuration_member){
        .node_id = edit->node_id, .incarnation = incarnation, .roles = CONFIGURATION_LEARNER};
    wanted->member_count++;
    return NULL;
}

static const char *apply_edit(struct replicate_shard *shard, struct configuration *wanted,
                              const struct change_edit *edit) {
    uint32_t at = position_of(wanted, edit->node_id);
    bool is_member = at < wanted->member_count && wanted->members[at].node_id == edit->node_id;
    if (edit->node_id == 0) {
        return "no node has the id 0";
    }
    if (edit->kind == CHANGE_ADD_LEARNER) {
        return is_member ? "it is a member already" : add(shard, wanted, at, edit);
    }
    if (!is_member) {
        return "it is no member";
    }
    if (edit->kind == CHANGE_PROMOTE) {
        if (wanted->members[at].roles == CONFIGURATION_VOTER) {
            return "it is a voter already";
        }
        wanted->members[at].roles = CONFIGURATION_VOTER;
        return NULL;
    }
    ASSERT(edit->kind == CHANGE_REMOVE);
    wanted->member_count--;
    for (uint32_t i = at; i < wanted->member_count; i++) {
        wanted->members[i] = wanted->members[i + 1];
    }
    return NULL;
}

/* The configuration in force with the edits made, and with every incarnation that is known here.
 * NULL, or why not. */
static const char *wanted_of(struct replicate_shard *shard, const struct change_request *request,
                             struct configuration *wanted) {
    const struct configuration *now = raft_configuration(shard->raft);
    ASSERT(request->edit_count <= CONFIGURATION_MEMBERS_MAX);
    *wanted =
        (struct configuration){.flags = (now->flags | request->flags_set) & ~request->flags_clear};
    wanted->lease_ms = (wanted->flags & CONFIGURATION_LEASES) == 0 ? 0 : now->lease_ms;
    for (uint32_t i = 0; i < now->member_count; i++) {
        struct configuration_member member = now->members[i];
        member.roles &= (uint8_t)~CONFIGURATION_OUTGOING;
        if (member.roles != 0) {
            member.incarnation = replicate_members_incarnation(shard, member.node_id);
            wanted->members[wanted->member_count++] = member;
        }
    }
    for (uint32_t i = 0; i < request->edit_count; i++) {
        const char *reason = apply_edit(shard, wanted, &request->edits[i]);
        if (reason != NULL) {
            return reason;
        }
    }
    return configuration_valid(wanted) ? NULL : raft_refusal_name(RAFT_REFUSAL_CONFIGURATION);
}

/* ---- the turn ------------------------------------------------------------------------------- */

bool replicate_change_take(struct replicate_shard *shard) {
    const struct change_request *request = change_asked(&shard->node->changes);
    if (request == NULL || shard->failed || shard->stop_started) {
        return false;
    }
    if (shard->links == NULL) {
        tell(shard, CHANGE_REFUSED, "a cluster of one has neither members nor leaders to change");
        return true;
    }
    if (raft_role(shard->raft) != RAFT_LEADER) {
        tell(shard, CHANGE_REFUSED, raft_refusal_name(RAFT_REFUSAL_NOT_LEADER));
        return true;
    }
    struct configuration wanted;
    struct raft_event event = {.kind = RAFT_EVENT_TRANSFER, .node_id = request->leader};
    if (request->kind == CHANGE_MEMBERS) {
        const char *reason = wanted_of(shard, request, &wanted);
        if (reason != NULL) {
            tell(shard, CHANGE_REFUSED, reason);
            return true;
        }
        event = (struct raft_event){.kind = RAFT_EVENT_CONFIGURE, .configuration = &wanted};
    }
    tell(shard, CHANGE_ACCEPTED, ""); /* unless this very step says otherwise */
    shard->change_asking = true;
    replicate_step(shard, &event);
    shard->change_asking = false;
    return true;
}

void replicate_change_refused(struct replicate_shard *shard, enum raft_refusal refusal) {
    if (shard->change_asking) {
        ASSERT(shard->change_under_way);
        tell(shard, CHANGE_REFUSED, raft_refusal_name(refusal));
    } else { /* the node has asked for its leases, and does so again */
        log_info("configuration_refused", "reason=\"%s\"", raft_refusal_name(refusal));
    }
}

void replicate_change_configured(struct replicate_shard *shard) {
    /* It may be a change that another leader began; then nothing is under way here. */
    if (shard->change_under_way && shard->node->changes.request.kind == CHANGE_MEMBERS) {
        tell(shard, CHANGE_DONE, "");
    }
}

void replicate_change_given_up(struct replicate_shard *shard) {
    if (shard->change_under_way && shard->node->changes.request.kind == CHANGE_LEADER) {
        tell(shard, CHANGE_FAILED, "the other node did not take over in time; this one leads on");
    }
}

void replicate_change_role(struct replicate_shard *shard, enum raft_role role, uint64_t leader) {
    if (!shard->change_under_way) {
        return;
    }
    const struct change_request *request = &shard->node->changes.request;
    bool is_leader = role == RAFT_LEADER;
    if (request->kind == CHANGE_MEMBERS) {
        tell(shard, CHANGE_UNKNOWN, "leadership was lost before the change was committed");
    } else if (role == RAFT_FOLLOWER && leader == request->leader) {
        tell(shard, CHANGE_DONE, "");
    } else if (is_leader || (role == RAFT_FOLLOWER && leader != 0)) {
        tell(shard, CHANGE_FAILED,
             is_leader ? "this node leads again" : "another node won the election");
    } /* else nobody leads yet */
}

void replicate_change_end(struct replicate_shard *shard) {
    if (shard->change_under_way) {
        tell(shard, CHANGE_UNKNOWN, "the node stops");
    } else if (change_asked(&shard->node->changes) != NULL) {
        tell(shard, CHANGE_REFUSED, "the node stops");
    }
}
