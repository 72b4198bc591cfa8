/*
 * What a seed draws.
 *
 * Swarm testing (Groce and others, 2012): a run with a few sorts of faults, often, finds what a run
 * with all of them, seldom, does not, since some hide others.  So a seed first draws which faults
 * it has, then how often each comes, then the actions, evenly over the safety phase.
 *
 * The ranges of the network and the disk follow what hosts of one site have, with a share of seeds
 * that are far worse.  A way carries at least some hundred KB a second, since pieces follow one
 * another: so long delays have large pieces.
 */

#include "sim/swarm_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

enum {
    SAFETY_MS_MIN = 16000,
    SAFETY_MS_MAX = 24000,
    KINDS_MAX = 6,
    HALTS_ONE_IN = 4, /* seeds: crashes at named points */
    HALTS_MAX = 20,
    DEPOSALS_ONE_IN = 4, /* seeds; with leases one in two */
    DEPOSALS_MAX = 16,
    UNREST_ONE_IN = 4,  /* seeds: shorter faults, sooner after one another, mostly of who leads */
    MEMBERS_ONE_IN = 4, /* seeds: members come and go */
    MEMBERS_MAX = 24,
    JOINERS_MAX = 3,
    SEED_LATER_COMMANDS = 1000000, /* seeds from here on have them */
    LOST_DISKS_ONE_IN = 5,
    LOST_DISKS_MAX = 4,
    BLINKS_ONE_IN = 4,
    BLINKS_MAX = 40,
    SECRETS_ONE_IN = 4,
    LOSSES_ONE_IN = 4,
    LOSSES_MAX = 20,
    /* 200 a second for a minute, and what is refused at once and asked again. */
    OPERATIONS_MAX = 1 << 15,
    /* Replies of 8 KB to each: with many reads of long values 32 MiB were full, and clients that
       cannot note what they ask ask nothing more.  Only what is used is touched. */
    HISTORY_BYTES = OPERATIONS_MAX * 8192,
};

static uint64_t between(struct random *random, uint64_t min, uint64_t max) {
    ASSERT(min <= max);
    return min + random_below(random, max - min + 1);
}

/* ---- the world ------------------------------------------------------------------------------ */

static struct world_options draw_world(struct random *random) {
    struct world_options world = world_options_calm();
    static const uint32_t delay_us_max[] = {100, 300, 1000, 3000, 10000, 25000};
    uint64_t delay_us = between(random, 50, delay_us_max[random_below(random, 6)]);
    world.network_delay_ns_min = delay_us * between(random, 0, 800);
    world.network_delay_ns_max = delay_us * 1000;
    /* A piece a mean delay: at least 200 KB a second. */
    uint64_t piece_bytes_min = delay_us * 1000 / 5000 + 200;
    world.network_piece_bytes_max = (uint32_t)between(random, piece_bytes_min, 32768);
    world.socket_send_bytes = (uint32_t)between(random, 4096, 65536);
    world.socket_receive_bytes = (uint32_t)between(random, 4096, 65536);
    if (random_below(random, 2) == 0) {
        world.send_partial_chance = (uint32_t)random_below(random, 300);
        world.no_buffers_chance = (uint32_t)random_below(random, 30);
        world.receive_end_chance = (uint32_t)random_below(random, 50);
        world.accept_error_chance = (uint32_t)random_below(random, 20);
    }
    static const uint32_t disk_us_max[] = {100, 400, 2000, 6000, 15000};
    uint64_t disk_us = between(random, 40, disk_us_max[random_below(random, 5)]);
    world.disk_delay_ns_min = disk_us * between(random, 50, 500);
    world.disk_delay_ns_max = disk_us * 1000;
    world.disk_parts_max = (uint32_t)between(random, 1, 4);
    world.clock_drift_ppm_max = (uint32_t)between(random, 0, 500);
    return world;
}

/* ---- the load -------------------------------------------------------------------------------- */

