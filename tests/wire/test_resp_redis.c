/* The parser against Redis itself: a redis-server is started on a Unix socket, gets the same bytes,
 * and must answer the same protocol errors, byte for byte, and split inline lines into the same
 * arguments. Skipped, by name, where no redis-server of version 7.0 is installed.
 *
 * Nothing here waits for time to pass: each connection sends, closes its sending half, and reads to
 * the end, which Redis gives when it has answered everything. */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/random.h"
#include "tests/cmocka_wrapper.h"
#include "tests/support/resp3_decode.h"
#include "tests/wire/resp_cases.h"
#include "tests/wire/resp_feed.h"

enum {
    RANDOM_LINES = 3000,
    REPLY_BYTES_MAX = 1024 * 1024,
};

struct redis {
    pid_t pid;
    char directory[64];
    char socket[96];
};

static struct redis redis;

/* Start it and wait until it says on its standard output that it accepts: reading blocks until
 * then, and ends if it dies. */
static bool redis_start(void) {
    snprintf(redis.directory, sizeof(redis.directory), "/tmp/weir-resp-redis-XXXXXX");
    if (mkdtemp(redis.directory) == NULL)
        return false;
    snprintf(redis.socket, sizeof(redis.socket), "%s/socket", redis.directory);
    int output[2];
    if (pipe(output) != 0)
        return false;
    redis.pid = fork();
    if (redis.pid == 0) {
        dup2(output[1], STDOUT_FILENO);
        close(output[0]);
        close(output[1]);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", redis.socket,
               "--save", "", "--dir", redis.directory, "--daemonize", "no", (char *)NULL);
        _exit(127);
    }
    close(output[1]);
    char text[16384];
    size_t length = 0;
    bool ready = false;
    while (redis.pid > 0 && !ready && length < sizeof(text) - 1) {
        const ssize_t n = read(output[0], text + length, sizeof(text) - 1 - length);
        if (n <= 0)
            break;
        length += (size_t)n;
        text[length] = '\0';
        ready = strstr(text, "ready to accept connections at") != NULL;
    }
    ready = ready && strstr(text, "Redis version=7.0.") != NULL;
    close(output[0]); /* it ignores SIGPIPE */
    return ready;
}

static void redis_stop(void) {
    if (redis.pid > 0) {
        kill(redis.pid, SIGKILL);
        waitpid(redis.pid, NULL, 0);
    }
    unlink(redis.socket);
    rmdir(redis.directory);
}

static int setup(void **state) {
    (void)state;
    if (!redis_start()) {
        redis_stop();
        redis.pid = 0;
    }
    return 0;
}

static int teardown(void **state) {
    (void)state;
    if (redis.pid > 0)
        redis_stop();
    return 0;
}

static void skip_without_redis(void) {
    if (redis.pid == 0) {
        print_message("SKIP: no redis-server 7.0 that runs on this host\n");
        skip();
    }
}

/* Send all, close the sending half, read to the end. Returns the reply's length. A server that
 * closes first has said all it had to say. */
static size_t ask(const uint8_t *stream, size_t length, char *reply) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, redis.socket, strlen(redis.socket) + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    while (length > 0) {
        const ssize_t n = send(fd, stream, length, MSG_NOSIGNAL);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            break;
        assert_true(n > 0);
        stream += n;
        length -= (size_t)n;
    }
    shutdown(fd, SHUT_WR);
    size_t reply_length = 0;
    for (;;) {
        const ssize_t n = recv(fd, reply + reply_length, REPLY_BYTES_MAX - reply_length, 0);
        if (n <= 0) {
            assert_true(n == 0 || errno == ECONNRESET);
            break;
        }
        reply_length += (size_t)n;
    }
    close(fd);
    return reply_length;
}

static const char *password = "secret";

static void require_password(bool on) {
    char request[128], reply[256];
    const char *wanted = on ? password : "";
    const int length = snprintf(request, sizeof(request), "%s%sCONFIG SET requirepass \"%s\"\r\n",
                                on ? "" : "AUTH secret\r\n", "", wanted);
    char *large = malloc(REPLY_BYTES_MAX);
    assert_non_null(large);
    const size_t n = ask((const uint8_t *)request, (size_t)length, large);
    assert_true(n < sizeof(reply));
    memcpy(reply, large, n);
    reply[n] = '\0';
    free(large);
    assert_string_equal(reply, on ? "+OK\r\n" : "+OK\r\n+OK\r\n");
}

/* The last line of a transcript that ends in an error, as the reply that must end Redis's
 * answer. */
static void expected_error(const char *transcript, char *expected, size_t capacity) {
    const char *error = strstr(transcript, "error ");
    if (error == NULL)
        expected[0] = '\0';
    else
        snprintf(expected, capacity, "-%.*s\r\n", (int)strlen(error + 6) - 1, error + 6);
}

/* How many commands a transcript holds: as many replies must come, and the error's. */
static size_t count_commands(const char *transcript) {
    size_t count = 0;
    for (const char *at = transcript; (at = strstr(at, "command ")) != NULL; at++)
        count++;
    return count;
}

