/*
 * A history as text, and back. Happy path of the way back: each line is taken apart from its
 * beginning, word by word; the first thing that does not fit is named with its line.
 */

#include "sim/history.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"

enum { PRINTED_BYTES_MAX = 512 };

/* In the order of enum history_outcome. */
static const char *const outcome_names[] = {"pending", "ok", "refused", "unknown"};

/* ---- There ----------------------------------------------------------------------------------- */

void history_print(struct kv_model_text *out, const char *format, ...) {
    char text[PRINTED_BYTES_MAX + 1];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    ASSERT(length >= 0);
    kv_model_text_append(out, text,
                         (size_t)length < PRINTED_BYTES_MAX ? (size_t)length : PRINTED_BYTES_MAX);
}

void history_print_bytes(struct kv_model_text *out, const char *bytes, size_t length,
                         bool is_word) {
    if (is_word && length == 0)
        kv_model_text_append(out, "\"\"", 2);
    for (size_t i = 0; i < length; i++) {
        const unsigned char byte = (unsigned char)bytes[i];
        const bool plain = byte > ' ' && byte <= '~' && byte != '\\';
        if (byte == '\r')
            kv_model_text_append(out, "\\r", 2);
        else if (byte == '\n')
            kv_model_text_append(out, "\\n", 2);
        else if (byte == '\\')
            kv_model_text_append(out, "\\\\", 2);
        else if (is_word ? plain && byte != '"' && byte != '>' : plain || byte == ' ')
            kv_model_text_append(out, &bytes[i], 1);
        else
            history_print(out, "\\x%02x", byte);
    }
}

void history_print_operation(struct kv_model_text *out, const struct history *history,
                             uint32_t number) {
    struct kv_model_word words[HISTORY_WORDS_MAX];
    const uint32_t count = history_words(history, number, words);
    const struct history_operation *operation = &history->operations[number];
    ASSERT(operation->outcome < ARRAY_COUNT(outcome_names));
    history_print(out, "client %" PRIu32 " connection %" PRIu32 " #%" PRIu32 " [%" PRIu64 ", ",
                  operation->client, operation->connection, operation->sequence,
                  operation->invoked_ns);
    if (operation->returned_ns == HISTORY_NEVER)
        history_print(out, "never] ");
    else
        history_print(out, "%" PRIu64 "] ", operation->returned_ns);
    history_print(out, "%s%s:", outcome_names[operation->outcome],
                  operation->stale ? " stale" : "");
    for (uint32_t i = 0; i < count; i++) {
        history_print(out, " ");
        history_print_bytes(out, words[i].data, words[i].length, true);
    }
    const struct kv_model_word reply = history_reply(history, number);
    if (reply.length > 0) {
        history_print(out, " -> ");
        history_print_bytes(out, reply.data, reply.length, false);
    }
}

void history_dump(struct kv_model_text *out, const struct history *history) {
    ASSERT(history->operation_count <= history->operations_max);
    for (uint32_t i = 0; i < history->operation_count; i++) {
        history_print_operation(out, history, i);
        history_print(out, "\n");
    }
}

/* ---- And back -------------------------------------------------------------------------------- */

/* A line that is being taken apart. */
struct line {
    const char *at;
    const char *end;
};

/* Takes `text` away from the line's beginning, if it is there. */
static bool line_take(struct line *line, const char *text) {
    const size_t length = strlen(text);
    if ((size_t)(line->end - line->at) < length || memcmp(line->at, text, length) != 0)
        return false;
    line->at += length;
    return true;
}

/* Takes a number. */
static bool line_number(struct line *line, uint64_t max, uint64_t *value) {
    const char *begin = line->at;
    while (line->at < line->end && *line->at >= '0' && *line->at <= '9')
        line->at++;
    return decimal_parse_u64(begin, (size_t)(line->at - begin), value) == 0 && *value <= max;
}

