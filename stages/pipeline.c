/*
 * The pipeline: batches, rings, gauges, shards and cores, made from the one wiring table.
 *
 * Happy path: pipeline_create lays everything out and makes the shards, pipeline_start starts them
 * on their threads, pipeline_run lets these make rounds, pipeline_stop drains, pipeline_join waits,
 * pipeline_destroy undoes.
 *
 * Failure modes: whatever is missing (memory, a port, a corrupt log) fails pipeline_create, which
 * then undoes what it did in reverse order; a shard whose start fails makes pipeline_start stop all
 * threads before their first round.
 */

#include "stages/pipeline.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "stages/peer_message.h"
#include "stages/pipeline_internal.h"

/* How long a ring must be so that it is never full (or, for apply, where its bound comes from). */
enum link_length {
    LENGTH_POOL,  /* every batch there is */
    LENGTH_HOME,  /* every batch, and one notice of each connection */
    LENGTH_APPLY, /* every batch, and as many ranges without one: those may have to wait */
    LENGTH_NOTES, /* a note only wakes: one that does not fit is not missed */
    LENGTH_PEERS, /* every receive buffer for members, and the ends of their connections */
};

/* Enough that a busy stage finds room, and few enough to be taken in one go. */
enum { LINK_NOTES = 64 };

struct link {
    enum stage_id from;
    enum stage_id to;
    const char *name;
    uint32_t item_bytes;
    enum link_length length;
};

/* The wiring of weir, all of it. */
static const struct link links[] = {
    {STAGE_READ, STAGE_PARSE, "read_parse", sizeof(uint32_t), LENGTH_POOL},
    {STAGE_PARSE, STAGE_VALIDATE, "parse_validate", sizeof(uint32_t), LENGTH_POOL},
    {STAGE_VALIDATE, STAGE_REPLICATE, "validate_replicate", sizeof(uint32_t), LENGTH_POOL},
    {STAGE_REPLICATE, STAGE_APPLY, "replicate_apply", sizeof(struct apply_item), LENGTH_APPLY},
    {STAGE_APPLY, STAGE_REPLICATE, "apply_replicate", sizeof(uint32_t), LENGTH_NOTES},
    {STAGE_APPLY, STAGE_SERIALIZE, "apply_serialize", sizeof(uint32_t), LENGTH_POOL},
    {STAGE_SERIALIZE, STAGE_WRITE, "serialize_write", sizeof(uint32_t), LENGTH_POOL},
    {STAGE_WRITE, STAGE_READ, "write_read", sizeof(struct home_item), LENGTH_HOME},
    {STAGE_VALIDATE, STAGE_READ, "validate_read", sizeof(struct home_item), LENGTH_HOME},
    {STAGE_WRITE, STAGE_PARSE, "write_parse", sizeof(uint32_t), LENGTH_POOL},
    {STAGE_WRITE, STAGE_VALIDATE, "write_validate", sizeof(uint32_t), LENGTH_POOL},
    {STAGE_WRITE, STAGE_APPLY, "write_apply", sizeof(uint32_t), LENGTH_POOL},
    {STAGE_PARSE, STAGE_REPLICATE, "parse_replicate", sizeof(uint32_t), LENGTH_NOTES},
    {STAGE_REPLICATE, STAGE_PARSE, "replicate_parse", sizeof(uint32_t), LENGTH_NOTES},
    {STAGE_REPLICATE, STAGE_WRITE, "replicate_write", sizeof(uint32_t), LENGTH_NOTES},
    {STAGE_REPLICATE, STAGE_READ, "replicate_read", sizeof(struct home_item), LENGTH_HOME},
    {STAGE_READ, STAGE_PARSE, "read_parse_peers", sizeof(struct peer_item), LENGTH_PEERS},
    {STAGE_PARSE, STAGE_READ, "parse_read_peers", sizeof(struct peer_item), LENGTH_PEERS},
};
_Static_assert(ARRAY_COUNT(links) <= PIPELINE_LINKS_MAX, "every link has a row of rings");

static const struct stage *const stages[STAGE_COUNT] = {
    [STAGE_READ] = &stage_read,         [STAGE_PARSE] = &stage_parse,
    [STAGE_VALIDATE] = &stage_validate, [STAGE_REPLICATE] = &stage_replicate,
    [STAGE_APPLY] = &stage_apply,       [STAGE_SERIALIZE] = &stage_serialize,
    [STAGE_WRITE] = &stage_write,
};

