/* Frames between members: what is refused and when, what is asked for; no split matters. */

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/random.h"
#include "tests/cmocka_wrapper.h"
#include "tests/death.h"
#include "wire/peer_frame.h"
#include "wire/peer_hello.h"

enum {
    LIMIT_BYTES = 1024,
    BODY_BYTES_MAX = LIMIT_BYTES - PEER_FRAME_HEADER_BYTES,
    FRAMES_MAX = 16,
};

#define TEST_SEED UINT64_C(0x123456789abcdef)

/* ---- helpers ------------------------------------------------------------------------------ */

/* A reader that stands after the handshake, and a writer likewise. */
static struct peer_frame_reader reader_made(void) {
    return (struct peer_frame_reader){.seed = TEST_SEED,
                                      .sequence = 1,
                                      .length_max_bytes = LIMIT_BYTES,
                                      .kind = PEER_FRAME_MESSAGE};
}

static struct peer_frame_writer writer_made(void) {
    return (struct peer_frame_writer){.seed = TEST_SEED, .sequence = 1};
}

/* One frame of random bytes; returns its length. */
static uint32_t frame_made(struct peer_frame_writer *writer, struct random *random,
                           uint32_t body_bytes, uint8_t *out) {
    for (uint32_t i = 0; i < body_bytes; i++)
        out[PEER_FRAME_HEADER_BYTES + i] = (uint8_t)random_u64(random);
    const struct peer_frame_span span = {out + PEER_FRAME_HEADER_BYTES, body_bytes};
    return peer_frame_write(writer, out, PEER_FRAME_MESSAGE, &span, 1);
}

/* The checksum made right again, by the words of the format and not by the writer. */
/* The check as the format says it: over the header's first 16 bytes, with zeros for itself. */
static uint16_t check_of(const uint8_t *header, uint64_t seed) {
    uint8_t bytes[16];
    memcpy(bytes, header, 6);
    bytes[6] = bytes[7] = 0;
    memcpy(bytes + 8, header + 8, 8);
    return (uint16_t)(checksum_64(bytes, 16, seed) % 65536);
}

static void frame_seal(uint8_t *frame, uint32_t length_bytes, uint64_t seed) {
    bytes_put_u16(frame + 6, check_of(frame, seed));
    bytes_put_u64(frame + 32,
                  checksum_64(frame + 40, length_bytes - 40, checksum_64(frame, 32, seed)));
}

/* With the header in one place and the body in another the result is the same. */
/* The same once more, hashed in pieces of one to seven bytes: also what is altered is refused. */
static void read_hashed(struct peer_frame_reader *reader, const uint8_t *header,
                        const uint8_t *body, const struct peer_frame *expected) {
    const bool is_whole = expected->needed_bytes == 0;
    const bool is_hashed = is_whole && (expected->fault == PEER_FRAME_VALID ||
                                        expected->fault == PEER_FRAME_FAULT_CHECKSUM);
    if (!is_hashed || reader->fault != PEER_FRAME_VALID)
        return;
    struct checksum_state state;
    const uint32_t body_bytes = bytes_get_u32(header) - PEER_FRAME_HEADER_BYTES;
    peer_frame_hash_begin(reader, header, &state);
    for (uint32_t at = 0, piece = 1; at < body_bytes; at += piece, piece = piece % 7 + 1) {
        piece = piece < body_bytes - at ? piece : body_bytes - at;
        checksum_update(&state, body + at, piece);
    }
    struct peer_frame hashed;
    const enum peer_frame_result result =
        peer_frame_read_hashed(reader, header, body, checksum_end(&state), &hashed);
    assert_int_equal(result,
                     expected->fault == PEER_FRAME_VALID ? PEER_FRAME_COMPLETE : PEER_FRAME_FAULTY);
    assert_int_equal(hashed.fault, expected->fault);
    assert_int_equal(hashed.body_bytes, expected->body_bytes);
    assert_int_equal(hashed.checksum, expected->checksum);
    assert_int_equal(hashed.sequence, expected->sequence);
    assert_ptr_equal(hashed.body, expected->body);
}

