/*
 * The random driver.
 *
 * The happy path: draw a thing that may happen, by weight, let it happen, and go on; the cluster
 * checks safety at every step.  From time to time the faults pause, so that the cluster gets
 * somewhere between them.
 *
 * Failure modes: a violation ends the run.  So does a cluster that does not recover when all faults
 * have ended.
 */

#include "sim/raft_cluster_random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"

#define MS UINT64_C(1000000)

enum {
    /* From so many entries on a log is compacted as soon as it can be. */
    LOG_LONG = 200,
    /* The faults pause after so many things, for as long as the cluster may need to elect. */
    STORM_THINGS = 600,
    CALM_TIMEOUTS = 4,
    RECOVERY_TIMEOUTS = 40,
    FAULT_KINDS_MAX = 3,
};

/* Kinds of fault, of which a run has a few. */
enum fault {
    FAULT_LOSS,
    FAULT_REPEAT,
    FAULT_REORDER,
    FAULT_PARTITION,
    FAULT_CRASH,
    FAULT_PAUSE,
    FAULT_DISK, /* late and in pieces */
    FAULT_DRIFT,
    FAULT_SHORTEN,
    FAULT_CLOG, /* heartbeats pass, data does not */
    FAULT_COUNT,
};

struct driver {
    struct cluster *cluster;
    struct random random;
    bool faults[FAULT_COUNT];
    bool calm;
    bool clogged[CLUSTER_NODES_MAX + 1][CLUSTER_NODES_MAX + 1]; /* from, to */
    uint64_t payload_count;
    uint32_t membership_chance; /* of a thing being one about membership, per mille */
};

static uint64_t below(struct driver *driver, uint64_t limit) {
    return random_below(&driver->random, limit);
}

static bool has(struct driver *driver, enum fault fault) {
    return driver->faults[fault] && !driver->calm;
}

/* A node at random; NULL if that one does not run. */
static struct cluster_node *some_node(struct driver *driver) {
    struct cluster_node *node =
        cluster_node(driver->cluster, 1 + below(driver, driver->cluster->node_count));
    return cluster_node_runs(node) ? node : NULL;
}

/* The node that clients would ask: one that thinks it leads, also in an old term; sometimes any. */
static struct cluster_node *asked_node(struct driver *driver) {
    uint64_t count = driver->cluster->node_count;
    uint64_t first = below(driver, count);
    for (uint64_t i = 0; i < count && below(driver, 10) > 0; i++) {
        struct cluster_node *node = cluster_node(driver->cluster, 1 + (first + i) % count);
        if (cluster_node_runs(node) && node->role == RAFT_LEADER)
            return node;
    }
    return some_node(driver);
}

/* ---- messages ----------------------------------------------------------------------------- */

/* A link at random that has messages, of `tries`; false if none was found. */
static bool some_link(struct driver *driver, uint64_t *from, uint64_t *to) {
    uint64_t count = driver->cluster->node_count;
    for (uint32_t tries = 0; tries < 16; tries++) {
        *from = 1 + below(driver, count);
        *to = 1 + below(driver, count);
        if (driver->cluster->links[*from][*to].queue.head != NULL)
            return true;
    }
    return false;
}

/* The position of the next message of a link: the oldest, or any, when messages overtake. */
static uint32_t some_position(struct driver *driver, uint64_t from, uint64_t to) {
    if (!has(driver, FAULT_REORDER) || below(driver, 4) > 0)
        return 0;
    return (uint32_t)below(driver, driver->cluster->links[from][to].queue.count);
}

