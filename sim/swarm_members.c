/*
 * Members that come and go.
 *
 * Happy path: an action draws what it wants of what is possible now: a node that was never there,
 * or was removed, is started and added as a learner; a learner becomes a voter; a member is
 * removed, also the leader; one goes and another one is promoted in the same step.  Whoever leads
 * is asked, and asked again when it refuses (it is too early: a learner must have caught up) or is
 * gone, until the action ends.
 *
 * What must be kept: the disks that are lost or damaged stay a minority of what is asked for.  A
 * change that would break this is not asked for.  What becomes of one is not demanded: the
 * configurations in the logs say it, and everything else is judged by them.
 *
 * Failure modes: a leader that dies takes its box with it; the next one is asked.  A change that
 * came about, of which nobody heard, is refused when it is asked for again, until the action ends.
 */

#include "sim/swarm_internal.h"

#include "base/assert.h"
#include "raft/raft.h"

enum {
    LOOK_MS = 20,      /* what became of a request is looked at so often */
    AGAIN_MS = 100,    /* what was refused is asked for again after so long */
    AMOUNTS = 1000000, /* what an action draws its own choices from */
};

enum choice { CHOICE_ADD, CHOICE_PROMOTE, CHOICE_REMOVE, CHOICE_REPLACE, CHOICES };

void swarm_members_draw(struct random *random, const struct swarm_plan *plan,
                        struct swarm_action *action) {
    (void)plan;
    action->amount = (int64_t)random_below(random, AMOUNTS);
}

/* ---- choosing ------------------------------------------------------------------------------- */

/* The nodes of these roles, bit n; of no role: those that are no member. */
static uint32_t nodes_of(const struct swarm *swarm, const struct configuration *members,
                         uint32_t roles) {
    uint32_t nodes = 0;
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        const struct configuration_member *member = configuration_find(members, i + 1);
        bool wanted = roles == 0 ? member == NULL : member != NULL && (member->roles & roles) != 0;
        nodes |= (uint32_t)wanted << i;
    }
    return nodes;
}

/* One of them; this one first.  There is one. */
static uint32_t one_of(uint32_t nodes, uint32_t first) {
    ASSERT(nodes != 0);
    for (uint32_t i = first;; i = (i + 1) % SWARM_NODES_MAX) {
        if ((nodes >> i & 1) != 0) {
            return i;
        }
    }
}

static void edit_add(struct change_request *request, enum change_edit_kind kind, uint32_t node) {
    request->edits[request->edit_count++] = (struct change_edit){.kind = kind, .node_id = node + 1};
}

/* What is asked for; false: nothing of this sort is possible. */
static bool choose(struct swarm *swarm, const struct configuration *members, enum choice choice,
                   uint32_t node, struct change_request *request) {
    uint32_t voters = nodes_of(swarm, members, CONFIGURATION_VOTER);
    uint32_t learners = nodes_of(swarm, members, CONFIGURATION_LEARNER);
    uint32_t others = nodes_of(swarm, members, 0);
    uint32_t lost_members = (voters | learners) & swarm_voters_lost(swarm);
    /* Who has lost its disk goes first. */
    uint32_t gone = one_of(lost_members != 0 ? lost_members : voters | learners, node);
    *request = (struct change_request){.kind = CHANGE_MEMBERS};
    switch (choice) {
    case CHOICE_ADD:
        if (others != 0) {
            edit_add(request, CHANGE_ADD_LEARNER, one_of(others, node));
        }
        break;
    case CHOICE_PROMOTE:
        if (learners != 0) {
            uint32_t promoted = one_of(learners, node);
            edit_add(request, CHANGE_PROMOTE, promoted);
            voters |= 1U << promoted;
        }
        break;
    case CHOICE_REPLACE:
        if (learners == 0) {
            break;
        }
        gone = one_of(voters, node);
        edit_add(request, CHANGE_PROMOTE, one_of(learners, node));
        voters |= 1U << one_of(learners, node);
        edit_add(request, CHANGE_REMOVE, gone);
        voters &= ~(1U << gone);
        break;
    case CHOICE_REMOVE:
        edit_add(request, CHANGE_REMOVE, gone);
        voters &= ~(1U << gone);
        break;
    case CHOICES: UNREACHABLE("no choice");
    }
    int lost = __builtin_popcount(voters & swarm_voters_lost(swarm));
    return request->edit_count > 0 && voters != 0 && 2 * lost < __builtin_popcount(voters);
}

void swarm_members_begin(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    struct swarm_change *change = &swarm->change;
    uint32_t leader = swarm_leader(swarm);
    if (change->wanted || leader == UINT32_MAX) {
        return;
    }
    const struct configuration *members =
        raft_configuration(sim_node_raft(swarm->nodes[leader].node));
    /* Who can be promoted or added is, more often than somebody is removed. */
    static const enum choice order[] = {CHOICE_ADD,     CHOICE_PROMOTE, CHOICE_REMOVE,
                                        CHOICE_REPLACE, CHOICE_PROMOTE, CHOICE_ADD,
                                        CHOICE_PROMOTE};
    uint32_t first = (uint32_t)action->amount % ARRAY_COUNT(order);
    for (uint32_t i = 0; i < ARRAY_COUNT(order) && !change->wanted; i++) {
        enum choice choice = order[(first + i) % ARRAY_COUNT(order)];
        change->wanted = choose(swarm, members, choice, node, &change->request);
    }
    if (!change->wanted) {
        return;
    }
    change->until_ns = action->to_ns;
    change->look_ns = world_now_ns(swarm->world);
    change->asked = UINT32_MAX;
    for (uint32_t i = 0; i < change->request.edit_count; i++) {
        if (change->request.edits[i].kind == CHANGE_ADD_LEARNER) {
            uint32_t added = (uint32_t)change->request.edits[i].node_id - 1;
            if (action->amount % 2 == 0 || swarm->nodes[added].damaged) {
                swarm_lose_disk(swarm, added); /* it comes back with an empty one */
            }
            swarm->nodes[added].absent = false;
        }
    }
}

