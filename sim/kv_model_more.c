/*
 * Commands that change a value in another way than SET, INCR and APPEND: with the old one as the
 * reply, or as the condition, in part, or by giving it to another key.
 */

#include "sim/kv_model_internal.h"

#include <string.h>

static void model_remove(struct model_call *call, const struct model_key *key) {
    model_key_remove(call->model, (size_t)(key - call->model->keys));
}

static void model_getset(struct model_call *call) {
    model_value(call, model_key_find(call->model, &call->words[1]));
    model_key_set(call->model, &call->words[1], &call->words[2], NO_DEADLINE);
}

static void model_getdel(struct model_call *call) {
    const struct model_key *key = model_key_find(call->model, &call->words[1]);
    model_value(call, key);
    if (key != NULL)
        model_remove(call, key);
}

/* Without options, or with PERSIST. */
static void model_getex(struct model_call *call) {
    struct model_key *key = model_key_find(call->model, &call->words[1]);
    const bool persists = call->count == 3 && model_word_is(&call->words[2], "PERSIST");
    if (call->count > 2 && !persists) {
        model_error(call, "syntax error");
        return;
    }
    model_value(call, key);
    if (key != NULL && persists && key->deadline_ms != NO_DEADLINE) {
        model_touch(call->model, &call->words[1]);
        key->deadline_ms = NO_DEADLINE;
    }
}

static void model_setnx(struct model_call *call) {
    const bool absent = model_key_find(call->model, &call->words[1]) == NULL;
    if (absent)
        model_key_set(call->model, &call->words[1], &call->words[2], NO_DEADLINE);
    model_integer(call, absent);
}

/* With ABSENT, with DELETE, or as it is. */
static void model_cas(struct model_call *call) {
    const struct model_key *key = model_key_find(call->model, &call->words[1]);
    const struct kv_model_word *expected = &call->words[2];
    const bool absent = call->count == 5 && model_word_is(&call->words[4], "ABSENT");
    const bool removes = call->count == 5 && model_word_is(&call->words[4], "DELETE");
    if ((call->count > 4 && !absent && !removes) || (absent && expected->length > 0) ||
        (removes && call->words[3].length > 0)) {
        model_error(call, "syntax error");
        return;
    }
    const bool equal = absent
                           ? key == NULL
                           : key != NULL && key->value.length == expected->length &&
                                 (expected->length == 0 ||
                                  memcmp(key->value.data, expected->data, expected->length) == 0);
    if (equal && removes)
        model_remove(call, key);
    else if (equal)
        model_key_set(call->model, &call->words[1], &call->words[3], NO_DEADLINE);
    model_integer(call, equal);
}

static void model_getrange(struct model_call *call) {
    const struct model_key *key = model_key_find(call->model, &call->words[1]);
    const int64_t length = key == NULL ? 0 : (int64_t)key->value.length;
    int64_t start;
    int64_t end;
    if (!model_argument_integer(call, 2, &start) || !model_argument_integer(call, 3, &end))
        return;
    if (start < 0 && end < 0 && start > end)
        end = start = length; /* nothing */
    start = start < 0 ? start + length : start;
    end = end < 0 ? end + length : end;
    start = start < 0 ? 0 : start;
    end = end < 0 ? 0 : end >= length ? length - 1 : end;
    if (length == 0 || start > end) {
        model_format(call->reply, "$0\r\n\r\n");
        return;
    }
    model_format(call->reply, "$%zu\r\n", (size_t)(end - start + 1));
    kv_model_text_append(call->reply, key->value.data + start, (size_t)(end - start + 1));
    kv_model_text_append(call->reply, "\r\n", 2);
}

static void model_setrange(struct model_call *call) {
    struct model_key *key = model_key_find(call->model, &call->words[1]);
    const struct kv_model_word *bytes = &call->words[3];
    const size_t before = key == NULL ? 0 : key->value.length;
    int64_t offset;
    if (!model_argument_integer(call, 2, &offset))
        return;
    if (offset < 0) {
        model_error(call, "offset is out of range");
        return;
    }
    if (bytes->length == 0) {
        model_integer(call, (int64_t)before);
        return;
    }
    if ((uint64_t)offset + bytes->length > call->model->value_bytes_max) {
        model_error(call, "string exceeds maximum allowed size (proto-max-bulk-len)");
        return;
    }
    key = model_key_make(call->model, &call->words[1]);
    while (key->value.length < (uint64_t)offset + bytes->length)
        kv_model_text_append(&key->value, "", 1);
    memcpy(key->value.data + offset, bytes->data, bytes->length);
    model_integer(call, (int64_t)key->value.length);
}

/* Gives what the first key has, and its deadline, to the second. */
static void model_give(struct model_call *call, const struct model_key *from) {
    const size_t index = (size_t)(from - call->model->keys);
    const struct kv_model_word nothing = {"", 0};
    model_key_set(call->model, &call->words[2], &nothing, from->deadline_ms);
    struct model_key *to = model_key_find(call->model, &call->words[2]);
    from = &call->model->keys[index]; /* where it is, if there are more of them now */
    to->type = from->type;
    kv_model_text_append(&to->value, from->value.data, from->value.length);
    model_elements_copy(to, from);
}

static bool model_same_key(const struct model_call *call) {
    return call->words[1].length == call->words[2].length &&
           (call->words[1].length == 0 ||
            memcmp(call->words[1].data, call->words[2].data, call->words[1].length) == 0);
}

static void model_rename(struct model_call *call) {
    const struct model_key *from = model_key_find(call->model, &call->words[1]);
    if (from == NULL) {
        model_error(call, "no such key");
        return;
    }
    if (!model_same_key(call)) {
        model_give(call, from);
        model_remove(call, model_key_find(call->model, &call->words[1]));
    }
    model_format(call->reply, "+OK\r\n");
}

static void model_copy(struct model_call *call) {
    const struct model_key *from = model_key_find(call->model, &call->words[1]);
    const bool there = model_key_find(call->model, &call->words[2]) != NULL;
    const bool replaces = call->count == 4 && model_word_is(&call->words[3], "REPLACE");
    if (call->count > 3 && !replaces) {
        model_error(call, "syntax error");
        return;
    }
    if (model_same_key(call)) {
        model_error(call, "source and destination objects are the same");
        return;
    }
    if (from == NULL || (there && !replaces)) {
        model_integer(call, 0);
        return;
    }
    model_give(call, from);
    model_integer(call, 1);
}

#define S MODEL_STRING
const struct model_command model_more_commands[] = {
    {"getset", 3, model_getset, S},     {"getdel", 2, model_getdel, S},
    {"getex", -2, model_getex, S},      {"setnx", 3, model_setnx, 0},
    {"cas", -4, model_cas, S},          {"getrange", 4, model_getrange, S},
    {"setrange", 4, model_setrange, S}, {"rename", 3, model_rename, 0},
    {"copy", -3, model_copy, 0},        {NULL, 0, NULL, 0},
};
#undef S
