/*
 * Messages of the core as bodies of frames: see peer_message.h.
 *
 * Happy path: one table says which fields each kind has, in which order; encode and decode walk it.
 * What only APPEND and SNAPSHOT have follows behind these fields.
 *
 * Failure modes: only decode meets foreign bytes.  It believes no count and no length before it has
 * seen that the bytes for it are there, and takes nothing that encode would not have written, so
 * that a message has one form only.
 */

#include "stages/peer_message.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "wire/peer_frame.h"

/* Offsets of what every body has; peer_message.h has the table. */
enum {
    OFFSET_KIND = 0,
    OFFSET_FLAGS = 1,
    OFFSET_RESERVED = 2,
    OFFSET_SESSION = 4,
    OFFSET_FROM = 8,
    OFFSET_TO = 16,
    OFFSET_TERM = 24,
    OFFSET_ROUND = 32,
};
_Static_assert((int)OFFSET_ROUND + 8 == (int)PEER_MESSAGE_COMMON_BYTES, "the round is the last");

/* Offsets of what APPEND and SNAPSHOT have behind their fields. */
enum {
    APPEND_LOG_TIME = PEER_MESSAGE_COMMON_BYTES + 16,
    APPEND_CHAIN = PEER_MESSAGE_COMMON_BYTES + 24,
    APPEND_ENTRY_COUNT = PEER_MESSAGE_COMMON_BYTES + 40,
    APPEND_RESERVED = PEER_MESSAGE_COMMON_BYTES + 44,
    SNAPSHOT_CHUNK_LENGTH = PEER_MESSAGE_COMMON_BYTES + 32,
    SNAPSHOT_CONFIGURATION_LENGTH = PEER_MESSAGE_COMMON_BYTES + 36,
};
_Static_assert((int)APPEND_RESERVED + 4 == (int)PEER_MESSAGE_APPEND_BYTES, "entries follow");
_Static_assert((int)SNAPSHOT_CONFIGURATION_LENGTH + 4 == (int)PEER_MESSAGE_SNAPSHOT_BYTES,
               "the configuration follows");
_Static_assert((PEER_FRAME_HEADER_BYTES + PEER_MESSAGE_APPEND_BYTES) % ENTRY_ALIGN_BYTES == 0,
               "entries stand aligned in a frame");
_Static_assert(CONFIGURATION_HEADER_BYTES % 8 == 0 && CONFIGURATION_MEMBER_BYTES % 8 == 0,
               "so does a chunk behind any configuration");

/* ---- which kind has what ------------------------------------------------------------------ */

enum { FIELDS_MAX = 4 };

/* Where a u64 of struct raft_message stands, and where in the body (from its first byte). */
struct field {
    uint16_t member; /* offset in the struct */
    uint16_t body;
};

/* What a kind has beside kind, from, to and term. */
struct layout {
    uint32_t fixed_bytes; /* of the body, before configuration, chunk and entries */
    uint32_t field_count;
    struct field fields[FIELDS_MAX];
    uint8_t flags; /* enum peer_message_flag */
    bool session;
    bool round;
};

#define FIELD(name, number) \
    { offsetof(struct raft_message, name), PEER_MESSAGE_COMMON_BYTES + 8 * (number) }
#define FIXED(count) (PEER_MESSAGE_COMMON_BYTES + 8 * (count))

