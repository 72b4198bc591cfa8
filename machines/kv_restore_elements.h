#ifndef WEIR_MACHINES_KV_RESTORE_ELEMENTS_H
#define WEIR_MACHINES_KV_RESTORE_ELEMENTS_H

/* The elements of collections, from a snapshot's bytes. */

#include "machines/kv_collection.h"

enum kv_gathering {
    KV_GATHERING_LENGTH, /* of the next byte string */
    KV_GATHERING_BYTES,
};

/* Whether foreign bytes are a compact collection of that type. */
bool kv_restore_compact_check(enum kv_type type, const uint8_t *bytes, uint32_t length_bytes);

/* A large collection in the making; its bytes come in any slicing. */
struct kv_restore_elements {
    struct kv_collection *collection;
    struct memory *memory;
    uint64_t left_bytes; /* of its packed form, still to come */
    enum kv_gathering state;
    bool is_second;      /* of a hash's or a sorted set's element */
    uint32_t have_bytes; /* of what is gathered */
    uint32_t first_bytes;
    uint32_t second_bytes;
    uint8_t *to; /* where bytes go */
    uint8_t length[KV_PACKED_LENGTH_BYTES_MAX];
    uint8_t score[KV_SCORE_BYTES];
    uint8_t *first; /* KV_KEY_BYTES_MAX of scratch room */
};

/* Begins one that has so many bytes in packed form. `scratch` is borrowed, KV_KEY_BYTES_MAX
 * long. */
void kv_restore_elements_begin(struct kv_restore_elements *elements,
                               struct kv_collection *collection, struct memory *memory,
                               uint64_t packed_bytes, uint8_t *scratch);

/* Whether all of it has come. */
static inline bool kv_restore_elements_done(const struct kv_restore_elements *elements) {
    return elements->left_bytes == 0;
}

/* Takes at most a slice of the bytes, at least one, and counts them in *consumed. Errors:
 * WEIR_ECORRUPT: these are not the elements of such a collection. */
int kv_restore_elements_take(struct kv *kv, struct kv_restore_elements *elements,
                             const uint8_t *bytes, size_t length_bytes, size_t *consumed,
                             uint32_t *budget);

#endif