static void thing_deliver(struct driver *driver) {
    uint64_t from = 0;
    uint64_t to = 0;
    if (!some_link(driver, &from, &to) || !cluster_node_runs(&driver->cluster->nodes[to]))
        return;
    struct cluster_message *message =
        cluster_message_take(driver->cluster, from, to, some_position(driver, from, to));
    bool lost = has(driver, FAULT_LOSS) && below(driver, 10) == 0;
    bool stuck = has(driver, FAULT_CLOG) && driver->clogged[from][to] &&
                 !raft_message_is_control(message->message.kind);
    if (lost || stuck) {
        driver->cluster->counts.dropped++;
        free(message);
        return;
    }
    if (has(driver, FAULT_REPEAT) && below(driver, 10) == 0)
        cluster_message_put(driver->cluster, cluster_message_copy(message));
    cluster_message_deliver(driver->cluster, message);
}

/* Some links lose all their data from now on, the others none. */
static void thing_clog(struct driver *driver) {
    if (!has(driver, FAULT_CLOG))
        return;
    for (uint64_t from = 1; from <= driver->cluster->node_count; from++) {
        for (uint64_t to = 1; to <= driver->cluster->node_count; to++)
            driver->clogged[from][to] = below(driver, 2) == 0;
    }
}

static void thing_partition(struct driver *driver) {
    struct cluster *cluster = driver->cluster;
    if (!has(driver, FAULT_PARTITION))
        return;
    uint64_t sort = below(driver, 4);
    for (uint64_t from = 1; from <= cluster->node_count; from++) {
        for (uint64_t to = 1; to <= cluster->node_count; to++) {
            if (from == to)
                continue;
            /* Two halves, single links in one direction, everything late, or healed. */
            bool cut = sort == 0 && (from % 2) != (to % 2);
            cut = cut || (sort == 1 && below(driver, 3) == 0);
            enum cluster_link_state state = cut ? CLUSTER_LINK_CUT : CLUSTER_LINK_OPEN;
            cluster_link_set(cluster, from, to, state);
            if (cut && below(driver, 2) == 0)
                cluster_disconnect(cluster, to, from);
        }
    }
}

/* ---- nodes -------------------------------------------------------------------------------- */

static void node_restart(struct driver *driver, struct cluster_node *node) {
    cluster_restart(driver->cluster, node->id);
    node->hold_votes = false;
    node->hold_writes = false;
    node->hold_apply = false;
    node->hold_append = false;
}

static void thing_crash(struct driver *driver) {
    if (!has(driver, FAULT_CRASH))
        return;
    struct cluster_node *node =
        cluster_node(driver->cluster, 1 + below(driver, driver->cluster->node_count));
    if (node->state == CLUSTER_NODE_DOWN) {
        node_restart(driver, node);
        return;
    }
    cluster_crash(driver->cluster, node->id, (uint32_t)below(driver, 3),
                  (uint32_t)below(driver, 4));
    for (uint64_t id = 1; id <= driver->cluster->node_count; id++) {
        if (id != node->id && below(driver, 2) == 0)
            cluster_disconnect(driver->cluster, id, node->id);
    }
    /* Half of them are back before anybody's clock has gone on. */
    if (below(driver, 2) == 0 && !driver->cluster->violated)
        node_restart(driver, node);
}

static void thing_pause(struct driver *driver) {
    if (!has(driver, FAULT_PAUSE))
        return;
    struct cluster_node *node =
        cluster_node(driver->cluster, 1 + below(driver, driver->cluster->node_count));
    if (node->state == CLUSTER_NODE_PAUSED)
        cluster_resume(driver->cluster, node->id);
    else
        cluster_pause(driver->cluster, node->id);
}

static void thing_switch(struct driver *driver) {
    struct cluster_node *node = some_node(driver);
    if (node == NULL || !has(driver, FAULT_DISK))
        return;
    node->hold_votes = below(driver, 2) == 0;
    node->hold_writes = below(driver, 2) == 0;
    node->hold_apply = below(driver, 3) == 0;
    node->hold_append = below(driver, 4) == 0;
    cluster_node_run(driver->cluster, node->id);
}

