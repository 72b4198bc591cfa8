#ifndef WEIR_QUEUES_GAUGE_H
#define WEIR_QUEUES_GAUGE_H

/*
 * Gauges: what can be seen of a node from outside, while it runs and after it died.
 *
 * All counters of a node live in one file in shared memory. Threads of the node count into it
 * with plain stores; a monitor, `weir top` or a post-mortem maps the same file and reads, and
 * nobody waits for anybody. The node never reads its gauges to decide anything but how many shards
 * to run, so a reader can harm it in no way. This header has the format, the writers' few inline
 * functions and the readers' checked ones; creating, naming and mapping the file is the runner's.
 *
 * RULES
 *
 *   1. Every counter has one writer. Counters of one writer share cache lines, those of two never.
 *   2. A counter is 8 bytes, aligned, stored whole; it starts at 0 and only grows, except those
 *      marked "now" (a current value). Two counters are not stored at one moment: a reader may
 *      see one of them an operation ahead of the other, and so may a post-mortem.
 *   3. Every nanosecond of a core belongs to exactly one regime. gauge_charge() is the only way
 *      to account time: it charges all time since it was last called. So on every core, always,
 *
 *          charged_until - started = working + blocked + housekeeping + idle
 *
 *      and over the node, between two charges,
 *
 *          sum over shards (working + blocked + housekeeping) = the same sum over cores,
 *
 *      though shards move between cores.
 *        WORKING       a poll that did work, and took what it found
 *        BLOCKED       a poll that could not go on because a ring downstream was full
 *        HOUSEKEEPING  a poll that did no item of work but something due: timers, accounting
 *        IDLE          everything else of the core: empty polls, spinning, pauses, parks
 *
 * FORMAT, version 1. Host byte order (little-endian on every host we run on), natural alignment.
 *
 *   struct gauge_header          identity, counts
 *   struct gauge_stage_row [stage_count]   names of the stage and of its own counters
 *   struct gauge_ring_row  [ring_count]    name, ends, capacity
 *   struct gauge_core_row  [core_count]    name, CPU, wait policy
 *   struct gauge_shard_row [shard_count]   stage, number
 *   struct gauge_ring      [ring_count]    counters; writers: the ring's producer and consumer
 *   struct gauge_core      [core_count]    counters; writer: the core
 *   struct gauge_shard     [shard_count]   counters; writer: the core that polls the shard
 *
 * All are multiples of a cache line and follow each other without a gap: the counts give every
 * offset. The rows are written once, before `state` says that the node runs; they and the names
 * tell a reader everything. A file is valid if and only if
 *
 *   - magic, version and header_bytes are those of this header,
 *   - no count exceeds its limit,
 *   - file_bytes is what the counts give, and the memory is exactly that long,
 *   - the stage of each shard is below stage_count,
 *   - the two ends of each ring are below shard_count or GAUGE_NONE,
 *   - the capacity of each ring is a power of two.
 *
 * Names are not part of the rule: they are copied out bounded, every unprintable byte replaced.
 * A reader does not trust a valid file either: whoever owns it may change it at any time, so what
 * is read later, index or counter, is brought back into its range each time it is read.
 *
 * The latency of a queue need not be measured: by Little's law the mean wait in a ring is its mean
 * depth over its rate, both of which a monitor has. The latency of a request from received to
 * answered is counted by the stage that answers, in powers of two.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "queues/atomic.h"

#define GAUGE_MAGIC      UINT64_C(0x6775616772696577) /* the bytes "weirgaug" */
#define GAUGE_VERSION    2
#define GAUGE_NONE       UINT32_MAX /* no stage, shard or core */
#define GAUGE_NAME_BYTES 48         /* of every name, its terminating zero included */

/* Limits of the counts: generous, and such that no sum of sizes can overflow. */
#define GAUGE_STAGES_MAX 64
#define GAUGE_RINGS_MAX  65536
#define GAUGE_CORES_MAX  1024
#define GAUGE_SHARDS_MAX 4096

/* Counters that a stage names itself, for each of its shards. */
#define GAUGE_OWN_COUNT 16

/*
 * Latency bucket b counts requests of 2^(b+9) ns up to, not including, 2^(b+10) ns; the first all
 * below 2^10 ns (1 us), the last all from 2^40 ns (18 minutes) on.
 */
