/*
 * Each command searches the array, changes it, and prints its reply. Before each, what is expired
 * is removed. Nothing here is fast, and nothing is shared with the machine.
 */

#include "sim/kv_model.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/kv_model_internal.h"
#include "sim/kv_model_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- Texts ----------------------------------------------------------------------------------- */

void model_text_set(struct kv_model_text *text, const char *data, size_t length) {
    struct kv_model_text fresh = {0};
    kv_model_text_append(&fresh, data, length);
    kv_model_text_free(text);
    *text = fresh;
}

__attribute__((format(printf, 2, 3))) void model_format(struct kv_model_text *text,
                                                        const char *format, ...) {
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    ASSERT(length >= 0 && (size_t)length < sizeof(line));
    kv_model_text_append(text, line, (size_t)length);
}

static void text_bulk(struct kv_model_text *text, const char *data, size_t length) {
    model_format(text, "$%zu\r\n", length);
    kv_model_text_append(text, data, length);
    kv_model_text_append(text, "\r\n", 2);
}

/* ---- Keys ------------------------------------------------------------------------------------ */

void model_key_remove(struct kv_model *model, size_t index) {
    kv_model_text_free(&model->keys[index].name);
    kv_model_text_free(&model->keys[index].value);
    model->keys[index] = model->keys[--model->count];
}

void model_keys_expire(struct kv_model *model, int64_t now_ms) {
    for (size_t i = model->count; i-- > 0;)
        if (model->keys[i].deadline_ms <= (uint64_t)now_ms)
            model_key_remove(model, i);
}

struct model_key *model_key_find(struct kv_model *model, const struct kv_model_word *name) {
    for (size_t i = 0; i < model->count; i++)
        if (kv_model_text_compare(model->keys[i].name.data, model->keys[i].name.length, name->data,
                                  name->length) == 0)
            return &model->keys[i];
    return NULL;
}

struct model_key *model_key_make(struct kv_model *model, const struct kv_model_word *name) {
    struct model_key *key = model_key_find(model, name);
    if (key != NULL)
        return key;
    if (model->count == model->capacity) {
        model->capacity = model->capacity * 2 + 16;
        model->keys = realloc(model->keys, model->capacity * sizeof(*model->keys));
        ASSERT(model->keys != NULL);
    }
    key = &model->keys[model->count++];
    *key = (struct model_key){.deadline_ms = NO_DEADLINE};
    model_text_set(&key->name, name->data, name->length);
    return key;
}

void model_key_set(struct kv_model *model, const struct kv_model_word *name,
                   const struct kv_model_word *value, uint64_t deadline_ms) {
    struct model_key *key = model_key_make(model, name);
    model_text_set(&key->value, value->data, value->length);
    key->deadline_ms = deadline_ms;
}

/* ---- Replies and arguments ------------------------------------------------------------------- */

void model_error(struct model_call *call, const char *text) {
    model_format(call->reply, "-ERR %s\r\n", text);
}

void model_integer(struct model_call *call, int64_t value) {
    model_format(call->reply, ":%" PRId64 "\r\n", value);
}

void model_value(struct model_call *call, const struct model_key *key) {
    if (key == NULL)
        model_format(call->reply, "$-1\r\n");
    else
        text_bulk(call->reply, key->value.data, key->value.length);
}

bool model_word_is(const struct kv_model_word *word, const char *text) {
    return word->length == strlen(text) && strncasecmp(word->data, text, word->length) == 0;
}

bool model_argument_integer(struct model_call *call, size_t index, int64_t *value) {
    if (kv_model_read_integer(call->words[index].data, call->words[index].length, value))
        return true;
    model_error(call, "value is not an integer or out of range");
    return false;
}

static void model_expire_error(struct model_call *call, const char *name) {
    model_format(call->reply, "-ERR invalid expire time in '%s' command\r\n", name);
}

/* ---- Strings --------------------------------------------------------------------------------- */

static void model_get(struct model_call *call) {
    model_value(call, model_key_find(call->model, &call->words[1]));
}

