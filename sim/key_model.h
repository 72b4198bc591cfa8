#ifndef WEIR_SIM_KEY_MODEL_H
#define WEIR_SIM_KEY_MODEL_H

/*
 * One key of kv, alone: what the search for linearizations (sim/linearizable.h) knows of commands.
 *
 * A key is absent or has a value, a string of bytes. A command is split into parts, one for each of
 * its keys; each part is a step on its key with the piece of the reply that speaks of it:
 *
 *     GET STRLEN TYPE GETRANGE, GETEX without options   the whole reply
 *     EXISTS and TOUCH of one key                    the whole reply
 *     SET [NX | XX] [GET]  INCR DECR INCRBY APPEND   the whole reply
 *     GETSET SETNX GETDEL DECRBY SETRANGE            the whole reply
 *     CAS, with ABSENT or DELETE or neither          the whole reply
 *     DEL and UNLINK of one key                      the whole reply
 *     DEL and UNLINK of several                      no piece: the count does not say which
 *     MGET                                           an element of the reply
 *     MSET                                           +OK
 *     FLUSHALL FLUSHDB                               a DEL of every key, no piece of the reply
 *     EXISTS of several, KEYS SCAN DBSIZE TTL PTTL   nothing: they change nothing and say nothing
 *                                                    of one key alone, or speak of time
 *     commands about hashes, lists, sets and sorted sets
 *                                                    nothing: their keys are theirs alone, and
 *                                                    replay judges them (sim/replay_check.h)
 *     EXEC                                           the parts of its commands; null: nothing
 *     WATCH                                          nothing
 *     RENAME COPY                                    not modelled: the value comes from another key
 *     whatever sets or clears a deadline             not modelled: time would be part of the state
 *
 * Splitting loses that the parts happened at once. It is written anew, and shares nothing with the
 * machine and nothing with the other model (sim/kv_model.h). Pure; any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/history.h"

/* What a part does to its key. */
enum key_verb {
    KEY_GET,
    KEY_STRLEN,
    KEY_TYPE,
    KEY_EXISTS,
    KEY_GETRANGE,
    KEY_SET,
    KEY_ADD,
    KEY_APPEND,
    KEY_DEL,
    KEY_GETDEL,
    KEY_CAS,
    KEY_SETRANGE,
};

/* A step on one key. Words are borrowed from the command. */
struct key_step {
    enum key_verb verb;
    bool if_absent;    /* SET NX, CAS ABSENT */
    bool if_present;   /* SET XX */
    bool give_old;     /* SET GET */
    bool give_integer; /* SETNX: 1 or 0 in place of OK or null */
    bool removes;      /* CAS DELETE */
    int64_t amount;    /* ADD; where GETRANGE and SETRANGE begin */
    int64_t end;       /* GETRANGE */
    struct kv_model_word argument;
    struct kv_model_word expected; /* CAS */
};

/* The types of a reply, or of an element of it. */
enum key_reply_kind {
    KEY_REPLY_ANY, /* nothing is known: it fits every reply */
    KEY_REPLY_NULL,
    KEY_REPLY_INTEGER,
    KEY_REPLY_BULK,
    KEY_REPLY_STATUS,
    KEY_REPLY_ERROR,
    KEY_REPLY_INVALID, /* no such reply: it fits none but ANY */
};

/* A reply taken apart; `text` is borrowed, without the type's sign. */
struct key_reply {
    enum key_reply_kind kind;
    int64_t integer;
    struct kv_model_word text;
};

/* One key's part of a command. */
struct key_part {
    struct kv_model_word key;
    struct key_step step;
    struct key_reply reply;
};

/* How a command was split. */
enum key_split {
    KEY_SPLIT_PARTS,      /* into parts */
    KEY_SPLIT_NOTHING,    /* it changes nothing, and its reply is not looked at */
    KEY_SPLIT_EVERY_KEY,  /* into one part without a key, for every key */
    KEY_SPLIT_UNMODELLED, /* into parts of which only the keys count; without any: for every key */
};

/*
 * Splits a command of `count` words, [1, HISTORY_WORDS_MAX], with its reply; an empty reply is one
 * that is not known. A command whose form is wrong, and that was answered with an error, is
 * KEY_SPLIT_NOTHING.
 */
enum key_split key_model_split(const struct kv_model_word *words, uint32_t count,
                               struct kv_model_word reply, struct key_part *parts,
                               uint32_t *part_count);

/* Whether the step can change its key. */
bool key_step_is_write(const struct key_step *step);

/* Whether two steps are the same, so that either can stand in the other's place. */
bool key_step_equal(const struct key_step *a, const struct key_step *b);

/*
 * Takes a step from *value (data NULL: absent, otherwise any bytes, also none) to *next, with the
 * reply that belongs to it. `room` has room_bytes for a new value; *next is *value, absent, or what
 * was written there. *reply borrows from *value.
 * False, with nothing written, if the new value needs more room.
 */
bool key_step_take(const struct key_step *step, uint64_t value_bytes_max,
                   const struct kv_model_word *value, char *room, size_t room_bytes,
                   struct kv_model_word *next, struct key_reply *reply);

/* Whether the reply seen fits the one that a step gives. */
bool key_reply_fits(const struct key_reply *seen, const struct key_reply *given);

/* Adds a reply for a person; long ones are cut. Allocates. */
void key_reply_print(struct kv_model_text *out, const struct key_reply *reply);

#endif
