/*
 * What the swarm's checks say of what a node has applied, before anybody was seen to commit it.
 *
 * A node that commits something and is out of step in the same step is not looked at: its log is
 * not what its core believes.  What it applies then is excused, if its own core has committed it;
 * but only until it is in step again.  Here a node is a few numbers: the functions by which the
 * checks look at one are replaced.
 */

#include "sim/swarm_check.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "raft/raft.h"
#include "sim/swarm_internal.h"
#include "storage/log.h"
#include "tests/cmocka_wrapper.h"

enum { LAST = 5, TERM = 2, CHAIN_FIRST = 100 };

/* What the checks see of the node. */
static struct {
    bool in_step;
    uint64_t commit_index;
    struct entry_tail tail;
    struct node figures;
} seen;

bool __wrap_sim_node_in_step(const struct sim_node *node);
bool __wrap_sim_node_in_step(const struct sim_node *node) {
    (void)node;
    return seen.in_step;
}

const struct raft *__wrap_sim_node_raft(const struct sim_node *node);
const struct raft *__wrap_sim_node_raft(const struct sim_node *node) {
    (void)node;
    return NULL; /* nobody looks into it but by the functions below */
}

const struct log *__wrap_sim_node_log(const struct sim_node *node);
const struct log *__wrap_sim_node_log(const struct sim_node *node) {
    (void)node;
    return NULL;
}

const struct node *__wrap_sim_node_figures(const struct sim_node *node);
const struct node *__wrap_sim_node_figures(const struct sim_node *node) {
    (void)node;
    return &seen.figures;
}

bool __wrap_sim_node_digest(const struct sim_node *node, uint64_t *index, uint64_t *digest);
bool __wrap_sim_node_digest(const struct sim_node *node, uint64_t *index, uint64_t *digest) {
    (void)node;
    (void)index;
    (void)digest;
    return false;
}

uint64_t __wrap_raft_commit_index(const struct raft *raft);
uint64_t __wrap_raft_commit_index(const struct raft *raft) {
    (void)raft;
    return seen.commit_index;
}

uint64_t __wrap_raft_term(const struct raft *raft);
uint64_t __wrap_raft_term(const struct raft *raft) {
    (void)raft;
    return TERM;
}

enum raft_role __wrap_raft_role(const struct raft *raft);
enum raft_role __wrap_raft_role(const struct raft *raft) {
    (void)raft;
    return RAFT_FOLLOWER;
}

uint64_t __wrap_log_last_index(const struct log *log);
uint64_t __wrap_log_last_index(const struct log *log) {
    (void)log;
    return LAST;
}

uint64_t __wrap_log_durable_index(const struct log *log);
uint64_t __wrap_log_durable_index(const struct log *log) {
    (void)log;
    return LAST;
}

const struct entry_tail *__wrap_log_tail(const struct log *log);
const struct entry_tail *__wrap_log_tail(const struct log *log) {
    (void)log;
    return &seen.tail;
}

const uint8_t *__wrap_log_entry(const struct log *log, uint64_t index);
const uint8_t *__wrap_log_entry(const struct log *log, uint64_t index) {
    (void)log;
    (void)index;
    return NULL; /* none is in memory: their chains are known */
}

uint64_t __wrap_log_term(const struct log *log, uint64_t index);
uint64_t __wrap_log_term(const struct log *log, uint64_t index) {
    (void)log;
    return index <= LAST ? TERM : 0;
}

/* What else is looked at, elsewhere, has tests of its own. */
void __wrap_swarm_reads_look(struct swarm_check *check, struct swarm *swarm, uint32_t node);
void __wrap_swarm_reads_look(struct swarm_check *check, struct swarm *swarm, uint32_t node) {
    (void)check;
    (void)swarm;
    (void)node;
}

void __wrap_swarm_stored_check(struct swarm_check *check, struct swarm *swarm, uint32_t node);
void __wrap_swarm_stored_check(struct swarm_check *check, struct swarm *swarm, uint32_t node) {
    (void)check;
    (void)swarm;
    (void)node;
}

/* ---- a swarm of one node ------------------------------------------------------------------- */

static struct swarm *one;
static struct swarm_plan plan[1];
static struct swarm_result result[1];
static const struct swarm_watch nobody;

