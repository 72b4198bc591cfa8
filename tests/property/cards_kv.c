/* Cards about strings. */

#include "tests/property/cards.h"

enum {
    KV_SEQUENTIAL = DECK_DISJOINT | DECK_SOLO,
    KV_ALL = DECK_DISJOINT | DECK_SOLO | DECK_SHARED,
    /* Relative deadlines lie hours ahead and apart, so that only the log's time decides. */
    LIFE_UNIT_S = 3600,
    LIFE_UNITS = 1000000,
};

static uint64_t life_s(struct draft *draft) {
    /* A multiple of hours, and unique below the hour. */
    return LIFE_UNIT_S * (1 + draft_below(draft, LIFE_UNITS)) + draft_number(draft) % LIFE_UNIT_S;
}

static uint64_t far_s(struct draft *draft) {
    return UINT64_C(4000000000) + life_s(draft);
}

static void card_get(struct draft *draft) {
    draft_word(draft, "GET");
    draft_key(draft, KEY_ANY);
}

static void card_get_absent(struct draft *draft) {
    draft_word(draft, "GET");
    draft_word(draft, "nobody sets this");
}

/* SET and what is set; a number mostly where numbers are. */
static void set_begin(struct draft *draft) {
    draft_word(draft, "SET");
    if (draft_below(draft, 2) == 0) {
        draft_key(draft, KEY_TEXT);
        draft_value(draft);
    } else {
        draft_key(draft, KEY_NUMBER);
        draft_format(draft, draft_below(draft, 2) == 0 ? "%llu" : "-%llu",
                     (unsigned long long)draft_number(draft));
    }
}

static void set_life(struct draft *draft, const char *option, uint64_t amount) {
    set_begin(draft);
    draft_word(draft, option);
    draft_format(draft, "%llu", (unsigned long long)amount);
}

static void card_set(struct draft *draft) {
    set_begin(draft);
}

static void card_set_nx(struct draft *draft) {
    set_begin(draft);
    draft_word(draft, "NX");
}

static void card_set_xx(struct draft *draft) {
    set_begin(draft);
    draft_word(draft, "xx");
}

static void card_set_get(struct draft *draft) {
    set_begin(draft);
    draft_word(draft, "GET");
}

static void card_set_nx_get(struct draft *draft) {
    set_begin(draft);
    draft_word(draft, "NX");
    draft_word(draft, "GET");
}

static void card_set_xx_get_ex(struct draft *draft) {
    set_life(draft, "EX", life_s(draft));
    draft_word(draft, "GET");
    draft_word(draft, "XX");
}

static void card_set_px_nx(struct draft *draft) {
    set_life(draft, "px", 1000 * life_s(draft));
    draft_word(draft, "NX");
}

static void card_set_keepttl_xx_get(struct draft *draft) {
    set_begin(draft);
    draft_word(draft, "KEEPTTL");
    draft_word(draft, "XX");
    draft_word(draft, "get");
}

static void card_set_ex(struct draft *draft) {
    set_life(draft, "EX", life_s(draft));
}

static void card_set_px(struct draft *draft) {
    set_life(draft, "PX", 1000 * life_s(draft));
}

static void card_set_exat(struct draft *draft) {
    set_life(draft, "EXAT", far_s(draft));
}

static void card_set_pxat(struct draft *draft) {
    set_life(draft, "PXAT", 1000 * far_s(draft));
}

static void card_set_exat_past(struct draft *draft) {
    set_life(draft, "EXAT", 1 + draft_below(draft, 1000000000));
}

static void card_set_px_short(struct draft *draft) {
    set_life(draft, "PX", 1 + draft_below(draft, 20));
}

static void card_set_keepttl(struct draft *draft) {
    set_begin(draft);
    draft_word(draft, "KEEPTTL");
}

static void card_set_empty(struct draft *draft) {
    draft_word(draft, "SET");
    draft_key(draft, KEY_TEXT);
    draft_word(draft, "");
}

