/* Scores are read to the bit as strtod reads them, by Redis 7.0.15's rules. */

#include "base/assert.h"
#include "base/bytes.h"
#include "base/random.h"
#include "machines/kv_float.h"
#include "machines/kv_score.h"

#include "tests/cmocka_wrapper.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct machine_argument argument_of(const char *text) {
    return (struct machine_argument){(const uint8_t *)text, (uint32_t)strlen(text)};
}

/* Redis's rule (string2d): all of the text, no space in front, not out of range. */
static bool reference_parse(const char *text, double *score) {
    char *end;
    errno = 0;
    *score = strtod(text, &end);
    return text[0] != 0 && !isspace((unsigned char)text[0]) && *end == 0 && !isnan(*score) &&
           !(errno == ERANGE && (isinf(*score) || *score == 0));
}

/* Redis's rule (zslParseRange): what strtod leaves is empty. */
static bool reference_bound(const char *text, double *score) {
    char *end;
    *score = strtod(text + (text[0] == '('), &end);
    return *end == 0 && !isnan(*score);
}

static void check(const char *text) {
    const struct machine_argument argument = argument_of(text);
    double expected;
    double score = 0;
    uint32_t units = 0;
    const bool is_score = reference_parse(text, &expected);
    if (kv_score_parse(&argument, &score, &units) != is_score ||
        (is_score && memcmp(&score, &expected, sizeof(score)) != 0))
        fail_msg("score \"%.100s\": %a, not %a", text, score, expected);
    struct kv_score_bound bound;
    const bool is_bound = reference_bound(text, &expected);
    if (kv_score_bound_parse(&argument, &bound) != is_bound ||
        (is_bound && memcmp(&bound.score, &expected, sizeof(expected)) != 0))
        fail_msg("bound \"%.100s\": %a, not %a", text, bound.score, expected);
}

static void what_is_no_number_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"",     ".",     "-",   "+",  "+-1",  "1x",    "x",
                                        "1..2", "1e",    "1e+", "0x", "0x1p", " 1",    "1 ",
                                        "nan",  "-nan",  "((1", "e1", ".e1",  "inf1",  "--1",
                                        "1,5",  "0x.p1", "  ",  "(",  "(nan", "1e5.0", "infi"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        check(texts[i]);
    double score;
    uint32_t units = 0;
    const struct machine_argument zero = {(const uint8_t *)"1\0", 2};
    assert_false(kv_score_parse(&zero, &score, &units));
    static char long_text[KV_FLOAT_PARSE_BYTES_MAX + 2];
    memset(long_text, '1', sizeof(long_text) - 1);
    const struct machine_argument too_long = argument_of(long_text);
    assert_false(kv_score_parse(&too_long, &score, &units)); /* Redis reads it */
    long_text[KV_FLOAT_PARSE_BYTES_MAX] = 0;
    long_text[300] = '.';
    check(long_text);
}

