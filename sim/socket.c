/*
 * io.h's sockets in the simulated world: what the network has done becomes completions.
 *
 * The happy path: an armed receive is completed once for each piece, with a buffer of the door's
 * group; a send takes what there is room for.
 *
 * Every outcome that the io_uring door has is produced: receives that end by the end of the stream,
 * a reset, a stop, a lack of buffers (real, or pretended at times), or for no reason; sends that
 * take a part; connections that die while they are accepted.
 */

#include "sim/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/address.h"

/* ---- receive buffers --------------------------------------------------------------------- */

enum { BUFFER_POISON = 0xdd }; /* what a buffer holds after it went home */

int io_buffers_register(struct io *io, uint32_t group, uint8_t *memory, uint32_t buffer_bytes,
                        uint32_t count, uint32_t offered, struct error_text *error) {
    (void)error;
    ASSERT(group < IO_BUFFER_GROUPS && io->buffers[group].memory == NULL && memory != NULL);
    ASSERT(offered <= count);
    ASSERT(IS_POWER_OF_TWO(count) && count <= 32768 && buffer_bytes > 0);
    struct sim_buffers *buffers = &io->buffers[group];
    *buffers = (struct sim_buffers){
        .memory = memory, .buffer_bytes = buffer_bytes, .count = count, .free_count = offered};
    buffers->free = world_allocate(count, sizeof(*buffers->free));
    buffers->filled = world_allocate(count, sizeof(*buffers->filled));
    buffers->taken = world_allocate(count, sizeof(*buffers->taken));
    for (uint32_t i = 0; i < count; i++) {
        buffers->free[i] = i;
        buffers->taken[i] = i >= offered;
    }
    return 0;
}

void io_buffer_return(struct io *io, uint32_t group, uint32_t index) {
    if (io->dead)
        return;
    ASSERT(group < IO_BUFFER_GROUPS);
    struct sim_buffers *buffers = &io->buffers[group];
    ASSERT(index < buffers->count && buffers->taken[index]);
    buffers->taken[index] = false;
    memset(buffers->memory + (size_t)index * buffers->buffer_bytes, BUFFER_POISON,
           buffers->filled[index]);
    buffers->filled[index] = 0;
    buffers->free[(buffers->free_head + buffers->free_count++) % buffers->count] = index;
}

bool io_buffer_take(struct io *io, uint32_t group, uint32_t *index) {
    struct sim_buffers *buffers = &io->buffers[group];
    ASSERT(buffers->memory != NULL);
    if (buffers->free_count == 0)
        return false;
    *index = buffers->free[buffers->free_head];
    buffers->free_head = (buffers->free_head + 1) % buffers->count;
    buffers->free_count--;
    buffers->taken[*index] = true;
    buffers->filled[*index] = buffers->buffer_bytes; /* by whoever takes it */
    return true;
}

/* ---- listening and accepting ------------------------------------------------------------- */

int io_listen(struct io *io, const char *address, uint32_t backlog, int32_t *handle,
              struct error_text *error) {
    char host[IO_ADDRESS_HOST_BYTES];
    uint16_t port_number;
    if (!io_address_split(address, host, &port_number)) {
        error_text_set(error, "'%s' is not an address", address);
        return WEIR_EINVAL;
    }
    if (!address_is_own(io->node, host)) {
        error_text_set(error, "%s is not an address of this host", address);
        return WEIR_EINVAL;
    }
    ASSERT(!io->dead);
    struct node *node = io->node;
    if (port_number == 0)
        port_number = node->next_port_number++;
    if (node_listener(node, port_number) != NULL) {
        error_text_set(error, "%s is in use", address);
        return WEIR_EADDRINUSE;
    }
    struct listener *listener = world_allocate(1, sizeof(*listener));
    listener->node = node;
    listener->port_number = port_number;
    listener->backlog_max = backlog == 0 ? 1 : backlog;
    listener->backlog = world_allocate(listener->backlog_max, sizeof(struct connection *));
    *handle = handle_new(node, HANDLE_LISTENER);
    node->handles[*handle].listener = listener;
    return 0;
}

uint16_t io_listen_port(struct io *io, int32_t listener) {
    return handle_get(io->node, listener, HANDLE_LISTENER)->listener->port_number;
}

