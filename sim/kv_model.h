#ifndef WEIR_SIM_KV_MODEL_H
#define WEIR_SIM_KV_MODEL_H

/*
 * A deliberately dumb twin of the kv machine: an array of keys, searched from the front.
 *
 * It is fed the same commands in the same order, with the same log time and clock, and answers in
 * RESP 2 text what Redis 7.0 would. It shares no code with the machine: its numbers are read by
 * the C library, its glob is recursive, what is expired is removed before each command. Where the
 * two agree over some hundred thousand random commands, both are right or both wrong in the same
 * way; the second is checked against a real Redis (tests/machines/redis_differential.c).
 *
 * The order of KEYS and SCAN is the seed's business: the model lists keys sorted. To compare, sort
 * the elements of both (kv_model_sort_array). SCAN lists everything at once, with cursor 0.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kv_model;

/* One word of a command, the name included; any bytes. */
struct kv_model_word {
    const char *data;
    size_t length;
};

/* A reply, or any text: owned memory that grows. Zeroed: empty. */
struct kv_model_text {
    char *data;
    size_t length;
    size_t capacity;
};

/* An empty store. value_bytes_max: the longest string that APPEND may build. Owned by the caller.
 * It, and whatever grows below, aborts if there is no memory. */
struct kv_model *kv_model_new(size_t value_bytes_max);
/* Ends a store. */
void kv_model_free(struct kv_model *model);

/*
 * Executes one command, and replaces `reply` by the answer in RESP 2. Writes decide by log_time_ms;
 * TTL answers by the greater of the two times. An unknown command and a wrong number of arguments
 * are answered as Redis does.
 */
void kv_model_execute(struct kv_model *model, const struct kv_model_word *words, size_t count,
                      uint64_t log_time_ms, uint64_t clock_ms, struct kv_model_text *reply);

/* How many keys are there at that log time. */
size_t kv_model_size(struct kv_model *model, uint64_t log_time_ms);

/* Adds bytes at the end of a text; `data` may be NULL if there are none. */
void kv_model_text_append(struct kv_model_text *text, const void *data, size_t length);
/* Frees its memory and leaves it empty. */
void kv_model_text_free(struct kv_model_text *text);

/* Sorts the elements of a RESP 2 array of bulk strings, or those of the second element of SCAN's
 * reply; anything else is left as it is. */
void kv_model_sort_array(struct kv_model_text *reply);

#endif
