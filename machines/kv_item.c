/*
 * One record in the form that a snapshot has it in (format: kv_snapshot.c), in pieces of any size.
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
    bytes_put_u64(head + 8, kv_item_bytes(record) - KV_ITEM_BYTES - kv_key_bytes(record));
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

/* Elements of a large collection, as many as there is room and budget for. */
static uint32_t kv_item_elements(struct kv_item *item, uint8_t *to, uint32_t room,
                                 uint32_t *budget) {
    const uint32_t strings = kv_stride(kv_type_of(item->record));
    uint32_t copied = 0;
    struct kv_element element;
    for (uint64_t next = item->place;
         copied<room && * budget> 0 && kv_collection_next(item->record, &next, &element);) {
        --*budget;
        if (!kv_item_element(item, &element, strings, to, room, &copied))
            break;
        item->place = next;
        item->offset = 0;
    }
    return copied;
}

uint32_t kv_item_write(struct kv_item *item, uint8_t *to, uint32_t room, uint32_t *budget) {
    const uint64_t front_bytes = (uint64_t)KV_ITEM_BYTES + kv_key_bytes(item->record);
    ASSERT(room > 0 && *budget > 0 && !kv_item_is_done(item));
    uint32_t copied = 0;
    if (!kv_is_large(item->record) || item->written_bytes < front_bytes)
        copied = kv_item_record(item, to, room);
    item->written_bytes += copied;
    if (kv_is_large(item->record) && copied<room && * budget> 0) {
        const uint32_t more = kv_item_elements(item, to + copied, room - copied, budget);
        item->written_bytes += more;
        copied += more;
    }
    const uint32_t units = copied / KV_UNIT_BYTES;
    *budget -= units < *budget ? units : *budget;
    return copied;
}
