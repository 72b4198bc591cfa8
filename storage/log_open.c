/*
 * Opening a log: recovery; and closing it.
 *
 * Happy path: list the segments, read their headers, plan (log_verify.c), read and verify the live
 * ones from the first to the last, sync what was found, and go on writing where the last one ends.
 *
 * Failure modes:
 *   - Damage that is not a torn tail, a gap, a foreign or unreadable file: nothing is changed, and
 *     the sentence names file, offset, reason and what to do.
 *   - A torn tail: the log is cut there by beginning a new segment of the next generation.
 *   - The snapshot is newer than the log's end, or the log has an entry of another term where the
 *     snapshot ends: the log begins again behind the snapshot, likewise.
 *   - A segment without a header at the end was allocated ahead, and possibly was about to become
 *     the next one when the power went; nothing was ever appended to it: it is removed.
 *
 * What is found may never have been synced (the process was killed, not the machine): it is synced
 * before it is called durable, since later writes will rely on it.
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "base/log.h"
#include "storage/files.h"
#include "storage/log_internal.h"
#include "storage/log_verify.h"

#include <stdlib.h>
#include <string.h>

enum { BLANK_PIECE_BYTES = 1024 * 1024 }; /* one read: full bandwidth; whole blocks */

/* A recovery under way. */
struct opening {
    struct log *log;
    const struct log_start *start;
    void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total);
    void (*on_entry)(void *context, const uint8_t *entry);
    void *context;
    struct error_text *error;

    uint64_t *numbers; /* of the files there are, ascending */
    uint32_t count;
    uint64_t blank_number; /* of a last file that was only allocated ahead; 0: none */
    bool has_strange_file; /* a directory or other thing with a segment's name */
    char strange_name[FILE_NAME_BYTES];
    struct verify_segment *segments; /* the first `count` of them have headers */
    uint64_t *sizes;
    uint32_t first_live;
    uint8_t *image; /* of the segment being walked */
    size_t image_bytes;
    uint64_t bytes_done;
    uint64_t bytes_total;
    struct verify_walk walk;
    uint64_t entries_end_offset; /* in the segment walked last */
    uint64_t segment_walked;     /* its number */
};

static const char *const ADVICE_REBUILD =
    "nothing was changed; run `weir inspect` to see what is affected, then restore this node's "
    "data directory from a backup, or remove it and add the node again as a new member";

static int opening_refuse(struct opening *opening, uint64_t number,
                          const struct format_fault *fault) {
    char name[FILE_NAME_BYTES];
    segment_name(name, number);
    error_text_set(opening->error, "%s: at offset %llu: %s; %s", name,
                   (unsigned long long)fault->offset, fault->reason, ADVICE_REBUILD);
    return fault->error;
}

/* ---- what is there ------------------------------------------------------------------------ */

static void note_file(void *context, const char *name, uint64_t size_bytes,
                      enum io_entry_sort sort) {
    struct opening *opening = context;
    const uint64_t number = segment_name_number(name);
    if (number == 0)
        return;
    if (sort != IO_ENTRY_FILE) {
        opening->has_strange_file = true;
        segment_name(opening->strange_name, number);
        return;
    }
    if (opening->count > LOG_SEGMENTS_MAX)
        return;
    uint32_t at = opening->count++;
    while (at > 0 && opening->numbers[at - 1] > number) {
        opening->numbers[at] = opening->numbers[at - 1];
        opening->sizes[at] = opening->sizes[at - 1];
        at--;
    }
    opening->numbers[at] = number;
    opening->sizes[at] = size_bytes;
}

