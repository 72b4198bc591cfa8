#ifndef WEIR_WIRE_PEER_HELLO_H
#define WEIR_WIRE_PEER_HELLO_H

/*
 * The handshake of two members: HELLO and its answer, the bodies of the first frames of a
 * connection (wire/peer_frame.h).
 *
 * The opener says who it is, in which life (incarnation), whom it believes to have reached, and
 * what the connection is for; the acceptor says who it is, and whether it takes the connection.
 * Nothing of Raft is said before both have checked the other.
 *
 * Body of HELLO:
 *
 *   offset  size  field
 *        0     8  "weirpeer"
 *        8     4  protocol version  PEER_PROTOCOL_VERSION: of all bodies, and of tags
 *       12     1  connection        enum peer_connection
 *       13     1  reserved          0
 *       14     2  address length    [0, PEER_ADDRESS_BYTES_MAX]
 *       16     8  cluster id
 *       24     8  sender's node id  not 0
 *       32     8  sender's incarnation, not 0
 *       40     8  receiver's node id, as the sender believes: not 0, not the sender's
 *       48    32  nonce             not 0 in a frame with a tag, 0 in one without
 *       80     8  receiver's incarnation, as the sender's table has it; 0: it has none yet
 *       88    24  sender's standing: its life, and term and last index at the begin of that
 *      112    24  receiver's standing, as the sender knows it from the receiver's messages: of
 *                   which life, the highest term, and the last index acknowledged in that term
 *      136     n  address           that the sender advertises to clients: printable ASCII without
 *                                   spaces, "host:port"; empty if it advertises none
 *        -     -  zeros to a multiple of 8
 *
 * Body of HELLO_ANSWER:
 *
 *        0     8  "weirpeer"
 *        8     4  protocol version  of the answering node
 *       12     1  result            enum peer_handshake
 *       13     3  reserved          0
 *       16     8  cluster id        of the answering node, as the following
 *       24     8  node id           not 0
 *       32     8  incarnation       not 0
 *       40     8  the asker's node id: 0 only in a PEER_REFUSED_VERSION or _SECRET, the answering
 *                   node's own only in a refusal
 *       48    32  nonce             not 0 in a frame with a tag, 0 in one without
 *
 * A body is valid if and only if all this holds and it ends exactly there.  A HELLO of another
 * protocol version, or a HELLO frame of another frame version, is answered with
 * PEER_REFUSED_VERSION; that answer keeps this layout in all versions.  A HELLO frame whose tag is
 * not that of this node's secret is answered with PEER_REFUSED_SECRET.  These two answers have no
 * tag.  Any other HELLO that is not valid is not answered: the connection is closed.
 *
 * This file is pure: any thread; nothing is allocated.
 */

#include "wire/peer_frame.h"

enum {
    /* 1: a MESSAGE had a tag as a PROOF has.  2: a HELLO said nothing of standings. */
    PEER_PROTOCOL_VERSION = 3,
    PEER_NONCE_BYTES = 32,
    PEER_HELLO_FIXED_BYTES = 136, /* without the address */
    PEER_ANSWER_BYTES = 80,
    /* A host of DNS has at most 255 bytes; "[", "]", ":" and 5 digits make 263. */
    PEER_ADDRESS_BYTES_MAX = 255 + 8,
    PEER_HELLO_BYTES_MAX = PEER_HELLO_FIXED_BYTES + PEER_ADDRESS_BYTES_MAX + 1,
    /* 440: the limit for frames of the handshake, in both directions. */
    PEER_HELLO_FRAME_BYTES_MAX = PEER_FRAME_HEADER_BYTES + PEER_HELLO_BYTES_MAX,
};

/* What a connection carries: so that no entry, however large, is in a vote's way. */
enum peer_connection {
    PEER_CONNECTION_CONTROL = 1, /* votes, heartbeats, their answers, timeout-now */
    PEER_CONNECTION_DATA = 2,    /* appends, chunks of snapshots, their answers */
};

/* What becomes of a handshake; peer_handshake_name has the words.  The numbers are a format. */
enum peer_handshake {
    PEER_ACCEPTED = 0,
    PEER_REFUSED_VERSION = 1,     /* the acceptor does not speak that version */
    PEER_REFUSED_CLUSTER = 2,     /* the acceptor belongs to another cluster */
    PEER_REFUSED_RECEIVER = 3,    /* the acceptor is not the node that was meant */
    PEER_REFUSED_SENDER = 4,      /* the acceptor knows no such node, or is itself that node */
    PEER_REFUSED_INCARNATION = 5, /* one of both knows the other with another incarnation */
    PEER_REFUSED_BUSY = 6,        /* no room for a connection now: try again later */
    PEER_REFUSED_SECRET = 7,      /* the acceptor has another secret, or one of both has none */
};

/* Why a body is no HELLO or no answer; peer_hello_fault_name has the words. */
enum peer_hello_fault {
    PEER_HELLO_VALID = 0,
    PEER_HELLO_FAULT_LENGTH,      /* too short, or not exactly as long as it says */
    PEER_HELLO_FAULT_MAGIC,       /* does not begin with "weirpeer" */
    PEER_HELLO_FAULT_VERSION,     /* another protocol version */
    PEER_HELLO_FAULT_CONNECTION,  /* neither control nor data */
    PEER_HELLO_FAULT_RESULT,      /* unknown result */
    PEER_HELLO_FAULT_RESERVED,    /* reserved bytes, or the padding, are not zero */
    PEER_HELLO_FAULT_NODE,        /* a node id is 0, or both are equal */
    PEER_HELLO_FAULT_INCARNATION, /* an incarnation is 0 */
    PEER_HELLO_FAULT_NONCE,       /* a tag without a nonce, or a nonce without a tag */
    PEER_HELLO_FAULT_ADDRESS,     /* too long, or not printable ASCII without spaces */
};

