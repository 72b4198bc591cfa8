/* The request parser: every bad input by name, at every split; random streams against the twin; the
 * limits; hiredis's requests read back. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/random.h"
#include "tests/cmocka_wrapper.h"
#include "tests/wire/resp_cases.h"
#include "tests/wire/resp_feed.h"
#include "wire/resp_format.h"

enum {
    EVERY_SPLIT_BYTES_MAX = 300, /* up to here all pairs of pieces are tried */
    RANDOM_STREAMS = 3000,
    RANDOM_STREAM_BYTES_MAX = 600,
};

static void limits_of_redis(struct resp_limits *limits) {
    resp_limits_default(limits);
    limits->bulk_length_max = RESP_BULK_LENGTH_CEILING;
    assert_true(resp_limits_valid(limits));
}

static void expect_feed(const char *expected, const uint8_t *stream, size_t length,
                        const size_t *cuts, size_t cut_count, bool move,
                        const struct resp_limits *limits, bool authenticated) {
    char *found = resp_feed(stream, length, cuts, cut_count, move, limits, authenticated);
    if (strcmp(found, expected) != 0) {
        print_error("stream of %zu bytes, %zu cuts (first %zu)\nexpected:\n%sfound:\n%s", length,
                    cut_count, cut_count > 0 ? cuts[0] : 0, expected, found);
        fail();
    }
    free(found);
}

/* Whole, byte by byte, and in all pairs of pieces; a long one in the pairs where something may
 * happen, and in pieces of a network's sizes. */
static void expect_at_every_split(const char *expected, const uint8_t *stream, size_t length,
                                  const struct resp_limits *limits, bool authenticated) {
    expect_feed(expected, stream, length, NULL, 0, true, limits, authenticated);
    size_t *cuts = calloc(length + 1, sizeof(size_t));
    assert_non_null(cuts);
    for (size_t i = 0; i < length; i++)
        cuts[i] = i + 1;
    const bool is_short = length <= EVERY_SPLIT_BYTES_MAX;
    expect_feed(expected, stream, length, cuts, length, is_short, limits, authenticated);
    for (size_t cut = 0; cut <= length; cut++) {
        const size_t from_limit = cut > 65536 ? cut - 65536 : 65536 - cut;
        if (is_short || cut < 8 || length - cut < 8 || from_limit < 8)
            expect_feed(expected, stream, length, &cut, 1, true, limits, authenticated);
    }
    static const size_t piece_bytes[] = {2, 3, 7, 1448, 16384};
    for (size_t i = 0; i < ARRAY_COUNT(piece_bytes); i++) {
        size_t count = 0;
        for (size_t at = piece_bytes[i]; at < length; at += piece_bytes[i])
            cuts[count++] = at;
        expect_feed(expected, stream, length, cuts, count, is_short, limits, authenticated);
    }
    free(cuts);
}

/* One test for each case of resp_cases.c, under its name. */
static void case_gives_its_transcript_at_every_split(void **state) {
    const struct resp_case *resp_case = *state;
    struct resp_limits limits;
    limits_of_redis(&limits);
    size_t length;
    uint8_t *stream = resp_case_stream(resp_case, &length);
    char *twin = resp_twin(stream, length, &limits, !resp_case->unauthenticated);
    assert_string_equal(twin, resp_case->transcript);
    expect_at_every_split(resp_case->transcript, stream, length, &limits,
                          !resp_case->unauthenticated);
    free(twin);
    free(stream);
}

/* ---- Random streams -------------------------------------------------------------------------- */

/* Small limits, so that random streams meet them. */
static void limits_random(struct random *random, struct resp_limits *limits) {
    resp_limits_default(limits);
    limits->inline_length_max = 32 + (uint32_t)random_below(random, 40);
    limits->bulk_length_max = 1 + (uint32_t)random_below(random, 60);
    limits->argument_count_max = 1 + (uint32_t)random_below(random, 20);
    limits->command_length_max =
        limits->inline_length_max + 2 + (uint32_t)random_below(random, 300);
    limits->unauthenticated_argument_count_max = (uint32_t)random_below(random, 8);
    limits->unauthenticated_bulk_length_max = (uint32_t)random_below(random, 30);
    assert_true(resp_limits_valid(limits));
}

