/*
 * The step: one event in, actions out.  raft_internal.h says which file does what.
 *
 * Happy path: the clock moves on, the event goes to the file that knows it.
 *
 * Failure modes of messages are the term's (dissertation 3.3): of a later one, we follow; of an
 * earlier one, the sender is told ours, unless it only answers us.
 */

#include "raft/raft.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "raft/raft_internal.h"

_Static_assert(RAFT_ACTIONS_MAX >= 4 * (CONFIGURATION_MEMBERS_MAX - 1) + 12, "see raft.h");

/* ---- creation -------------------------------------------------------------------------------- */

enum {
    INFLIGHT_MESSAGES_LIMIT = 256,
    WINDOW_ENTRIES_MIN = 256,
    CLOCK_DRIFT_LIMIT = 500, /* per mille: clocks of which one runs twice as fast */
};

static bool limits_valid(const struct raft_options *options) {
    return options->node_id != 0 && options->election_timeout_ns >= RAFT_ELECTION_TIMEOUT_MIN_NS &&
           options->election_timeout_ns <= RAFT_ELECTION_TIMEOUT_MAX_NS &&
           options->heartbeat_ns > 0 && options->heartbeat_ns <= options->election_timeout_ns / 2 &&
           options->clock_drift_per_mille <= CLOCK_DRIFT_LIMIT &&
           options->inflight_messages_max >= 1 &&
           options->inflight_messages_max <= INFLIGHT_MESSAGES_LIMIT &&
           options->inflight_bytes_max > 0 && options->message_bytes_max > 0 &&
           options->snapshot_chunk_bytes > 0 && options->uncommitted_bytes_max > 0 &&
           IS_POWER_OF_TWO(options->window_entries) &&
           options->window_entries >= WINDOW_ENTRIES_MIN;
}

static bool log_valid(const struct raft_options *options) {
    uint64_t last_term = options->compacted_term;
    if (options->last_index < options->compacted_index ||
        (options->compacted_index == 0) != (options->compacted_term == 0) ||
        options->snapshot.index > options->last_index ||
        options->snapshot.index < options->compacted_index ||
        (options->term_run_count == 0) != (options->last_index == options->compacted_index)) {
        return false;
    }
    uint64_t index = options->compacted_index;
    for (uint32_t i = 0; i < options->term_run_count; i++) {
        const struct raft_term_run *run = &options->term_runs[i];
        if (run->first_index <= index || run->first_index > options->last_index ||
            run->term < last_term + (i == 0 ? 0 : 1) || run->term == 0) {
            return false;
        }
        index = run->first_index;
        last_term = run->term;
    }
    return last_term <= options->term && options->term <= RAFT_TERM_MAX &&
           (options->voted_for == 0 || options->term > 0);
}

static bool configurations_valid(const struct raft_options *options) {
    if (options->configuration_count < 1 ||
        options->configuration_count > RAFT_CONFIGURATIONS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < options->configuration_count; i++) {
        const struct raft_configuration_entry *entry = &options->configurations[i];
        if (!configuration_valid(&entry->configuration) || entry->index > options->last_index ||
            (i > 0 && entry->index <= options->configurations[i - 1].index)) {
            return false;
        }
    }
    return true;
}

/* The terms of the entries found in the log. */
static void terms_take(struct terms *terms, const struct raft_options *options) {
    const struct raft_term_run *runs = options->term_runs;
    uint32_t count = options->term_run_count;
    if (count > 0 && runs[0].first_index > options->compacted_index + 1) {
        /* What is before the first run was forgotten: its first entry is what we know. */
        terms_reset(terms, runs[0].first_index, runs[0].term);
    } else {
        terms_reset(terms, options->compacted_index, options->compacted_term);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t end = i + 1 < count ? runs[i + 1].first_index - 1 : options->last_index;
        if (end > terms->last_index) {
            terms_append(terms, end - terms->last_index, runs[i].term);
        }
    }
    ASSERT(terms->last_index == options->last_index);
}

