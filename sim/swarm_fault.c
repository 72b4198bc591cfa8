/*
 * The table of faults.
 *
 * Each row says what a fault is called, how long it lasts, and has three functions: one draws what
 * an action of it needs, one begins it, one ends it.  An action is in force while begun and not
 * ended; faults of one sort may overlap, so each node counts how many are in force, and one
 * function looks at the counts and tells the world.  Those of links are in sim/swarm_links.c.
 * A healed node's faults do not apply, whatever the counts say.
 *
 * Failure modes: an action about whoever leads, when nobody does, befalls the node that was drawn.
 * An action that finds its process gone does nothing.
 */

#include "sim/swarm_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "stages/change.h"

struct fault_row {
    const char *name;
    uint32_t weight; /* of being one of a seed's faults, beside the others' */
    uint32_t length_ms_min;
    uint32_t length_ms_max;
    bool needs_others; /* means nothing in a cluster of one */
    void (*draw)(struct random *random, const struct swarm_plan *plan, struct swarm_action *action);
    void (*begin)(struct swarm *swarm, const struct swarm_action *action, uint32_t node);
    void (*end)(struct swarm *swarm, const struct swarm_action *action, uint32_t node);
    const char *amount; /* what the amount is, for the text; NULL: it has none */
};

static const struct fault_row rows[SWARM_FAULTS];

static uint64_t between(struct random *random, uint64_t min, uint64_t max) {
    ASSERT(min <= max);
    return min + random_below(random, max - min + 1);
}

/* ---- links ---------------------------------------------------------------------------------- */

static void draw_slow_links(struct random *random, const struct swarm_plan *plan,
                            struct swarm_action *action) {
    swarm_links_draw(random, plan, action);
    action->amount = (int64_t)between(random, 5, 150);
}

static void draw_flips(struct random *random, const struct swarm_plan *plan,
                       struct swarm_action *action) {
    swarm_links_draw(random, plan, action);
    action->amount = (int64_t)between(random, 1, 100);
}

static void draw_losses(struct random *random, const struct swarm_plan *plan,
                        struct swarm_action *action) {
    swarm_links_draw(random, plan, action);
    action->amount = (int64_t)between(random, 10, random_below(random, 2) == 0 ? 50 : 400);
}

static void begin_loss(struct swarm *swarm, const struct swarm_action *action, uint32_t who) {
    swarm_ways_begin(swarm, action, who, SWARM_WAY_LOSS);
}

static void end_loss(struct swarm *swarm, const struct swarm_action *action, uint32_t who) {
    swarm_ways_end(swarm, action, who, SWARM_WAY_LOSS);
}

static void begin_cut(struct swarm *swarm, const struct swarm_action *action, uint32_t who) {
    swarm_ways_begin(swarm, action, who, SWARM_WAY_CUT);
}

static void end_cut(struct swarm *swarm, const struct swarm_action *action, uint32_t who) {
    swarm_ways_end(swarm, action, who, SWARM_WAY_CUT);
}

static void begin_clog(struct swarm *swarm, const struct swarm_action *action, uint32_t who) {
    swarm_ways_begin(swarm, action, who, SWARM_WAY_CLOG);
}

static void end_clog(struct swarm *swarm, const struct swarm_action *action, uint32_t who) {
    swarm_ways_end(swarm, action, who, SWARM_WAY_CLOG);
}

static void begin_slow(struct swarm *swarm, const struct swarm_action *action, uint32_t who) {
    swarm_ways_begin(swarm, action, who, SWARM_WAY_SLOW);
}

static void end_slow(struct swarm *swarm, const struct swarm_action *action, uint32_t who) {
    swarm_ways_end(swarm, action, who, SWARM_WAY_SLOW);
}

static void begin_flip(struct swarm *swarm, const struct swarm_action *action, uint32_t who) {
    swarm_ways_begin(swarm, action, who, SWARM_WAY_FLIP);
}

static void end_flip(struct swarm *swarm, const struct swarm_action *action, uint32_t who) {
    swarm_ways_end(swarm, action, who, SWARM_WAY_FLIP);
}

/* ---- processes ------------------------------------------------------------------------------ */

static void draw_power_cut(struct random *random, const struct swarm_plan *plan,
                           struct swarm_action *action) {
    (void)plan;
    static const enum world_power_cut cuts[] = {WORLD_KEEP_RANDOM, WORLD_KEEP_RANDOM,
                                                WORLD_KEEP_NOTHING, WORLD_KEEP_ALL};
    action->amount = cuts[random_below(random, ARRAY_COUNT(cuts))];
}

