/* Rings and doorbell in every interleaving of their atomic operations, on one thread. */

#include "tests/queues/interleave.h"

#include <errno.h>
#include <linux/membarrier.h>

#include "queues/doorbell.h"
#include "queues/ring.h"

#include "tests/cmocka_wrapper.h"
#include "tests/queues/ring_fixture.h"

/* ----------------------------------------------------------------------------------------------
 * A ring: each end does a few calls, whatever they yield; then what came out is a prefix.
 */

struct ring_play {
    struct ring *ring;
    uint32_t capacity;
    uint32_t batches_in[3]; /* sizes; 0: no call */
    uint32_t batches_out[3];
    uint32_t sent;
    uint32_t received;
    bool saw_partial; /* over all schedules */
    bool saw_empty;
};

static void ring_play_reset(void *context) {
    struct ring_play *play = context;
    if (play->ring != NULL) {
        ring_fixture_free(play->ring);
    }
    play->ring = ring_fixture_new(play->capacity, 4, UINT32_MAX - 1);
    play->sent = 0;
    play->received = 0;
}

static void ring_play_produce(void *context) {
    struct ring_play *play = context;
    for (size_t b = 0; b < ARRAY_COUNT(play->batches_in); b++) {
        uint32_t items[8];
        uint32_t count = play->batches_in[b];
        for (uint32_t i = 0; i < count; i++) {
            items[i] = play->sent + i;
        }
        uint32_t taken = ring_u32_enqueue(play->ring, items, count);
        play->saw_partial = play->saw_partial || taken < count;
        play->sent += taken;
    }
}

static void ring_play_consume(void *context) {
    struct ring_play *play = context;
    for (size_t b = 0; b < ARRAY_COUNT(play->batches_out); b++) {
        uint32_t items[8];
        uint32_t count = ring_u32_dequeue(play->ring, items, play->batches_out[b]);
        for (uint32_t i = 0; i < count; i++) {
            ASSERT(items[i] == play->received + i);
        }
        play->saw_empty = play->saw_empty || count == 0;
        play->received += count;
    }
}

static void ring_play_check(void *context) {
    struct ring_play *play = context;
    ASSERT(play->received <= play->sent);
    ASSERT(ring_depth(play->ring) == play->sent - play->received);
    ASSERT(play->ring->gauge->producer.enqueued == play->sent);
    ASSERT(play->ring->gauge->consumer.dequeued == play->received);
}

static void items_leave_as_they_came_in_every_interleaving(void **state) {
    (void)state;
    static const struct ring_play plays[] = {
        {.capacity = 1, .batches_in = {1, 1}, .batches_out = {1, 1}},
        {.capacity = 2, .batches_in = {2, 1}, .batches_out = {1, 2}},
        {.capacity = 2, .batches_in = {1, 1, 1}, .batches_out = {1, 1, 1}},
        {.capacity = 4, .batches_in = {3, 3}, .batches_out = {2, 4}},
    };
    for (size_t i = 0; i < ARRAY_COUNT(plays); i++) {
        struct ring_play play = plays[i];
        struct interleave what = {
            .reset = ring_play_reset,
            .ends = {ring_play_produce, ring_play_consume},
            .check = ring_play_check,
            .context = &play,
        };
        uint64_t schedules = interleave_all(&what);
        print_message("capacity %u: %llu interleavings\n", play.capacity,
                      (unsigned long long)schedules);
        assert_true(schedules >= 200);
        assert_true(play.saw_empty);
        assert_true(play.saw_partial);
        ring_fixture_free(play.ring);
    }
}

/* ----------------------------------------------------------------------------------------------
 * A doorbell: the consumer sleeps whenever it finds nothing, until it has all items. It must not
 * be left asleep, and not be woken twice for one sleep.
 */

#define DOORBELL_ITEMS_MAX 4

struct doorbell_play {
    struct ring *ring;
    struct doorbell *doorbell;
    struct doorbell_barrier barrier;
    uint32_t token;  /* the sticky wake */
    uint32_t wakes;  /* called */
    uint32_t sleeps; /* prepared, even if in vain */
    bool parked;
    uint32_t items; /* to pass */
    uint32_t received;
    uint32_t barriers_called;
    bool barriers_fail; /* every second membarrier does */
    bool saw_park;      /* over all schedules */
    bool saw_no_park;
};

static struct doorbell_play *doorbell_playing; /* membarrier has no context */

