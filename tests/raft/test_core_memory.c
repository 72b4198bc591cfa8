/*
 * Memory: all of it is taken by raft_create, or none; a step takes nothing.  The allocator's
 * functions are wrapped when this is linked.
 */

#include <stdlib.h>

#include "base/error.h"
#include "tests/raft/support.h"

static uint32_t calls;
static uint32_t failing; /* the call that fails, counted from 1; 0: none */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);

void *__wrap_malloc(size_t bytes) {
    return ++calls == failing ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes) {
    return ++calls == failing ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes) {
    return ++calls == failing ? NULL : __real_realloc(memory, bytes);
}

/* Whichever allocation fails, nothing is created and nothing stays. */
TEST(without_memory_nothing_is_created) {
    struct raft_options options = core_options("1v 2v 3v", (struct core_disk){.term = 4});
    calls = 0;
    failing = 0;
    core_start_with(&options);
    uint32_t needed = calls;
    assert_true(needed >= 1);
    core_stop(NULL);
    for (uint32_t i = 1; i <= needed; i++) {
        struct raft *untouched = (struct raft *)core;
        calls = 0;
        failing = i;
        assert_int_equal(raft_create(&untouched, &options), WEIR_ENOMEM);
        assert_ptr_equal(untouched, core);
    }
    failing = 0;
}

/* A whole life: elections, entries, a change of members, a snapshot, a transfer. */
TEST(no_step_allocates) {
    START("1v 2v 3v 4l", .term = 4, .terms = "1 2 3");
    calls = 0;
    core_serve();
    for (uint32_t i = 0; i < 1000; i++) {
        core_replicate((const uint64_t[]){2, 3, 0});
    }
    core_configure("1v 2v 4v");
    core_hear_granted(4, raft_last_index(core->raft));
    core_configure("1v 2v 4v");
    core_applied(raft_commit_index(core->raft));
    core_compacted(500, (struct raft_snapshot){600, 5, 5000});
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT_ANSWER,
                                    .from = 2,
                                    .term = 5,
                                    .session = core->said[2].session});
    core_hear_refused(2, raft_last_index(core->raft), 3, 3);
    core_transfer(3);
    core_read(true);
    core_pass(2 * T_NS);
    HEAR_APPEND(.from = 2, .term = 9, .terms = "1 2");
    core_time_out();
    assert_int_equal(calls, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CORE_TEST(without_memory_nothing_is_created),
        CORE_TEST(no_step_allocates),
    };
    return cmocka_run_group_tests_name("raft_core_memory", tests, NULL, NULL);
}
