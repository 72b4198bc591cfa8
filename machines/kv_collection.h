#ifndef WEIR_MACHINES_KV_COLLECTION_H
#define WEIR_MACHINES_KV_COLLECTION_H

/*
 * Collections: the values that have elements.
 *
 *                  an element is           compact, in this order     large
 *     list         bytes                   from left to right         tree
 *     set          a member                of insertion               table
 *     sorted set   a member, its score     by score, then member      table, and tree over it
 *     hash         a field, its value      of insertion               table
 *
 * compact   At most KV_COMPACT_COUNT_MAX elements, in packed form (kv_packed.h), of at most
 *           KV_INLINE_BYTES_MAX bytes, which lie in the key's record. To look for something is to
 *           walk: less than 1 us. A score is an element of 8 bytes: a double's, little-endian.
 * large     A struct kv_collection in the partition's memory, with a table (kv_table.h) or a tree
 *           (kv_tree.h), or both. What is compact and grows becomes large, in one step, and stays
 *           so. An element of a table is a record: field or member in place of the key, value or
 *           score as the value. An element of a list is an entry of the tree (kv_entry_bytes).
 *
 * Which of the two it is, and the order of a compact one, are part of the state: they follow from
 * the history, and a snapshot has them. The order of a large hash or set is not: a restored
 * replica has another one.
 *
 * A collection without elements is no key. Who removes the last one removes the key.
 *
 * What was large and is removed is put in the space's graveyard, in one step. maintain empties it,
 * element by element. That may be many commands later: so what a command made for itself, or
 * replaced by a copy, it gives back itself, before it ends (kv_collection_give).
 *
 * Whoever changes one: kv_find, kv_typed, kv_protect; then it cannot fail; at the end the change is
 * in the digest (kv_digest_element), and, of a large one, kv_collection_changed is told.
 */

#include "machines/kv.h"
#include "machines/kv_packed.h"
#include "machines/kv_tree.h"

enum {
    KV_COMPACT_COUNT_MAX = 128,
    KV_SCORE_BYTES = 8,
    /*
     * What an element costs beside its bytes: the head of a record, 16; rounding up, 7; a slot of a
     * table whose segments have just been split, 4096 / 224, 19; an entry of a tree that has seen
     * removals, 64. Packed, it has at least one byte more than its own.
     */
    KV_ELEMENT_COST_BYTES = 16 + 7 + 19 + 64,
};

/* A large collection. In its space's memory, like all it holds. */
struct kv_collection {
    struct kv_table table;
    struct kv_tree tree;
    uint64_t packed_bytes;      /* what its elements are in packed form */
    struct kv_collection *next; /* in the graveyard */
    uint64_t given;             /* in the graveyard: the place up to which it has been emptied */
    enum kv_type type;
    uint32_t parity; /* KV_EMITTED or 0: of elements that a snapshot being written does not need */
    bool is_torn;    /* its writing was given up: not all are marked so */
};

/* One element; `second` is empty but for a hash's value and a sorted set's score. Borrowed. */
struct kv_element {
    struct kv_bytes first;
    struct kv_bytes second;
};

/* ---- Any collection -------------------------------------------------------------------------- */

/* The large collection of a record that has one. */
static inline struct kv_collection *kv_collection_of(const struct kv_record *record) {
    struct kv_collection *collection;
    ASSERT_HOT(kv_is_large(record));
    memcpy(&collection, kv_value(record), sizeof(collection));
    return collection;
}

/* How many byte strings an element of that type is in packed form. */
uint32_t kv_stride(enum kv_type type);

/* How many elements it has. Compact: a walk. */
uint64_t kv_collection_count(const struct kv_record *record);

/* What its elements are in packed form. */
uint64_t kv_collection_packed_bytes(const struct kv_record *record);

/*
 * A walk over all elements, as long as nothing changes: the element at *place, which moves to the
 * next one; false at the end. 0 is the first. A list and a sorted set in their order, and the place
 * is the rank if it is large; the others in no order that means something. Costs about a unit.
 */
bool kv_collection_next(const struct kv_record *record, uint64_t *place,
                        struct kv_element *element);

/* ---- Compact --------------------------------------------------------------------------------- */

/* Whether so many elements, of so many packed bytes, are compact. */
static inline bool kv_compact_takes(uint64_t count, uint64_t packed_bytes) {
    return count <= KV_COMPACT_COUNT_MAX && packed_bytes <= KV_INLINE_BYTES_MAX;
}

/*
 * Removes bytes of a compact collection from an offset on, and puts pieces there, each with its
 * length in front. An absent key gets a collection of that type. Neither the digest nor what an
 * empty one means is its business. The pieces do not lie in the collection. found->present is
 * valid afterwards.
 */
void kv_compact_splice(struct kv_call *call, struct kv_found *found, enum kv_type type,
                       uint32_t offset, uint32_t removed_bytes, const struct kv_bytes *pieces,
                       uint32_t piece_count);

/* ---- Large ----------------------------------------------------------------------------------- */

/* The key's collection, large from now on: a compact one is converted, an absent key gets an empty
 * one of that type. At most KV_COMPACT_COUNT_MAX inserts. found->present is valid afterwards. */
struct kv_collection *kv_collection_open(struct kv_call *call, struct kv_found *found,
                                         enum kv_type type);

/* Tells that the large collection of a present key was changed. */
void kv_collection_changed(struct kv_call *call, struct kv_found *found);

/* Removes a present key whose last element was removed; the digest has that already. */
void kv_collection_remove(struct kv_call *call, struct kv_found *found);

/* An empty large collection that is no key's yet. */
struct kv_collection *kv_collection_make(struct memory *memory, enum kv_type type);

