/* Sectors of the simulated disk that are damaged at rest, and how what may be damaged is found. */

#include "tests/sim/host.h"

#include <errno.h>
#include <stdio.h>

enum { OLD = 0x11, NEW = 0x22, NEWER = 0x33, SECTORS = 8 };

static void boot(struct host *host, uint64_t seed) {
    struct world_options options = world_options_calm();
    host_boot(host, seed, &options);
}

static void end(struct host *host) {
    world_kill(host->world, host->node);
    host_bury(host);
    world_destroy(host->world);
}

/* Reads sectors through the door; the result of the read. */
static int32_t read_sectors(struct host *host, int32_t file, uint64_t first, size_t count,
                            uint8_t *bytes) {
    io_file_read(host->port, file, bytes, count * WORLD_SECTOR_BYTES, first * WORLD_SECTOR_BYTES,
                 0);
    return io_wait(host->port).result;
}

static bool damage(struct host *host, enum world_damage kind, uint64_t sector, uint64_t to) {
    return world_sector_damage(host->world, host->node, "data", "a", kind, sector, to);
}

static void a_sector_that_was_written_with_what_it_held_is_not_stale(void **state) {
    (void)state;
    struct host host;
    boot(&host, 1);
    int32_t file = host_create_filled(&host, "a", OLD, SECTORS);
    assert_true(host_fill(&host, file, OLD, 2, 1, IO_SYNC) > 0);
    assert_false(damage(&host, WORLD_DAMAGE_STALE, 2, 0));
    assert_int_equal(host_sector(&host, "a", 2), OLD);
    end(&host);
}

static void a_stale_sector_has_what_was_durable_before_and_keeps_it(void **state) {
    (void)state;
    struct host host;
    boot(&host, 1);
    int32_t file = host_create_filled(&host, "a", OLD, SECTORS);
    assert_true(host_fill(&host, file, NEW, 2, 3, IO_SYNC) > 0);
    assert_true(host_fill(&host, file, NEWER, 3, 1, IO_SYNC) > 0);
    assert_true(damage(&host, WORLD_DAMAGE_STALE, 2, 0));
    assert_true(damage(&host, WORLD_DAMAGE_STALE, 3, 0));
    assert_true(damage(&host, WORLD_DAMAGE_STALE, 0, 0)); /* was nothing before */
    for (int cuts = 0; cuts < 2; cuts++) {
        static const int EXPECTED[SECTORS] = {0, OLD, OLD, NEW, NEW, OLD, OLD, OLD};
        for (uint64_t i = 0; i < SECTORS; i++)
            assert_int_equal(host_sector(&host, "a", i), EXPECTED[i]);
        world_crash(host.world, host.node, WORLD_KEEP_RANDOM);
    }
    end(&host);
}

static void a_misdirected_write_is_missing_here_and_too_much_there(void **state) {
    (void)state;
    struct host host;
    boot(&host, 1);
    int32_t file = host_create_filled(&host, "a", OLD, SECTORS);
    assert_true(host_fill(&host, file, NEW, 1, 1, IO_SYNC) > 0);
    assert_true(damage(&host, WORLD_DAMAGE_MISDIRECTED, 1, 6));
    uint8_t bytes[SECTORS * WORLD_SECTOR_BYTES];
    assert_int_equal(read_sectors(&host, file, 0, SECTORS, bytes), sizeof(bytes));
    for (uint64_t i = 0; i < SECTORS; i++)
        assert_int_equal(bytes[i * WORLD_SECTOR_BYTES + 7], i == 6 ? NEW : OLD);
    world_crash(host.world, host.node, WORLD_KEEP_NOTHING);
    assert_int_equal(host_sector(&host, "a", 1), OLD);
    assert_int_equal(host_sector(&host, "a", 6), NEW);
    end(&host);
}

static void a_flipped_sector_differs_in_one_byte_within_the_file(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct host host;
        boot(&host, seed);
        int32_t file = host_create(&host, "a");
        uint8_t few[WORLD_SECTOR_BYTES + 3];
        memset(few, OLD, sizeof(few));
        assert_int_equal(host_write(&host, file, few, sizeof(few), 0, IO_SYNC), sizeof(few));
        host_sync_names(&host);
        assert_true(damage(&host, WORLD_DAMAGE_FLIPPED, seed % 2, 0));
        world_crash(host.world, host.node, WORLD_KEEP_NOTHING);
        uint64_t length_bytes = 0;
        const uint8_t *bytes = world_file_bytes(host.world, 0, "data", "a", &length_bytes);
        assert_int_equal(length_bytes, sizeof(few));
        uint32_t wrong = 0;
        for (uint64_t i = 0; i < length_bytes; i++) {
            wrong += bytes[i] != OLD;
            assert_true(bytes[i] == OLD || i / WORLD_SECTOR_BYTES == seed % 2);
        }
        assert_int_equal(wrong, 1);
        end(&host);
    }
}

