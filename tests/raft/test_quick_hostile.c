/*
 * Members that lie: whatever passes raft_message_check, in whatever order and state, neither aborts
 * a core nor breaks its own invariants.  It may be stopped by an action (HALT), which says why.
 *
 * A core meets random messages of three other members and a stranger, with numbers close to its
 * own; its caller does what raft/raft.h demands, at random times.
 */

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "tests/raft/configurations.h"
#include "tests/raft/quick_core.h"

enum {
    LIVES = 3000,
    STEPS = 400, /* of one life */
    NODES = 5,   /* 1 is ours, 5 is a stranger */
};

/* The caller of one core, and what it has yet to do. */
struct caller {
    struct quick *quick;
    struct raft *raft;
    uint64_t now_ns;
    uint64_t stored; /* in this epoch */
    uint64_t applied;
    bool vote_wanted;
    struct raft_action vote;
    bool append_wanted;
    bool append_configuration;
    uint64_t append_term;
    struct configuration configuration;
    bool chunk_wanted;
    struct raft_snapshot chunk;
    bool installing;
    struct raft_snapshot installed;
    bool halted;
    struct raft_message told[NODES + 1]; /* the last message to each */
    uint32_t led;                        /* steps as leader */
    uint32_t actions_max;
    struct raft_actions actions;
};

static uint64_t between(struct caller *caller, uint64_t low, uint64_t high) {
    return quick_between(caller->quick, low, high);
}

static bool one_in(struct caller *caller, uint64_t number) {
    return between(caller, 1, number) == 1;
}

/* A number near this one, seldom far away. */
static uint64_t near(struct caller *caller, uint64_t number) {
    if (one_in(caller, 40)) {
        return between(caller, 0, 1) == 0 ? RAFT_INDEX_MAX : between(caller, 0, 300);
    }
    uint64_t moved = number + between(caller, 0, 4);
    return moved > 2 ? moved - 2 : 0;
}

static void carry_out(struct caller *caller) {
    for (uint32_t i = 0; i < caller->actions.count && !caller->halted; i++) {
        const struct raft_action *action = &caller->actions.action[i];
        switch (action->kind) {
        case RAFT_ACTION_STORE_VOTE:
            caller->vote_wanted = true;
            caller->vote = *action;
            break;
        case RAFT_ACTION_APPEND_NOOP:
        case RAFT_ACTION_APPEND_CONFIGURATION:
            caller->append_wanted = true;
            caller->append_term = action->term;
            caller->append_configuration = action->configuration != NULL;
            if (action->configuration != NULL) {
                caller->configuration = *action->configuration;
            }
            break;
        case RAFT_ACTION_TRUNCATE:
            caller->stored = caller->stored < action->index ? caller->stored : action->index;
            break;
        case RAFT_ACTION_SNAPSHOT_CHUNK:
            caller->chunk_wanted = true;
            caller->chunk = action->message.snapshot;
            break;
        case RAFT_ACTION_SNAPSHOT_INSTALL:
            caller->installing = true;
            caller->installed = action->snapshot;
            break;
        case RAFT_ACTION_SEND:
            ASSERT(action->message.to <= NODES);
            caller->told[action->message.to] = action->message;
            break;
        case RAFT_ACTION_HALT: caller->halted = true; break;
        default: break;
        }
    }
}

static void step(struct caller *caller, struct raft_event event) {
    caller->now_ns += between(caller, 0, 60);
    event.now_ns = caller->now_ns;
    raft_step(caller->raft, &event, &caller->actions);
    raft_check(caller->raft);
    caller->quick->cases++;
    caller->led += raft_role(caller->raft) == RAFT_LEADER ? 1 : 0;
    if (caller->actions.count > caller->actions_max) {
        caller->actions_max = caller->actions.count;
    }
    carry_out(caller);
}

/* ---- what the caller does ------------------------------------------------------------------- */

static void append(struct caller *caller) {
    struct raft_entry entries[4];
    uint32_t count = 1;
    struct raft *raft = caller->raft;
    if (caller->append_wanted) {
        caller->append_wanted = false;
        if (raft_role(raft) != RAFT_LEADER || raft_term(raft) != caller->append_term) {
            return;
        }
        entries[0] = (struct raft_entry){
            .term = caller->append_term,
            .length_bytes = 10,
            .configuration = caller->append_configuration ? &caller->configuration : NULL};
    } else {
        uint64_t first;
        uint64_t term;
        count = (uint32_t)between(caller, 1, ARRAY_COUNT(entries));
        if (raft_propose(raft, count, 10 * count, &first, &term) != 0) {
            return;
        }
        for (uint32_t i = 0; i < count; i++) {
            entries[i] = (struct raft_entry){.term = term, .length_bytes = 10};
        }
    }
    step(caller, (struct raft_event){
                     .kind = RAFT_EVENT_APPENDED, .entries = entries, .entry_count = count});
}

