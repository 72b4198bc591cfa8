/*
 * A client's connection, from one to the next.
 *
 *     none --connect--> batches --last batch, redirect--> leaving --all answered--> none
 *                          |                                 |
 *                          |                            half-closed --the node's end--> none
 *                          +----- reset, ended by the node, time-out (any of them) ----> none
 *
 * The happy path of a poll: receive, take replies, make a batch if it is time, send.
 *
 * Failure modes. A connection that ends early decides what was under way: what had not begun to be
 * sent never left, and is refused; the rest is unknown; under ONCE it is repeated on the next one.
 */

#include "sim/cluster_clients_internal.h"

#include <string.h>

#include "base/assert.h"

enum {
    RECEIVE_BYTES = 16 * 1024,
    SLOW_BYTES_MAX = 200, /* that a slow reader takes at a time */
    PIECE_BYTES_MAX = 40, /* of a batch in pieces */
};

static const uint64_t slow_pause_ns = 2 * 1000 * 1000;
static const uint64_t piece_pause_ns = 300 * 1000;
static const uint64_t connect_pause_ns = 20 * 1000 * 1000;

/* ---- Ending ---------------------------------------------------------------------------------- */

/* Decides what the ended connection leaves. */
static void slots_decide(struct cluster_clients *clients, struct client *client, uint64_t now_ns) {
    struct client_connection *connection = &client->connection;
    for (; connection->slot_count > 0; connection->slot_count--) {
        const struct client_slot *slot = &connection->slots[connection->slot_first];
        const bool was_sent = connection->out_bytes > slot->begin_bytes;
        connection->slot_first = (connection->slot_first + 1) % CLIENT_SLOTS;
        if (slot->kind == CLIENT_SLOT_OPEN) {
            client->opening = false;
        } else if (slot->kind == CLIENT_SLOT_ONCE) {
            struct client_once *once = &client->once[slot->once];
            once->in_flight = false;
            once->maybe_applied |= was_sent;
            once->retry_ns = now_ns;
        } else if (slot->kind == CLIENT_SLOT_OPERATION || slot->kind == CLIENT_SLOT_WATCH) {
            client_return(clients, slot->operation, was_sent ? HISTORY_NEVER : now_ns,
                          was_sent ? HISTORY_UNKNOWN : HISTORY_REFUSED, NULL, 0);
        }
    }
}

/* The socket is closed or reset already. */
static void connection_forget(struct cluster_clients *clients, struct client *client) {
    struct client_connection *connection = &client->connection;
    const uint64_t now_ns = world_now_ns(clients->world);
    connection->socket = NULL;
    slots_decide(clients, client, now_ns);
    connection->out.length = 0;
    connection->out_offset = 0;
    connection->in.length = 0;
    connection->held.length = 0;
    if (client->connect_ns < now_ns)
        client->connect_ns = now_ns + random_below(&client->random, connect_pause_ns / 8);
}

static void connection_close(struct cluster_clients *clients, struct client *client) {
    world_client_close(client->connection.socket);
    connection_forget(clients, client);
}

void client_connection_reset(struct cluster_clients *clients, struct client *client) {
    if (client->connection.socket == NULL)
        return;
    world_client_reset(client->connection.socket);
    connection_forget(clients, client);
}

/* ---- Beginning ------------------------------------------------------------------------------- */

/* The host to connect to: that of a redirect, or any that may be reached. */
static uint32_t host_choose(struct cluster_clients *clients, struct client *client) {
    const uint32_t mask = clients->host_mask;
    if (client->target != CLIENT_NONE && (mask >> client->target & 1) != 0)
        return client->target;
    uint64_t drawn = random_below(&client->random, (uint64_t)__builtin_popcount(mask));
    for (uint32_t i = 0; i < clients->options.host_count; i++)
        if ((mask >> i & 1) != 0 && drawn-- == 0)
            return i;
    UNREACHABLE("one may be reached");
}

static enum client_parting parting_draw(const struct cluster_clients *clients,
                                        struct client *client) {
    const uint64_t drawn = random_below(&client->random, 1000);
    if (drawn < clients->options.reset_share)
        return CLIENT_RESETS;
    return drawn - clients->options.reset_share < clients->options.half_share ? CLIENT_HALF_CLOSES
                                                                              : CLIENT_CLOSES;
}

