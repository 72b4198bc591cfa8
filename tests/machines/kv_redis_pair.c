/* A command is executed on both; the first reply that differs ends the test with both of them. */

#include "tests/machines/kv_redis_pair.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"
#include "tests/cmocka_wrapper.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void print_words(const struct kv_model_word *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%.*s ", (int)(words[i].length < 80 ? words[i].length : 80), words[i].data);
}

/* SETEX and the like count from each server's own clock. */
static bool answers_a_deadline(const struct kv_model_word *name) {
    return name->length > 4 && strncasecmp(name->data + name->length - 4, "time", 4) == 0;
}

static bool replies_agree(const struct kv_redis_pair *pair, const struct kv_model_word *words) {
    const struct kv_model_text *here = &pair->here;
    const struct kv_model_text *there = &pair->there;
    if (here->length == there->length && memcmp(here->data, there->data, here->length) == 0)
        return true;
    if (here->length == 5 && there->length == 5 && memcmp(here->data, "*-1\r\n", 5) == 0 &&
        memcmp(there->data, "$-1\r\n", 5) == 0)
        return true; /* hiredis knows one null only */
    int64_t ours;
    int64_t theirs;
    return answers_a_deadline(&words[0]) && here->data[0] == ':' && there->data[0] == ':' &&
           decimal_parse_i64(here->data + 1, here->length - 3, &ours) == 0 &&
           decimal_parse_i64(there->data + 1, there->length - 3, &theirs) == 0 &&
           ours - theirs < 60000 && theirs - ours < 60000;
}

void kv_redis_pair_execute(struct kv_redis_pair *pair, const struct kv_model_word *words,
                           size_t count) {
    static const uint32_t budgets[] = {1, 7, 300, UINT32_MAX};
    pair->index++;
    pair->driver.budget = budgets[random_below(&pair->random, ARRAY_COUNT(budgets))];
    const struct machine_moment moment = driver_moment(pair->index, pair->now_ms);
    driver_execute(&pair->driver, words, count, &moment, &pair->here);
    redis_server_execute(&pair->redis, words, count, &pair->there);
}

void kv_redis_pair_play(struct kv_redis_pair *pair, const char *const *templates,
                        uint64_t command_count) {
    const struct kv_model_word flush = {"FLUSHALL", 8};
    struct kv_templates stream;
    kv_redis_pair_execute(pair, &flush, 1);
    kv_templates_begin(&stream, templates, 17, 24, 5000);
    for (uint64_t i = 0; i < command_count; i++) {
        /* Log time is Redis's time, taken before: what is past for us is past for it. */
        pair->now_ms = stream.now_ms = redis_server_clock_ms();
        kv_templates_next(&stream);
        kv_redis_pair_execute(pair, stream.words, stream.count);
        if (stream.is_unordered) {
            kv_model_sort_array(&pair->here);
            kv_model_sort_array(&pair->there);
        }
        if (replies_agree(pair, stream.words))
            continue;
        print_words(stream.words, stream.count);
        fprintf(stderr, "\n  redis %.*s\n  here  %.*s\n", (int)pair->there.length, pair->there.data,
                (int)pair->here.length, pair->here.data);
        fail();
    }
    for (size_t i = 0; i < stream.template_count; i++) {
        printf("  %" PRIu64 " %s\n", stream.made[i], templates[i]);
        assert_true(stream.made[i] >= 100);
    }
    kv_templates_end(&stream);
}

bool kv_redis_pair_begin(struct kv_redis_pair *pair) {
    *pair = (struct kv_redis_pair){0};
    if (!redis_server_begin(&pair->redis, KV_REDIS_PAIR_VALUE_BYTES_MAX)) {
        printf("skipped: redis-server is not installed\n");
        return false;
    }
    driver_begin(&pair->driver, &machine_kv, 3);
    ASSERT(pair->driver.options.value_bytes_max == KV_REDIS_PAIR_VALUE_BYTES_MAX);
    random_seed(&pair->random, 5);
    return true;
}

void kv_redis_pair_end(struct kv_redis_pair *pair) {
    redis_server_end(&pair->redis);
    driver_end(&pair->driver);
    kv_model_text_free(&pair->here);
    kv_model_text_free(&pair->there);
}
