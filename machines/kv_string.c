/*
 * Commands about values. Each begins with kv_find and, if it writes, kv_protect; from there on it
 * cannot fail. Replies are those of Redis 7.0.
 */

#include "machines/kv.h"

#include "base/decimal.h"

enum kv_step kv_get(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    if (found.present != NULL)
        return kv_reply_value(call, found.present);
    kv_reply_null(call);
    return KV_DONE;
}

enum kv_step kv_strlen(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    kv_reply_integer(call, found.present == NULL ? 0 : kv_value_bytes(found.present));
    return KV_DONE;
}

/* Fetches the records of the next KV_PREFETCH_COUNT keys of a command with many, when `key` is the
 * first of such a group. */
static void kv_prefetch_keys(const struct kv_call *call, uint64_t key) {
    if (key % KV_PREFETCH_COUNT != 0)
        return;
    const struct kv *kv = call->kv;
    const uint32_t bits = kv->options.partition_bits;
    const uint64_t left = call->operation->key_count - key;
    const uint64_t end = key + (left < KV_PREFETCH_COUNT ? left : KV_PREFETCH_COUNT);
    for (uint64_t i = key; i < end; i++) {
        const uint64_t hash = call->operation->key_hashes[i];
        kv_table_prefetch_bucket(&kv->partition[machine_partition(hash, bits)].space.table, hash);
    }
    for (uint64_t i = key; i < end; i++) {
        const uint64_t hash = call->operation->key_hashes[i];
        kv_table_prefetch_record(&kv->partition[machine_partition(hash, bits)].space.table, hash);
    }
}

/* Word 0: the key it is at; word 1: whether the array's head is written. */
enum kv_step kv_mget(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    if (word[1] == 0 && call->reply != NULL)
        reply_array(call->reply, call->operation->key_count);
    word[1] = 1;
    for (; word[0] < call->operation->key_count; word[0]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        kv_prefetch_keys(call, word[0]);
        const struct kv_found found = kv_find(call, (uint32_t)word[0], (uint32_t)word[0]);
        if (found.present == NULL)
            kv_reply_null(call);
        else if (kv_reply_value(call, found.present) == KV_MORE)
            return KV_MORE;
        kv_spend(call, 1);
    }
    return KV_DONE;
}

/* Word 0: the key it is at. */
enum kv_step kv_mset(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    for (; word[0] < call->operation->key_count; word[0]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        kv_prefetch_keys(call, word[0]);
        const uint32_t key = (uint32_t)word[0];
        struct kv_found found = kv_find(call, key, key * 2);
        const struct kv_value value = {0, call->operation->arguments[key * 2 + 1]};
        if (kv_protect(call, &found) == KV_MORE ||
            kv_store_value(call, &found, &value, KV_DEADLINE_NONE) == KV_MORE)
            return KV_MORE;
        kv_spend(call, 1);
    }
    kv_reply_ok(call);
    return KV_DONE;
}

/* ---- SET ------------------------------------------------------------------------------------- */

/* The deadline that the options ask for; false if it lies beyond the end of time. */
static bool kv_set_deadline(const struct kv_call *call, const struct kv_found *found,
                            const struct kv_set_options *options, uint64_t *deadline_ms) {
    *deadline_ms = KV_DEADLINE_NONE;
    if (options->expires) {
        const uint64_t base_ms = options->relative ? call->now_ms : 0;
        *deadline_ms = base_ms + (uint64_t)options->amount_ms;
        return *deadline_ms <= INT64_MAX;
    }
    if (options->keep_ttl && found->present != NULL)
        *deadline_ms = kv_deadline_ms(found->present);
    return true;
}

/* SET with GET answers the value that was there. Word 1: this is done. */
static enum kv_step kv_set_reply_old(struct kv_call *call, const struct kv_found *found) {
    uint64_t *word = call->cursor->word;
    if (word[1] != 0)
        return KV_DONE;
    if (found->present == NULL)
        kv_reply_null(call);
    else if (kv_reply_value(call, found->present) == KV_MORE)
        return KV_MORE;
    word[1] = 1;
    return KV_DONE;
}

