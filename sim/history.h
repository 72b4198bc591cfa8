#ifndef WEIR_SIM_HISTORY_H
#define WEIR_SIM_HISTORY_H

/*
 * Histories: what clients asked a cluster, when, and what they were told.
 *
 * A history is the evidence that the checkers judge (sim/linearizable.h, sim/replay_check.h). It
 * holds one record for each operation: who asked (client, connection, place in that connection's
 * order), the command's words, when it was invoked, and how it ended:
 *
 *     pending    nothing was heard yet.  Whoever judges takes it for unknown.
 *     ok         the reply came.  It took effect once, between invocation and return.
 *     refused    an error said that it was definitely not applied: -MOVED, -TRYAGAIN, ...
 *     unknown    -UNKNOWN came, or the connection ended first.  A write may take effect at any time
 *                after its invocation, or never; a read tells nothing.
 *
 * Times. Nanoseconds of one clock that all clients share. An operation is invoked no later than its
 * first byte leaves, and has returned no earlier than its reply's last byte arrived; so what lies
 * between is at least as long as the truth, and whoever finds the order of two operations violated
 * is right. Of two events at the same nanosecond neither is first.
 *
 * Connections. A connection belongs to one client; numbers are never used twice in a history. The
 * operations of a connection take effect in the order of their sequence numbers, pipelined or not.
 * Operations may be recorded in any order of connections and times, but those of one connection in
 * its order. An operation that a client repeats under ONCE is one operation: invoked when it was
 * first sent, returned when one of its replies came, recorded without the prefix. Once repeated it
 * stands on a connection of its own, since it may take effect behind what was asked after it.
 *
 * Replies are RESP 2. Those of a RESP 3 connection are recorded as RESP 2 has them: a map as an
 * array of twice as many, a set as an array, a double as a bulk string, and its null.
 *
 * A transaction is one operation, invoked when its EXEC is, of the words that sim/kv_model.h says;
 * a WATCH before it, on the same connection, is one of its own.
 *
 * Memory. Two blocks, taken when the history is created: the records, and an arena of bytes for
 * words and replies. Nothing is given back before the end. One thread at a time; nothing blocks.
 *
 * Text. One line an operation, which a person can read and history_load reads back:
 *
 *     client 1 connection 2 #3 [1000, 2500] ok: SET k1 v\x20w -> +OK\r\n
 *     client 1 connection 2 #4 [2600, never] unknown: INCR k2
 *     client 2 connection 7 #1 [2700, 2900] ok stale: GET k1 -> $-1\r\n
 *
 * Bytes of a word other than '!' to '~', and \ " > of these, are written \xNN, or \r \n \\; the
 * empty word is "". A reply is written in the same way, and may also hold spaces, " and >. Lines
 * that are empty or begin with # are passed over.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "sim/kv_model.h"

enum {
    HISTORY_WORDS_MAX = 128, /* of one command: an MSET of 63 keys */
    /* Memory is taken at once, and numbers are u32: 64 Mi records of 56 bytes are 3.5 GiB. */
    HISTORY_OPERATIONS_MAX = 64 << 20,
};

/* Offsets into the arena are u32. */
#define HISTORY_BYTES_MAX ((uint64_t)UINT32_MAX)

/* The time of what did not happen. */
#define HISTORY_NEVER UINT64_MAX

/* How an operation ended. */
enum history_outcome {
    HISTORY_PENDING,
    HISTORY_OK,
    HISTORY_REFUSED,
    HISTORY_UNKNOWN,
};

/* What a checker says of a history. */
enum history_verdict {
    HISTORY_RIGHT,     /* an order was found in which everything fits */
    HISTORY_WRONG,     /* there is none */
    HISTORY_UNDECIDED, /* a bound was reached, or something is not understood; never as good as
                          right */
};

/* One operation. Read it; change it only by the functions below. */
struct history_operation {
    uint64_t invoked_ns;
    uint64_t returned_ns; /* >= invoked_ns; HISTORY_NEVER while pending, and if nothing came */
    uint32_t client;
    uint32_t connection;
    uint32_t sequence;       /* within the connection, ascending */
    uint32_t command_offset; /* in the arena: word_count times length u32 and bytes */
    uint32_t command_bytes;
    uint32_t reply_offset; /* in the arena */
    uint32_t reply_bytes;  /* 0: none */
    uint16_t word_count;   /* with the name */
    uint8_t outcome;       /* enum history_outcome */
    bool stale;            /* the client asked for reads that may be old */
};

