/* See stages/slowlog.h.  Nothing here can fail: what does not fit is cut. */

#include "stages/slowlog.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "stages/connection_commands.h"
#include "stages/node_record.h"
#include "stages/node_settings.h"

enum {
    SLOWLOG_LOOKS_MAX = 16, /* before a reader gives an entry up */
    ENTRY_WORDS_FROM = offsetof(struct slowlog_entry, argument_count),
};
_Static_assert(sizeof(struct slowlog_entry) % 4 == 0 && ENTRY_WORDS_FROM % 4 == 0, "whole words");
_Static_assert((SLOWLOG_ENTRIES_MAX & (SLOWLOG_ENTRIES_MAX - 1)) == 0, "a ring");

/* ---- making an entry ----------------------------------------------------------------------- */

static bool word_is(const struct batch *batch, const struct batch_command *command, uint32_t index,
                    const char *word) {
    uint32_t length = 0;
    const uint8_t *text = batch_argument(batch, command, index, &length);
    size_t i = 0;
    while (i < length && word[i] != '\0' &&
           (text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i]) == (uint8_t)word[i]) {
        i++;
    }
    return i == length && word[i] == '\0';
}

/* Whether the argument is a secret, or a user's name beside one. */
static bool is_secret(const struct batch *batch, const struct batch_command *command,
                      uint32_t index) {
    if (command->table != TABLE_CONNECTION || index == 0) {
        return false;
    }
    switch (command->row) {
    case CONNECTION_AUTH: return true;
    case CONNECTION_HELLO:
        return (index >= 3 && word_is(batch, command, index - 1, "auth")) ||
               (index >= 4 && word_is(batch, command, index - 2, "auth"));
    case CONNECTION_CONFIG_SET:
        return index >= 3 && index % 2 == 1 && word_is(batch, command, index - 1, "requirepass");
    default: return false;
    }
}

static void argument_write(struct slowlog_entry *entry, uint32_t place, const struct batch *batch,
                           const struct batch_command *command, uint32_t index) {
    char *out = (char *)entry->texts[place];
    uint32_t length = 0;
    const uint8_t *text = batch_argument(batch, command, index, &length);
    if (is_secret(batch, command, index)) {
        entry->lengths[place] = (uint32_t)snprintf(out, SLOWLOG_TEXT_BYTES, "(redacted)");
        return;
    }
    uint32_t kept = length < SLOWLOG_ARGUMENT_BYTES ? length : (uint32_t)SLOWLOG_ARGUMENT_BYTES;
    memcpy(out, text, kept);
    if (kept < length) {
        kept += (uint32_t)snprintf(out + kept, SLOWLOG_TEXT_BYTES - kept, "... (%u more bytes)",
                                   length - kept);
    }
    ASSERT(kept <= SLOWLOG_TEXT_BYTES);
    entry->lengths[place] = kept;
}

static void arguments_write(struct slowlog_entry *entry, const struct batch *batch,
                            const struct batch_command *command) {
    uint32_t count = command->argument_count;
    uint32_t whole = count > SLOWLOG_ARGUMENTS_MAX ? SLOWLOG_ARGUMENTS_MAX - 1 : count;
    for (uint32_t i = 0; i < whole; i++) {
        argument_write(entry, i, batch, command, i);
    }
    entry->argument_count = whole;
    if (whole < count) {
        entry->lengths[whole] = (uint32_t)snprintf((char *)entry->texts[whole], SLOWLOG_TEXT_BYTES,
                                                   "... (%u more arguments)", count - whole);
        entry->argument_count++;
    }
}

/* ---- publishing and copying ---------------------------------------------------------------- */

static uint32_t *entry_word(struct slowlog_entry *entry, size_t at) {
    return (uint32_t *)(void *)((char *)entry + at);
}

static const uint32_t *entry_word_const(const struct slowlog_entry *entry, size_t at) {
    return (const uint32_t *)(const void *)((const char *)entry + at);
}

static void publish(struct slowlog_entry *entry, const struct slowlog_entry *value) {
    uint32_t before = atomic_load_relaxed_u32(&entry->sequence);
    ASSERT(before % 2 == 0);
    /* Partner of each of these: the acquire of the same word in slowlog_copy. */
    atomic_store_release_u32(&entry->sequence, before + 1);
    for (size_t at = ENTRY_WORDS_FROM; at < sizeof(*entry); at += sizeof(uint32_t)) {
        atomic_store_release_u32(entry_word(entry, at), *entry_word_const(value, at));
    }
    atomic_store_release_u32(&entry->sequence, before + 2);
}

void slowlog_note(struct node *node, const struct batch *batch, const struct batch_command *command,
                  uint64_t duration_us) {
    struct slowlog *slowlog = node->slowlog;
    struct slowlog_entry entry = {.unix_s = batch->judged_ms / 1000, .duration_us = duration_us};
    struct node_record record;
    ASSERT(slowlog != NULL && command->argument_count > 0);
    entry.id = atomic_load_relaxed_u64(&slowlog->written);
    arguments_write(&entry, batch, command);
    if (node_record_copy(&node->records[batch->connection.slot], &record)) {
        memcpy(entry.address, record.address, sizeof(entry.address));
        memcpy(entry.name, record.name, sizeof(entry.name));
    }
    publish(&slowlog->entries[entry.id % SLOWLOG_ENTRIES_MAX], &entry);
    uint64_t kept = node_slow_entries(node);
    uint64_t written = entry.id + 1;
    if (written - slowlog->first > kept) {
        atomic_store_relaxed_u64(&slowlog->first, written - kept);
    }
    /* Partner: the acquire in slowlog_range. */
    atomic_store_release_u64(&slowlog->written, written);
}

uint64_t slowlog_range(const struct node *node, uint64_t *first) {
    *first = 0;
    if (node->slowlog == NULL) {
        return 0;
    }
    uint64_t written = atomic_load_acquire_u64(&node->slowlog->written);
    uint64_t forgotten = atomic_load_relaxed_u64(&node->settings.slow_forgotten);
    uint64_t oldest = atomic_load_relaxed_u64(&node->slowlog->first);
    *first = oldest > forgotten ? oldest : forgotten;
    *first = *first < written ? *first : written;
    return written;
}

bool slowlog_copy(const struct node *node, uint64_t id, struct slowlog_entry *out) {
    const struct slowlog_entry *entry = &node->slowlog->entries[id % SLOWLOG_ENTRIES_MAX];
    for (uint32_t look = 0; look < SLOWLOG_LOOKS_MAX; look++) {
        /* Partner: the release in publish, of the sequence and of each word. */
        uint32_t before = atomic_load_acquire_u32(&entry->sequence);
        for (size_t at = ENTRY_WORDS_FROM; at < sizeof(*entry); at += sizeof(uint32_t)) {
            *entry_word(out, at) = atomic_load_acquire_u32(entry_word_const(entry, at));
        }
        if (before % 2 == 0 && atomic_load_relaxed_u32(&entry->sequence) == before) {
            return out->id == id;
        }
        atomic_pause();
    }
    return false;
}

void slowlog_reset(struct node *node) {
    if (node->slowlog != NULL) {
        atomic_store_relaxed_u64(&node->settings.slow_forgotten,
                                 atomic_load_relaxed_u64(&node->slowlog->written));
    }
}
