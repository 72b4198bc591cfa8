/*
 * Random commands. See sim/cluster_clients.h.
 *
 * A command is drawn from a table of weights: reads, writes, and those of keys with deadlines. Most
 * writes are made unique, so that an entry of the log tells whose it is.
 */

#include "sim/cluster_clients_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

/* ---- Words ----------------------------------------------------------------------------------- */

void client_add_bytes(struct client_command *command, const void *bytes, size_t length) {
    ASSERT(command->word_count < HISTORY_WORDS_MAX);
    command->offsets[command->word_count++] = command->text.length;
    kv_model_text_append(&command->text, bytes, length);
    command->offsets[command->word_count] = command->text.length;
}

void client_add_word(struct client_command *command, const char *word) {
    client_add_bytes(command, word, strlen(word));
}

void client_add_number(struct client_command *command, uint64_t number) {
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRIu64, number);
    client_add_word(command, text);
}

/* A key of a sort: 'k', 'n', 'a' or 'x'. */
void client_add_key(const struct cluster_clients *clients, struct client *client,
                    struct client_command *command, char sort) {
    char text[16];
    (void)snprintf(text, sizeof(text), "%c%" PRIu64, sort,
                   random_below(&client->random, clients->options.keys));
    client_add_word(command, text);
}

/* A key of a sort that has no deadline. */
static void add_lasting_key(const struct cluster_clients *clients, struct client *client,
                            struct client_command *command) {
    static const char sorts[] = {'k', 'k', 'n', 'a'};
    client_add_key(clients, client, command, sorts[random_below(&client->random, sizeof(sorts))]);
}

/* A number that this run has not had: of this client, and its how manieth. */
uint64_t client_unique(const struct cluster_clients *clients, struct client *client) {
    return ++client->serial * clients->options.clients + client->number;
}

/* A word that nobody else writes; now and then a long one, of any bytes. */
static void add_value(const struct cluster_clients *clients, struct client *client,
                      struct client_command *command) {
    char stamp[48];
    const int stamp_bytes =
        snprintf(stamp, sizeof(stamp), "v%" PRIu64, client_unique(clients, client));
    client_add_bytes(command, stamp, (size_t)stamp_bytes);
    if (!client_chance(client, clients->options.long_share))
        return;
    const size_t length = (size_t)random_below(&client->random, clients->options.value_bytes_max -
                                                                    (uint32_t)stamp_bytes + 1);
    for (size_t done = 0; done < length;) {
        const uint64_t bytes = random_u64(&client->random);
        const size_t piece = length - done < sizeof(bytes) ? length - done : sizeof(bytes);
        kv_model_text_append(&command->text, &bytes, piece);
        done += piece;
    }
    command->offsets[command->word_count] = command->text.length;
    command->is_plain = false;
}

/* ---- Commands -------------------------------------------------------------------------------- */

typedef void make_command(const struct cluster_clients *clients, struct client *client,
                          struct client_command *command);

static void make_get(const struct cluster_clients *clients, struct client *client,
                     struct client_command *command) {
    static const char *const names[] = {"GET", "GET", "GET", "STRLEN", "TYPE", "EXISTS"};
    client_add_word(command, names[random_below(&client->random, ARRAY_COUNT(names))]);
    add_lasting_key(clients, client, command);
}

static void make_mget(const struct cluster_clients *clients, struct client *client,
                      struct client_command *command) {
    client_add_word(command, random_chance(&client->random, 1, 5) ? "EXISTS" : "MGET");
    for (uint64_t left = 2 + random_below(&client->random, 5); left > 0; left--)
        add_lasting_key(clients, client, command);
}

