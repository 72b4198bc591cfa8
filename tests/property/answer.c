/* Canonical replies: made from hiredis's tree, from the RESP 3 decoder's, and compared. */

#include "tests/property/answer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "tests/property/history.h"

static void answer_line(struct kv_model_text *out, char type, const char *text, size_t length) {
    kv_model_text_append(out, &type, 1);
    kv_model_text_append(out, text, length);
    kv_model_text_append(out, "\n", 1);
}

static void answer_bulk(struct kv_model_text *out, char type, const char *text, size_t length) {
    text_print(out, "%c%zu:", type, length);
    kv_model_text_append(out, text, length);
    kv_model_text_append(out, "\n", 1);
}

static void answer_hiredis_append(struct kv_model_text *out, const redisReply *reply) {
    switch (reply->type) {
    case REDIS_REPLY_STRING: answer_bulk(out, '$', reply->str, reply->len); return;
    case REDIS_REPLY_STATUS: answer_line(out, '+', reply->str, reply->len); return;
    case REDIS_REPLY_ERROR: answer_line(out, '-', reply->str, reply->len); return;
    case REDIS_REPLY_INTEGER: text_print(out, ":%lld\n", reply->integer); return;
    case REDIS_REPLY_NIL: text_print(out, "_\n"); return;
    default: break;
    }
    ASSERT(reply->type == REDIS_REPLY_ARRAY);
    text_print(out, "*%zu\n", reply->elements);
    for (size_t i = 0; i < reply->elements; i++)
        answer_hiredis_append(out, reply->element[i]);
}

void answer_of_hiredis(struct kv_model_text *out, const redisReply *reply) {
    out->length = 0;
    answer_hiredis_append(out, reply);
}

static void answer_resp3_append(struct kv_model_text *out, const struct resp3_value *value,
                                bool null_bulk_is_null) {
    ASSERT(value->attribute == NULL);
    switch (value->type) {
    case RESP3_STATUS:
    case RESP3_ERROR:
    case RESP3_BIG_NUMBER: answer_line(out, (char)value->type, value->text, value->length); return;
    case RESP3_INTEGER: text_print(out, ":%" PRId64 "\n", value->integer); return;
    case RESP3_BULK:
    case RESP3_BULK_ERROR:
    case RESP3_VERBATIM: answer_bulk(out, (char)value->type, value->text, value->length); return;
    case RESP3_NULL: text_print(out, "_\n"); return;
    case RESP3_NULL_BULK: text_print(out, null_bulk_is_null ? "_\n" : "$-1\n"); return;
    case RESP3_NULL_ARRAY: text_print(out, null_bulk_is_null ? "_\n" : "*-1\n"); return;
    case RESP3_DOUBLE: text_print(out, ",%.17g\n", value->number); return;
    case RESP3_BOOLEAN: text_print(out, value->integer != 0 ? "#t\n" : "#f\n"); return;
    case RESP3_ARRAY:
    case RESP3_MAP:
    case RESP3_SET:
    case RESP3_PUSH: break;
    }
    const size_t count = value->type == RESP3_MAP ? value->element_count / 2 : value->element_count;
    text_print(out, "%c%zu\n", (char)value->type, count);
    for (size_t i = 0; i < value->element_count; i++)
        answer_resp3_append(out, value->element[i], null_bulk_is_null);
}

void answer_of_resp3(struct kv_model_text *out, const struct resp3_value *value) {
    out->length = 0;
    answer_resp3_append(out, value, false);
}

void answer_of_model(struct kv_model_text *out, const struct kv_model_text *resp2) {
    struct resp3_value *value;
    size_t consumed;
    const enum resp3_result result = resp3_decode(resp2->data, resp2->length, &value, &consumed);
    ASSERT(result == RESP3_OK && consumed == resp2->length);
    out->length = 0;
    answer_resp3_append(out, value, true);
    resp3_free(value);
}

