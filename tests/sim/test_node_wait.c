/*
 * WAIT says how many other members have what its connection wrote: never more than there are, and
 * after an acknowledged write never fewer than make a majority with the leader.
 */

#include "tests/sim/node_talk.h"

#include <stdio.h>
#include <string.h>

#include "base/decimal.h"

#define SECOND_NS UINT64_C(1000000000)

enum { ROUNDS = 40 };

static struct group group[1];
static const char *const maps[] = {"fused", "split", "pair"};

static uint32_t begin(uint64_t seed, uint32_t nodes) {
    group_init_networked(group, seed, nodes, maps[seed % 3]);
    for (uint32_t i = 0; i < nodes; i++) {
        group_start(group, i);
    }
    group->load_on = false;
    group_run(group, 2 * SECOND_NS);
    uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    return leader;
}

static const struct node *figures(uint32_t index) {
    return sim_node_figures(group->nodes[index].node);
}

/* How many others have, durable, all that the leader had applied at `index`.  Later than the reply,
 * so no fewer than at it. */
static uint32_t others_with(uint32_t leader, uint64_t index) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < group->node_count; i++) {
        count += i != leader && group->nodes[i].node != NULL &&
                 node_figure(&figures(i)->replicate.durable_index) >= index;
    }
    return count;
}

/* A write and a WAIT, in one batch or two; the WAIT's number, which is checked. */
static uint32_t write_and_wait(struct talk *talk, uint32_t leader, bool together) {
    uint64_t before = node_figure(&figures(leader)->apply.applied_index);
    const char *answer;
    if (together) {
        talk_say(talk, "set k v\r\nwait 2 0\r\n");
        answer = talk_hear(talk, 2, SECOND_NS);
        assert_int_equal(strncmp(answer, "+OK\n:", 5), 0);
        answer += 4;
    } else {
        talk_expect(talk, "set k v", "+OK");
        answer = talk_ask(talk, "wait 2 0");
    }
    assert_int_equal(answer[0], ':');
    uint64_t count = 0;
    assert_int_equal(decimal_parse_u64(answer + 1, strlen(answer) - 2, &count), 0);
    /* The write is one entry behind what was applied before it. */
    assert_true(count <= others_with(leader, before + 1));
    return (uint32_t)count;
}

static void it_counts_who_has_it_and_no_fewer_than_a_majority(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        uint32_t nodes = seed % 2 == 0 ? 5 : 3;
        uint32_t leader = begin(seed, nodes);
        static struct talk talk;
        talk_open(&talk, group, leader);
        for (uint32_t round = 0; round < ROUNDS; round++) {
            uint32_t count = write_and_wait(&talk, leader, round % 2 == 0);
            assert_in_range(count, nodes / 2, nodes - 1);
        }
        group_run(group, SECOND_NS); /* all have caught up, and said so */
        talk_expect(&talk, "wait 0 0", nodes == 5 ? ":4" : ":2");
        talk_close(&talk);
        group_free(group);
    }
}

static void who_is_gone_is_not_counted(void **state) {
    (void)state;
    for (uint64_t seed = 11; seed <= 13; seed++) {
        uint32_t leader = begin(seed, 3);
        uint32_t gone = (leader + 1) % 3;
        static struct talk talk;
        group_crash(group, gone);
        talk_open(&talk, group, leader);
        for (uint32_t round = 0; round < ROUNDS; round++) {
            assert_int_equal(write_and_wait(&talk, leader, round % 2 == 0), 1);
        }
        group_start(group, gone);
        group_run(group, 2 * SECOND_NS);
        talk_expect(&talk, "wait 2 0", ":2");
        talk_close(&talk);
        group_free(group);
    }
}

static void who_does_not_lead_counts_nobody(void **state) {
    (void)state;
    uint32_t leader = begin(21, 3);
    static struct talk talk;
    talk_open(&talk, group, (leader + 1) % 3);
    talk_expect(&talk, "wait 1 0", "-CLUSTERDOWN");
    talk_expect(&talk, "readonly", "+OK");
    talk_expect(&talk, "wait 1 0", "-CLUSTERDOWN");
    talk_expect(&talk, "client reads stale", "+OK");
    talk_expect(&talk, "wait 1 0", "-CLUSTERDOWN");
    talk_close(&talk);
    talk_open(&talk, group, leader);
    talk_expect(&talk, "wait -1 0", "-ERR value is not an integer or out of range");
    talk_expect(&talk, "wait 1 soon", "-ERR value is not an integer or out of range");
    talk_expect(&talk, "wait 1", "-ERR wrong number of arguments for 'wait' command");
    talk_close(&talk);
    group_free(group);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_does_not_lead_counts_nobody),
        cmocka_unit_test(it_counts_who_has_it_and_no_fewer_than_a_majority),
        cmocka_unit_test(who_is_gone_is_not_counted),
    };
    return cmocka_run_group_tests_name("sim_node_wait", tests, NULL, NULL);
}
