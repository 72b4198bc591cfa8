/*
 * Short scripts of appends and truncations, cut from power at every step of the disk.
 *
 * test_log_power.c draws actions and moments at random; here nothing is drawn but what the disk
 * keeps.  Each script is run once to the end, which tells how many steps it takes, and then anew
 * for each step, after which the disk is dead.  What the log must show when it opens again:
 *
 *   appending     all that was reported durable, and of the rest a beginning;
 *   truncating    the log as it was, with all that had been durable, or the truncated one: nothing
 *                 between them, and nothing else;
 *   truncated     what was cut away is gone, whatever the disk keeps;
 *   stopped       everything.
 *
 * Then it must serve: what is appended is there after another start.
 */

#include "tests/storage/fixture.h"
#include "tests/storage/images.h"

#include "sim/world.h"

#include <string.h>

static const char path[] = "data";

/* ---- scripts ------------------------------------------------------------------------------ */

enum act {
    ACT_END,      /* and stop cleanly */
    ACT_APPEND,   /* `count` entries of `bytes` bytes each */
    ACT_FLUSH,    /* hands them to the disk, and waits for nothing */
    ACT_SETTLE,   /* until all is durable, and a truncation done */
    ACT_IDLE,     /* until the end is recorded, and zeros stand ahead */
    ACT_TRUNCATE, /* takes away the last `count` entries */
};

struct action {
    enum act act;
    uint32_t count;
    uint32_t bytes;
};

#define APPEND(how_many, each_bytes) \
    { .act = ACT_APPEND, .count = (how_many), .bytes = (each_bytes) }
#define TRUNCATE(how_many) \
    { .act = ACT_TRUNCATE, .count = (how_many) }