/*
 * The order in which shards are made: apply restores the snapshot, whose last index replicate needs
 * to open the log behind it; the others depend on nothing.
 */
static const enum stage_id making_order[STAGE_COUNT] = {
    STAGE_APPLY,    STAGE_REPLICATE, STAGE_READ,  STAGE_PARSE,
    STAGE_VALIDATE, STAGE_SERIALIZE, STAGE_WRITE,
};

static uint32_t power_of_two_from(uint32_t at_least) {
    uint32_t power = 1;
    while (power < at_least) {
        power *= 2;
    }
    return power;
}

static uint32_t link_capacity(const struct pipeline *pipeline, enum link_length length) {
    uint32_t connections = pipeline->node->options->connections_max;
    switch (length) {
    case LENGTH_POOL: return power_of_two_from(pipeline->batch_total);
    case LENGTH_HOME: return power_of_two_from(pipeline->batch_total + connections);
    case LENGTH_APPLY: return power_of_two_from(2 * pipeline->batch_total);
    case LENGTH_NOTES: return LINK_NOTES;
    case LENGTH_PEERS:
        return pipeline->peers.memory == NULL
                   ? LINK_NOTES
                   : power_of_two_from(peers_items_max(&pipeline->peers));
    }
    UNREACHABLE("a link length of the table");
}

/* ---- gauges and rings ---------------------------------------------------------------------- */

static uint32_t shards_of(const struct pipeline *pipeline, enum stage_id stage) {
    return pipeline->map.shard_counts[stage];
}

static uint32_t ring_count(const struct pipeline *pipeline) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < ARRAY_COUNT(links); i++) {
        count += shards_of(pipeline, links[i].from) * shards_of(pipeline, links[i].to);
    }
    return count;
}

static int gauges_create(struct pipeline *pipeline, const char *path, struct error_text *error) {
    uint32_t shard_count = 0;
    for (enum stage_id stage = 0; stage < STAGE_COUNT; stage++) {
        shard_count += shards_of(pipeline, stage);
    }
    struct gauge_counts counts = {.stages = STAGE_COUNT,
                                  .rings = ring_count(pipeline),
                                  .cores = pipeline->map.thread_count,
                                  .shards = shard_count};
    pipeline->gauge_memory_bytes = gauge_bytes(&counts);
    int file = -1;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    if (path != NULL) {
        file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (file < 0 || ftruncate(file, (off_t)pipeline->gauge_memory_bytes) != 0) {
            error_text_set(error,
                           "cannot create the gauge file %s: check that its directory "
                           "exists and is writable",
                           path);
            if (file >= 0) {
                close(file);
            }
            return WEIR_EIO;
        }
        flags = MAP_SHARED;
        snprintf(pipeline->gauge_path, sizeof(pipeline->gauge_path), "%s", path);
    }
    void *memory = mmap(NULL, pipeline->gauge_memory_bytes, PROT_READ | PROT_WRITE, flags, file, 0);
    if (file >= 0) {
        close(file);
    }
    if (memory == MAP_FAILED) {
        error_text_set(error, "no memory for the gauge file");
        return WEIR_ENOMEM;
    }
    pipeline->gauge_memory = memory;
    const struct node_options *options = pipeline->node->options;
    struct gauge_identity identity = {.cluster_id = options->identity.cluster_id,
                                      .node_id = options->identity.node_id,
                                      .pid = (uint64_t)getpid(),
                                      .start_wall_ms = options->started_wall_ms,
                                      .start_monotonic_ns = 0};
    gauge_init(&pipeline->gauges, memory, &counts, &identity);
    pipeline->node->gauges = memory;
    pipeline->node->gauges_bytes = pipeline->gauge_memory_bytes;
    static const char *const no_own_names[GAUGE_OWN_COUNT] = {NULL};
    for (uint32_t stage = 0; stage < STAGE_COUNT; stage++) {
        gauge_describe_stage(&pipeline->gauges, stage, stages[stage]->name, no_own_names);
    }
    return WEIR_OK;
}

