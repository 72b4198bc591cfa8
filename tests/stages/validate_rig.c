/*
 * A batch goes in as parse would leave it, and comes out as replies.  Whatever the stage does that
 * the rig did not expect (no batch, a second one, a poll without work) fails the running test.
 */

#include "tests/stages/validate_rig.h"

#include "tests/cmocka_wrapper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queues/ring.h"
#include "stages/connection_commands.h"
#include "stages/pipeline.h"
#include "stages/refusal.h"
#include "stages/validate.h"
#include "wire/reply_encode.h"

/* The pipeline that the shard sees: this rig. */
struct pipeline {
    struct rig *rig;
};
static struct pipeline the_pipeline;

struct node *pipeline_node(const struct pipeline *pipeline) {
    return &pipeline->rig->node;
}

uint32_t pipeline_batch_total(const struct pipeline *pipeline) {
    (void)pipeline;
    return RIG_BATCHES;
}

struct batch *pipeline_batch(const struct pipeline *pipeline, uint32_t id) {
    assert_true(id < RIG_BATCHES);
    return &pipeline->rig->batches[id];
}

struct ring *pipeline_ring(const struct pipeline *pipeline, enum stage_id from, uint32_t from_shard,
                           enum stage_id to, uint32_t to_shard) {
    assert_int_equal(from_shard, 0);
    assert_int_equal(to_shard, 0);
    if (from == STAGE_PARSE && to == STAGE_VALIDATE) {
        return pipeline->rig->from_parse;
    }
    if (from == STAGE_VALIDATE && to == STAGE_REPLICATE) {
        return pipeline->rig->to_replicate;
    }
    if (from == STAGE_VALIDATE && to == STAGE_READ) {
        return pipeline->rig->to_read;
    }
    assert_true(from == STAGE_WRITE && to == STAGE_VALIDATE);
    return pipeline->rig->from_write;
}

static struct ring *rig_ring(const char *name, uint32_t item_bytes) {
    static struct gauge_ring gauges[4];
    static uint32_t next;
    struct ring_setup setup = {.name = name,
                               .capacity = RIG_BATCHES,
                               .item_bytes = item_bytes,
                               .sequence_first = RING_SEQUENCE_FIRST,
                               .gauge = &gauges[next++ % 4]};
    void *memory = aligned_alloc(CACHE_LINE_BYTES, ring_bytes(RIG_BATCHES, item_bytes));
    assert_non_null(memory);
    return ring_init(memory, &setup);
}

static void rig_wake(void *context) {
    struct rig *rig = context;
    rig->wakes++;
}

void rig_prepare(struct rig *rig) {
    memset(rig, 0, sizeof(*rig));
    rig->options.machine = machine_find("kv");
    assert_non_null(rig->options.machine);
    rig->options.machine_options = (struct machine_options){.value_bytes_max = 1 << 20};
    rig->options.connections_max = RIG_CONNECTIONS;
    rig->options.version = "1.2.3";
    rig->options.log.entry_bytes_max = 1 << 20;
    rig->options.map_text = "0:read+parse+validate+replicate+apply+serialize+write";
    resp_limits_default(&rig->options.resp_limits);
    rig->moment = (struct stage_moment){.monotonic_ns = 1, .wall_ms = 1700000000123};
    rig->block = BATCH_NO_BLOCK;
}

static void rig_batches_make(struct rig *rig) {
    rig->batches = calloc(RIG_BATCHES, sizeof(*rig->batches));
    assert_non_null(rig->batches);
    for (uint32_t id = 0; id < RIG_BATCHES; id++) {
        struct batch *batch = &rig->batches[id];
        batch->id = id;
        batch->bytes = malloc(RIG_INPUT_BYTES);
        batch->command_slots = calloc(BATCH_COMMANDS_MAX, sizeof(*batch->command_slots));
        batch->argument_slots = calloc(RIG_INPUT_BYTES / 6, sizeof(*batch->argument_slots));
        batch->key_hash_slots = calloc(RIG_INPUT_BYTES / 6, sizeof(*batch->key_hash_slots));
        assert_non_null(batch->bytes);
    }
}

