/*
 * Three cores, and what goes between them.  See raft_bench.h.
 *
 * Happy path: a step's actions become events in one queue: a message for another core, a store
 * that is done, a vote that is stored.  The queue is taken from the front until it is empty.
 * Failure mode: none is simulated here; sim/ does that.
 */

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "bench/raft_bench.h"
#include "raft/raft.h"

enum {
    /* Events under way: each of two peers may have so many messages, answers and stores. */
    QUEUE_EVENTS = 4096,
    TIMEOUT_NS = 200 * 1000 * 1000,
};

/* What is to happen to one core. */
struct happening {
    uint32_t node; /* its place */
    struct raft_event event;
    struct raft_message message;
};

struct raft_bench_nodes {
    struct raft *cores[RAFT_BENCH_NODES];
    uint64_t reported[RAFT_BENCH_NODES]; /* as stored */
    uint64_t now_ns;
    uint64_t calls;
    uint64_t head; /* of the ring of happenings */
    uint64_t tail;
    struct raft_actions actions;
    struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX]; /* all entries are alike in one term */
    struct happening queue[QUEUE_EVENTS];
};

static struct happening *push(struct raft_bench_nodes *nodes, uint32_t node,
                              enum raft_event_kind kind) {
    ASSERT(nodes->tail - nodes->head < QUEUE_EVENTS);
    struct happening *happening = &nodes->queue[nodes->tail++ % QUEUE_EVENTS];
    memset(&happening->event, 0, sizeof(happening->event));
    happening->node = node;
    happening->event.kind = kind;
    return happening;
}

static void store(struct raft_bench_nodes *nodes, uint32_t node) {
    struct raft_event *event = &push(nodes, node, RAFT_EVENT_STORED)->event;
    event->index = raft_last_index(nodes->cores[node]);
    event->epoch = raft_log_epoch(nodes->cores[node]);
}

static void append(struct raft_bench_nodes *nodes, uint32_t node, uint32_t entries);

static void carry_out(struct raft_bench_nodes *nodes, uint32_t node) {
    bool noop = false;
    for (uint32_t i = 0; i < nodes->actions.count; i++) {
        const struct raft_action *action = &nodes->actions.action[i];
        switch (action->kind) {
        case RAFT_ACTION_SEND: {
            struct happening *happening =
                push(nodes, (uint32_t)action->message.to - 1, RAFT_EVENT_MESSAGE);
            happening->message = action->message;
            break;
        }
        case RAFT_ACTION_STORE_VOTE: {
            struct raft_event *event = &push(nodes, node, RAFT_EVENT_VOTE_STORED)->event;
            event->term = action->term;
            event->node_id = action->node_id;
            break;
        }
        case RAFT_ACTION_APPEND: store(nodes, node); break;
        case RAFT_ACTION_APPEND_NOOP: noop = true; break;
        case RAFT_ACTION_COMMIT:
        case RAFT_ACTION_ROLE:
        case RAFT_ACTION_READ_CONFIRMED: break;
        default: UNREACHABLE("nothing goes wrong here");
        }
    }
    if (noop) {
        append(nodes, node, 1);
    }
}

static void step(struct raft_bench_nodes *nodes, uint32_t node, struct raft_event *event) {
    event->now_ns = nodes->now_ns;
    nodes->calls++;
    raft_step(nodes->cores[node], event, &nodes->actions);
    carry_out(nodes, node);
}

static void append(struct raft_bench_nodes *nodes, uint32_t node, uint32_t entries) {
    for (uint32_t i = 0; i < entries; i++) {
        nodes->entries[i].term = raft_term(nodes->cores[node]);
    }
    struct raft_event event = {
        .kind = RAFT_EVENT_APPENDED, .entries = nodes->entries, .entry_count = entries};
    step(nodes, node, &event);
    store(nodes, node);
}

void raft_bench_settle(struct raft_bench_nodes *nodes) {
    while (nodes->head != nodes->tail) {
        struct happening *happening = &nodes->queue[nodes->head % QUEUE_EVENTS];
        if (happening->event.kind == RAFT_EVENT_MESSAGE) {
            happening->event.message = &happening->message;
            happening->event.entries = nodes->entries;
        }
        step(nodes, happening->node, &happening->event);
        nodes->head++;
    }
}

struct raft_bench_nodes *raft_bench_open(void) {
    struct raft_bench_nodes *nodes = calloc(1, sizeof(*nodes));
    if (nodes == NULL) {
        return NULL;
    }
    struct raft_configuration_entry configuration = {.configuration.member_count =
                                                         RAFT_BENCH_NODES};
    for (uint32_t i = 0; i < RAFT_BENCH_NODES; i++) {
        configuration.configuration.members[i] =
            (struct configuration_member){.node_id = i + 1, .roles = CONFIGURATION_VOTER};
    }
    for (uint32_t i = 0; i < RAFT_MESSAGE_ENTRIES_MAX; i++) {
        nodes->entries[i].length_bytes = RAFT_BENCH_ENTRY_BYTES;
    }
    for (uint32_t i = 0; i < RAFT_BENCH_NODES; i++) {
        struct raft_options options = {
            .node_id = i + 1,
            .seed = i,
            .configurations = &configuration,
            .configuration_count = 1,
            .election_timeout_ns = TIMEOUT_NS,
            .heartbeat_ns = TIMEOUT_NS / 10,
            .inflight_messages_max = 64,
            .inflight_bytes_max = 16 * 1024 * 1024,
            .message_bytes_max = 1024 * 1024,
            .snapshot_chunk_bytes = 1024 * 1024,
            .uncommitted_bytes_max = 64 * 1024 * 1024,
            .window_entries = 65536,
        };
        if (raft_create(&nodes->cores[i], &options) != WEIR_OK) {
            raft_bench_close(nodes);
            return NULL;
        }
    }
    /* It was due in [T, 2 T): later than that by 2 T no tick is excused. */
    nodes->now_ns = 4 * (uint64_t)TIMEOUT_NS;
    struct raft_event tick = {.kind = RAFT_EVENT_TICK};
    step(nodes, 0, &tick);
    raft_bench_settle(nodes);
    ASSERT(raft_serving(nodes->cores[0]));
    return nodes;
}

void raft_bench_close(struct raft_bench_nodes *nodes) {
    for (uint32_t i = 0; i < RAFT_BENCH_NODES; i++) {
        raft_destroy(nodes->cores[i]);
    }
    free(nodes);
}

void raft_bench_propose(struct raft_bench_nodes *nodes, uint32_t entries) {
    uint64_t index;
    uint64_t term;
    int result = raft_propose(nodes->cores[0], entries, (uint64_t)entries * RAFT_BENCH_ENTRY_BYTES,
                              &index, &term);
    ASSERT(result == WEIR_OK);
    append(nodes, 0, entries);
}

uint64_t raft_bench_calls(const struct raft_bench_nodes *nodes) {
    return nodes->calls;
}

uint64_t raft_bench_committed(const struct raft_bench_nodes *nodes) {
    return raft_commit_index(nodes->cores[0]);
}

uint64_t raft_bench_committed_everywhere(const struct raft_bench_nodes *nodes) {
    uint64_t index = UINT64_MAX;
    for (uint32_t i = 0; i < RAFT_BENCH_NODES; i++) {
        uint64_t commit = raft_commit_index(nodes->cores[i]);
        index = commit < index ? commit : index;
    }
    return index;
}
