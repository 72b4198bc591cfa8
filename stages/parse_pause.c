/*
 * Which commands wait until a pause of clients is over.
 *
 * Happy path: there is no pause, which one glance tells.
 *
 * A multibulk is judged when it is whole, and parsed once more when the pause is over.  An inline
 * command is judged by its first words before it is parsed, since parsing it takes the quotes out
 * of it where it stands; one whose name is quoted waits, whatever it is.
 *
 * As in Redis, what will be refused for its form, or since its connection has not authenticated,
 * is refused at once.
 */

#include <string.h>
#include <strings.h>

#include "stages/connection_commands.h"
#include "stages/parse_internal.h"

/* A word of a command, as it stands. */
struct word {
    const uint8_t *bytes;
    uint32_t length;
};

/* Whether a command of ours waits in a pause of everything.  INFO and CLIENT UNPAUSE do not, so
 * that a pause can be looked at and taken back. */
static bool ours_waits(uint16_t row, struct word argument, bool authenticated) {
    static const char unpause[] = "unpause";
    bool is_heard =
        authenticated || (connection_commands[row].flags & CONNECTION_UNAUTHENTICATED) != 0;
    bool is_unpause = row == CONNECTION_CLIENT && argument.length == sizeof(unpause) - 1 &&
                      strncasecmp((const char *)argument.bytes, unpause, argument.length) == 0;
    return is_heard && !is_unpause && row != CONNECTION_INFO && row != CONNECTION_QUIT;
}

/* Whether the command waits; `argument_count` 0: not known. */
static bool waits(const struct parse_shard *shard, enum node_pause pause, struct word name,
                  struct word argument, uint32_t argument_count, bool authenticated) {
    uint8_t table;
    uint16_t row;
    directory_find(shard->directory, name.bytes, name.length, &table, &row);
    if (table == TABLE_NONE) {
        return false;
    }
    int16_t arity = directory_arity(shard->directory, table, row);
    if (argument_count != 0 && !directory_arity_suits(arity, argument_count)) {
        return false;
    }
    if (table == TABLE_MACHINE) {
        bool writes = (shard->node->options->machine->commands[row].flags & MACHINE_WRITE) != 0;
        return authenticated && (writes || pause == NODE_PAUSE_ALL);
    }
    if (pause == NODE_PAUSE_ALL) {
        return ours_waits(row, argument, authenticated);
    }
    /* Whether an EXEC writes is not known here: so it waits. */
    return authenticated &&
           (row == CONNECTION_EXEC || (connection_commands[row].flags & CONNECTION_LOGGED) != 0);
}

bool parse_pause_multibulk(const struct parse_shard *shard, const uint8_t *base,
                           const struct resp_argument *arguments, const struct resp_command *parsed,
                           bool authenticated) {
    enum node_pause pause = node_pause(shard->node, shard->now_ns);
    if (pause == NODE_PAUSE_NONE || parsed->is_inline) {
        return false;
    }
    struct word name = {base + arguments[0].offset, arguments[0].length};
    struct word argument = {0};
    if (parsed->argument_count > 1) {
        argument = (struct word){base + arguments[1].offset, arguments[1].length};
    }
    return waits(shard, pause, name, argument, parsed->argument_count, authenticated);
}

static bool is_blank(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* The next word of a line, which ends before `end`; false if there is none, or it may go on. */
static bool word_next(const uint8_t **at, const uint8_t *end, struct word *word) {
    while (*at < end && (**at == ' ' || **at == '\t')) {
        (*at)++;
    }
    word->bytes = *at;
    while (*at < end && !is_blank(**at)) {
        (*at)++;
    }
    word->length = (uint32_t)(*at - word->bytes);
    return word->length > 0 && *at < end;
}

bool parse_pause_inline(const struct parse_shard *shard, const struct parse_region *region,
                        bool authenticated) {
    enum node_pause pause = node_pause(shard->node, shard->now_ns);
    if (pause == NODE_PAUSE_NONE || region->length_bytes == 0 || region->bytes[0] == '*') {
        return false;
    }
    const uint8_t *at = region->bytes;
    const uint8_t *end = at + region->length_bytes;
    struct word name;
    struct word argument = {0};
    if (!word_next(&at, end, &name)) {
        return false;
    }
    if (memchr(name.bytes, '"', name.length) != NULL ||
        memchr(name.bytes, '\'', name.length) != NULL) {
        return true;
    }
    (void)word_next(&at, end, &argument);
    return waits(shard, pause, name, argument, 0, authenticated);
}
