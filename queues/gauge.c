/*
 * Layout, description and validated reading of a gauge file (the format is in gauge.h).
 *
 * Happy path: the runner maps gauge_bytes() of shared memory, gauge_init() lays them out, rows are
 * described, the state becomes RUNNING, cores count. A reader maps the same bytes and validates
 * them once with gauge_view_open(); then it reads.
 *
 * Failure modes, all on the reader's side: the file is none of ours, of another version, cut
 * short, or hostile: refused with a sentence. It changes after it was validated: a reading is
 * wrong, never out of range. The node died between two stores: two counters differ by one
 * operation.
 */

#include "queues/gauge.h"

#include <inttypes.h>
#include <string.h>

/* Where each array begins, in bytes from the start of the file; `end` is the file's length. */
struct gauge_offsets {
    size_t stage_rows, ring_rows, core_rows, shard_rows;
    size_t rings, cores, shards;
    size_t end;
};

static bool gauge_counts_valid(const struct gauge_counts *counts) {
    return counts->stages <= GAUGE_STAGES_MAX && counts->rings <= GAUGE_RINGS_MAX &&
           counts->cores <= GAUGE_CORES_MAX && counts->shards <= GAUGE_SHARDS_MAX;
}

/* The one place that knows the order of the arrays. Requires valid counts. */
static struct gauge_offsets gauge_offsets_of(const struct gauge_counts *counts) {
    struct gauge_offsets at;
    ASSERT(gauge_counts_valid(counts));
    at.stage_rows = sizeof(struct gauge_header);
    at.ring_rows = at.stage_rows + counts->stages * sizeof(struct gauge_stage_row);
    at.core_rows = at.ring_rows + counts->rings * sizeof(struct gauge_ring_row);
    at.shard_rows = at.core_rows + counts->cores * sizeof(struct gauge_core_row);
    at.rings = at.shard_rows + counts->shards * sizeof(struct gauge_shard_row);
    at.cores = at.rings + counts->rings * sizeof(struct gauge_ring);
    at.shards = at.cores + counts->cores * sizeof(struct gauge_core);
    at.end = at.shards + counts->shards * sizeof(struct gauge_shard);
    ASSERT(at.end % CACHE_LINE_BYTES == 0);
    return at;
}

size_t gauge_bytes(const struct gauge_counts *counts) {
    return gauge_counts_valid(counts) ? gauge_offsets_of(counts).end : 0;
}

void gauge_init(struct gauge_file *file, void *memory, const struct gauge_counts *counts,
                const struct gauge_identity *identity) {
    ASSERT((uintptr_t)memory % CACHE_LINE_BYTES == 0);
    struct gauge_offsets at = gauge_offsets_of(counts);
    uint8_t *base = memory;
    memset(memory, 0, at.end);
    *file = (struct gauge_file){
        .counts = *counts,
        .header = memory,
        .stage_rows = (void *)(base + at.stage_rows),
        .ring_rows = (void *)(base + at.ring_rows),
        .core_rows = (void *)(base + at.core_rows),
        .shard_rows = (void *)(base + at.shard_rows),
        .rings = (void *)(base + at.rings),
        .cores = (void *)(base + at.cores),
        .shards = (void *)(base + at.shards),
    };
    *file->header = (struct gauge_header){
        .magic = GAUGE_MAGIC,
        .version = GAUGE_VERSION,
        .header_bytes = sizeof(struct gauge_header),
        .file_bytes = at.end,
        .cluster_id = identity->cluster_id,
        .node_id = identity->node_id,
        .pid = identity->pid,
        .start_wall_ms = identity->start_wall_ms,
        .start_monotonic_ns = identity->start_monotonic_ns,
        .stage_count = counts->stages,
        .ring_count = counts->rings,
        .core_count = counts->cores,
        .shard_count = counts->shards,
        .state = GAUGE_STARTING,
    };
    for (uint32_t i = 0; i < counts->rings; i++) {
        file->ring_rows[i].capacity = 1;
        file->ring_rows[i].producer_shard = GAUGE_NONE;
        file->ring_rows[i].consumer_shard = GAUGE_NONE;
    }
}

/* Copies `text`, cut to what fits with its zero; the rest of `name` is zeroed. */
static void gauge_name_set(char name[GAUGE_NAME_BYTES], const char *text) {
    ASSERT(text != NULL);
    size_t length = strnlen(text, GAUGE_NAME_BYTES - 1);
    memset(name, 0, GAUGE_NAME_BYTES);
    memcpy(name, text, length);
}

void gauge_describe_stage(struct gauge_file *file, uint32_t stage, const char *name,
                          const char *const *own_names) {
    ASSERT(stage < file->counts.stages);
    struct gauge_stage_row *row = &file->stage_rows[stage];
    gauge_name_set(row->name, name);
    for (uint32_t i = 0; i < GAUGE_OWN_COUNT; i++) {
        bool used = own_names != NULL && own_names[i] != NULL;
        gauge_name_set(row->own_names[i], used ? own_names[i] : "");
    }
}

