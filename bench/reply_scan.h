#ifndef WEIR_BENCH_REPLY_SCAN_H
#define WEIR_BENCH_REPLY_SCAN_H

/*
 * Counts RESP replies in a byte stream, as cheaply as a load generator needs it.
 *
 * The scanner keeps nothing of a reply but its end: it knows how many elements are still missing
 * and how many bytes of a bulk are to be passed over. It reads RESP 2 and RESP 3 alike, any
 * nesting, and may be fed any split of the stream, also single bytes. The only text kept is the
 * beginning of an error reply, so that a person can be told what the server said.
 *
 *     type byte           element
 *     + - : , # _ (       one line
 *     $ = !               a length line, then so many bytes and CRLF; length -1 is a null
 *     * ~                 a length line, then so many elements; length -1 is a null
 *     %                   a length line, then twice as many elements
 *     >                   as *, but a message and not a reply: counted apart
 *     |                   as %, and then the element which these attributes describe
 *
 * RESP 3's streamed strings and aggregates ("$?", "*?") are no part of any command's reply in
 * Redis, and a protocol error here. A scanner is owned by one thread. Nothing blocks or allocates.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REPLY_SCAN_OK = 0,
    /* The bytes are no RESP; the scanner must be reset before it is used again. */
    REPLY_SCAN_EPROTOCOL = -1,

    REPLY_SCAN_ERROR_TEXT_BYTES = 96
};

/* Longest bulk and largest aggregate that are believed: 2^40. */
#define REPLY_SCAN_LENGTH_MAX (INT64_C(1) << 40)

/* What was seen; feeding adds to it. */
struct reply_scan_counts {
    uint64_t replies; /* complete replies, errors among them */
    uint64_t errors;  /* complete replies that are an error as a whole */
    uint64_t pushes;  /* complete push messages: not replies */
};

/*
 * Called once for each error reply when it is complete, in the order of the replies. `text` is what
 * follows the type byte, without CRLF, cut at REPLY_SCAN_ERROR_TEXT_BYTES; borrowed for the call.
 */
typedef void reply_scan_on_error(void *context, const char *text, size_t length_bytes);

enum reply_scan_state {
    REPLY_SCAN_TYPE,   /* the next byte is a type byte */
    REPLY_SCAN_LINE,   /* inside a line without a meaning for us */
    REPLY_SCAN_LENGTH, /* inside a length line */
    REPLY_SCAN_BULK,   /* inside the bytes of a bulk */
    REPLY_SCAN_CR,     /* behind a bulk, CR must follow */
    REPLY_SCAN_LF,     /* behind a length or a bulk's CR, LF must follow */
    REPLY_SCAN_BROKEN  /* a protocol error was reported */
};

/* All fields are private to reply_scan.c. */
struct reply_scan {
    reply_scan_on_error *on_error;
    void *error_context;
    enum reply_scan_state state;
    char type;             /* of the current element */
    char reply_type;       /* of the whole reply; 0 until its own type byte was seen */
    bool length_negative;  /* a minus sign was read */
    bool length_complete;  /* the LF that is awaited ends a length line, not a bulk */
    bool capturing;        /* the current element's text is the text of an error reply */
    uint8_t length_digits; /* digits read so far */
    int64_t length;        /* magnitude read so far */
    uint64_t bulk_left_bytes;
    uint64_t elements_missing; /* until the reply is complete; 0 between replies */
    size_t error_text_bytes;
    char error_text[REPLY_SCAN_ERROR_TEXT_BYTES];
};

/*
 * Sets the scanner to the beginning of a stream. `on_error` may be NULL; `context` is handed to it
 * and must outlive the scanner.
 */
void reply_scan_reset(struct reply_scan *scan, reply_scan_on_error *on_error, void *context);

/*
 * Scans `length_bytes` further bytes of the stream and adds what was completed to `counts`.
 * Errors: REPLY_SCAN_EPROTOCOL when a byte cannot stand where it stands; replies before it are
 * counted, and every later call fails the same way until reset.
 */
int reply_scan_feed(struct reply_scan *scan, const uint8_t *bytes, size_t length_bytes,
                    struct reply_scan_counts *counts);

/* Whether the stream stands between two replies. */
bool reply_scan_at_boundary(const struct reply_scan *scan);

#endif
