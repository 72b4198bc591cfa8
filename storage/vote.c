/*
 * Term and vote.
 *
 *     IDLE ──store──> FIRST ──written and synced──> SECOND ──written and synced──> IDLE
 *
 * Happy path: a record goes to slot 0, synced, then to slot 1, synced; then it is stored.
 *
 * Failure modes: a crash between the two leaves slot 0 newer: it counts, and slot 1 is rewritten at
 * start.  A damaged slot is rewritten from the other one.  A failed write or sync is final: FAILED.
 */

#include "storage/vote.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/log.h"
#include "storage/files.h"
#include "storage/vote_format.h"

#include <stdlib.h>

/* Our `user` of operations ("WVOT"). */
#define VOTE_USER (UINT64_C(0x57564f54) << 32)

enum vote_state { VOTE_IDLE, VOTE_FIRST, VOTE_SECOND, VOTE_FAILED };

struct vote_file {
    struct io *io;
    struct io_port *port;
    int32_t file;
    enum vote_state state;
    struct owner owner;
    struct vote_slot slot; /* the latest */
    struct iovec piece;
    uint8_t *block; /* VOTE_SLOT_BYTES */
};

static void slot_fill(struct vote_file *file, uint32_t number) {
    memset(file->block, 0, VOTE_SLOT_BYTES);
    vote_slot_write(file->block, number, &file->owner, &file->slot);
}

/* ---- opening ------------------------------------------------------------------------------ */

static const char *const ADVICE =
    "without its term and vote this node could vote twice: restore the file from a backup that is "
    "not older than its last vote, or remove the data directory and add the node as a new member";

/* Reads what there is of the file; not directly, since a file that was cut has no whole blocks. */
static int image_read(struct vote_file *file, int32_t directory, uint8_t *image,
                      struct error_text *error) {
    int32_t reading;
    int result = files_open(file->port, directory, FILE_NAME_VOTE, IO_OPEN_READ, &reading, error);
    if (result != 0)
        return result;
    const uint64_t size_bytes = io_file_size_bytes(file->io, reading);
    const size_t present_bytes =
        size_bytes < VOTE_FILE_BYTES ? (size_t)size_bytes : (size_t)VOTE_FILE_BYTES;
    if (present_bytes > 0)
        result = files_read(file->port, reading, FILE_NAME_VOTE, image, present_bytes, 0, error);
    io_close(file->io, reading);
    return result;
}

/* Chooses what counts; rewrites the slot that needs it. */
static int vote_judge(struct vote_file *file, const uint8_t *image, struct error_text *error) {
    struct format_fault fault;
    int repair_slot;
    const char *reason;
    if (vote_choose(image, &file->owner, &file->slot, &repair_slot, &reason, &fault) != 0) {
        error_text_set(error, "%s: at offset %llu: %s; %s", FILE_NAME_VOTE,
                       (unsigned long long)fault.offset, fault.reason, ADVICE);
        return fault.error;
    }
    if (repair_slot < 0)
        return 0;
    log_warn("vote_slot_rewritten", "file=%s slot=%d term=%llu reason=\"%s\"", FILE_NAME_VOTE,
             repair_slot, (unsigned long long)file->slot.record.term, reason);
    slot_fill(file, (uint32_t)repair_slot);
    return files_write(file->port, file->file, FILE_NAME_VOTE, file->block, VOTE_SLOT_BYTES,
                       (uint64_t)repair_slot * VOTE_SLOT_BYTES, IO_SYNC, error);
}

static void vote_free(struct vote_file *file) {
    if (file->file >= 0)
        io_close(file->io, file->file);
    files_memory_free(file->block, VOTE_SLOT_BYTES);
    free(file);
}

int vote_open(struct vote_file **out, struct io *io, struct io_port *port, int32_t directory,
              const struct identity *identity, struct vote_record *record,
              struct error_text *error) {
    struct vote_file *file = calloc(1, sizeof(*file));
    if (file == NULL)
        return WEIR_ENOMEM;
    *file = (struct vote_file){.io = io,
                               .port = port,
                               .file = -1,
                               .owner = owner_of(identity),
                               .block = files_memory(VOTE_SLOT_BYTES)};
    uint8_t *image = files_memory(VOTE_FILE_BYTES);
    int result = file->block == NULL || image == NULL ? WEIR_ENOMEM : 0;
    if (result == 0)
        result = image_read(file, directory, image, error);
    if (result == 0)
        result = files_open(port, directory, FILE_NAME_VOTE, IO_OPEN_WRITE | IO_OPEN_DIRECT,
                            &file->file, error);
    if (result == 0)
        result = vote_judge(file, image, error);
    files_memory_free(image, VOTE_FILE_BYTES);
    if (result != 0) {
        vote_free(file);
        return result;
    }
    *record = file->slot.record;
    *out = file;
    return 0;
}

int vote_create(struct io *io, struct io_port *port, int32_t directory,
                const struct identity *identity, const struct vote_record *record,
                struct error_text *error) {
    const struct owner owner = owner_of(identity);
    const struct vote_slot slot = {.sequence = 1, .record = *record};
    uint8_t *image = files_memory(VOTE_FILE_BYTES);
    if (image == NULL)
        return WEIR_ENOMEM;
    for (uint32_t i = 0; i < 2; i++)
        vote_slot_write(image + (size_t)i * VOTE_SLOT_BYTES, i, &owner, &slot);
    int32_t file;
    int result = files_open(port, directory, FILE_NAME_VOTE,
                            IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT, &file, error);
    if (result == 0) {
        result = files_write(port, file, FILE_NAME_VOTE, image, VOTE_FILE_BYTES, 0, IO_SYNC, error);
        io_close(io, file);
    }
    files_memory_free(image, VOTE_FILE_BYTES);
    return result != 0 ? result : files_directory_sync(port, directory, error);
}

/* ---- storing ------------------------------------------------------------------------------ */

static void slot_store(struct vote_file *file, uint32_t number) {
    slot_fill(file, number);
    file->piece = (struct iovec){.iov_base = file->block, .iov_len = VOTE_SLOT_BYTES};
    io_file_write(file->port, file->file, &file->piece, 1, (uint64_t)number * VOTE_SLOT_BYTES,
                  IO_SYNC, VOTE_USER);
}

void vote_store(struct vote_file *file, const struct vote_record *record) {
    ASSERT(file->state == VOTE_IDLE);
    ASSERT(record->term >= file->slot.record.term);
    file->slot.sequence++;
    file->slot.record = *record;
    file->state = VOTE_FIRST;
    slot_store(file, 0);
}

bool vote_busy(const struct vote_file *file) {
    return file->state == VOTE_FIRST || file->state == VOTE_SECOND;
}

bool vote_completion(struct vote_file *file, const struct io_completion *completion, bool *stored,
                     int *failed) {
    if (completion->user != VOTE_USER)
        return false;
    ASSERT(vote_busy(file));
    if (completion->result < 0) {
        file->state = VOTE_FAILED;
        *failed = completion->result;
    } else if (file->state == VOTE_FIRST) {
        file->state = VOTE_SECOND;
        slot_store(file, 1);
    } else {
        file->state = VOTE_IDLE;
        *stored = true;
    }
    return true;
}

void vote_close(struct vote_file *file) {
    ASSERT(!vote_busy(file));
    vote_free(file);
}
