#ifndef WEIR_BASE_DECIMAL_H
#define WEIR_BASE_DECIMAL_H

/*
 * Integers as decimal digits, in the one form that Redis takes for an integer.
 *
 * A number has exactly one spelling: "0", or an optional "-" and digits that do not begin with 0.
 * No "+", no "-0", no space, no leading zero. So the text of a parsed number is the text that
 * formatting gives, and a value that looks like a number can be kept as one.
 *
 * Independent of the locale. Pure: any thread, no allocation.
 */

#include <stddef.h>
#include <stdint.h>

/* Digits of 2^64 - 1, or sign and digits of -2^63, and the terminating zero byte. */
#define DECIMAL_BYTES_MAX 21

/* Writes the digits and a zero byte; returns the length without it, 1 to 20. */
size_t decimal_format_i64(char out[DECIMAL_BYTES_MAX], int64_t value);

/* Writes the digits and a zero byte; returns the length without it, 1 to 20. */
size_t decimal_format_u64(char out[DECIMAL_BYTES_MAX], uint64_t value);

/*
 * Parses all of `text`, which needs no zero byte. Returns 0 and sets *value, or WEIR_EINVAL, when
 * it is not the one spelling of a number from -2^63 to 2^63 - 1, and leaves *value unchanged.
 */
int decimal_parse_i64(const char *text, size_t length_bytes, int64_t *value);

/* As decimal_parse_i64, for 0 to 2^64 - 1; "-" is refused. */
int decimal_parse_u64(const char *text, size_t length_bytes, uint64_t *value);

#endif
