/*
 * Reply room of a batch: its own, then one block of the arena that grows.
 *
 * Streams written before a block was taken stay where they are; when a block is exchanged for a
 * larger one its streams move, and the commands' pointers with them.
 */

#include <string.h>

#include "base/assert.h"
#include "stages/apply_internal.h"
#include "stages/connection_commands.h"
#include "stages/refusal.h"

void apply_replies_begin(struct batch *batch) {
    ASSERT(batch->reply_block == BATCH_NO_BLOCK);
    reply_begin(&batch->reply, batch->reply_room, BATCH_REPLY_BYTES);
}

/* Streams that lie in [from, from + length) now lie at `to`. */
static void streams_move(struct apply_shard *shard, struct batch *batch, const uint8_t *from,
                         size_t length, uint8_t *to) {
    for (uint32_t i = 0; i < batch->command_count; i++) {
        uint8_t *reply = batch->commands[i].reply;
        if (reply != NULL && reply >= from && reply < from + length) {
            batch->commands[i].reply = to + (reply - from);
        }
    }
    struct machine_run *run = &shard->work.run;
    for (uint32_t i = 0; shard->work.running && i < run->next; i++) {
        uint8_t *reply = run->operations[i].reply;
        if (reply != NULL && reply >= from && reply < from + length) {
            run->operations[i].reply = to + (reply - from);
        }
    }
}

bool apply_replies_grow(struct apply_shard *shard, struct batch *batch, uint64_t need_bytes) {
    struct reply_writer *writer = &batch->reply;
    size_t used = reply_used_bytes(writer);
    bool in_block = batch->reply_block != BATCH_NO_BLOCK;
    size_t kept = in_block ? used : 0;
    uint64_t wanted = kept + need_bytes;
    uint64_t goal = in_block ? 2 * arena_block_bytes(shard->arena, batch->reply_block)
                             : (uint64_t)APPLY_REPLY_BLOCK_BYTES;
    uint32_t block = arena_take(shard->arena, goal > wanted ? goal : wanted);
    if (block == BATCH_NO_BLOCK && goal > wanted) {
        block = arena_take(shard->arena, wanted);
    }
    if (block == BATCH_NO_BLOCK) {
        return false;
    }
    uint8_t *memory = arena_memory(shard->arena, block);
    if (in_block) {
        memcpy(memory, writer->begin, kept);
        streams_move(shard, batch, writer->begin, kept, memory);
        arena_give(shard->arena, batch->reply_block);
    }
    batch->reply_block = block;
    reply_begin(writer, memory, arena_block_bytes(shard->arena, block));
    writer->position += kept;
    return true;
}

static void canned_write(struct apply_shard *shard, struct batch *batch,
                         struct batch_command *command) {
    if (command->fate == FATE_LOCAL) {
        connection_reply_write(&batch->reply, batch, command);
    } else if (command->fate == FATE_UNKNOWN) {
        static const char text[] = "UNKNOWN the node lost its leadership or its disk while this "
                                   "command was under way; it may or may not have been applied";
        reply_error(&batch->reply, text, sizeof(text) - 1);
    } else {
        ASSERT(command->fate == FATE_REFUSED);
        refusal_write(&batch->reply, batch, command, shard->directory);
    }
}

void apply_reply_canned(struct apply_shard *shard, struct batch *batch,
                        struct batch_command *command) {
    if (command->fate == FATE_LOCAL && command->reply != NULL) {
        return; /* validate wrote it, in its own block */
    }
    for (;;) {
        struct reply_mark mark = reply_mark(&batch->reply);
        ASSERT(mark.overflow_bytes == 0);
        canned_write(shard, batch, command);
        uint64_t overflow_bytes = batch->reply.overflow_bytes;
        if (overflow_bytes == 0) {
            command->reply = mark.position;
            command->reply_bytes = (uint32_t)(batch->reply.position - mark.position);
            return;
        }
        reply_rewind(&batch->reply, mark);
        if (!apply_replies_grow(shard, batch,
                                (uint64_t)(batch->reply.end - mark.position) + overflow_bytes)) {
            batch->flags |= BATCH_ABORT;
            command->reply = NULL;
            command->reply_bytes = 0;
            return;
        }
    }
}