static uint8_t random_byte(struct random *random, const char *alphabet) {
    return (uint8_t)alphabet[random_below(random, strlen(alphabet))];
}

static size_t put_text(uint8_t *to, const char *text) {
    memcpy(to, text, strlen(text));
    return strlen(text);
}

static size_t random_multibulk(struct random *random, uint8_t *to) {
    char line[32];
    const uint32_t count = (uint32_t)random_below(random, 7);
    size_t n = 0;
    snprintf(line, sizeof(line), "*%u\r\n", (unsigned)count);
    n += put_text(to, line);
    for (uint32_t i = 0; i < count; i++) {
        const size_t length = (size_t)random_below(random, random_chance(random, 1, 8) ? 40 : 8);
        snprintf(line, sizeof(line), "$%zu\r\n", length);
        n += put_text(to + n, line);
        for (size_t k = 0; k < length; k++)
            to[n++] = (uint8_t)random_u64(random);
        n += put_text(to + n, "\r\n");
    }
    return n;
}

static size_t random_inline(struct random *random, uint8_t *to) {
    size_t n = 0;
    const bool is_long = random_chance(random, 1, 8);
    const char *alphabet =
        random_chance(random, 1, 2) ? "abAx04fnr \t\v\r\"'\\\"'\\  " : "abAx04fnr \t\v\\  ";
    const size_t length = (size_t)random_below(random, is_long ? 100 : 20);
    for (size_t i = 0; i < length; i++)
        to[n++] = random_byte(random, alphabet);
    return n + put_text(to + n, random_chance(random, 1, 2) ? "\n" : "\r\n");
}

static size_t random_junk(struct random *random, uint8_t *to) {
    const size_t length = (size_t)random_below(random, 12);
    for (size_t i = 0; i < length; i++)
        to[i] = random_byte(random, "*$\r\n\r\n0123456789-+ x");
    return length;
}

/* Commands in a row, in one stream of ten with a byte changed, inserted or removed. */
static size_t random_stream(struct random *random, uint8_t *stream) {
    size_t length = 0;
    while (length < RANDOM_STREAM_BYTES_MAX && !random_chance(random, 1, 8)) {
        const uint64_t kind = random_below(random, 20);
        length += kind < 12   ? random_multibulk(random, stream + length)
                  : kind < 19 ? random_inline(random, stream + length)
                              : random_junk(random, stream + length);
    }
    if (length > 0 && random_chance(random, 1, 3)) {
        const size_t at = (size_t)random_below(random, length);
        stream[at] = random_byte(random, "*$\r\n019-\"\\ a\xff");
    }
    if (length > 0 && random_chance(random, 1, 5)) {
        const size_t at = (size_t)random_below(random, length);
        memmove(stream + at, stream + at + 1, length - at - 1);
        length--;
    }
    return length;
}

static int compare_sizes(const void *a, const void *b) {
    const size_t x = *(const size_t *)a;
    const size_t y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* What the transcripts held, so that the generator cannot quietly stop reaching something. */
static const char *const events_required[] = {
    "command",
    "empty\n",
    "more\n",
    "unauthenticated multibulk",
    "expected '$'",
    "invalid bulk",
    "invalid multibulk",
    "unauthenticated bulk",
    "followed by CRLF",
    "inline request",
    "unbalanced quotes",
    "too big request",
};

static void any_split_of_random_streams_gives_what_the_twin_gives(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 20240607);
    size_t seen[ARRAY_COUNT(events_required)] = {0};
    uint8_t stream[RANDOM_STREAM_BYTES_MAX + 1024];
    for (int round = 0; round < RANDOM_STREAMS; round++) {
        struct resp_limits limits;
        limits_random(&random, &limits);
        if (random_chance(&random, 1, 2))
            limits_of_redis(&limits);
        const bool authenticated = random_chance(&random, 3, 4);
        const size_t length = random_stream(&random, stream);
        char *twin = resp_twin(stream, length, &limits, authenticated);
        for (size_t i = 0; i < ARRAY_COUNT(events_required); i++)
            seen[i] += strstr(twin, events_required[i]) != NULL;
        expect_feed(twin, stream, length, NULL, 0, true, &limits, authenticated);
        for (int split = 0; split < 4; split++) {
            size_t cuts[64];
            const size_t cut_count = (size_t)random_below(&random, ARRAY_COUNT(cuts));
            for (size_t i = 0; i < cut_count; i++)
                cuts[i] = (size_t)random_below(&random, length + 1);
            qsort(cuts, cut_count, sizeof(cuts[0]), compare_sizes);
            expect_feed(twin, stream, length, cuts, cut_count, true, &limits, authenticated);
        }
        free(twin);
    }
    for (size_t i = 0; i < ARRAY_COUNT(events_required); i++) {
        print_message("%5zu streams with: %.24s\n", seen[i], events_required[i]);
        assert_true(seen[i] >= 10);
    }
}

