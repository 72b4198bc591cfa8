/*
 * What clients are told when leadership, the log or the room in it is lost: unknown only what may
 * have been done, refused only what was not, and all in its order.
 */

#include "raft/raft.h"
#include "tests/sim/node_talk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECOND_NS UINT64_C(1000000000)

static struct group group[1];
static struct talk talks[4];

static const char *const maps[] = {"fused", "pair", "split"};

static uint32_t begin(uint64_t seed) {
    group_init(group, seed, 3, maps[seed % 3]);
    for (uint32_t i = 0; i < 3; i++) {
        group->nodes[i].options.knows_addresses = true;
        group_start(group, i);
    }
    group->load_on = false;
    group_expect(group, group_settle(group, 5 * SECOND_NS), "somebody leads");
    return group_leader(group);
}

static void cut_off(uint32_t node, bool cut) {
    for (uint32_t i = 0; i < 3; i++) {
        group->cut[node][i] = cut;
        group->cut[i][node] = cut;
    }
}

static void end(uint32_t talk_count) {
    for (uint32_t i = 0; i < talk_count; i++) {
        talk_close(&talks[i]);
    }
    group_expect(group, true, "no finding");
    group_free(group);
}

/* Says it as a batch of its own. */
static void say_apart(struct talk *talk, const char *text) {
    talk_say(talk, text);
    group_run(group, SECOND_NS / 200);
}

/* The replies begin with these words, in this order. */
static void replies_are(const char *replies, const char *const *words, uint32_t count) {
    const char *line = replies;
    for (uint32_t i = 0; i < count; i++) {
        if (line == NULL || strncmp(line, words[i], strlen(words[i])) != 0) {
            fail_msg("reply %u is not %s in \"%s\"", i, words[i], replies);
        }
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
}

static void on_stepping_down_writes_are_unknown_and_the_rest_is_refused(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        uint32_t leader = begin(seed);
        talk_open(&talks[0], group, leader);
        talk_expect(&talks[0], "set a 0", "+OK");
        talk_expect(&talks[0], "get a", "0"); /* its replies are short: nothing waits for reads */
        cut_off(leader, true);
        say_apart(&talks[0], "get a\r\n");
        say_apart(&talks[0], "set a 1\r\n");
        say_apart(&talks[0], "get a\r\nset b 2\r\nping\r\nset b 3\r\nget b\r\n");
        say_apart(&talks[0], "dbsize\r\n");
        static const char *const words[] = {"-CLUSTERDOWN", "-UNKNOWN",    "-CLUSTERDOWN",
                                            "-UNKNOWN",     "+PONG",       "-UNKNOWN",
                                            "-CLUSTERDOWN", "-CLUSTERDOWN"};
        replies_are(talk_hear(&talks[0], 8, 2 * SECOND_NS), words, 8);
        talk_expect(&talks[0], "set a 9", "-CLUSTERDOWN"); /* not proposed: refused */
        talk_expect(&talks[0], "get a", "-CLUSTERDOWN");
        cut_off(leader, false);
        group_expect(group, group_settle(group, 5 * SECOND_NS), "somebody leads");
        /* What was refused was not done. */
        talk_open(&talks[1], group, group_leader(group));
        const char *a = talk_ask(&talks[1], "get a");
        if (strcmp(a, "0\n") != 0 && strcmp(a, "1\n") != 0) {
            fail_msg("seed %lu: a is %s", (unsigned long)seed, a);
        }
        end(2);
    }
}

static void a_stop_answers_what_it_cannot_finish_as_unknown(void **state) {
    (void)state;
    for (uint64_t seed = 11; seed <= 13; seed++) {
        uint32_t leader = begin(seed);
        talk_open(&talks[0], group, leader);
        talk_expect(&talks[0], "set a 0", "+OK");
        cut_off(leader, true);
        say_apart(&talks[0], "set a 1\r\n");
        say_apart(&talks[0], "get a\r\n");
        sim_node_stop(group->nodes[leader].node);
        static const char *const words[] = {"-UNKNOWN", "-CLUSTERDOWN"};
        replies_are(talk_hear(&talks[0], 2, 2 * SECOND_NS), words, 2);
        group_run(group, SECOND_NS);
        group_expect(group, sim_node_ended(group->nodes[leader].node), "it has ended");
        end(1);
    }
}