void gauge_describe_ring(struct gauge_file *file, uint32_t ring, const char *name,
                         uint32_t capacity, uint32_t item_bytes, uint32_t producer_shard,
                         uint32_t consumer_shard) {
    ASSERT(ring < file->counts.rings);
    ASSERT(IS_POWER_OF_TWO(capacity));
    ASSERT(producer_shard < file->counts.shards || producer_shard == GAUGE_NONE);
    ASSERT(consumer_shard < file->counts.shards || consumer_shard == GAUGE_NONE);
    struct gauge_ring_row *row = &file->ring_rows[ring];
    gauge_name_set(row->name, name);
    row->capacity = capacity;
    row->item_bytes = item_bytes;
    row->producer_shard = producer_shard;
    row->consumer_shard = consumer_shard;
}

void gauge_describe_core(struct gauge_file *file, uint32_t core, const char *name, uint32_t cpu,
                         uint32_t wait_policy) {
    ASSERT(core < file->counts.cores);
    struct gauge_core_row *row = &file->core_rows[core];
    gauge_name_set(row->name, name);
    row->cpu = cpu;
    row->wait_policy = wait_policy;
}

void gauge_describe_shard(struct gauge_file *file, uint32_t shard, uint32_t stage,
                          uint32_t number) {
    ASSERT(shard < file->counts.shards);
    ASSERT(stage < file->counts.stages);
    struct gauge_shard_row *row = &file->shard_rows[shard];
    row->stage = stage;
    row->number = number;
}

void gauge_state_set(struct gauge_file *file, enum gauge_state state) {
    ASSERT(state >= GAUGE_STARTING && state <= GAUGE_STOPPED);
    gauge_set(&file->header->state, (uint64_t)state);
}

/* The parts of the rule that need the header only. `header` is a copy. */
static int gauge_header_check(const struct gauge_header *header, size_t memory_bytes,
                              struct error_text *text) {
    if (header->magic != GAUGE_MAGIC) {
        error_text_set(text, "not a gauge file: it does not begin with \"weirgaug\"");
        return WEIR_EINVAL;
    }
    if (header->version != GAUGE_VERSION || header->header_bytes != sizeof(*header)) {
        error_text_set(text,
                       "gauge file of version %" PRIu32 " with a header of %" PRIu32
                       " bytes; this program reads version %d: use the one of the node",
                       header->version, header->header_bytes, GAUGE_VERSION);
        return WEIR_EVERSION;
    }
    struct gauge_counts counts = {header->stage_count, header->ring_count, header->core_count,
                                  header->shard_count};
    if (!gauge_counts_valid(&counts)) {
        error_text_set(text,
                       "damaged gauge file: it claims %" PRIu32 " stages, %" PRIu32
                       " rings, %" PRIu32 " cores, %" PRIu32 " shards",
                       counts.stages, counts.rings, counts.cores, counts.shards);
        return WEIR_ECORRUPT;
    }
    size_t expected = gauge_bytes(&counts);
    if (header->file_bytes != expected || memory_bytes != expected) {
        error_text_set(text,
                       "damaged gauge file: its counts make %zu bytes, its header says %" PRIu64
                       ", and it has %zu",
                       expected, header->file_bytes, memory_bytes);
        return WEIR_ECORRUPT;
    }
    return WEIR_OK;
}

static bool gauge_end_valid(const struct gauge_view *view, uint32_t shard) {
    return shard < view->counts.shards || shard == GAUGE_NONE;
}

/* The part of the rule about rows. */
static int gauge_rows_check(const struct gauge_view *view, struct error_text *text) {
    for (uint32_t i = 0; i < view->counts.rings; i++) {
        const struct gauge_ring_row *row = &view->ring_rows[i];
        if (!IS_POWER_OF_TWO(row->capacity) || !gauge_end_valid(view, row->producer_shard) ||
            !gauge_end_valid(view, row->consumer_shard)) {
            error_text_set(text,
                           "damaged gauge file: ring %" PRIu32 " has capacity %" PRIu32
                           " and leads from shard %" PRIu32 " to %" PRIu32 " of %" PRIu32,
                           i, row->capacity, row->producer_shard, row->consumer_shard,
                           view->counts.shards);
            return WEIR_ECORRUPT;
        }
    }
    for (uint32_t i = 0; i < view->counts.shards; i++) {
        if (view->shard_rows[i].stage >= view->counts.stages) {
            error_text_set(
                text, "damaged gauge file: shard %" PRIu32 " is of stage %" PRIu32 " of %" PRIu32,
                i, view->shard_rows[i].stage, view->counts.stages);
            return WEIR_ECORRUPT;
        }
    }
    return WEIR_OK;
}

