#ifndef WEIR_SIM_CLUSTER_CLIENTS_INTERNAL_H
#define WEIR_SIM_CLUSTER_CLIENTS_INTERNAL_H

/* What the files of the simulated clients share; see sim/cluster_clients.h.
 *
 *     cluster_clients.c             creating, ending, polling, looking
 *     cluster_clients_connection.c  connections: beginning, sending, receiving, ending
 *     cluster_clients_batch.c       batches: what is sent, and what is noted of it
 *     cluster_clients_command.c     random commands
 *     cluster_clients_collections.c those about collections, and transactions
 *     cluster_clients_reply.c       replies: where they end, and what they mean
 */

#include "base/random.h"
#include "sim/cluster_clients.h"

/* No number of a host, an operation or an entry of the ONCE table. */
#define CLIENT_NONE UINT32_MAX

/* What a command on a connection is. */
enum client_slot_kind {
    CLIENT_SLOT_OPERATION,
    CLIENT_SLOT_ONCE,
    CLIENT_SLOT_HELLO,
    CLIENT_SLOT_WATCH, /* an operation, too */
    CLIENT_SLOT_MULTI,
    CLIENT_SLOT_QUEUED, /* a command of a transaction */
    CLIENT_SLOT_OPEN,   /* ONCE.OPEN */
    CLIENT_SLOT_READS,  /* CLIENT READS or READONLY */
    CLIENT_SLOT_PING,
    CLIENT_SLOT_MALFORMED, /* an error is its only reply */
};

/* A command of which the reply has not come. */
struct client_slot {
    enum client_slot_kind kind;
    uint32_t operation;   /* of CLIENT_SLOT_OPERATION and CLIENT_SLOT_WATCH */
    uint32_t once;        /* of CLIENT_SLOT_ONCE: entry of the table */
    uint64_t begin_bytes; /* of the connection's stream, where it begins */
    uint64_t made_ns;
};

/* A transaction is sent as MULTI, and its commands; and its EXEC, where others are one command. */
enum {
    CLIENT_TRANSACTION_COMMANDS = 4,
    /* Commands that may be open: those of the pipeline; of a batch each operation and each
       repetition may be a transaction; and an UNWATCH. */
    CLIENT_SLOTS =
        CLUSTER_CLIENTS_PIPELINE + 1 +
        (CLUSTER_CLIENTS_BATCH + CLUSTER_CLIENTS_ONCE) * (1 + CLIENT_TRANSACTION_COMMANDS),
};

/* What a connection watches. */
enum client_watch { CLIENT_WATCHES_NOTHING, CLIENT_WATCH_ASKED, CLIENT_WATCHES };

/* How a connection is to end after its last batch. */
enum client_parting { CLIENT_CLOSES, CLIENT_HALF_CLOSES, CLIENT_RESETS };

struct client_connection {
    struct world_client *socket; /* NULL: none */
    uint32_t number;
    uint32_t sequence; /* of the last operation */
    uint32_t host;     /* index among options.hosts */
    struct client_slot slots[CLIENT_SLOTS];
    uint32_t slot_first; /* ring */
    uint32_t slot_count;
    struct kv_model_text out; /* made and not taken by the socket, from out_offset on */
    size_t out_offset;
    uint64_t out_bytes; /* of the stream, that the socket took */
    struct kv_model_text in;
    struct kv_model_text held; /* a reply kept back by CLUSTER_CLIENTS_SPOIL_SWAP */
    bool is_slow;
    bool is_stale;   /* it asked for reads that may be stale */
    bool only_reads; /* it asks for nothing else */
    bool in_pieces;  /* what is in `out` now */
    enum client_watch watch;
    uint32_t watch_operation; /* the WATCH */
    char watched[16];         /* the key */
    bool is_leaving;          /* no more batches; it ends when everything is answered */
    bool half_closed;         /* read until the node ends it */
    enum client_parting parting;
    uint32_t batches_left;
    uint64_t send_ns;  /* not before; UINT64_MAX: the socket is full */
    uint64_t read_ns;  /* not before */
    uint64_t reset_ns; /* UINT64_MAX: not planned */
};

/* A write under ONCE that is not answered for good. */
struct client_once {
    uint32_t operation; /* CLIENT_NONE: the entry is free */
    uint32_t tries;     /* sendings */
    uint64_t session;
    uint64_t sequence;
    bool in_flight;     /* stands in a slot */
    bool maybe_applied; /* an earlier sending was not answered for sure */
    bool is_detached;
    uint64_t retry_ns; /* not before */
};

struct client {
    struct random random;
    uint32_t number;
    struct client_connection connection;
    uint32_t target; /* index of the host to connect to; CLIENT_NONE: any */
    uint64_t connect_ns;
    uint64_t batch_ns;  /* when the next batch begins, */
    uint64_t wait_ns;   /* but not before */
    uint64_t session;   /* 0: none */
    bool opening;       /* ONCE.OPEN is under way */
    uint64_t sequence;  /* of the last write under ONCE in the session */
    uint64_t serial;    /* of values: no two are alike */
    char guess_key[16]; /* what it set last, */
    char guess[48];     /* and to what: so may CAS expect it */
    struct client_once once[CLUSTER_CLIENTS_ONCE];
    /* Nothing to do, as long as its connection looks like that, before that time. */
    bool is_quiet;
    struct world_client_look quiet_look;
    uint64_t quiet_until_ns;
    uint64_t quiet_deadline_ns; /* client_deadline_ns meanwhile */
};

