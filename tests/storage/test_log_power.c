/*
 * Power cuts: the log is driven at random on the simulated disk, which dies at a random step and
 * keeps a random part of what was not synced.  Whatever happens, the log opens again, holds what
 * was reported durable, and nothing that was not appended.
 */

#include "tests/storage/fixture.h"

#include "base/bytes.h"
#include "base/decimal.h"
#include "base/random.h"
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

static const char path[] = "data";

enum { ENTRIES_MAX = 20000 };

/* What a log should hold: the chain at each index, and so everything up to there. */
struct history {
    uint64_t last;
    struct entry_tail tails[ENTRIES_MAX];
};

struct power_test {
    struct world *world;
    struct fixture fixture;
    struct random random;
    struct history now;
    struct history before_truncation; /* may come back while the truncation is under way */
    bool may_cut;                     /* the power, not only the process */
    bool truncating;
    uint64_t truncate_index;
    uint64_t durable; /* highest reported */
    struct log_start snapshot;
    uint64_t steps_left; /* until the disk dies */
    bool appending;      /* an entry, in slices */
    /* What happened, so that the test can say that it was not vacuous. */
    uint32_t cuts;
    uint32_t torn_opens;
    uint32_t lost_entries;
    uint32_t truncations_undone;
    uint32_t truncations_done;
    uint32_t segments_max;
    uint32_t reads;
    uint32_t compactions;
    uint32_t sliced;
    uint32_t cancelled;
    uint64_t zero_bytes;
};

static struct power_test test;

/* ---- checking ----------------------------------------------------------------------------- */

static void check_recovered(void) {
    const struct entry_tail *tail = log_tail(test.fixture.log);
    const uint64_t last = tail->index;
    const uint64_t floor =
        test.truncating && test.truncate_index < test.durable ? test.truncate_index : test.durable;
    if (last < floor)
        fail_msg("entry %llu was durable and the log ends at %llu", (unsigned long long)floor,
                 (unsigned long long)last);
    const bool is_now = last <= test.now.last && test.now.tails[last].chain == tail->chain;
    const bool is_before = test.truncating && last <= test.before_truncation.last &&
                           test.before_truncation.tails[last].chain == tail->chain;
    assert_true(is_now || is_before);
    if (!is_now) {
        memcpy(&test.now, &test.before_truncation, sizeof(test.now));
        test.truncations_undone++;
    }
    test.lost_entries += (uint32_t)(test.now.last - last);
    test.now.last = last;
    test.truncating = false;
    test.durable = last;
}

/* Durability is reported in order, and only of what was appended. */
static void check_running(void) {
    struct log *log = test.fixture.log;
    const uint64_t durable = log_durable_index(log);
    assert_true(durable <= log_last_index(log));
    if (!log_truncating(log))
        test.truncating = false;
    if (durable > test.durable)
        test.durable = durable;
    struct log_counters counters;
    log_counters(log, &counters);
    if (counters.segments > test.segments_max)
        test.segments_max = (uint32_t)counters.segments;
}

/* Before the log is closed, whose counters these are. */
static void count_zeros(void) {
    struct log_counters counters;
    log_counters(test.fixture.log, &counters);
    test.zero_bytes += counters.zero_bytes;
}

/* ---- life and death ----------------------------------------------------------------------- */

static bool log_is_dead(void) {
    return log_state(test.fixture.log) == LOG_FAILED;
}

static void complete_one(void) {
    fixture_complete_one(&test.fixture);
    check_running();
}

/* The power goes, now at the latest. */
static void power_cut(bool kill_only) {
    struct fixture *fixture = &test.fixture;
    world_disk_die_after(test.world, 0, 0);
    while (fixture->log != NULL && io_outstanding(fixture->port) > 0) {
        const struct io_completion completion = io_wait(fixture->port);
        log_completion(fixture->log, &completion);
    }
    if (fixture->log != NULL) {
        count_zeros();
        log_close(fixture->log);
    }
    fixture->log = NULL;
    test.appending = false;
    if (kill_only) {
        world_kill(test.world, 0);
        world_disk_die_after(test.world, 0, UINT32_MAX); /* it was the process that died */
    } else
        world_crash(test.world, 0, WORLD_KEEP_RANDOM);
    test.cuts++;
}

