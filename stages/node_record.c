/*
 * Two guarded parts, one way to publish and one to copy, word by word.
 */

#include "stages/node_record.h"

#include <string.h>

#include "base/assert.h"

enum {
    /* Looks at a part before a reader gives up: a writer needs some tens of nanoseconds. */
    RECORD_LOOKS_MAX = 64,
    RECORD_OPEN_OFFSET = offsetof(struct node_record, open),
    RECORD_OPEN_BYTES =
        offsetof(struct node_record, local_address) + NODE_ADDRESS_BYTES_MAX - RECORD_OPEN_OFFSET,
    RECORD_NAMES_OFFSET = offsetof(struct node_record, name),
    RECORD_NAMES_BYTES = 3 * NODE_CLIENT_NAME_BYTES_MAX,
};
_Static_assert(RECORD_OPEN_OFFSET % 4 == 0 && RECORD_OPEN_BYTES % 4 == 0, "whole words");
_Static_assert(RECORD_NAMES_OFFSET % 4 == 0 && RECORD_NAMES_BYTES % 4 == 0, "whole words");
_Static_assert(offsetof(struct node_record, library_version) + NODE_CLIENT_NAME_BYTES_MAX ==
                   RECORD_NAMES_OFFSET + RECORD_NAMES_BYTES,
               "the three names stand together");

/* The word at an offset of a record. */
static uint32_t *record_word(struct node_record *record, size_t offset) {
    return (uint32_t *)(void *)((char *)record + offset);
}

static const uint32_t *record_word_const(const struct node_record *record, size_t offset) {
    return (const uint32_t *)(const void *)((const char *)record + offset);
}

static void record_publish(struct node_record *record, uint32_t *sequence,
                           const struct node_record *value, size_t offset, size_t length) {
    uint32_t before = atomic_load_relaxed_u32(sequence);
    ASSERT(before % 2 == 0);
    /* Partner of each of these: the acquire of the same word in record_copy. */
    atomic_store_release_u32(sequence, before + 1);
    for (size_t at = offset; at < offset + length; at += sizeof(uint32_t)) {
        atomic_store_release_u32(record_word(record, at), *record_word_const(value, at));
    }
    atomic_store_release_u32(sequence, before + 2);
}

static bool record_copy(const struct node_record *record, const uint32_t *sequence,
                        struct node_record *copy, size_t offset, size_t length) {
    for (uint32_t look = 0; look < RECORD_LOOKS_MAX; look++) {
        /* Partner: the release in record_publish, of the sequence and of each word. */
        uint32_t before = atomic_load_acquire_u32(sequence);
        for (size_t at = offset; at < offset + length; at += sizeof(uint32_t)) {
            *record_word(copy, at) = atomic_load_acquire_u32(record_word_const(record, at));
        }
        if (before % 2 == 0 && atomic_load_relaxed_u32(sequence) == before) {
            return true;
        }
        atomic_pause();
    }
    return false;
}

void node_record_publish_open(struct node_record *record, const struct node_record *value) {
    ASSERT(memchr(value->address, '\0', sizeof(value->address)) != NULL);
    ASSERT(memchr(value->local_address, '\0', sizeof(value->local_address)) != NULL);
    record_publish(record, &record->open_sequence, value, RECORD_OPEN_OFFSET, RECORD_OPEN_BYTES);
}

void node_record_publish_names(struct node_record *record, const struct node_record *value) {
    ASSERT(memchr(value->name, '\0', sizeof(value->name)) != NULL);
    ASSERT(memchr(value->library_name, '\0', sizeof(value->library_name)) != NULL);
    ASSERT(memchr(value->library_version, '\0', sizeof(value->library_version)) != NULL);
    record_publish(record, &record->names_sequence, value, RECORD_NAMES_OFFSET, RECORD_NAMES_BYTES);
}

bool node_record_copy(const struct node_record *record, struct node_record *copy) {
    if (!record_copy(record, &record->open_sequence, copy, RECORD_OPEN_OFFSET, RECORD_OPEN_BYTES) ||
        copy->open == 0) {
        return false;
    }
    copy->authenticated = atomic_load_relaxed_u32(&record->authenticated);
    copy->resp_version = atomic_load_relaxed_u32(&record->resp_version);
    copy->accepts_replica = atomic_load_relaxed_u32(&record->accepts_replica);
    copy->reads = atomic_load_relaxed_u32(&record->reads);
    copy->no_evict = atomic_load_relaxed_u32(&record->no_evict);
    copy->no_touch = atomic_load_relaxed_u32(&record->no_touch);
    copy->killed = atomic_load_relaxed_u32(&record->killed);
    copy->last_command = atomic_load_relaxed_u32(&record->last_command);
    copy->last_command_ms = atomic_load_relaxed_u64(&record->last_command_ms);
    copy->commands = atomic_load_relaxed_u64(&record->commands);
    return record_copy(record, &record->names_sequence, copy, RECORD_NAMES_OFFSET,
                       RECORD_NAMES_BYTES);
}
