#ifndef WEIR_TESTS_STAGES_PEER_CASE_H
#define WEIR_TESTS_STAGES_PEER_CASE_H

/*
 * Messages of every kind, made at random, with their bodies: for the test and the fuzz target.
 */

#include "base/random.h"
#include "stages/peer_message.h"
#include "wire/peer_frame.h"

enum {
    PEER_CASE_FROM = 2,
    PEER_CASE_TO = 3,
    PEER_CASE_ENTRIES_MAX = 9,
    PEER_CASE_PAYLOAD_BYTES_MAX = 8192,
    PEER_CASE_ENTRY_BYTES_MAX = 1024, /* the limit for one entry */
    PEER_CASE_BODY_BYTES_MAX = PEER_MESSAGE_HEAD_BYTES_MAX + PEER_CASE_PAYLOAD_BYTES_MAX,
};

/* A message that raft_message_check takes, and its body, which decode takes. */
struct peer_case {
    struct raft_message message;
    struct entry_tail previous;
    struct configuration configuration; /* of a SNAPSHOT, and of all configuration entries */
    uint32_t entry_count;
    uint32_t entry_offsets[PEER_CASE_ENTRIES_MAX]; /* in the body */
    struct entry_header headers[PEER_CASE_ENTRIES_MAX];
    uint32_t head_bytes;
    uint32_t payload_bytes; /* with padding */
    uint32_t body_bytes;
    _Alignas(ENTRY_ALIGN_BYTES) uint8_t body[PEER_CASE_BODY_BYTES_MAX];
};

/* Makes one; `first` sets an APPEND before the first entry of a log. */
void peer_case_make(struct peer_case *out, struct random *random, enum raft_message_kind kind,
                    bool first);

/* The link over which its message may come. */
struct peer_message_link peer_case_link(enum raft_message_kind kind);

/* A decoder's memory, with room for any message. */
struct peer_message *peer_case_room(void);

#endif
