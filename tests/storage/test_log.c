/*
 * The log, one behaviour at a time, on the simulated disk: room, group commit, memory, truncation,
 * full disks, failing disks, snapshots beyond its end.  (Power cuts: test_log_power.c.)
 */

#include "tests/storage/fixture.h"

#include "base/bytes.h"
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

static const char path[] = "data";
static struct world *world;
static struct fixture fixture;

static int begin(void **state) {
    (void)state;
    const struct world_options options = world_options_calm();
    world = world_create(1, &options);
    fixture_open(&fixture, world_io(world, world_node_add(world)), path, true);
    return 0;
}

static int end(void **state) {
    (void)state;
    world_destroy(world);
    fixture_open_count = 0;
    return 0;
}

static void open_log(void) {
    if (fixture_log_open(&fixture, NULL) != 0)
        fail_msg("%s", fixture.error.text);
    /* The next segment is ready before the test begins. */
    do {
        log_maintain(fixture.log, io_monotonic_ns(fixture.io));
        while (io_outstanding(fixture.port) > 0)
            fixture_complete_one(&fixture);
    } while (log_deadline_ns(fixture.log) <= io_monotonic_ns(fixture.io));
}

static struct log_counters counters_now(void) {
    struct log_counters counters;
    log_counters(fixture.log, &counters);
    return counters;
}

static void append(uint32_t count, uint32_t bytes) {
    for (uint32_t i = 0; i < count; i++)
        assert_true(fixture_append(&fixture, bytes));
}

/* ---- appending and group commit ----------------------------------------------------------- */

static void a_forgotten_reservation_leaves_nothing(void **state) {
    (void)state;
    open_log();
    assert_non_null(log_reserve(fixture.log, 100, false));
    assert_non_null(log_reserve(fixture.log, 200 * 1024, false));
    log_flush(fixture.log);
    assert_true(io_outstanding(fixture.port) == 0);
    append(1, 100);
    assert_non_null(log_reserve(fixture.log, 5000, false));
    fixture_settle(&fixture);
    assert_true(log_durable_index(fixture.log) == 2);
    assert_true(counters_now().entries == 1);
    fixture_log_stop(&fixture);
    open_log();
    assert_true(log_last_index(fixture.log) == 2);
    fixture_log_stop(&fixture);
}

static void entries_gather_while_a_write_is_in_flight(void **state) {
    (void)state;
    open_log();
    append(1, 100);
    log_flush(fixture.log);
    append(50, 100);
    log_flush(fixture.log); /* does nothing: one is in flight */
    assert_true(io_outstanding(fixture.port) == 1);
    assert_true(log_durable_index(fixture.log) == 1);
    fixture_complete_one(&fixture);
    assert_true(log_durable_index(fixture.log) == 2);
    append(10, 100);
    log_flush(fixture.log);
    fixture_complete_one(&fixture);
    assert_true(log_durable_index(fixture.log) == 62); /* 60 in one write */
    assert_true(counters_now().writes == 2);
    fixture_log_stop(&fixture);
}

static void an_entry_that_does_not_fit_closes_the_write(void **state) {
    (void)state;
    open_log();
    append(3, 100);
    append(1, 200 * 1024); /* larger than a write may become: a write of its own */
    append(3, 100);
    fixture_settle(&fixture);
    assert_true(counters_now().writes == 3);
    for (uint32_t i = 0; i < 40; i++) /* more than write_bytes_max together */
        append(1, 4000);
    fixture_settle(&fixture);
    assert_true(counters_now().writes >= 6);
    fixture_log_stop(&fixture);
    open_log();
    assert_true(log_last_index(fixture.log) == 48);
    fixture_log_stop(&fixture);
}

