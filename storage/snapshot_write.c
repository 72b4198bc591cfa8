/*
 * Writing a snapshot.
 *
 *     IDLE ──begin──> REMOVING ──> CREATING ──> WRITING ──finish, all written──> SYNCING
 *                                                                                   │
 *     COMPLETE <── ENTERING <── RENAMING <── VERIFYING (read back, block by block) <┘
 *
 *     any of these ──failure──> DRAINING (what is in flight) ──> UNDOING (remove) ──> FAILED
 *
 * Happy path: the machine's bytes fill one buffer while others are being written; each full buffer
 * is sealed as a block and submitted, and the rate says when the filling should go on.  After the
 * last block the file is synced, read back and verified, renamed, and the directory synced.
 *
 * Failure modes: any failure (no space, an error of the disk, bytes that come back different)
 * abandons the snapshot and removes the temporary file.  The log is then simply not compacted.
 */

#include "storage/snapshot.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "storage/files.h"
#include "storage/snapshot_format.h"

#include <errno.h>
#include <stdlib.h>

/* Our `user` of operations ("WSNP"); the lower half is the buffer of a write. */
#define SNAPSHOT_USER_TAG UINT64_C(0x57534e50)

enum {
    /* One being filled and two on their way to the disk. */
    BUFFER_COUNT = 3,
    /* `user` of everything that is not a write of a buffer. */
    STEP_USER = BUFFER_COUNT,
};
_Static_assert((int)BUFFER_COUNT <= (int)SNAPSHOT_OPERATIONS_MAX, "as the header promises");

enum writer_step {
    STEP_IDLE,
    STEP_REMOVING,
    STEP_CREATING,
    STEP_WRITING,
    STEP_SYNCING,
    STEP_VERIFYING,
    STEP_RENAMING,
    STEP_ENTERING,
    STEP_COMPLETE,
    STEP_DRAINING,
    STEP_UNDOING,
    STEP_FAILED,
};

struct snapshot_writer {
    struct io *io;
    struct io_port *port;
    int32_t directory;
    struct owner owner;
    uint64_t rate_bytes_s;

    enum writer_step step;
    bool finishing;   /* snapshot_finish was called */
    bool last_sealed; /* the block with the LAST flag is among the sealed ones */
    struct snapshot_meta meta;
    struct error_text error;
    char name[FILE_NAME_BYTES];
    int32_t file;
    bool opening; /* the file is being created: its handle is in the completion */
    uint64_t now_ns;
    uint64_t pace_ns; /* up to here the rate is used up */

    uint8_t *buffers;        /* BUFFER_COUNT of SNAPSHOT_BLOCK_BYTES; block n is in n % COUNT */
    uint64_t blocks_sealed;  /* closed: numbers below are complete */
    uint64_t blocks_started; /* of them, submitted */
    uint64_t blocks_written; /* of them, on their way no longer */
    struct iovec pieces[BUFFER_COUNT];
    uint32_t buffer_busy;   /* bit set of buffers in flight */
    uint32_t payload_bytes; /* in the block being filled */
    uint32_t reserved_bytes;
    bool header_written;
    uint64_t seed;
    uint64_t file_offset;
    uint32_t outstanding;

    uint64_t verify_offset;
    uint64_t verify_number;
    uint64_t verify_seed;
};

/* ---- steps -------------------------------------------------------------------------------- */

