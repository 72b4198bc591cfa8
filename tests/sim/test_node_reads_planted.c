/*
 * Defects of reads, planted into whole nodes, one at a time: the group's load must find each, and
 * must find nothing in the same scenario without it.  The linker puts our functions in front of the
 * core's (--wrap).
 *
 *   a clock that stands still   the leader's does not run while its process is stopped, so that its
 *                               lease outlives it
 *   a lease that never ends     a leader that nobody answers goes on
 *   no confirmation             a read by quorum asks nobody
 *   no place                    a read runs before what was committed when it came is applied
 */

#include "raft/raft.h"
#include "tests/sim/node_group.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECOND_NS UINT64_C(1000000000)
#define SILENT_NS UINT64_C(150000000) /* less than the election time-out */

enum {
    SEEDS_MAX = 60, /* until a defect must have been found */
    SEEDS_CLEAN = WEIR_SANITIZER_BUILD ? 1 : 4,
};

enum defect {
    DEFECT_NONE,
    DEFECT_CLOCK_STANDS_STILL,
    DEFECT_LEASE_NEVER_ENDS,
    DEFECT_NO_CONFIRMATION,
    DEFECT_NO_PLACE,
};

static enum defect planted;
static struct group group[1];

/* ---- the functions in front ---------------------------------------------------------------- */

static struct raft *cores[GROUP_NODES_MAX + 1];      /* by node id */
static uint64_t stood_still_ns[GROUP_NODES_MAX + 1]; /* all together */

int __real_raft_create(struct raft **out, const struct raft_options *options);
int __wrap_raft_create(struct raft **out, const struct raft_options *options);
int __wrap_raft_create(struct raft **out, const struct raft_options *options) {
    int result = __real_raft_create(out, options);
    cores[options->node_id] = *out;
    stood_still_ns[options->node_id] = 0;
    return result;
}

static uint64_t stood_still(const struct raft *raft) {
    uint64_t ns = 0;
    for (uint32_t i = 0; i <= GROUP_NODES_MAX; i++) {
        ns += cores[i] == raft ? stood_still_ns[i] : 0;
    }
    return ns;
}

uint64_t __real_raft_deadline_ns(const struct raft *raft);
uint64_t __wrap_raft_deadline_ns(const struct raft *raft);

/* Nobody has answered this leader for long. */
static bool unanswered(const struct raft *raft) {
    struct raft_peer_status peers[CONFIGURATION_MEMBERS_MAX];
    uint32_t count = raft_peers(raft, peers, CONFIGURATION_MEMBERS_MAX);
    uint64_t latest_ns = 0;
    for (uint32_t i = 0; i < count; i++) {
        latest_ns = peers[i].answered_ns > latest_ns ? peers[i].answered_ns : latest_ns;
    }
    return latest_ns != 0 && __real_raft_deadline_ns(raft) > latest_ns + SILENT_NS;
}

uint64_t __wrap_raft_deadline_ns(const struct raft *raft) {
    uint64_t due_ns = __real_raft_deadline_ns(raft);
    if (planted == DEFECT_CLOCK_STANDS_STILL && due_ns != UINT64_MAX) {
        return due_ns + stood_still(raft);
    }
    return planted == DEFECT_LEASE_NEVER_ENDS && unanswered(raft) ? UINT64_MAX : due_ns;
}

static void ready_at_once(const struct raft *raft, struct raft_actions *actions) {
    actions->count = 1;
    actions->action[0] =
        (struct raft_action){.kind = RAFT_ACTION_READ_READY, .index = raft_commit_index(raft)};
}

void __real_raft_step(struct raft *raft, const struct raft_event *event,
                      struct raft_actions *actions);
void __wrap_raft_step(struct raft *raft, const struct raft_event *event,
                      struct raft_actions *actions);
void __wrap_raft_step(struct raft *raft, const struct raft_event *event,
                      struct raft_actions *actions) {
    struct raft_event seen = *event;
    bool leads = raft_role(raft) == RAFT_LEADER;
    bool reads = event->kind == RAFT_EVENT_READ && leads;
    if (planted == DEFECT_CLOCK_STANDS_STILL) {
        seen.now_ns -= stood_still(raft);
    }
    if (planted == DEFECT_LEASE_NEVER_ENDS && leads && unanswered(raft)) {
        if (event->kind == RAFT_EVENT_TICK) {
            actions->count = 0;
            return;
        }
        if (reads && event->lease) {
            ready_at_once(raft, actions);
            return;
        }
    }
    if (planted == DEFECT_NO_CONFIRMATION && reads) {
        ready_at_once(raft, actions);
        return;
    }
    __real_raft_step(raft, &seen, actions);
    for (uint32_t i = 0; i < actions->count && planted == DEFECT_NO_PLACE; i++) {
        if (actions->action[i].kind == RAFT_ACTION_READ_WAIT ||
            actions->action[i].kind == RAFT_ACTION_READ_READY) {
            actions->action[i].index = 0;
        }
    }
}

static void cut_off(uint32_t node) {
    for (uint32_t i = 0; i < 3; i++) {
        group->cut[node][i] = true;
        group->cut[i][node] = true;
    }
}

/* ---- scenarios ----------------------------------------------------------------------------- */

static void begin(uint64_t seed, enum read_mode reads, enum node_leases leases) {
    memset(cores, 0, sizeof(cores));
    group_init(group, seed, 3, "fused");
    for (uint32_t i = 0; i < 3; i++) {
        group->nodes[i].options.reads = (uint8_t)reads;
        group->nodes[i].options.leases = leases;
        group_start(group, i);
    }
}

/* The leader's process is stopped, and goes on while another one leads, of whom it hears only
 * later. */
