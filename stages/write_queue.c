/* The batches that a connection has not sent yet, and their way home.  See stages/write_internal.h.
 * Nothing can fail: rings that lead home are as long as the pool. */

#include "base/assert.h"
#include "stages/write_internal.h"

static void block_home(struct ring *ring, uint32_t *block) {
    if (*block != BATCH_NO_BLOCK) {
        uint32_t taken = ring_u32_enqueue(ring, block, 1);
        ASSERT(taken == 1); /* as long as the pool: one block a batch */
        *block = BATCH_NO_BLOCK;
    }
}

void write_batch_home(struct write_shard *shard, struct batch *batch) {
    block_home(shard->to_parse, &batch->carry_block);
    block_home(shard->to_validate, &batch->local_block);
    block_home(shard->to_apply, &batch->reply_block);
    if (batch->growth_bytes != 0) {
        node_figure_add(&shard->node->write.growth_bytes, batch->growth_bytes);
        batch->growth_bytes = 0;
    }
    for (; batch->long_classes != 0; batch->long_classes &= batch->long_classes - 1) {
        uint32_t class = (uint32_t)__builtin_ctz(batch->long_classes);
        node_figure_add(&shard->node->write.long_batches[class], 1);
    }
    struct home_item item = {.kind = HOME_BATCH, .value = batch->id};
    batch_hand_over(batch, STAGE_WRITE, STAGE_READ);
    uint32_t taken = ring_home_enqueue(shard->to_read, &item, 1);
    ASSERT(taken == 1);
}

struct batch *write_queue_pop(struct write_shard *shard, struct write_connection *connection) {
    ASSERT(connection->queue_head != BATCH_NO_BLOCK);
    struct batch *batch = pipeline_batch(shard->pipeline, connection->queue_head);
    connection->queue_head = batch->next;
    batch->next = BATCH_NO_BLOCK;
    if (connection->queue_head == BATCH_NO_BLOCK) {
        connection->queue_tail = BATCH_NO_BLOCK;
    }
    ASSERT(connection->queue_count > 0);
    connection->queue_count--;
    connection->queue_bytes -= batch->pieces.length_bytes;
    shard->held -= connection->waiting;
    return batch;
}

void write_queue_push(struct write_shard *shard, struct write_connection *connection,
                      struct batch *batch) {
    batch->next = BATCH_NO_BLOCK;
    batch->pieces_sent = 0;
    batch->piece_sent_bytes = 0;
    if (connection->queue_head == BATCH_NO_BLOCK) {
        connection->queue_head = batch->id;
    } else {
        pipeline_batch(shard->pipeline, connection->queue_tail)->next = batch->id;
    }
    connection->queue_tail = batch->id;
    connection->queue_count++;
    connection->queue_bytes += batch->pieces.length_bytes;
    shard->held += connection->waiting;
}
