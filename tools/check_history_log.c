/*
 * The log of a stopped node.  See check_history_log.h.
 *
 * Happy path: open and lock the directory, list its segments, read their headers, plan which of
 * them count, walk these and copy each entry.
 *
 * Failure modes: no directory, a node that runs in it, damage (named by file and offset). A log
 * whose beginning a snapshot has replaced is read as far as it goes, and says so.
 */

#include "tools/check_history_log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "io/io.h"
#include "storage/files.h"
#include "storage/log_verify.h"

/* More segments than a log can have. */
enum { SEGMENTS_MAX = 16384 };

/* What is open while one directory is read. */
struct reading {
    struct io *io;
    struct io_port *port;
    int32_t directory;
    const char *directory_name;
    uint64_t numbers[SEGMENTS_MAX]; /* ascending */
    uint32_t number_count;
    struct verify_segment *segments;
    struct check_log *log;
    int copy_error; /* of note_entry */
    struct error_text *error;
};

/* ---- Entries --------------------------------------------------------------------------------- */

/* Room for `needed` of `size` bytes each; false if there is no memory. */
static bool room_make(void **memory, size_t *max, size_t needed, size_t size) {
    if (needed <= *max)
        return true;
    const size_t grown = 2 * needed + 1024;
    void *larger = realloc(*memory, grown * size);
    if (larger == NULL)
        return false;
    *memory = larger;
    *max = grown;
    return true;
}

/* Copies one entry that counts; verify_segment gives them in order. */
static void note_entry(void *context, const uint8_t *entry, uint64_t offset) {
    struct reading *reading = context;
    struct check_log *log = reading->log;
    const struct entry_header header = entry_header_read(entry);
    (void)offset;
    if (reading->copy_error != 0)
        return;
    const size_t stride = entry_stride_bytes(header.length_bytes);
    void *bytes = log->bytes;
    void *offsets = log->offsets;
    const bool has_bytes = room_make(&bytes, &log->bytes_max, log->bytes_used + stride, 1);
    const bool has_offsets =
        room_make(&offsets, &log->offsets_max, log->offset_count + 1, sizeof(*log->offsets));
    log->bytes = bytes;
    log->offsets = offsets;
    if (!has_bytes || !has_offsets) {
        reading->copy_error = WEIR_ENOMEM;
        return;
    }
    if (log->offset_count == 0)
        log->first_index = header.index;
    ASSERT(header.index == log->first_index + log->offset_count);
    log->offsets[log->offset_count++] = log->bytes_used;
    memcpy(log->bytes + log->bytes_used, entry, header.length_bytes);
    log->bytes_used += stride;
    log->end = (struct entry_tail){header.index, header.term, header.log_time_ms, header.chain};
    if (header.kind == ENTRY_CONFIGURATION &&
        configuration_read(entry + ENTRY_HEADER_BYTES, header.length_bytes - ENTRY_HEADER_BYTES,
                           &log->configuration) != 0)
        reading->copy_error = WEIR_ECORRUPT;
}

const uint8_t *check_log_entry(const void *source, uint64_t index) {
    const struct check_log *log = source;
    if (index < log->first_index || index - log->first_index >= log->offset_count)
        return NULL;
    return log->bytes + log->offsets[index - log->first_index];
}

void check_log_free(struct check_log *log) {
    free(log->bytes);
    free(log->offsets);
    *log = (struct check_log){0};
}

/* ---- Segments -------------------------------------------------------------------------------- */

static void note_file(void *context, const char *name, uint64_t size_bytes,
                      enum io_entry_sort sort) {
    struct reading *reading = context;
    const uint64_t number = segment_name_number(name);
    (void)size_bytes;
    (void)sort; /* what is no regular file is refused when it is opened */
    if (number == 0 || reading->number_count == SEGMENTS_MAX)
        return;
    uint32_t at = reading->number_count++;
    for (; at > 0 && reading->numbers[at - 1] > number; at--)
        reading->numbers[at] = reading->numbers[at - 1];
    reading->numbers[at] = number;
}

