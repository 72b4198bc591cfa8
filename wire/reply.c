/* Writing the neutral reply stream.
 *
 * The happy path: reply_take checks that a whole record fits, writes its header and hands out the
 * place of its payload; the caller of reply_take copies the payload there.
 *
 * The one failure: it does not fit. Then, and for every later record, only its size is added to
 * overflow_bytes. A later, smaller record that would fit is not written either: a stream with a
 * hole would be a wrong answer, while a stream that stops is one that can be asked for again.
 */
#include "wire/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

enum {
    REPLY_AT_KIND = 0,
    REPLY_AT_LENGTH = 4,
    REPLY_AT_VALUE = 8,
    REPLY_LENGTH_MAX = INT32_MAX,
};

_Static_assert(REPLY_AT_VALUE + sizeof(uint64_t) == REPLY_HEADER_BYTES, "no gap in the header");

/* What a record of each kind has: fixed by the table in reply.h. */
struct reply_shape {
    uint8_t slack_bytes;
    bool has_payload;
    bool valid;
};

static const struct reply_shape reply_shapes[REPLY_KINDS] = {
    [REPLY_OK] = {0, false, true},
    [REPLY_PONG] = {0, false, true},
    [REPLY_QUEUED] = {0, false, true},
    [REPLY_NULL] = {0, false, true},
    [REPLY_NULL_ARRAY] = {0, false, true},
    [REPLY_BOOLEAN] = {0, false, true},
    [REPLY_ARRAY] = {0, false, true},
    [REPLY_MAP] = {0, false, true},
    [REPLY_SET] = {0, false, true},
    [REPLY_PUSH] = {0, false, true},
    [REPLY_INTEGER] = {REPLY_INTEGER_SLACK_BYTES, false, true},
    [REPLY_DOUBLE] = {REPLY_DOUBLE_SLACK_BYTES, false, true},
    [REPLY_STATUS] = {0, true, true},
    [REPLY_ERROR] = {0, true, true},
    [REPLY_BULK] = {REPLY_BULK_SLACK_BYTES, true, true},
    [REPLY_VERBATIM] = {REPLY_BULK_SLACK_BYTES, true, true},
    [REPLY_BIG_NUMBER] = {REPLY_BULK_SLACK_BYTES, true, true},
    [REPLY_PAIRS] = {0, false, true},
    [REPLY_PAIR] = {0, false, true},
    [REPLY_DOUBLE_TEXT] = {REPLY_DOUBLE_SLACK_BYTES, false, true},
};

void reply_begin(struct reply_writer *writer, uint8_t *region, size_t length) {
    ASSERT(region != NULL || length == 0);
    writer->begin = region;
    writer->position = region;
    writer->end = length > 0 ? region + length : region;
    writer->overflow_bytes = 0;
}

struct reply_mark reply_mark(const struct reply_writer *writer) {
    return (struct reply_mark){writer->position, writer->overflow_bytes};
}

void reply_rewind(struct reply_writer *writer, struct reply_mark mark) {
    ASSERT(mark.position >= writer->begin && mark.position <= writer->position);
    ASSERT(mark.overflow_bytes <= writer->overflow_bytes);
    writer->position = mark.position;
    writer->overflow_bytes = mark.overflow_bytes;
}

static inline void reply_header(uint8_t *at, enum reply_kind kind, size_t length, uint64_t value) {
    bytes_put_u32(at + REPLY_AT_KIND, (uint32_t)kind);
    bytes_put_u32(at + REPLY_AT_LENGTH, (uint32_t)length);
    bytes_put_u64(at + REPLY_AT_VALUE, value);
}

/* Room for a whole record of this payload length: where its payload goes, or NULL when it
 * overflows. `position` moves behind the record. */
static inline uint8_t *reply_take(struct reply_writer *writer, enum reply_kind kind, size_t length,
                                  uint64_t value) {
    ASSERT_HOT(kind > REPLY_INVALID && kind < REPLY_KINDS && reply_shapes[kind].valid);
    ASSERT_HOT(length <= REPLY_LENGTH_MAX && (length == 0 || reply_shapes[kind].has_payload));
    const size_t record_bytes = REPLY_HEADER_BYTES + length + reply_shapes[kind].slack_bytes;
    uint8_t *at = writer->position;
    if (writer->overflow_bytes != 0 || (size_t)(writer->end - at) < record_bytes) {
        writer->overflow_bytes += record_bytes;
        return NULL;
    }
    reply_header(at, kind, length, value);
    writer->position = at + record_bytes;
    return at + REPLY_HEADER_BYTES;
}

static void reply_take_and_copy(struct reply_writer *writer, enum reply_kind kind, const void *data,
                                size_t length) {
    ASSERT_HOT(data != NULL || length == 0);
    uint8_t *payload = reply_take(writer, kind, length, 0);
    if (payload != NULL && length > 0)
        memcpy(payload, data, length);
}

/* ---- Records without payload ----------------------------------------------------------------- */

void reply_ok(struct reply_writer *writer) {
    reply_take(writer, REPLY_OK, 0, 0);
}

