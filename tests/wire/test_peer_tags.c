/* Authentication of frames between members: what does not have the secret is refused, what has is
 * good at one place of one connection only, and how the bytes were cut does not matter. */

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/random.h"
#include "tests/cmocka_wrapper.h"
#include "tests/death.h"
#include "wire/peer_hello.h"

enum {
    LIMIT_BYTES = 1024,
    MESSAGES = 6,
    BODY_BYTES = 48,
    FRAME_BYTES = PEER_FRAME_HEADER_BYTES + BODY_BYTES,
    MADE = 4, /* connections of a test at once: 2 */
};

static const struct peer_frame_span nothing = {NULL, 0};

/* Contexts for the tags of messages, used one after the other. */
static struct gmac made[MADE];
static uint32_t made_next;

/* Both ends of a connection, and what they have said. */
struct connection {
    struct mac_key secret;
    struct peer_frame_keys keys; /* both ends', since they take turns */
    struct peer_frame_writer writer;
    struct peer_frame_reader reader; /* the acceptor's */
    uint8_t hello[PEER_HELLO_FRAME_BYTES_MAX];
    uint8_t answer[PEER_FRAME_HEADER_BYTES + PEER_ANSWER_BYTES];
    uint8_t proof[PEER_FRAME_HEADER_BYTES];
    uint8_t messages[MESSAGES][FRAME_BYTES];
    struct peer_frame_span hello_span;
    struct peer_frame_span answer_span;
    uint64_t seed;
};

/* ---- helpers ------------------------------------------------------------------------------ */

static enum peer_frame_fault read_once(struct peer_frame_reader *reader, const uint8_t *bytes,
                                       size_t length_bytes) {
    struct peer_frame frame;
    uint8_t *copy = malloc(length_bytes > 0 ? length_bytes : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length_bytes);
    const enum peer_frame_result result = peer_frame_read(reader, copy, length_bytes, &frame);
    free(copy);
    assert_int_not_equal(result, PEER_FRAME_MORE);
    return (enum peer_frame_fault)frame.fault;
}

/* Check and checksum made right again, as somebody without the secret can. */
static void seal(uint8_t *frame, uint32_t length_bytes, uint64_t seed) {
    bytes_put_u16(frame + 6, peer_frame_header_check(frame, seed));
    bytes_put_u64(frame + 32,
                  checksum_64(frame + 40, length_bytes - 40, checksum_64(frame, 32, seed)));
}

static void hello_make(struct connection *connection, uint8_t nonce) {
    struct peer_hello hello = {.connection = PEER_CONNECTION_DATA,
                               .cluster_id = 7,
                               .from = 1,
                               .incarnation = 11,
                               .to = 2,
                               .address = "10.0.0.1:7379"};
    memset(hello.nonce, nonce, sizeof(hello.nonce));
    const uint32_t body_bytes =
        peer_hello_write(connection->hello + PEER_FRAME_HEADER_BYTES, &hello);
    const struct peer_frame_span body = {connection->hello + PEER_FRAME_HEADER_BYTES, body_bytes};
    peer_frame_writer_begin(&connection->writer);
    peer_frame_writer_authenticate(&connection->writer, &connection->secret, nothing);
    const uint32_t length_bytes =
        peer_frame_write(&connection->writer, connection->hello, PEER_FRAME_HELLO, &body, 1);
    connection->hello_span = (struct peer_frame_span){connection->hello, length_bytes};
}

static void answer_make(struct connection *connection, uint8_t nonce) {
    struct peer_answer answer = {
        .version = PEER_PROTOCOL_VERSION, .cluster_id = 7, .from = 2, .incarnation = 22, .to = 1};
    memset(answer.nonce, nonce, sizeof(answer.nonce));
    peer_answer_write(connection->answer + PEER_FRAME_HEADER_BYTES, &answer);
    const struct peer_frame_span body = {connection->answer + PEER_FRAME_HEADER_BYTES,
                                         PEER_ANSWER_BYTES};
    struct peer_frame_writer writer;
    peer_frame_writer_begin(&writer);
    peer_frame_writer_authenticate(&writer, &connection->secret, connection->hello_span);
    (void)peer_frame_write(&writer, connection->answer, PEER_FRAME_HELLO_ANSWER, &body, 1);
    connection->answer_span =
        (struct peer_frame_span){connection->answer, sizeof(connection->answer)};
}

