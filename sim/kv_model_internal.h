#ifndef WEIR_SIM_KV_MODEL_INTERNAL_H
#define WEIR_SIM_KV_MODEL_INTERNAL_H

/* What the files of the model share; see sim/kv_model.h.
 *
 *     kv_model.c       the store, and most commands
 *     kv_model_more.c  commands that change a value in another way
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/kv_model.h"

/* INT64_MAX is a deadline that a client may ask for. */
#define NO_DEADLINE UINT64_MAX

/* A key that is there. */
struct model_key {
    struct kv_model_text name;
    struct kv_model_text value;
    uint64_t deadline_ms;
};

/* The store: its keys in no order. */
struct kv_model {
    struct model_key *keys;
    size_t count;
    size_t capacity;
    size_t value_bytes_max;
};

/* One command in execution. */
struct model_call {
    struct kv_model *model;
    const struct kv_model_word *words;
    size_t count;
    int64_t now_ms;
    int64_t clock_ms;
    struct kv_model_text *reply;
};

/* A command, its arity as Redis has it, and what it does. */
struct model_command {
    const char *name;
    int arity;
    void (*execute)(struct model_call *call);
};

/* Those of kv_model_more.c; the name is NULL behind the last. */
extern const struct model_command model_more_commands[];

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

/* Replies: an error behind "ERR ", an integer, the value of a key or null. */
void model_error(struct model_call *call, const char *text);
void model_integer(struct model_call *call, int64_t value);
void model_value(struct model_call *call, const struct model_key *key);

/* Words: in any case; an integer, or an error is replied. */
bool model_word_is(const struct kv_model_word *word, const char *text);
bool model_argument_integer(struct model_call *call, size_t index, int64_t *value);

#endif
