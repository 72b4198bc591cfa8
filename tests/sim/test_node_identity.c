/*
 * Who a node is, in clusters of whole nodes: a new one takes part when it has met all, a wiped one
 * never again, whenever the power goes.
 *
 * At the end the defences are taken away, one at a time, by the linker (--wrap), and the same tests
 * must find that.
 */

#include "tests/sim/node_group.h"

#include <string.h>

#include "raft/raft.h"
#include "stages/peers.h"
#include "storage/incarnations.h"
#include "storage/log.h"

#define SECOND_NS UINT64_C(1000000000)

/* One for each map; with label long more of them, and under a sanitizer one. */
enum { SEEDS = WEIR_SANITIZER_BUILD ? 1 : 3 };

enum defect {
    DEFECT_NONE,
    DEFECT_NO_TABLE,         /* nobody remembers anybody's incarnation: a wiped node votes */
    DEFECT_TABLE_NOT_SYNCED, /* the table is called durable before it is */
};

static enum defect planted;
static struct group group[1];

/* ---- the functions in front ---------------------------------------------------------------- */

bool __real_incarnations_needed(const struct identity *identity);
bool __wrap_incarnations_needed(const struct identity *identity);
bool __wrap_incarnations_needed(const struct identity *identity) {
    return planted != DEFECT_NO_TABLE && __real_incarnations_needed(identity);
}

/* "WINC", the mark of the table's operations. */
#define INCARNATIONS_MARK UINT64_C(0x57494e43)

void __real_io_file_write(struct io_port *port, int32_t file, const struct iovec *pieces,
                          uint32_t count, uint64_t offset, enum io_sync sync, uint64_t user);
void __wrap_io_file_write(struct io_port *port, int32_t file, const struct iovec *pieces,
                          uint32_t count, uint64_t offset, enum io_sync sync, uint64_t user);
void __wrap_io_file_write(struct io_port *port, int32_t file, const struct iovec *pieces,
                          uint32_t count, uint64_t offset, enum io_sync sync, uint64_t user) {
    bool lies = planted == DEFECT_TABLE_NOT_SYNCED && user >> 32 == INCARNATIONS_MARK;
    __real_io_file_write(port, file, pieces, count, offset, lies ? IO_NO_SYNC : sync, user);
}

/* ---- what the tests share ------------------------------------------------------------------ */

static const char *const maps[] = {"fused", "pair", "split"};

static uint64_t last_index(uint32_t node) {
    return node_figure(&sim_node_figures(group->nodes[node].node)->replicate.last_index);
}

static uint64_t term(uint32_t node) {
    return node_figure(&sim_node_figures(group->nodes[node].node)->replicate.term);
}

static void cut(uint32_t node, bool is_cut) {
    for (uint32_t i = 0; i < group->node_count; i++) {
        group->cut[node][i] = is_cut;
        group->cut[i][node] = is_cut;
    }
}

static void start_all(uint64_t seed, uint32_t nodes) {
    group_init(group, seed, nodes, maps[seed % 3]);
    for (uint32_t i = 0; i < nodes; i++) {
        group_start(group, i);
    }
}

/* ---- new ones ------------------------------------------------------------------------------ */

static void a_new_cluster_waits_for_all_of_its_members_once(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        group_init(group, seed, 3, maps[seed % 3]);
        group_start(group, 0);
        group_start(group, 1);
        uint64_t until_ns = world_now_ns(group->world) + 5 * SECOND_NS;
        while (world_now_ns(group->world) < until_ns && group_step(group)) {
        } /* who takes no part may have nothing at all to do */
        group_expect(group, group_leader(group) == UINT32_MAX, "two of three have no leader");
        group_expect(group, term(0) <= 1 && term(1) <= 1, "nor do they campaign");
        group_start(group, 2);
        group_run(group, 3 * SECOND_NS);
        group_expect(group, group->counts.incr_acked > 50, "three have one");
        group_crash(group, 2);
        uint64_t acked = group->counts.incr_acked;
        group_run(group, 3 * SECOND_NS);
        group_expect(group, group->counts.incr_acked > acked + 50, "two suffice from now on");
        group_crash(group, 0);
        group_crash(group, 1);
        group_start(group, 0);
        group_start(group, 1);
        acked = group->counts.incr_acked;
        group_run(group, 3 * SECOND_NS);
        group_expect(group, group->counts.incr_acked > acked + 50, "also after a restart");
        group_free(group);
    }
}

