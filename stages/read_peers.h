#ifndef WEIR_STAGES_READ_PEERS_H
#define WEIR_STAGES_READ_PEERS_H

/*
 * The connections that other members have opened, as the read stage owns them.  Internal to read.
 *
 * They have a listener, a port at the door, receive buffers and rings of their own, which are
 * looked at before anything of clients.  What the bytes mean is parse's: it says what to answer,
 * and when to end a connection.
 *
 *     FREE ──accept──► STRANGER ──parse: let in────► MEMBER
 *      ▲                   │                            │ end of stream, broken, parse: close,
 *      │                   └── the same, or too late ─┐ │ the node stops
 *      │                                              ▼ ▼
 *      └──── parse: ended ────── TOLD ◄──at rest── ENDING
 *
 *   STRANGER  has not said who it is, or not proved it where there is a secret; has
 *             PEER_HANDSHAKE_NS for that.  If there are too many of them one makes room: the oldest
 *             of those who have said nothing yet, or else of all.
 *   MEMBER    a data connection receives into the buffers for data from here on, so that it can
 *             never use up those for control
 *   ENDING    its receive and the sending of its answer are to end
 *   TOLD      parse was told that there will be no more; then the socket is closed
 *
 * A connection that has as many buffers under way as it may have does not receive: TCP holds its
 * opener back.
 */

#include "stages/peers.h"
#include "stages/stage.h"

struct read_peers;

/* How long a connection may take to say who it is. */
#define PEER_HANDSHAKE_NS UINT64_C(2000000000)

/* Makes what is needed, if the node listens for members; otherwise *out is NULL.  Errors:
 * WEIR_ENOMEM. */
int read_peers_create(struct read_peers **out, struct pipeline *pipeline, struct io *io,
                      struct error_text *error);

/* Registers the buffers and listens, on the core's thread.  Errors: as io_listen. */
int read_peers_start(struct read_peers *peers, struct error_text *error);

/* One turn: up to `budget` items of parse's, and as many completions.  Returns how many there
 * were. */
uint32_t read_peers_poll(struct read_peers *peers, uint64_t now_ns, uint32_t budget);

/* Accepts no more and ends all; true once nothing is left. */
bool read_peers_drain(struct read_peers *peers);

/* NULL allowed. */
void read_peers_destroy(struct read_peers *peers);

#endif
