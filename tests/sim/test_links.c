/* Connections between simulated nodes, and what befalls them: links that are cut, clogged, slow,
 * that flip bytes or reset; hosts that die or pause. */

#include "tests/sim/host.h"

#include <errno.h>

enum { ACCEPT = 1, RECEIVE = 2, SEND = 3, CONNECT = 4, PORT = 7480 };

static const uint64_t MS_NS = 1000 * 1000;
static const uint64_t SECOND_NS = 1000 * 1000 * 1000;

/* Two hosts; the first connects to the second. */
struct pair {
    struct world *world;
    struct host near;
    struct host far;
    int32_t listener;
    int32_t near_socket;
    int32_t far_socket;
    char address[WORLD_ADDRESS_BYTES];
};

static void pair_boot(struct pair *pair, uint64_t seed, const struct world_options *options) {
    struct error_text error;
    host_boot(&pair->near, seed, options);
    pair->world = pair->near.world;
    host_start(&pair->far, pair->world, world_node_add(pair->world));
    world_address(pair->address, pair->far.node, PORT);
    assert_string_equal(pair->address, "10.0.0.2:7480");
    assert_int_equal(io_listen(pair->far.io, pair->address, 16, &pair->listener, &error), 0);
}

static void pair_end(struct pair *pair) {
    world_kill(pair->world, pair->near.node);
    world_kill(pair->world, pair->far.node);
    host_bury(&pair->near);
    host_bury(&pair->far);
    world_destroy(pair->world);
}

/* Polls both doors and lets the world go on; false if it is at rest, or the time has come. */
static bool pair_step(struct pair *pair, uint64_t until_ns) {
    io_poll(pair->near.io);
    io_poll(pair->far.io);
    return world_step_until(pair->world, until_ns);
}

/* The next completion of a host that comes before a time: kind 0 if there is none. */
static struct io_completion next_until(struct pair *pair, struct host *host, uint64_t until_ns) {
    struct io_completion completion;
    bool goes_on = true;
    while (io_take(host->port, &completion, 1) == 0) {
        if (!goes_on)
            return (struct io_completion){.kind = 0};
        goes_on = pair_step(pair, until_ns);
        io_poll(host->io);
    }
    return completion;
}

static struct io_completion next_within(struct pair *pair, struct host *host, uint64_t ns) {
    return next_until(pair, host, world_now_ns(pair->world) + ns);
}

static void pair_connect(struct pair *pair) {
    io_accept_start(pair->far.port, pair->listener, ACCEPT);
    io_connect_start(pair->near.port, pair->address, CONNECT);
    pair->near_socket = next_within(pair, &pair->near, SECOND_NS).result;
    pair->far_socket = next_within(pair, &pair->far, SECOND_NS).result;
    assert_true(pair->near_socket >= 0 && pair->far_socket >= 0);
    io_receive_start(pair->near.port, pair->near_socket, 0, RECEIVE);
    io_receive_start(pair->far.port, pair->far_socket, 0, RECEIVE);
}

static void pair_boot_connected(struct pair *pair, uint64_t seed) {
    struct world_options options = world_options_calm();
    pair_boot(pair, seed, &options);
    pair_connect(pair);
}

static void send_text(struct pair *pair, struct host *from, int32_t socket, const char *text) {
    struct iovec piece = {(void *)(uintptr_t)text, strlen(text)};
    io_send(from->port, socket, &piece, 1, IO_SEND_TRY, SEND);
    struct io_completion sent = next_within(pair, from, MS_NS);
    assert_int_equal(sent.kind, IO_SEND);
    assert_int_equal(sent.result, strlen(text));
}

/* What a host receives before a time; -EAGAIN: nothing. */
static int32_t receive_until(struct pair *pair, struct host *host, uint64_t until_ns) {
    struct io_completion completion = next_until(pair, host, until_ns);
    if (completion.kind == 0)
        return -EAGAIN;
    assert_int_equal(completion.kind, IO_RECEIVE);
    if (completion.flags & IO_HAS_BUFFER)
        io_buffer_return(host->io, 0, completion.buffer);
    return completion.result;
}

