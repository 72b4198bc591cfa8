/* Templates become exactly the RESP that a client would send, keys are drawn as asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/key_picker.h"
#include "bench/request_mix.h"

#include "tests/cmocka_wrapper.h"

static struct request_mix mix;
static struct key_picker picker;
static struct random source;
static struct error_text error;
static char out[4096];

static int set_up(void **state) {
    (void)state;
    request_mix_init(&mix);
    random_seed(&source, 1);
    key_picker_init(&picker, KEY_SEQUENTIAL, 1000, 0, 0, 1);
    memset(&error, 0, sizeof error);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    request_mix_fini(&mix);
    return 0;
}

static const char *render(void) {
    assert_true(mix.request_bytes_max < sizeof out);
    size_t length = request_mix_render(&mix, &picker, &source, (uint8_t *)out);
    assert_true(length <= mix.request_bytes_max);
    out[length] = 0;
    return out;
}

static void a_command_line_that_means_nothing_is_refused(void **state) {
    (void)state;
    static const char *const BAD[] = {"", "   ", "SET \"open", "\"", "\t"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        error.text[0] = 0;
        assert_int_equal(request_mix_add_template(&mix, BAD[i], 1, 8, &error), WEIR_EINVAL);
        assert_true(error.text[0] != 0);
    }
    assert_int_equal(mix.template_count, 0);
}

static void a_mix_that_means_nothing_is_refused(void **state) {
    (void)state;
    static const char *const BAD[] = {"",       "foo",  "set:", "set:0",          "set:x",
                                      "set:-1", "set,", ",set", "set:50,nope:50", "set:99999999",
                                      "SET"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        error.text[0] = 0;
        assert_int_equal(request_mix_add_named(&mix, BAD[i], 8, &error), WEIR_EINVAL);
        assert_true(error.text[0] != 0);
        request_mix_fini(&mix);
    }
}

static void too_many_keys_or_commands_are_refused(void **state) {
    (void)state;
    char line[16 * (REQUEST_MIX_KEYS_PER_REQUEST_MAX + 2)] = "MGET";
    size_t length = strlen(line);
    for (int i = 0; i <= REQUEST_MIX_KEYS_PER_REQUEST_MAX; i++)
        length += (size_t)snprintf(line + length, sizeof line - length, " __rand__");
    assert_int_equal(request_mix_add_template(&mix, line, 1, 8, &error), WEIR_ELIMIT);
    for (int i = 0; i < REQUEST_MIX_TEMPLATES_MAX; i++)
        assert_int_equal(request_mix_add_template(&mix, "PING", 1, 8, &error), 0);
    assert_int_equal(request_mix_add_template(&mix, "PING", 1, 8, &error), WEIR_ELIMIT);
}

static void words_quotes_keys_and_data_are_expanded(void **state) {
    (void)state;
    int status = request_mix_add_template(
        &mix, "  SET k:__rand__:__rand_int__ __data__ \"two words\" \"\" end__data__", 1, 0,
        &error);
    assert_int_equal(status, 0);
    assert_string_equal(render(), "*6\r\n$3\r\nSET\r\n$27\r\nk:000000000000:000000000001\r\n"
                                  "$0\r\n\r\n$9\r\ntwo words\r\n$0\r\n\r\n$3\r\nend\r\n");
    assert_string_equal(render(), "*6\r\n$3\r\nSET\r\n$27\r\nk:000000000002:000000000003\r\n"
                                  "$0\r\n\r\n$9\r\ntwo words\r\n$0\r\n\r\n$3\r\nend\r\n");
}

static void a_value_has_the_asked_size(void **state) {
    (void)state;
    assert_int_equal(request_mix_add_template(&mix, "ECHO __data__", 1, 100, &error), 0);
    const char *request = render();
    static const char PREFIX[] = "*2\r\n$4\r\nECHO\r\n$100\r\n";
    assert_int_equal(strncmp(request, PREFIX, sizeof PREFIX - 1), 0);
    const char *value = request + sizeof PREFIX - 1;
    assert_int_equal(strspn(value, "abcdefghijklmnopqrstuvwxyz"), 100);
    assert_string_equal(value + 100, "\r\n");
}

static void every_name_of_the_list_is_known(void **state) {
    (void)state;
    char names[256];
    uint32_t count = 1;
    snprintf(names, sizeof names, "%s", request_mix_names());
    for (char *at = names; *at; at++) {
        if (*at == ' ') {
            *at = ',';
            count++;
        }
    }
    assert_int_equal(request_mix_add_named(&mix, names, 8, &error), 0);
    assert_int_equal(mix.template_count, count);
    assert_true(count >= 10);
}

static void weights_are_kept(void **state) {
    (void)state;
    enum { DRAWS = 100000 };
    uint32_t gets = 0;
    assert_int_equal(request_mix_add_named(&mix, "set:30,get:70", 8, &error), 0);
    for (int i = 0; i < DRAWS; i++)
        gets += strstr(render(), "GET") != NULL;
    assert_in_range(gets, DRAWS * 69 / 100, DRAWS * 71 / 100);
}

static void uniform_keys_reach_all_alike(void **state) {
    (void)state;
    enum { KEYS = 10, DRAWS = 100000 };
    uint32_t seen[KEYS] = {0};
    key_picker_init(&picker, KEY_UNIFORM, KEYS, 0, 0, 1);
    for (int i = 0; i < DRAWS; i++)
        seen[key_picker_next(&picker, &source)]++;
    for (int i = 0; i < KEYS; i++)
        assert_in_range(seen[i], DRAWS / KEYS * 95 / 100, DRAWS / KEYS * 105 / 100);
}

/* The share of key k is 1 / (k + 1)^theta over the sum of all: exact for two, near for the rest. */
static void zipf_keys_have_the_shares_of_the_law(void **state) {
    (void)state;
    enum { KEYS = 1000, DRAWS = 1000000 };
    uint32_t *seen = calloc(KEYS, sizeof *seen);
    assert_non_null(seen);
    key_picker_init(&picker, KEY_ZIPF, KEYS, 0.99, 0, 1);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t key = key_picker_next(&picker, &source);
        assert_true(key < KEYS);
        seen[key]++;
    }
    /* zeta(1000, 0.99) = 7.7290; key 0 has 12.94 % and key 1 6.51 %. */
    assert_in_range(seen[0], DRAWS * 0.1274, DRAWS * 0.1314);
    assert_in_range(seen[1], DRAWS * 0.0636, DRAWS * 0.0666);
    uint32_t hottest_tenth = 0;
    for (int i = 0; i < KEYS / 10; i++)
        hottest_tenth += seen[i];
    /* zeta(100, 0.99) / zeta(1000, 0.99) = 68.5 %. */
    assert_in_range(hottest_tenth, DRAWS * 0.665, DRAWS * 0.705);
    free(seen);
}

