/*
 * What collections have in common: counting, walking, adding in order, copying, moving, and giving
 * back.
 */

#include "machines/kv_collection.h"

uint32_t kv_stride(enum kv_type type) {
    return type == KV_TYPE_HASH || type == KV_TYPE_ZSET ? 2 : 1;
}

/* As the record of a key has it, wherever it lies. */
static uint64_t kv_large_count(const struct kv_collection *collection) {
    return collection->type == KV_TYPE_LIST ? collection->tree.count : collection->table.count;
}

uint64_t kv_collection_count(const struct kv_record *record) {
    const enum kv_type type = kv_type_of(record);
    ASSERT_HOT(type != KV_TYPE_STRING);
    if (kv_is_large(record))
        return kv_large_count(kv_collection_of(record));
    return kv_packed_count(kv_value(record), kv_value_bytes(record)) / kv_stride(type);
}

uint64_t kv_collection_packed_bytes(const struct kv_record *record) {
    ASSERT_HOT(kv_type_of(record) != KV_TYPE_STRING);
    return kv_is_large(record) ? kv_collection_of(record)->packed_bytes : kv_value_bytes(record);
}

/* ---- Walking --------------------------------------------------------------------------------- */

static void kv_element_of_record(const struct kv_record *record, struct kv_element *element) {
    element->first = (struct kv_bytes){kv_key(record), kv_key_bytes(record)};
    element->second = (struct kv_bytes){kv_value(record), kv_value_bytes(record)};
}

/* The place: the byte. */
static bool kv_compact_next(const struct kv_record *record, uint64_t *place,
                            struct kv_element *element) {
    const uint8_t *bytes = kv_value(record);
    const uint32_t length_bytes = kv_value_bytes(record);
    uint32_t offset = (uint32_t)*place;
    if (!kv_packed_next(bytes, length_bytes, &offset, &element->first))
        return false;
    element->second = (struct kv_bytes){NULL, 0};
    if (kv_stride(kv_type_of(record)) == 2) {
        const bool paired = kv_packed_next(bytes, length_bytes, &offset, &element->second);
        ASSERT(paired);
    }
    *place = offset;
    return true;
}

enum { KV_PLACE_INDEX_BITS = 9 };
_Static_assert(KV_SEGMENT_RECORDS_MAX < 1 << KV_PLACE_INDEX_BITS, "the index in a home");
_Static_assert(KV_POSITION_BITS + KV_PLACE_INDEX_BITS < 64, "a place is a word");

/* The place: the table's, and how many records of that home have been passed. */
static bool kv_table_next(const struct kv_table *table, uint64_t *place,
                          struct kv_element *element) {
    struct kv_record *records[KV_SEGMENT_RECORDS_MAX];
    for (;;) {
        uint64_t position = *place >> KV_PLACE_INDEX_BITS;
        const uint64_t index = *place & ((1 << KV_PLACE_INDEX_BITS) - 1);
        if (position == KV_POSITION_END)
            return false;
        const uint32_t count = kv_table_walk(table, &position, records);
        if (index + 1 < count)
            ++*place;
        else
            *place = position << KV_PLACE_INDEX_BITS;
        if (index < count) {
            kv_element_of_record(records[index], element);
            return true;
        }
    }
}

/* The place: the rank. */
static bool kv_tree_next(const struct kv_collection *collection, uint64_t *place,
                         struct kv_element *element) {
    if (*place == collection->tree.count)
        return false;
    const struct kv_tree_entry *entry = kv_tree_at(&collection->tree, *place);
    ++*place;
    if (collection->type == KV_TYPE_ZSET) {
        kv_element_of_record((const struct kv_record *)(uintptr_t)entry->word[1], element);
        return true;
    }
    element->first = kv_entry_bytes(entry);
    element->second = (struct kv_bytes){NULL, 0};
    return true;
}

bool kv_collection_next(const struct kv_record *record, uint64_t *place,
                        struct kv_element *element) {
    if (!kv_is_large(record))
        return kv_compact_next(record, place, element);
    const struct kv_collection *collection = kv_collection_of(record);
    if (collection->type == KV_TYPE_LIST || collection->type == KV_TYPE_ZSET)
        return kv_tree_next(collection, place, element);
    return kv_table_next(&collection->table, place, element);
}

