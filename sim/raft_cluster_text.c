/*
 * The trace, and words for everything in it.
 *
 * A step is one line for its event and one for each of its actions, indented:
 *
 *     2 gets append 1->2 term 2: after 1@1: 2@2 "a"; commit 1
 *       appends 2@2 "a"
 *       sends append answer 2->1 term 2: durable to 2
 *
 * i@t is the entry at index i, of term t.
 */

#include "sim/raft_cluster_internal.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- building a line ---------------------------------------------------------------------- */

/* A line that grows; what does not fit is cut off. */
struct line {
    char *text;
    size_t bytes;
    size_t length;
};

static void __attribute__((format(printf, 2, 3))) add(struct line *line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length =
        vsnprintf(line->text + line->length, line->bytes - line->length, format, arguments);
    va_end(arguments);
    ASSERT(length >= 0);
    line->length += (size_t)length;
    if (line->length >= line->bytes)
        line->length = line->bytes - 1;
}

static unsigned long long n(uint64_t number) {
    return (unsigned long long)number;
}

/* " 1 2 3" of the members with a role, behind a word; nothing if there are none. */
static void add_members(struct line *line, const struct configuration *configuration, uint8_t role,
                        const char *word) {
    bool any = false;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        if ((configuration->members[i].roles & role) == 0)
            continue;
        if (!any)
            add(line, "%s%s", line->length > 0 ? ", " : "", word);
        add(line, " %llu", n(configuration->members[i].node_id));
        any = true;
    }
}

void cluster_configuration_text(char *out, size_t out_bytes,
                                const struct configuration *configuration) {
    struct line line = {.text = out, .bytes = out_bytes};
    out[0] = '\0';
    add_members(&line, configuration, CONFIGURATION_VOTER, "voters");
    add_members(&line, configuration, CONFIGURATION_OUTGOING, "outgoing");
    add_members(&line, configuration, CONFIGURATION_LEARNER, "learners");
    if ((configuration->flags & CONFIGURATION_LEASES) != 0)
        add(&line, ", leases");
}

void cluster_entry_text(char *out, size_t out_bytes, uint64_t index,
                        const struct cluster_entry *entry) {
    struct line line = {.text = out, .bytes = out_bytes};
    add(&line, "%llu@%llu ", n(index), n(entry->term));
    if (entry->configuration != NULL) {
        char text[TEXT_BYTES / 2];
        cluster_configuration_text(text, sizeof(text), entry->configuration);
        add(&line, "(%s)", text);
    } else if (entry->payload[0] == '\0') {
        add(&line, "no-op");
    } else {
        add(&line, "\"%s\"", entry->payload);
    }
}

/* The first few of some entries. */
static void add_entries(struct line *line, uint64_t first, const struct cluster_entry *entries,
                        uint32_t count) {
    enum { SHOWN_MAX = 6 };
    for (uint32_t i = 0; i < count && i < SHOWN_MAX; i++) {
        char text[TEXT_BYTES];
        cluster_entry_text(text, sizeof(text), first + i, &entries[i]);
        add(line, "%s%s", i > 0 ? ", " : "", text);
    }
    if (count > SHOWN_MAX)
        add(line, ", and %u more to %llu", count - SHOWN_MAX, n(first + count - 1));
}

/* ---- messages ----------------------------------------------------------------------------- */

static void add_append(struct line *line, const struct raft_message *message,
                       const struct cluster_entry *entries) {
    add(line, "after %llu@%llu: ", n(message->previous_index), n(message->previous_term));
    if (message->entry_count == 0)
        add(line, "nothing");
    else if (entries == NULL)
        add(line, "%u entries to %llu", message->entry_count,
            n(message->previous_index + message->entry_count));
    else
        add_entries(line, message->previous_index + 1, entries, message->entry_count);
    add(line, "; commit %llu", n(message->commit));
}

static void add_round(struct line *line, const struct raft_message *message) {
    if (message->round > 0)
        add(line, "; round %llu", n(message->round));
}

