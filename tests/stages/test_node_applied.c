/*
 * What apply publishes as applied, replicate may write again.
 *
 * One slot of memory is handed to and fro: replicate writes an entry's number all over it and gives
 * it to apply through another word; apply reads it, and publishes that it is applied.  The thread
 * sanitizer reports it if replicate could see that before apply has left the slot.  Without the
 * sanitizer a machine whose stores are seen in order never shows it: there only the numbers count.
 */

#include "stages/node.h"

#include "tests/cmocka_wrapper.h"

#include <pthread.h>
#include <sched.h>

enum { ENTRIES = 20000, SLOT_WORDS = 8, TURNS_BEFORE_YIELD = 64 };

struct hand_over {
    struct node_signals signals;
    CACHE_ALIGNED uint64_t given; /* replicate's: release; apply's: acquire */
    uint64_t slot[SLOT_WORDS];
    uint64_t wrong; /* apply's, until it is joined */
};

/* One processor may have both threads. */
static void wait_turn(uint32_t *turns) {
    atomic_pause();
    if (++*turns % TURNS_BEFORE_YIELD == 0) {
        sched_yield();
    }
}

static void *apply_main(void *argument) {
    struct hand_over *over = argument;
    uint32_t turns = 0;
    for (uint64_t index = 1; index <= ENTRIES; index++) {
        while (atomic_load_acquire_u64(&over->given) != index) {
            wait_turn(&turns);
        }
        for (uint32_t i = 0; i < SLOT_WORDS; i++) {
            over->wrong += over->slot[i] != index;
        }
        node_applied_publish(&over->signals, index);
    }
    return NULL;
}

static void an_entry_that_is_applied_is_written_again_only_then(void **state) {
    (void)state;
    static struct hand_over over;
    pthread_t apply;
    uint32_t turns = 0;
    assert_int_equal(pthread_create(&apply, NULL, apply_main, &over), 0);
    for (uint64_t index = 1; index <= ENTRIES; index++) {
        while (node_applied_learn(&over.signals) != index - 1) {
            wait_turn(&turns);
        }
        for (uint32_t i = 0; i < SLOT_WORDS; i++) {
            over.slot[i] = index;
        }
        atomic_store_release_u64(&over.given, index); /* partner: the acquire in apply_main */
    }
    assert_int_equal(pthread_join(apply, NULL), 0);
    assert_int_equal(over.wrong, 0);
    assert_int_equal(node_applied_learn(&over.signals), ENTRIES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_that_is_applied_is_written_again_only_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