static void an_unreadable_sector_fails_each_read_that_touches_it_until_it_is_written(void **state) {
    (void)state;
    struct host host;
    uint8_t bytes[SECTORS * WORLD_SECTOR_BYTES];
    boot(&host, 1);
    int32_t file = host_create_filled(&host, "a", OLD, SECTORS);
    assert_true(damage(&host, WORLD_DAMAGE_UNREADABLE, 3, 0));
    assert_false(damage(&host, WORLD_DAMAGE_UNREADABLE, 3, 0)); /* it is already */
    assert_int_equal(read_sectors(&host, file, 0, SECTORS, bytes), -EIO);
    assert_int_equal(read_sectors(&host, file, 3, 1, bytes), -EIO);
    assert_int_equal(read_sectors(&host, file, 0, 3, bytes), 3 * WORLD_SECTOR_BYTES);
    assert_int_equal(read_sectors(&host, file, 4, 4, bytes), 4 * WORLD_SECTOR_BYTES);
    world_crash(host.world, host.node, WORLD_KEEP_RANDOM);
    host_bury(&host);
    host_start(&host, host.world, host.node);
    file = host_open(&host, "a", IO_OPEN_READ | IO_OPEN_WRITE);
    assert_int_equal(read_sectors(&host, file, 2, 2, bytes), -EIO); /* it is of the disk */
    assert_true(host_fill(&host, file, NEW, 3, 1, IO_SYNC) > 0);
    assert_int_equal(read_sectors(&host, file, 0, SECTORS, bytes), sizeof(bytes));
    assert_int_equal(bytes[3 * WORLD_SECTOR_BYTES], NEW);
    end(&host);
}

static void what_was_written_and_not_synced_is_damaged_too(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct host host;
        boot(&host, seed);
        int32_t file = host_create_filled(&host, "a", OLD, 1);
        assert_true(host_fill(&host, file, NEW, 0, 1, IO_SYNC) > 0);
        assert_true(host_fill(&host, file, NEWER, 0, 1, IO_NO_SYNC) > 0);
        assert_true(damage(&host, WORLD_DAMAGE_STALE, 0, 0));
        if (seed % 2 == 0)
            assert_int_equal(host_sync(&host, file), 0);
        world_crash(host.world, host.node, WORLD_KEEP_RANDOM);
        assert_int_equal(host_sector(&host, "a", 0), OLD);
        end(&host);
    }
}

static void a_later_write_mends_a_damaged_sector(void **state) {
    (void)state;
    struct host host;
    boot(&host, 1);
    int32_t file = host_create_filled(&host, "a", OLD, 2);
    assert_true(damage(&host, WORLD_DAMAGE_FLIPPED, 0, 0));
    assert_true(host_fill(&host, file, NEW, 0, 2, IO_SYNC) > 0);
    world_crash(host.world, host.node, WORLD_KEEP_NOTHING);
    assert_int_equal(host_sector(&host, "a", 0), NEW);
    assert_int_equal(host_sector(&host, "a", 1), NEW);
    end(&host);
}

static void files_are_listed_by_name_with_what_their_last_sync_covered(void **state) {
    (void)state;
    struct host host;
    struct world_file files[4];
    boot(&host, 1);
    assert_int_equal(world_files(host.world, 0, "nowhere", files, 4), 0);
    assert_int_equal(world_files(host.world, 0, "data", files, 4), 0);
    int32_t b = host_create_filled(&host, "b", OLD, SECTORS);
    int32_t a = host_create_filled(&host, "a", OLD, 2);
    int32_t c = host_create(&host, "c");
    world_obstruct(host.world, 0, "data", "d", WORLD_PIPE);
    assert_true(host_fill(&host, b, NEW, 3, 2, IO_SYNC) > 0);
    assert_true(host_fill(&host, c, NEW, 0, 1, IO_NO_SYNC) > 0);
    assert_int_equal(host_sync(&host, a), 0); /* nothing of it is new */
    assert_int_equal(world_files(host.world, 0, "data", files, 4), 3);
    assert_string_equal(files[0].name, "a");
    assert_string_equal(files[1].name, "b");
    assert_string_equal(files[2].name, "c");
    assert_int_equal(files[1].size_bytes, SECTORS * WORLD_SECTOR_BYTES);
    assert_int_equal(files[1].synced_sector_first, 3);
    assert_int_equal(files[1].synced_sector_end, 5);
    assert_int_equal(files[0].synced_sector_end, 2);
    assert_true(files[1].synced_step > files[0].synced_step);
    assert_int_equal(files[2].synced_step + files[2].synced_sector_end, 0);
    assert_int_equal(files[2].size_bytes, WORLD_SECTOR_BYTES);
    end(&host);
}

static uint32_t lines_seen;

static void count_line(void *context, const char *line) {
    lines_seen += strstr(line, context) != NULL;
}

static void damage_is_in_the_trace_with_the_name_of_the_file(void **state) {
    (void)state;
    struct host host;
    boot(&host, 1);
    host_create_filled(&host, "a", OLD, 2);
    char wanted[] = "misdirected a";
    lines_seen = 0;
    world_trace_to(host.world, count_line, wanted);
    uint64_t before = world_trace_hash(host.world);
    damage(&host, WORLD_DAMAGE_MISDIRECTED, 0, 1);
    assert_int_equal(lines_seen, 1);
    assert_true(world_trace_hash(host.world) != before);
    world_trace_to(host.world, NULL, NULL);
    end(&host);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sector_that_was_written_with_what_it_held_is_not_stale),
        cmocka_unit_test(a_stale_sector_has_what_was_durable_before_and_keeps_it),
        cmocka_unit_test(a_misdirected_write_is_missing_here_and_too_much_there),
        cmocka_unit_test(a_flipped_sector_differs_in_one_byte_within_the_file),
        cmocka_unit_test(an_unreadable_sector_fails_each_read_that_touches_it_until_it_is_written),
        cmocka_unit_test(what_was_written_and_not_synced_is_damaged_too),
        cmocka_unit_test(a_later_write_mends_a_damaged_sector),
        cmocka_unit_test(files_are_listed_by_name_with_what_their_last_sync_covered),
        cmocka_unit_test(damage_is_in_the_trace_with_the_name_of_the_file),
    };
    return cmocka_run_group_tests_name("damaged sectors", tests, NULL, NULL);
}
