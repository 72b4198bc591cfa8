/* Encoding in place.
 *
 * The happy path: read a record's header into locals, format its RESP header into a small buffer,
 * copy that to the write cursor, move the payload behind it, end it by CRLF. The write cursor never
 * passes the read cursor, so a record's bytes are overwritten only after they were used; within a
 * record the RESP header is no longer than the neutral one, so it cannot run over the payload.
 *
 * A large payload is not moved: the header goes in front of it, into the neutral header's place,
 * and the write cursor jumps there. If that leaves a gap, a new piece begins.
 *
 * There is one failure, decided before anything is touched: no piece can take the stream's
 * beginning.
 */
#include "wire/reply_encode.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "wire/reply.h"

enum {
    ENCODE_CRLF_BYTES = 2,
    ENCODE_COUNT_DIGITS_MAX = 10, /* of 2 * INT32_MAX, a map's elements in RESP 2 */
    ENCODE_COUNT_LINE_MAX = 1 + ENCODE_COUNT_DIGITS_MAX + ENCODE_CRLF_BYTES,
    ENCODE_INTEGER_MAX = 1 + (DECIMAL_BYTES_MAX - 1) + ENCODE_CRLF_BYTES,
    ENCODE_DOUBLE_TEXT_MAX = 24, /* "-1.7976931348623157e+308" */
    ENCODE_DOUBLE_MAX = 5 /* "$24\r\n" */ + ENCODE_DOUBLE_TEXT_MAX + ENCODE_CRLF_BYTES,
    ENCODE_LINE_BUFFER_BYTES = 32, /* the longest record without payload, and a NUL */
};

_Static_assert(ENCODE_COUNT_LINE_MAX <= (size_t)REPLY_HEADER_BYTES, "a RESP header fits in ours");
_Static_assert(ENCODE_INTEGER_MAX <= REPLY_HEADER_BYTES + REPLY_INTEGER_SLACK_BYTES,
               "an integer fits in its record");
_Static_assert(ENCODE_DOUBLE_MAX <= REPLY_HEADER_BYTES + REPLY_DOUBLE_SLACK_BYTES,
               "a double fits in its record");
_Static_assert(ENCODE_COUNT_LINE_MAX + ENCODE_CRLF_BYTES <=
                   REPLY_HEADER_BYTES + REPLY_BULK_SLACK_BYTES,
               "a bulk fits in its record");
_Static_assert(ENCODE_CRLF_BYTES <= (size_t)REPLY_BULK_SLACK_BYTES,
               "its CRLF fits behind its payload");
_Static_assert(1 + ENCODE_CRLF_BYTES <= REPLY_HEADER_BYTES, "a status fits in its record");
_Static_assert(sizeof("+QUEUED\r\n") - 1 <= REPLY_HEADER_BYTES, "a fixed reply fits");
_Static_assert(ENCODE_INTEGER_MAX < ENCODE_LINE_BUFFER_BYTES &&
                   ENCODE_DOUBLE_MAX < ENCODE_LINE_BUFFER_BYTES,
               "a line fits in its buffer");
_Static_assert(DBL_MANT_DIG == 53 && DBL_MAX_10_EXP == 308, "the length of a double's text");

/* What a record becomes: a line, then for some kinds a payload (a part of the record's) and
 * CRLF. */
struct encode_form {
    char line[ENCODE_LINE_BUFFER_BYTES];
    uint32_t line_bytes;
    bool has_payload;
    uint32_t payload_skip; /* bytes of the record's payload that are left out in front */
};

/* Where the encoding stands. */
struct encode_cursor {
    struct reply_pieces *pieces;
    uint8_t *write;
};

void reply_pieces_begin(struct reply_pieces *pieces, struct reply_piece *table, uint32_t capacity) {
    ASSERT(table != NULL && capacity >= 1);
    *pieces = (struct reply_pieces){.piece = table, .capacity = capacity};
}

static void encode_text(struct encode_form *form, const char *text, uint32_t length) {
    ASSERT_HOT(length < ENCODE_LINE_BUFFER_BYTES);
    memcpy(form->line, text, length);
    form->line_bytes = length;
}

