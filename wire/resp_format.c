/* Requests, formatted. One path: sizes are known first, so that a command is written whole or
 * not. */
#include "wire/resp_format.h"

#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"

enum { FORMAT_CRLF_BYTES = 2 };

/* The bytes of `type`, the number, CRLF. */
static size_t format_line_bytes(uint64_t number) {
    char digits[DECIMAL_BYTES_MAX];
    return 1 + decimal_format_u64(digits, number) + FORMAT_CRLF_BYTES;
}

static size_t format_line(uint8_t *to, char type, uint64_t number) {
    char digits[DECIMAL_BYTES_MAX];
    const size_t digit_count = decimal_format_u64(digits, number);
    to[0] = (uint8_t)type;
    memcpy(to + 1, digits, digit_count);
    memcpy(to + 1 + digit_count, "\r\n", FORMAT_CRLF_BYTES);
    return 1 + digit_count + FORMAT_CRLF_BYTES;
}

static size_t format_bulk_bytes(size_t length) {
    return format_line_bytes(length) + length + FORMAT_CRLF_BYTES;
}

size_t resp_format_array(uint8_t *buffer, size_t capacity, uint32_t argument_count) {
    if (format_line_bytes(argument_count) > capacity)
        return 0;
    return format_line(buffer, '*', argument_count);
}

size_t resp_format_bulk(uint8_t *buffer, size_t capacity, const void *data, size_t length) {
    ASSERT(data != NULL || length == 0);
    if (length > capacity || format_bulk_bytes(length) > capacity)
        return 0;
    const size_t line_bytes = format_line(buffer, '$', length);
    if (length > 0)
        memcpy(buffer + line_bytes, data, length);
    memcpy(buffer + line_bytes + length, "\r\n", FORMAT_CRLF_BYTES);
    return line_bytes + length + FORMAT_CRLF_BYTES;
}

size_t resp_format_command_bytes(uint32_t argument_count, const size_t *argument_lengths) {
    size_t bytes = format_line_bytes(argument_count);
    for (uint32_t i = 0; i < argument_count; i++)
        bytes += format_bulk_bytes(argument_lengths[i]);
    return bytes;
}

size_t resp_format_command(uint8_t *buffer, size_t capacity, uint32_t argument_count,
                           const char *const *arguments, const size_t *argument_lengths) {
    ASSERT(argument_count >= 1);
    size_t needed = format_line_bytes(argument_count);
    for (uint32_t i = 0; i < argument_count; i++) {
        const size_t length = argument_lengths ? argument_lengths[i] : strlen(arguments[i]);
        needed += format_bulk_bytes(length);
    }
    if (needed > capacity)
        return 0;

    size_t written = resp_format_array(buffer, capacity, argument_count);
    for (uint32_t i = 0; i < argument_count; i++) {
        const size_t length = argument_lengths ? argument_lengths[i] : strlen(arguments[i]);
        written += resp_format_bulk(buffer + written, capacity - written, arguments[i], length);
    }
    ASSERT(written == needed);
    return written;
}