/* Notes key and value of a SET whose value is short. */
static void note_guess(struct client *client, const struct client_command *command) {
    const char *text = command->text.data;
    const size_t key_bytes = command->offsets[2] - command->offsets[1];
    const size_t value_bytes = command->offsets[3] - command->offsets[2];
    ASSERT(command->word_count == 3 && key_bytes < sizeof(client->guess_key));
    if (value_bytes >= sizeof(client->guess))
        return;
    memcpy(client->guess_key, text + command->offsets[1], key_bytes);
    memcpy(client->guess, text + command->offsets[2], value_bytes);
    client->guess_key[key_bytes] = client->guess[value_bytes] = 0;
}

static void make_set(const struct cluster_clients *clients, struct client *client,
                     struct client_command *command) {
    client_add_word(command, "SET");
    client_add_key(clients, client, command, 'k');
    add_value(clients, client, command);
    note_guess(client, command);
    if (random_chance(&client->random, 1, 6))
        client_add_word(command, random_chance(&client->random, 1, 2) ? "NX" : "XX");
    if (random_chance(&client->random, 1, 6))
        client_add_word(command, "GET");
}

static void make_mset(const struct cluster_clients *clients, struct client *client,
                      struct client_command *command) {
    client_add_word(command, "MSET");
    for (uint64_t left = 1 + random_below(&client->random, 4); left > 0; left--) {
        client_add_key(clients, client, command, random_chance(&client->random, 1, 8) ? 'a' : 'k');
        add_value(clients, client, command);
    }
}

/* Whether this write may be one that others are like. */
bool client_draw_common(struct client *client, struct client_command *command) {
    command->is_common = command->may_be_common && random_chance(&client->random, 1, 2);
    return command->is_common;
}

/* By one, or by an amount that nobody else adds. */
static void make_incr(const struct cluster_clients *clients, struct client *client,
                      struct client_command *command) {
    const bool is_common = client_draw_common(client, command);
    client_add_word(command, !is_common                             ? "INCRBY"
                             : random_chance(&client->random, 1, 2) ? "INCR"
                                                                    : "DECR");
    /* Now and then what is no number: an error that apply decides. */
    client_add_key(clients, client, command, random_chance(&client->random, 1, 20) ? 'k' : 'n');
    if (!is_common)
        client_add_number(command, client_unique(clients, client));
}

static void make_append(const struct cluster_clients *clients, struct client *client,
                        struct client_command *command) {
    client_add_word(command, "APPEND");
    client_add_key(clients, client, command, 'a');
    add_value(clients, client, command);
}

/* Or also a key that nobody else names, and that is not there. */
static void make_del(const struct cluster_clients *clients, struct client *client,
                     struct client_command *command) {
    client_add_word(command, "DEL");
    add_lasting_key(clients, client, command);
    if (!client_draw_common(client, command)) {
        char text[32];
        (void)snprintf(text, sizeof(text), "none:%" PRIu64, client_unique(clients, client));
        client_add_word(command, text);
    }
}

/* SET with a deadline or without, or one of the commands that change it. */
static void make_expiry_write(const struct cluster_clients *clients, struct client *client,
                              struct client_command *command) {
    static const char *const common[] = {"EXPIRE", "PEXPIRE", "PERSIST"};
    if (client_draw_common(client, command)) {
        const uint64_t which = random_below(&client->random, ARRAY_COUNT(common));
        client_add_word(command, common[which]);
        client_add_key(clients, client, command, 'x');
        if (which < 2)
            client_add_number(command, 1 + random_below(&client->random, which == 0 ? 5 : 3000));
        return;
    }
    const uint64_t which = random_below(&client->random, 4);
    client_add_word(command, "SET");
    client_add_key(clients, client, command, 'x');
    add_value(clients, client, command);
    if (which < 3) {
        client_add_word(command, which == 0 ? "EX" : "PX");
        client_add_number(command, 1 + random_below(&client->random, which == 0 ? 3 : 3000));
    }
}

