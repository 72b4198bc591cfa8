#ifndef WEIR_MACHINES_KV_ITEM_H
#define WEIR_MACHINES_KV_ITEM_H

/*
 * One record in the form that a snapshot has it in (format: kv_snapshot.c), written in pieces.
 *
 * A record does not change while it is written, and commands wait for that; but for a large hash or
 * set, whose elements can come in any order. Each has a mark, relative to its collection's parity
 * as a key's is to the machine's (kv_snapshot.c): what is about to be changed is written first
 * (kv_item_protect), and what is added is marked from birth.
 *
 *     begin ---> (settle) ---> digest ---> front ---> value, or elements ---> done
 *
 * Digest: of all but a large hash or set, whose elements are digested one by one. Front: head and
 * key. Settle: marks all elements, if an earlier writing was given up in the middle of them.
 */

#include "machines/kv.h"

enum {
    KV_ITEM_BYTES = 32,          /* of a record without key and value, and of the tail */
    KV_ITEM_LARGE = 1 << 8,      /* of the kind, beside enum kv_type: a large collection */
    KV_ITEM_SHORT_BYTES = 16384, /* of an item that is written at once: 164 units */
    KV_ITEM_SHORT_COUNT = 128,   /* of its elements, as many as a compact one may have */
};

/* A record being written. */
struct kv_item {
    struct kv_record *record;
    uint64_t total_bytes; /* as of the beginning */
    uint64_t written_bytes;
    bool is_settled;
    bool is_digested;
    uint64_t
        digest; /* of all, when it is done; of the front, while elements are written one by one */
    struct kv_digest_state digesting;
    uint64_t place;            /* of the next element: a rank, or a place of the table */
    struct kv_record *element; /* of a table, being written; NULL: none */
    bool element_is_digested;
    uint64_t offset; /* in the element's packed form */
};

/* The length of a record in its written form. */
uint64_t kv_item_bytes(const struct kv_record *record);

/* Whether it is written at once: it has few bytes and few elements. */
bool kv_item_is_short(const struct kv_record *record);

/* Begins to write a record. */
void kv_item_begin(struct kv_item *item, struct kv_record *record);

/* Whether all of it is written. */
static inline bool kv_item_is_done(const struct kv_item *item) {
    return item->is_digested && item->written_bytes == item->total_bytes;
}

/* Does what comes next of an item that is not done, as far as the budget, at least 1, goes. Returns
 * how many bytes it wrote, at most `room` >= 1. */
uint32_t kv_item_write(struct kv_item *item, uint8_t *to, uint32_t room, uint32_t *budget);

/*
 * Whether an element of the item's large hash or set may be changed or removed, or, if it is NULL,
 * one may be added; writes it first, if there is room: *written bytes. False: it has to wait until
 * kv_item_write got further.
 */
bool kv_item_protect(struct kv_item *item, struct kv_record *element, uint8_t *to, uint32_t room,
                     uint32_t *written);

/* Gives the writing up: the next one of the record settles its marks first. */
void kv_item_abandon(struct kv_item *item);

#endif
