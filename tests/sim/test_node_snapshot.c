/*
 * Snapshots between whole nodes: who was cut off until the others have dropped what it needs comes
 * back by a snapshot, under load, whoever loses power meanwhile, and whatever is lost or altered on
 * the way.  Afterwards all have applied the same, hold the same, and remember the same sessions.
 *
 * A receiver without room, or with a disk that fails: before the snapshot has its name that costs
 * the transfer, then the process, and never the data.
 *
 * WEIR_SIM_SEEDS multiplies the number of seeds, WEIR_SIM_SEED runs one.
 */

#include "tests/sim/node_group.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/decimal.h"
#include "base/log.h"
#include "raft/raft.h"

#define SECOND_NS UINT64_C(1000000000)

enum {
    SEEDS = WEIR_SANITIZER_BUILD ? 1 : 3, /* one for each map; with label long more of them */
    SNAPSHOT_LOG_BYTES = 192 * 1024,
    VALUE_BYTES = 40 * 1024,
    /* Values of that size: a state of 1.2 MB, 19 pieces of 64 KiB. */
    VALUES = 30,
    FAILURES_MAX = 6, /* attempts until the operation that is meant is the one that fails */
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
            /* What was not synced yet is mostly lost; once it is all there. */
            group_crash_keeping(group, node, i == 1 ? WORLD_KEEP_ALL : WORLD_KEEP_RANDOM);
            group_run(group, SECOND_NS / 10);
            group_start(group, node);
            (void)run_to_chunk(node, 1);
            resumed += node_figure(&replicate_of(node)->snapshot_bytes_resumed);
        }
        group_run(group, SECOND_NS);
        end(session, ":1\r");
    }
    assert_true(resumed > 0);
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

/* ---- a receiver's disk that is full, or fails ------------------------------------------------ */

/* What the nodes have said so far, as lines of their log; a file of its own for each scenario. */
static bool is_said(FILE *file, const char *words) {
    static char line[4096];
    bool found = false;
    rewind(file);
    while (!found && fgets(line, sizeof(line), file) != NULL) {
        found = strstr(line, words) != NULL;
    }
    return found;
}

static void disk_room(uint32_t node, uint64_t bytes) {
    uint32_t host = group->nodes[node].host;
    world_disk_capacity(group->world, host, world_disk_used_bytes(group->world, host) + bytes);
}

/* It answers clients, and another leader gets its vote. */
static void expect_serving_on(uint32_t node) {
    static const char line[] = "PING\r\n";
    const char *reply = ask(node, line, strlen(line));
    group_expect(group, reply != NULL && strncmp(reply, "+PONG", 5) == 0, "it answers clients");
    uint32_t leader = group_leader(group);
    cut(leader, true);
    group_run(group, 3 * SECOND_NS);
    /* It can commit nothing, so it steps down, and is elected again. */
    uint32_t next = group_leader(group);
    for (uint32_t i = 0; i < 80 && next == UINT32_MAX; i++) {
        group_run(group, SECOND_NS / 10);
        next = group_leader(group);
    }
    group_expect(group, next != UINT32_MAX && next != leader && next != node,
                 "another one leads by its vote");
    cut(leader, false);
    group_run(group, SECOND_NS);
    group_expect(group, sim_node_failure(group->nodes[node].node) == NULL, "it does not fail");
}

static void without_room_for_it_a_member_says_so_serves_on_and_installs_it_later(void **state) {
    (void)state;
    uint32_t said = 0;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        begin(1100 + seed, 3);
        FILE *file = tmpfile();
        assert_non_null(file);
        group_run(group, SECOND_NS);
        uint64_t session = open_session();
        say_once(session, 1, ":1\r");
        uint32_t node = follower();
        leave_behind(node);
        disk_room(node, 0);
        log_descriptor_set(fileno(file));
        cut(node, false);
        group_run(group, 2 * SECOND_NS);
        group_expect(group,
                     node_figure(&apply_of(node)->snapshots_installed) == 0 &&
                         node_figure(&replicate_of(node)->snapshots_placed) == 0,
                     "there is no room for it");
        said += is_said(file, "event=snapshot_not_received") && is_said(file, "No space left");
        expect_serving_on(node);
        group_expect(group, node_figure(&apply_of(node)->snapshots_installed) == 0,
                     "there is still no room for it");
        disk_room(node, UINT64_C(1) << 40);
        group_expect(group, run_to_install(node), "it installs it once there is room");
        group_run(group, SECOND_NS);
        end(session, ":1\r");
        (void)fclose(file); /* the next group's lines go elsewhere */
    }
    assert_true(said > 0); /* not by each: the lines are limited, by the real clock */
}

/* A start on a disk that has no room for anything new; whether it came to one. */
static bool start_without_room(uint32_t node) {
    struct group_node *starting = &group->nodes[node];
    struct error_text error = {.text = ""};
    world_disk_capacity(group->world, starting->host, 1);
    starting->options.schedule_seed = group->seed * 1000 + starting->starts++;
    if (sim_node_start(&starting->node, group->world, starting->host, &starting->options, &error) !=
        0) {
        assert_non_null(strstr(error.text, "No space left"));
        starting->node = NULL;
        return false;
    }
    for (uint32_t i = 0; i < group->node_count; i++) {
        if (i != node) {
            assert_non_null(peers_row(sim_node_peers(starting->node), i + 1));
        }
    }
    return true;
}

/* The space of what comes is allocated at once; the log's spare segment is made anew by each start,
 * and so is what there is no room for.  Only then an installation has to wait for one. */
