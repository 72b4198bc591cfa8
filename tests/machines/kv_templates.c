/*
 * Wrong words come seldom enough that most commands have an effect.
 */

#include "tests/machines/kv_templates.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t below(struct kv_templates *stream, uint64_t limit) {
    return random_below(&stream->random, limit);
}

__attribute__((format(printf, 2, 3))) static void word(struct kv_templates *stream,
                                                       const char *format, ...) {
    ASSERT(stream->count < KV_TEMPLATE_WORDS_MAX);
    char *memory = stream->memory[stream->count];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(memory, sizeof(stream->memory[0]), format, arguments);
    va_end(arguments);
    ASSERT(length >= 0 && (size_t)length < sizeof(stream->memory[0]));
    stream->words[stream->count++] = (struct kv_model_word){memory, (size_t)length};
}

static void word_value(struct kv_templates *stream) {
    const uint64_t kind = below(stream, 64);
    if (kind < 12) {
        word(stream, "%" PRId64, (int64_t)below(stream, 2000) - 1000);
        return;
    }
    if (kind < 14) {
        word(stream, "%s", kind == 12 ? "" : "9223372036854775807");
        return;
    }
    const bool is_long = kind < 20;
    const uint64_t limit = is_long ? stream->value_bytes_max : kind < 32 ? 600 : 24;
    const uint64_t start = below(stream, 3) * stream->value_bytes_max * 2 + below(stream, 64);
    stream->words[stream->count++] = (struct kv_model_word){
        stream->values + start, below(stream, limit) + (is_long ? limit / 2 : 0)};
}

static void word_wrong_integer(struct kv_templates *stream) {
    static const char *const wrong[] = {"",
                                        "abc",
                                        "1.5",
                                        "+5",
                                        "007",
                                        " 1",
                                        "1 ",
                                        "0x1",
                                        "9223372036854775808",
                                        "-0",
                                        "99999999999999999999"};
    word(stream, "%s", wrong[below(stream, ARRAY_COUNT(wrong))]);
}

static void word_integer(struct kv_templates *stream, int64_t low, int64_t high) {
    const uint64_t kind = below(stream, 40);
    if (kind == 0)
        word_wrong_integer(stream);
    else if (kind == 1)
        word(stream, "%" PRId64, below(stream, 2) == 0 ? INT64_MAX : INT64_MIN);
    else
        word(stream, "%" PRId64, low + (int64_t)below(stream, (uint64_t)(high - low)));
}

static void word_float(struct kv_templates *stream) {
    static const char *const odd[] = {"1e4932",
                                      "-1e4932",
                                      "1.18e4932",
                                      "1.2e4932",
                                      "1e-4950",
                                      "3.6e-4951",
                                      "1e-4952",
                                      "inf",
                                      "-inf",
                                      "nan",
                                      "INFINITY",
                                      "infinit",
                                      "0x1p3",
                                      "0x.8P-3",
                                      "0x",
                                      "0xg",
                                      "0x1p",
                                      "1e",
                                      "e5",
                                      ".",
                                      ".5",
                                      "5.",
                                      "+3",
                                      "--1",
                                      " 1",
                                      "1 ",
                                      "",
                                      "-0",
                                      "-0.0",
                                      "1e17",
                                      "1e18",
                                      "1e19",
                                      "1e300",
                                      "123456789012345678901234567890",
                                      "0.1",
                                      "-0.1",
                                      "3.0e3",
                                      "5.0e-1",
                                      "1e-17",
                                      "1e-18",
                                      "0.000000000000000005",
                                      "18446744073709551615.5",
                                      "9007199254740993",
                                      "0x1.fffffffffffffffffp0",
                                      "-1e-20",
                                      "1E5",
                                      "0e99999",
                                      "1e99999",
                                      "1e-99999",
                                      "0x1p16383",
                                      "0x1p16384",
                                      "0x1p-16445",
                                      "0x1p-16446",
                                      "0X.1p4",
                                      "1_000",
                                      "1,5"};
    const uint64_t kind = below(stream, 8);
    if (kind == 0)
        word(stream, "%s", odd[below(stream, ARRAY_COUNT(odd))]);
    else if (kind < 4)
        word(stream, "%.*f", (int)below(stream, 12),
             ((double)below(stream, 2000000) - 1000000) / 1000.0);
    else if (kind < 6)
        word(stream, "%.*e", (int)below(stream, 22),
             (double)random_u64(&stream->random) * (kind == 4 ? 1e-30 : 1.0));
    else
        word(stream, "%s%" PRIu64 ".%" PRIu64 "e%d", kind == 6 ? "-" : "",
             random_u64(&stream->random), random_u64(&stream->random), (int)below(stream, 60) - 40);
}

