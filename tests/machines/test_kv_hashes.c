/*
 * Hashes: what the comparison with Redis (test_kv_hashes_redis.c) does not see. Fields at random;
 * nothing takes long in one call, however large a hash is.
 */

#include "base/decimal.h"
#include "machines/kv_collection.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/driver.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PARTITION_BITS = 3 };

static const struct machine_moment at_1000 = {.index = 1, .log_time_ms = 1000, .clock_ms = 1000};

enum { FIELDS_A_COMMAND = 500 };

/* Gives a hash the fields 0 to count - 1, each with its number as its value. */
static void fill(struct driver *driver, const char *key, uint32_t count) {
    static char text[FIELDS_A_COMMAND][DECIMAL_BYTES_MAX];
    static struct kv_model_word words[2 + 2 * FIELDS_A_COMMAND];
    words[0] = (struct kv_model_word){"HSET", 4};
    words[1] = (struct kv_model_word){key, strlen(key)};
    for (uint32_t first = 0; first < count; first += FIELDS_A_COMMAND) {
        const uint32_t left = count - first;
        const uint32_t many = left < FIELDS_A_COMMAND ? left : FIELDS_A_COMMAND;
        for (uint32_t i = 0; i < many; i++) {
            const size_t length = decimal_format_u64(text[i], first + i);
            words[2 + 2 * i] = words[3 + 2 * i] = (struct kv_model_word){text[i], length};
        }
        driver_execute(driver, words, 2 + 2 * many, &at_1000, NULL);
    }
}

/* The bulk strings of a reply, which are numbers below `limit`: counts each in `drawn`, and returns
 * how many there are. */
static uint32_t count_numbers(const struct kv_model_text *reply, uint32_t limit, uint32_t *drawn) {
    uint32_t count = 0;
    const char *end = reply->data + reply->length;
    for (const char *at = reply->data; at < end;) {
        const char *line_end = memchr(at, '\r', (size_t)(end - at));
        uint64_t number;
        assert_non_null(line_end);
        if (*at != '*' && *at != '$') {
            assert_int_equal(decimal_parse_u64(at, (size_t)(line_end - at), &number), 0);
            assert_true(number < limit);
            drawn[number]++;
            count++;
        }
        at = line_end + 2;
    }
    return count;
}

/* ---- HRANDFIELD ------------------------------------------------------------------------------ */

static void a_random_field_is_as_likely_as_the_others(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 2, 40, 128, 129, 700};
    static uint32_t drawn[700];
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct driver driver;
        struct kv_model_text reply = {0};
        char line[64];
        driver_begin(&driver, &machine_kv, PARTITION_BITS);
        fill(&driver, "h", sizes[i]);
        memset(drawn, 0, sizeof(drawn));
        /* 100 of each are expected in either way: a standard deviation of 10. */
        driver.budget = 40;
        snprintf(line, sizeof(line), "HRANDFIELD h -%u", sizes[i] * 100);
        driver_command(&driver, line, &at_1000, &reply);
        assert_int_equal(count_numbers(&reply, sizes[i], drawn), sizes[i] * 100);
        for (uint32_t k = 0; k < sizes[i]; k++)
            assert_in_range(drawn[k], 45, 160);
        memset(drawn, 0, sizeof(drawn));
        for (uint32_t k = 0; k < sizes[i] * 100; k++) {
            driver_command(&driver, "HRANDFIELD h", &at_1000, &reply);
            assert_int_equal(count_numbers(&reply, sizes[i], drawn), 1);
        }
        for (uint32_t k = 0; k < sizes[i]; k++)
            assert_in_range(drawn[k], 45, 160);
        kv_model_text_free(&reply);
        driver_end(&driver);
    }
}

static void fields_drawn_by_a_count_are_different_and_as_likely_as_the_others(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 2, 40, 128, 129, 700};
    static uint32_t drawn[700];
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct driver driver;
        struct kv_model_text reply = {0};
        char line[64];
        const uint32_t many = (sizes[i] + 3) / 4;
        driver_begin(&driver, &machine_kv, PARTITION_BITS);
        fill(&driver, "h", sizes[i]);
        driver.budget = 1;
        snprintf(line, sizeof(line), "HRANDFIELD h %u", many);
        static uint32_t sum[700];
        memset(sum, 0, sizeof(sum));
        for (uint32_t k = 0; k < 200; k++) {
            memset(drawn, 0, sizeof(drawn));
            driver_command(&driver, line, &at_1000, &reply);
            assert_int_equal(count_numbers(&reply, sizes[i], drawn), many);
            for (uint32_t n = 0; n < sizes[i]; n++) {
                assert_true(drawn[n] <= 1);
                sum[n] += drawn[n];
            }
        }
        /* A quarter of 200 is expected: a standard deviation of 6. */
        for (uint32_t n = 0; sizes[i] >= 40 && n < sizes[i]; n++)
            assert_in_range(sum[n], 20, 85);
        /* More than there are: each once, with its value. */
        memset(drawn, 0, sizeof(drawn));
        driver_command(&driver, "HRANDFIELD h 1000 WITHVALUES", &at_1000, &reply);
        assert_int_equal(count_numbers(&reply, sizes[i], drawn), 2 * sizes[i]);
        for (uint32_t n = 0; n < sizes[i]; n++)
            assert_int_equal(drawn[n], 2);
        kv_model_text_free(&reply);
        driver_end(&driver);
    }
}

