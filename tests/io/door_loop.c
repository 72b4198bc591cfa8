/* The contract of the loop itself: timers, waking, time, entropy, the bound on operations. */

#include "tests/io/door_fixture.h"

#include <errno.h>
#include <string.h>

#include "tests/death.h"

enum { USER_A = 0xa, USER_B = 0xb, USER_C = 0xc };

static const uint64_t MS_NS = 1000000;

static void timer_completes_when_due_and_not_before(void **state) {
    struct door_fixture *fixture = *state;
    uint64_t deadline_ns = io_monotonic_ns(fixture->io) + 3 * MS_NS;
    io_timer_set(fixture->port, deadline_ns, USER_A);
    assert_int_equal(door_expect(fixture, IO_TIMER, USER_A).result, 0);
    assert_true(io_monotonic_ns(fixture->io) >= deadline_ns);
    io_timer_set(fixture->port, 1, USER_B); /* long past */
    io_poll(fixture->io);
    struct io_completion completion;
    assert_int_equal(io_take(fixture->port, &completion, 1), 1);
    assert_int_equal(completion.user, USER_B);
}

static void replaced_and_stopped_timers_are_canceled_once(void **state) {
    struct door_fixture *fixture = *state;
    uint64_t now_ns = io_monotonic_ns(fixture->io);
    io_timer_set(fixture->port, now_ns + 3600000 * MS_NS, USER_A);
    io_timer_set(fixture->port, now_ns + 2 * MS_NS, USER_B);
    assert_int_equal(io_outstanding(fixture->port), 2);
    assert_int_equal(door_expect(fixture, IO_TIMER, USER_A).result, -ECANCELED);
    assert_int_equal(door_expect(fixture, IO_TIMER, USER_B).result, 0);
    io_timer_set(fixture->port, now_ns + 3600000 * MS_NS, USER_C);
    io_timer_stop(fixture->port);
    io_timer_stop(fixture->port);
    assert_int_equal(door_expect(fixture, IO_TIMER, USER_C).result, -ECANCELED);
    door_expect_silence(fixture);
}

static void park_ends_at_its_timeout(void **state) {
    struct door_fixture *fixture = *state;
    uint64_t begin_ns = io_monotonic_ns(fixture->io);
    uint64_t end_ns = begin_ns + 2 * MS_NS;
    while (io_monotonic_ns(fixture->io) < end_ns)
        assert_int_equal(io_park(fixture->io, end_ns - io_monotonic_ns(fixture->io)), 0);
}

static void wake_ends_the_next_park(void **state) {
    struct door_fixture *fixture = *state;
    for (int round = 0; round < 5; round++) {
        io_wake(fixture->io);
        if (round % 2 == 1)
            io_poll(fixture->io); /* sees the wake, and keeps it for the park */
        io_park(fixture->io, UINT64_MAX);
    }
}

/* Takes what there is, arms again what has ended, and counts the pieces. */
static uint32_t take_received(struct door_fixture *fixture) {
    struct io_completion completion;
    uint32_t count = 0;
    while (io_take(fixture->port, &completion, 1) == 1) {
        assert_int_equal(completion.kind, IO_RECEIVE);
        if (completion.flags & IO_HAS_BUFFER) {
            io_buffer_return(fixture->io, 0, completion.buffer);
            count++;
        }
        if (!(completion.flags & IO_MORE))
            io_receive_start(fixture->port, (int32_t)completion.user, 0, completion.user);
    }
    return count;
}

/* Rounds in which all clients send, so that the park learns to wait for as many, and then rounds in
 * which one does, for whom it must not wait for ever. */
