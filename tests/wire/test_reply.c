/* Replies: what each kind becomes in each protocol; that overflow counts exactly. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/cmocka_wrapper.h"
#include "tests/death.h"
#include "tests/support/resp3_decode.h"
#include "tests/wire/reply_joined.h"
#include "wire/reply.h"
#include "wire/reply_encode.h"

enum { PIECES_MAX = 64 };

/* Write a stream by `write` into a region of exactly its size and encode it. */
static uint8_t *encoded(void (*write)(struct reply_writer *), enum resp_version version,
                        size_t *length) {
    struct reply_writer writer;
    reply_begin(&writer, NULL, 0);
    write(&writer);
    const size_t needed = (size_t)writer.overflow_bytes;
    uint8_t *region = malloc(needed);
    assert_non_null(region);
    reply_begin(&writer, region, needed);
    write(&writer);
    assert_int_equal(writer.overflow_bytes, 0);
    assert_int_equal(reply_used_bytes(&writer), needed);

    struct reply_piece table[PIECES_MAX];
    struct reply_pieces pieces;
    reply_pieces_begin(&pieces, table, PIECES_MAX);
    assert_true(reply_encode_in_place(region, needed, version, &pieces));
    uint8_t *bytes = joined(&pieces, length);
    free(region);
    return bytes;
}

/* ---- What each kind becomes ------------------------------------------------------------------ */

static void write_fixed(struct reply_writer *w) {
    reply_ok(w);
    reply_pong(w);
    reply_queued(w);
    reply_null(w);
    reply_null_array(w);
    reply_boolean(w, true);
    reply_boolean(w, false);
}

static void write_numbers(struct reply_writer *w) {
    reply_integer(w, 0);
    reply_integer(w, 9);
    reply_integer(w, 10);
    reply_integer(w, -1);
    reply_integer(w, INT64_MIN);
    reply_integer(w, INT64_MAX);
    reply_double(w, 1.5);
    reply_double(w, 0.1);
    reply_double(w, -DBL_MAX);
    reply_double(w, DBL_MIN);
    reply_double(w, HUGE_VAL);
    reply_double(w, -HUGE_VAL);
    reply_double(w, (double)NAN);
    reply_double(w, -(double)NAN);
    reply_double(w, -0.0);
    reply_big_number(w, "-3492890328409238509324850943850943825024385", 44);
}

static void write_texts(struct reply_writer *w) {
    reply_status(w, "Background saving started", 25);
    reply_error(w, "ERR unknown command 'a\r\nb', with\0NUL\r\n", 38);
    reply_error_format(w, "ERR %s of %d", "wrong number", 7);
    reply_bulk(w, NULL, 0);
    reply_bulk(w, "a\r\nb\0", 5);
    reply_verbatim(w, "txt", "Some string", 11);
    reply_verbatim(w, "mkd", NULL, 0);
}

static void write_aggregates(struct reply_writer *w) {
    reply_array(w, 3);
    reply_integer(w, 1);
    reply_map(w, 2);
    reply_bulk(w, "k", 1);
    reply_set(w, 2);
    reply_ok(w);
    reply_null(w);
    reply_status(w, "s", 1);
    reply_array(w, 0);
    reply_bulk(w, "last", 4);
    reply_push(w, 2);
    reply_bulk(w, "invalidate", 10);
    reply_null_array(w);
    reply_map(w, 0);
}

static void write_pairs(struct reply_writer *w) {
    reply_pairs(w, 2);
    for (int i = 0; i < 2; i++) {
        reply_pair(w);
        reply_bulk(w, i == 0 ? "a" : "b", 1);
        reply_double(w, 0.5);
    }
    reply_double_text(w, 1.1);
    reply_array(w, 1);
    reply_pairs(w, 0);
}

struct mapping {
    void (*write)(struct reply_writer *);
    enum resp_version version;
    const char *expected; /* by resp3_print_all */
};