void listener_pump(struct listener *listener) {
    struct world *world = listener->node->world;
    while (listener->accept != NULL && listener->backlog_count > 0) {
        struct connection *connection = listener->backlog[0];
        listener->backlog_count--;
        memmove(listener->backlog, listener->backlog + 1,
                listener->backlog_count * sizeof(struct connection *));
        connection->offered = false;
        struct sim_operation *accept = listener->accept;
        if (world_chance(world, world->options.accept_error_chance)) {
            /* It died in the backlog.  As with io_uring, accepting may end with it. */
            bool more = world_chance(world, 500);
            if (!more)
                listener->accept = NULL;
            connection->sides[1].state = SIDE_ATTACHED;
            connection_break(connection, 0);
            side_close(connection, 1);
            operation_complete(accept, -ECONNABORTED, more ? IO_MORE : 0, 0);
            continue;
        }
        int32_t handle = handle_new(listener->node, HANDLE_SOCKET);
        listener->node->handles[handle].connection = connection;
        listener->node->handles[handle].side = 1;
        connection->sides[1].state = SIDE_ATTACHED;
        operation_complete(accept, handle, IO_MORE, 0);
    }
}

void io_accept_start(struct io_port *port, int32_t listener, uint64_t user) {
    if (port->io->dead)
        return;
    handle_get(port->io->node, listener, HANDLE_LISTENER);
    operation_start(port, IO_ACCEPT, listener, user);
}

void stop_start(const struct sim_operation *operation) {
    struct sim_operation *stop =
        operation_start(operation->port, 0, operation->handle, operation->user);
    stop->stops = operation->id;
    stop->stops_kind = operation->kind;
}

/* Stops the port's live operation on a handle; nothing if it has ended already. */
static void stop_on_handle(struct io_port *port, enum io_kind kind, int32_t handle) {
    if (port->io->dead)
        return;
    const struct sim_operation *each = port->operations;
    while (each != NULL && (each->kind != kind || each->handle != handle))
        each = each->next;
    if (each != NULL)
        stop_start(each);
}

void io_accept_stop(struct io_port *port, int32_t listener) {
    stop_on_handle(port, IO_ACCEPT, listener);
}

/* ---- receiving --------------------------------------------------------------------------- */

void io_receive_start(struct io_port *port, int32_t socket, uint32_t group, uint64_t user) {
    if (port->io->dead)
        return;
    ASSERT(group == IO_BUFFERS_NONE ||
           (group < IO_BUFFER_GROUPS && port->io->buffers[group].memory != NULL));
    handle_get(port->io->node, socket, HANDLE_SOCKET);
    operation_start(port, IO_RECEIVE, socket, user)->buffer_group = (uint8_t)group;
}

void io_receive_stop(struct io_port *port, int32_t socket, uint64_t user) {
    for (const struct sim_operation *each = port->operations; each != NULL; each = each->next)
        ASSERT(each->kind != IO_RECEIVE || each->handle != socket || each->user == user);
    stop_on_handle(port, IO_RECEIVE, socket);
}

/* Completes the armed receive for the last time. */
static void receive_end(struct side *side, int32_t result) {
    struct sim_operation *receive = side->receive;
    side->receive = NULL;
    operation_complete(receive, result, 0, 0);
}

bool side_receive_ready(const struct connection *connection, uint32_t reader) {
    const struct side *side = &connection->sides[reader];
    const struct stream *stream = &connection->streams[1 - reader];
    ASSERT(side->receive != NULL);
    return stream->end_arrived || side->shut || side->broken ||
           (stream->arrived.length > 0 && side->receive->buffer_group != IO_BUFFERS_NONE);
}

