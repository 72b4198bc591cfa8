/*
 * The serialize stage: neutral replies become RESP where they stand.
 *
 * Every command's stream is encoded in the protocol that validate stamped on it and added to the
 * batch's list of pieces, in the commands' order.  The list cannot be too short: at each command
 * its capacity is cut so that one slot is left for every command behind it, and a stream needs no
 * more than one (a large value that would like another is moved instead).
 *
 * A long reply (KEYS, MGET of many) is encoded in slices: its batch stays the shard's present work,
 * and those behind it wait.
 *
 * A command that is to get no reply (CLIENT REPLY) has one all the same, which is left out here.
 *
 * Nothing can fail here.
 */

#include <stdlib.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "stages/pipeline.h"
#include "stages/stage.h"

enum { SERIALIZE_TAKE_MAX = 64 };

struct serialize_shard {
    struct pipeline *pipeline;
    struct ring *from_apply;
    struct ring *to_write;

    /* Batches taken and not yet handed on: [next, count). */
    uint32_t ids[SERIALIZE_TAKE_MAX];
    uint32_t ids_next;
    uint32_t ids_count;
    /* Of ids[ids_next], once it is begun: the next command, and the place in its stream. */
    bool begun;
    uint32_t command;
    struct reply_encode_place place;
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

/* Exchanges the last two replies of a batch (a planted defect). */
static void reorder(struct batch *batch) {
    if (batch->command_count < 2) {
        return;
    }
    struct batch_command *last = &batch->commands[batch->command_count - 1];
    struct batch_command *other = last - 1;
    uint8_t *reply = last->reply;
    uint32_t reply_bytes = last->reply_bytes;
    if (reply == NULL || other->reply == NULL) {
        return;
    }
    last->reply = other->reply;
    last->reply_bytes = other->reply_bytes;
    other->reply = reply;
    other->reply_bytes = reply_bytes;
}

/* Encodes on; true when the batch is complete, false when the units are spent before. */
static bool serialize_batch(struct serialize_shard *shard, struct batch *batch, uint32_t *units) {
    if (!shard->begun) {
        reply_pieces_begin(&batch->pieces, batch->piece_slots, BATCH_PIECES_MAX);
        shard->begun = true;
        shard->command = 0;
        if (MUTANT_IS(REORDERS_REPLIES)) {
            reorder(batch);
        }
        shard->place = (struct reply_encode_place){0};
    }
    size_t budget_bytes = (size_t)*units * STAGE_UNIT_BYTES;
    bool complete = true;
    while (shard->command < batch->command_count) {
        struct batch_command *command = &batch->commands[shard->command];
        if (budget_bytes == 0) {
            complete = false;
            break;
        }
        if (command->reply != NULL && command->silent == 0) {
            batch->pieces.capacity = BATCH_PIECES_MAX - (batch->command_count - shard->command - 1);
            enum resp_version version =
                command->resp_version == 3 ? RESP_VERSION_3 : RESP_VERSION_2;
            enum reply_encode_result result =
                reply_encode_slice(command->reply, command->reply_bytes, version, &batch->pieces,
                                   &shard->place, &budget_bytes);
            ASSERT(result != REPLY_ENCODE_FULL);
            if (result == REPLY_ENCODE_MORE) {
                continue; /* the budget is spent */
            }
            shard->place = (struct reply_encode_place){0};
        }
        shard->command++;
    }
    *units = (uint32_t)(budget_bytes / STAGE_UNIT_BYTES);
    shard->begun = !complete;
    if (complete && batch->pieces.length_bytes > BATCH_LONG_REPLIES_BYTES) {
        struct node *node = pipeline_node(shard->pipeline);
        uint32_t *long_batches = &node->records[batch->connection.slot].long_batches;
        atomic_store_relaxed_u32(long_batches, *long_batches + 1);
    }
    return complete;
}

/* Takes batches if none are left; returns whether there is one. */
static bool serialize_intake(struct serialize_shard *shard, uint32_t budget) {
    if (shard->ids_next == shard->ids_count) {
        shard->ids_next = 0;
        shard->ids_count =
            ring_u32_dequeue(shard->from_apply, shard->ids,
                             budget < SERIALIZE_TAKE_MAX ? budget : SERIALIZE_TAKE_MAX);
    }
    return shard->ids_next < shard->ids_count;
}

static struct stage_result serialize_poll(void *state, const struct stage_moment *moment,
                                          uint32_t budget) {
    struct serialize_shard *shard = state;
    (void)moment;
    if (!serialize_intake(shard, budget)) {
        return (struct stage_result){0};
    }
    uint32_t units = STAGE_POLL_UNITS;
    uint32_t first = shard->ids_next;
    while (shard->ids_next < shard->ids_count && units > 0) {
        struct batch *batch = pipeline_batch(shard->pipeline, shard->ids[shard->ids_next]);
        if (!serialize_batch(shard, batch, &units)) {
            break;
        }
        batch_hand_over(batch, STAGE_SERIALIZE, STAGE_WRITE);
        shard->ids_next++;
    }
    uint32_t count = shard->ids_next - first;
    uint32_t taken = ring_u32_enqueue(shard->to_write, shard->ids + first, count);
    ASSERT(taken == count); /* as long as the pool */
    return (struct stage_result){.work = count > 0 ? count : 1, .units = STAGE_POLL_UNITS - units};
}

static bool serialize_drain(void *state, const struct stage_moment *moment) {
    struct serialize_shard *shard = state;
    (void)moment;
    return shard->ids_next == shard->ids_count && ring_ready(shard->from_apply, 1) == 0;
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
