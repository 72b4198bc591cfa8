/*
 * The stack of configurations, and the steps of a change.
 *
 * Happy path: a configuration is appended and in force; when it is committed, those before it are
 * forgotten.
 *
 * Failure mode: its entry is truncated: the one before it is in force again.
 */

#include "raft/membership.h"

#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "raft/quorum.h"

void membership_init(struct membership *membership, const struct raft_configuration_entry *found,
                     uint32_t count) {
    ASSERT(count >= 1 && count <= RAFT_CONFIGURATIONS_MAX);
    memcpy(membership->stack, found, count * sizeof(found[0]));
    membership->count = count;
    membership_check(membership);
}

void membership_install(struct membership *membership, uint64_t index,
                        const struct configuration *configuration) {
    ASSERT(configuration_valid(configuration));
    membership->stack[0].index = index;
    membership->stack[0].configuration = *configuration;
    membership->count = 1;
}

void membership_append(struct membership *membership, uint64_t index,
                       const struct configuration *configuration) {
    if (membership->count == RAFT_CONFIGURATIONS_MAX) {
        membership->count--;
        memmove(&membership->stack[0], &membership->stack[1],
                membership->count * sizeof(membership->stack[0]));
    }
    ASSERT(index > membership_index(membership));
    ASSERT(configuration_valid(configuration));
    struct raft_configuration_entry *entry = &membership->stack[membership->count++];
    entry->index = index;
    entry->configuration = *configuration;
}

bool membership_truncate(struct membership *membership, uint64_t index) {
    ASSERT(membership->stack[0].index <= index);
    uint32_t count = membership->count;
    while (membership_index(membership) > index) {
        membership->count--;
    }
    return membership->count != count;
}

void membership_commit(struct membership *membership, uint64_t index) {
    uint32_t before = 0;
    while (before + 1 < membership->count && membership->stack[before + 1].index <= index) {
        before++;
    }
    if (before > 0) {
        membership->count -= before;
        memmove(&membership->stack[0], &membership->stack[before],
                membership->count * sizeof(membership->stack[0]));
    }
}

const struct configuration *membership_current(const struct membership *membership) {
    ASSERT_HOT(membership->count >= 1);
    return &membership->stack[membership->count - 1].configuration;
}

uint64_t membership_index(const struct membership *membership) {
    ASSERT_HOT(membership->count >= 1);
    return membership->stack[membership->count - 1].index;
}

/* ---- changes --------------------------------------------------------------------------------- */

static bool votes(const struct configuration_member *member) {
    return member != NULL && (member->roles & CONFIGURATION_VOTER) != 0;
}

static bool same_voters(const struct configuration *a, const struct configuration *b) {
    uint32_t difference = 0;
    for (uint32_t i = 0; i < a->member_count; i++) {
        const struct configuration_member *other = configuration_find(b, a->members[i].node_id);
        difference += votes(&a->members[i]) && !votes(other) ? 1 : 0;
    }
    for (uint32_t i = 0; i < b->member_count; i++) {
        const struct configuration_member *other = configuration_find(a, b->members[i].node_id);
        difference += votes(&b->members[i]) && !votes(other) ? 1 : 0;
    }
    return difference == 0;
}

static bool same(const struct configuration *a, const struct configuration *b) {
    if (a->member_count != b->member_count || a->flags != b->flags || a->lease_ms != b->lease_ms) {
        return false;
    }
    for (uint32_t i = 0; i < a->member_count; i++) {
        if (a->members[i].node_id != b->members[i].node_id ||
            a->members[i].incarnation != b->members[i].incarnation ||
            a->members[i].roles != b->members[i].roles) {
            return false;
        }
    }
    return true;
}

/* A member of both, as the next configuration has it. */
static struct configuration_member merge(const struct configuration_member *current,
                                         const struct configuration_member *wanted, bool joint) {
    struct configuration_member member = *wanted;
    if (member.incarnation == 0) {
        member.incarnation = current->incarnation;
    }
    if (joint && votes(current)) {
        member.roles |= CONFIGURATION_OUTGOING;
    }
    return member;
}

/* Both sorted by id, so is the result: wanted's members, and the outgoing voters if it is joint.
 * False if there are too many. */
static bool unite(const struct configuration *current, const struct configuration *wanted,
                  bool joint, struct configuration *next) {
    uint32_t c = 0;
    uint32_t w = 0;
    while (c < current->member_count || w < wanted->member_count) {
        const struct configuration_member *old =
            c < current->member_count ? &current->members[c] : NULL;
        const struct configuration_member *new =
            w < wanted->member_count ? &wanted->members[w] : NULL;
        struct configuration_member member;
        if (old == NULL || (new != NULL &&new->node_id < old->node_id)) {
            member = *new;
            w++;
        } else if (new == NULL || old->node_id < new->node_id) {
            c++;
            if (!votes(old)) {
                continue; /* a learner that is not wanted is gone at once */
            }
            member = *old;
            member.roles = CONFIGURATION_OUTGOING;
        } else {
            member = merge(old, new, joint);
            c++;
            w++;
        }
        if (next->member_count == CONFIGURATION_MEMBERS_MAX) {
            return false;
        }
        next->members[next->member_count++] = member;
    }
    return true;
}

/* A voter counts with the disk that it voted with: under another incarnation it would be counted
 * for what only its old disk had. */
static bool incarnations_agree(const struct configuration *current,
                               const struct configuration *wanted) {
    for (uint32_t i = 0; i < wanted->member_count; i++) {
        const struct configuration_member *member = &wanted->members[i];
        const struct configuration_member *old = configuration_find(current, member->node_id);
        if (old != NULL && (votes(old) || votes(member)) && old->incarnation != 0 &&
            member->incarnation != 0 && member->incarnation != old->incarnation) {
            return false;
        }
    }
    return true;
}

int membership_change(const struct configuration *current, const struct configuration *wanted,
                      struct configuration *next) {
    ASSERT(configuration_valid(current) && !quorum_is_joint(current));
    ASSERT(next != current && next != wanted);
    if (!configuration_valid(wanted) || quorum_is_joint(wanted) ||
        !incarnations_agree(current, wanted)) {
        return WEIR_EINVAL;
    }
    struct configuration united = {.flags = wanted->flags, .lease_ms = wanted->lease_ms};
    if (!unite(current, wanted, !same_voters(current, wanted), &united) || same(current, &united)) {
        return WEIR_EINVAL;
    }
    ASSERT(configuration_valid(&united));
    *next = united;
    return WEIR_OK;
}

void membership_leave(const struct configuration *joint, struct configuration *next) {
    ASSERT(configuration_valid(joint) && quorum_is_joint(joint));
    ASSERT(next != joint);
    *next = (struct configuration){.flags = joint->flags, .lease_ms = joint->lease_ms};
    for (uint32_t i = 0; i < joint->member_count; i++) {
        struct configuration_member member = joint->members[i];
        member.roles &= (uint8_t)~CONFIGURATION_OUTGOING;
        if (member.roles != 0) {
            next->members[next->member_count++] = member;
        }
    }
    ASSERT(configuration_valid(next));
}

void membership_check(const struct membership *membership) {
    ASSERT(membership->count >= 1 && membership->count <= RAFT_CONFIGURATIONS_MAX);
    for (uint32_t i = 0; i < membership->count; i++) {
        ASSERT(configuration_valid(&membership->stack[i].configuration));
        ASSERT(i == 0 || membership->stack[i].index > membership->stack[i - 1].index);
    }
}
