/*
 * Round after round: accept, receive, count, send. A connection that does not take its replies is
 * not read from until it does; one that fails is closed.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "bench/null_requests.h"
#include "bench/null_server.h"

enum { RECEIVE_BYTES = 64 * 1024, EVENTS_PER_WAIT = 256, LISTEN_BACKLOG = 1024 };

struct client {
    int socket_fd;
    bool wants_output;
    uint64_t owed_bytes; /* of replies not yet sent */
    struct null_requests requests;
};

static uint8_t received_bytes[RECEIVE_BYTES]; /* of one receive; what must be kept is copied */

/* Sends what is owed; false when the connection is dead. */
static bool send_owed(struct client *client, int epoll_fd) {
    while (client->owed_bytes > 0) {
        uint64_t length = 0;
        const uint8_t *replies = null_replies_owed(client->owed_bytes, &length);
        ssize_t sent = send(client->socket_fd, replies, length, MSG_NOSIGNAL);
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
    ssize_t received = recv(client->socket_fd, received_bytes, sizeof received_bytes, 0);
    if (received < 0)
        return errno == EAGAIN || errno == EINTR;
    if (received == 0)
        return false;
    uint64_t count = null_requests_count(&client->requests, received_bytes, (size_t)received);
    if (count == NULL_REQUESTS_TOO_LONG)
        return false;
    client->owed_bytes += count * NULL_REPLY_BYTES;
    return send_owed(client, epoll_fd);
}

static void accept_client(int listen_fd, int epoll_fd) {
    int socket_fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket_fd < 0)
        return;
    int one = 1;
    struct client *client = calloc(1, sizeof *client);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (!client || setsockopt(socket_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, socket_fd, &event) != 0) {
        free(client);
        close(socket_fd);
        return;
    }
    client->socket_fd = socket_fd;
}

static int listen_on(const char *address) {
    char host[256];
    const char *colon = strrchr(address, ':');
    ASSERT(colon);
    snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int status = getaddrinfo(host, colon + 1, &hints, &found);
    if (status != 0) {
        fprintf(stderr, "null_server: '%s' is no address: %s\n", address, gai_strerror(status));
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
        fprintf(stderr, "null_server: cannot listen on %s: %s\n", address, strerror(errno));
    freeaddrinfo(found);
    return listen_fd;
}

static void loop(int listen_fd, int epoll_fd) {
    struct epoll_event events[EVENTS_PER_WAIT];
    while (!null_stopping) {
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

int null_serve_epoll(const char *address) {
    int listen_fd = listen_on(address);
    if (listen_fd < 0)
        return 1;
    int status = 1;
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) == 0) {
        loop(listen_fd, epoll_fd);
        status = 0;
    } else {
        fprintf(stderr, "null_server: cannot make an epoll set: %s\n", strerror(errno));
    }
    if (epoll_fd >= 0)
        close(epoll_fd);
    close(listen_fd);
    return status;
}
