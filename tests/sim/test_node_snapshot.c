/*
 * Snapshots between whole nodes: who was cut off until the others have dropped what it needs comes
 * back by a snapshot, under load, whoever loses power meanwhile, and whatever is lost or altered on
 * the way.  Afterwards all have applied the same, hold the same, and remember the same sessions.
 *
 * WEIR_SIM_SEEDS multiplies the number of seeds, WEIR_SIM_SEED runs one.
 */

#include "tests/sim/node_group.h"

#include <stdio.h>
#include <string.h>

#include "base/decimal.h"
#include "raft/raft.h"

#define SECOND_NS UINT64_C(1000000000)

enum {
    SEEDS = WEIR_SANITIZER_BUILD ? 1 : 3, /* one for each map; with label long more of them */
    SNAPSHOT_LOG_BYTES = 192 * 1024,
    VALUE_BYTES = 40 * 1024,
    /* Values of that size: a state of 1.2 MB, 19 pieces of 64 KiB. */
    VALUES = 30,
};

static struct group group[1];
static const char *const maps[] = {"fused", "pair", "split"};

/* Hosts disagree by years about what time it is; then no session would outlive its leader. */
static void clocks_agree(void) {
    uint64_t first_ms = 0;
    for (uint32_t i = 0; i < group->node_count; i++) {
        struct io *io = world_io(group->world, group->nodes[i].host);
        uint64_t wall_ms = io_wall_ms(io);
        io_destroy(io);
        first_ms = i == 0 ? wall_ms : first_ms;
        world_clock_jump(group->world, group->nodes[i].host, (int64_t)(first_ms - wall_ms));
    }
}

static void begin(uint64_t seed, uint32_t nodes) {
    group_init(group, seed, nodes, maps[seed % 3]);
    clocks_agree();
    for (uint32_t i = 0; i < nodes; i++) {
        group->nodes[i].options.snapshot_log_bytes = SNAPSHOT_LOG_BYTES;
        group_start(group, i);
    }
}

static const struct node_replicate_figures *replicate_of(uint32_t node) {
    return &sim_node_figures(group->nodes[node].node)->replicate;
}

static const struct node_apply_figures *apply_of(uint32_t node) {
    return &sim_node_figures(group->nodes[node].node)->apply;
}

static void cut(uint32_t node, bool is_cut) {
    for (uint32_t i = 0; i < group->node_count; i++) {
        group->cut[node][i] = is_cut;
        group->cut[i][node] = is_cut;
    }
}

/* ---- a client that speaks lines ------------------------------------------------------------- */

/* Sends to a node, and waits for one line; NULL if none comes. */
static const char *ask(uint32_t node, const char *request, size_t left) {
    static char reply[256];
    size_t length = 0;
    if (group->nodes[node].node == NULL) {
        return NULL;
    }
    struct world_client *socket =
        world_client_connect(group->world, group->nodes[node].host, SIM_NODE_PORT);
    uint64_t until_ns = world_now_ns(group->world) + 2 * SECOND_NS;
    bool is_there = false;
    while (socket != NULL && !is_there && world_now_ns(group->world) < until_ns &&
           group->finding[0] == '\0' && world_client_state(socket) == WORLD_CLIENT_OPEN) {
        size_t sent = world_client_send(socket, request, left);
        request += sent;
        left -= sent;
        length += world_client_receive(socket, reply + length, sizeof(reply) - 1 - length);
        reply[length] = '\0';
        is_there = strchr(reply, '\n') != NULL;
        if (!is_there && !group_step(group)) {
            break;
        }
    }
    if (socket != NULL) {
        world_client_reset(socket);
    }
    return is_there ? reply : NULL;
}

/* Whoever leads is asked, until somebody answers. */
static const char *ask_leader(const char *request, size_t length) {
    const char *last = "nobody leads, or answers";
    for (uint32_t tries = 0; tries < 40 && group->finding[0] == '\0'; tries++) {
        uint32_t leader = group_leader(group);
        const char *reply = leader == UINT32_MAX ? NULL : ask(leader, request, length);
        if (reply != NULL && reply[0] != '-') {
            return reply;
        }
        last = reply == NULL ? last : reply;
        group_run(group, SECOND_NS / 10);
    }
    group_expect(group, false, last);
    return "";
}

static void say_once(uint64_t session, uint64_t sequence, const char *expected) {
    char line[128];
    int length = snprintf(line, sizeof(line), "ONCE %llu %llu INCR once\r\n",
                          (unsigned long long)session, (unsigned long long)sequence);
    group_expect(group, strncmp(ask_leader(line, (size_t)length), expected, strlen(expected)) == 0,
                 "the session answers");
}

