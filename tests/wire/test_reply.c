/* Replies: what each kind becomes in each protocol, read back by independent decoders; that encoding
 * in place never runs over what it has not read; that overflow counts exactly. */
#include <float.h>
#include <hiredis/hiredis.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/random.h"
#include "tests/cmocka_wrapper.h"
#include "tests/death.h"
#include "tests/support/resp3_decode.h"
#include "wire/reply.h"
#include "wire/reply_encode.h"

enum {
    REGION_BYTES = 256 * 1024,
    PIECES_MAX = 64,
};

/* The concatenation of a list's pieces, malloc'ed. */
static uint8_t *joined(const struct reply_pieces *pieces, size_t *length) {
    *length = 0;
    for (uint32_t i = 0; i < pieces->count; i++)
        *length += pieces->piece[i].length;
    assert_int_equal(*length, pieces->length_bytes);
    uint8_t *bytes = malloc(*length + 1);
    assert_non_null(bytes);
    size_t at = 0;
    for (uint32_t i = 0; i < pieces->count; i++) {
        assert_true(pieces->piece[i].length > 0);
        memcpy(bytes + at, pieces->piece[i].data, pieces->piece[i].length);
        at += pieces->piece[i].length;
    }
    return bytes;
}

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

/* ---- What each kind becomes --------------------------------------------------------------------- */

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

/* ---- Random trees, read by hiredis (RESP 2) and by resp3_decode --------------------------------- */

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

static void write_random_aggregate(struct twice *twice, unsigned depth) {
    const size_t count = (size_t)random_below(twice->random, 12);
    const bool resp3 = twice->version == RESP_VERSION_3;
    const uint64_t kind = random_below(twice->random, 4);
    const char *open = "[";
    size_t elements = count;
    struct reply_mark mark = {0};
    switch (kind) {
    case 0: reply_array(twice->writer, count); break;
    case 1: mark = reply_array_begin(twice->writer); break;
    case 2:
        reply_set(twice->writer, count);
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
    if (kind == 1)
        reply_array_end(twice->writer, mark, count);
}

static void write_random_reply(struct twice *twice, unsigned depth) {
    const bool resp3 = twice->version == RESP_VERSION_3;
    const uint64_t kind = random_below(twice->random, depth < 3 ? 9 : 7);
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

/* Several streams, adjacent or apart, in lists of any capacity: what is sent is what was written. */
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

/* ---- Encoding in place --------------------------------------------------------------------------- */

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
    case REPLY_ARRAY: reply_array(w, length); break;
    case REPLY_MAP: reply_map(w, length); break;
    case REPLY_SET: reply_set(w, length); break;
    case REPLY_PUSH: reply_push(w, length); break;
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
    reply_array(&writer, INT32_MAX);
    reply_pieces_begin(&pieces, table, 1);
    assert_true(reply_encode_in_place(region, reply_used_bytes(&writer), RESP_VERSION_2, &pieces));
    static const char expected[] = "*4294967294\r\n*2147483647\r\n";
    assert_int_equal(table[0].length, sizeof(expected) - 1);
    assert_memory_equal(table[0].data, expected, sizeof(expected) - 1);
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

/* ---- Overflow ------------------------------------------------------------------------------------ */

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
}

/* In a region of every size from nothing to enough: used + overflow is always the whole size, what is
 * there is a prefix of the whole stream, and not one byte behind `used` is the stream's. */
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

/* ---- What must not be ---------------------------------------------------------------------------- */

static void write_status_with_line_end(void *context) {
    (void)context;
    uint8_t region[64];
    struct reply_writer writer;
    reply_begin(&writer, region, sizeof(region));
    reply_status(&writer, "a\r\n+OK", 6);
}

static void encode_zeroed_memory(void *context) {
    (void)context;
    uint8_t region[64] = {0};
    struct reply_piece table[1];
    struct reply_pieces pieces;
    reply_pieces_begin(&pieces, table, 1);
    reply_encode_in_place(region, sizeof(region), RESP_VERSION_2, &pieces);
}

static void mistakes_of_the_caller_end_the_process(void **state) {
    (void)state;
    death_expect_abort(write_status_with_line_end, NULL, "memchr");
    death_expect_abort(encode_zeroed_memory, NULL, "valid");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_of_the_caller_end_the_process),
        cmocka_unit_test(each_kind_is_what_redis_sends),
        cmocka_unit_test(random_streams_read_back_as_written),
        cmocka_unit_test(no_encoding_is_longer_than_its_record),
        cmocka_unit_test(the_largest_counts_fit_their_records),
        cmocka_unit_test(a_large_payload_stays_where_it_was_written),
        cmocka_unit_test(a_stream_of_one_large_payload_is_one_piece),
        cmocka_unit_test(a_full_list_moves_what_is_adjacent_and_refuses_what_is_not),
        cmocka_unit_test(overflow_counts_exactly_what_did_not_fit),
        cmocka_unit_test(a_small_record_behind_one_that_did_not_fit_is_not_written),
        cmocka_unit_test(long_formatted_errors_are_cut),
    };
    return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
