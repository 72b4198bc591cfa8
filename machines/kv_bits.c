/*
 * A value as an array of bits, the highest of the first byte first. What lies beyond the value is
 * zeros. Counting and searching go over a long value in slices.
 */

#include "machines/kv.h"

#include "base/bytes.h"

/* The byte at an offset; 0 beyond the value. */
static uint8_t kv_byte_at(const struct kv_found *found, uint64_t offset) {
    if (found->present == NULL || offset >= kv_value_bytes(found->present))
        return 0;
    return kv_value(found->present)[offset];
}

enum kv_step kv_getbit(struct kv_call *call) {
    uint64_t offset;
    if (!kv_options_bit_offset(&call->operation->arguments[1], call->kv->options.value_bytes_max,
                               &offset, call->reply))
        return KV_DONE;
    const struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_STRING))
        return KV_DONE;
    kv_reply_integer(call, kv_byte_at(&found, offset / 8) >> (7 - offset % 8) & 1);
    return KV_DONE;
}

/* Word 0: 1 + the bit that was there. */
enum kv_step kv_setbit(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    uint64_t offset;
    uint32_t bit;
    if (!kv_options_setbit(call->operation->arguments, call->kv->options.value_bytes_max, &offset,
                           &bit, call->reply))
        return KV_DONE;
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_STRING))
        return KV_DONE;
    const uint64_t at = offset / 8;
    const uint32_t shift = 7 - (uint32_t)(offset % 8);
    const uint8_t old = kv_byte_at(&found, at);
    if (word[0] == 0)
        word[0] = 1 + (old >> shift & 1);
    const bool is_there = found.present != NULL && at < kv_value_bytes(found.present);
    if (!is_there || word[0] - 1 != bit) {
        const uint8_t byte = (uint8_t)((old & ~(1u << shift)) | bit << shift);
        const struct machine_argument bytes = {&byte, 1};
        if (kv_protect(call, &found) == KV_MORE ||
            kv_store_range(call, &found, at, bytes) == KV_MORE)
            return KV_MORE;
    }
    kv_reply_integer(call, (int64_t)word[0] - 1);
    return KV_DONE;
}

/* ---- Counting and searching ------------------------------------------------------------------ */

/* A byte of the range, with zeros (or ones) where it is not in the range. */
static uint8_t kv_byte_in(const uint8_t *value, const struct kv_bit_range *range, int64_t at,
                          bool ones) {
    uint32_t mask = 0xff;
    if (at == range->first / 8)
        mask &= 0xffu >> (range->first % 8);
    if (at == range->last / 8)
        mask &= 0xffu << (7 - range->last % 8);
    return (uint8_t)(ones ? value[at] | ~mask : value[at] & mask);
}

static uint64_t kv_count_bits(const uint8_t *bytes, uint64_t count) {
    uint64_t sum = 0;
    for (; count >= 8; bytes += 8, count -= 8)
        sum += (uint64_t)__builtin_popcountll(bytes_get_u64(bytes));
    for (; count > 0; bytes++, count--)
        sum += (uint64_t)__builtin_popcount(*bytes);
    return sum;
}

/* Words: 0 bytes counted, 1 ones among them. */
enum kv_step kv_bitcount(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    const struct machine_operation *operation = call->operation;
    const struct kv_found found = kv_find(call, 0, 0);
    struct kv_bit_range range;
    if (!kv_typed(call, &found, KV_TYPE_STRING))
        return KV_DONE;
    if (found.present == NULL) {
        kv_reply_integer(call, 0);
        return KV_DONE;
    }
    if (!kv_options_bitcount(operation->arguments, operation->argument_count,
                             kv_value_bytes(found.present), &range, call->reply))
        return KV_DONE;
    if (range.first > range.last) {
        kv_reply_integer(call, 0);
        return KV_DONE;
    }
    const uint8_t *value = kv_value(found.present);
    const int64_t last = range.last / 8;
    for (int64_t at = range.first / 8 + (int64_t)word[0]; at <= last;) {
        if (call->run->budget == 0)
            return KV_MORE;
        uint64_t count = 1;
        if (at == range.first / 8 || at == last) {
            word[1] += (uint64_t)__builtin_popcount(kv_byte_in(value, &range, at, false));
        } else {
            count = last - at < KV_SLICE_BYTES ? (uint64_t)(last - at) : KV_SLICE_BYTES;
            word[1] += kv_count_bits(value + at, count);
        }
        at += (int64_t)count;
        word[0] += count;
        kv_spend(call, 1 + count / KV_UNIT_BYTES);
    }
    kv_reply_integer(call, (int64_t)word[1]);
    return KV_DONE;
}

