#ifndef WEIR_STORAGE_SNAPSHOT_STREAM_H
#define WEIR_STORAGE_SNAPSHOT_STREAM_H

/*
 * Reading a snapshot file while the node runs: block by block, each judged as it comes, one read in
 * flight, nobody blocked.
 *
 *     IDLE ──open──> BUSY ──> BLOCK ──next──> BUSY ──> ... ──> END
 *                     └──────────── any failure ────────────> FAILED
 *
 * Two use it: whoever was sent a snapshot, to judge the whole of it; and apply, to restore the
 * machine from it.  close makes it IDLE again, from any state but BUSY.
 *
 * Owner: one shard, on its own port.  Only create allocates.
 */

#include "storage/snapshot.h"

struct snapshot_stream;

enum snapshot_stream_state {
    SNAPSHOT_STREAM_IDLE,
    SNAPSHOT_STREAM_BUSY,
    SNAPSHOT_STREAM_BLOCK, /* a block's bytes are there; so is the meta */
    SNAPSHOT_STREAM_END,   /* all of the file was judged, and is right */
    SNAPSHOT_STREAM_FAILED,
};

/* Errors: WEIR_ENOMEM. */
int snapshot_stream_create(struct snapshot_stream **out, struct io *io, struct io_port *port,
                           int32_t directory, const struct identity *identity);

/* Waits for what is in flight, and frees; blocks.  NULL is allowed. */
void snapshot_stream_destroy(struct snapshot_stream *stream);

/* Begins with a file; it must be IDLE.  `name` is borrowed until it is closed; `index` is the last
 * entry that it covers; `any_member`: it may belong to another node of this cluster. */
void snapshot_stream_open(struct snapshot_stream *stream, const char *name, uint64_t index,
                          bool any_member);

/* Offers a completion; true if it was the stream's. */
bool snapshot_stream_completion(struct snapshot_stream *stream,
                                const struct io_completion *completion);

/* As drawn above. */
enum snapshot_stream_state snapshot_stream_state(const struct snapshot_stream *stream);

/* BLOCK or END: what the header says; at the END machine_bytes is complete. */
const struct snapshot_meta *snapshot_stream_meta(const struct snapshot_stream *stream);

/* BLOCK: its bytes, borrowed until next or close. */
const uint8_t *snapshot_stream_bytes(const struct snapshot_stream *stream, size_t *length_bytes);

/* BLOCK: goes on to the next one. */
void snapshot_stream_next(struct snapshot_stream *stream);

/* FAILED: WEIR_ECORRUPT, WEIR_EIDENTITY, WEIR_EVERSION (the bytes), WEIR_EIO, WEIR_ENOENT (the
 * disk), WEIR_ELIMIT (no file descriptor was left), and a sentence. */
int snapshot_stream_error(const struct snapshot_stream *stream, const char **text);

/* Not IDLE: how much of the file was judged, and is right; and its length, 0 if it is not open. */
uint64_t snapshot_stream_offset(const struct snapshot_stream *stream);
uint64_t snapshot_stream_file_bytes(const struct snapshot_stream *stream);

/* Closes the file; not while BUSY. */
void snapshot_stream_close(struct snapshot_stream *stream);

#endif