static void an_entry_of_another_node_is_checked_and_copied(void **state) {
    (void)state;
    static _Alignas(8) uint8_t entry[ENTRY_HEADER_BYTES + 8];
    open_log();
    struct entry_tail tail = *log_tail(fixture.log);
    const struct entry_header header = {
        .length_bytes = ENTRY_HEADER_BYTES, .kind = ENTRY_NOOP, .term = 4, .log_time_ms = 5};
    entry_seal(entry, &header, &tail);
    entry[20] ^= 1;
    assert_int_equal(log_append_copy(fixture.log, entry, ENTRY_HEADER_BYTES), WEIR_ECORRUPT);
    assert_true(log_last_index(fixture.log) == 1);
    entry[20] ^= 1;
    assert_int_equal(log_append_copy(fixture.log, entry, ENTRY_HEADER_BYTES - 1), WEIR_ECORRUPT);
    assert_int_equal(log_append_copy(fixture.log, entry, ENTRY_HEADER_BYTES), 0);
    assert_true(log_last_index(fixture.log) == 2 && log_tail(fixture.log)->chain == tail.chain);
    assert_memory_equal(log_entry(fixture.log, 2), entry, ENTRY_HEADER_BYTES);
    assert_int_equal(log_append_copy(fixture.log, entry, ENTRY_HEADER_BYTES), WEIR_ECORRUPT);
    assert_true(log_term(fixture.log, 2) == 4 && log_term(fixture.log, 1) == 1);
    assert_true(log_term(fixture.log, 3) == 0 && log_term(fixture.log, 0) == 0);
    fixture_settle(&fixture);
    fixture_log_stop(&fixture);
}

/* ---- memory ------------------------------------------------------------------------------- */

static void memory_is_used_again_only_when_released(void **state) {
    (void)state;
    open_log();
    uint64_t count = 0;
    while (fixture_append(&fixture, 20000)) {
        fixture_settle(&fixture);
        count++;
    }
    assert_true(count > 40 && count < 53); /* 1 MiB of them */
    for (uint64_t index = 2; index <= log_last_index(fixture.log); index++)
        assert_true(fixture_entry_is_right(log_entry(fixture.log, index), index));
    log_release(fixture.log, 5);
    assert_null(log_entry(fixture.log, 5));
    assert_non_null(log_entry(fixture.log, 6));
    append(1, 20000);
    for (uint64_t index = 6; index <= log_last_index(fixture.log); index++)
        assert_true(fixture_entry_is_right(log_entry(fixture.log, index), index));
    const uint64_t used = log_memory_used_bytes(fixture.log);
    fixture_settle(&fixture);
    log_release(fixture.log, log_last_index(fixture.log));
    assert_true(used > 900000 && log_memory_used_bytes(fixture.log) == 0);
    fixture_log_stop(&fixture);
}

static void what_is_not_durable_stays_in_memory_though_released(void **state) {
    (void)state;
    open_log();
    append(3, 100);
    log_release(fixture.log, 4);
    for (uint64_t index = 2; index <= 4; index++)
        assert_true(fixture_entry_is_right(log_entry(fixture.log, index), index));
    fixture_settle(&fixture);
    assert_null(log_entry(fixture.log, 4));
    fixture_log_stop(&fixture);
}

/* A log that keeps up touches a small part of its memory. */
static void memory_stays_hot(void **state) {
    (void)state;
    open_log();
    const uint8_t *lowest = NULL;
    const uint8_t *highest = NULL;
    for (int i = 0; i < 2000; i++) {
        while (!fixture_append(&fixture, 1000))
            fixture_complete_one(&fixture);
        const uint8_t *entry = log_entry(fixture.log, log_last_index(fixture.log));
        lowest = lowest == NULL || entry < lowest ? entry : lowest;
        highest = entry > highest ? entry : highest;
        log_flush(fixture.log);
        log_maintain(fixture.log, io_monotonic_ns(fixture.io));
        if (i % 3 == 0) { /* there is always a write in flight */
            fixture_complete_one(&fixture);
            log_release(fixture.log, log_durable_index(fixture.log));
        }
    }
    assert_true((size_t)(highest - lowest) < 800 * 1024);
    fixture_settle(&fixture);
    fixture_log_stop(&fixture);
}

/* ---- durability modes --------------------------------------------------------------------- */

static void without_durability_nothing_reaches_the_disk(void **state) {
    (void)state;
    fixture.options.durability = DURABILITY_NONE;
    assert_int_equal(fixture_log_open(&fixture, NULL), 0);
    const uint64_t steps = world_disk_steps(world, 0);
    for (int i = 0; i < 5000; i++) {
        append(1, 1000);
        log_flush(fixture.log);
        log_maintain(fixture.log, io_monotonic_ns(fixture.io));
        assert_true(log_durable_index(fixture.log) == log_last_index(fixture.log));
        log_release(fixture.log, log_last_index(fixture.log));
    }
    assert_true(io_outstanding(fixture.port) == 0);
    assert_true(world_disk_steps(world, 0) == steps);
    append(5, 10);
    log_truncate(fixture.log, log_last_index(fixture.log) - 3);
    assert_false(log_truncating(fixture.log));
    append(5, 10);
    fixture_log_stop(&fixture);
    assert_int_equal(fixture_log_open(&fixture, NULL), 0);
    assert_true(log_last_index(fixture.log) == 1);
    fixture_log_stop(&fixture);
}