/*
 * How far a member was: what it may never fall behind, as long as it has the same data directory.
 *
 * A life is one run of the process.  What a member says in one life is durable before, so that each
 * later life begins at least there, unless its directory is an older copy of itself, without votes
 * that it cast and entries that it acknowledged (stages/replicate_standing.c).
 */
struct peer_standing {
    uint64_t life;  /* 0: nothing is said */
    uint64_t term;  /* the highest */
    uint64_t index; /* of the last entry, where the term is this one.  Of its own a member says
                       UINT64_MAX, if it acknowledges before entries are on stable storage */
};

/* HELLO, decoded. */
struct peer_hello {
    enum peer_connection connection;
    uint64_t cluster_id;
    uint64_t from;                            /* node id */
    uint64_t incarnation;                     /* of the sender */
    uint64_t to;                              /* node id */
    uint64_t known;                           /* incarnation of the receiver; 0: not yet known */
    struct peer_standing own;                 /* of the sender, when its life began */
    struct peer_standing told;                /* of the receiver, as it has told the sender */
    uint8_t nonce[PEER_NONCE_BYTES];          /* zeros: without authentication */
    char address[PEER_ADDRESS_BYTES_MAX + 1]; /* zero-terminated; "" if none is advertised */
};

/* HELLO_ANSWER, decoded. */
struct peer_answer {
    enum peer_handshake result;
    uint32_t version; /* of the answering node; PEER_PROTOCOL_VERSION unless it refuses ours */
    uint64_t cluster_id;
    uint64_t from;                   /* node id of who answers */
    uint64_t incarnation;            /* of who answers */
    uint64_t to;                     /* node id of who asked; 0: the question could not be read */
    uint8_t nonce[PEER_NONCE_BYTES]; /* zeros: without authentication */
};

/* What a node knows of itself and of the other side of a connection. */
struct peer_expected {
    uint64_t cluster_id;  /* our own */
    uint64_t node_id;     /* our own */
    uint64_t peer;        /* acceptor: hello's `from`; opener: whom it has called */
    bool peer_known;      /* acceptor: a member, or in the address book of peers */
    uint64_t incarnation; /* of the peer, as the configuration in force has it; 0: not yet known */
    uint64_t own_incarnation; /* acceptor: what hello->known must be unless it is 0 */
};

/*
 * Writes the body of a HELLO; returns its length, a multiple of 8.  Asserts that it is valid.
 */
uint32_t peer_hello_write(uint8_t out[PEER_HELLO_BYTES_MAX], const struct peer_hello *hello);

/* Reads a body of foreign origin, whose frame has a tag or not.  On a fault `out` is unchanged. */
enum peer_hello_fault peer_hello_read(const uint8_t *body, size_t length_bytes, bool has_tag,
                                      struct peer_hello *out);

/* Writes the body of an answer with version PEER_PROTOCOL_VERSION.  Asserts that it is valid. */
void peer_answer_write(uint8_t out[PEER_ANSWER_BYTES], const struct peer_answer *answer);

/* Reads a body of foreign origin, whose frame has a tag or not.  On a fault `out` is unchanged. */
enum peer_hello_fault peer_answer_read(const uint8_t *body, size_t length_bytes, bool has_tag,
                                       struct peer_answer *out);

/*
 * The acceptor's judgement: what to answer to a valid HELLO.  Never PEER_REFUSED_VERSION,
 * PEER_REFUSED_BUSY or PEER_REFUSED_SECRET.  `expected->peer` is hello->from (asserted).   Who is
 * not a member by the configuration in force may be one by a later one that this node has not got
 * yet, so `peer_known` should be true also for the address book; what an outsider may say is the
 * core's matter.
 */
enum peer_handshake peer_hello_judge(const struct peer_hello *hello,
                                     const struct peer_expected *expected);

/*
 * The opener's judgement of a valid answer: the acceptor's own refusal, or what is wrong with an
 * acceptor that accepted (RECEIVER: it is another node than the one called; SENDER: it answers
 * somebody else; CLUSTER, INCARNATION).  Close the connection unless it is PEER_ACCEPTED.
 */
enum peer_handshake peer_answer_judge(const struct peer_answer *answer,
                                      const struct peer_expected *expected);

/* Whether an answer may come without a tag though the cluster has a secret: a refusal of somebody
 * who could not read the question.  It is believed as far as a closed connection is: not at all. */
static inline bool peer_handshake_without_tag(enum peer_handshake result) {
    return result == PEER_REFUSED_VERSION || result == PEER_REFUSED_SECRET;
}

/* A sentence's end for people, e.g. "it belongs to another cluster"; never NULL. */
const char *peer_handshake_name(enum peer_handshake result);

/* A few words; "valid" for PEER_HELLO_VALID. */
const char *peer_hello_fault_name(enum peer_hello_fault fault);

#endif
