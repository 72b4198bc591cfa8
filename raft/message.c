/*
 * Whether a message can be from a member that works, and names.
 *
 * Happy path: what every kind has is in range, then what this kind has.  Failure modes: the first
 * thing found wrong is told; nothing is changed.
 */

#include "raft/message.h"

#include <stddef.h>

#include "base/bytes.h"

static bool kind_known(enum raft_message_kind kind) {
    return kind >= RAFT_MESSAGE_PRE_VOTE && kind <= RAFT_MESSAGE_TIMEOUT_NOW;
}

/* A place in a log as of a message's term: 0 and 0, or an entry. */
static enum raft_message_fault place_check(const struct raft_message *message, uint64_t index,
                                           uint64_t term) {
    if (term > message->term) {
        return RAFT_MESSAGE_FAULT_TERM;
    }
    if (index > RAFT_INDEX_MAX || (index == 0) != (term == 0)) {
        return RAFT_MESSAGE_FAULT_INDEX;
    }
    return RAFT_MESSAGE_VALID;
}

static enum raft_message_fault index_check(uint64_t index) {
    return index > RAFT_INDEX_MAX ? RAFT_MESSAGE_FAULT_INDEX : RAFT_MESSAGE_VALID;
}

static enum raft_message_fault entries_check(const struct raft_message *message,
                                             const struct raft_entry *entries) {
    uint64_t term = message->previous_term;
    for (uint32_t i = 0; i < message->entry_count; i++) {
        const struct raft_entry *entry = &entries[i];
        if (entry->term == 0 || entry->term < term || entry->term > message->term ||
            entry->length_bytes == 0) {
            return RAFT_MESSAGE_FAULT_ENTRIES;
        }
        if (entry->configuration != NULL && !configuration_valid(entry->configuration)) {
            return RAFT_MESSAGE_FAULT_CONFIGURATION;
        }
        term = entry->term;
    }
    return RAFT_MESSAGE_VALID;
}

static enum raft_message_fault append_check(const struct raft_message *message,
                                            const struct raft_entry *entries) {
    if (message->entry_count > RAFT_MESSAGE_ENTRIES_MAX) {
        return RAFT_MESSAGE_FAULT_ENTRIES;
    }
    enum raft_message_fault fault =
        place_check(message, message->previous_index, message->previous_term);
    if (fault == RAFT_MESSAGE_VALID) {
        fault = index_check(message->previous_index + message->entry_count);
    }
    if (fault == RAFT_MESSAGE_VALID) {
        fault = index_check(message->commit);
    }
    return fault == RAFT_MESSAGE_VALID ? entries_check(message, entries) : fault;
}

static enum raft_message_fault append_answer_check(const struct raft_message *message) {
    if (message->granted) {
        return index_check(message->match_index);
    }
    /* What is before the first entry is in every log, so nobody refuses it. */
    if (message->previous_index == 0 || message->previous_index > RAFT_INDEX_MAX ||
        message->hint_index > RAFT_INDEX_MAX ||
        (message->hint_index == 0 && message->hint_term != 0)) {
        return RAFT_MESSAGE_FAULT_INDEX;
    }
    return message->hint_term > message->term ? RAFT_MESSAGE_FAULT_TERM : RAFT_MESSAGE_VALID;
}

static enum raft_message_fault heartbeat_check(const struct raft_message *message) {
    enum raft_message_fault fault =
        place_check(message, message->previous_index, message->previous_term);
    return fault == RAFT_MESSAGE_VALID ? index_check(message->commit) : fault;
}

static enum raft_message_fault snapshot_check(const struct raft_message *message) {
    const struct raft_snapshot *snapshot = &message->snapshot;
    return snapshot->index == 0 ? RAFT_MESSAGE_FAULT_CHUNK
                                : place_check(message, snapshot->index, snapshot->term);
}

