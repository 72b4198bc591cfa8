/*
 * WAIT waits until so many other members have what its connection wrote, or for as long as it may:
 * never says that more have it than do, keeps its connection's order, and holds up nobody else.
 */

#include "tests/sim/node_talk.h"

#include <stdio.h>
#include <string.h>

#include "base/decimal.h"

#define MS_NS     UINT64_C(1000000)
#define SECOND_NS UINT64_C(1000000000)

enum {
    ROUNDS = 20,
    /* More than there are batches (32), and batches to bear answers (64). */
    MANY = 90,
    /* In a second of 50 heartbeats to each of two members, and their answers. */
    IDLE_STEPS_MAX = 100 * 1000,
};

static struct group group[1];
static const char *const maps[] = {"fused", "split", "pair"};

static uint32_t begin(uint64_t seed, uint32_t nodes) {
    group_init_networked(group, seed, nodes, maps[seed % 3]);
    for (uint32_t i = 0; i < nodes; i++) {
        group->nodes[i].options.connections_max = MANY + 10;
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

static uint64_t waiting(uint32_t leader) {
    return node_figure(&figures(leader)->replicate.waiting);
}

static void cut(uint32_t a, uint32_t b, bool is_cut) {
    world_link_cut(group->world, group->hosts[a], group->hosts[b], is_cut);
    world_link_cut(group->world, group->hosts[b], group->hosts[a], is_cut);
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
static uint32_t write_and_wait(struct talk *talk, uint32_t leader, bool together,
                               const char *wait) {
    uint64_t before = node_figure(&figures(leader)->apply.applied_index);
    char both[128];
    const char *answer;
    if (together) {
        snprintf(both, sizeof(both), "set k v\r\n%s\r\n", wait);
        talk_say(talk, both);
        answer = talk_hear(talk, 2, SECOND_NS);
        assert_int_equal(strncmp(answer, "+OK\n:", 5), 0);
        answer += 4;
    } else {
        talk_expect(talk, "set k v", "+OK");
        answer = talk_ask(talk, wait);
    }
    assert_int_equal(answer[0], ':');
    uint64_t count = 0;
    assert_int_equal(decimal_parse_u64(answer + 1, strlen(answer) - 2, &count), 0);
    /* The write is one entry behind what was applied before it. */
    assert_true(count <= others_with(leader, before + 1));
    return (uint32_t)count;
}

/* ---- refusals ------------------------------------------------------------------------------ */

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
    talk_expect(&talk, "wait few 0", "-ERR value is not an integer or out of range");
    talk_expect(&talk, "wait 1 soon", "-ERR timeout is not an integer or out of range");
    talk_expect(&talk, "wait -1 0", ":2"); /* as Redis: more than that have it at once */
    talk_expect(&talk, "wait 1", "-ERR wrong number of arguments for 'wait' command");
    talk_expect(&talk, "ping", "+PONG");
    assert_int_equal(waiting(leader), 0);
    talk_close(&talk);
    group_free(group);
}

static void who_loses_leadership_answers_what_was_reached(void **state) {
    (void)state;
    for (uint64_t seed = 31; seed <= 33; seed++) {
        uint32_t leader = begin(seed, 3);
        static struct talk talk;
        cut(leader, (leader + 1) % 3, true);
        talk_open(&talk, group, leader);
        talk_expect(&talk, "set k 1", "+OK");
        talk_say(&talk, "wait 2 0\r\nset k 2\r\n");
        assert_string_equal(talk_hear(&talk, 1, 300 * MS_NS), "");
        cut(leader, (leader + 2) % 3, true);
        /* One had it, and has it still; what came behind is refused. */
        const char *answer = talk_hear(&talk, 2, 2 * SECOND_NS);
        assert_int_equal(strncmp(answer, ":1\n-", 4), 0);
        assert_int_equal(waiting(leader), 0);
        talk_close(&talk);
        group_free(group);
    }
}

static void a_write_that_is_unknown_is_not_waited_for(void **state) {
    (void)state;
    uint32_t leader = begin(41, 3);
    static struct talk talk;
    talk_open(&talk, group, leader);
    talk_expect(&talk, "set k 1", "+OK");
    cut(leader, (leader + 1) % 3, true);
    cut(leader, (leader + 2) % 3, true);
    talk_say(&talk, "set k 2\r\nwait 0 100\r\n");
    const char *answer = talk_hear(&talk, 2, 2 * SECOND_NS);
    assert_int_equal(strncmp(answer, "-UNKNOWN", 8), 0);
    assert_non_null(strstr(answer, "\n-CLUSTERDOWN"));
    talk_close(&talk);
    group_free(group);
}

/* ---- counts and times ---------------------------------------------------------------------- */

static void it_waits_until_so_many_have_it(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        uint32_t nodes = seed % 2 == 0 ? 5 : 3;
        uint32_t leader = begin(seed, nodes);
        static struct talk talk;
        talk_open(&talk, group, leader);
        for (uint32_t round = 0; round < ROUNDS; round++) {
            bool together = round % 2 == 0;
            uint32_t count = write_and_wait(&talk, leader, together, "wait 0 0");
            assert_in_range(count, nodes / 2, nodes - 1); /* it is acknowledged */
            count = write_and_wait(&talk, leader, together, nodes == 5 ? "wait 4 0" : "wait 2 0");
            assert_int_equal(count, nodes - 1);
        }
        assert_int_equal(waiting(leader), 0);
        talk_close(&talk);
        group_free(group);
    }
}

static void the_time_out_is_exact_and_who_is_gone_is_not_counted(void **state) {
    (void)state;
    for (uint64_t seed = 11; seed <= 13; seed++) {
        uint32_t leader = begin(seed, 3);
        uint32_t gone = (leader + 1) % 3;
        static struct talk talk;
        group_crash(group, gone);
        talk_open(&talk, group, leader);
        talk_expect(&talk, "ping", "+PONG");
        uint64_t begun_ns = world_now_ns(group->world);
        talk_expect(&talk, "ping", "+PONG");
        uint64_t round_trip_ns = world_now_ns(group->world) - begun_ns;
        for (uint32_t round = 0; round < 4; round++) {
            talk_expect(&talk, "set k v", "+OK");
            begun_ns = world_now_ns(group->world);
            talk_expect(&talk, "wait 2 100", ":1");
            /* The node's clock may be 200 ppm off. */
            uint64_t waited_ns = world_now_ns(group->world) - begun_ns;
            assert_in_range(waited_ns, 100 * MS_NS - 20000,
                            100 * MS_NS + 20000 + 2 * round_trip_ns + MS_NS);
        }
        talk_expect(&talk, "wait 1 0", ":1");
        talk_say(&talk, "wait 2 0\r\n");
        assert_string_equal(talk_hear(&talk, 1, 3 * SECOND_NS), "");
        group_start(group, gone);
        assert_string_equal(talk_hear(&talk, 1, 3 * SECOND_NS), ":2\n");
        talk_close(&talk);
        group_free(group);
    }
}

static void a_slow_member_is_waited_for(void **state) {
    (void)state;
    uint32_t leader = begin(51, 3);
    uint32_t slow = (leader + 2) % 3;
    static struct talk talk;
    world_link_delay(group->world, group->hosts[leader], group->hosts[slow], 40 * MS_NS,
                     60 * MS_NS);
    group_run(group, SECOND_NS);
    talk_open(&talk, group, leader);
    for (uint32_t round = 0; round < 4; round++) {
        talk_expect(&talk, "set k v", "+OK");
        uint64_t begun_ns = world_now_ns(group->world);
        talk_expect(&talk, "wait 1 0", ":1");
        assert_true(world_now_ns(group->world) - begun_ns < 20 * MS_NS);
        assert_int_equal(write_and_wait(&talk, leader, round % 2 == 0, "wait 2 0"), 2);
        assert_true(world_now_ns(group->world) - begun_ns > 20 * MS_NS);
    }
    talk_close(&talk);
    group_free(group);
}

static void only_what_its_own_connection_wrote_counts(void **state) {
    (void)state;
    uint32_t leader = begin(61, 3);
    static struct talk one;
    static struct talk other;
    talk_open(&one, group, leader);
    talk_open(&other, group, leader);
    talk_expect(&one, "set one 1", "+OK");
    talk_expect(&one, "wait 2 0", ":2");
    cut(leader, (leader + 1) % 3, true);
    talk_expect(&other, "set other 1", "+OK");
    talk_expect(&other, "wait 2 50", ":1");
    talk_expect(&one, "wait 2 0", ":2");
    talk_close(&one);
    talk_close(&other);
    group_free(group);
}

/* ---- order, and others --------------------------------------------------------------------- */

static void what_is_behind_it_waits_and_others_do_not(void **state) {
    (void)state;
    for (uint64_t seed = 71; seed <= 73; seed++) {
        uint32_t leader = begin(seed, 3);
        static struct talk talk;
        static struct talk other;
        talk_open(&talk, group, leader);
        talk_open(&other, group, leader);
        cut(leader, (leader + 1) % 3, true);
        talk_say(&talk, "set k 1\r\nwait 2 200\r\nset k 2\r\nwait 2 100\r\nget k\r\n");
        assert_string_equal(talk_hear(&talk, 1, 100 * MS_NS), "+OK\n");
        talk_say(&talk, "set k 3\r\nget k\r\n");
        for (uint32_t round = 0; round < 8; round++) {
            talk_expect(&other, "get k", "1");
            talk_expect(&other, "incr other", ":");
        }
        assert_string_equal(talk_hear(&talk, 6, SECOND_NS), ":1\n+OK\n:1\n2\n+OK\n3\n");
        talk_close(&talk);
        talk_close(&other);
        group_free(group);
    }
}

static void many_who_wait_hold_up_nobody(void **state) {
    (void)state;
    for (uint64_t seed = 81; seed <= 83; seed++) {
        uint32_t leader = begin(seed, 3);
        static struct talk talks[MANY];
        static struct talk other;
        cut(leader, (leader + 1) % 3, true);
        for (uint32_t i = 0; i < MANY; i++) {
            talk_open(&talks[i], group, leader);
            talk_say(&talks[i], "set k 1\r\nwait 2 0\r\nping\r\n");
        }
        for (uint32_t i = 0; i < MANY; i++) {
            assert_string_equal(talk_hear(&talks[i], 1, SECOND_NS), "+OK\n");
        }
        group_run(group, 50 * MS_NS);
        assert_int_equal(waiting(leader), MANY);
        talk_open(&other, group, leader);
        for (uint32_t round = 0; round < 8; round++) {
            talk_expect(&other, "incr other", ":");
        }
        cut(leader, (leader + 1) % 3, false);
        for (uint32_t i = 0; i < MANY; i++) {
            assert_string_equal(talk_hear(&talks[i], 2, 3 * SECOND_NS), ":2\n+PONG\n");
            talk_close(&talks[i]);
        }
        assert_int_equal(waiting(leader), 0);
        talk_close(&other);
        group_free(group);
    }
}

static void who_goes_is_not_waited_for(void **state) {
    (void)state;
    uint32_t leader = begin(91, 3);
    static struct talk talks[MANY];
    cut(leader, (leader + 1) % 3, true);
    uint64_t before = node_figure(&figures(leader)->read.connections);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < MANY; i++) {
            talk_open(&talks[i], group, leader);
            talk_say(&talks[i],
                     round == 0 ? "set k 1\r\nwait 2 0\r\n" : "set k 1\r\nwait 2 40\r\nping\r\n");
        }
        static const uint64_t run_ms[] = {200, 15, 0}; /* at last before anything is there */
        group_run(group, run_ms[round] * MS_NS);
        assert_true(round != 0 || waiting(leader) == MANY);
        for (uint32_t i = 0; i < MANY; i++) {
            if (i % 2 == 0) {
                world_client_half_close(talks[i].connection);
            } else {
                talk_close(&talks[i]);
            }
        }
        group_run(group, 100 * MS_NS);
        for (uint32_t i = 0; i < MANY; i++) {
            talk_close(&talks[i]);
        }
        group_run(group, 100 * MS_NS);
        assert_int_equal(waiting(leader), 0);
        assert_int_equal(node_figure(&figures(leader)->read.connections), before);
    }
    group_free(group);
}