#define DO(what) \
    { .act = ACT_##what }

enum { ACTIONS_MAX = 16, ENTRIES_MAX = 64 };

static const struct script {
    const char *name;
    uint32_t alignment_bytes;
    uint64_t zero_ahead_bytes;
    struct action actions[ACTIONS_MAX];
} scripts[] = {
    {.name = "of what is durable and recorded",
     .alignment_bytes = 512,
     .zero_ahead_bytes = 512 * 1024,
     .actions = {APPEND(4, 300), DO(SETTLE), APPEND(3, 3000), DO(SETTLE), DO(IDLE), TRUNCATE(4),
                 DO(SETTLE), APPEND(2, 1500), DO(SETTLE), APPEND(3, 100)}},
    {.name = "of what is being written",
     .alignment_bytes = 4096,
     .actions = {APPEND(3, 200), DO(SETTLE), APPEND(3, 5000), DO(FLUSH), APPEND(3, 700),
                 TRUNCATE(5), DO(SETTLE), APPEND(4, 400), DO(FLUSH),
                 APPEND(2, 60000)}}, /* whose write has a second header sector */
    {.name = "twice, the second time of more than the first left",
     .alignment_bytes = 512,
     .actions = {APPEND(3, 100), DO(SETTLE), APPEND(3, 900), DO(SETTLE), TRUNCATE(2), DO(SETTLE),
                 APPEND(2, 2000), DO(SETTLE), TRUNCATE(4), DO(SETTLE), APPEND(3, 600)}},
};

/* ---- one run ------------------------------------------------------------------------------ */

struct run {
    struct world *world;
    struct fixture fixture;
    struct entry_tail tails[ENTRIES_MAX]; /* what the log should hold, up to last */
    uint64_t last;
    uint64_t durable; /* highest reported */
    bool truncating;
    struct entry_tail tails_before[ENTRIES_MAX]; /* the same when a truncation began */
    uint64_t last_before;
    uint64_t durable_before;
    bool stopped;
    /* For the sentence of a failure: */
    const char *name;
    uint64_t seed;
    uint64_t steps;
};

static struct run run;

/* What all runs came upon, so that the test can say that it was not vacuous. */
static struct counts {
    uint32_t runs;
    uint32_t torn;
    uint32_t entries_lost;
    uint32_t undone;
    uint32_t done;
} counts;

static bool is_dead(void) {
    return log_state(run.fixture.log) == LOG_FAILED;
}

static void look(void) {
    const uint64_t durable = log_durable_index(run.fixture.log);
    if (durable > run.durable)
        run.durable = durable;
    run.truncating = run.truncating && log_truncating(run.fixture.log);
}

/* Lets something happen; false if nothing is under way. */
static bool pump(void) {
    log_flush(run.fixture.log);
    log_maintain(run.fixture.log, io_monotonic_ns(run.fixture.io));
    if (io_outstanding(run.fixture.port) == 0)
        return false;
    fixture_complete_one(&run.fixture);
    look();
    return true;
}

static void truncate_last(uint32_t count) {
    memcpy(run.tails_before, run.tails, sizeof(run.tails));
    run.last_before = run.last;
    run.durable_before = run.durable;
    run.last -= count;
    log_truncate(run.fixture.log, run.last);
    run.truncating = log_truncating(run.fixture.log);
    if (run.durable > run.last)
        run.durable = run.last;
    run.fixture.term++;
}

static void act(const struct action *action) {
    struct log *log = run.fixture.log;
    switch (action->act) {
    case ACT_APPEND:
        for (uint32_t i = 0; i < action->count && !is_dead(); i++) {
            assert_true(fixture_append(&run.fixture, action->bytes));
            run.tails[++run.last] = *log_tail(log);
        }
        break;
    case ACT_FLUSH: log_flush(log); break;
    case ACT_SETTLE:
        while (!is_dead() && (log_durable_index(log) < run.last || log_truncating(log)))
            pump();
        break;
    case ACT_IDLE:
        while (!is_dead() && (pump() || log_deadline_ns(log) != UINT64_MAX))
            io_park(run.fixture.io, 25000000);
        break;
    case ACT_TRUNCATE: truncate_last(action->count); break;
    case ACT_END: break;
    }
}

static void stop(void) {
    log_stop(run.fixture.log);
    while (!is_dead() && !log_stopped(run.fixture.log))
        pump();
    run.stopped = log_stopped(run.fixture.log);
}

/* Runs the script until it ends or the disk is dead; returns the steps that the disk has taken. */
static uint64_t script_run(const struct script *script, uint64_t seed, uint64_t steps_max) {
    struct world_options options = world_options_calm();
    options.disk_alignment_bytes = script->alignment_bytes;
    options.disk_parts_max = 8;
    run = (struct run){.name = script->name, .seed = seed, .steps = steps_max};
    run.world = world_create(seed, &options);
    fixture_open(&run.fixture, world_io(run.world, world_node_add(run.world)), path, true);
    run.fixture.options.zero_ahead_bytes = script->zero_ahead_bytes;
    assert_int_equal(fixture_log_open(&run.fixture, NULL), 0);
    run.last = run.durable = log_last_index(run.fixture.log);
    run.tails[run.last] = *log_tail(run.fixture.log);
    const uint64_t steps_before = world_disk_steps(run.world, 0);
    if (steps_max < UINT64_MAX)
        world_disk_die_after(run.world, 0, steps_max);
    for (const struct action *each = script->actions; each->act != ACT_END && !is_dead(); each++)
        act(each);
    if (!is_dead())
        stop();
    return world_disk_steps(run.world, 0) - steps_before;
}

static void cut(enum world_power_cut keep) {
    world_disk_die_after(run.world, 0, 0);
    while (io_outstanding(run.fixture.port) > 0)
        fixture_complete_one(&run.fixture);
    log_close(run.fixture.log);
    run.fixture.log = NULL;
    world_crash(run.world, 0, keep);
}

static void run_end(void) {
    world_destroy(run.world);
    fixture_open_count = 0;
}

/* ---- what must be there ------------------------------------------------------------------- */

static void must(bool holds, const char *otherwise) {
    if (!holds)
        fail_msg("truncation %s, seed %llu, cut after %llu steps: %s", run.name,
                 (unsigned long long)run.seed, (unsigned long long)run.steps, otherwise);
}

static void start_again(void) {
    const uint64_t term = run.fixture.term;
    const struct log_options options = run.fixture.options;
    fixture_open(&run.fixture, world_io(run.world, 0), path, false);
    run.fixture.options = options;
    must(fixture_log_open(&run.fixture, NULL) == 0, run.fixture.error.text);
    run.fixture.term = term + 1;
}

static bool is_beginning_of(const struct entry_tail *tails, uint64_t last) {
    const struct entry_tail *tail = log_tail(run.fixture.log);
    return tail->index <= last && tails[tail->index].chain == tail->chain;
}

static void check_recovered(void) {
    const uint64_t found = log_last_index(run.fixture.log);
    const bool is_now = is_beginning_of(run.tails, run.last);
    if (run.truncating) {
        const bool is_before = is_beginning_of(run.tails_before, run.last_before);
        const bool is_done = is_now && found == run.last;
        must(is_done || (is_before && found >= run.durable_before),
             "it is neither truncated nor as it was");
        counts.done += is_done;
        counts.undone += !is_done;
    } else {
        must(is_now, "it holds what was not appended, or was cut away");
        must(found >= run.durable, "it has lost what was durable");
        must(!run.stopped || found == run.last, "it has lost what was there at a clean stop");
        counts.entries_lost += (uint32_t)(run.last - found);
    }
}

static void count_torn(void) {
    struct images images;
    const struct owner owner = owner_of(&run.fixture.identity);
    images_take(&images, run.world, 0, path, &owner);
    const struct verdict verdict = images_judge(&images);
    must(verdict.error == 0, verdict.fault.reason);
    counts.torn += verdict.torn;
    images_free(&images);
}

/* What was found is served, and what is appended to it stays. */
static void check_serves(void) {
    const uint64_t found = log_last_index(run.fixture.log);
    for (uint32_t i = 0; i < 2; i++)
        fixture_append_surely(&run.fixture, 500);
    fixture_settle(&run.fixture);
    const struct entry_tail tail = *log_tail(run.fixture.log);
    fixture_log_stop(&run.fixture);
    fixture_close(&run.fixture);
    start_again();
    must(log_last_index(run.fixture.log) == found + 2 &&
             log_tail(run.fixture.log)->chain == tail.chain,
         "what was appended after the cut is not there");
    fixture_log_stop(&run.fixture);
    fixture_close(&run.fixture);
}

/* The script cut after so many steps. */
static void run_cut(const struct script *script, uint64_t seed, uint64_t steps,
                    enum world_power_cut keep) {
    script_run(script, seed, steps);
    cut(keep);
    count_torn();
    start_again();
    check_recovered();
    check_serves();
    run_end();
    counts.runs++;
}

static void cut_everywhere(const struct script *script, uint64_t seed, enum world_power_cut keep) {
    const uint64_t steps = script_run(script, seed, UINT64_MAX);
    struct log_counters counters;
    log_counters(run.fixture.log, &counters);
    assert_true((counters.zero_bytes > 0) == (script->zero_ahead_bytes > 0));
    assert_true(run.stopped && steps > 20);
    cut(keep);
    run_end();
    for (uint64_t i = 0; i <= steps; i++)
        run_cut(script, seed, i, keep);
}

static void a_truncation_survives_a_cut_at_every_step(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(scripts); i++) {
        counts = (struct counts){0};
        cut_everywhere(&scripts[i], 1, WORLD_KEEP_NOTHING);
        cut_everywhere(&scripts[i], 2, WORLD_KEEP_ALL);
        for (uint64_t seed = 3; seed < 7; seed++)
            cut_everywhere(&scripts[i], seed, WORLD_KEEP_RANDOM);
        print_message("truncation %s: cuts %u, torn tails %u, entries not durable and lost %u, "
                      "truncations cut and undone %u, done %u\n",
                      scripts[i].name, counts.runs, counts.torn, counts.entries_lost, counts.undone,
                      counts.done);
        assert_true(counts.torn > 0 && counts.entries_lost > 0);
        assert_true(counts.undone > 0 && counts.done > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_truncation_survives_a_cut_at_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
