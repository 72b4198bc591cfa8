/*
 * Contested elections.
 *
 * A cluster whose leader is lost elects another one within a round trip or two, and hardly ever in
 * a second attempt.  So in a share of the seeds elections are made hard: all are apart for so long
 * that whoever leads gives up, or who leads stands still, or is not heard; and while they look for
 * another one, each way has a delay of its own, of which some are longer than a time-out of
 * elections, and some disks are slow.  Several campaign at once, votes are split, and answers to
 * one campaign arrive during the next.
 *
 * In another share the safety phase ends in the middle of an election, and a healed quorum has to
 * make a leader of what that left.
 */

#include "sim/swarm_internal.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

enum {
    CONTESTS_ONE_IN = 4,      /* seeds */
    CUT_ELECTIONS_ONE_IN = 3, /* likewise */
    ALONE_ONE_IN = 2, /* of the contests: nothing else happens, which would keep them short */
    CONTESTS_MAX = 12,
    /* Actions of a contest: at most two that part nodes, each pace of ways, disks. */
    PACES = 3,
    DISKS_MAX = 3,
    CONTEST_ACTIONS = 2 + PACES + DISKS_MAX,
    /* In ms: a time-out of elections is [200, 400). */
    CONTEST_MS_MIN = 1500,
    CONTEST_MS_MAX = 3500,
    LEADERLESS_MS_MIN = 300,
    LEADERLESS_MS_MAX = 900,
    GAP_MS_MAX = 1000,
    END_MS_MIN = 1000, /* before the end of the safety phase */
    END_MS_MAX = 3000,
    REST_MS = 3000,        /* before that */
    CAMPAIGN_MS_MIN = 300, /* after a leader was cut off: others may campaign */
    CAMPAIGN_MS_MAX = 700,
    PACE_MS_MIN = 20, /* of all ways, then */
    PACE_MS_MAX = 120,
    DISK_MS_MIN = 10,
    DISK_MS_MAX = 100,
};

static uint64_t between(struct random *random, uint64_t min, uint64_t max) {
    ASSERT(min <= max);
    return min + random_below(random, max - min + 1);
}

/* What takes the leader away, for a while: all are apart; who leads stands still; who leads is not
 * heard by the others. */
static void draw_leaderless(struct random *random, struct swarm_plan *plan,
                            const struct swarm_action *contest) {
    struct swarm_action gone = *contest;
    uint32_t all = (1U << plan->node_count) - 1;
    gone.to_ns = gone.from_ns + between(random, LEADERLESS_MS_MIN, LEADERLESS_MS_MAX) * SWARM_MS_NS;
    gone.leader = true;
    gone.fault = random_below(random, 3) == 0 ? SWARM_PAUSE : SWARM_PARTITION;
    bool apart = random_below(random, 2) == 0;
    for (uint32_t i = 0; i < plan->node_count && gone.fault == SWARM_PARTITION; i++) {
        gone.links[i] = (uint8_t)(apart || i == gone.node ? all & ~(1U << i) : 0);
    }
    swarm_plan_add(plan, &gone);
}

/* Each way between nodes is of one pace. */
static void draw_paces(struct random *random, struct swarm_plan *plan,
                       const struct swarm_action *contest) {
    static const uint32_t ms_min[PACES] = {5, 60, 200};
    static const uint32_t ms_max[PACES] = {60, 200, 700};
    struct swarm_action paces[PACES];
    for (uint32_t i = 0; i < PACES; i++) {
        paces[i] = *contest;
        paces[i].fault = SWARM_SLOW_LINK;
        paces[i].amount = (int64_t)between(random, ms_min[i], ms_max[i]);
    }
    for (uint32_t from = 0; from < plan->node_count; from++) {
        for (uint32_t to = 0; to < plan->node_count; to++) {
            uint32_t pace = (uint32_t)random_below(random, PACES);
            paces[pace].links[from] |= (uint8_t)((from != to) << to);
        }
    }
    for (uint32_t i = 0; i < PACES; i++) {
        swarm_plan_add(plan, &paces[i]);
    }
}