static void read_apart(struct peer_frame_reader *reader, const uint8_t *bytes,
                       size_t available_bytes, enum peer_frame_result expected,
                       const struct peer_frame *frame) {
    uint8_t header[PEER_FRAME_HEADER_BYTES];
    memcpy(header, bytes, sizeof(header));
    const size_t body_bytes = available_bytes - sizeof(header);
    uint8_t *body = body_bytes > 0 ? malloc(body_bytes) : NULL;
    assert_true(body != NULL || body_bytes == 0);
    if (body_bytes > 0)
        memcpy(body, bytes + sizeof(header), body_bytes);
    struct peer_frame apart;
    struct peer_frame_reader other = *reader;
    assert_int_equal(peer_frame_read_parts(reader, header, body, body_bytes, &apart), expected);
    assert_int_equal(apart.fault, frame->fault);
    assert_int_equal(apart.needed_bytes, frame->needed_bytes);
    assert_int_equal(apart.body_bytes, frame->body_bytes);
    assert_int_equal(apart.checksum, frame->checksum);
    assert_ptr_equal(apart.body, expected == PEER_FRAME_COMPLETE ? body : NULL);
    read_hashed(&other, header, body, &apart);
    free(body);
}

/* Reads in memory of exactly the bytes given, so that one byte too far is seen. */
static enum peer_frame_result read_exactly(struct peer_frame_reader *reader, const uint8_t *bytes,
                                           size_t available_bytes, struct peer_frame *out) {
    uint8_t *copy = malloc(available_bytes > 0 ? available_bytes : 1);
    assert_non_null(copy);
    if (available_bytes > 0)
        memcpy(copy, bytes, available_bytes);
    struct peer_frame_reader other = *reader;
    const enum peer_frame_result result =
        peer_frame_read(reader, available_bytes > 0 ? copy : NULL, available_bytes, out);
    if (available_bytes >= PEER_FRAME_HEADER_BYTES)
        read_apart(&other, copy, available_bytes, result, out);
    if (result == PEER_FRAME_COMPLETE) {
        assert_ptr_equal(out->body, copy + PEER_FRAME_HEADER_BYTES);
        out->body = bytes + PEER_FRAME_HEADER_BYTES;
    }
    free(copy);
    return result;
}

/* A frame of 64 bytes, changed and sealed again unless the checksum itself is the matter. */
static enum peer_frame_fault fault_of(size_t offset, uint8_t value, bool sealed_again) {
    struct random random;
    random_seed(&random, 1);
    struct peer_frame_writer writer = writer_made();
    uint8_t bytes[64];
    const uint32_t length_bytes = frame_made(&writer, &random, 24, bytes);
    assert_int_equal(length_bytes, 64);
    bytes[offset] = value;
    if (sealed_again)
        frame_seal(bytes, length_bytes, TEST_SEED);
    struct peer_frame_reader reader = reader_made();
    struct peer_frame frame;
    const enum peer_frame_result result = read_exactly(&reader, bytes, sizeof(bytes), &frame);
    assert_int_equal(result, PEER_FRAME_FAULTY);
    assert_int_equal(frame.length_bytes, 0);
    assert_null(frame.body);
    return (enum peer_frame_fault)frame.fault;
}

/* What the first 4 bytes alone give; with `kind` for a new connection, 0 for one that is made. */
static enum peer_frame_fault fault_of_length(uint32_t length_bytes, uint8_t kind) {
    struct peer_frame_reader reader = reader_made();
    if (kind != 0)
        peer_frame_reader_begin(&reader, (enum peer_frame_kind)kind, PEER_HELLO_FRAME_BYTES_MAX);
    uint8_t bytes[4];
    bytes_put_u32(bytes, length_bytes);
    struct peer_frame frame;
    const enum peer_frame_result result = read_exactly(&reader, bytes, sizeof(bytes), &frame);
    assert_int_equal(result == PEER_FRAME_FAULTY, frame.fault != 0);
    return (enum peer_frame_fault)frame.fault;
}

