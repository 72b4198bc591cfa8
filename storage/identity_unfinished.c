/*
 * Judging and removing what a creation that was cut has left: see identity_unfinished.h.
 *
 * Happy path: list the names, read each file whole (they are small), judge it, and remove all.
 *
 * Failure modes: what is not exactly what a creation leaves is no proof, and nothing is touched.
 */

#include "storage/identity_unfinished.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "entry/configuration.h"
#include "storage/files.h"
#include "storage/log_format.h"
#include "storage/vote_format.h"

#include <string.h>

enum {
    /* The first segment's length, the largest of the files; see log_create.c. */
    UNFINISHED_FILE_BYTES_MAX = 1024 * 1024,
    /* What the first write holds: its header and the longest entry 1, a multiple of 8. */
    FIRST_WRITE_BYTES_MAX = SECTOR_BYTES + ENTRY_HEADER_BYTES + CONFIGURATION_BYTES_MAX,
};

/* What there is. */
struct leftovers {
    bool has_vote;
    bool has_incarnations;
    bool has_segment;
    bool has_more; /* what no creation leaves */
};

static void note_name(void *context, const char *name, uint64_t size_bytes,
                      enum io_entry_sort sort) {
    struct leftovers *found = context;
    const bool is_vote = strcmp(name, FILE_NAME_VOTE) == 0;
    const bool is_incarnations = strcmp(name, FILE_NAME_INCARNATIONS) == 0;
    const bool is_segment = segment_name_number(name) == 1;
    const bool is_partial = strcmp(name, FILE_NAME_IDENTITY_PARTIAL) == 0;
    if (!is_vote && !is_incarnations && !is_segment && !is_partial) {
        /* Names that are not ours are nobody's concern. */
        found->has_more |=
            strcmp(name, FILE_NAME_IDENTITY) == 0 || segment_name_number(name) != 0 ||
            strncmp(name, FILE_NAME_SNAPSHOT_PREFIX, strlen(FILE_NAME_SNAPSHOT_PREFIX)) == 0 ||
            strcmp(name, FILE_NAME_SNAPSHOT_PARTIAL) == 0;
        return;
    }
    found->has_vote |= is_vote;
    found->has_incarnations |= is_incarnations;
    found->has_segment |= is_segment;
    found->has_more |= sort != IO_ENTRY_FILE || size_bytes > UNFINISHED_FILE_BYTES_MAX;
}

/* The bytes of a file, with zeros behind them up to UNFINISHED_FILE_BYTES_MAX; false if it cannot
 * be read. */
static bool file_image(struct io *io, struct io_port *port, int32_t directory, const char *name,
                       uint8_t *image, uint64_t *size_bytes) {
    int32_t file;
    struct error_text error;
    memset(image, 0, UNFINISHED_FILE_BYTES_MAX);
    if (files_open(port, directory, name, IO_OPEN_READ, &file, &error) != 0)
        return false;
    *size_bytes = io_file_size_bytes(io, file);
    int result = *size_bytes > UNFINISHED_FILE_BYTES_MAX ? WEIR_ECORRUPT : 0;
    if (result == 0 && *size_bytes > 0)
        result = files_read(port, file, name, image, (size_t)*size_bytes, 0, &error);
    io_close(io, file);
    return result == 0;
}

/* ---- judging ------------------------------------------------------------------------------ */

static bool vote_is_first(const uint8_t *image, struct owner *owner) {
    for (uint32_t number = 0; number < 2; number++) {
        struct vote_slot slot;
        struct format_fault fault;
        const enum format_state state = vote_slot_read(image, number, NULL, &slot, &fault);
        if (state == FORMAT_BLANK)
            continue;
        if (state != FORMAT_VALID || slot.sequence != 1 || slot.record.term != 1 ||
            slot.record.voted_for != 0)
            return false;
        *owner = vote_slot_owner(image, number);
    }
    return true;
}

