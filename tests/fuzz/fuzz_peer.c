/*
 * What comes over the peers' port, fed with arbitrary bytes.
 *
 * The first byte says what the rest is:
 *
 *   0  a stream of frames, behind the handshake; how it is cut follows from its second byte
 *   1  the same, and then numbers and checksums made right again: whoever wrote that knows the
 *      format, and its bodies are decoded
 *   2  a stream that begins with the handshake
 *      (with 128 added these three are of a cluster with a secret, and tags are made right, too)
 *   3  the body of a HELLO      4  of a HELLO_ANSWER
 *   5  the body of a message on a connection for control (also of digests), 6  for data
 *   7  changes to a valid message: the second byte is its kind and the seed that it is made from,
 *      a change is 3 bytes: an offset (u16) and the byte to be put there
 *
 * What must hold: any split gives the same frames; nothing is asked for beyond the limit; whatever
 * is taken is written again with the same bytes; what is not taken does no harm, in memory of
 * exactly its size.
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "stages/peer_digest.h"
#include "tests/stages/peer_case.h"
#include "wire/peer_hello.h"

#include <stdlib.h>

enum {
    FUZZ_BYTES_MAX = 16 * 1024,
    FUZZ_LIMIT_BYTES = 4096,
    FUZZ_FRAMES_MAX = 512,
};

/* libFuzzer's own name for the target; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a stream was found to be. */
struct transcript {
    uint32_t count;
    uint64_t checksums[FUZZ_FRAMES_MAX];
    uint32_t fault;
    size_t consumed_bytes;
};

/* Memory of exactly these bytes. */
static uint8_t *copied(const uint8_t *bytes, size_t length_bytes) {
    uint8_t *copy = malloc(length_bytes > 0 ? length_bytes : 1);
    ASSERT(copy != NULL);
    if (length_bytes > 0)
        memcpy(copy, bytes, length_bytes);
    return copy;
}

/* ---- bodies ------------------------------------------------------------------------------- */

/* One of both: what has a nonce is of a frame with a tag. */
static void hello_judge(const uint8_t *body, size_t length_bytes) {
    struct peer_hello hello;
    const bool plain = peer_hello_read(body, length_bytes, false, &hello) == PEER_HELLO_VALID;
    const bool tagged = peer_hello_read(body, length_bytes, true, &hello) == PEER_HELLO_VALID;
    ASSERT(!plain || !tagged);
    if (!plain && !tagged)
        return;
    uint8_t again[PEER_HELLO_BYTES_MAX];
    ASSERT(peer_hello_write(again, &hello) == length_bytes);
    ASSERT(memcmp(again, body, length_bytes) == 0);
    const struct peer_expected expected = {.cluster_id = hello.cluster_id,
                                           .node_id = hello.to,
                                           .own_incarnation = hello.known,
                                           .peer = hello.from,
                                           .peer_known = true};
    ASSERT(peer_hello_judge(&hello, &expected) == PEER_ACCEPTED);
}

static void answer_judge(const uint8_t *body, size_t length_bytes) {
    struct peer_answer answer;
    const bool plain = peer_answer_read(body, length_bytes, false, &answer) == PEER_HELLO_VALID;
    const bool tagged = peer_answer_read(body, length_bytes, true, &answer) == PEER_HELLO_VALID;
    ASSERT(!plain || !tagged);
    if (!plain && !tagged)
        return;
    const struct peer_expected expected = {.node_id = 1, .peer = 2};
    ASSERT(peer_handshake_name(peer_answer_judge(&answer, &expected)) != NULL);
    if (answer.version != PEER_PROTOCOL_VERSION)
        return;
    uint8_t again[PEER_ANSWER_BYTES];
    peer_answer_write(again, &answer);
    ASSERT(memcmp(again, body, sizeof(again)) == 0);
}

static void digest_judge(const uint8_t *body, uint32_t body_bytes) {
    const struct peer_message_link link = peer_case_link(RAFT_MESSAGE_VOTE);
    struct peer_digest digest;
    if (peer_digest_decode(body, body_bytes, &link, &digest) != PEER_MESSAGE_VALID)
        return;
    uint8_t again[PEER_DIGEST_BYTES];
    peer_digest_encode(again, link.from, link.to, &digest);
    ASSERT(body_bytes == sizeof(again) && memcmp(again, body, sizeof(again)) == 0);
}