void rig_start(struct rig *rig) {
    struct error_text error = {.text = ""};
    the_pipeline.rig = rig;
    rig->node.options = &rig->options;
    rig->node.wake_main = rig_wake;
    rig->node.wake_context = rig;
    rig->node.signals.serving = 1;
    assert_true(rig->options.connections_max >= RIG_CONNECTIONS);
    size_t records_bytes = rig->options.connections_max * sizeof(struct node_record);
    rig->node.records = aligned_alloc(CACHE_LINE_BYTES, records_bytes);
    assert_non_null(rig->node.records);
    memset(rig->node.records, 0, records_bytes);
    rig->from_parse = rig_ring("parse_validate", sizeof(uint32_t));
    rig->to_replicate = rig_ring("validate_replicate", sizeof(uint32_t));
    rig->to_read = rig_ring("validate_read", sizeof(struct home_item));
    rig->from_write = rig_ring("write_validate", sizeof(uint32_t));
    rig_batches_make(rig);
    rig->output = malloc(RIG_OUTPUT_BYTES);
    assert_non_null(rig->output);
    assert_int_equal(directory_create(&rig->directory, rig->options.machine, &error), 0);
    struct validate_options options = {.directory = rig->directory};
    struct stage_environment environment = {.pipeline = &the_pipeline, .options = &options};
    assert_int_equal(stage_validate.init(&rig->shard, &environment, &error), 0);
}

void rig_stop(struct rig *rig) {
    assert_true(stage_validate.drain(rig->shard, &rig->moment));
    stage_validate.fini(rig->shard);
    directory_destroy(rig->directory);
    for (uint32_t id = 0; id < RIG_BATCHES; id++) {
        free(rig->batches[id].bytes);
        free(rig->batches[id].command_slots);
        free(rig->batches[id].argument_slots);
        free(rig->batches[id].key_hash_slots);
    }
    free(rig->batches);
    free(rig->output);
    free(rig->from_parse);
    free(rig->to_replicate);
    free(rig->from_write);
    free(rig->to_read);
    free(rig->node.records);
}

/* ---- playing parse ------------------------------------------------------------------------- */

static void rig_command_add(struct rig *rig, struct batch *batch, uint8_t *base,
                            const struct resp_command *parsed) {
    assert_true(batch->command_count < BATCH_COMMANDS_MAX);
    struct batch_command *command = &batch->commands[batch->command_count++];
    *command = (struct batch_command){.base = base,
                                      .argument_first = batch->argument_count,
                                      .argument_count = parsed->argument_count};
    batch->argument_count += parsed->argument_count;
    uint32_t length = 0;
    const uint8_t *name = batch_argument(batch, command, 0, &length);
    directory_find(rig->directory, name, length, &command->table, &command->row);
}

static void rig_parse(struct rig *rig, struct batch *batch, const void *bytes, size_t length) {
    struct resp_parser parser = {0};
    assert_true(length <= RIG_INPUT_BYTES);
    memcpy(batch->bytes, bytes, length);
    uint8_t *at = batch->bytes;
    uint32_t left = (uint32_t)length;
    while (left > 0) {
        struct resp_command parsed;
        enum resp_result result = resp_parse(&parser, &rig->options.resp_limits, true, at, left,
                                             batch->arguments + batch->argument_count,
                                             RIG_INPUT_BYTES / 6 - batch->argument_count, &parsed);
        if (result == RESP_ERROR) {
            batch->commands[batch->command_count++] =
                (struct batch_command){.base = at,
                                       .fate = FATE_REFUSED,
                                       .refusal = REFUSAL_PROTOCOL,
                                       .row = parsed.error,
                                       .detail = parsed.error_byte};
            batch->flags |= BATCH_CLOSE_AFTER;
            return;
        }
        assert_int_equal(result, RESP_COMMAND);
        rig_command_add(rig, batch, at, &parsed);
        at += parsed.consumed_bytes;
        left -= parsed.consumed_bytes;
    }
}

