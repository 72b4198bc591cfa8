/* Which servers there are, and which one is next. */

#include <stdio.h>
#include <string.h>

#include "bench/load_targets.h"
#include "tests/cmocka_wrapper.h"

static struct load_targets targets;

static int set_up(void **state) {
    (void)state;
    memset(&targets, 0, sizeof targets);
    assert_int_equal(load_targets_add(&targets, "127.0.0.1", "7001"), 0);
    return 0;
}

static void what_is_no_host_and_port_is_refused(void **state) {
    (void)state;
    char host[LOAD_TARGET_HOST_BYTES];
    char port[LOAD_TARGET_PORT_BYTES];
    const char *const wrong[] = {
        "", "host", ":7001", "host:", "host:0", "host:65536", "host:123456", "host:7x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(load_target_parse(wrong[i], strlen(wrong[i]), host, port), WEIR_EINVAL);
    assert_int_equal(load_target_parse("[::1]:7001", 10, host, port), 0);
    assert_string_equal(host, "::1");
    assert_string_equal(port, "7001");
}

static void moved_names_a_server_or_nothing(void **state) {
    (void)state;
    const char *const nothing[] = {"MOVED",
                                   "MOVED ",
                                   "MOVED 12",
                                   "MOVED 12 ",
                                   "MOVED 12 nowhere:x",
                                   "MOVED 12 some.name:7002",
                                   "ERR MOVED 12 127.0.0.1:7002"};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        assert_int_equal(load_targets_moved(&targets, nothing[i], strlen(nothing[i])),
                         LOAD_TARGET_NONE);
    assert_int_equal(targets.count, 1);
    const char *known = "MOVED 12 127.0.0.1:7001";
    const char *other = "MOVED 12 127.0.0.1:7002";
    assert_int_equal(load_targets_moved(&targets, known, strlen(known)), 0);
    assert_false(load_targets_follow(&targets));
    assert_int_equal(load_targets_moved(&targets, other, strlen(other)), 1);
    assert_int_equal(load_targets_moved(&targets, other, strlen(other)), 1);
    assert_true(load_targets_follow(&targets));
}

static void a_full_table_takes_no_more(void **state) {
    (void)state;
    for (uint32_t i = 1; i < LOAD_TARGETS_MAX; i++) {
        char port[LOAD_TARGET_PORT_BYTES];
        snprintf(port, sizeof port, "%u", 7001 + i % 1000);
        assert_int_equal(load_targets_add(&targets, "127.0.0.1", port), i);
    }
    assert_int_equal(load_targets_add(&targets, "127.0.0.1", "9000"), LOAD_TARGET_NONE);
    assert_int_equal(load_targets_add(&targets, "127.0.0.1", "7001"), 0);
}

static void slots(const char *reply) {
    load_targets_slots(&targets, reply, strlen(reply));
}

#define SERVER(port, rest) "*" rest "\r\n$9\r\n127.0.0.1\r\n:" port "\r\n$2\r\nid\r\n"

static void slots_of_one_range_name_all_and_who_leads(void **state) {
    (void)state;
    slots("*1\r\n*5\r\n:0\r\n:16383\r\n" SERVER("7003", "3")
              SERVER("7001", "4") "*0\r\n" SERVER("7002", "3"));
    assert_int_equal(targets.count, 3);
    assert_string_equal(targets.items[targets.preferred].port, "7003");
    assert_true(load_targets_follow(&targets));
}

/* A member that announced nothing has the host "?" and port 0; so may who leads. */
static void slots_name_those_behind_one_whose_address_nobody_knows(void **state) {
    (void)state;
    slots("*1\r\n*5\r\n:0\r\n:16383\r\n" SERVER(
        "7003", "3") "*3\r\n$1\r\n?\r\n:0\r\n$2\r\nid\r\n" SERVER("7002", "3"));
    assert_int_equal(targets.count, 3);
    assert_string_equal(targets.items[2].port, "7002");
    assert_string_equal(targets.items[targets.preferred].port, "7003");
}

static void slots_of_several_ranges_are_nobody_to_follow(void **state) {
    (void)state;
    slots("*2\r\n*3\r\n:0\r\n:8191\r\n" SERVER("7003", "3") "*3\r\n:8192\r\n:16383\r\n" SERVER(
        "7004", "3"));
    assert_int_equal(targets.count, 1);
    assert_true(targets.sharded);
}

static void slots_that_are_cut_anywhere_do_no_harm(void **state) {
    (void)state;
    const char *whole =
        "*1\r\n*4\r\n:0\r\n:16383\r\n" SERVER("7003", "3") SERVER("7002", "4") "*0\r\n";
    for (size_t length = 0; length < strlen(whole); length++) {
        memset(&targets, 0, sizeof targets);
        load_targets_slots(&targets, whole, length);
        assert_in_range(targets.count, 0, 1);
    }
    slots("-ERR unknown command\r\n");
    slots("*0\r\n");
    assert_false(targets.sharded);
}

static void who_is_lost_gives_way_to_the_next_or_to_who_is_preferred(void **state) {
    (void)state;
    (void)load_targets_add(&targets, "127.0.0.1", "7002");
    (void)load_targets_add(&targets, "127.0.0.1", "7003");
    assert_int_equal(load_targets_next(&targets, 0), 1);
    assert_int_equal(load_targets_next(&targets, 0), 1); /* another connection to the same one */
    assert_int_equal(load_targets_next(&targets, 1), 2);
    assert_int_equal(load_targets_next(&targets, 2), 0);
}

#define TARGETS_TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void) {
    const struct CMUnitTest tests[] = {
        TARGETS_TEST(what_is_no_host_and_port_is_refused),
        TARGETS_TEST(moved_names_a_server_or_nothing),
        TARGETS_TEST(a_full_table_takes_no_more),
        TARGETS_TEST(slots_of_one_range_name_all_and_who_leads),
        TARGETS_TEST(slots_name_those_behind_one_whose_address_nobody_knows),
        TARGETS_TEST(slots_of_several_ranges_are_nobody_to_follow),
        TARGETS_TEST(slots_that_are_cut_anywhere_do_no_harm),
        TARGETS_TEST(who_is_lost_gives_way_to_the_next_or_to_who_is_preferred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
