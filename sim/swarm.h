#ifndef WEIR_SIM_SWARM_H
#define WEIR_SIM_SWARM_H

/*
 * Swarm: whole clusters under faults, each from one seed, each with faults of its own.
 *
 * Words
 *   plan      what a seed stands for, as data: nodes, maps, the ranges of delays, the load, and a
 *             list of timed actions.  It is drawn before anything runs, can be printed, and can be
 *             made smaller (sim/swarm_edit.h): the run takes chance from the seed only
 *             for what the plan leaves open.
 *   fault     a row of the table in sim/swarm_fault.c: what it is, how it is drawn, what begins it
 *             and what ends it.
 *   action    one fault, from one moment to another, on some nodes or links.
 *   run       a world, nodes, clients and checks; the same plan gives the same run, byte for byte.
 *
 * Phases of a run
 *   birth     a new cluster needs all its members once; its time begins when all serve.
 *   safety    actions come and go.  Nothing but safety is demanded.
 *   liveness  a quorum of the members is healed: its disks, clocks, processes, the links between
 *             them and those to clients.  The rest stays as broken as it is, for ever.  Within a
 *             bound there is a leader again, and then every operation is answered.
 *   peace     everything is healed.  Within a bound all nodes have applied the same entries, up to
 *             the last.
 *   verdict   the processes end, the logs are read back from the disks, and the histories of the
 *             clients are judged.
 *
 * Checks at every step (sim/swarm_check.c): one leader in a term, with the votes of a quorum; one
 * vote of a node in a term, over restarts too (sim/swarm_votes.h); equal entries wherever index and
 * term are equal; a leader has everything that was committed in earlier terms; every node commits
 * and applies the same entries at the same index, with the same digest of its machine; what is
 * committed is durable on a quorum of the configuration that is then in force, in both halves of a
 * joint one, and a leader counts for entries of its own term only; a configuration follows another
 * one only when that one is committed; what a process
 * called durable is there when the next one starts; a process fails only if a fault lets it.
 *
 * Memory: some MiB a node and the history of the clients.  One thread.  Everything allocates and
 * fails only by assertion; an assertion inside a node ends the process, so whoever runs many seeds
 * runs them in processes of their own (tools/sim.c).
 */

#include <stdbool.h>
#include <stdint.h>

#include "sim/cluster_clients.h"
#include "sim/kv_model.h"
#include "sim/world.h"

enum {
    SWARM_NODES_MAX = 7,
    SWARM_ACTIONS_MAX = 160,
    SWARM_TEXT_BYTES = 512,
    SWARM_OUTSIDE = SWARM_NODES_MAX, /* where clients are, as a row or a bit of links */
    SWARM_ENDS = SWARM_NODES_MAX + 1,
};

/* What can go wrong.  The rows of the table in swarm_fault.c are in this order. */
enum swarm_fault {
    SWARM_CRASH,      /* power cut of one node, and back */
    SWARM_CRASH_STEP, /* the same, at a step of its disk */
    SWARM_KILL,       /* the process only, as by SIGKILL */
    SWARM_STOP,       /* a clean stop, and a start */
    SWARM_BLACKOUT,   /* all lose power at once */
    SWARM_PAUSE,
    SWARM_SLOW_CPU,
    SWARM_PARTITION, /* of any shape */
    SWARM_CLIENT_CUT,
    SWARM_CLOG,
    SWARM_SLOW_LINK,
    SWARM_FLIP,
    SWARM_RESET,
    SWARM_CLOCK_JUMP,
    SWARM_CLOCK_RATE,
    SWARM_SLOW_DISK,
    SWARM_STALL,
    SWARM_FULL_DISK,
    SWARM_SYNC_FAILS,
    SWARM_WRITE_FAILS,
    SWARM_HALT,       /* a power cut at a named point of sim/world.h */
    SWARM_DAMAGE,     /* of a sector at rest */
    SWARM_TRANSFER,   /* the leader is asked to hand over: no fault, but it may seem one */
    SWARM_MEMBERS,    /* a node is added, promoted or removed: likewise */
    SWARM_LOST_DISK,  /* and an empty one in its place */
    SWARM_BLINK,      /* links are cut for a moment, which TCP mends */
    SWARM_LOSS,       /* pieces are lost, which TCP sends again */
    SWARM_NO_HANDLES, /* no file can be opened: its process has no descriptor left */
    SWARM_FAULTS,
};

