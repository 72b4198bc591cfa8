/* Recursive descent over one value; `at` moves forward, and nothing is ever looked at twice. Out of
 * bytes anywhere means MORE, and the tree so far is freed. */
#include "tests/support/resp3_decode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct reader {
    const char *at;
    const char *end;
};

static void *allocate(size_t bytes) {
    void *memory = calloc(1, bytes > 0 ? bytes : 1);
    ASSERT(memory != NULL);
    return memory;
}

static void set_text(struct resp3_value *value, const char *text, size_t length) {
    value->text = allocate(length + 1);
    memcpy(value->text, text, length);
    value->length = length;
}

/* The line at the reader, without its CRLF, which is skipped. A lone CR or LF inside is BAD. */
static enum resp3_result read_line(struct reader *reader, const char **line, size_t *length) {
    for (const char *p = reader->at; p < reader->end; p++) {
        if (*p == '\n')
            return RESP3_BAD;
        if (*p != '\r')
            continue;
        if (p + 1 == reader->end)
            return RESP3_MORE;
        if (p[1] != '\n')
            return RESP3_BAD;
        *line = reader->at;
        *length = (size_t)(p - reader->at);
        reader->at = p + 2;
        return RESP3_OK;
    }
    return RESP3_MORE;
}

static bool is_digits(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
    }
    return length > 0;
}

static bool read_integer(const char *text, size_t length, int64_t *value) {
    const bool negative = length > 0 && text[0] == '-';
    const size_t sign = length > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    if (!is_digits(text + sign, length - sign))
        return false;
    int64_t number = 0;
    for (size_t i = sign; i < length; i++) {
        const int digit = text[i] - '0';
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, negative ? -digit : digit, &number))
            return false;
    }
    *value = number;
    return true;
}

static bool read_double(const char *text, size_t length, double *value) {
    char copy[64];
    if (length == 0 || length >= sizeof(copy))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (strcmp(copy, "inf") == 0 || strcmp(copy, "-inf") == 0 || strcmp(copy, "nan") == 0) {
        *value = copy[0] == 'n' ? (double)NAN : copy[0] == '-' ? -HUGE_VAL : HUGE_VAL;
        return true;
    }
    if (strspn(copy, "0123456789+-.eE") != length)
        return false;
    char *end;
    *value = strtod(copy, &end);
    return *end == '\0';
}

static enum resp3_result read_blob(struct reader *reader, struct resp3_value *value,
                                   int64_t length) {
    if ((int64_t)(reader->end - reader->at) < length + 2) {
        const int64_t there = (int64_t)(reader->end - reader->at);
        return there == length + 1 && reader->at[length] != '\r' ? RESP3_BAD : RESP3_MORE;
    }
    if (reader->at[length] != '\r' || reader->at[length + 1] != '\n')
        return RESP3_BAD;
    const char *text = reader->at;
    reader->at += length + 2;
    if (value->type != RESP3_VERBATIM) {
        set_text(value, text, (size_t)length);
        return RESP3_OK;
    }
    if (length < 4 || text[3] != ':')
        return RESP3_BAD;
    memcpy(value->form, text, 3);
    set_text(value, text + 4, (size_t)length - 4);
    return RESP3_OK;
}

static enum resp3_result read_value(struct reader *reader, unsigned depth,
                                    struct resp3_value **out);

static enum resp3_result read_elements(struct reader *reader, unsigned depth,
                                       struct resp3_value *value, int64_t count) {
    size_t capacity = 0;
    for (int64_t i = 0; i < count; i++) {
        if (value->element_count == capacity) { /* grown as they come: counts are not trusted */
            capacity = capacity == 0 ? 4 : 2 * capacity;
            value->element = realloc(value->element, capacity * sizeof(struct resp3_value *));
            ASSERT(value->element != NULL);
        }
        struct resp3_value *element;
        enum resp3_result result = read_value(reader, depth + 1, &element);
        if (result != RESP3_OK)
            return result;
        value->element[value->element_count++] = element;
    }
    return RESP3_OK;
}

