/*
 * SORT: what the comparison with Redis (test_kv_lists_redis.c) does not see. What is refused;
 * replicas; long lists and long elements are sorted in slices, and their memory goes back.
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "base/random.h"
#include "machines/kv_float.h"
#include "machines/kv_sort.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/kv_replicas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITION_BITS = KV_REPLICAS_PARTITION_BITS };

static const struct machine_moment at_1000 = {.index = 1, .log_time_ms = 1000, .clock_ms = 1000};

static void patterns_over_other_keys_are_refused(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    driver_expect(&driver, "SORT l BY w_*", &at_1000,
                  "-ERR BY option of SORT denied in cluster mode.\r\n");
    driver_expect(&driver, "SORT l GET #", &at_1000,
                  "-ERR GET option of SORT denied in cluster mode.\r\n");
    driver_expect(&driver, "SORT_RO l BY nosort GET w_*", &at_1000,
                  "-ERR GET option of SORT denied in cluster mode.\r\n");
    driver_expect(&driver, "SORT_RO l STORE m", &at_1000, "-ERR syntax error\r\n");
    driver_end(&driver);
}

/* Where the key of STORE is, is looked for among the first arguments only. */
static void more_arguments_than_are_looked_at_are_a_syntax_error(void **state) {
    (void)state;
    enum { WORDS = MACHINE_KEY_ARGUMENTS_MAX + 1 };
    struct kv_model_word words[WORDS + 1] = {{"SORT", 4}, {"l", 1}};
    struct kv_model_text reply = {0};
    struct driver driver;
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    for (size_t i = 2; i <= WORDS; i++)
        words[i] = (struct kv_model_word){"ALPHA", 5};
    driver_execute(&driver, words, WORDS, &at_1000, &reply);
    assert_memory_equal(reply.data, "*0\r\n", 4);
    driver_execute(&driver, words, WORDS + 1, &at_1000, &reply);
    assert_memory_equal(reply.data, "-ERR syntax error\r\n", 19);
    kv_model_text_free(&reply);
    driver_end(&driver);
}

/* What is read in one piece is no longer than that takes: an element as a number, with its spaces,
 * and a BY. */
static void what_is_too_long_is_not_read(void **state) {
    (void)state;
    static char text[KV_KEY_BYTES_MAX + 1];
    enum { NUMBER_BYTES = KV_FLOAT_PARSE_BYTES_MAX };
    static const char no_number[] = "-ERR One or more scores can't be converted into double\r\n";
    struct kv_model_word push[] = {{"RPUSH", 5}, {"l", 1}, {text, NUMBER_BYTES}};
    struct kv_model_word sort[] = {{"SORT", 4}, {"m", 1}, {"BY", 2}, {text, KV_KEY_BYTES_MAX}};
    struct kv_model_text reply = {0};
    struct driver driver;
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    memset(text, ' ', sizeof(text));
    text[NUMBER_BYTES - 1] = text[NUMBER_BYTES] = '1';
    driver_execute(&driver, push, ARRAY_COUNT(push), &at_1000, NULL);
    driver_expect(&driver, "SORT l STORE n", &at_1000, ":1\r\n");
    push[2] = (struct kv_model_word){text, NUMBER_BYTES + 1};
    driver_execute(&driver, push, ARRAY_COUNT(push), &at_1000, NULL);
    driver_expect(&driver, "SORT l STORE n", &at_1000, no_number);
    memset(text, 'b', sizeof(text));
    driver_execute(&driver, sort, ARRAY_COUNT(sort), &at_1000, &reply);
    assert_memory_equal(reply.data, "*0\r\n", 4);
    sort[3].length++;
    driver_execute(&driver, sort, ARRAY_COUNT(sort), &at_1000, &reply);
    assert_memory_equal(reply.data, "-ERR syntax error\r\n", 19);
    kv_model_text_free(&reply);
    driver_end(&driver);
}

static void a_snapshot_and_the_rest_of_the_log_give_the_same_as_the_log(void **state) {
    (void)state;
    kv_replicas_snapshot_and_rest(kv_templates_sort, 5000);
}

/* ---- Slices ---------------------------------------------------------------------------------- */

enum { COUNT = 60000, BUDGET = 500 };

/* Appends shuffled numbers, each twice. */
static void list_fill(struct driver *driver) {
    enum { WORDS = 1000 };
    static char text[WORDS][12];
    struct kv_model_word words[WORDS + 2] = {{"RPUSH", 5}, {"l", 1}};
    for (uint32_t at = 0; at < COUNT;) {
        for (size_t word = 0; word < WORDS; word++, at++) {
            const int length =
                snprintf(text[word], sizeof(text[word]), "%u", (at * 7919u) % (COUNT / 2));
            words[word + 2] = (struct kv_model_word){text[word], (size_t)length};
        }
        driver_execute(driver, words, WORDS + 2, &at_1000, NULL);
    }
}

