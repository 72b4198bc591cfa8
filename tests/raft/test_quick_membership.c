/*
 * Configurations in the log against a plain list of all that were ever appended, and changes
 * against sets of ids.
 */

#include "raft/membership.h"
#include "raft/quorum.h"

#include "base/error.h"

#include "tests/raft/quick.h"

enum {
    IDS = 5,            /* of a change: every pair of configurations of so many ids */
    SIMPLE_COUNT = 243, /* 3^IDS: absent, voter or learner */
    WALKS = 200,
    STEPS = 1000,
    LIST_MAX = STEPS + 1,
};

/* ---- the stack ------------------------------------------------------------------------------- */

/* Every configuration that is in the log; its mark is the incarnation of member 1. */
struct list {
    uint32_t count;
    uint64_t index[LIST_MAX];
    uint64_t mark[LIST_MAX];
    uint64_t last;
    uint64_t commit;
};

static struct configuration marked(uint64_t mark) {
    return (struct configuration){
        .member_count = 1,
        .members = {{.node_id = 1, .incarnation = mark, .roles = CONFIGURATION_VOTER}}};
}

/* Configurations that may still be truncated. */
static uint32_t list_open(const struct list *list) {
    uint32_t open = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        open += list->index[i] > list->commit ? 1 : 0;
    }
    return open;
}

static uint64_t list_mark(const struct list *list, uint64_t *index) {
    uint64_t mark = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->index[i] <= list->last) {
            *index = list->index[i];
            mark = list->mark[i];
        }
    }
    return mark;
}

static void list_step(struct quick *quick, struct list *list, struct membership *membership,
                      uint64_t mark) {
    uint64_t dice = random_below(&quick->random, 10);
    list->last += quick_between(quick, 1, 3);
    struct configuration configuration = marked(mark);
    if (dice < 5) {
        if (list_open(list) + 1 < RAFT_CONFIGURATIONS_MAX) {
            membership_append(membership, list->last, &configuration);
            list->index[list->count] = list->last;
            list->mark[list->count++] = mark;
        }
    } else if (dice < 7) {
        uint64_t before;
        uint64_t after;
        uint64_t mark_before = list_mark(list, &before);
        list->last = quick_between(quick, list->commit, list->last);
        while (list->index[list->count - 1] > list->last) {
            list->count--;
        }
        bool changed = membership_truncate(membership, list->last);
        assert_int_equal(changed, list_mark(list, &after) != mark_before);
    } else if (dice < 9 || mark % 97 != 0) {
        list->commit = quick_between(quick, list->commit, list->last);
        membership_commit(membership, list->commit);
    } else {
        membership_install(membership, list->last, &configuration);
        list->count = 1;
        list->index[0] = list->commit = list->last;
        list->mark[0] = mark;
    }
}

static void the_stack_agrees_with_a_list(void **state) {
    (void)state;
    struct quick quick = quick_begin("configurations in force against a list");
    static struct list list;
    static struct membership membership;
    for (uint32_t walk = 0; walk < WALKS; walk++) {
        struct raft_configuration_entry first = {.index = 1, .configuration = marked(1)};
        membership_init(&membership, &first, 1);
        list = (struct list){.count = 1, .index = {1}, .mark = {1}, .last = 1, .commit = 1};
        for (uint64_t step = 2; step <= STEPS; step++) {
            list_step(&quick, &list, &membership, step);
            membership_check(&membership);
            uint64_t index = 0;
            uint64_t mark = list_mark(&list, &index);
            assert_int_equal(membership_index(&membership), index);
            assert_int_equal(membership_current(&membership)->members[0].incarnation, mark);
            quick.cases++;
        }
    }
    quick_end(&quick, (uint64_t)WALKS * (STEPS - 1));
}

/* ---- changes --------------------------------------------------------------------------------- */

/* The number-th simple configuration of IDS ids; it may have no voter. */
static struct configuration simple_number(uint32_t number) {
    struct configuration configuration = {0};
    for (uint64_t id = 1; id <= IDS; id++) {
        uint32_t what = number % 3;
        number /= 3;
        if (what != 0) {
            configuration.members[configuration.member_count++] = (struct configuration_member){
                .node_id = id, .roles = what == 1 ? CONFIGURATION_VOTER : CONFIGURATION_LEARNER};
        }
    }
    return configuration;
}

