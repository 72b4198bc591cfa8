/*
 * Commands at the ends of lists.
 *
 * What is popped is replied before anything changes; if it does not fit, nothing has changed, and
 * the command is called again with more room.
 */

#include "machines/kv_list.h"

/* ---- Pushing --------------------------------------------------------------------------------- */

/* Words: 0 the element it is at, those of kv_list_insert. */
static enum kv_step kv_push(struct kv_call *call, bool to_front, bool only_present) {
    const struct machine_operation *operation = call->operation;
    uint64_t *word = call->cursor->word;
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_LIST))
        return KV_DONE;
    if (only_present && found.present == NULL) {
        kv_reply_integer(call, 0);
        return KV_DONE;
    }
    if (kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    uint64_t count = found.present != NULL ? kv_collection_count(found.present) : 0;
    for (; word[0] + 1 < operation->argument_count; word[0]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        const struct machine_argument *element = &operation->arguments[word[0] + 1];
        const struct kv_bytes bytes = {element->data, element->length_bytes};
        if (kv_list_insert(call, &found, to_front ? 0 : count, bytes) == KV_MORE)
            return KV_MORE;
        count++;
        kv_spend(call, 1);
    }
    kv_reply_integer(call, (int64_t)count);
    return KV_DONE;
}

enum kv_step kv_lpush(struct kv_call *call) {
    return kv_push(call, true, call->operation->row == KV_ROW_LPUSHX);
}

enum kv_step kv_rpush(struct kv_call *call) {
    return kv_push(call, false, call->operation->row == KV_ROW_RPUSHX);
}

/* ---- Popping --------------------------------------------------------------------------------- */

/* The two phases of a pop, in word 1. */
enum { KV_POP_REPLIES, KV_POP_REMOVES };

/*
 * Replies `count` elements from an end, the outermost first, each after the other, then removes
 * them. Words: 0 the element it is at, then how many are left; 1 the phase; and those of
 * kv_reply_bytes.
 */
static enum kv_step kv_pop(struct kv_call *call, struct kv_found *found, bool from_front,
                           uint64_t count) {
    uint64_t *word = call->cursor->word;
    if (word[1] == KV_POP_REPLIES) {
        struct kv_list_view view;
        kv_list_view_begin(&view, found->present);
        ASSERT_HOT(count <= view.count);
        for (; call->reply != NULL && word[0] < count; word[0]++) {
            if (call->run->budget == 0)
                return KV_MORE;
            const uint64_t rank = from_front ? word[0] : view.count - 1 - word[0];
            const struct kv_bytes bytes = kv_list_view_at(&view, rank);
            if (kv_reply_bytes(call, bytes.data, bytes.length_bytes) == KV_MORE)
                return KV_MORE;
            kv_spend(call, 1);
        }
        if (kv_reply_overflows(call))
            return KV_DONE;
        if (count == view.count) {
            kv_store_remove(call, found); /* whole, whatever its length */
            return KV_DONE;
        }
        word[0] = count;
        word[1] = KV_POP_REMOVES;
    }
    const uint64_t now = kv_collection_count(found->present);
    ASSERT_HOT(now > word[0]);
    return kv_list_remove(call, found, from_front ? 0 : now - word[0], &word[0]);
}

