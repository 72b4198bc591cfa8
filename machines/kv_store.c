/*
 * Finding and changing one record.
 *
 * Happy path: the key is there, the new value fits where the old one was (same size class), and is
 * written over it. Otherwise a new record is made and takes the old one's slot and its place in
 * the heap of deadlines, or is inserted.
 *
 * A value longer than KV_INLINE_BYTES_MAX is first copied, in slices, to an object of its own; only
 * then is the record changed, in one step.
 *
 * A record that is due is absent to every command; when its key is written again it is simply
 * written over.
 */

#include "machines/kv_collection.h"

struct kv_found kv_find(const struct kv_call *call, uint32_t key, uint32_t argument) {
    const struct machine_operation *operation = call->operation;
    ASSERT_HOT(key < operation->key_count && argument < operation->argument_count);
    struct kv_found found = {
        .hash = operation->key_hashes[key],
        .key = operation->arguments[argument].data,
        .key_bytes = operation->arguments[argument].length_bytes,
    };
    const uint32_t bits = call->kv->options.partition_bits;
    found.partition = &call->kv->partition[machine_partition(found.hash, bits)];
    const struct kv_table *table = &found.partition->space.table;
    found.slot = kv_table_find(table, found.hash, found.key, found.key_bytes);
    if (found.slot != NULL) {
        struct kv_record *record = kv_slot_record(*found.slot);
        if (kv_deadline_ms(record) > call->now_ms)
            found.present = record;
    }
    return found;
}

bool kv_typed(struct kv_call *call, const struct kv_found *found, enum kv_type type) {
    if (found->present == NULL || kv_type_of(found->present) == type)
        return true;
    kv_error(call->reply, kv_error_wrong_type);
    return false;
}

bool kv_is_same_key(const struct kv_found *a, const struct kv_found *b) {
    return a->hash == b->hash && a->key_bytes == b->key_bytes &&
           memcmp(a->key, b->key, a->key_bytes) == 0;
}

enum kv_step kv_protect(struct kv_call *call, const struct kv_found *found) {
    if (found->slot == NULL)
        return KV_DONE;
    return kv_snapshot_protect(call->kv, found->partition, kv_slot_record(*found->slot)) ? KV_DONE
                                                                                         : KV_MORE;
}

/* ---- Making records -------------------------------------------------------------------------- */

void kv_record_free(struct memory *memory, struct kv_record *record) {
    ASSERT_HOT(!kv_is_large(record));
    if (kv_is_apart(record)) {
        const struct kv_apart apart = kv_apart_get(record);
        memory_give(memory, apart.data, apart.capacity_bytes);
    }
    memory_give(memory, record, kv_record_bytes(record));
}

/* A record that is in no table any more; a large collection goes to the graveyard. */
static void kv_record_drop(struct kv_space *space, struct kv_record *record) {
    if (!kv_is_large(record)) {
        kv_record_free(&space->memory, record);
        return;
    }
    kv_collection_bury(space, kv_collection_of(record));
    memory_give(&space->memory, record, kv_record_bytes(record));
}

_Static_assert((int)KV_INLINE_BYTES_MAX < (int)MEMORY_CLASSED_BYTES_MAX,
               "a value longer than any classed object lies apart, in a block");

static void kv_note_length(struct kv *kv, uint32_t value_bytes) {
    kv->longest_bytes = value_bytes > kv->longest_bytes ? value_bytes : kv->longest_bytes;
}

struct kv_record *kv_record_make(struct kv *kv, struct memory *memory, uint64_t hash,
                                 uint32_t change, bool deadlined, uint32_t key_bytes,
                                 uint32_t value_bytes) {
    struct kv_record *record =
        memory_take(memory, kv_record_bytes_of(deadlined, key_bytes, value_bytes));
    record->hash_low = (uint32_t)hash;
    record->change = change;
    record->key_word = key_bytes | (deadlined ? KV_DEADLINED : 0);
    record->value_word = value_bytes | kv->parity;
    if (value_bytes > KV_INLINE_BYTES_MAX) {
        record->value_word |= KV_APART;
        kv_note_length(kv, value_bytes);
    }
    if (deadlined)
        *kv_deadline_of(record) = (struct kv_deadline){KV_DEADLINE_NONE, 0, 0};
    return record;
}

