#ifndef WEIR_STAGES_PIPELINE_INTERNAL_H
#define WEIR_STAGES_PIPELINE_INTERNAL_H

/*
 * What pipeline.c (memory and wiring), core.c (threads) and pipeline_gate.c (their start) share.
 * Stages do not include it.
 *
 * Threads: everything here is made by one thread before the cores start, and constant from
 * then on, but for the fields that name their writer.
 */

#include <pthread.h>

#include "queues/doorbell.h"
#include "queues/gauge.h"
#include "queues/ring.h"
#include "queues/wait.h"
#include "stages/pipeline.h"

enum {
    /* Shards of one stage that a map may have: rings, gauges, cores and the drain follow its
       counts, and tests/sim/test_node_wiring.c runs them with two.  Operators' maps have one of
       each (stages/map.h): the second is idle until read deals connections to it. */
    PIPELINE_SHARDS_MAX = 2,
    /* Rings that leave one shard: a stage has at most four links, one ring for each consumer. */
    PIPELINE_RINGS_OUT_MAX = 4 * PIPELINE_SHARDS_MAX,
    /* Batches in huge pages: the lowest are used most (stages/read_buffers.h), two for each of
       fifty connections and some.  About 15 MiB, touched only as far as they are needed. */
    PIPELINE_HOT_BATCHES = 128,
    PIPELINE_LINKS_MAX = 20,
};

struct core;

/* A ring as its producer's core sees it: whom to wake when its tail has moved. */
struct ring_out {
    struct ring *ring;
    struct core *consumer; /* NULL if it is this very core */
    uint32_t tail_seen;    /* core's thread: the tail when it last looked */
};

/* A shard and where it runs. */
struct runner_shard {
    const struct stage *stage;
    void *state;
    uint32_t number;      /* among its stage's shards */
    uint32_t gauge_index; /* in the gauge file */
    struct gauge_shard *gauge;
    struct ring_out out[PIPELINE_RINGS_OUT_MAX];
    uint32_t out_count;
    uint32_t drained; /* writer: its core.  Readers: the cores of the stages behind it (acquire) */
};

/* One thread. */
struct core {
    struct pipeline *pipeline;
    uint32_t index;
    uint32_t cpu;
    struct io *io;
    struct runner_shard *shards[STAGE_COUNT * PIPELINE_SHARDS_MAX];
    uint32_t shard_count;
    struct runner_shard *io_shard; /* is charged with the system calls of its rounds */
    uint64_t usage_seen_ns;        /* core's thread: when it last looked at its own figures */
    uint64_t look_ns;              /* ... at its CPU time; */
    uint64_t look_idle_ns;         /* what it had slept until then, */
    uint64_t look_cpu_ns;          /* and what it had consumed */
    uint64_t woken_ns;             /* when it last woke, */
    uint64_t recent_busy_ns;       /* and how much of the last parks it worked */
    uint64_t recent_idle_ns;       /* and slept: both fading, see core_sleep */
    bool awaits;                   /* a shard said so in this round: see stage_result */
    const struct wait_policy *policy;
    struct doorbell doorbell;
    struct gauge_core *gauge;
    pthread_t thread;
    bool has_thread;
    int start_error; /* written by its thread before it reports in */
    struct error_text start_text;
    bool asleep; /* stepped: its doorbell is armed, as if it were in io_park */
    bool ended;  /* stepped: its shards have come to rest */
};

/* Whether the cores that have started may run. */
enum pipeline_gate { GATE_CLOSED = 0, GATE_RUN, GATE_END };

struct pipeline {
    struct node *node;
    struct map map;
    uint32_t batch_total; /* buffers + markers + answers */
    struct batch *batches;
    uint8_t *slots; /* one mapping: buffers, then the tables of each batch */
    size_t slots_bytes;
    struct peers peers; /* memory == NULL: there are none */
    struct ring *rings[PIPELINE_LINKS_MAX][PIPELINE_SHARDS_MAX][PIPELINE_SHARDS_MAX];
    uint8_t *ring_memory;
    size_t ring_memory_bytes;
    struct runner_shard shards[STAGE_COUNT][PIPELINE_SHARDS_MAX];
    struct core cores[MAP_THREADS_MAX];
    uint32_t core_count;
    struct doorbell_barrier barrier;
    struct gauge_file gauges;
    uint8_t *gauge_memory;
    size_t gauge_memory_bytes;
    char gauge_path[256];
    uint32_t stop; /* writer: any caller of pipeline_stop.  Readers: the cores */
    /* The start: cores arrive, the starting thread judges, all pass.  Under the lock. */
    pthread_mutex_t gate_lock;
    pthread_cond_t gate_changed;
    uint32_t gate_arrived;
    enum pipeline_gate gate;
    bool running; /* threads were started */
    bool stepped; /* by the caller, instead of threads */
};

/* Maps the batches' memory and lays it out.  WEIR_ENOMEM: pipeline_destroy gives back what is
 * there. */
int pipeline_batches_create(struct pipeline *pipeline);

/* The gate (pipeline_gate.c).  A core that has started passes it: waits for the verdict; true if it
 * is to run. */
bool pipeline_gate_pass(struct pipeline *pipeline);

/* Waits until `count` cores have started; the first one's error, if any.  Starting thread. */
int pipeline_gate_wait(struct pipeline *pipeline, uint32_t count, struct error_text *error);

/* Gives the verdict, once, to those that wait and those still to come.  Any thread. */
void pipeline_gate_open(struct pipeline *pipeline, enum pipeline_gate verdict);

/* Where a core's thread begins; the argument is its struct core. */
void *core_main(void *argument);

/* Takes the core's io over to the calling thread and starts its shards; the first one's error, if
 * any, is in start_error and start_text. */
void core_start(struct core *core);

/* The wait policy for a core of this map. */
const struct wait_policy *core_policy(const struct map *map);

/* Is every shard of the stages before `stage` at rest?  Any core. */
bool pipeline_drained_before(const struct pipeline *pipeline, enum stage_id stage);

#endif