static uint64_t open_session(void) {
    static const char line[] = "ONCE.OPEN\r\n";
    uint64_t session = 0;
    const char *reply = ask_leader(line, strlen(line));
    assert_int_equal(decimal_parse_u64(reply + 1, strcspn(reply, "\r") - 1, &session), 0);
    return session;
}

static void set_values(uint32_t first, uint32_t count) {
    static char request[VALUE_BYTES + 128];
    for (uint32_t i = first; i < first + count; i++) {
        int head = snprintf(request, sizeof(request), "*3\r\n$3\r\nSET\r\n$5\r\nv%04u\r\n$%d\r\n",
                            i % VALUES, VALUE_BYTES);
        memset(request + head, 'a' + (int)(i % 26), VALUE_BYTES);
        memcpy(request + head + VALUE_BYTES, "\r\n", 2);
        group_expect(group, ask_leader(request, (size_t)head + VALUE_BYTES + 2)[0] == '+', "a SET");
    }
}

/* ---- the course of a scenario --------------------------------------------------------------- */

/* Cuts a node off until the leader no longer has what it needs. */
static void leave_behind(uint32_t node) {
    set_values(0, VALUES);
    uint64_t last = node_figure(&replicate_of(node)->last_index);
    cut(node, true);
    group_run(group, SECOND_NS);
    for (uint32_t i = 0; i < 10; i++) {
        set_values(i * VALUES / 2, VALUES / 2);
        uint32_t leader = group_leader(group);
        if (leader != UINT32_MAX && node_figure(&replicate_of(leader)->compacted_index) > last + 64)
            break;
    }
    group_run(group, SECOND_NS / 2);
    uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX && leader != node, "another one leads");
    group_expect(group, node_figure(&replicate_of(leader)->compacted_index) > last + 64,
                 "the leader has dropped what it needs");
}

/* Runs until the node has received so many pieces, or has installed. */
static bool run_to_chunk(uint32_t node, uint64_t chunks) {
    uint64_t until_ns = world_now_ns(group->world) + 20 * SECOND_NS;
    while (group->finding[0] == '\0' && world_now_ns(group->world) < until_ns) {
        if (node_figure(&replicate_of(node)->snapshot_chunks_received) >= chunks) {
            return true;
        }
        if (node_figure(&apply_of(node)->snapshots_installed) > 0 || !group_step(group)) {
            return false;
        }
    }
    return false;
}

static bool run_to_install(uint32_t node) {
    uint64_t until_ns = world_now_ns(group->world) + 30 * SECOND_NS;
    while (group->finding[0] == '\0' && world_now_ns(group->world) < until_ns &&
           node_figure(&apply_of(node)->snapshots_installed) == 0 && group_step(group)) {
    }
    return node_figure(&apply_of(node)->snapshots_installed) > 0;
}

/* All have applied the same; each in turn, alone with one other, still knows everything. */
static void end(uint64_t session, const char *expected) {
    group->load_on = false;
    group_expect(group, group_settle(group, 20 * SECOND_NS), "all have applied everything");
    uint64_t records = node_figure(&apply_of(0)->record_count);
    uint64_t memory = node_figure(&apply_of(0)->sessions);
    for (uint32_t i = 1; i < group->node_count; i++) {
        group_expect(group, node_figure(&apply_of(i)->record_count) == records, "as many records");
        group_expect(group, node_figure(&apply_of(i)->sessions) == memory, "as many sessions");
        group_expect(group,
                     node_figure(&apply_of(i)->applied_chain) ==
                         node_figure(&apply_of(0)->applied_chain),
                     "one history");
    }
    if (session != 0) {
        say_once(session, 1, expected);
    }
    group_free(group);
}

/* Makes the node lead, and asks it for what was done under the session before. */
static void lead_and_repeat(uint32_t node, uint64_t session) {
    group->load_on = false;
    group_expect(group, group_settle(group, 20 * SECOND_NS), "all have applied everything");
    for (uint32_t tries = 0; tries < 30 && group_leader(group) != node; tries++) {
        uint32_t leader = group_leader(group);
        if (leader != UINT32_MAX) {
            cut(leader, true);
            group_run(group, SECOND_NS);
            cut(leader, false);
        }
        group_run(group, SECOND_NS / 2);
    }
    group_expect(group, group_leader(group) == node, "it leads at last");
    say_once(session, 1, ":1\r");
    say_once(session, 2, ":2\r");
}

