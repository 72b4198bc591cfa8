/*
 * Happy path: kinds_find, then walk: for each command of the log, place the reads that fit before
 * it, execute it, and give its operation its place. At the end everything has one.
 *
 * Each way in which that can end early has a sentence here; with a choice behind it the verdict is
 * "undecided".
 */

#include "sim/replay_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"

/* So often the log is walked, with other choices. Each walk takes as long as the first. */
#define REPLAY_WALKS_MAX 64u

/* ---- Saying what is wrong -------------------------------------------------------------------- */

static void say_operation(struct replay *replay, const char *what, uint32_t number) {
    history_print(&replay->report->text, "%s\n    ", what);
    history_print_operation(&replay->report->text, replay->history, number);
    history_print(&replay->report->text, "\n");
}

static void say_model(struct replay *replay, const char *where) {
    enum { SHOWN_BYTES_MAX = 300 };
    const bool is_cut = replay->reply.length > SHOWN_BYTES_MAX;
    history_print(&replay->report->text, "    the model's reply %s: ", where);
    history_print_bytes(&replay->report->text, replay->reply.data,
                        is_cut ? SHOWN_BYTES_MAX : replay->reply.length, false);
    history_print(&replay->report->text, is_cut ? "...\n" : "\n");
}

static void say_command(struct replay *replay, const struct replay_command *command) {
    history_print(&replay->report->text, "    the log, entry %" PRIu64 ":", command->entry_index);
    for (uint32_t i = 0; i < command->word_count; i++) {
        history_print(&replay->report->text, " ");
        history_print_bytes(&replay->report->text, command->words[i].data, command->words[i].length,
                            true);
    }
    history_print(&replay->report->text, "\n");
}

static void execute(struct replay *replay, const struct kv_model_word *words, uint32_t count) {
    kv_model_execute(replay->model, words, count, replay->log_time_ms, replay->log_time_ms,
                     &replay->reply);
}

/* Says of an operation without a place, which another's place needs, why it has none. */
static void say_hindered(struct replay *replay, uint32_t number) {
    struct kv_model_word words[HISTORY_WORDS_MAX];
    replay->hindered = number;
    const uint32_t count = history_words(replay->history, number, words);
    if (replay_is_watch(words)) {
        say_operation(replay,
                      "a watched key changed, and the EXEC was executed: no place for its WATCH",
                      number);
    } else if (replay->kinds[number] == REPLAY_READ) {
        say_operation(replay,
                      "a read fits nowhere: its reply was not right at any place it could have",
                      number);
        execute(replay, words, count);
        say_model(replay, "at the last such place");
    } else {
        say_operation(replay, "an acknowledged write is not in the log, or too late", number);
    }
}

/* ---- Reads ----------------------------------------------------------------------------------- */

/* Gives the lane's next operation its place here, if it is a read that can stand here. */
static bool place_read(struct replay *replay, struct replay_lane *lane) {
    struct kv_model_word words[HISTORY_WORDS_MAX];
    const uint32_t number = replay_lane_next(replay, lane);
    if (number == REPLAY_NONE || replay->kinds[number] != REPLAY_READ ||
        !replay_is_due(replay, number))
        return false;
    const uint32_t count = history_words(replay->history, number, words);
    const struct kv_model_word reply = history_reply(replay->history, number);
    const bool is_free = replay_reply_is_free(words, count, &reply);
    if (replay_is_watch(words)) {
        if (!replay_watch_fits(replay, number))
            return false;
        replay_watch_place(replay, number);
    } else if (!is_free) {
        execute(replay, words, count);
        if (!replay_reply_fits(replay, words, count, &reply))
            return false;
    }
    replay->report->places[number] = ++replay->placed;
    replay->report->reads += !is_free;
    replay->report->not_judged += is_free;
    replay_lane_advance(replay, lane);
    return true;
}

/* Places every read that can stand between the last command and the next one. */
static void place_reads(struct replay *replay) {
    bool progress = true;
    while (progress) {
        progress = false;
        for (uint32_t i = 0; i < replay->active_count; i++)
            progress = place_read(replay, &replay->lanes[replay->active[i]]) || progress;
    }
}