static void draw_steps(struct random *random, const struct swarm_plan *plan,
                       struct swarm_action *action) {
    (void)plan;
    action->amount = (int64_t)between(random, 1, 60);
}

static void draw_nothing(struct random *random, const struct swarm_plan *plan,
                         struct swarm_action *action) {
    (void)random;
    (void)plan;
    (void)action;
}

static void begin_crash(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    swarm->nodes[node].holds_down++;
    swarm_process_end(swarm, node, SWARM_END_POWER, (enum world_power_cut)action->amount, 0);
}

static void begin_crash_step(struct swarm *swarm, const struct swarm_action *action,
                             uint32_t node) {
    swarm->nodes[node].holds_down++;
    swarm_process_end(swarm, node, SWARM_END_POWER, WORLD_KEEP_RANDOM, (uint64_t)action->amount);
}

static void begin_kill(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    swarm->nodes[node].holds_down++;
    swarm_process_end(swarm, node, SWARM_END_KILL, WORLD_KEEP_ALL, 0);
}

static void begin_stop(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    swarm->nodes[node].holds_down++;
    swarm_process_end(swarm, node, SWARM_END_CLEAN, WORLD_KEEP_ALL, 0);
}

static void end_down(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    ASSERT(swarm->nodes[node].holds_down > 0);
    swarm->nodes[node].holds_down--;
}

/* The disk may not have died yet: then it does now. */
static void end_crash_step(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    swarm_process_end(swarm, node, SWARM_END_POWER, WORLD_KEEP_RANDOM, 0);
    end_down(swarm, action, node);
}

static void begin_blackout(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)node;
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        begin_crash(swarm, action, i);
    }
}

static void end_blackout(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)node;
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        end_down(swarm, action, i);
    }
}

static void begin_pause(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    swarm->nodes[node].holds_paused++;
    swarm_node_apply(swarm, node);
}

static void end_pause(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    swarm->nodes[node].holds_paused--;
    swarm_node_apply(swarm, node);
}

static void draw_slow_cpu(struct random *random, const struct swarm_plan *plan,
                          struct swarm_action *action) {
    (void)plan;
    action->amount = (int64_t)between(random, 50, 5000);
}

static void begin_slow_cpu(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    swarm->nodes[node].holds_slow_cpu++;
    swarm->nodes[node].slow_cpu_ns = (uint64_t)action->amount * 1000;
}

static void end_slow_cpu(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    swarm->nodes[node].holds_slow_cpu--;
}

/* ---- clocks --------------------------------------------------------------------------------- */

static void draw_jump(struct random *random, const struct swarm_plan *plan,
                      struct swarm_action *action) {
    (void)plan;
    int64_t by_ms = (int64_t)between(random, 1, random_below(random, 2) == 0 ? 1000 : 3600000);
    action->amount = random_below(random, 2) == 0 ? by_ms : -by_ms;
}

static void begin_jump(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    world_clock_jump(swarm->world, swarm->nodes[node].host, action->amount);
}

static void draw_rate(struct random *random, const struct swarm_plan *plan,
                      struct swarm_action *action) {
    /* Leases count on clocks whose rates differ by a tenth at most. */
    int64_t ppm = (int64_t)between(random, 100, plan->leases ? 45000 : 100000);
    action->amount = random_below(random, 2) == 0 ? ppm : -ppm;
}

static void begin_rate(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    world_clock_rate(swarm->world, swarm->nodes[node].host, (int32_t)action->amount);
}

static void end_rate(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    world_clock_rate(swarm->world, swarm->nodes[node].host, 0);
}

/* ---- disks ---------------------------------------------------------------------------------- */

static void draw_slow_disk(struct random *random, const struct swarm_plan *plan,
                           struct swarm_action *action) {
    (void)plan;
    action->amount = (int64_t)between(random, 2, random_below(random, 4) == 0 ? 1000 : 60);
}

static void begin_slow_disk(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    swarm->nodes[node].holds_slow_disk++;
    swarm->nodes[node].slow_disk_ns = (uint64_t)action->amount * SWARM_MS_NS;
    swarm_node_apply(swarm, node);
}

static void end_slow_disk(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    swarm->nodes[node].holds_slow_disk--;
    swarm_node_apply(swarm, node);
}

static void begin_stall(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    swarm->nodes[node].holds_stalled++;
    swarm_node_apply(swarm, node);
}

static void end_stall(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    swarm->nodes[node].holds_stalled--;
    swarm_node_apply(swarm, node);
}

