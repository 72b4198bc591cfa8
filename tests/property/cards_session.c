/* Cards about the connection and the server, and those of the log machine. */

#include "tests/property/cards.h"

enum {
    SESSION_ALL = DECK_DISJOINT | DECK_SOLO | DECK_SHARED | DECK_LOG,
    SESSION_KV = DECK_DISJOINT | DECK_SOLO | DECK_SHARED,
};

/* A card whose words never vary. */
#define WORDS_CARD(name, ...)                                         \
    static void name(struct draft *draft) {                           \
        static const char *const words[] = {__VA_ARGS__};             \
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) \
            draft_word(draft, words[i]);                              \
    }

WORDS_CARD(card_ping, "PING")
WORDS_CARD(card_ping_words, "PING", "some words")
WORDS_CARD(card_select, "SELECT", "0")
WORDS_CARD(card_select_one, "SELECT", "1")
WORDS_CARD(card_select_form, "SELECT", "zero")
WORDS_CARD(card_hello, "HELLO")
WORDS_CARD(card_hello_2, "HELLO", "2")
WORDS_CARD(card_hello_3, "HELLO", "3")
WORDS_CARD(card_hello_4, "HELLO", "4")
WORDS_CARD(card_hello_form, "HELLO", "3", "nonsense")
WORDS_CARD(card_hello_auth, "HELLO", "3", "AUTH", "default", "whatever", "SETNAME", "greeter")
WORDS_CARD(card_hello_setname, "HELLO", "2", "SETNAME", "guest")
WORDS_CARD(card_hello_setname_form, "HELLO", "3", "SETNAME", "two words")
WORDS_CARD(card_hello_cut, "HELLO", "3", "AUTH", "default")
WORDS_CARD(card_hello_auth_wrong, "HELLO", "2", "AUTH", "nobody", "whatever")
WORDS_CARD(card_auth, "AUTH", "secret")
WORDS_CARD(card_auth_default, "AUTH", "default", "secret")
WORDS_CARD(card_auth_other, "AUTH", "somebody", "secret")
WORDS_CARD(card_reset, "RESET")
WORDS_CARD(card_client_id, "CLIENT", "ID")
WORDS_CARD(card_client_getname, "CLIENT", "GETNAME")
WORDS_CARD(card_client_setname_form, "CLIENT", "SETNAME", "two words")
WORDS_CARD(card_client_setinfo, "CLIENT", "SETINFO", "LIB-NAME", "property")
WORDS_CARD(card_client_setinfo_version, "CLIENT", "SETINFO", "lib-ver", "1.2.3")
WORDS_CARD(card_client_setinfo_form, "CLIENT", "SETINFO", "LIB-VER", "1 2")
WORDS_CARD(card_client_setinfo_option, "CLIENT", "SETINFO", "LIB", "x")
WORDS_CARD(card_client_info, "CLIENT", "INFO")
WORDS_CARD(card_client_list, "CLIENT", "LIST")
WORDS_CARD(card_client_list_normal, "CLIENT", "LIST", "TYPE", "normal")
WORDS_CARD(card_client_list_id, "CLIENT", "LIST", "ID", "1", "2", "3")
WORDS_CARD(card_client_help, "CLIENT", "HELP")
WORDS_CARD(card_client_unknown, "CLIENT", "NONSENSE")
WORDS_CARD(card_cluster_info, "CLUSTER", "INFO")
WORDS_CARD(card_cluster_keyslot, "CLUSTER", "KEYSLOT", "123456789")
WORDS_CARD(card_cluster_keyslot_tag, "CLUSTER", "keyslot", "a{123456789}{b}")
WORDS_CARD(card_cluster_myid, "CLUSTER", "MYID")
WORDS_CARD(card_cluster_nodes, "CLUSTER", "NODES")
WORDS_CARD(card_cluster_shards, "CLUSTER", "SHARDS")
WORDS_CARD(card_cluster_slots, "CLUSTER", "SLOTS")
WORDS_CARD(card_cluster_help, "CLUSTER", "HELP")
WORDS_CARD(card_cluster_unknown, "CLUSTER", "NONSENSE")
WORDS_CARD(card_readonly, "READONLY")
WORDS_CARD(card_readwrite, "READWRITE")
WORDS_CARD(card_command_count, "COMMAND", "COUNT")
WORDS_CARD(card_command_info, "COMMAND", "INFO", "get", "nonsense")
WORDS_CARD(card_command_info_ping, "COMMAND", "INFO", "Ping")
WORDS_CARD(card_command, "COMMAND")
WORDS_CARD(card_command_docs, "COMMAND", "DOCS")
WORDS_CARD(card_command_docs_ping, "COMMAND", "DOCS", "ping", "nonsense")
WORDS_CARD(card_command_docs_get, "COMMAND", "DOCS", "get")
WORDS_CARD(card_command_list, "COMMAND", "LIST")
WORDS_CARD(card_command_list_module, "COMMAND", "LIST", "FILTERBY", "MODULE", "none")
WORDS_CARD(card_command_list_form, "COMMAND", "LIST", "FILTERBY", "nonsense", "*")
WORDS_CARD(card_command_help, "COMMAND", "HELP")
WORDS_CARD(card_command_unknown, "COMMAND", "NONSENSE")
WORDS_CARD(card_config_get, "CONFIG", "GET", "no-such-parameter")
WORDS_CARD(card_config_get_two, "CONFIG", "GET", "no-such-parameter", "databases")
WORDS_CARD(card_config_get_pattern, "CONFIG", "GET", "[s]av?")
WORDS_CARD(card_config_help, "CONFIG", "HELP")
WORDS_CARD(card_info, "INFO")
WORDS_CARD(card_info_section, "INFO", "server", "clients")
WORDS_CARD(card_info_nothing, "INFO", "nonsense")
WORDS_CARD(card_time, "TIME")
WORDS_CARD(card_quit, "QUIT")