/* The power of one goes at every step of the disk while they meet. */
static void a_power_cut_while_they_meet_costs_nothing(void **state) {
    (void)state;
    uint32_t runs = 0;
    uint32_t died = 0;
    /* Under a sanitizer every fifth: each node, and early, late and in between. */
    for (uint64_t step = 0; step < 24; step += WEIR_SANITIZER_BUILD ? 5 : 1) {
        uint32_t victim = (uint32_t)(step % 3);
        runs++;
        start_all(900 + step, 3);
        group->nodes[victim].may_fail = true;
        world_disk_die_after(group->world, group->nodes[victim].host, step / 3);
        group_run(group, SECOND_NS / 2);
        died += sim_node_failure(group->nodes[victim].node) != NULL;
        group_crash(group, victim);
        group->nodes[victim].may_fail = false;
        group_start(group, victim);
        group_run(group, 2 * SECOND_NS);
        for (uint32_t i = 0; i < 3; i++) { /* and then that of all */
            group_crash(group, i);
        }
        for (uint32_t i = 0; i < 3; i++) {
            group_start(group, i);
        }
        group_run(group, 2 * SECOND_NS);
        group->load_on = false;
        group_expect(group, group_settle(group, 5 * SECOND_NS), "all have applied everything");
        group_expect(group, group->counts.incr_acked > 50, "many were acknowledged");
        group_free(group);
    }
    assert_true(2 * died > runs);
}

/* ---- wiped ones ---------------------------------------------------------------------------- */

/*
 * A third of the cluster has missed writes that two acknowledged; of these one dies, and the other
 * comes back with an empty disk.  It and the third are a majority of names, not of memories.
 */
static void wipe_what_remembers(uint64_t seed) {
    start_all(seed, 3);
    group_run(group, 2 * SECOND_NS);
    uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX, "somebody leads");
    uint32_t behind = (leader + 1) % 3;
    uint32_t wiped = (leader + 2) % 3;
    cut(behind, true);
    uint64_t acked = group->counts.incr_acked;
    group_run(group, 2 * SECOND_NS);
    group_expect(group, group->counts.incr_acked > acked + 50, "two acknowledge more");
    group_crash(group, leader);
    group_crash(group, wiped);
    group_wipe(group, wiped);
    cut(behind, false);
    group_start(group, wiped);
    group_run(group, 5 * SECOND_NS);
}

static void a_wiped_node_votes_nothing_acknowledged_away(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        wipe_what_remembers(100 + seed);
        group_expect(group, group_leader(group) == UINT32_MAX, "nobody leads without who knows");
        uint32_t wiped = UINT32_MAX;
        for (uint32_t i = 0; i < 3; i++) {
            if (group->nodes[i].node == NULL) {
                wiped = (i + 2) % 3;
                group_start(group, i);
            }
        }
        uint64_t acked = group->counts.incr_acked;
        group_run(group, 3 * SECOND_NS);
        group_expect(group, group->counts.incr_acked > acked + 50, "with it they go on");
        group_expect(group, last_index(wiped) == 1, "the wiped one gets no entry");
        group_expect(group, term(wiped) <= 1, "nor has it a say in any term");
        group_crash(group, wiped);
        group_start(group, wiped);
        group_run(group, 2 * SECOND_NS);
        group_expect(group, last_index(wiped) == 1, "also after a restart");
        group_crash(group, wiped);
        group->load_on = false;
        group_expect(group, group_settle(group, 5 * SECOND_NS), "the others have everything");
        group_free(group);
    }
}

/* The same between real connections: whoever opens one is judged before it says anything. */
static void a_wiped_node_is_refused_over_connections_of_its_own(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(SEEDS); seed++) {
        group_init_networked(group, 500 + seed, 3, maps[seed % 3]);
        for (uint32_t i = 0; i < 3; i++) {
            group_start(group, i);
        }
        group_run(group, 2 * SECOND_NS);
        uint32_t wiped = (uint32_t)(seed % 3);
        group_crash(group, wiped);
        group_wipe(group, wiped);
        group_start(group, wiped);
        uint64_t acked = group->counts.incr_acked;
        group_run(group, 4 * SECOND_NS);
        group_expect(group, group->counts.incr_acked > acked + 50, "the others go on");
        group_expect(group, last_index(wiped) == 1, "the wiped one gets no entry");
        group_expect(group, term(wiped) <= 1, "nor has it a say in any term");
        uint64_t refused = 0;
        for (uint32_t i = 0; i < 3; i++) {
            refused += node_figure(&sim_node_figures(group->nodes[i].node)->parse.peers_refused);
        }
        group_expect(group, refused > 0, "its connections are refused");
        group_crash(group, wiped);
        group->load_on = false;
        group_expect(group, group_settle(group, 5 * SECOND_NS), "the others have everything");
        group_free(group);
    }
}

