/* Smaller plans.  See sim/swarm_edit.h. */

#include "sim/swarm_edit.h"

#include "base/assert.h"
#include "sim/swarm_internal.h"

enum { BATCH_COUNT_USUAL = 64 };

/* Only the first `nodes` are there: an action befalls one of these, on the ways between these. */
static void nodes_leave(struct swarm_plan *plan, uint32_t nodes) {
    uint8_t there = (uint8_t)(((1U << nodes) - 1) | 1U << SWARM_OUTSIDE);
    ASSERT(nodes >= 1 && nodes < plan->node_count);
    plan->node_count = nodes;
    plan->founder_count = plan->founder_count < nodes ? plan->founder_count : nodes;
    for (uint32_t i = 0; i < plan->action_count; i++) {
        struct swarm_action *action = &plan->actions[i];
        bool had_ways = false;
        bool has_ways = false;
        action->node %= nodes;
        for (uint32_t end = 0; end < SWARM_ENDS; end++) {
            had_ways |= action->links[end] != 0;
            action->links[end] &= (there >> end & 1) != 0 ? there : 0;
            has_ways |= action->links[end] != 0;
        }
        action->left_out = action->left_out || (had_ways && !has_ways) ||
                           (nodes == 1 && swarm_fault_needs_others(action->fault));
    }
}

static void be_plain(struct swarm_plan *plan) {
    uint32_t clients = plan->clients.clients;
    uint32_t operations_max = plan->clients.operations_max;
    plan->clients = cluster_clients_options_default();
    plan->clients.clients = clients;
    plan->clients.operations_max = operations_max;
    plan->leases = false;
    plan->has_secret = false;
    plan->snapshot_log_bytes = 0;
    plan->budget_max = 0;
    plan->batch_count = BATCH_COUNT_USUAL;
    for (uint32_t i = 0; i < SWARM_NODES_MAX; i++) {
        plan->maps[i] = "fused";
    }
}

void swarm_plan_edit(struct swarm_plan *plan, const struct swarm_edit *edit) {
    for (uint32_t i = 0; i < plan->action_count; i++) {
        ASSERT(!plan->actions[i].left_out);
        plan->actions[i].left_out = edit->left_out[i];
    }
    if (edit->until_ms != 0 && edit->until_ms < plan->safety_ns / SWARM_MS_NS) {
        plan->safety_ns = edit->until_ms * SWARM_MS_NS;
    }
    if (edit->clients != 0 && edit->clients < plan->clients.clients) {
        plan->clients.clients = edit->clients;
    }
    if (edit->nodes != 0 && edit->nodes < plan->node_count) {
        nodes_leave(plan, edit->nodes);
    }
    if (edit->calm) {
        plan->world = world_options_calm();
    }
    if (edit->plain) {
        be_plain(plan);
    }
    for (uint32_t i = 0; i < plan->action_count && edit->until_ms != 0; i++) {
        plan->actions[i].left_out |= plan->actions[i].from_ns >= plan->safety_ns;
    }
}

uint32_t swarm_plan_actions(const struct swarm_plan *plan) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->action_count; i++) {
        count += !plan->actions[i].left_out;
    }
    ASSERT(count <= SWARM_ACTIONS_MAX);
    return count;
}