static void message_judge(const uint8_t *body, uint32_t body_bytes, bool control) {
    if (control && peer_digest_is(body, body_bytes)) {
        digest_judge(body, body_bytes);
        return;
    }
    struct peer_message *room = peer_case_room();
    const struct peer_message_link link =
        peer_case_link(control ? RAFT_MESSAGE_VOTE : RAFT_MESSAGE_APPEND);
    if (peer_message_decode(body, body_bytes, &link, room) != PEER_MESSAGE_VALID)
        return;
    const struct raft_message *message = &room->message;
    ASSERT(raft_message_fault_name(raft_message_check(message, room->entries)) != NULL);
    uint8_t head[PEER_MESSAGE_HEAD_BYTES_MAX];
    const uint32_t head_bytes = peer_message_encode(head, message, &room->previous);
    ASSERT(head_bytes <= body_bytes && memcmp(head, body, head_bytes) == 0);
    ASSERT(room->payload == NULL || room->payload == body + head_bytes);
    ASSERT(head_bytes + room->payload_bytes + peer_frame_padding_bytes(room->payload_bytes) ==
           body_bytes);
    uint32_t position = UINT32_MAX;
    const enum entry_fault fault =
        peer_message_entries_check(room, PEER_CASE_ENTRY_BYTES_MAX, &position);
    ASSERT(fault == ENTRY_VALID || position < message->entry_count);
}

static void message_judge_changed(const uint8_t *data, size_t size) {
    static struct peer_case made;
    struct random random;
    if (size == 0)
        return;
    random_seed(&random, data[0]);
    peer_case_make(&made, &random, (enum raft_message_kind)(1 + data[0] % 11), data[0] >= 128);
    for (data++, size--; size >= 3; data += 3, size -= 3)
        made.body[((uint32_t)data[0] << 8 | data[1]) % made.body_bytes] = data[2];
    uint8_t *body = copied(made.body, made.body_bytes);
    message_judge(body, made.body_bytes, raft_message_is_control(made.message.kind));
    free(body);
}

/* ---- streams ------------------------------------------------------------------------------ */

/* What kind of stream: after the handshake or with it, and with tags or without. */
struct stream_kind {
    bool handshake;
    bool tagged;
};

static const struct peer_frame_span nothing = {NULL, 0};

/* Of all frames: whether the handshake's key is another one makes no difference here. */
static struct peer_frame_keys *keys_made(void) {
    static struct peer_frame_keys keys;
    static const uint8_t key[GMAC_KEY_BYTES] = "of the fuzzer";
    mac_key_set(&keys.proof, key, sizeof(key));
    if (keys.messages.context == NULL)
        ASSERT(gmac_create(&keys.messages, NULL) == WEIR_OK);
    gmac_key_set(&keys.messages, key);
    return &keys;
}

static void reader_accept(struct peer_frame_reader *reader, bool tagged) {
    peer_frame_reader_accept(reader, 0, FUZZ_LIMIT_BYTES);
    if (tagged)
        peer_frame_reader_authenticate_messages(reader, keys_made());
}

static struct peer_frame_reader reader_made(struct stream_kind kind) {
    struct peer_frame_reader reader;
    peer_frame_reader_begin(&reader, PEER_FRAME_HELLO, PEER_HELLO_FRAME_BYTES_MAX);
    if (!kind.handshake) { /* as if a HELLO had come */
        reader.sequence = 1;
        reader_accept(&reader, kind.tagged);
    } else if (kind.tagged) {
        peer_frame_reader_authenticate(&reader, &keys_made()->proof, nothing);
    }
    return reader;
}

/* Reads a stream of which `first` bytes come first, then `step` at a time. */
static void stream_read(const uint8_t *bytes, size_t size, size_t first, size_t step,
                        struct stream_kind kind, struct transcript *out) {
    struct peer_frame_reader reader = reader_made(kind);
    *out = (struct transcript){0};
    for (size_t end = first < size ? first : size;; end = size - end > step ? end + step : size) {
        enum peer_frame_result result;
        do {
            const size_t available = end - out->consumed_bytes;
            uint8_t *copy = copied(bytes + out->consumed_bytes, available);
            struct peer_frame frame;
            result = peer_frame_read(&reader, copy, available, &frame);
            if (result == PEER_FRAME_COMPLETE) {
                ASSERT(out->count < FUZZ_FRAMES_MAX && frame.length_bytes <= available);
                ASSERT(frame.sequence == out->count + !kind.handshake);
                out->checksums[out->count++] = frame.checksum;
                out->consumed_bytes += frame.length_bytes;
                if (frame.kind == PEER_FRAME_HELLO) {
                    hello_judge(frame.body, frame.body_bytes);
                    reader_accept(&reader, kind.tagged);
                } else if (frame.kind == PEER_FRAME_PROOF) {
                    ASSERT(kind.tagged && frame.body_bytes == 0);
                } else {
                    message_judge(frame.body, frame.body_bytes, false);
                }
            } else if (result == PEER_FRAME_MORE) {
                ASSERT(frame.needed_bytes > available && frame.needed_bytes <= FUZZ_LIMIT_BYTES);
            }
            out->fault = frame.fault;
            free(copy);
        } while (result == PEER_FRAME_COMPLETE);
        if (end == size || result == PEER_FRAME_FAULTY)
            return;
    }
}

