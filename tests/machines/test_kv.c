/* The kv machine: each command's replies, time, memory and slices, one behaviour a test. */

#include "machines/kv.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/driver.h"

#include <stdlib.h>

static const struct machine_moment at_1000 = {.index = 1, .log_time_ms = 1000, .clock_ms = 1000};

static void a_value_is_set_and_got(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 4);
    driver_expect(&driver, "GET a", &at_1000, "$-1\r\n");
    driver_expect(&driver, "set a 1", &at_1000, "+OK\r\n");
    driver_expect(&driver, "gEt a", &at_1000, "$1\r\n1\r\n");
    driver_expect(&driver, "set a 2 NX", &at_1000, "$-1\r\n");
    driver_expect(&driver, "set a 2 XX GET", &at_1000, "$1\r\n1\r\n");
    driver_expect(&driver, "MSET b 1 c 2 b 3", &at_1000, "+OK\r\n");
    driver_expect(&driver, "MGET a b nothing c", &at_1000,
                  "*4\r\n$1\r\n2\r\n$1\r\n3\r\n$-1\r\n$1\r\n2\r\n");
    driver_expect(&driver, "DEL a b nothing b", &at_1000, ":2\r\n");
    driver_expect(&driver, "DBSIZE", &at_1000, ":1\r\n");
    driver_end(&driver);
}

static void a_key_is_absent_from_its_deadline_on(void **state) {
    (void)state;
    struct driver driver;
    driver_begin(&driver, &machine_kv, 0);
    driver_expect(&driver, "SET a 1 PX 500", &at_1000, "+OK\r\n");
    const struct machine_moment before = {.index = 2, .log_time_ms = 1499, .clock_ms = 9999};
    driver_expect(&driver, "GET a", &before, "$1\r\n1\r\n");
    driver_expect(&driver, "PTTL a", &before, ":1\r\n");
    assert_int_equal(machine_kv.next_deadline_ms(driver.machine), 1500);
    const struct machine_moment after = driver_moment(3, 1500);
    driver_expect(&driver, "GET a", &after, "$-1\r\n");
    driver_expect(&driver, "DBSIZE", &after, ":0\r\n");
    driver_expect(&driver, "KEYS *", &after, "*0\r\n");
    driver_expect(&driver, "SET a 2 NX KEEPTTL", &after, "+OK\r\n");
    driver_expect(&driver, "TTL a", &after, ":-1\r\n");
    driver_end(&driver);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_set_and_got),
        cmocka_unit_test(a_key_is_absent_from_its_deadline_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