static uint32_t follower(void) {
    uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    return (leader + 1 + (uint32_t)random_below(&group->random, group->node_count - 1)) %
           group->node_count;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void who_was_cut_off_comes_back_by_a_snapshot_and_remembers_sessions(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(600 + seed, 3);
        group_run(group, SECOND_NS);
        uint64_t session = open_session();
        say_once(session, 1, ":1\r");
        uint32_t node = seed % 2 == 0 ? follower() : group_leader(group);
        leave_behind(node);
        cut(node, false);
        group_expect(group, run_to_install(node), "it has installed a snapshot");
        group_expect(group, node_figure(&replicate_of(node)->snapshot_chunks_received) >= 15,
                     "in many pieces");
        group_run(group, SECOND_NS);
        lead_and_repeat(node, session);
        end(session, ":1\r");
    }
}

static void a_power_cut_of_the_receiver_in_the_middle_costs_only_time(void **state) {
    (void)state;
    uint64_t resumed = 0;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(2 * SEEDS);
         seed++) {
        begin(700 + seed, 3);
        group_run(group, SECOND_NS);
        uint64_t session = open_session();
        say_once(session, 1, ":1\r");
        uint32_t node = follower();
        leave_behind(node);
        cut(node, false);
        for (uint32_t i = 0; i < 3; i++) {
            (void)run_to_chunk(node, 2 + random_below(&group->random, 18));
            uint32_t steps = (uint32_t)random_below(&group->random, 400);
            for (uint32_t step = 0; step < steps; step++) {
                (void)group_step(group);
            }
            group_crash(group, node);
            group_run(group, SECOND_NS / 10);
            group_start(group, node);
            (void)run_to_chunk(node, 1);
            resumed += node_figure(&replicate_of(node)->snapshot_bytes_resumed);
        }
        group_run(group, SECOND_NS);
        end(session, ":1\r");
    }
    bool is_one_seed = node_world_seed_first(1) == node_world_seed_last(2 * SEEDS);
    assert_true(resumed > 0 || is_one_seed);
}

static void a_power_cut_or_loss_of_the_sender_in_the_middle_costs_only_time(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(800 + seed, 3);
        group_run(group, SECOND_NS);
        uint64_t session = open_session();
        say_once(session, 1, ":1\r");
        uint32_t node = follower();
        leave_behind(node);
        cut(node, false);
        (void)run_to_chunk(node, 3 + random_below(&group->random, 10));
        uint32_t leader = group_leader(group);
        if (seed % 2 == 0) { /* it leads no longer, and comes back */
            cut(leader, true);
            group_run(group, 2 * SECOND_NS);
            cut(leader, false);
        } else {
            group_crash(group, leader);
            group_run(group, SECOND_NS);
            group_start(group, leader);
        }
        group_run(group, 2 * SECOND_NS);
        end(session, ":1\r");
    }
}

static void a_newer_snapshot_may_overtake_the_one_being_sent(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(900 + seed, 3);
        group_run(group, SECOND_NS);
        uint64_t session = open_session();
        say_once(session, 1, ":1\r");
        uint32_t node = follower();
        leave_behind(node);
        cut(node, false);
        (void)run_to_chunk(node, 5);
        set_values(0, VALUES); /* several snapshots more */
        cut(node, true);
        set_values(0, VALUES);
        cut(node, false);
        group_expect(group, run_to_install(node), "it has installed a snapshot");
        group_run(group, SECOND_NS);
        end(session, ":1\r");
    }
}

static void lost_and_altered_pieces_are_sent_again(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(1000 + seed, 3);
        group_run(group, SECOND_NS);
        uint64_t session = open_session();
        say_once(session, 1, ":1\r");
        uint32_t node = follower();
        leave_behind(node);
        group->chunk_loss_per_mille = 150;
        cut(node, false);
        (void)run_to_chunk(node, 1 + random_below(&group->random, 10));
        group->chunks_spoilt_next = 1;
        group_expect(group, run_to_install(node), "it has installed a snapshot");
        group_expect(group, group->counts.chunks_lost > 0, "pieces were lost");
        group_expect(group, group->counts.chunks_spoilt == 1, "one was altered");
        group_expect(group, node_figure(&replicate_of(node)->snapshots_refused) > 0,
                     "what was altered was found");
        group_run(group, SECOND_NS);
        end(session, ":1\r");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_cut_off_comes_back_by_a_snapshot_and_remembers_sessions),
        cmocka_unit_test(a_power_cut_of_the_receiver_in_the_middle_costs_only_time),
        cmocka_unit_test(a_power_cut_or_loss_of_the_sender_in_the_middle_costs_only_time),
        cmocka_unit_test(a_newer_snapshot_may_overtake_the_one_being_sent),
        cmocka_unit_test(lost_and_altered_pieces_are_sent_again),
    };
    return cmocka_run_group_tests_name("sim_node_snapshot", tests, NULL, NULL);
}
