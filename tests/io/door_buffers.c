/* The contract of groups of receive buffers: each receive draws from its own, and from no other. */

#include "tests/io/door_fixture.h"

#include <errno.h>

enum {
    FEW = 2, /* buffers of the second group, of another size than those of the first */
    FEW_BYTES = 32,
    BYTES_MAX = 4096, /* of a stream: more than both groups hold */
};

/* One connection for each group, and what was kept of it. */
/* Groups that the test uses. */
enum { LANES = 2 };

struct lane {
    struct door_client *client;
    int32_t socket;
    uint32_t group;
    bool armed;
    size_t sent;
    size_t received;
    uint32_t kept[DOOR_BUFFER_COUNT];
    uint32_t kept_count;
};

struct lanes {
    struct door_fixture *fixture;
    uint8_t memory[FEW * FEW_BYTES];
    struct lane of_group[LANES];
};

static uint8_t lane_byte(const struct lane *lane, size_t place) {
    return door_pattern(place + lane->group * 7);
}

static void lanes_open(struct lanes *lanes, struct door_fixture *fixture) {
    *lanes = (struct lanes){.fixture = fixture};
    struct error_text error = {0};
    assert_int_equal(
        io_buffers_register(fixture->io, 1, lanes->memory, FEW_BYTES, FEW, FEW, &error), 0);
    for (uint32_t group = 0; group < LANES; group++) {
        struct lane *lane = &lanes->of_group[group];
        lane->group = group;
        lane->socket = door_connect(fixture, &lane->client);
    }
}

/* Checks a piece against the stream, and keeps its buffer. */
static void lane_take(struct lanes *lanes, struct lane *lane, struct io_completion completion) {
    assert_int_equal(completion.kind, IO_RECEIVE);
    lane->armed = completion.flags & IO_MORE;
    if (!(completion.flags & IO_HAS_BUFFER)) {
        assert_true(completion.result == IO_RECEIVE_NO_BUFFERS || completion.result == -ECANCELED);
        return;
    }
    assert_true(completion.buffer < (lane->group == 0 ? (uint32_t)DOOR_BUFFER_COUNT : FEW));
    const uint8_t *piece = lane->group == 0 ? door_buffer(lanes->fixture, completion.buffer)
                                            : lanes->memory + completion.buffer * FEW_BYTES;
    for (int32_t i = 0; i < completion.result; i++)
        assert_int_equal(piece[i], lane_byte(lane, lane->received + (size_t)i));
    lane->received += (size_t)completion.result;
    assert_true(lane->kept_count < DOOR_BUFFER_COUNT);
    lane->kept[lane->kept_count++] = completion.buffer;
}

/* Arms the lane, sends into it, and takes what comes, of either. */
static void lane_step(struct lanes *lanes, struct lane *lane) {
    struct door_fixture *fixture = lanes->fixture;
    if (!lane->armed)
        io_receive_start(fixture->port, lane->socket, lane->group, lane->group);
    lane->armed = true;
    uint8_t byte = lane_byte(lane, lane->sent);
    if (lane->sent < BYTES_MAX)
        lane->sent += fixture->kind->client_send(lane->client, &byte, 1);
    fixture->kind->pump(fixture->io);
    struct io_completion completion;
    while (io_take(fixture->port, &completion, 1) == 1)
        lane_take(lanes, &lanes->of_group[completion.user], completion);
}

/* Keeps every buffer of the lane's group; its receive then finds none. */
static void lane_exhaust(struct lanes *lanes, struct lane *lane, uint32_t count) {
    for (int steps = 0; lane->kept_count < count; steps++) {
        assert_true(steps < DOOR_PUMPS_MAX);
        lane_step(lanes, lane);
    }
    size_t received = lane->received;
    for (int steps = 0; lane->armed; steps++) {
        assert_true(steps < DOOR_PUMPS_MAX);
        uint8_t byte = lane_byte(lane, lane->sent);
        lane->sent += lanes->fixture->kind->client_send(lane->client, &byte, 1);
        lanes->fixture->kind->pump(lanes->fixture->io);
        struct io_completion completion;
        while (io_take(lanes->fixture->port, &completion, 1) == 1)
            lane_take(lanes, lane, completion);
    }
    assert_int_equal(lane->received, received);
}