struct set_options {
    bool nx, xx, get, keep;
    const char *unit; /* "EX" ... or NULL */
    size_t amount;    /* index of its argument */
};

static bool set_parse(struct model_call *call, struct set_options *o) {
    static const char *const units[] = {"EX", "PX", "EXAT", "PXAT"};
    for (size_t i = 3; i < call->count; i++) {
        const struct kv_model_word *word = &call->words[i];
        const char *unit = NULL;
        for (size_t u = 0; u < 4; u++)
            if (model_word_is(word, units[u]))
                unit = units[u];
        if (model_word_is(word, "NX") && !o->xx) {
            o->nx = true;
        } else if (model_word_is(word, "XX") && !o->nx) {
            o->xx = true;
        } else if (model_word_is(word, "GET")) {
            o->get = true;
        } else if (model_word_is(word, "KEEPTTL") && o->unit == NULL) {
            o->keep = true;
        } else if (unit != NULL && !o->keep && (o->unit == NULL || o->unit == unit) &&
                   i + 1 < call->count) {
            o->unit = unit;
            o->amount = ++i;
        } else {
            model_error(call, "syntax error");
            return false;
        }
    }
    return true;
}

static bool set_deadline(struct model_call *call, const struct set_options *o,
                         uint64_t *deadline_ms) {
    int64_t amount;
    if (!model_argument_integer(call, o->amount, &amount))
        return false;
    const bool seconds = o->unit[0] == 'E';
    const bool absolute = strlen(o->unit) == 4;
    if (amount <= 0 || (seconds && amount > INT64_MAX / 1000)) {
        model_expire_error(call, "set");
        return false;
    }
    amount *= seconds ? 1000 : 1;
    if (!absolute && amount > INT64_MAX - call->now_ms) {
        model_expire_error(call, "set");
        return false;
    }
    *deadline_ms = (uint64_t)(amount + (absolute ? 0 : call->now_ms));
    return true;
}

static void model_set(struct model_call *call) {
    struct set_options o = {0};
    uint64_t deadline_ms = NO_DEADLINE;
    if (!set_parse(call, &o) || (o.unit != NULL && !set_deadline(call, &o, &deadline_ms)))
        return;
    struct model_key *key = model_key_find(call->model, &call->words[1]);
    if (o.get)
        model_value(call, key);
    if ((o.nx && key != NULL) || (o.xx && key == NULL)) {
        if (!o.get)
            model_format(call->reply, "$-1\r\n");
        return;
    }
    if (o.keep && key != NULL)
        deadline_ms = key->deadline_ms;
    model_key_set(call->model, &call->words[1], &call->words[2], deadline_ms);
    model_keys_expire(call->model, call->now_ms);
    if (!o.get)
        model_format(call->reply, "+OK\r\n");
}

static void model_add(struct model_call *call, int64_t amount) {
    struct model_key *key = model_key_find(call->model, &call->words[1]);
    int64_t number = 0;
    if (key != NULL && !kv_model_read_integer(key->value.data, key->value.length, &number)) {
        model_error(call, "value is not an integer or out of range");
        return;
    }
    if ((amount > 0 && number > INT64_MAX - amount) ||
        (amount < 0 && number < INT64_MIN - amount)) {
        model_error(call, "increment or decrement would overflow");
        return;
    }
    number += amount;
    char text[32];
    const int length = snprintf(text, sizeof(text), "%" PRId64, number);
    const uint64_t deadline_ms = key != NULL ? key->deadline_ms : NO_DEADLINE;
    model_key_set(call->model, &call->words[1], &(struct kv_model_word){text, (size_t)length},
                  deadline_ms);
    model_integer(call, number);
}

static void model_incr(struct model_call *call) {
    model_add(call, 1);
}

static void model_decr(struct model_call *call) {
    model_add(call, -1);
}

static void model_incrby(struct model_call *call) {
    int64_t amount;
    if (model_argument_integer(call, 2, &amount))
        model_add(call, amount);
}

