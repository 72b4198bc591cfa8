/*
 * Commands of the scenario language that drive nodes, time, disks and clients.
 */

#include "sim/raft_script_internal.h"

#include "base/error.h"

#define MS UINT64_C(1000000)

enum { MS_MAX = 1000000000 };

/* ---- the cluster -------------------------------------------------------------------------- */

/* True for lines that are the same at every heartbeat. */
static bool is_routine(const char *line) {
    return strstr(line, "heartbeat") != NULL || strstr(line, " ticks at ") != NULL ||
           strstr(line, "has confirmed round") != NULL;
}

/* Prints the cluster's trace, as far as the command says. */
static void trace(void *context, const char *line) {
    struct script *script = context;
    if (script->quiet)
        return;
    if (script->brief && line[0] != ' ')
        script->event[0] = '\0';
    if (script->brief && is_routine(line)) {
        /* An event of routine is worth a line if something comes of it. */
        if (line[0] != ' ')
            (void)snprintf(script->event, sizeof(script->event), "%s", line);
        return;
    }
    if (script->brief && script->event[0] != '\0')
        script->print(script->context, script->event);
    script->event[0] = '\0';
    script->print(script->context, line);
}

/* A number of the options that `nodes` knows by name. */
static bool option_u32(struct script *script, const char *name, uint64_t min, uint64_t max,
                       uint32_t *number) {
    uint64_t wide = *number;
    bool good = script_option_number(script, name, min, max, &wide);
    *number = (uint32_t)wide;
    return good;
}

static bool nodes_options(struct script *script, struct cluster_options *options) {
    uint64_t timeout_ms = options->election_timeout_ns / MS;
    uint64_t heartbeat_ms = options->heartbeat_ns / MS;
    bool good = script_option_number(script, "T", 2, UINT16_MAX, &timeout_ms); /* as leases */
    if (good && script_option(script, "T") != NULL)
        heartbeat_ms = timeout_ms / 10 > 0 ? timeout_ms / 10 : 1;
    good = good && script_option_number(script, "heartbeat", 1, timeout_ms / 2, &heartbeat_ms) &&
           script_option_number(script, "seed", 0, UINT64_MAX, &options->seed) &&
           script_option_number(script, "inflight-bytes", 1, UINT64_MAX,
                                &options->inflight_bytes_max) &&
           script_option_number(script, "uncommitted", 1, UINT64_MAX,
                                &options->uncommitted_bytes_max) &&
           option_u32(script, "learners", 0, CLUSTER_NODES_MAX, &options->learner_count) &&
           option_u32(script, "spare", 0, CLUSTER_NODES_MAX, &options->spare_count) &&
           option_u32(script, "drift", 0, 999, &options->clock_drift_per_mille) &&
           option_u32(script, "inflight", 1, 256, &options->inflight_messages_max) &&
           option_u32(script, "message-bytes", 1, 1 << 20, &options->message_bytes_max) &&
           option_u32(script, "chunk", 1, 1 << 20, &options->snapshot_chunk_bytes) &&
           option_u32(script, "window", 256, 1 << 16, &options->window_entries) &&
           option_u32(script, "entry", 1, 1 << 20, &options->entry_bytes);
    options->election_timeout_ns = timeout_ms * MS;
    options->heartbeat_ns = heartbeat_ms * MS;
    options->flags = script_has(script, "leases") ? CONFIGURATION_LEASES : 0;
    return good;
}

