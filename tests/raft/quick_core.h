#ifndef WEIR_TESTS_RAFT_QUICK_CORE_H
#define WEIR_TESTS_RAFT_QUICK_CORE_H

/* One core for a quick-check: made from a plain array of terms, and asked by messages. */

#include "base/bytes.h"
#include "raft/raft.h"

#include "tests/raft/quick.h"

/* A log as the paper has it: the term of each entry from 1 on; term[0] is 0. */
struct plain_log {
    uint64_t last;
    uint64_t term[64];
};

/* Creates node `node_id` with this log and this vote, everything durable, nothing committed. */
static inline struct raft *quick_core(const struct configuration *configuration, uint64_t node_id,
                                      const struct plain_log *log, uint64_t term,
                                      uint64_t voted_for) {
    struct raft_term_run runs[ARRAY_COUNT(log->term)];
    uint32_t run_count = 0;
    for (uint64_t i = 1; i <= log->last; i++) {
        if (log->term[i] != log->term[i - 1]) {
            runs[run_count++] = (struct raft_term_run){.first_index = i, .term = log->term[i]};
        }
    }
    struct raft_configuration_entry found = {.index = log->last > 0 ? 1 : 0,
                                             .configuration = *configuration};
    struct raft_options options = {
        .node_id = node_id,
        .seed = 1,
        .term = term,
        .voted_for = voted_for,
        .last_index = log->last,
        .term_runs = runs,
        .term_run_count = run_count,
        .configurations = &found,
        .configuration_count = 1,
        .election_timeout_ns = 1000,
        .heartbeat_ns = 100,
        .inflight_messages_max = 4,
        .inflight_bytes_max = 1 << 20,
        .message_bytes_max = 1 << 16,
        .snapshot_chunk_bytes = 1 << 10,
        .uncommitted_bytes_max = 1 << 20,
        .window_entries = 256,
    };
    struct raft *raft = NULL;
    assert_int_equal(raft_create(&raft, &options), 0);
    return raft;
}

/* One message in; what it says must be possible. */
static inline void quick_message(struct raft *raft, const struct raft_message *message,
                                 const struct raft_entry *entries, struct raft_actions *actions) {
    assert_int_equal(raft_message_check(message, entries), RAFT_MESSAGE_VALID);
    struct raft_event event = {
        .kind = RAFT_EVENT_MESSAGE, .now_ns = 1, .message = message, .entries = entries};
    raft_step(raft, &event, actions);
    raft_check(raft);
}

/* The first action of a kind, or NULL. */
static inline const struct raft_action *quick_action(const struct raft_actions *actions,
                                                     enum raft_action_kind kind) {
    for (uint32_t i = 0; i < actions->count; i++) {
        if (actions->action[i].kind == kind) {
            return &actions->action[i];
        }
    }
    return NULL;
}

#endif