static int memory_take(struct raft *raft, const struct raft_options *options) {
    uint32_t inflight_max = options->inflight_messages_max;
    raft->window_sums = calloc(options->window_entries, sizeof(raft->window_sums[0]));
    raft->inflight =
        calloc((size_t)CONFIGURATION_MEMBERS_MAX * inflight_max, sizeof(raft->inflight[0]));
    if (raft->window_sums == NULL || raft->inflight == NULL) {
        return WEIR_ENOMEM;
    }
    window_init(&raft->window, raft->window_sums, options->window_entries, options->last_index);
    for (uint32_t i = 0; i < CONFIGURATION_MEMBERS_MAX; i++) {
        raft->peers[i].inflight = &raft->inflight[(size_t)i * inflight_max];
        raft->peers[i].inflight_capacity = inflight_max;
    }
    return WEIR_OK;
}

static void limits_take(struct raft *raft, const struct raft_options *options) {
    raft->node_id = options->node_id;
    raft->election_timeout_ns = options->election_timeout_ns;
    raft->heartbeat_ns = options->heartbeat_ns;
    raft->clock_drift_per_mille = options->clock_drift_per_mille;
    raft->inflight_bytes_max = options->inflight_bytes_max;
    raft->message_bytes_max = options->message_bytes_max;
    raft->snapshot_chunk_bytes = options->snapshot_chunk_bytes;
    raft->uncommitted_bytes_max = options->uncommitted_bytes_max;
}

int raft_create(struct raft **out, const struct raft_options *options) {
    if (!limits_valid(options) || !log_valid(options) || !configurations_valid(options)) {
        return WEIR_EINVAL;
    }
    struct raft *raft = calloc(1, sizeof(*raft));
    if (raft == NULL || memory_take(raft, options) != WEIR_OK) {
        raft_destroy(raft);
        return WEIR_ENOMEM;
    }
    limits_take(raft, options);
    random_seed(&raft->random, options->seed);
    raft->role = RAFT_FOLLOWER;
    raft->term = options->term;
    raft->voted_for = options->voted_for;
    raft->vote_stored = true;
    raft->last_index = options->last_index;
    raft->stored_index = options->last_index; /* it was read back from disk */
    raft->snapshot = options->snapshot;
    raft->commit_index = options->snapshot.index;
    raft->applied_index = options->snapshot.index;
    terms_take(&raft->terms, options);
    membership_init(&raft->membership, options->configurations, options->configuration_count);
    raft_self_find(raft);
    raft->now_ns = options->now_ns;
    raft->promised_ns = options->now_ns; /* to whom, a restart has forgotten */
    raft_election_rearm(raft);
    if (raft->only_voter && !MUTANT(LEADS_UNDER_LEASE, false, raft_leases(raft))) {
        /* Nobody else could lead.  But who led before we were alone may still hold a lease. */
        raft->election_due_ns = raft->now_ns;
    }
    raft_check(raft);
    *out = raft;
    return WEIR_OK;
}

void raft_destroy(struct raft *raft) {
    if (raft != NULL) {
        free(raft->window_sums);
        free(raft->inflight);
        free(raft);
    }
}

/* ---- actions --------------------------------------------------------------------------------- */

struct raft_action *raft_action_add(struct raft_actions *actions, enum raft_action_kind kind) {
    ASSERT_HOT(actions->count < RAFT_ACTIONS_MAX);
    struct raft_action *action = &actions->action[actions->count++];
    memset(action, 0, sizeof(*action));
    action->kind = kind;
    return action;
}

struct raft_message *raft_send(const struct raft *raft, struct raft_actions *actions,
                               enum raft_message_kind kind, uint64_t to) {
    ASSERT_HOT(to != 0 && to != raft->node_id);
    struct raft_message *message = &raft_action_add(actions, RAFT_ACTION_SEND)->message;
    message->kind = kind;
    message->from = raft->node_id;
    message->to = to;
    message->term = raft->term;
    return message;
}

void raft_halt(struct raft_actions *actions, const char *sentence) {
    raft_action_add(actions, RAFT_ACTION_HALT)->sentence = sentence;
}

/* ---- messages -------------------------------------------------------------------------------- */

