#ifndef WEIR_ENTRY_ENTRY_H
#define WEIR_ENTRY_ENTRY_H

/*
 * The entry: one record of the replicated log.
 *
 * The same bytes are the log in memory, the log on disk and the payload of a message to a peer.
 * They are written once, by the leader's replicate stage, and from then on only borrowed:
 * storage writes them, sends transmit them, apply decodes them.  Nobody re-encodes an entry.
 *
 * One entry holds the write commands of one batch (ENTRY_COMMANDS), or one record of the protocol
 * itself (configuration, no-op, genesis, time, digest, session).  All integers are little-endian.
 * An entry starts at an address and at a file offset that are multiples of ENTRY_ALIGN_BYTES; the
 * bytes between its end and the next multiple are zero and belong to no entry.
 *
 *   offset  size  field
 *        0     4  length        bytes of header and body, without the padding behind them
 *        4     1  kind          enum entry_kind
 *        5     1  version       ENTRY_VERSION, or ENTRY_GENESIS_VERSION
 *        6     2  command count commands in the body (ENTRY_COMMANDS), otherwise 0
 *        8     8  term          of the leader that created it
 *       16     8  index         1 for the first entry of a log; every next one is one more
 *       24     8  log time      milliseconds since the Unix epoch; never goes back along the log
 *       32     8  chain         see below
 *       40     -  body
 *
 * Chain.  chain = H(body, seed = H(first 32 bytes, seed = chain of the previous entry)), where H
 * is XXH3-64 and the chain before entry 1 is ENTRY_CHAIN_ORIGIN.  So a chain value vouches for the
 * whole history up to its entry: two logs whose entries at an index have equal chains are equal up
 * to there, a stale or misplaced record does not fit its neighbour, and a flipped bit anywhere in
 * header or body is seen.  (Two one-shot hashes, not one streamed: a stream's state costs more
 * than a small entry.)
 *
 * An entry is valid if and only if: its length is within [ENTRY_HEADER_BYTES, limit], its kind and
 * version are known, its index is one more than its predecessor's, its term and log time are not
 * below its predecessor's, its chain is right, and (ENTRY_COMMANDS) its body is exactly
 * `command count` valid command records.
 *
 * Body of ENTRY_COMMANDS: command records, each at a multiple of 8:
 *
 *   offset  size  field
 *        0     2  command id      of the machine's command table, or, from
 *                                 ENTRY_COMMAND_ID_HOST on, of the host's; stable for ever
 *        2     1  flags           ENTRY_COMMAND_SESSION: session and sequence follow
 *        3     1  reserved        0
 *        4     4  argument count  arguments without the command's name
 *        8     4  key count       how many key hashes follow
 *       12     4  record length   bytes of this record up to the next one (a multiple of 8)
 *       16   8+8  session, sequence       only with ENTRY_COMMAND_SESSION; session 0 only in
 *                                         ENTRY_COMMAND_ID_OPEN
 *        -   8*k  key hashes, in the order of the keys among the arguments
 *        -   4*a  argument lengths
 *        -     -  the arguments' bytes, one after the other; then zeros to a multiple of 8
 *
 * ENTRY_COMMAND_ID_OPEN opens a client session, whose id is the index of the entry; there is at
 * most one in an entry.  It has ENTRY_COMMAND_SESSION with session 0, and as sequence the
 * milliseconds without use after which the session expires; no arguments and no keys.
 *
 * ENTRY_COMMAND_ID_EXEC is a transaction: see entry/transaction.h.
 *
 * Body of ENTRY_GENESIS: u64 hash seed, u32 partition count, u32 the length of the largest value
 * (up to ENTRY_VALUE_BYTES_MAX).  That is not 0 if and only if the entry's version is
 * ENTRY_GENESIS_VERSION: one of ENTRY_VERSION is of a program that agreed on no largest value.
 *
 * Body of ENTRY_DIGEST, by which replicas see that they are still alike: u64 index of an entry that
 * the leader had applied when it wrote this one (so below this one's index, and not 0), u32 number
 * of partitions (a power of two, at most ENTRY_PARTITIONS_MAX), u32 reserved (0), and for each
 * partition u64 its digest right after that entry (machines/machine.h).
 *
 * Body of ENTRY_CONFIGURATION: see entry/configuration.h; of ENTRY_ADDRESS: entry/address.h.
 * ENTRY_NOOP and ENTRY_TIME have no body.
 *
 * This folder is pure: no system call, no clock, no allocation, no output.  Every function may be
 * called on any thread, on memory that the caller owns for the time of the call.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/checksum.h"

enum {
    ENTRY_VERSION = 1,
    ENTRY_GENESIS_VERSION = 2, /* of a genesis record that says the largest value */
    ENTRY_ALIGN_BYTES = 8,
    ENTRY_HEADER_BYTES = 40,
    ENTRY_CHAINED_HEADER_BYTES = 32, /* the part of the header that the chain covers */
    ENTRY_COMMAND_HEADER_BYTES = 16,
    ENTRY_COMMAND_SESSION_BYTES = 16,
    ENTRY_GENESIS_BODY_BYTES = 16,
    ENTRY_DIGEST_HEADER_BYTES = 16, /* of the body, before the digests */
};

