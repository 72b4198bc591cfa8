#ifndef WEIR_STAGES_READ_INTERNAL_H
#define WEIR_STAGES_READ_INTERNAL_H

/* What the read stage keeps; see stages/read.h.  One owner: its thread. */

#include "queues/pool.h"
#include "stages/pipeline.h"
#include "stages/read.h"
#include "stages/read_buffers.h"
#include "stages/read_peers.h"

enum {
    READ_TAKE_MAX = 64, /* completions a turn: one budget */
    READ_ARMS_MAX = 64, /* connections that waited for a buffer, armed again in one poll */
    READ_LISTEN_BACKLOG = 1024,
    READ_REFUSALS_MAX = 16,                   /* connections over the limit being told so at once */
    READ_ACCEPT_PAUSE_NS = 100 * 1000 * 1000, /* after an error of accept */
    READ_USER_TIMER = 0,                      /* low bits of `user`: what the completion is about */
    READ_USER_ACCEPT = 1,
    READ_USER_RECEIVE = 2,
    READ_USER_REFUSAL = 3,
    READ_USER_KIND_BITS = 2,
};

/* See the picture in stages/read.h. */
enum read_state { READ_FREE = 0, READ_OPEN, READ_ENDING, READ_MARKED, READ_STATES };

struct read_connection {
    uint64_t sequence; /* of its next batch */
    int32_t socket;
    uint32_t generation;
    uint32_t in_flight; /* batches under way */
    /* Received beyond the limit, and not sent yet: batches, linked by `next`; read_stash.c. */
    uint32_t stash_head;
    uint32_t stash_tail;
    uint32_t stash_count;
    uint32_t next; /* link in `starved` or `unmarked` */
    uint8_t state; /* enum read_state */
    bool armed;    /* a receive is outstanding: its final completion has not come */
    bool stopping; /* io_receive_stop was called on it */
    bool starved;  /* in the list `starved` */
    bool paused;   /* at its limit; armed again at half of it */
    bool watched;  /* what is armed takes no bytes: only the end is looked for */
    bool opened;   /* its first batch was sent */
    bool broken;   /* nobody is there for the answers: what it has still to be parsed is dropped */
    /* A WAIT that is not answered yet; see read_wait.c. */
    bool wait_home;        /* its batch is home, */
    bool wait_over;        /* its answer is here, */
    bool wait_listed;      /* and it is in the list `over`, since no batch is free to bear it */
    uint32_t wait_batches; /* received since it began */
    uint32_t wait_reached; /* the answer */
    uint32_t wait_next;    /* link in `over`, or in `paused` */
    /* A command of it waits until a pause is over; see read_clients.c. */
    bool pause_listed;       /* it is in the list `paused` */
    uint32_t pause_previous; /* the other link there */
};

struct read_shard {
    struct pipeline *pipeline;
    struct node *node;
    struct io *io;
    struct io_port *port;
    const struct read_options *options;
    struct read_buffers buffers;
    struct read_peers *peers; /* NULL: the node has none */
    struct ring *to_parse;
    struct ring *from_write;
    struct ring *from_replicate;
    struct ring *from_validate;
    struct read_connection *connections;
    struct pool *slots;   /* free connection slots */
    struct pool *markers; /* ids counted from the first marker */
    void *slots_memory;
    void *markers_memory;
    struct pool *answers; /* likewise, from the first behind the markers; see read_wait.c */
    void *answers_memory;
    uint32_t connections_max;
    uint32_t marker_first; /* batch id of marker 0, and so the number of buffers */
    uint32_t answer_first; /* batch id of answer 0 */
    uint32_t open_count;   /* connections not FREE */
    uint32_t starved_head; /* connections waiting for a buffer, first in first out */
    uint32_t starved_tail;
    uint32_t unmarked_head; /* connections waiting for a marker */
    uint32_t
        over_head; /* connections whose WAIT is over, waiting for a batch to bear the answer, */
    uint32_t over_tail;     /* first in first out */
    uint32_t paused_head;   /* connections of which a command waits until a pause is over, */
    uint32_t paused_tail;   /* first in first out */
    uint32_t refusals;      /* being told that there are too many */
    uint64_t clients_total; /* ever accepted: the client ids */
    int32_t listener;
    uint64_t wall_ms;
    bool accepting;
    bool accept_pausing;      /* after an error, until */
    uint64_t accept_again_ns; /* this */
    uint64_t timer_ns;        /* what the port's timer is set to; 0: nothing */
    bool announced;           /* on_serving was called */
    bool draining;
};

