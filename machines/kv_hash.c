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

enum kv_step kv_hexists(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    if (kv_typed(call, &found, KV_TYPE_HASH))
        kv_reply_integer(call, kv_member_find(call, &found, kv_hash_argument(call, 1), NULL));
    return KV_DONE;
}

enum kv_step kv_hstrlen(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    struct kv_bytes value = {NULL, 0};
    if (!kv_typed(call, &found, KV_TYPE_HASH))
        return KV_DONE;
    if (!kv_member_find(call, &found, kv_hash_argument(call, 1), &value))
        value.length_bytes = 0;
    kv_reply_integer(call, value.length_bytes);
    return KV_DONE;
}

/* Words: 0 the argument it is at, 5 and 6 kv_reply_bytes. */
enum kv_step kv_hmget(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    const struct kv_found found = kv_find(call, 0, 0);
    if (call->reply == NULL || !kv_typed(call, &found, KV_TYPE_HASH))
        return KV_DONE;
    if (word[0] == 0)
        reply_array(call->reply, call->operation->argument_count - 1);
    word[0] = word[0] == 0 ? 1 : word[0];
    for (; word[0] < call->operation->argument_count; word[0]++) {
        struct kv_bytes value;
        if (call->run->budget == 0)
            return KV_MORE;
        if (!kv_member_find(call, &found, kv_hash_argument(call, word[0]), &value))
            kv_reply_null(call);
        else if (kv_reply_bytes(call, value.data, value.length_bytes) == KV_MORE)
            return KV_MORE;
        kv_spend(call, 1);
    }
    return KV_DONE;
}

/* ---- All fields ------------------------------------------------------------------------------ */

static void kv_hash_head(struct kv_call *call, uint64_t count, bool fields, bool values) {
    if (fields && values)
        reply_map(call->reply, count);
    else
        reply_array(call->reply, count);
}

/* HGETALL, HKEYS, HVALS. Words: 0 the place, 1 whether the head is written, 2 whether the field at
 * this place is, 5 and 6 kv_reply_bytes. */
enum kv_step kv_hgetall(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    const bool fields = call->operation->row != KV_ROW_HVALS;
    const bool values = call->operation->row != KV_ROW_HKEYS;
    const struct kv_found found = kv_find(call, 0, 0);
    if (call->reply == NULL || !kv_typed(call, &found, KV_TYPE_HASH))
        return KV_DONE;
    if (word[1] == 0)
        kv_hash_head(call, found.present != NULL ? kv_collection_count(found.present) : 0, fields,
                     values);
    word[1] = 1;
    struct kv_element element;
    for (uint64_t next = word[0];
         found.present != NULL && kv_collection_next(found.present, &next, &element);) {
        if (call->run->budget == 0)
            return KV_MORE;
        if (fields && word[2] == 0 &&
            kv_reply_bytes(call, element.first.data, element.first.length_bytes) == KV_MORE)
            return KV_MORE;
        word[2] = 1;
        if (values &&
            kv_reply_bytes(call, element.second.data, element.second.length_bytes) == KV_MORE)
            return KV_MORE;
        word[0] = next;
        word[2] = 0;
        kv_spend(call, fields && values ? 2 : 1);
    }
    return KV_DONE;
}

enum kv_step kv_hscan(struct kv_call *call) {
    return kv_scan_elements(call, KV_TYPE_HASH);
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Words: 0 the argument it is at, from 1 on, 1 how many fields are new; 2..4 kv_member_put. */
static enum kv_step kv_hash_put_all(struct kv_call *call, struct kv_found *found) {
    uint64_t *word = call->cursor->word;
    if (word[0] == 0)
        word[0] = 1;
    for (; word[0] < call->operation->argument_count; word[0] += 2) {
        const struct kv_bytes value = kv_hash_argument(call, word[0] + 1);
        bool created;
        if (call->run->budget == 0 ||
            kv_protect_member(call, found, kv_hash_argument(call, word[0])) == KV_MORE ||
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
    if (call->operation->row == KV_ROW_HMSET)
        kv_reply_ok(call);
    else
        kv_reply_integer(call, (int64_t)call->cursor->word[1]);
    return KV_DONE;
}

/* Words: 1 whether it is known that the field is not there, 2..4 kv_member_put. */
enum kv_step kv_hsetnx(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    struct kv_found found = kv_find(call, 0, 0);
    const struct kv_bytes value = kv_hash_argument(call, 2);
    bool created;
    if (word[1] == 0 && !kv_typed(call, &found, KV_TYPE_HASH))
        return KV_DONE;
    if (word[1] == 0 && kv_member_find(call, &found, kv_hash_argument(call, 1), NULL)) {
        kv_reply_integer(call, 0);
        return KV_DONE;
    }
    word[1] = 1;
    if (kv_protect_member(call, &found, kv_hash_argument(call, 1)) == KV_MORE ||
        kv_member_put(call, &found, KV_TYPE_HASH, kv_hash_argument(call, 1), &value, &created) ==
            KV_MORE)
        return KV_MORE;
    ASSERT(created);
    kv_reply_integer(call, 1);
    return KV_DONE;
}

/* Words: 0 the argument it is at, from 1 on, 1 how many fields were there. */
enum kv_step kv_hdel(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    struct kv_found found = kv_find(call, 0, 0);
    if (word[1] == 0 && !kv_typed(call, &found, KV_TYPE_HASH))
        return KV_DONE;
    if (word[0] == 0)
        word[0] = 1;
    for (; word[0] < call->operation->argument_count && found.present != NULL; word[0]++) {
        if (call->run->budget == 0 ||
            kv_protect_member(call, &found, kv_hash_argument(call, word[0])) == KV_MORE)
            return KV_MORE;
        word[1] += kv_member_remove(call, &found, kv_hash_argument(call, word[0]));
        kv_spend(call, 1);
    }
    kv_reply_integer(call, (int64_t)word[1]);
    return KV_DONE;
}
