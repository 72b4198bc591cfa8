/*
 * Happy path: a compact list is a splice of its packed bytes. For a large one the element's entry
 * is made, filled (in slices if it is long), and put in the tree at its rank.
 *
 * Nothing here fails. While an entry is being filled it is nobody's but the cursor's; nothing else
 * is executed until it has become part of the list.
 */

#include "machines/kv_list.h"

static const struct kv_bytes kv_no_bytes = {NULL, 0};

/* ---- Looking --------------------------------------------------------------------------------- */

void kv_list_view_begin(struct kv_list_view *view, const struct kv_record *record) {
    ASSERT_HOT(kv_type_of(record) == KV_TYPE_LIST);
    view->record = record;
    view->run = (struct kv_tree_run){NULL, 0, 0};
    view->count = 0;
    if (kv_is_large(record)) {
        view->count = kv_collection_of(record)->tree.count;
        return;
    }
    uint32_t offset = 0;
    struct kv_bytes element;
    const uint32_t length_bytes = kv_value_bytes(record);
    while (offset < length_bytes) {
        ASSERT_HOT(view->count < KV_COMPACT_COUNT_MAX);
        view->offset[view->count++] = (uint16_t)offset;
        (void)kv_packed_next(kv_value(record), length_bytes, &offset, &element);
    }
}

struct kv_bytes kv_list_view_at(struct kv_list_view *view, uint64_t rank) {
    ASSERT_HOT(rank < view->count);
    const struct kv_record *record = view->record;
    if (kv_is_large(record)) {
        if (rank - view->run.rank >= view->run.count) /* wraps for a rank in front of the leaf */
            view->run = kv_tree_run(&kv_collection_of(record)->tree, rank);
        return kv_entry_bytes(&view->run.entries[rank - view->run.rank]);
    }
    uint32_t offset = view->offset[rank];
    struct kv_bytes element = kv_no_bytes;
    (void)kv_packed_next(kv_value(record), kv_value_bytes(record), &offset, &element);
    return element;
}

struct kv_bytes kv_list_at(const struct kv_record *record, uint64_t rank) {
    if (kv_is_large(record))
        return kv_entry_bytes(kv_tree_at(&kv_collection_of(record)->tree, rank));
    const uint8_t *bytes = kv_value(record);
    const uint32_t length_bytes = kv_value_bytes(record);
    uint32_t offset = kv_packed_seek(bytes, length_bytes, (uint32_t)rank);
    struct kv_bytes element = kv_no_bytes;
    const bool there = kv_packed_next(bytes, length_bytes, &offset, &element);
    ASSERT_HOT(there);
    return element;
}

/* ---- Changing a compact list ----------------------------------------------------------------- */

/* Whether a list stays compact, or begins so, when `count` elements of `packed_bytes` in packed
 * form come to it. */
static bool kv_list_stays_compact(const struct kv_found *found, uint64_t count,
                                  uint64_t packed_bytes) {
    if (found->present == NULL)
        return kv_compact_takes(count, packed_bytes);
    return !kv_is_large(found->present) &&
           kv_compact_takes(kv_collection_count(found->present) + count,
                            kv_value_bytes(found->present) + packed_bytes);
}

/* Puts other elements in place of `removed` ones at a rank of a compact list. */
static void kv_list_splice(struct kv_call *call, struct kv_found *found, uint64_t rank,
                           uint64_t removed, const struct kv_bytes *bytes) {
    uint32_t offset = 0;
    uint32_t removed_bytes = 0;
    if (found->present != NULL) {
        const uint8_t *packed = kv_value(found->present);
        const uint32_t length_bytes = kv_value_bytes(found->present);
        offset = kv_packed_seek(packed, length_bytes, (uint32_t)rank);
        removed_bytes = kv_packed_seek(packed + offset, length_bytes - offset, (uint32_t)removed);
    }
    kv_compact_splice(call, found, KV_TYPE_LIST, offset, removed_bytes, bytes, bytes != NULL);
}

/* ---- Changing a large list ------------------------------------------------------------------- */

/* What of a list's bytes changes when an element comes or goes. */
static uint64_t kv_list_cost(struct kv_bytes bytes) {
    return kv_packed_element_bytes(bytes.length_bytes);
}

/* Makes an entry of bytes that lie elsewhere, which are folded into the digest as that change.
 * Words: 2 and 7 the entry, 3 bytes filled + 1, 4 the digest. */
