/* The simulated disk: what a power cut keeps, and the faults that a test can order. */

#include "tests/sim/host.h"

#include <errno.h>
#include <stdio.h>

enum { OLD = 0x11, NEW = 0x22, NEWER = 0x33 };

/* ---- power cuts -------------------------------------------------------------------------- */

static void what_was_synced_is_always_kept(void **state) {
    (void)state;
    struct world_options options = world_options_rough();
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct host host;
        host_boot(&host, seed, &options);
        int32_t file = host_create_filled(&host, "a", OLD, 4);
        host_fill(&host, file, NEW, 1, 2, IO_NO_SYNC);
        assert_int_equal(host_sync(&host, file), 0);
        host_fill(&host, file, NEWER, 3, 3, IO_SYNC); /* and grows */
        world_crash(host.world, host.node, WORLD_KEEP_RANDOM);
        static const int EXPECTED[] = {OLD, NEW, NEW, NEWER, NEWER, NEWER, -1};
        for (uint64_t i = 0; i < ARRAY_COUNT(EXPECTED); i++)
            assert_int_equal(host_sector(&host, "a", i), EXPECTED[i]);
        host_bury(&host);
        world_destroy(host.world);
    }
}

static void every_combination_of_unsynced_sectors_occurs(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    enum { CUTS = 800, COMBINATIONS = 8 };
    int seen[COMBINATIONS] = {0};
    for (uint64_t seed = 0; seed < CUTS; seed++) {
        struct host host;
        host_boot(&host, seed, &options);
        int32_t file = host_create_filled(&host, "a", OLD, 3);
        host_fill(&host, file, NEW, 0, 3, IO_NO_SYNC);
        world_crash(host.world, host.node, WORLD_KEEP_RANDOM);
        unsigned combination = 0;
        for (unsigned i = 0; i < 3; i++) {
            int value = host_sector(&host, "a", i);
            assert_true(value == OLD || value == NEW);
            combination |= (value == NEW ? 1u : 0u) << i;
        }
        seen[combination]++;
        host_bury(&host);
        world_destroy(host.world);
    }
    /* One in eight of the four fifths that are neither all nor nothing by order: 80 expected. */
    for (int i = 0; i < COMBINATIONS; i++)
        assert_true(seen[i] >= CUTS / 20);
}

static void an_unsynced_sector_may_have_any_of_its_contents(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    int seen[256] = {0};
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct host host;
        host_boot(&host, seed, &options);
        int32_t file = host_create_filled(&host, "a", OLD, 1);
        host_fill(&host, file, NEW, 0, 1, IO_NO_SYNC);
        host_fill(&host, file, NEWER, 0, 1, IO_NO_SYNC);
        world_crash(host.world, host.node, WORLD_KEEP_RANDOM);
        seen[host_sector(&host, "a", 0)]++;
        host_bury(&host);
        world_destroy(host.world);
    }
    assert_int_equal(seen[OLD] + seen[NEW] + seen[NEWER], 200);
    assert_true(seen[OLD] > 20 && seen[NEW] > 20 && seen[NEWER] > 20);
}

static void a_write_in_flight_may_be_there_or_not_or_in_part(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    int counts[9] = {0};
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct host host;
        host_boot(&host, seed, &options);
        int32_t file = host_create_filled(&host, "a", OLD, 8);
        uint8_t bytes[8 * WORLD_SECTOR_BYTES];
        memset(bytes, NEW, sizeof(bytes));
        struct iovec piece = {bytes, sizeof(bytes)};
        io_file_write(host.port, file, &piece, 1, 0, IO_SYNC, 0);
        io_poll(host.io);
        for (uint64_t i = 0; i < seed % 4; i++)
            world_step(host.world);
        world_crash(host.world, host.node, WORLD_KEEP_RANDOM);
        int kept = 0;
        for (uint64_t i = 0; i < 8; i++)
            kept += host_sector(&host, "a", i) == NEW;
        counts[kept]++;
        host_bury(&host);
        world_destroy(host.world);
    }
    assert_true(counts[0] > 0 && counts[8] > 0);
    assert_true(counts[3] + counts[4] + counts[5] > 50);
}