static void card_set_syntax(struct draft *draft) {
    static const char *const wrong[][3] = {
        {"NX", "XX", NULL},       {"EX", NULL, NULL},  {"EX", "0", NULL},
        {"PX", "-5", NULL},       {"EX", "1.5", NULL}, {"KEEPTTL", "EX", "10"},
        {"nonsense", NULL, NULL}, {"EX", "10", "PX"},  {"EX", "9223372036854775807", NULL},
        {"EXAT", "ten", NULL},    {"PXAT", "", NULL},  {"GET", "GET", "GTE"},
    };
    set_begin(draft);
    const char *const *words = wrong[draft_below(draft, sizeof(wrong) / sizeof(wrong[0]))];
    for (size_t i = 0; i < 3 && words[i] != NULL; i++)
        draft_word(draft, words[i]);
}

static void card_incr(struct draft *draft) {
    draft_word(draft, "INCR");
    draft_own_key(draft, KEY_NUMBER);
}

static void card_decr(struct draft *draft) {
    draft_word(draft, "DECR");
    draft_own_key(draft, KEY_NUMBER);
}

static void card_incr_text(struct draft *draft) {
    draft_word(draft, draft_below(draft, 2) == 0 ? "INCR" : "DECR");
    draft_own_key(draft, KEY_TEXT);
}

static void card_incrby(struct draft *draft) {
    draft_word(draft, "INCRBY");
    draft_key(draft, KEY_NUMBER);
    draft_format(draft, draft_below(draft, 2) == 0 ? "%llu" : "-%llu",
                 (unsigned long long)draft_number(draft));
}

static void card_incrby_overflow(struct draft *draft) {
    draft_word(draft, "INCRBY");
    draft_key(draft, KEY_NUMBER);
    draft_format(draft, draft_below(draft, 2) == 0 ? "%llu" : "-%llu",
                 (unsigned long long)(UINT64_C(9223372036854775807) - draft_number(draft)));
}

static void card_incrby_form(struct draft *draft) {
    static const char *const wrong[] = {"abc", "1.0", " 1", "01", "+1", "", "9223372036854775808"};
    draft_word(draft, "INCRBY");
    draft_key(draft, KEY_NUMBER);
    draft_word(draft, wrong[draft_below(draft, sizeof(wrong) / sizeof(wrong[0]))]);
}

static void card_append(struct draft *draft) {
    draft_word(draft, "APPEND");
    draft_key(draft, KEY_TEXT);
    draft_value(draft);
}

static void card_strlen(struct draft *draft) {
    draft_word(draft, "STRLEN");
    draft_key(draft, KEY_ANY);
}

static void card_mget(struct draft *draft) {
    draft_word(draft, "MGET");
    for (uint64_t left = 1 + draft_below(draft, 6); left > 0; left--)
        draft_key(draft, KEY_ANY);
}

static void card_mget_many(struct draft *draft) {
    draft_word(draft, "MGET");
    for (uint64_t left = 100 + draft_below(draft, 500); left > 0; left--)
        draft_format(draft, "many%u", (unsigned)draft_below(draft, 1000));
}

static void card_mset(struct draft *draft) {
    draft_word(draft, "MSET");
    for (uint64_t left = 1 + draft_below(draft, 5); left > 0; left--) {
        draft_key(draft, KEY_TEXT);
        draft_value(draft);
    }
}

static void card_mset_many(struct draft *draft) {
    draft_word(draft, "MSET");
    const uint64_t pairs = 50 + draft_below(draft, 200);
    for (uint64_t i = 0; i < pairs; i++) {
        if (draft->kind == DECK_SHARED)
            draft_key(draft, KEY_TEXT);
        else
            draft_format(draft, "c%u:m%llu", draft->connection, (unsigned long long)(i % 40));
        draft_value_of_length(draft, 30);
    }
}

static void card_mset_odd(struct draft *draft) {
    draft_word(draft, "MSET");
    for (int i = 0; i < 3; i++)
        draft_key(draft, KEY_TEXT);
}

static void card_big(struct draft *draft) {
    draft_word(draft, draft_below(draft, 2) == 0 ? "SET" : "APPEND");
    draft_key(draft, KEY_TEXT);
    draft_value_of_length(draft, 100 * 1024);
}