static int hexadecimal(char digit) {
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Takes bytes up to a space (of a word) or to the end (of a reply), and adds them to `out`. */
static bool line_bytes(struct line *line, bool is_word, struct kv_model_text *out) {
    if (is_word && line_take(line, "\"\""))
        return line->at == line->end || *line->at == ' ';
    const char *begin = line->at;
    while (line->at < line->end && !(is_word && *line->at == ' ')) {
        char byte = *line->at++;
        if (byte == '\\') {
            if (line->at == line->end)
                return false;
            const char kind = *line->at++;
            if (kind == 'x') {
                if (line->end - line->at < 2)
                    return false;
                const int high = hexadecimal(line->at[0]);
                const int low = hexadecimal(line->at[1]);
                if (high < 0 || low < 0)
                    return false;
                byte = (char)(high * 16 + low);
                line->at += 2;
            } else if (kind == 'r' || kind == 'n' || kind == '\\') {
                byte = kind;
                if (kind != '\\')
                    byte = kind == 'r' ? '\r' : '\n';
            } else {
                return false;
            }
        }
        kv_model_text_append(out, &byte, 1);
    }
    return line->at > begin;
}

/* What a line says. */
struct line_operation {
    struct history_call call;
    uint64_t returned_ns;
    size_t outcome;
    struct kv_model_word words[HISTORY_WORDS_MAX];
};

static bool line_head(struct line *line, struct line_operation *operation) {
    uint64_t client;
    uint64_t connection;
    uint64_t sequence;
    if (!line_take(line, "client ") || !line_number(line, UINT32_MAX, &client) ||
        !line_take(line, " connection ") || !line_number(line, UINT32_MAX, &connection) ||
        !line_take(line, " #") || !line_number(line, UINT32_MAX, &sequence) ||
        !line_take(line, " [") ||
        !line_number(line, HISTORY_NEVER - 1, &operation->call.invoked_ns) ||
        !line_take(line, ", "))
        return false;
    operation->call.client = (uint32_t)client;
    operation->call.connection = (uint32_t)connection;
    operation->call.sequence = (uint32_t)sequence;
    operation->returned_ns = HISTORY_NEVER;
    if (!line_take(line, "never") && !line_number(line, HISTORY_NEVER - 1, &operation->returned_ns))
        return false;
    if (operation->returned_ns < operation->call.invoked_ns || !line_take(line, "] "))
        return false;
    size_t outcome = 0;
    while (outcome < ARRAY_COUNT(outcome_names) && !line_take(line, outcome_names[outcome]))
        outcome++;
    operation->outcome = outcome;
    operation->call.stale = line_take(line, " stale");
    return outcome < ARRAY_COUNT(outcome_names) && line_take(line, ":");
}

/* Takes the words into `bytes`, and how long they are into the words; then the reply. */
static bool line_tail(struct line *line, struct line_operation *operation,
                      struct kv_model_text *bytes, struct kv_model_text *reply) {
    uint32_t count = 0;
    while (line->at < line->end && !line_take(line, " -> ")) {
        const size_t before = bytes->length;
        if (count == HISTORY_WORDS_MAX || !line_take(line, " ") || !line_bytes(line, true, bytes))
            return false;
        operation->words[count++].length = bytes->length - before;
    }
    if (line->at < line->end && !line_bytes(line, false, reply))
        return false;
    operation->call.words = operation->words;
    operation->call.word_count = count;
    const char *data = bytes->data;
    for (uint32_t i = 0; i < count; i++) {
        operation->words[i].data = data;
        if (operation->words[i].length > 0)
            data += operation->words[i].length;
    }
    const bool is_ok = operation->outcome == HISTORY_OK;
    return count > 0 && (!is_ok || (reply->length > 0 && operation->returned_ns != HISTORY_NEVER));
}

static int line_load(struct history *history, struct line line, struct kv_model_text *bytes,
                     struct kv_model_text *reply) {
    struct line_operation operation = {0};
    bytes->length = 0;
    reply->length = 0;
    if (!line_head(&line, &operation) || !line_tail(&line, &operation, bytes, reply))
        return WEIR_EINVAL;
    uint32_t number;
    const struct history before = *history;
    int error = history_invoke(history, &operation.call, &number);
    if (error == 0 && operation.outcome != HISTORY_PENDING)
        error = history_return(history, number, operation.returned_ns,
                               (enum history_outcome)operation.outcome, reply->data, reply->length);
    if (error != 0)
        *history = before;
    return error;
}

int history_load(struct history *history, const char *text, size_t length,
                 struct error_text *error_text) {
    struct kv_model_text bytes = {0};
    struct kv_model_text reply = {0};
    const char *end = text + length;
    int error = 0;
    for (uint64_t number = 1; error == 0 && text < end; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const struct line line = {text, newline == NULL ? end : newline};
        text = newline == NULL ? end : newline + 1;
        if (line.at == line.end || *line.at == '#')
            continue;
        error = line_load(history, line, &bytes, &reply);
        if (error == WEIR_EFULL)
            error_text_set(error_text, "line %" PRIu64 ": the history is full", number);
        else if (error != 0)
            error_text_set(error_text, "line %" PRIu64 " is no operation: %.*s", number,
                           (int)(line.end - line.at > 200 ? 200 : line.end - line.at), line.at);
    }
    kv_model_text_free(&bytes);
    kv_model_text_free(&reply);
    ASSERT(history->bytes_used <= history->bytes_max);
    return error;
}