static void names_that_are_not_synced_are_kept_or_lost(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    int created = 0;
    int renamed = 0;
    int removed = 0;
    enum { CUTS = 200 };
    for (uint64_t seed = 0; seed < CUTS; seed++) {
        struct host host;
        host_boot(&host, seed, &options);
        io_close(host.io, host_create_filled(&host, "current", OLD, 1));
        io_close(host.io, host_create_filled(&host, "next", NEW, 1));
        io_close(host.io, host_create_filled(&host, "doomed", OLD, 1));
        host_create(&host, "fresh");
        io_file_rename(host.port, host.directory, "next", "current", 0);
        assert_int_equal(io_wait(host.port).result, 0);
        io_file_remove(host.port, host.directory, "doomed", 0);
        assert_int_equal(io_wait(host.port).result, 0);
        world_crash(host.world, host.node, WORLD_KEEP_RANDOM);
        created += host_has(&host, "fresh");
        removed += !host_has(&host, "doomed");
        /* A rename happens whole or not at all. */
        bool moved = host_sector(&host, "current", 0) == NEW;
        assert_int_equal(host_sector(&host, "next", 0), moved ? -1 : NEW);
        assert_true(moved || host_sector(&host, "current", 0) == OLD);
        renamed += moved;
        host_bury(&host);
        world_destroy(host.world);
    }
    assert_true(created > CUTS / 4 && created < CUTS * 3 / 4);
    assert_true(renamed > CUTS / 4 && renamed < CUTS * 3 / 4);
    assert_true(removed > CUTS / 4 && removed < CUTS * 3 / 4);
}

static void names_that_are_synced_stay(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct host host;
        host_boot(&host, seed, &options);
        io_close(host.io, host_create_filled(&host, "next", NEW, 1));
        io_file_rename(host.port, host.directory, "next", "current", 0);
        assert_int_equal(io_wait(host.port).result, 0);
        host_sync_names(&host);
        world_crash(host.world, host.node, WORLD_KEEP_RANDOM);
        assert_int_equal(host_sector(&host, "current", 0), NEW);
        assert_false(host_has(&host, "next"));
        host_bury(&host);
        world_destroy(host.world);
    }
}

static void growth_that_is_not_synced_is_kept_or_lost_and_reads_as_zeros(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    int sizes[9] = {0};
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct host host;
        host_boot(&host, seed, &options);
        int32_t file = host_create_filled(&host, "a", OLD, 2);
        io_file_allocate(host.port, file, 8 * WORLD_SECTOR_BYTES, 0);
        assert_int_equal(io_wait(host.port).result, 0);
        world_crash(host.world, host.node, WORLD_KEEP_RANDOM);
        uint64_t length_bytes = 0;
        assert_non_null(world_file_bytes(host.world, 0, "data", "a", &length_bytes));
        assert_int_equal(length_bytes % WORLD_SECTOR_BYTES, 0);
        sizes[length_bytes / WORLD_SECTOR_BYTES]++;
        for (uint64_t i = 0; i < length_bytes / WORLD_SECTOR_BYTES; i++)
            assert_int_equal(host_sector(&host, "a", i), i < 2 ? OLD : 0);
        host_bury(&host);
        world_destroy(host.world);
    }
    assert_int_equal(sizes[0] + sizes[1], 0);
    assert_true(sizes[2] > 20 && sizes[8] > 20 && sizes[5] > 0);
}

/* ---- the disk that dies under code that waits -------------------------------------------- */

static void power_is_cut_at_every_step_of_a_script(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    bool finished = false;
    uint64_t cuts = 0;
    for (uint64_t steps = 0; !finished; steps++, cuts++) {
        struct host host;
        host_boot(&host, steps, &options);
        io_close(host.io, host_create_filled(&host, "log", OLD, 16));
        world_disk_die_after(host.world, host.node, steps);
        int32_t file = host_open(&host, "log", IO_OPEN_WRITE);
        uint64_t acknowledged = 0;
        while (file >= 0 && acknowledged < 8 &&
               host_fill(&host, file, NEW, 2 * acknowledged, 2, IO_SYNC) > 0)
            acknowledged++;
        finished = acknowledged == 8;
        if (file >= 0)
            assert_int_equal(host_sync(&host, file), finished ? 0 : -EIO);
        world_crash(host.world, host.node, WORLD_KEEP_RANDOM);
        for (uint64_t i = 0; i < 16; i++) {
            int value = host_sector(&host, "log", i);
            if (i < 2 * acknowledged)
                assert_int_equal(value, NEW);
            else if (i < 2 * acknowledged + 2)
                assert_true(value == OLD || value == NEW);
            else
                assert_int_equal(value, OLD);
        }
        host_bury(&host);
        world_destroy(host.world);
    }
    assert_true(cuts > 16); /* a write and a sync for each, at least */
}

