/*
 * The simulated clients: creating, polling, looking. See sim/cluster_clients.h.
 */

#include "sim/cluster_clients_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/checksum.h"

struct cluster_clients_options cluster_clients_options_default(void) {
    return (struct cluster_clients_options){
        .host_count = 1,
        .clients = 8,
        .rate = 200,
        .batch_max = CLUSTER_CLIENTS_BATCH,
        .keys = 4,
        .read_share = 450,
        .once_share = 200,
        .expiry_share = 100,
        .beside_share = 30,
        .listing_share = 20,
        .long_share = 20,
        .value_bytes_max = 4096,
        .resp3_share = 300,
        .slow_share = 60,
        .piece_share = 150,
        .inline_share = 200,
        .batches_max = 30,
        .reset_share = 200,
        .half_share = 300,
        .timeout_ns = UINT64_C(3000000000),
        .operations_max = 16 * 1024,
        .history_bytes = 32 * 1024 * 1024,
    };
}

static void options_check(const struct cluster_clients_options *options) {
    ASSERT(options->host_count >= 1 && options->host_count <= WORLD_NODES_MAX);
    ASSERT(options->clients >= 1 && options->clients <= CLUSTER_CLIENTS_MAX);
    ASSERT(options->rate >= 1 && options->keys >= 1 && options->timeout_ns > 0);
    ASSERT(options->batch_max >= 1 && options->batch_max <= CLUSTER_CLIENTS_BATCH);
    ASSERT(options->value_bytes_max >= 32 && options->batches_max >= 1);
    ASSERT(options->reset_share <= 1000 && options->half_share <= 1000);
}

/* ---- Creating -------------------------------------------------------------------------------- */

static void names_create(struct cluster_clients *clients) {
    uint32_t slots = 16;
    while (slots < 2 * (uint64_t)clients->options.operations_max)
        slots *= 2;
    clients->once_mask = slots - 1;
    clients->once_index = calloc(slots, sizeof(*clients->once_index));
    clients->once_names = calloc(clients->options.operations_max, sizeof(*clients->once_names));
    ASSERT(clients->once_index != NULL && clients->once_names != NULL);
}

struct cluster_clients *cluster_clients_create(struct world *world,
                                               const struct cluster_clients_options *options) {
    options_check(options);
    struct cluster_clients *clients = calloc(1, sizeof(*clients));
    ASSERT(clients != NULL);
    clients->world = world;
    clients->options = *options;
    const int error =
        history_create(&clients->history, options->operations_max, options->history_bytes);
    ASSERT(error == 0);
    names_create(clients);
    clients->clients = calloc(options->clients, sizeof(*clients->clients));
    ASSERT(clients->clients != NULL);
    clients->host_mask = (uint32_t)((UINT64_C(1) << options->host_count) - 1);
    clients->is_on = true;
    for (uint32_t i = 0; i < options->clients; i++) {
        struct client *client = &clients->clients[i];
        client->number = i;
        client->target = CLIENT_NONE;
        random_seed(&client->random, options->seed * CLUSTER_CLIENTS_MAX + i);
        client->connect_ns = world_now_ns(world) + random_below(&client->random, 50000000);
        for (uint32_t j = 0; j < CLUSTER_CLIENTS_ONCE; j++)
            client->once[j].operation = CLIENT_NONE;
    }
    return clients;
}

void cluster_clients_destroy(struct cluster_clients *clients) {
    for (uint32_t i = 0; i < clients->options.clients; i++) {
        struct client_connection *connection = &clients->clients[i].connection;
        client_connection_reset(clients, &clients->clients[i]);
        kv_model_text_free(&connection->in);
        kv_model_text_free(&connection->out);
        kv_model_text_free(&connection->held);
    }
    history_destroy(&clients->history);
    free(clients->once_names);
    free(clients->once_index);
    free(clients->clients);
    free(clients);
}

/* ---- Polling --------------------------------------------------------------------------------- */

bool cluster_clients_poll(struct cluster_clients *clients) {
    bool moved = false;
    for (uint32_t i = 0; i < clients->options.clients && clients->finding[0] == '\0'; i++)
        moved = client_poll(clients, &clients->clients[i]) || moved;
    return moved;
}