/* Starts again; recovery itself may be cut short any number of times. */
static void power_back(void) {
    for (;;) {
        struct fixture *fixture = &test.fixture;
        const struct log_options log_options = fixture->options;
        const uint64_t term = fixture->term;
        fixture_open(fixture, world_io(test.world, 0), path, false);
        fixture->options = log_options;
        fixture->term = term;
        const bool is_cut = random_chance(&test.random, 1, 4);
        if (is_cut)
            world_disk_die_after(test.world, 0, random_below(&test.random, 8));
        const int result = fixture_log_open(fixture, &test.snapshot);
        if (result == 0) {
            check_recovered();
            if (!is_cut)
                break;
            power_cut(!test.may_cut || random_chance(&test.random, 1, 3));
            continue;
        }
        if (!is_cut)
            fail_msg("%s", fixture->error.text);
        if (result != WEIR_EIO)
            fail_msg("%s", fixture->error.text);
        power_cut(!test.may_cut || random_chance(&test.random, 1, 3));
    }
    if (test.fixture.term < test.now.tails[test.now.last].term)
        test.fixture.term = test.now.tails[test.now.last].term;
    test.fixture.term++;
}

/* ---- actions ------------------------------------------------------------------------------ */

static void act_append(void) {
    struct log *log = test.fixture.log;
    const uint32_t bytes = random_chance(&test.random, 1, 12)
                               ? (uint32_t)random_below(&test.random, 200 * 1024)
                               : (uint32_t)random_below(&test.random, 700);
    if (log_truncating(log) || test.now.last + 1 >= ENTRIES_MAX)
        return;
    if (random_chance(&test.random, 1, 8)) {
        test.appending = fixture_append_begin(&test.fixture, bytes);
        return;
    }
    if (!fixture_append(&test.fixture, bytes))
        return;
    test.now.tails[++test.now.last] = *log_tail(log);
}

/* Goes on with an entry that is made in slices, or gives it up. */
static void act_slice(void) {
    struct log *log = test.fixture.log;
    if (random_chance(&test.random, 1, 30)) {
        log_append_cancel(log);
        test.appending = false;
        test.cancelled++;
    } else if (log_append_slice(log, (uint32_t)random_below(&test.random, 32 * 1024) + 1)) {
        assert_true(log_append_end(log) == ++test.now.last);
        test.now.tails[test.now.last] = *log_tail(log);
        test.appending = false;
        test.sliced++;
    }
}

/* Long enough for the log to fall idle, if all is written: it records its end, and fills ahead. */
static void act_idle(void) {
    while (random_chance(&test.random, 7, 8)) {
        if (io_outstanding(test.fixture.port) > 0)
            complete_one();
        else
            io_park(test.fixture.io, 25000000);
        log_flush(test.fixture.log);
        log_maintain(test.fixture.log, io_monotonic_ns(test.fixture.io));
    }
}

static void act_truncate(void) {
    struct log *log = test.fixture.log;
    const uint64_t last = log_last_index(log);
    const uint64_t lowest = test.snapshot.tail.index > 1 ? test.snapshot.tail.index : 1;
    if (log_truncating(log) || last <= lowest)
        return;
    const uint64_t span = last - lowest < 30 ? last - lowest : 30;
    const uint64_t index = last - random_below(&test.random, span + 1);
    memcpy(&test.before_truncation, &test.now, sizeof(test.now));
    test.now.last = index;
    test.truncate_index = index;
    log_truncate(log, index);
    test.truncating = log_truncating(log);
    /* What was durable and is truncated may come back, or not, until the truncation is durable. */
    if (test.durable > index)
        test.durable = index;
    test.truncations_done++;
    test.fixture.term++;
    assert_true(log_last_index(log) == index && log_durable_index(log) <= index);
}

static void act_compact(void) {
    struct log *log = test.fixture.log;
    if (test.durable <= test.snapshot.tail.index + 100 || log_truncating(log))
        return;
    const uint64_t index = test.durable - random_below(&test.random, 50);
    test.snapshot.tail = test.now.tails[index];
    log_compact(log, index);
    assert_true(log_first_index(log) <= index + 1);
    test.compactions++;
}

static void act_read(void) {
    static _Alignas(4096) uint8_t buffer[300 * 1024];
    struct log *log = test.fixture.log;
    const uint64_t first = log_first_index(log);
    if (log_truncating(log) || log_durable_index(log) < first + 1 || log_is_dead())
        return;
    const uint64_t index = first + random_below(&test.random, log_durable_index(log) - first + 1);
    uint64_t first_index;
    uint32_t count;
    size_t length_bytes;
    int error;
    log_read(log, index, buffer, sizeof(buffer));
    while (!log_read_result(log, &first_index, &count, &length_bytes, &error))
        complete_one();
    if (error != 0) {
        assert_true(log_is_dead() || error == WEIR_EIO);
        return;
    }
    assert_true(first_index == index && count > 0);
    const uint8_t *entry = buffer;
    for (uint32_t i = 0; i < count; i++) {
        const struct entry_header header = entry_header_read(entry);
        assert_true(header.index == index + i);
        assert_true(header.chain == test.now.tails[header.index].chain);
        entry += entry_stride_bytes(header.length_bytes);
    }
    test.reads++;
}

