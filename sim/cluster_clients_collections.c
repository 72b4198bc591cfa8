/*
 * Random commands about hashes, lists, sets and sorted sets; and transactions of them.
 *
 * Most writes are unique, by a value, an amount or a member that nobody else names. What takes
 * something away (LPOP and the like) is not: it is asked under ONCE, or in a transaction that is
 * unique by its first command.
 */

#include "sim/cluster_clients_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

enum {
    FIELDS = 4,       /* of a hash, and members of a sorted set that come again and again */
    RANGE_ENDS = 8,   /* of LRANGE and ZRANGE */
    MEMBERS_AGO = 12, /* what a client removes is one of its last so many numbers */
};

static uint64_t below(struct client *client, uint64_t bound) {
    return random_below(&client->random, bound);
}

/* A word of a letter and a number. */
static void add_named(struct client_command *command, const char *name, uint64_t number) {
    char text[40];
    (void)snprintf(text, sizeof(text), "%s%" PRIu64, name, number);
    client_add_word(command, text);
}

/* One of this client's last unique numbers, whatever it was used for. */
static void add_former(const struct cluster_clients *clients, struct client *client,
                       struct client_command *command) {
    const uint64_t ago = below(client, MEMBERS_AGO);
    const uint64_t serial = client->serial > ago ? client->serial - ago : 0;
    client_add_number(command, serial * clients->options.clients + client->number);
}

/* ---- Writes ---------------------------------------------------------------------------------- */

/* Takes something away; others may be like it. */
static void make_taking(const struct cluster_clients *clients, struct client *client,
                        struct client_command *command) {
    static const char *const names[] = {"LPOP", "RPOP", "LMOVE", "SPOP", "SREM", "HDEL", "ZPOPMIN"};
    static const char sorts[] = {'l', 'l', 'l', 'm', 'm', 'h', 'z'};
    const uint64_t which = below(client, ARRAY_COUNT(names));
    client_add_word(command, names[which]);
    client_add_key(clients, client, command, sorts[which]);
    if (which == 2) {
        client_add_key(clients, client, command, 'l');
        client_add_word(command, below(client, 2) == 0 ? "LEFT" : "RIGHT");
        client_add_word(command, below(client, 2) == 0 ? "LEFT" : "RIGHT");
    } else if (which == 4) {
        add_former(clients, client, command);
    } else if (which == 5) {
        add_named(command, "f", below(client, FIELDS));
    }
}

/* Puts something in, or counts; nobody else's is like it. */
static void make_putting(const struct cluster_clients *clients, struct client *client,
                         struct client_command *command) {
    static const char *const names[] = {"HSET", "HINCRBY", "HDEL", "LPUSH", "RPUSH",  "LPUSH",
                                        "SADD", "SADD",    "ZADD", "ZADD",  "ZINCRBY"};
    static const char sorts[] = {'h', 'h', 'h', 'l', 'l', 'l', 'm', 'm', 'z', 'z', 'z'};
    const uint64_t which = below(client, ARRAY_COUNT(names));
    const uint64_t number = client_unique(clients, client);
    client_add_word(command, names[which]);
    client_add_key(clients, client, command, sorts[which]);
    switch (which) {
    case 0:
        add_named(command, "f", below(client, FIELDS));
        add_named(command, "v", number);
        break;
    case 1:
        add_named(command, "c", below(client, FIELDS));
        add_named(command, below(client, 2) == 0 ? "-" : "", number);
        break;
    case 2:
        add_named(command, "f", below(client, FIELDS));
        add_named(command, "none:", number);
        break;
    case 8: /* a score among others */
        client_add_number(command, below(client, FIELDS));
        add_named(command, "v", number);
        break;
    case 9:
    case 10:
        client_add_number(command, number);
        add_named(command, "p", below(client, FIELDS));
        break;
    default: client_add_number(command, number); break;
    }
}

void client_collection_write(const struct cluster_clients *clients, struct client *client,
                             struct client_command *command) {
    if (client_draw_common(client, command))
        make_taking(clients, client, command);
    else
        make_putting(clients, client, command);
}

/* ---- Reads ----------------------------------------------------------------------------------- */

