/*
 * What a seed draws for changes of members that come to nothing.
 *
 * Who leads is cut off from the others, and a moment later, while it still leads, is asked for
 * other members: so the configuration is in its log, and in force there, and nowhere else.  The
 * others elect another leader and go on.  When the cut is over its log gives way, and it must be
 * back in the configuration of before.  That comes again and again, and nobody is asked a second
 * time, so that the members mostly stay who they are.
 */

#include "sim/swarm_internal.h"

#include "base/assert.h"

enum {
    ALONE_ONE_IN = 6, /* seeds */
    ALONE_MAX = 8,
    ALONE_ACTIONS = 2,
    GAP_MS_MIN = 500,
    GAP_MS_MAX = 3000,
    CUT_MS_MIN = 600, /* the others elect another one */
    CUT_MS_MAX = 2000,
    ASKED_MS_MAX = 120, /* behind the cut, while it still leads */
    OPEN_MS = 60,
    NODES_MIN = 3,
    AMOUNTS = 1000000, /* as swarm_members.c draws them */
};

static uint64_t between(struct random *random, uint64_t min, uint64_t max) {
    ASSERT(min <= max);
    return min + random_below(random, max - min + 1);
}

/* Returns when it is over. */
static uint64_t draw_alone(struct random *random, struct swarm_plan *plan, uint64_t at_ns) {
    uint32_t node = (uint32_t)random_below(random, plan->node_count);
    uint32_t others = ((1U << plan->node_count) - 1) & ~(1U << node);
    struct swarm_action cut = {.fault = SWARM_PARTITION,
                               .from_ns = at_ns,
                               .to_ns =
                                   at_ns + between(random, CUT_MS_MIN, CUT_MS_MAX) * SWARM_MS_NS,
                               .node = node,
                               .leader = true};
    struct swarm_action asked = cut;
    bool hears = random_below(random, 2) == 0;
    cut.links[node] = (uint8_t)others;
    for (uint32_t i = 0; i < plan->node_count && !hears; i++) {
        cut.links[i] |= (uint8_t)((others >> i & 1) << node);
    }
    asked.fault = SWARM_MEMBERS;
    asked.from_ns += between(random, 0, ASKED_MS_MAX) * SWARM_MS_NS;
    asked.to_ns = asked.from_ns + OPEN_MS * SWARM_MS_NS;
    asked.node = (uint32_t)random_below(random, plan->node_count);
    asked.leader = random_below(random, 4) == 0;
    asked.amount = (int64_t)random_below(random, AMOUNTS);
    swarm_plan_add(plan, &cut);
    swarm_plan_add(plan, &asked);
    return cut.to_ns;
}

void swarm_plan_draw_members(struct swarm_plan *plan) {
    struct random random;
    random_seed(&random, plan->seed ^ UINT64_C(0x3e3b57a4));
    if (random_below(&random, ALONE_ONE_IN) != 0 || plan->founder_count < NODES_MIN) {
        return;
    }
    uint64_t gap_ns_max = between(&random, GAP_MS_MIN, GAP_MS_MAX) * SWARM_MS_NS;
    uint64_t at_ns = SWARM_SECOND_NS + between(&random, 0, gap_ns_max);
    uint32_t most = (SWARM_ACTIONS_MAX - plan->action_count) / ALONE_ACTIONS;
    most = most < ALONE_MAX ? most : ALONE_MAX;
    for (uint32_t i = 0; i < most && at_ns < plan->safety_ns; i++) {
        at_ns = draw_alone(&random, plan, at_ns) +
                between(&random, GAP_MS_MIN * SWARM_MS_NS, gap_ns_max);
    }
}
