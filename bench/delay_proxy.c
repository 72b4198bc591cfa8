/*
 * delay_proxy: a link that takes time.
 *
 *     delay_proxy DELAY_US LISTEN_PORT:TARGET_PORT...
 *
 * Forwards connections from 127.0.0.1:LISTEN_PORT to 127.0.0.1:TARGET_PORT, for each pair of ports
 * named.  What comes is sent on DELAY_US microseconds later, in both directions, in order and
 * unchanged; so is the end of a stream.  A link has room for WAY_BYTES under way and no limit of
 * its rate: with less room its sender waits, as TCP lets it.  bench/appends_in_flight puts it
 * between the nodes of a cluster, where the kernel has no netem.
 *
 * One thread.  For each connection two ways, each a ring of bytes and a ring of spans: how many
 * bytes came at once, and when they are due.  A round: wait until something comes or is due, take
 * what came, send what is due.  A connection that breaks on either side is closed on both.  Prints
 * "ready" when it listens; ends by a signal.  Exit status 1 if it cannot listen, 2 on wrong usage.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "base/error.h"

enum {
    LINKS_MAX = 16, /* pairs of ports: more than seven members have */
    /* Of each member two connections of each other, and as many that end. */
    CONNECTIONS_MAX = 64,
    /* 10 ms at 1.6 GB a second; address space, used as needed. */
    WAY_BYTES = 16 * 1024 * 1024,
    /* A span is what one receive took: 64 KiB of them are a second of small messages. */
    WAY_SPANS = 65536,
    DELAY_US_MAX = 10 * 1000 * 1000,
    POLLED_MAX = LINKS_MAX + 2 * CONNECTIONS_MAX,
};
_Static_assert((WAY_BYTES & (WAY_BYTES - 1)) == 0 && (WAY_SPANS & (WAY_SPANS - 1)) == 0,
               "positions are masked");

struct span {
    uint64_t due_ns;
    uint32_t length_bytes; /* 0: the end of the stream */
};

struct way {
    uint8_t *bytes;
    struct span *spans;
    uint64_t bytes_in, bytes_out; /* positions, ever growing */
    uint64_t spans_in, spans_out;
    bool is_ended;   /* nothing more comes */
    bool is_shut;    /* the end was sent on */
    bool is_blocked; /* the receiver's socket is full */
};

struct connection {
    int sockets[2];     /* the opener's and the target's; -1: the slot is free */
    struct way ways[2]; /* from sockets[i] to sockets[1 - i] */
};

struct link {
    int listener;
    uint16_t target_port;
};

static struct link links[LINKS_MAX];
static uint32_t link_count;
static struct connection connections[CONNECTIONS_MAX];
static uint64_t delay_ns;

static struct sockaddr_in loopback(uint16_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void prepare(int descriptor) {
    const int on = 1;
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)fcntl(descriptor, F_SETFL, O_NONBLOCK);
}

/* ---- a connection's life --------------------------------------------------------------------- */

