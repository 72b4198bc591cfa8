/*
 * Members that have a secret in common: they serve as others do; who has another secret, or none,
 * is no member; and what was once said on a connection is worth nothing on another, nor a second
 * time.
 */

#include "tests/sim/node_group.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "stages/read_peers.h"
#include "wire/peer_hello.h"

#define SECOND_NS UINT64_C(1000000000)

enum { REPLAYS = 40, ANSWER_MAX = 256, MESSAGE_BYTES = 64 };

static const char right[] = "what all members know";
static const struct peer_frame_span nothing = {NULL, 0};
static struct group group[1];
static struct gmac tags; /* of what the test says */
static const char *const maps[] = {"fused", "split", "pair"};

static void begin(uint64_t seed, const char *const secrets[3]) {
    group_init_networked(group, seed, 3, maps[seed % 3]);
    for (uint32_t i = 0; i < 3; i++) {
        group->nodes[i].options.secret = secrets[i];
        group_start(group, i);
    }
    group_run(group, 2 * SECOND_NS);
    group_expect(group, group_leader(group) != UINT32_MAX, "somebody leads");
}

static void begin_alike(uint64_t seed) {
    begin(seed, (const char *const[]){right, right, right});
}

static void expect_service(void) {
    uint64_t acked = group->counts.incr_acked;
    group_run(group, SECOND_NS);
    group_expect(group, group->counts.incr_acked > acked + 50, "clients are served");
}

static void end(void) {
    expect_service();
    group->load_on = false;
    group_expect(group, group_settle(group, 5 * SECOND_NS), "all have applied everything");
    group_free(group);
}

static const struct node *figures(uint32_t index) {
    return sim_node_figures(group->nodes[index].node);
}

static uint64_t unauthenticated(uint32_t index) {
    return node_figure(&figures(index)->parse.peers_unauthenticated);
}

/* ---- members ------------------------------------------------------------------------------- */

static void members_with_one_secret_serve(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        begin_alike(seed);
        for (uint32_t i = 0; i < 3; i++) {
            assert_int_equal(unauthenticated(i), 0);
            assert_int_equal(node_figure(&figures(i)->parse.peers_refused), 0);
            assert_int_equal(node_figure(&figures(i)->parse.peers_broken), 0);
            assert_true(node_figure(&figures(i)->parse.peers_introduced) >= 4);
            assert_int_equal(node_figure(&figures(i)->write.peers_open), 4);
        }
        end();
    }
}

/* A member that comes back with another secret, with none, or whom the others have none for: it is
 * refused by both sides, and told why; it takes part again as soon as it has theirs. */
static void a_member_with_another_secret_is_kept_out(const char *others, const char *its) {
    for (uint64_t seed = 11; seed <= 13; seed++) {
        begin(seed, (const char *const[]){others, others, others});
        group_crash(group, 2);
        group->nodes[2].options.secret = its;
        group_start(group, 2);
        group_run(group, SECOND_NS);
        uint64_t applied = node_figure(&figures(2)->apply.applied_index);
        expect_service();
        assert_int_equal(node_figure(&figures(2)->apply.applied_index), applied);
        assert_int_equal(node_figure(&figures(2)->parse.peers_introduced), 0);
        assert_int_equal(node_figure(&figures(2)->write.peers_open), 0);
        assert_true(unauthenticated(2) > 0);
        assert_true(node_figure(&figures(2)->write.peers_refused) > 0);
        for (uint32_t i = 0; i < 2; i++) {
            assert_true(unauthenticated(i) > 0);
            assert_true(node_figure(&figures(i)->write.peers_refused) > 0);
            assert_int_equal(node_figure(&figures(i)->write.peers_open), 2);
        }
        group_crash(group, 2);
        group->nodes[2].options.secret = others;
        group_start(group, 2);
        group_run(group, 2 * SECOND_NS);
        end();
    }
}

static void who_has_another_secret_is_no_member(void **state) {
    (void)state;
    a_member_with_another_secret_is_kept_out(right, "what all members knoW");
}

static void who_has_no_secret_is_no_member(void **state) {
    (void)state;
    a_member_with_another_secret_is_kept_out(right, NULL);
}

static void who_alone_has_a_secret_is_no_member(void **state) {
    (void)state;
    a_member_with_another_secret_is_kept_out(NULL, right);
}

/* ---- a stranger that speaks the protocol ---------------------------------------------------- */

