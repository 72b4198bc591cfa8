/*
 * One function a command. Answers that are not the same on every node, or at every time, are
 * wild cards; the table of them, with the reasons, is in test_property.c.
 */

#include "tests/property/session.h"

#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "sim/kv_model_text.h"
#include "tests/property/history.h"

#define ANY_INTEGER "\x01:"
#define ANY_BULK    "\x01$"
#define ANY_ARRAY   "\x01*"
#define ANY         "\x01?"

struct session_call {
    struct session *session;
    const struct kv_model_word *words;
    size_t count;
    struct kv_model_text *pattern;
};

static void say(struct session_call *call, const char *text) {
    kv_model_text_append(call->pattern, text, strlen(text));
}

static void say_bulk(struct session_call *call, const char *text, size_t length) {
    text_print(call->pattern, "$%zu:", length);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\x01') /* no wild card */
            kv_model_text_append(call->pattern, text + i, 1);
        kv_model_text_append(call->pattern, text + i, 1);
    }
    say(call, "\n");
}

static void say_word(struct session_call *call, const char *text) {
    say_bulk(call, text, strlen(text));
}

static void say_arity(struct session_call *call, const char *name) {
    text_print(call->pattern, "-ERR wrong number of arguments for '%s' command\n", name);
}

/* The beginning of a map of so many pairs, of a set, of a text that never has the same words. */
static void say_map(struct session_call *call, uint32_t pairs) {
    const bool resp3 = call->session->resp_version == 3;
    text_print(call->pattern, resp3 ? "%%%u\n" : "*%u\n", resp3 ? pairs : 2 * pairs);
}

static void say_set(struct session_call *call, uint32_t count) {
    text_print(call->pattern, call->session->resp_version == 3 ? "~%u\n" : "*%u\n", count);
}

static void say_any_text(struct session_call *call) {
    say(call, call->session->resp_version == 3 ? "\x01=" : ANY_BULK);
}

static void say_empty_text(struct session_call *call) {
    say(call, call->session->resp_version == 3 ? "=0:\n" : "$0:\n");
}

static void say_unknown_subcommand(struct session_call *call, const char *container) {
    say(call, "-ERR unknown subcommand '");
    kv_model_text_append(call->pattern, call->words[1].data, call->words[1].length);
    text_print(call->pattern, "'. Try %s HELP.\n", container);
}

/* A name is the same in all cases, in a pattern too. */
static bool word_matches(const struct kv_model_word *pattern, const char *text) {
    char small[64];
    ASSERT(pattern->length <= sizeof(small));
    for (size_t i = 0; i < pattern->length; i++) {
        const char letter = pattern->data[i];
        small[i] = (char)(letter >= 'A' && letter <= 'Z' ? letter + 'a' - 'A' : letter);
    }
    return kv_model_glob(small, small + pattern->length, text, text + strlen(text));
}

void session_init(struct session *session) {
    *session = (struct session){.resp_version = 2};
}

static void session_ping(struct session_call *call) {
    if (call->count > 2)
        say_arity(call, "ping");
    else if (call->count == 2)
        say_bulk(call, call->words[1].data, call->words[1].length);
    else
        say(call, "+PONG\n");
}

static void session_echo(struct session_call *call) {
    if (call->count != 2)
        say_arity(call, "echo");
    else
        say_bulk(call, call->words[1].data, call->words[1].length);
}

static void session_select(struct session_call *call) {
    int64_t number;
    if (call->count != 2)
        say_arity(call, "select");
    else if (decimal_parse_i64(call->words[1].data, call->words[1].length, &number) != 0)
        say(call, "-ERR value is not an integer or out of range\n");
    else
        say(call, number == 0 ? "+OK\n" : "-ERR DB index is out of range\n");
}

static const char wrong_password[] =
    "-WRONGPASS invalid username-password pair or user is disabled.\n";

static void session_auth(struct session_call *call) {
    if (call->count == 1)
        say_arity(call, "auth");
    else if (call->count == 2)
        say(call, "-ERR AUTH <password> called without any password configured for the default "
                  "user. Are you sure your configuration is correct?\n");
    else if (call->count > 3)
        say(call, "-ERR syntax error\n");
    else
        say(call, word_is(&call->words[1], "default") ? "+OK\n" : wrong_password);
}

static bool name_is_plain(const struct kv_model_word *word) {
    for (size_t i = 0; i < word->length; i++)
        if (word->data[i] <= ' ' || word->data[i] > '~')
            return false;
    return true;
}

/* False with the error said if the name cannot be. */
static bool session_name(struct session_call *call, const struct kv_model_word *name) {
    if (!name_is_plain(name)) {
        say(call, "-ERR Client names cannot contain spaces, newlines or special characters.\n");
        return false;
    }
    memset(call->session->name, 0, sizeof(call->session->name));
    memcpy(call->session->name, name->data, name->length);
    return true;
}

