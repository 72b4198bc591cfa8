/*
 * BITOP: bits of several values, combined into one.
 *
 * Happy path: the longest value's length is found; a buffer of that length is taken from the
 * memory of the destination's partition, and filled slice by slice, each slice from one value after
 * the other; then it becomes the destination's value. Sources do not change meanwhile: nothing
 * else is executed, and the destination, if it is one of them, changes last.
 *
 * Words: 0 the source it is at, 1 the longest so far, 2 the buffer, 3 and 4 those of
 * kv_store_apart_value, 5 the offset of the slice, 7 the phase.
 */

#include "machines/kv.h"

enum { KV_BITOP_MEASURE, KV_BITOP_COMBINE, KV_BITOP_STORE, KV_BITOP_REFUSED };

/* The sources are the keys from the second on; the arguments begin with the operation's name. */
static struct kv_found kv_bitop_source(const struct kv_call *call, uint64_t source) {
    return kv_find(call, (uint32_t)source + 1, (uint32_t)source + 2);
}

static enum kv_step kv_bitop_measure(struct kv_call *call, const struct kv_found *target) {
    uint64_t *word = call->cursor->word;
    for (; word[0] + 1 < call->operation->key_count; word[0]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        const struct kv_found source = kv_bitop_source(call, word[0]);
        if (!kv_typed(call, &source, KV_TYPE_STRING)) {
            word[7] = KV_BITOP_REFUSED;
            return KV_DONE;
        }
        if (source.present != NULL && kv_value_bytes(source.present) > word[1])
            word[1] = kv_value_bytes(source.present);
        kv_spend(call, 1);
    }
    word[0] = 0;
    word[7] = KV_BITOP_COMBINE;
    if (word[1] > 0)
        word[2] = (uintptr_t)memory_take(&target->partition->space.memory, word[1]);
    return KV_DONE;
}

/* Combines bytes with those at `from`, eight at a time. */
static void kv_bitop_bytes(enum kv_bitop operation, uint8_t *to, const uint8_t *from,
                           uint32_t count) {
    uint32_t i = 0;
    for (; count - i >= 8; i += 8) {
        const uint64_t other = bytes_get_u64(from + i);
        uint64_t bits = bytes_get_u64(to + i);
        switch (operation) {
        case KV_BITOP_AND: bits &= other; break;
        case KV_BITOP_OR: bits |= other; break;
        case KV_BITOP_XOR: bits ^= other; break;
        case KV_BITOP_NOT: bits = ~other; break;
        }
        bytes_put_u64(to + i, bits);
    }
    for (; i < count; i++)
        switch (operation) {
        case KV_BITOP_AND: to[i] &= from[i]; break;
        case KV_BITOP_OR: to[i] |= from[i]; break;
        case KV_BITOP_XOR: to[i] ^= from[i]; break;
        case KV_BITOP_NOT: to[i] = (uint8_t)~from[i]; break;
        }
}

/* One source's part of one slice; where a value has ended, it goes on as zeros. */
static void kv_bitop_slice(enum kv_bitop operation, const struct kv_found *source, bool is_first,
                           uint64_t offset, uint8_t *to, uint32_t slice) {
    const uint64_t value_bytes = source->present != NULL ? kv_value_bytes(source->present) : 0;
    const uint64_t left = value_bytes > offset ? value_bytes - offset : 0;
    const uint32_t there = left < slice ? (uint32_t)left : slice;
    const uint8_t *from = there > 0 ? kv_value(source->present) + offset : NULL;
    if (is_first && operation != KV_BITOP_NOT) {
        if (there > 0)
            memcpy(to, from, there);
        memset(to + there, 0, slice - there);
        return;
    }
    if (there > 0)
        kv_bitop_bytes(operation, to, from, there);
    if (operation == KV_BITOP_AND)
        memset(to + there, 0, slice - there);
}

static enum kv_step kv_bitop_combine(struct kv_call *call, enum kv_bitop operation) {
    uint64_t *word = call->cursor->word;
    while (word[5] < word[1]) {
        const uint64_t left = word[1] - word[5];
        const uint32_t slice = left < KV_SLICE_BYTES ? (uint32_t)left : KV_SLICE_BYTES;
        uint8_t *to = (uint8_t *)(uintptr_t)word[2] + word[5];
        for (; word[0] + 1 < call->operation->key_count; word[0]++) {
            if (call->run->budget == 0)
                return KV_MORE;
            const struct kv_found source = kv_bitop_source(call, word[0]);
            kv_bitop_slice(operation, &source, word[0] == 0, word[5], to, slice);
            kv_spend(call, 1 + slice / KV_UNIT_BYTES);
        }
        word[0] = 0;
        word[5] += slice;
    }
    word[7] = KV_BITOP_STORE;
    return KV_DONE;
}

static enum kv_step kv_bitop_store(struct kv_call *call, struct kv_found *target) {
    uint64_t *word = call->cursor->word;
    if (kv_protect(call, target) == KV_MORE)
        return KV_MORE;
    if (word[1] == 0) {
        if (target->present != NULL)
            kv_store_remove(call, target);
        return KV_DONE;
    }
    uint8_t *buffer = (uint8_t *)(uintptr_t)word[2];
    if (word[1] > KV_INLINE_BYTES_MAX) {
        const struct kv_apart apart = {buffer, memory_usable_bytes(word[1])};
        return kv_store_apart_value(call, target, &apart, (uint32_t)word[1]);
    }
    const struct kv_value value = {.more = {buffer, (uint32_t)word[1]}};
    const enum kv_step step = kv_store_value(call, target, &value, KV_DEADLINE_NONE);
    ASSERT(step == KV_DONE);
    memory_give(&target->partition->space.memory, buffer, word[1]);
    return step;
}

enum kv_step kv_bitop(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    enum kv_bitop operation;
    if (!kv_options_bitop(call->operation->arguments, call->operation->argument_count, &operation,
                          call->reply))
        return KV_DONE;
    struct kv_found target = kv_find(call, 0, 1);
    if (word[7] == KV_BITOP_MEASURE && kv_bitop_measure(call, &target) == KV_MORE)
        return KV_MORE;
    if (word[7] == KV_BITOP_REFUSED)
        return KV_DONE;
    if (word[7] == KV_BITOP_COMBINE && kv_bitop_combine(call, operation) == KV_MORE)
        return KV_MORE;
    if (kv_bitop_store(call, &target) == KV_MORE)
        return KV_MORE;
    kv_reply_integer(call, (int64_t)word[1]);
    return KV_DONE;
}
