/*
 * Clients: connections from outside, whose far end a test holds.
 *
 * The happy path: a client's bytes go straight into and out of the queues of its side, without a
 * door; moving them is network.c's.
 *
 * Failure modes: a client that closes or resets is freed at once, and its connection later, when
 * the node has done its part.
 */

#include "sim/internal.h"

#include <stdlib.h>

struct world_client *world_client_connect(struct world *world, uint32_t node,
                                          uint16_t port_number) {
    if (node_listener(world_node(world, node), port_number) == NULL)
        return NULL;
    struct world_client *client = world_allocate(1, sizeof(*client));
    client->connection = connection_create(world, WORLD_OUTSIDE, node, port_number);
    client->link = &world->clients;
    client->next = world->clients;
    if (client->next != NULL)
        client->next->link = &client->next;
    world->clients = client;
    connection_schedule(client->connection, side_delay_ns(client->connection, 0),
                        connection_arrives, 0);
    return client;
}

size_t world_client_send(struct world_client *client, const void *bytes, size_t length_bytes) {
    struct stream *stream = &client->connection->streams[0];
    if (client->connection->sides[0].broken || stream->end_sent)
        return 0;
    uint32_t count = byte_queue_put(&stream->sent, bytes, length_bytes);
    stream_pump(client->connection, 0);
    return count;
}

size_t world_client_receive(struct world_client *client, void *bytes, size_t length_bytes) {
    uint32_t count = byte_queue_get(&client->connection->streams[1].arrived, bytes, length_bytes);
    stream_pump(client->connection, 1);
    return count;
}

enum world_client_state world_client_state(const struct world_client *client) {
    const struct connection *connection = client->connection;
    if (connection->streams[1].arrived.length > 0)
        return WORLD_CLIENT_OPEN;
    if (connection->sides[0].broken)
        return WORLD_CLIENT_RESET;
    return connection->streams[1].end_arrived ? WORLD_CLIENT_EOF : WORLD_CLIENT_OPEN;
}

struct world_client_look world_client_look(const struct world_client *client) {
    const struct connection *connection = client->connection;
    return (struct world_client_look){
        .arrived_bytes = connection->streams[1].arrived.length,
        .unsent_bytes = connection->streams[0].sent.length,
        .over = connection->sides[0].broken || connection->streams[1].end_arrived,
    };
}

void world_client_half_close(struct world_client *client) {
    client->connection->streams[0].end_sent = true;
    stream_pump(client->connection, 0);
}

/* Frees the client; its connection lives on until the other side is closed too. */
static struct connection *client_detach(struct world_client *client) {
    struct connection *connection = client->connection;
    *client->link = client->next;
    if (client->next != NULL)
        client->next->link = client->link;
    free(client);
    return connection;
}

void world_client_reset(struct world_client *client) {
    struct connection *connection = client_detach(client);
    byte_queue_clear(&connection->streams[1].arrived);
    connection_break(connection, 1);
    side_close(connection, 0);
}

void world_client_close(struct world_client *client) {
    side_close(client_detach(client), 0);
}