#define GAUGE_LATENCY_BUCKETS 32
#define GAUGE_LATENCY_SHIFT   10

/* Which regime a nanosecond belongs to. IDLE is the core's, the others also the polled shard's. */
enum gauge_regime {
    GAUGE_WORKING,
    GAUGE_BLOCKED,
    GAUGE_HOUSEKEEPING,
    GAUGE_IDLE,
    GAUGE_REGIME_COUNT,
};
#define GAUGE_SHARD_REGIMES GAUGE_IDLE

/* What the node is doing. In a file left behind, RUNNING or DRAINING means that it was killed. */
enum gauge_state {
    GAUGE_STARTING = 0,
    GAUGE_RUNNING = 1,
    GAUGE_DRAINING = 2,
    GAUGE_STOPPED = 3,
};

/* ----------------------------------------------------------------------------------------------
 * The format.
 */

/* First in the file. Writer: the runner's starting thread; `state` and `map_version` later too. */
struct gauge_header {
    uint64_t magic;              /* GAUGE_MAGIC */
    uint32_t version;            /* GAUGE_VERSION */
    uint32_t header_bytes;       /* sizeof(struct gauge_header) */
    uint64_t file_bytes;         /* of the whole file, as the counts give it */
    uint64_t cluster_id;         /* 0: none */
    uint64_t node_id;            /* as given to `weir init` */
    uint64_t pid;                /* of the node, in its own namespace */
    uint64_t start_wall_ms;      /* since 1970, when the node started */
    uint64_t start_monotonic_ns; /* the same moment; base of the cores' times */
    uint32_t stage_count;
    uint32_t ring_count;
    uint32_t core_count;
    uint32_t shard_count;
    uint64_t state;       /* now: enum gauge_state */
    uint64_t map_version; /* how often shards were moved, added or removed */
    uint64_t reserved[4]; /* zero */
};

/* A stage and what its own counters mean. */
struct gauge_stage_row {
    char name[GAUGE_NAME_BYTES];
    char own_names[GAUGE_OWN_COUNT][GAUGE_NAME_BYTES]; /* "" : this counter is not used */
    uint8_t reserved[16];
};

/* A ring: "producer_consumer", and between which shards. */
struct gauge_ring_row {
    char name[GAUGE_NAME_BYTES];
    uint32_t capacity;       /* items, a power of two */
    uint32_t item_bytes;     /* of one item */
    uint32_t producer_shard; /* index of a shard, or GAUGE_NONE */
    uint32_t consumer_shard; /* index of a shard, or GAUGE_NONE */
};

/* A core: one thread. */
struct gauge_core_row {
    char name[GAUGE_NAME_BYTES];
    uint32_t cpu;         /* that it is pinned to, or GAUGE_NONE */
    uint32_t wait_policy; /* enum wait_policy_index; a hint for display */
    uint32_t thread_id;   /* of the kernel's, 0 if unknown: to find it in /proc */
    uint32_t reserved;
};

/* A shard: one instance of a stage. */
struct gauge_shard_row {
    uint32_t stage;  /* index of a stage */
    uint32_t number; /* among the shards of its stage, from 0 */
    uint8_t reserved[56];
};

/* What the producer of a ring counts. */
struct gauge_ring_producer {
    CACHE_ALIGNED uint64_t enqueued; /* items; mean batch in: enqueued / publishes */
    uint64_t publishes;              /* enqueues that took at least one item */
    uint64_t refusals;               /* enqueues that took fewer than offered: the ring was full */
};

/* What the consumer of a ring counts. */
struct gauge_ring_consumer {
    CACHE_ALIGNED uint64_t dequeued; /* items; mean drain: dequeued / drains */
    uint64_t drains;                 /* dequeues that gave at least one item */
    uint64_t high_water;             /* greatest depth the consumer met: gauge_view_ring corrects */
};

/* A ring. Depth is enqueued - dequeued. */
struct gauge_ring {
    struct gauge_ring_producer producer;
    struct gauge_ring_consumer consumer;
};

/* A core. Writer: its thread, all of it. */
struct gauge_core {
    CACHE_ALIGNED uint64_t started_ns;      /* monotonic: when its thread began to account */
    uint64_t charged_until_ns;              /* monotonic, now: all before it is in some regime */
    uint64_t regime_ns[GAUGE_REGIME_COUNT]; /* enum gauge_regime */
    uint64_t loops;                         /* rounds over its shards */
    uint64_t loops_empty;                   /* of these, rounds in which no shard had work */

