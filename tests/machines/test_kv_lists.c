/*
 * Lists: what the comparison with Redis (test_kv_lists_redis.c) does not see. Replicas that differ
 * in budgets, snapshots and listeners are equal; nothing takes long in one call; elements as long
 * as a value; what is emptied leaves no memory behind.
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "machines/kv_list.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/kv_replicas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITION_BITS = KV_REPLICAS_PARTITION_BITS };

static const struct machine_moment at_1000 = {.index = 1, .log_time_ms = 1000, .clock_ms = 1000};

/* ---- Replicas -------------------------------------------------------------------------------- */

static void a_snapshot_and_the_rest_of_the_log_give_the_same_as_the_log(void **state) {
    (void)state;
    kv_replicas_snapshot_and_rest(kv_templates_list, 20000);
}

static void a_snapshot_is_of_its_beginning_whatever_is_changed_meanwhile(void **state) {
    (void)state;
    kv_replicas_snapshot_is_of_its_beginning(kv_templates_list, 40000);
}

/* ---- Slices ---------------------------------------------------------------------------------- */

/* Appends elements "0", "1", ... up to count to a list, many in a command. */
static void list_fill(struct driver *driver, const char *key, uint32_t count) {
    enum { WORDS = 1000 };
    static char text[WORDS][12];
    struct kv_model_word words[WORDS + 2] = {{"RPUSH", 5}, {key, strlen(key)}};
    for (uint32_t at = 0; at < count;) {
        size_t word = 0;
        for (; word < WORDS && at < count; word++, at++) {
            const int length = snprintf(text[word], sizeof(text[word]), "%u", at);
            words[word + 2] = (struct kv_model_word){text[word], (size_t)length};
        }
        driver_execute(driver, words, word + 2, &at_1000, NULL);
    }
}

/* How many units the command takes. */
static uint64_t units_of(struct driver *driver, const char *line) {
    const uint64_t before = driver->units;
    struct kv_model_text reply = {0};
    driver_command(driver, line, &at_1000, &reply);
    assert_true(reply.data[0] != '-' || reply.data[1] == '1');
    kv_model_text_free(&reply);
    return driver->units - before;
}

/* A slice ends when its budget does, but for the smallest step that leaves things whole. */
static void commands_on_long_lists_are_cut_into_slices(void **state) {
    (void)state;
    enum { COUNT = 100000, BUDGET = 500 };
    static const char *const lines[] = {
        "LRANGE l 0 -1",           "LPOS l none",
        "LPOS l none RANK -1",     "LREM l 0 77",
        "LREM l -1 none",          "LINSERT l BEFORE none x",
        "LINSERT l AFTER 99998 x", "LPOP l 20000",
        "LTRIM l 20000 -20000",
    };
    struct driver driver;
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    list_fill(&driver, "l", COUNT);
    driver.budget = BUDGET;
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        const uint64_t slices = driver.slices;
        const uint64_t units = units_of(&driver, lines[i]);
        printf("  %-26s %llu slices, %llu units\n", lines[i],
               (unsigned long long)(driver.slices - slices), (unsigned long long)units);
        assert_true(driver.slices - slices >= 10);
        assert_true(units <= (driver.slices - slices) * BUDGET);
    }
    driver_end(&driver);
}

/* What Redis does in O(1), or we in O(log n): the units do not grow with the list. */
static void commands_at_known_places_cost_little_on_long_lists(void **state) {
    (void)state;
    static const char *const lines[] = {
        "LPUSH l x",
        "RPUSH l x",
        "LPOP l",
        "RPOP l",
        "LLEN l",
        "LINDEX l 50000",
        "LINDEX l -50000",
        "LSET l 50000 y",
        "LMOVE l l LEFT RIGHT",
        "LMOVE l m RIGHT LEFT",
        "RPOPLPUSH l l",
        "LMPOP 2 none l LEFT",
        "LRANGE l 50000 50003",
        "LTRIM l 1 -2",
        "RENAME l n",
        "RENAME n l",
        "DEL l",
    };
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    list_fill(&driver, "l", 100000);
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
        assert_in_range(units_of(&driver, lines[i]), 1, 60);
    driver_end(&driver);
}

/* ---- Long elements --------------------------------------------------------------------------- */

enum { LONG_BYTES = 3 << 20 };

static struct kv_model_word long_word(char fill) {
    char *data = malloc(LONG_BYTES);
    ASSERT(data != NULL);
    memset(data, fill, LONG_BYTES);
    return (struct kv_model_word){data, LONG_BYTES};
}

static void assert_reply(const struct kv_model_text *reply, const char *expected) {
    assert_int_equal(reply->length, strlen(expected));
    assert_memory_equal(reply->data, expected, reply->length);
}

