#ifndef WEIR_TESTS_SIM_NODE_GROUP_H
#define WEIR_TESTS_SIM_NODE_GROUP_H

/*
 * Several whole nodes in one world: the real stages, logs, cores and machines of a cluster.
 *
 * They talk over the world's network (group_init_networked), whose faults are world.h's.  Or there
 * are no sockets between them (group_init): records of one node's rings (stages/peers.h) are moved
 * to the other's, after a delay, twice, or never, and what stands in them is altered by nobody.  A
 * connection is then opened as soon as both processes are there and the one that is called has a
 * row for the caller; then it introduces itself.
 *
 * The load counts: every client does INCR and GET of a few common keys, one request at a time, at
 * whatever node it thinks leads.  Who has an answer knows what others may no longer see:
 *
 *   - no two acknowledged INCR of a key have the same reply;
 *   - the reply of an INCR or GET is not below what was acknowledged before it was sent;
 *   - nor is it above the number of INCR sent until then.
 */

#include "base/random.h"
#include "sim/node.h"
#include "tests/sim/node_world.h"

enum {
    GROUP_NODES_MAX = 7,
    GROUP_CLIENTS = 5,
    GROUP_KEYS = 3,
    GROUP_COUNT_MAX = 4096, /* INCR of a key, all together */
};

struct group_node {
    uint32_t host;
    struct sim_node *node; /* NULL: no process */
    struct sim_node_options options;
    uint64_t starts;
    uint64_t applied_index; /* of the last process: nothing may fall behind */
    bool paused;
    bool may_fail; /* its failure is no finding, */
    bool may_lie;  /* nor are its numbers */
};

/* A record on its way. */
struct group_record {
    struct group_record *next;
    uint64_t due_ns;
    uint32_t from;
    uint32_t to;
    uint32_t lane;
    uint32_t length_bytes;
    uint8_t bytes[];
};

struct group_client {
    struct world_client *connection; /* NULL: none */
    uint32_t node;                   /* index */
    uint32_t key;
    bool incr;
    bool busy;
    uint64_t floor; /* what the reply must reach */
    uint64_t sent_ns;
    char text[256];
    size_t text_bytes;
};

struct group_counts {
    uint64_t incr_acked;
    uint64_t gets;
    uint64_t unknown;
    uint64_t refused;
    uint64_t records;
    uint64_t lost;
    uint64_t chunks; /* pieces of snapshots that were sent, */
    uint64_t chunks_lost;
    uint64_t chunks_spoilt;
    uint64_t reopened; /* data connections, by their sender */
};

struct group {
    uint64_t seed;
    struct world *world;
    struct random random;
    uint32_t node_count;
    struct group_node nodes[GROUP_NODES_MAX];
    struct group_record *records; /* by due time */
    bool is_networked;
    uint32_t hosts[GROUP_NODES_MAX];
    bool cut[GROUP_NODES_MAX][GROUP_NODES_MAX];
    bool clogged[GROUP_NODES_MAX][GROUP_NODES_MAX];      /* only what is of the data lane is lost */
    bool entries_lost[GROUP_NODES_MAX][GROUP_NODES_MAX]; /* only APPENDs that have entries are */
    bool reopening_mends;                                /* ... until its sender opens it anew */
    bool connected[GROUP_NODES_MAX][GROUP_NODES_MAX];    /* control, opened by the first */
    uint64_t delay_ns_max;
    uint32_t loss_per_mille;
    uint32_t twice_per_mille;      /* delivered once more, later */
    uint32_t chunk_loss_per_mille; /* of pieces of snapshots, beside that */
    uint32_t chunks_spoilt_next;   /* so many pieces get a wrong byte */

    bool load_on;
    struct group_client clients[GROUP_CLIENTS];
    uint64_t sent[GROUP_KEYS];
    uint64_t acked[GROUP_KEYS]; /* the highest reply */
    uint8_t replied[GROUP_KEYS][GROUP_COUNT_MAX];
    struct group_counts counts;
    char finding[256]; /* the first; empty: none */
};

/* A world with so many hosts; no process yet.  `map` and the seed's whims for all. */
void group_init(struct group *group, uint64_t seed, uint32_t node_count, const char *map);
void group_init_networked(struct group *group, uint64_t seed, uint32_t node_count, const char *map);
void group_free(struct group *group);

/* Starts a process; fails the test with its sentence if it does not start. */
void group_start(struct group *group, uint32_t index);

/* Loses the disk of a node that has no process: the next one has a new directory. */
void group_wipe(struct group *group, uint32_t index);

/* Ends a process: as by a power cut (what was not synced is lost in any combination). */
void group_crash(struct group *group, uint32_t index);

/* All together do one thing; false if nothing will ever happen. */
bool group_step(struct group *group);

/* Runs for so long, or until there is a finding. */
void group_run(struct group *group, uint64_t ns);

/* Runs until one node leads, serves, and all running ones have applied what it has; at most
 * limit_ns of the world's time.  Whether it came to that. */
bool group_settle(struct group *group, uint64_t limit_ns);

/* The index of the node that leads in the highest term; UINT32_MAX: nobody. */
uint32_t group_leader(const struct group *group);

/* Fails the test if there is a finding or `is_so` is false. */
void group_expect(struct group *group, bool is_so, const char *what);

#endif
