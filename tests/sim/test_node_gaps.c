/*
 * A leader and a member whose connection for data is slow, message by message.
 *
 * What is said to be sent and is not stands out as a gap: the member is asked for entries behind
 * ones that it was never sent, has to refuse, and is sent all of them again.
 */

#include <stdio.h>
#include <string.h>

#include "tests/sim/scripted_members.h"

#define MILLISECOND_NS UINT64_C(1000000)
#define SECOND_NS      UINT64_C(1000000000)

enum {
    VALUE_BYTES = 12000,
    LINE_BYTES = VALUE_BYTES + 64,
    SEEDS = 3, /* one for each map */
    /* A question has less; a message with a value more. */
    QUESTION_BYTES = 256,
    HEARTBEATS_A_SECOND = 50,
    /* Three times what the log keeps in memory. */
    LONG_LOG_ENTRIES = 300,
};

static struct scripted scripted[1];
static char line[LINE_BYTES];

/* Serving, followed by 2; 3 has said that it hears heartbeats and nothing else. */
static void begin(uint64_t seed) {
    scripted_begin(scripted, seed);
    scripted->is_stalled[3] = true;
    scripted->follows[3] = true;
    scripted_elect(scripted);
}

static void set_value(uint64_t key) {
    int length = snprintf(line, sizeof(line), "SET k%u ", (unsigned)key);
    memset(line + length, 'v', VALUE_BYTES);
    line[length + VALUE_BYTES] = '\0';
    assert_string_equal(scripted_ask(scripted, line), "+OK\r\n");
}

/* 3 was sent all that 2 was, one after the other. */
static void expect_caught_up(void) {
    scripted->is_stalled[3] = false;
    for (uint32_t i = 0; i < 100 && scripted->reached[3] < scripted->reached[2]; i++) {
        scripted_run(scripted, 20 * MILLISECOND_NS);
    }
    scripted_run(scripted, 20 * MILLISECOND_NS); /* its answers */
    assert_int_equal(scripted->reached[3], scripted->reached[2]);
    assert_int_equal(scripted->gaps[3], 0);
}

/* It is heard 50 times a second, and has not answered since the first message is still on its
 * way: what was asked for once is not sent 50 times. */
static void a_probe_that_is_slow_is_not_sent_again_and_again(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin(seed);
        set_value(1);
        uint32_t before_bytes = scripted_ring_bytes(scripted, 3);
        uint64_t heard = scripted->heard[3][RAFT_MESSAGE_HEARTBEAT];
        scripted_run(scripted, SECOND_NS);
        assert_true(scripted->heard[3][RAFT_MESSAGE_HEARTBEAT] > heard + HEARTBEATS_A_SECOND / 2);
        assert_in_range(scripted_ring_bytes(scripted, 3) - before_bytes, 1,
                        HEARTBEATS_A_SECOND * QUESTION_BYTES);
        expect_caught_up();
        scripted_end(scripted);
    }
}

/* No room for it in the ring: it was not sent, and the core has to know that. */
static void what_finds_no_room_is_sent_when_there_is_some(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin(seed);
        expect_caught_up();
        scripted->is_stalled[3] = true;
        scripted_ring_fill(scripted, 3);
        for (uint64_t key = 1; key <= 3; key++) {
            uint64_t dropped = node_figure(&scripted_figures(scripted)->replicate.peer_dropped);
            set_value(key);
            assert_true(node_figure(&scripted_figures(scripted)->replicate.peer_dropped) > dropped);
            scripted_run(scripted, 100 * MILLISECOND_NS);
        }
        expect_caught_up();
        scripted_end(scripted);
    }
}

/* Its entries are only on disk: while some are read back, nothing else is sent to it. */
static void what_is_put_out_during_a_read_is_sent_behind_it(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin(seed);
        scripted->follows[3] = false;
        for (uint64_t key = 1; key <= LONG_LOG_ENTRIES; key++) {
            set_value(key);
        }
        scripted->follows[3] = true;
        expect_caught_up();
        scripted_end(scripted);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_probe_that_is_slow_is_not_sent_again_and_again),
        cmocka_unit_test(what_finds_no_room_is_sent_when_there_is_some),
        cmocka_unit_test(what_is_put_out_during_a_read_is_sent_behind_it),
    };
    return cmocka_run_group_tests_name("sim_node_gaps", tests, NULL, NULL);
}
