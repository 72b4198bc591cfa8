/* One word at a time, two cursors: what is read is unquoted to where it is written. No escape is
 * shorter than what it stands for and no quote is written, so writing never overtakes reading. */
#include "wire/resp_words.h"

#include "base/assert.h"

bool resp_is_space(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* What ends a word outside quotes. Not \v and \f, as in Redis. */
static bool resp_ends_word(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* The value of a hexadecimal digit, or -1. */
static int resp_hex_digit(uint8_t byte) {
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    const uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Read one escape inside double quotes, at the backslash `at` with `available` >= 1 bytes up to the
 * line's end: \xHH, \n \r \t \b \a, or any other byte for itself. Returns the bytes it takes; a
 * backslash at the very end stands for itself. */
static uint32_t resp_unescape(const uint8_t *at, uint32_t available, uint8_t *byte) {
    ASSERT(available >= 1 && at[0] == '\\');
    *byte = '\\';
    if (available == 1)
        return 1;
    if (available >= 4 && at[1] == 'x') {
        const int high = resp_hex_digit(at[2]);
        const int low = resp_hex_digit(at[3]);
        if (high >= 0 && low >= 0) {
            *byte = (uint8_t)(high * 16 + low);
            return 4;
        }
    }
    switch (at[1]) {
    case 'n': *byte = '\n'; break;
    case 'r': *byte = '\r'; break;
    case 't': *byte = '\t'; break;
    case 'b': *byte = '\b'; break;
    case 'a': *byte = '\a'; break;
    default: *byte = at[1]; break;
    }
    return 2;
}

bool resp_unquote_word(uint8_t *bytes, uint32_t *cursor, uint32_t line_end,
                       struct resp_argument *word) {
    const uint32_t begin = *cursor;
    uint32_t read = begin;
    uint32_t write = begin;
    uint8_t quote = 0;
    ASSERT(begin < line_end);

    while (read < line_end) {
        uint8_t byte = bytes[read];
        if (quote != 0 && byte == quote) {
            read++;
            if (read < line_end && !resp_is_space(bytes[read]))
                return false;
            quote = 0;
            break;
        }
        if (quote == 0 && resp_ends_word(byte))
            break;
        if (quote == 0 && (byte == '"' || byte == '\'')) {
            quote = byte;
            read++;
            continue;
        }
        uint32_t taken = 1;
        if (quote == '"' && byte == '\\') {
            taken = resp_unescape(bytes + read, line_end - read, &byte);
        } else if (quote == '\'' && byte == '\\' && read + 1 < line_end &&
                   bytes[read + 1] == '\'') {
            byte = '\'';
            taken = 2;
        }
        read += taken;
        bytes[write++] = byte;
    }
    ASSERT(write <= read && read <= line_end);
    *word = (struct resp_argument){begin, write - begin};
    *cursor = read;
    return quote == 0;
}
