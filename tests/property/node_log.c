/* The log through storage/log.h. */

#include "tests/property/node_log.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "storage/log.h"

struct log_reading {
    struct logged *logged;
    struct kv_model_word *words;
    size_t capacity;
    uint64_t last_index;
    bool gap;
};

static void command_take(struct log_reading *reading, const struct entry_header *header,
                         const struct entry_command *command) {
    if (command->argument_count > reading->capacity) {
        reading->capacity = 2 * (size_t)command->argument_count;
        reading->words = realloc(reading->words, reading->capacity * sizeof(*reading->words));
        ASSERT(reading->words != NULL);
    }
    const uint8_t *data = command->arguments;
    for (uint32_t i = 0; i < command->argument_count; i++) {
        const uint32_t length = bytes_get_u32(command->argument_lengths + 4 * (size_t)i);
        reading->words[i] = (struct kv_model_word){(const char *)data, length};
        data += length;
    }
    logged_add(reading->logged, header->index, header->log_time_ms, command->id, reading->words,
               command->argument_count);
}

static void on_entry(void *context, const uint8_t *entry) {
    struct log_reading *reading = context;
    const struct entry_header header = entry_header_read(entry);
    reading->gap |= header.index != reading->last_index + 1;
    reading->last_index = header.index;
    if (header.kind != ENTRY_COMMANDS) {
        logged_add(reading->logged, header.index, header.log_time_ms, 0, NULL, 0);
        return;
    }
    struct entry_cursor cursor;
    struct entry_command command;
    entry_cursor_begin(&cursor, entry);
    while (entry_cursor_next(&cursor, &command))
        command_take(reading, &header, &command);
}

static int log_walk(struct io *io, struct io_port *port, const char *data_directory,
                    struct log_reading *reading, struct error_text *text) {
    int32_t directory;
    struct identity identity;
    struct log *log;
    const struct log_start start = {entry_tail_origin()};
    const struct log_options options = {.segment_bytes = 64 << 20,
                                        .memory_bytes = 64 << 20,
                                        .entry_bytes_max = 31 << 20,
                                        .write_bytes_max = 1 << 20,
                                        .durability = DURABILITY_WRITE};
    int error = io_directory_open(io, data_directory, false, &directory, text);
    if (error != 0)
        return error;
    error = identity_load(io, directory, &identity, text);
    if (error == 0)
        error = log_open(&log, io, port, directory, &identity, &start, &options, NULL, on_entry,
                         reading, text);
    if (error == 0) {
        log_stop(log);
        while (!log_stopped(log)) {
            const struct io_completion completion = io_wait(port);
            (void)log_completion(log, &completion);
        }
        log_close(log);
    }
    io_close(io, directory);
    return error;
}

bool node_log_read(const char *data_directory, struct logged *logged, struct kv_model_text *error) {
    struct io *io;
    struct io_port *port;
    struct error_text text = {0};
    struct log_reading reading = {.logged = logged};
    const struct io_options options = {
        .submissions_max = 64, .completions_max = 128, .features_allowed = IO_FEATURES_ALL};
    if (io_create(&io, &options, &text) != 0) {
        text_print(error, "%s\n", text.text);
        return false;
    }
    bool right = io_port_create(io, &port, LOG_OPERATIONS_MAX + 4) == 0;
    if (right) {
        right = log_walk(io, port, data_directory, &reading, &text) == 0;
        io_port_destroy(port);
    }
    io_destroy(io);
    free(reading.words);
    if (!right)
        text_print(error, "the log cannot be read: %s\n", text.text);
    else if (reading.gap)
        text_print(error, "the log does not hold every entry from 1 on\n");
    return right && !reading.gap;
}
