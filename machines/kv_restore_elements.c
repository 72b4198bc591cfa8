/*
 * Happy path: a length, then as many bytes; a field, a member or a short element of a list is
 * gathered in the scratch room, a value or a long element goes straight to where it stays.
 *
 *     LENGTH --(complete)--> BYTES --(complete)--> LENGTH of the second, or of the next element
 *
 * Failure: a length that is none, that is longer than what is announced or than a field may be; an
 * element that is there already; a sorted set that is not sorted, or has a score that is no number;
 * an end in the middle of an element. Then the machine may only be destroyed.
 */

#include "machines/kv_restore_elements.h"

#include "base/error.h"

void kv_restore_elements_begin(struct kv_restore_elements *elements,
                               struct kv_collection *collection, struct memory *memory,
                               uint64_t packed_bytes, uint8_t *scratch) {
    ASSERT(packed_bytes > 0 && collection->packed_bytes == 0);
    *elements = (struct kv_restore_elements){
        .collection = collection, .memory = memory, .left_bytes = packed_bytes, .first = scratch};
}

/* ---- Judging --------------------------------------------------------------------------------- */

static bool kv_is_there(const struct kv *kv, const struct kv_restore_elements *elements) {
    const uint64_t hash =
        machine_key_hash(elements->first, elements->first_bytes, kv->options.hash_seed);
    return kv_table_find(&elements->collection->table, hash, elements->first,
                         elements->first_bytes) != NULL;
}

/* Whether the score is a number, and an element comes behind the one before it, if there is one. */
static bool kv_is_in_order(const struct kv_element *before, const struct kv_element *element) {
    const uint64_t bits = bytes_get_u64(element->second.data);
    const uint64_t magnitude = bits & ~(UINT64_C(1) << 63);
    if (magnitude > UINT64_C(0x7ff0000000000000))
        return false;
    if (before == NULL)
        return true;
    const uint64_t order_before = kv_score_order(bytes_get_u64(before->second.data));
    const uint64_t order = kv_score_order(bits);
    if (order != order_before)
        return order > order_before;
    const struct kv_bytes a = before->first;
    const struct kv_bytes b = element->first;
    const uint32_t common = a.length_bytes < b.length_bytes ? a.length_bytes : b.length_bytes;
    const int compared = common > 0 ? memcmp(a.data, b.data, common) : 0;
    return compared != 0 ? compared < 0 : a.length_bytes < b.length_bytes;
}

static bool kv_is_behind_last(const struct kv_restore_elements *elements) {
    const struct kv_tree *tree = &elements->collection->tree;
    const struct kv_element element = {{elements->first, elements->first_bytes},
                                       {elements->score, KV_SCORE_BYTES}};
    if (tree->count == 0)
        return kv_is_in_order(NULL, &element);
    const struct kv_tree_entry *entry = kv_tree_at(tree, tree->count - 1);
    const struct kv_record *record = (const struct kv_record *)(uintptr_t)entry->word[1];
    const struct kv_element last = {{kv_key(record), kv_key_bytes(record)},
                                    {kv_value(record), KV_SCORE_BYTES}};
    return kv_is_in_order(&last, &element);
}

bool kv_restore_compact_check(enum kv_type type, const uint8_t *bytes, uint32_t length_bytes) {
    const uint32_t stride = kv_stride(type);
    uint64_t count;
    if (!kv_packed_check(bytes, length_bytes, &count) || count % stride != 0 ||
        !kv_compact_takes(count / stride, length_bytes))
        return false;
    struct kv_element before;
    struct kv_element element = {{NULL, 0}, {NULL, 0}};
    bool is_first = true;
    for (uint32_t offset = 0, begin = 0; offset < length_bytes; begin = offset, is_first = false) {
        uint32_t found;
        before = element;
        kv_packed_next(bytes, length_bytes, &offset, &element.first);
        if (stride == 2)
            kv_packed_next(bytes, length_bytes, &offset, &element.second);
        if (type != KV_TYPE_LIST &&
            (!kv_packed_find(bytes, length_bytes, stride, element.first, &found) ||
             found != begin || element.first.length_bytes > KV_KEY_BYTES_MAX))
            return false;
        if (type == KV_TYPE_ZSET && (element.second.length_bytes != KV_SCORE_BYTES ||
                                     !kv_is_in_order(is_first ? NULL : &before, &element)))
            return false;
    }
    return count > 0;
}

/* ---- Gathering ------------------------------------------------------------------------------- */

/* Adds the element; its bytes are gathered, but for those that go to elements->to. */
static void kv_restore_add(struct kv *kv, struct kv_restore_elements *elements, uint32_t *budget) {
    const struct kv_element element = {{elements->first, elements->first_bytes},
                                       {elements->score, elements->second_bytes}};
    const uint32_t units =
        kv_collection_add(kv, elements->memory, elements->collection, &element, &elements->to);
    *budget -= units < *budget ? units : *budget;
}

