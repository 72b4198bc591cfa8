/* The two checkers. Happy path of the shared one: shared_walk. */

#include "tests/property/judge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/property/answer.h"
#include "tests/property/twin_once.h"

/* ---- One answer against the twin ------------------------------------------------------------- */

/* At which time a twin is asked. The clock is known only between two limits. */
struct judge_moment {
    uint64_t log_time_ms;
    uint64_t clock_min_ms;
    uint64_t clock_max_ms;
    uint64_t deadlines_off_ms; /* how far the twin's deadlines may be from the node's */
};

/* What is left of a life depends on a clock that the client did not see. */
static bool left_fits(struct twin *twin, const struct operation *operation,
                      const struct judge_moment *moment, struct kv_model_text *expected) {
    int64_t least;
    int64_t most;
    int64_t answer;
    twin_execute(twin, operation->words, operation->word_count, moment->log_time_ms,
                 moment->clock_max_ms, expected);
    if (!answer_integer(expected, &least) || !answer_integer(&operation->answer, &answer))
        return answer_equal(expected, &operation->answer);
    twin_execute(twin, operation->words, operation->word_count, moment->log_time_ms,
                 moment->clock_min_ms, expected);
    const bool is_integer = answer_integer(expected, &most);
    ASSERT(is_integer);
    const bool seconds = word_is(&operation->words[0], "ttl");
    const int64_t off =
        (int64_t)(seconds ? (moment->deadlines_off_ms + 999) / 1000 : moment->deadlines_off_ms);
    if (most < 0 || answer < 0) /* no key, or no deadline */
        return answer == most;
    return least - off <= answer && answer <= most + off;
}

/* SCAN may list any part of the keys; all of them if it began at 0 and says that it is through. */
static bool scan_fits(struct twin *twin, const struct operation *operation,
                      const struct judge_moment *moment, struct kv_model_text *expected) {
    size_t all_offset;
    size_t some_offset;
    bool complete;
    twin_execute(twin, operation->words, operation->word_count, moment->log_time_ms,
                 moment->clock_max_ms, expected);
    if (!answer_scan(expected, &all_offset, &complete) ||
        !answer_scan(&operation->answer, &some_offset, &complete))
        return answer_equal(expected, &operation->answer);
    if (complete && word_is(&operation->words[1], "0"))
        return answer_equal(expected, &operation->answer);
    return answer_is_subset(&operation->answer, some_offset, expected, all_offset);
}

/* A session's id is the log's business: a new one each time, above those before. */
static bool open_fits(struct twin *twin, const struct operation *operation,
                      struct kv_model_text *expected) {
    int64_t id;
    twin_once_open_fault(operation->words, operation->word_count, expected);
    if (expected->length > 0)
        return answer_equal(expected, &operation->answer);
    return answer_integer(&operation->answer, &id) && id > 0 &&
           twin_once_open(twin_sessions(twin), (uint64_t)id, operation->words,
                          operation->word_count);
}

static bool once_fits(struct twin *twin, const struct operation *operation,
                      const struct judge_moment *moment, struct kv_model_text *expected) {
    static const char gone[] = "-SESSION ";
    struct twin_once *once = twin_sessions(twin);
    if (operation->answer.length > strlen(gone) &&
        memcmp(operation->answer.data, gone, strlen(gone)) == 0 &&
        twin_once_is_brief(once, operation->words, operation->word_count))
        twin_once_gone(once, operation->words, operation->word_count);
    twin_once_execute(once, twin, operation->words, operation->word_count, moment->log_time_ms,
                      expected);
    return answer_equal(expected, &operation->answer);
}

static bool answer_fits(struct twin *twin, const struct operation *operation,
                        const struct judge_moment *moment, struct kv_model_text *expected) {
    const struct kv_model_word *name = &operation->words[0];
    if (word_is(name, "once.open"))
        return open_fits(twin, operation, expected);
    if (word_is(name, "once"))
        return once_fits(twin, operation, moment, expected);
    if (operation->expected.length > 0)
        return answer_matches(&operation->expected, &operation->answer);
    if (word_is(name, "ttl") || word_is(name, "pttl"))
        return left_fits(twin, operation, moment, expected);
    if (word_is(name, "scan"))
        return scan_fits(twin, operation, moment, expected);
    twin_execute(twin, operation->words, operation->word_count, moment->log_time_ms,
                 moment->clock_max_ms, expected);
    return answer_equal(expected, &operation->answer);
}