static bool hello_options(struct session_call *call) {
    for (size_t i = 2; i < call->count; i++) {
        if (word_is(&call->words[i], "auth") && i + 2 < call->count) {
            if (!word_is(&call->words[i + 1], "default")) {
                say(call, wrong_password);
                return false;
            }
            i += 2;
        } else if (word_is(&call->words[i], "setname") && i + 1 < call->count) {
            if (!session_name(call, &call->words[++i]))
                return false;
        } else {
            say(call, "-ERR Syntax error in HELLO option '");
            kv_model_text_append(call->pattern, call->words[i].data, call->words[i].length);
            say(call, "'\n");
            return false;
        }
    }
    return true;
}

static void session_hello(struct session_call *call) {
    uint32_t version = call->session->resp_version;
    if (call->count > 1) {
        const struct kv_model_word *word = &call->words[1];
        version = word->length == 1 ? (uint32_t)(word->data[0] - '0') : 0;
        if (version > 9) {
            say(call, "-ERR Protocol version is not an integer or out of range\n");
            return;
        }
        if (version != 2 && version != 3) {
            say(call, "-NOPROTO unsupported protocol version\n");
            return;
        }
    }
    if (!hello_options(call))
        return;
    call->session->resp_version = version;
    say(call, version == 3 ? "%7\n" : "*14\n");
    say_word(call, "server");
    say(call, ANY_BULK);
    say_word(call, "version");
    say(call, ANY_BULK);
    say_word(call, "proto");
    text_print(call->pattern, ":%u\n", version);
    say_word(call, "id");
    say(call, ANY_INTEGER);
    say_word(call, "mode");
    say_word(call, "standalone");
    say_word(call, "role");
    say_word(call, "master");
    say_word(call, "modules");
    say(call, "*0\n");
}

static void session_reset(struct session_call *call) {
    if (call->count != 1) {
        say_arity(call, "reset");
        return;
    }
    session_init(call->session);
    say(call, "+RESET\n");
}

static void client_setinfo(struct session_call *call) {
    const struct kv_model_word *option = &call->words[2];
    if (!word_is(option, "lib-name") && !word_is(option, "lib-ver")) {
        say(call, "-ERR Unrecognized option '");
        kv_model_text_append(call->pattern, option->data, option->length);
        say(call, "'\n");
    } else if (!name_is_plain(&call->words[3])) {
        say(call, "-ERR ");
        kv_model_text_append(call->pattern, option->data, option->length);
        say(call, " cannot contain spaces, newlines or special characters.\n");
    } else {
        say(call, "+OK\n");
    }
}

/* All are looked at before one is looked up. Of ids that no connection has the list is empty. */
static void client_list_ids(struct session_call *call) {
    bool is_anybody = false;
    for (size_t i = 3; i < call->count; i++) {
        int64_t id;
        if (decimal_parse_i64(call->words[i].data, call->words[i].length, &id) != 0) {
            say(call, "-ERR Invalid client ID\n");
            return;
        }
        is_anybody |= id > 0 && id <= UINT32_MAX;
    }
    if (is_anybody)
        say_any_text(call);
    else
        say_empty_text(call);
}

static void client_list(struct session_call *call) {
    if (call->count == 2) {
        say_any_text(call);
    } else if (call->count == 4 && word_is(&call->words[2], "type")) {
        const struct kv_model_word *type = &call->words[3];
        if (word_is(type, "normal")) {
            say_any_text(call);
        } else if (word_is(type, "master") || word_is(type, "replica") || word_is(type, "slave") ||
                   word_is(type, "pubsub")) {
            say_empty_text(call);
        } else {
            say(call, "-ERR Unknown client type '");
            kv_model_text_append(call->pattern, type->data, type->length);
            say(call, "'\n");
        }
    } else if (call->count < 4 || !word_is(&call->words[2], "id")) {
        say(call, "-ERR syntax error\n");
    } else {
        client_list_ids(call);
    }
}

static void client_getname(struct session_call *call) {
    if (call->session->name[0] != 0)
        say_word(call, call->session->name);
    else
        say(call, "_\n");
}

static void client_setname(struct session_call *call) {
    if (session_name(call, &call->words[2]))
        say(call, "+OK\n");
}

static void client_id(struct session_call *call) {
    say(call, ANY_INTEGER);
}

static void say_help(struct session_call *call) {
    say(call, ANY_ARRAY);
}

/* The cards' key is the one of the specification's vector: 0x31c3 mod 16384. */
static void cluster_keyslot(struct session_call *call) {
    say(call, ":12739\n");
}

static void cluster_myid(struct session_call *call) {
    say(call, ANY_BULK);
}

