/*
 * The consensus core's caller: events in, actions out, in the order that raft/raft.h asks for.
 *
 * Happy path: a step's actions are carried out at once, one after the other.
 *
 * Failure modes: a step that stores a vote holds back what it sends and what it does to the log,
 * and that of later steps, until the vote is durable (obligation 2).  An entry of the node's own
 * for which the log has no place now is appended as soon as it has, unless role or term have
 * changed (obligation 3).  HALT fails the node.
 */

#include "base/assert.h"
#include "base/log.h"
#include "stages/replicate_internal.h"

/* ---- the vote ------------------------------------------------------------------------------ */

static void vote_begin(struct replicate_shard *shard, const struct vote_record *record) {
    shard->vote_storing = *record;
    vote_store(shard->vote, &shard->vote_storing);
}

/* One at a time; of those that wait only the last counts. */
static void vote_take(struct replicate_shard *shard, const struct raft_action *action) {
    struct vote_record record = {.term = action->term, .voted_for = action->node_id};
    if (vote_busy(shard->vote)) {
        shard->vote_next = record;
        shard->vote_waits = true;
    } else {
        vote_begin(shard, &record);
    }
}

bool replicate_vote_pending(const struct replicate_shard *shard) {
    return shard->vote_waits || vote_busy(shard->vote);
}

void replicate_vote_stored(struct replicate_shard *shard) {
    struct raft_event event = {.kind = RAFT_EVENT_VOTE_STORED,
                               .term = shard->vote_storing.term,
                               .node_id = shard->vote_storing.voted_for};
    if (shard->vote_waits) {
        shard->vote_waits = false;
        vote_begin(shard, &shard->vote_next);
    } else {
        replicate_send_held(shard); /* before what the core has to say to this */
    }
    replicate_step(shard, &event);
}

/* ---- entries of the node's own --------------------------------------------------------------- */

uint64_t replicate_append(struct replicate_shard *shard, const struct entry_header *header) {
    uint64_t index = log_append(shard->log, header);
    replicate_appended(shard, header->term, header->length_bytes);
    ASSERT(raft_last_index(shard->raft) == index);
    return index;
}

void replicate_appended(struct replicate_shard *shard, uint64_t term, uint32_t length_bytes) {
    struct raft_entry entry = {.term = term, .length_bytes = length_bytes};
    struct raft_event event = {.kind = RAFT_EVENT_APPENDED, .entries = &entry, .entry_count = 1};
    shard->unsent = false;
    replicate_step(shard, &event);
}

void replicate_appended_more(struct replicate_shard *shard, uint64_t term, uint32_t length_bytes) {
    struct raft_entry entry = {.term = term, .length_bytes = length_bytes};
    struct raft_event event = {
        .kind = RAFT_EVENT_APPENDED, .entries = &entry, .entry_count = 1, .more = true};
    shard->unsent = true;
    replicate_step(shard, &event);
}

void replicate_send_appended(struct replicate_shard *shard) {
    if (shard->unsent) {
        struct raft_event event = {.kind = RAFT_EVENT_SEND};
        shard->unsent = false;
        replicate_step(shard, &event);
    }
}

/*
 * The first entry of a term: the genesis record if the log has none yet, a no-op otherwise.  Until
 * it is appended nobody can propose.
 */