struct kv_record *kv_record_new(const struct kv_call *call, const struct kv_found *found,
                                enum kv_type type, bool deadlined, uint32_t value_bytes) {
    struct kv_record *record =
        kv_record_make(call->kv, &found->partition->space.memory, found->hash,
                       (uint32_t)call->run->moment.index, deadlined, found->key_bytes, value_bytes);
    record->key_word |= (uint32_t)type << KV_TYPE_SHIFT;
    memcpy(record->bytes + kv_key_offset(record), found->key, found->key_bytes);
    found->partition->changed = call->run->moment.index;
    if (deadlined)
        kv_gone_note(call, found);
    return record;
}

void kv_record_changed(const struct kv_call *call, const struct kv_found *found,
                       struct kv_record *record) {
    found->partition->changed = call->run->moment.index;
    record->change = (uint32_t)call->run->moment.index;
    if (call->kv->snapshot == NULL || !kv_snapshot_is_writing(call->kv, record))
        record->value_word = (record->value_word & ~KV_EMITTED) | call->kv->parity;
}

void kv_record_install(struct kv_call *call, struct kv_found *found, struct kv_record *record) {
    struct kv_space *space = &found->partition->space;
    if (found->slot == NULL) {
        kv_spend(call, kv_table_insert(&space->table, &space->memory, found->hash, record));
        return;
    }
    struct kv_record *old = kv_slot_record(*found->slot);
    if (kv_deadline_of(old) != NULL)
        kv_expiry_set(&space->expiry, &space->memory, old, KV_DEADLINE_NONE);
    kv_slot_set(found->slot, record);
    kv_record_drop(space, old);
}

void kv_record_expire(struct kv_space *space, struct kv_record *record, uint64_t deadline_ms) {
    if (kv_deadline_of(record) != NULL)
        kv_expiry_set(&space->expiry, &space->memory, record, deadline_ms);
    else
        ASSERT_HOT(deadline_ms == KV_DEADLINE_NONE);
}

void kv_space_remove(struct kv_space *space, uint64_t *slot) {
    struct kv_record *record = kv_slot_record(*slot);
    kv_record_expire(space, record, KV_DEADLINE_NONE);
    kv_table_remove(&space->table, &space->memory, slot);
    kv_record_drop(space, record);
}

/* ---- Changing a value ------------------------------------------------------------------------ */

static uint64_t kv_fold_value(const struct kv_call *call, const struct kv_found *found,
                              const struct kv_value *value, uint64_t deadline_ms) {
    enum kv_change change = value->old_bytes > 0 ? KV_CHANGE_APPEND : KV_CHANGE_VALUE;
    if (value->is_range) {
        change = KV_CHANGE_RANGE;
        deadline_ms = (uint64_t)value->old_bytes + value->zero_bytes;
    }
    if (value->type != KV_TYPE_STRING)
        change = KV_CHANGE_COPY;
    return kv_digest_change(found->partition->digest, call->run->moment.index, found->hash, change,
                            deadline_ms, value->more.length_bytes);
}

static uint64_t kv_value_bytes_of(const struct kv_value *value) {
    return (uint64_t)value->old_bytes + value->zero_bytes + value->more.length_bytes;
}

/* Writes what is new of a value that is not longer than KV_INLINE_BYTES_MAX. */
static void kv_value_write(const struct kv_value *value, uint8_t *place) {
    if (value->zero_bytes > 0)
        memset(place + value->old_bytes, 0, value->zero_bytes);
    memcpy(place + value->old_bytes + value->zero_bytes, value->more.data,
           value->more.length_bytes);
}

bool kv_record_fits(const struct kv_record *record, uint32_t value_bytes, bool deadlined) {
    if (kv_is_apart(record) || kv_is_large(record) ||
        (deadlined && (record->key_word & KV_DEADLINED) == 0))
        return false;
    const size_t wanted = kv_record_bytes_of((record->key_word & KV_DEADLINED) != 0,
                                             kv_key_bytes(record), value_bytes);
    return memory_class(wanted) == memory_class(kv_record_bytes(record));
}

