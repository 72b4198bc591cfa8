/*
 * Nodes that halt at a named point: what is done before it, what is not, and a whole node that
 * loses nothing answered at any of them.
 */

#include "tests/sim/host.h"
#include "tests/sim/node_world.h"

#include <errno.h>
#include <stdio.h>

enum { OLD = 0x11, NEW = 0x22, PORT = 7480, SEND = 3, RECEIVE = 4 };

static void boot(struct host *host, uint64_t seed) {
    struct world_options options = world_options_calm();
    host_boot(host, seed, &options);
}

static void end(struct host *host) {
    world_kill(host->world, host->node);
    host_bury(host);
    world_destroy(host->world);
}

/* ---- the disk ---------------------------------------------------------------------------- */

static void an_order_for_another_file_or_one_withdrawn_stops_nothing(void **state) {
    (void)state;
    struct host host;
    boot(&host, 1);
    int32_t file = host_create_filled(&host, "log-1", OLD, 2);
    world_halt_at(host.world, 0, WORLD_POINT_WRITE, "vote", 1);
    assert_true(host_fill(&host, file, NEW, 0, 1, IO_SYNC) > 0);
    world_halt_at(host.world, 0, WORLD_POINT_WRITE, "log-", 1);
    world_halt_at(host.world, 0, WORLD_POINT_WRITE, "log-", 0);
    assert_true(host_fill(&host, file, NEW, 0, 1, IO_SYNC) > 0);
    assert_false(world_halted(host.world, 0));
    end(&host);
}

/* The second write of the file halts the node at this point; what is then in the first sector
 * after a power cut that keeps nothing unsynced, and after one that keeps all. */
static void halt_in_write(enum world_point point, int kept_nothing, int kept_all) {
    for (int all = 0; all < 2; all++) {
        struct host host;
        boot(&host, 1);
        int32_t file = host_create_filled(&host, "log-1", OLD, 2);
        world_halt_at(host.world, 0, point, "log-", 2);
        assert_true(host_fill(&host, file, OLD, 1, 1, IO_SYNC) > 0);
        assert_false(world_halted(host.world, 0));
        int32_t result = host_fill(&host, file, NEW, 0, 1, IO_SYNC);
        assert_int_equal(result, point == WORLD_POINT_SYNC_DONE ? WORLD_SECTOR_BYTES : -EIO);
        assert_true(world_halted(host.world, 0));
        assert_int_equal(host_fill(&host, file, NEW, 1, 1, IO_SYNC), -EIO); /* nothing more */
        world_crash(host.world, 0, all ? WORLD_KEEP_ALL : WORLD_KEEP_NOTHING);
        assert_false(world_halted(host.world, 0));
        assert_int_equal(host_sector(&host, "log-1", 0), all ? kept_all : kept_nothing);
        assert_int_equal(host_sector(&host, "log-1", 1), OLD);
        host_bury(&host);
        host_start(&host, host.world, 0);
        file = host_open(&host, "log-1", IO_OPEN_READ | IO_OPEN_WRITE);
        assert_true(host_fill(&host, file, NEW, 1, 1, IO_SYNC) > 0); /* and it goes on */
        end(&host);
    }
}

static void a_write_is_not_there_when_it_halts_before_it_is_submitted(void **state) {
    (void)state;
    halt_in_write(WORLD_POINT_WRITE, OLD, OLD);
}

static void a_write_may_be_there_when_it_halts_before_or_in_its_sync(void **state) {
    (void)state;
    halt_in_write(WORLD_POINT_WRITE_BEGIN, OLD, NEW);
    halt_in_write(WORLD_POINT_SYNC, OLD, NEW);
}

static void a_write_is_there_when_it_halts_after_its_sync(void **state) {
    (void)state;
    halt_in_write(WORLD_POINT_SYNC_DONE, NEW, NEW);
}

