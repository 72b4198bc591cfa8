#ifndef WEIR_STAGES_PARSE_PEERS_INTERNAL_H
#define WEIR_STAGES_PARSE_PEERS_INTERNAL_H

/* What parse keeps of the connections that other members have opened; see stages/parse_peers.h.
 * One owner: its thread. */

#include "stages/parse_peers.h"
#include "stages/pipeline.h"

/* See the picture in stages/parse_peers.h. */
enum parse_peer_state { PEER_CLOSED = 0, PEER_GREETING, PEER_TALKING, PEER_BROKEN, PEER_STATES };

/* A receive buffer that waits here: a link of its connection's queue. */
struct waiting {
    uint32_t next;
    uint32_t length_bytes;
};

/* One connection. */
struct parse_peer {
    struct peer_frame_reader reader;
    uint32_t row;        /* of the member, once it was let in; NO_ROW before */
    uint32_t head_bytes; /* collected: of the HELLO, or of a header */
    uint32_t body_bytes; /* of the frame whose header is complete */
    uint32_t filled_bytes;
    struct checksum_state hash; /* of these */
    uint32_t first;             /* buffers by name, or NO_BUFFER */
    uint32_t last;
    uint32_t offset_bytes; /* of the first one: so much was read */
    uint8_t state;         /* enum parse_peer_state */
    uint8_t lane;          /* TALKING: what it is for */
    uint8_t *room;         /* of the record; NULL: not reserved */
    uint8_t head[PEER_HELLO_FRAME_BYTES_MAX];
};

/* What is known of a member's connections. */
struct parse_link {
    uint32_t slots[PEER_LANES]; /* in use; NO_SLOT: none */
    bool is_given_up;           /* replicate may name the row anew, or has: nobody is let in */
    bool is_told;               /* replicate takes it for connected */
    bool owes_disconnected;     /* records for which there was no room yet, in this order */
    bool owes_connected;
    struct peer_introduction introduction;
};

/* All of them. */
struct parse_peers {
    struct peers *peers;
    struct node *node;
    struct ring *from_read;
    struct ring *to_read;
    struct ring *from_replicate;
    struct ring *to_replicate;
    struct waiting *waiting[PEER_LANES]; /* by buffer */
    uint32_t held;                       /* buffers in queues */
    uint32_t owing;                      /* links that owe a record */
    uint32_t next;                       /* whose data is looked at first */
    uint32_t open_count;
    int32_t units;
    uint64_t now_ns;    /* of this poll */
    bool blocked;       /* in this poll */
    bool looks_at_rows; /* whether they are asked back, also without a note */
    struct parse_link links[PEERS_MAX];
    struct parse_peer slots[PEER_ACCEPTED_MAX];
};

/* Ends a connection: its bytes are not looked at any more. */
void parse_peer_break(struct parse_peers *peers, struct parse_peer *peer);

/* Wakes replicate. */
void parse_replicate_wake(struct parse_peers *peers);

/* ---- parse_rows.c ---------------------------------------------------------------------------- */

/* Looks whether replicate asks for rows, and gives up those that no connection has; called before
 * anything else of a poll. */
void parse_rows_turn(struct parse_peers *peers);

#endif