static const uint16_t step_transitions[] = {
    [STEP_IDLE] = 1 << STEP_REMOVING,
    [STEP_REMOVING] = 1 << STEP_CREATING | 1 << STEP_DRAINING,
    [STEP_CREATING] = 1 << STEP_WRITING | 1 << STEP_DRAINING,
    [STEP_WRITING] = 1 << STEP_SYNCING | 1 << STEP_DRAINING,
    [STEP_SYNCING] = 1 << STEP_VERIFYING | 1 << STEP_DRAINING,
    [STEP_VERIFYING] = 1 << STEP_RENAMING | 1 << STEP_DRAINING,
    [STEP_RENAMING] = 1 << STEP_ENTERING | 1 << STEP_DRAINING,
    [STEP_ENTERING] = 1 << STEP_COMPLETE | 1 << STEP_DRAINING,
    [STEP_COMPLETE] = 1 << STEP_REMOVING,
    [STEP_DRAINING] = 1 << STEP_UNDOING,
    [STEP_UNDOING] = 1 << STEP_FAILED,
    [STEP_FAILED] = 1 << STEP_REMOVING,
};

static void step_move(struct snapshot_writer *writer, enum writer_step to) {
    ASSERT(step_transitions[writer->step] & 1 << to);
    writer->step = to;
}

static uint64_t step_user(struct snapshot_writer *writer) {
    writer->outstanding++;
    return SNAPSHOT_USER_TAG << 32 | STEP_USER;
}

static bool writer_is_failing(const struct snapshot_writer *writer) {
    return writer->step >= STEP_DRAINING;
}

/* Nothing is in flight any more: closes and removes what there is. */
static void writer_undo(struct snapshot_writer *writer) {
    if (writer->outstanding > 0)
        return;
    step_move(writer, STEP_UNDOING);
    if (writer->file >= 0)
        io_close(writer->io, writer->file);
    writer->file = -1;
    io_file_remove(writer->port, writer->directory, FILE_NAME_SNAPSHOT_PARTIAL, step_user(writer));
}

static void writer_fail(struct snapshot_writer *writer, const char *what, int32_t negative_errno) {
    if (writer_is_failing(writer))
        return;
    error_text_set(&writer->error, "snapshot up to entry %llu abandoned: %s: %s",
                   (unsigned long long)writer->meta.tail.index, what, strerror(-negative_errno));
    step_move(writer, STEP_DRAINING);
    writer_undo(writer);
}

/* ---- filling ------------------------------------------------------------------------------ */

static uint8_t *buffer_of(const struct snapshot_writer *writer, uint64_t block) {
    return writer->buffers + (size_t)(block % BUFFER_COUNT) * SNAPSHOT_BLOCK_BYTES;
}

int snapshot_writer_create(struct snapshot_writer **out, struct io *io, struct io_port *port,
                           int32_t directory, const struct identity *identity,
                           uint64_t rate_bytes_s) {
    struct snapshot_writer *writer = calloc(1, sizeof(*writer));
    uint8_t *buffers = files_memory((size_t)BUFFER_COUNT * SNAPSHOT_BLOCK_BYTES);
    if (writer == NULL || buffers == NULL) {
        free(writer);
        files_memory_free(buffers, (size_t)BUFFER_COUNT * SNAPSHOT_BLOCK_BYTES);
        return WEIR_ENOMEM;
    }
    *writer = (struct snapshot_writer){.io = io,
                                       .port = port,
                                       .directory = directory,
                                       .owner = owner_of(identity),
                                       .rate_bytes_s = rate_bytes_s,
                                       .file = -1,
                                       .buffers = buffers};
    *out = writer;
    return 0;
}

void snapshot_writer_destroy(struct snapshot_writer *writer) {
    while (writer->outstanding > 0) {
        const struct io_completion completion = io_wait(writer->port);
        const bool was_ours = snapshot_completion(writer, &completion);
        ASSERT(was_ours);
    }
    if (writer->file >= 0)
        io_close(writer->io, writer->file);
    files_memory_free(writer->buffers, (size_t)BUFFER_COUNT * SNAPSHOT_BLOCK_BYTES);
    free(writer);
}

