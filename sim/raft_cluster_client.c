/*
 * Clients and operators of the cluster of cores.
 *
 * The happy path: a proposal is appended and answered when its leader has applied it; a read is
 * confirmed and answered when what it must see is applied.
 *
 * Failure modes: a node that leaves leadership, or whose term changes, answers its waiting writes
 * as unknown (they may still be committed) and refuses its waiting reads.
 */

#include "sim/raft_cluster_internal.h"

#include "base/error.h"

/* ---- writes ------------------------------------------------------------------------------- */

int cluster_propose(struct cluster *cluster, uint64_t id, const char *payload,
                    uint32_t length_bytes) {
    struct cluster_node *node = cluster_node(cluster, id);
    ASSERT(strlen(payload) < CLUSTER_PAYLOAD_BYTES);
    ASSERT(cluster_node_runs(node));
    uint64_t first_index = 0;
    uint64_t term = 0;
    int error = raft_propose(node->raft, 1, length_bytes, &first_index, &term);
    bool room = node->log.last_index - node->log.base_index < CLUSTER_LOG_ENTRIES_MAX - 8 &&
                node->proposal_count < CLUSTER_PROPOSALS_MAX;
    if (error != WEIR_OK || !room)
        return error != WEIR_OK ? error : WEIR_EFULL;
    if (node->role != RAFT_LEADER || term != node->term ||
        first_index != node->log.last_index + 1) {
        cluster_violate(cluster, "node %llu may propose at %llu@%llu, which is not its log's end",
                        (unsigned long long)id, (unsigned long long)first_index,
                        (unsigned long long)term);
        return WEIR_EINVAL;
    }
    struct cluster_proposal *proposal = &node->proposals[node->proposal_count++];
    *proposal = (struct cluster_proposal){.index = first_index, .term = term};
    struct cluster_entry entry = {.term = term, .length_bytes = length_bytes};
    memcpy(entry.payload, payload, strlen(payload));
    memcpy(proposal->payload, payload, strlen(payload));
    cluster->counts.proposals++;
    cluster_trace(cluster, "%llu takes \"%s\" as %llu@%llu", (unsigned long long)id, payload,
                  (unsigned long long)first_index, (unsigned long long)term);
    cluster_append_own(cluster, node, &entry, 1);
    cluster_node_run(cluster, id);
    return WEIR_OK;
}

void cluster_proposal_applied(struct cluster *cluster, struct cluster_node *node, uint64_t index) {
    if (node->proposal_count == 0 || node->proposals[0].index > index)
        return;
    struct cluster_proposal proposal = node->proposals[0];
    ASSERT(proposal.index == index);
    node->proposal_count--;
    memmove(node->proposals, node->proposals + 1,
            node->proposal_count * sizeof(node->proposals[0]));
    const struct cluster_entry *entry = cluster_log_at(&node->log, index);
    ASSERT(entry != NULL);
    if (entry->term != proposal.term || strcmp(entry->payload, proposal.payload) != 0)
        cluster_violate(cluster, "node %llu would answer \"%s\" for another entry",
                        (unsigned long long)node->id, proposal.payload);
    cluster_trace(cluster, "  answers \"%s\": written at %llu", proposal.payload,
                  (unsigned long long)index);
}

/* ---- reads -------------------------------------------------------------------------------- */

static struct cluster_read *read_at(struct cluster *cluster, uint64_t number) {
    return &cluster->reads[number % CLUSTER_READS_MAX];
}

const struct cluster_read *cluster_read_find(const struct cluster *cluster, uint64_t number) {
    const struct cluster_read *read = &cluster->reads[number % CLUSTER_READS_MAX];
    return number > 0 && read->number == number ? read : NULL;
}

