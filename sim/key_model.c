/* Replies, and the steps on a key: a function for each verb. */

#include "sim/key_model.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"

static const char not_an_integer[] = "ERR value is not an integer or out of range";
static const char overflow[] = "ERR increment or decrement would overflow";
static const char too_long[] = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

static struct kv_model_word word_of(const char *text) {
    return (struct kv_model_word){text, strlen(text)};
}

static bool words_equal(const struct kv_model_word *a, const struct kv_model_word *b) {
    return a->length == b->length && (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

/* ---- Replies --------------------------------------------------------------------------------- */

bool key_reply_fits(const struct key_reply *seen, const struct key_reply *given) {
    ASSERT_HOT(given->kind != KEY_REPLY_ANY && given->kind != KEY_REPLY_INVALID);
    if (seen->kind == KEY_REPLY_ANY)
        return true;
    if (seen->kind != given->kind)
        return false;
    if (seen->kind == KEY_REPLY_NULL)
        return true;
    if (seen->kind == KEY_REPLY_INTEGER)
        return seen->integer == given->integer;
    return words_equal(&seen->text, &given->text);
}

void key_reply_print(struct kv_model_text *out, const struct key_reply *reply) {
    enum { SHOWN_BYTES_MAX = 80 };
    static const char signs[] = {[KEY_REPLY_BULK] = '$',
                                 [KEY_REPLY_STATUS] = '+',
                                 [KEY_REPLY_ERROR] = '-',
                                 [KEY_REPLY_INVALID] = '?'};
    if (reply->kind == KEY_REPLY_ANY) {
        history_print(out, "anything");
    } else if (reply->kind == KEY_REPLY_NULL) {
        history_print(out, "null");
    } else if (reply->kind == KEY_REPLY_INTEGER) {
        history_print(out, ":%" PRId64, reply->integer);
    } else {
        const bool is_cut = reply->text.length > SHOWN_BYTES_MAX;
        history_print(out, "%c", signs[reply->kind]);
        history_print_bytes(out, reply->text.data, is_cut ? SHOWN_BYTES_MAX : reply->text.length,
                            reply->kind == KEY_REPLY_BULK);
        if (is_cut)
            history_print(out, "... (%zu bytes)", reply->text.length);
    }
}

/* ---- Steps ----------------------------------------------------------------------------------- */

bool key_step_is_write(const struct key_step *step) {
    return step->verb >= KEY_SET;
}

bool key_step_equal(const struct key_step *a, const struct key_step *b) {
    return a->verb == b->verb && a->if_absent == b->if_absent && a->if_present == b->if_present &&
           a->give_old == b->give_old && a->give_integer == b->give_integer &&
           a->removes == b->removes && a->amount == b->amount && a->end == b->end &&
           words_equal(&a->argument, &b->argument) && words_equal(&a->expected, &b->expected);
}

static struct key_reply reply_of_error(const char *text) {
    return (struct key_reply){.kind = KEY_REPLY_ERROR, .text = word_of(text)};
}

static struct key_reply reply_of_integer(int64_t value) {
    return (struct key_reply){.kind = KEY_REPLY_INTEGER, .integer = value};
}

static struct key_reply reply_of_status(const char *text) {
    return (struct key_reply){.kind = KEY_REPLY_STATUS, .text = word_of(text)};
}

static struct key_reply reply_of_value(const struct kv_model_word *value) {
    return value->data == NULL ? (struct key_reply){.kind = KEY_REPLY_NULL}
                               : (struct key_reply){.kind = KEY_REPLY_BULK, .text = *value};
}

static bool take_set(const struct key_step *step, const struct kv_model_word *value, char *room,
                     size_t room_bytes, struct kv_model_word *next, struct key_reply *reply) {
    const bool is_there = value->data != NULL;
    if ((step->if_absent && is_there) || (step->if_present && !is_there)) {
        *reply = step->give_integer ? reply_of_integer(0)
                 : step->give_old   ? reply_of_value(value)
                                    : (struct key_reply){.kind = KEY_REPLY_NULL};
        return true;
    }
    if (step->argument.length > room_bytes)
        return false;
    if (step->argument.length > 0)
        memcpy(room, step->argument.data, step->argument.length);
    *next = (struct kv_model_word){room, step->argument.length};
    *reply = step->give_integer ? reply_of_integer(1)
             : step->give_old   ? reply_of_value(value)
                                : reply_of_status("OK");
    return true;
}

static bool take_cas(const struct key_step *step, const struct kv_model_word *value, char *room,
                     size_t room_bytes, struct kv_model_word *next, struct key_reply *reply) {
    const bool is_there = value->data != NULL;
    const bool is_equal =
        step->if_absent ? !is_there : is_there && words_equal(value, &step->expected);
    *reply = reply_of_integer(is_equal);
    if (!is_equal)
        return true;
    if (step->removes) {
        *next = (struct kv_model_word){0};
        return true;
    }
    if (step->argument.length > room_bytes)
        return false;
    if (step->argument.length > 0)
        memcpy(room, step->argument.data, step->argument.length);
    *next = (struct kv_model_word){room, step->argument.length};
    return true;
}

static void take_getrange(const struct key_step *step, const struct kv_model_word *value,
                          struct key_reply *reply) {
    const int64_t length = value->data == NULL ? 0 : (int64_t)value->length;
    const int64_t end = step->end < length ? step->end + 1 : length;
    const bool is_empty = step->amount >= end;
    reply->kind = KEY_REPLY_BULK;
    reply->text =
        is_empty ? word_of("")
                 : (struct kv_model_word){value->data + step->amount, (size_t)(end - step->amount)};
}

static bool take_setrange(const struct key_step *step, uint64_t value_bytes_max,
                          const struct kv_model_word *value, char *room, size_t room_bytes,
                          struct kv_model_word *next, struct key_reply *reply) {
    const uint64_t end = (uint64_t)step->amount + step->argument.length;
    const size_t before = value->data == NULL ? 0 : value->length;
    const size_t length = end > before ? (size_t)end : before;
    if (end > value_bytes_max) {
        *reply = reply_of_error(too_long);
        return true;
    }
    if (length > room_bytes)
        return false;
    if (before > 0)
        memcpy(room, value->data, before);
    memset(room + before, 0, length - before);
    memcpy(room + step->amount, step->argument.data, step->argument.length);
    *next = (struct kv_model_word){room, length};
    *reply = reply_of_integer((int64_t)length);
    return true;
}

static bool take_add(const struct key_step *step, const struct kv_model_word *value, char *room,
                     size_t room_bytes, struct kv_model_word *next, struct key_reply *reply) {
    int64_t number = 0;
    if (value->data != NULL && decimal_parse_i64(value->data, value->length, &number) != 0) {
        *reply = reply_of_error(not_an_integer);
        return true;
    }
    if (__builtin_add_overflow(number, step->amount, &number)) {
        *reply = reply_of_error(overflow);
        return true;
    }
    if (room_bytes < DECIMAL_BYTES_MAX)
        return false;
    *next = (struct kv_model_word){room, decimal_format_i64(room, number)};
    *reply = reply_of_integer(number);
    return true;
}

static bool take_append(const struct key_step *step, uint64_t value_bytes_max,
                        const struct kv_model_word *value, char *room, size_t room_bytes,
                        struct kv_model_word *next, struct key_reply *reply) {
    const size_t before = value->data == NULL ? 0 : value->length;
    const size_t length = before + step->argument.length;
    if (length > value_bytes_max) {
        *reply = reply_of_error(too_long);
        return true;
    }
    if (length > room_bytes)
        return false;
    if (before > 0)
        memcpy(room, value->data, before);
    if (step->argument.length > 0)
        memcpy(room + before, step->argument.data, step->argument.length);
    *next = (struct kv_model_word){room, length};
    *reply = reply_of_integer((int64_t)length);
    return true;
}

bool key_step_take(const struct key_step *step, uint64_t value_bytes_max,
                   const struct kv_model_word *value, char *room, size_t room_bytes,
                   struct kv_model_word *next, struct key_reply *reply) {
    const bool is_there = value->data != NULL;
    *next = *value;
    switch (step->verb) {
    case KEY_GET: *reply = reply_of_value(value); return true;
    case KEY_STRLEN: *reply = reply_of_integer(is_there ? (int64_t)value->length : 0); return true;
    case KEY_TYPE: *reply = reply_of_status(is_there ? "string" : "none"); return true;
    case KEY_EXISTS: *reply = reply_of_integer(is_there); return true;
    case KEY_GETRANGE: take_getrange(step, value, reply); return true;
    case KEY_SET: return take_set(step, value, room, room_bytes, next, reply);
    case KEY_ADD: return take_add(step, value, room, room_bytes, next, reply);
    case KEY_APPEND:
        return take_append(step, value_bytes_max, value, room, room_bytes, next, reply);
    case KEY_GETDEL:
        *reply = reply_of_value(value);
        *next = (struct kv_model_word){0};
        return true;
    case KEY_CAS: return take_cas(step, value, room, room_bytes, next, reply);
    case KEY_SETRANGE:
        return take_setrange(step, value_bytes_max, value, room, room_bytes, next, reply);
    case KEY_DEL:
        *reply = reply_of_integer(is_there);
        *next = (struct kv_model_word){0};
        return true;
    }
    UNREACHABLE("every verb has its step");
}
