/*
 * The one order: which batch and which entry goes to apply when.  See stages/replicate.h.
 *
 * Happy path: a batch with writes is encoded into the log and queued; when its entry commits it is
 * handed on.  A batch without writes whose place has been handed on already goes straight through.
 *
 * Failure modes: no log memory: the batch is stalled, and with it all behind it, until apply has
 * left some.  Disk full, or writes too large for an entry: the writes are refused, whole, and the
 * batch goes on as one without writes.  Too much is uncommitted, since no quorum answers: likewise
 * (the client shall try again; those behind it, who may only want to read, do not wait).  The log
 * has failed: proposed writes are unknown.
 */

#include "base/assert.h"
#include "base/mutant.h"
#include "stages/connection_commands.h"
#include "stages/once.h"
#include "stages/replicate_internal.h"

/* A short entry's bytes cost less than other copies: the log's memory is warm. */
enum { REPLICATE_UNIT_BYTES = 4 * STAGE_UNIT_BYTES };

void batch_queue_init(struct batch_queue *queue) {
    queue->head = BATCH_NO_BLOCK;
    queue->tail = BATCH_NO_BLOCK;
}

static void queue_push(struct replicate_shard *shard, struct batch_queue *queue,
                       struct batch *batch) {
    ASSERT(batch->next == BATCH_NO_BLOCK);
    if (queue->head == BATCH_NO_BLOCK) {
        queue->head = batch->id;
    } else {
        pipeline_batch(shard->pipeline, queue->tail)->next = batch->id;
    }
    queue->tail = batch->id;
}

static struct batch *queue_pop(struct replicate_shard *shard, struct batch_queue *queue) {
    ASSERT(queue->head != BATCH_NO_BLOCK);
    struct batch *batch = pipeline_batch(shard->pipeline, queue->head);
    queue->head = batch->next;
    batch->next = BATCH_NO_BLOCK;
    if (queue->head == BATCH_NO_BLOCK) {
        queue->tail = BATCH_NO_BLOCK;
    }
    return batch;
}

static struct replicate_connection *connection_of(struct replicate_shard *shard,
                                                  const struct batch *batch) {
    struct replicate_connection *connection = &shard->connections[batch->connection.slot];
    if (connection->generation != batch->connection.generation) {
        ASSERT(!connection->wait_on); /* its end went by here */
        *connection = (struct replicate_connection){.generation = batch->connection.generation,
                                                    .last_batch = BATCH_NO_BLOCK};
    }
    return connection;
}

/* ---- proposing ----------------------------------------------------------------------------- */

/* Answers all writes of a batch with the same refusal, or as unknown. */
static void writes_answer(struct batch *batch, enum batch_fate fate, enum batch_refusal refusal) {
    for (uint32_t i = 0; i < batch->command_count; i++) {
        if (batch->commands[i].fate == FATE_WRITE) {
            batch->commands[i].fate = (uint8_t)fate;
            batch->commands[i].refusal = (uint8_t)refusal;
        }
    }
    batch->write_count = 0;
}

/* This node does not lead: answers the reads but for those that then may be stale.  These run at
 * what is applied. */
static void reads_refuse(struct replicate_shard *shard, struct batch *batch) {
    uint32_t left = 0;
    for (uint32_t i = 0; i < batch->command_count; i++) {
        struct batch_command *command = &batch->commands[i];
        if (command->fate == FATE_READ && (shard->failed || !command->reads_anywhere)) {
            command->fate = FATE_REFUSED;
            command->refusal = REFUSAL_NOT_LEADER;
        }
        left += command->fate == FATE_READ;
    }
    batch->read_count = left;
    node_figure_add(&shard->node->replicate.reads_stale, left > 0);
}

/* Encodes one command of the batch; returns the bytes written. */
static uint32_t command_encode(struct replicate_shard *shard, const struct batch *batch,
                               const struct batch_command *command, uint8_t *out) {
    const struct machine_operations *machine = shard->node->options->machine;
    uint32_t count = batch_record_argument_count(command);
    for (uint32_t i = 0; i < count; i++) {
        shard->arguments[i].data =
            batch_record_argument(batch, command, i, &shard->arguments[i].length_bytes);
    }
    const uint64_t *hashes = batch->key_hashes + command->key_first;
    if (command->once != BATCH_ONCE_NONE) {
        struct once_record record = once_record(batch, command, machine);
        return entry_command_write_session(out, record.id, record.session, record.sequence,
                                           shard->arguments, record.argument_count, hashes,
                                           command->key_count);
    }
    return entry_command_write(out, batch_record_id(machine, command), shard->arguments, count,
                               hashes, command->key_count);
}

