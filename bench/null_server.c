/*
 * null_server: the upper bound of what a server can reach on this machine with this client.
 *
 *     null_server [HOST:]PORT
 *
 * It answers +OK to every request, parses no command, keeps nothing. One thread, epoll, one recv
 * and one send for all requests that a connection has ready. What a real server does beyond this
 * is the price of being a server; bench/compare prints it as a ratio.
 *
 * How many replies are owed? A client in a benchmark sends requests of one length. So the first
 * request of a connection is measured (the numbers behind '*' and '$' are read, nothing else), and
 * from then on a request is believed to be as long as the one before if it begins with the same
 * eight bytes (the number of words, the length of the first), ends in CRLF, and nothing or a '*'
 * follows: three loads for each request. Where that does not hold, the request is measured. A part
 * of a longer request that looks just so would mislead it; a benchmark's values are letters.
 *
 * The order of the day: accept, receive, count, send. A connection that does not take its replies
 * is not read from until it does; one that fails is closed. SIGTERM or SIGINT ends it, status 0.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"

enum {
    RECEIVE_BYTES = 64 * 1024,
    REPLY_BYTES = 5,
    HEAD_BYTES = 8, /* "*3\r\n$3\r\n" */
    /* No more requests fit a receive buffer: the shortest is an empty inline line of one byte. */
    REPLIES_MAX = RECEIVE_BYTES,
    EVENTS_PER_WAIT = 256,
    LISTEN_BACKLOG = 1024
};

struct client {
    int socket_fd;
    bool wants_output;
    uint32_t request_bytes; /* of the last request measured; 0 before the first */
    uint8_t request_head[HEAD_BYTES];
    size_t skip_bytes;   /* of a request longer than the buffer, still to come */
    uint64_t owed_bytes; /* of replies not yet sent */
    size_t received_bytes;
    uint8_t buffer[RECEIVE_BYTES];
};

static uint8_t replies[REPLIES_MAX * REPLY_BYTES];
static volatile sig_atomic_t stopping;

static void on_stop(int signal_number) {
    (void)signal_number;
    stopping = 1;
}

/*
 * Reads the number between a type byte and CRLF. Returns the bytes used, or 0 when the line is not
 * complete yet.
 */
static size_t read_length_line(const uint8_t *bytes, size_t available_bytes, uint64_t *number) {
    const uint8_t *end = memchr(bytes, '\n', available_bytes);
    if (!end)
        return 0;
    uint64_t value = 0;
    for (const uint8_t *at = bytes + 1; at < end; at++) {
        if (*at >= '0' && *at <= '9')
            value = value * 10 + (uint64_t)(*at - '0');
    }
    *number = value;
    return (size_t)(end - bytes) + 1;
}

/*
 * The length of the request that begins at `bytes`, or 0 when too little of it is there to say. It
 * may be more than is available.
 */
static uint64_t measure_request(const uint8_t *bytes, size_t available_bytes) {
    uint64_t words = 0;
    size_t at = read_length_line(bytes, available_bytes, &words);
    if (at == 0 || bytes[0] != '*')
        return at; /* an inline request is its line */
    for (uint64_t i = 0; i < words; i++) {
        uint64_t word_bytes = 0;
        if (at >= available_bytes)
            return 0;
        size_t header = read_length_line(bytes + at, available_bytes - at, &word_bytes);
        if (header == 0)
            return 0;
        at += header;
        if (word_bytes > UINT32_MAX || i + 1 == words)
            return at + word_bytes + 2;
        if (word_bytes + 2 > available_bytes - at)
            return 0;
        at += word_bytes + 2;
    }
    return at;
}

/* Whether a complete request of the last one's shape and length seems to stand at `bytes`. */
static bool is_like_the_last(const struct client *client, const uint8_t *bytes,
                             size_t available_bytes) {
    uint32_t length = client->request_bytes;
    return length > 0 && length <= available_bytes &&
           memcmp(bytes, client->request_head, HEAD_BYTES) == 0 && bytes[length - 1] == '\n' &&
           bytes[length - 2] == '\r' && (length == available_bytes || bytes[length] == '*');
}

/* Counts the requests that are complete in the buffer and keeps what remains. */
static uint64_t count_requests(struct client *client) {
    const uint8_t *bytes = client->buffer;
    size_t available = client->received_bytes;
    size_t at = client->skip_bytes < available ? client->skip_bytes : available;
    uint64_t count = 0;
    client->skip_bytes -= at;
    while (at < available) {
        uint64_t length = client->request_bytes;
        bool believed = is_like_the_last(client, bytes + at, available - at);
        if (!believed)
            length = measure_request(bytes + at, available - at);
        if (length == 0)
            break;
        count++; /* answered when its end is known, even if that is still on its way */
        if (length > available - at) {
            client->skip_bytes = length - (available - at);
            at = available;
            break;
        }
        if (!believed && length >= HEAD_BYTES) {
            client->request_bytes = (uint32_t)length;
            memcpy(client->request_head, bytes + at, HEAD_BYTES);
        }
        at += length;
    }
    memmove(client->buffer, bytes + at, available - at);
    client->received_bytes = available - at;
    return count;
}