static void store(struct caller *caller) {
    if (caller->vote_wanted) {
        caller->vote_wanted = false;
        step(caller, (struct raft_event){.kind = RAFT_EVENT_VOTE_STORED,
                                         .term = caller->vote.term,
                                         .node_id = caller->vote.node_id});
    } else if (!caller->installing) {
        caller->stored = between(caller, caller->stored, raft_last_index(caller->raft));
        step(caller, (struct raft_event){.kind = RAFT_EVENT_STORED,
                                         .index = caller->stored,
                                         .epoch = raft_log_epoch(caller->raft)});
    }
}

static void snapshot(struct caller *caller) {
    if (caller->installing) {
        caller->installing = false;
        caller->applied = caller->installed.index;
        caller->stored = caller->installed.index;
        step(caller, (struct raft_event){.kind = RAFT_EVENT_SNAPSHOT_INSTALLED,
                                         .snapshot = caller->installed});
    } else if (caller->chunk_wanted) {
        caller->chunk_wanted = false;
        bool complete = one_in(caller, 2);
        step(caller, (struct raft_event){.kind = RAFT_EVENT_SNAPSHOT_CHUNK,
                                         .snapshot = caller->chunk,
                                         .offset = complete ? caller->chunk.size_bytes : 0,
                                         .complete = complete});
    }
}

static void apply(struct caller *caller) {
    if (caller->installing) {
        return;
    }
    caller->applied = between(caller, caller->applied, raft_commit_index(caller->raft));
    step(caller, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = caller->applied});
    if (caller->applied > 0 && one_in(caller, 8)) {
        struct raft_snapshot taken = {.index = caller->applied, .term = 1, .size_bytes = 100};
        uint64_t index = between(caller, 0, 1) == 0 ? caller->applied : caller->applied / 2;
        step(caller,
             (struct raft_event){.kind = RAFT_EVENT_COMPACTED, .index = index, .snapshot = taken});
    }
}

static void operate(struct caller *caller) {
    static const char *const members[] = {"1v 2v 3v 4l", "1v 2v 3v 4v", "1v 2v 3v",
                                          "2v 3v",       "1v",          "1v 2v"};
    struct configuration wanted =
        configuration_of(members[between(caller, 0, ARRAY_COUNT(members) - 1)]);
    wanted.flags = one_in(caller, 2) ? CONFIGURATION_LEASES : 0;
    uint64_t other = between(caller, 2, NODES);
    switch (between(caller, 0, 4)) {
    case 0:
        step(caller, (struct raft_event){.kind = RAFT_EVENT_CONFIGURE, .configuration = &wanted});
        break;
    case 1: step(caller, (struct raft_event){.kind = RAFT_EVENT_TRANSFER, .node_id = other}); break;
    case 2:
        step(caller, (struct raft_event){.kind = RAFT_EVENT_DISCONNECTED, .node_id = other});
        break;
    case 3:
        step(caller, (struct raft_event){.kind = RAFT_EVENT_READ, .lease = one_in(caller, 2)});
        break;
    default:
        step(caller, (struct raft_event){.kind = RAFT_EVENT_SHORTENED,
                                         .node_id = other,
                                         .index = near(caller, raft_last_index(caller->raft))});
        break;
    }
}

static void pass(struct caller *caller) {
    if (one_in(caller, 3)) {
        uint64_t due_ns = raft_deadline_ns(caller->raft);
        caller->now_ns = due_ns != UINT64_MAX && due_ns > caller->now_ns ? due_ns : caller->now_ns;
    }
    step(caller, (struct raft_event){.kind = RAFT_EVENT_TICK});
}

/* ---- what the others say --------------------------------------------------------------------- */

static bool is_of_leader(enum raft_message_kind kind) {
    return kind == RAFT_MESSAGE_APPEND || kind == RAFT_MESSAGE_HEARTBEAT ||
           kind == RAFT_MESSAGE_SNAPSHOT || kind == RAFT_MESSAGE_TIMEOUT_NOW;
}

/* To who leads or wants to, mostly answers. */
static enum raft_message_kind some_kind(struct caller *caller) {
    static const enum raft_message_kind answers[] = {
        RAFT_MESSAGE_PRE_VOTE_ANSWER, RAFT_MESSAGE_VOTE_ANSWER,      RAFT_MESSAGE_APPEND_ANSWER,
        RAFT_MESSAGE_APPEND_ANSWER,   RAFT_MESSAGE_HEARTBEAT_ANSWER, RAFT_MESSAGE_SNAPSHOT_ANSWER,
    };
    if (raft_role(caller->raft) != RAFT_FOLLOWER && !one_in(caller, 20)) {
        return answers[between(caller, 0, ARRAY_COUNT(answers) - 1)];
    }
    return (enum raft_message_kind)between(caller, RAFT_MESSAGE_PRE_VOTE, RAFT_MESSAGE_TIMEOUT_NOW);
}

