#ifndef WEIR_SIM_RAFT_CLUSTER_H
#define WEIR_SIM_RAFT_CLUSTER_H

/*
 * A cluster of consensus cores on one thread, without a clock, a disk or a network of its own.
 *
 * Each node is a core (raft/raft.h) and the caller that the core's header demands, in its smallest
 * form: a log in memory, a modelled disk, a machine that only remembers what it applied, and a
 * clock that stands still until it is told to go.  Messages lie in one queue for each pair of
 * nodes until somebody delivers them.  Nothing happens by itself: whoever drives the cluster
 * decides what is next, a scenario line by line (sim/raft_script.h), a random driver from a seed
 * (sim/raft_cluster_random.h), or a test.
 *
 *     clients ──► node ──► core ──► actions ──► log, disk, machine
 *                  ▲                    │
 *                  └── link [from][to] ◄┘
 *
 * The disk.  What a node stores is a queue: votes in one, everything else in the other (entries,
 * truncations, chunks and installations of snapshots), each carried out in order.  A switch of the
 * node says whether that happens by itself after every step or on command.  What was appended, or
 * put out as a message, while a vote was being stored waits for that vote.  A crash loses what was
 * not carried out; it may be told to have carried out some of it without having said so.
 *
 * Identity of history.  Every entry has a chain: a hash of itself and of the chain before it.  Two
 * logs with equal chains at an index are equal up to there, so that a machine's state is the chain
 * of what it applied last.
 *
 * Safety.  After every step the cluster checks, from what it saw itself and not from what the cores
 * think (sim/raft_cluster_check.c): the dissertation's five properties (figure 3.2), that terms,
 * commits and matches only grow, that a vote never changes within a term, that what is committed is
 * durable on a quorum, that what is sent may be sent, and that reads are linearizable.  The first
 * violation is kept as a sentence, and the last lines of the trace with it.
 *
 * Everything is bounded; the same calls give the same cluster.  One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "entry/configuration.h"
#include "raft/raft.h"

enum {
    CLUSTER_NODES_MAX = 9, /* ids 1 to 9 */
    CLUSTER_PAYLOAD_BYTES = 16,
    /* Entries of one log between its base and its last one.  The driver compacts before that. */
    CLUSTER_LOG_ENTRIES_MAX = 4096,
    CLUSTER_COMMITTED_MAX = 1 << 16, /* entries of the committed history */
    CLUSTER_LINK_MESSAGES_MAX = 512, /* a full link drops what is sent */
    CLUSTER_WRITES_MAX = 1024,       /* under way on one disk */
    CLUSTER_VOTES_MAX = 64,          /* likewise */
    CLUSTER_READS_MAX = 1024,        /* the last ones are remembered */
    CLUSTER_PROPOSALS_MAX = 4096,    /* waiting at one node */
    CLUSTER_TRACE_LINES = 512,       /* the last ones are kept */
    CLUSTER_LINE_BYTES = 512,
    CLUSTER_CONFIGURATIONS_MAX = 1024, /* different ones in one cluster's life */
    CLUSTER_SNAPSHOTS_KEPT = CLUSTER_NODES_MAX,
};

/* One entry of a log; copied by value. */
struct cluster_entry {
    uint64_t term;
    uint64_t chain;
    uint32_t length_bytes;
    const struct configuration *configuration; /* the cluster's; or NULL */
    char payload[CLUSTER_PAYLOAD_BYTES];       /* a word; "" with a configuration or a no-op */
};

/* A log: entries (base_index, last_index], in a ring by index. */
struct cluster_log {
    uint64_t base_index;
    uint64_t base_term;
    uint64_t base_chain;
    uint64_t last_index;
    struct cluster_entry *entries;
};

/* A snapshot: the machine's state after an entry is the chain of that entry. */
struct cluster_snapshot {
    struct raft_snapshot id; /* index 0: there is none */
    uint64_t chain;
    const struct configuration *configuration;
};