/* The whole file of a segment, given back with files_memory_free. */
static int segment_read(struct reading *reading, uint64_t number, uint8_t **image,
                        size_t *memory_bytes, uint64_t *length_bytes) {
    char name[FILE_NAME_BYTES];
    int32_t file;
    segment_name(name, number);
    int error =
        files_open(reading->port, reading->directory, name, IO_OPEN_READ, &file, reading->error);
    if (error != 0)
        return error;
    *length_bytes = io_file_size_bytes(reading->io, file);
    *memory_bytes = (size_t)ALIGN_UP(*length_bytes + 1, (uint64_t)BLOCK_BYTES_MAX);
    *image = files_memory(*memory_bytes);
    if (*image == NULL) {
        error = WEIR_ENOMEM;
        error_text_set(reading->error, "no memory to read %s", name);
    } else if (*length_bytes > 0) {
        error =
            files_read(reading->port, file, name, *image, (size_t)*length_bytes, 0, reading->error);
    }
    io_close(reading->io, file);
    if (error != 0 && *image != NULL)
        files_memory_free(*image, *memory_bytes);
    return error;
}

static int damage_say(struct reading *reading, uint64_t number, const struct format_fault *fault) {
    char name[FILE_NAME_BYTES];
    segment_name(name, number);
    error_text_set(reading->error,
                   "%s at offset %" PRIu64 ": %s; weir inspect --data %s shows what there is", name,
                   fault->offset, fault->reason, reading->directory_name);
    return fault->error;
}

/* Reads the headers; *count of them are a log's. A last one that is blank is allocated ahead. */
static int headers_read(struct reading *reading, uint32_t *count) {
    for (*count = 0; *count < reading->number_count; (*count)++) {
        uint8_t *image;
        size_t memory_bytes;
        uint64_t length_bytes;
        struct format_fault fault;
        const uint64_t number = reading->numbers[*count];
        const int error = segment_read(reading, number, &image, &memory_bytes, &length_bytes);
        if (error != 0)
            return error;
        struct segment_header *header = &reading->segments[*count].header;
        const enum format_state state =
            segment_header_read(image, length_bytes, NULL, number, header, &fault);
        files_memory_free(image, memory_bytes);
        if (state == FORMAT_BLANK && *count > 0 && *count + 1 == reading->number_count)
            return 0;
        if (state == FORMAT_BLANK)
            (void)format_refuse(&fault, WEIR_ECORRUPT, 0, "the segment's header is missing");
        if (state != FORMAT_VALID)
            return damage_say(reading, number, &fault);
        if (header->owner.cluster_id != reading->segments[0].header.owner.cluster_id ||
            header->owner.node_id != reading->segments[0].header.owner.node_id) {
            (void)format_refuse(&fault, WEIR_EIDENTITY, 0, "the segment is another node's");
            return damage_say(reading, number, &fault);
        }
    }
    return 0;
}

static int segment_walk(struct reading *reading, struct verify_walk *walk,
                        const struct verify_segment *segment) {
    uint8_t *image;
    size_t memory_bytes;
    uint64_t length_bytes;
    struct format_fault fault;
    const uint64_t number = segment->header.number;
    int error = segment_read(reading, number, &image, &memory_bytes, &length_bytes);
    if (error != 0)
        return error;
    if (length_bytes < segment->header.segment_bytes)
        error = format_refuse(&fault, WEIR_ECORRUPT, length_bytes,
                              "the file is shorter than its header says");
    else
        error = verify_segment(walk, segment, image, &fault);
    files_memory_free(image, memory_bytes);
    if (error != 0)
        return damage_say(reading, number, &fault);
    if (reading->copy_error != 0)
        error_text_set(reading->error, "no memory for the entries, or one is not understood");
    return reading->copy_error;
}

