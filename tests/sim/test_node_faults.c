/*
 * Faults of the disk under a whole node: a sync or a write that fails is the end, with a sentence,
 * and nothing that was not stored before is acknowledged; a full disk refuses writes, goes on
 * serving reads, and recovers; a slow disk only takes time.
 */

#include "tests/sim/node_world.h"

#include <errno.h>
#include <string.h>

static void begin(struct node_world *test, uint64_t seed, const char *map) {
    node_world_init(test, seed, false);
    test->options.map = map;
    node_world_start(test);
}

/* The nth operation of a sort fails; what was acknowledged nevertheless must survive a power cut
 * that keeps nothing else. */
static void fail_once(enum world_disk_operation operation, uint32_t nth, int error,
                      const char *map) {
    struct node_world test;
    begin(&test, 100 + nth, map);
    node_world_expect(&test, load_run(&test.load, 50), "commands are answered");
    test.load.refusals_expected = true;
    world_disk_fail(test.world, test.host, operation, nth, 1, error);
    node_world_expect(&test, load_run(&test.load, 1000000), "the process ends");
    assert_true(sim_node_ended(test.load.node));
    const char *sentence = sim_node_failure(test.load.node);
    assert_non_null(sentence);
    if (strstr(sentence, ".log") == NULL && strstr(sentence, "log") == NULL)
        fail_msg("the sentence names no file: %s", sentence);
    node_world_power_cut(&test, WORLD_KEEP_NOTHING);
    node_world_start(&test);
    node_world_expect(&test, load_settle(&test.load), "what was acknowledged was stored");
    node_world_expect(&test, load_run(&test.load, 20), "it serves again");
    node_world_expect(&test, load_drain(&test.load), "every command is answered");
    node_world_stop(&test);
    node_world_free(&test);
}

static void test_a_sync_that_fails_ends_the_node_and_acknowledges_nothing(void **state) {
    (void)state;
    static const char *const maps[] = {"fused", "pair", "split"};
    for (uint32_t nth = 1; nth <= 12; nth++)
        fail_once(WORLD_DISK_SYNC, nth, -EIO, maps[nth % 3]);
}

static void test_a_write_that_fails_ends_the_node_and_acknowledges_nothing(void **state) {
    (void)state;
    static const char *const maps[] = {"fused", "pair", "split"};
    for (uint32_t nth = 1; nth <= 12; nth++)
        fail_once(WORLD_DISK_WRITE, nth, nth % 2 == 0 ? -EIO : -ENOSPC, maps[nth % 3]);
}

/* Lets time pass with the load going on. */
static void pass_time(struct node_world *test, uint64_t ns) {
    uint64_t until_ns = world_now_ns(test->world) + ns;
    while (world_now_ns(test->world) < until_ns)
        node_world_expect(test, load_run(&test->load, 1), "commands are answered or refused");
}

static void test_a_full_disk_refuses_writes_serves_reads_and_recovers(void **state) {
    (void)state;
    static const char *const maps[] = {"fused", "pair", "split"};
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct node_world test;
        begin(&test, 200 + seed, maps[seed - 1]);
        test.load.options.value_bytes_max = 40000;
        test.load.options.large_share = 30;
        node_world_expect(&test, load_run(&test.load, 20), "commands are answered");
        world_disk_capacity(test.world, test.host, world_disk_used_bytes(test.world, test.host));
        test.load.refusals_expected = true;
        while (test.load.refused < 20)
            node_world_expect(&test, load_run(&test.load, 1), "commands are answered or refused");
        node_world_expect(&test, load_drain(&test.load), "every command is answered");
        const struct node *figures = sim_node_figures(test.load.node);
        assert_int_equal(node_figure(&figures->replicate.log_full), 1);
        uint64_t reads = node_figure(&figures->apply.reads);
        uint64_t writes = node_figure(&figures->apply.writes);
        node_world_expect(&test, load_run(&test.load, 200), "commands are answered or refused");
        node_world_expect(&test, load_drain(&test.load), "every command is answered");
        assert_true(node_figure(&figures->apply.reads) > reads + 20);
        assert_int_equal(node_figure(&figures->apply.writes), writes);
        world_disk_capacity(test.world, test.host, UINT64_C(1) << 40);
        pass_time(&test, UINT64_C(2000000000));
        node_world_expect(&test, load_drain(&test.load), "every command is answered");
        test.load.refusals_expected = false;
        node_world_expect(&test, load_run(&test.load, 200), "it has recovered");
        node_world_expect(&test, load_drain(&test.load), "every command is answered");
        node_world_expect(&test, load_settle(&test.load), "a refused write was not done");
        node_world_stop(&test);
        node_world_start(&test);
        node_world_expect(&test, load_settle(&test.load), "and is not there after a restart");
        node_world_stop(&test);
        node_world_free(&test);
    }
}