static int32_t receive_within(struct pair *pair, struct host *host, uint64_t ns) {
    return receive_until(pair, host, world_now_ns(pair->world) + ns);
}

/* ---- addresses --------------------------------------------------------------------------- */

static void addresses_of_no_host_are_unreachable(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct pair pair;
    pair_boot(&pair, 1, &options);
    static const struct {
        const char *address;
        int32_t result;
    } CASES[] = {
        {"10.0.0.0:80", -EHOSTUNREACH}, {"10.0.0.3:80", -EHOSTUNREACH},
        {"192.0.2.1:80", -ENETUNREACH}, {"[2001:db8::1]:80", -ENETUNREACH},
        {"10.0.0.2:80", -ECONNREFUSED}, {"127.0.0.1:7480", -ECONNREFUSED},
        {"[::1]:80", -ECONNREFUSED},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        io_connect_start(pair.near.port, CASES[i].address, i);
        assert_int_equal(next_within(&pair, &pair.near, SECOND_NS).result, CASES[i].result);
    }
    struct error_text error;
    int32_t listener;
    assert_int_equal(io_listen(pair.near.io, "10.0.0.2:80", 8, &listener, &error), WEIR_EINVAL);
    pair_end(&pair);
}

static void a_host_reaches_itself(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct pair pair;
    pair_boot(&pair, 1, &options);
    static const char *const OWN[] = {"10.0.0.2:7480", "127.0.0.1:7480", "0.0.0.0:7480",
                                      "[::1]:7480"};
    for (size_t i = 0; i < ARRAY_COUNT(OWN); i++) {
        io_connect_start(pair.far.port, OWN[i], CONNECT);
        assert_true(next_within(&pair, &pair.far, SECOND_NS).result >= 0);
    }
    pair_end(&pair);
}

/* ---- attempts ---------------------------------------------------------------------------- */

static void an_attempt_over_a_cut_link_times_out(void **state) {
    (void)state;
    for (uint32_t direction = 0; direction < 2; direction++) {
        struct world_options options = world_options_calm();
        struct pair pair;
        pair_boot(&pair, 3 + direction, &options);
        io_accept_start(pair.far.port, pair.listener, ACCEPT);
        world_link_cut(pair.world, direction, 1 - direction, true);
        io_connect_start(pair.near.port, pair.address, CONNECT);
        assert_int_equal(next_within(&pair, &pair.near, 126 * SECOND_NS).kind, 0);
        assert_int_equal(next_within(&pair, &pair.near, 2 * SECOND_NS).result, -ETIMEDOUT);
        /* Cut on the way back only, it had arrived, and was accepted. */
        assert_int_equal(next_within(&pair, &pair.far, MS_NS).kind, direction == 0 ? 0 : IO_ACCEPT);
        pair_end(&pair);
    }
}

static void an_attempt_succeeds_when_the_link_is_mended(void **state) {
    (void)state;
    for (uint32_t direction = 0; direction < 2; direction++) {
        struct world_options options = world_options_calm();
        struct pair pair;
        pair_boot(&pair, 5 + direction, &options);
        world_link_cut(pair.world, direction, 1 - direction, true);
        io_connect_start(pair.near.port, pair.address, CONNECT);
        assert_int_equal(next_within(&pair, &pair.near, 10 * SECOND_NS).kind, 0);
        world_link_cut(pair.world, direction, 1 - direction, false);
        assert_int_equal(next_within(&pair, &pair.near, SECOND_NS).kind, 0); /* not at once */
        assert_true(next_within(&pair, &pair.near, 10 * SECOND_NS).result >= 0);
        pair_end(&pair);
    }
}

static void an_attempt_waits_at_a_clogged_link(void **state) {
    (void)state;
    for (uint32_t direction = 0; direction < 2; direction++) {
        struct world_options options = world_options_calm();
        struct pair pair;
        pair_boot(&pair, 7 + direction, &options);
        world_link_clog(pair.world, direction, 1 - direction, true);
        io_connect_start(pair.near.port, pair.address, CONNECT);
        assert_int_equal(next_within(&pair, &pair.near, 10 * SECOND_NS).kind, 0);
        world_link_clog(pair.world, direction, 1 - direction, false);
        assert_true(next_within(&pair, &pair.near, 100 * MS_NS).result >= 0);
        pair_end(&pair);
    }
}