void snapshot_begin(struct snapshot_writer *writer, const struct snapshot_meta *meta) {
    ASSERT(writer->step == STEP_IDLE || writer->step == STEP_COMPLETE ||
           writer->step == STEP_FAILED);
    ASSERT(writer->outstanding == 0 && writer->file == -1);
    writer->meta = *meta;
    writer->meta.machine_bytes = 0;
    writer->error.text[0] = '\0';
    writer->finishing = false;
    writer->last_sealed = false;
    writer->pace_ns = 0;
    writer->blocks_sealed = 0;
    writer->blocks_started = 0;
    writer->blocks_written = 0;
    writer->payload_bytes = 0;
    writer->reserved_bytes = 0;
    writer->header_written = false;
    writer->file_offset = 0;
    snapshot_name(writer->name, meta->tail.index);
    step_move(writer, STEP_REMOVING); /* what an earlier life may have left */
    io_file_remove(writer->port, writer->directory, FILE_NAME_SNAPSHOT_PARTIAL, step_user(writer));
}

/* Closes the block being filled. */
static void block_close(struct snapshot_writer *writer, bool last) {
    const struct snapshot_block header = {
        .number = writer->blocks_sealed, .payload_bytes = writer->payload_bytes, .last = last};
    uint8_t *block = buffer_of(writer, writer->blocks_sealed);
    writer->pieces[writer->blocks_sealed % BUFFER_COUNT] =
        (struct iovec){.iov_base = block, .iov_len = snapshot_block_stride(writer->payload_bytes)};
    writer->seed = snapshot_block_seal(block, &header, writer->seed);
    writer->meta.machine_bytes += writer->payload_bytes;
    writer->blocks_sealed++;
    writer->payload_bytes = 0;
}

/* The buffer of the next block is free once the block that was in it before is written. */
static bool block_has_buffer(const struct snapshot_writer *writer) {
    return writer->blocks_sealed - writer->blocks_written < BUFFER_COUNT;
}

uint8_t *snapshot_reserve(struct snapshot_writer *writer, uint32_t length_bytes) {
    ASSERT(length_bytes <= SNAPSHOT_PAYLOAD_BYTES_MAX && !writer->finishing);
    writer->reserved_bytes = 0;
    /* The header's checksum is the first block's seed, so the header comes first. */
    if (writer_is_failing(writer) || !writer->header_written)
        return NULL;
    if (writer->payload_bytes + length_bytes > SNAPSHOT_PAYLOAD_BYTES_MAX)
        block_close(writer, false);
    if (!block_has_buffer(writer))
        return NULL;
    writer->reserved_bytes = length_bytes;
    return buffer_of(writer, writer->blocks_sealed) + SNAPSHOT_BLOCK_HEADER_BYTES +
           writer->payload_bytes;
}

void snapshot_commit(struct snapshot_writer *writer, uint32_t length_bytes) {
    ASSERT(length_bytes <= writer->reserved_bytes);
    writer->payload_bytes += length_bytes;
    writer->reserved_bytes = 0;
}

void snapshot_finish(struct snapshot_writer *writer) {
    ASSERT(!writer->finishing);
    writer->finishing = true;
}

void snapshot_abandon(struct snapshot_writer *writer) {
    if (writer->step != STEP_IDLE && writer->step != STEP_COMPLETE)
        writer_fail(writer, "it was given up", -ECANCELED);
}

uint64_t snapshot_writer_file_bytes(const struct snapshot_writer *writer) {
    ASSERT(writer->step == STEP_COMPLETE);
    return writer->file_offset;
}

/* ---- moving on ---------------------------------------------------------------------------- */

/* Writes the header through the first buffer, which nothing else uses yet. */
static void header_start(struct snapshot_writer *writer) {
    writer->seed = snapshot_header_write(writer->buffers, &writer->owner, &writer->meta);
    writer->pieces[0] =
        (struct iovec){.iov_base = writer->buffers, .iov_len = SNAPSHOT_HEADER_BYTES};
    writer->file_offset = SNAPSHOT_HEADER_BYTES;
    io_file_write(writer->port, writer->file, writer->pieces, 1, 0, IO_NO_SYNC, step_user(writer));
}