/* ---- Requests of independent formatters ------------------------------------------------------ */

static void what_hiredis_formats_is_what_we_read_and_what_we_format(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 7);
    struct resp_limits limits;
    limits_of_redis(&limits);
    for (int round = 0; round < 500; round++) {
        const char *argv[20];
        size_t lengths[20];
        const uint32_t argc = 1 + (uint32_t)random_below(&random, 20);
        for (uint32_t i = 0; i < argc; i++) {
            lengths[i] = (size_t)random_below(&random, random_chance(&random, 1, 20) ? 20000 : 20);
            char *argument = malloc(lengths[i] + 1);
            assert_non_null(argument);
            for (size_t k = 0; k < lengths[i]; k++)
                argument[k] = (char)random_u64(&random);
            argv[i] = argument;
        }
        char *request;
        const int length = redisFormatCommandArgv(&request, (int)argc, argv, lengths);
        assert_true(length > 0);

        assert_int_equal(resp_format_command_bytes(argc, lengths), length);
        uint8_t *ours = malloc((size_t)length);
        assert_non_null(ours);
        assert_int_equal(resp_format_command(ours, (size_t)length - 1, argc, argv, lengths), 0);
        assert_int_equal(resp_format_command(ours, (size_t)length, argc, argv, lengths), length);
        assert_memory_equal(ours, request, (size_t)length);

        struct resp_parser parser = {0};
        struct resp_command command;
        struct resp_argument arguments[20];
        assert_int_equal(
            resp_parse(&parser, &limits, true, ours, (uint32_t)length, arguments, 20, &command),
            RESP_COMMAND);
        assert_int_equal(command.argument_count, argc);
        assert_int_equal(command.consumed_bytes, length);
        assert_false(command.is_inline);
        for (uint32_t i = 0; i < argc; i++) {
            assert_int_equal(arguments[i].length, lengths[i]);
            assert_memory_equal(ours + arguments[i].offset, argv[i], lengths[i]);
            free((void *)(uintptr_t)argv[i]);
        }
        redisFreeCommand(request);
        free(ours);
    }
}

static void strings_are_formatted_by_their_length(void **state) {
    (void)state;
    static const char *const arguments[] = {"SET", "k", ""};
    static const char expected[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n";
    uint8_t buffer[64];
    assert_int_equal(resp_format_command(buffer, sizeof(buffer), 3, arguments, NULL),
                     sizeof(expected) - 1);
    assert_memory_equal(buffer, expected, sizeof(expected) - 1);
}

/* ---- What a call tells ----------------------------------------------------------------------- */

static void needed_bytes_follow_what_is_announced(void **state) {
    (void)state;
    struct resp_limits limits;
    resp_limits_default(&limits);
    static const struct {
        const char *bytes;
        uint32_t needed;
        uint32_t complete;
        uint32_t announced;
    } steps[] = {
        {"", 1, 0, 0},
        {"*", 2, 0, 0},
        {"*3", 3, 0, 0},
        {"*3\r", 4, 0, 0},
        {"*3\r\n", 4 + 3 * 6, 0, 3},
        {"*3\r\n$", 4 + 3 * 6, 0, 3},
        {"*3\r\n$3\r\n", 8 + 5 + 2 * 6, 0, 3},
        {"*3\r\n$3\r\nSET\r", 8 + 5 + 2 * 6, 0, 3},
        {"*3\r\n$3\r\nSET\r\n", 13 + 2 * 6, 1, 3},
        {"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$16777216\r\n", 31 + 16777216 + 2, 2, 3},
    };
    struct resp_parser parser = {0};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        uint8_t region[64];
        const size_t length = put_text(region, steps[i].bytes);
        struct resp_argument arguments[3];
        struct resp_command command;
        assert_int_equal(
            resp_parse(&parser, &limits, true, region, (uint32_t)length, arguments, 3, &command),
            RESP_MORE);
        assert_int_equal(command.needed_bytes, steps[i].needed);
        assert_int_equal(command.argument_count, steps[i].complete);
        assert_int_equal(command.argument_count_announced, steps[i].announced);
    }
}