/* The tag of a frame, by the words of the format. */
static void frame_tag(uint8_t *frame, uint32_t length_bytes) {
    uint8_t tag[MAC_BYTES];
    struct peer_frame_keys *keys = keys_made();
    const uint8_t *body = frame + PEER_FRAME_HEADER_BYTES;
    const size_t body_bytes = length_bytes - PEER_FRAME_HEADER_BYTES;
    if (frame[4] == PEER_FRAME_MESSAGE) {
        uint8_t nonce[GMAC_NONCE_BYTES] = {0};
        memcpy(nonce + 4, frame + 8, 8);
        gmac_begin(&keys->messages, nonce);
        gmac_update(&keys->messages, frame, PEER_FRAME_TAGGED_HEADER_BYTES);
        gmac_update(&keys->messages, body, body_bytes);
        gmac_end(&keys->messages, tag);
    } else {
        struct mac_state state;
        mac_begin(&state, &keys->proof);
        mac_update(&state, frame, PEER_FRAME_TAGGED_HEADER_BYTES);
        mac_update(&state, body, body_bytes);
        mac_end(&state, &keys->proof, tag);
    }
    memcpy(frame + PEER_FRAME_TAGGED_HEADER_BYTES, tag, PEER_FRAME_TAG_BYTES);
}

/* Makes numbers, tags and checksums right, as far as the lengths can be followed. */
static void stream_seal(uint8_t *bytes, size_t size, struct stream_kind kind) {
    size_t offset = 0;
    for (uint64_t sequence = !kind.handshake; size - offset >= PEER_FRAME_HEADER_BYTES;
         sequence++) {
        uint8_t *frame = bytes + offset;
        const uint32_t length_bytes = bytes_get_u32(frame);
        if (length_bytes < PEER_FRAME_HEADER_BYTES || length_bytes > size - offset)
            return;
        const uint64_t seed = sequence == 0 ? PEER_FRAME_SEED_HANDSHAKE : 0;
        bytes_put_u64(frame + 8, sequence);
        bytes_put_u16(frame + 6, peer_frame_header_check(frame, seed));
        if (kind.tagged)
            frame_tag(frame, length_bytes);
        bytes_put_u64(frame + 32,
                      checksum_64(frame + PEER_FRAME_HEADER_BYTES,
                                  length_bytes - PEER_FRAME_HEADER_BYTES,
                                  checksum_64(frame, PEER_FRAME_CHECKED_HEADER_BYTES, seed)));
        offset += length_bytes;
    }
}

static void stream_judge(const uint8_t *data, size_t size, bool sealed, struct stream_kind kind) {
    static struct transcript whole;
    static struct transcript cut;
    if (size == 0)
        return;
    const size_t step = (size_t)1 + data[0];
    uint8_t *bytes = copied(data + 1, size - 1);
    if (sealed)
        stream_seal(bytes, size - 1, kind);
    stream_read(bytes, size - 1, size, 1, kind, &whole);
    stream_read(bytes, size - 1, step / 2, step, kind, &cut);
    ASSERT(whole.count == cut.count && whole.fault == cut.fault);
    ASSERT(whole.consumed_bytes == cut.consumed_bytes);
    ASSERT(memcmp(whole.checksums, cut.checksums, whole.count * sizeof(uint64_t)) == 0);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > FUZZ_BYTES_MAX)
        return 0;
    uint8_t *rest = copied(data + 1, size - 1);
    const bool tagged = data[0] >= 128;
    const struct stream_kind after = {.handshake = false, .tagged = tagged};
    const struct stream_kind with = {.handshake = true, .tagged = tagged};
    switch (data[0] % 8) {
    case 0: stream_judge(rest, size - 1, false, after); break;
    case 1: stream_judge(rest, size - 1, true, after); break;
    case 2: stream_judge(rest, size - 1, true, with); break;
    case 3: hello_judge(rest, size - 1); break;
    case 4: answer_judge(rest, size - 1); break;
    case 5: message_judge(rest, (uint32_t)(size - 1), true); break;
    case 6: message_judge(rest, (uint32_t)(size - 1), false); break;
    default: message_judge_changed(rest, size - 1); break;
    }
    free(rest);
    return 0;
}