enum cluster_write_kind {
    CLUSTER_WRITE_ENTRIES,  /* entries [first, last] */
    CLUSTER_WRITE_TRUNCATE, /* everything after last */
    CLUSTER_WRITE_CHUNK,    /* bytes [first, last) of the snapshot */
    CLUSTER_WRITE_INSTALL,  /* the snapshot, in place of the log */
};

/* One write under way. */
struct cluster_write {
    enum cluster_write_kind kind;
    uint64_t first;
    uint64_t last;
    uint64_t epoch;
    uint64_t barrier; /* the vote that is to be stored first */
    struct cluster_snapshot snapshot;
    struct cluster_entry *entries; /* as they were when appended; owned */
};

/* A vote record, and its number in the order in which the node asked to store them. */
struct cluster_vote {
    uint64_t term;
    uint64_t node_id;
    uint64_t number;
};

/* What survives a crash, and what is on its way there. */
struct cluster_disk {
    struct cluster_vote vote;
    struct cluster_log log;
    struct cluster_snapshot snapshot;
    struct raft_snapshot receiving; /* the snapshot of which there are some bytes */
    uint64_t received_bytes;
    uint32_t vote_count;
    uint32_t write_count;
    struct cluster_vote votes[CLUSTER_VOTES_MAX];
    struct cluster_write writes[CLUSTER_WRITES_MAX];
};

enum cluster_read_state {
    CLUSTER_READ_WAITING,
    CLUSTER_READ_CONFIRMED, /* and not yet applied far enough */
    CLUSTER_READ_DONE,
    CLUSTER_READ_FAILED,
};

struct cluster_read {
    uint64_t number; /* 1 and up, over the whole cluster; 0: none */
    uint64_t node_id;
    uint64_t round;
    uint64_t index;
    uint64_t seen; /* what was committed anywhere when it began */
    enum cluster_read_state state;
};

/* A client's write that was appended and is not answered yet. */
struct cluster_proposal {
    uint64_t index;
    uint64_t term;
    char payload[CLUSTER_PAYLOAD_BYTES];
};

/* A message on its way. */
struct cluster_message {
    struct cluster_message *next;
    uint64_t number;      /* in the order of sending, over the whole cluster */
    uint64_t barrier;     /* the vote that is to be stored first */
    uint64_t incarnation; /* of the sender */
    struct raft_message message;
    struct cluster_entry entries[]; /* message.entry_count of them */
};

/* Messages, in the order in which they were put. */
struct cluster_queue {
    struct cluster_message *head;
    struct cluster_message **tail;
    uint32_t count;
};

enum cluster_link_state {
    CLUSTER_LINK_OPEN,
    CLUSTER_LINK_HELD, /* queues, and delivers only on command */
    CLUSTER_LINK_CUT,  /* loses what is sent */
};

/* What is on its way from one node to another. */
struct cluster_link {
    struct cluster_queue queue;
    enum cluster_link_state state;
};

enum cluster_node_state {
    CLUSTER_NODE_ABSENT,
    CLUSTER_NODE_DOWN, /* crashed, or not yet started */
    CLUSTER_NODE_RUNNING,
    CLUSTER_NODE_PAUSED, /* its clock goes on, it does nothing */
    CLUSTER_NODE_HALTED, /* the core said so; node.sentence */
};

/* One node.  Readable by everybody; changed only by the functions below. */
struct cluster_node {
    uint64_t id;
    uint64_t incarnation;
    enum cluster_node_state state;
    struct raft *raft;
    uint64_t now_ns;
    uint32_t clock_per_mille; /* its rate: 1000 is right */

    /* Switches: what does not happen by itself. */
    bool hold_votes;
    bool hold_writes;
    bool hold_apply;
    bool hold_append;           /* no room in the log for what the core wants appended */
    uint32_t shorten_per_mille; /* so often an APPEND is cut short, as when read from disk */

    /* As the core's actions told. */
    enum raft_role role;
    uint64_t term;
    uint64_t leader;
    uint64_t epoch;
    uint64_t commit_index;
    const char *sentence; /* HALTED */

