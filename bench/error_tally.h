#ifndef WEIR_BENCH_ERROR_TALLY_H
#define WEIR_BENCH_ERROR_TALLY_H

/*
 * Errors of a load run by kind, with one example of each, in bounded memory.
 *
 * The kind of an error reply is its first word in capitals (ERR, OOM, MOVED, ...); what the client
 * met by itself has kinds of its own, in small letters (connection lost, ...). When all rows are
 * taken, further kinds are counted in the last row, under "other".
 *
 * Owned by one thread; nothing blocks or allocates.
 */

#include <stddef.h>
#include <stdint.h>

/* The sizes of the table and of its texts, zero byte included. */
enum {
    ERROR_TALLY_KIND_COUNT_MAX = 16,
    ERROR_TALLY_NAME_BYTES = 32,
    ERROR_TALLY_EXAMPLE_BYTES = 128
};

/* One row. */
struct error_kind {
    uint64_t count;
    char name[ERROR_TALLY_NAME_BYTES];
    char example[ERROR_TALLY_EXAMPLE_BYTES]; /* printable, the first one met; may be empty */
};

/* All rows; nothing in it is allocated, so it may be copied. */
struct error_tally {
    uint64_t count; /* sum over all kinds */
    uint32_t kinds_used;
    struct error_kind kinds[ERROR_TALLY_KIND_COUNT_MAX]; /* in the order of their first error */
};

/* Empties the tally; also how it is initialized. */
void error_tally_reset(struct error_tally *tally);

/* Adds `count` errors of the kind `name`, a zero-terminated text that is cut to its room. */
void error_tally_add(struct error_tally *tally, const char *name, uint64_t count,
                     const char *example, size_t example_bytes);

/* Adds one error reply, given as the server sent it, without type byte and CRLF. */
void error_tally_add_reply(struct error_tally *tally, const char *text, size_t length_bytes);

/* Adds all of `from`, which is unchanged; examples already in `into` are kept. */
void error_tally_merge(struct error_tally *into, const struct error_tally *from);

#endif
