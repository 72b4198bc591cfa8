/* Large tables: what is refused, what is caught, and that what is not touched costs nothing. */

#include "stages/pages.h"

#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

enum { COUNT = 1000, SIZE = 1056 }; /* not whole pages: 1,056,000 bytes are 257.8 of 4096 */

static void more_than_a_size_can_say_is_refused(void **state) {
    (void)state;
    assert_null(pages_create(SIZE_MAX, 2));
    assert_null(pages_create(2, SIZE_MAX));
    assert_null(pages_create(SIZE_MAX / 2, 1));
    pages_destroy(NULL, 1, 1);
}

static uint8_t *victim;

static void touch_before(void *context) {
    (void)context;
    signal(SIGSEGV, SIG_DFL); /* cmocka has a handler */
    /* The table stands at the end of its pages: their begin is less than a page before it. */
    victim[-sysconf(_SC_PAGESIZE)] = 1;
}

static void touch_behind(void *context) {
    (void)context;
    signal(SIGSEGV, SIG_DFL);
    victim[(size_t)COUNT * SIZE] = 1;
}

static void touch_what_is_gone(void *context) {
    (void)context;
    signal(SIGSEGV, SIG_DFL);
    victim[0] = 1;
}

static void expect_fault(void (*action)(void *context)) {
    struct death death;
    death_run(action, NULL, &death);
    assert_int_equal(death.signal_number, SIGSEGV);
}

static void an_access_outside_ends_the_process(void **state) {
    (void)state;
    assert_int_equal((size_t)COUNT * SIZE % 64, 0); /* so that there is nothing uncaught behind */
    victim = pages_create(COUNT, SIZE);
    assert_non_null(victim);
    victim[0] = 1;
    victim[(size_t)COUNT * SIZE - 1] = 1;
    expect_fault(touch_before);
    expect_fault(touch_behind);
    pages_destroy(victim, COUNT, SIZE);
    expect_fault(touch_what_is_gone);
}

static void a_table_is_zero_and_its_begin_is_aligned(void **state) {
    (void)state;
    for (size_t count = 1; count < 300; count += 7) {
        for (int again = 0; again < 2; again++) {
            uint8_t *table = pages_create(count, 24);
            assert_non_null(table);
            assert_int_equal((uintptr_t)table % 64, 0);
            for (size_t i = 0; i < 24 * count; i++) {
                assert_int_equal(table[i], 0);
                table[i] = 0xff;
            }
            pages_destroy(table, count, 24);
        }
    }
}

static void what_is_not_touched_is_not_backed(void **state) {
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *table = pages_create(64, page);
    assert_non_null(table);
    table[5 * page] = 1;
    unsigned char resident[64];
    assert_int_equal(mincore(table, 64 * page, resident), 0);
    int count = 0;
    for (int i = 0; i < 64; i++) {
        count += resident[i] & 1;
    }
    assert_int_equal(count, 1);
    pages_destroy(table, 64, page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_than_a_size_can_say_is_refused),
        cmocka_unit_test(an_access_outside_ends_the_process),
        cmocka_unit_test(a_table_is_zero_and_its_begin_is_aligned),
        cmocka_unit_test(what_is_not_touched_is_not_backed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
