/*
 * How often a member that is away is called: each attempt waits longer than the one before it, at
 * most a second; how long exactly is left to chance; and a member that was there for a while is
 * called again at once.
 */

#include "tests/sim/node_group.h"

#include "stages/write_peers.h"

#define SECOND_NS UINT64_C(1000000000)

enum {
    AWAY_S = 20,
    LINKS = PEER_LANES, /* that a node has to one member */
    ATTEMPTS_MAX = 256,
    SEEDS = WEIR_SANITIZER_BUILD ? 1 : 3, /* one for each map */
};

/* Of attempts that fail, as one node counts them: one for each time that a connection is lost, and
 * one for each that could not be opened. */
struct attempts {
    uint64_t before;
    uint32_t count;
    uint64_t at_ns[ATTEMPTS_MAX];
};

static struct group group[1];
static const char *const maps[] = {"fused", "split", "pair"};
static struct attempts attempts[3];

static uint32_t begin(uint64_t seed) {
    group_init_networked(group, seed, 3, maps[seed % 3]);
    for (uint32_t i = 0; i < 3; i++) {
        group_start(group, i);
    }
    group_run(group, 3 * SECOND_NS);
    uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    group->load_on = false;
    return (leader + 1) % 3;
}

static void end(uint32_t away) {
    group_start(group, away);
    group_run(group, 2 * SECOND_NS);
    group_expect(group, group_settle(group, 5 * SECOND_NS), "all have applied everything");
    group_free(group);
}

static uint64_t failed(uint32_t index) {
    return node_figure(&sim_node_figures(group->nodes[index].node)->write.peers_failed);
}

/* Runs for so long, and writes down when each attempt of those who are there has failed. */
static void watch(uint32_t away, uint64_t ns) {
    uint64_t end_ns = world_now_ns(group->world) + ns;
    for (uint32_t i = 0; i < 3; i++) {
        attempts[i].count = 0;
        attempts[i].before = i == away ? 0 : failed(i);
    }
    while (world_now_ns(group->world) < end_ns && group_step(group)) {
        for (uint32_t i = 0; i < 3; i++) {
            while (i != away && failed(i) > attempts[i].before + attempts[i].count) {
                assert_true(attempts[i].count < ATTEMPTS_MAX);
                attempts[i].at_ns[attempts[i].count++] = world_now_ns(group->world);
            }
        }
    }
}

/*
 * How many attempts of one connection have failed at most, so long after the first of them: if each
 * pause was half of what it may be, and failing took no time.  The first one has none.
 */
static uint32_t attempts_at_most(uint64_t ns) {
    uint32_t count = 2;
    uint64_t pause_ns = PEER_PAUSE_NS_MIN;
    for (uint64_t at_ns = pause_ns / 2; at_ns <= ns; at_ns += pause_ns / 2) {
        pause_ns = 2 * pause_ns < PEER_PAUSE_NS_MAX ? 2 * pause_ns : PEER_PAUSE_NS_MAX;
        count++;
    }
    return count;
}

/* How many at least: each pause as long as it may be, and what is not noticed at once. */
static uint32_t attempts_at_least(uint64_t ns) {
    uint32_t count = 1;
    uint64_t pause_ns = PEER_PAUSE_NS_MIN;
    uint64_t slack_ns = PEER_PAUSE_NS_MIN / 2; /* of each */
    for (uint64_t at_ns = pause_ns + slack_ns; at_ns <= ns; at_ns += pause_ns + slack_ns) {
        pause_ns = 2 * pause_ns < PEER_PAUSE_NS_MAX ? 2 * pause_ns : PEER_PAUSE_NS_MAX;
        count++;
    }
    return count;
}

static void pauses_grow_up_to_a_second(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed < 1 + SEEDS; seed++) {
        uint32_t away = begin(seed);
        group_crash(group, away);
        watch(away, AWAY_S * SECOND_NS);
        for (uint32_t i = 0; i < 3; i++) {
            if (i == away) {
                continue;
            }
            const struct attempts *own = &attempts[i];
            assert_true(own->count > 0);
            for (uint32_t k = 0; k < own->count; k++) {
                uint64_t since_ns = own->at_ns[k] - own->at_ns[0];
                assert_in_range(k + 1, LINKS * attempts_at_least(since_ns) / 2,
                                LINKS * attempts_at_most(since_ns));
            }
            uint64_t left_ns = (uint64_t)AWAY_S * SECOND_NS - SECOND_NS / 2;
            assert_in_range(own->count, LINKS * attempts_at_least(left_ns),
                            LINKS * attempts_at_most(left_ns));
        }
        end(away);
    }
}

/* Two members that lost a third one at the same moment do not come to it at the same moments. */
static void how_long_a_pause_is_is_left_to_chance(void **state) {
    (void)state;
    for (uint64_t seed = 11; seed < 11 + SEEDS; seed++) {
        uint32_t away = begin(seed);
        group_crash(group, away);
        watch(away, AWAY_S * SECOND_NS);
        const struct attempts *one = &attempts[(away + 1) % 3];
        const struct attempts *other = &attempts[(away + 2) % 3];
        uint32_t together = 0;
        for (uint32_t i = 0; i < one->count; i++) {
            for (uint32_t k = 0; k < other->count; k++) {
                uint64_t a_ns = one->at_ns[i];
                uint64_t b_ns = other->at_ns[k];
                together += (a_ns > b_ns ? a_ns - b_ns : b_ns - a_ns) < PEER_PAUSE_NS_MIN / 2;
            }
        }
        /* By chance one of two links is within 10 ms of one of the other's two once in 20 s. */
        assert_in_range(together, 0, one->count / 2);
        end(away);
    }
}

static void who_was_there_for_a_while_is_called_at_once(void **state) {
    (void)state;
    for (uint64_t seed = 21; seed < 21 + SEEDS; seed++) {
        uint32_t away = begin(seed);
        group_crash(group, away);
        watch(away, 5 * SECOND_NS); /* pauses are as long as they become */
        group_start(group, away);
        group_run(group, 3 * SECOND_NS);
        group_crash(group, away);
        watch(away, SECOND_NS);
        for (uint32_t i = 0; i < 3; i++) {
            if (i != away) {
                assert_in_range(attempts[i].count, LINKS * attempts_at_least(SECOND_NS * 2 / 3),
                                LINKS * attempts_at_most(SECOND_NS));
            }
        }
        end(away);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_grow_up_to_a_second),
        cmocka_unit_test(how_long_a_pause_is_is_left_to_chance),
        cmocka_unit_test(who_was_there_for_a_while_is_called_at_once),
    };
    return cmocka_run_group_tests_name("sim_node_reconnect", tests, NULL, NULL);
}