/* Type byte, decimal number, CRLF. */
static inline void encode_number(struct encode_form *form, char type, int64_t number) {
    form->line[0] = type;
    uint32_t length;
    if (number >= 0 && number <= 9) {
        form->line[1] = (char)('0' + number);
        length = 2;
    } else {
        length = 1 + (uint32_t)decimal_format_i64(form->line + 1, number);
    }
    form->line[length] = '\r';
    form->line[length + 1] = '\n';
    form->line_bytes = length + ENCODE_CRLF_BYTES;
    ASSERT_HOT(form->line_bytes < ENCODE_LINE_BUFFER_BYTES);
}

/* As Redis 7.0: %.17g, which the C library rounds correctly, so the text depends on nothing but the
 * bits (no part of weir sets a locale). NaN has one text whatever its sign and payload. */
static void encode_double(struct encode_form *form, uint64_t bits, enum resp_version version) {
    double value;
    memcpy(&value, &bits, sizeof(value));
    char text[ENCODE_LINE_BUFFER_BYTES];
    int length;
    if (isnan(value))
        length = snprintf(text, sizeof(text), "nan");
    else if (isinf(value))
        length = snprintf(text, sizeof(text), "%s", value > 0 ? "inf" : "-inf");
    else
        length = snprintf(text, sizeof(text), "%.17g", value);
    ASSERT(length > 0 && length <= ENCODE_DOUBLE_TEXT_MAX);

    char line[2 * ENCODE_LINE_BUFFER_BYTES];
    int line_bytes = version == RESP_VERSION_3
                         ? snprintf(line, sizeof(line), ",%s\r\n", text)
                         : snprintf(line, sizeof(line), "$%d\r\n%s\r\n", length, text);
    ASSERT(line_bytes > 0 && line_bytes <= ENCODE_DOUBLE_MAX);
    encode_text(form, line, (uint32_t)line_bytes);
}

static void encode_payload_after(struct encode_form *form, char type, uint32_t payload_bytes) {
    encode_number(form, type, payload_bytes);
    form->has_payload = true;
}

/* The one place that knows both protocols. `form` is zeroed but for its line. */
static void encode_choose(struct encode_form *form, const struct reply_record *record,
                          enum resp_version version) {
    const bool resp3 = version == RESP_VERSION_3;
    switch (record->kind) {
    case REPLY_OK: encode_text(form, "+OK\r\n", 5); break;
    case REPLY_PONG: encode_text(form, "+PONG\r\n", 7); break;
    case REPLY_QUEUED: encode_text(form, "+QUEUED\r\n", 9); break;
    case REPLY_NULL: resp3 ? encode_text(form, "_\r\n", 3) : encode_text(form, "$-1\r\n", 5); break;
    case REPLY_NULL_ARRAY:
        resp3 ? encode_text(form, "_\r\n", 3) : encode_text(form, "*-1\r\n", 5);
        break;
    case REPLY_BOOLEAN:
        if (resp3)
            encode_text(form, record->value != 0 ? "#t\r\n" : "#f\r\n", 4);
        else
            encode_number(form, ':', record->value != 0 ? 1 : 0);
        break;
    case REPLY_ARRAY: encode_number(form, '*', (int64_t)record->value); break;
    case REPLY_SET: encode_number(form, resp3 ? '~' : '*', (int64_t)record->value); break;
    case REPLY_PUSH: encode_number(form, resp3 ? '>' : '*', (int64_t)record->value); break;
    case REPLY_MAP:
        encode_number(form, resp3 ? '%' : '*',
                      (int64_t)(resp3 ? record->value : 2 * record->value));
        break;
    case REPLY_PAIRS:
        encode_number(form, '*', (int64_t)(resp3 ? record->value : 2 * record->value));
        break;
    case REPLY_PAIR: resp3 ? encode_text(form, "*2\r\n", 4) : encode_text(form, "", 0); break;
    case REPLY_INTEGER: encode_number(form, ':', (int64_t)record->value); break;
    case REPLY_DOUBLE: encode_double(form, record->value, version); break;
    case REPLY_DOUBLE_TEXT: encode_double(form, record->value, RESP_VERSION_2); break;
    case REPLY_STATUS:
        encode_text(form, "+", 1);
        form->has_payload = true;
        break;
    case REPLY_ERROR:
        encode_text(form, "-", 1);
        form->has_payload = true;
        break;
    case REPLY_BULK: encode_payload_after(form, '$', record->length_bytes); break;
    case REPLY_VERBATIM:
        form->payload_skip = resp3 ? 0 : REPLY_VERBATIM_FORM_BYTES;
        encode_payload_after(form, resp3 ? '=' : '$', record->length_bytes - form->payload_skip);
        break;
    case REPLY_BIG_NUMBER:
        if (!resp3) {
            encode_payload_after(form, '$', record->length_bytes);
            break;
        }
        encode_text(form, "(", 1);
        form->has_payload = true;
        break;
    case REPLY_INVALID:
    case REPLY_KINDS: UNREACHABLE("reply_record_read refuses these");
    }
}

