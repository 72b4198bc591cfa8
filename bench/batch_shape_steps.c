/*
 * The seven steps of bench/batch_shape.h, in the order of a request's path.
 *
 * Failure modes: no buffer or no batch left: READ stops taking, and TCP holds the clients back.
 * Bytes that are not our RESP, or a peer that is gone: SEND drops what is queued and shuts the
 * socket, READ sees its end and closes when the last batch is home.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/decimal.h"
#include "bench/batch_shape.h"

#define USER_ACCEPT UINT64_MAX

static const uint64_t hash_seed = 0x9e3779b97f4a7c15;

static void pass_on(struct server *server, enum step step, const uint32_t *ids, uint32_t count) {
    uint32_t taken = ring_u32_enqueue(server->rings[(step + 1) % STEP_COUNT], ids, count);
    ASSERT(taken == count); /* every ring has room for every batch */
}

/* ---- read ---------------------------------------------------------------------------------- */

static void receive_arm(struct server *server, uint32_t slot) {
    server->connections[slot].armed = true;
    io_receive_start(server->ports[STEP_READ], server->connections[slot].socket, 0, slot);
}

static void close_if_done(struct server *server, uint32_t slot) {
    struct read_connection *connection = &server->connections[slot];
    if (!connection->armed && !connection->starved && connection->in_flight == 0) {
        io_close(server->cores[server->core_of[STEP_READ]].io, connection->socket);
        connection->socket = NONE;
    }
}

static void on_accept(struct server *server, const struct io_completion *completion) {
    if ((completion->flags & IO_MORE) == 0) {
        io_accept_start(server->ports[STEP_READ], server->listener, USER_ACCEPT);
    }
    if (completion->result < 0) {
        return;
    }
    for (uint32_t slot = 0; slot < CONNECTIONS_MAX; slot++) {
        if (server->connections[slot].socket == NONE) {
            server->connections[slot] = (struct read_connection){.socket = completion->result};
            receive_arm(server, slot);
            return;
        }
    }
    io_close(server->cores[server->core_of[STEP_READ]].io, completion->result);
}

/* Batches that came home give their buffers back. */
static uint32_t come_home(struct server *server) {
    struct io *io = server->cores[server->core_of[STEP_READ]].io;
    uint32_t ids[ROUND_MAX];
    uint32_t count = ring_u32_dequeue(server->rings[STEP_READ], ids, ROUND_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct batch *batch = &server->batches[ids[i]];
        for (uint32_t s = 0; s < batch->span_count; s++) {
            uint32_t slot = batch->spans[s].connection;
            io_buffer_return(io, 0, batch->spans[s].buffer);
            server->connections[slot].in_flight--;
            close_if_done(server, slot);
        }
        if (server->by_round) {
            server->free_batches[server->free_count++] = ids[i];
        }
    }
    for (uint32_t slot = 0; count > 0 && server->starved_count > 0; slot++) {
        if (server->connections[slot].starved) {
            server->connections[slot].starved = false;
            server->starved_count--;
            receive_arm(server, slot);
        }
    }
    return count;
}

static void receive_ended(struct server *server, uint32_t slot, int32_t result) {
    struct read_connection *connection = &server->connections[slot];
    connection->armed = false;
    if (result == IO_RECEIVE_NO_BUFFERS) {
        connection->starved = true;
        server->starved_count++;
    } else if (result > 0) {
        receive_arm(server, slot);
    } else {
        close_if_done(server, slot);
    }
}

static void span_add(struct server *server, struct batch *batch,
                     const struct io_completion *completion) {
    struct read_connection *connection = &server->connections[completion->user];
    ASSERT_HOT(batch->span_count < server->spans_max);
    struct span *span = &batch->spans[batch->span_count++];
    span->connection = (uint32_t)completion->user;
    span->socket = connection->socket;
    span->buffer = completion->buffer;
    span->length_bytes = (uint32_t)completion->result;
    span->opens = !connection->opened;
    span->broken = false;
    connection->opened = true;
    connection->in_flight++;
    server->figures.spans++;
}