/* One action of a plan.  Times are nanoseconds since the cluster began. */
struct swarm_action {
    uint64_t from_ns;
    uint64_t to_ns; /* >= from_ns */
    enum swarm_fault fault;
    uint32_t node;             /* of faults that befall one */
    bool leader;               /* `node` changes places with whoever leads at from_ns */
    uint8_t links[SWARM_ENDS]; /* of faults of links: bit j of row i is the way from i to j */
    int64_t amount;            /* as the fault has it */
    bool left_out;             /* by an edit: it never begins */
};

/* Everything that a seed stands for. */
struct swarm_plan {
    uint64_t seed;
    uint32_t node_count;    /* [1, SWARM_NODES_MAX] */
    uint32_t founder_count; /* of these, those that begin the cluster; the rest may be added */
    uint64_t safety_ns;
    struct world_options world;
    const char *maps[SWARM_NODES_MAX];      /* of sim/node.h */
    uint32_t budget_max;                    /* likewise */
    uint32_t batch_count;                   /* likewise */
    uint64_t snapshot_log_bytes;            /* likewise; 0: no snapshots */
    bool leases;                            /* likewise */
    bool has_secret;                        /* likewise: what members say is authenticated */
    struct cluster_clients_options clients; /* but for seed, hosts and port */
    uint64_t quorum_seed;                   /* of who is healed first */
    uint32_t action_count;
    struct swarm_action actions[SWARM_ACTIONS_MAX];
};

/* What happened, so that a run can say that it was not empty. */
struct swarm_counts {
    uint64_t ok;
    uint64_t refused;
    uint64_t unknown;
    uint64_t operations_once; /* of all these, under ONCE */
    uint64_t elections;       /* terms with a leader */
    uint64_t committed;       /* entries */
    uint64_t starts;          /* of processes, the first ones included */
    uint64_t reads_at_once;   /* batches with reads that a leader answered by its lease */
    uint64_t configurations;  /* that were seen in logs, behind the first one */
    uint64_t faults[SWARM_FAULTS];
    uint64_t disks_lost;
    uint64_t logs_full;         /* full disks that left the log without room when they ended */
    uint64_t refused_for_room;  /* commands that were answered -MISCONF */
    uint64_t replays_undecided; /* runs whose history nobody has judged as a whole: worth a look */
    uint64_t keys_given_up;     /* runs with keys that the search by key gave up; replay judged */
    uint64_t keys_not_judged;   /* runs with keys that it does not model; likewise */
};

/* The outcome of a run. */
struct swarm_result {
    uint64_t seed;
    bool failed;
    char finding[SWARM_TEXT_BYTES]; /* what broke, in a sentence; "": nothing */
    uint32_t kind_bytes;            /* of it, which say what sort it is; 0: all of it */
    uint64_t step;                  /* of the run, when it ended or broke */
    uint64_t time_ns;               /* of the cluster, likewise */
    uint64_t trace_hash;            /* of everything that happened */
    struct swarm_counts counts;
};

/* Where a run is, for whoever watches it from another process.  Words, stored as they change. */
struct swarm_position {
    uint64_t seed;
    uint64_t step;
    uint64_t time_ns;
    uint32_t node; /* whose code runs, from 1; 0: nobody's */
};

/* What a run tells while it goes on; all may be NULL. */
struct swarm_watch {
    void (*line)(void *context, const char *text); /* the story, line by line */
    void *context;
    struct swarm_position *position;
    bool every_event; /* the story has every event of the world, too */
};

/* Draws the plan of a seed.  founder_count 0: drawn too. */
void swarm_plan_draw(struct swarm_plan *plan, uint64_t seed, uint32_t founder_count);

/* Adds the plan as text: a line for the cluster, and one for each action. */
void swarm_plan_print(const struct swarm_plan *plan, struct kv_model_text *out);

/* Runs a plan to its end, or to the first finding. */
void swarm_run(const struct swarm_plan *plan, const struct swarm_watch *watch,
               struct swarm_result *result);

/* The name of a fault: "crash".  A string constant. */
const char *swarm_fault_name(enum swarm_fault fault);

#endif
