/*
 * Processes: starting, ending, stepping.
 *
 * Happy path: every node starts once at the beginning; from then on each step of the swarm lets
 * every process do one thing, beginning with one that is drawn.
 *
 * Failure modes: a process that an action ends is asked to stop over a dead disk, or dies with it,
 * goes on until it is at rest, and is then replaced by what the power cut or the kill leaves; it
 * starts again when no action holds it down.  One that fails by itself is a finding unless a fault
 * lets it; then its host loses power, as an operator would have it, and it starts again.  So does
 * one that fails while it stops: what it has written without success may be read, and is not
 * durable.
 */

#include "sim/swarm_internal.h"

#include <string.h>

#include "base/assert.h"
#include "raft/raft.h"

enum {
    /* Between two tries to start what did not start, and before the first. */
    START_AGAIN_MS = 500,
    START_MS_MAX = 200,
    /* For a process that is torn down after the run. */
    DRAIN_MS_MAX = 10000,
    DRAIN_ROUNDS_MAX = 10 * 1000 * 1000,
    /* All 24 clients may go to one node, three connections each: what one gave up on stays until
     * the node has heard so, or has done what was asked there.  And those of six members, twice. */
    CONNECTIONS_MAX = 24 * 3 + 6 * 2 + 12,
};

void swarm_cluster_create(struct swarm *swarm) {
    const struct swarm_plan *plan = swarm->plan;
    swarm->world = world_create(plan->seed, &plan->world);
    for (uint32_t i = 0; i < plan->node_count; i++) {
        swarm->hosts[i] = world_node_add(swarm->world);
    }
    for (uint32_t i = 0; i < plan->node_count; i++) {
        swarm->nodes[i] = (struct swarm_node){
            .host = swarm->hosts[i],
            .absent = i >= plan->founder_count,
            .options = {.map = plan->maps[i],
                        .member_count = plan->founder_count,
                        .member_hosts = swarm->hosts,
                        .member_hosts_count = plan->node_count,
                        .node_id = i + 1,
                        .budget_max = plan->budget_max,
                        .batch_count = plan->batch_count,
                        .snapshot_log_bytes = plan->snapshot_log_bytes,
                        .connections_max = CONNECTIONS_MAX,
                        .leases = plan->leases ? NODE_LEASES_ON : NODE_LEASES_KEEP,
                        .secret = plan->has_secret ? "the secret of all members" : NULL,
                        .knows_addresses = true}};
    }
}

/* Lets a process over a dead disk come to rest; false if it does not. */
static bool process_drain(struct swarm *swarm, struct sim_node *node) {
    uint64_t until_ns = world_now_ns(swarm->world) + DRAIN_MS_MAX * SWARM_MS_NS;
    for (uint32_t rounds = 0; !sim_node_ended(node) && rounds < DRAIN_ROUNDS_MAX; rounds++) {
        if (!sim_node_step(node)) {
            if (world_now_ns(swarm->world) >= until_ns) {
                return false;
            }
            (void)world_step_until(swarm->world, until_ns);
        }
    }
    return sim_node_ended(node);
}

/* Ends what still runs.  A process that does not end, which was found before, stays allocated. */
void swarm_cluster_destroy(struct swarm *swarm) {
    bool all_gone = true;
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        struct swarm_node *node = &swarm->nodes[i];
        node->healed = true;
        swarm_process_end(swarm, i, SWARM_END_POWER, WORLD_KEEP_ALL, 0);
        if (node->node == NULL) {
            continue;
        }
        if (process_drain(swarm, node->node)) {
            sim_node_destroy(node->node);
            node->node = NULL;
        } else {
            swarm_find(swarm, "node %u does not end", i + 1);
            all_gone = false;
        }
    }
    if (all_gone) {
        world_destroy(swarm->world);
    }
}

uint32_t swarm_leader(const struct swarm *swarm) {
    uint32_t leader = UINT32_MAX;
    uint64_t term = 0;
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        const struct swarm_node *node = &swarm->nodes[i];
        if (node->process != SWARM_UP) {
            continue;
        }
        const struct raft *raft = sim_node_raft(node->node);
        if (raft_role(raft) == RAFT_LEADER && raft_term(raft) > term) {
            leader = i;
            term = raft_term(raft);
        }
    }
    return leader;
}

