#ifndef WEIR_STORAGE_SNAPSHOT_SOURCE_H
#define WEIR_STORAGE_SNAPSHOT_SOURCE_H

/*
 * Pieces of this node's snapshot files, for members that are sent one.
 *
 * One read at a time, of any snapshot; the file read last stays open, and with it what its header
 * says of the configuration.  Which files there still are is the caller's matter.
 *
 * Owner: the replicate thread, on its own port.  Only create allocates.
 */

#include "storage/snapshot.h"

struct snapshot_source;

/* A piece that was read. */
struct snapshot_source_piece {
    const uint8_t *bytes;                      /* borrowed until the next read; NULL: it failed, */
    int error;                                 /* WEIR_ENOENT, WEIR_EIO, or what is wrong with
                                                  the header */
    const struct configuration *configuration; /* as of the snapshot */
    uint64_t file_bytes;
};

/* `piece_bytes_max`: of one read.  Errors: WEIR_ENOMEM. */
int snapshot_source_create(struct snapshot_source **out, struct io *io, struct io_port *port,
                           int32_t directory, const struct identity *identity,
                           uint32_t piece_bytes_max);

/* Waits for what is in flight, and frees; blocks.  NULL is allowed. */
void snapshot_source_destroy(struct snapshot_source *source);

/* Neither a read nor a result is there. */
bool snapshot_source_idle(const struct snapshot_source *source);

/* Reads [offset, offset + length) of snapshot `index`; it must be idle.  The bytes behind it, to
 * the next multiple of 8, will be zeros.  Length 0: reads nothing but the header, once. */
void snapshot_source_read(struct snapshot_source *source, uint64_t index, uint64_t offset,
                          uint32_t length_bytes);

/* Offers a completion; true if it was the source's. */
bool snapshot_source_completion(struct snapshot_source *source,
                                const struct io_completion *completion);

/* True once the read is done, and it is idle again. */
bool snapshot_source_result(struct snapshot_source *source, struct snapshot_source_piece *out);

/* Closes the file if it is that of snapshot `index`, which is going to be removed. */
void snapshot_source_forget(struct snapshot_source *source, uint64_t index);

#endif