enum script_result script_nodes(struct script *script) {
    struct cluster_options options = cluster_options_default();
    uint64_t voters = 0;
    if (!script_number(script->words[1], &voters) || voters < 1 || voters > CLUSTER_NODES_MAX)
        return script_mistake(script, "%s voters: give a number from 1 to %d", script->words[1],
                              CLUSTER_NODES_MAX);
    options.voter_count = (uint32_t)voters;
    if (!nodes_options(script, &options))
        return SCRIPT_MISTAKE;
    if (options.voter_count + options.learner_count + options.spare_count > CLUSTER_NODES_MAX)
        return script_mistake(script, "no more than %d nodes in all", CLUSTER_NODES_MAX);
    options.trace = trace;
    options.trace_context = script;
    enum script_result result = script_end(script);
    for (uint32_t i = 0; i < SCRIPT_SAVED_MAX; i++) {
        free(script->saved[i].message);
        script->saved[i].message = NULL;
    }
    cluster_destroy(script->cluster);
    script->violation_expected = false;
    script->cluster = cluster_create(&options);
    return result;
}

/* ---- time --------------------------------------------------------------------------------- */

/* Lets the node's clock go exactly to its deadline. */
static void tick_to_deadline(struct cluster *cluster, uint64_t id) {
    const struct cluster_node *node = &cluster->nodes[id];
    uint64_t deadline_ns = raft_deadline_ns(node->raft);
    if (deadline_ns != UINT64_MAX)
        cluster_tick(cluster, id, deadline_ns > node->now_ns ? deadline_ns - node->now_ns : 0);
}

enum script_result script_elect(struct script *script) {
    struct cluster *cluster = script->cluster;
    uint64_t id = 0;
    if (!script_running(script, script->words[1], &id))
        return SCRIPT_MISTAKE;
    /* It may hear a leader, or lose to one whose log is longer: then it does not become one. */
    for (uint32_t i = 0; i < 10 && cluster->nodes[id].role != RAFT_LEADER; i++) {
        if (!cluster_node_runs(&cluster->nodes[id]))
            break;
        tick_to_deadline(cluster, id);
        (void)cluster_settle(cluster);
    }
    if (cluster->nodes[id].role != RAFT_LEADER)
        return script_failure(script, "node %llu does not become leader", (unsigned long long)id);
    return SCRIPT_DONE;
}

/* Reads the word at a position as milliseconds. */
static bool word_ms(struct script *script, uint32_t position, uint64_t *ns) {
    uint64_t ms = 0;
    if (!script_number(script->words[position], &ms) || ms > MS_MAX) {
        (void)script_mistake(script, "%s is not a number of milliseconds, at most %d",
                             script->words[position], MS_MAX);
        return false;
    }
    *ns = ms * MS;
    return true;
}

enum script_result script_tick(struct script *script) {
    uint64_t id = 0;
    uint64_t ns = 0;
    if (!script_running(script, script->words[1], &id) ||
        (script->word_count > 2 && !word_ms(script, 2, &ns)))
        return SCRIPT_MISTAKE;
    if (script->word_count > 2)
        cluster_tick(script->cluster, id, ns);
    else
        tick_to_deadline(script->cluster, id);
    return SCRIPT_DONE;
}

enum script_result script_advance(struct script *script) {
    uint64_t ns = 0;
    if (!word_ms(script, 1, &ns))
        return SCRIPT_MISTAKE;
    cluster_advance(script->cluster, ns);
    return SCRIPT_DONE;
}

enum script_result script_run(struct script *script) {
    uint64_t ns = 0;
    if (!word_ms(script, 1, &ns))
        return SCRIPT_MISTAKE;
    cluster_run(script->cluster, ns);
    return SCRIPT_DONE;
}

enum script_result script_settle(struct script *script) {
    if (!cluster_settle(script->cluster) && !script->cluster->violated)
        return script_failure(script, "the messages have no end");
    return SCRIPT_DONE;
}

enum script_result script_clock(struct script *script) {
    uint64_t id = 0;
    uint64_t rate = 0;
    if (!script_node(script, script->words[1], &id) || !script_number(script->words[2], &rate) ||
        rate < 1 || rate > 10000)
        return script_mistake(script, "say a node and a rate from 1 to 10000: clock 1 1010");
    script->cluster->nodes[id].clock_per_mille = (uint32_t)rate;
    return SCRIPT_DONE;
}

