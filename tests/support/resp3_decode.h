/* A decoder of replies, RESP 2 and RESP 3, that shares nothing with wire/: the tests' own eyes.
 *
 * It is strict (a malformed byte is RESP3_BAD, never skipped) and complete for what servers send:
 * all types of the RESP 3 specification but the streamed ones ("$?", "*?"), which Redis has never
 * sent. It decodes one value from the front of a buffer into a tree of malloc'ed nodes. Not for
 * production: it recurses, and allocates without a limit but RESP3_DEPTH_MAX. */
#ifndef WEIR_TESTS_SUPPORT_RESP3_DECODE_H
#define WEIR_TESTS_SUPPORT_RESP3_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RESP3_DEPTH_MAX = 64 };

enum resp3_type {
    RESP3_STATUS = '+',
    RESP3_ERROR = '-',
    RESP3_INTEGER = ':',
    RESP3_BULK = '$',
    RESP3_ARRAY = '*',
    RESP3_NULL = '_',
    RESP3_DOUBLE = ',',
    RESP3_BOOLEAN = '#',
    RESP3_BULK_ERROR = '!',
    RESP3_VERBATIM = '=',
    RESP3_BIG_NUMBER = '(',
    RESP3_MAP = '%',
    RESP3_SET = '~',
    RESP3_PUSH = '>',
    RESP3_NULL_BULK = 'b',  /* RESP 2: $-1 */
    RESP3_NULL_ARRAY = 'a', /* RESP 2: *-1 */
};

struct resp3_value {
    enum resp3_type type;
    int64_t integer; /* INTEGER; BOOLEAN: 0 or 1 */
    double number;   /* DOUBLE */
    char *text;      /* string-like types and the digits of numbers; a NUL follows; not NULL */
    size_t length;   /* of text, without that NUL */
    char form[4];    /* VERBATIM: three characters and a NUL; text is what follows the colon */
    struct resp3_value **element; /* aggregates: a MAP has 2 * pairs, key and value in turn */
    size_t element_count;
    struct resp3_value *attribute; /* a MAP that was sent in front ("|"), or NULL */
};

enum resp3_result {
    RESP3_OK,
    RESP3_MORE, /* the bytes are the beginning of a value */
    RESP3_BAD,  /* they are not */
};

/* Decode one value. On RESP3_OK *value is the caller's (resp3_free) and *consumed the bytes it
 * took; otherwise both are unchanged. */
enum resp3_result resp3_decode(const void *bytes, size_t length, struct resp3_value **value,
                               size_t *consumed);

/* Free a value and all below it; NULL is allowed. */
void resp3_free(struct resp3_value *value);

/* True if both have the same type and content, elements in the same order. */
bool resp3_equal(const struct resp3_value *a, const struct resp3_value *b);

/* The value in one line, malloc'ed, for messages and comparisons:
 *     "bulk"  +status  -error  :42  null  null-bulk  null-array  ,1.5  true  (123  txt:"text"
 *     !"bulk error"  [a, b]  {key: value}  ~[a]  >[a]   |{attribute} value
 * Bytes outside ASCII's visible ones, '"' and '\' are written \xHH. */
char *resp3_print(const struct resp3_value *value);

/* Decode all values in `bytes` and print them, each followed by a newline; malloc'ed. What cannot
 * be decoded ends it by "MORE\n" or "BAD\n". The shortest way to compare a reply stream with a
 * text. */
char *resp3_print_all(const void *bytes, size_t length);

#endif
