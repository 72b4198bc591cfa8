/*
 * The log, one behaviour at a time, on the simulated disk: room, group commit, memory, truncation,
 * snapshots beyond its end.  (Failing disks: test_log_disk.c; power cuts: test_log_power.c.)
 */

#include "tests/storage/rig.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

static struct log_counters counters_now(void) {
    struct log_counters counters;
    log_counters(fixture.log, &counters);
    return counters;
}

/* ---- appending and group commit ----------------------------------------------------------- */

static void a_forgotten_reservation_leaves_nothing(void **state) {
    (void)state;
    rig_open_log();
    assert_non_null(log_reserve(fixture.log, 100, false));
    assert_non_null(log_reserve(fixture.log, 200 * 1024, false));
    log_flush(fixture.log);
    assert_true(io_outstanding(fixture.port) == 0);
    rig_append(1, 100);
    assert_non_null(log_reserve(fixture.log, 5000, false));
    fixture_settle(&fixture);
    assert_true(log_durable_index(fixture.log) == 2);
    assert_true(counters_now().entries == 1);
    fixture_log_stop(&fixture);
    rig_open_log();
    assert_true(log_last_index(fixture.log) == 2);
    fixture_log_stop(&fixture);
}

static void entries_gather_while_a_write_is_in_flight(void **state) {
    (void)state;
    rig_open_log();
    rig_append(1, 100);
    log_flush(fixture.log);
    rig_append(50, 100);
    log_flush(fixture.log); /* does nothing: one is in flight */
    assert_true(io_outstanding(fixture.port) == 1);
    assert_true(log_durable_index(fixture.log) == 1);
    fixture_complete_one(&fixture);
    assert_true(log_durable_index(fixture.log) == 2);
    rig_append(10, 100);
    log_flush(fixture.log);
    fixture_complete_one(&fixture);
    assert_true(log_durable_index(fixture.log) == 62); /* 60 in one write */
    assert_true(counters_now().writes == 2);
    fixture_log_stop(&fixture);
}

static void an_entry_that_does_not_fit_closes_the_write(void **state) {
    (void)state;
    rig_open_log();
    rig_append(3, 100);
    rig_append(1, 200 * 1024); /* larger than a write may become: a write of its own */
    rig_append(3, 100);
    fixture_settle(&fixture);
    assert_true(counters_now().writes == 3);
    for (uint32_t i = 0; i < 40; i++) /* more than write_bytes_max together */
        rig_append(1, 4000);
    fixture_settle(&fixture);
    assert_true(counters_now().writes >= 6);
    fixture_log_stop(&fixture);
    rig_open_log();
    assert_true(log_last_index(fixture.log) == 48);
    fixture_log_stop(&fixture);
}

/* Appends an entry in slices, while everything else goes on that may. */
static void append_in_slices(uint32_t bytes, uint32_t slice_bytes) {
    const uint64_t last = log_last_index(fixture.log);
    assert_true(fixture_append_begin(&fixture, bytes));
    do {
        assert_true(log_last_index(fixture.log) == last);
        log_flush(fixture.log);
        log_maintain(fixture.log, io_monotonic_ns(fixture.io));
        if (io_outstanding(fixture.port) > 0)
            fixture_complete_one(&fixture);
    } while (!log_append_slice(fixture.log, slice_bytes));
    assert_true(log_append_end(fixture.log) == last + 1);
}

static void an_entry_made_in_slices_is_the_same_as_at_once(void **state) {
    (void)state;
    static const uint32_t sizes[] = {0, 1, 500, 30000, 200 * 1024};
    static const uint32_t slices[] = {1000, 512, 1, 4096, 8192};
    rig_open_log();
    for (uint32_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        rig_append(i % 3, 100); /* in the same write, before it and behind */
        append_in_slices(sizes[i], i == 4 ? 8192 : slices[i]);
        rig_append(i % 2, 700);
        fixture_settle(&fixture);
        log_release(fixture.log, log_last_index(fixture.log) - 1);
        const uint64_t last = log_last_index(fixture.log);
        assert_true(fixture_entry_is_right(log_entry(fixture.log, last), last));
    }
    const struct entry_tail tail = *log_tail(fixture.log);
    fixture_log_stop(&fixture);
    rig_open_log(); /* checks chain and sums of all of them */
    assert_true(log_tail(fixture.log)->chain == tail.chain);
    fixture_log_stop(&fixture);
}