/* ---- what is refused ---------------------------------------------------------------------- */

static void lengths_are_refused_by_their_four_bytes(void **state) {
    (void)state;
    assert_int_equal(fault_of_length(0, 0), PEER_FRAME_FAULT_SHORT);
    assert_int_equal(fault_of_length(8, 0), PEER_FRAME_FAULT_SHORT);
    assert_int_equal(fault_of_length(39, 0), PEER_FRAME_FAULT_SHORT);
    assert_int_equal(fault_of_length(41, 0), PEER_FRAME_FAULT_ALIGNMENT);
    assert_int_equal(fault_of_length(1023, 0), PEER_FRAME_FAULT_ALIGNMENT);
    assert_int_equal(fault_of_length(1025, 0), PEER_FRAME_FAULT_LONG);
    assert_int_equal(fault_of_length(1032, 0), PEER_FRAME_FAULT_LONG);
    assert_int_equal(fault_of_length(UINT32_C(1) << 31, 0), PEER_FRAME_FAULT_LONG);
    assert_int_equal(fault_of_length(UINT32_MAX, 0), PEER_FRAME_FAULT_LONG);
    assert_int_equal(fault_of_length(40, 0), PEER_FRAME_VALID);
    assert_int_equal(fault_of_length(1024, 0), PEER_FRAME_VALID);
}

static void before_the_handshake_the_limit_is_small(void **state) {
    (void)state;
    assert_int_equal(PEER_HELLO_FRAME_BYTES_MAX, 440);
    assert_int_equal(fault_of_length(440, PEER_FRAME_HELLO), PEER_FRAME_VALID);
    assert_int_equal(fault_of_length(448, PEER_FRAME_HELLO), PEER_FRAME_FAULT_LONG);
    assert_int_equal(fault_of_length(448, PEER_FRAME_HELLO_ANSWER), PEER_FRAME_FAULT_LONG);
}

static void other_protocols_are_refused_by_their_first_bytes(void **state) {
    (void)state;
    static const char *const strangers[] = {"*1\r\n$4\r\nPING\r\n", "GET / HTTP/1.1\r\n",
                                            "SSH-2.0-x", "\x16\x03\x01\x02\x00\x01", "PING\r\n"};
    for (size_t i = 0; i < ARRAY_COUNT(strangers); i++) {
        struct peer_frame_reader reader;
        peer_frame_reader_begin(&reader, PEER_FRAME_HELLO, PEER_HELLO_FRAME_BYTES_MAX);
        struct peer_frame frame;
        const enum peer_frame_result result =
            read_exactly(&reader, (const uint8_t *)strangers[i], 6, &frame);
        assert_int_equal(result, PEER_FRAME_FAULTY);
        assert_int_equal(frame.fault, PEER_FRAME_FAULT_LONG);
    }
}

