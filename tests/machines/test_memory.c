/*
 * The memory of a machine: objects of all sizes in random order, each filled and checked, over a
 * host that puts an unmapped page behind every block, so that a step too far ends the test.
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "base/random.h"
#include "machines/memory.h"
#include "machines/vector.h"
#include "tests/cmocka_wrapper.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { OBJECTS = 4000, STEPS = 200000 };

static void *guarded_take(void *context, size_t length_bytes) {
    uint8_t *block = mmap(NULL, length_bytes + MEMORY_PAGE_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT(block != MAP_FAILED);
    ASSERT(mprotect(block + length_bytes, MEMORY_PAGE_BYTES, PROT_NONE) == 0);
    *(uint64_t *)context += length_bytes;
    return block;
}

/* The guard stays: some hundred pages of addresses, without memory. */
static void guarded_give(void *context, void *block, size_t length_bytes) {
    ASSERT(*(uint64_t *)context >= length_bytes);
    *(uint64_t *)context -= length_bytes;
    ASSERT(munmap(block, length_bytes) == 0);
}

struct object {
    uint8_t *data;
    size_t size_bytes;
    uint8_t fill;
};

/* Mostly small, as records are; every class up to the largest; some beyond. */
static size_t any_size(struct random *random) {
    static const size_t limits[] = {64, 200, 600, 5000, 33000, 70000};
    return random_below(random, limits[random_below(random, ARRAY_COUNT(limits))]) + 1;
}

static void object_take(struct memory *memory, struct object *object, struct random *random) {
    object->size_bytes = any_size(random);
    object->fill = (uint8_t)random_u64(random);
    object->data = memory_take(memory, object->size_bytes);
    assert_int_equal((uintptr_t)object->data % 8, 0);
    assert_true(memory_usable_bytes(object->size_bytes) >= object->size_bytes);
    memset(object->data, object->fill, object->size_bytes);
}

static void object_give(struct memory *memory, struct object *object) {
    for (size_t i = 0; i < object->size_bytes; i++)
        assert_int_equal(object->data[i], object->fill);
    memory_give(memory, object->data, object->size_bytes);
    object->data = NULL;
}

static void retire_all(struct memory *memory, const struct machine_host *host) {
    struct memory_retired retired = {0};
    memory_retire(memory, &retired);
    assert_int_equal(memory->used_bytes, 0);
    uint32_t budget;
    do {
        budget = 10;
    } while (memory_retired_give(&retired, host, &budget));
    assert_int_equal(retired.taken_bytes, 0);
}

static void objects_of_all_sizes_keep_their_bytes(void **state) {
    (void)state;
    uint64_t mapped_bytes = 0;
    const struct machine_host host = {&mapped_bytes, guarded_take, guarded_give};
    struct memory memory;
    struct random random;
    static struct object objects[OBJECTS];
    memory_begin(&memory, &host, NULL);
    random_seed(&random, 1);
    for (uint32_t step = 0; step < STEPS; step++) {
        struct object *object = &objects[random_below(&random, OBJECTS)];
        if (object->data != NULL)
            object_give(&memory, object);
        else
            object_take(&memory, object, &random);
        assert_true(memory.used_bytes <= memory.taken_bytes);
    }
    assert_int_equal(memory.taken_bytes, mapped_bytes);
    for (uint32_t i = 0; i < OBJECTS; i++)
        if (objects[i].data != NULL)
            object_give(&memory, &objects[i]);
    /* One span of each class is kept for the next object of it. */
    assert_true(memory.used_bytes <= (uint64_t)MEMORY_CLASSES * MEMORY_RUN_PAGES_MAX * 4096);
    retire_all(&memory, &host);
    assert_int_equal(mapped_bytes, 0);
}

/* The first object of each class in a memory that has nothing else: its span ends in its block. */
static void the_first_object_of_each_class_fits(void **state) {
    (void)state;
    uint64_t mapped_bytes = 0;
    const struct machine_host host = {&mapped_bytes, guarded_take, guarded_give};
    uint32_t classes = 0;
    for (size_t size = 1; size <= MEMORY_CLASSED_BYTES_MAX; size++) {
        if (memory_class(size) == memory_class(size + 1))
            continue;
        struct memory memory;
        memory_begin(&memory, &host, NULL);
        assert_int_equal(memory_usable_bytes(size), size);
        for (uint32_t i = 0; i < 3; i++)
            memset(memory_take(&memory, size), 1, size);
        retire_all(&memory, &host);
        assert_int_equal(mapped_bytes, 0);
        classes++;
    }
    assert_int_equal(classes, MEMORY_CLASSES - 1);
}