static void card_echo(struct draft *draft) {
    draft_word(draft, "ECHO");
    draft_value(draft);
}

/* One of several spellings that are all the same to the model. */
static void draft_one_of(struct draft *draft, const char *const *texts, size_t count) {
    draft_word(draft, texts[draft_below(draft, count)]);
}

static void card_client_list_type(struct draft *draft) {
    static const char *const types[] = {"master", "REPLICA", "slave", "pubsub"};
    draft_word(draft, "CLIENT");
    draft_word(draft, "LIST");
    draft_word(draft, "TYPE");
    draft_one_of(draft, types, sizeof(types) / sizeof(types[0]));
}

/* Numbers that no connection is ever given: before the first, and far behind the last. */
static void card_client_list_nobody(struct draft *draft) {
    static const char *const ids[] = {"0", "-1", "999999999999", "-9223372036854775808"};
    draft_word(draft, "CLIENT");
    draft_word(draft, "LIST");
    draft_word(draft, "ID");
    for (uint64_t left = 1 + draft_below(draft, 3); left > 0; left--)
        draft_one_of(draft, ids, sizeof(ids) / sizeof(ids[0]));
}

static void card_client_list_form(struct draft *draft) {
    static const char *const wrong[][3] = {{"TYPE", "somebody"}, {"ID", "me"}, {"ID", "0", "me"},
                                           {"ID", ""},           {"ID"},       {"nonsense"}};
    const char *const *words = wrong[draft_below(draft, sizeof(wrong) / sizeof(wrong[0]))];
    draft_word(draft, "CLIENT");
    draft_word(draft, "LIST");
    for (size_t i = 0; i < 3 && words[i] != NULL; i++)
        draft_word(draft, words[i]);
}

/* What matches is the connection's and the server's, subcommands too: no machine has a name like
 * these. */
static void card_command_list_pattern(struct draft *draft) {
    static const char *const patterns[] = {"p?ng", "*fo",    "c[lo][^p]*", "C[lm-o]*d",
                                           "*|*",  "*|H?lp", "client|*",   "no-such-command"};
    draft_word(draft, "COMMAND");
    draft_word(draft, "LIST");
    draft_word(draft, "filterby");
    draft_word(draft, "PATTERN");
    draft_one_of(draft, patterns, sizeof(patterns) / sizeof(patterns[0]));
}

/* The node is alone: nobody is waited for, or in vain. */
static void card_wait(struct draft *draft) {
    static const char *const members[] = {"0", "-1", "-9223372036854775808"};
    draft_word(draft, "WAIT");
    if (draft_below(draft, 4) == 0) {
        draft_word(draft, "1");
        draft_word(draft, "2");
    } else {
        draft_one_of(draft, members, sizeof(members) / sizeof(members[0]));
        draft_word(draft, draft_below(draft, 2) == 0 ? "0" : "1000");
    }
}

static void card_wait_form(struct draft *draft) {
    static const char *const wrong[][3] = {{"one", "0"}, {"-1", "soon"},  {"0", "-1"}, {"x", "x"},
                                           {"0"},        {"0", "0", "0"}, {"1.0", "0"}};
    const char *const *words = wrong[draft_below(draft, sizeof(wrong) / sizeof(wrong[0]))];
    draft_word(draft, "WAIT");
    for (size_t i = 0; i < 3 && words[i] != NULL; i++)
        draft_word(draft, words[i]);
}

