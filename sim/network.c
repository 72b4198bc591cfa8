/*
 * How bytes move: connections, listeners.
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
 *   - the link is cut: what moves is lost, and sent again after a time that doubles.  A reset is
 *     not sent again.  Who has sent again for too long gives up.
 *   - bytes arrive at a side that is closed: the writer gets a reset.  A side closed with bytes
 *     unread resets the other, as Linux does.
 *   - nobody listens when a connection arrives: a reset, or a refusal (connect.c).
 *
 * A connection is freed when both sides are closed and no event refers to it.
 */

#include "sim/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- byte queues ------------------------------------------------------------------------- */

enum { BYTE_QUEUE_BYTES_MIN = 512 }; /* some commands of a client */

static void byte_queue_create(struct byte_queue *queue, uint32_t capacity) {
    ASSERT(capacity > 0);
    *queue = (struct byte_queue){.capacity = capacity};
}

/* Sees to memory for so many bytes; what is in the queue begins at its beginning then. */
static void byte_queue_reserve(struct byte_queue *queue, uint32_t wanted) {
    ASSERT(wanted <= queue->capacity);
    if (wanted <= queue->memory_bytes)
        return;
    uint64_t grown = 2 * (uint64_t)queue->memory_bytes;
    if (grown < BYTE_QUEUE_BYTES_MIN)
        grown = BYTE_QUEUE_BYTES_MIN;
    if (grown < wanted)
        grown = wanted;
    if (grown > queue->capacity)
        grown = queue->capacity;
    uint8_t *bytes = malloc(grown);
    ASSERT(bytes != NULL);
    uint32_t length = queue->length;
    uint32_t taken = byte_queue_get(queue, bytes, length);
    ASSERT(taken == length);
    free(queue->bytes);
    queue->bytes = bytes;
    queue->memory_bytes = (uint32_t)grown;
    queue->head = 0;
    queue->length = length;
}

uint32_t byte_queue_room(const struct byte_queue *queue) {
    return queue->capacity - queue->length;
}

uint32_t byte_queue_put(struct byte_queue *queue, const void *bytes, size_t length_bytes) {
    uint32_t room = byte_queue_room(queue);
    uint32_t count = length_bytes < room ? (uint32_t)length_bytes : room;
    if (count == 0)
        return 0;
    byte_queue_reserve(queue, queue->length + count);
    uint32_t tail = (queue->head + queue->length) % queue->memory_bytes;
    uint32_t before_end = count < queue->memory_bytes - tail ? count : queue->memory_bytes - tail;
    memcpy(queue->bytes + tail, bytes, before_end);
    memcpy(queue->bytes, (const uint8_t *)bytes + before_end, count - before_end);
    queue->length += count;
    return count;
}

uint32_t byte_queue_get(struct byte_queue *queue, void *bytes, size_t length_bytes) {
    uint32_t count = length_bytes < queue->length ? (uint32_t)length_bytes : queue->length;
    if (count == 0)
        return 0;
    uint32_t before_end =
        count < queue->memory_bytes - queue->head ? count : queue->memory_bytes - queue->head;
    memcpy(bytes, queue->bytes + queue->head, before_end);
    memcpy((uint8_t *)bytes + before_end, queue->bytes, count - before_end);
    queue->head = (queue->head + count) % queue->memory_bytes;
    queue->length -= count;
    return count;
}

void byte_queue_clear(struct byte_queue *queue) {
    queue->length = 0;
}

/* ---- connections ------------------------------------------------------------------------- */