enum propose_result { PROPOSED, PROPOSE_STALLED, PROPOSE_REFUSED, PROPOSE_ENCODING };

/* The batch's entry is in the log. */
static void proposed(struct replicate_shard *shard, struct batch *batch, uint64_t index,
                     uint64_t term) {
    batch->index = index;
    batch->term = term;
    replicate_appended_more(shard, term, ENTRY_HEADER_BYTES + batch->write_entry_bytes);
    ASSERT(raft_last_index(shard->raft) == index);
}

/* Makes one entry of the batch's writes. */
static enum propose_result propose(struct replicate_shard *shard, struct batch *batch,
                                   uint64_t now_ns) {
    uint64_t index;
    uint64_t term;
    uint32_t length_bytes = ENTRY_HEADER_BYTES + batch->write_entry_bytes;
    ASSERT(batch->write_count > 0 && batch->write_count <= UINT16_MAX);
    int result =
        shard->failed ? WEIR_EAGAIN : raft_propose(shard->raft, 1, length_bytes, &index, &term);
    if (shard->majority_full && (result == WEIR_OK || result == WEIR_EFULL)) {
        writes_answer(batch, FATE_REFUSED, REFUSAL_DISKS_FULL);
        return PROPOSE_REFUSED;
    }
    if (result == WEIR_EFULL) {
        if (raft_configuration(shard->raft)->member_count == 1) {
            return PROPOSE_STALLED; /* until the disk has taken some of it */
        }
        writes_answer(batch, FATE_REFUSED, REFUSAL_OVERLOAD);
        return PROPOSE_REFUSED;
    }
    if (result != WEIR_OK) {
        writes_answer(batch, FATE_REFUSED, REFUSAL_NOT_LEADER);
        return PROPOSE_REFUSED;
    }
    if (replicate_incoming_busy(shard)) {
        return PROPOSE_STALLED; /* until what it took over as a follower is in the log */
    }
    if (length_bytes > shard->node->options->log.entry_bytes_max) {
        writes_answer(batch, FATE_REFUSED, REFUSAL_ENTRY_SIZE);
        return PROPOSE_REFUSED;
    }
    uint8_t *entry = log_reserve(shard->log, length_bytes, false);
    if (entry == NULL) {
        enum log_state state = log_state(shard->log);
        if (state == LOG_READY) {
            return PROPOSE_STALLED;
        }
        /* Failed, but not yet told: then it is no matter of room. */
        writes_answer(batch, FATE_REFUSED,
                      state == LOG_FULL ? REFUSAL_DISK_FULL : REFUSAL_NOT_LEADER);
        return PROPOSE_REFUSED;
    }
    struct entry_header header = {.length_bytes = length_bytes,
                                  .kind = ENTRY_COMMANDS,
                                  .version = ENTRY_VERSION,
                                  .command_count = (uint16_t)batch->write_count,
                                  .term = term,
                                  .log_time_ms = replicate_log_time(shard, now_ns)};
    if (length_bytes > STAGE_SLICE_BYTES) {
        replicate_encode_begin(shard, batch, entry, &header);
        return PROPOSE_ENCODING;
    }
    uint8_t *position = entry + ENTRY_HEADER_BYTES;
    for (uint32_t i = 0; i < batch->command_count; i++) {
        if (batch->commands[i].fate == FATE_WRITE) {
            position += command_encode(shard, batch, &batch->commands[i], position);
        }
    }
    ASSERT(position == entry + length_bytes);
    replicate_spend(shard, batch->write_count + length_bytes / REPLICATE_UNIT_BYTES);
    uint64_t appended = log_append(shard->log, &header);
    ASSERT(appended == index);
    proposed(shard, batch, index, term);
    return PROPOSED;
}

/* ---- noting -------------------------------------------------------------------------------- */

/* What the connection has proposed in this term; 0: nothing. */
static uint64_t own_last(const struct replicate_shard *shard,
                         const struct replicate_connection *connection) {
    return connection->leadership == shard->leadership ? connection->last_index : 0;
}

static bool confirmed(const struct replicate_shard *shard, const struct batch *batch) {
    return batch->round <= shard->round_confirmed;
}

