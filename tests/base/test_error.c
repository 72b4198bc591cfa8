/* Every error has its own name, and a sentence is never longer than its room. */

#include "base/error.h"

#include "tests/cmocka_wrapper.h"

#include <string.h>

static void what_is_no_error_has_no_name(void **state) {
    (void)state;
    assert_string_equal(error_name(1), "unknown error");
    assert_string_equal(error_name(WEIR_EADDRINUSE - 1), "unknown error");
    assert_string_equal(error_name(INT32_MIN), "unknown error");
}

static void every_error_has_a_name_of_its_own(void **state) {
    (void)state;
    for (int error = WEIR_OK; error >= WEIR_EADDRINUSE; error--) {
        assert_memory_equal(error_name(error), "WEIR_", 5);
        for (int other = WEIR_OK; other > error; other--)
            assert_string_not_equal(error_name(error), error_name(other));
    }
    assert_string_equal(error_name(WEIR_OK), "WEIR_OK");
    assert_string_equal(error_name(WEIR_EIO), "WEIR_EIO");
    assert_string_equal(error_name(WEIR_EADDRINUSE), "WEIR_EADDRINUSE");
}

static void a_sentence_too_long_is_cut_and_says_so(void **state) {
    (void)state;
    char path[2 * ERROR_TEXT_BYTES];
    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    struct error_text text;
    memset(&text, 0x7f, sizeof(text));
    error_text_set(&text, "%s", path);
    assert_int_equal(strlen(text.text), ERROR_TEXT_BYTES - 1);
    assert_string_equal(text.text + ERROR_TEXT_BYTES - 5, "p...");
}

static void a_sentence_that_just_fits_is_whole(void **state) {
    (void)state;
    struct error_text text;
    error_text_set(&text, "%*s", ERROR_TEXT_BYTES - 1, "end");
    assert_int_equal(strlen(text.text), ERROR_TEXT_BYTES - 1);
    assert_string_equal(text.text + ERROR_TEXT_BYTES - 5, " end");
}

static void a_sentence_can_be_extended_by_itself(void **state) {
    (void)state;
    struct error_text text;
    error_text_set(&text, "segment %d is damaged", 7);
    error_text_set(&text, "cannot start: %s", text.text);
    assert_string_equal(text.text, "cannot start: segment 7 is damaged");
}

static void nobody_needs_to_listen(void **state) {
    (void)state;
    error_text_set(NULL, "%d", 1);
    struct error_text text = {.text = ""};
    error_text_set(&text, "heard");
    assert_string_equal(text.text, "heard");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_error_has_no_name),
        cmocka_unit_test(every_error_has_a_name_of_its_own),
        cmocka_unit_test(a_sentence_too_long_is_cut_and_says_so),
        cmocka_unit_test(a_sentence_that_just_fits_is_whole),
        cmocka_unit_test(a_sentence_can_be_extended_by_itself),
        cmocka_unit_test(nobody_needs_to_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
