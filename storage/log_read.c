/*
 * Entries that are only on disk: for peers and apply shards that lag, and for truncation.
 *
 * Happy path: the sparse index (samples) gives a write at or before the wanted entry; its segment
 * is opened; a large piece is read; the walk goes from write header to write header and copies
 * entries from the wanted one on into the caller's buffer, each checked against its predecessor.
 *
 * A write header knows what precedes its first entry (index, term, time, chain), so the walk can
 * begin at any write and still check the chain.
 *
 * Failure modes: the disk fails (WEIR_EIO); the bytes are not what was written (WEIR_ECORRUPT);
 * the buffer cannot hold the first entry (WEIR_EFULL, and how large it is); the segment was removed
 * meanwhile (WEIR_ENOENT); no file descriptor is left (the read waits for one).
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "base/log.h"
#include "storage/files.h"
#include "storage/log_internal.h"

#include <errno.h>
#include <string.h>

/* ---- the sparse index --------------------------------------------------------------------- */

void samples_add(struct log *log, uint64_t first_index, struct log_position position,
                 uint64_t stride_bytes) {
    log->sample_bytes += stride_bytes;
    if (log->sample_bytes < log->sample_stride_bytes)
        return;
    if (log->sample_count == LOG_SAMPLES_MAX) {
        /* Every second one goes, and from now on they are twice as far apart. */
        for (uint32_t i = 0; i < LOG_SAMPLES_MAX / 2; i++)
            log->samples[i] = log->samples[2 * i];
        log->sample_count = LOG_SAMPLES_MAX / 2;
        log->sample_stride_bytes *= 2;
    }
    log->sample_bytes = 0;
    log->samples[log->sample_count++] =
        (struct log_sample){.first_index = first_index, .position = position};
}

void samples_truncate(struct log *log, uint64_t index) {
    while (log->sample_count > 0 && log->samples[log->sample_count - 1].first_index > index)
        log->sample_count--;
}

/* The segment in which entry `index` counts: the last one that begins at or before it. */
static const struct log_segment *segment_of(const struct log *log, uint64_t index) {
    for (uint32_t i = log->segment_count; i-- > log->remove_count;) {
        if (log->segments[i].before.index < index)
            return &log->segments[i];
    }
    UNREACHABLE("the caller checked that the entry is in the log");
}

/* A place at or before the write that holds `index`, in its segment. */
static struct log_position position_of(const struct log *log, uint64_t index) {
    const struct log_segment *segment = segment_of(log, index);
    struct log_position position = {.segment = segment->number, .offset = SEGMENT_HEADER_BYTES};
    uint32_t low = 0;
    uint32_t high = log->sample_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (log->samples[middle].first_index <= index)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0 && log->samples[low - 1].position.segment == segment->number)
        position = log->samples[low - 1].position;
    return position;
}

/* ---- the reader --------------------------------------------------------------------------- */

int reader_create(struct log_reader *reader, enum log_operation operation, size_t scratch_bytes) {
    *reader = (struct log_reader){
        .operation = operation,
        .file = -1,
        .scratch = files_memory(scratch_bytes),
        .scratch_bytes = scratch_bytes,
    };
    return reader->scratch == NULL ? WEIR_ENOMEM : 0;
}

static void reader_close_file(struct log *log, struct log_reader *reader) {
    if (reader->file >= 0)
        io_close(log->io, reader->file);
    reader->file = -1;
    reader->file_segment = 0;
}

void reader_destroy(struct log *log, struct log_reader *reader) {
    reader_close_file(log, reader);
    files_memory_free(reader->scratch, reader->scratch_bytes);
    reader->scratch = NULL;
}

static void reader_finish(struct log *log, struct log_reader *reader, int error) {
    reader->error = reader->count > 0 ? 0 : error;
    reader->state = READER_DONE;
    if (reader->operation != LOG_OPERATION_SEEK)
        return;
    /* log_truncate wanted the entry that is to be the last. */
    ASSERT(log->truncate == TRUNCATE_SEEKING);
    if (reader->error != 0) {
        log_fail(log, "reading the entry to truncate to from", reader->name, -EIO);
        return;
    }
    const struct entry_header header = entry_header_read(reader->buffer);
    log->truncate_tail = (struct entry_tail){.index = header.index,
                                             .term = header.term,
                                             .log_time_ms = header.log_time_ms,
                                             .chain = header.chain};
    ASSERT(header.index == log->tail.index);
    log->tail = log->truncate_tail;
    log->truncate = TRUNCATE_PENDING;
    reader->state = READER_IDLE;
}

