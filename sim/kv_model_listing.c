/* KEYS and SCAN: all keys, sorted, of which a pattern takes some. */

#include "sim/kv_model_internal.h"
#include "sim/kv_model_text.h"

/* Redis's own matching never looks at a pattern when the text is empty. */
static bool pattern_matches(const struct kv_model_word *pattern, const struct kv_model_text *text) {
    if (pattern == NULL || (pattern->length == 1 && pattern->data[0] == '*'))
        return true;
    if (text->length == 0)
        return pattern->length == 0;
    return kv_model_glob(pattern->data, pattern->data + pattern->length, text->data,
                         text->data + text->length);
}

static void list_keys(struct model_call *call, const struct kv_model_word *pattern) {
    struct kv_model_text list = {0};
    size_t listed = 0;
    for (size_t i = 0; i < call->model->count; i++) {
        const struct kv_model_text *name = &call->model->keys[i].name;
        if (!pattern_matches(pattern, name))
            continue;
        model_text_bulk(&list, name->data, name->length);
        listed++;
    }
    model_format(call->reply, "*%zu\r\n", listed);
    kv_model_text_append(call->reply, list.data, list.length);
    kv_model_text_free(&list);
}

static void model_keys(struct model_call *call) {
    list_keys(call, &call->words[1]);
    kv_model_sort_array(call->reply);
}

static void model_scan(struct model_call *call) {
    const struct kv_model_word *pattern = NULL;
    bool all = true;
    int64_t number;
    if (!kv_model_is_cursor(call->words[1].data, call->words[1].length)) {
        model_error(call, "invalid cursor");
        return;
    }
    for (size_t i = 2; i < call->count; i += 2) {
        const struct kv_model_word *word = &call->words[i];
        const bool more = i + 1 < call->count;
        if (more && model_word_is(word, "COUNT")) {
            if (!model_argument_integer(call, i + 1, &number))
                return;
            if (number < 1) {
                model_error(call, "syntax error");
                return;
            }
        } else if (more && model_word_is(word, "MATCH")) {
            pattern = &call->words[i + 1];
        } else if (more && model_word_is(word, "TYPE")) {
            all = model_word_is(&call->words[i + 1], "string");
        } else {
            model_error(call, "syntax error");
            return;
        }
    }
    model_format(call->reply, "*2\r\n$1\r\n0\r\n");
    if (all)
        list_keys(call, pattern);
    else
        model_format(call->reply, "*0\r\n");
    kv_model_sort_array(call->reply);
}

const struct model_command model_listing_commands[] = {
    {"keys", 2, model_keys, MODEL_ANY},
    {"scan", -2, model_scan, MODEL_ANY},
    {NULL, 0, NULL, MODEL_ANY},
};
