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
    /* Received bytes after which a turn ends: what then goes from stage to stage, with its tables
       and replies, stays in a core's second-level cache. */
    READ_TURN_BYTES = 32 * 1024,
    READ_TAKE_STEP = 8, /* completions taken at once, between two looks at the bytes */
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
    uint32_t next;      /* link in `starved` or `unmarked` */
    uint8_t state;      /* enum read_state */
    bool armed;         /* a receive is outstanding: its final completion has not come */
    bool stopping;      /* io_receive_stop was called on it */
    bool starved;       /* in the list `starved` */
    bool paused;        /* at its limit; armed again at half of it */
    bool opened;        /* its first batch was sent */
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
    struct read_connection *connections;
    struct pool *slots;   /* free connection slots */
    struct pool *markers; /* ids counted from the first marker */
    void *slots_memory;
    void *markers_memory;
    uint32_t connections_max;
    uint32_t marker_first; /* batch id of marker 0 */
    uint32_t open_count;   /* connections not FREE */
    uint32_t starved_head; /* connections waiting for a buffer, first in first out */
    uint32_t starved_tail;
    uint32_t unmarked_head; /* connections waiting for a marker */
    uint32_t refusals;      /* being told that there are too many */
    uint64_t clients_total; /* ever accepted: the client ids */
    int32_t listener;
    uint64_t wall_ms;
    bool accepting;
    bool accept_pausing; /* after an error, until the timer */
    bool announced;      /* on_serving was called */
    bool draining;
};

#endif