static int rings_create(struct pipeline *pipeline, struct error_text *error) {
    for (uint32_t i = 0; i < ARRAY_COUNT(links); i++) {
        uint32_t capacity = link_capacity(pipeline, links[i].length);
        pipeline->ring_memory_bytes += shards_of(pipeline, links[i].from) *
                                       shards_of(pipeline, links[i].to) *
                                       ring_bytes(capacity, links[i].item_bytes);
    }
    void *memory = mmap(NULL, pipeline->ring_memory_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        error_text_set(error, "no memory for the rings: %zu bytes", pipeline->ring_memory_bytes);
        return WEIR_ENOMEM;
    }
    pipeline->ring_memory = memory;
    uint8_t *position = memory;
    uint32_t gauge = 0;
    for (uint32_t i = 0; i < ARRAY_COUNT(links); i++) {
        uint32_t capacity = link_capacity(pipeline, links[i].length);
        for (uint32_t from = 0; from < shards_of(pipeline, links[i].from); from++) {
            for (uint32_t to = 0; to < shards_of(pipeline, links[i].to); to++) {
                struct ring_setup setup = {.name = links[i].name,
                                           .capacity = capacity,
                                           .item_bytes = links[i].item_bytes,
                                           .sequence_first = RING_SEQUENCE_FIRST,
                                           .gauge = &pipeline->gauges.rings[gauge]};
                gauge_describe_ring(&pipeline->gauges, gauge, links[i].name, capacity,
                                    links[i].item_bytes,
                                    pipeline->shards[links[i].from][from].gauge_index,
                                    pipeline->shards[links[i].to][to].gauge_index);
                pipeline->rings[i][from][to] = ring_init(position, &setup);
                position += ring_bytes(capacity, links[i].item_bytes);
                gauge++;
            }
        }
    }
    return WEIR_OK;
}

/* ---- cores and shards ---------------------------------------------------------------------- */

static void wake_core(void *context) {
    struct core *core = context;
    io_wake(core->io);
}

static int membarrier_call(int command) {
    return (int)syscall(SYS_membarrier, command, 0, 0);
}

/* The shard of this core that uses its io most, see core.c. */
static struct runner_shard *core_io_shard(const struct core *core) {
    static const enum stage_id by_use[] = {STAGE_WRITE, STAGE_READ, STAGE_REPLICATE};
    for (uint32_t i = 0; i < ARRAY_COUNT(by_use); i++) {
        for (uint32_t s = 0; s < core->shard_count; s++) {
            if (core->shards[s]->stage->id == by_use[i]) {
                return core->shards[s];
            }
        }
    }
    return core->shards[0];
}

static int cores_create(struct pipeline *pipeline, struct error_text *error) {
    doorbell_barrier_choose(&pipeline->barrier,
                            pipeline->map.thread_count > 1 ? membarrier_call : NULL);
    uint32_t features = pipeline->node->options->io_features_allowed;
    for (uint32_t i = 0; i < pipeline->map.thread_count; i++) {
        struct core *core = &pipeline->cores[i];
        core->pipeline = pipeline;
        core->index = i;
        core->cpu = pipeline->map.threads[i].cpu;
        core->policy = core_policy(&pipeline->map);
        core->gauge = &pipeline->gauges.cores[i];
        /* A send and a receive for each connection may be started in one round; the kernel takes
           a full submission ring in several system calls, so this bounds calls, not work. */
        struct io_options options = {
            .submissions_max = 4096, .completions_max = 16384, .features_allowed = features};
        int result = io_create(&core->io, &options, error);
        if (result != WEIR_OK) {
            return result;
        }
        pipeline->core_count = i + 1;
        doorbell_init(&core->doorbell, &pipeline->barrier, wake_core, core);
        gauge_describe_core(&pipeline->gauges, i, "core", core->cpu,
                            (uint32_t)(core->policy - wait_policies));
        for (uint32_t s = 0; s < pipeline->map.threads[i].stage_count; s++) {
            enum stage_id stage = pipeline->map.threads[i].stages[s];
            for (uint32_t number = 0; number < shards_of(pipeline, stage); number++) {
                core->shards[core->shard_count++] = &pipeline->shards[stage][number];
            }
        }
        core->io_shard = core_io_shard(core);
    }
    return WEIR_OK;
}

