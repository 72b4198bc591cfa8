/* Encoding replies in place: random trees read back by hiredis and by resp3_decode; that nothing
 * runs over what has not been read; large payloads; full lists. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/random.h"
#include "tests/cmocka_wrapper.h"
#include "tests/death.h"
#include "tests/support/resp3_decode.h"
#include "tests/wire/reply_joined.h"
#include "wire/reply.h"
#include "wire/reply_encode.h"

enum {
    REGION_BYTES = 256 * 1024,
    PIECES_MAX = 64,
};

/* ---- Random trees, read by hiredis (RESP 2) and by resp3_decode ------------------------------ */

/* The same reply, written to the stream and as the text that resp3_print would give. */
struct twice {
    struct reply_writer *writer;
    FILE *text;
    struct random *random;
    enum resp_version version;
};

static void write_random_payload(struct twice *twice) {
    static const size_t lengths[] = {0,    1,    9,    10,   99,   100,  999,
                                     1000, 4095, 4096, 4097, 9999, 10000};
    const bool interesting = random_chance(twice->random, 1, 6);
    const size_t length = interesting ? lengths[random_below(twice->random, ARRAY_COUNT(lengths))]
                                      : (size_t)random_below(twice->random, 40);
    uint8_t *room = reply_bulk_reserve(twice->writer, length + 5);
    assert_non_null(room);
    memset(room, 'x', length + 5);
    const char fill = (char)('a' + random_below(twice->random, 26));
    memset(room, fill, length);
    reply_bulk_commit(twice->writer, length);
    fputc('"', twice->text);
    for (size_t i = 0; i < length; i++)
        fputc(fill, twice->text);
    fputc('"', twice->text);
}

static void write_random_reply(struct twice *twice, unsigned depth);

static void write_random_pairs(struct twice *twice, unsigned depth) {
    const size_t count = (size_t)random_below(twice->random, 12);
    const bool resp3 = twice->version == RESP_VERSION_3;
    reply_pairs(twice->writer, count);
    fputc('[', twice->text);
    for (size_t i = 0; i < count; i++) {
        fputs(i > 0 ? ", " : "", twice->text);
        reply_pair(twice->writer);
        fputs(resp3 ? "[" : "", twice->text);
        write_random_reply(twice, depth + 1);
        fputs(", ", twice->text);
        write_random_reply(twice, depth + 1);
        fputs(resp3 ? "]" : "", twice->text);
    }
    fputc(']', twice->text);
}

static void write_random_aggregate(struct twice *twice, unsigned depth) {
    const size_t count = (size_t)random_below(twice->random, 12);
    const bool resp3 = twice->version == RESP_VERSION_3;
    const uint64_t kind = random_below(twice->random, 5);
    const char *open = "[";
    size_t elements = count;
    struct reply_mark mark = {0};
    switch (kind) {
    case 0: reply_array(twice->writer, count); break;
    case 1: mark = reply_array_begin(twice->writer); break;
    case 2:
    case 3:
        if (kind == 2)
            reply_set(twice->writer, count);
        else
            mark = reply_set_begin(twice->writer);
        open = resp3 ? "~[" : "[";
        break;
    default:
        reply_map(twice->writer, count);
        open = resp3 ? "{" : "[";
        elements = 2 * count;
        break;
    }
    const bool is_map = open[0] == '{';
    fputs(open, twice->text);
    for (size_t i = 0; i < elements; i++) {
        if (i > 0)
            fputs(is_map && i % 2 == 1 ? ": " : ", ", twice->text);
        write_random_reply(twice, depth + 1);
    }
    fputs(is_map ? "}" : "]", twice->text);
    if (kind == 1 || kind == 3)
        reply_array_end(twice->writer, mark, count);
}

