/* Recording, and the text form there and back. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "sim/history.h"
#include "tests/cmocka_wrapper.h"

static struct kv_model_word word(const char *text) {
    return (struct kv_model_word){text, strlen(text)};
}

static void a_history_without_room_or_with_too_much_is_refused(void **state) {
    (void)state;
    struct history history;
    assert_int_equal(history_create(&history, 0, 1), WEIR_EINVAL);
    assert_int_equal(history_create(&history, 1, 0), WEIR_EINVAL);
    assert_int_equal(history_create(&history, HISTORY_OPERATIONS_MAX + 1U, 1), WEIR_EINVAL);
    assert_int_equal(history_create(&history, 1, HISTORY_BYTES_MAX + 1), WEIR_EINVAL);
}

static void a_command_without_words_or_with_too_many_is_refused(void **state) {
    (void)state;
    struct history history;
    struct kv_model_word words[HISTORY_WORDS_MAX + 1];
    for (size_t i = 0; i < HISTORY_WORDS_MAX + 1; i++)
        words[i] = word("x");
    uint32_t number = 77;
    assert_int_equal(history_create(&history, 4, 4096), 0);
    struct history_call call = {.words = words};
    assert_int_equal(history_invoke(&history, &call, &number), WEIR_EINVAL);
    call.word_count = HISTORY_WORDS_MAX + 1;
    assert_int_equal(history_invoke(&history, &call, &number), WEIR_EINVAL);
    call.word_count = 1;
    call.invoked_ns = HISTORY_NEVER;
    assert_int_equal(history_invoke(&history, &call, &number), WEIR_EINVAL);
    assert_int_equal(number, 77);
    assert_int_equal(history.operation_count, 0);
    call.invoked_ns = 0;
    call.word_count = HISTORY_WORDS_MAX;
    assert_int_equal(history_invoke(&history, &call, &number), 0);
    assert_int_equal(number, 0);
    history_destroy(&history);
}

static void a_full_history_refuses_and_stays_as_it_was(void **state) {
    (void)state;
    struct history history;
    uint32_t number;
    const struct kv_model_word words[] = {{"GET", 3}, {"k", 1}};
    const struct history_call call = {.words = words, .word_count = 2};
    assert_int_equal(history_create(&history, 2, 24), 0);
    assert_int_equal(history_invoke(&history, &call, &number), 0); /* 12 bytes */
    assert_int_equal(history_return(&history, 0, 1, HISTORY_OK, "$6\r\nabcdef\r\n", 12), 0);
    assert_int_equal(history_invoke(&history, &call, &number), WEIR_EFULL);
    assert_int_equal(history.operation_count, 1);
    assert_int_equal(history.bytes_used, 24);
    history_destroy(&history);

    assert_int_equal(history_create(&history, 1, 13), 0);
    assert_int_equal(history_invoke(&history, &call, &number), 0);
    assert_int_equal(history_return(&history, 0, 1, HISTORY_OK, "$-1\r\n", 5), WEIR_EFULL);
    assert_int_equal(history.operations[0].outcome, HISTORY_PENDING);
    assert_true(history.operations[0].returned_ns == HISTORY_NEVER);
    assert_int_equal(history_invoke(&history, &call, &number), WEIR_EFULL);
    history_destroy(&history);
}

static void a_reply_says_whether_its_command_was_done(void **state) {
    (void)state;
    static const struct {
        const char *reply;
        enum history_outcome outcome;
    } replies[] = {
        {"+OK\r\n", HISTORY_OK},
        {"$-1\r\n", HISTORY_OK},
        {"$8\r\n-UNKNOWN\r\n", HISTORY_OK},
        {"-ERR value is not an integer or out of range\r\n", HISTORY_OK},
        {"-MOVEDON\r\n", HISTORY_OK},
        {"-UNKNOWN the node lost its leadership\r\n", HISTORY_UNKNOWN},
        {"-MOVED 77 host:1\r\n", HISTORY_REFUSED},
        {"-CLUSTERDOWN this node does not lead: nothing was done\r\n", HISTORY_REFUSED},
        {"-TRYAGAIN the server is overloaded\r\n", HISTORY_REFUSED},
        {"-OOM command not allowed\r\n", HISTORY_REFUSED},
        {"-READONLY\r\n", HISTORY_REFUSED},
        {"-MISCONF the disk has no room\r\n", HISTORY_REFUSED},
        {"-NOAUTH Authentication required.\r\n", HISTORY_REFUSED},
    };
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
        assert_int_equal(history_outcome_of(replies[i].reply, strlen(replies[i].reply)),
                         replies[i].outcome);
    assert_int_equal(history_outcome_of("-ERR max number of clients reached\r\n", 36),
                     HISTORY_REFUSED);
    assert_int_equal(history_outcome_of("", 0), HISTORY_OK);
    assert_int_equal(history_outcome_of("-", 1), HISTORY_OK);
}