static const struct layout layouts[] = {
    [RAFT_MESSAGE_PRE_VOTE] = {.fixed_bytes = FIXED(2),
                               .field_count = 2,
                               .fields = {FIELD(last_index, 0), FIELD(last_term, 1)},
                               .round = true},
    [RAFT_MESSAGE_PRE_VOTE_ANSWER] = {.fixed_bytes = FIXED(0),
                                      .flags = PEER_MESSAGE_GRANTED,
                                      .round = true},
    [RAFT_MESSAGE_VOTE] = {.fixed_bytes = FIXED(2),
                           .field_count = 2,
                           .fields = {FIELD(last_index, 0), FIELD(last_term, 1)},
                           .flags = PEER_MESSAGE_TRANSFER,
                           .round = true},
    [RAFT_MESSAGE_VOTE_ANSWER] = {.fixed_bytes = FIXED(0),
                                  .flags = PEER_MESSAGE_GRANTED,
                                  .round = true},
    /* Fields 2 and 3 are not the message's: log time and chain of the previous entry. */
    [RAFT_MESSAGE_APPEND] = {.fixed_bytes = PEER_MESSAGE_APPEND_BYTES,
                             .field_count = 3,
                             .fields = {FIELD(previous_index, 0), FIELD(previous_term, 1),
                                        FIELD(commit, 4)},
                             .session = true,
                             .round = true},
    [RAFT_MESSAGE_APPEND_ANSWER] = {.fixed_bytes = FIXED(4),
                                    .field_count = 4,
                                    .fields = {FIELD(match_index, 0), FIELD(previous_index, 1),
                                               FIELD(hint_index, 2), FIELD(hint_term, 3)},
                                    .flags = PEER_MESSAGE_GRANTED,
                                    .session = true,
                                    .round = true},
    [RAFT_MESSAGE_HEARTBEAT] = {.fixed_bytes = FIXED(3),
                                .field_count = 3,
                                .fields = {FIELD(previous_index, 0), FIELD(previous_term, 1),
                                           FIELD(commit, 2)},
                                .session = true,
                                .round = true},
    [RAFT_MESSAGE_HEARTBEAT_ANSWER] = {.fixed_bytes = FIXED(0),
                                       .flags = PEER_MESSAGE_GRANTED | PEER_MESSAGE_FULL,
                                       .session = true,
                                       .round = true},
    [RAFT_MESSAGE_SNAPSHOT] = {.fixed_bytes = PEER_MESSAGE_SNAPSHOT_BYTES,
                               .field_count = 4,
                               .fields = {FIELD(snapshot.index, 0), FIELD(snapshot.term, 1),
                                          FIELD(snapshot.size_bytes, 2), FIELD(offset, 3)},
                               .session = true,
                               .round = true},
    [RAFT_MESSAGE_SNAPSHOT_ANSWER] = {.fixed_bytes = FIXED(4),
                                      .field_count = 4,
                                      .fields = {FIELD(snapshot.index, 0), FIELD(snapshot.term, 1),
                                                 FIELD(snapshot.size_bytes, 2), FIELD(offset, 3)},
                                      .session = true,
                                      .round = true},
    [RAFT_MESSAGE_TIMEOUT_NOW] = {.fixed_bytes = FIXED(0)},
};

/* Every field of the table is a u64. */
static uint64_t member_get(const struct raft_message *message, size_t member) {
    return *(const uint64_t *)(const void *)((const uint8_t *)message + member);
}

static void member_put(struct raft_message *message, size_t member, uint64_t value) {
    *(uint64_t *)(void *)((uint8_t *)message + member) = value;
}

/* True if nothing is set that the kind does not have, and that would be lost. */
static bool message_is_whole(const struct raft_message *message, const struct layout *layout) {
    static const uint16_t members[] = {
        offsetof(struct raft_message, last_index),
        offsetof(struct raft_message, last_term),
        offsetof(struct raft_message, previous_index),
        offsetof(struct raft_message, previous_term),
        offsetof(struct raft_message, commit),
        offsetof(struct raft_message, match_index),
        offsetof(struct raft_message, hint_index),
        offsetof(struct raft_message, hint_term),
        offsetof(struct raft_message, offset),
        offsetof(struct raft_message, snapshot.index),
        offsetof(struct raft_message, snapshot.term),
        offsetof(struct raft_message, snapshot.size_bytes),
    };
    uint32_t surplus = 0; /* fields that are set, less those of them that the kind has */
    for (uint32_t i = 0; i < ARRAY_COUNT(members); i++)
        surplus += member_get(message, members[i]) != 0;
    for (uint32_t i = 0; i < layout->field_count; i++)
        surplus -= member_get(message, layout->fields[i].member) != 0;
    const bool is_append = message->kind == RAFT_MESSAGE_APPEND;
    const bool is_snapshot = message->kind == RAFT_MESSAGE_SNAPSHOT;
    return surplus == 0 && (layout->session || message->session == 0) &&
           (layout->round || message->round == 0) &&
           (!message->granted || (layout->flags & PEER_MESSAGE_GRANTED)) &&
           (!message->transfer || (layout->flags & PEER_MESSAGE_TRANSFER)) &&
           (!message->full || (layout->flags & PEER_MESSAGE_FULL)) &&
           (is_append || message->entry_count == 0) &&
           (is_snapshot ? message->configuration != NULL
                        : message->length_bytes == 0 && message->configuration == NULL);
}

