/*
 * The scenario language: lines, words, the table of commands.
 *
 * The happy path: a line is cut into words, the first one names a command, the command drives the
 * cluster, and the cluster's trace is printed as it comes.
 *
 * Failure modes: a line that is not understood changes nothing and says what is wrong with it.
 */

#include "sim/raft_script_internal.h"

#include <ctype.h>
#include <stdarg.h>

#include "base/decimal.h"

/* ---- printing ----------------------------------------------------------------------------- */

static void __attribute__((format(printf, 3, 0)))
say(struct script *script, const char *before, const char *format, va_list arguments) {
    char line[CLUSTER_LINE_BYTES];
    size_t length = strlen(before);
    ASSERT(length < sizeof(line));
    memcpy(line, before, length);
    int added = vsnprintf(line + length, sizeof(line) - length, format, arguments);
    ASSERT(added >= 0);
    script->print(script->context, line);
}

void script_say(struct script *script, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(script, "", format, arguments);
    va_end(arguments);
}

enum script_result script_mistake(struct script *script, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(script, "mistake: ", format, arguments);
    va_end(arguments);
    return SCRIPT_MISTAKE;
}

enum script_result script_failure(struct script *script, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(script, "FAILED: ", format, arguments);
    va_end(arguments);
    return SCRIPT_FAILED;
}

/* ---- words -------------------------------------------------------------------------------- */

bool script_number(const char *word, uint64_t *number) {
    return decimal_parse_u64(word, strlen(word), number) == 0;
}

bool script_node(const struct script *script, const char *word, uint64_t *id) {
    return script_number(word, id) && *id >= 1 && *id <= script->cluster->node_count;
}

/* Two numbers with something between them. */
static bool two_numbers(const char *word, const char *between, uint64_t *one, uint64_t *other) {
    const char *middle = strstr(word, between);
    return middle != NULL && decimal_parse_u64(word, (size_t)(middle - word), one) == 0 &&
           script_number(middle + strlen(between), other);
}

bool script_link(const struct script *script, const char *word, uint64_t *from, uint64_t *to) {
    uint64_t count = script->cluster->node_count;
    return two_numbers(word, "->", from, to) && *from >= 1 && *from <= count && *to >= 1 &&
           *to <= count && *from != *to;
}

bool script_place(const char *word, uint64_t *index, uint64_t *term) {
    return two_numbers(word, "@", index, term);
}

bool script_numbers(const char *word, uint64_t *numbers, uint32_t *count) {
    *count = 0;
    if (strcmp(word, "none") == 0)
        return true;
    for (;;) {
        size_t length = strcspn(word, ",");
        if (*count == SCRIPT_NUMBERS_MAX || decimal_parse_u64(word, length, &numbers[*count]) != 0)
            return false;
        ++*count;
        if (word[length] == '\0')
            return true;
        word += length + 1;
    }
}

const char *script_option(const struct script *script, const char *name) {
    size_t length = strlen(name);
    for (uint32_t i = 1; i < script->word_count; i++) {
        if (strncmp(script->words[i], name, length) == 0 && script->words[i][length] == '=')
            return script->words[i] + length + 1;
    }
    return NULL;
}