/* The bytes up to `end` belong to the last piece now. */
static inline void encode_extend(struct encode_cursor *cursor, uint8_t *end) {
    struct reply_pieces *pieces = cursor->pieces;
    const size_t added = (size_t)(end - cursor->write);
    struct reply_piece *last = &pieces->piece[pieces->count - 1];
    ASSERT_HOT(last->data + last->length == cursor->write);
    ASSERT_HOT(added <= UINT32_MAX - last->length);
    last->length += (uint32_t)added;
    pieces->length_bytes += added;
    cursor->write = end;
}

/* Whether encode_begin_piece finds a slot: a free one, or the last one still empty. */
static inline bool encode_may_begin_piece(const struct reply_pieces *pieces) {
    return pieces->count < pieces->capacity || pieces->piece[pieces->count - 1].length == 0;
}

/* Go on writing at `at`, beyond a gap: in a new piece. A piece that is still empty moves there. */
static inline void encode_begin_piece(struct encode_cursor *cursor, uint8_t *at) {
    struct reply_pieces *pieces = cursor->pieces;
    if (pieces->count == 0 || pieces->piece[pieces->count - 1].length > 0) {
        ASSERT(pieces->count < pieces->capacity);
        pieces->count++;
    }
    pieces->piece[pieces->count - 1] = (struct reply_piece){.data = at, .length = 0};
    cursor->write = at;
}

/* Move on with a large payload, at most `length` bytes; its CRLF behind it. Forward, in pieces, is
 * safe: it moves towards the front. */
static void encode_move(struct encode_cursor *cursor, struct reply_encode_place *place,
                        size_t length) {
    const uint32_t moved = length < place->move_bytes ? (uint32_t)length : place->move_bytes;
    ASSERT(place->moving && cursor->write < place->move_from);
    memmove(cursor->write, place->move_from, moved);
    uint8_t *to = cursor->write + moved;
    place->move_from += moved;
    place->move_bytes -= moved;
    if (place->move_bytes == 0) {
        memcpy(to, "\r\n", ENCODE_CRLF_BYTES);
        to += ENCODE_CRLF_BYTES;
        place->moving = false;
    }
    encode_extend(cursor, to);
}

/* Encode the record at `read`; its encoding ends no later than the record does. A large payload
 * that has to be moved is left to encode_move. */
