/*
 * Commands of the scenario language about messages and links.
 */

#include "sim/raft_script_internal.h"

/* ---- messages ----------------------------------------------------------------------------- */

/* Which messages of which link a command means. */
struct chosen {
    uint64_t from;
    uint64_t to;
    uint64_t position;
    bool all;
};

/* Reads "A->B" at word 1, and "all" or a position at word `position`. */
static bool choose(struct script *script, uint32_t position, struct chosen *chosen) {
    *chosen = (struct chosen){0};
    if (!script_link(script, script->words[1], &chosen->from, &chosen->to)) {
        (void)script_mistake(script, "%s is not a link: say 1->2", script->words[1]);
        return false;
    }
    if (script->word_count <= position)
        return true;
    chosen->all = strcmp(script->words[position], "all") == 0;
    if (!chosen->all && (!script_number(script->words[position], &chosen->position) ||
                         chosen->position >= CLUSTER_LINK_MESSAGES_MAX)) {
        (void)script_mistake(script, "%s is not a position: the oldest message is at 0",
                             script->words[position]);
        return false;
    }
    return true;
}

static struct cluster_message *take(struct script *script, const struct chosen *chosen) {
    return cluster_message_take(script->cluster, chosen->from, chosen->to,
                                (uint32_t)chosen->position);
}

static enum script_result nothing_there(struct script *script) {
    return script_failure(script, "there is no such message on %s", script->words[1]);
}

enum script_result script_deliver(struct script *script) {
    struct chosen chosen;
    if (!choose(script, 2, &chosen))
        return SCRIPT_MISTAKE;
    if (!cluster_node_runs(&script->cluster->nodes[chosen.to]))
        return script_mistake(script, "node %llu does not run", (unsigned long long)chosen.to);
    uint32_t count = chosen.all ? script->cluster->links[chosen.from][chosen.to].queue.count : 1;
    for (uint32_t i = 0; i < count; i++) {
        struct cluster_message *message = take(script, &chosen);
        if (message == NULL)
            return nothing_there(script);
        cluster_message_deliver(script->cluster, message);
    }
    return SCRIPT_DONE;
}

enum script_result script_drop(struct script *script) {
    struct chosen chosen;
    if (!choose(script, 2, &chosen))
        return SCRIPT_MISTAKE;
    uint32_t count = chosen.all ? script->cluster->links[chosen.from][chosen.to].queue.count : 1;
    for (uint32_t i = 0; i < count; i++) {
        struct cluster_message *message = take(script, &chosen);
        if (message == NULL)
            return nothing_there(script);
        char text[CLUSTER_LINE_BYTES];
        cluster_message_text(text, sizeof(text), message);
        if (!script->quiet)
            script_say(script, "lost: %s", text);
        free(message);
    }
    return SCRIPT_DONE;
}

enum script_result script_duplicate(struct script *script) {
    struct chosen chosen;
    if (!choose(script, 2, &chosen))
        return SCRIPT_MISTAKE;
    const struct cluster_message *message =
        cluster_message_at(script->cluster, chosen.from, chosen.to, (uint32_t)chosen.position);
    if (message == NULL)
        return nothing_there(script);
    cluster_message_put(script->cluster, cluster_message_copy(message));
    return SCRIPT_DONE;
}

/* The place of a name among what is kept, or a free one; NULL if there is neither. */
static struct script_saved *saved_place(struct script *script, const char *name) {
    struct script_saved *place = NULL;
    for (uint32_t i = 0; i < SCRIPT_SAVED_MAX; i++) {
        struct script_saved *saved = &script->saved[i];
        if (saved->message != NULL && strcmp(saved->name, name) == 0)
            return saved;
        if (saved->message == NULL && place == NULL)
            place = saved;
    }
    return place;
}

enum script_result script_save(struct script *script) {
    struct chosen chosen;
    const char *name = script->words[2];
    if (!choose(script, 3, &chosen))
        return SCRIPT_MISTAKE;
    struct script_saved *place = saved_place(script, name);
    if (place == NULL || strlen(name) >= sizeof(place->name))
        return script_mistake(script, "%s: no more than %d names of %zu letters", name,
                              SCRIPT_SAVED_MAX, sizeof(place->name) - 1);
    const struct cluster_message *message =
        cluster_message_at(script->cluster, chosen.from, chosen.to, (uint32_t)chosen.position);
    if (message == NULL)
        return nothing_there(script);
    free(place->message);
    memcpy(place->name, name, strlen(name) + 1);
    place->message = cluster_message_copy(message);
    char text[CLUSTER_LINE_BYTES];
    cluster_message_text(text, sizeof(text), message);
    if (!script->quiet)
        script_say(script, "kept: %s", text);
    return SCRIPT_DONE;
}

