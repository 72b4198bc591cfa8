/*
 * The replies that validate makes, and their blocks.  See stages/validate.c.
 */

#include "base/assert.h"
#include "stages/validate_internal.h"

bool validate_local_grow(struct validate_shard *shard, struct batch *batch, uint64_t need_bytes) {
    uint64_t wanted = need_bytes + sizeof(struct validate_block);
    uint64_t goal = VALIDATE_BLOCK_BYTES;
    if (batch->local_block != BATCH_NO_BLOCK) {
        goal = 2 * arena_block_bytes(shard->arena, batch->local_block);
        goal = goal < VALIDATE_BLOCK_BYTES_MAX ? goal : VALIDATE_BLOCK_BYTES_MAX;
    }
    uint32_t block = arena_take(shard->arena, goal > wanted ? goal : wanted);
    if (block == BATCH_NO_BLOCK) {
        return false;
    }
    struct validate_block *head = (void *)arena_memory(shard->arena, block);
    *head = (struct validate_block){.next = batch->local_block};
    batch->local_block = block;
    reply_begin(&shard->work.reply, (uint8_t *)(head + 1),
                arena_block_bytes(shard->arena, block) - sizeof(*head));
    return true;
}

void validate_local_shrink(struct validate_shard *shard, struct batch *batch) {
    struct reply_writer *writer = &shard->work.reply;
    ASSERT(batch->local_block != BATCH_NO_BLOCK);
    if (arena_block_bytes(shard->arena, batch->local_block) <= VALIDATE_BLOCK_BYTES_MAX) {
        return;
    }
    uint8_t *begin = arena_memory(shard->arena, batch->local_block);
    arena_shrink(shard->arena, batch->local_block, (uint64_t)(writer->position - begin));
    writer->end = begin + arena_block_bytes(shard->arena, batch->local_block);
}

/* Gives back the blocks of a batch that is home, of which `block` is the newest. */
void validate_local_give(struct validate_shard *shard, uint32_t block) {
    while (block != BATCH_NO_BLOCK) {
        const struct validate_block *head = (void *)arena_memory(shard->arena, block);
        uint32_t next = head->next;
        arena_give(shard->arena, block);
        block = next;
    }
}

/* Makes the stream written since `mark` the command's reply. */
void validate_local_answer(struct validate_shard *shard, struct batch_command *command,
                           struct reply_mark mark) {
    command->fate = FATE_LOCAL;
    command->reply = mark.position;
    command->reply_bytes = (uint32_t)(shard->work.reply.position - mark.position);
    ASSERT(command->reply_bytes > 0);
}

void validate_refuse(struct validate_shard *shard, struct batch_command *command,
                     enum batch_refusal refusal) {
    command->fate = FATE_REFUSED;
    command->refusal = (uint8_t)refusal;
    node_figure_add(&shard->node->validate.refused, 1);
}

/* Writes the reply of a command about the connection, into as much room as it needs. */
void validate_local_write(struct validate_shard *shard, struct connection_run *run) {
    struct reply_writer *writer = &shard->work.reply;
    if (run->batch->local_block == BATCH_NO_BLOCK &&
        !validate_local_grow(shard, run->batch, VALIDATE_BLOCK_BYTES)) {
        validate_refuse(shard, run->command, REFUSAL_OVERLOAD);
        return;
    }
    for (;;) {
        struct reply_mark mark = reply_mark(writer);
        connection_write(run, writer);
        uint64_t overflow_bytes = writer->overflow_bytes;
        if (overflow_bytes == 0) {
            validate_local_answer(shard, run->command, mark);
            validate_spend(shard, validate_reply_units(run->command->reply_bytes));
            return;
        }
        uint64_t need = (uint64_t)(writer->position - mark.position) + overflow_bytes;
        reply_rewind(writer, mark);
        if (!validate_local_grow(shard, run->batch, need)) {
            validate_refuse(shard, run->command, REFUSAL_OVERLOAD);
            return;
        }
    }
}

bool validate_subcommand(const struct batch *batch, struct batch_command *command) {
    if ((connection_commands[command->row].flags & CONNECTION_CONTAINER) == 0 ||
        command->argument_count < 2) {
        return true;
    }
    uint32_t length = 0;
    const uint8_t *name = batch_argument(batch, command, 1, &length);
    uint16_t row = connection_subcommand_find(command->row, name, length);
    if (row == CONNECTION_ROW_COUNT) {
        return false;
    }
    command->row = row;
    return true;
}
