/*
 * Commands about places of lists: one, or a range. Negative indexes count from the right.
 */

#include "machines/kv_list.h"

struct kv_list_range kv_list_range(int64_t start, int64_t end, uint64_t count) {
    const int64_t total = (int64_t)count;
    start = start < 0 ? start + total : start;
    end = end < 0 ? end + total : end;
    start = start < 0 ? 0 : start;
    end = end >= total ? total - 1 : end;
    if (start > end)
        return (struct kv_list_range){0, 0};
    ASSERT_HOT(start < total);
    return (struct kv_list_range){(uint64_t)start, (uint64_t)(end - start) + 1};
}

/* The rank of an index in a list of so many elements; false if there is none. */
static bool kv_list_rank(int64_t index, uint64_t count, uint64_t *rank) {
    *rank = (uint64_t)(index < 0 ? index + (int64_t)count : index); /* huge if negative */
    return *rank < count;
}

enum kv_step kv_llen(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    if (kv_typed(call, &found, KV_TYPE_LIST))
        kv_reply_integer(call,
                         found.present == NULL ? 0 : (int64_t)kv_collection_count(found.present));
    return KV_DONE;
}

/* The index is read only if the key is there, as Redis does. */
enum kv_step kv_lindex(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    int64_t index;
    uint64_t rank;
    if (found.present == NULL) {
        kv_reply_null(call);
        return KV_DONE;
    }
    if (!kv_typed(call, &found, KV_TYPE_LIST) ||
        !kv_integer(&call->operation->arguments[1], &index, call->reply))
        return KV_DONE;
    if (!kv_list_rank(index, kv_collection_count(found.present), &rank)) {
        kv_reply_null(call);
        return KV_DONE;
    }
    const struct kv_bytes bytes = kv_list_at(found.present, rank);
    return kv_reply_bytes(call, bytes.data, bytes.length_bytes);
}

/* Words: 0 the element it is at, 1 the array has been begun. */
enum kv_step kv_lrange(struct kv_call *call) {
    const struct machine_argument *arguments = call->operation->arguments;
    uint64_t *word = call->cursor->word;
    int64_t start;
    int64_t end;
    if (!kv_integer(&arguments[1], &start, call->reply) ||
        !kv_integer(&arguments[2], &end, call->reply))
        return KV_DONE;
    const struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_LIST) || call->reply == NULL)
        return KV_DONE;
    if (found.present == NULL) {
        reply_array(call->reply, 0);
        return KV_DONE;
    }
    struct kv_list_view view;
    kv_list_view_begin(&view, found.present);
    const struct kv_list_range range = kv_list_range(start, end, view.count);
    if (word[1] == 0)
        reply_array(call->reply, range.count);
    word[1] = 1;
    for (; word[0] < range.count; word[0]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        const struct kv_bytes bytes = kv_list_view_at(&view, range.first + word[0]);
        if (kv_reply_bytes(call, bytes.data, bytes.length_bytes) == KV_MORE)
            return KV_MORE;
        kv_spend(call, 1);
    }
    return KV_DONE;
}

/* As LINDEX: key first, then the index. */
enum kv_step kv_lset(struct kv_call *call) {
    const struct machine_argument *arguments = call->operation->arguments;
    struct kv_found found = kv_find(call, 0, 0);
    int64_t index;
    uint64_t rank;
    if (found.present == NULL) {
        kv_error(call->reply, "ERR no such key");
        return KV_DONE;
    }
    if (!kv_typed(call, &found, KV_TYPE_LIST) || !kv_integer(&arguments[1], &index, call->reply))
        return KV_DONE;
    if (!kv_list_rank(index, kv_collection_count(found.present), &rank)) {
        kv_error(call->reply, "ERR index out of range");
        return KV_DONE;
    }
    const struct kv_bytes bytes = {arguments[2].data, arguments[2].length_bytes};
    if (kv_protect(call, &found) == KV_MORE || kv_list_set(call, &found, rank, bytes) == KV_MORE)
        return KV_MORE;
    kv_reply_ok(call);
    return KV_DONE;
}

/* Words: 0 how many are left to remove at the right, 1 it has begun, 2 how many at the left. */
enum kv_step kv_ltrim(struct kv_call *call) {
    const struct machine_argument *arguments = call->operation->arguments;
    uint64_t *word = call->cursor->word;
    int64_t start;
    int64_t end;
    if (!kv_integer(&arguments[1], &start, call->reply) ||
        !kv_integer(&arguments[2], &end, call->reply))
        return KV_DONE;
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_LIST))
        return KV_DONE;
    if (found.present == NULL) {
        kv_reply_ok(call);
        return KV_DONE;
    }
    if (kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    uint64_t count = kv_collection_count(found.present);
    if (word[1] == 0) {
        const struct kv_list_range range = kv_list_range(start, end, count);
        if (range.count == 0) {
            kv_store_remove(call, &found); /* whole, whatever its length */
            kv_reply_ok(call);
            return KV_DONE;
        }
        word[0] = count - range.first - range.count;
        word[1] = 1;
        word[2] = range.first;
    }
    if (kv_list_remove(call, &found, count - word[0], &word[0]) == KV_MORE ||
        kv_list_remove(call, &found, 0, &word[2]) == KV_MORE)
        return KV_MORE;
    ASSERT_HOT(found.present != NULL);
    kv_reply_ok(call);
    return KV_DONE;
}