static void add_message(struct line *line, const struct raft_message *message,
                        const struct cluster_entry *entries) {
    add(line, "%s %llu->%llu term %llu", raft_message_kind_name(message->kind), n(message->from),
        n(message->to), n(message->term));
    switch (message->kind) {
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_VOTE:
        add(line, ": log to %llu@%llu%s", n(message->last_index), n(message->last_term),
            message->transfer ? ", by transfer" : "");
        break;
    case RAFT_MESSAGE_PRE_VOTE_ANSWER:
    case RAFT_MESSAGE_VOTE_ANSWER: add(line, ": %s", message->granted ? "yes" : "no"); break;
    case RAFT_MESSAGE_APPEND:
        add(line, ": ");
        add_append(line, message, entries);
        add_round(line, message);
        break;
    case RAFT_MESSAGE_APPEND_ANSWER:
        if (message->granted)
            add(line, ": durable to %llu", n(message->match_index));
        else
            add(line, ": nothing fits behind %llu, try %llu@%llu", n(message->previous_index),
                n(message->hint_index), n(message->hint_term));
        add_round(line, message);
        break;
    case RAFT_MESSAGE_HEARTBEAT:
        add(line, ": has %llu@%llu; commit %llu", n(message->previous_index),
            n(message->previous_term), n(message->commit));
        add_round(line, message);
        break;
    case RAFT_MESSAGE_HEARTBEAT_ANSWER:
        add(line, ": %s%s", message->granted ? "yes" : "no", message->full ? ", no room" : "");
        add_round(line, message);
        break;
    case RAFT_MESSAGE_SNAPSHOT:
        add(line, ": %llu@%llu, bytes %llu to %llu of %llu", n(message->snapshot.index),
            n(message->snapshot.term), n(message->offset),
            n(message->offset + message->length_bytes), n(message->snapshot.size_bytes));
        break;
    case RAFT_MESSAGE_SNAPSHOT_ANSWER:
        add(line, ": %llu@%llu, wants byte %llu", n(message->snapshot.index),
            n(message->snapshot.term), n(message->offset));
        break;
    case RAFT_MESSAGE_TIMEOUT_NOW: break;
    }
}

void cluster_message_text(char *out, size_t out_bytes, const struct cluster_message *message) {
    struct line line = {.text = out, .bytes = out_bytes};
    add_message(&line, &message->message, message->entries);
}

/* ---- events ------------------------------------------------------------------------------- */

static void add_event(struct line *line, const struct cluster_node *node,
                      const struct raft_event *event, const struct cluster_message *message) {
    switch (event->kind) {
    case RAFT_EVENT_TICK: add(line, "ticks at %llu ms", n(node->now_ns / 1000000)); break;
    case RAFT_EVENT_VOTE_STORED:
        add(line, "has stored term %llu, vote for %llu", n(event->term), n(event->node_id));
        break;
    case RAFT_EVENT_APPENDED:
        add(line, "has appended ");
        for (uint32_t i = 0; i < event->entry_count; i++) {
            char text[TEXT_BYTES];
            uint64_t index = node->log.last_index - event->entry_count + 1 + i;
            cluster_entry_text(text, sizeof(text), index, cluster_log_at(&node->log, index));
            add(line, "%s%s", i > 0 ? ", " : "", text);
        }
        break;
    case RAFT_EVENT_STORED:
        add(line, "has stored entries to %llu", n(event->index));
        if (event->epoch > 0)
            add(line, " in epoch %llu", n(event->epoch));
        break;
    case RAFT_EVENT_APPLIED: add(line, "has applied to %llu", n(event->index)); break;
    case RAFT_EVENT_COMPACTED:
        add(line, "has a snapshot of %llu@%llu, and its log begins behind %llu",
            n(event->snapshot.index), n(event->snapshot.term), n(event->index));
        break;
    case RAFT_EVENT_READ:
        add(line, "is asked to read%s", event->lease ? ", a lease will do" : "");
        break;
    case RAFT_EVENT_MESSAGE:
        add(line, "gets ");
        add_message(line, event->message, message->entries);
        break;
    case RAFT_EVENT_SEND: add(line, "has appended all that there is"); break;
    case RAFT_EVENT_SHORTENED:
        add(line, "has sent %llu entries to %llu only", n(event->node_id), n(event->index));
        break;
    case RAFT_EVENT_DISCONNECTED:
        add(line, "sees the connection of %llu closed", n(event->node_id));
        break;
    case RAFT_EVENT_CONFIGURE: {
        char text[TEXT_BYTES / 2];
        cluster_configuration_text(text, sizeof(text), event->configuration);
        add(line, "is asked for %s", text);
        break;
    }
    case RAFT_EVENT_TRANSFER: add(line, "is asked to let %llu lead", n(event->node_id)); break;
    case RAFT_EVENT_SNAPSHOT_CHUNK:
        add(line, "has %llu bytes of snapshot %llu@%llu%s", n(event->offset),
            n(event->snapshot.index), n(event->snapshot.term),
            event->complete ? ", which are all" : "");
        break;
    case RAFT_EVENT_SNAPSHOT_INSTALLED:
        add(line, "has installed snapshot %llu@%llu", n(event->snapshot.index),
            n(event->snapshot.term));
        break;
    case RAFT_EVENT_ROOM:
        add(line, "has %s for entries", event->full ? "no room" : "room again");
        break;
    }
}

