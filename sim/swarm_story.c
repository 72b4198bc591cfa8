/*
 * What is told besides single events: each second of the load, and how things stand at the end.
 *
 * Happy path: once a second a line of time with what all clients got, and lines behind it without
 * a time: what nodes sent each other, what each client got, and the operation that waits longest.
 * At a finding: which faults were in force, where each node was, and the terms of its log; so that
 * the last lines of a story say what to look for further up.
 *
 * It only looks.  Without a listener nothing is done.
 */

#include "sim/swarm_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "raft/raft.h"
#include "sim/swarm_talk.h"
#include "storage/log.h"

enum {
    LINE_BYTES = 512,
    CLIENTS_A_LINE = 8,
    /* The last runs of equal terms of a log that are told. */
    RUNS_MAX = 6,
};

__attribute__((format(printf, 3, 4))) static void add(char *text, size_t text_bytes,
                                                      const char *format, ...) {
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + used, text_bytes - used, format, arguments);
    va_end(arguments);
}

/* ---- a second ------------------------------------------------------------------------------- */

/* What each client has got since the run began, and the oldest operation that is open; the number
 * of operations if there is none. */
static uint32_t outcomes(const struct swarm *swarm,
                         uint32_t counts[SWARM_CLIENTS_MAX][SWARM_OUTCOMES]) {
    const struct history *history = cluster_clients_history(swarm->clients);
    uint32_t oldest = history->operation_count;
    memset(counts, 0, SWARM_CLIENTS_MAX * sizeof(counts[0]));
    for (uint32_t i = 0; i < history->operation_count; i++) {
        const struct history_operation *each = &history->operations[i];
        ASSERT(each->client < SWARM_CLIENTS_MAX && each->outcome < SWARM_OUTCOMES);
        counts[each->client][each->outcome]++;
        if (each->outcome == HISTORY_PENDING &&
            (oldest == history->operation_count ||
             each->invoked_ns < history->operations[oldest].invoked_ns)) {
            oldest = i;
        }
    }
    return oldest;
}

static void say_oldest(struct swarm *swarm, uint32_t oldest) {
    const struct history *history = cluster_clients_history(swarm->clients);
    struct kv_model_text text = {0};
    if (oldest == history->operation_count) {
        return;
    }
    history_print_operation(&text, history, oldest);
    char line[LINE_BYTES / 2];
    (void)snprintf(line, sizeof(line), "%.*s", (int)text.length, text.data);
    const char *words = strstr(line, "pending: "); /* what precedes it are times of the world */
    uint64_t since_ns = world_now_ns(swarm->world) - history->operations[oldest].invoked_ns;
    swarm_say_more(swarm, "open longest: #%u, for %.3f s: %s", history->operations[oldest].client,
                   (double)since_ns / (double)SWARM_SECOND_NS,
                   words == NULL ? line : words + strlen("pending: "));
    kv_model_text_free(&text);
}

static void say_clients(struct swarm *swarm) {
    struct swarm_second *second = &swarm->second;
    uint32_t now[SWARM_CLIENTS_MAX][SWARM_OUTCOMES];
    uint32_t oldest = outcomes(swarm, now);
    char text[LINE_BYTES] = "";
    uint32_t count = swarm->plan->clients.clients;
    swarm_say_more(swarm, "clients: ok/refused/unknown in this time + open now");
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t *before = second->outcomes[i];
        char client[32];
        (void)snprintf(client, sizeof(client), "#%u %u/%u/%u+%u", i,
                       now[i][HISTORY_OK] - before[HISTORY_OK],
                       now[i][HISTORY_REFUSED] - before[HISTORY_REFUSED],
                       now[i][HISTORY_UNKNOWN] - before[HISTORY_UNKNOWN], now[i][HISTORY_PENDING]);
        add(text, sizeof(text), "  %-13s", client);
        if (i + 1 == count || (i + 1) % CLIENTS_A_LINE == 0) {
            swarm_say_more(swarm, "%s", text);
            text[0] = '\0';
        }
    }
    say_oldest(swarm, oldest);
    memcpy(second->outcomes, now, sizeof(now));
}

static void say_leader(const struct swarm *swarm, char *text, size_t text_bytes) {
    uint32_t leader = swarm_leader(swarm);
    if (leader == UINT32_MAX) {
        (void)snprintf(text, text_bytes, "nobody leads");
        return;
    }
    (void)snprintf(text, text_bytes, "node %u leads term %" PRIu64, leader + 1,
                   raft_term(sim_node_raft(swarm->nodes[leader].node)));
}

