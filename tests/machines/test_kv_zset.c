/*
 * Sorted sets: what the comparison with Redis (test_kv_zset_redis.c) does not see.
 */

#include "tests/cmocka_wrapper.h"
#include "tests/machines/driver.h"
#include "tests/machines/kv_replicas.h"

static void a_snapshot_and_the_rest_give_the_same_state(void **state) {
    (void)state;
    kv_replicas_snapshot_and_rest(kv_templates_zset, 300);
}

static void a_snapshot_is_of_its_beginning(void **state) {
    (void)state;
    kv_replicas_snapshot_is_of_its_beginning(kv_templates_zset, 300);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_and_the_rest_give_the_same_state),
        cmocka_unit_test(a_snapshot_is_of_its_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
