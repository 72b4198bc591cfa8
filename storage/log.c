/*
 * The log: appending and group commit.
 *
 * Happy path: log_reserve finds room behind the open write, in memory and on disk; log_append seals
 * the entry there; log_flush closes the open write, fills in its header and submits it, unless a
 * write is in flight; its completion makes the entries durable, and the next flush submits what
 * gathered meanwhile.
 *
 * Failure modes: no room in memory (NULL: release and try again); no next segment (log_segment.c);
 * a failed write or sync, after which nothing is submitted, accepted or called durable any more.
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mutant.h"
#include "storage/log_internal.h"

#include <errno.h>
#include <string.h>

/* Our tag in the upper half of `user` of each operation. */
#define LOG_USER_TAG UINT64_C(0x574c4f47) /* "WLOG" */

/* ---- small questions ---------------------------------------------------------------------- */

uint64_t log_first_index(const struct log *log) {
    return log->segments[log->remove_count].before.index + 1;
}

uint64_t log_last_index(const struct log *log) {
    return log->tail.index;
}

uint64_t log_durable_index(const struct log *log) {
    return log->durable_index;
}

const struct entry_tail *log_tail(const struct log *log) {
    ASSERT(log->truncate != TRUNCATE_SEEKING);
    return &log->tail;
}

enum log_state log_state(const struct log *log) {
    return log->state;
}

const char *log_error_text(const struct log *log) {
    return log->error.text;
}

bool log_truncating(const struct log *log) {
    return log->truncate != TRUNCATE_NONE;
}

bool log_stopped(const struct log *log) {
    return log->stopped;
}

uint64_t log_memory_used_bytes(const struct log *log) {
    return log->memory.used_bytes;
}

void log_counters(const struct log *log, struct log_counters *out) {
    *out = log->counters;
    out->segments = log->segment_count;
}

const uint8_t *log_entry(const struct log *log, uint64_t index) {
    if (index < log->memory.first_index || index > log->tail.index)
        return NULL;
    if (index <= log->released_index && index <= log->durable_index)
        return NULL; /* its memory may be taken at any time */
    return log_memory_entry(&log->memory, index);
}

uint64_t log_term(const struct log *log, uint64_t index) {
    const struct entry_tail *before = &log->segments[log->remove_count].before;
    if (index == before->index)
        return before->term;
    if (index < before->index || index > log->tail.index)
        return 0;
    for (uint32_t i = log->term_run_count; i-- > 0;) {
        if (log->term_runs[i].index <= index)
            return log->term_runs[i].term;
    }
    return 0; /* more terms ago than the table holds */
}

void log_terms_append(struct log *log, uint64_t index, uint64_t term) {
    struct log_term_run *runs = log->term_runs;
    if (log->term_run_count > 0 && runs[log->term_run_count - 1].term == term)
        return;
    if (log->term_run_count == LOG_TERM_RUNS_MAX) {
        memmove(runs, runs + 1, (LOG_TERM_RUNS_MAX - 1) * sizeof(*runs));
        log->term_run_count--;
    }
    runs[log->term_run_count++] = (struct log_term_run){.index = index, .term = term};
}

/* ---- operations --------------------------------------------------------------------------- */

uint64_t log_user(enum log_operation operation) {
    return LOG_USER_TAG << 32 | (uint64_t)operation;
}

bool log_is_busy(const struct log *log, enum log_operation operation) {
    return (log->operations_busy & 1u << operation) != 0;
}

void log_set_busy(struct log *log, enum log_operation operation) {
    ASSERT(!log_is_busy(log, operation));
    log->operations_busy |= 1u << operation;
}

void log_fail(struct log *log, const char *what, const char *name, int32_t negative_errno) {
    if (log->state == LOG_FAILED)
        return; /* the first reason is the interesting one */
    log->state = LOG_FAILED;
    error_text_set(&log->error,
                   "%s \"%s\" failed: %s; nothing after entry %llu is durable; this is final: "
                   "check the disk and the kernel's log, then start again",
                   what, name, strerror(-negative_errno), (unsigned long long)log->durable_index);
}

