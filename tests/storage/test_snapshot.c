/*
 * Snapshots on the simulated disk: written, verified, restored; cut at every step; damaged in every
 * byte.
 */

#include "tests/storage/fixture.h"

#include "base/bytes.h"
#include "sim/world.h"
#include "storage/format.h"
#include "storage/snapshot.h"
#include "storage/snapshot_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char path[] = "data";

struct snapshot_test {
    struct world *world;
    uint32_t node;
    struct fixture fixture;
};

static void test_begin(struct snapshot_test *test, uint64_t seed) {
    const struct world_options options = world_options_calm();
    test->world = world_create(seed, &options);
    test->node = world_node_add(test->world);
    fixture_open(&test->fixture, world_io(test->world, test->node), path, true);
}

/* The node starts again, after whatever happened to its disk. */
static void test_restart(struct snapshot_test *test) {
    fixture_open(&test->fixture, world_io(test->world, test->node), path, false);
}

static void test_end(struct snapshot_test *test) {
    world_destroy(test->world);
    fixture_open_count = 0;
}

static struct snapshot_meta meta_at(uint64_t index) {
    struct snapshot_meta meta = {
        .tail = {.index = index, .term = 3, .log_time_ms = 77, .chain = index * 1000003},
        .configuration = {.member_count = 1,
                          .members = {{.node_id = 1, .roles = CONFIGURATION_VOTER}}},
        .genesis = {.hash_seed = 42, .partition_count = 4, .value_bytes_max = 12345},
        .machine_name = "test",
        .machine_version = 9,
        .digest_count = 4,
        .digests = {1, 2, 3, 4},
    };
    if (index >= 20) {
        meta.session_bytes = 500;
        meta.session_version = 6;
    }
    return meta;
}

static uint8_t state_byte(uint64_t index, uint64_t place) {
    return (uint8_t)(index + place * 13 + (place >> 9));
}

/* Writes a snapshot of `bytes` bytes in odd pieces; the final state. */
static enum snapshot_state snapshot_take(struct snapshot_test *test, uint64_t index, uint64_t bytes,
                                         uint64_t rate_bytes_s, char *error_out) {
    struct fixture *fixture = &test->fixture;
    struct snapshot_writer *writer;
    const struct snapshot_meta meta = meta_at(index);
    assert_int_equal(snapshot_writer_create(&writer, fixture->io, fixture->port, fixture->directory,
                                            &fixture->identity, rate_bytes_s),
                     0);
    snapshot_begin(writer, &meta);
    uint64_t done = 0;
    bool finished = false;
    for (;;) {
        const enum snapshot_state state = snapshot_poll(writer, io_monotonic_ns(fixture->io));
        if (state == SNAPSHOT_COMPLETE || state == SNAPSHOT_FAILED) {
            if (error_out != NULL)
                snprintf(error_out, ERROR_TEXT_BYTES, "%s", snapshot_error(writer));
            if (state == SNAPSHOT_COMPLETE)
                assert_true(snapshot_writer_meta(writer)->machine_bytes == bytes);
            snapshot_writer_destroy(writer);
            return state;
        }
        uint8_t *room;
        const bool is_paced = snapshot_pace_ns(writer) > io_monotonic_ns(fixture->io);
        while (!is_paced && done < bytes) {
            uint32_t piece = 1 + (uint32_t)(done * 7 % 4096);
            if (piece > bytes - done)
                piece = (uint32_t)(bytes - done);
            if ((room = snapshot_reserve(writer, piece)) == NULL)
                break;
            for (uint32_t i = 0; i < piece; i++)
                room[i] = state_byte(index, done + i);
            snapshot_commit(writer, piece);
            done += piece;
        }
        if (done == bytes && !finished) {
            snapshot_finish(writer);
            finished = true;
        }
        if (io_outstanding(fixture->port) > 0) {
            const struct io_completion completion = io_wait(fixture->port);
            assert_true(snapshot_completion(writer, &completion));
        } else if (is_paced) {
            const uint64_t now_ns = io_monotonic_ns(fixture->io);
            const uint64_t pace_ns = snapshot_pace_ns(writer);
            io_park(fixture->io, pace_ns > now_ns ? pace_ns - now_ns : 0);
        }
    }
}

