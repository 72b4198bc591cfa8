#ifndef WEIR_STAGES_WRITE_PEERS_INTERNAL_H
#define WEIR_STAGES_WRITE_PEERS_INTERNAL_H

/* What write keeps of the connections to other members; see stages/write_peers.h.  One owner: its
 * thread. */

#include "base/random.h"
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

/* One connection. */
struct write_link {
    struct peer_link *peer;
    const char *address;
    struct record_ring *ring;
    uint64_t deadline_ns; /* IDLE: of the next attempt; CONNECTING, GREETING: of this one */
    uint64_t pause_ns;    /* before the next attempt */
    uint64_t talking_ns;  /* since when */
    uint64_t asked_ns;    /* control: when it first asked something since the member was heard */
    uint64_t hello_checksum;
    int32_t socket;
    uint32_t answer_bytes;
    uint32_t piece; /* of the send under way: the first one not yet sent */
    uint32_t pieces_count;
    uint32_t until; /* the place in the ring behind what it borrows */
    uint8_t state;  /* enum link_state */
    uint8_t lane;   /* enum peer_lane */
    bool sending;   /* a send is in flight */
    bool armed;     /* a receive is */
    bool stopping;  /* the receive, or the attempt, was asked to end */
    bool warned;    /* that it does not come about, since it last did */
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
    uint64_t timer_ns; /* what the timer is set to; 0: nothing */
    int32_t units;
    uint32_t talking;
    uint32_t link_count;
    bool begun; /* the first attempts */
    bool draining;
    struct write_link links[LINKS]; /* all for control, then all for data */
};

#endif
