/*
 * A step of a core, and what its caller must do about it.
 *
 * The happy path: an event goes in with the node's time, actions come out and are carried out in
 * their order before the next step.  What they begin (a vote or a write on its way to the disk, an
 * append, an application) is finished by cluster_node_run, each report being a step of its own.
 *
 * Failure modes: switches leave any of these begun and not finished.  A core that halts stops its
 * node at once.  The numbers in comments are those of the obligations in raft/raft.h.
 */

#include "sim/raft_cluster_internal.h"

#include "base/error.h"

/* What one step carries to each of its actions. */
struct step {
    struct cluster *cluster;
    struct cluster_node *node;
    const struct raft_event *event;
    const struct cluster_message *message; /* of the event, or NULL */
};

/* ---- the log ------------------------------------------------------------------------------ */

void cluster_append_own(struct cluster *cluster, struct cluster_node *node,
                        const struct cluster_entry *entries, uint32_t count) {
    ASSERT(count >= 1 && count <= RAFT_MESSAGE_ENTRIES_MAX);
    struct raft_entry core_entries[RAFT_MESSAGE_ENTRIES_MAX];
    uint64_t first = node->log.last_index + 1;
    for (uint32_t i = 0; i < count; i++) {
        struct cluster_entry entry = entries[i];
        uint64_t previous_chain = 0;
        bool known = cluster_log_chain(&node->log, node->log.last_index, &previous_chain);
        ASSERT(known);
        cluster_entry_chain(&entry, first + i, previous_chain);
        cluster_log_append(&node->log, &entry);
        cluster_check_appended(cluster, node, first + i);
        if (entry.configuration != NULL)
            node->configuration = entry.configuration;
        core_entries[i] = (struct raft_entry){.term = entry.term,
                                              .length_bytes = entry.length_bytes,
                                              .configuration = entry.configuration};
    }
    cluster_write_add_entries(cluster, node, first, first + count - 1);
    struct raft_event event = {
        .kind = RAFT_EVENT_APPENDED, .entries = core_entries, .entry_count = count};
    cluster_step(cluster, node, &event);
}

/* 5: entries of the message go into the log; their chain must continue it. */
static void append_received(const struct step *step, const struct raft_action *action) {
    struct cluster *cluster = step->cluster;
    struct cluster_node *node = step->node;
    const struct cluster_message *message = step->message;
    if (message == NULL || action->count == 0 ||
        action->first + action->count > message->message.entry_count ||
        message->message.previous_index + action->first != node->log.last_index) {
        cluster_violate(cluster, "node %llu appends what no message carries there",
                        (unsigned long long)node->id);
        return;
    }
    uint64_t first = node->log.last_index + 1;
    for (uint32_t i = 0; i < action->count; i++) {
        struct cluster_entry entry = message->entries[action->first + i];
        uint64_t chain = entry.chain;
        uint64_t previous_chain = 0;
        (void)cluster_log_chain(&node->log, node->log.last_index, &previous_chain);
        cluster_entry_chain(&entry, first + i, previous_chain);
        if (entry.chain != chain) {
            cluster_violate(cluster,
                            "node %llu appends entry %llu, whose chain does not continue its log",
                            (unsigned long long)node->id, (unsigned long long)first + i);
            return;
        }
        cluster_log_append(&node->log, &entry);
        cluster_check_appended(cluster, node, first + i);
        if (entry.configuration != NULL)
            node->configuration = entry.configuration;
    }
    cluster_write_add_entries(cluster, node, first, node->log.last_index);
}

static void truncate(const struct step *step, const struct raft_action *action) {
    struct cluster_node *node = step->node;
    cluster_check_truncate(step->cluster, node, action->index);
    if (step->cluster->violated)
        return;
    cluster_log_truncate(&node->log, action->index);
    node->epoch = action->epoch;
    node->configuration = cluster_log_configuration(&node->log, &node->snapshot, NULL);
    struct cluster_write *write = cluster_write_add(step->cluster, node, CLUSTER_WRITE_TRUNCATE);
    write->last = action->index;
    step->cluster->counts.truncations++;
}

/* ---- snapshots ---------------------------------------------------------------------------- */

/* What the snapshot that a message or action names holds: its chain is that of its entry. */
static struct cluster_snapshot snapshot_named(struct cluster *cluster,
                                              const struct raft_snapshot *id,
                                              const struct configuration *configuration) {
    struct cluster_snapshot snapshot = {.id = *id, .configuration = configuration};
    if (id->index == 0 || id->index > cluster->committed_index ||
        cluster->committed[id->index].term != id->term)
        cluster_violate(cluster, "a snapshot of %llu@%llu, which was never committed",
                        (unsigned long long)id->index, (unsigned long long)id->term);
    else
        snapshot.chain = cluster->committed[id->index].chain;
    return snapshot;
}

