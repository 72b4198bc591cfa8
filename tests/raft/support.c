/*
 * One core, driven by hand.
 *
 * Happy path: the log of a test is read from a text, the core created from it; each event is one
 * step, and what the core tells its peers is noted, so that an answer can repeat it.
 *
 * Failure mode: what a test asks for and is not there fails the test, with words.
 */

#include "tests/raft/support.h"

#include <string.h>

#include "base/bytes.h"

enum { START_NS = 1000 * T_NS }; /* far from 0, so that a time of 0 stands out */

struct core core[1];

/* ---- start ----------------------------------------------------------------------------------- */

/* "1 1 2" as numbers; returns how many. */
static uint32_t terms_read(const char *text, uint64_t terms[TERMS_MAX]) {
    uint32_t count = 0;
    for (const char *c = text; *c != '\0';) {
        assert_true(count < TERMS_MAX);
        terms[count] = 0;
        assert_true(*c >= '0' && *c <= '9');
        while (*c >= '0' && *c <= '9') {
            terms[count] = terms[count] * 10 + (uint64_t)(*c++ - '0');
        }
        count++;
        while (*c == ' ') {
            c++;
        }
    }
    return count;
}

struct raft_options core_options(const char *members, struct core_disk disk) {
    static struct raft_term_run runs[TERMS_MAX];
    static struct raft_configuration_entry configuration;
    uint64_t terms[TERMS_MAX];
    uint32_t count = disk.terms == NULL ? 0 : terms_read(disk.terms, terms);
    uint32_t run_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || terms[i] != terms[i - 1]) {
            runs[run_count++] = (struct raft_term_run){disk.compacted_index + i + 1, terms[i]};
        }
    }
    struct raft_snapshot compacted = {disk.compacted_index, disk.compacted_term, 0};
    configuration = (struct raft_configuration_entry){.configuration = configuration_of(members)};
    configuration.configuration.flags = disk.leases ? CONFIGURATION_LEASES : 0;
    if (disk.leases && !disk.lease_unsaid) {
        configuration.configuration.lease_ms = disk.lease_ms == 0 ? (uint16_t)T_MS : disk.lease_ms;
    }
    return (struct raft_options){
        .node_id = disk.node_id != 0 ? disk.node_id : 1,
        .seed = disk.seed,
        .now_ns = START_NS,
        .term = disk.term,
        .voted_for = disk.voted_for,
        .compacted_index = disk.compacted_index,
        .compacted_term = disk.compacted_term,
        .last_index = disk.compacted_index + count,
        .snapshot = disk.snapshot.index != 0 ? disk.snapshot : compacted,
        .term_runs = runs,
        .term_run_count = run_count,
        .configurations = &configuration,
        .configuration_count = 1,
        .election_timeout_ns = T_NS,
        .heartbeat_ns = HEARTBEAT_NS,
        .clock_drift_per_mille = disk.drift_per_mille,
        .inflight_messages_max = disk.inflight_messages_max != 0 ? disk.inflight_messages_max : 4,
        .inflight_bytes_max = disk.inflight_bytes_max != 0 ? disk.inflight_bytes_max : 100000,
        .message_bytes_max = disk.message_bytes_max != 0 ? disk.message_bytes_max : 10000,
        .snapshot_chunk_bytes = CHUNK_BYTES,
        .uncommitted_bytes_max =
            disk.uncommitted_bytes_max != 0 ? disk.uncommitted_bytes_max : 1000000,
        .window_entries = 256,
    };
}

void core_start(const char *members, struct core_disk disk) {
    struct raft_options options = core_options(members, disk);
    core_start_with(&options);
}

void core_start_with(const struct raft_options *options) {
    core[0] = (struct core){.node_id = options->node_id, .now_ns = options->now_ns};
    assert_int_equal(raft_create(&core->raft, options), 0);
}

