/* Cards about the connection and the server, and those of the log machine. */

#include "tests/property/cards.h"

enum { SESSION_ALL = DECK_DISJOINT | DECK_SOLO | DECK_SHARED | DECK_LOG };

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
WORDS_CARD(card_hello_auth_wrong, "HELLO", "2", "AUTH", "nobody", "whatever")
WORDS_CARD(card_auth, "AUTH", "secret")
WORDS_CARD(card_auth_default, "AUTH", "default", "secret")
WORDS_CARD(card_auth_other, "AUTH", "somebody", "secret")
WORDS_CARD(card_reset, "RESET")
WORDS_CARD(card_client_id, "CLIENT", "ID")
WORDS_CARD(card_client_getname, "CLIENT", "GETNAME")
WORDS_CARD(card_client_setname_form, "CLIENT", "SETNAME", "two words")
WORDS_CARD(card_client_setinfo, "CLIENT", "SETINFO", "LIB-NAME", "property")
WORDS_CARD(card_client_setinfo_form, "CLIENT", "SETINFO", "LIB-VER", "1 2")
WORDS_CARD(card_client_setinfo_option, "CLIENT", "SETINFO", "LIB", "x")
WORDS_CARD(card_client_info, "CLIENT", "INFO")
WORDS_CARD(card_client_list, "CLIENT", "LIST")
WORDS_CARD(card_client_unknown, "CLIENT", "NONSENSE")
WORDS_CARD(card_command_count, "COMMAND", "COUNT")
WORDS_CARD(card_command_info, "COMMAND", "INFO", "get", "nonsense")
WORDS_CARD(card_config_get, "CONFIG", "GET", "no-such-parameter")
WORDS_CARD(card_info, "INFO")
WORDS_CARD(card_time, "TIME")

static void card_echo(struct draft *draft) {
    draft_word(draft, "ECHO");
    draft_value(draft);
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
    {"CLIENT SETINFO misspelt", SESSION_ALL, 1, false, card_client_setinfo_form},
    {"CLIENT SETINFO of nothing", SESSION_ALL, 1, false, card_client_setinfo_option},
    {"CLIENT INFO", SESSION_ALL, 1, false, card_client_info},
    {"CLIENT LIST", SESSION_ALL, 1, false, card_client_list},
    {"CLIENT NONSENSE", SESSION_ALL, 1, false, card_client_unknown},
    {"COMMAND COUNT", SESSION_ALL, 1, false, card_command_count},
    {"COMMAND INFO", SESSION_ALL, 1, false, card_command_info},
    {"CONFIG GET", SESSION_ALL, 1, false, card_config_get},
    {"INFO", SESSION_ALL, 1, false, card_info},
    {"TIME", SESSION_ALL, 1, false, card_time},
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
