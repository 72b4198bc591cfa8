/*
 * COMMAND: the two tables of commands as data, ours and the machine's.
 *
 * A command is a place: a table and a row.  A name from the client is looked up as the directory
 * does it; "container|subcommand" names a subcommand.
 */

#include "stages/connection_run.h"

#include <string.h>

#include "base/assert.h"

/* A command or subcommand, from whichever table. */
struct document {
    const char *name;
    const char *summary;
    const char *arguments;
    const char *group;
    const char *since;
    int16_t arity;
    int16_t first_key;
    int16_t last_key;
    int16_t key_step;
    uint32_t machine_flags;    /* of TABLE_MACHINE */
    uint32_t connection_flags; /* of TABLE_CONNECTION */
    uint16_t container;        /* row, if it has subcommands; otherwise CONNECTION_ROW_COUNT */
};

static struct document document_of(const struct connection_run *run, uint8_t table, uint16_t row) {
    if (table == TABLE_MACHINE) {
        const struct machine_command *command = &directory_machine(run->directory)->commands[row];
        return (struct document){command->name,
                                 command->summary,
                                 command->arguments,
                                 command->group,
                                 command->since,
                                 command->arity,
                                 command->first_key,
                                 command->last_key,
                                 command->key_step,
                                 command->flags,
                                 0,
                                 CONNECTION_ROW_COUNT};
    }
    ASSERT(table == TABLE_CONNECTION && row < CONNECTION_ROW_COUNT);
    const struct connection_command *command = &connection_commands[row];
    bool has_keys = row == CONNECTION_WATCH; /* all its arguments */
    bool contains = (command->flags & CONNECTION_CONTAINER) != 0;
    return (struct document){.name = command->name,
                             .summary = command->summary,
                             .arguments = command->arguments,
                             .group = command->group,
                             .since = command->since,
                             .arity = command->arity,
                             .first_key = has_keys ? 1 : 0,
                             .last_key = has_keys ? -1 : 0,
                             .key_step = has_keys ? 1 : 0,
                             .connection_flags = command->flags,
                             .container = contains ? row : CONNECTION_ROW_COUNT};
}

/* Looks up the name that argument `index` gives, a subcommand's too; false if there is none. */
static bool document_find(const struct connection_run *run, uint32_t index,
                          struct document *document) {
    uint32_t length = 0;
    const uint8_t *name = batch_argument(run->batch, run->command, index, &length);
    const uint8_t *bar = length == 0 ? NULL : memchr(name, '|', length);
    uint8_t table = TABLE_NONE;
    uint16_t row = 0;
    directory_find(run->directory, name, bar == NULL ? length : (uint32_t)(bar - name), &table,
                   &row);
    if (table == TABLE_NONE || (bar != NULL && table != TABLE_CONNECTION)) {
        return false;
    }
    if (bar != NULL) {
        row = connection_subcommand_find(row, bar + 1, length - (uint32_t)(bar + 1 - name));
        if (row == CONNECTION_ROW_COUNT) {
            return false;
        }
    }
    *document = document_of(run, table, row);
    return true;
}

static void text_bulk(struct reply_writer *writer, const char *text) {
    reply_bulk(writer, text, strlen(text));
}

static void text_status(struct reply_writer *writer, const char *text) {
    reply_status(writer, text, strlen(text));
}

/* The number of commands in both tables, without subcommands. */
static uint32_t document_count(const struct connection_run *run) {
    return CONNECTION_COMMAND_COUNT + directory_machine(run->directory)->command_count;
}

/* Command `number` of document_count: ours first, then the machine's. */
static struct document document_at(const struct connection_run *run, uint32_t number) {
    return number < CONNECTION_COMMAND_COUNT
               ? document_of(run, TABLE_CONNECTION, (uint16_t)number)
               : document_of(run, TABLE_MACHINE, (uint16_t)(number - CONNECTION_COMMAND_COUNT));
}

void connection_command_count_write(const struct connection_run *run, struct reply_writer *writer) {
    reply_integer(writer, document_count(run));
}