/* What read publishes of a connection that was accepted. */
static void rig_record_open(struct rig *rig, uint32_t slot) {
    struct node_record *record = &rig->node.records[slot];
    record->open = 1;
    record->client_id = slot + 1;
    record->generation = rig->options.connections_max + slot;
    record->opened_ms = rig->moment.wall_ms;
    (void)snprintf(record->address, sizeof(record->address), "127.0.0.1:%u", 40000 + slot);
    (void)snprintf(record->local_address, sizeof(record->local_address), "127.0.0.1:7379");
    rig->node.read.connections++;
    if (rig->node.read.accepted <= slot) {
        rig->node.read.accepted = slot + 1;
    }
}

void rig_crowd(struct rig *rig, uint32_t count) {
    assert_true(count <= rig->options.connections_max);
    for (uint32_t slot = 0; slot < count; slot++) {
        if (rig->node.records[slot].open == 0) {
            rig_record_open(rig, slot);
        }
    }
}

static struct batch *rig_batch(struct rig *rig, uint32_t id, uint32_t slot, uint8_t flags) {
    struct batch *batch = &rig->batches[id];
    if (rig->generations[slot] == 0) {
        rig->generations[slot] = rig->options.connections_max + slot + 1000 * rig->opened++;
        flags |= BATCH_OPEN;
        if (rig->node.records[slot].open == 0) {
            rig_record_open(rig, slot);
        }
        rig->node.records[slot].generation = rig->generations[slot];
    }
    batch->owner = STAGE_VALIDATE;
    batch->flags = flags;
    batch->connection = (struct batch_connection){slot, rig->generations[slot]};
    batch->commands = batch->command_slots;
    batch->arguments = batch->argument_slots;
    batch->key_hashes = batch->key_hash_slots;
    batch->command_count = batch->argument_count = batch->key_count = 0;
    return batch;
}

/* ---- playing everybody behind --------------------------------------------------------------- */

static void rig_show(struct rig *rig, const void *bytes, size_t length) {
    assert_true(rig->output_bytes + length < RIG_OUTPUT_BYTES);
    memcpy(rig->output + rig->output_bytes, bytes, length);
    rig->output_bytes += length;
    rig->output[rig->output_bytes] = '\0';
}

static void rig_show_stream(struct rig *rig, uint8_t *stream, size_t length, uint8_t version) {
    struct reply_piece table[64];
    struct reply_pieces pieces;
    assert_true(version == 2 || version == 3);
    reply_pieces_begin(&pieces, table, 64);
    assert_true(reply_encode_in_place(stream, length, version, &pieces));
    for (uint32_t i = 0; i < pieces.count; i++) {
        rig_show(rig, pieces.piece[i].data, pieces.piece[i].length);
    }
}

static void rig_show_command(struct rig *rig, const struct batch *batch,
                             const struct batch_command *command) {
    uint8_t room[RIG_INPUT_BYTES / 256];
    struct reply_writer writer;
    if (command->silent != 0) {
        return; /* serialize leaves it out */
    }
    reply_begin(&writer, room, sizeof(room));
    switch ((enum batch_fate)command->fate) {
    case FATE_READ: rig_show(rig, "<READ>", 6); return;
    case FATE_WRITE: rig_show(rig, "<WRITE>", 7); return;
    case FATE_REFUSED: refusal_write(&writer, batch, command, rig->directory, &rig->node); break;
    case FATE_LOCAL:
        if (command->reply != NULL) {
            rig_show_stream(rig, command->reply, command->reply_bytes, command->resp_version);
            return;
        }
        connection_reply_write(&writer, batch, command);
        break;
    case FATE_PARSED:
    case FATE_UNKNOWN: fail_msg("a command was not judged");
    }
    assert_int_equal(writer.overflow_bytes, 0);
    rig_show_stream(rig, room, reply_used_bytes(&writer), command->resp_version);
}

