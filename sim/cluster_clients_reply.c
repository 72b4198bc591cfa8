/*
 * Replies: where one ends, and what it means for the command that it belongs to.
 *
 * The happy path: a connection's first reply belongs to its oldest command. What it means is the
 * code word's to say (history_outcome_of); an error that is the command's result is as ok as any
 * other. A redirect says where the client goes next.
 *
 * Failure modes are findings: bytes that are no reply, a reply to no command, and a reply that a
 * command beside cannot have.
 */

#include "sim/cluster_clients_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"

/* ---- Where a reply ends ---------------------------------------------------------------------- */

enum { REPLY_DEPTH_MAX = 8, REPLY_LINE_BYTES_MAX = 4096 };

static int64_t length_at(const char *bytes, size_t length, uint32_t depth);

/* The length of so many replies from `at` on. */
static int64_t elements_length(const char *bytes, size_t length, size_t at, uint64_t count,
                               uint32_t depth) {
    for (; count > 0; count--) {
        const int64_t element = length_at(bytes + at, length - at, depth + 1);
        if (element <= 0)
            return element;
        at += (size_t)element;
    }
    return (int64_t)at;
}

static int64_t length_at(const char *bytes, size_t length, uint32_t depth) {
    if (length == 0)
        return 0;
    if (depth > REPLY_DEPTH_MAX || memchr("+-:,#_(*$=%~>", bytes[0], 13) == NULL)
        return -1;
    const char *newline = memchr(bytes, '\n', length);
    if (newline == NULL)
        return length > REPLY_LINE_BYTES_MAX ? -1 : 0;
    const size_t line = (size_t)(newline - bytes) + 1;
    if (line < 3 || bytes[line - 2] != '\r' || memchr(bytes, '\r', line) != bytes + line - 2)
        return -1;
    if (memchr("+-,#_(", bytes[0], 6) != NULL)
        return (int64_t)line;
    int64_t number;
    if (decimal_parse_i64(bytes + 1, line - 3, &number) != 0)
        return -1;
    if (bytes[0] == ':')
        return (int64_t)line;
    if (number < -1 || number > INT32_MAX)
        return -1;
    if (number == -1)
        return memchr("*$", bytes[0], 2) != NULL ? (int64_t)line : -1;
    if (bytes[0] == '$' || bytes[0] == '=') {
        const size_t whole = line + (size_t)number + 2;
        if (length < whole)
            return 0;
        return memcmp(bytes + whole - 2, "\r\n", 2) == 0 ? (int64_t)whole : -1;
    }
    return elements_length(bytes, length, line, (uint64_t)number << (bytes[0] == '%'), depth);
}

int64_t client_reply_length(const char *bytes, size_t length) {
    return length_at(bytes, length, 0);
}

/* ---- What it means --------------------------------------------------------------------------- */

static bool begins(const struct kv_model_word *reply, const char *with) {
    const size_t length = strlen(with);
    return reply->length >= length && memcmp(reply->data, with, length) == 0;
}

void client_return(struct cluster_clients *clients, uint32_t operation, uint64_t returned_ns,
                   enum history_outcome outcome, const char *reply, size_t reply_bytes) {
    const int error =
        history_return(&clients->history, operation, returned_ns, outcome, reply, reply_bytes);
    ASSERT(error == 0 || error == WEIR_EFULL);
    clients->is_full |= error != 0;
    clients->counts.ok += outcome == HISTORY_OK;
    clients->counts.refused += outcome == HISTORY_REFUSED;
    clients->counts.unknown += outcome == HISTORY_UNKNOWN;
}

void client_once_end(struct cluster_clients *clients, struct client_once *once, uint64_t now_ns) {
    ASSERT(once->operation != CLIENT_NONE);
    client_return(clients, once->operation, once->maybe_applied ? HISTORY_NEVER : now_ns,
                  once->maybe_applied ? HISTORY_UNKNOWN : HISTORY_REFUSED, NULL, 0);
    once->operation = CLIENT_NONE;
}

/* The host that "-MOVED slot host:port" names, among options.hosts; CLIENT_NONE: nobody's. */
static uint32_t moved_to(const struct cluster_clients *clients, const struct kv_model_word *reply) {
    const struct cluster_clients_options *options = &clients->options;
    const char *end = reply->data + reply->length - 2;
    const char *address = end;
    while (address > reply->data && address[-1] != ' ')
        address--;
    const size_t length = (size_t)(end - address);
    for (uint32_t i = 0; i < options->host_count; i++) {
        char usual[WORLD_ADDRESS_BYTES];
        world_address(usual, options->hosts[i], options->port);
        const char *other = options->advertised[i];
        if ((strlen(usual) == length && memcmp(usual, address, length) == 0) ||
            (other != NULL && strlen(other) == length && memcmp(other, address, length) == 0))
            return i;
    }
    return CLIENT_NONE;
}

