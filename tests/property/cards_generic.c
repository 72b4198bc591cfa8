/* Cards about keys and the whole store. */

#include "tests/property/cards.h"

enum {
    GENERIC_ALL = DECK_DISJOINT | DECK_SOLO | DECK_SHARED,
    GENERIC_WHOLE = DECK_SOLO | DECK_SHARED, /* sees or changes everybody's keys */
    EVERY_KIND = DECK_DISJOINT | DECK_SOLO | DECK_SHARED | DECK_LOG,
};

/* The connection's own spelling of an option: bit i says whether letter i is small. */
static void draft_spelt(struct draft *draft, const char *option) {
    char text[16] = "";
    for (size_t i = 0; option[i] != 0; i++)
        text[i] = (char)((draft->connection >> i & 1) != 0 ? option[i] + 'a' - 'A' : option[i]);
    draft_word(draft, text);
}

static void card_del(struct draft *draft) {
    draft_word(draft, "DEL");
    draft_key(draft, KEY_ANY);
    draft_format(draft, "gone%llu", (unsigned long long)draft_number(draft));
}

static void card_del_several(struct draft *draft) {
    card_del(draft);
    for (uint64_t left = 1 + draft_below(draft, 4); left > 0; left--)
        draft_key(draft, KEY_ANY);
}

static void card_exists(struct draft *draft) {
    draft_word(draft, "EXISTS");
    draft_key(draft, KEY_ANY);
}

static void card_exists_several(struct draft *draft) {
    draft_word(draft, "EXISTS");
    for (uint64_t left = 2 + draft_below(draft, 6); left > 0; left--)
        draft_key(draft, KEY_ANY);
}

static void card_type(struct draft *draft) {
    draft_word(draft, "TYPE");
    draft_key(draft, KEY_ANY);
}

static void card_ttl(struct draft *draft) {
    draft_word(draft, "TTL");
    draft_key(draft, KEY_ANY);
}

static void card_pttl(struct draft *draft) {
    draft_word(draft, "PTTL");
    draft_key(draft, KEY_ANY);
}

static void card_persist(struct draft *draft) {
    draft_word(draft, "PERSIST");
    draft_own_key(draft, KEY_ANY);
}

/* Hours ahead, hours apart, and unique. */
static void expire(struct draft *draft, const char *name, uint64_t unit, const char *option) {
    const uint64_t seconds = 3600 * (1 + draft_below(draft, 1000000));
    draft_word(draft, name);
    draft_key(draft, KEY_ANY);
    draft_format(draft, "%llu",
                 (unsigned long long)unit * (seconds * 1000 + draft_number(draft) % 3600000));
    if (option != NULL)
        draft_word(draft, option);
}

static void card_expire(struct draft *draft) {
    expire(draft, "EXPIRE", 1, NULL);
}
static void card_expire_nx(struct draft *draft) {
    expire(draft, "EXPIRE", 1, "NX");
}
static void card_expire_xx(struct draft *draft) {
    expire(draft, "EXPIRE", 1, "XX");
}
static void card_expire_gt(struct draft *draft) {
    expire(draft, "EXPIRE", 1, "gt");
}
static void card_expire_lt(struct draft *draft) {
    expire(draft, "EXPIRE", 1, "LT");
}
static void card_pexpire(struct draft *draft) {
    expire(draft, "PEXPIRE", 1000, NULL);
}
static void card_pexpire_nx(struct draft *draft) {
    expire(draft, "PEXPIRE", 1000, "nx");
}
static void card_pexpire_xx(struct draft *draft) {
    expire(draft, "PEXPIRE", 1000, "XX");
}
static void card_pexpire_gt(struct draft *draft) {
    expire(draft, "PEXPIRE", 1000, "GT");
}
static void card_pexpire_lt(struct draft *draft) {
    expire(draft, "PEXPIRE", 1000, "LT");
}

static void card_expire_xx_gt(struct draft *draft) {
    expire(draft, "EXPIRE", 1, "XX");
    draft_word(draft, "GT");
}
static void card_pexpire_lt_xx(struct draft *draft) {
    expire(draft, "PEXPIRE", 1000, "lt");
    draft_word(draft, "XX");
}

static void card_expire_past(struct draft *draft) {
    draft_word(draft, draft_below(draft, 2) == 0 ? "EXPIRE" : "PEXPIRE");
    draft_key(draft, KEY_ANY);
    draft_format(draft, "-%llu", (unsigned long long)draft_number(draft));
}

static void card_pexpire_short(struct draft *draft) {
    draft_word(draft, "PEXPIRE");
    draft_own_key(draft, KEY_ANY);
    draft_format(draft, "%u", (unsigned)(1 + draft_below(draft, 15)));
}

