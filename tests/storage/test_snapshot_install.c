/*
 * A snapshot of another member takes the place of a log, and the power goes at every step of it.
 *
 * What a start must find: the old log with all of it that was durable, and no snapshot; or the
 * snapshot, made this node's own, and a log that begins behind it and has nothing of the old one,
 * whether that had ended before the snapshot or had other entries in its place.
 */

#include "tests/storage/fixture.h"

#include "sim/world.h"
#include "storage/snapshot_format.h"
#include "storage/snapshot_receive.h"
#include "storage/snapshot_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char path[] = "data";

enum {
    SNAPSHOT_INDEX = 12,
    SNAPSHOT_TERM = 9,
    PAYLOAD_BYTES = 40000,
    PIECE_BYTES = 16 * 1024,
    BEHIND = 3, /* entries appended behind the snapshot */
    ENTRIES_MAX = 64,
};

/* ---- the sender's file ---------------------------------------------------------------------- */

static _Alignas(4096) uint8_t file[SNAPSHOT_HEADER_BYTES + 2 * SNAPSHOT_BLOCK_BYTES];
static uint64_t file_bytes;

static struct entry_tail snapshot_tail(void) {
    return (struct entry_tail){.index = SNAPSHOT_INDEX,
                               .term = SNAPSHOT_TERM,
                               .log_time_ms = 5,
                               .chain = UINT64_C(0x123456789abcdef)};
}

static void file_make(const struct identity *receiver) {
    struct owner sender = owner_of(receiver);
    sender.node_id = 2;
    sender.incarnation = 77;
    const struct snapshot_meta meta = {
        .tail = snapshot_tail(),
        .configuration = {.member_count = 1,
                          .members = {{.node_id = 1, .roles = CONFIGURATION_VOTER}}},
        .genesis = {.hash_seed = 42, .partition_count = 4},
        .machine_name = "test",
        .machine_version = 1,
    };
    uint64_t seed = snapshot_header_write(file, &sender, &meta);
    file_bytes = SNAPSHOT_HEADER_BYTES;
    for (uint64_t i = 0; i < 2; i++) {
        uint8_t *block = file + file_bytes;
        memset(block + SNAPSHOT_BLOCK_HEADER_BYTES, 'x' + (int)i, PAYLOAD_BYTES);
        const struct snapshot_block header = {
            .number = i, .payload_bytes = PAYLOAD_BYTES, .last = i == 1};
        seed = snapshot_block_seal(block, &header, seed);
        file_bytes += snapshot_block_stride(PAYLOAD_BYTES);
    }
}

/* ---- one run -------------------------------------------------------------------------------- */

/* What the node has when the snapshot comes. */
static const struct scene {
    const char *name;
    uint32_t durable;   /* entries behind entry 1 */
    uint32_t in_flight; /* handed to the disk, not durable */
    uint32_t gathered;  /* not even handed to it */
    uint32_t bytes;     /* of each */
} scenes[] = {
    {.name = "that ends before the snapshot", .durable = 4, .in_flight = 2, .bytes = 700},
    {.name = "with other entries in its place",
     .durable = 16,
     .in_flight = 3,
     .gathered = 3,
     .bytes = 3000},
    {.name = "with nothing in it", .bytes = 100},
};

struct run {
    struct world *world;
    struct fixture fixture;
    struct snapshot_receiver *receiver;
    struct entry_tail tails[ENTRIES_MAX]; /* of the old log */
    uint64_t last;
    uint64_t durable;
    struct entry_tail behind[ENTRIES_MAX]; /* of the new one, by index */
    uint64_t behind_last;
    uint64_t behind_durable;
    bool placed;
    bool dead;
};

static struct run run;
static struct counts {
    uint32_t old;
    uint32_t installed;
    uint32_t conflicts; /* installed, and the log not yet begun again */
} counts;

static void pump(void) {
    struct log *log = run.fixture.log;
    log_flush(log);
    log_maintain(log, io_monotonic_ns(run.fixture.io));
    if (io_outstanding(run.fixture.port) == 0) {
        io_park(run.fixture.io, 25000000);
        return;
    }
    const struct io_completion completion = io_wait(run.fixture.port);
    assert_true(snapshot_receiver_completion(run.receiver, &completion) ||
                log_completion(log, &completion));
    const enum snapshot_receiver_state state = snapshot_receiver_state(run.receiver);
    run.dead = run.dead || log_state(log) == LOG_FAILED || state == SNAPSHOT_RECEIVER_FAILED;
    run.placed = run.placed || state == SNAPSHOT_RECEIVER_PLACED;
}