/* Does what a refusal advises. */
static void follow(struct cluster_clients *clients, struct client *client,
                   const struct kv_model_word *reply, uint64_t now_ns) {
    static const uint64_t back_off_ns = 50 * 1000 * 1000;
    const bool is_moved = begins(reply, "-MOVED ");
    clients->counts.refused_for_room += begins(reply, "-MISCONF ");
    if (is_moved || begins(reply, "-CLUSTERDOWN ") || begins(reply, "-READONLY ") ||
        begins(reply, "-EXECABORT ")) {
        const uint32_t host = is_moved ? moved_to(clients, reply) : CLIENT_NONE;
        clients->counts.moved += is_moved;
        if (!client->connection.is_leaving || client->target == CLIENT_NONE)
            client->target = host;
        client->connection.is_leaving = true;
        /* A hint may be old, and two nodes may each name the other. */
        client->connect_ns =
            now_ns + random_below(&client->random, is_moved ? back_off_ns / 8 : back_off_ns);
    } else if (begins(reply, "-TRYAGAIN ")) {
        client->wait_ns = now_ns + random_below(&client->random, back_off_ns);
    }
}

/* ---- Whose it is ----------------------------------------------------------------------------- */

static void once_answered(struct cluster_clients *clients, struct client *client,
                          struct client_once *once, const struct kv_model_word *reply,
                          uint64_t now_ns) {
    static const uint64_t retry_within_ns = 100 * 1000 * 1000;
    enum history_outcome outcome = history_outcome_of(reply->data, reply->length);
    once->in_flight = false;
    if (begins(reply, "-SESSION ")) {
        if (client->session == once->session)
            client->session = 0;
        client_once_end(clients, once, now_ns);
        return;
    }
    if (begins(reply, "-SEQUENCE ") || (begins(reply, "-APPLIED ") && !once->maybe_applied))
        client_find(clients, client, "%.*s to session %" PRIu64 ", sequence %" PRIu64 ", try %u",
                    (int)reply->length - 2, reply->data, once->session, once->sequence,
                    once->tries);
    if (begins(reply, "-APPLIED ")) {
        client_once_end(clients, once, now_ns);
        return;
    }
    if (outcome == HISTORY_OK) {
        client_return(clients, once->operation, now_ns, outcome, reply->data, reply->length);
        once->operation = CLIENT_NONE;
        return;
    }
    once->maybe_applied |= outcome == HISTORY_UNKNOWN;
    once->retry_ns = now_ns + random_below(&client->random, retry_within_ns);
    if (outcome == HISTORY_REFUSED)
        follow(clients, client, reply, now_ns);
}

static void opened(struct cluster_clients *clients, struct client *client,
                   const struct kv_model_word *reply, uint64_t now_ns) {
    int64_t session;
    client->opening = false;
    if (*reply->data == ':' &&
        decimal_parse_i64(reply->data + 1, reply->length - 3, &session) == 0 && session > 0) {
        client->session = (uint64_t)session;
        client->sequence = 0;
    } else if (history_outcome_of(reply->data, reply->length) == HISTORY_OK) {
        client_find(clients, client, "ONCE.OPEN was answered %.*s", (int)reply->length - 2,
                    reply->data);
    } else {
        follow(clients, client, reply, now_ns);
    }
}

/* A reply that belongs to a command beside. */
static void beside_answered(struct cluster_clients *clients, struct client *client,
                            enum client_slot_kind kind, const struct kv_model_word *reply) {
    const bool is_error = *reply->data == '-';
    bool is_right = false;
    switch (kind) {
    case CLIENT_SLOT_HELLO: is_right = *reply->data == '%'; break;
    case CLIENT_SLOT_MULTI:
    case CLIENT_SLOT_READS: is_right = begins(reply, "+OK\r\n"); break;
    case CLIENT_SLOT_QUEUED: is_right = begins(reply, "+QUEUED\r\n"); break;
    case CLIENT_SLOT_PING: is_right = begins(reply, "+PONG\r\n"); break;
    case CLIENT_SLOT_MALFORMED: is_right = is_error; break;
    case CLIENT_SLOT_OPERATION:
    case CLIENT_SLOT_WATCH:
    case CLIENT_SLOT_ONCE:
    case CLIENT_SLOT_OPEN: UNREACHABLE("it is not beside");
    }
    clients->counts.beside++;
    if (!is_right && !(is_error && history_outcome_of(reply->data, reply->length) != HISTORY_OK))
        client_find(clients, client, "a command beside (%d) was answered %.*s", (int)kind,
                    reply->length > 100 ? 100 : (int)reply->length - 2, reply->data);
}

