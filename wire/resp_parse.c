/* The request parser as a state machine over offsets.
 *
 * The happy path: a multibulk that is complete in the region. START sees '*', COUNT reads the
 * count, and resp_take_whole_arguments takes one argument after the other without leaving its loop:
 * a '$', at most nine digits, CRLF, payload, CRLF. The last one completes the command.
 *
 *        +-------------------- blank, or all words taken <--------- WORDS <-- line end -- LINE
 *        v                                                            |                    ^
 *      START -- '*' --> COUNT -- count > 0 --> LENGTH -- number --> PAYLOAD                |
 *       ^ ^               |                      ^                   | |                   |
 *       | +--- count <= 0 +                      +---- more to come -+ |                   |
 *       +------------------------ all arguments taken -----------------+                   |
 *       START -- any other byte -----------------------------------------------------------+
 *
 *      Every state but START can fail (FAILED); WORDS can find an HTTP request (CLOSED).
 *
 * When something is missing, the parser waits in its state. In COUNT, LENGTH and LINE `scanned`
 * says how far the search for the line's end has come; in PAYLOAD one comparison tells whether the
 * payload and its CRLF are there. When something is unusual (a line cut in two, ten digits, a bad
 * byte) the fast loop stops in front of it, once, and the step of the state decides. So what is
 * refused, and how, is written in the steps only.
 *
 * An inline line is split only when it is there as a whole, word by word (wire/resp_words.h), each
 * within the bytes it came from, so a full table can interrupt between two words.
 */
#include "wire/resp_parse.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"
#include "wire/resp_words.h"

#ifdef RESP_PARSE_COUNT_EXAMINED
uint64_t resp_parse_bytes_examined;
#define RESP_EXAMINED(count) ((void)(resp_parse_bytes_examined += (count)))
#else
#define RESP_EXAMINED(count) ((void)(count))
#endif

enum resp_state {
    RESP_STATE_START, /* zero: a zeroed parser is ready */
    RESP_STATE_COUNT,
    RESP_STATE_LENGTH,
    RESP_STATE_PAYLOAD,
    RESP_STATE_LINE,
    RESP_STATE_WORDS,
    RESP_STATE_FAILED,
    RESP_STATE_CLOSED,
    RESP_STATES,
};

#define TO(state) (1u << RESP_STATE_##state)

/* From each state, where it may go. */
static const uint8_t resp_transitions[RESP_STATES] = {
    [RESP_STATE_START] = TO(COUNT) | TO(LINE),
    [RESP_STATE_COUNT] = TO(START) | TO(LENGTH) | TO(FAILED),
    [RESP_STATE_LENGTH] = TO(START) | TO(PAYLOAD) | TO(FAILED),
    [RESP_STATE_PAYLOAD] = TO(START) | TO(LENGTH) | TO(FAILED),
    [RESP_STATE_LINE] = TO(WORDS) | TO(FAILED),
    [RESP_STATE_WORDS] = TO(START) | TO(CLOSED) | TO(FAILED),
    [RESP_STATE_FAILED] = 0,
    [RESP_STATE_CLOSED] = 0,
};

#undef TO

/* What a step answers when it is done and the next state's step is to run. */
enum { RESP_GO_ON = -1 };

enum {
    RESP_CRLF_BYTES = 2,
    RESP_FAST_DIGITS_MAX = 9, /* always fits u32 */
};

_Static_assert(RESP_BULK_LENGTH_CEILING <= 999999999, "a fast length has nine digits");
_Static_assert((uint64_t)RESP_COMMAND_LENGTH_CEILING + RESP_BULK_LENGTH_CEILING +
                       RESP_INLINE_LENGTH_CEILING + 64 <=
                   UINT32_MAX,
               "every offset the parser computes fits u32");
_Static_assert(RESP_STATES <= 8, "a state's successors are bits of one byte");
_Static_assert(sizeof(struct resp_parser) == 24, "one parser a connection: keep it small");

/* The arguments of one call of resp_parse, for its steps. */
struct resp_call {
    const struct resp_limits *limits;
    uint8_t *bytes;
    struct resp_argument *arguments;
    struct resp_command *out;
    uint32_t length;
    uint32_t capacity;
    bool authenticated;
};

