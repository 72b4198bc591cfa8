/*
 * Transactions on whole nodes: all of an EXEC or nothing, on every member, whatever becomes of the
 * leader; and a watched key that changed, or expired, is never missed.
 */

#include "tests/sim/node_talk.h"

#include <stdio.h>
#include <string.h>

#include "base/decimal.h"

#define MS_NS     UINT64_C(1000000)
#define SECOND_NS UINT64_C(1000000000)

enum { ROUNDS = 40, WATCHERS = 4 };

static struct group group[1];
static struct talk talks[WATCHERS];
static const char *const maps[] = {"fused", "split", "pair"};

static uint32_t begin(uint64_t seed) {
    group_init_networked(group, seed, 3, maps[seed % 3]);
    for (uint32_t i = 0; i < 3; i++) {
        group_start(group, i);
    }
    group->load_on = false;
    group_run(group, 2 * SECOND_NS);
    uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    return leader;
}

static void cut(uint32_t node, bool is_cut) {
    for (uint32_t i = 0; i < 3; i++) {
        if (i != node) {
            world_link_cut(group->world, group->hosts[node], group->hosts[i], is_cut);
            world_link_cut(group->world, group->hosts[i], group->hosts[node], is_cut);
        }
    }
}

/* What a member has, leader or not. */
static void expect_everywhere(const char *line, const char *reply) {
    group_run(group, 2 * SECOND_NS);
    for (uint32_t i = 0; i < 3; i++) {
        static struct talk talk;
        talk_open(&talk, group, i);
        talk_expect(&talk, "client reads stale", "+OK");
        talk_say(&talk, line);
        talk_say(&talk, "\r\n");
        const char *answer = talk_hear(&talk, 3, SECOND_NS);
        if (strcmp(answer, reply) != 0) {
            fail_msg("member %u says %s", i + 1, answer);
        }
        talk_close(&talk);
    }
}

/* ---- leadership ---------------------------------------------------------------------------- */

static void who_does_not_lead_aborts_what_was_queued(void **state) {
    (void)state;
    uint32_t leader = begin(51);
    static struct talk talk;
    talk_open(&talk, group, (leader + 1) % 3);
    talk_expect(&talk, "multi", "+OK");
    talk_expect(&talk, "set a 1", "+QUEUED");
    talk_expect(&talk, "exec", "-EXECABORT Transaction discarded because of: CLUSTERDOWN");
    talk_expect(&talk, "exec", "-ERR EXEC without MULTI");
    talk_expect(&talk, "watch a", "-CLUSTERDOWN");
    talk_expect(&talk, "multi", "+OK");
    talk_expect(&talk, "exec", "-EXECABORT");
    talk_close(&talk);
    expect_everywhere("mget a b", "*2\n(nil)\n(nil)\n");
    group_free(group);
}

static void what_was_queued_in_another_term_is_aborted(void **state) {
    (void)state;
    for (uint64_t seed = 61; seed <= 63; seed++) {
        uint32_t leader = begin(seed);
        static struct talk talk;
        talk_open(&talk, group, leader);
        talk_expect(&talk, "watch a", "+OK");
        talk_expect(&talk, "multi", "+OK");
        talk_expect(&talk, "set a 1", "+QUEUED");
        cut(leader, true);
        group_run(group, 2 * SECOND_NS);
        talk_expect(&talk, "set b 1", "+QUEUED"); /* it notices nothing before its EXEC */
        cut(leader, false);
        group_run(group, 2 * SECOND_NS);
        talk_expect(&talk, "exec", "-EXECABORT Transaction discarded because of: the leader");
        talk_close(&talk);
        expect_everywhere("mget a b", "*2\n(nil)\n(nil)\n");
        group_free(group);
    }
}

static void an_exec_under_way_is_unknown_and_whole_or_not_there(void **state) {
    (void)state;
    for (uint64_t seed = 71; seed <= 76; seed++) {
        uint32_t leader = begin(seed);
        static struct talk talk;
        talk_open(&talk, group, leader);
        talk_expect(&talk, "multi", "+OK");
        talk_expect(&talk, "incr a", "+QUEUED");
        talk_expect(&talk, "incr b", "+QUEUED");
        talk_say(&talk, "exec\r\n");
        group_run(group, (seed - 71) * MS_NS); /* it is appended, and sent, or not yet */
        cut(leader, true);
        const char *answer = talk_hear(&talk, 1, 3 * SECOND_NS);
        bool done = strcmp(answer, "*2\n") == 0;
        assert_true(done || strncmp(answer, "-UNKNOWN ", 9) == 0 ||
                    strncmp(answer, "-EXECABORT ", 11) == 0);
        bool not_done = answer[1] == 'E';
        talk_close(&talk);
        cut(leader, false);
        group_run(group, 3 * SECOND_NS);
        static struct talk other;
        talk_open(&other, group, group_leader(group));
        talk_say(&other, "mget a b\r\n");
        answer = talk_hear(&other, 3, 2 * SECOND_NS);
        bool whole = strcmp(answer, "*2\n1\n1\n") == 0;
        assert_true(whole || (!done && strcmp(answer, "*2\n(nil)\n(nil)\n") == 0));
        assert_false(whole && not_done);
        talk_close(&other);
        group_free(group);
    }
}

