/*
 * Actions in the order of time.
 *
 * A list of at most SWARM_ACTIONS_MAX is looked through whenever the next moment has come, which is
 * some hundred times in a run.  What began ends, in the safety phase; swarm_heal ends that: nothing
 * begins any more, and what is in force applies to those nodes only that are not healed.
 */

#include "sim/swarm_internal.h"

#include "base/assert.h"

void swarm_schedule(struct swarm *swarm) {
    const struct swarm_plan *plan = swarm->plan;
    uint64_t now_ns = swarm_time_ns(swarm);
    if (swarm->schedule_over || now_ns + swarm->begun_ns < swarm->schedule_due_ns) {
        return;
    }
    uint64_t due_ns = UINT64_MAX;
    for (uint32_t i = 0; i < plan->action_count; i++) {
        const struct swarm_action *action = &plan->actions[i];
        if (swarm->begun[i] && !swarm->over[i] && action->to_ns <= now_ns) {
            swarm_fault_end(swarm, i);
        }
    }
    for (uint32_t i = 0; i < plan->action_count; i++) {
        const struct swarm_action *action = &plan->actions[i];
        if (!swarm->begun[i] && action->from_ns <= now_ns) {
            swarm_fault_begin(swarm, i);
        }
        if (swarm->over[i]) {
            continue;
        }
        uint64_t next_ns = swarm->begun[i] ? action->to_ns : action->from_ns;
        next_ns = next_ns > now_ns ? next_ns : now_ns + 1;
        due_ns = next_ns < due_ns ? next_ns : due_ns;
    }
    swarm->schedule_due_ns = due_ns == UINT64_MAX ? due_ns : due_ns + swarm->begun_ns;
}

void swarm_heal(struct swarm *swarm, uint32_t nodes) {
    ASSERT(nodes < 1U << swarm->plan->node_count);
    swarm->schedule_over = true;
    swarm->schedule_due_ns = UINT64_MAX;
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        struct swarm_node *node = &swarm->nodes[i];
        if ((nodes >> i & 1) == 0 || node->healed) {
            continue;
        }
        node->healed = true;
        for (uint32_t j = 0; j < WORLD_DISK_OPERATIONS; j++) {
            world_disk_fail(swarm->world, node->host, (enum world_disk_operation)j, 1, 0, 0);
        }
        world_clock_rate(swarm->world, node->host, 0);
        world_halt_at(swarm->world, node->host, WORLD_POINT_WRITE, "", 0);
        if (world_halted(swarm->world, node->host)) {
            swarm_process_end(swarm, i, SWARM_END_POWER, WORLD_KEEP_RANDOM, 0);
        } else if (node->process == SWARM_UP) {
            world_disk_die_after(swarm->world, node->host, UINT64_MAX);
        }
        swarm_node_apply(swarm, i);
    }
    swarm_ways_apply(swarm);
}
