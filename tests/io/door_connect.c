/* The contract of connecting: from one door to another, of another process on another host. */

#include "tests/io/door_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/death.h"

enum { USER_CONNECT = 0xc0, USER_ACCEPT = 0xac, USER_RECEIVE = 0x4e, USER_SEND = 0x5e };

/* The fixture's door connects; the peer listens. */
struct pair {
    struct door_fixture *fixture;
    struct io *peer;
    struct io_port *port; /* of the peer */
    int32_t listener;
    char address[64]; /* of the listener */
    uint8_t buffers[DOOR_BUFFER_COUNT * DOOR_BUFFER_BYTES];
};

static void listen_again(struct pair *pair, uint32_t backlog) {
    char wanted[64];
    struct error_text error = {0};
    snprintf(wanted, sizeof(wanted), "%s:0", pair->fixture->kind->peer_host);
    int status = io_listen(pair->peer, wanted, backlog, &pair->listener, &error);
    if (status != 0)
        fail_msg("%s", error.text);
    snprintf(pair->address, sizeof(pair->address), "%s:%u", pair->fixture->kind->peer_host,
             io_listen_port(pair->peer, pair->listener));
}

static void pair_open(struct pair *pair, struct door_fixture *fixture, uint32_t backlog) {
    struct error_text error = {0};
    *pair = (struct pair){.fixture = fixture, .peer = fixture->kind->open_peer()};
    assert_int_equal(io_port_create(pair->peer, &pair->port, DOOR_OPERATIONS_MAX), 0);
    assert_int_equal(io_buffers_register(pair->peer, 1, pair->buffers, DOOR_BUFFER_BYTES,
                                         DOOR_BUFFER_COUNT, DOOR_BUFFER_COUNT, &error),
                     0);
    listen_again(pair, backlog);
}

static void pair_close(struct pair *pair) {
    assert_int_equal(io_outstanding(pair->port), 0);
    io_port_destroy(pair->port);
    io_close(pair->peer, pair->listener);
    io_destroy(pair->peer);
}

/* Lets time pass for both doors. */
static void pair_pump(const struct pair *pair) {
    io_poll(pair->peer);
    pair->fixture->kind->pump(pair->fixture->io);
    io_poll(pair->peer);
}

/* The next completion of a port of either door. */
static struct io_completion await(const struct pair *pair, struct io_port *port) {
    struct io_completion completion;
    for (int pumps = 0; io_take(port, &completion, 1) == 0; pumps++) {
        if (pumps == DOOR_PUMPS_MAX)
            fail_msg("a completion never came; %u outstanding", io_outstanding(port));
        pair_pump(pair);
    }
    return completion;
}

/* Takes accepted connections until there are so many; then accepting is stopped. */
static void accept_some(struct pair *pair, int32_t *sockets, uint32_t count) {
    io_accept_start(pair->port, pair->listener, USER_ACCEPT);
    for (uint32_t i = 0; i < count; i++) {
        struct io_completion accepted = await(pair, pair->port);
        assert_int_equal(accepted.kind, IO_ACCEPT);
        assert_true(accepted.result >= 0);
        sockets[i] = accepted.result;
    }
    io_accept_stop(pair->port, pair->listener);
    assert_int_equal(await(pair, pair->port).result, -ECANCELED);
}

static int32_t connect_one(struct pair *pair, int32_t *accepted) {
    struct io_port *port = pair->fixture->port;
    io_connect_start(port, pair->address, USER_CONNECT);
    struct io_completion connected = await(pair, port);
    assert_int_equal(connected.kind, IO_CONNECT);
    assert_int_equal(connected.user, USER_CONNECT);
    assert_int_equal(connected.flags, 0);
    assert_true(connected.result >= 0);
    accept_some(pair, accepted, 1);
    return connected.result;
}

/* Sends all of it from one door. */
static void send_from(const struct pair *pair, struct io_port *port, int32_t socket,
                      const void *bytes, size_t length_bytes) {
    const uint8_t *at = bytes;
    while (length_bytes > 0) {
        struct iovec piece = {(void *)(uintptr_t)at, length_bytes};
        io_send(port, socket, &piece, 1, IO_SEND_WAIT, USER_SEND);
        struct io_completion sent = await(pair, port);
        assert_int_equal(sent.kind, IO_SEND);
        assert_true(sent.result > 0);
        at += sent.result;
        length_bytes -= (size_t)sent.result;
    }
}

/* One end of a connection as a receiver: where, into which group, and that group's memory. */
struct end {
    struct io *io;
    struct io_port *port;
    int32_t socket;
    uint32_t group;
    const uint8_t *memory;
};

