/*
 * CLIENT: what is known of this connection and of the others.
 *
 * A line of CLIENT LIST is made from a copy of a slot's record.  The list is composed a slice of
 * slots at a time.  A connection that goes meanwhile is in it or not; one that comes is not, so
 * that the text needs no more room than for those who were there at its beginning.
 */

#include "stages/connection_run.h"

#include <limits.h>
#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "stages/node_record.h"

enum {
    /* One slice: this many slots looked at, or lines made: each costs about 1.5 us. */
    CLIENT_SLICE_SLOTS = 512,
    CLIENT_SLICE_LINES = 32,
    /* Connections that come or go while a list begins, on a thread that is not this one. */
    CLIENT_LINES_SPARE = 64,
    /* Words, numbers of at most 20 digits, a command's name, two addresses and three names. */
    CLIENT_LINE_BYTES_MAX = 576 + 2 * NODE_ADDRESS_BYTES_MAX + 3 * NODE_CLIENT_NAME_BYTES_MAX,
};

enum client_setinfo_note {
    SETINFO_OPTION_UNKNOWN = 1,
    SETINFO_CHARACTERS,
    SETINFO_LENGTH,
};

void connection_client_getname_write(const struct connection_run *run,
                                     struct reply_writer *writer) {
    size_t length = strlen(run->connection->name);
    if (length == 0) {
        reply_null(writer);
    } else {
        reply_bulk(writer, run->connection->name, length);
    }
}

enum connection_step connection_client_setname(struct connection_run *run) {
    enum connection_reply error = connection_name_set(run, 2);
    return connection_canned(run, error != 0 ? error : CONNECTION_REPLY_OK);
}

void connection_client_id_write(const struct connection_run *run, struct reply_writer *writer) {
    reply_integer(writer, (int64_t)node_figure(&connection_record(run)->client_id));
}

/* ---- SETINFO ------------------------------------------------------------------------------- */

enum connection_step connection_client_setinfo(struct connection_run *run) {
    char *room = NULL;
    if (connection_argument_is(run, 2, "lib-name")) {
        room = run->connection->library_name;
    } else if (connection_argument_is(run, 2, "lib-ver")) {
        room = run->connection->library_version;
    } else {
        run->note = SETINFO_OPTION_UNKNOWN;
        return CONNECTION_WRITES;
    }
    uint32_t length = 0;
    const uint8_t *value = batch_argument(run->batch, run->command, 3, &length);
    for (uint32_t i = 0; i < length; i++) {
        if (value[i] < '!' || value[i] > '~') {
            run->note = SETINFO_CHARACTERS;
            return CONNECTION_WRITES;
        }
    }
    if (length >= NODE_CLIENT_NAME_BYTES_MAX) {
        run->note = SETINFO_LENGTH;
        return CONNECTION_WRITES;
    }
    memset(room, 0, NODE_CLIENT_NAME_BYTES_MAX);
    memcpy(room, value, length);
    connection_names_publish(run);
    return connection_canned(run, CONNECTION_REPLY_OK);
}

void connection_client_setinfo_write(const struct connection_run *run,
                                     struct reply_writer *writer) {
    uint32_t length = 0;
    const char *option = (const char *)batch_argument(run->batch, run->command, 2, &length);
    int shown = length > INT_MAX ? INT_MAX : (int)length;
    switch ((enum client_setinfo_note)run->note) {
    case SETINFO_OPTION_UNKNOWN:
        reply_error_format(writer, "ERR Unrecognized option '%.*s'", shown, option);
        return;
    case SETINFO_CHARACTERS:
        reply_error_format(writer,
                           "ERR %.*s cannot contain spaces, newlines or special characters.", shown,
                           option);
        return;
    case SETINFO_LENGTH:
        reply_error_format(writer, "ERR %.*s cannot be longer than %d bytes", shown, option,
                           NODE_CLIENT_NAME_BYTES_MAX - 1);
        return;
    }
    UNREACHABLE("the effect noted what is wrong");
}

/* ---- READS --------------------------------------------------------------------------------- */

enum connection_step connection_client_reads(struct connection_run *run) {
    for (uint32_t mode = 0; mode < READ_MODES; mode++) {
        if (connection_argument_is(run, 2, read_mode_name(mode))) {
            run->connection->reads = (uint8_t)mode;
            run->connection->reads_chosen = true;
            return connection_canned(run, CONNECTION_REPLY_OK);
        }
    }
    return connection_canned(run, CONNECTION_REPLY_READS);
}

/* ---- REPLY, NO-EVICT, NO-TOUCH, GETREDIR --------------------------------------------------- */

/* Only ON is answered; the others' replies are among those that are left out. */
enum connection_step connection_client_reply(struct connection_run *run) {
    struct connection *connection = run->connection;
    if (connection_argument_is(run, 2, "on")) {
        connection->reply_off = false;
        connection->reply_skip = CONNECTION_SKIPS_NOTHING;
    } else if (connection_argument_is(run, 2, "off")) {
        connection->reply_off = true;
    } else if (connection_argument_is(run, 2, "skip")) {
        if (!connection->reply_off) { /* else ON ends both */
            connection->reply_skip = CONNECTION_SKIPS_NEXT;
        }
    } else {
        return connection_canned(run, CONNECTION_REPLY_SYNTAX);
    }
    return connection_canned(run, CONNECTION_REPLY_OK);
}