/* ---- encoding ----------------------------------------------------------------------------- */

static void append_encode(uint8_t *out, const struct raft_message *message,
                          const struct entry_tail *previous) {
    ASSERT(previous->index == message->previous_index && previous->term == message->previous_term);
    ASSERT(message->entry_count <= RAFT_MESSAGE_ENTRIES_MAX);
    bytes_put_u64(out + APPEND_LOG_TIME, previous->log_time_ms);
    bytes_put_u64(out + APPEND_CHAIN, previous->chain);
    bytes_put_u32(out + APPEND_ENTRY_COUNT, message->entry_count);
}

uint32_t peer_message_encode(uint8_t out[PEER_MESSAGE_HEAD_BYTES_MAX],
                             const struct raft_message *message,
                             const struct entry_tail *previous) {
    ASSERT(message->kind >= RAFT_MESSAGE_PRE_VOTE && message->kind <= RAFT_MESSAGE_TIMEOUT_NOW);
    const struct layout *layout = &layouts[message->kind];
    ASSERT(message_is_whole(message, layout));
    memset(out, 0, layout->fixed_bytes);
    out[OFFSET_KIND] = (uint8_t)message->kind;
    out[OFFSET_FLAGS] = (uint8_t)((message->granted ? PEER_MESSAGE_GRANTED : 0) |
                                  (message->transfer ? PEER_MESSAGE_TRANSFER : 0) |
                                  (message->full ? PEER_MESSAGE_FULL : 0));
    bytes_put_u32(out + OFFSET_SESSION, message->session);
    bytes_put_u64(out + OFFSET_FROM, message->from);
    bytes_put_u64(out + OFFSET_TO, message->to);
    bytes_put_u64(out + OFFSET_TERM, message->term);
    bytes_put_u64(out + OFFSET_ROUND, message->round);
    for (uint32_t i = 0; i < layout->field_count; i++) {
        const struct field *field = &layout->fields[i];
        bytes_put_u64(out + field->body, member_get(message, field->member));
    }
    if (message->kind == RAFT_MESSAGE_APPEND)
        append_encode(out, message, previous);
    if (message->kind != RAFT_MESSAGE_SNAPSHOT)
        return layout->fixed_bytes;
    const uint32_t configuration_bytes =
        configuration_write(out + PEER_MESSAGE_SNAPSHOT_BYTES, message->configuration);
    bytes_put_u32(out + SNAPSHOT_CHUNK_LENGTH, message->length_bytes);
    bytes_put_u32(out + SNAPSHOT_CONFIGURATION_LENGTH, configuration_bytes);
    return PEER_MESSAGE_SNAPSHOT_BYTES + configuration_bytes;
}

/* ---- decoding ----------------------------------------------------------------------------- */

