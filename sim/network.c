/*
 * How bytes move: connections, listeners, clients, links.
 *
 * The happy path of a stream: the writer puts bytes into `sent` (socket.c, or a client); an event
 * moves a random piece to `arrived` of the other side, after a random delay, and another event is
 * scheduled for the rest; the reader takes them, which makes room, which moves more.  The end of a
 * stream moves like one more byte.
 *
 * Failure modes:
 *   - the reader does not read: `arrived` is full, nothing is scheduled, `sent` fills, the writer
 *     is refused.  Reading schedules again.
 *   - the link is clogged: nothing is scheduled; opening it looks at every connection.
 *   - bytes arrive at a side that is closed: the writer gets a reset.  A side closed with bytes
 *     unread resets the other, as Linux does.
 *   - nobody listens any more when a connection arrives: a reset.
 *
 * A connection is freed when both sides are closed and no event refers to it.
 */

#include "sim/internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- byte queues ------------------------------------------------------------------------- */

static void byte_queue_create(struct byte_queue *queue, uint32_t capacity) {
    *queue = (struct byte_queue){.bytes = world_allocate(1, capacity), .capacity = capacity};
}

uint32_t byte_queue_room(const struct byte_queue *queue) {
    return queue->capacity - queue->length;
}

uint32_t byte_queue_put(struct byte_queue *queue, const void *bytes, size_t length_bytes) {
    uint32_t room = byte_queue_room(queue);
    uint32_t count = length_bytes < room ? (uint32_t)length_bytes : room;
    uint32_t tail = (queue->head + queue->length) % queue->capacity;
    uint32_t before_end = count < queue->capacity - tail ? count : queue->capacity - tail;
    if (count > 0) {
        memcpy(queue->bytes + tail, bytes, before_end);
        memcpy(queue->bytes, (const uint8_t *)bytes + before_end, count - before_end);
    }
    queue->length += count;
    return count;
}

uint32_t byte_queue_get(struct byte_queue *queue, void *bytes, size_t length_bytes) {
    uint32_t count = length_bytes < queue->length ? (uint32_t)length_bytes : queue->length;
    uint32_t before_end =
        count < queue->capacity - queue->head ? count : queue->capacity - queue->head;
    if (count > 0) {
        memcpy(bytes, queue->bytes + queue->head, before_end);
        memcpy((uint8_t *)bytes + before_end, queue->bytes, count - before_end);
    }
    queue->head = (queue->head + count) % queue->capacity;
    queue->length -= count;
    return count;
}

static void byte_queue_clear(struct byte_queue *queue) {
    queue->length = 0;
}

/* ---- connections ------------------------------------------------------------------------- */

static struct connection *connection_create(struct world *world, uint32_t node,
                                            uint16_t port_number) {
    struct connection *connection = world_allocate(1, sizeof(*connection));
    connection->world = world;
    connection->id = world->next_id++;
    connection->port_number = port_number;
    connection->client_port_number = (uint16_t)world_random_between(world, 32768, 60999);
    connection->sides[0] = (struct side){.host = WORLD_OUTSIDE, .state = SIDE_ATTACHED};
    connection->sides[1] = (struct side){.host = node, .state = SIDE_WAITING};
    for (int i = 0; i < 2; i++) {
        byte_queue_create(&connection->streams[i].sent, world->options.socket_send_bytes);
        byte_queue_create(&connection->streams[i].arrived, world->options.socket_receive_bytes);
    }
    connection->link = &world->connections;
    connection->next = world->connections;
    if (connection->next != NULL)
        connection->next->link = &connection->next;
    world->connections = connection;
    return connection;
}

void connection_free(struct connection *connection) {
    *connection->link = connection->next;
    if (connection->next != NULL)
        connection->next->link = connection->link;
    for (int i = 0; i < 2; i++) {
        free(connection->streams[i].sent.bytes);
        free(connection->streams[i].arrived.bytes);
    }
    free(connection);
}

