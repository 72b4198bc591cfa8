#ifndef WEIR_TESTS_MACHINES_KV_TEMPLATES_H
#define WEIR_TESTS_MACHINES_KV_TEMPLATES_H

/*
 * A random stream of kv commands from a list of templates: each says a command and its options,
 * with a placeholder for each word that is drawn. Counts how often each template was used, so that
 * a test can insist on all of them. A template that begins with ~ is of a command whose reply is an
 * array in no order that means something.
 *
 *     @k key             @v value, short or long       @i integer, near or wrong
 *     @o offset in bytes @b offset in bits             @u bit, or not
 *     @f number for INCRBYFLOAT                        @s seconds, @m milliseconds (far, or wrong)
 *     @S, @M the same as a time of day
 *     @e element: one of a few short ones, so that they meet, seldom a value
 *     @z score           @y weight
 *     @r end of a range of scores   @x end of a range of members
 *     @w one of few members, many of which a small collection does not hold
 */

#include "base/random.h"
#include "sim/kv_model.h"

enum {
    KV_TEMPLATE_WORDS_MAX = 16,
    KV_TEMPLATES_MAX = 128,
};

struct kv_templates {
    const char *const *templates; /* NULL behind the last */
    size_t template_count;
    struct random random;
    uint32_t key_count;
    uint32_t value_bytes_max; /* of the rare long values */
    uint64_t now_ms;          /* what @S and @M are from */
    bool is_unordered;        /* the reply of the command */
    size_t count;             /* words of the command */
    struct kv_model_word words[KV_TEMPLATE_WORDS_MAX];
    char memory[KV_TEMPLATE_WORDS_MAX][64];
    char *values; /* random bytes, runs of zeros, and letters of a small alphabet */
    uint64_t made[KV_TEMPLATES_MAX];
};

/* The lists, each in a file of its own (kv_templates_string.c ...). */
extern const char *const kv_templates_string[]; /* strings, bits and keys */
extern const char *const kv_templates_hash[];
extern const char *const kv_templates_list[];
extern const char *const kv_templates_sort[];
extern const char *const kv_templates_set[];
extern const char *const kv_templates_zset[];
extern const char *const kv_templates_zset_large[]; /* what is only met in large ones */

/* Begins a stream of a list of at most KV_TEMPLATES_MAX templates. */
void kv_templates_begin(struct kv_templates *stream, const char *const *templates, uint64_t seed,
                        uint32_t key_count, uint32_t value_bytes_max);
void kv_templates_end(struct kv_templates *stream);

/* Makes the next command, in `words`, valid until the one after. Returns its template's index. */
size_t kv_templates_next(struct kv_templates *stream);

#endif
