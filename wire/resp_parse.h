/* RESP requests: from a connection's bytes to commands, in place.
 *
 * A request is either a multibulk, the form that every client library sends,
 *
 *     *<argument count>\r\n  then, for each argument,  $<length>\r\n<length bytes>\r\n
 *
 * or an inline line that a person types, ended by \n or \r\n and split into arguments by Redis's
 * quoting rules. The first byte decides: '*' is a multibulk, anything else is inline.
 *
 * Concepts
 *
 *   region      The bytes of a connection from the first byte of its current command on,
 *               contiguous, as many as have arrived. The caller owns it. It may grow, and may be
 *               moved, between two calls; bytes already handed over must not change otherwise. It
 *               may hold the beginning (or all) of the commands that follow.
 *   offset      A distance from the first byte of the current command. The parser keeps nothing but
 *               offsets, which is why the region may move.
 *   parser      A few words of state for one connection: where the current command's reading
 *   stands. table       The caller's array of arguments for the current command. It grows as
 *               arguments arrive and is never sized by an announced count.
 *
 * What is promised
 *
 *   1. Any split is the same. Results, arguments, errors and their order depend on the byte stream
 *      (and on limits and `authenticated`) and never on how it was cut into calls.
 *   2. Linear time. No byte is examined more than a few times: a call continues where the last one
 *      stopped, and waits for a payload by one comparison. A 16 MiB bulk or a million arguments
 *      arriving in small pieces cost what they cost in one piece.
 *   3. No offset leaves the region: offset + length <= consumed_bytes <= length given.
 *   4. A number announced by a client reserves nothing. `needed_bytes` says how long the command
 *      claims to become at least; grow the region as bytes arrive, and never past that claim.
 *   5. Nothing is allocated; no clock, system call or output. One thread at a time for one parser.
 *
 * What is refused, with the texts of Redis 7.0 (tests compare them with a running one). The caller
 * answers the text as an error reply, behind the replies of the commands before it, and closes.
 *
 *     multibulk count not a canonical integer or > argument_count_max   invalid multibulk length
 *     count > unauthenticated_argument_count_max before AUTH   unauthenticated multibulk length
 *     count line without its end after inline_length_max       too big mbulk count string
 *     an argument that does not begin with '$'                 expected '$', got '%c'
 *     bulk length not a canonical integer, < 0 or > bulk_length_max     invalid bulk length
 *     length > unauthenticated_bulk_length_max before AUTH     unauthenticated bulk length
 *     length line without its end after inline_length_max      too big bulk count string
 *     inline line without its end after inline_length_max      too big inline request
 *     inline quotes not closed, or closed inside a word        unbalanced quotes in request
 *
 * A canonical integer has no sign but '-', no leading zero, no space. A count <= 0 is an empty
 * request: ignored, no reply.
 *
 * Where we differ from Redis 7.0, and why
 *
 *   a. Redis takes any two bytes for the CRLF behind a payload and any byte behind a line's CR;
 *      here they must be CRLF ("invalid multibulk length", "invalid bulk length", and "bulk not
 *      followed by CRLF"). A client that counts wrongly is told so instead of having its data
 *   executed. b. A NUL hides the rest of the line from Redis, which waits until the line is too
 *      long. Here a NUL in a multibulk's line is a bad number like any other byte, and in an inline
 *      line it is refused where it stands ("unexpected NUL in inline request"): so ends a TLS
 *   handshake. c. Redis measures a line only when its end has not arrived yet, so whether a long
 *      line passes depends on the split. Here a line whose end lies beyond inline_length_max is
 *   always refused. d. command_length_max bounds the whole command ("too big request"), as soon as
 *      what has been announced cannot fit any more. Redis closes at client-query-buffer-limit
 *   without a word. e. Redis's POST / Host: guard also acts on a multibulk of that name; here only
 *      on the inline form, the only one that a browser can be made to send. The other is an unknown
 *      command.
 *
 * `authenticated` is read when a count or a length line ends. A caller that parses ahead of AUTH's
 * outcome must therefore not parse past an AUTH or HELLO while the connection is unauthenticated,
 * or a first large command pipelined behind AUTH is refused although it would be allowed.
 */
