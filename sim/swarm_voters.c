/*
 * Which configurations there are, and what is a quorum.  See sim/swarm_internal.h.
 *
 * The list begins with entry 1; each configuration entry that is seen in a log for the first time
 * is added, with the one before it in that log.  So it is a tree, of which the committed log is a
 * path.  Two rules make joint consensus right (Ongaro's dissertation, 4.3), and are judged here by
 * the entries alone, whatever the nodes believe:
 *
 *   - a configuration is appended only when the one before it is committed;
 *   - an entry is committed by a quorum of the configuration in force.  That is the last one up to
 *     the entry, or the next one behind it, which may have come before the entry was committed; but
 *     a configuration entry itself is committed by its own quorum, since nothing follows earlier.
 *
 * Failure modes: what was in a log before a start is not in memory, and its chain is not known.
 * A configuration that may or may not be in a log then counts as being there, and a commit is right
 * if it is by any that may have been in force.
 */

#include "sim/swarm_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "entry/entry.h"
#include "raft/raft.h"

/* ---- quorums -------------------------------------------------------------------------------- */

bool swarm_voters_quorum(const struct configuration *members, uint32_t nodes) {
    static const uint8_t roles[] = {CONFIGURATION_VOTER, CONFIGURATION_OUTGOING};
    for (uint32_t set = 0; set < 2; set++) {
        uint32_t voters = 0;
        uint32_t count = 0;
        for (uint32_t i = 0; i < members->member_count; i++) {
            if ((members->members[i].roles & roles[set]) != 0) {
                ASSERT(members->members[i].node_id <= SWARM_NODES_MAX);
                voters++;
                count += nodes >> (members->members[i].node_id - 1) & 1;
            }
        }
        if (voters > 0 && 2 * count <= voters) {
            return false;
        }
    }
    return true;
}

/* ---- what is in a log ----------------------------------------------------------------------- */

enum there { THERE_NO, THERE_MAYBE, THERE_YES };

/* Whether a configuration is in the committed log. */
static enum there in_committed(const struct swarm_check *check,
                               const struct swarm_configuration *each) {
    if (each->index > check->committed_count) {
        return THERE_NO;
    }
    uint64_t chain = check->committed[each->index - 1].chain;
    if (each->chain == 0 || chain == each->chain) {
        return THERE_YES;
    }
    return chain == 0 ? THERE_MAYBE : THERE_NO;
}

/* Whether it is in the log of a node, up to index. */
static enum there in_log(const struct swarm_check *check, uint32_t node, uint64_t index,
                         const struct swarm_configuration *each) {
    const struct swarm_seen *seen = &check->nodes[node];
    if (each->index > index) {
        return THERE_NO;
    }
    uint64_t chain = each->index < seen->chain_count ? seen->chains[each->index] : 0;
    if (each->chain == 0 || chain == each->chain) {
        return THERE_YES;
    }
    if (chain != 0) {
        return THERE_NO;
    }
    return each->index <= check->committed_count ? in_committed(check, each) : THERE_MAYBE;
}

/* The last configuration that is in the log of a node up to index; SWARM_CHECK_UNKNOWN: there may
 * be another one behind it. */
static uint32_t last_in_log(const struct swarm_check *check, uint32_t node, uint64_t index) {
    uint32_t last = 0;
    for (uint32_t i = 1; i < check->configuration_count; i++) {
        if (check->configurations[i].index > check->configurations[last].index &&
            in_log(check, node, index, &check->configurations[i]) == THERE_YES) {
            last = i;
        }
    }
    for (uint32_t i = 1; i < check->configuration_count; i++) {
        if (check->configurations[i].index > check->configurations[last].index &&
            in_log(check, node, index, &check->configurations[i]) == THERE_MAYBE) {
            return SWARM_CHECK_UNKNOWN;
        }
    }
    return last;
}

/* ---- seeing --------------------------------------------------------------------------------- */

void swarm_voters_first(struct swarm_check *check, uint32_t founders) {
    struct swarm_configuration *first = &check->configurations[0];
    ASSERT(check->configuration_count == 0 && founders > 0);
    *first = (struct swarm_configuration){.index = 1, .previous = SWARM_CHECK_UNKNOWN};
    for (uint32_t i = 0; i < founders; i++) {
        first->members.members[i] =
            (struct configuration_member){.node_id = i + 1, .roles = CONFIGURATION_VOTER};
    }
    first->members.member_count = founders;
    check->configuration_count = 1;
}

