/*
 * Reading and writing frames between members: see peer_frame.h.
 *
 * Happy path: the writer fills a header over its body's spans; the reader says how many bytes it
 * needs (the header, then the length that stands there), and hands out the body when all are there
 * and the checksum is right.
 *
 * Failure modes: only peer_frame_read meets foreign bytes.  It judges the length first, since that
 * is what it asks memory for, then the header's fields and its check, then the body's checksum,
 * then its tag.  The first fault is kept: behind it no byte can be trusted to be a frame's first.
 */

#include "wire/peer_frame.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/mutant.h"

/* Offsets of the header's fields; peer_frame.h has the table. */
enum {
    OFFSET_LENGTH = 0,
    OFFSET_KIND = 4,
    OFFSET_VERSION = 5,
    OFFSET_CHECK = 6,
    OFFSET_SEQUENCE = 8,
    OFFSET_TAG = 16,
    OFFSET_CHECKSUM = 32,
    SEQUENCE_BYTES = 8,
};
_Static_assert((int)OFFSET_TAG + (int)PEER_FRAME_TAG_BYTES == (int)OFFSET_CHECKSUM,
               "the tag is the last field that the checksum covers");
_Static_assert((int)OFFSET_SEQUENCE + (int)SEQUENCE_BYTES == (int)OFFSET_TAG,
               "the sequence is the last field that the tag covers of a header");
_Static_assert((int)OFFSET_CHECKSUM == (int)PEER_FRAME_CHECKED_HEADER_BYTES,
               "the checksum covers what precedes it");
_Static_assert((int)OFFSET_TAG == (int)PEER_FRAME_TAGGED_HEADER_BYTES,
               "the tag covers what precedes it");
_Static_assert(sizeof(PEER_FRAME_KEY_LABEL) == PEER_FRAME_TAGGED_HEADER_BYTES,
               "the label is as long as what a tag covers of a header");
_Static_assert(sizeof(PEER_FRAME_MESSAGE_LABEL) == PEER_FRAME_TAGGED_HEADER_BYTES,
               "and so is this");
_Static_assert((int)PEER_FRAME_TAG_BYTES <= (int)MAC_BYTES, "a tag is the beginning of one");
_Static_assert((int)PEER_FRAME_TAG_BYTES == (int)GMAC_BYTES, "or the whole of the other sort");
_Static_assert((int)GMAC_KEY_BYTES == (int)MAC_BYTES, "the one makes a key for the other");
_Static_assert((int)OFFSET_CHECKSUM + 8 == (int)PEER_FRAME_HEADER_BYTES,
               "the checksum is the header's last field");
_Static_assert((int)PEER_FRAME_HEADER_BYTES % (int)PEER_FRAME_ALIGN_BYTES == 0,
               "the body starts aligned");
_Static_assert(PEER_FRAME_BYTES_CEILING % PEER_FRAME_ALIGN_BYTES == 0,
               "lengths are multiples of 8, so none between it and UINT32_MAX is lost");

const uint8_t peer_frame_zeros[PEER_FRAME_ALIGN_BYTES] = {0};

static uint64_t header_hash(const uint8_t *header, uint64_t seed) {
    return checksum_64(header, PEER_FRAME_CHECKED_HEADER_BYTES, seed);
}

uint16_t peer_frame_header_check(const uint8_t header[PEER_FRAME_HEADER_BYTES], uint64_t seed) {
    uint8_t copy[PEER_FRAME_TAGGED_HEADER_BYTES];
    memcpy(copy, header, sizeof(copy));
    bytes_put_u16(copy + OFFSET_CHECK, 0);
    return (uint16_t)checksum_64(copy, sizeof(copy), seed);
}

static bool limit_is_valid(uint32_t length_max_bytes) {
    return length_max_bytes >= PEER_FRAME_HEADER_BYTES &&
           length_max_bytes <= PEER_FRAME_BYTES_CEILING;
}

/* ---- tags --------------------------------------------------------------------------------- */

static void tagger_set(struct peer_frame_tagger *tagger, const struct mac_key *key,
                       struct gmac *messages, struct peer_frame_span context) {
    ASSERT(key != NULL && tagger->key == NULL);
    ASSERT(messages == NULL || messages->has_key);
    ASSERT(context.data != NULL || context.length_bytes == 0);
    *tagger = (struct peer_frame_tagger){.key = key, .messages = messages, .context = context};
}