bool answer_equal(const struct kv_model_text *a, const struct kv_model_text *b) {
    return a->length == b->length && (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

bool answer_is_error(const struct kv_model_text *answer) {
    return answer->length > 0 && answer->data[0] == '-';
}

bool answer_integer(const struct kv_model_text *answer, int64_t *value) {
    return answer->length >= 3 && answer->data[0] == ':' &&
           decimal_parse_i64(answer->data + 1, answer->length - 2, value) == 0;
}

/* The number behind a type's character, and where what follows the number begins. */
static size_t answer_number(const struct kv_model_text *answer, size_t at, size_t *behind) {
    size_t number = 0;
    for (at++; at < answer->length && answer->data[at] >= '0' && answer->data[at] <= '9'; at++)
        number = number * 10 + (size_t)(answer->data[at] - '0');
    *behind = at + 1;
    return number;
}

/* Where the value at `at` ends. */
static size_t answer_skip(const struct kv_model_text *answer, size_t at) {
    ASSERT(at < answer->length);
    size_t behind;
    const size_t number = answer_number(answer, at, &behind);
    const char type = answer->data[at];
    if ((type == '$' || type == '=' || type == '!') && answer->data[behind - 1] == ':')
        return behind + number + 1;
    size_t children = type == '*' || type == '~' || type == '>' ? number : 0;
    children = type == '%' ? 2 * number : children;
    const char *end = memchr(answer->data + at, '\n', answer->length - at);
    ASSERT(end != NULL);
    at = (size_t)(end - answer->data) + 1;
    for (size_t i = 0; i < children; i++)
        at = answer_skip(answer, at);
    return at;
}

bool answer_matches(const struct kv_model_text *pattern, const struct kv_model_text *answer) {
    size_t at = 0;
    for (size_t i = 0; i < pattern->length; i++) {
        if (at >= answer->length)
            return false;
        if (pattern->data[i] != '\x01') {
            if (pattern->data[i] != answer->data[at++])
                return false;
            continue;
        }
        const char type = pattern->data[++i];
        if (type == '\x01') { /* itself */
            if (answer->data[at++] != type)
                return false;
            continue;
        }
        if (type != '?' && type != answer->data[at])
            return false;
        at = answer_skip(answer, at);
    }
    return at == answer->length;
}

/* ---- Arrays of bulks ------------------------------------------------------------------------- */

struct answer_element {
    const char *data; /* "$n:..." */
    size_t length;
};

static int element_compare(const void *a, const void *b) {
    const struct answer_element *x = a;
    const struct answer_element *y = b;
    const size_t common = x->length < y->length ? x->length : y->length;
    const int order = memcmp(x->data, y->data, common);
    return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}

/* The elements of the array at `offset`; owned. */
static struct answer_element *elements_list(const struct kv_model_text *answer, size_t offset,
                                            size_t *count) {
    size_t at;
    *count = answer_number(answer, offset, &at);
    struct answer_element *elements = calloc(*count + 1, sizeof(*elements));
    ASSERT(elements != NULL);
    for (size_t i = 0; i < *count; i++) {
        const size_t end = answer_skip(answer, at);
        elements[i] = (struct answer_element){answer->data + at, end - at};
        at = end;
    }
    ASSERT(at == answer->length);
    return elements;
}

void answer_sort(struct kv_model_text *answer, size_t offset) {
    if (offset >= answer->length || answer->data[offset] != '*')
        return;
    size_t count;
    struct answer_element *elements = elements_list(answer, offset, &count);
    qsort(elements, count, sizeof(*elements), element_compare);
    struct kv_model_text sorted = {0};
    size_t behind;
    (void)answer_number(answer, offset, &behind);
    kv_model_text_append(&sorted, answer->data, behind);
    for (size_t i = 0; i < count; i++)
        kv_model_text_append(&sorted, elements[i].data, elements[i].length);
    free(elements);
    kv_model_text_free(answer);
    *answer = sorted;
}

bool answer_scan(const struct kv_model_text *answer, size_t *offset, bool *complete) {
    static const char head[] = "*2\n";
    const size_t head_bytes = sizeof(head) - 1;
    if (answer->length <= head_bytes || memcmp(answer->data, head, head_bytes) != 0 ||
        answer->data[head_bytes] != '$')
        return false;
    *offset = answer_skip(answer, head_bytes);
    *complete = *offset == head_bytes + 5 && answer->data[head_bytes + 3] == '0';
    return *offset < answer->length && answer->data[*offset] == '*';
}

bool answer_is_subset(const struct kv_model_text *a, size_t a_offset, const struct kv_model_text *b,
                      size_t b_offset) {
    size_t a_count;
    size_t b_count;
    struct answer_element *some = elements_list(a, a_offset, &a_count);
    struct answer_element *all = elements_list(b, b_offset, &b_count);
    size_t found = 0;
    for (size_t j = 0; j < b_count && found < a_count; j++)
        found += element_compare(&some[found], &all[j]) == 0;
    free(some);
    free(all);
    return found == a_count;
}