void log_write_start(struct log *log, enum log_writing writing, int32_t file, uint8_t *memory,
                     uint64_t length_bytes, uint64_t offset, enum io_sync sync) {
    log_set_busy(log, LOG_OPERATION_WRITE);
    log->writing = writing;
    log->flying_bytes = length_bytes;
    log->flying_started_ns = io_monotonic_ns(log->io);
    log->piece = (struct iovec){.iov_base = memory, .iov_len = length_bytes};
    io_file_write(log->port, file, &log->piece, 1, offset, sync, log_user(LOG_OPERATION_WRITE));
}

/* ---- appending ---------------------------------------------------------------------------- */

/*
 * Where a write of length_bytes that follows the closed writes of the queue goes: *in_spare, and
 * the offset behind it.  False if there is no room that is ours for certain.
 */
static bool place_find(const struct log *log, uint64_t length_bytes, uint64_t kept_bytes,
                       bool *in_spare, uint64_t *end) {
    const uint32_t block_bytes = log->memory.block_bytes;
    const uint64_t stride = write_stride_bytes(length_bytes, block_bytes);
    const bool has_spare = log->spare == SPARE_READY;
    *in_spare = log->placed_in_spare;
    *end = log->placed_offset + stride;
    if (log->options.durability == DURABILITY_NONE)
        return true;
    if (!log->placed_in_spare) {
        const uint64_t usable = segment_usable_bytes(log->active.segment_bytes, block_bytes);
        if (*end + (has_spare ? 0 : kept_bytes) <= usable)
            return true;
        *in_spare = true;
        *end = SEGMENT_HEADER_BYTES + stride;
    }
    const uint64_t usable = segment_usable_bytes(log->options.segment_bytes, block_bytes);
    return has_spare && *end + kept_bytes <= usable;
}

/* Whether the open write can take `stride` bytes more. */
static bool open_can_take(const struct log *log, const struct log_write *open, uint32_t stride,
                          uint64_t kept_bytes) {
    const uint64_t length_bytes = (uint64_t)open->length_bytes + stride;
    if (length_bytes > open->capacity_bytes ||
        (open->entry_count > 0 && length_bytes > log->options.write_bytes_max))
        return false;
    if (!log_memory_can_grow(&log->memory, open, length_bytes))
        return false;
    bool in_spare_now;
    bool in_spare_then;
    uint64_t end;
    if (!place_find(log, length_bytes, kept_bytes, &in_spare_then, &end))
        return false;
    /* What already has its place in the active segment must not move to the spare one. */
    return open->entry_count == 0 || (place_find(log, open->length_bytes, 0, &in_spare_now, &end) &&
                                      in_spare_now == in_spare_then);
}

/* Gives the open write its place behind the others; it takes no more entries. */
static void open_close(struct log *log, struct log_write *open) {
    ASSERT(open->state == LOG_WRITE_OPEN && open->entry_count > 0);
    bool in_spare;
    uint64_t end;
    const bool found = place_find(log, open->length_bytes, 0, &in_spare, &end);
    ASSERT(found); /* it had its room when its last entry was accepted */
    log->placed_in_spare = in_spare;
    log->placed_offset = end;
    open->state = LOG_WRITE_CLOSED;
    const uint32_t doubled =
        open->length_bytes < UINT32_MAX / 2 ? open->length_bytes * 2 : UINT32_MAX;
    log->write_expected_bytes =
        doubled < log->options.write_bytes_max ? doubled : log->options.write_bytes_max;
}

/* Opens a write whose first entry takes `stride` bytes; NULL and nothing changed without room. */
static struct log_write *open_begin(struct log *log, uint32_t stride, uint64_t kept_bytes) {
    struct log_memory *memory = &log->memory;
    struct log_write *open = log_memory_open(memory);
    if (open != NULL && open->entry_count == 0) {
        log_memory_drop_open(memory); /* of a reservation that was forgotten */
        open = NULL;
    }
    const uint32_t expected =
        log->write_expected_bytes > stride ? log->write_expected_bytes : stride;
    const uint32_t header_sectors = write_header_sectors(expected, memory->block_bytes);
    const uint64_t length_bytes = (uint64_t)header_sectors * SECTOR_BYTES + stride;
    uint64_t offset;
    if (!log_memory_find_room(memory, length_bytes, expected, &offset))
        return NULL;

