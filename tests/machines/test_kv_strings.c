/*
 * Strings, bits and keys: what the comparison with Redis (test_kv_strings_redis.c) does not see.
 * Replicas that differ in budgets, snapshots and listeners are equal; nothing takes long in one
 * call; what Redis does not have, or decides by its clock.
 */

#include "machines/kv.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/driver.h"
#include "tests/machines/kv_replicas.h"

#include "base/decimal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PARTITION_BITS = KV_REPLICAS_PARTITION_BITS };

static const struct machine_moment at_1000 = {.index = 1, .log_time_ms = 1000, .clock_ms = 1000};

/* ---- CAS ------------------------------------------------------------------------------------- */

static void cas_words_that_contradict_each_other_are_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "CAS k a b ABSENT",       "CAS k a b DELETE",
        "CAS k a  DELETE EX 1",   "CAS k a  DELETE KEEPTTL",
        "CAS k a b EX 1 KEEPTTL", "CAS k a b EX 1 PX 1",
        "CAS k a b EX",           "CAS k a b FOO",
        "CAS k a b EX 1 EX 1",
    };
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        driver_expect(&driver, wrong[i], &at_1000, "-ERR syntax error\r\n");
    driver_expect(&driver, "CAS k a b EX x", &at_1000,
                  "-ERR value is not an integer or out of range\r\n");
    driver_expect(&driver, "CAS k a b EX 0", &at_1000,
                  "-ERR invalid expire time in 'cas' command\r\n");
    driver_expect(&driver, "CAS k a", &at_1000,
                  "-ERR wrong number of arguments for 'cas' command\r\n");
    driver_end(&driver);
}

static void cas_changes_a_key_only_from_what_was_expected(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    driver_expect(&driver, "CAS k  b", &at_1000, ":0\r\n"); /* empty is not absent */
    driver_expect(&driver, "CAS k  a ABSENT", &at_1000, ":1\r\n");
    driver_expect(&driver, "CAS k  b ABSENT", &at_1000, ":0\r\n");
    driver_expect(&driver, "CAS k x b", &at_1000, ":0\r\n");
    driver_expect(&driver, "CAS k ABSENT b", &at_1000, ":0\r\n"); /* a value like another */
    driver_expect(&driver, "CAS k a b PX 50", &at_1000, ":1\r\n");
    driver_expect(&driver, "CAS k b c KEEPTTL", &at_1000, ":1\r\n");
    driver_expect(&driver, "PEXPIRETIME k", &at_1000, ":1050\r\n");
    driver_expect(&driver, "CAS k c d", &at_1000, ":1\r\n");
    driver_expect(&driver, "PEXPIRETIME k", &at_1000, ":-1\r\n");
    driver_expect(&driver, "CAS k c  DELETE", &at_1000, ":0\r\n");
    driver_expect(&driver, "CAS k d  delete", &at_1000, ":1\r\n");
    driver_expect(&driver, "GET k", &at_1000, "$-1\r\n");
    driver_expect(&driver, "CAS k   ABSENT DELETE", &at_1000, ":1\r\n");
    driver_expect(&driver, "CAS k  e ABSENT PXAT 1", &at_1000, ":1\r\n"); /* set, and gone */
    driver_expect(&driver, "EXISTS k", &at_1000, ":0\r\n");
    driver_end(&driver);
}

/* ---- Limits ---------------------------------------------------------------------------------- */

static void values_do_not_become_longer_than_the_limit(void **state) {
    (void)state;
    static const char too_long[] =
        "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
    static const char no_offset[] = "-ERR bit offset is not an integer or out of range\r\n";
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    driver_expect(&driver, "SETRANGE k 16777216 x", &at_1000, too_long);
    driver_expect(&driver, "SETRANGE k 9223372036854775807 x", &at_1000, too_long);
    driver_expect(&driver, "SETBIT k 134217728 1", &at_1000, no_offset);
    driver_expect(&driver, "GETBIT k 134217728", &at_1000, no_offset);
    driver_expect(&driver, "EXISTS k", &at_1000, ":0\r\n");
    driver_expect(&driver, "SETRANGE k 16777215 x", &at_1000, ":16777216\r\n");
    driver_expect(&driver, "SETBIT k 134217727 1", &at_1000, ":0\r\n");
    driver_expect(&driver, "BITCOUNT k", &at_1000, ":5\r\n");
    driver_expect(&driver, "LCS k k LEN", &at_1000,
                  "-ERR Insufficient memory, transient memory for LCS exceeds "
                  "proto-max-bulk-len\r\n");
    driver_end(&driver);
}

