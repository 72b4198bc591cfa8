/* The log on disks that are full, or that fail: refused and recovered, or final. */

#include "tests/storage/rig.h"

#include "base/bytes.h"
#include "storage/log_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- a full disk -------------------------------------------------------------------------- */

static bool append_noop(void) {
    struct log *log = fixture.log;
    uint8_t *entry = log_reserve(log, ENTRY_HEADER_BYTES, true);
    const struct entry_header header = {.length_bytes = ENTRY_HEADER_BYTES,
                                        .kind = ENTRY_NOOP,
                                        .term = fixture.term,
                                        .log_time_ms = log_tail(log)->log_time_ms};
    if (entry == NULL)
        return false;
    log_append(log, &header);
    return true;
}

/* Writes until nothing more is taken. */
static void fill(void) {
    while (log_state(fixture.log) == LOG_READY) {
        (void)fixture_append(&fixture, 5000);
        log_flush(fixture.log);
        log_maintain(fixture.log, io_monotonic_ns(fixture.io));
        if (io_outstanding(fixture.port) > 0)
            fixture_complete_one(&fixture);
        log_release(fixture.log, log_durable_index(fixture.log));
    }
    fixture_settle(&fixture);
}

/* A client's entry of another member. */
static int copy(bool earlier) {
    static _Alignas(8) uint8_t entry[6000];
    const size_t length_bytes = fixture_entry_make(&fixture, 5000, entry);
    const int result = log_append_copy(fixture.log, entry, length_bytes, earlier);
    fixture_settle(&fixture);
    return result;
}

/* What a new leader's first entry has to wait for; and then there is room for that. */
static void clients_entries_of_an_earlier_term_may_use_half_of_what_is_kept(void **state) {
    (void)state;
    rig_open_log();
    world_disk_capacity(world, 0, world_disk_used_bytes(world, 0) + 300000);
    fill();
    assert_int_equal(copy(false), WEIR_ENOSPC);
    uint64_t taken_bytes = 0;
    while (copy(true) == 0)
        taken_bytes += 5000;
    assert_in_range(taken_bytes, LOG_RESERVE_BYTES / 2 * 3 / 4, LOG_RESERVE_BYTES / 2 + 10000);
    assert_int_equal(copy(true), WEIR_ENOSPC);
    assert_int_equal(log_state(fixture.log), LOG_FULL);
    for (int i = 0; i < 32; i++) {
        assert_true(append_noop());
        fixture_settle(&fixture);
    }
    const uint64_t last = log_last_index(fixture.log);
    fixture_log_stop(&fixture);
    rig_open_log();
    assert_true(log_last_index(fixture.log) == last);
    fixture_log_stop(&fixture);
}

static void a_full_disk_refuses_and_recovers(void **state) {
    (void)state;
    rig_open_log();
    world_disk_capacity(world, 0, world_disk_used_bytes(world, 0) + 300000);
    /* The active and the spare segment can be filled to the end; a third one cannot be had. */
    uint64_t accepted = 0;
    uint64_t accepted_bytes = 0;
    while (log_state(fixture.log) == LOG_READY) {
        if (fixture_append(&fixture, 5000)) {
            accepted++;
            accepted_bytes += 5000;
        }
        log_flush(fixture.log);
        log_maintain(fixture.log, io_monotonic_ns(fixture.io));
        if (io_outstanding(fixture.port) > 0)
            fixture_complete_one(&fixture);
        log_release(fixture.log, log_durable_index(fixture.log));
        assert_true(accepted < 1000);
    }
    const uint64_t room_bytes = 2 * fixture.options.segment_bytes - LOG_RESERVE_BYTES;
    assert_true(accepted_bytes > room_bytes * 3 / 4); /* padding to blocks takes the rest */
    assert_int_equal(log_state(fixture.log), LOG_FULL);
    assert_non_null(strstr(log_error_text(fixture.log), "no space"));
    assert_false(fixture_append(&fixture, 10));
    /* What was accepted becomes durable all the same, and protocol entries still fit. */
    fixture_settle(&fixture);
    for (int i = 0; i < 64; i++) {
        assert_true(append_noop());
        fixture_settle(&fixture);
    }
    const uint64_t last = log_last_index(fixture.log);
    assert_true(last == accepted + 64 + 1);
    /* Full is not forever, and trying again costs nothing in between. */
    assert_true(log_deadline_ns(fixture.log) != UINT64_MAX);
    world_disk_capacity(world, 0, UINT64_C(1) << 40);
    while (log_state(fixture.log) == LOG_FULL) {
        log_maintain(fixture.log, io_monotonic_ns(fixture.io));
        if (io_outstanding(fixture.port) > 0)
            fixture_complete_one(&fixture);
        else
            io_park(fixture.io, 50000000);
    }
    assert_int_equal(log_state(fixture.log), LOG_READY);
    rig_append(1, 5000);
    fixture_settle(&fixture);
    fixture_log_stop(&fixture);
    rig_open_log();
    assert_true(log_last_index(fixture.log) == last + 1);
    fixture_log_stop(&fixture);
}

