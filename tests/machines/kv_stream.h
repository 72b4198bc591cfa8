#ifndef WEIR_TESTS_MACHINES_KV_STREAM_H
#define WEIR_TESTS_MACHINES_KV_STREAM_H

/*
 * A random stream of kv commands: every command, every option, right and wrong, over few keys, so
 * that they meet. Counts what it has made, by name, so that a test can insist on each.
 */

#include "base/random.h"
#include "sim/kv_model.h"

enum {
    KV_STREAM_WORDS_MAX = 24,
    KV_STREAM_FEATURES = 52,
};

struct kv_stream {
    struct random random;
    uint32_t key_count;       /* how many different keys */
    uint32_t value_bytes_max; /* of the rare long values */
    uint32_t flush_divisor;   /* 1: flushes as often as KEYS; more: that many times less */
    uint64_t now_ms;          /* for EXAT and PXAT */
    size_t count;             /* words of the command */
    struct kv_model_word words[KV_STREAM_WORDS_MAX];
    char memory[KV_STREAM_WORDS_MAX][64]; /* of short words */
    char *value;                          /* of long ones: random bytes */
    uint64_t made[KV_STREAM_FEATURES];
};

void kv_stream_begin(struct kv_stream *stream, uint64_t seed, uint32_t key_count,
                     uint32_t value_bytes_max);
void kv_stream_end(struct kv_stream *stream);

/* Makes the next command, in `words`, valid until the one after. */
void kv_stream_next(struct kv_stream *stream);

/* What the feature is called; NULL behind the last. */
const char *kv_stream_feature(size_t index);

#endif