/* Takes a MESSAGE's bytes up to `until_bytes` of the body; what precedes them was taken before. */
static void tag_add(struct peer_frame_tagger *tagger, const uint8_t *header, const uint8_t *body,
                    uint32_t until_bytes) {
    if (!tagger->begun) {
        ASSERT(header[OFFSET_KIND] == PEER_FRAME_MESSAGE);
        uint8_t nonce[GMAC_NONCE_BYTES] = {0};
        memcpy(nonce + sizeof(nonce) - SEQUENCE_BYTES, header + OFFSET_SEQUENCE, SEQUENCE_BYTES);
        gmac_begin(tagger->messages, nonce);
        gmac_update(tagger->messages, header, PEER_FRAME_TAGGED_HEADER_BYTES);
        tagger->begun = true;
        tagger->body_bytes = 0;
    }
    ASSERT_HOT(tagger->body_bytes <= until_bytes);
    if (until_bytes > tagger->body_bytes)
        gmac_update(tagger->messages, body + tagger->body_bytes, until_bytes - tagger->body_bytes);
    tagger->body_bytes = until_bytes;
}

/* The whole MESSAGE's; the tagger is ready for the next one. */
static void tag_end(struct peer_frame_tagger *tagger, uint8_t out[PEER_FRAME_TAG_BYTES]) {
    ASSERT(tagger->begun);
    gmac_end(tagger->messages, out);
    tagger->begun = false;
}

/* Of a frame of the handshake, or a PROOF: these are short. */
static void tag_handshake(struct peer_frame_tagger *tagger, const uint8_t *header,
                          const struct peer_frame_span *spans, uint32_t span_count,
                          uint8_t out[PEER_FRAME_TAG_BYTES]) {
    struct mac_state state;
    uint8_t tag[MAC_BYTES];
    ASSERT(header[OFFSET_KIND] != PEER_FRAME_MESSAGE);
    mac_begin(&state, tagger->key);
    mac_update(&state, header, PEER_FRAME_TAGGED_HEADER_BYTES);
    for (uint32_t i = 0; i < span_count; i++)
        mac_update(&state, spans[i].data, spans[i].length_bytes);
    mac_update(&state, tagger->context.data, tagger->context.length_bytes);
    mac_end(&state, tagger->key, tag);
    memcpy(out, tag, PEER_FRAME_TAG_BYTES);
    tagger->context = (struct peer_frame_span){NULL, 0};
}

/* The tag of a frame, whatever its kind; of a MESSAGE some of it may have been made before. */
static void tag_make(struct peer_frame_tagger *tagger, const uint8_t *header,
                     const struct peer_frame_span *spans, uint32_t span_count,
                     uint8_t out[PEER_FRAME_TAG_BYTES]) {
    if (header[OFFSET_KIND] != PEER_FRAME_MESSAGE) {
        tag_handshake(tagger, header, spans, span_count, out);
        return;
    }
    /* What was made before is of the one span that there is. */
    ASSERT(!tagger->begun || span_count == 1);
    if (span_count == 1) {
        tag_add(tagger, header, spans[0].data, spans[0].length_bytes);
    } else {
        tag_add(tagger, header, NULL, 0);
        for (uint32_t i = 0; i < span_count; i++)
            gmac_update(tagger->messages, spans[i].data, spans[i].length_bytes);
    }
    tag_end(tagger, out);
}

static bool tag_is_zero(const uint8_t *header) {
    return bytes_get_u64(header + OFFSET_TAG) == 0 && bytes_get_u64(header + OFFSET_TAG + 8) == 0;
}

void peer_frame_keys_set(struct peer_frame_keys *keys, const struct mac_key *secret,
                         const struct peer_frame_span *hello,
                         const struct peer_frame_span *answer) {
    struct mac_state state;
    uint8_t key[MAC_BYTES];
    ASSERT(hello->data[OFFSET_KIND] == PEER_FRAME_HELLO);
    ASSERT(answer->data[OFFSET_KIND] == PEER_FRAME_HELLO_ANSWER);
    mac_begin(&state, secret);
    mac_update(&state, PEER_FRAME_KEY_LABEL, sizeof(PEER_FRAME_KEY_LABEL));
    mac_update(&state, hello->data, hello->length_bytes);
    mac_update(&state, answer->data, answer->length_bytes);
    mac_end(&state, secret, key);
    mac_key_set(&keys->proof, key, sizeof(key));
    mac_begin(&state, &keys->proof);
    mac_update(&state, PEER_FRAME_MESSAGE_LABEL, sizeof(PEER_FRAME_MESSAGE_LABEL));
    mac_end(&state, &keys->proof, key);
    gmac_key_set(&keys->messages, key);
    mac_bytes_clear(key, sizeof(key));
    mac_bytes_clear(&state, sizeof(state));
}