static void a_disk_filled_up_between_two_lives_still_takes_protocol_entries(void **state) {
    (void)state;
    rig_open_log();
    while (fixture_append(&fixture, 5000) && log_last_index(fixture.log) < 150)
        fixture_settle(&fixture);
    fixture_log_stop(&fixture);
    world_disk_capacity(world, 0, world_disk_used_bytes(world, 0) - 900000);
    for (int life = 0; life < 10; life++) {
        if (fixture_log_open(&fixture, NULL) != 0)
            fail_msg("%s", fixture.error.text);
        log_maintain(fixture.log, io_monotonic_ns(fixture.io));
        while (io_outstanding(fixture.port) > 0)
            fixture_complete_one(&fixture);
        /* What is left of the active segment is the clients', but for the reserve. */
        assert_int_equal(log_state(fixture.log), LOG_READY);
        while (fixture_append(&fixture, 5000)) {
            assert_true(life == 0);
            fixture_settle(&fixture);
            log_release(fixture.log, log_durable_index(fixture.log));
        }
        assert_int_equal(log_state(fixture.log), LOG_FULL);
        assert_true(append_noop());
        fixture_settle(&fixture);
        fixture_log_stop(&fixture);
    }
}

static void a_truncation_without_space_refuses_clients_until_there_is_some(void **state) {
    (void)state;
    world_disk_capacity(world, 0, world_disk_used_bytes(world, 0) + 300000);
    if (fixture_log_open(&fixture, NULL) != 0)
        fail_msg("%s", fixture.error.text);
    rig_append(5, 1000);
    fixture_settle(&fixture);
    log_truncate(fixture.log, 3);
    log_maintain(fixture.log, io_monotonic_ns(fixture.io));
    while (io_outstanding(fixture.port) > 0)
        fixture_complete_one(&fixture);
    assert_true(log_truncating(fixture.log));
    assert_false(fixture_append(&fixture, 10));
    assert_int_equal(log_state(fixture.log), LOG_FULL);
    world_disk_capacity(world, 0, UINT64_C(1) << 40);
    while (log_truncating(fixture.log)) {
        log_maintain(fixture.log, io_monotonic_ns(fixture.io));
        if (io_outstanding(fixture.port) > 0)
            fixture_complete_one(&fixture);
        else
            io_park(fixture.io, 50000000);
    }
    assert_int_equal(log_state(fixture.log), LOG_READY);
    rig_append(1, 10);
    fixture_settle(&fixture);
    assert_true(log_last_index(fixture.log) == 4);
    fixture_log_stop(&fixture);
}

static void a_stop_does_not_wait_for_the_space_that_a_truncation_needs(void **state) {
    (void)state;
    world_disk_capacity(world, 0, world_disk_used_bytes(world, 0) + 300000);
    if (fixture_log_open(&fixture, NULL) != 0)
        fail_msg("%s", fixture.error.text);
    rig_append(5, 1000);
    fixture_settle(&fixture);
    log_truncate(fixture.log, 3);
    log_maintain(fixture.log, io_monotonic_ns(fixture.io));
    while (io_outstanding(fixture.port) > 0)
        fixture_complete_one(&fixture);
    assert_true(log_truncating(fixture.log));
    assert_true(log_out_of_room(fixture.log)); /* though no client has asked for any */
    fixture_log_stop(&fixture);
    /* Nothing of it had reached the disk. */
    world_disk_capacity(world, 0, UINT64_C(1) << 40);
    rig_open_log();
    assert_true(log_last_index(fixture.log) == 6);
    fixture_log_stop(&fixture);
}

