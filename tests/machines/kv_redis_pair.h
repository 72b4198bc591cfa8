#ifndef WEIR_TESTS_MACHINES_KV_REDIS_PAIR_H
#define WEIR_TESTS_MACHINES_KV_REDIS_PAIR_H

/*
 * The machine beside Redis itself: the same commands, the same replies, byte by byte.
 *
 * Needs redis-server in the path, else a test is a skip. Redis has a clock of its own, so deadlines
 * are either far away or past.
 */

#include "base/random.h"
#include "tests/machines/driver.h"
#include "tests/machines/kv_templates.h"
#include "tests/machines/redis_server.h"

enum { KV_REDIS_PAIR_VALUE_BYTES_MAX = 16 << 20 };

struct kv_redis_pair {
    struct driver driver;
    struct redis_server redis;
    struct kv_model_text there; /* the last reply of each */
    struct kv_model_text here;
    struct random random;
    uint64_t index;
    uint64_t now_ms; /* the log time of the next command: set it to redis_server_clock_ms */
};

/* Starts both; false, after a word, if there is no redis-server. */
bool kv_redis_pair_begin(struct kv_redis_pair *pair);
void kv_redis_pair_end(struct kv_redis_pair *pair);

/* Executes a command on both, ours with a budget that is drawn. */
void kv_redis_pair_execute(struct kv_redis_pair *pair, const struct kv_model_word *words,
                           size_t count);

/* Executes so many commands of a list of templates, and fails at the first reply that differs, or
 * if a template was used less than a hundred times. */
void kv_redis_pair_play(struct kv_redis_pair *pair, const char *const *templates,
                        uint64_t command_count);

#endif
