/*
 * Splitting first: a table says what each command's words mean. Then the steps, a function for each
 * verb. What does not fit any form is never guessed at: it is not modelled.
 */

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

/* Takes one reply that is no aggregate from *at; INVALID if there is none. */
static struct key_reply reply_read(const char **at, const char *end) {
    struct key_reply reply = {.kind = KEY_REPLY_INVALID};
    const char *line = *at;
    const char *newline = line == end ? NULL : memmem(line, (size_t)(end - line), "\r\n", 2);
    if (newline == NULL)
        return reply;
    const struct kv_model_word text = {line + 1, (size_t)(newline - line) - 1};
    *at = newline + 2;
    int64_t number = 0;
    const bool is_number = decimal_parse_i64(text.data, text.length, &number) == 0;
    reply.text = text;
    reply.integer = number;
    if (*line == '+') {
        reply.kind = KEY_REPLY_STATUS;
    } else if (*line == '-') {
        reply.kind = KEY_REPLY_ERROR;
    } else if (*line == ':' && is_number) {
        reply.kind = KEY_REPLY_INTEGER;
    } else if (*line == '$' && is_number && number == -1) {
        reply.kind = KEY_REPLY_NULL;
    } else if (*line == '$' && is_number && number >= 0 && end - *at >= 2 &&
               number <= end - *at - 2) {
        reply.kind = KEY_REPLY_BULK;
        reply.text = (struct kv_model_word){*at, (size_t)number};
        *at += number + 2;
    }
    return reply;
}

/* The whole reply; ANY if it is empty. */
static struct key_reply reply_whole(struct kv_model_word word) {
    if (word.length == 0)
        return (struct key_reply){.kind = KEY_REPLY_ANY};
    const char *at = word.data;
    struct key_reply reply = reply_read(&at, word.data + word.length);
    if (at != word.data + word.length)
        reply.kind = KEY_REPLY_INVALID;
    return reply;
}

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

/* ---- Splitting ------------------------------------------------------------------------------- */

/* A command under way to its parts. */
struct splitting {
    const struct kv_model_word *words;
    uint32_t count;
    struct kv_model_word reply;
    struct key_part *parts;
    uint32_t part_count;
};

static struct key_part *part_add(struct splitting *s, uint32_t key_word, enum key_verb verb) {
    ASSERT_HOT(s->part_count < HISTORY_WORDS_MAX);
    struct key_part *part = &s->parts[s->part_count++];
    *part = (struct key_part){.step = {.verb = verb}, .reply = reply_whole(s->reply)};
    if (key_word > 0)
        part->key = s->words[key_word];
    return part;
}

static enum key_split split_get(struct splitting *s) {
    (void)part_add(s, 1, KEY_GET);
    return KEY_SPLIT_PARTS;
}

static enum key_split split_strlen(struct splitting *s) {
    (void)part_add(s, 1, KEY_STRLEN);
    return KEY_SPLIT_PARTS;
}

static enum key_split split_type(struct splitting *s) {
    (void)part_add(s, 1, KEY_TYPE);
    return KEY_SPLIT_PARTS;
}

static enum key_split split_exists(struct splitting *s) {
    if (s->count > 2)
        return KEY_SPLIT_NOTHING;
    (void)part_add(s, 1, KEY_EXISTS);
    return KEY_SPLIT_PARTS;
}

static enum key_split split_set(struct splitting *s) {
    struct key_part *part = part_add(s, 1, KEY_SET);
    part->step.argument = s->words[2];
    for (uint32_t i = 3; i < s->count; i++) {
        if (history_word_is(&s->words[i], "NX"))
            part->step.if_absent = true;
        else if (history_word_is(&s->words[i], "XX"))
            part->step.if_present = true;
        else if (history_word_is(&s->words[i], "GET"))
            part->step.give_old = true;
        else
            return KEY_SPLIT_UNMODELLED; /* a deadline */
    }
    return part->step.if_absent && part->step.if_present ? KEY_SPLIT_UNMODELLED : KEY_SPLIT_PARTS;
}

static enum key_split split_getset(struct splitting *s) {
    struct key_part *part = part_add(s, 1, KEY_SET);
    part->step.argument = s->words[2];
    part->step.give_old = true;
    return KEY_SPLIT_PARTS;
}

static enum key_split split_setnx(struct splitting *s) {
    struct key_part *part = part_add(s, 1, KEY_SET);
    part->step.argument = s->words[2];
    part->step.if_absent = part->step.give_integer = true;
    return KEY_SPLIT_PARTS;
}

