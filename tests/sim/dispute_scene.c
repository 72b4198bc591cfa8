/* See dispute_scene.h. */

#include "tests/sim/dispute_scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stages/change.h"
#include "stages/digest.h"

struct group dispute_group[1];
static struct group *const group = dispute_group;
const char *const dispute_maps[DISPUTE_MAPS] = {"fused", "pair", "split"};

/* The last of `count` seeds from `first` on. Under a sanitizer there is one of each. */
uint64_t dispute_seeds_last(uint64_t first, uint64_t count) {
    if (getenv("WEIR_SIM_SEED") != NULL)
        return node_world_seed_last(first);
    return first +
           (WEIR_SANITIZER_BUILD ? 1 : count) * node_world_environment("WEIR_SIM_SEEDS", 1) - 1;
}

/* ---- the defect ---------------------------------------------------------------------------- */

static struct machine_operations wrong_machines[DISPUTE_NODES_MAX];
struct dispute_defect dispute_defects[DISPUTE_NODES_MAX];

static const struct machine_operations *machine_real;
static uint32_t starting; /* the node that is started next */

static enum machine_progress execute(uint32_t node, struct machine *machine,
                                     struct machine_run *run) {
    const enum machine_progress progress = machine_real->execute(machine, run);
    dispute_defects[node].is_flipped |= run->moment.index >= dispute_defects[node].at;
    return progress;
}

static uint64_t digest(uint32_t node, const struct machine *machine, uint32_t partition) {
    const uint64_t right = machine_real->digest(machine, partition);
    return dispute_defects[node].is_flipped && partition == dispute_defects[node].partition
               ? right ^ dispute_defects[node].bit
               : right;
}

#define OF_NODE(i)                                                                               \
    static enum machine_progress execute_##i(struct machine *machine, struct machine_run *run) { \
        return execute(i, machine, run);                                                         \
    }                                                                                            \
    static uint64_t digest_##i(const struct machine *machine, uint32_t partition) {              \
        return digest(i, machine, partition);                                                    \
    }
OF_NODE(0)
OF_NODE(1)
OF_NODE(2)
OF_NODE(3)
OF_NODE(4)

static enum machine_progress (*const executes[DISPUTE_NODES_MAX])(struct machine *machine,
                                                                  struct machine_run *run) = {
    execute_0, execute_1, execute_2, execute_3, execute_4};
static uint64_t (*const digests[DISPUTE_NODES_MAX])(const struct machine *machine,
                                                    uint32_t partition) = {
    digest_0, digest_1, digest_2, digest_3, digest_4};

const struct machine_operations *__real_machine_find(const char *name);
const struct machine_operations *__wrap_machine_find(const char *name);
const struct machine_operations *__wrap_machine_find(const char *name) {
    machine_real = __real_machine_find(name);
    struct machine_operations *wrong = &wrong_machines[starting];
    *wrong = *machine_real;
    wrong->execute = executes[starting];
    wrong->digest = digests[starting];
    return wrong;
}

/* ---- runs ---------------------------------------------------------------------------------- */

void dispute_start(uint32_t node) {
    starting = node;
    dispute_defects[node].at = UINT64_MAX;
    dispute_defects[node].is_flipped = false;
    group->nodes[node].may_fail = false;
    group_start(group, node);
}

/* The memory of a process errs, soon. */
void dispute_err(uint32_t node, uint32_t partition, uint64_t bit) {
    const struct node *figures = sim_node_figures(group->nodes[node].node);
    dispute_defects[node].at = node_figure(&figures->apply.applied_index) + 100;
    dispute_defects[node].partition = partition;
    dispute_defects[node].bit = bit;
    group->nodes[node].may_fail = true;
}

void dispute_begin_with_snapshots(uint64_t seed, uint32_t node_count, uint64_t snapshot_log_bytes) {
    group_init(group, seed, node_count, dispute_maps[seed % DISPUTE_MAPS]);
    for (uint32_t i = 0; i < node_count; i++) {
        group->nodes[i].options.snapshot_log_bytes = snapshot_log_bytes;
        dispute_start(i);
    }
    group_run(group, SECOND_NS);
    group_expect(group, group_leader(group) != UINT32_MAX, "somebody leads");
}

