/* When a key was changed last: what WATCH is about. */

#include "machines/kv.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/driver.h"

#include <stdlib.h>
#include <string.h>

/* A key as it is now, to be asked about later. */
static struct machine_watch watch(const struct driver *driver, const char *key, uint64_t index,
                                  uint64_t now_ms) {
    const struct machine_argument argument = {(const uint8_t *)key, (uint32_t)strlen(key)};
    const uint64_t hash =
        machine_key_hash(argument.data, argument.length_bytes, driver->options.hash_seed);
    const struct machine_moment moment = driver_moment(index, now_ms);
    return (struct machine_watch){
        .key = argument,
        .hash = hash,
        .index = index,
        .present = machine_kv.holds(driver->machine, &argument, hash, &moment),
    };
}

static bool changed(const struct driver *driver, const struct machine_watch *watch, uint64_t index,
                    uint64_t now_ms) {
    const struct machine_moment moment = driver_moment(index, now_ms);
    return machine_kv.changed(driver->machine, watch, &moment);
}

static void command(struct driver *driver, const char *line, uint64_t index, uint64_t now_ms) {
    const struct machine_moment moment = driver_moment(index, now_ms);
    driver_command(driver, line, &moment, NULL);
}

static void a_record_is_asked_whether_it_changed_after_an_entry(void **state) {
    (void)state;
    struct kv_record record = {.change = 100};
    assert_false(kv_changed_after(&record, 100, 100)); /* watched after that very entry */
    assert_false(kv_changed_after(&record, 100, 5000));
    assert_true(kv_changed_after(&record, 99, 5000));
    /* Beyond 2^32 entries of history the low half goes round, and ages are still right. */
    const uint64_t round = UINT64_C(1) << 32;
    record.change = UINT32_MAX; /* of entry 2^33 - 1 */
    assert_true(kv_changed_after(&record, 2 * round - 2, 2 * round + 7));
    assert_false(kv_changed_after(&record, 2 * round - 1, 2 * round + 7));
    /* A key at rest for long is not taken for one that changed ... */
    record.change = 100;
    assert_false(kv_changed_after(&record, round / 2 + 200, round / 2 + 300));
    assert_false(kv_changed_after(&record, round + 90, round + 99));
    /* ... but for a moment each 2^32 entries, when the ages are equal modulo that. */
    assert_true(kv_changed_after(&record, round + 99, round + 101));
}

