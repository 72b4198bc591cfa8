/*
 * The table of incarnations.
 *
 *     BLANK ──store──> STORING ──written and synced──> KNOWN
 *
 * Happy path: it is found blank, filled once, and found filled ever after.
 *
 * Failure modes: a power cut while it is written leaves it blank or complete.  A damaged one is
 * refused, since without it a member that was wiped could not be told.  A failed write or sync is
 * final: FAILED.
 */

#include "storage/incarnations.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "storage/files.h"
#include "storage/incarnations_format.h"

#include <stdlib.h>

/* Our `user` of operations ("WINC"). */
#define INCARNATIONS_USER (UINT64_C(0x57494e43) << 32)

enum incarnations_state {
    INCARNATIONS_BLANK,
    INCARNATIONS_STORING,
    INCARNATIONS_KNOWN,
    INCARNATIONS_FAILED
};

struct incarnation_file {
    struct io *io;
    struct io_port *port;
    int32_t file;
    enum incarnations_state state;
    struct owner owner;
    struct configuration members; /* the first configuration */
    struct iovec piece;
    uint8_t *block; /* INCARNATIONS_FILE_BYTES */
};

static const char *const ADVICE =
    "without it a member whose disk was wiped could not be told, and could vote away what was "
    "acknowledged: restore the file from a backup of this node, or remove the data directory and "
    "add the node as a new member";

bool incarnations_needed(const struct identity *identity) {
    return identity->members.member_count > 1 &&
           configuration_find(&identity->members, identity->node_id) != NULL;
}

static bool same_members(const struct configuration *a, const struct configuration *b) {
    bool same = a->member_count == b->member_count;
    for (uint32_t i = 0; same && i < a->member_count; i++)
        same = a->members[i].node_id == b->members[i].node_id;
    return same;
}

/* ---- opening ------------------------------------------------------------------------------ */

/* Reads what there is of it into the block; not directly, since it may have been cut. */
static int image_read(struct incarnation_file *file, int32_t directory, uint64_t *size_bytes,
                      struct error_text *error) {
    int32_t reading;
    int result =
        files_open(file->port, directory, FILE_NAME_INCARNATIONS, IO_OPEN_READ, &reading, error);
    if (result == WEIR_ENOENT)
        error_text_set(error, "%s is missing; %s", FILE_NAME_INCARNATIONS, ADVICE);
    if (result != 0)
        return result;
    *size_bytes = io_file_size_bytes(file->io, reading);
    if (*size_bytes == INCARNATIONS_FILE_BYTES)
        result = files_read(file->port, reading, FILE_NAME_INCARNATIONS, file->block,
                            INCARNATIONS_FILE_BYTES, 0, error);
    io_close(file->io, reading);
    return result;
}

static int image_judge(struct incarnation_file *file, uint64_t size_bytes,
                       struct configuration *table, struct error_text *error) {
    struct format_fault fault;
    struct configuration found;
    enum format_state state =
        incarnations_format_read(file->block, size_bytes, &file->owner, &found, &fault);
    if (state == FORMAT_VALID && !same_members(&found, &file->members)) {
        state = FORMAT_DAMAGED;
        format_refuse(&fault, WEIR_ECORRUPT, 0, "its members are not those of the identity");
    }
    if (state == FORMAT_DAMAGED || state == FORMAT_REFUSED) {
        error_text_set(error, "%s: at offset %llu: %s; %s", FILE_NAME_INCARNATIONS,
                       (unsigned long long)fault.offset, fault.reason, ADVICE);
        return fault.error;
    }
    file->state = state == FORMAT_VALID ? INCARNATIONS_KNOWN : INCARNATIONS_BLANK;
    if (state == FORMAT_VALID)
        *table = found;
    return 0;
}

static void incarnations_free(struct incarnation_file *file) {
    if (file->file >= 0)
        io_close(file->io, file->file);
    files_memory_free(file->block, INCARNATIONS_FILE_BYTES);
    free(file);
}

int incarnations_open(struct incarnation_file **out, struct io *io, struct io_port *port,
                      int32_t directory, const struct identity *identity, bool *known,
                      struct configuration *table, struct error_text *error) {
    ASSERT(incarnations_needed(identity));
    struct incarnation_file *file = calloc(1, sizeof(*file));
    if (file == NULL)
        return WEIR_ENOMEM;
    *file = (struct incarnation_file){.io = io,
                                      .port = port,
                                      .file = -1,
                                      .owner = owner_of(identity),
                                      .members = identity->members,
                                      .block = files_memory(INCARNATIONS_FILE_BYTES)};
    uint64_t size_bytes = 0;
    int result = file->block == NULL ? WEIR_ENOMEM : 0;
    if (result == 0)
        result = image_read(file, directory, &size_bytes, error);
    if (result == 0)
        result = image_judge(file, size_bytes, table, error);
    if (result == 0 && file->state == INCARNATIONS_BLANK)
        result = files_open(port, directory, FILE_NAME_INCARNATIONS, IO_OPEN_WRITE | IO_OPEN_DIRECT,
                            &file->file, error);
    if (result != 0) {
        incarnations_free(file);
        return result;
    }
    *known = file->state == INCARNATIONS_KNOWN;
    *out = file;
    return 0;
}

int incarnations_create(struct io *io, struct io_port *port, int32_t directory,
                        struct error_text *error) {
    uint8_t *image = files_memory(INCARNATIONS_FILE_BYTES);
    if (image == NULL)
        return WEIR_ENOMEM;
    int32_t file;
    int result = files_open(port, directory, FILE_NAME_INCARNATIONS,
                            IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT, &file, error);
    if (result == 0) {
        result = files_write(port, file, FILE_NAME_INCARNATIONS, image, INCARNATIONS_FILE_BYTES, 0,
                             IO_SYNC, error);
        io_close(io, file);
    }
    files_memory_free(image, INCARNATIONS_FILE_BYTES);
    return result != 0 ? result : files_directory_sync(port, directory, error);
}

/* ---- storing ------------------------------------------------------------------------------ */

void incarnations_store(struct incarnation_file *file, const struct configuration *table) {
    ASSERT(file->state == INCARNATIONS_BLANK);
    ASSERT(same_members(table, &file->members));
    ASSERT(configuration_find(table, file->owner.node_id)->incarnation == file->owner.incarnation);
    incarnations_format_write(file->block, &file->owner, table);
    file->state = INCARNATIONS_STORING;
    file->piece = (struct iovec){.iov_base = file->block, .iov_len = INCARNATIONS_FILE_BYTES};
    io_file_write(file->port, file->file, &file->piece, 1, 0, IO_SYNC, INCARNATIONS_USER);
}

bool incarnations_busy(const struct incarnation_file *file) {
    return file->state == INCARNATIONS_STORING;
}

bool incarnations_completion(struct incarnation_file *file, const struct io_completion *completion,
                             bool *stored, int *failed) {
    if (completion->user != INCARNATIONS_USER)
        return false;
    ASSERT(incarnations_busy(file));
    if (completion->result < 0) {
        file->state = INCARNATIONS_FAILED;
        *failed = completion->result;
    } else {
        file->state = INCARNATIONS_KNOWN;
        *stored = true;
    }
    return true;
}

void incarnations_close(struct incarnation_file *file) {
    ASSERT(!incarnations_busy(file));
    incarnations_free(file);
}
