/*
 * What all machines' command tables have in common: finding a row by name or id, hashing a key,
 * and the list of built-in machines.
 */

#include "machines/machine.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"

#include <string.h>

/* ---- Keys ------------------------------------------------------------------------------------ */

enum { MACHINE_TAG_BITS = 16 };

uint64_t machine_key_hash(const uint8_t *key, uint32_t length_bytes, uint64_t seed) {
    const uint64_t hash = hash_key(key, length_bytes, seed);
    const uint8_t *open = length_bytes == 0 ? NULL : memchr(key, '{', length_bytes);
    if (open == NULL)
        return hash;
    const uint8_t *tag = open + 1;
    const uint8_t *end = key + length_bytes;
    const uint8_t *close = tag == end ? NULL : memchr(tag, '}', (size_t)(end - tag));
    if (close == NULL || close == tag)
        return hash;
    const uint64_t tag_hash = hash_key(tag, (size_t)(close - tag), seed);
    const uint64_t tag_mask = ~UINT64_C(0) << (64 - MACHINE_TAG_BITS);
    return (tag_hash & tag_mask) | (hash & ~tag_mask);
}

/* By the table: one run. */
static struct machine_key_run machine_keys_of_row(const struct machine_command *command,
                                                  uint32_t argument_count) {
    const struct machine_key_run none = {0, 0, 0};
    if (command->first_key == 0)
        return none;
    /* Positions count from the name; arguments from after it. */
    const int64_t count = argument_count;
    const int64_t begin = command->first_key - 1;
    const int64_t last = command->last_key < 0 ? count + command->last_key : command->last_key - 1;
    ASSERT_HOT(command->key_step > 0);
    if (last < begin || begin >= count)
        return none;
    return (struct machine_key_run){.first = (uint32_t)begin,
                                    .step = (uint32_t)command->key_step,
                                    .count = (uint32_t)((last - begin) / command->key_step) + 1};
}

void machine_keys_find(const struct machine_operations *operations, uint32_t row,
                       const struct machine_argument *arguments, uint32_t argument_count,
                       struct machine_keys *keys) {
    ASSERT_HOT(row < operations->command_count);
    const struct machine_command *command = &operations->commands[row];
    *keys = (struct machine_keys){.run = {{0, 0, 0}}};
    if ((command->flags & MACHINE_ODD_KEYS) == 0) {
        keys->run[0] = machine_keys_of_row(command, argument_count);
        return;
    }
    operations->key_positions(row, arguments, argument_count, keys);
    for (uint32_t i = 0; i < MACHINE_KEY_RUNS_MAX; i++) {
        const struct machine_key_run *run = &keys->run[i];
        ASSERT(run->count == 0 ||
               run->first + (uint64_t)run->step * (run->count - 1) < argument_count);
    }
}

/* ---- Names ----------------------------------------------------------------------------------- */

static uint8_t machine_lower(uint8_t byte) {
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte - 'A' + 'a') : byte;
}

/* FNV-1a over lower-cased bytes: names are short, and the table is not an attacker's. */
static uint32_t machine_name_hash(const uint8_t *name, uint32_t length_bytes) {
    uint32_t hash = 2166136261u;
    for (uint32_t i = 0; i < length_bytes; i++)
        hash = (hash ^ machine_lower(name[i])) * 16777619u;
    return hash ^ hash >> 15;
}

static bool machine_name_equals(const char *lower_case, const uint8_t *name,
                                uint32_t length_bytes) {
    if (strlen(lower_case) != length_bytes)
        return false;
    for (uint32_t i = 0; i < length_bytes; i++)
        if ((uint8_t)lower_case[i] != machine_lower(name[i]))
            return false;
    return true;
}

void machine_name_index_build(struct machine_name_index *index,
                              const struct machine_operations *operations) {
    *index = (struct machine_name_index){.mask = ARRAY_COUNT(index->slot) - 1};
    /* Half empty at least, so that a name that is none is found out soon. */
    ASSERT(operations->command_count <= ARRAY_COUNT(index->slot) / 2);
    for (uint32_t row = 0; row < operations->command_count; row++) {
        const char *name = operations->commands[row].name;
        uint32_t at = machine_name_hash((const uint8_t *)name, (uint32_t)strlen(name));
        ASSERT(machine_name_find(index, operations, (const uint8_t *)name, (uint32_t)strlen(name)) <
               0);
        while (index->slot[at & index->mask] != 0)
            at++;
        index->slot[at & index->mask] = (uint16_t)(row + 1);
    }
}

int32_t machine_name_find(const struct machine_name_index *index,
                          const struct machine_operations *operations, const uint8_t *name,
                          uint32_t length_bytes) {
    if (length_bytes > MACHINE_NAME_BYTES_MAX)
        return -1;
    uint32_t at = machine_name_hash(name, length_bytes);
    for (;; at++) {
        const uint16_t slot = index->slot[at & index->mask];
        if (slot == 0)
            return -1;
        if (machine_name_equals(operations->commands[slot - 1].name, name, length_bytes))
            return slot - 1;
    }
}

int32_t machine_id_find(const struct machine_operations *operations, uint16_t id) {
    /* Usually ids are in the order of the rows. */
    if (id >= 1 && id <= operations->command_count && operations->commands[id - 1].id == id)
        return id - 1;
    for (uint32_t row = 0; row < operations->command_count; row++)
        if (operations->commands[row].id == id)
            return (int32_t)row;
    return -1;
}

/* ---- Replies --------------------------------------------------------------------------------- */

enum machine_progress machine_reply_start(struct machine_run *run, bool is_write) {
    struct machine_operation *operation = &run->operations[run->next];
    struct reply_writer *reply = run->reply;
    if (reply == NULL || operation->reply != NULL)
        return MACHINE_DONE;
    if (is_write && reply->end - reply->position < MACHINE_WRITE_REPLY_BYTES) {
        reply->overflow_bytes = MACHINE_WRITE_REPLY_BYTES;
        return MACHINE_REPLY_FULL;
    }
    operation->reply = reply->position;
    return MACHINE_DONE;
}

enum machine_progress machine_reply_finish(struct machine_run *run) {
    struct machine_operation *operation = &run->operations[run->next];
    struct reply_writer *reply = run->reply;
    if (reply == NULL)
        return MACHINE_DONE;
    ASSERT_HOT(operation->reply != NULL && operation->reply <= reply->position);
    const uint64_t written_bytes = (uint64_t)(reply->position - operation->reply);
    if (reply->overflow_bytes == 0) {
        operation->reply_bytes = (uint32_t)written_bytes;
        return MACHINE_DONE;
    }
    const uint64_t needed_bytes = written_bytes + reply->overflow_bytes;
    reply_rewind(reply, (struct reply_mark){operation->reply, 0});
    reply->overflow_bytes = needed_bytes;
    operation->reply = NULL;
    operation->reply_bytes = 0;
    return MACHINE_REPLY_FULL;
}

/* ---- Machines -------------------------------------------------------------------------------- */

const struct machine_operations *machine_find(const char *name) {
    static const struct machine_operations *const machines[] = {&machine_kv, &machine_log};
    for (size_t i = 0; i < ARRAY_COUNT(machines); i++)
        if (strcmp(machines[i]->name, name) == 0)
            return machines[i];
    return NULL;
}
