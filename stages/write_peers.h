#ifndef WEIR_STAGES_WRITE_PEERS_H
#define WEIR_STAGES_WRITE_PEERS_H

/*
 * The connections that this node opens to other members: what is in `out` goes there.  Internal to
 * write.
 *
 * To each member of the address book there are two, one for control and one for data, which have
 * nothing to do with each other:
 *
 *     IDLE ──due──► CONNECTING ──connected──► GREETING ──accepted──► TALKING
 *      ▲                │                        │                      │ broken, closed, says
 *      │◄── failed ─────┘                        │ refused, too late    │ anything, asked to reopen
 *      │                                         ▼                      ▼
 *      └────────────── at rest ──────────────── ENDING ◄────────────────┘
 *
 *   GREETING  the HELLO is sent, the one answer is waited for
 *   TALKING   where there is a secret the PROOF goes first; then records are sent as MESSAGE
 *             frames, many in one gathered send; they stay in the ring, borrowed, until the socket
 *             has taken all of them
 *
 * Between two attempts there is a pause, drawn from [d/2, d], with d doubled by each attempt that
 * fails: PEER_PAUSE_NS_MIN to PEER_PAUSE_NS_MAX.  A member that was configured by a name is asked
 * for in each pause (stages/peer_name.h), and the next attempt goes where the answer says, if there
 * is one by then; as long as there never was one the attempt consists of the pause alone.  What
 * waits in a ring when an attempt begins, or fails, is dropped, since consensus says again what
 * still matters; so nothing that is old is sent.
 */

#include "stages/peers.h"
#include "stages/stage.h"

struct write_peers;

#define PEER_CONNECT_NS   UINT64_C(1000000000) /* for an attempt, and for the answer */
/* A control connection on which something was asked, and whose member was not heard since, is
 * opened again after this, and with it the one for data: TCP would go on by itself only after as
 * long as the network was away. */
#define PEER_SILENCE_NS   UINT64_C(1000000000)
#define PEER_PAUSE_NS_MIN UINT64_C(20000000)
#define PEER_PAUSE_NS_MAX UINT64_C(1000000000)

/* If the node listens for members; otherwise *out is NULL.  Errors: WEIR_ENOMEM, or what
 * gmac_create says. */
int write_peers_create(struct write_peers **out, struct pipeline *pipeline, struct io *io,
                       struct error_text *error);

/* On the core's thread.  Errors: WEIR_ENOMEM, or what io_buffers_register says. */
int write_peers_start(struct write_peers *peers, struct error_text *error);

/* One turn; takes what it spends off *units.  Returns how much there was to do. */
uint32_t write_peers_poll(struct write_peers *peers, uint64_t now_ns, int32_t *units);

/* Ends all; true once nothing is left. */
bool write_peers_drain(struct write_peers *peers, uint64_t now_ns);

/* NULL allowed. */
void write_peers_destroy(struct write_peers *peers);

#endif
