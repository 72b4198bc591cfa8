/* See fixture.h. */

#include "tests/storage/fixture.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <string.h>

uint32_t fixture_open_count;

struct log_options fixture_options(enum durability durability) {
    return (struct log_options){
        .segment_bytes = 1024 * 1024,
        .memory_bytes = 1024 * 1024,
        .entry_bytes_max = 256 * 1024,
        .write_bytes_max = 64 * 1024,
        .durability = durability,
    };
}

void fixture_open(struct fixture *fixture, struct io *io, const char *path, bool create) {
    *fixture = (struct fixture){
        .io = io, .options = fixture_options(DURABILITY_FSYNC), .term = 1, .directory = -1};
    fixture_open_count++;
    const struct configuration members = {
        .member_count = 1,
        .members = {{.node_id = 1, .incarnation = 0, .roles = CONFIGURATION_VOTER}},
    };
    assert_int_equal(io_port_create(io, &fixture->port, FIXTURE_OPERATIONS_MAX), 0);
    assert_int_equal(io_directory_open(io, path, create, &fixture->directory, &fixture->error), 0);
    if (create)
        assert_int_equal(identity_create(io, fixture->directory, "test", 1, &members,
                                         &fixture->identity, &fixture->error),
                         0);
    else
        assert_int_equal(identity_load(io, fixture->directory, &fixture->identity, &fixture->error),
                         0);
}

static void note_entry(void *context, const uint8_t *entry) {
    struct fixture *fixture = context;
    const struct entry_header header = entry_header_read(entry);
    fixture->found_count++;
    assert_true(header.index == fixture->found_tail.index + 1);
    fixture->found_tail = (struct entry_tail){.index = header.index,
                                              .term = header.term,
                                              .log_time_ms = header.log_time_ms,
                                              .chain = header.chain};
    if (header.kind == ENTRY_COMMANDS)
        assert_true(fixture_entry_is_right(entry, header.index));
}

int fixture_log_open(struct fixture *fixture, const struct log_start *start) {
    const struct log_start origin = {.tail = entry_tail_origin()};
    start = start == NULL ? &origin : start;
    fixture->found_count = 0;
    fixture->found_tail = start->tail;
    const int result =
        log_open(&fixture->log, fixture->io, fixture->port, fixture->directory, &fixture->identity,
                 start, &fixture->options, NULL, note_entry, fixture, &fixture->error);
    if (result != 0)
        return result;
    assert_true(log_last_index(fixture->log) == fixture->found_tail.index);
    assert_true(log_tail(fixture->log)->chain == fixture->found_tail.chain);
    if (fixture->term < log_tail(fixture->log)->term)
        fixture->term = log_tail(fixture->log)->term;
    return 0;
}

void fixture_log_stop(struct fixture *fixture) {
    log_stop(fixture->log);
    while (!log_stopped(fixture->log))
        fixture_complete_one(fixture);
    log_close(fixture->log);
    fixture->log = NULL;
}

void fixture_close(struct fixture *fixture) {
    assert_null(fixture->log);
    io_close(fixture->io, fixture->directory);
    io_port_destroy(fixture->port);
    fixture_open_count--;
}

/* The i-th byte of the argument of entry `index`: some entries are all zeros. */
static uint8_t argument_byte(uint64_t index, uint32_t i) {
    return index % 7 == 0 ? 0 : (uint8_t)(index * 31 + i * 7 + (i >> 8));
}

/* The entry that comes next, which so many bytes of argument are the body of. */
static struct entry_header entry_next(const struct fixture *fixture, uint32_t bytes) {
    const uint64_t index = log_last_index(fixture->log) + 1;
    return (struct entry_header){.length_bytes =
                                     ENTRY_HEADER_BYTES + entry_command_bytes(1, 1, bytes, false),
                                 .kind = ENTRY_COMMANDS,
                                 .command_count = 1,
                                 .term = fixture->term,
                                 .log_time_ms = index * 10};
}

static void body_write(uint8_t *entry, uint64_t index, uint32_t bytes) {
    static uint8_t argument_bytes[512 * 1024];
    ASSERT(bytes <= sizeof(argument_bytes));
    for (uint32_t i = 0; i < bytes; i++)
        argument_bytes[i] = argument_byte(index, i);
    const struct entry_argument argument = {.data = argument_bytes, .length_bytes = bytes};
    const uint64_t key_hash = index;
    entry_command_write(entry + ENTRY_HEADER_BYTES, 1, &argument, 1, &key_hash, 1);
}

bool fixture_append(struct fixture *fixture, uint32_t bytes) {
    const uint64_t index = log_last_index(fixture->log) + 1;
    const struct entry_header header = entry_next(fixture, bytes);
    uint8_t *entry = log_reserve(fixture->log, header.length_bytes, false);
    if (entry == NULL)
        return false;
    body_write(entry, index, bytes);
    assert_true(log_append(fixture->log, &header) == index);
    return true;
}

size_t fixture_entry_make(struct fixture *fixture, uint32_t bytes, uint8_t *entry) {
    const struct entry_header header = entry_next(fixture, bytes);
    struct entry_tail tail = *log_tail(fixture->log);
    body_write(entry, tail.index + 1, bytes);
    entry_seal(entry, &header, &tail);
    return header.length_bytes;
}

bool fixture_append_begin(struct fixture *fixture, uint32_t bytes) {
    const struct entry_header header = entry_next(fixture, bytes);
    uint8_t *entry = log_reserve(fixture->log, header.length_bytes, false);
    if (entry == NULL)
        return false;
    log_append_begin(fixture->log, &header);
    body_write(entry, log_last_index(fixture->log) + 1, bytes);
    return true;
}

bool fixture_entry_is_right(const uint8_t *entry, uint64_t index) {
    const struct entry_header header = entry_header_read(entry);
    struct entry_cursor cursor;
    struct entry_command command;
    if (header.kind != ENTRY_COMMANDS || header.index != index)
        return false;
    entry_cursor_begin(&cursor, entry);
    if (!entry_cursor_next(&cursor, &command) || command.argument_count != 1)
        return false;
    const uint32_t bytes = bytes_get_u32(command.argument_lengths);
    for (uint32_t i = 0; i < bytes; i++) {
        if (command.arguments[i] != argument_byte(index, i))
            return false;
    }
    return !entry_cursor_next(&cursor, &command);
}

void fixture_complete_one(struct fixture *fixture) {
    const struct io_completion completion = io_wait(fixture->port);
    assert_true(log_completion(fixture->log, &completion));
}

void fixture_append_surely(struct fixture *fixture, uint32_t bytes) {
    while (!fixture_append(fixture, bytes)) {
        log_flush(fixture->log);
        log_maintain(fixture->log, io_monotonic_ns(fixture->io));
        assert_int_equal(log_state(fixture->log), LOG_READY);
        if (io_outstanding(fixture->port) > 0)
            fixture_complete_one(fixture);
        log_release(fixture->log, log_durable_index(fixture->log));
    }
}

void fixture_settle(struct fixture *fixture) {
    for (;;) {
        log_flush(fixture->log);
        if (log_durable_index(fixture->log) == log_last_index(fixture->log) &&
            !log_truncating(fixture->log))
            return;
        log_maintain(fixture->log, io_monotonic_ns(fixture->io));
        assert_int_not_equal(log_state(fixture->log), LOG_FAILED);
        fixture_complete_one(fixture);
    }
}
