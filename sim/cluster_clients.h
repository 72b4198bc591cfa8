#ifndef WEIR_SIM_CLUSTER_CLIENTS_H
#define WEIR_SIM_CLUSTER_CLIENTS_H

/*
 * Simulated clients of a cluster: real RESP over the connections of the simulated world.
 *
 * Each client has one connection at a time, and many one after the other. It makes batches of
 * random commands of kv on a few keys that all clients share, pipelines them, sends them in pieces,
 * reads the replies, fast or slowly, and records each operation (sim/history.h): what it asked,
 * when, and what it was told. When and what is drawn from the seed; time is the world's. Nothing
 * happens by itself: whoever steps the world and the nodes calls cluster_clients_poll.
 *
 *   connection   begins with HELLO 3, or speaks RESP 2. It ends after some batches: closed,
 *                half-closed and then read to its end, or reset in the middle; or when the node
 *                ends it; or when its oldest command has waited for the time-out.
 *   redirect     -MOVED names the node to go to: the client takes the replies that are under way,
 *                and goes there. -CLUSTERDOWN and -READONLY: it waits a little, and goes to another
 *                node. -TRYAGAIN: it waits.
 *   reads        some connections ask for another mode: CLIENT READS lease, CLIENT READS stale or
 *                READONLY. On the latter two nothing but reads is asked; they are recorded as reads
 *                that may be stale, which no checker judges. Those by lease are judged as any. Some
 *                connections only read, in whatever mode: no write of their own holds them up.
 *   outcome      what was answered is ok, refused, or, with -UNKNOWN, unknown. What was not
 *                answered when the connection ended is unknown; what had not begun to be sent is
 *                refused. A plain command is never repeated.
 *   once         a share of the writes is sent under ONCE, in a session of the client's. Such a
 *                write is sent again under its number until it is answered, on whatever connection.
 *                It is one operation. Repeated, it keeps no place among its first connection's
 *                operations, since it may take effect behind later ones: it is then moved to a
 *                connection of its own (history_detach). Given up after CLUSTER_CLIENTS_ONCE_TRIES
 *                tries, or when its number is about to leave the session's window: unknown, or
 *                refused if every try was refused.
 *   beside       HELLO, CLIENT READS, READONLY, PING, ONCE.OPEN and malformed commands are sent
 *                too. They are not recorded; their replies are judged here.
 *
 *   transactions  MULTI, some commands, and EXEC, are one operation (sim/kv_model.h says its
 *                words); under ONCE its EXEC is, and all of it is sent again. A WATCH is one of its
 *                own, in an earlier batch or the same: the connection's next EXEC is for it. What
 *                that writes is not made dependent on what was read: the checker knows what
 *                changed.
 *
 * What they see themselves, and say (cluster_clients_finding): bytes that are no reply, a reply to
 * no command, a reply to one of the commands beside that it cannot have, an -APPLIED for what was
 * sent once, a -SEQUENCE. Replies are given to commands in the order of the connection, so replies
 * that are lost, doubled or exchanged go to wrong operations, and the checkers see that.
 *
 * Keys. "k0" and so on hold strings, "n0" numbers, "a0" texts that grow, "h0" hashes, "l0" lists,
 * "m0" sets, "z0" sorted sets, "s0" large sets, "x0" whatever has a deadline: key by key strings
 * without one are judged (sim/linearizable.h), by replay all. A write is unique, by a value, an
 * amount or a key that nobody else names, or it is under ONCE, which tells whose it is by session
 * and number (cluster_clients_once_operation). So of a command in the log it is always known whose
 * it is (sim/replay_check.h), and no verdict is undecided for want of that.
 *
 * Memory: the history's two blocks, and some 100 KB a client that grow with the longest batch. One
 * thread. Nothing blocks, nothing fails but by assertion.
 */

#include "sim/history.h"
#include "sim/world.h"

struct cluster_clients;

enum {
    CLUSTER_CLIENTS_MAX = 64,
    /* Commands that a connection has sent and that are not answered. */
    CLUSTER_CLIENTS_PIPELINE = 64,
    CLUSTER_CLIENTS_BATCH = 16,
    /* Writes under ONCE that a client has open: far fewer than a session's window of 128. */
    CLUSTER_CLIENTS_ONCE = 16,
    CLUSTER_CLIENTS_ONCE_TRIES = 64,
};

/* What is wrong with a client's eyes: for tests, which must see that it is found. */
enum cluster_clients_spoiling {
    CLUSTER_CLIENTS_SPOIL_NOTHING,
    CLUSTER_CLIENTS_SPOIL_SWAP, /* two replies of a connection, one right behind the other */
    CLUSTER_CLIENTS_SPOIL_DROP,
    CLUSTER_CLIENTS_SPOIL_DUPLICATE,
};

/* Chances are in a thousand. */
struct cluster_clients_options {
    uint64_t seed;
    uint32_t hosts[WORLD_NODES_MAX]; /* of the world, of the cluster's nodes */
    uint32_t host_count;             /* [1, WORLD_NODES_MAX] */
    uint16_t port;                   /* the same on all of them */
    /* What -MOVED calls a host, if not "10.0.0.<n+1>:<port>"; NULL: nothing else. */
    const char *advertised[WORLD_NODES_MAX];