static bool is_of_leader(enum raft_message_kind kind) {
    return kind == RAFT_MESSAGE_APPEND || kind == RAFT_MESSAGE_HEARTBEAT ||
           kind == RAFT_MESSAGE_SNAPSHOT || kind == RAFT_MESSAGE_TIMEOUT_NOW;
}

/*
 * The sender's term is over.  A leader learns it from any answer; so does a candidate.  (Were it
 * ignored instead, a leader cut off from the others' term could hold on to followers for ever.)
 */
static void answer_stale(struct raft *raft, const struct raft_message *message,
                         struct raft_actions *actions) {
    if (message->kind == RAFT_MESSAGE_VOTE) {
        raft_send(raft, actions, RAFT_MESSAGE_VOTE_ANSWER, message->from)->round = message->round;
    } else if (is_of_leader(message->kind)) {
        raft_send(raft, actions, RAFT_MESSAGE_HEARTBEAT_ANSWER, message->from);
    }
}

/* Takes the message's term; false if that is all there is to do. */
static bool term_take(struct raft *raft, const struct raft_message *message,
                      struct raft_actions *actions) {
    enum raft_message_kind kind = message->kind;
    if (kind == RAFT_MESSAGE_PRE_VOTE ||
        (kind == RAFT_MESSAGE_PRE_VOTE_ANSWER && message->granted)) {
        return true; /* about a term that may never be (9.6) */
    }
    if (message->term < raft->term) {
        if (MUTANT(COUNTS_STALE_VOTE, kind == RAFT_MESSAGE_VOTE_ANSWER, false)) {
            return true;
        }
        answer_stale(raft, message, actions);
        return false;
    }
    if (message->term > raft->term) {
        if (MUTANT(PRE_VOTE_LIVELOCK, kind == RAFT_MESSAGE_PRE_VOTE_ANSWER, false)) {
            return false;
        }
        if (kind == RAFT_MESSAGE_VOTE && raft_election_refused(raft, message->transfer)) {
            return false; /* not even its term (4.2.3) */
        }
        raft_become_follower(raft, message->term, is_of_leader(kind) ? message->from : 0, actions);
        if (kind != RAFT_MESSAGE_VOTE) {
            raft_vote_flush(raft, actions);
        }
    }
    return true;
}

static void on_message(struct raft *raft, const struct raft_event *event,
                       struct raft_actions *actions) {
    const struct raft_message *message = event->message;
    ASSERT_HOT(message->to == raft->node_id);
    if (!term_take(raft, message, actions)) {
        return;
    }
    switch (message->kind) {
    case RAFT_MESSAGE_PRE_VOTE: raft_on_pre_vote(raft, message, actions); break;
    case RAFT_MESSAGE_PRE_VOTE_ANSWER: raft_on_pre_vote_answer(raft, message, actions); break;
    case RAFT_MESSAGE_VOTE: raft_on_vote(raft, message, actions); break;
    case RAFT_MESSAGE_VOTE_ANSWER: raft_on_vote_answer(raft, message, actions); break;
    case RAFT_MESSAGE_APPEND: raft_on_append(raft, message, event->entries, actions); break;
    case RAFT_MESSAGE_APPEND_ANSWER: raft_on_append_answer(raft, message, actions); break;
    case RAFT_MESSAGE_HEARTBEAT: raft_on_heartbeat(raft, message, actions); break;
    case RAFT_MESSAGE_HEARTBEAT_ANSWER: raft_on_heartbeat_answer(raft, message, actions); break;
    case RAFT_MESSAGE_SNAPSHOT: raft_on_snapshot(raft, message, actions); break;
    case RAFT_MESSAGE_SNAPSHOT_ANSWER: raft_on_snapshot_answer(raft, message, actions); break;
    case RAFT_MESSAGE_TIMEOUT_NOW: raft_on_timeout_now(raft, message, actions); break;
    default: UNREACHABLE("raft_message_check looks at the kind");
    }
}

/* ---- what happened here ---------------------------------------------------------------------- */

