/*
 * What replicas compare.
 *
 * The running digest of a partition chains the changes of its entries, so equal histories give
 * equal digests, at a few ns a write: what is hashed is what changed, not what is there. A flush,
 * which knows no keys, is folded into every partition.
 *
 * The full digest is the sum of a digest of each record that is there at the machine's log time.
 * It depends on nothing else: not on the order of writes, the table's layout, what has been
 * removed already and what only is due, or how values are stored.
 */

#include "machines/kv_collection.h"

#include "base/checksum.h"

uint64_t kv_digest_change(uint64_t digest, uint64_t index, uint64_t hash, enum kv_change change,
                          uint64_t deadline_ms, uint32_t value_bytes) {
    uint8_t bytes[32];
    bytes_put_u64(bytes, index);
    bytes_put_u64(bytes + 8, hash);
    bytes_put_u64(bytes + 16, deadline_ms);
    bytes_put_u64(bytes + 24, (uint64_t)change << 32 | value_bytes);
    return checksum_64(bytes, sizeof(bytes), digest);
}

uint64_t kv_digest_bytes(uint64_t digest, const uint8_t *bytes, uint32_t length_bytes) {
    ASSERT_HOT(length_bytes <= KV_SLICE_BYTES);
    return checksum_64(bytes, length_bytes, digest);
}

uint64_t kv_digest_element_begin(const struct kv_call *call, const struct kv_found *found,
                                 enum kv_change change, uint64_t place, uint32_t first_bytes,
                                 uint32_t second_bytes) {
    uint8_t lengths[8];
    ASSERT_HOT(change >= KV_CHANGE_FIELD_PUT && change < KV_CHANGE_COPY);
    bytes_put_u32(lengths, first_bytes);
    bytes_put_u32(lengths + 4, second_bytes);
    const uint64_t digest = kv_digest_change(found->partition->digest, call->run->moment.index,
                                             found->hash, change, place, 0);
    return kv_digest_bytes(digest, lengths, sizeof(lengths));
}

/* Bytes of any length, in pieces that are always the same. */
uint64_t kv_digest_fold(uint64_t digest, struct kv_bytes bytes) {
    for (uint32_t done = 0; done < bytes.length_bytes; done += KV_SLICE_BYTES) {
        const uint32_t left = bytes.length_bytes - done;
        digest = kv_digest_bytes(digest, bytes.data + done,
                                 left < KV_SLICE_BYTES ? left : (uint32_t)KV_SLICE_BYTES);
    }
    return digest;
}

void kv_digest_element(const struct kv_call *call, const struct kv_found *found,
                       enum kv_change change, uint64_t place, struct kv_bytes first,
                       struct kv_bytes second) {
    ASSERT_HOT(first.length_bytes <= KV_KEY_BYTES_MAX && second.length_bytes <= KV_KEY_BYTES_MAX);
    const uint64_t digest = kv_digest_element_begin(call, found, change, place, first.length_bytes,
                                                    second.length_bytes);
    found->partition->digest = kv_digest_fold(kv_digest_fold(digest, first), second);
}

bool kv_digest_record(const struct kv_record *record, uint64_t *offset, uint64_t *digest,
                      uint32_t *budget) {
    if (*offset == 0) {
        uint8_t head[16];
        bytes_put_u64(head, kv_deadline_ms(record));
        bytes_put_u32(head + 8, kv_key_bytes(record) | (uint32_t)kv_type_of(record)
                                                           << KV_TYPE_SHIFT);
        bytes_put_u32(head + 12, kv_value_bytes(record));
        const uint64_t seed = checksum_64(head, sizeof(head), 0);
        *digest = checksum_64(kv_key(record), kv_key_bytes(record), seed);
    }
    const uint8_t *value = kv_value(record);
    const uint32_t value_bytes = kv_value_bytes(record);
    do {
        const uint64_t left = value_bytes - *offset;
        const uint32_t slice = left < KV_SLICE_BYTES ? (uint32_t)left : KV_SLICE_BYTES;
        *digest = kv_digest_bytes(*digest, value + *offset, slice);
        *offset += slice;
        const uint32_t units = 1 + slice / KV_UNIT_BYTES;
        *budget -= units < *budget ? units : *budget;
    } while (*offset<value_bytes && * budget> 0);
    if (*offset < value_bytes)
        return false;
    *offset = 0;
    return true;
}

uint64_t kv_digest(const struct machine *machine, uint32_t partition) {
    const struct kv *kv = (const struct kv *)machine;
    ASSERT(partition < kv->partition_count);
    return kv->partition[partition].digest;
}

/* The cursor: 0 partition, 1 position, 2 record of that home, 3 offset in its value, 4 its digest
 * so far, 5 the sum. */
enum machine_progress kv_digest_full(struct machine *machine, struct machine_cursor *cursor,
                                     uint32_t budget, uint64_t *digest) {
    const struct kv *kv = (const struct kv *)machine;
    struct kv_record *records[KV_SEGMENT_RECORDS_MAX];
    uint64_t *word = cursor->word;
    while (word[0] < kv->partition_count) {
        const struct kv_table *table = &kv->partition[word[0]].space.table;
        uint64_t next = word[1];
        const uint32_t count = kv_table_walk(table, &next, records);
        for (; word[2] < count; word[2]++) {
            if (budget == 0)
                return MACHINE_MORE;
            const struct kv_record *record = records[word[2]];
            if (kv_deadline_ms(record) <= kv->log_time_ms)
                continue;
            if (!kv_digest_record(record, &word[3], &word[4], &budget))
                return MACHINE_MORE;
            word[5] += word[4];
        }
        word[1] = next;
        word[2] = 0;
        budget -= budget > 0;
        if (next == KV_POSITION_END) {
            word[0]++;
            word[1] = 0;
        }
        if (budget == 0 && word[0] < kv->partition_count)
            return MACHINE_MORE;
    }
    *digest = word[5];
    return MACHINE_DONE;
}
