/*
 * From commands to steps: a table says what each command's words mean. A transaction is split as
 * its commands are. What does not fit any form is never guessed at: it is not modelled.
 */

#include "sim/key_model.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"

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
    {"sismember", 3, split_nothing},
    {"hset", -4, split_nothing},
    {"hsetnx", 4, split_nothing},
    {"hget", 3, split_nothing},
    {"hdel", -3, split_nothing},
    {"hlen", 2, split_nothing},
    {"hexists", 3, split_nothing},
    {"hincrby", 4, split_nothing},
    {"hgetall", 2, split_nothing},
    {"lpush", -3, split_nothing},
    {"rpush", -3, split_nothing},
    {"lpop", -2, split_nothing},
    {"rpop", -2, split_nothing},
    {"llen", 2, split_nothing},
    {"lrange", 4, split_nothing},
    {"lmove", 5, split_nothing},
    {"zadd", -4, split_nothing},
    {"zincrby", 4, split_nothing},
    {"zrem", -3, split_nothing},
    {"zscore", 3, split_nothing},
    {"zcard", 2, split_nothing},
    {"zrange", -4, split_nothing},
    {"zpopmin", -2, split_nothing},
    {"watch", -2, split_nothing},
    {"unwatch", 1, split_nothing},
};

/* The split of one command by its row; a form that does not fit is not modelled. */
static enum key_split split_one(struct splitting *s) {
    const struct split_row *row = NULL;
    for (size_t i = 0; row == NULL && i < ARRAY_COUNT(split_rows); i++)
        if (history_word_is(&s->words[0], split_rows[i].name))
            row = &split_rows[i];
    const bool fits = row != NULL && (row->arity > 0 ? s->count == (uint32_t)row->arity
                                                     : s->count >= (uint32_t)-row->arity);
    enum key_split split = fits ? row->split(s) : KEY_SPLIT_UNMODELLED;
    if (split == KEY_SPLIT_UNMODELLED && s->reply.length > 0 && *s->reply.data == '-')
        split = KEY_SPLIT_NOTHING;
    return split;
}

/* Takes a reply, an array too, from the front of a text; empty if there is none. */
static struct kv_model_word reply_take(struct kv_model_word *text) {
    const char *at = text->data;
    const char *end = text->data + text->length;
    for (int64_t left = 1; left > 0; left--) {
        const char *line = at;
        const char *newline = at == end ? NULL : memmem(at, (size_t)(end - at), "\r\n", 2);
        int64_t elements = 0;
        if (newline != NULL && *line == '*' &&
            decimal_parse_i64(line + 1, (size_t)(newline - line) - 1, &elements) == 0)
            at = newline + 2;
        else if (reply_read(&at, end).kind == KEY_REPLY_INVALID)
            return (struct kv_model_word){0};
        left += elements > 0 ? elements : 0;
    }
    const struct kv_model_word taken = {text->data, (size_t)(at - text->data)};
    text->data = at;
    text->length = (size_t)(end - at);
    return taken;
}

/* The number of words of the next command of a transaction; 0: there is none. */
static uint32_t exec_words(const struct splitting *s, uint32_t at) {
    int64_t words;
    return at < s->count && word_integer(&s->words[at], &words) && words > 0 &&
                   words < (int64_t)(s->count - at)
               ? (uint32_t)words
               : 0;
}

/* A transaction: the parts of its commands, each with its element of the reply. */
static enum key_split split_exec(struct splitting *s) {
    struct kv_model_word replies = s->reply;
    const char *newline =
        replies.length == 0 ? NULL : memmem(replies.data, replies.length, "\r\n", 2);
    if (replies.length > 0 && (*replies.data != '*' || replies.data[1] == '-'))
        return KEY_SPLIT_NOTHING; /* null, which is judged by replay alone */
    if (newline != NULL) {
        replies.length -= (size_t)(newline + 2 - replies.data);
        replies.data = newline + 2;
    }
    enum key_split split = KEY_SPLIT_NOTHING;
    uint32_t at = 1;
    for (uint32_t words; (words = exec_words(s, at)) > 0; at += 1 + words) {
        struct splitting inner = *s;
        inner.words += at + 1;
        inner.count = words;
        inner.reply = (struct kv_model_word){0};
        if (newline != NULL && !history_word_is(&inner.words[0], "watch"))
            inner.reply = reply_take(&replies);
        const enum key_split one = split_one(&inner);
        if (one == KEY_SPLIT_NOTHING)
            continue;
        if (one == KEY_SPLIT_EVERY_KEY)
            return KEY_SPLIT_UNMODELLED;
        s->part_count = inner.part_count;
        if (split != KEY_SPLIT_UNMODELLED)
            split = one;
    }
    return at == s->count ? split : KEY_SPLIT_UNMODELLED;
}

enum key_split key_model_split(const struct kv_model_word *words, uint32_t count,
                               struct kv_model_word reply, struct key_part *parts,
                               uint32_t *part_count) {
    ASSERT_HOT(count > 0 && count <= HISTORY_WORDS_MAX);
    struct splitting s = {.words = words, .count = count, .reply = reply, .parts = parts};
    const enum key_split split =
        history_word_is(&words[0], "exec") ? split_exec(&s) : split_one(&s);
    *part_count = s.part_count;
    return split;
}