/*
 * Adds an element that is not in it, in its order: of a list at the right, of a sorted set behind
 * the others. What may be long, a hash's value or an element of a list above
 * KV_ENTRY_INSIDE_BYTES_MAX, is not copied: *place is where it goes; NULL: all is there. Returns
 * what it cost in units, but for the copy.
 */
uint32_t kv_collection_add(struct kv *kv, struct memory *memory, struct kv_collection *collection,
                           const struct kv_element *element, uint8_t **place);

/* Puts a collection that is nobody's any more in the graveyard. */
void kv_collection_bury(struct kv_space *space, struct kv_collection *collection);

/* Takes what was buried last out of the graveyard again: whoever buried it gives it back. */
struct kv_collection *kv_collection_unbury(struct kv_space *space);

/* Gives a collection back that is nobody's any more, a piece at a time. Returns whether there is
 * more to do; then it can only be given back further. */
bool kv_collection_give(struct memory *memory, struct kv_collection *collection, uint32_t *budget);

/* Gives back what is in the graveyard, a piece at a time. Returns whether there is more to do. */
bool kv_graveyard_give(struct kv_space *space, uint32_t *budget);

/* Gives another key, present or not, a copy of the large collection of a present key, with its
 * deadline. In slices, kv_protect, words 2..5: as kv_store_value. */
enum kv_step kv_collection_copy(struct kv_call *call, const struct kv_found *from,
                                struct kv_found *to);

/* Gives the large collection and the deadline of a present key to another key of the same
 * partition, present or not, and removes the first. kv_protect must have agreed to both. */
void kv_collection_move(struct kv_call *call, struct kv_found *from, struct kv_found *to);

/* Notes how much memory a copy of a large collection would take, so that the limit knows. */
void kv_collection_note(struct kv *kv, const struct kv_collection *collection);

/* Makes a large collection the value of a key, present or not. kv_protect must have agreed. */
void kv_collection_install(struct kv_call *call, struct kv_found *found,
                           struct kv_collection *collection, uint64_t deadline_ms);

/* ---- Entries of a list's tree ---------------------------------------------------------------- */

enum {
    KV_ENTRY_INSIDE_BYTES_MAX = 15, /* longer bytes lie apart */
    KV_ENTRY_APART = 0xff,          /* in place of their length */
};

/* The bytes of an entry. Those inside are valid as long as *entry lies there. */
struct kv_bytes kv_entry_bytes(const struct kv_tree_entry *entry);

/* Makes an entry of that length; returns where its bytes go, valid as long as *entry lies there or,
 * above KV_ENTRY_INSIDE_BYTES_MAX, until kv_entry_give. */
uint8_t *kv_entry_make(struct kv *kv, struct memory *memory, struct kv_tree_entry *entry,
                       uint32_t length_bytes);

/* Gives back what lies apart. */
void kv_entry_give(struct memory *memory, const struct kv_tree_entry *entry);

/* ---- Scores ---------------------------------------------------------------------------------- */

/* Numbers in the order of the scores: a double's bits, the same for 0 and -0. Not for a NaN. */
static inline uint64_t kv_score_order(uint64_t score_bits) {
    const uint64_t sign = UINT64_C(1) << 63;
    if (score_bits == sign)
        score_bits = 0;
    return (score_bits & sign) != 0 ? ~score_bits : score_bits | sign;
}

/* ---- Hashes and sets: members, whatever the encoding ----------------------------------------- */

/* As kv_protect, before one member, or field, is changed, added or removed: of a large hash or set
 * that is being written to a snapshot it only makes that one be written first. */
enum kv_step kv_protect_member(struct kv_call *call, const struct kv_found *found,
                               struct kv_bytes member);

/* Looks for a member, or a field, of any length, of a key that is absent or of that type; *value
 * (NULL: not wanted) is what it has, borrowed until the next change. */
bool kv_member_find(struct kv_call *call, const struct kv_found *found, struct kv_bytes member,
                    struct kv_bytes *value);

/*
 * Adds a member to a set (value NULL), or puts a field of a hash, and folds the digest; makes the
 * key if it is absent. *created: it was not there. A set's member must not be there. A long value
 * is copied in slices: KV_MORE, call again with the same arguments; words 2..4 of the cursor.
 */
enum kv_step kv_member_put(struct kv_call *call, struct kv_found *found, enum kv_type type,
                           struct kv_bytes member, const struct kv_bytes *value, bool *created);

/* Removes a member, of any length, and the key with the last one, and folds the digest. False: it
 * is not there. */
bool kv_member_remove(struct kv_call *call, struct kv_found *found, struct kv_bytes member);

/* HSCAN, SSCAN and ZSCAN (kv_scan_elements.c): the command in execution, of a key of that type. */
enum kv_step kv_scan_elements(struct kv_call *call, enum kv_type type);

/* ---- Digests --------------------------------------------------------------------------------- */

/*
 * Folds a change of an element into the running digest: `place` is a rank, or 0, and the bytes are
 * all there, each at most KV_KEY_BYTES_MAX long. _begin only begins it, with the length of what
 * follows: the caller folds that, what is short by _fold, the rest in slices by kv_digest_bytes.
 */
void kv_digest_element(const struct kv_call *call, const struct kv_found *found,
                       enum kv_change change, uint64_t place, struct kv_bytes first,
                       struct kv_bytes second);
uint64_t kv_digest_fold(uint64_t digest, struct kv_bytes bytes);
uint64_t kv_digest_element_begin(const struct kv_call *call, const struct kv_found *found,
                                 enum kv_change change, uint64_t place, uint32_t first_bytes,
                                 uint32_t second_bytes);

#endif
