/*
 * A command is its name, then words made by a function of its own; what was made is counted under
 * the name of the feature. Wrong words come seldom enough that most commands have an effect.
 */

#include "tests/machines/kv_stream.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One for each command and each option: what the test counts. */
static const char *const features[KV_STREAM_FEATURES + 1] = {
    "get",         "set",        "del",         "exists",     "incr",          "decr",
    "incrby",      "append",     "strlen",      "mget",       "mset",          "ttl",
    "pttl",        "expire",     "pexpire",     "persist",    "type",          "dbsize",
    "flushall",    "flushdb",    "keys",        "scan",       "set NX",        "set XX",
    "set GET",     "set EX",     "set PX",      "set EXAT",   "set PXAT",      "set KEEPTTL",
    "set wrong",   "expire NX",  "expire XX",   "expire GT",  "expire LT",     "expire wrong",
    "pexpire NX",  "pexpire XX", "pexpire GT",  "pexpire LT", "flushall SYNC", "flushdb ASYNC",
    "flush wrong", "scan MATCH", "scan COUNT",  "scan TYPE",  "scan wrong",    "wrong integer",
    "wrong arity", "long value", "empty value", "set mixed",
};

const char *kv_stream_feature(size_t index) {
    return index <= KV_STREAM_FEATURES ? features[index] : NULL;
}

static void made(struct kv_stream *stream, const char *feature) {
    for (size_t i = 0; i < KV_STREAM_FEATURES; i++)
        if (features[i] != NULL && strcmp(features[i], feature) == 0) {
            stream->made[i]++;
            return;
        }
    UNREACHABLE("a feature that is not in the list");
}

static uint64_t below(struct kv_stream *stream, uint64_t limit) {
    return random_below(&stream->random, limit);
}

static bool one_in(struct kv_stream *stream, uint64_t n) {
    return random_chance(&stream->random, 1, n);
}

/* ---- Words ----------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void word(struct kv_stream *stream, const char *format,
                                                       ...) {
    ASSERT(stream->count < KV_STREAM_WORDS_MAX);
    char *memory = stream->memory[stream->count];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(memory, sizeof(stream->memory[0]), format, arguments);
    va_end(arguments);
    ASSERT(length >= 0 && (size_t)length < sizeof(stream->memory[0]));
    stream->words[stream->count++] = (struct kv_model_word){memory, (size_t)length};
}

/* A word in upper, lower or mixed case. */
static void word_case(struct kv_stream *stream, const char *text) {
    word(stream, "%s", text);
    const uint64_t lower = below(stream, 3);
    char *memory = stream->memory[stream->count - 1];
    for (size_t i = 0; memory[i] != 0; i++)
        if (memory[i] >= 'A' && memory[i] <= 'Z' && (lower == 1 || (lower == 2 && i % 2 == 1)))
            memory[i] = (char)(memory[i] + 32);
}

static void word_key(struct kv_stream *stream) {
    const uint32_t key = (uint32_t)below(stream, stream->key_count);
    switch (key % 16) {
    case 0: word(stream, "{tag}%" PRIu32, key); break;
    case 1: word(stream, "user:{tag%" PRIu32 "}:name", key % 64); break;
    case 2: word(stream, "key with a longer name than most others %" PRIu32, key); break;
    case 3: word(stream, "%s", key == 3 ? "" : "{}"); break;
    default: word(stream, "k%" PRIu32, key); break;
    }
}

static void word_value(struct kv_stream *stream) {
    const uint64_t kind = below(stream, 64);
    if (kind < 20) {
        word(stream, "%" PRId64, (int64_t)below(stream, 2000) - 1000);
    } else if (kind < 24) {
        static const char *const odd[] = {
            "9223372036854775807", "-9223372036854775808", "+1", "01", " 1", "1 ", "-0",
            "9223372036854775808"};
        word(stream, "%s", odd[below(stream, ARRAY_COUNT(odd))]);
    } else if (kind == 24) {
        made(stream, "empty value");
        word(stream, "%s", "");
    } else {
        const bool is_long = kind < 27;
        const uint64_t limit = is_long ? stream->value_bytes_max : kind < 40 ? 600 : 40;
        if (is_long)
            made(stream, "long value");
        stream->words[stream->count++] = (struct kv_model_word){
            stream->value + below(stream, 64), below(stream, limit) + (is_long ? limit / 2 : 0)};
    }
}