    const bool was_in_spare = log->placed_in_spare;
    const uint64_t was_offset = log->placed_offset;
    bool in_spare;
    uint64_t end;
    if (open != NULL) {
        /* As open_close would: the new write's place is behind it. */
        const bool found = place_find(log, open->length_bytes, 0, &in_spare, &end);
        ASSERT(found);
        log->placed_in_spare = in_spare;
        log->placed_offset = end;
    }
    const bool has_place = place_find(log, length_bytes, kept_bytes, &in_spare, &end);
    log->placed_in_spare = was_in_spare;
    log->placed_offset = was_offset;
    if (!has_place) {
        if (kept_bytes > 0)
            segment_space_ran_out(log);
        return NULL;
    }
    if (open != NULL)
        open_close(log, open);
    return log_memory_push(memory, offset, header_sectors, &log->tail);
}

/* A place that leaves so much of the reserve. */
static uint8_t *reserve_keeping(struct log *log, uint32_t length_bytes, uint64_t kept_bytes) {
    ASSERT(length_bytes >= ENTRY_HEADER_BYTES && length_bytes <= log->options.entry_bytes_max);
    ASSERT(!log->appending);
    log->reserved_bytes = 0;
    if (log->state == LOG_FAILED || (log->state == LOG_FULL && kept_bytes == LOG_RESERVE_BYTES))
        return NULL;
    if (log->stopping)
        return NULL;
    if (log->truncate != TRUNCATE_NONE) {
        if (kept_bytes > 0)
            segment_space_ran_out(log); /* a truncation needs a segment, too */
        return NULL;
    }
    if (log->tail.index + 1 - log->memory.first_index > log->memory.entry_mask)
        return NULL;

    const uint32_t stride = entry_stride_bytes(length_bytes);
    struct log_write *open = log_memory_open(&log->memory);
    if (open == NULL || !open_can_take(log, open, stride, kept_bytes)) {
        open = open_begin(log, stride, kept_bytes);
        if (open == NULL)
            return NULL;
    }
    log->reserved_bytes = length_bytes;
    return log->memory.bytes + open->memory_offset + open->length_bytes;
}

uint8_t *log_reserve(struct log *log, uint32_t length_bytes, bool protocol) {
    return reserve_keeping(log, length_bytes, protocol ? 0 : LOG_RESERVE_BYTES);
}

/* The entry at the reserved place is complete: counts it. */
static void append_count(struct log *log, struct log_write *open, uint32_t length_bytes) {
    log_memory_append(&log->memory, open, log->tail.index, length_bytes);
    log_terms_append(log, log->tail.index, log->tail.term);
    log->counters.entries++;
    log->counters.entry_bytes += length_bytes;
    log->reserved_bytes = 0;
}

uint64_t log_append(struct log *log, const struct entry_header *header) {
    struct log_write *open = log_memory_open(&log->memory);
    ASSERT(open != NULL && header->length_bytes <= log->reserved_bytes);
    uint8_t *entry = log->memory.bytes + open->memory_offset + open->length_bytes;
    entry_seal(entry, header, &log->tail);
    append_count(log, open, header->length_bytes);
    return log->tail.index;
}

void log_append_begin(struct log *log, const struct entry_header *header) {
    struct log_write *open = log_memory_open(&log->memory);
    ASSERT(open != NULL && header->length_bytes <= log->reserved_bytes);
    log->appending = true;
    log->sealed = false;
    entry_seal_begin(&log->sealing, log->memory.bytes + open->memory_offset + open->length_bytes,
                     header, &log->tail);
}