/* ---- lives -------------------------------------------------------------------------------- */

enum script_result script_life(struct script *script) {
    struct cluster *cluster = script->cluster;
    const char *command = script->words[0];
    bool needs_down = strcmp(command, "restart") == 0 || strcmp(command, "wipe") == 0;
    for (uint32_t i = 1; i < script->word_count; i++) {
        uint64_t id = 0;
        if (!script_node(script, script->words[i], &id))
            return script_mistake(script, "%s is not a node", script->words[i]);
        if (needs_down && cluster->nodes[id].state != CLUSTER_NODE_DOWN)
            return script_mistake(script, "node %s is not down: `crash %s` first", script->words[i],
                                  script->words[i]);
        if (strcmp(command, "restart") == 0)
            cluster_restart(cluster, id);
        else if (strcmp(command, "wipe") == 0)
            cluster_wipe(cluster, id);
        else if (strcmp(command, "pause") == 0)
            cluster_pause(cluster, id);
        else
            cluster_resume(cluster, id);
    }
    return SCRIPT_DONE;
}

enum script_result script_crash(struct script *script) {
    uint64_t votes = 0;
    uint64_t writes = 0;
    if (!script_option_number(script, "votes", 0, CLUSTER_VOTES_MAX, &votes) ||
        !script_option_number(script, "writes", 0, CLUSTER_WRITES_MAX, &writes))
        return SCRIPT_MISTAKE;
    for (uint32_t i = 1; i < script->word_count; i++) {
        uint64_t id = 0;
        if (strchr(script->words[i], '=') != NULL)
            continue;
        if (!script_node(script, script->words[i], &id))
            return script_mistake(script, "%s is not a node", script->words[i]);
        cluster_crash(script->cluster, id, (uint32_t)votes, (uint32_t)writes);
    }
    return SCRIPT_DONE;
}

enum script_result script_disk(struct script *script) {
    uint64_t id = 0;
    if (!script_node(script, script->words[1], &id) ||
        script->cluster->nodes[id].state != CLUSTER_NODE_DOWN)
        return script_mistake(script, "%s is not a node that is down: `crash %s` first",
                              script->words[1], script->words[1]);
    uint64_t term = 1;
    uint64_t vote = 0;
    uint64_t terms[SCRIPT_NUMBERS_MAX];
    uint32_t count = 0;
    const char *log = script_option(script, "log");
    if (!script_option_number(script, "term", 1, RAFT_TERM_MAX, &term) ||
        !script_option_number(script, "vote", 0, CLUSTER_NODES_MAX, &vote))
        return SCRIPT_MISTAKE;
    if (log != NULL && !script_numbers(log, terms, &count))
        return script_mistake(script, "log=%s: give the terms, as in log=1,1,2", log);
    for (uint32_t i = 0; i < count; i++) {
        if (terms[i] == 0 || terms[i] > term || (i > 0 && terms[i] < terms[i - 1]))
            return script_mistake(script, "log=%s: terms ascend from 1 to the node's term", log);
    }
    cluster_disk_set(script->cluster, id, term, vote, terms, count);
    return SCRIPT_DONE;
}

/* ---- disks -------------------------------------------------------------------------------- */

enum script_result script_hold(struct script *script) {
    const char *command = script->words[0];
    bool release = strcmp(command, "release") == 0;
    bool disk = release || strcmp(command, "hold-disk") == 0;
    for (uint32_t i = 1; i < script->word_count; i++) {
        uint64_t id = 0;
        if (!script_node(script, script->words[i], &id))
            return script_mistake(script, "%s is not a node", script->words[i]);
        struct cluster_node *node = cluster_node(script->cluster, id);
        if (disk || strcmp(command, "hold-votes") == 0)
            node->hold_votes = !release;
        if (disk || strcmp(command, "hold-writes") == 0)
            node->hold_writes = !release;
        if (release || strcmp(command, "hold-apply") == 0)
            node->hold_apply = !release;
        if (release || strcmp(command, "hold-append") == 0)
            node->hold_append = !release;
        if (release)
            cluster_node_run(script->cluster, id);
    }
    return SCRIPT_DONE;
}