static void leaders_stand_still(uint64_t seed) {
    begin(seed, READ_LEASE, NODE_LEASES_ON);
    for (uint32_t round = 0; round < 6 && group->finding[0] == '\0'; round++) {
        group_run(group, SECOND_NS);
        uint32_t leader = group_leader(group);
        if (leader != UINT32_MAX) {
            group->nodes[leader].paused = true;
            uint64_t began_ns = world_now_ns(group->world);
            cut_off(leader);
            group_run(group, 5 * SECOND_NS / 2); /* clients give it up, and find the next */
            group->nodes[leader].paused = false;
            stood_still_ns[leader + 1] += world_now_ns(group->world) - began_ns;
            group_run(group, SECOND_NS / 4);
            memset(group->cut, 0, sizeof(group->cut));
        }
    }
}

/* The leader is cut off, with clocks that run wrong within the bound. */
static void leaders_are_cut_off(uint64_t seed) {
    begin(seed, READ_LEASE, NODE_LEASES_ON);
    for (uint32_t round = 0; round < 6 && group->finding[0] == '\0'; round++) {
        group_run(group, SECOND_NS);
        uint32_t leader = group_leader(group);
        for (uint32_t i = 0; i < 3; i++) {
            world_clock_rate(group->world, group->nodes[i].host, i == leader ? -45000 : 45000);
        }
        if (leader != UINT32_MAX) {
            cut_off(leader);
        }
        group_run(group, SECOND_NS);
        memset(group->cut, 0, sizeof(group->cut));
    }
}

/* What the leader says is lost, what was said to it comes late, and clocks run as they like: it
 * believes in itself while another one leads. */
static void leaders_are_not_heard(uint64_t seed) {
    begin(seed, READ_QUORUM, NODE_LEASES_KEEP);
    group->delay_ns_max = 40 * 1000 * 1000;
    for (uint32_t round = 0; round < 8 && group->finding[0] == '\0'; round++) {
        group_run(group, SECOND_NS);
        uint32_t leader = group_leader(group);
        for (uint32_t i = 0; i < 3; i++) {
            world_clock_rate(group->world, group->nodes[i].host, i == leader ? -100000 : 100000);
        }
        for (uint32_t i = 0; leader != UINT32_MAX && i < 3; i++) {
            group->cut[leader][i] = true;
        }
        group_run(group, SECOND_NS / 2);
        memset(group->cut, 0, sizeof(group->cut));
    }
}

/* Leaders die, and their successors are asked before they know what was committed. */
static void leaders_die(uint64_t seed) {
    begin(seed, READ_QUORUM, NODE_LEASES_KEEP);
    for (uint32_t round = 0; round < 6 && group->finding[0] == '\0'; round++) {
        group_run(group, SECOND_NS / 2);
        uint32_t leader = group_leader(group);
        if (leader != UINT32_MAX) {
            group_crash(group, leader);
            group_run(group, SECOND_NS);
            group_start(group, leader);
        }
    }
}

static void scenario_end(void) {
    group_free(group);
}

static const struct {
    enum defect defect;
    void (*run)(uint64_t seed);
} scenarios[] = {
    {DEFECT_CLOCK_STANDS_STILL, leaders_stand_still},
    {DEFECT_LEASE_NEVER_ENDS, leaders_are_cut_off},
    {DEFECT_NO_CONFIRMATION, leaders_are_not_heard},
    {DEFECT_NO_PLACE, leaders_die},
};
enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

static void without_a_defect_nothing_is_found(void **state) {
    (void)state;
    planted = DEFECT_NONE;
    for (uint32_t i = 0; i < SCENARIOS; i++) {
        for (uint64_t seed = 1; seed <= SEEDS_CLEAN; seed++) {
            scenarios[i].run(seed);
            group_expect(group, group->counts.gets > 50, "something was read");
            scenario_end();
        }
    }
}

/* The seeds are the same as without the defect. */
static void is_found(enum defect defect) {
    void (*run)(uint64_t seed) = scenarios[defect - 1].run;
    assert_int_equal(scenarios[defect - 1].defect, defect);
    planted = defect;
    for (uint64_t seed = 1; seed <= SEEDS_MAX; seed++) {
        run(seed);
        bool found = strncmp(group->finding, "a reply is older", 16) == 0;
        if (group->finding[0] != '\0' && !found) {
            fail_msg("seed %" PRIu64 ": %s", seed, group->finding);
        }
        planted = DEFECT_NONE; /* nor does such a leader ever come to rest */
        scenario_end();
        if (found) {
            print_message("found with seed %" PRIu64 "\n", seed);
            return;
        }
        planted = defect;
    }
    fail_msg("defect %u was not found with %u seeds", defect, SEEDS_MAX);
}

static void a_clock_that_stands_still_is_found(void **state) {
    (void)state;
    is_found(DEFECT_CLOCK_STANDS_STILL);
}

static void a_lease_that_never_ends_is_found(void **state) {
    (void)state;
    is_found(DEFECT_LEASE_NEVER_ENDS);
}

static void reads_without_confirmation_are_found(void **state) {
    (void)state;
    is_found(DEFECT_NO_CONFIRMATION);
}

static void reads_before_their_index_is_applied_are_found(void **state) {
    (void)state;
    is_found(DEFECT_NO_PLACE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_defect_nothing_is_found),
        cmocka_unit_test(a_clock_that_stands_still_is_found),
        cmocka_unit_test(a_lease_that_never_ends_is_found),
        cmocka_unit_test(reads_without_confirmation_are_found),
        cmocka_unit_test(reads_before_their_index_is_applied_are_found),
    };
    return cmocka_run_group_tests_name("sim_node_reads_planted", tests, NULL, NULL);
}