static void act(void) {
    struct log *log = test.fixture.log;
    const uint64_t choice = random_below(&test.random, 1000);
    if (choice < 500 && test.appending)
        act_slice();
    else if (choice < 500)
        act_append();
    else if (choice < 700)
        log_flush(log);
    else if (choice < 900 && io_outstanding(test.fixture.port) > 0)
        complete_one();
    else if (choice < 960)
        log_maintain(log, io_monotonic_ns(test.fixture.io));
    else if (choice < 975)
        log_release(log, log_durable_index(log));
    else if (choice < 982 && !test.appending)
        act_truncate();
    else if (choice < 985)
        act_compact();
    else if (choice < 992)
        act_read();
    else
        act_idle();
}

static void stop_cleanly(void) {
    while (test.appending)
        act_slice();
    log_stop(test.fixture.log);
    while (!log_stopped(test.fixture.log) && !log_is_dead()) {
        log_maintain(test.fixture.log, io_monotonic_ns(test.fixture.io));
        if (io_outstanding(test.fixture.port) > 0)
            complete_one();
    }
    if (log_stopped(test.fixture.log))
        assert_true(test.durable == test.now.last);
}

static void drive(uint64_t seed, enum durability durability, bool may_cut, uint32_t lives) {
    struct world_options options = world_options_rough();
    memset(&test, 0, sizeof(test));
    random_seed(&test.random, seed);
    test.may_cut = may_cut;
    options.disk_alignment_bytes = random_chance(&test.random, 1, 4) ? 4096 : 512;
    test.world = world_create(seed, &options);
    world_node_add(test.world);
    fixture_open(&test.fixture, world_io(test.world, 0), path, true);
    test.fixture.options.durability = durability;
    test.fixture.options.zero_ahead_bytes = random_below(&test.random, 2) * 1024 * 1024;
    test.snapshot.tail = entry_tail_origin();
    assert_int_equal(fixture_log_open(&test.fixture, NULL), 0);
    test.now.tails[0] = entry_tail_origin();
    test.now.last = 1;
    test.now.tails[1] = *log_tail(test.fixture.log);
    test.durable = 1;
    for (uint32_t life = 0; life < lives; life++) {
        if (may_cut && random_chance(&test.random, 3, 4))
            world_disk_die_after(test.world, 0, random_below(&test.random, 150));
        const uint64_t actions = random_below(&test.random, 600);
        for (uint64_t i = 0; i < actions && !log_is_dead(); i++)
            act();
        if (random_chance(&test.random, 1, 4))
            stop_cleanly();
        power_cut(!may_cut || random_chance(&test.random, 1, 4));
        power_back();
    }
    power_cut(true);
    world_destroy(test.world);
    fixture_open_count = 0;
}

static void nothing_durable_is_lost_by_a_power_cut(void **state) {
    (void)state;
    const char *rounds_text = getenv("WEIR_TEST_ROUNDS");
    uint64_t rounds = 40;
    if (rounds_text != NULL)
        assert_int_equal(decimal_parse_u64(rounds_text, strlen(rounds_text), &rounds), 0);
    uint32_t cuts = 0;
    uint32_t lost = 0;
    uint32_t undone = 0;
    uint32_t truncations = 0;
    uint32_t reads = 0;
    uint32_t compactions = 0;
    uint32_t segments_max = 0;
    uint32_t sliced = 0;
    uint32_t cancelled = 0;
    uint64_t zero_bytes = 0;
    for (uint64_t seed = 1; seed <= rounds; seed++) {
        drive(seed, DURABILITY_FSYNC, true, 12);
        cuts += test.cuts;
        lost += test.lost_entries;
        undone += test.truncations_undone;
        truncations += test.truncations_done;
        reads += test.reads;
        compactions += test.compactions;
        sliced += test.sliced;
        cancelled += test.cancelled;
        zero_bytes += test.zero_bytes;
        segments_max = test.segments_max > segments_max ? test.segments_max : segments_max;
    }
    print_message("cuts %u, entries not durable and lost %u, truncations %u of which undone %u, "
                  "reads %u, compactions %u, segments at most %u, made in slices %u, given up %u, "
                  "zeros ahead %llu KiB\n",
                  cuts, lost, truncations, undone, reads, compactions, segments_max, sliced,
                  cancelled, (unsigned long long)zero_bytes / 1024);
    assert_true(cuts > rounds * 10 && lost > rounds && truncations > rounds && undone > 3);
    assert_true(reads > rounds && compactions > rounds / 10 && segments_max > 4);
    assert_true(sliced > rounds && cancelled > 0 && zero_bytes > 0);
}

static void nothing_written_is_lost_by_a_killed_process(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        drive(seed, DURABILITY_WRITE, false, 12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_durable_is_lost_by_a_power_cut),
        cmocka_unit_test(nothing_written_is_lost_by_a_killed_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
