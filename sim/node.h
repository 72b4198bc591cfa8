#ifndef WEIR_SIM_NODE_H
#define WEIR_SIM_NODE_H

/*
 * A whole node in the simulated world: the real stages, log, snapshots, raft core and machine,
 * wired by the real pipeline, whose cores are stepped here, one after the other, on one thread.
 * Only the io door is another one.
 *
 *   process   what sim_node_start makes: doors, memory, the pipeline.  It ends by itself after a
 *             stop, a SHUTDOWN or a final failure, as `weir serve` does.
 *   host      a node of the world: its disk outlives the process, and the next one starts from it.
 *   schedule  which of the cores that could go on goes on next, and how large its budget is: drawn
 *             from a seed of its own, so that one seed reproduces everything.
 *
 * A core that has nothing to do sleeps, as its thread would, until its door has something or a
 * doorbell is rung.  If everything sleeps and the world has no event left, nobody will ever do
 * anything: a wake-up that was forgotten shows as that.
 *
 * Death.  A process is never torn out of the middle: its memory would be lost.  Instead its disk
 * dies at the chosen step (world_disk_die_after), the process ends on its own, since nothing it
 * does reaches the disk any more, and then world_crash says what the power cut left, or world_kill
 * that it was only the process.  What it acknowledged after the disk died it must have stored
 * before.
 *
 * Whoever uses this links weir_sim before weir_stages.  One thread; allocates; a call that cannot
 * work is a bug of the test and is asserted.
 */

#include "sim/world.h"
#include "stages/node.h"
#include "stages/peers.h"

struct sim_node;

/* Zero means the usual value where it says so. */
struct sim_node_options {
    const char *map;          /* of two CPUs, 0 and 1: "fused", "pair", "split", "0:read+..." */
    const char *machine;      /* NULL: kv */
    uint32_t idle_shards;     /* mask of enum stage_id: parse and serialize may have a second */
    uint64_t schedule_seed;   /* of the order of the cores, and of the budgets */
    uint32_t budget_max;      /* each round's budget is drawn from [1, this]; 0: as threads do */
    uint32_t batch_count;     /* power of two; 0: 64 */
    uint32_t connections_max; /* 0: 32 */
    uint32_t carry_bytes_max; /* of unfinished commands; 0: 32 MiB */
    uint32_t election_timeout_ms; /* 0: as a node has by itself */
    uint32_t append_messages_max; /* to one follower at once; 0: as a node has by itself */
    uint32_t member_count;        /* of its cluster, with ids 1 to so many; 0: 1 */
    /* The hosts of nodes 1, 2 ...: they talk over the network, each listening at
     * SIM_NODE_PEER_PORT of its host.  NULL: somebody else moves what is in sim_node_peers.
     * Borrowed until the start. */
    const uint32_t *member_hosts;
    /* By id less 1: members that are known by a name, which somebody else resolves; NULL: nobody,
     * or not this one.  Their cells have to be quiet.  Borrowed as long as the process runs. */
    struct peer_name *const *member_names;
    uint32_t member_hosts_count; /* more of them may be added later; 0: member_count */
    uint64_t node_id;            /* 0: 1.  Above member_count: made to be added later */
    const char *secret;          /* that the members have in common; NULL: none */
    uint64_t snapshot_log_bytes; /* 0: never */
    uint64_t snapshot_rate_bytes_s;
    uint64_t zero_ahead_bytes; /* of the log: storage/log.h; 0: none */
    uint8_t reads;             /* enum read_mode of the node */
    enum node_leases leases;
    uint64_t log_time_jump_ms_max; /* 0: no limit */
    bool knows_addresses;          /* of all members' clients: 10.0.0.ID, SIM_NODE_PORT */
    enum durability durability;
};

/* The data directory on every host, for world_file_bytes and the like. */
extern const char sim_node_directory[];

enum {
    SIM_NODE_PORT = 7379,      /* where clients connect */
    SIM_NODE_PEER_PORT = 7380, /* where other members do */
    /* The largest value: some twenty of them fill a segment. */
    SIM_NODE_BULK_BYTES_MAX = 48 * 1024,
};

/*
 * Starts a process on a host, which has none: makes the data directory if it was never made, takes
 * its lock, recovers, starts the cores.  Blocks, that is, lets the world go on.  On error *error is
 * the sentence that `weir serve` would say, and nothing is left; the result is serve's reason.
 */
int sim_node_start(struct sim_node **out, struct world *world, uint32_t host,
                   const struct sim_node_options *options, struct error_text *error);

/* Lets one core do one round; false if all of them sleep, or have ended. */
bool sim_node_step(struct sim_node *node);

/* Asks it to stop, as SIGTERM does. */
void sim_node_stop(struct sim_node *node);

/* Whether the process has come to its end: all cores at rest after a stop or a failure. */
bool sim_node_ended(const struct sim_node *node);

/* The sentence of a final failure; NULL: none. */
const char *sim_node_failure(const struct sim_node *node);

/* Whether clients are let in. */
bool sim_node_serving(const struct sim_node *node);

/* What the stages publish about themselves. */
const struct node *sim_node_figures(const struct sim_node *node);

/* Where changes of members and leader are asked for: stages/change.h; then sim_node_wake. */
struct change_box *sim_node_changes(struct sim_node *node);

/* The rings to and from other members, for whoever moves what is in them; and what to do when a
 * record was put into one. */
struct peers *sim_node_peers(struct sim_node *node);
void sim_node_wake(struct sim_node *node);

/* What is looked at between two steps, owned by the process: its log and its consensus core; and
 * the digest of its machine right after the entry at *index, false while it is between two. */
const struct log *sim_node_log(const struct sim_node *node);
const struct raft *sim_node_raft(const struct sim_node *node);
bool sim_node_in_step(const struct sim_node *node); /* the log is what the core believes it is */
bool sim_node_digest(const struct sim_node *node, uint64_t *index, uint64_t *digest);

/* Frees an ended process; and gives back its lock. */
void sim_node_destroy(struct sim_node *node);

#endif
