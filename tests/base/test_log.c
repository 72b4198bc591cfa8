/* Lines as a reader of the log gets them, through a pipe; and the rate of one place. */

#include "base/bytes.h"
#include "base/log.h"

#include "tests/cmocka_wrapper.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int log_pipe[2];
static char output[65536];

static int open_pipe(void **state) {
    (void)state;
    if (pipe2(log_pipe, O_NONBLOCK) != 0)
        return -1;
    log_descriptor_set(log_pipe[1]);
    log_level_set(LOG_INFO);
    return 0;
}

static int close_pipe(void **state) {
    (void)state;
    log_descriptor_set(STDERR_FILENO);
    return close(log_pipe[0]) | close(log_pipe[1]);
}

/* Everything written so far; the writer is this thread, so nothing is on its way. */
static const char *read_output(void) {
    size_t length_bytes = 0;
    ssize_t count;
    while ((count = read(log_pipe[0], output + length_bytes, sizeof(output) - 1 - length_bytes)) >
           0)
        length_bytes += (size_t)count;
    output[length_bytes] = '\0';
    return output;
}

/* What follows "ts=2026-01-31T12:00:00.123Z ", which it checks. */
static const char *skip_time(const char *line) {
    static const char shape[] = "ts=dddd-dd-ddTdd:dd:dd.dddZ ";
    for (size_t i = 0; shape[i] != '\0'; i++) {
        if (shape[i] == 'd')
            assert_in_range(line[i], '0', '9');
        else
            assert_int_equal(line[i], shape[i]);
    }
    return line + sizeof(shape) - 1;
}

static size_t count_lines(const char *text) {
    size_t line_count = 0;
    for (; *text != '\0'; text++)
        line_count += *text == '\n';
    return line_count;
}

static void a_line_is_time_level_event_and_pairs(void **state) {
    (void)state;
    log_info("node_started", "port=%d map=%s", 7379, "fused");
    assert_string_equal(skip_time(read_output()),
                        "level=info event=node_started port=7379 map=fused\n");
    log_warn("disk_slow", "");
    assert_string_equal(skip_time(read_output()), "level=warn event=disk_slow\n");
    log_error("stopping", "reason=%s", "signal");
    assert_string_equal(skip_time(read_output()), "level=error event=stopping reason=signal\n");
}

static void lines_below_the_level_are_dropped(void **state) {
    (void)state;
    log_debug("unseen", "");
    assert_string_equal(read_output(), "");
    log_level_set(LOG_ERROR);
    log_warn("unseen", "");
    log_warn_limited("unseen", "");
    assert_string_equal(read_output(), "");
    log_level_set(LOG_DEBUG);
    log_debug("seen", "");
    assert_string_equal(skip_time(read_output()), "level=debug event=seen\n");
}

static void no_value_can_forge_a_line(void **state) {
    (void)state;
    log_info("name", "value=%s", "a\nts=forged\x1b[0m\x7f\r");
    const char *text = read_output();
    assert_int_equal(count_lines(text), 1);
    assert_string_equal(skip_time(text), "level=info event=name value=a?ts=forged?[0m??\n");
}

static void a_line_too_long_is_cut_and_stays_one_write(void **state) {
    (void)state;
    static char value[2 * LOG_LINE_BYTES];
    memset(value, 'v', sizeof(value) - 1);
    log_info("long", "value=%s", value);
    const char *text = read_output();
    assert_int_equal(strlen(text), LOG_LINE_BYTES);
    assert_string_equal(text + LOG_LINE_BYTES - 3, "vv\n");
}

static void errno_survives_a_line_that_cannot_be_written(void **state) {
    (void)state;
    int closed = dup(log_pipe[1]);
    close(closed);
    log_descriptor_set(closed);
    errno = EDOM;
    log_info("lost", "");
    assert_int_equal(errno, EDOM);
    log_info_limited("lost", "");
    assert_int_equal(errno, EDOM);
}

static void a_place_writes_its_share_and_then_counts(void **state) {
    (void)state;
    struct log_limit limit = {0};
    uint32_t suppressed = 99;
    const uint64_t start_ns = UINT64_C(7000000); /* whole milliseconds: the limit counts in them */
    for (int i = 0; i < LOG_LIMITED_LINES; i++) {
        assert_true(log_limit_allows(&limit, start_ns, &suppressed));
        assert_int_equal(suppressed, 0);
    }
    suppressed = 99;
    for (int i = 0; i < 41; i++)
        assert_false(log_limit_allows(&limit, start_ns + LOG_LIMITED_WINDOW_NS - 1, &suppressed));
    assert_int_equal(suppressed, 99);

    assert_true(log_limit_allows(&limit, start_ns + LOG_LIMITED_WINDOW_NS, &suppressed));
    assert_int_equal(suppressed, 41);
    assert_true(log_limit_allows(&limit, start_ns + LOG_LIMITED_WINDOW_NS, &suppressed));
    assert_int_equal(suppressed, 0);
}