/* Puts a batch without writes where it belongs: not before `index`. */
static void note(struct replicate_shard *shard, struct batch *batch,
                 struct replicate_connection *connection, uint64_t index) {
    uint64_t last_index = own_last(shard, connection);
    if (connection->waiting > 0 && connection->place > index) {
        index = connection->place; /* it may be behind its own write: of what others have written */
    }
    batch->index = 0;
    batch->place = last_index > index ? last_index : index;
    if (shard->failed) {
        /* Nothing waits any more, whatever was proposed and never committed. */
        replicate_pass_batch(shard, batch, NULL, 0, 0);
        return;
    }
    /* Other connections' may be noted and wait; its own would be overtaken. */
    if (MUTANT(READS_BEFORE_APPLIED, true, batch->place <= shard->handed) &&
        connection->waiting == 0 && confirmed(shard, batch)) {
        replicate_pass_batch(shard, batch, NULL, 0, 0);
        return;
    }
    connection->waiting++;
    connection->place = batch->place;
    if (last_index > shard->handed && last_index >= index) {
        /* Its own write is under way: it runs right behind that entry. */
        struct batch *own = pipeline_batch(shard->pipeline, connection->last_batch);
        ASSERT(own->index == last_index && own->owner == STAGE_REPLICATE);
        struct batch_queue readers = {.head = own->readers_head, .tail = own->readers_tail};
        queue_push(shard, &readers, batch);
        own->readers_head = readers.head;
        own->readers_tail = readers.tail;
        return;
    }
    queue_push(shard, &shard->reading, batch);
}

/* Asks the core when the batch's reads may run: not before *index, and its round.  False: never. */
static bool reads_ask(struct replicate_shard *shard, struct batch *batch, uint64_t *index) {
    struct node_replicate_figures *figures = &shard->node->replicate;
    if (batch->reads == READ_STALE) {
        node_figure_add(&figures->reads_stale, 1);
        return true; /* at what is applied: its own writes are */
    }
    struct raft_event event = {.kind = RAFT_EVENT_READ, .lease = batch->reads == READ_LEASE};
    if (event.lease) {
        /* The time of the poll may be older than the read: had the process been stopped in between,
           the lease would have run out. */
        shard->now_ns = io_monotonic_ns(shard->io);
    }
    shard->read.kind = RAFT_ACTION_READ_FAILED;
    replicate_step(shard, &event);
    if (shard->read.kind == RAFT_ACTION_READ_FAILED) {
        return false;
    }
    bool asked = shard->read.kind == RAFT_ACTION_READ_WAIT;
    node_figure_add(asked ? &figures->reads_asked : &figures->reads_leased, 1);
    batch->round = shard->read.kind == RAFT_ACTION_READ_WAIT ? shard->read.round : 0;
    *index = shard->read.index;
    return true;
}

/* Its entry was appended: it waits for the commit. */
static void queue_writer(struct replicate_shard *shard, struct batch *batch,
                         struct replicate_connection *connection) {
    connection->last_index = batch->index;
    connection->last_batch = batch->id;
    connection->leadership = shard->leadership;
    queue_push(shard, &shard->writing, batch);
}

/* A batch without writes, or whose writes were refused. */
static void take_reads(struct replicate_shard *shard, struct batch *batch,
                       struct replicate_connection *connection) {
    uint64_t index = 0;
    batch->round = 0;
    if (batch->read_count > 0 && (shard->failed || !reads_ask(shard, batch, &index))) {
        reads_refuse(shard, batch);
    }
    note(shard, batch, connection, index);
}

bool replicate_take_on(struct replicate_shard *shard) {
    struct batch *batch = shard->encode.batch;
    struct replicate_connection *connection = connection_of(shard, batch);
    uint64_t index;
    uint64_t term;
    uint32_t length_bytes = ENTRY_HEADER_BYTES + batch->write_entry_bytes;
    if (shard->failed || raft_propose(shard->raft, 1, length_bytes, &index, &term) != WEIR_OK ||
        term != shard->encode.term) {
        log_append_cancel(shard->log);
        shard->encode.batch = NULL;
        writes_answer(batch, FATE_REFUSED, REFUSAL_NOT_LEADER);
        take_reads(shard, batch, connection);
        return true;
    }
    if (!replicate_encode_on(shard)) {
        return false;
    }
    shard->encode.batch = NULL;
    uint64_t appended = log_append_end(shard->log);
    ASSERT(appended == index);
    proposed(shard, batch, index, term);
    queue_writer(shard, batch, connection);
    return true;
}

bool replicate_take(struct replicate_shard *shard, struct batch *batch, uint64_t now_ns) {
    ASSERT_HOT(batch->owner == STAGE_REPLICATE);
    struct replicate_connection *connection = connection_of(shard, batch);
    batch->next = BATCH_NO_BLOCK;
    batch->readers_head = BATCH_NO_BLOCK;
    batch->readers_tail = BATCH_NO_BLOCK;
    if (batch->write_count > 0) {
        switch (propose(shard, batch, now_ns)) {
        case PROPOSED: queue_writer(shard, batch, connection); return true;
        case PROPOSE_ENCODING: return true;
        case PROPOSE_STALLED: shard->stalled = batch->id; return false;
        case PROPOSE_REFUSED: break;
        }
    }
    replicate_spend(shard, 1);
    take_reads(shard, batch, connection);
    return true;
}

