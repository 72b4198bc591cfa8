/* The deck, and the words that all cards write. */

#include "tests/property/cards.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

enum {
    DISJOINT_KEYS = 12, /* of each connection and sort */
    SHARED_KEYS = 10,   /* of each sort; more than connections, so that each owns some */
};

static const struct card *const card_lists[] = {cards_kv, cards_generic, cards_session, cards_once,
                                                cards_log};

const struct card *card_at(uint32_t index) {
    for (size_t i = 0; i < sizeof(card_lists) / sizeof(card_lists[0]); i++)
        for (const struct card *card = card_lists[i]; card->name != NULL; card++)
            if (index-- == 0)
                return card;
    return NULL;
}

void deck_init(struct deck *deck, enum deck_kind kind) {
    *deck = (struct deck){.kind = kind};
}

static void deck_refill(struct deck *deck, struct random *random) {
    const struct card *card;
    deck->drawn = 0;
    deck->count = 0;
    for (uint32_t i = 0; (card = card_at(i)) != NULL; i++) {
        ASSERT(i < CARDS_MAX);
        if ((card->kinds & (uint32_t)deck->kind) == 0 ||
            (card->is_rare && deck->round % DECK_RARE_ROUNDS != 0))
            continue;
        for (uint32_t j = 0; j < card->copies; j++) {
            ASSERT(deck->count < sizeof(deck->order) / sizeof(deck->order[0]));
            deck->order[deck->count++] = (uint16_t)i;
        }
    }
    for (uint32_t i = deck->count; i > 1; i--) {
        const uint32_t j = (uint32_t)random_below(random, i);
        const uint16_t other = deck->order[j];
        deck->order[j] = deck->order[i - 1];
        deck->order[i - 1] = other;
    }
    deck->round++;
}

uint32_t deck_draw(struct deck *deck, struct random *random) {
    if (deck->drawn == deck->count)
        deck_refill(deck, random);
    return deck->order[deck->drawn++];
}

void draft_free(struct draft *draft) {
    for (size_t i = 0; i < DRAFT_WORDS_MAX; i++)
        kv_model_text_free(&draft->words[i]);
    for (size_t i = 0; i < DRAFT_ONCE_WORDS_MAX; i++)
        kv_model_text_free(&draft->once.words[i]);
}

uint64_t draft_below(struct draft *draft, uint64_t limit) {
    return random_below(draft->random, limit);
}

void draft_bytes(struct draft *draft, const void *bytes, size_t length) {
    ASSERT(draft->word_count < DRAFT_WORDS_MAX);
    struct kv_model_text *word = &draft->words[draft->word_count++];
    word->length = 0;
    kv_model_text_append(word, bytes, length);
}

void draft_word(struct draft *draft, const char *text) {
    draft_bytes(draft, text, strlen(text));
}

void draft_format(struct draft *draft, const char *format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    ASSERT(length >= 0 && (size_t)length < sizeof(line));
    draft_bytes(draft, line, (size_t)length);
}

static void draft_key_numbered(struct draft *draft, enum draft_key sort, uint64_t number) {
    if (sort == KEY_ANY)
        sort = draft_below(draft, 2) == 0 ? KEY_NUMBER : KEY_TEXT;
    const char letter = sort == KEY_NUMBER ? 'n' : 't';
    if (draft->kind == DECK_SHARED)
        draft_format(draft, "%c%u", letter, (unsigned)(number % SHARED_KEYS));
    else if (number % DISJOINT_KEYS == 0 && !draft->is_inline) /* not text, and a tag */
        draft_format(draft, "c%u:%c{\r\n\xff%c}", draft->connection, letter, letter);
    else
        draft_format(draft, "c%u:%c%u", draft->connection, letter,
                     (unsigned)(number % DISJOINT_KEYS));
}

void draft_key(struct draft *draft, enum draft_key sort) {
    draft_key_numbered(draft, sort, draft_below(draft, SHARED_KEYS * DISJOINT_KEYS));
}

void draft_own_key(struct draft *draft, enum draft_key sort) {
    uint64_t number = draft_below(draft, SHARED_KEYS * DISJOINT_KEYS);
    if (draft->kind == DECK_SHARED) {
        ASSERT(draft->connection_count <= SHARED_KEYS);
        const uint64_t owned = SHARED_KEYS / draft->connection_count;
        number = draft->connection + draft->connection_count * (number % owned);
    }
    draft_key_numbered(draft, sort, number);
}

uint64_t draft_number(const struct draft *draft) {
    return draft->serial * draft->connection_count + draft->connection;
}

void draft_value_of_length(struct draft *draft, size_t length) {
    ASSERT(draft->word_count < DRAFT_WORDS_MAX);
    char head[64];
    const int head_length = snprintf(head, sizeof(head), "v%u.%llu.%zu.", draft->connection,
                                     (unsigned long long)draft->serial, draft->word_count);
    struct kv_model_text *word = &draft->words[draft->word_count++];
    word->length = 0;
    kv_model_text_append(word, head, (size_t)head_length);
    uint64_t noise = random_u64(draft->random);
    while (word->length < length) {
        char bytes[8];
        const size_t left = length - word->length;
        noise = noise * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        for (size_t i = 0; i < sizeof(bytes); i++) {
            const uint8_t byte = (uint8_t)(noise >> (8 * i));
            bytes[i] = (char)(draft->is_inline ? 'a' + byte % 26 : byte);
        }
        kv_model_text_append(word, bytes, left < sizeof(bytes) ? left : sizeof(bytes));
    }
}

void draft_value(struct draft *draft) {
    static const uint64_t limits[] = {1, 20, 100, 700};
    draft_value_of_length(draft, draft_below(draft, limits[draft_below(draft, 4)]));
}

/* A quarter of the names in some mixture of cases: a name is the same in all. */
static void draft_spell_name(struct draft *draft) {
    if (draft_below(draft, 4) != 0)
        return;
    for (size_t i = 0; i < draft->words[0].length; i++) {
        char *letter = &draft->words[0].data[i];
        if (*letter >= 'A' && *letter <= 'Z' && draft_below(draft, 2) == 0)
            *letter = (char)(*letter + 'a' - 'A');
    }
}

void draft_write(struct draft *draft, uint32_t card) {
    draft->word_count = 0;
    draft->is_inline = false;
    card_at(card)->write(draft);
    ASSERT(draft->word_count > 0);
    draft_spell_name(draft);
}

void draft_opened(struct draft *draft, uint64_t session, bool is_brief) {
    ASSERT(session != 0);
    if (is_brief) {
        draft->once.brief = session;
        return;
    }
    draft->once.session = session;
    draft->once.sequence = 0;
    draft->once.word_count = 0;
}