uint64_t cluster_read(struct cluster *cluster, uint64_t id, bool lease) {
    struct cluster_node *node = cluster_node(cluster, id);
    uint64_t number = ++cluster->read_count;
    *read_at(cluster, number) =
        (struct cluster_read){.number = number, .node_id = id, .seen = cluster->committed_index};
    struct raft_event event = {.kind = RAFT_EVENT_READ, .lease = lease};
    cluster_step(cluster, node, &event);
    cluster_reads_run(cluster, node);
    cluster_node_run(cluster, id);
    return number;
}

static void read_fail(struct cluster *cluster, struct cluster_read *read) {
    read->state = CLUSTER_READ_FAILED;
    cluster->counts.reads_failed++;
    cluster_trace(cluster, "  refuses read %llu", (unsigned long long)read->number);
}

void cluster_read_action(struct cluster *cluster, struct cluster_node *node,
                         const struct raft_action *action) {
    struct cluster_read *last = read_at(cluster, cluster->read_count);
    switch (action->kind) {
    case RAFT_ACTION_READ_READY:
        last->index = action->index;
        last->state = CLUSTER_READ_CONFIRMED;
        break;
    case RAFT_ACTION_READ_WAIT:
        last->index = action->index;
        last->round = action->round;
        break;
    case RAFT_ACTION_READ_FAILED: read_fail(cluster, last); break;
    case RAFT_ACTION_READ_CONFIRMED:
        for (uint32_t i = 0; i < CLUSTER_READS_MAX; i++) {
            struct cluster_read *read = &cluster->reads[i];
            if (read->number > 0 && read->node_id == node->id &&
                read->state == CLUSTER_READ_WAITING && read->round <= action->round)
                read->state = CLUSTER_READ_CONFIRMED;
        }
        cluster_reads_run(cluster, node);
        break;
    default: UNREACHABLE("an action about reads");
    }
}

void cluster_reads_run(struct cluster *cluster, struct cluster_node *node) {
    for (uint32_t i = 0; i < CLUSTER_READS_MAX; i++) {
        struct cluster_read *read = &cluster->reads[i];
        if (read->number == 0 || read->node_id != node->id ||
            read->state != CLUSTER_READ_CONFIRMED || read->index > node->applied_index)
            continue;
        read->state = CLUSTER_READ_DONE;
        cluster->counts.reads_done++;
        cluster_trace(cluster, "  answers read %llu: as of %llu", (unsigned long long)read->number,
                      (unsigned long long)node->applied_index);
        if (node->applied_index < read->seen)
            cluster_violate(
                cluster, "read %llu at node %llu saw %llu, though %llu was committed before it",
                (unsigned long long)read->number, (unsigned long long)node->id,
                (unsigned long long)node->applied_index, (unsigned long long)read->seen);
    }
}

void cluster_clients_fail(struct cluster *cluster, struct cluster_node *node) {
    for (uint32_t i = 0; i < node->proposal_count; i++)
        cluster_trace(cluster, "  answers \"%s\": unknown", node->proposals[i].payload);
    node->proposal_count = 0;
    for (uint32_t i = 0; i < CLUSTER_READS_MAX; i++) {
        struct cluster_read *read = &cluster->reads[i];
        if (read->number > 0 && read->node_id == node->id &&
            (read->state == CLUSTER_READ_WAITING || read->state == CLUSTER_READ_CONFIRMED))
            read_fail(cluster, read);
    }
}

/* ---- operators ---------------------------------------------------------------------------- */

enum raft_refusal cluster_configure(struct cluster *cluster, uint64_t id,
                                    const struct configuration *wanted) {
    struct cluster_node *node = cluster_node(cluster, id);
    node->refusal = RAFT_REFUSAL_NONE;
    struct raft_event event = {.kind = RAFT_EVENT_CONFIGURE, .configuration = wanted};
    cluster_step(cluster, node, &event);
    enum raft_refusal refusal = node->refusal;
    cluster_node_run(cluster, id);
    return refusal;
}

