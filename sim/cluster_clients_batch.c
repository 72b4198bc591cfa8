/*
 * Batches: what a client sends at a time, and what it notes of it.
 *
 * An operation is recorded when it is made, so before its first byte is sent. A batch is a few
 * bytes in `out`; the connection sends them when and as it likes.
 *
 * Failure mode: a history without room. Then nothing is made any more, and the run is to be ended.
 */

#include "sim/cluster_clients_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"

/* ---- Slots ----------------------------------------------------------------------------------- */

static struct client_slot *slot_add(struct client_connection *connection, uint64_t now_ns) {
    ASSERT(connection->slot_count < CLIENT_SLOTS);
    struct client_slot *slot =
        &connection->slots[(connection->slot_first + connection->slot_count++) % CLIENT_SLOTS];
    *slot = (struct client_slot){.operation = CLIENT_NONE,
                                 .once = CLIENT_NONE,
                                 .begin_bytes = connection->out_bytes +
                                                (connection->out.length - connection->out_offset),
                                 .made_ns = now_ns};
    return slot;
}

static void add_line(struct client *client, enum client_slot_kind kind, const char *line,
                     uint64_t now_ns) {
    slot_add(&client->connection, now_ns)->kind = kind;
    kv_model_text_append(&client->connection.out, line, strlen(line));
}

void client_greet(struct cluster_clients *clients, struct client *client, uint64_t now_ns) {
    const struct cluster_clients_options *options = &clients->options;
    if (client_chance(client, options->resp3_share))
        add_line(client, CLIENT_SLOT_HELLO, "HELLO 3\r\n", now_ns);
    const char *line = NULL;
    uint64_t drawn = random_below(&client->random, 1000);
    if (drawn < options->lease_share) {
        line = "CLIENT READS lease\r\n";
    } else if ((drawn -= options->lease_share) < options->stale_share) {
        line = "CLIENT READS stale\r\n";
        client->connection.is_stale = true;
    } else if (drawn - options->stale_share < options->readonly_share) {
        line = "READONLY\r\n";
        client->connection.is_stale = true;
    }
    if (line != NULL)
        add_line(client, CLIENT_SLOT_READS, line, now_ns);
    client->connection.only_reads =
        client->connection.is_stale ||
        (options->reader_share > 0 && client_chance(client, options->reader_share));
}

/* ---- Transactions ---------------------------------------------------------------------------- */

/* MULTI, and what is queued; EXEC is the caller's. Nothing, if it is no transaction. */
static void multi_encode(struct client *client, const struct kv_model_word *words, uint32_t count,
                         uint64_t now_ns) {
    size_t at = 1;
    size_t first;
    size_t length;
    if (!history_word_is(&words[0], "exec"))
        return;
    add_line(client, CLIENT_SLOT_MULTI, "MULTI\r\n", now_ns);
    while ((first = kv_model_exec_next(words, count, &at, &length)) != 0) {
        if (history_word_is(&words[first], "watch"))
            continue;
        slot_add(&client->connection, now_ns)->kind = CLIENT_SLOT_QUEUED;
        client_command_encode(&client->connection.out, words + first, (uint32_t)length, false);
    }
    ASSERT(at == count);
}

/* The words that are sent for an operation, behind MULTI. */
static uint32_t words_sent(const struct kv_model_word *words, uint32_t count) {
    return history_word_is(&words[0], "exec") ? 1 : count;
}

/* ---- Operations ------------------------------------------------------------------------------ */

/* Records an operation; CLIENT_NONE if there is no room for it. */
static uint32_t operation_begin(struct cluster_clients *clients, struct client *client,
                                const struct kv_model_word *words, uint32_t count,
                                uint64_t now_ns) {
    const struct history_call call = {.invoked_ns = now_ns,
                                      .client = client->number,
                                      .connection = client->connection.number,
                                      .sequence = client->connection.sequence + 1,
                                      .stale = client->connection.is_stale,
                                      .words = words,
                                      .word_count = count};
    uint32_t operation;
    const int error = history_invoke(&clients->history, &call, &operation);
    ASSERT(error == 0 || error == WEIR_EFULL);
    if (error != 0) {
        clients->is_full = true;
        return CLIENT_NONE;
    }
    client->connection.sequence++;
    clients->counts.operations++;
    clients->counts.stale += client->connection.is_stale;
    return operation;
}

/* What is sent again watches nothing: a WATCH before it is taken back, and that is recorded. */
static void unwatch(struct cluster_clients *clients, struct client *client, uint64_t now_ns) {
    static const struct kv_model_word word = {"UNWATCH", 7};
    client->connection.watch = CLIENT_WATCHES_NOTHING;
    const uint32_t operation = operation_begin(clients, client, &word, 1, now_ns);
    if (operation == CLIENT_NONE)
        return;
    struct client_slot *slot = slot_add(&client->connection, now_ns);
    slot->kind = CLIENT_SLOT_OPERATION;
    slot->operation = operation;
    client_command_encode(&client->connection.out, &word, 1, false);
}