static struct core *core_of(struct pipeline *pipeline, const struct runner_shard *shard) {
    for (uint32_t i = 0; i < pipeline->core_count; i++) {
        for (uint32_t s = 0; s < pipeline->cores[i].shard_count; s++) {
            if (pipeline->cores[i].shards[s] == shard) {
                return &pipeline->cores[i];
            }
        }
    }
    UNREACHABLE("the map names every stage");
}

/* Tells each shard's runner which rings leave it and whom they feed. */
static void bells_wire(struct pipeline *pipeline) {
    for (uint32_t i = 0; i < ARRAY_COUNT(links); i++) {
        for (uint32_t from = 0; from < shards_of(pipeline, links[i].from); from++) {
            struct runner_shard *producer = &pipeline->shards[links[i].from][from];
            for (uint32_t to = 0; to < shards_of(pipeline, links[i].to); to++) {
                struct core *consumer = core_of(pipeline, &pipeline->shards[links[i].to][to]);
                ASSERT(producer->out_count < PIPELINE_RINGS_OUT_MAX);
                struct ring_out *out = &producer->out[producer->out_count++];
                out->ring = pipeline->rings[i][from][to];
                out->tail_seen = out->ring->tail;
                out->consumer = consumer == core_of(pipeline, producer) ? NULL : consumer;
            }
        }
    }
}

static int shards_create(struct pipeline *pipeline, const struct pipeline_options *options,
                         struct error_text *error) {
    for (uint32_t i = 0; i < STAGE_COUNT; i++) {
        enum stage_id stage = making_order[i];
        for (uint32_t number = 0; number < shards_of(pipeline, stage); number++) {
            struct runner_shard *shard = &pipeline->shards[stage][number];
            struct stage_environment environment = {.pipeline = pipeline,
                                                    .io = core_of(pipeline, shard)->io,
                                                    .options = options->stage_options[stage],
                                                    .shard = number};
            int result = stages[stage]->init(&shard->state, &environment, error);
            if (result != WEIR_OK) {
                shard->state = NULL;
                return result;
            }
        }
    }
    return WEIR_OK;
}

static void shards_describe(struct pipeline *pipeline) {
    uint32_t gauge = 0;
    for (enum stage_id stage = 0; stage < STAGE_COUNT; stage++) {
        ASSERT(shards_of(pipeline, stage) - 1 < PIPELINE_SHARDS_MAX);
        for (uint32_t number = 0; number < shards_of(pipeline, stage); number++) {
            struct runner_shard *shard = &pipeline->shards[stage][number];
            shard->stage = stages[stage];
            shard->number = number;
            shard->gauge_index = gauge;
            shard->gauge = &pipeline->gauges.shards[gauge];
            gauge_describe_shard(&pipeline->gauges, gauge, stage, number);
            gauge++;
        }
    }
}

/* The longest message: as many entries as a log write has, or one longer one, their padding, and
 * what precedes them. */
static int links_create(struct pipeline *pipeline) {
    const struct node_options *options = pipeline->node->options;
    if (options->peer_count == 0) {
        return WEIR_OK;
    }
    const struct log_options *log = &options->log;
    uint64_t bytes =
        log->entry_bytes_max > log->write_bytes_max ? log->entry_bytes_max : log->write_bytes_max;
    bytes += RAFT_MESSAGE_ENTRIES_MAX * ENTRY_ALIGN_BYTES + PEER_MESSAGE_HEAD_BYTES_MAX;
    int result =
        peers_create(&pipeline->peers, bytes, options->peer_count, options->peer_secret != NULL);
    for (uint32_t i = 0; result == WEIR_OK && i < options->peer_count; i++) {
        ASSERT(options->peers[i].node_id != options->identity.node_id);
        struct peer_link *link = peers_row(&pipeline->peers, options->peers[i].node_id);
        ASSERT(link != NULL);
        link->is_booked = true;
    }
    return result;
}

