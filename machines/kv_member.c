/*
 * Members of sets and fields of hashes, whatever the encoding.
 *
 * Happy path of a put: the collection stays compact, and bytes are spliced in; or it is large, and
 * a record of its table is written over, or replaced, or inserted. A compact one that would grow
 * beyond its limits becomes large first.
 *
 * A value longer than KV_INLINE_BYTES_MAX is first copied, in slices, to an object of its own; only
 * then is the field changed, in one step.
 */

#include "machines/kv_collection.h"

static uint64_t kv_member_hash(const struct kv_call *call, struct kv_bytes member) {
    return machine_key_hash(member.data, member.length_bytes, call->kv->options.hash_seed);
}

enum kv_step kv_protect_member(struct kv_call *call, const struct kv_found *found,
                               struct kv_bytes member) {
    struct kv_record *record = found->present;
    if (call->kv->snapshot == NULL || record == NULL || !kv_is_large(record))
        return kv_protect(call, found);
    const struct kv_table *table = &kv_collection_of(record)->table;
    ASSERT(kv_collection_of(record)->tree.root == NULL);
    if (member.length_bytes > KV_KEY_BYTES_MAX)
        return KV_DONE;    /* there is none such, so nothing is going to be changed */
    if (table->count == 1) /* it may be removed, and its key with it */
        return kv_protect(call, found);
    const uint64_t *slot =
        kv_table_find(table, kv_member_hash(call, member), member.data, member.length_bytes);
    struct kv_record *element = slot != NULL ? kv_slot_record(*slot) : NULL;
    return kv_snapshot_protect_element(call->kv, record, element) ? KV_DONE : KV_MORE;
}

static struct kv_bytes kv_packed_at(const struct kv_record *record, uint32_t offset) {
    struct kv_bytes bytes;
    const bool there = kv_packed_next(kv_value(record), kv_value_bytes(record), &offset, &bytes);
    ASSERT_HOT(there);
    return bytes;
}

bool kv_member_find(struct kv_call *call, const struct kv_found *found, struct kv_bytes member,
                    struct kv_bytes *value) {
    const struct kv_record *record = found->present;
    if (record == NULL || member.length_bytes > KV_KEY_BYTES_MAX)
        return false;
    if (kv_is_large(record)) {
        const uint64_t *slot =
            kv_table_find(&kv_collection_of(record)->table, kv_member_hash(call, member),
                          member.data, member.length_bytes);
        if (slot != NULL && value != NULL)
            *value = (struct kv_bytes){kv_value(kv_slot_record(*slot)),
                                       kv_value_bytes(kv_slot_record(*slot))};
        return slot != NULL;
    }
    uint32_t offset;
    kv_spend(call, kv_value_bytes(record) / KV_UNIT_BYTES);
    if (!kv_packed_find(kv_value(record), kv_value_bytes(record), kv_stride(kv_type_of(record)),
                        member, &offset))
        return false;
    if (value != NULL)
        *value =
            kv_packed_at(record, offset + (uint32_t)kv_packed_element_bytes(member.length_bytes));
    return true;
}

/* ---- Putting --------------------------------------------------------------------------------- */

static enum kv_change kv_put_change(enum kv_type type) {
    return type == KV_TYPE_HASH ? KV_CHANGE_FIELD_PUT : KV_CHANGE_MEMBER_ADD;
}

/* Into a compact collection, or a new one. False: it would not be compact any more, and nothing was
 * done. */
static bool kv_compact_put(struct kv_call *call, struct kv_found *found, enum kv_type type,
                           struct kv_bytes member, const struct kv_bytes *value, bool *created) {
    const struct kv_record *record = found->present;
    const uint32_t stride = kv_stride(type);
    const struct kv_bytes pieces[2] = {member, value != NULL ? *value : (struct kv_bytes){NULL, 0}};
    const uint8_t *bytes = record != NULL ? kv_value(record) : (const uint8_t *)"";
    const uint32_t old_bytes = record != NULL ? kv_value_bytes(record) : 0;
    const uint64_t value_bytes = value != NULL ? kv_packed_element_bytes(value->length_bytes) : 0;
    uint32_t offset;
    *created = !kv_packed_find(bytes, old_bytes, stride, member, &offset);
    kv_spend(call, old_bytes / KV_UNIT_BYTES);
    if (*created) {
        const uint64_t member_bytes = kv_packed_element_bytes(member.length_bytes);
        const uint64_t count = kv_packed_count(bytes, old_bytes) / stride + 1;
        if (!kv_compact_takes(count, old_bytes + member_bytes + value_bytes))
            return false;
        kv_digest_element(call, found, kv_put_change(type), 0, pieces[0], pieces[1]);
        kv_compact_splice(call, found, type, old_bytes, 0, pieces, stride);
        return true;
    }
    ASSERT(type == KV_TYPE_HASH);
    offset += (uint32_t)kv_packed_element_bytes(member.length_bytes);
    const uint32_t removed_bytes =
        (uint32_t)kv_packed_element_bytes(kv_packed_at(record, offset).length_bytes);
    if (old_bytes - removed_bytes + value_bytes > KV_INLINE_BYTES_MAX)
        return false;
    kv_digest_element(call, found, KV_CHANGE_FIELD_PUT, 0, pieces[0], pieces[1]);
    kv_compact_splice(call, found, type, offset, removed_bytes, &pieces[1], 1);
    return true;
}