/* ---- Making large ones ----------------------------------------------------------------------- */

struct kv_collection *kv_collection_make(struct memory *memory, enum kv_type type) {
    ASSERT(type > KV_TYPE_STRING && type < KV_TYPES);
    struct kv_collection *collection = memory_take(memory, sizeof(*collection));
    *collection = (struct kv_collection){.type = type};
    return collection;
}

void kv_collection_note(struct kv *kv, const struct kv_collection *collection) {
    const uint64_t bytes =
        collection->packed_bytes + kv_large_count(collection) * KV_ELEMENT_COST_BYTES;
    kv->longest_bytes = bytes > kv->longest_bytes ? bytes : kv->longest_bytes;
}

void kv_collection_changed(struct kv_call *call, struct kv_found *found) {
    ASSERT_HOT(found->present != NULL && kv_is_large(found->present));
    kv_collection_note(call->kv, kv_collection_of(found->present));
    kv_record_changed(call, found, found->present);
}

void kv_collection_remove(struct kv_call *call, struct kv_found *found) {
    ASSERT(found->present != NULL && kv_type_of(found->present) != KV_TYPE_STRING);
    kv_gone_note(call, found);
    kv_space_remove(&found->partition->space, found->slot);
    kv_spend(call, 1);
    found->slot = NULL;
    found->present = NULL;
}

static uint32_t kv_list_add(struct kv *kv, struct memory *memory, struct kv_collection *list,
                            struct kv_bytes bytes, uint8_t **place) {
    struct kv_tree_entry entry;
    uint8_t *to = kv_entry_make(kv, memory, &entry, bytes.length_bytes);
    if (bytes.length_bytes <= KV_ENTRY_INSIDE_BYTES_MAX)
        memcpy(to, bytes.data, bytes.length_bytes);
    else
        *place = to;
    kv_tree_insert(&list->tree, memory, list->tree.count, &entry);
    return 1;
}

uint32_t kv_collection_add(struct kv *kv, struct memory *memory, struct kv_collection *collection,
                           const struct kv_element *element, uint8_t **place) {
    const struct kv_bytes first = element->first;
    const uint32_t second_bytes = element->second.length_bytes;
    *place = NULL;
    collection->packed_bytes += kv_packed_element_bytes(first.length_bytes);
    if (collection->type == KV_TYPE_LIST)
        return kv_list_add(kv, memory, collection, first, place);

    const uint64_t hash = machine_key_hash(first.data, first.length_bytes, kv->options.hash_seed);
    struct kv_record *record =
        kv_record_make(kv, memory, hash, 0, false, first.length_bytes, second_bytes);
    record->value_word = (record->value_word & ~KV_EMITTED) | collection->parity;
    memcpy(record->bytes, first.data, first.length_bytes);
    if (collection->type != KV_TYPE_SET)
        collection->packed_bytes += kv_packed_element_bytes(second_bytes);
    if (kv_is_apart(record)) {
        const struct kv_apart apart = {memory_take(memory, second_bytes),
                                       memory_usable_bytes(second_bytes)};
        memcpy(kv_value_place(record), &apart, sizeof(apart));
        *place = apart.data;
    } else if (collection->type == KV_TYPE_HASH) {
        *place = kv_value_place(record);
    }
    if (collection->type == KV_TYPE_ZSET) {
        ASSERT(second_bytes == KV_SCORE_BYTES);
        memcpy(kv_value_place(record), element->second.data, KV_SCORE_BYTES);
        const struct kv_tree_entry entry = {
            {kv_score_order(bytes_get_u64(element->second.data)), (uintptr_t)record}};
        kv_tree_insert(&collection->tree, memory, collection->tree.count, &entry);
    }
    return 1 + kv_table_insert(&collection->table, memory, hash, record);
}

/* ---- Moving and copying ---------------------------------------------------------------------- */