int core_stop(void **state) {
    (void)state;
    raft_destroy(core->raft);
    core->raft = NULL;
    return 0;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void note(const struct raft_action *action) {
    if (action->kind == RAFT_ACTION_STORE_VOTE) {
        core->vote_term = action->term;
        core->vote_for = action->node_id;
    } else if (action->kind == RAFT_ACTION_SEND) {
        const struct raft_message *message = &action->message;
        assert_true(message->to < PEERS_MAX);
        struct core_said *said = &core->said[message->to];
        if (message->kind == RAFT_MESSAGE_VOTE || message->kind == RAFT_MESSAGE_PRE_VOTE) {
            said->attempt = message->round;
            said->term = message->term;
        } else if (message->session != 0) {
            said->session = message->session;
            said->round = message->round;
        }
    }
}

void core_step(struct raft_event event) {
    event.now_ns = core->now_ns;
    raft_step(core->raft, &event, &core->actions);
    raft_check(core->raft);
    for (uint32_t i = 0; i < core->actions.count; i++) {
        note(&core->actions.action[i]);
    }
}

void core_tick(void) {
    core_step((struct raft_event){.kind = RAFT_EVENT_TICK});
}

void core_pass(uint64_t ns) {
    core->now_ns += ns;
    core_tick();
}

void core_silence(uint64_t ns) {
    uint64_t end_ns = core->now_ns + ns;
    for (uint32_t i = 0; i < 1000 && raft_deadline_ns(core->raft) <= end_ns; i++) {
        core_time_out();
    }
    core->now_ns = end_ns;
    core_tick();
}

void core_time_out(void) {
    uint64_t deadline_ns = raft_deadline_ns(core->raft);
    assert_true(deadline_ns != UINT64_MAX);
    core->now_ns = deadline_ns > core->now_ns ? deadline_ns : core->now_ns;
    core_tick();
}

void core_store_vote(void) {
    assert_int_not_equal(core->vote_term, 0);
    core_vote_stored(core->vote_term, core->vote_for);
}

void core_vote_stored(uint64_t term, uint64_t node_id) {
    core_step(
        (struct raft_event){.kind = RAFT_EVENT_VOTE_STORED, .term = term, .node_id = node_id});
}

void core_stored(uint64_t index) {
    core_stored_in(index, raft_log_epoch(core->raft));
}

void core_stored_in(uint64_t index, uint64_t epoch) {
    core_step((struct raft_event){.kind = RAFT_EVENT_STORED, .index = index, .epoch = epoch});
}

void core_applied(uint64_t index) {
    core_step((struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = index});
}

void core_compacted(uint64_t index, struct raft_snapshot snapshot) {
    core_step(
        (struct raft_event){.kind = RAFT_EVENT_COMPACTED, .index = index, .snapshot = snapshot});
}

void core_append(uint32_t count) {
    struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX] = {0};
    assert_true(count <= ARRAY_COUNT(entries));
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = (struct raft_entry){raft_term(core->raft), ENTRY_BYTES, NULL};
    }
    core_step(
        (struct raft_event){.kind = RAFT_EVENT_APPENDED, .entries = entries, .entry_count = count});
}

void core_append_bytes(uint32_t length_bytes) {
    struct raft_entry entry = {raft_term(core->raft), length_bytes, NULL};
    core_step(
        (struct raft_event){.kind = RAFT_EVENT_APPENDED, .entries = &entry, .entry_count = 1});
}

struct configuration core_append_configuration(void) {
    const struct raft_action *asked = core_action(RAFT_ACTION_APPEND_CONFIGURATION);
    assert_int_equal(asked->term, raft_term(core->raft));
    struct configuration configuration = *asked->configuration;
    struct raft_entry entry = {asked->term, ENTRY_BYTES, &configuration};
    core_step(
        (struct raft_event){.kind = RAFT_EVENT_APPENDED, .entries = &entry, .entry_count = 1});
    return configuration;
}

void core_read(bool lease) {
    core_step((struct raft_event){.kind = RAFT_EVENT_READ, .lease = lease});
}