static void word_integer(struct kv_stream *stream, int64_t low, int64_t high) {
    static const char *const wrong[] = {
        "", "abc", "1.5", "+5", "007", " 1", "1 ", "0x1", "9223372036854775808"};
    if (one_in(stream, 24)) {
        made(stream, "wrong integer");
        word(stream, "%s", wrong[below(stream, ARRAY_COUNT(wrong))]);
    } else if (one_in(stream, 24)) {
        word(stream, "%" PRId64, one_in(stream, 2) ? INT64_MAX : INT64_MIN);
    } else {
        word(stream, "%" PRId64, low + (int64_t)below(stream, (uint64_t)(high - low)));
    }
}

static void word_pattern(struct kv_stream *stream) {
    static const char *const patterns[] = {
        "*",   "k*",   "k?", "*1", "k[0-4]*", "k[^1]*", "*{tag*", "[a-k]*",
        "k[1", "\\k*", "**", "",   "k*1*2",   "*e*e*",  "[^",     "k[5-1]",
        "?",   "k\\",  "*[", "{}", "user:*",  "k[\\1]", "*name",  "a*a*a*b",
    };
    word(stream, "%s", patterns[below(stream, ARRAY_COUNT(patterns))]);
}

/* ---- Commands -------------------------------------------------------------------------------- */

static void make_amount(struct kv_stream *stream, const char *unit) {
    if (strcmp(unit, "EX") == 0)
        word_integer(stream, -1, 4);
    else if (strcmp(unit, "PX") == 0)
        word_integer(stream, -10, 3000);
    else if (strcmp(unit, "EXAT") == 0)
        word_integer(stream, (int64_t)stream->now_ms / 1000 - 1,
                     (int64_t)stream->now_ms / 1000 + 4);
    else
        word_integer(stream, (int64_t)stream->now_ms - 500, (int64_t)stream->now_ms + 3000);
}

static void make_set_option(struct kv_stream *stream) {
    static const char *const options[] = {"NX", "XX", "GET", "KEEPTTL", "EX", "PX", "EXAT", "PXAT"};
    const char *option = options[below(stream, ARRAY_COUNT(options))];
    char feature[16];
    snprintf(feature, sizeof(feature), "set %s", option);
    made(stream, feature);
    word_case(stream, option);
    if (option[0] == 'E' || option[0] == 'P')
        make_amount(stream, option);
}

static void make_set(struct kv_stream *stream) {
    word_key(stream);
    word_value(stream);
    uint64_t options = below(stream, 4);
    if (options > 1)
        made(stream, "set mixed");
    while (options-- > 0)
        make_set_option(stream);
    if (one_in(stream, 16)) {
        static const char *const wrong[] = {"FOO", "", "E", "NXX", "EX"};
        made(stream, "set wrong");
        word(stream, "%s", wrong[below(stream, ARRAY_COUNT(wrong))]);
    }
}

static void make_expire(struct kv_stream *stream, const char *name) {
    static const char *const options[] = {"NX", "XX", "GT", "LT"};
    word_key(stream);
    if (strcmp(name, "expire") == 0)
        word_integer(stream, -1, 4);
    else
        word_integer(stream, -100, 3000);
    for (uint64_t i = below(stream, 3); i > 0; i--) {
        const char *option = options[below(stream, 4)];
        char feature[16];
        snprintf(feature, sizeof(feature), "%s %s", name, option);
        made(stream, feature);
        word_case(stream, option);
    }
    if (one_in(stream, 16)) {
        made(stream, "expire wrong");
        word(stream, "%s", one_in(stream, 2) ? "foo" : "");
    }
}

static void make_flush(struct kv_stream *stream, const char *name) {
    const uint64_t kind = below(stream, 4);
    if (kind == 0 && strcmp(name, "flushall") == 0) {
        made(stream, "flushall SYNC");
        word_case(stream, "SYNC");
    } else if (kind == 0) {
        made(stream, "flushdb ASYNC");
        word_case(stream, "ASYNC");
    } else if (kind < 3) {
        made(stream, "flush wrong");
        word(stream, "foo");
        if (kind == 2)
            word(stream, "SYNC");
    }
}