enum script_result script_store_vote(struct script *script) {
    uint64_t id = 0;
    if (!script_running(script, script->words[1], &id))
        return SCRIPT_MISTAKE;
    if (!cluster_vote_store(script->cluster, id))
        return script_failure(script, "node %s has no vote under way", script->words[1]);
    cluster_node_run(script->cluster, id);
    return SCRIPT_DONE;
}

enum script_result script_stored(struct script *script) {
    uint64_t id = 0;
    uint64_t index = 0;
    if (!script_running(script, script->words[1], &id))
        return SCRIPT_MISTAKE;
    if (script->word_count > 2 && !script_number(script->words[2], &index))
        return script_mistake(script, "%s is not an index", script->words[2]);
    bool stored = script->word_count > 2 ? cluster_write_store_to(script->cluster, id, index)
                                         : cluster_write_store(script->cluster, id);
    if (!stored)
        return script_failure(script, "node %s has no such write under way, or it waits for a vote",
                              script->words[1]);
    cluster_node_run(script->cluster, id);
    return SCRIPT_DONE;
}

enum script_result script_report_stored(struct script *script) {
    uint64_t id = 0;
    uint64_t index = 0;
    uint64_t epoch = 0;
    if (!script_running(script, script->words[1], &id))
        return SCRIPT_MISTAKE;
    if (!script_number(script->words[2], &index) || !script_number(script->words[3], &epoch))
        return script_mistake(script, "say an index and an epoch: report-stored 2 5 0");
    cluster_report_stored(script->cluster, id, index, epoch);
    cluster_node_run(script->cluster, id);
    return SCRIPT_DONE;
}

enum script_result script_report_snapshot(struct script *script) {
    uint64_t id = 0;
    struct raft_snapshot snapshot = {.size_bytes = 1};
    if (!script_running(script, script->words[1], &id))
        return SCRIPT_MISTAKE;
    if (!script_number(script->words[2], &snapshot.index) ||
        !script_number(script->words[3], &snapshot.term))
        return script_mistake(script, "say an index and a term: report-snapshot 2 5 3");
    cluster_report_snapshot(script->cluster, id, &snapshot);
    return SCRIPT_DONE;
}

enum script_result script_apply(struct script *script) {
    uint64_t id = 0;
    uint64_t index = UINT64_MAX;
    if (!script_running(script, script->words[1], &id))
        return SCRIPT_MISTAKE;
    if (script->word_count > 2 && !script_number(script->words[2], &index))
        return script_mistake(script, "%s is not an index", script->words[2]);
    cluster_apply(script->cluster, id, index);
    return SCRIPT_DONE;
}

/* ---- clients ------------------------------------------------------------------------------ */

enum script_result script_propose(struct script *script) {
    uint64_t id = 0;
    uint64_t bytes = script->cluster->options.entry_bytes;
    if (!script_running(script, script->words[1], &id) ||
        !script_option_number(script, "bytes", 1, UINT32_MAX, &bytes))
        return SCRIPT_MISTAKE;
    script->refused = NULL;
    for (uint32_t i = 2; i < script->word_count; i++) {
        if (!script->quoted[i])
            continue;
        if (strlen(script->words[i]) >= CLUSTER_PAYLOAD_BYTES)
            return script_mistake(script, "\"%s\" is longer than %d letters", script->words[i],
                                  CLUSTER_PAYLOAD_BYTES - 1);
        int error = cluster_propose(script->cluster, id, script->words[i], (uint32_t)bytes);
        if (error == WEIR_OK)
            continue;
        script->refused = error == WEIR_EFULL ? "full" : "try again";
        if (!script->quiet)
            script_say(script, "%llu refuses \"%s\": %s", (unsigned long long)id, script->words[i],
                       script->refused);
    }
    return SCRIPT_DONE;
}