enum kv_step kv_set(struct kv_call *call) {
    const struct machine_argument *arguments = call->operation->arguments;
    struct kv_set_options options = {0};
    if (call->operation->argument_count > 2 &&
        !kv_options_set(arguments, call->operation->argument_count, &options, call->reply))
        return KV_DONE;

    struct kv_found found = kv_find(call, 0, 0);
    uint64_t deadline_ms;
    if (!kv_set_deadline(call, &found, &options, &deadline_ms)) {
        kv_error_expire_time(KV_ROW_SET, call->reply);
        return KV_DONE;
    }
    const bool refused = (options.only_absent && found.present != NULL) ||
                         (options.only_present && found.present == NULL);
    if (!refused && kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    if (options.get && kv_set_reply_old(call, &found) == KV_MORE)
        return KV_MORE;
    if (call->reply != NULL && call->reply->overflow_bytes > 0)
        return KV_DONE; /* the old value does not fit: nothing is changed, called again with room */
    if (refused) {
        if (!options.get)
            kv_reply_null(call);
        return KV_DONE;
    }
    if (deadline_ms <= call->now_ms) {
        /* EXAT in the past: the key is set and gone at once. */
        if (found.present != NULL)
            kv_store_remove(call, &found);
    } else {
        const struct kv_value value = {0, arguments[1]};
        if (kv_store_value(call, &found, &value, deadline_ms) == KV_MORE)
            return KV_MORE;
    }
    if (!options.get)
        kv_reply_ok(call);
    return KV_DONE;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static enum kv_step kv_add(struct kv_call *call, int64_t amount) {
    struct kv_found found = kv_find(call, 0, 0);
    int64_t number = 0;
    if (found.present != NULL && decimal_parse_i64((const char *)kv_value(found.present),
                                                   kv_value_bytes(found.present), &number) != 0) {
        kv_error(call->reply, kv_error_not_integer);
        return KV_DONE;
    }
    if (__builtin_add_overflow(number, amount, &number)) {
        kv_error(call->reply, "ERR increment or decrement would overflow");
        return KV_DONE;
    }
    if (kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    char text[DECIMAL_BYTES_MAX];
    const struct kv_value value = {
        0, {(const uint8_t *)text, (uint32_t)decimal_format_i64(text, number)}};
    const uint64_t deadline_ms =
        found.present != NULL ? kv_deadline_ms(found.present) : KV_DEADLINE_NONE;
    const enum kv_step step = kv_store_value(call, &found, &value, deadline_ms);
    ASSERT_HOT(step == KV_DONE);
    kv_reply_integer(call, number);
    return step;
}

enum kv_step kv_incr(struct kv_call *call) {
    return kv_add(call, 1);
}

enum kv_step kv_decr(struct kv_call *call) {
    return kv_add(call, -1);
}

enum kv_step kv_incrby(struct kv_call *call) {
    int64_t amount;
    if (!kv_integer(&call->operation->arguments[1], &amount, call->reply))
        return KV_DONE;
    return kv_add(call, amount);
}

enum kv_step kv_append(struct kv_call *call) {
    struct kv_found found = kv_find(call, 0, 0);
    const uint32_t old_bytes = found.present != NULL ? kv_value_bytes(found.present) : 0;
    const struct kv_value value = {old_bytes, call->operation->arguments[1]};
    const uint64_t value_bytes = old_bytes + (uint64_t)value.more.length_bytes;
    if (value_bytes > call->kv->options.value_bytes_max) {
        kv_error(call->reply, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        return KV_DONE;
    }
    const uint64_t deadline_ms =
        found.present != NULL ? kv_deadline_ms(found.present) : KV_DEADLINE_NONE;
    if (kv_protect(call, &found) == KV_MORE ||
        kv_store_value(call, &found, &value, deadline_ms) == KV_MORE)
        return KV_MORE;
    kv_reply_integer(call, (int64_t)value_bytes);
    return KV_DONE;
}
