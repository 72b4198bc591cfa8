/*
 * Reply room of a batch: its own, then blocks of the arena, each larger than the one before.
 *
 * What was written stays where it is: only the reply that did not fit is written again, by whoever
 * wrote it.  The blocks of a batch are a list, newest first; the batch carries the newest one's
 * number, and the list comes home with it.
 *
 * The arena is shared.  A connection that holds much of it is refused more before the others are;
 * and when somebody who is entitled to some finds none all the same, write is asked to cut off the
 * one who holds most and does not read.
 */

#include "base/assert.h"
#include "stages/apply_internal.h"
#include "stages/node_settings.h"
#include "stages/refusal.h"
#include "stages/slowlog.h"

void apply_replies_begin(struct batch *batch) {
    ASSERT(batch->reply_block == BATCH_NO_BLOCK);
    reply_begin(&batch->reply, batch->reply_room, BATCH_REPLY_BYTES);
}

/* Whether the connection may take more of the arena than it has.  So nobody who leaves large
 * replies unread can take it all. */
static bool is_entitled(const struct apply_shard *shard, uint32_t slot) {
    uint64_t limit_bytes = shard->node->options->reply_bytes_max;
    return arena_used_bytes(shard->arena) <= limit_bytes / 2 ||
           shard->reply_held_bytes[slot] < limit_bytes / APPLY_REPLY_SHARE;
}

/* A block for the connection; BATCH_NO_BLOCK if there is none, or none for it. */
static uint32_t block_take(struct apply_shard *shard, uint32_t slot, uint64_t goal,
                           uint64_t wanted) {
    struct node *node = shard->node;
    if (!is_entitled(shard, slot)) {
        node_figure_add(&node->apply.reply_refused, 1);
        return BATCH_NO_BLOCK;
    }
    uint32_t block = arena_take(shard->arena, goal > wanted ? goal : wanted);
    if (block == BATCH_NO_BLOCK && goal > wanted) {
        block = arena_take(shard->arena, wanted);
    }
    if (block == BATCH_NO_BLOCK) {
        node_figure_add(&node->apply.reply_refused, 1);
        atomic_store_relaxed_u32(&node->signals.reply_wanted, node->signals.reply_wanted + 1);
        return BATCH_NO_BLOCK;
    }
    shard->reply_held_bytes[slot] += arena_block_bytes(shard->arena, block);
    node_figure_set(&node->apply.reply_bytes, arena_used_bytes(shard->arena));
    return block;
}

bool apply_replies_grow(struct apply_shard *shard, struct batch *batch, uint64_t need_bytes) {
    uint64_t wanted = need_bytes + sizeof(struct apply_reply_block);
    uint64_t goal = APPLY_REPLY_BLOCK_BYTES;
    if (batch->reply_block != BATCH_NO_BLOCK) {
        goal = 2 * arena_block_bytes(shard->arena, batch->reply_block);
        goal = goal < APPLY_REPLY_BLOCK_BYTES_MAX ? goal : APPLY_REPLY_BLOCK_BYTES_MAX;
    }
    uint32_t block = block_take(shard, batch->connection.slot, goal, wanted);
    if (block == BATCH_NO_BLOCK) {
        return false;
    }
    struct apply_reply_block *head = (void *)arena_memory(shard->arena, block);
    *head = (struct apply_reply_block){.next = batch->reply_block, .slot = batch->connection.slot};
    batch->reply_block = block;
    reply_begin(&batch->reply, (uint8_t *)(head + 1),
                arena_block_bytes(shard->arena, block) - sizeof(*head));
    return true;
}

void apply_replies_give(struct apply_shard *shard, uint32_t block) {
    while (block != BATCH_NO_BLOCK) {
        const struct apply_reply_block *head = (void *)arena_memory(shard->arena, block);
        uint32_t next = head->next;
        uint64_t bytes = arena_block_bytes(shard->arena, block);
        ASSERT(shard->reply_held_bytes[head->slot] >= bytes);
        shard->reply_held_bytes[head->slot] -= bytes;
        arena_give(shard->arena, block);
        block = next;
    }
    node_figure_set(&shard->node->apply.reply_bytes, arena_used_bytes(shard->arena));
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
        refusal_write(&batch->reply, batch, command, shard->directory, shard->node);
    }
}

/* Notes a command that validate has executed, if it took long. */
static void local_slow(struct apply_shard *shard, const struct batch *batch,
                       const struct batch_command *command) {
    uint64_t slow_from = node_slow_from(shard->node);
    uint64_t took_us = command->table == TABLE_CONNECTION ? command->local_us : 0;
    if (slow_from != 0 && took_us >= slow_from - 1 && command->argument_count > 0 &&
        (batch->flags & BATCH_WAITING) == 0) {
        slowlog_note(shard->node, batch, command, took_us);
    }
}

void apply_reply_canned(struct apply_shard *shard, struct batch *batch,
                        struct batch_command *command) {
    if (command->fate == FATE_LOCAL) {
        local_slow(shard, batch, command);
    }
    if (command->fate == FATE_LOCAL && command->reply != NULL) {
        return; /* validate wrote it, in its own block */
    }
    if ((batch->flags & BATCH_WAITING) != 0 && connection_waits(command)) {
        ASSERT(command->reply == NULL);
        return; /* another batch will bear the answer */
    }
    for (;;) {
        struct reply_mark mark = reply_mark(&batch->reply);
        ASSERT(mark.overflow_bytes == 0);
        canned_write(shard, batch, command);
        if (batch->reply.overflow_bytes == 0) {
            command->reply = mark.position;
            command->reply_bytes = (uint32_t)(batch->reply.position - mark.position);
            return;
        }
        uint64_t need_bytes =
            (uint64_t)(batch->reply.position - mark.position) + batch->reply.overflow_bytes;
        reply_rewind(&batch->reply, mark);
        if (!apply_replies_grow(shard, batch, need_bytes)) {
            batch->flags |= BATCH_ABORT;
            command->reply = NULL;
            command->reply_bytes = 0;
            return;
        }
    }
}