static void a_stopped_attempt_leaves_no_handle_and_no_connection(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct pair pair;
    pair_boot(&pair, 9, &options);
    world_link_cut(pair.world, 0, 1, true);
    int32_t first = host_create(&pair.near, "probe");
    io_close(pair.near.io, first);
    for (uint64_t i = 0; i < 20; i++) {
        io_connect_start(pair.near.port, pair.address, i);
        assert_int_equal(next_within(&pair, &pair.near, 3 * SECOND_NS).kind, 0);
        io_connect_stop(pair.near.port, i);
        assert_int_equal(next_within(&pair, &pair.near, SECOND_NS).result, -ECANCELED);
    }
    world_link_cut(pair.world, 0, 1, false);
    io_accept_start(pair.far.port, pair.listener, ACCEPT);
    assert_int_equal(next_within(&pair, &pair.far, 200 * SECOND_NS).kind, 0);
    assert_int_equal(host_open(&pair.near, "probe", IO_OPEN_READ), first); /* the lowest is free */
    pair_end(&pair);
}

static void attempts_end_with_their_process(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct world_options options = world_options_calm();
        struct pair pair;
        pair_boot(&pair, seed, &options);
        for (uint64_t i = 0; i < 4; i++)
            io_connect_start(pair.near.port, pair.address, i);
        for (uint64_t steps = 0; steps < seed % 8; steps++)
            pair_step(&pair, UINT64_MAX);
        io_poll(pair.near.io);
        if (seed % 3 == 0)
            world_crash(pair.world, pair.near.node, WORLD_KEEP_RANDOM);
        else
            world_kill(pair.world, seed % 3 == 1 ? pair.near.node : pair.far.node);
        for (int i = 0; i < 4 && seed % 3 == 2; i++) {
            int32_t result = next_within(&pair, &pair.near, SECOND_NS).result;
            assert_true(result >= 0 || result == -ECONNREFUSED);
        }
        while (pair_step(&pair, UINT64_MAX)) {
        }
        pair_end(&pair);
    }
}

/* ---- links ------------------------------------------------------------------------------- */

static void a_cut_link_loses_bytes_until_it_is_mended(void **state) {
    (void)state;
    struct pair pair;
    pair_boot_connected(&pair, 11);
    world_link_cut(pair.world, 0, 1, true);
    send_text(&pair, &pair.near, pair.near_socket, "there");
    send_text(&pair, &pair.far, pair.far_socket, "back");
    assert_int_equal(receive_within(&pair, &pair.near, SECOND_NS), 4); /* the other way is open */
    assert_int_equal(receive_within(&pair, &pair.far, 60 * SECOND_NS), -EAGAIN);
    world_link_cut(pair.world, 0, 1, false);
    assert_int_equal(receive_within(&pair, &pair.far, SECOND_NS), -EAGAIN);
    assert_int_equal(receive_within(&pair, &pair.far, 120 * SECOND_NS), 5);
    send_text(&pair, &pair.near, pair.near_socket, "again");
    assert_int_equal(receive_within(&pair, &pair.far, SECOND_NS), 5);
    pair_end(&pair);
}

static void whoever_sends_over_a_cut_link_for_too_long_gives_up(void **state) {
    (void)state;
    struct pair pair;
    pair_boot_connected(&pair, 13);
    world_link_cut(pair.world, 0, 1, true);
    send_text(&pair, &pair.near, pair.near_socket, "x");
    assert_int_equal(receive_within(&pair, &pair.near, 600 * SECOND_NS), -EAGAIN);
    assert_int_equal(receive_within(&pair, &pair.near, 600 * SECOND_NS), -ETIMEDOUT);
    assert_int_equal(receive_within(&pair, &pair.far, SECOND_NS), -EAGAIN); /* knows of nothing */
    world_link_cut(pair.world, 0, 1, false);
    send_text(&pair, &pair.far, pair.far_socket, "y");
    assert_int_equal(receive_within(&pair, &pair.far, SECOND_NS), -ECONNRESET);
    pair_end(&pair);
}

