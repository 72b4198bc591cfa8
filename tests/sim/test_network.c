/* The simulated network: what streams, listeners and links do, and what death does to them. */

#include "tests/sim/host.h"

#include <errno.h>
#include <stdlib.h>

enum { ACCEPT = 1, RECEIVE = 2, SEND = 3 };

static int32_t host_listen(struct host *host) {
    struct error_text error;
    int32_t listener = -1;
    assert_int_equal(io_listen(host->io, "0.0.0.0:7379", 16, &listener, &error), 0);
    return listener;
}

static int32_t host_accept(struct host *host, struct world_client **client) {
    int32_t listener = host_listen(host);
    *client = world_client_connect(host->world, host->node, 7379);
    assert_non_null(*client);
    io_accept_start(host->port, listener, ACCEPT);
    struct io_completion accepted = io_wait(host->port);
    assert_true(accepted.result >= 0);
    return accepted.result;
}

static void host_end(struct host *host) {
    world_kill(host->world, host->node);
    host_bury(host);
    world_destroy(host->world);
}

/* ---- outcomes ---------------------------------------------------------------------------- */

/* Counts how receives end over a stream of many bytes, and how long the pieces are. */
static void every_outcome_of_a_receive_occurs(void **state) {
    (void)state;
    enum { TOTAL = 40000 };
    struct world_options options = world_options_rough();
    options.accept_error_chance = 0;
    struct host host;
    host_boot(&host, 17, &options);
    struct world_client *client;
    int32_t socket = host_accept(&host, &client);
    int ends_empty = 0;
    int ends_with_bytes = 0;
    int stops = 0;
    int lengths[HOST_BUFFER_BYTES + 1] = {0};
    size_t sent = 0;
    size_t received = 0;
    bool armed = false;
    for (;;) {
        uint8_t bytes[500];
        memset(bytes, 'x', sizeof(bytes));
        if (sent < TOTAL)
            sent += world_client_send(client, bytes, sizeof(bytes));
        else
            world_client_half_close(client);
        if (!armed)
            io_receive_start(host.port, socket, 0, RECEIVE);
        else if (sent % 10 == 0)
            io_receive_stop(host.port, socket, RECEIVE);
        struct io_completion completion = io_wait(host.port);
        armed = completion.flags & IO_MORE;
        if (completion.flags & IO_HAS_BUFFER) {
            lengths[completion.result]++;
            received += (size_t)completion.result;
            ends_with_bytes += !armed;
            uint8_t *buffer = host.buffers + completion.buffer * HOST_BUFFER_BYTES;
            assert_int_equal(buffer[0], 'x');
            io_buffer_return(host.io, 0, completion.buffer);
            assert_int_not_equal(buffer[0], 'x'); /* whoever reads it now is found out */
            continue;
        }
        if (completion.result == IO_RECEIVE_EOF)
            break;
        ends_empty += completion.result == IO_RECEIVE_NO_BUFFERS;
        stops += completion.result == -ECANCELED;
    }
    assert_int_equal(received, sent);
    assert_true(ends_empty > 5 && ends_with_bytes > 5 && stops > 5);
    int different = 0;
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++)
        different += lengths[i] > 0;
    assert_true(different > HOST_BUFFER_BYTES / 2);
    host_end(&host);
}

static void a_connection_may_die_while_it_is_accepted(void **state) {
    (void)state;
    enum { CLIENTS = 60 };
    struct world_options options = world_options_calm();
    options.accept_error_chance = 300;
    struct host host;
    host_boot(&host, 23, &options);
    int32_t listener = host_listen(&host);
    struct world_client *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = world_client_connect(host.world, 0, 7379);
    int accepted = 0;
    int aborted = 0;
    int restarts = 0;
    bool armed = false;
    while (accepted + aborted < CLIENTS) {
        if (!armed) {
            io_accept_start(host.port, listener, ACCEPT);
            restarts++;
        }
        struct io_completion completion = io_wait(host.port);
        armed = completion.flags & IO_MORE;
        accepted += completion.result >= 0;
        aborted += completion.result == -ECONNABORTED;
    }
    while (world_step(host.world)) {
    }
    int reset = 0;
    for (int i = 0; i < CLIENTS; i++)
        reset += world_client_state(clients[i]) == WORLD_CLIENT_RESET;
    assert_true(aborted > 5 && restarts > 2);
    assert_int_equal(reset, aborted);
    host_end(&host);
}

static void a_full_backlog_keeps_clients_waiting(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host host;
    host_boot(&host, 5, &options);
    struct error_text error;
    int32_t listener;
    assert_int_equal(io_listen(host.io, "0.0.0.0:80", 2, &listener, &error), 0);
    for (int i = 0; i < 10; i++)
        assert_non_null(world_client_connect(host.world, 0, 80));
    for (int i = 0; i < 100; i++)
        world_step(host.world);
    io_accept_start(host.port, listener, ACCEPT);
    for (int i = 0; i < 10; i++)
        assert_true(io_wait(host.port).result >= 0);
    host_end(&host);
}

static void nobody_listens(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host host;
    host_boot(&host, 5, &options);
    assert_null(world_client_connect(host.world, 0, 7379));
    int32_t listener = host_listen(&host);
    struct world_client *client = world_client_connect(host.world, 0, 7379);
    io_close(host.io, listener); /* before the client arrives */
    while (world_step(host.world)) {
    }
    assert_int_equal(world_client_state(client), WORLD_CLIENT_RESET);
    host_end(&host);
}

/* ---- links and death --------------------------------------------------------------------- */