static bool append_noop(struct replicate_shard *shard) {
    uint64_t term = shard->noop_term;
    ASSERT(term == raft_term(shard->raft));
    uint32_t body_bytes = shard->has_genesis ? 0 : (uint32_t)ENTRY_GENESIS_BODY_BYTES;
    uint8_t *entry = log_reserve(shard->log, ENTRY_HEADER_BYTES + body_bytes, true);
    if (entry == NULL) {
        replicate_memory_make(shard); /* for the next turn */
        return false;
    }
    shard->noop_term = 0;
    replicate_time_begin(shard, io_monotonic_ns(shard->io), io_wall_ms(shard->io));
    if (!shard->has_genesis) {
        io_entropy(shard->io, &shard->genesis.hash_seed, sizeof(shard->genesis.hash_seed));
        shard->genesis.partition_count = UINT32_C(1)
                                         << shard->node->options->machine_options.partition_bits;
        shard->genesis.value_bytes_max = shard->node->options->machine_options.value_bytes_max;
        shard->has_genesis = true;
        shard->genesis_index = log_last_index(shard->log) + 1;
        entry_genesis_write(entry + ENTRY_HEADER_BYTES, &shard->genesis);
    }
    struct entry_header header = {
        .length_bytes = ENTRY_HEADER_BYTES + body_bytes,
        .kind = body_bytes > 0 ? ENTRY_GENESIS : ENTRY_NOOP,
        .version = body_bytes > 0 ? entry_genesis_version(&shard->genesis) : ENTRY_VERSION,
        .term = term,
        .log_time_ms = replicate_log_time(shard, io_monotonic_ns(shard->io))};
    shard->led_from = log_last_index(shard->log) + 1; /* the step may lead to more */
    replicate_append(shard, &header);
    return true;
}

static bool append_configuration(struct replicate_shard *shard) {
    const struct configuration *wanted = &shard->configuration_wanted;
    uint32_t length_bytes = ENTRY_HEADER_BYTES + configuration_bytes(wanted);
    uint8_t *place = log_reserve(shard->log, length_bytes, true);
    if (place == NULL) {
        return false;
    }
    (void)configuration_write(place + ENTRY_HEADER_BYTES, wanted);
    struct entry_header header = {.length_bytes = length_bytes,
                                  .kind = ENTRY_CONFIGURATION,
                                  .version = ENTRY_VERSION,
                                  .term = shard->configuration_term,
                                  .log_time_ms =
                                      replicate_log_time(shard, io_monotonic_ns(shard->io))};
    shard->configuration_term = 0;
    struct configuration configuration = *wanted; /* a step may ask for the next one */
    uint64_t index = log_append(shard->log, &header);
    struct raft_entry entry = {
        .term = header.term, .length_bytes = length_bytes, .configuration = &configuration};
    struct raft_event event = {.kind = RAFT_EVENT_APPENDED, .entries = &entry, .entry_count = 1};
    replicate_step(shard, &event);
    ASSERT(raft_last_index(shard->raft) >= index);
    return true;
}

uint32_t replicate_append_wanted(struct replicate_shard *shard) {
    if (shard->stop_started || shard->encode.batch != NULL || replicate_incoming_busy(shard)) {
        return 0;
    }
    uint32_t count = 0;
    if (shard->noop_term != 0) {
        if (!append_noop(shard)) {
            return 0; /* the log's next segment is being prepared, or waits for room on the disk */
        }
        count++;
    }
    if (shard->configuration_term != 0 && append_configuration(shard)) {
        count++;
    }
    return count;
}

/* ---- actions ------------------------------------------------------------------------------- */

/* Obligation 8: whatever waits, waits no longer once the term that it was proposed in is over. */
static void on_role(struct replicate_shard *shard, const struct raft_action *action) {
    struct node_replicate_figures *figures = &shard->node->replicate;
    bool led = node_figure(&figures->role) == RAFT_LEADER;
    bool term_over = action->term != node_figure(&figures->term);
    node_figure_set(&figures->role, action->role);
    node_figure_set(&figures->term, action->term);
    node_figure_set(&figures->leader, action->node_id);
    if (action->node_id != 0) {
        node_figure_set(&figures->leader_last, action->node_id);
    }
    replicate_change_role(shard, action->role, action->node_id);
    if (led && (action->role != RAFT_LEADER || term_over)) {
        log_info("leadership_lost", "term=%lu leader=%lu", action->term, action->node_id);
        shard->noop_term = 0;
        shard->configuration_term = 0;
        shard->leadership++; /* nobody looks for what was proposed in it */
        node_figure_set(&shard->node->replicate.log_clock_ns, 0);
        replicate_abandon(shard);
    }
    if (action->role == RAFT_LEADER && (!led || term_over)) {
        shard->leadership++;
        log_info("leader", "term=%lu last_index=%lu", action->term, log_last_index(shard->log));
    } else if (action->role == RAFT_FOLLOWER && action->node_id != 0) {
        log_info("follower", "term=%lu leader=%lu", action->term, action->node_id);
    }
}