/* Receives until the stream ends or `length_bytes` are there; the last result of the receive. */
static int32_t receive_at(const struct pair *pair, const struct end *end, uint8_t *bytes,
                          size_t length_bytes) {
    size_t received = 0;
    bool stopping = false;
    io_receive_start(end->port, end->socket, end->group, USER_RECEIVE);
    for (;;) {
        struct io_completion completion = await(pair, end->port);
        assert_int_equal(completion.kind, IO_RECEIVE);
        if (completion.flags & IO_HAS_BUFFER) {
            assert_true(received + (size_t)completion.result <= length_bytes);
            memcpy(bytes + received, end->memory + completion.buffer * DOOR_BUFFER_BYTES,
                   (size_t)completion.result);
            received += (size_t)completion.result;
            io_buffer_return(end->io, end->group, completion.buffer);
        }
        if (received == length_bytes && !stopping && (completion.flags & IO_MORE)) {
            stopping = true;
            io_receive_stop(end->port, end->socket, USER_RECEIVE);
        }
        if (completion.flags & IO_MORE)
            continue;
        bool ended = completion.result <= 0 && completion.result != IO_RECEIVE_NO_BUFFERS;
        if (received == length_bytes || ended) {
            assert_int_equal(received, length_bytes);
            return completion.result;
        }
        io_receive_start(end->port, end->socket, end->group, USER_RECEIVE);
    }
}

/* ---- refusals ---------------------------------------------------------------------------- */

static void connecting_refuses_what_is_no_numeric_address(void **state) {
    struct door_fixture *fixture = *state;
    static const char *const NONSENSE[] = {"",
                                           "nonsense",
                                           "127.0.0.1",
                                           ":80",
                                           "::1:80",
                                           "127.0.0.1:0",
                                           "127.0.0.1:70000",
                                           "127.0.0.1:8x",
                                           "127.0.0.1:",
                                           "127.0.0:80x",
                                           "127.1:80",
                                           "localhost:80",
                                           "[127.0.0.1]:80",
                                           "[::1:80",
                                           "[::g]:80",
                                           "[localhost]:80"};
    for (uint64_t i = 0; i < ARRAY_COUNT(NONSENSE); i++) {
        io_connect_start(fixture->port, NONSENSE[i], i);
        assert_int_equal(door_expect(fixture, IO_CONNECT, i).result, -EINVAL);
        io_connect_stop(fixture->port, i); /* it is over: does nothing */
    }
    door_expect_silence(fixture);
}

static void connecting_where_nobody_listens_is_refused(void **state) {
    struct pair pair;
    pair_open(&pair, *state, 8);
    io_close(pair.peer, pair.listener);
    for (uint64_t i = 0; i < 5; i++) {
        io_connect_start(pair.fixture->port, pair.address, i);
        struct io_completion refused = await(&pair, pair.fixture->port);
        assert_int_equal(refused.kind, IO_CONNECT);
        assert_int_equal(refused.user, i);
        assert_int_equal(refused.flags, 0);
        assert_int_equal(refused.result, -ECONNREFUSED);
    }
    listen_again(&pair, 8); /* and then it is not */
    int32_t accepted;
    io_close(pair.fixture->io, connect_one(&pair, &accepted));
    io_close(pair.peer, accepted);
    pair_close(&pair);
}

static void connect_one_too_many(void *context) {
    struct door_fixture *fixture = context;
    struct io_port *small;
    if (io_port_create(fixture->io, &small, 2) != 0)
        return;
    for (uint64_t i = 0; i < 3; i++)
        io_connect_start(small, "127.0.0.1:9", i);
}

static void more_attempts_than_a_port_may_hold_are_a_bug(void **state) {
    death_expect_abort(connect_one_too_many, *state, "operations_max");
}

/* ---- connections ------------------------------------------------------------------------- */

static void a_connection_carries_bytes_both_ways(void **state) {
    enum { TOTAL = 5000 };
    struct pair pair;
    pair_open(&pair, *state, 8);
    int32_t accepted;
    int32_t connected = connect_one(&pair, &accepted);
    char name[64];
    io_peer_name(pair.fixture->io, connected, name);
    assert_string_equal(name, pair.address);
    io_peer_name(pair.peer, accepted, name);
    assert_non_null(strchr(name, ':'));

    const struct end near = {pair.fixture->io, pair.fixture->port, connected, 0,
                             pair.fixture->buffers};
    const struct end far = {pair.peer, pair.port, accepted, 1, pair.buffers};
    uint8_t bytes[TOTAL];
    uint8_t received[TOTAL];
    for (size_t i = 0; i < TOTAL; i++)
        bytes[i] = door_pattern(i);
    for (size_t done = 0; done < TOTAL; done += TOTAL / 10) {
        send_from(&pair, near.port, connected, bytes + done, TOTAL / 10);
        (void)receive_at(&pair, &far, received + done, TOTAL / 10);
        send_from(&pair, far.port, accepted, received + done, TOTAL / 10);
        memset(received + done, 0, TOTAL / 10);
        (void)receive_at(&pair, &near, received + done, TOTAL / 10);
    }
    assert_memory_equal(received, bytes, TOTAL);
    io_close(near.io, connected);
    io_close(far.io, accepted);
    pair_close(&pair);
}

