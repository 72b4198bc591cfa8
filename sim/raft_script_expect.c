/*
 * Expectations: what must hold, whatever is recorded as output.
 *
 * Each kind is one function, which finds out whether the thing holds, and says what is there
 * instead in words for a failure.
 */

#include "sim/raft_script_internal.h"

#include <stdarg.h>
#include <stdio.h>

/* What a look found. */
enum look {
    LOOK_HOLDS,
    LOOK_NOT,
    LOOK_MISTAKE, /* said so */
};

/* An expectation without "expect" and "not". */
struct wanted {
    struct script *script;
    uint32_t first;                      /* the word after those */
    char found[CLUSTER_LINE_BYTES - 64]; /* what is there instead */
};

static const char *word(const struct wanted *wanted, uint32_t position) {
    uint32_t at = wanted->first + position;
    return at < wanted->script->word_count ? wanted->script->words[at] : NULL;
}

static enum look mistake(struct wanted *wanted) {
    (void)script_mistake(wanted->script, "this is no expectation: `help expect` lists them");
    return LOOK_MISTAKE;
}

static enum look holds(bool it_does) {
    return it_does ? LOOK_HOLDS : LOOK_NOT;
}

static void __attribute__((format(printf, 2, 3)))
found(struct wanted *wanted, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(wanted->found, sizeof(wanted->found), format, arguments);
    va_end(arguments);
    ASSERT(length >= 0);
}

static unsigned long long n(uint64_t number) {
    return (unsigned long long)number;
}

/* ---- of the whole cluster ----------------------------------------------------------------- */

static enum look look_leader(struct wanted *wanted) {
    uint64_t id = 0;
    if (word(wanted, 1) == NULL || (strcmp(word(wanted, 1), "none") != 0 &&
                                    !script_node(wanted->script, word(wanted, 1), &id)))
        return mistake(wanted);
    uint64_t leader = cluster_leader(wanted->script->cluster);
    found(wanted, "node %llu leads", n(leader));
    return holds(leader == id);
}

/* True if the message is of the kind that the words name, and its text has all that is quoted. */
static bool message_fits(const struct wanted *wanted, const struct cluster_message *message) {
    char text[CLUSTER_LINE_BYTES];
    char kind[64] = "";
    cluster_message_text(text, sizeof(text), message);
    for (uint32_t i = 2; word(wanted, i) != NULL; i++) {
        size_t length = strlen(kind);
        if (wanted->script->quoted[wanted->first + i]) {
            if (strstr(text, word(wanted, i)) == NULL)
                return false;
            continue;
        }
        int added = snprintf(kind + length, sizeof(kind) - length, "%s%s", length > 0 ? " " : "",
                             word(wanted, i));
        ASSERT(added >= 0);
    }
    return kind[0] == '\0' || strcmp(kind, raft_message_kind_name(message->message.kind)) == 0;
}

static enum look look_message(struct wanted *wanted) {
    uint64_t from = 0;
    uint64_t to = 0;
    if (word(wanted, 1) == NULL || !script_link(wanted->script, word(wanted, 1), &from, &to))
        return mistake(wanted);
    const struct cluster_message *message = wanted->script->cluster->links[from][to].queue.head;
    uint32_t count = 0;
    uint32_t fitting = 0;
    for (; message != NULL; message = message->next, count++)
        fitting += message_fits(wanted, message);
    found(wanted, "there are %u messages from %llu to %llu, %u of that kind", count, n(from), n(to),
          fitting);
    return holds(fitting > 0);
}

static enum look look_read(struct wanted *wanted) {
    static const char *const states[] = {
        [CLUSTER_READ_WAITING] = "waiting",
        [CLUSTER_READ_CONFIRMED] = "confirmed",
        [CLUSTER_READ_DONE] = "done",
        [CLUSTER_READ_FAILED] = "failed",
    };
    uint64_t number = 0;
    if (word(wanted, 2) == NULL || !script_number(word(wanted, 1), &number))
        return mistake(wanted);
    const struct cluster_read *read = cluster_read_find(wanted->script->cluster, number);
    if (read == NULL)
        return mistake(wanted);
    found(wanted, "read %llu is %s", n(number), states[read->state]);
    return holds(strcmp(states[read->state], word(wanted, 2)) == 0);
}

static enum look look_same_logs(struct wanted *wanted) {
    const struct cluster *cluster = wanted->script->cluster;
    uint64_t ids[SCRIPT_NUMBERS_MAX];
    uint32_t count = 0;
    if (word(wanted, 1) != NULL && !script_numbers(word(wanted, 1), ids, &count))
        return mistake(wanted);
    for (uint64_t id = 1; word(wanted, 1) == NULL && id <= cluster->node_count; id++) {
        if (cluster_node_runs(&cluster->nodes[id]))
            ids[count++] = id;
    }
    for (uint32_t i = 1; i < count; i++) {
        const struct cluster_node *one = &cluster->nodes[ids[0]];
        const struct cluster_node *other = &cluster->nodes[ids[i] % (CLUSTER_NODES_MAX + 1)];
        uint64_t chain = 0;
        uint64_t other_chain = 0;
        if (one->log.last_index != other->log.last_index ||
            !cluster_log_chain(&one->log, one->log.last_index, &chain) ||
            !cluster_log_chain(&other->log, one->log.last_index, &other_chain) ||
            chain != other_chain || one->applied_chain != other->applied_chain) {
            found(wanted, "nodes %llu and %llu differ", n(one->id), n(other->id));
            return LOOK_NOT;
        }
    }
    found(wanted, "they are equal");
    return count > 1 ? LOOK_HOLDS : mistake(wanted);
}

