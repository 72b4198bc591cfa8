#ifndef WEIR_TESTS_PROPERTY_CARDS_H
#define WEIR_TESTS_PROPERTY_CARDS_H

/*
 * The generator: a deck of cards, one for each command and option, shuffled and drawn from again
 * and again. So every card is executed as often as there were rounds, whatever the seed, and what
 * it does (keys, values, amounts, spelling) is random.
 *
 * Keys. With disjoint keys their names begin with the connection's; with shared ones all
 * connections use the same few. A key "n..." mostly holds a number, a key "t..." mostly a text.
 *
 * Who wrote it. With shared keys every write that reaches the log names its connection, so that the
 * judge can tell whose it was: by a unique value, amount or key; FLUSHALL and FLUSHDB by how their
 * option is spelt; and INCR, DECR and PERSIST, which have no room for a name, are sent only by one
 * connection to a given key (others change the same key by INCRBY, SET, EXPIRE ...).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "sim/kv_model.h"

/* Which cards are in a deck. */
enum deck_kind {
    DECK_DISJOINT = 1, /* nothing that sees other connections' keys */
    DECK_SOLO = 2,     /* one connection alone on the node: everything */
    DECK_SHARED = 4,   /* everything whose place can be found in the log */
    DECK_LOG = 8,      /* machine log, shared */
};

enum { DRAFT_WORDS_MAX = 640, DRAFT_ONCE_WORDS_MAX = 8 };

/* The session that a connection uses, and what it said last under it. */
struct draft_once {
    uint64_t session;  /* 0: none yet */
    uint64_t sequence; /* the highest used */
    uint64_t brief;    /* another one, that is closed soon; 0: none yet */
    size_t word_count; /* 0: nothing */
    struct kv_model_text words[DRAFT_ONCE_WORDS_MAX];
};

/* A command being written. */
struct draft {
    struct random *random;
    enum deck_kind kind;
    uint32_t connection;
    uint32_t connection_count;
    uint64_t serial; /* of the command in its connection, from 1 */
    bool is_inline;
    size_t word_count;
    struct kv_model_text words[DRAFT_WORDS_MAX];
    struct draft_once once;
};

struct card {
    const char *name;
    uint32_t kinds;  /* decks that hold it */
    uint32_t copies; /* in each round */
    bool is_rare;    /* only in every DECK_RARE_ROUNDS-th round */
    void (*write)(struct draft *draft);
};

enum { DECK_RARE_ROUNDS = 4 };

/* All cards; those of one folder's file after the other. */
enum { CARDS_MAX = 200 };
const struct card *card_at(uint32_t index); /* NULL behind the last */

/* One connection's deck. */
struct deck {
    enum deck_kind kind;
    uint32_t round;
    uint32_t drawn;
    uint32_t count;
    uint16_t order[CARDS_MAX * 12];
};

void deck_init(struct deck *deck, enum deck_kind kind);

/* Draws the next card: its index. deck->round has grown if a new round began. */
uint32_t deck_draw(struct deck *deck, struct random *random);

/* Writes the card's command into the draft (random, kind, connection, connection_count, serial are
 * the caller's; the memory of words is kept from draft to draft). */
void draft_write(struct draft *draft, uint32_t card);

/* An ONCE.OPEN was answered with this id: the next ONCE may use it. */
void draft_opened(struct draft *draft, uint64_t session, bool is_brief);
void draft_free(struct draft *draft);

/* ---- What cards write with ------------------------------------------------------------------ */

enum draft_key { KEY_ANY, KEY_NUMBER, KEY_TEXT };

void draft_word(struct draft *draft, const char *text);
void draft_bytes(struct draft *draft, const void *bytes, size_t length);
void draft_format(struct draft *draft, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void draft_key(struct draft *draft, enum draft_key sort);
void draft_own_key(struct draft *draft, enum draft_key sort); /* nobody else INCRs, PERSISTs it */
void draft_value(struct draft *draft);                        /* unique */
void draft_value_of_length(struct draft *draft, size_t length);
uint64_t draft_number(const struct draft *draft); /* unique among all connections, from 1 */
uint64_t draft_below(struct draft *draft, uint64_t limit);

extern const struct card cards_kv[];
extern const struct card cards_generic[];
extern const struct card cards_session[];
extern const struct card cards_once[];
extern const struct card cards_log[];

#endif
