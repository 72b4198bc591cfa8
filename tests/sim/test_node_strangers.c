/*
 * What comes to the port for members and is none: it is refused, told so if it is a member's HELLO,
 * counted, and closed in time; and the cluster goes on as if nothing had come.
 */

#include "tests/sim/node_talk.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "stages/read_peers.h"
#include "wire/peer_hello.h"

#define SECOND_NS UINT64_C(1000000000)

enum {
    STRANGERS = 60,
    AT_ONCE = 6,
    /* As wire/peer_frame.h and wire/peer_hello.h lay them out. */
    FRAME_VERSION_OFFSET = 5,
    HELLO_VERSION_OFFSET = 8,
};

static struct group group[1];
static const char *const maps[] = {"fused", "split", "pair"};

static void begin(uint64_t seed) {
    group_init_networked(group, seed, 3, maps[seed % 3]);
    for (uint32_t i = 0; i < 3; i++) {
        group_start(group, i);
    }
    group_run(group, 2 * SECOND_NS);
    group_expect(group, group_leader(group) != UINT32_MAX, "somebody leads");
}

static void end(void) {
    uint64_t acked = group->counts.incr_acked;
    group_run(group, SECOND_NS);
    group_expect(group, group->counts.incr_acked > acked + 50, "clients are served");
    group->load_on = false;
    group_expect(group, group_settle(group, 5 * SECOND_NS), "all have applied everything");
    group_free(group);
}

static const struct node *figures(uint32_t index) {
    return sim_node_figures(group->nodes[index].node);
}

static struct world_client *stranger(void) {
    struct world_client *client =
        world_client_connect(group->world, group->hosts[0], SIM_NODE_PEER_PORT);
    assert_non_null(client);
    return client;
}

/* Sends bytes, lets a while pass, and takes what came back; whether the connection has ended. */
static bool say(const void *bytes, size_t length_bytes, uint8_t *answer, size_t *answer_bytes) {
    struct world_client *client = stranger();
    const uint8_t *position = bytes;
    size_t answer_max = *answer_bytes;
    *answer_bytes = 0;
    for (uint32_t i = 0; i < 50; i++) {
        size_t sent = world_client_send(client, position, length_bytes);
        position += sent;
        length_bytes -= sent;
        group_run(group, SECOND_NS / 1000);
        *answer_bytes +=
            world_client_receive(client, answer + *answer_bytes, answer_max - *answer_bytes);
    }
    bool ended = world_client_state(client) != WORLD_CLIENT_OPEN;
    world_client_reset(client);
    return ended;
}

static void other_protocols_are_closed_without_an_answer(void **state) {
    (void)state;
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\nHost: weir\r\n\r\n",
        "*1\r\n$4\r\nPING\r\n",
        "PING\r\n",
        "\x16\x03\x01\x02\x01\x01\x01\xfc\x03\x03 some handshake of TLS, longer than a header is",
        "\x30\x01\x01\x01\x01\x01\x01\x01 a length that could be, and nonsense behind it ......",
    };
    for (uint64_t seed = 1; seed <= 3; seed++) {
        begin(seed);
        for (uint32_t i = 0; i < ARRAY_COUNT(texts); i++) {
            uint64_t refused = node_figure(&figures(0)->parse.peers_refused);
            uint8_t answer[256];
            size_t answer_bytes = sizeof(answer);
            assert_true(say(texts[i], strlen(texts[i]), answer, &answer_bytes));
            assert_int_equal(answer_bytes, 0);
            assert_int_equal(node_figure(&figures(0)->parse.peers_refused), refused + 1);
        }
        end();
    }
}

/* A HELLO frame of a protocol's version; returns its length. */
static uint32_t hello_make_of(uint8_t out[PEER_HELLO_FRAME_BYTES_MAX],
                              const struct peer_hello *hello, uint32_t version) {
    uint32_t body_bytes = peer_hello_write(out + PEER_FRAME_HEADER_BYTES, hello);
    bytes_put_u32(out + PEER_FRAME_HEADER_BYTES + HELLO_VERSION_OFFSET, version);
    struct peer_frame_writer writer;
    peer_frame_writer_begin(&writer);
    const struct peer_frame_span span = {out + PEER_FRAME_HEADER_BYTES, body_bytes};
    return peer_frame_write(&writer, out, PEER_FRAME_HELLO, &span, 1);
}

static uint32_t hello_make(uint8_t out[PEER_HELLO_FRAME_BYTES_MAX],
                           const struct peer_hello *hello) {
    return hello_make_of(out, hello, PEER_PROTOCOL_VERSION);
}

/* What member 2 says of itself to the node, rightly. */
static struct peer_hello hello_of_2(enum peer_connection connection) {
    return (struct peer_hello){.connection = connection,
                               .cluster_id = figures(0)->options->identity.cluster_id,
                               .from = 2,
                               .incarnation = figures(1)->options->identity.incarnation,
                               .to = 1};
}

