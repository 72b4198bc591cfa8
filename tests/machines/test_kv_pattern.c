/* Glob patterns: machines/kv_pattern.h. */

#include "machines/kv_pattern.h"

#include "base/bytes.h"
#include "base/random.h"
#include "sim/kv_model_text.h"
#include "tests/cmocka_wrapper.h"

#include <stdlib.h>
#include <string.h>

static void patterns_are_those_of_redis(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        const char *text;
        bool matches;
    } cases[] = {
        {"", "", true},         {"*", "", true},          {"**", "", false},
        {"", "a", false},       {"a", "a", true},         {"a*", "a", true},
        {"*a", "ba", true},     {"*ab*", "aab", true},    {"?", "a", true},
        {"?", "", false},       {"[abc]", "b", true},     {"[^abc]", "b", false},
        {"[a-c]x", "bx", true}, {"[c-a]x", "bx", true},   {"[a", "a", true},
        {"[", "a", false},      {"[^", "a", true},        {"\\*", "*", true},
        {"\\*", "a", false},    {"\\", "\\", true},       {"a\\", "a\\", true},
        {"[\\]]", "]", true},   {"h*l?o", "hello", true}, {"*l*l*l*", "hello", false},
        {"[a-", "a", true},     {"[a-", "-", true},       {"a**b", "ab", true},
        {"*?", "a", true},      {"a*?b", "ab", false},    {"[]]", "]", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct kv_pattern_state position = {0};
        uint32_t units = 1000;
        const enum kv_pattern_result result = kv_pattern_match(
            (const uint8_t *)cases[i].pattern, (uint32_t)strlen(cases[i].pattern),
            (const uint8_t *)cases[i].text, (uint32_t)strlen(cases[i].text), &position, &units);
        if ((result == KV_PATTERN_MATCHES) != cases[i].matches)
            fail_msg("%s against %s", cases[i].pattern, cases[i].text);
    }
}

/* A pattern of stars against a key made for it: slices, and steps bounded by the product. */
static void a_pathological_pattern_is_left_and_taken_up_again(void **state) {
    (void)state;
    enum { TEXT = 60000, RUN = 4000 };
    char *text = malloc(TEXT);
    char *pattern = malloc(RUN + 2);
    assert_true(text != NULL && pattern != NULL);
    memset(text, 'a', TEXT);

    /* "a*a*a*...b": recursion would never end; here each star is settled once. */
    for (size_t i = 0; i < RUN; i++)
        pattern[i] = i % 2 == 0 ? 'a' : '*';
    pattern[RUN] = 'b';
    struct kv_pattern_state position = {0};
    uint32_t units = 1u << 20;
    assert_int_equal(kv_pattern_match((const uint8_t *)pattern, RUN + 1, (const uint8_t *)text,
                                      TEXT, &position, &units),
                     KV_PATTERN_DIFFERS);
    assert_true((1u << 20) - units < 4 * (TEXT + RUN) / 64);

    /* "*aaa...b": the product of both lengths, 64 beginnings at a time, in slices. */
    memset(pattern, 'a', RUN);
    pattern[0] = '*';
    uint64_t calls = 0;
    enum kv_pattern_result result;
    do {
        units = 1000;
        result = kv_pattern_match((const uint8_t *)pattern, RUN + 1, (const uint8_t *)text, TEXT,
                                  &position, &units);
        calls++;
    } while (result == KV_PATTERN_MORE);
    assert_int_equal(result, KV_PATTERN_DIFFERS);
    assert_true(calls >= 10 && calls <= (uint64_t)TEXT * RUN / 64 * 4 / 64000 + 10);

    /* "*[bbb...]": a set costs what it has, also where it does not match. */
    memset(pattern, 'b', RUN);
    memcpy(pattern, "*[", 2);
    pattern[RUN] = ']';
    units = RUN / 64;
    assert_int_equal(kv_pattern_match((const uint8_t *)pattern, RUN + 1, (const uint8_t *)text,
                                      1000, &position, &units),
                     KV_PATTERN_MORE);
    free(text);
    free(pattern);
}

/* Short alphabets, so that much matches for long; texts around the 64 that are looked at. */
static void long_texts_match_as_a_recursive_matcher_says(void **state) {
    (void)state;
    static const char *const parts[] = {"a", "b", "aa", "?", "[ab]", "[^b]", "[a-", "\\a", "]"};
    struct random random;
    random_seed(&random, 7);
    uint32_t matched = 0;
    for (int round = 0; round < 3000; round++) {
        char pattern[64] = "*";
        char text[260];
        uint32_t text_bytes = 1 + (uint32_t)random_below(&random, 256);
        /* Two stars at most: the other matcher tries every way. */
        const uint64_t star = random_below(&random, 6);
        uint32_t pattern_bytes = 1;
        for (uint64_t part = 0; part < 6; part++) {
            const char *piece =
                part == star ? "*" : parts[random_below(&random, ARRAY_COUNT(parts))];
            memcpy(pattern + pattern_bytes, piece, strlen(piece));
            pattern_bytes += (uint32_t)strlen(piece);
        }
        for (uint32_t i = 0; i < text_bytes; i++)
            text[i] = random_below(&random, 8) == 0 ? 'b' : 'a';
        struct kv_pattern_state position = {0};
        enum kv_pattern_result result;
        do {
            uint32_t units = 1;
            result = kv_pattern_match((const uint8_t *)pattern, pattern_bytes,
                                      (const uint8_t *)text, text_bytes, &position, &units);
        } while (result == KV_PATTERN_MORE);
        const bool expected =
            kv_model_glob(pattern, pattern + pattern_bytes, text, text + text_bytes);
        if ((result == KV_PATTERN_MATCHES) != expected)
            fail_msg("%.*s against %.*s", (int)pattern_bytes, pattern, (int)text_bytes, text);
        matched += expected;
    }
    assert_in_range(matched, 300, 2700);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_are_those_of_redis),
        cmocka_unit_test(a_pathological_pattern_is_left_and_taken_up_again),
        cmocka_unit_test(long_texts_match_as_a_recursive_matcher_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