static bool bytes_are_zero(const uint8_t *bytes, uint32_t length_bytes) {
    for (uint32_t i = 0; i < length_bytes; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static enum peer_message_fault common_decode(const uint8_t *body, uint32_t body_bytes,
                                             const struct peer_message_link *link,
                                             struct raft_message *message) {
    if (body_bytes < PEER_MESSAGE_COMMON_BYTES)
        return PEER_MESSAGE_FAULT_SHORT;
    const uint8_t kind = body[OFFSET_KIND];
    const uint8_t flags = body[OFFSET_FLAGS];
    if (kind < RAFT_MESSAGE_PRE_VOTE || kind > RAFT_MESSAGE_TIMEOUT_NOW)
        return PEER_MESSAGE_FAULT_KIND;
    if (raft_message_is_control((enum raft_message_kind)kind) != link->control)
        return PEER_MESSAGE_FAULT_CONNECTION;
    const struct layout *layout = &layouts[kind];
    if (body_bytes < layout->fixed_bytes)
        return PEER_MESSAGE_FAULT_SHORT;
    if ((flags & ~layout->flags) != 0)
        return PEER_MESSAGE_FAULT_FLAGS;
    *message = (struct raft_message){
        .kind = (enum raft_message_kind)kind,
        .session = bytes_get_u32(body + OFFSET_SESSION),
        .from = bytes_get_u64(body + OFFSET_FROM),
        .to = bytes_get_u64(body + OFFSET_TO),
        .term = bytes_get_u64(body + OFFSET_TERM),
        .round = bytes_get_u64(body + OFFSET_ROUND),
        .granted = (flags & PEER_MESSAGE_GRANTED) != 0,
        .transfer = (flags & PEER_MESSAGE_TRANSFER) != 0,
        .full = (flags & PEER_MESSAGE_FULL) != 0,
    };
    if (message->from != link->from || message->to != link->to)
        return PEER_MESSAGE_FAULT_MEMBER;
    if (bytes_get_u16(body + OFFSET_RESERVED) != 0 || (!layout->session && message->session != 0) ||
        (!layout->round && message->round != 0))
        return PEER_MESSAGE_FAULT_RESERVED;
    for (uint32_t i = 0; i < layout->field_count; i++) {
        const struct field *field = &layout->fields[i];
        member_put(message, field->member, bytes_get_u64(body + field->body));
    }
    return PEER_MESSAGE_VALID;
}

/* Reads a configuration into the caller's room. */
static enum peer_message_fault configuration_decode(const uint8_t *bytes, uint32_t length_bytes,
                                                    struct peer_message *out,
                                                    const struct configuration **configuration) {
    if (out->configuration_count == out->configurations_max)
        return PEER_MESSAGE_FAULT_CONFIGURATIONS;
    struct configuration *room = &out->configurations[out->configuration_count];
    if (configuration_read(bytes, length_bytes, room) != 0)
        return PEER_MESSAGE_FAULT_CONFIGURATION;
    out->configuration_count++;
    *configuration = room;
    return PEER_MESSAGE_VALID;
}

/* One entry at `bytes`, of which `left_bytes` are in the frame. */
static enum peer_message_fault entry_decode(const uint8_t *bytes, uint32_t left_bytes,
                                            uint32_t entry_bytes_max, uint64_t index,
                                            struct peer_message *out, struct raft_entry *entry) {
    if (left_bytes < ENTRY_HEADER_BYTES)
        return PEER_MESSAGE_FAULT_ENTRY_CUT;
    const struct entry_header header = entry_header_read(bytes);
    if (header.length_bytes < ENTRY_HEADER_BYTES || header.length_bytes > entry_bytes_max)
        return PEER_MESSAGE_FAULT_ENTRY_LENGTH;
    if (entry_stride_bytes(header.length_bytes) > left_bytes)
        return PEER_MESSAGE_FAULT_ENTRY_CUT;
    if (!entry_version_is_known(header.kind, header.version))
        return PEER_MESSAGE_FAULT_ENTRY_VERSION;
    if (header.index != index)
        return PEER_MESSAGE_FAULT_ENTRY_INDEX;
    const uint32_t padding_bytes = entry_stride_bytes(header.length_bytes) - header.length_bytes;
    if (!bytes_are_zero(bytes + header.length_bytes, padding_bytes))
        return PEER_MESSAGE_FAULT_RESERVED;
    *entry = (struct raft_entry){.term = header.term, .length_bytes = header.length_bytes};
    if (header.kind != ENTRY_CONFIGURATION)
        return PEER_MESSAGE_VALID;
    return configuration_decode(bytes + ENTRY_HEADER_BYTES,
                                header.length_bytes - ENTRY_HEADER_BYTES, out,
                                &entry->configuration);
}

static enum peer_message_fault append_decode(const uint8_t *body, uint32_t body_bytes,
                                             const struct peer_message_link *link,
                                             struct peer_message *out) {
    struct raft_message *message = &out->message;
    ASSERT_HOT(body_bytes >= PEER_MESSAGE_APPEND_BYTES);
    out->previous = (struct entry_tail){.index = message->previous_index,
                                        .term = message->previous_term,
                                        .log_time_ms = bytes_get_u64(body + APPEND_LOG_TIME),
                                        .chain = bytes_get_u64(body + APPEND_CHAIN)};
    if (bytes_get_u32(body + APPEND_RESERVED) != 0)
        return PEER_MESSAGE_FAULT_RESERVED;
    if (out->previous.index == 0 && (out->previous.term != 0 || out->previous.log_time_ms != 0 ||
                                     out->previous.chain != ENTRY_CHAIN_ORIGIN))
        return PEER_MESSAGE_FAULT_PREVIOUS;
    message->entry_count = bytes_get_u32(body + APPEND_ENTRY_COUNT);
    if (message->entry_count > RAFT_MESSAGE_ENTRIES_MAX)
        return PEER_MESSAGE_FAULT_COUNT;

    out->payload = body + PEER_MESSAGE_APPEND_BYTES;
    out->payload_bytes = body_bytes - PEER_MESSAGE_APPEND_BYTES;
    uint32_t position = 0;
    for (uint32_t i = 0; i < message->entry_count; i++) {
        const enum peer_message_fault fault =
            entry_decode(out->payload + position, out->payload_bytes - position,
                         link->entry_bytes_max, out->previous.index + 1 + i, out, &out->entries[i]);
        if (fault != PEER_MESSAGE_VALID)
            return fault;
        position += entry_stride_bytes(out->entries[i].length_bytes);
    }
    ASSERT_HOT(position <= out->payload_bytes);
    return position == out->payload_bytes ? PEER_MESSAGE_VALID : PEER_MESSAGE_FAULT_TRAILING;
}

static enum peer_message_fault snapshot_decode(const uint8_t *body, uint32_t body_bytes,
                                               struct peer_message *out) {
    struct raft_message *message = &out->message;
    ASSERT_HOT(body_bytes >= PEER_MESSAGE_SNAPSHOT_BYTES);
    message->length_bytes = bytes_get_u32(body + SNAPSHOT_CHUNK_LENGTH);
    const uint32_t configuration_bytes = bytes_get_u32(body + SNAPSHOT_CONFIGURATION_LENGTH);
    const uint8_t *bytes = body + PEER_MESSAGE_SNAPSHOT_BYTES;
    uint32_t left_bytes = body_bytes - PEER_MESSAGE_SNAPSHOT_BYTES;
    if (configuration_bytes > CONFIGURATION_BYTES_MAX || configuration_bytes > left_bytes)
        return PEER_MESSAGE_FAULT_CONFIGURATION;
    const enum peer_message_fault fault =
        configuration_decode(bytes, configuration_bytes, out, &message->configuration);
    if (fault != PEER_MESSAGE_VALID)
        return fault;
    bytes += configuration_bytes;
    left_bytes -= configuration_bytes;
    const uint32_t padding_bytes = peer_frame_padding_bytes(message->length_bytes);
    const uint64_t chunk_bytes = (uint64_t)message->length_bytes + padding_bytes;
    if (chunk_bytes != left_bytes)
        return chunk_bytes > left_bytes ? PEER_MESSAGE_FAULT_CHUNK : PEER_MESSAGE_FAULT_TRAILING;
    if (!bytes_are_zero(bytes + message->length_bytes, padding_bytes))
        return PEER_MESSAGE_FAULT_RESERVED;
    out->payload = bytes;
    out->payload_bytes = message->length_bytes;
    return PEER_MESSAGE_VALID;
}

enum peer_message_fault peer_message_decode(const uint8_t *body, uint32_t body_bytes,
                                            const struct peer_message_link *link,
                                            struct peer_message *out) {
    ASSERT_HOT(link->from != 0 && link->entry_bytes_max <= UINT32_MAX - ENTRY_ALIGN_BYTES);
    ASSERT_HOT(out->configurations != NULL && out->configurations_max > 0);
    out->previous = (struct entry_tail){0};
    out->payload = NULL;
    out->payload_bytes = 0;
    out->configuration_count = 0;
    const enum peer_message_fault fault = common_decode(body, body_bytes, link, &out->message);
    if (fault != PEER_MESSAGE_VALID)
        return fault;
    if (out->message.kind == RAFT_MESSAGE_APPEND)
        return append_decode(body, body_bytes, link, out);
    if (out->message.kind == RAFT_MESSAGE_SNAPSHOT)
        return snapshot_decode(body, body_bytes, out);
    return body_bytes == layouts[out->message.kind].fixed_bytes ? PEER_MESSAGE_VALID
                                                                : PEER_MESSAGE_FAULT_TRAILING;
}

enum entry_fault peer_message_entries_check(const struct peer_message *decoded,
                                            uint32_t entry_bytes_max, uint32_t *position) {
    struct entry_tail tail = decoded->previous;
    uint32_t offset = 0;
    for (uint32_t i = 0; i < decoded->message.entry_count; i++) {
        ASSERT_HOT(offset < decoded->payload_bytes);
        const enum entry_fault fault = entry_check(
            decoded->payload + offset, decoded->payload_bytes - offset, entry_bytes_max, &tail);
        if (fault != ENTRY_VALID) {
            *position = i;
            return fault;
        }
        offset += entry_stride_bytes(decoded->entries[i].length_bytes);
    }
    ASSERT(decoded->message.entry_count == 0 || offset == decoded->payload_bytes);
    return ENTRY_VALID;
}

const char *peer_message_fault_name(enum peer_message_fault fault) {
    static const char *const names[] = {
        [PEER_MESSAGE_VALID] = "valid",
        [PEER_MESSAGE_FAULT_SHORT] = "cut short",
        [PEER_MESSAGE_FAULT_KIND] = "unknown kind",
        [PEER_MESSAGE_FAULT_CONNECTION] = "a kind that belongs on the other connection",
        [PEER_MESSAGE_FAULT_MEMBER] = "sender or receiver is not that of the handshake",
        [PEER_MESSAGE_FAULT_FLAGS] = "unknown flags",
        [PEER_MESSAGE_FAULT_RESERVED] = "what is to be zero is not",
        [PEER_MESSAGE_FAULT_TRAILING] = "bytes behind the end",
        [PEER_MESSAGE_FAULT_COUNT] = "too many entries",
        [PEER_MESSAGE_FAULT_PREVIOUS] = "something before the first entry",
        [PEER_MESSAGE_FAULT_ENTRY_CUT] = "an entry is cut off",
        [PEER_MESSAGE_FAULT_ENTRY_LENGTH] = "an entry's length is out of range",
        [PEER_MESSAGE_FAULT_ENTRY_VERSION] = "an entry of an unknown version",
        [PEER_MESSAGE_FAULT_ENTRY_INDEX] = "an entry's index does not follow",
        [PEER_MESSAGE_FAULT_CONFIGURATION] = "a configuration that is none",
        [PEER_MESSAGE_FAULT_CONFIGURATIONS] = "too many configurations",
        [PEER_MESSAGE_FAULT_CHUNK] = "a chunk is cut off",
        [PEER_MESSAGE_FAULT_DIGEST] = "digests that no member can have",
    };
    return (size_t)fault < ARRAY_COUNT(names) ? names[fault] : "unknown fault";
}