/* One poll; the first batch that is then there, or NULL. */
static struct batch *rig_poll(struct rig *rig) {
    struct stage_result result = stage_validate.poll(rig->shard, &rig->moment, RIG_BATCHES);
    assert_false(result.blocked);
    assert_true(result.units <= STAGE_POLL_UNITS_MAX);
    uint32_t id = UINT32_MAX;
    if (ring_u32_dequeue(rig->to_replicate, &id, 1) == 1) {
        return pipeline_batch(&the_pipeline, id);
    }
    assert_true(result.work > 0); /* or nobody would poll again */
    return NULL;
}

/* Shows the replies of a batch that came out; its local block goes home at the next one. */
static void rig_show_batch(struct rig *rig, const struct batch *batch) {
    assert_int_equal(batch->owner, STAGE_REPLICATE);
    if (rig->block != BATCH_NO_BLOCK) {
        assert_int_equal(ring_u32_enqueue(rig->from_write, &rig->block, 1), 1);
    }
    rig->output_bytes = 0;
    rig->output[0] = '\0';
    for (uint32_t i = 0; i < batch->command_count; i++) {
        rig_show_command(rig, batch, &batch->commands[i]);
    }
    rig->block = batch->local_block;
    rig->flags = batch->flags;
    rig->write_count = batch->write_count;
    rig->read_count = batch->read_count;
    rig->write_entry_bytes = batch->write_entry_bytes;
}

/* Sends the batch through the stage, polling as often as it needs, and shows the replies. */
static void rig_pass(struct rig *rig, const struct batch *batch) {
    assert_int_equal(ring_u32_enqueue(rig->from_parse, &batch->id, 1), 1);
    const struct batch *done = NULL;
    for (rig->polls = 0; done == NULL; rig->polls++) {
        assert_true(rig->polls < 10000);
        done = rig_poll(rig);
    }
    assert_ptr_equal(done, batch);
    rig_show_batch(rig, done);
}

const char *rig_send(struct rig *rig, uint32_t slot, const void *bytes, size_t length) {
    struct batch *batch = rig_batch(rig, 0, slot, 0);
    rig_parse(rig, batch, bytes, length);
    rig_pass(rig, batch);
    return rig->output;
}

void rig_put(struct rig *rig, uint32_t id, uint32_t slot, const char *lines) {
    struct batch *batch = rig_batch(rig, id, slot, 0);
    rig_parse(rig, batch, lines, strlen(lines));
    assert_int_equal(ring_u32_enqueue(rig->from_parse, &id, 1), 1);
}

uint32_t rig_take(struct rig *rig) {
    const struct batch *batch = rig_poll(rig);
    if (batch == NULL) {
        return UINT32_MAX;
    }
    rig_show_batch(rig, batch);
    return batch->id;
}

const char *rig_say(struct rig *rig, uint32_t slot, const char *lines) {
    char text[4096];
    int length = snprintf(text, sizeof(text), "%s\r\n", lines);
    assert_true(length > 0 && length < (int)sizeof(text));
    return rig_send(rig, slot, text, (size_t)length);
}

void rig_end(struct rig *rig, uint32_t slot) {
    struct batch *batch = rig_batch(rig, 0, slot, BATCH_END);
    rig_pass(rig, batch);
    assert_int_equal(rig->output_bytes, 0);
    rig->generations[slot] = 0;
    rig->node.records[slot].open = 0;
    rig->node.read.connections--;
}

void rig_expect(struct rig *rig, uint32_t slot, const char *line, const char *answer) {
    const char *got = rig_say(rig, slot, line);
    if (strcmp(got, answer) != 0) {
        fail_msg("\"%s\" was answered by\n  %s\nexpected\n  %s", line, got, answer);
    }
}
