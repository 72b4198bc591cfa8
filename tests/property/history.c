/* Lanes that grow, and operations in words. */

#include "tests/property/history.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"

enum { PRINTED_WORD_BYTES_MAX = 60, PRINTED_WORDS_MAX = 12, PRINTED_ANSWER_BYTES_MAX = 300 };

/* The words and their bytes in one block. */
static struct kv_model_word *words_copy(const struct kv_model_word *words, size_t count) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += words[i].length;
    struct kv_model_word *copy = malloc(count * sizeof(*copy) + bytes + 1);
    ASSERT(copy != NULL);
    char *data = (char *)(copy + count);
    for (size_t i = 0; i < count; i++) {
        if (words[i].length > 0)
            memcpy(data, words[i].data, words[i].length);
        copy[i] = (struct kv_model_word){data, words[i].length};
        data += words[i].length;
    }
    return copy;
}

void history_init(struct history *history, uint32_t lane_count) {
    history->lanes = calloc(lane_count, sizeof(*history->lanes));
    ASSERT(history->lanes != NULL);
    history->lane_count = lane_count;
}

void history_free(struct history *history) {
    for (uint32_t i = 0; i < history->lane_count; i++) {
        struct history_lane *lane = &history->lanes[i];
        for (size_t j = 0; j < lane->count; j++) {
            free(lane->operations[j].words);
            kv_model_text_free(&lane->operations[j].expected);
            kv_model_text_free(&lane->operations[j].answer);
        }
        free(lane->operations);
    }
    free(history->lanes);
    *history = (struct history){0};
}

struct operation *history_add(struct history *history, uint32_t lane_index,
                              const struct kv_model_word *words, size_t word_count) {
    ASSERT(lane_index < history->lane_count && word_count > 0);
    struct history_lane *lane = &history->lanes[lane_index];
    if (lane->count == lane->capacity) {
        lane->capacity = lane->capacity * 2 + 64;
        lane->operations = realloc(lane->operations, lane->capacity * sizeof(*lane->operations));
        ASSERT(lane->operations != NULL);
    }
    struct operation *operation = &lane->operations[lane->count++];
    *operation = (struct operation){.words = words_copy(words, word_count),
                                    .word_count = word_count,
                                    .resp_version = 2,
                                    .responded_ns = UINT64_MAX};
    return operation;
}

size_t history_size(const struct history *history) {
    size_t size = 0;
    for (uint32_t i = 0; i < history->lane_count; i++)
        size += history->lanes[i].count;
    return size;
}

void logged_add(struct logged *logged, uint64_t entry_index, uint64_t log_time_ms, uint16_t id,
                const struct kv_model_word *arguments, size_t argument_count) {
    if (logged->count == logged->capacity) {
        logged->capacity = logged->capacity * 2 + 64;
        logged->commands = realloc(logged->commands, logged->capacity * sizeof(*logged->commands));
        ASSERT(logged->commands != NULL);
    }
    logged->commands[logged->count++] =
        (struct logged_command){.entry_index = entry_index,
                                .log_time_ms = log_time_ms,
                                .id = id,
                                .argument_count = argument_count,
                                .arguments = words_copy(arguments, argument_count)};
}

void logged_free(struct logged *logged) {
    for (size_t i = 0; i < logged->count; i++)
        free(logged->commands[i].arguments);
    free(logged->commands);
    *logged = (struct logged){0};
}

bool word_is(const struct kv_model_word *word, const char *text) {
    return word->length == strlen(text) && strncasecmp(word->data, text, word->length) == 0;
}

void text_print(struct kv_model_text *out, const char *format, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    ASSERT(length >= 0 && (size_t)length < sizeof(line));
    kv_model_text_append(out, line, (size_t)length);
}

void bytes_print(struct kv_model_text *out, const char *bytes, size_t length, size_t length_max) {
    for (size_t i = 0; i < length && i < length_max; i++) {
        const unsigned char byte = (unsigned char)bytes[i];
        if (byte >= ' ' && byte <= '~')
            text_print(out, "%c", byte);
        else if (byte == '\n')
            text_print(out, " ");
        else
            text_print(out, "\\x%02x", byte);
    }
    if (length > length_max)
        text_print(out, "... (%zu bytes)", length);
}

void words_print(struct kv_model_text *out, const struct kv_model_word *words, size_t count) {
    for (size_t i = 0; i < count && i < PRINTED_WORDS_MAX; i++) {
        text_print(out, i > 0 ? " " : "");
        bytes_print(out, words[i].data, words[i].length, PRINTED_WORD_BYTES_MAX);
    }
    if (count > PRINTED_WORDS_MAX)
        text_print(out, " ... (%zu words)", count);
}

void operation_print(struct kv_model_text *out, uint32_t lane, size_t index,
                     const struct operation *operation) {
    text_print(out, "connection %u, operation %zu: ", lane, index);
    words_print(out, operation->words, operation->word_count);
    text_print(out, " -> ");
    if (operation->answered)
        bytes_print(out, operation->answer.data, operation->answer.length,
                    PRINTED_ANSWER_BYTES_MAX);
    else
        text_print(out, "(never answered)");
}
