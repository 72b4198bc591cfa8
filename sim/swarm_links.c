/*
 * Faults of the ways between hosts: which ways, and what happens on them.
 *
 * An action names its ways as bits.  Each way counts how many actions cut it, clog it, slow it
 * down, flip its bytes or lose its pieces; whenever a count has changed, every way is compared
 * with what the world was last told.  Between two ends that are healed nothing applies, whatever
 * the counts say.
 *
 * Shapes of partitions, after what has felled systems: two halves; one alone, one that only sends
 * or only hears; a bridge between two halves; a ring; all apart; anything.
 */

#include "sim/swarm_internal.h"

#include <stdio.h>

#include "base/assert.h"

static uint64_t between(struct random *random, uint64_t min, uint64_t max) {
    ASSERT(min <= max);
    return min + random_below(random, max - min + 1);
}

/* ---- shapes of links ----------------------------------------------------------------------- */

static void link_set(struct swarm_action *action, uint32_t from, uint32_t to) {
    ASSERT(from < SWARM_ENDS && to < SWARM_ENDS);
    action->links[from] |= (uint8_t)(1U << to);
}

/* All ways between two sets of nodes, there, back, or both. */
static void links_between(struct swarm_action *action, uint32_t a, uint32_t b, bool there,
                          bool back) {
    for (uint32_t i = 0; i < SWARM_NODES_MAX; i++) {
        for (uint32_t j = 0; j < SWARM_NODES_MAX; j++) {
            if (i != j && (a >> i & 1) != 0 && (b >> j & 1) != 0) {
                if (there) {
                    link_set(action, i, j);
                }
                if (back) {
                    link_set(action, j, i);
                }
            }
        }
    }
}

/* A proper part of the nodes, not empty. */
static uint32_t some_nodes(struct random *random, uint32_t count) {
    ASSERT(count > 1);
    return 1 + (uint32_t)random_below(random, (1U << count) - 2);
}

/* Each node reaches its two neighbours only. */
static void links_ring(struct swarm_action *action, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = i + 1; j < count; j++) {
            if (j - i != 1 && j - i != count - 1) {
                links_between(action, 1U << i, 1U << j, true, true);
            }
        }
    }
}

/* Any of the shapes that partitions have, also for other faults of links. */
void swarm_links_draw(struct random *random, const struct swarm_plan *plan,
                      struct swarm_action *action) {
    uint32_t count = plan->node_count;
    uint32_t all = (1U << count) - 1;
    uint32_t one = 1U << action->node;
    uint32_t some = some_nodes(random, count);
    switch (random_below(random, 9)) {
    case 0: links_between(action, some, all & ~some, true, true); break;
    case 1: links_between(action, one, all & ~one, true, true); break;
    case 2: links_between(action, one, all & ~one, true, false); break;
    case 3: links_between(action, one, all & ~one, false, true); break;
    case 4: links_between(action, some & ~one, all & ~some & ~one, true, true); break;
    case 5: links_ring(action, count); break;
    case 6: links_between(action, all, all, true, true); break;
    case 7: links_between(action, one, some & ~one, true, random_below(random, 2) == 0); break;
    default:
        for (uint32_t i = 0; i < count; i++) {
            action->links[i] = (uint8_t)(random_u64(random) & all & ~(1U << i));
        }
        break;
    }
}

/* The ways between clients and some nodes, or all: requests, replies or both. */
void swarm_links_draw_clients(struct random *random, const struct swarm_plan *plan,
                              struct swarm_action *action) {
    uint32_t nodes = random_below(random, 2) == 0
                         ? 1U << action->node
                         : 1 + (uint32_t)random_below(random, (1U << plan->node_count) - 1);
    uint64_t ways = between(random, 1, 3);
    if ((ways & 1) != 0) {
        action->links[SWARM_OUTSIDE] = (uint8_t)nodes;
    }
    for (uint32_t i = 0; i < plan->node_count && (ways & 2) != 0; i++) {
        if ((nodes >> i & 1) != 0) {
            link_set(action, i, SWARM_OUTSIDE);
        }
    }
}

/* ---- what is in force ----------------------------------------------------------------------- */

/* Which end a row or bit of links is, with the places of two nodes exchanged. */
static uint32_t end_of(const struct swarm_action *action, uint32_t who, uint32_t end) {
    if (end == action->node) {
        return who;
    }
    return end == who ? action->node : end;
}

/* Finds the next way of an action from place *at on, and sets *at behind it; false: none. */
static bool way_next(const struct swarm_action *action, uint32_t *at) {
    while (*at < SWARM_ENDS * SWARM_ENDS) {
        uint32_t here = (*at)++;
        if ((action->links[here / SWARM_ENDS] >> here % SWARM_ENDS & 1) != 0) {
            return true;
        }
    }
    return false;
}

/* The world's number of an end. */
static uint32_t host_of(const struct swarm *swarm, uint32_t end) {
    return end == SWARM_OUTSIDE ? WORLD_OUTSIDE : swarm->nodes[end].host;
}

