/* See node_load.h. */

#include "tests/sim/node_load.h"
#include "tests/sim/node_load_commands.h"
#include "tests/sim/node_load_common.h"

#include "base/assert.h"
#include "base/checksum.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECEIVE_BYTES = 4096,
    /* Turns without anything happening before we believe that all is at rest. */
    REST_TURNS = 64,
    PROBE_TRIES = 200,
};

static void find(struct load *load, const char *what, uint32_t client) {
    if (load->finding[0] == '\0' && !load->is_blind)
        (void)snprintf(load->finding, sizeof(load->finding), "client %u: %s", client, what);
}

/* ---- commands ---------------------------------------------------------------------------- */

static void command_add(struct load *load, uint32_t number) {
    struct load_client *client = &load->clients[number];
    ASSERT(client->count < LOAD_PIPELINE);
    struct load_command *command = load_command_random(load, number);
    client->made_bytes += command->bytes.length;
    command->end = client->made_bytes;
    client->commands[(client->first + client->count++) % LOAD_PIPELINE] = command;
}

static void command_drop_first(struct load_client *client) {
    ASSERT(client->count > 0);
    load_command_free(client->commands[client->first]);
    client->first = (client->first + 1) % LOAD_PIPELINE;
    client->count--;
}

static void model_answer(struct load_client *client, const struct load_command *command,
                         struct kv_model_text *answer) {
    kv_model_execute(client->model, command->words, command->word_count, 0, 0, answer);
}

/* ---- connections ------------------------------------------------------------------------- */

/* The connection is over; what was sent and not answered is open. */
static void client_lose(struct load_client *client) {
    client->socket = NULL;
    client->received.length = 0;
    load_common_forget(client);
    if (client->answering) { /* a part of its answer has come: it has taken effect */
        client->answering = false;
        command_drop_first(client);
    }
    while (client->count > 0) {
        uint32_t last = (client->first + client->count - 1) % LOAD_PIPELINE;
        if (client->commands[last]->end <= client->sent_bytes)
            break;
        load_command_free(client->commands[last]);
        client->count--;
    }
    client->doubtful |= client->count > 0;
    client->made_bytes = 0;
    client->sent_bytes = 0;
}

static void client_cut(struct load *load, struct load_client *client) {
    world_client_reset(client->socket);
    client_lose(client);
    load->cuts++;
}

/* Sends what the socket takes; true if it took something. */
static bool client_send(struct load_client *client) {
    bool sent = false;
    for (uint32_t i = 0; i < client->count; i++) {
        const struct load_command *command = client->commands[(client->first + i) % LOAD_PIPELINE];
        if (command->end <= client->sent_bytes)
            continue;
        uint64_t begin = command->end - command->bytes.length;
        size_t offset = client->sent_bytes < begin ? 0 : (size_t)(client->sent_bytes - begin);
        size_t took = world_client_send(client->socket, command->bytes.data + offset,
                                        command->bytes.length - offset);
        client->sent_bytes += took;
        sent |= took > 0;
        if (offset + took < command->bytes.length)
            break;
    }
    return sent;
}

/* ---- answers ----------------------------------------------------------------------------- */

static bool text_begins(const struct kv_model_text *text, const char *with) {
    return text->length >= strlen(with) && memcmp(text->data, with, strlen(with)) == 0;
}

static void text_drop(struct kv_model_text *text, size_t length) {
    memmove(text->data, text->data + length, text->length - length);
    text->length -= length;
}

/* An error of the node's, not of the command's: true if it was one, which is then handled. */
static bool take_refusal(struct load *load, uint32_t number, size_t line_bytes) {
    struct load_client *client = &load->clients[number];
    if (text_begins(&client->received, "-UNKNOWN ")) {
        load->unknown++;
        client->doubtful = true;
    } else if (text_begins(&client->received, "-MISCONF ") ||
               text_begins(&client->received, "-CLUSTERDOWN ") ||
               text_begins(&client->received, "-TRYAGAIN ")) {
        load->refused++;
    } else {
        return false;
    }
    if (!load->refusals_expected)
        find(load, "a command was refused, or answered as unknown, and nothing was wrong", number);
    text_drop(&client->received, line_bytes);
    /* Behind one whose fate is open nothing is settled, though it was answered; a refused one has
       done nothing, and is forgotten. */
    if (!client->doubtful)
        command_drop_first(client);
    return true;
}