/* Takes argument 2, ON or OFF. */
static enum connection_step client_switch(struct connection_run *run, bool *on) {
    if (connection_argument_is(run, 2, "on")) {
        *on = true;
    } else if (connection_argument_is(run, 2, "off")) {
        *on = false;
    } else {
        return connection_canned(run, CONNECTION_REPLY_SYNTAX);
    }
    return connection_canned(run, CONNECTION_REPLY_OK);
}

enum connection_step connection_client_no_evict(struct connection_run *run) {
    return client_switch(run, &run->connection->no_evict);
}

enum connection_step connection_client_no_touch(struct connection_run *run) {
    return client_switch(run, &run->connection->no_touch);
}

/* Nothing is tracked for clients, so nobody gets it for another one. */
void connection_client_getredir_write(const struct connection_run *run,
                                      struct reply_writer *writer) {
    (void)run;
    reply_integer(writer, -1);
}

/* ---- INFO and LIST ------------------------------------------------------------------------- */

/* "get", "client|list", or "NULL" before the first command, as Redis has it. */
static const char *client_command_name(const struct connection_run *run, uint32_t last_command) {
    return last_command == 0 ? "NULL"
                             : directory_name(run->directory, (uint8_t)(last_command >> 16),
                                              (uint16_t)last_command);
}

static uint64_t client_seconds_since(const struct connection_run *run, uint64_t then_ms) {
    uint64_t now_ms = run->moment->wall_ms;
    return now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0;
}

enum { CLIENT_FLAGS_BYTES = 8 }; /* a letter each, and the zero */

/* As Redis has them, in its order. */
static void client_flags(const struct node_record *record, char out[CLIENT_FLAGS_BYTES]) {
    const struct {
        bool set;
        char letter;
    } flags[] = {
        {record->accepts_replica != 0, 'r'},
        {record->no_evict != 0, 'e'},
        {record->no_touch != 0, 'T'},
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (flags[i].set) {
            out[count++] = flags[i].letter;
        }
    }
    if (count == 0) {
        out[count++] = 'N';
    }
    ASSERT(count < CLIENT_FLAGS_BYTES);
    out[count] = '\0';
}

/* One line, from a copy of the record.  Libraries (python3-redis) take Redis's fields by name and
 * do not ask whether they are there; those about memory are 0, for none is a connection's own. */
static void client_line_add(struct connection_run *run, const struct node_record *record) {
    char flags[CLIENT_FLAGS_BYTES];
    client_flags(record, flags);
    /* Of itself it shows what it is doing; of the others what they did last. */
    bool is_self = record->client_id == node_figure(&connection_record(run)->client_id);
    uint32_t command =
        is_self ? (uint32_t)run->command->table << 16 | run->command->row : record->last_command;
    uint64_t last_ms =
        record->last_command_ms > record->opened_ms ? record->last_command_ms : record->opened_ms;
    last_ms = is_self ? run->moment->wall_ms : last_ms;
    connection_text_add(
        &run->text,
        "id=%llu addr=%s laddr=%s fd=%d name=%s age=%llu idle=%llu flags=%s db=0 sub=0 "
        "psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 "
        "oll=0 omem=0 tot-mem=0 events=r cmd=%s user=default redir=-1 resp=%u reads=%s "
        "lib-name=%s lib-ver=%s tot-cmds=%llu\n",
        (unsigned long long)record->client_id, record->address, record->local_address,
        record->socket, record->name,
        (unsigned long long)client_seconds_since(run, record->opened_ms),
        (unsigned long long)client_seconds_since(run, last_ms), flags,
        client_command_name(run, command), record->resp_version == 0 ? 2u : record->resp_version,
        read_mode_name(record->reads), record->library_name, record->library_version,
        (unsigned long long)record->commands);
}

size_t connection_client_info_bytes(struct connection_run *run) {
    (void)run;
    return CLIENT_LINE_BYTES_MAX;
}

bool connection_client_info_compose(struct connection_run *run) {
    struct node_record copy;
    /* Its own slot is in use and written by nobody now, unless it has died meanwhile. */
    if (node_record_copy(connection_record(run), &copy)) {
        client_line_add(run, &copy);
    }
    return true;
}

enum client_list_note { LIST_ALL = 0, LIST_NORMAL, LIST_NONE, LIST_IDS, LIST_TYPE_UNKNOWN };

