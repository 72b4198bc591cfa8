#ifndef WEIR_BENCH_BATCH_SHAPE_H
#define WEIR_BENCH_BATCH_SHAPE_H

/*
 * A small server that exists to answer one question: what should a batch span?
 *
 *   connection   a batch is one receive of one connection; its id is that of its receive buffer, so
 *                the buffer and the batch go home together, and "no batch" is "no buffer".
 *   round        a batch is what one look at the socket completions gave: up to 64 spans, each a
 *                receive of some connection; the batch has an id of its own and lists buffers.
 *
 * Everything else is the same code: the shape is the number of spans that a batch may have, and
 * where its id comes from.  The work of a request is done in seven steps, each small and none
 * pretended:
 *
 *     READ ──► PARSE ──► JUDGE ──► ORDER ──► APPLY ──► REPLY ──► SEND
 *      ▲                                                           │
 *      └───────────────────── batches come home ───────────────────┘
 *
 *   READ    multishot receives into provided buffers
 *   PARSE   RESP to commands, in place; the hash of the key
 *   JUDGE   SET or GET or an error, arity, size
 *   ORDER   encodes the writes of a batch as one entry into the log's memory and seals it; with a
 *           log file it waits until they are on disk, one write in flight, the next gathering.
 *           A batch waits as a whole.  A batch without writes waits for those of its connections
 *   APPLY   decodes the entry into an open-addressing table; looks up what is read
 *   REPLY   RESP
 *   SEND    one send for each connection a round; a batch goes home when all its replies are out
 *
 * Batches move through rings by id, steps are dealt to one, two or seven threads, and a thread
 * without work parks by the doorbell's protocol, all as in the real pipeline.  What is left out is
 * the same for both shapes: accounting, authentication, limits, arenas, expiry.  A request is
 * SET key value or GET key with a value of at most 64 bytes; a receive holds at most 512 of them.
 *
 * Ownership: a batch belongs to the step that dequeued its id, until it enqueues it.  The members
 * of struct server are grouped by the step that alone touches them.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/bytes.h"
#include "entry/entry.h"
#include "io/io.h"
#include "queues/doorbell.h"
#include "queues/gauge.h"
#include "queues/ring.h"
#include "wire/resp_parse.h"

/* The steps, in the order of a request's path. */
enum step { STEP_READ, STEP_PARSE, STEP_JUDGE, STEP_ORDER, STEP_APPLY, STEP_REPLY, STEP_SEND };

enum {
    STEP_COUNT = STEP_SEND + 1,
    ROUND_MAX = 64, /* completions, batches or spans that a step takes at once */
    CONNECTIONS_MAX = 256,
    BUFFER_COUNT = 512, /* twice the connections, so that a round's buffers are never the limit */
    BUFFER_BYTES = 16 * 1024,
    JOINED_BYTES = 2 * BUFFER_BYTES, /* what was left of the receive before, and a receive */
    ROUND_BATCHES = 64, /* in shape `round`; one that holds one span holds one buffer too */
    RING_ITEMS = 512,   /* every batch there is, in either shape: never full */
    SPAN_COMMANDS_MAX = 512,
    VALUE_BYTES_MAX = 64,
    REPLY_BYTES_MAX = 5 + VALUE_BYTES_MAX + 2,
    ARGUMENTS_MAX = 3,
    TABLE_SLOTS = 1 << 18, /* for redis-benchmark -r 100000 */
    /* Every buffer full of the SETs that grow most: 27 bytes there, 40 here, so 12.5 MiB that
       APPLY may not have read. */
    LOG_BYTES = 16 * 1024 * 1024,
    NONE = -1,
};
_Static_assert(RING_ITEMS >= BUFFER_COUNT && RING_ITEMS >= ROUND_BATCHES, "rings are never full");

/* What becomes of a command: set by JUDGE; by APPLY, when nothing is there to be read. */
enum fate { FATE_ERROR, FATE_WRITE, FATE_READ, FATE_ABSENT };

struct command {
    uint8_t *base;
    uint64_t key_hash;
    struct resp_argument arguments[ARGUMENTS_MAX];
    uint32_t argument_count;
    uint32_t value_offset; /* of what was read, in the batch's values */
    uint32_t value_bytes;
    uint8_t fate; /* enum fate */
};