/* A member that is not there yet may be wiped; one whose disk some have met may not. */
static void a_node_wiped_before_all_have_met_is_let_in_by_none_or_by_all(void **state) {
    (void)state;
    uint32_t in_count = 0;
    uint32_t out_count = 0;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(4 * SEEDS);
         seed++) {
        start_all(200 + seed, 3);
        /* Up to the moment when some have a table, and some have not. */
        group_run(group, seed * 1000 * 1000);
        group_crash(group, 2);
        group_wipe(group, 2);
        group_start(group, 2);
        group_run(group, 5 * SECOND_NS);
        bool is_in = last_index(2) > 1;
        in_count += is_in;
        out_count += !is_in;
        if (is_in) {
            group->load_on = false;
            group_expect(group, group_settle(group, 5 * SECOND_NS), "all have everything");
        }
        group_expect(group, true, "no finding");
        group_free(group);
    }
    assert_true(in_count > 0 && out_count > 0);
}

static void a_removed_table_is_refused_once_the_node_has_taken_part(void **state) {
    (void)state;
    static const uint8_t zeros[4096] = {0};
    start_all(300, 3);
    group_run(group, SECOND_NS);
    group_expect(group, group->counts.incr_acked > 0, "they serve");
    group_crash(group, 1);
    world_file_put(group->world, group->nodes[1].host, sim_node_directory, "incarnations", zeros,
                   sizeof(zeros));
    struct error_text error = {.text = ""};
    assert_int_equal(sim_node_start(&group->nodes[1].node, group->world, group->nodes[1].host,
                                    &group->nodes[1].options, &error),
                     WEIR_ECORRUPT);
    assert_non_null(strstr(error.text, "incarnations: the table is empty, though this node has"));
    group_free(group);
}

/* ---- and without the defences -------------------------------------------------------------- */

static void a_wiped_node_that_votes_is_found(void **state) {
    (void)state;
    uint32_t found = 0;
    planted = DEFECT_NO_TABLE;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        wipe_what_remembers(100 + seed);
        found += group->finding[0] != '\0' && group_leader(group) != UINT32_MAX;
        group_free(group);
    }
    planted = DEFECT_NONE;
    assert_int_equal(found, SEEDS); /* what was acknowledged is read no more */
}

static void a_table_that_is_not_synced_is_found(void **state) {
    (void)state;
    uint32_t found = 0;
    planted = DEFECT_TABLE_NOT_SYNCED;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        start_all(400 + seed, 3);
        group_run(group, SECOND_NS);
        for (uint32_t i = 0; i < 3; i++) {
            group_crash(group, i);
            struct error_text error = {.text = ""};
            struct group_node *node = &group->nodes[i];
            int result =
                sim_node_start(&node->node, group->world, node->host, &node->options, &error);
            found += result == WEIR_ECORRUPT && strstr(error.text, "has taken part") != NULL;
        }
        group_free(group);
    }
    planted = DEFECT_NONE;
    assert_true(found > 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_removed_table_is_refused_once_the_node_has_taken_part),
        cmocka_unit_test(a_new_cluster_waits_for_all_of_its_members_once),
        cmocka_unit_test(a_power_cut_while_they_meet_costs_nothing),
        cmocka_unit_test(a_wiped_node_votes_nothing_acknowledged_away),
        cmocka_unit_test(a_wiped_node_is_refused_over_connections_of_its_own),
        cmocka_unit_test(a_node_wiped_before_all_have_met_is_let_in_by_none_or_by_all),
        cmocka_unit_test(a_wiped_node_that_votes_is_found),
        cmocka_unit_test(a_table_that_is_not_synced_is_found),
    };
    return cmocka_run_group_tests_name("sim_node_identity", tests, NULL, NULL);
}
