/* An order that somebody suggests: it spares the search, and is never believed. */

#include <string.h>

#include "base/random.h"
#include "sim/linearizable.h"
#include "tests/cmocka_wrapper.h"
#include "tests/sim/history_brute.h"
#include "tests/sim/history_by_hand.h"
#include "tests/sim/history_maker.h"

/* The verdict on the rows with these places; *explained: keys that needed no search. */
static enum history_verdict judge_suggested(const struct by_hand_row *rows, size_t count,
                                            const uint32_t *places, uint32_t *explained) {
    struct by_hand made;
    struct linearizable_report report;
    struct linearizable_options options = linearizable_options_default();
    by_hand_begin(&made);
    by_hand_rows(&made, rows, count);
    options.places = places;
    assert_int_equal(linearizable_check(&made.history, &options, &report), 0);
    const enum history_verdict verdict = report.verdict;
    *explained = report.keys_explained;
    assert_true(report.keys_explained <= report.keys_right);
    assert_int_equal(report.steps == 0, report.keys_explained == report.keys);
    kv_model_text_free(&report.text);
    by_hand_end(&made);
    return verdict;
}

#define SUGGESTED(rows, verdict, keys, ...)                                                \
    do {                                                                                   \
        const uint32_t places[COUNT(rows)] = {__VA_ARGS__};                                \
        uint32_t explained;                                                                \
        assert_int_equal(judge_suggested(rows, COUNT(rows), places, &explained), verdict); \
        assert_int_equal(explained, keys);                                                 \
    } while (0)

static void an_order_against_time_is_not_believed(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {
        {1, 10, 20, "SET x 1", "+OK"}, {1, 30, 40, "SET x 2", "+OK"}, {2, 50, 60, "GET x", "$1"}};
    SUGGESTED(rows, HISTORY_WRONG, 0, 2, 1, 3);
    SUGGESTED(rows, HISTORY_WRONG, 0, 1, 3, 2);
}

static void an_order_against_that_of_a_connection_is_not_believed(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 50, "SET x 1", "+OK"}, {1, 11, 50, "GET x", "nil"}};
    SUGGESTED(rows, HISTORY_WRONG, 0, 2, 1);
}

static void an_order_in_which_replies_do_not_fit_explains_nothing(void **state) {
    (void)state;
    const struct by_hand_row wrong[] = {{1, 10, 50, "INCR n", ":1"}, {2, 20, 40, "INCR n", ":1"}};
    const struct by_hand_row right[] = {{1, 10, 50, "SET x 1", "+OK"}, {2, 20, 40, "GET x", "nil"}};
    SUGGESTED(wrong, HISTORY_WRONG, 0, 1, 2);
    SUGGESTED(right, HISTORY_RIGHT, 0, 1, 2);
}

static void what_happened_has_a_place_of_its_own(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {{1, 10, 20, "SET x 1", "+OK"},
                                       {2, 10, 20, "SET x 2", "+OK"}};
    const struct by_hand_row lost[] = {{1, 10, 20, "SET x 1", "+OK"}, {2, 30, 40, "GET x", "nil"}};
    SUGGESTED(rows, HISTORY_RIGHT, 0, 1, 1);
    SUGGESTED(lost, HISTORY_WRONG, 0, 0, 1);
}

static void an_unknown_write_without_a_place_was_not_seen(void **state) {
    (void)state;
    const struct by_hand_row seen[] = {{1, 10, N, "SET x 1", "?"}, {2, 30, 40, "GET x", "$1"}};
    const struct by_hand_row gone[] = {
        {1, 10, N, "SET x 1", "?"}, {2, 30, 40, "GET x", "$1"}, {2, 50, 60, "GET x", "nil"}};
    SUGGESTED(seen, HISTORY_RIGHT, 0, 0, 1);
    SUGGESTED(seen, HISTORY_RIGHT, 1, 1, 2);
    SUGGESTED(gone, HISTORY_WRONG, 0, 0, 1, 2);
    SUGGESTED(gone, HISTORY_WRONG, 0, 1, 2, 3);
}

static void an_order_that_explains_everything_needs_no_search(void **state) {
    (void)state;
    const struct by_hand_row rows[] = {
        {1, 10, 90, "MSET x 1 y 2", "+OK"}, {2, 20, 80, "MGET y x y", "[nil nil nil]"},
        {3, 30, N, "APPEND y 5", "?"},      {4, 40, 85, "GET y", "$25"},
        {4, 41, 86, "DEL x", ":1"},         {5, 90, 99, "GET x", "nil"}};
    SUGGESTED(rows, HISTORY_RIGHT, 2, 2, 1, 3, 4, 5, 6);
    SUGGESTED(rows, HISTORY_RIGHT, 2, 20, 10, 30, 40, 50, 60);
}

/* ---- Against all permutations ---------------------------------------------------------------- */

