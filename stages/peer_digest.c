/*
 * Digests between members as bodies of frames: see peer_digest.h.
 *
 * Happy path: what encode has written is decoded field by field.
 *
 * Failure modes: only decode meets foreign bytes, and takes nothing that encode would not have
 * written, so that a message has one form only.
 */

#include "stages/peer_digest.h"

#include <string.h>

#include "base/assert.h"

enum {
    OFFSET_KIND = 0,
    OFFSET_FLAGS = 1,
    OFFSET_RESERVED_16 = 2,
    OFFSET_RESERVED_32 = 4,
    OFFSET_FROM = 8,
    OFFSET_TO = 16,
    OFFSET_INDEX = 24,
    OFFSET_HASH = 32,
    OFFSET_AGREED = 40,
    OFFSET_OWN = 48,
    OFFSET_LOGGED = 56,
    OFFSET_FIRST = 64,
    OFFSET_COUNT = 68,
    OFFSET_PARTITIONS = 72,
    OFFSET_RESERVED_LAST = 76,
};
_Static_assert((int)OFFSET_RESERVED_LAST + 4 == (int)PEER_DIGEST_BYTES, "that is the last field");

/* Whether a difference is what encode may write. */
static bool difference_is_valid(const struct digest_difference *difference, uint64_t index) {
    if (difference->count == 0) {
        return difference->agreed_index == 0 && difference->own == 0 && difference->logged == 0 &&
               difference->first == 0 && difference->partitions == 0;
    }
    return difference->partitions <= ENTRY_PARTITIONS_MAX &&
           difference->count <= difference->partitions &&
           difference->first < difference->partitions && difference->own != difference->logged &&
           difference->agreed_index < index;
}

static bool digest_is_valid(const struct peer_digest *digest) {
    return digest->index != 0 && digest->index % DIGEST_INTERVAL == 0 &&
           (digest->known || (digest->hash == 0 && digest->difference.count == 0)) &&
           difference_is_valid(&digest->difference, digest->index);
}

void peer_digest_encode(uint8_t out[PEER_DIGEST_BYTES], uint64_t from, uint64_t to,
                        const struct peer_digest *digest) {
    const struct digest_difference *difference = &digest->difference;
    ASSERT(from != 0 && to != 0);
    ASSERT(digest_is_valid(digest));
    memset(out, 0, PEER_DIGEST_BYTES);
    out[OFFSET_KIND] = PEER_DIGEST_KIND;
    out[OFFSET_FLAGS] =
        (uint8_t)((digest->asks ? PEER_DIGEST_ASKS : 0) | (digest->known ? PEER_DIGEST_KNOWN : 0));
    bytes_put_u64(out + OFFSET_FROM, from);
    bytes_put_u64(out + OFFSET_TO, to);
    bytes_put_u64(out + OFFSET_INDEX, digest->index);
    bytes_put_u64(out + OFFSET_HASH, digest->hash);
    bytes_put_u64(out + OFFSET_AGREED, difference->agreed_index);
    bytes_put_u64(out + OFFSET_OWN, difference->own);
    bytes_put_u64(out + OFFSET_LOGGED, difference->logged);
    bytes_put_u32(out + OFFSET_FIRST, difference->first);
    bytes_put_u32(out + OFFSET_COUNT, difference->count);
    bytes_put_u32(out + OFFSET_PARTITIONS, difference->partitions);
}

enum peer_message_fault peer_digest_decode(const uint8_t *body, uint32_t body_bytes,
                                           const struct peer_message_link *link,
                                           struct peer_digest *out) {
    ASSERT(link->from != 0 && link->to != 0);
    if (body_bytes < PEER_DIGEST_BYTES) {
        return PEER_MESSAGE_FAULT_SHORT;
    }
    if (body[OFFSET_KIND] != PEER_DIGEST_KIND) {
        return PEER_MESSAGE_FAULT_KIND;
    }
    if (!link->control) {
        return PEER_MESSAGE_FAULT_CONNECTION;
    }
    uint8_t flags = body[OFFSET_FLAGS];
    if ((flags & ~(PEER_DIGEST_ASKS | PEER_DIGEST_KNOWN)) != 0) {
        return PEER_MESSAGE_FAULT_FLAGS;
    }
    if (bytes_get_u64(body + OFFSET_FROM) != link->from ||
        bytes_get_u64(body + OFFSET_TO) != link->to) {
        return PEER_MESSAGE_FAULT_MEMBER;
    }
    if (bytes_get_u16(body + OFFSET_RESERVED_16) != 0 ||
        bytes_get_u32(body + OFFSET_RESERVED_32) != 0 ||
        bytes_get_u32(body + OFFSET_RESERVED_LAST) != 0) {
        return PEER_MESSAGE_FAULT_RESERVED;
    }
    *out =
        (struct peer_digest){.asks = (flags & PEER_DIGEST_ASKS) != 0,
                             .known = (flags & PEER_DIGEST_KNOWN) != 0,
                             .index = bytes_get_u64(body + OFFSET_INDEX),
                             .hash = bytes_get_u64(body + OFFSET_HASH),
                             .difference = {.agreed_index = bytes_get_u64(body + OFFSET_AGREED),
                                            .own = bytes_get_u64(body + OFFSET_OWN),
                                            .logged = bytes_get_u64(body + OFFSET_LOGGED),
                                            .first = bytes_get_u32(body + OFFSET_FIRST),
                                            .count = bytes_get_u32(body + OFFSET_COUNT),
                                            .partitions = bytes_get_u32(body + OFFSET_PARTITIONS)}};
    if (!digest_is_valid(out)) {
        return PEER_MESSAGE_FAULT_DIGEST;
    }
    return body_bytes == PEER_DIGEST_BYTES ? PEER_MESSAGE_VALID : PEER_MESSAGE_FAULT_TRAILING;
}