/* The one place where the shapes differ: where a span finds its batch. */
static uint32_t step_read(struct server *server) {
    uint32_t home = come_home(server);
    if (server->by_round && server->free_count == 0) {
        return home;
    }
    struct io_completion completions[ROUND_MAX];
    uint32_t count = io_take(server->ports[STEP_READ], completions, ROUND_MAX);
    uint32_t ids[ROUND_MAX];
    uint32_t id_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct io_completion *completion = &completions[i];
        if (completion->user == USER_ACCEPT) {
            on_accept(server, completion);
            continue;
        }
        if (completion->flags & IO_HAS_BUFFER) {
            if (!server->by_round) {
                ids[id_count++] = completion->buffer;
                server->batches[completion->buffer].span_count = 0;
            } else if (id_count == 0) {
                ids[id_count++] = server->free_batches[--server->free_count];
                server->batches[ids[0]].span_count = 0;
            }
            span_add(server, &server->batches[ids[id_count - 1]], completion);
        }
        if ((completion->flags & IO_MORE) == 0) {
            receive_ended(server, (uint32_t)completion->user, completion->result);
        }
    }
    if (id_count > 0) {
        pass_on(server, STEP_READ, ids, id_count);
        server->figures.batches += id_count;
        server->figures.rounds++;
    }
    return home + count;
}

/* ---- parse, judge -------------------------------------------------------------------------- */

/* The commands in `bytes`; returns how many bytes they used, and leaves an unfinished one. */
static uint32_t parse_bytes(struct server *server, struct batch *batch, struct span *span,
                            uint8_t *bytes, uint32_t length) {
    uint32_t used = 0;
    while (used < length && !span->broken) {
        struct resp_parser parser = {0};
        struct resp_command found;
        struct command *command = &batch->commands[batch->command_count];
        enum resp_result result =
            resp_parse(&parser, &server->limits, true, bytes + used, length - used,
                       command->arguments, ARGUMENTS_MAX, &found);
        if (result == RESP_MORE) {
            break;
        }
        if (result == RESP_COMMAND && span->command_count < SPAN_COMMANDS_MAX) {
            command->base = bytes + used;
            command->argument_count = found.argument_count;
            if (found.argument_count > 1) {
                command->key_hash = hash_key(command->base + command->arguments[1].offset,
                                             command->arguments[1].length, hash_seed);
            }
            batch->command_count++;
            span->command_count++;
        } else if (result != RESP_EMPTY) {
            span->broken = true;
            return length;
        }
        used += found.consumed_bytes;
    }
    return used;
}

static void work_parse(struct server *server, struct batch *batch) {
    batch->command_count = 0;
    for (uint32_t s = 0; s < batch->span_count; s++) {
        struct span *span = &batch->spans[s];
        uint8_t *bytes = server->buffers + (size_t)span->buffer * BUFFER_BYTES;
        uint32_t length = span->length_bytes;
        uint32_t *carried = &server->carry_bytes[span->connection];
        *carried = span->opens ? 0 : *carried;
        span->command_count = 0;
        if (*carried > 0) {
            uint8_t *joined = server->joined + (size_t)span->buffer * JOINED_BYTES;
            memcpy(joined, server->carry[span->connection], *carried);
            memcpy(joined + *carried, bytes, length);
            bytes = joined;
            length += *carried;
        }
        uint32_t used = parse_bytes(server, batch, span, bytes, length);
        *carried = length - used;
        if (*carried > BUFFER_BYTES) {
            *carried = 0;
            span->broken = true;
        }
        memcpy(server->carry[span->connection], bytes + used, *carried);
    }
    server->figures.commands += batch->command_count;
}

static bool is_named(const struct command *command, const char *name) {
    return command->arguments[0].length == 3 &&
           strncasecmp((const char *)command->base + command->arguments[0].offset, name, 3) == 0;
}

static void work_judge(struct server *server, struct batch *batch) {
    (void)server;
    batch->write_count = 0;
    for (uint32_t i = 0; i < batch->command_count; i++) {
        struct command *command = &batch->commands[i];
        command->fate = FATE_ERROR;
        if (is_named(command, "SET") && command->argument_count == 3 &&
            command->arguments[2].length <= VALUE_BYTES_MAX) {
            command->fate = FATE_WRITE;
            batch->write_count++;
        } else if (is_named(command, "GET") && command->argument_count == 2) {
            command->fate = FATE_READ;
        }
    }
}

/* ---- order --------------------------------------------------------------------------------- */