static void model_decrby(struct model_call *call) {
    int64_t amount;
    if (!model_argument_integer(call, 2, &amount))
        return;
    if (amount == INT64_MIN)
        model_error(call, "decrement would overflow");
    else
        model_add(call, -amount);
}

static void model_append(struct model_call *call) {
    struct model_key *key = model_key_find(call->model, &call->words[1]);
    const size_t old = key != NULL ? key->value.length : 0;
    if (old + call->words[2].length > call->model->value_bytes_max) {
        model_error(call, "string exceeds maximum allowed size (proto-max-bulk-len)");
        return;
    }
    key = model_key_make(call->model, &call->words[1]);
    kv_model_text_append(&key->value, call->words[2].data, call->words[2].length);
    model_integer(call, (int64_t)key->value.length);
}

static void model_strlen(struct model_call *call) {
    const struct model_key *key = model_key_find(call->model, &call->words[1]);
    model_integer(call, key != NULL ? (int64_t)key->value.length : 0);
}

static void model_mget(struct model_call *call) {
    model_format(call->reply, "*%zu\r\n", call->count - 1);
    for (size_t i = 1; i < call->count; i++)
        model_value(call, model_key_find(call->model, &call->words[i]));
}

static void model_mset(struct model_call *call) {
    if (call->count % 2 == 0) {
        model_error(call, "wrong number of arguments for 'mset' command");
        return;
    }
    for (size_t i = 1; i < call->count; i += 2)
        model_key_set(call->model, &call->words[i], &call->words[i + 1], NO_DEADLINE);
    model_format(call->reply, "+OK\r\n");
}

/* ---- Generic --------------------------------------------------------------------------------- */

static void model_del(struct model_call *call) {
    int64_t removed = 0;
    for (size_t i = 1; i < call->count; i++) {
        const struct model_key *key = model_key_find(call->model, &call->words[i]);
        if (key == NULL)
            continue;
        model_key_remove(call->model, (size_t)(key - call->model->keys));
        removed++;
    }
    model_integer(call, removed);
}

static void model_exists(struct model_call *call) {
    int64_t there = 0;
    for (size_t i = 1; i < call->count; i++)
        there += model_key_find(call->model, &call->words[i]) != NULL;
    model_integer(call, there);
}

static void model_left(struct model_call *call, bool seconds) {
    const struct model_key *key = model_key_find(call->model, &call->words[1]);
    if (key == NULL || key->deadline_ms == NO_DEADLINE) {
        model_integer(call, key == NULL ? -2 : -1);
        return;
    }
    const int64_t now_ms = call->now_ms > call->clock_ms ? call->now_ms : call->clock_ms;
    const int64_t deadline_ms = (int64_t)key->deadline_ms;
    const int64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 1;
    model_integer(call, seconds ? (left_ms + 500) / 1000 : left_ms);
}

static void model_ttl(struct model_call *call) {
    model_left(call, true);
}

static void model_pttl(struct model_call *call) {
    model_left(call, false);
}

