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

void model_text_bulk(struct kv_model_text *text, const char *data, size_t length) {
    model_format(text, "$%zu\r\n", length);
    kv_model_text_append(text, data, length);
    kv_model_text_append(text, "\r\n", 2);
}

/* ---- Keys ------------------------------------------------------------------------------------ */

void model_key_remove(struct kv_model *model, size_t index) {
    const struct kv_model_text *name = &model->keys[index].name;
    model_touch(model, &(struct kv_model_word){name->data, name->length});
    model_elements_free(&model->keys[index]);
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
    model_touch(model, name);
    if (key != NULL)
        return key;
    if (model->count == model->capacity) {
        model->capacity = model->capacity * 2 + 16;
        model->keys = realloc(model->keys, model->capacity * sizeof(*model->keys));
        ASSERT(model->keys != NULL);
    }
    key = &model->keys[model->count++];
    *key = (struct model_key){.deadline_ms = NO_DEADLINE, .type = MODEL_STRING};
    model_text_set(&key->name, name->data, name->length);
    return key;
}

void model_key_set(struct kv_model *model, const struct kv_model_word *name,
                   const struct kv_model_word *value, uint64_t deadline_ms) {
    struct model_key *key = model_key_make(model, name);
    model_elements_free(key);
    model_text_set(&key->value, value->data, value->length);
    key->deadline_ms = deadline_ms;
    key->type = MODEL_STRING;
}

/* ---- Replies and arguments ------------------------------------------------------------------- */

void model_error(struct model_call *call, const char *text) {
    model_format(call->reply, "-ERR %s\r\n", text);
}

void model_integer(struct model_call *call, int64_t value) {
    model_format(call->reply, ":%" PRId64 "\r\n", value);
}

void model_value(struct model_call *call, const struct model_key *key) {
    if (key == NULL || key->type != MODEL_STRING)
        model_format(call->reply, "$-1\r\n");
    else
        model_bulk(call, &key->value);
}

void model_bulk(struct model_call *call, const struct kv_model_text *text) {
    model_text_bulk(call->reply, text->data, text->length);
}

