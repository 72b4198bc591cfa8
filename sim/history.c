/*
 * Happy path: history_create; history_invoke and history_return for each operation; the checkers
 * read. What can fail is room, and then the record is as it was.
 */

#include "sim/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/bytes.h"

/* Words and replies lie in the arena one behind the other. */
enum { WORD_LENGTH_BYTES = 4 };

int history_create(struct history *history, uint32_t operations_max, uint64_t bytes_max) {
    if (operations_max == 0 || operations_max > HISTORY_OPERATIONS_MAX || bytes_max == 0 ||
        bytes_max > HISTORY_BYTES_MAX)
        return WEIR_EINVAL;
    struct history_operation *operations = malloc(operations_max * sizeof(*operations));
    uint8_t *bytes = malloc(bytes_max);
    if (operations == NULL || bytes == NULL) {
        free(operations);
        free(bytes);
        return WEIR_ENOMEM;
    }
    *history = (struct history){.operations = operations,
                                .bytes = bytes,
                                .operations_max = operations_max,
                                .bytes_max = bytes_max};
    return 0;
}

void history_destroy(struct history *history) {
    ASSERT(history->operation_count <= history->operations_max);
    ASSERT(history->bytes_used <= history->bytes_max);
    free(history->operations);
    free(history->bytes);
    *history = (struct history){0};
}

/* How many bytes the words take in the arena. */
static uint64_t words_bytes(const struct kv_model_word *words, uint32_t count) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        bytes += WORD_LENGTH_BYTES + (uint64_t)words[i].length;
    return bytes;
}

int history_invoke(struct history *history, const struct history_call *call, uint32_t *number) {
    if (call->word_count == 0 || call->word_count > HISTORY_WORDS_MAX ||
        call->invoked_ns == HISTORY_NEVER)
        return WEIR_EINVAL;
    const uint64_t bytes = words_bytes(call->words, call->word_count);
    if (history->operation_count == history->operations_max ||
        bytes > history->bytes_max - history->bytes_used)
        return WEIR_EFULL;
    uint8_t *out = history->bytes + history->bytes_used;
    for (uint32_t i = 0; i < call->word_count; i++) {
        const struct kv_model_word *word = &call->words[i];
        bytes_put_u32(out, (uint32_t)word->length);
        if (word->length > 0)
            memcpy(out + WORD_LENGTH_BYTES, word->data, word->length);
        out += WORD_LENGTH_BYTES + word->length;
    }
    *number = history->operation_count++;
    history->operations[*number] = (struct history_operation){
        .invoked_ns = call->invoked_ns,
        .returned_ns = HISTORY_NEVER,
        .client = call->client,
        .connection = call->connection,
        .sequence = call->sequence,
        .command_offset = (uint32_t)history->bytes_used,
        .command_bytes = (uint32_t)bytes,
        .word_count = (uint16_t)call->word_count,
        .outcome = HISTORY_PENDING,
        .stale = call->stale,
    };
    history->bytes_used += bytes;
    ASSERT(out == history->bytes + history->bytes_used);
    return 0;
}

/* ---- Replies --------------------------------------------------------------------------------- */

/* The number of a "$length" or "=length" header, or -1. */
static int64_t header_length(const char *line, size_t length) {
    int64_t value = 0;
    if (length < 2)
        return -1;
    for (size_t i = 1; i < length; i++) {
        if (line[i] < '0' || line[i] > '9' || value > INT32_MAX)
            return -1;
        value = value * 10 + (line[i] - '0');
    }
    return value;
}

static void piece_copy(uint8_t *out, size_t *written, const char *from, size_t length) {
    if (out != NULL)
        memcpy(out + *written, from, length);
    *written += length;
}

/* Copies a head line of RESP 3, without its CRLF, as RESP 2 says it. */
static void head_copy(uint8_t *out, size_t *written, const char *line, size_t length) {
    char text[64];
    int bytes = -1;
    if (length == 1 && *line == '_')
        bytes = snprintf(text, sizeof(text), "$-1");
    else if (*line == '%' && header_length(line, length) >= 0)
        bytes = snprintf(text, sizeof(text), "*%" PRId64, 2 * header_length(line, length));
    else if (*line == '~' && header_length(line, length) >= 0)
        bytes = snprintf(text, sizeof(text), "*%" PRId64, header_length(line, length));
    else if (*line == ',' && length < 40)
        bytes = snprintf(text, sizeof(text), "$%zu\r\n%.*s", length - 1, (int)length - 1, line + 1);
    ASSERT(bytes < (int)sizeof(text));
    piece_copy(out, written, bytes < 0 ? line : text, bytes < 0 ? length : (size_t)bytes);
}

/*
 * Copies a reply, RESP 3's nulls, maps, sets and doubles as RESP 2 has them, and returns its new
 * length; with `out` NULL only that. What is no reply at all is copied as it is.
 */
