/*
 * A batch whose writes are too many bytes for one poll becomes an entry in slices.
 *
 * Happy path: the entry's place in the log's memory is reserved; command by command its key hashes,
 * lengths and bytes are written there, then it is sealed and its sectors are summed; at the end it
 * is appended, as if that had happened at once.  Meanwhile no other batch is taken and no entry of
 * the node's own is appended: what comes behind waits here.
 *
 * Failure modes: the log fails, or leadership is lost: nothing was appended, and the writes are
 * refused.
 */

#include "base/assert.h"
#include "stages/connection_commands.h"
#include "stages/once.h"
#include "stages/replicate_internal.h"

enum {
    /* Reading what was just written costs less than writing it: units of bytes chained, summed. */
    ENCODE_SEAL_BYTES = 4 * STAGE_UNIT_BYTES,
    ENCODE_KEYS_SLICE = 256, /* key hashes copied in one go */
};

void replicate_spend(struct replicate_shard *shard, uint32_t units) {
    shard->units -= (int32_t)units;
}

void replicate_encode_begin(struct replicate_shard *shard, struct batch *batch, uint8_t *entry,
                            const struct entry_header *header) {
    ASSERT(shard->encode.batch == NULL);
    log_append_begin(shard->log, header);
    shard->encode = (struct replicate_encode){.batch = batch,
                                              .term = header->term,
                                              .position = entry + ENTRY_HEADER_BYTES,
                                              .end = entry + header->length_bytes};
}

/* Copies the next key hashes; true when all are there. */
static bool encode_keys(struct replicate_shard *shard, const struct batch_command *command) {
    struct replicate_encode *encode = &shard->encode;
    const uint64_t *hashes = encode->batch->key_hashes + command->key_first;
    for (uint32_t i = 0; i < ENCODE_KEYS_SLICE && encode->key < command->key_count; i++) {
        entry_command_key(&encode->writer, hashes[encode->key++]);
    }
    replicate_spend(shard, ENCODE_KEYS_SLICE / 4);
    return encode->key == command->key_count;
}

/* Copies the next slice of an argument; true when it is there. */
static bool encode_argument(struct replicate_shard *shard, const struct batch_command *command) {
    struct replicate_encode *encode = &shard->encode;
    uint32_t length_bytes;
    const uint8_t *data =
        batch_record_argument(encode->batch, command, encode->argument, &length_bytes);
    if (encode->argument_bytes == 0) {
        entry_command_argument(&encode->writer, length_bytes);
    }
    uint32_t left = length_bytes - encode->argument_bytes;
    uint32_t slice = left < STAGE_SLICE_BYTES ? left : (uint32_t)STAGE_SLICE_BYTES;
    entry_command_data(&encode->writer, data + encode->argument_bytes, slice);
    encode->argument_bytes += slice;
    replicate_spend(shard, 1 + stage_bytes_units(slice));
    return encode->argument_bytes == length_bytes;
}

/* Begins a write's record. */
static void encode_open(struct replicate_shard *shard, const struct batch_command *command) {
    struct replicate_encode *encode = &shard->encode;
    const struct machine_operations *machine = shard->node->options->machine;
    ASSERT(!encode->open);
    encode->open = true;
    encode->key = 0;
    encode->argument = 0;
    encode->argument_bytes = 0;
    if (command->once == BATCH_ONCE_NONE) {
        encode->argument_count = batch_record_argument_count(command);
        entry_command_begin(&encode->writer, encode->position, batch_record_id(machine, command),
                            encode->argument_count, command->key_count);
        return;
    }
    struct once_record record = once_record(encode->batch, command, machine);
    encode->argument_count = record.argument_count;
    entry_command_begin_session(&encode->writer, encode->position, record.id, record.session,
                                record.sequence, record.argument_count, command->key_count);
}

/* One step at a write; true when its record is complete. */
static bool encode_command(struct replicate_shard *shard, const struct batch_command *command) {
    struct replicate_encode *encode = &shard->encode;
    if (!encode->open) {
        encode_open(shard, command);
    }
    if (encode->key < command->key_count && !encode_keys(shard, command)) {
        return false;
    }
    if (encode->argument < encode->argument_count) {
        if (encode_argument(shard, command)) {
            encode->argument++;
            encode->argument_bytes = 0;
        }
        return false;
    }
    encode->position += entry_command_end(&encode->writer);
    encode->open = false;
    return true;
}

/* Encodes on; false if the units are spent before all writes of the batch are there. */
static bool encode_commands(struct replicate_shard *shard) {
    struct replicate_encode *encode = &shard->encode;
    while (encode->command < encode->batch->command_count) {
        const struct batch_command *command = &encode->batch->commands[encode->command];
        if (command->fate != FATE_WRITE || encode_command(shard, command)) {
            encode->command++;
            continue;
        }
        if (shard->units <= 0) {
            return false;
        }
    }
    ASSERT(encode->position == encode->end);
    return true;
}

bool replicate_encode_on(struct replicate_shard *shard) {
    ASSERT(shard->encode.batch != NULL);
    if (!encode_commands(shard)) {
        return false;
    }
    while (!log_append_slice(shard->log, STAGE_SLICE_BYTES)) {
        replicate_spend(shard, STAGE_SLICE_BYTES / ENCODE_SEAL_BYTES);
        if (shard->units <= 0) {
            return false;
        }
    }
    return true;
}