struct once_name {
    uint64_t session; /* 0: not under ONCE */
    uint64_t sequence;
};

struct cluster_clients {
    struct world *world;
    struct cluster_clients_options options;
    struct history history;
    struct client *clients;
    uint32_t host_mask;
    uint32_t connection_last; /* number */
    uint64_t replies;         /* seen, for the spoiling */
    bool is_on;
    bool is_full;
    struct cluster_clients_counts counts;
    struct once_name *once_names; /* of each operation */
    uint32_t *once_index;         /* hash of names: operation + 1, or 0 */
    uint32_t once_mask;
    char finding[512];
};

/* A command being made: its words in one buffer. */
struct client_command {
    uint32_t word_count;
    struct kv_model_word words[HISTORY_WORDS_MAX]; /* set by client_command_make at its end */
    size_t offsets[HISTORY_WORDS_MAX + 1];
    struct kv_model_text text;
    bool is_write;
    bool must_read;     /* set by the caller: no write */
    bool may_be_common; /* set by the caller: another command may have the same words, */
    bool is_common;     /* and so it may be */
    bool is_watch;      /* it is a WATCH */
    bool is_plain;      /* no word is empty or holds more than letters, digits, ':' and '.' */
};

/* A chance in a thousand. */
bool client_chance(struct client *client, uint32_t per_mille);

/* Keeps the first finding. */
__attribute__((format(printf, 3, 4))) void client_find(struct cluster_clients *clients,
                                                       const struct client *client,
                                                       const char *format, ...);

/* ---- cluster_clients_command.c ------------------------------------------------------------- */

/* A random command; `command` keeps its memory from one to the next. A write is unique by its words
 * unless may_be_common. */
void client_command_make(struct cluster_clients *clients, struct client *client,
                         struct client_command *command);

/* Add a word: any bytes, a string, a number; a key of a sort. */
void client_add_bytes(struct client_command *command, const void *bytes, size_t length);
void client_add_word(struct client_command *command, const char *word);
void client_add_number(struct client_command *command, uint64_t number);
void client_add_key(const struct cluster_clients *clients, struct client *client,
                    struct client_command *command, char sort);

/* A number that this run has not had. */
uint64_t client_unique(const struct cluster_clients *clients, struct client *client);

/* Whether this write may be one that others are like. */
bool client_draw_common(struct client *client, struct client_command *command);

/* Adds a command's bytes, of an array or a line. */
void client_command_encode(struct kv_model_text *out, const struct kv_model_word *words,
                           uint32_t count, bool is_line);

/* ---- cluster_clients_collections.c --------------------------------------------------------- */

/* A command about a hash, a list, a set or a sorted set. */
void client_collection_write(const struct cluster_clients *clients, struct client *client,
                             struct client_command *command);
void client_collection_read(const struct cluster_clients *clients, struct client *client,
                            struct client_command *command);

/* A WATCH, or a transaction, of the words that sim/kv_model.h says; false: not now. */
bool client_transaction_make(const struct cluster_clients *clients, struct client *client,
                             struct client_command *command);

/* ---- cluster_clients_batch.c --------------------------------------------------------------- */

/* Whether the client may make a batch now. */
bool client_batch_due(const struct cluster_clients *clients, const struct client *client,
                      uint64_t now_ns);

/* Makes one: repetitions first, then new commands. */
void client_batch_make(struct cluster_clients *clients, struct client *client, uint64_t now_ns);

/* Begins a new connection: HELLO 3, and a mode of reads, if they are drawn. */
void client_greet(struct cluster_clients *clients, struct client *client, uint64_t now_ns);

/* Whether a write under ONCE waits to be repeated. */
bool client_once_waits(const struct client *client, uint64_t now_ns);

/* ---- cluster_clients_reply.c --------------------------------------------------------------- */

/* The length of the whole reply that stands at the beginning; 0: not all of it is there; -1: it is
 * none. RESP 2 and 3. Pure. */
int64_t client_reply_length(const char *bytes, size_t length);

/* Takes the replies that have arrived whole. False if the connection can no longer be used, which
 * is a finding. */
bool client_replies_take(struct cluster_clients *clients, struct client *client, uint64_t now_ns);

/* Records how an operation ended; what finds no room stays pending. */
void client_return(struct cluster_clients *clients, uint32_t operation, uint64_t returned_ns,
                   enum history_outcome outcome, const char *reply, size_t reply_bytes);

/* Ends a write under ONCE without a reply: it may have been applied, or surely was not. */
void client_once_end(struct cluster_clients *clients, struct client_once *once, uint64_t now_ns);

/* ---- cluster_clients_connection.c ---------------------------------------------------------- */

/* One client does what it can; whether anything moved. */
bool client_poll(struct cluster_clients *clients, struct client *client);

/* When it wants to be polled at the latest. */
uint64_t client_deadline_ns(const struct cluster_clients *clients, const struct client *client);

/* Resets the connection, if there is one; what was under way is decided. */
void client_connection_reset(struct cluster_clients *clients, struct client *client);

#endif