static void write_random_reply(struct twice *twice, unsigned depth) {
    const bool resp3 = twice->version == RESP_VERSION_3;
    const uint64_t kind = random_below(twice->random, depth < 3 ? 10 : 7);
    switch (kind) {
    case 0:
        reply_ok(twice->writer);
        fputs("+OK", twice->text);
        break;
    case 1:
        reply_null(twice->writer);
        fputs(resp3 ? "null" : "null-bulk", twice->text);
        break;
    case 2: {
        const int64_t value =
            (int64_t)(random_u64(twice->random) >> random_below(twice->random, 64));
        reply_integer(twice->writer, value);
        fprintf(twice->text, ":%lld", (long long)value);
        break;
    }
    case 3:
        reply_error_format(twice->writer, "ERR %u", 7u);
        fputs("-ERR 7", twice->text);
        break;
    case 4:
        reply_verbatim(twice->writer, "txt", "text", 4);
        fputs(resp3 ? "txt:\"text\"" : "\"text\"", twice->text);
        break;
    case 5:
    case 6: write_random_payload(twice); break;
    case 7: write_random_pairs(twice, depth); break;
    default: write_random_aggregate(twice, depth); break;
    }
}

/* hiredis's reply as resp3_print would print it. */
static void print_hiredis(FILE *to, const redisReply *reply) {
    switch (reply->type) {
    case REDIS_REPLY_STRING: fprintf(to, "\"%.*s\"", (int)reply->len, reply->str); break;
    case REDIS_REPLY_STATUS: fprintf(to, "+%s", reply->str); break;
    case REDIS_REPLY_ERROR: fprintf(to, "-%s", reply->str); break;
    case REDIS_REPLY_INTEGER: fprintf(to, ":%lld", reply->integer); break;
    case REDIS_REPLY_NIL: fputs("null-bulk", to); break;
    case REDIS_REPLY_ARRAY:
        fputc('[', to);
        for (size_t i = 0; i < reply->elements; i++) {
            fputs(i > 0 ? ", " : "", to);
            print_hiredis(to, reply->element[i]);
        }
        fputc(']', to);
        break;
    default: fail_msg("hiredis gave type %d", reply->type);
    }
}

static char *print_all_by_hiredis(const uint8_t *bytes, size_t length) {
    char *text = NULL;
    size_t text_length = 0;
    FILE *to = open_memstream(&text, &text_length);
    redisReader *reader = redisReaderCreate();
    assert_true(to != NULL && reader != NULL);
    assert_int_equal(redisReaderFeed(reader, (const char *)bytes, length), REDIS_OK);
    for (;;) {
        void *reply = NULL;
        assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
        if (reply == NULL)
            break;
        print_hiredis(to, reply);
        fputc('\n', to);
        freeReplyObject(reply);
    }
    redisReaderFree(reader);
    fclose(to);
    return text;
}

/* Several streams, adjacent or apart, in lists of any capacity: what is sent is what was
 * written. */
static void random_streams_read_back_as_written(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 11);
    uint8_t *region = malloc(REGION_BYTES);
    assert_non_null(region);
    size_t adjacent_count = 0, full_count = 0, many_pieces_count = 0;
    for (int round = 0; round < 2000; round++) {
        const enum resp_version version =
            random_chance(&random, 1, 2) ? RESP_VERSION_2 : RESP_VERSION_3;
        char *expected = NULL;
        size_t expected_length = 0;
        FILE *text = open_memstream(&expected, &expected_length);
        assert_non_null(text);
        struct reply_piece table[PIECES_MAX];
        struct reply_pieces pieces;
        reply_pieces_begin(&pieces, table, 1 + (uint32_t)random_below(&random, 8));
        uint8_t *at = region;
        const uint32_t streams = 1 + (uint32_t)random_below(&random, 6);
        for (uint32_t i = 0; i < streams; i++) {
            const bool gap = i > 0 && random_chance(&random, 1, 3);
            if (gap)
                *at++ = 'G';
            struct reply_writer writer;
            reply_begin(&writer, at, (size_t)(region + REGION_BYTES - at));
            struct twice twice = {&writer, text, &random, version};
            const long text_before = ftell(text);
            write_random_reply(&twice, i == 0 ? 0 : 2);
            fputc('\n', text);
            assert_int_equal(writer.overflow_bytes, 0);
            const uint32_t before = pieces.count;
            if (!reply_encode_in_place(at, reply_used_bytes(&writer), version, &pieces)) {
                assert_true((gap || i == 0) && before == pieces.capacity);
                full_count++;
                assert_int_equal(fseek(text, text_before, SEEK_SET), 0);
                break;
            }
            adjacent_count += i > 0 && !gap;
            at += reply_used_bytes(&writer);
        }
        const long text_end = ftell(text);
        fclose(text);
        expected[text_end] = '\0';
        many_pieces_count += pieces.count >= 3;

        size_t length;
        uint8_t *bytes = joined(&pieces, &length);
        char *found = resp3_print_all(bytes, length);
        assert_string_equal(found, expected);
        if (version == RESP_VERSION_2) {
            char *by_hiredis = print_all_by_hiredis(bytes, length);
            assert_string_equal(by_hiredis, expected);
            free(by_hiredis);
        }
        free(found);
        free(bytes);
        free(expected);
    }
    free(region);
    assert_true(adjacent_count > 1000 && full_count > 20 && many_pieces_count > 100);
}

