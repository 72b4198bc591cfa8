/*
 * The judge of histories, judged: small histories by hand, what must be refused first, each beside
 * its twin that must not be.
 *
 * Times are in milliseconds, for client and log alike.
 */

#include "tests/cmocka_wrapper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/property/answer.h"
#include "tests/property/judge.h"

enum { WORDS_MAX = 16, SET = 2, INCR = 5, EXPIRE = 14 };

static struct history history;
static struct logged logged;

static int begin(void **state) {
    (void)state;
    history_init(&history, 3);
    return 0;
}

static int end(void **state) {
    (void)state;
    history_free(&history);
    logged_free(&logged);
    return 0;
}

static size_t split(char *text, struct kv_model_word *words) {
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        words[count++] = (struct kv_model_word){word, strlen(word)};
    return count;
}

/* Connection `lane` said `command` between two moments and was told `answer`. */
static void said(uint32_t lane, uint64_t from_ms, uint64_t to_ms, const char *command,
                 const char *answer) {
    char text[128];
    struct kv_model_word words[WORDS_MAX];
    snprintf(text, sizeof(text), "%s", command);
    struct operation *operation = history_add(&history, lane, words, split(text, words));
    operation->invoked_ns = from_ms * 1000000;
    operation->invoked_wall_ms = from_ms;
    if (answer == NULL)
        return;
    operation->answered = true;
    operation->responded_ns = to_ms * 1000000;
    operation->responded_wall_ms = to_ms;
    kv_model_text_append(&operation->answer, answer, strlen(answer));
}

/* The log holds it next, in an entry of its own. */
static void log_has(uint64_t time_ms, uint16_t id, const char *arguments) {
    char text[128];
    struct kv_model_word words[WORDS_MAX];
    snprintf(text, sizeof(text), "%s", arguments);
    logged_add(&logged, logged.count + 1, time_ms, id, words, split(text, words));
}

static bool is_right(const char *reason) {
    struct kv_model_text error = {0};
    const bool right = judge_shared(&history, &logged, TWIN_KV, &error);
    kv_model_text_append(&error, "", 1);
    if (!right && reason != NULL)
        assert_non_null(strstr(error.data, reason));
    if (!right && reason == NULL)
        fprintf(stderr, "%s", error.data);
    kv_model_text_free(&error);
    return right;
}

#define assert_right()       assert_true(is_right(NULL))
#define assert_wrong(reason) assert_false(is_right(reason))

static void a_read_that_misses_an_acknowledged_write_is_refused(void **state) {
    (void)state;
    log_has(10, SET, "k 1");
    said(0, 10, 20, "SET k 1", "+OK\n");
    said(1, 21, 30, "GET k", "_\n");
    assert_wrong("a read fits nowhere");
}

static void a_read_during_a_write_may_miss_it(void **state) {
    (void)state;
    log_has(10, SET, "k 1");
    said(0, 10, 20, "SET k 1", "+OK\n");
    said(1, 19, 30, "GET k", "_\n");
    assert_right();
}

static void a_read_of_what_is_not_yet_written_is_refused(void **state) {
    (void)state;
    log_has(30, SET, "k 1");
    said(0, 30, 40, "SET k 1", "+OK\n");
    said(1, 10, 20, "GET k", "$1:1\n");
    assert_wrong("cannot stand before");
}

static void reads_do_not_go_back(void **state) {
    (void)state;
    log_has(10, SET, "k 1");
    said(0, 10, 100, "SET k 1", "+OK\n");
    said(1, 11, 20, "GET k", "$1:1\n");
    said(2, 21, 30, "GET k", "_\n");
    assert_wrong("a read fits nowhere");
}

static void reads_at_the_same_time_may_differ(void **state) {
    (void)state;
    log_has(10, SET, "k 1");
    said(0, 10, 100, "SET k 1", "+OK\n");
    said(1, 11, 20, "GET k", "$1:1\n");
    said(2, 19, 30, "GET k", "_\n");
    assert_right();
}

static void a_read_of_several_keys_sees_one_moment(void **state) {
    (void)state;
    log_has(10, SET, "a 1");
    log_has(11, SET, "b 1");
    said(0, 10, 100, "SET a 1", "+OK\n");
    said(1, 10, 100, "SET b 1", "+OK\n");
    said(2, 10, 100, "MGET a b", "*2\n_\n$1:1\n");
    assert_wrong("a read fits nowhere");
}

