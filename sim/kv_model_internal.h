#ifndef WEIR_SIM_KV_MODEL_INTERNAL_H
#define WEIR_SIM_KV_MODEL_INTERNAL_H

/* What the files of the model share; see sim/kv_model.h.
 *
 *     kv_model.c              the store, and most commands
 *     kv_model_more.c         commands that change a value in another way
 *     kv_model_listing.c      KEYS and SCAN
 *     kv_model_elements.c     what hashes, lists, sets and sorted sets are made of
 *     kv_model_collections.c  their commands
 *     kv_model_sets.c         those of sets, of which SPOP takes what nobody can foresee
 *     kv_model_exec.c         transactions
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/kv_model.h"

/* INT64_MAX is a deadline that a client may ask for. */
#define NO_DEADLINE UINT64_MAX

/* What a key holds. */
enum model_type {
    MODEL_ANY, /* of a command: whatever the key holds; no key has it */
    MODEL_STRING,
    MODEL_HASH,
    MODEL_LIST,
    MODEL_SET,
    MODEL_ZSET,
};

/* A field with its value, an element of a list, or a member with its score. */
struct model_element {
    struct kv_model_text name;
    struct kv_model_text value; /* of a field */
    int64_t score;              /* of a member of a sorted set */
    uint32_t born;              /* of a set's: how many unseen pops it had before this came */
};

/* So many members of a set may be gone of which it is not known which; then it is vague. */
enum { MODEL_UNSEEN_MAX = 64 };

/* A key that is there. */
struct model_key {
    struct kv_model_text name;
    struct kv_model_text value; /* of a string */
    uint64_t deadline_ms;
    enum model_type type;
    /* Of a collection: in its order; that of a hash or a set is by name. */
    struct model_element *elements;
    size_t count;
    size_t capacity;
    /* Of a set: pops that took nobody knows which member, by their numbers from 1, ascending. */
    uint32_t unseen[MODEL_UNSEEN_MAX];
    uint32_t unseen_count;
    uint32_t unseen_made; /* the last one's number */
    bool is_vague;        /* of a set: nothing is known of it any more */
};

/* When a name's key was changed last, be it there or not. */
struct model_change {
    struct kv_model_text name;
    uint64_t moment;
};

/* The store: its keys in no order. */
struct kv_model {
    struct model_key *keys;
    size_t count;
    size_t capacity;
    size_t value_bytes_max;
    uint64_t moment; /* 0: changes are not noted */
    struct model_change *changes;
    size_t change_count;
    size_t change_capacity;
};

/* One command in execution. */
struct model_call {
    struct kv_model *model;
    const struct kv_model_word *words;
    size_t count;
    int64_t now_ms;
    int64_t clock_ms;
    struct kv_model_word seen; /* what a client was answered; without bytes: nobody knows */
    struct kv_model_text *reply;
};

/* A command, its arity as Redis has it, what it does, and what its first key has to hold. */
struct model_command {
    const char *name;
    int arity;
    void (*execute)(struct model_call *call);
    enum model_type type;
};

/* Those of the other files; the name is NULL behind the last of each. */
extern const struct model_command model_more_commands[];
extern const struct model_command model_listing_commands[];
extern const struct model_command model_collection_commands[];
extern const struct model_command model_set_commands[];

/* EXEC: the command, behind what a transaction is written as (sim/kv_model.h). */
void model_exec(struct model_call *call);

/* Executes a command, whatever it is. */
void model_command_execute(struct model_call *call);

/* Replaces a text; adds a formatted one, of at most 255 bytes. */
void model_text_set(struct kv_model_text *text, const char *data, size_t length);
__attribute__((format(printf, 2, 3))) void model_format(struct kv_model_text *text,
                                                        const char *format, ...);

/* Keys: removed by index, what is due removed, found or NULL, found or made, given a value. */
void model_key_remove(struct kv_model *model, size_t index);
void model_keys_expire(struct kv_model *model, int64_t now_ms);
struct model_key *model_key_find(struct kv_model *model, const struct kv_model_word *name);
struct model_key *model_key_make(struct kv_model *model, const struct kv_model_word *name);
void model_key_set(struct kv_model *model, const struct kv_model_word *name,
                   const struct kv_model_word *value, uint64_t deadline_ms);

/* Notes that a name's key is changed now. */
void model_touch(struct kv_model *model, const struct kv_model_word *name);

/* Elements: of a new or an old key of that type; found by name, or count; put in, at a place or
 * where its order wants it; removed, and the key with the last one. */
struct model_key *model_collection(struct model_call *call, const struct kv_model_word *name,
                                   enum model_type type);
size_t model_element_find(const struct model_key *key, const struct kv_model_word *name);
struct model_element *model_element_put(struct model_key *key, size_t at,
                                        const struct kv_model_word *name);
struct model_element *model_element_sort_in(struct model_key *key, const struct kv_model_word *name,
                                            int64_t score);
void model_element_remove(struct model_key *key, size_t at);
void model_elements_copy(struct model_key *to, const struct model_key *from);
void model_elements_free(struct model_key *key);

/* Replies: an error behind "ERR ", an integer, the value of a key or null. */
void model_error(struct model_call *call, const char *text);
void model_integer(struct model_call *call, int64_t value);
void model_value(struct model_call *call, const struct model_key *key);
void model_text_bulk(struct kv_model_text *text, const char *data, size_t length);
void model_bulk(struct model_call *call, const struct kv_model_text *text);
void model_wrong_type(struct model_call *call);
/* Whatever the node said. */
void model_anything(struct model_call *call);

/* Words: in any case; an integer, or an error is replied. */
bool model_word_is(const struct kv_model_word *word, const char *text);
bool model_argument_integer(struct model_call *call, size_t index, int64_t *value);

#endif
