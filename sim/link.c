/*
 * What befalls the links between hosts.
 *
 * The happy path: a fault is a property of the link in one direction, at which network.c looks when
 * something is to move.  Opening a clogged link lets everything move that has waited; a cut one
 * needs no such push, since what it lost is sent again by itself.
 */

#include "sim/internal.h"

#include <errno.h>

static struct link *link_of(struct world *world, uint32_t from, uint32_t to) {
    ASSERT(from <= WORLD_OUTSIDE && to <= WORLD_OUTSIDE);
    return &world->links[from][to];
}

void world_link_clog(struct world *world, uint32_t from, uint32_t to, bool clogged) {
    world_note(world, clogged ? "clog" : "unclog", from, to, 0);
    link_of(world, from, to)->clogged = clogged;
    for (struct connection *each = world->connections; each != NULL && !clogged;
         each = each->next) {
        for (uint32_t side = 0; side < 2; side++) {
            stream_pump(each, side);
            break_pump(each, side);
        }
    }
}

void world_link_cut(struct world *world, uint32_t from, uint32_t to, bool cut) {
    world_note(world, cut ? "cut" : "mend", from, to, 0);
    link_of(world, from, to)->cut = cut;
}

void world_link_delay(struct world *world, uint32_t from, uint32_t to, uint64_t ns_min,
                      uint64_t ns_max) {
    ASSERT(ns_min <= ns_max);
    world_note(world, "link delay", from, to, (int64_t)ns_max);
    struct link *link = link_of(world, from, to);
    link->delay_ns_min = ns_min;
    link->delay_ns_max = ns_max;
}

void world_link_flip(struct world *world, uint32_t from, uint32_t to, uint32_t chance) {
    ASSERT(chance <= 1000);
    world_note(world, "link flip", from, to, chance);
    link_of(world, from, to)->flip_chance = chance;
}

void world_link_loss(struct world *world, uint32_t from, uint32_t to, uint32_t chance) {
    ASSERT(chance <= WORLD_LOSS_CHANCE_MAX);
    world_note(world, "link loss", from, to, chance);
    link_of(world, from, to)->loss_chance = chance;
}

void world_accept_errors(struct world *world, uint32_t chance) {
    ASSERT(chance <= 1000);
    world_note(world, "accept errors", 0, 0, chance);
    world->options.accept_error_chance = chance;
}

/* Resets both ends now; of what is on its way any part has arrived.  May free the connection. */
static void connection_reset(struct connection *connection) {
    for (uint32_t side = 0; side < 2; side++) {
        uint32_t sent = connection->streams[side].sent.length;
        if (connection->established)
            stream_carry(connection, side, world_random_between(connection->world, 0, sent));
        byte_queue_clear(&connection->streams[side].sent);
        connection->streams[side].aborted = true;
    }
    if (connection->sides[0].state == SIDE_CONNECTING) {
        connect_fail(connection, -ECONNREFUSED); /* and the other end is told */
        return;
    }
    for (uint32_t side = 0; side < 2; side++)
        if (connection->sides[side].state != SIDE_CLOSED && !connection->sides[side].broken)
            side_break(connection, side, -ECONNRESET);
}

void world_link_reset(struct world *world, uint32_t a, uint32_t b) {
    ASSERT(a <= WORLD_OUTSIDE && b <= WORLD_OUTSIDE);
    world_note(world, "link reset", a, b, 0);
    struct connection *next;
    for (struct connection *each = world->connections; each != NULL; each = next) {
        next = each->next;
        uint32_t from = each->sides[0].host;
        uint32_t to = each->sides[1].host;
        if ((from == a && to == b) || (from == b && to == a))
            connection_reset(each);
    }
}
