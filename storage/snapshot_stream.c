/*
 * A snapshot file as a stream of judged blocks: see snapshot_stream.h.
 *
 * Happy path: open, read the header, then up to the largest block at a time; each block's checksum
 * is seeded with the one before it; the last one says that it is, and the file ends there.
 *
 * Failure modes: the disk's, and bytes that are not what was written.  Either ends the stream.
 */

#include "storage/snapshot_stream.h"

#include "base/assert.h"
#include "base/error.h"
#include "storage/files.h"
#include "storage/snapshot_format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_USER UINT64_C(0x575354524541) /* "WSTREA" */

struct snapshot_stream {
    struct io *io;
    struct io_port *port;
    int32_t directory;
    struct owner owner;
    enum snapshot_stream_state state;
    const char *name;
    uint64_t index;
    bool any_member;
    int32_t file; /* -1: none */
    uint64_t file_bytes;
    uint64_t offset;
    uint64_t number; /* of the next block */
    uint64_t seed;
    bool last;
    struct snapshot_block block;
    struct snapshot_meta meta;
    uint8_t *bytes; /* SNAPSHOT_BLOCK_BYTES */
    int result;
    struct error_text error;
};

int snapshot_stream_create(struct snapshot_stream **out, struct io *io, struct io_port *port,
                           int32_t directory, const struct identity *identity) {
    struct snapshot_stream *stream = calloc(1, sizeof(*stream));
    uint8_t *bytes = files_memory(SNAPSHOT_BLOCK_BYTES);
    if (stream == NULL || bytes == NULL) {
        free(stream);
        files_memory_free(bytes, SNAPSHOT_BLOCK_BYTES);
        return WEIR_ENOMEM;
    }
    *stream = (struct snapshot_stream){.io = io,
                                       .port = port,
                                       .directory = directory,
                                       .owner = owner_of(identity),
                                       .file = -1,
                                       .bytes = bytes};
    *out = stream;
    return 0;
}

void snapshot_stream_destroy(struct snapshot_stream *stream) {
    if (stream == NULL)
        return;
    while (stream->state == SNAPSHOT_STREAM_BUSY) {
        const struct io_completion completion = io_wait(stream->port);
        const bool was_ours = snapshot_stream_completion(stream, &completion);
        ASSERT(was_ours);
    }
    snapshot_stream_close(stream);
    files_memory_free(stream->bytes, SNAPSHOT_BLOCK_BYTES);
    free(stream);
}

void snapshot_stream_open(struct snapshot_stream *stream, const char *name, uint64_t index,
                          bool any_member) {
    ASSERT(stream->state == SNAPSHOT_STREAM_IDLE && stream->file == -1);
    stream->name = name;
    stream->index = index;
    stream->any_member = any_member;
    stream->offset = 0;
    stream->number = 0;
    stream->last = false;
    stream->state = SNAPSHOT_STREAM_BUSY;
    io_file_open(stream->port, stream->directory, name, IO_OPEN_READ | IO_OPEN_DIRECT, STREAM_USER);
}

void snapshot_stream_close(struct snapshot_stream *stream) {
    ASSERT(stream->state != SNAPSHOT_STREAM_BUSY);
    if (stream->file >= 0)
        io_close(stream->io, stream->file);
    stream->file = -1;
    stream->state = SNAPSHOT_STREAM_IDLE;
}

enum snapshot_stream_state snapshot_stream_state(const struct snapshot_stream *stream) {
    return stream->state;
}

const struct snapshot_meta *snapshot_stream_meta(const struct snapshot_stream *stream) {
    ASSERT(stream->state == SNAPSHOT_STREAM_BLOCK || stream->state == SNAPSHOT_STREAM_END);
    return &stream->meta;
}

const uint8_t *snapshot_stream_bytes(const struct snapshot_stream *stream, size_t *length_bytes) {
    ASSERT(stream->state == SNAPSHOT_STREAM_BLOCK);
    *length_bytes = stream->block.payload_bytes;
    return stream->bytes + SNAPSHOT_BLOCK_HEADER_BYTES;
}

int snapshot_stream_error(const struct snapshot_stream *stream, const char **text) {
    ASSERT(stream->state == SNAPSHOT_STREAM_FAILED);
    *text = stream->error.text;
    return stream->result;
}

uint64_t snapshot_stream_offset(const struct snapshot_stream *stream) {
    return stream->offset;
}

uint64_t snapshot_stream_file_bytes(const struct snapshot_stream *stream) {
    ASSERT(stream->file >= 0 || stream->state == SNAPSHOT_STREAM_FAILED);
    return stream->file >= 0 ? stream->file_bytes : 0;
}