static int files_find(struct opening *opening) {
    struct log *log = opening->log;
    if (io_directory_list(log->io, log->directory, note_file, opening) != 0) {
        error_text_set(opening->error, "cannot list the data directory; check the disk");
        return WEIR_EIO;
    }
    if (opening->has_strange_file) {
        error_text_set(opening->error,
                       "\"%s\" is not a regular file; move it out of the data directory",
                       opening->strange_name);
        return WEIR_ECORRUPT;
    }
    if (opening->count == 0) {
        error_text_set(opening->error,
                       "the data directory holds no log segment, although it was created with "
                       "one; %s",
                       ADVICE_REBUILD);
        return WEIR_ECORRUPT;
    }
    if (opening->count > LOG_SEGMENTS_MAX) {
        error_text_set(opening->error, "more than %d log segments; take a snapshot more often",
                       LOG_SEGMENTS_MAX);
        return WEIR_ELIMIT;
    }
    return 0;
}

/* ---- headers ------------------------------------------------------------------------------ */

/* Opens a segment, of which so many bytes are to be read. */
static int image_open(struct opening *opening, uint32_t i, uint64_t length_bytes,
                      char name[FILE_NAME_BYTES], int32_t *file) {
    const struct log *log = opening->log;
    segment_name(name, opening->numbers[i]);
    /* Direct reads want whole blocks: not for a file whose allocation was cut short. */
    const uint32_t direct = length_bytes % BLOCK_BYTES_MAX == 0 ? IO_OPEN_DIRECT : 0;
    return files_open(log->port, log->directory, name, IO_OPEN_READ | direct, file, opening->error);
}

/* Reads the beginning of a segment, as far as the file goes. */
static int image_read(struct opening *opening, uint32_t i, uint64_t length_bytes, uint8_t *memory) {
    struct log *log = opening->log;
    char name[FILE_NAME_BYTES];
    int32_t file;
    if (length_bytes > opening->sizes[i])
        length_bytes = opening->sizes[i];
    int error = image_open(opening, i, length_bytes, name, &file);
    if (error != 0)
        return error;
    if (length_bytes > 0)
        error = files_read(log->port, file, name, memory, length_bytes, 0, opening->error);
    io_close(log->io, file);
    return error;
}

/* Whether a file is zero to its end.  It is read by pieces into the same memory: a segment of
 * 64 MiB, the usual size, would want 16,384 pages, and the kernel's time for each. */
static int zeros_read(struct opening *opening, uint32_t i, uint8_t *piece, bool *is_zero) {
    struct log *log = opening->log;
    char name[FILE_NAME_BYTES];
    int32_t file;
    const uint64_t size_bytes = opening->sizes[i];
    int error = image_open(opening, i, size_bytes, name, &file);
    if (error != 0)
        return error;
    *is_zero = true;
    for (uint64_t at = 0; at < size_bytes && error == 0 && *is_zero; at += BLANK_PIECE_BYTES) {
        const uint64_t left = size_bytes - at;
        const size_t some = left < BLANK_PIECE_BYTES ? (size_t)left : BLANK_PIECE_BYTES;
        const size_t whole = ALIGN_UP(some, (size_t)BLOCK_BYTES_MAX);
        memset(piece + some, 0, whole - some);
        error = files_read(log->port, file, name, piece, some, at, opening->error);
        *is_zero = format_zero_bytes(piece, whole) == whole;
    }
    io_close(log->io, file);
    return error;
}

/*
 * The last file may be a segment that was allocated ahead: no header, nothing else.  It is removed
 * once everything else is verified (a log that is refused is left as it was), so that what comes
 * next creates it anew.
 */
static int blank_check(struct opening *opening, uint32_t i) {
    if (opening->sizes[i] > 0) {
        uint8_t *piece = files_memory(BLANK_PIECE_BYTES);
        if (piece == NULL)
            return WEIR_ENOMEM;
        bool is_zero = false;
        int error = zeros_read(opening, i, piece, &is_zero);
        files_memory_free(piece, BLANK_PIECE_BYTES);
        if (error != 0)
            return error;
        if (!is_zero) {
            struct format_fault fault;
            format_refuse(&fault, WEIR_ECORRUPT, 0,
                          "the segment's header is missing, and there is something behind it");
            return opening_refuse(opening, opening->numbers[i], &fault);
        }
    }
    opening->blank_number = opening->numbers[i];
    return 0;
}