void connection_release(struct connection *connection) {
    if (connection->events == 0 && !connection->offered &&
        connection->sides[0].state == SIDE_CLOSED && connection->sides[1].state == SIDE_CLOSED)
        connection_free(connection);
}

static void connection_schedule(struct connection *connection, uint64_t delay_ns,
                                void (*run)(struct world *world, void *object, uint64_t argument),
                                uint32_t side) {
    connection->events++;
    world_schedule(connection->world, delay_ns, run, connection, side);
}

/* Whether nothing passes from this side to the other. */
static bool clogged_from(const struct connection *connection, uint32_t side) {
    return connection->world
        ->clogged[connection->sides[side].host][connection->sides[1 - side].host];
}

/* ---- resets ------------------------------------------------------------------------------ */

static void break_arrives(struct world *world, void *object, uint64_t victim) {
    struct connection *connection = object;
    struct side *side = &connection->sides[victim];
    connection->events--;
    side->break_due = false;
    if (side->breaking && !clogged_from(connection, 1 - (uint32_t)victim)) {
        world_note(world, "reset", connection->id, victim, 0);
        side->breaking = false;
        side->broken = true;
        byte_queue_clear(&connection->streams[victim].sent);
        /* What has arrived before the reset may still be read, or not. */
        if (world_chance(world, 500))
            byte_queue_clear(&connection->streams[1 - victim].arrived);
        side_receive_pump(connection, (uint32_t)victim);
        side_send_pump(connection, (uint32_t)victim);
    }
    connection_release(connection);
}

static void break_pump(struct connection *connection, uint32_t victim) {
    struct side *side = &connection->sides[victim];
    if (!side->breaking || side->break_due || clogged_from(connection, 1 - victim))
        return;
    side->break_due = true;
    connection_schedule(connection, world_network_delay_ns(connection->world), break_arrives,
                        victim);
}

void connection_break(struct connection *connection, uint32_t victim) {
    struct side *side = &connection->sides[victim];
    if (side->broken || side->breaking || side->state == SIDE_CLOSED)
        return;
    /* What the other side had sent is lost, and so is its end. */
    byte_queue_clear(&connection->streams[1 - victim].sent);
    side->breaking = true;
    break_pump(connection, victim);
}

/* ---- streams ----------------------------------------------------------------------------- */

static void stream_moves(struct world *world, void *object, uint64_t argument) {
    struct connection *connection = object;
    uint32_t writer = (uint32_t)argument;
    uint32_t reader = 1 - writer;
    struct stream *stream = &connection->streams[writer];
    connection->events--;
    stream->moving = false;
    if (clogged_from(connection, writer) || connection->sides[reader].broken) {
        connection_release(connection);
        return;
    }
    if (connection->sides[reader].state == SIDE_CLOSED) {
        if (stream->sent.length > 0)
            connection_break(connection, writer);
        byte_queue_clear(&stream->sent);
        stream->end_arrived = stream->end_sent;
    } else if (stream->sent.length > 0) {
        uint64_t most = world_random_between(world, 1, world->options.network_piece_bytes_max);
        uint8_t piece[4096];
        while (most > 0 && stream->sent.length > 0 && byte_queue_room(&stream->arrived) > 0) {
            size_t some = most < sizeof(piece) ? most : sizeof(piece);
            if (some > byte_queue_room(&stream->arrived))
                some = byte_queue_room(&stream->arrived);
            some = byte_queue_get(&stream->sent, piece, some);
            byte_queue_put(&stream->arrived, piece, some);
            most -= some;
        }
        world_note(world, "move", connection->id, writer, stream->arrived.length);
    } else if (stream->end_sent) {
        world_note(world, "end", connection->id, writer, 0);
        stream->end_arrived = true;
    }
    side_send_pump(connection, writer);
    side_receive_pump(connection, reader);
    stream_pump(connection, writer);
    connection_release(connection);
}

