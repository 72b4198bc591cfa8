/* The search for an order, key by key: by hand, against all permutations, and at its bounds. */

#include <stdio.h>
#include <string.h>

#include "sim/linearizable.h"
#include "tests/cmocka_wrapper.h"
#include "tests/sim/history_brute.h"
#include "tests/sim/history_by_hand.h"
#include "tests/sim/history_maker.h"

static enum history_verdict judge(const struct by_hand_row *rows, size_t count, const char *text) {
    struct by_hand made;
    by_hand_begin(&made);
    by_hand_rows(&made, rows, count);
    const enum history_verdict verdict = by_hand_linearizable(&made, text);
    by_hand_end(&made);
    return verdict;
}

/* ---- Wrong ----------------------------------------------------------------------------------- */

static void a_read_after_a_write_that_misses_it_is_stale(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {
        {1, 10, 20, "SET x 1", "+OK"}, {1, 30, 40, "SET x 2", "+OK"}, {2, 50, 60, "GET x", "$1"}};
    WRONG(rows, "then the key holds $2, and none of these");
}

static void a_read_of_an_empty_store_after_a_write_is_stale(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "SET x 1", "+OK"}, {2, 21, 30, "GET x", "nil"}};
    WRONG(rows, "(the reply here: $1)");
}

static void two_increments_with_one_number_lose_an_update(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 50, "INCR n", ":1"}, {2, 20, 40, "INCR n", ":1"}};
    WRONG(rows, "(the reply here: :2)");
}

static void a_value_that_nobody_wrote_cannot_be_read(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 50, "SET x 1", "+OK"}, {2, 20, 40, "GET x", "$7"}};
    WRONG(rows, "key x: no order of its operations");
}

static void a_value_cannot_be_read_before_it_is_written(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "GET x", "$1"}, {2, 30, 40, "SET x 1", "+OK"}};
    WRONG(rows, "has 0 of 2 operations\n");
}

static void an_unknown_write_that_was_seen_does_not_go_away(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "SET x 1", "+OK"},
                                       {2, 30, N, "SET x 2", "?"},
                                       {3, 40, 50, "GET x", "$2"},
                                       {3, 60, 70, "GET x", "$1"}};
    WRONG(rows, "then the key holds $2");
}

static void an_unknown_write_happens_at_most_once(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, N, "INCR n", "?"}, {2, 20, 30, "GET n", "$2"}};
    WRONG(rows, NULL);
}

static void a_refused_write_is_never_seen(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "SET x 1", "!"}, {2, 30, 40, "GET x", "$1"}};
    WRONG(rows, NULL);
}

static void two_readers_agree_on_the_order_of_two_writes(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 100, "SET x 1", "+OK"},
                                       {2, 10, 100, "SET x 2", "+OK"},
                                       {3, 20, 30, "GET x", "$1"},
                                       {3, 40, 50, "GET x", "$2"},
                                       {4, 60, 70, "GET x", "$1"}};
    WRONG(rows, NULL);
}

/* Its bytes are none, so that the next value is built at the same address. */
static void a_write_after_an_empty_value_changes_it(void **state) {
    (void)state;
    const struct by_hand_row lost[] = {
        {1, 10, 20, "SET x ", "+OK"}, {1, 30, 40, "SET x 1", "+OK"}, {2, 50, 60, "GET x", "$"}};
    WRONG(lost, "then the key holds $1");
    const struct by_hand_row seen[] = {
        {1, 10, 20, "SET x ", "+OK"}, {1, 30, 40, "APPEND x ab", ":2"}, {2, 50, 60, "GET x", "$ab"},
        {1, 70, 80, "SET x ", "+OK"}, {1, 90, 95, "SET x ", "+OK"},     {2, 97, 99, "GET x", "$"}};
    RIGHT(seen);
}

static void a_connection_sees_its_own_pipelined_write(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 50, "SET x 1", "+OK"}, {1, 11, 50, "GET x", "nil"}};
    WRONG(rows, NULL);
}

static void the_second_of_two_set_nx_fails(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "SET x 1 NX", "+OK"},
                                       {2, 10, 20, "SET x 2 NX", "+OK"}};
    WRONG(rows, "(the reply here: null)");
}

