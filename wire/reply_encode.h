/* Replies get their protocol: the neutral stream becomes RESP 2 or RESP 3 where it stands.
 *
 * Concepts
 *
 *   stream   What a reply_writer wrote for one command, or for several (wire/reply.h). Its memory
 *            is given to the encoder, which overwrites it.
 *   piece    A range of bytes ready to be sent. A list of pieces, in order, is what one connection
 *            gets; it becomes the iovec of one send. The memory of all its streams must stay until
 *            the whole list is sent: a piece may span adjacent streams. Nothing else is kept.
 *   cursor   Records are read at one cursor and their encoding written at another, which is never
 *            ahead of the first: no encoding is longer than its record, nor its header longer than
 *            the record's header (the table in wire/reply.h; static asserts and exhaustive tests).
 *            So small replies are moved together, over the headers they no longer need.
 *
 * A payload of REPLY_MOVE_BYTES_MAX bytes or more stays where it is: its header is written right in
 * front of it, its CRLF right behind it, and, because the smaller replies before it were moved
 * together, there is a gap in front: a new piece begins. When the list is full, it is moved like a
 * small one instead: slower, and right.
 *
 * Streams of one connection whose memory is adjacent (the next one begins where the last one ended)
 * go on in the last piece. Any other stream begins a new piece.
 *
 * Pure; one thread at a time for one list.
 */
#ifndef WEIR_WIRE_REPLY_ENCODE_H
#define WEIR_WIRE_REPLY_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The protocol as HELLO names it. Stamped on each command, since HELLO may stand between two. */
enum resp_version {
    RESP_VERSION_2 = 2,
    RESP_VERSION_3 = 3,
};

enum {
    /* From this length on a payload is not moved: at some 10 GB/s moving less costs at most 0.4 us,
     * and a piece more costs the kernel an iovec and a page or two to pin or copy from. */
    REPLY_MOVE_BYTES_MAX = 4096,
};

/* Bytes to be sent: a part of the memory that the streams were written in. */
struct reply_piece {
    uint8_t *data;
    uint32_t length;
};

/* The caller's table of pieces and what is in it. */
struct reply_pieces {
    struct reply_piece *piece; /* `capacity` slots, the first `count` in use */
    uint32_t capacity;         /* >= 1 */
    uint32_t count;
    uint64_t length_bytes; /* the sum of the pieces' lengths */
    uint8_t *source_end;   /* where the last stream ended: an adjacent one begins there */
};

/* Begin an empty list over `capacity` slots of `table`. */
void reply_pieces_begin(struct reply_pieces *pieces, struct reply_piece *table, uint32_t capacity);

/* Where the encoding of a stream has got to, between two slices. Zeroed before the first. */
struct reply_encode_place {
    size_t offset;            /* of the next record */
    const uint8_t *move_from; /* the rest of a large payload that is being moved */
    uint32_t move_bytes;
    bool moving;
};

/* Encode the stream [region, region + length) in place and append it to the list.
 *
 * length is a whole number of records, written by a reply_writer without overflow (asserted as far
 * as headers tell); 0 is allowed and changes nothing.
 *
 * Returns false, and changes nothing, if and only if the list is full and the stream is not
 * adjacent to the last one: send the list, begin it anew, and call again. Otherwise it succeeds,
 * using at most one piece for each large payload plus one.
 *
 * Source: RESP 3 specification (antirez/RESP3); the RESP 2 forms as Redis 7.0 maps them. */
bool reply_encode_in_place(uint8_t *region, size_t length, enum resp_version version,
                           struct reply_pieces *pieces);

/* What a record costs of a budget, on top of the payload bytes moved: as long as moving so many. */
enum { REPLY_ENCODE_RECORD_BYTES = 64 };

enum reply_encode_result {
    REPLY_ENCODE_DONE, /* the stream is complete */
    REPLY_ENCODE_MORE, /* the budget is spent: call again, with the same place */
    REPLY_ENCODE_FULL, /* as false above; only at the stream's beginning */
};

/* The same in slices: encodes on from *place (zeroed before the first slice), and lowers
 * *budget_bytes, of which at least 1 is left, by what that costs, to 0 at the least. A slice may
 * exceed the budget by REPLY_MOVE_BYTES_MAX. The list is left alone between the slices. */
enum reply_encode_result reply_encode_slice(uint8_t *region, size_t length,
                                            enum resp_version version, struct reply_pieces *pieces,
                                            struct reply_encode_place *place, size_t *budget_bytes);

#endif