static void written_is_not_synced_until_the_stop(void **state) {
    (void)state;
    fixture.options.durability = DURABILITY_WRITE;
    open_log();
    append(100, 100);
    fixture_settle(&fixture);
    assert_true(counters_now().syncs == 0 && log_durable_index(fixture.log) == 101);
    fixture_log_stop(&fixture); /* this syncs */
    world_crash(world, 0, WORLD_KEEP_NOTHING);
    fixture_open(&fixture, world_io(world, 0), path, false);
    open_log();
    assert_true(log_last_index(fixture.log) == 101);
    fixture_log_stop(&fixture);
}

/* ---- the end of the log ------------------------------------------------------------------- */

static void an_idle_log_records_its_end(void **state) {
    (void)state;
    open_log(); /* what was found there has been recorded as well */
    assert_true(log_deadline_ns(fixture.log) == UINT64_MAX);
    append(3, 100);
    fixture_settle(&fixture);
    const uint64_t deadline_ns = log_deadline_ns(fixture.log);
    assert_true(deadline_ns != UINT64_MAX);
    log_maintain(fixture.log, deadline_ns - 1);
    assert_true(io_outstanding(fixture.port) == 0);
    log_maintain(fixture.log, deadline_ns);
    assert_true(io_outstanding(fixture.port) == 1);
    fixture_complete_one(&fixture);
    assert_true(log_deadline_ns(fixture.log) == UINT64_MAX); /* once */
    log_maintain(fixture.log, deadline_ns * 2);
    assert_true(io_outstanding(fixture.port) == 0);
    const uint64_t steps = world_disk_steps(world, 0);
    fixture_log_stop(&fixture); /* nothing left to record */
    assert_true(world_disk_steps(world, 0) == steps);
}

/* ---- truncation --------------------------------------------------------------------------- */

static void what_never_reached_the_disk_is_truncated_at_once(void **state) {
    (void)state;
    open_log();
    append(10, 100);
    const uint64_t segments = counters_now().segments;
    log_truncate(fixture.log, 4);
    assert_false(log_truncating(fixture.log));
    assert_true(log_last_index(fixture.log) == 4);
    fixture.term++;
    append(3, 50);
    fixture_settle(&fixture);
    assert_true(counters_now().segments == segments);
    fixture_log_stop(&fixture);
    open_log();
    assert_true(log_last_index(fixture.log) == 7 && log_term(fixture.log, 5) == 2);
    assert_true(log_term(fixture.log, 4) == 1);
    fixture_log_stop(&fixture);
}

/* S31: entries are truncated and written again while the first write of them is in flight. */
static void a_write_of_truncated_entries_makes_nothing_durable(void **state) {
    (void)state;
    open_log();
    append(5, 100);
    log_flush(fixture.log); /* 2..6 are in flight */
    append(5, 100);         /* 7..11 are queued */
    log_truncate(fixture.log, 3);
    assert_true(log_truncating(fixture.log) && log_last_index(fixture.log) == 3);
    assert_null(log_reserve(fixture.log, 100, true));
    assert_null(log_entry(fixture.log, 4));
    fixture_complete_one(&fixture);
    assert_true(log_durable_index(fixture.log) == 3); /* not 6 */
    fixture_settle(&fixture);
    fixture.term++;
    append(3, 100); /* 4..6 again */
    assert_true(log_durable_index(fixture.log) == 3);
    fixture_settle(&fixture);
    assert_true(log_durable_index(fixture.log) == 6 && log_term(fixture.log, 4) == 2);
    fixture_log_stop(&fixture);
    open_log();
    assert_true(log_last_index(fixture.log) == 6 && log_term(fixture.log, 4) == 2);
    fixture_log_stop(&fixture);
}

