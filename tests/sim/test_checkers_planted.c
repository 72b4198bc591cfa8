/*
 * The checkers at the size of a run: thousands of operations that are right pass quickly, and of
 * each way of being wrong a stated part is caught.
 */

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "sim/linearizable.h"
#include "tests/cmocka_wrapper.h"
#include "tests/sim/history_maker.h"

/* Processor time: what others do on the machine is of no account. */
static uint64_t now_ns(void) {
    struct timespec time;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time), 0);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* What a run of the simulator looks like: 20 seconds of 200 operations, 16 connections. */
static struct maker_options run_options(uint64_t seed, uint32_t operations) {
    return (struct maker_options){.seed = seed,
                                  .operations = operations,
                                  .connections = 16,
                                  .keys = 6,
                                  .unknown_per_mille = 10,
                                  .refused_per_mille = 20,
                                  .gap_ns = 100 * 1000 * 1000,
                                  .span_ns = 40 * 1000 * 1000};
}

static void judge(const struct made *made, struct linearizable_report *linearizable,
                  struct replay_report *replay) {
    struct linearizable_options options = linearizable_options_default();
    options.memory_slots = 1 << 18;
    options.values_max = 1 << 15;
    options.value_bytes = 8 << 20;
    options.steps_max = 1000 * 1000;
    assert_int_equal(linearizable_check(&made->history, &options, linearizable), 0);
    assert_int_equal(replay_check(&made->history, made->log, made->log_count, 1 << 20, replay), 0);
}

static void free_reports(struct linearizable_report *linearizable, struct replay_report *replay) {
    kv_model_text_free(&linearizable->text);
    replay_free(replay);
}

static void show(const struct linearizable_report *linearizable,
                 const struct replay_report *replay) {
    print_message("linearizable: %s\n%.*sreplay: %s\n%.*s",
                  history_verdict_name(linearizable->verdict), (int)linearizable->text.length,
                  linearizable->text.data, history_verdict_name(replay->verdict),
                  (int)replay->text.length, replay->text.data);
}

static void thousands_of_operations_that_are_right_pass_quickly(void **state) {
    (void)state;
    enum { RUNS = WEIR_SANITIZER_BUILD ? 3 : 20, OPERATIONS = 4000 };
    uint64_t linearizable_ns = 0;
    uint64_t replay_ns = 0;
    uint64_t steps = 0;
    uint64_t parts = 0;
    uint64_t unknown = 0;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        struct made made;
        struct linearizable_report linearizable;
        struct replay_report replay;
        const struct maker_options made_options = run_options(seed, OPERATIONS);
        const struct linearizable_options options = linearizable_options_default();
        made_create(&made, &made_options);
        made_execute(&made);
        made_record(&made, seed % 2 == 0);
        const uint64_t begin_ns = now_ns();
        assert_int_equal(linearizable_check(&made.history, &options, &linearizable), 0);
        const uint64_t middle_ns = now_ns();
        assert_int_equal(replay_check(&made.history, made.log, made.log_count, 1 << 20, &replay),
                         0);
        replay_ns += now_ns() - middle_ns;
        linearizable_ns += middle_ns - begin_ns;
        if (linearizable.verdict != HISTORY_RIGHT || replay.verdict != HISTORY_RIGHT)
            show(&linearizable, &replay);
        assert_int_equal(linearizable.verdict, HISTORY_RIGHT);
        assert_int_equal(replay.verdict, HISTORY_RIGHT);
        assert_in_range(replay.unknown_applied, 1, OPERATIONS / 10);
        assert_in_range(replay.unknown_absent, 1, OPERATIONS / 10);
        assert_in_range(replay.reads, OPERATIONS / 4, OPERATIONS);
        assert_in_range(replay.writes, OPERATIONS / 4, OPERATIONS);
        assert_in_range(linearizable.keys, 18, 18);
        steps += linearizable.steps;
        parts += linearizable.operations;
        unknown += linearizable.unknown_writes;
        free_reports(&linearizable, &replay);
        made_destroy(&made);
    }
    print_message("%u histories of %u operations: key by key %" PRIu64 " operations/s (%" PRIu64
                  " steps for %" PRIu64 " parts, %" PRIu64 " of them unknown), by replay %" PRIu64
                  " operations/s\n",
                  RUNS, OPERATIONS, RUNS * OPERATIONS * UINT64_C(1000000000) / linearizable_ns,
                  steps, parts, unknown, RUNS * OPERATIONS * UINT64_C(1000000000) / replay_ns);
}

/* What each checker must catch at least, of a hundred. Key by key some cannot be seen: nothing is
 * demanded then. Replay calls the others undecided where it was not told whose a command is; it
 * never calls one right. */
static const struct {
    uint32_t linearizable;
    uint32_t replay;
} rates[SPOILINGS] = {
    [SPOIL_STALE_READ] = {90, 95},
    [SPOIL_LOST_UPDATE] = {70, 95},
    [SPOIL_SAME_NUMBER] = {100, 95},
    [SPOIL_SWAPPED_REPLIES] = {95, 95},
    [SPOIL_INVENTED_VALUE] = {100, 95},
    [SPOIL_SEEN_THEN_GONE] = {70, 95},
    [SPOIL_UNDEAD] = {95, 95},
    [SPOIL_LATE_EFFECT] = {85, 95},
    [SPOIL_HIDDEN_WRITE] = {0, 95},
    [SPOIL_TWICE_IN_LOG] = {0, 95},
    [SPOIL_REFUSED_HAPPENED] = {35, 95},
    [SPOIL_LOG_ORDER] = {0, 95},
    [SPOIL_REPLIES_OUT_OF_ORDER] = {0, 100},
};

static void every_way_of_being_wrong_is_caught_at_its_rate(void **state) {
    (void)state;
    enum { HISTORIES = 100, OPERATIONS = 500 };
    bool all = true;
    for (uint32_t spoiling = 0; spoiling < SPOILINGS; spoiling++) {
        uint32_t by_search = 0;
        uint32_t by_replay = 0;
        uint32_t spoilt = 0;
        uint32_t missed = 0;
        for (uint64_t seed = 1; spoilt < HISTORIES && seed < 3 * HISTORIES; seed++) {
            struct made made;
            struct linearizable_report linearizable;
            struct replay_report replay;
            struct maker_options options = run_options(1000 * spoiling + seed, OPERATIONS);
            options.unknown_per_mille = spoiling == SPOIL_SEEN_THEN_GONE ? 60 : 10;
            made_create(&made, &options);
            made_execute(&made);
            if (made_spoil(&made, (enum spoiling)spoiling, seed % 2 == 0)) {
                judge(&made, &linearizable, &replay);
                by_search += linearizable.verdict == HISTORY_WRONG;
                by_replay += replay.verdict == HISTORY_WRONG;
                missed += replay.verdict == HISTORY_RIGHT;
                spoilt++;
                free_reports(&linearizable, &replay);
            }
            made_destroy(&made);
        }
        print_message("%-34s %3u histories: key by key %3u, by replay %3u, missed by replay %3u\n",
                      spoiling_name((enum spoiling)spoiling), spoilt, by_search, by_replay, missed);
        all = all && spoilt == HISTORIES && missed == 0 &&
              by_search >= rates[spoiling].linearizable && by_replay >= rates[spoiling].replay;
    }
    assert_true(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousands_of_operations_that_are_right_pass_quickly),
        cmocka_unit_test(every_way_of_being_wrong_is_caught_at_its_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