/* A value that lies in the record. */
static void kv_store_inline(struct kv_call *call, struct kv_found *found,
                            const struct kv_value *value, uint64_t deadline_ms) {
    struct kv_space *space = &found->partition->space;
    const uint32_t value_bytes = (uint32_t)kv_value_bytes_of(value);
    const bool deadlined = deadline_ms != KV_DEADLINE_NONE;
    if (deadlined)
        kv_gone_note(call, found);
    struct kv_record *old = found->slot != NULL ? kv_slot_record(*found->slot) : NULL;

    found->partition->digest = kv_digest_bytes(kv_fold_value(call, found, value, deadline_ms),
                                               value->more.data, value->more.length_bytes);
    kv_spend(call, value_bytes / KV_UNIT_BYTES);

    if (old != NULL && kv_record_fits(old, value_bytes, deadlined)) {
        kv_value_write(value, kv_value_place(old));
        old->key_word = (old->key_word & ~(uint32_t)KV_TYPE_MASK) | (uint32_t)value->type
                                                                        << KV_TYPE_SHIFT;
        old->value_word = value_bytes;
        kv_record_changed(call, found, old);
        kv_record_expire(space, old, deadline_ms);
        found->present = old;
        return;
    }
    struct kv_record *record = kv_record_new(call, found, value->type, deadlined, value_bytes);
    uint8_t *place = kv_value_place(record);
    if (value->old_bytes > 0)
        memcpy(place, kv_value(old), value->old_bytes);
    kv_value_write(value, place);
    kv_record_install(call, found, record);
    kv_record_expire(space, record, deadline_ms);
    found->present = record;
}

/* Where a slice of a long value comes from: the old value first, then zeros (NULL), then the new
 * bytes. */
static uint32_t kv_value_slice(const struct kv_found *found, const struct kv_value *value,
                               uint64_t offset, const uint8_t **from) {
    uint64_t left;
    if (offset < value->old_bytes) {
        *from = kv_value(found->present) + offset;
        left = value->old_bytes - offset;
    } else if (offset - value->old_bytes < value->zero_bytes) {
        *from = NULL;
        left = (uint64_t)value->old_bytes + value->zero_bytes - offset;
    } else {
        *from = value->more.data + (offset - value->old_bytes - value->zero_bytes);
        left = kv_value_bytes_of(value) - offset;
    }
    return left < KV_SLICE_BYTES ? (uint32_t)left : KV_SLICE_BYTES;
}

/* Fills an object apart, folding only what is new. Words: 2 data, 3 bytes filled + 1, 4 digest. */
static enum kv_step kv_fill_apart(struct kv_call *call, const struct kv_found *found,
                                  const struct kv_value *value, uint64_t deadline_ms,
                                  struct kv_apart *apart) {
    uint64_t *word = call->cursor->word;
    const uint64_t value_bytes = kv_value_bytes_of(value);
    struct memory *memory = &found->partition->space.memory;
    const bool append_in_place = value->old_bytes > 0 && kv_is_apart(found->present) &&
                                 kv_apart_get(found->present).capacity_bytes >= value_bytes;
    if (word[3] == 0) {
        /* An APPEND that has to move doubles the room, so that a long value built from short
         * pieces is copied a constant number of times. */
        const uint64_t wanted = value->old_bytes > 0 ? value_bytes * 2 : value_bytes;
        word[2] = append_in_place ? (uintptr_t)kv_apart_get(found->present).data
                                  : (uintptr_t)memory_take(memory, wanted);
        word[3] = 1 + (append_in_place ? value->old_bytes : 0);
        word[4] = kv_fold_value(call, found, value, deadline_ms);
    }
    apart->data = (uint8_t *)(uintptr_t)word[2];
    apart->capacity_bytes =
        append_in_place ? kv_apart_get(found->present).capacity_bytes
                        : memory_usable_bytes(value->old_bytes > 0 ? value_bytes * 2 : value_bytes);
    while (word[3] - 1 < value_bytes) {
        if (call->run->budget == 0)
            return KV_MORE;
        const uint64_t offset = word[3] - 1;
        const uint8_t *from;
        const uint32_t slice = kv_value_slice(found, value, offset, &from);
        if (from == NULL)
            memset(apart->data + offset, 0, slice);
        else
            memcpy(apart->data + offset, from, slice);
        if (offset >= (uint64_t)value->old_bytes + value->zero_bytes)
            word[4] = kv_digest_bytes(word[4], from, slice);
        word[3] += slice;
        kv_spend(call, 1 + slice / KV_UNIT_BYTES);
    }
    return KV_DONE;
}

