/*
 * The cluster of cores: creation, the lives of nodes, time.
 *
 * The happy path: each member starts with entry 1, the configuration, on its disk, as `weir init`
 * leaves it; a core is created from what is there; it ticks when its own clock reaches its
 * deadline.
 *
 * Failure modes: a crash is the loss of everything but the disk, a wipe the loss of the disk too.
 * A clock may be wrong in rate, within the drift that the options state; each node has its own.
 */

#include "sim/raft_cluster_internal.h"

#include <stdio.h>

#include "base/error.h"

#define MS UINT64_C(1000000)

void *cluster_allocate(size_t count, size_t bytes) {
    void *memory = calloc(count, bytes);
    ASSERT(memory != NULL);
    return memory;
}

struct cluster_options cluster_options_default(void) {
    return (struct cluster_options){
        .seed = 1,
        .voter_count = 3,
        .election_timeout_ns = 100 * MS,
        .heartbeat_ns = 10 * MS,
        .clock_drift_per_mille = 10,
        .inflight_messages_max = 8,
        .inflight_bytes_max = 64 * 1024,
        .message_bytes_max = 4096,
        .snapshot_chunk_bytes = 100,
        .uncommitted_bytes_max = 64 * 1024,
        .window_entries = 1024,
        .entry_bytes = 100,
    };
}

/* ---- disks -------------------------------------------------------------------------------- */

/* Who the first configuration says the members are. */
static const struct configuration *first_configuration(struct cluster *cluster) {
    const struct cluster_options *options = &cluster->options;
    struct configuration first = {.member_count = options->voter_count + options->learner_count,
                                  .flags = options->flags};
    if ((options->flags & CONFIGURATION_LEASES) != 0)
        first.lease_ms = (uint16_t)(options->election_timeout_ns / MS);
    for (uint32_t i = 0; i < first.member_count; i++) {
        first.members[i] = (struct configuration_member){
            .node_id = i + 1,
            .incarnation = i + 1,
            .roles = i < options->voter_count ? CONFIGURATION_VOTER : CONFIGURATION_LEARNER,
        };
    }
    return cluster_configuration(cluster, &first);
}

/* Entry 1 is the first configuration, the same at every node that ever joins. */
static void disk_format(struct cluster *cluster, struct cluster_node *node) {
    struct cluster_disk *disk = &node->disk;
    cluster_log_reset(&disk->log, 0, 0, 0);
    struct cluster_entry first = {.term = 1,
                                  .length_bytes = cluster->options.entry_bytes,
                                  .configuration = first_configuration(cluster)};
    cluster_entry_chain(&first, 1, 0);
    cluster_log_append(&disk->log, &first);
    disk->vote = (struct cluster_vote){.term = 1};
    disk->snapshot = (struct cluster_snapshot){0};
    disk->receiving = (struct raft_snapshot){0};
    disk->received_bytes = 0;
    node->incarnation = ++cluster->incarnation_count;
}

void cluster_disk_set(struct cluster *cluster, uint64_t id, uint64_t term, uint64_t voted_for,
                      const uint64_t *terms, uint32_t term_count) {
    struct cluster_node *node = cluster_node(cluster, id);
    ASSERT(node->state == CLUSTER_NODE_DOWN);
    uint64_t incarnation = node->incarnation;
    disk_format(cluster, node);
    node->incarnation = incarnation;
    node->disk.vote.term = term;
    node->disk.vote.node_id = voted_for;
    for (uint32_t i = 0; i < term_count; i++) {
        struct cluster_entry entry = {.term = terms[i],
                                      .length_bytes = cluster->options.entry_bytes};
        uint64_t previous_chain = 0;
        (void)cluster_log_chain(&node->disk.log, i + 1, &previous_chain);
        int length = snprintf(entry.payload, sizeof(entry.payload), "%llu@%llu",
                              (unsigned long long)i + 2, (unsigned long long)terms[i]);
        ASSERT(length > 0 && (size_t)length < sizeof(entry.payload));
        cluster_entry_chain(&entry, i + 2, previous_chain);
        cluster_log_append(&node->disk.log, &entry);
    }
}

/* ---- creation ----------------------------------------------------------------------------- */

