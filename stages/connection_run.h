#ifndef WEIR_STAGES_CONNECTION_RUN_H
#define WEIR_STAGES_CONNECTION_RUN_H

/*
 * Running one command about the connection or the server.
 *
 * It is cut into three steps, so that memory is taken only when it is needed, a reply that does not
 * fit can be written again, and nothing long happens in one poll:
 *
 *   effect    once: changes the connection's state, the record, the signals.  Says how to go on.
 *   compose   in slices: collects the text of a long reply (CLIENT LIST, INFO) in memory of
 *             connection_text_bytes, lent by validate; that text, verbatim, is the reply.  Or, if
 *             the row streams, writes the reply a slice at a time, into so much room.
 *   write     any number of times, each into more room: the reply.  Changes nothing.
 *
 *     connection_effect ──CANNED──► detail is set, apply writes the reply
 *           │   │   └─────SILENT──► no reply, the connection closes
 *           │   └──WRITES──► connection_write
 *           └──COMPOSES──► connection_compose ... true
 *
 * The functions of the rows stand in connection_session.c (AUTH, HELLO, ...), connection_client.c,
 * connection_cluster.c (CLUSTER, READONLY), connection_config.c (CONFIG),
 * connection_server.c (SHUTDOWN, TIME),
 * connection_info.c and connection_documents.c.
 *
 * Owner: the validate shard of the connection.  Nothing here blocks or allocates.
 */

#include "stages/connection_commands.h"
#include "stages/connection_protocol.h"
#include "stages/directory.h"
#include "stages/node.h"
#include "stages/stage.h"

/* How a command goes on after its effect. */
enum connection_step {
    CONNECTION_CANNED,   /* command->detail is an enum connection_reply */
    CONNECTION_WRITES,   /* connection_write makes the reply */
    CONNECTION_COMPOSES, /* connection_compose makes it */
    CONNECTION_SILENT,   /* no reply: the command and what is behind it are dropped */
};

/* Text being composed: `used` of `capacity` bytes, without a terminating zero. */
struct connection_text {
    char *begin;
    size_t used;
    size_t capacity;
};

/* One command being run.  The first group is set by validate, the second by the steps. */
struct connection_run {
    struct node *node;
    const struct directory *directory;
    const struct stage_moment *moment;
    struct connection *connection;
    struct batch *batch;
    struct batch_command *command; /* of TABLE_CONNECTION; its row is not a container's */

    struct connection_text text;
    struct reply_writer *writer; /* of compose that streams; else NULL */
    struct ring *to_read;        /* what read is told of connections */
    uint64_t cursor;             /* of compose; 0 at first */
    uint64_t newest_id;          /* of compose: the last client that was there when it began */
    uint32_t note;               /* from effect to write: the row's own */
    uint32_t count;              /* of compose; 0 at first: the row's own */
    struct reply_mark array;     /* of compose that streams: where its array begins */
    uint32_t units;              /* what the effect cost beside the command itself and its reply */
};

/* Runs the command's effect.  Leaves the connection in state CLOSING if it is to be closed. */
enum connection_step connection_effect(struct connection_run *run);

/* Whether a row's reply is composed in slices. */
bool connection_row_composes(uint16_t row);

/* Whether compose writes the reply itself: `writer` is then set. */
bool connection_streams(const struct connection_run *run);

/* How much text, or room for the reply, compose may need at most, bytes, if it begins now. */
size_t connection_text_bytes(struct connection_run *run);

/* Composes a slice, of 50 µs at most; true when the text is complete. */
enum { CONNECTION_SLICE_UNITS = STAGE_POLL_UNITS / 2 };
bool connection_compose(struct connection_run *run);

/* Writes the reply; if it does not fit, the writer says so: give it room and call again. */
void connection_write(const struct connection_run *run, struct reply_writer *writer);

/* ---- for the rows' functions --------------------------------------------------------------- */

/* Whether argument `index` (0 is the name) is `word`, lower case, in any case. */
bool connection_argument_is(const struct connection_run *run, uint32_t index, const char *word);

/* Makes the reply a canned one. */
enum connection_step connection_canned(struct connection_run *run, enum connection_reply reply);

/* Appends to the text; asserts that it fits: connection_text_bytes was the bound. */
__attribute__((format(printf, 2, 3))) void connection_text_add(struct connection_text *text,
                                                               const char *format, ...);

/* Whether `text` matches the glob pattern, both in any case. */
bool connection_glob(const uint8_t *pattern, uint32_t pattern_bytes, const char *text);

/* The record of the command's connection. */
struct node_record *connection_record(const struct connection_run *run);

/* Publishes the connection's names in its record. */
void connection_names_publish(const struct connection_run *run);

/* Writes the error of a subcommand with too many arguments whose number its row cannot bound. */
void connection_form_write(const struct connection_run *run, const char *container,
                           struct reply_writer *writer);

/* Writes an array of the lines of a HELP text, each a status. */
void connection_help_write(struct reply_writer *writer, const char *const *lines, size_t count);

/* connection_session.c: state, protocol and authentication */
enum connection_step connection_auth(struct connection_run *run);
enum connection_step connection_echo(struct connection_run *run);
enum connection_step connection_hello(struct connection_run *run);
void connection_hello_write(const struct connection_run *run, struct reply_writer *writer);
enum connection_step connection_ping(struct connection_run *run);
enum connection_step connection_quit(struct connection_run *run);
enum connection_step connection_reset(struct connection_run *run);
enum connection_step connection_select(struct connection_run *run);