void dispute_begin(uint64_t seed, uint32_t node_count) {
    dispute_begin_with_snapshots(seed, node_count, 0);
}

const char *dispute_failure_of(uint32_t node) {
    return sim_node_failure(group->nodes[node].node);
}

bool dispute_run_until_failure(uint32_t node) {
    for (uint32_t i = 0; i < 600 && dispute_failure_of(node) == NULL; i++)
        group_run(group, SECOND_NS / 10);
    return dispute_failure_of(node) != NULL;
}

const struct node_replicate_figures *dispute_figures_of(uint32_t node) {
    return &sim_node_figures(group->nodes[node].node)->replicate;
}

uint64_t dispute_undecided(uint32_t node) {
    return node_figure(&dispute_figures_of(node)->digest_undecided);
}

bool dispute_run_until_undecided(uint32_t node) {
    for (uint32_t i = 0; i < 600 && dispute_undecided(node) == 0; i++)
        group_run(group, SECOND_NS / 10);
    return dispute_undecided(node) != 0;
}

void dispute_assert_says(const char *sentence, const char *part) {
    assert_non_null(sentence);
    if (strstr(sentence, part) == NULL)
        fail_msg("\"%s\" is missing in: %s", part, sentence);
}

/* That the sentence names the partition and the interval in which the bit was flipped. */
void dispute_assert_told(uint32_t node) {
    char text[64];
    const uint64_t before = (dispute_defects[node].at - 1) / DIGEST_INTERVAL * DIGEST_INTERVAL;
    snprintf(text, sizeof(text), "in 1 of 8 partitions: partition %u has",
             dispute_defects[node].partition);
    dispute_assert_says(dispute_failure_of(node), text);
    snprintf(text, sizeof(text), "(%lu, %lu]", (unsigned long)before,
             (unsigned long)before + DIGEST_INTERVAL);
    dispute_assert_says(dispute_failure_of(node), text);
    dispute_assert_says(dispute_failure_of(node), "most members have other data than this node");
}

/* The others go on without those that have stopped, and lose nothing that was acknowledged. */
void dispute_expect_going_on(void) {
    const uint64_t acked = group->counts.incr_acked;
    group_run(group, 3 * SECOND_NS);
    group_expect(group, group->counts.incr_acked > acked + 50, "the others go on");
    const uint32_t leader = group_leader(group);
    group_expect(group, leader != UINT32_MAX && dispute_failure_of(leader) == NULL,
                 "one of them leads");
}

/* All that were stopped come back, and all agree on what is logged from now on. */
void dispute_expect_all_agree(void) {
    for (uint32_t i = 0; i < group->node_count; i++) {
        if (dispute_failure_of(i) == NULL)
            continue;
        group_crash(group, i);
        dispute_start(i);
    }
    group_run(group, SECOND_NS);
    group->load_on = false;
    group_expect(group, group_settle(group, 20 * SECOND_NS), "all have applied everything");
    for (uint32_t i = 0; i < group->node_count; i++)
        group_expect(group, dispute_failure_of(i) == NULL, "nobody stops");
}

/* The leader makes it a learner. */
void dispute_learner_add(uint32_t node) {
    const struct change_request request = {
        .kind = CHANGE_MEMBERS,
        .edit_count = 1,
        .edits = {{.kind = CHANGE_ADD_LEARNER, .node_id = node + 1}}};
    struct change_box *box = sim_node_changes(group->nodes[group_leader(group)].node);
    const char *reason = "";
    assert_true(change_ask(box, &request));
    sim_node_wake(group->nodes[group_leader(group)].node);
    while (change_look(box, &reason) < CHANGE_DONE)
        assert_true(group_step(group));
    if (change_look(box, &reason) != CHANGE_DONE)
        fail_msg("no learner: %s", reason);
    change_forget(box);
}
