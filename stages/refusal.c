/*
 * Most refusals are one constant; four quote the command, one the parser.
 *
 * What a client sent is quoted as Redis quotes it: at most 128 bytes of a name, and arguments until
 * 128 bytes are full; a zero byte ends a quotation, and reply_error makes line ends harmless.
 */

#include "stages/refusal.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "stages/connection_commands.h"
#include "wire/cluster_slot.h"

enum {
    REFUSAL_QUOTE_BYTES_MAX = 128,
    /* One more argument may begin when 127 bytes are there: two quotes, a space, and a zero. */
    REFUSAL_ARGUMENTS_BYTES = 2 * REFUSAL_QUOTE_BYTES_MAX,
};

static const char *const constant_words[REFUSAL_COUNT] = {
    [REFUSAL_NO_AUTH] = "NOAUTH Authentication required.",
    [REFUSAL_MEMORY] = "OOM command not allowed when used memory > 'maxmemory'.",
    [REFUSAL_DISK_FULL] = "MISCONF the disk has no room for the next log segment: writes are "
                          "refused until there is room, nothing was done",
    [REFUSAL_DISKS_FULL] = "MISCONF the disks of a majority of the members have no room for the "
                           "log: writes are refused until there is room, nothing was done",
    [REFUSAL_OVERLOAD] = "TRYAGAIN the server is overloaded: nothing was done, try again",
    [REFUSAL_ENTRY_SIZE] = "ERR command too large: with it the log entry would exceed its limit",
    [REFUSAL_REPLY_SIZE] = "ERR reply too large: it exceeds the memory for replies",
    [REFUSAL_NOT_LEADER] = "CLUSTERDOWN this node does not lead: nothing was done",
    [REFUSAL_STOPPING] = "CLUSTERDOWN this node is stopping: nothing was done",
    [REFUSAL_CARRY] = "TRYAGAIN no memory left for unfinished commands: nothing was done, the "
                      "connection closes",
    [REFUSAL_ONCE_NUMBER] = "ERR session and sequence must be integers from 1 to 2^63-1",
    [REFUSAL_ONCE_SYNTAX] = "ERR syntax error",
    [REFUSAL_ONCE_LIFETIME] = "ERR a session's lifetime must be from 1 ms to 30 days",
    [REFUSAL_WATCH_KEYS] = "ERR too many keys: a WATCH takes at most 512",
};

/* The first bytes of an argument, at most `bytes_max`, as printf's precision wants them. */
struct quote {
    const char *text;
    int length;
};

static struct quote quote_argument(const struct batch *batch, const struct batch_command *command,
                                   uint32_t index, uint32_t bytes_max) {
    uint32_t length = 0;
    const uint8_t *bytes = batch_argument(batch, command, index, &length);
    return (struct quote){(const char *)bytes, (int)(length < bytes_max ? length : bytes_max)};
}

static void write_unknown_command(struct reply_writer *writer, const struct batch *batch,
                                  const struct batch_command *command) {
    char arguments[REFUSAL_ARGUMENTS_BYTES] = "";
    size_t used = 0;
    for (uint32_t i = 1; i < command->argument_count && used < REFUSAL_QUOTE_BYTES_MAX; i++) {
        struct quote quote =
            quote_argument(batch, command, i, REFUSAL_QUOTE_BYTES_MAX - (uint32_t)used);
        int written = snprintf(arguments + used, sizeof(arguments) - used, "'%.*s' ", quote.length,
                               quote.text);
        ASSERT(written > 0 && (size_t)written < sizeof(arguments) - used);
        used += (size_t)written;
    }
    struct quote name = quote_argument(batch, command, 0, REFUSAL_QUOTE_BYTES_MAX);
    reply_error_format(writer, "ERR unknown command '%.*s', with args beginning with: %s",
                       name.length, name.text, arguments);
}

static void write_unknown_subcommand(struct reply_writer *writer, const struct batch *batch,
                                     const struct batch_command *command,
                                     const struct directory *directory) {
    char container[32];
    const char *name = directory_name(directory, command->table, command->row);
    size_t length = strlen(name);
    ASSERT(length < sizeof(container));
    for (size_t i = 0; i <= length; i++) {
        container[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 0x20 : name[i]);
    }
    struct quote subcommand = quote_argument(batch, command, 1, REFUSAL_QUOTE_BYTES_MAX);
    reply_error_format(writer, "ERR unknown subcommand '%.*s'. Try %s HELP.", subcommand.length,
                       subcommand.text, container);
}

static void write_protocol(struct reply_writer *writer, const struct batch_command *command) {
    struct resp_command parsed = {.error = (uint8_t)command->row, .error_byte = command->detail};
    char text[RESP_ERROR_TEXT_BYTES_MAX];
    size_t length = resp_error_text(&parsed, text);
    reply_error(writer, text, length);
}

/* Whether the command is one for the log. */
static bool command_writes(const struct batch_command *command, const struct directory *directory) {
    if (command->table == TABLE_MACHINE) {
        const struct machine_operations *machine = directory_machine(directory);
        return (machine->commands[command->row].flags & MACHINE_WRITE) != 0;
    }
    ASSERT(command->table == TABLE_CONNECTION);
    return (connection_commands[command->row].flags & CONNECTION_LOGGED) != 0;
}

/* The first key of a command that has one. */
static const uint8_t *command_key(const struct batch *batch, const struct batch_command *command,
                                  const struct directory *directory, uint32_t *length_bytes) {
    ASSERT(command->table == TABLE_MACHINE && command->key_count > 0);
    struct machine_keys keys;
    directory_keys(directory, command->row, batch, command, 0, &keys);
    ASSERT(machine_keys_count(&keys) > 0);
    return batch_argument(batch, command, machine_keys_at(&keys, 0) + 1, length_bytes);
}