/* ---- Encoding in place ----------------------------------------------------------------------- */

static void write_of_length(struct reply_writer *w, enum reply_kind kind, size_t length) {
    static char filler[REGION_BYTES];
    memset(filler, '7', length);
    switch (kind) {
    case REPLY_STATUS: reply_status(w, filler, length); break;
    case REPLY_ERROR: reply_error(w, filler, length); break;
    case REPLY_BULK: reply_bulk(w, filler, length); break;
    case REPLY_VERBATIM: reply_verbatim(w, "txt", filler, length); break;
    case REPLY_BIG_NUMBER: reply_big_number(w, filler, length); break;
    case REPLY_OK: reply_ok(w); break;
    case REPLY_PONG: reply_pong(w); break;
    case REPLY_QUEUED: reply_queued(w); break;
    case REPLY_NULL: reply_null(w); break;
    case REPLY_NULL_ARRAY: reply_null_array(w); break;
    case REPLY_BOOLEAN: reply_boolean(w, length % 2 == 0); break;
    case REPLY_INTEGER: reply_integer(w, -(int64_t)length); break;
    case REPLY_DOUBLE: reply_double(w, -(double)length / 3e300); break;
    case REPLY_DOUBLE_TEXT: reply_double_text(w, -(double)length / 3e300); break;
    case REPLY_ARRAY: reply_array(w, length); break;
    case REPLY_MAP: reply_map(w, length); break;
    case REPLY_SET: reply_set(w, length); break;
    case REPLY_PUSH: reply_push(w, length); break;
    case REPLY_PAIRS: reply_pairs(w, length); break;
    case REPLY_PAIR: reply_pair(w); break;
    case REPLY_INVALID:
    case REPLY_KINDS: fail();
    }
}

/* For every kind, every small length and both protocols: the encoding is no longer than the record,
 * and it is the same bytes whether it stands alone, or behind another, or before another (which it
 * must not have damaged). */
static void no_encoding_is_longer_than_its_record(void **state) {
    (void)state;
    enum { LENGTHS = 1200 };
    uint8_t *region = malloc(3 * LENGTHS + 256);
    assert_non_null(region);
    for (int kind = REPLY_OK; kind < REPLY_KINDS; kind++) {
        for (size_t length = kind == REPLY_BIG_NUMBER ? 1 : 0; length < LENGTHS; length++) {
            for (int version = RESP_VERSION_2; version <= RESP_VERSION_3; version++) {
                uint8_t alone[LENGTHS + 64];
                size_t alone_length = 0;
                for (int copies = 1; copies <= 3; copies += 2) {
                    struct reply_writer writer;
                    struct reply_piece table[2];
                    struct reply_pieces pieces;
                    reply_begin(&writer, region, 3 * LENGTHS + 256);
                    for (int i = 0; i < copies; i++)
                        write_of_length(&writer, (enum reply_kind)kind, length);
                    const size_t used = reply_used_bytes(&writer);
                    reply_pieces_begin(&pieces, table, 2);
                    assert_true(
                        reply_encode_in_place(region, used, (enum resp_version)version, &pieces));
                    assert_int_equal(pieces.count, 1);
                    assert_true(pieces.length_bytes <= used);
                    if (copies == 1) {
                        alone_length = pieces.piece[0].length;
                        memcpy(alone, pieces.piece[0].data, alone_length);
                    }
                    assert_int_equal(pieces.length_bytes, alone_length * (size_t)copies);
                    for (int i = 0; i < copies; i++)
                        assert_memory_equal(pieces.piece[0].data + (size_t)i * alone_length, alone,
                                            alone_length);
                }
            }
        }
    }
    free(region);
}

