/*
 * Commands that count. What is stored is text, in the one spelling of the number; a value is parsed
 * when it is counted up. Floating point is kv_float.h's: no replica's processor or C library has a
 * say in it.
 */

#include "machines/kv_number.h"

#include "base/decimal.h"

/* ---- Integers -------------------------------------------------------------------------------- */

static enum kv_step kv_add(struct kv_call *call, int64_t amount) {
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_STRING))
        return KV_DONE;
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

void kv_float_keep(struct kv_call *call, const struct kv_float *number) {
    call->cursor->word[0] = number->significand;
    call->cursor->word[7] = (uint64_t)(uint32_t)number->exponent |
                            (uint64_t)number->negative << 32 | (uint64_t)number->infinite << 33;
}

struct kv_float kv_float_kept(const struct kv_call *call) {
    const uint64_t word = call->cursor->word[7];
    return (struct kv_float){
        .significand = call->cursor->word[0],
        .exponent = (int32_t)(uint32_t)word,
        .negative = (word >> 32 & 1) != 0,
        .infinite = (word >> 33 & 1) != 0,
    };
}

bool kv_float_read(struct kv_call *call, const uint8_t *text, uint32_t length_bytes,
                   const char *wrong, struct kv_float *number) {
    uint32_t units;
    const bool is_number = kv_float_parse(text, length_bytes, number, &units);
    kv_spend(call, units);
    if (!is_number)
        kv_error(call->reply, wrong);
    return is_number;
}

bool kv_float_add_kept(struct kv_call *call, const struct kv_float *number) {
    const struct kv_float added = kv_float_kept(call);
    struct kv_float sum;
    kv_float_add(number, &added, &sum);
    if (sum.infinite) {
        kv_error(call->reply, "ERR increment would produce NaN or Infinity");
        return false;
    }
    kv_float_keep(call, &sum);
    return true;
}

uint32_t kv_float_reply_kept(struct kv_call *call, char text[KV_FLOAT_TEXT_BYTES_MAX],
                             uint32_t *units) {
    uint64_t *word = call->cursor->word;
    const struct kv_float sum = kv_float_kept(call);
    ASSERT(word[1] == KV_ADDING_REPLY || word[1] == KV_ADDING_STORE);
    const uint32_t length_bytes = kv_float_format(&sum, text, units);
    if (word[1] == KV_ADDING_REPLY && call->reply != NULL)
        reply_bulk(call->reply, text, length_bytes);
    word[1] = KV_ADDING_STORE;
    return length_bytes;
}

/* The sum of the present value, 0 if there is none, and the amount; false after the error. */
static bool kv_float_sum(struct kv_call *call, const struct kv_found *found) {
    struct kv_float number = {0};
    return (found->present == NULL ||
            kv_float_read(call, kv_value(found->present), kv_value_bytes(found->present),
                          kv_error_not_float, &number)) &&
           kv_float_add_kept(call, &number);
}

/* Replies and stores the sum. */
static enum kv_step kv_float_store(struct kv_call *call, struct kv_found *found) {
    char text[KV_FLOAT_TEXT_BYTES_MAX];
    uint32_t units;
    const uint32_t length_bytes = kv_float_reply_kept(call, text, &units);
    enum kv_step step = KV_DONE; /* without room for the reply: nothing is changed, called again */
    if (!kv_reply_overflows(call)) {
        const struct kv_value value = {.more = {(const uint8_t *)text, length_bytes}};
        const uint64_t deadline_ms =
            found->present != NULL ? kv_deadline_ms(found->present) : KV_DEADLINE_NONE;
        step = kv_store_value(call, found, &value, deadline_ms);
    }
    kv_spend(call, units);
    return step;
}

enum kv_step kv_incrbyfloat(struct kv_call *call) {
    const struct machine_argument *amount = &call->operation->arguments[1];
    uint64_t *word = call->cursor->word;
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_STRING))
        return KV_DONE;
    if (word[1] == KV_ADDING_AMOUNT) {
        struct kv_float added;
        if (!kv_float_read(call, amount->data, amount->length_bytes, kv_error_not_float, &added))
            return KV_DONE;
        kv_float_keep(call, &added);
        word[1] = KV_ADDING_VALUE;
        if (call->run->budget == 0)
            return KV_MORE;
    }
    if (word[1] == KV_ADDING_VALUE) {
        if (!kv_float_sum(call, &found))
            return KV_DONE;
        word[1] = KV_ADDING_REPLY;
        if (call->run->budget == 0)
            return KV_MORE;
    }
    if (kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    return kv_float_store(call, &found);
}
