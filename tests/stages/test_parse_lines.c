/* Whose batch is parsed next: stages/parse_lines.h. */

#include "stages/parse_lines.h"

#include "stages/batch.h"
#include "tests/cmocka_wrapper.h"

enum {
    CONNECTIONS = 300,
    BATCHES = 1024,
    POLITE = 299, /* the connection that asks for little */
    LONG_BYTES = BATCH_BUFFER_BYTES,
    SHORT_BYTES = 40,
};

static int lines_make(void **state) {
    *state = parse_lines_create(CONNECTIONS, BATCHES);
    return *state == NULL;
}

static int lines_free(void **state) {
    parse_lines_destroy(*state);
    return 0;
}

/* Takes a batch of this connection, which leaves nothing. */
static void assert_taken(struct parse_lines *lines, uint32_t batch, uint32_t slot) {
    assert_int_equal(parse_lines_peek(lines), batch);
    assert_int_equal(parse_lines_take(lines), batch);
    parse_lines_done(lines, slot, 0);
}

static void nothing_is_taken_of_empty_lines(void **state) {
    struct parse_lines *lines = *state;
    assert_int_equal(parse_lines_peek(lines), BATCH_NO_BLOCK);
    assert_int_equal(parse_lines_take(lines), BATCH_NO_BLOCK);
}

static void batches_of_a_connection_keep_their_order_whatever_they_hold(void **state) {
    struct parse_lines *lines = *state;
    static const uint32_t lengths[] = {LONG_BYTES, SHORT_BYTES, LONG_BYTES, 0, SHORT_BYTES};
    const uint32_t count = sizeof(lengths) / sizeof(lengths[0]);
    for (uint32_t i = 0; i < count; i++)
        parse_lines_add(lines, 5, i, lengths[i], 0);
    for (uint32_t i = 0; i < count; i++)
        assert_taken(lines, i, 5);
    assert_int_equal(parse_lines_peek(lines), BATCH_NO_BLOCK);
}

static void who_asks_for_little_goes_before_two_hundred_deep_pipelines(void **state) {
    struct parse_lines *lines = *state;
    for (uint32_t slot = 0; slot < 200; slot++)
        parse_lines_add(lines, slot, slot, LONG_BYTES, 0);
    assert_taken(lines, 0, 0);
    parse_lines_add(lines, POLITE, 500, SHORT_BYTES, 0);
    assert_taken(lines, 500, POLITE);
    assert_taken(lines, 1, 1);
}

static void deep_pipelines_take_turns_one_batch_each(void **state) {
    struct parse_lines *lines = *state;
    for (uint32_t i = 0; i < 3; i++)
        parse_lines_add(lines, 0, i, LONG_BYTES, 0);
    parse_lines_add(lines, 1, 10, LONG_BYTES, 0);
    assert_taken(lines, 0, 0);
    assert_taken(lines, 10, 1);
    assert_taken(lines, 1, 0);
    assert_taken(lines, 2, 0);
}

static void deep_pipelines_are_not_starved_by_those_who_ask_for_little(void **state) {
    struct parse_lines *lines = *state;
    parse_lines_add(lines, 0, 0, LONG_BYTES, 0);
    uint32_t passed = 0;
    /* There is always another one that asks for little. */
    while (parse_lines_add(lines, POLITE, 1 + passed, SHORT_BYTES, 0),
           parse_lines_peek(lines) != 0) {
        assert_taken(lines, 1 + passed, POLITE);
        passed++;
        assert_true(passed < BATCHES - 2);
    }
    assert_int_equal(passed, (PARSE_PASS_BYTES + SHORT_BYTES + PARSE_BATCH_COST_BYTES - 1) /
                                 (SHORT_BYTES + PARSE_BATCH_COST_BYTES));
    /* And the next long one waits as long again. */
    parse_lines_add(lines, 1, BATCHES - 1, LONG_BYTES, 0);
    assert_taken(lines, 0, 0);
    assert_taken(lines, 1 + passed, POLITE);
}

static void what_parse_has_left_counts_for_the_next_batch(void **state) {
    struct parse_lines *lines = *state;
    parse_lines_add(lines, 0, 0, LONG_BYTES, 0);
    parse_lines_add(lines, 0, 1, 0, 0); /* comes round again for what is left of the first */
    assert_int_equal(parse_lines_take(lines), 0);
    parse_lines_done(lines, 0, PARSE_SHORT_BYTES + 1);
    parse_lines_add(lines, POLITE, 2, SHORT_BYTES, 0);
    assert_taken(lines, 2, POLITE);
    assert_taken(lines, 1, 0);
    /* So it does when the connection had no batch here meanwhile. */
    parse_lines_add(lines, 0, 3, 0, PARSE_SHORT_BYTES + 1);
    parse_lines_add(lines, POLITE, 4, SHORT_BYTES, 0);
    assert_taken(lines, 4, POLITE);
    assert_taken(lines, 3, 0);
}

static void what_comes_while_a_batch_is_under_way_has_its_turn_after_it(void **state) {
    struct parse_lines *lines = *state;
    parse_lines_add(lines, 0, 0, SHORT_BYTES, 0);
    assert_int_equal(parse_lines_take(lines), 0);
    parse_lines_add(lines, 0, 1, SHORT_BYTES, 0);
    assert_int_equal(parse_lines_peek(lines), BATCH_NO_BLOCK);
    parse_lines_done(lines, 0, 0);
    assert_taken(lines, 1, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define LINES_TEST(name) cmocka_unit_test_setup_teardown(name, lines_make, lines_free)
        LINES_TEST(nothing_is_taken_of_empty_lines),
        LINES_TEST(batches_of_a_connection_keep_their_order_whatever_they_hold),
        LINES_TEST(who_asks_for_little_goes_before_two_hundred_deep_pipelines),
        LINES_TEST(deep_pipelines_take_turns_one_batch_each),
        LINES_TEST(deep_pipelines_are_not_starved_by_those_who_ask_for_little),
        LINES_TEST(what_parse_has_left_counts_for_the_next_batch),
        LINES_TEST(what_comes_while_a_batch_is_under_way_has_its_turn_after_it),
#undef LINES_TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
