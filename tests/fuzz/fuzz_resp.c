/* Fuzzing the request parser: any bytes, any limits, any split.
 *
 * The input's first 4 bytes choose the limits, whether the client is authenticated, and how the
 * rest is cut; the rest is the stream. What must hold: the parser gives, whole and cut, the
 * transcript that the twin gives (tests/wire/resp_feed.h asserts offsets and needed_bytes on the
 * way), in regions of exactly the bytes that have arrived, so that the address sanitizer sees one
 * byte too far. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/wire/resp_feed.h"

enum {
    HEAD_BYTES = 4,
    STREAM_BYTES_MAX = 8192,
    CUTS_MAX = 64,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_same(const char *expected, char *found) {
    ASSERT(strcmp(expected, found) == 0);
    free(found);
}

/* Pieces whose lengths follow from the seed: from 1 byte to some hundreds. */
static size_t choose_cuts(size_t *cuts, size_t length, uint32_t seed) {
    size_t count = 0;
    size_t at = 0;
    while (count < CUTS_MAX) {
        seed = seed * 1664525u + 1013904223u;
        const uint32_t step = seed >> 24;
        at += (seed >> 16 & 3) == 0 ? 1 + step : 1 + (step & 7);
        if (at >= length)
            break;
        cuts[count++] = at;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < HEAD_BYTES || size > HEAD_BYTES + STREAM_BYTES_MAX)
        return 0;
    const uint8_t *stream = data + HEAD_BYTES;
    const size_t length = size - HEAD_BYTES;
    struct resp_limits limits;
    resp_limits_default(&limits);
    if ((data[0] & 1) != 0) {
        limits.inline_length_max = 32 + (data[0] >> 4);
        limits.bulk_length_max = 1 + data[1];
        limits.argument_count_max = 1 + (data[1] >> 3);
        limits.command_length_max = limits.inline_length_max + 2 + data[2] * 4u;
    }
    ASSERT(resp_limits_valid(&limits));
    const bool authenticated = (data[0] & 2) == 0;

    char *twin = resp_twin(stream, length, &limits, authenticated);
    size_t cuts[CUTS_MAX];
    const size_t cut_count = choose_cuts(cuts, length, (uint32_t)data[3] << 8 | data[2]);
    expect_same(twin, resp_feed(stream, length, NULL, 0, true, &limits, authenticated));
    expect_same(twin, resp_feed(stream, length, cuts, cut_count, true, &limits, authenticated));
    for (size_t i = 0; i < CUTS_MAX; i++) /* the first bytes one by one */
        cuts[i] = i < length ? i : length;
    expect_same(twin, resp_feed(stream, length, cuts, CUTS_MAX, true, &limits, authenticated));
    free(twin);
    return 0;
}
