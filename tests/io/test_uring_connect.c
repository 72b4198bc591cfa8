/*
 * Connecting by the io_uring door when the host or the kernel does not do as asked.  Whatever
 * happens, the attempt has one completion, and no descriptor is left open.
 *
 * WEIR_TEST_IO_FEATURES=none runs it without the features beyond the floor.
 */

#include "tests/io/door_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/death.h"
#include "tests/io/uring_hindered.h"

struct refusal {
    uint32_t call;
    int number; /* the errno of the call, and of the attempt */
};

/* The lowest descriptor that is free: it does not change if nothing was left open. */
static int descriptor_next(void) {
    int next = dup(0);
    assert_true(next >= 0);
    close(next);
    return next;
}

static const char *listener_address(const struct door_fixture *fixture) {
    static char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%u",
             io_listen_port(fixture->io, fixture->listener));
    return address;
}

static void no_descriptor_left_fails_an_attempt(void **state) {
    struct door_fixture *fixture = *state;
    int next = descriptor_next();
    struct rlimit was;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    struct rlimit limit = {.rlim_cur = (rlim_t)next, .rlim_max = was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    io_connect_start(fixture->port, listener_address(fixture), 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_int_equal(door_expect(fixture, IO_CONNECT, 1).result, -EMFILE);
    assert_int_equal(descriptor_next(), next);
}

static void a_descriptor_beyond_the_table_fails_an_attempt(void **state) {
    struct door_fixture *fixture = *state;
    int next = descriptor_next();
    uint32_t was = fixture->io->descriptors_max;
    fixture->io->descriptors_max = (uint32_t)next;
    io_connect_start(fixture->port, listener_address(fixture), 1);
    fixture->io->descriptors_max = was;
    assert_int_equal(door_expect(fixture, IO_CONNECT, 1).result, -EMFILE);
    assert_int_equal(descriptor_next(), next);
}

/* In a child: one system call answers with an errno, and the attempt with the same. */
static void connect_refused(void *context) {
    const struct refusal *refusal = context;
    struct io_options options = {
        .submissions_max = 64, .completions_max = 64, .features_allowed = IO_FEATURES_ALL};
    struct io *io = NULL;
    struct io_port *port = NULL;
    if (io_create(&io, &options, NULL) != 0 || io_port_create(io, &port, 4) != 0)
        _exit(2);
    int next = dup(0);
    close(next);
    if (!filter_call(refusal->call, SECCOMP_RET_ERRNO | (uint32_t)refusal->number))
        _exit(2);
    io_connect_start(port, "127.0.0.1:9", 7);
    struct io_completion completion = io_wait(port);
    bool as_it_should = completion.kind == IO_CONNECT && completion.user == 7 &&
                        completion.result == -refusal->number && io_outstanding(port) == 0;
    _exit(as_it_should && dup(0) == next ? 0 : 3);
}

static void a_refused_socket_is_the_error_of_its_attempt(void **state) {
    (void)state;
    static const struct refusal REFUSALS[] = {
        {.call = __NR_socket, .number = ENFILE},
        {.call = __NR_socket, .number = EAFNOSUPPORT},
        {.call = __NR_setsockopt, .number = ENOBUFS},
    };
    for (size_t i = 0; i < ARRAY_COUNT(REFUSALS); i++) {
        struct death death;
        death_run(connect_refused, (void *)(uintptr_t)&REFUSALS[i], &death);
        assert_int_equal(death.signal_number, 0);
        assert_int_equal(death.exit_status, 0);
    }
}

/* The entry of the attempt that was started last. */
static struct io_uring_sqe *queued_connect(struct door_fixture *fixture) {
    struct io_uring_sqe *entries[64];
    uint32_t count = queued(fixture->io, entries);
    assert_true(count > 0 && entries[count - 1]->opcode == IORING_OP_CONNECT);
    return entries[count - 1];
}

static void whatever_the_kernel_says_to_an_attempt_closes_its_descriptor(void **state) {
    struct door_fixture *fixture = *state;
    int next = descriptor_next();
    int pipes[2];
    for (uint64_t i = 0; i < 3; i++) {
        static const int32_t RESULTS[] = {-EBADF, -ENOTSOCK, -EAFNOSUPPORT};
        io_connect_start(fixture->port, listener_address(fixture), i);
        struct io_uring_sqe *entry = queued_connect(fixture);
        assert_int_equal(entry->fd, next);
        assert_int_equal(pipe(pipes), 0);
        struct sockaddr other = {.sa_family = AF_UNIX};
        if (i == 0)
            entry->fd = 1 << 20;
        else if (i == 1)
            entry->fd = pipes[0];
        else
            entry->addr = (uint64_t)(uintptr_t)&other;
        assert_int_equal(door_expect(fixture, IO_CONNECT, i).result, RESULTS[i]);
        close(pipes[0]);
        close(pipes[1]);
        assert_int_equal(descriptor_next(), next);
    }
    assert_int_equal(fixture->port->first_connect, UINT32_MAX);
}

/* As when the kernel has chosen the very port that nobody listens on. */
static void a_socket_that_reaches_itself_is_refused(void **state) {
    struct door_fixture *fixture = *state;
    int next = descriptor_next();
    io_connect_start(fixture->port, "127.0.0.1:9", 1);
    struct io_uring_sqe *entry = queued_connect(fixture);
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(own);
    assert_int_equal(bind(entry->fd, (struct sockaddr *)&own, length), 0);
    assert_int_equal(getsockname(entry->fd, (struct sockaddr *)&own, &length), 0);
    entry->addr = (uint64_t)(uintptr_t)&own;
    assert_int_equal(door_expect(fixture, IO_CONNECT, 1).result, -ECONNREFUSED);
    assert_int_equal(descriptor_next(), next);
}

static void stopped_and_failed_attempts_leave_no_descriptor(void **state) {
    struct door_fixture *fixture = *state;
    struct error_text error = {0};
    int32_t full;
    char address[32];
    assert_int_equal(io_listen(fixture->io, "127.0.0.1:0", 1, &full, &error), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%u", io_listen_port(fixture->io, full));
    int next = descriptor_next();
    for (uint64_t i = 0; i < 60; i++)
        io_connect_start(fixture->port, address, i);
    for (int parks = 0; parks < 50; parks++)
        io_park(fixture->io, 1000000);
    for (uint64_t i = 0; i < 60; i++)
        io_connect_stop(fixture->port, i);
    uint32_t connected = 0;
    for (int i = 0; i < 60; i++) {
        struct io_completion completion = door_next(fixture);
        assert_true(completion.result >= 0 || completion.result == -ECANCELED);
        connected += completion.result >= 0;
        if (completion.result >= 0)
            io_close(fixture->io, completion.result);
    }
    assert_true(connected > 0 && connected < 10);
    assert_int_equal(descriptor_next(), next);
    assert_int_equal(fixture->port->first_connect, UINT32_MAX);
    io_close(fixture->io, full);
}

static void connected_sockets_do_not_delay(void **state) {
    struct door_fixture *fixture = *state;
    io_connect_start(fixture->port, listener_address(fixture), 1);
    int32_t socket = door_expect(fixture, IO_CONNECT, 1).result;
    assert_true(socket >= 0);
    int value = 0;
    socklen_t length = sizeof(value);
    assert_int_equal(getsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &value, &length), 0);
    assert_int_not_equal(value, 0);
    assert_int_equal(fcntl(socket, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    io_close(fixture->io, socket);
}

/* Asked without our own door, which is what is tested. */
static bool host_has_version_6(void) {
    const struct sockaddr_in6 loopback = {.sin6_family = AF_INET6,
                                          .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) {
        return false;
    }
    bool has = bind(probe, (const struct sockaddr *)&loopback, sizeof(loopback)) == 0;
    close(probe);
    return has;
}

static void an_address_of_version_6_is_connected_to(void **state) {
    struct door_fixture *fixture = *state;
    struct error_text error = {0};
    int32_t listener;
    if (!host_has_version_6()) {
        print_message("SKIP: no address of version 6 on this host\n");
        skip();
    }
    assert_int_equal(io_listen(fixture->io, "[::1]:0", 8, &listener, &error), 0);
    char address[32];
    snprintf(address, sizeof(address), "[::1]:%u", io_listen_port(fixture->io, listener));
    io_connect_start(fixture->port, address, 1);
    int32_t socket = door_expect(fixture, IO_CONNECT, 1).result;
    assert_true(socket >= 0);
    char name[64];
    io_peer_name(fixture->io, socket, name);
    assert_string_equal(name, address);
    io_close(fixture->io, socket);
    io_close(fixture->io, listener);
}

static void a_socket_closed_with_the_next_submission_leaves_no_descriptor(void **state) {
    struct door_fixture *fixture = *state;
    int next = descriptor_next();
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    io_socket_close(fixture->io, ends[0]);
    io_poll(fixture->io);
    assert_int_equal(fcntl(ends[0], F_GETFD), -1);
    char none;
    assert_int_equal(recv(ends[1], &none, 1, MSG_DONTWAIT), 0);
    close(ends[1]);
    assert_int_equal(descriptor_next(), next);
}

/* ---- running ----------------------------------------------------------------------------- */

static struct io *open_door(void) {
    const char *features = getenv("WEIR_TEST_IO_FEATURES");
    bool is_floor = features != NULL && strcmp(features, "none") == 0;
    struct io_options options = {.submissions_max = 64,
                                 .completions_max = 128,
                                 .features_allowed = is_floor ? 0 : IO_FEATURES_ALL};
    struct error_text error = {0};
    struct io *io = NULL;
    if (io_create(&io, &options, &error) != 0)
        fail_msg("%s", error.text);
    return io;
}

static void pump(struct io *io) {
    io_park(io, 1000000);
}

static const struct door_kind KIND = {
    .name = "io_uring", .open = open_door, .close = io_destroy, .pump = pump};

int main(void) {
    door_kind = &KIND;
#define DOOR_TEST(test) \
    cmocka_unit_test_setup_teardown(test, door_fixture_setup, door_fixture_teardown)
    const struct CMUnitTest tests[] = {
        DOOR_TEST(no_descriptor_left_fails_an_attempt),
        DOOR_TEST(a_descriptor_beyond_the_table_fails_an_attempt),
        cmocka_unit_test(a_refused_socket_is_the_error_of_its_attempt),
        DOOR_TEST(whatever_the_kernel_says_to_an_attempt_closes_its_descriptor),
        DOOR_TEST(a_socket_that_reaches_itself_is_refused),
        DOOR_TEST(stopped_and_failed_attempts_leave_no_descriptor),
        DOOR_TEST(connected_sockets_do_not_delay),
        DOOR_TEST(a_socket_closed_with_the_next_submission_leaves_no_descriptor),
        DOOR_TEST(an_address_of_version_6_is_connected_to),
    };
    return cmocka_run_group_tests_name("connecting by io_uring, hindered", tests, NULL, NULL);
}