/* How many of the bytes, from the first on, are `byte`. */
static uint64_t kv_skip_bytes(const uint8_t *bytes, uint64_t count, uint8_t byte) {
    const uint64_t all = byte == 0 ? 0 : UINT64_MAX;
    uint64_t i = 0;
    while (count - i >= 8 && bytes_get_u64(bytes + i) == all)
        i += 8;
    while (i < count && bytes[i] == byte)
        i++;
    return i;
}

/* The first place in the range where a byte can have the bit, from *at on; beyond the range if
 * there is none. Word 0: bytes passed. */
static enum kv_step kv_bitpos_byte(struct kv_call *call, const uint8_t *value,
                                   const struct kv_bit_range *range, uint8_t skipped, int64_t *at) {
    uint64_t *word = call->cursor->word;
    const int64_t first = range->first / 8;
    const int64_t last = range->last / 8;
    for (;;) {
        *at = first + (int64_t)word[0];
        if (*at > last)
            return KV_DONE;
        if (call->run->budget == 0)
            return KV_MORE;
        uint64_t count = 1;
        if (*at == first || *at == last) {
            if (kv_byte_in(value, range, *at, skipped != 0) != skipped)
                return KV_DONE;
        } else {
            const int64_t left = last - *at;
            const uint64_t slice = left < KV_SLICE_BYTES ? (uint64_t)left : KV_SLICE_BYTES;
            count = kv_skip_bytes(value + *at, slice, skipped);
            if (count < slice) {
                *at += (int64_t)count;
                return KV_DONE;
            }
        }
        word[0] += count;
        kv_spend(call, 1 + count / KV_UNIT_BYTES);
    }
}

enum kv_step kv_bitpos(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    uint32_t bit;
    struct kv_bit_range range;
    if (!kv_options_bitpos_bit(&operation->arguments[1], &bit, call->reply))
        return KV_DONE;
    const struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_STRING))
        return KV_DONE;
    if (found.present == NULL) {
        kv_reply_integer(call, bit == 1 ? -1 : 0);
        return KV_DONE;
    }
    if (!kv_options_bitpos(operation->arguments, operation->argument_count,
                           kv_value_bytes(found.present), &range, call->reply))
        return KV_DONE;
    if (range.first > range.last) {
        kv_reply_integer(call, -1);
        return KV_DONE;
    }
    const uint8_t *value = kv_value(found.present);
    const uint8_t skipped = bit == 1 ? 0 : 0xff;
    int64_t at;
    if (kv_bitpos_byte(call, value, &range, skipped, &at) == KV_MORE)
        return KV_MORE;
    if (at > range.last / 8) {
        /* A zero follows the value, unless the end was given. */
        kv_reply_integer(call, bit == 1 || range.has_end ? -1 : at * 8);
        return KV_DONE;
    }
    const uint8_t byte = kv_byte_in(value, &range, at, skipped != 0);
    const uint32_t wanted = (uint32_t)(uint8_t)(byte ^ skipped) << 24; /* ones where the bit is */
    kv_reply_integer(call, at * 8 + __builtin_clz(wanted));
    return KV_DONE;
}