static enum kv_step kv_list_entry(struct kv_call *call, const struct kv_found *found,
                                  enum kv_change change, uint64_t rank, struct kv_bytes bytes,
                                  struct kv_tree_entry *entry) {
    struct memory *memory = &found->partition->space.memory;
    uint64_t *word = call->cursor->word;
    if (bytes.length_bytes <= KV_SLICE_BYTES) {
        kv_digest_element(call, found, change, rank, bytes, kv_no_bytes);
        uint8_t *to = kv_entry_make(call->kv, memory, entry, bytes.length_bytes);
        if (bytes.length_bytes > 0)
            memcpy(to, bytes.data, bytes.length_bytes);
        kv_spend(call, bytes.length_bytes / KV_UNIT_BYTES);
        return KV_DONE;
    }
    if (word[3] == 0) {
        (void)kv_entry_make(call->kv, memory, entry, bytes.length_bytes);
        word[2] = entry->word[0];
        word[7] = entry->word[1];
        word[3] = 1;
        word[4] = kv_digest_element_begin(call, found, change, rank, bytes.length_bytes, 0);
    }
    *entry = (struct kv_tree_entry){{word[2], word[7]}};
    uint8_t *to = (uint8_t *)(uintptr_t)kv_entry_bytes(entry).data;
    while (word[3] - 1 < bytes.length_bytes) {
        if (call->run->budget == 0)
            return KV_MORE;
        const uint64_t done = word[3] - 1;
        const uint64_t left = bytes.length_bytes - done;
        const uint32_t slice = left < KV_SLICE_BYTES ? (uint32_t)left : KV_SLICE_BYTES;
        memcpy(to + done, bytes.data + done, slice);
        word[4] = kv_digest_bytes(word[4], bytes.data + done, slice);
        word[3] += slice;
        kv_spend(call, 1 + slice / KV_UNIT_BYTES);
    }
    found->partition->digest = word[4];
    word[2] = word[3] = word[4] = word[7] = 0;
    return KV_DONE;
}

enum kv_step kv_list_append(struct kv_call *call, const struct kv_found *found,
                            struct kv_collection *list, struct kv_bytes bytes) {
    struct kv_tree_entry entry;
    const uint64_t rank = list->tree.count;
    if (kv_list_entry(call, found, KV_CHANGE_LIST_INSERT, rank, bytes, &entry) == KV_MORE)
        return KV_MORE;
    kv_tree_insert(&list->tree, &found->partition->space.memory, rank, &entry);
    list->packed_bytes += kv_list_cost(bytes);
    return KV_DONE;
}

/* Puts an entry that is nobody's yet in a list that is large from now on. */
static void kv_list_put(struct kv_call *call, struct kv_found *found, uint64_t rank,
                        const struct kv_tree_entry *entry) {
    struct memory *memory = &found->partition->space.memory;
    struct kv_collection *list = kv_collection_open(call, found, KV_TYPE_LIST);
    kv_tree_insert(&list->tree, memory, rank, entry);
    list->packed_bytes += kv_list_cost(kv_entry_bytes(entry));
    kv_collection_changed(call, found);
}

enum kv_step kv_list_insert(struct kv_call *call, struct kv_found *found, uint64_t rank,
                            struct kv_bytes bytes) {
    if (kv_list_stays_compact(found, 1, kv_list_cost(bytes))) {
        kv_digest_element(call, found, KV_CHANGE_LIST_INSERT, rank, bytes, kv_no_bytes);
        kv_list_splice(call, found, rank, 0, &bytes);
        return KV_DONE;
    }
    struct kv_tree_entry entry;
    if (kv_list_entry(call, found, KV_CHANGE_LIST_INSERT, rank, bytes, &entry) == KV_MORE)
        return KV_MORE;
    kv_list_put(call, found, rank, &entry);
    return KV_DONE;
}

enum kv_step kv_list_set(struct kv_call *call, struct kv_found *found, uint64_t rank,
                         struct kv_bytes bytes) {
    ASSERT_HOT(found->present != NULL);
    struct memory *memory = &found->partition->space.memory;
    const struct kv_bytes old = kv_list_at(found->present, rank);
    if (!kv_is_large(found->present) &&
        kv_value_bytes(found->present) - kv_list_cost(old) + kv_list_cost(bytes) <=
            KV_INLINE_BYTES_MAX) {
        kv_digest_element(call, found, KV_CHANGE_LIST_SET, rank, bytes, kv_no_bytes);
        kv_list_splice(call, found, rank, 1, &bytes);
        return KV_DONE;
    }
    struct kv_tree_entry entry;
    if (kv_list_entry(call, found, KV_CHANGE_LIST_SET, rank, bytes, &entry) == KV_MORE)
        return KV_MORE;
    struct kv_collection *list = kv_collection_open(call, found, KV_TYPE_LIST);
    const struct kv_tree_entry old_entry = *kv_tree_at(&list->tree, rank);
    list->packed_bytes -= kv_list_cost(kv_entry_bytes(&old_entry));
    list->packed_bytes += kv_list_cost(bytes);
    kv_tree_set(&list->tree, rank, &entry);
    kv_entry_give(memory, &old_entry);
    kv_collection_changed(call, found);
    return KV_DONE;
}

/* Removes at most `count` elements of a large list, as many as lie in one leaf and the budget
 * allows. Returns how many. */