static void *memory(size_t length_bytes) {
    void *begin = mmap(NULL, length_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (begin == MAP_FAILED) {
        perror("delay_proxy: no memory");
        exit(1);
    }
    return begin;
}

/* Memory stays with its slot. */
static void connection_begin(struct connection *connection, int opener, int target) {
    ASSERT(connection->sockets[0] < 0 && opener >= 0 && target >= 0);
    connection->sockets[0] = opener;
    connection->sockets[1] = target;
    for (uint32_t i = 0; i < 2; i++) {
        struct way *way = &connection->ways[i];
        *way = (struct way){.bytes = way->bytes != NULL ? way->bytes : memory(WAY_BYTES),
                            .spans = way->spans != NULL ? way->spans
                                                        : memory(WAY_SPANS * sizeof(struct span))};
    }
}

static void connection_end(struct connection *connection) {
    ASSERT(connection->sockets[0] >= 0);
    (void)close(connection->sockets[0]);
    (void)close(connection->sockets[1]);
    connection->sockets[0] = connection->sockets[1] = -1;
}

/* Accepts one, and opens its other half: on this machine that is done at once, or refused. */
static void accept_one(const struct link *link) {
    int opener = accept(link->listener, NULL, NULL);
    if (opener < 0) {
        return;
    }
    struct sockaddr_in address = loopback(link->target_port);
    int target = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint32_t slot = 0;
    while (slot < CONNECTIONS_MAX && connections[slot].sockets[0] >= 0) {
        slot++;
    }
    if (target < 0 || slot == CONNECTIONS_MAX ||
        connect(target, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)close(opener);
        if (target >= 0) {
            (void)close(target);
        }
        return;
    }
    prepare(opener);
    prepare(target);
    connection_begin(&connections[slot], opener, target);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static bool way_has_room(const struct way *way) {
    return !way->is_ended && way->bytes_in - way->bytes_out < WAY_BYTES &&
           way->spans_in - way->spans_out < WAY_SPANS;
}

/* Takes what has come, up to the ring's end.  False: the connection is broken. */
static bool way_receive(struct way *way, int from, uint64_t now_ns) {
    ASSERT(way_has_room(way));
    size_t at = way->bytes_in & (WAY_BYTES - 1);
    size_t room = WAY_BYTES - (size_t)(way->bytes_in - way->bytes_out);
    size_t until_end = WAY_BYTES - at;
    ssize_t got = recv(from, way->bytes + at, room < until_end ? room : until_end, 0);
    if (got < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    way->spans[way->spans_in++ & (WAY_SPANS - 1)] =
        (struct span){.due_ns = now_ns + delay_ns, .length_bytes = (uint32_t)got};
    way->bytes_in += (uint64_t)got;
    way->is_ended = got == 0;
    return true;
}

/* Sends what is due, span by span.  False: the connection is broken. */
static bool way_send(struct way *way, int to, uint64_t now_ns) {
    while (way->spans_out < way->spans_in) {
        struct span *span = &way->spans[way->spans_out & (WAY_SPANS - 1)];
        if (span->due_ns > now_ns) {
            return true;
        }
        if (way->bytes_out == way->bytes_in || span->length_bytes == 0) {
            ASSERT(way->is_ended && way->bytes_out == way->bytes_in);
            way->is_shut = true;
            way->spans_out++;
            return shutdown(to, SHUT_WR) == 0;
        }
        size_t at = way->bytes_out & (WAY_BYTES - 1);
        ssize_t sent = send(to, way->bytes + at, span->length_bytes, MSG_NOSIGNAL);
        if (sent < 0) {
            way->is_blocked = errno == EAGAIN;
            return errno == EAGAIN || errno == EINTR;
        }
        way->bytes_out += (uint64_t)sent;
        span->length_bytes -= (uint32_t)sent;
        way->spans_out += span->length_bytes == 0;
    }
    return true;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

/* What to wait for; returns the moment when something is due, UINT64_MAX for none. */
static uint64_t look(struct pollfd polled[POLLED_MAX]) {
    uint64_t due_ns = UINT64_MAX;
    for (uint32_t i = 0; i < LINKS_MAX; i++) {
        polled[i] =
            (struct pollfd){.fd = i < link_count ? links[i].listener : -1, .events = POLLIN};
    }
    for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
        const struct connection *connection = &connections[i];
        for (uint32_t side = 0; side < 2; side++) {
            struct pollfd *entry = &polled[LINKS_MAX + 2 * i + side];
            const struct way *in = &connection->ways[side];
            const struct way *out = &connection->ways[1 - side];
            *entry = (struct pollfd){.fd = connection->sockets[side]};
            if (entry->fd < 0) {
                continue;
            }
            entry->events =
                (short)((way_has_room(in) ? POLLIN : 0) | (out->is_blocked ? POLLOUT : 0));
            if (entry->events == 0) {
                entry->fd = -1; /* an error of its would be told again and again */
            }
            if (!out->is_blocked && out->spans_out < out->spans_in) {
                uint64_t at_ns = out->spans[out->spans_out & (WAY_SPANS - 1)].due_ns;
                due_ns = at_ns < due_ns ? at_ns : due_ns;
            }
        }
    }
    return due_ns;
}

static void connection_work(struct connection *connection, const struct pollfd sides[2],
                            uint64_t now_ns) {
    bool is_whole = true;
    for (uint32_t side = 0; side < 2 && is_whole; side++) {
        struct way *in = &connection->ways[side];
        struct way *out = &connection->ways[1 - side];
        if (sides[side].revents != 0 && way_has_room(in)) {
            is_whole = way_receive(in, connection->sockets[side], now_ns);
        }
        if ((sides[side].revents & (POLLOUT | POLLERR | POLLHUP)) != 0) {
            out->is_blocked = false;
        }
    }
    for (uint32_t side = 0; side < 2 && is_whole; side++) {
        struct way *way = &connection->ways[side];
        if (!way->is_blocked) {
            is_whole = way_send(way, connection->sockets[1 - side], now_ns);
        }
    }
    if (!is_whole || (connection->ways[0].is_shut && connection->ways[1].is_shut)) {
        connection_end(connection);
    }
}

static void forward(void) {
    static struct pollfd polled[POLLED_MAX];
    for (;;) {
        uint64_t due_ns = look(polled);
        uint64_t now_ns = clock_monotonic_ns();
        uint64_t wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;
        struct timespec wait = {.tv_sec = (time_t)(wait_ns / CLOCK_NS_PER_S),
                                .tv_nsec = (long)(wait_ns % CLOCK_NS_PER_S)};
        if (ppoll(polled, POLLED_MAX, due_ns == UINT64_MAX ? NULL : &wait, NULL) < 0) {
            ASSERT(errno == EINTR);
            continue;
        }
        now_ns = clock_monotonic_ns();
        for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
            if (connections[i].sockets[0] >= 0) {
                connection_work(&connections[i], &polled[LINKS_MAX + 2 * i], now_ns);
            }
        }
        for (uint32_t i = 0; i < link_count; i++) {
            if (polled[i].revents != 0) {
                accept_one(&links[i]);
            }
        }
    }
}

/* ---- the start ------------------------------------------------------------------------------- */

/* Reads a number in [min, max] of so many characters. */
static bool number_read(const char *text, size_t length, uint64_t min, uint64_t max,
                        uint64_t *number) {
    ASSERT(min <= max);
    return decimal_parse_u64(text, length, number) == WEIR_OK && *number >= min && *number <= max;
}

static bool link_open(const char *text) {
    uint64_t port = 0;
    uint64_t target = 0;
    const char *colon = strchr(text, ':');
    if (colon == NULL || !number_read(text, (size_t)(colon - text), 1, UINT16_MAX, &port) ||
        !number_read(colon + 1, strlen(colon + 1), 1, UINT16_MAX, &target)) {
        fprintf(stderr, "delay_proxy: '%s' is no LISTEN_PORT:TARGET_PORT\n", text);
        exit(2);
    }
    const int on = 1;
    struct sockaddr_in address = loopback((uint16_t)port);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (listener < 0 || bind(listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, CONNECTIONS_MAX) != 0) {
        fprintf(stderr, "delay_proxy: cannot listen on port %lu: %s\n", port, strerror(errno));
        return false;
    }
    links[link_count++] = (struct link){.listener = listener, .target_port = (uint16_t)target};
    return true;
}

int main(int argc, char **argv) {
    uint64_t delay_us = 0;
    if (argc < 3 || argc - 2 > LINKS_MAX ||
        !number_read(argv[1], strlen(argv[1]), 0, DELAY_US_MAX, &delay_us)) {
        fputs("usage: delay_proxy DELAY_US LISTEN_PORT:TARGET_PORT...\n", stderr);
        return 2;
    }
    delay_ns = delay_us * CLOCK_NS_PER_US;
    for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
        connections[i].sockets[0] = connections[i].sockets[1] = -1;
    }
    for (int i = 2; i < argc; i++) {
        if (!link_open(argv[i])) {
            return 1;
        }
    }
    puts("ready");
    (void)fflush(stdout);
    forward();
    return 0;
}