/* Walks what counts, from the first live segment on. */
static int segments_walk(struct reading *reading, uint32_t count) {
    struct format_fault fault;
    uint32_t first_live = 0;
    uint32_t faulty = 0;
    /* A plan whose start is the beginning refuses a log that begins later, as it must. That one
       is read from where it begins, and is not whole. */
    struct entry_tail start = entry_tail_origin();
    int error = verify_plan(reading->segments, count, &start, &first_live, &faulty, &fault);
    if (error != 0 && faulty == first_live &&
        reading->segments[first_live].header.before.index > 0) {
        start = reading->segments[first_live].header.before;
        error = verify_plan(reading->segments, count, &start, &first_live, &faulty, &fault);
    }
    if (error != 0)
        return damage_say(reading, reading->numbers[faulty], &fault);
    struct verify_walk walk = {.start = start,
                               .tail = reading->segments[first_live].header.before,
                               .on_entry = note_entry,
                               .context = reading};
    for (uint32_t i = first_live; error == 0 && i < count; i++)
        if (reading->segments[i].live)
            error = segment_walk(reading, &walk, &reading->segments[i]);
    reading->log->is_whole = reading->log->first_index == 1;
    reading->log->cluster_id = reading->segments[0].header.owner.cluster_id;
    reading->log->node_id = reading->segments[0].header.owner.node_id;
    return error;
}

/* ---- The directory --------------------------------------------------------------------------- */

static int directory_read(struct reading *reading) {
    int error = io_directory_lock(reading->io, reading->directory, reading->error);
    if (error != 0)
        return error;
    error = io_directory_list(reading->io, reading->directory, note_file, reading);
    if (error != 0) {
        error_text_set(reading->error, "it cannot be listed: %s", error_name(error));
        return error;
    }
    if (reading->number_count == 0) {
        error_text_set(reading->error, "there is no log in it");
        return WEIR_ENOENT;
    }
    error = io_port_create(reading->io, &reading->port, FILES_OPERATIONS_MAX);
    if (error != 0) {
        error_text_set(reading->error, "no memory to read it");
        return error;
    }
    uint32_t count = 0;
    reading->segments = calloc(reading->number_count, sizeof(*reading->segments));
    if (reading->segments == NULL) {
        error = WEIR_ENOMEM;
        error_text_set(reading->error, "no memory for %u segments", reading->number_count);
    }
    if (error == 0)
        error = headers_read(reading, &count);
    if (error == 0)
        error = segments_walk(reading, count);
    free(reading->segments);
    io_port_destroy(reading->port);
    return error;
}

int check_log_read(struct check_log *log, const char *directory, struct error_text *error_text) {
    const struct io_options options = {
        .submissions_max = 64, .completions_max = 128, .features_allowed = IO_FEATURES_ALL};
    *log = (struct check_log){0};
    struct reading *reading = calloc(1, sizeof(*reading));
    if (reading == NULL) {
        error_text_set(error_text, "no memory");
        return WEIR_ENOMEM;
    }
    *reading = (struct reading){.directory_name = directory, .log = log, .error = error_text};
    int error = io_create(&reading->io, &options, error_text);
    if (error == 0) {
        error = io_directory_open(reading->io, directory, false, &reading->directory, error_text);
        if (error == 0) {
            error = directory_read(reading);
            io_close(reading->io, reading->directory);
        }
        io_destroy(reading->io);
    }
    free(reading);
    if (error != 0)
        check_log_free(log);
    return error;
}

/* ---- Several logs ---------------------------------------------------------------------------- */

bool check_log_is_newer(const struct check_log *a, const struct check_log *b) {
    if (a->end.term != b->end.term)
        return a->end.term > b->end.term;
    return a->end.index > b->end.index;
}

bool check_log_is_majority(const struct configuration *configuration, const uint64_t *node_ids,
                           uint32_t count) {
    static const uint8_t sets[] = {CONFIGURATION_VOTER, CONFIGURATION_OUTGOING};
    for (size_t set = 0; set < ARRAY_COUNT(sets); set++) {
        uint32_t voters = 0;
        uint32_t given = 0;
        for (uint32_t i = 0; i < configuration->member_count; i++) {
            const struct configuration_member *member = &configuration->members[i];
            if ((member->roles & sets[set]) == 0)
                continue;
            voters++;
            bool is_given = false;
            for (uint32_t j = 0; j < count; j++)
                is_given = is_given || node_ids[j] == member->node_id;
            given += is_given;
        }
        if (voters > 0 && 2 * given <= voters)
            return false;
    }
    return configuration->member_count > 0;
}