/* What was answered: exactly one frame. */
static enum peer_handshake answer_read(const uint8_t *answer, size_t answer_bytes) {
    struct peer_frame_reader reader;
    struct peer_frame read;
    struct peer_answer said;
    assert_int_equal(answer_bytes, PEER_ANSWER_FRAME_BYTES);
    peer_frame_reader_begin(&reader, PEER_FRAME_HELLO_ANSWER, PEER_HELLO_FRAME_BYTES_MAX);
    assert_int_equal(peer_frame_read(&reader, answer, answer_bytes, &read), PEER_FRAME_COMPLETE);
    assert_int_equal(peer_answer_read(read.body, read.body_bytes, false, &said), PEER_HELLO_VALID);
    assert_int_equal(said.from, 1);
    return said.result;
}

static void expect_refusal(const struct peer_hello *hello, enum peer_handshake result) {
    uint8_t frame[PEER_HELLO_FRAME_BYTES_MAX];
    uint8_t answer[256];
    size_t answer_bytes = sizeof(answer);
    assert_true(say(frame, hello_make(frame, hello), answer, &answer_bytes));
    assert_int_equal(answer_read(answer, answer_bytes), result);
}

/* Every reason to refuse has its answer; the connections that the members have are not touched. */
static void who_is_no_member_is_told_why(void **state) {
    (void)state;
    for (uint64_t seed = 11; seed <= 13; seed++) {
        begin(seed);
        struct peer_hello right = hello_of_2(PEER_CONNECTION_CONTROL);
        right.known = figures(0)->options->identity.incarnation;
        uint64_t introduced = node_figure(&figures(0)->parse.peers_introduced);
        struct peer_hello hello = right;
        hello.cluster_id++;
        expect_refusal(&hello, PEER_REFUSED_CLUSTER);
        hello = right;
        hello.to = 3;
        expect_refusal(&hello, PEER_REFUSED_RECEIVER);
        hello = right;
        hello.from = 9;
        expect_refusal(&hello, PEER_REFUSED_SENDER);
        hello = right;
        hello.incarnation++;
        expect_refusal(&hello, PEER_REFUSED_INCARNATION);
        hello = right;
        hello.known++;
        expect_refusal(&hello, PEER_REFUSED_INCARNATION);
        assert_int_equal(node_figure(&figures(0)->parse.peers_introduced), introduced);
        assert_int_equal(node_figure(&figures(0)->parse.peers_replaced), 0);
        end();
    }
}

/* Of another version of what frames say, or of frames themselves: it is told so, whatever else it
 * says, and counted; also where it would have been let in. */
static void who_speaks_another_version_is_told_so(void **state) {
    (void)state;
    static const struct {
        uint32_t protocol;
        uint8_t frames;
    } versions[] = {
        {PEER_PROTOCOL_VERSION + 1, PEER_FRAME_VERSION},
        {PEER_PROTOCOL_VERSION - 1, PEER_FRAME_VERSION},
        {UINT32_MAX, PEER_FRAME_VERSION},
        {PEER_PROTOCOL_VERSION, PEER_FRAME_VERSION + 1},
        {PEER_PROTOCOL_VERSION, PEER_FRAME_VERSION - 1},
        {PEER_PROTOCOL_VERSION + 1, PEER_FRAME_VERSION + 1},
    };
    for (uint64_t seed = 61; seed <= 63; seed++) {
        begin(seed);
        const struct peer_hello right = hello_of_2(PEER_CONNECTION_CONTROL);
        const struct node_parse_figures *parse = &figures(0)->parse;
        uint64_t introduced = node_figure(&parse->peers_introduced);
        for (uint32_t i = 0; i < ARRAY_COUNT(versions); i++) {
            uint8_t frame[PEER_HELLO_FRAME_BYTES_MAX];
            uint8_t answer[256];
            size_t answer_bytes = sizeof(answer);
            uint64_t refused = node_figure(&parse->peers_refused);
            uint32_t frame_bytes = hello_make_of(frame, &right, versions[i].protocol);
            frame[FRAME_VERSION_OFFSET] = versions[i].frames;
            assert_true(say(frame, frame_bytes, answer, &answer_bytes));
            assert_int_equal(answer_read(answer, answer_bytes), PEER_REFUSED_VERSION);
            assert_int_equal(node_figure(&parse->peers_refused), refused + 1);
        }
        assert_int_equal(node_figure(&parse->peers_introduced), introduced);
        assert_int_equal(node_figure(&parse->peers_replaced), 0);
        end();
    }
}

/* As if a member had opened a second one: the older is closed, and its opener comes again. */
static void a_newer_connection_replaces_the_older_one(void **state) {
    (void)state;
    begin(21);
    const struct peer_hello hello = hello_of_2(PEER_CONNECTION_DATA);
    uint8_t frame[PEER_HELLO_FRAME_BYTES_MAX];
    uint8_t answer[256];
    size_t answer_bytes = sizeof(answer);
    uint64_t opened = node_figure(&figures(1)->write.peers_opened);
    (void)say(frame, hello_make(frame, &hello), answer, &answer_bytes);
    assert_int_equal(answer_bytes, PEER_FRAME_HEADER_BYTES + PEER_ANSWER_BYTES);
    group_run(group, SECOND_NS);
    assert_true(node_figure(&figures(0)->parse.peers_replaced) >= 2); /* and that one's, too */
    assert_true(node_figure(&figures(1)->write.peers_opened) > opened);
    end();
}