static void append(uint32_t count, uint32_t bytes) {
    for (uint32_t i = 0; i < count && !run.dead; i++) {
        while (!run.dead && !fixture_append(&run.fixture, bytes))
            pump();
        if (run.dead)
            return;
        const struct entry_tail tail = *log_tail(run.fixture.log);
        assert_true(tail.index < ENTRIES_MAX);
        if (run.placed)
            run.behind[run.behind_last = tail.index] = tail;
        else
            run.tails[run.last = tail.index] = tail;
    }
}

static void settle(void) {
    while (!run.dead && log_durable_index(run.fixture.log) < log_last_index(run.fixture.log))
        pump();
}

/* Sends what is missing; until it is whole, or nothing comes of it any more. */
static void transfer(uint64_t *sent_bytes) {
    struct snapshot_piece piece = {.index = SNAPSHOT_INDEX, .term = SNAPSHOT_TERM};
    bool whole = false;
    for (uint32_t i = 0; i < 40 && !whole && !run.dead; i++) {
        const uint64_t left = file_bytes - piece.offset;
        piece.index = SNAPSHOT_INDEX;
        piece.term = SNAPSHOT_TERM;
        piece.size_bytes = file_bytes;
        piece.length_bytes = left < PIECE_BYTES ? (uint32_t)left : (uint32_t)PIECE_BYTES;
        *sent_bytes += piece.length_bytes;
        snapshot_receive(run.receiver, &piece, file + piece.offset);
        while (!run.dead && !snapshot_receiver_report(run.receiver, &piece, &whole))
            pump();
        run.dead = run.dead ||
                   (snapshot_receiver_state(run.receiver) == SNAPSHOT_RECEIVER_EMPTY && i > 20);
    }
    run.dead = run.dead || !whole;
}

static void run_open(uint64_t seed, bool create) {
    if (create) {
        struct world_options options = world_options_calm();
        options.disk_parts_max = 4;
        run = (struct run){.world = world_create(seed, &options)};
        fixture_open(&run.fixture, world_io(run.world, world_node_add(run.world)), path, true);
        file_make(&run.fixture.identity);
    } else {
        fixture_open(&run.fixture, world_io(run.world, 0), path, false);
    }
}

static void receiver_open(void) {
    assert_int_equal(snapshot_receiver_create(&run.receiver, run.fixture.io, run.fixture.port,
                                              run.fixture.directory, &run.fixture.identity,
                                              PIECE_BYTES),
                     0);
}

/* The old log, the transfer, the installation, and some entries behind it; as far as the disk
 * lives.  Returns the steps that it took. */
static uint64_t scene_run(const struct scene *scene, uint64_t seed, uint64_t steps_max) {
    run_open(seed, true);
    assert_int_equal(fixture_log_open(&run.fixture, NULL), 0);
    receiver_open();
    run.fixture.term = 3;
    run.tails[1] = *log_tail(run.fixture.log);
    run.last = 1;
    append(scene->durable, scene->bytes);
    settle();
    run.durable = log_durable_index(run.fixture.log);
    uint64_t sent_bytes = 0;
    transfer(&sent_bytes);
    assert_true(!run.dead && sent_bytes == file_bytes);
    append(scene->in_flight, scene->bytes);
    log_flush(run.fixture.log);
    append(scene->gathered, scene->bytes);
    const uint64_t steps_before = world_disk_steps(run.world, 0);
    if (steps_max < UINT64_MAX)
        world_disk_die_after(run.world, 0, steps_max);
    snapshot_receiver_place(run.receiver);
    while (!run.dead && !run.placed) {
        pump();
        if (log_durable_index(run.fixture.log) > run.durable)
            run.durable = log_durable_index(run.fixture.log);
    }
    if (run.dead)
        return world_disk_steps(run.world, 0) - steps_before;
    const struct entry_tail tail = snapshot_tail();
    log_restart(run.fixture.log, &tail);
    snapshot_receiver_release(run.receiver);
    assert_true(log_truncating(run.fixture.log));
    assert_null(log_entry(run.fixture.log, 2));
    run.behind[run.behind_last = SNAPSHOT_INDEX] = tail;
    run.behind_durable = SNAPSHOT_INDEX;
    while (!run.dead && log_truncating(run.fixture.log))
        pump();
    run.fixture.term = SNAPSHOT_TERM + 1;
    for (uint32_t i = 0; i < BEHIND; i++) {
        append(1, 900);
        settle();
        if (!run.dead)
            run.behind_durable = log_durable_index(run.fixture.log);
    }
    for (uint32_t i = 0; i < 40 && !run.dead; i++)
        pump(); /* old segments go, the end is recorded */
    return world_disk_steps(run.world, 0) - steps_before;
}

