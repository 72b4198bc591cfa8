#ifndef WEIR_STAGES_NODE_H
#define WEIR_STAGES_NODE_H

/*
 * The node: what all shards of one process may read.
 *
 * Three sorts of things, and the boxes of stages/digest.h and stages/change.h, and nothing else,
 * are seen by more than one thread besides rings:
 *
 *   options      set before the first core starts, constant from then on.
 *   settings     what CONFIG SET has put in their place (stages/settings.h).
 *   figures      what a stage publishes about itself: one writer each, relaxed words, a cache line
 *                group for each writer.  Readers (INFO, the monitor) get whole values of some
 *                recent moment.  Nothing is decided by a figure that must be exact.
 *   records      one for each connection slot, for CLIENT LIST and the like: read writes one half,
 *                validate the other.
 *
 * The few words by which stages do steer each other are listed in struct node_signals, with their
 * writer, their readers and why a glance suffices.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/mac.h"
#include "machines/machine.h"
#include "queues/atomic.h"
#include "stages/addresses.h"
#include "stages/change.h"
#include "stages/consistency.h"
#include "stages/digest.h"
#include "stages/lateness.h"
#include "stages/peer_name.h"
#include "stages/settings.h"
#include "stages/snapshot_box.h"
#include "storage/identity.h"
#include "storage/log.h"
#include "wire/peer_hello.h"
#include "wire/resp_parse.h"

/* Lengths of texts, without the zero behind them where it matters. */
enum {
    NODE_CLIENT_NAME_BYTES_MAX = 64,
    NODE_ADDRESS_BYTES_MAX = 64,
    NODE_HOST_BYTES_MAX = 255, /* a name's length, by RFC 1035 */
    NODE_CONFIG_ITEMS_MAX = 64,
};

/* One configured value as CONFIG GET shows it. */
struct node_config_item {
    const char *name; /* Redis's key where one exists */
    const char *value;
    bool limits_values; /* it is the largest value, which the log may have agreed to be smaller */
};

/* Where clients reach a member. */
struct node_endpoint {
    uint64_t node_id; /* not 0 */
    const char *host; /* an address without brackets, or a name; empty: not known */
    uint16_t port;    /* 0: that on which this node listens */
};

/* What a leader makes of the cluster's leases. */
enum node_leases {
    NODE_LEASES_KEEP = 0, /* as the configuration in force has it */
    NODE_LEASES_ON,       /* logs a configuration that has them, if there is none */
    NODE_LEASES_OFF,
};

/*
 * Appends that a leader has under way to one follower, at most.  64: docs/benchmarks.md has the
 * curve of throughput and latency against it.  256: what the core keeps of each (raft/raft.h).
 */
enum { NODE_APPEND_MESSAGES_DEFAULT = 64, NODE_APPEND_MESSAGES_LIMIT = 256 };

/*
 * Election time-outs, in ms.  Between two machines of one room an answer takes below a millisecond,
 * and a busy disk's sync or a scheduler's whim some ten: 200 is far above that, and a leader that
 * is gone is replaced within half a second.  The least leaves heartbeats 5 ms; the most is what a
 * lease can say (entry/configuration.h), rounded to a minute.
 */
enum {
    NODE_ELECTION_TIMEOUT_MS_MIN = 50,
    NODE_ELECTION_TIMEOUT_MS_DEFAULT = 200,
    NODE_ELECTION_TIMEOUT_MS_MAX = 60000,
};
_Static_assert(NODE_ELECTION_TIMEOUT_MS_MAX <= UINT16_MAX, "a lease can be as long");

/* Where this node reaches another member: the port for peers. */
struct node_peer {
    uint64_t node_id;    /* not 0, not its own */
    const char *address; /* "address:port", numbers only (io_connect_start); NULL: see `name` */
    /* If it has a name instead, which is resolved while the node runs; kept as long as the node.
     * Write's thread and a resolver's, as stages/peer_name.h says. */
    struct peer_name *name;
};

