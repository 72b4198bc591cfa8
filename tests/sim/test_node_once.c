/*
 * ONCE on a whole node in the simulated world: sessions expire by log time, over restarts too; and
 * whatever a power cut leaves, what is repeated after it has been applied exactly once.
 *
 * A run is first made without a cut, to learn how often it changes the disk; then with the disk
 * dead from each WEIR_SIM_STRIDEth of these steps on (default 12).  WEIR_SIM_SEED runs one seed.
 */

#include "base/decimal.h"
#include "sim/node.h"
#include "tests/sim/node_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    PIPELINE = 8,
    ROUNDS = 24,
    SEQUENCES = PIPELINE * ROUNDS,
    STRIDE_DEFAULT = 12,
    REPEATED = 100
};

/* ---- a client that speaks lines ------------------------------------------------------------- */

/* Sends the lines, and waits for as many replies of one line each; returns how many came before the
 * node ended.  replies[i] is a text without its line end. */
static uint32_t ask(struct node_world *test, const char *lines, uint32_t count,
                    char replies[][128]) {
    struct world_client *socket = world_client_connect(test->world, test->host, SIM_NODE_PORT);
    if (socket == NULL) {
        return 0;
    }
    size_t left = strlen(lines);
    char received[8192];
    size_t length = 0;
    uint32_t found = 0;
    while (found < count && world_client_state(socket) == WORLD_CLIENT_OPEN) {
        size_t sent = world_client_send(socket, lines, left);
        lines += sent;
        left -= sent;
        length += world_client_receive(socket, received + length, sizeof(received) - length);
        for (char *end; found < count && (end = memchr(received, '\r', length)) != NULL &&
                        (size_t)(end - received) + 2 <= length;) {
            size_t line = (size_t)(end - received) + 2;
            assert_true(line < 128);
            memcpy(replies[found], received, line - 2);
            replies[found++][line - 2] = '\0';
            memmove(received, received + line, length - line);
            length -= line;
        }
        if (found < count && !load_step(&test->load) && sim_node_ended(test->load.node)) {
            break;
        }
    }
    world_client_close(socket);
    return found;
}

/* One line, whose reply must come; valid until the next call. */
static const char *say(struct node_world *test, const char *line) {
    static char reply[1][128];
    node_world_expect(test, ask(test, line, 1, reply) == 1, line);
    return reply[0];
}

static uint64_t number(const char *reply) {
    assert_int_equal(reply[0], ':');
    uint64_t value = 0;
    assert_int_equal(decimal_parse_u64(reply + 1, strlen(reply + 1), &value), 0);
    return value;
}

static uint64_t open_session(struct node_world *test, const char *line) {
    return number(say(test, line));
}

static const char *once(struct node_world *test, uint64_t session, uint64_t sequence) {
    char line[128];
    (void)snprintf(line, sizeof(line), "ONCE %llu %llu INCR n\r\n", (unsigned long long)session,
                   (unsigned long long)sequence);
    return say(test, line);
}

/* ---- expiry --------------------------------------------------------------------------------- */

static void a_session_expires_by_log_time_when_it_was_not_used(void **state) {
    (void)state;
    struct node_world test;
    node_world_init(&test, 71, false);
    node_world_start(&test);
    uint64_t minute = open_session(&test, "ONCE.OPEN PX 60000\r\n");
    uint64_t usual = open_session(&test, "ONCE.OPEN\r\n");
    assert_string_equal(once(&test, minute, 1), ":1");
    for (uint32_t i = 0; i < 3; i++) { /* any use prolongs it, a repetition too */
        node_world_rest(&test, UINT64_C(59000000000));
        assert_string_equal(once(&test, minute, 1), ":1");
    }
    /* Over a restart, too: the log has the time of its last use. */
    node_world_rest(&test, UINT64_C(30000000000));
    node_world_stop(&test);
    node_world_start(&test);
    node_world_rest(&test, UINT64_C(29000000000));
    assert_string_equal(once(&test, minute, 2), ":2");
    node_world_rest(&test, UINT64_C(61000000000));
    assert_non_null(strstr(once(&test, minute, 2), "-SESSION "));
    assert_non_null(strstr(once(&test, minute, 3), "-SESSION "));
    assert_string_equal(once(&test, usual, 1), ":3");
    node_world_stop(&test);
    node_world_start(&test);
    assert_non_null(strstr(once(&test, minute, 2), "-SESSION "));
    assert_string_equal(once(&test, usual, 1), ":3");
    node_world_rest(&test, UINT64_C(3660000000000));
    assert_non_null(strstr(once(&test, usual, 1), "-SESSION "));
    node_world_stop(&test);
    node_world_free(&test);
}

/* ---- power cuts ----------------------------------------------------------------------------- */

static struct {
    uint64_t runs;
    uint64_t applied_unanswered; /* sequences that were applied and had no answer */
    uint64_t lost_unanswered;
    uint64_t snapshots; /* starts from one */
} tally;

