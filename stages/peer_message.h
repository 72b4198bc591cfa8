#ifndef WEIR_STAGES_PEER_MESSAGE_H
#define WEIR_STAGES_PEER_MESSAGE_H

/*
 * Messages of the consensus core (raft/message.h) as bodies of frames (wire/peer_frame.h).
 *
 *   core ── raft_message ──► encode ── head, payload ──► frame ~~► frame ──► decode ──► core
 *
 * A sender encodes the fixed part, the head, into memory of its own; the payload (entries, or a
 * chunk of a snapshot) is borrowed from where it is and follows as spans of the frame.  A receiver
 * gets pointers into the frame.  Entries are the bytes of the log: nobody re-encodes them.
 *
 * Every body begins with
 *
 *   offset  size  field
 *        0     1  kind      enum raft_message_kind
 *        1     1  flags     enum peer_message_flag
 *        2     2  reserved  0
 *        4     4  session   0 where the kind has none
 *        8     8  from      node ids
 *       16     8  to
 *       24     8  term
 *       32     8  round     0 where the kind has none
 *
 * and goes on with u64 fields, in this order:
 *
 *   PRE_VOTE, VOTE    last index, last term
 *   APPEND            previous index, previous term, log time and chain of that entry, commit;
 *                     u32 entry count, u32 reserved (0);
 *                     the entries, as in the log: each at a multiple of 8, zeros between them
 *   APPEND_ANSWER     match index, previous index, hint index, hint term
 *   HEARTBEAT         previous index, previous term, commit
 *   SNAPSHOT          index, term and size in bytes of the snapshot, offset of the chunk;
 *                     u32 chunk length, u32 length of the configuration; the configuration
 *                     (entry/configuration.h); the chunk, then zeros to a multiple of 8
 *   SNAPSHOT_ANSWER   index, term and size in bytes of the snapshot, offset
 *   others            none
 *
 * Valid if and only if: the kind is known, and is control or data as its connection is; flags,
 * session and round are 0 unless the kind has them; `from` and `to` are those of the handshake;
 * everything reserved is 0; and the body ends exactly there.  For an APPEND: at most
 * RAFT_MESSAGE_ENTRIES_MAX entries, of which each has a known version, a length within [40, limit]
 * and the frame, and the index that follows; what precedes entry 1 is the tail of an empty log; and
 * the bodies of configurations are valid.  For a SNAPSHOT: its configuration is valid.
 *
 * After peer_message_decode the numbers are still those of a foreigner: the caller goes on with
 * raft_message_check, and with peer_message_entries_check (each entry whole, and the successor of
 * the one before it), before the core sees the message.  That `previous` is what the own log has
 * there, the core decides by its term; its chain and log time are to be compared with those of the
 * log when the term is equal: if they differ, one of both logs is damaged.
 *
 * Pure: any thread; no system call, nothing allocated.
 */

#include "entry/entry.h"
#include "raft/message.h"

enum {
    PEER_MESSAGE_COMMON_BYTES = 40,
    PEER_MESSAGE_APPEND_BYTES = PEER_MESSAGE_COMMON_BYTES + 5 * 8 + 8,
    PEER_MESSAGE_SNAPSHOT_BYTES = PEER_MESSAGE_COMMON_BYTES + 4 * 8 + 8,
    /* What precedes entries or chunk, at most: 600. */
    PEER_MESSAGE_HEAD_BYTES_MAX = PEER_MESSAGE_SNAPSHOT_BYTES + CONFIGURATION_BYTES_MAX,
};

/* Bits of a body's flags. */
enum peer_message_flag {
    PEER_MESSAGE_GRANTED = 1,  /* answers, but SNAPSHOT_ANSWER */
    PEER_MESSAGE_TRANSFER = 2, /* VOTE */
    PEER_MESSAGE_FULL = 4,     /* HEARTBEAT_ANSWER */
};

