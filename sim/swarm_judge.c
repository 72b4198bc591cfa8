/*
 * The verdict over the histories.
 *
 * The committed entries are turned into the commands that the clients sent, by the machine's table
 * of commands; the replay checker lays the history beside them, decides what became of unknown
 * writes and finds an order, which the checker key by key then has only to look at.
 *
 * What is undecided is counted, and is no finding: it is never as good as right.  Where the search
 * key by key gives up, replay has judged the same operations; where replay is undecided, nothing
 * has, and somebody should look.
 */

#include "sim/swarm_internal.h"

#include <string.h>

#include "base/assert.h"
#include "sim/linearizable.h"
#include "sim/replay_check.h"

enum {
    /* Of the search for one key, where replay's order does not explain it. */
    MEMORY_SLOTS = 1 << 18,
    STEPS_MAX = 1 << 21,
};

/* The first line of a checker's text. */
static void verdict_find(struct swarm *swarm, const char *checker,
                         const struct kv_model_text *text) {
    int length = (int)(text->length < 300 ? text->length : 300);
    swarm_say(swarm, "%s:\n%.*s", checker, (int)text->length, text->data);
    bool is_first = !swarm_broken(swarm);
    swarm_find(swarm, "%s: %.*s", checker, length, length == 0 ? "" : text->data);
    if (is_first) {
        swarm->result->kind_bytes = (uint32_t)strlen(checker); /* the rest is about operations */
    }
}

/* `replay`: what it found, if it is right; otherwise NULL. */
static void judge_by_key(struct swarm *swarm, const struct replay_report *replay) {
    struct linearizable_options options = linearizable_options_default();
    options.memory_slots = MEMORY_SLOTS;
    options.steps_max = STEPS_MAX;
    options.value_bytes_max = SIM_NODE_BULK_BYTES_MAX;
    if (replay != NULL) {
        options.never_applied = replay->never_applied;
        options.places = replay->places;
    }
    struct linearizable_report report;
    int status = linearizable_check(cluster_clients_history(swarm->clients), &options, &report);
    ASSERT(status == 0);
    if (report.verdict == HISTORY_WRONG) {
        verdict_find(swarm, "a key's history is not linearizable", &report.text);
    }
    struct swarm_counts *counts = &swarm->result->counts;
    counts->keys_given_up += report.keys_undecided > 0;
    counts->keys_not_judged += report.keys_unmodelled > 0;
    if (report.keys_undecided > 0) {
        swarm_say(swarm, "key by key is undecided:\n%.*s", (int)report.text.length,
                  report.text.data);
    }
    kv_model_text_free(&report.text);
}

static void judge_by_replay(struct swarm *swarm) {
    struct committed_commands commands;
    struct replay_report report;
    committed_log_commands(swarm->log, cluster_clients_once_operation, swarm->clients, &commands);
    int status = replay_check(cluster_clients_history(swarm->clients), commands.commands,
                              commands.count, SIM_NODE_BULK_BYTES_MAX, &report);
    ASSERT(status == 0);
    if (report.verdict == HISTORY_WRONG) {
        verdict_find(swarm, "the history does not fit the log", &report.text);
    } else if (report.verdict == HISTORY_UNDECIDED) {
        swarm->result->counts.replays_undecided++;
        swarm_say(swarm, "replay is undecided:\n%.*s", (int)report.text.length, report.text.data);
    }
    judge_by_key(swarm, report.verdict == HISTORY_RIGHT ? &report : NULL);
    replay_free(&report);
    committed_commands_free(&commands);
}

void swarm_judge(struct swarm *swarm) {
    if (committed_log_complete(swarm->log)) {
        judge_by_replay(swarm);
    } else {
        swarm_say(swarm, "the log is not known as a whole: replay is undecided");
        swarm->result->counts.replays_undecided++;
        judge_by_key(swarm, NULL);
    }
}
