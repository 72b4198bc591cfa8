/* Blocks never overlap, are never more than allowed, and join again when all are given back. */

#include "stages/arena.h"

#include "base/random.h"
#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

static struct arena *arena_of(uint64_t bytes_max) {
    struct arena *arena = NULL;
    assert_int_equal(arena_create(&arena, bytes_max), 0);
    return arena;
}

static void what_exceeds_the_arena_is_not_given(void **state) {
    (void)state;
    struct arena *arena = arena_of(100 * 1024);
    assert_int_equal(arena_take(arena, 100 * 1024 + 1), BATCH_NO_BLOCK);
    assert_int_equal(arena_take(arena, UINT64_MAX), BATCH_NO_BLOCK);
    /* A block of 128 KiB would hold 100 KiB, but 100 KiB is the limit of what is handed out. */
    assert_int_equal(arena_take(arena, 65 * 1024), BATCH_NO_BLOCK);
    assert_int_equal(arena_used_bytes(arena), 0);
    uint32_t block = arena_take(arena, 64 * 1024);
    assert_int_not_equal(block, BATCH_NO_BLOCK);
    assert_int_equal(arena_take(arena, 33 * 1024), BATCH_NO_BLOCK);
    assert_int_not_equal(arena_take(arena, 32 * 1024), BATCH_NO_BLOCK);
    arena_destroy(arena);
}

static void give_twice(void *context) {
    struct arena *arena = context;
    uint32_t block = arena_take(arena, 1);
    arena_give(arena, block);
    arena_give(arena, block);
}

static void give_what_begins_no_block(void *context) {
    struct arena *arena = context;
    arena_give(arena, arena_take(arena, 8 * 1024) + 1);
}

static void a_block_is_given_back_once(void **state) {
    (void)state;
    struct arena *arena = arena_of(64 * 1024);
    death_expect_abort(give_twice, arena, "ARENA_STATE_TAKEN");
    death_expect_abort(give_what_begins_no_block, arena, "ARENA_STATE_TAKEN");
    arena_destroy(arena);
}

static void a_block_is_the_next_power_of_two(void **state) {
    (void)state;
    struct arena *arena = arena_of(1024 * 1024);
    const struct {
        uint64_t asked;
        uint64_t given;
    } cases[] = {{0, 1024}, {1, 1024}, {1024, 1024}, {1025, 2048}, {4097, 8192}, {524288, 524288}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t block = arena_take(arena, cases[i].asked);
        assert_int_not_equal(block, BATCH_NO_BLOCK);
        assert_int_equal(arena_block_bytes(arena, block), cases[i].given);
        arena_give(arena, block);
    }
    assert_int_equal(arena_used_bytes(arena), 0);
    uint32_t everything = arena_take(arena, 1024 * 1024);
    assert_int_equal(everything, 0);
    arena_destroy(arena);
}

enum { HELD_MAX = 300, TURNS = 40000 };

struct held {
    uint32_t block;
    uint64_t bytes;
    uint8_t mark;
};

static void marks_stand(const struct arena *arena, const struct held *held) {
    const uint8_t *memory = arena_memory(arena, held->block);
    assert_int_equal(memory[0], held->mark);
    assert_int_equal(memory[held->bytes / 2], held->mark);
    assert_int_equal(memory[held->bytes - 1], held->mark);
}

/* Random takes and gives against a list of what is held; each block is marked at its ends. */
static void blocks_never_overlap_and_join_again(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 20);
    struct arena *arena = arena_of(1536 * 1024);
    struct held held[HELD_MAX];
    uint32_t count = 0;
    uint64_t bytes = 0;
    uint32_t refusals = 0;
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        if (count > 0 && (count == HELD_MAX || random_chance(&random, 1, 2))) {
            uint32_t victim = (uint32_t)random_below(&random, count);
            marks_stand(arena, &held[victim]);
            arena_give(arena, held[victim].block);
            bytes -= held[victim].bytes;
            held[victim] = held[--count];
        } else {
            uint64_t length = random_below(&random, UINT64_C(1) << (random_below(&random, 11) + 9));
            uint32_t block = arena_take(arena, length);
            if (block == BATCH_NO_BLOCK) {
                refusals++;
            } else {
                struct held *next = &held[count++];
                *next = (struct held){block, arena_block_bytes(arena, block), (uint8_t)turn};
                memset(arena_memory(arena, block), next->mark, next->bytes);
                bytes += next->bytes;
            }
        }
        assert_int_equal(arena_used_bytes(arena), bytes);
        assert_true(bytes <= 1536 * 1024);
        (void)arena_trim(arena, turn * (ARENA_TRIM_NS / 8));
    }
    assert_true(refusals > 0);
    while (count > 0) {
        count--;
        marks_stand(arena, &held[count]);
        arena_give(arena, held[count].block);
    }
    assert_int_equal(arena_take(arena, 1024 * 1024), 0);
    arena_destroy(arena);
}