/* Subcommands of a container stand next to each other: their number, and the first one's row. */
static uint32_t subcommand_count(uint16_t container, uint16_t *first) {
    uint32_t count = 0;
    for (uint16_t row = CONNECTION_ROW_COUNT; row > CONNECTION_COMMAND_COUNT; row--) {
        if (connection_commands[row - 1].container == container) {
            *first = (uint16_t)(row - 1);
            count++;
        }
    }
    return count;
}

/* ---- COMMAND INFO -------------------------------------------------------------------------- */

static void info_flags_write(const struct document *document, struct reply_writer *writer) {
    const struct {
        bool set;
        const char *name;
    } flags[] = {
        {(document->machine_flags & MACHINE_WRITE) != 0 ||
             (document->connection_flags & CONNECTION_LOGGED) != 0,
         "write"},
        {(document->machine_flags & MACHINE_READ) != 0, "readonly"},
        {(document->machine_flags & MACHINE_GROWS) != 0, "denyoom"},
        {(document->connection_flags & CONNECTION_ADMIN) != 0, "admin"},
        {(document->machine_flags & MACHINE_FAST) != 0 ||
             (document->connection_flags & CONNECTION_FAST) != 0,
         "fast"},
        {(document->connection_flags & CONNECTION_UNAUTHENTICATED) != 0, "no_auth"},
        {(document->machine_flags & MACHINE_ODD_KEYS) != 0 ||
             (document->connection_flags & CONNECTION_KEYS_INSIDE) != 0,
         "movablekeys"},
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        count += flags[i].set ? 1 : 0;
    }
    reply_set(writer, count);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (flags[i].set) {
            text_status(writer, flags[i].name);
        }
    }
}

/* The beginning of a key specification: its flags. */
static void info_keys_begin(const struct document *document, struct reply_writer *writer) {
    reply_map(writer, 3);
    text_bulk(writer, "flags");
    reply_set(writer, 1);
    text_status(writer, (document->machine_flags & MACHINE_WRITE) != 0 ? "RW" : "RO");
    text_bulk(writer, "begin_search");
}

/* The specification of keys that only COMMAND GETKEYS finds. */
static void info_odd_keys_write(const struct document *document, struct reply_writer *writer) {
    info_keys_begin(document, writer);
    for (int part = 0; part < 2; part++) {
        if (part == 1) {
            text_bulk(writer, "find_keys");
        }
        reply_map(writer, 2);
        text_bulk(writer, "type");
        text_bulk(writer, "unknown");
        text_bulk(writer, "spec");
        reply_map(writer, 0);
    }
}

/* The key specifications: what first, last and step say, and the odd keys. */
static void info_keys_write(const struct document *document, struct reply_writer *writer) {
    const bool is_odd = (document->machine_flags & MACHINE_ODD_KEYS) != 0;
    reply_set(writer, (document->first_key == 0 ? 0u : 1u) + (is_odd ? 1u : 0u));
    if (is_odd) {
        info_odd_keys_write(document, writer);
    }
    if (document->first_key == 0) {
        return;
    }
    info_keys_begin(document, writer);
    reply_map(writer, 2);
    text_bulk(writer, "type");
    text_bulk(writer, "index");
    text_bulk(writer, "spec");
    reply_map(writer, 1);
    text_bulk(writer, "index");
    reply_integer(writer, document->first_key);
    text_bulk(writer, "find_keys");
    reply_map(writer, 2);
    text_bulk(writer, "type");
    text_bulk(writer, "range");
    text_bulk(writer, "spec");
    reply_map(writer, 3);
    text_bulk(writer, "lastkey"); /* counted from the first key, or from the end */
    reply_integer(writer, document->last_key < 0 ? document->last_key
                                                 : document->last_key - document->first_key);
    text_bulk(writer, "keystep");
    reply_integer(writer, document->key_step);
    text_bulk(writer, "limit");
    reply_integer(writer, 0);
}

