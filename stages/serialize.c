/*
 * The serialize stage: neutral replies become RESP where they stand.
 *
 * Every command's stream is encoded in the protocol that validate stamped on it and added to the
 * batch's list of pieces, in the commands' order.  The list cannot be too short: at each command
 * its capacity is cut so that one slot is left for every command behind it, and a stream needs no
 * more than one (a large value that would like another is moved instead).
 *
 * Nothing can fail here.
 */

#include <stdlib.h>

#include "base/assert.h"
#include "stages/pipeline.h"
#include "stages/stage.h"

enum { SERIALIZE_TAKE_MAX = 64 };

struct serialize_shard {
    struct pipeline *pipeline;
    struct ring *from_apply;
    struct ring *to_write;
};

static int serialize_init(void **out, const struct stage_environment *environment,
                          struct error_text *error) {
    struct serialize_shard *shard = calloc(1, sizeof(*shard));
    if (shard == NULL) {
        error_text_set(error, "no memory for the serialize stage");
        return WEIR_ENOMEM;
    }
    struct pipeline *pipeline = environment->pipeline;
    shard->pipeline = pipeline;
    shard->from_apply =
        pipeline_ring(pipeline, STAGE_APPLY, 0, STAGE_SERIALIZE, environment->shard);
    shard->to_write = pipeline_ring(pipeline, STAGE_SERIALIZE, environment->shard, STAGE_WRITE, 0);
    *out = shard;
    return WEIR_OK;
}

static void serialize_batch(struct batch *batch) {
    reply_pieces_begin(&batch->pieces, batch->piece_slots, BATCH_PIECES_MAX);
    for (uint32_t i = 0; i < batch->command_count; i++) {
        struct batch_command *command = &batch->commands[i];
        if (command->reply == NULL) {
            continue;
        }
        batch->pieces.capacity = BATCH_PIECES_MAX - (batch->command_count - i - 1);
        enum resp_version version = command->resp_version == 3 ? RESP_VERSION_3 : RESP_VERSION_2;
        bool fits =
            reply_encode_in_place(command->reply, command->reply_bytes, version, &batch->pieces);
        ASSERT(fits);
    }
}

static struct stage_result serialize_poll(void *state, const struct stage_moment *moment,
                                          uint32_t budget) {
    struct serialize_shard *shard = state;
    (void)moment;
    uint32_t ids[SERIALIZE_TAKE_MAX];
    uint32_t count = ring_u32_dequeue(shard->from_apply, ids,
                                      budget < SERIALIZE_TAKE_MAX ? budget : SERIALIZE_TAKE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct batch *batch = pipeline_batch(shard->pipeline, ids[i]);
        serialize_batch(batch);
        batch_hand_over(batch, STAGE_SERIALIZE, STAGE_WRITE);
    }
    if (count > 0) {
        uint32_t taken = ring_u32_enqueue(shard->to_write, ids, count);
        ASSERT(taken == count); /* as long as the pool */
    }
    return (struct stage_result){.work = count};
}

static bool serialize_drain(void *state, const struct stage_moment *moment) {
    struct serialize_shard *shard = state;
    (void)moment;
    return ring_ready(shard->from_apply, 1) == 0;
}

static void serialize_fini(void *state) {
    free(state);
}

const struct stage stage_serialize = {.id = STAGE_SERIALIZE,
                                      .name = "serialize",
                                      .init = serialize_init,
                                      .poll = serialize_poll,
                                      .drain = serialize_drain,
                                      .fini = serialize_fini};