/* ---- Writes ---------------------------------------------------------------------------------- */

/* Says why the operation cannot stand here, if it cannot; its reply is not looked at. */
static bool can_stand(struct replay *replay, const struct replay_command *command,
                      uint32_t number) {
    const struct history_operation *operations = replay->history->operations;
    const uint32_t lane_index = replay->lane_of[number];
    const uint32_t next = lane_index == REPLAY_NONE
                              ? REPLAY_NONE
                              : replay_lane_next(replay, &replay->lanes[lane_index]);
    const uint8_t kind = replay->kinds[number];
    if (kind == REPLAY_REFUSED) {
        say_operation(replay, "a refused write is in the log", number);
    } else if (kind == REPLAY_IGNORED || kind == REPLAY_READ) {
        say_operation(replay, "what goes through no log is in the log", number);
    } else if (replay->report->applied[number] != 0) {
        say_operation(replay, "a write is in the log twice", number);
    } else if (next != REPLAY_NONE && next != number &&
               operations[next].sequence < operations[number].sequence) {
        say_hindered(replay, replay_is_due(replay, next) ? next : replay->returned_min);
        say_operation(replay, "  before it, the log has a later one of its connection", number);
    } else if (!replay_is_due(replay, number)) {
        say_hindered(replay, replay->returned_min);
        say_operation(replay, "  before it, the log has one that was invoked after its return",
                      number);
    } else {
        return true;
    }
    say_command(replay, command);
    return false;
}

/* Gives the operation its place here. */
static bool place_write(struct replay *replay, const struct replay_command *command,
                        uint32_t number) {
    if (!can_stand(replay, command, number))
        return false;
    replay->report->applied[number] = 1;
    replay->report->places[number] = ++replay->placed;
    if (replay->kinds[number] == REPLAY_OPEN) {
        replay->report->unknown_applied++;
        return true;
    }
    const struct kv_model_word reply = history_reply(replay->history, number);
    const char *wrong = replay_exec_wrong(replay, command, number);
    if (wrong != NULL) {
        say_operation(replay, wrong, number);
        say_command(replay, command);
        return false;
    }
    if (!replay_reply_is_free(command->words, command->word_count, &reply) &&
        !replay_reply_fits(replay, command->words, command->word_count, &reply)) {
        say_operation(replay, "a write's reply is not that of its place in the log", number);
        say_model(replay, "there");
        say_command(replay, command);
        return false;
    }
    replay->report->writes++;
    struct replay_lane *lane = &replay->lanes[replay->lane_of[number]];
    ASSERT(replay_lane_next(replay, lane) == number);
    replay_lane_advance(replay, lane);
    return true;
}

static bool replay_one(struct replay *replay, const struct replay_command *command) {
    if (command->log_time_ms < replay->log_time_ms) {
        history_print(&replay->report->text, "log time went back\n");
        say_command(replay, command);
        return false;
    }
    replay->log_time_ms = command->log_time_ms;
    if (command->word_count == 0)
        return true;
    uint32_t number = command->operation;
    if (number == REPLAY_OPERATION_UNSAID)
        number = replay->forced[replay->at];
    if (number == REPLAY_NONE)
        number = replay_find_only(replay, command->words, command->word_count);
    replay_execute(replay, command, number);
    if (number == REPLAY_NONE)
        number = replay_find(replay, command->words, command->word_count);
    if (number == REPLAY_NONE) {
        history_print(&replay->report->text, "the log has a command that nobody asked for\n");
        say_command(replay, command);
        return false;
    }
    if (!replay_words_equal(replay, number, command->words, command->word_count)) {
        say_operation(replay, "the log has other words than the operation", number);
        say_command(replay, command);
        return false;
    }
    return place_write(replay, command, number);
}

/* ---- The walk -------------------------------------------------------------------------------- */

