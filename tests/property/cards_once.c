/* Cards about sessions: ONCE.OPEN, and writes under ONCE, repeated, misnumbered and misspelt. */

#include "tests/property/cards.h"

#include "base/assert.h"

enum {
    ONCE_KINDS = DECK_DISJOINT | DECK_SOLO, /* the judge by the log does not know sessions */
    ONCE_WINDOW = 128,                      /* numbers below the highest that are remembered */
    /* An id that is none: it would be the index of an entry far behind the log's end. */
    ONCE_NOBODY = 1000000000,
};

static void once_words(struct draft *draft, uint64_t session, uint64_t sequence) {
    draft_word(draft, "ONCE");
    draft_format(draft, "%llu", (unsigned long long)session);
    draft_format(draft, "%llu", (unsigned long long)sequence);
}

/* A write whose reply differs from time to time. */
static void once_command(struct draft *draft) {
    switch (draft_below(draft, 6)) {
    case 0:
        draft_word(draft, "INCR");
        draft_key(draft, KEY_NUMBER);
        return;
    case 1:
        draft_word(draft, "APPEND");
        draft_key(draft, KEY_TEXT);
        draft_value(draft);
        return;
    case 2: /* its reply is the value before, which may be too long to be kept */
        draft_word(draft, "SET");
        draft_key(draft, KEY_TEXT);
        if (draft_below(draft, 4) == 0)
            draft_value_of_length(draft, 2000);
        else
            draft_value(draft);
        draft_word(draft, "GET");
        return;
    case 3:
        draft_word(draft, "DEL");
        draft_key(draft, KEY_ANY);
        draft_key(draft, KEY_ANY);
        return;
    case 4:
        draft_word(draft, "INCRBY");
        draft_key(draft, KEY_ANY); /* a text, too: what is refused there is remembered as well */
        draft_format(draft, "%llu", (unsigned long long)draft_number(draft));
        return;
    default:
        draft_word(draft, "SET");
        draft_key(draft, KEY_NUMBER);
        draft_format(draft, "%llu", (unsigned long long)draft_number(draft));
        return;
    }
}

/* Remembers the words, to be said once more. */
static void once_remember(struct draft *draft) {
    draft->once.word_count = draft->word_count;
    ASSERT(draft->word_count <= DRAFT_ONCE_WORDS_MAX);
    for (size_t i = 0; i < draft->word_count; i++) {
        struct kv_model_text *word = &draft->once.words[i];
        word->length = 0;
        kv_model_text_append(word, draft->words[i].data, draft->words[i].length);
    }
}

static uint64_t session_or_nobody(const struct draft *draft) {
    return draft->once.session != 0 ? draft->once.session : (uint64_t)ONCE_NOBODY;
}

static void card_open(struct draft *draft) {
    draft_word(draft, "ONCE.OPEN");
}

static void card_open_px(struct draft *draft) {
    draft_word(draft, "ONCE.OPEN");
    draft_word(draft, draft_below(draft, 2) == 0 ? "PX" : "px");
    draft_word(draft, "600000");
}

/* One that is soon closed, and maybe before its first use. */
static void card_open_brief(struct draft *draft) {
    draft_word(draft, "ONCE.OPEN");
    draft_word(draft, "PX");
    draft_word(draft, draft_below(draft, 2) == 0 ? "1" : "20");
}

static void card_open_form(struct draft *draft) {
    static const char *const wrong[][2] = {
        {"PX", "0"}, {"PX", "-1"}, {"PX", "2592000001"}, {"EX", "1"}, {"PX", NULL}};
    const char *const *words = wrong[draft_below(draft, sizeof(wrong) / sizeof(wrong[0]))];
    draft_word(draft, "ONCE.OPEN");
    for (size_t i = 0; i < 2 && words[i] != NULL; i++)
        draft_word(draft, words[i]);
}

static void card_once(struct draft *draft) {
    once_words(draft, session_or_nobody(draft), ++draft->once.sequence);
    once_command(draft);
    once_remember(draft);
}

