/*
 * Commands that count. What is stored is text, in the one spelling of the number; a value is parsed
 * when it is counted up. Floating point is kv_float.h's: no replica's processor or C library has a
 * say in it.
 */

#include "machines/kv.h"
#include "machines/kv_float.h"

#include "base/decimal.h"

/* ---- Integers -------------------------------------------------------------------------------- */

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
        .more = {(const uint8_t *)text, (uint32_t)decimal_format_i64(text, number)}};
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

enum kv_step kv_decrby(struct kv_call *call) {
    int64_t amount;
    if (!kv_integer(&call->operation->arguments[1], &amount, call->reply))
        return KV_DONE;
    if (amount == INT64_MIN) {
        kv_error(call->reply, "ERR decrement would overflow");
        return KV_DONE;
    }
    return kv_add(call, -amount);
}

/* ---- INCRBYFLOAT ----------------------------------------------------------------------------- */

/* The sum of the present value, 0 if there is none, and the amount; false after the error. */
static bool kv_float_sum(struct kv_call *call, const struct kv_found *found, struct kv_float *sum) {
    const struct machine_argument *amount = &call->operation->arguments[1];
    struct kv_float number = {0};
    struct kv_float added;
    if ((found->present != NULL &&
         !kv_float_parse(kv_value(found->present), kv_value_bytes(found->present), &number)) ||
        !kv_float_parse(amount->data, amount->length_bytes, &added)) {
        kv_error(call->reply, kv_error_not_float);
        return false;
    }
    kv_float_add(&number, &added, sum);
    if (!sum->infinite)
        return true;
    kv_error(call->reply, "ERR increment would produce NaN or Infinity");
    return false;
}

/* Word 1: the reply is written. The text is made anew in each slice: of the same value, so the
 * same. */
enum kv_step kv_incrbyfloat(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    struct kv_found found = kv_find(call, 0, 0);
    struct kv_float sum;
    if (!kv_float_sum(call, &found, &sum))
        return KV_DONE;
    if (kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    char text[KV_FLOAT_TEXT_BYTES_MAX];
    uint32_t units;
    const uint32_t length_bytes = kv_float_format(&sum, text, &units);
    if (word[1] == 0) {
        if (call->reply != NULL)
            reply_bulk(call->reply, text, length_bytes);
        kv_spend(call, units);
    }
    word[1] = 1;
    if (kv_reply_overflows(call))
        return KV_DONE; /* nothing is changed: called again with room */
    const struct kv_value value = {.more = {(const uint8_t *)text, length_bytes}};
    const uint64_t deadline_ms =
        found.present != NULL ? kv_deadline_ms(found.present) : KV_DEADLINE_NONE;
    return kv_store_value(call, &found, &value, deadline_ms);
}
