/* A connection as the read and parse stages see it: bytes arrive in pieces, the unfinished command
 * is kept, the table grows when the parser asks for it. */
#include "tests/wire/resp_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct feed {
    const struct resp_limits *limits;
    struct resp_parser parser;
    FILE *transcript;
    uint8_t *region; /* from the first byte of the current command */
    struct resp_argument *arguments;
    size_t length; /* bytes in the region */
    size_t needed; /* the largest needed_bytes announced for this command */
    uint32_t capacity;
    bool move;
    bool authenticated;
};

static void put_argument(FILE *to, const uint8_t *bytes, size_t length) {
    fprintf(to, " %zu\"", length);
    for (size_t i = 0; i < length; i++)
        fprintf(to, bytes[i] < ' ' || bytes[i] > '~' ? "\\x%02x" : "%c", (unsigned)bytes[i]);
    fputc('"', to);
}

/* Another region of exactly `length` bytes with the same content. malloc(0) may be NULL, so one
 * byte more than needed never is, and the sanitizer sees every byte too far. */
static void feed_move(struct feed *feed, size_t drop) {
    uint8_t *moved = malloc(feed->length - drop > 0 ? feed->length - drop : 1);
    ASSERT(moved != NULL);
    memcpy(moved, feed->region + drop, feed->length - drop);
    free(feed->region);
    feed->region = moved;
    feed->length -= drop;
}

static void feed_drop(struct feed *feed, uint32_t bytes) {
    ASSERT(bytes >= 1 && bytes <= feed->length);
    ASSERT(bytes >= feed->needed || feed->needed == 0);
    ASSERT(resp_parser_idle(&feed->parser));
    feed->needed = 0;
    if (feed->move) {
        feed_move(feed, bytes);
    } else {
        feed->length -= bytes;
        memmove(feed->region, feed->region + bytes, feed->length);
    }
}

static void feed_grow_table(struct feed *feed, const struct resp_command *command) {
    ASSERT(command->argument_count == feed->capacity);
    struct resp_argument *larger = malloc(2 * feed->capacity * sizeof(*larger));
    ASSERT(larger != NULL);
    memcpy(larger, feed->arguments, feed->capacity * sizeof(*larger));
    free(feed->arguments);
    feed->arguments = larger;
    feed->capacity *= 2;
}

static void feed_command(struct feed *feed, const struct resp_command *command) {
    fprintf(feed->transcript, "command %u:", command->argument_count);
    ASSERT(command->argument_count >= 1 && command->argument_count <= feed->capacity);
    for (uint32_t i = 0; i < command->argument_count; i++) {
        const struct resp_argument *argument = &feed->arguments[i];
        ASSERT((uint64_t)argument->offset + argument->length <= command->consumed_bytes);
        put_argument(feed->transcript, feed->region + argument->offset, argument->length);
    }
    fputc('\n', feed->transcript);
}

/* Run the parser over what is there; false when the connection is to be closed. */
static bool feed_run(struct feed *feed) {
    for (;;) {
        struct resp_command command;
        const enum resp_result result =
            resp_parse(&feed->parser, feed->limits, feed->authenticated, feed->region,
                       (uint32_t)feed->length, feed->arguments, feed->capacity, &command);
        switch (result) {
        case RESP_COMMAND:
            feed_command(feed, &command);
            feed_drop(feed, command.consumed_bytes);
            break;
        case RESP_EMPTY:
            fputs("empty\n", feed->transcript);
            feed_drop(feed, command.consumed_bytes);
            break;
        case RESP_MORE:
            ASSERT(command.needed_bytes > feed->length);
            ASSERT(command.needed_bytes <= feed->limits->command_length_max ||
                   command.needed_bytes <= feed->length + 1);
            ASSERT(resp_parser_idle(&feed->parser) == (feed->length == 0));
            if (command.needed_bytes > feed->needed)
                feed->needed = command.needed_bytes;
            return true;
        case RESP_ARGUMENTS_FULL: feed_grow_table(feed, &command); break;
        case RESP_ERROR: {
            char text[RESP_ERROR_TEXT_BYTES_MAX];
            const size_t length = resp_error_text(&command, text);
            ASSERT(length == strlen(text));
            fprintf(feed->transcript, "error %s\n", text);
            return false;
        }
        case RESP_CROSS_PROTOCOL: fputs("cross-protocol\n", feed->transcript); return false;
        }
    }
}

/* Whether the connection still stands after these bytes. A closed one stays closed: asked again. */
static bool feed_bytes(struct feed *feed, const uint8_t *bytes, size_t length) {
    if (feed->move) {
        uint8_t *grown = malloc(feed->length + length > 0 ? feed->length + length : 1);
        ASSERT(grown != NULL);
        memcpy(grown, feed->region, feed->length);
        free(feed->region);
        feed->region = grown;
    }
    if (length > 0)
        memcpy(feed->region + feed->length, bytes, length);
    feed->length += length;
    return feed_run(feed);
}

char *resp_feed(const uint8_t *stream, size_t length, const size_t *cuts, size_t cut_count,
                bool move, const struct resp_limits *limits, bool authenticated) {
    char *text = NULL;
    size_t text_length = 0;
    struct feed feed = {
        .limits = limits, .capacity = 1, .move = move, .authenticated = authenticated};
    feed.transcript = open_memstream(&text, &text_length);
    feed.region = malloc(move || length == 0 ? 1 : length);
    feed.arguments = malloc(sizeof(*feed.arguments));
    ASSERT(feed.transcript != NULL && feed.region != NULL && feed.arguments != NULL);
    resp_parser_reset(&feed.parser);

    size_t at = 0;
    bool open = true;
    for (size_t i = 0; i <= cut_count && open; i++) {
        const size_t to = i < cut_count ? cuts[i] : length;
        ASSERT(to >= at && to <= length);
        open = feed_bytes(&feed, stream + at, to - at);
        at = to;
    }
    if (open && feed.length > 0)
        fputs("more\n", feed.transcript);
    if (!open) { /* whatever comes, the answer stays */
        struct resp_command command;
        const enum resp_result again =
            resp_parse(&feed.parser, limits, authenticated, feed.region, (uint32_t)feed.length,
                       feed.arguments, feed.capacity, &command);
        ASSERT(again == RESP_ERROR || again == RESP_CROSS_PROTOCOL);
    }
    fclose(feed.transcript);
    free(feed.arguments);
    free(feed.region);
    return text;
}
