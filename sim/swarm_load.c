/* Simple clients.  See sim/swarm_load.h. */

#include "sim/swarm_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "sim/node.h"

enum {
    KEYS = 6,
    TIMEOUT_MS = 1500,
    AGAIN_MS = 100,
    OPERATIONS_MAX = 1 << 16,
    BYTES_MAX = 16 << 20,
};

#define MS_NS UINT64_C(1000000)

struct swarm_load *swarm_load_create(struct world *world, const uint32_t *hosts,
                                     uint32_t host_count, uint32_t clients, uint32_t rate,
                                     uint64_t seed) {
    struct swarm_load *load = calloc(1, sizeof(*load));
    ASSERT(load != NULL && clients <= SWARM_LOAD_CLIENTS_MAX);
    *load = (struct swarm_load){.world = world,
                                .hosts = hosts,
                                .host_count = host_count,
                                .client_count = clients,
                                .think_ns_max = 2 * clients * (1000 * MS_NS / rate),
                                .on = true,
                                .reach = (1U << host_count) - 1};
    random_seed(&load->random, seed);
    int status = history_create(&load->history, OPERATIONS_MAX, BYTES_MAX);
    ASSERT(status == 0);
    return load;
}

static void client_drop(struct swarm_load *load, struct swarm_load_client *client,
                        enum history_outcome outcome) {
    if (client->busy) {
        int status =
            history_return(&load->history, client->operation, HISTORY_NEVER, outcome, "", 0);
        ASSERT(status == 0);
    }
    if (client->connection != NULL) {
        world_client_reset(client->connection);
    }
    uint64_t now_ns = world_now_ns(load->world);
    uint32_t node = (uint32_t)random_below(&load->random, load->host_count);
    while ((load->reach >> node & 1) == 0) {
        node = (node + 1) % load->host_count;
    }
    *client = (struct swarm_load_client){
        .node = node, .due_ns = now_ns + random_below(&load->random, AGAIN_MS * MS_NS)};
}

void swarm_load_reach(struct swarm_load *load, uint32_t mask) {
    load->reach = mask;
    for (uint32_t i = 0; i < load->client_count; i++) {
        if ((mask >> load->clients[i].node & 1) == 0) {
            client_drop(load, &load->clients[i], HISTORY_UNKNOWN);
        }
    }
}

void swarm_load_end(struct swarm_load *load) {
    load->on = false;
    for (uint32_t i = 0; i < load->client_count; i++) {
        client_drop(load, &load->clients[i], HISTORY_UNKNOWN);
    }
}

void swarm_load_destroy(struct swarm_load *load) {
    history_destroy(&load->history);
    free(load);
}

static void client_send(struct swarm_load *load, struct swarm_load_client *client) {
    static const char *const names[] = {"GET", "INCR", "SET", "GET", "APPEND", "DEL"};
    char key[16];
    char value[24];
    char text[160];
    uint64_t what = random_below(&load->random, 6);
    snprintf(key, sizeof(key), "%c%llu", what == 1 ? 'n' : 'k',
             (unsigned long long)random_below(&load->random, KEYS));
    if (what == 0 && random_below(&load->random, 2) == 0) {
        key[0] = 'n';
    }
    snprintf(value, sizeof(value), "v%llu", (unsigned long long)++load->serial);
    struct kv_model_word words[3] = {
        {names[what], strlen(names[what])}, {key, strlen(key)}, {value, strlen(value)}};
    uint32_t count = what == 2 || what == 4 ? 3 : 2;
    int length = snprintf(text, sizeof(text), "%s %s%s%s\r\n", names[what], key,
                          count == 3 ? " " : "", count == 3 ? value : "");
    struct history_call call = {.invoked_ns = world_now_ns(load->world),
                                .client = (uint32_t)(client - load->clients),
                                .connection = client->number,
                                .sequence = client->sequence++,
                                .words = words,
                                .word_count = count};
    if (history_invoke(&load->history, &call, &client->operation) != 0) {
        load->on = false;
        return;
    }
    client->busy = true;
    client->reply_bytes = 0;
    client->sent_ns = call.invoked_ns;
    if (world_client_send(client->connection, text, (size_t)length) != (size_t)length) {
        client_drop(load, client, HISTORY_UNKNOWN);
    }
}

/* Bytes of the whole reply; 0: it is not complete. */
static size_t reply_length(const struct swarm_load_client *client) {
    const char *end = memchr(client->reply, '\n', client->reply_bytes);
    if (end == NULL) {
        return 0;
    }
    size_t line = (size_t)(end - client->reply) + 1;
    uint64_t length;
    if (client->reply[0] != '$' || decimal_parse_u64(client->reply + 1, line - 3, &length) != 0) {
        return line;
    }
    return line + length + 2 <= client->reply_bytes ? line + length + 2 : 0;
}

static void client_replied(struct swarm_load *load, struct swarm_load_client *client) {
    enum history_outcome outcome = history_outcome_of(client->reply, client->reply_bytes);
    uint64_t now_ns = world_now_ns(load->world);
    int status = history_return(&load->history, client->operation, now_ns, outcome, client->reply,
                                client->reply_bytes);
    ASSERT(status == 0);
    client->busy = false;
    client->due_ns = now_ns + random_below(&load->random, load->think_ns_max);
    if (outcome != HISTORY_OK) {
        client_drop(load, client, outcome);
    }
}

static bool client_receive(struct swarm_load *load, struct swarm_load_client *client) {
    size_t got = world_client_receive(client->connection, client->reply + client->reply_bytes,
                                      sizeof(client->reply) - client->reply_bytes);
    client->reply_bytes += got;
    if (got > 0 && reply_length(client) == client->reply_bytes) {
        client_replied(load, client);
    } else if (client->reply_bytes == sizeof(client->reply) ||
               world_client_state(client->connection) != WORLD_CLIENT_OPEN ||
               world_now_ns(load->world) >= client->sent_ns + TIMEOUT_MS * MS_NS) {
        client_drop(load, client, HISTORY_UNKNOWN);
    }
    return got > 0;
}

static bool client_poll(struct swarm_load *load, struct swarm_load_client *client) {
    if (client->busy) {
        return client_receive(load, client);
    }
    if (!load->on || world_now_ns(load->world) < client->due_ns) {
        return false;
    }
    if (client->connection == NULL) {
        client->connection =
            world_client_connect(load->world, load->hosts[client->node], SIM_NODE_PORT);
        client->number = ++load->connections;
        client->sequence = 0;
        if (client->connection == NULL) {
            client_drop(load, client, HISTORY_REFUSED);
            return false;
        }
    }
    client_send(load, client);
    return true;
}

bool swarm_load_poll(struct swarm_load *load) {
    bool worked = false;
    for (uint32_t i = 0; i < load->client_count; i++) {
        worked |= client_poll(load, &load->clients[i]);
    }
    return worked;
}

uint64_t swarm_load_due_ns(const struct swarm_load *load) {
    uint64_t due_ns = UINT64_MAX;
    for (uint32_t i = 0; i < load->client_count; i++) {
        const struct swarm_load_client *client = &load->clients[i];
        uint64_t own_ns = client->busy ? client->sent_ns + TIMEOUT_MS * MS_NS
                          : load->on   ? client->due_ns
                                       : UINT64_MAX;
        due_ns = own_ns < due_ns ? own_ns : due_ns;
    }
    return due_ns;
}