/* The writes of a batch become one entry, contiguous in the log's memory. */
static void seal(struct server *server, struct batch *batch) {
    uint64_t length = ENTRY_HEADER_BYTES;
    for (uint32_t i = 0; i < batch->command_count; i++) {
        const struct command *command = &batch->commands[i];
        if (command->fate == FATE_WRITE) {
            length += entry_command_bytes(
                2, 1, (uint64_t)command->arguments[1].length + command->arguments[2].length, false);
        }
    }
    uint64_t offset = server->sealed % LOG_BYTES;
    if (offset + length > LOG_BYTES) {
        server->sealed += LOG_BYTES - offset; /* the rest of this lap stays unused */
        offset = 0;
    }
    ASSERT(server->sealed + length - server->durable <= LOG_BYTES);
    batch->entry = server->log + offset;
    uint8_t *out = batch->entry + ENTRY_HEADER_BYTES;
    for (uint32_t i = 0; i < batch->command_count; i++) {
        const struct command *command = &batch->commands[i];
        if (command->fate == FATE_WRITE) {
            const struct entry_argument arguments[2] = {
                {command->base + command->arguments[1].offset, command->arguments[1].length},
                {command->base + command->arguments[2].offset, command->arguments[2].length}};
            out += entry_command_write(out, 1, arguments, 2, &command->key_hash, 1);
        }
    }
    struct entry_header header = {.length_bytes = (uint32_t)length,
                                  .kind = ENTRY_COMMANDS,
                                  .version = ENTRY_VERSION,
                                  .command_count = (uint16_t)batch->write_count,
                                  .term = 1};
    entry_seal(batch->entry, &header, &server->tail);
    server->sealed += entry_stride_bytes((uint32_t)length);
    server->figures.writes += batch->write_count;
    server->figures.entries++;
    server->figures.log_bytes += entry_stride_bytes((uint32_t)length);
}

/* Seals the writes; a batch's place is the end of all that its connections have written. */
static void place(struct server *server, struct batch *batch) {
    batch->place = 0;
    if (batch->write_count > 0) {
        seal(server, batch);
        batch->place = server->sealed;
    }
    for (uint32_t s = 0; s < batch->span_count; s++) {
        uint64_t *last = &server->last_place[batch->spans[s].connection];
        *last = batch->spans[s].opens ? 0 : *last;
        if (batch->write_count > 0) {
            *last = batch->place;
        } else if (*last > batch->place) {
            batch->place = *last;
        }
    }
}

/* One write in flight; what is sealed meanwhile goes with the next. */
static void log_advance(struct server *server) {
    if (server->log_file == NONE) {
        server->durable = server->sealed;
        return;
    }
    struct io_completion completion;
    if (server->writing && io_take(server->ports[STEP_ORDER], &completion, 1) == 1) {
        ASSERT(completion.result > 0);
        server->writing = false;
        server->durable = server->submitted;
    }
    if (!server->writing && server->submitted < server->sealed) {
        uint64_t offset = server->submitted % LOG_BYTES;
        uint64_t length = server->sealed - server->submitted;
        length = length < LOG_BYTES - offset ? length : LOG_BYTES - offset;
        server->write_piece = (struct iovec){server->log + offset, length};
        server->submitted += length;
        server->writing = true;
        server->figures.file_writes++;
        io_file_write(server->ports[STEP_ORDER], server->log_file, &server->write_piece, 1, offset,
                      IO_SYNC, 0);
    }
}

static uint32_t step_order(struct server *server) {
    uint32_t ids[ROUND_MAX];
    uint32_t onward[ROUND_MAX + RING_ITEMS];
    uint32_t onward_count = 0;
    uint32_t count = ring_u32_dequeue(server->rings[STEP_ORDER], ids, ROUND_MAX);
    for (uint32_t i = 0; i < count; i++) {
        place(server, &server->batches[ids[i]]);
    }
    log_advance(server);
    while (server->waiting_head != server->waiting_tail) {
        uint32_t id = server->waiting[server->waiting_head % RING_ITEMS];
        if (server->batches[id].place > server->durable) {
            break;
        }
        onward[onward_count++] = id;
        server->waiting_head++;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (server->batches[ids[i]].place <= server->durable) {
            onward[onward_count++] = ids[i];
        } else {
            server->waiting[server->waiting_tail++ % RING_ITEMS] = ids[i];
        }
    }
    if (onward_count > 0) {
        pass_on(server, STEP_ORDER, onward, onward_count);
    }
    return count + onward_count;
}

/* ---- apply, reply -------------------------------------------------------------------------- */

