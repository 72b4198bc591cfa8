#ifndef WEIR_TESTS_PROPERTY_HISTORY_H
#define WEIR_TESTS_PROPERTY_HISTORY_H

/*
 * What clients asked and what they were told, as they saw it: a lane of operations for each
 * connection, in the order in which they were sent.
 *
 * An operation was invoked no earlier than the call that sent its last byte began, and had its
 * response no later than the call that received its reply's last byte returned. So what lies
 * between is at least as long as the truth, and whoever finds the order of two operations violated
 * is right.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/kv_model.h"

struct operation {
    uint32_t card;         /* what the generator meant: an index into the cards */
    uint32_t resp_version; /* in which its reply comes */
    bool answered;
    size_t word_count;
    struct kv_model_word *words;   /* owned, with their bytes, in one block */
    struct kv_model_text expected; /* a pattern (answer.h), if a session answers it; or empty */
    struct kv_model_text answer;   /* canonical (answer.h) */
    uint64_t invoked_ns;           /* monotonic */
    uint64_t responded_ns;         /* UINT64_MAX until answered */
    uint64_t invoked_wall_ms;
    uint64_t responded_wall_ms;
};

struct history_lane {
    struct operation *operations;
    size_t count;
    size_t capacity;
};

struct history {
    struct history_lane *lanes;
    uint32_t lane_count;
};

/* What the node wrote down: its log's commands in their order. */
struct logged_command {
    uint64_t entry_index;
    uint64_t log_time_ms;
    uint16_t id; /* 0: an entry without commands, which only says what time it is */
    size_t argument_count;
    struct kv_model_word *arguments; /* without the name; owned, in one block */
};

struct logged {
    struct logged_command *commands;
    size_t count;
    size_t capacity;
};

void history_init(struct history *history, uint32_t lane_count);
void history_free(struct history *history);

/* Adds an operation with a copy of the words. The pointer is good until the lane's next one. */
struct operation *history_add(struct history *history, uint32_t lane,
                              const struct kv_model_word *words, size_t word_count);

/* How many operations there are in all lanes. */
size_t history_size(const struct history *history);

/* Adds a command with a copy of the arguments. */
void logged_add(struct logged *logged, uint64_t entry_index, uint64_t log_time_ms, uint16_t id,
                const struct kv_model_word *arguments, size_t argument_count);
void logged_free(struct logged *logged);

/* True if the word is this text, in any case. */
bool word_is(const struct kv_model_word *word, const char *text);

/* Appends what a person can read: bytes outside ASCII escaped, a long word cut. */
void words_print(struct kv_model_text *out, const struct kv_model_word *words, size_t count);
void bytes_print(struct kv_model_text *out, const char *bytes, size_t length, size_t length_max);
void text_print(struct kv_model_text *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "connection 3, operation 17: GET k1 -> $2:v7". */
void operation_print(struct kv_model_text *out, uint32_t lane, size_t index,
                     const struct operation *operation);

#endif
