/*
 * Safety, seen from outside: what must hold of a cluster of cores whatever happens.
 *
 * The five properties of the dissertation's figure 3.2:
 *
 *   election safety          leaders[term] is written once.  And a leader was voted for, durably,
 *                            by a quorum of its configuration.
 *   leader append-only       a leader never truncates.
 *   log matching             an entry's chain covers all before it: whoever appends at an index and
 *                            a term, ever, at any node, appends the same chain.
 *   leader completeness      a new leader's log holds all that was committed in terms before its
 *                            own.
 *   state machine safety     what a node commits and applies is, by its chain, what was committed
 *                            first; and only a leader commits first, an entry of its own term, that
 *                            is durable on a quorum of the configuration in force.
 *
 * And: terms, commits and matches only grow; a vote never changes within a term, over restarts too;
 * what a core says of itself is what it told its caller to do; a message says only what is true of
 * its sender when it leaves: a vote that is durable, entries that are durable, its log's terms.
 *
 * Nothing here reads a core's memory, nor trusts what it answers without comparing.
 */

#include "sim/raft_cluster_internal.h"

#include "base/checksum.h"

/* ---- maps --------------------------------------------------------------------------------- */

enum { MAP_PLACES = 1 << 17 };

static void map_init(struct cluster_map *map) {
    map->keys = cluster_allocate(MAP_PLACES, sizeof(*map->keys));
    map->values = cluster_allocate(MAP_PLACES, sizeof(*map->values));
    map->count = 0;
}

static uint64_t map_key(uint64_t one, uint64_t other) {
    uint8_t bytes[16];
    bytes_put_u64(bytes, one);
    bytes_put_u64(bytes + 8, other);
    uint64_t key = checksum_64(bytes, sizeof(bytes), 0);
    return key != 0 ? key : 1;
}

/* The place of a key: where it is, or where it would be. */
static uint32_t map_place(const struct cluster_map *map, uint64_t key) {
    uint32_t place = (uint32_t)key & (MAP_PLACES - 1);
    while (map->keys[place] != 0 && map->keys[place] != key)
        place = (place + 1) & (MAP_PLACES - 1);
    return place;
}

/* The value of a key, which becomes `value` if it has none yet. */
static uint64_t map_settle(struct cluster_map *map, uint64_t key, uint64_t value) {
    uint32_t place = map_place(map, key);
    if (map->keys[place] == 0) {
        ASSERT(map->count < MAP_PLACES / 2);
        map->count++;
        map->keys[place] = key;
        map->values[place] = value;
    }
    return map->values[place];
}

static uint64_t map_get(const struct cluster_map *map, uint64_t key) {
    return map->values[map_place(map, key)];
}

void cluster_check_init(struct cluster *cluster) {
    map_init(&cluster->leaders);
    map_init(&cluster->chains);
    map_init(&cluster->votes);
    cluster->committed = cluster_allocate(CLUSTER_COMMITTED_MAX, sizeof(*cluster->committed));
}

void cluster_check_fini(struct cluster *cluster) {
    struct cluster_map *maps[] = {&cluster->leaders, &cluster->chains, &cluster->votes};
    for (size_t i = 0; i < ARRAY_COUNT(maps); i++) {
        free(maps[i]->keys);
        free(maps[i]->values);
    }
    free(cluster->committed);
}

static unsigned long long n(uint64_t number) {
    return (unsigned long long)number;
}

/* ---- quorums, counted by hand ------------------------------------------------------------- */

/* True if more than half of the members with this role, if there are any, are marked. */
static bool majority(const struct configuration *configuration, uint8_t role, const bool *marked) {
    uint32_t members = 0;
    uint32_t marks = 0;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        if ((configuration->members[i].roles & role) == 0)
            continue;
        members++;
        marks += marked[i];
    }
    return members == 0 || marks * 2 > members;
}

static bool quorum(const struct configuration *configuration, const bool *marked) {
    return majority(configuration, CONFIGURATION_VOTER, marked) &&
           majority(configuration, CONFIGURATION_OUTGOING, marked);
}

