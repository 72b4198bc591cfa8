#ifndef WEIR_STORAGE_SNAPSHOT_RECEIVE_H
#define WEIR_STORAGE_SNAPSHOT_RECEIVE_H

/*
 * A snapshot that another member sends, piece by piece.
 *
 * The pieces are written to snapshot.received, whose space is allocated as a whole before the first
 * one.  When all are there the file is synced, read back and judged from the first byte to the
 * last.  Then it waits until it is placed: its header is made this node's, synced, the file renamed
 * to what it covers, and the directory synced.  From the rename on it is what a start restores.
 *
 *     EMPTY ──piece──> BUSY ──> OPEN ──pieces, all there, judged──> WHOLE ──place──> BUSY ─> PLACED
 *       ^               │ no space, a failing disk, wrong bytes        │                │
 *       └───────────────┴──────────── drop ────────────────────────────┘                v
 *                                                                       FAILED (only while placing)
 *
 * There is one such file at most, of the size that its sender says.  It is kept over a restart: the
 * first piece of the same snapshot has its beginning judged, and what of it is right is not sent
 * again.  Pieces of two senders may be mixed if index, term and size are the same; that the whole
 * is not what either had shows when it is judged.
 *
 * Errors.  Before it is placed nothing here is final: the file is removed, and the sender begins
 * again; but what is all there and cannot be judged for want of a file descriptor stays, OPEN, and
 * is judged when a piece comes again.  A failure while it is being placed is: whether the name is
 * durable is not known then.
 *
 * Owner: the replicate thread, on its own port.  Only create allocates.
 */

#include "storage/snapshot.h"

struct snapshot_receiver;

enum snapshot_receiver_state {
    SNAPSHOT_RECEIVER_EMPTY,
    SNAPSHOT_RECEIVER_BUSY,
    SNAPSHOT_RECEIVER_OPEN, /* waits for the next piece */
    SNAPSHOT_RECEIVER_WHOLE,
    SNAPSHOT_RECEIVER_PLACED,
    SNAPSHOT_RECEIVER_FAILED, /* final */
};

/* What of which snapshot. */
struct snapshot_piece {
    uint64_t index; /* of the last entry that it covers */
    uint64_t term;  /* of that entry */
    uint64_t size_bytes;
    uint64_t offset;
    uint32_t length_bytes; /* [1, piece_bytes_max]; with offset at most size_bytes */
};

struct snapshot_receiver_counters {
    uint64_t pieces;  /* written */
    uint64_t resumed; /* bytes that were there after a restart */
    uint64_t refused; /* whole files that were not what a snapshot is */
};

/* `piece_bytes_max`: a multiple of 4096.  Errors: WEIR_ENOMEM. */
int snapshot_receiver_create(struct snapshot_receiver **out, struct io *io, struct io_port *port,
                             int32_t directory, const struct identity *identity,
                             uint32_t piece_bytes_max);

/* Waits for what is in flight, and frees; blocks.  NULL is allowed. */
void snapshot_receiver_destroy(struct snapshot_receiver *receiver);

/* As drawn above. */
enum snapshot_receiver_state snapshot_receiver_state(const struct snapshot_receiver *receiver);

/*
 * Takes a piece; its bytes are copied.  One of another snapshot than what is there drops that.  One
 * that does not continue what is there, or comes while it is BUSY, is not used.  Either way a
 * report is owed afterwards, unless it is BUSY with another snapshot.
 */
void snapshot_receive(struct snapshot_receiver *receiver, const struct snapshot_piece *piece,
                      const uint8_t *bytes);

/* True if a report is owed and can be given: of *index, *term and *size_bytes, *received bytes are
 * there, or, with *whole, it is complete, durable and judged. */
bool snapshot_receiver_report(struct snapshot_receiver *receiver, struct snapshot_piece *out,
                              bool *whole);

/* Offers a completion; true if it was the receiver's. */
bool snapshot_receiver_completion(struct snapshot_receiver *receiver,
                                  const struct io_completion *completion);

/* WHOLE: what its header says. */
const struct snapshot_meta *snapshot_receiver_meta(const struct snapshot_receiver *receiver);

/* WHOLE: makes it this node's newest snapshot; PLACED when that is durable. */
void snapshot_receiver_place(struct snapshot_receiver *receiver);

/* PLACED: it is in use, the next one may come. */
void snapshot_receiver_release(struct snapshot_receiver *receiver);

/* OPEN or WHOLE: it is not needed any more, and its file is removed. */
void snapshot_receiver_drop(struct snapshot_receiver *receiver);

/* Nothing more is begun: what is under way comes back, and then the port is at rest. */
void snapshot_receiver_stop(struct snapshot_receiver *receiver);

/* The last entry of what is there, or on its way; 0: nothing. */
uint64_t snapshot_receiver_index(const struct snapshot_receiver *receiver);

/* The last one for which that was tried could not be stored or judged for want of space or of a
 * file descriptor, and nothing could be since. */
bool snapshot_receiver_out_of_room(const struct snapshot_receiver *receiver);

/* Why the last one was dropped, or FAILED. */
const char *snapshot_receiver_error(const struct snapshot_receiver *receiver);

/* Since it was created. */
void snapshot_receiver_counters(const struct snapshot_receiver *receiver,
                                struct snapshot_receiver_counters *out);

#endif
