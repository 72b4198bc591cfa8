/*
 * Happy path: a short record is digested and copied at once. A long one goes on wherever the room
 * or the budget ended; a large list or sorted set by rank, a large hash or set home by home, over
 * what is not marked yet.
 */

#include "machines/kv_item.h"

#include "machines/kv_collection.h"

uint64_t kv_item_bytes(const struct kv_record *record) {
    const uint64_t value_bytes =
        kv_is_large(record) ? kv_collection_of(record)->packed_bytes : kv_value_bytes(record);
    return (uint64_t)KV_ITEM_BYTES + kv_key_bytes(record) + value_bytes;
}

bool kv_item_is_short(const struct kv_record *record) {
    return kv_item_bytes(record) <= KV_ITEM_SHORT_BYTES &&
           (!kv_is_large(record) || kv_collection_count(record) <= KV_ITEM_SHORT_COUNT);
}

/* Whether its elements are written one by one, in any order. */
static bool kv_item_is_table(const struct kv_item *item) {
    const enum kv_type type = kv_type_of(item->record);
    return kv_is_large(item->record) && (type == KV_TYPE_HASH || type == KV_TYPE_SET);
}

static uint64_t kv_item_front_bytes(const struct kv_item *item) {
    return (uint64_t)KV_ITEM_BYTES + kv_key_bytes(item->record);
}

static void kv_item_spend(uint32_t *budget, uint64_t units) {
    *budget -= units < *budget ? (uint32_t)units : *budget;
}

/* ---- Marks ----------------------------------------------------------------------------------- */

static bool kv_element_is_marked(const struct kv_collection *collection,
                                 const struct kv_record *element) {
    return (element->value_word & KV_EMITTED) == collection->parity;
}

static void kv_element_mark(const struct kv_collection *collection, struct kv_record *element) {
    element->value_word = (element->value_word & ~KV_EMITTED) | collection->parity;
}

/* Unmarks all elements at once. */
static void kv_item_turn(struct kv_item *item) {
    kv_collection_of(item->record)->parity ^= KV_EMITTED;
    item->is_settled = true;
    item->place = 0;
}

void kv_item_begin(struct kv_item *item, struct kv_record *record) {
    *item = (struct kv_item){
        .record = record, .total_bytes = kv_item_bytes(record), .is_settled = true};
    if (!kv_item_is_table(item))
        return;
    item->is_digested = true;
    item->digest = kv_digest_head(record, kv_collection_count(record));
    if (kv_collection_of(record)->is_torn)
        item->is_settled = false;
    else
        kv_item_turn(item);
}

void kv_item_abandon(struct kv_item *item) {
    if (kv_item_is_table(item))
        kv_collection_of(item->record)->is_torn = true;
}

/* Marks the elements of one home after the other. */
static void kv_item_settle(struct kv_item *item, uint32_t *budget) {
    struct kv_collection *collection = kv_collection_of(item->record);
    struct kv_record *records[KV_SEGMENT_RECORDS_MAX];
    while (item->place != KV_POSITION_END) {
        if (*budget == 0)
            return;
        const uint32_t count = kv_table_walk(&collection->table, &item->place, records);
        for (uint32_t i = 0; i < count; i++)
            kv_element_mark(collection, records[i]);
        kv_item_spend(budget, 1 + count);
    }
    collection->is_torn = false;
    kv_item_turn(item);
}

/* ---- Pieces ---------------------------------------------------------------------------------- */

/* Copies what of a piece, `bytes` long, lies behind *offset; else moves *offset across it. */
static uint32_t kv_item_piece(uint64_t *offset, const uint8_t *piece, uint32_t bytes, uint8_t *to,
                              uint32_t room) {
    if (*offset >= bytes) {
        *offset -= bytes;
        return 0;
    }
    const uint64_t left = bytes - *offset;
    const uint32_t length = left < room ? (uint32_t)left : room;
    memcpy(to, piece + *offset, length);
    *offset = 0;
    return length;
}

/* Head and key, and the value if it is no large collection. */
static uint32_t kv_item_record(const struct kv_item *item, uint8_t *to, uint32_t room) {
    const struct kv_record *record = item->record;
    const bool large = kv_is_large(record);
    uint8_t head[KV_ITEM_BYTES];
    bytes_put_u64(head, kv_deadline_ms(record));
    bytes_put_u64(head + 8, item->total_bytes - kv_item_front_bytes(item));
    bytes_put_u32(head + 16, kv_key_bytes(record));
    bytes_put_u32(head + 20, record->change);
    bytes_put_u32(head + 24, (uint32_t)kv_type_of(record) | (large ? KV_ITEM_LARGE : 0));
    bytes_put_u32(head + 28, 0);
    uint64_t offset = item->written_bytes;
    uint32_t copied = kv_item_piece(&offset, head, KV_ITEM_BYTES, to, room);
    copied +=
        kv_item_piece(&offset, kv_key(record), kv_key_bytes(record), to + copied, room - copied);
    if (!large)
        copied += kv_item_piece(&offset, kv_value(record), kv_value_bytes(record), to + copied,
                                room - copied);
    return copied;
}

