/*
 * The machine against Redis itself: the same random commands about strings, bits and keys, the same
 * replies, byte by byte. The order of commands is random, so each meets what the others left.
 */

#include "tests/cmocka_wrapper.h"
#include "tests/machines/kv_redis_pair.h"

#include <string.h>

static void the_machine_answers_as_redis_does(void **state) {
    kv_redis_pair_play(*state, kv_templates_string, 60000);
}

/* The longest numbers, which no template draws. */
static void numbers_of_thousands_of_digits_are_read_as_redis_reads_them(void **state) {
    struct kv_redis_pair *pair = *state;
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
            kv_redis_pair_execute(pair, set, 3);
            kv_redis_pair_execute(pair, add, 3);
            assert_int_equal(pair->here.length, pair->there.length);
            assert_memory_equal(pair->here.data, pair->there.data, pair->here.length);
            kv_redis_pair_execute(pair, get, 2);
            assert_int_equal(pair->here.length, pair->there.length);
            assert_memory_equal(pair->here.data, pair->there.data, pair->here.length);
        }
    }
}

/* OBJECT ENCODING of what was SET, not of what a history of APPENDs made. */
static void encodings_of_values_that_were_set_are_those_of_redis(void **state) {
    struct kv_redis_pair *pair = *state;
    char value[64];
    pair->now_ms = redis_server_clock_ms();
    for (size_t length = 0; length < sizeof(value); length++) {
        for (uint32_t letter = 0; letter < 2; letter++) {
            memset(value, letter == 0 ? '7' : 'x', length);
            const struct kv_model_word set[] = {{"SET", 3}, {"e", 1}, {value, length}};
            const struct kv_model_word ask[] = {{"OBJECT", 6}, {"ENCODING", 8}, {"e", 1}};
            kv_redis_pair_execute(pair, set, 3);
            kv_redis_pair_execute(pair, ask, 3);
            assert_int_equal(pair->here.length, pair->there.length);
            assert_memory_equal(pair->here.data, pair->there.data, pair->here.length);
        }
    }
}

int main(void) {
    static struct kv_redis_pair pair;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(the_machine_answers_as_redis_does, &pair),
        cmocka_unit_test_prestate(numbers_of_thousands_of_digits_are_read_as_redis_reads_them,
                                  &pair),
        cmocka_unit_test_prestate(encodings_of_values_that_were_set_are_those_of_redis, &pair),
    };
    if (!kv_redis_pair_begin(&pair))
        return REDIS_SERVER_SKIPPED;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kv_redis_pair_end(&pair);
    return failed;
}