static enum look look_refused(struct wanted *wanted) {
    const char *refused = wanted->script->refused;
    found(wanted, "it was %s%s", refused != NULL ? "refused: " : "accepted",
          refused != NULL ? refused : "");
    if (strcmp(word(wanted, 0), "accepted") == 0)
        return holds(refused == NULL);
    char reason[64] = "";
    for (uint32_t i = 1; word(wanted, i) != NULL; i++) {
        size_t length = strlen(reason);
        int added = snprintf(reason + length, sizeof(reason) - length, "%s%s", i > 1 ? " " : "",
                             word(wanted, i));
        ASSERT(added >= 0);
    }
    return holds(refused != NULL && strstr(refused, reason) != NULL);
}

static enum look look_violation(struct wanted *wanted) {
    const struct cluster *cluster = wanted->script->cluster;
    if (word(wanted, 1) == NULL)
        return mistake(wanted);
    found(wanted, "%s", cluster->violated ? cluster->violation : "nothing is violated");
    if (cluster->violated && strstr(cluster->violation, word(wanted, 1)) != NULL)
        wanted->script->violation_expected = true;
    return holds(wanted->script->violation_expected);
}

/* ---- of one node -------------------------------------------------------------------------- */

static enum look look_role(struct wanted *wanted, const struct cluster_node *node) {
    const char *role = word(wanted, 2);
    if (role == NULL)
        return mistake(wanted);
    bool runs = cluster_node_runs(node);
    const char *is = "down";
    if (runs)
        is = raft_role_name(node->role);
    else if (node->state == CLUSTER_NODE_HALTED)
        is = "halted";
    else if (node->state == CLUSTER_NODE_PAUSED)
        is = "paused";
    found(wanted, "node %llu is %s", n(node->id), is);
    if (strcmp(role, "serving") == 0)
        return holds(runs && raft_serving(node->raft));
    static const char *const roles[] = {"leader", "follower", "candidate", "pre-candidate",
                                        "down",   "halted",   "paused"};
    for (size_t i = 0; i < ARRAY_COUNT(roles); i++) {
        if (strcmp(role, roles[i]) == 0)
            return holds(strcmp(is, role) == 0);
    }
    return mistake(wanted);
}

/* The numbers of a node, by name; false if there is no such name. */
static bool node_number(const struct cluster_node *node, const char *name, uint64_t *number) {
    struct {
        const char *name;
        uint64_t number;
    } const numbers[] = {
        {"term", node->state == CLUSTER_NODE_DOWN ? node->disk.vote.term : node->term},
        {"vote", node->disk.vote.node_id},
        {"leader", node->leader},
        {"commit", node->commit_index},
        {"applied", node->applied_index},
        {"first", node->log.base_index + 1},
        {"last", node->log.last_index},
        {"durable", node->disk.log.last_index},
        {"epoch", node->epoch},
        {"snapshot", node->snapshot.id.index},
        {"received", node->disk.received_bytes},
        {"waiting", node->proposal_count},
        {"outbox", node->outbox.count},
    };
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        if (strcmp(numbers[i].name, name) == 0) {
            *number = numbers[i].number;
            return true;
        }
    }
    return false;
}

static enum look look_number(struct wanted *wanted, const struct cluster_node *node) {
    uint64_t number = 0;
    uint64_t value = 0;
    if (!node_number(node, word(wanted, 1), &number) || word(wanted, 2) == NULL ||
        !script_number(word(wanted, 2), &value))
        return mistake(wanted);
    found(wanted, "node %llu has %s %llu", n(node->id), word(wanted, 1), n(number));
    return holds(number == value);
}

static enum look look_entry(struct wanted *wanted, const struct cluster_node *node) {
    uint64_t index = 0;
    uint64_t term = 0;
    if (word(wanted, 2) == NULL || !script_place(word(wanted, 2), &index, &term))
        return mistake(wanted);
    const struct cluster_entry *entry = cluster_log_at(&node->log, index);
    found(wanted, "node %llu has nothing there", n(node->id));
    if (entry != NULL)
        found(wanted, "node %llu has there %llu@%llu \"%s\"", n(node->id), n(index), n(entry->term),
              entry->payload);
    return holds(entry != NULL && entry->term == term &&
                 (word(wanted, 3) == NULL || strcmp(entry->payload, word(wanted, 3)) == 0));
}