/* Copies a long value to an object apart. Words: 2 data, 3 bytes copied + 1, 4 digest. */
static enum kv_step kv_field_fill(struct kv_call *call, struct kv_found *found,
                                  struct kv_bytes field, struct kv_bytes value,
                                  struct kv_apart *apart) {
    uint64_t *word = call->cursor->word;
    if (word[3] == 0) {
        word[2] = (uintptr_t)memory_take(&found->partition->space.memory, value.length_bytes);
        word[3] = 1;
        word[4] = kv_digest_fold(kv_digest_element_begin(call, found, KV_CHANGE_FIELD_PUT, 0,
                                                         field.length_bytes, value.length_bytes),
                                 field);
    }
    apart->data = (uint8_t *)(uintptr_t)word[2];
    apart->capacity_bytes = memory_usable_bytes(value.length_bytes);
    while (word[3] - 1 < value.length_bytes) {
        if (call->run->budget == 0)
            return KV_MORE;
        const uint64_t done = word[3] - 1;
        const uint64_t left = value.length_bytes - done;
        const uint32_t slice = left < KV_SLICE_BYTES ? (uint32_t)left : KV_SLICE_BYTES;
        memcpy(apart->data + done, value.data + done, slice);
        word[4] = kv_digest_bytes(word[4], value.data + done, slice);
        word[3] += slice;
        kv_spend(call, 1 + slice / KV_UNIT_BYTES);
    }
    found->partition->digest = word[4];
    word[2] = word[3] = word[4] = 0;
    return KV_DONE;
}

/* A record of the table with a value, which for a long one is what `apart` says. */
static struct kv_record *kv_member_make(struct kv_call *call, struct memory *memory, uint64_t hash,
                                        struct kv_bytes member, struct kv_bytes value,
                                        const struct kv_apart *apart) {
    struct kv_record *record =
        kv_record_make(call->kv, memory, hash, 0, false, member.length_bytes, value.length_bytes);
    memcpy(record->bytes, member.data, member.length_bytes);
    if (kv_is_apart(record))
        memcpy(kv_value_place(record), apart, sizeof(*apart));
    else if (value.length_bytes > 0)
        memcpy(kv_value_place(record), value.data, value.length_bytes);
    return record;
}

static enum kv_step kv_large_put(struct kv_call *call, struct kv_found *found, enum kv_type type,
                                 struct kv_bytes member, const struct kv_bytes *given,
                                 bool *created) {
    struct memory *memory = &found->partition->space.memory;
    struct kv_collection *collection = kv_collection_of(found->present);
    const struct kv_bytes value = given != NULL ? *given : (struct kv_bytes){NULL, 0};
    const uint64_t hash = kv_member_hash(call, member);
    uint64_t *slot = kv_table_find(&collection->table, hash, member.data, member.length_bytes);
    struct kv_record *old = slot != NULL ? kv_slot_record(*slot) : NULL;
    struct kv_apart apart = {NULL, 0};
    *created = old == NULL;
    ASSERT(*created || type == KV_TYPE_HASH);
    if (value.length_bytes <= KV_INLINE_BYTES_MAX)
        kv_digest_element(call, found, kv_put_change(type), 0, member, value);
    else if (kv_field_fill(call, found, member, value, &apart) == KV_MORE)
        return KV_MORE;

    if (old != NULL)
        collection->packed_bytes -= kv_packed_element_bytes(kv_value_bytes(old));
    else
        collection->packed_bytes += kv_packed_element_bytes(member.length_bytes);
    if (given != NULL)
        collection->packed_bytes += kv_packed_element_bytes(value.length_bytes);
    kv_spend(call, 1 + (member.length_bytes + value.length_bytes) / KV_UNIT_BYTES);
    if (old != NULL && apart.data == NULL && kv_record_fits(old, value.length_bytes, false)) {
        memcpy(kv_value_place(old), value.data, value.length_bytes);
        old->value_word = value.length_bytes | collection->parity;
    } else {
        struct kv_record *record = kv_member_make(call, memory, hash, member, value, &apart);
        record->value_word = (record->value_word & ~KV_EMITTED) | collection->parity;
        if (old == NULL) {
            kv_spend(call, kv_table_insert(&collection->table, memory, hash, record));
        } else {
            kv_slot_set(slot, record);
            kv_record_free(memory, old);
        }
    }
    kv_collection_changed(call, found);
    return KV_DONE;
}

