/*
 * Clients that do not read what they have asked for: what of it stands in memory is bounded for
 * each, who reads after all gets all of it, and who never does is cut.
 */

#include "tests/sim/node_talk.h"

#include <stdio.h>
#include <string.h>

#define MS_NS     UINT64_C(1000000)
#define SECOND_NS UINT64_C(1000000000)

enum {
    VALUE_BYTES = 40000,
    GETS = 400, /* 16 MB of replies */
    /* Replies of one batch, 2 MiB of them (stages/parse_reads.c), in blocks of up to twice that. */
    HELD_BYTES_MAX = 4 * 1024 * 1024,
};

static struct group group[1];
static struct talk talk;
static struct talk other;
static uint32_t leader;
static const char *const maps[] = {"fused", "split", "pair"};

static const struct node *figures(void) {
    return sim_node_figures(group->nodes[leader].node);
}

/* A cluster with one long value. */
static void begin_with_nothing_asked(uint64_t seed) {
    static char text[VALUE_BYTES + 64];
    group_init_networked(group, seed, 3, maps[seed % 3]);
    for (uint32_t i = 0; i < 3; i++) {
        group_start(group, i);
    }
    group->load_on = false;
    group_run(group, 2 * SECOND_NS);
    leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    talk_open(&talk, group, leader);
    talk_open(&other, group, leader);
    int length = snprintf(text, sizeof(text), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", VALUE_BYTES);
    memset(text + length, 'x', VALUE_BYTES);
    memcpy(text + length + VALUE_BYTES, "\r\n", 3);
    talk_say(&talk, text);
    assert_string_equal(talk_hear(&talk, 1, SECOND_NS), "+OK\n");
}

/* ... for which a client has asked many times. */
static void begin(uint64_t seed) {
    static char text[16 * GETS];
    begin_with_nothing_asked(seed);
    static const char get[] = "get k\r\n";
    for (uint32_t i = 0; i < GETS; i++) {
        memcpy(text + i * (sizeof(get) - 1), get, sizeof(get));
    }
    talk_say(&talk, text);
}

static void end(void) {
    talk_close(&talk);
    talk_close(&other);
    group_free(group);
}

static void replies_that_nobody_reads_are_made_a_few_at_a_time(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        begin(seed);
        uint64_t most = 0;
        for (uint32_t i = 0; i < 1000; i++) {
            group_run(group, MS_NS);
            const uint64_t held = node_figure(&figures()->apply.reply_bytes);
            most = held > most ? held : most;
        }
        group_expect(group, most > 0 && most <= HELD_BYTES_MAX, "so much is held");
        talk_expect(&other, "strlen k", ":40000");
        for (uint32_t i = 0; i < GETS; i++) {
            const char *reply = talk_hear(&talk, 1, SECOND_NS);
            group_expect(group, strlen(reply) == VALUE_BYTES + 1 && reply[0] == 'x',
                         "who reads after all gets every reply");
        }
        talk_expect(&talk, "ping", "+PONG");
        assert_int_equal(node_figure(&figures()->write.slow_cut), 0);
        end();
    }
}

static void who_reads_nothing_for_a_minute_is_cut(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        begin(seed);
        group_run(group, 59 * SECOND_NS);
        group_expect(group, node_figure(&figures()->write.slow_cut) == 0, "not before its time");
        group_run(group, 3 * SECOND_NS);
        group_expect(group, node_figure(&figures()->write.slow_cut) == 1, "it is cut");
        group_run(group, 2 * SECOND_NS);
        assert_int_equal(node_figure(&figures()->apply.reply_bytes), 0);
        talk_expect(&other, "strlen k", ":40000");
        end();
    }
}

static void who_asks_a_little_at_a_time_and_reads_nothing_for_a_minute_is_cut(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        begin_with_nothing_asked(seed);
        for (uint32_t i = 0; i < GETS / 10; i++) {
            talk_say(&talk, "getrange k 0 3999\r\n");
            group_run(group, 5 * MS_NS);
        }
        group_expect(group, node_figure(&figures()->write.backlog_bytes) > 0, "some are kept");
        group_run(group, 50 * SECOND_NS);
        group_expect(group, node_figure(&figures()->write.slow_cut) == 0, "not before its time");
        group_run(group, 12 * SECOND_NS);
        group_expect(group, node_figure(&figures()->write.slow_cut) == 1, "it is cut");
        talk_expect(&other, "strlen k", ":40000");
        end();
    }
}

static void who_reads_a_little_now_and_then_is_not_cut(void **state) {
    (void)state;
    begin(1);
    for (uint32_t i = 0; i < 10; i++) {
        group_run(group, 30 * SECOND_NS);
        const char *reply = talk_hear(&talk, 10, SECOND_NS);
        assert_int_equal(reply[0], 'x');
    }
    assert_int_equal(node_figure(&figures()->write.slow_cut), 0);
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_that_nobody_reads_are_made_a_few_at_a_time),
        cmocka_unit_test(who_reads_nothing_for_a_minute_is_cut),
        cmocka_unit_test(who_asks_a_little_at_a_time_and_reads_nothing_for_a_minute_is_cut),
        cmocka_unit_test(who_reads_a_little_now_and_then_is_not_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