bool script_option_number(struct script *script, const char *name, uint64_t min, uint64_t max,
                          uint64_t *number) {
    const char *value = script_option(script, name);
    if (value == NULL)
        return true;
    uint64_t found = 0;
    if (!script_number(value, &found) || found < min || found > max) {
        (void)script_mistake(script, "%s=%s: give a number from %llu to %llu", name, value,
                             (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    *number = found;
    return true;
}

bool script_has(const struct script *script, const char *word) {
    for (uint32_t i = 1; i < script->word_count; i++) {
        if (!script->quoted[i] && strcmp(script->words[i], word) == 0)
            return true;
    }
    return false;
}

bool script_running(struct script *script, const char *word, uint64_t *id) {
    if (!script_node(script, word, id)) {
        (void)script_mistake(script, "%s is not a node: they are 1 to %u", word,
                             script->cluster->node_count);
        return false;
    }
    if (!cluster_node_runs(&script->cluster->nodes[*id])) {
        (void)script_mistake(script, "node %s does not run: `restart %s` or `resume %s`", word,
                             word, word);
        return false;
    }
    return true;
}

/* Cuts the line into words.  False, having said so, if it cannot be. */
static bool cut(struct script *script, const char *line) {
    size_t length = strcspn(line, "\r\n");
    if (length >= sizeof(script->text)) {
        (void)script_mistake(script, "the line is longer than %zu bytes", sizeof(script->text) - 1);
        return false;
    }
    memcpy(script->text, line, length);
    script->text[length] = '\0';
    script->word_count = 0;
    char *at = script->text;
    for (;;) {
        at += strspn(at, " \t");
        if (*at == '\0' || *at == '#')
            return true;
        if (script->word_count == SCRIPT_WORDS_MAX) {
            (void)script_mistake(script, "the line has more than %d words", SCRIPT_WORDS_MAX);
            return false;
        }
        bool quoted = *at == '"';
        at += quoted;
        script->quoted[script->word_count] = quoted;
        script->words[script->word_count++] = at;
        at += strcspn(at, quoted ? "\"" : " \t");
        if (quoted && *at == '\0') {
            (void)script_mistake(script, "a quote is not closed");
            return false;
        }
        if (*at != '\0')
            *at++ = '\0';
    }
}

/* ---- the commands ------------------------------------------------------------------------- */

static enum script_result help(struct script *script);

static const struct script_command commands[] = {
    {"nodes", "VOTERS [learners=N] [spare=N] [T=MS] [heartbeat=MS] [leases] ...",
     "a new cluster, its members started; spare nodes wait for `restart`", 2, false, script_nodes},
    {"elect", "N", "let N's clock go to its deadline, and deliver until it leads", 2, true,
     script_elect},
    {"tick", "N [MS]", "N's clock goes on, by itself to its deadline", 2, true, script_tick},
    {"advance", "MS", "all clocks go on; nothing is delivered", 2, true, script_advance},
    {"run", "MS", "all clocks go on; everything is delivered at once", 2, true, script_run},
    {"settle", "", "deliver until nothing is left", 1, true, script_settle},
    {"clock", "N PER_MILLE", "from now on N's clock goes at this rate; 1000 is right", 3, true,
     script_clock},
    {"crash", "N... [votes=K] [writes=K]",
     "lose what is not durable; K of what is under way was carried out, unheard", 2, true,
     script_crash},
    {"restart", "N...", "start from what is durable", 2, true, script_life},
    {"wipe", "N...", "a crashed node gets an empty disk", 2, true, script_life},
    {"pause", "N...", "do nothing, while the clock goes on", 2, true, script_life},
    {"resume", "N...", "go on after a pause", 2, true, script_life},
    {"disk", "N term=T [vote=N] [log=T,T,...]",
     "what is on a crashed node's disk: behind entry 1 one entry of each term", 3, true,
     script_disk},
    {"hold-votes", "N...", "votes are stored on command only", 2, true, script_hold},
    {"hold-writes", "N...", "entries and snapshots are stored on command only", 2, true,
     script_hold},
    {"hold-disk", "N...", "both", 2, true, script_hold},
    {"hold-apply", "N...", "entries are applied on command only", 2, true, script_hold},
    {"hold-append", "N...", "no room for no-ops and configurations of a leader", 2, true,
     script_hold},
    {"release", "N...", "whatever was held goes on by itself", 2, true, script_hold},
    {"store-vote", "N", "the oldest vote under way is stored", 2, true, script_store_vote},
    {"stored", "N [INDEX]", "the oldest write under way is stored (its entries up to INDEX)", 2,
     true, script_stored},
    {"report-stored", "N INDEX EPOCH", "say that it is stored, whether it is or not", 4, true,
     script_report_stored},
    {"report-snapshot", "N INDEX TERM", "say that a snapshot is there that was begun earlier", 4,
     true, script_report_snapshot},
    {"apply", "N [INDEX]", "apply what is committed (up to INDEX)", 2, true, script_apply},
    {"propose", "N \"WORD\"... [bytes=N]", "a client's writes", 3, true, script_propose},
    {"read", "N [lease]", "a client's read", 2, true, script_read},
    {"configure", "N voters=A,B,... [learners=C,...] [leases]", "ask for a membership", 3, true,
     script_configure},
    {"transfer", "N TARGET", "ask for leadership to move", 3, true, script_transfer},
    {"snapshot", "N [size=BYTES]", "take a snapshot of what is applied", 2, true, script_snapshot},
    {"compact", "N [INDEX]", "remove entries up to the snapshot (or INDEX)", 2, true,
     script_compact},
    {"deliver", "A->B [all | POSITION]", "the oldest message, or the one at a position from 0", 2,
     true, script_deliver},
    {"drop", "A->B [all | POSITION]", "lose it", 2, true, script_drop},
    {"duplicate", "A->B [POSITION]", "put a copy behind the others", 2, true, script_duplicate},
    {"save", "A->B NAME [POSITION]", "keep a copy under a name", 3, true, script_save},
    {"replay", "NAME", "deliver a kept message now; it stays kept", 2, true, script_replay},
    {"hold", "A->B...", "deliver on command only", 2, true, script_links},
    {"cut", "A->B...", "lose what is sent from A to B", 2, true, script_links},
    {"open", "A->B...", "deliver again", 2, true, script_links},
    {"partition", "A B | C ...", "lose what is sent between the groups", 4, true, script_partition},
    {"heal", "", "open all links", 1, true, script_heal},
    {"disconnect", "N OTHER", "N sees OTHER's connection closed", 3, true, script_disconnect},
    {"inject", "KIND A->B term=T [FIELD=VALUE]... [entries=I@T,...]",
     "deliver a message of your own; `help inject` lists the fields", 4, true, script_inject},
    {"status", "[N...]", "what the nodes are", 1, true, script_status},
    {"log", "[N...]", "what is in the logs", 1, true, script_log},
    {"messages", "", "what is on its way", 1, true, script_messages},
    {"peers", "N", "what a leader knows of its peers", 2, true, script_peers},
    {"expect", "[not] THING...", "fail unless it holds; `help expect` lists the things", 2, true,
     script_expect},
    {"help", "[COMMAND]", "this list", 1, false, help},
};

static const char *const help_expect[] = {
    "expect leader N              it leads in the highest term of all leaders; none: nobody does",
    "expect message A->B [KIND] [\"PART\"...]   such a message is on its way; PART is of its text",
    "expect read K STATE          waiting, confirmed, done or failed; K counts from 1",
    "expect same-logs [N,M,...]   the running nodes' logs are equal, and applied alike",
    "expect refused [WORDS]       the last request was, for this reason",
    "expect accepted              it was not",
    "expect violation WORDS       safety was violated, in these words",
    "expect N[,M,...] is ROLE     leader, follower, candidate, pre-candidate, down, halted, ...",
    "expect N[,M,...] NUMBER K    term vote leader commit applied first last durable epoch outbox",
    "                             snapshot received waiting",
    "expect N[,M,...] entry I@T [\"WORD\"]",
    "expect N[,M,...] voters|outgoing|learners A,B,... | none",
    "expect N match|next|inflight PEER K",
    "expect N peer PEER STATE     probe, replicate or snapshot",
};

static const char *const help_inject[] = {
    "KIND is the message's name with dashes: pre-vote, vote-answer, append, heartbeat, ...",
    "numbers: term session round last-index last-term previous-index previous-term commit",
    "         match-index hint-index hint-term offset length snapshot-index snapshot-term size",
    "words:   granted transfer full   entries=3@2,4@2  of payload \"3@2\" and \"4@2\"",
    "Its sender need not have sent it: what follows may be a violation.",
};

static const struct script_command *command_find(const char *name) {
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static enum script_result help(struct script *script) {
    const char *topic = script->word_count > 1 ? script->words[1] : NULL;
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        const struct script_command *command = &commands[i];
        if (topic != NULL && strcmp(topic, command->name) != 0)
            continue;
        script_say(script, "%s %s", command->name, command->arguments);
        script_say(script, "    %s", command->help);
    }
    for (size_t i = 0; topic != NULL && i < ARRAY_COUNT(help_expect); i++) {
        if (strcmp(topic, "expect") == 0)
            script_say(script, "%s", help_expect[i]);
    }
    for (size_t i = 0; topic != NULL && i < ARRAY_COUNT(help_inject); i++) {
        if (strcmp(topic, "inject") == 0)
            script_say(script, "%s", help_inject[i]);
    }
    if (topic != NULL && command_find(topic) == NULL)
        return script_mistake(script, "there is no command %s: `help` lists them", topic);
    if (topic == NULL)
        script_say(script,
                   "The last word of any command may be `quietly`: nothing of its steps is "
                   "printed; or `briefly`: no heartbeats and ticks of which nothing comes.");
    return SCRIPT_DONE;
}

/* ---- a script ----------------------------------------------------------------------------- */

struct script *script_create(void (*print)(void *context, const char *line), void *context) {
    struct script *script = calloc(1, sizeof(*script));
    ASSERT(script != NULL);
    script->print = print;
    script->context = context;
    return script;
}

void script_destroy(struct script *script) {
    if (script == NULL)
        return;
    for (uint32_t i = 0; i < SCRIPT_SAVED_MAX; i++)
        free(script->saved[i].message);
    cluster_destroy(script->cluster);
    free(script);
}

enum script_result script_line(struct script *script, const char *line) {
    if (!cut(script, line))
        return SCRIPT_MISTAKE;
    if (script->word_count == 0)
        return SCRIPT_DONE;
    const struct script_command *command = command_find(script->words[0]);
    if (command == NULL)
        return script_mistake(script, "there is no command %s: `help` lists them",
                              script->words[0]);
    const char *last = script->words[script->word_count - 1];
    script->quiet = strcmp(last, "quietly") == 0;
    script->brief = strcmp(last, "briefly") == 0;
    script->word_count -= script->quiet || script->brief;
    if (script->word_count < command->words_min)
        return script_mistake(script, "say: %s %s", command->name, command->arguments);
    if (command->needs_cluster && script->cluster == NULL)
        return script_mistake(script, "there is no cluster yet: begin with `nodes 3`");
    enum script_result result = command->run(script);
    script->quiet = false;
    script->brief = false;
    return result;
}

enum script_result script_end(struct script *script) {
    if (script->cluster == NULL || !script->cluster->violated || script->violation_expected)
        return SCRIPT_DONE;
    return script_failure(script, "safety is violated: %s", script->cluster->violation);
}