/* 14: bytes of a snapshot. */
static void chunk(const struct step *step, const struct raft_action *action) {
    const struct raft_message *message = &action->message;
    const struct configuration *configuration =
        cluster_configuration(step->cluster, message->configuration);
    struct cluster_write *write = cluster_write_add(step->cluster, step->node, CLUSTER_WRITE_CHUNK);
    write->first = message->offset;
    write->last = message->offset + message->length_bytes;
    write->snapshot = snapshot_named(step->cluster, &message->snapshot, configuration);
    step->node->receiving_configuration = configuration;
}

/* 14: the snapshot becomes the node's state. */
static void install(const struct step *step, const struct raft_action *action) {
    struct cluster_node *node = step->node;
    if (action->snapshot.index <= node->commit_index) {
        cluster_violate(step->cluster, "node %llu would lose committed entries to a snapshot",
                        (unsigned long long)node->id);
        return;
    }
    struct cluster_snapshot snapshot =
        snapshot_named(step->cluster, &action->snapshot, node->receiving_configuration);
    if (step->cluster->violated)
        return;
    node->epoch = action->epoch;
    node->snapshot = snapshot;
    node->installing = true;
    struct cluster_write *write = cluster_write_add(step->cluster, node, CLUSTER_WRITE_INSTALL);
    write->snapshot = snapshot;
    cluster_log_reset(&node->log, snapshot.id.index, snapshot.id.term, snapshot.chain);
    node->configuration = snapshot.configuration;
    node->commit_index = snapshot.id.index;
}

/* ---- the other actions -------------------------------------------------------------------- */

/* 3: what the core wants appended, once there is room. */
static void append_want(struct step *step, const struct raft_action *action) {
    struct cluster_node *node = step->node;
    node->append_wanted = true;
    node->append_term = action->term;
    node->append_configuration = action->kind == RAFT_ACTION_APPEND_NOOP
                                     ? NULL
                                     : cluster_configuration(step->cluster, action->configuration);
}

static void role_told(const struct step *step, const struct raft_action *action) {
    struct cluster_node *node = step->node;
    bool left =
        node->role == RAFT_LEADER && (action->role != RAFT_LEADER || action->term != node->term);
    bool led = action->role == RAFT_LEADER && (node->role != RAFT_LEADER || left);
    if (left || action->term != node->term)
        cluster_clients_fail(step->cluster, node);
    if (action->term < node->term)
        cluster_violate(step->cluster, "node %llu goes back from term %llu to %llu",
                        (unsigned long long)node->id, (unsigned long long)node->term,
                        (unsigned long long)action->term);
    node->role = action->role;
    node->term = action->term;
    node->leader = action->node_id;
    if (led)
        cluster_check_leader(step->cluster, node);
}

/* 11: a message goes out, perhaps with fewer entries than it says, as if they came from disk. */
static void send(const struct step *step, const struct raft_action *action) {
    struct cluster_node *node = step->node;
    struct raft_message message = action->message;
    if (message.kind == RAFT_MESSAGE_APPEND) {
        if (node->shortened_node == message.to)
            return; /* what was queued behind a shortened one is dropped */
        if (message.entry_count > 1 && node->shortened_node == 0 && node->shorten_per_mille > 0 &&
            random_chance(&step->cluster->random, node->shorten_per_mille, 1000)) {
            message.entry_count =
                1 + (uint32_t)random_below(&step->cluster->random, message.entry_count - 1);
            node->shortened_node = message.to;
            node->shortened_index = message.previous_index + message.entry_count;
        }
    }
    cluster_send(step->cluster, node, &message, node->vote_number);
}

static void halt(const struct step *step, const struct raft_action *action) {
    step->node->state = CLUSTER_NODE_HALTED;
    step->node->sentence = action->sentence;
    cluster_clients_fail(step->cluster, step->node);
    cluster_queue_clear(&step->node->outbox);
}