/* A new record for a value apart. */
static void kv_apart_install(struct kv_call *call, struct kv_found *found,
                             const struct kv_apart *apart, uint32_t value_bytes,
                             uint64_t deadline_ms) {
    struct kv_space *space = &found->partition->space;
    ASSERT(value_bytes > KV_INLINE_BYTES_MAX && apart->capacity_bytes >= value_bytes);
    struct kv_record *record =
        kv_record_new(call, found, KV_TYPE_STRING, deadline_ms != KV_DEADLINE_NONE, value_bytes);
    memcpy(kv_value_place(record), apart, sizeof(*apart));
    kv_record_install(call, found, record);
    kv_record_expire(space, record, deadline_ms);
    found->present = record;
}

static enum kv_step kv_store_apart(struct kv_call *call, struct kv_found *found,
                                   const struct kv_value *value, uint64_t deadline_ms) {
    uint64_t *word = call->cursor->word;
    struct kv_apart apart;
    if (kv_fill_apart(call, found, value, deadline_ms, &apart) == KV_MORE)
        return KV_MORE;
    found->partition->digest = word[4];
    word[2] = word[3] = word[4] = 0;

    const uint32_t value_bytes = (uint32_t)kv_value_bytes_of(value);
    struct kv_record *old = found->present;
    if (value->old_bytes > 0 && kv_is_apart(old) && kv_apart_get(old).data == apart.data) {
        /* APPEND in place: the deadline stays as it is. */
        ASSERT(deadline_ms == kv_deadline_ms(old));
        old->value_word = value_bytes | KV_APART;
        kv_record_changed(call, found, old);
        kv_note_length(call->kv, value_bytes);
        return KV_DONE;
    }
    kv_apart_install(call, found, &apart, value_bytes, deadline_ms);
    return KV_DONE;
}

enum kv_step kv_store_value(struct kv_call *call, struct kv_found *found,
                            const struct kv_value *value, uint64_t deadline_ms) {
    ASSERT_HOT(value->old_bytes == 0 || value->old_bytes == kv_value_bytes(found->present) ||
               (value->is_range && value->old_bytes < kv_value_bytes(found->present)));
    ASSERT(kv_value_bytes_of(value) <= KV_VALUE_BYTES_MAX);
    if (kv_value_bytes_of(value) > KV_INLINE_BYTES_MAX)
        return kv_store_apart(call, found, value, deadline_ms);
    kv_store_inline(call, found, value, deadline_ms);
    return KV_DONE;
}

/* ---- Parts of a value, and values that change their key -------------------------------------- */

/* Bytes that lie inside the present value. Words: 3 bytes written + 1, 4 digest. */
static enum kv_step kv_store_inside(struct kv_call *call, struct kv_found *found, uint64_t offset,
                                    struct machine_argument bytes) {
    uint64_t *word = call->cursor->word;
    struct kv_record *record = found->present;
    uint8_t *to = kv_is_apart(record) ? kv_apart_get(record).data : kv_value_place(record);
    ASSERT_HOT(offset + bytes.length_bytes <= kv_value_bytes(record));
    if (word[3] == 0) {
        word[3] = 1;
        word[4] = kv_digest_change(found->partition->digest, call->run->moment.index, found->hash,
                                   KV_CHANGE_RANGE, offset, bytes.length_bytes);
    }
    while (word[3] - 1 < bytes.length_bytes) {
        if (call->run->budget == 0)
            return KV_MORE;
        const uint64_t done = word[3] - 1;
        const uint64_t left = bytes.length_bytes - done;
        const uint32_t slice = left < KV_SLICE_BYTES ? (uint32_t)left : KV_SLICE_BYTES;
        memcpy(to + offset + done, bytes.data + done, slice);
        word[4] = kv_digest_bytes(word[4], bytes.data + done, slice);
        word[3] += slice;
        kv_spend(call, 1 + slice / KV_UNIT_BYTES);
    }
    found->partition->digest = word[4];
    word[3] = word[4] = 0;
    kv_record_changed(call, found, record);
    return KV_DONE;
}