int pipeline_create(struct pipeline **out, const struct pipeline_options *options,
                    struct error_text *error) {
    ASSERT(IS_POWER_OF_TWO(options->node->options->batch_count));
    struct pipeline *pipeline = aligned_alloc(CACHE_LINE_BYTES, sizeof(*pipeline));
    if (pipeline == NULL) {
        error_text_set(error, "no memory for the pipeline");
        return WEIR_ENOMEM;
    }
    memset(pipeline, 0, sizeof(*pipeline));
    pipeline->node = options->node;
    pipeline->map = *options->map;
    pthread_mutex_init(&pipeline->gate_lock, NULL);
    pthread_cond_init(&pipeline->gate_changed, NULL);
    int result = pipeline_batches_create(pipeline);
    if (result != WEIR_OK) {
        error_text_set(error, "no memory for %u batches", options->node->options->batch_count);
        goto fail;
    }
    result = links_create(pipeline);
    if (result != WEIR_OK) {
        error_text_set(error, "no memory for the rings to other members");
        goto fail;
    }
    result = gauges_create(pipeline, options->gauge_path, error);
    if (result != WEIR_OK) {
        goto fail;
    }
    shards_describe(pipeline);
    result = rings_create(pipeline, error);
    if (result != WEIR_OK) {
        goto fail;
    }
    result = cores_create(pipeline, error);
    if (result != WEIR_OK) {
        goto fail;
    }
    bells_wire(pipeline);
    result = shards_create(pipeline, options, error);
    if (result != WEIR_OK) {
        goto fail;
    }
    *out = pipeline;
    return WEIR_OK;

fail:
    pipeline_destroy(pipeline);
    return result;
}

static void threads_join(struct pipeline *pipeline) {
    for (uint32_t i = 0; i < pipeline->core_count; i++) {
        if (pipeline->cores[i].has_thread) {
            pthread_join(pipeline->cores[i].thread, NULL);
            pipeline->cores[i].has_thread = false;
        }
    }
}

int pipeline_start(struct pipeline *pipeline, struct error_text *error) {
    ASSERT(!pipeline->running && !pipeline->stepped);
    int result = WEIR_OK;
    uint32_t count = 0;
    while (count < pipeline->core_count && result == WEIR_OK) {
        struct core *core = &pipeline->cores[count];
        if (pthread_create(&core->thread, NULL, core_main, core) != 0) {
            error_text_set(error, "cannot start thread %u of the map: raise the limit of threads",
                           count);
            result = WEIR_ENOMEM;
        } else {
            core->has_thread = true;
            count++;
        }
    }
    if (result == WEIR_OK) {
        result = pipeline_gate_wait(pipeline, count, error);
    }
    if (result != WEIR_OK) {
        pipeline_gate_open(pipeline, GATE_END);
        threads_join(pipeline); /* none of them has made a round */
    }
    return result;
}

void pipeline_run(struct pipeline *pipeline) {
    ASSERT(!pipeline->running && !pipeline->stepped);
    pipeline->running = true;
    gauge_state_set(&pipeline->gauges, GAUGE_RUNNING);
    pipeline_gate_open(pipeline, GATE_RUN);
}

int pipeline_start_stepped(struct pipeline *pipeline, struct error_text *error) {
    ASSERT(!pipeline->running && !pipeline->stepped);
    pipeline->stepped = true;
    for (uint32_t i = 0; i < pipeline->core_count; i++) {
        struct core *core = &pipeline->cores[i];
        core_start(core);
        if (core->start_error != WEIR_OK) {
            *error = core->start_text;
            return core->start_error;
        }
    }
    gauge_state_set(&pipeline->gauges, GAUGE_RUNNING);
    return WEIR_OK;
}

uint32_t pipeline_cores(const struct pipeline *pipeline) {
    return pipeline->core_count;
}

struct io *pipeline_core_io(const struct pipeline *pipeline, uint32_t core) {
    ASSERT(core < pipeline->core_count);
    return pipeline->cores[core].io;
}

const void *pipeline_look(const struct pipeline *pipeline, enum stage_id stage, uint32_t shard) {
    ASSERT(pipeline->stepped && shard < shards_of(pipeline, stage));
    return pipeline->shards[stage][shard].state;
}

void pipeline_stop(struct pipeline *pipeline) {
    gauge_state_set(&pipeline->gauges, GAUGE_DRAINING);
    atomic_store_release_u32(&pipeline->node->signals.stopping, 1);
    if (atomic_load_relaxed_u32(&pipeline->stop) == 0) {
        /* Partner: the acquire in core_loop. */
        atomic_store_release_u32(&pipeline->stop, 1);
    }
    pipeline_wake(pipeline);
}

void pipeline_wake(struct pipeline *pipeline) {
    for (uint32_t i = 0; i < pipeline->core_count; i++) {
        io_wake(pipeline->cores[i].io);
    }
}