/* The slot of a key, or the empty one where it belongs. */
static struct table_slot *table_find(struct server *server, uint64_t key_hash) {
    uint64_t wanted = key_hash | 1;
    for (uint32_t probe = 0; probe < TABLE_SLOTS; probe++) {
        struct table_slot *slot = &server->table[((wanted >> 1) + probe) % TABLE_SLOTS];
        if (slot->key_hash == wanted || slot->key_hash == 0) {
            return slot;
        }
    }
    UNREACHABLE("the table is full: use redis-benchmark -r 100000");
}

static void work_apply(struct server *server, struct batch *batch) {
    struct entry_cursor cursor;
    struct entry_command write;
    uint32_t value_end = 0;
    if (batch->write_count > 0) {
        entry_cursor_begin(&cursor, batch->entry);
    }
    for (uint32_t i = 0; i < batch->command_count; i++) {
        struct command *command = &batch->commands[i];
        if (command->fate == FATE_WRITE) {
            bool found = entry_cursor_next(&cursor, &write);
            ASSERT_HOT(found);
            uint64_t key_hash = bytes_get_u64(write.key_hashes);
            struct table_slot *slot = table_find(server, key_hash);
            slot->key_hash = key_hash | 1;
            slot->value_bytes = bytes_get_u32(write.argument_lengths + 4);
            memcpy(slot->value, write.arguments + bytes_get_u32(write.argument_lengths),
                   slot->value_bytes);
        } else if (command->fate == FATE_READ) {
            const struct table_slot *slot = table_find(server, command->key_hash);
            command->fate = slot->key_hash == 0 ? FATE_ABSENT : FATE_READ;
            command->value_offset = value_end;
            command->value_bytes = slot->value_bytes;
            memcpy(batch->values + value_end, slot->value, slot->value_bytes);
            value_end += slot->value_bytes;
        }
    }
}

static uint8_t *put(uint8_t *out, const void *bytes, size_t length) {
    memcpy(out, bytes, length);
    return out + length;
}

static uint8_t *reply_one(uint8_t *out, const struct batch *batch, const struct command *command) {
    char digits[DECIMAL_BYTES_MAX];
    switch ((enum fate)command->fate) {
    case FATE_WRITE: return put(out, "+OK\r\n", 5);
    case FATE_ABSENT: return put(out, "$-1\r\n", 5);
    case FATE_READ:
        out = put(out, "$", 1);
        out = put(out, digits, decimal_format_u64(digits, command->value_bytes));
        out = put(out, "\r\n", 2);
        out = put(out, batch->values + command->value_offset, command->value_bytes);
        return put(out, "\r\n", 2);
    case FATE_ERROR: return put(out, "-ERR only SET and GET of 64 bytes\r\n", 35);
    }
    UNREACHABLE("a fate");
}

static void work_reply(struct server *server, struct batch *batch) {
    (void)server;
    const struct command *command = batch->commands;
    uint8_t *out = batch->replies;
    for (uint32_t s = 0; s < batch->span_count; s++) {
        struct span *span = &batch->spans[s];
        span->reply_offset = (uint32_t)(out - batch->replies);
        for (uint32_t i = 0; i < span->command_count; i++) {
            out = reply_one(out, batch, command++);
        }
        span->reply_bytes = (uint32_t)(out - batch->replies) - span->reply_offset;
    }
}

/* ---- send ---------------------------------------------------------------------------------- */

/* The replies of a span are out, or nobody wants them: the last one sends the batch home. */
static void span_done(struct server *server, struct span *span) {
    if (--server->batches[span->batch].unsent == 0) {
        pass_on(server, STEP_SEND, &span->batch, 1);
    }
}

static void queue_drop(struct server *server, struct send_connection *sender) {
    while (sender->head != NONE) {
        struct span *span = &server->spans[sender->head];
        sender->head = span->next;
        span_done(server, span);
    }
    sender->sent_bytes = 0;
}

/* Nothing more is sent to it.  What is in flight stays borrowed until its completion. */
static void kill_connection(struct server *server, struct send_connection *sender, int32_t socket) {
    io_shutdown(server->cores[server->core_of[STEP_SEND]].io, socket);
    sender->dead = true;
    if (!sender->sending) {
        queue_drop(server, sender);
    }
}