static bool blame(struct kv_model_text *error, const char *what, uint32_t lane, size_t index,
                  const struct operation *operation, const struct kv_model_text *expected) {
    text_print(error, "%s: ", what);
    operation_print(error, lane, index, operation);
    if (expected != NULL && expected->length > 0) {
        text_print(error, "\n    the model's answer: ");
        bytes_print(error, expected->data, expected->length, 300);
    }
    text_print(error, "\n");
    return false;
}

/* ---- Disjoint keys --------------------------------------------------------------------------- */

/* The longest time that an operation took: what a deadline may be off, since the log's time is not
 * known here. */
static uint64_t lane_longest_ms(const struct history_lane *lane) {
    uint64_t longest_ms = 0;
    for (size_t i = 0; i < lane->count; i++) {
        const struct operation *operation = &lane->operations[i];
        const uint64_t took_ms = operation->responded_wall_ms - operation->invoked_wall_ms;
        if (operation->answered && took_ms > longest_ms)
            longest_ms = took_ms;
    }
    return longest_ms;
}

static bool disjoint_lane(const struct history_lane *lane, uint32_t lane_index,
                          enum twin_machine machine, struct kv_model_text *error) {
    struct twin *twin = twin_new(machine);
    struct kv_model_text expected = {0};
    const uint64_t off_ms = lane_longest_ms(lane) + JUDGE_CLOCK_SLACK_MS;
    bool right = true;
    for (size_t i = 0; right && i < lane->count; i++) {
        const struct operation *operation = &lane->operations[i];
        const uint64_t now_ms = operation->responded_wall_ms;
        const struct judge_moment moment = {now_ms, now_ms, now_ms, off_ms};
        if (!operation->answered)
            right = blame(error, "an operation was never answered", lane_index, i, operation, NULL);
        else if (!answer_fits(twin, operation, &moment, &expected))
            right = blame(error, "a wrong answer", lane_index, i, operation,
                          operation->expected.length > 0 ? &operation->expected : &expected);
    }
    kv_model_text_free(&expected);
    twin_free(twin);
    return right;
}

bool judge_disjoint(const struct history *history, enum twin_machine machine,
                    struct kv_model_text *error) {
    for (uint32_t i = 0; i < history->lane_count; i++)
        if (!disjoint_lane(&history->lanes[i], i, machine, error))
            return false;
    return true;
}

/* ---- Shared keys ----------------------------------------------------------------------------- */

struct shared_lane {
    const struct operation *operations;
    size_t count;
    size_t next;          /* the first that has no place */
    size_t next_write;    /* the first at or behind `next` that the log must hold, or count */
    uint16_t *logged_ids; /* of each operation; 0: it is not in the log */
};

struct shared {
    struct shared_lane *lanes;
    uint32_t lane_count;
    const struct logged *logged;
    size_t place; /* commands of the log before it have been executed */
    struct twin *twin;
    struct kv_model_text expected;
    struct kv_model_text *error;
    uint64_t log_time_ms;
};

static void lane_find_write(struct shared_lane *lane) {
    while (lane->next_write < lane->count && lane->logged_ids[lane->next_write] == 0)
        lane->next_write++;
}

static void shared_begin(struct shared *shared, const struct history *history,
                         enum twin_machine machine) {
    shared->lane_count = history->lane_count;
    shared->lanes = calloc(history->lane_count, sizeof(*shared->lanes));
    ASSERT(shared->lanes != NULL);
    shared->twin = twin_new(machine);
    for (uint32_t i = 0; i < history->lane_count; i++) {
        struct shared_lane *lane = &shared->lanes[i];
        lane->operations = history->lanes[i].operations;
        lane->count = history->lanes[i].count;
        lane->logged_ids = calloc(lane->count + 1, sizeof(*lane->logged_ids));
        ASSERT(lane->logged_ids != NULL);
        for (size_t j = 0; j < lane->count; j++)
            lane->logged_ids[j] =
                twin_logged_id(machine, lane->operations[j].words, lane->operations[j].word_count);
        lane_find_write(lane);
    }
}

static void shared_end(struct shared *shared) {
    for (uint32_t i = 0; i < shared->lane_count; i++)
        free(shared->lanes[i].logged_ids);
    free(shared->lanes);
    twin_free(shared->twin);
    kv_model_text_free(&shared->expected);
}

