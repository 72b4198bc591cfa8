/* The contract of sockets: accept, receive, send, and the ways a connection ends. */

#include "tests/io/door_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

enum { USER_A = 0xa, USER_B = 0xb };

static void listen_refuses_what_is_no_address(void **state) {
    struct door_fixture *fixture = *state;
    static const char *const NONSENSE[] = {
        "", "nonsense", "127.0.0.1", ":80", "::1:80", "127.0.0.1:70000", "[::1:80", "127.0.0.1:8x"};
    for (size_t i = 0; i < sizeof(NONSENSE) / sizeof(NONSENSE[0]); i++) {
        struct error_text error = {0};
        int32_t handle = -7;
        assert_int_equal(io_listen(fixture->io, NONSENSE[i], 8, &handle, &error), WEIR_EINVAL);
        assert_int_equal(handle, -7);
        assert_true(strlen(error.text) > 0);
    }
}

static void listen_refuses_an_address_in_use(void **state) {
    struct door_fixture *fixture = *state;
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%u",
             io_listen_port(fixture->io, fixture->listener));
    struct error_text error = {0};
    int32_t handle;
    assert_int_equal(io_listen(fixture->io, address, 8, &handle, &error), WEIR_EADDRINUSE);
    assert_non_null(strstr(error.text, address));
}