/* Chances are in a thousand.  One thing in two is as usual. */
static void draw_clients(struct random *random, struct cluster_clients_options *clients) {
    *clients = cluster_clients_options_default();
    clients->operations_max = OPERATIONS_MAX;
    clients->history_bytes = HISTORY_BYTES;
    clients->clients = (uint32_t)between(random, 2, 16);
    clients->keys = (uint32_t)between(random, 1, 8);
    clients->batch_max = (uint32_t)between(random, 1, CLUSTER_CLIENTS_BATCH);
    uint64_t unusual = random_u64(random);
    if ((unusual & 1) != 0) {
        clients->read_share = (uint32_t)between(random, 100, 900);
    }
    if ((unusual & 2) != 0) {
        clients->once_share = (uint32_t)random_below(random, 700);
    }
    if ((unusual & 4) != 0) {
        clients->expiry_share = (uint32_t)random_below(random, 300);
    }
    if ((unusual & 8) != 0) {
        clients->long_share = (uint32_t)random_below(random, 200);
        clients->value_bytes_max = (uint32_t)between(random, 32, 20000);
    }
    if ((unusual & 16) != 0) {
        clients->slow_share = (uint32_t)random_below(random, 300);
        clients->piece_share = (uint32_t)random_below(random, 500);
    }
    if ((unusual & 32) != 0) {
        clients->batches_max = (uint32_t)between(random, 1, 200);
        clients->reset_share = (uint32_t)random_below(random, 500);
        clients->half_share = (uint32_t)random_below(random, 500);
    }
}

/*
 * Commands that came later: GETSET, CAS and others; large sets, so that what a node chooses at
 * random is chosen by all; hashes, lists, sets and sorted sets; and transactions. Seeds
 * below a million go without them, so that what is noted of them stays true.
 */
static void draw_later_commands(struct swarm_plan *plan) {
    struct cluster_clients_options *clients = &plan->clients;
    struct random random;
    random_seed(&random, plan->seed ^ UINT64_C(0x5e75));
    if (plan->seed < SEED_LATER_COMMANDS) {
        return;
    }
    if (random_below(&random, 2) == 0) {
        clients->exchange_share = (uint32_t)between(&random, 50, 500);
    }
    if (random_below(&random, 3) == 0) {
        clients->set_share = (uint32_t)between(&random, 50, 500);
    }
    if (random_below(&random, 2) == 0) {
        clients->collection_share = (uint32_t)between(&random, 50, 500);
    }
    if (random_below(&random, 2) == 0) {
        clients->transaction_share = (uint32_t)between(&random, 50, 500);
    }
}

/* ---- actions -------------------------------------------------------------------------------- */

/* Which faults a seed has, as a mask. */
static uint32_t draw_kinds(struct random *random, uint32_t node_count) {
    uint32_t total = 0;
    for (enum swarm_fault fault = 0; fault < SWARM_FAULTS; fault++) {
        total += swarm_fault_weight(fault);
    }
    uint32_t wanted = 1 + (uint32_t)random_below(random, KINDS_MAX);
    uint32_t kinds = 0;
    for (uint32_t tries = 0; tries < 2 * wanted; tries++) {
        uint32_t at = (uint32_t)random_below(random, total);
        enum swarm_fault fault = 0;
        while (at >= swarm_fault_weight(fault)) {
            at -= swarm_fault_weight(fault++);
        }
        ASSERT(fault < SWARM_FAULTS);
        if (node_count > 1 || !swarm_fault_needs_others(fault)) {
            kinds |= 1U << fault;
        }
        if ((uint32_t)__builtin_popcount(kinds) == wanted) {
            break;
        }
    }
    return kinds;
}

/* Keeps the list in the order of time. */
void swarm_plan_add(struct swarm_plan *plan, const struct swarm_action *action) {
    ASSERT(plan->action_count < SWARM_ACTIONS_MAX);
    uint32_t at = plan->action_count++;
    while (at > 0 && plan->actions[at - 1].from_ns > action->from_ns) {
        plan->actions[at] = plan->actions[at - 1];
        at--;
    }
    plan->actions[at] = *action;
}

/* One after the other, the gaps between them drawn; their mean is drawn for the whole seed. */
static void draw_actions(struct random *random, struct swarm_plan *plan, enum swarm_fault fault,
                         bool unrest, uint32_t most) {
    uint64_t gap_ms_max = unrest ? between(random, 100, 1500) : between(random, 500, 6000);
    uint64_t gap_ns_max = gap_ms_max * SWARM_MS_NS;
    uint64_t at_ns = between(random, 0, gap_ns_max) + 200 * SWARM_MS_NS;
    for (uint32_t i = 0; i < most && at_ns < plan->safety_ns; i++) {
        struct swarm_action action = {.from_ns = at_ns, .fault = fault};
        swarm_fault_draw(random, plan, &action);
        if (unrest) {
            action.to_ns -= (action.to_ns - action.from_ns) * 3 / 4;
            action.leader = action.leader || random_below(random, 2) == 0;
        }
        swarm_plan_add(plan, &action);
        /* Mostly behind this one; now and then while it lasts. */
        uint64_t behind_ns = random_below(random, 4) == 0 ? at_ns : action.to_ns;
        at_ns = behind_ns + between(random, 10 * SWARM_MS_NS, gap_ns_max);
    }
}