static bool walk(struct replay *replay, const struct replay_command *commands, size_t count) {
    if (!replay_lanes_in_order(replay))
        return false;
    replay_lanes_look(replay);
    place_reads(replay);
    for (size_t i = 0; i < count; i++) {
        replay->at = (uint32_t)i;
        replay->executed = (uint32_t)i + 1;
        if (!replay_one(replay, &commands[i]))
            return false;
        place_reads(replay);
    }
    if (replay->returned_min != REPLAY_NONE) {
        say_hindered(replay, replay->returned_min);
        history_print(&replay->report->text, "    the log is through\n");
        return false;
    }
    ASSERT(replay->active_count == 0 && replay->lanes_begun == replay->lane_count);
    return true;
}

/* True if the operation was passed over, where nothing is forced yet. */
static bool is_open_choice(const struct replay *replay, uint32_t number) {
    const uint32_t at = replay->passed_over_at[number];
    return at != REPLAY_NONE && replay->forced[at] == REPLAY_NONE;
}

/* Whose command it is may have been guessed wrong: the next walk takes the operation that failed
 * where it was passed over, or, if it was not, the last one that was. False if there is none. */
static bool choose_otherwise(struct replay *replay) {
    uint32_t other = replay->hindered;
    if (other == REPLAY_NONE || !is_open_choice(replay, other)) {
        other = REPLAY_NONE;
        for (uint32_t i = 0; i < replay->history->operation_count; i++)
            if (is_open_choice(replay, i) &&
                (other == REPLAY_NONE || replay->passed_over_at[i] > replay->passed_over_at[other]))
                other = i;
    }
    if (other == REPLAY_NONE)
        return false;
    replay->forced[replay->passed_over_at[other]] = other;
    return true;
}

/* Everything as before the walk, but for what is forced. */
static void walk_begin(struct replay *replay, uint32_t walked, uint64_t value_bytes_max) {
    struct replay_report *report = replay->report;
    const uint32_t count = replay->history->operation_count;
    report->writes = report->reads = report->unknown_applied = 0;
    report->choices = walked; /* those that are forced now */
    report->not_judged = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t kind = replay->kinds[i];
        report->not_judged += kind == REPLAY_IGNORED || kind == REPLAY_REFUSED;
        report->applied[i] = 0;
        report->places[i] = 0;
        replay->passed_over_at[i] = REPLAY_NONE;
    }
    for (uint32_t i = 0; i < replay->lane_count; i++)
        replay->lanes[i].next = 0;
    replay->lanes_begun = replay->active_count = replay->placed = replay->executed = 0;
    replay->is_doubtful = false;
    replay->log_time_ms = 0;
    replay->hindered = REPLAY_NONE;
    kv_model_text_free(&report->text);
    report->text = (struct kv_model_text){0};
    if (replay->model != NULL)
        kv_model_free(replay->model);
    replay->model = kv_model_new(value_bytes_max);
}

/* Walks until everything has its place, or nothing is left that might have been chosen
 * otherwise. */
static enum history_verdict walks(struct replay *replay, const struct replay_command *commands,
                                  size_t count, uint64_t value_bytes_max) {
    for (uint32_t i = 0; i < REPLAY_WALKS_MAX; i++) {
        walk_begin(replay, i, value_bytes_max);
        if (walk(replay, commands, count))
            return HISTORY_RIGHT;
        if (i == 0 && replay->report->choices == 0 && !replay->is_doubtful)
            return HISTORY_WRONG;
        if (!choose_otherwise(replay))
            break;
    }
    return HISTORY_UNDECIDED;
}

/* True if a write of this form is answered with an error whatever the state is, and so without the
 * log. */
static bool is_wrong_form(struct replay *replay, const struct kv_model_word *words, uint32_t count,
                          uint64_t value_bytes_max) {
    if (history_word_is(&words[0], "rename"))
        return false; /* its error is about a key that is not there */
    struct kv_model *empty = kv_model_new(value_bytes_max);
    kv_model_execute(empty, words, count, 1, 1, &replay->reply);
    kv_model_free(empty);
    ASSERT(replay->reply.length > 0);
    return replay->reply.data[0] == '-';
}

