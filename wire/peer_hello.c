/*
 * The handshake's two bodies: see peer_hello.h.
 *
 * Happy path: HELLO is written, read and judged by the acceptor, whose answer is written, read and
 * judged by the opener.
 *
 * Failure modes: bodies that are not valid are refused as a whole, with the first thing found
 * wrong; magic and version come first, since the rest means nothing without them.  What is valid
 * and still wrong (another cluster, another life) is told to the other side in an answer.
 */

#include "wire/peer_hello.h"

#include "base/assert.h"
#include "base/bytes.h"

/* Offsets in both bodies, as far as they have the field; peer_hello.h has the tables. */
enum {
    OFFSET_MAGIC = 0,
    OFFSET_VERSION = 8,
    OFFSET_CONNECTION = 12,
    OFFSET_RESULT = 12,
    OFFSET_RESERVED = 13,
    OFFSET_ADDRESS_LENGTH = 14,
    OFFSET_CLUSTER = 16,
    OFFSET_FROM = 24,
    OFFSET_INCARNATION = 32,
    OFFSET_TO = 40,
    OFFSET_NONCE = 48,
    OFFSET_KNOWN = 80,
    OFFSET_OWN = 88,
    OFFSET_TOLD = 112,
    OFFSET_ADDRESS = 136,
};
/* Offsets in a standing. */
enum {
    STANDING_LIFE = 0,
    STANDING_TERM = 8,
    STANDING_INDEX = 16,
    STANDING_BYTES = 24,
};
_Static_assert((int)OFFSET_TOLD == (int)OFFSET_OWN + (int)STANDING_BYTES &&
                   (int)OFFSET_ADDRESS == (int)OFFSET_TOLD + (int)STANDING_BYTES,
               "two standings precede the address");
_Static_assert((int)OFFSET_NONCE + (int)PEER_NONCE_BYTES == (int)PEER_ANSWER_BYTES,
               "the nonce ends an answer, and what both bodies have in common");
_Static_assert((int)OFFSET_ADDRESS == (int)PEER_HELLO_FIXED_BYTES,
               "the address follows the fixed part");
_Static_assert((int)PEER_HELLO_BYTES_MAX % (int)PEER_FRAME_ALIGN_BYTES == 0,
               "the largest HELLO is a body");

/* "weirpeer", as the first 8 bytes. */
#define PEER_MAGIC PEER_FRAME_SEED_HANDSHAKE

