/*
 * RENAME, RENAMENX and COPY: a value under another key, with its deadline.
 *
 * RENAME gives a long value to the other key without copying it, also into another partition, and a
 * large collection within its partition. All else is copied, as COPY always does; in slices, the
 * source untouched until the end. A large collection that was copied is given back at once: else
 * many RENAMEs in a row would need as much memory as if each were a COPY.
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

/* Removes the source, which was copied. A large collection is word 0 from then on. */
static void kv_rename_remove(struct kv_call *call) {
    struct kv_found source = kv_find(call, 0, 0); /* the table may have been split */
    const bool is_large = kv_is_large(source.present);
    kv_store_remove(call, &source);
    if (is_large)
        call->cursor->word[0] = (uintptr_t)kv_collection_unbury(&source.partition->space);
}

/* Gives back the collection that was copied, before the next is: word 0. */
static enum kv_step kv_rename_give(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    struct memory *memory = &kv_find(call, 0, 0).partition->space.memory;
    if (word[0] != 0 &&
        kv_collection_give(memory, (struct kv_collection *)(uintptr_t)word[0], &call->run->budget))
        return KV_MORE;
    word[0] = 0;
    return KV_DONE;
}

static enum kv_step kv_rename_reply(struct kv_call *call) {
    if (kv_rename_give(call) == KV_MORE)
        return KV_MORE;
    if (call->operation->row == KV_ROW_RENAMENX)
        kv_reply_integer(call, 1);
    else
        kv_reply_ok(call);
    return KV_DONE;
}

/* RENAME and RENAMENX. */
enum kv_step kv_rename(struct kv_call *call) {
    const bool counts = call->operation->row == KV_ROW_RENAMENX;
    if (call->cursor->word[0] != 0)
        return kv_rename_reply(call);
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
            kv_rename_remove(call);
        }
    }
    return kv_rename_reply(call);
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