static enum resp3_result read_counted(struct reader *reader, unsigned depth,
                                      struct resp3_value *value, const char *line, size_t length) {
    int64_t count;
    if (!read_integer(line, length, &count))
        return RESP3_BAD;
    const bool is_blob = value->type == RESP3_BULK || value->type == RESP3_BULK_ERROR ||
                         value->type == RESP3_VERBATIM;
    if (count == -1 && (value->type == RESP3_BULK || value->type == RESP3_ARRAY)) {
        value->type = value->type == RESP3_BULK ? RESP3_NULL_BULK : RESP3_NULL_ARRAY;
        return RESP3_OK;
    }
    if (count < 0 || count > INT32_MAX * (int64_t)2)
        return RESP3_BAD;
    if (is_blob)
        return read_blob(reader, value, count);
    return read_elements(reader, depth, value, value->type == RESP3_MAP ? 2 * count : count);
}

/* What follows the type byte: `line` is the rest of its line. */
static enum resp3_result read_typed(struct reader *reader, unsigned depth,
                                    struct resp3_value *value, const char *line, size_t length) {
    bool good = true;
    switch (value->type) {
    case RESP3_STATUS:
    case RESP3_ERROR: break;
    case RESP3_INTEGER: good = read_integer(line, length, &value->integer); break;
    case RESP3_NULL: good = length == 0; break;
    case RESP3_DOUBLE: good = read_double(line, length, &value->number); break;
    case RESP3_BOOLEAN:
        good = length == 1 && (line[0] == 't' || line[0] == 'f');
        value->integer = good && line[0] == 't';
        break;
    case RESP3_BIG_NUMBER:
        good = length > 0 && (line[0] == '-' || line[0] == '+') ? is_digits(line + 1, length - 1)
                                                                : is_digits(line, length);
        break;
    case RESP3_BULK:
    case RESP3_BULK_ERROR:
    case RESP3_VERBATIM:
    case RESP3_ARRAY:
    case RESP3_MAP:
    case RESP3_SET:
    case RESP3_PUSH: return read_counted(reader, depth, value, line, length);
    case RESP3_NULL_BULK:
    case RESP3_NULL_ARRAY:
    default: return RESP3_BAD;
    }
    if (!good)
        return RESP3_BAD;
    set_text(value, line, length);
    return RESP3_OK;
}

static enum resp3_result read_value(struct reader *reader, unsigned depth,
                                    struct resp3_value **out) {
    if (depth > RESP3_DEPTH_MAX)
        return RESP3_BAD;
    if (reader->at == reader->end)
        return RESP3_MORE;
    const char type = *reader->at;
    if (strchr("+-:$*_,#!=(%~>|", type) == NULL || type == '\0')
        return RESP3_BAD;
    reader->at++;
    const char *line;
    size_t length;
    enum resp3_result result = read_line(reader, &line, &length);
    if (result != RESP3_OK)
        return result;

    struct resp3_value *value = allocate(sizeof(*value));
    value->type = type == '|' ? RESP3_MAP : (enum resp3_type)type;
    result = read_typed(reader, depth, value, line, length);
    if (result == RESP3_OK && type == '|') {
        struct resp3_value *described;
        result = read_value(reader, depth + 1, &described);
        if (result == RESP3_OK) {
            if (described->attribute != NULL)
                resp3_free(described->attribute);
            described->attribute = value;
            *out = described;
            return RESP3_OK;
        }
    }
    if (result != RESP3_OK) {
        resp3_free(value);
        return result;
    }
    if (value->text == NULL)
        set_text(value, "", 0);
    *out = value;
    return RESP3_OK;
}

enum resp3_result resp3_decode(const void *bytes, size_t length, struct resp3_value **value,
                               size_t *consumed) {
    if (length == 0)
        return RESP3_MORE;
    struct reader reader = {bytes, (const char *)bytes + length};
    struct resp3_value *decoded;
    enum resp3_result result = read_value(&reader, 0, &decoded);
    if (result == RESP3_OK) {
        *value = decoded;
        *consumed = (size_t)(reader.at - (const char *)bytes);
    }
    return result;
}

