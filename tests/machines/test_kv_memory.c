/*
 * MEMORY USAGE: it grows with what is stored, and the sum over all keys is what the machine's
 * memory has grown by, within a tenth.
 */

#include "machines/kv.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/driver.h"

#include "base/decimal.h"

#include <stdio.h>
#include <string.h>

enum { KEYS = 20000, ELEMENTS = 20000, TENTH = 10, LINE_BYTES = 20000, TYPES = 4 };

static const struct machine_moment at_1000 = {.index = 1, .log_time_ms = 1000, .clock_ms = 1000};

/* The integer that a line is answered by. */
static uint64_t asked(struct driver *driver, const char *line) {
    struct kv_model_text reply = {0};
    uint64_t number;
    driver_command(driver, line, &at_1000, &reply);
    assert_true(reply.length > 3 && reply.data[0] == ':');
    assert_int_equal(decimal_parse_u64(reply.data + 1, reply.length - 3, &number), 0);
    kv_model_text_free(&reply);
    return number;
}

static void another_form_than_usage_and_help_is_refused(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    driver_expect(&driver, "MEMORY DOCTOR", &at_1000,
                  "-ERR unknown subcommand 'DOCTOR'. Try MEMORY HELP.\r\n");
    driver_expect(&driver, "MEMORY USAGE", &at_1000,
                  "-ERR wrong number of arguments for 'memory|usage' command\r\n");
    driver_expect(&driver, "MEMORY HELP k", &at_1000,
                  "-ERR wrong number of arguments for 'memory|help' command\r\n");
    driver_expect(&driver, "MEMORY USAGE k SAMPLES", &at_1000, "-ERR syntax error\r\n");
    driver_expect(&driver, "MEMORY USAGE k SAMPLES -1", &at_1000, "-ERR syntax error\r\n");
    driver_expect(&driver, "MEMORY USAGE k 5 5", &at_1000, "-ERR syntax error\r\n");
    driver_expect(&driver, "MEMORY USAGE k SAMPLES x", &at_1000,
                  "-ERR value is not an integer or out of range\r\n");
    driver_end(&driver);
}

static void an_absent_key_costs_nothing_that_could_be_told(void **state) {
    (void)state;
    const struct machine_moment later = driver_moment(2, 3000);
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    driver_expect(&driver, "MEMORY USAGE k", &at_1000, "$-1\r\n");
    driver_expect(&driver, "SET k v PX 1000", &at_1000, "+OK\r\n");
    driver_expect(&driver, "MEMORY USAGE k", &later, "$-1\r\n");
    driver_end(&driver);
}

static void a_longer_value_costs_more(void **state) {
    (void)state;
    static char line[LINE_BYTES];
    struct driver driver;
    uint64_t before = 0;
    driver_begin(&driver, &machine_kv, 0);
    for (uint32_t bytes = 10; bytes < LINE_BYTES - 16; bytes *= 3) {
        const int head = snprintf(line, sizeof(line), "SET k ");
        memset(line + head, 'x', bytes);
        line[(uint32_t)head + bytes] = 0;
        driver_expect(&driver, line, &at_1000, "+OK\r\n");
        const uint64_t costs = asked(&driver, "MEMORY USAGE k");
        assert_true(costs > before && costs > bytes);
        before = costs;
    }
    const uint64_t stays = asked(&driver, "MEMORY USAGE k");
    driver_expect(&driver, "PEXPIRE k 100000", &at_1000, ":1\r\n");
    assert_true(asked(&driver, "MEMORY USAGE k") > stays);
    driver_end(&driver);
}

static void the_sum_over_all_keys_is_what_the_memory_has_grown_by(void **state) {
    (void)state;
    static char line[LINE_BYTES];
    struct driver driver;
    uint64_t sum = 0;
    driver_begin(&driver, &machine_kv, 0);
    const uint64_t before = machine_kv.memory_bytes(driver.machine);
    for (uint32_t i = 0; i < KEYS; i++) {
        const int head = snprintf(line, sizeof(line), "SET key:%u ", i);
        const uint32_t bytes = i % 100 == 0 ? 6000 : i % 200; /* one in a hundred lies apart */
        memset(line + head, 'x', bytes);
        snprintf(line + head + bytes, 16, "%s", i % 3 == 0 ? " PX 100000" : "");
        driver_command(&driver, line, &at_1000, NULL);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(line, sizeof(line), "MEMORY USAGE key:%u", i);
        sum += asked(&driver, line);
    }
    const uint64_t grown = machine_kv.memory_bytes(driver.machine) - before;
    assert_in_range(sum, grown - grown / TENTH, grown + grown / TENTH);
    driver_end(&driver);
}

/* Adds elements of two lengths in turn to the key c. */
static void fill(struct driver *driver, size_t type, uint32_t count) {
    static const char *const begins[TYPES] = {"RPUSH c ", "SADD c ", "ZADD c 1 ", "HSET c "};
    static const char *const ends[TYPES] = {"", "", "", " v"};
    char line[256];
    for (uint32_t i = 0; i < count; i++) {
        snprintf(line, sizeof(line), "%s%u%s%s", begins[type], i,
                 i % 2 == 0 ? "-an-element-of-more-than-a-few-bytes-that-lies-apart" : "",
                 ends[type]);
        driver_command(driver, line, &at_1000, NULL);
    }
}

/* Of each type. What is compact and grows leaves pages of each size of record behind, which the
 * partition keeps: so it has had one before. */
static void a_large_collection_costs_what_the_memory_has_grown_by(void **state) {
    (void)state;
    for (size_t type = 0; type < TYPES; type++) {
        struct driver driver;
        driver_begin(&driver, &machine_kv, 0);
        fill(&driver, type, ELEMENTS / 100);
        driver_expect(&driver, "DEL c", &at_1000, ":1\r\n");
        driver_maintain(&driver, 1000);
        const uint64_t before = machine_kv.memory_bytes(driver.machine);
        fill(&driver, type, ELEMENTS);
        const uint64_t grown = machine_kv.memory_bytes(driver.machine) - before;
        driver.budget = 100;
        const uint64_t slices = driver.slices;
        const uint64_t all = asked(&driver, "MEMORY USAGE c SAMPLES 0");
        assert_true(driver.slices - slices >= ELEMENTS / 100); /* in slices */
        assert_in_range(all, grown - grown / TENTH, grown + grown / TENTH);
        const uint64_t some = asked(&driver, "MEMORY USAGE c SAMPLES 100");
        assert_in_range(some, all - all / 4, all + all / 4);
        driver.budget = UINT32_MAX;
        driver_end(&driver);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_form_than_usage_and_help_is_refused),
        cmocka_unit_test(an_absent_key_costs_nothing_that_could_be_told),
        cmocka_unit_test(a_longer_value_costs_more),
        cmocka_unit_test(the_sum_over_all_keys_is_what_the_memory_has_grown_by),
        cmocka_unit_test(a_large_collection_costs_what_the_memory_has_grown_by),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
