/*
 * Looks at the cluster: status, logs, messages, peers.  Each node and each message is one line.
 */

#include "sim/raft_script_internal.h"

static unsigned long long n(uint64_t number) {
    return (unsigned long long)number;
}

static const char *state_text(const struct cluster_node *node) {
    switch (node->state) {
    case CLUSTER_NODE_ABSENT: return "absent";
    case CLUSTER_NODE_DOWN: return "down";
    case CLUSTER_NODE_RUNNING: return raft_role_name(node->role);
    case CLUSTER_NODE_PAUSED: return "paused";
    case CLUSTER_NODE_HALTED: return "halted";
    }
    UNREACHABLE("a state of a node");
}

static void node_status(struct script *script, const struct cluster_node *node) {
    const struct cluster_disk *disk = &node->disk;
    if (node->state == CLUSTER_NODE_DOWN) {
        script_say(script, "%llu down: term %llu, vote for %llu, log %llu to %llu, snapshot %llu",
                   n(node->id), n(disk->vote.term), n(disk->vote.node_id),
                   n(disk->log.base_index + 1), n(disk->log.last_index),
                   n(disk->snapshot.id.index));
        return;
    }
    script_say(script,
               "%llu %s: term %llu, follows %llu, log %llu to %llu, durable %llu, commit %llu, "
               "applied %llu, snapshot %llu",
               n(node->id), state_text(node), n(node->term), n(node->leader),
               n(node->log.base_index + 1), n(node->log.last_index), n(disk->log.last_index),
               n(node->commit_index), n(node->applied_index), n(node->snapshot.id.index));
}

/* Calls one for each node named, or for all of them. */
static enum script_result each(struct script *script,
                               void (*one)(struct script *, const struct cluster_node *)) {
    for (uint32_t i = 1; i < script->word_count; i++) {
        uint64_t id = 0;
        if (!script_node(script, script->words[i], &id))
            return script_mistake(script, "%s is not a node: they are 1 to %u", script->words[i],
                                  script->cluster->node_count);
        one(script, &script->cluster->nodes[id]);
    }
    for (uint64_t id = 1; script->word_count == 1 && id <= script->cluster->node_count; id++)
        one(script, &script->cluster->nodes[id]);
    return SCRIPT_DONE;
}

enum script_result script_status(struct script *script) {
    return each(script, node_status);
}

static void node_log(struct script *script, const struct cluster_node *node) {
    const struct cluster_log *log = node->raft != NULL ? &node->log : &node->disk.log;
    script_say(script, "%llu log behind %llu@%llu, commit %llu:", n(node->id), n(log->base_index),
               n(log->base_term), n(node->raft != NULL ? node->commit_index : 0));
    for (uint64_t i = log->base_index + 1; i <= log->last_index; i++) {
        char text[CLUSTER_LINE_BYTES - 8];
        cluster_entry_text(text, sizeof(text), i, cluster_log_at(log, i));
        script_say(script, "  %s", text);
    }
}

enum script_result script_log(struct script *script) {
    return each(script, node_log);
}

enum script_result script_messages(struct script *script) {
    uint32_t count = 0;
    for (uint64_t from = 1; from <= script->cluster->node_count; from++) {
        for (uint64_t to = 1; to <= script->cluster->node_count; to++) {
            const struct cluster_message *message = script->cluster->links[from][to].queue.head;
            for (; message != NULL; message = message->next, count++) {
                char text[CLUSTER_LINE_BYTES];
                cluster_message_text(text, sizeof(text), message);
                script_say(script, "%s", text);
            }
        }
    }
    if (count == 0)
        script_say(script, "no messages");
    return SCRIPT_DONE;
}

enum script_result script_peers(struct script *script) {
    uint64_t id = 0;
    if (!script_running(script, script->words[1], &id))
        return SCRIPT_MISTAKE;
    struct raft_peer_status peers[CONFIGURATION_MEMBERS_MAX];
    uint32_t count = raft_peers(script->cluster->nodes[id].raft, peers, CONFIGURATION_MEMBERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        script_say(script, "%llu %s: match %llu, next %llu, %u in flight", n(peers[i].node_id),
                   peers[i].state, n(peers[i].match_index), n(peers[i].next_index),
                   peers[i].inflight_messages);
    }
    if (count == 0)
        script_say(script, "%llu is no leader, or has no peers", n(id));
    return SCRIPT_DONE;
}