/* One command; of a container also its subcommands, which contain nothing. */
static void info_write(const struct connection_run *run, const struct document *document,
                       struct reply_writer *writer) {
    reply_array(writer, 10);
    text_bulk(writer, document->name);
    reply_integer(writer, document->arity);
    info_flags_write(document, writer);
    reply_integer(writer, document->first_key);
    reply_integer(writer, document->last_key);
    reply_integer(writer, document->key_step);
    reply_set(writer, 0); /* ACL categories: there are none */
    reply_set(writer, 0); /* tips */
    info_keys_write(document, writer);
    if (document->container == CONNECTION_ROW_COUNT) {
        reply_array(writer, 0);
        return;
    }
    uint16_t first = 0;
    uint32_t count = subcommand_count(document->container, &first);
    reply_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        struct document subcommand = document_of(run, TABLE_CONNECTION, (uint16_t)(first + i));
        ASSERT(subcommand.container == CONNECTION_ROW_COUNT);
        info_write(run, &subcommand, writer);
    }
}

/* COMMAND, and COMMAND INFO with names or, as COMMAND, without. */
void connection_command_info_write(const struct connection_run *run, struct reply_writer *writer) {
    uint32_t count = run->command->argument_count;
    if (count <= 2) {
        reply_array(writer, document_count(run));
        for (uint32_t number = 0; number < document_count(run); number++) {
            struct document document = document_at(run, number);
            info_write(run, &document, writer);
        }
        return;
    }
    reply_array(writer, count - 2);
    for (uint32_t i = 2; i < count; i++) {
        struct document document;
        if (document_find(run, i, &document)) {
            info_write(run, &document, writer);
        } else {
            reply_null_array(writer);
        }
    }
}

/* ---- COMMAND DOCS -------------------------------------------------------------------------- */

/* One piece of an arguments text: "key", "[NX | XX]", "[key ...]", "...". */
struct argument_piece {
    const char *text; /* without brackets and dots */
    size_t length;
    bool optional;
    bool multiple;
};

/* Cuts the next piece off *at; false at the end. */
static bool argument_piece_next(const char **at, struct argument_piece *piece) {
    const char *start = *at + strspn(*at, " ");
    if (*start == '\0') {
        return false;
    }
    const char *end = start;
    for (int depth = 0; *end != '\0' && (depth > 0 || *end != ' '); end++) {
        depth += *end == '[' ? 1 : *end == ']' ? -1 : 0;
    }
    *piece = (struct argument_piece){.text = start, .length = (size_t)(end - start)};
    if (piece->length >= 2 && start[0] == '[' && end[-1] == ']') {
        piece->optional = true;
        piece->text++;
        piece->length -= 2;
    }
    if (piece->length > 4 && memcmp(piece->text + piece->length - 4, " ...", 4) == 0) {
        piece->multiple = true;
        piece->length -= 4;
    }
    if (strncmp(end, " ...", 4) == 0) {
        piece->multiple = true;
        end += 4;
    }
    *at = end;
    return true;
}

static void docs_argument_write(const struct argument_piece *piece, struct reply_writer *writer) {
    bool is_key = piece->length == 3 && memcmp(piece->text, "key", 3) == 0;
    size_t flags = (piece->optional ? 1u : 0u) + (piece->multiple ? 1u : 0u);
    reply_map(writer, flags > 0 ? 3 : 2);
    text_bulk(writer, "name");
    reply_bulk(writer, piece->text, piece->length);
    text_bulk(writer, "type");
    text_bulk(writer, is_key ? "key" : "string");
    if (flags > 0) {
        text_bulk(writer, "flags");
        reply_set(writer, flags);
        if (piece->optional) {
            text_status(writer, "optional");
        }
        if (piece->multiple) {
            text_status(writer, "multiple");
        }
    }
}

/* "name" and its map; of a container also its subcommands. */
static void docs_write(const struct connection_run *run, const struct document *document,
                       struct reply_writer *writer) {
    size_t arguments = 0;
    struct argument_piece piece;
    for (const char *at = document->arguments; argument_piece_next(&at, &piece);) {
        arguments++;
    }
    bool contains = document->container != CONNECTION_ROW_COUNT;
    text_bulk(writer, document->name);
    reply_map(writer, 3 + (contains || arguments > 0 ? 1u : 0u));
    text_bulk(writer, "summary");
    text_bulk(writer, document->summary);
    text_bulk(writer, "since");
    text_bulk(writer, document->since);
    text_bulk(writer, "group");
    text_bulk(writer, document->group);
    if (contains) {
        uint16_t first = 0;
        uint32_t count = subcommand_count(document->container, &first);
        text_bulk(writer, "subcommands");
        reply_map(writer, count);
        for (uint32_t i = 0; i < count; i++) {
            struct document subcommand = document_of(run, TABLE_CONNECTION, (uint16_t)(first + i));
            ASSERT(subcommand.container == CONNECTION_ROW_COUNT);
            docs_write(run, &subcommand, writer);
        }
    } else if (arguments > 0) {
        text_bulk(writer, "arguments");
        reply_array(writer, arguments);
        for (const char *at = document->arguments; argument_piece_next(&at, &piece);) {
            docs_argument_write(&piece, writer);
        }
    }
}