/* What each operation is to the walk. */
static void kinds_find(struct replay *replay, uint64_t value_bytes_max) {
    struct kv_model_word words[HISTORY_WORDS_MAX];
    for (uint32_t i = 0; i < replay->history->operation_count; i++) {
        const struct history_operation *operation = &replay->history->operations[i];
        const struct kv_model_word reply = history_reply(replay->history, i);
        const uint32_t count = history_words(replay->history, i, words);
        const bool is_ok = operation->outcome == HISTORY_OK;
        uint8_t kind = is_ok && !operation->stale ? REPLAY_READ : REPLAY_IGNORED;
        if (replay_is_write(words, count)) {
            kind = operation->outcome == HISTORY_REFUSED ? REPLAY_REFUSED : REPLAY_OPEN;
            if (is_ok)
                kind = REPLAY_WRITE;
            if (is_ok && *reply.data == '-' && is_wrong_form(replay, words, count, value_bytes_max))
                kind = REPLAY_READ;
        }
        replay->kinds[i] = kind;
    }
}

static int replay_begin(struct replay *replay, size_t count, uint64_t value_bytes_max) {
    const size_t room = (size_t)replay->history->operation_count + 1;
    replay->kinds = calloc(room, sizeof(*replay->kinds));
    replay->report->applied = calloc(room, sizeof(*replay->report->applied));
    replay->report->never_applied = calloc(room, sizeof(*replay->report->never_applied));
    replay->report->places = calloc(room, sizeof(*replay->report->places));
    replay->passed_over_at = calloc(room, sizeof(*replay->passed_over_at));
    replay->forced = malloc((count + 1) * sizeof(*replay->forced));
    if (replay->kinds == NULL || replay->report->applied == NULL ||
        replay->report->never_applied == NULL || replay->report->places == NULL ||
        replay->passed_over_at == NULL || replay->forced == NULL)
        return WEIR_ENOMEM;
    for (size_t i = 0; i <= count; i++)
        replay->forced[i] = REPLAY_NONE;
    kinds_find(replay, value_bytes_max);
    int error = replay_lanes_create(replay);
    error = error != 0 ? error : replay_find_create(replay);
    return error != 0 ? error : replay_watch_create(replay);
}

static void replay_end(struct replay *replay) {
    if (replay->model != NULL)
        kv_model_free(replay->model);
    kv_model_text_free(&replay->reply);
    kv_model_text_free(&replay->sorted);
    replay_watch_destroy(replay);
    free(replay->kinds);
    free(replay->ordered);
    free(replay->lanes);
    free(replay->lane_of);
    free(replay->active);
    free(replay->words);
    free(replay->passed_over_at);
    free(replay->forced);
}

static void unknown_count(struct replay *replay) {
    for (uint32_t i = 0; i < replay->history->operation_count; i++) {
        const bool is_absent = replay->kinds[i] == REPLAY_OPEN && replay->report->applied[i] == 0;
        replay->report->never_applied[i] = is_absent;
        replay->report->unknown_absent += is_absent;
    }
}

int replay_check(const struct history *history, const struct replay_command *commands, size_t count,
                 uint64_t value_bytes_max, struct replay_report *report) {
    *report = (struct replay_report){.verdict = HISTORY_RIGHT};
    for (size_t i = 0; i < count; i++)
        if (commands[i].word_count > HISTORY_WORDS_MAX ||
            (commands[i].operation != REPLAY_OPERATION_UNSAID &&
             commands[i].operation >= history->operation_count))
            return WEIR_EINVAL;
    struct replay replay = {.history = history,
                            .report = report,
                            .commands = commands,
                            .command_count = count,
                            .value_bytes_max = value_bytes_max};
    ASSERT(count < REPLAY_NONE);
    const int error = replay_begin(&replay, count, value_bytes_max);
    if (error == 0) {
        report->verdict = walks(&replay, commands, count, value_bytes_max);
        if (report->verdict == HISTORY_UNDECIDED)
            history_print(&report->text,
                          "undecided: %" PRIu64 " commands of the log might have been another "
                          "operation's, with the same words%s\n",
                          report->choices,
                          replay.is_doubtful ? ", or an unanswered EXEC null" : "");
        unknown_count(&replay);
    } else {
        replay_free(report);
    }
    replay_end(&replay);
    return error;
}

void replay_free(struct replay_report *report) {
    free(report->applied);
    free(report->never_applied);
    free(report->places);
    kv_model_text_free(&report->text);
    *report = (struct replay_report){0};
}
