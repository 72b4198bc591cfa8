/*
 * WATCH and EXEC.
 *
 * Happy path: each WATCH is for its connection's next EXEC. The log is executed once before the
 * walk, to know for each EXEC that was executed when its keys had changed last: there its WATCH may
 * stand at the earliest. In the walk an EXEC that was answered null is looked at when it comes.
 *
 * What nobody was answered the log's own record decides. Where it leaves that open (the key was
 * absent and is), the EXEC is taken for executed, and that is remembered.
 */

#include "sim/replay_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* What the log's record of what was watched says. */
enum record_says { RECORD_EXECUTED, RECORD_NULL, RECORD_OPEN };

bool replay_is_watch(const struct kv_model_word *words) {
    return history_word_is(&words[0], "watch");
}

/* How many commands of the log belong to entries up to this one. */
static uint64_t commands_up_to(const struct replay *replay, uint64_t index) {
    size_t low = 0;
    size_t high = replay->command_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (replay->commands[middle].entry_index <= index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Asked before the EXEC is executed; afterwards its own changes are of its own moment. */
static enum record_says record_says(const struct replay *replay,
                                    const struct replay_command *command) {
    enum record_says says = RECORD_EXECUTED;
    for (uint32_t i = 0; i < command->watched_count; i++) {
        const struct replay_watched *watched = &command->watched[i];
        const uint64_t changed = kv_model_changed(replay->model, &watched->key);
        const bool is_there = kv_model_has(replay->model, &watched->key);
        if (is_there != watched->present || changed > commands_up_to(replay, watched->index))
            return RECORD_NULL;
        if (!is_there)
            says = RECORD_OPEN;
    }
    return says;
}

void replay_execute(struct replay *replay, const struct replay_command *command, uint32_t number) {
    static const struct kv_model_word null_array = {"*-1\r\n", 5};
    struct kv_model_word seen = {0};
    const enum record_says says = record_says(replay, command);
    if (number != REPLAY_NONE && replay->kinds[number] == REPLAY_WRITE)
        seen = history_reply(replay->history, number);
    else if (says == RECORD_NULL)
        seen = null_array;
    else if (says == RECORD_OPEN)
        replay->is_doubtful = true;
    replay->record_says = (uint8_t)says;
    kv_model_moment(replay->model, replay->executed);
    kv_model_execute_seen(replay->model, command->words, command->word_count, command->log_time_ms,
                          command->log_time_ms, seen, &replay->reply);
}

/* ---- Before the walk ------------------------------------------------------------------------- */

/* Each connection's WATCHes are for its next EXEC, if no UNWATCH comes between. */
static bool watches_link(struct replay *replay) {
    struct kv_model_word words[HISTORY_WORDS_MAX];
    bool is_any = false;
    uint32_t *last = malloc(((size_t)replay->lane_count + 1) * sizeof(*last));
    if (last == NULL)
        return false;
    for (uint32_t i = 0; i < replay->lane_count; i++)
        last[i] = REPLAY_NONE;
    for (uint32_t i = 0; i < replay->history->operation_count; i++) {
        const uint32_t lane = replay->lane_of[i];
        (void)history_words(replay->history, i, words);
        replay->watch[i] = REPLAY_NONE;
        if (lane == REPLAY_NONE)
            continue;
        const bool is_watch = replay_is_watch(words) && replay->kinds[i] == REPLAY_READ;
        if (!is_watch && !history_word_is(&words[0], "exec") &&
            !history_word_is(&words[0], "unwatch"))
            continue;
        replay->watch[i] = last[lane];
        last[lane] = is_watch ? i : REPLAY_NONE;
        is_any |= is_watch;
    }
    free(last);
    replay->has_watches = is_any;
    return true;
}

/* The EXEC is about to be executed: its WATCHes stand behind the last changes of their keys. */
static void needs_note(struct replay *replay, uint32_t number) {
    struct kv_model_word words[HISTORY_WORDS_MAX];
    for (uint32_t i = replay->watch[number]; i != REPLAY_NONE; i = replay->watch[i]) {
        const uint32_t count = history_words(replay->history, i, words);
        for (uint32_t j = 1; j < count; j++) {
            const uint64_t changed = kv_model_changed(replay->model, &words[j]);
            ASSERT(changed <= replay->command_count);
            if (changed > replay->watch_needs[i])
                replay->watch_needs[i] = (uint32_t)changed;
        }
    }
}

/* Executes the log once. */
static void needs_find(struct replay *replay) {
    ASSERT(replay->model == NULL);
    replay->model = kv_model_new(replay->value_bytes_max);
    for (size_t i = 0; i < replay->command_count; i++) {
        const struct replay_command *command = &replay->commands[i];
        if (command->word_count == 0)
            continue;
        uint32_t number = command->operation;
        if (number == REPLAY_OPERATION_UNSAID)
            number = replay_find_only(replay, command->words, command->word_count);
        const bool is_exec = history_word_is(&command->words[0], "exec");
        const uint32_t watch =
            is_exec && number != REPLAY_NONE ? replay->watch[number] : REPLAY_NONE;
        bool is_null = false;
        if (watch != REPLAY_NONE) {
            const struct kv_model_word reply = history_reply(replay->history, number);
            is_null = replay->kinds[number] == REPLAY_WRITE
                          ? replay_is_null(&reply)
                          : record_says(replay, command) == RECORD_NULL;
        }
        if (watch != REPLAY_NONE && !is_null)
            needs_note(replay, number);
        replay->executed = (uint32_t)i + 1;
        replay_execute(replay, command, number);
    }
    kv_model_free(replay->model);
    replay->model = NULL;
}

int replay_watch_create(struct replay *replay) {
    const size_t room = (size_t)replay->history->operation_count + 1;
    replay->watch = calloc(room, sizeof(*replay->watch));
    replay->watch_needs = calloc(room, sizeof(*replay->watch_needs));
    replay->watch_place = calloc(room, sizeof(*replay->watch_place));
    replay->watch_absent = calloc(room, sizeof(*replay->watch_absent));
    if (replay->watch == NULL || replay->watch_needs == NULL || replay->watch_place == NULL ||
        replay->watch_absent == NULL || !watches_link(replay))
        return WEIR_ENOMEM;
    if (replay->has_watches)
        needs_find(replay);
    return 0;
}

void replay_watch_destroy(struct replay *replay) {
    free(replay->watch);
    free(replay->watch_needs);
    free(replay->watch_place);
    free(replay->watch_absent);
}

/* ---- In the walk ----------------------------------------------------------------------------- */

bool replay_watch_fits(const struct replay *replay, uint32_t number) {
    return replay->executed >= replay->watch_needs[number];
}

void replay_watch_place(struct replay *replay, uint32_t number) {
    struct kv_model_word words[HISTORY_WORDS_MAX];
    const uint32_t count = history_words(replay->history, number, words);
    ASSERT(replay_is_watch(words));
    replay->watch_place[number] = replay->executed;
    replay->watch_absent[number] = false;
    for (uint32_t i = 1; i < count; i++)
        replay->watch_absent[number] |= !kv_model_has(replay->model, &words[i]);
}

/* Whether one of the keys has changed since its WATCH, or may have. */
static bool null_is_justified(const struct replay *replay, uint32_t number) {
    struct kv_model_word words[HISTORY_WORDS_MAX];
    for (uint32_t i = replay->watch[number]; i != REPLAY_NONE; i = replay->watch[i]) {
        const uint32_t count = history_words(replay->history, i, words);
        if (replay->watch_absent[i])
            return true;
        for (uint32_t j = 1; j < count; j++)
            if (kv_model_changed(replay->model, &words[j]) > replay->watch_place[i])
                return true;
    }
    return false;
}

const char *replay_exec_wrong(const struct replay *replay, const struct replay_command *command,
                              uint32_t number) {
    const struct kv_model_word reply = history_reply(replay->history, number);
    if (!history_word_is(&command->words[0], "exec"))
        return NULL;
    if (!replay_is_null(&reply))
        return replay->record_says == RECORD_NULL
                   ? "an EXEC was executed, though what it watched had changed"
                   : NULL;
    if (!null_is_justified(replay, number) ||
        (command->watched_count > 0 && replay->record_says == RECORD_EXECUTED))
        return "an EXEC was answered null, though nothing that it watched had changed";
    return NULL;
}