static void card_expire_form(struct draft *draft) {
    static const char *const wrong[][3] = {
        {"10", "NX", "XX"}, {"10", "GT", "LT"},  {"10", "NX", "GT"}, {"ten", NULL, NULL},
        {"10", "YY", NULL}, {"1e3", NULL, NULL}, {"", NULL, NULL},
    };
    draft_word(draft, draft_below(draft, 2) == 0 ? "EXPIRE" : "PEXPIRE");
    draft_key(draft, KEY_ANY);
    const char *const *words = wrong[draft_below(draft, sizeof(wrong) / sizeof(wrong[0]))];
    for (size_t i = 0; i < 3 && words[i] != NULL; i++)
        draft_word(draft, words[i]);
}

static void card_dbsize(struct draft *draft) {
    draft_word(draft, "DBSIZE");
}

static void card_keys_own(struct draft *draft) {
    draft_word(draft, "KEYS");
    draft_format(draft, draft_below(draft, 2) == 0 ? "c%u:*" : "c%u:[n-t][0-4]", draft->connection);
}

static void card_keys(struct draft *draft) {
    static const char *const patterns[] = {"*", "t*", "n?", "[nt][2-5]", "*1", "t\\1", "[^n]*"};
    draft_word(draft, "KEYS");
    draft_word(draft, patterns[draft_below(draft, sizeof(patterns) / sizeof(patterns[0]))]);
}

static void card_scan(struct draft *draft) {
    draft_word(draft, "SCAN");
    draft_word(draft, "0");
}

static void card_scan_match(struct draft *draft) {
    card_scan(draft);
    draft_word(draft, "MATCH");
    if (draft->kind == DECK_DISJOINT)
        draft_format(draft, "c%u:*", draft->connection);
    else
        draft_word(draft, draft_below(draft, 2) == 0 ? "t*" : "*");
}

static void card_scan_count(struct draft *draft) {
    card_scan_match(draft);
    draft_word(draft, "COUNT");
    draft_format(draft, "%u", (unsigned)(1 + draft_below(draft, 1000)));
}

static void card_scan_type(struct draft *draft) {
    card_scan_match(draft);
    draft_word(draft, "TYPE");
    draft_word(draft, draft_below(draft, 2) == 0 ? "string" : "list");
}

/* No cursor that was ever given. */
static void card_scan_cursor(struct draft *draft) {
    draft_word(draft, "SCAN");
    draft_format(draft, "%llu", (unsigned long long)random_u64(draft->random) >> 1);
    draft_word(draft, "MATCH");
    if (draft->kind == DECK_DISJOINT)
        draft_format(draft, "c%u:*", draft->connection);
    else
        draft_word(draft, "*");
}

static void card_scan_form(struct draft *draft) {
    static const char *const wrong[][2] = {
        {"x", NULL}, {"0", "COUNT"}, {"0", "MATCH"}, {"1 ", NULL}, {"0", "nonsense"}};
    draft_word(draft, "SCAN");
    const char *const *words = wrong[draft_below(draft, sizeof(wrong) / sizeof(wrong[0]))];
    draft_word(draft, words[0]);
    if (words[1] != NULL)
        draft_word(draft, words[1]);
}

/* Without an option only one connection may say it, the others spell theirs. */
static void flush(struct draft *draft, const char *name, const char *option) {
    draft_word(draft, name);
    if (option != NULL)
        draft_spelt(draft, option);
    else if (draft->kind == DECK_SHARED && draft->connection != 0)
        draft_spelt(draft, "ASYNC");
}

static void card_flushall(struct draft *draft) {
    flush(draft, "FLUSHALL", NULL);
}
static void card_flushall_sync(struct draft *draft) {
    flush(draft, "FLUSHALL", "SYNC");
}
static void card_flushall_async(struct draft *draft) {
    flush(draft, "FLUSHALL", "ASYNC");
}
static void card_flushdb(struct draft *draft) {
    flush(draft, "FLUSHDB", NULL);
}

static void card_flushdb_sync(struct draft *draft) {
    flush(draft, "FLUSHDB", "SYNC");
}
static void card_flushdb_async(struct draft *draft) {
    flush(draft, "FLUSHDB", "ASYNC");
}

static void card_flush_form(struct draft *draft) {
    draft_word(draft, draft_below(draft, 2) == 0 ? "FLUSHALL" : "FLUSHDB");
    draft_word(draft, "nonsense");
}

