#ifndef WEIR_BENCH_LOAD_CONNECTION_H
#define WEIR_BENCH_LOAD_CONNECTION_H

/*
 * One connection of the load generator: a non-blocking socket, the requests not yet sent, and the
 * count and times of those not yet answered.
 *
 *     DOWN ──open──► CONNECTING ──connected──► GREETING ──greeted──► READY
 *      ▲                  │        └─ nothing to say ──────────────────▲ │
 *      └──────lost────────┴───────────lost──────┴────────────lost────────┘
 *
 * The requests in flight stand in a ring of `depth` places and are answered in order. In closed
 * loop they are one batch and share one time; in open loop each has its intended time.
 *
 * Buffers are allocated once and outlive the socket. A connection is owned by one thread. No call
 * blocks; after load_connection_init none allocates.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "bench/load_greeting.h"
#include "bench/load_targets.h"
#include "bench/reply_scan.h"

/* Where a connection stands; which moves exist is a table in load_connection.c. */
enum load_connection_state {
    LOAD_CONNECTION_DOWN,
    LOAD_CONNECTION_CONNECTING,
    LOAD_CONNECTION_GREETING,
    LOAD_CONNECTION_READY,
    LOAD_CONNECTION_STATE_COUNT
};

/* What is known of one request in flight. */
enum load_request_flags {
    LOAD_REQUEST_WRITE = 1 << 0,   /* it asks for a change */
    LOAD_REQUEST_ERROR = 1 << 1,   /* its reply is an error */
    LOAD_REQUEST_REFUSED = 1 << 2, /* its reply says that nothing was done, and to ask elsewhere */
    LOAD_REQUEST_UNKNOWN = 1 << 3, /* its reply is -UNKNOWN, and there is somewhere else to ask */
};

struct load_request {
    uint64_t begun_ns; /* when it was sent; in open loop, when that was intended */
    uint32_t number;   /* in the history, if there is one */
    uint8_t flags;     /* enum load_request_flags */
};

/* Buffers of a connection. */
struct load_connection_sizes {
    uint32_t depth;
    size_t request_bytes_max;
    bool open_loop;
    size_t reply_bytes_max; /* with a history, of a whole reply; else 0 */
};

/* Read by the worker that owns it; changed through the functions below. */
struct load_connection {
    enum load_connection_state state;
    int socket_fd;             /* -1 while DOWN */
    bool wants_output;         /* epoll watches for room in the socket */
    bool has_unflushed;        /* the worker will call load_connection_flush before it waits */
    uint32_t greeting_replies; /* expected while GREETING */
    uint64_t retry_ns;         /* while DOWN: when to open again */
    struct reply_scan scan;
    const struct reply_scan_counts *counts; /* those that a scan under way adds to */
    void *owner;                            /* of the connection, for the callback of the scan */

    /* Requests without a reply. */
    uint32_t in_flight;
    uint32_t depth;       /* most that may be in flight */
    uint32_t head;        /* the place of the oldest one in the rings */
    uint64_t sent_ns;     /* closed loop: of the batch in flight */
    uint64_t progress_ns; /* when it was opened, or last sent into silence, or last heard of */
    uint8_t *flags;       /* ring of `depth` */
    uint64_t *begun_ns;   /* open loop: ring of `depth`; NULL in closed loop */
    uint32_t *numbers;    /* with a history: ring of `depth`; else NULL */

    /* Where it goes (bench/load_follow.c). */
    uint32_t target;        /* place in the worker's table */
    uint32_t attempts;      /* without success since the last answer that was one */
    bool leaving;           /* nothing more is sent; when all is answered it goes elsewhere */
    uint64_t not_before_ns; /* nothing is sent before */

    /* With a history. */
    uint32_t client;             /* its number: this connection's, over all reconnects */
    uint32_t history_connection; /* of the present socket */
    uint32_t sequence;           /* of its last request */
    char *reply;                 /* what has come of the oldest reply */
    size_t reply_bytes;
    size_t reply_bytes_max;
    uint64_t read_key; /* when keys are read back: the one asked for */
    bool has_read_key;
    bool was_abandoned; /* at the end of the run requests were without a reply */

