/*
 * Walking is kv_packed_next, in the header; the rest is built on it. Failure modes: bytes of our
 * own that are not well-formed end the process by an assertion; foreign ones come through
 * kv_packed_get_length first.
 */

#include "machines/kv_packed.h"

uint32_t kv_packed_put_length(uint8_t *to, uint32_t length_bytes) {
    uint32_t count = 0;
    while (length_bytes >= 128) {
        to[count++] = (uint8_t)(length_bytes | 128);
        length_bytes >>= 7;
    }
    to[count++] = (uint8_t)length_bytes;
    ASSERT_HOT(count <= KV_PACKED_LENGTH_BYTES_MAX);
    return count;
}

uint32_t kv_packed_put(uint8_t *to, const uint8_t *data, uint32_t length_bytes) {
    const uint32_t head = kv_packed_put_length(to, length_bytes);
    if (length_bytes > 0) /* else `data` may be NULL */
        memcpy(to + head, data, length_bytes);
    return head + length_bytes;
}

void kv_packed_next_long(const uint8_t *bytes, uint32_t length_bytes, uint32_t *offset,
                         struct kv_bytes *element) {
    ASSERT(*offset < length_bytes);
    uint32_t element_bytes;
    const uint32_t head =
        kv_packed_get_length(bytes + *offset, length_bytes - *offset, &element_bytes);
    ASSERT(head != 0 && head != KV_PACKED_MALFORMED);
    ASSERT(element_bytes <= length_bytes - *offset - head);
    element->data = bytes + *offset + head;
    element->length_bytes = element_bytes;
    *offset += head + element_bytes;
}

uint32_t kv_packed_count(const uint8_t *bytes, uint32_t length_bytes) {
    uint32_t offset = 0;
    uint32_t count = 0;
    struct kv_bytes element;
    while (kv_packed_next(bytes, length_bytes, &offset, &element))
        count++;
    return count;
}

uint32_t kv_packed_seek(const uint8_t *bytes, uint32_t length_bytes, uint32_t index) {
    uint32_t offset = 0;
    struct kv_bytes element;
    for (uint32_t i = 0; i < index; i++) {
        const bool there = kv_packed_next(bytes, length_bytes, &offset, &element);
        ASSERT_HOT(there);
    }
    return offset;
}

bool kv_packed_find(const uint8_t *bytes, uint32_t length_bytes, uint32_t stride,
                    struct kv_bytes wanted, uint32_t *offset) {
    ASSERT_HOT(stride >= 1);
    uint32_t next = 0;
    uint32_t begin = 0;
    uint32_t index = 0;
    struct kv_bytes element;
    while (kv_packed_next(bytes, length_bytes, &next, &element)) {
        if (index == 0 && kv_bytes_equal(element, wanted)) {
            *offset = begin;
            return true;
        }
        index = index + 1 == stride ? 0 : index + 1;
        begin = next;
    }
    ASSERT_HOT(index == 0);
    return false;
}

/* ---- Foreign bytes --------------------------------------------------------------------------- */

uint32_t kv_packed_get_length(const uint8_t *from, uint64_t available, uint32_t *length_bytes) {
    uint64_t value = 0;
    for (uint32_t i = 0; i < available && i < KV_PACKED_LENGTH_BYTES_MAX; i++) {
        value |= (uint64_t)(from[i] & 127) << 7 * i;
        if (from[i] >= 128)
            continue;
        /* A last byte of 0 adds nothing: the form was not the shortest. */
        if ((i > 0 && from[i] == 0) || value > UINT32_MAX)
            return KV_PACKED_MALFORMED;
        *length_bytes = (uint32_t)value;
        ASSERT_HOT(kv_packed_length_bytes(*length_bytes) == i + 1);
        return i + 1;
    }
    return available < KV_PACKED_LENGTH_BYTES_MAX ? 0 : KV_PACKED_MALFORMED;
}

bool kv_packed_check(const uint8_t *bytes, uint64_t length_bytes, uint64_t *count) {
    *count = 0;
    for (uint64_t offset = 0; offset < length_bytes; (*count)++) {
        uint32_t element_bytes;
        const uint32_t head =
            kv_packed_get_length(bytes + offset, length_bytes - offset, &element_bytes);
        if (head == 0 || head == KV_PACKED_MALFORMED ||
            element_bytes > length_bytes - offset - head)
            return false;
        offset += head + element_bytes;
    }
    return true;
}
