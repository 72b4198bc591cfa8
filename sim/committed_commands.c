/*
 * From entries to what the replay checker takes. See sim/committed_commands.h.
 *
 * The table of sessions here is written anew and shares nothing with stages/sessions.h: a list of
 * sessions, each with the numbers of its last writes.
 */

#include "sim/committed_commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "entry/entry.h"
#include "entry/transaction.h"
#include "machines/machine.h"

enum {
    WINDOW = 128,
    NUMBER_BYTES = 8, /* of the text of a number up to HISTORY_WORDS_MAX */
};

struct once_session {
    uint64_t id;
    uint64_t lifetime_ms;
    uint64_t used_ms;
    uint64_t highest;
    uint64_t used[WINDOW]; /* number s in place s % WINDOW; 0: none */
};

struct reading {
    const struct machine_operations *machine;
    committed_once *once;
    const void *context;
    struct committed_commands *out;
    size_t commands_max;
    size_t words_count;
    size_t words_max;
    size_t watched_count;
    size_t watched_max;
    struct once_session *sessions;
    size_t session_count;
    size_t sessions_max;
};

static void *grown(void *array, size_t count, size_t *max, size_t size) {
    if (count < *max)
        return array;
    *max = 2 * count + 64;
    void *more = realloc(array, *max * size);
    ASSERT(more != NULL);
    return more;
}

/* ---- Sessions -------------------------------------------------------------------------------- */

static void session_open(struct reading *reading, const struct entry_header *header,
                         uint64_t lifetime_ms) {
    reading->sessions = grown(reading->sessions, reading->session_count, &reading->sessions_max,
                              sizeof(*reading->sessions));
    reading->sessions[reading->session_count++] = (struct once_session){
        .id = header->index, .lifetime_ms = lifetime_ms, .used_ms = header->log_time_ms};
}

/* Whether the command takes effect. */
static bool session_use(struct reading *reading, const struct entry_header *header,
                        const struct entry_command *command) {
    struct once_session *session = NULL;
    for (size_t i = 0; session == NULL && i < reading->session_count; i++)
        if (reading->sessions[i].id == command->session)
            session = &reading->sessions[i];
    if (session == NULL || header->log_time_ms - session->used_ms >= session->lifetime_ms) {
        reading->out->once_refused++;
        return false;
    }
    session->used_ms = header->log_time_ms;
    uint64_t *place = &session->used[command->sequence % WINDOW];
    if (*place == command->sequence) {
        reading->out->once_repeated++;
        return false;
    }
    if (command->sequence + WINDOW <= session->highest) {
        reading->out->once_refused++;
        return false;
    }
    *place = command->sequence;
    if (command->sequence > session->highest)
        session->highest = command->sequence;
    return true;
}

/* ---- Commands -------------------------------------------------------------------------------- */

static struct replay_command *command_add(struct reading *reading,
                                          const struct entry_header *header) {
    struct committed_commands *out = reading->out;
    out->commands =
        grown(out->commands, out->count, &reading->commands_max, sizeof(*out->commands));
    struct replay_command *command = &out->commands[out->count++];
    *command = (struct replay_command){.entry_index = header->index,
                                       .log_time_ms = header->log_time_ms,
                                       .operation = REPLAY_OPERATION_UNSAID};
    return command;
}

static void word_add(struct reading *reading, const void *data, size_t length) {
    reading->out->words = grown(reading->out->words, reading->words_count, &reading->words_max,
                                sizeof(*reading->out->words));
    reading->out->words[reading->words_count++] = (struct kv_model_word){data, length};
}

/* The name and the arguments; false if no command of the machine has the id. */
static bool words_take(struct reading *reading, const struct entry_command *command) {
    const int32_t row = machine_id_find(reading->machine, command->id);
    if (row < 0)
        return false;
    const char *name = reading->machine->commands[row].name;
    word_add(reading, name, strlen(name));
    const uint8_t *data = command->arguments;
    for (uint32_t i = 0; i < command->argument_count; i++) {
        const uint32_t length = bytes_get_u32(command->argument_lengths + 4 * (size_t)i);
        word_add(reading, data, length);
        data += length;
    }
    return true;
}

/* How many words a command of a transaction has, the name too. */
static void number_add(struct reading *reading, uint32_t number) {
    static const char more[] = "too many";
    const char *text =
        number > HISTORY_WORDS_MAX ? more : reading->out->numbers + (size_t)number * NUMBER_BYTES;
    word_add(reading, text, strlen(text));
}

