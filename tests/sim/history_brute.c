/* All orders, by recursion. A prefix that does not fit is not extended; that is all its wit. */

#include "tests/sim/history_brute.h"

#include <string.h>

#include "base/assert.h"
#include "sim/kv_model.h"

struct brute {
    const struct history *history;
    const struct replay_command *log;
    size_t log_count;
    size_t log_next;
    struct kv_model_text reply;
    uint32_t order[BRUTE_OPERATIONS_MAX];
    uint32_t order_count;
    uint32_t placed; /* a bit each */
};

static bool is_write(const struct history *history, uint32_t number) {
    static const char *const reads[] = {"GET", "MGET", "STRLEN", "EXISTS", "TYPE", "GETRANGE"};
    struct kv_model_word words[HISTORY_WORDS_MAX];
    (void)history_words(history, number, words);
    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++)
        if (history_word_is(&words[0], reads[i]))
            return false;
    return true;
}

static bool is_answered(const struct brute *brute, uint32_t number) {
    return brute->history->operations[number].outcome == HISTORY_OK;
}

/* Whether the log's next command is this operation's, as it says or by its words. */
static bool is_logged_next(const struct brute *brute, uint32_t number) {
    struct kv_model_word words[HISTORY_WORDS_MAX];
    if (brute->log_next == brute->log_count)
        return false;
    const struct replay_command *command = &brute->log[brute->log_next];
    if (command->operation != REPLAY_OPERATION_UNSAID)
        return command->operation == number;
    if (history_words(brute->history, number, words) != command->word_count)
        return false;
    for (uint32_t i = 0; i < command->word_count; i++)
        if (words[i].length != command->words[i].length ||
            memcmp(words[i].data, command->words[i].data, words[i].length) != 0)
            return false;
    return true;
}

/* Whether every answered operation that must stand before this one does. */
static bool may_be_next(const struct brute *brute, uint32_t number) {
    const struct history_operation *own = &brute->history->operations[number];
    if (own->outcome == HISTORY_REFUSED ||
        (own->outcome != HISTORY_OK && !is_write(brute->history, number)))
        return false;
    for (uint32_t i = 0; i < brute->history->operation_count; i++) {
        const struct history_operation *other = &brute->history->operations[i];
        if (i == number || (brute->placed >> i & 1) != 0 || other->outcome != HISTORY_OK)
            continue;
        if (other->returned_ns < own->invoked_ns ||
            (other->connection == own->connection && other->sequence < own->sequence))
            return false;
    }
    return brute->log == NULL || !is_write(brute->history, number) || is_logged_next(brute, number);
}

/* Executes the whole order, and compares the last reply. */
static bool last_fits(struct brute *brute) {
    struct kv_model_word words[HISTORY_WORDS_MAX];
    struct kv_model *model = kv_model_new(1 << 20);
    for (uint32_t i = 0; i < brute->order_count; i++) {
        const uint32_t count = history_words(brute->history, brute->order[i], words);
        kv_model_execute(model, words, count, 1, 1, &brute->reply);
    }
    kv_model_free(model);
    const uint32_t last = brute->order[brute->order_count - 1];
    const struct kv_model_word seen = history_reply(brute->history, last);
    return !is_answered(brute, last) || (seen.length == brute->reply.length &&
                                         memcmp(seen.data, brute->reply.data, seen.length) == 0);
}

static bool is_complete(const struct brute *brute) {
    for (uint32_t i = 0; i < brute->history->operation_count; i++)
        if (is_answered(brute, i) && (brute->placed >> i & 1) == 0)
            return false;
    return brute->log == NULL || brute->log_next == brute->log_count;
}

static bool extend(struct brute *brute) {
    if (is_complete(brute))
        return true;
    for (uint32_t i = 0; i < brute->history->operation_count; i++) {
        if ((brute->placed >> i & 1) != 0 || !may_be_next(brute, i))
            continue;
        const bool is_logged = brute->log != NULL && is_write(brute->history, i);
        brute->order[brute->order_count++] = i;
        brute->placed |= UINT32_C(1) << i;
        brute->log_next += is_logged;
        if (last_fits(brute) && extend(brute))
            return true;
        brute->log_next -= is_logged;
        brute->placed &= ~(UINT32_C(1) << i);
        brute->order_count--;
    }
    return false;
}

bool brute_check(const struct history *history, const struct replay_command *log,
                 size_t log_count) {
    ASSERT(history->operation_count <= BRUTE_OPERATIONS_MAX);
    struct brute brute = {.history = history, .log = log, .log_count = log_count};
    const bool right = extend(&brute);
    kv_model_text_free(&brute.reply);
    return right;
}
