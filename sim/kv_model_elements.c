/* What collections are made of: an array, from the front, and every change moves what is behind.
 * Nothing here can fail but an allocation, and a test ends then. */

#include "sim/kv_model_internal.h"
#include "sim/kv_model_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct model_key *model_collection(struct model_call *call, const struct kv_model_word *name,
                                   enum model_type type) {
    const bool is_new = model_key_find(call->model, name) == NULL;
    struct model_key *key = model_key_make(call->model, name);
    if (is_new)
        key->type = type;
    ASSERT(key->type == type && type > MODEL_STRING);
    return key;
}

static int compare(const struct kv_model_text *text, const struct kv_model_word *word) {
    return kv_model_text_compare(text->data, text->length, word->data, word->length);
}

size_t model_element_find(const struct model_key *key, const struct kv_model_word *name) {
    size_t at = 0;
    while (at < key->count && compare(&key->elements[at].name, name) != 0)
        at++;
    return at;
}

struct model_element *model_element_put(struct model_key *key, size_t at,
                                        const struct kv_model_word *name) {
    ASSERT(at <= key->count && key->type > MODEL_STRING);
    if (key->count == key->capacity) {
        key->capacity = key->capacity * 2 + 8;
        key->elements = realloc(key->elements, key->capacity * sizeof(*key->elements));
        ASSERT(key->elements != NULL);
    }
    struct model_element *element = &key->elements[at];
    memmove(element + 1, element, (key->count++ - at) * sizeof(*element));
    *element = (struct model_element){.born = key->unseen_made};
    kv_model_text_append(&element->name, name->data, name->length);
    return element;
}

struct model_element *model_element_sort_in(struct model_key *key, const struct kv_model_word *name,
                                            int64_t score) {
    size_t at = 0;
    while (at < key->count &&
           (key->elements[at].score < score ||
            (key->elements[at].score == score && compare(&key->elements[at].name, name) < 0)))
        at++;
    struct model_element *element = model_element_put(key, at, name);
    element->score = score;
    return element;
}

void model_element_remove(struct model_key *key, size_t at) {
    ASSERT(at < key->count);
    struct model_element *element = &key->elements[at];
    kv_model_text_free(&element->name);
    kv_model_text_free(&element->value);
    memmove(element, element + 1, (--key->count - at) * sizeof(*element));
}

void model_elements_copy(struct model_key *to, const struct model_key *from) {
    ASSERT(to->count == 0 && to != from);
    for (size_t i = 0; i < from->count; i++) {
        const struct model_element *element = &from->elements[i];
        const struct kv_model_word name = {element->name.data, element->name.length};
        struct model_element *copy = model_element_put(to, i, &name);
        kv_model_text_append(&copy->value, element->value.data, element->value.length);
        copy->score = element->score;
        copy->born = element->born;
    }
    memcpy(to->unseen, from->unseen, sizeof(to->unseen));
    to->unseen_count = from->unseen_count;
    to->unseen_made = from->unseen_made;
    to->is_vague = from->is_vague;
}

void model_elements_free(struct model_key *key) {
    while (key->count > 0)
        model_element_remove(key, key->count - 1);
    free(key->elements);
    key->elements = NULL;
    key->capacity = 0;
    key->unseen_count = key->unseen_made = 0;
    key->is_vague = false;
}