/* LPOP and RPOP. Words: those of kv_pop, 2 the array has been begun. */
static enum kv_step kv_pop_end(struct kv_call *call, bool from_front) {
    const struct machine_operation *operation = call->operation;
    uint64_t *word = call->cursor->word;
    int64_t wanted;
    if (!kv_options_pop(kv_commands[operation->row].name, operation->arguments,
                        operation->argument_count, &wanted, call->reply))
        return KV_DONE;
    const bool counts = wanted >= 0;
    struct kv_found found = kv_find(call, 0, 0);
    if (found.present == NULL) {
        if (call->reply != NULL && counts)
            reply_null_array(call->reply);
        else
            kv_reply_null(call);
        return KV_DONE;
    }
    if (!kv_typed(call, &found, KV_TYPE_LIST))
        return KV_DONE;
    if (wanted != 0 && kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    const uint64_t present = kv_collection_count(found.present);
    uint64_t count = counts ? (uint64_t)wanted : 1;
    if (word[1] == KV_POP_REPLIES && count > present)
        count = present;
    if (word[2] == 0 && counts && call->reply != NULL)
        reply_array(call->reply, count);
    word[2] = 1;
    return count == 0 ? KV_DONE : kv_pop(call, &found, from_front, count);
}

enum kv_step kv_lpop(struct kv_call *call) {
    return kv_pop_end(call, true);
}

enum kv_step kv_rpop(struct kv_call *call) {
    return kv_pop_end(call, false);
}

/* The first key that is there, or the number of keys; false after an error. Word 3: the key it is
 * at. */
static enum kv_step kv_lmpop_key(struct kv_call *call, uint32_t key_count, struct kv_found *found) {
    uint64_t *word = call->cursor->word;
    for (; word[3] < key_count; word[3]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        const uint32_t key = (uint32_t)word[3];
        *found = kv_find(call, key, key + 1);
        if (found->present != NULL)
            return KV_DONE;
        kv_spend(call, 1);
    }
    return KV_DONE;
}

/* Words: those of kv_pop, 2 the arrays have been begun, 3 the key. */
enum kv_step kv_lmpop(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    uint64_t *word = call->cursor->word;
    struct kv_lmpop_options options;
    struct kv_found found = {0};
    if (!kv_options_lmpop(operation->arguments, operation->argument_count, &options, call->reply))
        return KV_DONE;
    if (kv_lmpop_key(call, options.key_count, &found) == KV_MORE)
        return KV_MORE;
    if (word[3] == options.key_count) {
        if (call->reply != NULL)
            reply_null_array(call->reply);
        return KV_DONE;
    }
    if (!kv_typed(call, &found, KV_TYPE_LIST))
        return KV_DONE;
    if (kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    const uint64_t present = kv_collection_count(found.present);
    uint64_t count = (uint64_t)options.count;
    if (word[1] == KV_POP_REPLIES && count > present)
        count = present;
    if (word[2] == 0 && call->reply != NULL) {
        reply_array(call->reply, 2);
        reply_bulk(call->reply, found.key, found.key_bytes);
        reply_array(call->reply, count);
    }
    word[2] = 1;
    return kv_pop(call, &found, options.from_front, count);
}

/* ---- Moving ---------------------------------------------------------------------------------- */

/* Word 1: the element has been replied. */
static enum kv_step kv_list_move_ends(struct kv_call *call, bool from_front, bool to_front) {
    uint64_t *word = call->cursor->word;
    struct kv_found from = kv_find(call, 0, 0);
    struct kv_found to = kv_find(call, 1, 1);
    if (from.present == NULL) {
        kv_reply_null(call);
        return KV_DONE;
    }
    if (!kv_typed(call, &from, KV_TYPE_LIST) || !kv_typed(call, &to, KV_TYPE_LIST))
        return KV_DONE;
    if (kv_protect(call, &from) == KV_MORE || kv_protect(call, &to) == KV_MORE)
        return KV_MORE;
    const uint64_t rank = from_front ? 0 : kv_collection_count(from.present) - 1;
    const struct kv_bytes bytes = kv_list_at(from.present, rank);
    if (word[1] == 0 && kv_reply_bytes(call, bytes.data, bytes.length_bytes) == KV_MORE)
        return KV_MORE;
    word[1] = 1;
    if (kv_reply_overflows(call))
        return KV_DONE;
    if (kv_is_same_key(&from, &to)) {
        kv_list_move(call, &from, rank, &from, to_front);
        return KV_DONE;
    }
    kv_list_move(call, &from, rank, &to, to_front);
    from = kv_find(call, 0, 0); /* the table may have been split */
    if (kv_collection_packed_bytes(from.present) == 0)
        kv_collection_remove(call, &from);
    return KV_DONE;
}

enum kv_step kv_lmove(struct kv_call *call) {
    const struct machine_argument *arguments = call->operation->arguments;
    bool from_front;
    bool to_front;
    if (!kv_options_end(&arguments[2], &from_front, call->reply) ||
        !kv_options_end(&arguments[3], &to_front, call->reply))
        return KV_DONE;
    return kv_list_move_ends(call, from_front, to_front);
}

enum kv_step kv_rpoplpush(struct kv_call *call) {
    return kv_list_move_ends(call, false, true);
}
