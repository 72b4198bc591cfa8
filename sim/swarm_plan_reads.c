/*
 * What a seed draws for its reads.
 *
 * A read is wrong where somebody who led is still asked and somebody else already leads.  That
 * takes a leader that the others miss sooner than it misses them.  Three things make it slow to
 * notice, each by its own, and together they add up:
 *
 *   late    it hears the others' answers late
 *   pause   it stands still, and finds the answers of before when it goes on, with its clients'
 *           requests
 *   rate    its clocks run slowly
 *
 * Then the others do not hear it any more.  Its clients always reach it, and mostly read: a write
 * would only wait.  All of it is shorter than a time-out of elections, so that it still leads for a
 * moment; and it comes again and again.
 */

#include "sim/swarm_internal.h"

#include "base/assert.h"

enum {
    READS_ONE_IN = 6, /* seeds; with leases one in three */
    ALONE_ONE_IN = 2, /* of these: nothing else happens, which would hide it */
    STALLS_MAX = 14,
    STALL_ACTIONS = 4,
    GAP_MS_MIN = 300,
    GAP_MS_MAX = 2500,
    /* These two are below a time-out of elections, or it steps down before. */
    LATE_MS_MIN = 80,
    LATE_MS_MAX = 190,
    PAUSE_MS_MIN = 100,
    PAUSE_MS_MAX = 190,
    PAUSE_BEHIND_MS_MAX = 100, /* behind the cut: what was answered before it may then be there */
    AHEAD_MS_MIN = 200,        /* it is late, or slow, for so long before it is cut off */
    AHEAD_MS_MAX = 500,
    NEAR_US_MIN = 50, /* of network and disk */
    NEAR_US_MAX = 500,
    CUT_MS_MIN = 300,
    CUT_MS_MAX = 1500,
    RATE_PPM_MIN = 10000,
    RATE_PPM_MAX = 100000,
    RATE_PPM_MAX_LEASES = 45000, /* leases count on a tenth between two clocks */
};

static uint64_t between(struct random *random, uint64_t min, uint64_t max) {
    ASSERT(min <= max);
    return min + random_below(random, max - min + 1);
}

/* Many small requests, and few of them write: chances in a thousand. */
static void draw_clients(struct random *random, struct swarm_plan *plan) {
    struct cluster_clients_options *clients = &plan->clients;
    clients->clients = (uint32_t)between(random, 8, 24);
    clients->keys = (uint32_t)between(random, 1, 2);
    clients->batch_max = (uint32_t)between(random, 1, 3);
    clients->rate = (uint32_t)between(random, 200, 400);
    clients->read_share = (uint32_t)between(random, 600, 900);
    clients->reader_share = (uint32_t)between(random, 200, 800);
    if (plan->leases) {
        clients->lease_share = (uint32_t)between(random, 500, 1000);
    }
}

/* In half of these seeds the hosts are close to each other: whoever is elected serves at once. */
static void draw_world(struct random *random, struct swarm_plan *plan) {
    struct world_options *world = &plan->world;
    if (random_below(random, 2) == 0) {
        world->network_delay_ns_max = between(random, NEAR_US_MIN, NEAR_US_MAX) * 1000;
        world->network_delay_ns_min = world->network_delay_ns_max / 2;
        world->disk_delay_ns_max = between(random, NEAR_US_MIN, NEAR_US_MAX) * 1000;
        world->disk_delay_ns_min = world->disk_delay_ns_max / 2;
    }
}

/* Who leads is cut off at cut_ns; what begins before ends with that.  Returns when it is over. */
static uint64_t draw_stall(struct random *random, struct swarm_plan *plan, uint64_t at_ns) {
    uint32_t node = (uint32_t)random_below(random, plan->node_count);
    uint32_t others = ((1U << plan->node_count) - 1) & ~(1U << node);
    uint64_t cut_ns = at_ns + between(random, AHEAD_MS_MIN, AHEAD_MS_MAX) * SWARM_MS_NS;
    struct swarm_action cut = {.fault = SWARM_PARTITION,
                               .from_ns = cut_ns,
                               .to_ns =
                                   cut_ns + between(random, CUT_MS_MIN, CUT_MS_MAX) * SWARM_MS_NS,
                               .node = node,
                               .leader = true};
    struct swarm_action late = cut;
    struct swarm_action pause = cut;
    struct swarm_action rate = cut;
    cut.links[node] = (uint8_t)others;
    swarm_plan_add(plan, &cut);
    if (random_below(random, 4) != 0) {
        late.fault = SWARM_SLOW_LINK;
        late.from_ns = at_ns;
        late.amount = (int64_t)between(random, LATE_MS_MIN, LATE_MS_MAX);
        for (uint32_t i = 0; i < plan->node_count; i++) {
            late.links[i] = (uint8_t)((others >> i & 1) << node);
        }
        swarm_plan_add(plan, &late);
    }
    if (random_below(random, 4) != 0) {
        pause.fault = SWARM_PAUSE;
        pause.from_ns += between(random, 0, PAUSE_BEHIND_MS_MAX) * SWARM_MS_NS;
        pause.to_ns = pause.from_ns + between(random, PAUSE_MS_MIN, PAUSE_MS_MAX) * SWARM_MS_NS;
        swarm_plan_add(plan, &pause);
    }
    if (random_below(random, 2) == 0) {
        rate.fault = SWARM_CLOCK_RATE;
        rate.from_ns = at_ns;
        rate.amount = -(int64_t)between(random, RATE_PPM_MIN,
                                        plan->leases ? RATE_PPM_MAX_LEASES : RATE_PPM_MAX);
        swarm_plan_add(plan, &rate);
    }
    return cut.to_ns;
}

void swarm_plan_draw_reads(struct swarm_plan *plan) {
    struct random random;
    random_seed(&random, plan->seed ^ UINT64_C(0x7ead5));
    uint32_t one_in = plan->leases ? READS_ONE_IN / 2 : READS_ONE_IN;
    if (random_below(&random, one_in) != 0 || plan->node_count < 2) {
        return;
    }
    if (random_below(&random, ALONE_ONE_IN) == 0) {
        plan->action_count = 0;
    }
    draw_clients(&random, plan);
    draw_world(&random, plan);
    uint64_t gap_ns_max = between(&random, GAP_MS_MIN, GAP_MS_MAX) * SWARM_MS_NS;
    uint64_t at_ns = between(&random, 0, gap_ns_max);
    uint32_t most = (SWARM_ACTIONS_MAX - plan->action_count) / STALL_ACTIONS;
    most = most < STALLS_MAX ? most : STALLS_MAX;
    for (uint32_t i = 0; i < most && at_ns < plan->safety_ns; i++) {
        at_ns = draw_stall(&random, plan, at_ns) + between(&random, 0, gap_ns_max);
    }
}
