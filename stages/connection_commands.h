#ifndef WEIR_STAGES_CONNECTION_COMMANDS_H
#define WEIR_STAGES_CONNECTION_COMMANDS_H

/*
 * The commands about the connection and the server: everything that a client may say without
 * touching the machine.
 *
 * They run in validate, at their place in the connection's order.  What they change is validate's
 * own (authentication, protocol version, name); what they tell is read from the node's options,
 * figures and records (stages/node.h), each a whole value of a recent moment.
 *
 * The table.  A command with subcommands ("client") is a container: its own row stands among the
 * first CONNECTION_COMMAND_COUNT, the rows of its subcommands ("client|id") behind them.  The
 * directory finds containers; validate then moves a command on to the subcommand's row.
 *
 * Replies.  A command is FATE_LOCAL in one of two ways:
 *
 *   canned   command->reply is NULL, `detail` is an enum connection_reply.  No memory is taken;
 *            connection_reply_write makes the reply from the batch where it is needed.  These are
 *            the small replies that hot paths ask for: PING, ECHO, SELECT, CLIENT SETNAME.
 *   written  command->reply and reply_bytes are a stream in batch->local_block.
 */

#include <stdbool.h>
#include <stdint.h>

#include "machines/machine.h"
#include "stages/batch.h"
#include "wire/reply.h"

enum connection_flags {
    CONNECTION_UNAUTHENTICATED = 1 << 0, /* allowed before authentication */
    CONNECTION_FAST = 1 << 1,            /* O(1): shown by COMMAND */
    CONNECTION_ADMIN = 1 << 2,           /* steers the server: shown by COMMAND */
    CONNECTION_CONTAINER = 1 << 3,       /* has subcommands */
    CONNECTION_LOGGED = 1 << 4,          /* goes through the log: shown by COMMAND as "write" */
    CONNECTION_KEYS_INSIDE = 1 << 5, /* its keys are those of the command in it: "movablekeys" */
};

/* A row; as the machine's rows (machines/machine.h), but run by validate. */
struct connection_command {
    const char *name; /* lower case; of a subcommand "container|name" */
    const char *summary;
    const char *arguments;
    const char *group;
    const char *since;
    int16_t arity;
    uint16_t flags;     /* enum connection_flags */
    uint16_t container; /* of a subcommand: its container's row; otherwise its own row */
};

/* Rows of containers and of commands without subcommands, in alphabetical order; then
 * subcommands, those of a container next to each other. */
enum connection_row {
    CONNECTION_AUTH,
    CONNECTION_CLIENT,
    CONNECTION_CLUSTER,
    CONNECTION_COMMAND,
    CONNECTION_CONFIG,
    CONNECTION_DISCARD,
    CONNECTION_ECHO,
    CONNECTION_EXEC,
    CONNECTION_HELLO,
    CONNECTION_INFO,
    CONNECTION_MULTI,
    CONNECTION_ONCE,
    CONNECTION_ONCE_OPEN,
    CONNECTION_PING,
    CONNECTION_QUIT,
    CONNECTION_READONLY,
    CONNECTION_READWRITE,
    CONNECTION_RESET,
    CONNECTION_SELECT,
    CONNECTION_SHUTDOWN,
    CONNECTION_SLOWLOG,
    CONNECTION_TIME,
    CONNECTION_UNWATCH,
    CONNECTION_WAIT,
    CONNECTION_WATCH,
    CONNECTION_COMMAND_COUNT,