/* Who says it, and as an answer to what: mostly so that it is not dropped at once, and that a
 * second leader in a term does not always end it. */
static void address(struct caller *caller, struct raft_message *message) {
    uint64_t leader = raft_leader(caller->raft);
    message->to = 1;
    message->from = between(caller, 2, NODES);
    if (is_of_leader(message->kind) && !one_in(caller, 50)) {
        if (leader > 1) {
            message->from = leader;
        } else if (leader == 1) {
            message->term++;
        }
    }
    const struct raft_message *told = &caller->told[message->from];
    if (!one_in(caller, 5)) {
        message->session = told->session;
        message->round = told->round;
        message->snapshot =
            told->kind == RAFT_MESSAGE_SNAPSHOT ? told->snapshot : message->snapshot;
    }
    if (message->kind == RAFT_MESSAGE_PRE_VOTE_ANSWER && message->granted) {
        message->term++;
    }
}

static void lie(struct caller *caller) {
    struct raft *raft = caller->raft;
    uint64_t last = raft_last_index(raft);
    uint64_t commit = raft_commit_index(raft);
    uint64_t term = raft_term(raft);
    struct configuration configuration =
        configuration_of(one_in(caller, 2) ? "1v 2v 3v 4l" : "2v 3v");
    struct raft_message message = {
        .kind = some_kind(caller),
        .session = (uint32_t)between(caller, 1, 12),
        .term = one_in(caller, 30) ? near(caller, term) : term,
        .round = between(caller, 0, 6),
        .last_index = near(caller, last),
        .last_term = near(caller, term),
        .previous_index = near(caller, between(caller, commit, last)),
        .previous_term = term - between(caller, 0, term < 3 ? term : 3),
        .commit = near(caller, commit),
        .match_index = near(caller, last),
        .hint_index = near(caller, last),
        .hint_term = between(caller, 0, term),
        .offset = between(caller, 0, 1) * 50,
        .snapshot = {.index = near(caller, last), .term = near(caller, term), .size_bytes = 100},
        .configuration = &configuration,
        .entry_count = (uint32_t)between(caller, 0, 3),
        .length_bytes = 50,
        .granted = one_in(caller, 2),
        .transfer = one_in(caller, 4),
    };
    address(caller, &message);
    struct raft_entry entries[4];
    uint64_t entry_term = message.previous_term;
    for (uint32_t i = 0; i < message.entry_count; i++) {
        entry_term += entry_term < message.term ? between(caller, 0, 1) : 0;
        entries[i] =
            (struct raft_entry){.term = entry_term,
                                .length_bytes = 10,
                                .configuration = one_in(caller, 10) ? &configuration : NULL};
    }
    if (raft_message_check(&message, entries) == RAFT_MESSAGE_VALID) {
        step(caller, (struct raft_event){
                         .kind = RAFT_EVENT_MESSAGE, .message = &message, .entries = entries});
    }
}

/* One life of a core, until it halts or enough has happened. */
static uint32_t live(struct quick *quick, uint64_t *led) {
    static const char *const members[] = {"1v 2v 3v 4l", "1v 2v 3v", "1v 2v", "2v 3v", "1vo 2o 3v"};
    struct configuration configuration =
        configuration_of(members[quick_between(quick, 0, ARRAY_COUNT(members) - 1)]);
    configuration.flags = quick_between(quick, 0, 1) == 0 ? CONFIGURATION_LEASES : 0;
    struct plain_log log = {.last = 4, .term = {0, 1, 1, 2, 3}};
    struct caller caller = {.quick = quick, .stored = log.last};
    caller.raft = quick_core(&configuration, 1, &log, 3, 0);
    for (uint32_t i = 0; i < STEPS && !caller.halted; i++) {
        switch (between(&caller, 0, 9)) {
        case 0: append(&caller); break;
        case 1: store(&caller); break;
        case 2: snapshot(&caller); break;
        case 3: apply(&caller); break;
        case 4: operate(&caller); break;
        case 5: pass(&caller); break;
        default: lie(&caller); break;
        }
    }
    raft_destroy(caller.raft);
    *led += caller.led;
    return caller.actions_max;
}

static void lies_abort_nobody(void **state) {
    (void)state;
    struct quick quick = quick_begin("lies of members");
    uint32_t actions_max = 0;
    uint64_t led = 0;
    for (uint32_t i = 0; i < LIVES; i++) {
        uint32_t actions = live(&quick, &led);
        actions_max = actions > actions_max ? actions : actions_max;
    }
    printf("quick: at most %u actions in a step, %" PRIu64 " steps of leaders\n", actions_max, led);
    assert_true(led >= 20000);
    quick_end(&quick, 400000);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(lies_abort_nobody)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