int pipeline_join(struct pipeline *pipeline, struct error_text *error) {
    threads_join(pipeline);
    gauge_state_set(&pipeline->gauges, GAUGE_STOPPED);
    if (atomic_load_acquire_u32(&pipeline->node->signals.failed) != 0) {
        error_text_set(error, "%s", pipeline->node->signals.failure);
        return WEIR_EIO;
    }
    return WEIR_OK;
}

void pipeline_destroy(struct pipeline *pipeline) {
    for (uint32_t i = STAGE_COUNT; i > 0; i--) {
        for (uint32_t number = shards_of(pipeline, making_order[i - 1]); number > 0; number--) {
            struct runner_shard *shard = &pipeline->shards[making_order[i - 1]][number - 1];
            if (shard->state != NULL) {
                shard->stage->fini(shard->state);
            }
        }
    }
    for (uint32_t i = 0; i < pipeline->core_count; i++) {
        io_destroy(pipeline->cores[i].io);
    }
    if (pipeline->ring_memory != NULL) {
        munmap(pipeline->ring_memory, pipeline->ring_memory_bytes);
    }
    if (pipeline->gauge_memory != NULL) {
        munmap(pipeline->gauge_memory, pipeline->gauge_memory_bytes);
        if (pipeline->gauge_path[0] != '\0') {
            unlink(pipeline->gauge_path);
        }
    }
    if (pipeline->slots != NULL) {
        munmap(pipeline->slots, pipeline->slots_bytes);
    }
    peers_destroy(&pipeline->peers);
    pthread_mutex_destroy(&pipeline->gate_lock);
    pthread_cond_destroy(&pipeline->gate_changed);
    free(pipeline->batches);
    free(pipeline);
}

/* ---- for shards ---------------------------------------------------------------------------- */

struct node *pipeline_node(const struct pipeline *pipeline) {
    return pipeline->node;
}

struct batch *pipeline_batch(const struct pipeline *pipeline, uint32_t id) {
    ASSERT_HOT(id < pipeline->batch_total);
    return &pipeline->batches[id];
}

static struct ring *ring_of(const struct pipeline *pipeline, enum stage_id from,
                            uint32_t from_shard, enum stage_id to, uint32_t to_shard, bool peers) {
    for (uint32_t i = 0; i < ARRAY_COUNT(links); i++) {
        if (links[i].from == from && links[i].to == to &&
            (links[i].length == LENGTH_PEERS) == peers) {
            ASSERT(from_shard < shards_of(pipeline, from) && to_shard < shards_of(pipeline, to));
            return pipeline->rings[i][from_shard][to_shard];
        }
    }
    UNREACHABLE("the table has a link between these stages");
}

struct ring *pipeline_ring(const struct pipeline *pipeline, enum stage_id from, uint32_t from_shard,
                           enum stage_id to, uint32_t to_shard) {
    return ring_of(pipeline, from, from_shard, to, to_shard, false);
}

struct ring *pipeline_peer_ring(const struct pipeline *pipeline, enum stage_id from,
                                uint32_t from_shard, enum stage_id to, uint32_t to_shard) {
    return ring_of(pipeline, from, from_shard, to, to_shard, true);
}

struct peers *pipeline_peers_served(struct pipeline *pipeline) {
    return pipeline->node->options->peer_listen_address == NULL ? NULL : pipeline_peers(pipeline);
}

struct peers *pipeline_peers(struct pipeline *pipeline) {
    return pipeline->peers.memory == NULL ? NULL : &pipeline->peers;
}

uint32_t pipeline_shards(const struct pipeline *pipeline, enum stage_id stage) {
    return shards_of(pipeline, stage);
}

uint8_t *pipeline_buffers(const struct pipeline *pipeline) {
    return pipeline->slots;
}

uint32_t pipeline_batch_total(const struct pipeline *pipeline) {
    return pipeline->batch_total;
}

bool pipeline_drained_before(const struct pipeline *pipeline, enum stage_id stage) {
    for (enum stage_id before = 0; before < stage; before++) {
        for (uint32_t number = 0; number < shards_of(pipeline, before); number++) {
            /* Partner: the release in core_drain. */
            if (atomic_load_acquire_u32(&pipeline->shards[before][number].drained) == 0) {
                return false;
            }
        }
    }
    return true;
}