/* The chain before the first entry ("weirlog1" read as a little-endian number). */
#define ENTRY_CHAIN_ORIGIN UINT64_C(0x31676f6c72696577)

enum entry_kind {
    ENTRY_COMMANDS = 1,
    ENTRY_CONFIGURATION = 2,
    ENTRY_NOOP = 3,
    ENTRY_GENESIS = 4,
    ENTRY_TIME = 5,
    ENTRY_DIGEST = 6,
    ENTRY_SESSION = 7, /* reserved: a session is opened by a command record, so that it keeps its
                          place among the other writes of its batch */
    ENTRY_ADDRESS = 8,
};

/* Flags of a command record. */
enum entry_command_flags {
    ENTRY_COMMAND_SESSION = 1,
};

/* Command ids that no machine has: what the host of the machine does itself. */
enum {
    ENTRY_COMMAND_ID_HOST = 0xff00, /* the first of them */
    ENTRY_COMMAND_ID_OPEN = 0xff00,
    ENTRY_COMMAND_ID_EXEC = 0xff01,
    ENTRY_COMMAND_ID_REPLY = 0xff02, /* only inside of an EXEC */
};

/* The header of an entry, decoded. */
struct entry_header {
    uint32_t length_bytes; /* [ENTRY_HEADER_BYTES, UINT32_MAX - ENTRY_ALIGN_BYTES] */
    uint8_t kind;          /* enum entry_kind */
    uint8_t version;       /* to be sealed: 0 is ENTRY_VERSION */
    uint16_t command_count;
    uint64_t term;
    uint64_t index;
    uint64_t log_time_ms;
    uint64_t chain;
};

/* One argument to be encoded, or one that was decoded: borrowed bytes. */
struct entry_argument {
    const uint8_t *data; /* may be NULL only if length is 0 */
    uint32_t length_bytes;
};

/* One command record, decoded; every pointer borrows the entry's bytes. */
struct entry_command {
    uint16_t id;
    uint8_t flags; /* enum entry_command_flags */
    uint32_t argument_count;
    uint32_t key_count;
    uint64_t session; /* 0 without ENTRY_COMMAND_SESSION */
    uint64_t sequence;
    const uint8_t *key_hashes;       /* key_count little-endian u64; read with bytes_get_u64 */
    const uint8_t *argument_lengths; /* argument_count little-endian u32 */
    const uint8_t *arguments;        /* the first argument's first byte */
};

/* Walks the command records of one ENTRY_COMMANDS entry. */
struct entry_cursor {
    const uint8_t *position;
    const uint8_t *end;
    uint32_t commands_left;
};

/* Why entry_check refused; entry_fault_name gives the words for a person. */
enum entry_fault {
    ENTRY_VALID = 0,
    ENTRY_FAULT_SHORT,   /* fewer bytes than a header, or than its length says */
    ENTRY_FAULT_LENGTH,  /* length below the header's size or above the limit */
    ENTRY_FAULT_KIND,    /* unknown kind */
    ENTRY_FAULT_VERSION, /* unknown version */
    ENTRY_FAULT_INDEX,   /* index is not the predecessor's plus one */
    ENTRY_FAULT_TERM,    /* term below the predecessor's, or zero */
    ENTRY_FAULT_TIME,    /* log time below the predecessor's */
    ENTRY_FAULT_CHAIN,   /* chain does not cover these bytes after that predecessor */
    ENTRY_FAULT_BODY,    /* body is not what the kind demands */
};

