#ifndef WEIR_TESTS_SIM_HISTORY_MAKER_H
#define WEIR_TESTS_SIM_HISTORY_MAKER_H

/*
 * Histories that are right because of how they are made: each operation is given a place in time
 * between its invocation and its return, and all are executed in the order of these places, one
 * after the other. And wrong ones: before it is recorded, a made history can be spoilt.
 *
 * Connections pipeline. Some operations are refused; some are unknown, of which a part happens,
 * perhaps long afterwards, and the connection then goes on.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "sim/replay_check.h"

enum { MADE_WORDS_MAX = 6, MADE_TEXT_BYTES = 48 };

struct maker_options {
    uint64_t seed;
    uint32_t operations;
    uint32_t connections;
    uint32_t keys; /* of each kind: strings, numbers, texts to append to */
    uint32_t unknown_per_mille;
    uint32_t refused_per_mille;
    uint32_t gap_ns;  /* between two operations of a connection, at most */
    uint32_t span_ns; /* how long an operation takes, at most */
    uint32_t kind;    /* 0: keys of all kinds; 1: strings; 2: numbers; 3: texts to append to */
    bool single_key;  /* no MSET, MGET */
    bool few_values;  /* written values are of "0" to "2", not unique */
};

struct made_operation {
    uint64_t invoked_ns;
    uint64_t happened_ns; /* HISTORY_NEVER: it did not */
    uint64_t returned_ns;
    uint32_t connection;
    uint32_t sequence;
    enum history_outcome outcome;
    uint32_t word_count;
    char words[MADE_WORDS_MAX][MADE_TEXT_BYTES];
    struct kv_model_text before; /* what GET of its first key gave just before; no unknown case */
    struct kv_model_text reply;
    bool is_write;
    bool is_lost;    /* spoilt: it is neither executed nor in the log */
    bool is_renamed; /* spoilt: `reply` is not that of the model */
    uint32_t number; /* in the recorded history */
};

/* Operations in the order of recording, that is of invocation; and by place in time. */
struct made {
    struct maker_options options;
    struct random random;
    struct made_operation *operations;
    uint32_t count;
    uint32_t *happened; /* those that happened, in their order */
    uint32_t happened_count;
    struct history history;
    struct replay_command *log;
    struct kv_model_word (*log_words)[MADE_WORDS_MAX];
    size_t log_count;
};

/* Makes operations; then executes them (again, after spoiling what is executed). */
void made_create(struct made *made, const struct maker_options *options);
void made_execute(struct made *made);
/* Records them, and the log. Each command of the log says whose it is if `said`. */
void made_record(struct made *made, bool said);
void made_destroy(struct made *made);

/* The ways of spoiling. Each returns false if the history has no place for it. */
enum spoiling {
    SPOIL_STALE_READ,           /* a read gives what a write that had returned has replaced */
    SPOIL_LOST_UPDATE,          /* an acknowledged write never happens */
    SPOIL_SAME_NUMBER,          /* two increments give the same number */
    SPOIL_SWAPPED_REPLIES,      /* two replies of a connection are exchanged */
    SPOIL_INVENTED_VALUE,       /* a read gives what nobody wrote */
    SPOIL_SEEN_THEN_GONE,       /* one read sees an unknown write, and no other does */
    SPOIL_UNDEAD,               /* a read sees a value that was seen to be replaced */
    SPOIL_LATE_EFFECT,          /* a write happens after it was acknowledged */
    SPOIL_HIDDEN_WRITE,         /* an acknowledged write is not in the log, though executed */
    SPOIL_TWICE_IN_LOG,         /* a command of the log comes once more */
    SPOIL_REFUSED_HAPPENED,     /* a refused write happens */
    SPOIL_LOG_ORDER,            /* two writes of the log are exchanged, against time */
    SPOIL_REPLIES_OUT_OF_ORDER, /* a reply comes before that of the operation before it */
    SPOILINGS,
};

/* Between made_execute and made_record for the first ones, behind made_record for those of the
 * log: it calls what is needed, and leaves a recorded history. */
bool made_spoil(struct made *made, enum spoiling spoiling, bool said);

const char *spoiling_name(enum spoiling spoiling);

#endif