    uint64_t parks_prepared;  /* doorbell_prepare (membarrier mode: membarrier calls) */
    uint64_t parks;           /* times it really slept */
    uint64_t wakes;           /* sleeps ended by a doorbell; others by a timer or completion */
    uint64_t doorbells_sent;  /* wakes of other cores by this one */
    uint64_t longest_poll_ns; /* the longest single poll of any shard */
    uint64_t longest_poll_of; /* which shard's that was, index + 1; 0: none yet */
    uint64_t polling;         /* now: shard being polled, index + 1; 0: none. Who hung or crashed */
    uint64_t switches_forced; /* involuntary context switches, as getrusage says */
    uint64_t switches_chosen; /* voluntary ones */
    uint64_t cpu_ns;          /* CPU time of the thread */
    uint64_t page_faults;     /* major and minor; steady state has none */
    uint64_t io_enters;       /* io_uring_enter calls */
    uint64_t io_submissions;  /* operations submitted */
    uint64_t io_completions;  /* completions reaped */
    uint64_t polls_over_limit; /* polls longer than the runner's limit for one poll */
    uint64_t longest_io_ns;    /* the longest turn of the io: submit, send, deliver */
    uint64_t gathers;          /* sleeps that were to find several receives: io_park_gathering */
};

/* A shard. Writer: the core that polls it, which may change while the shard is in nobody's poll. */
struct gauge_shard {
    CACHE_ALIGNED uint64_t regime_ns[GAUGE_SHARD_REGIMES]; /* WORKING, BLOCKED, HOUSEKEEPING */
    uint64_t polls;                                        /* all, empty ones too */
    uint64_t polls_worked;                                 /* that did work */
    uint64_t items;   /* the stage's own measure of work: commands, entries, bytes of replies */
    uint64_t batches; /* handed on */
    uint64_t blocked; /* polls that ended blocked */

    uint64_t longest_poll_ns;
    uint64_t core;          /* now: index of the core that polls it + 1; 0: parked, not polled */
    uint64_t moves;         /* times it changed its core */
    uint64_t latency_count; /* requests in latency_buckets */
    uint64_t latency_sum_ns;
    uint64_t latency_max_ns;
    uint64_t most_units; /* of work that one poll counted: see the stages' contract */
    uint64_t reserved;
    uint64_t latency_buckets[GAUGE_LATENCY_BUCKETS];
    uint64_t own[GAUGE_OWN_COUNT]; /* named by the stage's row */
};

_Static_assert(sizeof(struct gauge_header) == 2 * CACHE_LINE_BYTES, "format");
_Static_assert(offsetof(struct gauge_header, stage_count) == 64, "format");
_Static_assert(sizeof(struct gauge_stage_row) == 13 * CACHE_LINE_BYTES, "format");
_Static_assert(sizeof(struct gauge_ring_row) == CACHE_LINE_BYTES, "format");
_Static_assert(sizeof(struct gauge_core_row) == CACHE_LINE_BYTES, "format");
_Static_assert(sizeof(struct gauge_shard_row) == CACHE_LINE_BYTES, "format");
_Static_assert(sizeof(struct gauge_ring) == 2 * CACHE_LINE_BYTES, "format: one line each end");
_Static_assert(offsetof(struct gauge_ring, consumer) == CACHE_LINE_BYTES, "format");
_Static_assert(sizeof(struct gauge_core) == 4 * CACHE_LINE_BYTES, "format");
_Static_assert(sizeof(struct gauge_shard) == 8 * CACHE_LINE_BYTES, "format");

/* ----------------------------------------------------------------------------------------------
 * Laying out a file: the runner, at start, on one thread.
 */

/* How many of each. Fixed for the life of a node: shards are made up to their maximum at start. */
struct gauge_counts {
    uint32_t stages; /* 0 to GAUGE_STAGES_MAX */
    uint32_t rings;  /* 0 to GAUGE_RINGS_MAX */
    uint32_t cores;  /* 0 to GAUGE_CORES_MAX */
    uint32_t shards; /* 0 to GAUGE_SHARDS_MAX */
};

/* Who the node is; see struct gauge_header. */
struct gauge_identity {
    uint64_t cluster_id;
    uint64_t node_id;
    uint64_t pid;
    uint64_t start_wall_ms;
    uint64_t start_monotonic_ns;
};