static bool bytes_are_zero(const uint8_t *bytes, size_t length_bytes) {
    for (size_t i = 0; i < length_bytes; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

/* Characters that can stand in a redirect: no control character, no space, nothing of 8 bits. */
static bool address_is_valid(const uint8_t *address, size_t length_bytes) {
    for (size_t i = 0; i < length_bytes; i++) {
        if (address[i] <= ' ' || address[i] > '~')
            return false;
    }
    return length_bytes <= PEER_ADDRESS_BYTES_MAX;
}

static void common_write(uint8_t *out, uint64_t cluster_id, uint64_t from, uint64_t incarnation,
                         uint64_t to) {
    ASSERT(from != 0 && incarnation != 0);
    bytes_put_u64(out + OFFSET_MAGIC, PEER_MAGIC);
    bytes_put_u32(out + OFFSET_VERSION, PEER_PROTOCOL_VERSION);
    bytes_put_u64(out + OFFSET_CLUSTER, cluster_id);
    bytes_put_u64(out + OFFSET_FROM, from);
    bytes_put_u64(out + OFFSET_INCARNATION, incarnation);
    bytes_put_u64(out + OFFSET_TO, to);
}

static void standing_write(uint8_t *out, const struct peer_standing *standing) {
    bytes_put_u64(out + STANDING_LIFE, standing->life);
    bytes_put_u64(out + STANDING_TERM, standing->term);
    bytes_put_u64(out + STANDING_INDEX, standing->index);
}

static struct peer_standing standing_read(const uint8_t *from) {
    return (struct peer_standing){.life = bytes_get_u64(from + STANDING_LIFE),
                                  .term = bytes_get_u64(from + STANDING_TERM),
                                  .index = bytes_get_u64(from + STANDING_INDEX)};
}

/* ---- HELLO -------------------------------------------------------------------------------- */

uint32_t peer_hello_write(uint8_t out[PEER_HELLO_BYTES_MAX], const struct peer_hello *hello) {
    const uint32_t address_bytes = (uint32_t)strnlen(hello->address, sizeof(hello->address));
    ASSERT(address_is_valid((const uint8_t *)hello->address, address_bytes));
    ASSERT(hello->connection == PEER_CONNECTION_CONTROL ||
           hello->connection == PEER_CONNECTION_DATA);
    ASSERT(hello->to != 0 && hello->from != hello->to);
    const uint32_t length_bytes =
        ALIGN_UP(PEER_HELLO_FIXED_BYTES + address_bytes, (uint32_t)PEER_FRAME_ALIGN_BYTES);
    memset(out, 0, length_bytes);
    common_write(out, hello->cluster_id, hello->from, hello->incarnation, hello->to);
    out[OFFSET_CONNECTION] = (uint8_t)hello->connection;
    bytes_put_u16(out + OFFSET_ADDRESS_LENGTH, (uint16_t)address_bytes);
    memcpy(out + OFFSET_NONCE, hello->nonce, PEER_NONCE_BYTES);
    bytes_put_u64(out + OFFSET_KNOWN, hello->known);
    standing_write(out + OFFSET_OWN, &hello->own);
    standing_write(out + OFFSET_TOLD, &hello->told);
    memcpy(out + OFFSET_ADDRESS, hello->address, address_bytes);
    return length_bytes;
}

/* The address and what is behind it. */
static enum peer_hello_fault address_check(const uint8_t *body, size_t length_bytes) {
    const uint32_t address_bytes = bytes_get_u16(body + OFFSET_ADDRESS_LENGTH);
    if (address_bytes > PEER_ADDRESS_BYTES_MAX)
        return PEER_HELLO_FAULT_ADDRESS;
    const uint32_t end = OFFSET_ADDRESS + address_bytes;
    if (length_bytes != ALIGN_UP(end, (uint32_t)PEER_FRAME_ALIGN_BYTES))
        return PEER_HELLO_FAULT_LENGTH;
    if (!address_is_valid(body + OFFSET_ADDRESS, address_bytes))
        return PEER_HELLO_FAULT_ADDRESS;
    return bytes_are_zero(body + end, length_bytes - end) ? PEER_HELLO_VALID
                                                          : PEER_HELLO_FAULT_RESERVED;
}

/* A nonce stands where a tag does. */
static bool nonce_fits(const uint8_t *body, bool has_tag) {
    return bytes_are_zero(body + OFFSET_NONCE, PEER_NONCE_BYTES) != has_tag;
}

enum peer_hello_fault peer_hello_read(const uint8_t *body, size_t length_bytes, bool has_tag,
                                      struct peer_hello *out) {
    if (length_bytes < PEER_HELLO_FIXED_BYTES)
        return PEER_HELLO_FAULT_LENGTH;
    if (bytes_get_u64(body + OFFSET_MAGIC) != PEER_MAGIC)
        return PEER_HELLO_FAULT_MAGIC;
    if (bytes_get_u32(body + OFFSET_VERSION) != PEER_PROTOCOL_VERSION)
        return PEER_HELLO_FAULT_VERSION;
    const uint8_t connection = body[OFFSET_CONNECTION];
    if (connection != PEER_CONNECTION_CONTROL && connection != PEER_CONNECTION_DATA)
        return PEER_HELLO_FAULT_CONNECTION;
    if (body[OFFSET_RESERVED] != 0)
        return PEER_HELLO_FAULT_RESERVED;
    const struct peer_hello hello = {
        .connection = (enum peer_connection)connection,
        .cluster_id = bytes_get_u64(body + OFFSET_CLUSTER),
        .from = bytes_get_u64(body + OFFSET_FROM),
        .incarnation = bytes_get_u64(body + OFFSET_INCARNATION),
        .to = bytes_get_u64(body + OFFSET_TO),
        .known = bytes_get_u64(body + OFFSET_KNOWN),
        .own = standing_read(body + OFFSET_OWN),
        .told = standing_read(body + OFFSET_TOLD),
    };
    if (hello.from == 0 || hello.to == 0 || hello.from == hello.to)
        return PEER_HELLO_FAULT_NODE;
    if (hello.incarnation == 0)
        return PEER_HELLO_FAULT_INCARNATION;
    if (!nonce_fits(body, has_tag))
        return PEER_HELLO_FAULT_NONCE;
    const enum peer_hello_fault fault = address_check(body, length_bytes);
    if (fault != PEER_HELLO_VALID)
        return fault;
    *out = hello; /* with an address of zeros */
    memcpy(out->nonce, body + OFFSET_NONCE, PEER_NONCE_BYTES);
    memcpy(out->address, body + OFFSET_ADDRESS, bytes_get_u16(body + OFFSET_ADDRESS_LENGTH));
    return PEER_HELLO_VALID;
}

enum peer_handshake peer_hello_judge(const struct peer_hello *hello,
                                     const struct peer_expected *expected) {
    ASSERT(expected->node_id != 0 && expected->peer == hello->from);
    if (hello->cluster_id != expected->cluster_id)
        return PEER_REFUSED_CLUSTER;
    if (hello->from == expected->node_id)
        return PEER_REFUSED_SENDER; /* two nodes have our id, whomever it believes to reach */
    if (hello->to != expected->node_id)
        return PEER_REFUSED_RECEIVER;
    if (!expected->peer_known)
        return PEER_REFUSED_SENDER;
    if (expected->incarnation != 0 && hello->incarnation != expected->incarnation)
        return PEER_REFUSED_INCARNATION;
    if (hello->known != 0 && hello->known != expected->own_incarnation)
        return PEER_REFUSED_INCARNATION; /* it means whoever had our id before */
    return PEER_ACCEPTED;
}

/* ---- HELLO_ANSWER ------------------------------------------------------------------------- */

/* Whoever asks under our own id is told so: only then are both ids equal. */
static bool nodes_are_possible(const struct peer_answer *answer) {
    if (answer->from == 0 || (answer->to == 0 && !peer_handshake_without_tag(answer->result)))
        return false;
    return answer->from != answer->to || answer->result != PEER_ACCEPTED;
}

void peer_answer_write(uint8_t out[PEER_ANSWER_BYTES], const struct peer_answer *answer) {
    ASSERT(answer->result <= PEER_REFUSED_SECRET && answer->version == PEER_PROTOCOL_VERSION);
    ASSERT(nodes_are_possible(answer));
    memset(out, 0, PEER_ANSWER_BYTES);
    common_write(out, answer->cluster_id, answer->from, answer->incarnation, answer->to);
    out[OFFSET_RESULT] = (uint8_t)answer->result;
    memcpy(out + OFFSET_NONCE, answer->nonce, PEER_NONCE_BYTES);
}

enum peer_hello_fault peer_answer_read(const uint8_t *body, size_t length_bytes, bool has_tag,
                                       struct peer_answer *out) {
    if (length_bytes != PEER_ANSWER_BYTES)
        return PEER_HELLO_FAULT_LENGTH;
    if (bytes_get_u64(body + OFFSET_MAGIC) != PEER_MAGIC)
        return PEER_HELLO_FAULT_MAGIC;
    const uint32_t version = bytes_get_u32(body + OFFSET_VERSION);
    const uint8_t result = body[OFFSET_RESULT];
    if (version != PEER_PROTOCOL_VERSION && result != PEER_REFUSED_VERSION)
        return PEER_HELLO_FAULT_VERSION;
    if (result > PEER_REFUSED_SECRET)
        return PEER_HELLO_FAULT_RESULT;
    if (!bytes_are_zero(body + OFFSET_RESERVED, OFFSET_CLUSTER - OFFSET_RESERVED))
        return PEER_HELLO_FAULT_RESERVED;
    const struct peer_answer answer = {
        .result = (enum peer_handshake)result,
        .version = version,
        .cluster_id = bytes_get_u64(body + OFFSET_CLUSTER),
        .from = bytes_get_u64(body + OFFSET_FROM),
        .incarnation = bytes_get_u64(body + OFFSET_INCARNATION),
        .to = bytes_get_u64(body + OFFSET_TO),
    };
    if (!nodes_are_possible(&answer))
        return PEER_HELLO_FAULT_NODE;
    if (answer.incarnation == 0)
        return PEER_HELLO_FAULT_INCARNATION;
    if (!nonce_fits(body, has_tag))
        return PEER_HELLO_FAULT_NONCE;
    *out = answer;
    memcpy(out->nonce, body + OFFSET_NONCE, PEER_NONCE_BYTES);
    return PEER_HELLO_VALID;
}

enum peer_handshake peer_answer_judge(const struct peer_answer *answer,
                                      const struct peer_expected *expected) {
    ASSERT(expected->node_id != 0 && expected->peer != expected->node_id);
    if (answer->result != PEER_ACCEPTED)
        return answer->result;
    if (answer->cluster_id != expected->cluster_id)
        return PEER_REFUSED_CLUSTER;
    if (answer->from != expected->peer)
        return PEER_REFUSED_RECEIVER;
    if (answer->to != expected->node_id)
        return PEER_REFUSED_SENDER;
    if (expected->incarnation != 0 && answer->incarnation != expected->incarnation)
        return PEER_REFUSED_INCARNATION;
    return PEER_ACCEPTED;
}

/* ---- names -------------------------------------------------------------------------------- */

const char *peer_handshake_name(enum peer_handshake result) {
    static const char *const names[] = {
        [PEER_ACCEPTED] = "it accepts",
        [PEER_REFUSED_VERSION] = "it speaks another version of the protocol",
        [PEER_REFUSED_CLUSTER] = "it belongs to another cluster",
        [PEER_REFUSED_RECEIVER] = "it is not the node that was meant",
        [PEER_REFUSED_SENDER] = "it knows no such node, or is that node itself",
        [PEER_REFUSED_INCARNATION] = "it or the other knows one of both with another incarnation",
        [PEER_REFUSED_BUSY] = "it has no room for another connection",
        [PEER_REFUSED_SECRET] = "it has another secret, or one of both has none",
    };
    return (size_t)result < ARRAY_COUNT(names) ? names[result] : "it refuses without a reason";
}

const char *peer_hello_fault_name(enum peer_hello_fault fault) {
    static const char *const names[] = {
        [PEER_HELLO_VALID] = "valid",
        [PEER_HELLO_FAULT_LENGTH] = "wrong length",
        [PEER_HELLO_FAULT_MAGIC] = "not a peer of weir",
        [PEER_HELLO_FAULT_VERSION] = "another version of the protocol",
        [PEER_HELLO_FAULT_CONNECTION] = "a connection for neither control nor data",
        [PEER_HELLO_FAULT_RESULT] = "unknown result",
        [PEER_HELLO_FAULT_RESERVED] = "reserved bytes are not zero",
        [PEER_HELLO_FAULT_NODE] = "impossible node id",
        [PEER_HELLO_FAULT_INCARNATION] = "impossible incarnation",
        [PEER_HELLO_FAULT_NONCE] = "a tag without a nonce, or a nonce without a tag",
        [PEER_HELLO_FAULT_ADDRESS] = "the advertised address is none",
    };
    return (size_t)fault < ARRAY_COUNT(names) ? names[fault] : "unknown fault";
}