static void carry_out(struct step *step, const struct raft_action *action) {
    struct cluster *cluster = step->cluster;
    struct cluster_node *node = step->node;
    cluster_trace_action(cluster, node, action);
    switch (action->kind) {
    case RAFT_ACTION_STORE_VOTE: /* 2; put under way before the first action of the step */ break;
    case RAFT_ACTION_APPEND_NOOP:
    case RAFT_ACTION_APPEND_CONFIGURATION: append_want(step, action); break;
    case RAFT_ACTION_TRUNCATE: truncate(step, action); break;
    case RAFT_ACTION_APPEND: append_received(step, action); break;
    case RAFT_ACTION_COMMIT: /* 7 */
        cluster_check_commit(cluster, node, action->index);
        node->commit_index = action->index;
        break;
    case RAFT_ACTION_ROLE: role_told(step, action); break;
    case RAFT_ACTION_SEND: send(step, action); break;
    case RAFT_ACTION_READ_READY:
    case RAFT_ACTION_READ_WAIT:
    case RAFT_ACTION_READ_CONFIRMED:
    case RAFT_ACTION_READ_FAILED: cluster_read_action(cluster, node, action); break;
    case RAFT_ACTION_REFUSED: node->refusal = action->refusal; break;
    case RAFT_ACTION_CONFIGURED: cluster->counts.changes++; break;
    case RAFT_ACTION_TRANSFER_FAILED: break;
    case RAFT_ACTION_REOPEN: cluster_reopen(cluster, node->id, action->node_id); break;
    case RAFT_ACTION_SNAPSHOT_CHUNK: chunk(step, action); break;
    case RAFT_ACTION_SNAPSHOT_INSTALL: install(step, action); break;
    case RAFT_ACTION_HALT: halt(step, action); break;
    }
}

/* ---- the step ----------------------------------------------------------------------------- */

/* 2: nothing of a step that asks for a vote, not even what stands before that, precedes it. */
static void votes_first(struct cluster *cluster, struct cluster_node *node,
                        const struct raft_actions *actions) {
    for (uint32_t i = 0; i < actions->count; i++) {
        const struct raft_action *action = &actions->action[i];
        if (action->kind == RAFT_ACTION_STORE_VOTE)
            cluster_vote_add(cluster, node, action->term, action->node_id);
    }
}

static void step_with(struct cluster *cluster, struct cluster_node *node, struct raft_event *event,
                      const struct cluster_message *message) {
    ASSERT(cluster_node_runs(node));
    if (cluster->violated)
        return;
    event->now_ns = node->now_ns;
    cluster_trace_event(cluster, node, event, message);
    struct raft_actions *actions = &cluster->actions;
    raft_step(node->raft, event, actions);
    cluster->counts.steps++;
    votes_first(cluster, node, actions);
    struct step step = {.cluster = cluster, .node = node, .event = event, .message = message};
    for (uint32_t i = 0; i < actions->count && !cluster->violated; i++) {
        carry_out(&step, &actions->action[i]);
        if (node->state == CLUSTER_NODE_HALTED)
            return;
    }
    if (!cluster->violated)
        cluster_check_node(cluster, node);
}

void cluster_step(struct cluster *cluster, struct cluster_node *node, struct raft_event *event) {
    step_with(cluster, node, event, NULL);
}

/* 10: whoever wakes up ticks first. */
static void tick_if_due(struct cluster *cluster, struct cluster_node *node) {
    if (raft_deadline_ns(node->raft) > node->now_ns)
        return;
    struct raft_event event = {.kind = RAFT_EVENT_TICK};
    cluster_step(cluster, node, &event);
    cluster_node_run(cluster, node->id);
}

/* 12: what the core may rely on; a wiped node is not who it was. */
static bool message_acceptable(struct cluster *cluster, const struct cluster_node *node,
                               const struct cluster_message *message,
                               const struct raft_entry *entries) {
    const struct configuration_member *sender =
        node->configuration == NULL
            ? NULL
            : configuration_find(node->configuration, message->message.from);
    if (sender != NULL && sender->incarnation != 0 && sender->incarnation != message->incarnation) {
        cluster_trace(cluster, "%llu does not know this life of %llu", (unsigned long long)node->id,
                      (unsigned long long)message->message.from);
        return false;
    }
    const struct cluster_node *other = &cluster->nodes[message->message.from];
    const struct configuration_member *self =
        other->configuration == NULL ? NULL : configuration_find(other->configuration, node->id);
    if (self != NULL && self->incarnation != 0 && self->incarnation != node->incarnation) {
        cluster_trace(cluster, "%llu is not the %llu that %llu knows", (unsigned long long)node->id,
                      (unsigned long long)node->id, (unsigned long long)other->id);
        return false;
    }
    enum raft_message_fault fault = raft_message_check(&message->message, entries);
    if (fault != RAFT_MESSAGE_VALID)
        cluster_trace(cluster, "%llu refuses a message of %llu: %s", (unsigned long long)node->id,
                      (unsigned long long)message->message.from, raft_message_fault_name(fault));
    return fault == RAFT_MESSAGE_VALID;
}