static void either_end_is_told_of_the_end_of_the_other(void **state) {
    struct pair pair;
    pair_open(&pair, *state, 8);
    for (int round = 0; round < 2; round++) {
        int32_t accepted;
        int32_t connected = connect_one(&pair, &accepted);
        const struct end ends[2] = {
            {pair.fixture->io, pair.fixture->port, connected, 0, pair.fixture->buffers},
            {pair.peer, pair.port, accepted, 1, pair.buffers},
        };
        const struct end *from = &ends[round];
        const struct end *to = &ends[1 - round];
        uint8_t last[4];
        send_from(&pair, from->port, from->socket, "last", 4);
        io_shutdown(from->io, from->socket);
        (void)receive_at(&pair, to, last, 4);
        assert_memory_equal(last, "last", 4);
        uint8_t none[1];
        assert_int_equal(receive_at(&pair, to, none, 0), IO_RECEIVE_EOF);
        io_close(from->io, from->socket);
        io_close(to->io, to->socket);
    }
    pair_close(&pair);
}

static void the_other_end_is_told_of_a_socket_that_is_closed_with_the_next_submission(
    void **state) {
    enum { ROUNDS = 3 };
    struct pair pair;
    pair_open(&pair, *state, 8);
    for (int round = 0; round < ROUNDS; round++) {
        int32_t accepted;
        int32_t connected = connect_one(&pair, &accepted);
        const struct end far = {pair.peer, pair.port, accepted, 1, pair.buffers};
        io_socket_close(pair.fixture->io, connected);
        uint8_t none[1];
        assert_int_equal(receive_at(&pair, &far, none, 0), IO_RECEIVE_EOF);
        assert_int_equal(io_outstanding(pair.fixture->port), 0); /* and it completes nowhere */
        struct io_completion completion;
        assert_int_equal(io_take(pair.fixture->port, &completion, 1), 0);
        io_socket_close(far.io, accepted);
    }
    pair_close(&pair);
}

static void many_connect_at_once(void **state) {
    enum { COUNT = 20 };
    struct pair pair;
    pair_open(&pair, *state, COUNT);
    struct io_port *port = pair.fixture->port;
    int32_t connected[COUNT];
    int32_t accepted[COUNT];
    bool seen[COUNT] = {0};
    for (uint64_t i = 0; i < COUNT; i++)
        io_connect_start(port, pair.address, i);
    for (int i = 0; i < COUNT; i++) {
        struct io_completion completion = await(&pair, port);
        assert_int_equal(completion.kind, IO_CONNECT);
        assert_true(completion.user < COUNT && !seen[completion.user]);
        assert_true(completion.result >= 0);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(connected[j], completion.result);
        seen[completion.user] = true;
        connected[i] = completion.result;
    }
    accept_some(&pair, accepted, COUNT);
    for (int i = 0; i < COUNT; i++) {
        io_close(pair.fixture->io, connected[i]);
        io_close(pair.peer, accepted[i]);
    }
    pair_close(&pair);
}

static void a_port_that_is_full_loses_no_connection(void **state) {
    enum { COUNT = 8, LIMIT = 2 };
    struct pair pair;
    pair_open(&pair, *state, COUNT);
    struct io_port *small;
    assert_int_equal(io_port_create(pair.fixture->io, &small, LIMIT), 0);
    int32_t accepted[COUNT];
    int32_t connected[COUNT];
    for (int done = 0; done < COUNT; done += LIMIT) {
        for (uint64_t i = 0; i < LIMIT; i++)
            io_connect_start(small, i == 0 || done > 0 ? pair.address : "nonsense", i);
        for (int pumps = 0; pumps < 100; pumps++)
            pair_pump(&pair); /* nothing is taken meanwhile */
        for (uint32_t i = 0; i < LIMIT; i++) {
            struct io_completion completion = await(&pair, small);
            connected[(uint32_t)done + i] = completion.result;
            assert_true(completion.result >= 0 || (done == 0 && completion.result == -EINVAL));
        }
        assert_int_equal(io_outstanding(small), 0);
    }
    accept_some(&pair, accepted, COUNT - 1);
    for (int i = 0; i < COUNT; i++)
        if (connected[i] >= 0)
            io_close(pair.fixture->io, connected[i]);
    for (int i = 0; i < COUNT - 1; i++)
        io_close(pair.peer, accepted[i]);
    io_port_destroy(small);
    pair_close(&pair);
}

