/* Two ways from a byte stream to a transcript: the real parser, fed in pieces, and its twin, which
 * is as simple as possible (it sees the whole stream and starts every command over). Equal
 * transcripts mean equal behaviour. A transcript is text, one line an event:
 *
 *     command 2: 3"GET" 1"x"      with lengths; bytes outside visible ASCII as \xHH
 *     empty                       an empty request
 *     cross-protocol              then nothing
 *     error ERR Protocol ...      then nothing
 *     more                        the stream ends inside a command
 */
#ifndef WEIR_TESTS_WIRE_RESP_FEED_H
#define WEIR_TESTS_WIRE_RESP_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/resp_parse.h"

/* The twin's transcript of a stream; malloc'ed. */
char *resp_twin(const uint8_t *stream, size_t length, const struct resp_limits *limits,
                bool authenticated);

/* The parser's transcript of a stream cut before each offset in `cuts` (ascending, each at most
 * `length`); malloc'ed. The region has exactly the size of what has arrived, and is another one in
 * every call, if `move` is set. The table begins with one slot. Asserts on the way that offsets
 * stay in the region, that needed_bytes is a lower bound, and that the parser is idle when it
 * should be. */
char *resp_feed(const uint8_t *stream, size_t length, const size_t *cuts, size_t cut_count,
                bool move, const struct resp_limits *limits, bool authenticated);

#endif