#ifndef WEIR_WIRE_RESP_PARSE_H
#define WEIR_WIRE_RESP_PARSE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RESP_BULK_LENGTH_DEFAULT = 16 * 1024 * 1024,
    RESP_BULK_LENGTH_CEILING = 512 * 1024 * 1024, /* what Redis's proto-max-bulk-len defaults to */
    RESP_ARGUMENT_COUNT_DEFAULT = 1024 * 1024,
    RESP_ARGUMENT_COUNT_CEILING = INT_MAX,
    RESP_INLINE_LENGTH_DEFAULT = 64 * 1024,
    RESP_INLINE_LENGTH_FLOOR = 32, /* any canonical 64 bit number in a line */
    RESP_INLINE_LENGTH_CEILING = 16 * 1024 * 1024,
    RESP_COMMAND_LENGTH_DEFAULT = 1024 * 1024 * 1024, /* Redis's client-query-buffer-limit */
    RESP_COMMAND_LENGTH_CEILING = INT_MAX,
    RESP_UNAUTHENTICATED_ARGUMENT_COUNT_DEFAULT = 10,
    RESP_UNAUTHENTICATED_BULK_LENGTH_DEFAULT = 16384,

    /* "$0\r\n\r\n": the shortest argument, so what each argument still to come adds at least. */
    RESP_ARGUMENT_BYTES_MIN = 6,
    /* The longest text that resp_error_text writes, its NUL included. */
    RESP_ERROR_TEXT_BYTES_MAX = 64,
};

/* One argument: bytes [offset, offset + length) from the first byte of its command. */
struct resp_argument {
    uint32_t offset;
    uint32_t length;
};

/* Limits in bytes and counts, all inclusive. resp_limits_default() fills them; resp_limits_valid()
 * says whether changed ones may be used. Shared by any number of parsers, read only. */
struct resp_limits {
    uint32_t bulk_length_max;    /* of one argument; 1 .. RESP_BULK_LENGTH_CEILING */
    uint32_t argument_count_max; /* of a multibulk; 1 .. RESP_ARGUMENT_COUNT_CEILING. An inline
                                    command has at most inline_length_max / 2 + 1 */
    uint32_t inline_length_max;  /* of any line, without what ends it: an inline's LF, a multibulk
                                    line's CR; FLOOR .. CEILING */
    uint32_t command_length_max; /* of a whole multibulk; inline_length_max + 2 .. CEILING */
    uint32_t unauthenticated_argument_count_max;
    uint32_t unauthenticated_bulk_length_max;
};

enum resp_result {
    RESP_COMMAND,        /* the table holds argument_count arguments; consumed_bytes are used up */
    RESP_EMPTY,          /* a blank line or a count <= 0: consumed_bytes are used up, no reply */
    RESP_MORE,           /* incomplete: call again when the region has grown (see needed_bytes) */
    RESP_ARGUMENTS_FULL, /* the table is full: call again with a larger one, its content copied */
    RESP_ERROR,          /* not RESP: answer resp_error_text, then close */
    RESP_CROSS_PROTOCOL, /* an HTTP request was sent here: close without any reply */
};

/* Why a RESP_ERROR: each is one sentence of resp_error_text. */
enum resp_error {
    RESP_ERROR_NONE,
    RESP_ERROR_COUNT_INVALID,
    RESP_ERROR_COUNT_UNAUTHENTICATED,
    RESP_ERROR_COUNT_LINE_LONG,
    RESP_ERROR_BULK_EXPECTED,
    RESP_ERROR_BULK_INVALID,
    RESP_ERROR_BULK_UNAUTHENTICATED,
    RESP_ERROR_BULK_LINE_LONG,
    RESP_ERROR_BULK_UNTERMINATED,
    RESP_ERROR_INLINE_LONG,
    RESP_ERROR_INLINE_QUOTES,
    RESP_ERROR_INLINE_NUL,
    RESP_ERROR_COMMAND_LONG,
    RESP_ERROR_KINDS,
};