static void make_scan(struct kv_stream *stream) {
    word(stream, "0");
    made(stream, "scan COUNT");
    word_case(stream, "COUNT");
    word(stream, "1000000");
    if (one_in(stream, 2)) {
        made(stream, "scan MATCH");
        word_case(stream, "MATCH");
        word_pattern(stream);
    }
    if (one_in(stream, 3)) {
        made(stream, "scan TYPE");
        word_case(stream, "TYPE");
        word_case(stream, one_in(stream, 2) ? "STRING" : "HASH");
    }
    if (one_in(stream, 3)) {
        made(stream, "scan wrong");
        switch (below(stream, 4)) {
        case 0: word(stream, "MATCH"); break;
        case 1:
            word(stream, "COUNT");
            word_integer(stream, -1, 1);
            break;
        case 2:
            word(stream, "FOO");
            word(stream, "1");
            break;
        default: stream->count--; break;
        }
    }
}

static void make_keys(struct kv_stream *stream, size_t limit, bool with_values) {
    for (uint64_t i = below(stream, limit) + 1; i > 0; i--) {
        word_key(stream);
        if (with_values)
            word_value(stream);
    }
}

static void make_one(struct kv_stream *stream, const char *name) {
    if (strcmp(name, "set") == 0) {
        make_set(stream);
    } else if (strcmp(name, "expire") == 0 || strcmp(name, "pexpire") == 0) {
        make_expire(stream, name);
    } else if (strncmp(name, "flush", 5) == 0) {
        make_flush(stream, name);
    } else if (strcmp(name, "scan") == 0) {
        make_scan(stream);
    } else if (strcmp(name, "keys") == 0) {
        word_pattern(stream);
    } else if (strcmp(name, "mset") == 0) {
        make_keys(stream, 6, true);
        if (one_in(stream, 16))
            word_key(stream);
    } else if (strcmp(name, "del") == 0 || strcmp(name, "exists") == 0 ||
               strcmp(name, "mget") == 0) {
        make_keys(stream, 5, false);
    } else if (strcmp(name, "dbsize") != 0) {
        word_key(stream);
        if (strcmp(name, "append") == 0)
            word_value(stream);
        else if (strcmp(name, "incrby") == 0)
            word_integer(stream, -1000, 1000);
    }
}

void kv_stream_begin(struct kv_stream *stream, uint64_t seed, uint32_t key_count,
                     uint32_t value_bytes_max) {
    *stream = (struct kv_stream){
        .key_count = key_count, .value_bytes_max = value_bytes_max, .flush_divisor = 1};
    random_seed(&stream->random, seed);
    /* A word begins in the first 64 bytes and is at most 600 long, or twice the maximum. */
    const size_t length = 64 + 600 + (size_t)value_bytes_max * 2;
    stream->value = malloc(length);
    ASSERT(stream->value != NULL);
    for (size_t i = 0; i < length; i++)
        stream->value[i] = (char)random_u64(&stream->random);
}

void kv_stream_end(struct kv_stream *stream) {
    free(stream->value);
}

void kv_stream_next(struct kv_stream *stream) {
    /* SET and the like more often than the rest, FLUSHALL and KEYS seldom. */
    static const uint8_t weights[22] = {10, 20, 6, 4, 5, 4, 5, 8, 4, 5, 6,
                                        4,  4,  8, 8, 4, 3, 3, 1, 1, 2, 2};
    uint64_t sum = 0;
    for (size_t i = 0; i < ARRAY_COUNT(weights); i++)
        sum += weights[i];
    uint64_t pick = below(stream, sum);
    size_t row = 0;
    while (pick >= weights[row])
        pick -= weights[row++];
    if (strncmp(features[row], "flush", 5) == 0 && !one_in(stream, stream->flush_divisor))
        row = 1;
    stream->count = 0;
    made(stream, features[row]);
    word_case(stream, features[row]);
    make_one(stream, features[row]);
    if (one_in(stream, 100)) {
        made(stream, "wrong arity");
        stream->count = 1;
        if (strcmp(features[row], "dbsize") == 0)
            word(stream, "x");
    }
}