/* Sends what is owed; false when the connection is dead. */
static bool send_owed(struct client *client, int epoll_fd) {
    while (client->owed_bytes > 0) {
        /* Replies are all alike: only the place within one must be right. */
        size_t begin = (REPLY_BYTES - client->owed_bytes % REPLY_BYTES) % REPLY_BYTES;
        size_t length = sizeof replies - begin;
        if (client->owed_bytes < length)
            length = client->owed_bytes;
        ssize_t sent = send(client->socket_fd, replies + begin, length, MSG_NOSIGNAL);
        if (sent >= 0)
            client->owed_bytes -= (uint64_t)sent;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            return false;
    }
    bool wants_output = client->owed_bytes > 0;
    if (wants_output == client->wants_output)
        return true;
    client->wants_output = wants_output;
    struct epoll_event event = {.events = wants_output ? EPOLLOUT : EPOLLIN, .data.ptr = client};
    return epoll_ctl(epoll_fd, EPOLL_CTL_MOD, client->socket_fd, &event) == 0;
}

/* Receives once and answers; false when the connection is dead. */
static bool serve(struct client *client, int epoll_fd) {
    size_t room = RECEIVE_BYTES - client->received_bytes;
    if (room == 0)
        return false; /* headers longer than the buffer */
    ssize_t received = recv(client->socket_fd, client->buffer + client->received_bytes, room, 0);
    if (received < 0)
        return errno == EAGAIN || errno == EINTR;
    if (received == 0)
        return false;
    client->received_bytes += (size_t)received;
    client->owed_bytes += count_requests(client) * REPLY_BYTES;
    return send_owed(client, epoll_fd);
}

static void accept_client(int listen_fd, int epoll_fd) {
    int socket_fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket_fd < 0)
        return;
    int one = 1;
    struct client *client = malloc(sizeof *client);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (!client || setsockopt(socket_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, socket_fd, &event) != 0) {
        free(client);
        close(socket_fd);
        return;
    }
    client->socket_fd = socket_fd;
    client->wants_output = false;
    client->request_bytes = 0;
    client->skip_bytes = 0;
    client->owed_bytes = 0;
    client->received_bytes = 0;
}

static int listen_on(const char *argument) {
    char host[256] = "127.0.0.1";
    const char *colon = strrchr(argument, ':');
    const char *port = colon ? colon + 1 : argument;
    if (colon)
        snprintf(host, sizeof host, "%.*s", (int)(colon - argument), argument);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int status = getaddrinfo(host, port, &hints, &found);
    if (status != 0) {
        fprintf(stderr, "null_server: '%s' is no address: %s\n", argument, gai_strerror(status));
        return -1;
    }
    int one = 1;
    int listen_fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listen_fd >= 0 && (setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
                           bind(listen_fd, found->ai_addr, found->ai_addrlen) != 0 ||
                           listen(listen_fd, LISTEN_BACKLOG) != 0)) {
        close(listen_fd);
        listen_fd = -1;
    }
    if (listen_fd < 0)
        fprintf(stderr, "null_server: cannot listen on %s: %s\n", argument, strerror(errno));
    freeaddrinfo(found);
    return listen_fd;
}

static void loop(int listen_fd, int epoll_fd) {
    struct epoll_event events[EVENTS_PER_WAIT];
    while (!stopping) {
        int count = epoll_wait(epoll_fd, events, EVENTS_PER_WAIT, -1);
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            if (!client) {
                accept_client(listen_fd, epoll_fd);
                continue;
            }
            bool alive =
                client->wants_output ? send_owed(client, epoll_fd) : serve(client, epoll_fd);
            if (!alive) {
                close(client->socket_fd);
                free(client);
            }
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 2 || argv[1][0] == '-') {
        bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fprintf(help ? stdout : stderr, "usage: null_server [HOST:]PORT\n"
                                        "Answers +OK to every request and does nothing else.\n");
        return help ? 0 : 2;
    }
    for (size_t i = 0; i < sizeof replies; i++)
        replies[i] = (uint8_t) "+OK\r\n"[i % REPLY_BYTES];
    struct sigaction action = {.sa_handler = on_stop};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    int listen_fd = listen_on(argv[1]);
    if (listen_fd < 0)
        return 1;
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) != 0) {
        fprintf(stderr, "null_server: cannot make an epoll set: %s\n", strerror(errno));
        return 1;
    }
    loop(listen_fd, epoll_fd);
    close(epoll_fd);
    close(listen_fd);
    return 0;
}