    CONNECTION_CLIENT_GETNAME = CONNECTION_COMMAND_COUNT,
    CONNECTION_CLIENT_GETREDIR,
    CONNECTION_CLIENT_HELP,
    CONNECTION_CLIENT_ID,
    CONNECTION_CLIENT_INFO,
    CONNECTION_CLIENT_KILL,
    CONNECTION_CLIENT_LIST,
    CONNECTION_CLIENT_NO_EVICT,
    CONNECTION_CLIENT_NO_TOUCH,
    CONNECTION_CLIENT_PAUSE,
    CONNECTION_CLIENT_READS,
    CONNECTION_CLIENT_REPLY,
    CONNECTION_CLIENT_SETINFO,
    CONNECTION_CLIENT_SETNAME,
    CONNECTION_CLIENT_UNPAUSE,
    CONNECTION_CLUSTER_HELP,
    CONNECTION_CLUSTER_INFO,
    CONNECTION_CLUSTER_KEYSLOT,
    CONNECTION_CLUSTER_MYID,
    CONNECTION_CLUSTER_NODES,
    CONNECTION_CLUSTER_SHARDS,
    CONNECTION_CLUSTER_SLOTS,
    CONNECTION_COMMAND_COUNT_OF, /* COMMAND COUNT */
    CONNECTION_COMMAND_DOCS,
    CONNECTION_COMMAND_GETKEYS,
    CONNECTION_COMMAND_HELP,
    CONNECTION_COMMAND_INFO,
    CONNECTION_COMMAND_LIST,
    CONNECTION_CONFIG_GET,
    CONNECTION_CONFIG_HELP,
    CONNECTION_CONFIG_RESETSTAT,
    CONNECTION_CONFIG_SET,
    CONNECTION_SLOWLOG_GET,
    CONNECTION_SLOWLOG_HELP,
    CONNECTION_SLOWLOG_LEN,
    CONNECTION_SLOWLOG_RESET,
    CONNECTION_ROW_COUNT,
};

/* The table. */
extern const struct connection_command connection_commands[CONNECTION_ROW_COUNT];

/* The row of a container's subcommand, in any case, or CONNECTION_ROW_COUNT. */
uint16_t connection_subcommand_find(uint16_t container, const uint8_t *name, uint32_t length_bytes);

/* Arguments, with the name, that one of these commands takes: what they cost grows with them, and
 * a poll must be short. */
enum { CONNECTION_ARGUMENTS_MAX = 128 };

/* What connection_reply_write writes: batch_command.detail of a FATE_LOCAL without reply. */
enum connection_reply {
    CONNECTION_REPLY_OK = 1,
    CONNECTION_REPLY_PONG,
    CONNECTION_REPLY_ARGUMENT,         /* the first argument after the name, as a bulk */
    CONNECTION_REPLY_RESET,            /* +RESET */
    CONNECTION_REPLY_DB_RANGE,         /* SELECT of another database than 0 */
    CONNECTION_REPLY_NUMBER,           /* not an integer, or beyond 64 bits */
    CONNECTION_REPLY_NUMBER_RANGE,     /* an integer beyond 32 bits */
    CONNECTION_REPLY_TIMEOUT_NUMBER,   /* WAIT for what is no number */
    CONNECTION_REPLY_TIMEOUT_NEGATIVE, /* WAIT for less than nothing */
    CONNECTION_REPLY_SYNTAX,
    CONNECTION_REPLY_NAME_CHARACTERS, /* CLIENT SETNAME with a space or worse */
    CONNECTION_REPLY_NAME_LENGTH,
    CONNECTION_REPLY_PASSWORD_WRONG,    /* AUTH */
    CONNECTION_REPLY_PASSWORD_NONE,     /* AUTH without a password being configured */
    CONNECTION_REPLY_VERSION_NUMBER,    /* HELLO with what is no number */
    CONNECTION_REPLY_VERSION,           /* HELLO: -NOPROTO */
    CONNECTION_REPLY_HELLO_AUTH,        /* HELLO: authentication is required */
    CONNECTION_REPLY_CLIENT_ID,         /* CLIENT LIST ID with what is no number */
    CONNECTION_REPLY_KILL_ID,           /* CLIENT KILL ID with what no connection has */
    CONNECTION_REPLY_KILL_NOBODY,       /* CLIENT KILL of an address that nobody has */
    CONNECTION_REPLY_GETKEYS_COMMAND,   /* COMMAND GETKEYS of no command, */
    CONNECTION_REPLY_GETKEYS_NONE,      /* of one without keys, */
    CONNECTION_REPLY_GETKEYS_ARITY,     /* of too few or too many arguments, */
    CONNECTION_REPLY_GETKEYS_ARGUMENTS, /* or of such that have no keys */
    CONNECTION_REPLY_SLOWLOG_COUNT,     /* SLOWLOG GET of less than all */
    CONNECTION_REPLY_PAUSE_MODE,        /* CLIENT PAUSE of what there is not */
    CONNECTION_REPLY_ARGUMENTS,         /* more than CONNECTION_ARGUMENTS_MAX */
    CONNECTION_REPLY_NO_SHUTDOWN,       /* SHUTDOWN ABORT */
    CONNECTION_REPLY_SHUTDOWN_SAVE,     /* SHUTDOWN SAVE, and nothing is kept */
    CONNECTION_REPLY_READS,             /* CLIENT READS of another mode than there are */
    CONNECTION_REPLY_KEY_LENGTH,        /* CLUSTER KEYSLOT of a longer key than any */
    CONNECTION_REPLY_WAIT,              /* batch->wait_reached, once replicate has set it */
    CONNECTION_REPLY_QUEUED,            /* +QUEUED */
    CONNECTION_REPLY_NESTED,            /* MULTI in a transaction */
    CONNECTION_REPLY_EXEC_ALONE,        /* EXEC without MULTI */
    CONNECTION_REPLY_DISCARD_ALONE,     /* DISCARD without MULTI */
    CONNECTION_REPLY_WATCH_INSIDE,      /* WATCH in a transaction */
    CONNECTION_REPLY_NOT_INSIDE,        /* a command that cannot be in a transaction */
    CONNECTION_REPLY_EXEC_ERRORS,       /* EXEC after a command that was refused */
    CONNECTION_REPLY_EXEC_LOST,         /* EXEC of a transaction of another term */
    CONNECTION_REPLY_UNWATCHABLE,       /* WATCH where the machine's keys cannot be watched */
    CONNECTION_REPLY_COUNT,
};

