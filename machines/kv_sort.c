/*
 * Happy path: sort, then reply the elements of the range that LIMIT asks for, or make a list of
 * them that becomes the destination's value in one step at the end. A list and a sorted set that
 * are not to be sorted are read where they lie.
 *
 * A set that is not to be sorted comes by its bytes: what order its table has is not the same on
 * every replica. (Redis does so with STORE.)
 */

#include "machines/kv_sort.h"

/* The elements that are asked for, in their order: some of a sorted array, or of a collection that
 * is in order. */
struct kv_sorted {
    const struct kv_sort_entry *entries; /* NULL: */
    const struct kv_record *record;
    bool backwards; /* of the record */
    uint64_t total;
    struct kv_list_range range;
};

/* The element in place `at` of the order. */
static struct kv_bytes kv_sorted_at(const struct kv_sorted *sorted, uint64_t at) {
    at += sorted->range.first;
    ASSERT_HOT(at < sorted->total);
    if (sorted->entries != NULL)
        return sorted->entries[at].bytes;
    const struct kv_record *record = sorted->record;
    uint64_t place = sorted->backwards ? sorted->total - 1 - at : at;
    struct kv_element element;
    if (!kv_is_large(record))
        place = kv_packed_seek(kv_value(record), kv_value_bytes(record),
                               (uint32_t)place * kv_stride(kv_type_of(record)));
    const bool there = kv_collection_next(record, &place, &element);
    ASSERT_HOT(there);
    return element.first;
}

/* What LIMIT leaves of so many. */
static struct kv_list_range kv_sort_range(const struct kv_sort_options *options, uint64_t total) {
    const uint64_t first = options->limit_start < 0 ? 0 : (uint64_t)options->limit_start;
    const uint64_t wanted = options->limit_count < 0 ? total : (uint64_t)options->limit_count;
    if (first >= total)
        return (struct kv_list_range){0, 0};
    return (struct kv_list_range){first, wanted < total - first ? wanted : total - first};
}

/* Words: 0 the element it is at, 7 the array has been begun; those of kv_reply_bytes. */
static enum kv_step kv_sort_reply(struct kv_call *call, const struct kv_sorted *sorted) {
    uint64_t *word = call->cursor->word;
    if (word[7] == 0)
        reply_array(call->reply, sorted->range.count);
    word[7] = 1;
    for (; word[0] < sorted->range.count; word[0]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        const struct kv_bytes bytes = kv_sorted_at(sorted, word[0]);
        if (kv_reply_bytes(call, bytes.data, bytes.length_bytes) == KV_MORE)
            return KV_MORE;
        kv_spend(call, 1);
    }
    return KV_DONE;
}

/* ---- STORE ----------------------------------------------------------------------------------- */

/* Stores a list that is compact; false: it is none. */
static bool kv_sort_store_compact(struct kv_call *call, const struct kv_sorted *sorted,
                                  struct kv_found *to) {
    uint8_t packed[KV_INLINE_BYTES_MAX];
    uint64_t packed_bytes = 0;
    if (!kv_compact_takes(sorted->range.count, 0))
        return false;
    for (uint64_t i = 0; i < sorted->range.count; i++)
        packed_bytes += kv_packed_element_bytes(kv_sorted_at(sorted, i).length_bytes);
    if (!kv_compact_takes(sorted->range.count, packed_bytes))
        return false;
    uint32_t length_bytes = 0;
    for (uint64_t i = 0; i < sorted->range.count; i++) {
        const struct kv_bytes bytes = kv_sorted_at(sorted, i);
        length_bytes += kv_packed_put(packed + length_bytes, bytes.data, bytes.length_bytes);
    }
    const struct kv_value value = {.type = KV_TYPE_LIST, .more = {packed, length_bytes}};
    const enum kv_step step = kv_store_value(call, to, &value, KV_DEADLINE_NONE);
    ASSERT(step == KV_DONE && length_bytes == packed_bytes);
    kv_spend(call, 1 + 2 * sorted->range.count);
    return true;
}