static int blank_remove(struct opening *opening) {
    struct log *log = opening->log;
    if (opening->blank_number == 0)
        return 0;
    char name[FILE_NAME_BYTES];
    segment_name(name, opening->blank_number);
    const int error = files_remove(log->port, log->directory, name, opening->error);
    return error != 0 ? error : files_directory_sync(log->port, log->directory, opening->error);
}

static int headers_read(struct opening *opening) {
    const struct owner owner = owner_of(&opening->log->identity);
    uint8_t *memory = files_memory(SEGMENT_HEADER_BYTES);
    if (memory == NULL)
        return WEIR_ENOMEM;
    int error = 0;
    const uint32_t file_count = opening->count;
    for (uint32_t i = 0; i < file_count && error == 0; i++) {
        struct format_fault fault;
        memset(memory, 0, SEGMENT_HEADER_BYTES);
        error = image_read(opening, i, SEGMENT_HEADER_BYTES, memory);
        if (error != 0)
            break;
        struct segment_header *header = &opening->segments[i].header;
        const enum format_state state = segment_header_read(memory, SEGMENT_HEADER_BYTES, &owner,
                                                            opening->numbers[i], header, &fault);
        if (state == FORMAT_BLANK && i > 0 && i == file_count - 1) {
            error = blank_check(opening, i);
            opening->count--;
        } else if (state == FORMAT_BLANK) {
            format_refuse(&fault, WEIR_ECORRUPT, 0, "the segment's header is missing");
            error = opening_refuse(opening, opening->numbers[i], &fault);
        } else if (state != FORMAT_VALID) {
            error = opening_refuse(opening, opening->numbers[i], &fault);
        } else if (opening->sizes[i] < header->segment_bytes) {
            format_refuse(&fault, WEIR_ECORRUPT, opening->sizes[i],
                          "the file is shorter than its header says");
            error = opening_refuse(opening, opening->numbers[i], &fault);
        }
    }
    files_memory_free(memory, SEGMENT_HEADER_BYTES);
    return error;
}

/* ---- entries ------------------------------------------------------------------------------ */

static void on_write(void *context, const struct write_header *write, uint64_t offset,
                     uint64_t stride_bytes) {
    struct opening *opening = context;
    if (write->kind != WRITE_ENTRIES)
        return;
    samples_add(opening->log, write->before.index + 1, write->position, stride_bytes);
    opening->entries_end_offset = offset + stride_bytes;
}

static void on_entry(void *context, const uint8_t *entry, uint64_t offset) {
    struct opening *opening = context;
    (void)offset;
    const struct entry_header header = entry_header_read(entry);
    log_terms_append(opening->log, header.index, header.term);
    if (opening->on_entry != NULL && header.index > opening->start->tail.index &&
        !opening->walk.superseded)
        opening->on_entry(opening->context, entry);
}

static int segment_walk(struct opening *opening, uint32_t i) {
    struct log *log = opening->log;
    const struct verify_segment *segment = &opening->segments[i];
    const size_t image_bytes = (size_t)segment->header.segment_bytes;
    if (image_bytes > opening->image_bytes) {
        /* Kept from one segment to the next: fresh memory costs as much as reading into it. */
        files_memory_huge_free(opening->image, opening->image_bytes);
        opening->image = files_memory_huge(image_bytes);
        opening->image_bytes = opening->image == NULL ? 0 : image_bytes;
    }
    uint8_t *image = opening->image;
    if (image == NULL) {
        error_text_set(opening->error, "no memory to verify a segment of %zu bytes", image_bytes);
        return WEIR_ENOMEM;
    }
    int error = image_read(opening, i, image_bytes, image);
    if (error == 0) {
        struct format_fault fault;
        log->sample_bytes = log->sample_stride_bytes; /* each segment's first write is sampled */
        opening->entries_end_offset = SEGMENT_HEADER_BYTES;
        error = verify_segment(&opening->walk, segment, image, &fault);
        if (error != 0)
            error = opening_refuse(opening, opening->numbers[i], &fault);
    }
    opening->bytes_done += image_bytes;
    if (opening->progress != NULL)
        opening->progress(opening->context, opening->bytes_done, opening->bytes_total);
    return error;
}

