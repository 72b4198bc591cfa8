#ifndef WEIR_STAGES_STAGE_H
#define WEIR_STAGES_STAGE_H

/*
 * Stages, shards, cores: the contract between the pipeline's pieces and what runs them.
 *
 *   stage   one step of the work.  It is exported as one const struct of functions; its name, its
 *           rings and whom it wakes stand in one table, stages/pipeline.c, and nowhere else.
 *   shard   one instance of a stage: private state, one thread at a time.
 *   core    one pinned thread that polls an ordered list of shards.
 *
 * The same shard code runs fused with others on one core, split over seven, or stepped by a test
 * or the simulator on one thread: a shard never knows.  It therefore
 *   - never blocks, takes no lock, and does no more than `budget` items in a poll, nor more work
 *     than STAGE_POLL_UNITS_MAX;
 *   - reads no clock: the time is handed in, read after the last wake-up;
 *   - makes no system call but through its io port (read, write, replicate's storage);
 *   - rings no bell: it enqueues, and the runner wakes whoever sleeps downstream.
 *
 * A poll takes what its input rings hold, works, and enqueues downstream.  What does not fit
 * downstream stays where it is: a stage first looks how much room there is and takes no more than
 * that, so that it never holds a batch which it cannot pass on.
 *
 * Nothing long in one poll.  A poll counts what it does in units of about 50 ns: one is a small
 * command looked at, a key hashed, an argument noted, or STAGE_UNIT_BYTES copied to memory that may
 * be touched for the first time.  Once it has spent STAGE_POLL_UNITS it begins nothing more; what
 * it has begun ends within STAGE_POLL_UNITS_MAX, or keeps its place and goes on at the next poll.
 * Work that no client can make long (a batch passed on, a completion taken) is not counted: there
 * is no more of it than `budget`.  A stepped pipeline, which tests and the simulator drive, asserts
 * the bound on every poll; the gauges keep the most units that a poll has spent.
 *
 * Draining.  When the node stops, read stops accepting and receiving; every other stage simply goes
 * on until nothing is left.  drain() asks a shard to come to rest; it answers true once it owns
 * nothing and will not again.  The runner asks in the pipeline's order.
 *
 * Time.  Each core accounts every nanosecond of its loop to one regime: `working` of the shard that
 * did something, `blocked` of a shard that had input and no room downstream, `housekeeping` of a
 * shard that did neither while the core as a whole did something, `idle` of the core.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "io/io.h"
#include "stages/batch.h"

struct pipeline;

enum {
    /* 100 µs; on memory never touched before, with a page fault every 4 KiB, about 200 µs. */
    STAGE_POLL_UNITS = 2000,
    STAGE_POLL_UNITS_MAX = 3 * STAGE_POLL_UNITS,
    STAGE_UNIT_BYTES = 64,
    /* What is copied, checked or moved in one go at most; longer ones are done in slices. */
    STAGE_SLICE_BYTES = 64 * 1024,
};
_Static_assert(STAGE_SLICE_BYTES / STAGE_UNIT_BYTES <= STAGE_POLL_UNITS, "a slice fits a poll");

/* What it costs to copy so many bytes. */
static inline uint32_t stage_bytes_units(uint64_t length_bytes) {
    return (uint32_t)(length_bytes / STAGE_UNIT_BYTES);
}

/* When a poll happens. */
struct stage_moment {
    uint64_t monotonic_ns;
    uint64_t wall_ms;
};

/* What a poll did. */
struct stage_result {
    uint32_t work;  /* items moved on; 0: nothing to do, or blocked */
    uint32_t units; /* what that cost, by the stage's own count; see above */
    bool blocked;   /* there was input, and no room downstream */
    bool
        awaits; /* clients wait for what another node is about to say: sleep no longer than to it */
};

/* Given to a shard when it is made. */
struct stage_environment {
    struct pipeline *pipeline; /* rings, batches: stages/pipeline.h */
    struct io *io;             /* of the core that it starts on */
    const void *options;       /* the stage's own options: its header names the type */
    uint32_t shard;            /* index among the shards of its stage */
};

struct stage {
    enum stage_id id;
    const char *name;

    /* Makes a shard.  The starting thread; may block and allocate.  On error *error says what and
     * why. */
    int (*init)(void **shard, const struct stage_environment *environment,
                struct error_text *error);

    /* Called once on the core's thread, before the first poll there (buffers, timers). */
    int (*start)(void *shard, struct error_text *error);

    /* One turn; core's thread. */
    struct stage_result (*poll)(void *shard, const struct stage_moment *moment, uint32_t budget);

    /* Asks the shard to come to rest; true once it has.  Called between polls. */
    bool (*drain)(void *shard, const struct stage_moment *moment);

    /* Frees it; main thread, after its core has stopped. */
    void (*fini)(void *shard);
};

/* The seven, in the order of a request's path; each is in the file of its name. */
extern const struct stage stage_read;
extern const struct stage stage_parse;
extern const struct stage stage_validate;
extern const struct stage stage_replicate;
extern const struct stage stage_apply;
extern const struct stage stage_serialize;
extern const struct stage stage_write;

#endif