/* Opens the newest snapshot, checks every byte; its index, 0 for none, or the error. */
static int64_t snapshot_found(struct snapshot_test *test) {
    struct fixture *fixture = &test->fixture;
    struct snapshot_reader *reader;
    struct snapshot_meta meta;
    const int result = snapshot_open(&reader, fixture->io, fixture->port, fixture->directory,
                                     &fixture->identity, &meta, &fixture->error);
    if (result != 0 || reader == NULL)
        return result;
    const struct snapshot_meta expected = meta_at(meta.tail.index);
    assert_memory_equal(&meta.tail, &expected.tail, sizeof(meta.tail));
    assert_string_equal(meta.machine_name, "test");
    assert_true(meta.machine_version == 9 && meta.digest_count == 4 && meta.digests[3] == 4);
    assert_true(meta.session_bytes == expected.session_bytes &&
                meta.session_version == expected.session_version);
    assert_true(meta.genesis.hash_seed == 42 && meta.genesis.partition_count == 4);
    assert_int_equal(meta.genesis.value_bytes_max, 12345);
    uint64_t place = 0;
    for (;;) {
        const uint8_t *bytes;
        size_t length;
        assert_int_equal(snapshot_read(reader, &bytes, &length, &fixture->error), 0);
        if (length == 0)
            break;
        for (size_t i = 0; i < length; i++)
            assert_int_equal(bytes[i], state_byte(meta.tail.index, place + i));
        place += length;
    }
    assert_true(place == meta.machine_bytes);
    snapshot_close(reader);
    return (int64_t)meta.tail.index;
}

static void one_with_fewer_bytes_than_its_sessions_have_is_refused(void **state) {
    (void)state;
    struct snapshot_test test;
    test_begin(&test, 5);
    assert_int_equal(snapshot_take(&test, 20, 499, 0, NULL), SNAPSHOT_COMPLETE);
    assert_int_equal(snapshot_found(&test), WEIR_ECORRUPT);
    assert_non_null(strstr(test.fixture.error.text, "fewer bytes than its header says"));
    assert_int_equal(snapshot_take(&test, 21, 500, 0, NULL), SNAPSHOT_COMPLETE);
    assert_int_equal(snapshot_found(&test), 21);
    test_end(&test);
}

/* What a header says the largest value to be, of that version; its error. */
static int largest_value_found(uint32_t version, uint32_t written, uint32_t *found) {
    static const struct owner owner = {.cluster_id = 1, .node_id = 1, .incarnation = 1};
    uint8_t image[SNAPSHOT_HEADER_BYTES];
    struct snapshot_meta meta = meta_at(3);
    struct format_fault fault;
    uint64_t seed;
    meta.genesis.value_bytes_max = written;
    (void)snapshot_header_write(image, &owner, &meta);
    assert_int_equal(bytes_get_u32(image + 8), 4);
    bytes_put_u32(image + 8, version);
    const uint32_t sum_at = SNAPSHOT_HEADER_BYTES - 8;
    bytes_put_u64(image + sum_at, checksum_64(image, sum_at, 0));
    const int result = snapshot_header_read(image, sizeof(image), &owner, 3, &meta, &seed, &fault);
    *found = meta.genesis.value_bytes_max;
    return result;
}

static void versions_before_the_fourth_have_agreed_on_no_largest_value(void **state) {
    (void)state;
    uint32_t found;
    assert_int_equal(largest_value_found(5, 777, &found), WEIR_EVERSION);
    assert_int_equal(largest_value_found(4, ENTRY_VALUE_BYTES_MAX + 1, &found), WEIR_ECORRUPT);
    assert_int_equal(largest_value_found(4, 777, &found), 0);
    assert_int_equal(found, 777);
    for (uint32_t version = 1; version < 4; version++) {
        assert_int_equal(largest_value_found(version, 777, &found), 0);
        assert_int_equal(found, 0);
    }
}

static void without_a_snapshot_none_is_found(void **state) {
    (void)state;
    struct snapshot_test test;
    test_begin(&test, 1);
    assert_true(snapshot_found(&test) == 0);
    test_end(&test);
}

static void what_was_written_is_read_back(void **state) {
    (void)state;
    static const uint64_t sizes[] = {0,      1,      SNAPSHOT_RESERVE_BYTES_MAX,
                                     262145, 300000, 3 * 1024 * 1024 + 17};
    struct snapshot_test test;
    test_begin(&test, 2);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        assert_int_equal(snapshot_take(&test, 10 + i, sizes[i], 0, NULL), SNAPSHOT_COMPLETE);
        assert_true(snapshot_found(&test) == (int64_t)(10 + i));
    }
    assert_int_equal(snapshot_prune(test.fixture.io, test.fixture.port, test.fixture.directory, 1),
                     0);
    assert_true(snapshot_found(&test) == 10 + ARRAY_COUNT(sizes) - 1);
    uint64_t length;
    assert_null(
        world_file_bytes(test.world, test.node, path, "snapshot-0000000000000010", &length));
    test_end(&test);
}