static size_t reply_copy(uint8_t *out, const char *reply, size_t length) {
    size_t written = 0;
    for (size_t at = 0; at < length;) {
        const char *from = reply + at;
        const char *end = memmem(from, length - at, "\r\n", 2);
        const size_t line = end == NULL ? length - at : (size_t)(end - from);
        head_copy(out, &written, from, line);
        at += line;
        if (end == NULL)
            break;
        const int64_t bulk = *from == '$' ? header_length(from, line) : -1;
        size_t behind = 2 + (bulk >= 0 ? (size_t)bulk + 2 : 0);
        behind = behind > length - at ? length - at : behind;
        piece_copy(out, &written, reply + at, behind);
        at += behind;
    }
    return written;
}

int history_return(struct history *history, uint32_t number, uint64_t returned_ns,
                   enum history_outcome outcome, const char *reply, size_t reply_bytes) {
    ASSERT(number < history->operation_count);
    struct history_operation *operation = &history->operations[number];
    ASSERT(operation->outcome == HISTORY_PENDING && outcome != HISTORY_PENDING);
    ASSERT(returned_ns >= operation->invoked_ns);
    ASSERT(outcome != HISTORY_OK || (reply_bytes > 0 && returned_ns != HISTORY_NEVER));
    const size_t bytes = reply_copy(NULL, reply, reply_bytes);
    if (bytes > history->bytes_max - history->bytes_used)
        return WEIR_EFULL;
    (void)reply_copy(history->bytes + history->bytes_used, reply, reply_bytes);
    operation->reply_offset = (uint32_t)history->bytes_used;
    operation->reply_bytes = (uint32_t)bytes;
    operation->returned_ns = returned_ns;
    operation->outcome = (uint8_t)outcome;
    history->bytes_used += bytes;
    return 0;
}

void history_detach(struct history *history, uint32_t number, uint32_t connection) {
    ASSERT(number < history->operation_count);
    struct history_operation *operation = &history->operations[number];
    ASSERT(operation->outcome == HISTORY_PENDING && connection > operation->connection);
    operation->connection = connection;
    operation->sequence = 1;
}

uint32_t history_words(const struct history *history, uint32_t number,
                       struct kv_model_word words[HISTORY_WORDS_MAX]) {
    ASSERT_HOT(number < history->operation_count);
    const struct history_operation *operation = &history->operations[number];
    const uint8_t *from = history->bytes + operation->command_offset;
    for (uint32_t i = 0; i < operation->word_count; i++) {
        words[i].length = bytes_get_u32(from);
        words[i].data = (const char *)from + WORD_LENGTH_BYTES;
        from += WORD_LENGTH_BYTES + words[i].length;
    }
    ASSERT_HOT(from == history->bytes + operation->command_offset + operation->command_bytes);
    return operation->word_count;
}

struct kv_model_word history_reply(const struct history *history, uint32_t number) {
    ASSERT_HOT(number < history->operation_count);
    const struct history_operation *operation = &history->operations[number];
    return (struct kv_model_word){(const char *)history->bytes + operation->reply_offset,
                                  operation->reply_bytes};
}

enum history_outcome history_outcome_of(const char *reply, size_t reply_bytes) {
    /* The code words of stages/refusal.h and of redirects, and those of missing permission. */
    static const char *const refusals[] = {"MOVED",   "CLUSTERDOWN", "TRYAGAIN", "READONLY",
                                           "OOM",     "MISCONF",     "NOAUTH",   "NOPERM",
                                           "SESSION", "EXECABORT",   "LOADING"};
    if (reply_bytes == 0 || reply[0] != '-')
        return HISTORY_OK;
    size_t end = 1;
    while (end < reply_bytes && reply[end] != ' ' && reply[end] != '\r')
        end++;
    const struct kv_model_word code = {reply + 1, end - 1};
    if (history_word_is(&code, "UNKNOWN"))
        return HISTORY_UNKNOWN;
    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++)
        if (history_word_is(&code, refusals[i]))
            return HISTORY_REFUSED;
    /* Said to a connection too many, before anything of it was read; then it is closed. */
    static const char full[] = "-ERR max number of clients reached\r\n";
    if (reply_bytes == sizeof(full) - 1 && memcmp(reply, full, reply_bytes) == 0)
        return HISTORY_REFUSED;
    return HISTORY_OK;
}

bool history_word_is(const struct kv_model_word *word, const char *text) {
    return word->length == strlen(text) && strncasecmp(word->data, text, word->length) == 0;
}

const char *history_verdict_name(enum history_verdict verdict) {
    switch (verdict) {
    case HISTORY_RIGHT: return "ok";
    case HISTORY_WRONG: return "violated";
    case HISTORY_UNDECIDED: return "undecided";
    }
    UNREACHABLE("every verdict has a name");
}