static enum key_split split_getdel(struct splitting *s) {
    (void)part_add(s, 1, KEY_GETDEL);
    return KEY_SPLIT_PARTS;
}

static enum key_split split_getex(struct splitting *s) {
    (void)part_add(s, 1, KEY_GET);
    return s->count == 2 ? KEY_SPLIT_PARTS : KEY_SPLIT_UNMODELLED;
}

static enum key_split split_cas(struct splitting *s) {
    struct key_part *part = part_add(s, 1, KEY_CAS);
    part->step.expected = s->words[2];
    part->step.argument = s->words[3];
    part->step.if_absent = s->count == 5 && history_word_is(&s->words[4], "ABSENT");
    part->step.removes = s->count == 5 && history_word_is(&s->words[4], "DELETE");
    return s->count == 4 || part->step.if_absent || part->step.removes ? KEY_SPLIT_PARTS
                                                                       : KEY_SPLIT_UNMODELLED;
}

static bool word_integer(const struct kv_model_word *word, int64_t *value) {
    return decimal_parse_i64(word->data, word->length, value) == 0;
}

static enum key_split split_getrange(struct splitting *s) {
    struct key_part *part = part_add(s, 1, KEY_GETRANGE);
    const bool are_numbers = word_integer(&s->words[2], &part->step.amount) &&
                             word_integer(&s->words[3], &part->step.end);
    /* What counts from the end is not modelled: nobody asks for it. */
    return are_numbers && part->step.amount >= 0 && part->step.end >= 0 ? KEY_SPLIT_PARTS
                                                                        : KEY_SPLIT_NOTHING;
}

static enum key_split split_setrange(struct splitting *s) {
    struct key_part *part = part_add(s, 1, KEY_SETRANGE);
    part->step.argument = s->words[3];
    return word_integer(&s->words[2], &part->step.amount) && part->step.amount >= 0 &&
                   s->words[3].length > 0
               ? KEY_SPLIT_PARTS
               : KEY_SPLIT_UNMODELLED;
}

static enum key_split split_incr(struct splitting *s) {
    part_add(s, 1, KEY_ADD)->step.amount = 1;
    return KEY_SPLIT_PARTS;
}

static enum key_split split_decr(struct splitting *s) {
    part_add(s, 1, KEY_ADD)->step.amount = -1;
    return KEY_SPLIT_PARTS;
}

static enum key_split split_incrby(struct splitting *s) {
    struct key_part *part = part_add(s, 1, KEY_ADD);
    return decimal_parse_i64(s->words[2].data, s->words[2].length, &part->step.amount) == 0
               ? KEY_SPLIT_PARTS
               : KEY_SPLIT_UNMODELLED;
}

static enum key_split split_decrby(struct splitting *s) {
    struct key_part *part = part_add(s, 1, KEY_ADD);
    if (!word_integer(&s->words[2], &part->step.amount) || part->step.amount == INT64_MIN)
        return KEY_SPLIT_UNMODELLED;
    part->step.amount = -part->step.amount;
    return KEY_SPLIT_PARTS;
}

static enum key_split split_append(struct splitting *s) {
    part_add(s, 1, KEY_APPEND)->step.argument = s->words[2];
    return KEY_SPLIT_PARTS;
}

/* Whether a later word of the same kind names the same key. */
static bool key_comes_again(const struct splitting *s, uint32_t word, uint32_t step) {
    for (uint32_t i = word + step; i < s->count; i += step)
        if (words_equal(&s->words[i], &s->words[word]))
            return true;
    return false;
}

static enum key_split split_del(struct splitting *s) {
    for (uint32_t i = 1; i < s->count; i++) {
        if (key_comes_again(s, i, 1))
            continue;
        struct key_part *part = part_add(s, i, KEY_DEL);
        if (s->count > 2)
            part->reply.kind = KEY_REPLY_ANY;
    }
    return KEY_SPLIT_PARTS;
}

static enum key_split split_mset(struct splitting *s) {
    if (s->count % 2 == 0)
        return KEY_SPLIT_UNMODELLED;
    for (uint32_t i = 1; i < s->count; i += 2)
        if (!key_comes_again(s, i, 2)) /* the last value wins */
            part_add(s, i, KEY_SET)->step.argument = s->words[i + 1];
    return KEY_SPLIT_PARTS;
}

