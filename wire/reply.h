/* Replies before they have a protocol: the neutral reply stream.
 *
 * Whoever answers a command (the machine in apply, validate for a refused one) does not know, and
 * must not care, whether the client speaks RESP 2 or RESP 3. It writes records of this stream into
 * room that somebody reserved for it; serialize turns them into RESP where they stand
 * (wire/reply_encode.h), so that a value is copied once on its way from the machine to the socket.
 *
 * Concepts
 *
 *   record   One reply element: a 16 byte header, a payload, and slack. Records follow each other
 *            without gaps or alignment.
 *
 *                0   u8   kind       enum reply_kind
 *                1   u8   [3]        zero
 *                4   u32  length     bytes of payload, 0 if the kind has none
 *                8   u64  value      integer, double (its bits), boolean, or element count
 *               16   payload, then the kind's slack (content undefined until encoded)
 *
 *            Little-endian. It leaves the process in one place: remembered replies of client
 *            sessions are kept in snapshots, in a section whose version must rise when this changes
 *            (stages/sessions.h).
 *
 *   slack    What makes encoding in place possible: for every kind, length and protocol the RESP
 *            encoding is never longer than the record, and its header never longer than the
 *            record's:
 *
 *                kind                    record        longest encoding
 *                ok pong queued          16            "+QUEUED\r\n"                             9
 *                null null_array         16            "*-1\r\n"                                 5
 *                boolean                 16            ":1\r\n"                                  4
 *                array map set push      16            "*" 10 digits "\r\n"                     13
 *                pairs pair              16            "*" 10 digits "\r\n"                     13
 *                integer                 16 + 8        ":" sign 19 digits "\r\n"                23
 *                double, its text        16 + 16       "$24\r\n" 24 characters "\r\n"           31
 *                status error            16 + n        "+" n "\r\n"                          3 + n
 *                bulk                    16 + n + 2    "$" 10 digits "\r\n" n "\r\n"        15 + n
 *                verbatim big_number     16 + n + 2    "=" 10 digits "\r\n" n "\r\n"        15 + n
 *
 *            (verbatim: n counts the "txt:" in front, which RESP 2 leaves out.) A bulk's slack lies
 *            behind its payload, so its CRLF fits there and its header fits in front: a large
 *            payload is sent from where it was written.
 *
 *   reply    One complete answer: a record, or an aggregate's record followed by its elements (the
 *            count of a map, and of pairs, is in pairs). The writer does not check nesting; the
 *            test decoder does.
 *
 *   overflow A record is written whole or not at all. The first one that does not fit closes the
 *            writer: from then on records are only counted, in overflow_bytes. used +
 *            overflow_bytes is exactly the room in which the same calls would have succeeded, so a
 *            read can be run again in room of that size. A stream with overflow must not be
 *            encoded.
 *
 * One writer belongs to one thread at a time; the region belongs to the caller, before and after.
 * No function here blocks or allocates. Lengths and counts are at most INT32_MAX (asserted).
 */
#ifndef WEIR_WIRE_REPLY_H
#define WEIR_WIRE_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum reply_kind {
    REPLY_INVALID, /* zeroed memory is no stream */
    REPLY_OK,
    REPLY_PONG,
    REPLY_QUEUED,
    REPLY_NULL,
    REPLY_NULL_ARRAY,
    REPLY_BOOLEAN,
    REPLY_ARRAY,
    REPLY_MAP,
    REPLY_SET,
    REPLY_PUSH,
    REPLY_INTEGER,
    REPLY_DOUBLE,
    REPLY_STATUS,
    REPLY_ERROR,
    REPLY_BULK,
    REPLY_VERBATIM,
    REPLY_BIG_NUMBER,
    REPLY_PAIRS,
    REPLY_PAIR,
    REPLY_DOUBLE_TEXT,
    REPLY_KINDS,
};

enum {
    REPLY_HEADER_BYTES = 16,
    REPLY_INTEGER_SLACK_BYTES = 8,
    REPLY_DOUBLE_SLACK_BYTES = 16,
    REPLY_BULK_SLACK_BYTES = 2,
    REPLY_VERBATIM_FORM_BYTES = 4, /* "txt:" */
    /* A verbatim's record is so much longer than its text. */
    REPLY_VERBATIM_EXTRA_BYTES =
        REPLY_HEADER_BYTES + REPLY_VERBATIM_FORM_BYTES + REPLY_BULK_SLACK_BYTES,
    /* reply_error_format cuts its text to this; Redis's own longest (an unknown command with the
     * beginning of its arguments) stays below 400. */
    REPLY_ERROR_FORMAT_BYTES_MAX = 512,
};

/* A stream being written. Public so that used room can be read; change it only by these
 * functions. */
struct reply_writer {
    uint8_t *begin;          /* the region's first byte */
    uint8_t *position;       /* where the next record goes */
    uint8_t *end;            /* one past the region's last byte */
    uint64_t overflow_bytes; /* of the records that did not fit; 0 = everything is there */
};

/* A record's header, read back. */
struct reply_record {
    enum reply_kind kind;
    uint32_t length_bytes; /* of the payload */
    uint64_t value;
    uint32_t record_bytes; /* header, payload and slack: the next record begins there */
};

