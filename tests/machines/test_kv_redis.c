/*
 * The twin against Redis itself: the same random commands, the same replies. Where kv agrees with
 * the twin (test_kv_property.c), it thereby agrees with Redis 7.0.
 *
 * Needs redis-server in the path, else it is a skip. Redis has a clock of its own, so deadlines
 * here are either far away or past; what happens at a deadline is the twin's word alone.
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/kv_stream.h"
#include "tests/machines/redis_server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { COMMANDS = 60000, VALUE_BYTES_MAX = 512 << 20 };

static bool names(const struct kv_model_word *word, const char *name) {
    return word->length == strlen(name) && strncasecmp(word->data, name, word->length) == 0;
}

/* Amounts of time are made a day longer, or stay not positive. */
static void deadlines_far_away(struct kv_stream *stream) {
    static char memory[KV_STREAM_WORDS_MAX][32];
    static const char *const before[] = {"EX", "PX", "EXAT", "PXAT"};
    for (size_t i = 1; i < stream->count; i++) {
        bool is_amount =
            i == 2 && (names(&stream->words[0], "expire") || names(&stream->words[0], "pexpire"));
        for (size_t b = 0; b < ARRAY_COUNT(before) && i > 3; b++)
            is_amount |= names(&stream->words[0], "set") && names(&stream->words[i - 1], before[b]);
        int64_t amount;
        if (!is_amount ||
            decimal_parse_i64(stream->words[i].data, stream->words[i].length, &amount) != 0 ||
            amount <= 0 || amount > 100000000000000)
            continue;
        const int length = snprintf(memory[i], sizeof(memory[i]), "%" PRId64, amount + 864000000);
        stream->words[i] = (struct kv_model_word){memory[i], (size_t)length};
    }
}

/* Time to live passes while we compare: only that there is one counts. DBSIZE of Redis counts what
 * is due until somebody looks at it, ours does not. */
static bool replies_agree(const struct kv_stream *stream, const struct kv_model_text *redis,
                          const struct kv_model_text *model) {
    if (redis->length == model->length && memcmp(redis->data, model->data, redis->length) == 0)
        return true;
    int64_t here;
    int64_t there;
    if (names(&stream->words[0], "dbsize") && redis->data[0] == ':' && model->data[0] == ':')
        return decimal_parse_i64(redis->data + 1, redis->length - 3, &there) == 0 &&
               decimal_parse_i64(model->data + 1, model->length - 3, &here) == 0 && there >= here;
    return (names(&stream->words[0], "ttl") || names(&stream->words[0], "pttl")) &&
           redis->data[0] == ':' && model->data[0] == ':' && redis->data[1] != '-' &&
           model->data[1] != '-';
}

static void compare(struct redis_server *server) {
    struct kv_stream stream;
    struct kv_model *model = kv_model_new(VALUE_BYTES_MAX);
    struct kv_model_text redis = {0};
    struct kv_model_text twin = {0};
    kv_stream_begin(&stream, 11, 60, 2000);
    for (uint32_t i = 0; i < COMMANDS; i++) {
        /* Log time is Redis's time, taken before: what is past for us is past for it. */
        const uint64_t now_ms = redis_server_clock_ms();
        stream.now_ms = now_ms;
        kv_stream_next(&stream);
        deadlines_far_away(&stream);
        redis_server_execute(server, stream.words, stream.count, &redis);
        kv_model_execute(model, stream.words, stream.count, now_ms, now_ms, &twin);
        if (names(&stream.words[0], "keys") || names(&stream.words[0], "scan"))
            kv_model_sort_array(&redis);
        if (replies_agree(&stream, &redis, &twin))
            continue;
        for (size_t w = 0; w < stream.count; w++)
            fprintf(stderr, "%.*s ", (int)stream.words[w].length, stream.words[w].data);
        fprintf(stderr, "\n  redis %.*s\n  twin  %.*s\n", (int)redis.length, redis.data,
                (int)twin.length, twin.data);
        fail();
    }
    kv_stream_end(&stream);
    kv_model_free(model);
    kv_model_text_free(&redis);
    kv_model_text_free(&twin);
}

static void the_twin_answers_as_redis_does(void **state) {
    compare(*state);
}

int main(void) {
    static struct redis_server server;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(the_twin_answers_as_redis_does, &server)};
    if (!redis_server_begin(&server, VALUE_BYTES_MAX)) {
        printf("skipped: redis-server is not installed\n");
        return REDIS_SERVER_SKIPPED;
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    redis_server_end(&server);
    return failed;
}
