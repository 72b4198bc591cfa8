/*
 * Commands that look for elements by their bytes: from one end on, in slices, the bytes compared
 * in slices as well, since both may be long.
 */

#include "machines/kv_list.h"

/* Whether two are equal. *done: bytes compared so far, 0 before and after. */
static enum kv_step kv_list_equal(struct kv_call *call, struct kv_bytes a, struct kv_bytes b,
                                  uint64_t *done, bool *equal) {
    *equal = false;
    if (a.length_bytes != b.length_bytes)
        return KV_DONE;
    while (*done < a.length_bytes) {
        if (call->run->budget == 0)
            return KV_MORE;
        const uint64_t left = a.length_bytes - *done;
        const size_t slice = left < KV_SLICE_BYTES ? (size_t)left : KV_SLICE_BYTES;
        if (memcmp(a.data + *done, b.data + *done, slice) != 0) {
            *done = 0;
            return KV_DONE;
        }
        *done += slice;
        kv_spend(call, slice / KV_UNIT_BYTES);
    }
    *done = 0;
    *equal = true;
    return KV_DONE;
}

/* ---- LPOS ------------------------------------------------------------------------------------ */

/* Words of the search: 0 elements compared, 1 matches, 2 matches replied, 7 kv_list_equal; *at:
 * the last match's rank. Ends at the last match that is wanted. */
static enum kv_step kv_lpos_search(struct kv_call *call, const struct kv_record *record,
                                   const struct kv_lpos_options *options, uint64_t *at) {
    const struct machine_argument *element = &call->operation->arguments[1];
    const struct kv_bytes wanted = {element->data, element->length_bytes};
    uint64_t *word = call->cursor->word;
    struct kv_list_view view;
    kv_list_view_begin(&view, record);
    const uint64_t limit = options->compare_max < view.count ? options->compare_max : view.count;
    for (; word[0] < limit; word[0]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        const uint64_t rank = options->backwards ? view.count - 1 - word[0] : word[0];
        bool equal;
        if (kv_list_equal(call, kv_list_view_at(&view, rank), wanted, &word[7], &equal) == KV_MORE)
            return KV_MORE;
        kv_spend(call, 1);
        if (!equal || ++word[1] < options->rank)
            continue;
        *at = rank;
        word[2]++;
        if (options->count < 0)
            return KV_DONE;
        kv_reply_integer(call, (int64_t)rank);
        if (word[2] == (uint64_t)options->count)
            return KV_DONE;
    }
    return KV_DONE;
}

/* Words: those of the search, 3 and 4 the array's mark, 5 it has begun. */
enum kv_step kv_lpos(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    uint64_t *word = call->cursor->word;
    struct kv_lpos_options options;
    if (!kv_options_lpos(operation->arguments, operation->argument_count, &options, call->reply))
        return KV_DONE;
    const struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_LIST) || call->reply == NULL)
        return KV_DONE;
    const bool counts = options.count >= 0;
    if (word[5] == 0 && counts) {
        const struct reply_mark mark = reply_array_begin(call->reply);
        word[3] = (uintptr_t)mark.position;
        word[4] = mark.overflow_bytes;
    }
    word[5] = 1;
    uint64_t at = 0;
    if (found.present != NULL && kv_lpos_search(call, found.present, &options, &at) == KV_MORE)
        return KV_MORE;
    if (counts)
        reply_array_end(call->reply, (struct reply_mark){(uint8_t *)(uintptr_t)word[3], word[4]},
                        word[2]);
    else if (word[2] > 0)
        kv_reply_integer(call, (int64_t)at);
    else
        kv_reply_null(call);
    return KV_DONE;
}

/* ---- LREM ------------------------------------------------------------------------------------ */

