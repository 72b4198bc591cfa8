#ifndef WEIR_BENCH_NULL_REQUESTS_H
#define WEIR_BENCH_NULL_REQUESTS_H

/*
 * How many requests are in these bytes, as cheaply as a server can know it.
 *
 * A client in a benchmark sends requests of one length. So the first request of a connection is
 * measured (the numbers behind '*' and '$' are read, nothing else), and from then on a request is
 * believed to be as long as the one before if it begins with the same eight bytes (the number of
 * words, the length of the first), ends in CRLF, and nothing or a '*' follows: three loads for each
 * request. Where that does not hold, the request is measured. A part of a longer request that looks
 * just so would mislead it; a benchmark's values are letters.
 *
 * Pure: no system call, no allocation; owned by one thread.
 */

#include <stddef.h>
#include <stdint.h>

/* "*3\r\n$3\r\n"; and the most that a request may hold before its last word. */
enum { NULL_REQUESTS_HEAD_BYTES = 8, NULL_REQUESTS_TAIL_BYTES = 64 * 1024 };

/* Returned in place of a count when a request is too long for us. */
#define NULL_REQUESTS_TOO_LONG UINT64_MAX

/* The stream of one connection. Zeroed, it stands at the beginning. */
struct null_requests {
    uint64_t skip_bytes;    /* of a request already counted, still to come */
    uint32_t request_bytes; /* of the last request measured; 0 before the first */
    uint32_t tail_bytes;    /* of a request that cannot be measured yet */
    uint8_t request_head[NULL_REQUESTS_HEAD_BYTES];
    uint8_t tail[NULL_REQUESTS_TAIL_BYTES];
};

/*
 * Takes the next bytes of the stream and returns the number of requests that they complete. (A
 * request counts when its length is known, even if its last word is still on its way.) Returns
 * NULL_REQUESTS_TOO_LONG when it cannot go on.
 */
uint64_t null_requests_count(struct null_requests *stream, const uint8_t *bytes,
                             size_t length_bytes);

#endif