/* An amount of time: far away, or not positive. A time of day is half a day away from all that an
 * amount can lead to: GT and LT do not depend on how fast the machine is beside Redis. */
static void word_time(struct kv_templates *stream, int64_t unit_ms, int64_t from_ms) {
    const uint64_t kind = below(stream, 16);
    if (kind == 0) {
        word_integer(stream, -3, 1);
        return;
    }
    const int64_t day = 86400000 / unit_ms;
    const int64_t from = from_ms / unit_ms;
    if (kind == 1 && from > 0)
        word(stream, "%" PRId64, from - 1 - (int64_t)below(stream, 100));
    else
        word(stream, "%" PRId64,
             from + day * (10 + (int64_t)below(stream, 4)) + (from > 0 ? day / 2 : 0));
}

static void word_element(struct kv_templates *stream) {
    static const char *const few[] = {"a",
                                      "b",
                                      "c",
                                      "",
                                      "17",
                                      "-3",
                                      "ab",
                                      "abc",
                                      "9.5",
                                      "sixteen bytes...",
                                      "one that is longer than fifteen bytes"};
    if (below(stream, 6) == 0)
        word_value(stream);
    else
        word(stream, "%s", few[below(stream, ARRAY_COUNT(few))]);
}

/* Not -0: as a score it is 0 here, and in Redis if the set is small. */
static void word_score(struct kv_templates *stream) {
    static const char *const odd[] = {"inf", "-inf",  "+inf",   "nan",   "",
                                      "x",   "1e400", "1e-400", "0x1p3", "1e17",
                                      "1.1", "-1e5",  "1e-7",   "0.1",   "0.3"};
    const uint64_t kind = below(stream, 16);
    if (kind == 0)
        word(stream, "%s", odd[below(stream, ARRAY_COUNT(odd))]);
    else if (kind < 4)
        word(stream, "%.*f", 1 + (int)below(stream, 5),
             ((double)below(stream, 2000) - 500) / 7 + 0.75);
    else
        word(stream, "%" PRId64, (int64_t)below(stream, 12) - 2);
}

/* Neither 0 nor negative, lest a product be -0. */
static void word_weight(struct kv_templates *stream) {
    static const char *const odd[] = {"inf", "0.5", "x", "1e-3", "nan", "1e308"};
    if (below(stream, 6) == 0)
        word(stream, "%s", odd[below(stream, ARRAY_COUNT(odd))]);
    else
        word(stream, "%" PRIu64, 1 + below(stream, 4));
}

static void word_score_bound(struct kv_templates *stream) {
    static const char *const odd[] = {"-inf",   "+inf",   "inf",  "(-inf", "(inf", "(",
                                      "",       "((1",    "nan",  " 1",    "1 ",   "x",
                                      "(1e400", "-1e400", "-inf", "+inf",  "+inf"};
    const uint64_t kind = below(stream, 4);
    if (kind == 0)
        word(stream, "%s", odd[below(stream, ARRAY_COUNT(odd))]);
    else
        word(stream, "%s%" PRId64, kind == 1 ? "(" : "", (int64_t)below(stream, 16) - 4);
}

