#ifndef WEIR_MACHINES_KV_FLOAT_H
#define WEIR_MACHINES_KV_FLOAT_H

/*
 * The floating point of INCRBYFLOAT: what Redis 7.0 on x86-64 computes with its long double, and on
 * every other machine the same.
 *
 * Redis reads both numbers by strtold, adds them, and prints the sum by "%.17Lf" without zeros at
 * its end. A long double is 80 bits on x86-64, 128 on others, 64 on some, so a replica's processor
 * would decide what it stores. Here the 80-bit format is computed in integers: a significand of 64
 * bits, an exponent of 15, rounding to the nearest and, halfway, to the even one. Parsing,
 * adding and printing are exact but for that one rounding each, as glibc's and the x87's are.
 *
 * Pure: no floating point of the machine it runs on, no locale, no allocation. The longest number,
 * 5119 bytes of text or a sum of 4933 digits, costs up to some 100 us each to parse and 500 us to
 * print; one of 30 digits costs less than 1 us.
 */

#include <stdbool.h>
#include <stdint.h>

enum {
    KV_FLOAT_PARSE_BYTES_MAX = 5119, /* longer texts are no number, as in Redis */
    /* Sign, the 4933 digits of 2^16384, point, 17 digits: 4952. */
    KV_FLOAT_TEXT_BYTES_MAX = 4992,
};

/* significand * 2^exponent. Zeroed: 0. */
struct kv_float {
    uint64_t significand; /* 0, or with the top bit set, but for the smallest numbers */
    int32_t exponent;
    bool negative;
    bool infinite; /* also what a sum of two infinities is */
};

/* Whether a text is spelled as a number. It may still be none for kv_float_parse, as one too large
 * or too small. Costs a look at each byte, so it can be asked where nothing is charged. */
bool kv_float_is_spelled(const uint8_t *text, uint32_t length_bytes);

/* Reads all of a text as strtold does: decimal or hexadecimal, "inf". False: it is none, or one too
 * large, or so small that it would be 0. What it cost, in either case, is in *units of the
 * machine's budget, at least 1. */
bool kv_float_parse(const uint8_t *text, uint32_t length_bytes, struct kv_float *number,
                    uint32_t *units);

/* What a text is as a double. */
enum kv_double {
    KV_DOUBLE_NONE,    /* not spelled as a number ("nan" is none) */
    KV_DOUBLE_EXACT,   /* the nearest double, or an infinity that was asked for */
    KV_DOUBLE_CLIPPED, /* too large, so an infinity, or so small that it is 0 */
};

/* Reads all of a text as strtod does, and rounds once, to the nearest double: the same bits on
 * every machine. *value is written unless it is none. *units as in kv_float_parse. */
enum kv_double kv_double_parse(const uint8_t *text, uint32_t length_bytes, double *value,
                               uint32_t *units);

/* The sum, rounded once. */
void kv_float_add(const struct kv_float *a, const struct kv_float *b, struct kv_float *sum);

/* Prints a number that is not infinite, without a zero byte. Returns the length, and what it cost
 * in *units. */
uint32_t kv_float_format(const struct kv_float *number, char text[KV_FLOAT_TEXT_BYTES_MAX],
                         uint32_t *units);

#endif