static void connection_begin(struct cluster_clients *clients, struct client *client,
                             uint64_t now_ns) {
    const struct cluster_clients_options *options = &clients->options;
    struct client_connection *connection = &client->connection;
    const uint32_t host = host_choose(clients, client);
    struct world_client *socket =
        world_client_connect(clients->world, options->hosts[host], options->port);
    if (socket == NULL) {
        clients->counts.connections_failed++;
        client->target = CLIENT_NONE;
        client->connect_ns = now_ns + 1 + random_below(&client->random, connect_pause_ns);
        return;
    }
    clients->counts.connections++;
    *connection = (struct client_connection){
        .socket = socket,
        .number = ++clients->connection_last,
        .host = host,
        .out = connection->out,
        .in = connection->in,
        .held = connection->held,
        .is_slow = client_chance(client, options->slow_share),
        .parting = parting_draw(clients, client),
        .batches_left = 1 + (uint32_t)random_below(&client->random, options->batches_max),
        .reset_ns = UINT64_MAX,
    };
    client_greet(clients, client, now_ns);
}

/* ---- Receiving ------------------------------------------------------------------------------- */

/* Whether anything came, or the connection is over. */
static bool connection_receive(struct cluster_clients *clients, struct client *client,
                               uint64_t now_ns) {
    struct client_connection *connection = &client->connection;
    char bytes[RECEIVE_BYTES];
    size_t most = sizeof(bytes);
    if (connection->is_slow) {
        if (now_ns < connection->read_ns)
            return false;
        most = 1 + (size_t)random_below(&client->random, SLOW_BYTES_MAX);
    }
    const size_t got = world_client_receive(connection->socket, bytes, most);
    if (got == 0) {
        if (world_client_state(connection->socket) == WORLD_CLIENT_OPEN)
            return false;
        client->target = CLIENT_NONE;
        client_connection_reset(clients, client);
        return true;
    }
    if (connection->is_slow)
        connection->read_ns = now_ns + 1 + random_below(&client->random, slow_pause_ns);
    clients->counts.received_bytes += got;
    kv_model_text_append(&connection->in, bytes, got);
    if (!client_replies_take(clients, client, now_ns))
        client_connection_reset(clients, client);
    return true;
}

/* ---- Sending --------------------------------------------------------------------------------- */

static bool connection_send(struct client *client, uint64_t now_ns) {
    struct client_connection *connection = &client->connection;
    const size_t left = connection->out.length - connection->out_offset;
    if (left == 0 || (now_ns < connection->send_ns && connection->send_ns != UINT64_MAX))
        return false;
    size_t most = left;
    if (connection->in_pieces) {
        most = 1 + (size_t)random_below(&client->random, PIECE_BYTES_MAX);
        most = most < left ? most : left;
    }
    const size_t took =
        world_client_send(connection->socket, connection->out.data + connection->out_offset, most);
    connection->out_offset += took;
    connection->out_bytes += took;
    if (took < most)
        connection->send_ns = UINT64_MAX;
    else
        connection->send_ns = now_ns + 1 + random_below(&client->random, piece_pause_ns);
    if (took == left) {
        connection->out.length = 0;
        connection->out_offset = 0;
    }
    return took > 0;
}

