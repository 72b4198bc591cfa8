/*
 * Commands about keys: whether they are there, and until when.
 *
 * Deadlines in the log are what the command asked for, relative or not; what is stored is absolute,
 * computed from log time, so that every replica stores the same.
 */

#include "machines/kv.h"

/* Words 0: the key it is at; 1: how many were there. */
enum kv_step kv_exists(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    for (; word[0] < call->operation->key_count; word[0]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        const struct kv_found found = kv_find(call, (uint32_t)word[0], (uint32_t)word[0]);
        kv_spend(call, 1);
        word[1] += found.present != NULL;
    }
    kv_reply_integer(call, (int64_t)word[1]);
    return KV_DONE;
}

/* Words 0: the key it is at; 1: how many were there. */
enum kv_step kv_del(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    for (; word[0] < call->operation->key_count; word[0]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        struct kv_found found = kv_find(call, (uint32_t)word[0], (uint32_t)word[0]);
        kv_spend(call, 1);
        if (found.present == NULL)
            continue;
        if (kv_protect(call, &found) == KV_MORE)
            return KV_MORE;
        kv_store_remove(call, &found);
        word[1]++;
    }
    kv_reply_integer(call, (int64_t)word[1]);
    return KV_DONE;
}

enum kv_step kv_type(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    static const char *const names[KV_TYPES] = {"string", "list", "set", "zset", "hash"};
    const char *type = found.present != NULL ? names[kv_type_of(found.present)] : "none";
    if (call->reply != NULL)
        reply_status(call->reply, type, strlen(type));
    return KV_DONE;
}

/* ---- Deadlines ------------------------------------------------------------------------------- */

/* -2: absent; -1: no deadline; else what is left on the leader's clock, at least 1 ms, since the
 * key is there until an entry says otherwise. */
static int64_t kv_left_ms(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    if (found.present == NULL)
        return -2;
    const uint64_t deadline_ms = kv_deadline_ms(found.present);
    if (deadline_ms == KV_DEADLINE_NONE)
        return -1;
    const uint64_t clock_ms = call->run->moment.clock_ms;
    return deadline_ms > clock_ms ? (int64_t)(deadline_ms - clock_ms) : 1;
}

enum kv_step kv_ttl(struct kv_call *call) {
    const int64_t left_ms = kv_left_ms(call);
    kv_reply_integer(call, left_ms < 0 ? left_ms : (left_ms + 500) / 1000);
    return KV_DONE;
}

enum kv_step kv_pttl(struct kv_call *call) {
    kv_reply_integer(call, kv_left_ms(call));
    return KV_DONE;
}

enum kv_step kv_persist(struct kv_call *call) {
    struct kv_found found = kv_find(call, 0, 0);
    if (found.present == NULL || kv_deadline_ms(found.present) == KV_DEADLINE_NONE) {
        kv_reply_integer(call, 0);
        return KV_DONE;
    }
    if (kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    kv_store_deadline(call, &found, KV_DEADLINE_NONE);
    kv_reply_integer(call, 1);
    return KV_DONE;
}

/* Whether NX, XX, GT, LT let the new deadline replace the old. No deadline is later than any. */
static bool kv_expire_allowed(const struct kv_expire_options *options, uint64_t old_ms,
                              int64_t new_ms) {
    const bool has = old_ms != KV_DEADLINE_NONE;
    if ((options->only_without && has) || (options->only_with && !has))
        return false;
    if (options->only_later && (!has || new_ms <= (int64_t)old_ms))
        return false;
    return !options->only_earlier || !has || new_ms < (int64_t)old_ms;
}

/* EXPIRETIME and PEXPIRETIME: the deadline itself, so the same on every node at any time. */
enum kv_step kv_expiretime(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    int64_t answer = -2;
    if (found.present != NULL) {
        const uint64_t deadline_ms = kv_deadline_ms(found.present);
        answer = deadline_ms == KV_DEADLINE_NONE ? -1 : (int64_t)deadline_ms;
    }
    if (answer > 0 && call->operation->row == KV_ROW_EXPIRETIME)
        answer = (int64_t)(((uint64_t)answer + 500) / 1000);
    kv_reply_integer(call, answer);
    return KV_DONE;
}

/* EXPIRE and PEXPIRE, EXPIREAT and PEXPIREAT. */
enum kv_step kv_expire(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    struct kv_expire_options options;
    if (!kv_options_expire(operation->row, operation->arguments, operation->argument_count,
                           &options, call->reply))
        return KV_DONE;
    const int64_t now_ms = (int64_t)call->now_ms;
    const int64_t base_ms = options.relative ? now_ms : 0;
    if (options.amount_ms > INT64_MAX - base_ms) {
        kv_error_expire_time(operation->row, call->reply);
        return KV_DONE;
    }
    const int64_t deadline_ms = base_ms + options.amount_ms;
    struct kv_found found = kv_find(call, 0, 0);
    if (found.present == NULL ||
        !kv_expire_allowed(&options, kv_deadline_ms(found.present), deadline_ms)) {
        kv_reply_integer(call, 0);
        return KV_DONE;
    }
    if (kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    if (deadline_ms <= now_ms)
        kv_store_remove(call, &found);
    else
        kv_store_deadline(call, &found, (uint64_t)deadline_ms);
    kv_reply_integer(call, 1);
    return KV_DONE;
}

/* ---- FLUSHALL, FLUSHDB ----------------------------------------------------------------------- */

/* Each partition's content is put aside in a few steps; maintain gives its memory back. */
enum kv_step kv_flush(struct kv_call *call) {
    struct kv *kv = call->kv;
    const struct machine_operation *operation = call->operation;
    if (!kv_options_flush(operation->arguments, operation->argument_count, call->reply))
        return KV_DONE;
    for (uint32_t i = 0; i < kv->partition_count; i++) {
        struct kv_partition *partition = &kv->partition[i];
        partition->digest = kv_digest_change(partition->digest, call->run->moment.index, 0,
                                             KV_CHANGE_FLUSH, KV_DEADLINE_NONE, 0);
        partition->flushed = partition->changed;
        kv_snapshot_flush(kv, partition);
    }
    kv_spend(call, kv->partition_count);
    kv_reply_ok(call);
    return KV_DONE;
}
