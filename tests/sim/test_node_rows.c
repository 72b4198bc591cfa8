/*
 * Members that come and go during a process's life: each node has a row for as many others as there
 * can be at once, and one that is none any more makes room for the next.
 *
 * Three nodes; the others are names in the configuration, of whom nobody answers, but for one that
 * has a connection here.
 */

#include "tests/sim/node_group.h"

#include <string.h>

#include "stages/change.h"
#include "wire/peer_hello.h"

#define SECOND_NS UINT64_C(1000000000)

enum {
    COMING_AND_GOING = 3 * PEERS_MAX,
    FIRST = 100, /* their ids */
    INCARNATION = 7,
};

static struct group group[1];
static const char *const maps[] = {"fused", "pair", "split"};

static void begin(uint64_t seed) {
    group_init_networked(group, seed, 3, maps[seed % ARRAY_COUNT(maps)]);
    group->load_on = false;
    for (uint32_t i = 0; i < 3; i++)
        group_start(group, i);
    group_expect(group, group_settle(group, 5 * SECOND_NS), "somebody leads");
}

static void end(void) {
    group->load_on = true;
    group_run(group, SECOND_NS);
    group_expect(group, group->counts.incr_acked > 50, "clients are served");
    group->load_on = false;
    group_expect(group, group_settle(group, 5 * SECOND_NS), "all have applied everything");
    group_free(group);
}

/* The leader is asked until it has done so; fails the test after two seconds. */
static void change(enum change_edit_kind kind, uint64_t node_id) {
    const struct change_request request = {
        .kind = CHANGE_MEMBERS,
        .edit_count = 1,
        .edits = {{.kind = kind, .node_id = node_id, .incarnation = INCARNATION}}};
    uint64_t until_ns = world_now_ns(group->world) + 2 * SECOND_NS;
    const char *reason = "";
    enum change_state state = CHANGE_NONE;
    while (state != CHANGE_DONE && world_now_ns(group->world) < until_ns) {
        struct sim_node *leader = group->nodes[group_leader(group)].node;
        struct change_box *box = sim_node_changes(leader);
        assert_true(change_ask(box, &request));
        sim_node_wake(leader);
        while ((state = change_look(box, &reason)) < CHANGE_DONE)
            assert_true(group_step(group));
        change_forget(box);
        if (state != CHANGE_DONE)
            group_run(group, SECOND_NS / 50);
    }
    if (state != CHANGE_DONE)
        fail_msg("seed %lu, node %lu: %s", (unsigned long)group->seed, (unsigned long)node_id,
                 reason);
}

static bool has_row(uint32_t node, uint64_t node_id) {
    return peers_find(sim_node_peers(group->nodes[node].node), node_id) != NULL;
}

static void more_members_come_and_go_than_there_can_be_at_once(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(3); seed++) {
        begin(1500 + seed);
        for (uint64_t id = FIRST; id < FIRST + COMING_AND_GOING; id++) {
            change(CHANGE_ADD_LEARNER, id);
            group_run(group, SECOND_NS / 20);
            for (uint32_t i = 0; i < 3; i++) /* so that it may connect, if it comes */
                group_expect(group, has_row(i, id), "each has a row for it");
            change(CHANGE_REMOVE, id);
        }
        for (uint32_t i = 0; i < 3; i++)
            for (uint64_t id = 1; id <= 3; id++)
                group_expect(group, id == i + 1 || has_row(i, id), "who stays keeps its row");
        end();
    }
}

static struct world_client *hello_send(uint32_t node, uint64_t from) {
    const struct identity *identity = &sim_node_figures(group->nodes[node].node)->options->identity;
    const struct peer_hello hello = {.connection = PEER_CONNECTION_DATA,
                                     .cluster_id = identity->cluster_id,
                                     .from = from,
                                     .incarnation = INCARNATION,
                                     .to = identity->node_id,
                                     .known = identity->incarnation};
    uint8_t frame[PEER_HELLO_FRAME_BYTES_MAX];
    uint32_t body_bytes = peer_hello_write(frame + PEER_FRAME_HEADER_BYTES, &hello);
    struct peer_frame_writer writer;
    peer_frame_writer_begin(&writer);
    const struct peer_frame_span span = {frame + PEER_FRAME_HEADER_BYTES, body_bytes};
    uint32_t length_bytes = peer_frame_write(&writer, frame, PEER_FRAME_HELLO, &span, 1);
    struct world_client *client =
        world_client_connect(group->world, group->hosts[node], SIM_NODE_PEER_PORT);
    assert_non_null(client);
    assert_int_equal(world_client_send(client, frame, length_bytes), length_bytes);
    group_run(group, SECOND_NS / 20);
    return client;
}

static void who_is_no_member_any_more_keeps_its_connection_until_its_row_is_needed(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(3); seed++) {
        begin(1600 + seed);
        const uint32_t node = group_leader(group);
        const uint64_t *introduced =
            &sim_node_figures(group->nodes[node].node)->parse.peers_introduced;
        change(CHANGE_ADD_LEARNER, FIRST);
        const uint64_t before = node_figure(introduced);
        struct world_client *client = hello_send(node, FIRST);
        group_expect(group, node_figure(introduced) == before + 1, "it is let in");
        change(CHANGE_REMOVE, FIRST);
        for (uint64_t id = FIRST + 1; has_row(node, FIRST) && id < FIRST + 3 * PEERS_MAX; id++) {
            group_expect(group, world_client_state(client) == WORLD_CLIENT_OPEN,
                         "its connection stays with its row");
            change(CHANGE_ADD_LEARNER, id);
            change(CHANGE_REMOVE, id);
        }
        group_expect(group, !has_row(node, FIRST), "its row is another one's now");
        group_run(group, SECOND_NS / 20);
        uint8_t bytes[256];
        (void)world_client_receive(client, bytes, sizeof(bytes));
        group_expect(group, world_client_state(client) != WORLD_CLIENT_OPEN,
                     "and its connection is closed");
        world_client_reset(client);
        client = hello_send(node, FIRST);
        group_expect(group, node_figure(introduced) == before + 1, "it is not let in again");
        world_client_reset(client);
        end();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_members_come_and_go_than_there_can_be_at_once),
        cmocka_unit_test(who_is_no_member_any_more_keeps_its_connection_until_its_row_is_needed),
    };
    return cmocka_run_group_tests_name("sim_node_rows", tests, NULL, NULL);
}