static void a_part_of_mget_may_not_be_stale(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "MSET x 1 y 1", "+OK"},
                                       {2, 30, 40, "MGET x y", "[1 nil]"}};
    WRONG(rows, "key y");
}

static void a_flushed_key_stays_away(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {
        {1, 10, 20, "SET x 1", "+OK"}, {1, 30, 40, "FLUSHALL", "+OK"}, {2, 50, 60, "GET x", "$1"}};
    WRONG(rows, NULL);
}

static void a_deletion_that_says_0_left_the_key_there(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "SET x 1", "+OK"}, {2, 30, 40, "DEL x", ":0"}};
    WRONG(rows, NULL);
}

static void a_reply_of_another_type_or_form_fits_nothing(void **state) {
    (void)state;
    const struct by_hand_row type[] = {{1, 10, 20, "GET x", ":0"}};
    const struct by_hand_row form[] = {{1, 10, 20, "STRLEN x", ":zero"}};
    const struct by_hand_row more[] = {{1, 10, 20, "GET x", "$-1\r\n$-1"}};
    const struct by_hand_row array[] = {{1, 10, 20, "MGET x", "*1\r\n$-1\r\n$-1"}};
    WRONG(type, NULL);
    WRONG(form, NULL);
    WRONG(more, NULL);
    WRONG(array, NULL);
}

/* ---- Right ----------------------------------------------------------------------------------- */

static void a_read_during_a_write_may_see_either_value(void **state) {
    (void)state;
    const struct by_hand_row before[] = {{1, 10, 50, "SET x 1", "+OK"},
                                         {2, 20, 30, "GET x", "nil"}};
    const struct by_hand_row after[] = {{1, 10, 50, "SET x 1", "+OK"}, {2, 20, 30, "GET x", "$1"}};
    const struct by_hand_row touching[] = {{1, 10, 20, "SET x 1", "+OK"},
                                           {2, 20, 30, "GET x", "nil"}};
    RIGHT(before);
    RIGHT(after);
    RIGHT(touching);
}

static void an_unknown_write_may_happen_late_or_never(void **state) {
    (void)state;
    const struct by_hand_row never[] = {{1, 10, N, "SET x 1", "?"}, {2, 20, 30, "GET x", "nil"}};
    const struct by_hand_row late[] = {{1, 10, N, "SET x 1", "?"},
                                       {2, 20, 30, "GET x", "nil"},
                                       {2, 40, 50, "SET x 2", "+OK"},
                                       {2, 60, 70, "GET x", "$1"}};
    RIGHT(never);
    RIGHT(late);
}

static void an_unknown_write_is_not_held_up_by_its_twin(void **state) {
    (void)state;
    /* The first INCR stands behind the SET of its connection; the second need not. */
    const struct by_hand_row rows[] = {{1, 10, 100, "SET n 5", "+OK"},
                                       {1, 11, N, "INCR n", "?"},
                                       {2, 12, N, "INCR n", "?"},
                                       {3, 20, 30, "GET n", "$1"},
                                       {3, 110, 120, "GET n", "$5"}};
    RIGHT(rows);
}

static void unanswered_and_stale_reads_say_nothing(void **state) {
    (void)state;
    struct by_hand made;
    const struct by_hand_row rows[] = {{1, 10, 20, "SET x 1", "+OK"}, {2, 30, N, "GET x", "?"}};
    RIGHT(rows);
    by_hand_begin(&made);
    (void)by_hand_add(&made, 1, 10, 20, "SET x 1", "+OK");
    made.history.operations[by_hand_add(&made, 2, 30, 40, "GET x", "nil")].stale = true;
    assert_int_equal(by_hand_linearizable(&made, NULL), HISTORY_RIGHT);
    by_hand_end(&made);
}