static void a_log_against_real_time_is_refused(void **state) {
    (void)state;
    log_has(10, SET, "k 2");
    log_has(11, SET, "k 1");
    said(0, 10, 20, "SET k 1", "+OK\n");
    said(1, 21, 30, "SET k 2", "+OK\n");
    assert_wrong("cannot stand before");
}

static void a_log_may_order_concurrent_writes_as_it_likes(void **state) {
    (void)state;
    log_has(10, SET, "k 2");
    log_has(11, SET, "k 1");
    said(0, 10, 22, "SET k 1", "+OK\n");
    said(1, 21, 30, "SET k 2", "+OK\n");
    said(2, 31, 40, "GET k", "$1:1\n");
    assert_right();
}

static void writes_of_a_connection_keep_their_order(void **state) {
    (void)state;
    log_has(10, SET, "k 2");
    log_has(11, SET, "k 1");
    said(0, 10, 30, "SET k 1", "+OK\n");
    said(0, 10, 30, "SET k 2", "+OK\n");
    assert_wrong("nobody's next write");
}

static void a_pipelined_read_sees_the_writes_before_it(void **state) {
    (void)state;
    log_has(10, SET, "k 1");
    log_has(10, SET, "k 2");
    said(0, 10, 30, "SET k 1", "+OK\n");
    said(0, 10, 30, "GET k", "_\n");
    said(0, 10, 30, "SET k 2", "+OK\n");
    assert_wrong("between its invocation and the write behind it");
}

static void a_pipelined_read_between_two_writes_is_right(void **state) {
    (void)state;
    log_has(10, SET, "k 1");
    log_has(10, SET, "k 2");
    said(0, 10, 30, "SET k 1", "+OK\n");
    said(0, 10, 30, "GET k", "$1:1\n");
    said(0, 10, 30, "SET k 2", "+OK\n");
    assert_right();
}

static void an_acknowledged_write_that_the_log_lacks_is_refused(void **state) {
    (void)state;
    said(0, 10, 30, "SET k 1", "+OK\n");
    assert_wrong("not in the log");
}

static void a_write_twice_in_the_log_is_refused(void **state) {
    (void)state;
    log_has(10, INCR, "k");
    log_has(11, INCR, "k");
    said(0, 10, 30, "INCR k", ":1\n");
    assert_wrong("nobody's next write");
}

static void a_wrong_answer_to_a_write_is_refused(void **state) {
    (void)state;
    log_has(10, INCR, "k");
    said(0, 10, 30, "INCR k", ":2\n");
    assert_wrong("not that of its place");
}

static void an_operation_without_an_answer_is_refused(void **state) {
    (void)state;
    said(0, 10, 0, "GET k", NULL);
    assert_wrong("never answered");
}

static void a_refused_write_is_not_in_the_log(void **state) {
    (void)state;
    said(0, 10, 30, "SET k 1 EX 0", "-ERR invalid expire time in 'set' command\n");
    assert_right();
}

static void a_key_lives_until_log_time_reaches_its_deadline(void **state) {
    (void)state;
    log_has(100, SET, "k 1 PX 10");
    log_has(109, 0, "");
    said(0, 100, 105, "SET k 1 PX 10", "+OK\n");
    said(0, 111, 112, "GET k", "$1:1\n");
    assert_right();
}

static void a_key_does_not_die_before_log_time_reaches_its_deadline(void **state) {
    (void)state;
    log_has(100, SET, "k 1 PX 10");
    log_has(109, 0, "");
    said(0, 100, 105, "SET k 1 PX 10", "+OK\n");
    said(0, 111, 112, "GET k", "_\n");
    assert_wrong("a read fits nowhere");
}

static void a_read_before_the_first_write_of_a_batch_has_its_time(void **state) {
    (void)state;
    log_has(100, SET, "k 1 PX 10");
    log_has(110, SET, "k 2");
    said(0, 100, 105, "SET k 1 PX 10", "+OK\n");
    said(0, 110, 112, "GET k", "_\n");
    said(0, 110, 112, "SET k 2", "+OK\n");
    assert_right();
}

