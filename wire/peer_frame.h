#ifndef WEIR_WIRE_PEER_FRAME_H
#define WEIR_WIRE_PEER_FRAME_H

/*
 * Frames: what members of a cluster send each other over TCP, cut into checked pieces.
 *
 * Concepts
 *
 *   connection  Goes from its opener to its acceptor.  The first frame is the opener's HELLO, which
 *               the acceptor answers with the only frame that it ever sends, HELLO_ANSWER
 *               (wire/peer_hello.h).  If that accepts, any number of MESSAGE frames follow, all
 *               from the opener (stages/peer_message.h has their bodies).
 *   frame       A header of 40 bytes and a body.  All integers are little-endian.
 *   sequence    Number of the frame among those of its sender on this connection: 0, 1, 2 ...
 *   seed        Of the checksum.  PEER_FRAME_SEED_HANDSHAKE in both handshake frames;
 *               afterwards peer_frame_seed() of the two, so that bytes of another connection (other
 *               members, incarnations, kind, cluster) are not taken for bytes of this one.
 *
 *   offset  size  field
 *        0     4  length     of header and body: a multiple of 8, at least 40
 *        4     1  kind       enum peer_frame_kind
 *        5     1  version    PEER_FRAME_VERSION
 *        6     2  flags      0
 *        8     8  sequence
 *       16    16  tag        of authentication; 0 until there is one
 *       32     8  checksum   H(body, seed = H(first 32 bytes, seed)), H being XXH3-64
 *       40     -  body
 *
 * A frame is valid if and only if: its length is a multiple of 8 within [40, limit], its version is
 * known, its kind is the one that may stand here, flags and tag are zero, its sequence is one more
 * than that of the frame before it (0 for the first), and its checksum is right.  Since lengths are
 * multiples of 8, what is 8-aligned in a frame stays so if the first frame begins 8-aligned.
 *
 * What is promised of reading
 *
 *   1. Any split is the same: results depend on the bytes, not on how they were cut into calls.
 *   2. A length is believed only within the limit, and nothing is asked for beyond it.  What can be
 *      refused by the first 4 bytes, or by the header, is refused before the body is there.
 *   3. No byte beyond those given is looked at.  A body is looked at once, when it is complete.
 *   4. After a fault every call gives the same fault: the connection is to be closed.
 *
 * The checksum detects accidents, not attackers: whoever reaches the peers' port can write valid
 * frames, until tag and nonces are used.
 *
 * This file is pure: any thread, one at a time for one reader or writer; nothing is allocated.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/checksum.h"

enum {
    PEER_FRAME_VERSION = 1,
    PEER_FRAME_ALIGN_BYTES = 8,
    PEER_FRAME_TAG_BYTES = 16,
    PEER_FRAME_HEADER_BYTES = 40,
    PEER_FRAME_CHECKED_HEADER_BYTES = 32, /* what precedes the checksum */
    /* The length alone; before it is there nothing can be said. */
    PEER_FRAME_LENGTH_BYTES = 4,
};

/* The largest frame that a limit may allow. */
#define PEER_FRAME_BYTES_CEILING (UINT32_MAX - 7)

/* Seed of the checksums of HELLO and HELLO_ANSWER ("weirpeer" read as a little-endian number). */
#define PEER_FRAME_SEED_HANDSHAKE UINT64_C(0x7265657072696577)

/* What a frame is; the first two only as the first frame of their direction. */
enum peer_frame_kind {
    PEER_FRAME_HELLO = 1,
    PEER_FRAME_HELLO_ANSWER = 2,
    PEER_FRAME_MESSAGE = 3,
};

/* Why bytes are no frame that may stand here; peer_frame_fault_name has the words. */
enum peer_frame_fault {
    PEER_FRAME_VALID = 0,
    PEER_FRAME_FAULT_SHORT,      /* length below the header's */
    PEER_FRAME_FAULT_LONG,       /* length above the limit */
    PEER_FRAME_FAULT_ALIGNMENT,  /* length not a multiple of 8 */
    PEER_FRAME_FAULT_VERSION,    /* unknown version */
    PEER_FRAME_FAULT_KIND,       /* unknown kind */
    PEER_FRAME_FAULT_UNEXPECTED, /* a known kind, but not the one that may stand here */
    PEER_FRAME_FAULT_FLAGS,      /* a flag is set */
    PEER_FRAME_FAULT_SEQUENCE,   /* not the next number: repeated, or one is missing */
    PEER_FRAME_FAULT_TAG,        /* the sender authenticates; this version cannot */
    PEER_FRAME_FAULT_CHECKSUM,   /* the bytes are not as they were written for this connection */
};

/* ---- reading ------------------------------------------------------------------------------ */

/* The reading side of one connection.  Plain data; the fields belong to peer_frame.c. */
struct peer_frame_reader {
    uint64_t seed;
    uint64_t sequence;         /* of the next frame */
    uint32_t length_max_bytes; /* of the next frame */
    uint8_t kind;              /* enum peer_frame_kind, of the next frame */
    uint8_t fault;             /* enum peer_frame_fault: what has ended the connection, or 0 */
};

enum peer_frame_result {
    PEER_FRAME_COMPLETE, /* the frame is in `out`; the next begins length_bytes further on */
    PEER_FRAME_MORE,     /* call again with at least needed_bytes */
    PEER_FRAME_FAULTY,   /* close the connection */
};