struct cluster *cluster_create(const struct cluster_options *options) {
    ASSERT(options->voter_count >= 1);
    uint32_t count = options->voter_count + options->learner_count + options->spare_count;
    ASSERT(count <= CLUSTER_NODES_MAX);
    struct cluster *cluster = cluster_allocate(1, sizeof(*cluster));
    cluster->options = *options;
    cluster->node_count = count;
    random_seed(&cluster->random, options->seed);
    cluster->configurations =
        cluster_allocate(CLUSTER_CONFIGURATIONS_MAX, sizeof(*cluster->configurations));
    cluster->lines = cluster_allocate(CLUSTER_TRACE_LINES, sizeof(*cluster->lines));
    cluster_check_init(cluster);
    for (uint64_t from = 1; from <= CLUSTER_NODES_MAX; from++) {
        for (uint64_t to = 1; to <= CLUSTER_NODES_MAX; to++)
            cluster_queue_init(&cluster->links[from][to].queue);
    }
    for (uint64_t id = 1; id <= count; id++) {
        struct cluster_node *node = &cluster->nodes[id];
        node->id = id;
        node->state = CLUSTER_NODE_DOWN;
        node->now_ns = 1; /* 0 is "never" to some */
        node->clock_per_mille = 1000;
        cluster_queue_init(&node->outbox);
        cluster_log_init(&node->log);
        cluster_log_init(&node->disk.log);
        node->proposals = cluster_allocate(CLUSTER_PROPOSALS_MAX, sizeof(*node->proposals));
        disk_format(cluster, node);
    }
    for (uint64_t id = 1; id <= options->voter_count + options->learner_count; id++)
        cluster_restart(cluster, id);
    return cluster;
}

void cluster_destroy(struct cluster *cluster) {
    if (cluster == NULL)
        return;
    for (uint64_t id = 1; id <= cluster->node_count; id++) {
        struct cluster_node *node = &cluster->nodes[id];
        cluster_disk_crash(cluster, node, 0, 0);
        raft_destroy(node->raft);
        cluster_queue_clear(&node->outbox);
        free(node->log.entries);
        free(node->disk.log.entries);
        free(node->proposals);
    }
    for (uint64_t from = 1; from <= CLUSTER_NODES_MAX; from++) {
        for (uint64_t to = 1; to <= CLUSTER_NODES_MAX; to++)
            cluster_queue_clear(&cluster->links[from][to].queue);
    }
    cluster_check_fini(cluster);
    free(cluster->configurations);
    free(cluster->lines);
    free(cluster);
}

struct cluster_node *cluster_node(struct cluster *cluster, uint64_t id) {
    ASSERT(id >= 1 && id <= cluster->node_count);
    return &cluster->nodes[id];
}

bool cluster_node_runs(const struct cluster_node *node) {
    return node->state == CLUSTER_NODE_RUNNING;
}

uint64_t cluster_leader(const struct cluster *cluster) {
    uint64_t leader = 0;
    uint64_t term = 0;
    for (uint64_t id = 1; id <= cluster->node_count; id++) {
        const struct cluster_node *node = &cluster->nodes[id];
        if (cluster_node_runs(node) && node->role == RAFT_LEADER && node->term > term) {
            leader = id;
            term = node->term;
        }
    }
    return leader;
}

/* ---- lives -------------------------------------------------------------------------------- */

/* What raft_create wants to know of a log. */
struct found {
    struct raft_term_run runs[RAFT_TERM_RUNS_MAX];
    uint32_t run_count;
    struct raft_configuration_entry configurations[RAFT_CONFIGURATIONS_MAX];
    uint32_t configuration_count;
};

/* Remembers a configuration; of more than there is room for, the last ones. */
static void found_configuration(struct found *found, uint64_t index,
                                const struct configuration *configuration) {
    if (found->configuration_count == RAFT_CONFIGURATIONS_MAX) {
        memmove(found->configurations, found->configurations + 1,
                (RAFT_CONFIGURATIONS_MAX - 1) * sizeof(found->configurations[0]));
        found->configuration_count--;
    }
    found->configurations[found->configuration_count++] =
        (struct raft_configuration_entry){.index = index, .configuration = *configuration};
}

/* Remembers the run that an entry begins; likewise. */
static void found_term(struct found *found, uint64_t index, uint64_t term) {
    if (found->run_count > 0 && found->runs[found->run_count - 1].term == term)
        return;
    if (found->run_count == RAFT_TERM_RUNS_MAX) {
        memmove(found->runs, found->runs + 1, (RAFT_TERM_RUNS_MAX - 1) * sizeof(found->runs[0]));
        found->run_count--;
    }
    found->runs[found->run_count++] = (struct raft_term_run){.first_index = index, .term = term};
}

static void found_look(struct found *found, const struct cluster_disk *disk) {
    found->run_count = 0;
    found->configuration_count = 0;
    if (disk->snapshot.id.index > 0)
        found_configuration(found, disk->snapshot.id.index, disk->snapshot.configuration);
    for (uint64_t i = disk->log.base_index + 1; i <= disk->log.last_index; i++) {
        const struct cluster_entry *entry = cluster_log_at(&disk->log, i);
        found_term(found, i, entry->term);
        if (entry->configuration != NULL && i > disk->snapshot.id.index)
            found_configuration(found, i, entry->configuration);
    }
    ASSERT(found->configuration_count > 0);
}

