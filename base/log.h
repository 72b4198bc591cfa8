#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

/*
 * The program's log: lines of logfmt on standard error, for people and for machines.
 *
 *     ts=2026-01-31T12:00:00.123Z level=warn event=disk_slow millis=212 file="seg 7" suppressed=41
 *
 * A line is `ts`, `level`, `event`, then what the caller's format gives: key=value pairs separated
 * by one space. An event's name is snake_case and never changes its meaning; a value that may hold
 * a space, a quote or a foreign byte goes through log_quote. A line reaches the descriptor in one
 * write(2), cut at LOG_LINE_BYTES; control bytes, which nobody should put in, are replaced by '?',
 * so that no input can forge a line.
 *
 * What can happen often is logged with the _limited form: each such place in the source writes at
 * most LOG_LIMITED_LINES lines, and then none until LOG_LIMITED_WINDOW_NS have passed since the
 * first of them; what is held back is counted, and the next line of that place says so
 * (suppressed=N). A log must not be the way to fill a disk or to stop a core: whatever a client
 * or a peer can provoke is limited.
 *
 * Any thread. No allocation, no lock. It writes to a descriptor, so it can block when the reader
 * of standard error does not read; a failed write is dropped. The pure folders (entry, wire, raft,
 * machines) must not include this file.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A line with its newline; 4096 is what Linux writes to a pipe without interleaving. */
#define LOG_LINE_BYTES 4096

/* How many lines a limited place may write before it falls silent. */
#define LOG_LIMITED_LINES 5

/* From the first of these lines to the end of the silence: ten seconds. */
#define LOG_LIMITED_WINDOW_NS UINT64_C(10000000000)

/* How bad it is; ordered. */
enum log_level {
    LOG_DEBUG, /* for a developer */
    LOG_INFO,  /* for the record */
    LOG_WARN,  /* somebody should look, the service goes on */
    LOG_ERROR, /* something asked for will not be done */
};

/* Lines below `level` are dropped from now on. At start: LOG_INFO. */
void log_level_set(enum log_level level);

/* Lines go to `descriptor` from now on, which stays the caller's. At start: 2. */
void log_descriptor_set(int descriptor);

/* Writes one line. Use the macros below. */
__attribute__((format(printf, 3, 4))) void log_line(enum log_level level, const char *event,
                                                    const char *format, ...);

/* log_info("event", "key=%d ...", ...): one line; the format may be "". */
#define log_debug(event, ...) log_line(LOG_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...)  log_line(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...)  log_line(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) log_line(LOG_ERROR, event, __VA_ARGS__)

/*
 * The rate of one place in the source. Zeroed, it is ready. Shared by all threads that pass there,
 * and exact whatever they do. Both words are relaxed: they count, and publish nothing.
 */
struct log_limit {
    _Atomic uint64_t window;           /* start in ms << LOG_LIMIT_COUNT_BITS | lines; 0 = unused */
    _Atomic uint32_t suppressed_count; /* since the last line */
};

/* The low bits of a window's word; the others hold milliseconds for 34 years of uptime. */
#define LOG_LIMIT_COUNT_BITS 24

/*
 * Whether this place may write a line at `now_ns` (monotonic). If so, *suppressed is what it held
 * back since the last line that it wrote; if not, it has counted this one and left *suppressed.
 */
bool log_limit_allows(struct log_limit *limit, uint64_t now_ns, uint32_t *suppressed);

/* As log_line, at a place with a limit. Use the macros below. */
__attribute__((format(printf, 4, 5))) void log_line_limited(struct log_limit *limit,
                                                            enum log_level level, const char *event,
                                                            const char *format, ...);

/* log_warn_limited("event", "key=%d ...", ...): as log_warn, bounded at this very place. */
#define log_info_limited(event, ...)  LOG_LIMITED(LOG_INFO, event, __VA_ARGS__)
#define log_warn_limited(event, ...)  LOG_LIMITED(LOG_WARN, event, __VA_ARGS__)
#define log_error_limited(event, ...) LOG_LIMITED(LOG_ERROR, event, __VA_ARGS__)
#define LOG_LIMITED(level, event, ...)                                \
    do {                                                              \
        static struct log_limit log_limit_here;                       \
        log_line_limited(&log_limit_here, level, event, __VA_ARGS__); \
    } while (0)

/* Room for one quoted value; longer ones are cut and end in "...". */
#define LOG_QUOTED_BYTES 256

/* A value made safe for a line; lives as long as the caller's struct. */
struct log_quoted {
    char text[LOG_QUOTED_BYTES];
};

/*
 * Fills `quoted` with the value in double quotes, where a quote, a backslash, and each byte that is
 * not printable ASCII are escaped (\" \\ \n \r \t \x1b), and returns its text, for use with %s.
 */
const char *log_quote(struct log_quoted *quoted, const void *value, size_t length_bytes);

#endif