/* Constant after the start. */
struct node_options {
    const struct machine_operations *machine;
    /* What a log that has no genesis record yet shall agree on; hash_seed is not read.  Then the
       record decides: apply_machine_make, node_value_bytes_max. */
    struct machine_options machine_options;
    struct identity identity;
    enum durability durability;
    uint32_t batch_count;            /* power of two: batches = receive buffers of a read shard */
    uint32_t connections_max;        /* maxclients */
    uint32_t connection_batches_max; /* batches one connection may have in flight */
    struct resp_limits resp_limits;
    uint64_t memory_bytes_max;             /* maxmemory; 0: no limit */
    uint64_t carry_bytes_max;              /* arena of unfinished and large commands */
    uint64_t reply_bytes_max;              /* arena of large replies */
    uint64_t backlog_bytes_max;            /* what slow readers may leave unread, all together */
    uint64_t backlog_connection_bytes_max; /* and each of them */
    char password[NODE_PASSWORD_BYTES_MAX + 1]; /* requirepass; empty: none */
    struct log_options log;
    uint32_t io_features_allowed; /* for io_create of every door of the node */
    const char *map_text;         /* the map as configured, for INFO */
    const char *data_directory;
    uint64_t started_wall_ms;
    const char *version;   /* of this program */
    uint64_t slow_from;    /* slowlog-log-slower-than, us, plus 1; 0: nothing is noted */
    uint64_t slow_entries; /* slowlog-max-len: at most SLOWLOG_ENTRIES_MAX */
    uint8_t reads;         /* enum read_mode, of connections that choose none */
    enum node_leases leases;
    uint32_t election_timeout_ms;   /* within the bounds above; 0: the default */
    uint32_t append_messages_max;   /* to one follower, without an answer: [1, the limit above];
                                       0: the default */
    uint64_t append_bytes_max;      /* their entries; 0: as many as there is room for */
    uint64_t log_time_jump_ms_max;  /* a new leader's log time is at most so far ahead of the log's
                                      last; 0: no limit */
    uint64_t snapshot_log_bytes;    /* take a snapshot when the log has grown by this; 0: never */
    uint64_t snapshot_rate_bytes_s; /* write it so fast at most (storage/snapshot.h); 0: no limit */
    const struct node_config_item *config_items;
    uint32_t config_item_count;
    /* As far as they are known; at most one of a member. */
    struct node_endpoint endpoints[CONFIGURATION_MEMBERS_MAX];
    uint32_t endpoint_count;
    /* The address book of peers: the other members, and who may become one; at most one of a node.
     * A node without any is a cluster of its own. */
    struct node_peer peers[CONFIGURATION_MEMBERS_MAX - 1];
    uint32_t peer_count;
    /* Where this node listens for them, "host:port".  NULL: nowhere, and it opens no connections
     * either; somebody else moves what is in the rings of stages/peers.h. */
    const char *peer_listen_address;
    /* Of the secret that the members have in common; NULL: none, and whoever reaches the port for
     * members is believed. */
    const struct mac_key *peer_secret;
};

/* What read publishes. */
struct node_read_figures {
    uint64_t connections; /* open now */
    uint64_t accepted;    /* since the start */
    uint64_t rejected;    /* over maxclients */
    uint64_t accept_errors;
    uint64_t received_bytes;
    uint64_t listen_port;       /* that it listens on */
    uint64_t buffers_exhausted; /* receives that ended for want of a buffer */
    uint64_t peer_listen_port;  /* that it listens on for members; 0: none */
    uint64_t peers_connections; /* accepted for members, open now */
    uint64_t peers_accepted;    /* since the start */
    uint64_t peers_rejected;    /* of these, closed before they said who they are: too many of them,
                                   or too late */
};

/* What parse publishes. */
struct node_parse_figures {
    uint64_t batches_waiting;       /* received, and not parsed yet */
    uint64_t peers_introduced;      /* connections of members, since the start */
    uint64_t peers_refused;         /* introductions that were refused, or were none */
    uint64_t peers_replaced;        /* connections ended since the member has opened a newer one */
    uint64_t peers_broken;          /* introduced ones ended since a frame was not as it was sent */
    uint64_t peers_unauthenticated; /* of both, those who have another secret or none, or
                                       repeat what was recorded: a PROOF that does not fit */
    uint64_t peer_messages;         /* received */
    uint64_t peer_bytes;
};