/* How long the rate takes for so many bytes of a block. */
static uint64_t rate_ns(const struct snapshot_writer *writer, uint64_t length_bytes) {
    ASSERT(length_bytes <= SNAPSHOT_BLOCK_BYTES); /* so that the product fits */
    return writer->rate_bytes_s == 0 ? 0
                                     : length_bytes * UINT64_C(1000000000) / writer->rate_bytes_s;
}

/* Charges a block that is submitted.  Who comes late may make up for one block, no more: a pause
 * earns no burst, and a timer that is late costs nothing. */
static void pace_charge(struct snapshot_writer *writer, uint64_t length_bytes) {
    const uint64_t block_ns = rate_ns(writer, SNAPSHOT_BLOCK_BYTES);
    const uint64_t least_ns = writer->now_ns > block_ns ? writer->now_ns - block_ns : 0;
    writer->pace_ns = writer->pace_ns > least_ns ? writer->pace_ns : least_ns;
    writer->pace_ns += rate_ns(writer, length_bytes);
}

/* Submits sealed blocks. */
static void blocks_start(struct snapshot_writer *writer) {
    while (writer->blocks_started < writer->blocks_sealed) {
        const uint64_t number = writer->blocks_started;
        const struct iovec *piece = &writer->pieces[number % BUFFER_COUNT];
        writer->outstanding++;
        io_file_write(writer->port, writer->file, piece, 1, writer->file_offset, IO_NO_SYNC,
                      SNAPSHOT_USER_TAG << 32 | number % BUFFER_COUNT);
        writer->buffer_busy |= 1u << number % BUFFER_COUNT;
        writer->file_offset += piece->iov_len;
        writer->blocks_started++;
        pace_charge(writer, piece->iov_len);
    }
}

/* Reads the next piece back; the buffers are free by now. */
static void verify_continue(struct snapshot_writer *writer) {
    const uint64_t left = writer->file_offset - writer->verify_offset;
    io_file_read(writer->port, writer->file, writer->buffers,
                 left < SNAPSHOT_BLOCK_BYTES ? (size_t)left : SNAPSHOT_BLOCK_BYTES,
                 writer->verify_offset, step_user(writer));
}

static void verify_start(struct snapshot_writer *writer) {
    writer->verify_offset = 0;
    writer->verify_number = 0;
    step_move(writer, STEP_VERIFYING);
    verify_continue(writer);
}

/* One piece came back: the header, or whole blocks; the rest is read again. */
static void verify_piece(struct snapshot_writer *writer, uint64_t available_bytes) {
    struct format_fault fault;
    uint64_t at = 0;
    if (writer->verify_offset == 0) {
        struct snapshot_meta meta;
        if (snapshot_header_read(writer->buffers, available_bytes, &writer->owner,
                                 writer->meta.tail.index, &meta, &writer->verify_seed,
                                 &fault) != 0) {
            writer_fail(writer, "the header did not read back as it was written", -EIO);
            return;
        }
        at = SNAPSHOT_HEADER_BYTES;
    }
    struct snapshot_block block = {.last = false};
    while (!block.last && at < available_bytes) {
        const uint64_t offset = writer->verify_offset + at;
        if (snapshot_block_read(writer->buffers + at, available_bytes - at, offset,
                                writer->verify_number, &writer->verify_seed, &block, &fault) != 0)
            break; /* perhaps only cut by the end of this piece */
        writer->verify_number++;
        at += snapshot_block_stride(block.payload_bytes);
    }
    writer->verify_offset += at;
    if (block.last && writer->verify_offset == writer->file_offset) {
        step_move(writer, STEP_RENAMING);
        io_close(writer->io, writer->file);
        writer->file = -1;
        io_file_rename(writer->port, writer->directory, FILE_NAME_SNAPSHOT_PARTIAL, writer->name,
                       step_user(writer));
    } else if (at == 0 || block.last) {
        writer_fail(writer, "a block did not read back as it was written", -EIO);
    } else {
        verify_continue(writer);
    }
}

