/*
 * Hashes against Redis itself: the same random commands, the same replies, byte by byte.
 */

#include "tests/cmocka_wrapper.h"
#include "tests/machines/kv_redis_pair.h"

static void hashes_answer_as_those_of_redis_do(void **state) {
    kv_redis_pair_play(*state, kv_templates_hash, 30000);
}

int main(void) {
    static struct kv_redis_pair pair;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(hashes_answer_as_those_of_redis_do, &pair),
    };
    if (!kv_redis_pair_begin(&pair))
        return REDIS_SERVER_SKIPPED;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kv_redis_pair_end(&pair);
    return failed;
}