/* ---- faults ------------------------------------------------------------------------------ */

static void a_failed_sync_forgets_and_the_next_one_succeeds(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    for (int direct = 0; direct < 2; direct++) {
        struct host host;
        host_boot(&host, 7, &options);
        int32_t file = host_create_filled(&host, "a", OLD, 2);
        world_disk_fail(host.world, host.node, WORLD_DISK_SYNC, 1, 1, -EIO);
        if (direct) {
            assert_int_equal(host_fill(&host, file, NEW, 0, 2, IO_SYNC), -EIO);
        } else {
            assert_true(host_fill(&host, file, NEW, 0, 2, IO_NO_SYNC) > 0);
            assert_int_equal(host_sync(&host, file), -EIO);
        }
        if (!direct)
            assert_int_equal(host_sector(&host, "a", 0), NEW); /* it is still read as written */
        assert_int_equal(host_sync(&host, file), 0);           /* and this is the trap */
        world_crash(host.world, host.node, WORLD_KEEP_NOTHING);
        assert_int_equal(host_sector(&host, "a", 0), OLD);
        assert_int_equal(host_sector(&host, "a", 1), OLD);
        host_bury(&host);
        world_destroy(host.world);
    }
}

static void the_nth_operation_of_a_sort_fails(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host host;
    host_boot(&host, 3, &options);
    int32_t file = host_create_filled(&host, "a", OLD, 1);
    world_disk_fail(host.world, 0, WORLD_DISK_WRITE, 3, 2, -EIO);
    static const bool FAILS[] = {false, false, true, true, false};
    for (size_t i = 0; i < ARRAY_COUNT(FAILS); i++)
        assert_int_equal(host_fill(&host, file, NEW, 0, 1, IO_NO_SYNC),
                         FAILS[i] ? -EIO : WORLD_SECTOR_BYTES);
    world_disk_fail(host.world, 0, WORLD_DISK_OPEN, 1, 1, -EMFILE);
    assert_int_equal(host_open(&host, "a", IO_OPEN_READ), -EMFILE);
    world_disk_fail(host.world, 0, WORLD_DISK_OPENED, 1, 1, -EMFILE);
    assert_int_equal(host_open(&host, "b", IO_OPEN_WRITE), -ENOENT); /* was not opened: no fault */
    assert_int_equal(host_open(&host, "b", IO_OPEN_WRITE | IO_OPEN_CREATE), -EMFILE);
    assert_int_equal(host_open(&host, "b", IO_OPEN_WRITE | IO_OPEN_CREATE), -EEXIST);
    world_disk_fail(host.world, 0, WORLD_DISK_READ, 1, 1, -EIO);
    uint8_t byte;
    io_file_read(host.port, file, &byte, 1, 0, 0);
    assert_int_equal(io_wait(host.port).result, -EIO);
    world_disk_fail(host.world, 0, WORLD_DISK_NAMES, 1, 1, -EIO);
    io_file_remove(host.port, host.directory, "a", 0);
    assert_int_equal(io_wait(host.port).result, -EIO);
    assert_true(host_has(&host, "a"));
    world_disk_fail(host.world, 0, WORLD_DISK_ALLOCATE, 1, 1, -ENOSPC);
    io_file_allocate(host.port, file, 100000, 0);
    assert_int_equal(io_wait(host.port).result, -ENOSPC);
    assert_int_equal(io_file_size_bytes(host.io, file), WORLD_SECTOR_BYTES);
    world_kill(host.world, 0);
    host_bury(&host);
    world_destroy(host.world);
}

