/*
 * What a leader commits, against the last rule of figure 3.1 word by word: "If there exists an N
 * such that N > commitIndex, a majority of matchIndex[i] >= N, and log[N].term == currentTerm: set
 * commitIndex = N."  A majority of both sets if the configuration is joint; learners count in
 * neither.
 *
 * A leader of 1 to 9 members, with entries of older terms in its log, hears answers in any order:
 * of any member, repeated, of older sessions and terms, and from its own disk.
 */

#include "base/bytes.h"
#include "base/error.h"
#include "tests/raft/quick_core.h"

enum {
    MEMBERS_MAX = 9,
    OLD_ENTRIES_MAX = 8,
    WALKS = 3000, /* for each number of members */
    STEPS = 40,
    LENGTH_BYTES = 100,
};

static struct raft_actions actions;

struct leader {
    struct raft *raft;
    struct configuration configuration;
    struct plain_log log;
    uint64_t node_id;
    uint64_t match[MEMBERS_MAX]; /* the twin's matchIndex; our own: what is stored */
    uint32_t session[MEMBERS_MAX];
    uint64_t commit;
};

static struct leader leader;

static uint32_t place_of(uint64_t node_id) {
    const struct configuration_member *member = configuration_find(&leader.configuration, node_id);
    return (uint32_t)(member - leader.configuration.members);
}

/* ---- the twin -------------------------------------------------------------------------------- */

/* Is it a majority of the members with this role (or are there none)? */
static bool twin_majority(uint64_t n, uint8_t role) {
    uint32_t all = 0;
    uint32_t have = 0;
    for (uint32_t i = 0; i < leader.configuration.member_count; i++) {
        if ((leader.configuration.members[i].roles & role) != 0) {
            all++;
            have += leader.match[i] >= n ? 1 : 0;
        }
    }
    return all == 0 || 2 * have > all;
}

static uint64_t twin_commit(void) {
    uint64_t commit = leader.commit;
    for (uint64_t n = leader.commit + 1; n <= leader.log.last; n++) {
        if (leader.log.term[n] == raft_term(leader.raft) && twin_majority(n, CONFIGURATION_VOTER) &&
            twin_majority(n, CONFIGURATION_OUTGOING)) {
            commit = n;
        }
    }
    return commit;
}

/* ---- the leader's caller --------------------------------------------------------------------- */

static void step(const struct raft_event *event) {
    raft_step(leader.raft, event, &actions);
    raft_check(leader.raft);
    for (uint32_t i = 0; i < actions.count; i++) {
        const struct raft_message *message = &actions.action[i].message;
        if (actions.action[i].kind == RAFT_ACTION_SEND) {
            leader.session[place_of(message->to)] = message->session;
        }
    }
}

static void step_message(const struct raft_message *message) {
    assert_int_equal(raft_message_check(message, NULL), RAFT_MESSAGE_VALID);
    struct raft_event event = {.kind = RAFT_EVENT_MESSAGE,
                               .now_ns = raft_deadline_ns(leader.raft) - 1,
                               .message = message};
    step(&event);
}

/* Whoever is asked for a vote, of either kind, grants it. */
static void grant_all(void) {
    static struct raft_actions asked;
    asked = actions;
    for (uint32_t i = 0; i < asked.count; i++) {
        const struct raft_action *action = &asked.action[i];
        if (action->kind == RAFT_ACTION_STORE_VOTE) {
            struct raft_event event = {
                .kind = RAFT_EVENT_VOTE_STORED, .term = action->term, .node_id = action->node_id};
            step(&event);
            if (raft_role(leader.raft) == RAFT_LEADER) {
                return;
            }
        }
        if (action->kind == RAFT_ACTION_SEND && (action->message.kind == RAFT_MESSAGE_PRE_VOTE ||
                                                 action->message.kind == RAFT_MESSAGE_VOTE)) {
            struct raft_message answer = {.kind = action->message.kind == RAFT_MESSAGE_VOTE
                                                      ? RAFT_MESSAGE_VOTE_ANSWER
                                                      : RAFT_MESSAGE_PRE_VOTE_ANSWER,
                                          .from = action->message.to,
                                          .to = leader.node_id,
                                          .term = action->message.term,
                                          .round = action->message.round,
                                          .granted = true};
            enum raft_role role = raft_role(leader.raft);
            step_message(&answer);
            if (raft_role(leader.raft) != role) {
                return; /* the next kind of votes is asked for, or there are enough */
            }
        }
    }
}

static void append(uint32_t count) {
    struct raft_entry entries[8];
    for (uint32_t i = 0; i < count; i++) {
        entries[i] =
            (struct raft_entry){.term = raft_term(leader.raft), .length_bytes = LENGTH_BYTES};
        leader.log.term[++leader.log.last] = raft_term(leader.raft);
    }
    struct raft_event event = {
        .kind = RAFT_EVENT_APPENDED, .entries = entries, .entry_count = count};
    step(&event);
}

/* A random valid configuration in which `node_id` votes, of the incoming members, the outgoing, or
 * both. */
