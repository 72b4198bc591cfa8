/*
 * Disks that are full until logs are, drawn for a share of the seeds; and disks that read more
 * slowly than they write.
 *
 * A full disk takes no next segment: nothing is refused before the active segment and the spare one
 * are at their end, some 2 MB later.  So the load is of large values, and the disks of some nodes,
 * often of a majority, are full for long, from nearly the same moment on.  Instead of room file
 * descriptors may be missing: then no segment is made either, and none can be opened to be read,
 * nor a snapshot.  Mostly whoever leads then ends, stands still or is cut off: those who are full
 * elect one of themselves, or could not.
 *
 *   full    as said, for one node, several, or a majority, of which most are at the same time
 *   behind  a node is cut off until it needs a snapshot, and when it is back it has no room for it,
 *           or no descriptor for what it has received
 *
 * What a member lacks, and what waits to be applied, is read back from disks.  Writes that are
 * answered before the reads of what is before them are what a disk with a cache does.
 *
 * All from a stream of chance of its own: the rest of a seed stays as it is.
 */

#include "base/assert.h"
#include "sim/swarm_internal.h"

/* Smaller seeds go without, so that what is noted of them stays true; and from the second one on
 * all are drawn so whose links carry it: for whoever looks for just this. */
#define SEED_FULL_MIN    UINT64_C(1000000)
#define SEED_FULL_ALWAYS UINT64_C(8000000)

enum {
    FULL_ONE_IN = 5, /* seeds whose links carry the load */
    KEPT_ONE_IN = 5, /* of the actions that such a seed has */
    GROUPS_MAX = 4,
    FULL_MS_MIN = 3000,
    FULL_MS_MAX = 12000,
    APART_MS_MAX = 400,
    NO_HANDLES_ONE_IN = 4, /* groups */
    BEHIND_ONE_IN = 3,     /* groups */
    BEHIND_ACTIONS = 2,
    BEHIND_MS_MIN = 1500,
    BEHIND_MS_MAX = 5000,
    BEHIND_SNAPSHOT_BYTES_MIN = 20 * 1000,
    BEHIND_SNAPSHOT_BYTES_MAX = 300 * 1000,
    FULL_BYTES_A_SECOND_MAX = 800 * 1000, /* of which clients try twice as much */
    READS_ONE_IN = 6,
    READ_TIMES_MAX = 30,
    /* No read takes longer: whoever is healed has to catch up in time. */
    READ_NS_MAX = 40 * 1000 * 1000,
};

static uint64_t between(struct random *random, uint64_t min, uint64_t max) {
    ASSERT(min <= max);
    return min + random_below(random, max - min + 1);
}

/* A node is cut off from all others, both ways. */
static void cut_off(const struct swarm_plan *plan, struct swarm_action *action) {
    uint32_t others = ((1U << plan->node_count) - 1) & ~(1U << action->node);
    action->fault = SWARM_PARTITION;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        action->links[i] = (uint8_t)(i == action->node ? others : 1U << action->node);
    }
}

/* What a group of nodes has none of. */
static enum swarm_fault draw_want(struct random *random) {
    return random_below(random, NO_HANDLES_ONE_IN) == 0 ? SWARM_NO_HANDLES : SWARM_FULL_DISK;
}

/* Something befalls whoever leads while the disks are full. */
static void leader_add(struct random *random, struct swarm_plan *plan, uint64_t from_ns,
                       uint64_t to_ns) {
    static const enum swarm_fault faults[] = {SWARM_KILL, SWARM_PAUSE, SWARM_PARTITION};
    enum swarm_fault fault = faults[random_below(random, ARRAY_COUNT(faults))];
    struct swarm_action action = {
        .fault = fault, .node = (uint32_t)random_below(random, plan->node_count), .leader = true};
    action.from_ns = between(random, (from_ns + to_ns) / 2, to_ns);
    action.to_ns = action.from_ns + between(random, 500, 3000) * SWARM_MS_NS;
    if (fault == SWARM_PARTITION) {
        cut_off(plan, &action);
    }
    swarm_plan_add(plan, &action);
}

