/*
 * connect, send greeting and INFO together, receive until both are answered, look for the lines of
 * INFO that name the durability. weir says `durability:`; for Redis it follows from `aof_enabled:`
 * and, where persistence is on, from CONFIG GET appendfsync, which INFO does not repeat.
 *
 * Each failure (cannot connect, no answer, refused, no RESP) gets its own sentence, since this is
 * where a person first learns that the address or password is wrong.
 */
#include "bench/load_greeting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/assert.h"
#include "bench/reply_scan.h"

enum {
    PROBE_TIMEOUT_S = 5,
    /* INFO of Redis 7 is 6 KiB. What does not fit is scanned, and not searched. */
    PROBE_REPLY_BYTES_MAX = 256 * 1024
};

static const char PROBE_QUESTIONS[] = "*1\r\n$4\r\nINFO\r\n"
                                      "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$11\r\nappendfsync\r\n"
                                      "*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n";
enum { PROBE_QUESTION_COUNT = 3 };

size_t load_greeting_build(const struct load_options *options, uint8_t out[LOAD_GREETING_BYTES_MAX],
                           uint32_t *replies) {
    const char *password = options->password;
    char *text = (char *)out;
    int length = 0;
    if (options->resp == 3 && password)
        length = snprintf(
            text, LOAD_GREETING_BYTES_MAX,
            "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$%zu\r\n%s\r\n",
            strlen(password), password);
    else if (options->resp == 3)
        length = snprintf(text, LOAD_GREETING_BYTES_MAX, "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
    else if (password)
        length = snprintf(text, LOAD_GREETING_BYTES_MAX, "*2\r\n$4\r\nAUTH\r\n$%zu\r\n%s\r\n",
                          strlen(password), password);
    ASSERT(length >= 0 && length < LOAD_GREETING_BYTES_MAX);
    *replies = length > 0 ? 1 : 0;
    return (size_t)length;
}

/* The conversation of one probe. */
struct probe {
    const struct load_options *options;
    struct error_text *error;
    uint32_t greeting_replies;
    struct reply_scan_counts counts;
    bool greeting_refused;
    char *reply; /* PROBE_REPLY_BYTES_MAX and a zero byte */
    size_t reply_bytes;
};

static void on_probe_error(void *context, const char *text, size_t length_bytes) {
    struct probe *probe = context;
    /* Counted before it is reported: the first reply is number 1. */
    bool answers_greeting = probe->counts.replies <= probe->greeting_replies;
    bool wants_password = length_bytes >= 6 && memcmp(text, "NOAUTH", 6) == 0;
    if (!answers_greeting && !wants_password)
        return; /* a server without INFO or CONFIG */
    if (probe->greeting_refused)
        return; /* the first one says it */
    probe->greeting_refused = true;
    error_text_set(probe->error, "%s:%s refused the connection: %.*s: check --password and --resp",
                   probe->options->host, probe->options->port, (int)length_bytes, text);
}

static int receive_replies(int socket_fd, struct probe *probe) {
    struct reply_scan scan;
    reply_scan_reset(&scan, on_probe_error, probe);
    uint32_t expected = probe->greeting_replies + PROBE_QUESTION_COUNT;
    char block[16 * 1024];
    while (probe->counts.replies < expected) {
        ssize_t received = recv(socket_fd, block, sizeof block, 0);
        if (received < 0 && errno == EINTR)
            continue;
        if (received <= 0) {
            error_text_set(probe->error, "%s:%s %s: is it a server that speaks RESP?",
                           probe->options->host, probe->options->port,
                           received == 0 ? "closed the connection" : "gave no answer in 5 seconds");
            return WEIR_EIO;
        }
        size_t room = PROBE_REPLY_BYTES_MAX - probe->reply_bytes;
        size_t kept = (size_t)received < room ? (size_t)received : room;
        memcpy(probe->reply + probe->reply_bytes, block, kept);
        probe->reply_bytes += kept;
        if (reply_scan_feed(&scan, (const uint8_t *)block, (size_t)received, &probe->counts) != 0) {
            error_text_set(probe->error, "%s:%s answered bytes that are no RESP: check the address",
                           probe->options->host, probe->options->port);
            return WEIR_EPROTOCOL;
        }
        if (probe->greeting_refused)
            return WEIR_EDENIED;
    }
    probe->reply[probe->reply_bytes] = 0;
    return 0;
}

/* Copies what stands behind `field` up to the end of the line; false when it is not there. */
static bool find_field(const char *reply, const char *field, char out[LOAD_SERVER_TEXT_BYTES]) {
    const char *at = strstr(reply, field);
    if (!at)
        return false;
    at += strlen(field);
    size_t length = strcspn(at, "\r\n");
    if (length >= LOAD_SERVER_TEXT_BYTES)
        length = LOAD_SERVER_TEXT_BYTES - 1;
    memcpy(out, at, length);
    out[length] = 0;
    return true;
}

static void set_text(char out[LOAD_SERVER_TEXT_BYTES], const char *text) {
    snprintf(out, LOAD_SERVER_TEXT_BYTES, "%s", text);
}

static void find_facts(const char *reply, struct load_server_facts *facts) {
    char value[LOAD_SERVER_TEXT_BYTES];
    set_text(facts->durability, "unknown");
    set_text(facts->version, "unknown");
    if (find_field(reply, "\nweir_version:", value))
        snprintf(facts->version, sizeof facts->version, "weir %.50s", value);
    else if (find_field(reply, "\nredis_version:", value) ||
             find_field(reply, "redis_version:", value))
        snprintf(facts->version, sizeof facts->version, "redis %.50s", value);
    if (find_field(reply, "\ndurability:", value)) {
        set_text(facts->durability, value);
    } else if (find_field(reply, "\naof_enabled:", value)) {
        if (value[0] == '0')
            set_text(facts->durability, "none (no append-only file)");
        else if (find_field(reply, "appendfsync\r\n$6\r\n", value))
            set_text(facts->durability,
                     strcmp(value, "always") == 0 ? "fsync" : "write (fsync not every time)");
        else if (find_field(reply, "appendfsync\r\n", value))
            set_text(facts->durability, "write (fsync not every time)");
    }
}

static int converse(int socket_fd, struct probe *probe) {
    uint8_t request[LOAD_GREETING_BYTES_MAX + sizeof PROBE_QUESTIONS];
    size_t length = load_greeting_build(probe->options, request, &probe->greeting_replies);
    memcpy(request + length, PROBE_QUESTIONS, sizeof PROBE_QUESTIONS - 1);
    length += sizeof PROBE_QUESTIONS - 1;
    /* Some hundred bytes into an empty socket buffer: they fit, or the connection is dead. */
    if (send(socket_fd, request, length, MSG_NOSIGNAL) != (ssize_t)length) {
        error_text_set(probe->error,
                       "%s:%s closed the connection: is it a server that speaks RESP?",
                       probe->options->host, probe->options->port);
        return WEIR_EIO;
    }
    return receive_replies(socket_fd, probe);
}

/* Where the last reply begins: that to CLUSTER SLOTS. NULL if the replies had no room. */
static const char *find_last_reply(const struct probe *probe) {
    struct reply_scan scan;
    struct reply_scan_counts counts = {0};
    const uint64_t before = probe->greeting_replies + PROBE_QUESTION_COUNT - 1;
    reply_scan_reset(&scan, NULL, NULL);
    for (size_t at = 0; at < probe->reply_bytes; at++) {
        if (counts.replies == before)
            return probe->reply + at;
        (void)reply_scan_feed(&scan, (const uint8_t *)probe->reply + at, 1, &counts);
    }
    return NULL;
}

int load_greeting_probe(const struct load_options *options, struct load_targets *targets,
                        uint32_t target, struct load_server_facts *facts,
                        struct error_text *error) {
    ASSERT(target < targets->count);
    const struct load_address *address = &targets->items[target].address;
    int status = WEIR_EIO;
    struct probe probe = {.options = options, .error = error};
    probe.reply = malloc(PROBE_REPLY_BYTES_MAX + 1);
    if (!probe.reply) {
        error_text_set(error, "no memory for the server's INFO");
        return WEIR_ENOMEM;
    }
    int socket_fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_fd < 0) {
        error_text_set(error, "cannot make a socket: %s", strerror(errno));
        goto reply_held;
    }
    struct timeval limit = {.tv_sec = PROBE_TIMEOUT_S};
    if (setsockopt(socket_fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(socket_fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
        connect(socket_fd, (const struct sockaddr *)&address->socket, address->socket_bytes) != 0) {
        error_text_set(error, "cannot connect to %s:%s: %s: is the server running there?",
                       options->host, options->port, strerror(errno));
        goto socket_held;
    }
    status = converse(socket_fd, &probe);
    if (status == 0) {
        find_facts(probe.reply, facts);
        const char *slots = find_last_reply(&probe);
        if (slots != NULL)
            load_targets_slots(targets, slots, probe.reply_bytes - (size_t)(slots - probe.reply));
    }
socket_held:
    close(socket_fd);
reply_held:
    free(probe.reply);
    return status;
}
