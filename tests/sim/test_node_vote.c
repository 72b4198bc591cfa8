/* Whole nodes that start again know for whom they voted. */

#include "raft/raft.h"
#include "tests/sim/node_group.h"

#define SECOND_NS UINT64_C(1000000000)

static struct group group[1];

static void a_node_that_starts_again_knows_for_whom_it_voted(void **state) {
    (void)state;
    uint32_t votes = 0;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(3); seed++) {
        group_init(group, 500 + seed, 3, seed % 2 == 0 ? "fused" : "split");
        for (uint32_t i = 0; i < 3; i++)
            group_start(group, i);
        group_run(group, SECOND_NS);
        group_expect(group, group_leader(group) != UINT32_MAX, "somebody leads");
        for (uint32_t i = 0; i < 3; i++) {
            const struct raft *before = sim_node_raft(group->nodes[i].node);
            uint64_t term = raft_term(before);
            uint64_t voted_for = raft_voted_for(before);
            group_crash(group, i);
            group_start(group, i);
            const struct raft *after = sim_node_raft(group->nodes[i].node);
            group_expect(group, raft_term(after) == term, "the term is the same");
            group_expect(group, raft_voted_for(after) == voted_for, "and so is the vote");
            votes += voted_for != 0;
            group_run(group, SECOND_NS);
        }
        group_free(group);
    }
    assert_true(votes >= 6); /* a quorum in each cluster, at least */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_starts_again_knows_for_whom_it_voted),
    };
    return cmocka_run_group_tests_name("votes over a restart", tests, NULL, NULL);
}