/* Gives the connection argument `index` as its name: 0, or the canned error.  In session too,
 * since HELLO and CLIENT SETNAME both do it. */
enum connection_reply connection_name_set(struct connection_run *run, uint32_t index);

/* connection_client.c */
void connection_client_getname_write(const struct connection_run *run, struct reply_writer *writer);
void connection_client_getredir_write(const struct connection_run *run,
                                      struct reply_writer *writer);
void connection_client_help_write(const struct connection_run *run, struct reply_writer *writer);
void connection_client_id_write(const struct connection_run *run, struct reply_writer *writer);
size_t connection_client_info_bytes(struct connection_run *run);
bool connection_client_info_compose(struct connection_run *run);
enum connection_step connection_client_list(struct connection_run *run);
size_t connection_client_list_bytes(struct connection_run *run);
bool connection_client_list_compose(struct connection_run *run);
void connection_client_list_write(const struct connection_run *run, struct reply_writer *writer);
enum connection_step connection_client_no_evict(struct connection_run *run);
enum connection_step connection_client_no_touch(struct connection_run *run);
enum connection_step connection_client_reads(struct connection_run *run);
enum connection_step connection_client_reply(struct connection_run *run);
enum connection_step connection_client_setinfo(struct connection_run *run);
void connection_client_setinfo_write(const struct connection_run *run, struct reply_writer *writer);
enum connection_step connection_client_setname(struct connection_run *run);

/* connection_clients.c */
enum connection_step connection_client_kill(struct connection_run *run);
size_t connection_client_kill_bytes(struct connection_run *run);
bool connection_client_kill_compose(struct connection_run *run);
void connection_client_kill_write(const struct connection_run *run, struct reply_writer *writer);
enum connection_step connection_client_pause(struct connection_run *run);
void connection_client_pause_write(const struct connection_run *run, struct reply_writer *writer);
enum connection_step connection_client_unpause(struct connection_run *run);

/* connection_cluster.c */
void connection_cluster_help_write(const struct connection_run *run, struct reply_writer *writer);
void connection_cluster_info_write(const struct connection_run *run, struct reply_writer *writer);
enum connection_step connection_cluster_keyslot(struct connection_run *run);
void connection_cluster_keyslot_write(const struct connection_run *run,
                                      struct reply_writer *writer);
void connection_cluster_myid_write(const struct connection_run *run, struct reply_writer *writer);
void connection_cluster_nodes_write(const struct connection_run *run, struct reply_writer *writer);
void connection_cluster_shards_write(const struct connection_run *run, struct reply_writer *writer);
void connection_cluster_slots_write(const struct connection_run *run, struct reply_writer *writer);
enum connection_step connection_readonly(struct connection_run *run);
enum connection_step connection_readwrite(struct connection_run *run);

/* connection_config.c */
void connection_config_get_write(const struct connection_run *run, struct reply_writer *writer);
void connection_config_help_write(const struct connection_run *run, struct reply_writer *writer);
enum connection_step connection_config_resetstat(struct connection_run *run);
enum connection_step connection_config_set(struct connection_run *run);
void connection_config_set_write(const struct connection_run *run, struct reply_writer *writer);

/* connection_server.c */
enum connection_step connection_shutdown(struct connection_run *run);
void connection_time_write(const struct connection_run *run, struct reply_writer *writer);

/* connection_getkeys.c */
enum connection_step connection_command_getkeys(struct connection_run *run);
void connection_command_getkeys_write(const struct connection_run *run,
                                      struct reply_writer *writer);

/* connection_slowlog.c */
enum connection_step connection_slowlog_get(struct connection_run *run);
size_t connection_slowlog_get_bytes(struct connection_run *run);
bool connection_slowlog_get_compose(struct connection_run *run);
void connection_slowlog_get_write(const struct connection_run *run, struct reply_writer *writer);
void connection_slowlog_help_write(const struct connection_run *run, struct reply_writer *writer);
void connection_slowlog_len_write(const struct connection_run *run, struct reply_writer *writer);
enum connection_step connection_slowlog_reset(struct connection_run *run);

/* connection_info.c */
size_t connection_info_bytes(struct connection_run *run);
bool connection_info_compose(struct connection_run *run);

/*
 * Writes the sections that `weir status` shows (weir, raft, replication, peers) as INFO does, for
 * who is no client, into `capacity` bytes, of which CONNECTION_STATUS_BYTES suffice; returns how
 * many.
 * Any thread: figures are read, one glance each.
 */
enum { CONNECTION_STATUS_BYTES = 48 * 1024 };
size_t connection_info_status(struct node *node, const struct stage_moment *moment, char *out,
                              size_t capacity);

/* connection_documents.c: COMMAND, over both tables */
void connection_command_count_write(const struct connection_run *run, struct reply_writer *writer);
void connection_command_docs_write(const struct connection_run *run, struct reply_writer *writer);
void connection_command_help_write(const struct connection_run *run, struct reply_writer *writer);
void connection_command_info_write(const struct connection_run *run, struct reply_writer *writer);
enum connection_step connection_command_list(struct connection_run *run);
void connection_command_list_write(const struct connection_run *run, struct reply_writer *writer);

#endif