uint64_t cluster_clients_deadline_ns(const struct cluster_clients *clients) {
    uint64_t deadline = UINT64_MAX;
    for (uint32_t i = 0; i < clients->options.clients && clients->finding[0] == '\0'; i++) {
        const uint64_t one = client_deadline_ns(clients, &clients->clients[i]);
        deadline = one < deadline ? one : deadline;
    }
    return deadline;
}

/* What they had waited for may have changed. */
static void wake_all(struct cluster_clients *clients) {
    for (uint32_t i = 0; i < clients->options.clients; i++)
        clients->clients[i].is_quiet = false;
}

void cluster_clients_begin(struct cluster_clients *clients, bool is_on) {
    clients->is_on = is_on;
    wake_all(clients);
}

void cluster_clients_reach(struct cluster_clients *clients, uint32_t host_mask) {
    wake_all(clients);
    ASSERT(host_mask != 0 && host_mask >> (clients->options.host_count - 1) <= 1);
    clients->host_mask = host_mask;
    for (uint32_t i = 0; i < clients->options.clients; i++) {
        struct client *client = &clients->clients[i];
        if ((host_mask >> client->connection.host & 1) == 0)
            client_connection_reset(clients, client);
    }
}

void cluster_clients_patient(struct cluster_clients *clients) {
    wake_all(clients);
    clients->options.reset_share = 0;
    clients->options.slow_share = 0;
    for (uint32_t i = 0; i < clients->options.clients; i++) {
        struct client_connection *connection = &clients->clients[i].connection;
        if (connection->parting == CLIENT_RESETS)
            connection->parting = CLIENT_CLOSES;
        connection->reset_ns = UINT64_MAX;
        connection->is_slow = false;
    }
}

void cluster_clients_end(struct cluster_clients *clients) {
    wake_all(clients);
    clients->is_on = false;
    for (uint32_t i = 0; i < clients->options.clients; i++) {
        struct client *client = &clients->clients[i];
        client_connection_reset(clients, client);
        client->connect_ns = UINT64_MAX;
        for (uint32_t j = 0; j < CLUSTER_CLIENTS_ONCE; j++)
            if (client->once[j].operation != CLIENT_NONE)
                client_once_end(clients, &client->once[j], world_now_ns(clients->world));
    }
}

/* ---- Looking --------------------------------------------------------------------------------- */

bool client_chance(struct client *client, uint32_t per_mille) {
    return random_below(&client->random, 1000) < per_mille;
}

void client_find(struct cluster_clients *clients, const struct client *client, const char *format,
                 ...) {
    if (clients->finding[0] != '\0')
        return;
    const int begin =
        snprintf(clients->finding, sizeof(clients->finding), "client %u: ", client->number);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(clients->finding + begin, sizeof(clients->finding) - (size_t)begin, format,
                    arguments);
    va_end(arguments);
}

const struct history *cluster_clients_history(const struct cluster_clients *clients) {
    return &clients->history;
}

const char *cluster_clients_finding(const struct cluster_clients *clients) {
    return clients->finding[0] == '\0' ? NULL : clients->finding;
}

bool cluster_clients_full(const struct cluster_clients *clients) {
    return clients->is_full;
}

const struct cluster_clients_counts *cluster_clients_counts(const struct cluster_clients *clients) {
    return &clients->counts;
}

void cluster_clients_since(const struct cluster_clients *clients, uint64_t moment_ns,
                           struct cluster_clients_since *out) {
    *out = (struct cluster_clients_since){0};
    /* They are recorded in the order of invocation. */
    for (uint32_t i = clients->history.operation_count; i-- > 0;) {
        const struct history_operation *operation = &clients->history.operations[i];
        if (operation->invoked_ns < moment_ns)
            break;
        switch ((enum history_outcome)operation->outcome) {
        case HISTORY_OK: out->ok++; break;
        case HISTORY_REFUSED: out->refused++; break;
        case HISTORY_UNKNOWN: out->unknown++; break;
        case HISTORY_PENDING: out->pending++; break;
        }
    }
}

bool cluster_clients_all_answered(const struct cluster_clients *clients, uint64_t moment_ns) {
    struct cluster_clients_since since;
    cluster_clients_since(clients, moment_ns, &since);
    return since.unknown == 0 && since.pending == 0;
}

uint64_t cluster_clients_hash(const struct cluster_clients *clients) {
    struct kv_model_text text = {0};
    history_dump(&text, &clients->history);
    const uint64_t hash = text.length == 0 ? 0 : checksum_64(text.data, text.length, 0);
    kv_model_text_free(&text);
    return hash;
}