static void a_bound_is_read_more_loosely_than_a_score(void **state) {
    (void)state;
    struct kv_score_bound bound;
    const struct machine_argument zero = {(const uint8_t *)"(1\0abc", 6};
    assert_true(kv_score_bound_parse(&zero, &bound));
    assert_true(bound.score == 1 && bound.exclusive);
    const struct machine_argument empty = {NULL, 0};
    assert_true(kv_score_bound_parse(&empty, &bound));
    assert_true(bound.score == 0 && !bound.exclusive);
    static const char *const texts[] = {"(",      "\t1",    "( 2",  "1e999", "-1e999",
                                        "1e-999", "(1e999", "-inf", "(+inf", "\v\f\r\n 3"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        check(texts[i]);
}

/* Spaces count, since they are looked at: however long a text is, a part of it is read. */
static void a_bound_is_as_long_as_a_number_with_its_spaces(void **state) {
    (void)state;
    enum { BYTES = KV_FLOAT_PARSE_BYTES_MAX };
    static uint8_t spaces[BYTES + 2];
    struct kv_score_bound bound;
    memset(spaces, ' ', sizeof(spaces));
    spaces[BYTES] = '1';
    assert_false(
        kv_score_bound_parse(&(struct machine_argument){spaces, BYTES + 1}, &bound)); /* Redis: 1 */
    assert_true(kv_score_bound_parse(&(struct machine_argument){spaces + 1, BYTES}, &bound));
    assert_true(bound.score == 1);
    spaces[BYTES] = 0; /* what is behind it does not count */
    spaces[BYTES - 1] = '2';
    assert_true(kv_score_bound_parse(&(struct machine_argument){spaces, BYTES + 2}, &bound));
    assert_true(bound.score == 2);
}

static void edges_are_rounded_as_by_strtod(void **state) {
    (void)state;
    static const char *const texts[] = {"0",
                                        "-0",
                                        "00",
                                        "1.",
                                        ".5",
                                        "+1",
                                        "-.5",
                                        "999999999999999",
                                        "9999999999999999",
                                        "0.000000000000001",
                                        "1e5",
                                        "1E-5",
                                        "1e400",
                                        "-1e400",
                                        "1e-400",
                                        "0e99999",
                                        "1e99999999999",
                                        "4.9406564584124654e-324",
                                        "2.4703282292062327e-324",
                                        "2.4703282292062328e-324",
                                        "2.2250738585072011e-308",
                                        "2.2250738585072014e-308",
                                        "1.7976931348623157e308",
                                        "1.7976931348623158e308",
                                        "1.7976931348623159e308",
                                        "179769313486231580793e289",
                                        "9007199254740993",
                                        "9007199254740992.5",
                                        "9007199254740993.000000000000000000000000001",
                                        "0x1p-1074",
                                        "0x1p-1075",
                                        "0x1.8p-1075",
                                        "0x1p1024",
                                        "0x.8p1",
                                        "0x1.fffffffffffff8p1023",
                                        "0x1.fffffffffffff7fp1023",
                                        "inf",
                                        "-inf",
                                        "+inf",
                                        "infinity",
                                        "-InFiNiTy"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        check(texts[i]);
}

static void any_double_is_read_back(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 5);
    for (int i = 0; i < 60000; i++) {
        const uint64_t bits = random_u64(&random);
        double value;
        char text[1400];
        memcpy(&value, &bits, sizeof(value));
        if (isnan(value))
            continue;
        switch (random_below(&random, 5)) {
        case 0: snprintf(text, sizeof(text), "%.17g", value); break;
        case 1: snprintf(text, sizeof(text), "%.*g", (int)random_below(&random, 25), value); break;
        case 2: snprintf(text, sizeof(text), "%a", value); break;
        case 3:
            snprintf(text, sizeof(text), "%lld.%llu", (long long)(bits >> bits % 64),
                     (unsigned long long)(random_u64(&random) >> bits % 61));
            break;
        default: { /* halfway between two */
            const uint64_t next_bits = bits + 1;
            double next;
            memcpy(&next, &next_bits, sizeof(next));
            if (i % 50 != 0 || isinf(value) || isinf(next))
                continue;
            snprintf(text, sizeof(text), "%.1200Lg", ((long double)value + (long double)next) / 2);
        }
        }
        check(text);
    }
}

static void what_is_not_a_number_becomes_0(void **state) {
    (void)state;
    assert_true(kv_score_aggregate(KV_AGGREGATE_SUM, HUGE_VAL, -HUGE_VAL) == 0);
    assert_true(kv_score_aggregate(KV_AGGREGATE_SUM, HUGE_VAL, 1) == HUGE_VAL);
    assert_true(kv_score_aggregate(KV_AGGREGATE_MIN, 1, -HUGE_VAL) == -HUGE_VAL);
    assert_true(kv_score_aggregate(KV_AGGREGATE_MAX, 1, 2) == 2);
    assert_true(kv_score_weighted(0, HUGE_VAL) == 0);
    assert_true(kv_score_weighted(-2, HUGE_VAL) == -HUGE_VAL);
    uint8_t bytes[8];
    kv_score_put(bytes, -0.0);
    assert_false(signbit(kv_score_get(bytes)));
    kv_score_put(bytes, -1.5);
    assert_true(kv_score_get(bytes) == -1.5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(a_bound_is_read_more_loosely_than_a_score),
        cmocka_unit_test(a_bound_is_as_long_as_a_number_with_its_spaces),
        cmocka_unit_test(edges_are_rounded_as_by_strtod),
        cmocka_unit_test(any_double_is_read_back),
        cmocka_unit_test(what_is_not_a_number_becomes_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