/* After eight pieces behind the WAIT nothing more of them is received; but their sender's end is
 * seen, and who stays is served on. */
static void who_goes_with_much_behind_its_wait_is_not_waited_for(void **state) {
    (void)state;
    enum { PIECES = 12, GOERS = 6 };
    static struct talk talk;
    uint32_t leader = begin(95, 3);
    cut(leader, (leader + 1) % 3, true);
    uint64_t before = node_figure(&figures(leader)->read.connections);
    for (uint32_t round = 0; round <= GOERS; round++) {
        talk_open(&talk, group, leader);
        talk_say(&talk, "set k 1\r\nwait 2 0\r\n");
        assert_string_equal(talk_hear(&talk, 1, SECOND_NS), "+OK\n");
        for (uint32_t i = 0; i < PIECES; i++) {
            talk_say(&talk, "incr n\r\n");
            group_run(group, 3 * MS_NS); /* so that each is a receive of its own */
        }
        assert_int_equal(waiting(leader), 1);
        if (round == GOERS) {
            break;
        }
        if (round % 3 == 0) {
            world_client_half_close(talk.connection);
        } else if (round % 3 == 1) {
            world_client_reset(talk.connection);
            talk.connection = NULL;
        } else {
            talk_close(&talk);
        }
        group_run(group, 100 * MS_NS);
        assert_int_equal(waiting(leader), 0);
        talk_close(&talk);
        group_run(group, 100 * MS_NS);
        assert_int_equal(node_figure(&figures(leader)->read.connections), before);
    }
    cut(leader, (leader + 1) % 3, false);
    const char *answer = talk_hear(&talk, 1 + PIECES, 3 * SECOND_NS);
    assert_string_equal(answer, ":2\n:1\n:2\n:3\n:4\n:5\n:6\n:7\n:8\n:9\n:10\n:11\n:12\n");
    talk_close(&talk);
    group_free(group);
}