static void cut(enum world_power_cut keep) {
    world_disk_die_after(run.world, 0, 0);
    while (io_outstanding(run.fixture.port) > 0) {
        const struct io_completion completion = io_wait(run.fixture.port);
        assert_true(snapshot_receiver_completion(run.receiver, &completion) ||
                    log_completion(run.fixture.log, &completion));
    }
    snapshot_receiver_destroy(run.receiver);
    log_close(run.fixture.log);
    run.fixture.log = NULL;
    world_crash(run.world, 0, keep);
}

/* ---- what must be there --------------------------------------------------------------------- */

/* The snapshot that a start finds: its last entry; that of an empty log without one. */
static struct entry_tail snapshot_found(void) {
    struct snapshot_reader *reader;
    struct snapshot_meta meta;
    const int result =
        snapshot_open(&reader, run.fixture.io, run.fixture.port, run.fixture.directory,
                      &run.fixture.identity, &meta, &run.fixture.error);
    if (result != 0)
        fail_msg("the snapshot is refused: %s", run.fixture.error.text);
    if (reader == NULL)
        return entry_tail_origin();
    snapshot_close(reader);
    return meta.tail;
}

static void check_recovered(const char *name, uint64_t steps, bool placed) {
    const struct entry_tail tail = snapshot_found();
    const struct log_start start = {.tail = tail};
    if (fixture_log_open(&run.fixture, &start) != 0)
        fail_msg("log %s, cut after %llu steps: %s", name, (unsigned long long)steps,
                 run.fixture.error.text);
    const struct log *log = run.fixture.log;
    const uint64_t last = log_last_index(log);
    const bool is_old = tail.index == 0;
    if (is_old) {
        assert_false(placed);
        assert_true(last >= run.durable && last <= run.last);
        assert_true(log_tail(log)->chain == run.tails[last].chain);
        counts.old++;
        return;
    }
    assert_true(tail.index == SNAPSHOT_INDEX && tail.chain == snapshot_tail().chain);
    if (run.behind_last == 0) {
        run.behind[run.behind_last = SNAPSHOT_INDEX] = snapshot_tail();
        counts.conflicts += run.last >= SNAPSHOT_INDEX;
    }
    assert_true(last >= SNAPSHOT_INDEX && last >= run.behind_durable && last <= run.behind_last);
    assert_true(log_tail(log)->chain == run.behind[last].chain);
    assert_true(log_tail(log)->term >= SNAPSHOT_TERM);
    assert_int_equal(run.fixture.found_count, last - SNAPSHOT_INDEX);
    counts.installed++;
}

/* What was found is served, and what is appended to it stays. */
static void check_serves(void) {
    run.fixture.term = SNAPSHOT_TERM + 2;
    fixture_append_surely(&run.fixture, 500);
    fixture_settle(&run.fixture);
    const struct entry_tail tail = *log_tail(run.fixture.log);
    fixture_log_stop(&run.fixture);
    fixture_close(&run.fixture);
    run_open(0, false);
    const struct log_start start = {.tail = snapshot_found()};
    assert_int_equal(fixture_log_open(&run.fixture, &start), 0);
    assert_true(log_tail(run.fixture.log)->chain == tail.chain);
    fixture_log_stop(&run.fixture);
    fixture_close(&run.fixture);
}

static void run_end(void) {
    world_destroy(run.world);
    fixture_open_count = 0;
}

static void an_installation_survives_a_cut_at_every_step(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(scenes); i++) {
        counts = (struct counts){0};
        const uint64_t steps = scene_run(&scenes[i], 1, UINT64_MAX);
        assert_true(!run.dead && run.behind_durable == SNAPSHOT_INDEX + BEHIND && steps > 12);
        struct log_counters counters;
        log_counters(run.fixture.log, &counters);
        assert_true(counters.segments == 1); /* nothing of the old log is left */
        cut(WORLD_KEEP_ALL);
        run_end();
        for (uint64_t seed = 1; seed < 7; seed++) {
            for (uint64_t step = 0; step <= steps; step++) {
                (void)scene_run(&scenes[i], seed, step);
                cut(seed == 1   ? WORLD_KEEP_NOTHING
                    : seed == 2 ? WORLD_KEEP_ALL
                                : WORLD_KEEP_RANDOM);
                run_open(0, false);
                check_recovered(scenes[i].name, step, run.placed);
                check_serves();
                run_end();
            }
        }
        print_message("a log %s: old %u, installed %u, of them over a conflicting log %u\n",
                      scenes[i].name, counts.old, counts.installed, counts.conflicts);
        assert_true(counts.old > 0 && counts.installed > 0);
        assert_true((counts.conflicts > 0) == (scenes[i].durable >= SNAPSHOT_INDEX));
    }
}