/* Long values by their lengths: class c has more than NODE_LONG_BYTES << c bytes, and at most twice
 * as many. The last has the rest. */
enum { NODE_LONG_BYTES = 4096, NODE_LONG_CLASSES = 20 };

/* What validate publishes. */
struct node_validate_figures {
    uint64_t commands; /* judged */
    uint64_t refused;
    uint64_t auth_failures;
    uint64_t growth_bytes; /* what commands may need that amplify: of all so far */
    uint64_t long_batches[NODE_LONG_CLASSES]; /* with a write of a value so long: so far */
};

/* What replicate publishes. */
struct node_replicate_figures {
    uint64_t role; /* enum raft_role */
    uint64_t term;
    uint64_t leader;
    uint64_t last_index;
    uint64_t durable_index;
    uint64_t commit_index;
    uint64_t log_writes;
    uint64_t log_write_bytes;
    uint64_t log_entries;
    uint64_t log_write_ns_total;
    uint64_t log_write_ns_max;
    uint64_t log_full;      /* 1 while there is no room for the next segment */
    uint64_t majority_full; /* of a leader: 1 while members that a quorum needs have none */
    uint64_t log_time_ms;
    uint64_t snapshot_chunks_sent;
    uint64_t snapshot_chunks_received; /* and written */
    uint64_t snapshot_bytes_resumed;   /* that a predecessor of this process had received */
    uint64_t snapshots_refused;        /* received, and not what a snapshot is */
    uint64_t snapshots_placed;         /* received, and durable under their name */
    uint64_t compacted_index;          /* the log may begin behind it */
    uint64_t log_clock_ns; /* of a leader: log time in nanoseconds less the monotonic clock, modulo
                              2^64; otherwise 0.  Who reads it adds that clock */
    uint64_t leases;       /* 1: the configuration in force allows them */
    uint64_t digest_disputes;  /* indices at which members had other data, since the start */
    uint64_t digests_upheld;   /* of these, at which most members had this node's */
    uint64_t digest_undecided; /* the index that is not decided now; 0: none */
    uint64_t reads_leased;     /* reads (batches of them) answered by a lease, */
    uint64_t reads_asked;      /* after a question to a quorum, */
    uint64_t reads_stale;      /* or from what is applied */
    uint64_t leader_last;      /* as leader, but stays while none is known */
    uint64_t waiting;          /* connections whose WAIT is not over */
    uint64_t peer_dropped;     /* messages from and to members, for want of room or of a use */
    struct lateness heartbeats_sent;  /* of a leader: after they were due */
    struct lateness heartbeats_heard; /* of a follower: replicate_lateness.c says against what */
};

/* What the configuration in force makes of another node. */
enum node_peer_role { NODE_PEER_OUTSIDE = 0, NODE_PEER_VOTER, NODE_PEER_LEARNER };

/* How a leader sends to it (raft/progress.h). */
enum node_peer_state {
    NODE_PEER_UNKNOWN = 0, /* this node does not lead */
    NODE_PEER_PROBE,
    NODE_PEER_REPLICATE,
    NODE_PEER_SNAPSHOT,
};

/* What replicate publishes of each other node that it has a row for (stages/peers.h), in its
 * order. */
struct node_peer_figures {
    uint64_t node_id;     /* 0: nobody */
    uint64_t incarnation; /* as this node knows it; 0: not yet */
    uint64_t role;        /* enum node_peer_role */
    uint64_t state;       /* enum node_peer_state */
    uint64_t match_index; /* of a leader: what it has, durable; otherwise 0 */
    uint64_t heard_ns;    /* when it last said something, monotonic; 0: never */
};