static void what_only_resp_3_has_is_kept_as_resp_2_has_it(void **state) {
    (void)state;
    static const struct {
        const char *given;
        const char *kept;
    } replies[] = {
        {"_\r\n", "$-1\r\n"},
        {"*3\r\n_\r\n$3\r\n_\r\n\r\n_\r\n", "*3\r\n$-1\r\n$3\r\n_\r\n\r\n$-1\r\n"},
        {"$3\r\n_\r\n\r\n", "$3\r\n_\r\n\r\n"},
        {"+_\r\n", "+_\r\n"},
        {"%2\r\n$1\r\na\r\n_\r\n:1\r\n,2.5\r\n", "*4\r\n$1\r\na\r\n$-1\r\n:1\r\n$3\r\n2.5\r\n"},
        {"~1\r\n$2\r\n~1\r\n", "*1\r\n$2\r\n~1\r\n"},
        {"$99\r\nshort", "$99\r\nshort"},
        {"$99999999999999999999\r\n_\r\n", "$99999999999999999999\r\n$-1\r\n"},
        {"no end", "no end"},
    };
    struct history history;
    const struct kv_model_word words[] = {{"GET", 3}, {"k", 1}};
    const struct history_call call = {.words = words, .word_count = 2};
    assert_int_equal(history_create(&history, 16, 4096), 0);
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        uint32_t number;
        assert_int_equal(history_invoke(&history, &call, &number), 0);
        assert_int_equal(history_return(&history, number, 1, HISTORY_OK, replies[i].given,
                                        strlen(replies[i].given)),
                         0);
        const struct kv_model_word reply = history_reply(&history, number);
        assert_int_equal(reply.length, strlen(replies[i].kept));
        assert_memory_equal(reply.data, replies[i].kept, reply.length);
    }
    history_destroy(&history);
}

static const char lines[] =
    "client 1 connection 2 #3 [1000, 2500] ok: SET k1 v\\x20w -> +OK\\r\\n\n"
    "client 1 connection 2 #4 [2600, never] unknown: INCR k2\n"
    "client 2 connection 7 #1 [2700, 2900] ok stale: GET \"\" -> $-1\\r\\n\n"
    "client 2 connection 7 #2 [2700, 2901] refused: GET \\\\x "
    "-> -MOVED 1 h:1\\r\\n\n"
    "client 3 connection 8 #1 [0, never] pending: APPEND \\x22\\x22 -\\x3e "
    "\\x00\\xff\n";

static void a_repeated_operation_stands_on_a_connection_of_its_own(void **state) {
    (void)state;
    struct history history;
    uint32_t number;
    const struct kv_model_word words[] = {{"INCR", 4}, {"k", 1}};
    const struct history_call call = {
        .words = words, .word_count = 2, .connection = 3, .sequence = 8};
    assert_int_equal(history_create(&history, 1, 100), 0);
    assert_int_equal(history_invoke(&history, &call, &number), 0);
    history_detach(&history, number, 4);
    assert_int_equal(history.operations[number].connection, 4);
    assert_int_equal(history.operations[number].sequence, 1);
    assert_int_equal(history.operations[number].outcome, HISTORY_PENDING);
    history_destroy(&history);
}

static void what_a_person_reads_is_what_is_loaded(void **state) {
    (void)state;
    struct history history;
    struct error_text error = {{0}};
    struct kv_model_text text = {0};
    struct kv_model_word words[HISTORY_WORDS_MAX];
    assert_int_equal(history_create(&history, 16, 4096), 0);
    assert_int_equal(history_load(&history, "# a comment\n\n", 13, &error), 0);
    assert_int_equal(history_load(&history, lines, strlen(lines), &error), 0);
    assert_int_equal(history.operation_count, 5);
    assert_int_equal(history_words(&history, 4, words), 4);
    assert_memory_equal(words[1].data, "\"\"", 2);
    assert_memory_equal(words[2].data, "->", 2);
    assert_memory_equal(words[3].data, "\0\377", 2);
    assert_true(history.operations[2].stale);
    assert_int_equal(history.operations[3].outcome, HISTORY_REFUSED);
    history_dump(&text, &history);
    assert_int_equal(text.length, strlen(lines));
    assert_memory_equal(text.data, lines, text.length);
    kv_model_text_free(&text);
    history_destroy(&history);
}