enum script_result script_replay(struct script *script) {
    struct script_saved *saved = saved_place(script, script->words[1]);
    if (saved == NULL || saved->message == NULL)
        return script_mistake(script, "no message is kept as %s", script->words[1]);
    uint64_t to = saved->message->message.to;
    if (!cluster_node_runs(&script->cluster->nodes[to]))
        return script_mistake(script, "node %llu does not run", (unsigned long long)to);
    cluster_message_deliver(script->cluster, cluster_message_copy(saved->message));
    return SCRIPT_DONE;
}

/* ---- links -------------------------------------------------------------------------------- */

enum script_result script_links(struct script *script) {
    enum cluster_link_state state = CLUSTER_LINK_OPEN;
    if (strcmp(script->words[0], "hold") == 0)
        state = CLUSTER_LINK_HELD;
    else if (strcmp(script->words[0], "cut") == 0)
        state = CLUSTER_LINK_CUT;
    for (uint32_t i = 1; i < script->word_count; i++) {
        uint64_t from = 0;
        uint64_t to = 0;
        if (!script_link(script, script->words[i], &from, &to))
            return script_mistake(script, "%s is not a link: say 1->2", script->words[i]);
        cluster_link_set(script->cluster, from, to, state);
    }
    return SCRIPT_DONE;
}

enum script_result script_partition(struct script *script) {
    uint32_t group_of[CLUSTER_NODES_MAX + 1] = {0};
    uint32_t group = 1;
    uint64_t count = script->cluster->node_count;
    for (uint32_t i = 1; i < script->word_count; i++) {
        uint64_t id = 0;
        if (strcmp(script->words[i], "|") == 0)
            group++;
        else if (script_node(script, script->words[i], &id))
            group_of[id] = group;
        else
            return script_mistake(script, "%s is not a node: say partition 1 2 | 3",
                                  script->words[i]);
    }
    for (uint64_t from = 1; from <= count; from++) {
        for (uint64_t to = 1; to <= count; to++) {
            if (from != to)
                cluster_link_set(script->cluster, from, to,
                                 group_of[from] == group_of[to] ? CLUSTER_LINK_OPEN
                                                                : CLUSTER_LINK_CUT);
        }
    }
    return SCRIPT_DONE;
}

enum script_result script_heal(struct script *script) {
    for (uint64_t from = 1; from <= script->cluster->node_count; from++) {
        for (uint64_t to = 1; to <= script->cluster->node_count; to++)
            cluster_link_set(script->cluster, from, to, CLUSTER_LINK_OPEN);
    }
    return SCRIPT_DONE;
}

enum script_result script_disconnect(struct script *script) {
    uint64_t id = 0;
    uint64_t other = 0;
    if (!script_running(script, script->words[1], &id))
        return SCRIPT_MISTAKE;
    if (!script_node(script, script->words[2], &other))
        return script_mistake(script, "%s is not a node", script->words[2]);
    cluster_disconnect(script->cluster, id, other);
    return SCRIPT_DONE;
}

/* ---- messages made by hand ---------------------------------------------------------------- */

static const enum raft_message_kind kinds[] = {
    RAFT_MESSAGE_PRE_VOTE,        RAFT_MESSAGE_PRE_VOTE_ANSWER,  RAFT_MESSAGE_VOTE,
    RAFT_MESSAGE_VOTE_ANSWER,     RAFT_MESSAGE_APPEND,           RAFT_MESSAGE_APPEND_ANSWER,
    RAFT_MESSAGE_HEARTBEAT,       RAFT_MESSAGE_HEARTBEAT_ANSWER, RAFT_MESSAGE_SNAPSHOT,
    RAFT_MESSAGE_SNAPSHOT_ANSWER, RAFT_MESSAGE_TIMEOUT_NOW,
};