/* Some disks are slow, so that whoever campaigns asks late, and answers late. */
static void draw_slow_disks(struct random *random, struct swarm_plan *plan,
                            const struct swarm_action *contest) {
    uint32_t count = (uint32_t)random_below(random, DISKS_MAX + 1);
    uint32_t first = (uint32_t)random_below(random, plan->node_count);
    for (uint32_t i = 0; i < count; i++) {
        struct swarm_action slow = *contest;
        slow.fault = SWARM_SLOW_DISK;
        memset(slow.links, 0, sizeof(slow.links));
        slow.node = (first + i) % plan->node_count;
        slow.amount = (int64_t)between(random, DISK_MS_MIN, DISK_MS_MAX);
        swarm_plan_add(plan, &slow);
    }
}

static void draw_contests(struct random *random, struct swarm_plan *plan) {
    if (random_below(random, ALONE_ONE_IN) == 0) {
        plan->action_count = 0;
    }
    uint32_t most = (SWARM_ACTIONS_MAX - plan->action_count) / CONTEST_ACTIONS;
    most = most < CONTESTS_MAX ? most : CONTESTS_MAX;
    uint64_t at_ns = between(random, 200, GAP_MS_MAX) * SWARM_MS_NS;
    for (uint32_t i = 0; i < most && at_ns < plan->safety_ns; i++) {
        struct swarm_action contest = {
            .from_ns = at_ns,
            .to_ns = at_ns + between(random, CONTEST_MS_MIN, CONTEST_MS_MAX) * SWARM_MS_NS,
            .node = (uint32_t)random_below(random, plan->node_count)};
        draw_paces(random, plan, &contest);
        draw_leaderless(random, plan, &contest);
        draw_slow_disks(random, plan, &contest);
        at_ns = contest.to_ns + between(random, 10, GAP_MS_MAX) * SWARM_MS_NS;
    }
}

/* From then on nothing of what was drawn before is in force. */
static void draw_rest(struct swarm_plan *plan, uint64_t from_ns) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->action_count && plan->actions[i].from_ns < from_ns; i++) {
        struct swarm_action *action = &plan->actions[count++];
        action->to_ns = action->to_ns < from_ns ? action->to_ns : from_ns;
    }
    plan->action_count = count;
}

/*
 * After a rest, in which somebody comes to lead, who leads is cut off with whatever its clients
 * still ask it for; the others campaign, and while they do all are apart, until the end of the
 * safety phase and for ever.  So those that are then healed first differ in their terms and their
 * logs as an election left them.
 */
static void draw_cut_election(struct random *random, struct swarm_plan *plan) {
    uint64_t at_ns = plan->safety_ns - between(random, END_MS_MIN, END_MS_MAX) * SWARM_MS_NS;
    struct swarm_action contest = {.from_ns = at_ns,
                                   .to_ns = plan->safety_ns + SWARM_SECOND_NS,
                                   .node = (uint32_t)random_below(random, plan->node_count)};
    struct swarm_action cut = contest;
    cut.fault = SWARM_PARTITION;
    cut.leader = true;
    struct swarm_action apart = contest;
    apart.fault = SWARM_PARTITION;
    apart.from_ns += between(random, CAMPAIGN_MS_MIN, CAMPAIGN_MS_MAX) * SWARM_MS_NS;
    uint32_t all = (1U << plan->node_count) - 1;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        cut.links[i] = (uint8_t)(i == cut.node ? all & ~(1U << i) : 1U << cut.node);
        apart.links[i] = (uint8_t)(all & ~(1U << i));
    }
    draw_rest(plan, at_ns - REST_MS * SWARM_MS_NS);
    if (plan->action_count + CONTEST_ACTIONS > SWARM_ACTIONS_MAX) {
        return;
    }
    contest.fault = SWARM_SLOW_LINK;
    contest.amount = (int64_t)between(random, PACE_MS_MIN, PACE_MS_MAX);
    memcpy(contest.links, apart.links, sizeof(contest.links));
    swarm_plan_add(plan, &contest);
    draw_slow_disks(random, plan, &contest);
    swarm_plan_add(plan, &cut);
    swarm_plan_add(plan, &apart);
}

void swarm_plan_draw_votes(struct swarm_plan *plan) {
    ASSERT(plan->safety_ns > END_MS_MAX * SWARM_MS_NS);
    struct random random;
    if (plan->node_count < 3) {
        return;
    }
    random_seed(&random, plan->seed ^ UINT64_C(0x707e5));
    if (random_below(&random, CONTESTS_ONE_IN) == 0) {
        draw_contests(&random, plan);
    }
    random_seed(&random, plan->seed ^ UINT64_C(0x707e6));
    if (random_below(&random, CUT_ELECTIONS_ONE_IN) == 0) {
        draw_cut_election(&random, plan);
    }
}