/* Numbers may be left out, and those left out be used later. */
static void card_once_ahead(struct draft *draft) {
    draft->once.sequence += 1 + draft_below(draft, ONCE_WINDOW);
    card_once(draft);
}

static void card_once_between(struct draft *draft) {
    const uint64_t highest = draft->once.sequence;
    const uint64_t back = draft_below(draft, ONCE_WINDOW);
    once_words(draft, session_or_nobody(draft), highest > back ? highest - back : 1);
    once_command(draft);
}

static void card_once_repeated(struct draft *draft) {
    if (draft->once.word_count == 0) {
        card_once(draft);
        return;
    }
    for (size_t i = 0; i < draft->once.word_count; i++)
        draft_bytes(draft, draft->once.words[i].length > 0 ? draft->once.words[i].data : "",
                    draft->once.words[i].length);
}

static void card_once_other(struct draft *draft) {
    once_words(draft, session_or_nobody(draft),
               draft->once.sequence > 0 ? draft->once.sequence : 1);
    draft_word(draft, "APPEND");
    draft_key(draft, KEY_TEXT);
    draft_value(draft);
}

static void card_once_old(struct draft *draft) {
    while (draft->once.sequence <= ONCE_WINDOW) {
        card_once_ahead(draft);
        if (draft->once.sequence <= ONCE_WINDOW)
            draft->word_count = 0;
        else
            return;
    }
    const uint64_t old = draft->once.sequence - ONCE_WINDOW;
    once_words(draft, session_or_nobody(draft), 1 + draft_below(draft, old));
    once_command(draft);
}

static void card_once_closed(struct draft *draft) {
    const bool is_brief = draft->once.brief != 0 && draft_below(draft, 2) == 0;
    once_words(draft, is_brief ? draft->once.brief : (uint64_t)ONCE_NOBODY,
               1 + draft_below(draft, 3));
    once_command(draft);
}

static void card_once_form(struct draft *draft) {
    static const char *const wrong[][5] = {{"0", "1", "INCR", "n"},
                                           {"1", "0", "INCR", "n"},
                                           {"one", "1", "INCR", "n"},
                                           {"1", "-1", "INCR", "n"},
                                           {"9223372036854775808", "1", "INCR", "n"},
                                           {"1", "1", "GET", "n"},
                                           {"1", "1", "PING"},
                                           {"1", "1"},
                                           {"1"},
                                           {"1", "1", "INCR"},
                                           {"1", "1", "SET", "n", "x"},
                                           {"1", "1", "NONSENSE", "n"},
                                           {"1", "1", "INCR", "n", "n"}};
    const char *const *words = wrong[draft_below(draft, sizeof(wrong) / sizeof(wrong[0]))];
    draft_word(draft, "ONCE");
    for (size_t i = 0; i < 5 && words[i] != NULL; i++)
        draft_word(draft, words[i]);
}

const struct card cards_once[] = {
    {"ONCE.OPEN", ONCE_KINDS, 1, false, card_open},
    {"ONCE.OPEN PX", ONCE_KINDS, 1, false, card_open_px},
    {"ONCE.OPEN for a moment", ONCE_KINDS, 2, false, card_open_brief},
    {"ONCE.OPEN misspelt", ONCE_KINDS, 1, false, card_open_form},
    {"ONCE", ONCE_KINDS, 8, false, card_once},
    {"ONCE, numbers left out", ONCE_KINDS, 1, false, card_once_ahead},
    {"ONCE, a number in between", ONCE_KINDS, 2, false, card_once_between},
    {"ONCE repeated", ONCE_KINDS, 6, false, card_once_repeated},
    {"ONCE of another command", ONCE_KINDS, 2, false, card_once_other},
    {"ONCE of a number too old", ONCE_KINDS, 2, false, card_once_old},
    {"ONCE of a closed session", ONCE_KINDS, 2, false, card_once_closed},
    {"ONCE misspelt", ONCE_KINDS, 2, false, card_once_form},
    {NULL, 0, 0, false, NULL},
};
