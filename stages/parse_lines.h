#ifndef WEIR_STAGES_PARSE_LINES_H
#define WEIR_STAGES_PARSE_LINES_H

/*
 * Which batch is parsed next: who asks for little goes before who asks for much.
 *
 * The batches of a connection stand one behind the other, as they were received.  The connections
 * that have any stand in two lines, by what the first batch of each holds: SHORT if that is no more
 * than PARSE_SHORT_BYTES, otherwise LONG.  A turn takes one batch of the connection in front, which
 * then stands at the end of the line that suits its next one.
 *
 *     ABSENT ──add──► LINED ──take──► UNDER_WAY ──done, has more──► LINED
 *                                         └──────done, has none──► ABSENT
 *
 * SHORT goes first, but passes no more than PARSE_PASS_BYTES before the next one of LONG: so a
 * client that asks once waits for one deep pipeline, not for that of each of two hundred others;
 * and those have a quarter of the time even beside so many that ask once that these alone could
 * fill it.
 *
 * Why here.  Parsing is a large part of what a command costs and comes before the log gives it its
 * place: where one thread has all stages, what waits waits here.
 *
 * One thread: parse's.  Allocates at its start only.
 */

#include <stdbool.h>
#include <stdint.h>

enum {
    /* A pipeline of 16 SETs of 64-byte values is 1.7 KiB. */
    PARSE_SHORT_BYTES = 2 * 1024,
    /* Two full buffers. */
    PARSE_PASS_BYTES = 32 * 1024,
    /* What a batch costs besides its bytes, in bytes of short commands. */
    PARSE_BATCH_COST_BYTES = 64,
};

/* See the picture above. */
enum parse_place_state { PARSE_ABSENT = 0, PARSE_LINED, PARSE_UNDER_WAY, PARSE_PLACE_STATES };

struct parse_lines; /* opaque */

/* For connections with slots below `connections_max` and batches with ids below `batches_max`.
 * NULL: no memory.  The caller destroys it. */
struct parse_lines *parse_lines_create(uint32_t connections_max, uint32_t batches_max);

/* Also NULL. */
void parse_lines_destroy(struct parse_lines *lines);

/* Puts a batch of `length_bytes` behind those of its connection, of which parse has left
 * `unparsed_bytes` to be looked at. */
void parse_lines_add(struct parse_lines *lines, uint32_t slot, uint32_t batch,
                     uint32_t length_bytes, uint32_t unparsed_bytes);

/* The batch whose turn it is, or BATCH_NO_BLOCK.  Its connection has no other turn before
 * parse_lines_done, which is to be called first. */
uint32_t parse_lines_take(struct parse_lines *lines);

/* The batch that was taken last, of this connection, is parsed, and has left so much. */
void parse_lines_done(struct parse_lines *lines, uint32_t slot, uint32_t unparsed_bytes);

/* How many batches wait or are under way. */
uint32_t parse_lines_count(const struct parse_lines *lines);

/* The batch that parse_lines_take would return, to be fetched early; or BATCH_NO_BLOCK. */
uint32_t parse_lines_peek(const struct parse_lines *lines);

#endif
