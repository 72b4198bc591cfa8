/*
 * The verdict over the histories.
 *
 * The committed entries are turned into the commands that the clients sent, by the machine's table
 * of commands; the replay checker lays the history beside them and decides what became of unknown
 * writes; with that, the search key by key is easy.
 *
 * What is undecided is counted, and is no finding: it is never as good as right.
 */

#include "sim/swarm_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "entry/entry.h"
#include "machines/machine.h"
#include "sim/linearizable.h"
#include "sim/replay_check.h"

enum { VALUE_BYTES_MAX = 1 << 20 };

/* Commands as they grow; words are kept in one block each. */
struct judge_log {
    struct replay_command *commands;
    size_t count;
    size_t capacity;
};

static struct replay_command *command_add(struct judge_log *log) {
    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? 1024 : 2 * log->capacity;
        log->commands = realloc(log->commands, log->capacity * sizeof(*log->commands));
        ASSERT(log->commands != NULL);
    }
    return &log->commands[log->count++];
}

static const char *name_of(const struct machine_operations *machine, uint16_t id) {
    for (uint32_t i = 0; i < machine->command_count; i++) {
        if (machine->commands[i].id == id) {
            return machine->commands[i].name;
        }
    }
    UNREACHABLE("the log holds commands of the machine only");
}

static void command_take(struct judge_log *log, const struct machine_operations *machine,
                         const struct entry_header *header, const struct entry_command *command) {
    struct kv_model_word *words = malloc((1 + (size_t)command->argument_count) * sizeof(*words));
    ASSERT(words != NULL);
    const char *name = name_of(machine, command->id);
    words[0] = (struct kv_model_word){name, strlen(name)};
    const uint8_t *data = command->arguments;
    for (uint32_t i = 0; i < command->argument_count; i++) {
        uint32_t length = bytes_get_u32(command->argument_lengths + 4 * (size_t)i);
        words[1 + i] = (struct kv_model_word){(const char *)data, length};
        data += length;
    }
    *command_add(log) = (struct replay_command){.entry_index = header->index,
                                                .log_time_ms = header->log_time_ms,
                                                .words = words,
                                                .word_count = 1 + command->argument_count,
                                                .operation = REPLAY_OPERATION_UNSAID};
}

static void entry_take(struct judge_log *log, const struct machine_operations *machine,
                       const uint8_t *entry) {
    struct entry_header header = entry_header_read(entry);
    if (header.kind != ENTRY_COMMANDS) {
        *command_add(log) = (struct replay_command){.entry_index = header.index,
                                                    .log_time_ms = header.log_time_ms,
                                                    .operation = REPLAY_OPERATION_UNSAID};
        return;
    }
    struct entry_cursor cursor;
    struct entry_command command;
    entry_cursor_begin(&cursor, entry);
    while (entry_cursor_next(&cursor, &command)) {
        if (command.id < ENTRY_COMMAND_ID_HOST) {
            command_take(log, machine, &header, &command);
        }
    }
}

/* Whether every committed entry is known by its bytes, but the first, which has no commands. */
static bool log_take(struct judge_log *log, const struct swarm *swarm) {
    const struct machine_operations *machine = machine_find("kv");
    for (size_t i = 0; i < swarm->check.committed_count; i++) {
        const uint8_t *bytes = swarm->check.committed[i].bytes;
        if (bytes == NULL && i > 0) {
            return false;
        }
        if (bytes != NULL) {
            entry_take(log, machine, bytes);
        }
    }
    return true;
}

static void log_free(struct judge_log *log) {
    for (size_t i = 0; i < log->count; i++) {
        free((void *)(uintptr_t)log->commands[i].words);
    }
    free(log->commands);
}

/* The first line of a checker's text. */
static void verdict_find(struct swarm *swarm, const char *checker,
                         const struct kv_model_text *text) {
    int length = (int)(text->length < 300 ? text->length : 300);
    swarm_say(swarm, "%s:\n%.*s", checker, (int)text->length, text->data);
    swarm_find(swarm, "%s: %.*s", checker, length, length == 0 ? "" : text->data);
}

static void judge_by_key(struct swarm *swarm, const uint8_t *never_applied) {
    struct linearizable_options options = linearizable_options_default();
    options.memory_slots = 1 << 16;
    options.steps_max = 2 * 1000 * 1000;
    options.never_applied = never_applied;
    struct linearizable_report report;
    int status = linearizable_check(&swarm->load->history, &options, &report);
    ASSERT(status == 0);
    if (report.verdict == HISTORY_WRONG) {
        verdict_find(swarm, "a key's history is not linearizable", &report.text);
    }
    swarm->result->counts.histories_undecided += report.verdict == HISTORY_UNDECIDED;
    kv_model_text_free(&report.text);
}

void swarm_judge(struct swarm *swarm) {
    struct judge_log log = {0};
    struct replay_report report;
    if (!log_take(&log, swarm)) {
        swarm->result->counts.histories_undecided++;
        judge_by_key(swarm, NULL);
    } else {
        int status =
            replay_check(&swarm->load->history, log.commands, log.count, VALUE_BYTES_MAX, &report);
        ASSERT(status == 0);
        if (report.verdict == HISTORY_WRONG) {
            verdict_find(swarm, "the history does not fit the log", &report.text);
        }
        swarm->result->counts.histories_undecided += report.verdict == HISTORY_UNDECIDED;
        judge_by_key(swarm, report.verdict == HISTORY_RIGHT ? report.never_applied : NULL);
        replay_free(&report);
    }
    log_free(&log);
}