static void every_command_has_the_reply_of_its_place(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {
        {1, 1, 2, "TYPE x", "+none"},
        {1, 3, 4, "set x ab", "+OK"},
        {1, 5, 6, "TYPE x", "+string"},
        {1, 7, 8, "APPEND x c", ":3"},
        {1, 9, 10, "STRLEN x", ":3"},
        {1, 11, 12, "INCR x", "-ERR value is not an integer or out of range"},
        {1, 13, 14, "SET x 7 XX GET", "$abc"},
        {1, 15, 16, "INCRBY x 35", ":42"},
        {1, 17, 18, "DECR x", ":41"},
        {1, 19, 20, "SET x 1 NX", "nil"},
        {1, 21, 22, "EXISTS x", ":1"},
        {1, 23, 24, "MSET x 1 y 2 x 3", "+OK"},
        {1, 25, 26, "MGET x y z", "[3 2 nil]"},
        {1, 27, 28, "DEL x y z", ":2"},
        {1, 29, 30, "EXISTS x", ":0"},
        {1, 31, 32, "EXISTS x y", ":77"},
        {1, 33, 34, "INCRBY n 9223372036854775807", ":9223372036854775807"},
        {1, 35, 36, "INCR n", "-ERR increment or decrement would overflow"},
        {1, 37, 38, "INCRBY n nonsense", "-ERR value is not an integer or out of range"},
        {1, 39, 40, "SET y", "-ERR wrong number of arguments for 'set' command"},
        {1, 41, 42, "APPEND y ", ":0"},
        {1, 43, 44, "GET y", "$"},
        {1, 45, 46, "SET y 1 XX GET", "$"},
        {1, 47, 48, "FLUSHDB", "+OK"},
        {1, 49, 50, "MGET x y n", "[nil nil nil]"},
    };
    RIGHT(rows);
}

/* ---- Undecided ------------------------------------------------------------------------------- */

static void a_key_with_a_deadline_is_not_judged_and_that_is_said(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "SET x 1 PX 5", "+OK"},
                                       {2, 30, 40, "GET x", "nil"},
                                       {2, 50, 60, "SET y 1", "+OK"}};
    const struct by_hand_row wrong[] = {{1, 10, 20, "SET x 1 PX 5", "+OK"},
                                        {2, 30, 40, "GET y", "$1"}};
    UNDECIDED(rows, "key x: not judged");
    WRONG(wrong, "key y: no order");
}

static void a_key_that_is_given_anothers_value_is_not_judged(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "RENAME x y", "+OK"},
                                       {2, 30, 40, "GET y", "$1"},
                                       {2, 50, 60, "SET z 1", "+OK"}};
    UNDECIDED(rows, "key x: not judged");
    UNDECIDED(rows, "key y: not judged");
}

static void a_command_that_is_not_known_decides_nothing(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "PFMERGE x y", "+OK"},
                                       {2, 30, 40, "GET x", "nil"}};
    UNDECIDED(rows, "1 commands are not known");
}

/* Many unknown writes, and a read that none explains: all orders would have to be tried. */
static void hard_history(struct history *history) {
    char text[4096];
    size_t length = 0;
    for (uint32_t i = 0; i < 24; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length,
                                   "client 1 connection %u #1 [1, never] unknown: APPEND x %u\n",
                                   i + 1, i);
    length += (size_t)snprintf(text + length, sizeof(text) - length,
                               "client 1 connection 99 #1 [2, 3] ok: GET x -> $1\\r\\nz\\r\\n\n");
    struct error_text error = {{0}};
    assert_int_equal(history_create(history, 64, 1 << 16), 0);
    assert_int_equal(history_load(history, text, length, &error), 0);
}

static void a_bound_that_is_reached_is_undecided_and_never_ok(void **state) {
    (void)state;
    static const char *const bounds[] = {"more steps", "more memory of what was reached",
                                         "more values", "more bytes of values"};
    for (size_t i = 0; i < 4; i++) {
        struct history history;
        struct linearizable_report report;
        struct linearizable_options options = linearizable_options_default();
        options.steps_max = i == 0 ? 1000 : UINT64_MAX;
        options.memory_slots = i == 1 ? 1024 : 1 << 16;
        options.values_max = i == 2 ? 100 : 1 << 16;
        options.value_bytes = i == 3 ? 1000 : 1 << 20;
        hard_history(&history);
        assert_int_equal(linearizable_check(&history, &options, &report), 0);
        assert_int_equal(report.verdict, HISTORY_UNDECIDED);
        assert_int_equal(report.keys_undecided, 1);
        assert_int_equal(report.keys_right + report.keys_wrong + report.keys_unmodelled, 0);
        assert_non_null(memmem(report.text.data, report.text.length, bounds[i], strlen(bounds[i])));
        kv_model_text_free(&report.text);
        history_destroy(&history);
    }
}