/* Judges the first answer received, if all of it is there. */
static bool take_answer(struct load *load, uint32_t number) {
    struct load_client *client = &load->clients[number];
    struct kv_model_text *received = &client->received;
    if (received->length == 0 || client->doubtful)
        return false;
    if (client->count == 0) {
        find(load, "an answer to no command", number);
        return false;
    }
    if (received->data[0] == '-') {
        const char *end = memchr(received->data, '\n', received->length);
        if (end == NULL)
            return false;
        if (take_refusal(load, number, (size_t)(end + 1 - received->data)))
            return true;
    }
    const struct load_command *command = client->commands[client->first];
    if (command->sort != LOAD_OWN) {
        size_t answer_bytes = load_common_judge(load, number);
        if (answer_bytes == 0)
            return false;
        text_drop(received, answer_bytes);
        command_drop_first(client);
        load->answered++;
        return true;
    }
    if (!client->answering) {
        model_answer(client, command, &client->expected);
        client->answering = true;
    }
    size_t length = client->expected.length;
    size_t compared = received->length < length ? received->length : length;
    if (memcmp(received->data, client->expected.data, compared) != 0) {
        char what[400];
        (void)snprintf(what, sizeof(what), "%.*s answered %.*s, expected %.*s (lengths %zu, %zu)",
                       (int)command->words[0].length, command->words[0].data,
                       (int)(received->length < 80 ? received->length : 80), received->data,
                       (int)(length < 80 ? length : 80), client->expected.data, received->length,
                       length);
        find(load, what, number);
        return false;
    }
    if (compared < length)
        return false;
    text_drop(received, length);
    client->answering = false;
    command_drop_first(client);
    load->answered++;
    return true;
}

/* Receives and judges; true if something came. */
static bool client_receive(struct load *load, uint32_t number) {
    struct load_client *client = &load->clients[number];
    char bytes[RECEIVE_BYTES];
    size_t got = world_client_receive(client->socket, bytes, sizeof(bytes));
    if (got > 0) {
        load->byte_hash = checksum_64(bytes, got, load->byte_hash + number);
        kv_model_text_append(&client->received, bytes, got);
        while (take_answer(load, number)) {
        }
        if (client->doubtful)
            client->received.length = 0;
        return true;
    }
    if (world_client_state(client->socket) != WORLD_CLIENT_OPEN) {
        client_cut(load, client);
        return true;
    }
    return false;
}

/* ---- turns ------------------------------------------------------------------------------- */

/* One client does what it can; true if anything moved. */
static bool client_turn(struct load *load, uint32_t number, bool more) {
    struct load_client *client = &load->clients[number];
    if (client->socket == NULL) {
        if (!more || client->doubtful)
            return false;
        client->socket = world_client_connect(load->world, load->host, SIM_NODE_PORT);
        return client->socket != NULL;
    }
    bool moved = client_receive(load, number);
    if (client->socket == NULL || client->doubtful)
        return moved;
    if (random_below(&load->random, 100000) < load->options.cut_chance) {
        client_cut(load, client);
        return true;
    }
    if (more && random_chance(&load->random, 1, 4)) {
        uint64_t burst = 1 + random_below(&load->random, 12);
        for (; burst > 0 && client->count < LOAD_PIPELINE; burst--)
            command_add(load, number);
    }
    return client_send(client) || moved;
}

/* Whether the next event may happen though the process could go on, which then has been stopped
 * until there: for as long as it likes, unless somebody looks at when a key is gone. */
static bool may_overtake(const struct load *load) {
    const uint64_t delay_ns = load->options.expiry_delay_ns;
    return delay_ns == 0 || world_next_ns(load->world) <= world_now_ns(load->world) + delay_ns / 8;
}

bool load_step(struct load *load) {
    if (random_chance(&load->random, 1, 8) && may_overtake(load) && world_step(load->world))
        return true;
    return (load->node != NULL && sim_node_step(load->node)) || world_step(load->world);
}