    struct cluster_log log;
    struct cluster_snapshot snapshot; /* the newest, also while it is being installed */
    struct cluster_snapshot kept[CLUSTER_SNAPSHOTS_KEPT]; /* older ones, on their way to a peer */
    uint64_t applied_index;
    uint64_t applied_chain;
    struct cluster_disk disk;
    struct cluster_queue outbox; /* messages that wait for a vote */
    uint64_t vote_number;        /* of the last vote asked to be stored */
    bool installing;             /* a snapshot is; nothing is stored or applied meanwhile */
    const struct configuration *receiving_configuration; /* of the snapshot being received */

    bool append_wanted; /* a no-op, or a configuration */
    uint64_t append_term;
    const struct configuration *append_configuration;

    uint64_t shortened_node; /* 0: none */
    uint64_t shortened_index;

    uint32_t proposal_count;
    struct cluster_proposal *proposals;
    const struct configuration *configuration; /* the last in its log, by our own count */
    uint64_t match[CLUSTER_NODES_MAX + 1];     /* of peers, as last seen, in match_term */
    uint64_t match_term;
    enum raft_refusal refusal; /* of the last CONFIGURE or TRANSFER */
};

/* A map of numbers with a fixed number of places; key 0 is not used. */
struct cluster_map {
    uint64_t *keys;
    uint64_t *values;
    uint32_t count;
};

/* What was committed, by index. */
struct cluster_committed {
    uint64_t chain;
    uint64_t term;        /* of the entry */
    uint64_t commit_term; /* of the leader that committed it first */
};

/* What happened so far, for tests that demand a minimum. */
struct cluster_counts {
    uint64_t steps;
    uint64_t elections;
    uint64_t commits;
    uint64_t proposals;
    uint64_t reads_done;
    uint64_t reads_failed;
    uint64_t changes;
    uint64_t transfers;
    uint64_t installs;
    uint64_t truncations;
    uint64_t crashes;
    uint64_t delivered;
    uint64_t dropped;
};

struct cluster_options {
    uint64_t seed;
    uint32_t voter_count;   /* nodes 1 to voter_count; [1, CLUSTER_NODES_MAX] */
    uint32_t learner_count; /* the ids behind them */
    uint32_t spare_count;   /* behind those: with an empty disk, in no configuration, not started */
    uint32_t flags;         /* of the first configuration */
    uint64_t election_timeout_ns;
    uint64_t heartbeat_ns;
    uint32_t clock_drift_per_mille;
    uint32_t inflight_messages_max;
    uint64_t inflight_bytes_max;
    uint32_t message_bytes_max;
    uint32_t snapshot_chunk_bytes;
    uint64_t uncommitted_bytes_max;
    uint32_t window_entries;
    uint32_t entry_bytes; /* length of a proposed entry, unless it is said */
    /* Gets each line of the trace, without its newline; may be NULL. */
    void (*trace)(void *context, const char *line);
    void *trace_context;
};

struct cluster {
    struct cluster_options options;
    struct random random;
    uint64_t now_ns;
    uint32_t node_count;                              /* ids 1 to node_count are not ABSENT */
    struct cluster_node nodes[CLUSTER_NODES_MAX + 1]; /* by id; [0] is unused */
    struct cluster_link links[CLUSTER_NODES_MAX + 1][CLUSTER_NODES_MAX + 1];
    uint64_t message_count;
    uint64_t incarnation_count;

    struct configuration *configurations;
    uint32_t configuration_count;

    struct cluster_map leaders; /* term -> node id */
    struct cluster_map chains;  /* hash of index and term -> chain */
    struct cluster_map votes;   /* hash of node id and term -> whom it voted for, durably */
    struct cluster_committed *committed; /* [index] */
    uint64_t committed_index;
    uint64_t read_count;
    struct cluster_read reads[CLUSTER_READS_MAX]; /* [number % CLUSTER_READS_MAX] */
    struct cluster_counts counts;

