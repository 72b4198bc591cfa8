#ifndef WEIR_STAGES_WRITE_PEERS_INTERNAL_H
#define WEIR_STAGES_WRITE_PEERS_INTERNAL_H

/* What write keeps of the connections to other members; see stages/write_peers.h.  One owner: its
 * thread. */

#include "base/random.h"
#include "stages/peer_nonces.h"
#include "stages/pipeline.h"
#include "stages/write_peers.h"

enum {
    LINKS = PEERS_MAX * PEER_LANES,
    /* A header and a body of each. */
    SEND_RECORDS_MAX = IO_SEND_PIECES_MAX / 2,
};

/* See the picture in stages/write_peers.h. */
enum link_state {
    LINK_IDLE = 0,
    LINK_CONNECTING,
    LINK_GREETING,
    LINK_TALKING,
    LINK_ENDING,
    LINK_STATES
};

/* Where a member is. */
struct write_place {
    struct peer_name *name;                /* NULL: it was configured as a number */
    char address[PEER_NAME_ADDRESS_BYTES]; /* empty: not known yet */
};

/* One connection. */
struct write_link {
    struct peer_link *peer;
    struct write_place *place;             /* of both connections to the member */
    char address[PEER_NAME_ADDRESS_BYTES]; /* of the latest attempt */
    struct record_ring *ring;
    uint64_t deadline_ns; /* IDLE: of the next attempt; CONNECTING, GREETING: of this one */
    uint64_t pause_ns;    /* before the next attempt */
    uint64_t talking_ns;  /* since when */
    uint64_t asked_ns;    /* control: when it first asked something since the member was heard */
    int32_t socket;
    uint32_t answer_bytes;
    uint32_t piece; /* of the send under way: the first one not yet sent */
    uint32_t pieces_count;
    uint32_t until; /* the place in the ring behind what it borrows */
    uint32_t hello_bytes;
    uint8_t state; /* enum link_state */
    uint8_t lane;  /* enum peer_lane */
    bool sending;  /* a send is in flight */
    bool armed;    /* a receive is */
    bool stopping; /* the receive, or the attempt, was asked to end */
    bool warned;   /* that it does not come about, since it last did */
    bool talked;   /* in the latest attempt */
    bool owes_proof;
    struct peer_frame_keys keys; /* TALKING: its own, where there is a secret */
    struct peer_frame_writer writer;
    struct iovec pieces[IO_SEND_PIECES_MAX];
    uint8_t headers[SEND_RECORDS_MAX][PEER_FRAME_HEADER_BYTES];
    uint8_t hello[PEER_HELLO_FRAME_BYTES_MAX];
    uint8_t answer[PEER_ANSWER_FRAME_BYTES];
};

/* All of them. */
struct write_peers {
    struct peers *peers;
    struct node *node;
    struct io *io;
    struct io_port *port;
    struct ring *from_replicate;
    struct random random;
    struct peer_nonces nonces; /* where there is a secret */
    uint64_t timer_ns;         /* what the timer is set to; 0: nothing */
    int32_t units;
    uint32_t talking;
    uint32_t link_count;
    bool begun;      /* the first attempts */
    bool unfinished; /* somebody has begun a long message */
    bool draining;
    struct write_place places[PEERS_MAX]; /* in the order of the address book */
    struct write_link links[LINKS];       /* all for control, then all for data */
};

/* ---- stages/write_peers.c, for the introduction -------------------------------------------- */

/* Moves to another state, by the table. */
void write_link_state_set(struct write_link *link, enum link_state state);

/* "control" or "data". */
const char *write_link_lane_name(const struct write_link *link);

/* Sends pieces [piece, pieces_count); nothing may be in flight. */
void write_link_send(struct write_peers *peers, struct write_link *link);

/* Ends the connection, if it is not ending; the second one counts it as failed and says why. */
void write_link_end(struct write_peers *peers, struct write_link *link, uint64_t now_ns);
void write_link_fail(struct write_peers *peers, struct write_link *link, uint64_t now_ns,
                     const char *reason);

/* ---- stages/write_introduction.c ----------------------------------------------------------- */

/* Sends the HELLO. */
void write_link_greet(struct write_peers *peers, struct write_link *link);

/* Bytes of the member's: the answer, and nothing else ever. */
void write_link_answered(struct write_peers *peers, struct write_link *link, const uint8_t *bytes,
                         uint32_t length_bytes, uint64_t now_ns);

/* Shows that this node has the secret, and is there now: before anything else is said. */
void write_link_prove(struct write_peers *peers, struct write_link *link);

#endif