void stream_pump(struct connection *connection, uint32_t writer) {
    struct stream *stream = &connection->streams[writer];
    const struct side *reader = &connection->sides[1 - writer];
    if (stream->moving || !connection->established || clogged_from(connection, writer))
        return;
    if (reader->broken || reader->breaking || stream->end_arrived)
        return;
    bool bytes = stream->sent.length > 0 &&
                 (reader->state == SIDE_CLOSED || byte_queue_room(&stream->arrived) > 0);
    bool end = stream->sent.length == 0 && stream->end_sent;
    if (!bytes && !end)
        return;
    stream->moving = true;
    connection_schedule(connection, world_network_delay_ns(connection->world), stream_moves,
                        writer);
}

/* ---- sides ------------------------------------------------------------------------------- */

static void receive_comes(struct world *world, void *object, uint64_t reader) {
    (void)world;
    struct connection *connection = object;
    connection->events--;
    connection->sides[reader].receiving = false;
    side_receive_run(connection, (uint32_t)reader);
    connection_release(connection);
}

void side_receive_pump(struct connection *connection, uint32_t reader) {
    enum { DELAY_NS_MAX = 5000 }; /* the host's own: it has the bytes already */
    struct side *side = &connection->sides[reader];
    const struct stream *stream = &connection->streams[1 - reader];
    if (side->receive == NULL || side->receiving)
        return;
    if (stream->arrived.length == 0 && !stream->end_arrived && !side->shut && !side->broken)
        return;
    side->receiving = true;
    connection_schedule(connection, world_random_between(connection->world, 0, DELAY_NS_MAX),
                        receive_comes, reader);
}

void side_send_pump(struct connection *connection, uint32_t writer) {
    if (connection->sides[writer].send != NULL)
        side_send_run(connection, writer);
}

void side_close(struct connection *connection, uint32_t closing) {
    struct side *side = &connection->sides[closing];
    ASSERT(side->state != SIDE_CLOSED);
    side->state = SIDE_CLOSED;
    side->receive = NULL; /* of a dead door */
    side->send = NULL;
    struct byte_queue *unread = &connection->streams[1 - closing].arrived;
    if (unread->length > 0) {
        byte_queue_clear(unread);
        connection_break(connection, 1 - closing);
    } else if (!side->broken) {
        connection->streams[closing].end_sent = true;
        stream_pump(connection, closing);
    }
    stream_pump(connection, 1 - closing);
    connection_release(connection);
}

void side_vanish(struct connection *connection, uint32_t vanishing) {
    struct side *side = &connection->sides[vanishing];
    side->state = SIDE_CLOSED;
    side->receive = NULL;
    side->send = NULL;
    byte_queue_clear(&connection->streams[1 - vanishing].arrived);
    byte_queue_clear(&connection->streams[vanishing].sent);
    /* The other side learns of it at once, or when it sends, or never. */
    if (world_chance(connection->world, 500))
        connection_break(connection, 1 - vanishing);
    stream_pump(connection, 1 - vanishing);
    connection_release(connection);
}

/* ---- listeners --------------------------------------------------------------------------- */

struct listener *node_listener(struct node *node, uint16_t port_number) {
    for (uint32_t i = 0; i < node->handles_count; i++)
        if (node->handles[i].sort == HANDLE_LISTENER &&
            node->handles[i].listener->port_number == port_number)
            return node->handles[i].listener;
    return NULL;
}

/* The accepting side is closed before anybody had it. */
static void connection_refuse(struct connection *connection) {
    connection_break(connection, 0);
    connection->offered = false;
    connection->sides[1].state = SIDE_CLOSED;
    connection_release(connection);
}

void listener_close(struct listener *listener) {
    for (uint32_t i = 0; i < listener->backlog_count; i++)
        connection_refuse(listener->backlog[i]);
    free(listener->backlog);
    free(listener);
}