    bool violated;
    char violation[CLUSTER_LINE_BYTES];
    uint64_t line_count;
    char (*lines)[CLUSTER_LINE_BYTES]; /* [number % CLUSTER_TRACE_LINES] */
    struct raft_actions actions;
};

/* Options that suit most tests: three voters, T 100 ms, heartbeats every 10 ms. */
struct cluster_options cluster_options_default(void);

/* Creates the nodes and starts the members of the first configuration, each with entry 1 durable.
 * Aborts if there is no memory. */
struct cluster *cluster_create(const struct cluster_options *options);
void cluster_destroy(struct cluster *cluster);

/* The node with this id, [1, node_count]. */
struct cluster_node *cluster_node(struct cluster *cluster, uint64_t id);
/* True if it takes part: it is running. */
bool cluster_node_runs(const struct cluster_node *node);

/* ---- A node's life ------------------------------------------------------------------------- */

/* Creates the core from what is durable.  The node is DOWN. */
void cluster_restart(struct cluster *cluster, uint64_t id);
/* The node is gone, with everything that is not durable.  Of the writes under way, oldest first,
 * the first `votes_kept` and `writes_kept` were carried out before that, unheard. */
void cluster_crash(struct cluster *cluster, uint64_t id, uint32_t votes_kept, uint32_t writes_kept);
/* A new disk: only entry 1, and another incarnation.  The node is DOWN. */
void cluster_wipe(struct cluster *cluster, uint64_t id);
/* It does nothing until resumed; its clock goes on. */
void cluster_pause(struct cluster *cluster, uint64_t id);
void cluster_resume(struct cluster *cluster, uint64_t id);
/* Says what is on the disk of a node that is DOWN: a vote, and behind entry 1 one entry "i@t" of
 * each term given. */
void cluster_disk_set(struct cluster *cluster, uint64_t id, uint64_t term, uint64_t voted_for,
                      const uint64_t *terms, uint32_t term_count);

/* ---- Time ---------------------------------------------------------------------------------- */

/* All clocks go on; whoever has a deadline on the way ticks at it, in the order of time. */
void cluster_advance(struct cluster *cluster, uint64_t ns);
/* The same, and at each stop everything is delivered, as cluster_settle does. */
void cluster_run(struct cluster *cluster, uint64_t ns);
/* One node's clock goes on, with its deadlines. */
void cluster_tick(struct cluster *cluster, uint64_t id, uint64_t ns);
/* Delivers, oldest message first, until nothing is left on open links between running nodes.
 * False if there is no end of it. */
bool cluster_settle(struct cluster *cluster);

/* ---- Network ------------------------------------------------------------------------------- */

/* The position-th message (0: the oldest) from one node to another, or NULL. */
struct cluster_message *cluster_message_at(struct cluster *cluster, uint64_t from, uint64_t to,
                                           uint32_t position);
/* Takes it out of its queue; NULL if it is not there.  The caller frees it. */
struct cluster_message *cluster_message_take(struct cluster *cluster, uint64_t from, uint64_t to,
                                             uint32_t position);
/* A copy; the caller frees it. */
struct cluster_message *cluster_message_copy(const struct cluster_message *message);
/* Puts a message into its link's queue, at the end, whatever the link's state.  Consumes it. */
void cluster_message_put(struct cluster *cluster, struct cluster_message *message);
/* Hands a message to its receiver, and frees it. */
void cluster_message_deliver(struct cluster *cluster, struct cluster_message *message);
/* A CUT link also loses what is in its queue. */
void cluster_link_set(struct cluster *cluster, uint64_t from, uint64_t to,
                      enum cluster_link_state state);
/* Tells a node that another's connection was closed. */
void cluster_disconnect(struct cluster *cluster, uint64_t id, uint64_t other);

/* ---- Disk, by hand ------------------------------------------------------------------------- */

/* Carries out the oldest vote, or write, and reports it.  False if there is none, or it has to wait
 * for a vote. */