static void encode_record(struct encode_cursor *cursor, uint8_t *read,
                          const struct reply_record *record, enum resp_version version,
                          struct reply_encode_place *place) {
    struct encode_form form;
    form.has_payload = false;
    form.payload_skip = 0;
    encode_choose(&form, record, version);

    const uint8_t *payload = read + REPLY_HEADER_BYTES + form.payload_skip;
    const uint32_t payload_bytes = record->length_bytes - form.payload_skip;
    const bool is_large = form.has_payload && payload_bytes >= REPLY_MOVE_BYTES_MAX;
    if (is_large && record->kind >= REPLY_BULK) { /* room for CRLF behind the payload */
        uint8_t *in_front = read + REPLY_HEADER_BYTES + form.payload_skip - form.line_bytes;
        ASSERT(in_front >= cursor->write);
        if (in_front != cursor->write && encode_may_begin_piece(cursor->pieces))
            encode_begin_piece(cursor, in_front);
    }

    uint8_t *to = cursor->write;
    ASSERT_HOT(!form.has_payload || to + form.line_bytes <= payload);
    memcpy(to, form.line, form.line_bytes);
    to += form.line_bytes;
    if (is_large && to != payload) {
        encode_extend(cursor, to);
        place->moving = true;
        place->move_from = payload;
        place->move_bytes = payload_bytes;
        return;
    }
    if (form.has_payload) {
        if (to != payload && payload_bytes > 0)
            memmove(to, payload, payload_bytes);
        to[payload_bytes] = '\r';
        to[payload_bytes + 1] = '\n';
        to += payload_bytes + ENCODE_CRLF_BYTES;
    }
    ASSERT_HOT(to <= read + record->record_bytes);
    encode_extend(cursor, to);
}

/* Where the encoding of a stream begins: in the last piece if that ends where the stream begins,
 * otherwise in a new one. False if the list is full. */
static bool encode_begin(struct encode_cursor *cursor, uint8_t *region) {
    struct reply_pieces *pieces = cursor->pieces;
    if (pieces->count > 0 && region == pieces->source_end) {
        const struct reply_piece *last = &pieces->piece[pieces->count - 1];
        cursor->write = last->data + last->length;
        ASSERT_HOT(cursor->write <= region);
        return true;
    }
    if (pieces->count == pieces->capacity)
        return false;
    encode_begin_piece(cursor, region);
    return true;
}

enum reply_encode_result reply_encode_slice(uint8_t *region, size_t length,
                                            enum resp_version version, struct reply_pieces *pieces,
                                            struct reply_encode_place *place,
                                            size_t *budget_bytes) {
    ASSERT_HOT(version == RESP_VERSION_2 || version == RESP_VERSION_3);
    ASSERT_HOT(pieces->count <= pieces->capacity && place->offset <= length);
    if (length == 0)
        return REPLY_ENCODE_DONE;
    struct encode_cursor cursor = {.pieces = pieces, .write = NULL};
    if (place->offset > 0) {
        const struct reply_piece *last = &pieces->piece[pieces->count - 1];
        cursor.write = last->data + last->length;
    } else if (!encode_begin(&cursor, region)) {
        return REPLY_ENCODE_FULL;
    }

    size_t budget = *budget_bytes;
    while (budget > 0 && (place->offset < length || place->moving)) {
        size_t cost;
        if (place->moving) {
            cost = budget < place->move_bytes ? budget : place->move_bytes;
            encode_move(&cursor, place, cost);
        } else {
            uint8_t *read = region + place->offset;
            const struct reply_record record = reply_record_read(read, length - place->offset);
            encode_record(&cursor, read, &record, version, place);
            place->offset += record.record_bytes;
            const uint32_t payload_bytes = record.length_bytes;
            cost = REPLY_ENCODE_RECORD_BYTES +
                   (payload_bytes < REPLY_MOVE_BYTES_MAX ? payload_bytes : 0);
        }
        budget -= cost < budget ? cost : budget;
    }
    *budget_bytes = budget;
    if (place->offset < length || place->moving)
        return REPLY_ENCODE_MORE;
    ASSERT(place->offset == length);
    pieces->source_end = region + length;
    return REPLY_ENCODE_DONE;
}

bool reply_encode_in_place(uint8_t *region, size_t length, enum resp_version version,
                           struct reply_pieces *pieces) {
    struct reply_encode_place place = {0};
    size_t budget_bytes = SIZE_MAX;
    const enum reply_encode_result result =
        reply_encode_slice(region, length, version, pieces, &place, &budget_bytes);
    ASSERT(result != REPLY_ENCODE_MORE); /* SIZE_MAX bytes of memory are not there to be moved */
    return result == REPLY_ENCODE_DONE;
}