void swarm_members_end(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    (void)node;
    if (swarm->change.wanted && swarm->change.until_ns <= swarm_time_ns(swarm)) {
        swarm->change.wanted = false;
    }
}

/* ---- asking --------------------------------------------------------------------------------- */

static bool is_open(const struct swarm *swarm, uint32_t index) {
    const struct swarm_node *node = &swarm->nodes[index];
    const char *reason;
    if (node->process != SWARM_UP) {
        return false;
    }
    struct change_box *box = sim_node_changes(node->node);
    enum change_state state = change_look(box, &reason);
    return (state == CHANGE_ASKED || state == CHANGE_ACCEPTED) &&
           box->request.kind == CHANGE_MEMBERS;
}

bool swarm_members_open(const struct swarm *swarm) {
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        if (is_open(swarm, i)) {
            return true;
        }
    }
    return false;
}

static void say_asked(struct swarm *swarm, uint32_t leader, const struct change_request *request) {
    static const char *const words[] = {"add", "promote", "remove"};
    for (uint32_t i = 0; i < request->edit_count; i++) {
        swarm_say(swarm, "node %u is asked to %s node %u%s", leader + 1,
                  words[request->edits[i].kind], (unsigned)request->edits[i].node_id,
                  i + 1 < request->edit_count ? ", and" : "");
    }
}

/* Whether disks have been lost since the change was chosen, so that it may not be asked for. */
static bool is_too_risky(const struct swarm *swarm, uint32_t leader,
                         const struct change_request *request) {
    const struct configuration *members =
        raft_configuration(sim_node_raft(swarm->nodes[leader].node));
    uint32_t voters = nodes_of(swarm, members, CONFIGURATION_VOTER);
    for (uint32_t i = 0; i < request->edit_count; i++) {
        uint32_t bit = 1U << (request->edits[i].node_id - 1);
        if (request->edits[i].kind == CHANGE_PROMOTE) {
            voters |= bit;
        } else if (request->edits[i].kind == CHANGE_REMOVE) {
            voters &= ~bit;
        }
    }
    int lost = __builtin_popcount(voters & swarm_voters_lost(swarm));
    return voters == 0 || 2 * lost >= __builtin_popcount(voters);
}

/* Whether the node that was asked last has said something, or is gone: then *over says whether the
 * change is done with. */
static bool has_answered(struct swarm *swarm, bool *over) {
    struct swarm_change *change = &swarm->change;
    struct swarm_node *node = &swarm->nodes[change->asked];
    const char *reason;
    *over = false;
    if (node->process != SWARM_UP || is_open(swarm, change->asked)) {
        return node->process != SWARM_UP;
    }
    struct change_box *box = sim_node_changes(node->node);
    enum change_state state = change_look(box, &reason);
    if (box->request.kind != CHANGE_MEMBERS || state < CHANGE_DONE) {
        return true; /* it has started anew, or is asked for something else */
    }
    swarm_say(swarm, "node %u says: %s %s", change->asked + 1,
              state == CHANGE_DONE      ? "done"
              : state == CHANGE_REFUSED ? "refused,"
                                        : "unknown,",
              reason);
    change_forget(box);
    *over = state != CHANGE_REFUSED;
    return true;
}

void swarm_members_poll(struct swarm *swarm) {
    struct swarm_change *change = &swarm->change;
    if (!change->wanted || world_now_ns(swarm->world) < change->look_ns) {
        return;
    }
    change->look_ns = world_now_ns(swarm->world) + LOOK_MS * SWARM_MS_NS;
    bool over = false;
    if (change->asked != UINT32_MAX) {
        if (!has_answered(swarm, &over)) {
            return;
        }
        change->asked = UINT32_MAX;
        change->look_ns += (AGAIN_MS - LOOK_MS) * SWARM_MS_NS;
        change->wanted = !over;
        return;
    }
    uint32_t leader = swarm_leader(swarm);
    if (swarm->schedule_over) {
        change->wanted = false;
        return;
    }
    if (leader == UINT32_MAX || is_too_risky(swarm, leader, &change->request)) {
        return;
    }
    struct change_box *box = sim_node_changes(swarm->nodes[leader].node);
    const char *reason;
    if (change_look(box, &reason) >= CHANGE_DONE) {
        change_forget(box); /* of a transfer before */
    }
    if (change_ask(box, &change->request)) {
        say_asked(swarm, leader, &change->request);
        sim_node_wake(swarm->nodes[leader].node);
        change->asked = leader;
    }
}
