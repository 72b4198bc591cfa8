/*
 * A random choice among a table's records: that it depends on the records and the seed alone,
 * however the table came to be; that every record comes once; and, by chi-square with fixed seeds,
 * that all records and all orders are as likely as the others.
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"
#include "machines/kv_pick.h"
#include "tests/cmocka_wrapper.h"

#include <stdlib.h>
#include <string.h>

enum { HASH_SEED = 42, KEY_BYTES_MAX = 7 + DECIMAL_BYTES_MAX };

static void *pages_take(void *context, size_t length_bytes) {
    (void)context;
    void *pages = aligned_alloc(MEMORY_PAGE_BYTES, length_bytes);
    ASSERT(pages != NULL);
    return memset(pages, 0, length_bytes);
}

static void pages_give(void *context, void *pages, size_t length_bytes) {
    (void)context;
    (void)length_bytes;
    free(pages);
}

static const struct machine_host host = {NULL, pages_take, pages_give};

struct world {
    struct memory memory;
    struct kv_table table;
};

static uint32_t key_of(uint32_t number, char key[KEY_BYTES_MAX]) {
    memcpy(key, "member:", 7);
    return 7 + (uint32_t)decimal_format_u64(key + 7, number);
}

static uint32_t number_of(const struct kv_record *record) {
    uint64_t number;
    const int error =
        decimal_parse_u64((const char *)kv_key(record) + 7, kv_key_bytes(record) - 7, &number);
    ASSERT(error == 0);
    return (uint32_t)number;
}

static void add(struct world *world, uint32_t number) {
    char key[KEY_BYTES_MAX];
    const uint32_t key_bytes = key_of(number, key);
    struct kv_record *record = memory_take(&world->memory, kv_record_bytes_of(false, key_bytes, 0));
    const uint64_t hash = machine_key_hash((const uint8_t *)key, key_bytes, HASH_SEED);
    record->hash_low = (uint32_t)hash;
    record->change = 0;
    record->key_word = key_bytes;
    record->value_word = 0;
    memcpy(record->bytes, key, key_bytes);
    kv_table_insert(&world->table, &world->memory, hash, record);
}

static void drop(struct world *world, uint32_t number) {
    char key[KEY_BYTES_MAX];
    const uint32_t key_bytes = key_of(number, key);
    const uint64_t hash = machine_key_hash((const uint8_t *)key, key_bytes, HASH_SEED);
    uint64_t *slot = kv_table_find(&world->table, hash, (const uint8_t *)key, key_bytes);
    ASSERT(slot != NULL);
    struct kv_record *record = kv_slot_record(*slot);
    kv_table_remove(&world->table, &world->memory, slot);
    memory_give(&world->memory, record, kv_record_bytes(record));
}

/* Ways to come to the same records 0 to count - 1. */
enum history { HISTORY_UP, HISTORY_DOWN, HISTORY_SHRUNK, HISTORIES };

static void world_begin(struct world *world, enum history history, uint32_t count) {
    *world = (struct world){0};
    memory_begin(&world->memory, &host, NULL);
    const uint32_t more = history == HISTORY_SHRUNK ? count * 20 + 2000 : count;
    for (uint32_t i = 0; i < more; i++)
        add(world, history == HISTORY_DOWN ? more - 1 - i : i);
    for (uint32_t i = more; i > count; i--)
        drop(world, i - 1);
    assert_int_equal(world->table.count, count);
}

static void world_end(struct world *world) {
    struct memory_retired retired = {0};
    uint32_t budget = UINT32_MAX;
    memory_retire(&world->memory, &retired);
    assert_false(memory_retired_give(&retired, &host, &budget));
}

/* Draws `wanted` records, with slices of a budget, into numbers. */
static void draw(const struct kv_table *table, uint64_t seed, uint32_t wanted, uint32_t slice,
                 uint32_t *numbers) {
    const struct kv_pick pick = kv_pick_make(table->count, seed);
    uint64_t ticket = 0;
    for (uint32_t i = 0; i < wanted;) {
        uint32_t budget = slice;
        const struct kv_record *record = kv_pick_next(table, &pick, &ticket, &budget);
        if (record != NULL)
            numbers[i++] = number_of(record);
        else
            assert_int_equal(budget, 0);
    }
}

static const uint32_t counts[] = {1, 2, 3, 7, 8, 9, 15, 16, 60, 127, 255, 256, 300, 511, 512, 5000};

static void the_choice_does_not_depend_on_how_the_table_came_to_be(void **state) {
    (void)state;
    static uint32_t numbers[HISTORIES][5000];
    for (size_t c = 0; c < ARRAY_COUNT(counts); c++) {
        const uint32_t count = counts[c];
        for (enum history history = 0; history < HISTORIES; history++) {
            struct world world;
            world_begin(&world, history, count);
            draw(&world.table, 7 + c, count, history == HISTORY_UP ? 1 : 1000, numbers[history]);
            world_end(&world);
        }
        for (enum history history = 1; history < HISTORIES; history++)
            assert_memory_equal(numbers[history], numbers[0], count * sizeof(uint32_t));
    }
}