static void what_is_left_of_a_life_is_bounded_by_the_operation(void **state) {
    (void)state;
    log_has(10000, SET, "k 1");
    log_has(10001, EXPIRE, "k 100");
    said(0, 10000, 10001, "SET k 1", "+OK\n");
    said(0, 10001, 10002, "EXPIRE k 100", ":1\n");
    said(0, 60000, 60005, "PTTL k", ":49999\n");
    assert_right();
}

static void what_is_left_of_a_life_is_not_more_than_at_the_invocation(void **state) {
    (void)state;
    log_has(10000, SET, "k 1");
    log_has(10001, EXPIRE, "k 100");
    said(0, 10000, 10001, "SET k 1", "+OK\n");
    said(0, 10001, 10002, "EXPIRE k 100", ":1\n");
    said(0, 60000, 60005, "PTTL k", ":59999\n");
    assert_wrong("a read fits nowhere");
}

static void disjoint_keys_are_judged_in_program_order(void **state) {
    (void)state;
    struct kv_model_text error = {0};
    said(0, 10, 20, "SET a 1", "+OK\n");
    said(0, 10, 20, "GET a", "$1:1\n");
    said(1, 10, 20, "INCR b", ":1\n");
    assert_true(judge_disjoint(&history, TWIN_KV, &error));
    said(1, 21, 30, "GET b", "$1:2\n");
    assert_false(judge_disjoint(&history, TWIN_KV, &error));
    kv_model_text_free(&error);
}

static bool matches(const char *pattern, const char *answer) {
    struct kv_model_text p = {0};
    struct kv_model_text a = {0};
    kv_model_text_append(&p, pattern, strlen(pattern));
    kv_model_text_append(&a, answer, strlen(answer));
    const bool result = answer_matches(&p, &a);
    kv_model_text_free(&p);
    kv_model_text_free(&a);
    return result;
}

static void a_wild_card_stands_for_one_value_of_its_type(void **state) {
    (void)state;
    assert_false(matches("*2\n\x01:\x01$", "*2\n:1\n:2\n"));
    assert_false(matches("\x01:", ":1\n:2\n"));
    assert_false(matches("\x01:+OK\n", ":1\n"));
    assert_false(matches("\x01?", ""));
    assert_true(matches("*2\n\x01:\x01$", "*2\n:17\n$3:a\nb\n"));
    assert_false(matches("$1:\x01\x01\n", "$1:a\n"));
    assert_true(matches("$1:\x01\x01\n", "$1:\x01\n"));
    assert_true(matches("\x01?+OK\n", "*2\n%1\n:1\n:2\n$0:\n+OK\n"));
}

#define JUDGE_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        JUDGE_TEST(a_read_that_misses_an_acknowledged_write_is_refused),
        JUDGE_TEST(a_read_during_a_write_may_miss_it),
        JUDGE_TEST(a_read_of_what_is_not_yet_written_is_refused),
        JUDGE_TEST(reads_do_not_go_back),
        JUDGE_TEST(reads_at_the_same_time_may_differ),
        JUDGE_TEST(a_read_of_several_keys_sees_one_moment),
        JUDGE_TEST(a_log_against_real_time_is_refused),
        JUDGE_TEST(a_log_may_order_concurrent_writes_as_it_likes),
        JUDGE_TEST(writes_of_a_connection_keep_their_order),
        JUDGE_TEST(a_pipelined_read_sees_the_writes_before_it),
        JUDGE_TEST(a_pipelined_read_between_two_writes_is_right),
        JUDGE_TEST(an_acknowledged_write_that_the_log_lacks_is_refused),
        JUDGE_TEST(a_write_twice_in_the_log_is_refused),
        JUDGE_TEST(a_wrong_answer_to_a_write_is_refused),
        JUDGE_TEST(an_operation_without_an_answer_is_refused),
        JUDGE_TEST(a_refused_write_is_not_in_the_log),
        JUDGE_TEST(a_key_lives_until_log_time_reaches_its_deadline),
        JUDGE_TEST(a_key_does_not_die_before_log_time_reaches_its_deadline),
        JUDGE_TEST(a_read_before_the_first_write_of_a_batch_has_its_time),
        JUDGE_TEST(what_is_left_of_a_life_is_bounded_by_the_operation),
        JUDGE_TEST(what_is_left_of_a_life_is_not_more_than_at_the_invocation),
        JUDGE_TEST(disjoint_keys_are_judged_in_program_order),
        JUDGE_TEST(a_wild_card_stands_for_one_value_of_its_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
