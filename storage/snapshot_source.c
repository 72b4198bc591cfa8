/*
 * Pieces of snapshot files: see snapshot_source.h.
 *
 * Happy path: the file is open, and the piece is read.  Another file: it is opened, and its header
 * read first.  Failure modes: the disk's, a header that is not right; the next read tries anew.
 */

#include "storage/snapshot_source.h"

#include "base/assert.h"
#include "base/error.h"
#include "storage/files.h"
#include "storage/snapshot_format.h"

#include <stdlib.h>
#include <string.h>

#define SOURCE_USER UINT64_C(0x57534f55524345) /* "WSOURCE" */

enum source_step { SOURCE_IDLE, SOURCE_OPENING, SOURCE_HEADER, SOURCE_READING, SOURCE_DONE };

struct snapshot_source {
    struct io *io;
    struct io_port *port;
    int32_t directory;
    struct owner owner;
    enum source_step step;
    int32_t file;   /* -1: none */
    uint64_t index; /* of the file */
    char name[FILE_NAME_BYTES];
    uint64_t file_bytes;
    struct snapshot_meta meta;
    uint64_t offset; /* of the piece wanted */
    uint32_t length_bytes;
    int error;
    uint8_t *bytes;
    size_t capacity_bytes;
};

int snapshot_source_create(struct snapshot_source **out, struct io *io, struct io_port *port,
                           int32_t directory, const struct identity *identity,
                           uint32_t piece_bytes_max) {
    struct snapshot_source *source = calloc(1, sizeof(*source));
    const size_t capacity_bytes =
        8 + (piece_bytes_max > SNAPSHOT_HEADER_BYTES ? piece_bytes_max : SNAPSHOT_HEADER_BYTES);
    uint8_t *bytes = files_memory(capacity_bytes);
    if (source == NULL || bytes == NULL) {
        free(source);
        files_memory_free(bytes, capacity_bytes);
        return WEIR_ENOMEM;
    }
    *source = (struct snapshot_source){.io = io,
                                       .port = port,
                                       .directory = directory,
                                       .owner = owner_of(identity),
                                       .file = -1,
                                       .bytes = bytes,
                                       .capacity_bytes = capacity_bytes};
    *out = source;
    return 0;
}

static void source_close(struct snapshot_source *source) {
    if (source->file >= 0)
        io_close(source->io, source->file);
    source->file = -1;
    source->index = 0;
}

void snapshot_source_destroy(struct snapshot_source *source) {
    if (source == NULL)
        return;
    while (source->step != SOURCE_IDLE && source->step != SOURCE_DONE) {
        const struct io_completion completion = io_wait(source->port);
        const bool was_ours = snapshot_source_completion(source, &completion);
        ASSERT(was_ours);
    }
    source_close(source);
    files_memory_free(source->bytes, source->capacity_bytes);
    free(source);
}

bool snapshot_source_idle(const struct snapshot_source *source) {
    return source->step == SOURCE_IDLE;
}

/* A leader asks for nothing when a member has the whole file and does not say what became of it. */
static void piece_start(struct snapshot_source *source) {
    if (source->length_bytes == 0) {
        source->step = SOURCE_DONE;
        return;
    }
    source->step = SOURCE_READING;
    io_file_read(source->port, source->file, source->bytes, source->length_bytes, source->offset,
                 SOURCE_USER);
}

void snapshot_source_read(struct snapshot_source *source, uint64_t index, uint64_t offset,
                          uint32_t length_bytes) {
    ASSERT(source->step == SOURCE_IDLE && index > 0);
    ASSERT(length_bytes + (size_t)8 <= source->capacity_bytes);
    source->offset = offset;
    source->length_bytes = length_bytes;
    source->error = 0;
    if (source->file >= 0 && source->index == index) {
        piece_start(source);
        return;
    }
    source_close(source);
    source->index = index;
    snapshot_name(source->name, index);
    source->step = SOURCE_OPENING;
    /* Not direct: several members may be sent the same pieces, at any offset. */
    io_file_open(source->port, source->directory, source->name, IO_OPEN_READ, SOURCE_USER);
}

static void source_fail(struct snapshot_source *source, int error) {
    source->error = error;
    source->step = SOURCE_DONE;
    source_close(source);
}

static void header_judge(struct snapshot_source *source, uint64_t available_bytes) {
    struct format_fault fault;
    uint64_t seed;
    if (snapshot_header_read(source->bytes, available_bytes, &source->owner, source->index,
                             &source->meta, &seed, &fault) != 0)
        source_fail(source, fault.error);
    else
        piece_start(source);
}

bool snapshot_source_completion(struct snapshot_source *source,
                                const struct io_completion *completion) {
    if (completion->user != SOURCE_USER)
        return false;
    const int32_t result = completion->result;
    if (result < 0) {
        source_fail(source, files_error(result));
        return true;
    }
    switch (source->step) {
    case SOURCE_OPENING:
        source->file = result;
        source->file_bytes = io_file_size_bytes(source->io, result);
        source->step = SOURCE_HEADER;
        io_file_read(source->port, source->file, source->bytes, SNAPSHOT_HEADER_BYTES, 0,
                     SOURCE_USER);
        break;
    case SOURCE_HEADER: header_judge(source, (uint64_t)result); break;
    case SOURCE_READING:
        if ((uint32_t)result != source->length_bytes) {
            source_fail(source, WEIR_EIO);
            break;
        }
        memset(source->bytes + source->length_bytes, 0, (8 - source->length_bytes % 8) % 8);
        source->step = SOURCE_DONE;
        break;
    case SOURCE_IDLE:
    case SOURCE_DONE: UNREACHABLE("nothing is under way");
    }
    return true;
}

bool snapshot_source_result(struct snapshot_source *source, struct snapshot_source_piece *out) {
    if (source->step != SOURCE_DONE)
        return false;
    source->step = SOURCE_IDLE;
    *out = (struct snapshot_source_piece){.bytes = source->error == 0 ? source->bytes : NULL,
                                          .error = source->error,
                                          .configuration = &source->meta.configuration,
                                          .file_bytes = source->file_bytes};
    return true;
}

void snapshot_source_forget(struct snapshot_source *source, uint64_t index) {
    if (source->step == SOURCE_IDLE && source->index == index)
        source_close(source);
}
