/* The fixture and the runner of the contract suite. */

#include "tests/io/door_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct door_kind *door_kind;

int door_fixture_setup(void **state) {
    struct door_fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture->kind = door_kind;
    fixture->io = door_kind->open();
    assert_int_equal(io_port_create(fixture->io, &fixture->port, DOOR_OPERATIONS_MAX), 0);
    fixture->buffers = calloc(DOOR_BUFFER_COUNT, DOOR_BUFFER_BYTES);
    assert_non_null(fixture->buffers);
    struct error_text error = {0};
    assert_int_equal(io_buffers_register(fixture->io, 0, fixture->buffers, DOOR_BUFFER_BYTES,
                                         DOOR_BUFFER_COUNT, DOOR_BUFFER_COUNT / 2, &error),
                     0);
    /* The others come into use as those that come home do: the tests below need them all. */
    for (uint32_t i = DOOR_BUFFER_COUNT / 2; i < DOOR_BUFFER_COUNT; i++)
        io_buffer_return(fixture->io, 0, i);
    assert_int_equal(io_listen(fixture->io, "127.0.0.1:0", 128, &fixture->listener, &error), 0);
    *state = fixture;
    return 0;
}

int door_fixture_teardown(void **state) {
    struct door_fixture *fixture = *state;
    assert_int_equal(io_outstanding(fixture->port), 0);
    io_port_destroy(fixture->port);
    io_close(fixture->io, fixture->listener);
    fixture->kind->close(fixture->io);
    free(fixture->buffers);
    free(fixture);
    return 0;
}

struct io_completion door_next(struct door_fixture *fixture) {
    struct io_completion completion;
    for (int pumps = 0; io_take(fixture->port, &completion, 1) == 0; pumps++) {
        if (pumps == DOOR_PUMPS_MAX)
            fail_msg("a completion never came; %u outstanding", io_outstanding(fixture->port));
        fixture->kind->pump(fixture->io);
    }
    return completion;
}

struct io_completion door_expect(struct door_fixture *fixture, enum io_kind kind, uint64_t user) {
    struct io_completion completion = door_next(fixture);
    assert_int_equal(completion.kind, kind);
    assert_int_equal(completion.user, user);
    return completion;
}

void door_expect_silence(struct door_fixture *fixture) {
    struct io_completion completion;
    for (int pumps = 0; pumps < 50; pumps++) {
        fixture->kind->pump(fixture->io);
        assert_int_equal(io_take(fixture->port, &completion, 1), 0);
    }
}

int32_t door_connect(struct door_fixture *fixture, struct door_client **client) {
    enum { USER = 0xacce97 };
    io_accept_start(fixture->port, fixture->listener, USER);
    *client = fixture->kind->client_connect(io_listen_port(fixture->io, fixture->listener));
    assert_non_null(*client);
    struct io_completion accepted = door_expect(fixture, IO_ACCEPT, USER);
    assert_true(accepted.result >= 0);
    assert_true(accepted.flags & IO_MORE);
    io_accept_stop(fixture->port, fixture->listener);
    struct io_completion ended = door_expect(fixture, IO_ACCEPT, USER);
    assert_int_equal(ended.result, -ECANCELED);
    assert_false(ended.flags & IO_MORE);
    return accepted.result;
}

void door_client_send_all(struct door_fixture *fixture, struct door_client *client,
                          const void *bytes, size_t length_bytes) {
    const uint8_t *at = bytes;
    for (int pumps = 0; length_bytes > 0; pumps++) {
        assert_true(pumps < DOOR_PUMPS_MAX);
        size_t sent = fixture->kind->client_send(client, at, length_bytes);
        at += sent;
        length_bytes -= sent;
        if (length_bytes > 0)
            fixture->kind->pump(fixture->io);
    }
}

void door_client_receive_all(struct door_fixture *fixture, struct door_client *client, void *bytes,
                             size_t length_bytes) {
    uint8_t *at = bytes;
    for (int pumps = 0; length_bytes > 0; pumps++) {
        assert_true(pumps < DOOR_PUMPS_MAX);
        size_t received = fixture->kind->client_receive(client, at, length_bytes);
        at += received;
        length_bytes -= received;
        if (length_bytes > 0)
            fixture->kind->pump(fixture->io);
    }
}

void door_client_expect(struct door_fixture *fixture, struct door_client *client,
                        enum door_client_state state) {
    for (int pumps = 0; fixture->kind->client_state(client) != state; pumps++) {
        assert_true(pumps < DOOR_PUMPS_MAX);
        fixture->kind->pump(fixture->io);
    }
}

const uint8_t *door_buffer(const struct door_fixture *fixture, uint32_t index) {
    assert_true(index < DOOR_BUFFER_COUNT);
    return fixture->buffers + (size_t)index * DOOR_BUFFER_BYTES;
}

uint8_t door_pattern(uint64_t place) {
    return (uint8_t)(place * 131 + (place >> 8) * 29 + (place >> 16));
}

int32_t door_directory(struct door_fixture *fixture, char path[512], const char *name) {
    int length = snprintf(path, 512, "%s/%s", fixture->kind->path(), name);
    assert_true(length > 0 && length < 512);
    struct error_text error = {0};
    int32_t directory = -1;
    int status = io_directory_open(fixture->io, path, true, &directory, &error);
    if (status != 0)
        fail_msg("%s: %s", path, error.text);
    return directory;
}

int32_t door_file_open(struct door_fixture *fixture, int32_t directory, const char *name,
                       uint32_t flags) {
    io_file_open(fixture->port, directory, name, flags, 0x09e4);
    return door_expect(fixture, IO_FILE_OPEN, 0x09e4).result;
}

/* Adds the tests of one part, each with a door of its own. */
static size_t add(struct CMUnitTest *all, size_t count, const struct CMUnitTest *part) {
    for (; part->name != NULL; part++) {
        assert_true(count < 64);
        all[count] = *part;
        all[count].setup_func = door_fixture_setup;
        all[count].teardown_func = door_fixture_teardown;
        count++;
    }
    return count;
}

int door_contract_run(const struct door_kind *kind) {
    struct CMUnitTest all[64];
    size_t count = 0;
    door_kind = kind;
    count = add(all, count, door_socket_tests);
    count = add(all, count, door_buffer_tests);
    count = add(all, count, door_connect_tests);
    count = add(all, count, door_file_tests);
    count = add(all, count, door_loop_tests);
    return _cmocka_run_group_tests(kind->name, all, count, NULL, NULL);
}