enum kv_step kv_store_range(struct kv_call *call, struct kv_found *found, uint64_t offset,
                            struct machine_argument bytes) {
    const uint64_t old_bytes = found->present != NULL ? kv_value_bytes(found->present) : 0;
    ASSERT_HOT(bytes.length_bytes > 0);
    ASSERT(offset + bytes.length_bytes <= KV_VALUE_BYTES_MAX);
    if (offset + bytes.length_bytes <= old_bytes)
        return kv_store_inside(call, found, offset, bytes);
    const struct kv_value value = {
        .old_bytes = (uint32_t)(offset < old_bytes ? offset : old_bytes),
        .zero_bytes = (uint32_t)(offset > old_bytes ? offset - old_bytes : 0),
        .more = bytes,
        .is_range = true,
    };
    const uint64_t deadline_ms =
        found->present != NULL ? kv_deadline_ms(found->present) : KV_DEADLINE_NONE;
    return kv_store_value(call, found, &value, deadline_ms);
}

/* Words: 3 bytes folded + 1, 4 digest. */
enum kv_step kv_store_apart_value(struct kv_call *call, struct kv_found *found,
                                  const struct kv_apart *apart, uint32_t value_bytes) {
    uint64_t *word = call->cursor->word;
    if (word[3] == 0) {
        word[3] = 1;
        word[4] = kv_digest_change(found->partition->digest, call->run->moment.index, found->hash,
                                   KV_CHANGE_VALUE, KV_DEADLINE_NONE, value_bytes);
    }
    while (word[3] - 1 < value_bytes) {
        if (call->run->budget == 0)
            return KV_MORE;
        const uint64_t left = value_bytes - (word[3] - 1);
        const uint32_t slice = left < KV_SLICE_BYTES ? (uint32_t)left : KV_SLICE_BYTES;
        word[4] = kv_digest_bytes(word[4], apart->data + (word[3] - 1), slice);
        word[3] += slice;
        kv_spend(call, 1 + slice / KV_UNIT_BYTES);
    }
    found->partition->digest = word[4];
    word[3] = word[4] = 0;
    kv_apart_install(call, found, apart, value_bytes, KV_DEADLINE_NONE);
    return KV_DONE;
}

bool kv_value_is_movable(const struct kv_record *record) {
    /* By its length, not by its room: that is no part of the state, and replicas must agree. */
    return kv_value_bytes(record) > MEMORY_CLASSED_BYTES_MAX;
}

void kv_store_moved(struct kv_call *call, struct kv_found *from, struct kv_found *to) {
    struct kv_record *old = from->present;
    struct kv_space *space = &from->partition->space;
    ASSERT(old != NULL && kv_value_is_movable(old));
    ASSERT(kv_is_apart(old) && kv_apart_get(old).capacity_bytes > MEMORY_CLASSED_BYTES_MAX);
    const struct kv_apart apart = kv_apart_get(old);
    const uint64_t deadline_ms = kv_deadline_ms(old);
    const uint32_t value_bytes = kv_value_bytes(old);
    const uint64_t index = call->run->moment.index;

    from->partition->digest = kv_digest_change(from->partition->digest, index, from->hash,
                                               KV_CHANGE_REMOVE, KV_DEADLINE_NONE, 0);
    uint8_t source[8];
    bytes_put_u64(source, from->hash);
    to->partition->digest =
        kv_digest_bytes(kv_digest_change(to->partition->digest, index, to->hash, KV_CHANGE_MOVE,
                                         deadline_ms, value_bytes),
                        source, sizeof(source));

    if (from->partition != to->partition)
        memory_move(&space->memory, &to->partition->space.memory, apart.data, apart.capacity_bytes);
    kv_gone_note(call, from);
    kv_apart_install(call, to, &apart, value_bytes, deadline_ms);
    /* The table may have been split: the old record's slot is looked for again. */
    kv_record_expire(space, old, KV_DEADLINE_NONE);
    kv_table_remove(&space->table, &space->memory,
                    kv_table_slot_of(&space->table, from->hash, old));
    memory_give(&space->memory, old, kv_record_bytes(old));
    from->slot = NULL;
    from->present = NULL;
}