/* ---- no descriptor ------------------------------------------------------------------------ */

/* Lets the log go on until the condition holds. */
static void go_on(bool (*holds)(void)) {
    for (int step = 0; !holds(); step++) {
        assert_true(step < 10000);
        assert_int_not_equal(log_state(fixture.log), LOG_FAILED);
        log_maintain(fixture.log, io_monotonic_ns(fixture.io));
        if (io_outstanding(fixture.port) > 0)
            fixture_complete_one(&fixture);
        else
            io_park(fixture.io, 50000000);
    }
}

static bool is_ready(void) {
    return log_state(fixture.log) == LOG_READY;
}

static bool has_truncated(void) {
    return !log_truncating(fixture.log);
}

static bool is_stopped(void) {
    return log_stopped(fixture.log);
}

static struct {
    uint64_t first_index;
    uint32_t count;
    size_t length_bytes;
    int error;
} result;

static bool was_read(void) {
    return log_read_result(fixture.log, &result.first_index, &result.count, &result.length_bytes,
                           &result.error);
}

static void fill_and_go_on_without_a_descriptor(enum world_disk_operation open) {
    static const int numbers[] = {-EMFILE, -ENFILE};
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        if (fixture_log_open(&fixture, NULL) != 0)
            fail_msg("%s", fixture.error.text);
        world_disk_fail(world, 0, open, 1, UINT32_MAX, numbers[i]);
        for (int step = 0; log_state(fixture.log) == LOG_READY; step++) {
            assert_true(step < 1000);
            fixture_append(&fixture, 5000);
            log_flush(fixture.log);
            log_maintain(fixture.log, io_monotonic_ns(fixture.io));
            if (io_outstanding(fixture.port) > 0)
                fixture_complete_one(&fixture);
            log_release(fixture.log, log_durable_index(fixture.log));
        }
        assert_int_equal(log_state(fixture.log), LOG_FULL);
        assert_non_null(strstr(log_error_text(fixture.log), "no file descriptor"));
        assert_true(append_noop());
        fixture_settle(&fixture);
        assert_true(log_deadline_ns(fixture.log) != UINT64_MAX);
        world_disk_fail(world, 0, open, 1, 0, 0);
        go_on(is_ready);
        rig_append(1, 5000);
        fixture_settle(&fixture);
        fixture_log_stop(&fixture);
    }
}

static void without_a_descriptor_the_next_segment_waits_for_one(void **state) {
    (void)state;
    fill_and_go_on_without_a_descriptor(WORLD_DISK_OPEN);
}

/* The file is there already when it turns out that there is no descriptor for it. */
static void a_segment_that_was_created_and_not_opened_is_no_obstacle_later(void **state) {
    (void)state;
    fill_and_go_on_without_a_descriptor(WORLD_DISK_OPENED);
}

static void without_a_descriptor_a_read_waits_for_one(void **state) {
    (void)state;
    static _Alignas(4096) uint8_t buffer[4096];
    rig_open_log();
    rig_append(3, 100);
    fixture_settle(&fixture);
    world_disk_fail(world, 0, WORLD_DISK_OPEN, 1, 3, -EMFILE);
    log_read(fixture.log, 2, buffer, sizeof(buffer));
    fixture_complete_one(&fixture);
    assert_false(was_read());
    assert_true(log_deadline_ns(fixture.log) <= io_monotonic_ns(fixture.io) + LOG_SPACE_RETRY_NS);
    const uint64_t begin_ns = io_monotonic_ns(fixture.io);
    go_on(was_read);
    assert_true(result.error == 0 && result.first_index == 2 && result.count == 3);
    assert_true(fixture_entry_is_right(buffer, 2));
    /* Not again and again without a pause. */
    assert_true(io_monotonic_ns(fixture.io) >= begin_ns + 3 * LOG_SPACE_RETRY_NS);
    fixture_log_stop(&fixture);
}