void kv_collection_move(struct kv_call *call, struct kv_found *from, struct kv_found *to) {
    struct kv_space *space = &from->partition->space;
    struct kv_record *old = from->present;
    ASSERT(from->partition == to->partition && kv_is_large(old));
    struct kv_collection *collection = kv_collection_of(old);
    const uint64_t deadline_ms = kv_deadline_ms(old);
    const uint64_t index = call->run->moment.index;
    uint8_t source[8];
    bytes_put_u64(source, from->hash);
    uint64_t digest = kv_digest_change(from->partition->digest, index, from->hash, KV_CHANGE_REMOVE,
                                       KV_DEADLINE_NONE, 0);
    digest = kv_digest_change(digest, index, to->hash, KV_CHANGE_MOVE, deadline_ms, 0);
    from->partition->digest = kv_digest_bytes(digest, source, sizeof(source));

    kv_collection_install(call, to, collection, deadline_ms);
    /* The table may have been split: the old record's slot is looked for again. */
    kv_record_expire(space, old, KV_DEADLINE_NONE);
    kv_gone_note(call, from);
    kv_table_remove(&space->table, &space->memory,
                    kv_table_slot_of(&space->table, from->hash, old));
    memory_give(&space->memory, old, kv_record_bytes(old));
    from->slot = NULL;
    from->present = NULL;
    to->slot = kv_table_slot_of(&space->table, to->hash, to->present);
}

/* Copies what is left of a long part. Words: 4 where to, 5 where from, 6 how much. */
static enum kv_step kv_copy_long(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    while (word[6] > 0) {
        if (call->run->budget == 0)
            return KV_MORE;
        const uint64_t slice = word[6] < KV_SLICE_BYTES ? word[6] : KV_SLICE_BYTES;
        memcpy((uint8_t *)(uintptr_t)word[4], (const uint8_t *)(uintptr_t)word[5], slice);
        word[4] += slice;
        word[5] += slice;
        word[6] -= slice;
        kv_spend(call, slice / KV_UNIT_BYTES);
    }
    return KV_DONE;
}

/* Words: 2 the copy, 3 the place in the source, 4..6 kv_copy_long. */
enum kv_step kv_collection_copy(struct kv_call *call, const struct kv_found *from,
                                struct kv_found *to) {
    uint64_t *word = call->cursor->word;
    const enum kv_type type = kv_type_of(from->present);
    struct memory *memory = &to->partition->space.memory;
    ASSERT(kv_is_large(from->present));
    if (word[2] == 0)
        word[2] = (uintptr_t)kv_collection_make(memory, type);
    struct kv_collection *copy = (struct kv_collection *)(uintptr_t)word[2];
    for (;;) {
        if (kv_copy_long(call) == KV_MORE || call->run->budget == 0)
            return KV_MORE;
        struct kv_element element;
        uint8_t *place;
        if (!kv_collection_next(from->present, &word[3], &element))
            break;
        kv_spend(call, 1 + kv_collection_add(call->kv, memory, copy, &element, &place));
        const struct kv_bytes rest = type == KV_TYPE_LIST ? element.first : element.second;
        word[4] = (uintptr_t)place;
        word[5] = (uintptr_t)rest.data;
        word[6] = place != NULL ? rest.length_bytes : 0;
    }
    word[2] = word[3] = word[4] = word[5] = 0;
    const uint64_t deadline_ms = kv_deadline_ms(from->present);
    uint8_t source[8];
    bytes_put_u64(source, from->hash);
    to->partition->digest =
        kv_digest_bytes(kv_digest_change(to->partition->digest, call->run->moment.index, to->hash,
                                         KV_CHANGE_COPY, deadline_ms, 0),
                        source, sizeof(source));
    kv_collection_note(call->kv, copy);
    kv_collection_install(call, to, copy, deadline_ms);
    return KV_DONE;
}

/* ---- The graveyard --------------------------------------------------------------------------- */

void kv_collection_bury(struct kv_space *space, struct kv_collection *collection) {
    ASSERT(collection->next == NULL && collection->given == 0);
    collection->next = space->graveyard;
    space->graveyard = collection;
}

struct kv_collection *kv_collection_unbury(struct kv_space *space) {
    struct kv_collection *collection = space->graveyard;
    ASSERT(collection != NULL && collection->given == 0);
    space->graveyard = collection->next;
    collection->next = NULL;
    return collection;
}