static void the_rate_is_kept(void **state) {
    (void)state;
    struct snapshot_test test;
    test_begin(&test, 3);
    const uint64_t begun_ns = io_monotonic_ns(test.fixture.io);
    assert_int_equal(snapshot_take(&test, 5, 4 * 1024 * 1024, 1024 * 1024, NULL),
                     SNAPSHOT_COMPLETE);
    /* 4 MiB at 1 MiB/s, the first block and the last one's completion aside. */
    const uint64_t took_ns = io_monotonic_ns(test.fixture.io) - begun_ns;
    assert_true(took_ns > UINT64_C(3400000000) && took_ns < UINT64_C(4600000000));
    test_end(&test);
}

/* The power goes after every step of the disk: there is the old snapshot or the new one, whole. */
static void a_power_cut_leaves_the_old_or_the_new_one(void **state) {
    (void)state;
    uint32_t old_count = 0;
    uint32_t new_count = 0;
    /* How many steps there are depends on the seed: on until even the longest was carried out. */
    uint32_t complete_count = 0;
    for (uint64_t cut = 0; complete_count < 40; cut++) {
        for (uint32_t round = 0; round < 12; round++) {
            const enum world_power_cut how = (enum world_power_cut)(round % 3);
            struct snapshot_test test;
            test_begin(&test, cut * 12 + round);
            assert_int_equal(snapshot_take(&test, 10, 1000, 0, NULL), SNAPSHOT_COMPLETE);
            world_disk_die_after(test.world, test.node, cut);
            const enum snapshot_state final = snapshot_take(&test, 20, 600000, 0, NULL);
            world_crash(test.world, test.node, how);
            test_restart(&test);
            const int64_t found = snapshot_found(&test);
            assert_true(found == 10 || found == 20);
            assert_true(final != SNAPSHOT_COMPLETE || found == 20);
            complete_count += final == SNAPSHOT_COMPLETE;
            old_count += found == 10;
            new_count += found == 20;
            test_end(&test);
        }
    }
    assert_true(old_count > 10 && new_count > complete_count); /* both really happened */
}

static void every_flipped_byte_is_refused(void **state) {
    (void)state;
    struct snapshot_test test;
    test_begin(&test, 4);
    assert_int_equal(snapshot_take(&test, 10, 9000, 0, NULL), SNAPSHOT_COMPLETE);
    uint64_t length;
    const uint8_t *bytes =
        world_file_bytes(test.world, test.node, path, "snapshot-0000000000000010", &length);
    const struct owner owner = owner_of(&test.fixture.identity);
    uint8_t *copy = malloc(length);
    memcpy(copy, bytes, length);
    struct snapshot_meta meta;
    struct format_fault fault;
    assert_int_equal(snapshot_verify(copy, length, &owner, 10, &meta, &fault), 0);
    for (uint64_t i = 0; i < length; i++) {
        copy[i] ^= (uint8_t)(1 << i % 8);
        assert_int_not_equal(snapshot_verify(copy, length, &owner, 10, &meta, &fault), 0);
        assert_non_null(fault.reason);
        copy[i] ^= (uint8_t)(1 << i % 8);
    }
    for (uint64_t shorter = 0; shorter < length; shorter++)
        assert_int_not_equal(snapshot_verify(copy, shorter, &owner, 10, &meta, &fault), 0);
    assert_int_not_equal(snapshot_verify(copy, length, &owner, 11, &meta, &fault), 0);
    free(copy);
    /* And once through the door: the sentence names the file and the offset. */
    world_file_flip(test.world, test.node, path, "snapshot-0000000000000010", 5000, 4);
    assert_true(snapshot_found(&test) == WEIR_ECORRUPT);
    assert_non_null(strstr(test.fixture.error.text, "snapshot-0000000000000010: at offset 4096"));
    test_end(&test);
}

static void an_older_one_serves_only_if_the_log_continues_it(void **state) {
    (void)state;
    struct snapshot_test test;
    test_begin(&test, 5);
    assert_int_equal(snapshot_take(&test, 10, 9000, 0, NULL), SNAPSHOT_COMPLETE);
    assert_int_equal(snapshot_take(&test, 20, 9000, 0, NULL), SNAPSHOT_COMPLETE);
    world_file_flip(test.world, test.node, path, "snapshot-0000000000000020", 5000, 4);
    /* The log still has its first segment: entry 11 is (or was) there. */
    assert_true(snapshot_found(&test) == 10);
    /* Without it nothing says what entries 11 to 20 were. */
    static const uint8_t nothing[1] = {0};
    world_file_put(test.world, test.node, path, "log-0000000000000001", nothing, 1);
    assert_true(snapshot_found(&test) == WEIR_ECORRUPT);
    assert_non_null(strstr(test.fixture.error.text, "snapshot-0000000000000020"));
    test_end(&test);
}