static void names_change_after_their_point_and_before_the_one_that_is_done(void **state) {
    (void)state;
    static const struct {
        enum world_point point;
        bool renamed;
        bool removed;
    } CASES[] = {
        {WORLD_POINT_RENAME, false, false},
        {WORLD_POINT_RENAME_DONE, true, false},
        {WORLD_POINT_REMOVE, true, false},
        {WORLD_POINT_REMOVE_DONE, true, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct host host;
        boot(&host, i);
        io_close(host.io, host_create_filled(&host, "partial", NEW, 1));
        io_close(host.io, host_create_filled(&host, "old", OLD, 1));
        world_halt_at(host.world, 0, CASES[i].point, "", 1);
        io_file_rename(host.port, host.directory, "partial", "whole", 0);
        (void)io_wait(host.port);
        io_file_remove(host.port, host.directory, "old", 0);
        (void)io_wait(host.port);
        assert_true(world_halted(host.world, 0));
        io_directory_sync(host.port, host.directory, 0);
        assert_int_equal(io_wait(host.port).result, -EIO);
        /* Of what was in flight at the point, a dead disk may have done anything or nothing. */
        world_crash(host.world, 0, WORLD_KEEP_ALL);
        if (CASES[i].renamed)
            assert_true(host_has(&host, "whole"));
        if (CASES[i].removed)
            assert_false(host_has(&host, "old"));
        if (CASES[i].point == WORLD_POINT_RENAME)
            assert_true(host_has(&host, "old"));
        end(&host);
    }
}

static void a_stalled_disk_lets_a_halted_node_come_to_its_end(void **state) {
    (void)state;
    struct host host;
    boot(&host, 1);
    int32_t file = host_create_filled(&host, "a", OLD, 1);
    world_disk_stall(host.world, 0, true);
    world_halt_at(host.world, 0, WORLD_POINT_WRITE, "", 1);
    assert_int_equal(host_fill(&host, file, NEW, 0, 1, IO_SYNC), -EIO);
    end(&host);
}

/* ---- the network ------------------------------------------------------------------------- */

/* Two hosts that are connected; the first one sends three words, the second receives them. */
struct pair {
    struct host near;
    struct host far;
    int32_t near_socket;
    uint32_t received;
};

static void pair_boot(struct pair *pair, uint64_t seed) {
    struct error_text error;
    char address[WORLD_ADDRESS_BYTES];
    int32_t listener;
    pair->received = 0;
    boot(&pair->near, seed);
    host_start(&pair->far, pair->near.world, world_node_add(pair->near.world));
    world_address(address, pair->far.node, PORT);
    assert_int_equal(io_listen(pair->far.io, address, 4, &listener, &error), 0);
    io_accept_start(pair->far.port, listener, 0);
    io_poll(pair->far.io);
    io_connect_start(pair->near.port, address, 0);
    pair->near_socket = io_wait(pair->near.port).result;
    assert_true(pair->near_socket >= 0);
    io_receive_start(pair->far.port, io_wait(pair->far.port).result, 0, RECEIVE);
    io_poll(pair->far.io);
}

static void pair_talk(struct pair *pair) {
    struct world *world = pair->near.world;
    for (int i = 0; i < 3; i++) {
        struct iovec piece = {(void *)(uintptr_t) "word", 4};
        io_send(pair->near.port, pair->near_socket, &piece, 1, IO_SEND_WAIT, SEND);
        assert_int_equal(io_wait(pair->near.port).result, 4); /* also when nobody will see it */
    }
    bool goes_on = true;
    while (goes_on) {
        struct io_completion completion;
        goes_on = world_step(world);
        io_poll(pair->far.io);
        while (io_take(pair->far.port, &completion, 1) > 0)
            if (completion.kind == IO_RECEIVE && completion.flags & IO_HAS_BUFFER)
                pair->received += (uint32_t)completion.result;
    }
}

static void pair_end(struct pair *pair) {
    world_kill(pair->near.world, pair->near.node);
    world_kill(pair->near.world, pair->far.node);
    host_bury(&pair->near);
    host_bury(&pair->far);
    world_destroy(pair->near.world);
}

static void what_a_halted_node_sends_arrives_nowhere(void **state) {
    (void)state;
    struct pair pair;
    pair_boot(&pair, 1);
    world_halt_at(pair.near.world, 0, WORLD_POINT_SEND_CLIENT, "", 1); /* there is none */
    world_halt_at(pair.near.world, 0, WORLD_POINT_SEND_PEER, "", 2);
    pair_talk(&pair);
    assert_true(world_halted(pair.near.world, 0) && !world_halted(pair.near.world, 1));
    assert_int_equal(pair.received, 4);
    pair_end(&pair);
}

static void nothing_arrives_at_a_halted_node(void **state) {
    (void)state;
    struct pair pair;
    pair_boot(&pair, 1);
    world_halt_at(pair.near.world, 1, WORLD_POINT_RECEIVE_PEER, "", 1);
    pair_talk(&pair);
    assert_true(world_halted(pair.near.world, 1) && !world_halted(pair.near.world, 0));
    assert_int_equal(pair.received, 0);
    pair_end(&pair);
}

/* ---- a whole node ------------------------------------------------------------------------ */

enum { COMMANDS = 400, NTH_MAX = 4 };

/* The load of a node until it halts at the point; a power cut, or a kill; and all that was answered
 * is there.  Whether the point was met. */
static bool halt_node(enum world_point point, const char *name, uint32_t nth, uint64_t seed) {
    static const char *const MAPS[] = {"fused", "split", "pair"};
    struct node_world test;
    node_world_init(&test, seed, false);
    test.load.options.value_bytes_max = 40000;
    test.load.options.large_share = 30;
    test.load.options.cut_chance = 0;
    test.options.map = MAPS[seed % ARRAY_COUNT(MAPS)];
    test.options.snapshot_log_bytes = 300 * 1024;
    node_world_start(&test);
    node_world_expect(&test, load_run(&test.load, 20), "commands are answered");
    world_halt_at(test.world, test.host, point, name, nth);
    test.load.refusals_expected = true;
    (void)load_run(&test.load, COMMANDS);
    bool met = world_halted(test.world, test.host);
    if (!met) /* then at its next start */
        node_world_power_cut(&test, WORLD_KEEP_RANDOM);
    if (!met) {
        struct error_text error;
        world_halt_at(test.world, test.host, point, name, nth);
        if (node_world_try_start(&test, &error) == 0)
            while (!world_halted(test.world, test.host) && !sim_node_serving(test.load.node) &&
                   load_step(&test.load)) {
            }
        met = world_halted(test.world, test.host);
    }
    node_world_power_cut(&test, seed % 4 == 0 ? WORLD_KEEP_ALL : WORLD_KEEP_RANDOM);
    world_halt_at(test.world, test.host, point, name, 0);
    node_world_start(&test);
    node_world_expect(&test, load_settle(&test.load), "what was answered is there");
    node_world_expect(&test, load_run(&test.load, 20), "it goes on");
    node_world_stop(&test);
    node_world_free(&test);
    return met;
}

static void a_node_loses_nothing_answered_at_any_named_point(void **state) {
    (void)state;
    static const struct {
        enum world_point point;
        const char *name;
    } PLACES[] = {
        {WORLD_POINT_WRITE, "log-"},      {WORLD_POINT_WRITE_BEGIN, "log-"},
        {WORLD_POINT_SYNC, "log-"},       {WORLD_POINT_SYNC_DONE, "log-"},
        {WORLD_POINT_CREATE, "log-"},     {WORLD_POINT_ALLOCATE, "log-"},
        {WORLD_POINT_SYNC_NAMES, ""},     {WORLD_POINT_SYNC_NAMES_DONE, ""},
        {WORLD_POINT_SEND_CLIENT, ""},    {WORLD_POINT_RECEIVE_CLIENT, ""},
        {WORLD_POINT_RENAME, "snapshot"}, {WORLD_POINT_RENAME_DONE, "snapshot"},
        {WORLD_POINT_REMOVE, "log-"},     {WORLD_POINT_REMOVE_DONE, "log-"},
        {WORLD_POINT_SYNC, "vote"},       {WORLD_POINT_SYNC_DONE, "vote"},
        {WORLD_POINT_WRITE, "vote"},
    };
    uint64_t seed = node_world_seed_first(1);
    for (size_t i = 0; i < ARRAY_COUNT(PLACES); i++) {
        uint32_t met = 0;
        for (uint32_t nth = 1; nth <= NTH_MAX; nth++, seed++)
            met += halt_node(PLACES[i].point, PLACES[i].name, nth, seed);
        if (met == 0)
            fail_msg("no node ever came to %s of %s", world_point_name(PLACES[i].point),
                     PLACES[i].name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_for_another_file_or_one_withdrawn_stops_nothing),
        cmocka_unit_test(a_write_is_not_there_when_it_halts_before_it_is_submitted),
        cmocka_unit_test(a_write_may_be_there_when_it_halts_before_or_in_its_sync),
        cmocka_unit_test(a_write_is_there_when_it_halts_after_its_sync),
        cmocka_unit_test(names_change_after_their_point_and_before_the_one_that_is_done),
        cmocka_unit_test(a_stalled_disk_lets_a_halted_node_come_to_its_end),
        cmocka_unit_test(what_a_halted_node_sends_arrives_nowhere),
        cmocka_unit_test(nothing_arrives_at_a_halted_node),
        cmocka_unit_test(a_node_loses_nothing_answered_at_any_named_point),
    };
    return cmocka_run_group_tests_name("nodes that halt", tests, NULL, NULL);
}