void model_wrong_type(struct model_call *call) {
    model_format(call->reply,
                 "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
}

void model_anything(struct model_call *call) {
    model_format(call->reply, KV_MODEL_ANYTHING);
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
    bool is_vague = false;
    for (size_t i = 1; i < call->count; i++) {
        const struct model_key *key = model_key_find(call->model, &call->words[i]);
        if (key == NULL)
            continue;
        is_vague |= key->is_vague;
        model_key_remove(call->model, (size_t)(key - call->model->keys));
        removed++;
    }
    if (is_vague)
        model_anything(call);
    else
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

static void model_deadline_set(struct model_call *call, struct model_key *key,
                               uint64_t deadline_ms) {
    model_touch(call->model, &call->words[1]);
    key->deadline_ms = deadline_ms;
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
        model_deadline_set(call, key, (uint64_t)deadline_ms);
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
        model_deadline_set(call, key, NO_DEADLINE);
    model_integer(call, had);
}

static void model_type(struct model_call *call) {
    static const char *const names[] = {
        [MODEL_ANY] = "none",  [MODEL_STRING] = "string", [MODEL_HASH] = "hash",
        [MODEL_LIST] = "list", [MODEL_SET] = "set",       [MODEL_ZSET] = "zset"};
    const struct model_key *key = model_key_find(call->model, &call->words[1]);
    model_format(call->reply, "+%s\r\n", names[key == NULL ? MODEL_ANY : key->type]);
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

/* ---- The store ------------------------------------------------------------------------------- */

#define S MODEL_STRING
static const struct model_command model_commands[] = {
    {"get", 2, model_get, S},
    {"set", -3, model_set, 0},
    {"del", -2, model_del, 0},
    {"exists", -2, model_exists, 0},
    {"incr", 2, model_incr, S},
    {"decr", 2, model_decr, S},
    {"incrby", 3, model_incrby, S},
    {"append", 3, model_append, S},
    {"strlen", 2, model_strlen, S},
    {"mget", -2, model_mget, 0},
    {"mset", -3, model_mset, 0},
    {"ttl", 2, model_ttl, 0},
    {"pttl", 2, model_pttl, 0},
    {"expire", -3, model_expire, 0},
    {"pexpire", -3, model_pexpire, 0},
    {"persist", 2, model_persist, 0},
    {"type", 2, model_type, 0},
    {"dbsize", 1, model_dbsize, 0},
    {"flushall", -1, model_flush, 0},
    {"flushdb", -1, model_flush, 0},
    {"unlink", -2, model_del, 0},
    {"touch", -2, model_exists, 0},
    {"decrby", 3, model_decrby, S},
    {"exec", -2, model_exec, 0},
    {NULL, 0, NULL, 0},
};
#undef S

struct kv_model *kv_model_new(size_t value_bytes_max) {
    struct kv_model *model = calloc(1, sizeof(*model));
    ASSERT(model != NULL);
    model->value_bytes_max = value_bytes_max;
    return model;
}

void kv_model_free(struct kv_model *model) {
    while (model->count > 0)
        model_key_remove(model, 0);
    for (size_t i = 0; i < model->change_count; i++)
        kv_model_text_free(&model->changes[i].name);
    free(model->changes);
    free(model->keys);
    free(model);
}

static void unknown_command(struct model_call *call) {
    const struct kv_model_word *words = call->words;
    model_format(call->reply, "-ERR unknown command '%.*s', with args beginning with: ",
                 (int)(words[0].length < 128 ? words[0].length : 128), words[0].data);
    for (size_t i = 1, used = 0; i < call->count && used < 128; i++) {
        const size_t room = 128 - used;
        const size_t length = words[i].length < room ? words[i].length : room;
        model_format(call->reply, "'%.*s' ", (int)length, words[i].data);
        used += length + 3;
    }
    model_format(call->reply, "\r\n");
}

void model_command_execute(struct model_call *call) {
    static const struct model_command *const tables[] = {
        model_commands, model_more_commands, model_listing_commands, model_collection_commands,
        model_set_commands};
    const struct model_command *command = NULL;
    for (size_t t = 0; t < ARRAY_COUNT(tables); t++)
        for (const struct model_command *row = tables[t]; row->name != NULL; row++)
            if (model_word_is(&call->words[0], row->name))
                command = row;
    if (command == NULL) {
        unknown_command(call);
        return;
    }
    const int arity = command->arity;
    if ((arity > 0 && (size_t)arity != call->count) ||
        (arity < 0 && call->count < (size_t)-arity)) {
        model_format(call->reply, "-ERR wrong number of arguments for '%s' command\r\n",
                     command->name);
        return;
    }
    const struct model_key *key =
        command->type == MODEL_ANY ? NULL : model_key_find(call->model, &call->words[1]);
    if (key != NULL && key->type != command->type)
        model_wrong_type(call);
    else
        command->execute(call);
}

void kv_model_execute_seen(struct kv_model *model, const struct kv_model_word *words, size_t count,
                           uint64_t log_time_ms, uint64_t clock_ms, struct kv_model_word seen,
                           struct kv_model_text *reply) {
    ASSERT(count > 0);
    reply->length = 0;
    struct model_call call = {.model = model,
                              .words = words,
                              .count = count,
                              .now_ms = (int64_t)log_time_ms,
                              .clock_ms = (int64_t)clock_ms,
                              .seen = seen,
                              .reply = reply};
    model_keys_expire(model, call.now_ms);
    model_command_execute(&call);
}

void kv_model_execute(struct kv_model *model, const struct kv_model_word *words, size_t count,
                      uint64_t log_time_ms, uint64_t clock_ms, struct kv_model_text *reply) {
    kv_model_execute_seen(model, words, count, log_time_ms, clock_ms, (struct kv_model_word){0},
                          reply);
}

bool kv_model_has(struct kv_model *model, const struct kv_model_word *name) {
    return model_key_find(model, name) != NULL;
}

size_t kv_model_size(struct kv_model *model, uint64_t log_time_ms) {
    model_keys_expire(model, (int64_t)log_time_ms);
    return model->count;
}
