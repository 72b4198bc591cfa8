/* Errors by kind: named by their first word, bounded, printable, mergeable. */
#include <stdio.h>
#include <string.h>

#include "bench/error_tally.h"

#include "tests/cmocka_wrapper.h"

static struct error_tally tally, other;

static void add_reply(const char *text) {
    error_tally_add_reply(&tally, text, strlen(text));
}

static void a_kind_is_the_first_word_and_keeps_its_first_example(void **state) {
    (void)state;
    error_tally_reset(&tally);
    add_reply("ERR first");
    add_reply("OOM no memory");
    add_reply("ERR second");
    add_reply("lower case");
    assert_int_equal(tally.count, 4);
    assert_int_equal(tally.kinds_used, 3);
    assert_string_equal(tally.kinds[0].name, "ERR");
    assert_string_equal(tally.kinds[0].example, "ERR first");
    assert_int_equal(tally.kinds[0].count, 2);
    assert_string_equal(tally.kinds[1].name, "OOM");
    assert_string_equal(tally.kinds[2].name, "unnamed");
}

static void control_bytes_of_the_server_do_not_reach_a_terminal(void **state) {
    (void)state;
    error_tally_reset(&tally);
    add_reply("ERR \x1b[2J\xff\"quoted\"");
    assert_string_equal(tally.kinds[0].example, "ERR ?[2J?\"quoted\"");
}

static void kinds_beyond_the_rows_are_counted_together(void **state) {
    (void)state;
    error_tally_reset(&tally);
    for (int i = 0; i < 26; i++) {
        char text[] = {(char)('A' + i), 0};
        add_reply(text);
    }
    assert_int_equal(tally.count, 26);
    assert_int_equal(tally.kinds_used, ERROR_TALLY_KIND_COUNT_MAX);
    assert_string_equal(tally.kinds[ERROR_TALLY_KIND_COUNT_MAX - 1].name, "other");
    assert_int_equal(tally.kinds[ERROR_TALLY_KIND_COUNT_MAX - 1].count,
                     26 - (ERROR_TALLY_KIND_COUNT_MAX - 1));
}

static void merging_adds_counts_and_kinds(void **state) {
    (void)state;
    error_tally_reset(&other);
    error_tally_add(&other, "ERR", 5, "ERR there", 9);
    error_tally_add(&other, "connection lost", 2, "", 0);
    error_tally_add(&other, "never", 0, "", 0);
    error_tally_reset(&tally);
    add_reply("ERR here");
    error_tally_merge(&tally, &other);
    assert_int_equal(tally.count, 8);
    assert_int_equal(tally.kinds_used, 2);
    assert_int_equal(tally.kinds[0].count, 6);
    assert_string_equal(tally.kinds[0].example, "ERR here");
    assert_int_equal(tally.kinds[1].count, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kind_is_the_first_word_and_keeps_its_first_example),
        cmocka_unit_test(control_bytes_of_the_server_do_not_reach_a_terminal),
        cmocka_unit_test(kinds_beyond_the_rows_are_counted_together),
        cmocka_unit_test(merging_adds_counts_and_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