static void a_clogged_link_holds_one_direction_and_loses_nothing(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host host;
    host_boot(&host, 5, &options);
    struct world_client *client;
    int32_t socket = host_accept(&host, &client);
    world_link_clog(host.world, WORLD_OUTSIDE, 0, true);
    assert_int_equal(world_client_send(client, "to", 2), 2);
    io_receive_start(host.port, socket, 0, RECEIVE);
    struct iovec piece = {(void *)(uintptr_t) "from", 4};
    io_send(host.port, socket, &piece, 1, IO_SEND_TRY, SEND);
    struct io_completion sent = io_wait(host.port);
    assert_int_equal(sent.user, SEND);
    assert_int_equal(io_park(host.io, UINT64_C(10000000000)), 0);
    char bytes[8] = {0};
    assert_int_equal(world_client_receive(client, bytes, sizeof(bytes)), 4); /* the other way */
    world_link_clog(host.world, WORLD_OUTSIDE, 0, false);
    struct io_completion received = io_wait(host.port);
    assert_int_equal(received.result, 2);
    assert_memory_equal(host.buffers + received.buffer * HOST_BUFFER_BYTES, "to", 2);
    host_end(&host);
}

static void a_reset_waits_at_a_clogged_link_too(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host host;
    host_boot(&host, 5, &options);
    struct world_client *client;
    int32_t socket = host_accept(&host, &client);
    io_receive_start(host.port, socket, 0, RECEIVE);
    world_link_clog(host.world, WORLD_OUTSIDE, 0, true);
    world_client_reset(client);
    assert_int_equal(io_park(host.io, UINT64_C(1000000000)), 0);
    world_link_clog(host.world, WORLD_OUTSIDE, 0, false);
    assert_int_equal(io_wait(host.port).result, -ECONNRESET);
    host_end(&host);
}

static void clients_of_a_killed_node_see_the_end(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host host;
    host_boot(&host, 5, &options);
    struct world_client *client;
    int32_t socket = host_accept(&host, &client);
    struct iovec piece = {(void *)(uintptr_t) "last", 4};
    io_send(host.port, socket, &piece, 1, IO_SEND_TRY, SEND);
    io_wait(host.port);
    world_kill(host.world, 0);
    while (world_step(host.world)) {
    }
    char bytes[8];
    assert_int_equal(world_client_receive(client, bytes, sizeof(bytes)), 4);
    assert_int_equal(world_client_state(client), WORLD_CLIENT_EOF);
    host_bury(&host);
    world_destroy(host.world);
}

static void clients_of_a_crashed_node_learn_it_when_they_send(void **state) {
    (void)state;
    int silent = 0;
    enum { SEEDS = 40 };
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world_options options = world_options_calm();
        struct host host;
        host_boot(&host, seed, &options);
        struct world_client *client;
        host_accept(&host, &client);
        world_crash(host.world, 0, WORLD_KEEP_RANDOM);
        while (world_step(host.world)) {
        }
        silent += world_client_state(client) == WORLD_CLIENT_OPEN; /* half-open */
        world_client_send(client, "?", 1);
        while (world_step(host.world)) {
        }
        assert_int_equal(world_client_state(client), WORLD_CLIENT_RESET);
        host_bury(&host);
        world_destroy(host.world);
    }
    assert_true(silent > 5 && silent < SEEDS - 5);
}

static void a_close_with_unread_bytes_resets(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host host;
    host_boot(&host, 5, &options);
    struct world_client *client;
    int32_t socket = host_accept(&host, &client);
    world_client_send(client, "unread", 6);
    while (world_step(host.world)) {
    }
    io_close(host.io, socket);
    while (world_step(host.world)) {
    }
    assert_int_equal(world_client_state(client), WORLD_CLIENT_RESET);
    host_end(&host);
}

static void two_doors_of_a_node_share_a_socket(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct host reader;
    struct host writer;
    host_boot(&reader, 5, &options);
    host_start(&writer, reader.world, reader.node);
    struct world_client *client;
    int32_t socket = host_accept(&reader, &client);
    io_receive_start(reader.port, socket, 0, RECEIVE);
    struct iovec piece = {(void *)(uintptr_t) "ok", 2};
    io_send(writer.port, socket, &piece, 1, IO_SEND_WAIT, SEND);
    assert_int_equal(io_wait(writer.port).result, 2);
    assert_int_equal(world_client_send(client, "go", 2), 2);
    assert_int_equal(io_wait(reader.port).result, 2);
    io_shutdown(writer.io, socket);
    assert_int_equal(io_wait(reader.port).result, IO_RECEIVE_EOF);
    io_close(writer.io, socket);
    world_kill(reader.world, reader.node);
    host_bury(&writer);
    host_bury(&reader);
    world_destroy(reader.world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_outcome_of_a_receive_occurs),
        cmocka_unit_test(a_connection_may_die_while_it_is_accepted),
        cmocka_unit_test(a_full_backlog_keeps_clients_waiting),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(a_clogged_link_holds_one_direction_and_loses_nothing),
        cmocka_unit_test(a_reset_waits_at_a_clogged_link_too),
        cmocka_unit_test(clients_of_a_killed_node_see_the_end),
        cmocka_unit_test(clients_of_a_crashed_node_learn_it_when_they_send),
        cmocka_unit_test(a_close_with_unread_bytes_resets),
        cmocka_unit_test(two_doors_of_a_node_share_a_socket),
    };
    return cmocka_run_group_tests_name("the simulated network", tests, NULL, NULL);
}