static void a_reset_that_a_cut_link_loses_is_learnt_by_sending(void **state) {
    (void)state;
    struct pair pair;
    pair_boot_connected(&pair, 17);
    io_receive_stop(pair.near.port, pair.near_socket, RECEIVE);
    assert_int_equal(receive_within(&pair, &pair.near, SECOND_NS), -ECANCELED);
    send_text(&pair, &pair.far, pair.far_socket, "unread");
    assert_int_equal(receive_within(&pair, &pair.near, SECOND_NS), -EAGAIN);
    world_link_cut(pair.world, 0, 1, true);
    io_close(pair.near.io, pair.near_socket);
    assert_int_equal(receive_within(&pair, &pair.far, 10 * SECOND_NS), -EAGAIN);
    world_link_cut(pair.world, 0, 1, false);
    assert_int_equal(receive_within(&pair, &pair.far, 300 * SECOND_NS), -EAGAIN); /* half-open */
    send_text(&pair, &pair.far, pair.far_socket, "?");
    assert_int_equal(receive_within(&pair, &pair.far, SECOND_NS), -ECONNRESET);
    pair_end(&pair);
}

static void a_clogged_link_between_nodes_holds_one_direction(void **state) {
    (void)state;
    struct pair pair;
    pair_boot_connected(&pair, 19);
    world_link_clog(pair.world, 1, 0, true);
    send_text(&pair, &pair.near, pair.near_socket, "there");
    send_text(&pair, &pair.far, pair.far_socket, "back");
    assert_int_equal(receive_within(&pair, &pair.far, SECOND_NS), 5);
    assert_int_equal(receive_within(&pair, &pair.near, 60 * SECOND_NS), -EAGAIN);
    world_link_clog(pair.world, 1, 0, false);
    assert_int_equal(receive_within(&pair, &pair.near, MS_NS), 4); /* at once */
    pair_end(&pair);
}

static void a_slow_link_delays_its_own_direction(void **state) {
    (void)state;
    struct pair pair;
    pair_boot_connected(&pair, 23);
    world_link_delay(pair.world, 0, 1, 50 * MS_NS, 60 * MS_NS);
    send_text(&pair, &pair.near, pair.near_socket, "slow");
    send_text(&pair, &pair.far, pair.far_socket, "fast");
    assert_int_equal(receive_within(&pair, &pair.near, MS_NS), 4);
    assert_int_equal(receive_within(&pair, &pair.far, 45 * MS_NS), -EAGAIN);
    assert_int_equal(receive_within(&pair, &pair.far, 16 * MS_NS), 4);
    pair_end(&pair);
}

static void a_reset_link_breaks_both_ends_at_any_byte(void **state) {
    (void)state;
    enum { SEEDS = 200, LENGTH = 8 };
    int arrived[LENGTH + 1] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct pair pair;
        pair_boot_connected(&pair, seed);
        struct iovec piece = {(void *)(uintptr_t) "12345678", LENGTH};
        io_send(pair.near.port, pair.near_socket, &piece, 1, IO_SEND_TRY, SEND);
        io_poll(pair.near.io);
        world_link_cut(pair.world, 1, 0, true); /* which does not save anybody */
        world_link_reset(pair.world, 1, 0);
        assert_int_equal(next_within(&pair, &pair.near, MS_NS).result, LENGTH); /* sent before */
        assert_int_equal(receive_within(&pair, &pair.near, MS_NS), -ECONNRESET);
        int32_t length_bytes = 0;
        int32_t result;
        while ((result = receive_within(&pair, &pair.far, MS_NS)) > 0)
            length_bytes += result;
        arrived[length_bytes]++;
        assert_int_equal(result, -ECONNRESET);
        pair_end(&pair);
    }
    for (int i = 0; i <= LENGTH; i++)
        assert_true(arrived[i] > 0);
}

