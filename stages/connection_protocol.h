#ifndef WEIR_STAGES_CONNECTION_PROTOCOL_H
#define WEIR_STAGES_CONNECTION_PROTOCOL_H

/*
 * The protocol state of a connection: what it may say now.
 *
 *                     open, a password is required
 *     ABSENT ─────────────────────────────────────► LOCKED ──┐
 *       │ ▲                                    RESET ▲ │ AUTH │ QUIT, not RESP
 *       │ │ end (from anywhere)                      │ ▼      ▼
 *       │ └─────────────────────────────           READY ──► CLOSING
 *       └──────────────────────────────────────────► ▲
 *                     open, none is required
 *
 *   ABSENT   no connection has this slot
 *   LOCKED   only AUTH, HELLO, QUIT and RESET are heard
 *   READY    everything is
 *   CLOSING  nothing is: what still arrives is dropped, the replies before it are sent
 *
 * A table has every transition; one that it lacks is our own mistake and aborts.
 *
 * Owner: the validate shard of the connection.  Pure; no allocation.
 */

#include <stdbool.h>
#include <stdint.h>

#include "stages/node.h"

/* What a connection may say; see the drawing. */
enum connection_state {
    CONNECTION_ABSENT = 0,
    CONNECTION_LOCKED,
    CONNECTION_READY,
    CONNECTION_CLOSING,
    CONNECTION_STATES,
};

enum connection_event {
    CONNECTION_OPENED,   /* its first batch is here */
    CONNECTION_UNLOCKED, /* it authenticated */
    CONNECTION_RESETTED, /* RESET */
    CONNECTION_CLOSED,   /* QUIT, SHUTDOWN, or what it sent is not RESP */
    CONNECTION_ENDED,    /* its last batch is here */
    CONNECTION_EVENTS,
};

/* Whether the command being judged, or the next one, is to get no reply: CLIENT REPLY SKIP. */
enum connection_skip { CONNECTION_SKIPS_NOTHING = 0, CONNECTION_SKIPS_THIS, CONNECTION_SKIPS_NEXT };

/* What validate knows of a connection. */
struct connection {
    uint32_t generation;
    uint8_t state;        /* enum connection_state */
    uint8_t resp_version; /* enum resp_version */
    bool accepts_replica; /* READONLY: it takes what a replica may answer */
    bool reads_chosen;    /* CLIENT READS: `reads` counts; otherwise the node's mode does */
    uint8_t reads;        /* enum read_mode */
    bool reply_off;       /* CLIENT REPLY OFF */
    uint8_t reply_skip;   /* enum connection_skip */
    bool wait_silent;     /* the WAIT that is not answered yet is to get no reply */
    bool no_evict;        /* CLIENT NO-EVICT */
    bool no_touch;        /* CLIENT NO-TOUCH */
    /* The names as they are published in the slot's record; always terminated. */
    char name[NODE_CLIENT_NAME_BYTES_MAX];
    char library_name[NODE_CLIENT_NAME_BYTES_MAX];
    char library_version[NODE_CLIENT_NAME_BYTES_MAX];
};

/*
 * Takes the transition of `event`; `password_required` decides where OPENED and RESETTED lead.
 * OPENED, RESETTED and ENDED also forget the names, READONLY, the modes of reads and replies, and
 * go back to protocol version 2; OPENED and ENDED forget NO-EVICT and NO-TOUCH, too.
 */
void connection_transit(struct connection *connection, enum connection_event event,
                        bool password_required);

/* A command is about to be judged: what was said of the next one is said of this one now. */
static inline void connection_reply_next(struct connection *connection) {
    connection->reply_skip = connection->reply_skip == CONNECTION_SKIPS_NEXT
                                 ? CONNECTION_SKIPS_THIS
                                 : CONNECTION_SKIPS_NOTHING;
}

/* Whether the command that has just been judged gets no reply. */
static inline bool connection_is_silent(const struct connection *connection) {
    return connection->reply_off || connection->reply_skip != CONNECTION_SKIPS_NOTHING;
}

/* The enum read_mode in force on it; `node_reads` is the node's. */
static inline uint8_t connection_reads(const struct connection *connection, uint8_t node_reads) {
    return connection->reads_chosen ? connection->reads : node_reads;
}

/*
 * Whether `given` is the password, in a time that depends on the length given and not on what is
 * right about it.  `password` is zero-terminated, of at most NODE_PASSWORD_BYTES_MAX bytes.
 */
bool connection_password_equal(const char password[NODE_PASSWORD_BYTES_MAX + 1],
                               const uint8_t *given, uint32_t length_bytes);

#endif