void peer_frame_keys_clear(struct peer_frame_keys *keys) {
    mac_key_clear(&keys->proof);
    gmac_key_clear(&keys->messages);
}

/* ---- reading ------------------------------------------------------------------------------ */

void peer_frame_reader_begin(struct peer_frame_reader *reader, enum peer_frame_kind kind,
                             uint32_t length_max_bytes) {
    ASSERT(kind == PEER_FRAME_HELLO || kind == PEER_FRAME_HELLO_ANSWER);
    ASSERT(limit_is_valid(length_max_bytes));
    *reader = (struct peer_frame_reader){.seed = PEER_FRAME_SEED_HANDSHAKE,
                                         .length_max_bytes = length_max_bytes,
                                         .kind = (uint8_t)kind};
}

void peer_frame_reader_accept(struct peer_frame_reader *reader, uint64_t seed,
                              uint32_t length_max_bytes) {
    ASSERT(reader->kind == PEER_FRAME_HELLO && reader->sequence == 1);
    ASSERT(reader->fault == PEER_FRAME_VALID && limit_is_valid(length_max_bytes));
    reader->seed = seed;
    reader->length_max_bytes = length_max_bytes;
    reader->kind = PEER_FRAME_MESSAGE;
    reader->tagger = (struct peer_frame_tagger){.key = NULL};
}

void peer_frame_reader_authenticate(struct peer_frame_reader *reader, const struct mac_key *key,
                                    struct peer_frame_span context) {
    ASSERT(reader->fault == PEER_FRAME_VALID && reader->sequence == 0);
    ASSERT(reader->kind != PEER_FRAME_MESSAGE);
    tagger_set(&reader->tagger, key, NULL, context);
}

void peer_frame_reader_authenticate_messages(struct peer_frame_reader *reader,
                                             struct peer_frame_keys *keys) {
    ASSERT(reader->fault == PEER_FRAME_VALID && reader->sequence == 1);
    ASSERT(reader->kind == PEER_FRAME_MESSAGE);
    tagger_set(&reader->tagger, &keys->proof, &keys->messages, (struct peer_frame_span){NULL, 0});
    reader->kind = PEER_FRAME_PROOF;
}

static enum peer_frame_fault length_check(const struct peer_frame_reader *reader,
                                          uint32_t length_bytes) {
    if (length_bytes < PEER_FRAME_HEADER_BYTES)
        return PEER_FRAME_FAULT_SHORT;
    if (length_bytes > reader->length_max_bytes)
        return PEER_FRAME_FAULT_LONG;
    return length_bytes % PEER_FRAME_ALIGN_BYTES == 0 ? PEER_FRAME_VALID
                                                      : PEER_FRAME_FAULT_ALIGNMENT;
}

/* Everything of the header but length and checksum. */
static enum peer_frame_fault header_check(const struct peer_frame_reader *reader,
                                          const uint8_t *header) {
    const uint8_t kind = header[OFFSET_KIND];
    if (header[OFFSET_VERSION] != PEER_FRAME_VERSION)
        return PEER_FRAME_FAULT_VERSION;
    if (kind < PEER_FRAME_HELLO || kind > PEER_FRAME_PROOF)
        return PEER_FRAME_FAULT_KIND;
    /* One handshake a connection: a second HELLO, or a second answer, is none that may stand. */
    const bool greets = kind == PEER_FRAME_HELLO || kind == PEER_FRAME_HELLO_ANSWER;
    if (kind != reader->kind || (greets && reader->sequence > 0))
        return PEER_FRAME_FAULT_UNEXPECTED;
    if (kind == PEER_FRAME_PROOF &&
        bytes_get_u32(header + OFFSET_LENGTH) != PEER_FRAME_HEADER_BYTES)
        return PEER_FRAME_FAULT_LONG;
    if (bytes_get_u64(header + OFFSET_SEQUENCE) != reader->sequence)
        return PEER_FRAME_FAULT_SEQUENCE;
    const bool is_checked =
        bytes_get_u16(header + OFFSET_CHECK) == peer_frame_header_check(header, reader->seed);
    if (!MUTANT(FRAME_UNVERIFIED, true, is_checked))
        return PEER_FRAME_FAULT_HEADER;
    if (tag_is_zero(header) == (reader->tagger.key == NULL))
        return PEER_FRAME_VALID;
    return reader->tagger.key == NULL ? PEER_FRAME_FAULT_TAG : PEER_FRAME_FAULT_NO_TAG;
}