static void every_named_case_is_answered_as_redis_answers_it(void **state) {
    (void)state;
    skip_without_redis();
    char *reply = malloc(REPLY_BYTES_MAX + 1);
    assert_non_null(reply);
    size_t compared = 0;
    for (int unauthenticated = 0; unauthenticated <= 1; unauthenticated++) {
        if (unauthenticated)
            require_password(true);
        for (size_t i = 0; i < resp_case_count; i++) {
            const struct resp_case *resp_case = &resp_cases[i];
            if (resp_case->unauthenticated != (unauthenticated == 1) ||
                resp_case->differs_from_redis)
                continue;
            size_t length;
            uint8_t *stream = resp_case_stream(resp_case, &length);
            const size_t reply_length = ask(stream, length, reply);
            free(stream);
            reply[reply_length] = '\0';

            char expected[128];
            expected_error(resp_case->transcript, expected, sizeof(expected));
            char *printed = resp3_print_all(reply, reply_length);
            size_t replies = 0;
            for (const char *at = printed; *at != '\0'; at++)
                replies += *at == '\n';
            /* At an HTTP request Redis also drops the replies that it has not sent yet. */
            const bool is_dropped = strstr(resp_case->transcript, "cross-protocol") != NULL;
            const size_t expected_replies =
                is_dropped ? 0 : count_commands(resp_case->transcript) + (expected[0] != '\0');
            const size_t tail = strlen(expected);
            if (replies != expected_replies || reply_length < tail ||
                memcmp(reply + reply_length - tail, expected, tail) != 0)
                fail_msg("%s: redis says %s, we %s", resp_case->name, printed,
                         resp_case->transcript);
            /* An error of the protocol is Redis's only if it is ours. */
            assert_true(expected[0] != '\0' || strstr(reply, "Protocol error") == NULL);
            free(printed);
            compared++;
        }
        if (unauthenticated)
            require_password(false);
    }
    free(reply);
    print_message("%zu of %zu cases compared, the others differ on purpose\n", compared,
                  resp_case_count);
    assert_true(compared >= 75);
}

/* A random rest of an inline line. No NUL and no LF: these end the line in Redis. */
static size_t random_words(struct random *random, char *line) {
    static const char alphabet[] = "ab4fFxn  \t\v\f\r\"\"''\\\\\x80";
    size_t n = 0;
    const size_t length = (size_t)random_below(random, 24);
    while (n < length) {
        if (random_chance(random, 1, 6)) {
            static const char *const fragments[] = {" \"a b\" ", " '\\'' ", "\\x4f", "\"\\n\\q\"",
                                                    " \"\" "};
            const char *fragment = fragments[random_below(random, ARRAY_COUNT(fragments))];
            memcpy(line + n, fragment, strlen(fragment));
            n += strlen(fragment);
        } else {
            line[n++] = alphabet[random_below(random, sizeof(alphabet) - 1)];
        }
    }
    return n;
}

/* The transcript that our parser would give for what Redis's EVAL sends back: its ARGV. */
static char *transcript_of(const char *reply, size_t reply_length, const char *prefix) {
    struct resp3_value *value;
    size_t consumed;
    assert_int_equal(resp3_decode(reply, reply_length, &value, &consumed), RESP3_OK);
    assert_int_equal(consumed, reply_length);
    char *text = NULL;
    size_t text_length = 0;
    FILE *to = open_memstream(&text, &text_length);
    assert_non_null(to);
    if (value->type == RESP3_ERROR) {
        fprintf(to, "error %s\n", value->text);
    } else {
        assert_int_equal(value->type, RESP3_ARRAY);
        fprintf(to, "command %zu:%s", value->element_count + 3, prefix);
        for (size_t i = 0; i < value->element_count; i++) {
            const struct resp3_value *element = value->element[i];
            fprintf(to, " %zu\"", element->length);
            for (size_t k = 0; k < element->length; k++) {
                const unsigned char byte = (unsigned char)element->text[k];
                fprintf(to, byte < ' ' || byte > '~' ? "\\x%02x" : "%c", (unsigned)byte);
            }
            fputc('"', to);
        }
        fputc('\n', to);
    }
    fclose(to);
    resp3_free(value);
    return text;
}

static void random_inline_lines_are_split_as_redis_splits_them(void **state) {
    (void)state;
    skip_without_redis();
    static const char begin[] = "EVAL \"return ARGV\" 0 ";
    static const char begin_transcript[] = " 4\"EVAL\" 11\"return ARGV\" 1\"0\"";
    struct resp_limits limits;
    resp_limits_default(&limits);
    struct random random;
    random_seed(&random, 3);
    char *reply = malloc(REPLY_BYTES_MAX);
    assert_non_null(reply);
    size_t errors = 0, commands = 0;
    for (int round = 0; round < RANDOM_LINES; round++) {
        char line[128];
        memcpy(line, begin, sizeof(begin) - 1);
        size_t length = sizeof(begin) - 1;
        length += random_words(&random, line + length);
        memcpy(line + length, "\r\n", 2);
        length += 2;
        const size_t reply_length = ask((const uint8_t *)line, length, reply);
        char *theirs = transcript_of(reply, reply_length, begin_transcript);
        char *ours = resp_feed((const uint8_t *)line, length, NULL, 0, true, &limits, true);
        assert_string_equal(ours, theirs);
        errors += strncmp(ours, "error", 5) == 0;
        commands += strncmp(ours, "command", 7) == 0;
        free(ours);
        free(theirs);
    }
    free(reply);
    print_message("%zu lines split alike, %zu refused alike\n", commands, errors);
    assert_true(errors >= 300 && commands >= 300);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_named_case_is_answered_as_redis_answers_it),
        cmocka_unit_test(random_inline_lines_are_split_as_redis_splits_them),
    };
    return cmocka_run_group_tests_name("resp_redis", tests, setup, teardown);
}
