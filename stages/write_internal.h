#ifndef WEIR_STAGES_WRITE_INTERNAL_H
#define WEIR_STAGES_WRITE_INTERNAL_H

/* What the files of the write stage share; see stages/write.h.  One owner: its thread. */

#include "stages/arena.h"
#include "stages/pipeline.h"
#include "stages/write.h"

enum {
    /* Up to this much of a batch is copied to the backlog rather than held. */
    WRITE_COPY_BYTES_MAX = 64 * 1024,
    /* A backlog's chunk: at least this, so that small replies share one. */
    WRITE_CHUNK_BYTES_MIN = 4096,
};

/* See the picture in stages/write.h. */
enum write_state { WRITE_CLOSED = 0, WRITE_OPEN, WRITE_SHUT, WRITE_STATES };

/* At the start of an arena block; the bytes follow. */
struct write_chunk {
    uint32_t next;     /* block, or BATCH_NO_BLOCK */
    uint32_t start;    /* first byte not yet sent */
    uint32_t length;   /* bytes filled, from 0 */
    uint32_t capacity; /* bytes behind this header */
};

struct write_connection {
    uint32_t generation;
    int32_t socket;
    uint32_t queue_head; /* batches not yet sent, linked by batch->next */
    uint32_t queue_tail;
    uint32_t queue_count;
    uint32_t backlog_head; /* chunks; all before the queue in order */
    uint32_t backlog_tail;
    uint32_t marker;     /* a marker that waits for the backlog, or BATCH_NO_BLOCK */
    uint32_t next_ready; /* link in the list of connections to be served this round */
    uint64_t backlog_bytes;
    uint64_t linger_until_ns;
    uint8_t state;     /* enum write_state */
    bool sending;      /* a send is in flight */
    bool from_backlog; /* ... of the backlog, not of the queue */
    bool waiting;      /* ... and waits until the client has read something */
    bool ready;
    uint32_t sending_bytes; /* of it */
};

struct write_shard {
    struct pipeline *pipeline;
    struct node *node;
    struct io *io;
    struct io_port *port;
    struct ring *from_serialize;
    struct ring *to_read;
    struct ring *to_parse;
    struct ring *to_validate;
    struct ring *to_apply;
    struct arena *arena;
    struct write_connection *connections;
    struct iovec *pieces; /* IO_SEND_PIECES_MAX for each connection: borrowed by its send */
    uint32_t connections_max;
    uint32_t ready_head;
    uint32_t held;          /* batches in queues of connections whose client is waited for */
    uint32_t lingering;     /* markers that wait */
    uint64_t timer_ns;      /* what the port's timer is set to; 0: nothing */
    uint64_t stop_until_ns; /* the node stops: when who does not read is shut */
};

/* ---- write_backlog.c ------------------------------------------------------------------------ */

/* Appends what is left of a batch to the backlog; false (nothing copied) if a limit forbids it. */
bool write_backlog_append(struct write_shard *shard, struct write_connection *connection,
                          const struct batch *batch);

/* The backlog's bytes as pieces; returns how many, and their sum in *bytes. */
uint32_t write_backlog_pieces(const struct write_shard *shard,
                              const struct write_connection *connection, struct iovec *pieces,
                              uint32_t *bytes);

/* The first `bytes` of the backlog are sent. */
void write_backlog_consume(struct write_shard *shard, struct write_connection *connection,
                           uint32_t bytes);

/* Gives all of it back, unsent. */
void write_backlog_forget(struct write_shard *shard, struct write_connection *connection);

#endif