static void zipf_over_one_or_two_keys_stays_inside(void **state) {
    (void)state;
    for (uint64_t keys = 1; keys <= 3; keys++) {
        key_picker_init(&picker, KEY_ZIPF, keys, 0.5, 0, 1);
        for (int i = 0; i < 10000; i++)
            assert_true(key_picker_next(&picker, &source) < keys);
    }
}

static void sequential_threads_fill_the_key_space_once(void **state) {
    (void)state;
    enum { KEYS = 12, THREADS = 3 };
    uint32_t seen[KEYS] = {0};
    for (uint64_t thread = 0; thread < THREADS; thread++) {
        key_picker_init(&picker, KEY_SEQUENTIAL, KEYS, 0, thread, THREADS);
        for (int i = 0; i < KEYS / THREADS; i++)
            seen[key_picker_next(&picker, &source)]++;
    }
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(seen[i], 1);
}

#define MIX_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        MIX_TEST(a_command_line_that_means_nothing_is_refused),
        MIX_TEST(a_mix_that_means_nothing_is_refused),
        MIX_TEST(too_many_keys_or_commands_are_refused),
        MIX_TEST(words_quotes_keys_and_data_are_expanded),
        MIX_TEST(a_value_has_the_asked_size),
        MIX_TEST(every_name_of_the_list_is_known),
        MIX_TEST(weights_are_kept),
        MIX_TEST(uniform_keys_reach_all_alike),
        MIX_TEST(zipf_keys_have_the_shares_of_the_law),
        MIX_TEST(zipf_over_one_or_two_keys_stays_inside),
        MIX_TEST(sequential_threads_fill_the_key_space_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
