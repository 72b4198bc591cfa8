/*
 * What comes to parse, and whose turn it is; see stages/parse_lines.h.
 *
 * Happy path: what has come is lined up, and one batch after the other is taken.
 */

#include "base/assert.h"
#include "stages/parse_internal.h"

void parse_intake(struct parse_shard *shard, uint32_t budget) {
    uint32_t ids[PARSE_TAKE_MAX];
    uint32_t count =
        ring_u32_dequeue(shard->from_read, ids, budget < PARSE_TAKE_MAX ? budget : PARSE_TAKE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct batch *batch = pipeline_batch(shard->pipeline, ids[i]);
        uint32_t slot = batch->connection.slot;
        /* A new connection has left nothing; the slot's last one may have, if it was broken. */
        uint32_t unparsed_bytes =
            batch->flags & BATCH_OPEN ? 0 : shard->connections[slot].unparsed_bytes;
        parse_lines_add(shard->lines, slot, ids[i], batch->length_bytes, unparsed_bytes);
    }
}

bool parse_is_waiting(const struct parse_shard *shard) {
    return parse_lines_count(shard->lines) > 0;
}

struct batch *parse_next(struct parse_shard *shard) {
    if (shard->work.batch != NULL) {
        return shard->work.batch;
    }
    uint32_t id = parse_lines_take(shard->lines);
    if (id == BATCH_NO_BLOCK) {
        return NULL;
    }
    uint32_t after = parse_lines_peek(shard->lines);
    if (after != BATCH_NO_BLOCK) {
        __builtin_prefetch(pipeline_batch(shard->pipeline, after)->bytes);
    }
    return pipeline_batch(shard->pipeline, id);
}