static void card_arity(struct draft *draft) {
    static const char *const names[] = {"GET",    "SET",    "DEL",     "EXISTS", "INCR",
                                        "INCRBY", "APPEND", "STRLEN",  "MGET",   "MSET",
                                        "TTL",    "EXPIRE", "PERSIST", "TYPE",   "KEYS",
                                        "SCAN",   "ECHO",   "SELECT",  "AUTH",   "LOG.GET"};
    draft_word(draft, names[draft_below(draft, sizeof(names) / sizeof(names[0]))]);
}

static void card_unknown(struct draft *draft) {
    static const char *const names[] = {
        "BLPOP", "GETS", "se", "BZPOPMIN", "x", "FLUSHALLL", "no such command at all", ""};
    draft_word(draft, names[draft_below(draft, sizeof(names) / sizeof(names[0]))]);
    for (uint64_t left = draft_below(draft, 5); left > 0; left--)
        draft_format(draft, "argument %.*s", (int)draft_below(draft, 60),
                     "----------------------------------------------------------------");
}

const struct card cards_generic[] = {
    {"DEL", GENERIC_ALL, 2, false, card_del},
    {"DEL of several", GENERIC_ALL, 1, false, card_del_several},
    {"EXISTS", GENERIC_ALL, 2, false, card_exists},
    {"EXISTS of several", GENERIC_ALL, 1, false, card_exists_several},
    {"TYPE", GENERIC_ALL, 1, false, card_type},
    {"TTL", GENERIC_ALL, 2, false, card_ttl},
    {"PTTL", GENERIC_ALL, 2, false, card_pttl},
    {"PERSIST", GENERIC_ALL, 1, false, card_persist},
    {"EXPIRE", GENERIC_ALL, 1, false, card_expire},
    {"EXPIRE NX", GENERIC_ALL, 1, false, card_expire_nx},
    {"EXPIRE XX", GENERIC_ALL, 1, false, card_expire_xx},
    {"EXPIRE GT", GENERIC_ALL, 1, false, card_expire_gt},
    {"EXPIRE LT", GENERIC_ALL, 1, false, card_expire_lt},
    {"PEXPIRE", GENERIC_ALL, 1, false, card_pexpire},
    {"PEXPIRE NX", GENERIC_ALL, 1, false, card_pexpire_nx},
    {"PEXPIRE XX", GENERIC_ALL, 1, false, card_pexpire_xx},
    {"PEXPIRE GT", GENERIC_ALL, 1, false, card_pexpire_gt},
    {"PEXPIRE LT", GENERIC_ALL, 1, false, card_pexpire_lt},
    {"EXPIRE XX GT", GENERIC_ALL, 1, false, card_expire_xx_gt},
    {"PEXPIRE LT XX", GENERIC_ALL, 1, false, card_pexpire_lt_xx},
    {"PEXPIRE of milliseconds", DECK_SHARED, 2, false, card_pexpire_short},
    {"EXPIRE in the past", GENERIC_ALL, 1, false, card_expire_past},
    {"EXPIRE misspelt", GENERIC_ALL, 1, false, card_expire_form},
    {"DBSIZE", GENERIC_WHOLE, 2, false, card_dbsize},
    {"KEYS of a connection", DECK_DISJOINT, 1, false, card_keys_own},
    {"KEYS", GENERIC_WHOLE, 1, false, card_keys},
    {"SCAN", GENERIC_WHOLE, 1, false, card_scan},
    {"SCAN MATCH", GENERIC_ALL, 1, false, card_scan_match},
    {"SCAN MATCH COUNT", GENERIC_ALL, 1, false, card_scan_count},
    {"SCAN MATCH TYPE", GENERIC_ALL, 1, false, card_scan_type},
    {"SCAN of some cursor", GENERIC_ALL, 1, false, card_scan_cursor},
    {"SCAN misspelt", GENERIC_ALL, 1, false, card_scan_form},
    {"FLUSHALL", GENERIC_WHOLE, 1, true, card_flushall},
    {"FLUSHALL SYNC", GENERIC_WHOLE, 1, true, card_flushall_sync},
    {"FLUSHALL ASYNC", GENERIC_WHOLE, 1, true, card_flushall_async},
    {"FLUSHDB", GENERIC_WHOLE, 1, true, card_flushdb},
    {"FLUSHDB SYNC", GENERIC_WHOLE, 1, true, card_flushdb_sync},
    {"FLUSHDB ASYNC", GENERIC_WHOLE, 1, true, card_flushdb_async},
    {"FLUSHALL misspelt", GENERIC_ALL, 1, false, card_flush_form},
    {"too few arguments", EVERY_KIND, 2, false, card_arity},
    {"unknown command", EVERY_KIND, 2, false, card_unknown},
    {NULL, 0, 0, false, NULL},
};
