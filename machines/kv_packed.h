#ifndef WEIR_MACHINES_KV_PACKED_H
#define WEIR_MACHINES_KV_PACKED_H

/*
 * Packed form: a sequence of byte strings in one piece of memory, the value of a small collection.
 *
 *     element   length in bytes as a varint, then the bytes
 *     varint    7 bits in a byte, the low ones first; all bytes but the last have the top bit set.
 *               1 to KV_PACKED_LENGTH_BYTES_MAX bytes, and as few as the number needs: a sequence
 *               has one packed form only, which is part of the state that replicas compare.
 *
 * What an element is, the collection's type says: an element of a list, a member, a field or its
 * value. Offsets are of an element's length byte; the end of the bytes is an offset too.
 *
 * Nothing here allocates or fails. Bytes are trusted (and asserted) to be well-formed, but for
 * kv_packed_check and kv_packed_get_length, which judge foreign ones. Any thread.
 */

#include "base/assert.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    KV_PACKED_LENGTH_BYTES_MAX = 5, /* of a u32: 32 bits, 7 in a byte */
    KV_PACKED_MALFORMED = 255,
};

/* Borrowed bytes. */
struct kv_bytes {
    const uint8_t *data;
    uint32_t length_bytes;
};

/* Whether the bytes are the same. */
static inline bool kv_bytes_equal(struct kv_bytes a, struct kv_bytes b) {
    return a.length_bytes == b.length_bytes && memcmp(a.data, b.data, a.length_bytes) == 0;
}

/* How many bytes the length of an element takes. */
static inline uint32_t kv_packed_length_bytes(uint32_t length_bytes) {
    return (38 - (uint32_t)__builtin_clz(length_bytes | 1)) / 7;
}

/* How many bytes an element takes, with its length. */
static inline uint64_t kv_packed_element_bytes(uint32_t length_bytes) {
    return (uint64_t)kv_packed_length_bytes(length_bytes) + length_bytes;
}

/* Writes a length, and returns how many bytes it took: kv_packed_length_bytes of it. */
uint32_t kv_packed_put_length(uint8_t *to, uint32_t length_bytes);

/* Writes an element, whose bytes lie elsewhere, and returns how many bytes it took. */
uint32_t kv_packed_put(uint8_t *to, const uint8_t *data, uint32_t length_bytes);

/* Reads a length of foreign bytes, of which `available` are there. Returns how many bytes it took;
 * 0: it is not all there yet; KV_PACKED_MALFORMED: it is no length, whatever follows. */
uint32_t kv_packed_get_length(const uint8_t *from, uint64_t available, uint32_t *length_bytes);

/* As kv_packed_next, where the length takes more than a byte. */
void kv_packed_next_long(const uint8_t *bytes, uint32_t length_bytes, uint32_t *offset,
                         struct kv_bytes *element);

/* The element at *offset, which moves to the one after it; false at the end. */
static inline bool kv_packed_next(const uint8_t *bytes, uint32_t length_bytes, uint32_t *offset,
                                  struct kv_bytes *element) {
    if (*offset >= length_bytes) {
        ASSERT_HOT(*offset == length_bytes);
        return false;
    }
    const uint32_t first = bytes[*offset];
    if (first >= 128) {
        kv_packed_next_long(bytes, length_bytes, offset, element);
        return true;
    }
    element->data = bytes + *offset + 1;
    element->length_bytes = first;
    *offset += 1 + first;
    ASSERT_HOT(*offset <= length_bytes);
    return true;
}

/* How many elements there are. */
uint32_t kv_packed_count(const uint8_t *bytes, uint32_t length_bytes);

/* The offset of the element of an index, at most the number of elements. */
uint32_t kv_packed_seek(const uint8_t *bytes, uint32_t length_bytes, uint32_t index);

/* Looks for `wanted` among the elements 0, stride, 2 stride ...: 1 for members, 2 for fields that
 * are followed by a value each. False, or the offset of the first that is equal. */
bool kv_packed_find(const uint8_t *bytes, uint32_t length_bytes, uint32_t stride,
                    struct kv_bytes wanted, uint32_t *offset);

/* Whether foreign bytes are well-formed: elements without a rest, each length in its shortest
 * form. Counts the elements. */
bool kv_packed_check(const uint8_t *bytes, uint64_t length_bytes, uint64_t *count);

#endif