/* What has been said on a connection of the test's own to node 1, as if by node 2. */
struct said {
    struct mac_key secret;
    struct peer_frame_keys keys;
    struct world_client *client;
    struct peer_frame_writer writer;
    uint8_t hello[PEER_HELLO_FRAME_BYTES_MAX];
    uint32_t hello_bytes;
    uint8_t answer[ANSWER_MAX];
    size_t answer_bytes;
    uint8_t frame[PEER_FRAME_HEADER_BYTES + MESSAGE_BYTES];
};

static void hello_make(struct said *said, enum peer_connection connection) {
    struct peer_hello hello = {.connection = connection,
                               .cluster_id = figures(0)->options->identity.cluster_id,
                               .from = 2,
                               .incarnation = figures(1)->options->identity.incarnation,
                               .to = 1};
    memset(hello.nonce, 0x5a, sizeof(hello.nonce));
    memset(said, 0, sizeof(*said));
    mac_key_set(&said->secret, right, strlen(right));
    const struct peer_frame_span body = {
        said->hello + PEER_FRAME_HEADER_BYTES,
        peer_hello_write(said->hello + PEER_FRAME_HEADER_BYTES, &hello)};
    peer_frame_writer_begin(&said->writer);
    peer_frame_writer_authenticate(&said->writer, &said->secret, nothing);
    said->hello_bytes = peer_frame_write(&said->writer, said->hello, PEER_FRAME_HELLO, &body, 1);
}

static void say(struct said *said, const uint8_t *bytes, size_t length_bytes) {
    assert_int_equal(world_client_send(said->client, bytes, length_bytes), length_bytes);
    group_run(group, SECOND_NS / 20);
    said->answer_bytes += world_client_receive(said->client, said->answer + said->answer_bytes,
                                               ANSWER_MAX - said->answer_bytes);
}

static bool has_ended(struct said *said) {
    uint8_t rest[ANSWER_MAX];
    (void)world_client_receive(said->client, rest, sizeof(rest)); /* the end stands behind it */
    return world_client_state(said->client) != WORLD_CLIENT_OPEN;
}

static void greet(struct said *said) {
    said->client = world_client_connect(group->world, group->hosts[0], SIM_NODE_PEER_PORT);
    assert_non_null(said->client);
    said->answer_bytes = 0;
    say(said, said->hello, said->hello_bytes);
}

/* The answer has the secret, and accepts; then the writer stands before the PROOF. */
static void expect_accepted(struct said *said) {
    struct peer_frame_reader reader;
    struct peer_frame frame;
    struct peer_answer answer;
    const struct peer_frame_span hello = {said->hello, said->hello_bytes};
    assert_int_equal(said->answer_bytes, PEER_ANSWER_FRAME_BYTES);
    peer_frame_reader_begin(&reader, PEER_FRAME_HELLO_ANSWER, PEER_HELLO_FRAME_BYTES_MAX);
    peer_frame_reader_authenticate(&reader, &said->secret, hello);
    assert_int_equal(peer_frame_read(&reader, said->answer, said->answer_bytes, &frame),
                     PEER_FRAME_COMPLETE);
    assert_int_equal(peer_answer_read(frame.body, frame.body_bytes, true, &answer),
                     PEER_HELLO_VALID);
    assert_int_equal(answer.result, PEER_ACCEPTED);
    const struct peer_frame_span whole = {said->answer, PEER_ANSWER_FRAME_BYTES};
    said->keys.messages = tags;
    peer_frame_keys_set(&said->keys, &said->secret, &hello, &whole);
    said->writer.sequence = 1;
    peer_frame_writer_accepted(&said->writer,
                               peer_frame_seed(peer_frame_checksum(said->hello), frame.checksum));
    peer_frame_writer_authenticate_messages(&said->writer, &said->keys);
}

static uint32_t proof_make(struct said *said) {
    return peer_frame_write(&said->writer, said->frame, PEER_FRAME_PROOF, NULL, 0);
}

/* A body that no message has: it passes the frame, and nothing behind it. */
static uint32_t message_make(struct said *said) {
    uint8_t *body = said->frame + PEER_FRAME_HEADER_BYTES;
    memset(body, 0xee, MESSAGE_BYTES);
    const struct peer_frame_span span = {body, MESSAGE_BYTES};
    return peer_frame_write(&said->writer, said->frame, PEER_FRAME_MESSAGE, &span, 1);
}

struct counts {
    uint64_t introduced, replaced, refused, unauthenticated, broken;
};

static struct counts counts(void) {
    const struct node_parse_figures *parse = &figures(0)->parse;
    return (struct counts){node_figure(&parse->peers_introduced),
                           node_figure(&parse->peers_replaced), node_figure(&parse->peers_refused),
                           node_figure(&parse->peers_unauthenticated),
                           node_figure(&parse->peers_broken)};
}

