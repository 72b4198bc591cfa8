/*
 * Members that come and go, and disks that are lost, in whole clusters: plans by hand whose story
 * says that the configurations changed, and that who lost its disk came back as a new member.
 */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "tests/cmocka_wrapper.h"
#include "tests/sim/swarm_listener.h"

#define SECOND_NS (UINT64_C(1000) * 1000 * 1000)

enum {
    /* Amounts of an action of members: the remainder by seven chooses (sim/swarm_members.c), and an
       odd one adds a node with the disk that it has. */
    ADDS = 7,
    PROMOTES = 1,
    REMOVES = 9,
    REPLACES = 3,
};

static struct swarm_plan plan[1];
static struct swarm_result result[1];
static const char *const story = swarm_story; /* lines, each with its newline */

/* `founders` nodes, and so many that may be added; a calm world, no faults. */
static void plan_by_hand(uint64_t seed, uint32_t founders, uint32_t joiners) {
    swarm_plan_draw(plan, seed, founders);
    plan->node_count = founders + joiners;
    plan->world = world_options_calm();
    plan->clients = cluster_clients_options_default();
    plan->safety_ns = 12 * SECOND_NS;
    plan->leases = false;
    plan->action_count = 0;
}

/* From so many seconds on, for a second and a half. */
static void members_by_hand(uint32_t at_s, uint32_t node, int64_t amount) {
    plan->actions[plan->action_count++] =
        (struct swarm_action){.fault = SWARM_MEMBERS,
                              .from_ns = at_s * SECOND_NS,
                              .to_ns = at_s * SECOND_NS + SECOND_NS * 3 / 2,
                              .node = node - 1,
                              .amount = amount};
}

static void run_and_listen(void) {
    swarm_run_and_listen(plan, result);
    if (result->failed) {
        fail_msg("seed %u: %s", (unsigned)plan->seed, result->finding);
    }
}

/* The story has these words one behind the other. */
static void told_in_order(const char *const words[], size_t count) {
    const char *at = story;
    for (size_t i = 0; i < count; i++) {
        const char *next = strstr(at, words[i]);
        if (next == NULL) {
            fail_msg("not in the story, or too early: %s\n%.6000s", words[i], at);
        }
        at = next + strlen(words[i]);
    }
}

static void a_node_is_added_and_promoted(void **state) {
    (void)state;
    static const char *const expected[] = {
        " is asked to add node 4",
        " has members 1 2 3 (4), index ",
        " says: done",
        " is asked to promote node 4",
        " has joint members 1 2 3 +4",
        " has members 1 2 3 4, index ",
        " says: done",
    };
    plan_by_hand(1, 3, 1);
    members_by_hand(1, 4, ADDS);
    members_by_hand(4, 4, PROMOTES);
    run_and_listen();
    told_in_order(expected, ARRAY_COUNT(expected));
    assert_true(result->counts.configurations >= 2);
    assert_int_equal(result->counts.disks_lost, 0);
}

static void a_member_that_is_removed_is_none_any_more(void **state) {
    (void)state;
    static const char *const expected[] = {" is asked to remove node 2",
                                           " has members 1 3, index "};
    plan_by_hand(2, 3, 0);
    members_by_hand(2, 2, REMOVES);
    run_and_listen();
    told_in_order(expected, ARRAY_COUNT(expected));
    assert_true(result->counts.configurations >= 1);
}

static void whoever_leads_is_removed_and_another_one_leads(void **state) {
    (void)state;
    plan_by_hand(3, 3, 0);
    members_by_hand(2, 1, REMOVES);
    plan->actions[0].leader = true;
    run_and_listen();
    assert_non_null(strstr(story, " is asked to remove node "));
    assert_non_null(strstr(story, " leads no more, follows in term "));
    assert_true(result->counts.elections >= 2);
    assert_true(result->counts.configurations >= 1);
}

static void a_member_is_replaced_in_one_step_over_a_joint_configuration(void **state) {
    (void)state;
    static const char *const expected[] = {
        " has members 1 2 3 (4), index ", " is asked to promote node 4, and",
        " is asked to remove node 3",     " has joint members 1 2 -3 +4, index ",
        " has members 1 2 4, index ",
    };
    plan_by_hand(4, 3, 1);
    members_by_hand(1, 4, ADDS);
    members_by_hand(4, 3, REPLACES);
    run_and_listen();
    told_in_order(expected, ARRAY_COUNT(expected));
    assert_true(result->counts.configurations >= 3);
}

/* Who lost its disk is a stranger, whom the others turn away, until it is removed and added anew;
 * then it has everything again, which the peace at the end demands of a member. */
static void who_was_added_and_lost_its_disk_comes_back_as_a_new_member(void **state) {
    (void)state;
    static const char *const expected[] = {
        " has members 1 2 3 4, index ",
        "begins #3: lost disk, node 4",
        "node 4 has an empty disk",
        "node 4 starts",
        " > 4  refuses a connection: ",
        " is asked to remove node 4",
        " has members 1 2 3, index ",
        " is asked to add node 4",
        " has members 1 2 3 (4), index ",
        " > 4  first append, term ",
        "4 > ",
        "  first answer, term ",
        " is asked to promote node 4",
        " has members 1 2 3 4, index ",
        "---- peace",
    };
    plan_by_hand(5, 3, 1);
    plan->safety_ns = 18 * SECOND_NS;
    members_by_hand(1, 4, ADDS);
    members_by_hand(3, 4, PROMOTES);
    plan->actions[plan->action_count++] = (struct swarm_action){
        .fault = SWARM_LOST_DISK, .from_ns = 6 * SECOND_NS, .to_ns = 7 * SECOND_NS, .node = 3};
    members_by_hand(8, 4, REMOVES);
    members_by_hand(11, 4, ADDS);
    members_by_hand(14, 4, PROMOTES);
    run_and_listen();
    told_in_order(expected, ARRAY_COUNT(expected));
    assert_int_equal(result->counts.disks_lost, 1);
    assert_true(result->counts.configurations >= 7);
}