static void each_field_of_the_header_is_refused_by_name(void **state) {
    (void)state;
    assert_int_equal(fault_of(4, 0, true), PEER_FRAME_FAULT_KIND);
    assert_int_equal(fault_of(4, 5, true), PEER_FRAME_FAULT_KIND);
    assert_int_equal(fault_of(4, 255, true), PEER_FRAME_FAULT_KIND);
    assert_int_equal(fault_of(4, PEER_FRAME_HELLO, true), PEER_FRAME_FAULT_UNEXPECTED);
    assert_int_equal(fault_of(4, PEER_FRAME_HELLO_ANSWER, true), PEER_FRAME_FAULT_UNEXPECTED);
    assert_int_equal(fault_of(4, PEER_FRAME_PROOF, true), PEER_FRAME_FAULT_UNEXPECTED);
    assert_int_equal(fault_of(5, 0, true), PEER_FRAME_FAULT_VERSION);
    assert_int_equal(fault_of(5, 2, true), PEER_FRAME_FAULT_VERSION);
    assert_int_equal(fault_of(8, 0, true), PEER_FRAME_FAULT_SEQUENCE); /* the one before, again */
    assert_int_equal(fault_of(8, 2, true), PEER_FRAME_FAULT_SEQUENCE); /* one is missing */
    assert_int_equal(fault_of(15, 255, true), PEER_FRAME_FAULT_SEQUENCE);
    assert_int_equal(fault_of(16, 1, true), PEER_FRAME_FAULT_TAG);
    assert_int_equal(fault_of(31, 1, true), PEER_FRAME_FAULT_TAG);
    assert_int_equal(fault_of(0, 56, false), PEER_FRAME_FAULT_HEADER); /* shorter than written */
    assert_int_equal(fault_of(0, 72, false), PEER_FRAME_FAULT_HEADER); /* longer */
    assert_int_equal(fault_of(6, 0x5a, false), PEER_FRAME_FAULT_HEADER);
    assert_int_equal(fault_of(7, 0x5a, false), PEER_FRAME_FAULT_HEADER);
    for (size_t i = 32; i < 64; i++)
        assert_int_equal(fault_of(i, 0x5a, false), PEER_FRAME_FAULT_CHECKSUM);
    for (uint32_t i = 0; i <= PEER_FRAME_FAULT_FORGED; i++)
        assert_string_not_equal(peer_frame_fault_name((enum peer_frame_fault)i), "unknown fault");
    assert_string_equal(peer_frame_fault_name((enum peer_frame_fault)99), "unknown fault");
}

static void a_bad_header_is_refused_before_its_body_is_there(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 2);
    struct peer_frame_writer writer = writer_made();
    uint8_t bytes[LIMIT_BYTES];
    (void)frame_made(&writer, &random, BODY_BYTES_MAX, bytes);
    bytes[8]++;
    struct peer_frame_reader reader = reader_made();
    struct peer_frame frame;
    assert_int_equal(read_exactly(&reader, bytes, 39, &frame), PEER_FRAME_MORE);
    assert_int_equal(read_exactly(&reader, bytes, 40, &frame), PEER_FRAME_FAULTY);
    assert_int_equal(frame.fault, PEER_FRAME_FAULT_SEQUENCE);
}

static void a_fault_is_for_ever(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 3);
    struct peer_frame_writer writer = writer_made();
    uint8_t bytes[64];
    (void)frame_made(&writer, &random, 24, bytes);
    struct peer_frame_reader reader = reader_made();
    struct peer_frame frame;
    bytes[50] ^= 1;
    assert_int_equal(read_exactly(&reader, bytes, 64, &frame), PEER_FRAME_FAULTY);
    bytes[50] ^= 1;
    assert_int_equal(read_exactly(&reader, bytes, 64, &frame), PEER_FRAME_FAULTY);
    assert_int_equal(frame.fault, PEER_FRAME_FAULT_CHECKSUM);
    assert_int_equal(read_exactly(&reader, bytes, 0, &frame), PEER_FRAME_FAULTY);
}

/* Without waiting for more: a length that grew would else swallow what follows. */
static void every_flipped_bit_is_refused(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 4);
    struct peer_frame_writer writer = writer_made();
    uint8_t bytes[LIMIT_BYTES];
    const uint32_t length_bytes = frame_made(&writer, &random, 80, bytes);
    for (uint32_t bit = 0; bit < 8 * length_bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct peer_frame_reader reader = reader_made();
        struct peer_frame frame;
        assert_int_equal(read_exactly(&reader, bytes, length_bytes, &frame), PEER_FRAME_FAULTY);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void a_length_that_grew_is_refused_when_the_header_is_there(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 14);
    struct peer_frame_writer writer = writer_made();
    uint8_t bytes[LIMIT_BYTES];
    (void)frame_made(&writer, &random, 80, bytes); /* 120 bytes: with bit 7 it is 248 */
    bytes[0] ^= 128;
    struct peer_frame_reader reader = reader_made();
    struct peer_frame frame;
    assert_int_equal(read_exactly(&reader, bytes, 39, &frame), PEER_FRAME_MORE);
    assert_int_equal(read_exactly(&reader, bytes, 40, &frame), PEER_FRAME_FAULTY);
    assert_int_equal(frame.fault, PEER_FRAME_FAULT_HEADER);
}