/* What a call found. Only the fields named for its result are meaningful. */
struct resp_command {
    uint32_t
        argument_count; /* COMMAND: of the command, >= 1. MORE, ARGUMENTS_FULL: complete so far */
    uint32_t
        argument_count_announced; /* as argument_count, but of the whole command; 0 = unknown */
    uint32_t consumed_bytes;      /* COMMAND, EMPTY: the next command begins here */
    uint32_t needed_bytes;        /* MORE: the command is at least this long; > the length given and
                                <= command_length_max */
    bool is_inline;     /* COMMAND: arguments were unquoted in place, the region is changed */
    uint8_t error;      /* ERROR: enum resp_error */
    uint8_t error_byte; /* ERROR, RESP_ERROR_BULK_EXPECTED: the byte found */
};

/* The state of one connection's parser. Plain data: zero bytes are the state after reset, and a
 * copy of it may go on with a copy of the region and the table. The fields belong to
 * resp_parse.c. */
struct resp_parser {
    uint32_t position;      /* offset of the current line's or payload's first byte */
    uint32_t scanned;       /* no line end lies in [position, scanned) */
    uint32_t count;         /* arguments announced, once the count line is read */
    uint32_t index;         /* arguments complete in the table */
    uint32_t payload;       /* length of the payload awaited; inline: offset of the line's end */
    uint8_t state;          /* enum resp_state */
    uint8_t error;          /* enum resp_error, once failed */
    uint8_t error_byte;     /* as in struct resp_command */
    uint8_t line_end_bytes; /* inline: 1 for \n, 2 for \r\n */
};

/* Fill in the defaults named above. */
void resp_limits_default(struct resp_limits *limits);

/* True if every limit is in its range. Whoever reads a configuration asks this once; resp_parse
 * asserts part of it. */
bool resp_limits_valid(const struct resp_limits *limits);

/* Forget the current command: for a new connection. Not needed between commands. */
void resp_parser_reset(struct resp_parser *parser);

/* True if the connection is between two commands (no byte of an unfinished one has been read). */
bool resp_parser_idle(const struct resp_parser *parser);

/* Read on in the current command.
 *
 *   bytes      the region: `length` bytes from the current command's first byte on. Writable, for
 *              an inline command's arguments are unquoted where they stand; a multibulk is left as
 *   it is. length     >= the length of the last call on this command. 0 gives RESP_MORE.
 *   arguments  the table, `arguments_capacity` >= 1 slots. Between calls on one command its first
 *              argument_count slots must be kept (by copy, if the table is another one).
 *   out        written in full.
 *
 * After RESP_COMMAND and RESP_EMPTY the parser stands before the next command, whose region begins
 * consumed_bytes further on. After RESP_ERROR and RESP_CROSS_PROTOCOL every further call gives the
 * same result until reset.
 *
 * Source: redis.io, "Redis serialization protocol specification"; limits as Redis 7.0. */
enum resp_result resp_parse(struct resp_parser *parser, const struct resp_limits *limits,
                            bool authenticated, uint8_t *bytes, uint32_t length,
                            struct resp_argument *arguments, uint32_t arguments_capacity,
                            struct resp_command *out);

/* Write the error reply's text of a RESP_ERROR ("ERR Protocol error: ..."; no '-', no CRLF, no NUL
 * inside) and a NUL behind it. Returns its length without that NUL. */
size_t resp_error_text(const struct resp_command *command, char text[RESP_ERROR_TEXT_BYTES_MAX]);

#ifdef RESP_PARSE_COUNT_EXAMINED
/* Bytes looked at since the program began: exists only in the test that compiles resp_parse.c for
 * itself, to prove linear time without a clock. */
extern uint64_t resp_parse_bytes_examined;
#endif

#endif
