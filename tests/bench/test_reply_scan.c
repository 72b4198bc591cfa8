/* The reply scanner, fed every stream whole, byte by byte, and at every split in two. */
#include <string.h>

#include "bench/reply_scan.h"

#include "tests/cmocka_wrapper.h"

struct errors {
    uint32_t count;
    char text[8][REPLY_SCAN_ERROR_TEXT_BYTES + 1];
};

static void note_error(void *context, const char *text, size_t length_bytes) {
    struct errors *errors = context;
    if (errors->count < 8) {
        memcpy(errors->text[errors->count], text, length_bytes);
        errors->text[errors->count][length_bytes] = 0;
    }
    errors->count++;
}

static const struct stream {
    const char *bytes;
    uint64_t replies, errors, pushes;
    const char *first_error;
} STREAMS[] = {
    {"+OK\r\n", 1, 0, 0, NULL},
    {"+OK\r\n+OK\r\n+OK\r\n+OKAY\r\n+O\r\n+\r\n", 6, 0, 0, NULL},
    {":1\r\n:-22\r\n+PONG\r\n", 3, 0, 0, NULL},
    {"$5\r\nhello\r\n$0\r\n\r\n$-1\r\n*-1\r\n", 4, 0, 0, NULL},
    {"$7\r\n\r\n+OK\r\n\r\n", 1, 0, 0, NULL}, /* a bulk that looks like a reply */
    {"*0\r\n*1\r\n*0\r\n*2\r\n*2\r\n:1\r\n$1\r\na\r\n*1\r\n*1\r\n+x\r\n", 3, 0, 0, NULL},
    {"*3\r\n:1\r\n-ERR inside\r\n:2\r\n", 1, 0, 0, NULL}, /* an element is not the reply */
    {"-ERR unknown command\r\n+OK\r\n-MOVED 1 a:1\r\n", 3, 2, 0, "ERR unknown command"},
    {"!11\r\nSYNTAX oops\r\n+OK\r\n", 2, 1, 0, "SYNTAX oops"},
    {"-\r\n", 1, 1, 0, ""},
    {"_\r\n#t\r\n#f\r\n,3.14\r\n,inf\r\n(123456789012345678901234567890\r\n", 6, 0, 0, NULL},
    {"=8\r\ntxt:some\r\n", 1, 0, 0, NULL},
    {"%2\r\n+a\r\n:1\r\n+b\r\n*2\r\n:1\r\n:2\r\n%0\r\n~2\r\n:1\r\n:2\r\n", 3, 0, 0, NULL},
    {">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n+OK\r\n", 1, 0, 1, NULL},
    {">1\r\n-ERR in a push\r\n-ERR alone\r\n", 1, 1, 1, "ERR alone"},
    {"|1\r\n+ttl\r\n:10\r\n$1\r\nv\r\n", 1, 0, 0, NULL},
    {"|1\r\n+a\r\n-b\r\n-ERR described\r\n|0\r\n+OK\r\n", 2, 1, 0, "ERR described"},
    {"*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n+OK\r\n", 2, 0, 0, NULL},
};
enum { STREAM_COUNT = sizeof STREAMS / sizeof *STREAMS };

static void check(const struct stream *stream, const size_t *cuts, size_t cut_count) {
    struct reply_scan scan;
    struct reply_scan_counts counts = {0};
    struct errors errors = {0};
    const uint8_t *bytes = (const uint8_t *)stream->bytes;
    size_t length = strlen(stream->bytes);
    size_t at = 0;
    reply_scan_reset(&scan, note_error, &errors);
    for (size_t i = 0; i <= cut_count; i++) {
        size_t end = i < cut_count ? cuts[i] : length;
        assert_int_equal(reply_scan_feed(&scan, bytes + at, end - at, &counts), REPLY_SCAN_OK);
        at = end;
    }
    assert_int_equal(counts.replies, stream->replies);
    assert_int_equal(counts.errors, stream->errors);
    assert_int_equal(counts.pushes, stream->pushes);
    assert_true(reply_scan_at_boundary(&scan));
    assert_int_equal(errors.count, stream->errors);
    if (stream->first_error)
        assert_string_equal(errors.text[0], stream->first_error);
}