static void a_frame_of_another_connection_is_refused(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 5);
    struct peer_frame_writer writer = writer_made();
    writer.seed = peer_frame_seed(1, 2);
    uint8_t bytes[64];
    (void)frame_made(&writer, &random, 24, bytes);
    struct peer_frame_reader reader = reader_made();
    reader.seed = peer_frame_seed(2, 1);
    struct peer_frame frame;
    assert_int_equal(read_exactly(&reader, bytes, 64, &frame), PEER_FRAME_FAULTY);
    assert_int_equal(frame.fault, PEER_FRAME_FAULT_HEADER);
}

static void the_seed_is_of_both_handshake_frames_in_their_order(void **state) {
    (void)state;
    const uint64_t seed = peer_frame_seed(1, 2);
    assert_true(seed == peer_frame_seed(1, 2) && seed != PEER_FRAME_SEED_HANDSHAKE);
    assert_true(seed != peer_frame_seed(1, 3));
    assert_true(seed != peer_frame_seed(3, 2));
    assert_true(seed != peer_frame_seed(2, 1));
}

static void a_repeated_frame_is_refused(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 6);
    struct peer_frame_writer writer = writer_made();
    uint8_t bytes[64];
    (void)frame_made(&writer, &random, 24, bytes);
    struct peer_frame_reader reader = reader_made();
    struct peer_frame frame;
    assert_int_equal(read_exactly(&reader, bytes, 64, &frame), PEER_FRAME_COMPLETE);
    assert_int_equal(read_exactly(&reader, bytes, 64, &frame), PEER_FRAME_FAULTY);
    assert_int_equal(frame.fault, PEER_FRAME_FAULT_SEQUENCE);
}

static void nothing_but_the_handshake_is_taken_first_and_only_once(void **state) {
    (void)state;
    static const enum peer_frame_kind kinds[] = {PEER_FRAME_HELLO, PEER_FRAME_HELLO_ANSWER};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        uint8_t bytes[48] = {0};
        const struct peer_frame_span span = {bytes + 40, 8};
        struct peer_frame_writer writer;
        peer_frame_writer_begin(&writer);
        assert_int_equal(peer_frame_write(&writer, bytes, kinds[1 - i], &span, 1), 48);
        struct peer_frame_reader reader;
        peer_frame_reader_begin(&reader, kinds[i], PEER_HELLO_FRAME_BYTES_MAX);
        struct peer_frame frame;
        assert_int_equal(read_exactly(&reader, bytes, 48, &frame), PEER_FRAME_FAULTY);
        assert_int_equal(frame.fault, PEER_FRAME_FAULT_UNEXPECTED);

        peer_frame_writer_begin(&writer);
        (void)peer_frame_write(&writer, bytes, kinds[i], &span, 1);
        peer_frame_reader_begin(&reader, kinds[i], PEER_HELLO_FRAME_BYTES_MAX);
        assert_int_equal(read_exactly(&reader, bytes, 48, &frame), PEER_FRAME_COMPLETE);
        assert_int_equal(frame.kind, kinds[i]);
        bytes[8] = 1; /* a second one, with its right number */
        frame_seal(bytes, 48, PEER_FRAME_SEED_HANDSHAKE);
        assert_int_equal(read_exactly(&reader, bytes, 48, &frame), PEER_FRAME_FAULTY);
        assert_int_equal(frame.fault, PEER_FRAME_FAULT_UNEXPECTED);
    }
}

/* ---- what is read ------------------------------------------------------------------------- */