/* What the node knows before its core's first step. */
static void node_reset(struct cluster_node *node) {
    const struct cluster_disk *disk = &node->disk;
    node->role = RAFT_FOLLOWER;
    node->term = disk->vote.term;
    node->leader = 0;
    node->epoch = raft_log_epoch(node->raft);
    node->commit_index = disk->snapshot.id.index;
    node->applied_index = disk->snapshot.id.index;
    node->applied_chain = disk->snapshot.chain;
    node->snapshot = disk->snapshot;
    memset(node->kept, 0, sizeof(node->kept));
    node->sentence = NULL;
    node->vote_number = 0;
    node->disk.vote.number = 0;
    node->installing = false;
    node->append_wanted = false;
    node->shortened_node = 0;
    node->proposal_count = 0;
    node->match_term = 0;
    cluster_log_copy(&node->log, &disk->log);
    node->configuration = cluster_log_configuration(&disk->log, &disk->snapshot, NULL);
}

static void node_tick(struct cluster *cluster, struct cluster_node *node) {
    struct raft_event event = {.kind = RAFT_EVENT_TICK};
    cluster_step(cluster, node, &event);
    cluster_node_run(cluster, node->id);
}

void cluster_restart(struct cluster *cluster, uint64_t id) {
    struct cluster_node *node = cluster_node(cluster, id);
    ASSERT(node->state == CLUSTER_NODE_DOWN);
    const struct cluster_disk *disk = &node->disk;
    const struct cluster_options *options = &cluster->options;
    struct found *found = cluster_allocate(1, sizeof(*found));
    found_look(found, disk);
    struct raft_options raft_options = {
        .node_id = id,
        .seed = random_u64(&cluster->random),
        .now_ns = node->now_ns,
        .term = disk->vote.term,
        .voted_for = disk->vote.node_id,
        .compacted_index = disk->log.base_index,
        .compacted_term = disk->log.base_term,
        .last_index = disk->log.last_index,
        .snapshot = disk->snapshot.id,
        .term_runs = found->runs,
        .term_run_count = found->run_count,
        .configurations = found->configurations,
        .configuration_count = found->configuration_count,
        .election_timeout_ns = options->election_timeout_ns,
        .heartbeat_ns = options->heartbeat_ns,
        .clock_drift_per_mille = options->clock_drift_per_mille,
        .inflight_messages_max = options->inflight_messages_max,
        .inflight_bytes_max = options->inflight_bytes_max,
        .message_bytes_max = options->message_bytes_max,
        .snapshot_chunk_bytes = options->snapshot_chunk_bytes,
        .uncommitted_bytes_max = options->uncommitted_bytes_max,
        .window_entries = options->window_entries,
    };
    int error = raft_create(&node->raft, &raft_options);
    free(found);
    if (error != WEIR_OK) {
        node->raft = NULL;
        cluster_violate(cluster, "node %llu does not start: %s", (unsigned long long)id,
                        error_name(error));
        return;
    }
    node->state = CLUSTER_NODE_RUNNING;
    node_reset(node);
    for (uint64_t i = node->log.base_index + 1; i <= node->log.last_index; i++)
        cluster_check_appended(cluster, node, i);
    cluster_trace(cluster, "%llu starts: term %llu, log to %llu, snapshot to %llu",
                  (unsigned long long)id, (unsigned long long)node->term,
                  (unsigned long long)node->log.last_index, (unsigned long long)node->commit_index);
    cluster_check_node(cluster, node);
}

void cluster_crash(struct cluster *cluster, uint64_t id, uint32_t votes_kept,
                   uint32_t writes_kept) {
    struct cluster_node *node = cluster_node(cluster, id);
    if (node->state == CLUSTER_NODE_DOWN)
        return;
    cluster_clients_fail(cluster, node);
    cluster_disk_crash(cluster, node, votes_kept, writes_kept);
    cluster_queue_clear(&node->outbox);
    for (uint64_t from = 1; from <= cluster->node_count; from++)
        cluster_queue_clear(&cluster->links[from][id].queue);
    raft_destroy(node->raft);
    node->raft = NULL;
    node->state = CLUSTER_NODE_DOWN;
    cluster->counts.crashes++;
    cluster_trace(cluster, "%llu crashes", (unsigned long long)id);
}

void cluster_wipe(struct cluster *cluster, uint64_t id) {
    struct cluster_node *node = cluster_node(cluster, id);
    ASSERT(node->state == CLUSTER_NODE_DOWN);
    disk_format(cluster, node);
    cluster_trace(cluster, "%llu has a new disk", (unsigned long long)id);
}

void cluster_pause(struct cluster *cluster, uint64_t id) {
    struct cluster_node *node = cluster_node(cluster, id);
    if (node->state == CLUSTER_NODE_RUNNING)
        node->state = CLUSTER_NODE_PAUSED;
}

