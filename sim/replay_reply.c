/* One reply against the model. Most are compared byte by byte; those that depend on a clock, or
 * whose order is of no account, are not. */

#include "sim/replay_internal.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"

/* The number of a reply ":number\r\n". */
static bool reply_integer(const char *reply, size_t length, int64_t *value) {
    return length > 3 && *reply == ':' && decimal_parse_i64(reply + 1, length - 3, value) == 0;
}

static bool word_is_one_of(const struct kv_model_word *name, const char *const *names,
                           size_t count) {
    for (size_t i = 0; i < count; i++)
        if (history_word_is(name, names[i]))
            return true;
    return false;
}

/* Commands whose replies are strings in an order that is of no account. */
static bool is_listing(const struct kv_model_word *name) {
    static const char *const names[] = {"keys", "scan", "smembers"};
    return word_is_one_of(name, names, ARRAY_COUNT(names));
}

bool replay_is_write(const struct kv_model_word *words, uint32_t count) {
    static const char *const writes[] = {
        "set",     "del",         "incr",     "decr",    "incrby",  "append",  "mset",   "expire",
        "pexpire", "persist",     "flushall", "flushdb", "getset",  "setnx",   "getdel", "getex",
        "cas",     "setrange",    "decrby",   "unlink",  "rename",  "copy",    "sadd",   "srem",
        "spop",    "sunionstore", "hset",     "hsetnx",  "hdel",    "hincrby", "lpush",  "rpush",
        "lpop",    "rpop",        "lmove",    "zadd",    "zincrby", "zrem",    "zpopmin"};
    if (!history_word_is(&words[0], "exec"))
        return word_is_one_of(&words[0], writes, ARRAY_COUNT(writes));
    size_t command_words;
    for (size_t at = 1, first;
         (first = kv_model_exec_next(words, count, &at, &command_words)) != 0;)
        if (word_is_one_of(&words[first], writes, ARRAY_COUNT(writes)))
            return true;
    return false;
}

bool replay_is_null(const struct kv_model_word *reply) {
    return reply->length == 5 &&
           (memcmp(reply->data, "*-1\r\n", 5) == 0 || memcmp(reply->data, "$-1\r\n", 5) == 0);
}

bool replay_reply_is_free(const struct kv_model_word *words, uint32_t count,
                          const struct kv_model_word *reply) {
    static const char complete[] = "*2\r\n$1\r\n0\r\n";
    if (history_word_is(&words[0], "unwatch"))
        return true;
    if (!history_word_is(&words[0], "scan") || count < 2 || reply->length == 0 ||
        *reply->data != '*')
        return false;
    return !history_word_is(&words[1], "0") || reply->length < sizeof(complete) - 1 ||
           memcmp(reply->data, complete, sizeof(complete) - 1) != 0;
}

/* Whether what a client saw of one command fits the model's reply, `given`. */
static bool one_fits(struct replay *replay, const struct kv_model_word *words,
                     const struct kv_model_word *seen, const struct kv_model_word *given) {
    int64_t most;
    int64_t number;
    if (given->length > 0 && *given->data == *KV_MODEL_ANYTHING)
        return true;
    if (history_word_is(&words[0], "ttl") || history_word_is(&words[0], "pttl")) {
        if (reply_integer(seen->data, seen->length, &number) &&
            reply_integer(given->data, given->length, &most))
            return most < 0 ? number == most : number >= 0 && number <= most;
    }
    const bool are_pairs = history_word_is(&words[0], "hgetall");
    if (!are_pairs && !is_listing(&words[0]))
        return seen->length == given->length && memcmp(seen->data, given->data, seen->length) == 0;
    if (seen->length != given->length)
        return false;
    replay->sorted.length = 0;
    kv_model_text_append(&replay->sorted, seen->data, seen->length);
    if (are_pairs)
        kv_model_sort_pairs(&replay->sorted);
    else
        kv_model_sort_array(&replay->sorted);
    return memcmp(replay->sorted.data, given->data, given->length) == 0;
}

/* Takes a reply from the front of a text. */
static struct kv_model_word element_take(struct kv_model_word *text) {
    const struct kv_model_word element = {text->data,
                                          kv_model_reply_bytes(text->data, text->length)};
    text->data += element.length;
    text->length -= element.length;
    return element;
}

/* Behind the head of an array; false if it is none. */
static bool array_enter(struct kv_model_word *text) {
    const char *newline =
        text->length == 0 || *text->data != '*' ? NULL : memchr(text->data, '\n', text->length);
    if (newline == NULL || kv_model_reply_bytes(text->data, text->length) != text->length)
        return false;
    text->length -= (size_t)(newline + 1 - text->data);
    text->data = newline + 1;
    return true;
}

static bool exec_fits(struct replay *replay, const struct kv_model_word *words, uint32_t count,
                      struct kv_model_word seen, struct kv_model_word given) {
    if (replay_is_null(&seen) || replay_is_null(&given))
        return replay_is_null(&seen) && replay_is_null(&given);
    if (!array_enter(&seen) || !array_enter(&given))
        return false;
    size_t command_words;
    for (size_t at = 1, first;
         (first = kv_model_exec_next(words, count, &at, &command_words)) != 0;) {
        if (replay_is_watch(&words[first]))
            continue;
        const struct kv_model_word element = element_take(&seen);
        const struct kv_model_word own = element_take(&given);
        if (element.length == 0 || !one_fits(replay, &words[first], &element, &own))
            return false;
    }
    return seen.length == 0 && given.length == 0;
}

bool replay_reply_fits(struct replay *replay, const struct kv_model_word *words, uint32_t count,
                       const struct kv_model_word *reply) {
    ASSERT_HOT(replay->reply.length > 0);
    const struct kv_model_word given = {replay->reply.data, replay->reply.length};
    if (history_word_is(&words[0], "exec"))
        return exec_fits(replay, words, count, *reply, given);
    return one_fits(replay, words, reply, &given);
}