static uint64_t lesser(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* ---- A poll ---------------------------------------------------------------------------------- */

static uint64_t timeout_ns(const struct cluster_clients *clients, const struct client *client) {
    const struct client_connection *connection = &client->connection;
    if (connection->slot_count == 0)
        return UINT64_MAX;
    return connection->slots[connection->slot_first].made_ns + clients->options.timeout_ns;
}

/* Ends the connection if it is time; whether it did. */
static bool connection_end_if_due(struct cluster_clients *clients, struct client *client,
                                  uint64_t now_ns) {
    struct client_connection *connection = &client->connection;
    if (now_ns >= timeout_ns(clients, client)) {
        clients->counts.timeouts++;
        client->target = CLIENT_NONE;
        client_connection_reset(clients, client);
        return true;
    }
    if (now_ns >= connection->reset_ns) {
        clients->counts.resets += !connection->half_closed;
        client_connection_reset(clients, client);
        return true;
    }
    if (!connection->is_leaving || connection->half_closed ||
        connection->out.length > connection->out_offset)
        return false;
    if (connection->parting == CLIENT_HALF_CLOSES) {
        world_client_half_close(connection->socket);
        connection->half_closed = true;
        connection->reset_ns = now_ns + clients->options.timeout_ns;
        clients->counts.half_closes++;
        return true;
    }
    if (connection->slot_count > 0)
        return false;
    connection_close(clients, client);
    return true;
}

/* Gives up writes under ONCE that were tried too often, or whose number is nearly forgotten. */
static void once_give_up(struct cluster_clients *clients, struct client *client, uint64_t now_ns) {
    /* Of the window of 128, behind the newest number. */
    enum { SEQUENCES_KEPT = 100 };
    for (uint32_t i = 0; i < CLUSTER_CLIENTS_ONCE; i++) {
        struct client_once *once = &client->once[i];
        const bool is_old =
            once->session == client->session && client->sequence - once->sequence > SEQUENCES_KEPT;
        if (once->operation != CLIENT_NONE && !once->in_flight &&
            (is_old || once->tries >= CLUSTER_CLIENTS_ONCE_TRIES))
            client_once_end(clients, once, now_ns);
    }
}

/* Most polls of most clients: nothing has come, and nothing is due. */
static bool is_quiet(const struct client *client, uint64_t now_ns) {
    if (!client->is_quiet || now_ns >= client->quiet_until_ns)
        return false;
    const struct world_client_look look = world_client_look(client->connection.socket);
    return look.arrived_bytes == client->quiet_look.arrived_bytes &&
           look.unsent_bytes == client->quiet_look.unsent_bytes &&
           look.over == client->quiet_look.over;
}

/* Notes that a poll found nothing to do. */
static void quiet_note(const struct cluster_clients *clients, struct client *client,
                       uint64_t now_ns) {
    const struct client_connection *connection = &client->connection;
    const bool sends = connection->out.length > connection->out_offset;
    if (connection->is_slow || (connection->in_pieces && sends))
        return; /* it draws at each poll how much it would take */
    client->quiet_look = world_client_look(connection->socket);
    client->quiet_deadline_ns = client_deadline_ns(clients, client);
    client->quiet_until_ns = client->quiet_deadline_ns;
    for (uint32_t i = 0; i < CLUSTER_CLIENTS_ONCE; i++)
        if (client->once[i].retry_ns > now_ns)
            client->quiet_until_ns = lesser(client->quiet_until_ns, client->once[i].retry_ns);
    client->is_quiet = true;
}

bool client_poll(struct cluster_clients *clients, struct client *client) {
    struct client_connection *connection = &client->connection;
    const uint64_t now_ns = world_now_ns(clients->world);
    if (is_quiet(client, now_ns))
        return false;
    client->is_quiet = false;
    if (connection->socket == NULL) {
        if (now_ns < client->connect_ns)
            return false;
        connection_begin(clients, client, now_ns);
        return true;
    }
    bool moved = connection_receive(clients, client, now_ns);
    if (connection->socket == NULL)
        return true;
    once_give_up(clients, client, now_ns);
    if (connection->only_reads && client_once_waits(client, now_ns))
        connection->is_leaving = true; /* for one that may write */
    if (client_batch_due(clients, client, now_ns)) {
        client_batch_make(clients, client, now_ns);
        moved = true;
    }
    moved = connection_send(client, now_ns) || moved;
    moved = connection_end_if_due(clients, client, now_ns) || moved;
    if (!moved)
        quiet_note(clients, client, now_ns);
    return moved;
}

uint64_t client_deadline_ns(const struct cluster_clients *clients, const struct client *client) {
    const struct client_connection *connection = &client->connection;
    if (client->is_quiet)
        return client->quiet_deadline_ns;
    if (connection->socket == NULL)
        return client->connect_ns;
    uint64_t deadline = lesser(timeout_ns(clients, client), connection->reset_ns);
    if (connection->out.length > connection->out_offset)
        deadline = lesser(deadline, connection->send_ns);
    if (connection->is_slow && connection->read_ns > world_now_ns(clients->world))
        deadline = lesser(deadline, connection->read_ns);
    if (connection->is_leaving)
        return deadline;
    uint64_t batch_ns = clients->is_on && !clients->is_full ? client->batch_ns : UINT64_MAX;
    for (uint32_t i = 0; i < CLUSTER_CLIENTS_ONCE; i++)
        if (client->once[i].operation != CLIENT_NONE && !client->once[i].in_flight)
            batch_ns = lesser(batch_ns, client->once[i].retry_ns);
    if (batch_ns < client->wait_ns)
        batch_ns = client->wait_ns;
    /* A pipeline that is full goes on when something comes, or times out. */
    return batch_ns > world_now_ns(clients->world) ? lesser(deadline, batch_ns) : deadline;
}