static enum raft_message_fault chunk_check(const struct raft_message *message) {
    enum raft_message_fault fault = snapshot_check(message);
    if (fault != RAFT_MESSAGE_VALID) {
        return fault;
    }
    uint64_t size_bytes = message->snapshot.size_bytes;
    if (message->offset > size_bytes || message->length_bytes > size_bytes - message->offset) {
        return RAFT_MESSAGE_FAULT_CHUNK;
    }
    return message->configuration == NULL || !configuration_valid(message->configuration)
               ? RAFT_MESSAGE_FAULT_CONFIGURATION
               : RAFT_MESSAGE_VALID;
}

enum raft_message_fault raft_message_check(const struct raft_message *message,
                                           const struct raft_entry *entries) {
    if (!kind_known(message->kind)) {
        return RAFT_MESSAGE_FAULT_KIND;
    }
    if (message->from == 0 || message->to == 0 || message->from == message->to) {
        return RAFT_MESSAGE_FAULT_MEMBER;
    }
    if (message->term == 0 || message->term > RAFT_TERM_MAX) {
        return RAFT_MESSAGE_FAULT_TERM;
    }
    switch (message->kind) {
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_VOTE: return place_check(message, message->last_index, message->last_term);
    case RAFT_MESSAGE_APPEND: return append_check(message, entries);
    case RAFT_MESSAGE_APPEND_ANSWER: return append_answer_check(message);
    case RAFT_MESSAGE_HEARTBEAT: return heartbeat_check(message);
    case RAFT_MESSAGE_SNAPSHOT: return chunk_check(message);
    case RAFT_MESSAGE_SNAPSHOT_ANSWER: return snapshot_check(message);
    case RAFT_MESSAGE_PRE_VOTE_ANSWER:
    case RAFT_MESSAGE_VOTE_ANSWER:
    case RAFT_MESSAGE_HEARTBEAT_ANSWER:
    case RAFT_MESSAGE_TIMEOUT_NOW: break;
    }
    return RAFT_MESSAGE_VALID;
}

const char *raft_message_fault_name(enum raft_message_fault fault) {
    static const char *const names[] = {
        [RAFT_MESSAGE_VALID] = "valid",
        [RAFT_MESSAGE_FAULT_KIND] = "unknown kind",
        [RAFT_MESSAGE_FAULT_MEMBER] = "impossible sender or receiver",
        [RAFT_MESSAGE_FAULT_TERM] = "impossible term",
        [RAFT_MESSAGE_FAULT_INDEX] = "impossible index",
        [RAFT_MESSAGE_FAULT_ENTRIES] = "impossible entries",
        [RAFT_MESSAGE_FAULT_CHUNK] = "impossible piece of a snapshot",
        [RAFT_MESSAGE_FAULT_CONFIGURATION] = "impossible configuration",
    };
    return (size_t)fault < ARRAY_COUNT(names) ? names[fault] : "unknown fault";
}

const char *raft_message_kind_name(enum raft_message_kind kind) {
    static const char *const names[] = {
        [RAFT_MESSAGE_PRE_VOTE] = "pre-vote",
        [RAFT_MESSAGE_PRE_VOTE_ANSWER] = "pre-vote answer",
        [RAFT_MESSAGE_VOTE] = "vote",
        [RAFT_MESSAGE_VOTE_ANSWER] = "vote answer",
        [RAFT_MESSAGE_APPEND] = "append",
        [RAFT_MESSAGE_APPEND_ANSWER] = "append answer",
        [RAFT_MESSAGE_HEARTBEAT] = "heartbeat",
        [RAFT_MESSAGE_HEARTBEAT_ANSWER] = "heartbeat answer",
        [RAFT_MESSAGE_SNAPSHOT] = "snapshot",
        [RAFT_MESSAGE_SNAPSHOT_ANSWER] = "snapshot answer",
        [RAFT_MESSAGE_TIMEOUT_NOW] = "timeout now",
    };
    return kind_known(kind) ? names[kind] : "unknown kind";
}

bool raft_message_is_control(enum raft_message_kind kind) {
    return kind != RAFT_MESSAGE_APPEND && kind != RAFT_MESSAGE_APPEND_ANSWER &&
           kind != RAFT_MESSAGE_SNAPSHOT && kind != RAFT_MESSAGE_SNAPSHOT_ANSWER;
}