/* A laid out file, for its writers: arrays of `counts` elements, inside the memory given. */
struct gauge_file {
    struct gauge_counts counts;
    struct gauge_header *header;
    struct gauge_stage_row *stage_rows;
    struct gauge_ring_row *ring_rows;
    struct gauge_core_row *core_rows;
    struct gauge_shard_row *shard_rows;
    struct gauge_ring *rings;
    struct gauge_core *cores;
    struct gauge_shard *shards;
};

/* Bytes of a file with these counts, a multiple of a cache line; 0 if one exceeds its limit. */
size_t gauge_bytes(const struct gauge_counts *counts);

/*
 * Lays a file out in `memory`: gauge_bytes(counts) bytes from the start of a cache line, which the
 * caller keeps mapped for as long as anything counts. All of it is zeroed and the header written,
 * in state GAUGE_STARTING; the rows are left for the gauge_describe functions (ends of rings that
 * are not described are GAUGE_NONE). Asserts that the counts are in range.
 */
void gauge_init(struct gauge_file *file, void *memory, const struct gauge_counts *counts,
                const struct gauge_identity *identity);

/*
 * Describe one row each, before the state is RUNNING. Names are copied, cut to what fits.
 * Indices are asserted.
 * own_names: GAUGE_OWN_COUNT names, NULL for one that is not used; or NULL for none at all.
 */
void gauge_describe_stage(struct gauge_file *file, uint32_t stage, const char *name,
                          const char *const *own_names);
void gauge_describe_ring(struct gauge_file *file, uint32_t ring, const char *name,
                         uint32_t capacity, uint32_t item_bytes, uint32_t producer_shard,
                         uint32_t consumer_shard);
void gauge_describe_core(struct gauge_file *file, uint32_t core, const char *name, uint32_t cpu,
                         uint32_t wait_policy);
void gauge_describe_shard(struct gauge_file *file, uint32_t shard, uint32_t stage, uint32_t number);

/* Says what the node is doing from now on. */
void gauge_state_set(struct gauge_file *file, enum gauge_state state);

/* ----------------------------------------------------------------------------------------------
 * Counting: the one writer of each counter, on its thread. Each is a load and a store of the
 * writer's own line; partner of every store: the loads of gauge_read, which order nothing.
 */

/* Adds `amount`. */
static inline void gauge_add(uint64_t *counter, uint64_t amount) {
    atomic_store_relaxed_u64(counter, *counter + amount);
}

/* Raises the counter to `value` if it is lower. */
static inline void gauge_max(uint64_t *counter, uint64_t value) {
    if (value > *counter) {
        atomic_store_relaxed_u64(counter, value);
    }
}

/* Sets a counter that is marked "now", or one that somebody else has counted. */
static inline void gauge_set(uint64_t *counter, uint64_t value) {
    atomic_store_relaxed_u64(counter, value);
}

/* A core begins to account: time before `now_ns` (monotonic) is in no regime. */
static inline void gauge_core_start(struct gauge_core *core, uint64_t now_ns) {
    gauge_set(&core->started_ns, now_ns);
    gauge_set(&core->charged_until_ns, now_ns);
}

/*
 * Charges all time since the last charge of this core, until `now_ns` (monotonic, not before the
 * last), to one regime: IDLE with shard NULL, or another with the shard that was polled. Returns
 * the nanoseconds charged. Does not note the longest poll: gauge_poll_done does.
 */
static inline uint64_t gauge_charge(struct gauge_core *core, struct gauge_shard *shard,
                                    enum gauge_regime regime, uint64_t now_ns) {
    ASSERT_HOT((regime == GAUGE_IDLE) == (shard == NULL));
    ASSERT_HOT(now_ns >= core->charged_until_ns);
    uint64_t elapsed_ns = now_ns - core->charged_until_ns;
    gauge_add(&core->regime_ns[regime], elapsed_ns);
    if (shard != NULL) {
        gauge_add(&shard->regime_ns[regime], elapsed_ns);
    }
    gauge_set(&core->charged_until_ns, now_ns);
    return elapsed_ns;
}

/*
 * A poll of `shard` (index `shard_index`) that lasted `poll_ns` is over: notes it if it was the
 * longest of its core or of its shard.
 */
