#ifndef WEIR_SIM_REPLAY_INTERNAL_H
#define WEIR_SIM_REPLAY_INTERNAL_H

/*
 * What the files of sim/replay_check.h share:
 *
 *     replay_check.c   the walk over the log
 *     replay_lanes.c   operations by connection: which of them is next, and due
 *     replay_find.c    whose command it is, by its words
 *     replay_reply.c   one reply against the model
 *     replay_watch.c   WATCH and EXEC
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/replay_check.h"

#define REPLAY_NONE UINT32_MAX

/* What an operation is to the walk. */
enum replay_kind {
    REPLAY_IGNORED, /* it says nothing, and is not in the log */
    REPLAY_READ,    /* answered; also what was answered without the log, whatever its name */
    REPLAY_WRITE,   /* answered */
    REPLAY_OPEN,    /* a write that may have happened */
    REPLAY_REFUSED, /* a write that must not have happened */
};

/* A connection's answered operations, in its order. */
struct replay_lane {
    uint32_t connection;
    uint32_t first; /* in `ordered` */
    uint32_t count;
    uint32_t next; /* of these, the first that has no place */
};

/* Operations that ask for the same words, in a list. */
struct replay_words {
    uint64_t hash;
    uint32_t number;
};

struct replay {
    const struct history *history;
    struct replay_report *report;
    struct kv_model *model;
    struct kv_model_text reply;  /* of the model */
    struct kv_model_text sorted; /* a reply whose order is of no account */
    const struct replay_command *commands;
    size_t command_count;
    uint64_t value_bytes_max;
    uint64_t log_time_ms;
    uint32_t executed; /* commands of the log */
    bool is_doubtful;  /* an EXEC may have been null, which was taken for executed */
    uint32_t placed;   /* operations that have their place */

    uint8_t *kinds;    /* enum replay_kind of each operation */
    uint32_t *ordered; /* numbers of READ and WRITE, by lane, in its order */
    uint32_t ordered_count;
    struct replay_lane *lanes; /* by their first invocation */
    uint32_t lane_count;
    uint32_t lanes_begun;
    uint32_t *lane_of; /* of each operation: its connection's lane, or REPLAY_NONE */
    uint32_t *active;  /* lanes begun and not through */
    uint32_t active_count;
    uint64_t returned_min_ns; /* of the active lanes' next operations */
    uint32_t returned_min;    /* which it is, or REPLAY_NONE */

    struct replay_words *words; /* sorted by hash; writes of every kind */
    uint32_t words_count;

    /* Of each command of the log: whose it has to be, since another choice led nowhere; or
       REPLAY_NONE. */
    uint32_t *forced;
    uint32_t at; /* the command that the walk is at */
    /* Of each operation: the last command that might have been its own, and became another's; or
       REPLAY_NONE. */
    uint32_t *passed_over_at;
    bool has_watches;
    uint8_t record_says; /* of the command executed last: what is in replay_watch.c */
    /* Of each EXEC: the last WATCH for it; and of each WATCH: the one before; or REPLAY_NONE. */
    uint32_t *watch;
    uint32_t *watch_needs; /* of each WATCH: so many commands of the log have to be before it */
    uint32_t *watch_place; /* and there were, where it has its place; */
    bool *watch_absent;    /* and whether one of its keys was absent there */
    uint32_t hindered; /* what the walk failed at: an operation without a place; or REPLAY_NONE */
};

/* ---- replay_lanes.c -------------------------------------------------------------------------- */

/* Sorts the operations into lanes. Errors: WEIR_ENOMEM. */
int replay_lanes_create(struct replay *replay);

/* False, with a text, if a connection's replies did not come in its order. */
bool replay_lanes_in_order(struct replay *replay);

/* The lane's next operation, or REPLAY_NONE. */
uint32_t replay_lane_next(const struct replay *replay, const struct replay_lane *lane);

/* The lane's next operation has its place. */
void replay_lane_advance(struct replay *replay, struct replay_lane *lane);

/* Finds out who is next and who returned first, and begins lanes that may be due. */
void replay_lanes_look(struct replay *replay);

/* True if nothing without a place had returned before this one was invoked. */
bool replay_is_due(const struct replay *replay, uint32_t number);

/* ---- replay_find.c --------------------------------------------------------------------------- */

/* Sorts the writes by their words. Errors: WEIR_ENOMEM. */
int replay_find_create(struct replay *replay);

/* The operation that these words of the log are, of which the model gave replay->reply; or, if
 * none can stand here, one of which to say why; or REPLAY_NONE. */
uint32_t replay_find(struct replay *replay, const struct kv_model_word *words, uint32_t count);

/* Whether the operation has these words: the name in any case, those of a transaction all. */
bool replay_words_equal(const struct replay *replay, uint32_t number,
                        const struct kv_model_word *words, uint32_t count);

/* The one operation that has these words; REPLAY_NONE: there are several, or none. */
uint32_t replay_find_only(struct replay *replay, const struct kv_model_word *words, uint32_t count);

/* ---- replay_reply.c -------------------------------------------------------------------------- */

/* Whether a command's reply is not judged, whatever it is. */
bool replay_reply_is_free(const struct kv_model_word *words, uint32_t count,
                          const struct kv_model_word *reply);

/* Whether the reply fits the one that the model gave, replay->reply. */
bool replay_reply_fits(struct replay *replay, const struct kv_model_word *words, uint32_t count,
                       const struct kv_model_word *reply);

/* Whether it is a command that goes through the log. */
bool replay_is_write(const struct kv_model_word *words, uint32_t count);

/* Whether a reply is null, of an array or a string. */
bool replay_is_null(const struct kv_model_word *reply);

/* ---- replay_watch.c -------------------------------------------------------------------------- */

/* Executes the log's next command; `number` is whose it is, or REPLAY_NONE. */
void replay_execute(struct replay *replay, const struct replay_command *command, uint32_t number);

/* Finds which WATCH is for which EXEC, and what it needs. Errors: WEIR_ENOMEM. */
int replay_watch_create(struct replay *replay);
void replay_watch_destroy(struct replay *replay);

/* Whether it is a WATCH, which stands for itself; whether it may stand here; and that it does. */
bool replay_is_watch(const struct kv_model_word *words);
bool replay_watch_fits(const struct replay *replay, uint32_t number);
void replay_watch_place(struct replay *replay, uint32_t number);

/* NULL, or what is wrong with the answer of the EXEC that was executed last. */
const char *replay_exec_wrong(const struct replay *replay, const struct replay_command *command,
                              uint32_t number);

#endif