/* Something that is held goes on by one piece. */
static void thing_disk(struct driver *driver) {
    struct cluster *cluster = driver->cluster;
    struct cluster_node *node = some_node(driver);
    if (node == NULL)
        return;
    switch (below(driver, 4)) {
    case 0: (void)cluster_vote_store(cluster, node->id); break;
    case 1: (void)cluster_write_store(cluster, node->id); break;
    case 2: {
        const struct cluster_write *write = &node->disk.writes[0];
        if (node->disk.write_count > 0 && write->kind == CLUSTER_WRITE_ENTRIES)
            (void)cluster_write_store_to(
                cluster, node->id, write->first + below(driver, write->last - write->first + 1));
        break;
    }
    default:
        if (node->commit_index > node->applied_index)
            cluster_apply(cluster, node->id,
                          node->applied_index + 1 +
                              below(driver, node->commit_index - node->applied_index));
        break;
    }
    if (cluster_node_runs(node))
        cluster_node_run(cluster, node->id);
}

static void thing_time(struct driver *driver) {
    uint64_t ns = 1 + below(driver, driver->cluster->options.heartbeat_ns);
    if (below(driver, 50) == 0)
        ns += below(driver, 2 * driver->cluster->options.election_timeout_ns);
    cluster_advance(driver->cluster, ns);
}

static void thing_snapshot(struct driver *driver) {
    struct cluster_node *node = some_node(driver);
    if (node == NULL)
        return;
    uint64_t length = node->log.last_index - node->log.base_index;
    if (length < LOG_LONG && below(driver, 4) > 0)
        return;
    (void)cluster_snapshot_take(driver->cluster, node->id, 1 + below(driver, 1000));
    if (!cluster_node_runs(node) || node->snapshot.id.index <= node->log.base_index)
        return;
    uint64_t index = node->snapshot.id.index;
    uint64_t needed_index = raft_needed_index(node->raft);
    switch (below(driver, 4)) {
    case 0:
    case 1: index = node->log.base_index + 1 + below(driver, index - node->log.base_index); break;
    case 2: /* as far as nobody needs a snapshot for it */
        index = needed_index <= index ? needed_index - 1 : index;
        break;
    default: break;
    }
    (void)cluster_compact(driver->cluster, node->id, index);
}

/* ---- clients and operators ---------------------------------------------------------------- */

static void thing_propose(struct driver *driver) {
    struct cluster_node *node = asked_node(driver);
    if (node == NULL)
        return;
    char payload[CLUSTER_PAYLOAD_BYTES];
    int length =
        snprintf(payload, sizeof(payload), "w%llu", (unsigned long long)++driver->payload_count);
    ASSERT(length > 0 && (size_t)length < sizeof(payload));
    (void)cluster_propose(driver->cluster, node->id, payload, 1 + (uint32_t)below(driver, 1000));
}

static void thing_read(struct driver *driver) {
    struct cluster_node *node = asked_node(driver);
    if (node != NULL)
        (void)cluster_read(driver->cluster, node->id, below(driver, 2) == 0);
}

/* Moves one node between voters, learners and none; sometimes two. */
static void thing_configure(struct driver *driver) {
    struct cluster_node *node = asked_node(driver);
    if (node == NULL || node->configuration == NULL)
        return;
    uint8_t roles[CLUSTER_NODES_MAX + 1] = {0};
    for (uint32_t i = 0; i < node->configuration->member_count; i++) {
        uint64_t id = node->configuration->members[i].node_id;
        roles[id] =
            node->configuration->members[i].roles & (CONFIGURATION_VOTER | CONFIGURATION_LEARNER);
    }
    for (uint64_t i = 0; i <= below(driver, 2); i++) {
        uint64_t id = 1 + below(driver, driver->cluster->node_count);
        static const uint8_t choices[] = {0, CONFIGURATION_LEARNER, CONFIGURATION_VOTER};
        roles[id] = choices[below(driver, ARRAY_COUNT(choices))];
    }
    struct configuration wanted = {.flags = node->configuration->flags};
    if (below(driver, 8) == 0)
        wanted.flags ^= CONFIGURATION_LEASES;
    if ((wanted.flags & CONFIGURATION_LEASES) != 0) {
        /* T is 100 ms: shorter, as long, and longer. */
        static const uint16_t lengths_ms[] = {0, 30, 100, 250, 600};
        wanted.lease_ms = lengths_ms[below(driver, ARRAY_COUNT(lengths_ms))];
    }
    for (uint64_t id = 1; id <= driver->cluster->node_count; id++) {
        if (roles[id] != 0)
            wanted.members[wanted.member_count++] =
                (struct configuration_member){.node_id = id,
                                              .incarnation = driver->cluster->nodes[id].incarnation,
                                              .roles = roles[id]};
    }
    (void)cluster_configure(driver->cluster, node->id, &wanted);
}