void cluster_trace_event(struct cluster *cluster, const struct cluster_node *node,
                         const struct raft_event *event, const struct cluster_message *message) {
    char text[TEXT_BYTES];
    struct line line = {.text = text, .bytes = sizeof(text)};
    add(&line, "%llu ", n(node->id));
    add_event(&line, node, event, message);
    cluster_trace(cluster, "%s", text);
}

/* ---- actions ------------------------------------------------------------------------------ */

static void add_role(struct line *line, const struct cluster_node *node,
                     const struct raft_action *action) {
    if (action->role != node->role)
        add(line, "was %s, is %s", raft_role_name(node->role), raft_role_name(action->role));
    else
        add(line, "is %s", raft_role_name(action->role));
    add(line, " in term %llu", n(action->term));
    if (action->role == RAFT_FOLLOWER) {
        if (action->node_id != 0)
            add(line, " of %llu", n(action->node_id));
        else
            add(line, " of nobody yet");
    }
}

static void add_vote(struct line *line, const struct raft_action *action) {
    add(line, "stores term %llu, ", n(action->term));
    if (action->node_id != 0)
        add(line, "vote for %llu", n(action->node_id));
    else
        add(line, "no vote");
}

/* Actions about the log, snapshots and members. */
static void add_storage_action(struct line *line, const struct raft_action *action) {
    char text[TEXT_BYTES / 2];
    switch (action->kind) {
    case RAFT_ACTION_APPEND_NOOP: add(line, "wants a no-op of term %llu", n(action->term)); break;
    case RAFT_ACTION_APPEND_CONFIGURATION:
        cluster_configuration_text(text, sizeof(text), action->configuration);
        add(line, "wants an entry of term %llu: %s", n(action->term), text);
        break;
    case RAFT_ACTION_TRUNCATE:
        add(line, "truncates after %llu, epoch %llu", n(action->index), n(action->epoch));
        break;
    case RAFT_ACTION_APPEND:
        add(line, "appends %u of its entries, from the %s on", action->count,
            action->first == 0 ? "first" : "first new one");
        break;
    case RAFT_ACTION_CONFIGURED:
        cluster_configuration_text(text, sizeof(text), action->configuration);
        add(line, "change over: %s", text);
        break;
    case RAFT_ACTION_SNAPSHOT_CHUNK:
        add(line, "keeps bytes %llu to %llu of %llu", n(action->message.offset),
            n(action->message.offset + action->message.length_bytes),
            n(action->message.snapshot.size_bytes));
        break;
    case RAFT_ACTION_SNAPSHOT_INSTALL:
        add(line, "installs snapshot %llu@%llu, epoch %llu", n(action->snapshot.index),
            n(action->snapshot.term), n(action->epoch));
        break;
    default: add(line, "%s", raft_action_kind_name(action->kind)); break;
    }
}