/* Returns when the last of them has room again. */
static uint64_t full_add(struct random *random, struct swarm_plan *plan, uint64_t at_ns) {
    uint64_t to_ns = at_ns + between(random, FULL_MS_MIN, FULL_MS_MAX) * SWARM_MS_NS;
    uint32_t most = plan->node_count;
    uint32_t count = random_below(random, 3) == 0 ? (uint32_t)between(random, 1, most)
                                                  : plan->node_count / 2 + 1;
    uint32_t first = (uint32_t)random_below(random, plan->node_count);
    enum swarm_fault want = draw_want(random);
    uint64_t end_ns = to_ns;
    for (uint32_t i = 0; i < count; i++) {
        struct swarm_action full = {.fault = want, .node = (first + i) % plan->node_count};
        full.from_ns = at_ns + between(random, 0, APART_MS_MAX) * SWARM_MS_NS;
        full.to_ns = to_ns + between(random, 0, APART_MS_MAX) * SWARM_MS_NS;
        end_ns = full.to_ns > end_ns ? full.to_ns : end_ns;
        swarm_plan_add(plan, &full);
    }
    if (random_below(random, 4) != 0) {
        leader_add(random, plan, at_ns, to_ns);
    }
    return end_ns;
}

/* Likewise.  What it wants may be gone as it comes back, or a moment later, when the snapshot is on
 * its way, or has been received. */
static uint64_t behind_add(struct random *random, struct swarm_plan *plan, uint64_t at_ns) {
    struct swarm_action alone = {.from_ns = at_ns,
                                 .node = (uint32_t)random_below(random, plan->node_count)};
    alone.to_ns = at_ns + between(random, BEHIND_MS_MIN, BEHIND_MS_MAX) * SWARM_MS_NS;
    cut_off(plan, &alone);
    enum swarm_fault want = random_below(random, 2) == 0 ? SWARM_NO_HANDLES : SWARM_FULL_DISK;
    struct swarm_action full = {.fault = want, .node = alone.node};
    full.from_ns = random_below(random, 3) == 0
                       ? alone.to_ns - between(random, 0, 500) * SWARM_MS_NS
                       : alone.to_ns + between(random, 0, 800) * SWARM_MS_NS;
    full.to_ns = full.from_ns + between(random, FULL_MS_MIN, FULL_MS_MAX) / 2 * SWARM_MS_NS;
    swarm_plan_add(plan, &alone);
    swarm_plan_add(plan, &full);
    return full.to_ns;
}

/* Seeds have as many actions as there is room for, and so many cut short what is to last. */
static void thin_out(struct swarm_plan *plan) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < plan->action_count; i += KEPT_ONE_IN) {
        plan->actions[kept++] = plan->actions[i];
    }
    plan->action_count = kept;
}

static void draw_full(struct random *random, struct swarm_plan *plan) {
    thin_out(plan);
    uint64_t at_ns = between(random, 200, 2000) * SWARM_MS_NS;
    bool has_behind = random_below(random, 2) == 0;
    if (has_behind) {
        plan->snapshot_log_bytes =
            between(random, BEHIND_SNAPSHOT_BYTES_MIN, BEHIND_SNAPSHOT_BYTES_MAX);
    }
    uint32_t most = plan->node_count + 1; /* each of them, and what befalls the leader */
    most = most < BEHIND_ACTIONS ? BEHIND_ACTIONS : most;
    for (uint32_t i = 0; i < GROUPS_MAX && at_ns < plan->safety_ns &&
                         plan->action_count + most <= SWARM_ACTIONS_MAX;
         i++) {
        bool behind = has_behind && random_below(random, BEHIND_ONE_IN) == 0;
        at_ns = behind ? behind_add(random, plan, at_ns) : full_add(random, plan, at_ns);
        at_ns += between(random, 100, 2000) * SWARM_MS_NS;
    }
}

void swarm_plan_draw_full(struct swarm_plan *plan) {
    struct random random;
    if (plan->seed < SEED_FULL_MIN) {
        return;
    }
    random_seed(&random, plan->seed ^ UINT64_C(0xf0110169));
    bool full = random_below(&random, FULL_ONE_IN) == 0 || plan->seed >= SEED_FULL_ALWAYS;
    if (random_below(&random, full ? 2 : READS_ONE_IN) == 0) {
        uint64_t times_max = READ_NS_MAX / plan->world.disk_delay_ns_max;
        times_max = times_max < READ_TIMES_MAX ? times_max : READ_TIMES_MAX;
        plan->world.disk_read_times = (uint32_t)between(&random, 1, times_max < 1 ? 1 : times_max);
    }
    if (full && plan->node_count > 2 &&
        swarm_plan_draw_large(&random, plan, FULL_BYTES_A_SECOND_MAX)) {
        plan->clients.rate *= 2;
        plan->clients.operations_max *= 2; /* and most is refused at once, and asked again */
        plan->clients.history_bytes *= 2;
        draw_full(&random, plan);
    }
}
