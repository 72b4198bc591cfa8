/*
 * What clients.py does with hiredis: work_hiredis PORT.
 *
 * Single commands, binary values, a deep pipeline, errors; then the end of the connection.  Prints
 * "done"; any difference is an assertion with its line.
 */

#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"

enum { PIPELINE_COMMANDS = 10000 };

static redisReply *call(redisContext *context, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = redisvCommand(context, format, arguments);
    va_end(arguments);
    ASSERT(reply != NULL);
    return reply;
}

static void expect_text(redisReply *reply, int type, const char *text, size_t length) {
    ASSERT(reply->type == type);
    ASSERT(reply->len == length && memcmp(reply->str, text, length) == 0);
    freeReplyObject(reply);
}

static void expect_integer(redisReply *reply, long long integer) {
    ASSERT(reply->type == REDIS_REPLY_INTEGER && reply->integer == integer);
    freeReplyObject(reply);
}

static void expect_error(redisReply *reply, const char *beginning) {
    ASSERT(reply->type == REDIS_REPLY_ERROR);
    ASSERT(strncmp(reply->str, beginning, strlen(beginning)) == 0);
    freeReplyObject(reply);
}

static void single_commands(redisContext *context) {
    char binary[256];
    for (unsigned i = 0; i < sizeof(binary); i++) {
        binary[i] = (char)(unsigned char)i;
    }
    expect_text(call(context, "SET %b %b", binary, sizeof(binary), binary, sizeof(binary)),
                REDIS_REPLY_STATUS, "OK", 2);
    expect_text(call(context, "GET %b", binary, sizeof(binary)), REDIS_REPLY_STRING, binary,
                sizeof(binary));
    expect_integer(call(context, "APPEND %s %s", "text", "hello"), 5);
    expect_integer(call(context, "EXPIRE text 100"), 1);
    redisReply *list = call(context, "MGET text none");
    ASSERT(list->type == REDIS_REPLY_ARRAY && list->elements == 2);
    ASSERT(list->element[0]->type == REDIS_REPLY_STRING);
    ASSERT(list->element[1]->type == REDIS_REPLY_NIL);
    freeReplyObject(list);
    expect_error(call(context, "NONSENSE"), "ERR unknown command");
    expect_error(call(context, "INCR text"), "ERR value is not an integer");
    expect_error(call(context, "GET"), "ERR wrong number of arguments");
    expect_integer(call(context, "DEL text %b", binary, sizeof(binary)), 2);
}

static void pipeline(redisContext *context) {
    for (int i = 0; i < PIPELINE_COMMANDS; i++) {
        ASSERT(redisAppendCommand(context, "INCR counter") == REDIS_OK);
        ASSERT(redisAppendCommand(context, "SET key:%d %d", i, i) == REDIS_OK);
    }
    for (int i = 0; i < PIPELINE_COMMANDS; i++) {
        void *reply;
        ASSERT(redisGetReply(context, &reply) == REDIS_OK);
        expect_integer(reply, i + 1);
        ASSERT(redisGetReply(context, &reply) == REDIS_OK);
        expect_text(reply, REDIS_REPLY_STATUS, "OK", 2);
    }
    expect_integer(call(context, "DBSIZE"), PIPELINE_COMMANDS + 1);
}

int main(int argc, char **argv) {
    int64_t port;
    ASSERT(argc == 2 && decimal_parse_i64(argv[1], strlen(argv[1]), &port) == 0);
    redisContext *context = redisConnect("127.0.0.1", (int)port);
    ASSERT(context != NULL && context->err == 0);
    single_commands(context);
    pipeline(context);
    expect_text(call(context, "QUIT"), REDIS_REPLY_STATUS, "OK", 2);
    ASSERT(redisCommand(context, "PING") == NULL && context->err != 0);
    redisFree(context);
    puts("done");
    return 0;
}