/* Back to an entry that has left the memory, then to one before an earlier truncation. */
static void truncation_reaches_back_to_the_disk(void **state) {
    (void)state;
    open_log();
    append(20, 100);
    fixture_settle(&fixture);
    append(20, 100);
    fixture_settle(&fixture);
    log_release(fixture.log, 41);
    const uint64_t backs[] = {33, 30, 10, 9, 1};
    for (size_t i = 0; i < ARRAY_COUNT(backs); i++) {
        log_truncate(fixture.log, backs[i]);
        assert_true(log_truncating(fixture.log) && log_last_index(fixture.log) == backs[i]);
        fixture_settle(&fixture);
        assert_true(log_tail(fixture.log)->index == backs[i]);
        fixture.term++;
        append(2, 100);
        fixture_settle(&fixture);
        log_release(fixture.log, log_last_index(fixture.log));
    }
    assert_true(log_last_index(fixture.log) == 3);
    fixture_log_stop(&fixture);
    open_log();
    assert_true(log_last_index(fixture.log) == 3 && log_term(fixture.log, 2) == 6);
    fixture_log_stop(&fixture);
}

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

static void a_full_disk_refuses_and_recovers(void **state) {
    (void)state;
    open_log();
    world_disk_capacity(world, 0, world_disk_used_bytes(world, 0) + 300000);
    /* The active and the spare segment can be filled; a third one cannot be had. */
    uint64_t accepted = 0;
    while (log_state(fixture.log) == LOG_READY) {
        if (fixture_append(&fixture, 5000))
            accepted++;
        log_flush(fixture.log);
        log_maintain(fixture.log, io_monotonic_ns(fixture.io));
        if (io_outstanding(fixture.port) > 0)
            fixture_complete_one(&fixture);
        log_release(fixture.log, log_durable_index(fixture.log));
        assert_true(accepted < 1000);
    }
    assert_int_equal(log_state(fixture.log), LOG_FULL);
    assert_non_null(strstr(log_error_text(fixture.log), "no space"));
    assert_true(accepted > 150);
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
    append(1, 5000);
    fixture_settle(&fixture);
    fixture_log_stop(&fixture);
    open_log();
    assert_true(log_last_index(fixture.log) == last + 1);
    fixture_log_stop(&fixture);
}

static void a_disk_filled_up_between_two_lives_still_takes_protocol_entries(void **state) {
    (void)state;
    open_log();
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
        assert_int_equal(log_state(fixture.log), LOG_FULL);
        assert_true(append_noop());
        fixture_settle(&fixture);
        fixture_log_stop(&fixture);
    }
}

/* ---- a failing disk ----------------------------------------------------------------------- */