static void a_failed_write_may_have_written_any_part(void **state) {
    (void)state;
    struct world_options options = world_options_rough();
    int counts[17] = {0};
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct host host;
        host_boot(&host, seed, &options);
        int32_t file = host_create_filled(&host, "a", OLD, 16);
        world_disk_fail(host.world, 0, WORLD_DISK_WRITE, 1, 1, -EIO);
        assert_int_equal(host_fill(&host, file, NEW, 0, 16, IO_NO_SYNC), -EIO);
        int written = 0;
        for (uint64_t i = 0; i < 16; i++)
            written += host_sector(&host, "a", i) == NEW;
        counts[written]++;
        world_kill(host.world, 0);
        host_bury(&host);
        world_destroy(host.world);
    }
    assert_true(counts[0] > 0 && counts[0] < 100);
    assert_true(counts[0] + counts[16] < 100);
}

static void a_full_disk_refuses_and_recovers_when_space_is_freed(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host host;
    host_boot(&host, 3, &options);
    world_disk_capacity(host.world, 0, 10 * WORLD_SECTOR_BYTES);
    io_close(host.io, host_create_filled(&host, "old", OLD, 6));
    int32_t file = host_create(&host, "new");
    io_file_allocate(host.port, file, 5 * WORLD_SECTOR_BYTES, 0);
    assert_int_equal(io_wait(host.port).result, -ENOSPC);
    assert_int_equal(host_fill(&host, file, NEW, 0, 5, IO_SYNC), -ENOSPC);
    assert_int_equal(io_file_size_bytes(host.io, file) <= 4 * WORLD_SECTOR_BYTES, 1);
    io_file_remove(host.port, host.directory, "old", 0);
    assert_int_equal(io_wait(host.port).result, 0);
    io_file_allocate(host.port, file, 10 * WORLD_SECTOR_BYTES, 0);
    assert_int_equal(io_wait(host.port).result, 0);
    assert_int_equal(world_disk_used_bytes(host.world, 0), 10 * WORLD_SECTOR_BYTES);
    /* Space that is allocated is there: no write inside it can fail for want of it. */
    assert_true(host_fill(&host, file, NEW, 0, 10, IO_SYNC) > 0);
    world_kill(host.world, 0);
    host_bury(&host);
    world_destroy(host.world);
}

static void a_stalled_disk_completes_nothing_until_it_goes_on(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host host;
    host_boot(&host, 3, &options);
    int32_t file = host_create_filled(&host, "a", OLD, 1);
    world_disk_stall(host.world, 0, true);
    uint8_t bytes[WORLD_SECTOR_BYTES] = {0};
    struct iovec piece = {bytes, sizeof(bytes)};
    io_file_write(host.port, file, &piece, 1, 0, IO_SYNC, 0);
    assert_int_equal(io_park(host.io, UINT64_C(10000000000)), 0); /* ten seconds */
    assert_int_equal(io_outstanding(host.port), 1);
    world_disk_stall(host.world, 0, false);
    assert_int_equal(io_wait(host.port).result, WORLD_SECTOR_BYTES);
    world_kill(host.world, 0);
    host_bury(&host);
    world_destroy(host.world);
}

static void a_slow_disk_takes_its_time(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    options.clock_drift_ppm_max = 0;
    struct host host;
    host_boot(&host, 3, &options);
    int32_t file = host_create(&host, "a");
    world_disk_delay(host.world, 0, 500000000, 500000000);
    uint64_t begin_ns = io_monotonic_ns(host.io);
    assert_true(host_fill(&host, file, NEW, 0, 1, IO_SYNC) > 0);
    assert_int_equal(io_monotonic_ns(host.io) - begin_ns, 1000000000); /* the write, the sync */
    world_kill(host.world, 0);
    host_bury(&host);
    world_destroy(host.world);
}

/* ---- files at rest, and death ------------------------------------------------------------ */