/* ---- Large hashes ---------------------------------------------------------------------------- */

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

/* maintain, until it has nothing left to do. */
static void maintain(struct driver *driver, uint64_t log_time_ms) {
    slice_began_ns = cpu_ns();
    while (machine_kv.maintain(driver->machine, log_time_ms, driver->budget) == MACHINE_MORE) {
        driver->slices++;
        slice_measured(NULL);
    }
    slice_measured(NULL);
}

enum { LARGE_COUNT = 60000 };

/* A line, or, if it is NULL, maintain a second later. */
static const char *const large_lines[] = {
    "HGETALL {t}h",
    "HKEYS {t}h",
    "HSCAN {t}h 0 COUNT 1000000",
    "HRANDFIELD {t}h 20000",
    "HRANDFIELD {t}h -20000",
    "HRANDFIELD {t}h 1000000",
    "COPY {t}h {t}g",
    "RENAME {t}g {t}i",
    "COPY {t}h elsewhere",
    "RENAME {t}i anywhere",
    "DEL {t}h",
    NULL,
    "SET elsewhere a",
    NULL,
    "PEXPIRE anywhere 500",
    NULL,
};

static void measure_large_lines(uint64_t shortest_ns[ARRAY_COUNT(large_lines)], bool prints) {
    struct driver driver;
    struct kv_model_text reply = {0};
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    fill(&driver, "{t}h", LARGE_COUNT);
    driver.budget = 2000;
    driver.between = slice_measured;
    for (size_t i = 0; i < ARRAY_COUNT(large_lines); i++) {
        const uint64_t slices = driver.slices;
        slice_longest_ns = 0;
        slice_began_ns = cpu_ns();
        if (large_lines[i] != NULL)
            driver_command(&driver, large_lines[i], &at_1000, &reply);
        else
            maintain(&driver, 2000);
        if (slice_longest_ns < shortest_ns[i])
            shortest_ns[i] = slice_longest_ns;
        if (prints)
            printf("  %-28s %6" PRIu64 " slices, the longest %" PRIu64 " us\n",
                   large_lines[i] != NULL ? large_lines[i] : "(maintain)", driver.slices - slices,
                   shortest_ns[i] / 1000);
    }
    driver_expect(&driver, "EXISTS anywhere {t}h {t}g {t}i", &at_1000, ":0\r\n");
    assert_in_range(machine_kv.memory_bytes(driver.machine), 0, 1 << 20);
    kv_model_text_free(&reply);
    driver_end(&driver);
}

/* 2000 units are 200 us by count; the bound on a poll is 1 ms. Two rounds, since a virtual machine
 * counts what its host takes away as time of ours. */
static void nothing_on_large_hashes_takes_long_in_one_call(void **state) {
    (void)state;
    uint64_t longest_ns[ARRAY_COUNT(large_lines)];
    memset(longest_ns, 0xff, sizeof(longest_ns));
    for (uint32_t round = 0; round < 2; round++)
        measure_large_lines(longest_ns, round == 1);
    for (size_t i = 0; i < ARRAY_COUNT(large_lines) && !WEIR_SANITIZER_BUILD; i++)
        assert_true(longest_ns[i] < 1000000);
}

/* A large hash goes in one step, whatever removes it: DEL is one slice, and a few units. */
static void removing_a_large_hash_costs_no_more_than_a_small_one(void **state) {
    (void)state;
    static const char *const lines[] = {"DEL h",      "UNLINK h",   "SET h a", "PEXPIREAT h 1",
                                        "GETSET h a", "RENAME s h", "FLUSHALL"};
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        struct driver driver;
        driver_begin(&driver, &machine_kv, 0);
        driver_command(&driver, "SET s a", &at_1000, NULL);
        fill(&driver, "h", 20000);
        const uint64_t units = driver.units;
        driver_command(&driver, lines[i], &at_1000, NULL);
        assert_in_range(driver.units - units, 1, 100);
        driver_maintain(&driver, 1000);
        driver_end(&driver);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_random_field_is_as_likely_as_the_others),
        cmocka_unit_test(fields_drawn_by_a_count_are_different_and_as_likely_as_the_others),
        cmocka_unit_test(nothing_on_large_hashes_takes_long_in_one_call),
        cmocka_unit_test(removing_a_large_hash_costs_no_more_than_a_small_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
