/* Each door is on the first node of a world of its own, its peer on the second. */

#include "tests/sim/door_sim.h"

#include "tests/cmocka_wrapper.h"

#include <stdlib.h>

static struct {
    uint64_t seed;
    struct world_options options;
    struct world *world;
} configured;

/* A door on another host of the same world. */
static struct io *sim_open_peer(void) {
    return world_io(configured.world, world_node_add(configured.world));
}

static struct io *sim_open(void) {
    configured.world = world_create(configured.seed++, &configured.options);
    uint32_t node = world_node_add(configured.world);
    world_enter(configured.world, node);
    struct io_options options = {.features_allowed = IO_FEATURES_ALL};
    struct error_text error;
    struct io *io = NULL;
    assert_int_equal(io_create(&io, &options, &error), 0);
    int32_t directory;
    assert_int_equal(io_directory_open(io, "base", true, &directory, &error), 0);
    io_close(io, directory);
    return io;
}

static void sim_close(struct io *io) {
    io_destroy(io);
    world_enter(NULL, 0);
    world_destroy(configured.world);
}

static const char *sim_path(void) {
    return "base";
}

static void sim_pump(struct io *io) {
    io_poll(io);
    world_step(configured.world);
    io_poll(io);
}

struct door_client {
    struct world_client *client;
};

static struct door_client *sim_client_connect(uint16_t port_number) {
    struct world_client *client = world_client_connect(configured.world, 0, port_number);
    if (client == NULL)
        return NULL;
    struct door_client *wrapped = calloc(1, sizeof(*wrapped));
    assert_non_null(wrapped);
    wrapped->client = client;
    return wrapped;
}

static size_t sim_client_send(struct door_client *client, const void *bytes, size_t length_bytes) {
    return world_client_send(client->client, bytes, length_bytes);
}

static size_t sim_client_receive(struct door_client *client, void *bytes, size_t length_bytes) {
    return world_client_receive(client->client, bytes, length_bytes);
}

static enum door_client_state sim_client_state(struct door_client *client) {
    switch (world_client_state(client->client)) {
    case WORLD_CLIENT_OPEN: return DOOR_CLIENT_OPEN;
    case WORLD_CLIENT_EOF: return DOOR_CLIENT_EOF;
    case WORLD_CLIENT_RESET: break;
    }
    return DOOR_CLIENT_RESET;
}

static void sim_client_half_close(struct door_client *client) {
    world_client_half_close(client->client);
}

static void sim_client_close(struct door_client *client) {
    world_client_close(client->client);
    free(client);
}

static void sim_client_reset(struct door_client *client) {
    world_client_reset(client->client);
    free(client);
}

static void sim_obstruct(const char *directory, const char *name, enum door_obstacle obstacle) {
    static const enum world_obstacle OBSTACLES[] = {
        [DOOR_SYMBOLIC_LINK] = WORLD_SYMBOLIC_LINK,
        [DOOR_DIRECTORY] = WORLD_DIRECTORY,
        [DOOR_PIPE] = WORLD_PIPE,
    };
    world_obstruct(configured.world, 0, directory, name, OBSTACLES[obstacle]);
}

struct door_kind door_sim = {
    .open = sim_open,
    .close = sim_close,
    .open_peer = sim_open_peer,
    .peer_host = "10.0.0.2",
    .path = sim_path,
    .pump = sim_pump,
    .client_connect = sim_client_connect,
    .client_send = sim_client_send,
    .client_receive = sim_client_receive,
    .client_state = sim_client_state,
    .client_half_close = sim_client_half_close,
    .client_reset = sim_client_reset,
    .client_close = sim_client_close,
    .obstruct = sim_obstruct,
};

void door_sim_configure(const char *name, uint64_t seed, const struct world_options *options) {
    door_sim.name = name;
    configured.seed = seed;
    configured.options = *options;
}