bool log_append_slice(struct log *log, uint32_t length_bytes) {
    struct log_write *open = log_memory_open(&log->memory);
    ASSERT(open != NULL && log->appending);
    uint8_t *write = log->memory.bytes + open->memory_offset;
    uint8_t *entry = write + open->length_bytes;
    if (!log->sealed) {
        log->sealed = entry_seal_slice(&log->sealing, entry, length_bytes);
        if (log->sealed) {
            struct entry_tail tail = log->tail; /* the log's own moves on at the end */
            entry_seal_end(&log->sealing, entry, &tail);
        }
        return false;
    }
    const uint32_t header_bytes = (uint32_t)open->header_sectors * SECTOR_BYTES;
    const uint32_t end_bytes =
        open->length_bytes + entry_stride_bytes(log->sealing.header.length_bytes);
    const uint32_t sectors = (end_bytes - header_bytes) / SECTOR_BYTES; /* complete ones */
    if (log->options.durability == DURABILITY_NONE || open->summed_sectors >= sectors)
        return true;
    const uint32_t slice = (length_bytes + SECTOR_BYTES - 1) / SECTOR_BYTES;
    const uint32_t left = sectors - open->summed_sectors;
    const uint32_t to = open->summed_sectors + (slice < left ? slice : left);
    write_sums_add(write, open->header_sectors, open->summed_sectors, to);
    open->summed_sectors = to;
    return to == sectors;
}

uint64_t log_append_end(struct log *log) {
    struct log_write *open = log_memory_open(&log->memory);
    ASSERT(open != NULL && log->appending && log->sealed);
    log->appending = false;
    uint8_t *entry = log->memory.bytes + open->memory_offset + open->length_bytes;
    entry_seal_end(&log->sealing, entry, &log->tail);
    append_count(log, open, log->sealing.header.length_bytes);
    return log->tail.index;
}

void log_append_cancel(struct log *log) {
    struct log_write *open = log_memory_open(&log->memory);
    if (open != NULL && open->entry_count == 0)
        log_memory_drop_open(&log->memory); /* or the log would never be idle */
    else if (log->appending && open != NULL)
        open->summed_sectors = 0; /* some may have been of the entry that is not to be */
    log->appending = false;
    log->reserved_bytes = 0;
}

int log_append_copy(struct log *log, const uint8_t *entry, size_t available_bytes, bool earlier) {
    ASSERT(log->truncate == TRUNCATE_NONE);
    struct entry_tail tail = log->tail;
    if (entry_check(entry, available_bytes, log->options.entry_bytes_max, &tail) != ENTRY_VALID)
        return WEIR_ECORRUPT;
    const struct entry_header header = entry_header_read(entry);
    uint64_t kept_bytes = earlier ? LOG_RESERVE_EARLIER_BYTES : LOG_RESERVE_BYTES;
    if (header.kind != ENTRY_COMMANDS)
        kept_bytes = 0;
    uint8_t *place = reserve_keeping(log, header.length_bytes, kept_bytes);
    if (place == NULL)
        return log->state == LOG_FULL ? WEIR_ENOSPC : WEIR_EFULL;

    const uint32_t stride = entry_stride_bytes(header.length_bytes);
    memcpy(place, entry, header.length_bytes);
    memset(place + header.length_bytes, 0, stride - header.length_bytes);
    log->tail = tail;
    append_count(log, log_memory_open(&log->memory), header.length_bytes);
    return 0;
}

/* ---- group commit ------------------------------------------------------------------------- */

/* Fills in the header of the oldest closed write and hands it to the disk. */
static void write_submit(struct log *log) {
    struct log_write *write = log_memory_write(&log->memory, log->memory.writes_submit);
    ASSERT(write->state == LOG_WRITE_CLOSED);
    const uint64_t stride = write_stride_bytes(write->length_bytes, log->active.block_bytes);
    uint8_t *bytes = log->memory.bytes + write->memory_offset;
    log->flying = (struct write_header){
        .generation = log->active.generation,
        .position = {.segment = log->active.number, .offset = log->active_offset},
        .durable_end = log->durable_end,
        .kind = WRITE_ENTRIES,
        .header_sectors = write->header_sectors,
        .length_bytes = write->length_bytes,
        .entry_count = write->entry_count,
        .before = write->before,
    };
    write_header_finish(bytes, &log->active, &log->flying, write->summed_sectors);
    write->state = LOG_WRITE_FLYING;
    log->memory.writes_submit++;
    log->submitted_index = write->last_index;
    log->active_offset += stride;
    enum io_sync sync = log->active_offset <= log->active_zeroed ? IO_SYNC_REWRITE : IO_SYNC;
    log_write_start(log, WRITING_ENTRIES, log->active_file, bytes, stride,
                    log->flying.position.offset,
                    MUTANT(ACKNOWLEDGES_BEFORE_SYNC, IO_NO_SYNC,
                           log->options.durability == DURABILITY_FSYNC ? sync : IO_NO_SYNC));
}