uint32_t refusal_units(const struct batch *batch, const struct batch_command *command,
                       const struct directory *directory) {
    uint32_t length_bytes = 0;
    if (command->fate == FATE_REFUSED && command->refusal == REFUSAL_NOT_LEADER &&
        command->key_count > 0) {
        (void)command_key(batch, command, directory, &length_bytes);
    }
    return length_bytes / CLUSTER_SLOT_UNIT_BYTES;
}

static void write_not_leader(struct reply_writer *writer, const struct batch *batch,
                             const struct batch_command *command, const struct directory *directory,
                             const struct node *node) {
    /* Itself, if it leads again or has failed: nobody else is known then. */
    uint64_t leader = node_figure(&node->replicate.leader);
    bool other = leader != 0 && leader != node->options->identity.node_id;
    bool keyless_write = command->key_count == 0 && command_writes(command, directory);
    struct entry_address endpoint;
    if (other && keyless_write) {
        reply_error_format(writer, "READONLY You can't write against a read only replica.");
        return;
    }
    if (other && node_endpoint_find(node, leader, &endpoint) && endpoint.host[0] != '\0') {
        if (command->key_count > 0) {
            /* A v6 address without brackets, as Redis has it: clients look for the last colon. */
            uint32_t length = 0;
            const uint8_t *key = command_key(batch, command, directory, &length);
            reply_error_format(writer, "MOVED %u %s:%u", cluster_slot(key, length), endpoint.host,
                               endpoint.port);
        } else {
            /* No MOVED: it has the slot of a key, and clients that keep a table of slots look for
             * their command's there; some then fail for good.  At CLUSTERDOWN they ask anew who
             * leads, and try again. */
            reply_error_format(writer,
                               "CLUSTERDOWN this node does not lead: nothing was done; the leader "
                               "is at %s:%u",
                               endpoint.host, endpoint.port);
        }
        return;
    }
    const char *words = constant_words[REFUSAL_NOT_LEADER];
    reply_error(writer, words, strlen(words));
}

static void write_refusal(struct reply_writer *writer, const struct batch *batch,
                          const struct batch_command *command, const struct directory *directory,
                          const struct node *node) {
    ASSERT(command->fate == FATE_REFUSED);
    switch ((enum batch_refusal)command->refusal) {
    case REFUSAL_UNKNOWN_COMMAND: write_unknown_command(writer, batch, command); return;
    case REFUSAL_UNKNOWN_SUBCOMMAND:
        write_unknown_subcommand(writer, batch, command, directory);
        return;
    case REFUSAL_ARITY:
        reply_error_format(writer, "ERR wrong number of arguments for '%s' command",
                           directory_name(directory, command->table, command->row));
        return;
    case REFUSAL_NOT_ALLOWED:
        reply_error_format(writer, "ERR Can't execute '%s' in the connection's present state",
                           directory_name(directory, command->table, command->row));
        return;
    case REFUSAL_KEY_SIZE:
        reply_error_format(writer, "ERR key too long: the limit is %u bytes",
                           directory_machine(directory)->key_bytes_max);
        return;
    case REFUSAL_ONCE_COMMAND:
        reply_error_format(writer, "ERR ONCE takes a command that writes, and '%s' is none",
                           directory_name(directory, command->table, command->row));
        return;
    case REFUSAL_PROTOCOL: write_protocol(writer, command); return;
    case REFUSAL_NOT_LEADER: write_not_leader(writer, batch, command, directory, node); return;
    case REFUSAL_NO_AUTH:
    case REFUSAL_MEMORY:
    case REFUSAL_DISK_FULL:
    case REFUSAL_DISKS_FULL:
    case REFUSAL_OVERLOAD:
    case REFUSAL_ENTRY_SIZE:
    case REFUSAL_REPLY_SIZE:
    case REFUSAL_STOPPING:
    case REFUSAL_CARRY:
    case REFUSAL_ONCE_NUMBER:
    case REFUSAL_ONCE_SYNTAX:
    case REFUSAL_ONCE_LIFETIME:
    case REFUSAL_WATCH_KEYS: {
        const char *words = constant_words[command->refusal];
        reply_error(writer, words, strlen(words));
        return;
    }
    case REFUSAL_NONE:
    case REFUSAL_COUNT: break;
    }
    UNREACHABLE("a refused command has a reason");
}

/* An EXEC that is refused takes its transaction with it, and says so, as Redis does: without the
 * reason's "ERR". */
static void write_exec_refusal(struct reply_writer *writer, const struct batch *batch,
                               const struct batch_command *command,
                               const struct directory *directory, const struct node *node) {
    uint8_t room[2 * REPLY_ERROR_FORMAT_BYTES_MAX];
    struct reply_writer reason;
    reply_begin(&reason, room, sizeof(room));
    write_refusal(&reason, batch, command, directory, node);
    ASSERT(reason.overflow_bytes == 0);
    struct reply_record record = reply_record_read(room, reply_used_bytes(&reason));
    ASSERT(record.kind == REPLY_ERROR);
    const char *text = (const char *)room + REPLY_HEADER_BYTES;
    uint32_t skipped = record.length_bytes > 4 && memcmp(text, "ERR ", 4) == 0 ? 4 : 0;
    reply_error_format(writer, "EXECABORT Transaction discarded because of: %.*s",
                       (int)(record.length_bytes - skipped), text + skipped);
}

void refusal_write(struct reply_writer *writer, const struct batch *batch,
                   const struct batch_command *command, const struct directory *directory,
                   const struct node *node) {
    if (command->table == TABLE_CONNECTION && command->row == CONNECTION_EXEC) {
        write_exec_refusal(writer, batch, command, directory, node);
    } else {
        write_refusal(writer, batch, command, directory, node);
    }
}