static void a_block_shrinks_to_its_beginning(void **state) {
    (void)state;
    struct arena *arena = arena_of(8 * 1024 * 1024);
    uint32_t block = arena_take(arena, 8 * 1024 * 1024);
    assert_int_equal(arena_take(arena, 1), BATCH_NO_BLOCK);
    uint8_t *memory = arena_memory(arena, block);
    memset(memory, 7, 3000);
    arena_shrink(arena, block, 3000);
    assert_int_equal(arena_block_bytes(arena, block), 4096);
    assert_int_equal(arena_used_bytes(arena), 4096);
    assert_ptr_equal(arena_memory(arena, block), memory);
    /* All of the rest is to be had, and only that. */
    uint32_t half = arena_take(arena, 4 * 1024 * 1024);
    assert_int_not_equal(half, BATCH_NO_BLOCK);
    uint32_t small[1024];
    uint32_t count = 0;
    while ((small[count] = arena_take(arena, 4096)) != BATCH_NO_BLOCK) {
        memset(arena_memory(arena, small[count++]), 0, 4096);
    }
    assert_int_equal(count, 1023);
    for (uint32_t i = 0; i < 3000; i++) {
        assert_int_equal(memory[i], 7);
    }
    arena_shrink(arena, block, 4096); /* nothing */
    while (count > 0) {
        arena_give(arena, small[--count]);
    }
    arena_give(arena, half);
    arena_give(arena, block);
    assert_int_equal(arena_take(arena, 8 * 1024 * 1024), block);
    arena_destroy(arena);
}

/* Pages of the block that the system backs now. */
static uint64_t resident_pages(const struct arena *arena, uint32_t block, uint64_t pages) {
    unsigned char map[1024];
    assert_true(pages <= sizeof(map));
    assert_int_equal(mincore(arena_memory(arena, block), pages * 4096, map), 0);
    uint64_t resident = 0;
    for (uint64_t page = 0; page < pages; page++) {
        resident += map[page] & 1;
    }
    return resident;
}

static void memory_that_lay_free_goes_back(void **state) {
    (void)state;
    struct arena *arena = arena_of(8 * 1024 * 1024);
    const uint64_t length = 4 * 1024 * 1024;
    uint32_t block = arena_take(arena, length);
    memset(arena_memory(arena, block), 1, length);
    /* Taken: however long, nothing goes back. */
    for (uint64_t second = 1; second < 5; second++) {
        assert_false(arena_trim(arena, second * ARENA_TRIM_NS));
    }
    arena_give(arena, block);
    /* The sweep that first finds it free only notes it. */
    assert_false(arena_trim(arena, 5 * ARENA_TRIM_NS));
    assert_false(arena_trim(arena, 6 * ARENA_TRIM_NS - 1));
    assert_int_equal(arena_take(arena, length), block);
    assert_int_equal(resident_pages(arena, block, 1024), 1024);
    arena_give(arena, block);
    assert_false(arena_trim(arena, 7 * ARENA_TRIM_NS));
    uint32_t given = 0;
    while (arena_trim(arena, 8 * ARENA_TRIM_NS)) {
        given++;
    }
    assert_int_equal(given, length / ARENA_TRIM_BYTES);
    assert_int_equal(arena_take(arena, length), block);
    assert_int_equal(resident_pages(arena, block, 1024), 0);
    assert_int_equal(arena_memory(arena, block)[length - 1], 0);
    arena_destroy(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_exceeds_the_arena_is_not_given),
        cmocka_unit_test(a_block_is_given_back_once),
        cmocka_unit_test(a_block_is_the_next_power_of_two),
        cmocka_unit_test(blocks_never_overlap_and_join_again),
        cmocka_unit_test(a_block_shrinks_to_its_beginning),
        cmocka_unit_test(memory_that_lay_free_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