struct span {
    uint32_t connection;
    int32_t socket;
    uint32_t buffer;
    uint32_t length_bytes;
    uint32_t command_count;
    uint32_t reply_offset; /* in the batch's replies */
    uint32_t reply_bytes;
    uint32_t batch; /* fixed: whose span it is */
    int32_t next;   /* in its connection's queue at SEND, or NONE */
    bool opens;     /* the connection's first */
    bool broken;    /* not the RESP that we take: close */
};

struct batch {
    /* fixed */
    uint32_t id;
    struct span *spans; /* spans_max */
    struct command *commands;
    uint8_t *values;
    uint8_t *replies;

    uint32_t span_count;
    uint32_t command_count;
    uint32_t write_count;
    uint32_t unsent; /* spans whose replies are not out */
    uint8_t *entry;  /* of its writes, in the log's memory */
    uint64_t place;  /* it goes on once the log is durable up to here */
};

struct read_connection {
    int32_t socket; /* NONE: free */
    uint32_t in_flight;
    bool armed;
    bool starved; /* waits for a buffer */
    bool opened;
};

struct send_connection {
    int32_t head; /* spans, counted through all batches, or NONE */
    int32_t tail;
    uint32_t sent_bytes; /* of the head */
    bool sending;
    bool ready;
    bool dead;
    struct iovec pieces[IO_SEND_PIECES_MAX];
};

struct table_slot {
    uint64_t key_hash; /* 0: empty; 64 bits are identity enough for a benchmark */
    uint32_t value_bytes;
    uint8_t value[VALUE_BYTES_MAX];
};

/* A thread: polls its steps in the order of the path. */
struct core {
    CACHE_ALIGNED struct doorbell doorbell;
    struct server *server;
    struct io *io;
    uint32_t index;
};

/* What is told at the end; each counted by one step. */
struct figures {
    CACHE_ALIGNED uint64_t rounds;   /* READ: looks at the completions that gave a receive */
    uint64_t spans;                  /* READ */
    uint64_t batches;                /* READ */
    CACHE_ALIGNED uint64_t commands; /* PARSE */
    CACHE_ALIGNED uint64_t writes;   /* ORDER */
    uint64_t entries;                /* ORDER */
    uint64_t log_bytes;              /* ORDER */
    uint64_t file_writes;            /* ORDER */
    CACHE_ALIGNED uint64_t sends;    /* SEND */
};

struct server {
    /* constant while it runs */
    bool by_round;
    uint32_t spans_max; /* of a batch: 1 or ROUND_MAX */
    uint32_t batch_count;
    uint32_t core_count;
    uint8_t core_of[STEP_COUNT];
    struct core cores[STEP_COUNT];
    struct batch *batches;
    struct span *spans;
    uint8_t *buffers;
    struct ring *rings[STEP_COUNT];    /* what a step takes from; READ's brings batches home */
    struct io_port *ports[STEP_COUNT]; /* of READ, ORDER (with a log file) and SEND */
    struct gauge_ring gauges[STEP_COUNT];
    uint32_t bell_tails[STEP_COUNT]; /* each of its step: the ring's tail when the bell rang */
    struct figures figures;
    CACHE_ALIGNED uint32_t stop; /* set by the main thread */

    /* READ */
    CACHE_ALIGNED int32_t listener;
    struct read_connection connections[CONNECTIONS_MAX];
    uint32_t free_batches[ROUND_BATCHES];
    uint32_t free_count;
    uint32_t starved_count;

    /* PARSE: the beginning of a request that has not arrived in whole */
    CACHE_ALIGNED struct resp_limits limits;
    uint8_t *joined; /* JOINED_BYTES for each receive buffer */
    uint8_t (*carry)[BUFFER_BYTES];
    uint32_t carry_bytes[CONNECTIONS_MAX];

    /* ORDER; positions count the log's bytes for ever */
    CACHE_ALIGNED uint8_t *log;
    int32_t log_file; /* or NONE: memory is durable enough */
    bool writing;
    struct iovec write_piece;
    struct entry_tail tail;
    uint64_t sealed;
    uint64_t submitted;
    uint64_t durable;
    uint64_t last_place[CONNECTIONS_MAX];
    uint32_t waiting[RING_ITEMS];
    uint32_t waiting_head;
    uint32_t waiting_tail;

    /* APPLY */
    CACHE_ALIGNED struct table_slot *table;

    /* SEND */
    CACHE_ALIGNED struct send_connection *senders;
};

/* One turn of a step, on its core's thread: how many items it moved. */
extern uint32_t (*const step_polls[STEP_COUNT])(struct server *server);

#endif