/* The order of what happened; of some operations another one's place, or none. */
static void suggest(struct random *random, const struct made *made, uint32_t *places) {
    for (uint32_t i = 0; i < made->happened_count; i++)
        places[made->operations[made->happened[i]].number] = i + 1;
    while (random_chance(random, 1, 2)) {
        uint32_t *one = &places[random_below(random, made->count)];
        uint32_t *other = &places[random_below(random, made->count)];
        const uint32_t place = *one;
        *one = *other;
        *other = random_chance(random, 1, 8) ? 0 : place;
    }
}

/* A spoilt history is none that its own order explains; a right one may be, or is searched. */
static void with_a_suggestion_the_verdict_is_that_of_all_permutations(void **state) {
    (void)state;
    enum { HISTORIES = WEIR_SANITIZER_BUILD ? 3000 : 20000, MIN = HISTORIES / 10 };
    uint32_t explained = 0;
    uint32_t searched = 0;
    uint32_t wrong = 0;
    struct linearizable_options options = linearizable_options_default();
    options.memory_slots = 1 << 12;
    options.values_max = 1 << 8;
    options.value_bytes = 1 << 14;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        struct random random;
        struct made made;
        struct linearizable_report report;
        uint32_t places[16] = {0};
        random_seed(&random, seed);
        made_create(&made, &(struct maker_options){
                               .seed = seed,
                               .operations = 2 + (uint32_t)random_below(&random, 6),
                               .connections = 1 + (uint32_t)random_below(&random, 4),
                               .keys = 1,
                               .kind = (uint32_t)random_below(&random, 4),
                               .unknown_per_mille = 200,
                               .gap_ns = 1 + (uint32_t)random_below(&random, 8),
                               .span_ns = (uint32_t)random_below(&random, 12),
                               .single_key = true,
                               .few_values = random_chance(&random, 1, 2),
                           });
        made_execute(&made);
        const enum spoiling spoiling = (enum spoiling)random_below(&random, SPOIL_HIDDEN_WRITE);
        if (random_chance(&random, 1, 2) || !made_spoil(&made, spoiling, true))
            made_record(&made, true);
        suggest(&random, &made, places);
        options.places = places;
        assert_int_equal(linearizable_check(&made.history, &options, &report), 0);
        const bool expected = brute_check(&made.history, NULL, 0);
        assert_int_equal(report.verdict, expected ? HISTORY_RIGHT : HISTORY_WRONG);
        explained += report.keys_explained;
        searched += expected && report.keys_explained < report.keys;
        wrong += !expected;
        kv_model_text_free(&report.text);
        made_destroy(&made);
    }
    print_message("%u histories: %u keys explained, %u searched and right, %u wrong\n", HISTORIES,
                  explained, searched, wrong);
    assert_in_range(explained, MIN, 4 * HISTORIES);
    assert_in_range(searched, MIN, HISTORIES);
    assert_in_range(wrong, MIN, HISTORIES);
}

/* ---- From the log ---------------------------------------------------------------------------- */

static void the_order_of_the_log_explains_every_key(void **state) {
    (void)state;
    struct linearizable_options options = linearizable_options_default();
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct made made;
        struct replay_report replay;
        struct linearizable_report report;
        made_create(&made, &(struct maker_options){.seed = seed,
                                                   .operations = 1000,
                                                   .connections = 12,
                                                   .keys = 2,
                                                   .unknown_per_mille = 150,
                                                   .refused_per_mille = 30,
                                                   .gap_ns = 20,
                                                   .span_ns = 400});
        made_execute(&made);
        made_record(&made, true);
        assert_int_equal(replay_check(&made.history, made.log, made.log_count, 1 << 20, &replay),
                         0);
        assert_int_equal(replay.verdict, HISTORY_RIGHT);
        options.places = replay.places;
        assert_int_equal(linearizable_check(&made.history, &options, &report), 0);
        assert_int_equal(report.verdict, HISTORY_RIGHT);
        assert_true(report.keys >= 2);
        assert_int_equal(report.keys_explained, report.keys);
        assert_int_equal(report.steps, 0);
        kv_model_text_free(&report.text);
        replay_free(&replay);
        made_destroy(&made);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_against_time_is_not_believed),
        cmocka_unit_test(an_order_against_that_of_a_connection_is_not_believed),
        cmocka_unit_test(an_order_in_which_replies_do_not_fit_explains_nothing),
        cmocka_unit_test(what_happened_has_a_place_of_its_own),
        cmocka_unit_test(an_unknown_write_without_a_place_was_not_seen),
        cmocka_unit_test(an_order_that_explains_everything_needs_no_search),
        cmocka_unit_test(with_a_suggestion_the_verdict_is_that_of_all_permutations),
        cmocka_unit_test(the_order_of_the_log_explains_every_key),
    };
    return cmocka_run_group_tests_name("sim_linearizable_suggested", tests, NULL, NULL);
}
