/* What the load generator records, and that it stops where there is no room. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load_history.h"
#include "tests/cmocka_wrapper.h"

static const char set[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n\0x\r\n";
static const char get[] = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";

static struct load_history history;

static int set_up(void **state) {
    (void)state;
    return load_history_create(&history, 1, 4, 3, 100);
}

static int tear_down(void **state) {
    (void)state;
    load_history_destroy(&history);
    return 0;
}

static uint32_t invoke(const char *request, size_t bytes, uint32_t sequence, uint64_t now_ns) {
    assert_true(load_history_has_room(&history, 1));
    return load_history_invoke(&history, 7, 9, sequence, now_ns, (const uint8_t *)request, bytes);
}

static void more_operations_than_there_is_room_for_are_not_begun(void **state) {
    (void)state;
    assert_true(load_history_has_room(&history, 3));
    (void)invoke(set, sizeof set - 1, 1, 10);
    assert_false(load_history_has_room(&history, 3));
    assert_non_null(history.full);
    assert_false(load_history_has_room(&history, 1)); /* there is no way back */
}

static void a_reply_that_is_too_long_stays_pending_and_ends_the_recording(void **state) {
    (void)state;
    char reply[200];
    memset(reply, 'x', sizeof reply);
    const uint32_t number = invoke(get, sizeof get - 1, 1, 10);
    load_history_return(&history, number, 20, reply, sizeof reply);
    assert_non_null(history.full);
    assert_int_equal(history.history.operations[number].outcome, HISTORY_PENDING);
}

static void values_and_connections_are_nobody_elses(void **state) {
    (void)state;
    struct load_history other;
    uint8_t first[LOAD_HISTORY_UNIQUE_BYTES];
    uint8_t second[LOAD_HISTORY_UNIQUE_BYTES];
    assert_int_equal(load_history_create(&other, 2, 4, 3, 100), 0);
    load_history_unique(&history, first);
    load_history_unique(&other, second);
    assert_memory_not_equal(first, second, sizeof first);
    load_history_unique(&history, second);
    assert_memory_not_equal(first, second, sizeof first);
    assert_int_equal(load_history_connection(&history), 2);
    assert_int_equal(load_history_connection(&history), 6);
    assert_int_equal(load_history_connection(&other), 3);
    load_history_destroy(&other);
}

static void what_is_written_is_what_was_asked_and_answered(void **state) {
    (void)state;
    static const char wanted[] =
        "client 7 connection 9 #1 [10, 20] refused: SET k \\x00x -> -MOVED 1 a:1\\r\\n\n"
        "client 7 connection 9 #2 [30, 40] ok: GET k -> $-1\\r\\n\n"
        "client 7 connection 9 #3 [50, never] unknown: SET k \\x00x\n";
    char path[] = "/tmp/weir_test_history.XXXXXX";
    char found[sizeof wanted + 1] = "";
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    static const char moved[] = "-MOVED 1 a:1\r\n";
    static const char null_of_3[] = "_\r\n";
    load_history_return(&history, invoke(set, sizeof set - 1, 1, 10), 20, moved, sizeof moved - 1);
    load_history_return(&history, invoke(get, sizeof get - 1, 2, 30), 40, null_of_3,
                        sizeof null_of_3 - 1);
    load_history_lose(&history, invoke(set, sizeof set - 1, 3, 50));
    const struct load_history *all = &history;
    struct error_text error = {{0}};
    assert_int_equal(load_history_write(&all, 1, path, &error), 0);
    FILE *file = fdopen(descriptor, "r");
    assert_non_null(file);
    const size_t length = fread(found, 1, sizeof found, file);
    (void)fclose(file);
    (void)remove(path);
    assert_int_equal(length, sizeof wanted - 1);
    assert_memory_equal(found, wanted, length);
    assert_int_equal(load_history_write(&all, 1, "/nonexistent/file", &error), WEIR_EIO);
    assert_non_null(strstr(error.text, "/nonexistent/file"));
}

#define HISTORY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        HISTORY_TEST(more_operations_than_there_is_room_for_are_not_begun),
        HISTORY_TEST(a_reply_that_is_too_long_stays_pending_and_ends_the_recording),
        HISTORY_TEST(values_and_connections_are_nobody_elses),
        HISTORY_TEST(what_is_written_is_what_was_asked_and_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