static void begin_full(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    swarm->nodes[node].holds_full++;
    swarm_node_apply(swarm, node);
}

/* Whether the log has come to its end while its disk was full, or it could open none. */
static void count_full(struct swarm *swarm, uint32_t node) {
    struct sim_node *process = swarm->nodes[node].node;
    if (process != NULL) {
        swarm->result->counts.logs_full +=
            node_figure(&sim_node_figures(process)->replicate.log_full);
    }
}

static void end_full(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    count_full(swarm, node);
    swarm->nodes[node].holds_full--;
    swarm_node_apply(swarm, node);
}

static void begin_no_handles(struct swarm *swarm, const struct swarm_action *action,
                             uint32_t node) {
    (void)action;
    swarm->nodes[node].holds_no_handles++;
    swarm_node_apply(swarm, node);
}

static void end_no_handles(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    count_full(swarm, node);
    swarm->nodes[node].holds_no_handles--;
    swarm_node_apply(swarm, node);
}

static void draw_nth(struct random *random, const struct swarm_plan *plan,
                     struct swarm_action *action) {
    (void)plan;
    action->amount = (int64_t)between(random, 1, 30);
}

static void begin_sync_fails(struct swarm *swarm, const struct swarm_action *action,
                             uint32_t node) {
    swarm->nodes[node].holds_failing++;
    swarm->nodes[node].may_fail = true;
    world_disk_fail(swarm->world, swarm->nodes[node].host, WORLD_DISK_SYNC,
                    (uint32_t)action->amount, 1, -EIO);
}

static void end_sync_fails(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    swarm->nodes[node].holds_failing--;
    world_disk_fail(swarm->world, swarm->nodes[node].host, WORLD_DISK_SYNC, 1, 0, 0);
}

static void begin_write_fails(struct swarm *swarm, const struct swarm_action *action,
                              uint32_t node) {
    swarm->nodes[node].holds_failing++;
    swarm->nodes[node].may_fail = true;
    world_disk_fail(swarm->world, swarm->nodes[node].host, WORLD_DISK_WRITE,
                    (uint32_t)action->amount, 1, -EIO);
}

static void end_write_fails(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    swarm->nodes[node].holds_failing--;
    world_disk_fail(swarm->world, swarm->nodes[node].host, WORLD_DISK_WRITE, 1, 0, 0);
}

/* ---- more ---------------------------------------------------------------------------------- */

static void draw_damage(struct random *random, const struct swarm_plan *plan,
                        struct swarm_action *action) {
    (void)plan;
    action->amount = (int64_t)random_below(random, 1000000);
}

static void begin_damage(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    swarm_damage(swarm, node, (uint64_t)action->amount);
}

static void begin_lost_disk(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    (void)action;
    swarm->nodes[node].holds_down++;
    swarm_lose_disk(swarm, node);
}

/* Asks whoever leads to let this node lead. */
static void begin_transfer(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    uint32_t leader = swarm_leader(swarm);
    struct change_request request = {.kind = CHANGE_LEADER, .leader = node + 1};
    (void)action;
    if (leader == UINT32_MAX || leader == node) {
        return;
    }
    struct change_box *box = sim_node_changes(swarm->nodes[leader].node);
    const char *reason;
    if (box != NULL && change_look(box, &reason) >= CHANGE_DONE) {
        change_forget(box); /* of a transfer before */
    }
    if (box != NULL && change_ask(box, &request)) {
        swarm_say(swarm, "node %u is asked to let node %u lead", leader + 1, node + 1);
        sim_node_wake(swarm->nodes[leader].node);
    }
}

void swarm_node_apply(struct swarm *swarm, uint32_t index) {
    struct swarm_node *node = &swarm->nodes[index];
    const struct world_options *usual = &swarm->plan->world;
    bool ill = !node->healed;
    bool up = node->process == SWARM_UP;
    /* A process that ends is not kept from it: the disk under it is dead, or is to obey. */
    bool paused = ill && up && node->holds_paused > 0;
    bool stalled = ill && up && node->holds_stalled > 0;
    bool slow = ill && up && node->holds_slow_disk > 0;
    if (paused != world_paused(swarm->world, node->host)) {
        world_pause(swarm->world, node->host, paused);
    }
    world_disk_stall(swarm->world, node->host, stalled);
    world_disk_delay(swarm->world, node->host,
                     slow ? node->slow_disk_ns / 10 : usual->disk_delay_ns_min,
                     slow ? node->slow_disk_ns : usual->disk_delay_ns_max);
    world_disk_capacity(swarm->world, node->host,
                        ill && node->holds_full > 0
                            ? world_disk_used_bytes(swarm->world, node->host)
                            : usual->disk_capacity_bytes);
    bool no_handles = ill && node->holds_no_handles > 0;
    if (no_handles != node->no_handles) {
        node->no_handles = no_handles;
        world_disk_fail(swarm->world, node->host, WORLD_DISK_OPEN, 1, no_handles ? UINT32_MAX : 0,
                        no_handles ? -EMFILE : 0);
    }
}

