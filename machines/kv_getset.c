/*
 * Commands that answer a value and change its key, and CAS, which compares before it sets.
 *
 * The old value is replied before anything changes; if it does not fit, nothing has changed, and
 * the command is called again with more room.
 */

#include "machines/kv.h"

enum kv_step kv_getdel(struct kv_call *call) {
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_STRING))
        return KV_DONE;
    if (kv_protect(call, &found) == KV_MORE || kv_reply_old(call, &found) == KV_MORE)
        return KV_MORE;
    if (!kv_reply_overflows(call) && found.present != NULL)
        kv_store_remove(call, &found);
    return KV_DONE;
}

/* Whether GETEX changes the key's deadline, and to what; false after an error. */
static bool kv_getex_deadline(struct kv_call *call, const struct kv_found *found,
                              const struct kv_getex_options *options, bool *changes,
                              uint64_t *deadline_ms) {
    struct kv_set_options amount = {0};
    const uint64_t old_ms = kv_deadline_ms(found->present);
    *deadline_ms = old_ms;
    if (options->amount != NULL) {
        if (!kv_options_getex_amount(options, &amount, call->reply))
            return false;
        if (!kv_set_deadline(call, found, &amount, deadline_ms)) {
            kv_error_expire_time(KV_ROW_GETEX, call->reply);
            return false;
        }
    } else if (options->persist) {
        *deadline_ms = KV_DEADLINE_NONE;
    }
    *changes = *deadline_ms != old_ms;
    return true;
}

enum kv_step kv_getex(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    struct kv_getex_options options;
    if (!kv_options_getex(operation->arguments, operation->argument_count, &options, call->reply))
        return KV_DONE;
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_STRING))
        return KV_DONE;
    bool changes = false;
    uint64_t deadline_ms = KV_DEADLINE_NONE;
    if (found.present != NULL && !kv_getex_deadline(call, &found, &options, &changes, &deadline_ms))
        return KV_DONE;
    if (changes && kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    if (kv_reply_old(call, &found) == KV_MORE)
        return KV_MORE;
    if (kv_reply_overflows(call) || !changes)
        return KV_DONE;
    if (deadline_ms <= call->now_ms)
        kv_store_remove(call, &found);
    else
        kv_store_deadline(call, &found, deadline_ms);
    return KV_DONE;
}

/* ---- CAS ------------------------------------------------------------------------------------- */

/* Whether the key is as expected. Words: 0 bytes compared, 1 they are equal to the end. */
static enum kv_step kv_cas_equals(struct kv_call *call, const struct kv_found *found,
                                  const struct kv_cas_options *options, bool *equals) {
    uint64_t *word = call->cursor->word;
    const struct machine_argument *expected = &call->operation->arguments[1];
    *equals = false;
    if (options->absent || found->present == NULL) {
        *equals = options->absent && found->present == NULL;
        return KV_DONE;
    }
    if (kv_value_bytes(found->present) != expected->length_bytes)
        return KV_DONE;
    const uint8_t *value = kv_value(found->present);
    while (word[1] == 0 && word[0] < expected->length_bytes) {
        if (call->run->budget == 0)
            return KV_MORE;
        const uint64_t left = expected->length_bytes - word[0];
        const uint64_t slice = left < KV_SLICE_BYTES ? left : KV_SLICE_BYTES;
        if (memcmp(value + word[0], expected->data + word[0], slice) != 0)
            return KV_DONE;
        word[0] += slice;
        kv_spend(call, slice / KV_UNIT_BYTES);
    }
    word[1] = 1;
    *equals = true;
    return KV_DONE;
}

/* CAS key expected new: compares and sets in one entry, so nothing comes between. */
enum kv_step kv_cas(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    struct kv_cas_options options;
    if (!kv_options_cas(operation->arguments, operation->argument_count, &options, call->reply))
        return KV_DONE;
    struct kv_found found = kv_find(call, 0, 0);
    if (!options.absent && !kv_typed(call, &found, KV_TYPE_STRING))
        return KV_DONE;
    uint64_t deadline_ms;
    if (!kv_set_deadline(call, &found, &options.set, &deadline_ms)) {
        kv_error_expire_time(KV_ROW_CAS, call->reply);
        return KV_DONE;
    }
    bool equals;
    if (kv_cas_equals(call, &found, &options, &equals) == KV_MORE)
        return KV_MORE;
    if (!equals) {
        kv_reply_integer(call, 0);
        return KV_DONE;
    }
    if (kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    if (options.removes || deadline_ms <= call->now_ms) {
        if (found.present != NULL)
            kv_store_remove(call, &found);
    } else {
        const struct kv_value value = {.more = operation->arguments[2]};
        if (kv_store_value(call, &found, &value, deadline_ms) == KV_MORE)
            return KV_MORE;
    }
    kv_reply_integer(call, 1);
    return KV_DONE;
}