/* All is at rest, and should not be: says what waits. */
static void find_rest(struct load *load) {
    for (uint32_t i = 0; i < load->options.clients; i++) {
        const struct load_client *client = &load->clients[i];
        char what[200];
        (void)snprintf(what, sizeof(what),
                       "all is at rest, %s, %u commands wait, %llu of %llu bytes sent, %zu bytes "
                       "of an answer%s",
                       client->socket == NULL ? "not connected" : "connected", client->count,
                       (unsigned long long)client->sent_bytes,
                       (unsigned long long)client->made_bytes, client->received.length,
                       client->doubtful ? ", to be settled" : "");
        if (client->count > 0 && !client->doubtful)
            find(load, what, i);
    }
}

/* Steps and turns until `done`; false if all came to rest before. */
static bool load_until(struct load *load, bool more, bool (*done)(struct load *, uint64_t),
                       uint64_t argument) {
    uint32_t rests = 0;
    while (load->finding[0] == '\0' && !done(load, argument)) {
        bool moved = load_step(load);
        if (moved && !random_chance(&load->random, 1, 4))
            continue;
        if (moved) {
            (void)client_turn(load, (uint32_t)random_below(&load->random, load->options.clients),
                              more);
            continue;
        }
        for (uint32_t i = 0; i < load->options.clients; i++)
            moved |= client_turn(load, i, more);
        rests = moved ? 0 : rests + 1;
        if (rests > REST_TURNS) {
            find_rest(load);
            return false;
        }
    }
    return true;
}

static bool ended_or_answered(struct load *load, uint64_t target) {
    if (sim_node_ended(load->node) || world_halted(load->world, load->host) ||
        load->answered + load->refused >= target)
        return true;
    /* Clients whose connection was cut do not go on before they are settled. */
    for (uint32_t i = 0; i < load->options.clients; i++)
        if (!load->clients[i].doubtful)
            return false;
    return true;
}

bool load_run(struct load *load, uint64_t commands) {
    return load_until(load, true, ended_or_answered, load->answered + load->refused + commands);
}

static bool ended_or_drained(struct load *load, uint64_t unused) {
    (void)unused;
    if (sim_node_ended(load->node))
        return true;
    for (uint32_t i = 0; i < load->options.clients; i++)
        if (load->clients[i].socket != NULL && !load->clients[i].doubtful &&
            load->clients[i].count > 0)
            return false;
    return true;
}

bool load_drain(struct load *load) {
    return load_until(load, false, ended_or_drained, 0);
}

static bool ended(struct load *load, uint64_t unused) {
    (void)unused;
    return sim_node_ended(load->node);
}

static void clients_gone(struct load *load) {
    for (uint32_t i = 0; i < load->options.clients; i++) {
        struct load_client *client = &load->clients[i];
        if (client->socket != NULL) {
            while (client->socket != NULL && client_receive(load, i)) {
            }
            if (client->socket != NULL)
                client_cut(load, client);
        }
    }
}

bool load_end(struct load *load) {
    bool has_ended = load_until(load, false, ended, 0);
    /* What the node has sent is still on its way. */
    while (has_ended && world_step(load->world)) {
        for (uint32_t i = 0; i < load->options.clients; i++)
            (void)client_turn(load, i, false);
    }
    clients_gone(load);
    return has_ended;
}

/* ---- settling ---------------------------------------------------------------------------- */

