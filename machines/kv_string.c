/*
 * Commands about values. Each begins with kv_find and, if it writes, kv_protect; from there on it
 * cannot fail. Replies are those of Redis 7.0.
 */

#include "machines/kv.h"

enum kv_step kv_get(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_STRING))
        return KV_DONE;
    if (found.present != NULL)
        return kv_reply_value(call, found.present);
    kv_reply_null(call);
    return KV_DONE;
}

enum kv_step kv_strlen(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_STRING))
        return KV_DONE;
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
        if (found.present == NULL || kv_type_of(found.present) != KV_TYPE_STRING)
            kv_reply_null(call);
        else if (kv_reply_value(call, found.present) == KV_MORE)
            return KV_MORE;
        kv_spend(call, 1);
    }
    return KV_DONE;
}

/* Whether none of MSETNX's keys is present. Words: 0 the key it is at, 1 it is known. */
static enum kv_step kv_mset_none(struct kv_call *call, bool *none) {
    uint64_t *word = call->cursor->word;
    *none = true;
    for (; word[1] == 0 && word[0] < call->operation->key_count; word[0]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        kv_prefetch_keys(call, word[0]);
        const uint32_t key = (uint32_t)word[0];
        *none = kv_find(call, key, key * 2).present == NULL;
        kv_spend(call, 1);
        if (!*none)
            return KV_DONE;
    }
    if (word[1] == 0)
        word[0] = 0;
    word[1] = 1;
    return KV_DONE;
}

/* Word 0: the key it is at. */
static enum kv_step kv_mset_all(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    for (; word[0] < call->operation->key_count; word[0]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        kv_prefetch_keys(call, word[0]);
        const uint32_t key = (uint32_t)word[0];
        struct kv_found found = kv_find(call, key, key * 2);
        const struct kv_value value = {.more = call->operation->arguments[key * 2 + 1]};
        if (kv_protect(call, &found) == KV_MORE ||
            kv_store_value(call, &found, &value, KV_DEADLINE_NONE) == KV_MORE)
            return KV_MORE;
        kv_spend(call, 1);
    }
    return KV_DONE;
}

enum kv_step kv_mset(struct kv_call *call) {
    if (kv_mset_all(call) == KV_MORE)
        return KV_MORE;
    kv_reply_ok(call);
    return KV_DONE;
}

enum kv_step kv_msetnx(struct kv_call *call) {
    bool none;
    if (kv_mset_none(call, &none) == KV_MORE || (none && kv_mset_all(call) == KV_MORE))
        return KV_MORE;
    kv_reply_integer(call, none);
    return KV_DONE;
}

/* ---- SET ------------------------------------------------------------------------------------- */

bool kv_set_deadline(const struct kv_call *call, const struct kv_found *found,
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

/* What SET, SETNX, SETEX, PSETEX and GETSET have in common. SETNX answers a number. Inlined:
 * SET then costs what it did alone. */
static inline __attribute__((always_inline)) enum kv_step kv_set_by(
    struct kv_call *call, const struct kv_set_options *options, struct machine_argument bytes) {
    const bool counts = call->operation->row == KV_ROW_SETNX;
    struct kv_found found = kv_find(call, 0, 0);
    uint64_t deadline_ms;
    if (!kv_set_deadline(call, &found, options, &deadline_ms)) {
        kv_error_expire_time(call->operation->row, call->reply);
        return KV_DONE;
    }
    if (options->get && !kv_typed(call, &found, KV_TYPE_STRING))
        return KV_DONE;
    const bool refused = (options->only_absent && found.present != NULL) ||
                         (options->only_present && found.present == NULL);
    if (!refused && kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    if (options->get && kv_reply_old(call, &found) == KV_MORE)
        return KV_MORE;
    if (kv_reply_overflows(call))
        return KV_DONE; /* the old value does not fit: nothing is changed, called again with room */
    if (refused) {
        if (counts)
            kv_reply_integer(call, 0);
        else if (!options->get)
            kv_reply_null(call);
        return KV_DONE;
    }
    if (deadline_ms <= call->now_ms) {
        /* EXAT in the past: the key is set and gone at once. */
        if (found.present != NULL)
            kv_store_remove(call, &found);
    } else {
        const struct kv_value value = {.more = bytes};
        if (kv_store_value(call, &found, &value, deadline_ms) == KV_MORE)
            return KV_MORE;
    }
    if (counts)
        kv_reply_integer(call, 1);
    else if (!options->get)
        kv_reply_ok(call);
    return KV_DONE;
}

enum kv_step kv_set(struct kv_call *call) {
    const struct machine_argument *arguments = call->operation->arguments;
    struct kv_set_options options = {0};
    if (call->operation->argument_count > 2 &&
        !kv_options_set(arguments, call->operation->argument_count, &options, call->reply))
        return KV_DONE;
    return kv_set_by(call, &options, arguments[1]);
}

enum kv_step kv_setnx(struct kv_call *call) {
    const struct kv_set_options options = {.only_absent = true};
    return kv_set_by(call, &options, call->operation->arguments[1]);
}

enum kv_step kv_getset(struct kv_call *call) {
    const struct kv_set_options options = {.get = true};
    return kv_set_by(call, &options, call->operation->arguments[1]);
}

/* SETEX and PSETEX. */
enum kv_step kv_setex(struct kv_call *call) {
    const struct machine_argument *arguments = call->operation->arguments;
    struct kv_set_options options;
    if (!kv_options_setex(call->operation->row, arguments, &options, call->reply))
        return KV_DONE;
    return kv_set_by(call, &options, arguments[2]);
}

/* ---- APPEND ---------------------------------------------------------------------------------- */

enum kv_step kv_append(struct kv_call *call) {
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_STRING))
        return KV_DONE;
    const uint32_t old_bytes = found.present != NULL ? kv_value_bytes(found.present) : 0;
    const struct kv_value value = {.old_bytes = old_bytes, .more = call->operation->arguments[1]};
    const uint64_t value_bytes = old_bytes + (uint64_t)value.more.length_bytes;
    if (value_bytes > call->kv->options.value_bytes_max) {
        kv_error(call->reply, kv_error_too_long);
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
