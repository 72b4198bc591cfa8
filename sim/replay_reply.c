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

static bool is_listing(const struct kv_model_word *name) {
    return history_word_is(name, "keys") || history_word_is(name, "scan");
}

bool replay_name_is_write(const struct kv_model_word *name) {
    static const char *const writes[] = {
        "set",    "del",     "incr",    "decr",     "incrby",  "append",     "mset",
        "expire", "pexpire", "persist", "flushall", "flushdb", "getset",     "setnx",
        "getdel", "getex",   "cas",     "setrange", "decrby",  "unlink",     "rename",
        "copy",   "sadd",    "srem",    "spop",     "smove",   "sunionstore"};
    for (size_t i = 0; i < ARRAY_COUNT(writes); i++)
        if (history_word_is(name, writes[i]))
            return true;
    return false;
}

/* Of sets the model knows nothing: what SPOP takes is nobody's to foresee. */
static bool is_about_sets(const struct kv_model_word *name) {
    static const char *const names[] = {"sadd",        "srem",  "spop",    "smove",
                                        "sunionstore", "scard", "smembers"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (history_word_is(name, names[i]))
            return true;
    return false;
}

bool replay_reply_is_free(const struct kv_model_word *words, uint32_t count,
                          const struct kv_model_word *reply) {
    static const char complete[] = "*2\r\n$1\r\n0\r\n";
    if (is_about_sets(&words[0]))
        return true;
    if (!history_word_is(&words[0], "scan") || count < 2 || reply->length == 0 ||
        *reply->data != '*')
        return false;
    return !history_word_is(&words[1], "0") || reply->length < sizeof(complete) - 1 ||
           memcmp(reply->data, complete, sizeof(complete) - 1) != 0;
}

bool replay_reply_fits(struct replay *replay, const struct kv_model_word *words,
                       const struct kv_model_word *reply) {
    int64_t most;
    int64_t seen;
    ASSERT_HOT(replay->reply.length > 0);
    if (history_word_is(&words[0], "ttl") || history_word_is(&words[0], "pttl")) {
        if (reply_integer(reply->data, reply->length, &seen) &&
            reply_integer(replay->reply.data, replay->reply.length, &most))
            return most < 0 ? seen == most : seen >= 0 && seen <= most;
    }
    if (!is_listing(&words[0]))
        return reply->length == replay->reply.length &&
               memcmp(reply->data, replay->reply.data, reply->length) == 0;
    replay->sorted.length = 0;
    kv_model_text_append(&replay->sorted, reply->data, reply->length);
    kv_model_sort_array(&replay->sorted);
    return replay->sorted.length == replay->reply.length &&
           memcmp(replay->sorted.data, replay->reply.data, replay->reply.length) == 0;
}