static void bits_flip_at_rest(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host host;
    host_boot(&host, 3, &options);
    host_create_filled(&host, "a", OLD, 2);
    world_file_flip(host.world, 0, "data", "a", 700, 0x80);
    uint64_t length_bytes;
    assert_int_equal(world_file_bytes(host.world, 0, "data", "a", &length_bytes)[700], OLD ^ 0x80);
    world_crash(host.world, 0, WORLD_KEEP_NOTHING);
    assert_int_equal(world_file_bytes(host.world, 0, "data", "a", &length_bytes)[700], OLD ^ 0x80);
    world_file_put(host.world, 0, "data", "a", "xyz", 3);
    world_crash(host.world, 0, WORLD_KEEP_NOTHING);
    assert_memory_equal(world_file_bytes(host.world, 0, "data", "a", &length_bytes), "xyz", 3);
    assert_int_equal(length_bytes, 3);
    host_bury(&host);
    world_destroy(host.world);
}

static void a_killed_process_loses_its_lock_and_not_its_writes(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host first;
    struct host second;
    struct error_text error;
    host_boot(&first, 3, &options);
    int32_t file = host_create(&first, "a");
    host_fill(&first, file, NEW, 0, 1, IO_NO_SYNC);
    assert_int_equal(io_directory_lock(first.io, first.directory, &error), 0);
    host_start(&second, first.world, first.node);
    assert_int_equal(io_directory_lock(second.io, second.directory, &error), WEIR_ELOCKED);
    world_kill(first.world, first.node); /* both: a node's processes die together */
    host_bury(&second);
    host_start(&second, first.world, first.node);
    assert_int_equal(io_directory_lock(second.io, second.directory, &error), 0);
    assert_int_equal(host_sector(&second, "a", 0), NEW);
    world_kill(first.world, first.node);
    host_bury(&first);
    host_bury(&second);
    world_destroy(first.world);
}

static void a_dead_door_takes_every_call_and_does_nothing(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host host;
    host_boot(&host, 3, &options);
    int32_t file = host_create_filled(&host, "a", OLD, 1);
    uint8_t bytes[WORLD_SECTOR_BYTES] = {0};
    struct iovec piece = {bytes, sizeof(bytes)};
    io_file_write(host.port, file, &piece, 1, 0, IO_SYNC, 0);
    io_poll(host.io);
    io_timer_set(host.port, UINT64_MAX, 0);
    world_crash(host.world, 0, WORLD_KEEP_NOTHING);
    io_file_write(host.port, file, &piece, 1, 0, IO_SYNC, 0);
    io_file_open(host.port, host.directory, "b", IO_OPEN_WRITE | IO_OPEN_CREATE, 0);
    io_timer_set(host.port, 0, 0);
    struct io_completion completion;
    while (world_step(host.world))
        assert_int_equal(io_poll(host.io) + io_take(host.port, &completion, 1), 0);
    assert_int_equal(io_outstanding(host.port), 0);
    io_close(host.io, file);
    assert_false(host_has(&host, "b"));
    assert_int_equal(host_sector(&host, "a", 0), OLD);
    host_bury(&host);
    world_destroy(host.world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_synced_is_always_kept),
        cmocka_unit_test(every_combination_of_unsynced_sectors_occurs),
        cmocka_unit_test(an_unsynced_sector_may_have_any_of_its_contents),
        cmocka_unit_test(a_write_in_flight_may_be_there_or_not_or_in_part),
        cmocka_unit_test(names_that_are_not_synced_are_kept_or_lost),
        cmocka_unit_test(names_that_are_synced_stay),
        cmocka_unit_test(growth_that_is_not_synced_is_kept_or_lost_and_reads_as_zeros),
        cmocka_unit_test(power_is_cut_at_every_step_of_a_script),
        cmocka_unit_test(a_failed_sync_forgets_and_the_next_one_succeeds),
        cmocka_unit_test(the_nth_operation_of_a_sort_fails),
        cmocka_unit_test(a_failed_write_may_have_written_any_part),
        cmocka_unit_test(a_full_disk_refuses_and_recovers_when_space_is_freed),
        cmocka_unit_test(a_stalled_disk_completes_nothing_until_it_goes_on),
        cmocka_unit_test(a_slow_disk_takes_its_time),
        cmocka_unit_test(bits_flip_at_rest),
        cmocka_unit_test(a_killed_process_loses_its_lock_and_not_its_writes),
        cmocka_unit_test(a_dead_door_takes_every_call_and_does_nothing),
    };
    return cmocka_run_group_tests_name("the simulated disk", tests, NULL, NULL);
}