static void model_expire_in(struct model_call *call, const char *name, int64_t unit_ms) {
    bool nx = false, xx = false, gt = false, lt = false;
    for (size_t i = 3; i < call->count; i++) {
        const struct kv_model_word *word = &call->words[i];
        nx |= model_word_is(word, "NX");
        xx |= model_word_is(word, "XX");
        gt |= model_word_is(word, "GT");
        lt |= model_word_is(word, "LT");
        if (!model_word_is(word, "NX") && !model_word_is(word, "XX") &&
            !model_word_is(word, "GT") && !model_word_is(word, "LT")) {
            model_format(call->reply, "-ERR Unsupported option ");
            kv_model_text_append(call->reply, word->data, word->length);
            kv_model_text_append(call->reply, "\r\n", 2);
            return;
        }
    }
    if (nx && (xx || gt || lt)) {
        model_error(call, "NX and XX, GT or LT options at the same time are not compatible");
        return;
    }
    if (gt && lt) {
        model_error(call, "GT and LT options at the same time are not compatible");
        return;
    }
    int64_t amount;
    if (!model_argument_integer(call, 2, &amount))
        return;
    if (amount > INT64_MAX / unit_ms || amount < INT64_MIN / unit_ms ||
        amount * unit_ms > INT64_MAX - call->now_ms) {
        model_expire_error(call, name);
        return;
    }
    const int64_t deadline_ms = amount * unit_ms + call->now_ms;
    struct model_key *key = model_key_find(call->model, &call->words[1]);
    const bool has = key != NULL && key->deadline_ms != NO_DEADLINE;
    if (key == NULL || (nx && has) || (xx && !has) ||
        (gt && (!has || deadline_ms <= (int64_t)key->deadline_ms)) ||
        (lt && has && deadline_ms >= (int64_t)key->deadline_ms)) {
        model_integer(call, 0);
        return;
    }
    if (deadline_ms <= call->now_ms)
        model_key_remove(call->model, (size_t)(key - call->model->keys));
    else
        key->deadline_ms = (uint64_t)deadline_ms;
    model_keys_expire(call->model, call->now_ms);
    model_integer(call, 1);
}

static void model_expire(struct model_call *call) {
    model_expire_in(call, "expire", 1000);
}

static void model_pexpire(struct model_call *call) {
    model_expire_in(call, "pexpire", 1);
}

static void model_persist(struct model_call *call) {
    struct model_key *key = model_key_find(call->model, &call->words[1]);
    const bool had = key != NULL && key->deadline_ms != NO_DEADLINE;
    if (had)
        key->deadline_ms = NO_DEADLINE;
    model_integer(call, had);
}

static void model_type(struct model_call *call) {
    const bool there = model_key_find(call->model, &call->words[1]) != NULL;
    model_format(call->reply, there ? "+string\r\n" : "+none\r\n");
}

static void model_dbsize(struct model_call *call) {
    model_integer(call, (int64_t)call->model->count);
}

static void model_flush(struct model_call *call) {
    if (call->count > 2 || (call->count == 2 && !model_word_is(&call->words[1], "SYNC") &&
                            !model_word_is(&call->words[1], "ASYNC"))) {
        model_error(call, "syntax error");
        return;
    }
    while (call->model->count > 0)
        model_key_remove(call->model, 0);
    model_format(call->reply, "+OK\r\n");
}

/* ---- Listing --------------------------------------------------------------------------------- */

/* Redis's own matching never looks at a pattern when the text is empty. */
static bool pattern_matches(const struct kv_model_word *pattern, const struct kv_model_text *text) {
    if (pattern == NULL || (pattern->length == 1 && pattern->data[0] == '*'))
        return true;
    if (text->length == 0)
        return pattern->length == 0;
    return kv_model_glob(pattern->data, pattern->data + pattern->length, text->data,
                         text->data + text->length);
}

static void list_keys(struct model_call *call, const struct kv_model_word *pattern) {
    struct kv_model_text list = {0};
    size_t listed = 0;
    for (size_t i = 0; i < call->model->count; i++) {
        const struct kv_model_text *name = &call->model->keys[i].name;
        if (!pattern_matches(pattern, name))
            continue;
        text_bulk(&list, name->data, name->length);
        listed++;
    }
    model_format(call->reply, "*%zu\r\n", listed);
    kv_model_text_append(call->reply, list.data, list.length);
    kv_model_text_free(&list);
}

static void model_keys(struct model_call *call) {
    list_keys(call, &call->words[1]);
    kv_model_sort_array(call->reply);
}