void connection_command_docs_write(const struct connection_run *run, struct reply_writer *writer) {
    uint32_t count = run->command->argument_count;
    if (count == 2) {
        reply_map(writer, document_count(run));
        for (uint32_t number = 0; number < document_count(run); number++) {
            struct document document = document_at(run, number);
            docs_write(run, &document, writer);
        }
        return;
    }
    /* Unknown names are left out, so they are counted first. */
    size_t found = 0;
    struct document document;
    for (uint32_t i = 2; i < count; i++) {
        found += document_find(run, i, &document) ? 1 : 0;
    }
    reply_map(writer, found);
    for (uint32_t i = 2; i < count; i++) {
        if (document_find(run, i, &document)) {
            docs_write(run, &document, writer);
        }
    }
}

/* ---- COMMAND LIST and HELP ----------------------------------------------------------------- */

enum connection_step connection_command_list(struct connection_run *run) {
    uint32_t count = run->command->argument_count;
    bool filters =
        count == 5 && connection_argument_is(run, 2, "filterby") &&
        (connection_argument_is(run, 3, "pattern") || connection_argument_is(run, 3, "module"));
    return count == 2 || filters ? CONNECTION_WRITES
                                 : connection_canned(run, CONNECTION_REPLY_SYNTAX);
}

/* Whether COMMAND LIST shows the name: always, if it matches, or never (no module is loaded). */
static bool list_wanted(const struct connection_run *run, const char *name) {
    if (run->command->argument_count == 2) {
        return true;
    }
    uint32_t length = 0;
    const uint8_t *pattern = batch_argument(run->batch, run->command, 4, &length);
    return connection_argument_is(run, 3, "pattern") && connection_glob(pattern, length, name);
}

/* Lists the name of one command if it is wanted, and of its subcommands those that are. */
static size_t list_names_write(const struct connection_run *run, const struct document *document,
                               struct reply_writer *writer) {
    size_t listed = 0;
    if (list_wanted(run, document->name)) {
        text_bulk(writer, document->name);
        listed++;
    }
    if (document->container != CONNECTION_ROW_COUNT) {
        uint16_t first = 0;
        uint32_t count = subcommand_count(document->container, &first);
        for (uint32_t i = 0; i < count; i++) {
            struct document subcommand = document_of(run, TABLE_CONNECTION, (uint16_t)(first + i));
            ASSERT(subcommand.container == CONNECTION_ROW_COUNT);
            listed += list_names_write(run, &subcommand, writer);
        }
    }
    return listed;
}

void connection_command_list_write(const struct connection_run *run, struct reply_writer *writer) {
    struct reply_mark mark = reply_array_begin(writer);
    size_t listed = 0;
    for (uint32_t number = 0; number < document_count(run); number++) {
        struct document document = document_at(run, number);
        listed += list_names_write(run, &document, writer);
    }
    reply_array_end(writer, mark, listed);
}

void connection_command_help_write(const struct connection_run *run, struct reply_writer *writer) {
    (void)run;
    static const char *const lines[] = {
        "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "(no subcommand)",
        "    Return details about all commands.",
        "COUNT",
        "    Return the total number of commands in this server.",
        "LIST [FILTERBY (PATTERN|MODULE) <value>]",
        "    Return a list of all commands in this server.",
        "INFO [<command-name> ...]",
        "    Return details about multiple commands.",
        "GETKEYS <full-command>",
        "    Return the keys from a full Redis command.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple commands.",
        "HELP",
        "    Prints this help.",
    };
    connection_help_write(writer, lines, sizeof(lines) / sizeof(lines[0]));
}