static void reader_begin(const struct connection *connection, struct peer_frame_reader *reader) {
    peer_frame_reader_begin(reader, PEER_FRAME_HELLO, PEER_HELLO_FRAME_BYTES_MAX);
    peer_frame_reader_authenticate(reader, &connection->secret, nothing);
}

/* The acceptor after the HELLO: a PROOF is next. */
static void reader_accept(struct connection *connection, struct peer_frame_reader *reader) {
    reader_begin(connection, reader);
    assert_int_equal(
        read_once(reader, connection->hello_span.data, connection->hello_span.length_bytes),
        PEER_FRAME_VALID);
    peer_frame_reader_accept(reader, connection->seed, LIMIT_BYTES);
    peer_frame_reader_authenticate_messages(reader, &connection->keys);
}

/* A whole connection with its nonces; each message's bytes are its number. */
static void connection_make(struct connection *connection, const char *secret, uint8_t nonce_opener,
                            uint8_t nonce_acceptor) {
    memset(connection, 0, sizeof(*connection));
    mac_key_set(&connection->secret, secret, strlen(secret));
    hello_make(connection, nonce_opener);
    answer_make(connection, nonce_acceptor);
    connection->seed = peer_frame_seed(peer_frame_checksum(connection->hello),
                                       peer_frame_checksum(connection->answer));
    connection->keys.messages = made[made_next++ % MADE];
    peer_frame_keys_set(&connection->keys, &connection->secret, &connection->hello_span,
                        &connection->answer_span);
    peer_frame_writer_accepted(&connection->writer, connection->seed);
    peer_frame_writer_authenticate_messages(&connection->writer, &connection->keys);
    (void)peer_frame_write(&connection->writer, connection->proof, PEER_FRAME_PROOF, NULL, 0);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        uint8_t *body = connection->messages[i] + PEER_FRAME_HEADER_BYTES;
        memset(body, (int)i + 1, BODY_BYTES);
        /* As one span and as two: the same frame. */
        const struct peer_frame_span spans[2] = {{body, i % 2 == 0 ? BODY_BYTES : 16},
                                                 {body + 16, BODY_BYTES - 16}};
        (void)peer_frame_write(&connection->writer, connection->messages[i], PEER_FRAME_MESSAGE,
                               spans, 1 + i % 2);
    }
    reader_accept(connection, &connection->reader);
}

/* ---- what is refused ---------------------------------------------------------------------- */

static void a_hello_of_another_secret_is_refused(void **state) {
    (void)state;
    struct connection ours;
    struct connection theirs;
    struct peer_frame_reader reader;
    connection_make(&ours, "our secret", 1, 2);
    connection_make(&theirs, "our secreT", 1, 2);
    reader_begin(&ours, &reader);
    assert_int_equal(read_once(&reader, theirs.hello, theirs.hello_span.length_bytes),
                     PEER_FRAME_FAULT_FORGED);
    assert_true(peer_frame_fault_of_secret(PEER_FRAME_FAULT_FORGED));
}

static void who_has_no_secret_and_who_alone_has_one_are_refused(void **state) {
    (void)state;
    struct connection ours;
    struct peer_frame_reader reader;
    uint8_t plain[PEER_HELLO_FRAME_BYTES_MAX];
    connection_make(&ours, "our secret", 1, 2);
    memcpy(plain, ours.hello, ours.hello_span.length_bytes);
    memset(plain + 16, 0, PEER_FRAME_TAG_BYTES);
    seal(plain, ours.hello_span.length_bytes, PEER_FRAME_SEED_HANDSHAKE);
    reader_begin(&ours, &reader);
    assert_int_equal(read_once(&reader, plain, ours.hello_span.length_bytes),
                     PEER_FRAME_FAULT_NO_TAG);
    peer_frame_reader_begin(&reader, PEER_FRAME_HELLO, PEER_HELLO_FRAME_BYTES_MAX);
    assert_int_equal(read_once(&reader, ours.hello, ours.hello_span.length_bytes),
                     PEER_FRAME_FAULT_TAG);
}