/* Words: 0 elements passed, 1 elements removed, 2 one is to be removed, 7 kv_list_equal. */
static enum kv_step kv_lrem_search(struct kv_call *call, struct kv_found *found, bool backwards,
                                   uint64_t limit) {
    const struct machine_argument *element = &call->operation->arguments[2];
    const struct kv_bytes wanted = {element->data, element->length_bytes};
    uint64_t *word = call->cursor->word;
    struct kv_list_view view;
    kv_list_view_begin(&view, found->present);
    while (word[0] < view.count && word[1] < limit) {
        if (call->run->budget == 0)
            return KV_MORE;
        const uint64_t rank = backwards ? view.count - 1 - word[0] : word[0];
        bool equal = word[2] > 0;
        if (!equal &&
            kv_list_equal(call, kv_list_view_at(&view, rank), wanted, &word[7], &equal) == KV_MORE)
            return KV_MORE;
        if (!equal) {
            kv_spend(call, 1);
            word[0]++;
            continue;
        }
        word[2] = 1;
        if (kv_protect(call, found) == KV_MORE ||
            kv_list_remove(call, found, rank, &word[2]) == KV_MORE)
            return KV_MORE;
        word[1]++;
        if (found->present == NULL)
            return KV_DONE;
        kv_list_view_begin(&view, found->present);
    }
    return KV_DONE;
}

enum kv_step kv_lrem(struct kv_call *call) {
    const struct machine_argument *arguments = call->operation->arguments;
    int64_t count;
    if (!kv_integer(&arguments[1], &count, call->reply))
        return KV_DONE;
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_LIST))
        return KV_DONE;
    /* The magnitude of the least number is one more than that of the greatest. */
    const uint64_t magnitude = count < 0 ? -(uint64_t)count : (uint64_t)count;
    const uint64_t limit = count == 0 ? UINT64_MAX : magnitude;
    if (found.present != NULL && kv_lrem_search(call, &found, count < 0, limit) == KV_MORE)
        return KV_MORE;
    kv_reply_integer(call, (int64_t)call->cursor->word[1]);
    return KV_DONE;
}

/* ---- LINSERT --------------------------------------------------------------------------------- */

/* The rank of the pivot, or the count. Words: 0 the rank it is at, 1 it is known, 7
 * kv_list_equal. */
static enum kv_step kv_linsert_pivot(struct kv_call *call, const struct kv_record *record) {
    const struct machine_argument *element = &call->operation->arguments[2];
    const struct kv_bytes wanted = {element->data, element->length_bytes};
    uint64_t *word = call->cursor->word;
    struct kv_list_view view;
    kv_list_view_begin(&view, record);
    for (bool equal = false; word[0] < view.count; word[0]++) {
        if (call->run->budget == 0 || kv_list_equal(call, kv_list_view_at(&view, word[0]), wanted,
                                                    &word[7], &equal) == KV_MORE)
            return KV_MORE;
        kv_spend(call, 1);
        if (equal)
            break;
    }
    word[1] = 1;
    return KV_DONE;
}

/* Words: those of kv_linsert_pivot, then those of kv_list_insert. */
enum kv_step kv_linsert(struct kv_call *call) {
    const struct machine_argument *arguments = call->operation->arguments;
    uint64_t *word = call->cursor->word;
    bool after;
    if (!kv_options_linsert(&arguments[1], &after, call->reply))
        return KV_DONE;
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_LIST))
        return KV_DONE;
    if (found.present == NULL) {
        kv_reply_integer(call, 0);
        return KV_DONE;
    }
    if (word[1] == 0 && kv_linsert_pivot(call, found.present) == KV_MORE)
        return KV_MORE;
    const uint64_t count = kv_collection_count(found.present);
    if (word[0] == count) {
        kv_reply_integer(call, -1);
        return KV_DONE;
    }
    const struct kv_bytes bytes = {arguments[3].data, arguments[3].length_bytes};
    if (kv_protect(call, &found) == KV_MORE ||
        kv_list_insert(call, &found, word[0] + after, bytes) == KV_MORE)
        return KV_MORE;
    kv_reply_integer(call, (int64_t)count + 1);
    return KV_DONE;
}