static void model_scan(struct model_call *call) {
    const struct kv_model_word *pattern = NULL;
    bool all = true;
    int64_t number;
    if (!kv_model_is_cursor(call->words[1].data, call->words[1].length)) {
        model_error(call, "invalid cursor");
        return;
    }
    for (size_t i = 2; i < call->count; i += 2) {
        const struct kv_model_word *word = &call->words[i];
        const bool more = i + 1 < call->count;
        if (more && model_word_is(word, "COUNT")) {
            if (!model_argument_integer(call, i + 1, &number))
                return;
            if (number < 1) {
                model_error(call, "syntax error");
                return;
            }
        } else if (more && model_word_is(word, "MATCH")) {
            pattern = &call->words[i + 1];
        } else if (more && model_word_is(word, "TYPE")) {
            all = model_word_is(&call->words[i + 1], "string");
        } else {
            model_error(call, "syntax error");
            return;
        }
    }
    model_format(call->reply, "*2\r\n$1\r\n0\r\n");
    if (all)
        list_keys(call, pattern);
    else
        model_format(call->reply, "*0\r\n");
    kv_model_sort_array(call->reply);
}

/* ---- The store ------------------------------------------------------------------------------- */

static const struct model_command model_commands[] = {
    {"get", 2, model_get},         {"set", -3, model_set},       {"del", -2, model_del},
    {"exists", -2, model_exists},  {"incr", 2, model_incr},      {"decr", 2, model_decr},
    {"incrby", 3, model_incrby},   {"append", 3, model_append},  {"strlen", 2, model_strlen},
    {"mget", -2, model_mget},      {"mset", -3, model_mset},     {"ttl", 2, model_ttl},
    {"pttl", 2, model_pttl},       {"expire", -3, model_expire}, {"pexpire", -3, model_pexpire},
    {"persist", 2, model_persist}, {"type", 2, model_type},      {"dbsize", 1, model_dbsize},
    {"flushall", -1, model_flush}, {"flushdb", -1, model_flush}, {"keys", 2, model_keys},
    {"scan", -2, model_scan},      {"unlink", -2, model_del},    {"touch", -2, model_exists},
    {"decrby", 3, model_decrby},
};

struct kv_model *kv_model_new(size_t value_bytes_max) {
    struct kv_model *model = calloc(1, sizeof(*model));
    ASSERT(model != NULL);
    model->value_bytes_max = value_bytes_max;
    return model;
}

void kv_model_free(struct kv_model *model) {
    while (model->count > 0)
        model_key_remove(model, 0);
    free(model->keys);
    free(model);
}

void kv_model_execute(struct kv_model *model, const struct kv_model_word *words, size_t count,
                      uint64_t log_time_ms, uint64_t clock_ms, struct kv_model_text *reply) {
    ASSERT(count > 0);
    reply->length = 0;
    struct model_call call = {.model = model,
                              .words = words,
                              .count = count,
                              .now_ms = (int64_t)log_time_ms,
                              .clock_ms = (int64_t)clock_ms,
                              .reply = reply};
    model_keys_expire(model, call.now_ms);
    const struct model_command *command = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(model_commands); i++)
        if (model_word_is(&words[0], model_commands[i].name))
            command = &model_commands[i];
    for (const struct model_command *more = model_more_commands; more->name != NULL; more++)
        if (model_word_is(&words[0], more->name))
            command = more;
    if (command != NULL) {
        const int arity = command->arity;
        if ((arity > 0 && (size_t)arity != count) || (arity < 0 && count < (size_t)-arity))
            model_format(reply, "-ERR wrong number of arguments for '%s' command\r\n",
                         command->name);
        else
            command->execute(&call);
        return;
    }
    model_format(reply, "-ERR unknown command '%.*s', with args beginning with: ",
                 (int)(words[0].length < 128 ? words[0].length : 128), words[0].data);
    for (size_t i = 1, used = 0; i < count && used < 128; i++) {
        const size_t room = 128 - used;
        const size_t length = words[i].length < room ? words[i].length : room;
        model_format(reply, "'%.*s' ", (int)length, words[i].data);
        used += length + 3;
    }
    model_format(reply, "\r\n");
}

size_t kv_model_size(struct kv_model *model, uint64_t log_time_ms) {
    model_keys_expire(model, (int64_t)log_time_ms);
    return model->count;
}