static int entries_verify(struct opening *opening) {
    struct log *log = opening->log;
    struct format_fault fault;
    uint32_t faulty;
    int error = verify_plan(opening->segments, opening->count, &opening->start->tail,
                            &opening->first_live, &faulty, &fault);
    if (error != 0)
        return opening_refuse(opening, opening->numbers[faulty], &fault);
    for (uint32_t i = 0; i < opening->count; i++) {
        const struct segment_header *header = &opening->segments[i].header;
        log->segments[i] = (struct log_segment){.number = header->number,
                                                .generation = header->generation,
                                                .before = header->before,
                                                .block_bytes = header->block_bytes};
        opening->bytes_total += opening->segments[i].live ? header->segment_bytes : 0;
    }
    log->segment_count = opening->count;
    /* Dead ones at the front go as soon as the log runs. */
    log->remove_count = opening->first_live;

    opening->walk = (struct verify_walk){
        .start = opening->start->tail,
        .tail = opening->segments[opening->first_live].header.before,
        .on_write = on_write,
        .on_entry = on_entry,
        .context = opening,
    };
    for (uint32_t i = opening->first_live; i < opening->count && error == 0; i++) {
        if (opening->segments[i].live)
            error = segment_walk(opening, i);
    }
    return error;
}

/* ---- going on ----------------------------------------------------------------------------- */

/* Opens for writing, and syncs, every live segment that may hold what was never synced. */
static int segments_sync(struct opening *opening) {
    struct log *log = opening->log;
    for (uint32_t i = opening->first_live; i < opening->count; i++) {
        char name[FILE_NAME_BYTES];
        int32_t file;
        segment_name(name, opening->numbers[i]);
        int error = files_open(log->port, log->directory, name, IO_OPEN_WRITE | IO_OPEN_DIRECT,
                               &file, opening->error);
        if (error != 0)
            return error;
        error = files_sync(log->port, file, name, opening->error);
        if (error != 0 || i < opening->count - 1)
            io_close(log->io, file);
        else
            log->active_file = file;
        if (error != 0)
            return error;
    }
    return files_directory_sync(log->port, log->directory, opening->error);
}

/* The last segment cannot be written on: begins the next one. */
static int next_begin(struct opening *opening, enum segment_origin origin,
                      const struct entry_tail *before) {
    struct log *log = opening->log;
    const struct segment_header *last = &opening->segments[opening->count - 1].header;
    struct segment_header next = {
        .owner = last->owner,
        .number = last->number + 1,
        .generation = last->generation + (origin == SEGMENT_NEXT ? 0 : 1),
        .segment_bytes = log->options.segment_bytes,
        .block_bytes = log->memory.block_bytes,
        .origin = (uint8_t)origin,
        .before = *before,
        .before_end = {.segment = last->number, .offset = opening->walk.end_offset},
    };
    int32_t file;
    const int error = segment_create(log->io, log->port, log->directory, &next, log->blocks, &file,
                                     opening->error);
    if (error != 0)
        return error;
    io_close(log->io, log->active_file);
    segment_adopt(log, &next, file, SEGMENT_HEADER_BYTES);
    if (origin == SEGMENT_RESTART)
        log->remove_count = log->segment_count - 1;
    return 0;
}

