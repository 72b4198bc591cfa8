/* Random messages: see peer_case.h. */

#include "tests/stages/peer_case.h"

#include "base/assert.h"
#include "base/bytes.h"

/* Small numbers, large ones, and all between. */
static uint64_t number(struct random *random, uint64_t low, uint64_t high) {
    ASSERT(low <= high && high < UINT64_MAX);
    const uint64_t span = high - low + 1;
    switch (random_below(random, 4)) {
    case 0: return low;
    case 1: return high;
    case 2: return low + random_below(random, span < 10 ? span : 10);
    default: return low + random_below(random, span);
    }
}

static void configuration_make(struct configuration *out, struct random *random) {
    *out = (struct configuration){.member_count = (uint32_t)number(random, 1, 16)};
    out->flags = random_chance(random, 1, 2) ? CONFIGURATION_LEASES : 0;
    uint64_t id = 0;
    for (uint32_t i = 0; i < out->member_count; i++) {
        id += number(random, 1, 1000);
        out->members[i] = (struct configuration_member){
            .node_id = id,
            .incarnation = random_u64(random),
            .roles = i == 0 || random_chance(random, 1, 2) ? CONFIGURATION_VOTER
                                                           : CONFIGURATION_LEARNER};
    }
    ASSERT(configuration_valid(out));
}

/* Writes one entry behind the tail; returns its bytes with the padding. */
static uint32_t entry_make(uint8_t *entry, struct random *random, uint64_t term_max,
                           const struct configuration *configuration, struct entry_tail *tail) {
    struct entry_header header = {
        .length_bytes = ENTRY_HEADER_BYTES,
        .kind = ENTRY_NOOP,
        .term = number(random, tail->term > 0 ? tail->term : 1, term_max),
        .log_time_ms = tail->log_time_ms + random_below(random, 100),
    };
    if (random_chance(random, 1, 4)) {
        header.kind = ENTRY_CONFIGURATION;
        header.length_bytes += configuration_write(entry + ENTRY_HEADER_BYTES, configuration);
    } else if (random_chance(random, 2, 3)) {
        static const uint8_t bytes[200] = {1, 2, 3};
        const struct entry_argument argument = {bytes, (uint32_t)random_below(random, 200)};
        const uint64_t key_hash = random_u64(random);
        header.kind = ENTRY_COMMANDS;
        header.command_count = 1;
        header.length_bytes +=
            entry_command_write(entry + ENTRY_HEADER_BYTES, 7, &argument, 1, &key_hash, 1);
    }
    entry_seal(entry, &header, tail);
    return entry_stride_bytes(header.length_bytes);
}

static void append_make(struct peer_case *out, struct random *random, bool first) {
    struct raft_message *message = &out->message;
    const uint64_t index = first ? 0 : number(random, 1, RAFT_INDEX_MAX - PEER_CASE_ENTRIES_MAX);
    message->previous_index = index;
    message->previous_term = index == 0 ? 0 : number(random, 1, message->term);
    message->commit = number(random, 0, RAFT_INDEX_MAX);
    out->previous =
        (struct entry_tail){.index = index,
                            .term = message->previous_term,
                            .log_time_ms = index == 0 ? 0 : random_u64(random) >> 8,
                            .chain = index == 0 ? ENTRY_CHAIN_ORIGIN : random_u64(random)};
    out->entry_count = (uint32_t)random_below(random, PEER_CASE_ENTRIES_MAX + 1);
    message->entry_count = out->entry_count;
    struct entry_tail tail = out->previous;
    uint32_t offset = PEER_MESSAGE_APPEND_BYTES;
    for (uint32_t i = 0; i < out->entry_count; i++) {
        out->entry_offsets[i] = offset;
        const uint32_t stride =
            entry_make(out->body + offset, random, message->term, &out->configuration, &tail);
        out->headers[i] = entry_header_read(out->body + offset);
        offset += stride;
    }
    out->payload_bytes = offset - PEER_MESSAGE_APPEND_BYTES;
    ASSERT(out->payload_bytes <= PEER_CASE_PAYLOAD_BYTES_MAX);
}