void reply_pong(struct reply_writer *writer) {
    reply_take(writer, REPLY_PONG, 0, 0);
}

void reply_queued(struct reply_writer *writer) {
    reply_take(writer, REPLY_QUEUED, 0, 0);
}

void reply_null(struct reply_writer *writer) {
    reply_take(writer, REPLY_NULL, 0, 0);
}

void reply_null_array(struct reply_writer *writer) {
    reply_take(writer, REPLY_NULL_ARRAY, 0, 0);
}

void reply_integer(struct reply_writer *writer, int64_t value) {
    reply_take(writer, REPLY_INTEGER, 0, (uint64_t)value);
}

void reply_boolean(struct reply_writer *writer, bool value) {
    reply_take(writer, REPLY_BOOLEAN, 0, value ? 1 : 0);
}

void reply_double(struct reply_writer *writer, double value) {
    uint64_t bits;
    _Static_assert(sizeof(bits) == sizeof(value), "a double is 64 bits");
    memcpy(&bits, &value, sizeof(bits));
    reply_take(writer, REPLY_DOUBLE, 0, bits);
}

void reply_double_text(struct reply_writer *writer, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    reply_take(writer, REPLY_DOUBLE_TEXT, 0, bits);
}

static void reply_aggregate(struct reply_writer *writer, enum reply_kind kind, size_t count) {
    ASSERT_HOT(count <= REPLY_LENGTH_MAX);
    reply_take(writer, kind, 0, count);
}

void reply_array(struct reply_writer *writer, size_t element_count) {
    reply_aggregate(writer, REPLY_ARRAY, element_count);
}

void reply_map(struct reply_writer *writer, size_t pair_count) {
    reply_aggregate(writer, REPLY_MAP, pair_count);
}

void reply_set(struct reply_writer *writer, size_t element_count) {
    reply_aggregate(writer, REPLY_SET, element_count);
}

void reply_push(struct reply_writer *writer, size_t element_count) {
    reply_aggregate(writer, REPLY_PUSH, element_count);
}

void reply_pairs(struct reply_writer *writer, size_t pair_count) {
    reply_aggregate(writer, REPLY_PAIRS, pair_count);
}

void reply_pair(struct reply_writer *writer) {
    reply_take(writer, REPLY_PAIR, 0, 0);
}

struct reply_mark reply_array_begin(struct reply_writer *writer) {
    const struct reply_mark mark = reply_mark(writer);
    reply_aggregate(writer, REPLY_ARRAY, 0);
    return mark;
}

struct reply_mark reply_set_begin(struct reply_writer *writer) {
    const struct reply_mark mark = reply_mark(writer);
    reply_aggregate(writer, REPLY_SET, 0);
    return mark;
}

void reply_array_end(struct reply_writer *writer, struct reply_mark mark, size_t element_count) {
    ASSERT(element_count <= REPLY_LENGTH_MAX);
    ASSERT(mark.position >= writer->begin && mark.position <= writer->position);
    if (mark.position == writer->position) { /* it did not fit itself */
        ASSERT(writer->overflow_bytes > mark.overflow_bytes);
        return;
    }
    const uint32_t kind = bytes_get_u32(mark.position + REPLY_AT_KIND);
    ASSERT(kind == REPLY_ARRAY || kind == REPLY_SET);
    bytes_put_u64(mark.position + REPLY_AT_VALUE, element_count);
}

/* ---- Records with payload -------------------------------------------------------------------- */

void reply_bulk(struct reply_writer *writer, const void *data, size_t length) {
    reply_take_and_copy(writer, REPLY_BULK, data, length);
}

uint8_t *reply_bulk_reserve(struct reply_writer *writer, size_t length_max) {
    ASSERT(length_max <= REPLY_LENGTH_MAX);
    uint8_t *before = writer->position;
    uint8_t *payload = reply_take(writer, REPLY_BULK, length_max, 0);
    if (payload != NULL)
        writer->position = before; /* until commit: what is uncommitted is not in the stream */
    return payload;
}

void reply_bulk_commit(struct reply_writer *writer, size_t length) {
    uint8_t *at = writer->position;
    ASSERT(writer->overflow_bytes == 0);
    ASSERT((size_t)(writer->end - at) >= REPLY_HEADER_BYTES + REPLY_BULK_SLACK_BYTES);
    ASSERT(bytes_get_u32(at + REPLY_AT_KIND) == REPLY_BULK);
    ASSERT(length <= bytes_get_u32(at + REPLY_AT_LENGTH));
    reply_header(at, REPLY_BULK, length, 0);
    writer->position = at + REPLY_HEADER_BYTES + length + REPLY_BULK_SLACK_BYTES;
}

void reply_status(struct reply_writer *writer, const char *text, size_t length) {
    ASSERT(memchr(text, '\r', length) == NULL && memchr(text, '\n', length) == NULL);
    reply_take_and_copy(writer, REPLY_STATUS, text, length);
}

/* What would end the reply's line, or a reader's string, too early. */
static bool reply_breaks_line(char byte) {
    return byte == '\r' || byte == '\n' || byte == '\0';
}