/* ---- Deadlines and removal ------------------------------------------------------------------- */

/* The same record with room for a deadline, in its slot. Its value, if apart, is not copied. */
static struct kv_record *kv_record_widen(struct kv_call *call, struct kv_found *found) {
    struct memory *memory = &found->partition->space.memory;
    struct kv_record *old = found->present;
    struct kv_record *record =
        kv_record_new(call, found, kv_type_of(old), true, kv_value_bytes(old));
    record->key_word |= old->key_word & KV_LARGE;
    record->value_word = (old->value_word & ~KV_EMITTED) | call->kv->parity;
    const size_t rest = kv_is_apart(old) ? sizeof(struct kv_apart) : kv_value_bytes(old);
    memcpy(kv_value_place(record), kv_value_place(old), rest);
    kv_slot_set(found->slot, record);
    memory_give(memory, old, kv_record_bytes(old));
    kv_spend(call, 1 + rest / KV_UNIT_BYTES);
    return record;
}

void kv_store_deadline(struct kv_call *call, struct kv_found *found, uint64_t deadline_ms) {
    ASSERT_HOT(found->present != NULL);
    found->partition->digest = kv_digest_change(found->partition->digest, call->run->moment.index,
                                                found->hash, KV_CHANGE_DEADLINE, deadline_ms, 0);
    if (deadline_ms != KV_DEADLINE_NONE)
        kv_gone_note(call, found);
    if (kv_deadline_of(found->present) == NULL && deadline_ms != KV_DEADLINE_NONE)
        found->present = kv_record_widen(call, found);
    kv_record_expire(&found->partition->space, found->present, deadline_ms);
    kv_record_changed(call, found, found->present);
}

void kv_store_remove(struct kv_call *call, struct kv_found *found) {
    ASSERT_HOT(found->present != NULL);
    found->partition->digest = kv_digest_change(found->partition->digest, call->run->moment.index,
                                                found->hash, KV_CHANGE_REMOVE, KV_DEADLINE_NONE, 0);
    kv_gone_note(call, found);
    kv_space_remove(&found->partition->space, found->slot);
    found->slot = NULL;
    found->present = NULL;
}

/* ---- Replying a value ------------------------------------------------------------------------ */

enum kv_step kv_reply_bytes(struct kv_call *call, const uint8_t *from, uint32_t value_bytes) {
    if (call->reply == NULL)
        return KV_DONE;
    if (value_bytes <= KV_SLICE_BYTES) {
        reply_bulk(call->reply, from, value_bytes);
        kv_spend(call, value_bytes / KV_UNIT_BYTES);
        return KV_DONE;
    }
    uint64_t *word = call->cursor->word;
    if (word[5] == 0) {
        uint8_t *to = reply_bulk_reserve(call->reply, value_bytes);
        if (to == NULL)
            return KV_DONE; /* counted as overflow */
        word[5] = (uintptr_t)to;
        word[6] = 0;
    }
    while (word[6] < value_bytes) {
        if (call->run->budget == 0)
            return KV_MORE;
        const uint64_t left = value_bytes - word[6];
        const uint32_t slice = left < KV_SLICE_BYTES ? (uint32_t)left : KV_SLICE_BYTES;
        memcpy((uint8_t *)(uintptr_t)word[5] + word[6], from + word[6], slice);
        word[6] += slice;
        kv_spend(call, 1 + slice / KV_UNIT_BYTES);
    }
    reply_bulk_commit(call->reply, value_bytes);
    word[5] = word[6] = 0;
    return KV_DONE;
}

enum kv_step kv_reply_value(struct kv_call *call, const struct kv_record *record) {
    return kv_reply_bytes(call, kv_value(record), kv_value_bytes(record));
}

enum kv_step kv_reply_old(struct kv_call *call, const struct kv_found *found) {
    uint64_t *word = call->cursor->word;
    if (word[1] != 0)
        return KV_DONE;
    if (found->present == NULL)
        kv_reply_null(call);
    else if (kv_reply_value(call, found->present) == KV_MORE)
        return KV_MORE;
    word[1] = 1;
    return KV_DONE;
}
