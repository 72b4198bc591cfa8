/* One spelling for each number: what parses is what formatting gives, and nothing else parses. */

#include "base/decimal.h"
#include "base/error.h"
#include "base/random.h"

#include "tests/cmocka_wrapper.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect_i64_refused(const char *text, size_t length_bytes) {
    int64_t value = 4711;
    if (decimal_parse_i64(text, length_bytes, &value) != WEIR_EINVAL)
        fail_msg("accepted as i64: \"%.*s\" = %" PRId64, (int)length_bytes, text, value);
    assert_true(value == 4711);
}

static void expect_u64_refused(const char *text, size_t length_bytes) {
    uint64_t value = 4711;
    if (decimal_parse_u64(text, length_bytes, &value) != WEIR_EINVAL)
        fail_msg("accepted as u64: \"%.*s\" = %" PRIu64, (int)length_bytes, text, value);
    assert_true(value == 4711);
}

static void other_spellings_are_refused_and_leave_the_value(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",      "-",   "+1",  "-0",  "00",  "01",   "-01",
        " 1",    "1 ",  "\t1", "1\n", "--1", "1-",   "1.0",
        "1e3",   "0x1", "a",   "1a",  "a1",  "+",    "+0",
        "1,000", "/",   ":",   "1/2", "1:2", "\xb1", "-a",
        "- 1",   "١",   "inf", "nan", "-+1", "0-",   "00000000000000000001",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        expect_i64_refused(texts[i], strlen(texts[i]));
        expect_u64_refused(texts[i], strlen(texts[i]));
    }
    expect_i64_refused("1\0", 2);
    expect_u64_refused("\0", 1);
    expect_u64_refused("-1", 2);
}

static void numbers_out_of_range_are_refused(void **state) {
    (void)state;
    expect_i64_refused("9223372036854775808", 19);
    expect_i64_refused("-9223372036854775809", 20);
    expect_i64_refused("18446744073709551615", 20);
    expect_i64_refused("-18446744073709551615", 21);
    expect_i64_refused("10000000000000000000", 20);
    expect_u64_refused("18446744073709551616", 20);
    expect_u64_refused("18446744073709551620", 20);
    expect_u64_refused("99999999999999999999", 20);
    expect_u64_refused("100000000000000000000", 21);
    expect_i64_refused("-100000000000000000000000000000000000000", 40);
}

struct decimal_case {
    const char *text;
    int64_t value;
};

static void the_limits_of_i64_pass_both_ways(void **state) {
    (void)state;
    static const struct decimal_case cases[] = {
        {"0", 0},
        {"9", 9},
        {"10", 10},
        {"99", 99},
        {"100", 100},
        {"101", 101},
        {"-1", -1},
        {"-10", -10},
        {"-100", -100},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"-9223372036854775807", -INT64_MAX},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[DECIMAL_BYTES_MAX];
        assert_int_equal(decimal_format_i64(text, cases[i].value), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
        int64_t value = 4711;
        assert_int_equal(decimal_parse_i64(text, strlen(text), &value), 0);
        assert_true(value == cases[i].value);
    }
}

static void the_limits_of_u64_pass_both_ways(void **state) {
    (void)state;
    char text[DECIMAL_BYTES_MAX];
    assert_int_equal(decimal_format_u64(text, UINT64_MAX), 20);
    assert_string_equal(text, "18446744073709551615");
    uint64_t value = 0;
    assert_int_equal(decimal_parse_u64(text, 20, &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(decimal_format_u64(text, 0), 1);
    assert_string_equal(text, "0");
    assert_int_equal(decimal_parse_u64(text, 1, &value), 0);
    assert_true(value == 0);
}

static void random_numbers_of_every_length_agree_with_the_c_library(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 5);
    for (int round = 0; round < 200000; round++) {
        const uint64_t number = random_u64(&random) >> random_below(&random, 64);
        char text[DECIMAL_BYTES_MAX], expected[32];
        uint64_t parsed;
        size_t length_bytes = decimal_format_u64(text, number);
        assert_int_equal(snprintf(expected, sizeof(expected), "%" PRIu64, number), length_bytes);
        assert_string_equal(text, expected);
        assert_int_equal(decimal_parse_u64(text, length_bytes, &parsed), 0);
        assert_true(parsed == number);

        int64_t parsed_signed;
        length_bytes = decimal_format_i64(text, (int64_t)number);
        assert_int_equal(snprintf(expected, sizeof(expected), "%" PRId64, (int64_t)number),
                         length_bytes);
        assert_string_equal(text, expected);
        assert_int_equal(decimal_parse_i64(text, length_bytes, &parsed_signed), 0);
        assert_true(parsed_signed == (int64_t)number);
    }
}

/* Whatever parses has exactly the text that formatting gives back. */
static void random_text_parses_only_in_its_one_spelling(void **state) {
    (void)state;
    static const char alphabet[] = "0123456789-+ 0019";
    struct random random;
    random_seed(&random, 6);
    int accepted_count = 0;
    for (int round = 0; round < 200000; round++) {
        char text[24];
        const size_t length_bytes = (size_t)random_below(&random, 23);
        for (size_t i = 0; i < length_bytes; i++)
            text[i] = alphabet[random_below(&random, sizeof(alphabet) - 1)];
        int64_t value;
        if (decimal_parse_i64(text, length_bytes, &value) != 0)
            continue;
        accepted_count++;
        char again[DECIMAL_BYTES_MAX];
        assert_int_equal(decimal_format_i64(again, value), length_bytes);
        assert_memory_equal(again, text, length_bytes);
    }
    assert_true(accepted_count > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_spellings_are_refused_and_leave_the_value),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(the_limits_of_i64_pass_both_ways),
        cmocka_unit_test(the_limits_of_u64_pass_both_ways),
        cmocka_unit_test(random_numbers_of_every_length_agree_with_the_c_library),
        cmocka_unit_test(random_text_parses_only_in_its_one_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
