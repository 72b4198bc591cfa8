/* The search for the knee, against servers that are a curve. */

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "bench/histogram.h"
#include "bench/load_slo.h"
#include "tests/cmocka_wrapper.h"

#define BOUND_NS (2 * CLOCK_NS_PER_MS)

static const struct load_slo_goal GOAL = {
    .percentile = "p99", .parts_per_million = HISTOGRAM_P99, .bound_ns = BOUND_NS};

static struct load_slo_measured good(uint64_t rate) {
    return (struct load_slo_measured){.done_per_second = rate, .judged_ns = BOUND_NS / 2};
}

static struct load_slo_measured late(uint64_t rate) {
    return (struct load_slo_measured){.done_per_second = rate, .judged_ns = BOUND_NS + 1};
}

/*
 * Asks until the search is over, which it is before its room is full (it asserts that). `server`
 * says what a server does at a rate, the number of the try given.
 */
static void search(struct load_slo *slo,
                   struct load_slo_measured (*server)(uint64_t, uint32_t, const void *),
                   const void *argument) {
    load_slo_begin(slo, &GOAL);
    for (uint64_t rate; (rate = load_slo_rate(slo)) != 0;) {
        const struct load_slo_measured measured = server(rate, slo->tried_count, argument);
        load_slo_tell(slo, &measured);
        assert_int_equal(slo->tried[slo->tried_count - 1].rate_per_second, rate);
    }
}

/* The knee was held, and what is a sixteenth above it was tried and failed twice. */
static void check_found(const struct load_slo *slo) {
    const uint64_t knee = load_slo_knee(slo);
    uint32_t held = 0;
    uint32_t failed_near = 0;
    for (uint32_t i = 0; i < slo->tried_count; i++) {
        const struct load_slo_tried *tried = &slo->tried[i];
        held += tried->rate_per_second == knee && tried->verdict == LOAD_SLO_HELD;
        failed_near += tried->rate_per_second > knee &&
                       (tried->rate_per_second - knee) * LOAD_SLO_GAP_PARTS <= knee &&
                       tried->verdict != LOAD_SLO_HELD;
    }
    assert_int_equal(held, 1);
    assert_true(failed_near >= LOAD_SLO_ATTEMPTS_MAX);
}

static struct load_slo_measured holds_up_to(uint64_t rate, uint32_t number, const void *argument) {
    (void)number;
    return rate <= *(const uint64_t *)argument ? good(rate) : late(rate);
}

static void other_words_are_no_percentile(void **state) {
    (void)state;
    static const char *const wrong[] = {"",       "=",       "p99",     "p99.9", "p9=1ms",
                                        "p100=1", "p999=1s", "P99=2ms", "99=1s", "p99 =1ms"};
    struct load_slo_goal goal = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_null(load_slo_parse_percentile(wrong[i], &goal));
    assert_null(goal.percentile);
}

static void the_percentile_is_read_and_the_time_left(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint32_t parts_per_million;
    } right[] = {{"p50=x", 500000}, {"p90=x", 900000}, {"p99=x", 990000}, {"p99.9=x", 999000}};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        struct load_slo_goal goal = {0};
        assert_string_equal(load_slo_parse_percentile(right[i].text, &goal), "x");
        assert_int_equal(goal.parts_per_million, right[i].parts_per_million);
        assert_memory_equal(goal.percentile, right[i].text, strlen(goal.percentile));
    }
}

static void a_rate_is_held_if_all_is_answered_in_time_and_without_an_error(void **state) {
    (void)state;
    struct load_slo_measured measured = {.done_per_second = 980, .judged_ns = BOUND_NS};
    assert_int_equal(load_slo_judge(&GOAL, 1000, &measured), LOAD_SLO_HELD);
    measured.judged_ns++;
    assert_int_equal(load_slo_judge(&GOAL, 1000, &measured), LOAD_SLO_LATE);
    measured.done_per_second = 979;
    assert_int_equal(load_slo_judge(&GOAL, 1000, &measured), LOAD_SLO_UNANSWERED);
    measured.judged_ns = 0;
    assert_int_equal(load_slo_judge(&GOAL, 1000, &measured), LOAD_SLO_UNANSWERED);
    measured.errors = 1;
    assert_int_equal(load_slo_judge(&GOAL, 1000, &measured), LOAD_SLO_ERRORS);
}

static void a_server_that_holds_nothing_is_asked_twice_and_has_no_knee(void **state) {
    (void)state;
    struct load_slo slo;
    search(&slo, holds_up_to, &(uint64_t){999});
    assert_int_equal(load_slo_knee(&slo), 0);
    assert_int_equal(slo.tried_count, 2);
    assert_int_equal(slo.tried[1].rate_per_second, LOAD_SLO_RATE_FIRST);
    assert_int_equal(slo.tried[1].verdict, LOAD_SLO_LATE);
    assert_false(load_slo_is_open_above(&slo));
}