/* ---- moving on ---------------------------------------------------------------------------- */

static void stream_fail(struct snapshot_stream *stream, int result, uint64_t offset,
                        const char *reason) {
    stream->state = SNAPSHOT_STREAM_FAILED;
    stream->result = result;
    error_text_set(&stream->error, "%s: at offset %llu: %s", stream->name,
                   (unsigned long long)offset, reason);
}

/* Reads the header, or as much as a block may have. */
static void piece_read(struct snapshot_stream *stream) {
    const uint64_t left = stream->file_bytes - stream->offset;
    const uint64_t wanted = stream->offset == 0 ? SNAPSHOT_HEADER_BYTES : SNAPSHOT_BLOCK_BYTES;
    stream->state = SNAPSHOT_STREAM_BUSY;
    io_file_read(stream->port, stream->file, stream->bytes, (size_t)(left < wanted ? left : wanted),
                 stream->offset, STREAM_USER);
}

void snapshot_stream_next(struct snapshot_stream *stream) {
    ASSERT(stream->state == SNAPSHOT_STREAM_BLOCK);
    if (!stream->last) {
        piece_read(stream);
    } else if (stream->offset != stream->file_bytes) {
        stream_fail(stream, WEIR_ECORRUPT, stream->offset,
                    "the file goes on behind its last block");
    } else if (stream->meta.session_bytes > stream->meta.machine_bytes) {
        stream_fail(stream, WEIR_ECORRUPT, 0,
                    "it holds fewer bytes than its header says for the sessions");
    } else {
        stream->state = SNAPSHOT_STREAM_END;
    }
}

static void opened(struct snapshot_stream *stream, int32_t file) {
    stream->file = file;
    stream->file_bytes = io_file_size_bytes(stream->io, file);
    if (stream->file_bytes < SNAPSHOT_HEADER_BYTES ||
        stream->file_bytes % SNAPSHOT_ALIGN_BYTES != 0)
        stream_fail(stream, WEIR_ECORRUPT, stream->file_bytes, "the file ends within a block");
    else
        piece_read(stream);
}

static void header_judge(struct snapshot_stream *stream, uint64_t available_bytes) {
    struct format_fault fault;
    const struct owner *owner = stream->any_member ? NULL : &stream->owner;
    if (snapshot_header_read(stream->bytes, available_bytes, owner, stream->index, &stream->meta,
                             &stream->seed, &fault) != 0) {
        stream_fail(stream, fault.error, fault.offset, fault.reason);
        return;
    }
    if (snapshot_header_owner(stream->bytes).cluster_id != stream->owner.cluster_id) {
        stream_fail(stream, WEIR_EIDENTITY, 0, "it belongs to another cluster");
        return;
    }
    stream->offset = SNAPSHOT_HEADER_BYTES;
    if (stream->file_bytes == stream->offset)
        stream_fail(stream, WEIR_ECORRUPT, stream->offset, "the file ends before its last block");
    else
        piece_read(stream);
}

static void block_judge(struct snapshot_stream *stream, uint64_t available_bytes) {
    struct format_fault fault;
    if (snapshot_block_read(stream->bytes, available_bytes, stream->offset, stream->number,
                            &stream->seed, &stream->block, &fault) != 0) {
        stream_fail(stream, fault.error, fault.offset, fault.reason);
        return;
    }
    stream->offset += snapshot_block_stride(stream->block.payload_bytes);
    stream->number++;
    stream->last = stream->block.last;
    stream->meta.machine_bytes += stream->block.payload_bytes;
    stream->state = SNAPSHOT_STREAM_BLOCK;
    if (!stream->last && stream->offset == stream->file_bytes)
        stream_fail(stream, WEIR_ECORRUPT, stream->offset, "the file ends before its last block");
}

/* That there is no descriptor passes, and says nothing of the file. */
static int error_of(int32_t negative_errno) {
    bool is_no_descriptor = negative_errno == -EMFILE || negative_errno == -ENFILE;
    return is_no_descriptor ? WEIR_ELIMIT : files_error(negative_errno);
}

bool snapshot_stream_completion(struct snapshot_stream *stream,
                                const struct io_completion *completion) {
    if (completion->user != STREAM_USER)
        return false;
    ASSERT(stream->state == SNAPSHOT_STREAM_BUSY);
    if (completion->result < 0)
        stream_fail(stream, error_of(completion->result), stream->offset,
                    strerror(-completion->result));
    else if (completion->kind == IO_FILE_OPEN)
        opened(stream, completion->result);
    else if (stream->offset == 0)
        header_judge(stream, (uint64_t)completion->result);
    else
        block_judge(stream, (uint64_t)completion->result);
    return true;
}