static void without_a_descriptor_a_truncation_waits_for_one_but_no_stop_does(void **state) {
    (void)state;
    for (int stops = 0; stops < 2; stops++) {
        rig_open_log();
        rig_append(5, 1000);
        fixture_settle(&fixture);
        const uint64_t last = log_last_index(fixture.log);
        log_release(fixture.log, last);
        fixture_settle(&fixture);
        assert_null(log_entry(fixture.log, last - 2));
        world_disk_fail(world, 0, WORLD_DISK_OPEN, 1, stops ? UINT32_MAX : 3, -EMFILE);
        log_truncate(fixture.log, last - 2);
        if (stops) {
            log_stop(fixture.log);
            go_on(is_stopped);
            log_close(fixture.log);
            fixture.log = NULL;
            world_disk_fail(world, 0, WORLD_DISK_OPEN, 1, 0, 0);
            rig_open_log();
            assert_true(log_last_index(fixture.log) == last); /* the disk was told nothing */
        } else {
            go_on(has_truncated);
            assert_true(log_last_index(fixture.log) == last - 2);
        }
        fixture_log_stop(&fixture);
    }
}

/* ---- a failing disk ----------------------------------------------------------------------- */

static void a_failed_write_or_sync_is_final(void **state) {
    (void)state;
    for (int sync = 0; sync < 2; sync++) {
        rig_open_log();
        rig_append(3, 100);
        fixture_settle(&fixture);
        const uint64_t durable = log_durable_index(fixture.log);
        rig_append(3, 100);
        world_disk_fail(world, 0, sync ? WORLD_DISK_SYNC : WORLD_DISK_WRITE, 1, 1, -5);
        log_flush(fixture.log);
        rig_append(3, 100);
        fixture_complete_one(&fixture);
        assert_int_equal(log_state(fixture.log), LOG_FAILED);
        assert_non_null(strstr(log_error_text(fixture.log), "log-000000000000000"));
        assert_non_null(strstr(log_error_text(fixture.log), "Input/output error"));
        /* The disk works again; nothing is tried, accepted or called durable. */
        assert_false(fixture_append(&fixture, 100));
        assert_null(log_reserve(fixture.log, 100, true));
        log_flush(fixture.log);
        log_maintain(fixture.log, UINT64_MAX / 2);
        assert_true(io_outstanding(fixture.port) == 0);
        assert_true(log_durable_index(fixture.log) == durable);
        assert_true(log_deadline_ns(fixture.log) == UINT64_MAX);
        log_close(fixture.log);
        fixture.log = NULL;
        /* What was not durable may be there, or not. */
        rig_open_log();
        assert_true(log_last_index(fixture.log) >= durable &&
                    log_last_index(fixture.log) <= durable + 3);
        fixture_log_stop(&fixture);
    }
}

static void a_failing_disk_while_segments_change_is_final(void **state) {
    (void)state;
    static const enum world_disk_operation operations[] = {WORLD_DISK_OPEN, WORLD_DISK_ALLOCATE,
                                                           WORLD_DISK_SYNC, WORLD_DISK_WRITE};
    for (size_t i = 0; i < ARRAY_COUNT(operations); i++) {
        for (uint32_t nth = 1; nth <= 2; nth++) {
            if (fixture_log_open(&fixture, NULL) != 0)
                fail_msg("%s", fixture.error.text);
            rig_append(1, 100);
            fixture_settle(&fixture);
            const uint64_t durable = log_durable_index(fixture.log);
            log_truncate(fixture.log, durable - 1);
            world_disk_fail(world, 0, operations[i], nth, 1, -5);
            for (int step = 0; step < 40 && log_state(fixture.log) != LOG_FAILED; step++) {
                log_maintain(fixture.log, io_monotonic_ns(fixture.io));
                if (io_outstanding(fixture.port) > 0)
                    fixture_complete_one(&fixture);
                else if (!fixture_append(&fixture, 100000))
                    log_release(fixture.log, log_durable_index(fixture.log));
                log_flush(fixture.log);
            }
            assert_int_equal(log_state(fixture.log), LOG_FAILED);
            log_close(fixture.log);
            fixture.log = NULL;
            world_disk_fail(world, 0, operations[i], 1, 0, -5);
        }
    }
}

