#ifndef WEIR_STAGES_PARSE_PEERS_H
#define WEIR_STAGES_PARSE_PEERS_H

/*
 * What other members send: bytes become records of their `in` rings.  Internal to parse.
 *
 * A connection that read has accepted begins with a HELLO.  It is judged by the address book, the
 * table of incarnations and this node's identity, and answered; where there is a secret a PROOF has
 * to follow (stages/parse_introduction.c).  From then on its frames are messages: the header is
 * collected here, then room for the announced length (within the limit of the ring) is reserved in
 * the ring, the body is copied there as it arrives, and committed when its checksum, and its tag,
 * are right.  Nothing is ever allocated.
 *
 *     CLOSED ──open──► GREETING ──HELLO, accepted──► (PROVING ──PROOF──►) TALKING
 *        ▲                 │                             │                   │ a wrong frame, a
 *        │                 │ refused, or no HELLO        │ no PROOF          │ newer connection of
 *        │                 └──────────► BROKEN ◄─────────┴───────────────────┘ the same sort
 *        └──end── from any of them
 *
 * PROVING is nobody yet: it keeps no other connection out, and read ends it when it takes too long.
 * BROKEN drops what still comes; read was asked to close.  A connection whose ring has no room, or
 * whose member's CONNECTED has none, keeps its buffers, and so read stops receiving on it; others
 * go on.  Control connections are served first.
 */

#include "stages/peers.h"
#include "stages/stage.h"

struct parse_peers;

/* What a poll spends on members before it begins nothing more: so that clients also get a turn. */
enum { PARSE_PEERS_UNITS = STAGE_POLL_UNITS / 2 };

/* For shard 0 of parse, if the node listens for members; otherwise *out is NULL.  `io` gives the
 * key of its nonces, where there is a secret, and is not kept.  Errors: WEIR_ENOMEM, or what
 * gmac_create says. */
int parse_peers_create(struct parse_peers **out, struct pipeline *pipeline, uint32_t shard,
                       struct io *io, struct error_text *error);

/* One turn: up to `budget` items of read's, and what can be done with the bytes that are here. */
struct stage_result parse_peers_poll(struct parse_peers *peers, uint64_t now_ns, uint32_t budget);

/* Whether nothing is left: read has ended all connections. */
bool parse_peers_drain(const struct parse_peers *peers);

/* NULL allowed. */
void parse_peers_destroy(struct parse_peers *peers);

#endif