/*
 * Who leads hears the others late, and a moment later is not heard by them any more: they elect
 * another one while it still believes itself heard, appends, and answers its clients.  Two actions
 * each; the second finds the same leader if nothing came between.
 */
static void draw_deposals(struct random *random, struct swarm_plan *plan) {
    uint64_t gap_ns_max = between(random, 500, 4000) * SWARM_MS_NS;
    uint64_t at_ns = between(random, 200 * SWARM_MS_NS, gap_ns_max);
    uint32_t most = (SWARM_ACTIONS_MAX - plan->action_count) / 2;
    most = most < DEPOSALS_MAX ? most : DEPOSALS_MAX;
    for (uint32_t i = 0; i < most && at_ns < plan->safety_ns; i++) {
        struct swarm_action late = {.from_ns = at_ns,
                                    .fault = SWARM_SLOW_LINK,
                                    .node = (uint32_t)random_below(random, plan->node_count),
                                    .leader = true,
                                    .amount = (int64_t)between(random, 20, 150)};
        struct swarm_action unheard = late;
        uint32_t others = ((1U << plan->node_count) - 1) & ~(1U << late.node);
        for (uint32_t j = 0; j < plan->node_count; j++) {
            late.links[j] = (uint8_t)((others >> j & 1) << late.node);
        }
        unheard.fault = SWARM_PARTITION;
        unheard.links[late.node] = (uint8_t)others;
        unheard.from_ns += between(random, 200, 600) * SWARM_MS_NS;
        unheard.to_ns = unheard.from_ns + between(random, 300, 1500) * SWARM_MS_NS;
        late.to_ns = unheard.to_ns;
        swarm_plan_add(plan, &late);
        swarm_plan_add(plan, &unheard);
        at_ns = late.to_ns + between(random, 10 * SWARM_MS_NS, gap_ns_max);
    }
}

/* The same for what is drawn beside a seed's sorts of faults, in what room is left. */
static void draw_more(struct random *random, struct swarm_plan *plan, enum swarm_fault fault,
                      uint32_t most) {
    uint32_t room = SWARM_ACTIONS_MAX - plan->action_count;
    if (plan->node_count > 1 || !swarm_fault_needs_others(fault)) {
        draw_actions(random, plan, fault, false, room < most ? room : most);
    }
}

/* Nodes that may be added, in some seeds; of a stream of its own, too. */
static bool draw_joiners(struct swarm_plan *plan) {
    struct random random;
    random_seed(&random, plan->seed ^ UINT64_C(0x3e3be5));
    if (random_below(&random, MEMBERS_ONE_IN) != 0) {
        return false;
    }
    uint32_t joiners = (uint32_t)between(&random, 1, JOINERS_MAX);
    plan->node_count += joiners;
    plan->node_count = plan->node_count < SWARM_NODES_MAX ? plan->node_count : SWARM_NODES_MAX;
    return true;
}

/* Beside the others, and of a stream of its own, so that the rest of a seed stays as it is. */
static void draw_beside(struct swarm_plan *plan, bool members) {
    struct random random;
    random_seed(&random, ~plan->seed);
    if (random_below(&random, HALTS_ONE_IN) == 0) {
        draw_more(&random, plan, SWARM_HALT, HALTS_MAX);
    }
    if (members) {
        draw_more(&random, plan, SWARM_MEMBERS, MEMBERS_MAX);
    }
    if (random_below(&random, LOST_DISKS_ONE_IN) == 0) {
        draw_more(&random, plan, SWARM_LOST_DISK, LOST_DISKS_MAX);
    }
    if (random_below(&random, BLINKS_ONE_IN) == 0) {
        draw_more(&random, plan, SWARM_BLINK, BLINKS_MAX);
    }
    bool deposals = random_below(&random, plan->leases ? 2 : DEPOSALS_ONE_IN) == 0;
    if (deposals && plan->node_count > 1) {
        draw_deposals(&random, plan);
    }
    if (random_below(&random, LOSSES_ONE_IN) == 0) {
        draw_more(&random, plan, SWARM_LOSS, LOSSES_MAX);
    }
    plan->has_secret = random_below(&random, SECRETS_ONE_IN) == 0;
    swarm_plan_draw_reads(plan);
    swarm_plan_draw_members(plan);
    swarm_plan_logs_draw(plan);
    swarm_plan_draw_full(plan);
    swarm_plan_draw_votes(plan); /* the last: it may clear the end of the plan for an election */
}