void client_collection_read(const struct cluster_clients *clients, struct client *client,
                            struct client_command *command) {
    static const char *const names[] = {"HGET",      "HGETALL", "HLEN",   "HEXISTS",  "LLEN",
                                        "LRANGE",    "LRANGE",  "SCARD",  "SMEMBERS", "SISMEMBER",
                                        "SISMEMBER", "ZCARD",   "ZRANGE", "ZSCORE"};
    static const char sorts[] = {'h', 'h', 'h', 'h', 'l', 'l', 'l',
                                 'm', 'm', 'm', 'm', 'z', 'z', 'z'};
    const uint64_t which = below(client, ARRAY_COUNT(names));
    client_add_word(command, names[which]);
    client_add_key(clients, client, command, sorts[which]);
    const bool from_end = below(client, 2) == 0;
    switch (which) {
    case 0:
    case 3: add_named(command, below(client, 2) == 0 ? "f" : "c", below(client, FIELDS)); break;
    case 5:
    case 6:
    case 12:
        add_named(command, from_end ? "-" : "", 1 + below(client, RANGE_ENDS));
        add_named(command, from_end ? "-" : "", 1 + below(client, RANGE_ENDS));
        break;
    case 9:
    case 10: add_former(clients, client, command); break;
    case 13: add_named(command, "p", below(client, FIELDS)); break;
    default: break;
    }
}

/* ---- Transactions ---------------------------------------------------------------------------- */

/* A key of any sort that has no deadline. */
static void add_any_key(const struct cluster_clients *clients, struct client *client,
                        struct client_command *command) {
    static const char sorts[] = {'h', 'h', 'l', 'm', 'z', 'n', 'k'};
    client_add_key(clients, client, command, sorts[below(client, sizeof(sorts))]);
}

static void make_watch(const struct cluster_clients *clients, struct client *client,
                       struct client_command *command) {
    struct client_connection *connection = &client->connection;
    client_add_word(command, "WATCH");
    add_any_key(clients, client, command);
    const size_t length = command->offsets[2] - command->offsets[1];
    ASSERT(length < sizeof(connection->watched));
    memcpy(connection->watched, command->text.data + command->offsets[1], length);
    connection->watched[length] = 0;
    connection->watch = CLIENT_WATCH_ASKED;
    command->is_write = false;
    command->is_watch = true;
}

/* Adds a command behind the number of its words. */
static void add_inner(const struct cluster_clients *clients, struct client *client,
                      struct client_command *command,
                      void (*make)(const struct cluster_clients *clients, struct client *client,
                                   struct client_command *command)) {
    /* What it makes is known when it is made: it is made beside. */
    struct client_command inner = {.may_be_common = false};
    make(clients, client, &inner);
    client_add_number(command, inner.word_count);
    for (uint32_t i = 0; i < inner.word_count; i++)
        client_add_bytes(command, inner.text.data + inner.offsets[i],
                         inner.offsets[i + 1] - inner.offsets[i]);
    kv_model_text_free(&inner.text);
}

/* Some of a counter goes to another one. */
static void make_transfer(const struct cluster_clients *clients, struct client *client,
                          struct client_command *command) {
    const uint64_t amount = client_unique(clients, client);
    const bool is_in_hashes = below(client, 3) > 0;
    for (uint32_t i = 0; i < 2; i++) {
        client_add_number(command, is_in_hashes ? 4 : 3);
        client_add_word(command, is_in_hashes ? "HINCRBY" : "INCRBY");
        client_add_key(clients, client, command, is_in_hashes ? 'h' : 'n');
        if (is_in_hashes)
            add_named(command, "c", below(client, FIELDS));
        add_named(command, i == 0 ? "-" : "", amount);
    }
}

static void make_exec(const struct cluster_clients *clients, struct client *client,
                      struct client_command *command) {
    struct client_connection *connection = &client->connection;
    client_add_word(command, "EXEC");
    if (connection->watch == CLIENT_WATCHES) {
        client_add_number(command, 2);
        client_add_word(command, "WATCH");
        client_add_word(command, connection->watched);
        connection->watch = CLIENT_WATCHES_NOTHING;
    }
    uint32_t left = CLIENT_TRANSACTION_COMMANDS - 2;
    if (!command->is_write)
        add_inner(clients, client, command, client_collection_read);
    else if (below(client, 2) == 0)
        make_transfer(clients, client, command);
    else
        add_inner(clients, client, command, make_putting);
    for (left = (uint32_t)below(client, left + 1); left > 0; left--) {
        const uint64_t which = command->is_write ? below(client, 3) : 0;
        add_inner(clients, client, command,
                  which == 0   ? client_collection_read
                  : which == 1 ? make_putting
                               : make_taking);
    }
}

bool client_transaction_make(const struct cluster_clients *clients, struct client *client,
                             struct client_command *command) {
    const struct client_connection *connection = &client->connection;
    const bool watches = connection->watch != CLIENT_WATCHES_NOTHING;
    if (connection->is_stale || connection->watch == CLIENT_WATCH_ASKED ||
        (watches && (command->may_be_common || !command->is_write)))
        return false;
    command->is_plain = false;
    if (command->is_write && !command->may_be_common && !watches && below(client, 2) == 0)
        make_watch(clients, client, command);
    else
        make_exec(clients, client, command);
    return true;
}