/* Where a log stands after its last entry: what the next entry is checked against. */
struct entry_tail {
    uint64_t index;       /* 0 before the first entry */
    uint64_t term;        /* 0 before the first entry */
    uint64_t log_time_ms; /* 0 before the first entry */
    uint64_t chain;       /* ENTRY_CHAIN_ORIGIN before the first entry */
};

/* The tail of an empty log. */
struct entry_tail entry_tail_origin(void);

/* Bytes that an entry of length_bytes occupies with its padding. */
static inline uint32_t entry_stride_bytes(uint32_t length_bytes) {
    return (length_bytes + (ENTRY_ALIGN_BYTES - 1)) & ~(uint32_t)(ENTRY_ALIGN_BYTES - 1);
}

/* Bytes of the record of one command (a multiple of 8); 0 if it exceeds UINT32_MAX. */
uint32_t entry_command_bytes(uint32_t argument_count, uint32_t key_count,
                             uint64_t argument_bytes_total, bool has_session);

/*
 * Writes one command record to `out` (8-aligned, entry_command_bytes() of room).
 * `arguments` excludes the command's name.  Returns the record's length.
 */
uint32_t entry_command_write(uint8_t *out, uint16_t id, const struct entry_argument *arguments,
                             uint32_t argument_count, const uint64_t *key_hashes,
                             uint32_t key_count);

/* The same with a client session's id and sequence number in front. */
uint32_t entry_command_write_session(uint8_t *out, uint16_t id, uint64_t session, uint64_t sequence,
                                     const struct entry_argument *arguments,
                                     uint32_t argument_count, const uint64_t *key_hashes,
                                     uint32_t key_count);

/*
 * The same command record, written bit by bit: for one with very many arguments, or very long ones.
 * After begin come all key hashes, then for each argument its length and its bytes, in pieces of
 * any size; end returns the record's length.  All that begin announced must have come (asserted).
 */
struct entry_command_writer {
    uint8_t *out;    /* the record */
    uint8_t *hash;   /* where the next key hash goes, */
    uint8_t *length; /* the next argument's length, */
    uint8_t *bytes;  /* and the next bytes */
    uint8_t *table;  /* where the lengths begin */
    uint8_t *data;   /* and the arguments' bytes */
};
void entry_command_begin(struct entry_command_writer *writer, uint8_t *out, uint16_t id,
                         uint32_t argument_count, uint32_t key_count);
void entry_command_begin_session(struct entry_command_writer *writer, uint8_t *out, uint16_t id,
                                 uint64_t session, uint64_t sequence, uint32_t argument_count,
                                 uint32_t key_count);
void entry_command_key(struct entry_command_writer *writer, uint64_t key_hash);
void entry_command_argument(struct entry_command_writer *writer, uint32_t length_bytes);
void entry_command_data(struct entry_command_writer *writer, const uint8_t *data,
                        uint32_t length_bytes);
uint32_t entry_command_end(struct entry_command_writer *writer);

/*
 * Completes an entry whose body already stands at entry + ENTRY_HEADER_BYTES: writes the header,
 * the chain and the zero padding (so entry_stride_bytes(length) must be writable), and advances
 * `tail` past it.  header->index and header->chain are computed, not read.
 * Asserts that term and log time are not below the tail's.
 */
void entry_seal(uint8_t *entry, const struct entry_header *header, struct entry_tail *tail);

/*
 * The same in slices, for a long entry: begin writes header and padding, each slice takes so many
 * bytes more of the body into the chain (true: that was the last), and end writes the chain and
 * advances the tail, which must be what it was at begin.
 */
struct entry_sealing {
    struct checksum_state checksum;
    struct entry_header header;
    uint32_t chained_bytes; /* of the entry */
};
void entry_seal_begin(struct entry_sealing *sealing, uint8_t *entry,
                      const struct entry_header *header, const struct entry_tail *tail);