static enum look look_members(struct wanted *wanted, const struct cluster_node *node,
                              uint8_t role) {
    uint64_t ids[SCRIPT_NUMBERS_MAX];
    uint32_t count = 0;
    if (word(wanted, 2) == NULL || !script_numbers(word(wanted, 2), ids, &count))
        return mistake(wanted);
    if (node->raft == NULL)
        return mistake(wanted);
    const struct configuration *configuration = raft_configuration(node->raft);
    char text[sizeof(wanted->found) - 64];
    cluster_configuration_text(text, sizeof(text), configuration);
    found(wanted, "node %llu has %s", n(node->id), text);
    uint32_t members = 0;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        if ((configuration->members[i].roles & role) == 0)
            continue;
        if (members >= count || configuration->members[i].node_id != ids[members])
            return LOOK_NOT;
        members++;
    }
    return holds(members == count);
}

static enum look look_peer(struct wanted *wanted, const struct cluster_node *node) {
    uint64_t id = 0;
    if (word(wanted, 3) == NULL || !script_node(wanted->script, word(wanted, 2), &id) ||
        node->raft == NULL)
        return mistake(wanted);
    struct raft_peer_status peers[CONFIGURATION_MEMBERS_MAX];
    uint32_t count = raft_peers(node->raft, peers, CONFIGURATION_MEMBERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct raft_peer_status *peer = &peers[i];
        if (peer->node_id != id)
            continue;
        found(wanted, "node %llu has of %llu: %s, match %llu, next %llu, %u in flight", n(node->id),
              n(id), peer->state, n(peer->match_index), n(peer->next_index),
              peer->inflight_messages);
        if (strcmp(word(wanted, 1), "peer") == 0)
            return holds(strcmp(word(wanted, 3), peer->state) == 0);
        uint64_t value = 0;
        if (!script_number(word(wanted, 3), &value))
            return mistake(wanted);
        if (strcmp(word(wanted, 1), "match") == 0)
            return holds(peer->match_index == value);
        if (strcmp(word(wanted, 1), "next") == 0)
            return holds(peer->next_index == value);
        return holds(peer->inflight_messages == value);
    }
    found(wanted, "node %llu knows nothing of %llu", n(node->id), n(id));
    return LOOK_NOT;
}

static enum look look_node(struct wanted *wanted, const struct cluster_node *node) {
    const char *thing = word(wanted, 1);
    if (thing == NULL)
        return mistake(wanted);
    if (strcmp(thing, "is") == 0)
        return look_role(wanted, node);
    if (strcmp(thing, "entry") == 0)
        return look_entry(wanted, node);
    if (strcmp(thing, "voters") == 0)
        return look_members(wanted, node, CONFIGURATION_VOTER);
    if (strcmp(thing, "outgoing") == 0)
        return look_members(wanted, node, CONFIGURATION_OUTGOING);
    if (strcmp(thing, "learners") == 0)
        return look_members(wanted, node, CONFIGURATION_LEARNER);
    if (strcmp(thing, "match") == 0 || strcmp(thing, "next") == 0 ||
        strcmp(thing, "inflight") == 0 || strcmp(thing, "peer") == 0)
        return look_peer(wanted, node);
    return look_number(wanted, node);
}

/* ---- the command -------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum look (*look)(struct wanted *wanted);
} looks[] = {
    {"leader", look_leader},       {"message", look_message}, {"read", look_read},
    {"same-logs", look_same_logs}, {"refused", look_refused}, {"accepted", look_refused},
    {"violation", look_violation},
};

static enum script_result judge(struct wanted *wanted, enum look look, bool negated) {
    if (look == LOOK_MISTAKE)
        return SCRIPT_MISTAKE;
    if ((look == LOOK_HOLDS) != negated)
        return SCRIPT_DONE;
    return script_failure(wanted->script, "%s", wanted->found);
}

enum script_result script_expect(struct script *script) {
    bool negated = strcmp(script->words[1], "not") == 0;
    struct wanted wanted = {.script = script, .first = negated ? 2 : 1};
    script->expectations++;
    if (word(&wanted, 0) == NULL) {
        (void)mistake(&wanted);
        return SCRIPT_MISTAKE;
    }
    for (size_t i = 0; i < ARRAY_COUNT(looks); i++) {
        if (strcmp(word(&wanted, 0), looks[i].name) == 0)
            return judge(&wanted, looks[i].look(&wanted), negated);
    }
    uint64_t ids[SCRIPT_NUMBERS_MAX];
    uint32_t count = 0;
    if (!script_numbers(word(&wanted, 0), ids, &count) || count == 0) {
        (void)mistake(&wanted);
        return SCRIPT_MISTAKE;
    }
    enum script_result result = SCRIPT_DONE;
    for (uint32_t i = 0; i < count && result == SCRIPT_DONE; i++) {
        if (ids[i] < 1 || ids[i] > script->cluster->node_count)
            return script_mistake(script, "%llu is not a node", n(ids[i]));
        result = judge(&wanted, look_node(&wanted, &script->cluster->nodes[ids[i]]), negated);
    }
    return result;
}