static void make_expiry_read(const struct cluster_clients *clients, struct client *client,
                             struct client_command *command) {
    static const char *const names[] = {"GET", "GET", "TTL", "PTTL", "EXISTS"};
    client_add_word(command, names[random_below(&client->random, ARRAY_COUNT(names))]);
    client_add_key(clients, client, command, 'x');
}

static void make_listing(const struct cluster_clients *clients, struct client *client,
                         struct client_command *command) {
    (void)clients;
    const bool is_keys = random_chance(&client->random, 1, 2);
    client_add_word(command, is_keys ? "KEYS" : "DBSIZE");
    if (is_keys) {
        static const char *const patterns[] = {"*", "k*", "?1", "[nx]*"};
        client_add_word(command, patterns[random_below(&client->random, ARRAY_COUNT(patterns))]);
        command->is_plain = false;
    }
}

/* ---- Beside SET and GET ---------------------------------------------------------------------- */

/* CAS of what this client set last, or of what is absent. */
static void make_cas(const struct cluster_clients *clients, struct client *client,
                     struct client_command *command) {
    const bool guesses = client->guess[0] != 0 && random_chance(&client->random, 2, 3);
    client_add_word(command, "CAS");
    if (guesses)
        client_add_word(command, client->guess_key);
    else
        client_add_key(clients, client, command, 'k');
    client_add_word(command, guesses ? client->guess : "");
    add_value(clients, client, command);
    if (!guesses)
        client_add_word(command, "ABSENT");
    command->is_plain = false;
}

static void make_exchange_write(const struct cluster_clients *clients, struct client *client,
                                struct client_command *command) {
    static const char *const names[] = {"GETSET", "SETNX", "SETRANGE", "DECRBY", "UNLINK"};
    if (client_draw_common(client, command)) {
        static const char *const common[] = {"GETDEL", "GETEX", "RENAME", "COPY"};
        const uint64_t which = random_below(&client->random, ARRAY_COUNT(common));
        client_add_word(command, common[which]);
        client_add_key(clients, client, command, which < 2 ? 'k' : 'x');
        if (which >= 2)
            client_add_key(clients, client, command, 'x');
        if (which == 3)
            client_add_word(command, "REPLACE");
        return;
    }
    const uint64_t which = random_below(&client->random, ARRAY_COUNT(names) + 3);
    if (which >= ARRAY_COUNT(names)) {
        make_cas(clients, client, command);
        return;
    }
    client_add_word(command, names[which]);
    client_add_key(clients, client, command, which == 2 ? 'a' : which == 3 ? 'n' : 'k');
    if (which == 2)
        client_add_number(command, random_below(&client->random, 30));
    if (which < 3) {
        add_value(clients, client, command);
        return;
    }
    char text[32];
    (void)snprintf(text, sizeof(text), which == 3 ? "%" PRIu64 : "none:%" PRIu64,
                   client_unique(clients, client));
    client_add_word(command, text);
}

static void make_exchange_read(const struct cluster_clients *clients, struct client *client,
                               struct client_command *command) {
    const bool is_part = random_chance(&client->random, 2, 3);
    client_add_word(command, is_part ? "GETRANGE" : "TOUCH");
    client_add_key(clients, client, command, is_part ? 'a' : 'k');
    if (is_part) {
        const uint64_t start = random_below(&client->random, 30);
        client_add_number(command, start);
        client_add_number(command, start + random_below(&client->random, 30));
    }
}

/* Sets of some hundred members, so that they come to be large ones, and are taken apart again. */
static void make_set_write(const struct cluster_clients *clients, struct client *client,
                           struct client_command *command) {
    if (client_draw_common(client, command)) {
        static const char *const common[] = {"SPOP", "SPOP", "SUNIONSTORE"};
        const uint64_t which = random_below(&client->random, ARRAY_COUNT(common));
        client_add_word(command, common[which]);
        client_add_key(clients, client, command, 's');
        if (which == 1)
            client_add_number(command, random_below(&client->random, 30));
        for (uint32_t i = 0; which == 2 && i < 2; i++)
            client_add_key(clients, client, command, 's');
        return;
    }
    client_add_word(command, "SADD");
    client_add_key(clients, client, command, 's');
    for (uint64_t left = 1 + random_below(&client->random, HISTORY_WORDS_MAX - 2); left > 0; left--)
        client_add_number(command, client_unique(clients, client));
}