/* Each bit of every sort of frame, with the checksum made right again. */
static void every_bit_is_under_the_tag(void **state) {
    (void)state;
    struct connection ours;
    connection_make(&ours, "our secret", 1, 2);
    uint8_t frame[PEER_HELLO_FRAME_BYTES_MAX];
    for (uint32_t which = 0; which < 4; which++) {
        const uint8_t *const frames[] = {ours.hello, ours.answer, ours.proof, ours.messages[0]};
        const uint32_t lengths[] = {ours.hello_span.length_bytes, sizeof(ours.answer),
                                    sizeof(ours.proof), FRAME_BYTES};
        const uint64_t seed = which < 2 ? PEER_FRAME_SEED_HANDSHAKE : ours.seed;
        for (size_t bit = 8 * 8; bit < 8 * (size_t)lengths[which]; bit++) {
            struct peer_frame_reader reader;
            if (bit / 8 >= 32 && bit / 8 < 40)
                continue; /* the checksum, which is made right again */
            reader_accept(&ours, &reader);
            if (which == 0)
                reader_begin(&ours, &reader);
            if (which == 1) {
                peer_frame_reader_begin(&reader, PEER_FRAME_HELLO_ANSWER, LIMIT_BYTES);
                peer_frame_reader_authenticate(&reader, &ours.secret, ours.hello_span);
            }
            if (which == 3)
                assert_int_equal(read_once(&reader, ours.proof, sizeof(ours.proof)),
                                 PEER_FRAME_VALID);
            memcpy(frame, frames[which], lengths[which]);
            frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
            seal(frame, lengths[which], seed);
            const enum peer_frame_fault fault = read_once(&reader, frame, lengths[which]);
            assert_int_equal(fault,
                             bit / 8 < 16 ? PEER_FRAME_FAULT_SEQUENCE : PEER_FRAME_FAULT_FORGED);
        }
    }
}

static void an_answer_to_another_hello_is_refused(void **state) {
    (void)state;
    struct connection ours;
    struct connection earlier;
    struct peer_frame_reader reader;
    connection_make(&ours, "our secret", 1, 2);
    connection_make(&earlier, "our secret", 3, 2);
    peer_frame_reader_begin(&reader, PEER_FRAME_HELLO_ANSWER, LIMIT_BYTES);
    peer_frame_reader_authenticate(&reader, &ours.secret, ours.hello_span);
    assert_int_equal(read_once(&reader, earlier.answer, sizeof(earlier.answer)),
                     PEER_FRAME_FAULT_FORGED);
    peer_frame_reader_begin(&reader, PEER_FRAME_HELLO_ANSWER, LIMIT_BYTES);
    peer_frame_reader_authenticate(&reader, &ours.secret, ours.hello_span);
    assert_int_equal(read_once(&reader, ours.answer, sizeof(ours.answer)), PEER_FRAME_VALID);
}

/* A recorded connection: its HELLO is valid again, and nothing behind it, for the acceptor has
 * another nonce now. */