int gauge_view_open(struct gauge_view *view, const void *memory, size_t memory_bytes,
                    struct error_text *text) {
    ASSERT((uintptr_t)memory % CACHE_LINE_BYTES == 0);
    struct gauge_header header;
    if (memory_bytes < sizeof(header)) {
        error_text_set(text, "not a gauge file: %zu bytes are less than its header of %zu",
                       memory_bytes, sizeof(header));
        return WEIR_EINVAL;
    }
    memcpy(&header, memory, sizeof(header));
    int error = gauge_header_check(&header, memory_bytes, text);
    if (error != WEIR_OK) {
        return error;
    }
    struct gauge_counts counts = {header.stage_count, header.ring_count, header.core_count,
                                  header.shard_count};
    struct gauge_offsets at = gauge_offsets_of(&counts);
    ASSERT(at.end == memory_bytes);
    const uint8_t *base = memory;
    struct gauge_view candidate = {
        .counts = counts,
        .identity = {header.cluster_id, header.node_id, header.pid, header.start_wall_ms,
                     header.start_monotonic_ns},
        .header = memory,
        .stage_rows = (const void *)(base + at.stage_rows),
        .ring_rows = (const void *)(base + at.ring_rows),
        .core_rows = (const void *)(base + at.core_rows),
        .shard_rows = (const void *)(base + at.shard_rows),
        .rings = (const void *)(base + at.rings),
        .cores = (const void *)(base + at.cores),
        .shards = (const void *)(base + at.shards),
    };
    error = gauge_rows_check(&candidate, text);
    if (error == WEIR_OK) {
        *view = candidate;
    }
    return error;
}

uint64_t gauge_view_state(const struct gauge_view *view) {
    return gauge_read(&view->header->state);
}

void gauge_name_copy(char out[GAUGE_NAME_BYTES], const char *name) {
    memcpy(out, name, GAUGE_NAME_BYTES);
    out[GAUGE_NAME_BYTES - 1] = '\0';
    for (char *c = out; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~') {
            *c = '?';
        }
    }
}

/* The index in a row if it is below `count`, otherwise GAUGE_NONE. Loaded once: it may change. */
static uint32_t gauge_index_below(const uint32_t *from, uint32_t count) {
    uint32_t index = atomic_load_relaxed_u32(from);
    return index < count ? index : GAUGE_NONE;
}

static uint64_t gauge_lower_of(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

void gauge_view_ring(const struct gauge_view *view, uint32_t index,
                     struct gauge_ring_reading *reading) {
    ASSERT(index < view->counts.rings);
    const struct gauge_ring_row *row = &view->ring_rows[index];
    const struct gauge_ring *ring = &view->rings[index];
    gauge_name_copy(reading->name, row->name);
    reading->capacity = atomic_load_relaxed_u32(&row->capacity);
    reading->item_bytes = atomic_load_relaxed_u32(&row->item_bytes);
    reading->producer_shard = gauge_index_below(&row->producer_shard, view->counts.shards);
    reading->consumer_shard = gauge_index_below(&row->consumer_shard, view->counts.shards);

    /* Dequeued first: what is enqueued meanwhile adds to the depth and cannot make it negative. */
    reading->dequeued = gauge_read(&ring->consumer.dequeued);
    reading->drains = gauge_read(&ring->consumer.drains);
    reading->enqueued = gauge_read(&ring->producer.enqueued);
    reading->publishes = gauge_read(&ring->producer.publishes);
    reading->refusals = gauge_read(&ring->producer.refusals);
    /* Except by one operation: each end counts after it has published. */
    uint64_t depth =
        reading->enqueued > reading->dequeued ? reading->enqueued - reading->dequeued : 0;
    reading->depth = gauge_lower_of(depth, reading->capacity);

    /* The consumer misses what came and went between two looks; a refusal proves a full ring. */
    uint64_t high_water = gauge_read(&ring->consumer.high_water);
    if (reading->refusals > 0 || high_water > reading->capacity) {
        high_water = reading->capacity;
    }
    reading->high_water = high_water > reading->depth ? high_water : reading->depth;
}

void gauge_view_shard(const struct gauge_view *view, uint32_t index,
                      struct gauge_shard_reading *reading) {
    ASSERT(index < view->counts.shards);
    const struct gauge_shard_row *row = &view->shard_rows[index];
    uint64_t core = gauge_read(&view->shards[index].core);
    reading->stage = gauge_index_below(&row->stage, view->counts.stages);
    reading->number = atomic_load_relaxed_u32(&row->number);
    reading->core = core >= 1 && core <= view->counts.cores ? (uint32_t)(core - 1) : GAUGE_NONE;
    memset(reading->stage_name, 0, sizeof(reading->stage_name));
    if (reading->stage != GAUGE_NONE) {
        gauge_name_copy(reading->stage_name, view->stage_rows[reading->stage].name);
    }
}
