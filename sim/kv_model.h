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
 * Hashes, lists, sets and sorted sets: HSET HSETNX HGET HDEL HLEN HEXISTS HINCRBY HGETALL; LPUSH
 * RPUSH LPOP RPOP LLEN LRANGE LMOVE, without counts; SADD SREM SISMEMBER SCARD SMEMBERS SPOP
 * SUNIONSTORE; ZADD ZINCRBY ZREM ZSCORE ZCARD ZRANGE ZPOPMIN, without options and with scores that
 * are integers. HGETALL and SMEMBERS are answered sorted by name.
 *
 * What nobody can foresee. SPOP takes a member at random. Who knows what it took says so
 * (kv_model_execute_seen): the model takes it, too, if it is there. Otherwise it knows that one of
 * them is gone. What it does not know for that it answers with KV_MODEL_ANYTHING, also as an
 * element of an array. An SPOP with a count makes all that is about its set such.
 *
 * A transaction is one command: EXEC, and then each of its commands, behind the number of its
 * words. Before them may stand the keys that were watched, as if WATCH was one of them:
 *
 *     EXEC 3 WATCH h1 h2 4 HINCRBY h1 f -3 4 HINCRBY h2 f 3
 *
 * It is executed whatever was watched, but if it was seen to answer null. Its reply is the array of
 * those of its commands (not of WATCH), or null. Of anything else behind EXEC the form is wrong.
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

/* A reply, or an element of one, that the model does not know. */
#define KV_MODEL_ANYTHING "?\r\n"

/* As kv_model_execute, of what a client was answered: RESP 2, without bytes if nobody knows. The
 * reply is still the model's own. */
void kv_model_execute_seen(struct kv_model *model, const struct kv_model_word *words, size_t count,
                           uint64_t log_time_ms, uint64_t clock_ms, struct kv_model_word seen,
                           struct kv_model_text *reply);

/* From now on changes of keys are noted, with this moment, which never goes back; 0: not. */
void kv_model_moment(struct kv_model *model, uint64_t moment);

/* The moment of the last change of a key, its removal too; 0: none was noted. */
uint64_t kv_model_changed(const struct kv_model *model, const struct kv_model_word *name);

/* Whether the key is there, or was when the last command had been executed. */
bool kv_model_has(struct kv_model *model, const struct kv_model_word *name);

/* The next command of a transaction, from word *at of its `count` on: its first word's index, with
 * its number of words, and *at behind it. 0: there is none, or the form is wrong (*at < count). */
size_t kv_model_exec_next(const struct kv_model_word *words, size_t count, size_t *at,
                          size_t *command_words);

/* Bytes of the reply that stands at the beginning, RESP 2 or KV_MODEL_ANYTHING; 0: of none. */
size_t kv_model_reply_bytes(const char *reply, size_t length);

/* How many keys are there at that log time. */
size_t kv_model_size(struct kv_model *model, uint64_t log_time_ms);

/* Adds bytes at the end of a text; `data` may be NULL if there are none. */
void kv_model_text_append(struct kv_model_text *text, const void *data, size_t length);
/* Frees its memory and leaves it empty. */
void kv_model_text_free(struct kv_model_text *text);

/* Sorts the elements of a RESP 2 array of bulk strings, or those of the second element of SCAN's
 * reply; anything else is left as it is. The second one sorts pairs, by their first. */
void kv_model_sort_array(struct kv_model_text *reply);
void kv_model_sort_pairs(struct kv_model_text *reply);

#endif