/* What a call found. */
struct peer_frame {
    const uint8_t *body;   /* COMPLETE: borrows the bytes given */
    uint32_t body_bytes;   /* COMPLETE: a multiple of 8 */
    uint32_t length_bytes; /* COMPLETE: header and body */
    uint64_t sequence;     /* COMPLETE */
    uint64_t checksum;     /* COMPLETE; of the handshake's frames, for peer_frame_seed */
    uint32_t needed_bytes; /* MORE: from the frame's first byte on; > those given, <= the limit */
    uint8_t kind;          /* COMPLETE: enum peer_frame_kind */
    uint8_t fault;         /* FAULTY: enum peer_frame_fault */
};

/*
 * Begins a connection.  `kind` is PEER_FRAME_HELLO for an acceptor, PEER_FRAME_HELLO_ANSWER for an
 * opener: the only frame that will be taken.  `length_max_bytes` within [PEER_FRAME_HEADER_BYTES,
 * PEER_FRAME_BYTES_CEILING]; PEER_HELLO_FRAME_BYTES_MAX is right for both.
 */
void peer_frame_reader_begin(struct peer_frame_reader *reader, enum peer_frame_kind kind,
                             uint32_t length_max_bytes);

/*
 * The acceptor has read the HELLO and accepted it: from now on MESSAGE frames are taken, with this
 * seed (peer_frame_seed) and limit.  Asserts that exactly the HELLO was read, without a fault.
 */
void peer_frame_reader_accept(struct peer_frame_reader *reader, uint64_t seed,
                              uint32_t length_max_bytes);

/*
 * Judges the frame that begins at `bytes`, of which `available_bytes` have arrived (0 allowed, then
 * `bytes` may be NULL).  On COMPLETE the reader stands before the next frame; otherwise before the
 * same one.  `out` is written in full; what is not named for the result is 0.
 */
enum peer_frame_result peer_frame_read(struct peer_frame_reader *reader, const uint8_t *bytes,
                                       size_t available_bytes, struct peer_frame *out);

/*
 * The same for a frame whose body lies elsewhere than its whole header, as when it was put where it
 * is wanted: `body_available` bytes of it have arrived at `body` (0 allowed, then `body` may be
 * NULL).  needed_bytes still counts from the frame's first byte on.
 */
enum peer_frame_result peer_frame_read_parts(struct peer_frame_reader *reader,
                                             const uint8_t header[PEER_FRAME_HEADER_BYTES],
                                             const uint8_t *body, size_t body_available,
                                             struct peer_frame *out);

/*
 * The same for a body whose bytes were hashed as they came, so that no call looks at a long one as
 * a whole: begin, once the header is complete and peer_frame_read_parts has said MORE; then
 * checksum_update with each piece; and then this, once the body is whole, with checksum_end.
 */
void peer_frame_hash_begin(const struct peer_frame_reader *reader,
                           const uint8_t header[PEER_FRAME_HEADER_BYTES],
                           struct checksum_state *state);
enum peer_frame_result peer_frame_read_hashed(struct peer_frame_reader *reader,
                                              const uint8_t header[PEER_FRAME_HEADER_BYTES],
                                              const uint8_t *body, uint64_t hash,
                                              struct peer_frame *out);

/* ---- writing ------------------------------------------------------------------------------ */

/* The writing side of one connection.  Plain data; the fields belong to peer_frame.c. */
struct peer_frame_writer {
    uint64_t seed;
    uint64_t sequence; /* of the next frame */
};

/* A piece of a body: borrowed bytes. */
struct peer_frame_span {
    const uint8_t *data; /* may be NULL only if length is 0 */
    uint32_t length_bytes;
};

/* Zeros to fill a body up to a multiple of 8; peer_frame_padding_bytes says how many. */
extern const uint8_t peer_frame_zeros[PEER_FRAME_ALIGN_BYTES];

/* Bytes from `length_bytes` to the next multiple of 8. */
static inline uint32_t peer_frame_padding_bytes(uint32_t length_bytes) {
    return (0 - length_bytes) & (PEER_FRAME_ALIGN_BYTES - 1);
}

/* Begins a direction of a connection: the next frame is its HELLO or HELLO_ANSWER. */
void peer_frame_writer_begin(struct peer_frame_writer *writer);

/* The opener was accepted: MESSAGE frames follow, with this seed (peer_frame_seed).  Asserts that
 * exactly the HELLO was written. */
void peer_frame_writer_accepted(struct peer_frame_writer *writer, uint64_t seed);

/*
 * Fills the header of the next frame, whose body is the spans one after the other, and returns the
 * frame's length.  The lengths add up to a multiple of 8, with the header to at most
 * PEER_FRAME_BYTES_CEILING (asserted).  What is sent is the header and then the spans, with the
 * bytes that they have now; a frame that was written is sent whole, or the connection is closed,
 * for its number is used up.  The first frame is a handshake's, all later ones are MESSAGE
 * (asserted).
 */
uint32_t peer_frame_write(struct peer_frame_writer *writer, uint8_t header[PEER_FRAME_HEADER_BYTES],
                          enum peer_frame_kind kind, const struct peer_frame_span *spans,
                          uint32_t span_count);

/* The checksum in a header that peer_frame_write has filled; for peer_frame_seed. */
uint64_t peer_frame_checksum(const uint8_t header[PEER_FRAME_HEADER_BYTES]);

/*
 * The seed of a connection: H(checksum of its HELLO, checksum of its HELLO_ANSWER) as 16 bytes.
 * These cover who speaks with whom, in which life, about what and (one day) both nonces.
 */
uint64_t peer_frame_seed(uint64_t hello_checksum, uint64_t answer_checksum);

/* A few words, e.g. "checksum mismatch"; "valid" for PEER_FRAME_VALID. */
const char *peer_frame_fault_name(enum peer_frame_fault fault);

#endif
