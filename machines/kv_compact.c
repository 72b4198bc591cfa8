/*
 * Changing the bytes of a compact collection, and the step from compact to large.
 *
 * Happy path: what is longer by a few bytes still fits the class of the record's object, so what is
 * behind the change is moved, and the pieces are written in between. Otherwise a new record takes
 * the old one's place, with its deadline.
 */

#include "machines/kv_collection.h"

/* Makes a new record the key's, with the deadline that the key has. */
static void kv_compact_install(struct kv_call *call, struct kv_found *found,
                               struct kv_record *record, uint64_t deadline_ms) {
    struct kv_space *space = &found->partition->space;
    kv_record_install(call, found, record);
    kv_record_expire(space, record, deadline_ms);
    found->present = record;
    if (found->slot == NULL)
        found->slot = kv_table_slot_of(&space->table, found->hash, record);
    ASSERT_HOT(kv_slot_record(*found->slot) == record);
}

/* The deadline of a key, present or not. */
static uint64_t kv_compact_deadline_ms(const struct kv_found *found) {
    return found->present != NULL ? kv_deadline_ms(found->present) : KV_DEADLINE_NONE;
}

static void kv_pieces_write(uint8_t *to, const struct kv_bytes *pieces, uint32_t piece_count) {
    for (uint32_t i = 0; i < piece_count; i++)
        to += kv_packed_put(to, pieces[i].data, pieces[i].length_bytes);
}

void kv_compact_splice(struct kv_call *call, struct kv_found *found, enum kv_type type,
                       uint32_t offset, uint32_t removed_bytes, const struct kv_bytes *pieces,
                       uint32_t piece_count) {
    struct kv_record *old = found->present;
    const uint32_t old_bytes = old != NULL ? kv_value_bytes(old) : 0;
    uint64_t added_bytes = 0;
    for (uint32_t i = 0; i < piece_count; i++)
        added_bytes += kv_packed_element_bytes(pieces[i].length_bytes);
    ASSERT(old == NULL || (kv_type_of(old) == type && !kv_is_large(old)));
    ASSERT((uint64_t)offset + removed_bytes <= old_bytes);
    ASSERT(old_bytes - removed_bytes + added_bytes <= KV_INLINE_BYTES_MAX);
    const uint32_t value_bytes = old_bytes - removed_bytes + (uint32_t)added_bytes;
    const uint32_t behind_bytes = old_bytes - removed_bytes - offset;
    kv_spend(call, value_bytes / KV_UNIT_BYTES);

    if (old != NULL && kv_record_fits(old, value_bytes, false)) {
        uint8_t *place = kv_value_place(old) + offset;
        memmove(place + added_bytes, place + removed_bytes, behind_bytes);
        kv_pieces_write(place, pieces, piece_count);
        old->value_word = value_bytes;
        kv_record_changed(call, found, old);
        return;
    }
    const uint64_t deadline_ms = kv_compact_deadline_ms(found);
    struct kv_record *record =
        kv_record_new(call, found, type, deadline_ms != KV_DEADLINE_NONE, value_bytes);
    uint8_t *place = kv_value_place(record);
    if (old != NULL) {
        memcpy(place, kv_value(old), offset);
        memcpy(place + offset + added_bytes, kv_value(old) + offset + removed_bytes, behind_bytes);
    }
    kv_pieces_write(place + offset, pieces, piece_count);
    kv_compact_install(call, found, record, deadline_ms);
}

/* Adds all elements of a compact collection to a large one. */
static void kv_compact_convert(struct kv_call *call, const struct kv_record *from,
                               struct kv_collection *to, struct memory *memory) {
    struct kv_element element;
    uint64_t at = 0;
    while (kv_collection_next(from, &at, &element)) {
        uint8_t *place;
        kv_spend(call, 1 + kv_collection_add(call->kv, memory, to, &element, &place));
        const struct kv_bytes rest = to->type == KV_TYPE_LIST ? element.first : element.second;
        if (place != NULL)
            memcpy(place, rest.data, rest.length_bytes);
    }
    ASSERT(to->packed_bytes == kv_value_bytes(from));
}

struct kv_collection *kv_collection_open(struct kv_call *call, struct kv_found *found,
                                         enum kv_type type) {
    struct memory *memory = &found->partition->space.memory;
    ASSERT(found->present == NULL || kv_type_of(found->present) == type);
    if (found->present != NULL && kv_is_large(found->present))
        return kv_collection_of(found->present);
    struct kv_collection *collection = kv_collection_make(memory, type);
    if (found->present != NULL)
        kv_compact_convert(call, found->present, collection, memory);
    const uint64_t deadline_ms = kv_compact_deadline_ms(found);
    kv_collection_install(call, found, collection, deadline_ms);
    return collection;
}

void kv_collection_install(struct kv_call *call, struct kv_found *found,
                           struct kv_collection *collection, uint64_t deadline_ms) {
    struct kv_record *record = kv_record_new(call, found, collection->type,
                                             deadline_ms != KV_DEADLINE_NONE, sizeof(collection));
    record->key_word |= KV_LARGE;
    memcpy(kv_value_place(record), &collection, sizeof(collection));
    kv_compact_install(call, found, record, deadline_ms);
}