static uint64_t cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t slice_began_ns;
static uint64_t slice_longest_ns;

static void slice_measured(void *context) {
    (void)context;
    const uint64_t now_ns = cpu_ns();
    if (now_ns - slice_began_ns > slice_longest_ns)
        slice_longest_ns = now_ns - slice_began_ns;
    slice_began_ns = now_ns;
}

static const char *const long_lines[] = {
    "SETRANGE a 16777215 x",
    "SETBIT b 134217727 1",
    "BITCOUNT a",
    "BITPOS a 1",
    "BITPOS a 0 -1 -1",
    "BITOP OR c a b",
    "BITOP NOT d c",
    "COPY d e",
    "RENAME e f",
    "GETRANGE f 0 -1",
    "SETRANGE s 2000 x",
    "SETRANGE t 2000 y",
    "LCS s t",
    "LCS s t IDX",
    "INCRBYFLOAT n 1e4900",
    "INCRBYFLOAT n 1e4900",
    "INCRBYFLOAT m 1e-4900",
    "GETDEL f",
};

/* Executes all the lines on an empty machine, and keeps the shortest of what each one's longest
 * slice took in this round and those before. */
static void measure_long_lines(uint64_t shortest_ns[ARRAY_COUNT(long_lines)], bool prints) {
    struct driver driver;
    struct kv_model_text reply = {0};
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    driver.budget = 2000;
    driver.between = slice_measured;
    for (size_t i = 0; i < ARRAY_COUNT(long_lines); i++) {
        const uint64_t slices = driver.slices;
        slice_longest_ns = 0;
        slice_began_ns = cpu_ns();
        driver_command(&driver, long_lines[i], &at_1000, &reply);
        if (slice_longest_ns < shortest_ns[i])
            shortest_ns[i] = slice_longest_ns;
        if (prints)
            printf("  %-24s %6" PRIu64 " slices, the longest %" PRIu64 " us\n", long_lines[i],
                   driver.slices - slices, shortest_ns[i] / 1000);
    }
    kv_model_text_free(&reply);
    driver_end(&driver);
}

/* 2000 units are 200 us by count; the bound on a poll is 1 ms. Three rounds, since a virtual
 * machine counts what its host takes away as time of ours. */
static void nothing_on_long_values_takes_long_in_one_call(void **state) {
    (void)state;
    uint64_t longest_ns[ARRAY_COUNT(long_lines)];
    memset(longest_ns, 0xff, sizeof(longest_ns));
    for (uint32_t round = 0; round < 3; round++)
        measure_long_lines(longest_ns, round == 2);
    for (size_t i = 0; i < ARRAY_COUNT(long_lines) && !WEIR_SANITIZER_BUILD; i++)
        assert_true(longest_ns[i] < 1000000);
}

static const char not_float[] = "-ERR value is not a valid float\r\n";

/* What the line takes off the budget. */
static uint64_t units_of(struct driver *driver, const char *line, const char *expected) {
    const uint64_t before = driver->units;
    driver_expect(driver, line, &at_1000, expected);
    return driver->units - before;
}

