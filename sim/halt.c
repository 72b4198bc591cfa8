/*
 * A node that stops at a named point.
 *
 * The happy path: the files of the disk and of the sockets say which point an operation is at; if
 * it is the one that was ordered, for a file of that name and for the nth time, the node halts: its
 * disk is dead from this very step, what it sends is taken and thrown away, and what has arrived
 * for it is forgotten.  So nothing that its code does afterwards can be seen by anybody, whether it
 * ends at once or takes its time.
 *
 * Failure modes: a disk that is stalled would keep the code from ending, and goes on.
 */

#include "sim/internal.h"

#include <string.h>

const char *world_point_name(enum world_point point) {
    static const char *const NAMES[WORLD_POINTS] = {
        [WORLD_POINT_WRITE] = "write",
        [WORLD_POINT_WRITE_BEGIN] = "write begin",
        [WORLD_POINT_SYNC] = "sync",
        [WORLD_POINT_SYNC_DONE] = "sync done",
        [WORLD_POINT_ALLOCATE] = "allocate",
        [WORLD_POINT_CREATE] = "create",
        [WORLD_POINT_RENAME] = "rename",
        [WORLD_POINT_RENAME_DONE] = "rename done",
        [WORLD_POINT_REMOVE] = "remove",
        [WORLD_POINT_REMOVE_DONE] = "remove done",
        [WORLD_POINT_SYNC_NAMES] = "sync names",
        [WORLD_POINT_SYNC_NAMES_DONE] = "sync names done",
        [WORLD_POINT_SEND_PEER] = "send to a peer",
        [WORLD_POINT_SEND_CLIENT] = "send to a client",
        [WORLD_POINT_RECEIVE_PEER] = "receive of a peer",
        [WORLD_POINT_RECEIVE_CLIENT] = "receive of a client",
    };
    ASSERT(point < WORLD_POINTS);
    ASSERT(NAMES[point] != NULL);
    return NAMES[point];
}

void world_halt_at(struct world *world, uint32_t node, enum world_point point,
                   const char *name_prefix, uint32_t nth) {
    ASSERT(point < WORLD_POINTS);
    struct halt *halt = &world_node(world, node)->halt;
    size_t length = strlen(name_prefix);
    ASSERT(length < sizeof(halt->name));
    world_note(world, "halt ordered", node, (uint64_t)point, nth);
    halt->point = point;
    halt->left = nth;
    memcpy(halt->name, name_prefix, length + 1);
}

bool world_halted(const struct world *world, uint32_t node) {
    return world_node(world, node)->halt.halted;
}

/* The node passes an ordered point, once more or for the last time. */
static void pass(struct node *node) {
    ASSERT(node->halt.left > 0);
    if (--node->halt.left > 0)
        return;
    ASSERT(!node->halt.halted);
    world_note(node->world, world_point_name(node->halt.point), node->number, 0, 0);
    world_note(node->world, "halt", node->number, (uint64_t)node->halt.point, 0);
    if (node->disk.stalled)
        world_disk_stall(node->world, node->number, false);
    node->halt.halted = true;
    node->disk.dies_at = node->disk.sequence;
}

/* Whether the node is to stop at this point, for some name. */
static bool is_ordered(const struct node *node, enum world_point point) {
    return node->halt.left > 0 && node->halt.point == point && !node->halt.halted;
}

void halt_at_operation(const struct sim_operation *operation, enum world_point point) {
    struct node *node = operation->port->io->node;
    if (!is_ordered(node, point))
        return;
    const char *name = operation->from;
    if (name == NULL && operation->file != NULL)
        name = disk_file_name(&node->disk, operation->file);
    if (name == NULL)
        name = ""; /* a directory, or a file that has lost its name */
    if (strncmp(name, node->halt.name, strlen(node->halt.name)) == 0)
        pass(node);
}

void halt_at_socket(const struct connection *connection, uint32_t side, bool sends) {
    ASSERT(side < 2);
    if (connection->sides[side].host == WORLD_OUTSIDE)
        return;
    bool outside = connection->sides[1 - side].host == WORLD_OUTSIDE;
    enum world_point point = outside ? WORLD_POINT_RECEIVE_CLIENT : WORLD_POINT_RECEIVE_PEER;
    if (sends)
        point = outside ? WORLD_POINT_SEND_CLIENT : WORLD_POINT_SEND_PEER;
    struct node *node = world_node(connection->world, connection->sides[side].host);
    if (is_ordered(node, point))
        pass(node);
}

bool side_halted(const struct connection *connection, uint32_t side) {
    ASSERT(side < 2);
    uint32_t host = connection->sides[side].host;
    return host != WORLD_OUTSIDE && world_halted(connection->world, host);
}