/* DURABILITY_NONE: what is in memory counts as durable. */
static void memory_only_flush(struct log *log) {
    struct log_memory *memory = &log->memory;
    while (memory->writes_submit < memory->writes_end) {
        struct log_write *write = log_memory_write(memory, memory->writes_submit);
        if (write->entry_count == 0 || (write->state == LOG_WRITE_OPEN && log->appending))
            break;
        write->state = LOG_WRITE_DONE;
        memory->writes_submit++;
    }
    log->durable_index = log->tail.index;
    log->placed_offset = log->active_offset;
    log_memory_free_done(memory, log->released_index);
}

/* The next write of the queue, closing the open one if that is allowed; or NULL. */
static struct log_write *write_next(struct log *log, bool close_open) {
    if (log->memory.writes_submit == log->memory.writes_end)
        return NULL;
    struct log_write *write = log_memory_write(&log->memory, log->memory.writes_submit);
    if (write->state == LOG_WRITE_OPEN) {
        if (!close_open || write->entry_count == 0 || log->appending)
            return NULL;
        open_close(log, write);
    }
    return write;
}

/* Nothing is queued any more and log_stop was called: what is left to do. */
static void stop_pump(struct log *log) {
    if (log->options.durability == DURABILITY_WRITE && log->active_unsynced) {
        log_set_busy(log, LOG_OPERATION_WRITE);
        log->writing = WRITING_STOP_SYNC;
        io_file_sync(log->port, log->active_file, log_user(LOG_OPERATION_WRITE));
    } else if (log->options.durability != DURABILITY_NONE &&
               log->operations_busy == 0 /* a segment being retired counts once it is synced */ &&
               log_position_less(log->recorded_end, log->entries_end)) {
        segment_mark_write(log, WRITE_MARK);
    } else {
        log->stopped = log->operations_busy == 0;
    }
}

void log_pump(struct log *log, bool close_open) {
    if (log->state == LOG_FAILED)
        return;
    if (log->options.durability == DURABILITY_NONE)
        memory_only_flush(log);
    if (log_is_busy(log, LOG_OPERATION_WRITE))
        return;
    if (log->switching != SWITCH_NONE) {
        segment_switch_pump(log);
        /* Whoever stops does not wait for the room that a truncation needs. */
        log->stopped = log->stopping && log->spare == SPARE_STARVED && log->operations_busy == 0;
        return;
    }
    const bool is_last_call = log->stopping || log->truncate != TRUNCATE_NONE;
    struct log_write *write = write_next(log, close_open || is_last_call);
    if (write != NULL) {
        const uint64_t usable =
            segment_usable_bytes(log->active.segment_bytes, log->active.block_bytes);
        const uint64_t stride = write_stride_bytes(write->length_bytes, log->active.block_bytes);
        if (log->active_offset + stride <= usable)
            write_submit(log);
        else
            segment_switch_start(log, SEGMENT_NEXT, &write->before);
    } else if (log->truncate == TRUNCATE_PENDING) {
        segment_switch_start(log, log->truncate_origin, &log->truncate_tail);
    } else if (log->stopping && log->truncate == TRUNCATE_NONE) {
        stop_pump(log);
    } else if (log->stopping && log->seeker.state == READER_STARVED) {
        log->stopped = log->operations_busy == 0; /* nor for the descriptor */
    }
}

void log_flush(struct log *log) {
    log_pump(log, true);
}