/* ---- watching ------------------------------------------------------------------------------ */

/* One more round of somebody who adds one by WATCH and EXEC: says what comes next. */
static void watcher_step(uint32_t i, uint32_t step, uint64_t *seen, uint64_t *done) {
    char line[160];
    const char *answer;
    switch (step % 3) {
    case 0:
        talk_say(&talks[i], "watch n\r\nget n\r\n");
        answer = talk_hear(&talks[i], 2, SECOND_NS);
        assert_int_equal(strncmp(answer, "+OK\n", 4), 0);
        *seen = 0;
        if (answer[4] != '(') {
            assert_int_equal(decimal_parse_u64(answer + 4, strlen(answer + 4) - 1, seen), 0);
        }
        return;
    case 1:
        (void)snprintf(line, sizeof(line), "multi\r\nset n %llu\r\nset m %llu\r\n",
                       (unsigned long long)*seen + 1, (unsigned long long)*seen + 1);
        talk_say(&talks[i], line);
        assert_string_equal(talk_hear(&talks[i], 3, SECOND_NS), "+OK\n+QUEUED\n+QUEUED\n");
        return;
    default:
        talk_say(&talks[i], "exec\r\n");
        answer = talk_hear(&talks[i], 1, SECOND_NS);
        if (strcmp(answer, "*2\n") == 0) {
            assert_string_equal(talk_hear(&talks[i], 2, SECOND_NS), "+OK\n+OK\n");
            ++*done;
        } else {
            assert_string_equal(answer, "*-1\n");
        }
        return;
    }
}

static void no_update_is_lost_between_those_who_watch(void **state) {
    (void)state;
    for (uint64_t seed = 81; seed <= 83; seed++) {
        uint32_t leader = begin(seed);
        uint64_t seen[WATCHERS] = {0};
        uint32_t step[WATCHERS] = {0};
        uint64_t done = 0;
        uint64_t tried = 0;
        for (uint32_t i = 0; i < WATCHERS; i++) {
            talk_open(&talks[i], group, leader);
        }
        for (uint32_t round = 0; round < 3 * WATCHERS * ROUNDS; round++) {
            uint32_t i = (uint32_t)random_below(&group->random, WATCHERS);
            tried += step[i] % 3 == 2;
            watcher_step(i, step[i]++, &seen[i], &done);
        }
        for (uint32_t i = 0; i < WATCHERS; i++) {
            talk_close(&talks[i]);
        }
        /* They got in each other's way, and each that was executed counts once. */
        assert_true(done > 10 && done + 10 < tried);
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "*2\n%llu\n%llu\n", (unsigned long long)done,
                       (unsigned long long)done);
        expect_everywhere("mget n m", expected);
        group_free(group);
    }
}

static void a_key_that_expires_while_it_is_watched_aborts_on_every_member(void **state) {
    (void)state;
    for (uint64_t seed = 91; seed <= 93; seed++) {
        uint32_t leader = begin(seed);
        talk_open(&talks[0], group, leader);
        talk_open(&talks[1], group, leader);
        talk_expect(&talks[0], "set p 1 px 300", "+OK");
        talk_say(&talks[0], "watch p q\r\nmulti\r\nset a 1\r\n");
        assert_string_equal(talk_hear(&talks[0], 3, SECOND_NS), "+OK\n+OK\n+QUEUED\n");
        talk_say(&talks[1], "watch q\r\nmulti\r\nset b 1\r\n");
        assert_string_equal(talk_hear(&talks[1], 3, SECOND_NS), "+OK\n+OK\n+QUEUED\n");
        group_run(group, 500 * MS_NS);
        talk_expect(&talks[0], "exec", "*-1");
        /* Not because of any key that expired: p is none of its own. */
        talk_expect(&talks[1], "exec", "*1");
        talk_close(&talks[0]);
        talk_close(&talks[1]);
        expect_everywhere("mget a b", "*2\n(nil)\n1\n");
        group_free(group);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_does_not_lead_aborts_what_was_queued),
        cmocka_unit_test(what_was_queued_in_another_term_is_aborted),
        cmocka_unit_test(an_exec_under_way_is_unknown_and_whole_or_not_there),
        cmocka_unit_test(no_update_is_lost_between_those_who_watch),
        cmocka_unit_test(a_key_that_expires_while_it_is_watched_aborts_on_every_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
