/*
 * Transactions, as one command; and when a key was changed, which WATCH asks.
 *
 * Happy path: its commands are executed one after the other, each with its element of what was
 * answered, if that is known.
 *
 * Failure modes: what was answered is null: nothing is executed. The form is wrong: an error.
 */

#include "sim/kv_model_internal.h"
#include "sim/kv_model_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* ---- Changes --------------------------------------------------------------------------------- */

void model_touch(struct kv_model *model, const struct kv_model_word *name) {
    if (model->moment == 0)
        return;
    size_t i = 0;
    while (i < model->change_count &&
           kv_model_text_compare(model->changes[i].name.data, model->changes[i].name.length,
                                 name->data, name->length) != 0)
        i++;
    if (i == model->change_capacity) {
        model->change_capacity = model->change_capacity * 2 + 16;
        model->changes = realloc(model->changes, model->change_capacity * sizeof(*model->changes));
        ASSERT(model->changes != NULL);
    }
    if (i == model->change_count) {
        model->changes[model->change_count++] = (struct model_change){0};
        model_text_set(&model->changes[i].name, name->data, name->length);
    }
    model->changes[i].moment = model->moment;
}

void kv_model_moment(struct kv_model *model, uint64_t moment) {
    ASSERT(moment >= model->moment);
    model->moment = moment;
}

uint64_t kv_model_changed(const struct kv_model *model, const struct kv_model_word *name) {
    for (size_t i = 0; i < model->change_count; i++)
        if (kv_model_text_compare(model->changes[i].name.data, model->changes[i].name.length,
                                  name->data, name->length) == 0)
            return model->changes[i].moment;
    return 0;
}

/* ---- Transactions ---------------------------------------------------------------------------- */

size_t kv_model_exec_next(const struct kv_model_word *words, size_t count, size_t *at,
                          size_t *command_words) {
    int64_t length;
    if (*at >= count || !kv_model_read_integer(words[*at].data, words[*at].length, &length) ||
        length < 1 || (uint64_t)length > count - *at - 1)
        return 0;
    const size_t first = *at + 1;
    *command_words = (size_t)length;
    *at = first + (size_t)length;
    return first;
}

/* The number of a head line; false if there is none. */
static bool head_read(const char *reply, size_t length, size_t *line, int64_t *number) {
    const char *newline = length == 0 ? NULL : memchr(reply, '\n', length);
    if (newline == NULL || newline - reply < 2 || newline[-1] != '\r')
        return false;
    *line = (size_t)(newline - reply) + 1;
    *number = -1;
    return memchr("$*", *reply, 2) == NULL || kv_model_read_integer(reply + 1, *line - 3, number);
}

size_t kv_model_reply_bytes(const char *reply, size_t length) {
    size_t at = 0;
    for (uint64_t left = 1; left > 0; left--) {
        size_t line;
        int64_t number;
        if (!head_read(reply + at, length - at, &line, &number))
            return 0;
        const char sign = reply[at];
        at += line;
        if (sign == '*' && number > 0)
            left += (uint64_t)number;
        if (sign != '$' || number < 0)
            continue;
        if ((uint64_t)number + 2 > length - at)
            return 0;
        at += (size_t)number + 2;
    }
    return at;
}

static bool is_null(const struct kv_model_word *reply) {
    return reply->length == 5 &&
           (memcmp(reply->data, "*-1\r\n", 5) == 0 || memcmp(reply->data, "$-1\r\n", 5) == 0);
}

/* How many commands there are, without WATCH; 0: the form is wrong. */
static size_t commands_count(const struct model_call *call, size_t *first_at) {
    size_t commands = 0;
    size_t words;
    size_t at = 1;
    *first_at = 1;
    while (at < call->count) {
        const size_t begin = at;
        const size_t first = kv_model_exec_next(call->words, call->count, &at, &words);
        if (first == 0 || model_word_is(&call->words[first], "EXEC") ||
            (model_word_is(&call->words[first], "WATCH") && begin > 1))
            return 0;
        if (model_word_is(&call->words[first], "WATCH"))
            *first_at = at;
        else
            commands++;
    }
    return commands;
}

void model_exec(struct model_call *call) {
    size_t at;
    const size_t commands = commands_count(call, &at);
    if (commands == 0) {
        model_error(call, "the form of the transaction is wrong");
        return;
    }
    if (is_null(&call->seen)) {
        model_format(call->reply, "*-1\r\n");
        return;
    }
    model_format(call->reply, "*%zu\r\n", commands);
    struct kv_model_word seen = call->seen;
    size_t line = 0;
    int64_t elements;
    if (!head_read(seen.data, seen.length, &line, &elements) || *seen.data != '*' ||
        elements != (int64_t)commands)
        seen.length = line = 0;
    seen.data += line;
    seen.length -= line;
    while (at < call->count) {
        struct model_call inner = *call;
        inner.words += kv_model_exec_next(call->words, call->count, &at, &inner.count);
        inner.seen.data = seen.data;
        inner.seen.length = kv_model_reply_bytes(seen.data, seen.length);
        seen.data += inner.seen.length;
        seen.length -= inner.seen.length;
        model_command_execute(&inner);
    }
    ASSERT(at == call->count);
}