enum kv_step kv_member_put(struct kv_call *call, struct kv_found *found, enum kv_type type,
                           struct kv_bytes member, const struct kv_bytes *value, bool *created) {
    ASSERT(found->present == NULL || kv_type_of(found->present) == type);
    ASSERT((type == KV_TYPE_HASH) == (value != NULL) && member.length_bytes <= KV_KEY_BYTES_MAX);
    if (found->present == NULL || !kv_is_large(found->present)) {
        if (kv_compact_put(call, found, type, member, value, created))
            return KV_DONE;
        kv_collection_open(call, found, type);
    }
    return kv_large_put(call, found, type, member, value, created);
}

/* ---- Removing -------------------------------------------------------------------------------- */

static bool kv_compact_drop(struct kv_call *call, struct kv_found *found, enum kv_change change,
                            struct kv_bytes member) {
    const struct kv_record *record = found->present;
    const enum kv_type type = kv_type_of(record);
    const uint32_t old_bytes = kv_value_bytes(record);
    uint32_t offset;
    kv_spend(call, old_bytes / KV_UNIT_BYTES);
    if (!kv_packed_find(kv_value(record), old_bytes, kv_stride(type), member, &offset))
        return false;
    kv_digest_element(call, found, change, 0, member, (struct kv_bytes){NULL, 0});
    uint32_t removed_bytes = (uint32_t)kv_packed_element_bytes(member.length_bytes);
    if (kv_stride(type) == 2)
        removed_bytes += (uint32_t)kv_packed_element_bytes(
            kv_packed_at(record, offset + removed_bytes).length_bytes);
    if (removed_bytes == old_bytes)
        kv_collection_remove(call, found);
    else
        kv_compact_splice(call, found, type, offset, removed_bytes, NULL, 0);
    return true;
}

static bool kv_large_drop(struct kv_call *call, struct kv_found *found, enum kv_change change,
                          struct kv_bytes member) {
    struct memory *memory = &found->partition->space.memory;
    struct kv_collection *collection = kv_collection_of(found->present);
    uint64_t *slot = kv_table_find(&collection->table, kv_member_hash(call, member), member.data,
                                   member.length_bytes);
    kv_spend(call, 1);
    if (slot == NULL)
        return false;
    struct kv_record *record = kv_slot_record(*slot);
    kv_digest_element(call, found, change, 0, member, (struct kv_bytes){NULL, 0});
    collection->packed_bytes -= kv_packed_element_bytes(member.length_bytes);
    if (collection->type == KV_TYPE_HASH)
        collection->packed_bytes -= kv_packed_element_bytes(kv_value_bytes(record));
    kv_table_remove(&collection->table, memory, slot);
    kv_record_free(memory, record);
    if (collection->table.count == 0)
        kv_collection_remove(call, found);
    else
        kv_collection_changed(call, found);
    return true;
}

bool kv_member_remove(struct kv_call *call, struct kv_found *found, struct kv_bytes member) {
    if (found->present == NULL || member.length_bytes > KV_KEY_BYTES_MAX)
        return false;
    const enum kv_type type = kv_type_of(found->present);
    ASSERT(type == KV_TYPE_HASH || type == KV_TYPE_SET);
    const enum kv_change change =
        type == KV_TYPE_HASH ? KV_CHANGE_FIELD_REMOVE : KV_CHANGE_MEMBER_REMOVE;
    return kv_is_large(found->present) ? kv_large_drop(call, found, change, member)
                                       : kv_compact_drop(call, found, change, member);
}