static void every_record_is_drawn_once(void **state) {
    (void)state;
    static uint32_t numbers[5000];
    for (size_t c = 0; c < ARRAY_COUNT(counts); c++) {
        static bool seen[5000];
        struct world world;
        memset(seen, 0, sizeof(seen));
        world_begin(&world, HISTORY_UP, counts[c]);
        draw(&world.table, c, counts[c], UINT32_MAX, numbers);
        for (uint32_t i = 0; i < counts[c]; i++) {
            assert_false(seen[numbers[i]]);
            seen[numbers[i]] = true;
        }
        world_end(&world);
    }
}

static void cells_are_an_order_of_all_records_whatever_the_layout(void **state) {
    (void)state;
    static uint32_t numbers[HISTORIES][5000];
    for (size_t c = 0; c < ARRAY_COUNT(counts); c++) {
        for (enum history history = 0; history < HISTORIES; history++) {
            struct world world;
            uint32_t budget = UINT32_MAX;
            uint32_t count = 0;
            struct kv_record *records[KV_PICK_RECORDS_MAX];
            world_begin(&world, history, counts[c]);
            const struct kv_pick pick = kv_pick_make(counts[c], 0);
            for (uint64_t cell = 0; cell < kv_pick_cells(&pick); cell++) {
                const uint32_t there = kv_pick_cell(&world.table, &pick, cell, records, &budget);
                for (uint32_t i = 0; i < there; i++)
                    numbers[history][count++] = number_of(records[i]);
            }
            assert_int_equal(count, counts[c]);
            assert_memory_equal(numbers[history], numbers[0], count * sizeof(uint32_t));
            world_end(&world);
        }
    }
}

/* The statistic of `cells` counts whose expectations are equal. */
static double chi_square(const uint32_t *observed, uint32_t cells, uint32_t draws) {
    const double expected = (double)draws / cells;
    double sum = 0;
    for (uint32_t i = 0; i < cells; i++)
        sum += (observed[i] - expected) * (observed[i] - expected) / expected;
    return sum;
}

/* Asserts that the counts are as even as chance makes them: within five deviations, and not more
 * even than that either. */
static void assert_even(const uint32_t *observed, uint32_t cells, uint32_t draws) {
    const double freedom = cells - 1;
    const double distance = chi_square(observed, cells, draws) - freedom;
    /* Five deviations, each the root of 2 * freedom. */
    if (distance * distance >= 25 * 2 * freedom)
        fail_msg("chi-square is %f from its %f degrees of freedom", distance, freedom);
}

static void every_record_is_as_likely_as_the_others(void **state) {
    (void)state;
    static const uint32_t some[] = {3, 9, 100, 255, 256, 700};
    for (size_t c = 0; c < ARRAY_COUNT(some); c++) {
        struct world world;
        static uint32_t observed[700];
        memset(observed, 0, sizeof(observed));
        world_begin(&world, HISTORY_SHRUNK, some[c]);
        const uint32_t draws = 50 * some[c];
        for (uint32_t i = 0; i < draws; i++) {
            uint32_t number;
            draw(&world.table, i, 1, UINT32_MAX, &number);
            observed[number]++;
        }
        assert_even(observed, some[c], draws);
        world_end(&world);
    }
}

/* Of which of five classes the first three are, where all three differ: 60 orders. */
static void every_order_is_as_likely_as_the_others(void **state) {
    (void)state;
    static const uint32_t some[] = {5, 20, 300};
    for (size_t c = 0; c < ARRAY_COUNT(some); c++) {
        struct world world;
        uint32_t observed[125] = {0};
        uint32_t orders = 0;
        uint32_t counted = 0;
        world_begin(&world, HISTORY_UP, some[c]);
        for (uint32_t i = 0; i < 30000; i++) {
            uint32_t first[3];
            draw(&world.table, 1000000 + i, 3, UINT32_MAX, first);
            const uint32_t a = first[0] % 5;
            const uint32_t b = first[1] % 5;
            const uint32_t d = first[2] % 5;
            if (a == b || b == d || a == d)
                continue; /* of different classes: all are equally likely */
            observed[a * 25 + b * 5 + d]++;
            counted++;
        }
        for (uint32_t i = 0; i < 125; i++) {
            const uint32_t a = i / 25;
            const uint32_t b = i / 5 % 5;
            const uint32_t d = i % 5;
            if (a != b && b != d && a != d)
                observed[orders++] = observed[i];
        }
        assert_int_equal(orders, 60);
        assert_even(observed, orders, counted);
        world_end(&world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_choice_does_not_depend_on_how_the_table_came_to_be),
        cmocka_unit_test(every_record_is_drawn_once),
        cmocka_unit_test(cells_are_an_order_of_all_records_whatever_the_layout),
        cmocka_unit_test(every_record_is_as_likely_as_the_others),
        cmocka_unit_test(every_order_is_as_likely_as_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