/* Decides how writing goes on behind what was found. */
static int writing_begin(struct opening *opening) {
    struct log *log = opening->log;
    const struct verify_walk *walk = &opening->walk;
    const struct segment_header *last = &opening->segments[opening->count - 1].header;
    char name[FILE_NAME_BYTES];
    segment_name(name, last->number);
    if (walk->tail.index < opening->start->tail.index || walk->superseded) {
        log_info("log_restarts_behind_snapshot", "last_index=%llu snapshot_index=%llu conflict=%d",
                 (unsigned long long)walk->tail.index,
                 (unsigned long long)opening->start->tail.index, walk->superseded);
        log->tail = opening->start->tail;
        log->term_run_count = 0;
        log->sample_count = 0;
        return next_begin(opening, SEGMENT_RESTART, &log->tail);
    }
    log->tail = walk->tail;
    if (walk->torn) {
        log_warn("torn_tail_cut",
                 "segment=%s offset=%llu sector=%llu last_index=%llu reason=\"%s\"", name,
                 (unsigned long long)walk->end_offset, (unsigned long long)walk->torn_offset,
                 (unsigned long long)walk->tail.index, walk->torn_reason);
        return next_begin(opening, SEGMENT_CUT, &log->tail);
    }
    if (last->block_bytes != log->memory.block_bytes)
        return next_begin(opening, SEGMENT_NEXT, &log->tail);

    log->active = *last;
    log->active_offset = walk->end_offset;
    log->durable_end = (struct log_position){.segment = last->number, .offset = walk->end_offset};
    log->recorded_end = walk->durable_end;
    log->entries_end =
        (struct log_position){.segment = last->number, .offset = opening->entries_end_offset};
    return 0;
}

/* Everything in memory that the log needs from now on. */
static int memory_create(struct opening *opening) {
    struct log *log = opening->log;
    const struct log_options *options = &log->options;
    const uint64_t largest_body = options->entry_bytes_max > options->write_bytes_max
                                      ? options->entry_bytes_max
                                      : options->write_bytes_max;
    uint64_t scratch_bytes =
        largest_body + (uint64_t)SECTOR_BYTES * write_header_sectors(largest_body, BLOCK_BYTES_MAX);
    if (scratch_bytes < opening->walk.write_bytes_max)
        scratch_bytes = opening->walk.write_bytes_max;
    /* A write that begins anywhere in it is found whole in the next piece. */
    scratch_bytes = ALIGN_UP(scratch_bytes + LOG_SAMPLE_STRIDE_BYTES, (uint64_t)BLOCK_BYTES_MAX);

    int error = log_memory_create(&log->memory, options->memory_bytes,
                                  io_file_alignment_bytes(log->io, log->active_file), 0);
    if (error == 0)
        error = reader_create(&log->reader, LOG_OPERATION_READ, (size_t)scratch_bytes);
    if (error == 0)
        error = reader_create(&log->seeker, LOG_OPERATION_SEEK, (size_t)scratch_bytes);
    log->blocks = files_memory(2 * BLOCK_BYTES_MAX);
    if (options->zero_ahead_bytes > 0)
        log->zeros = files_memory(LOG_ZEROS_BYTES);
    if (error == 0 &&
        (log->blocks == NULL || (options->zero_ahead_bytes > 0 && log->zeros == NULL)))
        error = WEIR_ENOMEM;
    if (error != 0)
        error_text_set(opening->error, "no memory for the log (%llu bytes)",
                       (unsigned long long)options->memory_bytes);
    return error;
}

static int opening_run(struct opening *opening) {
    struct log *log = opening->log;
    int error = files_find(opening);
    if (error == 0)
        error = headers_read(opening);
    if (error == 0)
        error = entries_verify(opening);
    if (error == 0)
        error = blank_remove(opening);
    if (error == 0)
        error = segments_sync(opening);
    if (error == 0)
        error = memory_create(opening);
    if (error == 0)
        error = writing_begin(opening);
    if (error != 0)
        return error;

    log->durable_index = log->tail.index;
    log->released_index = log->tail.index;
    log->submitted_index = log->tail.index;
    log->stored_index = log->tail.index;
    log->memory.first_index = log->tail.index + 1;
    log->placed_offset = log->active_offset;
    log->write_expected_bytes = 32 * 1024;
    log->seeker.buffer = log->seek_header;
    log->seeker.buffer_bytes = sizeof(log->seek_header);
    return 0;
}

