/*
 * Fields that are counted up: HINCRBY, HINCRBYFLOAT. As kv_number.c does it with strings.
 */

#include "machines/kv_hash.h"
#include "machines/kv_number.h"

#include "base/decimal.h"

enum kv_step kv_hincrby(struct kv_call *call) {
    const struct machine_argument *arguments = call->operation->arguments;
    int64_t amount;
    if (!kv_integer(&arguments[2], &amount, call->reply))
        return KV_DONE;
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_HASH))
        return KV_DONE;
    const struct kv_bytes field = kv_bytes_of(arguments[1]);
    struct kv_bytes value;
    int64_t number = 0;
    if (kv_member_find(call, &found, field, &value) &&
        decimal_parse_i64((const char *)value.data, value.length_bytes, &number) != 0) {
        kv_error(call->reply, "ERR hash value is not an integer");
        return KV_DONE;
    }
    if (__builtin_add_overflow(number, amount, &number)) {
        kv_error(call->reply, "ERR increment or decrement would overflow");
        return KV_DONE;
    }
    if (kv_protect_member(call, &found, field) == KV_MORE)
        return KV_MORE;
    char text[DECIMAL_BYTES_MAX];
    const struct kv_bytes sum = {(const uint8_t *)text, (uint32_t)decimal_format_i64(text, number)};
    bool created;
    const enum kv_step step = kv_member_put(call, &found, KV_TYPE_HASH, field, &sum, &created);
    ASSERT_HOT(step == KV_DONE);
    kv_reply_integer(call, number);
    return step;
}

/* ---- HINCRBYFLOAT ---------------------------------------------------------------------------- */

/* The sum of the field's value, 0 if there is none, and the amount; false after the error. */
static bool kv_hash_float_sum(struct kv_call *call, const struct kv_found *found,
                              struct kv_bytes field) {
    struct kv_float number = {0};
    struct kv_bytes value;
    return (!kv_member_find(call, found, field, &value) ||
            kv_float_read(call, value.data, value.length_bytes, "ERR hash value is not a float",
                          &number)) &&
           kv_float_add_kept(call, &number);
}

/* The amount, before the key is looked at; false after the error. */
static bool kv_hash_float_amount(struct kv_call *call) {
    const struct machine_argument *amount = &call->operation->arguments[2];
    struct kv_float added;
    if (!kv_float_read(call, amount->data, amount->length_bytes, kv_error_not_float, &added))
        return false;
    if (added.infinite) {
        kv_error(call->reply, "ERR value is NaN or Infinity");
        return false;
    }
    kv_float_keep(call, &added);
    return true;
}

/* Words: 0, 1 and 7 as in INCRBYFLOAT, 2..4 kv_member_put. */
enum kv_step kv_hincrbyfloat(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    const struct kv_bytes field = kv_bytes_of(call->operation->arguments[1]);
    if (word[1] == KV_ADDING_AMOUNT) {
        if (!kv_hash_float_amount(call))
            return KV_DONE;
        word[1] = KV_ADDING_VALUE;
        if (call->run->budget == 0)
            return KV_MORE;
    }
    struct kv_found found = kv_find(call, 0, 0);
    if (word[1] == KV_ADDING_VALUE) {
        if (!kv_typed(call, &found, KV_TYPE_HASH) || !kv_hash_float_sum(call, &found, field))
            return KV_DONE;
        word[1] = KV_ADDING_REPLY;
        if (call->run->budget == 0)
            return KV_MORE;
    }
    if (kv_protect_member(call, &found, field) == KV_MORE)
        return KV_MORE;
    char text[KV_FLOAT_TEXT_BYTES_MAX];
    uint32_t units;
    const struct kv_bytes sum = {(const uint8_t *)text, kv_float_reply_kept(call, text, &units)};
    enum kv_step step = KV_DONE; /* without room for the reply: nothing is changed, called again */
    bool created;
    if (!kv_reply_overflows(call))
        step = kv_member_put(call, &found, KV_TYPE_HASH, field, &sum, &created);
    kv_spend(call, units);
    return step;
}