/* Asks for all keys of a client on a connection of its own; false if that was cut short. */
static bool probe(struct load *load, uint32_t number, struct kv_model_text *answer) {
    static const char last[] = "+PONG\r\n"; /* in no value: the answer to a PING behind it */
    const size_t last_bytes = sizeof(last) - 1;
    struct world_client *socket = world_client_connect(load->world, load->host, SIM_NODE_PORT);
    if (socket == NULL)
        return false;
    struct load_command *question = load_command_all_keys(number);
    struct kv_model_text request = question->bytes;
    kv_model_text_append(&request, "PING\r\n", 6);
    question->bytes = request;
    size_t sent = 0;
    bool whole = false;
    answer->length = 0;
    for (;;) {
        char bytes[RECEIVE_BYTES];
        size_t sending = world_client_send(socket, request.data + sent, request.length - sent);
        size_t got = world_client_receive(socket, bytes, sizeof(bytes));
        sent += sending;
        kv_model_text_append(answer, bytes, got);
        whole = answer->length >= last_bytes &&
                memcmp(answer->data + answer->length - last_bytes, last, last_bytes) == 0;
        if (whole || (got == 0 && world_client_state(socket) != WORLD_CLIENT_OPEN))
            break;
        if (!load_step(load) && got == 0 && sending == 0) {
            find(load, "all is at rest, and a question is not answered", number);
            break;
        }
    }
    if (whole)
        answer->length -= last_bytes;
    load_command_free(question);
    world_client_reset(socket);
    return whole;
}

/* What the model says to the same question. */
static bool model_agrees(struct load *load, uint32_t number, const struct kv_model_text *answer) {
    struct kv_model_text expected = {0};
    struct load_command *command = load_command_all_keys(number);
    model_answer(&load->clients[number], command, &expected);
    bool agrees = expected.length == answer->length &&
                  memcmp(expected.data, answer->data, expected.length) == 0;
    load_command_free(command);
    kv_model_text_free(&expected);
    return agrees;
}

static void settle(struct load *load, uint32_t number) {
    struct load_client *client = &load->clients[number];
    struct kv_model_text answer = {0};
    struct kv_model_text ignored = {0};
    uint32_t tries = 0;
    while (!probe(load, number, &answer)) {
        if (++tries == PROBE_TRIES)
            find(load, "nobody answers a question for all keys", number);
        if (load->finding[0] != '\0')
            goto asked;
    }
    while (!model_agrees(load, number, &answer)) {
        if (client->count == 0) {
            find(load, "a write that was answered is lost, or one was applied half or out of order",
                 number);
            goto asked;
        }
        model_answer(client, client->commands[client->first], &ignored);
        command_drop_first(client);
        load->open_applied++;
    }
    load->open_lost += client->count;
    while (client->count > 0)
        command_drop_first(client);
    client->doubtful = false;

asked:
    kv_model_text_free(&answer);
    kv_model_text_free(&ignored);
}

static bool served_nobody(struct load *load, uint64_t unused) {
    (void)unused;
    return sim_node_serving(load->node) &&
           node_figure(&sim_node_figures(load->node)->read.connections) == 0;
}

bool load_settle(struct load *load) {
    clients_gone(load);
    for (uint32_t i = 0; i < load->options.clients; i++) {
        if (!load_until(load, false, served_nobody, 0)) {
            find(load, "all is at rest, and a connection that was cut is still there", i);
            return false;
        }
        settle(load, i);
        if (load->finding[0] != '\0')
            return false;
    }
    return load->finding[0] == '\0';
}

/* ---- life -------------------------------------------------------------------------------- */

void load_init(struct load *load, struct world *world, uint32_t host, uint64_t seed,
               const struct load_options *options) {
    ASSERT(options->clients > 0 && options->clients <= LOAD_CLIENTS_MAX);
    ASSERT(options->value_bytes_max <= SIM_NODE_BULK_BYTES_MAX);
    *load = (struct load){.world = world, .host = host, .options = *options};
    random_seed(&load->random, seed);
    for (uint32_t i = 0; i < LOAD_CLIENTS_MAX; i++)
        load->clients[i].model = kv_model_new(SIM_NODE_BULK_BYTES_MAX);
    load->counts_answered = calloc(LOAD_COUNTS_MAX + 1, sizeof(*load->counts_answered));
    ASSERT(load->counts_answered != NULL);
}

void load_free(struct load *load) {
    free(load->counts_answered);
    for (uint32_t i = 0; i < LOAD_CLIENTS_MAX; i++) {
        struct load_client *client = &load->clients[i];
        while (client->count > 0)
            command_drop_first(client);
        kv_model_text_free(&client->received);
        kv_model_text_free(&client->expected);
        kv_model_free(client->model);
    }
}