static inline void gauge_poll_done(struct gauge_core *core, struct gauge_shard *shard,
                                   uint32_t shard_index, uint64_t poll_ns) {
    gauge_max(&shard->longest_poll_ns, poll_ns);
    if (poll_ns > core->longest_poll_ns) {
        gauge_set(&core->longest_poll_ns, poll_ns);
        gauge_set(&core->longest_poll_of, (uint64_t)shard_index + 1);
    }
}

/* The bucket of a latency: see GAUGE_LATENCY_BUCKETS. */
static inline uint32_t gauge_latency_bucket(uint64_t latency_ns) {
    uint64_t units = latency_ns >> GAUGE_LATENCY_SHIFT;
    uint32_t bucket = units == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(units);
    return bucket < GAUGE_LATENCY_BUCKETS ? bucket : GAUGE_LATENCY_BUCKETS - 1;
}

/* `count` requests, answered together, took `latency_ns` each. */
static inline void gauge_latency(struct gauge_shard *shard, uint64_t latency_ns, uint64_t count) {
    gauge_add(&shard->latency_buckets[gauge_latency_bucket(latency_ns)], count);
    gauge_add(&shard->latency_count, count);
    gauge_add(&shard->latency_sum_ns, latency_ns * count);
    gauge_max(&shard->latency_max_ns, latency_ns);
}

/* ----------------------------------------------------------------------------------------------
 * Reading: any thread, any process, any time, from memory that may be anybody's.
 */

/* A counter of a running node. */
static inline uint64_t gauge_read(const uint64_t *counter) {
    return atomic_load_relaxed_u64(counter);
}

/*
 * A validated file. The counts are copies; the arrays point into the memory, which stays the
 * caller's and must stay mapped and must not be made shorter (a tool that cannot vouch for that
 * reads the file into memory of its own first).
 */
struct gauge_view {
    struct gauge_counts counts;
    struct gauge_identity identity;
    const struct gauge_header *header;
    const struct gauge_stage_row *stage_rows;
    const struct gauge_ring_row *ring_rows;
    const struct gauge_core_row *core_rows;
    const struct gauge_shard_row *shard_rows;
    const struct gauge_ring *rings;
    const struct gauge_core *cores;
    const struct gauge_shard *shards;
};

/*
 * Validates `memory_bytes` bytes at `memory` (aligned to a cache line) by the rule at the top, and
 * on success fills *view. Allocates nothing. Errors, each with a sentence in *text, *view being
 * left as it was:
 *   WEIR_EINVAL    it is shorter than a header, or the magic is another one: not a gauge file
 *   WEIR_EVERSION  the version or the header's size is not this one's
 *   WEIR_ECORRUPT  any other part of the rule is broken
 */
int gauge_view_open(struct gauge_view *view, const void *memory, size_t memory_bytes,
                    struct error_text *text);

/* enum gauge_state now, or the raw number if it is none of them. */
uint64_t gauge_view_state(const struct gauge_view *view);

/* Copies a name of any row, terminated, unprintable bytes as '?'. `name` has GAUGE_NAME_BYTES. */
void gauge_name_copy(char out[GAUGE_NAME_BYTES], const char *name);

/* A ring at a moment. */
struct gauge_ring_reading {
    char name[GAUGE_NAME_BYTES];
    uint32_t capacity;       /* items */
    uint32_t item_bytes;     /* of one item */
    uint32_t producer_shard; /* below counts.shards, or GAUGE_NONE */
    uint32_t consumer_shard; /* below counts.shards, or GAUGE_NONE */
    uint64_t depth;          /* 0 to capacity */
    uint64_t high_water;     /* 0 to capacity: greatest depth met; capacity if ever full */
    uint64_t enqueued, publishes, refusals, dequeued, drains;
};

/* Reads ring `index`, below counts.rings. */
void gauge_view_ring(const struct gauge_view *view, uint32_t index,
                     struct gauge_ring_reading *reading);

/* A shard's place. */
struct gauge_shard_reading {
    uint32_t stage;  /* below counts.stages */
    uint32_t number; /* among the shards of its stage */
    uint32_t core;   /* below counts.cores, or GAUGE_NONE: parked */
    char stage_name[GAUGE_NAME_BYTES];
};

/* Reads where shard `index`, below counts.shards, is; its counters are in view->shards. */
void gauge_view_shard(const struct gauge_view *view, uint32_t index,
                      struct gauge_shard_reading *reading);

#endif
