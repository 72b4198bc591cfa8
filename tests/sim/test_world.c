/* The simulated world as a whole: one seed, one history; clocks; the order of events. */

#include "tests/sim/host.h"

#include "base/random.h"

#include <errno.h>
#include <stdio.h>

static const uint64_t MS_NS = 1000000;

/* A bit of everything; returns the hash of all that happened. */
static uint64_t history(uint64_t seed, void (*each)(void *context, const char *line),
                        void *context) {
    struct world_options options = world_options_rough();
    options.accept_error_chance = 0;
    struct host host;
    host_boot(&host, seed, &options);
    world_trace_to(host.world, each, context);
    struct error_text error;
    int32_t listener;
    assert_int_equal(io_listen(host.io, "0.0.0.0:80", 16, &listener, &error), 0);
    struct world_client *client = world_client_connect(host.world, 0, 80);
    io_accept_start(host.port, listener, 1);
    int32_t socket = io_wait(host.port).result;
    int32_t file = host_create(&host, "a");
    io_receive_start(host.port, socket, 0, 2);
    io_timer_set(host.port, io_monotonic_ns(host.io) + 100 * MS_NS, 3);
    bool timed_out = false;
    while (!timed_out) {
        world_client_send(client, "some bytes", 10);
        struct io_completion completion = io_wait(host.port);
        if (completion.kind == IO_TIMER) {
            timed_out = true;
        } else if (completion.kind == IO_RECEIVE) {
            if (completion.flags & IO_HAS_BUFFER)
                io_buffer_return(host.io, 0, completion.buffer);
            if (!(completion.flags & IO_MORE))
                io_receive_start(host.port, socket, 0, 2);
        }
    }
    uint8_t bytes[WORLD_SECTOR_BYTES * 4] = {0};
    struct iovec piece = {bytes, sizeof(bytes)};
    io_file_write(host.port, file, &piece, 1, 0, IO_NO_SYNC, 4);
    io_poll(host.io);
    world_step(host.world);
    world_crash(host.world, 0, WORLD_KEEP_RANDOM);
    while (world_step(host.world)) {
    }
    uint64_t hash = world_trace_hash(host.world);
    host_bury(&host);
    world_destroy(host.world);
    return hash;
}

static void one_seed_has_one_history(void **state) {
    (void)state;
    uint64_t hashes[20];
    for (uint64_t seed = 0; seed < ARRAY_COUNT(hashes); seed++) {
        hashes[seed] = history(seed, NULL, NULL);
        assert_int_equal(hashes[seed], history(seed, NULL, NULL));
        for (uint64_t other = 0; other < seed; other++)
            assert_int_not_equal(hashes[seed], hashes[other]);
    }
}

struct lines {
    int count;
    char last[200];
};

static void line_seen(void *context, const char *line) {
    struct lines *lines = context;
    lines->count++;
    snprintf(lines->last, sizeof(lines->last), "%s", line);
}

static void the_trace_is_readable_and_changes_nothing(void **state) {
    (void)state;
    struct lines lines = {0};
    uint64_t traced = history(4, line_seen, &lines);
    assert_int_equal(traced, history(4, NULL, NULL));
    assert_true(lines.count > 20);
    assert_non_null(strstr(lines.last, " ms  "));
}

static void events_of_one_moment_come_in_an_order_of_the_seed(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    options.disk_delay_ns_min = options.disk_delay_ns_max = 1000;
    options.disk_parts_max = 1;
    int first_first = 0;
    enum { SEEDS = 60 };
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct host host;
        host_boot(&host, seed, &options);
        int32_t file = host_create(&host, "a");
        struct iovec piece = {&options, 1};
        io_file_write(host.port, file, &piece, 1, 0, IO_NO_SYNC, 1);
        io_file_write(host.port, file, &piece, 1, 1, IO_NO_SYNC, 2);
        first_first += io_wait(host.port).user == 1;
        io_wait(host.port);
        world_kill(host.world, 0);
        host_bury(&host);
        world_destroy(host.world);
    }
    assert_true(first_first > SEEDS / 5 && first_first < SEEDS * 4 / 5);
}

static void clocks_of_nodes_differ_and_drift(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    options.clock_drift_ppm_max = 0;
    struct host slow;
    struct host fast;
    host_boot(&slow, 1, &options);
    host_start(&fast, slow.world, world_node_add(slow.world));
    assert_int_not_equal(io_monotonic_ns(slow.io), io_monotonic_ns(fast.io));
    world_clock_rate(slow.world, slow.node, -50000);
    world_clock_rate(slow.world, fast.node, 50000);
    uint64_t slow_ns = io_monotonic_ns(slow.io);
    uint64_t fast_ns = io_monotonic_ns(fast.io);
    world_step_until(slow.world, world_now_ns(slow.world) + 1000 * MS_NS);
    assert_int_equal(io_monotonic_ns(slow.io) - slow_ns, 950 * MS_NS);
    assert_int_equal(io_monotonic_ns(fast.io) - fast_ns, 1050 * MS_NS);
    world_kill(slow.world, slow.node);
    world_kill(slow.world, fast.node);
    host_bury(&slow);
    host_bury(&fast);
    world_destroy(slow.world);
}