static bool segment_is_first(const uint8_t *image, uint64_t size_bytes, struct owner *owner) {
    struct segment_header header;
    struct format_fault fault;
    const enum format_state state =
        segment_header_read(image, size_bytes, owner, 1, &header, &fault);
    if (state == FORMAT_BLANK)
        return format_all_zero(image, (size_t)size_bytes);
    if (state != FORMAT_VALID || header.origin != SEGMENT_FIRST || header.generation != 1)
        return false;
    uint64_t end =
        SEGMENT_HEADER_BYTES + write_stride_bytes(FIRST_WRITE_BYTES_MAX, header.block_bytes);
    struct write_header first;
    if (write_header_read(image + SEGMENT_HEADER_BYTES, size_bytes - SEGMENT_HEADER_BYTES,
                          SEGMENT_HEADER_BYTES, &header, &first, &fault) == FORMAT_VALID) {
        if (first.kind != WRITE_ENTRIES || first.entry_count != 1)
            return false;
        end = SEGMENT_HEADER_BYTES + write_stride_bytes(first.length_bytes, header.block_bytes);
    }
    return end <= size_bytes && format_all_zero(image + end, (size_t)(size_bytes - end));
}

static bool judge(struct io *io, struct io_port *port, int32_t directory, uint8_t *image,
                  struct owner *owner) {
    struct leftovers found = {0};
    uint64_t size_bytes = 0;
    if (io_directory_list(io, directory, note_name, &found) != 0 || found.has_more)
        return false;
    if (found.has_vote && !(file_image(io, port, directory, FILE_NAME_VOTE, image, &size_bytes) &&
                            size_bytes <= VOTE_FILE_BYTES && vote_is_first(image, owner)))
        return false;
    if (found.has_incarnations &&
        !(file_image(io, port, directory, FILE_NAME_INCARNATIONS, image, &size_bytes) &&
          format_all_zero(image, UNFINISHED_FILE_BYTES_MAX)))
        return false;
    if (!found.has_segment)
        return true;
    /* The record of the creation was synced before there was a segment: without it, no proof. */
    if (owner->cluster_id == 0)
        return false;
    char name[FILE_NAME_BYTES];
    segment_name(name, 1);
    return file_image(io, port, directory, name, image, &size_bytes) &&
           segment_is_first(image, size_bytes, owner);
}

bool identity_is_unfinished(struct io *io, int32_t directory, struct owner *owner) {
    struct io_port *port;
    *owner = (struct owner){0};
    if (io_port_create(io, &port, FILES_OPERATIONS_MAX) != 0)
        return false;
    uint8_t *image = files_memory(UNFINISHED_FILE_BYTES_MAX);
    const bool is_unfinished = image != NULL && judge(io, port, directory, image, owner);
    files_memory_free(image, UNFINISHED_FILE_BYTES_MAX);
    io_port_destroy(port);
    ASSERT(owner->cluster_id != 0 || owner->node_id == 0);
    return is_unfinished;
}

/* ---- removing ----------------------------------------------------------------------------- */

int identity_unfinished_remove(struct io *io, int32_t directory, struct error_text *error) {
    char segment[FILE_NAME_BYTES];
    segment_name(segment, 1);
    const char *const names[] = {FILE_NAME_IDENTITY_PARTIAL, segment, FILE_NAME_INCARNATIONS};
    struct io_port *port;
    int result = io_port_create(io, &port, FILES_OPERATIONS_MAX);
    if (result != 0)
        return result;
    for (size_t i = 0; i < ARRAY_COUNT(names) && result == 0; i++)
        result = files_remove(port, directory, names[i], error);
    if (result == 0)
        result = files_directory_sync(port, directory, error);
    if (result == 0)
        result = files_remove(port, directory, FILE_NAME_VOTE, error);
    if (result == 0)
        result = files_directory_sync(port, directory, error);
    io_port_destroy(port);
    return result;
}