static int play_membarrier(int command) {
    ASSERT(command == MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    interleave_step();
    doorbell_playing->barriers_called++;
    return doorbell_playing->barriers_fail && doorbell_playing->barriers_called % 2 == 1 ? -ENOMEM
                                                                                         : 0;
}

static void play_wake(void *context) {
    struct doorbell_play *play = context;
    interleave_step(); /* a wake may come late */
    play->token = 1;
    play->wakes++;
}

static void doorbell_play_reset(void *context) {
    struct doorbell_play *play = context;
    if (play->ring != NULL) {
        ring_fixture_free(play->ring);
        free(play->doorbell);
    }
    play->ring = ring_fixture_new(DOORBELL_ITEMS_MAX, 4, UINT32_MAX - 1);
    play->doorbell = aligned_zero(sizeof(*play->doorbell));
    doorbell_init(play->doorbell, &play->barrier, play_wake, play);
    play->token = 0;
    play->wakes = 0;
    play->sleeps = 0;
    play->parked = false;
    play->received = 0;
    play->barriers_called = 0;
}

static void doorbell_play_produce(void *context) {
    struct doorbell_play *play = context;
    for (uint32_t i = 0; i < play->items; i++) {
        ASSERT(ring_u32_enqueue(play->ring, &i, 1) == 1);
        doorbell_ring(play->doorbell);
    }
}

static void doorbell_play_consume(void *context) {
    struct doorbell_play *play = context;
    uint32_t items[DOORBELL_ITEMS_MAX];
    while (play->received < play->items) {
        uint32_t count = ring_u32_dequeue(play->ring, items, 1);
        play->received += count;
        if (count > 0) {
            continue;
        }
        play->sleeps++;
        if (!doorbell_prepare(play->doorbell)) {
            continue;
        }
        if (ring_ready(play->ring, 1) == 0) {
            play->parked = true;
            interleave_step(); /* not resumed while doorbell_play_blocked() */
            ASSERT(play->token == 1);
            play->parked = false;
            play->token = 0;
            play->saw_park = true;
        } else {
            play->saw_no_park = true;
        }
        doorbell_finish(play->doorbell);
    }
}

static bool doorbell_play_blocked(void *context, int end) {
    struct doorbell_play *play = context;
    return end == 1 && play->parked && play->token == 0;
}

static void doorbell_play_check(void *context) {
    struct doorbell_play *play = context;
    ASSERT(play->received == play->items);
    ASSERT(play->wakes <= play->sleeps);
    ASSERT(*doorbell_word(play->doorbell) == 0);
}

static void play_doorbell(enum doorbell_mode mode, bool barriers_fail) {
    struct doorbell_play play = {
        .barrier = {.mode = mode, .membarrier = play_membarrier},
        .barriers_fail = barriers_fail,
        .items = 1,
    };
    doorbell_playing = &play;
    struct interleave what = {
        .reset = doorbell_play_reset,
        .ends = {doorbell_play_produce, doorbell_play_consume},
        .check = doorbell_play_check,
        .blocked = doorbell_play_blocked,
        .context = &play,
    };
    uint64_t schedules = interleave_all(&what);
    print_message("one item: %llu interleavings\n", (unsigned long long)schedules);
    assert_true(schedules >= 1000);
    assert_true(play.saw_park);
    assert_true(play.saw_no_park);
    /* Several items have too many: sleeps of which a wake comes late, into the next sleep. */
    for (play.items = 2; play.items <= DOORBELL_ITEMS_MAX; play.items++) {
        interleave_some(&what, play.items, WEIR_TSAN ? 1000 : 10000);
    }
    ring_fixture_free(play.ring);
    free(play.doorbell);
}

static void no_wake_up_is_lost_with_fences(void **state) {
    (void)state;
    play_doorbell(DOORBELL_FENCE, false);
}

static void no_wake_up_is_lost_with_membarrier(void **state) {
    (void)state;
    play_doorbell(DOORBELL_MEMBARRIER, false);
}

static void a_core_stays_awake_when_membarrier_fails(void **state) {
    (void)state;
    play_doorbell(DOORBELL_MEMBARRIER, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_leave_as_they_came_in_every_interleaving),
        cmocka_unit_test(no_wake_up_is_lost_with_fences),
        cmocka_unit_test(no_wake_up_is_lost_with_membarrier),
        cmocka_unit_test(a_core_stays_awake_when_membarrier_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