static void card_subcommand_arity(struct draft *draft) {
    static const char *const wrong[][3] = {{"CLIENT", "GETNAME", "x"},
                                           {"CLIENT", "ID", "x"},
                                           {"CLIENT", "SETINFO", "LIB-NAME"},
                                           {"CLIENT", "SETNAME"},
                                           {"COMMAND", "COUNT", "x"},
                                           {"CONFIG", "GET"},
                                           {"CLUSTER", "KEYSLOT"},
                                           {"READONLY", "x"},
                                           {"CLIENT"},
                                           {"CLUSTER"},
                                           {"CONFIG"}};
    const char *const *words = wrong[draft_below(draft, sizeof(wrong) / sizeof(wrong[0]))];
    for (size_t i = 0; i < 3 && words[i] != NULL; i++)
        draft_word(draft, words[i]);
}

static void card_client_setname(struct draft *draft) {
    draft_word(draft, "CLIENT");
    draft_word(draft, "SETNAME");
    draft_format(draft, draft_below(draft, 4) == 0 ? "%.0s" : "name%s", "-of-it");
}

const struct card cards_session[] = {
    {"PING", SESSION_ALL, 2, false, card_ping},
    {"PING with a word", SESSION_ALL, 1, false, card_ping_words},
    {"ECHO", SESSION_ALL, 2, false, card_echo},
    {"SELECT 0", SESSION_ALL, 1, false, card_select},
    {"SELECT 1", SESSION_ALL, 1, false, card_select_one},
    {"SELECT misspelt", SESSION_ALL, 1, false, card_select_form},
    {"HELLO", SESSION_ALL, 1, false, card_hello},
    {"HELLO 2", SESSION_ALL, 1, false, card_hello_2},
    {"HELLO 3", SESSION_ALL, 2, false, card_hello_3},
    {"HELLO 4", SESSION_ALL, 1, false, card_hello_4},
    {"HELLO misspelt", SESSION_ALL, 1, false, card_hello_form},
    {"HELLO 3 AUTH SETNAME", SESSION_ALL, 1, false, card_hello_auth},
    {"HELLO 2 SETNAME", SESSION_ALL, 1, false, card_hello_setname},
    {"HELLO SETNAME misspelt", SESSION_ALL, 1, false, card_hello_setname_form},
    {"HELLO AUTH cut short", SESSION_ALL, 1, false, card_hello_cut},
    {"HELLO 2 AUTH of nobody", SESSION_ALL, 1, false, card_hello_auth_wrong},
    {"AUTH", SESSION_ALL, 1, false, card_auth},
    {"AUTH default", SESSION_ALL, 1, false, card_auth_default},
    {"AUTH of nobody", SESSION_ALL, 1, false, card_auth_other},
    {"RESET", SESSION_ALL, 1, false, card_reset},
    {"CLIENT ID", SESSION_ALL, 1, false, card_client_id},
    {"CLIENT GETNAME", SESSION_ALL, 1, false, card_client_getname},
    {"CLIENT SETNAME", SESSION_ALL, 1, false, card_client_setname},
    {"CLIENT SETNAME misspelt", SESSION_ALL, 1, false, card_client_setname_form},
    {"CLIENT SETINFO", SESSION_ALL, 1, false, card_client_setinfo},
    {"CLIENT SETINFO LIB-VER", SESSION_ALL, 1, false, card_client_setinfo_version},
    {"CLIENT SETINFO misspelt", SESSION_ALL, 1, false, card_client_setinfo_form},
    {"CLIENT SETINFO of nothing", SESSION_ALL, 1, false, card_client_setinfo_option},
    {"CLIENT INFO", SESSION_ALL, 1, false, card_client_info},
    {"CLIENT LIST", SESSION_ALL, 1, false, card_client_list},
    {"CLIENT LIST TYPE normal", SESSION_ALL, 1, false, card_client_list_normal},
    {"CLIENT LIST TYPE of nobody", SESSION_ALL, 1, false, card_client_list_type},
    {"CLIENT LIST ID", SESSION_ALL, 1, false, card_client_list_id},
    {"CLIENT LIST ID of nobody", SESSION_ALL, 1, false, card_client_list_nobody},
    {"CLIENT LIST misspelt", SESSION_ALL, 1, false, card_client_list_form},
    {"CLIENT HELP", SESSION_ALL, 1, false, card_client_help},
    {"CLIENT NONSENSE", SESSION_ALL, 1, false, card_client_unknown},
    {"CLUSTER INFO", SESSION_ALL, 1, false, card_cluster_info},
    {"CLUSTER KEYSLOT", SESSION_ALL, 1, false, card_cluster_keyslot},
    {"CLUSTER KEYSLOT of a tag", SESSION_ALL, 1, false, card_cluster_keyslot_tag},
    {"CLUSTER MYID", SESSION_ALL, 1, false, card_cluster_myid},
    {"CLUSTER NODES", SESSION_ALL, 1, false, card_cluster_nodes},
    {"CLUSTER SHARDS", SESSION_ALL, 1, false, card_cluster_shards},
    {"CLUSTER SLOTS", SESSION_ALL, 1, false, card_cluster_slots},
    {"CLUSTER HELP", SESSION_ALL, 1, false, card_cluster_help},
    {"CLUSTER NONSENSE", SESSION_ALL, 1, false, card_cluster_unknown},
    {"READONLY", SESSION_ALL, 1, false, card_readonly},
    {"READWRITE", SESSION_ALL, 1, false, card_readwrite},
    {"COMMAND COUNT", SESSION_ALL, 1, false, card_command_count},
    {"COMMAND INFO", SESSION_ALL, 1, false, card_command_info},
    {"COMMAND INFO of PING", SESSION_ALL, 1, false, card_command_info_ping},
    {"COMMAND", SESSION_ALL, 1, true, card_command},
    {"COMMAND DOCS", SESSION_ALL, 1, true, card_command_docs},
    {"COMMAND DOCS of PING", SESSION_ALL, 1, false, card_command_docs_ping},
    {"COMMAND DOCS of GET", SESSION_KV, 1, false, card_command_docs_get},
    {"COMMAND LIST", SESSION_ALL, 1, false, card_command_list},
    {"COMMAND LIST PATTERN", SESSION_ALL, 1, false, card_command_list_pattern},
    {"COMMAND LIST MODULE", SESSION_ALL, 1, false, card_command_list_module},
    {"COMMAND LIST misspelt", SESSION_ALL, 1, false, card_command_list_form},
    {"COMMAND HELP", SESSION_ALL, 1, false, card_command_help},
    {"COMMAND NONSENSE", SESSION_ALL, 1, false, card_command_unknown},
    {"CONFIG GET", SESSION_ALL, 1, false, card_config_get},
    {"CONFIG GET of two", SESSION_ALL, 1, false, card_config_get_two},
    {"CONFIG GET of a pattern", SESSION_ALL, 1, false, card_config_get_pattern},
    {"CONFIG HELP", SESSION_ALL, 1, false, card_config_help},
    {"a subcommand's arity", SESSION_ALL, 1, false, card_subcommand_arity},
    {"INFO", SESSION_ALL, 1, false, card_info},
    {"INFO of two sections", SESSION_ALL, 1, false, card_info_section},
    {"INFO of nothing", SESSION_ALL, 1, false, card_info_nothing},
    {"TIME", SESSION_ALL, 1, false, card_time},
    {"WAIT", SESSION_ALL, 1, false, card_wait},
    {"WAIT misspelt", SESSION_ALL, 1, false, card_wait_form},
    {"QUIT", SESSION_ALL, 1, false, card_quit},
    {NULL, 0, 0, false, NULL},
};

