#ifndef WEIR_STAGES_WRITE_INTERNAL_H
#define WEIR_STAGES_WRITE_INTERNAL_H

/* What the files of the write stage share; see stages/write.h.  One owner: its thread. */

#include "stages/arena.h"
#include "stages/pipeline.h"
#include "stages/write.h"
#include "stages/write_peers.h"

enum {
    /* Up to this much of a batch is copied to the backlog rather than held: a full batch of short
       errors.  What is longer has memory of its own already. */
    WRITE_COPY_BYTES_MAX = 32 * 1024,
    /* A backlog's chunk: at least this, so that small replies share one, and an eighth of the
       backlog up to the second, so that there are not too many of them to be given back. */
    WRITE_CHUNK_BYTES_MIN = 4096,
    WRITE_CHUNK_BYTES_MAX = 64 * 1024,
    /* What a poll spends before it begins nothing more: less than others, since one completion may
       be followed by copies of all that the connection has queued. */
    WRITE_POLL_UNITS = 1500,
    /* A batch that goes out, a completion; a socket shut or closed, which are system calls. */
    WRITE_BATCH_UNITS = 4,
    WRITE_SOCKET_UNITS = 100,
    /* Of the backlogs' memory the first thirty-second is for whoever comes; then nobody may have
       more than a hundred and twenty-eighth: 8 MiB and 2 MiB, unless values are larger. */
    WRITE_BACKLOG_FREE_SHARE = 32,
    WRITE_BACKLOG_SHARE = 128,
    /* When replies find no memory, who holds most and has read nothing for so long is cut, one a
       pause. */
    WRITE_HOG_STALL_NS = 500 * 1000 * 1000,
    WRITE_HOG_PAUSE_NS = 10 * 1000 * 1000,
    WRITE_HOG_BYTES_MIN = 64 * 1024, /* who holds less is no reason */
    /* Slots looked at for those who linger, in one poll. */
    WRITE_SCAN_SLOTS = 512,
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
    uint64_t queue_bytes;      /* replies of the batches in the queue, sent or not */
    uint64_t waiting_since_ns; /* since it last read anything, while `waiting` */
    uint64_t linger_until_ns;
    uint8_t state;     /* enum write_state */
    bool sending;      /* a send is in flight */
    bool from_backlog; /* ... of the backlog, not of the queue */
    bool waiting;      /* ... and waits until the client has read something */
    bool ready;
    bool unread;            /* as its record says */
    uint32_t sending_bytes; /* of it */
};

struct write_shard {
    struct pipeline *pipeline;
    struct node *node;
    struct io *io;
    struct io_port *port;
    struct write_peers *peers; /* NULL: the node has none */
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
    uint32_t held;           /* batches in queues of connections whose client is waited for */
    uint32_t lingering;      /* markers that wait */
    uint64_t now_ns;         /* of this poll */
    int32_t units;           /* left to this poll; negative: overrun */
    uint32_t linger_scan;    /* next slot of the scan for those who linger; 0: none is under way */
    uint32_t stop_scan;      /* likewise, for those who do not read when the node stops */
    uint64_t linger_next_ns; /* the earliest that this scan has found to be due later */
    uint32_t hog_scan;       /* likewise, for who holds most and does not read */
    uint32_t hog_seen;       /* node_signals.reply_wanted, when the last scan began */
    uint32_t hog_slot;       /* the one found so far, or BATCH_NO_BLOCK */
    uint64_t hog_bytes;
    uint64_t hog_pause_ns;  /* no further scan before this */
    uint64_t stall_ns;      /* when to look for who reads nothing; 0: nobody is waited for */
    uint32_t stall_scan;    /* the next slot of that; 0: none is under way */
    uint64_t stall_next_ns; /* the earliest that it has found to be due later; 0: none */
    uint64_t timer_ns;      /* what the port's timer is set to; 0: nothing */
    uint64_t stop_until_ns; /* the node stops: when who does not read is shut */
};

/* Counts work off. */
static inline void write_spend(struct write_shard *shard, uint32_t units) {
    shard->units -= (int32_t)units;
}

/* ---- write_queue.c -------------------------------------------------------------------------- */

/* The batch, all of whose replies are sent or forgotten, goes home, and so do its blocks. */
void write_batch_home(struct write_shard *shard, struct batch *batch);

/* The oldest batch of the connection's queue, which is not empty, leaves it. */
struct batch *write_queue_pop(struct write_shard *shard, struct write_connection *connection);

/* A batch of which nothing is sent yet comes behind the others. */
void write_queue_push(struct write_shard *shard, struct write_connection *connection,
                      struct batch *batch);

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

/* ---- write_hog.c ----------------------------------------------------------------------------- */

/* Looks for a connection to cut, if apply has asked for it; *slot is it, or BATCH_NO_BLOCK.  True
 * if there are more slots to be looked at. */
bool write_hog_scan(struct write_shard *shard, uint64_t now_ns, uint32_t *slot);

/* A send of the connection begins to wait for its client; stall_ns then says when to look. */
void write_stall_note(struct write_shard *shard, const struct write_connection *connection);

/* Looks for a connection that has read nothing for WRITE_STALL_NS, when it is time for that: *slot
 * is it, or BATCH_NO_BLOCK.  True if there are more slots to be looked at. */
bool write_stall_scan(struct write_shard *shard, uint64_t now_ns, uint32_t *slot);

/* Says in the connection's record whether its client leaves replies unread: read is then slower. */
void write_unread_set(struct write_shard *shard, struct write_connection *connection, bool unread);

#endif
