/* Linear time, by counting the bytes that the parser looks at instead of by a clock. This test is
 * built with a resp_parse.c of its own, compiled with its counter (RESP_PARSE_COUNT_EXAMINED). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/cmocka_wrapper.h"
#include "wire/resp_format.h"
#include "wire/resp_parse.h"

/* How a stream is offered, and what it cost. */
struct cost {
    uint64_t examined_bytes;
    uint64_t calls;
    uint32_t argument_count;
};

/* Feed one command in pieces through a table that grows by doubling. */
static struct cost feed(uint8_t *stream, uint32_t length, uint32_t piece_bytes) {
    struct resp_limits limits;
    resp_limits_default(&limits);
    struct resp_parser parser = {0};
    struct resp_command command = {0};
    struct cost cost = {0};
    uint32_t capacity = 8;
    struct resp_argument *arguments = malloc(capacity * sizeof(*arguments));
    const uint64_t before = resp_parse_bytes_examined;
    uint32_t arrived = 0;
    enum resp_result result = RESP_MORE;
    while (result == RESP_MORE || result == RESP_ARGUMENTS_FULL) {
        if (result == RESP_ARGUMENTS_FULL) {
            capacity *= 2;
            arguments = realloc(arguments, capacity * sizeof(*arguments));
            assert_non_null(arguments);
        } else {
            assert_true(arrived < length);
            arrived = length - arrived < piece_bytes ? length : arrived + piece_bytes;
        }
        result = resp_parse(&parser, &limits, true, stream, arrived, arguments, capacity, &command);
        cost.calls++;
    }
    if (result == RESP_COMMAND)
        assert_int_equal(command.consumed_bytes, length);
    cost.argument_count = command.argument_count;
    cost.examined_bytes = resp_parse_bytes_examined - before;
    free(arguments);
    return cost;
}

/* A million arguments of 8 bytes: nearly all of the stream is headers, so all of it is looked
 * at. */
static void a_million_arguments_in_small_pieces_cost_what_they_cost_in_one(void **state) {
    (void)state;
    const uint32_t count = 1024 * 1024;
    const size_t capacity = 32 + (size_t)count * 16;
    uint8_t *stream = malloc(capacity);
    assert_non_null(stream);
    size_t length = resp_format_array(stream, capacity, count);
    for (uint32_t i = 0; i < count; i++)
        length += resp_format_bulk(stream + length, capacity - length, "argument", 8);

    static const uint32_t pieces[] = {UINT32_MAX / 4, 16384, 1448, 64, 7, 1};
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        const struct cost cost = feed(stream, (uint32_t)length, pieces[i]);
        print_message("pieces of %u: %.2f bytes examined for each byte, %llu calls\n", pieces[i],
                      (double)cost.examined_bytes / (double)length, (unsigned long long)cost.calls);
        assert_int_equal(cost.argument_count, count);
        assert_true(cost.examined_bytes >= count); /* the counter counts */
        assert_true(cost.examined_bytes <= 4 * length);
    }
    free(stream);
}

static void a_16_mib_bulk_is_never_looked_at(void **state) {
    (void)state;
    const uint32_t value_bytes = 16 * 1024 * 1024;
    uint8_t *stream = malloc(value_bytes + 64);
    uint8_t *value = calloc(1, value_bytes);
    assert_true(stream != NULL && value != NULL);
    size_t length = resp_format_array(stream, 64, 1);
    length += resp_format_bulk(stream + length, value_bytes + 32, value, value_bytes);
    static const uint32_t pieces[] = {UINT32_MAX / 4, 16384, 1000, 1};
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        const struct cost cost = feed(stream, (uint32_t)length, pieces[i]);
        assert_int_equal(cost.argument_count, 1);
        assert_true(cost.examined_bytes > 10 && cost.examined_bytes <= 128);
    }
    free(stream);
    free(value);
}

/* Lines are the worst case: nothing tells how long they will be. */
static void a_long_line_is_searched_once(void **state) {
    (void)state;
    const uint32_t length = 64 * 1024;
    uint8_t *stream = malloc(length);
    assert_non_null(stream);
    static const char first[] = {'a', '*'};
    for (size_t i = 0; i < ARRAY_COUNT(first); i++) {
        memset(stream, '1', length);
        stream[0] = (uint8_t)first[i];
        memcpy(stream + length - 2, "\r\n", 2);
        const struct cost cost = feed(stream, length, 1);
        assert_true(cost.calls == length);
        assert_true(cost.examined_bytes >= length && cost.examined_bytes <= 4 * length);
    }
    free(stream);
}

/* As many words as a line can hold, each in a table that is too small for it. */
static void words_are_split_once(void **state) {
    (void)state;
    const uint32_t length = 64 * 1024;
    uint8_t *stream = malloc(length);
    assert_non_null(stream);
    for (uint32_t i = 0; i < length; i++)
        stream[i] = i % 2 == 0 ? 'w' : ' ';
    stream[length - 1] = '\n';
    const struct cost cost = feed(stream, length, 16384);
    assert_int_equal(cost.argument_count, length / 2);
    assert_true(cost.examined_bytes >= length && cost.examined_bytes <= 4 * length);
    free(stream);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_arguments_in_small_pieces_cost_what_they_cost_in_one),
        cmocka_unit_test(a_16_mib_bulk_is_never_looked_at),
        cmocka_unit_test(a_long_line_is_searched_once),
        cmocka_unit_test(words_are_split_once),
    };
    return cmocka_run_group_tests_name("resp_linear", tests, NULL, NULL);
}