void resp3_free(struct resp3_value *value) {
    if (value == NULL)
        return;
    for (size_t i = 0; i < value->element_count; i++)
        resp3_free(value->element[i]);
    resp3_free(value->attribute);
    free(value->element);
    free(value->text);
    free(value);
}

bool resp3_equal(const struct resp3_value *a, const struct resp3_value *b) {
    if (a == NULL || b == NULL)
        return a == b;
    if (a->type != b->type || a->element_count != b->element_count || a->length != b->length ||
        memcmp(a->text, b->text, a->length) != 0 || memcmp(a->form, b->form, 4) != 0 ||
        !resp3_equal(a->attribute, b->attribute))
        return false;
    for (size_t i = 0; i < a->element_count; i++) {
        if (!resp3_equal(a->element[i], b->element[i]))
            return false;
    }
    return true;
}

static void print_text(FILE *to, const struct resp3_value *value) {
    for (size_t i = 0; i < value->length; i++) {
        const unsigned char byte = (unsigned char)value->text[i];
        if (byte < ' ' || byte > '~' || byte == '"' || byte == '\\')
            fprintf(to, "\\x%02x", (unsigned)byte);
        else
            fputc(byte, to);
    }
}

static void print_value(FILE *to, const struct resp3_value *value);

static void print_elements(FILE *to, const struct resp3_value *value, const char *open,
                           const char *close) {
    fputs(open, to);
    for (size_t i = 0; i < value->element_count; i++) {
        if (i > 0)
            fputs(value->type == RESP3_MAP && i % 2 == 1 ? ": " : ", ", to);
        print_value(to, value->element[i]);
    }
    fputs(close, to);
}

static void print_quoted(FILE *to, const char *prefix, const struct resp3_value *value) {
    fprintf(to, "%s\"", prefix);
    print_text(to, value);
    fputc('"', to);
}

static void print_value(FILE *to, const struct resp3_value *value) {
    if (value->attribute != NULL) {
        print_elements(to, value->attribute, "|{", "} ");
    }
    switch (value->type) {
    case RESP3_BULK: print_quoted(to, "", value); break;
    case RESP3_BULK_ERROR: print_quoted(to, "!", value); break;
    case RESP3_VERBATIM:
        fprintf(to, "%s:", value->form);
        print_quoted(to, "", value);
        break;
    case RESP3_NULL: fputs("null", to); break;
    case RESP3_NULL_BULK: fputs("null-bulk", to); break;
    case RESP3_NULL_ARRAY: fputs("null-array", to); break;
    case RESP3_BOOLEAN: fputs(value->integer != 0 ? "true" : "false", to); break;
    case RESP3_ARRAY: print_elements(to, value, "[", "]"); break;
    case RESP3_MAP: print_elements(to, value, "{", "}"); break;
    case RESP3_SET: print_elements(to, value, "~[", "]"); break;
    case RESP3_PUSH: print_elements(to, value, ">[", "]"); break;
    case RESP3_STATUS:
    case RESP3_ERROR:
    case RESP3_INTEGER:
    case RESP3_DOUBLE:
    case RESP3_BIG_NUMBER:
        fputc((int)value->type, to);
        print_text(to, value);
        break;
    }
}

char *resp3_print(const struct resp3_value *value) {
    char *text = NULL;
    size_t length = 0;
    FILE *to = open_memstream(&text, &length);
    ASSERT(to != NULL);
    print_value(to, value);
    fclose(to);
    return text;
}

char *resp3_print_all(const void *bytes, size_t length) {
    char *text = NULL;
    size_t text_length = 0;
    FILE *to = open_memstream(&text, &text_length);
    ASSERT(to != NULL);
    const char *at = bytes;
    while (length > 0) {
        struct resp3_value *value;
        size_t consumed;
        enum resp3_result result = resp3_decode(at, length, &value, &consumed);
        if (result != RESP3_OK) {
            fputs(result == RESP3_MORE ? "MORE\n" : "BAD\n", to);
            break;
        }
        print_value(to, value);
        fputc('\n', to);
        resp3_free(value);
        at += consumed;
        length -= consumed;
    }
    fclose(to);
    return text;
}