void resp_limits_default(struct resp_limits *limits) {
    *limits = (struct resp_limits){
        .bulk_length_max = RESP_BULK_LENGTH_DEFAULT,
        .argument_count_max = RESP_ARGUMENT_COUNT_DEFAULT,
        .inline_length_max = RESP_INLINE_LENGTH_DEFAULT,
        .command_length_max = RESP_COMMAND_LENGTH_DEFAULT,
        .unauthenticated_argument_count_max = RESP_UNAUTHENTICATED_ARGUMENT_COUNT_DEFAULT,
        .unauthenticated_bulk_length_max = RESP_UNAUTHENTICATED_BULK_LENGTH_DEFAULT,
    };
    ASSERT(resp_limits_valid(limits));
}

bool resp_limits_valid(const struct resp_limits *limits) {
    return limits->bulk_length_max >= 1 && limits->bulk_length_max <= RESP_BULK_LENGTH_CEILING &&
           limits->argument_count_max >= 1 &&
           limits->argument_count_max <= RESP_ARGUMENT_COUNT_CEILING &&
           limits->inline_length_max >= RESP_INLINE_LENGTH_FLOOR &&
           limits->inline_length_max <= RESP_INLINE_LENGTH_CEILING &&
           limits->command_length_max >= limits->inline_length_max + RESP_CRLF_BYTES &&
           limits->command_length_max <= RESP_COMMAND_LENGTH_CEILING;
}

void resp_parser_reset(struct resp_parser *parser) {
    memset(parser, 0, sizeof(*parser));
}

bool resp_parser_idle(const struct resp_parser *parser) {
    ASSERT(parser->state < RESP_STATES);
    return parser->state == RESP_STATE_START;
}

static inline void resp_enter(struct resp_parser *parser, enum resp_state to) {
    ASSERT_HOT(parser->state < RESP_STATES);
    ASSERT_HOT((resp_transitions[parser->state] >> to & 1u) != 0);
    parser->state = (uint8_t)to;
}

static int resp_fail(struct resp_parser *parser, enum resp_error error) {
    ASSERT(error > RESP_ERROR_NONE && error < RESP_ERROR_KINDS);
    resp_enter(parser, RESP_STATE_FAILED);
    parser->error = (uint8_t)error;
    return RESP_GO_ON; /* the step of FAILED reports it, now and on every further call */
}

