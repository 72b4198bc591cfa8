/*
 * Commands about fields of a hash that are named. Each begins with kv_find and kv_typed, and, if it
 * writes, kv_protect; from there on it cannot fail. Replies are those of Redis 7.0.
 */

#include "machines/kv_hash.h"

/* An argument of the command in execution. */
static struct kv_bytes kv_hash_argument(const struct kv_call *call, uint64_t index) {
    ASSERT_HOT(index < call->operation->argument_count);
    return kv_bytes_of(call->operation->arguments[index]);
}

enum kv_step kv_hget(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    struct kv_bytes value;
    if (!kv_typed(call, &found, KV_TYPE_HASH))
        return KV_DONE;
    if (kv_member_find(call, &found, kv_hash_argument(call, 1), &value))
        return kv_reply_bytes(call, value.data, value.length_bytes);
    kv_reply_null(call);
    return KV_DONE;
}

enum kv_step kv_hlen(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_HASH))
        return KV_DONE;
    const uint64_t count = found.present != NULL ? kv_collection_count(found.present) : 0;
    kv_reply_integer(call, (int64_t)count);
    return KV_DONE;
}

/* Words: 0 the argument it is at, from 1 on, 1 how many fields are new; 2..4 kv_member_put. */
static enum kv_step kv_hash_put_all(struct kv_call *call, struct kv_found *found) {
    uint64_t *word = call->cursor->word;
    if (kv_protect(call, found) == KV_MORE)
        return KV_MORE;
    if (word[0] == 0)
        word[0] = 1;
    for (; word[0] < call->operation->argument_count; word[0] += 2) {
        const struct kv_bytes value = kv_hash_argument(call, word[0] + 1);
        bool created;
        if (call->run->budget == 0 ||
            kv_member_put(call, found, KV_TYPE_HASH, kv_hash_argument(call, word[0]), &value,
                          &created) == KV_MORE)
            return KV_MORE;
        word[1] += created;
        kv_spend(call, 1);
    }
    return KV_DONE;
}

/* HSET, and HMSET, which answers OK. */
enum kv_step kv_hset(struct kv_call *call) {
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_HASH))
        return KV_DONE;
    if (kv_hash_put_all(call, &found) == KV_MORE)
        return KV_MORE;
    kv_reply_integer(call, (int64_t)call->cursor->word[1]);
    return KV_DONE;
}

/* Words: 0 the argument it is at, from 1 on, 1 how many fields were there. */
enum kv_step kv_hdel(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    struct kv_found found = kv_find(call, 0, 0);
    if (word[1] == 0 && !kv_typed(call, &found, KV_TYPE_HASH))
        return KV_DONE;
    if (kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    if (word[0] == 0)
        word[0] = 1;
    for (; word[0] < call->operation->argument_count && found.present != NULL; word[0]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        word[1] += kv_member_remove(call, &found, kv_hash_argument(call, word[0]));
        kv_spend(call, 1);
    }
    kv_reply_integer(call, (int64_t)word[1]);
    return KV_DONE;
}