    /* Bytes not yet taken by the socket: [out_begin, out_end). */
    uint8_t *out;
    size_t out_bytes; /* size of the buffer */
    size_t out_begin;
    size_t out_end;
};

/*
 * Allocates the buffers of a connection. `owner` is what the error callback finds in
 * `connection->owner`. Errors: WEIR_ENOMEM, nothing is then held.
 */
int load_connection_init(struct load_connection *connection,
                         const struct load_connection_sizes *sizes, void *owner);

/* Closes the socket, if there is one, and frees the buffers. */
void load_connection_fini(struct load_connection *connection);

/*
 * DOWN -> CONNECTING: makes a socket, registers it in the epoll set with the connection as data and
 * begins to connect. Errors: WEIR_EIO when the system refused; the connection stays DOWN, errno
 * tells why.
 */
int load_connection_open(struct load_connection *connection, int epoll_fd,
                         const struct load_address *address);

/*
 * CONNECTING -> GREETING or READY, to be called when epoll reports the socket. Errors: WEIR_EIO
 * when connecting failed, errno tells why; the caller then closes.
 */
int load_connection_finish_connect(struct load_connection *connection, int epoll_fd,
                                   const struct load_options *options);

/* GREETING -> READY, when all replies of the greeting have come. */
void load_connection_greeted(struct load_connection *connection);

/* Any state but DOWN -> DOWN; forgets what was in flight and unsent. */
void load_connection_close(struct load_connection *connection, uint64_t retry_ns);

/*
 * Room for one more request of `request_bytes_max` bytes: the caller writes at the returned place
 * and then adds the length to out_end. Only for a request that is in flight from now on, so that
 * the buffer, made for `depth` of them, always has room.
 */
uint8_t *load_connection_room(struct load_connection *connection, size_t request_bytes_max);

/*
 * Sends what the socket takes now and watches for room if something is left. Errors: WEIR_ECLOSED
 * when the connection is lost; the caller then closes.
 */
int load_connection_flush(struct load_connection *connection, int epoll_fd);

/*
 * Receives once into `scratch`. Returns the number of bytes, 0 when there are none now.
 * Errors: WEIR_ECLOSED when the peer has gone.
 */
int64_t load_connection_receive(struct load_connection *connection, uint8_t *scratch,
                                size_t scratch_bytes);

/* Scans received bytes and adds to `counts`. Errors: WEIR_EPROTOCOL when they are no RESP. */
int load_connection_scan(struct load_connection *connection, const uint8_t *bytes,
                         size_t length_bytes, struct reply_scan_counts *counts);

/* The place in the rings of the request that is `position` behind the oldest one. */
static inline uint32_t load_connection_place(const struct load_connection *connection,
                                             uint64_t position) {
    const uint64_t place = connection->head + position;
    return (uint32_t)(place < connection->depth ? place : place - connection->depth);
}

/* Notes one more request in flight; there is room. In closed loop begun_ns is sent_ns. */
static inline void load_connection_push(struct load_connection *connection,
                                        const struct load_request *request) {
    ASSERT_HOT(connection->in_flight < connection->depth);
    const uint32_t place = load_connection_place(connection, connection->in_flight);
    connection->flags[place] = request->flags;
    if (connection->begun_ns)
        connection->begun_ns[place] = request->begun_ns;
    if (connection->numbers)
        connection->numbers[place] = request->number;
    connection->in_flight++;
}

/* Takes the oldest request out; something is in flight. */
static inline struct load_request load_connection_pop(struct load_connection *connection) {
    ASSERT_HOT(connection->in_flight > 0);
    const uint32_t place = connection->head;
    const struct load_request request = {
        .begun_ns = connection->begun_ns ? connection->begun_ns[place] : connection->sent_ns,
        .number = connection->numbers ? connection->numbers[place] : 0,
        .flags = connection->flags[place]};
    if (++connection->head == connection->depth)
        connection->head = 0;
    connection->in_flight--;
    return request;
}

#endif
