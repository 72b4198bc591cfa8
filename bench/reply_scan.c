/*
 * One reply is a tree, but its end needs no stack: a reply begins with one element missing, each
 * finished element takes one away, and the header of an aggregate adds its members. At zero the
 * reply is complete.
 *
 *     state    byte                    next      [done by]
 *     TYPE     + - : , # _ (        -> LINE      [begin_element]
 *     TYPE     $ = ! * ~ % > |      -> LENGTH    [begin_element]
 *     LINE     LF                   -> TYPE      [finish_elements]
 *     LENGTH   CR                   -> LF
 *     LF       LF, length of bulk   -> BULK      [apply_length]
 *     LF       LF, everything else  -> TYPE      [apply_length, finish_elements]
 *     BULK     the last of its bytes-> CR
 *     CR       CR                   -> LF
 *     any      a byte not listed    -> BROKEN
 *
 * Most replies of a benchmark are "+OK": runs of them are counted without entering the machine.
 * What fails: a byte that the table does not have. The stream is then lost, since nobody knows
 * where the next reply begins; the caller closes the connection.
 */
#include "bench/reply_scan.h"

#include <string.h>

#include "base/assert.h"

static const uint8_t OK_REPLY[] = {'+', 'O', 'K', '\r', '\n'};

void reply_scan_reset(struct reply_scan *scan, reply_scan_on_error *on_error, void *context) {
    memset(scan, 0, sizeof *scan);
    scan->on_error = on_error;
    scan->error_context = context;
    scan->state = REPLY_SCAN_TYPE;
}

bool reply_scan_at_boundary(const struct reply_scan *scan) {
    return scan->state == REPLY_SCAN_TYPE && scan->elements_missing == 0;
}

static void complete_reply(struct reply_scan *scan, struct reply_scan_counts *counts) {
    ASSERT(scan->reply_type != 0);
    if (scan->reply_type == '>') {
        counts->pushes++;
    } else {
        counts->replies++;
        if (scan->reply_type == '-' || scan->reply_type == '!') {
            counts->errors++;
            if (scan->on_error)
                scan->on_error(scan->error_context, scan->error_text, scan->error_text_bytes);
        }
    }
    scan->reply_type = 0;
}

/* One element is finished; with it perhaps the reply. */
static void finish_element(struct reply_scan *scan, struct reply_scan_counts *counts) {
    ASSERT_HOT(scan->elements_missing > 0);
    scan->state = REPLY_SCAN_TYPE;
    scan->capturing = false;
    if (--scan->elements_missing == 0)
        complete_reply(scan, counts);
}

static int begin_element(struct reply_scan *scan, char type) {
    bool is_attribute = type == '|';
    if (scan->elements_missing == 0) {
        scan->elements_missing = 1;
        ASSERT(scan->reply_type == 0);
    }
    /* Members of an attribute stand before the reply itself, while more than it is missing. */
    if (scan->reply_type == 0 && scan->elements_missing == 1 && !is_attribute) {
        scan->reply_type = type;
        scan->capturing = type == '-' || type == '!';
        scan->error_text_bytes = 0;
    }
    scan->type = type;
    switch (type) {
    case '+':
    case '-':
    case ':':
    case ',':
    case '#':
    case '_':
    case '(': scan->state = REPLY_SCAN_LINE; return REPLY_SCAN_OK;
    case '$':
    case '=':
    case '!':
    case '*':
    case '~':
    case '%':
    case '>':
    case '|':
        scan->state = REPLY_SCAN_LENGTH;
        scan->length = 0;
        scan->length_digits = 0;
        scan->length_negative = false;
        return REPLY_SCAN_OK;
    default: return REPLY_SCAN_EPROTOCOL;
    }
}

/* A byte of a length line: an optional minus, digits, CR. */
static int step_length(struct reply_scan *scan, char byte) {
    if (byte >= '0' && byte <= '9') {
        scan->length = scan->length * 10 + (byte - '0');
        scan->length_digits++;
        return scan->length <= REPLY_SCAN_LENGTH_MAX && scan->length_digits < 20
                   ? REPLY_SCAN_OK
                   : REPLY_SCAN_EPROTOCOL;
    }
    if (byte == '-' && scan->length_digits == 0 && !scan->length_negative) {
        scan->length_negative = true;
        return REPLY_SCAN_OK;
    }
    if (byte == '\r' && scan->length_digits > 0) {
        /* The only negative length is -1, the null of RESP 2. */
        if (scan->length_negative && scan->length != 1)
            return REPLY_SCAN_EPROTOCOL;
        scan->length_complete = true;
        scan->state = REPLY_SCAN_LF;
        return REPLY_SCAN_OK;
    }
    return REPLY_SCAN_EPROTOCOL;
}