static void a_reset_link_breaks_attempts_and_what_nobody_has_accepted(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct world_options options = world_options_calm();
        struct pair pair;
        pair_boot(&pair, seed, &options);
        io_connect_start(pair.near.port, pair.address, CONNECT);
        for (uint64_t steps = 0; steps < seed % 4; steps++)
            pair_step(&pair, UINT64_MAX);
        io_poll(pair.near.io);
        world_link_reset(pair.world, 0, 1);
        struct io_completion connected = next_within(&pair, &pair.near, SECOND_NS);
        assert_int_equal(connected.kind, IO_CONNECT);
        assert_true(connected.result >= 0 || connected.result == -ECONNREFUSED);
        if (connected.result >= 0) {
            io_receive_start(pair.near.port, connected.result, 0, RECEIVE);
            assert_int_equal(receive_within(&pair, &pair.near, MS_NS), -ECONNRESET);
        }
        pair_end(&pair);
    }
}

/* Sends a stream of one byte value and counts the wrong ones that arrive. */
static int wrong_bytes(struct pair *pair) {
    enum { TOTAL = 20000 };
    int wrong = 0;
    for (int32_t received = 0; received < TOTAL;) {
        static const char PIECE[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
        send_text(pair, &pair->near, pair->near_socket, PIECE);
        for (int32_t left = (int32_t)strlen(PIECE); left > 0;) {
            struct io_completion completion = next_within(pair, &pair->far, SECOND_NS);
            assert_true(completion.result > 0);
            for (int32_t i = 0; i < completion.result; i++)
                wrong +=
                    pair->far.buffers[completion.buffer * HOST_BUFFER_BYTES + (uint32_t)i] != 'x';
            io_buffer_return(pair->far.io, 0, completion.buffer);
            left -= completion.result;
            received += completion.result;
        }
    }
    return wrong;
}

static void bytes_are_flipped_where_it_was_asked_for(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct pair pair;
    pair_boot(&pair, 29, &options);
    pair_connect(&pair);
    assert_int_equal(wrong_bytes(&pair), 0);
    world_link_flip(pair.world, 0, 1, 300);
    assert_true(wrong_bytes(&pair) > 20);
    world_link_flip(pair.world, 0, 1, 0);
    world_link_flip(pair.world, 1, 0, 1000);
    assert_int_equal(wrong_bytes(&pair), 0);
    pair_end(&pair);
}

static void clients_are_spared_flipped_bytes_unless_they_ask(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    options.network_flip_chance = 1000;
    struct pair pair;
    pair_boot(&pair, 31, &options);
    pair_connect(&pair);
    assert_true(wrong_bytes(&pair) > 100);
    io_accept_stop(pair.far.port, pair.listener);
    assert_int_equal(next_within(&pair, &pair.far, SECOND_NS).result, -ECANCELED);
    for (int asked = 0; asked < 2; asked++) {
        world_link_flip(pair.world, WORLD_OUTSIDE, 1, asked ? 1000 : 0);
        struct world_client *client = world_client_connect(pair.world, 1, PORT);
        io_accept_start(pair.far.port, pair.listener, ACCEPT);
        int32_t socket = next_within(&pair, &pair.far, SECOND_NS).result;
        assert_int_equal(world_client_send(client, "z", 1), 1);
        io_receive_start(pair.far.port, socket, 0, RECEIVE);
        struct io_completion received = next_within(&pair, &pair.far, SECOND_NS);
        assert_int_equal(received.result, 1);
        assert_int_equal(pair.far.buffers[received.buffer * HOST_BUFFER_BYTES] != 'z', asked);
        io_accept_stop(pair.far.port, pair.listener);
        assert_int_equal(next_within(&pair, &pair.far, SECOND_NS).result, -ECANCELED);
    }
    pair_end(&pair);
}

/* How long it takes until so many pieces have crossed; ends the test if bytes are wrong. */
static uint64_t crossing_ns(struct pair *pair) {
    uint64_t from_ns = world_now_ns(pair->world);
    assert_int_equal(wrong_bytes(pair), 0);
    return world_now_ns(pair->world) - from_ns;
}

static void lost_pieces_are_sent_again_and_cost_time(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct pair pair;
    pair_boot(&pair, 37, &options);
    pair_connect(&pair);
    uint64_t usual_ns = crossing_ns(&pair);
    world_link_loss(pair.world, 0, 1, 150);
    uint64_t lossy_ns = crossing_ns(&pair);
    assert_true(lossy_ns > SECOND_NS / 5 && lossy_ns > 2 * usual_ns);
    world_link_loss(pair.world, 0, 1, 0);
    world_link_loss(pair.world, 1, 0, 150);
    assert_true(crossing_ns(&pair) < SECOND_NS / 5);
    pair_end(&pair);
}

/* ---- hosts ------------------------------------------------------------------------------- */

static void peers_of_a_killed_node_see_the_end_or_a_reset(void **state) {
    (void)state;
    enum { SEEDS = 60 };
    int ends = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct pair pair;
        pair_boot_connected(&pair, seed);
        world_kill(pair.world, pair.far.node);
        int32_t result = receive_within(&pair, &pair.near, SECOND_NS);
        assert_true(result == IO_RECEIVE_EOF || result == -ECONNRESET);
        ends += result == IO_RECEIVE_EOF;
        pair_end(&pair);
    }
    assert_true(ends > 20 && ends < SEEDS - 5);
}