/* Says whose code runs: an assertion of it ends the process. */
static void position_node(const struct swarm *swarm, uint32_t node) {
    if (swarm->watch->position != NULL) {
        swarm->watch->position->node = node;
    }
}

/* ---- starting ------------------------------------------------------------------------------- */

static bool may_start(const struct swarm *swarm, const struct swarm_node *node) {
    bool held = node->holds_down > 0 || node->holds_paused > 0 || node->holds_stalled > 0;
    return node->process == SWARM_DOWN && !node->absent && (node->healed || !held) &&
           node->start_at_ns <= world_now_ns(swarm->world);
}

/* It may not start.  Without room or descriptors it waits for some once it has started. */
static bool is_ill(const struct swarm_node *node) {
    bool wants = node->holds_full > 0 || node->holds_no_handles > 0;
    return node->damaged || (!node->healed && (node->holds_failing > 0 || wants));
}

static void process_start(struct swarm *swarm, uint32_t index) {
    struct swarm_node *node = &swarm->nodes[index];
    struct error_text error = {.text = ""};
    bool ill = is_ill(node);
    node->options.schedule_seed = random_u64(&swarm->random);
    if (node->wipe) {
        swarm_say(swarm, "node %u has an empty disk", index + 1);
        world_disk_lose(swarm->world, node->host);
        swarm_check_lost(&swarm->check, index);
        swarm_votes_lost(&swarm->votes, index);
        node->wipe = false;
        node->incarnation = 0; /* this life has none before its process serves */
        swarm->result->counts.disks_lost++;
        node->damaged = false;
        node->vote_damaged = false;
        ill = is_ill(node);
    }
    position_node(swarm, index + 1);
    int status = sim_node_start(&node->node, swarm->world, node->host, &node->options, &error);
    position_node(swarm, 0);
    if (status != 0) {
        node->node = NULL;
        swarm_say(swarm, "node %u does not start: %s", index + 1, error.text);
        if (!ill) {
            swarm_find(swarm, "node %u does not start: %s", index + 1, error.text);
            const char *colon = strchr(swarm->result->finding, ':');
            swarm->result->kind_bytes = (uint32_t)(colon - swarm->result->finding);
        }
        world_crash(swarm->world, node->host, WORLD_KEEP_ALL);
        node->start_at_ns = node->damaged
                                ? UINT64_MAX /* somebody has to look at it */
                                : world_now_ns(swarm->world) + START_AGAIN_MS * SWARM_MS_NS;
        return;
    }
    swarm->result->counts.starts++;
    node->process = SWARM_UP;
    node->incarnation = sim_node_figures(node->node)->options->identity.incarnation;
    node->may_fail = node->damaged || (!node->healed && node->holds_failing > 0);
    node->end = SWARM_END_POWER;
    node->cut = WORLD_KEEP_RANDOM;
    swarm_say(swarm, "node %u starts", index + 1);
    swarm_node_apply(swarm, index);
    swarm_check_started(&swarm->check, swarm, index);
}

/* ---- ending --------------------------------------------------------------------------------- */

void swarm_process_end(struct swarm *swarm, uint32_t index, enum swarm_end end,
                       enum world_power_cut cut, uint64_t steps) {
    static const char *const names[] = {"stops", "is killed", "loses power"};
    struct swarm_node *node = &swarm->nodes[index];
    if (node->process != SWARM_UP) {
        return;
    }
    node->end = end;
    node->cut = cut;
    node->may_fail = node->may_fail || end != SWARM_END_CLEAN;
    if (end != SWARM_END_CLEAN) {
        world_disk_die_after(swarm->world, node->host, steps);
    }
    if (steps > 0) {
        return; /* it fails by itself */
    }
    swarm_say(swarm, "node %u %s", index + 1, names[end]);
    swarm_check_ending(&swarm->check, swarm, index);
    node->process = SWARM_ENDING;
    swarm_node_apply(swarm, index);
    if (sim_node_failure(node->node) == NULL) {
        sim_node_stop(node->node);
    }
}