/* ---- the table ------------------------------------------------------------------------------ */

static const struct fault_row rows[SWARM_FAULTS] = {
    [SWARM_CRASH] = {"crash", 4, 0, 4000, false, draw_power_cut, begin_crash, end_down, NULL},
    [SWARM_CRASH_STEP] = {"crash at step", 3, 1000, 4000, false, draw_steps, begin_crash_step,
                          end_crash_step, "steps of the disk"},
    [SWARM_KILL] = {"kill", 3, 0, 3000, false, draw_nothing, begin_kill, end_down, NULL},
    [SWARM_STOP] = {"stop", 1, 100, 3000, false, draw_nothing, begin_stop, end_down, NULL},
    [SWARM_BLACKOUT] = {"blackout", 2, 0, 1500, false, draw_power_cut, begin_blackout, end_blackout,
                        NULL},
    [SWARM_PAUSE] = {"pause", 3, 20, 2500, false, draw_nothing, begin_pause, end_pause, NULL},
    [SWARM_SLOW_CPU] = {"slow cpu", 2, 200, 6000, false, draw_slow_cpu, begin_slow_cpu,
                        end_slow_cpu, "us"},
    [SWARM_PARTITION] = {"partition", 5, 100, 4000, true, swarm_links_draw, begin_cut, end_cut,
                         NULL},
    [SWARM_CLIENT_CUT] = {"client cut", 2, 100, 3000, false, swarm_links_draw_clients, begin_cut,
                          end_cut, NULL},
    [SWARM_CLOG] = {"clog", 3, 50, 3000, true, swarm_links_draw, begin_clog, end_clog, NULL},
    [SWARM_SLOW_LINK] = {"slow link", 3, 200, 5000, true, draw_slow_links, begin_slow, end_slow,
                         "ms"},
    [SWARM_FLIP] = {"flip", 2, 200, 5000, true, draw_flips, begin_flip, end_flip, "per mille"},
    [SWARM_RESET] = {"reset", 2, 0, 0, true, swarm_links_draw, swarm_ways_reset, NULL, NULL},
    [SWARM_CLOCK_JUMP] = {"clock jump", 2, 0, 0, false, draw_jump, begin_jump, NULL, "ms"},
    [SWARM_CLOCK_RATE] = {"clock rate", 2, 500, 8000, false, draw_rate, begin_rate, end_rate,
                          "ppm"},
    [SWARM_SLOW_DISK] = {"slow disk", 3, 200, 5000, false, draw_slow_disk, begin_slow_disk,
                         end_slow_disk, "ms"},
    [SWARM_STALL] = {"stall", 2, 50, 4000, false, draw_nothing, begin_stall, end_stall, NULL},
    [SWARM_FULL_DISK] = {"full disk", 2, 200, 6000, false, draw_nothing, begin_full, end_full,
                         NULL},
    [SWARM_SYNC_FAILS] = {"sync fails", 2, 500, 3000, false, draw_nth, begin_sync_fails,
                          end_sync_fails, "operations on"},
    [SWARM_DAMAGE] = {"damage", 1, 0, 0, true, draw_damage, begin_damage, NULL, "of many"},
    [SWARM_TRANSFER] = {"transfer", 2, 0, 0, true, draw_nothing, begin_transfer, NULL, NULL},
    [SWARM_WRITE_FAILS] = {"write fails", 1, 500, 3000, false, draw_nth, begin_write_fails,
                           end_write_fails, "operations on"},
    [SWARM_MEMBERS] = {"members", 0, 500, 5000, false, swarm_members_draw, swarm_members_begin,
                       swarm_members_end, "of many"},
    [SWARM_LOST_DISK] = {"lost disk", 0, 0, 3000, true, draw_nothing, begin_lost_disk, end_down,
                         NULL},
    [SWARM_BLINK] = {"blink", 0, 5, 90, true, swarm_links_draw, begin_cut, end_cut, NULL},
    [SWARM_LOSS] = {"loss", 0, 200, 5000, true, draw_losses, begin_loss, end_loss, "per mille"},
    [SWARM_NO_HANDLES] = {"no descriptors", 0, 200, 6000, false, draw_nothing, begin_no_handles,
                          end_no_handles, NULL},
    [SWARM_HALT] = {"halt", 0, 500, 4000, false, swarm_halt_draw, swarm_halt_begin, swarm_halt_end,
                    NULL},
};