enum script_result script_read(struct script *script) {
    uint64_t id = 0;
    if (!script_running(script, script->words[1], &id))
        return SCRIPT_MISTAKE;
    (void)cluster_read(script->cluster, id, script_has(script, "lease"));
    return SCRIPT_DONE;
}

/* Adds the nodes of a list with a role; keeps the members sorted. */
static bool members_add(struct script *script, struct configuration *wanted, const char *list,
                        uint8_t role) {
    uint64_t ids[SCRIPT_NUMBERS_MAX];
    uint32_t count = 0;
    if (list == NULL)
        return true;
    if (!script_numbers(list, ids, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] < 1 || ids[i] > script->cluster->node_count ||
            wanted->member_count == CONFIGURATION_MEMBERS_MAX)
            return false;
        uint32_t place = wanted->member_count++;
        while (place > 0 && wanted->members[place - 1].node_id > ids[i]) {
            wanted->members[place] = wanted->members[place - 1];
            place--;
        }
        wanted->members[place] =
            (struct configuration_member){.node_id = ids[i],
                                          .incarnation = script->cluster->nodes[ids[i]].incarnation,
                                          .roles = role};
    }
    return true;
}

/* What the last request was answered with. */
static void request_answered(struct script *script, enum raft_refusal refusal) {
    script->refused = refusal == RAFT_REFUSAL_NONE ? NULL : raft_refusal_name(refusal);
}

enum script_result script_configure(struct script *script) {
    uint64_t id = 0;
    if (!script_running(script, script->words[1], &id))
        return SCRIPT_MISTAKE;
    struct configuration wanted = {0};
    if (script_has(script, "leases")) {
        wanted.flags = CONFIGURATION_LEASES;
        wanted.lease_ms = (uint16_t)(script->cluster->options.election_timeout_ns / MS);
    }
    if (!members_add(script, &wanted, script_option(script, "voters"), CONFIGURATION_VOTER) ||
        !members_add(script, &wanted, script_option(script, "learners"), CONFIGURATION_LEARNER))
        return script_mistake(script, "say the members: configure 1 voters=1,2,3 learners=4");
    request_answered(script, cluster_configure(script->cluster, id, &wanted));
    return SCRIPT_DONE;
}

enum script_result script_transfer(struct script *script) {
    uint64_t id = 0;
    uint64_t target = 0;
    if (!script_running(script, script->words[1], &id))
        return SCRIPT_MISTAKE;
    if (!script_number(script->words[2], &target) || target == 0)
        return script_mistake(script, "%s is not a node", script->words[2]);
    request_answered(script, cluster_transfer(script->cluster, id, target));
    return SCRIPT_DONE;
}

enum script_result script_snapshot(struct script *script) {
    uint64_t id = 0;
    uint64_t size = 250;
    if (!script_running(script, script->words[1], &id) ||
        !script_option_number(script, "size", 1, UINT64_MAX / 2, &size))
        return SCRIPT_MISTAKE;
    if (!cluster_snapshot_take(script->cluster, id, size))
        return script_failure(script, "node %s has nothing new that is applied and durable",
                              script->words[1]);
    return SCRIPT_DONE;
}

enum script_result script_compact(struct script *script) {
    uint64_t id = 0;
    if (!script_running(script, script->words[1], &id))
        return SCRIPT_MISTAKE;
    uint64_t index = script->cluster->nodes[id].snapshot.id.index;
    if (script->word_count > 2 && !script_number(script->words[2], &index))
        return script_mistake(script, "%s is not an index", script->words[2]);
    if (!cluster_compact(script->cluster, id, index))
        return script_failure(script,
                              "node %s cannot remove entries up to %llu: no snapshot "
                              "covers them, or they are gone already",
                              script->words[1], (unsigned long long)index);
    return SCRIPT_DONE;
}