/* A process that has failed by itself. */
static void process_failed(struct swarm *swarm, uint32_t index) {
    struct swarm_node *node = &swarm->nodes[index];
    swarm_say(swarm, "node %u fails: %s", index + 1, sim_node_failure(node->node));
    if (!node->may_fail) {
        swarm_find(swarm, "node %u fails: %s", index + 1, sim_node_failure(node->node));
    }
    swarm_check_ending(&swarm->check, swarm, index);
    node->process = SWARM_ENDING;
    node->end = SWARM_END_POWER;
    swarm_node_apply(swarm, index);
}

/* A process that is at rest. */
static void process_gone(struct swarm *swarm, uint32_t index) {
    struct swarm_node *node = &swarm->nodes[index];
    swarm_check_ending(&swarm->check, swarm, index);
    if (node->end == SWARM_END_CLEAN && sim_node_failure(node->node) != NULL) {
        node->end = SWARM_END_POWER; /* it failed while it stopped: as one that fails by itself */
        node->cut = WORLD_KEEP_RANDOM;
    }
    sim_node_destroy(node->node);
    node->node = NULL;
    node->process = SWARM_DOWN;
    if (node->end == SWARM_END_POWER) {
        world_crash(swarm->world, node->host, node->cut);
    } else {
        world_kill(swarm->world, node->host);
        world_disk_die_after(swarm->world, node->host, UINT64_MAX);
    }
    node->start_at_ns =
        world_now_ns(swarm->world) + random_below(&swarm->random, START_MS_MAX) * SWARM_MS_NS;
    swarm_node_apply(swarm, index);
}

/* ---- stepping ------------------------------------------------------------------------------- */

static bool process_step(struct swarm *swarm, uint32_t index) {
    struct swarm_node *node = &swarm->nodes[index];
    if (world_paused(swarm->world, node->host)) {
        return false;
    }
    bool slow = node->holds_slow_cpu > 0 && !node->healed && node->process == SWARM_UP;
    if (slow && world_now_ns(swarm->world) < node->busy_until_ns) {
        return false;
    }
    position_node(swarm, index + 1);
    bool worked = sim_node_step(node->node);
    position_node(swarm, 0);
    committed_log_look(swarm->log, node->node); /* also of what it does while it ends */
    swarm_check_vote(swarm, index);             /* likewise */
    if (node->process == SWARM_UP && world_halted(swarm->world, node->host)) {
        swarm_say(swarm, "node %u is where it halts", index + 1);
        swarm_process_end(swarm, index, SWARM_END_POWER, WORLD_KEEP_RANDOM, 0);
    }
    if (worked && slow) {
        node->busy_until_ns =
            world_now_ns(swarm->world) + random_below(&swarm->random, node->slow_cpu_ns + 1);
    }
    if (node->process == SWARM_UP) {
        swarm_check_node(&swarm->check, swarm, index);
        if (sim_node_failure(node->node) != NULL) {
            process_failed(swarm, index);
        }
    }
    if (sim_node_ended(node->node)) {
        process_gone(swarm, index);
        worked = true;
    }
    return worked;
}

bool swarm_cluster_step(struct swarm *swarm) {
    uint32_t count = swarm->plan->node_count;
    uint32_t first = (uint32_t)random_below(&swarm->random, count);
    bool worked = false;
    for (uint32_t i = 0; i < count && !swarm_broken(swarm); i++) {
        uint32_t index = (first + i) % count;
        struct swarm_node *node = &swarm->nodes[index];
        if (may_start(swarm, node)) {
            process_start(swarm, index);
            worked = true;
        } else if (node->process != SWARM_DOWN) {
            worked |= process_step(swarm, index);
        }
    }
    return worked;
}

uint64_t swarm_cluster_due_ns(const struct swarm *swarm) {
    uint64_t now_ns = world_now_ns(swarm->world);
    uint64_t due_ns = UINT64_MAX;
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        const struct swarm_node *node = &swarm->nodes[i];
        uint64_t own_ns = node->process == SWARM_DOWN ? node->start_at_ns : node->busy_until_ns;
        if (own_ns > now_ns && own_ns < due_ns) {
            due_ns = own_ns;
        }
    }
    return due_ns;
}