static void command_count(struct session_call *call) {
    say(call, ANY_INTEGER);
}

/* Of the machines' commands only the name is known. */
static void command_info(struct session_call *call) {
    text_print(call->pattern, "*%zu\n", call->count - 2);
    for (size_t i = 2; i < call->count; i++) {
        if (word_is(&call->words[i], "ping")) {
            say(call, "*10\n$4:ping\n:-1\n");
            say_set(call, 1);
            say(call, "+fast\n:0\n:0\n:0\n" ANY ANY ANY ANY);
        } else {
            say(call, word_is(&call->words[i], "nonsense") ? "_\n" : ANY);
        }
    }
}

/* A command with one argument. */
static void docs_of(struct session_call *call, const char *name, const char *group,
                    const char *argument, const char *type, bool is_optional) {
    say_word(call, name);
    say_map(call, 4);
    say(call, "$7:summary\n" ANY_BULK "$5:since\n$5:1.0.0\n$5:group\n");
    say_word(call, group);
    say(call, "$9:arguments\n*1\n");
    say_map(call, is_optional ? 3 : 2);
    say_word(call, "name");
    say_word(call, argument);
    say_word(call, "type");
    say_word(call, type);
    if (is_optional) {
        say_word(call, "flags");
        say_set(call, 1);
        say(call, "+optional\n");
    }
}

static void command_docs(struct session_call *call) {
    if (call->count == 2) {
        say(call, call->session->resp_version == 3 ? "\x01%" : ANY_ARRAY);
    } else if (word_is(&call->words[2], "ping")) { /* what is behind it is not there */
        say_map(call, 1);
        docs_of(call, "ping", "connection", "message", "string", true);
    } else {
        say_map(call, 1);
        docs_of(call, "get", "string", "key", "key", false);
    }
}

/* The names of a session are in the order of the alphabet, and so are each command's subcommands
 * behind it. */
static const char *const command_names[] = {
    "auth",
    "client",
    "client|getname",
    "client|getredir",
    "client|help",
    "client|id",
    "client|info",
    "client|kill",
    "client|list",
    "client|no-evict",
    "client|no-touch",
    "client|pause",
    "client|reads",
    "client|reply",
    "client|setinfo",
    "client|setname",
    "client|unpause",
    "cluster",
    "cluster|help",
    "cluster|info",
    "cluster|keyslot",
    "cluster|myid",
    "cluster|nodes",
    "cluster|shards",
    "cluster|slots",
    "command",
    "command|count",
    "command|docs",
    "command|getkeys",
    "command|help",
    "command|info",
    "command|list",
    "config",
    "config|get",
    "config|help",
    "config|resetstat",
    "config|set",
    "echo",
    "hello",
    "info",
    "once",
    "once.open",
    "ping",
    "quit",
    "readonly",
    "readwrite",
    "reset",
    "select",
    "shutdown",
    "slowlog",
    "slowlog|get",
    "slowlog|help",
    "slowlog|len",
    "slowlog|reset",
    "time",
    "wait",
};

static void command_list(struct session_call *call) {
    const size_t name_count = sizeof(command_names) / sizeof(command_names[0]);
    if (call->count == 2) {
        say(call, ANY_ARRAY);
    } else if (call->count != 5 || !word_is(&call->words[2], "filterby") ||
               (!word_is(&call->words[3], "pattern") && !word_is(&call->words[3], "module"))) {
        say(call, "-ERR syntax error\n");
    } else {
        size_t listed = 0;
        const bool by_name = word_is(&call->words[3], "pattern");
        for (size_t i = 0; i < name_count; i++)
            listed += by_name && word_matches(&call->words[4], command_names[i]);
        text_print(call->pattern, "*%zu\n", listed);
        for (size_t i = 0; i < name_count; i++)
            if (by_name && word_matches(&call->words[4], command_names[i]))
                say_word(call, command_names[i]);
    }
}

static void config_get(struct session_call *call) {
    static const char *const items[][2] = {{"databases", "1"}, {"save", ""}};
    uint32_t found[2] = {0};
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 2; j < call->count; j++)
            found[i] |= word_matches(&call->words[j], items[i][0]);
    say_map(call, found[0] + found[1]);
    for (size_t i = 0; i < 2; i++) {
        if (found[i] != 0) {
            say_word(call, items[i][0]);
            say_word(call, items[i][1]);
        }
    }
}

