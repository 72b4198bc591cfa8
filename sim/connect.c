/*
 * Connections that nodes open: addresses of hosts, attempts, answers.
 *
 * The happy path: an attempt takes a handle, as a process takes a descriptor, and makes a
 * connection whose side 0 is connecting.  It arrives at the other host, is put into the backlog of
 * its listener, and the answer goes back; then the operation completes with the handle.  The other
 * side may have been accepted before, and have sent.
 *
 *     submit ──► on its way ──► arrived ──► answered: the handle is the taker's
 *                 │    ▲  │        │ nothing listens
 *                 └────┘  │        └──────► answered: -ECONNREFUSED
 *         lost, clogged,  │
 *         backlog full    └─ too long: -ETIMEDOUT; stopped: -ECANCELED
 *
 * Failure modes: whoever gives up after the connection has arrived sends a reset to whoever has the
 * other side by then.  An attempt that has not arrived is forgotten when it does.
 */

#include "sim/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io/address.h"

/* ---- addresses --------------------------------------------------------------------------- */

/* Hosts have 10.0.0.1 and so on. */
static const uint8_t NETWORK[3] = {10, 0, 0};

void world_address(char out[WORLD_ADDRESS_BYTES], uint32_t node, uint16_t port_number) {
    ASSERT(node <= WORLD_OUTSIDE);
    if (node == WORLD_OUTSIDE)
        snprintf(out, WORLD_ADDRESS_BYTES, "192.0.2.1:%u", port_number);
    else
        snprintf(out, WORLD_ADDRESS_BYTES, "10.0.0.%u:%u", node + 1, port_number);
}

int32_t address_node(const struct node *node, const char *text, uint16_t *port_number) {
    static const uint8_t LOOPBACK_V6[16] = {[15] = 1};
    struct io_address address;
    if (!io_address_read(text, &address))
        return -EINVAL;
    *port_number = address.port_number;
    const uint8_t *bytes = address.bytes;
    if (address.is_v6)
        return memcmp(bytes, LOOPBACK_V6, 16) == 0 ? (int32_t)node->number : -ENETUNREACH;
    if (bytes[0] == 127 || (bytes[0] | bytes[1] | bytes[2] | bytes[3]) == 0)
        return (int32_t)node->number;
    if (memcmp(bytes, NETWORK, sizeof(NETWORK)) != 0)
        return -ENETUNREACH;
    if (bytes[3] == 0 || bytes[3] > node->world->nodes_count)
        return -EHOSTUNREACH;
    return bytes[3] - 1;
}

bool address_is_own(const struct node *node, const char *host) {
    uint8_t bytes[4];
    return inet_pton(AF_INET, host, bytes) != 1 || memcmp(bytes, NETWORK, sizeof(NETWORK)) != 0 ||
           bytes[3] == node->number + 1;
}

/* ---- attempts ---------------------------------------------------------------------------- */

void io_connect_start(struct io_port *port, const char *address, uint64_t user) {
    if (port->io->dead)
        return;
    ASSERT(address != NULL);
    operation_start(port, IO_CONNECT, -1, user)->from = address;
}

void connect_submit(struct sim_operation *connect) {
    struct node *node = connect->port->io->node;
    struct world *world = node->world;
    uint16_t port_number = 0;
    int32_t to = address_node(node, connect->from, &port_number);
    if (to < 0) {
        operation_complete(connect, to, 0, 0);
        return;
    }
    struct connection *connection =
        connection_create(world, node->number, (uint32_t)to, port_number);
    connection->attempt = true;
    connection->sides[0].state = SIDE_CONNECTING;
    connection->sides[0].connect = connect;
    connect->handle = handle_new(node, HANDLE_SOCKET);
    node->handles[connect->handle].connection = connection;
    node->handles[connect->handle].side = 0;
    connection_schedule(connection, side_delay_ns(connection, 0), connection_arrives, 0);
}

void connect_abandon(struct connection *connection) {
    ASSERT(connection->sides[0].state == SIDE_CONNECTING);
    ASSERT(connection->sides[0].connect == NULL);
    connection->sides[0].state = SIDE_CLOSED;
    if (connection->established)
        connection_break(connection, 1);
}

void connect_fail(struct connection *connection, int32_t error) {
    struct sim_operation *connect = connection->sides[0].connect;
    ASSERT(connect != NULL && error < 0);
    world_note(connection->world, "no connection", connection->id, 0, error);
    connection->sides[0].connect = NULL;
    connect_abandon(connection);
    connect->port->io->node->handles[connect->handle] = (struct handle){0};
    operation_complete(connect, error, 0, 0);
    connection_release(connection);
}

void connect_answered(struct world *world, void *object, uint64_t argument) {
    (void)argument;
    struct connection *connection = object;
    struct side *side = &connection->sides[0];
    const struct link *back = side_link(connection, 1);
    connection->events--;
    if (side->state != SIDE_CONNECTING) {
        connection_release(connection); /* it was stopped, or its process has ended */
        return;
    }
    if (back->clogged && !world->ending) {
        connection_wait(connection, 1, connect_answered);
    } else if (back->cut) {
        connection_lost(connection, connect_answered);
    } else if (connection->refused || side->broken) {
        connect_fail(connection, -ECONNREFUSED);
    } else {
        struct sim_operation *connect = side->connect;
        side->state = SIDE_ATTACHED;
        side->connect = NULL;
        world_note(world, "connected", connection->id, side->host, connection->port_number);
        operation_complete(connect, connect->handle, 0, 0);
    }
}

/* ---- stopping ---------------------------------------------------------------------------- */

void io_connect_stop(struct io_port *port, uint64_t user) {
    if (port->io->dead)
        return;
    const struct sim_operation *each = port->operations;
    while (each != NULL && (each->kind != IO_CONNECT || each->user != user))
        each = each->next;
    if (each != NULL)
        stop_start(each);
}

static void connect_stop_comes(struct world *world, void *object, uint64_t id) {
    (void)world;
    struct connection *connection = object;
    connection->events--;
    const struct sim_operation *connect = connection->sides[0].connect;
    if (connect != NULL && connect->id == id)
        connect_fail(connection, -ECANCELED);
    else
        connection_release(connection);
}

void connect_stop_submit(struct world *world, uint64_t id) {
    struct connection *each = world->connections;
    while (each != NULL && (each->sides[0].connect == NULL || each->sides[0].connect->id != id))
        each = each->next;
    if (each == NULL)
        return; /* it ended by itself */
    if (world_chance(world, 500)) {
        connect_fail(each, -ECANCELED);
        return;
    }
    /* The answer may still arrive before the stop takes effect. */
    connection_schedule(each, world_random_between(world, 0, 10000), connect_stop_comes, id);
}