static void what_was_recorded_fits_no_other_connection(void **state) {
    (void)state;
    struct connection recorded;
    struct connection now;
    connection_make(&recorded, "our secret", 1, 2);
    connection_make(&now, "our secret", 1, 3);
    assert_memory_equal(recorded.hello, now.hello, now.hello_span.length_bytes);
    assert_memory_not_equal(recorded.proof + 16, now.proof + 16, PEER_FRAME_TAG_BYTES);
    assert_int_equal(read_once(&now.reader, recorded.proof, sizeof(recorded.proof)),
                     PEER_FRAME_FAULT_HEADER);
    /* Nor with the checksums of this connection. */
    reader_accept(&now, &now.reader);
    seal(recorded.proof, sizeof(recorded.proof), now.seed);
    assert_int_equal(read_once(&now.reader, recorded.proof, sizeof(recorded.proof)),
                     PEER_FRAME_FAULT_FORGED);
    reader_accept(&now, &now.reader);
    assert_int_equal(read_once(&now.reader, now.proof, sizeof(now.proof)), PEER_FRAME_VALID);
    seal(recorded.messages[0], FRAME_BYTES, now.seed);
    assert_int_equal(read_once(&now.reader, recorded.messages[0], FRAME_BYTES),
                     PEER_FRAME_FAULT_FORGED);
}

static void messages_before_the_proof_are_refused(void **state) {
    (void)state;
    struct connection ours;
    connection_make(&ours, "our secret", 1, 2);
    assert_int_equal(read_once(&ours.reader, ours.messages[0], FRAME_BYTES),
                     PEER_FRAME_FAULT_UNEXPECTED);
}

/* The length alone says that it has one: its body is not waited for. */
static void a_proof_with_a_body_is_refused_by_its_header(void **state) {
    (void)state;
    struct connection ours;
    struct peer_frame frame;
    connection_make(&ours, "our secret", 1, 2);
    bytes_put_u32(ours.proof, PEER_FRAME_HEADER_BYTES + 8);
    assert_int_equal(peer_frame_read(&ours.reader, ours.proof, sizeof(ours.proof), &frame),
                     PEER_FRAME_FAULTY);
    assert_int_equal(frame.fault, PEER_FRAME_FAULT_LONG);
}

/* Each message in each place but its own. */
static void repeated_left_out_and_reordered_messages_are_refused(void **state) {
    (void)state;
    struct connection ours;
    connection_make(&ours, "our secret", 1, 2);
    for (uint32_t place = 0; place < MESSAGES; place++) {
        for (uint32_t which = 0; which < MESSAGES; which++) {
            struct peer_frame_reader reader;
            reader_accept(&ours, &reader);
            assert_int_equal(read_once(&reader, ours.proof, sizeof(ours.proof)), PEER_FRAME_VALID);
            for (uint32_t i = 0; i < place; i++)
                assert_int_equal(read_once(&reader, ours.messages[i], FRAME_BYTES),
                                 PEER_FRAME_VALID);
            uint8_t frame[FRAME_BYTES];
            memcpy(frame, ours.messages[which], FRAME_BYTES);
            assert_int_equal(read_once(&reader, frame, FRAME_BYTES),
                             which == place ? PEER_FRAME_VALID : PEER_FRAME_FAULT_SEQUENCE);
            if (which == place)
                continue;
            /* Nor with the number that is wanted: that is under the tag. */
            reader_accept(&ours, &reader);
            assert_int_equal(read_once(&reader, ours.proof, sizeof(ours.proof)), PEER_FRAME_VALID);
            for (uint32_t i = 0; i < place; i++)
                (void)read_once(&reader, ours.messages[i], FRAME_BYTES);
            bytes_put_u64(frame + 8, place + 2);
            seal(frame, FRAME_BYTES, ours.seed);
            assert_int_equal(read_once(&reader, frame, FRAME_BYTES), PEER_FRAME_FAULT_FORGED);
        }
    }
}

/* ---- what is taken ------------------------------------------------------------------------ */

