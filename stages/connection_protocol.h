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

/* What validate knows of a connection. */
struct connection {
    uint32_t generation;
    uint8_t state;        /* enum connection_state */
    uint8_t resp_version; /* enum resp_version */
    bool accepts_replica; /* READONLY: it takes what a replica may answer */
    bool reads_chosen;    /* CLIENT READS: `reads` counts; otherwise the node's mode does */
    uint8_t reads;        /* enum read_mode */
    /* The names as they are published in the slot's record; always terminated. */
    char name[NODE_CLIENT_NAME_BYTES_MAX];
    char library_name[NODE_CLIENT_NAME_BYTES_MAX];
    char library_version[NODE_CLIENT_NAME_BYTES_MAX];
};

/*
 * Takes the transition of `event`; `password_required` decides where OPENED and RESETTED lead.
 * OPENED, RESETTED and ENDED also forget the names, READONLY and the mode of reads, and go back to
 * protocol version 2.
 */
void connection_transit(struct connection *connection, enum connection_event event,
                        bool password_required);

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
