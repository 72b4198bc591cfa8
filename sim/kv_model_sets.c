/*
 * Sets, and what nobody can foresee of them.
 *
 * Happy path: all members are known; SPOP was answered, and what it took is taken.
 *
 * An SPOP that nobody was answered took one of the members that were there then, nobody knows
 * which. So members are those that may be there, of which `unseen_count` are not. Which they are
 * comes out one by one, when it is answered that a member is not there. It may have been any of the
 * pops behind its coming; it is taken for the first of these, since later ones can have taken more.
 * How many members there are is always known. What is answered of one that may be gone is either
 * answer, and a write of it that nobody was answered makes the set vague: then nothing is known of
 * it until it is deleted. So does an SPOP with a count.
 */

#include "sim/kv_model_internal.h"
#include "sim/kv_model_text.h"

#include <string.h>

#include "base/assert.h"

static struct model_key *first_key(struct model_call *call) {
    return model_key_find(call->model, &call->words[1]);
}

static void make_vague(struct model_call *call, const struct kv_model_word *name) {
    struct model_key *key = model_collection(call, name, MODEL_SET);
    model_elements_free(key);
    key->is_vague = true;
}

/* How many members there are. */
static size_t members(const struct model_key *key) {
    ASSERT(key->count >= key->unseen_count);
    return key->count - key->unseen_count;
}

/* The first unseen pop that may have taken the member; unseen_count: none. */
static uint32_t unseen_of(const struct model_key *key, size_t at) {
    uint32_t i = 0;
    while (i < key->unseen_count && key->unseen[i] <= key->elements[at].born)
        i++;
    return i;
}

static bool may_be_gone(const struct model_key *key, size_t at) {
    return unseen_of(key, at) < key->unseen_count;
}

/* The member is not there: a pop took it that nobody saw. */
static void unseen_find(struct model_key *key, size_t at) {
    const uint32_t which = unseen_of(key, at);
    ASSERT(which < key->unseen_count);
    memmove(key->unseen + which, key->unseen + which + 1,
            (--key->unseen_count - which) * sizeof(*key->unseen));
    model_element_remove(key, at);
}

/* Takes a member out that was there. */
static void take(struct model_call *call, struct model_key *key, size_t at) {
    model_touch(call->model, &call->words[1]);
    model_element_remove(key, at);
    if (members(key) == 0)
        model_key_remove(call->model, (size_t)(key - call->model->keys));
}

/* Whether all is known of the members that the command names; then they are changed one by one. */
static bool all_known(const struct model_call *call, const struct model_key *key) {
    for (size_t i = 2; key != NULL && i < call->count; i++) {
        const size_t at = model_element_find(key, &call->words[i]);
        if (at < key->count && may_be_gone(key, at))
            return false;
    }
    return true;
}

static void model_sadd(struct model_call *call) {
    int64_t added = 0;
    struct model_key *key = first_key(call);
    if (key != NULL && (key->is_vague || !all_known(call, key))) {
        make_vague(call, &call->words[1]);
        model_anything(call);
        return;
    }
    for (size_t i = 2; i < call->count; i++) {
        if (key != NULL && model_element_find(key, &call->words[i]) < key->count)
            continue;
        key = model_collection(call, &call->words[1], MODEL_SET);
        (void)model_element_sort_in(key, &call->words[i], 0);
        added++;
    }
    model_integer(call, added);
}

static void model_srem(struct model_call *call) {
    struct model_key *key = first_key(call);
    int64_t removed = 0;
    if (key != NULL && !key->is_vague && call->count == 3 && call->seen.length == 4 &&
        memcmp(call->seen.data, ":0\r\n", 4) == 0 && !all_known(call, key))
        unseen_find(key, model_element_find(key, &call->words[2]));
    else if (key != NULL && (key->is_vague || (!all_known(call, key) &&
                                               (call->count > 3 || call->seen.length == 0)))) {
        make_vague(call, &call->words[1]);
        model_anything(call);
        return;
    }
    for (size_t i = 2; key != NULL && i < call->count; i++) {
        const size_t at = model_element_find(key, &call->words[i]);
        if (at == key->count)
            continue;
        take(call, key, at);
        key = first_key(call);
        removed++;
    }
    model_integer(call, removed);
}