/* ---- the transfer --------------------------------------------------------------------------- */

static void transfer_begin(uint64_t seed) {
    run_open(seed, true);
    assert_int_equal(fixture_log_open(&run.fixture, NULL), 0);
    receiver_open();
}

static void transfer_end(void) {
    while (io_outstanding(run.fixture.port) > 0)
        pump();
    snapshot_receiver_destroy(run.receiver);
    fixture_log_stop(&run.fixture);
    fixture_close(&run.fixture);
    run_end();
}

static void every_altered_byte_is_found_and_the_transfer_begins_again(void **state) {
    (void)state;
    transfer_begin(1);
    for (uint64_t at = 0; at < file_bytes; at += 37) {
        uint64_t sent_bytes = 0;
        file[at] ^= 4;
        struct snapshot_piece piece = {.index = SNAPSHOT_INDEX, .term = SNAPSHOT_TERM};
        bool whole = false;
        do {
            const uint64_t left = file_bytes - piece.offset;
            piece.size_bytes = file_bytes;
            piece.length_bytes = left < PIECE_BYTES ? (uint32_t)left : (uint32_t)PIECE_BYTES;
            snapshot_receive(run.receiver, &piece, file + piece.offset);
            while (!snapshot_receiver_report(run.receiver, &piece, &whole))
                pump();
        } while (piece.offset > 0 && !whole);
        assert_false(whole);
        file[at] ^= 4;
        if (at % 5 == 0) {
            transfer(&sent_bytes);
            assert_true(!run.dead && sent_bytes == file_bytes);
            snapshot_receiver_drop(run.receiver);
            while (snapshot_receiver_state(run.receiver) != SNAPSHOT_RECEIVER_EMPTY)
                pump();
        }
    }
    transfer_end();
}

static void what_was_received_is_kept_over_a_restart(void **state) {
    (void)state;
    transfer_begin(2);
    struct snapshot_piece piece = {.index = SNAPSHOT_INDEX, .term = SNAPSHOT_TERM};
    bool whole = false;
    for (uint32_t i = 0; i < 4; i++) { /* the first block, and some of the second */
        piece.size_bytes = file_bytes;
        piece.length_bytes = PIECE_BYTES;
        snapshot_receive(run.receiver, &piece, file + piece.offset);
        while (!snapshot_receiver_report(run.receiver, &piece, &whole))
            pump();
    }
    assert_true(piece.offset == 4 * PIECE_BYTES && !whole);
    snapshot_receiver_destroy(run.receiver);
    receiver_open();
    uint64_t sent_bytes = 0;
    transfer(&sent_bytes);
    assert_false(run.dead);
    struct snapshot_receiver_counters counters;
    snapshot_receiver_counters(run.receiver, &counters);
    assert_true(counters.resumed == SNAPSHOT_HEADER_BYTES + snapshot_block_stride(PAYLOAD_BYTES));
    assert_true(sent_bytes < file_bytes && counters.refused == 0);
    transfer_end();
}

/* A member has everything and does not say what became of it: the leader asks with a piece of no
 * bytes. */
static void a_piece_of_no_bytes_is_sent_without_a_read_of_none(void **state) {
    (void)state;
    transfer_begin(3);
    struct fixture *fixture = &run.fixture;
    struct identity sender = fixture->identity;
    sender.node_id = 2;
    sender.incarnation = 77;
    char name[FILE_NAME_BYTES];
    snapshot_name(name, SNAPSHOT_INDEX);
    world_file_put(run.world, 0, path, name, file, file_bytes);
    struct snapshot_source *source;
    assert_int_equal(snapshot_source_create(&source, fixture->io, fixture->port, fixture->directory,
                                            &sender, PIECE_BYTES),
                     0);
    for (uint32_t i = 0; i < 2; i++) { /* with the file to be opened, and open */
        struct snapshot_source_piece piece;
        snapshot_source_read(source, SNAPSHOT_INDEX, file_bytes, 0);
        while (!snapshot_source_result(source, &piece)) {
            const struct io_completion completion = io_wait(fixture->port);
            assert_true(snapshot_source_completion(source, &completion) ||
                        log_completion(fixture->log, &completion));
        }
        assert_true(piece.error == 0 && piece.bytes != NULL && piece.file_bytes == file_bytes);
    }
    snapshot_source_destroy(source);
    transfer_end();
}