/* 300 KiB behind a WAIT: more than eight receives of it are not taken before it is over. */
static void what_is_sent_behind_it_is_bounded(void **state) {
    (void)state;
    enum { COMMANDS = 300, VALUE_BYTES = 1000 };
    static char text[COMMANDS * (VALUE_BYTES + 16)];
    uint32_t leader = begin(101, 3);
    static struct talk talk;
    size_t length = 0;
    for (uint32_t i = 0; i < COMMANDS; i++) {
        length += (size_t)snprintf(text + length, sizeof(text) - length, "set k %0*u\r\n",
                                   VALUE_BYTES, i);
    }
    cut(leader, (leader + 1) % 3, true);
    talk_open(&talk, group, leader);
    talk_say(&talk, "set k 1\r\nwait 2 500\r\n");
    assert_string_equal(talk_hear(&talk, 1, 100 * MS_NS), "+OK\n");
    size_t sent = 0;
    uint64_t before = node_figure(&figures(leader)->read.received_bytes);
    uint64_t until_ns = world_now_ns(group->world) + 200 * MS_NS;
    while (world_now_ns(group->world) < until_ns) {
        sent += world_client_send(talk.connection, text + sent, length - sent);
        assert_true(group_step(group));
    }
    uint64_t taken = node_figure(&figures(leader)->read.received_bytes) - before;
    assert_true(taken < UINT64_C(10) * 16 * 1024 && taken < length);
    assert_int_equal(waiting(leader), 1);
    assert_string_equal(talk_hear(&talk, 1, SECOND_NS), ":1\n");
    talk_send(&talk, text + sent, length - sent);
    talk_hear(&talk, COMMANDS, 5 * SECOND_NS);
    char last[VALUE_BYTES + 8];
    snprintf(last, sizeof(last), "%0*u\n", VALUE_BYTES, COMMANDS - 1);
    assert_string_equal(talk_ask(&talk, "get k"), last);
    talk_close(&talk);
    group_free(group);
}