/* A command that only contains others. */
static void session_subcommand(struct session_call *call) {
    static const struct {
        const char *container;
        const char *name;
        size_t words_min;
        size_t words_max;
        void (*execute)(struct session_call *call);
    } subcommands[] = {
        {"client", "getname", 2, 2, client_getname},
        {"client", "help", 2, 2, say_help},
        {"client", "id", 2, 2, client_id},
        {"client", "info", 2, 2, say_any_text},
        {"client", "list", 2, SIZE_MAX, client_list},
        {"client", "setinfo", 4, 4, client_setinfo},
        {"client", "setname", 3, 3, client_setname},
        {"cluster", "help", 2, 2, say_help},
        {"cluster", "info", 2, 2, say_any_text},
        {"cluster", "keyslot", 3, 3, cluster_keyslot},
        {"cluster", "myid", 2, 2, cluster_myid},
        {"cluster", "nodes", 2, 2, say_any_text},
        {"cluster", "shards", 2, 2, say_help},
        {"cluster", "slots", 2, 2, say_help},
        {"command", "count", 2, 2, command_count},
        {"command", "docs", 2, SIZE_MAX, command_docs},
        {"command", "help", 2, 2, say_help},
        {"command", "info", 2, SIZE_MAX, command_info},
        {"command", "list", 2, SIZE_MAX, command_list},
        {"config", "get", 3, SIZE_MAX, config_get},
        {"config", "help", 2, 2, say_help},
    };
    for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++) {
        if (!word_is(&call->words[0], subcommands[i].container) ||
            !word_is(&call->words[1], subcommands[i].name))
            continue;
        if (call->count < subcommands[i].words_min || call->count > subcommands[i].words_max)
            text_print(call->pattern, "-ERR wrong number of arguments for '%s|%s' command\n",
                       subcommands[i].container, subcommands[i].name);
        else
            subcommands[i].execute(call);
        return;
    }
    const struct kv_model_word *name = &call->words[0];
    say_unknown_subcommand(call, word_is(name, "client")    ? "CLIENT"
                                 : word_is(name, "cluster") ? "CLUSTER"
                                 : word_is(name, "command") ? "COMMAND"
                                                            : "CONFIG");
}

static void session_client(struct session_call *call) {
    if (call->count == 1)
        say_arity(call, "client");
    else
        session_subcommand(call);
}

static void session_cluster(struct session_call *call) {
    if (call->count == 1)
        say_arity(call, "cluster");
    else
        session_subcommand(call);
}

/* Both change only what CLIENT LIST shows. */
static void session_readonly(struct session_call *call) {
    if (call->count != 1)
        say_arity(call, word_is(&call->words[0], "readonly") ? "readonly" : "readwrite");
    else
        say(call, "+OK\n");
}

static void session_command(struct session_call *call) {
    if (call->count == 1)
        say(call, ANY_ARRAY);
    else
        session_subcommand(call);
}

static void session_config(struct session_call *call) {
    if (call->count == 1)
        say_arity(call, "config");
    else
        session_subcommand(call);
}

static void session_info(struct session_call *call) {
    if (call->count == 2 && word_is(&call->words[1], "nonsense"))
        say_empty_text(call);
    else
        say_any_text(call);
}

/* The driver opens the next connection once this one has ended. */
static void session_quit(struct session_call *call) {
    session_init(call->session);
    say(call, "+OK\n");
}

static void session_time(struct session_call *call) {
    if (call->count != 1)
        say_arity(call, "time");
    else
        say(call, "*2\n" ANY_BULK ANY_BULK);
}

/* The node is alone: no other member ever has anything. */
static void session_wait(struct session_call *call) {
    int64_t members;
    int64_t timeout_ms;
    if (call->count != 3)
        say_arity(call, "wait");
    else if (decimal_parse_i64(call->words[1].data, call->words[1].length, &members) != 0)
        say(call, "-ERR value is not an integer or out of range\n");
    else if (decimal_parse_i64(call->words[2].data, call->words[2].length, &timeout_ms) != 0)
        say(call, "-ERR timeout is not an integer or out of range\n");
    else
        say(call, timeout_ms < 0 ? "-ERR timeout is negative\n" : ":0\n");
}

bool session_execute(struct session *session, const struct kv_model_word *words, size_t count,
                     struct kv_model_text *pattern) {
    static const struct {
        const char *name;
        void (*execute)(struct session_call *call);
    } commands[] = {
        {"ping", session_ping},         {"echo", session_echo},
        {"select", session_select},     {"auth", session_auth},
        {"hello", session_hello},       {"reset", session_reset},
        {"client", session_client},     {"command", session_command},
        {"config", session_config},     {"cluster", session_cluster},
        {"readonly", session_readonly}, {"readwrite", session_readonly},
        {"info", session_info},         {"time", session_time},
        {"quit", session_quit},         {"wait", session_wait},
    };
    struct session_call call = {session, words, count, pattern};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (word_is(&words[0], commands[i].name)) {
            pattern->length = 0;
            commands[i].execute(&call);
            return true;
        }
    }
    return false;
}
