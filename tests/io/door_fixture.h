#ifndef WEIR_TESTS_IO_DOOR_FIXTURE_H
#define WEIR_TESTS_IO_DOOR_FIXTURE_H

/* What the parts of the contract suite share: one door, one port, and waiting for completions. */

#include "tests/io/door_contract.h"

#include "tests/cmocka_wrapper.h"

enum {
    DOOR_OPERATIONS_MAX = 64,
    DOOR_BUFFER_BYTES = 64,
    DOOR_BUFFER_COUNT = 8,
    DOOR_PUMPS_MAX = 200000, /* a test that needs more waits for what never comes */
};

struct door_fixture {
    const struct door_kind *kind;
    struct io *io;
    struct io_port *port;
    uint8_t *buffers;
    int32_t listener;
};

/* Set by the suite before any test runs. */
extern const struct door_kind *door_kind;

/* cmocka setup and teardown: a door, a port, buffers and a listener; *state is the fixture. */
int door_fixture_setup(void **state);
int door_fixture_teardown(void **state);

/* The next completion of the port. */
struct io_completion door_next(struct door_fixture *fixture);

/* The next one, which must be of this operation. */
struct io_completion door_expect(struct door_fixture *fixture, enum io_kind kind, uint64_t user);

/* Asserts that nothing arrives however long one waits. */
void door_expect_silence(struct door_fixture *fixture);

/* Connects a client and accepts it: its handle.  Accepting is stopped again. */
int32_t door_connect(struct door_fixture *fixture, struct door_client **client);

/* Sends all of it, pumping while the far side is slow to take. */
void door_client_send_all(struct door_fixture *fixture, struct door_client *client,
                          const void *bytes, size_t length_bytes);

/* Receives exactly so much at the client. */
void door_client_receive_all(struct door_fixture *fixture, struct door_client *client, void *bytes,
                             size_t length_bytes);

/* Waits until the client is in this state. */
void door_client_expect(struct door_fixture *fixture, struct door_client *client,
                        enum door_client_state state);

/* The bytes of a received piece. */
const uint8_t *door_buffer(const struct door_fixture *fixture, uint32_t index);

/* The byte at a place of the pattern that streams and files are filled with. */
uint8_t door_pattern(uint64_t place);

/* A fresh directory for a test; the name is one of its own. */
int32_t door_directory(struct door_fixture *fixture, char path[512], const char *name);

/* Opens, waits, returns the handle or the negative errno. */
int32_t door_file_open(struct door_fixture *fixture, int32_t directory, const char *name,
                       uint32_t flags);

/* The tests of each part: arrays that end with a name of NULL. */
extern const struct CMUnitTest door_socket_tests[];
extern const struct CMUnitTest door_buffer_tests[];
extern const struct CMUnitTest door_connect_tests[];
extern const struct CMUnitTest door_file_tests[];
extern const struct CMUnitTest door_loop_tests[];

#endif