/* The time is over while the replies before it fill the sockets of a client that does not read: the
 * answer is known before the WAIT's own batch is home. */
static void a_wait_that_is_over_before_its_batch_is_home_is_answered(void **state) {
    (void)state;
    enum { GETS = 12, VALUE_BYTES = 4000 };
    static char text[VALUE_BYTES + 16 + GETS * 8 + 32];
    for (uint64_t seed = 111; seed <= 113; seed++) {
        uint32_t leader = begin(seed, 3);
        static struct talk talk;
        cut(leader, (leader + 1) % 3, true);
        talk_open(&talk, group, leader);
        snprintf(text, sizeof(text), "set k %0*u", VALUE_BYTES, 7);
        talk_expect(&talk, text, "+OK");
        size_t length = 0;
        for (uint32_t i = 0; i < GETS; i++) {
            length += (size_t)snprintf(text + length, sizeof(text) - length, "get k\r\n");
        }
        snprintf(text + length, sizeof(text) - length, "wait 2 10\r\nping\r\n");
        talk_say(&talk, text);
        group_run(group, SECOND_NS);
        const char *answer = talk_hear(&talk, GETS + 2, SECOND_NS);
        assert_true(strlen(answer) > GETS * VALUE_BYTES);
        assert_string_equal(answer + strlen(answer) - 9, ":1\n+PONG\n");
        talk_close(&talk);
        group_free(group);
    }
}