    uint32_t clients;        /* [1, CLUSTER_CLIENTS_MAX] */
    uint32_t rate;           /* operations a second that all together begin, if they are answered */
    uint32_t batch_max;      /* [1, CLUSTER_CLIENTS_BATCH] */
    uint32_t keys;           /* of each sort; at least 1 */
    uint32_t read_share;     /* of all operations */
    uint32_t once_share;     /* of all writes */
    uint32_t expiry_share;   /* of all operations: about keys with deadlines */
    uint32_t beside_share;   /* commands beside, for each operation */
    uint32_t listing_share;  /* of all reads: KEYS and DBSIZE */
    uint32_t exchange_share; /* of all operations: GETSET, CAS and others beside SET and GET */
    uint32_t collection_share;  /* of all operations: about hashes, lists, sets and sorted sets */
    uint32_t transaction_share; /* of all operations: WATCH and EXEC; as in the one above, no
                                   listings then */
    uint32_t set_share;         /* of all operations: about sets of some hundred members; then no
                                listings */
    uint32_t long_share;        /* of all values: up to value_bytes_max */
    uint32_t value_bytes_max;   /* at least 32 */

    uint32_t resp3_share;    /* of connections */
    uint32_t lease_share;    /* of connections: CLIENT READS lease */
    uint32_t stale_share;    /* of connections: CLIENT READS stale */
    uint32_t readonly_share; /* of connections: READONLY */
    uint32_t reader_share;   /* of the others: nothing but reads, which are judged as any */
    uint32_t slow_share;     /* of connections: read a few bytes at a time */
    uint32_t piece_share;    /* of batches: sent in pieces, with pauses */
    uint32_t inline_share;   /* of commands without values: sent as a line */
    uint32_t batches_max;    /* a connection ends after [1, this] batches */
    uint32_t reset_share;    /* of connections: end in the middle of a batch, by a reset; */
    uint32_t half_share;     /* and these half-closed and read to the end; the rest is closed */
    uint64_t timeout_ns;     /* of a command, from its invocation */

    uint32_t operations_max; /* room of the history */
    uint64_t history_bytes;

    enum cluster_clients_spoiling spoiling;
    uint64_t spoiling_reply; /* the how manieth reply of all, from 1 */
};

/* What happened, so that a run can say that it was not empty. */
struct cluster_clients_counts {
    uint64_t operations;
    uint64_t ok;
    uint64_t refused;
    uint64_t refused_for_room; /* answered -MISCONF, under ONCE each time */
    uint64_t unknown;
    uint64_t stale;  /* of the operations, those that asked for reads that may be */
    uint64_t beside; /* commands beside that were answered */
    uint64_t connections;
    uint64_t connections_failed; /* nothing listened */
    uint64_t timeouts;
    uint64_t resets; /* by the client, in the middle */
    uint64_t half_closes;
    uint64_t moved; /* -MOVED followed */
    uint64_t once_operations;
    uint64_t once_repeated; /* of these, operations sent more than once */
    uint64_t once_repeats;  /* sendings of them beyond the first */
    uint64_t received_bytes;
};

/* Usual values: 8 clients, 200 operations a second for some 40 s, everything now and then. The
 * caller sets seed, hosts and port. */
struct cluster_clients_options cluster_clients_options_default(void);

/* Clients without connections, and an empty history. The world outlives them. Allocates. */
struct cluster_clients *cluster_clients_create(struct world *world,
                                               const struct cluster_clients_options *options);

/* Closes their connections and frees everything, the history too. */
void cluster_clients_destroy(struct cluster_clients *clients);

/* Lets every client do what can be done at the world's present time; whether anything was done.
 * Call it after steps of the world, and at the latest at cluster_clients_deadline_ns. */
bool cluster_clients_poll(struct cluster_clients *clients);

/* When a client wants to be polled though nothing has happened; UINT64_MAX: never. */
uint64_t cluster_clients_deadline_ns(const struct cluster_clients *clients);

/* Whether they begin new operations, as they do at first. What is open is pursued in any case. */
void cluster_clients_begin(struct cluster_clients *clients, bool is_on);

/* From now on only these hosts (bit n: options.hosts[n]) are connected to, at least one; and
 * connections to others are reset. At first all. */
void cluster_clients_reach(struct cluster_clients *clients, uint32_t host_mask);

/* From now on no client resets a connection in the midst of its requests by itself, nor reads
 * slowly: what is not answered in time is the doing of nodes and network. */
void cluster_clients_patient(struct cluster_clients *clients);

/* Resets every connection, as if the clients' processes had ended: what is open becomes unknown, or
 * refused, at once, ONCE too. Nothing is begun any more. The history is then complete. */
void cluster_clients_end(struct cluster_clients *clients);

/* The history, borrowed. Operations that still wait are pending. */
const struct history *cluster_clients_history(const struct cluster_clients *clients);

/* The first finding; NULL: none. */
const char *cluster_clients_finding(const struct cluster_clients *clients);

/* True once the history is full: nothing is begun any more, the run should end. */
bool cluster_clients_full(const struct cluster_clients *clients);

/* What was counted since the beginning. */
const struct cluster_clients_counts *cluster_clients_counts(const struct cluster_clients *clients);

/*
 * Of the operations invoked at `moment_ns` or later: how each ended. A cluster is alive if, after a
 * bound, none of those is pending or unknown that were begun once it had healed; and some are ok.
 */
struct cluster_clients_since {
    uint32_t ok;
    uint32_t refused;
    uint32_t unknown;
    uint32_t pending;
};
void cluster_clients_since(const struct cluster_clients *clients, uint64_t moment_ns,
                           struct cluster_clients_since *out);

/* Whether every operation invoked at `moment_ns` or later is answered: ok or refused. */
bool cluster_clients_all_answered(const struct cluster_clients *clients, uint64_t moment_ns);

/* The operation of a write under ONCE; HISTORY_OPERATIONS_MAX: nobody's. `context` are the clients,
 * so that it can be given to committed_log_commands. */
uint32_t cluster_clients_once_operation(const void *context, uint64_t session, uint64_t sequence);

/* A hash of the history as text: the same seed, world and nodes give the same. Allocates. */
uint64_t cluster_clients_hash(const struct cluster_clients *clients);

#endif