/* What the entries of a list hold apart; `given` is the rank. */
static bool kv_entries_give(struct kv_collection *list, struct memory *memory, uint32_t *budget) {
    while (list->given < list->tree.count) {
        if (*budget == 0)
            return true;
        const struct kv_tree_run run = kv_tree_run(&list->tree, list->given);
        for (uint64_t i = list->given - run.rank; i<run.count && * budget> 0; i++) {
            kv_entry_give(memory, &run.entries[i]);
            list->given++;
            --*budget;
        }
    }
    return false;
}

bool kv_collection_give(struct memory *memory, struct kv_collection *collection, uint32_t *budget) {
    if (collection->type == KV_TYPE_LIST && collection->tree.root != NULL &&
        kv_entries_give(collection, memory, budget))
        return true;
    if (kv_tree_give_step(&collection->tree, memory, budget) ||
        kv_table_give_step(&collection->table, memory, &collection->given, kv_record_free,
                           budget) ||
        *budget == 0)
        return true;
    memory_give(memory, collection, sizeof(*collection));
    return false;
}

bool kv_graveyard_give(struct kv_space *space, uint32_t *budget) {
    while (space->graveyard != NULL) {
        struct kv_collection *next = space->graveyard->next;
        if (kv_collection_give(&space->memory, space->graveyard, budget))
            return true;
        space->graveyard = next;
    }
    return false;
}

/* ---- Entries --------------------------------------------------------------------------------- */

/* Bytes 0..14 of an entry, or {u8 *data, u32 length, 3 unused}; byte 15: length or mark. */
enum { KV_ENTRY_LENGTH_OFFSET = 15, KV_ENTRY_APART_LENGTH_OFFSET = 8 };
_Static_assert(sizeof(struct kv_tree_entry) == KV_ENTRY_LENGTH_OFFSET + 1, "as drawn");
_Static_assert((int)KV_ENTRY_INSIDE_BYTES_MAX == (int)KV_ENTRY_LENGTH_OFFSET, "all but the last");

struct kv_bytes kv_entry_bytes(const struct kv_tree_entry *entry) {
    const uint8_t *bytes = (const uint8_t *)entry;
    const uint8_t length_bytes = bytes[KV_ENTRY_LENGTH_OFFSET];
    if (length_bytes != KV_ENTRY_APART)
        return (struct kv_bytes){bytes, length_bytes};
    return (struct kv_bytes){(const uint8_t *)(uintptr_t)entry->word[0],
                             bytes_get_u32(bytes + KV_ENTRY_APART_LENGTH_OFFSET)};
}

uint8_t *kv_entry_make(struct kv *kv, struct memory *memory, struct kv_tree_entry *entry,
                       uint32_t length_bytes) {
    uint8_t *bytes = (uint8_t *)entry;
    *entry = (struct kv_tree_entry){{0, 0}};
    if (length_bytes <= KV_ENTRY_INSIDE_BYTES_MAX) {
        bytes[KV_ENTRY_LENGTH_OFFSET] = (uint8_t)length_bytes;
        return bytes;
    }
    ASSERT(length_bytes <= KV_VALUE_BYTES_MAX);
    kv->longest_bytes = length_bytes > kv->longest_bytes ? length_bytes : kv->longest_bytes;
    uint8_t *apart = memory_take(memory, length_bytes);
    entry->word[0] = (uintptr_t)apart;
    bytes_put_u32(bytes + KV_ENTRY_APART_LENGTH_OFFSET, length_bytes);
    bytes[KV_ENTRY_LENGTH_OFFSET] = KV_ENTRY_APART;
    return apart;
}

void kv_entry_give(struct memory *memory, const struct kv_tree_entry *entry) {
    if (((const uint8_t *)entry)[KV_ENTRY_LENGTH_OFFSET] != KV_ENTRY_APART)
        return;
    const struct kv_bytes bytes = kv_entry_bytes(entry);
    memory_give(memory, (void *)(uintptr_t)entry->word[0], bytes.length_bytes);
}