/* ---- Writes under ONCE ----------------------------------------------------------------------- */

static void once_encode(struct client *client, struct client_once *once,
                        const struct kv_model_word *words, uint32_t count, uint64_t now_ns) {
    struct kv_model_word all[HISTORY_WORDS_MAX + 3];
    char session[24];
    char sequence[24];
    const int session_bytes = snprintf(session, sizeof(session), "%" PRIu64, once->session);
    const int sequence_bytes = snprintf(sequence, sizeof(sequence), "%" PRIu64, once->sequence);
    all[0] = (struct kv_model_word){"ONCE", 4};
    all[1] = (struct kv_model_word){session, (size_t)session_bytes};
    all[2] = (struct kv_model_word){sequence, (size_t)sequence_bytes};
    multi_encode(client, words, count, now_ns);
    count = words_sent(words, count);
    memcpy(all + 3, words, count * sizeof(*words));
    struct client_slot *slot = slot_add(&client->connection, now_ns);
    slot->kind = CLIENT_SLOT_ONCE;
    slot->once = (uint32_t)(once - client->once);
    client_command_encode(&client->connection.out, all, count + 3, false);
    once->in_flight = true;
    once->tries++;
}

static void once_repeat(struct cluster_clients *clients, struct client *client,
                        struct client_once *once, uint64_t now_ns) {
    struct kv_model_word words[HISTORY_WORDS_MAX];
    const uint32_t count = history_words(&clients->history, once->operation, words);
    if (!once->is_detached)
        history_detach(&clients->history, once->operation, ++clients->connection_last);
    once->is_detached = true;
    if (history_word_is(&words[0], "exec") && client->connection.watch != CLIENT_WATCHES_NOTHING)
        unwatch(clients, client, now_ns);
    clients->counts.once_repeated += once->tries == 1;
    clients->counts.once_repeats++;
    once_encode(client, once, words, count, now_ns);
}

static uint32_t name_slot(const struct cluster_clients *clients, uint64_t session,
                          uint64_t sequence) {
    const uint64_t name[] = {session, sequence};
    return (uint32_t)checksum_64(name, sizeof(name), 0) & clients->once_mask;
}

uint32_t cluster_clients_once_operation(const void *context, uint64_t session, uint64_t sequence) {
    const struct cluster_clients *clients = context;
    for (uint32_t at = name_slot(clients, session, sequence); clients->once_index[at] != 0;
         at = (at + 1) & clients->once_mask) {
        const uint32_t operation = clients->once_index[at] - 1;
        const struct once_name *name = &clients->once_names[operation];
        if (name->session == session && name->sequence == sequence)
            return operation;
    }
    return HISTORY_OPERATIONS_MAX;
}

/* Notes whose a session's number is. */
static void once_name(struct cluster_clients *clients, const struct client_once *once) {
    uint32_t at = name_slot(clients, once->session, once->sequence);
    while (clients->once_index[at] != 0)
        at = (at + 1) & clients->once_mask;
    clients->once_index[at] = once->operation + 1;
    clients->once_names[once->operation] =
        (struct once_name){.session = once->session, .sequence = once->sequence};
}

/* A free entry of the table; NULL: none. */
static struct client_once *once_free(struct client *client) {
    for (uint32_t i = 0; i < CLUSTER_CLIENTS_ONCE; i++)
        if (client->once[i].operation == CLIENT_NONE)
            return &client->once[i];
    return NULL;
}

/* ---- New commands ---------------------------------------------------------------------------- */

static void add_beside(struct client *client, uint64_t now_ns) {
    static const char *const malformed[] = {"GET\r\n", "SET k0\r\n", "NOSUCH k0 v\r\n",
                                            "ONCE 1\r\n", "ONCE 0 1 INCR n0\r\n"};
    if (random_chance(&client->random, 1, 2))
        add_line(client, CLIENT_SLOT_PING, "PING\r\n", now_ns);
    else
        add_line(client, CLIENT_SLOT_MALFORMED,
                 malformed[random_below(&client->random, ARRAY_COUNT(malformed))], now_ns);
}

/* Adds ONCE.OPEN, unless there is a session or one is being opened. */
static void session_want(struct client *client, uint64_t now_ns) {
    if (client->session != 0 || client->opening)
        return;
    client->opening = true;
    add_line(client, CLIENT_SLOT_OPEN, "ONCE.OPEN\r\n", now_ns);
}