static uint64_t kv_list_remove_large(struct kv_call *call, struct kv_found *found, uint64_t rank,
                                     uint64_t count) {
    struct kv_collection *list = kv_collection_of(found->present);
    struct memory *memory = &found->partition->space.memory;
    const struct kv_tree_run run = kv_tree_run(&list->tree, rank);
    const uint64_t here = run.rank + run.count - rank;
    count = count < here ? count : here;
    count = count < call->run->budget ? count : call->run->budget;
    ASSERT_HOT(count > 0);
    for (uint64_t i = 0; i < count; i++) {
        const struct kv_tree_entry *entry = &run.entries[rank - run.rank + i];
        kv_digest_element(call, found, KV_CHANGE_LIST_REMOVE, rank, kv_no_bytes, kv_no_bytes);
        list->packed_bytes -= kv_list_cost(kv_entry_bytes(entry));
        kv_entry_give(memory, entry);
    }
    const uint32_t removed = kv_tree_remove(&list->tree, memory, rank, count);
    ASSERT(removed == count);
    kv_collection_changed(call, found);
    kv_spend(call, 1 + count);
    return count;
}

enum kv_step kv_list_remove(struct kv_call *call, struct kv_found *found, uint64_t rank,
                            uint64_t *left) {
    ASSERT_HOT(found->present != NULL || *left == 0);
    while (*left > 0) {
        if (call->run->budget == 0)
            return KV_MORE;
        if (kv_is_large(found->present)) {
            *left -= kv_list_remove_large(call, found, rank, *left);
            continue;
        }
        for (uint64_t i = 0; i < *left; i++)
            kv_digest_element(call, found, KV_CHANGE_LIST_REMOVE, rank, kv_no_bytes, kv_no_bytes);
        kv_list_splice(call, found, rank, *left, NULL);
        kv_spend(call, 1 + *left);
        *left = 0;
    }
    if (found->present != NULL && kv_collection_packed_bytes(found->present) == 0)
        kv_collection_remove(call, found);
    return KV_DONE;
}

/* ---- Moving ---------------------------------------------------------------------------------- */

/* Takes the entry of a rank out of a large list, as an entry of another partition's memory. */
static void kv_list_take_large(struct kv_call *call, struct kv_found *from, uint64_t rank,
                               struct memory *to_memory, struct kv_tree_entry *entry) {
    struct kv_collection *list = kv_collection_of(from->present);
    struct memory *memory = &from->partition->space.memory;
    const struct kv_tree_entry old = *kv_tree_at(&list->tree, rank);
    const struct kv_bytes bytes = kv_entry_bytes(&old);
    *entry = old;
    if (memory != to_memory && bytes.length_bytes > MEMORY_CLASSED_BYTES_MAX) {
        memory_move(memory, to_memory, (void *)(uintptr_t)bytes.data, bytes.length_bytes);
    } else if (memory != to_memory && bytes.length_bytes > KV_ENTRY_INSIDE_BYTES_MAX) {
        memcpy(kv_entry_make(call->kv, to_memory, entry, bytes.length_bytes), bytes.data,
               bytes.length_bytes);
        kv_entry_give(memory, &old);
        kv_spend(call, bytes.length_bytes / KV_UNIT_BYTES);
    }
    list->packed_bytes -= kv_list_cost(bytes);
    (void)kv_tree_remove(&list->tree, memory, rank, 1);
    kv_collection_changed(call, from);
}

void kv_list_move(struct kv_call *call, struct kv_found *from, uint64_t rank, struct kv_found *to,
                  bool to_front) {
    struct memory *to_memory = &to->partition->space.memory;
    struct kv_tree_entry entry;
    uint8_t hash[8];
    bytes_put_u64(hash, from->hash);
    kv_digest_element(call, from, KV_CHANGE_LIST_REMOVE, rank, kv_no_bytes, kv_no_bytes);
    if (kv_is_large(from->present)) {
        kv_list_take_large(call, from, rank, to_memory, &entry);
    } else {
        const struct kv_bytes bytes = kv_list_at(from->present, rank);
        uint8_t *place = kv_entry_make(call->kv, to_memory, &entry, bytes.length_bytes);
        if (bytes.length_bytes > 0)
            memcpy(place, bytes.data, bytes.length_bytes);
        kv_list_splice(call, from, rank, 1, NULL);
    }
    const uint64_t count = to->present != NULL ? kv_collection_count(to->present) : 0;
    const uint64_t to_rank = to_front ? 0 : count;
    const struct kv_bytes bytes = kv_entry_bytes(&entry);
    kv_digest_element(call, to, KV_CHANGE_LIST_MOVE, to_rank, (struct kv_bytes){hash, sizeof(hash)},
                      kv_no_bytes);
    if (kv_list_stays_compact(to, 1, kv_list_cost(bytes))) {
        kv_list_splice(call, to, to_rank, 0, &bytes);
        kv_entry_give(to_memory, &entry);
    } else {
        kv_list_put(call, to, to_rank, &entry);
    }
}