/* What apply publishes. */
struct node_apply_figures {
    uint64_t applied_index;
    uint64_t applied_chain; /* of that entry: what vouches for all before it */
    uint64_t reads;
    uint64_t writes;
    uint64_t memory_bytes;  /* of the machine */
    uint64_t longest_bytes; /* no value of the machine is longer */
    uint64_t record_count;
    uint64_t log_time_ms; /* of the last entry applied */
    uint64_t next_deadline_ms;
    uint64_t snapshot_index;
    uint64_t snapshots; /* completed */
    uint64_t snapshot_failures;
    uint64_t snapshot_running;
    uint64_t snapshots_installed; /* restored from what another member sent */
    uint64_t reply_bytes;         /* memory of long replies in use */
    uint64_t reply_refused;       /* reads refused since there was none left for them */
    uint64_t sessions;            /* of clients, in the table */
    uint64_t sessions_opened;
    uint64_t sessions_expired; /* removed */
    uint64_t sessions_evicted; /* removed for another one, before they expired */
    uint64_t session_unknown;  /* commands under a session that there is not */
    uint64_t session_repeats;  /* answered with the reply that was remembered */
    uint64_t session_not_kept; /* replies */
    uint64_t digests_agreed;   /* comparisons with digests in the log that found no difference, */
    uint64_t digest_index;     /* and the last index compared */
};

/* What write publishes. */
struct node_write_figures {
    uint64_t sent_bytes;
    uint64_t sends;
    uint64_t slow_cut; /* connections closed because they did not read */
    uint64_t hog_cut;  /* of these, since others found no memory for their replies */
    uint64_t backlog_bytes;
    uint64_t growth_bytes;                    /* validate's, of batches that went home, */
    uint64_t long_batches[NODE_LONG_CLASSES]; /* and these */
    uint64_t peers_open;       /* connections to members that have accepted them, now */
    uint64_t peers_opened;     /* since the start */
    uint64_t peers_refused;    /* by the member, or its answer was none that this node wants */
    uint64_t peers_failed;     /* attempts, and connections, that ended otherwise */
    uint64_t peers_unresolved; /* attempts that were none, since the name is not known yet */
    uint64_t peer_messages;    /* handed to connections */
    uint64_t peer_bytes;
    uint64_t peer_dropped; /* messages, for want of a connection */
};

/* Words by which stages steer each other.  Each on a line of its own. */
struct node_signals {
    /* Writer: the main thread.  Readers: read (drain), validate.  A late glance only delays. */
    CACHE_ALIGNED uint32_t stopping;
    /* Writer: validate (SHUTDOWN).  Reader: the main thread, which it also wakes. */
    CACHE_ALIGNED uint32_t shutdown_requested;
    /* Writer: replicate, once the genesis entry is applied.  Reader: read, which accepts nobody
       before.  Published with release after what of the genesis record stands behind it; read
       acquires it, and so has whoever is given what a client sent. */
    CACHE_ALIGNED uint32_t serving;
    uint64_t hash_seed;
    uint32_t partition_bits;
    uint32_t value_bytes_max; /* as in the genesis record: 0 where it has none */
    /* Writer: apply (release, after it has left the entries' memory).  Reader: replicate (acquire),
       which then gives that memory back: node_applied_publish, node_applied_learn. */
    CACHE_ALIGNED uint64_t applied_index;
    /* Writer: replicate, while it waits for apply (for log memory, for room in the ring, for the
       catch-up buffer).  Reader: apply, which then sends a note.  Each side stores its word, makes
       a full fence, and looks at the other's, so that not both can miss. */
    CACHE_ALIGNED uint32_t applied_wanted;
    /* A member needs a snapshot that covers at least this index; 0: nobody does.  Writer:
       replicate, which then sends apply an item without anything.  Reader: apply, at a glance
       between two items; a late one only delays. */
    CACHE_ALIGNED uint64_t snapshot_wanted;
    /* What is held of this node's data (enum digest_doubt_state), and up to which index digests
       that differ from the log's are no reason for doubt: they are those of most members, or later
       ones agreed.  Writer: replicate.  Reader: apply, at a glance between two items, which takes
       no snapshot while there is doubt; a late one only delays. */
    CACHE_ALIGNED uint32_t digest_doubt;
    uint64_t digest_settled;
    /* Counts the reads that apply refused for want of reply memory though they were entitled to it.
       Writer: apply.  Reader: write, at a glance, which then looks for whom to cut; a late one only
       delays that, and a sleeping one is woken by the refusal itself, which it has to send. */
    CACHE_ALIGNED uint32_t reply_wanted;
    /* The pause of clients, as node_pause_word makes it; 0: none.  Writer: validate (CLIENT PAUSE,
       UNPAUSE).  Readers: parse, which then leaves commands unparsed, and read, which knows who
       waits and is also told by a ring when the pause is taken back.  A glance: who was told of the
       pause, and speaks then, is seen after it. */
    CACHE_ALIGNED uint64_t pause;
    /* Writer: replicate or apply, on a final failure.  Reader: the main thread. */
    CACHE_ALIGNED uint32_t failing; /* exchanged to 1 by the first to fail */
    uint32_t failed;
    char failure[ERROR_TEXT_BYTES];
};

