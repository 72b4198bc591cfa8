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
 *               from the opener (stages/peer_message.h has their bodies); in a cluster with a
 *               secret a PROOF is the first of them.
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
 *        6     2  check      of the header: the low 16 bits of H(length, kind, version, 2 zeros,
 *                             sequence; seed)
 *        8     8  sequence
 *       16    16  tag        of authentication, see below; 0 in a cluster without a secret
 *       32     8  checksum   H(body, seed = H(first 32 bytes, seed)), H being XXH3-64
 *       40     -  body
 *
 * A frame is valid if and only if: its length is a multiple of 8 within [40, limit], its version is
 * known, its kind is the one that may stand here, its sequence is one more than that of the frame
 * before it (0 for the first), its check and its checksum are right, and so is its tag.
 * Since lengths are multiples of 8, what is 8-aligned in a frame stays so if the first frame begins
 * 8-aligned.
 *
 * Authentication
 *
 *   The members of a cluster have a secret in common.  In the handshake, which the PROOF ends, a
 *   tag is the first 16 bytes of M(key, first 16 bytes of the header, body, context), M being
 *   HMAC-SHA-256 (base/mac.h):
 *
 *     kind          key                                        context
 *     HELLO         the secret                                 none
 *     HELLO_ANSWER  the secret                                 the frame HELLO
 *     PROOF         the connection's: M(the secret,            none
 *                   PEER_FRAME_KEY_LABEL, the frame HELLO,
 *                   the frame HELLO_ANSWER)
 *
 *   The tag of a MESSAGE, of which there are very many, is G(key, nonce, first 16 bytes of the
 *   header, body), G being GMAC with AES-256 (base/gmac.h); the key is
 *   M(the connection's, PEER_FRAME_MESSAGE_LABEL), the nonce 4 zeros and the header's sequence.
 *
 *   Each side has put a nonce into its frame of the handshake.  So the answer proves to the opener
 *   that the acceptor has the secret, and has it now; and the PROOF, which has no body, proves the
 *   same of the opener: a HELLO that was recorded and is sent again gets no further.  A frame fits
 *   one place in one connection only: it has the connection's key and its number under the tag.
 *   What is sent is authenticated, not hidden.
 *
 *   No two messages are tagged with the same key and nonce, which GMAC depends on: the key is of
 *   one connection, both sides' nonces having made it; of a connection only the opener sends
 *   messages; each takes the next number; and nobody lives to see the last of 2^64 (asserted).
 *
 *   Without a secret there are no tags, nonces and PROOFs, and who reaches the port is believed.
 *
 * What is promised of reading
 *
 *   1. Any split is the same: results depend on the bytes, not on how they were cut into calls.
 *   2. A length is believed only within the limit and with its check, and nothing is asked for
 *      beyond it.  What can be refused by the first 4 bytes, or by the header, is refused before
 *      the body is there: with one bit of a length altered, what comes would else be swallowed as
 *      the body of a large frame, and nobody would notice for as long as little comes.
 *   3. No byte beyond those given is looked at.  For the checksum a body is looked at once, when it
 *      is complete; for a tag, which takes longer, as its bytes come.
 *   4. After a fault every call gives the same fault: the connection is to be closed.
 *
 *   5. How long a tag's comparison takes does not depend on where it differs.
 *
 * The checksum detects accidents, not attackers; it is judged first, so that a network that alters
 * bytes is not taken for somebody with another secret.
 *
 * This file is pure: any thread, one at a time for one reader or writer; nothing is allocated.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/checksum.h"
#include "base/gmac.h"
#include "base/mac.h"

enum {
    PEER_FRAME_VERSION = 1,
    PEER_FRAME_ALIGN_BYTES = 8,
    PEER_FRAME_TAG_BYTES = 16,
    PEER_FRAME_HEADER_BYTES = 40,
    PEER_FRAME_CHECKED_HEADER_BYTES = 32, /* what precedes the checksum */
    PEER_FRAME_TAGGED_HEADER_BYTES = 16,  /* what precedes the tag */
    /* The length alone; before it is there nothing can be said. */
    PEER_FRAME_LENGTH_BYTES = 4,
};

/* The largest frame that a limit may allow. */
#define PEER_FRAME_BYTES_CEILING (UINT32_MAX - 7)

/* Seed of the checksums of HELLO and HELLO_ANSWER ("weirpeer" read as a little-endian number). */
#define PEER_FRAME_SEED_HANDSHAKE UINT64_C(0x7265657072696577)

/* In what keys are made of: no frame has such a fifth byte, which is its kind. */
#define PEER_FRAME_KEY_LABEL     "weir peer key 1"
#define PEER_FRAME_MESSAGE_LABEL "weir messages 1"

/* What a frame is; the first two only as the first frame of their direction, the last only as the
 * opener's second one, and only in a cluster with a secret. */
enum peer_frame_kind {
    PEER_FRAME_HELLO = 1,
    PEER_FRAME_HELLO_ANSWER = 2,
    PEER_FRAME_MESSAGE = 3,
    PEER_FRAME_PROOF = 4,
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
    PEER_FRAME_FAULT_HEADER,     /* the header is not as it was written for this connection */
    PEER_FRAME_FAULT_SEQUENCE,   /* not the next number: repeated, or one is missing */
    PEER_FRAME_FAULT_TAG,        /* the sender has a secret, and we have none */
    PEER_FRAME_FAULT_CHECKSUM,   /* the bytes are not as they were written for this connection */
    PEER_FRAME_FAULT_NO_TAG,     /* the sender has no secret, and we have one */
    PEER_FRAME_FAULT_FORGED,     /* the tag is wrong: another secret, or another connection's */
};

/* Whether a fault says that the sender does not have our secret. */
static inline bool peer_frame_fault_of_secret(enum peer_frame_fault fault) {
    return fault == PEER_FRAME_FAULT_TAG || fault == PEER_FRAME_FAULT_NO_TAG ||
           fault == PEER_FRAME_FAULT_FORGED;
}

/* A piece of a body: borrowed bytes. */
struct peer_frame_span {
    const uint8_t *data; /* may be NULL only if length is 0 */
    uint32_t length_bytes;
};

/*
 * The keys of a connection.  One owner, a reader's or a writer's, who makes and ends the context of
 * `messages` (gmac_create, gmac_destroy); what is said below of a key borrows the whole.
 */
struct peer_frame_keys {
    struct mac_key proof; /* the connection's */
    struct gmac messages;
};

/* The keys of a connection, of the secret's and the two frames of its handshake, whole. */
void peer_frame_keys_set(struct peer_frame_keys *keys, const struct mac_key *secret,
                         const struct peer_frame_span *hello, const struct peer_frame_span *answer);

/* Overwrites them, if they were set; the connection is over. */
void peer_frame_keys_clear(struct peer_frame_keys *keys);

/* What a tag is made with, and how far it is. */
struct peer_frame_tagger {
    const struct mac_key *key;      /* borrowed; of the handshake; NULL: there are no tags */
    struct gmac *messages;          /* borrowed; NULL in the handshake's first two frames */
    struct peer_frame_span context; /* borrowed until the next frame is read or written */
    uint32_t body_bytes;            /* of a MESSAGE: that are in its tag by now */
    bool begun;                     /* its tag is */
};

/* ---- reading ------------------------------------------------------------------------------ */

/* The reading side of one connection.  Plain data, but for the tag of a MESSAGE under way, which is
 * in its keys; the fields belong to peer_frame.c. */
struct peer_frame_reader {
    struct peer_frame_tagger tagger;
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
 * Of the first frame a tag by `key`, over the frame and `context`, is asked for.  Right behind
 * peer_frame_reader_begin (asserted).  Key and context are borrowed.
 */
void peer_frame_reader_authenticate(struct peer_frame_reader *reader, const struct mac_key *key,
                                    struct peer_frame_span context);

/*
 * From the next frame on, which is to be a PROOF, tags by `keys` are asked for.  Right behind
 * peer_frame_reader_accept, with keys that were set (asserted).  The keys are borrowed, and no
 * other reader or writer borrows them.
 */
void peer_frame_reader_authenticate_messages(struct peer_frame_reader *reader,
                                             struct peer_frame_keys *keys);

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
 * checksum_update with each piece; and then this, once the body is whole, with checksum_end.  Where
 * there are tags peer_frame_read_parts in between, with what is there, does their part of the work.
 */
void peer_frame_hash_begin(const struct peer_frame_reader *reader,
                           const uint8_t header[PEER_FRAME_HEADER_BYTES],
                           struct checksum_state *state);
enum peer_frame_result peer_frame_read_hashed(struct peer_frame_reader *reader,
                                              const uint8_t header[PEER_FRAME_HEADER_BYTES],
                                              const uint8_t *body, uint64_t hash,
                                              struct peer_frame *out);

/* ---- writing ------------------------------------------------------------------------------ */

/* The writing side of one connection.  As the reader; the fields belong to peer_frame.c. */
struct peer_frame_writer {
    struct peer_frame_tagger tagger;
    uint64_t seed;
    uint64_t sequence; /* of the next frame */
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

/* The first frame gets a tag by `key`, over it and `context`.  As the reader's: right behind
 * peer_frame_writer_begin. */
void peer_frame_writer_authenticate(struct peer_frame_writer *writer, const struct mac_key *key,
                                    struct peer_frame_span context);

/* From the next frame on, which is a PROOF, tags by `keys` are written.  As the reader's: right
 * behind peer_frame_writer_accepted. */
void peer_frame_writer_authenticate_messages(struct peer_frame_writer *writer,
                                             struct peer_frame_keys *keys);

/*
 * Does up to `budget_bytes` of the work for the tag of the next frame, a MESSAGE whose body is this
 * one span; returns how much of it is left, 0 where there are no tags.  peer_frame_write of the
 * same body does the rest.  For bodies so long that a tag at once would hold up others.
 */
uint32_t peer_frame_write_ahead(struct peer_frame_writer *writer,
                                const struct peer_frame_span *body, uint32_t budget_bytes);

/*
 * Fills the header of the next frame, whose body is the spans one after the other, and returns the
 * frame's length.  The lengths add up to a multiple of 8, with the header to at most
 * PEER_FRAME_BYTES_CEILING (asserted).  What is sent is the header and then the spans, with the
 * bytes that they have now; a frame that was written is sent whole, or the connection is closed,
 * for its number is used up.  The first frame is a handshake's, the second one a PROOF if there are
 * tags, which has no spans, and all later ones are MESSAGE (asserted).
 */
uint32_t peer_frame_write(struct peer_frame_writer *writer, uint8_t header[PEER_FRAME_HEADER_BYTES],
                          enum peer_frame_kind kind, const struct peer_frame_span *spans,
                          uint32_t span_count);

/* What a header's check has to be, by the fields that precede the tag; the check itself is not
 * looked at.  Before it is right nobody waits for as many bytes as the length says. */
uint16_t peer_frame_header_check(const uint8_t header[PEER_FRAME_HEADER_BYTES], uint64_t seed);

/* The checksum in a header that peer_frame_write has filled; for peer_frame_seed. */
uint64_t peer_frame_checksum(const uint8_t header[PEER_FRAME_HEADER_BYTES]);

/*
 * The seed of a connection: H(checksum of its HELLO, checksum of its HELLO_ANSWER) as 16 bytes.
 * These cover who speaks with whom, in which life, about what, and both nonces.
 */
uint64_t peer_frame_seed(uint64_t hello_checksum, uint64_t answer_checksum);

/* A few words, e.g. "checksum mismatch"; "valid" for PEER_FRAME_VALID. */
const char *peer_frame_fault_name(enum peer_frame_fault fault);

#endif