static void a_segment_that_found_no_space_and_cannot_be_removed_is_final(void **state) {
    (void)state;
    static const int numbers[] = {-EIO, -ENOSPC}; /* file systems that copy need some to remove */
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        rig_open_log();
        world_disk_fail(world, 0, WORLD_DISK_ALLOCATE, 1, UINT32_MAX, -ENOSPC);
        world_disk_fail(world, 0, WORLD_DISK_NAMES, 1, UINT32_MAX, numbers[i]);
        for (int step = 0; step < 1000 && log_state(fixture.log) != LOG_FAILED; step++) {
            (void)fixture_append(&fixture, 5000);
            log_flush(fixture.log);
            log_maintain(fixture.log, io_monotonic_ns(fixture.io));
            if (io_outstanding(fixture.port) > 0)
                fixture_complete_one(&fixture);
            log_release(fixture.log, log_durable_index(fixture.log));
        }
        assert_int_equal(log_state(fixture.log), LOG_FAILED);
        log_close(fixture.log);
        fixture.log = NULL;
        world_disk_fail(world, 0, WORLD_DISK_ALLOCATE, 1, 0, 0);
        world_disk_fail(world, 0, WORLD_DISK_NAMES, 1, 0, 0);
    }
}

static void a_read_that_fails_fails_that_read_only(void **state) {
    (void)state;
    static _Alignas(4096) uint8_t buffer[300 * 1024];
    uint64_t first_index;
    uint32_t count;
    size_t length_bytes;
    int error;
    rig_open_log();
    rig_append(1, 200 * 1024);
    rig_append(3, 100);
    fixture_settle(&fixture);
    world_disk_fail(world, 0, WORLD_DISK_READ, 1, 1, -5);
    log_read(fixture.log, 3, buffer, sizeof(buffer));
    assert_false(log_read_result(fixture.log, &first_index, &count, &length_bytes, &error));
    while (!log_read_result(fixture.log, &first_index, &count, &length_bytes, &error))
        fixture_complete_one(&fixture);
    assert_true(error == WEIR_EIO && count == 0);
    assert_int_equal(log_state(fixture.log), LOG_READY);
    /* Too small a buffer says how large it must be. */
    log_read(fixture.log, 2, buffer, 1000);
    while (!log_read_result(fixture.log, &first_index, &count, &length_bytes, &error))
        fixture_complete_one(&fixture);
    assert_true(error == WEIR_EFULL && count == 0 && length_bytes > 200 * 1024);
    log_read(fixture.log, 2, buffer, length_bytes);
    while (!log_read_result(fixture.log, &first_index, &count, &length_bytes, &error))
        fixture_complete_one(&fixture);
    assert_true(error == 0 && first_index == 2 && count == 1);
    assert_true(fixture_entry_is_right(buffer, 2));
    /* A truncation after the read was done: what it made void is not handed out. */
    log_read(fixture.log, 3, buffer, sizeof(buffer));
    fixture_complete_one(&fixture);
    log_truncate(fixture.log, 4);
    while (!log_read_result(fixture.log, &first_index, &count, &length_bytes, &error))
        fixture_complete_one(&fixture);
    assert_true(error == 0 && first_index == 3 && count == 2);
    fixture_settle(&fixture);
    fixture_log_stop(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_TEST(clients_entries_of_an_earlier_term_may_use_half_of_what_is_kept),
        RIG_TEST(a_full_disk_refuses_and_recovers),
        RIG_TEST(a_disk_filled_up_between_two_lives_still_takes_protocol_entries),
        RIG_TEST(a_truncation_without_space_refuses_clients_until_there_is_some),
        RIG_TEST(a_stop_does_not_wait_for_the_space_that_a_truncation_needs),
        RIG_TEST(without_a_descriptor_the_next_segment_waits_for_one),
        RIG_TEST(a_segment_that_was_created_and_not_opened_is_no_obstacle_later),
        RIG_TEST(a_segment_that_found_no_space_and_cannot_be_removed_is_final),
        RIG_TEST(without_a_descriptor_a_read_waits_for_one),
        RIG_TEST(without_a_descriptor_a_truncation_waits_for_one_but_no_stop_does),
        RIG_TEST(a_failed_write_or_sync_is_final),
        RIG_TEST(a_failing_disk_while_segments_change_is_final),
        RIG_TEST(a_read_that_fails_fails_that_read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