/* ---- stopping ---------------------------------------------------------------------------- */

/* Of more attempts than the backlog holds some hang, until somebody accepts or they are stopped. */
static void an_attempt_that_hangs_is_stopped(void **state) {
    enum { COUNT = 8, BACKLOG = 1 };
    struct pair pair;
    pair_open(&pair, *state, BACKLOG);
    struct io_port *port = pair.fixture->port;
    int32_t connected[COUNT];
    int32_t accepted[COUNT];
    uint32_t count = 0;
    bool ended[COUNT] = {0};
    for (uint64_t i = 0; i < COUNT; i++)
        io_connect_start(port, pair.address, i);
    struct io_completion completion;
    for (int pumps = 0; pumps < 300; pumps++) {
        pair_pump(&pair);
        while (io_take(port, &completion, 1) == 1) {
            assert_true(completion.result >= 0);
            connected[count++] = completion.result;
            ended[completion.user] = true;
        }
    }
    assert_true(count > 0 && count < COUNT);
    for (uint64_t i = 0; i < COUNT; i++)
        io_connect_stop(port, i); /* of those that are over as well: nothing happens */
    for (uint32_t hanging = COUNT - count; hanging > 0; hanging--) {
        completion = await(&pair, port);
        assert_int_equal(completion.kind, IO_CONNECT);
        assert_false(ended[completion.user]);
        ended[completion.user] = true;
        assert_int_equal(completion.result, -ECANCELED);
    }
    assert_int_equal(io_outstanding(port), 0);
    accept_some(&pair, accepted, count); /* the listener was not hurt */
    for (uint32_t i = 0; i < count; i++) {
        io_close(pair.fixture->io, connected[i]);
        io_close(pair.peer, accepted[i]);
    }
    door_expect_silence(pair.fixture);
    pair_close(&pair);
}

static void a_stop_yields_one_completion_whoever_comes_first(void **state) {
    struct pair pair;
    pair_open(&pair, *state, 128);
    struct io_port *port = pair.fixture->port;
    uint32_t count = 0;
    for (uint64_t round = 0; round < 40; round++) {
        io_connect_start(port, pair.address, round);
        for (uint64_t pumps = 0; pumps < round % 4; pumps++)
            pair_pump(&pair);
        io_connect_stop(port, round);
        struct io_completion completion = await(&pair, port);
        assert_int_equal(completion.user, round);
        assert_true(completion.result >= 0 || completion.result == -ECANCELED);
        assert_int_equal(io_outstanding(port), 0);
        count += completion.result >= 0;
        if (completion.result >= 0)
            io_close(pair.fixture->io, completion.result);
    }
    /* What had arrived at the listener is accepted, though its other end is gone. */
    io_accept_start(pair.port, pair.listener, USER_ACCEPT);
    for (uint32_t i = 0; i < count; i++) {
        struct io_completion accepted = await(&pair, pair.port);
        assert_true(accepted.result >= 0);
        io_close(pair.peer, accepted.result);
    }
    io_accept_stop(pair.port, pair.listener);
    for (struct io_completion last = {.flags = IO_MORE}; last.flags & IO_MORE;) {
        last = await(&pair, pair.port);
        if (last.result >= 0)
            io_close(pair.peer, last.result);
    }
    pair_close(&pair);
}

const struct CMUnitTest door_connect_tests[] = {
    cmocka_unit_test(connecting_refuses_what_is_no_numeric_address),
    cmocka_unit_test(connecting_where_nobody_listens_is_refused),
    cmocka_unit_test(more_attempts_than_a_port_may_hold_are_a_bug),
    cmocka_unit_test(a_connection_carries_bytes_both_ways),
    cmocka_unit_test(either_end_is_told_of_the_end_of_the_other),
    cmocka_unit_test(the_other_end_is_told_of_a_socket_that_is_closed_with_the_next_submission),
    cmocka_unit_test(many_connect_at_once),
    cmocka_unit_test(a_port_that_is_full_loses_no_connection),
    cmocka_unit_test(an_attempt_that_hangs_is_stopped),
    cmocka_unit_test(a_stop_yields_one_completion_whoever_comes_first),
    {0},
};