static void add_action(struct line *line, const struct cluster_node *node,
                       const struct raft_action *action) {
    switch (action->kind) {
    case RAFT_ACTION_STORE_VOTE: add_vote(line, action); break;
    case RAFT_ACTION_COMMIT: add(line, "commits to %llu", n(action->index)); break;
    case RAFT_ACTION_ROLE: add_role(line, node, action); break;
    case RAFT_ACTION_SEND:
        add(line, "sends ");
        if (action->message.kind == RAFT_MESSAGE_APPEND && action->message.entry_count > 0 &&
            action->message.previous_index + action->message.entry_count <= node->log.last_index) {
            struct cluster_entry entries[RAFT_MESSAGE_ENTRIES_MAX];
            for (uint32_t i = 0; i < action->message.entry_count; i++)
                entries[i] = *cluster_log_at(&node->log, action->message.previous_index + 1 + i);
            add_message(line, &action->message, entries);
        } else {
            add_message(line, &action->message, NULL);
        }
        break;
    case RAFT_ACTION_READ_READY: add(line, "may read as of %llu", n(action->index)); break;
    case RAFT_ACTION_READ_WAIT:
        add(line, "may read as of %llu after round %llu", n(action->index), n(action->round));
        break;
    case RAFT_ACTION_READ_CONFIRMED: add(line, "has confirmed round %llu", n(action->round)); break;
    case RAFT_ACTION_READ_FAILED: add(line, "must not read"); break;
    case RAFT_ACTION_REFUSED: add(line, "refuses: %s", raft_refusal_name(action->refusal)); break;
    case RAFT_ACTION_TRANSFER_FAILED:
        add(line, "gives the transfer to %llu up", n(action->node_id));
        break;
    case RAFT_ACTION_REOPEN:
        add(line, "opens its connection to %llu anew", n(action->node_id));
        break;
    case RAFT_ACTION_HALT: add(line, "halts: %s", action->sentence); break;
    default: add_storage_action(line, action); break;
    }
}

void cluster_trace_action(struct cluster *cluster, const struct cluster_node *node,
                          const struct raft_action *action) {
    char text[TEXT_BYTES];
    struct line line = {.text = text, .bytes = sizeof(text)};
    add_action(&line, node, action);
    cluster_trace(cluster, "  %s", text);
}

/* ---- the trace ---------------------------------------------------------------------------- */

void cluster_trace(struct cluster *cluster, const char *format, ...) {
    char *line = cluster->lines[cluster->line_count++ % CLUSTER_TRACE_LINES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, CLUSTER_LINE_BYTES, format, arguments);
    va_end(arguments);
    ASSERT(length >= 0);
    if (cluster->options.trace != NULL)
        cluster->options.trace(cluster->options.trace_context, line);
}

void cluster_violate(struct cluster *cluster, const char *format, ...) {
    if (cluster->violated)
        return;
    cluster->violated = true;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(cluster->violation, sizeof(cluster->violation), format, arguments);
    va_end(arguments);
    ASSERT(length >= 0);
    cluster_trace(cluster, "VIOLATION: %.*s", CLUSTER_LINE_BYTES - 16, cluster->violation);
}

void cluster_print_trace(const struct cluster *cluster) {
    uint64_t first =
        cluster->line_count > CLUSTER_TRACE_LINES ? cluster->line_count - CLUSTER_TRACE_LINES : 0;
    for (uint64_t i = first; i < cluster->line_count; i++)
        fprintf(stderr, "%s\n", cluster->lines[i % CLUSTER_TRACE_LINES]);
    if (cluster->violated)
        fprintf(stderr, "violated: %s\n", cluster->violation);
}

/* ---- configurations ----------------------------------------------------------------------- */

const struct configuration *cluster_configuration(struct cluster *cluster,
                                                  const struct configuration *configuration) {
    uint8_t wanted[CONFIGURATION_BYTES_MAX];
    uint32_t length = configuration_write(wanted, configuration);
    for (uint32_t i = 0; i < cluster->configuration_count; i++) {
        uint8_t bytes[CONFIGURATION_BYTES_MAX];
        if (configuration_write(bytes, &cluster->configurations[i]) == length &&
            memcmp(bytes, wanted, length) == 0)
            return &cluster->configurations[i];
    }
    ASSERT(cluster->configuration_count < CLUSTER_CONFIGURATIONS_MAX);
    struct configuration *kept = &cluster->configurations[cluster->configuration_count++];
    *kept = *configuration;
    return kept;
}
