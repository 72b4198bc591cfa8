/*
 * Circumstances in which logs differ, drawn for a share of the seeds.
 *
 * Faults that come by themselves seldom meet: a leader has to be alone while clients still write to
 * it, and back before the others have gone on for long, with a disk that is still busy.  So these
 * are drawn as groups of actions:
 *
 *   large    values up to the largest.  Then what is in flight is several messages, a log's memory
 *            is a few dozen entries, and segments come to their end.  The load is what the links
 *            of the seed can carry, so that whoever is healed can catch up.
 *   returns  who leads is cut off, with a slow disk.  Its connections are reset when it comes back,
 *            so that it hears of the new leader's present, not of its past.  Often with a snapshot
 *            each few entries, so that the new leader's log may begin behind the old one's end.
 *   resends  one node's disk is slow, so its answers are late; its connections are reset meanwhile,
 *            and everything that is not answered is sent again.
 *
 * All from a stream of chance of its own: the rest of a seed stays as it is.
 */

#include "base/assert.h"
#include "sim/swarm_internal.h"

enum {
    LARGE_ONE_IN = 5, /* seeds */
    LARGE_BYTES_MIN = 8 * 1024,
    LARGE_BYTES_A_SECOND_MAX = 400 * 1000,
    /* Who is behind by a log's memory of 1 MB has it in 800 ms, the longest that a leader waits for
       a commit; on a slower way leaders may give up, one after the other, until it has it. */
    LARGE_WAY_BYTES_A_SECOND = 1280 * 1024,
    RETURNS_ONE_IN = 4,
    RETURNS_MAX = 16,
    RETURNS_ACTIONS = 3,
    RESENDS_ONE_IN = 4, /* and of the seeds with large values every other one */
    RESENDS_MAX = 12,
    RESENDS_ACTIONS = 4, /* a slow disk, and resets */
    SNAPSHOT_BYTES_MIN = 500,
    SNAPSHOT_BYTES_MAX = 4000,
};

static uint64_t between(struct random *random, uint64_t min, uint64_t max) {
    ASSERT(min <= max);
    return min + random_below(random, max - min + 1);
}

/* How many groups of so many actions there is room for, at most `most`. */
static uint32_t room_for(const struct swarm_plan *plan, uint32_t actions, uint32_t most) {
    uint32_t groups = (SWARM_ACTIONS_MAX - plan->action_count) / actions;
    return groups < most ? groups : most;
}

/* ---- large values --------------------------------------------------------------------------- */

/* Bytes a second that a way carries: a piece of half the largest size each mean delay. */
static uint64_t way_bytes_a_second(const struct world_options *world) {
    uint64_t delay_ns = (world->network_delay_ns_min + world->network_delay_ns_max) / 2 + 1;
    return world->network_piece_bytes_max / 2 * SWARM_SECOND_NS / delay_ns;
}

bool swarm_plan_draw_large(struct random *random, struct swarm_plan *plan,
                           uint64_t bytes_a_second_max) {
    struct cluster_clients_options *clients = &plan->clients;
    if (way_bytes_a_second(&plan->world) < LARGE_WAY_BYTES_A_SECOND) {
        return false;
    }
    /* An eighth of what a way carries, and not more than makes a run slow. */
    uint64_t load_max = way_bytes_a_second(&plan->world) / 8;
    load_max = load_max < bytes_a_second_max ? load_max : bytes_a_second_max;
    uint64_t load = between(random, load_max / 4, load_max);
    clients->value_bytes_max = (uint32_t)between(random, LARGE_BYTES_MIN, SIM_NODE_BULK_BYTES_MAX);
    /* Values a second that are written: most writes have one. */
    uint64_t values = (uint64_t)clients->rate * (1000 - clients->read_share) / 1000 + 1;
    uint64_t share = load * 1000 / (values * clients->value_bytes_max / 2);
    clients->long_share = (uint32_t)(share < 1 ? 1 : share > 600 ? 600 : share);
    if (random_below(random, 2) == 0) {
        plan->snapshot_log_bytes = between(random, clients->value_bytes_max, 500000);
    }
    return true;
}

/* ---- whoever leads is alone, and comes back -------------------------------------------------  */

