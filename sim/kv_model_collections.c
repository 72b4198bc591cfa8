/*
 * Hashes, lists and sorted sets. Each command finds its key, which has the right type or is not
 * there, and its element; a collection whose last element goes is a key that goes.
 */

#include "sim/kv_model_internal.h"
#include "sim/kv_model_text.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"

/* Scores are doubles, and these are the integers that a double has. */
#define SCORE_MAX (INT64_C(1) << 53)

static struct model_key *first_key(struct model_call *call) {
    return model_key_find(call->model, &call->words[1]);
}

/* For commands that look at their arguments before they look at the key. */
static bool holds_other(struct model_call *call, enum model_type type) {
    const struct model_key *key = first_key(call);
    if (key == NULL || key->type == type)
        return false;
    model_wrong_type(call);
    return true;
}

/* Removes the element, and the key with the last one. */
static void remove_at(struct model_call *call, struct model_key *key, size_t at) {
    const struct kv_model_word name = {key->name.data, key->name.length};
    model_touch(call->model, &name);
    model_element_remove(key, at);
    if (key->count == 0)
        model_key_remove(call->model, (size_t)(key - call->model->keys));
}

static void length(struct model_call *call) {
    const struct model_key *key = first_key(call);
    model_integer(call, key == NULL ? 0 : (int64_t)key->count);
}

/* Removes what is there of the names from the second word on. */
static void remove_named(struct model_call *call) {
    int64_t removed = 0;
    for (size_t i = 2; i < call->count; i++) {
        struct model_key *key = first_key(call); /* it goes with its last element */
        const size_t at = key == NULL ? 0 : model_element_find(key, &call->words[i]);
        if (key == NULL || at == key->count)
            continue;
        remove_at(call, key, at);
        removed++;
    }
    model_integer(call, removed);
}

/* ---- Hashes ---------------------------------------------------------------------------------- */

/* Gives a field its value; whether it is a new one. */
static bool field_set(struct model_call *call, const struct kv_model_word *name,
                      const struct kv_model_word *value) {
    struct model_key *key = model_collection(call, &call->words[1], MODEL_HASH);
    const size_t at = model_element_find(key, name);
    const bool is_new = at == key->count;
    struct model_element *element =
        is_new ? model_element_sort_in(key, name, 0) : &key->elements[at];
    model_text_set(&element->value, value->data, value->length);
    return is_new;
}

/* The field, or NULL. */
static struct model_element *field_find(struct model_call *call) {
    struct model_key *key = first_key(call);
    const size_t at = key == NULL ? 0 : model_element_find(key, &call->words[2]);
    return key == NULL || at == key->count ? NULL : &key->elements[at];
}

static void model_hset(struct model_call *call) {
    int64_t added = 0;
    if (call->count % 2 != 0) {
        model_error(call, "wrong number of arguments for 'hset' command");
        return;
    }
    if (holds_other(call, MODEL_HASH))
        return;
    for (size_t i = 2; i < call->count; i += 2)
        added += field_set(call, &call->words[i], &call->words[i + 1]);
    model_integer(call, added);
}

static void model_hsetnx(struct model_call *call) {
    const bool absent = field_find(call) == NULL;
    if (absent)
        (void)field_set(call, &call->words[2], &call->words[3]);
    model_integer(call, absent);
}

static void model_hget(struct model_call *call) {
    const struct model_element *field = field_find(call);
    if (field == NULL)
        model_format(call->reply, "$-1\r\n");
    else
        model_bulk(call, &field->value);
}

static void model_hexists(struct model_call *call) {
    model_integer(call, field_find(call) != NULL);
}

static void model_hincrby(struct model_call *call) {
    int64_t amount;
    int64_t number = 0;
    if (!model_argument_integer(call, 3, &amount) || holds_other(call, MODEL_HASH))
        return;
    const struct model_element *field = field_find(call);
    if (field != NULL && !kv_model_read_integer(field->value.data, field->value.length, &number)) {
        model_error(call, "hash value is not an integer");
        return;
    }
    if (__builtin_add_overflow(number, amount, &number)) {
        model_error(call, "increment or decrement would overflow");
        return;
    }
    char text[32];
    const int bytes = snprintf(text, sizeof(text), "%" PRId64, number);
    (void)field_set(call, &call->words[2], &(struct kv_model_word){text, (size_t)bytes});
    model_integer(call, number);
}