static void numbers_of_many_digits_are_paid_for_also_when_they_are_none(void **state) {
    (void)state;
    enum { DIGITS = 5000 };
    char text[DIGITS + 64];
    struct driver driver;
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    memset(text, '7', DIGITS);
    memcpy(text + DIGITS, "x", 2);
    const struct kv_model_word wrong[] = {{"SET", 3}, {"k", 1}, {text, strlen(text)}};
    driver_execute(&driver, wrong, ARRAY_COUNT(wrong), &at_1000, NULL);
    /* 357 times up to 260 limbs are visited, 50 us: 500 units, and some for a slow processor. */
    assert_in_range(units_of(&driver, "INCRBYFLOAT k 1", not_float), 500, 2000);
    assert_in_range(units_of(&driver, "INCRBYFLOAT k 1e-9999", not_float), 1, 20);
    assert_in_range(units_of(&driver, "INCRBYFLOAT k 1e-4900", not_float), 800, 3000);

    memcpy(text + DIGITS, "e-5000", 7);
    const struct kv_model_word right[] = {{"SET", 3}, {"k", 1}, {text, strlen(text)}};
    driver_execute(&driver, right, ARRAY_COUNT(right), &at_1000, NULL);
    driver.budget = 100; /* both are read, once, and neither in the slice of the other */
    const uint64_t slices = driver.slices;
    driver_expect(&driver, "INCRBYFLOAT k 1e-4900", &at_1000, "$19\r\n0.77777777777777778\r\n");
    assert_int_equal(driver.slices - slices, 3);
    assert_in_range(units_of(&driver, "INCRBYFLOAT k 1", "$19\r\n1.77777777777777778\r\n"), 1, 20);
    driver_end(&driver);
}

static void an_amount_that_is_not_spelled_as_a_number_does_not_reach_the_log(void **state) {
    (void)state;
    static const char *const wrong[] = {"x",  "",    "1x", "1e",   ".",
                                        "0x", "--1", "1 ", "1e5 ", "infi"};
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        const struct kv_model_word words[] = {
            {"INCRBYFLOAT", 11}, {"k", 1}, {wrong[i], strlen(wrong[i])}};
        struct kv_model_text reply = {0};
        driver_execute(&driver, words, ARRAY_COUNT(words), &at_1000, &reply);
        assert_int_equal(reply.length, strlen(not_float));
        assert_memory_equal(reply.data, not_float, reply.length);
        kv_model_text_free(&reply);
    }
    assert_int_equal(driver.slices, 0);
    driver_expect(&driver, "INCRBYFLOAT k 1e4933", &at_1000, not_float); /* found when applied */
    driver_expect(&driver, "INCRBYFLOAT k inf", &at_1000,
                  "-ERR increment would produce NaN or Infinity\r\n");
    driver_expect(&driver, "INCRBYFLOAT k 0x.8p1", &at_1000, "$1\r\n1\r\n");
    driver_end(&driver);
}

/* A rename costs no copy, within a partition and across: its slices do not grow with the value. */
static void a_long_value_is_renamed_without_being_copied(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    driver_expect(&driver, "SETRANGE k0 16000000 x", &at_1000, ":16000001\r\n");
    driver_expect(&driver, "PEXPIRE k0 77", &at_1000, ":1\r\n");
    driver.budget = 100;
    const uint64_t slices = driver.slices;
    for (uint32_t i = 0; i < 64; i++) {
        char line[64];
        snprintf(line, sizeof(line), "RENAME k%u k%u", i, i + 1);
        driver_expect(&driver, line, &at_1000, "+OK\r\n");
    }
    assert_in_range(driver.slices - slices, 64, 128);
    driver_expect(&driver, "STRLEN k64", &at_1000, ":16000001\r\n");
    driver_expect(&driver, "PEXPIRETIME k64", &at_1000, ":1077\r\n");
    driver_expect(&driver, "DBSIZE", &at_1000, ":1\r\n");
    driver_expect(&driver, "DEL k64", &at_1000, ":1\r\n");
    driver_end(&driver); /* and all pages went back */
}

/* ---- RANDOMKEY ------------------------------------------------------------------------------- */

static void every_key_is_drawn_about_as_often_as_the_others(void **state) {
    (void)state;
    enum { KEYS = 3000, DRAWS = 300000 };
    static uint32_t drawn[KEYS];
    struct driver driver;
    struct kv_model_text reply = {0};
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    for (uint32_t i = 0; i < KEYS; i++) {
        char line[64];
        snprintf(line, sizeof(line), "SET %u x", i);
        driver_command(&driver, line, &at_1000, NULL);
    }
    memset(drawn, 0, sizeof(drawn));
    for (uint32_t i = 0; i < DRAWS; i++) {
        driver_command(&driver, "RANDOMKEY", &at_1000, &reply);
        reply.data[reply.length - 2] = 0;
        uint64_t key;
        const char *digits = strchr(reply.data, (char)10) + 1;
        assert_int_equal(decimal_parse_u64(digits, strlen(digits), &key), 0);
        assert_true(key < KEYS);
        drawn[key]++;
    }
    /* 100 each are expected: a standard deviation of 10. */
    for (uint32_t i = 0; i < KEYS; i++)
        assert_in_range(drawn[i], 40, 170);
    kv_model_text_free(&reply);
    driver_end(&driver);
}