/* True if this is on the node's disk, whatever has become of the node. */
static bool durable_at(const struct cluster *cluster, uint64_t id, uint64_t index, uint64_t chain) {
    const struct cluster_disk *disk = &cluster->nodes[id].disk;
    if (id > cluster->node_count)
        return false;
    if (index <= disk->snapshot.id.index || index < disk->log.base_index)
        return true; /* only what is committed is in a snapshot */
    uint64_t durable_chain = 0;
    return cluster_log_chain(&disk->log, index, &durable_chain) && durable_chain == chain;
}

/* ---- logs --------------------------------------------------------------------------------- */

void cluster_check_appended(struct cluster *cluster, const struct cluster_node *node,
                            uint64_t index) {
    const struct cluster_entry *entry = cluster_log_at(&node->log, index);
    uint64_t chain = map_settle(&cluster->chains, map_key(index, entry->term), entry->chain);
    if (chain != entry->chain)
        cluster_violate(cluster,
                        "log matching: node %llu has another entry at %llu@%llu than was "
                        "once there, or another log before it",
                        n(node->id), n(index), n(entry->term));
    if (index <= cluster->committed_index && cluster->committed[index].term == entry->term &&
        cluster->committed[index].chain != entry->chain)
        cluster_violate(cluster,
                        "log matching: node %llu has another entry at %llu than the "
                        "committed one of that term",
                        n(node->id), n(index));
}

void cluster_check_truncate(struct cluster *cluster, const struct cluster_node *node,
                            uint64_t index) {
    if (node->role == RAFT_LEADER)
        cluster_violate(cluster, "leader append-only: node %llu truncates its log as leader",
                        n(node->id));
    if (index < node->commit_index)
        cluster_violate(cluster, "node %llu truncates after %llu, and committed up to %llu",
                        n(node->id), n(index), n(node->commit_index));
    if (index >= node->log.last_index || index < node->log.base_index)
        cluster_violate(cluster, "node %llu truncates after %llu, which removes nothing of its log",
                        n(node->id), n(index));
}

/* ---- votes and leaders -------------------------------------------------------------------- */

void cluster_check_vote(struct cluster *cluster, const struct cluster_node *node, uint64_t term,
                        uint64_t node_id) {
    const struct cluster_disk *disk = &node->disk;
    struct cluster_vote last =
        disk->vote_count > 0 ? disk->votes[disk->vote_count - 1] : disk->vote;
    if (term < last.term)
        cluster_violate(cluster, "node %llu stores term %llu behind term %llu", n(node->id),
                        n(term), n(last.term));
    if (term == last.term && last.node_id != 0 && node_id != last.node_id)
        cluster_violate(cluster, "node %llu changes its vote in term %llu from %llu to %llu",
                        n(node->id), n(term), n(last.node_id), n(node_id));
}

void cluster_check_vote_landed(struct cluster *cluster, const struct cluster_node *node,
                               uint64_t term, uint64_t node_id) {
    if (node_id == 0)
        return;
    uint64_t key = map_key(node->id + (node->incarnation << 8), term);
    if (map_settle(&cluster->votes, key, node_id) != node_id)
        cluster_violate(cluster, "node %llu votes twice in term %llu", n(node->id), n(term));
}

