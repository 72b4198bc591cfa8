/*
 * The machine against Redis itself: the same random commands about sorted sets, the same replies,
 * byte by byte, in RESP 2 and (tests/differential) 3.
 */

#include "tests/cmocka_wrapper.h"
#include "tests/machines/kv_redis_pair.h"

static void the_machine_answers_as_redis_does(void **state) {
    kv_redis_pair_play(*state, kv_templates_zset, 40000);
}

static void the_machine_answers_as_redis_does_of_large_ones(void **state) {
    kv_redis_pair_play(*state, kv_templates_zset_large, 10000);
}

int main(void) {
    static struct kv_redis_pair pair;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(the_machine_answers_as_redis_does, &pair),
        cmocka_unit_test_prestate(the_machine_answers_as_redis_does_of_large_ones, &pair),
    };
    if (!kv_redis_pair_begin(&pair))
        return REDIS_SERVER_SKIPPED;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kv_redis_pair_end(&pair);
    return failed;
}