/* What was appended to the same write before is written though, with sums of its own. */
static void an_entry_given_up_half_made_leaves_nothing(void **state) {
    (void)state;
    fixture.options.zero_ahead_bytes = 1024 * 1024;
    rig_open_log();
    rig_append(3, 700);
    assert_true(fixture_append_begin(&fixture, 20000));
    for (int i = 0; i < 7; i++) /* into the sums */
        assert_false(log_append_slice(fixture.log, 4096));
    log_flush(fixture.log);
    assert_true(io_outstanding(fixture.port) == 0); /* the write waits for it */
    log_append_cancel(fixture.log);
    rig_append(1, 300);
    fixture_settle(&fixture);
    assert_true(log_durable_index(fixture.log) == 5);

    /* In a write of its own: then the log is as idle as if nothing had been. */
    assert_true(fixture_append_begin(&fixture, 20000));
    (void)log_append_slice(fixture.log, 4096);
    log_append_cancel(fixture.log);
    for (int i = 0; i < 100 && log_deadline_ns(fixture.log) != UINT64_MAX; i++) {
        io_park(fixture.io, 30000000);
        log_maintain(fixture.log, io_monotonic_ns(fixture.io));
        while (io_outstanding(fixture.port) > 0)
            fixture_complete_one(&fixture);
    }
    assert_true(log_deadline_ns(fixture.log) == UINT64_MAX);
    assert_true(counters_now().zero_bytes > 0);
    fixture_log_stop(&fixture);
    rig_open_log();
    assert_true(log_last_index(fixture.log) == 5);
    fixture_log_stop(&fixture);
}

static void an_entry_of_another_node_is_checked_and_copied(void **state) {
    (void)state;
    static _Alignas(8) uint8_t entry[ENTRY_HEADER_BYTES + 8];
    rig_open_log();
    struct entry_tail tail = *log_tail(fixture.log);
    const struct entry_header header = {
        .length_bytes = ENTRY_HEADER_BYTES, .kind = ENTRY_NOOP, .term = 4, .log_time_ms = 5};
    entry_seal(entry, &header, &tail);
    entry[20] ^= 1;
    assert_int_equal(log_append_copy(fixture.log, entry, ENTRY_HEADER_BYTES, false), WEIR_ECORRUPT);
    assert_true(log_last_index(fixture.log) == 1);
    entry[20] ^= 1;
    assert_int_equal(log_append_copy(fixture.log, entry, ENTRY_HEADER_BYTES - 1, false),
                     WEIR_ECORRUPT);
    assert_int_equal(log_append_copy(fixture.log, entry, ENTRY_HEADER_BYTES, false), 0);
    assert_true(log_last_index(fixture.log) == 2 && log_tail(fixture.log)->chain == tail.chain);
    assert_memory_equal(log_entry(fixture.log, 2), entry, ENTRY_HEADER_BYTES);
    assert_int_equal(log_append_copy(fixture.log, entry, ENTRY_HEADER_BYTES, false), WEIR_ECORRUPT);
    assert_true(log_term(fixture.log, 2) == 4 && log_term(fixture.log, 1) == 1);
    assert_true(log_term(fixture.log, 3) == 0 && log_term(fixture.log, 0) == 0);
    fixture_settle(&fixture);
    fixture_log_stop(&fixture);
}

/* ---- memory ------------------------------------------------------------------------------- */

static void memory_is_used_again_only_when_released(void **state) {
    (void)state;
    rig_open_log();
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
    rig_append(1, 20000);
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
    rig_open_log();
    rig_append(3, 100);
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
    rig_open_log();
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
        rig_append(1, 1000);
        log_flush(fixture.log);
        log_maintain(fixture.log, io_monotonic_ns(fixture.io));
        assert_true(log_durable_index(fixture.log) == log_last_index(fixture.log));
        log_release(fixture.log, log_last_index(fixture.log));
    }
    assert_true(io_outstanding(fixture.port) == 0);
    assert_true(world_disk_steps(world, 0) == steps);
    rig_append(5, 10);
    log_truncate(fixture.log, log_last_index(fixture.log) - 3);
    assert_false(log_truncating(fixture.log));
    rig_append(5, 10);
    fixture_log_stop(&fixture);
    assert_int_equal(fixture_log_open(&fixture, NULL), 0);
    assert_true(log_last_index(fixture.log) == 1);
    fixture_log_stop(&fixture);
}

static void written_is_not_synced_until_the_stop(void **state) {
    (void)state;
    fixture.options.durability = DURABILITY_WRITE;
    rig_open_log();
    rig_append(100, 100);
    fixture_settle(&fixture);
    assert_true(counters_now().syncs == 0 && log_durable_index(fixture.log) == 101);
    fixture_log_stop(&fixture); /* this syncs */
    world_crash(world, 0, WORLD_KEEP_NOTHING);
    fixture_open(&fixture, world_io(world, 0), rig_path, false);
    rig_open_log();
    assert_true(log_last_index(fixture.log) == 101);
    fixture_log_stop(&fixture);
}

