/*
 * Crashes at named points: a node loses power, or its process dies, at a step of its own.
 *
 * The happy path: an action names a place of the table and how often it is passed before; the
 * simulated host stops there (world_halt_at), and the process is then ended as by any crash.
 *
 * Failure modes: the place is not met while the action lasts: nothing happens.  The process ends
 * before for another reason: the order ends with it.
 */

#include "sim/swarm_internal.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "storage/format.h"

enum { NTH_MAX = 20 };

/* The steps of a request, a vote, a snapshot and the log's housekeeping, as sim/world.h says. */
static const struct {
    enum world_point point;
    const char *name;
} places[] = {
    {WORLD_POINT_WRITE, FILE_NAME_SEGMENT_PREFIX},
    {WORLD_POINT_WRITE_BEGIN, FILE_NAME_SEGMENT_PREFIX},
    {WORLD_POINT_SYNC, FILE_NAME_SEGMENT_PREFIX},
    {WORLD_POINT_SYNC_DONE, FILE_NAME_SEGMENT_PREFIX},
    {WORLD_POINT_CREATE, FILE_NAME_SEGMENT_PREFIX},
    {WORLD_POINT_REMOVE, FILE_NAME_SEGMENT_PREFIX},
    {WORLD_POINT_REMOVE_DONE, FILE_NAME_SEGMENT_PREFIX},
    {WORLD_POINT_RENAME, FILE_NAME_SNAPSHOT_PARTIAL},
    {WORLD_POINT_RENAME_DONE, FILE_NAME_SNAPSHOT_PARTIAL},
    {WORLD_POINT_WRITE, FILE_NAME_VOTE},
    {WORLD_POINT_SYNC, FILE_NAME_VOTE},
    {WORLD_POINT_SYNC_DONE, FILE_NAME_VOTE},
    {WORLD_POINT_SYNC_NAMES, ""},
    {WORLD_POINT_SYNC_NAMES_DONE, ""},
    {WORLD_POINT_SEND_PEER, ""},
    {WORLD_POINT_SEND_CLIENT, ""},
    {WORLD_POINT_RECEIVE_PEER, ""},
    {WORLD_POINT_RECEIVE_CLIENT, ""},
};

/* The amount of an action: the place, and the how manieth time, which counts from 1. */
static size_t place_of(const struct swarm_action *action) {
    size_t place = (size_t)action->amount / (NTH_MAX + 1);
    ASSERT(place < ARRAY_COUNT(places));
    return place;
}

static uint32_t nth_of(const struct swarm_action *action) {
    return (uint32_t)(action->amount % (NTH_MAX + 1));
}

void swarm_halt_draw(struct random *random, const struct swarm_plan *plan,
                     struct swarm_action *action) {
    (void)plan;
    uint64_t place = random_below(random, ARRAY_COUNT(places));
    uint64_t nth = 1 + random_below(random, random_below(random, 2) == 0 ? 1 : NTH_MAX);
    action->amount = (int64_t)(place * (NTH_MAX + 1) + nth);
}

void swarm_halt_begin(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    swarm->nodes[node].holds_down++;
    if (swarm->nodes[node].process != SWARM_UP || swarm->nodes[node].healed) {
        return;
    }
    world_halt_at(swarm->world, swarm->nodes[node].host, places[place_of(action)].point,
                  places[place_of(action)].name, nth_of(action));
    swarm->nodes[node].may_fail = true;
}

void swarm_halt_end(struct swarm *swarm, const struct swarm_action *action, uint32_t node) {
    ASSERT(swarm->nodes[node].holds_down > 0);
    swarm->nodes[node].holds_down--;
    world_halt_at(swarm->world, swarm->nodes[node].host, places[place_of(action)].point, "", 0);
}

void swarm_halt_print(const struct swarm_action *action, char *text, size_t text_bytes) {
    size_t place = place_of(action);
    int used =
        snprintf(text, text_bytes, ", at %s%s%s, time %u", world_point_name(places[place].point),
                 places[place].name[0] == '\0' ? "" : " of ", places[place].name, nth_of(action));
    ASSERT(used > 0 && (size_t)used < text_bytes);
}
