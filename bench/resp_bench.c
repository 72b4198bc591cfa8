/* What wire/ costs: nanoseconds a command and an argument, for requests of several shapes, and for
 * writing and encoding replies. One thread, data in cache, median of ROUNDS rounds.
 *
 *     resp_bench            all rows
 *
 * Every row parses (or encodes) about BATCH_BYTES at a time, as a stage does. The result of each
 * round is checked against the expected count, so that a row cannot be fast by doing nothing.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "wire/reply.h"
#include "wire/reply_encode.h"
#include "wire/resp_format.h"
#include "wire/resp_parse.h"

enum {
    ROUNDS = 15,
    BATCH_BYTES = 64 * 1024,
    ROUND_BYTES = 32 * 1024 * 1024, /* parsed in one round: some tens of milliseconds */
    ROUND_REPLIES = 4 * 1024 * 1024,
    ARGUMENTS_MAX = 128,
    PIECES_MAX = 64,
};

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double values[ROUNDS]) {
    qsort(values, ROUNDS, sizeof(values[0]), compare_doubles);
    return values[ROUNDS / 2];
}

static uint64_t parse_batch(uint8_t *bytes, uint32_t length) {
    static struct resp_argument arguments[ARGUMENTS_MAX];
    struct resp_limits limits;
    struct resp_parser parser;
    struct resp_command command;
    resp_limits_default(&limits);
    resp_parser_reset(&parser);
    uint64_t argument_count = 0;
    uint32_t position = 0;
    while (resp_parse(&parser, &limits, true, bytes + position, length - position, arguments,
                      ARGUMENTS_MAX, &command) == RESP_COMMAND) {
        position += command.consumed_bytes;
        argument_count += command.argument_count;
    }
    ASSERT(position == length);
    return argument_count;
}

static void bench_parse(const char *name, uint32_t argument_count, const char *const *arguments,
                        const size_t *lengths) {
    uint8_t *batch = malloc(BATCH_BYTES);
    ASSERT(batch != NULL);
    uint32_t batch_bytes = 0;
    uint64_t commands = 0;
    for (;;) {
        const size_t written = resp_format_command(batch + batch_bytes, BATCH_BYTES - batch_bytes,
                                                   argument_count, arguments, lengths);
        if (written == 0)
            break;
        batch_bytes += (uint32_t)written;
        commands++;
    }
    const uint64_t repeats = ROUND_BYTES / batch_bytes;
    double nanoseconds[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t before = clock_monotonic_ns();
        for (uint64_t i = 0; i < repeats; i++)
            ASSERT(parse_batch(batch, batch_bytes) == commands * argument_count);
        nanoseconds[round] = (double)(clock_monotonic_ns() - before);
    }
    const double per_command = median(nanoseconds) / (double)(repeats * commands);
    printf("%-34s %8.1f ns/command %6.1f ns/argument %6.2f GB/s\n", name, per_command,
           per_command / argument_count, (double)(repeats * batch_bytes) / median(nanoseconds));
    free(batch);
}

enum reply_row { ROW_OK, ROW_INTEGER, ROW_BULK_64, ROW_BULK_1024, ROW_BULK_16384, ROWS };

static void write_reply(struct reply_writer *writer, enum reply_row row, const uint8_t *value) {
    switch (row) {
    case ROW_OK: reply_ok(writer); break;
    case ROW_INTEGER: reply_integer(writer, 1234567); break;
    case ROW_BULK_64: reply_bulk(writer, value, 64); break;
    case ROW_BULK_1024: reply_bulk(writer, value, 1024); break;
    case ROW_BULK_16384: reply_bulk(writer, value, 16384); break;
    case ROWS: UNREACHABLE("a count, not a row");
    }
}

static void bench_reply(enum reply_row row, enum resp_version version) {
    static const char *const names[ROWS] = {"+OK", "integer", "bulk 64", "bulk 1024", "bulk 16384"};
    static uint8_t region[1024 * 1024];
    static uint8_t value[16384];
    const uint32_t batch_replies = row == ROW_BULK_16384 ? 16 : 128;
    const uint32_t repeats = ROUND_REPLIES / batch_replies /
                             (row == ROW_BULK_16384  ? 64
                              : row == ROW_BULK_1024 ? 8
                                                     : 1);
    double written[ROUNDS];
    double encoded[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t write_ns = 0;
        uint64_t encode_ns = 0;
        for (uint32_t i = 0; i < repeats; i++) {
            struct reply_writer writer;
            struct reply_pieces pieces;
            struct reply_piece table[PIECES_MAX];
            const uint64_t start = clock_monotonic_ns();
            reply_begin(&writer, region, sizeof(region));
            for (uint32_t n = 0; n < batch_replies; n++)
                write_reply(&writer, row, value);
            ASSERT(writer.overflow_bytes == 0);
            const uint64_t middle = clock_monotonic_ns();
            reply_pieces_begin(&pieces, table, PIECES_MAX);
            ASSERT(reply_encode_in_place(region, reply_used_bytes(&writer), version, &pieces));
            write_ns += middle - start;
            encode_ns += clock_monotonic_ns() - middle;
        }
        written[round] = (double)write_ns;
        encoded[round] = (double)encode_ns;
    }
    const double replies = (double)repeats * batch_replies;
    printf("%-22s RESP %d      %8.1f ns to write  %6.1f ns to encode\n", names[row], (int)version,
           median(written) / replies, median(encoded) / replies);
}

int main(void) {
    static char value[16384];
    memset(value, 'v', sizeof(value));
    const char *const ping[] = {"PING"};
    const char *const get[] = {"GET", "key:000000012345"};
    const char *const set[] = {"SET", "key:000000012345", value};
    const size_t set_64[] = {3, 16, 64};
    const size_t set_16384[] = {3, 16, 16384};
    const char *mset[101];
    mset[0] = "MSET";
    for (size_t i = 1; i < 101; i++)
        mset[i] = "key:000000012345";

    bench_parse("PING", 1, ping, NULL);
    bench_parse("GET 16 byte key", 2, get, NULL);
    bench_parse("SET 16 byte key, 64 byte value", 3, set, set_64);
    bench_parse("SET 16 byte key, 16 KiB value", 3, set, set_16384);
    bench_parse("MSET 100 arguments of 16 bytes", 101, mset, NULL);
    for (int row = 0; row < ROWS; row++)
        bench_reply((enum reply_row)row, RESP_VERSION_2);
    bench_reply(ROW_BULK_64, RESP_VERSION_3);
    return EXIT_SUCCESS;
}