static void word_lex_bound(struct kv_templates *stream) {
    static const char *const odd[] = {"-", "+", "-", "+", "", "[", "(", "a", "++", "-a"};
    const uint64_t kind = below(stream, 4);
    if (kind == 0)
        word(stream, "%s", odd[below(stream, ARRAY_COUNT(odd))]);
    else
        word(stream, "%s%c%" PRIu64, kind == 1 ? "(" : "[", (char)('l' + below(stream, 3)),
             below(stream, 100));
}

static void word_of(struct kv_templates *stream, char kind) {
    switch (kind) {
    case 'k': {
        const uint32_t key = (uint32_t)below(stream, stream->key_count);
        word(stream, key % 8 == 0 ? "{tag}%" PRIu32 : "k%" PRIu32, key);
        break;
    }
    case 'v': word_value(stream); break;
    case 'e': word_element(stream); break;
    case 'w': word(stream, "m%" PRIu64, below(stream, 400)); break;
    case 'z': word_score(stream); break;
    case 'y': word_weight(stream); break;
    case 'r': word_score_bound(stream); break;
    case 'x': word_lex_bound(stream); break;
    case 'i': word_integer(stream, -12, 24); break;
    case 'o': word_integer(stream, 0, (int64_t)stream->value_bytes_max * 2); break;
    case 'b': word_integer(stream, -8, (int64_t)(below(stream, 4) == 0 ? 80000 : 300)); break;
    case 'u': word_integer(stream, 0, below(stream, 16) == 0 ? 3 : 2); break;
    case 'f': word_float(stream); break;
    case 's': word_time(stream, 1000, 0); break;
    case 'm': word_time(stream, 1, 0); break;
    case 'S': word_time(stream, 1000, (int64_t)stream->now_ms); break;
    case 'M': word_time(stream, 1, (int64_t)stream->now_ms); break;
    default: UNREACHABLE("a placeholder that is none");
    }
}

void kv_templates_begin(struct kv_templates *stream, const char *const *templates, uint64_t seed,
                        uint32_t key_count, uint32_t value_bytes_max) {
    *stream = (struct kv_templates){
        .templates = templates, .key_count = key_count, .value_bytes_max = value_bytes_max};
    while (templates[stream->template_count] != NULL)
        stream->template_count++;
    ASSERT(stream->template_count <= KV_TEMPLATES_MAX);
    random_seed(&stream->random, seed);
    /* Three kinds, each as long as two of the longest values may be; the last is read beyond. */
    const size_t kind_bytes = (size_t)value_bytes_max * 2;
    const size_t length = kind_bytes * 4 + 1024;
    stream->values = malloc(length);
    ASSERT(stream->values != NULL);
    for (size_t i = 0; i < length; i++) {
        const size_t kind = i / kind_bytes;
        const uint64_t draw = random_u64(&stream->random);
        const char letter = (char)('a' + draw % 3);
        const char sparse = (char)(draw % 97 == 0 ? draw >> 32 : kind_bytes / 3 > i ? 0 : 0xff);
        stream->values[i] = kind == 0 ? sparse : kind == 1 ? letter : (char)draw;
    }
}

void kv_templates_end(struct kv_templates *stream) {
    free(stream->values);
}

size_t kv_templates_next(struct kv_templates *stream) {
    const size_t index = below(stream, stream->template_count);
    const char *at = stream->templates[index];
    stream->made[index]++;
    stream->count = 0;
    stream->is_unordered = *at == '~';
    at += stream->is_unordered;
    while (*at != 0) {
        const size_t length = strcspn(at, " ");
        if (*at == '@')
            word_of(stream, at[1]);
        else
            word(stream, "%.*s", (int)length, at);
        at += length + (at[length] == ' ');
    }
    if (below(stream, 200) == 0)
        word(stream, "more");
    return index;
}