bool entry_seal_slice(struct entry_sealing *sealing, const uint8_t *entry, uint32_t length_bytes);
void entry_seal_end(const struct entry_sealing *sealing, uint8_t *entry, struct entry_tail *tail);

/* Decodes the header without judging it; `entry` has at least ENTRY_HEADER_BYTES. */
struct entry_header entry_header_read(const uint8_t *entry);

/* The chain value of these bytes after a predecessor with `previous_chain`. */
uint64_t entry_chain(const uint8_t *entry, uint32_t length_bytes, uint64_t previous_chain);

/*
 * Judges the entry at `entry`, of which `available_bytes` may be read, as successor of `tail`.
 * On ENTRY_VALID advances `tail`; otherwise leaves it unchanged.  `length_max_bytes` is the
 * largest entry the caller accepts.  Foreign bytes are safe here: nothing is believed unchecked.
 */
enum entry_fault entry_check(const uint8_t *entry, size_t available_bytes,
                             uint32_t length_max_bytes, struct entry_tail *tail);

/* A short phrase, e.g. "chain mismatch". */
const char *entry_fault_name(enum entry_fault fault);

/* Positions a cursor before the first command of a valid ENTRY_COMMANDS entry. */
void entry_cursor_begin(struct entry_cursor *cursor, const uint8_t *entry);

/*
 * Decodes the next command; false after the last.  The entry must have passed entry_check (on
 * this node, since it was written or received): this hot path asserts, it does not judge.
 */
bool entry_cursor_next(struct entry_cursor *cursor, struct entry_command *command);

/* Whether the next command is one of a session; false after the last. */
bool entry_cursor_at_session(const struct entry_cursor *cursor);

/* The id of the next command; 0 after the last. */
uint16_t entry_cursor_id(const struct entry_cursor *cursor);

/* Genesis record: what decides how commands are executed, agreed once and for ever, the same on
 * every node whatever each is configured to be. */
struct entry_genesis {
    uint64_t hash_seed;       /* of keys */
    uint32_t partition_count; /* power of two, [1, ENTRY_PARTITIONS_MAX] */
    uint32_t value_bytes_max; /* the largest value that a command may build, up to
                                 ENTRY_VALUE_BYTES_MAX; 0: never agreed, by an older program */
};

enum {
    ENTRY_PARTITIONS_MAX = 256, /* a machine is cut into so many partitions at most */
    ENTRY_VALUE_BYTES_MAX = 512 << 20,
};

/* The version of the header of an ENTRY_GENESIS with this body. */
uint8_t entry_genesis_version(const struct entry_genesis *genesis);

/* Whether this program knows the version of an entry of that kind. */
bool entry_version_is_known(uint8_t kind, uint8_t version);

/* Writes the body of an ENTRY_GENESIS (ENTRY_GENESIS_BODY_BYTES), whose header has the version
 * above. */
void entry_genesis_write(uint8_t *body, const struct entry_genesis *genesis);

/* Reads the body of a valid ENTRY_GENESIS entry. */
struct entry_genesis entry_genesis_read(const uint8_t *body);

/* Digest record: what each partition of the leader's machine had come to at an index. */
struct entry_digest {
    uint64_t index;         /* [1, index of the entry) */
    uint32_t count;         /* power of two, [1, ENTRY_PARTITIONS_MAX] */
    const uint8_t *digests; /* count little-endian u64; read with bytes_get_u64 */
};

/* Bytes of the body of an ENTRY_DIGEST of so many partitions, at most ENTRY_PARTITIONS_MAX. */
static inline uint32_t entry_digest_bytes(uint32_t count) {
    return ENTRY_DIGEST_HEADER_BYTES + 8 * count;
}

/* Writes that body (entry_digest_bytes(count) of room). */
void entry_digest_write(uint8_t *body, uint64_t index, const uint64_t *digests, uint32_t count);

/* Reads the body of a valid ENTRY_DIGEST entry; the result borrows it. */
struct entry_digest entry_digest_read(const uint8_t *body);

#endif