/* Reads the next piece of the segment, opening it first if another one is open. */
static void reader_continue(struct log *log, struct log_reader *reader) {
    log_set_busy(log, reader->operation);
    if (reader->file_segment != reader->position.segment) {
        reader_close_file(log, reader);
        reader->state = READER_OPENING;
        segment_name(reader->name, reader->position.segment);
        io_file_open(log->port, log->directory, reader->name, IO_OPEN_READ | IO_OPEN_DIRECT,
                     log_user(reader->operation));
        return;
    }
    ASSERT(reader->position.offset < reader->file_bytes);
    const uint64_t left = reader->file_bytes - reader->position.offset;
    reader->state = READER_READING;
    io_file_read(log->port, reader->file, reader->scratch,
                 left < reader->scratch_bytes ? (size_t)left : reader->scratch_bytes,
                 reader->position.offset, log_user(reader->operation));
}

void reader_start(struct log *log, struct log_reader *reader, uint64_t index, uint8_t *buffer,
                  size_t buffer_bytes) {
    ASSERT(reader->state == READER_IDLE);
    reader->wanted_index = index;
    reader->limit_index = UINT64_MAX;
    reader->buffer = buffer;
    reader->buffer_bytes = buffer_bytes;
    reader->length_bytes = 0;
    reader->first_index = index;
    reader->count = 0;
    reader->error = 0;
    reader->position = position_of(log, index);
    reader_continue(log, reader);
}

enum copy_result { COPY_GO_ON, COPY_ENOUGH, COPY_CORRUPT };

/* Copies the wanted entries of one write whose bytes are all at `write`. */
static enum copy_result copy_entries(const struct log *log, struct log_reader *reader,
                                     const uint8_t *write, const struct write_header *header) {
    struct entry_tail tail = header->before;
    uint64_t at = (uint64_t)header->header_sectors * SECTOR_BYTES;
    for (uint32_t i = 0; i < header->entry_count; i++) {
        const uint8_t *entry = write + at;
        if (entry_check(entry, header->length_bytes - at, UINT32_MAX - ENTRY_ALIGN_BYTES, &tail) !=
            ENTRY_VALID)
            return COPY_CORRUPT;
        const uint32_t length_bytes = entry_header_read(entry).length_bytes;
        uint32_t stride = entry_stride_bytes(length_bytes);
        at += stride;
        if (reader->operation == LOG_OPERATION_SEEK)
            stride = ENTRY_HEADER_BYTES; /* of one entry: all that a truncation wants */
        if (tail.index > reader->limit_index || tail.index > log->stored_index)
            return COPY_ENOUGH;
        if (tail.index < reader->wanted_index)
            continue;
        if (stride > reader->buffer_bytes - reader->length_bytes) {
            if (reader->count == 0) {
                reader->error = WEIR_EFULL;
                reader->length_bytes = stride;
            }
            return COPY_ENOUGH;
        }
        memcpy(reader->buffer + reader->length_bytes, entry, stride);
        reader->length_bytes += stride;
        reader->count++;
        reader->wanted_index++;
        if (reader->operation == LOG_OPERATION_SEEK)
            return COPY_ENOUGH;
        if (tail.index == log->stored_index ||
            segment_of(log, tail.index + 1)->number != header->position.segment)
            return COPY_ENOUGH; /* what follows here is void, or not there yet */
    }
    return COPY_GO_ON;
}

/* Takes what a read brought: whole writes, one after the other. */
static void reader_take(struct log *log, struct log_reader *reader, size_t bytes) {
    /* Enough of a segment header for write_header_read to judge by. */
    const struct log_segment *known = segment_of(log, reader->wanted_index);
    struct segment_header segment = log->active;
    segment.number = known->number;
    segment.generation = known->generation;
    segment.block_bytes = known->block_bytes;
    ASSERT(segment.number == reader->position.segment);
    const uint64_t base = reader->position.offset;
    for (;;) {
        const uint64_t at = reader->position.offset - base;
        struct write_header header;
        struct format_fault fault;
        const enum format_state state =
            write_header_read(reader->scratch + at, at < bytes ? bytes - at : 0,
                              reader->position.offset, &segment, &header, &fault);
        if (state != FORMAT_VALID) {
            /* Cut by the end of this piece, unless it stood at its beginning. */
            if (at > 0 && reader->count == 0)
                reader_continue(log, reader);
            else
                reader_finish(log, reader, WEIR_ECORRUPT);
            return;
        }
        switch (copy_entries(log, reader, reader->scratch + at, &header)) {
        case COPY_ENOUGH: reader_finish(log, reader, reader->error); return;
        case COPY_CORRUPT: reader_finish(log, reader, WEIR_ECORRUPT); return;
        case COPY_GO_ON: break;
        }
        reader->position.offset += write_stride_bytes(header.length_bytes, segment.block_bytes);
    }
}