static void reply_take(struct cluster_clients *clients, struct client *client,
                       const struct kv_model_word *reply, uint64_t now_ns) {
    struct client_connection *connection = &client->connection;
    ASSERT(reply->length >= 3);
    if (connection->slot_count == 0) {
        if (begins(reply, "-ERR max number of clients reached\r\n")) {
            return; /* said to a connection too many, which ends now */
        }
        client_find(clients, client, "connection %u has a reply to no command: %.*s",
                    connection->number, reply->length > 100 ? 100 : (int)reply->length - 2,
                    reply->data);
        return;
    }
    const struct client_slot slot = connection->slots[connection->slot_first];
    connection->slot_first = (connection->slot_first + 1) % CLIENT_SLOTS;
    connection->slot_count--;
    if (connection->out_bytes <= slot.begin_bytes)
        client_find(clients, client, "connection %u has a reply to what was not sent: %.*s",
                    connection->number, reply->length > 100 ? 100 : (int)reply->length - 2,
                    reply->data);
    if (slot.kind == CLIENT_SLOT_ONCE) {
        once_answered(clients, client, &client->once[slot.once], reply, now_ns);
    } else if (slot.kind == CLIENT_SLOT_OPEN) {
        opened(clients, client, reply, now_ns);
    } else if (slot.kind == CLIENT_SLOT_OPERATION || slot.kind == CLIENT_SLOT_WATCH) {
        if (slot.operation == connection->watch_operation &&
            connection->watch == CLIENT_WATCH_ASKED)
            connection->watch = begins(reply, "+OK\r\n") ? CLIENT_WATCHES : CLIENT_WATCHES_NOTHING;
        const enum history_outcome outcome = history_outcome_of(reply->data, reply->length);
        client_return(clients, slot.operation, now_ns, outcome, reply->data, reply->length);
        if (outcome == HISTORY_REFUSED)
            follow(clients, client, reply, now_ns);
    } else {
        beside_answered(clients, client, slot.kind, reply);
    }
}

/* ---- Taking them ----------------------------------------------------------------------------- */

/* As reply_take, through eyes that may be spoilt. */
static void reply_see(struct cluster_clients *clients, struct client *client,
                      const struct kv_model_word *reply, uint64_t now_ns) {
    struct kv_model_text *held = &client->connection.held;
    const bool is_it = ++clients->replies == clients->options.spoiling_reply;
    const enum cluster_clients_spoiling spoiling =
        is_it ? clients->options.spoiling : CLUSTER_CLIENTS_SPOIL_NOTHING;
    if (spoiling == CLUSTER_CLIENTS_SPOIL_SWAP) {
        kv_model_text_append(held, reply->data, reply->length);
        return;
    }
    if (spoiling != CLUSTER_CLIENTS_SPOIL_DROP)
        reply_take(clients, client, reply, now_ns);
    if (spoiling == CLUSTER_CLIENTS_SPOIL_DUPLICATE)
        reply_take(clients, client, reply, now_ns);
    if (held->length > 0) {
        const struct kv_model_word kept = {held->data, held->length};
        reply_take(clients, client, &kept, now_ns);
        held->length = 0;
    }
}

bool client_replies_take(struct cluster_clients *clients, struct client *client, uint64_t now_ns) {
    struct kv_model_text *in = &client->connection.in;
    size_t at = 0;
    int64_t length = 0;
    while (clients->finding[0] == '\0' &&
           (length = client_reply_length(in->data + at, in->length - at)) > 0) {
        const struct kv_model_word reply = {in->data + at, (size_t)length};
        reply_see(clients, client, &reply, now_ns);
        at += (size_t)length;
    }
    if (at > 0) {
        memmove(in->data, in->data + at, in->length - at);
        in->length -= at;
    }
    if (length < 0)
        client_find(clients, client, "connection %u received what is no reply: %.*s",
                    client->connection.number, in->length > 100 ? 100 : (int)in->length, in->data);
    return clients->finding[0] == '\0';
}