enum connection_step connection_client_list(struct connection_run *run) {
    uint32_t count = run->command->argument_count;
    if (count == 2) {
        run->note = LIST_ALL;
        return CONNECTION_COMPOSES;
    }
    if (count == 4 && connection_argument_is(run, 2, "type")) {
        if (connection_argument_is(run, 3, "normal")) {
            run->note = LIST_NORMAL;
        } else if (connection_argument_is(run, 3, "master") ||
                   connection_argument_is(run, 3, "replica") ||
                   connection_argument_is(run, 3, "slave") ||
                   connection_argument_is(run, 3, "pubsub")) {
            run->note = LIST_NONE;
        } else {
            run->note = LIST_TYPE_UNKNOWN;
            return CONNECTION_WRITES;
        }
        return CONNECTION_COMPOSES;
    }
    if (count < 4 || !connection_argument_is(run, 2, "id")) {
        return connection_canned(run, CONNECTION_REPLY_SYNTAX);
    }
    for (uint32_t i = 3; i < count; i++) {
        uint32_t length = 0;
        const uint8_t *text = batch_argument(run->batch, run->command, i, &length);
        int64_t id = 0;
        if (decimal_parse_i64((const char *)text, length, &id) != 0) {
            return connection_canned(run, CONNECTION_REPLY_CLIENT_ID);
        }
    }
    run->note = LIST_IDS;
    return CONNECTION_COMPOSES;
}

/* Whether the arguments of CLIENT LIST ID, which are numbers, have this one. */
static bool client_id_wanted(const struct connection_run *run, uint64_t client_id) {
    for (uint32_t i = 3; i < run->command->argument_count; i++) {
        uint32_t length = 0;
        const uint8_t *text = batch_argument(run->batch, run->command, i, &length);
        int64_t id = 0;
        if (decimal_parse_i64((const char *)text, length, &id) == 0 && (uint64_t)id == client_id) {
            return true;
        }
    }
    return false;
}

size_t connection_client_list_bytes(struct connection_run *run) {
    const struct node *node = run->node;
    run->newest_id = node_figure(&node->read.accepted);
    uint64_t lines = node_figure(&node->read.connections) + CLIENT_LINES_SPARE;
    uint64_t lines_max = node->options->connections_max;
    return (size_t)(lines < lines_max ? lines : lines_max) * CLIENT_LINE_BYTES_MAX;
}

/* Whether the list has a line for the connection. */
static bool client_listed(const struct connection_run *run, const struct node_record *record) {
    return record->client_id <= run->newest_id && record->killed != record->generation &&
           /* The count was a glance at the beginning: if far too low, the list ends early. */
           run->text.capacity - run->text.used >= CLIENT_LINE_BYTES_MAX &&
           (run->note != LIST_IDS || client_id_wanted(run, record->client_id));
}

bool connection_client_list_compose(struct connection_run *run) {
    uint32_t lines = 0;
    uint64_t slots_max = run->node->options->connections_max;
    uint64_t slice_end = run->cursor + CLIENT_SLICE_SLOTS;
    if (run->note == LIST_NONE) {
        return true;
    }
    while (run->cursor < slots_max && run->cursor < slice_end && lines < CLIENT_SLICE_LINES) {
        const struct node_record *record = &run->node->records[run->cursor++];
        struct node_record copy;
        if (atomic_load_relaxed_u32(&record->open) == 0 || !node_record_copy(record, &copy)) {
            continue;
        }
        lines++;
        if (client_listed(run, &copy)) {
            client_line_add(run, &copy);
        }
    }
    return run->cursor == slots_max;
}

void connection_client_list_write(const struct connection_run *run, struct reply_writer *writer) {
    ASSERT(run->note == LIST_TYPE_UNKNOWN); /* otherwise the text is the reply */
    uint32_t length = 0;
    const uint8_t *type = batch_argument(run->batch, run->command, 3, &length);
    reply_error_format(writer, "ERR Unknown client type '%.*s'",
                       length > INT_MAX ? INT_MAX : (int)length, (const char *)type);
}

void connection_client_help_write(const struct connection_run *run, struct reply_writer *writer) {
    (void)run;
    static const char *const lines[] = {
        "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GETREDIR",
        "    Return -1: no connection gets what another one tracks.",
        "GETNAME",
        "    Return the name of the current connection.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "KILL <ip:port>",
        "    Kill connection made from <ip:port>.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Kill connections. Options are ID, TYPE, USER, ADDR, LADDR, SKIPME.",
        "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB) | ID <id> [<id> ...]]",
        "    Return information about client connections.",
        "NO-EVICT (ON|OFF)",
        "    Spare this connection when one that does not read is closed for others.",
        "NO-TOUCH (ON|OFF)",
        "    Let reads not count as a use of the key: none does here.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Suspend all, or just write, clients for <timeout> milliseconds.",
        "READS (QUORUM|LEASE|STALE)",
        "    Choose how current the reads of the current connection are.",
        "REPLY (ON|OFF|SKIP)",
        "    Control the replies sent to the current connection.",
        "SETINFO (LIB-NAME|LIB-VER) <value>",
        "    Tell the name or the version of the client library.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        "UNPAUSE",
        "    Stop the current client pause, resuming traffic.",
        "HELP",
        "    Prints this help.",
    };
    connection_help_write(writer, lines, sizeof(lines) / sizeof(lines[0]));
}