/* The length line of the current element is complete. */
static int apply_length(struct reply_scan *scan, struct reply_scan_counts *counts) {
    uint64_t length = (uint64_t)scan->length;
    scan->length_complete = false;
    if (scan->length_negative) {
        if (scan->type != '$' && scan->type != '*')
            return REPLY_SCAN_EPROTOCOL;
        finish_element(scan, counts);
        return REPLY_SCAN_OK;
    }
    switch (scan->type) {
    case '$':
    case '=':
    case '!':
        scan->bulk_left_bytes = length;
        scan->state = length > 0 ? REPLY_SCAN_BULK : REPLY_SCAN_CR;
        return REPLY_SCAN_OK;
    case '*':
    case '~':
    case '>': scan->elements_missing += length; break;
    case '%': scan->elements_missing += 2 * length; break;
    case '|':
        scan->elements_missing += 2 * length + 1; /* the described element is still to come */
        break;
    default: UNREACHABLE("only types with a length reach apply_length");
    }
    if (scan->elements_missing > UINT64_MAX / 4)
        return REPLY_SCAN_EPROTOCOL;
    finish_element(scan, counts);
    return REPLY_SCAN_OK;
}

static void capture(struct reply_scan *scan, const uint8_t *bytes, size_t length_bytes) {
    size_t room = REPLY_SCAN_ERROR_TEXT_BYTES - scan->error_text_bytes;
    size_t taken = length_bytes < room ? length_bytes : room;
    memcpy(scan->error_text + scan->error_text_bytes, bytes, taken);
    scan->error_text_bytes += taken;
}

/* Passes over a line up to its LF; returns the number of bytes used. */
static size_t pass_line(struct reply_scan *scan, const uint8_t *bytes, size_t length_bytes,
                        struct reply_scan_counts *counts) {
    size_t used = 0;
    while (used < length_bytes && bytes[used] != '\n')
        used++;
    if (scan->capturing)
        capture(scan, bytes, used);
    if (used == length_bytes)
        return used;
    if (scan->capturing && scan->error_text_bytes > 0 &&
        scan->error_text[scan->error_text_bytes - 1] == '\r')
        scan->error_text_bytes--;
    finish_element(scan, counts);
    return used + 1;
}

/* Passes over the bytes of a bulk; returns the number of bytes used. */
static size_t pass_bulk(struct reply_scan *scan, const uint8_t *bytes, size_t length_bytes) {
    size_t used = length_bytes;
    if (scan->bulk_left_bytes < used)
        used = (size_t)scan->bulk_left_bytes;
    if (scan->capturing)
        capture(scan, bytes, used);
    scan->bulk_left_bytes -= used;
    if (scan->bulk_left_bytes == 0)
        scan->state = REPLY_SCAN_CR;
    return used;
}

/* One byte in a state that looks at single bytes. */
static int step_byte(struct reply_scan *scan, char byte, struct reply_scan_counts *counts) {
    switch (scan->state) {
    case REPLY_SCAN_TYPE: return begin_element(scan, byte);
    case REPLY_SCAN_LENGTH: return step_length(scan, byte);
    case REPLY_SCAN_CR:
        scan->state = REPLY_SCAN_LF;
        return byte == '\r' ? REPLY_SCAN_OK : REPLY_SCAN_EPROTOCOL;
    case REPLY_SCAN_LF:
        if (byte != '\n')
            return REPLY_SCAN_EPROTOCOL;
        if (scan->length_complete)
            return apply_length(scan, counts);
        finish_element(scan, counts);
        return REPLY_SCAN_OK;
    case REPLY_SCAN_LINE:
    case REPLY_SCAN_BULK:
    case REPLY_SCAN_BROKEN:
    default: return REPLY_SCAN_EPROTOCOL;
    }
}

int reply_scan_feed(struct reply_scan *scan, const uint8_t *bytes, size_t length_bytes,
                    struct reply_scan_counts *counts) {
    size_t at = 0;
    while (at < length_bytes) {
        size_t left = length_bytes - at;
        if (scan->state == REPLY_SCAN_TYPE && scan->elements_missing == 0) {
            size_t before = at;
            while (length_bytes - at >= sizeof OK_REPLY &&
                   memcmp(bytes + at, OK_REPLY, sizeof OK_REPLY) == 0)
                at += sizeof OK_REPLY;
            counts->replies += (at - before) / sizeof OK_REPLY;
            if (at != before)
                continue;
        }
        if (scan->state == REPLY_SCAN_LINE) {
            at += pass_line(scan, bytes + at, left, counts);
        } else if (scan->state == REPLY_SCAN_BULK) {
            at += pass_bulk(scan, bytes + at, left);
        } else if (step_byte(scan, (char)bytes[at], counts) == REPLY_SCAN_OK) {
            at++;
        } else {
            scan->state = REPLY_SCAN_BROKEN;
            return REPLY_SCAN_EPROTOCOL;
        }
    }
    return scan->state == REPLY_SCAN_BROKEN ? REPLY_SCAN_EPROTOCOL : REPLY_SCAN_OK;
}