static void elements_of_megabytes_are_pushed_found_moved_and_popped(void **state) {
    (void)state;
    struct driver driver;
    struct kv_model_text reply = {0};
    struct kv_model_word a = long_word('a');
    struct kv_model_word b = long_word('b');
    driver_begin(&driver, &machine_kv, PARTITION_BITS);
    driver.budget = 300;
    const struct kv_model_word push[] = {{"RPUSH", 5}, {"l", 1}, {"x", 1}, a, b, {"y", 1}};
    const uint64_t slices = driver.slices;
    driver_execute(&driver, push, ARRAY_COUNT(push), &at_1000, &reply);
    assert_reply(&reply, ":4\r\n");
    assert_true(driver.slices - slices >= 2 * LONG_BYTES / (300 * KV_UNIT_BYTES + KV_SLICE_BYTES));
    const struct kv_model_word find[] = {{"LPOS", 4}, {"l", 1}, b};
    driver_execute(&driver, find, ARRAY_COUNT(find), &at_1000, &reply);
    assert_reply(&reply, ":2\r\n");
    const struct kv_model_word insert[] = {{"LINSERT", 7}, {"l", 1}, {"BEFORE", 6}, b, a};
    driver_execute(&driver, insert, ARRAY_COUNT(insert), &at_1000, &reply);
    assert_reply(&reply, ":5\r\n");
    const struct kv_model_word set[] = {{"LSET", 4}, {"l", 1}, {"0", 1}, b};
    driver_execute(&driver, set, ARRAY_COUNT(set), &at_1000, &reply);
    assert_reply(&reply, "+OK\r\n");
    /* b a a b y */
    const struct kv_model_word rem[] = {{"LREM", 4}, {"l", 1}, {"-1", 2}, a};
    driver_execute(&driver, rem, ARRAY_COUNT(rem), &at_1000, &reply);
    assert_reply(&reply, ":1\r\n");
    for (uint32_t i = 0; i < 20; i++) { /* through several partitions */
        char line[64];
        snprintf(line, sizeof(line), "LMOVE %s%u m%u LEFT RIGHT", i == 0 ? "l" : "m", i, i + 1);
        if (i == 0)
            snprintf(line, sizeof(line), "LMOVE l m1 LEFT RIGHT");
        driver_command(&driver, line, &at_1000, &reply);
        assert_int_equal(reply.length, LONG_BYTES + strlen("$3145728\r\n\r\n"));
        assert_memory_equal(reply.data + strlen("$3145728\r\n"), b.data, LONG_BYTES);
    }
    driver_expect(&driver, "DBSIZE", &at_1000, ":2\r\n");
    driver_expect(&driver, "LLEN l", &at_1000, ":3\r\n"); /* a b y */
    driver_command(&driver, "LPOP l 2", &at_1000, &reply);
    assert_memory_equal(reply.data, "*2\r\n$3145728\r\naaa", 17);
    driver_expect(&driver, "LRANGE l 0 -1", &at_1000, "*1\r\n$1\r\ny\r\n");
    kv_model_text_free(&reply);
    free((void *)(uintptr_t)a.data);
    free((void *)(uintptr_t)b.data);
    driver_end(&driver);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void a_list_that_was_removed_gives_its_memory_back_in_slices(void **state) {
    (void)state;
    static const char *const ways[] = {"DEL l",         "SET l x",       "LTRIM l 5 1",
                                       "LPOP l 200000", "PEXPIREAT l 1", "LPOP l 199999"};
    for (size_t i = 0; i < ARRAY_COUNT(ways); i++) {
        struct driver driver;
        driver_begin(&driver, &machine_kv, 0);
        driver_expect(&driver, "SET other x", &at_1000, "+OK\r\n");
        list_fill(&driver, "l", 200000);
        const uint64_t full_bytes = machine_kv.memory_bytes(driver.machine);
        driver_command(&driver, ways[i], &at_1000, NULL);
        driver.budget = 100;
        assert_true(driver_maintain(&driver, 1000) >= (i < 5 ? 1000 : 1));
        assert_in_range(machine_kv.memory_bytes(driver.machine), 1, full_bytes / 10);
        driver_end(&driver);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_and_the_rest_of_the_log_give_the_same_as_the_log),
        cmocka_unit_test(a_snapshot_is_of_its_beginning_whatever_is_changed_meanwhile),
        cmocka_unit_test(commands_on_long_lists_are_cut_into_slices),
        cmocka_unit_test(commands_at_known_places_cost_little_on_long_lists),
        cmocka_unit_test(elements_of_megabytes_are_pushed_found_moved_and_popped),
        cmocka_unit_test(a_list_that_was_removed_gives_its_memory_back_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