/* Whether an end has no faults any more; clients have none of their own. */
static bool end_healed(const struct swarm *swarm, uint32_t end) {
    return end == SWARM_OUTSIDE || swarm->nodes[end].healed;
}

static void world_tell(struct swarm *swarm, uint32_t from, uint32_t to,
                       enum swarm_way_effect effect, bool is_on, uint64_t amount) {
    const struct world_options *usual = &swarm->plan->world;
    uint64_t slow_ns = amount * SWARM_MS_NS;
    switch (effect) {
    case SWARM_WAY_CUT: world_link_cut(swarm->world, from, to, is_on); break;
    case SWARM_WAY_CLOG: world_link_clog(swarm->world, from, to, is_on); break;
    case SWARM_WAY_SLOW:
        world_link_delay(swarm->world, from, to, is_on ? slow_ns / 4 : usual->network_delay_ns_min,
                         is_on ? slow_ns : usual->network_delay_ns_max);
        break;
    case SWARM_WAY_FLIP:
        world_link_flip(swarm->world, from, to, is_on ? (uint32_t)amount : 0);
        break;
    case SWARM_WAY_LOSS:
        world_link_loss(swarm->world, from, to, is_on ? (uint32_t)amount : 0);
        break;
    case SWARM_WAY_EFFECTS: UNREACHABLE("the number of them");
    }
}

/* Tells the world of one way, where it differs from what the world was told. */
static void way_apply(struct swarm *swarm, uint32_t from, uint32_t to) {
    struct swarm_way *way = &swarm->ways[from][to];
    bool to_clients = from == SWARM_OUTSIDE || to == SWARM_OUTSIDE;
    bool healed = (end_healed(swarm, from) && end_healed(swarm, to)) ||
                  (to_clients && swarm->schedule_over); /* whoever leads can be reached */
    for (enum swarm_way_effect effect = 0; effect < SWARM_WAY_EFFECTS; effect++) {
        bool is_on = way->count[effect] > 0 && !healed;
        if (is_on != way->told[effect]) {
            way->told[effect] = is_on;
            world_tell(swarm, host_of(swarm, from), host_of(swarm, to), effect, is_on,
                       way->amount[effect]);
        }
    }
}

void swarm_ways_apply(struct swarm *swarm) {
    uint32_t count = swarm->plan->node_count;
    for (uint32_t from = 0; from < SWARM_ENDS; from++) {
        for (uint32_t to = 0; to < SWARM_ENDS; to++) {
            bool is_there =
                (from == SWARM_OUTSIDE || from < count) && (to == SWARM_OUTSIDE || to < count);
            if (from != to && is_there) {
                way_apply(swarm, from, to);
            }
        }
    }
}

void swarm_ways_begin(struct swarm *swarm, const struct swarm_action *action, uint32_t who,
                      enum swarm_way_effect effect) {
    for (uint32_t at = 0; way_next(action, &at);) {
        struct swarm_way *way = &swarm->ways[end_of(action, who, (at - 1) / SWARM_ENDS)]
                                            [end_of(action, who, (at - 1) % SWARM_ENDS)];
        way->count[effect]++;
        way->amount[effect] = (uint64_t)action->amount;
    }
    swarm_ways_apply(swarm);
}

void swarm_ways_end(struct swarm *swarm, const struct swarm_action *action, uint32_t who,
                    enum swarm_way_effect effect) {
    for (uint32_t at = 0; way_next(action, &at);) {
        struct swarm_way *way = &swarm->ways[end_of(action, who, (at - 1) / SWARM_ENDS)]
                                            [end_of(action, who, (at - 1) % SWARM_ENDS)];
        ASSERT(way->count[effect] > 0);
        way->count[effect]--;
    }
    swarm_ways_apply(swarm);
}

void swarm_ways_reset(struct swarm *swarm, const struct swarm_action *action, uint32_t who) {
    for (uint32_t at = 0; way_next(action, &at);) {
        uint32_t from = end_of(action, who, (at - 1) / SWARM_ENDS);
        uint32_t to = end_of(action, who, (at - 1) % SWARM_ENDS);
        if (from < to && to < swarm->plan->node_count) {
            world_link_reset(swarm->world, swarm->nodes[from].host, swarm->nodes[to].host);
        }
    }
}

void swarm_links_print(const struct swarm_action *action, uint32_t who, char *text,
                       size_t text_bytes) {
    size_t used = 0;
    for (uint32_t at = 0; way_next(action, &at) && used + 8 < text_bytes;) {
        uint32_t from = end_of(action, who, (at - 1) / SWARM_ENDS);
        uint32_t to = end_of(action, who, (at - 1) % SWARM_ENDS);
        used += (size_t)snprintf(text + used, text_bytes - used, " %c>%c",
                                 from == SWARM_OUTSIDE ? 'c' : (char)('1' + from),
                                 to == SWARM_OUTSIDE ? 'c' : (char)('1' + to));
    }
}