static void a_server_that_holds_everything_is_asked_up_to_the_last_rate(void **state) {
    (void)state;
    struct load_slo slo;
    search(&slo, holds_up_to, &(uint64_t){UINT64_MAX});
    assert_int_equal(load_slo_knee(&slo), 4096000);
    assert_int_equal(slo.tried_count, LOAD_SLO_DOUBLINGS_MAX);
    assert_true(load_slo_is_open_above(&slo));
}

static void the_knee_is_found_to_a_sixteenth(void **state) {
    (void)state;
    static const uint64_t knees[] = {1000,  1001,  1031,   1063,    1999,   2000,
                                     30000, 77777, 500000, 4096000, 4095999};
    for (size_t i = 0; i < sizeof knees / sizeof *knees; i++) {
        struct load_slo slo;
        search(&slo, holds_up_to, &knees[i]);
        const uint64_t knee = load_slo_knee(&slo);
        assert_true(knee <= knees[i] && knees[i] <= knee + knee / LOAD_SLO_GAP_PARTS);
        if (knees[i] != 4096000)
            check_found(&slo);
    }
}

static void the_rates_are_those_of_the_search_in_words(void **state) {
    (void)state;
    static const uint64_t rates[] = {1000, 2000, 4000, 4000, 3000, 3500,
                                     3500, 3250, 3250, 3125, 3125};
    struct load_slo slo;
    search(&slo, holds_up_to, &(uint64_t){3000});
    assert_int_equal(slo.tried_count, sizeof rates / sizeof *rates);
    for (uint32_t i = 0; i < slo.tried_count; i++)
        assert_int_equal(slo.tried[i].rate_per_second, rates[i]);
    assert_int_equal(load_slo_knee(&slo), 3000);
}

/* Fails at the tries whose bit is set, and holds 30,000 a second otherwise. */
static struct load_slo_measured hiccups(uint64_t rate, uint32_t number, const void *argument) {
    const bool fails = number < 64 && (*(const uint64_t *)argument >> number & 1) != 0;
    return fails || rate > 30000 ? late(rate) : good(rate);
}

static void a_hiccup_is_not_the_knee(void **state) {
    (void)state;
    struct load_slo calm;
    search(&calm, hiccups, &(uint64_t){0});
    for (uint32_t at = 0; at < calm.tried_count; at++) {
        struct load_slo slo;
        search(&slo, hiccups, &(uint64_t){UINT64_C(1) << at});
        assert_int_equal(load_slo_knee(&slo), load_slo_knee(&calm));
    }
}

/* Holds up to 3,000, not to 6,000, and then again to 9,000. */
static struct load_slo_measured with_a_dip(uint64_t rate, uint32_t number, const void *argument) {
    (void)number;
    (void)argument;
    return rate <= 3000 || (rate > 6000 && rate <= 9000) ? good(rate) : late(rate);
}

static void a_dip_ends_the_doubling_even_if_more_would_be_held_above_it(void **state) {
    (void)state;
    struct load_slo slo;
    search(&slo, with_a_dip, NULL);
    assert_int_equal(load_slo_knee(&slo), 3000);
    check_found(&slo);
}

static struct load_slo_measured at_random(uint64_t rate, uint32_t number, const void *argument) {
    struct random random;
    random_seed(&random, *(const uint64_t *)argument + number);
    return random_below(&random, 3) > 0 ? good(rate) : late(rate);
}

static void whatever_the_server_does_the_search_ends_with_a_rate_that_was_held(void **state) {
    (void)state;
    uint32_t found = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct load_slo slo;
        search(&slo, at_random, &(uint64_t){seed * 100});
        if (load_slo_knee(&slo) == 0)
            assert_int_equal(slo.tried_count, 2);
        else if (!load_slo_is_open_above(&slo)) {
            check_found(&slo);
            found++;
        }
    }
    assert_true(found > 500);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_words_are_no_percentile),
        cmocka_unit_test(the_percentile_is_read_and_the_time_left),
        cmocka_unit_test(a_rate_is_held_if_all_is_answered_in_time_and_without_an_error),
        cmocka_unit_test(a_server_that_holds_nothing_is_asked_twice_and_has_no_knee),
        cmocka_unit_test(a_server_that_holds_everything_is_asked_up_to_the_last_rate),
        cmocka_unit_test(the_knee_is_found_to_a_sixteenth),
        cmocka_unit_test(the_rates_are_those_of_the_search_in_words),
        cmocka_unit_test(a_hiccup_is_not_the_knee),
        cmocka_unit_test(a_dip_ends_the_doubling_even_if_more_would_be_held_above_it),
        cmocka_unit_test(whatever_the_server_does_the_search_ends_with_a_rate_that_was_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
