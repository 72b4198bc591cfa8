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

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMANDS = 60000, SKIPPED = 77 };

static char directory[] = "/tmp/weir-kv-redis-XXXXXX";
static char socket_path[sizeof(directory) + 16];

/* Starts a server on a socket of our own, and waits until it says that it is ready; -1 if there is
 * none. */
static pid_t redis_start(void) {
    int output[2];
    if (system("command -v redis-server >/dev/null 2>&1") != 0)
        return -1;
    ASSERT(mkdtemp(directory) != NULL && pipe(output) == 0);
    snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
    const pid_t child = fork();
    ASSERT(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* it does not outlive a test that aborts */
        dup2(output[1], STDOUT_FILENO);
        close(output[0]);
        close(output[1]);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path, "--save",
               "", "--appendonly", "no", "--dir", directory, (char *)NULL);
        _exit(127);
    }
    close(output[1]);
    FILE *lines = fdopen(output[0], "r");
    char line[512];
    bool ready = false;
    ASSERT(lines != NULL);
    while (!ready && fgets(line, sizeof(line), lines) != NULL)
        ready = strstr(line, "ready to accept") != NULL;
    ASSERT(ready);
    /* Left open: the server may write more, and must not die of it. */
    return child;
}

static void redis_stop(pid_t child) {
    char command[sizeof(directory) + 16];
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    ASSERT(system(command) == 0);
}

/* A parsed reply as the RESP 2 text it came from. */
static void reply_print(const redisReply *reply, struct kv_model_text *text) {
    char head[64];
    int length = 0;
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        length = snprintf(head, sizeof(head), ":%lld\r\n", reply->integer);
        break;
    case REDIS_REPLY_NIL: length = snprintf(head, sizeof(head), "$-1\r\n"); break;
    case REDIS_REPLY_ARRAY:
        length = snprintf(head, sizeof(head), "*%zu\r\n", reply->elements);
        break;
    case REDIS_REPLY_STRING: length = snprintf(head, sizeof(head), "$%zu\r\n", reply->len); break;
    case REDIS_REPLY_STATUS: length = snprintf(head, sizeof(head), "+"); break;
    case REDIS_REPLY_ERROR: length = snprintf(head, sizeof(head), "-"); break;
    default: UNREACHABLE("RESP 2 has no other");
    }
    kv_model_text_append(text, head, (size_t)length);
    if (reply->type == REDIS_REPLY_ARRAY)
        for (size_t i = 0; i < reply->elements; i++)
            reply_print(reply->element[i], text);
    if (reply->str != NULL && reply->type != REDIS_REPLY_NIL) {
        kv_model_text_append(text, reply->str, reply->len);
        kv_model_text_append(text, "\r\n", 2);
    }
}

static void redis_execute(redisContext *context, const struct kv_stream *stream,
                          struct kv_model_text *text) {
    const char *words[KV_STREAM_WORDS_MAX];
    size_t lengths[KV_STREAM_WORDS_MAX];
    for (size_t i = 0; i < stream->count; i++) {
        words[i] = stream->words[i].data;
        lengths[i] = stream->words[i].length;
    }
    redisReply *reply = redisCommandArgv(context, (int)stream->count, words, lengths);
    ASSERT(reply != NULL);
    text->length = 0;
    reply_print(reply, text);
    freeReplyObject(reply);
}

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

static uint64_t clock_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
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

static void compare(redisContext *context) {
    struct kv_stream stream;
    struct kv_model *model = kv_model_new(512 << 20);
    struct kv_model_text redis = {0};
    struct kv_model_text twin = {0};
    kv_stream_begin(&stream, 11, 60, 2000);
    for (uint32_t i = 0; i < COMMANDS; i++) {
        /* Log time is Redis's time, taken before: what is past for us is past for it. */
        const uint64_t now_ms = clock_now_ms();
        stream.now_ms = now_ms;
        kv_stream_next(&stream);
        deadlines_far_away(&stream);
        redis_execute(context, &stream, &redis);
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

static pid_t server;

static void the_twin_answers_as_redis_does(void **state) {
    (void)state;
    redisContext *context = redisConnectUnix(socket_path);
    ASSERT(context != NULL && context->err == 0);
    compare(context);
    redisFree(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_twin_answers_as_redis_does)};
    server = redis_start();
    if (server < 0) {
        printf("skipped: redis-server is not installed\n");
        return SKIPPED;
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    redis_stop(server);
    return failed;
}