static void peers_of_a_host_without_power_hang_or_see_a_reset(void **state) {
    (void)state;
    enum { SEEDS = 60 };
    int hanging = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct pair pair;
        pair_boot_connected(&pair, seed);
        world_crash(pair.world, pair.far.node, WORLD_KEEP_RANDOM);
        int32_t result = receive_within(&pair, &pair.near, 60 * SECOND_NS);
        assert_true(result == -EAGAIN || result == -ECONNRESET);
        hanging += result == -EAGAIN;
        if (result == -EAGAIN) {
            send_text(&pair, &pair.near, pair.near_socket, "?");
            assert_int_equal(receive_within(&pair, &pair.near, SECOND_NS), -ECONNRESET);
        }
        pair_end(&pair);
    }
    assert_true(hanging > 10 && hanging < SEEDS - 10);
}

static void a_paused_node_gets_nothing_while_time_goes_on(void **state) {
    (void)state;
    struct pair pair;
    pair_boot_connected(&pair, 37);
    uint64_t before_ns = io_monotonic_ns(pair.far.io);
    io_timer_set(pair.far.port, before_ns + 5 * MS_NS, 99);
    world_pause(pair.world, pair.far.node, true);
    assert_true(world_paused(pair.world, pair.far.node));
    assert_false(world_paused(pair.world, pair.near.node));
    send_text(&pair, &pair.near, pair.near_socket, "wait");
    io_connect_start(pair.near.port, pair.address, CONNECT); /* its kernel answers */
    assert_true(next_within(&pair, &pair.near, SECOND_NS).result >= 0);
    assert_int_equal(next_within(&pair, &pair.far, SECOND_NS).kind, 0);
    assert_false(world_io_ready(pair.far.io));
    assert_true(io_monotonic_ns(pair.far.io) > before_ns + 900 * MS_NS);
    world_pause(pair.world, pair.far.node, false);
    assert_true(world_io_ready(pair.far.io));
    bool seen[IO_DIRECTORY_SYNC + 1] = {0};
    for (int i = 0; i < 3; i++)
        seen[next_within(&pair, &pair.far, MS_NS).kind] = true;
    assert_true(seen[IO_TIMER] && seen[IO_RECEIVE] && seen[IO_ACCEPT]);
    world_pause(pair.world, pair.far.node, true);
    pair_end(&pair);
}

/* ---- the seed ---------------------------------------------------------------------------- */

