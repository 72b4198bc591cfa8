#ifndef WEIR_STAGES_PARSE_PEERS_INTERNAL_H
#define WEIR_STAGES_PARSE_PEERS_INTERNAL_H

/* What parse keeps of the connections that other members have opened; see stages/parse_peers.h.
 * One owner: its thread. */

#include "stages/parse_peers.h"
#include "stages/peer_nonces.h"
#include "stages/pipeline.h"

/* See the picture in stages/parse_peers.h. */
enum parse_peer_state {
    PEER_CLOSED = 0,
    PEER_GREETING,
    PEER_PROVING,
    PEER_TALKING,
    PEER_BROKEN,
    PEER_STATES
};

/* Stand for none. */
#define NO_BUFFER UINT32_MAX
#define NO_SLOT   UINT32_MAX
#define NO_ROW    UINT32_MAX

/* A receive buffer that waits here: a link of its connection's queue. */
struct waiting {
    uint32_t next;
    uint32_t length_bytes;
};

/* One connection. */
struct parse_peer {
    struct peer_frame_reader reader;
    struct peer_frame_keys keys; /* PROVING, TALKING: its own, where there is a secret */
    uint32_t row;                /* of the member that it says it is; NO_ROW: it has not said so */
    uint32_t head_bytes;         /* collected: of the HELLO, of the PROOF, or of a header */
    uint32_t body_bytes;         /* of the frame whose header is complete */
    uint32_t filled_bytes;
    struct checksum_state hash; /* of these */
    uint32_t first;             /* buffers by name, or NO_BUFFER */
    uint32_t last;
    uint32_t offset_bytes; /* of the first one: so much was read */
    uint8_t state;         /* enum parse_peer_state */
    uint8_t lane;          /* what it says it is for; control before */
    bool is_member;        /* it was let in */
    uint8_t *room;         /* of the record; NULL: not reserved */
    uint8_t head[PEER_HELLO_FRAME_BYTES_MAX];
    struct peer_introduction introduction; /* what its HELLO has said */
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
    struct peer_nonces nonces; /* where there is a secret */
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

/* ---- stages/parse_peers.c, for the introduction -------------------------------------------- */

/* Moves to another state, by the table. */
void parse_peer_state_set(struct parse_peer *peer, enum parse_peer_state state);

/* Its number. */
uint32_t parse_peer_slot(const struct parse_peers *peers, const struct parse_peer *peer);

/* Tells read something. */
void parse_peer_item_send(struct parse_peers *peers, const struct peer_item *item);

/* Takes up to `wanted_bytes` of what is here into `out`; returns how many.  There must be some. */
uint32_t parse_peer_bytes_take(struct parse_peers *peers, struct parse_peer *peer, uint8_t *out,
                               uint32_t wanted_bytes);

/* Replicate is told that the member of this row has a control connection. */
void parse_peer_connected(struct parse_peers *peers, uint32_t row,
                          const struct peer_introduction *introduction);

/* Replicate is told who speaks on the connection for data from here on.  False: its ring has no
 * room for that now; and then the connection must not be let in. */
bool parse_peer_data_connected(struct parse_peers *peers, uint32_t row,
                               const struct peer_introduction *introduction);

/* Ends a connection: its bytes are not looked at any more. */
void parse_peer_break(struct parse_peers *peers, struct parse_peer *peer);

/* ---- stages/parse_introduction.c ----------------------------------------------------------- */

/* A connection is there: it begins with a HELLO. */
void parse_peer_begin(struct parse_peers *peers, struct parse_peer *peer);

/* Goes on with the introduction, with bytes that are here: GREETING or PROVING. */
void parse_peer_introduce(struct parse_peers *peers, struct parse_peer *peer);

/* Wakes replicate. */
void parse_replicate_wake(struct parse_peers *peers);

/* ---- parse_rows.c ---------------------------------------------------------------------------- */

/* Looks whether replicate asks for rows, and gives up those that no connection has; called before
 * anything else of a poll. */
void parse_rows_turn(struct parse_peers *peers);

#endif
