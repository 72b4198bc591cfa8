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
 * In closed loop the requests in flight are one batch and share one time; in open loop each has its
 * intended time in a ring of `depth` places. Either way they are answered in order.
 *
 * Buffers are allocated once and outlive the socket. A connection is owned by one thread. No call
 * blocks; after load_connection_init none allocates.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/load_greeting.h"
#include "bench/reply_scan.h"

/* Where a connection stands; which moves exist is a table in load_connection.c. */
enum load_connection_state {
    LOAD_CONNECTION_DOWN,
    LOAD_CONNECTION_CONNECTING,
    LOAD_CONNECTION_GREETING,
    LOAD_CONNECTION_READY,
    LOAD_CONNECTION_STATE_COUNT
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
    void *owner; /* of the connection, for the callback of the scan */

    /* Requests without a reply. */
    uint32_t in_flight;
    uint32_t depth;         /* most that may be in flight */
    uint64_t sent_ns;       /* closed loop: of the batch in flight */
    uint64_t *intended_ns;  /* open loop: ring of `depth` times; NULL in closed loop */
    uint32_t intended_head; /* the oldest time */

    /* Bytes not yet taken by the socket: [out_begin, out_end). */
    uint8_t *out;
    size_t out_bytes; /* size of the buffer */
    size_t out_begin;
    size_t out_end;
};

/*
 * Allocates the buffers of a connection for `depth` requests of at most `request_bytes_max` bytes.
 * `owner` is what the error callback finds in `connection->owner`. Errors: WEIR_ENOMEM, nothing is
 * then held.
 */
int load_connection_init(struct load_connection *connection, uint32_t depth,
                         size_t request_bytes_max, bool open_loop, void *owner);

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
 * Receives once into `scratch` and scans it; adds to `counts`. Returns the number of bytes, 0 when
 * there are none now. Errors: WEIR_ECLOSED when the peer has gone, WEIR_EPROTOCOL when the bytes
 * are no RESP.
 */
int64_t load_connection_receive(struct load_connection *connection, uint8_t *scratch,
                                size_t scratch_bytes, struct reply_scan_counts *counts);

/* Notes the intended time of one more request in flight (open loop). */
void load_connection_push_intended(struct load_connection *connection, uint64_t intended_ns);

/* Takes the oldest intended time out (open loop, something is in flight). */
uint64_t load_connection_pop_intended(struct load_connection *connection);

#endif
