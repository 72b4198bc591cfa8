/* Whoever listens to the simulated network hears what nodes send each other: all of it, when it is
 * sent and when it arrives, and nothing else. */

#include "tests/sim/host.h"

#include <errno.h>

enum { ACCEPT = 1, RECEIVE = 2, SEND = 3, CONNECT = 4, PORT = 7480, HEARD_MAX = 256 };

static const uint64_t SECOND_NS = 1000 * 1000 * 1000;

/* What was heard of one direction. */
static struct {
    char sent[HEARD_MAX];
    char arrived[HEARD_MAX];
    size_t sent_bytes;
    size_t arrived_bytes;
} heard[2]; /* by the host that sends */

static uint64_t connection;

static void hear(void *context, const struct world_bytes *bytes) {
    assert_ptr_equal(context, &heard);
    assert_true(bytes->from < 2 && bytes->to == 1 - bytes->from && bytes->length_bytes > 0);
    assert_int_equal(bytes->opener, bytes->from == 0);
    assert_true(connection == 0 || connection == bytes->connection);
    connection = bytes->connection;
    char *out = bytes->arrived ? heard[bytes->from].arrived : heard[bytes->from].sent;
    size_t *used =
        bytes->arrived ? &heard[bytes->from].arrived_bytes : &heard[bytes->from].sent_bytes;
    assert_true(*used + bytes->length_bytes < HEARD_MAX);
    memcpy(out + *used, bytes->bytes, bytes->length_bytes);
    *used += bytes->length_bytes;
    out[*used] = '\0';
}

/* Two hosts with a connection, which the first one has opened. */
static struct {
    struct world *world;
    struct host hosts[2];
    int32_t sockets[2];
} pair;

/* Lets the world go on until a host has a completion of this kind; its result. */
static int32_t next_of(uint32_t host, uint8_t kind) {
    struct io_completion completion;
    uint64_t until_ns = world_now_ns(pair.world) + 100 * SECOND_NS;
    while (world_now_ns(pair.world) < until_ns) {
        io_poll(pair.hosts[0].io);
        io_poll(pair.hosts[1].io);
        while (io_take(pair.hosts[host].port, &completion, 1) == 1) {
            if (completion.flags & IO_HAS_BUFFER)
                io_buffer_return(pair.hosts[host].io, 0, completion.buffer);
            if (completion.kind == kind)
                return completion.result;
        }
        (void)world_step_until(pair.world, until_ns);
    }
    return -ETIMEDOUT;
}

static int connected(void **state) {
    (void)state;
    struct world_options options = world_options_calm();
    struct error_text error;
    char address[WORLD_ADDRESS_BYTES];
    int32_t listener;
    memset(&heard, 0, sizeof(heard));
    connection = 0;
    host_boot(&pair.hosts[0], 1, &options);
    pair.world = pair.hosts[0].world;
    host_start(&pair.hosts[1], pair.world, world_node_add(pair.world));
    world_listen(pair.world, hear, &heard);
    world_address(address, pair.hosts[1].node, PORT);
    assert_int_equal(io_listen(pair.hosts[1].io, address, 16, &listener, &error), 0);
    io_accept_start(pair.hosts[1].port, listener, ACCEPT);
    io_connect_start(pair.hosts[0].port, address, CONNECT);
    pair.sockets[0] = next_of(0, IO_CONNECT);
    pair.sockets[1] = next_of(1, IO_ACCEPT);
    assert_true(pair.sockets[0] >= 0 && pair.sockets[1] >= 0);
    for (uint32_t i = 0; i < 2; i++)
        io_receive_start(pair.hosts[i].port, pair.sockets[i], 0, RECEIVE);
    return 0;
}

static int ended(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        world_kill(pair.world, pair.hosts[i].node);
        host_bury(&pair.hosts[i]);
    }
    world_destroy(pair.world);
    return 0;
}

static void send_text(uint32_t from, const char *text) {
    struct iovec pieces[2] = {{(void *)(uintptr_t)text, 1},
                              {(void *)(uintptr_t)(text + 1), strlen(text) - 1}};
    io_send(pair.hosts[from].port, pair.sockets[from], pieces, 2, IO_SEND_TRY, SEND);
    assert_int_equal(next_of(from, IO_SEND), strlen(text));
}

static void what_is_sent_is_heard_when_it_is_sent_and_when_it_arrives(void **state) {
    (void)state;
    send_text(0, "hello");
    assert_string_equal(heard[0].sent, "hello");
    for (int32_t got = 0; got < 5;)
        got += next_of(1, IO_RECEIVE);
    assert_string_equal(heard[0].arrived, "hello");
    assert_int_equal(heard[1].sent_bytes, 0);
    send_text(1, "and back");
    for (int32_t got = 0; got < 8;)
        got += next_of(0, IO_RECEIVE);
    assert_string_equal(heard[1].sent, "and back");
    assert_string_equal(heard[1].arrived, "and back");
    assert_string_equal(heard[0].sent, "hello");
}

static void what_is_lost_on_a_cut_link_has_not_arrived(void **state) {
    (void)state;
    world_link_cut(pair.world, 0, 1, true);
    send_text(0, "lost");
    (void)world_step_until(pair.world, world_now_ns(pair.world) + SECOND_NS);
    assert_string_equal(heard[0].sent, "lost");
    assert_int_equal(heard[0].arrived_bytes, 0);
    world_link_cut(pair.world, 0, 1, false);
    for (int32_t got = 0; got < 4;)
        got += next_of(1, IO_RECEIVE);
    assert_string_equal(heard[0].sent, "lost"); /* it is sent once, whatever the network does */
    assert_string_equal(heard[0].arrived, "lost");
}

static void a_flipped_byte_is_heard_as_it_was_sent(void **state) {
    (void)state;
    world_link_flip(pair.world, 0, 1, 1000);
    send_text(0, "right");
    for (int32_t got = 0; got < 5;)
        got += next_of(1, IO_RECEIVE);
    assert_string_equal(heard[0].arrived, "right");
}

static void a_client_and_who_listens_no_longer_hear_nothing(void **state) {
    (void)state;
    struct world_client *client = world_client_connect(pair.world, pair.hosts[1].node, PORT);
    assert_non_null(client);
    assert_int_equal(world_client_send(client, "outside", 7), 7);
    (void)next_of(1, IO_ACCEPT);
    assert_int_equal(heard[0].sent_bytes + heard[1].sent_bytes + heard[0].arrived_bytes, 0);
    world_client_close(client);
    world_listen(pair.world, NULL, NULL);
    send_text(0, "alone");
    assert_int_equal(heard[0].sent_bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_client_and_who_listens_no_longer_hear_nothing, connected,
                                        ended),
        cmocka_unit_test_setup_teardown(what_is_lost_on_a_cut_link_has_not_arrived, connected,
                                        ended),
        cmocka_unit_test_setup_teardown(a_flipped_byte_is_heard_as_it_was_sent, connected, ended),
        cmocka_unit_test_setup_teardown(what_is_sent_is_heard_when_it_is_sent_and_when_it_arrives,
                                        connected, ended),
    };
    return cmocka_run_group_tests_name("sim_listen", tests, NULL, NULL);
}