static void the_largest_counts_fit_their_records(void **state) {
    (void)state;
    uint8_t region[64];
    struct reply_writer writer;
    struct reply_piece table[1];
    struct reply_pieces pieces;
    reply_begin(&writer, region, sizeof(region));
    reply_map(&writer, INT32_MAX);
    reply_pairs(&writer, INT32_MAX);
    reply_array(&writer, INT32_MAX);
    reply_pieces_begin(&pieces, table, 1);
    assert_true(reply_encode_in_place(region, reply_used_bytes(&writer), RESP_VERSION_2, &pieces));
    static const char expected[] = "*4294967294\r\n*4294967294\r\n*2147483647\r\n";
    assert_int_equal(table[0].length, sizeof(expected) - 1);
    assert_memory_equal(table[0].data, expected, sizeof(expected) - 1);
}

/* Only a bulk's record has room for a CRLF behind its payload: long lines are moved like short
 * ones, and what stands behind them is not overwritten. */
static void a_long_status_or_error_does_not_run_over_the_next_record(void **state) {
    (void)state;
    static uint8_t region[4 * REPLY_MOVE_BYTES_MAX];
    static const enum reply_kind kinds[] = {REPLY_STATUS, REPLY_ERROR};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        struct reply_writer writer;
        struct reply_piece table[4];
        struct reply_pieces pieces;
        reply_begin(&writer, region, sizeof(region));
        write_of_length(&writer, kinds[i], REPLY_MOVE_BYTES_MAX);
        reply_integer(&writer, 7);
        reply_pieces_begin(&pieces, table, 4);
        assert_true(
            reply_encode_in_place(region, reply_used_bytes(&writer), RESP_VERSION_2, &pieces));
        assert_int_equal(pieces.count, 1);
        assert_int_equal(table[0].length, 1 + REPLY_MOVE_BYTES_MAX + 2 + 4);
        assert_memory_equal(table[0].data + table[0].length - 8, "77\r\n:7\r\n", 8);
    }
}

static void a_large_payload_stays_where_it_was_written(void **state) {
    (void)state;
    static uint8_t region[64 * 1024];
    static uint8_t value[REPLY_MOVE_BYTES_MAX];
    memset(value, 'v', sizeof(value));
    struct reply_writer writer;
    reply_begin(&writer, region, sizeof(region));
    reply_ok(&writer);
    uint8_t *place[2];
    for (int i = 0; i < 2; i++) {
        place[i] = writer.position + REPLY_HEADER_BYTES;
        reply_bulk(&writer, value, sizeof(value));
    }
    reply_bulk(&writer, value, sizeof(value) - 1);
    struct reply_piece table[8];
    struct reply_pieces pieces;
    reply_pieces_begin(&pieces, table, 8);
    assert_true(reply_encode_in_place(region, reply_used_bytes(&writer), RESP_VERSION_3, &pieces));
    assert_int_equal(pieces.count, 3);
    assert_int_equal(table[0].length, 5);          /* +OK */
    assert_ptr_equal(table[1].data + 7, place[0]); /* $4096\r\n in front of it */
    assert_ptr_equal(table[2].data + 7, place[1]);
    assert_int_equal(table[1].length, 7 + 4096 + 2);
    assert_int_equal(table[2].length, 7 + 4096 + 2 + 7 + 4095 + 2); /* the smaller one moved up */
    for (int i = 0; i < 2; i++)
        assert_memory_equal(place[i], value, sizeof(value));
}

