/* When a key was changed last: what WATCH is about. */

#include "machines/kv_record.h"
#include "tests/cmocka_wrapper.h"

static void a_record_is_asked_whether_it_changed_after_an_entry(void **state) {
    (void)state;
    struct kv_record record = {.change = 100};
    assert_false(kv_changed_after(&record, 100, 100)); /* watched after that very entry */
    assert_false(kv_changed_after(&record, 100, 5000));
    assert_true(kv_changed_after(&record, 99, 5000));
    /* Beyond 2^32 entries of history the low half goes round, and ages are still right. */
    const uint64_t round = UINT64_C(1) << 32;
    record.change = UINT32_MAX; /* of entry 2^33 - 1 */
    assert_true(kv_changed_after(&record, 2 * round - 2, 2 * round + 7));
    assert_false(kv_changed_after(&record, 2 * round - 1, 2 * round + 7));
    /* A key at rest for long is not taken for one that changed ... */
    record.change = 100;
    assert_false(kv_changed_after(&record, round / 2 + 200, round / 2 + 300));
    assert_false(kv_changed_after(&record, round + 90, round + 99));
    /* ... but for a moment each 2^32 entries, when the ages are equal modulo that. */
    assert_true(kv_changed_after(&record, round + 99, round + 101));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_asked_whether_it_changed_after_an_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