static enum peer_frame_result refuse(struct peer_frame_reader *reader, enum peer_frame_fault fault,
                                     struct peer_frame *out) {
    ASSERT(fault != PEER_FRAME_VALID);
    reader->fault = (uint8_t)fault;
    out->fault = (uint8_t)fault;
    return PEER_FRAME_FAULTY;
}

static enum peer_frame_result need(const struct peer_frame_reader *reader, uint32_t needed_bytes,
                                   struct peer_frame *out) {
    ASSERT_HOT(needed_bytes <= reader->length_max_bytes);
    out->needed_bytes = needed_bytes;
    return PEER_FRAME_MORE;
}

/* What the first bytes say: a length within the limit, or nothing yet. */
static enum peer_frame_result length_read(struct peer_frame_reader *reader, const uint8_t *bytes,
                                          size_t available_bytes, struct peer_frame *out) {
    ASSERT_HOT(limit_is_valid(reader->length_max_bytes));
    *out = (struct peer_frame){0};
    if (reader->fault != PEER_FRAME_VALID)
        return refuse(reader, (enum peer_frame_fault)reader->fault, out);
    if (available_bytes < PEER_FRAME_LENGTH_BYTES)
        return need(reader, PEER_FRAME_HEADER_BYTES, out);
    const enum peer_frame_fault fault = length_check(reader, bytes_get_u32(bytes + OFFSET_LENGTH));
    return fault == PEER_FRAME_VALID ? PEER_FRAME_COMPLETE : refuse(reader, fault, out);
}

enum peer_frame_result peer_frame_read(struct peer_frame_reader *reader, const uint8_t *bytes,
                                       size_t available_bytes, struct peer_frame *out) {
    const enum peer_frame_result result = length_read(reader, bytes, available_bytes, out);
    if (result != PEER_FRAME_COMPLETE)
        return result;
    if (available_bytes < PEER_FRAME_HEADER_BYTES)
        return need(reader, PEER_FRAME_HEADER_BYTES, out);
    return peer_frame_read_parts(reader, bytes, bytes + PEER_FRAME_HEADER_BYTES,
                                 available_bytes - PEER_FRAME_HEADER_BYTES, out);
}

/* The whole header: COMPLETE if all but the checksum is right. */
static enum peer_frame_result header_read(struct peer_frame_reader *reader, const uint8_t *header,
                                          struct peer_frame *out) {
    const enum peer_frame_result result = length_read(reader, header, PEER_FRAME_HEADER_BYTES, out);
    if (result != PEER_FRAME_COMPLETE)
        return result;
    const enum peer_frame_fault fault = header_check(reader, header);
    return fault == PEER_FRAME_VALID ? PEER_FRAME_COMPLETE : refuse(reader, fault, out);
}

enum peer_frame_result peer_frame_read_parts(struct peer_frame_reader *reader,
                                             const uint8_t header[PEER_FRAME_HEADER_BYTES],
                                             const uint8_t *body, size_t body_available,
                                             struct peer_frame *out) {
    const enum peer_frame_result result = header_read(reader, header, out);
    if (result != PEER_FRAME_COMPLETE)
        return result;
    const uint32_t length_bytes = bytes_get_u32(header + OFFSET_LENGTH);
    const uint32_t body_bytes = length_bytes - PEER_FRAME_HEADER_BYTES;
    if (body_available < body_bytes) {
        if (reader->tagger.key != NULL && reader->kind == PEER_FRAME_MESSAGE)
            tag_add(&reader->tagger, header, body, (uint32_t)body_available);
        return need(reader, length_bytes, out);
    }
    const uint64_t hash = checksum_64(body, body_bytes, header_hash(header, reader->seed));
    return peer_frame_read_hashed(reader, header, body, hash, out);
}