/* A recorded HELLO is answered, since only what follows shows that it was recorded.  The PROOF that
 * was recorded with it does not fit the new nonce; and no connection of the member's is touched. */
static void a_recorded_handshake_gets_no_further_than_its_answer(void **state) {
    (void)state;
    for (uint64_t seed = 21; seed <= 23; seed++) {
        begin_alike(seed);
        struct said said;
        hello_make(&said, PEER_CONNECTION_CONTROL);
        greet(&said);
        expect_accepted(&said);
        uint8_t recorded[PEER_FRAME_HEADER_BYTES];
        (void)proof_make(&said);
        memcpy(recorded, said.frame, sizeof(recorded));
        world_client_reset(said.client);
        group_run(group, SECOND_NS / 10);
        struct counts before = counts();
        greet(&said);
        assert_int_equal(said.answer_bytes, PEER_ANSWER_FRAME_BYTES);
        say(&said, recorded, sizeof(recorded));
        assert_true(has_ended(&said));
        struct counts now = counts();
        assert_int_equal(now.introduced, before.introduced);
        assert_int_equal(now.replaced, before.replaced);
        assert_int_equal(now.refused, before.refused + 1);
        assert_int_equal(now.unauthenticated, before.unauthenticated + 1);
        world_client_reset(said.client);
        end();
    }
}

/* A member that was not replaced yet, when versions of this program are: it has the secret, and is
 * told why it stays out; an answer that it can read, for that layout is for ever. */
static void a_member_of_the_version_before_is_told_so(void **state) {
    (void)state;
    struct said said;
    struct peer_frame_reader reader;
    struct peer_frame frame;
    struct peer_answer answer;
    begin_alike(26);
    hello_make(&said, PEER_CONNECTION_CONTROL);
    uint8_t *body = said.hello + PEER_FRAME_HEADER_BYTES;
    const struct peer_frame_span span = {body, said.hello_bytes - PEER_FRAME_HEADER_BYTES};
    bytes_put_u32(body + 8, PEER_PROTOCOL_VERSION - 1);
    peer_frame_writer_begin(&said.writer);
    peer_frame_writer_authenticate(&said.writer, &said.secret, nothing);
    (void)peer_frame_write(&said.writer, said.hello, PEER_FRAME_HELLO, &span, 1);
    struct counts before = counts();
    greet(&said);
    peer_frame_reader_begin(&reader, PEER_FRAME_HELLO_ANSWER, PEER_HELLO_FRAME_BYTES_MAX);
    assert_int_equal(peer_frame_read(&reader, said.answer, said.answer_bytes, &frame),
                     PEER_FRAME_COMPLETE);
    assert_int_equal(peer_answer_read(frame.body, frame.body_bytes, false, &answer),
                     PEER_HELLO_VALID);
    assert_int_equal(answer.result, PEER_REFUSED_VERSION);
    assert_string_equal(peer_handshake_name(answer.result),
                        "it speaks another version of the protocol");
    assert_true(has_ended(&said));
    assert_int_equal(counts().refused, before.refused + 1);
    assert_int_equal(counts().introduced, before.introduced);
    assert_int_equal(counts().unauthenticated, before.unauthenticated);
    world_client_reset(said.client);
    end();
}

/* The control of the recorded handshake: with the right PROOF it is let in.  Then a message of
 * which all is right but the tag ends it; one whose tag is right does not, but for its body. */
static void with_a_proof_it_is_let_in_until_a_tag_is_wrong(void **state) {
    (void)state;
    for (uint64_t seed = 31; seed <= 36; seed++) {
        begin_alike(seed);
        struct said said;
        bool forged = seed % 2 == 0;
        hello_make(&said, PEER_CONNECTION_DATA);
        greet(&said);
        expect_accepted(&said);
        uint8_t both[2 * PEER_FRAME_HEADER_BYTES + MESSAGE_BYTES];
        uint32_t proof_bytes = proof_make(&said);
        memcpy(both, said.frame, proof_bytes);
        if (forged) {
            static const uint8_t guessed[GMAC_KEY_BYTES] = "a key that was guessed";
            gmac_key_set(&said.keys.messages, guessed);
        }
        uint32_t message_bytes = message_make(&said);
        memcpy(both + proof_bytes, said.frame, message_bytes);
        struct counts before = counts();
        say(&said, both, proof_bytes + message_bytes);
        struct counts now = counts();
        assert_true(now.introduced > before.introduced);
        assert_true(now.replaced > before.replaced);
        assert_int_equal(now.unauthenticated, before.unauthenticated + forged);
        assert_int_equal(now.broken, before.broken + forged);
        assert_true(has_ended(&said)); /* if for nothing else, since the member came again */
        world_client_reset(said.client);
        group_run(group, SECOND_NS / 2);
        end();
    }
}