static void the_bytes_are_the_documented_ones(void **state) {
    (void)state;
    static const uint8_t body[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const struct peer_frame_span span = {body, 8};
    struct peer_frame_writer writer = {.seed = TEST_SEED, .sequence = 0x0102030405060708};
    uint8_t header[PEER_FRAME_HEADER_BYTES];
    uint8_t expected[48] = {48, 0, 0, 0, 3, 1, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1};
    memcpy(expected + 40, body, 8);
    frame_seal(expected, 48, TEST_SEED);
    assert_int_equal(peer_frame_write(&writer, header, PEER_FRAME_MESSAGE, &span, 1), 48);
    assert_memory_equal(header, expected, 40);
    assert_int_equal(peer_frame_checksum(header), bytes_get_u64(expected + 32));
    assert_int_equal(writer.sequence, 0x0102030405060709);
}

static void a_connection_goes_from_handshake_to_messages(void **state) {
    (void)state;
    uint8_t hello[48] = {0};
    uint8_t answer[48] = {1};
    uint8_t message[40];
    const struct peer_frame_span hello_span = {hello + 40, 8};
    const struct peer_frame_span answer_span = {answer + 40, 8};
    struct peer_frame_writer opener;
    struct peer_frame_writer acceptor;
    struct peer_frame_reader reader;
    struct peer_frame_reader answer_reader;
    peer_frame_writer_begin(&opener);
    peer_frame_writer_begin(&acceptor);
    peer_frame_reader_begin(&reader, PEER_FRAME_HELLO, PEER_HELLO_FRAME_BYTES_MAX);
    peer_frame_reader_begin(&answer_reader, PEER_FRAME_HELLO_ANSWER, PEER_HELLO_FRAME_BYTES_MAX);
    (void)peer_frame_write(&opener, hello, PEER_FRAME_HELLO, &hello_span, 1);
    struct peer_frame frame;
    struct peer_frame answer_frame;
    assert_int_equal(read_exactly(&reader, hello, 48, &frame), PEER_FRAME_COMPLETE);
    (void)peer_frame_write(&acceptor, answer, PEER_FRAME_HELLO_ANSWER, &answer_span, 1);
    assert_int_equal(read_exactly(&answer_reader, answer, 48, &answer_frame), PEER_FRAME_COMPLETE);

    /* Each side has one checksum from its reader and one from its writer. */
    peer_frame_reader_accept(&reader, peer_frame_seed(frame.checksum, peer_frame_checksum(answer)),
                             LIMIT_BYTES);
    peer_frame_writer_accepted(&opener,
                               peer_frame_seed(peer_frame_checksum(hello), answer_frame.checksum));
    assert_int_equal(peer_frame_write(&opener, message, PEER_FRAME_MESSAGE, NULL, 0), 40);
    assert_int_equal(read_exactly(&reader, message, 40, &frame), PEER_FRAME_COMPLETE);
    assert_int_equal(frame.sequence, 1);
    assert_int_equal(frame.body_bytes, 0);
}

static void pieces_of_a_body_give_the_frame_of_the_whole(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 7);
    for (uint32_t run = 0; run < 500; run++) {
        uint8_t bytes[LIMIT_BYTES];
        struct peer_frame_writer writer = writer_made();
        const uint32_t body_bytes = 8 * (uint32_t)random_below(&random, BODY_BYTES_MAX / 8 + 1);
        (void)frame_made(&writer, &random, body_bytes, bytes);

        struct peer_frame_span spans[6];
        uint32_t count = 0;
        for (uint32_t at = 0; count < 5; count++) {
            const uint32_t length = (uint32_t)random_below(&random, body_bytes - at + 1);
            spans[count] = (struct peer_frame_span){bytes + 40 + at, length};
            at += length;
            spans[count + 1] = (struct peer_frame_span){bytes + 40 + at, body_bytes - at};
        }
        uint8_t header[PEER_FRAME_HEADER_BYTES];
        writer = writer_made();
        (void)peer_frame_write(&writer, header, PEER_FRAME_MESSAGE, spans, count + 1);
        assert_memory_equal(header, bytes, sizeof(header));
    }
}