static void configuration_draw(struct quick *quick, uint32_t member_count) {
    static const uint8_t roles[] = {
        CONFIGURATION_VOTER,   CONFIGURATION_VOTER,
        CONFIGURATION_VOTER,   CONFIGURATION_VOTER | CONFIGURATION_OUTGOING,
        CONFIGURATION_LEARNER, CONFIGURATION_OUTGOING,
    };
    bool joint = random_chance(&quick->random, 1, 2);
    do {
        leader.configuration = (struct configuration){.member_count = member_count};
        leader.node_id = quick_between(quick, 1, member_count);
        for (uint32_t i = 0; i < member_count; i++) {
            uint8_t role = roles[random_below(&quick->random, ARRAY_COUNT(roles))];
            role &= joint ? UINT8_MAX : (uint8_t)~CONFIGURATION_OUTGOING;
            leader.configuration.members[i].node_id = i + 1;
            leader.configuration.members[i].roles = role == 0 ? CONFIGURATION_LEARNER : role;
        }
        uint8_t own = roles[random_below(&quick->random, ARRAY_COUNT(roles))];
        own &= joint ? UINT8_MAX : (uint8_t)~CONFIGURATION_OUTGOING;
        leader.configuration.members[leader.node_id - 1].roles =
            own == 0 || own == CONFIGURATION_LEARNER ? CONFIGURATION_VOTER : own;
    } while (!configuration_valid(&leader.configuration));
}

/* A leader whose no-op is appended and nothing of it stored. */
static void lead(struct quick *quick, uint32_t member_count) {
    leader = (struct leader){0};
    configuration_draw(quick, member_count);
    leader.log.last = quick_between(quick, 1, OLD_ENTRIES_MAX);
    for (uint64_t i = 1; i <= leader.log.last; i++) {
        leader.log.term[i] =
            (i == 1 ? 1 : leader.log.term[i - 1]) + random_below(&quick->random, 2);
    }
    uint64_t term = leader.log.term[leader.log.last] + random_below(&quick->random, 2);
    leader.raft = quick_core(&leader.configuration, leader.node_id, &leader.log, term, 0);
    leader.match[leader.node_id - 1] = leader.log.last;
    struct raft_event event = {.kind = RAFT_EVENT_TICK, .now_ns = raft_deadline_ns(leader.raft)};
    step(&event);
    for (uint32_t i = 0; i < 4 && raft_role(leader.raft) != RAFT_LEADER; i++) {
        grant_all();
    }
    assert_int_equal(raft_role(leader.raft), RAFT_LEADER);
    assert_int_equal(raft_commit_index(leader.raft), 0);
    append(1);
}

/* ---- what happens ---------------------------------------------------------------------------- */

static void store(struct quick *quick) {
    uint64_t *stored = &leader.match[leader.node_id - 1];
    *stored = quick_between(quick, *stored, leader.log.last);
    struct raft_event event = {
        .kind = RAFT_EVENT_STORED, .index = *stored, .epoch = raft_log_epoch(leader.raft)};
    step(&event);
}

static void answer(struct quick *quick) {
    uint32_t place = (uint32_t)random_below(&quick->random, leader.configuration.member_count);
    if (leader.configuration.members[place].node_id == leader.node_id) {
        return;
    }
    uint64_t low = random_chance(&quick->random, 1, 4) ? 0 : leader.match[place];
    struct raft_message message = {.kind = RAFT_MESSAGE_APPEND_ANSWER,
                                   .from = leader.configuration.members[place].node_id,
                                   .to = leader.node_id,
                                   .term = raft_term(leader.raft),
                                   .session = leader.session[place],
                                   .granted = true,
                                   .match_index = quick_between(quick, low, leader.log.last)};
    uint64_t dice = random_below(&quick->random, 20);
    bool counts = true;
    if (dice == 0) {
        message.session++; /* of another time as its leader */
        counts = false;
    } else if (dice == 1 && message.term > 1) {
        message.term--;
        counts = false;
    } else if (dice == 2) {
        message.granted = false;
        message.previous_index = quick_between(quick, 1, leader.log.last);
        counts = false;
    } else if (dice == 3) {
        message.match_index = leader.log.last + 1; /* of what was never sent */
        counts = false;
    }
    step_message(&message);
    if (counts && message.match_index > leader.match[place]) {
        leader.match[place] = message.match_index;
    }
}

static void happen(struct quick *quick) {
    uint64_t dice = random_below(&quick->random, 100);
    uint64_t first;
    uint64_t term;
    uint32_t count = (uint32_t)quick_between(quick, 1, 3);
    if (dice < 15 && leader.log.last + 3 < ARRAY_COUNT(leader.log.term) &&
        raft_propose(leader.raft, count, (uint64_t)count * LENGTH_BYTES, &first, &term) == 0) {
        assert_int_equal(first, leader.log.last + 1);
        append(count);
    } else if (dice < 35) {
        store(quick);
    } else {
        answer(quick);
    }
}

static void leaders_commit_by_the_last_rule_of_figure_3_1(void **state) {
    (void)state;
    struct quick quick = quick_begin("commit of a leader of 1 to 9 members");
    uint64_t commits = 0;
    for (uint32_t members = 1; members <= MEMBERS_MAX; members++) {
        for (uint32_t i = 0; i < WALKS; i++) {
            lead(&quick, members);
            for (uint32_t k = 0; k < STEPS; k++) {
                happen(&quick);
                uint64_t expected = twin_commit();
                assert_int_equal(raft_role(leader.raft), RAFT_LEADER);
                assert_int_equal(raft_commit_index(leader.raft), expected);
                const struct raft_action *action = quick_action(&actions, RAFT_ACTION_COMMIT);
                assert_true(expected == leader.commit ||
                            (action != NULL && action->index == expected));
                commits += expected > leader.commit ? 1 : 0;
                leader.commit = expected;
                quick.cases++;
            }
            raft_destroy(leader.raft);
        }
    }
    assert_true(commits > (uint64_t)MEMBERS_MAX * WALKS);
    quick_end(&quick, (uint64_t)MEMBERS_MAX * WALKS * STEPS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaders_commit_by_the_last_rule_of_figure_3_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