/* The bytes of the format, computed by its words. */
static void the_tags_are_the_documented_ones(void **state) {
    (void)state;
    struct connection ours;
    connection_make(&ours, "our secret", 1, 2);
    struct mac_state mac;
    uint8_t tag[MAC_BYTES];
    mac_begin(&mac, &ours.secret);
    mac_update(&mac, ours.hello, 16);
    mac_update(&mac, ours.hello + 40, ours.hello_span.length_bytes - 40);
    mac_end(&mac, &ours.secret, tag);
    assert_memory_equal(ours.hello + 16, tag, 16);
    mac_begin(&mac, &ours.secret);
    mac_update(&mac, ours.answer, 16);
    mac_update(&mac, ours.answer + 40, 80);
    mac_update(&mac, ours.hello, ours.hello_span.length_bytes);
    mac_end(&mac, &ours.secret, tag);
    assert_memory_equal(ours.answer + 16, tag, 16);
    mac_begin(&mac, &ours.secret);
    mac_update(&mac, "weir peer key 1", 16); /* with its zero */
    mac_update(&mac, ours.hello, ours.hello_span.length_bytes);
    mac_update(&mac, ours.answer, sizeof(ours.answer));
    mac_end(&mac, &ours.secret, tag);
    struct mac_key key;
    mac_key_set(&key, tag, sizeof(tag));
    mac_begin(&mac, &key);
    mac_update(&mac, ours.proof, 16);
    mac_end(&mac, &key, tag);
    assert_memory_equal(ours.proof + 16, tag, 16);
    mac_begin(&mac, &key);
    mac_update(&mac, "weir messages 1", 16);
    mac_end(&mac, &key, tag);
    struct gmac *gmac = &made[made_next++ % MADE];
    const uint8_t nonce[12] = {0, 0, 0, 0, 5}; /* HELLO, PROOF, and three messages before it */
    gmac_key_set(gmac, tag);
    gmac_begin(gmac, nonce);
    gmac_update(gmac, ours.messages[3], 16);
    gmac_update(gmac, ours.messages[3] + 40, BODY_BYTES);
    gmac_end(gmac, tag);
    assert_memory_equal(ours.messages[3] + 16, tag, 16);
}

/* What is given away by one tag more would be the key. */
static void equal_messages_have_other_tags(void **state) {
    (void)state;
    struct connection ours;
    uint8_t headers[2][PEER_FRAME_HEADER_BYTES];
    const struct peer_frame_span span = {(const uint8_t *)"12345678", 8};
    connection_make(&ours, "our secret", 1, 2);
    for (uint32_t i = 0; i < 2; i++)
        (void)peer_frame_write(&ours.writer, headers[i], PEER_FRAME_MESSAGE, &span, 1);
    assert_memory_not_equal(headers[0] + 16, headers[1] + 16, 16);
}

/* Bytes that come in any pieces, and a header that lies elsewhere than its body. */
static void no_split_matters(void **state) {
    (void)state;
    struct connection ours;
    struct random random;
    random_seed(&random, 5);
    connection_make(&ours, "our secret", 1, 2);
    for (uint32_t round = 0; round < 300; round++) {
        struct peer_frame_reader reader;
        struct peer_frame frame;
        reader_accept(&ours, &reader);
        size_t have = 0;
        do {
            have += 1 + (size_t)random_below(&random, sizeof(ours.proof) - have);
        } while (peer_frame_read(&reader, ours.proof, have, &frame) == PEER_FRAME_MORE);
        assert_int_equal(frame.fault, PEER_FRAME_VALID);
        for (uint32_t i = 0; i < MESSAGES; i++) {
            const uint8_t *message = ours.messages[i];
            have = 0;
            while (peer_frame_read_parts(&reader, message, message + PEER_FRAME_HEADER_BYTES, have,
                                         &frame) == PEER_FRAME_MORE)
                have += 1 + (size_t)random_below(&random, BODY_BYTES - have);
            assert_int_equal(frame.fault, PEER_FRAME_VALID);
            assert_int_equal(frame.body_bytes, BODY_BYTES);
        }
    }
}

