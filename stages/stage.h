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
 *   - never blocks, takes no lock, and does no more than `budget` items in a poll;
 *   - reads no clock: the time is handed in, read after the last wake-up;
 *   - makes no system call but through its io port (read, write, replicate's storage);
 *   - rings no bell: it enqueues, and the runner wakes whoever sleeps downstream.
 *
 * A poll takes what its input rings hold, works, and enqueues downstream.  What does not fit
 * downstream stays where it is: a stage first looks how much room there is and takes no more than
 * that, so that it never holds a batch which it cannot pass on.
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

/* When a poll happens. */
struct stage_moment {
    uint64_t monotonic_ns;
    uint64_t wall_ms;
};

/* What a poll did. */
struct stage_result {
    uint32_t work; /* items moved on; 0: nothing to do, or blocked */
    bool blocked;  /* there was input, and no room downstream */
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

    /* Makes a shard.  Main thread; may block and allocate.  On error *error says what and why. */
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
