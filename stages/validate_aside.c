/*
 * Batches put aside while a long text is composed, so that those of others pass.
 *
 * Happy path: a batch comes to CLIENT LIST, gets a place among those who compose, and its text is
 * not complete after a slice.  It goes to the end of `composing`, from whose front each poll takes
 * up one batch for a slice.  With its text complete it is judged to its end like any other.  What
 * arrives of its connection meanwhile stands in line behind it, and is judged after it.
 *
 *     present work ──text not complete──► composing ──its turn──► present work
 *          └────────no place is free────► waiting ──a place is free──┘
 *
 * Failure modes: none.  The queues are links in a table with an entry for each batch, and a batch
 * is in one of them at most.
 */

#include <stdlib.h>

#include "base/assert.h"
#include "stages/validate_internal.h"

static const struct validate_queue queue_empty = {BATCH_NO_BLOCK, BATCH_NO_BLOCK};

static bool queue_is_empty(const struct validate_queue *queue) {
    return queue->first == BATCH_NO_BLOCK;
}

static void queue_push(struct validate_shard *shard, struct validate_queue *queue, uint32_t id) {
    shard->asides[id].next = BATCH_NO_BLOCK;
    if (queue_is_empty(queue)) {
        queue->first = id;
    } else {
        shard->asides[queue->last].next = id;
    }
    queue->last = id;
}

static uint32_t queue_pop(struct validate_shard *shard, struct validate_queue *queue) {
    uint32_t id = queue->first;
    ASSERT(id != BATCH_NO_BLOCK);
    queue->first = shard->asides[id].next;
    return id;
}

int validate_aside_init(struct validate_shard *shard, uint32_t batches, uint32_t connections) {
    shard->asides = calloc(batches, sizeof(*shard->asides));
    shard->lines = calloc(connections, sizeof(*shard->lines));
    if (shard->asides == NULL || shard->lines == NULL) {
        validate_aside_fini(shard);
        return WEIR_ENOMEM;
    }
    shard->composing = queue_empty;
    shard->waiting = queue_empty;
    return WEIR_OK;
}

void validate_aside_fini(struct validate_shard *shard) {
    free(shard->asides);
    free(shard->lines);
    shard->asides = NULL;
    shard->lines = NULL;
}

bool validate_place_free(const struct validate_shard *shard) {
    return shard->composing_count < VALIDATE_COMPOSING_MAX && queue_is_empty(&shard->waiting);
}

void validate_put_aside(struct validate_shard *shard) {
    struct validate_work *work = &shard->work;
    struct validate_line *line = &shard->lines[work->batch->connection.slot];
    uint32_t id = work->batch->id;
    ASSERT(work->slices == SLICES_COMPOSE || work->slices == SLICES_PLACE);
    if (!line->held) {
        line->held = true;
        line->behind = queue_empty;
        shard->aside_count++;
    }
    shard->asides[id].work = *work;
    queue_push(shard, work->slices == SLICES_COMPOSE ? &shard->composing : &shard->waiting, id);
    work->batch = NULL;
    work->slices = SLICES_NONE;
}

bool validate_take_up(struct validate_shard *shard) {
    struct validate_queue *queue = &shard->composing;
    if (shard->composing_count < VALIDATE_COMPOSING_MAX && !queue_is_empty(&shard->waiting)) {
        queue = &shard->waiting;
    }
    if (queue_is_empty(queue)) {
        return false;
    }
    ASSERT(shard->work.batch == NULL);
    shard->work = shard->asides[queue_pop(shard, queue)].work;
    return true;
}

bool validate_stand_in_line(struct validate_shard *shard, const struct batch *batch) {
    struct validate_line *line = &shard->lines[batch->connection.slot];
    if (!line->held) {
        return false;
    }
    queue_push(shard, &line->behind, batch->id);
    shard->aside_count++;
    return true;
}

struct batch *validate_next_in_line(struct validate_shard *shard, const struct batch *batch) {
    struct validate_line *line = &shard->lines[batch->connection.slot];
    if (!line->held) {
        return NULL;
    }
    ASSERT(shard->aside_count > 0);
    shard->aside_count--;
    if (queue_is_empty(&line->behind)) {
        line->held = false;
        return NULL;
    }
    return pipeline_batch(shard->pipeline, queue_pop(shard, &line->behind));
}
