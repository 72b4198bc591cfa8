/*
 * The machine against Redis itself: the same random commands about strings, bits and keys, the same
 * replies, byte by byte. The order of commands is random, so each meets what the others left.
 *
 * Needs redis-server in the path, else it is a skip. Redis has a clock of its own, so deadlines
 * here are either far away or past.
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/driver.h"
#include "tests/machines/kv_templates.h"
#include "tests/machines/redis_server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { COMMANDS = 60000 };

struct pair {
    struct driver driver;
    struct redis_server redis;
    struct kv_model_text there;
    struct kv_model_text here;
    struct random random;
    uint64_t index;
    uint64_t now_ms;
};

static void print_words(const struct kv_model_word *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%.*s ", (int)(words[i].length < 80 ? words[i].length : 80), words[i].data);
}

/* SETEX and the like count from each server's own clock. */
static bool answers_a_deadline(const struct kv_model_word *name) {
    return name->length > 4 && strncasecmp(name->data + name->length - 4, "time", 4) == 0;
}

static bool replies_agree(const struct pair *pair, const struct kv_model_word *words) {
    const struct kv_model_text *here = &pair->here;
    const struct kv_model_text *there = &pair->there;
    if (here->length == there->length && memcmp(here->data, there->data, here->length) == 0)
        return true;
    int64_t ours;
    int64_t theirs;
    return answers_a_deadline(&words[0]) && here->data[0] == ':' && there->data[0] == ':' &&
           decimal_parse_i64(here->data + 1, here->length - 3, &ours) == 0 &&
           decimal_parse_i64(there->data + 1, there->length - 3, &theirs) == 0 &&
           ours - theirs < 60000 && theirs - ours < 60000;
}

static void execute(struct pair *pair, const struct kv_model_word *words, size_t count) {
    static const uint32_t budgets[] = {1, 7, 300, UINT32_MAX};
    pair->index++;
    pair->driver.budget = budgets[random_below(&pair->random, ARRAY_COUNT(budgets))];
    const struct machine_moment moment = driver_moment(pair->index, pair->now_ms);
    driver_execute(&pair->driver, words, count, &moment, &pair->here);
    redis_server_execute(&pair->redis, words, count, &pair->there);
}

static void the_machine_answers_as_redis_does(void **state) {
    struct pair *pair = *state;
    struct kv_templates stream;
    kv_templates_begin(&stream, 17, 24, 5000);
    for (uint32_t i = 0; i < COMMANDS; i++) {
        /* Log time is Redis's time, taken before: what is past for us is past for it. */
        pair->now_ms = stream.now_ms = redis_server_clock_ms();
        kv_templates_next(&stream);
        execute(pair, stream.words, stream.count);
        if (replies_agree(pair, stream.words))
            continue;
        print_words(stream.words, stream.count);
        fprintf(stderr, "\n  redis %.*s\n  here  %.*s\n", (int)pair->there.length, pair->there.data,
                (int)pair->here.length, pair->here.data);
        fail();
    }
    for (size_t i = 0; kv_template(i) != NULL; i++) {
        printf("  %" PRIu64 " %s\n", stream.made[i], kv_template(i));
        assert_true(stream.made[i] >= 100);
    }
    kv_templates_end(&stream);
}

/* The longest numbers, which no template draws. */
static void numbers_of_thousands_of_digits_are_read_as_redis_reads_them(void **state) {
    struct pair *pair = *state;
    enum { DIGITS = 5200 };
    static char digits[DIGITS];
    pair->now_ms = redis_server_clock_ms();
    for (size_t length = 4800; length <= DIGITS; length += 7) {
        for (size_t point = 0; point < 3; point++) {
            memset(digits, '3', length);
            digits[0] = point == 0 ? '1' : '0';
            if (point > 0)
                digits[point == 1 ? 1 : length / 2] = '.';
            const struct kv_model_word set[] = {{"SET", 3}, {"n", 1}, {digits, length}};
            const struct kv_model_word add[] = {{"INCRBYFLOAT", 11}, {"n", 1}, {"1.5", 3}};
            const struct kv_model_word get[] = {{"GET", 3}, {"n", 1}};
            execute(pair, set, 3);
            execute(pair, add, 3);
            assert_int_equal(pair->here.length, pair->there.length);
            assert_memory_equal(pair->here.data, pair->there.data, pair->here.length);
            execute(pair, get, 2);
            assert_int_equal(pair->here.length, pair->there.length);
            assert_memory_equal(pair->here.data, pair->there.data, pair->here.length);
        }
    }
}

/* OBJECT ENCODING of what was SET, not of what a history of APPENDs made. */
static void encodings_of_values_that_were_set_are_those_of_redis(void **state) {
    struct pair *pair = *state;
    char value[64];
    pair->now_ms = redis_server_clock_ms();
    for (size_t length = 0; length < sizeof(value); length++) {
        for (uint32_t letter = 0; letter < 2; letter++) {
            memset(value, letter == 0 ? '7' : 'x', length);
            const struct kv_model_word set[] = {{"SET", 3}, {"e", 1}, {value, length}};
            const struct kv_model_word ask[] = {{"OBJECT", 6}, {"ENCODING", 8}, {"e", 1}};
            execute(pair, set, 3);
            execute(pair, ask, 3);
            assert_int_equal(pair->here.length, pair->there.length);
            assert_memory_equal(pair->here.data, pair->there.data, pair->here.length);
        }
    }
}

int main(void) {
    static struct pair pair;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(the_machine_answers_as_redis_does, &pair),
        cmocka_unit_test_prestate(numbers_of_thousands_of_digits_are_read_as_redis_reads_them,
                                  &pair),
        cmocka_unit_test_prestate(encodings_of_values_that_were_set_are_those_of_redis, &pair),
    };
    if (!redis_server_begin(&pair.redis, 16 << 20)) {
        printf("skipped: redis-server is not installed\n");
        return REDIS_SERVER_SKIPPED;
    }
    driver_begin(&pair.driver, &machine_kv, 3);
    assert_int_equal(pair.driver.options.value_bytes_max, 16 << 20);
    random_seed(&pair.random, 5);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    redis_server_end(&pair.redis);
    driver_end(&pair.driver);
    kv_model_text_free(&pair.here);
    kv_model_text_free(&pair.there);
    return failed;
}