void reply_error(struct reply_writer *writer, const char *text, size_t length) {
    ASSERT(text != NULL);
    while (length > 0 && reply_breaks_line(text[0])) {
        text++;
        length--;
    }
    while (length > 0 && reply_breaks_line(text[length - 1]))
        length--;
    uint8_t *payload = reply_take(writer, REPLY_ERROR, length, 0);
    if (payload == NULL)
        return;
    for (size_t i = 0; i < length; i++)
        payload[i] = reply_breaks_line(text[i]) ? ' ' : (uint8_t)text[i];
}

void reply_error_format(struct reply_writer *writer, const char *format, ...) {
    char text[REPLY_ERROR_FORMAT_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    ASSERT(length >= 0);
    const size_t kept = (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1;
    reply_error(writer, text, kept);
}

void reply_verbatim(struct reply_writer *writer, const char form[static 3], const void *data,
                    size_t length) {
    ASSERT(data != NULL || length == 0);
    uint8_t *payload = reply_take(writer, REPLY_VERBATIM, length + REPLY_VERBATIM_FORM_BYTES, 0);
    if (payload == NULL)
        return;
    memcpy(payload, form, 3);
    payload[3] = ':';
    if (length > 0)
        memcpy(payload + REPLY_VERBATIM_FORM_BYTES, data, length);
}

char *reply_verbatim_reserve(struct reply_writer *writer, size_t length_max) {
    ASSERT(length_max <= REPLY_LENGTH_MAX - REPLY_VERBATIM_FORM_BYTES);
    uint8_t *before = writer->position;
    uint8_t *payload =
        reply_take(writer, REPLY_VERBATIM, length_max + REPLY_VERBATIM_FORM_BYTES, 0);
    if (payload == NULL)
        return NULL;
    writer->position = before; /* as in reply_bulk_reserve */
    return (char *)payload + REPLY_VERBATIM_FORM_BYTES;
}

void reply_verbatim_commit(struct reply_writer *writer, const char form[static 3], size_t length) {
    uint8_t *at = writer->position;
    ASSERT(writer->overflow_bytes == 0);
    ASSERT((size_t)(writer->end - at) >= REPLY_VERBATIM_EXTRA_BYTES);
    ASSERT(bytes_get_u32(at + REPLY_AT_KIND) == REPLY_VERBATIM);
    const size_t payload_bytes = length + REPLY_VERBATIM_FORM_BYTES;
    ASSERT(payload_bytes <= bytes_get_u32(at + REPLY_AT_LENGTH));
    reply_header(at, REPLY_VERBATIM, payload_bytes, 0);
    memcpy(at + REPLY_HEADER_BYTES, form, 3);
    at[REPLY_HEADER_BYTES + 3] = ':';
    writer->position = at + REPLY_HEADER_BYTES + payload_bytes + REPLY_BULK_SLACK_BYTES;
}

void reply_big_number(struct reply_writer *writer, const char *digits, size_t length) {
    const size_t sign = length > 0 && digits[0] == '-' ? 1 : 0;
    ASSERT(length > sign);
    for (size_t i = sign; i < length; i++)
        ASSERT(digits[i] >= '0' && digits[i] <= '9');
    reply_take_and_copy(writer, REPLY_BIG_NUMBER, digits, length);
}

/* ---- Reading back ---------------------------------------------------------------------------- */

struct reply_record reply_record_read(const uint8_t *at, size_t available) {
    ASSERT_HOT(available >= REPLY_HEADER_BYTES);
    const uint32_t kind = bytes_get_u32(at + REPLY_AT_KIND);
    ASSERT_HOT(kind < REPLY_KINDS && reply_shapes[kind].valid);
    const struct reply_record record = {
        .kind = (enum reply_kind)kind,
        .length_bytes = bytes_get_u32(at + REPLY_AT_LENGTH),
        .value = bytes_get_u64(at + REPLY_AT_VALUE),
        .record_bytes = REPLY_HEADER_BYTES + bytes_get_u32(at + REPLY_AT_LENGTH) +
                        reply_shapes[kind].slack_bytes,
    };
    ASSERT_HOT(record.record_bytes <= available);
    ASSERT_HOT(record.length_bytes == 0 || reply_shapes[kind].has_payload);
    return record;
}

bool reply_stream_check(const uint8_t *bytes, size_t length) {
    size_t position = 0;
    while (position < length) {
        if (length - position < REPLY_HEADER_BYTES)
            return false;
        const uint8_t *at = bytes + position;
        const uint32_t kind = bytes_get_u32(at + REPLY_AT_KIND);
        if (kind >= REPLY_KINDS || !reply_shapes[kind].valid)
            return false;
        const uint32_t payload_bytes = bytes_get_u32(at + REPLY_AT_LENGTH);
        const uint64_t record_bytes =
            (uint64_t)REPLY_HEADER_BYTES + payload_bytes + reply_shapes[kind].slack_bytes;
        if ((payload_bytes > 0 && !reply_shapes[kind].has_payload) ||
            record_bytes > length - position)
            return false;
        position += record_bytes;
    }
    ASSERT(position == length);
    return length > 0;
}
