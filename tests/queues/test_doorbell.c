/* The doorbell on one thread: who is woken when, and how the mode is chosen. */

#include "queues/doorbell.h"

#include <errno.h>
#include <linux/membarrier.h>

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

/* A kernel for the choice: what it answers, and what it was asked. */
static struct {
    int query;
    int registration;
    int barrier;
    int queries;
    int registrations;
    int barriers;
} kernel;

static int fake_membarrier(int command) {
    switch (command) {
    case MEMBARRIER_CMD_QUERY: kernel.queries++; return kernel.query;
    case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
        kernel.registrations++;
        return kernel.registration;
    case MEMBARRIER_CMD_PRIVATE_EXPEDITED: kernel.barriers++; return kernel.barrier;
    default: fail_msg("membarrier command %d", command); return -EINVAL;
    }
}

static void count_wake(void *context) {
    int *wakes = context;
    (*wakes)++;
}

static void expect_mode(int query, int registration, enum doorbell_mode expected) {
    struct doorbell_barrier barrier;
    memset(&kernel, 0, sizeof(kernel));
    kernel.query = query;
    kernel.registration = registration;
    assert_int_equal(doorbell_barrier_choose(&barrier, fake_membarrier), expected);
    assert_int_equal(barrier.mode, expected);
}

static void a_kernel_without_membarrier_means_fences(void **state) {
    (void)state;
    struct doorbell_barrier barrier;
    assert_int_equal(doorbell_barrier_choose(&barrier, NULL), DOORBELL_FENCE);
    expect_mode(-ENOSYS, 0, DOORBELL_FENCE);
    expect_mode(-1, 0, DOORBELL_FENCE);
    expect_mode(MEMBARRIER_CMD_GLOBAL, 0, DOORBELL_FENCE);
    assert_int_equal(kernel.registrations, 0);
}

static void a_kernel_that_refuses_to_register_means_fences(void **state) {
    (void)state;
    expect_mode(MEMBARRIER_CMD_PRIVATE_EXPEDITED, -EPERM, DOORBELL_FENCE);
}

static void a_kernel_with_membarrier_is_registered_with(void **state) {
    (void)state;
    enum doorbell_mode expected = WEIR_TSAN ? DOORBELL_FENCE : DOORBELL_MEMBARRIER;
    expect_mode(MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_GLOBAL, 0, expected);
    assert_int_equal(kernel.registrations, WEIR_TSAN ? 0 : 1);
}

struct fixture {
    struct doorbell doorbell;
    int wakes;
};

static void fixture_init(struct fixture *fixture, enum doorbell_mode mode) {
    struct doorbell_barrier barrier = {.mode = mode, .membarrier = fake_membarrier};
    memset(&kernel, 0, sizeof(kernel));
    memset(fixture, 0, sizeof(*fixture));
    doorbell_init(&fixture->doorbell, &barrier, count_wake, &fixture->wakes);
}

static const enum doorbell_mode modes[] = {DOORBELL_FENCE, DOORBELL_MEMBARRIER};

static void who_is_awake_is_not_woken(void **state) {
    (void)state;
    for (size_t m = 0; m < ARRAY_COUNT(modes); m++) {
        struct fixture fixture;
        fixture_init(&fixture, modes[m]);
        assert_false(doorbell_ring(&fixture.doorbell));
        assert_true(doorbell_prepare(&fixture.doorbell));
        assert_false(doorbell_finish(&fixture.doorbell));
        assert_false(doorbell_ring(&fixture.doorbell));
        assert_int_equal(fixture.wakes, 0);
    }
}

static void who_sleeps_is_woken_once(void **state) {
    (void)state;
    for (size_t m = 0; m < ARRAY_COUNT(modes); m++) {
        struct fixture fixture;
        fixture_init(&fixture, modes[m]);
        for (int sleeps = 1; sleeps <= 3; sleeps++) {
            assert_true(doorbell_prepare(&fixture.doorbell));
            assert_int_equal(*doorbell_word(&fixture.doorbell), 1);
            assert_true(doorbell_ring(&fixture.doorbell));
            assert_int_equal(*doorbell_word(&fixture.doorbell), 0);
            assert_false(doorbell_ring(&fixture.doorbell));
            assert_true(doorbell_finish(&fixture.doorbell));
            assert_int_equal(fixture.wakes, sleeps);
        }
    }
}

static void membarrier_is_called_for_each_sleep_and_in_its_mode_only(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, DOORBELL_FENCE);
    doorbell_prepare(&fixture.doorbell);
    assert_int_equal(kernel.barriers, 0);
    fixture_init(&fixture, DOORBELL_MEMBARRIER);
    doorbell_ring(&fixture.doorbell);
    assert_int_equal(kernel.barriers, 0);
    doorbell_prepare(&fixture.doorbell);
    assert_int_equal(kernel.barriers, 1);
    doorbell_finish(&fixture.doorbell);
    assert_int_equal(kernel.barriers, 1);
}

static void who_has_no_barrier_does_not_sleep(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, DOORBELL_MEMBARRIER);
    kernel.barrier = -ENOMEM;
    assert_false(doorbell_prepare(&fixture.doorbell));
    assert_int_equal(*doorbell_word(&fixture.doorbell), 0);
    assert_false(doorbell_ring(&fixture.doorbell));
    kernel.barrier = 0;
    assert_true(doorbell_prepare(&fixture.doorbell));
}

static void prepare_twice(void *context) {
    struct fixture *fixture = context;
    doorbell_prepare(&fixture->doorbell);
    doorbell_prepare(&fixture->doorbell);
}

static void init_without_wake(void *context) {
    struct fixture *fixture = context;
    struct doorbell_barrier barrier = {.mode = DOORBELL_FENCE};
    doorbell_init(&fixture->doorbell, &barrier, NULL, NULL);
}

static void init_membarrier_without_membarrier(void *context) {
    struct fixture *fixture = context;
    struct doorbell_barrier barrier = {.mode = DOORBELL_MEMBARRIER};
    doorbell_init(&fixture->doorbell, &barrier, count_wake, NULL);
}

static void misuse_aborts(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, DOORBELL_FENCE);
    death_expect_abort(prepare_twice, &fixture, "sleeping");
    death_expect_abort(init_without_wake, &fixture, "wake");
    death_expect_abort(init_membarrier_without_membarrier, &fixture, "membarrier");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kernel_without_membarrier_means_fences),
        cmocka_unit_test(a_kernel_that_refuses_to_register_means_fences),
        cmocka_unit_test(a_kernel_with_membarrier_is_registered_with),
        cmocka_unit_test(who_is_awake_is_not_woken),
        cmocka_unit_test(who_sleeps_is_woken_once),
        cmocka_unit_test(membarrier_is_called_for_each_sleep_and_in_its_mode_only),
        cmocka_unit_test(who_has_no_barrier_does_not_sleep),
        cmocka_unit_test(misuse_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