static void model_hgetall(struct model_call *call) {
    const struct model_key *key = first_key(call);
    const size_t count = key == NULL ? 0 : key->count;
    model_format(call->reply, "*%zu\r\n", 2 * count);
    for (size_t i = 0; i < count; i++) {
        model_bulk(call, &key->elements[i].name);
        model_bulk(call, &key->elements[i].value);
    }
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static void push(struct model_call *call, bool at_left) {
    struct model_key *key = model_collection(call, &call->words[1], MODEL_LIST);
    for (size_t i = 2; i < call->count; i++)
        (void)model_element_put(key, at_left ? 0 : key->count, &call->words[i]);
    model_integer(call, (int64_t)key->count);
}

static void model_lpush(struct model_call *call) {
    push(call, true);
}

static void model_rpush(struct model_call *call) {
    push(call, false);
}

static void pop(struct model_call *call, bool at_left) {
    struct model_key *key = first_key(call);
    if (key == NULL) {
        model_format(call->reply, "$-1\r\n");
        return;
    }
    const size_t at = at_left ? 0 : key->count - 1;
    model_bulk(call, &key->elements[at].name);
    remove_at(call, key, at);
}

static void model_lpop(struct model_call *call) {
    pop(call, true);
}

static void model_rpop(struct model_call *call) {
    pop(call, false);
}

/* The elements that two ends name, which may count from the end: [*from, *to). */
static bool range_read(struct model_call *call, const struct model_key *key, size_t *from,
                       size_t *to) {
    const int64_t count = key == NULL ? 0 : (int64_t)key->count;
    int64_t start;
    int64_t stop;
    if (!model_argument_integer(call, 2, &start) || !model_argument_integer(call, 3, &stop))
        return false;
    start = start < 0 ? start + count : start;
    stop = stop < 0 ? stop + count : stop;
    start = start < 0 ? 0 : start;
    stop = stop >= count ? count - 1 : stop;
    *from = (size_t)start;
    *to = start > stop || start >= count ? (size_t)start : (size_t)stop + 1;
    return true;
}

static void range(struct model_call *call, enum model_type type) {
    const struct model_key *key = first_key(call);
    size_t from;
    size_t to;
    if (!range_read(call, key, &from, &to) || holds_other(call, type))
        return;
    model_format(call->reply, "*%zu\r\n", to - from);
    for (size_t i = from; i < to; i++)
        model_bulk(call, &key->elements[i].name);
}

static void model_lrange(struct model_call *call) {
    range(call, MODEL_LIST);
}

static void model_zrange(struct model_call *call) {
    if (call->count > 4)
        model_error(call, "syntax error");
    else
        range(call, MODEL_ZSET);
}

static void model_lmove(struct model_call *call) {
    struct model_key *from = first_key(call);
    const struct model_key *to = model_key_find(call->model, &call->words[2]);
    const bool from_left = model_word_is(&call->words[3], "LEFT");
    const bool to_left = model_word_is(&call->words[4], "LEFT");
    if ((!from_left && !model_word_is(&call->words[3], "RIGHT")) ||
        (!to_left && !model_word_is(&call->words[4], "RIGHT"))) {
        model_error(call, "syntax error");
        return;
    }
    if (from == NULL) {
        model_format(call->reply, "$-1\r\n");
        return;
    }
    if (from->type != MODEL_LIST || (to != NULL && to->type != MODEL_LIST)) {
        model_wrong_type(call);
        return;
    }
    const size_t at = from_left ? 0 : from->count - 1;
    struct kv_model_text moved = {0};
    kv_model_text_append(&moved, from->elements[at].name.data, from->elements[at].name.length);
    model_bulk(call, &moved);
    if (to == from) {
        model_touch(call->model, &call->words[1]);
        model_element_remove(from, at);
    } else {
        remove_at(call, from, at);
    }
    struct model_key *key = model_collection(call, &call->words[2], MODEL_LIST);
    (void)model_element_put(key, to_left ? 0 : key->count,
                            &(struct kv_model_word){moved.data, moved.length});
    kv_model_text_free(&moved);
}

/* ---- Sorted sets ----------------------------------------------------------------------------- */

static void score_reply(struct model_call *call, int64_t score) {
    char text[32];
    const int bytes = snprintf(text, sizeof(text), "%" PRId64, score);
    model_format(call->reply, "$%d\r\n%s\r\n", bytes, text);
}

static bool score_read(struct model_call *call, size_t index, int64_t *score) {
    if (kv_model_read_integer(call->words[index].data, call->words[index].length, score) &&
        *score <= SCORE_MAX && *score >= -SCORE_MAX)
        return true;
    model_error(call, "value is not a valid float");
    return false;
}

/* Gives a member its score; whether it is a new one. */
static bool member_set(struct model_call *call, const struct kv_model_word *name, int64_t score) {
    struct model_key *key = model_key_find(call->model, &call->words[1]);
    const size_t at = key == NULL ? 0 : model_element_find(key, name);
    const bool is_new = key == NULL || at == key->count;
    if (!is_new && key->elements[at].score == score)
        return false; /* nothing changes */
    key = model_collection(call, &call->words[1], MODEL_ZSET);
    if (!is_new)
        model_element_remove(key, at);
    (void)model_element_sort_in(key, name, score);
    return is_new;
}

static void model_zadd(struct model_call *call) {
    int64_t score;
    int64_t added = 0;
    if (call->count % 2 != 0) {
        model_error(call, "syntax error");
        return;
    }
    for (size_t i = 2; i < call->count; i += 2)
        if (!score_read(call, i, &score))
            return;
    if (holds_other(call, MODEL_ZSET))
        return;
    for (size_t i = 2; i < call->count; i += 2) {
        (void)kv_model_read_integer(call->words[i].data, call->words[i].length, &score);
        added += member_set(call, &call->words[i + 1], score);
    }
    model_integer(call, added);
}

static void model_zincrby(struct model_call *call) {
    const struct model_key *key = first_key(call);
    int64_t amount;
    if (!score_read(call, 2, &amount) || holds_other(call, MODEL_ZSET))
        return;
    const size_t at = key == NULL ? 0 : model_element_find(key, &call->words[3]);
    if (key != NULL && at < key->count)
        amount += key->elements[at].score;
    ASSERT(amount <= SCORE_MAX && amount >= -SCORE_MAX);
    (void)member_set(call, &call->words[3], amount);
    model_touch(call->model, &call->words[1]);
    score_reply(call, amount);
}

static void model_zscore(struct model_call *call) {
    const struct model_element *member = field_find(call);
    if (member == NULL)
        model_format(call->reply, "$-1\r\n");
    else
        score_reply(call, member->score);
}

static void model_zpopmin(struct model_call *call) {
    struct model_key *key = first_key(call);
    model_format(call->reply, key == NULL ? "*0\r\n" : "*2\r\n");
    if (key == NULL)
        return;
    model_bulk(call, &key->elements[0].name);
    score_reply(call, key->elements[0].score);
    remove_at(call, key, 0);
}

const struct model_command model_collection_commands[] = {
    {"hset", -4, model_hset, MODEL_ANY},
    {"hsetnx", 4, model_hsetnx, MODEL_HASH},
    {"hget", 3, model_hget, MODEL_HASH},
    {"hdel", -3, remove_named, MODEL_HASH},
    {"hlen", 2, length, MODEL_HASH},
    {"hexists", 3, model_hexists, MODEL_HASH},
    {"hincrby", 4, model_hincrby, MODEL_ANY},
    {"hgetall", 2, model_hgetall, MODEL_HASH},
    {"lpush", -3, model_lpush, MODEL_LIST},
    {"rpush", -3, model_rpush, MODEL_LIST},
    {"lpop", 2, model_lpop, MODEL_LIST},
    {"rpop", 2, model_rpop, MODEL_LIST},
    {"llen", 2, length, MODEL_LIST},
    {"lrange", 4, model_lrange, MODEL_ANY},
    {"lmove", 5, model_lmove, MODEL_ANY},
    {"zadd", -4, model_zadd, MODEL_ANY},
    {"zincrby", 4, model_zincrby, MODEL_ANY},
    {"zrem", -3, remove_named, MODEL_ZSET},
    {"zscore", 3, model_zscore, MODEL_ZSET},
    {"zcard", 2, length, MODEL_ZSET},
    {"zrange", -4, model_zrange, MODEL_ANY},
    {"zpopmin", 2, model_zpopmin, MODEL_ZSET},
    {NULL, 0, NULL, 0},
};
