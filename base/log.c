/*
 * A line is built on the stack and handed to write(2) once. A line too long is cut; a write that
 * fails or is short is not repeated: there is nobody left to tell.
 */

#include "base/log.h"

#include "base/assert.h"
#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Both relaxed: set at start or by a test; a line in flight may still use the old value. */
static _Atomic int log_descriptor = STDERR_FILENO;
static _Atomic int log_level_min = LOG_INFO;

static const char *const log_level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARN] = "warn",
    [LOG_ERROR] = "error",
};

void log_level_set(enum log_level level) {
    ASSERT(level >= LOG_DEBUG && level <= LOG_ERROR);
    atomic_store_explicit(&log_level_min, (int)level, memory_order_relaxed);
}

void log_descriptor_set(int descriptor) {
    ASSERT(descriptor >= 0);
    atomic_store_explicit(&log_descriptor, descriptor, memory_order_relaxed);
}

/* A line under construction; the last byte is kept for the newline. */
struct log_buffer {
    size_t length_bytes; /* never above LOG_LINE_BYTES - 1 */
    char bytes[LOG_LINE_BYTES];
};

__attribute__((format(printf, 2, 0))) static void log_append_list(struct log_buffer *line,
                                                                  const char *format,
                                                                  va_list arguments) {
    const size_t room_bytes = sizeof(line->bytes) - line->length_bytes;
    int length = vsnprintf(line->bytes + line->length_bytes, room_bytes, format, arguments);
    ASSERT(length >= 0);
    line->length_bytes += (size_t)length < room_bytes ? (size_t)length : room_bytes - 1;
    ASSERT(line->length_bytes < sizeof(line->bytes));
}

__attribute__((format(printf, 2, 3))) static void log_append(struct log_buffer *line,
                                                             const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_append_list(line, format, arguments);
    va_end(arguments);
}

__attribute__((format(printf, 4, 0))) static void log_write_list(enum log_level level,
                                                                 const char *event,
                                                                 uint32_t suppressed,
                                                                 const char *format,
                                                                 va_list arguments) {
    struct log_buffer line = {.length_bytes = 0};
    const uint64_t now_ms = clock_wall_ms();
    const time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    log_append(&line, "ts=%04d-%02d-%02dT%02d:%02d:%02d.%03uZ level=%s event=%s",
               utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
               (unsigned)(now_ms % 1000), log_level_names[level], event);
    if (suppressed > 0)
        log_append(&line, " suppressed=%u", (unsigned)suppressed);
    if (format[0] != '\0') {
        log_append(&line, " ");
        log_append_list(&line, format, arguments);
    }

    for (size_t i = 0; i < line.length_bytes; i++) {
        const unsigned char byte = (unsigned char)line.bytes[i];
        if (byte < 0x20 || byte == 0x7f)
            line.bytes[i] = '?';
    }
    line.bytes[line.length_bytes] = '\n';
    ssize_t written = write(atomic_load_explicit(&log_descriptor, memory_order_relaxed), line.bytes,
                            line.length_bytes + 1);
    (void)written;
}

static bool log_wanted(enum log_level level) {
    ASSERT(level >= LOG_DEBUG && level <= LOG_ERROR);
    return (int)level >= atomic_load_explicit(&log_level_min, memory_order_relaxed);
}

void log_line(enum log_level level, const char *event, const char *format, ...) {
    if (!log_wanted(level))
        return;
    const int saved_errno = errno; /* a caller may log between a failure and its errno */
    va_list arguments;
    va_start(arguments, format);
    log_write_list(level, event, 0, format, arguments);
    va_end(arguments);
    errno = saved_errno;
}

void log_line_limited(struct log_limit *limit, enum log_level level, const char *event,
                      const char *format, ...) {
    uint32_t suppressed = 0;
    if (!log_wanted(level) || !log_limit_allows(limit, clock_monotonic_ns(), &suppressed))
        return;
    const int saved_errno = errno;
    va_list arguments;
    va_start(arguments, format);
    log_write_list(level, event, suppressed, format, arguments);
    va_end(arguments);
    errno = saved_errno;
}

/* Start and count change together in one compare and swap, so no thread sees a window half open. */
bool log_limit_allows(struct log_limit *limit, uint64_t now_ns, uint32_t *suppressed) {
    _Static_assert(LOG_LIMITED_LINES < 1 << LOG_LIMIT_COUNT_BITS, "the count fits its bits");
    const uint64_t count_mask = (UINT64_C(1) << LOG_LIMIT_COUNT_BITS) - 1;
    const uint64_t now_ms = now_ns / CLOCK_NS_PER_MS;
    const uint64_t window_ms = LOG_LIMITED_WINDOW_NS / CLOCK_NS_PER_MS;
    uint64_t next;
    uint64_t window = atomic_load_explicit(&limit->window, memory_order_relaxed);
    do {
        const uint64_t start_ms = window >> LOG_LIMIT_COUNT_BITS;
        /* Another thread may have opened the window a moment after now_ns was read. */
        const bool over = window == 0 || (now_ms > start_ms && now_ms - start_ms >= window_ms);
        if (!over && (window & count_mask) >= LOG_LIMITED_LINES) {
            atomic_fetch_add_explicit(&limit->suppressed_count, 1, memory_order_relaxed);
            return false;
        }
        next = over ? (now_ms << LOG_LIMIT_COUNT_BITS) | 1 : window + 1;
    } while (!atomic_compare_exchange_weak_explicit(&limit->window, &window, next,
                                                    memory_order_relaxed, memory_order_relaxed));
    *suppressed = atomic_exchange_explicit(&limit->suppressed_count, 0, memory_order_relaxed);
    return true;
}

/* The letter after the backslash for bytes that have one, or 0. */
static char log_escape_letter(unsigned char byte) {
    switch (byte) {
    case '"': return '"';
    case '\\': return '\\';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    default: return 0;
    }
}

const char *log_quote(struct log_quoted *quoted, const void *value, size_t length_bytes) {
    static const char hex[] = "0123456789abcdef";
    static const char cut[] = "...";
    /* Behind any escape (4 bytes) there is always room for "...", the quote and the zero byte. */
    const size_t end_max = sizeof(quoted->text) - (sizeof(cut) - 1) - 2;
    const unsigned char *bytes = value;
    ASSERT(value != NULL || length_bytes == 0);

    char *out = quoted->text;
    size_t end = 0;
    out[end++] = '"';
    for (size_t i = 0; i < length_bytes; i++) {
        const unsigned char byte = bytes[i];
        const char letter = log_escape_letter(byte);
        const bool plain = letter == 0 && byte >= 0x20 && byte < 0x7f;
        const size_t need = plain ? 1 : letter != 0 ? 2 : 4;
        if (end + need > end_max) {
            memcpy(out + end, cut, sizeof(cut) - 1);
            end += sizeof(cut) - 1;
            break;
        }
        if (plain) {
            out[end++] = (char)byte;
            continue;
        }
        out[end++] = '\\';
        if (letter != 0) {
            out[end++] = letter;
        } else {
            out[end++] = 'x';
            out[end++] = hex[byte >> 4];
            out[end++] = hex[byte & 15];
        }
    }
    out[end++] = '"';
    out[end] = '\0';
    ASSERT(end < sizeof(quoted->text));
    return quoted->text;
}