void swarm_story_second(struct swarm *swarm, bool always) {
    struct swarm_second *second = &swarm->second;
    if (swarm->talk == NULL || (!always && swarm_time_ns(swarm) < second->due_ns)) {
        return;
    }
    const struct cluster_clients_counts *now = cluster_clients_counts(swarm->clients);
    char leader[64];
    say_leader(swarm, leader, sizeof(leader));
    swarm_say(swarm,
              "==== since %.3f s: %" PRIu64 " ok, %" PRIu64 " refused, %" PRIu64
              " unknown; %zu entries committed, %zu in all; %s",
              (double)second->begun_ns / (double)SWARM_SECOND_NS, now->ok - second->ok,
              now->refused - second->refused, now->unknown - second->unknown,
              swarm->check.committed_count - second->committed, swarm->check.committed_count,
              leader);
    swarm_talk_second(swarm->talk);
    say_clients(swarm);
    second->begun_ns = swarm_time_ns(swarm);
    second->due_ns = second->begun_ns + SWARM_SECOND_NS;
    second->ok = now->ok;
    second->refused = now->refused;
    second->unknown = now->unknown;
    second->committed = swarm->check.committed_count;
}

void swarm_story_begin(struct swarm *swarm) {
    swarm->second.begun_ns = swarm_time_ns(swarm);
    swarm->second.due_ns = swarm->second.begun_ns + SWARM_SECOND_NS;
}

/* ---- how things stand ----------------------------------------------------------------------- */

/* "1..17 term 1, 18..61 term 3": the last runs of equal terms, as far as the terms are known. */
static void say_log(struct swarm *swarm, uint32_t index) {
    const struct log *log = sim_node_log(swarm->nodes[index].node);
    uint64_t last = log_last_index(log);
    char text[LINE_BYTES] = "";
    for (uint32_t run = 0; run < RUNS_MAX && last > 0; run++) {
        uint64_t term = log_term(log, last);
        uint64_t first = last;
        while (term != 0 && first > 1 && log_term(log, first - 1) == term) {
            first--;
        }
        if (term == 0) {
            break;
        }
        char before[LINE_BYTES];
        memcpy(before, text, sizeof(text));
        (void)snprintf(text, sizeof(text), "%" PRIu64 "..%" PRIu64 " of term %" PRIu64 "%s%.300s",
                       first, last, term, before[0] == '\0' ? "" : ", ", before);
        last = first - 1;
    }
    swarm_say_more(swarm, "   its log: %s%s", last > 0 ? "... " : "",
                   text[0] == '\0' ? "not in memory" : text);
}

static void say_node(struct swarm *swarm, uint32_t index) {
    static const char *const states[] = {"down", "up", "ending"};
    const struct swarm_node *node = &swarm->nodes[index];
    const struct swarm_seen *seen = &swarm->check.nodes[index];
    const char *disk = node->lost      ? ", its disk was lost"
                       : node->damaged ? ", its disk is damaged"
                                       : "";
    if (node->node == NULL) {
        swarm_say_more(swarm, "node %u is down%s%s; its log had %" PRIu64 " durable entries",
                       index + 1, node->absent ? ", never started" : "", disk,
                       seen->ended_durable_index);
        return;
    }
    const struct raft *raft = sim_node_raft(node->node);
    const char *failure = sim_node_failure(node->node);
    swarm_say_more(swarm,
                   "node %u is %s, %s%s: term %" PRIu64 ", vote %" PRIu64 ", last %" PRIu64
                   ", durable %" PRIu64 ", committed %" PRIu64 ", applied %" PRIu64 "%s%s",
                   index + 1, states[node->process], raft_role_name(raft_role(raft)), disk,
                   seen->term, raft_voted_for(raft), seen->last_index,
                   log_durable_index(sim_node_log(node->node)), seen->commit_index,
                   seen->applied_index,
                   failure == NULL ? "" : "; it failed: ", failure == NULL ? "" : failure);
    say_log(swarm, index);
}

static void say_faults(struct swarm *swarm) {
    bool any = false;
    for (uint32_t i = 0; i < swarm->plan->action_count; i++) {
        if (!swarm->begun[i] || swarm->over[i] || swarm->plan->actions[i].left_out) {
            continue;
        }
        char text[SWARM_TEXT_BYTES];
        swarm_fault_print(&swarm->plan->actions[i], swarm->who[i], text, sizeof(text));
        swarm_say_more(swarm, "in force: #%u %s, since %.3f s", i + 1, text,
                       (double)swarm->plan->actions[i].from_ns / (double)SWARM_SECOND_NS);
        any = true;
    }
    if (!any) {
        swarm_say_more(swarm, "in force: no fault");
    }
    char healed[2 * SWARM_NODES_MAX + 1] = "";
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        if (swarm->nodes[i].healed) {
            add(healed, sizeof(healed), " %u", i + 1);
        }
    }
    if (any && healed[0] != '\0') {
        swarm_say_more(swarm, "but not for, or between, those that are healed:%s", healed);
    }
}

void swarm_story_broken(struct swarm *swarm) {
    if (swarm->talk == NULL) {
        return;
    }
    swarm_story_second(swarm, true);
    swarm_say(swarm, "---- how things stand");
    say_faults(swarm);
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        say_node(swarm, i);
    }
}