/* What is left of one element in packed form, from item->offset on. Returns whether it is all. */
static bool kv_item_element(struct kv_item *item, const struct kv_element *element,
                            uint32_t strings, uint8_t *to, uint32_t room, uint32_t *copied) {
    const struct kv_bytes both[2] = {element->first, element->second};
    uint64_t offset = item->offset;
    uint64_t whole_bytes = 0;
    const uint32_t before = *copied;
    for (uint32_t i = 0; i < strings; i++) {
        uint8_t length[KV_PACKED_LENGTH_BYTES_MAX];
        const uint32_t head = kv_packed_put_length(length, both[i].length_bytes);
        *copied += kv_item_piece(&offset, length, head, to + *copied, room - *copied);
        *copied += kv_item_piece(&offset, both[i].data, both[i].length_bytes, to + *copied,
                                 room - *copied);
        whole_bytes += head + both[i].length_bytes;
    }
    item->offset += *copied - before;
    ASSERT(item->offset <= whole_bytes);
    return item->offset == whole_bytes;
}

/* Elements of a large list or sorted set, as many as there is room and budget for. */
static uint32_t kv_item_tree(struct kv_item *item, uint8_t *to, uint32_t room, uint32_t *budget) {
    const uint32_t strings = kv_stride(kv_type_of(item->record));
    uint32_t copied = 0;
    struct kv_element element;
    for (uint64_t next = item->place;
         copied<room && * budget> 0 && kv_collection_next(item->record, &next, &element);) {
        kv_item_spend(budget, 1);
        if (!kv_item_element(item, &element, strings, to, room, &copied))
            break;
        item->place = next;
        item->offset = 0;
    }
    return copied;
}

/* ---- Elements of a table --------------------------------------------------------------------- */

/* Goes on with item->element. True: it is written, and marked. */
static bool kv_item_go_on(struct kv_item *item, uint8_t *to, uint32_t room, uint32_t *copied,
                          uint32_t *budget) {
    struct kv_record *record = item->element;
    struct kv_collection *collection = kv_collection_of(item->record);
    const struct kv_element element = {{kv_key(record), kv_key_bytes(record)},
                                       {kv_value(record), kv_value_bytes(record)}};
    ASSERT(!kv_element_is_marked(collection, record));
    if (!item->element_is_digested)
        item->element_is_digested = kv_digest_add(&element, &item->digesting, budget);
    if (!item->element_is_digested ||
        !kv_item_element(item, &element, kv_stride(collection->type), to, room, copied))
        return false;
    kv_element_mark(collection, record);
    item->element = NULL;
    item->element_is_digested = false;
    item->offset = 0;
    return true;
}

/* Finds the next element that is not marked: there is one. False: out of budget. */
static bool kv_item_find(struct kv_item *item, uint32_t *budget) {
    const struct kv_collection *collection = kv_collection_of(item->record);
    struct kv_record *records[KV_SEGMENT_RECORDS_MAX];
    while (*budget > 0) {
        ASSERT(item->place != KV_POSITION_END);
        uint64_t next = item->place;
        const uint32_t count = kv_table_walk(&collection->table, &next, records);
        kv_item_spend(budget, 1);
        for (uint32_t i = 0; i < count; i++)
            if (!kv_element_is_marked(collection, records[i])) {
                item->element = records[i];
                return true;
            }
        item->place = next;
    }
    return false;
}

/* What is done when the last byte is written. */
static void kv_item_finish(struct kv_item *item) {
    ASSERT(item->element == NULL);
    item->digest = kv_digest_finish(item->digest, item->digesting.sum);
}

static uint32_t kv_item_table(struct kv_item *item, uint8_t *to, uint32_t room, uint32_t *budget) {
    uint32_t copied = 0;
    while (copied < room && item->written_bytes + copied < item->total_bytes) {
        if (item->element == NULL && !kv_item_find(item, budget))
            break;
        if (!kv_item_go_on(item, to, room, &copied, budget))
            break;
    }
    if (item->written_bytes + copied == item->total_bytes && item->element == NULL)
        kv_item_finish(item);
    return copied;
}

bool kv_item_protect(struct kv_item *item, struct kv_record *element, uint8_t *to, uint32_t room,
                     uint32_t *written) {
    *written = 0;
    ASSERT(kv_item_is_table(item) && !kv_item_is_done(item));
    if (!item->is_settled || item->written_bytes < kv_item_front_bytes(item))
        return false;
    if (element == NULL || kv_element_is_marked(kv_collection_of(item->record), element))
        return true;
    if ((item->element != NULL && item->element != element) || room == 0)
        return false;
    uint32_t budget = KV_ITEM_SHORT_BYTES / KV_UNIT_BYTES; /* a longer one is for kv_item_write */
    item->element = element;
    const bool whole = kv_item_go_on(item, to, room, written, &budget);
    item->written_bytes += *written;
    if (item->written_bytes == item->total_bytes && whole)
        kv_item_finish(item);
    return whole;
}

/* ---- Writing --------------------------------------------------------------------------------- */

uint32_t kv_item_write(struct kv_item *item, uint8_t *to, uint32_t room, uint32_t *budget) {
    ASSERT(room > 0 && *budget > 0 && !kv_item_is_done(item));
    if (!item->is_settled) {
        kv_item_settle(item, budget);
        return 0;
    }
    if (!item->is_digested) {
        item->is_digested = kv_digest_record(item->record, &item->digesting, &item->digest, budget);
        return 0;
    }
    const bool large = kv_is_large(item->record);
    uint32_t copied = 0;
    if (!large || item->written_bytes < kv_item_front_bytes(item))
        copied = kv_item_record(item, to, room);
    item->written_bytes += copied;
    if (large && copied<room && * budget> 0) {
        const uint32_t more = kv_item_is_table(item)
                                  ? kv_item_table(item, to + copied, room - copied, budget)
                                  : kv_item_tree(item, to + copied, room - copied, budget);
        item->written_bytes += more;
        copied += more;
    }
    kv_item_spend(budget, copied / KV_UNIT_BYTES);
    return copied;
}
