/*
 * The first segment of a log, and any segment that is created while nothing else happens.
 *
 * Happy path: create, allocate, sync file and directory, then write the header: what has a header
 * has its size and its name.  Failure modes: no space, or an error of the disk: the file is removed
 * again, as far as the disk lets us.
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "storage/files.h"
#include "storage/log_internal.h"

enum {
    /* A new log's first segment: room for entry 1 and the first steps; the next one has the size
       that the options say. */
    LOG_FIRST_SEGMENT_BYTES = 1024 * 1024,
};

/* Creates segment `header->number` and makes its header durable. */
int segment_create(struct io *io, struct io_port *port, int32_t directory,
                   struct segment_header *header, uint8_t *block, int32_t *out,
                   struct error_text *error) {
    char name[FILE_NAME_BYTES];
    int32_t file;
    segment_name(name, header->number);
    int result = files_open(port, directory, name, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT,
                            &file, error);
    if (result != 0)
        return result;
    if (header->block_bytes == 0)
        header->block_bytes = io_file_alignment_bytes(io, file);
    /* Its size and its name are durable before its header is: a header promises both. */
    result = files_allocate(port, file, name, header->segment_bytes, error);
    if (result == 0)
        result = files_sync(port, file, name, error);
    if (result == 0)
        result = files_directory_sync(port, directory, error);
    if (result == 0) {
        segment_header_write(block, header);
        result = files_write(port, file, name, block, SEGMENT_HEADER_BYTES, 0, IO_SYNC, error);
    }
    if (result != 0) {
        io_close(io, file);
        (void)files_remove(port, directory, name, NULL);
        return result;
    }
    *out = file;
    return 0;
}

/* Writes entry 1 behind the header of a new segment. */
static int first_entry_write(struct io_port *port, const struct segment_header *segment,
                             int32_t file, const struct identity *identity, uint8_t *block,
                             struct error_text *error) {
    struct entry_tail tail = entry_tail_origin();
    uint8_t *entry = block + SECTOR_BYTES;
    const uint32_t body_bytes = configuration_write(entry + ENTRY_HEADER_BYTES, &identity->members);
    /* The same bytes on every member: term 1, log time 0, incarnations 0. */
    const struct entry_header first = {.length_bytes = ENTRY_HEADER_BYTES + body_bytes,
                                       .kind = ENTRY_CONFIGURATION,
                                       .term = 1,
                                       .log_time_ms = 0};
    const struct write_header header = {
        .generation = segment->generation,
        .position = {.segment = segment->number, .offset = SEGMENT_HEADER_BYTES},
        .durable_end = {.segment = segment->number, .offset = SEGMENT_HEADER_BYTES},
        .kind = WRITE_ENTRIES,
        .header_sectors = 1,
        .length_bytes = SECTOR_BYTES + entry_stride_bytes(first.length_bytes),
        .entry_count = 1,
        .before = tail,
    };
    entry_seal(entry, &first, &tail);
    write_header_write(block, segment, &header);
    char name[FILE_NAME_BYTES];
    segment_name(name, segment->number);
    const size_t stride = (size_t)write_stride_bytes(header.length_bytes, segment->block_bytes);
    return files_write(port, file, name, block, stride, SEGMENT_HEADER_BYTES, IO_SYNC, error);
}

int log_create(struct io *io, struct io_port *port, int32_t directory,
               const struct identity *identity, struct error_text *error) {
    struct segment_header header = {
        .owner = owner_of(identity),
        .number = 1,
        .generation = 1,
        .segment_bytes = LOG_FIRST_SEGMENT_BYTES,
        .origin = SEGMENT_FIRST,
        .before = entry_tail_origin(),
    };
    uint8_t *block = files_memory(SEGMENT_HEADER_BYTES);
    if (block == NULL)
        return WEIR_ENOMEM;
    int32_t file;
    int result = segment_create(io, port, directory, &header, block, &file, error);
    if (result == 0) {
        memset(block, 0, SEGMENT_HEADER_BYTES);
        result = first_entry_write(port, &header, file, identity, block, error);
        io_close(io, file);
    }
    files_memory_free(block, SEGMENT_HEADER_BYTES);
    return result;
}