/* The members as text: "1 2 3", outgoing ones with a minus, incoming ones of a joint configuration
 * with a plus, learners in brackets. */
static void say_members(struct swarm *swarm, uint32_t node,
                        const struct swarm_configuration *each) {
    char text[SWARM_TEXT_BYTES] = "";
    int used = 0;
    bool joint = false;
    for (uint32_t i = 0; i < each->members.member_count; i++) {
        joint |= (each->members.members[i].roles & CONFIGURATION_OUTGOING) != 0;
    }
    for (uint32_t i = 0; i < each->members.member_count; i++) {
        const struct configuration_member *member = &each->members.members[i];
        bool voter = (member->roles & CONFIGURATION_VOTER) != 0;
        bool outgoing = (member->roles & CONFIGURATION_OUTGOING) != 0;
        bool learner = !voter && !outgoing;
        const char *sign = learner ? "(" : !voter ? "-" : joint && !outgoing ? "+" : "";
        used += snprintf(text + used, sizeof(text) - (size_t)used, " %s%u%s", sign,
                         (unsigned)member->node_id, learner ? ")" : "");
    }
    swarm_say(swarm, "node %u has %smembers%s, index %" PRIu64, node + 1, joint ? "joint " : "",
              text, each->index);
}

void swarm_voters_saw(struct swarm *swarm, uint32_t node, const uint8_t *entry, uint64_t commit) {
    struct swarm_check *check = &swarm->check;
    struct entry_header header = entry_header_read(entry);
    if (header.index <= 1) {
        return;
    }
    for (uint32_t i = 0; i < check->configuration_count; i++) {
        if (check->configurations[i].index == header.index &&
            check->configurations[i].chain == header.chain) {
            return;
        }
    }
    if (check->configuration_count == SWARM_CHECK_CONFIGURATIONS_MAX) {
        swarm_find(swarm, "there are more configurations than were asked for");
        return;
    }
    uint32_t previous = last_in_log(check, node, header.index - 1);
    struct swarm_configuration *seen = &check->configurations[check->configuration_count++];
    *seen = (struct swarm_configuration){
        .index = header.index, .chain = header.chain, .previous = previous};
    int status = configuration_read(entry + ENTRY_HEADER_BYTES,
                                    header.length_bytes - ENTRY_HEADER_BYTES, &seen->members);
    if (status != 0) {
        swarm_find(swarm, "node %u: the configuration at index %" PRIu64 " is not valid", node + 1,
                   header.index);
        return;
    }
    say_members(swarm, node, seen);
    for (uint32_t i = 0; i < seen->members.member_count; i++) {
        uint32_t place = (uint32_t)seen->members.members[i].node_id - 1;
        struct swarm_node *member = &swarm->nodes[place];
        /* A new member, with an empty disk. Nobody waits for a founder: it takes part if all the
         * other founders learn of its new life, and else its id is used up with its disk. */
        if (seen->members.members[i].incarnation == member->incarnation && !member->wipe) {
            member->added_anew = member->lost;
            member->lost = member->lost && place < swarm->plan->founder_count;
        }
    }
    commit = commit > check->committed_count ? commit : check->committed_count;
    if (previous != SWARM_CHECK_UNKNOWN && check->configurations[previous].index > commit) {
        swarm_find(swarm,
                   "node %u appends a configuration at index %" PRIu64 " and the one at %" PRIu64
                   " is not committed",
                   node + 1, header.index, check->configurations[previous].index);
    }
}

/* Whether they have the same members in the same roles. */
static bool same_members(const struct configuration *a, const struct configuration *b) {
    bool same = a->member_count == b->member_count;
    for (uint32_t i = 0; same && i < a->member_count; i++) {
        same = a->members[i].node_id == b->members[i].node_id &&
               a->members[i].roles == b->members[i].roles;
    }
    return same;
}

void swarm_voters_in_force(struct swarm *swarm, uint32_t node) {
    const struct swarm_check *check = &swarm->check;
    uint64_t log_last = check->nodes[node].last_index;
    uint32_t last = log_last <= 1 ? SWARM_CHECK_UNKNOWN : last_in_log(check, node, log_last);
    if (last == SWARM_CHECK_UNKNOWN) {
        return; /* nobody has told it of the others yet; or not all of its log is known */
    }
    const struct swarm_configuration *expected = &check->configurations[last];
    if (!same_members(raft_configuration(sim_node_raft(swarm->nodes[node].node)),
                      &expected->members)) {
        swarm_find(swarm,
                   "node %u goes by other members than those at index %" PRIu64
                   ", the last ones in its log, which ends at %" PRIu64,
                   node + 1, expected->index, log_last);
    }
}