static void operation_add(struct cluster_clients *clients, struct client *client,
                          struct client_command *command, uint64_t now_ns) {
    const struct cluster_clients_options *options = &clients->options;
    struct client_once *once = NULL;
    command->must_read = client->connection.only_reads;
    if (!command->must_read && client_chance(client, options->once_share)) {
        session_want(client, now_ns);
        once = client->session == 0 ? NULL : once_free(client);
    }
    command->may_be_common = once != NULL;
    client_command_make(clients, client, command);
    const uint32_t operation =
        operation_begin(clients, client, command->words, command->word_count, now_ns);
    if (operation == CLIENT_NONE)
        return;
    if (once != NULL && command->is_write) {
        *once = (struct client_once){
            .operation = operation, .session = client->session, .sequence = ++client->sequence};
        once_name(clients, once);
        clients->counts.once_operations++;
        once_encode(client, once, command->words, command->word_count, now_ns);
        return;
    }
    ASSERT(!command->is_common);
    multi_encode(client, command->words, command->word_count, now_ns);
    struct client_slot *slot = slot_add(&client->connection, now_ns);
    slot->kind = command->is_watch ? CLIENT_SLOT_WATCH : CLIENT_SLOT_OPERATION;
    slot->operation = operation;
    if (command->is_watch)
        client->connection.watch_operation = operation;
    const bool is_line = command->is_plain && client_chance(client, options->inline_share);
    client_command_encode(&client->connection.out, command->words,
                          words_sent(command->words, command->word_count), is_line);
}

/* ---- Batches --------------------------------------------------------------------------------- */

/* Room for whatever a batch of that many operations may send: repetitions, ONCE.OPEN, and as many
 * commands beside. */
static bool has_room(const struct client_connection *connection) {
    return connection->slot_count + CLUSTER_CLIENTS_ONCE + 1 + 2 * CLUSTER_CLIENTS_BATCH <=
           CLUSTER_CLIENTS_PIPELINE;
}
_Static_assert(CLIENT_SLOTS > CLUSTER_CLIENTS_PIPELINE + CLUSTER_CLIENTS_BATCH,
               "a batch of transactions, and an UNWATCH, have room");
_Static_assert(CLUSTER_CLIENTS_PIPELINE >= CLUSTER_CLIENTS_ONCE + 1 + 2 * CLUSTER_CLIENTS_BATCH,
               "an idle connection has room for a batch");

static bool once_is_due(const struct client_once *once, uint64_t now_ns) {
    return once->operation != CLIENT_NONE && !once->in_flight && once->retry_ns <= now_ns;
}

bool client_once_waits(const struct client *client, uint64_t now_ns) {
    for (uint32_t i = 0; i < CLUSTER_CLIENTS_ONCE; i++)
        if (once_is_due(&client->once[i], now_ns))
            return true;
    return false;
}

bool client_batch_due(const struct cluster_clients *clients, const struct client *client,
                      uint64_t now_ns) {
    const struct client_connection *connection = &client->connection;
    if (connection->socket == NULL || connection->is_leaving || now_ns < client->wait_ns ||
        !has_room(connection))
        return false;
    return client_once_waits(client, now_ns) ||
           (clients->is_on && !clients->is_full && now_ns >= client->batch_ns);
}

/* The connection's last batch: says how it ends. */
static void part(struct client *client, uint64_t now_ns) {
    static const uint64_t reset_within_ns = 3 * 1000 * 1000;
    struct client_connection *connection = &client->connection;
    connection->is_leaving = true;
    client->target = CLIENT_NONE;
    if (connection->parting == CLIENT_RESETS)
        connection->reset_ns = now_ns + random_below(&client->random, reset_within_ns);
}

/* When the next batch begins: the mean gives the rate. */
static void next_batch(const struct cluster_clients *clients, struct client *client,
                       uint64_t now_ns, uint32_t operations) {
    const uint64_t each_ns =
        UINT64_C(1000000000) * clients->options.clients / clients->options.rate;
    client->batch_ns = now_ns + random_below(&client->random, 2 * operations * each_ns + 1);
}

void client_batch_make(struct cluster_clients *clients, struct client *client, uint64_t now_ns) {
    struct client_connection *connection = &client->connection;
    for (uint32_t i = 0; i < CLUSTER_CLIENTS_ONCE; i++)
        if (once_is_due(&client->once[i], now_ns))
            once_repeat(clients, client, &client->once[i], now_ns);
    if (clients->is_on && !clients->is_full && now_ns >= client->batch_ns) {
        const uint32_t operations =
            random_chance(&client->random, 1, 2)
                ? 1
                : 1 + (uint32_t)random_below(&client->random, clients->options.batch_max);
        struct client_command command = {0};
        for (uint32_t i = 0; i < operations && !clients->is_full; i++) {
            if (client_chance(client, clients->options.beside_share))
                add_beside(client, now_ns);
            operation_add(clients, client, &command, now_ns);
        }
        kv_model_text_free(&command.text);
        next_batch(clients, client, now_ns, operations);
    }
    connection->in_pieces = client_chance(client, clients->options.piece_share);
    connection->send_ns = now_ns;
    ASSERT(connection->batches_left > 0);
    if (--connection->batches_left == 0)
        part(client, now_ns);
}