static void return_add(struct random *random, struct swarm_plan *plan, uint64_t at_ns,
                       uint64_t *end_ns) {
    uint32_t all = (1U << plan->node_count) - 1;
    struct swarm_action alone = {.from_ns = at_ns,
                                 .fault = SWARM_PARTITION,
                                 .node = (uint32_t)random_below(random, plan->node_count),
                                 .leader = true};
    alone.to_ns = at_ns + between(random, 300, 1500) * SWARM_MS_NS;
    uint32_t others = all & ~(1U << alone.node);
    for (uint32_t i = 0; i < plan->node_count; i++) {
        alone.links[i] = (uint8_t)(i == alone.node ? others : 1U << alone.node);
    }
    struct swarm_action slow = {.from_ns = at_ns - between(random, 1, 150) * SWARM_MS_NS,
                                .fault = SWARM_SLOW_DISK,
                                .node = alone.node,
                                .leader = true,
                                .amount = (int64_t)between(random, 50, 1000)};
    slow.to_ns = alone.to_ns + between(random, 100, 1500) * SWARM_MS_NS;
    struct swarm_action reset = {.fault = SWARM_RESET, .node = alone.node};
    reset.from_ns = alone.to_ns - 10 * SWARM_MS_NS + between(random, 0, 20) * SWARM_MS_NS;
    reset.to_ns = reset.from_ns;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        reset.links[i] = (uint8_t)(all & ~(1U << i));
    }
    if (random_below(random, 4) != 0) {
        swarm_plan_add(plan, &slow);
    }
    swarm_plan_add(plan, &alone);
    swarm_plan_add(plan, &reset);
    *end_ns = slow.to_ns;
}

static void draw_returns(struct random *random, struct swarm_plan *plan) {
    uint64_t gap_ns_max = between(random, 500, 3000) * SWARM_MS_NS;
    uint64_t at_ns = between(random, 300 * SWARM_MS_NS, gap_ns_max);
    uint32_t most = room_for(plan, RETURNS_ACTIONS, RETURNS_MAX);
    if (random_below(random, 2) == 0) {
        plan->snapshot_log_bytes = between(random, SNAPSHOT_BYTES_MIN, SNAPSHOT_BYTES_MAX);
    }
    if (random_below(random, 2) == 0) {
        plan->clients.clients = (uint32_t)between(random, 8, 16);
        plan->clients.batch_max = (uint32_t)between(random, 1, 4);
    }
    for (uint32_t i = 0; i < most && at_ns < plan->safety_ns; i++) {
        return_add(random, plan, at_ns, &at_ns);
        at_ns += between(random, 200 * SWARM_MS_NS, gap_ns_max);
    }
}

/* ---- answers are late, and connections are reset --------------------------------------------  */

static void draw_resends(struct random *random, struct swarm_plan *plan) {
    uint64_t gap_ns_max = between(random, 300, 3000) * SWARM_MS_NS;
    uint64_t at_ns = between(random, 200 * SWARM_MS_NS, gap_ns_max);
    uint32_t most = room_for(plan, RESENDS_ACTIONS, RESENDS_MAX);
    for (uint32_t i = 0; i < most && at_ns < plan->safety_ns; i++) {
        struct swarm_action slow = {.from_ns = at_ns,
                                    .fault = SWARM_SLOW_DISK,
                                    .node = (uint32_t)random_below(random, plan->node_count),
                                    .amount = (int64_t)between(random, 50, 600)};
        slow.to_ns = at_ns + between(random, 300, 2000) * SWARM_MS_NS;
        swarm_plan_add(plan, &slow);
        for (uint32_t j = 1; j < RESENDS_ACTIONS; j++) {
            struct swarm_action reset = {.fault = SWARM_RESET, .node = slow.node};
            reset.from_ns = between(random, slow.from_ns, slow.to_ns);
            reset.to_ns = reset.from_ns;
            for (uint32_t k = 0; k < plan->node_count; k++) {
                reset.links[k] = (uint8_t)(k == slow.node ? 0 : 1U << slow.node);
            }
            reset.links[slow.node] = (uint8_t)(((1U << plan->node_count) - 1) & ~(1U << slow.node));
            swarm_plan_add(plan, &reset);
        }
        at_ns = slow.to_ns + between(random, 10 * SWARM_MS_NS, gap_ns_max);
    }
}

/* ---- all of it ------------------------------------------------------------------------------ */

void swarm_plan_logs_draw(struct swarm_plan *plan) {
    struct random random;
    random_seed(&random, plan->seed ^ UINT64_C(0x1095));
    bool large = random_below(&random, LARGE_ONE_IN) == 0;
    bool returns = random_below(&random, RETURNS_ONE_IN) == 0;
    bool resends = random_below(&random, large ? 2 : RESENDS_ONE_IN) == 0;
    if (large) {
        (void)swarm_plan_draw_large(&random, plan, LARGE_BYTES_A_SECOND_MAX);
    }
    if (returns && plan->node_count > 2) {
        draw_returns(&random, plan);
    }
    if (resends && plan->node_count > 1) {
        draw_resends(&random, plan);
    }
}
