/*
 * Happy path: the schedule is a list of choices. Each run replays the choices that it was given,
 * and beyond them lets end 0 go first; then the last choice that can still be changed from 0 to 1
 * is changed, and all behind it forgotten. When there is none, all schedules have been.
 *
 * Failure modes: an end that fails its own check aborts there; two waiting ends abort here.
 */

#include "tests/queues/interleave.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "base/assert.h"
#include "base/random.h"
#include "queues/atomic.h"

#define STEPS_MAX   128
#define STACK_BYTES (64 * 1024)

#if WEIR_TSAN
/* The thread sanitizer must be told of stacks that it did not see begin (its fiber interface). */
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#else
static void *__tsan_get_current_fiber(void) {
    return NULL;
}

static void *__tsan_create_fiber(unsigned flags) {
    (void)flags;
    return NULL;
}

static void __tsan_destroy_fiber(void *fiber) {
    (void)fiber;
}

static void __tsan_switch_to_fiber(void *fiber, unsigned flags) {
    (void)fiber;
    (void)flags;
}
#endif

struct choice {
    uint8_t taken; /* the end that went on */
    bool free;     /* whether the other one could have */
};

static struct {
    const struct interleave *what;
    ucontext_t main;
    ucontext_t ends[2];
    void *main_fiber;
    void *fibers[2];
    bool ended[2];
    int running; /* the end that runs, or -1 */
    struct choice schedule[STEPS_MAX];
    uint32_t given;        /* choices to replay */
    struct random *random; /* draws the choices beyond these; NULL: end 0 */
    uint32_t steps;        /* choices made */
    uint8_t *stacks[2];
} scheduler = {.running = -1};

void interleave_step(void) {
    if (scheduler.running < 0) {
        return;
    }
    int self = scheduler.running;
    __tsan_switch_to_fiber(scheduler.main_fiber, 0);
    ASSERT(swapcontext(&scheduler.ends[self], &scheduler.main) == 0);
}

/* One coroutine for all schedules: when resumed after its end it begins the next one. */
static void end_body(int self) {
    for (;;) {
        scheduler.what->ends[self](scheduler.what->context);
        scheduler.ended[self] = true;
        __tsan_switch_to_fiber(scheduler.main_fiber, 0);
        ASSERT(swapcontext(&scheduler.ends[self], &scheduler.main) == 0);
    }
}

static bool can_run(int end) {
    bool (*blocked)(void *, int) = scheduler.what->blocked;
    return !scheduler.ended[end] && (blocked == NULL || !blocked(scheduler.what->context, end));
}

static void print_schedule(void) {
    fprintf(stderr, "interleave: both ends wait after the schedule ");
    for (uint32_t i = 0; i < scheduler.steps; i++) {
        fputc('0' + scheduler.schedule[i].taken, stderr);
    }
    fputc('\n', stderr);
}

/* Picks who goes on, by the given schedule as far as it goes. */
static int choose(void) {
    bool could[2] = {can_run(0), can_run(1)};
    if (!could[0] && !could[1]) {
        print_schedule();
        UNREACHABLE("deadlock");
    }
    ASSERT(scheduler.steps < STEPS_MAX);
    struct choice *choice = &scheduler.schedule[scheduler.steps];
    if (scheduler.steps >= scheduler.given) {
        bool second = scheduler.random != NULL && random_chance(scheduler.random, 1, 2);
        choice->taken = could[0] && !(second && could[1]) ? 0 : 1;
    }
    choice->free = could[0] && could[1];
    ASSERT(could[choice->taken]);
    scheduler.steps++;
    return choice->taken;
}

static void run_one_schedule(void) {
    scheduler.what->reset(scheduler.what->context);
    scheduler.steps = 0;
    scheduler.ended[0] = false;
    scheduler.ended[1] = false;
    while (!scheduler.ended[0] || !scheduler.ended[1]) {
        int end = choose();
        scheduler.running = end;
        __tsan_switch_to_fiber(scheduler.fibers[end], 0);
        ASSERT(swapcontext(&scheduler.main, &scheduler.ends[end]) == 0);
        scheduler.running = -1;
    }
    scheduler.what->check(scheduler.what->context);
}

static void coroutine_open(int end) {
    ucontext_t *coroutine = &scheduler.ends[end];
    scheduler.stacks[end] = malloc(STACK_BYTES);
    ASSERT(scheduler.stacks[end] != NULL);
    ASSERT(getcontext(coroutine) == 0);
    coroutine->uc_stack.ss_sp = scheduler.stacks[end];
    coroutine->uc_stack.ss_size = STACK_BYTES;
    coroutine->uc_link = NULL;
    makecontext(coroutine, (void (*)(void))end_body, 1, end);
    scheduler.fibers[end] = __tsan_create_fiber(0);
}

static void coroutine_close(int end) {
    __tsan_destroy_fiber(scheduler.fibers[end]);
    free(scheduler.stacks[end]);
}

static void scheduler_open(const struct interleave *interleave, struct random *random) {
    scheduler.what = interleave;
    scheduler.random = random;
    scheduler.given = 0;
    scheduler.main_fiber = __tsan_get_current_fiber();
    coroutine_open(0);
    coroutine_open(1);
}

static void scheduler_close(void) {
    coroutine_close(0);
    coroutine_close(1);
}

/* Makes the next schedule in depth-first order the given one; false if there is none. */
static bool next_schedule(void) {
    uint32_t last = scheduler.steps;
    while (last > 0 &&
           (!scheduler.schedule[last - 1].free || scheduler.schedule[last - 1].taken == 1)) {
        last--;
    }
    if (last == 0) {
        return false;
    }
    scheduler.schedule[last - 1].taken = 1;
    scheduler.given = last;
    return true;
}

uint64_t interleave_all(const struct interleave *interleave) {
    uint64_t schedules = 0;
    scheduler_open(interleave, NULL);
    do {
        run_one_schedule();
        schedules++;
    } while (next_schedule());
    scheduler_close();
    return schedules;
}

void interleave_some(const struct interleave *interleave, uint64_t seed, uint64_t count) {
    struct random random;
    random_seed(&random, seed);
    scheduler_open(interleave, &random);
    for (uint64_t i = 0; i < count; i++) {
        run_one_schedule();
    }
    scheduler_close();
}