static void a_failed_write_or_sync_is_final(void **state) {
    (void)state;
    for (int sync = 0; sync < 2; sync++) {
        open_log();
        append(3, 100);
        fixture_settle(&fixture);
        const uint64_t durable = log_durable_index(fixture.log);
        append(3, 100);
        world_disk_fail(world, 0, sync ? WORLD_DISK_SYNC : WORLD_DISK_WRITE, 1, 1, -5);
        log_flush(fixture.log);
        append(3, 100);
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
        open_log();
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
            append(1, 100);
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

static void a_read_that_fails_fails_that_read_only(void **state) {
    (void)state;
    static _Alignas(4096) uint8_t buffer[300 * 1024];
    uint64_t first_index;
    uint32_t count;
    size_t length_bytes;
    int error;
    open_log();
    append(1, 200 * 1024);
    append(3, 100);
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

/* ---- snapshots and removal ---------------------------------------------------------------- */

static void removal_never_passes_the_snapshot(void **state) {
    (void)state;
    open_log();
    for (int i = 0; i < 30; i++)
        fixture_append_surely(&fixture, 200 * 1024);
    fixture_settle(&fixture);
    const uint64_t segments = counters_now().segments;
    assert_true(segments >= 6);
    for (uint64_t index = 1; index <= log_durable_index(fixture.log); index++) {
        log_compact(fixture.log, index);
        assert_true(log_first_index(fixture.log) <= index + 1);
    }
    do {
        log_maintain(fixture.log, io_monotonic_ns(fixture.io));
        if (io_outstanding(fixture.port) > 0)
            fixture_complete_one(&fixture);
    } while (counters_now().segments > 1);
    const uint64_t first = log_first_index(fixture.log);
    const uint64_t last = log_last_index(fixture.log);
    assert_true(first > 20 && first <= last);
    struct log_start start = {.tail = *log_tail(fixture.log)};
    fixture_log_stop(&fixture);
    assert_int_equal(fixture_log_open(&fixture, NULL), WEIR_ECORRUPT); /* the snapshot is missing */
    assert_non_null(strstr(fixture.error.text, "no snapshot"));
    assert_int_equal(fixture_log_open(&fixture, &start), 0);
    assert_true(log_first_index(fixture.log) == first && log_last_index(fixture.log) == last);
    fixture_log_stop(&fixture);
    start.tail.chain++;
    assert_int_equal(fixture_log_open(&fixture, &start), WEIR_ECORRUPT); /* another history */
    assert_non_null(strstr(fixture.error.text, "snapshot"));
}

/* A node may have installed a snapshot that is newer than its log's end. */
static void a_log_behind_its_snapshot_begins_again_after_it(void **state) {
    (void)state;
    open_log();
    append(5, 100);
    fixture_settle(&fixture);
    fixture_log_stop(&fixture);
    const struct log_start start = {
        .tail = {.index = 100, .term = 3, .log_time_ms = 700, .chain = 12345}};
    for (int life = 0; life < 3; life++) {
        if (fixture_log_open(&fixture, &start) != 0)
            fail_msg("%s", fixture.error.text);
        assert_true(log_last_index(fixture.log) == 100 + (uint64_t)life);
        assert_true(log_first_index(fixture.log) == 101 && log_term(fixture.log, 100) == 3);
        append(1, 100);
        fixture_settle(&fixture);
        fixture_log_stop(&fixture);
    }
    /* And without that snapshot there is a gap. */
    assert_int_equal(fixture_log_open(&fixture, NULL), WEIR_ECORRUPT);
}

/* ---- what may stand in the way ------------------------------------------------------------ */

static void strange_files_are_refused_by_name(void **state) {
    (void)state;
    open_log();
    fixture_log_stop(&fixture);
    world_obstruct(world, 0, path, "log-0000000000000007", WORLD_DIRECTORY);
    assert_int_equal(fixture_log_open(&fixture, NULL), WEIR_ECORRUPT);
    assert_non_null(strstr(fixture.error.text, "log-0000000000000007"));
}

static void a_segment_without_a_header_is_only_allowed_at_the_end(void **state) {
    (void)state;
    static uint8_t zeros[8192];
    open_log();
    append(3, 100);
    fixture_settle(&fixture);
    fixture_log_stop(&fixture);
    /* Allocated ahead, half allocated, or just created: removed. */
    for (size_t size = 0; size <= sizeof(zeros); size += 512) {
        world_file_put(world, 0, path, "log-0000000000000002", zeros, size);
        assert_int_equal(fixture_log_open(&fixture, NULL), 0);
        assert_true(log_last_index(fixture.log) == 4);
        log_stop(fixture.log);
        log_close(fixture.log);
        fixture.log = NULL;
    }
    zeros[5000] = 1; /* there was something in it */
    world_file_put(world, 0, path, "log-0000000000000002", zeros, sizeof(zeros));
    assert_int_equal(fixture_log_open(&fixture, NULL), WEIR_ECORRUPT);
    zeros[5000] = 0;
    world_file_put(world, 0, path, "log-0000000000000002", zeros, sizeof(zeros));
    world_file_put(world, 0, path, "log-0000000000000003", zeros, sizeof(zeros));
    assert_int_equal(fixture_log_open(&fixture, NULL), WEIR_ECORRUPT);
    assert_non_null(strstr(fixture.error.text, "log-0000000000000002"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_forgotten_reservation_leaves_nothing),
        TEST(entries_gather_while_a_write_is_in_flight),
        TEST(an_entry_that_does_not_fit_closes_the_write),
        TEST(an_entry_of_another_node_is_checked_and_copied),
        TEST(memory_is_used_again_only_when_released),
        TEST(what_is_not_durable_stays_in_memory_though_released),
        TEST(memory_stays_hot),
        TEST(without_durability_nothing_reaches_the_disk),
        TEST(written_is_not_synced_until_the_stop),
        TEST(an_idle_log_records_its_end),
        TEST(what_never_reached_the_disk_is_truncated_at_once),
        TEST(a_write_of_truncated_entries_makes_nothing_durable),
        TEST(truncation_reaches_back_to_the_disk),
        TEST(a_full_disk_refuses_and_recovers),
        TEST(a_disk_filled_up_between_two_lives_still_takes_protocol_entries),
        TEST(a_failed_write_or_sync_is_final),
        TEST(a_failing_disk_while_segments_change_is_final),
        TEST(a_read_that_fails_fails_that_read_only),
        TEST(removal_never_passes_the_snapshot),
        TEST(a_log_behind_its_snapshot_begins_again_after_it),
        TEST(strange_files_are_refused_by_name),
        TEST(a_segment_without_a_header_is_only_allowed_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