void core_configure(const char *members) {
    struct configuration wanted = configuration_of(members);
    wanted.flags = raft_configuration(core->raft)->flags;
    wanted.lease_ms = raft_configuration(core->raft)->lease_ms;
    core_step((struct raft_event){.kind = RAFT_EVENT_CONFIGURE, .configuration = &wanted});
}

void core_transfer(uint64_t node_id) {
    core_step((struct raft_event){.kind = RAFT_EVENT_TRANSFER, .node_id = node_id});
}

void core_disconnect(uint64_t node_id) {
    core_step((struct raft_event){.kind = RAFT_EVENT_DISCONNECTED, .node_id = node_id});
}

void core_shorten(uint64_t node_id, uint64_t index) {
    core_step(
        (struct raft_event){.kind = RAFT_EVENT_SHORTENED, .node_id = node_id, .index = index});
}

/* ---- messages -------------------------------------------------------------------------------- */

static void hear(struct raft_message message, const struct raft_entry *entries) {
    message.to = core->node_id;
    assert_string_equal(raft_message_fault_name(raft_message_check(&message, entries)), "valid");
    core_step(
        (struct raft_event){.kind = RAFT_EVENT_MESSAGE, .message = &message, .entries = entries});
}

void core_hear(struct raft_message message) {
    hear(message, NULL);
}

void core_hear_append(struct append append) {
    uint64_t terms[TERMS_MAX];
    uint32_t count = append.terms == NULL ? 0 : terms_read(append.terms, terms);
    struct raft_entry entries[TERMS_MAX];
    struct configuration configuration;
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = (struct raft_entry){terms[i], ENTRY_BYTES, NULL};
    }
    if (append.configuration != NULL) {
        configuration = configuration_of(append.configuration);
        assert_true(count > 0);
        entries[count - 1].configuration = &configuration;
    }
    hear((struct raft_message){.kind = RAFT_MESSAGE_APPEND,
                               .from = append.from,
                               .term = append.term,
                               .session = append.session,
                               .round = append.round,
                               .previous_index = append.previous_index,
                               .previous_term = append.previous_term,
                               .commit = append.commit,
                               .entry_count = count},
         entries);
}

void core_hear_pre_vote(uint64_t from, uint64_t term, uint64_t last_index, uint64_t last_term) {
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_PRE_VOTE,
                                    .from = from,
                                    .term = term,
                                    .last_index = last_index,
                                    .last_term = last_term});
}

void core_hear_vote(uint64_t from, uint64_t term, uint64_t last_index, uint64_t last_term) {
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_VOTE,
                                    .from = from,
                                    .term = term,
                                    .last_index = last_index,
                                    .last_term = last_term});
}

void core_hear_heartbeat(uint64_t from, uint64_t term, uint64_t commit) {
    core_hear((struct raft_message){
        .kind = RAFT_MESSAGE_HEARTBEAT, .from = from, .term = term, .commit = commit});
}

void core_hear_snapshot(uint64_t from, uint64_t term, struct raft_snapshot snapshot,
                        uint64_t offset, uint32_t length_bytes) {
    struct configuration members = *raft_configuration(core->raft);
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_SNAPSHOT,
                                    .from = from,
                                    .term = term,
                                    .snapshot = snapshot,
                                    .configuration = &members,
                                    .offset = offset,
                                    .length_bytes = length_bytes});
}

void core_hear_pre_vote_answer(uint64_t from, bool granted) {
    const struct core_said *said = &core->said[from];
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_PRE_VOTE_ANSWER,
                                    .from = from,
                                    .term = granted ? said->term : raft_term(core->raft),
                                    .round = said->attempt,
                                    .granted = granted});
}

void core_hear_vote_answer(uint64_t from, bool granted) {
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_VOTE_ANSWER,
                                    .from = from,
                                    .term = raft_term(core->raft),
                                    .round = core->said[from].attempt,
                                    .granted = granted});
}

static struct raft_message answer_of(enum raft_message_kind kind, uint64_t from) {
    return (struct raft_message){.kind = kind,
                                 .from = from,
                                 .term = raft_term(core->raft),
                                 .session = core->said[from].session,
                                 .round = core->said[from].round};
}