/* Operations by number, from 0, in the order in which they were recorded. */
struct history {
    struct history_operation *operations;
    uint8_t *bytes;
    uint32_t operation_count;
    uint32_t operations_max;
    uint64_t bytes_used;
    uint64_t bytes_max;
};

/* What is known when an operation begins. The words are copied. */
struct history_call {
    uint64_t invoked_ns; /* not HISTORY_NEVER */
    uint32_t client;
    uint32_t connection;
    uint32_t sequence;
    bool stale;
    const struct kv_model_word *words; /* [1, HISTORY_WORDS_MAX] of them, the name first */
    uint32_t word_count;
};

/*
 * Creates an empty history with room for so many operations, [1, HISTORY_OPERATIONS_MAX], and so
 * many bytes of words and replies, [1, HISTORY_BYTES_MAX]. The caller owns it. Allocates.
 * Errors: WEIR_EINVAL (a number is out of its range), WEIR_ENOMEM.
 */
int history_create(struct history *history, uint32_t operations_max, uint64_t bytes_max);

/* Frees what history_create took. */
void history_destroy(struct history *history);

/*
 * Records that an operation begins; *number is its own. Does not allocate.
 * Errors, with everything as it was: WEIR_EFULL (no room for the record or its words: end the run),
 * WEIR_EINVAL (no words, more than HISTORY_WORDS_MAX, or invoked never).
 */
int history_invoke(struct history *history, const struct history_call *call, uint32_t *number);

/*
 * Records how the pending operation `number` ended at `returned_ns`, which is not before its
 * invocation and may be HISTORY_NEVER unless it is ok; the outcome is not HISTORY_PENDING. An ok
 * operation has a reply; for the others it may be empty, and is kept for the reader. The reply is
 * copied. Does not allocate.
 * Errors, with the operation still pending: WEIR_EFULL (no room for the reply).
 */
int history_return(struct history *history, uint32_t number, uint64_t returned_ns,
                   enum history_outcome outcome, const char *reply, size_t reply_bytes);

/*
 * Moves a pending operation to a connection of its own, that has no other: its client is about to
 * repeat it, so it may take effect behind operations that its old connection asked for later.
 */
void history_detach(struct history *history, uint32_t number, uint32_t connection);

/* The operation's words, borrowed from the arena; returns how many. */
uint32_t history_words(const struct history *history, uint32_t number,
                       struct kv_model_word words[HISTORY_WORDS_MAX]);

/* The operation's reply, borrowed from the arena; empty if there is none. */
struct kv_model_word history_reply(const struct history *history, uint32_t number);

/*
 * What a reply says of its operation: unknown for -UNKNOWN; refused for the codes that promise that
 * nothing was done (-MOVED, -CLUSTERDOWN, -TRYAGAIN, ...); otherwise ok, also for an error that is
 * the command's result. Pure.
 */
enum history_outcome history_outcome_of(const char *reply, size_t reply_bytes);

/* Whether the word is this text, in any case. Pure. */
bool history_word_is(const struct kv_model_word *word, const char *text);

/* "ok", "violated", "undecided": a verdict in a word. A string constant. */
const char *history_verdict_name(enum history_verdict verdict);

/* Adds formatted text; what exceeds 512 bytes is cut. Allocates. */
__attribute__((format(printf, 2, 3))) void history_print(struct kv_model_text *out,
                                                         const char *format, ...);

/* Adds bytes as the text form has them: of a word if `is_word`, otherwise of a reply. Allocates. */
void history_print_bytes(struct kv_model_text *out, const char *bytes, size_t length, bool is_word);

/* Adds the operation's line, without its newline, whole. Allocates. */
void history_print_operation(struct kv_model_text *out, const struct history *history,
                             uint32_t number);

/* Adds all lines. Allocates; a run of 4,000 operations is some 400 KB. */
void history_dump(struct kv_model_text *out, const struct history *history);

/*
 * Adds the operations that a text describes; the rest of a pending operation is unknown. Allocates
 * only while it runs. Errors, with the operations of the lines before it recorded, and a sentence
 * with the line's number: WEIR_EINVAL (a line is not of the form), WEIR_EFULL.
 */
int history_load(struct history *history, const char *text, size_t length,
                 struct error_text *error);

#endif