void side_receive_run(struct connection *connection, uint32_t reader) {
    struct world *world = connection->world;
    struct side *side = &connection->sides[reader];
    struct stream *stream = &connection->streams[1 - reader];
    struct sim_operation *receive = side->receive;
    if (receive == NULL || !side_receive_ready(connection, reader))
        return;
    if (receive->buffer_group == IO_BUFFERS_NONE) {
        receive_end(side, side->broken ? -ECONNRESET : IO_RECEIVE_EOF);
        return;
    }
    if (stream->arrived.length > 0)
        halt_at_socket(connection, reader, false);
    if (side_halted(connection, reader))
        byte_queue_clear(&stream->arrived); /* for nobody */
    if (stream->arrived.length == 0) {
        if (side->broken && !side->told) {
            side->told = true;
            receive_end(side, side->error);
        } else if (side->broken || stream->end_arrived || side->shut) {
            receive_end(side, IO_RECEIVE_EOF);
        } /* else the node has halted, and forgets what had arrived */
        return;
    }
    struct io *io = receive->port->io;
    const struct sim_buffers *buffers = &io->buffers[receive->buffer_group];
    uint32_t buffer;
    if (world_chance(world, world->options.no_buffers_chance) ||
        !io_buffer_take(io, receive->buffer_group, &buffer)) {
        receive_end(side, IO_RECEIVE_NO_BUFFERS);
        return;
    }
    uint32_t most = buffers->buffer_bytes;
    if (world_chance(world, 300))
        most = (uint32_t)world_random_between(world, 1, most);
    uint32_t length_bytes = byte_queue_get(
        &stream->arrived, buffers->memory + (size_t)buffer * buffers->buffer_bytes, most);
    io->buffers[receive->buffer_group].filled[buffer] = length_bytes;
    uint8_t flags = IO_HAS_BUFFER | IO_MORE;
    if (world_chance(world, world->options.receive_end_chance)) {
        flags = IO_HAS_BUFFER;
        side->receive = NULL;
    }
    operation_complete(receive, (int32_t)length_bytes, flags, buffer);
    stream_pump(connection, 1 - reader);
    side_receive_pump(connection, reader);
}

/* ---- sending ----------------------------------------------------------------------------- */

void io_send(struct io_port *port, int32_t socket, const struct iovec *pieces, uint32_t count,
             enum io_send_mode mode, uint64_t user) {
    if (port->io->dead)
        return;
    ASSERT(count >= 1 && count <= IO_SEND_PIECES_MAX);
    handle_get(port->io->node, socket, HANDLE_SOCKET);
    struct sim_operation *operation = operation_start(port, IO_SEND, socket, user);
    operation->pieces = pieces;
    operation->pieces_count = count;
    operation->send_mode = (uint8_t)mode;
    for (uint32_t i = 0; i < count; i++)
        operation->length_bytes += pieces[i].iov_len;
    ASSERT(operation->length_bytes > 0 && operation->length_bytes <= INT32_MAX);
}

/* What the socket says to a send: bytes taken, or a negative errno. */
static int32_t send_try(struct connection *connection, uint32_t writer,
                        const struct sim_operation *send) {
    struct world *world = connection->world;
    struct side *side = &connection->sides[writer];
    struct byte_queue *sent = &connection->streams[writer].sent;
    if (side->broken && !side->told) {
        side->told = true;
        return side->error;
    }
    if (side->broken || side->shut)
        return -EPIPE;
    if (byte_queue_room(sent) == 0)
        return -EAGAIN;
    uint64_t most = send->length_bytes;
    if (world_chance(world, world->options.send_partial_chance))
        most = world_random_between(world, 1, most);
    uint32_t taken = 0;
    for (uint32_t i = 0; i < send->pieces_count && taken < most; i++) {
        size_t length_bytes = send->pieces[i].iov_len;
        if (length_bytes > most - taken)
            length_bytes = most - taken;
        uint32_t put = byte_queue_put(sent, send->pieces[i].iov_base, length_bytes);
        connection_tell(connection, writer, false, send->pieces[i].iov_base, put);
        taken += put;
    }
    return (int32_t)taken;
}

void side_send_run(struct connection *connection, uint32_t writer) {
    struct side *side = &connection->sides[writer];
    struct sim_operation *send = side->send;
    halt_at_socket(connection, writer, true);
    int32_t result = side_halted(connection, writer) ? (int32_t)send->length_bytes
                                                     : send_try(connection, writer, send);
    if (result == -EAGAIN && send->send_mode == IO_SEND_WAIT)
        return;
    side->send = NULL;
    operation_complete(send, result, 0, 0);
    stream_pump(connection, writer);
}

/* ---- submission -------------------------------------------------------------------------- */