static void every_stream_counts_the_same_at_every_split(void **state) {
    (void)state;
    for (size_t i = 0; i < STREAM_COUNT; i++) {
        size_t length = strlen(STREAMS[i].bytes);
        check(&STREAMS[i], NULL, 0);
        for (size_t first = 0; first <= length; first++) {
            for (size_t second = first; second <= length; second++)
                check(&STREAMS[i], (const size_t[]){first, second}, 2);
        }
    }
}

static void every_stream_counts_the_same_byte_by_byte(void **state) {
    (void)state;
    for (size_t i = 0; i < STREAM_COUNT; i++) {
        size_t cuts[256];
        size_t length = strlen(STREAMS[i].bytes);
        assert_true(length < 256);
        for (size_t cut = 0; cut < length; cut++)
            cuts[cut] = cut;
        check(&STREAMS[i], cuts, length);
    }
}

/* A reply is counted with its last byte and not before. */
static void a_reply_is_complete_with_its_last_byte(void **state) {
    (void)state;
    for (size_t i = 0; i < STREAM_COUNT; i++) {
        struct reply_scan scan;
        struct reply_scan_counts counts = {0};
        size_t length = strlen(STREAMS[i].bytes);
        reply_scan_reset(&scan, NULL, NULL);
        const uint8_t *bytes = (const uint8_t *)STREAMS[i].bytes;
        assert_int_equal(reply_scan_feed(&scan, bytes, length - 1, &counts), REPLY_SCAN_OK);
        assert_int_equal(counts.replies, STREAMS[i].replies - 1);
        assert_false(reply_scan_at_boundary(&scan));
        assert_int_equal(reply_scan_feed(&scan, bytes + length - 1, 1, &counts), REPLY_SCAN_OK);
        assert_int_equal(counts.replies, STREAMS[i].replies);
    }
}

static void bytes_that_are_no_resp_are_refused_for_good(void **state) {
    (void)state;
    static const char *const BROKEN[] = {"HTTP/1.1 400\r\n",
                                         "$5\r\nhelloX\n",
                                         "$5\r\nhello\rX",
                                         "$x\r\n",
                                         "$\r\n",
                                         "$--1\r\n",
                                         "$-2\r\n",
                                         "$1-\r\n",
                                         "*1\r\nX",
                                         "%-1\r\n",
                                         "*1\rX",
                                         "$?\r\n",
                                         "\r\n",
                                         "$9999999999999\r\n",
                                         "~-1\r\n",
                                         ">-1\r\n",
                                         "$ 1\r\n"};
    for (size_t i = 0; i < sizeof BROKEN / sizeof *BROKEN; i++) {
        struct reply_scan scan;
        struct reply_scan_counts counts = {0};
        const uint8_t *bytes = (const uint8_t *)BROKEN[i];
        reply_scan_reset(&scan, NULL, NULL);
        assert_int_equal(reply_scan_feed(&scan, (const uint8_t *)"+OK\r\n", 5, &counts), 0);
        assert_int_equal(reply_scan_feed(&scan, bytes, strlen(BROKEN[i]), &counts),
                         REPLY_SCAN_EPROTOCOL);
        assert_int_equal(counts.replies, 1);
        assert_int_equal(reply_scan_feed(&scan, (const uint8_t *)"+OK\r\n", 5, &counts),
                         REPLY_SCAN_EPROTOCOL);
        assert_int_equal(counts.replies, 1);
    }
}

static void a_long_error_is_cut(void **state) {
    (void)state;
    struct reply_scan scan;
    struct reply_scan_counts counts = {0};
    struct errors errors = {0};
    char reply[1000];
    memset(reply, 'E', sizeof reply);
    reply[0] = '-';
    reply[998] = '\r';
    reply[999] = '\n';
    reply_scan_reset(&scan, note_error, &errors);
    assert_int_equal(reply_scan_feed(&scan, (const uint8_t *)reply, sizeof reply, &counts), 0);
    assert_int_equal(counts.errors, 1);
    assert_int_equal(strlen(errors.text[0]), REPLY_SCAN_ERROR_TEXT_BYTES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stream_counts_the_same_at_every_split),
        cmocka_unit_test(every_stream_counts_the_same_byte_by_byte),
        cmocka_unit_test(a_reply_is_complete_with_its_last_byte),
        cmocka_unit_test(bytes_that_are_no_resp_are_refused_for_good),
        cmocka_unit_test(a_long_error_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