/* Behind it stands the beginning of a command, for which there is no memory. */
static void a_wait_on_a_connection_that_is_refused_is_no_wait(void **state) {
    (void)state;
    enum { ARENA_BYTES = 8 * 1024 }; /* less than what any unfinished command takes */
    static struct talk talk;
    group_init_networked(group, 121, 3, "fused");
    for (uint32_t i = 0; i < 3; i++) {
        group->nodes[i].options.carry_bytes_max = ARENA_BYTES;
        group_start(group, i);
    }
    group->load_on = false;
    group_run(group, 2 * SECOND_NS);
    uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    talk_open(&talk, group, leader);
    talk_say(&talk, "set k 1\r\nwait 2 0\r\nget");
    const char *answer = talk_hear(&talk, 2, SECOND_NS);
    assert_int_equal(strncmp(answer, "+OK\n-TRYAGAIN no memory", 23), 0);
    assert_int_equal(waiting(leader), 0);
    talk_close(&talk);
    talk_open(&talk, group, leader);
    talk_expect(&talk, "wait 2 0", ":2");
    talk_close(&talk);
    group_free(group);
}

/* More than one slice of a look takes: when one's time is over, the others are looked at once. */
static void who_waits_for_ever_costs_nothing_when_another_ones_time_is_over(void **state) {
    (void)state;
    enum { CROWD = 300 };
    static struct talk talks[CROWD];
    static struct talk other;
    group_init_networked(group, 131, 3, "fused");
    for (uint32_t i = 0; i < 3; i++) {
        group->nodes[i].options.connections_max = CROWD + 10;
        group_start(group, i);
    }
    group->load_on = false;
    group_run(group, 2 * SECOND_NS);
    uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    cut(leader, (leader + 1) % 3, true);
    for (uint32_t i = 0; i < CROWD; i++) {
        talk_open(&talks[i], group, leader);
        talk_say(&talks[i], "set k 1\r\nwait 2 0\r\n");
        assert_string_equal(talk_hear(&talks[i], 1, SECOND_NS), "+OK\n");
    }
    talk_open(&other, group, leader);
    talk_expect(&other, "set k 2", "+OK");
    talk_expect(&other, "wait 2 20", ":1");
    assert_int_equal(waiting(leader), CROWD);
    /* Idle but for heartbeats: some moments each, not as many as a processor has polls. */
    uint64_t steps = 0;
    uint64_t until_ns = world_now_ns(group->world) + SECOND_NS;
    while (world_now_ns(group->world) < until_ns) {
        assert_true(group_step(group));
        assert_true(++steps < IDLE_STEPS_MAX);
    }
    cut(leader, (leader + 1) % 3, false);
    for (uint32_t i = 0; i < CROWD; i++) {
        assert_string_equal(talk_hear(&talks[i], 1, 3 * SECOND_NS), ":2\n");
        talk_close(&talks[i]);
    }
    talk_close(&other);
    group_free(group);
}