static void a_log_that_fails_leaves_what_was_proposed_unknown(void **state) {
    (void)state;
    for (uint64_t seed = 21; seed <= 23; seed++) {
        uint32_t leader = begin(seed);
        talk_open(&talks[0], group, leader);
        talk_expect(&talks[0], "set a 0", "+OK");
        group->nodes[leader].may_fail = true;
        cut_off(leader, true);
        world_disk_fail(group->world, group->nodes[leader].host, WORLD_DISK_WRITE, 1, 1, -EIO);
        talk_say(&talks[0], "set a 1\r\nget a\r\n");
        static const char *const words[] = {"-UNKNOWN", "-CLUSTERDOWN"};
        replies_are(talk_hear(&talks[0], 2, SECOND_NS / 10), words, 2);
        group_run(group, SECOND_NS);
        group_expect(group, sim_node_failure(group->nodes[leader].node) != NULL, "it has failed");
        group_expect(group, sim_node_ended(group->nodes[leader].node), "and ended");
        end(1);
    }
}

enum { VALUE_BYTES = 45 * 1024, VALUES = 5 };

/* An MSET of 225 KiB: of the 512 that may be uncommitted in a simulated node. */
static void say_much(struct talk *talk) {
    static char value[VALUE_BYTES];
    char head[32];
    memset(value, 'v', sizeof(value));
    (void)snprintf(head, sizeof(head), "*%d\r\n$4\r\nMSET\r\n", 1 + 2 * VALUES);
    talk_say(talk, head);
    for (uint32_t i = 0; i < VALUES; i++) {
        (void)snprintf(head, sizeof(head), "$1\r\n%u\r\n$%u\r\n", i, (uint32_t)VALUE_BYTES);
        talk_say(talk, head);
        talk_send(talk, value, sizeof(value));
        talk_say(talk, "\r\n");
    }
}

static void too_much_without_a_quorum_is_refused_and_holds_up_no_reader(void **state) {
    (void)state;
    for (uint64_t seed = 31; seed <= 33; seed++) {
        uint32_t leader = begin(seed);
        for (uint32_t i = 0; i < 4; i++) {
            talk_open(&talks[i], group, leader);
        }
        talk_expect(&talks[3], "set a 0", "+OK");
        for (uint32_t i = 0; i < 3; i++) {
            group->clogged[leader][i] = true;
        }
        say_much(&talks[0]);
        say_much(&talks[1]);
        assert_string_equal(talk_hear(&talks[1], 1, SECOND_NS / 20), ""); /* they wait */
        say_much(&talks[2]);
        static const char *const words[] = {"-TRYAGAIN"};
        replies_are(talk_hear(&talks[2], 1, SECOND_NS / 10), words, 1);
        talk_expect(&talks[3], "get a", "0");
        memset(group->clogged, 0, sizeof(group->clogged));
        assert_string_equal(talk_hear(&talks[0], 1, SECOND_NS), "+OK\n");
        assert_string_equal(talk_hear(&talks[1], 1, SECOND_NS), "+OK\n");
        group_expect(group, group_settle(group, 5 * SECOND_NS), "it has settled");
        talk_close(&talks[2]);
        talk_open(&talks[2], group, group_leader(group));
        say_much(&talks[2]);
        assert_string_equal(talk_hear(&talks[2], 1, SECOND_NS), "+OK\n");
        end(4);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_stepping_down_writes_are_unknown_and_the_rest_is_refused),
        cmocka_unit_test(a_stop_answers_what_it_cannot_finish_as_unknown),
        cmocka_unit_test(a_log_that_fails_leaves_what_was_proposed_unknown),
        cmocka_unit_test(too_much_without_a_quorum_is_refused_and_holds_up_no_reader),
    };
    return cmocka_run_group_tests_name("sim_node_refusals", tests, NULL, NULL);
}