static void the_only_key_that_is_there_is_found_among_many_that_are_due(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    driver_expect(&driver, "RANDOMKEY", &at_1000, "$-1\r\n");
    for (uint32_t i = 0; i < 5000; i++) {
        char line[64];
        snprintf(line, sizeof(line), "SET %u x PX 1", i);
        driver_command(&driver, line, &at_1000, NULL);
    }
    const struct machine_moment after = driver_moment(2, 2000);
    driver.budget = 50;
    driver_expect(&driver, "RANDOMKEY", &after, "$-1\r\n");
    driver_expect(&driver, "SET there x", &after, "+OK\r\n");
    for (uint32_t i = 0; i < 20; i++)
        driver_expect(&driver, "RANDOMKEY", &after, "$5\r\nthere\r\n");
    driver_end(&driver);
}

/* ---- Replicas -------------------------------------------------------------------------------- */

static void a_snapshot_and_the_rest_of_the_log_give_the_same_as_the_log(void **state) {
    (void)state;
    kv_replicas_snapshot_and_rest(kv_templates_string, 20000);
}

static void a_snapshot_is_of_its_beginning_whatever_is_changed_meanwhile(void **state) {
    (void)state;
    kv_replicas_snapshot_is_of_its_beginning(kv_templates_string, 40000);
}

/* What was appended to has more room than its length; restored, it has just enough. */
static void a_rename_folds_the_same_whatever_room_the_value_has(void **state) {
    (void)state;
    static const uint32_t halves[] = {2049, 10000, 16384, 16385}; /* of inline, object, and block */
    for (size_t i = 0; i < ARRAY_COUNT(halves); i++) {
        struct driver whole;
        struct driver copy;
        struct kv_model_text bytes = {0};
        struct random random;
        char *half = calloc(1, halves[i]);
        const struct kv_model_word set[] = {{"SET", 3}, {"k", 1}, {half, halves[i]}};
        const struct kv_model_word append[] = {{"APPEND", 6}, {"k", 1}, {half, halves[i]}};
        random_seed(&random, i);
        driver_begin(&whole, &machine_kv, PARTITION_BITS);
        driver_begin(&copy, &machine_kv, PARTITION_BITS);
        driver_execute(&whole, set, ARRAY_COUNT(set), &at_1000, NULL);
        driver_execute(&whole, append, ARRAY_COUNT(append), &at_1000, NULL);
        driver_snapshot(&whole, &at_1000, &bytes);
        assert_int_equal(driver_restore(&copy, &bytes, &random), 0);
        kv_replicas_assert_equal(&whole, &copy, 1000);
        for (uint32_t k = 0; k < 2; k++)
            driver_expect(k == 0 ? &whole : &copy, "RENAME k l", &at_1000, "+OK\r\n");
        kv_replicas_assert_equal(&whole, &copy, 1000);
        free(half);
        kv_model_text_free(&bytes);
        driver_end(&whole);
        driver_end(&copy);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cas_words_that_contradict_each_other_are_refused),
        cmocka_unit_test(cas_changes_a_key_only_from_what_was_expected),
        cmocka_unit_test(values_do_not_become_longer_than_the_limit),
        cmocka_unit_test(nothing_on_long_values_takes_long_in_one_call),
        cmocka_unit_test(numbers_of_many_digits_are_paid_for_also_when_they_are_none),
        cmocka_unit_test(an_amount_that_is_not_spelled_as_a_number_does_not_reach_the_log),
        cmocka_unit_test(a_long_value_is_renamed_without_being_copied),
        cmocka_unit_test(every_key_is_drawn_about_as_often_as_the_others),
        cmocka_unit_test(the_only_key_that_is_there_is_found_among_many_that_are_due),
        cmocka_unit_test(a_snapshot_and_the_rest_of_the_log_give_the_same_as_the_log),
        cmocka_unit_test(a_rename_folds_the_same_whatever_room_the_value_has),
        cmocka_unit_test(a_snapshot_is_of_its_beginning_whatever_is_changed_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