static void make_set_read(const struct cluster_clients *clients, struct client *client,
                          struct client_command *command) {
    client_add_word(command, random_chance(&client->random, 1, 8) ? "SMEMBERS" : "SCARD");
    client_add_key(clients, client, command, 's');
}

struct command_row {
    uint32_t weight;
    make_command *make;
};

static const struct command_row write_rows[] = {
    {40, make_set}, {12, make_mset}, {24, make_incr}, {12, make_append}, {12, make_del},
};

static const struct command_row read_rows[] = {{70, make_get}, {30, make_mget}};

static make_command *row_draw(struct random *random, const struct command_row *rows, size_t count) {
    uint32_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += rows[i].weight;
    uint64_t drawn = random_below(random, total);
    size_t i = 0;
    for (; drawn >= rows[i].weight; i++)
        drawn -= rows[i].weight;
    ASSERT(i < count);
    return rows[i].make;
}

/* Says where the words are, once their text moves no more. */
static void client_command_finish(struct client_command *command) {
    ASSERT(command->word_count > 0);
    for (uint32_t i = 0; i < command->word_count; i++)
        command->words[i] = (struct kv_model_word){command->text.data + command->offsets[i],
                                                   command->offsets[i + 1] - command->offsets[i]};
}

void client_command_make(struct cluster_clients *clients, struct client *client,
                         struct client_command *command) {
    const struct cluster_clients_options *options = &clients->options;
    command->word_count = 0;
    command->text.length = 0;
    command->is_plain = true;
    command->is_common = false;
    command->is_write = !client_chance(client, options->read_share) && !command->must_read;
    command->is_watch = false;
    if (options->transaction_share > 0 && client_chance(client, options->transaction_share) &&
        client_transaction_make(clients, client, command)) {
        client_command_finish(command);
        return;
    }
    make_command *make;
    if (options->collection_share > 0 && client_chance(client, options->collection_share))
        make = command->is_write ? client_collection_write : client_collection_read;
    else if (options->exchange_share > 0 && client_chance(client, options->exchange_share))
        make = command->is_write ? make_exchange_write : make_exchange_read;
    else if (options->set_share > 0 && client_chance(client, options->set_share))
        make = command->is_write ? make_set_write : make_set_read;
    else if (client_chance(client, options->expiry_share))
        make = command->is_write ? make_expiry_write : make_expiry_read;
    else if (command->is_write)
        make = row_draw(&client->random, write_rows, ARRAY_COUNT(write_rows));
    else if (options->set_share + options->collection_share + options->transaction_share == 0 &&
             client_chance(client, options->listing_share))
        make = make_listing;
    else
        make = row_draw(&client->random, read_rows, ARRAY_COUNT(read_rows));
    make(clients, client, command);
    client_command_finish(command);
}

void client_command_encode(struct kv_model_text *out, const struct kv_model_word *words,
                           uint32_t count, bool is_line) {
    ASSERT(count > 0);
    char text[32];
    if (!is_line) {
        const int bytes = snprintf(text, sizeof(text), "*%u\r\n", count);
        kv_model_text_append(out, text, (size_t)bytes);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!is_line) {
            const int bytes = snprintf(text, sizeof(text), "$%zu\r\n", words[i].length);
            kv_model_text_append(out, text, (size_t)bytes);
        }
        kv_model_text_append(out, words[i].data, words[i].length);
        if (!is_line || i + 1 == count)
            kv_model_text_append(out, "\r\n", 2);
        else
            kv_model_text_append(out, " ", 1);
    }
}