/* ---- what may be committed ------------------------------------------------------------------ */

bool swarm_voters_may_commit(const struct swarm *swarm, uint32_t node, uint64_t index,
                             uint32_t nodes) {
    const struct swarm_check *check = &swarm->check;
    uint32_t last = last_in_log(check, node, index);
    for (uint32_t i = 0; i < check->configuration_count; i++) {
        const struct swarm_configuration *each = &check->configurations[i];
        bool in_force = i == last || last == SWARM_CHECK_UNKNOWN;
        bool next = !in_force && each->previous == last &&
                    check->configurations[last].index < index && each->index > index;
        if ((in_force || next) && swarm_voters_quorum(&each->members, nodes)) {
            return true;
        }
    }
    return false;
}

bool swarm_voters_may_lead(const struct swarm *swarm, uint32_t node, uint32_t nodes) {
    const struct swarm_check *check = &swarm->check;
    uint32_t last = last_in_log(check, node, check->nodes[node].last_index);
    for (uint32_t i = 0; i < check->configuration_count; i++) {
        if ((i == last || last == SWARM_CHECK_UNKNOWN) &&
            swarm_voters_quorum(&check->configurations[i].members, nodes)) {
            return true;
        }
    }
    return false;
}

static uint32_t committed_place(const struct swarm_check *check) {
    uint32_t last = 0;
    for (uint32_t i = 1; i < check->configuration_count; i++) {
        if (check->configurations[i].index > check->configurations[last].index &&
            in_committed(check, &check->configurations[i]) == THERE_YES) {
            last = i;
        }
    }
    return last;
}

const struct configuration *swarm_voters_committed(const struct swarm *swarm) {
    return &swarm->check.configurations[committed_place(&swarm->check)].members;
}

/* Whether a configuration is in force, or may come into force yet; `committed` is the last one that
 * was committed. */
static bool may_come(const struct swarm_check *check, uint32_t committed, uint32_t place) {
    const struct swarm_configuration *each = &check->configurations[place];
    if (place == committed) {
        return true;
    }
    return each->index > check->configurations[committed].index &&
           (each->index > check->committed_count || in_committed(check, each) != THERE_NO);
}

bool swarm_voters_quorum_of_all(const struct swarm *swarm, uint32_t nodes) {
    const struct swarm_check *check = &swarm->check;
    uint32_t committed = committed_place(check);
    for (uint32_t i = 0; i < check->configuration_count; i++) {
        if (may_come(check, committed, i) &&
            !swarm_voters_quorum(&check->configurations[i].members, nodes)) {
            return false;
        }
    }
    return true;
}

uint32_t swarm_voters_all(const struct swarm *swarm) {
    const struct swarm_check *check = &swarm->check;
    uint32_t committed = committed_place(check);
    uint32_t voters = 0;
    for (uint32_t i = 0; i < check->configuration_count; i++) {
        const struct configuration *members = &check->configurations[i].members;
        for (uint32_t j = 0; j < members->member_count && may_come(check, committed, i); j++) {
            if (members->members[j].roles != CONFIGURATION_LEARNER) {
                voters |= 1U << (members->members[j].node_id - 1);
            }
        }
    }
    return voters;
}

/* ---- disks ---------------------------------------------------------------------------------- */

uint32_t swarm_voters_lost(const struct swarm *swarm) {
    uint32_t lost = 0;
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        lost |= (uint32_t)(swarm->nodes[i].damaged || swarm->nodes[i].lost) << i;
    }
    return lost;
}

bool swarm_voters_may_lose(const struct swarm *swarm, uint32_t index) {
    uint32_t lost = swarm_voters_lost(swarm) | 1U << index;
    return !swarm_members_open(swarm) && swarm_voters_quorum_of_all(swarm, ~lost);
}

bool swarm_voters_counts(const struct swarm *swarm, uint32_t index) {
    return (swarm_voters_lost(swarm) >> index & 1) == 0 &&
           configuration_find(swarm_voters_committed(swarm), index + 1) != NULL;
}