static void step_completed(struct snapshot_writer *writer, int32_t result) {
    switch (writer->step) {
    case STEP_REMOVING:
        step_move(writer, STEP_CREATING);
        writer->opening = true;
        io_file_open(writer->port, writer->directory, FILE_NAME_SNAPSHOT_PARTIAL,
                     IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT, step_user(writer));
        break;
    case STEP_CREATING:
        writer->file = result;
        step_move(writer, STEP_WRITING);
        header_start(writer);
        break;
    case STEP_WRITING: writer->header_written = true; break;
    case STEP_SYNCING: verify_start(writer); break;
    case STEP_VERIFYING: verify_piece(writer, (uint64_t)result); break;
    case STEP_RENAMING:
        step_move(writer, STEP_ENTERING);
        io_directory_sync(writer->port, writer->directory, step_user(writer));
        break;
    case STEP_ENTERING: step_move(writer, STEP_COMPLETE); break;
    case STEP_IDLE:
    case STEP_COMPLETE:
    case STEP_DRAINING:
    case STEP_UNDOING:
    case STEP_FAILED: UNREACHABLE("handled by the caller, or nothing is under way");
    }
}

bool snapshot_completion(struct snapshot_writer *writer, const struct io_completion *completion) {
    if (completion->user >> 32 != SNAPSHOT_USER_TAG)
        return false;
    ASSERT(writer->outstanding > 0);
    writer->outstanding--;
    const uint32_t which = (uint32_t)completion->user;
    const int32_t result = completion->result;
    if (which < BUFFER_COUNT)
        writer->buffer_busy &= ~(1u << which);
    if (writer->opening && which == STEP_USER) {
        writer->opening = false;
        writer->file = result >= 0 ? result : -1; /* also if it was given up meanwhile */
    }
    if (writer->step == STEP_DRAINING) {
        writer_undo(writer);
    } else if (writer->step == STEP_UNDOING) {
        step_move(writer, STEP_FAILED);
    } else if (result < 0 && !(writer->step == STEP_REMOVING && result == -ENOENT)) {
        writer_fail(writer, "an operation on its file failed", result);
    } else if (which == STEP_USER) {
        step_completed(writer, result);
    } else {
        /* Buffers are used in turn: those up to the first one in flight are free. */
        while (writer->blocks_written < writer->blocks_started &&
               !(writer->buffer_busy & 1u << writer->blocks_written % BUFFER_COUNT))
            writer->blocks_written++;
    }
    return true;
}

enum snapshot_state snapshot_poll(struct snapshot_writer *writer, uint64_t now_ns) {
    writer->now_ns = now_ns;
    if (writer->step == STEP_WRITING && writer->header_written) {
        if (writer->finishing && !writer->last_sealed && block_has_buffer(writer)) {
            block_close(writer, true);
            writer->last_sealed = true;
        }
        blocks_start(writer);
        if (writer->last_sealed && writer->blocks_written == writer->blocks_sealed) {
            step_move(writer, STEP_SYNCING);
            io_file_sync(writer->port, writer->file, step_user(writer));
        }
    }
    switch (writer->step) {
    case STEP_IDLE: return SNAPSHOT_IDLE;
    case STEP_COMPLETE: return SNAPSHOT_COMPLETE;
    case STEP_FAILED: return SNAPSHOT_FAILED;
    default: return writer->finishing ? SNAPSHOT_SEALING : SNAPSHOT_WRITING;
    }
}

uint64_t snapshot_pace_ns(const struct snapshot_writer *writer) {
    return writer->pace_ns;
}

const struct snapshot_meta *snapshot_writer_meta(const struct snapshot_writer *writer) {
    return &writer->meta;
}

const char *snapshot_error(const struct snapshot_writer *writer) {
    return writer->error.text;
}