/* Begin a stream in `region`, `length` bytes (0 is allowed: everything overflows). */
void reply_begin(struct reply_writer *writer, uint8_t *region, size_t length);

/* Bytes of the stream so far: what is handed to the encoder. */
static inline size_t reply_used_bytes(const struct reply_writer *writer) {
    return (size_t)(writer->position - writer->begin);
}

/* A place in a stream to which reply_rewind can return, for an answer that turns out to be another:
 * the elements written since are forgotten, overflow included. Valid until the writer begins
 * anew. */
struct reply_mark {
    uint8_t *position;
    uint64_t overflow_bytes;
};
struct reply_mark reply_mark(const struct reply_writer *writer);
void reply_rewind(struct reply_writer *writer, struct reply_mark mark);

/* Fixed replies: +OK, +PONG, +QUEUED. */
void reply_ok(struct reply_writer *writer);
void reply_pong(struct reply_writer *writer);
void reply_queued(struct reply_writer *writer);

/* Absent value. RESP 2 knows two: $-1 for a missing string, *-1 for a missing array; RESP 3 one. */
void reply_null(struct reply_writer *writer);
void reply_null_array(struct reply_writer *writer);

/* Any 64 bit integer. */
void reply_integer(struct reply_writer *writer, int64_t value);

/* RESP 2: :1 or :0. */
void reply_boolean(struct reply_writer *writer, bool value);

/* Printed by %.17g as Redis 7.0 does; "inf", "-inf", "nan". RESP 2: a bulk of that text. */
void reply_double(struct reply_writer *writer, double value);

/* As reply_double, but a bulk in RESP 3 as well (ZSCAN). */
void reply_double_text(struct reply_writer *writer, double value);

/* A string of `length` bytes, any bytes. `data` may be NULL if length is 0. */
void reply_bulk(struct reply_writer *writer, const void *data, size_t length);

/* A string that the caller writes in place: room for `length_max` bytes, or NULL if that overflows
 * (length_max is then counted, and reply_bulk_commit must not be called). Nothing else may be
 * written until reply_bulk_commit, with the length really used (<= length_max), completes the
 * record. */
uint8_t *reply_bulk_reserve(struct reply_writer *writer, size_t length_max);
void reply_bulk_commit(struct reply_writer *writer, size_t length);

/* A simple string. No CR or LF inside (asserted): status texts are ours, never a client's. */
void reply_status(struct reply_writer *writer, const char *text, size_t length);

/* An error: code word, space, sentence ("ERR syntax error"), without the '-'. Since errors quote
 * what clients sent, CR, LF and NUL at both ends are cut and inside become spaces. */
void reply_error(struct reply_writer *writer, const char *text, size_t length);

/* The same, formatted; cut to REPLY_ERROR_FORMAT_BYTES_MAX - 1 bytes. */
__attribute__((format(printf, 2, 3))) void reply_error_format(struct reply_writer *writer,
                                                              const char *format, ...);

/* Text with a form of three characters ("txt", "mkd"). RESP 2: a bulk without the form. */
void reply_verbatim(struct reply_writer *writer, const char form[static 3], const void *data,
                    size_t length);

/* A text that the caller writes in place: where its `length_max` bytes go, or NULL if the record
 * overflows. Nothing else may be written until the commit, with the length really used. */
char *reply_verbatim_reserve(struct reply_writer *writer, size_t length_max);
void reply_verbatim_commit(struct reply_writer *writer, const char form[static 3], size_t length);

/* An integer of any size as decimal digits with an optional '-' (asserted). RESP 2: a bulk. */
void reply_big_number(struct reply_writer *writer, const char *digits, size_t length);

/* An aggregate's beginning; its elements follow: n, for a map n keys each followed by its value.
 * RESP 2 knows arrays only: a map is an array of 2n elements. A push is out of band in RESP 3. */
void reply_array(struct reply_writer *writer, size_t element_count);
void reply_map(struct reply_writer *writer, size_t pair_count);
void reply_set(struct reply_writer *writer, size_t element_count);
void reply_push(struct reply_writer *writer, size_t element_count);

/* An array of pairs that is not a map, since its order counts or its keys may come twice (ZRANGE
 * WITHSCORES): each pair begins with reply_pair, which two elements follow. RESP 3: an array of
 * arrays of two; RESP 2: one array of 2n elements. */
void reply_pairs(struct reply_writer *writer, size_t pair_count);
void reply_pair(struct reply_writer *writer);

/* An array, or a set, whose count is known only after its elements (KEYS, SINTER): begin it, write
 * the elements, then end it with the mark that begin gave and their count. Harmless after an
 * overflow. */
struct reply_mark reply_array_begin(struct reply_writer *writer);
struct reply_mark reply_set_begin(struct reply_writer *writer);
void reply_array_end(struct reply_writer *writer, struct reply_mark mark, size_t element_count);

/* Whether the bytes are whole records, one behind the other, and at least one: for a stream that
 * was kept. What is in an aggregate is not counted. */
bool reply_stream_check(const uint8_t *bytes, size_t length);

/* Read the record at `at`, of which `available` bytes are there. Asserts that it is whole. */
struct reply_record reply_record_read(const uint8_t *at, size_t available);

#endif
