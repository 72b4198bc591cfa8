#ifndef WEIR_TESTS_SIM_HISTORY_BY_HAND_H
#define WEIR_TESTS_SIM_HISTORY_BY_HAND_H

/*
 * Histories and logs written by hand, a call an operation:
 *
 *     by_hand_add(&made, 1, 10, 20, "SET x 1", "+OK");
 *
 * Connection 1 asks at 10 and has the reply at 20. Its operations are numbered as they are added.
 * The command's words are parted by single spaces. The reply is a line of RESP 2, or "$text",
 * "nil", "[a nil :1 +OK]" (an array, of bulks without a sign), "?" (unknown), or "!" (refused).
 */

#include "sim/history.h"
#include "sim/replay_check.h"

enum { BY_HAND_OPERATIONS_MAX = 64, BY_HAND_WORDS_MAX = 24 };

/* A history, and the log that belongs to it. Zeroed: begin with by_hand_begin. */
struct by_hand {
    struct history history;
    struct replay_command log[BY_HAND_OPERATIONS_MAX];
    struct kv_model_word words[BY_HAND_OPERATIONS_MAX][BY_HAND_WORDS_MAX];
    size_t log_count;
};

/* One operation; or, of connection 0, a command of the log. */
struct by_hand_row {
    uint32_t connection;
    uint64_t invoked_ns;
    uint64_t returned_ns;
    const char *command;
    const char *reply;
};

/* For tables of rows: never, and a command of the log. */
#define N HISTORY_NEVER
#define LOG(command) \
    { 0, 0, 0, command, NULL }

/* Assertions about a table of rows, by a function `judge` of the test: its verdict on so many of
 * them, with a text that it must say, or NULL. */
#define COUNT(rows)           (sizeof(rows) / sizeof((rows)[0]))
#define WRONG(rows, text)     assert_int_equal(judge(rows, COUNT(rows), text), HISTORY_WRONG)
#define RIGHT(rows)           assert_int_equal(judge(rows, COUNT(rows), NULL), HISTORY_RIGHT)
#define UNDECIDED(rows, text) assert_int_equal(judge(rows, COUNT(rows), text), HISTORY_UNDECIDED)

void by_hand_begin(struct by_hand *made);
void by_hand_end(struct by_hand *made);

/* Adds an operation, and returns its number. */
uint32_t by_hand_add(struct by_hand *made, uint32_t connection, uint64_t invoked_ns,
                     uint64_t returned_ns, const char *command, const char *reply);

/* Adds the command to the log, at a second more than the last one; nobody says whose it is. */
void by_hand_log(struct by_hand *made, const char *command);

/* Adds rows, of both kinds. */
void by_hand_rows(struct by_hand *made, const struct by_hand_row *rows, size_t count);

/* Checks, prints the text of what is not right, frees it, and returns the verdict. `text`, if not
 * NULL, must be in it. */
enum history_verdict by_hand_linearizable(const struct by_hand *made, const char *text);
enum history_verdict by_hand_replay(const struct by_hand *made, const char *text);

/* The reply in RESP 2, of the short form above. */
void by_hand_reply(struct kv_model_text *out, const char *reply);

/* The words of a command, borrowed from it; returns how many. */
uint32_t by_hand_words(const char *command, struct kv_model_word words[BY_HAND_WORDS_MAX]);

#endif