static void a_place_works_from_time_zero_and_across_a_backward_reading(void **state) {
    (void)state;
    struct log_limit limit = {0};
    uint32_t suppressed = 99;
    int allowed_count = 0;
    for (uint64_t now_ns = 0; now_ns < 100; now_ns++)
        allowed_count += log_limit_allows(&limit, 100 - now_ns, &suppressed);
    assert_int_equal(allowed_count, LOG_LIMITED_LINES);
}

static void places_are_limited_apart_and_the_lines_come_out(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        log_warn_limited("first_place", "i=%d", i);
        log_error_limited("second_place", "");
    }
    const char *text = read_output();
    assert_int_equal(count_lines(text), 2 * LOG_LIMITED_LINES);
    assert_non_null(strstr(text, "event=first_place i=4\n"));
    assert_non_null(strstr(text, "event=second_place\n"));
    assert_null(strstr(text, "i=5\n"));
}

static void what_was_held_back_is_reported_in_the_next_line(void **state) {
    (void)state;
    struct log_limit limit = {0};
    limit.suppressed_count = 41;
    log_line_limited(&limit, LOG_WARN, "peer_slow", "peer=%d", 2);
    assert_string_equal(skip_time(read_output()),
                        "level=warn event=peer_slow suppressed=41 peer=2\n");
}

struct limit_race {
    struct log_limit limit;
    _Atomic uint32_t allowed_count;
    _Atomic uint32_t reported_count;
};

#define RACE_THREADS 4
#define RACE_CALLS   20000

static void *race(void *context) {
    struct limit_race *shared = context;
    for (int i = 0; i < RACE_CALLS; i++) {
        uint32_t suppressed;
        if (!log_limit_allows(&shared->limit, 1, &suppressed))
            continue;
        atomic_fetch_add(&shared->allowed_count, 1);
        atomic_fetch_add(&shared->reported_count, suppressed);
    }
    return NULL;
}

/* No call is lost: each was allowed, reported by one that was, or still waits to be reported. */
static void threads_share_one_limit_exactly_and_no_call_is_lost(void **state) {
    (void)state;
    struct limit_race shared = {0};
    pthread_t threads[RACE_THREADS];
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, &shared), 0);
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(shared.allowed_count, LOG_LIMITED_LINES);
    assert_int_equal(shared.allowed_count + shared.reported_count + shared.limit.suppressed_count,
                     RACE_THREADS * RACE_CALLS);
}

static void quoting_escapes_what_a_line_must_not_hold(void **state) {
    (void)state;
    struct log_quoted quoted;
    assert_string_equal(log_quote(&quoted, NULL, 0), "\"\"");
    assert_string_equal(log_quote(&quoted, "seg 7", 5), "\"seg 7\"");
    assert_string_equal(log_quote(&quoted, "a\"b\\c\n\r\t", 8), "\"a\\\"b\\\\c\\n\\r\\t\"");
    assert_string_equal(log_quote(&quoted, "\0\x1b\x7f\xff", 4), "\"\\x00\\x1b\\x7f\\xff\"");
}

static void quoting_cuts_between_escapes_and_never_overflows(void **state) {
    (void)state;
    unsigned char value[LOG_QUOTED_BYTES];
    memset(value, 1, sizeof(value)); /* four bytes each */
    for (size_t plain_count = 0; plain_count < sizeof(value); plain_count++) {
        memset(value, 'p', plain_count);
        struct log_quoted quoted;
        const char *text = log_quote(&quoted, value, sizeof(value));
        const size_t length_bytes = strlen(text);
        assert_true(length_bytes < LOG_QUOTED_BYTES);
        assert_string_equal(text + length_bytes - 4, "...\"");
        const size_t body_bytes = length_bytes - 5; /* without both quotes and "..." */
        assert_true(body_bytes <= plain_count || (body_bytes - plain_count) % 4 == 0);
    }
}

static void a_value_that_fills_the_room_exactly_is_whole(void **state) {
    (void)state;
    char value[LOG_QUOTED_BYTES - 6];
    memset(value, 'p', sizeof(value));
    struct log_quoted quoted;
    assert_int_equal(strlen(log_quote(&quoted, value, sizeof(value))), sizeof(value) + 2);
    assert_null(strstr(quoted.text, "..."));
}

#define in_pipe(test) cmocka_unit_test_setup_teardown(test, open_pipe, close_pipe)

int main(void) {
    const struct CMUnitTest tests[] = {
        in_pipe(a_line_is_time_level_event_and_pairs),
        in_pipe(lines_below_the_level_are_dropped),
        in_pipe(no_value_can_forge_a_line),
        in_pipe(a_line_too_long_is_cut_and_stays_one_write),
        in_pipe(errno_survives_a_line_that_cannot_be_written),
        in_pipe(places_are_limited_apart_and_the_lines_come_out),
        in_pipe(what_was_held_back_is_reported_in_the_next_line),
        cmocka_unit_test(a_place_writes_its_share_and_then_counts),
        cmocka_unit_test(a_place_works_from_time_zero_and_across_a_backward_reading),
        cmocka_unit_test(threads_share_one_limit_exactly_and_no_call_is_lost),
        cmocka_unit_test(quoting_escapes_what_a_line_must_not_hold),
        cmocka_unit_test(quoting_cuts_between_escapes_and_never_overflows),
        cmocka_unit_test(a_value_that_fills_the_room_exactly_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