/* No descriptor is left: nothing is wrong with the segment, and there will be one. */
static void reader_starve(struct log *log, struct log_reader *reader) {
    reader->state = READER_STARVED;
    reader->retry_ns = io_monotonic_ns(log->io) + LOG_SPACE_RETRY_NS;
    log_warn_limited("log_short_of_descriptors",
                     "segment=%s consequence=\"reading it waits for a file descriptor\"",
                     reader->name);
}

void reader_retry(struct log *log, struct log_reader *reader) {
    if (reader->state == READER_STARVED && log->now_ns >= reader->retry_ns && !log->stopping)
        reader_continue(log, reader); /* what was truncated meanwhile shows when it is open */
}

void reader_completed(struct log *log, struct log_reader *reader, int32_t result) {
    const bool is_no_descriptor =
        reader->state == READER_OPENING && (result == -EMFILE || result == -ENFILE);
    if (is_no_descriptor && log->state != LOG_FAILED) {
        reader_starve(log, reader);
    } else if (log->state == LOG_FAILED || result < 0) {
        if (reader->state == READER_OPENING && result >= 0)
            reader->file = result; /* log_close closes it */
        reader_finish(log, reader, result == -ENOENT ? WEIR_ENOENT : WEIR_EIO);
    } else if ((reader->wanted_index > reader->limit_index && reader->count == 0) ||
               reader->wanted_index < log_first_index(log)) {
        if (reader->state == READER_OPENING)
            reader->file = result;
        reader_close_file(log, reader);
        reader_finish(log, reader, WEIR_ENOENT); /* truncated, or removed, meanwhile */
    } else if (reader->state == READER_OPENING) {
        reader->file = result;
        reader->file_segment = reader->position.segment;
        reader->file_bytes = io_file_size_bytes(log->io, result);
        if (reader->position.offset >= reader->file_bytes)
            reader_finish(log, reader, WEIR_ECORRUPT);
        else
            reader_continue(log, reader);
    } else {
        reader_take(log, reader, (size_t)result);
    }
}

void log_read(struct log *log, uint64_t index, uint8_t *buffer, size_t buffer_bytes) {
    ASSERT(index >= log_first_index(log) && index <= log->stored_index);
    ASSERT((uintptr_t)buffer % ENTRY_ALIGN_BYTES == 0);
    reader_start(log, &log->reader, index, buffer, buffer_bytes);
}

static void reader_drop_last(struct log_reader *reader) {
    size_t at = 0;
    reader->count--;
    for (uint32_t i = 0; i < reader->count; i++)
        at += entry_stride_bytes(entry_header_read(reader->buffer + at).length_bytes);
    reader->length_bytes = at;
    if (reader->count == 0)
        reader->error = WEIR_ENOENT;
}

bool log_read_result(struct log *log, uint64_t *first_index, uint32_t *count, size_t *length_bytes,
                     int *error) {
    struct log_reader *reader = &log->reader;
    if (reader->state != READER_DONE)
        return false;
    reader->state = READER_IDLE;
    /* A truncation after the read was done: what it made void is not handed out. */
    while (reader->count > 0 && reader->first_index + reader->count - 1 > reader->limit_index)
        reader_drop_last(reader);
    *first_index = reader->first_index;
    *count = reader->count;
    *length_bytes = reader->length_bytes;
    *error = reader->error;
    return true;
}

bool log_tail_at(const struct log *log, uint64_t index, struct entry_tail *out) {
    ASSERT(log->truncate == TRUNCATE_NONE && index <= log->tail.index);
    if (index == log->tail.index) {
        *out = log->tail;
        return true;
    }
    const uint8_t *entry = index == 0 ? NULL : log_entry(log, index);
    if (entry != NULL) {
        const struct entry_header header = entry_header_read(entry);
        *out = (struct entry_tail){.index = header.index,
                                   .term = header.term,
                                   .log_time_ms = header.log_time_ms,
                                   .chain = header.chain};
        return true;
    }
    /* What is applied has left the memory at once; the oldest write there knows what is before. */
    const struct log_memory *memory = &log->memory;
    if (memory->writes_begin < memory->writes_end) {
        *out = log_memory_write(memory, memory->writes_begin)->before;
        if (out->index == index)
            return true;
    }
    for (uint32_t i = log->segment_count; i-- > log->remove_count;) {
        if (log->segments[i].before.index > index)
            continue;
        /* The entry is in this one, or the one before its first; what older ones say is void. */
        *out = log->segments[i].before;
        return out->index == index;
    }
    return false;
}