static enum key_split split_mget(struct splitting *s) {
    const char *at = s->reply.data;
    const char *end = s->reply.data + s->reply.length;
    const char *newline = s->reply.length == 0 ? NULL : memmem(at, s->reply.length, "\r\n", 2);
    int64_t elements = -1;
    if (newline != NULL && *at == '*')
        (void)decimal_parse_i64(at + 1, (size_t)(newline - at) - 1, &elements);
    const bool is_array = elements == (int64_t)s->count - 1;
    if (is_array)
        at = newline + 2;
    for (uint32_t i = 1; i < s->count; i++) {
        struct key_part *part = part_add(s, i, KEY_GET);
        if (is_array)
            part->reply = reply_read(&at, end);
    }
    if (is_array && at != end)
        s->parts[0].reply.kind = KEY_REPLY_INVALID;
    return KEY_SPLIT_PARTS;
}

static enum key_split split_nothing(struct splitting *s) {
    (void)s;
    return KEY_SPLIT_NOTHING;
}

static enum key_split split_two_keys(struct splitting *s) {
    (void)part_add(s, 1, KEY_GET);
    (void)part_add(s, 2, KEY_GET);
    return KEY_SPLIT_UNMODELLED;
}

static enum key_split split_unmodelled(struct splitting *s) {
    (void)part_add(s, 1, KEY_GET);
    return KEY_SPLIT_UNMODELLED;
}

static enum key_split split_flush(struct splitting *s) {
    part_add(s, 0, KEY_DEL)->reply.kind = KEY_REPLY_ANY;
    return KEY_SPLIT_EVERY_KEY;
}

/* The arity as Redis has it: with the name, negative for "at least". */
static const struct split_row {
    const char *name;
    int32_t arity;
    enum key_split (*split)(struct splitting *s);
} split_rows[] = {
    {"get", 2, split_get},
    {"set", -3, split_set},
    {"del", -2, split_del},
    {"exists", -2, split_exists},
    {"incr", 2, split_incr},
    {"decr", 2, split_decr},
    {"incrby", 3, split_incrby},
    {"append", 3, split_append},
    {"strlen", 2, split_strlen},
    {"mget", -2, split_mget},
    {"mset", -3, split_mset},
    {"ttl", 2, split_nothing},
    {"pttl", 2, split_nothing},
    {"expire", -3, split_unmodelled},
    {"pexpire", -3, split_unmodelled},
    {"persist", 2, split_unmodelled},
    {"type", 2, split_type},
    {"dbsize", 1, split_nothing},
    {"flushall", -1, split_flush},
    {"flushdb", -1, split_flush},
    {"keys", 2, split_nothing},
    {"scan", -2, split_nothing},
    {"getset", 3, split_getset},
    {"setnx", 3, split_setnx},
    {"getdel", 2, split_getdel},
    {"getex", -2, split_getex},
    {"cas", -4, split_cas},
    {"getrange", 4, split_getrange},
    {"setrange", 4, split_setrange},
    {"decrby", 3, split_decrby},
    {"unlink", -2, split_del},
    {"touch", -2, split_exists},
    {"rename", 3, split_two_keys},
    {"copy", -3, split_two_keys},
    {"sadd", -3, split_nothing},
    {"srem", -3, split_nothing},
    {"spop", -2, split_nothing},
    {"smove", 4, split_nothing},
    {"sunionstore", -3, split_nothing},
    {"scard", 2, split_nothing},
    {"smembers", 2, split_nothing},
};

enum key_split key_model_split(const struct kv_model_word *words, uint32_t count,
                               struct kv_model_word reply, struct key_part *parts,
                               uint32_t *part_count) {
    ASSERT_HOT(count > 0 && count <= HISTORY_WORDS_MAX);
    struct splitting s = {.words = words, .count = count, .reply = reply, .parts = parts};
    const struct split_row *row = NULL;
    for (size_t i = 0; row == NULL && i < ARRAY_COUNT(split_rows); i++)
        if (history_word_is(&words[0], split_rows[i].name))
            row = &split_rows[i];
    enum key_split split = KEY_SPLIT_UNMODELLED;
    const bool fits = row != NULL && (row->arity > 0 ? count == (uint32_t)row->arity
                                                     : count >= (uint32_t)-row->arity);
    if (fits)
        split = row->split(&s);
    if (split == KEY_SPLIT_UNMODELLED && reply.length > 0 && *reply.data == '-')
        split = KEY_SPLIT_NOTHING;
    *part_count = s.part_count;
    return split;
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