static void a_whole_command_beyond_its_limit_is_refused_when_announced(void **state) {
    (void)state;
    struct resp_limits limits;
    resp_limits_default(&limits);
    limits.inline_length_max = 32;
    limits.command_length_max = 60;
    assert_true(resp_limits_valid(&limits));
    static const char *const refused[] = {
        "*10\r\n",       /* 5 + 60 */
        "*9\r\n$3\r\n",  /* 4 + 54 = 58 would do; with 3 bytes 61 do not */
        "*2\r\n$40\r\n", /* 4 + 5 + 42 + 6 = 57; + 4 does not */
        "*1\r\n$60\r\n",
    };
    static const char *const expected[] = {
        "error ERR Protocol error: too big request\n",
        "error ERR Protocol error: too big request\n",
        "more\n",
        "error ERR Protocol error: too big request\n",
    };
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++)
        expect_at_every_split(expected[i], (const uint8_t *)refused[i], strlen(refused[i]), &limits,
                              true);
    const char fits[] = "*1\r\n$49\r\n0123456789012345678901234567890123456789012345678\r\n";
    assert_int_equal(sizeof(fits) - 1, 60);
    expect_at_every_split("command 1: 49\"0123456789012345678901234567890123456789012345678\"\n",
                          (const uint8_t *)fits, sizeof(fits) - 1, &limits, true);
}

static void limits_out_of_range_are_not_valid(void **state) {
    (void)state;
    struct resp_limits good;
    resp_limits_default(&good);
    assert_true(resp_limits_valid(&good));
    struct resp_limits bad[8];
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        bad[i] = good;
    bad[0].bulk_length_max = 0;
    bad[1].bulk_length_max = RESP_BULK_LENGTH_CEILING + 1;
    bad[2].argument_count_max = 0;
    bad[3].argument_count_max = (uint32_t)RESP_ARGUMENT_COUNT_CEILING + 1;
    bad[4].inline_length_max = RESP_INLINE_LENGTH_FLOOR - 1;
    bad[5].inline_length_max = RESP_INLINE_LENGTH_CEILING + 1;
    bad[6].command_length_max = good.inline_length_max + 1;
    bad[7].command_length_max = (uint32_t)RESP_COMMAND_LENGTH_CEILING + 1;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(resp_limits_valid(&bad[i]));
}

int main(void) {
    struct CMUnitTest tests[256] = {0};
    size_t count = 0;
    for (size_t i = 0; i < resp_case_count; i++) {
        ASSERT(count < ARRAY_COUNT(tests));
        tests[count++] = (struct CMUnitTest){
            .name = resp_cases[i].name,
            .test_func = case_gives_its_transcript_at_every_split,
            .initial_state = (void *)(uintptr_t)&resp_cases[i],
        };
    }
    const struct CMUnitTest others[] = {
        cmocka_unit_test(any_split_of_random_streams_gives_what_the_twin_gives),
        cmocka_unit_test(what_hiredis_formats_is_what_we_read_and_what_we_format),
        cmocka_unit_test(strings_are_formatted_by_their_length),
        cmocka_unit_test(needed_bytes_follow_what_is_announced),
        cmocka_unit_test(a_whole_command_beyond_its_limit_is_refused_when_announced),
        cmocka_unit_test(limits_out_of_range_are_not_valid),
    };
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        ASSERT(count < ARRAY_COUNT(tests));
        tests[count++] = others[i];
    }
    return _cmocka_run_group_tests("resp_parse", tests, count, NULL, NULL);
}