/* ---- handing on ---------------------------------------------------------------------------- */

/* The first of the noted batches, if its place has been handed on; NULL otherwise. */
static struct batch *reader_due(const struct replicate_shard *shard) {
    struct batch *head = shard->reading.head == BATCH_NO_BLOCK
                             ? NULL
                             : pipeline_batch(shard->pipeline, shard->reading.head);
    return head != NULL && MUTANT(READS_BEFORE_APPLIED, true, head->place <= shard->handed) ? head
                                                                                            : NULL;
}

/* A noted batch is on its way. */
static void pass_noted(struct replicate_shard *shard, struct batch *batch) {
    struct replicate_connection *connection = connection_of(shard, batch);
    ASSERT(connection->waiting > 0);
    connection->waiting--;
    replicate_pass_batch(shard, batch, NULL, 0, 0);
}

/* Noted batches whose place has been handed on; these first, in the order noted. */
static uint32_t hand_on_readers(struct replicate_shard *shard) {
    uint32_t items = 0;
    struct batch *due;
    while ((due = reader_due(shard)) != NULL && confirmed(shard, due)) {
        pass_noted(shard, queue_pop(shard, &shard->reading));
        items++;
    }
    return items;
}

/* The batch at the head of `writing` and the readers attached to it. */
static uint32_t hand_on_writer(struct replicate_shard *shard, const uint8_t *entry) {
    struct batch *batch = queue_pop(shard, &shard->writing);
    struct batch_queue readers = {.head = batch->readers_head, .tail = batch->readers_tail};
    shard->handed = batch->index;
    uint64_t index = batch->index;
    replicate_pass_batch(shard, batch, entry, index, entry_header_read(entry).length_bytes);
    if (readers.head != BATCH_NO_BLOCK) {
        /* Before the others of this place: they were noted when it was not committed yet. */
        pipeline_batch(shard->pipeline, readers.tail)->next = shard->reading.head;
        shard->reading.tail =
            shard->reading.head == BATCH_NO_BLOCK ? readers.tail : shard->reading.tail;
        shard->reading.head = readers.head;
    }
    return 1;
}

/* What is committed and in the log: the core may have accepted more than is copied yet; and what
 * it has had removed may still stand there, while that waits, under the same indexes. */
static uint64_t committed_here(const struct replicate_shard *shard) {
    uint64_t commit = raft_commit_index(shard->raft);
    uint64_t last = log_last_index(shard->log);
    if (shard->peers != NULL && shard->peers->incoming.truncate &&
        shard->peers->incoming.index < last) {
        last = shard->peers->incoming.index;
    }
    return commit < last ? commit : last;
}

/* Up to where, and no further than to `index`, no batch waits for an entry. */
static uint64_t alone_until(const struct replicate_shard *shard, uint64_t index) {
    if (shard->writing.head == BATCH_NO_BLOCK) {
        return index;
    }
    uint64_t waited = pipeline_batch(shard->pipeline, shard->writing.head)->index;
    ASSERT(waited > shard->handed);
    return waited <= index ? waited - 1 : index;
}

/* Entries that are only on disk: reads a piece, or hands on what was read. */
static uint32_t hand_on_from_disk(struct replicate_shard *shard, bool *waiting) {
    if (shard->catch_up_last > shard->applied) {
        *waiting = true; /* apply is still in the buffer */
        return 0;
    }
    if (shard->reader == READER_PEER) {
        return 0; /* its end wakes us as well */
    }
    if (shard->reader == READER_NOBODY) {
        shard->reader = READER_CATCH_UP;
        log_read(shard->log, shard->handed + 1, shard->catch_up, shard->catch_up_bytes);
    }
    uint64_t first_index;
    uint32_t count;
    size_t length_bytes;
    int error;
    if (!log_read_result(shard->log, &first_index, &count, &length_bytes, &error)) {
        return 0; /* its completion wakes us */
    }
    shard->reader = READER_NOBODY;
    if (count == 0) {
        replicate_fail(shard, "the log cannot be read back: run 'weir inspect' on the data "
                              "directory");
        return 0;
    }
    ASSERT(first_index == shard->handed + 1);
    uint64_t last = first_index + count - 1;
    /* What is not committed yet is read again later; what a batch waits for, which was appended
       while this was read, goes with it. */
    uint64_t end = alone_until(shard, committed_here(shard));
    if (last > end) {
        count = (uint32_t)(end - shard->handed);
        last = end;
    }
    ASSERT(count > 0);
    struct apply_item item = {.entry = shard->catch_up,
                              .first_index = first_index,
                              .entry_count = count,
                              .batch = BATCH_NO_BLOCK,
                              .length_bytes = length_bytes};
    uint32_t taken = ring_apply_enqueue(shard->to_apply, &item, 1);
    ASSERT(taken == 1); /* replicate_hand_on looked for room */
    shard->catch_up_last = last;
    shard->handed = last;
    return 1;
}