/* The members of the first configuration know each other for good: a founder's id is used up with
 * its disk, and who is added under it gets no entry. */
static void a_founder_that_lost_its_disk_stays_out_though_it_is_added(void **state) {
    (void)state;
    static const char *const expected[] = {
        "begins #1: lost disk, node 2", "node 2 has an empty disk",
        " > 2  refuses a connection: ", " has members 1 3, index ",
        " has members 1 (2) 3, index ",
    };
    plan_by_hand(6, 3, 0);
    plan->actions[plan->action_count++] = (struct swarm_action){
        .fault = SWARM_LOST_DISK, .from_ns = SECOND_NS, .to_ns = SECOND_NS * 3 / 2, .node = 1};
    members_by_hand(3, 2, REMOVES);
    members_by_hand(5, 2, ADDS);
    run_and_listen();
    told_in_order(expected, ARRAY_COUNT(expected));
    const char *added = strstr(story, " has members 1 (2) 3, index ");
    assert_null(strstr(added, " 2  first append"));
    assert_null(strstr(added, " > 2 3  first append"));
}

/* But a leader that joined later has no table of first lives: it takes the one that introduces
 * itself. When all founders have learned of it from the log, who lost its disk takes part. */
static void a_founder_that_a_joined_leader_adds_anew_gets_the_log(void **state) {
    (void)state;
    static const char *const expected[] = {
        " has members 1 2 3 4, index ",
        "node 4 leads in term ",
        " has members 2 3 4, index ",
        "node 1 has an empty disk",
        " has members (1) 2 3 4, index ",
        " > 1  first append, ",
        "---- peace",
    };
    plan_by_hand(9, 3, 1);
    members_by_hand(1, 4, ADDS);
    members_by_hand(3, 4, PROMOTES);
    for (uint32_t i = 0; i < 3; i++) {
        plan->actions[plan->action_count++] =
            (struct swarm_action){.fault = SWARM_TRANSFER,
                                  .from_ns = 5 * SECOND_NS + i * SECOND_NS / 10,
                                  .to_ns = 5 * SECOND_NS + i * SECOND_NS / 10,
                                  .node = 3};
    }
    members_by_hand(6, 1, REMOVES);
    plan->actions[plan->action_count++] =
        (struct swarm_action){.fault = SWARM_LOST_DISK,
                              .from_ns = 7 * SECOND_NS + SECOND_NS / 2,
                              .to_ns = 7 * SECOND_NS + SECOND_NS * 3 / 4};
    members_by_hand(9, 1, ADDS);
    run_and_listen();
    told_in_order(expected, ARRAY_COUNT(expected));
}

/* The same where no founder is left that could know its first life: nobody waits for it. */
static void a_founder_with_an_empty_disk_is_not_waited_for(void **state) {
    (void)state;
    static const char *const expected[] = {
        " has members 3, index ",
        "node 1 has an empty disk",
        " has members 4, index ",
        " has members (1) 4, index ",
        "---- peace",
    };
    plan_by_hand(7, 3, 1);
    members_by_hand(1, 2, REMOVES);
    members_by_hand(3, 1, REMOVES);
    plan->actions[plan->action_count++] =
        (struct swarm_action){.fault = SWARM_LOST_DISK,
                              .from_ns = 4 * SECOND_NS + SECOND_NS / 2,
                              .to_ns = 4 * SECOND_NS + SECOND_NS * 3 / 4};
    members_by_hand(5, 4, ADDS);
    members_by_hand(7, 4, PROMOTES);
    members_by_hand(9, 3, REMOVES);
    members_by_hand(11, 1, ADDS);
    run_and_listen();
    told_in_order(expected, ARRAY_COUNT(expected));
}

/* Two of three would be too many: the second one keeps its disk. */
static void no_more_disks_are_lost_than_a_minority(void **state) {
    (void)state;
    plan_by_hand(6, 3, 0);
    for (uint32_t i = 0; i < 3; i++) {
        plan->actions[plan->action_count++] =
            (struct swarm_action){.fault = SWARM_LOST_DISK,
                                  .from_ns = (1 + i) * SECOND_NS,
                                  .to_ns = (1 + i) * SECOND_NS + SECOND_NS / 2,
                                  .node = i};
    }
    run_and_listen();
    assert_int_equal(result->counts.disks_lost, 1);
    assert_int_equal(result->counts.faults[SWARM_LOST_DISK], 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_disks_are_lost_than_a_minority),
        cmocka_unit_test(a_node_is_added_and_promoted),
        cmocka_unit_test(a_member_that_is_removed_is_none_any_more),
        cmocka_unit_test(whoever_leads_is_removed_and_another_one_leads),
        cmocka_unit_test(a_member_is_replaced_in_one_step_over_a_joint_configuration),
        cmocka_unit_test(a_founder_that_lost_its_disk_stays_out_though_it_is_added),
        cmocka_unit_test(a_founder_that_a_joined_leader_adds_anew_gets_the_log),
        cmocka_unit_test(a_founder_with_an_empty_disk_is_not_waited_for),
        cmocka_unit_test(who_was_added_and_lost_its_disk_comes_back_as_a_new_member),
    };
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(nowhere >= 0);
    log_descriptor_set(nowhere); /* what nodes say of the faults that befall them */
    return cmocka_run_group_tests_name("sim_swarm_members", tests, NULL, NULL);
}
