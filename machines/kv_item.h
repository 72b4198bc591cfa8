#ifndef WEIR_MACHINES_KV_ITEM_H
#define WEIR_MACHINES_KV_ITEM_H

/* One record in the form that a snapshot has it in (format: kv_snapshot.c), written in pieces. */

#include "machines/kv_record.h"

enum {
    KV_ITEM_BYTES = 32,          /* of a record without key and value, and of the tail */
    KV_ITEM_LARGE = 1 << 8,      /* of the kind, beside enum kv_type: a large collection */
    KV_ITEM_SHORT_BYTES = 16384, /* of an item that is written at once: 164 units */
    KV_ITEM_SHORT_COUNT = 128,   /* of its elements, as many as a compact one may have */
};

/* A record being written, which does not change meanwhile. Zeroed but for the record: all of it is
 * still to come. */
struct kv_item {
    const struct kv_record *record;
    uint64_t written_bytes;
    uint64_t place;  /* of the element of a large collection, as kv_collection_next has it */
    uint64_t offset; /* in its packed form */
};

/* The length of a record in its written form. */
uint64_t kv_item_bytes(const struct kv_record *record);

/* Whether it is written at once: it has few bytes and few elements. */
bool kv_item_is_short(const struct kv_record *record);

/* Whether all of it is written. */
static inline bool kv_item_is_done(const struct kv_item *item) {
    return item->written_bytes == kv_item_bytes(item->record);
}

/* Writes what comes next, at most `room` >= 1 bytes, and returns how many; less if the budget, of
 * at least 1, is used up by elements. */
uint32_t kv_item_write(struct kv_item *item, uint8_t *to, uint32_t room, uint32_t *budget);

#endif
