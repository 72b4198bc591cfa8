/*
 * The backlog of a connection that does not keep up: chunks of the arena, first in first out.
 *
 * A chunk being sent may be appended to behind the bytes in flight; it is never moved.
 */

#include <string.h>

#include "base/assert.h"
#include "stages/node_settings.h"
#include "stages/write_internal.h"

static struct write_chunk *chunk_of(const struct write_shard *shard, uint32_t block) {
    return (struct write_chunk *)(void *)arena_memory(shard->arena, block);
}

static uint8_t *chunk_bytes(struct write_chunk *chunk) {
    return (uint8_t *)(chunk + 1);
}

/* Bytes of a batch that are not sent yet. */
static uint64_t batch_left_bytes(const struct batch *batch) {
    uint64_t left = 0;
    for (uint32_t i = batch->pieces_sent; i < batch->pieces.count; i++) {
        left += batch->pieces.piece[i].length;
    }
    return left - (left > 0 ? batch->piece_sent_bytes : 0);
}

static bool chunk_add(struct write_shard *shard, struct write_connection *connection,
                      uint64_t need_bytes) {
    uint64_t bytes = need_bytes + sizeof(struct write_chunk);
    uint64_t goal = connection->backlog_bytes / 8;
    goal = goal > WRITE_CHUNK_BYTES_MIN ? goal : WRITE_CHUNK_BYTES_MIN;
    goal = goal < WRITE_CHUNK_BYTES_MAX ? goal : WRITE_CHUNK_BYTES_MAX;
    uint32_t block = arena_take(shard->arena, bytes > goal ? bytes : goal);
    if (block == BATCH_NO_BLOCK) {
        return false;
    }
    struct write_chunk *chunk = chunk_of(shard, block);
    *chunk = (struct write_chunk){.next = BATCH_NO_BLOCK,
                                  .capacity = (uint32_t)(arena_block_bytes(shard->arena, block) -
                                                         sizeof(struct write_chunk))};
    if (connection->backlog_head == BATCH_NO_BLOCK) {
        connection->backlog_head = block;
    } else {
        chunk_of(shard, connection->backlog_tail)->next = block;
    }
    connection->backlog_tail = block;
    return true;
}

/* What the connection may leave unread, if `added_bytes` more come to what all have. */
static uint64_t backlog_limit_bytes(const struct write_shard *shard, uint32_t slot,
                                    uint64_t added_bytes) {
    const struct node_options *options = shard->node->options;
    uint64_t limit_bytes = options->backlog_connection_bytes_max;
    const uint64_t all_bytes = node_figure(&shard->node->write.backlog_bytes) + added_bytes;
    const uint64_t share_bytes = options->backlog_bytes_max / WRITE_BACKLOG_SHARE;
    if (all_bytes > options->backlog_bytes_max / WRITE_BACKLOG_FREE_SHARE &&
        limit_bytes > share_bytes) {
        limit_bytes = share_bytes;
    }
    /* A glance at what validate has published, as parse's: who is no client yet gets error replies
       only, and must not fill what clients share. */
    bool authenticated = !node_password_required(shard->node) ||
                         atomic_load_relaxed_u32(&shard->node->records[slot].authenticated) != 0;
    if (!authenticated && limit_bytes > WRITE_UNAUTHENTICATED_BACKLOG_BYTES) {
        return WRITE_UNAUTHENTICATED_BACKLOG_BYTES;
    }
    return limit_bytes;
}

bool write_backlog_append(struct write_shard *shard, struct write_connection *connection,
                          const struct batch *batch) {
    uint64_t left = batch_left_bytes(batch);
    const uint32_t slot = batch->connection.slot;
    if (connection->backlog_bytes + left > backlog_limit_bytes(shard, slot, left)) {
        return false;
    }
    uint64_t room = 0;
    if (connection->backlog_tail != BATCH_NO_BLOCK) {
        struct write_chunk *tail = chunk_of(shard, connection->backlog_tail);
        room = tail->capacity - tail->length;
    }
    if (room < left && !chunk_add(shard, connection, left)) {
        return false;
    }
    struct write_chunk *chunk = chunk_of(shard, connection->backlog_tail);
    uint32_t skip = batch->piece_sent_bytes;
    for (uint32_t i = batch->pieces_sent; i < batch->pieces.count; i++) {
        const struct reply_piece *piece = &batch->pieces.piece[i];
        ASSERT(chunk->length + (piece->length - skip) <= chunk->capacity);
        memcpy(chunk_bytes(chunk) + chunk->length, piece->data + skip, piece->length - skip);
        chunk->length += piece->length - skip;
        skip = 0;
    }
    write_spend(shard, stage_bytes_units(left));
    connection->backlog_bytes += left;
    node_figure_add(&shard->node->write.backlog_bytes, left);
    return true;
}

uint32_t write_backlog_pieces(const struct write_shard *shard,
                              const struct write_connection *connection, struct iovec *pieces,
                              uint32_t *bytes) {
    uint32_t count = 0;
    *bytes = 0;
    for (uint32_t block = connection->backlog_head;
         block != BATCH_NO_BLOCK && count < IO_SEND_PIECES_MAX;) {
        struct write_chunk *chunk = chunk_of(shard, block);
        pieces[count++] = (struct iovec){.iov_base = chunk_bytes(chunk) + chunk->start,
                                         .iov_len = chunk->length - chunk->start};
        *bytes += chunk->length - chunk->start;
        block = chunk->next;
    }
    return count;
}

void write_backlog_consume(struct write_shard *shard, struct write_connection *connection,
                           uint32_t bytes) {
    ASSERT(bytes <= connection->backlog_bytes);
    connection->backlog_bytes -= bytes;
    node_figure_set(&shard->node->write.backlog_bytes,
                    node_figure(&shard->node->write.backlog_bytes) - bytes);
    while (connection->backlog_head != BATCH_NO_BLOCK) {
        struct write_chunk *chunk = chunk_of(shard, connection->backlog_head);
        uint32_t there = chunk->length - chunk->start;
        uint32_t taken = bytes < there ? bytes : there;
        chunk->start += taken;
        bytes -= taken;
        if (chunk->start < chunk->length) {
            return;
        }
        uint32_t next = chunk->next;
        arena_give(shard->arena, connection->backlog_head);
        connection->backlog_head = next;
    }
    connection->backlog_tail = BATCH_NO_BLOCK;
    ASSERT(bytes == 0 && connection->backlog_bytes == 0);
}

void write_backlog_forget(struct write_shard *shard, struct write_connection *connection) {
    if (connection->backlog_bytes > 0) {
        write_backlog_consume(shard, connection, (uint32_t)connection->backlog_bytes);
    }
}