void core_hear_granted(uint64_t from, uint64_t match_index) {
    struct raft_message answer = answer_of(RAFT_MESSAGE_APPEND_ANSWER, from);
    answer.granted = true;
    answer.match_index = match_index;
    core_hear(answer);
}

void core_hear_refused(uint64_t from, uint64_t previous_index, uint64_t hint_index,
                       uint64_t hint_term) {
    struct raft_message answer = answer_of(RAFT_MESSAGE_APPEND_ANSWER, from);
    answer.previous_index = previous_index;
    answer.hint_index = hint_index;
    answer.hint_term = hint_term;
    core_hear(answer);
}

void core_hear_heartbeat_answer(uint64_t from) {
    struct raft_message answer = answer_of(RAFT_MESSAGE_HEARTBEAT_ANSWER, from);
    answer.granted = true;
    core_hear(answer);
}

void core_hear_snapshot_answer(uint64_t from, struct raft_snapshot snapshot, uint64_t offset) {
    struct raft_message answer = answer_of(RAFT_MESSAGE_SNAPSHOT_ANSWER, from);
    answer.snapshot = snapshot;
    answer.offset = offset;
    core_hear(answer);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

void core_chunk_written(struct raft_snapshot snapshot, uint64_t bytes, bool complete) {
    core_step((struct raft_event){.kind = RAFT_EVENT_SNAPSHOT_CHUNK,
                                  .snapshot = snapshot,
                                  .offset = bytes,
                                  .complete = complete});
}

void core_installed(struct raft_snapshot snapshot) {
    core_step((struct raft_event){.kind = RAFT_EVENT_SNAPSHOT_INSTALLED, .snapshot = snapshot});
}

/* ---- short cuts ------------------------------------------------------------------------------ */

void core_follow(uint64_t leader, uint64_t term) {
    core_hear_heartbeat(leader, term, 0);
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(raft_leader(core->raft), leader);
    if (core->vote_term == term) {
        core_store_vote();
    }
}

static void everybody_answers(void (*answer)(uint64_t, bool)) {
    struct configuration members = *raft_configuration(core->raft);
    enum raft_role role = raft_role(core->raft);
    for (uint32_t i = 0; i < members.member_count && raft_role(core->raft) == role; i++) {
        uint64_t peer = members.members[i].node_id;
        if (peer != core->node_id && members.members[i].roles != CONFIGURATION_LEARNER) {
            answer(peer, true);
        }
    }
}

void core_stand(void) {
    core_time_out();
    if (core_is(RAFT_PRE_CANDIDATE)) {
        everybody_answers(core_hear_pre_vote_answer);
    }
    assert_true(core_is(RAFT_CANDIDATE));
    core_store_vote();
}

void core_win(void) {
    core_stand();
    everybody_answers(core_hear_vote_answer);
    assert_true(core_is(RAFT_LEADER));
}

void core_lead(void) {
    core_win();
    core_append(1);
}

void core_serve(void) {
    core_lead();
    uint64_t last_index = raft_last_index(core->raft);
    core_stored(last_index);
    struct configuration members = *raft_configuration(core->raft);
    for (uint32_t i = 0; i < members.member_count; i++) {
        if (members.members[i].node_id != core->node_id) {
            core_hear_granted(members.members[i].node_id, last_index);
        }
    }
    assert_true(raft_serving(core->raft));
}

void core_replicate(const uint64_t *peers) {
    core_append(1);
    uint64_t last_index = raft_last_index(core->raft);
    core_stored(last_index);
    for (; *peers != 0; peers++) {
        core_hear_granted(*peers, last_index);
    }
}

/* ---- looks ----------------------------------------------------------------------------------- */

bool core_is(enum raft_role role) {
    return raft_role(core->raft) == role;
}

const struct raft_action *core_did(enum raft_action_kind kind) {
    for (uint32_t i = 0; i < core->actions.count; i++) {
        if (core->actions.action[i].kind == kind) {
            return &core->actions.action[i];
        }
    }
    return NULL;
}

uint32_t core_count(enum raft_action_kind kind) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < core->actions.count; i++) {
        count += core->actions.action[i].kind == kind ? 1 : 0;
    }
    return count;
}

