/*
 * RENAME, RENAMENX and COPY: a value under another key, with its deadline.
 *
 * RENAME gives a long value to the other key without copying it, also into another partition, and a
 * large collection within its partition. All else is copied, as COPY always does; in slices, the
 * source untouched until the end.
 */

#include "machines/kv_collection.h"

/* Stores the source's value and deadline under the other key. */
static enum kv_step kv_store_copy(struct kv_call *call, const struct kv_found *source,
                                  struct kv_found *target) {
    if (kv_is_large(source->present))
        return kv_collection_copy(call, source, target);
    const struct kv_value value = {
        .type = kv_type_of(source->present),
        .more = {kv_value(source->present), kv_value_bytes(source->present)}};
    return kv_store_value(call, target, &value, kv_deadline_ms(source->present));
}

/* RENAME and RENAMENX. */
enum kv_step kv_rename(struct kv_call *call) {
    const bool counts = call->operation->row == KV_ROW_RENAMENX;
    struct kv_found source = kv_find(call, 0, 0);
    struct kv_found target = kv_find(call, 1, 1);
    if (source.present == NULL) {
        kv_error(call->reply, "ERR no such key");
        return KV_DONE;
    }
    const bool same = kv_is_same_key(&source, &target);
    if (counts && (same || target.present != NULL)) {
        kv_reply_integer(call, 0);
        return KV_DONE;
    }
    if (!same) {
        if (kv_protect(call, &source) == KV_MORE || kv_protect(call, &target) == KV_MORE)
            return KV_MORE;
        if (kv_value_is_movable(source.present)) {
            kv_store_moved(call, &source, &target);
        } else if (kv_is_large(source.present) && source.partition == target.partition) {
            kv_collection_move(call, &source, &target);
        } else {
            if (kv_store_copy(call, &source, &target) == KV_MORE)
                return KV_MORE;
            source = kv_find(call, 0, 0); /* the table may have been split */
            kv_store_remove(call, &source);
        }
    }
    if (counts)
        kv_reply_integer(call, 1);
    else
        kv_reply_ok(call);
    return KV_DONE;
}

enum kv_step kv_copy(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    bool replace;
    if (!kv_options_copy(operation->arguments, operation->argument_count, &replace, call->reply))
        return KV_DONE;
    const struct kv_found source = kv_find(call, 0, 0);
    struct kv_found target = kv_find(call, 1, 1);
    if (source.present == NULL || (target.present != NULL && !replace)) {
        kv_reply_integer(call, 0);
        return KV_DONE;
    }
    if (kv_protect(call, &target) == KV_MORE || kv_store_copy(call, &source, &target) == KV_MORE)
        return KV_MORE;
    kv_reply_integer(call, 1);
    return KV_DONE;
}
