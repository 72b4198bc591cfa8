#ifndef WEIR_STAGES_PEER_DIGEST_H
#define WEIR_STAGES_PEER_DIGEST_H

/*
 * What members tell each other when their data differ (stages/replicate_dispute.c): the body of a
 * frame (wire/peer_frame.h) on a control connection.  The consensus core never sees it.
 *
 *   offset  size  field
 *        0     1  kind      64
 *        1     1  flags     enum peer_digest_flag
 *        2     6  reserved  0
 *        8     8  from      node ids
 *       16     8  to
 *       24     8  index     a multiple of DIGEST_INTERVAL, not 0
 *       32     8  hash      over the digests of all partitions of the sender right after that entry
 *       40     8  agreed index   the last one before, at which the sender had what the log has
 *       48     8  own       the sender's digest of the first partition that differs from the log,
 *       56     8  logged    and that in the log
 *       64     4  first     that partition
 *       68     4  count     of partitions that differ; 0: the sender knows of none
 *       72     4  partitions     of all
 *       76     4  reserved  0
 *
 * Valid if and only if: kind and length are these; flags are known; `from` and `to` are those of
 * the handshake; everything reserved is 0; the index is as said.  Without PEER_DIGEST_KNOWN all
 * behind the index is 0.  If the count is 0, so is all from `agreed index` on; otherwise first <
 * partitions, count <= partitions <= ENTRY_PARTITIONS_MAX, own is not logged, and agreed index <
 * index.
 *
 * Pure: any thread; no system call, nothing allocated.
 */

#include "stages/digest.h"
#include "stages/peer_message.h"

enum {
    PEER_DIGEST_KIND = 64, /* apart from enum raft_message_kind, which may grow */
    PEER_DIGEST_BYTES = 80,
};

enum peer_digest_flag {
    PEER_DIGEST_ASKS = 1,  /* the receiver's are wanted in return */
    PEER_DIGEST_KNOWN = 2, /* the sender has digests of that index */
};

struct peer_digest {
    bool asks;
    bool known;
    uint64_t index;
    uint64_t hash;                       /* 0 unless known */
    struct digest_difference difference; /* count 0: nothing is known of one */
};

/* Whether a body of a control connection is one of these rather than the core's. */
static inline bool peer_digest_is(const uint8_t *body, uint32_t body_bytes) {
    return body_bytes > 0 && body[0] == PEER_DIGEST_KIND;
}

/* Writes a body; asserts that it is valid but for `from` and `to`, which are the caller's. */
void peer_digest_encode(uint8_t out[PEER_DIGEST_BYTES], uint64_t from, uint64_t to,
                        const struct peer_digest *digest);

/* Reads a body of foreign origin.  On a fault (SHORT, KIND, CONNECTION, MEMBER, FLAGS, RESERVED,
 * TRAILING, DIGEST) *out means nothing.  Looks at no byte beyond `body_bytes`. */
enum peer_message_fault peer_digest_decode(const uint8_t *body, uint32_t body_bytes,
                                           const struct peer_message_link *link,
                                           struct peer_digest *out);

#endif