/* True if the word is the kind's name, whose blanks may be written as dashes. */
static bool kind_is(enum raft_message_kind kind, const char *word) {
    const char *name = raft_message_kind_name(kind);
    for (; *name != '\0' && *word != '\0'; name++, word++) {
        if (*name != *word && !(*name == ' ' && *word == '-'))
            return false;
    }
    return *name == *word;
}

static bool kind_read(const char *word, enum raft_message_kind *kind) {
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (kind_is(kinds[i], word)) {
            *kind = kinds[i];
            return true;
        }
    }
    return false;
}

/* Reads the numbers that a message is made of. */
static bool fields_read(struct script *script, struct raft_message *message) {
    uint64_t session = 0;
    uint64_t length = 0;
    struct {
        const char *name;
        uint64_t *number;
    } const fields[] = {
        {"term", &message->term},
        {"session", &session},
        {"round", &message->round},
        {"last-index", &message->last_index},
        {"last-term", &message->last_term},
        {"previous-index", &message->previous_index},
        {"previous-term", &message->previous_term},
        {"commit", &message->commit},
        {"match-index", &message->match_index},
        {"hint-index", &message->hint_index},
        {"hint-term", &message->hint_term},
        {"offset", &message->offset},
        {"length", &length},
        {"snapshot-index", &message->snapshot.index},
        {"snapshot-term", &message->snapshot.term},
        {"size", &message->snapshot.size_bytes},
    };
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        if (!script_option_number(script, fields[i].name, 0, UINT64_MAX, fields[i].number))
            return false;
    }
    message->session = (uint32_t)session;
    message->length_bytes = (uint32_t)length;
    message->granted = script_has(script, "granted");
    message->transfer = script_has(script, "transfer");
    message->full = script_has(script, "full");
    return true;
}

/* Reads "3@2,4@2"; each entry gets its chain as if it stood behind the one before, the first as if
 * behind that of the receiver's log. */
static bool entries_read(const struct script *script, const struct cluster_node *receiver,
                         struct cluster_message *message, const char *list) {
    struct raft_message *core = &message->message;
    uint64_t chain = 0;
    (void)cluster_log_chain(&receiver->log, core->previous_index, &chain);
    while (list != NULL && *list != '\0' && core->entry_count < SCRIPT_NUMBERS_MAX) {
        char word[CLUSTER_PAYLOAD_BYTES] = "";
        size_t length = strcspn(list, ",");
        uint64_t index = 0;
        uint64_t term = 0;
        if (length >= sizeof(word))
            return false;
        memcpy(word, list, length);
        if (!script_place(word, &index, &term) ||
            index != core->previous_index + core->entry_count + 1)
            return false;
        struct cluster_entry *entry = &message->entries[core->entry_count++];
        *entry = (struct cluster_entry){.term = term,
                                        .length_bytes = script->cluster->options.entry_bytes};
        memcpy(entry->payload, word, length);
        cluster_entry_chain(entry, index, chain);
        chain = entry->chain;
        list += length + (list[length] == ',');
    }
    return true;
}

enum script_result script_inject(struct script *script) {
    enum raft_message_kind kind;
    uint64_t from = 0;
    uint64_t to = 0;
    if (!kind_read(script->words[1], &kind))
        return script_mistake(script, "%s is not a kind of message: `help inject` lists them",
                              script->words[1]);
    if (!script_link(script, script->words[2], &from, &to) ||
        !cluster_node_runs(&script->cluster->nodes[to]))
        return script_mistake(script, "%s is not a link to a node that runs", script->words[2]);
    struct cluster_message *message =
        calloc(1, sizeof(*message) + SCRIPT_NUMBERS_MAX * sizeof(message->entries[0]));
    ASSERT(message != NULL);
    message->incarnation = script->cluster->nodes[from].incarnation;
    message->message = (struct raft_message){.kind = kind, .from = from, .to = to};
    const struct cluster_node *receiver = &script->cluster->nodes[to];
    if (kind == RAFT_MESSAGE_SNAPSHOT)
        message->message.configuration = receiver->configuration;
    if (!fields_read(script, &message->message)) {
        free(message);
        return SCRIPT_MISTAKE;
    }
    if (!entries_read(script, receiver, message, script_option(script, "entries"))) {
        free(message);
        return script_mistake(script, "say consecutive entries: previous-index=2 entries=3@2,4@2");
    }
    cluster_message_deliver(script->cluster, message);
    return SCRIPT_DONE;
}
