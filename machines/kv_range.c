/*
 * A part of a value, read or written at an offset. Both cost what the part costs, not the value.
 */

#include "machines/kv.h"

/* GETRANGE, and SUBSTR, its older name. */
enum kv_step kv_getrange(struct kv_call *call) {
    int64_t start;
    int64_t end;
    if (!kv_options_getrange(call->operation->arguments, &start, &end, call->reply))
        return KV_DONE;
    const struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_STRING))
        return KV_DONE;
    const int64_t value_bytes = found.present != NULL ? kv_value_bytes(found.present) : 0;
    /* Both from the end, and in the wrong order: nothing, before they are cut to the value. */
    const bool nothing = start < 0 && end < 0 && start > end;
    start = start < 0 ? start + value_bytes : start;
    end = end < 0 ? end + value_bytes : end;
    start = start < 0 ? 0 : start;
    end = end < 0 ? 0 : end;
    end = end >= value_bytes ? value_bytes - 1 : end;
    if (nothing || start > end || value_bytes == 0)
        return kv_reply_bytes(call, (const uint8_t *)"", 0);
    return kv_reply_bytes(call, kv_value(found.present) + start, (uint32_t)(end - start + 1));
}

enum kv_step kv_setrange(struct kv_call *call) {
    const struct machine_argument bytes = call->operation->arguments[2];
    int64_t offset;
    if (!kv_options_setrange(call->operation->arguments, call->kv->options.value_bytes_max, &offset,
                             call->reply))
        return KV_DONE;
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_STRING))
        return KV_DONE;
    const int64_t old_bytes = found.present != NULL ? kv_value_bytes(found.present) : 0;
    if (bytes.length_bytes == 0) {
        kv_reply_integer(call, old_bytes);
        return KV_DONE;
    }
    if (kv_protect(call, &found) == KV_MORE ||
        kv_store_range(call, &found, (uint64_t)offset, bytes) == KV_MORE)
        return KV_MORE;
    kv_reply_integer(call, kv_value_bytes(found.present));
    return KV_DONE;
}
