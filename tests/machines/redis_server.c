/*
 * The server dies with the test, whatever happens to it.
 */

#include "tests/machines/redis_server.h"

#include "base/assert.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void server_run(const char *directory, const char *socket, size_t value_bytes_max,
                       const int output[2]) {
    char limit[32];
    snprintf(limit, sizeof(limit), "%zu", value_bytes_max);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* it does not outlive a test that aborts */
    dup2(output[1], STDOUT_FILENO);
    close(output[0]);
    close(output[1]);
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket, "--save", "",
           "--appendonly", "no", "--databases", "1", "--proto-max-bulk-len", limit, "--dir",
           directory, (char *)NULL);
    _exit(127);
}

static void server_wait(int output) {
    FILE *lines = fdopen(output, "r");
    char line[512];
    bool ready = false;
    ASSERT(lines != NULL);
    while (!ready && fgets(line, sizeof(line), lines) != NULL)
        ready = strstr(line, "ready to accept") != NULL;
    ASSERT(ready);
    /* Left open: the server may write more, and must not die of it. */
}

bool redis_server_begin(struct redis_server *server, size_t value_bytes_max) {
    int output[2];
    char socket[sizeof(server->directory) + 16];
    if (system("command -v redis-server >/dev/null 2>&1") != 0)
        return false;
    snprintf(server->directory, sizeof(server->directory), "/tmp/weir-kv-redis-XXXXXX");
    ASSERT(mkdtemp(server->directory) != NULL && pipe(output) == 0);
    snprintf(socket, sizeof(socket), "%s/socket", server->directory);
    server->child = fork();
    ASSERT(server->child >= 0);
    if (server->child == 0)
        server_run(server->directory, socket, value_bytes_max, output);
    close(output[1]);
    server_wait(output[0]);
    server->context = redisConnectUnix(socket);
    ASSERT(server->context != NULL && server->context->err == 0);
    return true;
}

void redis_server_end(struct redis_server *server) {
    char command[sizeof(server->directory) + 16];
    redisFree(server->context);
    kill(server->child, SIGTERM);
    waitpid(server->child, NULL, 0);
    snprintf(command, sizeof(command), "rm -rf %s", server->directory);
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

void redis_server_execute(struct redis_server *server, const struct kv_model_word *words,
                          size_t count, struct kv_model_text *text) {
    enum { WORDS_MAX = 32 };
    const char *data[WORDS_MAX];
    size_t lengths[WORDS_MAX];
    ASSERT(count <= WORDS_MAX);
    for (size_t i = 0; i < count; i++) {
        data[i] = words[i].data;
        lengths[i] = words[i].length;
    }
    redisReply *reply = redisCommandArgv(server->context, (int)count, data, lengths);
    ASSERT(reply != NULL);
    text->length = 0;
    reply_print(reply, text);
    freeReplyObject(reply);
}

uint64_t redis_server_clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