static void on_stored(struct raft *raft, const struct raft_event *event,
                      struct raft_actions *actions) {
    if (MUTANT(APPEND_ABA, event->index > raft->last_index, event->epoch != raft->epoch)) {
        return; /* of entries that were replaced since */
    }
    ASSERT(event->index <= raft->last_index);
    if (event->index > raft->stored_index) {
        raft->stored_index = event->index;
        raft->stored_moved_ns = raft->now_ns;
    }
    if (raft->role == RAFT_LEADER) {
        raft_commit_advance(raft, actions);
    } else if (raft->role == RAFT_FOLLOWER && raft->leader != 0 && raft->answer_owed) {
        raft_append_answer(raft, actions);
    }
}

static void on_applied(struct raft *raft, const struct raft_event *event) {
    ASSERT(event->index >= raft->applied_index);
    ASSERT(event->index <= raft->commit_index);
    raft->applied_index = event->index;
}

bool raft_late(struct raft *raft, uint64_t due_ns) {
    ASSERT_HOT(raft->now_ns >= due_ns);
    uint64_t late_ns = raft->now_ns - due_ns;
    raft->excused =
        !raft->excused && late_ns >= raft->heartbeat_ns && late_ns < 2 * raft->election_timeout_ns;
    return raft->excused;
}

static void on_tick(struct raft *raft, struct raft_actions *actions) {
    if (raft->role == RAFT_LEADER) {
        raft_leader_tick(raft, actions);
    } else {
        raft_election_tick(raft, actions);
    }
}

static void on_shortened(struct raft *raft, const struct raft_event *event) {
    struct progress *peer = raft_peer(raft, event->node_id);
    if (peer != NULL && peer->state != PROGRESS_SNAPSHOT) {
        progress_shortened(peer, event->index > peer->match ? event->index : peer->match);
    }
}

void raft_step(struct raft *raft, const struct raft_event *event, struct raft_actions *actions) {
    actions->count = 0;
    if (event->now_ns > raft->now_ns) {
        raft->now_ns = event->now_ns;
    }
    switch (event->kind) {
    case RAFT_EVENT_TICK: on_tick(raft, actions); break;
    case RAFT_EVENT_VOTE_STORED: raft_on_vote_stored(raft, event, actions); break;
    case RAFT_EVENT_APPENDED: raft_on_appended(raft, event, actions); break;
    case RAFT_EVENT_SEND: raft_on_send(raft, actions); break;
    case RAFT_EVENT_STORED: on_stored(raft, event, actions); break;
    case RAFT_EVENT_APPLIED: on_applied(raft, event); break;
    case RAFT_EVENT_COMPACTED: raft_on_compacted(raft, event); break;
    case RAFT_EVENT_READ: raft_on_read(raft, event, actions); break;
    case RAFT_EVENT_MESSAGE: on_message(raft, event, actions); break;
    case RAFT_EVENT_SHORTENED: on_shortened(raft, event); break;
    case RAFT_EVENT_DISCONNECTED: raft_on_disconnected(raft, event->node_id, actions); break;
    case RAFT_EVENT_CONFIGURE: raft_on_configure(raft, event, actions); break;
    case RAFT_EVENT_TRANSFER: raft_on_transfer(raft, event, actions); break;
    case RAFT_EVENT_SNAPSHOT_CHUNK: raft_on_snapshot_chunk(raft, event, actions); break;
    case RAFT_EVENT_SNAPSHOT_INSTALLED: raft_on_snapshot_installed(raft, event, actions); break;
    case RAFT_EVENT_ROOM: raft_on_room(raft, event, actions); break;
    default: UNREACHABLE("an event kind of raft.h");
    }
    ASSERT_HOT(!raft->vote_dirty);
#ifdef RAFT_CHECK_EVERY_STEP
    raft_check(raft);
#endif
}

/* ---- looks ----------------------------------------------------------------------------------- */

