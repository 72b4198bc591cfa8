#ifndef WEIR_STAGES_PIPELINE_H
#define WEIR_STAGES_PIPELINE_H

/*
 * The pipeline: which rings there are, who they join, and the cores that run the shards.
 *
 * All wiring stands in one table (pipeline.c): for each link its producer stage, consumer stage,
 * what travels, and how long it is, with the reason.  For every link there is a ring for each pair
 * of producer shard and consumer shard that the map has, created at start.
 *
 *   link                 carries              length
 *   read_parse           batch id             the pool: never full
 *   parse_validate       batch id             the pool
 *   validate_replicate   batch id             the pool
 *   validate_read        struct home_item     as write_read: what is said of connections
 *   replicate_apply      struct apply_item    the pool + the catch-up window (bounded; may fill)
 *   apply_replicate      a note that wakes    64: one that does not fit is not missed
 *   apply_serialize      batch id             the pool
 *   serialize_write      batch id             the pool
 *   write_read           struct home_item     the pool + one close notice a connection
 *   write_parse          block number         the pool: one carry block a batch
 *   write_validate       block number         the pool: one local block a batch
 *   write_apply          block number         the pool: one reply block a batch
 *   parse_replicate      a note that wakes    64: a member's record is in its ring (stages/peers.h)
 *   replicate_parse      a note that wakes    64: ... there is room again
 *   replicate_write      a note that wakes    64: ... a record for a member is there
 *   replicate_read       struct home_item     as write_read: one end of a WAIT a connection
 *   read_parse_peers     struct peer_item     every buffer for members, and what begins and ends
 *   parse_read_peers     struct peer_item     ... connections: never full
 *
 * Rings as long as the pool cannot be full: there are no more batches than that.
 */

#include "queues/ring.h"
#include "stages/map.h"
#include "stages/node.h"
#include "stages/peers.h"
#include "stages/stage.h"

/* What replicate hands to apply. */
struct apply_item {
    const uint8_t *entry; /* the first entry of the range, back to back; NULL: no entries */
    uint64_t first_index; /* [first, first + count) */
    uint32_t entry_count;
    uint32_t batch; /* that waits beside the one entry, or that only reads; BATCH_NO_BLOCK */
    uint64_t length_bytes;
};
_Static_assert(sizeof(struct apply_item) == 32, "a ring item: a power of two");
RING_TYPED(ring_apply, struct apply_item);

/* What comes home to read. */
enum home_kind {
    HOME_BATCH,        /* value: a batch, all of whose replies are sent or forgotten */
    HOME_CLOSE_NOTICE, /* value: a connection slot whose sending half is dead or done */
    HOME_WAIT_OVER,    /* value: a connection slot whose WAIT is over; from replicate */
    HOME_KILL,         /* value: a connection slot that CLIENT KILL names; from validate */
    HOME_PAUSE_OVER,   /* a pause of clients was taken back; from validate */
};
struct home_item {
    uint32_t kind; /* enum home_kind */
    uint32_t value;
    uint32_t generation;   /* of the slot, if it is one */
    uint32_t wait_reached; /* for HOME_WAIT_OVER: the answer */
};
_Static_assert(sizeof(struct home_item) == 16, "a ring item: a power of two");
RING_TYPED(ring_home, struct home_item);

/* Batches without a receive buffer, whose numbers stand behind those of the buffers.  What finds
 * none, since all are under way, waits until one is home. */
enum {
    PIPELINE_MARKERS = 64, /* for the end of connections */
    /* For what follows a WAIT that was not answered at once: sixteen rounds of a thousand who wait
       for the same member.  Apart from the markers, since a client may be slow to take replies. */
    PIPELINE_ANSWERS = 64,
};

struct pipeline;

struct pipeline_options {
    struct node *node; /* options and records are set; figures zero */
    const struct map *map;
    const void *stage_options[STAGE_COUNT];
    const char *gauge_path; /* shared-memory file to create; NULL: anonymous memory */
};

/* Makes batches, rings, cores and shards.  The starting thread; blocks and allocates.
 * On error nothing is left, and the text says what and what to do. */
int pipeline_create(struct pipeline **out, const struct pipeline_options *options,
                    struct error_text *error);

