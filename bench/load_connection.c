/*
 * Happy path: open, finish_connect, (greet), then for ever: room, flush, receive.
 *
 * Failures: a connect that is refused, a socket that takes only a part (the rest waits for
 * EPOLLOUT), a peer that goes away, bytes that are no RESP. The last three end the connection;
 * what was in flight is the worker's to account for before it closes.
 */
#include "bench/load_connection.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"

static const bool ALLOWED[LOAD_CONNECTION_STATE_COUNT][LOAD_CONNECTION_STATE_COUNT] = {
    [LOAD_CONNECTION_DOWN] = {[LOAD_CONNECTION_CONNECTING] = true},
    [LOAD_CONNECTION_CONNECTING] = {[LOAD_CONNECTION_GREETING] = true,
                                    [LOAD_CONNECTION_READY] = true,
                                    [LOAD_CONNECTION_DOWN] = true},
    [LOAD_CONNECTION_GREETING] = {[LOAD_CONNECTION_READY] = true, [LOAD_CONNECTION_DOWN] = true},
    [LOAD_CONNECTION_READY] = {[LOAD_CONNECTION_DOWN] = true},
};

static void move(struct load_connection *connection, enum load_connection_state to) {
    ASSERT(ALLOWED[connection->state][to]);
    connection->state = to;
    ASSERT((connection->socket_fd < 0) == (to == LOAD_CONNECTION_DOWN));
}

int load_connection_init(struct load_connection *connection,
                         const struct load_connection_sizes *sizes, void *owner) {
    memset(connection, 0, sizeof *connection);
    const uint32_t depth = sizes->depth;
    const bool has_history = sizes->reply_bytes_max > 0;
    connection->socket_fd = -1;
    connection->depth = depth;
    connection->owner = owner;
    /* Unsent requests are all in flight, hence at most depth; the greeting goes before any. */
    connection->out_bytes = depth * sizes->request_bytes_max;
    if (connection->out_bytes < LOAD_GREETING_BYTES_MAX)
        connection->out_bytes = LOAD_GREETING_BYTES_MAX;
    connection->out = malloc(connection->out_bytes);
    connection->flags = malloc(depth * sizeof *connection->flags);
    if (sizes->open_loop)
        connection->begun_ns = malloc(depth * sizeof *connection->begun_ns);
    connection->reply_bytes_max = sizes->reply_bytes_max;
    if (has_history) {
        connection->numbers = malloc(depth * sizeof *connection->numbers);
        connection->reply = malloc(sizes->reply_bytes_max);
    }
    if (!connection->out || !connection->flags || (sizes->open_loop && !connection->begun_ns) ||
        (has_history && (!connection->numbers || !connection->reply))) {
        load_connection_fini(connection);
        return WEIR_ENOMEM;
    }
    return 0;
}

void load_connection_fini(struct load_connection *connection) {
    if (connection->socket_fd >= 0)
        close(connection->socket_fd);
    connection->socket_fd = -1;
    free(connection->out);
    free(connection->flags);
    free(connection->begun_ns);
    free(connection->numbers);
    free(connection->reply);
    connection->out = NULL;
    connection->flags = NULL;
    connection->begun_ns = NULL;
    connection->numbers = NULL;
    connection->reply = NULL;
}

static int watch(struct load_connection *connection, int epoll_fd, int operation, bool output) {
    struct epoll_event event = {.events = EPOLLIN | (output ? EPOLLOUT : 0u),
                                .data.ptr = connection};
    connection->wants_output = output;
    return epoll_ctl(epoll_fd, operation, connection->socket_fd, &event);
}

