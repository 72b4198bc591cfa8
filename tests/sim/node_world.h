#ifndef WEIR_TESTS_SIM_NODE_WORLD_H
#define WEIR_TESTS_SIM_NODE_WORLD_H

/* A world with one host, a process on it, and load: what the tests of the node begin with. */

#include "base/bytes.h"
#include "base/checksum.h"
#include "tests/sim/node_load.h"

#include "tests/cmocka_wrapper.h"

struct node_world {
    uint64_t seed;
    struct world *world;
    uint32_t host;
    struct sim_node_options options;
    struct load load;
    uint64_t starts;
    /* What a process was sure of, and no later one may fall behind. */
    uint64_t durable_index;
    uint64_t log_time_ms;
    uint64_t snapshot_index;
    uint64_t term;
};

/* A calm or a rough world, six clients, options for the fused map; no process yet. */
void node_world_init(struct node_world *test, uint64_t seed, bool is_rough);

/* Starts a process; fails the test with its sentence if it does not start, and checks that index,
 * log time, term and snapshot have not gone back once it serves. */
void node_world_start(struct node_world *test);

/* As start, but a failure is the result: 0, or the error and its sentence. */
int node_world_try_start(struct node_world *test, struct error_text *error);

/* Lets the process end, as it must have been asked to or failed already; frees it. */
void node_world_end(struct node_world *test);

/* A clean stop: no failure. */
void node_world_stop(struct node_world *test);

/*
 * The power goes at the next step of the disk at the latest; the process ends on its own, and is
 * freed; the disk keeps what `cut` says.
 */
void node_world_power_cut(struct node_world *test, enum world_power_cut cut);

/* Nobody sends anything for so long, and the node does what it does by itself, unless it ends. */
void node_world_rest(struct node_world *test, uint64_t ns);

void node_world_free(struct node_world *test);

/* Fails the test, naming seed, map and finding, unless `is_so` and there is no finding. */
void node_world_expect(struct node_world *test, bool is_so, const char *what);

/* A hash of every file of the data directory, by name and bytes. */
uint64_t node_world_disk_hash(struct node_world *test);

/* A number from the environment, or the usual one. */
uint64_t node_world_environment(const char *name, uint64_t usual);

/* The seeds of a run: WEIR_SIM_SEED alone, or `count` times WEIR_SIM_SEEDS (default 1). */
uint64_t node_world_seed_first(uint64_t first);
uint64_t node_world_seed_last(uint64_t last);

#endif