static void lane_give_back(struct lanes *lanes, struct lane *lane) {
    while (lane->kept_count > 0)
        io_buffer_return(lanes->fixture->io, lane->group, lane->kept[--lane->kept_count]);
}

/* The lane goes on by so many pieces. */
static void lane_goes_on(struct lanes *lanes, struct lane *lane, uint32_t pieces) {
    for (uint32_t i = 0; i < pieces; i++) {
        size_t received = lane->received;
        for (int steps = 0; lane->received == received; steps++) {
            assert_true(steps < DOOR_PUMPS_MAX);
            lane_step(lanes, lane);
        }
        lane_give_back(lanes, lane);
    }
}

static void lanes_close(struct lanes *lanes) {
    struct door_fixture *fixture = lanes->fixture;
    for (uint32_t group = 0; group < LANES; group++) {
        struct lane *lane = &lanes->of_group[group];
        if (lane->armed)
            io_receive_stop(fixture->port, lane->socket, group);
        while (lane->armed) {
            lane_take(lanes, lane, door_expect(fixture, IO_RECEIVE, group));
            lane_give_back(lanes, lane);
        }
        io_close(fixture->io, lane->socket);
        fixture->kind->client_close(lane->client);
    }
}

/* Exhausts one group, and lets the other go on far longer than the first could have lent. */
static void one_group_runs_out(struct door_fixture *fixture, uint32_t empty, uint32_t count) {
    enum { PIECES = 4 * DOOR_BUFFER_COUNT };
    struct lanes lanes;
    lanes_open(&lanes, fixture);
    struct lane *starved = &lanes.of_group[empty];
    lane_exhaust(&lanes, starved, count);
    lane_goes_on(&lanes, &lanes.of_group[1 - empty], PIECES);
    /* What came home to the other group was not lent either. */
    size_t received = starved->received;
    io_receive_start(fixture->port, starved->socket, empty, empty);
    starved->armed = true;
    for (int steps = 0; starved->armed; steps++) {
        assert_true(steps < DOOR_PUMPS_MAX);
        lane_step(&lanes, &lanes.of_group[1 - empty]);
        lane_give_back(&lanes, &lanes.of_group[1 - empty]);
    }
    assert_int_equal(starved->received, received);
    lane_give_back(&lanes, starved);
    lane_goes_on(&lanes, starved, PIECES);
    lanes_close(&lanes);
}

static void an_exhausted_second_group_borrows_nothing_of_the_first(void **state) {
    one_group_runs_out(*state, 1, FEW);
}

static void an_exhausted_first_group_borrows_nothing_of_the_second(void **state) {
    one_group_runs_out(*state, 0, DOOR_BUFFER_COUNT);
}

static void a_receive_may_go_on_with_another_group(void **state) {
    struct lanes lanes;
    lanes_open(&lanes, *state);
    struct lane *lane = &lanes.of_group[0];
    lane_exhaust(&lanes, lane, DOOR_BUFFER_COUNT);
    /* The same connection, from the very next byte, into the other group's memory. */
    struct lane moved = *lane;
    io_receive_start(lanes.fixture->port, lane->socket, 1, 0);
    struct io_completion completion;
    do {
        completion = door_expect(lanes.fixture, IO_RECEIVE, 0);
        if (completion.result == IO_RECEIVE_NO_BUFFERS)
            io_receive_start(lanes.fixture->port, lane->socket, 1, 0);
    } while (!(completion.flags & IO_HAS_BUFFER));
    assert_int_equal(lanes.memory[completion.buffer * FEW_BYTES], lane_byte(lane, moved.received));
    io_buffer_return(lanes.fixture->io, 1, completion.buffer);
    if (completion.flags & IO_MORE) {
        io_receive_stop(lanes.fixture->port, lane->socket, 0);
        do {
            completion = door_expect(lanes.fixture, IO_RECEIVE, 0);
            if (completion.flags & IO_HAS_BUFFER)
                io_buffer_return(lanes.fixture->io, 1, completion.buffer);
        } while (completion.flags & IO_MORE);
    }
    lane_give_back(&lanes, lane);
    lanes_close(&lanes);
}

const struct CMUnitTest door_buffer_tests[] = {
    cmocka_unit_test(an_exhausted_second_group_borrows_nothing_of_the_first),
    cmocka_unit_test(an_exhausted_first_group_borrows_nothing_of_the_second),
    cmocka_unit_test(a_receive_may_go_on_with_another_group),
    {0},
};