/* What a completion is about: the slot (or socket) and its generation, and the kind. */
static inline uint64_t read_user(uint32_t slot, uint32_t generation, uint32_t kind) {
    return (uint64_t)generation << 32 | (uint64_t)slot << READ_USER_KIND_BITS | kind;
}

/* ---- read_accept.c --------------------------------------------------------------------------- */

/* An accept has brought a socket, or an error. */
void read_accepted(struct read_shard *shard, const struct io_completion *completion,
                   uint64_t now_ns);

/* Accepts once the node serves, and again whenever accepting has ended by itself. */
void read_accept_if_due(struct read_shard *shard, uint64_t now_ns);

/* ---- read.c ---------------------------------------------------------------------------------- */

/* Fills the fields of a batch that starts its journey. */
struct batch *read_batch_begin(struct read_shard *shard, uint32_t id, uint32_t slot,
                               uint32_t length_bytes, uint16_t flags);

/* Sends it to parse. */
void read_batch_send(struct read_shard *shard, struct batch *batch, uint64_t now_ns);

/* Arms a connection's receive again, if it was stopped for a reason that is gone; and watches for
 * the end of one whose WAIT still stands in the way. */
void read_go_on(struct read_shard *shard, uint32_t slot);

/* Sends the marker of an ENDING connection that is at rest, or queues it for one. */
void read_mark_if_rested(struct read_shard *shard, uint32_t slot, uint64_t now_ns);

/* Begins a connection in a free slot. */
void read_open(struct read_shard *shard, uint32_t slot, int32_t socket);

/* Ends the connection: nothing more is received, and what is under way comes home. */
void read_end(struct read_shard *shard, uint32_t slot, uint64_t now_ns);

/* Makes the port's timer ring no later than at this moment. */
void read_timer(struct read_shard *shard, uint64_t due_ns);

/* ---- read_clients.c -------------------------------------------------------------------------- */

/* A batch behind which a command waits for the end of a pause is home; true if the pause is over
 * already, and the batch has been sent round again. */
bool read_pause_home(struct read_shard *shard, struct batch *batch, uint64_t now_ns);

/* The connection ends: it waits for nothing any more. */
void read_pause_forget(struct read_shard *shard, uint32_t slot);

/* Does what validate says of connections, and lets those go on whose pause is over; returns how
 * much there was to do. */
uint32_t read_clients_turn(struct read_shard *shard, uint64_t now_ns);

/* ---- read_stash.c ---------------------------------------------------------------------------- */

/* Whether what the connection sends next has to wait. */
bool read_stash_at_limit(const struct read_shard *shard, uint32_t slot);

/* A batch with what was received waits behind the others. */
void read_stash_push(struct read_shard *shard, struct batch *batch);

/* Sends as many of those that wait as may be under way now. */
void read_stash_send(struct read_shard *shard, uint32_t slot, uint64_t now_ns);

/* Nobody wants them any more: their buffers are free. */
void read_stash_drop(struct read_shard *shard, uint32_t slot);

/* ---- read_wait.c ----------------------------------------------------------------------------- */

/* A batch that ended with a WAIT is home; true if it has been sent round again. */
bool read_wait_home(struct read_shard *shard, struct batch *batch, uint64_t now_ns);

/* What a connection waited for is over: sends the answer, or lists it until a batch is free. */
void read_wait_over(struct read_shard *shard, uint32_t slot, uint32_t reached, uint64_t now_ns);

/* Takes ends of waits, and sends the answers for which there are batches; returns how many. */
uint32_t read_wait_turn(struct read_shard *shard, uint64_t now_ns);

/* Whether a connection whose WAIT is not answered may receive more. */
static inline bool read_wait_receives(const struct read_shard *shard,
                                      const struct read_connection *connection) {
    return connection->wait_batches < shard->node->options->connection_batches_max;
}

#endif