int raft_propose(const struct raft *raft, uint32_t count, uint64_t length_bytes,
                 uint64_t *first_index, uint64_t *term) {
    ASSERT(count > 0 && length_bytes > 0);
    if (raft->role != RAFT_LEADER || raft->last_index < raft->term_first_index ||
        raft->transfer_target != 0) {
        return WEIR_EAGAIN;
    }
    uint64_t entries = raft->last_index - raft->commit_index;
    if (entries > 0) {
        uint64_t bytes;
        if (entries + count > raft->window.capacity - RAFT_WINDOW_RESERVE ||
            !window_bytes(&raft->window, raft->commit_index, raft->last_index, &bytes) ||
            bytes + length_bytes > raft->uncommitted_bytes_max) {
            return WEIR_EFULL;
        }
    }
    *first_index = raft->last_index + 1;
    *term = raft->term;
    return WEIR_OK;
}

enum raft_role raft_role(const struct raft *raft) {
    return raft->role;
}

uint64_t raft_term(const struct raft *raft) {
    return raft->term;
}

uint64_t raft_voted_for(const struct raft *raft) {
    return raft->voted_for;
}

bool raft_vote_stored(const struct raft *raft) {
    return raft->vote_stored;
}

uint64_t raft_leader(const struct raft *raft) {
    return raft->leader;
}

uint64_t raft_commit_index(const struct raft *raft) {
    return raft->commit_index;
}

uint64_t raft_last_index(const struct raft *raft) {
    return raft->last_index;
}

uint64_t raft_stored_index(const struct raft *raft) {
    return raft->stored_index;
}

uint64_t raft_log_epoch(const struct raft *raft) {
    return raft->epoch;
}

const struct configuration *raft_configuration(const struct raft *raft) {
    return raft_members(raft);
}

bool raft_serving(const struct raft *raft) {
    return raft->role == RAFT_LEADER && raft->commit_index >= raft->term_first_index;
}

uint64_t raft_deadline_ns(const struct raft *raft) {
    if (raft->role == RAFT_LEADER) {
        bool peers = raft_members(raft)->member_count > 1 || raft->self != 0;
        return peers ? raft->heartbeat_due_ns : UINT64_MAX;
    }
    return raft_may_campaign(raft) ? raft->election_due_ns : UINT64_MAX;
}

uint64_t raft_needed_index(const struct raft *raft) {
    uint64_t index = UINT64_MAX;
    for (uint32_t i = 0; raft->role == RAFT_LEADER && i < raft_members(raft)->member_count; i++) {
        const struct progress *peer = &raft->peers[i];
        uint64_t next =
            peer->state == PROGRESS_SNAPSHOT ? peer->snapshot_index + 1 : peer->match + 1;
        if (i != raft->self && next < index) {
            index = next;
        }
    }
    return index;
}

uint64_t raft_snapshot_wanted(const struct raft *raft) {
    uint64_t wanted = 0;
    for (uint32_t i = 0; raft->role == RAFT_LEADER && i < raft_members(raft)->member_count; i++) {
        const struct progress *peer = &raft->peers[i];
        uint64_t term;
        if (i != raft->self && peer->state != PROGRESS_SNAPSHOT &&
            peer->next > raft->snapshot.index && peer->next > wanted &&
            !terms_at(&raft->terms, peer->next - 1, &term)) {
            wanted = peer->next;
        }
    }
    return wanted;
}

bool raft_snapshot_needed(const struct raft *raft, uint64_t index) {
    for (uint32_t i = 0; raft->role == RAFT_LEADER && i < raft_members(raft)->member_count; i++) {
        const struct progress *peer = &raft->peers[i];
        if (i != raft->self && peer->state == PROGRESS_SNAPSHOT && peer->snapshot_index == index) {
            return true;
        }
    }
    return false;
}

uint32_t raft_peers(const struct raft *raft, struct raft_peer_status *out, uint32_t capacity) {
    uint32_t count = 0;
    for (uint32_t i = 0; raft->role == RAFT_LEADER && i < raft_members(raft)->member_count; i++) {
        const struct progress *peer = &raft->peers[i];
        if (i == raft->self || count == capacity) {
            continue;
        }
        out[count++] = (struct raft_peer_status){
            .node_id = peer->node_id,
            .match_index = peer->match,
            .next_index = peer->next,
            .answered_ns = peer->answered_ns,
            .inflight_messages = peer->inflight_count,
            .state = progress_state_name(peer->state),
            .full = peer->full,
        };
    }
    return count;
}