static void snapshot_make(struct peer_case *out, struct random *random, bool chunk) {
    struct raft_message *message = &out->message;
    message->snapshot = (struct raft_snapshot){.index = number(random, 1, RAFT_INDEX_MAX),
                                               .term = number(random, 1, message->term),
                                               .size_bytes = number(random, 0, UINT64_C(1) << 50)};
    message->offset = number(random, 0, message->snapshot.size_bytes);
    if (!chunk)
        return;
    const uint64_t left = message->snapshot.size_bytes - message->offset;
    message->configuration = &out->configuration;
    message->length_bytes = (uint32_t)number(random, 0, left < 500 ? left : 500);
    out->payload_bytes = message->length_bytes + peer_frame_padding_bytes(message->length_bytes);
}

static void fields_make(struct peer_case *out, struct random *random, bool first) {
    struct raft_message *message = &out->message;
    switch (message->kind) {
    case RAFT_MESSAGE_VOTE:
    case RAFT_MESSAGE_PRE_VOTE:
        message->transfer = message->kind == RAFT_MESSAGE_VOTE && random_chance(random, 1, 2);
        message->last_index = number(random, 1, RAFT_INDEX_MAX);
        message->last_term = number(random, 1, message->term);
        break;
    case RAFT_MESSAGE_PRE_VOTE_ANSWER:
    case RAFT_MESSAGE_VOTE_ANSWER: message->granted = random_chance(random, 1, 2); break;
    case RAFT_MESSAGE_HEARTBEAT_ANSWER:
        message->granted = random_chance(random, 1, 2);
        message->full = random_chance(random, 1, 2);
        break;
    case RAFT_MESSAGE_APPEND: append_make(out, random, first); break;
    case RAFT_MESSAGE_APPEND_ANSWER:
        message->granted = random_chance(random, 1, 2);
        message->match_index = message->granted ? number(random, 0, RAFT_INDEX_MAX) : 0;
        message->previous_index = message->granted ? 0 : number(random, 1, RAFT_INDEX_MAX);
        message->hint_index = message->granted ? 0 : number(random, 1, RAFT_INDEX_MAX);
        message->hint_term = message->granted ? 0 : number(random, 0, message->term);
        break;
    case RAFT_MESSAGE_HEARTBEAT:
        message->previous_index = number(random, 1, RAFT_INDEX_MAX);
        message->previous_term = number(random, 1, message->term);
        message->commit = number(random, 0, RAFT_INDEX_MAX);
        break;
    case RAFT_MESSAGE_SNAPSHOT: snapshot_make(out, random, true); break;
    case RAFT_MESSAGE_SNAPSHOT_ANSWER: snapshot_make(out, random, false); break;
    case RAFT_MESSAGE_TIMEOUT_NOW: break;
    }
}

void peer_case_make(struct peer_case *out, struct random *random, enum raft_message_kind kind,
                    bool first) {
    memset(out, 0, sizeof(*out));
    const bool vote = kind <= RAFT_MESSAGE_VOTE_ANSWER;
    const bool alone = kind == RAFT_MESSAGE_TIMEOUT_NOW;
    configuration_make(&out->configuration, random);
    out->message = (struct raft_message){
        .kind = kind,
        .session = vote || alone ? 0 : (uint32_t)random_u64(random),
        .from = PEER_CASE_FROM,
        .to = PEER_CASE_TO,
        .term = number(random, 1, RAFT_TERM_MAX),
        .round = alone ? 0 : random_u64(random),
    };
    fields_make(out, random, first);
    uint8_t head[PEER_MESSAGE_HEAD_BYTES_MAX];
    out->head_bytes = peer_message_encode(head, &out->message, &out->previous);
    ASSERT(kind != RAFT_MESSAGE_APPEND || out->head_bytes == PEER_MESSAGE_APPEND_BYTES);
    memcpy(out->body, head, out->head_bytes);
    for (uint32_t i = 0; i < out->message.length_bytes; i++) /* a chunk */
        out->body[out->head_bytes + i] = (uint8_t)random_u64(random);
    out->body_bytes = out->head_bytes + out->payload_bytes;
}

struct peer_message_link peer_case_link(enum raft_message_kind kind) {
    return (struct peer_message_link){.from = PEER_CASE_FROM,
                                      .to = PEER_CASE_TO,
                                      .control = raft_message_is_control(kind),
                                      .entry_bytes_max = PEER_CASE_ENTRY_BYTES_MAX};
}

struct peer_message *peer_case_room(void) {
    static struct configuration configurations[RAFT_MESSAGE_ENTRIES_MAX];
    static struct peer_message room;
    memset(&room, 0x77, sizeof(room)); /* nothing of an earlier message is relied on */
    room.configurations = configurations;
    room.configurations_max = RAFT_MESSAGE_ENTRIES_MAX;
    return &room;
}