/* Cuts, slows down or mends what joins the leader with another one. */
static void trouble(struct random *random, uint32_t leader) {
    uint32_t other = (leader + 1 + (uint32_t)random_below(random, 2)) % 3;
    cut(leader, other, random_chance(random, 1, 3));
    uint64_t delay_ns = random_chance(random, 1, 3) ? random_below(random, 40) * MS_NS : 0;
    world_link_delay(group->world, group->hosts[leader], group->hosts[other], delay_ns,
                     delay_ns + MS_NS);
}

/* A write, a WAIT and a read at once; false if the node leads no longer. */
static bool write_wait_read(struct talk *talk, struct random *random, uint32_t leader,
                            uint32_t round) {
    char text[128];
    uint32_t wanted = (uint32_t)random_below(random, 4);
    uint64_t timeout_ms = 1 + random_below(random, 60);
    uint64_t before = node_figure(&figures(leader)->apply.applied_index);
    uint64_t begun_ns = world_now_ns(group->world);
    snprintf(text, sizeof(text), "set k %u\r\nwait %u %u\r\nget k\r\n", round, wanted,
             (uint32_t)timeout_ms);
    talk_say(talk, text);
    const char *answer = talk_hear(talk, 3, 2 * SECOND_NS);
    unsigned reached;
    unsigned read;
    int used = 0;
    if (sscanf(answer, "+OK\n:%u\n%u\n%n", &reached, &read, &used) < 2) {
        return false; /* the write is unknown, or it was refused */
    }
    assert_true(reached >= 1 && reached <= others_with(leader, before + 1));
    if (reached < wanted) { /* then it has waited, unless leadership was lost meanwhile */
        bool leads = strchr(answer, '-') == NULL;
        assert_true(!leads || world_now_ns(group->world) - begun_ns >= timeout_ms * MS_NS - 20000);
    }
    if (used > 0) {
        assert_int_equal(read, round);
    }
    return used > 0;
}

static void it_holds_whatever_happens_to_the_network(void **state) {
    (void)state;
    uint32_t whole = 0;
    for (uint64_t seed = node_world_seed_first(201); seed <= node_world_seed_last(206); seed++) {
        uint32_t leader = begin(seed, 3);
        struct random random;
        static struct talk talk;
        random_seed(&random, seed);
        group->load_on = true;
        talk_open(&talk, group, leader);
        for (uint32_t round = 1; round <= 40; round++) {
            trouble(&random, leader);
            if (write_wait_read(&talk, &random, leader, round)) {
                whole++;
                continue;
            }
            talk_close(&talk);
            for (uint32_t i = 0; i < 3; i++) {
                cut(i, (i + 1) % 3, false);
            }
            group_run(group, SECOND_NS);
            leader = group_leader(group);
            group_expect(group, leader != UINT32_MAX, "somebody leads");
            talk_open(&talk, group, leader);
        }
        group_expect(group, true, "the others count rightly");
        talk_close(&talk);
        group_free(group);
    }
    assert_true(whole > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_does_not_lead_counts_nobody),
        cmocka_unit_test(who_loses_leadership_answers_what_was_reached),
        cmocka_unit_test(a_write_that_is_unknown_is_not_waited_for),
        cmocka_unit_test(it_waits_until_so_many_have_it),
        cmocka_unit_test(the_time_out_is_exact_and_who_is_gone_is_not_counted),
        cmocka_unit_test(a_slow_member_is_waited_for),
        cmocka_unit_test(only_what_its_own_connection_wrote_counts),
        cmocka_unit_test(what_is_behind_it_waits_and_others_do_not),
        cmocka_unit_test(many_who_wait_hold_up_nobody),
        cmocka_unit_test(who_goes_is_not_waited_for),
        cmocka_unit_test(who_goes_with_much_behind_its_wait_is_not_waited_for),
        cmocka_unit_test(what_is_sent_behind_it_is_bounded),
        cmocka_unit_test(a_wait_that_is_over_before_its_batch_is_home_is_answered),
        cmocka_unit_test(a_wait_on_a_connection_that_is_refused_is_no_wait),
        cmocka_unit_test(who_waits_for_ever_costs_nothing_when_another_ones_time_is_over),
        cmocka_unit_test(it_holds_whatever_happens_to_the_network),
    };
    return cmocka_run_group_tests_name("sim_node_wait", tests, NULL, NULL);
}