void swarm_plan_draw(struct swarm_plan *plan, uint64_t seed, uint32_t founder_count) {
    static const uint32_t sizes[] = {1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7};
    static const char *const maps[] = {"fused", "fused", "pair", "split"};
    ASSERT(founder_count <= SWARM_NODES_MAX);
    struct random random;
    random_seed(&random, seed);
    memset(plan, 0, sizeof(*plan));
    uint32_t drawn = sizes[random_below(&random, ARRAY_COUNT(sizes))];
    plan->seed = seed;
    plan->founder_count = founder_count == 0 ? drawn : founder_count;
    plan->node_count = plan->founder_count;
    bool members = draw_joiners(plan);
    plan->safety_ns = between(&random, SAFETY_MS_MIN, SAFETY_MS_MAX) * SWARM_MS_NS;
    plan->world = draw_world(&random);
    const char *map = maps[random_below(&random, ARRAY_COUNT(maps))];
    bool mixed = random_below(&random, 2) == 0;
    for (uint32_t i = 0; i < SWARM_NODES_MAX; i++) {
        plan->maps[i] = mixed ? maps[random_below(&random, ARRAY_COUNT(maps))] : map;
    }
    plan->budget_max = random_below(&random, 2) == 0 ? 0 : (uint32_t)between(&random, 1, 40);
    plan->batch_count = 1U << between(&random, 4, 6);
    draw_clients(&random, &plan->clients);
    draw_later_commands(plan);
    if (random_below(&random, 2) == 0) {
        plan->snapshot_log_bytes = between(&random, 10000, 300000);
    }
    plan->leases = random_below(&random, 3) == 0;
    plan->clients.lease_share = plan->leases ? (uint32_t)random_below(&random, 800) : 0;
    plan->quorum_seed = random_u64(&random);
    uint32_t kinds = draw_kinds(&random, plan->node_count);
    uint32_t count = (uint32_t)__builtin_popcount(kinds);
    bool unrest = random_below(&random, UNREST_ONE_IN) == 0;
    for (enum swarm_fault fault = 0; fault < SWARM_FAULTS && count > 0; fault++) {
        if ((kinds >> fault & 1) != 0) {
            draw_actions(&random, plan, fault, unrest, SWARM_ACTIONS_MAX / count);
        }
    }
    draw_beside(plan, members);
}

/* ---- text ----------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void print(struct kv_model_text *out,
                                                        const char *format, ...) {
    char text[2 * SWARM_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    ASSERT(length >= 0 && (size_t)length < sizeof(text));
    kv_model_text_append(out, text, (size_t)length);
}

void swarm_plan_print(const struct swarm_plan *plan, struct kv_model_text *out) {
    print(out, "seed %" PRIu64 ": %u nodes", plan->seed, plan->founder_count);
    if (plan->node_count > plan->founder_count) {
        print(out, " and %u that may be added", plan->node_count - plan->founder_count);
    }
    print(out, " (");
    for (uint32_t i = 0; i < plan->node_count; i++) {
        print(out, "%s%s", i == 0 ? "" : ", ", plan->maps[i]);
    }
    print(out, "), %u clients, %" PRIu64 " ms of faults\n", plan->clients.clients,
          plan->safety_ns / SWARM_MS_NS);
    print(
        out,
        "network %" PRIu64 " to %" PRIu64 " us, pieces of %u bytes%s; disk %" PRIu64 " to %" PRIu64
        " us, reads %u times; budget %u, batches %u, snapshots each %" PRIu64 " bytes\n",
        plan->world.network_delay_ns_min / 1000, plan->world.network_delay_ns_max / 1000,
        plan->world.network_piece_bytes_max,
        plan->has_secret ? ", authenticated between members" : "",
        plan->world.disk_delay_ns_min / 1000, plan->world.disk_delay_ns_max / 1000,
        plan->world.disk_read_times, plan->budget_max, plan->batch_count, plan->snapshot_log_bytes);
    for (uint32_t i = 0; i < plan->action_count; i++) {
        char text[SWARM_TEXT_BYTES];
        if (plan->actions[i].left_out) {
            continue;
        }
        swarm_fault_print(&plan->actions[i], UINT32_MAX, text, sizeof(text));
        print(out, "#%-3u %9.3f s to %9.3f s  %s\n", i + 1,
              (double)plan->actions[i].from_ns / (double)SWARM_SECOND_NS,
              (double)plan->actions[i].to_ns / (double)SWARM_SECOND_NS, text);
    }
}