static void options_check(const struct log_options *options) {
    const uint64_t mebibyte = 1024 * 1024;
    ASSERT(options->segment_bytes >= mebibyte && options->segment_bytes % mebibyte == 0);
    ASSERT(options->memory_bytes >= mebibyte && options->memory_bytes % mebibyte == 0);
    ASSERT(options->memory_bytes <= options->segment_bytes);
    ASSERT(options->memory_bytes / ENTRY_ALIGN_BYTES <= UINT32_MAX);
    ASSERT(options->entry_bytes_max < options->memory_bytes / 2);
    ASSERT(options->write_bytes_max < options->memory_bytes / 2);
    ASSERT(options->write_bytes_max >= BLOCK_BYTES_MAX);
}

static void log_free(struct log *log) {
    if (log->active_file >= 0)
        io_close(log->io, log->active_file);
    if (log->spare_file >= 0)
        io_close(log->io, log->spare_file);
    if (log->retire_file >= 0)
        io_close(log->io, log->retire_file);
    reader_destroy(log, &log->reader);
    reader_destroy(log, &log->seeker);
    log_memory_destroy(&log->memory);
    files_memory_free(log->blocks, 2 * BLOCK_BYTES_MAX);
    files_memory_free(log->zeros, LOG_ZEROS_BYTES);
    free(log->segments);
    free(log->term_runs);
    free(log->samples);
    free(log);
}

int log_open(struct log **out, struct io *io, struct io_port *port, int32_t directory,
             const struct identity *identity, const struct log_start *start,
             const struct log_options *options,
             void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total),
             void (*on_entry_found)(void *context, const uint8_t *entry), void *context,
             struct error_text *error) {
    options_check(options);
    struct log *log = calloc(1, sizeof(*log));
    if (log == NULL)
        return WEIR_ENOMEM;
    *log = (struct log){
        .io = io,
        .port = port,
        .directory = directory,
        .identity = *identity,
        .options = *options,
        .active_file = -1,
        .spare_file = -1,
        .retire_file = -1,
        .reader = {.file = -1},
        .seeker = {.file = -1},
        .sample_stride_bytes = LOG_SAMPLE_STRIDE_BYTES,
        .segments = calloc(LOG_SEGMENTS_MAX + 1, sizeof(struct log_segment)),
        .term_runs = calloc(LOG_TERM_RUNS_MAX, sizeof(struct log_term_run)),
        .samples = calloc(LOG_SAMPLES_MAX, sizeof(struct log_sample)),
    };
    struct opening opening = {
        .log = log,
        .start = start,
        .progress = progress,
        .on_entry = on_entry_found,
        .context = context,
        .error = error,
        .numbers = calloc(LOG_SEGMENTS_MAX + 1, sizeof(uint64_t)),
        .sizes = calloc(LOG_SEGMENTS_MAX + 1, sizeof(uint64_t)),
        .segments = calloc(LOG_SEGMENTS_MAX + 1, sizeof(struct verify_segment)),
    };
    int result = WEIR_ENOMEM;
    if (log->segments != NULL && log->term_runs != NULL && log->samples != NULL &&
        opening.numbers != NULL && opening.sizes != NULL && opening.segments != NULL)
        result = opening_run(&opening);
    files_memory_huge_free(opening.image, opening.image_bytes);
    free(opening.numbers);
    free(opening.sizes);
    free(opening.segments);
    if (result != 0)
        log_free(log);
    else
        *out = log;
    return result;
}

void log_close(struct log *log) {
    ASSERT(log->state == LOG_FAILED || log->operations_busy == 0 || log->stopped);
    while (log->operations_busy != 0) {
        const struct io_completion completion = io_wait(log->port);
        const bool was_ours = log_completion(log, &completion);
        ASSERT(was_ours);
    }
    log_free(log);
}