static void no_space_and_a_failing_disk_end_the_transfer_only(void **state) {
    (void)state;
    static const struct {
        enum world_disk_operation operation;
        uint32_t nth; /* the first open looks for what an earlier process had received */
        int error;
        bool of_room;
    } faults[] = {{WORLD_DISK_ALLOCATE, 1, -ENOSPC, true}, {WORLD_DISK_OPEN, 2, -ENOSPC, true},
                  {WORLD_DISK_OPEN, 2, -EMFILE, true},     {WORLD_DISK_OPENED, 1, -ENFILE, true},
                  {WORLD_DISK_WRITE, 1, -ENOSPC, true},    {WORLD_DISK_WRITE, 1, -EIO, false},
                  {WORLD_DISK_SYNC, 1, -EIO, false},       {WORLD_DISK_READ, 1, -EIO, false}};
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        transfer_begin(10 + i);
        while (log_deadline_ns(run.fixture.log) != UINT64_MAX || io_outstanding(run.fixture.port))
            pump(); /* the log has nothing to do that could fail instead */
        world_disk_fail(run.world, 0, faults[i].operation, faults[i].nth, 1, faults[i].error);
        struct snapshot_piece piece = {.index = SNAPSHOT_INDEX, .term = SNAPSHOT_TERM};
        bool whole = false;
        do {
            const uint64_t left = file_bytes - piece.offset;
            piece.size_bytes = file_bytes;
            piece.length_bytes = left < PIECE_BYTES ? (uint32_t)left : (uint32_t)PIECE_BYTES;
            snapshot_receive(run.receiver, &piece, file + piece.offset);
            while (!snapshot_receiver_report(run.receiver, &piece, &whole))
                pump();
        } while (piece.offset > 0 && !whole);
        if (whole)
            fail_msg("fault %zu did not show", i);
        assert_non_null(
            strstr(snapshot_receiver_error(run.receiver), "the snapshot up to entry 12"));
        assert_int_equal(snapshot_receiver_out_of_room(run.receiver), faults[i].of_room);
        uint64_t sent_bytes = 0;
        transfer(&sent_bytes);
        assert_false(snapshot_receiver_out_of_room(run.receiver));
        assert_true(!run.dead && log_state(run.fixture.log) == LOG_READY);
        transfer_end();
    }
}

/* Nothing is sent anew but the last piece, which asks. */
static void what_cannot_be_judged_for_want_of_a_descriptor_waits_for_one(void **state) {
    (void)state;
    transfer_begin(30);
    while (log_deadline_ns(run.fixture.log) != UINT64_MAX || io_outstanding(run.fixture.port))
        pump();
    /* The first two look for what an earlier process had received, and create. */
    world_disk_fail(run.world, 0, WORLD_DISK_OPEN, 3, 2, -EMFILE);
    struct snapshot_piece piece = {.index = SNAPSHOT_INDEX, .term = SNAPSHOT_TERM};
    uint32_t sent = 0;
    uint32_t asked = 0;
    bool whole = false;
    do {
        if (piece.offset == file_bytes) {
            assert_true(snapshot_receiver_out_of_room(run.receiver));
            assert_non_null(strstr(snapshot_receiver_error(run.receiver), "Too many open files"));
            piece.offset = 0; /* any that is there already */
            asked++;
        }
        const uint64_t left = file_bytes - piece.offset;
        piece.size_bytes = file_bytes;
        piece.length_bytes = left < PIECE_BYTES ? (uint32_t)left : (uint32_t)PIECE_BYTES;
        sent++;
        snapshot_receive(run.receiver, &piece, file + piece.offset);
        while (!snapshot_receiver_report(run.receiver, &piece, &whole))
            pump();
    } while (!whole);
    assert_int_equal(asked, 2);
    assert_int_equal(sent, (file_bytes + PIECE_BYTES - 1) / PIECE_BYTES + asked);
    assert_false(snapshot_receiver_out_of_room(run.receiver));
    struct snapshot_receiver_counters counters;
    snapshot_receiver_counters(run.receiver, &counters);
    assert_int_equal(counters.refused, 0);
    transfer_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_judged_for_want_of_a_descriptor_waits_for_one),
        cmocka_unit_test(every_altered_byte_is_found_and_the_transfer_begins_again),
        cmocka_unit_test(a_piece_of_no_bytes_is_sent_without_a_read_of_none),
        cmocka_unit_test(no_space_and_a_failing_disk_end_the_transfer_only),
        cmocka_unit_test(what_was_received_is_kept_over_a_restart),
        cmocka_unit_test(an_installation_survives_a_cut_at_every_step),
    };
    return cmocka_run_group_tests_name("storage_snapshot_install", tests, NULL, NULL);
}