/* The length of a byte string is known: says where its bytes go. */
static int kv_restore_length(struct kv *kv, struct kv_restore_elements *elements, uint32_t length,
                             uint32_t *budget) {
    const enum kv_type type = elements->collection->type;
    const bool is_long = type == KV_TYPE_LIST && length > KV_ENTRY_INSIDE_BYTES_MAX;
    if (length > elements->left_bytes)
        return WEIR_ECORRUPT;
    elements->state = KV_GATHERING_BYTES;
    elements->have_bytes = 0;
    if (elements->is_second) {
        elements->second_bytes = length;
        elements->to = elements->score;
        if (type == KV_TYPE_ZSET)
            return length == KV_SCORE_BYTES ? 0 : WEIR_ECORRUPT;
        if (length > KV_VALUE_BYTES_MAX)
            return WEIR_ECORRUPT;
        kv_restore_add(kv, elements, budget);
        return 0;
    }
    if (length > (is_long ? (uint32_t)KV_VALUE_BYTES_MAX : (uint32_t)KV_KEY_BYTES_MAX))
        return WEIR_ECORRUPT;
    elements->first_bytes = length;
    elements->second_bytes = 0;
    elements->to = elements->first;
    if (is_long)
        kv_restore_add(kv, elements, budget);
    return 0;
}

/* A byte string is complete. */
static int kv_restore_string(struct kv *kv, struct kv_restore_elements *elements,
                             uint32_t *budget) {
    const enum kv_type type = elements->collection->type;
    const bool was_second = elements->is_second;
    elements->state = KV_GATHERING_LENGTH;
    elements->have_bytes = 0;
    if (!was_second && type != KV_TYPE_LIST && kv_is_there(kv, elements))
        return WEIR_ECORRUPT;
    elements->is_second = !was_second && kv_stride(type) == 2;
    if (elements->is_second)
        return elements->left_bytes > 0 ? 0 : WEIR_ECORRUPT;
    if (type == KV_TYPE_ZSET && !kv_is_behind_last(elements))
        return WEIR_ECORRUPT;
    if (type == KV_TYPE_ZSET || type == KV_TYPE_SET ||
        (type == KV_TYPE_LIST && elements->first_bytes <= KV_ENTRY_INSIDE_BYTES_MAX))
        kv_restore_add(kv, elements, budget);
    if (elements->left_bytes == 0)
        kv_collection_note(kv, elements->collection);
    return 0;
}

static uint32_t kv_restore_wanted(const struct kv_restore_elements *elements) {
    const uint32_t whole = elements->is_second ? elements->second_bytes : elements->first_bytes;
    return whole - elements->have_bytes;
}

/* One byte of a length. */
static int kv_restore_length_byte(struct kv *kv, struct kv_restore_elements *elements, uint8_t byte,
                                  uint32_t *budget) {
    uint32_t length;
    ASSERT(elements->have_bytes < KV_PACKED_LENGTH_BYTES_MAX);
    elements->length[elements->have_bytes++] = byte;
    elements->left_bytes--;
    const uint32_t taken = kv_packed_get_length(elements->length, elements->have_bytes, &length);
    if (taken == KV_PACKED_MALFORMED)
        return WEIR_ECORRUPT;
    if (taken == 0)
        return elements->left_bytes > 0 ? 0 : WEIR_ECORRUPT;
    const int error = kv_restore_length(kv, elements, length, budget);
    return error != 0 || kv_restore_wanted(elements) > 0 ? error
                                                         : kv_restore_string(kv, elements, budget);
}

int kv_restore_elements_take(struct kv *kv, struct kv_restore_elements *elements,
                             const uint8_t *bytes, size_t length_bytes, size_t *consumed,
                             uint32_t *budget) {
    ASSERT(length_bytes > 0 && elements->left_bytes > 0);
    *budget -= *budget > 0;
    if (elements->state == KV_GATHERING_LENGTH) {
        ++*consumed;
        return kv_restore_length_byte(kv, elements, bytes[0], budget);
    }
    const uint32_t wanted = kv_restore_wanted(elements);
    uint32_t length = wanted < length_bytes ? wanted : (uint32_t)length_bytes;
    length = length < KV_SLICE_BYTES ? length : (uint32_t)KV_SLICE_BYTES;
    memcpy(elements->to + elements->have_bytes, bytes, length);
    *consumed += length;
    elements->have_bytes += length;
    elements->left_bytes -= length;
    const uint32_t units = length / KV_UNIT_BYTES;
    *budget -= units < *budget ? units : *budget;
    return length == wanted ? kv_restore_string(kv, elements, budget) : 0;
}