void cluster_message_deliver(struct cluster *cluster, struct cluster_message *message) {
    struct cluster_node *node = cluster_node(cluster, message->message.to);
    struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX];
    uint32_t count = message->message.entry_count;
    ASSERT(count <= RAFT_MESSAGE_ENTRIES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = (struct raft_entry){.term = message->entries[i].term,
                                         .length_bytes = message->entries[i].length_bytes,
                                         .configuration = message->entries[i].configuration};
    }
    if (cluster_node_runs(node))
        tick_if_due(cluster, node);
    if (cluster_node_runs(node) && message_acceptable(cluster, node, message, entries)) {
        cluster->counts.delivered++;
        cluster->counts.transfers += message->message.kind == RAFT_MESSAGE_TIMEOUT_NOW;
        struct raft_event event = {.kind = RAFT_EVENT_MESSAGE,
                                   .message = &message->message,
                                   .entries = count > 0 ? entries : NULL};
        step_with(cluster, node, &event, message);
        cluster_node_run(cluster, node->id);
    }
    free(message);
}

/* ---- finishing what was begun ------------------------------------------------------------- */

/* 3: the no-op or configuration; not if role or term have changed. */
static bool run_append(struct cluster *cluster, struct cluster_node *node) {
    if (!node->append_wanted || node->hold_append)
        return false;
    node->append_wanted = false;
    if (node->role != RAFT_LEADER || node->term != node->append_term)
        return true;
    struct cluster_entry entry = {.term = node->append_term,
                                  .length_bytes = cluster->options.entry_bytes,
                                  .configuration = node->append_configuration};
    cluster_append_own(cluster, node, &entry, 1);
    return true;
}

/* 11: an APPEND was cut short. */
static bool run_shortened(struct cluster *cluster, struct cluster_node *node) {
    if (node->shortened_node == 0)
        return false;
    struct raft_event event = {.kind = RAFT_EVENT_SHORTENED,
                               .node_id = node->shortened_node,
                               .index = node->shortened_index};
    node->shortened_node = 0;
    cluster_step(cluster, node, &event);
    return true;
}

void cluster_apply(struct cluster *cluster, uint64_t id, uint64_t index) {
    struct cluster_node *node = cluster_node(cluster, id);
    if (index > node->commit_index)
        index = node->commit_index;
    if (node->installing || index <= node->applied_index || !cluster_node_runs(node))
        return;
    while (node->applied_index < index) {
        const struct cluster_entry *entry = cluster_log_at(&node->log, node->applied_index + 1);
        if (entry == NULL) {
            cluster_violate(cluster, "node %llu cannot apply entry %llu: it is not in its log",
                            (unsigned long long)id, (unsigned long long)node->applied_index + 1);
            return;
        }
        node->applied_index++;
        node->applied_chain = entry->chain;
        cluster_check_applied(cluster, node);
        cluster_proposal_applied(cluster, node, node->applied_index);
    }
    struct raft_event event = {.kind = RAFT_EVENT_APPLIED, .index = node->applied_index};
    cluster_step(cluster, node, &event);
    cluster_reads_run(cluster, node);
}

/* Applies all that is committed, if that is not held. */
static bool run_apply(struct cluster *cluster, struct cluster_node *node) {
    if (node->hold_apply || node->installing || node->applied_index >= node->commit_index)
        return false;
    cluster_apply(cluster, node->id, node->commit_index);
    return true;
}

/* 15: somebody needs what only a newer snapshot has. */
static bool run_snapshot(struct cluster *cluster, struct cluster_node *node) {
    enum { SNAPSHOT_BYTES = 100 };
    uint64_t wanted = raft_snapshot_wanted(node->raft);
    return wanted > 0 && wanted <= node->applied_index &&
           cluster_snapshot_take(cluster, node->id, SNAPSHOT_BYTES);
}

void cluster_node_run(struct cluster *cluster, uint64_t id) {
    struct cluster_node *node = cluster_node(cluster, id);
    while (cluster_node_runs(node) && !cluster->violated) {
        if (run_shortened(cluster, node) || run_append(cluster, node))
            continue;
        if (!node->hold_votes && cluster_vote_store(cluster, id))
            continue;
        if (!node->hold_writes && cluster_write_store(cluster, id))
            continue;
        if (!run_apply(cluster, node) && !run_snapshot(cluster, node))
            break;
    }
}