static void the_monotonic_clock_never_goes_back(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host host;
    host_boot(&host, 1, &options);
    struct random random;
    random_seed(&random, 3);
    uint64_t before_ns = io_monotonic_ns(host.io);
    for (int i = 0; i < 2000; i++) {
        if (i % 10 == 0)
            world_clock_rate(host.world, 0, (int32_t)random_below(&random, 200001) - 100000);
        if (i % 17 == 0)
            world_clock_jump(host.world, 0, (int64_t)random_below(&random, 20001) - 10000);
        world_step_until(host.world, world_now_ns(host.world) + random_below(&random, 1000));
        assert_true(io_monotonic_ns(host.io) >= before_ns);
        before_ns = io_monotonic_ns(host.io);
    }
    world_kill(host.world, 0);
    host_bury(&host);
    world_destroy(host.world);
}

static void the_wall_clock_jumps_both_ways(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host host;
    host_boot(&host, 1, &options);
    uint64_t before_ms = io_wall_ms(host.io);
    uint64_t monotonic_ns = io_monotonic_ns(host.io);
    world_clock_jump(host.world, 0, -3600000);
    assert_int_equal(before_ms - io_wall_ms(host.io), 3600000);
    world_clock_jump(host.world, 0, 7200000);
    assert_int_equal(io_wall_ms(host.io) - before_ms, 3600000);
    assert_int_equal(io_monotonic_ns(host.io), monotonic_ns);
    world_kill(host.world, 0);
    host_bury(&host);
    world_destroy(host.world);
}

static void timers_follow_their_nodes_clock(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    options.clock_drift_ppm_max = 0;
    struct host host;
    host_boot(&host, 1, &options);
    uint64_t begin_ns = world_now_ns(host.world);
    io_timer_set(host.port, io_monotonic_ns(host.io) + 900 * MS_NS, 1);
    world_clock_rate(host.world, 0, -100000); /* from now on a tenth slower */
    assert_int_equal(io_wait(host.port).result, 0);
    uint64_t took_ns = world_now_ns(host.world) - begin_ns;
    assert_true(took_ns >= 1000 * MS_NS && took_ns < 1000 * MS_NS + 10);
    world_kill(host.world, 0);
    host_bury(&host);
    world_destroy(host.world);
}

static void a_door_says_whether_it_has_something(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host host;
    host_boot(&host, 1, &options);
    assert_false(world_io_ready(host.io));
    io_file_open(host.port, host.directory, "a", IO_OPEN_READ, 0);
    assert_true(world_io_ready(host.io)); /* something to submit */
    assert_int_equal(io_poll(host.io), 0);
    assert_false(world_io_ready(host.io));
    while (!world_io_ready(host.io))
        assert_true(world_step(host.world));
    assert_int_equal(io_poll(host.io), 1);
    assert_false(world_io_ready(host.io)); /* what is in the mailbox is the shard's */
    assert_int_equal(io_wait(host.port).result, -ENOENT);
    io_timer_set(host.port, io_monotonic_ns(host.io) + 5, 0);
    assert_false(world_io_ready(host.io));
    world_step(host.world);
    assert_true(world_io_ready(host.io));
    assert_int_equal(io_wait(host.port).result, 0);
    world_kill(host.world, 0);
    assert_false(world_io_ready(host.io));
    host_bury(&host);
    world_destroy(host.world);
}

static void a_door_needs_a_world(void **state) {
    (void)state;
    struct io_options options = {.features_allowed = IO_FEATURES_ALL};
    struct error_text error = {0};
    struct io *io = NULL;
    assert_int_equal(io_create(&io, &options, &error), WEIR_EUNSUPPORTED);
    assert_null(io);
    assert_non_null(strstr(error.text, "world"));
}

static void a_world_is_destroyed_with_everything_under_way(void **state) {
    (void)state;
    struct world_options options = world_options_rough();
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct host host;
        host_boot(&host, seed, &options);
        int32_t file = host_create(&host, "a");
        struct error_text error;
        int32_t listener;
        assert_int_equal(io_listen(host.io, "0.0.0.0:80", 16, &listener, &error), 0);
        io_accept_start(host.port, listener, 1);
        for (int i = 0; i < 5; i++)
            world_client_send(world_client_connect(host.world, 0, 80), "x", 1);
        struct iovec piece = {&options, sizeof(options)};
        io_file_write(host.port, file, &piece, 1, 0, IO_SYNC, 1);
        io_file_sync(host.port, file, 1);
        io_poll(host.io);
        for (uint64_t i = 0; i < seed; i++)
            world_step(host.world);
        world_destroy(host.world); /* with its doors: the address sanitizer finds what is left */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_seed_has_one_history),
        cmocka_unit_test(the_trace_is_readable_and_changes_nothing),
        cmocka_unit_test(events_of_one_moment_come_in_an_order_of_the_seed),
        cmocka_unit_test(clocks_of_nodes_differ_and_drift),
        cmocka_unit_test(the_monotonic_clock_never_goes_back),
        cmocka_unit_test(the_wall_clock_jumps_both_ways),
        cmocka_unit_test(timers_follow_their_nodes_clock),
        cmocka_unit_test(a_door_says_whether_it_has_something),
        cmocka_unit_test(a_door_needs_a_world),
        cmocka_unit_test(a_world_is_destroyed_with_everything_under_way),
    };
    return cmocka_run_group_tests_name("the simulated world", tests, NULL, NULL);
}
