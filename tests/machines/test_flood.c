/*
 * Hash flooding: keys that were made to meet under one seed do not meet under another.  The seed of
 * a log is random, and stands in its genesis record: who sends keys does not know it.
 */

#include "machines/machine.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tests/cmocka_wrapper.h"

enum {
    KEYS = 512,
    BITS = 12, /* of the hash: as many places as a table for so many keys has at most */
    PLACES = 1 << BITS,
    KEY_BYTES = 16,
    /* Of 512 keys in 4,096 places more than 6 in one: one in ten million of such sets of keys. */
    TOGETHER_MAX = 6,
    SEEDS = 64,
};

static char keys[KEYS][KEY_BYTES];

static uint32_t place(const char *key, uint64_t seed, uint32_t shift) {
    const uint64_t hash = machine_key_hash((const uint8_t *)key, (uint32_t)strlen(key), seed);
    return (uint32_t)(hash >> shift) % PLACES;
}

/* The most of the keys that are in one place. */
static uint32_t together(uint64_t seed, uint32_t shift) {
    static uint32_t counts[PLACES];
    uint32_t most = 0;
    memset(counts, 0, sizeof(counts));
    for (uint32_t i = 0; i < KEYS; i++) {
        const uint32_t count = ++counts[place(keys[i], seed, shift)];
        most = count > most ? count : most;
    }
    return most;
}

/* Keys that all are in place 0 under that seed. */
static void make_keys(uint64_t seed, uint32_t shift) {
    uint32_t found = 0;
    for (uint32_t i = 0; found < KEYS; i++) {
        snprintf(keys[found], KEY_BYTES, "flood:%u", i);
        found += place(keys[found], seed, shift) == 0;
    }
}

static void keys_made_for_one_seed_are_spread_under_any_other(void **state) {
    (void)state;
    /* The low bits, which choose the place in a table, and the high ones: the partition. */
    for (uint32_t shift = 0; shift <= 64 - BITS; shift += 64 - BITS) {
        make_keys(7, shift);
        assert_int_equal(together(7, shift), KEYS);
        for (uint64_t seed = 8; seed < 8 + SEEDS; seed++) {
            assert_in_range(together(seed, shift), 1, TOGETHER_MAX);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_made_for_one_seed_are_spread_under_any_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