/*
 * One connection slot as others may see it.  read owns the first part, validate the second; what
 * must be seen whole is guarded by a sequence each (odd while being written) and is written and
 * copied by stages/node_record.h; the rest are single words, stored and loaded relaxed.
 */
struct node_record {
    /* read: under open_sequence */
    CACHE_ALIGNED uint32_t open_sequence;
    uint32_t open; /* the slot is in use */
    uint32_t generation;
    int32_t socket;
    uint64_t client_id; /* unique in the process's life, from 1 */
    uint64_t opened_ms;
    char address[NODE_ADDRESS_BYTES_MAX];       /* of the client, */
    char local_address[NODE_ADDRESS_BYTES_MAX]; /* and the one that it connected to */

    /* validate: single words */
    CACHE_ALIGNED uint32_t authenticated; /* also glanced at by parse: its limits before it */
    uint32_t resp_version;
    uint32_t accepts_replica; /* READONLY */
    uint32_t reads;           /* enum read_mode in force */
    uint32_t no_evict;        /* also glanced at by write, which then spares it */
    uint32_t no_touch;
    uint32_t
        killed; /* the generation that CLIENT KILL has ended; also glanced at by validate, which
                        then hears no more of it */
    uint32_t last_command; /* enum batch_table << 16 | row; 0: none yet */
    uint64_t last_command_ms;
    uint64_t commands;
    /* validate: under names_sequence */
    uint32_t names_sequence;
    char name[NODE_CLIENT_NAME_BYTES_MAX];
    char library_name[NODE_CLIENT_NAME_BYTES_MAX];
    char library_version[NODE_CLIENT_NAME_BYTES_MAX];

    /* serialize: batches with replies of more than BATCH_LONG_REPLIES_BYTES; parse glances at it,
       and a late glance only delays */
    CACHE_ALIGNED uint32_t long_batches;

    /* write: its client has left replies unread; read glances at it, likewise */
    CACHE_ALIGNED uint32_t unread;
};

/* What the snapshot held: apply restores it before replicate opens the log behind it. */
struct node_recovery {
    struct entry_tail tail; /* entry_tail_origin() without a snapshot */
    bool has_genesis;
    struct entry_genesis genesis;
    struct configuration configuration; /* member_count 0: not known from a snapshot */
    uint64_t snapshot_bytes;            /* of its file */
};

struct node {
    const struct node_options *options;
    struct node_recovery recovery; /* written by apply's init, read by replicate's start */
    struct peer_standing standing; /* this node's; written by replicate's start, then constant */
    struct node_signals signals;
    CACHE_ALIGNED struct node_settings settings; /* stages/settings.h */
    struct digest_box digests;                   /* apply to replicate: stages/digest.h */
    struct digest_hashes digest_hashes;          /* likewise */
    struct digest_doubt_box digest_doubts;       /* likewise */
    struct snapshot_box snapshots;               /* likewise: stages/snapshot_box.h */
    struct addresses addresses; /* of members, as the log has them: stages/addresses.h */
    struct change_box changes;  /* an asker and replicate: stages/change.h */
    CACHE_ALIGNED struct node_read_figures read;
    CACHE_ALIGNED struct node_parse_figures parse;
    CACHE_ALIGNED struct node_validate_figures validate;
    CACHE_ALIGNED struct node_replicate_figures replicate;
    CACHE_ALIGNED struct node_peer_figures peer_figures[CONFIGURATION_MEMBERS_MAX - 1];
    CACHE_ALIGNED struct node_apply_figures apply;
    CACHE_ALIGNED struct node_write_figures write;
    struct node_record *records;      /* connections_max of them */
    struct slowlog *slowlog;          /* stages/slowlog.h; apply makes and writes it */
    void (*wake_main)(void *context); /* any thread: makes the main thread look at the signals */
    void *wake_context;
    const uint8_t *gauges; /* the gauge file's memory (queues/gauge.h) */
    size_t gauges_bytes;
};