static void gathering_ends_though_fewer_come_than_before(void **state) {
    struct door_fixture *fixture = *state;
    enum { CLIENTS = 4, ROUNDS = 8 };
    struct door_client *clients[CLIENTS];
    int32_t sockets[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        sockets[i] = door_connect(fixture, &clients[i]);
        io_receive_start(fixture->port, sockets[i], 0, (uint64_t)sockets[i]);
    }
    for (int round = 0; round < 2 * ROUNDS; round++) {
        uint32_t senders = round < ROUNDS ? CLIENTS : 1;
        for (uint32_t i = 0; i < senders; i++)
            door_client_send_all(fixture, clients[i], "x", 1);
        uint32_t received = take_received(fixture);
        while (received < senders) {
            io_park_gathering(fixture->io, 2 * MS_NS);
            received += take_received(fixture);
        }
        assert_int_equal(received, senders);
    }
    io_wake(fixture->io);
    io_park_gathering(fixture->io, 2 * MS_NS);
    for (int i = 0; i < CLIENTS; i++) {
        io_receive_stop(fixture->port, sockets[i], (uint64_t)sockets[i]);
        struct io_completion last = door_next(fixture);
        assert_int_equal(last.user, (uint64_t)sockets[i]);
        assert_false(last.flags & (IO_MORE | IO_HAS_BUFFER));
        io_close(fixture->io, sockets[i]);
        fixture->kind->client_close(clients[i]);
    }
}

static void poll_of_an_idle_door_delivers_nothing(void **state) {
    struct door_fixture *fixture = *state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(io_poll(fixture->io), 0);
}

static void clocks_run(void **state) {
    struct door_fixture *fixture = *state;
    uint64_t before_ns = io_monotonic_ns(fixture->io);
    assert_true(io_wall_ms(fixture->io) > 0);
    io_park(fixture->io, MS_NS);
    assert_true(io_monotonic_ns(fixture->io) > before_ns);
}

static void entropy_differs_each_time(void **state) {
    struct door_fixture *fixture = *state;
    uint8_t first[32] = {0};
    uint8_t second[32] = {0};
    io_entropy(fixture->io, first, sizeof(first));
    io_entropy(fixture->io, second, sizeof(second));
    assert_memory_not_equal(first, second, sizeof(first));
}

static void ports_have_mailboxes_of_their_own(void **state) {
    struct door_fixture *fixture = *state;
    struct io_port *other;
    assert_int_equal(io_port_create(fixture->io, &other, 1), 0);
    io_timer_set(other, 1, USER_B);
    io_timer_set(fixture->port, io_monotonic_ns(fixture->io) + MS_NS, USER_A);
    assert_int_equal(io_wait(fixture->port).user, USER_A);
    struct io_completion completion;
    assert_int_equal(io_take(other, &completion, 1), 1);
    assert_int_equal(completion.user, USER_B);
    io_port_destroy(other);
}

static void start_too_many(void *context) {
    struct io *io = ((const struct door_kind *)context)->open();
    struct io_port *port;
    if (io_port_create(io, &port, 1) != 0)
        return;
    io_timer_set(port, UINT64_MAX, USER_A);
    io_timer_set(port, UINT64_MAX, USER_B);
}

static void more_operations_than_promised_end_the_process(void **state) {
    (void)state;
    death_expect_abort(start_too_many, (void *)(uintptr_t)door_kind, "outstanding");
}

const struct CMUnitTest door_loop_tests[] = {
    cmocka_unit_test(timer_completes_when_due_and_not_before),
    cmocka_unit_test(replaced_and_stopped_timers_are_canceled_once),
    cmocka_unit_test(park_ends_at_its_timeout),
    cmocka_unit_test(wake_ends_the_next_park),
    cmocka_unit_test(gathering_ends_though_fewer_come_than_before),
    cmocka_unit_test(poll_of_an_idle_door_delivers_nothing),
    cmocka_unit_test(clocks_run),
    cmocka_unit_test(entropy_differs_each_time),
    cmocka_unit_test(ports_have_mailboxes_of_their_own),
    cmocka_unit_test(more_operations_than_promised_end_the_process),
    {0},
};
