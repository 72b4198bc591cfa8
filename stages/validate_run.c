/*
 * The commands about connections and the server, which run in validate; their long answers.
 *
 * Happy path: a command has its effect, and its reply is written or composed (stages/
 * connection_run.h).  What is composed is made in slices, in the place where it will be sent from.
 *
 * Failure modes: no memory for a reply: the command is refused as overload.
 */

#include "base/assert.h"
#include "stages/node_record.h"
#include "stages/node_settings.h"
#include "stages/validate_internal.h"

/* Drops the commands from `command_count` on: they take no effect and get no reply. */
static void batch_cut(struct batch *batch, uint32_t command_count) {
    ASSERT(command_count <= batch->command_count);
    batch->command_count = command_count;
    batch->flags |= BATCH_CLOSE_AFTER;
}

/* What others may see of the protocol state. */
void validate_publish(struct validate_shard *shard, uint32_t slot,
                      const struct connection *connection) {
    struct node_record *record = &shard->node->records[slot];
    uint8_t reads = connection_reads(connection, node_reads(shard->node));
    atomic_store_relaxed_u32(&record->reads, reads);
    atomic_store_relaxed_u32(&record->authenticated, connection->state == CONNECTION_READY);
    atomic_store_relaxed_u32(&record->resp_version, connection->resp_version);
    atomic_store_relaxed_u32(&record->accepts_replica, connection->accepts_replica);
    atomic_store_relaxed_u32(&record->no_evict, connection->no_evict);
    atomic_store_relaxed_u32(&record->no_touch, connection->no_touch);
}

/* Begins the text, composed where it will be sent from: nothing of it is copied.  False, and the
 * command is refused, if there is no memory. */
static bool compose_begin(struct validate_shard *shard) {
    struct validate_work *work = &shard->work;
    struct connection_run *run = &work->run;
    struct reply_writer *writer = &work->reply;
    size_t text_bytes = connection_text_bytes(run);
    if (run->batch->local_block == BATCH_NO_BLOCK ||
        (size_t)(writer->end - writer->position) < text_bytes + REPLY_VERBATIM_EXTRA_BYTES) {
        if (!validate_local_grow(shard, run->batch, text_bytes + REPLY_VERBATIM_EXTRA_BYTES)) {
            validate_refuse(shard, run->command, REFUSAL_OVERLOAD);
            return false;
        }
    }
    work->mark = reply_mark(writer);
    if (!connection_streams(run)) {
        run->text = (struct connection_text){.begin = reply_verbatim_reserve(writer, text_bytes),
                                             .capacity = text_bytes};
        ASSERT(run->text.begin != NULL);
    }
    shard->composing_count++;
    return true;
}

/* Composes a slice, if the command has or gets a place; true when the reply is there. */
bool validate_compose(struct validate_shard *shard, const struct stage_moment *moment) {
    struct validate_work *work = &shard->work;
    struct connection_run *run = &work->run;
    run->moment = moment;
    if (work->slices == SLICES_PLACE) {
        if (shard->composing_count == VALIDATE_COMPOSING_MAX) {
            return false;
        }
        work->slices = compose_begin(shard) ? SLICES_COMPOSE : SLICES_NONE;
        if (work->slices == SLICES_NONE) {
            return true;
        }
    }
    shard->composed = true;
    validate_spend(shard, CONNECTION_SLICE_UNITS);
    run->writer = connection_streams(run) ? &work->reply : NULL;
    if (!connection_compose(run)) {
        return false;
    }
    ASSERT(shard->composing_count > 0);
    shard->composing_count--;
    if (!connection_streams(run)) {
        reply_verbatim_commit(&work->reply, "txt", run->text.used);
    }
    ASSERT(work->reply.overflow_bytes == 0);
    uint64_t took_us = (moment->monotonic_ns - work->begin_ns) / 1000;
    run->command->local_us = took_us < UINT32_MAX ? (uint32_t)took_us : UINT32_MAX;
    validate_local_answer(shard, run->command, work->mark);
    validate_local_shrink(shard, run->batch);
    work->slices = SLICES_NONE;
    if (run->connection->state == CONNECTION_CLOSING) { /* it has killed itself */
        batch_cut(run->batch, work->command + 1);
    }
    return true;
}

/* Runs commands[work.command], which is allowed now. */
void validate_run(struct validate_shard *shard, struct connection *connection,
                  struct batch_command *command, const struct stage_moment *moment) {
    struct connection_run run = {.node = shard->node,
                                 .directory = shard->directory,
                                 .moment = moment,
                                 .connection = connection,
                                 .to_read = shard->to_read,
                                 .batch = shard->work.batch,
                                 .command = command};
    enum connection_step step = connection_effect(&run);
    command->fate = FATE_LOCAL;
    validate_spend(shard, run.units);
    switch (step) {
    case CONNECTION_CANNED: break;
    case CONNECTION_WRITES: validate_local_write(shard, &run); break;
    case CONNECTION_COMPOSES:
        shard->work.run = run;
        shard->work.slices = SLICES_PLACE;
        shard->work.begin_ns = moment->monotonic_ns;
        break;
    case CONNECTION_SILENT:
        ASSERT(connection->state == CONNECTION_CLOSING);
        batch_cut(run.batch, shard->work.command);
        break;
    }
    validate_publish(shard, run.batch->connection.slot, connection);
    if (connection->state == CONNECTION_CLOSING && step != CONNECTION_SILENT) {
        batch_cut(run.batch, shard->work.command + 1);
    }
}