const char *swarm_fault_name(enum swarm_fault fault) {
    ASSERT(fault < SWARM_FAULTS);
    return rows[fault].name;
}

uint32_t swarm_fault_weight(enum swarm_fault fault) {
    ASSERT(fault < SWARM_FAULTS);
    return rows[fault].weight;
}

bool swarm_fault_needs_others(enum swarm_fault fault) {
    ASSERT(fault < SWARM_FAULTS);
    return rows[fault].needs_others;
}

void swarm_fault_draw(struct random *random, const struct swarm_plan *plan,
                      struct swarm_action *action) {
    const struct fault_row *row = &rows[action->fault];
    uint64_t length_ms = between(random, row->length_ms_min, row->length_ms_max);
    action->to_ns = action->from_ns + length_ms * SWARM_MS_NS;
    action->node = (uint32_t)random_below(random, plan->node_count);
    action->leader = random_below(random, 3) == 0;
    row->draw(random, plan, action);
}

/* ---- beginning and ending ------------------------------------------------------------------- */

void swarm_fault_begin(struct swarm *swarm, uint32_t number) {
    const struct swarm_action *action = &swarm->plan->actions[number];
    uint32_t leader = swarm_leader(swarm);
    uint32_t who = action->leader && leader != UINT32_MAX ? leader : action->node;
    char text[SWARM_TEXT_BYTES];
    ASSERT(!swarm->begun[number] && who < swarm->plan->node_count);
    swarm->begun[number] = true;
    swarm->who[number] = who;
    swarm->result->counts.faults[action->fault]++;
    swarm_fault_print(action, who, text, sizeof(text));
    swarm_say(swarm, "begins #%u: %s", number + 1, text);
    rows[action->fault].begin(swarm, action, who);
}

void swarm_fault_end(struct swarm *swarm, uint32_t number) {
    const struct swarm_action *action = &swarm->plan->actions[number];
    ASSERT(swarm->begun[number] && !swarm->over[number]);
    swarm->over[number] = true;
    if (rows[action->fault].end != NULL) {
        swarm_say(swarm, "ends #%u: %s", number + 1, rows[action->fault].name);
        rows[action->fault].end(swarm, action, swarm->who[number]);
    }
}

/* ---- text ----------------------------------------------------------------------------------- */

/* Whom an action befalls; not for one of all, and of links the ways say it. */
static int who_print(const struct swarm_action *action, uint32_t who, char *text,
                     size_t text_bytes) {
    bool planned = who == UINT32_MAX;
    bool of_ways = false;
    for (uint32_t i = 0; i < SWARM_ENDS; i++) {
        of_ways |= action->links[i] != 0;
    }
    if (planned && action->leader) {
        return snprintf(text, text_bytes,
                        of_ways ? ", whoever leads in the place of node %u"
                                : ", whoever leads, or node %u",
                        action->node + 1);
    }
    if (action->fault == SWARM_BLACKOUT || of_ways) {
        return 0;
    }
    return snprintf(text, text_bytes, ", node %u", planned ? action->node + 1 : who + 1);
}

void swarm_fault_print(const struct swarm_action *action, uint32_t who, char *text,
                       size_t text_bytes) {
    const struct fault_row *row = &rows[action->fault];
    int used = snprintf(text, text_bytes, "%s", row->name);
    ASSERT(used > 0 && (size_t)used < text_bytes);
    used += who_print(action, who, text + used, text_bytes - (size_t)used);
    if (row->draw == draw_power_cut) {
        static const char *const kept[] = {"some", "nothing", "all"};
        used += snprintf(text + used, text_bytes - (size_t)used, ", %s of what is not synced stays",
                         kept[action->amount]);
    } else if (row->amount != NULL) {
        used += snprintf(text + used, text_bytes - (size_t)used, ", %" PRId64 " %s", action->amount,
                         row->amount);
    }
    ASSERT((size_t)used < text_bytes);
    if (action->fault == SWARM_HALT) {
        swarm_halt_print(action, text + used, text_bytes - (size_t)used);
        return;
    }
    swarm_links_print(action, who == UINT32_MAX ? action->node : who, text + used,
                      text_bytes - (size_t)used);
}