/* A node of term 2 with five entries, of which the first four were seen to be committed. */
static int one_node(void **state) {
    (void)state;
    static uint8_t something;
    one = calloc(1, sizeof(*one));
    assert_non_null(one);
    memset(result, 0, sizeof(*result));
    memset(&seen, 0, sizeof(seen));
    plan->node_count = 1;
    plan->founder_count = 1;
    one->plan = plan;
    one->watch = &nobody;
    one->result = result;
    one->nodes[0].node = (struct sim_node *)(void *)&something;
    swarm_check_create(&one->check, 1);
    struct swarm_seen *node = &one->check.nodes[0];
    node->term = TERM;
    node->role = RAFT_FOLLOWER;
    node->last_index = LAST;
    node->chains = calloc(LAST + 1, sizeof(*node->chains));
    assert_non_null(node->chains);
    node->chain_count = LAST + 1;
    node->chain_capacity = LAST + 1;
    for (uint64_t i = 1; i <= LAST; i++) {
        node->chains[i] = CHAIN_FIRST + i;
    }
    seen.tail = (struct entry_tail){.index = LAST, .term = TERM, .chain = CHAIN_FIRST + LAST};
    seen.in_step = true;
    seen.commit_index = LAST - 1;
    swarm_check_node(&one->check, one, 0);
    assert_false(result->failed);
    assert_int_equal(one->check.committed_count, LAST - 1);
    return 0;
}

static int no_node(void **state) {
    (void)state;
    swarm_check_destroy(&one->check);
    free(one);
    return 0;
}

/* The node is looked at, with the last entry applied. */
static void look(bool in_step, uint64_t commit_index) {
    seen.in_step = in_step;
    seen.commit_index = commit_index;
    node_figure_set(&seen.figures.apply.applied_index, LAST);
    swarm_check_node(&one->check, one, 0);
}

static const char nobody_committed[] = "node 1 has applied index 5, which nobody has committed";

static void what_an_out_of_step_node_applies_without_its_core_is_told(void **state) {
    (void)state;
    node_figure_set(&seen.figures.apply.applied_chain, CHAIN_FIRST + LAST);
    look(false, LAST - 1);
    assert_true(result->failed);
    assert_string_equal(result->finding, nobody_committed);
}

static void what_a_node_in_step_applies_without_its_core_is_told(void **state) {
    (void)state;
    node_figure_set(&seen.figures.apply.applied_chain, CHAIN_FIRST + LAST);
    look(true, LAST - 1);
    assert_true(result->failed);
    assert_string_equal(result->finding, nobody_committed);
}

/* What the core said while it was out of step it must still say when it is in step. */
static void what_was_excused_and_is_not_committed_in_step_is_told(void **state) {
    (void)state;
    node_figure_set(&seen.figures.apply.applied_chain, CHAIN_FIRST + LAST);
    look(false, LAST);
    assert_false(result->failed);
    look(true, LAST - 1);
    assert_true(result->failed);
    assert_string_equal(result->finding, nobody_committed);
}

static void what_was_excused_and_is_another_entry_is_told(void **state) {
    (void)state;
    node_figure_set(&seen.figures.apply.applied_chain, CHAIN_FIRST);
    look(false, LAST);
    assert_false(result->failed);
    look(true, LAST);
    assert_true(result->failed);
    assert_string_equal(result->finding,
                        "node 1 has applied other entries up to index 5 than were committed");
}

static void what_its_own_core_has_committed_is_excused_until_it_is_seen(void **state) {
    (void)state;
    node_figure_set(&seen.figures.apply.applied_chain, CHAIN_FIRST + LAST);
    look(false, LAST);
    assert_false(result->failed);
    assert_int_equal(one->check.nodes[0].applied_index, 0); /* it is looked at again */
    look(false, LAST);
    assert_false(result->failed);
    look(true, LAST);
    assert_false(result->failed);
    assert_int_equal(one->check.committed_count, LAST);
    assert_int_equal(one->check.nodes[0].applied_index, LAST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_an_out_of_step_node_applies_without_its_core_is_told,
                                        one_node, no_node),
        cmocka_unit_test_setup_teardown(what_a_node_in_step_applies_without_its_core_is_told,
                                        one_node, no_node),
        cmocka_unit_test_setup_teardown(what_was_excused_and_is_not_committed_in_step_is_told,
                                        one_node, no_node),
        cmocka_unit_test_setup_teardown(what_was_excused_and_is_another_entry_is_told, one_node,
                                        no_node),
        cmocka_unit_test_setup_teardown(what_its_own_core_has_committed_is_excused_until_it_is_seen,
                                        one_node, no_node),
    };
    return cmocka_run_group_tests_name("sim_swarm_check", tests, NULL, NULL);
}