/* What was done ahead, in any pieces, changes nothing. */
static void a_tag_done_ahead_is_the_same(void **state) {
    (void)state;
    struct connection ours;
    struct random random;
    random_seed(&random, 6);
    for (uint32_t round = 0; round < 200; round++) {
        connection_make(&ours, "our secret", 1, 2);
        struct peer_frame_writer again = ours.writer;
        uint8_t expected[FRAME_BYTES];
        uint8_t frame[FRAME_BYTES];
        uint8_t body[BODY_BYTES];
        memset(body, (int)round, sizeof(body));
        const struct peer_frame_span span = {body, sizeof(body)};
        (void)peer_frame_write(&ours.writer, expected, PEER_FRAME_MESSAGE, &span, 1);
        uint32_t left = BODY_BYTES;
        const uint32_t steps = (uint32_t)random_below(&random, 5);
        for (uint32_t i = 0; i < steps; i++) {
            const uint32_t budget = (uint32_t)random_below(&random, BODY_BYTES);
            const uint32_t left_then = peer_frame_write_ahead(&again, &span, budget);
            assert_int_equal(left_then, left - (budget < left ? budget : left));
            left = left_then;
        }
        (void)peer_frame_write(&again, frame, PEER_FRAME_MESSAGE, &span, 1);
        assert_memory_equal(frame, expected, PEER_FRAME_HEADER_BYTES);
    }
}

static void without_a_secret_nothing_is_done_ahead(void **state) {
    (void)state;
    struct peer_frame_writer writer = {.seed = 1, .sequence = 1};
    const struct peer_frame_span span = {(const uint8_t *)"12345678", 8};
    assert_int_equal(peer_frame_write_ahead(&writer, &span, 1), 0);
}

/* ---- the bodies of the handshake ---------------------------------------------------------- */

static void a_nonce_stands_where_a_tag_does(void **state) {
    (void)state;
    struct connection ours;
    struct peer_hello hello;
    struct peer_answer answer;
    const uint8_t *const body = ours.hello + PEER_FRAME_HEADER_BYTES;
    connection_make(&ours, "our secret", 1, 2);
    const size_t body_bytes = ours.hello_span.length_bytes - PEER_FRAME_HEADER_BYTES;
    assert_int_equal(peer_hello_read(body, body_bytes, false, &hello), PEER_HELLO_FAULT_NONCE);
    assert_int_equal(peer_hello_read(body, body_bytes, true, &hello), PEER_HELLO_VALID);
    assert_int_equal(hello.nonce[0], 1);
    assert_int_equal(hello.nonce[PEER_NONCE_BYTES - 1], 1);
    uint8_t *said = ours.answer + PEER_FRAME_HEADER_BYTES;
    assert_int_equal(peer_answer_read(said, PEER_ANSWER_BYTES, false, &answer),
                     PEER_HELLO_FAULT_NONCE);
    assert_int_equal(peer_answer_read(said, PEER_ANSWER_BYTES, true, &answer), PEER_HELLO_VALID);
    assert_int_equal(answer.nonce[0], 2);
    memset(said + 48, 0, PEER_NONCE_BYTES);
    assert_int_equal(peer_answer_read(said, PEER_ANSWER_BYTES, true, &answer),
                     PEER_HELLO_FAULT_NONCE);
}

/* Who could not read the question does not know who asked; all others do. */
static void a_refusal_for_the_secret_names_nobody(void **state) {
    (void)state;
    struct peer_answer answer = {.result = PEER_REFUSED_SECRET,
                                 .version = PEER_PROTOCOL_VERSION,
                                 .cluster_id = 7,
                                 .from = 2,
                                 .incarnation = 22,
                                 .to = 0};
    struct peer_answer out;
    uint8_t body[PEER_ANSWER_BYTES];
    peer_answer_write(body, &answer);
    assert_int_equal(peer_answer_read(body, sizeof(body), false, &out), PEER_HELLO_VALID);
    assert_int_equal(out.result, PEER_REFUSED_SECRET);
    assert_true(peer_handshake_without_tag(out.result));
    for (uint32_t result = 0; result < PEER_REFUSED_SECRET; result++) {
        const bool without = result == PEER_REFUSED_VERSION;
        body[12] = (uint8_t)result;
        assert_int_equal(peer_handshake_without_tag((enum peer_handshake)result), without);
        assert_int_equal(peer_answer_read(body, sizeof(body), false, &out),
                         without ? PEER_HELLO_VALID : PEER_HELLO_FAULT_NODE);
    }
}