/* Why a body is no message that may come over its connection. */
enum peer_message_fault {
    PEER_MESSAGE_VALID = 0,
    PEER_MESSAGE_FAULT_SHORT,         /* ends before the fields of its kind */
    PEER_MESSAGE_FAULT_KIND,          /* unknown kind */
    PEER_MESSAGE_FAULT_CONNECTION,    /* control on a connection for data, or the other way round */
    PEER_MESSAGE_FAULT_MEMBER,        /* sender or receiver is not that of the handshake */
    PEER_MESSAGE_FAULT_FLAGS,         /* a flag that is unknown, or that the kind does not have */
    PEER_MESSAGE_FAULT_RESERVED,      /* reserved bytes or padding not 0, or a session or round that
                                      the kind does not have */
    PEER_MESSAGE_FAULT_TRAILING,      /* bytes behind the end */
    PEER_MESSAGE_FAULT_COUNT,         /* more than RAFT_MESSAGE_ENTRIES_MAX entries */
    PEER_MESSAGE_FAULT_PREVIOUS,      /* before entry 1 there is something */
    PEER_MESSAGE_FAULT_ENTRY_CUT,     /* an entry, or its padding, goes beyond the frame */
    PEER_MESSAGE_FAULT_ENTRY_LENGTH,  /* an entry's length is below its header's or above limit */
    PEER_MESSAGE_FAULT_ENTRY_VERSION, /* an entry of an unknown version */
    PEER_MESSAGE_FAULT_ENTRY_INDEX,   /* an entry's index does not follow */
    PEER_MESSAGE_FAULT_CONFIGURATION, /* the bytes of one, here or in an entry, are not valid */
    PEER_MESSAGE_FAULT_CONFIGURATIONS, /* more of them than the caller has room for */
    PEER_MESSAGE_FAULT_CHUNK,          /* a chunk, or its padding, goes beyond the frame */
    PEER_MESSAGE_FAULT_DIGEST,         /* of peer_digest.h: numbers that no member has */
};

/* What the receiver knows of the connection that a message came over. */
struct peer_message_link {
    uint64_t from;            /* by the handshake: not 0 */
    uint64_t to;              /* this node */
    bool control;             /* the connection is for control messages; otherwise for data */
    uint32_t entry_bytes_max; /* largest entry: at most UINT32_MAX - ENTRY_ALIGN_BYTES */
};

/* A decoded message.  Whoever decodes provides it; it may be used again without being cleared. */
struct peer_message {
    struct raft_message message;
    struct entry_tail previous; /* APPEND: the entry before the first; otherwise 0 */
    const uint8_t *payload;     /* borrows the body: the first entry, or the chunk; or NULL */
    uint32_t payload_bytes;     /* of entries with their padding, or message.length_bytes */
    uint32_t configuration_count;
    struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX]; /* message.entry_count of them */
    /* Set by the caller before: room for the configurations that entries, or a SNAPSHOT, carry.
     * With room for RAFT_MESSAGE_ENTRIES_MAX (98 KiB) no valid message lacks it. */
    struct configuration *configurations;
    uint32_t configurations_max; /* at least 1 */
};

/*
 * Writes what precedes entries or chunk; returns its length, a multiple of 8.  Never fails.
 *
 *   message   as the core put it out; SNAPSHOT: with its configuration (valid).  Asserts that what
 *             its kind does not have is 0, since it would be lost.
 *   previous  APPEND: the tail of the log at previous_index (asserted: index and term are those of
 *             the message).  Otherwise not looked at, may be NULL.
 *
 * The caller's frame then has the spans: this head; APPEND: the entries [previous_index + 1,
 * previous_index + entry_count] with the zeros behind each; SNAPSHOT: length_bytes of the chunk,
 * and peer_frame_padding_bytes(length_bytes) of peer_frame_zeros.
 */
uint32_t peer_message_encode(uint8_t out[PEER_MESSAGE_HEAD_BYTES_MAX],
                             const struct raft_message *message, const struct entry_tail *previous);

/*
 * Reads a body of foreign origin.  On a fault the content of `out` means nothing, but for the room
 * for configurations.  Looks at no byte beyond `body_bytes`.
 */
enum peer_message_fault peer_message_decode(const uint8_t *body, uint32_t body_bytes,
                                            const struct peer_message_link *link,
                                            struct peer_message *out);

/*
 * Judges the entries of a decoded APPEND whole (entry_check): bodies, terms, log times, and that
 * their chain goes on from `previous`.  Costs a hash of all their bytes.  On a fault *position is
 * that of the entry in the message, from 0.  Other kinds are ENTRY_VALID.
 */
enum entry_fault peer_message_entries_check(const struct peer_message *decoded,
                                            uint32_t entry_bytes_max, uint32_t *position);

/* A few words, e.g. "an entry is cut off"; "valid" for PEER_MESSAGE_VALID. */
const char *peer_message_fault_name(enum peer_message_fault fault);

#endif