static void thing_transfer(struct driver *driver) {
    struct cluster_node *node = asked_node(driver);
    if (node != NULL)
        (void)cluster_transfer(driver->cluster, node->id,
                               1 + below(driver, driver->cluster->node_count));
}

/* ---- a run -------------------------------------------------------------------------------- */

static const struct {
    void (*happen)(struct driver *driver);
    uint32_t weight;
} things[] = {
    {thing_deliver, 600}, {thing_disk, 150},    {thing_time, 60},      {thing_propose, 60},
    {thing_read, 30},     {thing_snapshot, 10}, {thing_switch, 10},    {thing_crash, 4},
    {thing_pause, 4},     {thing_partition, 8}, {thing_configure, 10}, {thing_transfer, 6},
    {thing_clog, 8},
};

static void thing(struct driver *driver) {
    uint64_t total = 0;
    for (size_t i = 0; i < ARRAY_COUNT(things); i++)
        total += things[i].weight;
    uint64_t drawn = below(driver, total);
    size_t i = 0;
    while (drawn >= things[i].weight)
        drawn -= things[i++].weight;
    if ((things[i].happen == thing_configure || things[i].happen == thing_transfer) &&
        below(driver, 1000) >= driver->membership_chance)
        return;
    things[i].happen(driver);
}

static struct cluster_options draw_options(struct driver *driver) {
    static const uint32_t voters[] = {1, 2, 3, 3, 3, 4, 5, 5};
    struct cluster_options options = cluster_options_default();
    options.voter_count = voters[below(driver, ARRAY_COUNT(voters))];
    options.learner_count = (uint32_t)below(driver, 2);
    options.spare_count = (uint32_t)below(driver, 3);
    options.flags = below(driver, 2) == 0 ? CONFIGURATION_LEASES : 0;
    options.inflight_messages_max = 1 + (uint32_t)below(driver, 8);
    options.inflight_bytes_max = 1 + below(driver, 8000);
    options.message_bytes_max = 1 + (uint32_t)below(driver, 4000);
    options.snapshot_chunk_bytes = 1 + (uint32_t)below(driver, 500);
    options.uncommitted_bytes_max = 1 + below(driver, 100000);
    options.window_entries = 256;
    options.heartbeat_ns = (1 + below(driver, 50)) * MS;
    return options;
}

static void draw_faults(struct driver *driver) {
    for (uint32_t i = 0; i < FAULT_KINDS_MAX; i++)
        driver->faults[below(driver, FAULT_COUNT)] = true;
    driver->membership_chance = below(driver, 2) == 0 ? 1000 : 0;
    for (uint64_t id = 1; id <= driver->cluster->node_count; id++) {
        struct cluster_node *node = cluster_node(driver->cluster, id);
        uint32_t drift = driver->cluster->options.clock_drift_per_mille;
        if (driver->faults[FAULT_DRIFT])
            node->clock_per_mille = 1000 + (uint32_t)below(driver, drift);
        if (driver->faults[FAULT_SHORTEN])
            node->shorten_per_mille = 200;
        if (node->state == CLUSTER_NODE_DOWN)
            cluster_restart(driver->cluster, id);
    }
}

