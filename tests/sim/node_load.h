#ifndef WEIR_TESTS_SIM_NODE_LOAD_H
#define WEIR_TESTS_SIM_NODE_LOAD_H

/*
 * Load on a simulated node, and the judgement of what it answers and keeps.
 *
 * Each client has keys of its own and a plain model of them.  It pipelines commands; every reply
 * must be, byte for byte, what the model answers to the next command.  So program order, real
 * results, and the order of replies are checked at once, whatever the map.
 *
 * A connection may be cut.  Then what was sent and not answered is open: some first part of it has
 * taken effect, since the commands of a connection take effect in their order.  load_settle asks
 * the node, once nothing is under way any more, for all keys of the client, and looks for a number
 * of commands, from those answered to those sent, after which the model has just these values.
 * None: a write that was answered is lost, or one was applied half, twice or out of order.
 *
 * Beside these there are, if asked for (common_share), a counter that all clients count up, and
 * keys that expire; node_load_common.h says how their answers are judged without a model.
 *
 * The same question after a power cut is the test of durability.  A final failure of the node shows
 * in replies too: what -UNKNOWN answers is open, and -MISCONF and -CLUSTERDOWN say that nothing was
 * done; the latter count as wrong unless load->refusals_expected.
 */

#include "base/random.h"
#include "sim/kv_model.h"
#include "sim/node.h"

enum {
    LOAD_CLIENTS_MAX = 8,
    LOAD_KEYS = 8,      /* of each client, the first two of them counters */
    LOAD_PIPELINE = 48, /* commands sent and not answered, at most */
    LOAD_LEASES = 2,    /* keys of each client that expire */
    LOAD_COUNTS_MAX = 1 << 16,
};

/* What a command is about, and so who judges its answer. */
enum load_sort {
    LOAD_OWN, /* the client's own keys: the model */
    LOAD_COUNT,
    LOAD_COUNT_READ,
    LOAD_LEASE_SET,
    LOAD_LEASE_READ,
};

/* One command of a client that is not settled. */
struct load_command {
    struct kv_model_text bytes; /* as sent */
    struct kv_model_word *words;
    size_t word_count;
    uint64_t end; /* of the client's stream on this connection, behind this command */
    enum load_sort sort;
    uint64_t made_ns;
    uint64_t count_floor; /* the highest count that had been answered when it was made */
    uint32_t lease;       /* which one it is about */
};

/* A key that expires: what the client was last told that it had set. */
struct load_lease {
    bool is_known; /* false: nothing is to be expected of it */
    uint64_t value;
    uint64_t first_end_ns; /* it may be gone from here on */
    uint64_t last_end_ns;  /* and must be gone at this time, but for the node's own delay */
};

struct load_client {
    struct world_client *socket; /* NULL: cut, or not yet connected */
    struct kv_model *model;      /* after everything answered */
    struct load_command *commands[LOAD_PIPELINE];
    uint32_t first;      /* ring: oldest command not answered */
    uint32_t count;      /* of commands not answered, sent or not */
    uint64_t made_bytes; /* of this connection's stream: made, and put into the socket */
    uint64_t sent_bytes;
    struct kv_model_text received;
    struct kv_model_text expected; /* the answer to the oldest command, while `answering` */
    bool answering;                /* a part of that has come, and the model has executed it */
    uint64_t serial;               /* of values, so that no two are alike */
    bool doubtful; /* -UNKNOWN was answered, or the connection cut: the rest is open */
    struct load_lease leases[LOAD_LEASES];
};

/* How much of what. */
struct load_options {
    uint32_t clients;
    uint32_t value_bytes_max; /* of the large values; most are far smaller */
    uint32_t large_share;     /* of all values, in 100 */
    uint32_t cut_chance;      /* of a connection being cut at a turn, in 100000 */
    uint32_t common_share; /* of all commands, in 100: the common counter, and keys that expire */
    uint64_t expiry_delay_ns; /* a key must be gone so long after its time; 0: not judged */
};

struct load {
    struct world *world;
    uint32_t host;
    struct sim_node *node;
    struct load_options options;
    struct random random;
    struct load_client clients[LOAD_CLIENTS_MAX];
    bool refusals_expected;
    /* The common counter. */
    uint64_t counts_made;     /* so often it may have been counted up */
    uint64_t count_high;      /* the highest answer */
    uint8_t *counts_answered; /* [LOAD_COUNTS_MAX + 1] */
    uint64_t byte_hash;       /* of everything received, in the order received */
    /* What happened, so that a test can say that it was not vacuous. */
    uint64_t answered;
    uint64_t refused;
    uint64_t unknown;
    uint64_t cuts;
    uint64_t open_applied; /* settled commands that had no answer and took effect */
    uint64_t open_lost;    /* and that did not */
    uint64_t leases_alive; /* reads of a key that expires that found it, */
    uint64_t leases_gone;  /* and that found it expired */
    /* Nothing more is judged: the rest only has to come to its end. */
    bool is_blind;
    /* A finding that stops everything; empty: none. */
    char finding[512];
};

/* Clients without connections, and models without keys. */
void load_init(struct load *load, struct world *world, uint32_t host, uint64_t seed,
               const struct load_options *options);
void load_free(struct load *load);

/*
 * Lets the world, the node and the clients go on until so many more commands have been answered,
 * or the node has ended or halted, or there is a finding.  Connects clients that are not cut.
 * False if everything has come to rest before: nobody will ever do anything.
 */
bool load_run(struct load *load, uint64_t commands);

/* As load_run, without new commands, until every sent one is answered or open. */
bool load_drain(struct load *load);

/* As load_drain, until the node has ended, as it will after a stop or a failure. */
bool load_end(struct load *load);

/* Cuts every connection, waits until the node has forgotten them, and settles every client. */
bool load_settle(struct load *load);

/* One step of the node or the world; false if both are at rest. */
bool load_step(struct load *load);

#endif