/* The largest value that a command may build: what the log has agreed on, or what is configured
 * where it never did.  Not before signals.serving; threads: as signals.hash_seed. */
uint32_t node_value_bytes_max(const struct node *node);

/* The largest argument that a client may send: as configured, and no larger than the above. */
uint32_t node_bulk_bytes_max(const struct node *node);

/* A final failure, from any stage: keeps the first sentence and wakes the main thread. */
void node_fail(struct node *node, const char *sentence);

/*
 * Where clients reach a member, as far as this node knows: as configured here, else as the log
 * says.  A configured host may be empty; the port is the one in force.  False, and *out unchanged,
 * if nothing is known of it.  Any thread.
 */
bool node_endpoint_find(const struct node *node, uint64_t node_id, struct entry_address *out);

/* The same, only as configured here.  Any thread. */
bool node_endpoint_configured(const struct node *node, uint64_t node_id, struct entry_address *out);

/* The election time-out in force, in ms. */
static inline uint32_t node_election_timeout_ms(const struct node_options *options) {
    return options->election_timeout_ms == 0 ? (uint32_t)NODE_ELECTION_TIMEOUT_MS_DEFAULT
                                             : options->election_timeout_ms;
}

/* Adds to a figure; its one writer only. */
static inline void node_figure_add(uint64_t *figure, uint64_t amount) {
    atomic_store_relaxed_u64(figure, atomic_load_relaxed_u64(figure) + amount);
}

/* Sets a figure; its one writer only. */
static inline void node_figure_set(uint64_t *figure, uint64_t value) {
    atomic_store_relaxed_u64(figure, value);
}

/* Reads a figure; any thread. */
static inline uint64_t node_figure(const uint64_t *figure) {
    return atomic_load_relaxed_u64(figure);
}

/* A pause of clients: what waits. */
enum node_pause { NODE_PAUSE_NONE = 0, NODE_PAUSE_WRITE, NODE_PAUSE_ALL };
enum { NODE_PAUSE_BITS = 2 };
#define NODE_PAUSE_END_NS_MAX (UINT64_MAX >> NODE_PAUSE_BITS) /* 146 years */

/* Kind and end (monotonic) in one word, so that nobody sees the one without the other. */
static inline uint64_t node_pause_word(enum node_pause kind, uint64_t end_ns) {
    uint64_t end = end_ns < NODE_PAUSE_END_NS_MAX ? end_ns : NODE_PAUSE_END_NS_MAX;
    return end << NODE_PAUSE_BITS | (uint64_t)kind;
}

/* When the pause ends, or has ended; 0: there is none. */
static inline uint64_t node_pause_end_ns(const struct node *node) {
    return atomic_load_relaxed_u64(&node->signals.pause) >> NODE_PAUSE_BITS;
}

/* What waits now. */
static inline enum node_pause node_pause(const struct node *node, uint64_t now_ns) {
    uint64_t word = atomic_load_relaxed_u64(&node->signals.pause);
    return word >> NODE_PAUSE_BITS > now_ns
               ? (enum node_pause)(word & ((1u << NODE_PAUSE_BITS) - 1))
               : NODE_PAUSE_NONE;
}

/*
 * Says that all entries up to index are applied, and that apply will not look at their memory
 * again.  Apply only.
 */
static inline void node_applied_publish(struct node_signals *signals, uint64_t index) {
    /* Partner: the acquire in node_applied_learn. */
    atomic_store_release_u64(&signals->applied_index, index);
}

/*
 * Up to which index apply has left the entries: their memory may be written again.  Replicate only.
 * The word that is published is the index itself: with a counter beside it, one could see a new
 * index with an old count, and write what apply still reads.
 */
static inline uint64_t node_applied_learn(const struct node_signals *signals) {
    /* Partner: the release in node_applied_publish. */
    return atomic_load_acquire_u64(&signals->applied_index);
}

#endif
