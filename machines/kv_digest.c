/*
 * What replicas compare.
 *
 * The running digest of a partition chains the changes of its entries, so equal histories give
 * equal digests, at a few ns a write: what is hashed is what changed, not what is there. A flush,
 * which knows no keys, is folded into every partition.
 *
 * The full digest is the sum of a digest of each record that is there at the machine's log time.
 * It depends on nothing else: not on the order of writes, the table's layout, what has been
 * removed already and what only is due, or how strings are stored. Of a collection it is that of
 * its elements' digests: their chain if their order is part of the state, as in a list and in all
 * that is compact, else their sum.
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

static void kv_digest_spend(uint32_t *budget, uint32_t slice) {
    const uint32_t units = 1 + slice / KV_UNIT_BYTES;
    *budget -= units < *budget ? units : *budget;
}

/* Of deadline, type and encoding, key, and how much there is: bytes of a string, elements of a
 * collection. */
uint64_t kv_digest_head(const struct kv_record *record, uint64_t amount) {
    uint8_t head[24];
    const uint32_t type = record->key_word & ((uint32_t)KV_TYPE_MASK | KV_LARGE);
    bytes_put_u64(head, kv_deadline_ms(record));
    bytes_put_u32(head + 8, kv_key_bytes(record) | type);
    bytes_put_u64(head + 12, amount);
    return checksum_64(kv_key(record), kv_key_bytes(record), checksum_64(head, 20, 0));
}

static bool kv_digest_string(const struct kv_record *record, struct kv_digest_state *state,
                             uint64_t *digest, uint32_t *budget) {
    const uint8_t *value = kv_value(record);
    const uint32_t value_bytes = kv_value_bytes(record);
    if (state->offset == 0)
        state->digest = kv_digest_head(record, value_bytes);
    do {
        const uint64_t left = value_bytes - state->offset;
        const uint32_t slice = left < KV_SLICE_BYTES ? (uint32_t)left : KV_SLICE_BYTES;
        state->digest = kv_digest_bytes(state->digest, value + state->offset, slice);
        state->offset += slice;
        kv_digest_spend(budget, slice);
    } while (state->offset<value_bytes && * budget> 0);
    if (state->offset < value_bytes)
        return false;
    *digest = state->digest;
    return true;
}

/* Folds the next slice of an element; true when it is complete. */
static bool kv_digest_slice(const struct kv_element *element, struct kv_digest_state *state,
                            uint32_t *budget) {
    const uint64_t first_bytes = element->first.length_bytes;
    const uint64_t both_bytes = first_bytes + element->second.length_bytes;
    if (state->offset == 0) {
        uint8_t lengths[8];
        bytes_put_u32(lengths, element->first.length_bytes);
        bytes_put_u32(lengths + 4, element->second.length_bytes);
        state->digest = checksum_64(lengths, sizeof(lengths), 0);
    }
    const bool in_first = state->offset < first_bytes;
    const uint8_t *from = in_first ? element->first.data + state->offset
                                   : element->second.data + (state->offset - first_bytes);
    const uint64_t left = (in_first ? first_bytes : both_bytes) - state->offset;
    const uint32_t slice = left < KV_SLICE_BYTES ? (uint32_t)left : KV_SLICE_BYTES;
    if (slice > 0)
        state->digest = kv_digest_bytes(state->digest, from, slice);
    state->offset += slice;
    kv_digest_spend(budget, slice);
    return state->offset == both_bytes;
}

bool kv_digest_add(const struct kv_element *element, struct kv_digest_state *state,
                   uint32_t *budget) {
    do {
        if (*budget == 0)
            return false;
    } while (!kv_digest_slice(element, state, budget));
    state->sum += state->digest;
    state->offset = 0;
    return true;
}

uint64_t kv_digest_finish(uint64_t head, uint64_t sum) {
    uint8_t bytes[8];
    bytes_put_u64(bytes, sum);
    return checksum_64(bytes, sizeof(bytes), head);
}

static bool kv_digest_collection(const struct kv_record *record, struct kv_digest_state *state,
                                 uint64_t *digest, uint32_t *budget) {
    const bool ordered = kv_type_of(record) == KV_TYPE_LIST || !kv_is_large(record);
    struct kv_element element;
    uint8_t bytes[8];
    for (uint64_t next = state->place; kv_collection_next(record, &next, &element);) {
        do {
            if (*budget == 0)
                return false;
        } while (!kv_digest_slice(&element, state, budget));
        bytes_put_u64(bytes, state->digest);
        state->sum =
            ordered ? checksum_64(bytes, sizeof(bytes), state->sum) : state->sum + state->digest;
        state->place = next;
        state->offset = 0;
    }
    *digest = kv_digest_finish(kv_digest_head(record, kv_collection_count(record)), state->sum);
    return true;
}

bool kv_digest_record(const struct kv_record *record, struct kv_digest_state *state,
                      uint64_t *digest, uint32_t *budget) {
    const bool complete = kv_type_of(record) == KV_TYPE_STRING
                              ? kv_digest_string(record, state, digest, budget)
                              : kv_digest_collection(record, state, digest, budget);
    if (complete)
        *state = (struct kv_digest_state){0};
    return complete;
}

uint64_t kv_digest(const struct machine *machine, uint32_t partition) {
    const struct kv *kv = (const struct kv *)machine;
    ASSERT(partition < kv->partition_count);
    return kv->partition[partition].digest;
}

_Static_assert(sizeof(struct kv_digest_state) == 4 * sizeof(uint64_t), "words 3 to 6");

/* The cursor: 0 partition, 1 position, 2 record of that home, 3..6 the state of its digest, 7 the
 * sum. */
enum machine_progress kv_digest_full(struct machine *machine, struct machine_cursor *cursor,
                                     uint32_t budget, uint64_t *digest) {
    const struct kv *kv = (const struct kv *)machine;
    struct kv_record *records[KV_SEGMENT_RECORDS_MAX];
    uint64_t *word = cursor->word;
    struct kv_digest_state state;
    while (word[0] < kv->partition_count) {
        const struct kv_table *table = &kv->partition[word[0]].space.table;
        uint64_t next = word[1];
        const uint32_t count = kv_table_walk(table, &next, records);
        for (; word[2] < count; word[2]++) {
            if (budget == 0)
                return MACHINE_MORE;
            const struct kv_record *record = records[word[2]];
            uint64_t one = 0;
            if (kv_deadline_ms(record) <= kv->log_time_ms)
                continue;
            memcpy(&state, &word[3], sizeof(state));
            const bool complete = kv_digest_record(record, &state, &one, &budget);
            memcpy(&word[3], &state, sizeof(state));
            if (!complete)
                return MACHINE_MORE;
            word[7] += one;
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
    *digest = word[7];
    return MACHINE_DONE;
}
