/*
 * Round after round: park until something completes, take it all, count the requests in each
 * receive buffer and give the buffer back, then start one send for each connection that is owed
 * replies and has none in flight. The next park submits these sends: one system call a round.
 *
 * A connection that ends waits for its send, then its handle is closed and its place is free. The
 * memory of a connection that does not take its replies is one counter, so it needs no bound.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "bench/null_requests.h"
#include "bench/null_server.h"
#include "io/io.h"

enum {
    BUFFER_COUNT = 512,
    BUFFER_BYTES = 32 * 1024,
    TAKEN_PER_ROUND = 256,
    LISTEN_BACKLOG = 1024,
    /* Each connection one armed receive and one send; each buffer may wait; one accept. */
    OPERATIONS_MAX = 2 * NULL_CLIENTS_MAX + BUFFER_COUNT + 1
};

#define USER_ACCEPT UINT64_MAX

struct client {
    int32_t socket; /* -1: the place is free */
    bool receiving; /* a receive is armed */
    bool sending;   /* a send is in flight */
    bool ending;    /* to be closed as soon as neither is */
    bool touched;   /* stands in the round's list */
    uint64_t owed_bytes;
    struct iovec piece;
    struct null_requests requests;
};

struct server {
    struct io *io;
    struct io_port *port;
    uint8_t *buffers;
    struct client *clients; /* NULL_CLIENTS_MAX places, found by a connection's user number */
    uint32_t touched_count;
    uint32_t touched[TAKEN_PER_ROUND];
};

static struct io *io_to_wake;

static void wake(void) {
    io_wake(io_to_wake);
}

static void touch(struct server *server, struct client *client) {
    if (client->touched)
        return;
    client->touched = true;
    server->touched[server->touched_count++] = (uint32_t)(client - server->clients);
}

static void on_accept(struct server *server, const struct io_completion *completion,
                      int32_t listener) {
    if (!(completion->flags & IO_MORE))
        io_accept_start(server->port, listener, USER_ACCEPT);
    if (completion->result < 0)
        return;
    for (uint32_t i = 0; i < NULL_CLIENTS_MAX; i++) {
        struct client *client = &server->clients[i];
        if (client->socket >= 0)
            continue;
        memset(client, 0, offsetof(struct client, requests.tail)); /* the tail is not read */
        client->socket = completion->result;
        client->receiving = true;
        io_receive_start(server->port, client->socket, 0, i);
        return;
    }
    io_close(server->io, completion->result);
}

static void on_receive(struct server *server, struct client *client,
                       const struct io_completion *completion) {
    uint64_t count = 0;
    if (completion->flags & IO_HAS_BUFFER) {
        const uint8_t *bytes = server->buffers + (size_t)completion->buffer * BUFFER_BYTES;
        ASSERT(completion->result >= 0);
        count = null_requests_count(&client->requests, bytes, (size_t)completion->result);
        io_buffer_return(server->io, 0, completion->buffer);
    }
    if (count == NULL_REQUESTS_TOO_LONG) {
        client->ending = true;
        io_shutdown(server->io, client->socket);
    } else {
        client->owed_bytes += count * NULL_REPLY_BYTES;
    }
    if (!(completion->flags & IO_MORE)) {
        bool again = completion->result > 0 || completion->result == IO_RECEIVE_NO_BUFFERS;
        client->receiving = again && !client->ending;
        if (client->receiving)
            io_receive_start(server->port, client->socket, 0, (uint64_t)(client - server->clients));
        else
            client->ending = true;
    }
    touch(server, client);
}

static void on_send(struct server *server, struct client *client,
                    const struct io_completion *completion) {
    client->sending = false;
    if (completion->result > 0) {
        ASSERT((uint64_t)completion->result <= client->owed_bytes);
        client->owed_bytes -= (uint64_t)completion->result;
    } else {
        client->owed_bytes = 0;
        client->ending = true;
        io_shutdown(server->io, client->socket);
    }
    touch(server, client);
}

/* What a connection needs after its completions of this round. */
static void settle(struct server *server, struct client *client) {
    client->touched = false;
    if (client->owed_bytes > 0 && !client->sending) {
        uint64_t length = 0;
        const uint8_t *replies = null_replies_owed(client->owed_bytes, &length);
        client->piece.iov_base = (void *)(uintptr_t)replies;
        client->piece.iov_len = length;
        client->sending = true;
        io_send(server->port, client->socket, &client->piece, 1, IO_SEND_WAIT,
                (uint64_t)(client - server->clients));
    }
    if (client->ending && !client->sending && !client->receiving) {
        io_close(server->io, client->socket);
        client->socket = -1;
    }
}

static void loop(struct server *server, int32_t listener) {
    struct io_completion completions[TAKEN_PER_ROUND];
    io_accept_start(server->port, listener, USER_ACCEPT);
    while (!null_stopping) {
        uint32_t count = io_take(server->port, completions, TAKEN_PER_ROUND);
        if (count == 0) {
            io_park(server->io, UINT64_MAX);
            continue;
        }
        server->touched_count = 0;
        for (uint32_t i = 0; i < count; i++) {
            const struct io_completion *completion = &completions[i];
            if (completion->user == USER_ACCEPT)
                on_accept(server, completion, listener);
            else if (completion->kind == IO_RECEIVE)
                on_receive(server, &server->clients[completion->user], completion);
            else
                on_send(server, &server->clients[completion->user], completion);
        }
        for (uint32_t i = 0; i < server->touched_count; i++)
            settle(server, &server->clients[server->touched[i]]);
    }
}

static int start(struct server *server, const char *address, int32_t *listener,
                 struct error_text *error) {
    struct io_options options = {
        .submissions_max = 4096, .completions_max = 16384, .features_allowed = IO_FEATURES_ALL};
    server->buffers = aligned_alloc(4096, (size_t)BUFFER_COUNT * BUFFER_BYTES);
    server->clients = calloc(NULL_CLIENTS_MAX, sizeof *server->clients);
    if (!server->buffers || !server->clients) {
        error_text_set(error, "no memory for %d connections", NULL_CLIENTS_MAX);
        return WEIR_ENOMEM;
    }
    for (uint32_t i = 0; i < NULL_CLIENTS_MAX; i++)
        server->clients[i].socket = -1;
    int status = io_create(&server->io, &options, error);
    if (status == 0)
        status = io_port_create(server->io, &server->port, OPERATIONS_MAX);
    if (status == 0)
        status = io_buffers_register(server->io, 0, server->buffers, BUFFER_BYTES, BUFFER_COUNT,
                                     BUFFER_COUNT, error);
    if (status == 0)
        status = io_listen(server->io, address, LISTEN_BACKLOG, listener, error);
    return status;
}

int null_serve_uring(const char *address) {
    static struct server server;
    int32_t listener = -1;
    struct error_text error = {{0}};
    if (start(&server, address, &listener, &error) != 0) {
        fprintf(stderr, "null_server: %s\n", error.text);
        return 1;
    }
    io_to_wake = server.io;
    null_wake = wake;
    loop(&server, listener);
    /* The process ends here: the kernel takes back sockets, ring and memory at once. */
    return 0;
}