/* Ends all faults. */
static void heal(struct driver *driver) {
    struct cluster *cluster = driver->cluster;
    for (uint64_t from = 1; from <= cluster->node_count; from++) {
        for (uint64_t to = 1; to <= cluster->node_count; to++)
            cluster_link_set(cluster, from, to, CLUSTER_LINK_OPEN);
    }
    for (uint64_t id = 1; id <= cluster->node_count && !cluster->violated; id++) {
        struct cluster_node *node = cluster_node(cluster, id);
        if (node->state == CLUSTER_NODE_DOWN)
            node_restart(driver, node);
        node->hold_votes = false;
        node->hold_writes = false;
        node->hold_apply = false;
        node->hold_append = false;
        cluster_resume(cluster, id);
        if (cluster_node_runs(node))
            cluster_node_run(cluster, id);
    }
}

/* Every member of the leader's configuration has applied what the leader has. */
static void check_recovered(struct driver *driver) {
    struct cluster *cluster = driver->cluster;
    uint64_t leader = cluster_leader(cluster);
    if (leader == 0 || !raft_serving(cluster->nodes[leader].raft)) {
        cluster_violate(cluster, "no leader serves after all faults have ended");
        return;
    }
    const struct cluster_node *one = &cluster->nodes[leader];
    uint64_t committed = cluster->committed_index;
    if (cluster_propose(cluster, leader, "last", 10) != WEIR_OK) {
        cluster_violate(cluster, "the leader takes no proposals after all faults have ended");
        return;
    }
    cluster_run(cluster, CALM_TIMEOUTS * cluster->options.election_timeout_ns);
    if (!cluster->violated && cluster->committed_index <= committed)
        cluster_violate(cluster, "nothing is committed after all faults have ended");
    for (uint32_t i = 0; i < one->configuration->member_count && !cluster->violated; i++) {
        const struct cluster_node *other = &cluster->nodes[one->configuration->members[i].node_id];
        if (other->log.last_index != one->log.last_index ||
            other->applied_index != one->applied_index)
            cluster_violate(cluster, "node %llu does not catch up after all faults have ended",
                            (unsigned long long)other->id);
    }
}

static void counts_add(struct cluster_counts *sum, const struct cluster_counts *counts) {
    sum->steps += counts->steps;
    sum->elections += counts->elections;
    sum->commits += counts->commits;
    sum->proposals += counts->proposals;
    sum->reads_done += counts->reads_done;
    sum->reads_failed += counts->reads_failed;
    sum->changes += counts->changes;
    sum->transfers += counts->transfers;
    sum->installs += counts->installs;
    sum->truncations += counts->truncations;
    sum->crashes += counts->crashes;
    sum->delivered += counts->delivered;
    sum->dropped += counts->dropped;
}

bool cluster_random(uint64_t seed, uint32_t steps, struct cluster_counts *counts,
                    void (*trace)(void *context, const char *line), void *trace_context) {
    struct driver driver = {0};
    random_seed(&driver.random, seed);
    struct cluster_options options = draw_options(&driver);
    options.seed = seed;
    options.trace = trace;
    options.trace_context = trace_context;
    struct cluster *cluster = cluster_create(&options);
    driver.cluster = cluster;
    draw_faults(&driver);
    for (uint32_t i = 0; i < steps && !cluster->violated; i++) {
        thing(&driver);
        if (i % STORM_THINGS == STORM_THINGS - 1 && below(&driver, 2) == 0) {
            driver.calm = true;
            heal(&driver);
            cluster_run(cluster, CALM_TIMEOUTS * options.election_timeout_ns);
            driver.calm = false;
        }
    }
    heal(&driver);
    cluster_run(cluster, RECOVERY_TIMEOUTS * options.election_timeout_ns);
    if (!cluster->violated)
        check_recovered(&driver);
    bool good = !cluster->violated;
    if (!good)
        cluster_print_trace(cluster);
    counts_add(counts, &cluster->counts);
    cluster_destroy(cluster);
    return good;
}