static void stop_comes(struct world *world, void *object, uint64_t id) {
    (void)world;
    struct connection *connection = object;
    connection->events--;
    for (int i = 0; i < 2; i++)
        if (connection->sides[i].receive != NULL && connection->sides[i].receive->id == id)
            receive_end(&connection->sides[i], -ECANCELED);
    connection_release(connection);
}

static void receive_stop_submit(const struct sim_operation *stop, const struct handle *handle) {
    struct connection *connection = handle->connection;
    struct side *side = &connection->sides[handle->side];
    if (side->receive == NULL || side->receive->id != stop->stops)
        return; /* it ended by itself */
    if (world_chance(connection->world, 500)) {
        receive_end(side, -ECANCELED);
        return;
    }
    /* Something may still arrive before the stop takes effect. */
    connection->events++;
    world_schedule(connection->world, world_random_between(connection->world, 0, 10000), stop_comes,
                   connection, stop->stops);
}

static void stop_submit(struct sim_operation *stop) {
    const struct node *node = stop->port->io->node;
    if (stop->stops_kind == IO_CONNECT) {
        /* Its handle, if it has one, is not its user's yet. */
        connect_stop_submit(node->world, stop->stops);
        operation_free(stop);
        return;
    }
    const struct handle *handle = &node->handles[stop->handle];
    if (handle->sort == HANDLE_SOCKET) {
        receive_stop_submit(stop, handle);
    } else if (handle->sort == HANDLE_LISTENER) {
        struct sim_operation *accept = handle->listener->accept;
        if (accept != NULL && accept->id == stop->stops) {
            handle->listener->accept = NULL;
            operation_complete(accept, -ECANCELED, 0, 0);
        }
    }
    operation_free(stop);
}

void socket_submit(struct sim_operation *operation) {
    if (operation->kind == 0) {
        stop_submit(operation);
        return;
    }
    if (operation->kind == IO_CONNECT) {
        connect_submit(operation);
        return;
    }
    struct node *node = operation->port->io->node;
    if (operation->kind == IO_ACCEPT) {
        struct listener *listener = handle_get(node, operation->handle, HANDLE_LISTENER)->listener;
        ASSERT(listener->accept == NULL);
        listener->accept = operation;
        listener_pump(listener);
        return;
    }
    const struct handle *handle = handle_get(node, operation->handle, HANDLE_SOCKET);
    struct side *side = &handle->connection->sides[handle->side];
    if (operation->kind == IO_RECEIVE) {
        ASSERT(side->receive == NULL);
        side->receive = operation;
        side_receive_pump(handle->connection, handle->side);
    } else {
        ASSERT(operation->kind == IO_SEND && side->send == NULL);
        side->send = operation;
        side_send_run(handle->connection, handle->side);
    }
}

/* ---- what takes effect at once ----------------------------------------------------------- */

void io_shutdown(struct io *io, int32_t socket) {
    if (io->dead)
        return;
    const struct handle *handle = handle_get(io->node, socket, HANDLE_SOCKET);
    struct connection *connection = handle->connection;
    connection->sides[handle->side].shut = true;
    connection->streams[handle->side].end_sent = true;
    side_send_pump(connection, handle->side);
    side_receive_pump(connection, handle->side);
    stream_pump(connection, handle->side);
}

void io_local_name(struct io *io, int32_t socket, char out[64]) {
    memcpy(out, "?", 2);
    if (io->dead)
        return;
    const struct handle *handle = handle_get(io->node, socket, HANDLE_SOCKET);
    const struct connection *connection = handle->connection;
    world_address(out, connection->sides[handle->side].host,
                  handle->side == 0 ? connection->client_port_number : connection->port_number);
}

void io_peer_name(struct io *io, int32_t socket, char out[64]) {
    memcpy(out, "?", 2);
    if (io->dead)
        return;
    const struct handle *handle = handle_get(io->node, socket, HANDLE_SOCKET);
    const struct connection *connection = handle->connection;
    uint32_t other = 1 - (uint32_t)handle->side;
    if (!connection->sides[handle->side].broken)
        world_address(out, connection->sides[other].host,
                      other == 0 ? connection->client_port_number : connection->port_number);
}