static void each_kind_is_what_redis_sends(void **state) {
    (void)state;
    static const struct mapping mappings[] = {
        {write_fixed, RESP_VERSION_2, "+OK\n+PONG\n+QUEUED\nnull-bulk\nnull-array\n:1\n:0\n"},
        {write_fixed, RESP_VERSION_3, "+OK\n+PONG\n+QUEUED\nnull\nnull\ntrue\nfalse\n"},
        {write_numbers, RESP_VERSION_2,
         ":0\n:9\n:10\n:-1\n:-9223372036854775808\n:9223372036854775807\n\"1.5\"\n"
         "\"0.10000000000000001\"\n\"-1.7976931348623157e+308\"\n\"2.2250738585072014e-308\"\n"
         "\"inf\"\n\"-inf\"\n\"nan\"\n\"nan\"\n\"-0\"\n"
         "\"-3492890328409238509324850943850943825024385\"\n"},
        {write_numbers, RESP_VERSION_3,
         ":0\n:9\n:10\n:-1\n:-9223372036854775808\n:9223372036854775807\n,1.5\n"
         ",0.10000000000000001\n,-1.7976931348623157e+308\n,2.2250738585072014e-308\n"
         ",inf\n,-inf\n,nan\n,nan\n,-0\n"
         "(-3492890328409238509324850943850943825024385\n"},
        {write_pairs, RESP_VERSION_2,
         "[\"a\", \"0.5\", \"b\", \"0.5\"]\n\"1.1000000000000001\"\n[[]]\n"},
        {write_pairs, RESP_VERSION_3,
         "[[\"a\", ,0.5], [\"b\", ,0.5]]\n\"1.1000000000000001\"\n[[]]\n"},
        {write_texts, RESP_VERSION_2,
         "+Background saving started\n-ERR unknown command 'a  b', with NUL\n"
         "-ERR wrong number of 7\n\"\"\n\"a\\x0d\\x0ab\\x00\"\n\"Some string\"\n\"\"\n"},
        {write_texts, RESP_VERSION_3,
         "+Background saving started\n-ERR unknown command 'a  b', with NUL\n"
         "-ERR wrong number of 7\n\"\"\n\"a\\x0d\\x0ab\\x00\"\ntxt:\"Some string\"\nmkd:\"\"\n"},
        {write_aggregates, RESP_VERSION_2,
         "[:1, [\"k\", [+OK, null-bulk], +s, []], \"last\"]\n[\"invalidate\", null-array]\n[]\n"},
        {write_aggregates, RESP_VERSION_3,
         "[:1, {\"k\": ~[+OK, null], +s: []}, \"last\"]\n>[\"invalidate\", null]\n{}\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(mappings); i++) {
        size_t length;
        uint8_t *bytes = encoded(mappings[i].write, mappings[i].version, &length);
        char *text = resp3_print_all(bytes, length);
        assert_string_equal(text, mappings[i].expected);
        free(text);
        free(bytes);
    }
}

/* ---- Overflow -------------------------------------------------------------------------------- */

static void write_everything(struct reply_writer *w) {
    write_fixed(w);
    write_numbers(w);
    write_texts(w);
    write_aggregates(w);
    const struct reply_mark mark = reply_array_begin(w);
    uint8_t *room = reply_bulk_reserve(w, 33);
    if (room != NULL) {
        memset(room, 'r', 33);
        reply_bulk_commit(w, 33);
    }
    reply_array_end(w, mark, 1);
    const struct reply_mark set = reply_set_begin(w);
    reply_integer(w, 1);
    reply_integer(w, 2);
    reply_array_end(w, set, 2);
}

/* In a region of every size from nothing to enough: used + overflow is always the whole size, what
 * is there is a prefix of the whole stream, and not one byte behind `used` is the stream's. */
static void overflow_counts_exactly_what_did_not_fit(void **state) {
    (void)state;
    struct reply_writer writer;
    reply_begin(&writer, NULL, 0);
    write_everything(&writer);
    const size_t whole = (size_t)writer.overflow_bytes;
    assert_int_equal(reply_used_bytes(&writer), 0);
    uint8_t *full = calloc(1, whole);
    assert_non_null(full);
    reply_begin(&writer, full, whole);
    write_everything(&writer);
    assert_int_equal(writer.overflow_bytes, 0);

    for (size_t size = 0; size <= whole; size++) {
        uint8_t *region = calloc(1, size > 0 ? size : 1);
        assert_non_null(region);
        reply_begin(&writer, region, size);
        write_everything(&writer);
        const size_t used = reply_used_bytes(&writer);
        assert_int_equal(used + writer.overflow_bytes, whole);
        assert_int_equal(writer.overflow_bytes == 0, size == whole);
        size_t at = 0;
        while (at < used) /* only whole records */
            at += reply_record_read(region + at, used - at).record_bytes;
        assert_int_equal(at, used);
        for (size_t i = used; i < size; i++)
            assert_int_equal(region[i], 0);
        free(region);
    }
    free(full);
}

static void a_small_record_behind_one_that_did_not_fit_is_not_written(void **state) {
    (void)state;
    uint8_t region[40];
    struct reply_writer writer;
    reply_begin(&writer, region, sizeof(region));
    reply_ok(&writer);
    const struct reply_mark mark = reply_mark(&writer);
    reply_bulk(&writer, "0123456789", 10); /* 28 bytes into 24 */
    assert_int_equal(writer.overflow_bytes, 28);
    reply_ok(&writer);
    assert_int_equal(writer.overflow_bytes, 28 + 16);
    assert_int_equal(reply_used_bytes(&writer), 16);
    reply_rewind(&writer, mark); /* another answer instead */
    reply_null(&writer);
    assert_int_equal(writer.overflow_bytes, 0);
    assert_int_equal(reply_used_bytes(&writer), 32);
}

static void long_formatted_errors_are_cut(void **state) {
    (void)state;
    uint8_t region[2048];
    struct reply_writer writer;
    reply_begin(&writer, region, sizeof(region));
    reply_error_format(&writer, "ERR %0999d", 1);
    const struct reply_record record = reply_record_read(region, reply_used_bytes(&writer));
    assert_int_equal(record.kind, REPLY_ERROR);
    assert_int_equal(record.length_bytes, REPLY_ERROR_FORMAT_BYTES_MAX - 1);
}

/* ---- What must not be ------------------------------------------------------------------------ */

static void write_status_with_line_end(void *context) {
    (void)context;
    uint8_t region[64];
    struct reply_writer writer;
    reply_begin(&writer, region, sizeof(region));
    reply_status(&writer, "a\r\n+OK", 6);
}

static void mistakes_of_the_caller_end_the_process(void **state) {
    (void)state;
    death_expect_abort(write_status_with_line_end, NULL, "memchr");
}

static void a_stream_that_was_kept_is_judged_in_bounds(void **state) {
    (void)state;
    uint8_t room[256] = {0};
    struct reply_writer writer;
    reply_begin(&writer, room, sizeof(room));
    assert_false(reply_stream_check(room, 0));
    reply_array(&writer, 2);
    reply_integer(&writer, 5);
    reply_bulk(&writer, "bulk", 4);
    const size_t length = reply_used_bytes(&writer);
    for (size_t cut = 1; cut < length; cut++) {
        const bool at_record = cut == 16 || cut == 16 + 24;
        assert_int_equal(reply_stream_check(room, cut), at_record);
    }
    assert_true(reply_stream_check(room, length));
    room[0] = REPLY_KINDS;
    assert_false(reply_stream_check(room, length));
    room[0] = REPLY_INVALID;
    assert_false(reply_stream_check(room, length));
    room[0] = REPLY_ARRAY;
    room[4] = 24; /* a payload where there is none */
    assert_false(reply_stream_check(room, length));
    room[4] = 0;
    room[16 + 24 + 7] = 0x80; /* a bulk of 2 GiB */
    assert_false(reply_stream_check(room, length));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_of_the_caller_end_the_process),
        cmocka_unit_test(each_kind_is_what_redis_sends),
        cmocka_unit_test(overflow_counts_exactly_what_did_not_fit),
        cmocka_unit_test(a_small_record_behind_one_that_did_not_fit_is_not_written),
        cmocka_unit_test(long_formatted_errors_are_cut),
        cmocka_unit_test(a_stream_that_was_kept_is_judged_in_bounds),
    };
    return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