/* A run with every fault, in an order of the seed's. */
static uint64_t run_with_faults(uint64_t seed) {
    struct world_options options = world_options_rough();
    options.accept_error_chance = 0;
    options.network_flip_chance = 50;
    struct pair pair;
    pair_boot(&pair, seed, &options);
    io_accept_start(pair.far.port, pair.listener, ACCEPT);
    for (uint64_t round = 0; round < 60; round++) {
        uint64_t dice = world_trace_hash(pair.world) >> 8;
        if (io_outstanding(pair.near.port) < 20)
            io_connect_start(pair.near.port, pair.address, round);
        uint32_t from = dice % 2;
        switch (dice / 2 % 8) {
        case 0: world_link_cut(pair.world, from, 1 - from, dice & 16); break;
        case 1: world_link_clog(pair.world, from, 1 - from, dice & 16); break;
        case 2: world_link_delay(pair.world, from, 1 - from, 0, dice % SECOND_NS); break;
        case 3: world_link_reset(pair.world, 0, 1); break;
        case 4: world_pause(pair.world, from, dice & 16); break;
        case 5: io_connect_stop(pair.near.port, dice % (round + 1)); break;
        default: break;
        }
        struct io_completion got = next_within(&pair, &pair.near, SECOND_NS);
        if (got.kind == IO_CONNECT && got.result >= 0) {
            static const struct iovec PIECE = {(void *)(uintptr_t) "0123456789", 10};
            io_send(pair.near.port, got.result, &PIECE, 1, IO_SEND_WAIT, SEND);
        }
        got = next_within(&pair, &pair.far, 100 * MS_NS);
        if (got.kind == IO_ACCEPT && got.result >= 0)
            io_receive_start(pair.far.port, got.result, 0, RECEIVE);
        else if (got.kind == IO_RECEIVE && (got.flags & IO_HAS_BUFFER))
            io_buffer_return(pair.far.io, 0, got.buffer);
        else if (got.kind == IO_ACCEPT && !(got.flags & IO_MORE))
            io_accept_start(pair.far.port, pair.listener, ACCEPT);
    }
    uint64_t hash = world_trace_hash(pair.world);
    pair_end(&pair);
    return hash;
}

static void the_same_seed_gives_the_same_faults(void **state) {
    (void)state;
    uint64_t before = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        uint64_t hash = run_with_faults(seed);
        assert_int_equal(hash, run_with_faults(seed));
        assert_int_not_equal(hash, before);
        before = hash;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_no_host_are_unreachable),
        cmocka_unit_test(a_host_reaches_itself),
        cmocka_unit_test(an_attempt_over_a_cut_link_times_out),
        cmocka_unit_test(an_attempt_succeeds_when_the_link_is_mended),
        cmocka_unit_test(an_attempt_waits_at_a_clogged_link),
        cmocka_unit_test(a_stopped_attempt_leaves_no_handle_and_no_connection),
        cmocka_unit_test(attempts_end_with_their_process),
        cmocka_unit_test(a_cut_link_loses_bytes_until_it_is_mended),
        cmocka_unit_test(whoever_sends_over_a_cut_link_for_too_long_gives_up),
        cmocka_unit_test(a_reset_that_a_cut_link_loses_is_learnt_by_sending),
        cmocka_unit_test(a_clogged_link_between_nodes_holds_one_direction),
        cmocka_unit_test(a_slow_link_delays_its_own_direction),
        cmocka_unit_test(a_reset_link_breaks_both_ends_at_any_byte),
        cmocka_unit_test(a_reset_link_breaks_attempts_and_what_nobody_has_accepted),
        cmocka_unit_test(bytes_are_flipped_where_it_was_asked_for),
        cmocka_unit_test(clients_are_spared_flipped_bytes_unless_they_ask),
        cmocka_unit_test(lost_pieces_are_sent_again_and_cost_time),
        cmocka_unit_test(peers_of_a_killed_node_see_the_end_or_a_reset),
        cmocka_unit_test(peers_of_a_host_without_power_hang_or_see_a_reset),
        cmocka_unit_test(a_paused_node_gets_nothing_while_time_goes_on),
        cmocka_unit_test(the_same_seed_gives_the_same_faults),
    };
    return cmocka_run_group_tests_name("links between simulated nodes", tests, NULL, NULL);
}