void cluster_check_leader(struct cluster *cluster, const struct cluster_node *node) {
    uint64_t first = map_settle(&cluster->leaders, map_key(node->term, 0), node->id);
    cluster->counts.elections++;
    if (first != node->id) {
        cluster_violate(cluster, "election safety: nodes %llu and %llu both lead in term %llu",
                        n(first), n(node->id), n(node->term));
        return;
    }
    bool voted[CONFIGURATION_MEMBERS_MAX] = {false};
    const struct configuration *configuration = node->configuration;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        uint64_t id = configuration->members[i].node_id;
        uint64_t incarnation = id <= cluster->node_count ? cluster->nodes[id].incarnation : 0;
        voted[i] =
            map_get(&cluster->votes, map_key(id + (incarnation << 8), node->term)) == node->id;
    }
    if (!quorum(configuration, voted))
        cluster_violate(cluster, "node %llu leads in term %llu without the votes of a quorum",
                        n(node->id), n(node->term));
    uint64_t index = cluster->committed_index;
    while (index > 0 && cluster->committed[index].commit_term >= node->term)
        index--;
    uint64_t chain = 0;
    if (index <= node->log.base_index)
        return;
    if (!cluster_log_chain(&node->log, index, &chain) || chain != cluster->committed[index].chain)
        cluster_violate(cluster,
                        "leader completeness: node %llu leads in term %llu without the "
                        "committed entry %llu",
                        n(node->id), n(node->term), n(index));
}

/* ---- commit and apply --------------------------------------------------------------------- */

/* What a leader commits first must be of its term, and durable on a quorum. */
static void check_first_commit(struct cluster *cluster, const struct cluster_node *node,
                               uint64_t index) {
    const struct cluster_entry *entry = cluster_log_at(&node->log, index);
    if (node->role != RAFT_LEADER) {
        cluster_violate(cluster, "node %llu commits %llu, which no leader has committed",
                        n(node->id), n(index));
        return;
    }
    if (entry->term != node->term)
        cluster_violate(cluster, "leader %llu commits %llu@%llu by counting, in term %llu",
                        n(node->id), n(index), n(entry->term), n(node->term));
    bool durable[CONFIGURATION_MEMBERS_MAX] = {false};
    const struct configuration *configuration = node->configuration;
    for (uint32_t i = 0; i < configuration->member_count; i++)
        durable[i] = durable_at(cluster, configuration->members[i].node_id, index, entry->chain);
    if (!quorum(configuration, durable))
        cluster_violate(cluster, "leader %llu commits %llu, which is not durable on a quorum",
                        n(node->id), n(index));
    for (uint64_t id = 1; id <= cluster->node_count; id++) {
        const struct cluster_node *other = &cluster->nodes[id];
        uint64_t chain = 0;
        if (cluster_node_runs(other) && other->role == RAFT_LEADER && other->term > node->term &&
            index > other->log.base_index &&
            (!cluster_log_chain(&other->log, index, &chain) || chain != entry->chain))
            cluster_violate(cluster,
                            "leader completeness: node %llu leads in term %llu without "
                            "%llu, which is committed in term %llu",
                            n(id), n(other->term), n(index), n(node->term));
    }
}

void cluster_check_commit(struct cluster *cluster, const struct cluster_node *node,
                          uint64_t index) {
    if (index <= node->commit_index || index > node->log.last_index) {
        cluster_violate(cluster, "node %llu commits %llu, with %llu committed and a log to %llu",
                        n(node->id), n(index), n(node->commit_index), n(node->log.last_index));
        return;
    }
    if (index > cluster->committed_index)
        check_first_commit(cluster, node, index);
    for (uint64_t i = node->commit_index + 1; i <= index && !cluster->violated; i++) {
        const struct cluster_entry *entry = cluster_log_at(&node->log, i);
        if (entry == NULL)
            continue; /* covered by the snapshot that is being installed */
        if (i > cluster->committed_index) {
            ASSERT(i < CLUSTER_COMMITTED_MAX);
            ASSERT(i == cluster->committed_index + 1);
            cluster->committed[i] = (struct cluster_committed){
                .chain = entry->chain, .term = entry->term, .commit_term = node->term};
            cluster->committed_index = i;
            cluster->counts.commits++;
        } else if (cluster->committed[i].chain != entry->chain) {
            cluster_violate(cluster,
                            "state machine safety: node %llu commits another entry at "
                            "%llu than the committed one",
                            n(node->id), n(i));
        }
    }
}

void cluster_check_applied(struct cluster *cluster, const struct cluster_node *node) {
    uint64_t index = node->applied_index;
    if (index > cluster->committed_index || cluster->committed[index].chain != node->applied_chain)
        cluster_violate(cluster,
                        "state machine safety: node %llu has applied something else up to "
                        "%llu than what is committed",
                        n(node->id), n(index));
}

