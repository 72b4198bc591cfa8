#ifndef WEIR_SIM_SWARM_LOAD_H
#define WEIR_SIM_SWARM_LOAD_H

/*
 * Clients of a swarm: each has one request open at most, thinks for a while, and goes to another
 * node when one refuses or is silent.  Everything is recorded (sim/history.h).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "sim/history.h"
#include "sim/world.h"

/* Bounds of it. */
enum { SWARM_LOAD_CLIENTS_MAX = 16, SWARM_LOAD_REPLY_BYTES = 1024 };

struct swarm_load_client {
    struct world_client *connection; /* NULL: none */
    uint32_t number;                 /* of the connection, over all clients; 0: none yet */
    uint32_t sequence;               /* of the next request in it */
    uint32_t node;                   /* index */
    bool busy;
    uint32_t operation; /* its number in the history, while busy */
    uint64_t sent_ns;
    uint64_t due_ns; /* the next request, or connection */
    char reply[SWARM_LOAD_REPLY_BYTES];
    size_t reply_bytes;
};

struct swarm_load {
    struct world *world;
    const uint32_t *hosts;
    uint32_t host_count;
    uint32_t client_count;
    uint64_t think_ns_max;
    struct random random;
    struct history history;
    uint32_t connections;
    uint64_t serial; /* of values: no two are alike */
    bool on;
    uint32_t reach; /* hosts they go to, by bit */
    struct swarm_load_client clients[SWARM_LOAD_CLIENTS_MAX];
};

/* Clients without connections, and an empty history; and their end. */
struct swarm_load *swarm_load_create(struct world *world, const uint32_t *hosts,
                                     uint32_t host_count, uint32_t clients, uint32_t rate,
                                     uint64_t seed);
void swarm_load_destroy(struct swarm_load *load);

/* Lets each do what it can now; whether anything was done. */
bool swarm_load_poll(struct swarm_load *load);

/* When one wants to be polled though nothing happens. */
uint64_t swarm_load_due_ns(const struct swarm_load *load);

/* They go to these hosts only from now on. */
void swarm_load_reach(struct swarm_load *load, uint32_t mask);

/* Drops all connections: what is open is unknown. */
void swarm_load_end(struct swarm_load *load);

#endif
