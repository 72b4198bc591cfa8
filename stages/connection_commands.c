/*
 * The table of the commands about connections, and their canned replies.
 *
 * Summaries and arguments are what COMMAND DOCS shows; they say what this server does.
 */

#include "stages/connection_commands.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

#define BEFORE_AUTH (CONNECTION_UNAUTHENTICATED | CONNECTION_FAST)

/* Commands and subcommands: row, name, arity, flags, since, arguments, summary, group. */
#define COMMAND_ROW(row, name_, arity_, flags_, since_, arguments_, summary_, group_) \
    [CONNECTION_##row] = {.name = name_,                                              \
                          .summary = summary_,                                        \
                          .arguments = arguments_,                                    \
                          .group = group_,                                            \
                          .since = since_,                                            \
                          .arity = arity_,                                            \
                          .flags = flags_,                                            \
                          .container = CONNECTION_##row}
#define SUBCOMMAND_ROW(parent, sub, name_, arity_, flags_, since_, arguments_, summary_, group_) \
    [CONNECTION_##parent##_##sub] = {.name = name_,                                              \
                                     .summary = summary_,                                        \
                                     .arguments = arguments_,                                    \
                                     .group = group_,                                            \
                                     .since = since_,                                            \
                                     .arity = arity_,                                            \
                                     .flags = flags_,                                            \
                                     .container = CONNECTION_##parent}

const struct connection_command connection_commands[CONNECTION_ROW_COUNT] = {
    COMMAND_ROW(AUTH, "auth", -2, BEFORE_AUTH, "1.0.0", "[username] password",
                "Authenticates the connection.", "connection"),
    COMMAND_ROW(CLIENT, "client", -2, CONNECTION_CONTAINER, "2.4.0", "subcommand ...",
                "A container for commands about connections.", "connection"),
    COMMAND_ROW(CLUSTER, "cluster", -2, CONNECTION_CONTAINER, "3.0.0", "subcommand ...",
                "A container for commands about the cluster.", "cluster"),
    COMMAND_ROW(COMMAND, "command", -1, CONNECTION_CONTAINER, "2.8.13", "[subcommand ...]",
                "Returns information about all commands.", "server"),
    COMMAND_ROW(CONFIG, "config", -2, CONNECTION_CONTAINER, "2.0.0", "subcommand ...",
                "A container for commands about the configuration.", "server"),
    COMMAND_ROW(DISCARD, "discard", 1, CONNECTION_FAST, "2.0.0", "",
                "Drops the transaction, and what is watched.", "transactions"),
    COMMAND_ROW(ECHO, "echo", 2, CONNECTION_FAST, "1.0.0", "message", "Returns the given string.",
                "connection"),
    COMMAND_ROW(EXEC, "exec", 1, 0, "1.2.0", "",
                "Executes the transaction as one, unless a watched key has changed.",
                "transactions"),
    COMMAND_ROW(HELLO, "hello", -1, BEFORE_AUTH, "6.0.0",
                "[protover [AUTH username password] [SETNAME clientname]]",
                "Handshakes with the server: protocol version, authentication, name.",
                "connection"),
    COMMAND_ROW(INFO, "info", -1, 0, "1.0.0", "[section [section ...]]",
                "Returns information and statistics about the server.", "server"),
    COMMAND_ROW(MULTI, "multi", 1, CONNECTION_FAST, "1.2.0", "",
                "Begins a transaction: commands are kept until EXEC.", "transactions"),
    COMMAND_ROW(ONCE, "once", -4, CONNECTION_LOGGED | CONNECTION_KEYS_INSIDE, "0.1.0",
                "session sequence command [arg ...]",
                "Applies a write at most once: the session answers it again when it is repeated.",
                "session"),
    COMMAND_ROW(ONCE_OPEN, "once.open", -1, CONNECTION_LOGGED | CONNECTION_FAST, "0.1.0",
                "[PX milliseconds]",
                "Opens a session for ONCE and returns its number; it ends when unused for so long.",
                "session"),
    COMMAND_ROW(PING, "ping", -1, CONNECTION_FAST, "1.0.0", "[message]",
                "Returns PONG, or the given string: the server lives.", "connection"),
    COMMAND_ROW(QUIT, "quit", -1, BEFORE_AUTH, "1.0.0", "",
                "Closes the connection, after the replies to what came before.", "connection"),
    COMMAND_ROW(READONLY, "readonly", 1, CONNECTION_FAST, "3.0.0", "",
                "Lets a node that does not lead answer this connection's reads from what it has.",
                "cluster"),
    COMMAND_ROW(READWRITE, "readwrite", 1, CONNECTION_FAST, "3.0.0", "", "Takes READONLY back.",
                "cluster"),
    COMMAND_ROW(RESET, "reset", 1, BEFORE_AUTH, "6.2.0", "",
                "Resets the connection: protocol 2, no name, not authenticated.", "connection"),
    COMMAND_ROW(SELECT, "select", 2, CONNECTION_FAST, "1.0.0", "index",
                "Changes the selected database: there is one, 0.", "connection"),
    COMMAND_ROW(SHUTDOWN, "shutdown", -1, CONNECTION_ADMIN, "1.0.0",
                "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
                "Stops the server, once what it received is answered.", "server"),
    COMMAND_ROW(SLOWLOG, "slowlog", -2, CONNECTION_CONTAINER, "2.2.12", "subcommand ...",
                "A container for commands about slow commands.", "server"),
    COMMAND_ROW(TIME, "time", 1, CONNECTION_FAST, "2.6.0", "", "Returns the server's clock.",
                "server"),
    COMMAND_ROW(UNWATCH, "unwatch", 1, CONNECTION_FAST, "2.2.0", "", "Forgets what is watched.",
                "transactions"),
    COMMAND_ROW(
        WAIT, "wait", 3, 0, "3.0.0", "numreplicas timeout",
        "Waits until so many other members have all that this connection wrote; returns how "
        "many do.",
        "generic"),
    COMMAND_ROW(WATCH, "watch", -2, CONNECTION_FAST, "2.2.0", "key [key ...]",
                "Lets the next transaction fail if one of the keys is changed before its EXEC.",
                "transactions"),

    SUBCOMMAND_ROW(CLIENT, GETNAME, "client|getname", 2, 0, "2.6.9", "",
                   "Returns the connection's name.", "connection"),
    SUBCOMMAND_ROW(CLIENT, GETREDIR, "client|getredir", 2, 0, "6.0.0", "",
                   "Returns -1: no connection gets what another one tracks.", "connection"),
    SUBCOMMAND_ROW(CLIENT, HELP, "client|help", 2, 0, "5.0.0", "",
                   "Returns text about the subcommands.", "connection"),
    SUBCOMMAND_ROW(CLIENT, ID, "client|id", 2, 0, "5.0.0", "",
                   "Returns the connection's number, unique while the server runs.", "connection"),
    SUBCOMMAND_ROW(CLIENT, INFO, "client|info", 2, 0, "6.2.0", "",
                   "Returns what is known about this connection.", "connection"),
    SUBCOMMAND_ROW(CLIENT, KILL, "client|kill", -3, CONNECTION_ADMIN, "2.4.0",
                   "ip:port | [ID client-id] [TYPE NORMAL | MASTER | REPLICA | PUBSUB] "
                   "[USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME YES | NO]",
                   "Ends connections.", "connection"),
    SUBCOMMAND_ROW(CLIENT, LIST, "client|list", -2, CONNECTION_ADMIN, "2.4.0",
                   "[TYPE NORMAL | MASTER | REPLICA | PUBSUB] [ID client-id ...]",
                   "Lists the open connections.", "connection"),
    SUBCOMMAND_ROW(CLIENT, NO_EVICT, "client|no-evict", 3, CONNECTION_ADMIN, "7.0.0", "ON | OFF",
                   "Spares the connection when one that does not read is closed for others.",
                   "connection"),
    SUBCOMMAND_ROW(CLIENT, NO_TOUCH, "client|no-touch", 3, 0, "7.2.0", "ON | OFF",
                   "Says that reads shall not count as a use of the key; none does here.",
                   "connection"),
    SUBCOMMAND_ROW(CLIENT, PAUSE, "client|pause", -3, CONNECTION_ADMIN, "3.0.0",
                   "timeout [WRITE | ALL]",
                   "Lets writes, or all commands, wait for so many milliseconds.", "connection"),
    SUBCOMMAND_ROW(CLIENT, READS, "client|reads", 3, CONNECTION_FAST, "0.1.0",
                   "QUORUM | LEASE | STALE", "Chooses how current this connection's reads are.",
                   "connection"),
    SUBCOMMAND_ROW(CLIENT, REPLY, "client|reply", 3, 0, "3.2.0", "ON | OFF | SKIP",
                   "Sends no replies until ON, or none to the next command.", "connection"),
    SUBCOMMAND_ROW(CLIENT, SETINFO, "client|setinfo", 4, 0, "7.2.0",
                   "LIB-NAME libname | LIB-VER libver",
                   "Tells the client library's name or version.", "connection"),
    SUBCOMMAND_ROW(CLIENT, SETNAME, "client|setname", 3, 0, "2.6.9", "connection-name",
                   "Names the connection.", "connection"),
    SUBCOMMAND_ROW(CLIENT, UNPAUSE, "client|unpause", 2, CONNECTION_ADMIN, "6.2.0", "",
                   "Ends the pause of CLIENT PAUSE.", "connection"),
    SUBCOMMAND_ROW(CLUSTER, HELP, "cluster|help", 2, 0, "5.0.0", "",
                   "Returns text about the subcommands.", "cluster"),
    SUBCOMMAND_ROW(CLUSTER, INFO, "cluster|info", 2, 0, "3.0.0", "",
                   "Returns the state of the cluster.", "cluster"),
    SUBCOMMAND_ROW(CLUSTER, KEYSLOT, "cluster|keyslot", 3, 0, "3.0.0", "key",
                   "Returns the hash slot of a key.", "cluster"),
    SUBCOMMAND_ROW(CLUSTER, MYID, "cluster|myid", 2, 0, "3.0.0", "", "Returns the id of this node.",
                   "cluster"),
    SUBCOMMAND_ROW(CLUSTER, NODES, "cluster|nodes", 2, 0, "3.0.0", "",
                   "Returns the members, a line each.", "cluster"),
    SUBCOMMAND_ROW(CLUSTER, SHARDS, "cluster|shards", 2, 0, "7.0.0", "",
                   "Returns the slots and the members that serve them.", "cluster"),
    SUBCOMMAND_ROW(CLUSTER, SLOTS, "cluster|slots", 2, 0, "3.0.0", "",
                   "Returns the slots and where they are served.", "cluster"),
    SUBCOMMAND_ROW(COMMAND, COUNT_OF, "command|count", 2, 0, "2.8.13", "",
                   "Returns the number of commands.", "server"),
    SUBCOMMAND_ROW(COMMAND, DOCS, "command|docs", -2, 0, "7.0.0",
                   "[command-name [command-name ...]]",
                   "Returns documentation about one, several or all commands.", "server"),
    SUBCOMMAND_ROW(COMMAND, GETKEYS, "command|getkeys", -4, 0, "2.8.13",
                   "command-name [arg [arg ...]]", "Returns the keys among the arguments.",
                   "server"),
    SUBCOMMAND_ROW(COMMAND, HELP, "command|help", 2, 0, "5.0.0", "",
                   "Returns text about the subcommands.", "server"),
    SUBCOMMAND_ROW(COMMAND, INFO, "command|info", -2, 0, "2.8.13",
                   "[command-name [command-name ...]]",
                   "Returns arity, flags and keys of one, several or all commands.", "server"),
    SUBCOMMAND_ROW(COMMAND, LIST, "command|list", -2, 0, "7.0.0",
                   "[FILTERBY MODULE module | PATTERN pattern]",
                   "Returns the names of the commands.", "server"),
    SUBCOMMAND_ROW(CONFIG, GET, "config|get", -3, CONNECTION_ADMIN, "2.0.0",
                   "parameter [parameter ...]",
                   "Returns the values in force of the parameters whose names match.", "server"),
    SUBCOMMAND_ROW(CONFIG, HELP, "config|help", 2, 0, "5.0.0", "",
                   "Returns text about the subcommands.", "server"),
    SUBCOMMAND_ROW(CONFIG, RESETSTAT, "config|resetstat", 2, CONNECTION_ADMIN, "2.0.0", "",
                   "Sets the counters that INFO shows to zero.", "server"),
    SUBCOMMAND_ROW(CONFIG, SET, "config|set", -4, CONNECTION_ADMIN, "2.0.0",
                   "parameter value [parameter value ...]",
                   "Changes parameters while the server runs: all of them, or none.", "server"),
    SUBCOMMAND_ROW(SLOWLOG, GET, "slowlog|get", -2, CONNECTION_ADMIN, "2.2.12", "[count]",
                   "Returns the commands that took longest to execute, the newest first.",
                   "server"),
    SUBCOMMAND_ROW(SLOWLOG, HELP, "slowlog|help", 2, 0, "6.2.0", "",
                   "Returns text about the subcommands.", "server"),
    SUBCOMMAND_ROW(SLOWLOG, LEN, "slowlog|len", 2, CONNECTION_ADMIN, "2.2.12", "",
                   "Returns how many slow commands are kept.", "server"),
    SUBCOMMAND_ROW(SLOWLOG, RESET, "slowlog|reset", 2, CONNECTION_ADMIN, "2.2.12", "",
                   "Forgets the slow commands.", "server"),
};

/* Whether `length` bytes are `name`, which is lower case, in any case. */
static bool name_equals(const char *name, const uint8_t *bytes, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) {
        uint8_t byte = bytes[i];
        byte = byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
        if (name[i] == '\0' || byte != (uint8_t)name[i]) {
            return false;
        }
    }
    return name[length] == '\0';
}

uint16_t connection_subcommand_find(uint16_t container, const uint8_t *name,
                                    uint32_t length_bytes) {
    ASSERT_HOT(container < CONNECTION_COMMAND_COUNT);
    for (uint32_t row = CONNECTION_COMMAND_COUNT; row < CONNECTION_ROW_COUNT; row++) {
        const struct connection_command *command = &connection_commands[row];
        if (command->container == container &&
            name_equals(strchr(command->name, '|') + 1, name, length_bytes)) {
            return (uint16_t)row;
        }
    }
    return CONNECTION_ROW_COUNT;
}

_Static_assert(CONNECTION_ARGUMENTS_MAX == 128, "the words below say so");

/* The words of the canned errors, as Redis 7.0 has them. */
static const char *const canned_errors[CONNECTION_REPLY_COUNT] = {
    [CONNECTION_REPLY_DB_RANGE] = "ERR DB index is out of range",
    [CONNECTION_REPLY_NUMBER] = "ERR value is not an integer or out of range",
    [CONNECTION_REPLY_NUMBER_RANGE] =
        "ERR value is out of range, value must between -2147483648 and 2147483647",
    [CONNECTION_REPLY_TIMEOUT_NUMBER] = "ERR timeout is not an integer or out of range",
    [CONNECTION_REPLY_TIMEOUT_NEGATIVE] = "ERR timeout is negative",
    [CONNECTION_REPLY_SYNTAX] = "ERR syntax error",
    [CONNECTION_REPLY_NAME_CHARACTERS] =
        "ERR Client names cannot contain spaces, newlines or special characters.",
    [CONNECTION_REPLY_NAME_LENGTH] = "ERR Client names cannot be longer than 63 bytes",
    [CONNECTION_REPLY_PASSWORD_WRONG] =
        "WRONGPASS invalid username-password pair or user is disabled.",
    [CONNECTION_REPLY_PASSWORD_NONE] =
        "ERR AUTH <password> called without any password configured for the default user. "
        "Are you sure your configuration is correct?",
    [CONNECTION_REPLY_VERSION_NUMBER] = "ERR Protocol version is not an integer or out of range",
    [CONNECTION_REPLY_VERSION] = "NOPROTO unsupported protocol version",
    [CONNECTION_REPLY_HELLO_AUTH] =
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
        "AUTH <user> <pass> option can be used to authenticate the client and select the "
        "RESP protocol version at the same time",
    [CONNECTION_REPLY_CLIENT_ID] = "ERR Invalid client ID",
    [CONNECTION_REPLY_KILL_ID] = "ERR client-id should be greater than 0",
    [CONNECTION_REPLY_KILL_NOBODY] = "ERR No such client",
    [CONNECTION_REPLY_GETKEYS_COMMAND] = "ERR Invalid command specified",
    [CONNECTION_REPLY_GETKEYS_NONE] = "ERR The command has no key arguments",
    [CONNECTION_REPLY_GETKEYS_ARITY] = "ERR Invalid number of arguments specified for command",
    [CONNECTION_REPLY_GETKEYS_ARGUMENTS] = "ERR Invalid arguments specified for command",
    [CONNECTION_REPLY_SLOWLOG_COUNT] = "ERR count should be greater than or equal to -1",
    [CONNECTION_REPLY_PAUSE_MODE] = "ERR CLIENT PAUSE mode must be WRITE or ALL",
    [CONNECTION_REPLY_ARGUMENTS] =
        "ERR too many arguments: commands about the connection or the server take at most 127",
    [CONNECTION_REPLY_NO_SHUTDOWN] = "ERR No shutdown in progress.",
    [CONNECTION_REPLY_SHUTDOWN_SAVE] =
        "ERR nothing can be saved: this node runs with durability none",
    [CONNECTION_REPLY_READS] = "ERR reads are quorum, lease or stale",
    [CONNECTION_REPLY_KEY_LENGTH] = "ERR key too long: the limit is 65536 bytes",
    [CONNECTION_REPLY_NESTED] = "ERR MULTI calls can not be nested",
    [CONNECTION_REPLY_EXEC_ALONE] = "ERR EXEC without MULTI",
    [CONNECTION_REPLY_DISCARD_ALONE] = "ERR DISCARD without MULTI",
    [CONNECTION_REPLY_WATCH_INSIDE] = "ERR WATCH inside MULTI is not allowed",
    [CONNECTION_REPLY_NOT_INSIDE] = "ERR Command not allowed inside a transaction",
    [CONNECTION_REPLY_EXEC_ERRORS] = "EXECABORT Transaction discarded because of previous errors.",
    [CONNECTION_REPLY_EXEC_LOST] =
        "EXECABORT Transaction discarded because of: the leader changed since it began",
    [CONNECTION_REPLY_UNWATCHABLE] = "ERR this machine has no keys that can be watched",
};

void connection_reply_write(struct reply_writer *writer, const struct batch *batch,
                            const struct batch_command *command) {
    ASSERT_HOT(command->fate == FATE_LOCAL && command->reply == NULL);
    switch ((enum connection_reply)command->detail) {
    case CONNECTION_REPLY_OK: reply_ok(writer); return;
    case CONNECTION_REPLY_PONG: reply_pong(writer); return;
    case CONNECTION_REPLY_ARGUMENT: {
        uint32_t length = 0;
        const uint8_t *argument = batch_argument(batch, command, 1, &length);
        reply_bulk(writer, argument, length);
        return;
    }
    case CONNECTION_REPLY_QUEUED: reply_queued(writer); return;
    case CONNECTION_REPLY_RESET: reply_status(writer, "RESET", 5); return;
    case CONNECTION_REPLY_DB_RANGE:
    case CONNECTION_REPLY_NUMBER:
    case CONNECTION_REPLY_NUMBER_RANGE:
    case CONNECTION_REPLY_TIMEOUT_NUMBER:
    case CONNECTION_REPLY_TIMEOUT_NEGATIVE:
    case CONNECTION_REPLY_SYNTAX:
    case CONNECTION_REPLY_NAME_CHARACTERS:
    case CONNECTION_REPLY_NAME_LENGTH:
    case CONNECTION_REPLY_PASSWORD_WRONG:
    case CONNECTION_REPLY_PASSWORD_NONE:
    case CONNECTION_REPLY_VERSION_NUMBER:
    case CONNECTION_REPLY_VERSION:
    case CONNECTION_REPLY_HELLO_AUTH:
    case CONNECTION_REPLY_CLIENT_ID:
    case CONNECTION_REPLY_KILL_ID:
    case CONNECTION_REPLY_KILL_NOBODY:
    case CONNECTION_REPLY_GETKEYS_COMMAND:
    case CONNECTION_REPLY_GETKEYS_NONE:
    case CONNECTION_REPLY_GETKEYS_ARITY:
    case CONNECTION_REPLY_GETKEYS_ARGUMENTS:
    case CONNECTION_REPLY_SLOWLOG_COUNT:
    case CONNECTION_REPLY_PAUSE_MODE:
    case CONNECTION_REPLY_ARGUMENTS:
    case CONNECTION_REPLY_NO_SHUTDOWN:
    case CONNECTION_REPLY_SHUTDOWN_SAVE:
    case CONNECTION_REPLY_READS:
    case CONNECTION_REPLY_KEY_LENGTH:
    case CONNECTION_REPLY_NESTED:
    case CONNECTION_REPLY_EXEC_ALONE:
    case CONNECTION_REPLY_DISCARD_ALONE:
    case CONNECTION_REPLY_WATCH_INSIDE:
    case CONNECTION_REPLY_NOT_INSIDE:
    case CONNECTION_REPLY_EXEC_ERRORS:
    case CONNECTION_REPLY_EXEC_LOST:
    case CONNECTION_REPLY_UNWATCHABLE: {
        const char *words = canned_errors[command->detail];
        reply_error(writer, words, strlen(words));
        return;
    }
    case CONNECTION_REPLY_WAIT: reply_integer(writer, batch->wait_reached); return;
    case CONNECTION_REPLY_COUNT: break;
    }
    UNREACHABLE("a local command without a reply has a canned one");
}