/* ---- messages ----------------------------------------------------------------------------- */

/* The term that the sender says its log has at an index. */
static void check_term_said(struct cluster *cluster, const struct cluster_node *node,
                            uint64_t index, uint64_t said) {
    uint64_t term = 0;
    if (!cluster_log_term(&node->log, index, &term) || term != said)
        cluster_violate(cluster, "node %llu says that its entry %llu is of term %llu", n(node->id),
                        n(index), n(said));
}

void cluster_check_put_out(struct cluster *cluster, const struct cluster_node *node,
                           const struct raft_message *message) {
    if (message->from != node->id || message->to == node->id || message->to == 0 ||
        message->to > cluster->node_count) {
        cluster_violate(cluster, "node %llu sends from %llu to %llu", n(node->id), n(message->from),
                        n(message->to));
        return;
    }
    switch (message->kind) {
    case RAFT_MESSAGE_APPEND:
        check_term_said(cluster, node, message->previous_index, message->previous_term);
        if (message->previous_index + message->entry_count > node->log.last_index)
            cluster_violate(cluster, "node %llu sends entries that it does not have", n(node->id));
        break;
    case RAFT_MESSAGE_HEARTBEAT:
        if (message->previous_index >= node->log.base_index)
            check_term_said(cluster, node, message->previous_index, message->previous_term);
        break;
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_VOTE:
        check_term_said(cluster, node, message->last_index, message->last_term);
        if (message->last_index != node->log.last_index)
            cluster_violate(cluster, "node %llu campaigns with an index that is not its last",
                            n(node->id));
        break;
    case RAFT_MESSAGE_SNAPSHOT:
        if (cluster_snapshot_find(node, &message->snapshot) == NULL ||
            message->offset + message->length_bytes > message->snapshot.size_bytes)
            cluster_violate(cluster, "node %llu sends bytes of a snapshot that it does not have",
                            n(node->id));
        break;
    default: break;
    }
    bool leads = message->kind == RAFT_MESSAGE_APPEND || message->kind == RAFT_MESSAGE_HEARTBEAT ||
                 message->kind == RAFT_MESSAGE_SNAPSHOT ||
                 message->kind == RAFT_MESSAGE_TIMEOUT_NOW;
    if (leads && map_get(&cluster->leaders, map_key(message->term, 0)) != node->id)
        cluster_violate(cluster, "node %llu speaks as leader of term %llu, which it is not",
                        n(node->id), n(message->term));
}

void cluster_check_leaving(struct cluster *cluster, const struct cluster_node *node,
                           const struct raft_message *message) {
    const struct cluster_vote *vote = &node->disk.vote;
    bool hypothetical =
        message->kind == RAFT_MESSAGE_PRE_VOTE || message->kind == RAFT_MESSAGE_PRE_VOTE_ANSWER;
    if (!hypothetical && message->term > vote->term)
        cluster_violate(cluster, "node %llu speaks in term %llu, and durable is %llu", n(node->id),
                        n(message->term), n(vote->term));
    bool votes = message->kind == RAFT_MESSAGE_VOTE ||
                 (message->kind == RAFT_MESSAGE_VOTE_ANSWER && message->granted);
    uint64_t key = map_key(node->id + (node->incarnation << 8), message->term);
    uint64_t candidate = message->kind == RAFT_MESSAGE_VOTE ? node->id : message->to;
    if (votes && map_get(&cluster->votes, key) != candidate)
        cluster_violate(cluster, "node %llu votes for %llu in term %llu, and has not stored that",
                        n(node->id), n(candidate), n(message->term));
    if (message->kind == RAFT_MESSAGE_APPEND_ANSWER && message->granted &&
        message->match_index > node->disk.log.last_index &&
        message->match_index > node->disk.snapshot.id.index)
        cluster_violate(cluster, "node %llu acknowledges %llu, and durable is %llu", n(node->id),
                        n(message->match_index), n(node->disk.log.last_index));
}