struct connection *connection_create(struct world *world, uint32_t from, uint32_t node,
                                     uint16_t port_number) {
    struct connection *connection = world_allocate(1, sizeof(*connection));
    connection->world = world;
    connection->id = world->next_id++;
    connection->port_number = port_number;
    connection->begun_ns = world->now_ns;
    connection->client_port_number = (uint16_t)world_random_between(world, 32768, 60999);
    connection->sides[0] = (struct side){.host = from, .state = SIDE_ATTACHED};
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

void connection_schedule(struct connection *connection, uint64_t delay_ns,
                         void (*run)(struct world *world, void *object, uint64_t argument),
                         uint64_t argument) {
    connection->events++;
    world_schedule(connection->world, delay_ns, run, connection, argument);
}

struct link *side_link(const struct connection *connection, uint32_t side) {
    ASSERT(side < 2);
    return &connection->world
                ->links[connection->sides[side].host][connection->sides[1 - side].host];
}

uint64_t side_delay_ns(const struct connection *connection, uint32_t side) {
    const struct link *link = side_link(connection, side);
    return world_random_between(connection->world, link->delay_ns_min, link->delay_ns_max);
}

/* Whether nothing passes from this side to the other, and waits. */
static bool clogged_from(const struct connection *connection, uint32_t side) {
    return side_link(connection, side)->clogged;
}

void world_listen(struct world *world, void (*each)(void *context, const struct world_bytes *bytes),
                  void *context) {
    ASSERT(each != NULL || context == NULL);
    world->listen = each;
    world->listen_context = context;
}

void connection_tell(const struct connection *connection, uint32_t writer, bool arrived,
                     const void *bytes, uint32_t length_bytes) {
    const struct world *world = connection->world;
    ASSERT(writer < 2);
    if (world->listen == NULL || !connection->attempt || length_bytes == 0)
        return;
    world->listen(world->listen_context,
                  &(struct world_bytes){.connection = connection->id,
                                        .from = connection->sides[writer].host,
                                        .to = connection->sides[1 - writer].host,
                                        .opener = writer == 0,
                                        .arrived = arrived,
                                        .bytes = bytes,
                                        .length_bytes = length_bytes});
}

/* ---- resets ------------------------------------------------------------------------------ */

void side_break(struct connection *connection, uint32_t victim, int32_t error) {
    struct side *side = &connection->sides[victim];
    ASSERT(!side->broken && error < 0);
    world_note(connection->world, "reset", connection->id, victim, error);
    side->breaking = false;
    side->broken = true;
    side->error = error;
    connection->streams[victim].aborted = true;
    byte_queue_clear(&connection->streams[victim].sent);
    /* What has arrived before the reset may still be read, or not. */
    if (world_chance(connection->world, 500))
        byte_queue_clear(&connection->streams[1 - victim].arrived);
    side_receive_pump(connection, victim);
    side_send_pump(connection, victim);
}

static void break_arrives(struct world *world, void *object, uint64_t victim) {
    struct connection *connection = object;
    struct side *side = &connection->sides[victim];
    connection->events--;
    side->break_due = false;
    if (side->breaking && side_link(connection, 1 - (uint32_t)victim)->cut) {
        world_note(world, "reset lost", connection->id, victim, 0);
        side->breaking = false; /* nobody sends a reset twice */
    } else if (side->breaking && !clogged_from(connection, 1 - (uint32_t)victim)) {
        side_break(connection, (uint32_t)victim, -ECONNRESET);
    }
    connection_release(connection);
}

void break_pump(struct connection *connection, uint32_t victim) {
    struct side *side = &connection->sides[victim];
    if (!side->breaking || side->break_due || clogged_from(connection, 1 - victim))
        return;
    side->break_due = true;
    connection_schedule(connection, side_delay_ns(connection, 1 - victim), break_arrives, victim);
}

void connection_break(struct connection *connection, uint32_t victim) {
    struct side *side = &connection->sides[victim];
    if (side->broken || side->breaking || side->state == SIDE_CLOSED)
        return;
    /* What the other side had sent is lost, and so is its end. */
    byte_queue_clear(&connection->streams[1 - victim].sent);
    connection->streams[1 - victim].aborted = true;
    side->breaking = true;
    break_pump(connection, victim);
}

/* ---- streams ----------------------------------------------------------------------------- */

static void stream_moves(struct world *world, void *object, uint64_t argument);

/* Flips bits of one of the bytes that have just arrived. */
static void stream_flip(struct connection *connection, uint32_t writer, uint32_t moved) {
    struct world *world = connection->world;
    struct byte_queue *arrived = &connection->streams[writer].arrived;
    ASSERT(moved > 0 && moved <= arrived->length);
    uint32_t back = (uint32_t)world_random_between(world, 1, moved);
    uint32_t at = (arrived->head + arrived->length - back) % arrived->memory_bytes;
    arrived->bytes[at] ^= (uint8_t)world_random_between(world, 1, UINT8_MAX);
    world_note(world, "flip", connection->id, writer, back);
}

uint32_t stream_carry(struct connection *connection, uint32_t writer, uint64_t most) {
    struct stream *stream = &connection->streams[writer];
    uint8_t piece[4096];
    uint32_t moved = 0;
    while (most > moved && stream->sent.length > 0 && byte_queue_room(&stream->arrived) > 0) {
        size_t some = most - moved < sizeof(piece) ? most - moved : sizeof(piece);
        if (some > byte_queue_room(&stream->arrived))
            some = byte_queue_room(&stream->arrived);
        some = byte_queue_get(&stream->sent, piece, some);
        moved += byte_queue_put(&stream->arrived, piece, some);
        connection_tell(connection, writer, true, piece, (uint32_t)some);
    }
    return moved;
}

/* What moved was lost: it is sent again later, or given up.  True if it is sent again. */
static bool stream_lost(struct connection *connection, uint32_t writer) {
    /* As Linux: 200 ms, doubling to 120 s, 15 times: a quarter of an hour. */
    enum { RESENDS_MAX = 15, RESEND_MS = 200, RESEND_MS_MAX = 120000 };
    struct stream *stream = &connection->streams[writer];
    world_note(connection->world, "lost", connection->id, writer, stream->resends);
    if (stream->resends < RESENDS_MAX) {
        uint64_t wait_ms = (uint64_t)RESEND_MS << stream->resends++;
        wait_ms = wait_ms < RESEND_MS_MAX ? wait_ms : RESEND_MS_MAX;
        stream->moving = true;
        connection_schedule(connection, wait_ms * 1000000, stream_moves, writer);
        return true;
    }
    byte_queue_clear(&stream->sent);
    stream->aborted = true;
    if (connection->sides[writer].state != SIDE_CLOSED && !connection->sides[writer].broken)
        side_break(connection, writer, -ETIMEDOUT);
    return false;
}

/* Whether the piece that was to move is lost on its way, one of some; then it is sent again. */
static bool stream_loses(struct connection *connection, uint32_t writer) {
    uint32_t chance = side_link(connection, writer)->loss_chance;
    if (chance == 0 || !world_chance(connection->world, chance)) {
        return false;
    }
    if (world_chance(connection->world, 500)) {
        (void)stream_lost(connection, writer);
        return true;
    }
    world_note(connection->world, "lost, seen", connection->id, writer, 0);
    uint64_t there_ns = side_delay_ns(connection, writer);
    connection->streams[writer].moving = true;
    connection_schedule(connection, there_ns + side_delay_ns(connection, 1 - writer), stream_moves,
                        writer);
    return true;
}

/* Whether the reader is there no longer, and the writer is, to be told. */
static bool reader_gone(const struct connection *connection, uint32_t writer) {
    const struct side *to = &connection->sides[1 - writer];
    const struct side *from = &connection->sides[writer];
    return to->state == SIDE_CLOSED ||
           (to->broken && from->state == SIDE_ATTACHED && !from->broken);
}

/* Whether nothing of the writer's comes any more. */
static bool stream_over(const struct connection *connection, uint32_t writer) {
    return connection->streams[writer].aborted ||
           (connection->sides[1 - writer].broken && !reader_gone(connection, writer));
}

static void stream_moves(struct world *world, void *object, uint64_t argument) {
    struct connection *connection = object;
    uint32_t writer = (uint32_t)argument;
    uint32_t reader = 1 - writer;
    struct stream *stream = &connection->streams[writer];
    const struct link *link = side_link(connection, writer);
    connection->events--;
    stream->moving = false;
    if (link->clogged || stream_over(connection, writer) ||
        (link->cut ? stream_lost(connection, writer) : stream_loses(connection, writer))) {
        connection_release(connection);
        return;
    }
    stream->resends = 0;
    if (reader_gone(connection, writer)) {
        if (stream->sent.length > 0)
            connection_break(connection, writer);
        byte_queue_clear(&stream->sent);
        stream->end_arrived = stream->end_sent;
    } else if (stream->sent.length > 0) {
        uint64_t most = world_random_between(world, 1, world->options.network_piece_bytes_max);
        uint32_t moved = stream_carry(connection, writer, most);
        if (moved > 0 && link->flip_chance > 0 && world_chance(world, link->flip_chance))
            stream_flip(connection, writer, moved);
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
    if (stream_over(connection, writer) || reader->breaking || stream->end_arrived)
        return;
    bool bytes = stream->sent.length > 0 &&
                 (reader_gone(connection, writer) || byte_queue_room(&stream->arrived) > 0);
    bool end = stream->sent.length == 0 && stream->end_sent;
    if (!bytes && !end)
        return;
    stream->moving = true;
    connection_schedule(connection, side_delay_ns(connection, writer), stream_moves, writer);
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
    if (side->receive == NULL || side->receiving || !side_receive_ready(connection, reader))
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
    if (side->state == SIDE_CONNECTING) {
        side->connect = NULL; /* of a dead door */
        connect_abandon(connection);
        connection_release(connection);
        return;
    }
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
    side->connect = NULL;
    side->receive = NULL;
    side->send = NULL;
    connection->streams[vanishing].aborted = true;
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

/* The time for which opening a connection is tried, as Linux has it: 1 s, doubled 7 times. */
enum { CONNECT_TRIES_MAX = 7 };
static const uint64_t CONNECT_NS = UINT64_C(127) * 1000 * 1000 * 1000;

static void connection_give_up(struct connection *connection) {
    if (!connection->established)
        connection->sides[1].state = SIDE_CLOSED;
    if (connection->sides[0].state == SIDE_CONNECTING) {
        connect_fail(connection, -ETIMEDOUT);
        return;
    }
    if (!connection->sides[0].broken && connection->sides[0].state != SIDE_CLOSED)
        side_break(connection, 0, -ETIMEDOUT);
    connection_release(connection);
}

void connection_wait(struct connection *connection, uint32_t side,
                     void (*run)(struct world *world, void *object, uint64_t argument)) {
    if (connection->attempt && connection->world->now_ns - connection->begun_ns >= CONNECT_NS)
        connection_give_up(connection);
    else
        connection_schedule(connection, 20 * (1 + side_delay_ns(connection, side)), run, 0);
}

void connection_lost(struct connection *connection,
                     void (*run)(struct world *world, void *object, uint64_t argument)) {
    const uint64_t second_ns = 1000 * 1000 * 1000;
    world_note(connection->world, "connect lost", connection->id, connection->tries, 0);
    if (connection->tries == CONNECT_TRIES_MAX)
        connection_give_up(connection);
    else
        connection_schedule(connection, second_ns << connection->tries++, run, 0);
}

/* Nothing listens where the connection has arrived. */
static void connection_unheard(struct connection *connection) {
    if (connection->attempt) {
        connection->refused = true;
        connection->sides[1].state = SIDE_CLOSED;
        connection_schedule(connection, side_delay_ns(connection, 1), connect_answered, 0);
    } else {
        connection_refuse(connection);
    }
}

void connection_arrives(struct world *world, void *object, uint64_t argument) {
    (void)argument;
    struct connection *connection = object;
    connection->events--;
    if (connection->attempt && connection->sides[0].state == SIDE_CLOSED) {
        connection->sides[1].state = SIDE_CLOSED; /* it was given up before it arrived */
        connection_release(connection);
        return;
    }
    if (clogged_from(connection, 0) && !world->ending) {
        connection_wait(connection, 0, connection_arrives);
        return;
    }
    if (side_link(connection, 0)->cut) {
        connection_lost(connection, connection_arrives);
        return;
    }
    struct node *node = world_node(world, connection->sides[1].host);
    struct listener *listener = node_listener(node, connection->port_number);
    world_note(world, "connect", connection->id, node->number, connection->port_number);
    if (listener == NULL) {
        connection_unheard(connection);
        return;
    }
    if (listener->backlog_count == listener->backlog_max) {
        connection_wait(connection, 0, connection_arrives);
        return;
    }
    connection->established = true;
    connection->offered = true;
    listener->backlog[listener->backlog_count++] = connection;
    if (connection->attempt)
        connection_schedule(connection, side_delay_ns(connection, 1), connect_answered, 0);
    stream_pump(connection, 0);
    listener_pump(listener);
}
