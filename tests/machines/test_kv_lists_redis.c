/*
 * The machine against Redis itself: the same random commands about lists, the same replies, byte
 * by byte. Few keys, so that lists become long, and are of another type now and then.
 */

#include "base/bytes.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/kv_redis_pair.h"

static void the_machine_answers_as_redis_does(void **state) {
    kv_redis_pair_play(*state, kv_templates_list, 50000);
}

static void sort_answers_as_redis_does(void **state) {
    kv_redis_pair_play(*state, kv_templates_sort, 20000);
}

int main(void) {
    static struct kv_redis_pair pair;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(the_machine_answers_as_redis_does, &pair),
        cmocka_unit_test_prestate(sort_answers_as_redis_does, &pair),
    };
    if (!kv_redis_pair_begin(&pair))
        return REDIS_SERVER_SKIPPED;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kv_redis_pair_end(&pair);
    return failed;
}