static uint8_t roles_of(const struct configuration *configuration, uint64_t id) {
    const struct configuration_member *member = configuration_find(configuration, id);
    return member == NULL ? 0 : member->roles;
}

static bool same_roles(const struct configuration *a, const struct configuration *b, uint8_t mask) {
    bool same = true;
    for (uint64_t id = 1; id <= IDS; id++) {
        same = same && (roles_of(a, id) & mask) == (roles_of(b, id) & mask);
    }
    return same;
}

/* Every voter of either: in both sets if it is in both configurations. */
static void check_change(const struct configuration *current, const struct configuration *wanted) {
    struct configuration next;
    int result = membership_change(current, wanted, &next);
    if (!configuration_valid(wanted) || same_roles(current, wanted, UINT8_MAX)) {
        assert_int_equal(result, WEIR_EINVAL);
        return;
    }
    assert_int_equal(result, WEIR_OK);
    assert_true(configuration_valid(&next));
    bool joint = !same_roles(current, wanted, CONFIGURATION_VOTER);
    assert_int_equal(quorum_is_joint(&next), joint);
    for (uint64_t id = 1; id <= IDS; id++) {
        uint8_t expected = roles_of(wanted, id);
        if (joint && roles_of(current, id) == CONFIGURATION_VOTER) {
            expected |= CONFIGURATION_OUTGOING;
        }
        assert_int_equal(roles_of(&next, id), expected);
    }
    if (joint) {
        struct configuration after;
        membership_leave(&next, &after);
        assert_int_equal(after.member_count, wanted->member_count);
        assert_true(same_roles(&after, wanted, UINT8_MAX));
    }
}

static void changes_agree_with_sets(void **state) {
    (void)state;
    struct quick quick = quick_begin("every change among configurations of 5 ids");
    for (uint32_t from = 0; from < SIMPLE_COUNT; from++) {
        struct configuration current = simple_number(from);
        if (!configuration_valid(&current)) {
            continue;
        }
        for (uint32_t to = 0; to < SIMPLE_COUNT; to++) {
            struct configuration wanted = simple_number(to);
            check_change(&current, &wanted);
            quick.cases++;
        }
    }
    /* 3^5 less the 2^5 without a voter. */
    quick_end(&quick, UINT64_C(211) * SIMPLE_COUNT);
}

/* The set grants (or refuses), everybody else the other way. */
static enum quorum_result votes_of(const struct configuration *configuration, uint32_t set,
                                   bool granted) {
    enum quorum_vote votes[CONFIGURATION_MEMBERS_MAX];
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        bool in_set = (set >> (configuration->members[i].node_id - 1) & 1) != 0;
        votes[i] = in_set == granted ? QUORUM_VOTE_GRANTED : QUORUM_VOTE_REFUSED;
    }
    return quorum_votes(configuration, votes);
}

/* What joint consensus is for: if some decide while the joint configuration is in force, the rest
 * can decide neither in the one before it nor in the one after it. */
static void a_joint_quorum_meets_every_old_and_every_new_one(void **state) {
    (void)state;
    struct quick quick = quick_begin("quorums of a joint configuration meet both others");
    for (uint32_t number = 0; number < SIMPLE_COUNT * SIMPLE_COUNT; number++) {
        struct configuration current = simple_number(number % SIMPLE_COUNT);
        struct configuration wanted = simple_number(number / SIMPLE_COUNT);
        struct configuration next;
        if (!configuration_valid(&current) ||
            membership_change(&current, &wanted, &next) != WEIR_OK) {
            continue;
        }
        for (uint32_t set = 0; set < UINT32_C(1) << IDS; set++) {
            if (votes_of(&next, set, true) == QUORUM_WON) {
                assert_int_equal(votes_of(&current, set, false), QUORUM_LOST);
                assert_int_equal(votes_of(&wanted, set, false), QUORUM_LOST);
            }
            quick.cases++;
        }
    }
    quick_end(&quick, 1000000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_stack_agrees_with_a_list),
        cmocka_unit_test(changes_agree_with_sets),
        cmocka_unit_test(a_joint_quorum_meets_every_old_and_every_new_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