static void every_split_position_gives_the_same_frames(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 8);
    static const uint32_t bodies[] = {0, 8, 16, 136, 0};
    uint8_t bytes[2 * LIMIT_BYTES];
    uint32_t starts[FRAMES_MAX];
    uint32_t total = 0;
    struct peer_frame_writer writer = writer_made();
    for (uint32_t i = 0; i < ARRAY_COUNT(bodies); i++) {
        starts[i] = total;
        total += frame_made(&writer, &random, bodies[i], bytes + total);
    }
    for (uint32_t cut = 0; cut <= total; cut++) {
        struct peer_frame_reader reader = reader_made();
        struct peer_frame frame;
        uint32_t position = 0;
        uint32_t found = 0;
        for (uint32_t end = cut;; end = total) {
            enum peer_frame_result result;
            while ((result = read_exactly(&reader, bytes + position, end - position, &frame)) ==
                   PEER_FRAME_COMPLETE) {
                assert_int_equal(position, starts[found]);
                assert_int_equal(frame.body_bytes, bodies[found]);
                assert_int_equal(frame.sequence, ++found);
                position += frame.length_bytes;
            }
            assert_int_equal(result, PEER_FRAME_MORE);
            assert_true(frame.needed_bytes > end - position);
            assert_true(frame.needed_bytes <= LIMIT_BYTES);
            assert_true(position + frame.needed_bytes <= total + PEER_FRAME_HEADER_BYTES);
            if (end == total)
                break;
        }
        assert_int_equal(found, ARRAY_COUNT(bodies));
        assert_int_equal(position, total);
    }
}

/* ---- a dumb twin -------------------------------------------------------------------------- */

/* The format's sentences one after the other, over a frame that is there whole. */
static bool twin_accepts(const uint8_t *bytes, size_t available_bytes, uint64_t sequence) {
    const uint64_t length = available_bytes >= 4 ? bytes_get_u32(bytes) : 0;
    return length >= 40 && length <= LIMIT_BYTES && length % 8 == 0 && length <= available_bytes &&
           bytes[4] == 3 && bytes[5] == 1 &&
           bytes_get_u16(bytes + 6) == check_of(bytes, TEST_SEED) &&
           bytes_get_u64(bytes + 8) == sequence && bytes_get_u64(bytes + 16) == 0 &&
           bytes_get_u64(bytes + 24) == 0 &&
           bytes_get_u64(bytes + 32) ==
               checksum_64(bytes + 40, length - 40, checksum_64(bytes, 32, TEST_SEED));
}

static void damaged_and_resealed_frames_are_judged_as_the_twin_does(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 9);
    uint32_t accepted = 0;
    uint32_t refused = 0;
    for (uint32_t run = 0; run < 20000; run++) {
        uint8_t bytes[LIMIT_BYTES];
        struct peer_frame_writer writer = writer_made();
        const uint32_t length =
            frame_made(&writer, &random, 8 * (uint32_t)random_below(&random, 6), bytes);
        for (uint64_t changes = random_below(&random, 3); changes > 0; changes--)
            bytes[random_below(&random, 40)] = (uint8_t)random_below(&random, 4);
        uint32_t sealed = bytes_get_u32(bytes);
        if (random_chance(&random, 3, 4) && sealed >= 40 && sealed <= length)
            frame_seal(bytes, sealed, TEST_SEED);
        const size_t available = (size_t)random_below(&random, length + 1);
        struct peer_frame_reader reader = reader_made();
        struct peer_frame frame;
        enum peer_frame_result result = read_exactly(&reader, bytes, available, &frame);
        assert_int_equal(result == PEER_FRAME_COMPLETE, twin_accepts(bytes, available, 1));
        if (result == PEER_FRAME_MORE) {
            assert_true(frame.needed_bytes > available && frame.needed_bytes <= LIMIT_BYTES);
            result = read_exactly(&reader, bytes, length, &frame);
            assert_int_equal(result == PEER_FRAME_COMPLETE, twin_accepts(bytes, length, 1));
        }
        accepted += result == PEER_FRAME_COMPLETE;
        refused += result == PEER_FRAME_FAULTY;
    }
    assert_true(accepted > 1000 && refused > 1000); /* or it compares nothing */
}

