/*
 * A machine's memory: what is taken is zero, whatever was given back before, and however far the
 * trimming of it has come.
 */

#include <string.h>

#include "base/error.h"
#include "base/random.h"
#include "stages/machine_host.h"
#include "tests/cmocka_wrapper.h"

enum {
    MEBIBYTE = 1024 * 1024,
    BLOCKS = 16, /* of 1 MiB, two in a chunk */
    STEPS = 20000,
    PAGE_BYTES = 4096,
};

static bool is_zero(const uint8_t *block, size_t length_bytes) {
    return block[0] == 0 && memcmp(block, block + 1, length_bytes - 1) == 0;
}

static uint8_t *take_zero(const struct machine_host *host, size_t length_bytes) {
    uint8_t *block = host->pages_take(host->context, length_bytes);
    assert_non_null(block);
    assert_true(is_zero(block, length_bytes));
    memset(block, 0xa5, length_bytes);
    return block;
}

static void a_chunk_that_empties_while_another_is_trimmed_is_zero_again(void **state) {
    (void)state;
    struct machine_host_memory *memory;
    assert_int_equal(machine_host_create(&memory), WEIR_OK);
    const struct machine_host host = machine_host_of(memory);
    uint8_t *blocks[BLOCKS];
    for (uint32_t i = 0; i < BLOCKS; i++)
        blocks[i] = take_zero(&host, MEBIBYTE);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        host.pages_give(host.context, blocks[i], MEBIBYTE);
        if (i % 2 == 1)
            (void)machine_host_trim(memory); /* one slice of some chunk */
    }
    while (machine_host_trim(memory)) {
    }
    for (uint32_t i = 0; i < BLOCKS; i++)
        blocks[i] = take_zero(&host, MEBIBYTE);
    for (uint32_t i = 0; i < BLOCKS; i++)
        host.pages_give(host.context, blocks[i], MEBIBYTE);
    machine_host_destroy(memory);
}

static void what_is_taken_is_zero_whatever_went_before(void **state) {
    (void)state;
    static const uint32_t pages[] = {1, 2, 16, 128, 256, 256, 600};
    struct machine_host_memory *memory;
    assert_int_equal(machine_host_create(&memory), WEIR_OK);
    const struct machine_host host = machine_host_of(memory);
    uint8_t *blocks[64] = {NULL};
    size_t bytes[64];
    uint64_t taken_bytes = 0;
    struct random random;
    random_seed(&random, 1);
    for (uint32_t step = 0; step < STEPS; step++) {
        uint64_t slot = random_below(&random, 64);
        /* In turn it grows and shrinks, so that chunks empty. */
        bool grows = step / 200 % 2 == 0;
        if (blocks[slot] == NULL && grows) {
            bytes[slot] = pages[random_below(&random, 7)] * (size_t)PAGE_BYTES;
            blocks[slot] = take_zero(&host, bytes[slot]);
            taken_bytes += bytes[slot];
        } else if (blocks[slot] != NULL && !grows) {
            host.pages_give(host.context, blocks[slot], bytes[slot]);
            blocks[slot] = NULL;
            taken_bytes -= bytes[slot];
        }
        if (random_chance(&random, 1, 4))
            (void)machine_host_trim(memory);
        assert_true(machine_host_taken_bytes(memory) == taken_bytes);
        assert_true(machine_host_held_bytes(memory) >= taken_bytes);
    }
    for (uint32_t slot = 0; slot < 64; slot++)
        if (blocks[slot] != NULL)
            host.pages_give(host.context, blocks[slot], bytes[slot]);
    while (machine_host_trim(memory)) {
    }
    assert_true(machine_host_held_bytes(memory) == 0);
    machine_host_destroy(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chunk_that_empties_while_another_is_trimmed_is_zero_again),
        cmocka_unit_test(what_is_taken_is_zero_whatever_went_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