/* A member opens many at once, while the node stands still: for one there is room, its predecessor
 * has yet to end, and whoever comes then is told to come later. */
static void who_finds_no_room_is_told_so(void **state) {
    (void)state;
    for (uint64_t seed = 41; seed <= 43; seed++) {
        begin(seed);
        const struct peer_hello hello = hello_of_2(PEER_CONNECTION_DATA);
        uint8_t frame[PEER_HELLO_FRAME_BYTES_MAX];
        uint32_t frame_bytes = hello_make(frame, &hello);
        struct world_client *clients[AT_ONCE];
        group->nodes[0].paused = true;
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            clients[i] = stranger();
            assert_int_equal(world_client_send(clients[i], frame, frame_bytes), frame_bytes);
        }
        group_run(group, SECOND_NS / 100);
        group->nodes[0].paused = false;
        group_run(group, SECOND_NS / 10);
        uint32_t busy = 0;
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            uint8_t answer[256];
            size_t bytes = world_client_receive(clients[i], answer, sizeof(answer));
            enum peer_handshake result = answer_read(answer, bytes);
            assert_true(result == PEER_ACCEPTED || result == PEER_REFUSED_BUSY);
            busy += result == PEER_REFUSED_BUSY;
            world_client_reset(clients[i]);
        }
        assert_true(busy > 0);
        assert_true(busy < AT_ONCE);
        end();
    }
}

static void info_shows_the_connections_between_members(void **state) {
    (void)state;
    begin(51);
    static struct talk talk;
    uint32_t leader = group_leader(group);
    talk_open(&talk, group, leader);
    const char *answer = talk_ask(&talk, "info peers replication");
    static const char *const lines[] = {
        "# Peers\r\npeers_port:7380\r\npeers_in_open:4\r\n",
        "\r\npeers_in_refused:0\r\n",
        "\r\npeers_in_broken:0\r\n",
        "\r\npeers_out_open:4\r\n",
        "\r\npeers_out_refused:0\r\n",
        "\r\npeers_dropped:0\r\n",
        "\r\nconnected_slaves:2\r\nslave0:ip=10.0.0.",
        ",port=7379,state=online,offset=",
        "\r\nslave1:ip=10.0.0.",
        "\r\nmaster_repl_offset:",
    };
    for (uint32_t i = 0; i < ARRAY_COUNT(lines); i++) {
        if (strstr(answer, lines[i]) == NULL) {
            fail_msg("no \"%s\" in %s", lines[i], answer);
        }
    }
    const struct node_parse_figures *parse = &figures(leader)->parse;
    char line[64];
    snprintf(line, sizeof(line), "\r\npeers_in_introduced:%lu\r\n",
             node_figure(&parse->peers_introduced));
    assert_non_null(strstr(answer, line));
    talk_close(&talk);
    talk_open(&talk, group, (leader + 1) % 3);
    assert_non_null(strstr(talk_ask(&talk, "info replication"), "\r\nconnected_slaves:0\r\n"));
    talk_close(&talk);
    end();
}

/* Many who say nothing: the oldest make room, the others are too late; and nobody stays. */
static void who_says_nothing_goes_and_keeps_no_member_out(void **state) {
    (void)state;
    for (uint64_t seed = 31; seed <= 33; seed++) {
        begin(seed);
        struct world_client *clients[STRANGERS];
        uint64_t open = node_figure(&figures(0)->read.peers_connections);
        for (uint32_t i = 0; i < STRANGERS; i++) {
            clients[i] = stranger();
            if (i % 3 == 0) {
                (void)world_client_send(clients[i], "\x60\x00", 2); /* a length begins */
            }
            group_run(group, random_below(&group->random, SECOND_NS / 100));
            assert_true(node_figure(&figures(0)->read.peers_connections) <=
                        open + PEER_STRANGERS_MAX + 3);
        }
        group_crash(group, 1); /* it comes back while they are there */
        group_start(group, 1);
        group_run(group, PEER_HANDSHAKE_NS + SECOND_NS);
        assert_int_equal(node_figure(&figures(0)->read.peers_connections), open);
        assert_true(node_figure(&figures(0)->read.peers_rejected) >= STRANGERS);
        for (uint32_t i = 0; i < STRANGERS; i++) {
            assert_true(world_client_state(clients[i]) != WORLD_CLIENT_OPEN);
            world_client_reset(clients[i]);
        }
        end();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_protocols_are_closed_without_an_answer),
        cmocka_unit_test(who_is_no_member_is_told_why),
        cmocka_unit_test(who_speaks_another_version_is_told_so),
        cmocka_unit_test(a_newer_connection_replaces_the_older_one),
        cmocka_unit_test(who_finds_no_room_is_told_so),
        cmocka_unit_test(info_shows_the_connections_between_members),
        cmocka_unit_test(who_says_nothing_goes_and_keeps_no_member_out),
    };
    return cmocka_run_group_tests_name("sim_node_strangers", tests, NULL, NULL);
}