static void what_the_log_decided_makes_a_hard_history_easy(void **state) {
    (void)state;
    struct history history;
    struct linearizable_report report;
    struct linearizable_options options = linearizable_options_default();
    uint8_t never[64] = {0};
    memset(never, 1, 24);
    options.never_applied = never;
    hard_history(&history);
    assert_int_equal(linearizable_check(&history, &options, &report), 0);
    assert_int_equal(report.verdict, HISTORY_WRONG);
    assert_in_range(report.steps, 1, 10);
    kv_model_text_free(&report.text);
    history_destroy(&history);
}

static void options_out_of_range_are_refused(void **state) {
    (void)state;
    struct by_hand made;
    struct linearizable_report report;
    by_hand_begin(&made);
    struct linearizable_options options = linearizable_options_default();
    options.memory_slots = 1000;
    assert_int_equal(linearizable_check(&made.history, &options, &report), WEIR_EINVAL);
    options = linearizable_options_default();
    options.values_max = 0;
    assert_int_equal(linearizable_check(&made.history, &options, &report), WEIR_EINVAL);
    options = linearizable_options_default();
    options.steps_max = 0;
    assert_int_equal(linearizable_check(&made.history, &options, &report), WEIR_EINVAL);
    by_hand_end(&made);
}

/* ---- Against all permutations ---------------------------------------------------------------- */

/* Up to 7 operations on one key of each kind; in half of the histories one reply is that of
 * another operation with the same name. */
static void make_small(struct made *made, uint64_t seed) {
    struct random random;
    random_seed(&random, seed);
    const struct maker_options options = {
        .seed = seed,
        .operations = 2 + (uint32_t)random_below(&random, 6),
        .connections = 1 + (uint32_t)random_below(&random, 4),
        .keys = 1,
        .kind = (uint32_t)random_below(&random, 4),
        .unknown_per_mille = 200,
        .refused_per_mille = 50,
        .gap_ns = 1 + (uint32_t)random_below(&random, 8),
        .span_ns = (uint32_t)random_below(&random, 12),
        .single_key = true,
        .few_values = random_chance(&random, 1, 2),
    };
    made_create(made, &options);
    made_execute(made);
    for (uint32_t i = 0; i < made->count && random_chance(&random, 2, 3); i++) {
        struct made_operation *one = &made->operations[random_below(&random, made->count)];
        struct made_operation *other = &made->operations[random_below(&random, made->count)];
        if (one == other || one->outcome != HISTORY_OK || other->outcome != HISTORY_OK ||
            strcmp(one->words[1], other->words[1]) != 0 || one->reply.data[0] == '+' ||
            one->reply.data[0] != other->reply.data[0])
            continue;
        one->reply.length = 0;
        kv_model_text_append(&one->reply, other->reply.data, other->reply.length);
    }
    made_record(made, true);
}

static void the_search_and_all_permutations_say_the_same(void **state) {
    (void)state;
    enum { HISTORIES = WEIR_SANITIZER_BUILD ? 15000 : 100000, VERDICT_MIN = HISTORIES / 10 };
    uint32_t right = 0;
    uint32_t wrong = 0;
    struct linearizable_options options = linearizable_options_default();
    options.memory_slots = 1 << 12;
    options.values_max = 1 << 8;
    options.value_bytes = 1 << 14;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        struct made made;
        struct linearizable_report report;
        make_small(&made, seed);
        assert_int_equal(linearizable_check(&made.history, &options, &report), 0);
        const bool expected = brute_check(&made.history, NULL, 0);
        if (report.verdict != (expected ? HISTORY_RIGHT : HISTORY_WRONG)) {
            struct kv_model_text text = {0};
            history_dump(&text, &made.history);
            print_message("seed %u: %s, all permutations say %s\n%.*s%.*s", (unsigned)seed,
                          history_verdict_name(report.verdict), expected ? "ok" : "violated",
                          (int)text.length, text.data, (int)report.text.length, report.text.data);
            fail();
        }
        right += expected;
        wrong += !expected;
        kv_model_text_free(&report.text);
        made_destroy(&made);
    }
    print_message("%u histories: %u linearizable, %u not\n", HISTORIES, right, wrong);
    assert_in_range(right, VERDICT_MIN, HISTORIES);
    assert_in_range(wrong, VERDICT_MIN, HISTORIES);
}