bool cluster_vote_store(struct cluster *cluster, uint64_t id);
bool cluster_write_store(struct cluster *cluster, uint64_t id);
/* Of the oldest write, the entries up to index only.  False if it does not reach so far. */
bool cluster_write_store_to(struct cluster *cluster, uint64_t id, uint64_t index);
/* Says that index is durable in an epoch, whether it is or not. */
void cluster_report_stored(struct cluster *cluster, uint64_t id, uint64_t index, uint64_t epoch);
/* Does what the node's switches allow, until nothing is left to do. */
void cluster_node_run(struct cluster *cluster, uint64_t id);
/* Applies what is committed up to index, or as far as that goes. */
void cluster_apply(struct cluster *cluster, uint64_t id, uint64_t index);

/* ---- Clients and operators ----------------------------------------------------------------- */

/* Proposes one entry of length_bytes; answers as raft_propose does. */
int cluster_propose(struct cluster *cluster, uint64_t id, const char *payload,
                    uint32_t length_bytes);
/* Begins a read and returns its number. */
uint64_t cluster_read(struct cluster *cluster, uint64_t id, bool lease);
/* The read with this number, or NULL if it is too long ago. */
const struct cluster_read *cluster_read_find(const struct cluster *cluster, uint64_t number);
/* Both return the refusal, or RAFT_REFUSAL_NONE. */
enum raft_refusal cluster_configure(struct cluster *cluster, uint64_t id,
                                    const struct configuration *wanted);
enum raft_refusal cluster_transfer(struct cluster *cluster, uint64_t id, uint64_t target);
/* Takes a snapshot of the applied state.  False if there is nothing new to take, or it is not yet
 * durable. */
bool cluster_snapshot_take(struct cluster *cluster, uint64_t id, uint64_t size_bytes);
/* Says that a snapshot is there which was begun earlier; nothing more is removed from the log. */
void cluster_report_snapshot(struct cluster *cluster, uint64_t id,
                             const struct raft_snapshot *snapshot);
/* The snapshot that a node keeps and that has this identity, or NULL. */
const struct cluster_snapshot *cluster_snapshot_find(const struct cluster_node *node,
                                                     const struct raft_snapshot *id);
/* Removes entries up to index, which is at most the snapshot's.  False if it is not possible. */
bool cluster_compact(struct cluster *cluster, uint64_t id, uint64_t index);

/* ---- Looks --------------------------------------------------------------------------------- */

/* The entry at an index of a log, or NULL. */
const struct cluster_entry *cluster_log_at(const struct cluster_log *log, uint64_t index);
/* The term and chain at an index, the base included.  False if it is not there. */
bool cluster_log_term(const struct cluster_log *log, uint64_t index, uint64_t *term);
bool cluster_log_chain(const struct cluster_log *log, uint64_t index, uint64_t *chain);
/* Fills in an entry's chain, as the one behind `previous_chain`. */
void cluster_entry_chain(struct cluster_entry *entry, uint64_t index, uint64_t previous_chain);
/* The running leader of the highest term, or 0. */
uint64_t cluster_leader(const struct cluster *cluster);
/* The cluster's own copy of a configuration, for as long as it lives. */
const struct configuration *cluster_configuration(struct cluster *cluster,
                                                  const struct configuration *configuration);

/* Adds a line to the trace. */
void cluster_trace(struct cluster *cluster, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Records a violation, if it is the first. */
void cluster_violate(struct cluster *cluster, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints the last lines of the trace, and the violation if there is one, to standard error. */
void cluster_print_trace(const struct cluster *cluster);

/* Write one line for people; the result ends with a zero byte. */
void cluster_message_text(char *out, size_t out_bytes, const struct cluster_message *message);
void cluster_entry_text(char *out, size_t out_bytes, uint64_t index,
                        const struct cluster_entry *entry);
void cluster_configuration_text(char *out, size_t out_bytes,
                                const struct configuration *configuration);

#endif