static void a_page_taken_again_is_zero(void **state) {
    (void)state;
    uint64_t mapped_bytes = 0;
    const struct machine_host host = {&mapped_bytes, guarded_take, guarded_give};
    struct memory memory;
    memory_begin(&memory, &host, NULL);
    uint8_t *first = memory_take_page(&memory);
    memset(first + sizeof(struct memory_block), 7, 4096 - sizeof(struct memory_block));
    memory_give_page(&memory, first);
    uint8_t *again = memory_take_page(&memory);
    assert_ptr_equal(first, again);
    for (size_t i = sizeof(struct memory_block); i < 4096; i++)
        assert_int_equal(again[i], 0);
    retire_all(&memory, &host);
}

/* Else what was large once, in one memory after the other, would be kept by all of them. */
static void what_has_become_free_goes_home(void **state) {
    (void)state;
    enum { PAGES = 8000, KEPT = 100 };
    uint64_t mapped_bytes = 0;
    const struct machine_host host = {&mapped_bytes, guarded_take, guarded_give};
    static void *pages[PAGES];
    struct memory memory;
    struct random random;
    memory_begin(&memory, &host, NULL);
    random_seed(&random, 2);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = round == 0 ? 0 : KEPT; i < PAGES; i++)
            pages[i] = memory_take_page(&memory);
        assert_int_equal(memory.used_bytes, (uint64_t)PAGES * MEMORY_PAGE_BYTES);
        for (uint32_t i = PAGES - 1; i > KEPT; i--) {
            const uint32_t other = KEPT + (uint32_t)random_below(&random, i + 1 - KEPT);
            void *page = pages[other];
            pages[other] = pages[i];
            pages[i] = page;
        }
        for (uint32_t i = KEPT; i < PAGES; i++)
            memory_give_page(&memory, pages[i]);
        assert_int_equal(memory.taken_bytes, mapped_bytes);
        assert_int_equal(memory.used_bytes, (uint64_t)KEPT * MEMORY_PAGE_BYTES);
        /* The first ones lie in the first chunks, which are small. */
        assert_true(mapped_bytes <=
                    memory.used_bytes + MEMORY_KEPT_BYTES + 2 * (uint64_t)MEMORY_CHUNK_BYTES_MAX);
    }
    retire_all(&memory, &host);
    assert_int_equal(mapped_bytes, 0);
}

/* Taking and giving at a boundary does not ask the host each time. */
static void a_little_is_kept_for_the_next(void **state) {
    (void)state;
    enum { PAGES = 64 };
    uint64_t mapped_bytes = 0;
    const struct machine_host host = {&mapped_bytes, guarded_take, guarded_give};
    void *pages[PAGES];
    struct memory memory;
    memory_begin(&memory, &host, NULL);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < PAGES; i++)
            pages[i] = memory_take_page(&memory);
        const uint64_t before = mapped_bytes;
        for (uint32_t i = 0; i < PAGES; i++)
            memory_give_page(&memory, pages[i]);
        assert_int_equal(mapped_bytes, before);
    }
    retire_all(&memory, &host);
}

static void a_vector_keeps_its_elements_in_place(void **state) {
    (void)state;
    uint64_t mapped_bytes = 0;
    const struct machine_host host = {&mapped_bytes, guarded_take, guarded_give};
    struct memory memory;
    struct vector vector = {0};
    memory_begin(&memory, &host, NULL);
    for (uint64_t i = 0; i < 100000; i++)
        *vector_push(&vector, &memory) = (struct vector_element){{i, ~i}};
    const struct vector_element *middle = vector_at(&vector, 50000);
    for (uint64_t i = 100000; i < 200000; i++)
        *vector_push(&vector, &memory) = (struct vector_element){{i, ~i}};
    assert_ptr_equal(vector_at(&vector, 50000), middle);
    while (vector.count > 0) {
        const struct vector_element *last = vector_at(&vector, vector.count - 1);
        assert_int_equal(last->word[0], vector.count - 1);
        assert_int_equal(last->word[1], ~(vector.count - 1));
        vector_pop(&vector, &memory);
    }
    assert_int_equal(vector.leaf_count, 1);
    retire_all(&memory, &host);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_of_all_sizes_keep_their_bytes),
        cmocka_unit_test(the_first_object_of_each_class_fits),
        cmocka_unit_test(a_page_taken_again_is_zero),
        cmocka_unit_test(what_has_become_free_goes_home),
        cmocka_unit_test(a_little_is_kept_for_the_next),
        cmocka_unit_test(a_vector_keeps_its_elements_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