static void a_line_that_is_no_operation_is_named(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "client 1\n",
        "client 1 connection 2 #3 [1000, 999] ok: GET k -> +OK\\r\\n",
        "client 1 connection 2 #3 [never, 999] ok: GET k -> +OK\\r\\n",
        "client 1 connection 2 #3 [1, never] ok: GET k -> +OK\\r\\n",
        "client 1 connection 2 #3 [1, 2] ok: GET k",
        "client 1 connection 2 #3 [1, 2] fine: GET k -> +OK\\r\\n",
        "client 1 connection 2 #3 [1, 2] ok: -> +OK\\r\\n",
        "client 1 connection 2 #3 [1, 2] ok:",
        "client 1 connection 2 #3 [1, 2] ok: GET  k -> x",
        "client 1 connection 2 #3 [1, 2] ok: GET k\\ -> x",
        "client 1 connection 2 #3 [1, 2] ok: GET k\\x2 -> x",
        "client 1 connection 2 #3 [1, 2] ok: GET k\\q -> x",
        "client 1 connection 2 #3 [1, 2] ok: GET \"\"k -> x",
        "client 4294967296 connection 2 #3 [1, 2] ok: GET k -> x",
        "client 1 connection 2 #3 [1, 99999999999999999999] ok: GET k -> x",
    };
    struct history history;
    assert_int_equal(history_create(&history, 2, 4096), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct error_text error = {{0}};
        char text[512];
        const int length = snprintf(text, sizeof(text), "\n%s", wrong[i]);
        assert_int_equal(history_load(&history, text, (size_t)length, &error), WEIR_EINVAL);
        assert_non_null(strstr(error.text, "line 2"));
        assert_int_equal(history.operation_count, 0);
    }
    struct error_text error = {{0}};
    assert_int_equal(history_load(&history, lines, strlen(lines), &error), WEIR_EFULL);
    assert_non_null(strstr(error.text, "line 3"));
    assert_int_equal(history.operation_count, 2);
    history_destroy(&history);
}

/* Bytes of every kind, in words and replies. */
static void any_bytes_come_back_as_they_were(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 1);
    for (uint32_t round = 0; round < 2000; round++) {
        struct history there;
        struct history back;
        struct error_text error = {{0}};
        struct kv_model_text text = {0};
        struct kv_model_text again = {0};
        char bytes[4][16];
        struct kv_model_word words[3];
        for (size_t i = 0; i < 4; i++)
            for (size_t j = 0; j < sizeof(bytes[i]); j++)
                bytes[i][j] = (char)random_below(&random, 256);
        for (size_t i = 0; i < 3; i++)
            words[i] = (struct kv_model_word){bytes[i], random_below(&random, 5)};
        assert_int_equal(history_create(&there, 1, 128), 0);
        assert_int_equal(history_create(&back, 1, 128), 0);
        const struct history_call call = {.words = words, .word_count = 3};
        uint32_t number;
        assert_int_equal(history_invoke(&there, &call, &number), 0);
        assert_int_equal(history_return(&there, number, 9, HISTORY_OK, bytes[3], 16), 0);
        history_dump(&text, &there);
        assert_int_equal(history_load(&back, text.data, text.length, &error), 0);
        history_dump(&again, &back);
        assert_int_equal(there.bytes_used, back.bytes_used);
        assert_memory_equal(there.bytes, back.bytes, back.bytes_used);
        assert_int_equal(text.length, again.length);
        assert_memory_equal(text.data, again.data, text.length);
        kv_model_text_free(&text);
        kv_model_text_free(&again);
        history_destroy(&there);
        history_destroy(&back);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_history_without_room_or_with_too_much_is_refused),
        cmocka_unit_test(a_command_without_words_or_with_too_many_is_refused),
        cmocka_unit_test(a_full_history_refuses_and_stays_as_it_was),
        cmocka_unit_test(a_reply_says_whether_its_command_was_done),
        cmocka_unit_test(what_only_resp_3_has_is_kept_as_resp_2_has_it),
        cmocka_unit_test(a_repeated_operation_stands_on_a_connection_of_its_own),
        cmocka_unit_test(what_a_person_reads_is_what_is_loaded),
        cmocka_unit_test(a_line_that_is_no_operation_is_named),
        cmocka_unit_test(any_bytes_come_back_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