static inline uint32_t resp_min(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static inline uint32_t resp_max(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

/* The least length of the command if its next line or payload begins at `offset` and `count`
 * arguments are still to come behind it. At most 2^32 + 6 * 2^31: exact in 64 bits. */
static inline uint64_t resp_length_min(uint32_t offset, uint32_t count) {
    return (uint64_t)offset + (uint64_t)count * RESP_ARGUMENT_BYTES_MIN;
}

static int resp_wait(const struct resp_parser *parser, const struct resp_call *call,
                     uint64_t needed_bytes) {
    ASSERT_HOT(needed_bytes <= UINT32_MAX);
    struct resp_command *out = call->out;
    out->argument_count = parser->index;
    out->argument_count_announced = parser->count;
    out->needed_bytes = resp_max((uint32_t)needed_bytes, call->length + 1);
    return RESP_MORE;
}

static inline int resp_complete(struct resp_parser *parser, const struct resp_call *call,
                                uint32_t consumed_bytes) {
    ASSERT_HOT(consumed_bytes > 0 && consumed_bytes <= call->length);
    struct resp_command *out = call->out;
    out->argument_count = parser->index;
    out->argument_count_announced = parser->index;
    out->consumed_bytes = consumed_bytes;
    resp_enter(parser, RESP_STATE_START);
    *parser = (struct resp_parser){0};
    return out->argument_count > 0 ? RESP_COMMAND : RESP_EMPTY;
}

/* ---- Lines of a multibulk -------------------------------------------------------------------- */

/* Length of the number at `at` with its CRLF, or 0 if it is not a canonical one of at most nine
 * digits followed by CRLF, all of it before `end`. */
static inline uint32_t resp_number_fast(const uint8_t *at, const uint8_t *end, uint32_t *value) {
    const size_t available = (size_t)(end - at);
    if (available < 1 + RESP_CRLF_BYTES)
        return 0;
    uint32_t number = (uint32_t)at[0] - '0';
    if (number > 9)
        return 0;
    uint32_t digits = 1;
    const uint32_t digits_max = available >= RESP_FAST_DIGITS_MAX + RESP_CRLF_BYTES
                                    ? (uint32_t)RESP_FAST_DIGITS_MAX
                                    : (uint32_t)available - RESP_CRLF_BYTES;
    while (digits < digits_max) {
        const uint32_t digit = (uint32_t)at[digits] - '0';
        if (digit > 9)
            break;
        number = number * 10 + digit;
        digits++;
    }
    if (at[digits] != '\r' || at[digits + 1] != '\n' || (at[0] == '0' && digits > 1))
        return 0;
    *value = number;
    return digits + RESP_CRLF_BYTES;
}

/* Look for the end of the line at `position`: RESP_GO_ON with the offset of its CR, whose successor
 * is there too; or wait, or fail with `too_long`. */
static int resp_find_line_end(struct resp_parser *parser, const struct resp_call *call,
                              enum resp_error too_long, uint64_t needed_bytes, uint32_t *line_end) {
    const uint32_t last = parser->position + call->limits->inline_length_max; /* CR's last place */
    const uint32_t scan_end = resp_min(call->length, last + 1);
    ASSERT(parser->scanned >= parser->position && parser->scanned <= scan_end);

    const uint8_t *start = call->bytes + parser->scanned;
    const uint8_t *found = memchr(start, '\r', scan_end - parser->scanned);
    RESP_EXAMINED(found != NULL ? (uint64_t)(found - start) + 2 : scan_end - parser->scanned);
    if (found == NULL) {
        parser->scanned = scan_end;
        if (scan_end > last)
            return resp_fail(parser, too_long);
        return resp_wait(parser, call, needed_bytes);
    }
    *line_end = (uint32_t)(found - call->bytes);
    parser->scanned = *line_end;
    if (*line_end + 1 >= call->length)
        return resp_wait(parser, call, needed_bytes);
    return RESP_GO_ON;
}

/* The number between the line's first byte and its CR, which LF must follow. */
static bool resp_line_number(const struct resp_parser *parser, const struct resp_call *call,
                             uint32_t line_end, int64_t *value) {
    ASSERT(line_end + 1 < call->length);
    if (line_end == parser->position || call->bytes[line_end + 1] != '\n')
        return false;
    const char *digits = (const char *)call->bytes + parser->position + 1;
    const size_t digit_count = line_end - parser->position - 1;
    RESP_EXAMINED(resp_min((uint32_t)digit_count, DECIMAL_BYTES_MAX));
    return decimal_parse_i64(digits, digit_count, value) == 0;
}

/* The count line's number and the offset behind it: the short way if the line is there and
 * plain. */
static int resp_read_count(struct resp_parser *parser, const struct resp_call *call, int64_t *count,
                           uint32_t *next) {
    if (parser->scanned == 0) { /* not yet looked at */
        uint32_t number;
        const uint32_t line =
            resp_number_fast(call->bytes + 1, call->bytes + call->length, &number);
        RESP_EXAMINED(line + 1);
        if (line != 0) {
            *count = number;
            *next = 1 + line;
            return RESP_GO_ON;
        }
    }
    uint32_t line_end;
    int result = resp_find_line_end(parser, call, RESP_ERROR_COUNT_LINE_LONG, 0, &line_end);
    if (result != RESP_GO_ON || parser->state == RESP_STATE_FAILED)
        return result;
    if (!resp_line_number(parser, call, line_end, count))
        return resp_fail(parser, RESP_ERROR_COUNT_INVALID);
    *next = line_end + RESP_CRLF_BYTES;
    return RESP_GO_ON;
}

static int resp_step_count(struct resp_parser *parser, const struct resp_call *call) {
    int64_t count;
    uint32_t next;
    int result = resp_read_count(parser, call, &count, &next);
    if (result != RESP_GO_ON || parser->state == RESP_STATE_FAILED)
        return result;

    if (count > (int64_t)call->limits->argument_count_max)
        return resp_fail(parser, RESP_ERROR_COUNT_INVALID);
    if (!call->authenticated && count > (int64_t)call->limits->unauthenticated_argument_count_max)
        return resp_fail(parser, RESP_ERROR_COUNT_UNAUTHENTICATED);
    if (count <= 0)
        return resp_complete(parser, call, next);
    if (resp_length_min(next, (uint32_t)count) > call->limits->command_length_max)
        return resp_fail(parser, RESP_ERROR_COMMAND_LONG);
    parser->count = (uint32_t)count;
    parser->position = next;
    parser->scanned = next;
    resp_enter(parser, RESP_STATE_LENGTH);
    return RESP_GO_ON;
}

/* ---- Arguments of a multibulk ---------------------------------------------------------------- */

/* Take the arguments that are there as a whole and need no second look. Stops in front of the first
 * that is cut, refused, unusual, or has no slot. */
static inline void resp_take_whole_arguments(struct resp_parser *parser,
                                             const struct resp_call *call) {
    const struct resp_limits *limits = call->limits;
    const uint8_t *const end = call->bytes + call->length;
    const uint32_t bulk_length_max =
        call->authenticated
            ? limits->bulk_length_max
            : resp_min(limits->bulk_length_max, limits->unauthenticated_bulk_length_max);
    const uint32_t stop = resp_min(parser->count, call->capacity);
    uint32_t position = parser->position;
    uint32_t index = parser->index;

    while (index < stop && call->length - position >= RESP_ARGUMENT_BYTES_MIN) {
        const uint8_t *at = call->bytes + position;
        uint32_t payload;
        const uint32_t line = at[0] == '$' ? resp_number_fast(at + 1, end, &payload) : 0;
        RESP_EXAMINED(line + 1);
        if (line == 0 || payload > bulk_length_max)
            break;
        const uint32_t offset = position + 1 + line;
        if (call->length - offset < payload + RESP_CRLF_BYTES)
            break;
        const uint8_t *tail = call->bytes + offset + payload;
        const uint32_t next = offset + payload + RESP_CRLF_BYTES;
        if (tail[0] != '\r' || tail[1] != '\n' ||
            resp_length_min(next, parser->count - index - 1) > limits->command_length_max)
            break;
        call->arguments[index] = (struct resp_argument){offset, payload};
        index++;
        position = next;
    }
    ASSERT_HOT(position <= call->length && index <= call->capacity);
    parser->position = position;
    parser->scanned = position;
    parser->index = index;
}

static int resp_step_length(struct resp_parser *parser, const struct resp_call *call) {
    ASSERT_HOT(parser->index < parser->count);
    if (parser->scanned == parser->position) { /* not yet looked at */
        resp_take_whole_arguments(parser, call);
        if (parser->index == parser->count)
            return resp_complete(parser, call, parser->position);
    }

    uint32_t line_end;
    const uint32_t missing = parser->count - parser->index;
    int result = resp_find_line_end(parser, call, RESP_ERROR_BULK_LINE_LONG,
                                    resp_length_min(parser->position, missing), &line_end);
    if (result != RESP_GO_ON || parser->state == RESP_STATE_FAILED)
        return result;

    const uint8_t first = call->bytes[parser->position];
    if (first != '$') {
        parser->error_byte = first;
        return resp_fail(parser, RESP_ERROR_BULK_EXPECTED);
    }
    int64_t payload;
    if (!resp_line_number(parser, call, line_end, &payload) || payload < 0 ||
        payload > (int64_t)call->limits->bulk_length_max)
        return resp_fail(parser, RESP_ERROR_BULK_INVALID);
    if (!call->authenticated && payload > (int64_t)call->limits->unauthenticated_bulk_length_max)
        return resp_fail(parser, RESP_ERROR_BULK_UNAUTHENTICATED);

    const uint32_t offset = line_end + RESP_CRLF_BYTES;
    const uint32_t next = offset + (uint32_t)payload + RESP_CRLF_BYTES;
    if (resp_length_min(next, missing - 1) > call->limits->command_length_max)
        return resp_fail(parser, RESP_ERROR_COMMAND_LONG);
    parser->payload = (uint32_t)payload;
    parser->position = offset;
    parser->scanned = offset;
    resp_enter(parser, RESP_STATE_PAYLOAD);
    return RESP_GO_ON;
}

static int resp_step_payload(struct resp_parser *parser, const struct resp_call *call) {
    ASSERT(parser->position <= call->length);
    const uint32_t tail = parser->position + parser->payload;
    const uint32_t next = tail + RESP_CRLF_BYTES;
    if (next > call->length)
        return resp_wait(parser, call, resp_length_min(next, parser->count - parser->index - 1));
    RESP_EXAMINED(RESP_CRLF_BYTES);
    if (call->bytes[tail] != '\r' || call->bytes[tail + 1] != '\n')
        return resp_fail(parser, RESP_ERROR_BULK_UNTERMINATED);
    if (parser->index >= call->capacity) {
        call->out->argument_count = parser->index;
        call->out->argument_count_announced = parser->count;
        return RESP_ARGUMENTS_FULL;
    }

    call->arguments[parser->index] = (struct resp_argument){parser->position, parser->payload};
    parser->index++;
    parser->position = next;
    parser->scanned = next;
    if (parser->index == parser->count)
        return resp_complete(parser, call, next);
    resp_enter(parser, RESP_STATE_LENGTH);
    return RESP_GO_ON;
}

/* ---- Inline commands ------------------------------------------------------------------------- */

static int resp_step_line(struct resp_parser *parser, const struct resp_call *call) {
    const uint32_t last = call->limits->inline_length_max; /* the LF's last place */
    const uint32_t scan_end = resp_min(call->length, last + 1);
    ASSERT(parser->position == 0 && parser->scanned <= scan_end);

    const uint8_t *start = call->bytes + parser->scanned;
    const uint8_t *found = memchr(start, '\n', scan_end - parser->scanned);
    const size_t examined = found != NULL ? (size_t)(found - start) : scan_end - parser->scanned;
    RESP_EXAMINED(2 * examined + 1);
    if (memchr(start, '\0', examined) != NULL)
        return resp_fail(parser, RESP_ERROR_INLINE_NUL);
    if (found == NULL) {
        parser->scanned = scan_end;
        if (scan_end > last)
            return resp_fail(parser, RESP_ERROR_INLINE_LONG);
        return resp_wait(parser, call, 0);
    }

    const uint32_t line_feed = (uint32_t)(found - call->bytes);
    const bool carriage_return = line_feed > 0 && call->bytes[line_feed - 1] == '\r';
    parser->line_end_bytes = carriage_return ? 2 : 1;
    parser->payload = line_feed + 1 - parser->line_end_bytes;
    resp_enter(parser, RESP_STATE_WORDS);
    return RESP_GO_ON;
}

static bool resp_word_is(const uint8_t *bytes, struct resp_argument word, const char *lower) {
    if (word.length != strlen(lower))
        return false;
    for (uint32_t i = 0; i < word.length; i++) {
        const uint8_t byte = bytes[word.offset + i];
        const uint8_t folded = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
        if (folded != (uint8_t)lower[i])
            return false;
    }
    return true;
}

static int resp_step_words(struct resp_parser *parser, const struct resp_call *call) {
    const uint32_t line_end = parser->payload;
    ASSERT(parser->position <= line_end && line_end < call->length);
    for (;;) {
        while (parser->position < line_end && resp_is_space(call->bytes[parser->position])) {
            RESP_EXAMINED(1);
            parser->position++;
        }
        if (parser->position == line_end)
            break;
        if (parser->index >= call->capacity) {
            call->out->argument_count = parser->index;
            return RESP_ARGUMENTS_FULL;
        }
        const uint32_t begin = parser->position;
        struct resp_argument *word = &call->arguments[parser->index];
        const bool closed = resp_unquote_word(call->bytes, &parser->position, line_end, word);
        RESP_EXAMINED(parser->position - begin);
        if (!closed)
            return resp_fail(parser, RESP_ERROR_INLINE_QUOTES);
        parser->index++;
    }

    if (parser->index > 0 && (resp_word_is(call->bytes, call->arguments[0], "post") ||
                              resp_word_is(call->bytes, call->arguments[0], "host:"))) {
        resp_enter(parser, RESP_STATE_CLOSED);
        return RESP_GO_ON;
    }
    call->out->is_inline = true;
    return resp_complete(parser, call, line_end + parser->line_end_bytes);
}

/* ---- The parser ------------------------------------------------------------------------------ */

enum resp_result resp_parse(struct resp_parser *parser, const struct resp_limits *limits,
                            bool authenticated, uint8_t *bytes, uint32_t length,
                            struct resp_argument *arguments, uint32_t arguments_capacity,
                            struct resp_command *out) {
    ASSERT_HOT(arguments_capacity >= 1);
    ASSERT_HOT(limits->inline_length_max <= RESP_INLINE_LENGTH_CEILING);
    ASSERT_HOT(limits->command_length_max <= RESP_COMMAND_LENGTH_CEILING);
    const struct resp_call call = {.limits = limits,
                                   .bytes = bytes,
                                   .arguments = arguments,
                                   .out = out,
                                   .length = length,
                                   .capacity = arguments_capacity,
                                   .authenticated = authenticated};
    *out = (struct resp_command){0};
    int result = RESP_GO_ON;
    while (result == RESP_GO_ON) {
        switch ((enum resp_state)parser->state) {
        case RESP_STATE_START:
            if (length == 0)
                return (enum resp_result)resp_wait(parser, &call, 0);
            RESP_EXAMINED(1);
            resp_enter(parser, bytes[0] == '*' ? RESP_STATE_COUNT : RESP_STATE_LINE);
            break;
        case RESP_STATE_COUNT: result = resp_step_count(parser, &call); break;
        case RESP_STATE_LENGTH: result = resp_step_length(parser, &call); break;
        case RESP_STATE_PAYLOAD: result = resp_step_payload(parser, &call); break;
        case RESP_STATE_LINE: result = resp_step_line(parser, &call); break;
        case RESP_STATE_WORDS: result = resp_step_words(parser, &call); break;
        case RESP_STATE_FAILED:
            out->error = parser->error;
            out->error_byte = parser->error_byte;
            return RESP_ERROR;
        case RESP_STATE_CLOSED: return RESP_CROSS_PROTOCOL;
        case RESP_STATES: UNREACHABLE("a count, not a state");
        }
    }
    return (enum resp_result)result;
}

/* ---- What the client is told ----------------------------------------------------------------- */

static const char *const resp_error_sentences[RESP_ERROR_KINDS] = {
    [RESP_ERROR_NONE] = "",
    [RESP_ERROR_COUNT_INVALID] = "invalid multibulk length",
    [RESP_ERROR_COUNT_UNAUTHENTICATED] = "unauthenticated multibulk length",
    [RESP_ERROR_COUNT_LINE_LONG] = "too big mbulk count string",
    [RESP_ERROR_BULK_EXPECTED] = "expected '$', got '?'",
    [RESP_ERROR_BULK_INVALID] = "invalid bulk length",
    [RESP_ERROR_BULK_UNAUTHENTICATED] = "unauthenticated bulk length",
    [RESP_ERROR_BULK_LINE_LONG] = "too big bulk count string",
    [RESP_ERROR_BULK_UNTERMINATED] = "bulk not followed by CRLF",
    [RESP_ERROR_INLINE_LONG] = "too big inline request",
    [RESP_ERROR_INLINE_QUOTES] = "unbalanced quotes in request",
    [RESP_ERROR_INLINE_NUL] = "unexpected NUL in inline request",
    [RESP_ERROR_COMMAND_LONG] = "too big request",
};

size_t resp_error_text(const struct resp_command *command, char text[RESP_ERROR_TEXT_BYTES_MAX]) {
    static const char prefix[] = "ERR Protocol error: ";
    ASSERT(command->error > RESP_ERROR_NONE && command->error < RESP_ERROR_KINDS);
    const char *sentence = resp_error_sentences[command->error];
    const size_t prefix_length = sizeof(prefix) - 1;
    const size_t length = prefix_length + strlen(sentence);
    ASSERT(length < RESP_ERROR_TEXT_BYTES_MAX);
    memcpy(text, prefix, prefix_length);
    memcpy(text + prefix_length, sentence, length - prefix_length + 1);
    if (command->error == RESP_ERROR_BULK_EXPECTED) {
        const uint8_t byte = command->error_byte;
        const bool breaks_reply = byte == '\r' || byte == '\n' || byte == '\0';
        text[length - 2] = breaks_reply ? ' ' : (char)byte;
    }
    return length;
}