const struct raft_action *core_action(enum raft_action_kind kind) {
    const struct raft_action *action = core_did(kind);
    if (action == NULL) {
        fail_msg("no %s came out of the last step", raft_action_kind_name(kind));
    }
    return action;
}

uint32_t core_place(enum raft_action_kind kind) {
    return (uint32_t)(core_action(kind) - core->actions.action);
}

const struct raft_message *core_sent(enum raft_message_kind kind, uint64_t to) {
    for (uint32_t i = 0; i < core->actions.count; i++) {
        const struct raft_action *action = &core->actions.action[i];
        if (action->kind == RAFT_ACTION_SEND && action->message.kind == kind &&
            action->message.to == to) {
            return &action->message;
        }
    }
    return NULL;
}

const struct raft_message *core_message(enum raft_message_kind kind, uint64_t to) {
    const struct raft_message *message = core_sent(kind, to);
    if (message == NULL) {
        fail_msg("no %s was sent to %lu by the last step", raft_message_kind_name(kind),
                 (unsigned long)to);
    }
    return message;
}

uint32_t core_sent_count(enum raft_message_kind kind) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < core->actions.count; i++) {
        const struct raft_action *action = &core->actions.action[i];
        count += action->kind == RAFT_ACTION_SEND && action->message.kind == kind ? 1 : 0;
    }
    return count;
}

bool core_silent(void) {
    return core->actions.count == 0;
}

static const struct raft_message *append_answer(void) {
    return core_sent(RAFT_MESSAGE_APPEND_ANSWER, raft_leader(core->raft));
}

bool core_granted(uint64_t match_index) {
    const struct raft_message *answer = append_answer();
    return answer != NULL && answer->granted && answer->match_index == match_index;
}

bool core_refused_append(void) {
    const struct raft_message *answer = append_answer();
    return answer != NULL && !answer->granted;
}

bool core_gave_vote(uint64_t to) {
    const struct raft_message *answer = core_sent(RAFT_MESSAGE_VOTE_ANSWER, to);
    return answer != NULL && answer->granted;
}

bool core_refused_vote(uint64_t to) {
    const struct raft_message *answer = core_sent(RAFT_MESSAGE_VOTE_ANSWER, to);
    return answer != NULL && !answer->granted;
}

bool core_gave_pre_vote(uint64_t to) {
    return core_message(RAFT_MESSAGE_PRE_VOTE_ANSWER, to)->granted;
}

uint64_t core_committed(void) {
    const struct raft_action *action = core_did(RAFT_ACTION_COMMIT);
    return action == NULL ? 0 : action->index;
}

enum raft_refusal core_refusal(void) {
    const struct raft_action *action = core_did(RAFT_ACTION_REFUSED);
    return action == NULL ? RAFT_REFUSAL_NONE : action->refusal;
}

struct raft_peer_status core_peer(uint64_t node_id) {
    struct raft_peer_status peers[CONFIGURATION_MEMBERS_MAX];
    uint32_t count = raft_peers(core->raft, peers, ARRAY_COUNT(peers));
    for (uint32_t i = 0; i < count; i++) {
        if (peers[i].node_id == node_id) {
            return peers[i];
        }
    }
    fail_msg("node %lu is no peer", (unsigned long)node_id);
    return (struct raft_peer_status){0};
}

void core_expect_members(const char *members) {
    const struct configuration *now = raft_configuration(core->raft);
    struct configuration expected = configuration_of(members);
    assert_int_equal(now->member_count, expected.member_count);
    for (uint32_t i = 0; i < expected.member_count; i++) {
        assert_int_equal(now->members[i].node_id, expected.members[i].node_id);
        assert_int_equal(now->members[i].roles, expected.members[i].roles);
    }
}