static void on_sent(struct server *server, const struct io_completion *completion) {
    struct send_connection *sender = &server->senders[completion->user];
    sender->sending = false;
    if (sender->dead || completion->result < 0) {
        kill_connection(server, sender, server->spans[sender->head].socket);
        return;
    }
    sender->sent_bytes += (uint32_t)completion->result;
    while (sender->head != NONE) {
        struct span *span = &server->spans[sender->head];
        if (sender->sent_bytes < span->reply_bytes) {
            return;
        }
        sender->sent_bytes -= span->reply_bytes;
        sender->head = span->next;
        span_done(server, span);
    }
}

static void send_start(struct server *server, uint32_t slot) {
    struct send_connection *sender = &server->senders[slot];
    if (sender->sending || sender->head == NONE) {
        return;
    }
    uint32_t count = 0;
    uint32_t skip = sender->sent_bytes;
    int32_t socket = server->spans[sender->head].socket;
    for (int32_t s = sender->head; s != NONE && count < IO_SEND_PIECES_MAX; count++) {
        const struct span *span = &server->spans[s];
        uint8_t *replies = server->batches[span->batch].replies + span->reply_offset;
        sender->pieces[count] = (struct iovec){replies + skip, span->reply_bytes - skip};
        skip = 0;
        s = span->next;
    }
    sender->sending = true;
    server->figures.sends++;
    io_send(server->ports[STEP_SEND], socket, sender->pieces, count, IO_SEND_WAIT, slot);
}

static void span_arrives(struct server *server, struct span *span) {
    struct send_connection *sender = &server->senders[span->connection];
    if (span->opens) {
        sender->dead = false;
        ASSERT(sender->head == NONE && !sender->sending);
    }
    if (span->broken) {
        kill_connection(server, sender, span->socket);
    }
    if (sender->dead || span->reply_bytes == 0) {
        span_done(server, span);
        return;
    }
    int32_t id = (int32_t)(span - server->spans);
    span->next = NONE;
    if (sender->head == NONE) {
        sender->head = id;
    } else {
        server->spans[sender->tail].next = id;
    }
    sender->tail = id;
}

static uint32_t step_send(struct server *server) {
    struct io_completion completions[ROUND_MAX];
    uint32_t touched[ROUND_MAX + ROUND_MAX * ROUND_MAX];
    uint32_t touched_count = 0;
    uint32_t sent = io_take(server->ports[STEP_SEND], completions, ROUND_MAX);
    for (uint32_t i = 0; i < sent; i++) {
        on_sent(server, &completions[i]);
        touched[touched_count++] = (uint32_t)completions[i].user;
    }
    uint32_t ids[ROUND_MAX];
    uint32_t count = ring_u32_dequeue(server->rings[STEP_SEND], ids, ROUND_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct batch *batch = &server->batches[ids[i]];
        uint32_t span_count = batch->span_count; /* the last span_done gives the batch away */
        batch->unsent = span_count;
        for (uint32_t s = 0; s < span_count; s++) {
            touched[touched_count++] = batch->spans[s].connection;
            span_arrives(server, &batch->spans[s]);
        }
    }
    for (uint32_t i = 0; i < touched_count; i++) {
        send_start(server, touched[i]);
    }
    return sent + count;
}

/* ---- steps that only work on a batch and pass it on ---------------------------------------- */

static uint32_t pass(struct server *server, enum step step,
                     void (*work)(struct server *server, struct batch *batch)) {
    uint32_t ids[ROUND_MAX];
    uint32_t count = ring_u32_dequeue(server->rings[step], ids, ROUND_MAX);
    for (uint32_t i = 0; i < count; i++) {
        work(server, &server->batches[ids[i]]);
    }
    if (count > 0) {
        pass_on(server, step, ids, count);
    }
    return count;
}

static uint32_t step_parse(struct server *server) {
    return pass(server, STEP_PARSE, work_parse);
}

static uint32_t step_judge(struct server *server) {
    return pass(server, STEP_JUDGE, work_judge);
}

static uint32_t step_apply(struct server *server) {
    return pass(server, STEP_APPLY, work_apply);
}

static uint32_t step_reply(struct server *server) {
    return pass(server, STEP_REPLY, work_reply);
}

uint32_t (*const step_polls[STEP_COUNT])(struct server *server) = {
    [STEP_READ] = step_read,   [STEP_PARSE] = step_parse, [STEP_JUDGE] = step_judge,
    [STEP_ORDER] = step_order, [STEP_APPLY] = step_apply, [STEP_REPLY] = step_reply,
    [STEP_SEND] = step_send,
};