/* ---- the end of the log ------------------------------------------------------------------- */

static void an_idle_log_records_its_end(void **state) {
    (void)state;
    rig_open_log(); /* what was found there has been recorded as well */
    assert_true(log_deadline_ns(fixture.log) == UINT64_MAX);
    rig_append(3, 100);
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

/* The idle log fills what comes next with zeros, to the byte, and lets entries in between. */
static void an_idle_log_fills_ahead(void **state) {
    (void)state;
    fixture.options.zero_ahead_bytes = 1536 * 1024;
    rig_open_log(); /* until there is nothing left to do */
    const uint64_t steps = world_disk_steps(world, 0);
    rig_append(5, 100);
    fixture_settle(&fixture);
    uint64_t filled = 0;
    while (log_deadline_ns(fixture.log) != UINT64_MAX) {
        log_maintain(fixture.log, log_deadline_ns(fixture.log));
        /* An entry that comes while a piece is being written waits for that piece only. */
        rig_append(1, 100);
        fixture_settle(&fixture);
        assert_true(log_durable_index(fixture.log) == log_last_index(fixture.log));
        assert_true(filled++ < 100);
        if (filled == 50)
            break; /* each entry makes room for the mark that follows it: no end otherwise */
    }
    assert_true(world_disk_steps(world, 0) > steps);
    for (int i = 0; i < 12; i++) /* over the filled part and into the next segment */
        fixture_append_surely(&fixture, 200 * 1024);
    fixture_settle(&fixture);
    const uint64_t last = log_last_index(fixture.log);
    fixture_log_stop(&fixture);
    rig_open_log();
    assert_true(log_last_index(fixture.log) == last);
    fixture_log_stop(&fixture);
}

/* ---- truncation --------------------------------------------------------------------------- */

static void what_never_reached_the_disk_is_truncated_at_once(void **state) {
    (void)state;
    rig_open_log();
    rig_append(10, 100);
    const uint64_t segments = counters_now().segments;
    log_truncate(fixture.log, 4);
    assert_false(log_truncating(fixture.log));
    assert_true(log_last_index(fixture.log) == 4);
    fixture.term++;
    rig_append(3, 50);
    fixture_settle(&fixture);
    assert_true(counters_now().segments == segments);
    fixture_log_stop(&fixture);
    rig_open_log();
    assert_true(log_last_index(fixture.log) == 7 && log_term(fixture.log, 5) == 2);
    assert_true(log_term(fixture.log, 4) == 1);
    fixture_log_stop(&fixture);
}

/* S31: entries are truncated and written again while the first write of them is in flight. */
static void a_write_of_truncated_entries_makes_nothing_durable(void **state) {
    (void)state;
    rig_open_log();
    rig_append(5, 100);
    log_flush(fixture.log); /* 2..6 are in flight */
    rig_append(5, 100);     /* 7..11 are queued */
    log_truncate(fixture.log, 3);
    assert_true(log_truncating(fixture.log) && log_last_index(fixture.log) == 3);
    assert_null(log_reserve(fixture.log, 100, true));
    assert_null(log_entry(fixture.log, 4));
    fixture_complete_one(&fixture);
    assert_true(log_durable_index(fixture.log) == 3); /* not 6 */
    fixture_settle(&fixture);
    fixture.term++;
    rig_append(3, 100); /* 4..6 again */
    assert_true(log_durable_index(fixture.log) == 3);
    fixture_settle(&fixture);
    assert_true(log_durable_index(fixture.log) == 6 && log_term(fixture.log, 4) == 2);
    fixture_log_stop(&fixture);
    rig_open_log();
    assert_true(log_last_index(fixture.log) == 6 && log_term(fixture.log, 4) == 2);
    fixture_log_stop(&fixture);
}

/* Back to an entry that has left the memory, then to one before an earlier truncation. */
static void truncation_reaches_back_to_the_disk(void **state) {
    (void)state;
    rig_open_log();
    rig_append(20, 100);
    fixture_settle(&fixture);
    rig_append(20, 100);
    fixture_settle(&fixture);
    log_release(fixture.log, 41);
    const uint64_t backs[] = {33, 30, 10, 9, 1};
    for (size_t i = 0; i < ARRAY_COUNT(backs); i++) {
        log_truncate(fixture.log, backs[i]);
        assert_true(log_truncating(fixture.log) && log_last_index(fixture.log) == backs[i]);
        fixture_settle(&fixture);
        assert_true(log_tail(fixture.log)->index == backs[i]);
        fixture.term++;
        rig_append(2, 100);
        fixture_settle(&fixture);
        log_release(fixture.log, log_last_index(fixture.log));
    }
    assert_true(log_last_index(fixture.log) == 3);
    fixture_log_stop(&fixture);
    rig_open_log();
    assert_true(log_last_index(fixture.log) == 3 && log_term(fixture.log, 2) == 6);
    fixture_log_stop(&fixture);
}

/* ---- snapshots and removal ---------------------------------------------------------------- */

static void removal_never_passes_the_snapshot(void **state) {
    (void)state;
    rig_open_log();
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
    rig_open_log();
    rig_append(5, 100);
    fixture_settle(&fixture);
    fixture_log_stop(&fixture);
    const struct log_start start = {
        .tail = {.index = 100, .term = 3, .log_time_ms = 700, .chain = 12345}};
    for (int life = 0; life < 3; life++) {
        if (fixture_log_open(&fixture, &start) != 0)
            fail_msg("%s", fixture.error.text);
        assert_true(log_last_index(fixture.log) == 100 + (uint64_t)life);
        assert_true(log_first_index(fixture.log) == 101 && log_term(fixture.log, 100) == 3);
        rig_append(1, 100);
        fixture_settle(&fixture);
        fixture_log_stop(&fixture);
    }
    /* And without that snapshot there is a gap. */
    assert_int_equal(fixture_log_open(&fixture, NULL), WEIR_ECORRUPT);
}

/* ---- what may stand in the way ------------------------------------------------------------ */

static void strange_files_are_refused_by_name(void **state) {
    (void)state;
    rig_open_log();
    fixture_log_stop(&fixture);
    world_obstruct(world, 0, rig_path, "log-0000000000000007", WORLD_DIRECTORY);
    assert_int_equal(fixture_log_open(&fixture, NULL), WEIR_ECORRUPT);
    assert_non_null(strstr(fixture.error.text, "log-0000000000000007"));
}

static void a_segment_without_a_header_is_only_allowed_at_the_end(void **state) {
    (void)state;
    static uint8_t zeros[8192];
    rig_open_log();
    rig_append(3, 100);
    fixture_settle(&fixture);
    fixture_log_stop(&fixture);
    /* Allocated ahead, half allocated, or just created: removed. */
    for (size_t size = 0; size <= sizeof(zeros); size += 512) {
        world_file_put(world, 0, rig_path, "log-0000000000000002", zeros, size);
        assert_int_equal(fixture_log_open(&fixture, NULL), 0);
        assert_true(log_last_index(fixture.log) == 4);
        log_stop(fixture.log);
        log_close(fixture.log);
        fixture.log = NULL;
    }
    zeros[5000] = 1; /* there was something in it */
    world_file_put(world, 0, rig_path, "log-0000000000000002", zeros, sizeof(zeros));
    assert_int_equal(fixture_log_open(&fixture, NULL), WEIR_ECORRUPT);
    zeros[5000] = 0;
    world_file_put(world, 0, rig_path, "log-0000000000000002", zeros, sizeof(zeros));
    world_file_put(world, 0, rig_path, "log-0000000000000003", zeros, sizeof(zeros));
    assert_int_equal(fixture_log_open(&fixture, NULL), WEIR_ECORRUPT);
    assert_non_null(strstr(fixture.error.text, "log-0000000000000002"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_forgotten_reservation_leaves_nothing),
        RIG_TEST(entries_gather_while_a_write_is_in_flight),
        RIG_TEST(an_entry_that_does_not_fit_closes_the_write),
        RIG_TEST(an_entry_made_in_slices_is_the_same_as_at_once),
        RIG_TEST(an_entry_given_up_half_made_leaves_nothing),
        RIG_TEST(an_entry_of_another_node_is_checked_and_copied),
        RIG_TEST(memory_is_used_again_only_when_released),
        RIG_TEST(what_is_not_durable_stays_in_memory_though_released),
        RIG_TEST(memory_stays_hot),
        RIG_TEST(without_durability_nothing_reaches_the_disk),
        RIG_TEST(written_is_not_synced_until_the_stop),
        RIG_TEST(an_idle_log_records_its_end),
        RIG_TEST(an_idle_log_fills_ahead),
        RIG_TEST(what_never_reached_the_disk_is_truncated_at_once),
        RIG_TEST(a_write_of_truncated_entries_makes_nothing_durable),
        RIG_TEST(truncation_reaches_back_to_the_disk),
        RIG_TEST(removal_never_passes_the_snapshot),
        RIG_TEST(a_log_behind_its_snapshot_begins_again_after_it),
        RIG_TEST(strange_files_are_refused_by_name),
        RIG_TEST(a_segment_without_a_header_is_only_allowed_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