int load_connection_open(struct load_connection *connection, int epoll_fd,
                         const struct load_address *address) {
    ASSERT(connection->state == LOAD_CONNECTION_DOWN);
    int one = 1;
    int socket_fd =
        socket(address->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_fd < 0)
        return WEIR_EIO;
    connection->socket_fd = socket_fd;
    int status = setsockopt(socket_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (status == 0)
        status =
            connect(socket_fd, (const struct sockaddr *)&address->socket, address->socket_bytes);
    if (status != 0 && errno == EINPROGRESS)
        status = 0;
    if (status == 0)
        status = watch(connection, epoll_fd, EPOLL_CTL_ADD, true);
    if (status != 0) {
        int reason = errno;
        close(socket_fd);
        connection->socket_fd = -1;
        errno = reason;
        return WEIR_EIO;
    }
    move(connection, LOAD_CONNECTION_CONNECTING);
    return 0;
}

int load_connection_finish_connect(struct load_connection *connection, int epoll_fd,
                                   const struct load_options *options) {
    ASSERT(connection->state == LOAD_CONNECTION_CONNECTING);
    int reason = 0;
    socklen_t reason_bytes = sizeof reason;
    if (getsockopt(connection->socket_fd, SOL_SOCKET, SO_ERROR, &reason, &reason_bytes) != 0)
        reason = errno;
    if (reason != 0) {
        errno = reason;
        return WEIR_EIO;
    }
    uint32_t replies = 0;
    connection->out_begin = 0;
    connection->out_end = load_greeting_build(options, connection->out, &replies);
    connection->greeting_replies = replies;
    move(connection, replies > 0 ? LOAD_CONNECTION_GREETING : LOAD_CONNECTION_READY);
    return load_connection_flush(connection, epoll_fd) == 0 ? 0 : WEIR_EIO;
}

void load_connection_greeted(struct load_connection *connection) {
    ASSERT(connection->greeting_replies == 0);
    move(connection, LOAD_CONNECTION_READY);
}

void load_connection_close(struct load_connection *connection, uint64_t retry_ns) {
    close(connection->socket_fd); /* leaves the epoll set by itself */
    connection->socket_fd = -1;
    connection->in_flight = 0;
    connection->head = 0;
    connection->leaving = false;
    connection->not_before_ns = 0;
    connection->reply_bytes = 0;
    connection->out_begin = 0;
    connection->out_end = 0;
    connection->retry_ns = retry_ns;
    move(connection, LOAD_CONNECTION_DOWN);
}

uint8_t *load_connection_room(struct load_connection *connection, size_t request_bytes_max) {
    if (connection->out_begin == connection->out_end) {
        connection->out_begin = 0;
        connection->out_end = 0;
    } else if (connection->out_bytes - connection->out_end < request_bytes_max) {
        size_t unsent = connection->out_end - connection->out_begin;
        memmove(connection->out, connection->out + connection->out_begin, unsent);
        connection->out_begin = 0;
        connection->out_end = unsent;
    }
    ASSERT_HOT(connection->out_bytes - connection->out_end >= request_bytes_max);
    return connection->out + connection->out_end;
}

int load_connection_flush(struct load_connection *connection, int epoll_fd) {
    ASSERT(connection->socket_fd >= 0);
    connection->has_unflushed = false;
    while (connection->out_begin < connection->out_end) {
        ssize_t sent = send(connection->socket_fd, connection->out + connection->out_begin,
                            connection->out_end - connection->out_begin, MSG_NOSIGNAL);
        if (sent >= 0)
            connection->out_begin += (size_t)sent;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            return WEIR_ECLOSED;
    }
    bool output = connection->out_begin < connection->out_end;
    if (output != connection->wants_output &&
        watch(connection, epoll_fd, EPOLL_CTL_MOD, output) != 0)
        return WEIR_ECLOSED;
    return 0;
}

int64_t load_connection_receive(struct load_connection *connection, uint8_t *scratch,
                                size_t scratch_bytes) {
    ssize_t received = recv(connection->socket_fd, scratch, scratch_bytes, 0);
    if (received < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : WEIR_ECLOSED;
    return received == 0 ? WEIR_ECLOSED : received;
}

int load_connection_scan(struct load_connection *connection, const uint8_t *bytes,
                         size_t length_bytes, struct reply_scan_counts *counts) {
    connection->counts = counts;
    const int status = reply_scan_feed(&connection->scan, bytes, length_bytes, counts);
    connection->counts = NULL;
    return status == 0 ? 0 : WEIR_EPROTOCOL;
}