static void test_a_slow_disk_only_takes_time(void **state) {
    (void)state;
    struct node_world test;
    begin(&test, 300, "split");
    world_disk_delay(test.world, test.host, 100 * UINT64_C(1000000), 2000 * UINT64_C(1000000));
    node_world_expect(&test, load_run(&test.load, 300), "commands are answered");
    node_world_expect(&test, load_drain(&test.load), "every command is answered");
    node_world_expect(&test, load_settle(&test.load), "what is there is what was answered");
    node_world_stop(&test);
    node_world_free(&test);
}

/* One question on a connection of its own; the world goes on until `answer` is there, or until all
 * is at rest.  Returns how much of it came. */
static size_t ask(struct node_world *test, const char *question, char *answer, size_t length) {
    struct world_client *client = world_client_connect(test->world, test->host, SIM_NODE_PORT);
    assert_non_null(client);
    assert_int_equal(world_client_send(client, question, strlen(question)), strlen(question));
    size_t got = 0;
    while (got < length) {
        got += world_client_receive(client, answer + got, length - got);
        if (got < length && !load_step(&test->load))
            break;
    }
    world_client_reset(client);
    return got;
}

static void test_while_the_disk_stalls_reads_are_served_and_no_write_is_acknowledged(void **state) {
    (void)state;
    char answer[8];
    static const char *const maps[] = {"fused", "pair", "split"};
    for (size_t i = 0; i < ARRAY_COUNT(maps); i++) {
        struct node_world test;
        begin(&test, 400 + i, maps[i]);
        assert_int_equal(ask(&test, "SET a 1\r\n", answer, 5), 5);
        world_disk_stall(test.world, test.host, true);
        assert_int_equal(ask(&test, "SET a 2\r\n", answer, 5), 0);
        assert_int_equal(ask(&test, "GET a\r\n", answer, 7), 7);
        assert_memory_equal(answer, "$1\r\n1\r\n", 7);
        world_disk_stall(test.world, test.host, false);
        assert_int_equal(ask(&test, "SET b 3\r\n", answer, 5), 5);
        assert_int_equal(ask(&test, "GET a\r\n", answer, 7), 7);
        assert_memory_equal(answer, "$1\r\n2\r\n", 7);
        node_world_stop(&test);
        node_world_free(&test);
    }
}

/* With DURABILITY_WRITE a power cut may lose what was answered: the promise is void, and it shows
 * that the power cut and the judgement bite. */
static void test_without_fsync_a_power_cut_is_found_to_lose_answered_writes(void **state) {
    (void)state;
    uint32_t found = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct node_world test;
        node_world_init(&test, 500 + seed, false);
        test.options.durability = DURABILITY_WRITE;
        node_world_start(&test);
        node_world_expect(&test, load_run(&test.load, 100), "commands are answered");
        node_world_power_cut(&test, WORLD_KEEP_NOTHING);
        test.durable_index = 0; /* so far as it promised */
        test.log_time_ms = 0;
        node_world_start(&test);
        found += !load_settle(&test.load);
        test.load.finding[0] = '\0';
        node_world_stop(&test);
        node_world_free(&test);
    }
    assert_true(found >= 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sync_that_fails_ends_the_node_and_acknowledges_nothing),
        cmocka_unit_test(test_a_write_that_fails_ends_the_node_and_acknowledges_nothing),
        cmocka_unit_test(test_a_full_disk_refuses_writes_serves_reads_and_recovers),
        cmocka_unit_test(test_a_slow_disk_only_takes_time),
        cmocka_unit_test(test_while_the_disk_stalls_reads_are_served_and_no_write_is_acknowledged),
        cmocka_unit_test(test_without_fsync_a_power_cut_is_found_to_lose_answered_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