static void model_sismember(struct model_call *call) {
    const struct model_key *key = first_key(call);
    const size_t at = key == NULL ? 0 : model_element_find(key, &call->words[2]);
    if (key != NULL && (key->is_vague || (at < key->count && may_be_gone(key, at))))
        model_anything(call);
    else
        model_integer(call, key != NULL && at < key->count);
}

static void model_scard(struct model_call *call) {
    const struct model_key *key = first_key(call);
    if (key != NULL && key->is_vague)
        model_anything(call);
    else
        model_integer(call, key == NULL ? 0 : (int64_t)members(key));
}

static void model_smembers(struct model_call *call) {
    const struct model_key *key = first_key(call);
    const size_t count = key == NULL ? 0 : key->count;
    if (key != NULL && (key->is_vague || key->unseen_count > 0)) {
        model_anything(call);
        return;
    }
    model_format(call->reply, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++)
        model_bulk(call, &key->elements[i].name);
}

/* The member of a reply "$n\r\nmember\r\n". */
static struct kv_model_word seen_member(const struct kv_model_word *seen) {
    const char *line = seen->length == 0 ? NULL : memchr(seen->data, '\n', seen->length);
    const size_t head = line == NULL ? 0 : (size_t)(line - seen->data) + 1;
    if (line == NULL || *seen->data != '$' || seen->length < head + 2)
        return (struct kv_model_word){0};
    return (struct kv_model_word){seen->data + head, seen->length - head - 2};
}

/* Nobody knows what it took. */
static void pop_unseen(struct model_call *call, struct model_key *key) {
    if (key->unseen_count == MODEL_UNSEEN_MAX) {
        make_vague(call, &call->words[1]);
        return;
    }
    model_touch(call->model, &call->words[1]);
    key->unseen[key->unseen_count++] = ++key->unseen_made;
    if (members(key) == 0)
        model_key_remove(call->model, (size_t)(key - call->model->keys));
}

static void model_spop(struct model_call *call) {
    struct model_key *key = first_key(call);
    if (key == NULL && call->count == 2) {
        model_format(call->reply, "$-1\r\n");
    } else if (key == NULL) {
        model_format(call->reply, "*0\r\n");
    } else if (call->count > 2 || key->is_vague) {
        make_vague(call, &call->words[1]);
        model_anything(call);
    } else if (call->seen.length == 0) {
        pop_unseen(call, key);
        model_anything(call);
    } else {
        const struct kv_model_word member = seen_member(&call->seen);
        const size_t at = model_element_find(key, &member);
        if (at == key->count) {
            model_error(call, "the model has members, and this is none of them");
            return;
        }
        model_bulk(call, &key->elements[at].name);
        take(call, key, at);
    }
}

static void model_sunionstore(struct model_call *call) {
    struct model_key result = {.type = MODEL_SET};
    for (size_t i = 2; i < call->count; i++) {
        const struct model_key *key = model_key_find(call->model, &call->words[i]);
        if (key != NULL && key->type != MODEL_SET) {
            model_elements_free(&result);
            model_wrong_type(call);
            return;
        }
        result.is_vague |= key != NULL && (key->is_vague || key->unseen_count > 0);
        for (size_t j = 0; key != NULL && j < key->count; j++) {
            const struct kv_model_text *name = &key->elements[j].name;
            const struct kv_model_word word = {name->data, name->length};
            if (model_element_find(&result, &word) == result.count)
                (void)model_element_sort_in(&result, &word, 0);
        }
    }
    struct model_key *to = first_key(call);
    if (to != NULL)
        model_key_remove(call->model, (size_t)(to - call->model->keys));
    if (result.is_vague) {
        make_vague(call, &call->words[1]);
        model_anything(call);
    } else {
        model_integer(call, (int64_t)result.count);
        if (result.count > 0)
            model_elements_copy(model_collection(call, &call->words[1], MODEL_SET), &result);
    }
    model_elements_free(&result);
}

const struct model_command model_set_commands[] = {
    {"sadd", -3, model_sadd, MODEL_SET},
    {"srem", -3, model_srem, MODEL_SET},
    {"sismember", 3, model_sismember, MODEL_SET},
    {"scard", 2, model_scard, MODEL_SET},
    {"smembers", 2, model_smembers, MODEL_SET},
    {"spop", -2, model_spop, MODEL_SET},
    {"sunionstore", -3, model_sunionstore, MODEL_ANY},
    {NULL, 0, NULL, 0},
};