static void random_bytes_are_never_a_frame(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 10);
    for (uint32_t run = 0; run < 20000; run++) {
        uint8_t bytes[256];
        const size_t available = (size_t)random_below(&random, sizeof(bytes) + 1);
        for (size_t i = 0; i < available; i++)
            bytes[i] = (uint8_t)random_u64(&random);
        if (available >= 4 && random_chance(&random, 1, 2)) { /* past the length, at least */
            bytes_put_u32(bytes, 40 + 8 * (uint32_t)random_below(&random, 123));
        }
        struct peer_frame_reader reader = reader_made();
        struct peer_frame frame;
        assert_int_not_equal(read_exactly(&reader, bytes, available, &frame), PEER_FRAME_COMPLETE);
        assert_true(frame.needed_bytes <= LIMIT_BYTES);
    }
}

/* ---- what must not be --------------------------------------------------------------------- */

static void write_uneven(void *context) {
    (void)context;
    static const uint8_t body[7];
    const struct peer_frame_span span = {body, 7};
    struct peer_frame_writer writer = writer_made();
    uint8_t header[PEER_FRAME_HEADER_BYTES];
    (void)peer_frame_write(&writer, header, PEER_FRAME_MESSAGE, &span, 1);
}

static void write_message_first(void *context) {
    (void)context;
    struct peer_frame_writer writer;
    peer_frame_writer_begin(&writer);
    uint8_t header[PEER_FRAME_HEADER_BYTES];
    (void)peer_frame_write(&writer, header, PEER_FRAME_MESSAGE, NULL, 0);
}

static void accept_without_hello(void *context) {
    (void)context;
    struct peer_frame_reader reader;
    peer_frame_reader_begin(&reader, PEER_FRAME_HELLO, PEER_HELLO_FRAME_BYTES_MAX);
    peer_frame_reader_accept(&reader, 1, LIMIT_BYTES);
}

static void mistakes_of_the_caller_end_the_process(void **state) {
    (void)state;
    death_expect_abort(write_uneven, NULL, "PEER_FRAME_ALIGN_BYTES == 0");
    death_expect_abort(write_message_first, NULL, "writer->sequence > 0");
    death_expect_abort(accept_without_hello, NULL, "reader->sequence == 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_are_refused_by_their_four_bytes),
        cmocka_unit_test(before_the_handshake_the_limit_is_small),
        cmocka_unit_test(other_protocols_are_refused_by_their_first_bytes),
        cmocka_unit_test(each_field_of_the_header_is_refused_by_name),
        cmocka_unit_test(a_bad_header_is_refused_before_its_body_is_there),
        cmocka_unit_test(a_fault_is_for_ever),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(a_length_that_grew_is_refused_when_the_header_is_there),
        cmocka_unit_test(a_frame_of_another_connection_is_refused),
        cmocka_unit_test(the_seed_is_of_both_handshake_frames_in_their_order),
        cmocka_unit_test(a_repeated_frame_is_refused),
        cmocka_unit_test(nothing_but_the_handshake_is_taken_first_and_only_once),
        cmocka_unit_test(the_bytes_are_the_documented_ones),
        cmocka_unit_test(a_connection_goes_from_handshake_to_messages),
        cmocka_unit_test(pieces_of_a_body_give_the_frame_of_the_whole),
        cmocka_unit_test(every_split_position_gives_the_same_frames),
        cmocka_unit_test(damaged_and_resealed_frames_are_judged_as_the_twin_does),
        cmocka_unit_test(random_bytes_are_never_a_frame),
        cmocka_unit_test(mistakes_of_the_caller_end_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