static void a_stream_of_one_large_payload_is_one_piece(void **state) {
    (void)state;
    static uint8_t region[REPLY_MOVE_BYTES_MAX + 64];
    struct reply_writer writer;
    reply_begin(&writer, region, sizeof(region));
    uint8_t *room = reply_bulk_reserve(&writer, REPLY_MOVE_BYTES_MAX);
    assert_non_null(room);
    memset(room, 'v', REPLY_MOVE_BYTES_MAX);
    reply_bulk_commit(&writer, REPLY_MOVE_BYTES_MAX);
    struct reply_piece table[1];
    struct reply_pieces pieces;
    reply_pieces_begin(&pieces, table, 1);
    assert_true(reply_encode_in_place(region, reply_used_bytes(&writer), RESP_VERSION_2, &pieces));
    assert_int_equal(pieces.count, 1);
    assert_ptr_equal(table[0].data + 7, room);
}

static void a_full_list_moves_what_is_adjacent_and_refuses_what_is_not(void **state) {
    (void)state;
    static uint8_t region[64 * 1024];
    static uint8_t value[8192];
    memset(value, 'v', sizeof(value));
    struct reply_piece table[1];
    struct reply_pieces pieces;
    struct reply_writer writer;
    reply_pieces_begin(&pieces, table, 1);

    reply_begin(&writer, region, sizeof(region));
    reply_pong(&writer);
    reply_bulk(&writer, value, sizeof(value));
    const size_t first = reply_used_bytes(&writer);
    assert_true(reply_encode_in_place(region, first, RESP_VERSION_2, &pieces));
    assert_int_equal(pieces.count, 1);
    assert_int_equal(table[0].length, 7 + 7 + 8192 + 2);
    assert_memory_equal(table[0].data, "+PONG\r\n$8192\r\nvvv", 17);

    reply_begin(&writer, region + first, sizeof(region) - first); /* adjacent */
    reply_ok(&writer);
    assert_true(
        reply_encode_in_place(region + first, reply_used_bytes(&writer), RESP_VERSION_2, &pieces));
    assert_memory_equal(table[0].data + table[0].length - 9, "vv\r\n+OK\r\n", 9);

    uint8_t elsewhere[64];
    reply_begin(&writer, elsewhere, sizeof(elsewhere));
    reply_integer(&writer, 5);
    uint8_t before[64];
    memcpy(before, elsewhere, sizeof(before));
    const struct reply_pieces list_before = pieces;
    assert_false(
        reply_encode_in_place(elsewhere, reply_used_bytes(&writer), RESP_VERSION_2, &pieces));
    assert_memory_equal(before, elsewhere, reply_used_bytes(&writer));
    assert_memory_equal(&list_before, &pieces, sizeof(pieces));
    assert_true(reply_encode_in_place(elsewhere, 0, RESP_VERSION_2, &pieces));

    reply_pieces_begin(&pieces, table, 1); /* sent: begun anew, it is taken */
    assert_true(
        reply_encode_in_place(elsewhere, reply_used_bytes(&writer), RESP_VERSION_2, &pieces));
    assert_memory_equal(table[0].data, ":5\r\n", 4);
}

/* ---- What must not be ------------------------------------------------------------------------ */

static void encode_zeroed_memory(void *context) {
    (void)context;
    uint8_t region[64] = {0};
    struct reply_piece table[1];
    struct reply_pieces pieces;
    reply_pieces_begin(&pieces, table, 1);
    reply_encode_in_place(region, sizeof(region), RESP_VERSION_2, &pieces);
}

static void what_is_no_stream_ends_the_process(void **state) {
    (void)state;
    death_expect_abort(encode_zeroed_memory, NULL, "valid");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_stream_ends_the_process),
        cmocka_unit_test(random_streams_read_back_as_written),
        cmocka_unit_test(no_encoding_is_longer_than_its_record),
        cmocka_unit_test(the_largest_counts_fit_their_records),
        cmocka_unit_test(a_long_status_or_error_does_not_run_over_the_next_record),
        cmocka_unit_test(a_large_payload_stays_where_it_was_written),
        cmocka_unit_test(a_stream_of_one_large_payload_is_one_piece),
        cmocka_unit_test(a_full_list_moves_what_is_adjacent_and_refuses_what_is_not),
    };
    return cmocka_run_group_tests_name("reply_encode", tests, NULL, NULL);
}
