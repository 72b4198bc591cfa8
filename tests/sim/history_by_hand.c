/* Histories from short texts. What does not fit is a fault of the test, and asserted. */

#include "tests/sim/history_by_hand.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "sim/linearizable.h"

void by_hand_begin(struct by_hand *made) {
    *made = (struct by_hand){0};
    const int error = history_create(&made->history, BY_HAND_OPERATIONS_MAX, 1 << 16);
    ASSERT(error == 0);
}

void by_hand_end(struct by_hand *made) {
    history_destroy(&made->history);
}

uint32_t by_hand_words(const char *command, struct kv_model_word words[BY_HAND_WORDS_MAX]) {
    uint32_t count = 0;
    for (const char *at = command; at != NULL; count++) {
        ASSERT(count < BY_HAND_WORDS_MAX);
        const char *space = strchr(at, ' ');
        words[count] =
            (struct kv_model_word){at, space == NULL ? strlen(at) : (size_t)(space - at)};
        at = space == NULL ? NULL : space + 1;
    }
    return count;
}

static void bulk_add(struct kv_model_text *out, const struct kv_model_word *word) {
    if (history_word_is(word, "nil"))
        history_print(out, "$-1\r\n");
    else if (*word->data == ':' || *word->data == '+')
        history_print(out, "%.*s\r\n", (int)word->length, word->data);
    else
        history_print(out, "$%zu\r\n%.*s\r\n", word->length, (int)word->length, word->data);
}

void by_hand_reply(struct kv_model_text *out, const char *reply) {
    struct kv_model_word words[BY_HAND_WORDS_MAX];
    if (*reply == '[') {
        char inside[256];
        const int length =
            snprintf(inside, sizeof(inside), "%.*s", (int)strlen(reply) - 2, reply + 1);
        ASSERT(length >= 0 && (size_t)length < sizeof(inside));
        const uint32_t count = by_hand_words(inside, words);
        history_print(out, "*%u\r\n", count);
        for (uint32_t i = 0; i < count; i++)
            bulk_add(out, &words[i]);
    } else if (*reply == '$' || strcmp(reply, "nil") == 0) {
        const size_t sign = *reply == '$';
        bulk_add(out, &(struct kv_model_word){reply + sign, strlen(reply) - sign});
    } else {
        history_print(out, "%s\r\n", reply);
    }
}

uint32_t by_hand_add(struct by_hand *made, uint32_t connection, uint64_t invoked_ns,
                     uint64_t returned_ns, const char *command, const char *reply) {
    struct kv_model_word words[BY_HAND_WORDS_MAX];
    uint32_t sequence = 1;
    for (uint32_t i = 0; i < made->history.operation_count; i++)
        sequence += made->history.operations[i].connection == connection;
    const struct history_call call = {.invoked_ns = invoked_ns,
                                      .client = connection,
                                      .connection = connection,
                                      .sequence = sequence,
                                      .words = words,
                                      .word_count = by_hand_words(command, words)};
    uint32_t number;
    int error = history_invoke(&made->history, &call, &number);
    ASSERT(error == 0);
    struct kv_model_text text = {0};
    enum history_outcome outcome = HISTORY_OK;
    if (strcmp(reply, "?") == 0)
        outcome = HISTORY_UNKNOWN;
    else if (strcmp(reply, "!") == 0)
        outcome = HISTORY_REFUSED;
    else
        by_hand_reply(&text, reply);
    error = history_return(&made->history, number, returned_ns, outcome, text.data, text.length);
    ASSERT(error == 0);
    kv_model_text_free(&text);
    return number;
}

void by_hand_log(struct by_hand *made, const char *command) {
    ASSERT(made->log_count < BY_HAND_OPERATIONS_MAX);
    struct kv_model_word *words = made->words[made->log_count];
    made->log[made->log_count] =
        (struct replay_command){.entry_index = 2 + made->log_count,
                                .log_time_ms = 1000 * (1 + made->log_count),
                                .words = words,
                                .word_count = by_hand_words(command, words),
                                .operation = REPLAY_OPERATION_UNSAID};
    made->log_count++;
}

void by_hand_rows(struct by_hand *made, const struct by_hand_row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (rows[i].connection == 0)
            by_hand_log(made, rows[i].command);
        else
            (void)by_hand_add(made, rows[i].connection, rows[i].invoked_ns, rows[i].returned_ns,
                              rows[i].command, rows[i].reply);
    }
}

/* Prints a text, and sees whether another is in it. */
static void text_show(const struct kv_model_text *text, const char *wanted) {
    if (text->length > 0)
        printf("%.*s", (int)text->length, text->data);
    ASSERT(wanted == NULL || memmem(text->data, text->length, wanted, strlen(wanted)) != NULL);
}

enum history_verdict by_hand_linearizable(const struct by_hand *made, const char *text) {
    const struct linearizable_options options = linearizable_options_default();
    struct linearizable_report report;
    const int error = linearizable_check(&made->history, &options, &report);
    ASSERT(error == 0);
    text_show(&report.text, text);
    kv_model_text_free(&report.text);
    return report.verdict;
}

enum history_verdict by_hand_replay(const struct by_hand *made, const char *text) {
    struct replay_report report;
    const int error = replay_check(&made->history, made->log, made->log_count, 1 << 20, &report);
    ASSERT(error == 0);
    text_show(&report.text, text);
    const enum history_verdict verdict = report.verdict;
    replay_free(&report);
    return verdict;
}