static void card_huge(struct draft *draft) {
    draft_word(draft, "SET");
    draft_key(draft, KEY_TEXT);
    draft_value_of_length(draft, 2 * 1024 * 1024 + draft_below(draft, 100000));
}

static void card_ping_huge(struct draft *draft) {
    draft_word(draft, "ECHO");
    draft_value_of_length(draft, 20000 + draft_below(draft, 100000));
}

/* What a person types; the driver sends it as a line. */
static void card_inline_set(struct draft *draft) {
    draft->is_inline = true;
    draft_word(draft, "SET");
    draft_key(draft, KEY_TEXT);
    draft_value(draft);
}

static void card_inline_get(struct draft *draft) {
    draft->is_inline = true;
    draft_word(draft, "GET");
    draft_key(draft, KEY_TEXT);
}

static void card_inline_quoted(struct draft *draft) {
    draft_word(draft, "SET");
    draft_key(draft, KEY_TEXT);
    draft_value(draft); /* any bytes: the driver quotes them */
    draft->is_inline = true;
}

const struct card cards_kv[] = {
    {"GET", KV_ALL, 8, false, card_get},
    {"GET of nothing", KV_ALL, 1, false, card_get_absent},
    {"SET", KV_ALL, 6, false, card_set},
    {"SET NX", KV_ALL, 1, false, card_set_nx},
    {"SET XX", KV_ALL, 1, false, card_set_xx},
    {"SET GET", KV_ALL, 1, false, card_set_get},
    {"SET NX GET", KV_ALL, 1, false, card_set_nx_get},
    {"SET EX GET XX", KV_ALL, 1, false, card_set_xx_get_ex},
    {"SET PX NX", KV_ALL, 1, false, card_set_px_nx},
    {"SET KEEPTTL XX GET", KV_ALL, 1, false, card_set_keepttl_xx_get},
    {"SET EX", KV_ALL, 1, false, card_set_ex},
    {"SET PX", KV_ALL, 1, false, card_set_px},
    {"SET EXAT", KV_ALL, 1, false, card_set_exat},
    {"SET PXAT", KV_ALL, 1, false, card_set_pxat},
    {"SET EXAT in the past", KV_ALL, 1, false, card_set_exat_past},
    {"SET PX of milliseconds", DECK_SHARED, 3, false, card_set_px_short},
    {"SET KEEPTTL", KV_ALL, 1, false, card_set_keepttl},
    {"SET of nothing", KV_SEQUENTIAL, 1, false, card_set_empty},
    {"SET misspelt", KV_ALL, 1, false, card_set_syntax},
    {"INCR", KV_ALL, 2, false, card_incr},
    {"DECR", KV_ALL, 2, false, card_decr},
    {"INCR, DECR of a text", KV_ALL, 1, false, card_incr_text},
    {"INCRBY", KV_ALL, 2, false, card_incrby},
    {"INCRBY too far", KV_ALL, 1, false, card_incrby_overflow},
    {"INCRBY misspelt", KV_ALL, 1, false, card_incrby_form},
    {"APPEND", KV_ALL, 2, false, card_append},
    {"STRLEN", KV_ALL, 2, false, card_strlen},
    {"MGET", KV_ALL, 2, false, card_mget},
    {"MGET of hundreds", KV_ALL, 1, true, card_mget_many},
    {"MSET", KV_ALL, 2, false, card_mset},
    {"MSET of hundreds", KV_ALL, 1, true, card_mset_many},
    {"MSET without a value", KV_ALL, 1, false, card_mset_odd},
    {"100 KiB", KV_ALL, 1, true, card_big},
    {"2 MiB", KV_ALL, 1, true, card_huge},
    {"ECHO of 20 to 120 KB", KV_ALL, 1, true, card_ping_huge},
    {"inline SET", KV_ALL, 1, false, card_inline_set},
    {"inline GET", KV_ALL, 1, false, card_inline_get},
    {"inline SET, quoted", KV_ALL, 1, false, card_inline_quoted},
    {NULL, 0, 0, false, NULL},
};