/* What each command does to a watched key that is there, and to one that is not. */
static void a_watched_key_counts_as_changed_by_what_touches_it(void **state) {
    (void)state;
    static const struct {
        const char *line;
        bool present;
        bool absent;
    } cases[] = {
        {"GET p", false, false},        {"SET other 1", false, false},
        {"SET p 2 NX", false, false},   {"EXPIRE p 100 XX", false, false},
        {"PERSIST p", false, false},    {"DEL a", false, false},
        {"GETEX p", false, false},      {"SET p 1", true, false},
        {"APPEND p x", true, false},    {"SETRANGE p 0 x", true, false},
        {"EXPIRE p 100", true, false},  {"PEXPIREAT p 1", true, false},
        {"DEL p", true, false},         {"RENAME p q", true, false},
        {"RENAME q p", true, false},    {"RENAME q a", false, true},
        {"COPY q a", false, true},      {"SET a 1", false, true},
        {"SET a 1 PX 10", false, true}, {"INCR a", false, true},
        {"SETBIT a 1 1", false, true},  {"FLUSHALL", true, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct driver driver;
        driver_begin(&driver, &machine_kv, 4);
        command(&driver, "MSET p 1 q 1", 5, 1000);
        command(&driver, "SET a 1", 6, 1000);
        command(&driver, "DEL a", 7, 1000);
        const struct machine_watch present = watch(&driver, "p", 7, 1000);
        const struct machine_watch absent = watch(&driver, "a", 7, 1000);
        assert_true(present.present && !absent.present);
        command(&driver, cases[i].line, 8, 1001);
        if (changed(&driver, &present, 9, 1001) != cases[i].present ||
            changed(&driver, &absent, 9, 1001) != cases[i].absent)
            fail_msg("after %s", cases[i].line);
        driver_end(&driver);
    }
}

static void a_key_that_came_and_went_meanwhile_counts_as_changed(void **state) {
    (void)state;
    static const char *const went[][2] = {
        {"SET a 1", "DEL a"},        {"SET a 1", "FLUSHALL"},         {"SET a 1", "RENAME a b"},
        {"SET a 1", "GETDEL a"},     {"SET a 1 PX 10", "TTL a"},      {"SET a 1", "PEXPIRE a 10"},
        {"SET a 1", "EXPIREAT a 1"}, {"SET b 1 PX 10", "RENAME b a"}, {"SET b 1 PX 10", "COPY b a"},
        {"HSET a f 1", "HDEL a f"},  {"HSET a f 1", "RENAME a b"},
    };
    for (size_t i = 0; i < sizeof(went) / sizeof(went[0]); i++) {
        struct driver driver;
        driver_begin(&driver, &machine_kv, 0);
        const struct machine_watch absent = watch(&driver, "a", 4, 1000);
        command(&driver, went[i][0], 5, 1000);
        command(&driver, went[i][1], 6, 1000);
        const struct machine_watch later = watch(&driver, "a", 6, 2000);
        assert_false(later.present);
        /* Whether it was removed already must not matter: replicas do that when they have time. */
        for (uint32_t maintained = 0; maintained < 2; maintained++) {
            if (!changed(&driver, &absent, 7, 2000) || changed(&driver, &later, 7, 2000))
                fail_msg("after %s and %s", went[i][0], went[i][1]);
            driver_maintain(&driver, 2000);
        }
        driver_end(&driver);
    }
}

static void a_key_that_expires_while_it_is_watched_counts_as_changed(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 2);
    command(&driver, "SET p 1 PX 100", 5, 1000);
    const struct machine_watch present = watch(&driver, "p", 5, 1000);
    const struct machine_watch due = watch(&driver, "p", 5, 1100);
    assert_true(present.present && !due.present);
    for (uint32_t maintained = 0; maintained < 2; maintained++) {
        assert_false(changed(&driver, &present, 6, 1099) && maintained == 0);
        assert_true(changed(&driver, &present, 6, 1100));
        assert_false(changed(&driver, &due, 6, 1100));
        driver_maintain(&driver, 1100);
    }
    driver_end(&driver);
}

/* A machine that begins from a snapshot must answer as one that saw it all. */
static void a_snapshot_knows_what_changed_and_what_is_gone(void **state) {
    (void)state;
    struct driver driver;
    struct driver copy;
    struct random random;
    struct kv_model_text bytes = {0};
    random_seed(&random, 3);
    driver_begin(&driver, &machine_kv, 4);
    driver_begin(&copy, &machine_kv, 4);
    command(&driver, "SET early 1", 5, 1000);
    const struct machine_watch early = watch(&driver, "early", 6, 1000);
    const struct machine_watch late = watch(&driver, "late", 6, 1000);
    const struct machine_watch gone = watch(&driver, "gone", 6, 1000);
    const struct machine_watch never = watch(&driver, "never", 6, 1000);
    command(&driver, "SET late 1", 7, 1000);
    command(&driver, "SET gone 1 PX 1", 8, 1000);
    const struct machine_moment moment = driver_moment(9, 2000);
    driver_snapshot(&driver, &moment, &bytes);
    assert_int_equal(driver_restore(&copy, &bytes, &random), 0);
    assert_false(changed(&copy, &early, 10, 2000));
    assert_true(changed(&copy, &late, 10, 2000));
    assert_true(changed(&copy, &gone, 10, 2000));
    assert_false(changed(&copy, &never, 10, 2000));
    command(&copy, "FLUSHALL", 11, 2000);
    command(&driver, "FLUSHALL", 11, 2000);
    const struct machine_watch after = watch(&copy, "never", 9, 2000);
    assert_false(changed(&copy, &after, 12, 2000)); /* nothing came between 9 and the flush */
    assert_true(changed(&copy, &never, 12, 2000) && changed(&driver, &never, 12, 2000));
    kv_model_text_free(&bytes);
    driver_end(&copy);
    driver_end(&driver);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_asked_whether_it_changed_after_an_entry),
        cmocka_unit_test(a_watched_key_counts_as_changed_by_what_touches_it),
        cmocka_unit_test(a_key_that_came_and_went_meanwhile_counts_as_changed),
        cmocka_unit_test(a_key_that_expires_while_it_is_watched_counts_as_changed),
        cmocka_unit_test(a_snapshot_knows_what_changed_and_what_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
