/* Taking the record of a transaction apart, and judging it; see transaction.h. */

#include "entry/transaction.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

enum {
    WATCH_HASH = 8,
    WATCH_KEY_BYTES = 16,
    WATCH_PRESENT = 20,
};

static bool zeros_follow(const uint8_t *from, uint32_t length_bytes) {
    for (uint32_t i = 0; i < length_bytes; i++) {
        if (from[i] != 0)
            return false;
    }
    return true;
}

uint32_t entry_watch_write(uint8_t *out, const struct entry_watch *watch) {
    const uint32_t bytes = entry_watch_bytes(watch->key_bytes);
    ASSERT(bytes % ENTRY_ALIGN_BYTES == 0);
    bytes_put_u64(out, watch->index);
    bytes_put_u64(out + WATCH_HASH, watch->key_hash);
    bytes_put_u32(out + WATCH_KEY_BYTES, watch->key_bytes);
    bytes_put_u32(out + WATCH_PRESENT, watch->present ? 1 : 0);
    uint8_t *key = out + ENTRY_WATCH_HEADER_BYTES;
    if (watch->key_bytes > 0)
        memcpy(key, watch->key, watch->key_bytes);
    memset(key + watch->key_bytes, 0, bytes - ENTRY_WATCH_HEADER_BYTES - watch->key_bytes);
    return bytes;
}

uint32_t entry_watch_settle(uint8_t *at, uint64_t index, bool present) {
    ASSERT(index != 0 && bytes_get_u64(at) == 0);
    bytes_put_u64(at, index);
    bytes_put_u32(at + WATCH_PRESENT, present ? 1 : 0);
    return entry_watch_bytes(bytes_get_u32(at + WATCH_KEY_BYTES));
}

uint32_t entry_watch_read(const uint8_t *at, struct entry_watch *watch) {
    *watch = (struct entry_watch){.index = bytes_get_u64(at),
                                  .key_hash = bytes_get_u64(at + WATCH_HASH),
                                  .key = at + ENTRY_WATCH_HEADER_BYTES,
                                  .key_bytes = bytes_get_u32(at + WATCH_KEY_BYTES),
                                  .present = bytes_get_u32(at + WATCH_PRESENT) != 0};
    ASSERT_HOT(bytes_get_u32(at + WATCH_PRESENT) <= 1);
    return entry_watch_bytes(watch->key_bytes);
}

void entry_transaction_head(uint8_t out[ENTRY_TRANSACTION_HEAD_BYTES], uint32_t command_count,
                            uint32_t watch_count) {
    bytes_put_u32(out, command_count);
    bytes_put_u32(out + 4, watch_count);
}

void entry_transaction_read(const struct entry_command *command,
                            struct entry_transaction *transaction) {
    ASSERT(command->id == ENTRY_COMMAND_ID_EXEC);
    ASSERT(command->argument_count == ENTRY_TRANSACTION_ARGUMENTS);
    const uint8_t *lengths = command->argument_lengths;
    *transaction = (struct entry_transaction){
        .command_count = bytes_get_u32(command->arguments),
        .watch_count = bytes_get_u32(command->arguments + 4),
        .watches = command->arguments + ENTRY_TRANSACTION_HEAD_BYTES,
        .watch_bytes = bytes_get_u32(lengths + 4),
        .command_bytes = bytes_get_u32(lengths + 8),
        .reply_bytes = bytes_get_u32(lengths + 12),
    };
    transaction->commands = transaction->watches + transaction->watch_bytes;
    transaction->replies = transaction->commands + transaction->command_bytes;
}

struct entry_cursor entry_transaction_cursor(const struct entry_transaction *transaction) {
    return (struct entry_cursor){.position = transaction->commands,
                                 .end = transaction->commands + transaction->command_bytes,
                                 .commands_left = transaction->command_count};
}

/* ---- judging ------------------------------------------------------------------------------ */

static bool watches_are_valid(const uint8_t *at, uint32_t bytes, uint32_t count) {
    uint32_t position = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t left = bytes - position;
        if (left < ENTRY_WATCH_HEADER_BYTES)
            return false;
        const uint8_t *watch = at + position;
        const uint32_t key_bytes = bytes_get_u32(watch + WATCH_KEY_BYTES);
        if (key_bytes > left - ENTRY_WATCH_HEADER_BYTES || entry_watch_bytes(key_bytes) > left ||
            bytes_get_u64(watch) == 0 || bytes_get_u32(watch + WATCH_PRESENT) > 1)
            return false;
        const uint32_t used = ENTRY_WATCH_HEADER_BYTES + key_bytes;
        if (!zeros_follow(watch + used, entry_watch_bytes(key_bytes) - used))
            return false;
        position += entry_watch_bytes(key_bytes);
    }
    return position == bytes;
}

/* Also counts the commands whose replies are known. */
static bool commands_are_valid(const uint8_t *at, uint32_t bytes, uint32_t count,
                               uint32_t (*record_bytes)(const uint8_t *, size_t), uint32_t *known) {
    uint32_t position = 0;
    *known = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t length = record_bytes(at + position, bytes - position);
        if (length == 0)
            return false;
        const uint16_t id = bytes_get_u16(at + position);
        if ((at[position + 2] & ENTRY_COMMAND_SESSION) != 0 ||
            (id >= ENTRY_COMMAND_ID_HOST && id != ENTRY_COMMAND_ID_REPLY))
            return false;
        *known += id == ENTRY_COMMAND_ID_REPLY;
        position += length;
    }
    return position == bytes;
}

static bool replies_are_valid(const uint8_t *at, uint32_t bytes, uint32_t count) {
    uint32_t position = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t left = bytes - position;
        if (left < ENTRY_REPLY_HEADER_BYTES)
            return false;
        const uint32_t length = bytes_get_u32(at + position);
        if (length == 0 || length > left - ENTRY_REPLY_HEADER_BYTES ||
            entry_stride_bytes(length) > left - ENTRY_REPLY_HEADER_BYTES ||
            bytes_get_u32(at + position + 4) != 0)
            return false;
        position += ENTRY_REPLY_HEADER_BYTES + entry_stride_bytes(length);
    }
    return position == bytes;
}

bool entry_transaction_check(const uint8_t *lengths, const uint8_t *arguments,
                             uint32_t (*record_bytes)(const uint8_t *record,
                                                      size_t available_bytes)) {
    const uint32_t watch_bytes = bytes_get_u32(lengths + 4);
    const uint32_t command_bytes = bytes_get_u32(lengths + 8);
    const uint32_t reply_bytes = bytes_get_u32(lengths + 12);
    if (bytes_get_u32(lengths) != ENTRY_TRANSACTION_HEAD_BYTES ||
        watch_bytes % ENTRY_ALIGN_BYTES != 0 || command_bytes % ENTRY_ALIGN_BYTES != 0)
        return false;
    const uint8_t *watches = arguments + ENTRY_TRANSACTION_HEAD_BYTES;
    const uint8_t *commands = watches + watch_bytes;
    uint32_t known = 0;
    return watches_are_valid(watches, watch_bytes, bytes_get_u32(arguments + 4)) &&
           commands_are_valid(commands, command_bytes, bytes_get_u32(arguments), record_bytes,
                              &known) &&
           replies_are_valid(commands + command_bytes, reply_bytes, known);
}