/* ---- bugs of the caller ------------------------------------------------------------------- */

static void write_before_the_proof(void *context) {
    struct connection *ours = context;
    struct peer_frame_writer writer = {.seed = 1, .sequence = 1};
    uint8_t header[PEER_FRAME_HEADER_BYTES];
    const struct peer_frame_span span = {ours->messages[0], 8};
    peer_frame_writer_authenticate_messages(&writer, &ours->keys);
    (void)peer_frame_write(&writer, header, PEER_FRAME_MESSAGE, &span, 1);
}

static void a_message_before_the_proof_is_a_bug(void **state) {
    (void)state;
    static struct connection ours;
    connection_make(&ours, "our secret", 1, 2);
    death_expect_abort(write_before_the_proof, &ours, "PEER_FRAME_PROOF");
}

static void write_without_keys(void *context) {
    struct connection *ours = context;
    struct peer_frame_writer writer = {.seed = 1, .sequence = 1};
    peer_frame_keys_clear(&ours->keys);
    peer_frame_writer_authenticate_messages(&writer, &ours->keys);
}

static void keys_that_were_cleared_are_used_no_more(void **state) {
    (void)state;
    static struct connection ours;
    static const struct mac_key zeros;
    connection_make(&ours, "our secret", 1, 2);
    death_expect_abort(write_without_keys, &ours, "has_key");
    peer_frame_keys_clear(&ours.keys);
    assert_memory_equal(&ours.keys.proof, &zeros, sizeof(zeros));
    peer_frame_keys_clear(&ours.keys);
}

static void write_the_last_number(void *context) {
    struct connection *ours = context;
    uint8_t header[PEER_FRAME_HEADER_BYTES];
    const struct peer_frame_span span = {ours->messages[0], 8};
    ours->writer.sequence = UINT64_MAX;
    (void)peer_frame_write(&ours->writer, header, PEER_FRAME_MESSAGE, &span, 1);
}

static void numbers_that_would_begin_again_are_a_bug(void **state) {
    (void)state;
    static struct connection ours;
    connection_make(&ours, "our secret", 1, 2);
    death_expect_abort(write_the_last_number, &ours, "UINT64_MAX");
}

static int contexts_create(void **state) {
    (void)state;
    int result = WEIR_OK;
    for (uint32_t i = 0; i < MADE && result == WEIR_OK; i++)
        result = gmac_create(&made[i], NULL);
    return result;
}

static int contexts_destroy(void **state) {
    (void)state;
    for (uint32_t i = 0; i < MADE; i++)
        gmac_destroy(&made[i]);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_of_another_secret_is_refused),
        cmocka_unit_test(who_has_no_secret_and_who_alone_has_one_are_refused),
        cmocka_unit_test(every_bit_is_under_the_tag),
        cmocka_unit_test(an_answer_to_another_hello_is_refused),
        cmocka_unit_test(what_was_recorded_fits_no_other_connection),
        cmocka_unit_test(messages_before_the_proof_are_refused),
        cmocka_unit_test(a_proof_with_a_body_is_refused_by_its_header),
        cmocka_unit_test(repeated_left_out_and_reordered_messages_are_refused),
        cmocka_unit_test(a_message_before_the_proof_is_a_bug),
        cmocka_unit_test(keys_that_were_cleared_are_used_no_more),
        cmocka_unit_test(numbers_that_would_begin_again_are_a_bug),
        cmocka_unit_test(the_tags_are_the_documented_ones),
        cmocka_unit_test(equal_messages_have_other_tags),
        cmocka_unit_test(no_split_matters),
        cmocka_unit_test(a_tag_done_ahead_is_the_same),
        cmocka_unit_test(without_a_secret_nothing_is_done_ahead),
        cmocka_unit_test(a_nonce_stands_where_a_tag_does),
        cmocka_unit_test(a_refusal_for_the_secret_names_nobody),
    };
    return cmocka_run_group_tests_name("wire_peer_tags", tests, contexts_create, contexts_destroy);
}
