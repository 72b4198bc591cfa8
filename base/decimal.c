/*
 * Digits to numbers and back. The magnitude is always handled as u64: -2^63 has no positive twin
 * in i64. Fails only on text that is not a number, or not one that fits.
 */

#include "base/decimal.h"

#include "base/assert.h"
#include "base/error.h"

#include <stdbool.h>
#include <string.h>

#define DECIMAL_DIGITS_MAX (DECIMAL_BYTES_MAX - 1)

/* All pairs "00" to "99": half the divisions. */
static const char decimal_pairs[] = "00010203040506070809"
                                    "10111213141516171819"
                                    "20212223242526272829"
                                    "30313233343536373839"
                                    "40414243444546474849"
                                    "50515253545556575859"
                                    "60616263646566676869"
                                    "70717273747576777879"
                                    "80818283848586878889"
                                    "90919293949596979899";

size_t decimal_format_u64(char out[DECIMAL_BYTES_MAX], uint64_t value) {
    char digits[DECIMAL_DIGITS_MAX];
    size_t start = sizeof(digits);
    while (value >= 100) {
        start -= 2;
        memcpy(digits + start, decimal_pairs + (value % 100) * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        start -= 2;
        memcpy(digits + start, decimal_pairs + value * 2, 2);
    } else {
        start -= 1;
        digits[start] = (char)('0' + value);
    }

    size_t length_bytes = sizeof(digits) - start;
    ASSERT_HOT(length_bytes >= 1 && length_bytes <= DECIMAL_DIGITS_MAX);
    memcpy(out, digits + start, length_bytes);
    out[length_bytes] = '\0';
    return length_bytes;
}

size_t decimal_format_i64(char out[DECIMAL_BYTES_MAX], int64_t value) {
    if (value >= 0)
        return decimal_format_u64(out, (uint64_t)value);
    out[0] = '-';
    char magnitude[DECIMAL_BYTES_MAX];
    size_t length_bytes = decimal_format_u64(magnitude, 0 - (uint64_t)value);
    ASSERT_HOT(length_bytes + 1 < DECIMAL_BYTES_MAX);
    memcpy(out + 1, magnitude, length_bytes + 1);
    return length_bytes + 1;
}

int decimal_parse_u64(const char *text, size_t length_bytes, uint64_t *value) {
    ASSERT_HOT(value != NULL);
    if (length_bytes == 0 || length_bytes > DECIMAL_DIGITS_MAX)
        return WEIR_EINVAL;
    if (text[0] == '0' && length_bytes > 1)
        return WEIR_EINVAL;

    uint64_t sum = 0;
    for (size_t i = 0; i < length_bytes; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9)
            return WEIR_EINVAL;
        if (sum > (UINT64_MAX - digit) / 10)
            return WEIR_EINVAL;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return 0;
}

int decimal_parse_i64(const char *text, size_t length_bytes, int64_t *value) {
    ASSERT_HOT(value != NULL);
    bool negative = length_bytes > 0 && text[0] == '-';
    uint64_t magnitude;
    if (decimal_parse_u64(text + negative, length_bytes - negative, &magnitude) != 0)
        return WEIR_EINVAL;

    const uint64_t magnitude_max = (uint64_t)INT64_MAX + negative;
    if (magnitude > magnitude_max || (negative && magnitude == 0))
        return WEIR_EINVAL;
    *value = (int64_t)(negative ? 0 - magnitude : magnitude);
    return 0;
}