static void connection_arrives(struct world *world, void *object, uint64_t argument) {
    (void)argument;
    struct connection *connection = object;
    connection->events--;
    struct node *node = world_node(world, connection->sides[1].host);
    struct listener *listener = node_listener(node, connection->port_number);
    world_note(world, "connect", connection->id, node->number, connection->port_number);
    if (listener == NULL) {
        connection_refuse(connection);
        return;
    }
    if (listener->backlog_count == listener->backlog_max || clogged_from(connection, 0)) {
        /* It is tried again, later: the backlog may have been taken, the link opened. */
        const uint64_t again_ns = 20 * (1 + world_network_delay_ns(world));
        connection_schedule(connection, again_ns, connection_arrives, 0);
        return;
    }
    connection->established = true;
    connection->offered = true;
    listener->backlog[listener->backlog_count++] = connection;
    stream_pump(connection, 0);
    listener_pump(listener);
}

/* ---- clients ----------------------------------------------------------------------------- */

struct world_client *world_client_connect(struct world *world, uint32_t node,
                                          uint16_t port_number) {
    if (node_listener(world_node(world, node), port_number) == NULL)
        return NULL;
    struct world_client *client = world_allocate(1, sizeof(*client));
    client->connection = connection_create(world, node, port_number);
    client->link = &world->clients;
    client->next = world->clients;
    if (client->next != NULL)
        client->next->link = &client->next;
    world->clients = client;
    connection_schedule(client->connection, world_network_delay_ns(world), connection_arrives, 0);
    return client;
}

size_t world_client_send(struct world_client *client, const void *bytes, size_t length_bytes) {
    struct stream *stream = &client->connection->streams[0];
    if (client->connection->sides[0].broken || stream->end_sent)
        return 0;
    uint32_t count = byte_queue_put(&stream->sent, bytes, length_bytes);
    stream_pump(client->connection, 0);
    return count;
}

size_t world_client_receive(struct world_client *client, void *bytes, size_t length_bytes) {
    uint32_t count = byte_queue_get(&client->connection->streams[1].arrived, bytes, length_bytes);
    stream_pump(client->connection, 1);
    return count;
}

enum world_client_state world_client_state(const struct world_client *client) {
    const struct connection *connection = client->connection;
    if (connection->streams[1].arrived.length > 0)
        return WORLD_CLIENT_OPEN;
    if (connection->sides[0].broken)
        return WORLD_CLIENT_RESET;
    return connection->streams[1].end_arrived ? WORLD_CLIENT_EOF : WORLD_CLIENT_OPEN;
}

void world_client_half_close(struct world_client *client) {
    client->connection->streams[0].end_sent = true;
    stream_pump(client->connection, 0);
}

/* Frees the client; its connection lives on until the other side is closed too. */
static struct connection *client_detach(struct world_client *client) {
    struct connection *connection = client->connection;
    *client->link = client->next;
    if (client->next != NULL)
        client->next->link = client->link;
    free(client);
    return connection;
}

void world_client_reset(struct world_client *client) {
    struct connection *connection = client_detach(client);
    byte_queue_clear(&connection->streams[1].arrived);
    connection_break(connection, 1);
    side_close(connection, 0);
}

void world_client_close(struct world_client *client) {
    side_close(client_detach(client), 0);
}

/* ---- links ------------------------------------------------------------------------------- */

void world_link_clog(struct world *world, uint32_t from, uint32_t to, bool clogged) {
    ASSERT(from <= WORLD_OUTSIDE && to <= WORLD_OUTSIDE);
    world_note(world, clogged ? "clog" : "unclog", from, to, 0);
    world->clogged[from][to] = clogged;
    for (struct connection *each = world->connections; each != NULL && !clogged;
         each = each->next) {
        for (uint32_t side = 0; side < 2; side++) {
            stream_pump(each, side);
            break_pump(each, side);
        }
    }
}