/* The lane whose next operation was answered before this one was invoked, or lane_count. */
static uint32_t shared_hindered_by(const struct shared *shared, uint32_t lane_index,
                                   const struct operation *operation) {
    for (uint32_t i = 0; i < shared->lane_count; i++) {
        const struct shared_lane *lane = &shared->lanes[i];
        if (i != lane_index && lane->next < lane->count &&
            lane->operations[lane->next].responded_ns < operation->invoked_ns)
            return i;
    }
    return shared->lane_count;
}

static struct judge_moment shared_moment(const struct shared *shared,
                                         const struct operation *operation) {
    return (struct judge_moment){
        .log_time_ms = shared->log_time_ms,
        .clock_min_ms = operation->invoked_wall_ms - JUDGE_CLOCK_SLACK_MS,
        .clock_max_ms = operation->responded_wall_ms + 1,
    };
}

/* Places the lane's next operation here, if it is a read that can stand here. */
static bool shared_place_read(struct shared *shared, uint32_t lane_index) {
    struct shared_lane *lane = &shared->lanes[lane_index];
    if (lane->next == lane->count || lane->logged_ids[lane->next] != 0)
        return false;
    const struct operation *operation = &lane->operations[lane->next];
    if (!operation->answered ||
        shared_hindered_by(shared, lane_index, operation) < shared->lane_count)
        return false;
    const struct judge_moment moment = shared_moment(shared, operation);
    if (!answer_fits(shared->twin, operation, &moment, &shared->expected))
        return false;
    lane->next++;
    if (lane->next_write < lane->next)
        lane->next_write = lane->next;
    lane_find_write(lane);
    return true;
}

/* Places every read that can stand between the last command and the next one. */
static void shared_place_reads(struct shared *shared) {
    bool progress = true;
    while (progress) {
        progress = false;
        for (uint32_t i = 0; i < shared->lane_count; i++)
            while (shared_place_read(shared, i))
                progress = true;
    }
}

static bool command_is(const struct logged_command *command, const struct operation *operation,
                       uint16_t id) {
    if (command->id != id || command->argument_count + 1 != operation->word_count)
        return false;
    for (size_t i = 0; i < command->argument_count; i++) {
        const struct kv_model_word *a = &command->arguments[i];
        const struct kv_model_word *b = &operation->words[i + 1];
        if (a->length != b->length || memcmp(a->data, b->data, a->length) != 0)
            return false;
    }
    return true;
}

/* The lane whose next write this is, or lane_count; *several if that is not clear. */
static uint32_t shared_writer(const struct shared *shared, const struct logged_command *command,
                              bool *several) {
    uint32_t found = shared->lane_count;
    *several = false;
    for (uint32_t i = 0; i < shared->lane_count; i++) {
        const struct shared_lane *lane = &shared->lanes[i];
        if (lane->next_write == lane->count ||
            !command_is(command, &lane->operations[lane->next_write],
                        lane->logged_ids[lane->next_write]))
            continue;
        *several = found < shared->lane_count;
        found = i;
    }
    return found;
}

/* Says of a command that is nobody's next write what it is. False. */
static bool shared_blame_command(struct shared *shared, const struct logged_command *command) {
    text_print(shared->error,
               "command %zu of the log (entry %" PRIu64
               ", id %u) is nobody's next write: never sent, twice in the log, or not in the "
               "order of its connection: ",
               shared->place, command->entry_index, command->id);
    words_print(shared->error, command->arguments, command->argument_count);
    for (uint32_t i = 0; i < shared->lane_count; i++) {
        const struct shared_lane *lane = &shared->lanes[i];
        if (lane->next_write == lane->count)
            continue;
        text_print(shared->error, "\n    expected of ");
        operation_print(shared->error, i, lane->next_write, &lane->operations[lane->next_write]);
    }
    text_print(shared->error, "\n");
    return false;
}