static void what_a_transaction_did_to_each_key_is_seen(void **state) {
    (void)state;
    const struct by_hand_row lost[] = {
        {1, 10, 20, "EXEC 2 INCR x 3 HGET h f 2 INCR y", "[:1 nil :1]"},
        {2, 30, 40, "GET y", "nil"}};
    const struct by_hand_row wrong[] = {{1, 10, 20, "EXEC 2 INCR x 2 INCR y", "[:1 :2]"}};
    const struct by_hand_row right[] = {{1, 10, 20, "EXEC 2 WATCH x 2 INCR x 3 MGET y x 2 INCR y",
                                         "*3\r\n:1\r\n*2\r\n$-1\r\n$1\r\n1\r\n:1"},
                                        {1, 21, 22, "EXEC 2 WATCH x 2 INCR x", "*-1"},
                                        {2, 23, N, "EXEC 2 INCR y 2 INCR x", "?"},
                                        {2, 30, 40, "GET y", "$2"}};
    WRONG(lost, "no order");
    WRONG(wrong, "no order");
    RIGHT(right);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_after_a_write_that_misses_it_is_stale),
        cmocka_unit_test(a_read_of_an_empty_store_after_a_write_is_stale),
        cmocka_unit_test(two_increments_with_one_number_lose_an_update),
        cmocka_unit_test(a_value_that_nobody_wrote_cannot_be_read),
        cmocka_unit_test(a_value_cannot_be_read_before_it_is_written),
        cmocka_unit_test(an_unknown_write_that_was_seen_does_not_go_away),
        cmocka_unit_test(an_unknown_write_happens_at_most_once),
        cmocka_unit_test(a_refused_write_is_never_seen),
        cmocka_unit_test(two_readers_agree_on_the_order_of_two_writes),
        cmocka_unit_test(a_write_after_an_empty_value_changes_it),
        cmocka_unit_test(a_connection_sees_its_own_pipelined_write),
        cmocka_unit_test(the_second_of_two_set_nx_fails),
        cmocka_unit_test(what_a_transaction_did_to_each_key_is_seen),
        cmocka_unit_test(a_part_of_mget_may_not_be_stale),
        cmocka_unit_test(a_flushed_key_stays_away),
        cmocka_unit_test(a_deletion_that_says_0_left_the_key_there),
        cmocka_unit_test(a_reply_of_another_type_or_form_fits_nothing),
        cmocka_unit_test(a_read_during_a_write_may_see_either_value),
        cmocka_unit_test(an_unknown_write_may_happen_late_or_never),
        cmocka_unit_test(an_unknown_write_is_not_held_up_by_its_twin),
        cmocka_unit_test(unanswered_and_stale_reads_say_nothing),
        cmocka_unit_test(every_command_has_the_reply_of_its_place),
        cmocka_unit_test(a_key_with_a_deadline_is_not_judged_and_that_is_said),
        cmocka_unit_test(a_key_that_is_given_anothers_value_is_not_judged),
        cmocka_unit_test(a_command_that_is_not_known_decides_nothing),
        cmocka_unit_test(a_bound_that_is_reached_is_undecided_and_never_ok),
        cmocka_unit_test(what_the_log_decided_makes_a_hard_history_easy),
        cmocka_unit_test(options_out_of_range_are_refused),
        cmocka_unit_test(the_search_and_all_permutations_say_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
