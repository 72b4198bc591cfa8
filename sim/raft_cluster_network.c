/*
 * Messages and links.
 *
 * The happy path: a core's message is copied, with its entries as they are in the log now, into
 * the queue of its link, and stays there until it is delivered.
 *
 * Failure modes: a message put out while a vote is being stored waits in the outbox; a cut link
 * and a node that is down lose it; a full link loses it; whoever drives the cluster may take, copy
 * and put messages at will.  Nothing alters one.
 */

#include "sim/raft_cluster_internal.h"

void cluster_queue_init(struct cluster_queue *queue) {
    *queue = (struct cluster_queue){.tail = &queue->head};
}

void cluster_queue_put(struct cluster_queue *queue, struct cluster_message *message) {
    message->next = NULL;
    *queue->tail = message;
    queue->tail = &message->next;
    queue->count++;
}

struct cluster_message *cluster_queue_take(struct cluster_queue *queue, uint32_t position) {
    struct cluster_message **link = &queue->head;
    while (*link != NULL && position > 0) {
        link = &(*link)->next;
        position--;
    }
    struct cluster_message *message = *link;
    if (message == NULL)
        return NULL;
    *link = message->next;
    if (message->next == NULL)
        queue->tail = link;
    queue->count--;
    return message;
}

void cluster_queue_clear(struct cluster_queue *queue) {
    struct cluster_message *message = cluster_queue_take(queue, 0);
    while (message != NULL) {
        free(message);
        message = cluster_queue_take(queue, 0);
    }
}

static size_t message_bytes(uint32_t entry_count) {
    return sizeof(struct cluster_message) + entry_count * sizeof(struct cluster_entry);
}

struct cluster_message *cluster_message_copy(const struct cluster_message *message) {
    size_t bytes = message_bytes(message->message.entry_count);
    struct cluster_message *copy = cluster_allocate(1, bytes);
    memcpy(copy, message, bytes);
    copy->next = NULL;
    return copy;
}

struct cluster_message *cluster_message_at(struct cluster *cluster, uint64_t from, uint64_t to,
                                           uint32_t position) {
    struct cluster_message *message = cluster->links[from][to].queue.head;
    while (message != NULL && position > 0) {
        message = message->next;
        position--;
    }
    return message;
}

struct cluster_message *cluster_message_take(struct cluster *cluster, uint64_t from, uint64_t to,
                                             uint32_t position) {
    return cluster_queue_take(&cluster->links[from][to].queue, position);
}

void cluster_message_put(struct cluster *cluster, struct cluster_message *message) {
    message->number = ++cluster->message_count;
    cluster_queue_put(&cluster->links[message->message.from][message->message.to].queue, message);
}

/* Puts a message on its link, or loses it. */
static void message_leave(struct cluster *cluster, struct cluster_node *node,
                          struct cluster_message *message) {
    cluster_check_leaving(cluster, node, &message->message);
    uint64_t to = message->message.to;
    struct cluster_link *link = &cluster->links[node->id][to];
    enum cluster_node_state state = cluster->nodes[to].state;
    bool reachable = state == CLUSTER_NODE_RUNNING || state == CLUSTER_NODE_PAUSED;
    if (link->state == CLUSTER_LINK_CUT || !reachable ||
        link->queue.count == CLUSTER_LINK_MESSAGES_MAX) {
        cluster->counts.dropped++;
        free(message);
        return;
    }
    cluster_message_put(cluster, message);
}

void cluster_send(struct cluster *cluster, struct cluster_node *node,
                  const struct raft_message *message, uint64_t barrier) {
    cluster_check_put_out(cluster, node, message);
    if (cluster->violated)
        return;
    struct cluster_message *copy = cluster_allocate(1, message_bytes(message->entry_count));
    copy->message = *message;
    copy->barrier = barrier;
    copy->incarnation = node->incarnation;
    if (message->kind == RAFT_MESSAGE_SNAPSHOT)
        copy->message.configuration =
            cluster_snapshot_find(node, &message->snapshot)->configuration;
    for (uint32_t i = 0; i < message->entry_count; i++)
        copy->entries[i] = *cluster_log_at(&node->log, message->previous_index + 1 + i);
    if (barrier > node->disk.vote.number || node->outbox.count > 0)
        cluster_queue_put(&node->outbox, copy);
    else
        message_leave(cluster, node, copy);
}

void cluster_outbox_flush(struct cluster *cluster, struct cluster_node *node) {
    while (node->outbox.head != NULL && node->outbox.head->barrier <= node->disk.vote.number)
        message_leave(cluster, node, cluster_queue_take(&node->outbox, 0));
}

void cluster_link_set(struct cluster *cluster, uint64_t from, uint64_t to,
                      enum cluster_link_state state) {
    struct cluster_link *link = &cluster->links[from][to];
    link->state = state;
    if (state == CLUSTER_LINK_CUT) {
        cluster->counts.dropped += link->queue.count;
        cluster_queue_clear(&link->queue);
    }
}

/* Loses what is on the data connection's one direction. */
static void data_drop(struct cluster *cluster, uint64_t from, uint64_t to) {
    uint32_t position = 0;
    struct cluster_message *message = cluster_message_at(cluster, from, to, 0);
    while (message != NULL) {
        if (raft_message_is_control(message->message.kind)) {
            position++;
        } else {
            free(cluster_message_take(cluster, from, to, position));
            cluster->counts.dropped++;
        }
        message = cluster_message_at(cluster, from, to, position);
    }
}

void cluster_reopen(struct cluster *cluster, uint64_t one, uint64_t other) {
    ASSERT(one >= 1 && one <= CLUSTER_NODES_MAX);
    ASSERT(other >= 1 && other <= CLUSTER_NODES_MAX);
    data_drop(cluster, one, other);
    data_drop(cluster, other, one);
}

void cluster_disconnect(struct cluster *cluster, uint64_t id, uint64_t other) {
    struct cluster_node *node = cluster_node(cluster, id);
    if (!cluster_node_runs(node))
        return;
    struct raft_event event = {.kind = RAFT_EVENT_DISCONNECTED, .node_id = other};
    cluster_step(cluster, node, &event);
    cluster_node_run(cluster, id);
}