static void without_room_for_a_new_segment_an_installation_waits(void **state) {
    (void)state;
    uint32_t waited = 0;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(2 * SEEDS);
         seed++) {
        begin(1200 + seed, 3);
        group_run(group, SECOND_NS);
        uint64_t session = open_session();
        say_once(session, 1, ":1\r");
        uint32_t node = follower();
        uint32_t host = group->nodes[node].host;
        leave_behind(node);
        cut(node, false);
        /* All of it is there when the power goes, unless that takes its name. */
        world_halt_at(group->world, host, WORLD_POINT_RENAME, "snapshot.received", 1);
        group->nodes[node].may_fail = true;
        while (!world_halted(group->world, host) && group_step(group)) {
        }
        group_crash(group, node);
        group->nodes[node].may_fail = false;
        if (!start_without_room(node)) {
            disk_room(node, UINT64_C(1) << 40);
            group_start(group, node);
        }
        uint64_t before = node_figure(&replicate_of(node)->compacted_index);
        group_run(group, 4 * SECOND_NS);
        group_expect(group, sim_node_failure(group->nodes[node].node) == NULL, "it does not fail");
        bool waits = node_figure(&replicate_of(node)->snapshots_placed) == 1 &&
                     node_figure(&replicate_of(node)->compacted_index) == before;
        waited += waits;
        disk_room(node, UINT64_C(1) << 40);
        group_run(group, 2 * SECOND_NS);
        group_expect(group, !waits || node_figure(&replicate_of(node)->compacted_index) > before,
                     "it goes on once there is room");
        end(session, ":1\r");
    }
    /* In the others the power cut took some of what had come, or the start needs a segment. */
    assert_true(waited > 0);
}

/* The nth operation of a sort fails while a snapshot comes; returns whether that was the end of the
 * process, which then begins anew. */
static bool fail_while_receiving(uint64_t seed, enum world_disk_operation operation, uint32_t nth,
                                 uint32_t times) {
    begin(seed, 3);
    group_run(group, SECOND_NS);
    uint64_t session = open_session();
    say_once(session, 1, ":1\r");
    uint32_t node = follower();
    leave_behind(node);
    cut(node, false);
    group_expect(group, run_to_chunk(node, 3), "it comes");
    group->nodes[node].may_fail = true;
    world_disk_fail(group->world, group->nodes[node].host, operation, nth, times, -EIO);
    uint64_t until_ns = world_now_ns(group->world) + 10 * SECOND_NS;
    while (sim_node_failure(group->nodes[node].node) == NULL &&
           node_figure(&apply_of(node)->snapshots_installed) == 0 &&
           world_now_ns(group->world) < until_ns && group_step(group)) {
    }
    const char *sentence = sim_node_failure(group->nodes[node].node);
    bool has_failed = sentence != NULL;
    world_disk_fail(group->world, group->nodes[node].host, operation, 1, 0, 0);
    if (has_failed) {
        if (strstr(sentence, "snapshot") == NULL && strstr(sentence, "log") == NULL) {
            fail_msg("seed %llu: the sentence names no file: %s", (unsigned long long)seed,
                     sentence);
        }
        group_run(group, SECOND_NS);
        group_expect(group, sim_node_ended(group->nodes[node].node), "the process ends");
        group_crash(group, node);
        group->nodes[node].may_fail = false;
        group_start(group, node);
    } else {
        group_expect(group, node_figure(&apply_of(node)->snapshots_installed) > 0,
                     "it comes once more");
    }
    group_run(group, SECOND_NS);
    end(session, ":1\r");
    return has_failed;
}

static void a_disk_that_fails_costs_the_transfer_and_while_installing_the_process(void **state) {
    (void)state;
    static const struct {
        enum world_disk_operation operation;
        uint32_t nth;
        uint32_t times;
        bool is_final;
    } cases[] = {
        {WORLD_DISK_WRITE, 1, 1, false},                                 /* a piece */
        {WORLD_DISK_WRITE, 9, 1, false}, {WORLD_DISK_SYNC, 1, 1, false}, /* all pieces */
        {WORLD_DISK_READ, 1, 1, false},                                  /* when they are judged */
        {WORLD_DISK_SYNC, 2, 1, true},  /* the header that becomes this node's */
        {WORLD_DISK_NAMES, 1, 4, true}, /* its name; what is old may be removed before */
        {WORLD_DISK_SYNC, 3, 1, true},  /* the directory */
        {WORLD_DISK_SYNC, 4, 1, true},
    };
    for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
        /* A sync of the log may come between, and be the one that fails: then once more. */
        bool has_failed = false;
        for (uint32_t attempt = 0; attempt < FAILURES_MAX && !has_failed; attempt++) {
            has_failed = fail_while_receiving(1300 + i + 24 * attempt, cases[i].operation,
                                              cases[i].nth, cases[i].times);
            if (!cases[i].is_final) {
                break;
            }
        }
        if (has_failed != cases[i].is_final) {
            fail_msg("case %u: the process %s", i, has_failed ? "ended" : "went on");
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        /* First: what others have said before would count against its lines. */
        cmocka_unit_test(without_room_for_it_a_member_says_so_serves_on_and_installs_it_later),
        cmocka_unit_test(who_was_cut_off_comes_back_by_a_snapshot_and_remembers_sessions),
        cmocka_unit_test(a_power_cut_of_the_receiver_in_the_middle_costs_only_time),
        cmocka_unit_test(a_power_cut_or_loss_of_the_sender_in_the_middle_costs_only_time),
        cmocka_unit_test(a_newer_snapshot_may_overtake_the_one_being_sent),
        cmocka_unit_test(lost_and_altered_pieces_are_sent_again),
        cmocka_unit_test(without_room_for_a_new_segment_an_installation_waits),
        cmocka_unit_test(a_disk_that_fails_costs_the_transfer_and_while_installing_the_process),
    };
    return cmocka_run_group_tests_name("sim_node_snapshot", tests, NULL, NULL);
}