void cluster_resume(struct cluster *cluster, uint64_t id) {
    struct cluster_node *node = cluster_node(cluster, id);
    if (node->state != CLUSTER_NODE_PAUSED)
        return;
    node->state = CLUSTER_NODE_RUNNING;
    if (raft_deadline_ns(node->raft) <= node->now_ns)
        node_tick(cluster, node);
    else
        cluster_node_run(cluster, id);
}

/* ---- time --------------------------------------------------------------------------------- */

/* What the node's clock shows after so much true time. */
static uint64_t clock_after(const struct cluster_node *node, uint64_t ns) {
    return node->now_ns + ns * node->clock_per_mille / 1000;
}

/* True time until the node's deadline, at least. */
static uint64_t time_to_deadline(const struct cluster_node *node) {
    uint64_t deadline_ns = raft_deadline_ns(node->raft);
    if (deadline_ns == UINT64_MAX)
        return UINT64_MAX;
    if (deadline_ns <= node->now_ns)
        return 0;
    uint64_t ns = (deadline_ns - node->now_ns) * 1000 / node->clock_per_mille;
    return clock_after(node, ns) < deadline_ns ? ns + 1 : ns;
}

/* The running node whose deadline is the next one, and how far away that is; NULL if none. */
static struct cluster_node *next_deadline(struct cluster *cluster, uint64_t *ns) {
    struct cluster_node *next = NULL;
    *ns = UINT64_MAX;
    for (uint64_t id = 1; id <= cluster->node_count; id++) {
        struct cluster_node *node = &cluster->nodes[id];
        if (!cluster_node_runs(node))
            continue;
        uint64_t left_ns = time_to_deadline(node);
        if (left_ns < *ns) {
            *ns = left_ns;
            next = node;
        }
    }
    return next;
}

static void clocks_go(struct cluster *cluster, uint64_t ns) {
    cluster->now_ns += ns;
    for (uint64_t id = 1; id <= cluster->node_count; id++)
        cluster->nodes[id].now_ns = clock_after(&cluster->nodes[id], ns);
}

/* A core whose deadline does not move when it ticks would never let time go on. */
enum { TICKS_AT_ONE_TIME_MAX = 1000 };

static void advance(struct cluster *cluster, uint64_t ns, bool deliver) {
    uint32_t ticks = 0;
    if (deliver)
        (void)cluster_settle(cluster);
    while (!cluster->violated) {
        uint64_t left_ns = 0;
        struct cluster_node *node = next_deadline(cluster, &left_ns);
        if (node == NULL || left_ns > ns)
            break;
        ticks = left_ns == 0 ? ticks + 1 : 0;
        if (ticks > TICKS_AT_ONE_TIME_MAX) {
            cluster_violate(cluster, "node %llu ticks without end at one time",
                            (unsigned long long)node->id);
            return;
        }
        clocks_go(cluster, left_ns);
        ns -= left_ns;
        node_tick(cluster, node);
        if (deliver)
            (void)cluster_settle(cluster);
    }
    clocks_go(cluster, ns);
}

void cluster_advance(struct cluster *cluster, uint64_t ns) {
    advance(cluster, ns, false);
}

void cluster_run(struct cluster *cluster, uint64_t ns) {
    advance(cluster, ns, true);
}

void cluster_tick(struct cluster *cluster, uint64_t id, uint64_t ns) {
    struct cluster_node *node = cluster_node(cluster, id);
    uint64_t end_ns = node->now_ns + ns;
    uint32_t ticks = 0;
    while (cluster_node_runs(node) && raft_deadline_ns(node->raft) <= end_ns) {
        uint64_t deadline_ns = raft_deadline_ns(node->raft);
        if (++ticks > TICKS_AT_ONE_TIME_MAX) {
            cluster_violate(cluster, "node %llu ticks without end", (unsigned long long)id);
            return;
        }
        if (deadline_ns > node->now_ns)
            node->now_ns = deadline_ns;
        node_tick(cluster, node);
    }
    node->now_ns = end_ns;
}

bool cluster_settle(struct cluster *cluster) {
    for (uint32_t round = 0; round < 100000 && !cluster->violated; round++) {
        struct cluster_message *oldest = NULL;
        for (uint64_t from = 1; from <= cluster->node_count; from++) {
            for (uint64_t to = 1; to <= cluster->node_count; to++) {
                struct cluster_link *link = &cluster->links[from][to];
                if (link->state != CLUSTER_LINK_OPEN || link->queue.head == NULL ||
                    !cluster_node_runs(&cluster->nodes[to]))
                    continue;
                if (oldest == NULL || link->queue.head->number < oldest->number)
                    oldest = link->queue.head;
            }
        }
        if (oldest == NULL)
            return true;
        oldest = cluster_message_take(cluster, oldest->message.from, oldest->message.to, 0);
        cluster_message_deliver(cluster, oldest);
    }
    return false;
}