uint32_t replicate_hand_on(struct replicate_shard *shard, bool *waiting) {
    uint32_t items = hand_on_readers(shard);
    if (replicate_installing(shard)) {
        return items; /* the snapshot has what is committed */
    }
    /* Stopping in the midst of a replay: the rest is replayed at the next start. */
    while (shard->handed < committed_here(shard) && !shard->failed && !shard->stop_started) {
        if (reader_due(shard) != NULL) {
            return items; /* it waits for its round, and nothing appended after it may pass */
        }
        /* Half of the ring is for the batches, of which there are no more than that. */
        if (ring_depth(shard->to_apply) >= ring_capacity(shard->to_apply) / 2) {
            *waiting = true;
            return items;
        }
        uint64_t index = shard->handed + 1;
        const uint8_t *entry = log_entry(shard->log, index);
        struct batch *head = shard->writing.head == BATCH_NO_BLOCK
                                 ? NULL
                                 : pipeline_batch(shard->pipeline, shard->writing.head);
        if (head != NULL && head->index == index) {
            ASSERT(entry != NULL); /* it is not released before apply has left it */
            items += hand_on_writer(shard, entry);
        } else if (entry != NULL) {
            struct apply_item item = {.entry = entry,
                                      .first_index = index,
                                      .entry_count = 1,
                                      .batch = BATCH_NO_BLOCK,
                                      .length_bytes = entry_header_read(entry).length_bytes};
            uint32_t taken = ring_apply_enqueue(shard->to_apply, &item, 1);
            ASSERT(taken == 1);
            shard->handed = index;
            items++;
        } else {
            uint32_t handed = hand_on_from_disk(shard, waiting);
            if (handed == 0) {
                return items;
            }
            items += handed;
        }
        items += hand_on_readers(shard);
    }
    return items;
}

/* Refuses the noted batches whose place is before an index, and hands them on. */
static void abandon_readers(struct replicate_shard *shard, uint64_t index) {
    while (shard->reading.head != BATCH_NO_BLOCK &&
           pipeline_batch(shard->pipeline, shard->reading.head)->place < index) {
        struct batch *batch = queue_pop(shard, &shard->reading);
        reads_refuse(shard, batch);
        pass_noted(shard, batch);
    }
}

void replicate_abandon(struct replicate_shard *shard) {
    replicate_wait_end(shard);
    while (shard->writing.head != BATCH_NO_BLOCK) {
        /* In the order in which they would have been handed on: it is every connection's own. */
        abandon_readers(shard, pipeline_batch(shard->pipeline, shard->writing.head)->index);
        struct batch *batch = queue_pop(shard, &shard->writing);
        struct batch_queue readers = {.head = batch->readers_head, .tail = batch->readers_tail};
        writes_answer(batch, FATE_UNKNOWN, REFUSAL_NONE);
        reads_refuse(shard, batch);
        replicate_pass_batch(shard, batch, NULL, 0, 0);
        while (readers.head != BATCH_NO_BLOCK) {
            struct batch *reader = queue_pop(shard, &readers);
            reads_refuse(shard, reader);
            pass_noted(shard, reader);
        }
    }
    abandon_readers(shard, UINT64_MAX);
    if (shard->encode.batch != NULL) {
        /* Nothing of it was appended. */
        struct batch *batch = shard->encode.batch;
        log_append_cancel(shard->log);
        shard->encode.batch = NULL;
        writes_answer(batch, FATE_REFUSED, REFUSAL_NOT_LEADER);
        reads_refuse(shard, batch);
        replicate_pass_batch(shard, batch, NULL, 0, 0);
    }
    shard->round_confirmed = 0;
}

bool replicate_order_empty(const struct replicate_shard *shard) {
    return shard->writing.head == BATCH_NO_BLOCK && shard->reading.head == BATCH_NO_BLOCK &&
           shard->stalled == BATCH_NO_BLOCK && shard->encode.batch == NULL &&
           shard->intake_next == shard->intake_count;
}