static void accept_gives_each_connection_once(void **state) {
    struct door_fixture *fixture = *state;
    enum { COUNT = 5 };
    struct door_client *clients[COUNT];
    int32_t handles[COUNT];
    io_accept_start(fixture->port, fixture->listener, USER_A);
    for (int i = 0; i < COUNT; i++) {
        clients[i] = fixture->kind->client_connect(io_listen_port(fixture->io, fixture->listener));
        assert_non_null(clients[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        struct io_completion completion = door_expect(fixture, IO_ACCEPT, USER_A);
        assert_true(completion.result >= 0);
        assert_true(completion.flags & IO_MORE);
        handles[i] = completion.result;
        for (int j = 0; j < i; j++)
            assert_int_not_equal(handles[i], handles[j]);
        char name[64];
        io_peer_name(fixture->io, handles[i], name);
        assert_non_null(strchr(name, ':'));
    }
    io_accept_stop(fixture->port, fixture->listener);
    struct io_completion ended = door_expect(fixture, IO_ACCEPT, USER_A);
    assert_false(ended.flags & IO_MORE);
    /* Which client got which handle is not known: connections overtake each other. */
    for (int i = 0; i < COUNT; i++)
        io_close(fixture->io, handles[i]);
    for (int i = 0; i < COUNT; i++) {
        door_client_expect(fixture, clients[i], DOOR_CLIENT_EOF);
        fixture->kind->client_close(clients[i]);
    }
}

static void stream_arrives_whole_and_in_order(void **state) {
    struct door_fixture *fixture = *state;
    enum { TOTAL = 64 * 1024 };
    static uint8_t bytes[TOTAL];
    for (size_t i = 0; i < TOTAL; i++)
        bytes[i] = door_pattern(i);
    struct door_client *client;
    int32_t socket = door_connect(fixture, &client);
    struct random random;
    random_seed(&random, 5);

    io_receive_start(fixture->port, socket, 0, USER_A);
    size_t sent = 0;
    size_t received = 0;
    bool armed = true;
    for (int rounds = 0; received < TOTAL; rounds++) {
        assert_true(rounds < DOOR_PUMPS_MAX);
        size_t some = 1 + random_below(&random, 2000);
        if (some > TOTAL - sent)
            some = TOTAL - sent;
        if (some > 0)
            sent += fixture->kind->client_send(client, bytes + sent, some);
        if (!armed) {
            io_receive_start(fixture->port, socket, 0, USER_A);
            armed = true;
        }
        struct io_completion completion;
        fixture->kind->pump(fixture->io);
        while (io_take(fixture->port, &completion, 1) == 1) {
            assert_int_equal(completion.kind, IO_RECEIVE);
            armed = completion.flags & IO_MORE;
            if (!(completion.flags & IO_HAS_BUFFER)) {
                assert_int_equal(completion.result, IO_RECEIVE_NO_BUFFERS);
                continue;
            }
            assert_true(completion.result > 0 && completion.result <= DOOR_BUFFER_BYTES);
            const uint8_t *piece = door_buffer(fixture, completion.buffer);
            assert_memory_equal(piece, bytes + received, (size_t)completion.result);
            received += (size_t)completion.result;
            io_buffer_return(fixture->io, 0, completion.buffer);
        }
    }
    assert_int_equal(sent, TOTAL);
    if (armed) {
        io_receive_stop(fixture->port, socket, USER_A);
        assert_false(door_expect(fixture, IO_RECEIVE, USER_A).flags & IO_MORE);
    }
    io_close(fixture->io, socket);
    fixture->kind->client_close(client);
}

/* Takes pieces until the receive ends; returns its last completion.  Buffers are kept. */
static struct io_completion drain(struct door_fixture *fixture, uint64_t user, uint32_t *kept,
                                  uint32_t *kept_count, size_t *bytes) {
    for (;;) {
        struct io_completion completion = door_expect(fixture, IO_RECEIVE, user);
        if (completion.flags & IO_HAS_BUFFER) {
            assert_true(*kept_count < DOOR_BUFFER_COUNT);
            for (uint32_t i = 0; i < *kept_count; i++)
                assert_int_not_equal(kept[i], completion.buffer);
            kept[(*kept_count)++] = completion.buffer;
            for (int32_t i = 0; i < completion.result; i++)
                assert_int_equal(door_buffer(fixture, completion.buffer)[i],
                                 door_pattern(*bytes + (size_t)i));
            *bytes += (size_t)completion.result;
        }
        if (!(completion.flags & IO_MORE))
            return completion;
    }
}

static void receive_ends_without_buffers_and_goes_on_when_armed_again(void **state) {
    struct door_fixture *fixture = *state;
    enum { TOTAL = DOOR_BUFFER_BYTES * DOOR_BUFFER_COUNT * 2 }; /* a socket holds it */
    uint8_t bytes[TOTAL];
    for (size_t i = 0; i < TOTAL; i++)
        bytes[i] = door_pattern(i);
    struct door_client *client;
    int32_t socket = door_connect(fixture, &client);
    door_client_send_all(fixture, client, bytes, TOTAL);

    /* Keep every buffer.  A receive may end early for reasons of the door's own: arm again. */
    size_t received = 0;
    uint32_t kept[DOOR_BUFFER_COUNT];
    uint32_t kept_count = 0;
    for (int rounds = 0; kept_count < DOOR_BUFFER_COUNT; rounds++) {
        assert_true(rounds < 1000);
        io_receive_start(fixture->port, socket, 0, USER_A);
        struct io_completion last = drain(fixture, USER_A, kept, &kept_count, &received);
        assert_true(last.result > 0 || last.result == IO_RECEIVE_NO_BUFFERS);
    }
    assert_true(received < TOTAL);
    io_receive_start(fixture->port, socket, 0, USER_A);
    struct io_completion none = door_expect(fixture, IO_RECEIVE, USER_A);
    assert_int_equal(none.result, IO_RECEIVE_NO_BUFFERS);
    assert_int_equal(none.flags, 0);
    for (uint32_t i = 0; i < kept_count; i++)
        io_buffer_return(fixture->io, 0, kept[i]);

    /* With buffers again, everything that is left arrives, from the very next byte. */
    bool armed = false;
    while (received < TOTAL) {
        if (!armed)
            io_receive_start(fixture->port, socket, 0, USER_A);
        struct io_completion completion = door_expect(fixture, IO_RECEIVE, USER_A);
        armed = completion.flags & IO_MORE;
        if (completion.flags & IO_HAS_BUFFER) {
            for (int32_t i = 0; i < completion.result; i++)
                assert_int_equal(door_buffer(fixture, completion.buffer)[i],
                                 door_pattern(received + (size_t)i));
            received += (size_t)completion.result;
            io_buffer_return(fixture->io, 0, completion.buffer);
        }
    }
    if (armed) {
        io_receive_stop(fixture->port, socket, USER_A);
        assert_false(door_expect(fixture, IO_RECEIVE, USER_A).flags & IO_MORE);
    }
    io_close(fixture->io, socket);
    fixture->kind->client_close(client);
}

static void stop_always_yields_one_final_completion(void **state) {
    struct door_fixture *fixture = *state;
    struct door_client *client;
    int32_t socket = door_connect(fixture, &client);
    struct random random;
    random_seed(&random, 11);
    for (uint64_t round = 0; round < 100; round++) {
        io_receive_start(fixture->port, socket, 0, round);
        if (random_chance(&random, 1, 2))
            io_poll(fixture->io);
        uint8_t byte = (uint8_t)round;
        if (random_chance(&random, 1, 2))
            fixture->kind->client_send(client, &byte, 1);
        if (random_chance(&random, 1, 2))
            fixture->kind->pump(fixture->io);
        io_receive_stop(fixture->port, socket, round);
        bool ended = false;
        while (!ended) {
            struct io_completion completion = door_expect(fixture, IO_RECEIVE, round);
            if (completion.flags & IO_HAS_BUFFER)
                io_buffer_return(fixture->io, 0, completion.buffer);
            ended = !(completion.flags & IO_MORE);
            if (ended && completion.result <= 0) /* or it ended by itself, just before */
                assert_true(completion.result == -ECANCELED ||
                            completion.result == IO_RECEIVE_NO_BUFFERS);
        }
        assert_int_equal(io_outstanding(fixture->port), 0);
        io_receive_stop(fixture->port, socket, round); /* nothing is armed: does nothing */
    }
    door_expect_silence(fixture);
    io_close(fixture->io, socket);
    fixture->kind->client_close(client);
}

/* Sends all of it with waiting sends. */
static void send_all(struct door_fixture *fixture, int32_t socket, const uint8_t *bytes,
                     size_t length_bytes) {
    size_t sent = 0;
    while (sent < length_bytes) {
        struct iovec piece = {(void *)(uintptr_t)(bytes + sent), length_bytes - sent};
        io_send(fixture->port, socket, &piece, 1, IO_SEND_WAIT, USER_B);
        struct io_completion completion = door_expect(fixture, IO_SEND, USER_B);
        assert_true(completion.result > 0);
        sent += (size_t)completion.result;
    }
}

static void half_close_is_eof_and_sending_goes_on(void **state) {
    struct door_fixture *fixture = *state;
    struct door_client *client;
    int32_t socket = door_connect(fixture, &client);
    uint8_t bytes[3] = {door_pattern(0), door_pattern(1), door_pattern(2)};
    door_client_send_all(fixture, client, bytes, sizeof(bytes));
    fixture->kind->client_half_close(client);

    size_t received = 0;
    struct io_completion last;
    do {
        uint32_t kept[DOOR_BUFFER_COUNT];
        uint32_t kept_count = 0;
        io_receive_start(fixture->port, socket, 0, USER_A);
        last = drain(fixture, USER_A, kept, &kept_count, &received);
        for (uint32_t i = 0; i < kept_count; i++)
            io_buffer_return(fixture->io, 0, kept[i]);
    } while (last.result > 0 || last.result == IO_RECEIVE_NO_BUFFERS);
    assert_int_equal(last.result, IO_RECEIVE_EOF);
    assert_int_equal(received, sizeof(bytes));

    uint8_t answer[5];
    send_all(fixture, socket, (const uint8_t *)"after", 5);
    door_client_receive_all(fixture, client, answer, 5);
    assert_memory_equal(answer, "after", 5);
    io_close(fixture->io, socket);
    door_client_expect(fixture, client, DOOR_CLIENT_EOF);
    fixture->kind->client_close(client);
}

/* How a connection is watched that is not to be read now. */
static void a_receive_without_buffers_takes_nothing_and_sees_the_end(void **state) {
    struct door_fixture *fixture = *state;
    for (int way = 0; way < 2; way++) {
        struct door_client *client;
        int32_t socket = door_connect(fixture, &client);
        uint8_t bytes[3] = {door_pattern(0), door_pattern(1), door_pattern(2)};
        io_receive_start(fixture->port, socket, IO_BUFFERS_NONE, USER_A);
        fixture->kind->pump(fixture->io);
        door_client_send_all(fixture, client, bytes, sizeof(bytes));
        door_expect_silence(fixture);
        io_receive_stop(fixture->port, socket, USER_A);
        struct io_completion stopped = door_expect(fixture, IO_RECEIVE, USER_A);
        assert_int_equal(stopped.result, -ECANCELED);
        assert_int_equal(stopped.flags, 0);
        io_receive_stop(fixture->port, socket, USER_A); /* nothing is armed: does nothing */

        io_receive_start(fixture->port, socket, IO_BUFFERS_NONE, USER_B);
        door_expect_silence(fixture); /* though there is something to be received */
        if (way == 0)
            fixture->kind->client_half_close(client);
        else
            fixture->kind->client_reset(client);
        struct io_completion ended = door_expect(fixture, IO_RECEIVE, USER_B);
        assert_int_equal(ended.result, way == 0 ? IO_RECEIVE_EOF : -ECONNRESET);
        assert_int_equal(ended.flags, 0);
        assert_int_equal(io_outstanding(fixture->port), 0);
        if (way == 0) { /* what came before the end is still there */
            uint32_t kept[DOOR_BUFFER_COUNT];
            uint32_t kept_count = 0;
            size_t received = 0;
            while (received < sizeof(bytes)) {
                io_receive_start(fixture->port, socket, 0, USER_A);
                (void)drain(fixture, USER_A, kept, &kept_count, &received);
            }
            for (uint32_t i = 0; i < kept_count; i++)
                io_buffer_return(fixture->io, 0, kept[i]);
            fixture->kind->client_close(client);
        }
        io_close(fixture->io, socket);
    }
}

static void reset_ends_receive_and_send_with_an_error(void **state) {
    struct door_fixture *fixture = *state;
    struct door_client *client;
    int32_t socket = door_connect(fixture, &client);
    io_receive_start(fixture->port, socket, 0, USER_A);
    fixture->kind->pump(fixture->io);
    fixture->kind->client_reset(client);
    struct io_completion ended = door_expect(fixture, IO_RECEIVE, USER_A);
    assert_int_equal(ended.result, -ECONNRESET);
    assert_false(ended.flags & IO_MORE);

    struct iovec piece = {(void *)(uintptr_t) "x", 1};
    io_send(fixture->port, socket, &piece, 1, IO_SEND_TRY, USER_B);
    struct io_completion sent = door_expect(fixture, IO_SEND, USER_B);
    assert_true(sent.result == -EPIPE || sent.result == -ECONNRESET);
    char name[64];
    io_peer_name(fixture->io, socket, name);
    assert_string_equal(name, "?");
    io_close(fixture->io, socket);
}

static void sends_of_several_pieces_keep_their_order(void **state) {
    struct door_fixture *fixture = *state;
    struct door_client *client;
    int32_t socket = door_connect(fixture, &client);
    enum { PIECES = IO_SEND_PIECES_MAX, PIECE = 7 };
    uint8_t bytes[PIECES * PIECE];
    struct iovec pieces[PIECES];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = door_pattern(i);
    for (size_t i = 0; i < PIECES; i++)
        pieces[i] = (struct iovec){bytes + i * PIECE, PIECE};
    io_send(fixture->port, socket, pieces, PIECES, IO_SEND_TRY, USER_B);
    struct io_completion completion = door_expect(fixture, IO_SEND, USER_B);
    assert_true(completion.result > 0);
    send_all(fixture, socket, bytes + completion.result, sizeof(bytes) - (size_t)completion.result);
    uint8_t received[sizeof(bytes)];
    door_client_receive_all(fixture, client, received, sizeof(received));
    assert_memory_equal(received, bytes, sizeof(bytes));
    io_close(fixture->io, socket);
    fixture->kind->client_close(client);
}

/* Fills the socket until TRY is refused; returns how many bytes it took. */
static size_t fill(struct door_fixture *fixture, int32_t socket, const uint8_t *bytes,
                   size_t piece_bytes) {
    size_t sent = 0;
    int refusals = 0;
    /* Refused several times in a row with time in between: nothing moves any more. */
    while (refusals < 20) {
        struct iovec piece = {(void *)(uintptr_t)(bytes + sent % 251), piece_bytes};
        io_send(fixture->port, socket, &piece, 1, IO_SEND_TRY, USER_B);
        io_poll(fixture->io);
        struct io_completion completion = {0};
        assert_int_equal(io_take(fixture->port, &completion, 1), 1); /* at once */
        assert_int_equal(completion.kind, IO_SEND);
        if (completion.result == -EAGAIN) {
            refusals++;
            fixture->kind->pump(fixture->io);
        } else {
            assert_true(completion.result > 0);
            refusals = 0;
            sent += (size_t)completion.result;
        }
    }
    return sent;
}

static void slow_reader_refuses_try_and_holds_wait(void **state) {
    struct door_fixture *fixture = *state;
    struct door_client *client;
    int32_t socket = door_connect(fixture, &client);
    /* A stream in which byte i is i % 251, whatever the lengths of the sends. */
    enum { PIECE = 4096 };
    uint8_t bytes[PIECE + 251];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i % 251);
    size_t sent = fill(fixture, socket, bytes, PIECE);
    assert_true(sent > 0);

    struct iovec piece = {bytes + sent % 251, PIECE};
    io_send(fixture->port, socket, &piece, 1, IO_SEND_WAIT, USER_A);
    door_expect_silence(fixture);
    size_t received = 0;
    struct io_completion completion;
    for (int pumps = 0; io_take(fixture->port, &completion, 1) == 0; pumps++) {
        assert_true(pumps < DOOR_PUMPS_MAX);
        uint8_t some[1024];
        size_t count = fixture->kind->client_receive(client, some, sizeof(some));
        for (size_t i = 0; i < count; i++)
            assert_int_equal(some[i], (received + i) % 251);
        received += count;
        fixture->kind->pump(fixture->io);
    }
    assert_int_equal(completion.user, USER_A);
    assert_true(completion.result > 0 && completion.result <= PIECE);
    sent += (size_t)completion.result;
    uint8_t *rest = calloc(1, sent - received);
    door_client_receive_all(fixture, client, rest, sent - received);
    for (size_t i = 0; i < sent - received; i++)
        assert_int_equal(rest[i], (received + i) % 251);
    free(rest);
    io_close(fixture->io, socket);
    fixture->kind->client_close(client);
}

static void shutdown_ends_receives_and_waiting_sends(void **state) {
    struct door_fixture *fixture = *state;
    struct door_client *client;
    int32_t socket = door_connect(fixture, &client);
    uint8_t bytes[4096 + 251] = {0};
    size_t sent = fill(fixture, socket, bytes, 4096);
    struct iovec piece = {bytes, 4096};
    io_send(fixture->port, socket, &piece, 1, IO_SEND_WAIT, USER_A);
    io_receive_start(fixture->port, socket, 0, USER_B);
    door_expect_silence(fixture);
    io_shutdown(fixture->io, socket);
    for (int i = 0; i < 2; i++) {
        struct io_completion completion = door_next(fixture);
        assert_false(completion.flags & IO_MORE);
        if (completion.kind == IO_SEND)
            assert_int_equal(completion.result, -EPIPE);
        else
            assert_int_equal(completion.result, IO_RECEIVE_EOF);
    }
    io_close(fixture->io, socket);
    /* What was sent before arrives, then the end. */
    uint8_t *received = calloc(1, sent);
    door_client_receive_all(fixture, client, received, sent);
    free(received);
    door_client_expect(fixture, client, DOOR_CLIENT_EOF);
    fixture->kind->client_close(client);
}

static void full_mailbox_holds_back_and_loses_nothing(void **state) {
    struct door_fixture *fixture = *state;
    enum { TOTAL = 200 };
    struct door_client *client;
    int32_t socket = door_connect(fixture, &client);
    struct io_port *small;
    assert_int_equal(io_port_create(fixture->io, &small, 2), 0);
    io_receive_start(small, socket, 0, USER_A);
    fixture->kind->pump(fixture->io);
    /* Each byte is a piece of its own: it is delivered before the next is sent. */
    size_t received = 0;
    size_t sent = 0;
    bool armed = true;
    size_t deepest = 0;
    for (int pumps = 0; received < TOTAL; pumps++) {
        assert_true(pumps < DOOR_PUMPS_MAX);
        uint8_t byte = door_pattern(sent);
        if (sent < TOTAL)
            sent += fixture->kind->client_send(client, &byte, 1);
        fixture->kind->pump(fixture->io);
        if (pumps % 7 != 0)
            continue; /* let the mailbox fill */
        struct io_completion completions[16];
        uint32_t count = io_take(small, completions, 16);
        assert_true(count <= 2);
        deepest = count > deepest ? count : deepest;
        for (uint32_t i = 0; i < count; i++) {
            if (completions[i].flags & IO_HAS_BUFFER) {
                for (int32_t j = 0; j < completions[i].result; j++)
                    assert_int_equal(door_buffer(fixture, completions[i].buffer)[j],
                                     door_pattern(received + (size_t)j));
                received += (size_t)completions[i].result;
                io_buffer_return(fixture->io, 0, completions[i].buffer);
            }
            armed = completions[i].flags & IO_MORE;
        }
        if (!armed) {
            io_receive_start(small, socket, 0, USER_A);
            armed = true;
        }
    }
    assert_int_equal(deepest, 2);
    io_receive_stop(small, socket, USER_A);
    for (int pumps = 0; io_outstanding(small) > 0; pumps++) {
        assert_true(pumps < DOOR_PUMPS_MAX);
        struct io_completion completion;
        if (io_take(small, &completion, 1) == 0)
            fixture->kind->pump(fixture->io);
    }
    io_port_destroy(small);
    io_close(fixture->io, socket);
    fixture->kind->client_close(client);
}

static void park_delivers_what_waited_for_room(void **state) {
    struct door_fixture *fixture = *state;
    enum { CLIENTS = 7, LIMIT = 2 };
    struct io_port *small;
    struct door_client *clients[CLIENTS];
    assert_int_equal(io_port_create(fixture->io, &small, LIMIT), 0);
    io_accept_start(small, fixture->listener, USER_A);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = fixture->kind->client_connect(io_listen_port(fixture->io, fixture->listener));
        assert_non_null(clients[i]);
    }
    for (int pumps = 0; pumps < 100; pumps++)
        fixture->kind->pump(fixture->io);
    struct io_completion completions[CLIENTS];
    uint32_t accepted = 0;
    while (accepted < CLIENTS) {
        uint32_t count = io_take(small, completions, CLIENTS);
        assert_true(count >= 1 && count <= LIMIT);
        for (uint32_t i = 0; i < count; i++)
            io_close(fixture->io, completions[i].result);
        accepted += count;
        /* Nothing more is going to happen: only what is there already ends this wait. */
        if (accepted < CLIENTS)
            assert_true(io_park(fixture->io, UINT64_MAX) > 0);
    }
    io_accept_stop(small, fixture->listener);
    for (int pumps = 0; io_take(small, completions, 1) == 0; pumps++) {
        assert_true(pumps < DOOR_PUMPS_MAX);
        fixture->kind->pump(fixture->io);
    }
    io_port_destroy(small);
    for (int i = 0; i < CLIENTS; i++)
        fixture->kind->client_close(clients[i]);
}

const struct CMUnitTest door_socket_tests[] = {
    cmocka_unit_test(listen_refuses_what_is_no_address),
    cmocka_unit_test(listen_refuses_an_address_in_use),
    cmocka_unit_test(accept_gives_each_connection_once),
    cmocka_unit_test(stream_arrives_whole_and_in_order),
    cmocka_unit_test(receive_ends_without_buffers_and_goes_on_when_armed_again),
    cmocka_unit_test(stop_always_yields_one_final_completion),
    cmocka_unit_test(half_close_is_eof_and_sending_goes_on),
    cmocka_unit_test(a_receive_without_buffers_takes_nothing_and_sees_the_end),
    cmocka_unit_test(reset_ends_receive_and_send_with_an_error),
    cmocka_unit_test(sends_of_several_pieces_keep_their_order),
    cmocka_unit_test(slow_reader_refuses_try_and_holds_wait),
    cmocka_unit_test(shutdown_ends_receives_and_waiting_sends),
    cmocka_unit_test(full_mailbox_holds_back_and_loses_nothing),
    cmocka_unit_test(park_delivers_what_waited_for_room),
    {0},
};