void peer_frame_hash_begin(const struct peer_frame_reader *reader,
                           const uint8_t header[PEER_FRAME_HEADER_BYTES],
                           struct checksum_state *state) {
    ASSERT_HOT(reader->fault == PEER_FRAME_VALID);
    checksum_begin(state, header_hash(header, reader->seed));
}

enum peer_frame_result peer_frame_read_hashed(struct peer_frame_reader *reader,
                                              const uint8_t header[PEER_FRAME_HEADER_BYTES],
                                              const uint8_t *body, uint64_t hash,
                                              struct peer_frame *out) {
    const enum peer_frame_result result = header_read(reader, header, out);
    if (result != PEER_FRAME_COMPLETE)
        return result;
    const uint64_t checksum = bytes_get_u64(header + OFFSET_CHECKSUM);
    if (MUTANT(FRAME_UNVERIFIED, false, checksum != hash))
        return refuse(reader, PEER_FRAME_FAULT_CHECKSUM, out);

    const uint32_t length_bytes = bytes_get_u32(header + OFFSET_LENGTH);
    if (reader->tagger.key != NULL) {
        const struct peer_frame_span span = {body, length_bytes - PEER_FRAME_HEADER_BYTES};
        uint8_t tag[PEER_FRAME_TAG_BYTES];
        tag_make(&reader->tagger, header, &span, 1, tag);
        if (!mac_equal(tag, header + OFFSET_TAG, PEER_FRAME_TAG_BYTES))
            return refuse(reader, PEER_FRAME_FAULT_FORGED, out);
    }
    *out = (struct peer_frame){.body = body,
                               .body_bytes = length_bytes - PEER_FRAME_HEADER_BYTES,
                               .length_bytes = length_bytes,
                               .sequence = reader->sequence,
                               .checksum = checksum,
                               .kind = reader->kind};
    reader->sequence++;
    if (reader->kind == PEER_FRAME_PROOF)
        reader->kind = PEER_FRAME_MESSAGE;
    return PEER_FRAME_COMPLETE;
}

/* ---- writing ------------------------------------------------------------------------------ */

void peer_frame_writer_begin(struct peer_frame_writer *writer) {
    *writer = (struct peer_frame_writer){.seed = PEER_FRAME_SEED_HANDSHAKE};
}

void peer_frame_writer_accepted(struct peer_frame_writer *writer, uint64_t seed) {
    ASSERT(writer->sequence == 1);
    writer->seed = seed;
    writer->tagger = (struct peer_frame_tagger){.key = NULL};
}

void peer_frame_writer_authenticate(struct peer_frame_writer *writer, const struct mac_key *key,
                                    struct peer_frame_span context) {
    ASSERT(writer->sequence == 0);
    tagger_set(&writer->tagger, key, NULL, context);
}

void peer_frame_writer_authenticate_messages(struct peer_frame_writer *writer,
                                             struct peer_frame_keys *keys) {
    ASSERT(writer->sequence == 1);
    tagger_set(&writer->tagger, &keys->proof, &keys->messages, (struct peer_frame_span){NULL, 0});
}

/* What precedes the tag. */
static void header_begin(const struct peer_frame_writer *writer, uint8_t *header,
                         enum peer_frame_kind kind, uint32_t length_bytes) {
    memset(header, 0, PEER_FRAME_HEADER_BYTES);
    bytes_put_u32(header + OFFSET_LENGTH, length_bytes);
    header[OFFSET_KIND] = (uint8_t)kind;
    header[OFFSET_VERSION] = PEER_FRAME_VERSION;
    bytes_put_u64(header + OFFSET_SEQUENCE, writer->sequence);
    bytes_put_u16(header + OFFSET_CHECK, peer_frame_header_check(header, writer->seed));
}

uint32_t peer_frame_write_ahead(struct peer_frame_writer *writer,
                                const struct peer_frame_span *body, uint32_t budget_bytes) {
    struct peer_frame_tagger *tagger = &writer->tagger;
    if (tagger->key == NULL)
        return 0;
    uint8_t header[PEER_FRAME_HEADER_BYTES];
    const uint32_t done_bytes = tagger->begun ? tagger->body_bytes : 0;
    ASSERT(writer->sequence > 1 && done_bytes <= body->length_bytes);
    const uint32_t left_bytes = body->length_bytes - done_bytes;
    const uint32_t until_bytes =
        done_bytes + (budget_bytes < left_bytes ? budget_bytes : left_bytes);
    header_begin(writer, header, PEER_FRAME_MESSAGE, PEER_FRAME_HEADER_BYTES + body->length_bytes);
    tag_add(tagger, header, body->data, until_bytes);
    return body->length_bytes - until_bytes;
}