/* False if a command in it is not known, or one whose reply the leader knew. */
static bool transaction_take(struct reading *reading, struct replay_command *taken,
                             const struct entry_command *command) {
    struct entry_transaction transaction;
    struct entry_watch watch;
    struct entry_command inner;
    entry_transaction_read(command, &transaction);
    word_add(reading, "exec", 4);
    if (transaction.watch_count > 0) {
        number_add(reading, transaction.watch_count + 1);
        word_add(reading, "watch", 5);
    }
    const uint8_t *at = transaction.watches;
    for (uint32_t i = 0; i < transaction.watch_count; i++) {
        at += entry_watch_read(at, &watch);
        word_add(reading, watch.key, watch.key_bytes);
        reading->out->watched = grown(reading->out->watched, reading->watched_count,
                                      &reading->watched_max, sizeof(*reading->out->watched));
        reading->out->watched[reading->watched_count++] = (struct replay_watched){
            {(const char *)watch.key, watch.key_bytes}, watch.index, watch.present};
    }
    taken->watched_count = transaction.watch_count;
    struct entry_cursor cursor = entry_transaction_cursor(&transaction);
    while (entry_cursor_next(&cursor, &inner)) {
        number_add(reading, inner.argument_count + 1);
        if (!words_take(reading, &inner))
            return false;
    }
    return true;
}

static void command_take(struct reading *reading, const struct entry_header *header,
                         const struct entry_command *command) {
    if (command->id == ENTRY_COMMAND_ID_OPEN) {
        session_open(reading, header, command->sequence);
        (void)command_add(reading, header);
        return;
    }
    if (command->session != 0 && !session_use(reading, header, command)) {
        (void)command_add(reading, header);
        return;
    }
    struct replay_command *taken = command_add(reading, header);
    const size_t words_before = reading->words_count;
    const bool is_known = command->id == ENTRY_COMMAND_ID_EXEC
                              ? transaction_take(reading, taken, command)
                              : words_take(reading, command);
    if (!is_known) {
        reading->words_count = words_before;
        reading->out->not_known++;
        return;
    }
    taken->word_count = (uint32_t)(reading->words_count - words_before);
    if (command->session != 0 && reading->once != NULL) {
        const uint32_t operation =
            reading->once(reading->context, command->session, command->sequence);
        if (operation != HISTORY_OPERATIONS_MAX)
            taken->operation = operation;
    }
}

static void entry_take(struct reading *reading, const uint8_t *entry) {
    const struct entry_header header = entry_header_read(entry);
    /* The entry's time comes before its commands: a read of the same batch may stand between. */
    (void)command_add(reading, &header);
    if (header.kind != ENTRY_COMMANDS)
        return;
    struct entry_cursor cursor;
    struct entry_command command;
    entry_cursor_begin(&cursor, entry);
    while (entry_cursor_next(&cursor, &command))
        command_take(reading, &header, &command);
}

void committed_commands_collect(committed_entry *entry, const void *source, uint64_t last_index,
                                committed_once *once, const void *context,
                                struct committed_commands *out) {
    *out = (struct committed_commands){0};
    struct reading reading = {
        .machine = machine_find("kv"), .once = once, .context = context, .out = out};
    out->numbers = calloc(HISTORY_WORDS_MAX + 1, NUMBER_BYTES);
    ASSERT(out->numbers != NULL);
    for (uint32_t i = 0; i <= HISTORY_WORDS_MAX; i++)
        (void)snprintf(out->numbers + (size_t)i * NUMBER_BYTES, NUMBER_BYTES, "%u", i);
    for (uint64_t index = 1; index <= last_index; index++) {
        const uint8_t *bytes = entry(source, index);
        if (bytes != NULL)
            entry_take(&reading, bytes);
    }
    free(reading.sessions);
    /* The words have stopped moving. */
    size_t word = 0;
    size_t watched = 0;
    for (size_t i = 0; i < out->count; i++) {
        if (out->commands[i].watched_count > 0)
            out->commands[i].watched = out->watched + watched;
        watched += out->commands[i].watched_count;
        if (out->commands[i].word_count > 0)
            out->commands[i].words = out->words + word;
        word += out->commands[i].word_count;
    }
    ASSERT(word == reading.words_count && watched == reading.watched_count);
}

void committed_commands_free(struct committed_commands *commands) {
    free(commands->commands);
    free(commands->words);
    free(commands->numbers);
    free(commands->watched);
    *commands = (struct committed_commands){0};
}