enum raft_refusal cluster_transfer(struct cluster *cluster, uint64_t id, uint64_t target) {
    struct cluster_node *node = cluster_node(cluster, id);
    node->refusal = RAFT_REFUSAL_NONE;
    struct raft_event event = {.kind = RAFT_EVENT_TRANSFER, .node_id = target};
    cluster_step(cluster, node, &event);
    enum raft_refusal refusal = node->refusal;
    cluster_node_run(cluster, id);
    return refusal;
}

void cluster_report_snapshot(struct cluster *cluster, uint64_t id,
                             const struct raft_snapshot *snapshot) {
    struct cluster_node *node = cluster_node(cluster, id);
    uint64_t index = node->log.base_index;
    struct raft_event event = {.kind = RAFT_EVENT_COMPACTED,
                               .index = index < snapshot->index ? index : snapshot->index,
                               .snapshot = *snapshot};
    cluster_step(cluster, node, &event);
    cluster_node_run(cluster, id);
}

/* True if what is on the disk at this index is what is in memory there. */
static bool durable_there(const struct cluster_node *node, uint64_t index) {
    uint64_t durable_chain = 0;
    uint64_t chain = 0;
    return cluster_log_chain(&node->disk.log, index, &durable_chain) &&
           cluster_log_chain(&node->log, index, &chain) && chain == durable_chain;
}

const struct cluster_snapshot *cluster_snapshot_find(const struct cluster_node *node,
                                                     const struct raft_snapshot *id) {
    if (node->snapshot.id.index == id->index && node->snapshot.id.term == id->term)
        return id->index > 0 ? &node->snapshot : NULL;
    for (uint32_t i = 0; i < CLUSTER_SNAPSHOTS_KEPT; i++) {
        if (node->kept[i].id.index == id->index && node->kept[i].id.term == id->term)
            return id->index > 0 ? &node->kept[i] : NULL;
    }
    return NULL;
}

/* 15: the newest snapshot is about to be replaced; those on their way to a peer are kept. */
static void snapshots_keep(struct cluster_node *node) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < CLUSTER_SNAPSHOTS_KEPT; i++) {
        uint64_t index = node->kept[i].id.index;
        if (index > 0 && raft_snapshot_needed(node->raft, index))
            node->kept[kept++] = node->kept[i];
    }
    uint64_t newest = node->snapshot.id.index;
    if (newest > 0 && raft_snapshot_needed(node->raft, newest)) {
        ASSERT(kept < CLUSTER_SNAPSHOTS_KEPT);
        node->kept[kept++] = node->snapshot;
    }
    for (uint32_t i = kept; i < CLUSTER_SNAPSHOTS_KEPT; i++)
        node->kept[i] = (struct cluster_snapshot){0};
}

bool cluster_snapshot_take(struct cluster *cluster, uint64_t id, uint64_t size_bytes) {
    struct cluster_node *node = cluster_node(cluster, id);
    uint64_t index = node->applied_index;
    uint64_t term = 0;
    if (!cluster_node_runs(node) || node->installing || index <= node->snapshot.id.index ||
        !durable_there(node, index) || !cluster_log_term(&node->log, index, &term))
        return false;
    snapshots_keep(node);
    struct cluster_log until = node->log;
    until.last_index = index;
    node->snapshot = (struct cluster_snapshot){
        .id = {.index = index, .term = term, .size_bytes = size_bytes},
        .chain = node->applied_chain,
        .configuration = cluster_log_configuration(&until, &node->snapshot, NULL)};
    node->disk.snapshot = node->snapshot;
    cluster_report_snapshot(cluster, id, &node->snapshot.id);
    return true;
}

bool cluster_compact(struct cluster *cluster, uint64_t id, uint64_t index) {
    struct cluster_node *node = cluster_node(cluster, id);
    if (!cluster_node_runs(node) || node->installing || index <= node->log.base_index ||
        index > node->snapshot.id.index || !durable_there(node, index))
        return false;
    cluster_log_compact(&node->log, index);
    cluster_log_compact(&node->disk.log, index);
    cluster_report_snapshot(cluster, id, &node->snapshot.id);
    return true;
}