/* ---- after each step ---------------------------------------------------------------------- */

/* What a leader believes of its peers is true, as long as no later leader may have changed it. */
static void check_peers(struct cluster *cluster, struct cluster_node *node) {
    struct raft_peer_status peers[CONFIGURATION_MEMBERS_MAX];
    uint32_t count = raft_peers(node->raft, peers, CONFIGURATION_MEMBERS_MAX);
    if (node->match_term != node->term) {
        memset(node->match, 0, sizeof(node->match));
        node->match_term = node->term;
    }
    bool seen[CLUSTER_NODES_MAX + 1] = {false};
    uint64_t term_max = 0;
    for (uint64_t id = 1; id <= cluster->node_count; id++)
        term_max = cluster->nodes[id].term > term_max ? cluster->nodes[id].term : term_max;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id = peers[i].node_id;
        uint64_t match = peers[i].match_index;
        uint64_t chain = 0;
        if (id == node->id || id > cluster->node_count)
            continue;
        seen[id] = true;
        if (match < node->match[id] || peers[i].next_index <= match)
            cluster_violate(cluster, "leader %llu takes back what %llu acknowledged", n(node->id),
                            n(id));
        if (match > node->match[id] && term_max == node->term &&
            cluster_log_chain(&node->log, match, &chain) && !durable_at(cluster, id, match, chain))
            cluster_violate(cluster,
                            "leader %llu counts %llu at node %llu, where it is not durable",
                            n(node->id), n(match), n(id));
        node->match[id] = match;
    }
    for (uint64_t id = 1; id <= cluster->node_count; id++)
        node->match[id] = seen[id] ? node->match[id] : 0;
}

static bool same_configuration(const struct configuration *one, const struct configuration *other) {
    uint8_t one_bytes[CONFIGURATION_BYTES_MAX];
    uint8_t other_bytes[CONFIGURATION_BYTES_MAX];
    uint32_t length = configuration_write(one_bytes, one);
    return length == configuration_write(other_bytes, other) &&
           memcmp(one_bytes, other_bytes, length) == 0;
}

void cluster_check_node(struct cluster *cluster, struct cluster_node *node) {
    const struct raft *raft = node->raft;
    raft_check(raft);
    if (raft_term(raft) != node->term || raft_role(raft) != node->role)
        cluster_violate(cluster, "node %llu has not told its role: %s of term %llu", n(node->id),
                        raft_role_name(raft_role(raft)), n(raft_term(raft)));
    if (raft_leader(raft) != node->leader)
        cluster_violate(cluster, "node %llu has not told its leader: %llu", n(node->id),
                        n(raft_leader(raft)));
    if (!node->installing && raft_commit_index(raft) != node->commit_index)
        cluster_violate(cluster, "node %llu has not told its commit: %llu", n(node->id),
                        n(raft_commit_index(raft)));
    if (raft_last_index(raft) != node->log.last_index)
        cluster_violate(cluster, "node %llu thinks its log ends at %llu, not %llu", n(node->id),
                        n(raft_last_index(raft)), n(node->log.last_index));
    if (raft_log_epoch(raft) != node->epoch)
        cluster_violate(cluster, "node %llu is in epoch %llu, and said %llu", n(node->id),
                        n(raft_log_epoch(raft)), n(node->epoch));
    if (node->configuration != NULL &&
        !same_configuration(raft_configuration(raft), node->configuration))
        cluster_violate(cluster, "node %llu does not follow the configuration in its log",
                        n(node->id));
    const struct cluster_disk *disk = &node->disk;
    uint64_t vote_term =
        disk->vote_count > 0 ? disk->votes[disk->vote_count - 1].term : disk->vote.term;
    if (node->term != vote_term)
        cluster_violate(cluster, "node %llu is in term %llu, and stores %llu", n(node->id),
                        n(node->term), n(vote_term));
    if (node->role == RAFT_LEADER)
        check_peers(cluster, node);
}