/* The elements of a reply, which are the numbers up to COUNT / 2, each twice. */
static void assert_sorted(const struct kv_model_text *reply, bool descending) {
    char line[32];
    size_t at = (size_t)snprintf(line, sizeof(line), "*%d\r\n", COUNT);
    assert_memory_equal(reply->data, line, at);
    for (uint32_t i = 0; i < COUNT; i++) {
        const uint32_t number = (descending ? COUNT - 1 - i : i) / 2;
        char digits[12];
        const int length = snprintf(digits, sizeof(digits), "%u", number);
        const int whole = snprintf(line, sizeof(line), "$%d\r\n%s\r\n", length, digits);
        assert_memory_equal(reply->data + at, line, (size_t)whole);
        at += (size_t)whole;
    }
    assert_int_equal(at, reply->length);
}

static void a_long_list_is_sorted_in_slices_and_its_memory_goes_back(void **state) {
    (void)state;
    struct driver driver;
    struct kv_model_text reply = {0};
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    list_fill(&driver);
    driver_maintain(&driver, 1000);
    const uint64_t before_bytes = machine_kv.memory_bytes(driver.machine);
    driver.budget = BUDGET;
    for (uint32_t descending = 0; descending < 2; descending++) {
        const uint64_t slices = driver.slices;
        driver_command(&driver, descending ? "SORT_RO l DESC" : "SORT l", &at_1000, &reply);
        assert_sorted(&reply, descending);
        printf("  %llu slices\n", (unsigned long long)(driver.slices - slices));
        assert_true(driver.slices - slices >= COUNT * 2 / BUDGET);
    }
    driver_command(&driver, "SORT l LIMIT 100 4", &at_1000, &reply);
    assert_int_equal(reply.length,
                     strlen("*4\r\n$2\r\n50\r\n$2\r\n50\r\n$2\r\n51\r\n$2\r\n51\r\n"));
    driver_maintain(&driver, 1000);
    assert_int_equal(machine_kv.memory_bytes(driver.machine), before_bytes);
    driver_command(&driver, "SORT l STORE m", &at_1000, &reply);
    driver_command(&driver, "LRANGE m 0 -1", &at_1000, &reply);
    assert_sorted(&reply, false);
    driver_command(&driver, "SORT m DESC STORE m", &at_1000, &reply);
    driver_command(&driver, "LRANGE m 0 -1", &at_1000, &reply);
    assert_sorted(&reply, true);
    /* What is in order needs neither sorting nor memory. */
    const uint64_t slices = driver.slices;
    driver_expect(&driver, "SORT m BY nosort LIMIT 0 1", &at_1000, "*1\r\n$5\r\n29999\r\n");
    assert_int_equal(driver.slices, slices + 1);
    kv_model_text_free(&reply);
    driver_end(&driver);
}

/* Four elements of a megabyte that differ in their last byte. */
static void long_elements_are_compared_in_slices(void **state) {
    (void)state;
    enum { BYTES = 1 << 20, ELEMENTS = 4 };
    struct driver driver;
    struct kv_model_text reply = {0};
    char *data[ELEMENTS];
    struct kv_model_word words[ELEMENTS + 2] = {{"RPUSH", 5}, {"l", 1}};
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    for (size_t i = 0; i < ELEMENTS; i++) {
        data[i] = malloc(BYTES);
        ASSERT(data[i] != NULL);
        memset(data[i], 'a', BYTES);
        data[i][BYTES - 1] = (char)('z' - i);
        words[i + 2] = (struct kv_model_word){data[i], BYTES};
    }
    driver_execute(&driver, words, ELEMENTS + 2, &at_1000, &reply);
    driver.budget = BUDGET;
    const uint64_t slices = driver.slices;
    driver_command(&driver, "SORT l ALPHA STORE l", &at_1000, &reply);
    assert_true(driver.slices - slices >= 4 * BYTES / (BUDGET * KV_UNIT_BYTES + KV_SLICE_BYTES));
    for (size_t i = 0; i < ELEMENTS; i++) {
        char line[32];
        snprintf(line, sizeof(line), "LINDEX l %zu", i);
        driver_command(&driver, line, &at_1000, &reply);
        assert_int_equal(reply.data[reply.length - 3], 'z' - (ELEMENTS - 1) + (int)i);
        free(data[i]);
    }
    kv_model_text_free(&reply);
    driver_end(&driver);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_over_other_keys_are_refused),
        cmocka_unit_test(more_arguments_than_are_looked_at_are_a_syntax_error),
        cmocka_unit_test(what_is_too_long_is_not_read),
        cmocka_unit_test(a_snapshot_and_the_rest_of_the_log_give_the_same_as_the_log),
        cmocka_unit_test(a_long_list_is_sorted_in_slices_and_its_memory_goes_back),
        cmocka_unit_test(long_elements_are_compared_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