static void card_log_append(struct draft *draft) {
    draft_word(draft, "LOG.APPEND");
    draft_value(draft);
}

static void card_log_big(struct draft *draft) {
    draft_word(draft, "LOG.APPEND");
    draft_value_of_length(draft, 100 * 1024);
}

static void draft_index(struct draft *draft) {
    draft_format(draft, "%u", (unsigned)draft_below(draft, 200));
}

static void card_log_get(struct draft *draft) {
    draft_word(draft, "LOG.GET");
    draft_index(draft);
}

static void card_log_get_form(struct draft *draft) {
    draft_word(draft, "LOG.GET");
    draft_word(draft, draft_below(draft, 2) == 0 ? "-1" : "first");
}

static void card_log_range(struct draft *draft) {
    draft_word(draft, "LOG.RANGE");
    const uint64_t first = draft_below(draft, 200);
    draft_format(draft, "%u", (unsigned)first);
    draft_format(draft, "%u", (unsigned)(first + draft_below(draft, 20)));
}

static void card_log_range_form(struct draft *draft) {
    draft_word(draft, "LOG.RANGE");
    draft_word(draft, "0");
    draft_word(draft, "last");
}

WORDS_CARD(card_log_len, "LOG.LEN")

const struct card cards_log[] = {
    {"LOG.APPEND", DECK_LOG, 12, false, card_log_append},
    {"LOG.APPEND of 100 KiB", DECK_LOG, 2, true, card_log_big},
    {"LOG.GET", DECK_LOG, 4, false, card_log_get},
    {"LOG.GET misspelt", DECK_LOG, 1, false, card_log_get_form},
    {"LOG.RANGE", DECK_LOG, 4, false, card_log_range},
    {"LOG.RANGE misspelt", DECK_LOG, 1, false, card_log_range_form},
    {"LOG.LEN", DECK_LOG, 6, false, card_log_len},
    {NULL, 0, 0, false, NULL},
};
