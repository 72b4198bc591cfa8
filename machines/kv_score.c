/*
 * Happy path: a few digits are a whole number and a power of ten, both exact, and one division
 * rounds once. All others, and what is none, kv_float.c reads.
 */

#include "machines/kv_score.h"

#include "base/assert.h"
#include "machines/kv_float.h"

enum {
    KV_SCORE_DIGITS_FEW = 15, /* 10^15 is below 2^53, and 10^22 is the last exact power of ten */
};

/* False: it is not so simple. */
static bool score_from_few(const uint8_t *text, uint32_t length_bytes, double *score) {
    static const double powers[KV_SCORE_DIGITS_FEW + 1] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const bool negative = length_bytes > 0 && text[0] == '-';
    uint64_t digits = 0;
    uint32_t count = 0;
    uint32_t places = 0;
    bool point = false;
    if (length_bytes > KV_SCORE_DIGITS_FEW + 2)
        return false;
    for (uint32_t i = negative; i < length_bytes; i++) {
        if (text[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (text[i] < '0' || text[i] > '9')
            return false;
        digits = digits * 10 + text[i] - '0';
        count++;
        places += point;
    }
    if (count == 0 || count > KV_SCORE_DIGITS_FEW)
        return false;
    *score = (double)digits / powers[places];
    *score = negative ? -*score : *score;
    return true;
}

bool kv_score_parse(const struct machine_argument *text, double *score, uint32_t *units) {
    if (score_from_few(text->data, text->length_bytes, score))
        return true;
    uint32_t parse_units;
    const enum kv_double result =
        kv_double_parse(text->data, text->length_bytes, score, &parse_units);
    *units += parse_units;
    return result == KV_DOUBLE_EXACT;
}

/* As isspace in the C locale. */
static bool score_is_space(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

bool kv_score_text(const uint8_t **at, const uint8_t **end) {
    ASSERT_HOT(*at <= *end);
    const size_t length_bytes = (size_t)(*end - *at);
    const size_t bytes_max = KV_FLOAT_PARSE_BYTES_MAX;
    const size_t seen = length_bytes < bytes_max + 1 ? length_bytes : bytes_max + 1;
    const uint8_t *zero = seen == 0 ? NULL : memchr(*at, 0, seen);
    if (zero == NULL && length_bytes > bytes_max)
        return false;
    *end = zero != NULL ? zero : *end;
    while (*at != *end && score_is_space(**at))
        ++*at;
    return true;
}

bool kv_score_bound_parse(const struct machine_argument *text, struct kv_score_bound *bound) {
    const uint8_t *at = text->data;
    const uint8_t *end = at + text->length_bytes;
    uint32_t units;
    bound->exclusive = at != end && *at == '(';
    at += bound->exclusive;
    bound->score = 0;
    if (at == end || *at == 0)
        return true;
    return kv_score_text(&at, &end) &&
           kv_double_parse(at, (uint32_t)(end - at), &bound->score, &units) != KV_DOUBLE_NONE;
}

double kv_score_aggregate(enum kv_aggregate aggregate, double a, double b) {
    switch (aggregate) {
    case KV_AGGREGATE_MIN: return b < a ? b : a;
    case KV_AGGREGATE_MAX: return b > a ? b : a;
    case KV_AGGREGATE_SUM: break;
    }
    const double sum = a + b;
    return isnan(sum) ? 0 : sum;
}

double kv_score_weighted(double score, double weight) {
    const double product = score * weight;
    return isnan(product) ? 0 : product;
}