/* Executes a command of the log as the next write of a lane. */
static bool shared_write(struct shared *shared, const struct logged_command *command,
                         uint32_t lane_index) {
    struct shared_lane *lane = &shared->lanes[lane_index];
    const struct operation *operation = &lane->operations[lane->next];
    if (lane->next != lane->next_write) {
        const struct judge_moment moment = shared_moment(shared, operation);
        (void)answer_fits(shared->twin, operation, &moment, &shared->expected);
        return blame(shared->error,
                     "a read fits nowhere between its invocation and the write behind it "
                     "(the model's answer is that just before this write)",
                     lane_index, lane->next, operation,
                     operation->expected.length > 0 ? &operation->expected : &shared->expected);
    }
    const uint32_t other = shared_hindered_by(shared, lane_index, operation);
    if (other < shared->lane_count) {
        const struct shared_lane *before = &shared->lanes[other];
        blame(shared->error,
              "an operation was answered, and cannot stand before the one below, "
              "which was invoked afterwards and is already reached in the log",
              other, before->next, &before->operations[before->next], NULL);
        return blame(shared->error, "    the later one", lane_index, lane->next, operation, NULL);
    }
    twin_execute(shared->twin, operation->words, operation->word_count, command->log_time_ms,
                 command->log_time_ms, &shared->expected);
    if (operation->answered && !answer_equal(&shared->expected, &operation->answer))
        return blame(shared->error, "a write's answer is not that of its place in the log",
                     lane_index, lane->next, operation, &shared->expected);
    lane->next++;
    lane->next_write++;
    lane_find_write(lane);
    return true;
}

static bool shared_walk(struct shared *shared) {
    for (shared->place = 0; shared->place < shared->logged->count; shared->place++) {
        shared_place_reads(shared);
        const struct logged_command *command = &shared->logged->commands[shared->place];
        if (command->log_time_ms < shared->log_time_ms) {
            text_print(shared->error, "log time went back at entry %" PRIu64 "\n",
                       command->entry_index);
            return false;
        }
        bool several = false;
        const uint32_t writer = command->id == 0 ? 0 : shared_writer(shared, command, &several);
        if (several) {
            text_print(shared->error, "the test cannot tell who wrote command %zu of the log\n",
                       shared->place);
            return false;
        }
        if (command->id != 0 && writer == shared->lane_count)
            return shared_blame_command(shared, command);
        /* Time passes first, and is a place of its own: a read in front of the first write of a
           batch already sees what has expired by the time of the batch's entry. */
        shared->log_time_ms = command->log_time_ms;
        shared_place_reads(shared);
        if (command->id != 0 && !shared_write(shared, command, writer))
            return false;
    }
    shared_place_reads(shared);
    return true;
}

/* What is left has no place: a read that fits nowhere, or a write that the log does not hold. */
static bool shared_nothing_left(struct shared *shared) {
    for (uint32_t i = 0; i < shared->lane_count; i++) {
        const struct shared_lane *lane = &shared->lanes[i];
        if (lane->next == lane->count)
            continue;
        const struct operation *operation = &lane->operations[lane->next];
        if (!operation->answered)
            return blame(shared->error, "an operation was never answered", i, lane->next, operation,
                         NULL);
        if (lane->logged_ids[lane->next] != 0)
            return blame(shared->error, "a write was answered, and is not in the log", i,
                         lane->next, operation, NULL);
        const struct judge_moment moment = shared_moment(shared, operation);
        if (!answer_fits(shared->twin, operation, &moment, &shared->expected))
            return blame(shared->error, "a read fits nowhere up to the log's end", i, lane->next,
                         operation,
                         operation->expected.length > 0 ? &operation->expected : &shared->expected);
    }
    for (uint32_t i = 0; i < shared->lane_count; i++)
        if (shared->lanes[i].next < shared->lanes[i].count)
            return blame(shared->error, "operations wait for each other", i, shared->lanes[i].next,
                         &shared->lanes[i].operations[shared->lanes[i].next], NULL);
    return true;
}

/* How far the walk came, for a person who looks into the log. */
static void shared_print_place(const struct shared *shared) {
    if (shared->place == shared->logged->count)
        return;
    const struct logged_command *command = &shared->logged->commands[shared->place];
    text_print(shared->error,
               "    at command %zu of %zu in the log: entry %" PRIu64 ", time %" PRIu64 ", id %u: ",
               shared->place, shared->logged->count, command->entry_index, command->log_time_ms,
               command->id);
    words_print(shared->error, command->arguments, command->argument_count);
    text_print(shared->error, "\n");
}

bool judge_shared(const struct history *history, const struct logged *logged,
                  enum twin_machine machine, struct kv_model_text *error) {
    struct shared shared = {.logged = logged, .error = error};
    shared_begin(&shared, history, machine);
    const bool right = shared_walk(&shared) && shared_nothing_left(&shared);
    if (!right)
        shared_print_place(&shared);
    shared_end(&shared);
    return right;
}