static void a_snapshot_of_another_node_is_refused(void **state) {
    (void)state;
    struct snapshot_test test;
    test_begin(&test, 6);
    assert_int_equal(snapshot_take(&test, 10, 9000, 0, NULL), SNAPSHOT_COMPLETE);
    test.fixture.identity.incarnation++;
    assert_true(snapshot_found(&test) == WEIR_EIDENTITY);
    assert_non_null(strstr(test.fixture.error.text, "incarnation"));
    test_end(&test);
}

static void failures_abandon_it_and_leave_nothing(void **state) {
    (void)state;
    static const struct {
        enum world_disk_operation operation;
        uint32_t nth;
        int error;
    } faults[] = {
        {WORLD_DISK_OPEN, 1, -28},  {WORLD_DISK_WRITE, 1, -28}, {WORLD_DISK_WRITE, 2, -5},
        {WORLD_DISK_WRITE, 3, -28}, {WORLD_DISK_SYNC, 1, -5},   {WORLD_DISK_READ, 1, -5},
        {WORLD_DISK_READ, 3, -5},   {WORLD_DISK_NAMES, 2, -5},
    };
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        struct snapshot_test test;
        char error[ERROR_TEXT_BYTES];
        test_begin(&test, 100 + i);
        world_disk_fail(test.world, test.node, faults[i].operation, faults[i].nth, 1,
                        faults[i].error);
        assert_int_equal(snapshot_take(&test, 10, 900000, 0, error), SNAPSHOT_FAILED);
        assert_non_null(strstr(error, faults[i].error == -28 ? "No space" : "Input/output"));
        uint64_t length;
        assert_null(world_file_bytes(test.world, test.node, path, "snapshot.partial", &length));
        /* And the next attempt succeeds. */
        assert_int_equal(snapshot_take(&test, 10, 900000, 0, NULL), SNAPSHOT_COMPLETE);
        assert_true(snapshot_found(&test) == 10);
        test_end(&test);
    }
}

/* The disk lies: what is read back before the rename is not what was written. */
static void what_does_not_read_back_is_not_renamed(void **state) {
    (void)state;
    struct snapshot_test test;
    test_begin(&test, 7);
    struct fixture *fixture = &test.fixture;
    struct snapshot_writer *writer;
    const struct snapshot_meta meta = meta_at(10);
    assert_int_equal(snapshot_writer_create(&writer, fixture->io, fixture->port, fixture->directory,
                                            &fixture->identity, 0),
                     0);
    snapshot_begin(writer, &meta);
    bool finished = false;
    bool flipped = false;
    enum snapshot_state last;
    while ((last = snapshot_poll(writer, 0)) != SNAPSHOT_FAILED) {
        assert_int_not_equal(last, SNAPSHOT_COMPLETE);
        if (!finished && snapshot_reserve(writer, 100) != NULL) {
            snapshot_commit(writer, 100);
            snapshot_finish(writer);
            finished = true;
        }
        uint64_t length;
        if (!flipped && last == SNAPSHOT_SEALING &&
            world_file_bytes(test.world, test.node, path, "snapshot.partial", &length) != NULL &&
            length > SNAPSHOT_HEADER_BYTES) {
            world_file_flip(test.world, test.node, path, "snapshot.partial",
                            SNAPSHOT_HEADER_BYTES + 50, 1);
            flipped = true;
        }
        if (io_outstanding(fixture->port) > 0) {
            const struct io_completion completion = io_wait(fixture->port);
            assert_true(snapshot_completion(writer, &completion));
        }
    }
    assert_true(flipped);
    assert_non_null(strstr(snapshot_error(writer), "did not read back"));
    snapshot_writer_destroy(writer);
    assert_true(snapshot_found(&test) == 0);
    test_end(&test);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_before_the_fourth_have_agreed_on_no_largest_value),
        cmocka_unit_test(without_a_snapshot_none_is_found),
        cmocka_unit_test(one_with_fewer_bytes_than_its_sessions_have_is_refused),
        cmocka_unit_test(what_was_written_is_read_back),
        cmocka_unit_test(the_rate_is_kept),
        cmocka_unit_test(a_power_cut_leaves_the_old_or_the_new_one),
        cmocka_unit_test(every_flipped_byte_is_refused),
        cmocka_unit_test(an_older_one_serves_only_if_the_log_continues_it),
        cmocka_unit_test(a_snapshot_of_another_node_is_refused),
        cmocka_unit_test(failures_abandon_it_and_leave_nothing),
        cmocka_unit_test(what_does_not_read_back_is_not_renamed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
