/* Nothing here can fail but an allocation, and a test ends then. */

#include "sim/kv_model_text.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

/* ---- Texts -------------------------------------------------------------------------------- */

void kv_model_text_append(struct kv_model_text *text, const void *data, size_t length) {
    if (text->length + length > text->capacity) {
        text->capacity = (text->length + length) * 2 + 16;
        text->data = realloc(text->data, text->capacity);
        ASSERT(text->data != NULL);
    }
    if (length > 0)
        memcpy(text->data + text->length, data, length);
    text->length += length;
}

void kv_model_text_free(struct kv_model_text *text) {
    free(text->data);
    *text = (struct kv_model_text){0};
}

int kv_model_text_compare(const char *a, size_t a_length, const char *b, size_t b_length) {
    const size_t common = a_length < b_length ? a_length : b_length;
    const int order = common > 0 ? memcmp(a, b, common) : 0;
    return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

/* ---- Numbers ------------------------------------------------------------------------------ */

__extension__ typedef __int128 wide;

/* Digits to the end; false if there are none or something else, or more than 24. */
static bool read_digits(const char *data, size_t length, wide *value) {
    *value = 0;
    if (length == 0 || length > 24)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (data[i] < '0' || data[i] > '9')
            return false;
        *value = *value * 10 + (data[i] - '0');
    }
    return true;
}

bool kv_model_read_integer(const char *data, size_t length, int64_t *value) {
    if (length == 0)
        return false;
    const bool negative = data[0] == '-';
    const char *digits = data + negative;
    const size_t count = length - negative;
    wide number;
    if (!read_digits(digits, count, &number) || (digits[0] == '0' && length > 1))
        return false;
    number = negative ? -number : number;
    if (number < INT64_MIN || number > INT64_MAX)
        return false;
    *value = (int64_t)number;
    return true;
}

bool kv_model_is_cursor(const char *data, size_t length) {
    if (length == 0)
        return true;
    const size_t sign = data[0] == '-' || data[0] == '+';
    wide number;
    return read_digits(data + sign, length - sign, &number) && number <= (wide)UINT64_MAX;
}

/* ---- Patterns ----------------------------------------------------------------------------- */

/* A set, "[...]", at the front of the pattern: whether it has the byte, and what is behind it. */
static bool glob_set(const char **p, const char *end, char byte) {
    const char *at = *p + 1;
    bool has = false;
    const bool negated = at < end && *at == '^';
    at += negated;
    for (; at < end && *at != ']'; at++) {
        if (*at == '\\' && end - at >= 2) {
            has |= *++at == byte;
        } else if (end - at >= 3 && at[1] == '-') {
            const signed char low = (signed char)(at[0] < at[2] ? at[0] : at[2]);
            const signed char high = (signed char)(at[0] < at[2] ? at[2] : at[0]);
            has |= (signed char)byte >= low && (signed char)byte <= high;
            at += 2;
        } else {
            has |= *at == byte;
        }
    }
    *p = at < end ? at + 1 : at;
    return has != negated;
}

/* Recursive, and as slow as it likes. */
bool kv_model_glob(const char *p, const char *p_end, const char *s, const char *s_end) {
    if (p == p_end)
        return s == s_end;
    if (*p == '*')
        return kv_model_glob(p + 1, p_end, s, s_end) ||
               (s < s_end && kv_model_glob(p, p_end, s + 1, s_end));
    if (s == s_end)
        return false;
    if (*p == '[')
        return glob_set(&p, p_end, *s) && kv_model_glob(p, p_end, s + 1, s_end);
    if (*p == '?')
        return kv_model_glob(p + 1, p_end, s + 1, s_end);
    if (*p == '\\' && p_end - p >= 2)
        p++;
    return *p == *s && kv_model_glob(p + 1, p_end, s + 1, s_end);
}

/* ---- Sorting ------------------------------------------------------------------------------ */

/* The number of a head like "$12\r\n" at *at, which then is behind it. */
static size_t text_number(const struct kv_model_text *text, size_t *at) {
    size_t number = 0;
    for (++*at; text->data[*at] != '\r'; ++*at) {
        ASSERT(text->data[*at] >= '0' && text->data[*at] <= '9');
        number = number * 10 + (size_t)(text->data[*at] - '0');
    }
    *at += 2;
    return number;
}

struct element {
    const char *data; /* with its head and CRLF, and those behind it in its group */
    size_t length;
    size_t head;
    size_t bytes; /* of what it is sorted by, behind the head */
};

static int element_compare(const void *a, const void *b) {
    const struct element *x = a;
    const struct element *y = b;
    return kv_model_text_compare(x->data + x->head, x->bytes, y->data + y->head, y->bytes);
}

/* Sorts what stands in groups of so many elements, by the first of each. */
static void sort_groups(struct kv_model_text *reply, size_t at, size_t group) {
    const size_t begin = at;
    const size_t count = text_number(reply, &at) / group;
    struct element *elements = calloc(count + 1, sizeof(*elements));
    ASSERT(elements != NULL);
    size_t position = at;
    for (size_t i = 0; i < count; i++) {
        elements[i].data = reply->data + position;
        for (size_t j = 0; j < group; j++) {
            ASSERT(reply->data[position] == '$');
            const size_t length = text_number(reply, &position);
            if (j == 0) {
                elements[i].head = (size_t)(reply->data + position - elements[i].data);
                elements[i].bytes = length;
            }
            position += length + 2;
        }
        elements[i].length = (size_t)(reply->data + position - elements[i].data);
    }
    ASSERT(position == reply->length && begin <= at);
    qsort(elements, count, sizeof(*elements), element_compare);
    struct kv_model_text sorted = {0};
    kv_model_text_append(&sorted, reply->data, at);
    for (size_t i = 0; i < count; i++)
        kv_model_text_append(&sorted, elements[i].data, elements[i].length);
    free(elements);
    kv_model_text_free(reply);
    *reply = sorted;
}

void kv_model_sort_array(struct kv_model_text *reply) {
    static const char scan_head[] = "*2\r\n$1\r\n0\r\n";
    size_t at = 0;
    if (reply->length > sizeof(scan_head) - 1 &&
        memcmp(reply->data, scan_head, sizeof(scan_head) - 1) == 0)
        at = sizeof(scan_head) - 1;
    if (at < reply->length && reply->data[at] == '*')
        sort_groups(reply, at, 1);
}

void kv_model_sort_pairs(struct kv_model_text *reply) {
    if (reply->length > 0 && *reply->data == '*')
        sort_groups(reply, 0, 2);
}