/* A client's knowledge: the answer to each sequence sent, 0 without one. */
struct counting {
    uint64_t session;
    uint64_t sent;
    uint64_t answer[SEQUENCES + 1];
};

static void begin(struct node_world *test, struct counting *counting, uint64_t seed) {
    static const char *const maps[] = {"fused", "pair", "split"};
    node_world_init(test, seed, false);
    test->options.map = maps[seed % ARRAY_COUNT(maps)];
    test->options.snapshot_log_bytes = 2 * 1024;
    node_world_start(test);
    memset(counting, 0, sizeof(*counting));
    counting->session = open_session(test, "ONCE.OPEN\r\n");
}

/* Counts on, until all is counted or the node has ended. */
static void count_on(struct node_world *test, struct counting *counting) {
    while (counting->sent < SEQUENCES) {
        char lines[PIPELINE * 64] = "";
        char replies[PIPELINE][128];
        size_t used = 0;
        for (uint32_t i = 0; i < PIPELINE; i++) {
            used += (size_t)snprintf(lines + used, sizeof(lines) - used,
                                     "ONCE %" PRIu64 " %" PRIu64 " INCR n\r\n", counting->session,
                                     counting->sent + i + 1);
        }
        uint32_t found = ask(test, lines, PIPELINE, replies);
        for (uint32_t i = 0; i < found; i++) {
            if (replies[i][0] == ':') {
                counting->answer[counting->sent + i + 1] = number(replies[i]);
            }
        }
        counting->sent += PIPELINE;
        if (found < PIPELINE || replies[PIPELINE - 1][0] != ':') {
            return;
        }
    }
}

/* Repeats what the window must still know, and checks that each was applied once. */
static void repeat(struct node_world *test, struct counting *counting, uint64_t counted_before) {
    uint64_t first = counting->sent > REPEATED ? counting->sent - REPEATED + 1 : 1;
    uint64_t highest = counted_before;
    for (uint64_t sequence = first; sequence <= counting->sent; sequence++) {
        uint64_t answer = number(once(test, counting->session, sequence));
        if (counting->answer[sequence] != 0) {
            node_world_expect(test, answer == counting->answer[sequence], "the same answer again");
        } else {
            tally.applied_unanswered += answer <= counted_before;
            tally.lost_unanswered += answer > counted_before;
        }
        highest = answer > highest ? answer : highest;
    }
    /* They were sent in order, and nobody else counts: all of them, each once. */
    node_world_expect(test, highest == counting->sent, "each sequence has counted once");
    node_world_expect(test, number(say(test, "INCR n\r\n")) == counting->sent + 1,
                      "nothing was counted twice");
}

static uint64_t count_steps(uint64_t seed) {
    struct node_world test;
    struct counting counting;
    begin(&test, &counting, seed);
    uint64_t before = world_disk_steps(test.world, test.host);
    count_on(&test, &counting);
    assert_int_equal(counting.sent, SEQUENCES);
    uint64_t steps = world_disk_steps(test.world, test.host) - before;
    repeat(&test, &counting, SEQUENCES);
    node_world_stop(&test);
    node_world_free(&test);
    return steps;
}

static void run_cut(uint64_t seed, uint64_t step) {
    static const enum world_power_cut cuts[] = {WORLD_KEEP_RANDOM, WORLD_KEEP_NOTHING,
                                                WORLD_KEEP_ALL};
    struct node_world test;
    struct counting counting;
    begin(&test, &counting, seed);
    world_disk_die_after(test.world, test.host, step);
    test.load.refusals_expected = true;
    count_on(&test, &counting);
    node_world_power_cut(&test, cuts[step % ARRAY_COUNT(cuts)]);
    node_world_start(&test);
    tally.runs++;
    tally.snapshots += node_figure(&sim_node_figures(test.load.node)->apply.snapshot_index) > 0;
    /* How far it had counted. */
    uint64_t counted = number(say(&test, "INCRBY n 0\r\n"));
    repeat(&test, &counting, counted);
    node_world_stop(&test);
    node_world_free(&test);
}

static void what_is_repeated_after_a_power_cut_was_applied_exactly_once(void **state) {
    (void)state;
    uint64_t stride = node_world_environment("WEIR_SIM_STRIDE", STRIDE_DEFAULT);
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(8); seed++) {
        uint64_t steps = count_steps(seed);
        for (uint64_t step = seed % stride; step < steps; step += stride) {
            run_cut(seed, step);
        }
    }
    print_message(
        "%llu cuts: %llu unanswered sequences were applied, %llu lost; %llu starts from a "
        "snapshot\n",
        (unsigned long long)tally.runs, (unsigned long long)tally.applied_unanswered,
        (unsigned long long)tally.lost_unanswered, (unsigned long long)tally.snapshots);
    assert_true(tally.applied_unanswered > 0 && tally.lost_unanswered > 0 && tally.snapshots > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_expires_by_log_time_when_it_was_not_used),
        cmocka_unit_test(what_is_repeated_after_a_power_cut_was_applied_exactly_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