/* The second time a frame is refused by its number, which is under the tag. */
static void a_repeated_frame_ends_the_connection(void **state) {
    (void)state;
    begin_alike(42);
    struct said said;
    hello_make(&said, PEER_CONNECTION_CONTROL);
    greet(&said);
    expect_accepted(&said);
    uint32_t length_bytes = proof_make(&said);
    uint8_t twice[2 * PEER_FRAME_HEADER_BYTES];
    memcpy(twice, said.frame, length_bytes);
    memcpy(twice + length_bytes, said.frame, length_bytes);
    struct counts before = counts();
    say(&said, twice, 2 * (size_t)length_bytes);
    assert_true(has_ended(&said));
    assert_true(counts().broken > before.broken);
    world_client_reset(said.client);
    group_run(group, SECOND_NS); /* the member comes again */
    end();
}

/* Recorded HELLOs, many and all the time: a member that starts meanwhile gets through. */
static void recorded_greetings_keep_no_member_out(void **state) {
    (void)state;
    for (uint64_t seed = 51; seed <= 53; seed++) {
        begin_alike(seed);
        struct said said[REPLAYS];
        uint64_t open = node_figure(&figures(0)->read.peers_connections);
        hello_make(&said[0], PEER_CONNECTION_CONTROL);
        group_crash(group, 1);
        group_start(group, 1);
        for (uint32_t i = 0; i < REPLAYS; i++) {
            if (i > 0) {
                said[i] = said[0];
            }
            said[i].client =
                world_client_connect(group->world, group->hosts[0], SIM_NODE_PEER_PORT);
            assert_non_null(said[i].client);
            (void)world_client_send(said[i].client, said[i].hello, said[i].hello_bytes);
            group_run(group, random_below(&group->random, SECOND_NS / 50));
            assert_true(node_figure(&figures(0)->read.peers_connections) <=
                        open + PEER_STRANGERS_MAX + 3);
        }
        group_run(group, SECOND_NS);
        assert_int_equal(node_figure(&figures(1)->write.peers_open), 4);
        group_run(group, PEER_HANDSHAKE_NS);
        assert_int_equal(node_figure(&figures(0)->read.peers_connections), open);
        for (uint32_t i = 0; i < REPLAYS; i++) {
            assert_true(has_ended(&said[i]));
            world_client_reset(said[i].client);
        }
        end();
    }
}

/* Bytes of the network's own making, in what all say to each other. */
static void flipped_bytes_are_never_taken(void **state) {
    (void)state;
    for (uint64_t seed = 61; seed <= 63; seed++) {
        begin_alike(seed);
        for (uint32_t i = 0; i < 3; i++) {
            world_link_flip(group->world, group->hosts[i], group->hosts[(i + 1) % 3], 5);
        }
        group_run(group, 3 * SECOND_NS);
        for (uint32_t i = 0; i < 3; i++) {
            world_link_flip(group->world, group->hosts[i], group->hosts[(i + 1) % 3], 0);
        }
        uint64_t broken = 0;
        for (uint32_t i = 0; i < 3; i++) {
            broken += node_figure(&figures(i)->parse.peers_broken);
            /* The checksums come first. But a PROOF that is damaged may as well be another
             * connection's: it is counted. */
            assert_true(unauthenticated(i) <= 1);
        }
        assert_true(broken > 0);
        group_run(group, SECOND_NS);
        end();
    }
}

static int tags_create(void **state) {
    (void)state;
    return gmac_create(&tags, NULL);
}

static int tags_destroy(void **state) {
    (void)state;
    gmac_destroy(&tags);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_another_secret_is_no_member),
        cmocka_unit_test(who_has_no_secret_is_no_member),
        cmocka_unit_test(who_alone_has_a_secret_is_no_member),
        cmocka_unit_test(a_recorded_handshake_gets_no_further_than_its_answer),
        cmocka_unit_test(a_member_of_the_version_before_is_told_so),
        cmocka_unit_test(with_a_proof_it_is_let_in_until_a_tag_is_wrong),
        cmocka_unit_test(a_repeated_frame_ends_the_connection),
        cmocka_unit_test(recorded_greetings_keep_no_member_out),
        cmocka_unit_test(members_with_one_secret_serve),
        cmocka_unit_test(flipped_bytes_are_never_taken),
    };
    return cmocka_run_group_tests_name("sim_node_secrets", tests, tags_create, tags_destroy);
}