static void append_wanted(struct replicate_shard *shard, const struct raft_action *action) {
    if (action->kind == RAFT_ACTION_APPEND_NOOP) {
        shard->noop_term = action->term;
    } else {
        shard->configuration_wanted = *action->configuration;
        shard->configuration_term = action->term;
    }
}

static void carry_out(struct replicate_shard *shard, const struct raft_action *action) {
    switch (action->kind) {
    case RAFT_ACTION_STORE_VOTE: break; /* done before the first action of the step */
    case RAFT_ACTION_APPEND_NOOP:
    case RAFT_ACTION_APPEND_CONFIGURATION: append_wanted(shard, action); break;
    case RAFT_ACTION_TRUNCATE:
        replicate_incoming_truncate(shard, action->index, action->epoch);
        break;
    case RAFT_ACTION_APPEND: replicate_incoming_append(shard, action->first, action->count); break;
    case RAFT_ACTION_COMMIT: /* replicate_hand_on reads it from the core */
        node_figure_set(&shard->node->replicate.commit_index, action->index);
        break;
    case RAFT_ACTION_ROLE: on_role(shard, action); break;
    case RAFT_ACTION_SEND: replicate_send(shard, &action->message); break;
    case RAFT_ACTION_READ_CONFIRMED: shard->round_confirmed = action->round; break;
    case RAFT_ACTION_READ_READY:
    case RAFT_ACTION_READ_WAIT:
    case RAFT_ACTION_READ_FAILED: shard->read = *action; break; /* for replicate_order.c */
    case RAFT_ACTION_REFUSED: replicate_change_refused(shard, action->refusal); break;
    case RAFT_ACTION_CONFIGURED:
        log_info("configured", "index=%lu members=%u", action->index,
                 action->configuration->member_count);
        replicate_change_configured(shard);
        break;
    case RAFT_ACTION_TRANSFER_FAILED:
        log_warn("transfer_failed", "target=%lu", action->node_id);
        replicate_change_given_up(shard);
        break;
    case RAFT_ACTION_REOPEN: replicate_reopen(shard, action->node_id); break;
    case RAFT_ACTION_SNAPSHOT_CHUNK: replicate_snapshot_chunk(shard, &action->message); break;
    case RAFT_ACTION_SNAPSHOT_INSTALL:
        replicate_snapshot_install(shard, &action->snapshot, action->epoch);
        break;
    case RAFT_ACTION_HALT: replicate_fail(shard, action->sentence); break;
    }
}

/* Obligation 2: nothing of a step that stores a vote precedes it, wherever it stands there. */
static void votes_first(struct replicate_shard *shard, const struct raft_actions *actions) {
    for (uint32_t i = 0; i < actions->count; i++) {
        if (actions->action[i].kind == RAFT_ACTION_STORE_VOTE) {
            vote_take(shard, &actions->action[i]);
        }
    }
}

void replicate_step(struct replicate_shard *shard, struct raft_event *event) {
    event->now_ns = shard->now_ns;
    ASSERT(!shard->stepping);
    shard->stepping = true;
    raft_step(shard->raft, event, &shard->actions);
    votes_first(shard, &shard->actions);
    for (uint32_t i = 0; i < shard->actions.count; i++) {
        carry_out(shard, &shard->actions.action[i]);
    }
    shard->stepping = false;
    if (shard->peers != NULL && shard->peers->cuts.count > 0) {
        replicate_cuts_tell(shard); /* before any other event */
    }
    replicate_members_follow(shard);
}