/* Whether it is a WAIT that validate has accepted: replicate answers it, or lets it wait. */
static inline bool connection_waits(const struct batch_command *command) {
    return command->table == TABLE_CONNECTION && command->row == CONNECTION_WAIT &&
           command->fate == FATE_LOCAL && command->detail == CONNECTION_REPLY_WAIT;
}

/* Whether it is an EXEC: then its record's arguments are not its own, but batch->exec. */
static inline bool batch_is_exec(const struct batch_command *command) {
    return command->table == TABLE_CONNECTION && command->row == CONNECTION_EXEC;
}

/* How many arguments a command's record in the log has, and the index'th of them. */
static inline uint32_t batch_record_argument_count(const struct batch_command *command) {
    return batch_is_exec(command) ? (uint32_t)ENTRY_TRANSACTION_ARGUMENTS
                                  : command->argument_count - 1;
}
static inline const uint8_t *batch_record_argument(const struct batch *batch,
                                                   const struct batch_command *command,
                                                   uint32_t index, uint32_t *length_bytes) {
    if (!batch_is_exec(command)) {
        return batch_argument(batch, command, index + 1, length_bytes);
    }
    ASSERT_HOT(index < ENTRY_TRANSACTION_ARGUMENTS);
    *length_bytes = batch->exec[index].length_bytes;
    return batch->exec[index].data;
}

/* The command's id in the log. */
static inline uint16_t batch_record_id(const struct machine_operations *machine,
                                       const struct batch_command *command) {
    return batch_is_exec(command) ? (uint16_t)ENTRY_COMMAND_ID_EXEC
                                  : machine->commands[command->row].id;
}

/* Whether it is a WATCH that goes to apply. */
static inline bool batch_is_watch(const struct batch_command *command) {
    return command->table == TABLE_CONNECTION && command->row == CONNECTION_WATCH &&
           command->fate == FATE_READ;
}

/*
 * Writes the reply of a FATE_LOCAL command whose `reply` is NULL, from `detail`.  If it does not
 * fit, the writer says so (overflow_bytes): give it room and call again, as with a read.  Pure.
 */
void connection_reply_write(struct reply_writer *writer, const struct batch *batch,
                            const struct batch_command *command);

#endif