/*
 * Starts the cores' threads and on each its shards, and returns when all have started.  Nobody is
 * served yet, so the process may still end at any moment as if it had not been started.  The
 * starting thread; blocks, for as long as the log is long.
 * Errors: WEIR_ENOMEM, or what a shard's start said; the threads have ended then.
 */
int pipeline_start(struct pipeline *pipeline, struct error_text *error);

/* Lets the threads make rounds, once, after pipeline_start.  From here on only pipeline_stop ends
 * them.  Any thread. */
void pipeline_run(struct pipeline *pipeline);

/* Asks for a clean stop: drains in the pipeline's order.  Returns at once. */
void pipeline_stop(struct pipeline *pipeline);

/* Waits until every core has ended (after pipeline_stop or a failure).  0, or the failure. */
int pipeline_join(struct pipeline *pipeline, struct error_text *error);

/* Frees it, whether or not it was ever started; its threads have ended.  Any thread. */
void pipeline_destroy(struct pipeline *pipeline);

/* ---- stepped ------------------------------------------------------------------------------- */

/*
 * The same pipeline without threads: the caller plays the cores, all on its own thread, in any
 * order.  A core's rounds, its doorbell and its drain are those of a thread; only the waiting is
 * the caller's.  So a wake-up that somebody forgot stays forgotten here too, if the caller steps no
 * core that sleeps until its io has something (of the simulator: world_io_ready).
 *
 *     pipeline_create, pipeline_start_stepped, pipeline_step ..., pipeline_stop, pipeline_step
 *     until every core has ended, pipeline_join, pipeline_destroy
 */

enum pipeline_step {
    PIPELINE_WORKED, /* there may be more to do */
    PIPELINE_ASLEEP, /* step it again when its io has something */
    PIPELINE_ENDED,  /* after pipeline_stop: its shards are at rest; it is not stepped any more */
};

/* Items that a thread's poll of one shard may move.  64 batches of 128 commands are about 1 ms of
 * apply at 120 ns each; the usual batch is far smaller. */
enum { PIPELINE_BUDGET = 64 };

/* Starts every core's shards on the calling thread; blocks.  Errors: what a shard's start said;
 * pipeline_destroy is then the only call allowed. */
int pipeline_start_stepped(struct pipeline *pipeline, struct error_text *error);

/* One round of a core, with a budget of at least 1 for each shard's poll. */
enum pipeline_step pipeline_step(struct pipeline *pipeline, uint32_t core, uint32_t budget);

/* Cores there are, one for each thread of the map; and the io of one. */
uint32_t pipeline_cores(const struct pipeline *pipeline);
struct io *pipeline_core_io(const struct pipeline *pipeline, uint32_t core);

/* The state of a shard, to be looked at between two steps by the functions that its stage's header
 * has for that. */
const void *pipeline_look(const struct pipeline *pipeline, enum stage_id stage, uint32_t shard);

/* ---- for shards ---------------------------------------------------------------------------- */

/* Makes every core look again.  For the few words of node_signals that some shard waits for and no
 * ring announces; any thread. */
void pipeline_wake(struct pipeline *pipeline);

/* The node and the batch of that id (asserted to exist).  Any thread; the batch is its owner's. */
struct node *pipeline_node(const struct pipeline *pipeline);
struct batch *pipeline_batch(const struct pipeline *pipeline, uint32_t id);

/* The ring from one shard to another; asserts that the table has that link. */
struct ring *pipeline_ring(const struct pipeline *pipeline, enum stage_id from, uint32_t from_shard,
                           enum stage_id to, uint32_t to_shard);

/* The rings to and from other members; NULL if the address book has none. */
struct peers *pipeline_peers(struct pipeline *pipeline);

/* The same, for those who serve their connections; NULL also if the node does not listen. */
struct peers *pipeline_peers_served(struct pipeline *pipeline);

/* As pipeline_ring, of the links that carry peer_item. */
struct ring *pipeline_peer_ring(const struct pipeline *pipeline, enum stage_id from,
                                uint32_t from_shard, enum stage_id to, uint32_t to_shard);

/* Shards of a stage. */
uint32_t pipeline_shards(const struct pipeline *pipeline, enum stage_id stage);

/* The receive buffers' memory, contiguous by batch id (read registers it). */
uint8_t *pipeline_buffers(const struct pipeline *pipeline);

/* Batches there are: those with a receive buffer first, then the markers (bytes == NULL). */
uint32_t pipeline_batch_total(const struct pipeline *pipeline);

#endif