void log_release(struct log *log, uint64_t index) {
    ASSERT(index <= log->tail.index);
    if (index <= log->released_index)
        return;
    log->released_index = index;
    log_memory_free_done(&log->memory, index);
}

void log_stop(struct log *log) {
    ASSERT(!log->appending);
    log->stopping = true;
    log_pump(log, true);
}

/* ---- completions -------------------------------------------------------------------------- */

/* The one write of entries in flight is done. */
static void entries_completed(struct log *log) {
    struct log_write *write = log_memory_write(&log->memory, log->memory.writes_submit - 1);
    ASSERT(write->state == LOG_WRITE_FLYING);
    const uint64_t now_ns = io_monotonic_ns(log->io);
    const uint64_t took_ns = now_ns - log->flying_started_ns;
    write->state = LOG_WRITE_DONE;
    /* Not above a truncation that happened while it flew: last_index shrank with it. */
    if (write->last_index > log->durable_index)
        log->durable_index = write->last_index;
    log->stored_index = log->durable_index;
    samples_add(log, write->before.index + 1, log->flying.position, log->flying_bytes);
    log->entries_end =
        (struct log_position){.segment = log->active.number, .offset = log->active_offset};
    log->recorded_end = log->flying.durable_end;
    if (log->options.durability == DURABILITY_FSYNC) {
        log->durable_end = log->entries_end;
        log->counters.syncs++;
    } else {
        log->active_unsynced = true;
    }
    log->write_last_ns = now_ns;
    log->counters.writes++;
    log->counters.write_bytes += log->flying_bytes;
    log->counters.write_ns_total += took_ns;
    if (took_ns > log->counters.write_ns_max)
        log->counters.write_ns_max = took_ns;
    log_memory_free_done(&log->memory, log->released_index);
}

static void write_completed(struct log *log, int32_t result) {
    char name[FILE_NAME_BYTES];
    const bool is_next =
        log->writing == WRITING_HEADER || (log->writing == WRITING_ZEROS && log->zeroing_spare);
    segment_name(name, log->active.number + (is_next ? 1 : 0));
    if (MUTANT(GOES_ON_AFTER_SYNC, false, result < 0)) {
        log_fail(log, "writing or syncing", name, result);
        return;
    }
    if (log->state == LOG_FAILED)
        return; /* nothing that was not durable then is called durable now */
    const struct log_position end = {.segment = log->active.number, .offset = log->active_offset};
    switch (log->writing) {
    case WRITING_ENTRIES: entries_completed(log); break;
    case WRITING_MARK:
        log->recorded_end = log->flying.durable_end;
        log->durable_end = end;
        log->counters.syncs++;
        break;
    case WRITING_STOP_SYNC:
        log->durable_end = end;
        log->active_unsynced = false;
        log->counters.syncs++;
        break;
    case WRITING_HEADER:
    case WRITING_SEAL:
        log->counters.syncs++;
        segment_switch_completed(log);
        break;
    case WRITING_ZEROS: segment_zeros_completed(log); break;
    }
}

bool log_completion(struct log *log, const struct io_completion *completion) {
    if (completion->user >> 32 != LOG_USER_TAG)
        return false;
    const enum log_operation operation = (enum log_operation)(uint32_t)completion->user;
    ASSERT(operation < LOG_OPERATION_COUNT && log_is_busy(log, operation));
    log->operations_busy &= ~(1u << operation);
    switch (operation) {
    case LOG_OPERATION_WRITE: write_completed(log, completion->result); break;
    case LOG_OPERATION_SPARE: segment_spare_completed(log, completion->result); break;
    case LOG_OPERATION_REMOVE: segment_remove_completed(log, completion->result); break;
    case LOG_OPERATION_RETIRE: segment_retire_completed(log, completion->result); break;
    case LOG_OPERATION_READ: reader_completed(log, &log->reader, completion->result); break;
    case LOG_OPERATION_SEEK: reader_completed(log, &log->seeker, completion->result); break;
    case LOG_OPERATION_COUNT: UNREACHABLE("asserted above");
    }
    /* Closed writes go at once; the open one takes along what this poll appends. */
    log_pump(log, log->stopping);
    return true;
}