/* Words: 0 the element it is at, 5 the list in the making; those of kv_list_append. */
static enum kv_step kv_sort_store_large(struct kv_call *call, const struct kv_sorted *sorted,
                                        struct kv_found *to) {
    uint64_t *word = call->cursor->word;
    struct memory *memory = &to->partition->space.memory;
    if (word[5] == 0)
        word[5] = (uintptr_t)kv_collection_make(memory, KV_TYPE_LIST);
    struct kv_collection *list = (struct kv_collection *)(uintptr_t)word[5];
    for (; word[0] < sorted->range.count; word[0]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        if (kv_list_append(call, to, list, kv_sorted_at(sorted, word[0])) == KV_MORE)
            return KV_MORE;
        kv_spend(call, 1);
    }
    kv_collection_note(call->kv, list);
    to->partition->digest = kv_digest_change(to->partition->digest, call->run->moment.index,
                                             to->hash, KV_CHANGE_COPY, KV_DEADLINE_NONE, 0);
    kv_collection_install(call, to, list, KV_DEADLINE_NONE);
    return KV_DONE;
}

/* Stores what is asked for under the key of that argument. */
static enum kv_step kv_sort_store(struct kv_call *call, const struct kv_sorted *sorted,
                                  uint32_t argument) {
    struct kv_found to = kv_find(call, 1, argument);
    if (kv_protect(call, &to) == KV_MORE)
        return KV_MORE;
    if (sorted->range.count == 0) {
        if (to.present != NULL)
            kv_store_remove(call, &to);
    } else if ((call->cursor->word[5] != 0 || !kv_sort_store_compact(call, sorted, &to)) &&
               kv_sort_store_large(call, sorted, &to) == KV_MORE) {
        return KV_MORE;
    }
    kv_reply_integer(call, (int64_t)sorted->range.count);
    return KV_DONE;
}

/* ---- The commands ---------------------------------------------------------------------------- */

/* Whether the key is absent, or of a type that can be sorted; else writes the error. */
static bool kv_sort_typed(struct kv_call *call, const struct kv_found *found) {
    const enum kv_type type = found->present != NULL ? kv_type_of(found->present) : KV_TYPE_LIST;
    if (type == KV_TYPE_LIST || type == KV_TYPE_SET || type == KV_TYPE_ZSET)
        return true;
    kv_error(call->reply, kv_error_wrong_type);
    return false;
}

/* Words: 0 and 5..7 those of the reply or of the store, 1 how far it is. */
enum kv_step kv_sort(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    uint64_t *word = call->cursor->word;
    struct kv_sort_options options;
    if (word[1] == KV_SORT_END)
        return kv_sort_end(call);
    if (!kv_options_sort(operation->row, operation->arguments, operation->argument_count, &options,
                         call->reply))
        return KV_DONE;
    const struct kv_found found = kv_find(call, 0, 0);
    if (!kv_sort_typed(call, &found) || (options.store == 0 && call->reply == NULL))
        return KV_DONE;
    struct kv_sorted sorted = {.record = found.present};
    if (found.present != NULL) {
        const enum kv_type type = kv_type_of(found.present);
        sorted.total = kv_collection_count(found.present);
        sorted.backwards = options.descending;
        if (options.unsorted && type == KV_TYPE_SET) {
            options.unsorted = false;
            options.alpha = true;
        }
    }
    sorted.range = kv_sort_range(&options, sorted.total);
    if (found.present != NULL && !options.unsorted) {
        bool failed;
        if (kv_sort_all(call, &found, &options, &sorted.entries, &failed) == KV_MORE)
            return KV_MORE;
        if (failed)
            return KV_DONE;
        if (sorted.entries == NULL) {
            kv_error(call->reply, "ERR One or more scores can't be converted into double");
            word[1] = KV_SORT_END;
            return kv_sort_end(call);
        }
    }
    const enum kv_step step = options.store != 0 ? kv_sort_store(call, &sorted, options.store)
                                                 : kv_sort_reply(call, &sorted);
    if (step == KV_MORE)
        return KV_MORE;
    word[1] = KV_SORT_END;
    return kv_sort_end(call);
}