/* checksum_64 over all spans; without a stream's state if there is one only. */
static uint64_t spans_hash(const struct peer_frame_span *spans, uint32_t span_count,
                           uint64_t seed) {
    if (span_count == 1)
        return checksum_64(spans[0].data, spans[0].length_bytes, seed);
    struct checksum_state state;
    checksum_begin(&state, seed);
    for (uint32_t i = 0; i < span_count; i++)
        checksum_update(&state, spans[i].data, spans[i].length_bytes);
    return checksum_end(&state);
}

uint32_t peer_frame_write(struct peer_frame_writer *writer, uint8_t header[PEER_FRAME_HEADER_BYTES],
                          enum peer_frame_kind kind, const struct peer_frame_span *spans,
                          uint32_t span_count) {
    const bool proves = writer->tagger.key != NULL && writer->sequence == 1;
    ASSERT(kind >= PEER_FRAME_HELLO && kind <= PEER_FRAME_PROOF);
    ASSERT(writer->sequence < UINT64_MAX); /* at 2^24 a second after 34,000 years */
    ASSERT((kind == PEER_FRAME_PROOF) == proves && (!proves || span_count == 0));
    ASSERT((kind == PEER_FRAME_MESSAGE) == (writer->sequence > 0 && !proves));
    uint64_t length_bytes = PEER_FRAME_HEADER_BYTES;
    for (uint32_t i = 0; i < span_count; i++)
        length_bytes += spans[i].length_bytes;
    ASSERT(length_bytes <= PEER_FRAME_BYTES_CEILING && length_bytes % PEER_FRAME_ALIGN_BYTES == 0);

    header_begin(writer, header, kind, (uint32_t)length_bytes);
    if (writer->tagger.key != NULL)
        tag_make(&writer->tagger, header, spans, span_count, header + OFFSET_TAG);
    const uint64_t seed = header_hash(header, writer->seed);
    bytes_put_u64(header + OFFSET_CHECKSUM, spans_hash(spans, span_count, seed));
    writer->sequence++;
    return (uint32_t)length_bytes;
}

uint64_t peer_frame_checksum(const uint8_t header[PEER_FRAME_HEADER_BYTES]) {
    ASSERT(header[OFFSET_VERSION] == PEER_FRAME_VERSION);
    return bytes_get_u64(header + OFFSET_CHECKSUM);
}

uint64_t peer_frame_seed(uint64_t hello_checksum, uint64_t answer_checksum) {
    uint8_t both[16];
    bytes_put_u64(both, hello_checksum);
    bytes_put_u64(both + 8, answer_checksum);
    return checksum_64(both, sizeof(both), PEER_FRAME_SEED_HANDSHAKE);
}

const char *peer_frame_fault_name(enum peer_frame_fault fault) {
    static const char *const names[] = {
        [PEER_FRAME_VALID] = "valid",
        [PEER_FRAME_FAULT_SHORT] = "length below that of a header",
        [PEER_FRAME_FAULT_LONG] = "length above the limit",
        [PEER_FRAME_FAULT_ALIGNMENT] = "length not a multiple of 8",
        [PEER_FRAME_FAULT_VERSION] = "unknown version",
        [PEER_FRAME_FAULT_KIND] = "unknown kind",
        [PEER_FRAME_FAULT_UNEXPECTED] = "a kind that may not stand here",
        [PEER_FRAME_FAULT_HEADER] = "a damaged header, or one of another connection",
        [PEER_FRAME_FAULT_SEQUENCE] = "not the next frame in sequence",
        [PEER_FRAME_FAULT_TAG] = "authenticated, and there is no secret here",
        [PEER_FRAME_FAULT_CHECKSUM] = "checksum mismatch",
        [PEER_FRAME_FAULT_NO_TAG] = "not authenticated",
        [PEER_FRAME_FAULT_FORGED] = "authenticated by another secret, or for another connection",
    };
    return (size_t)fault < ARRAY_COUNT(names) ? names[fault] : "unknown fault";
}
