/*
 * Snapshots on a disk that is full or fails, and of machines that have no memory for one, under
 * whole nodes: taken, received and installed.  Nobody stops for want of room, says so, serves on,
 * and goes on once there is room; nobody tries again and again without a pause.
 *
 * The linker puts our machine_find in front of the real one (--wrap), so that a machine may have no
 * memory for a snapshot.
 */

#include "tests/sim/node_talk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECOND_NS UINT64_C(1000000000)

enum {
    VALUE_BYTES = 40 * 1024,
    VALUES = 30, /* of that size: a state of 1.2 MB */
    /* Which takes six seconds, but for the first two blocks and the last one, of a quarter each. */
    RATE_BYTES_S = 200 * 1024,
    RATE_SECONDS_MIN = 2,
};

static struct group group[1];
static struct talk talk[1];
static const char *const maps[] = {"fused", "pair", "split"};

/* ---- a machine without memory for a snapshot ------------------------------------------------- */

static struct {
    uint32_t refusals_left; /* so many snapshots more are refused */
    uint32_t begun;         /* that were asked for */
} memory;

static const struct machine_operations *machine_real;
static struct machine_operations machine_poor;

static int snapshot_begin_poor(struct machine *machine, const struct machine_moment *moment) {
    memory.begun++;
    if (memory.refusals_left > 0) {
        memory.refusals_left--;
        return WEIR_ENOMEM;
    }
    return machine_real->snapshot_begin(machine, moment);
}

const struct machine_operations *__real_machine_find(const char *name);
const struct machine_operations *__wrap_machine_find(const char *name);
const struct machine_operations *__wrap_machine_find(const char *name) {
    machine_real = __real_machine_find(name);
    machine_poor = *machine_real;
    machine_poor.snapshot_begin = snapshot_begin_poor;
    return &machine_poor;
}

/* ---- taking ---------------------------------------------------------------------------------- */

static void begin(struct node_world *test, uint64_t seed) {
    memory.refusals_left = 0;
    memory.begun = 0;
    node_world_init(test, seed, false);
    test->options.map = maps[seed % ARRAY_COUNT(maps)];
    node_world_start(test);
    node_world_expect(test, load_run(&test->load, 50), "commands are answered");
    node_world_expect(test, load_drain(&test->load), "every command is answered");
}

static void end(struct node_world *test) {
    node_world_expect(test, load_run(&test->load, 50), "commands are answered");
    node_world_expect(test, load_drain(&test->load), "every command is answered");
    node_world_stop(test);
    node_world_free(test);
}

static const struct node_apply_figures *apply_of(const struct node_world *test) {
    return &sim_node_figures(test->load.node)->apply;
}

/* As for a member that needs one of these entries; a single node has no other to ask for it, nor to
 * wake who takes it. */
static void member_needs_one(struct node_world *test) {
    struct node *node = (struct node *)(uintptr_t)sim_node_figures(test->load.node);
    atomic_store_relaxed_u64(&node->signals.snapshot_wanted,
                             node_figure(&node->apply.applied_index) / 2);
    struct world_client *client = world_client_connect(test->world, test->host, SIM_NODE_PORT);
    assert_non_null(client);
    assert_int_equal(world_client_send(client, "PING\r\n", 6), 6);
    node_world_rest(test, SECOND_NS / 10);
    world_client_reset(client);
}

static void one_that_a_member_needs_and_that_fails_is_begun_again_each_second(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct node_world test;
        begin(&test, 900 + seed);
        world_disk_capacity(test.world, test.host, world_disk_used_bytes(test.world, test.host));
        member_needs_one(&test);
        node_world_rest(&test, SECOND_NS / 2);
        assert_int_equal(node_figure(&apply_of(&test)->snapshot_failures), 1);
        node_world_rest(&test, SECOND_NS / 4);
        assert_int_equal(memory.begun, 1); /* not within a second, */
        node_world_rest(&test, SECOND_NS / 2);
        assert_int_equal(memory.begun, 2); /* and then, though nothing else happens */
        node_world_rest(&test, 3 * SECOND_NS);
        assert_int_equal(memory.begun, 5);
        assert_int_equal(node_figure(&apply_of(&test)->snapshot_failures), 5);
        world_disk_capacity(test.world, test.host, UINT64_C(1) << 40);
        node_world_rest(&test, SECOND_NS * 5 / 4);
        assert_int_equal(node_figure(&apply_of(&test)->snapshots), 1);
        assert_int_equal(memory.begun, 6);
        node_world_rest(&test, 3 * SECOND_NS);
        assert_int_equal(memory.begun, 6); /* now the member has what it needs */
        end(&test);
    }
}

static void one_that_a_member_needs_and_there_is_no_memory_for_is_begun_again_each_second(
    void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct node_world test;
        begin(&test, 910 + seed);
        memory.refusals_left = 3;
        member_needs_one(&test);
        node_world_rest(&test, SECOND_NS / 2);
        assert_int_equal(memory.begun, 1);
        node_world_rest(&test, 2 * SECOND_NS);
        assert_int_equal(memory.begun, 3);
        assert_int_equal(node_figure(&apply_of(&test)->snapshots), 0);
        node_world_rest(&test, SECOND_NS);
        assert_int_equal(memory.begun, 4);
        assert_int_equal(node_figure(&apply_of(&test)->snapshots), 1);
        end(&test);
    }
}

/* ---- the rate -------------------------------------------------------------------------------- */

static void set_value(uint32_t number, char byte) {
    static char request[VALUE_BYTES + 128];
    int head = snprintf(request, sizeof(request), "*3\r\n$3\r\nSET\r\n$5\r\nv%04u\r\n$%d\r\n",
                        number, VALUE_BYTES);
    memset(request + head, byte, VALUE_BYTES);
    memcpy(request + head + VALUE_BYTES, "\r\n", 2);
    uint64_t begun_ns = world_now_ns(group->world);
    talk_send(talk, request, (size_t)head + VALUE_BYTES + 2);
    group_expect(group, strcmp(talk_hear(talk, 1, SECOND_NS), "+OK\n") == 0, "a SET");
    group_expect(group, world_now_ns(group->world) < begun_ns + SECOND_NS / 4,
                 "it did not wait for the rate");
}

static const struct node_apply_figures *apply_figures(void) {
    return &sim_node_figures(group->nodes[0].node)->apply;
}

/* A node alone, with a state of so many values, that has begun a snapshot of it. */
static void begin_at_a_rate(uint64_t seed) {
    memory.refusals_left = 0;
    group_init(group, seed, 1, maps[seed % ARRAY_COUNT(maps)]);
    group->is_networked = true; /* though there is nobody else: there are no rings to look at */
    group->load_on = false;
    group->nodes[0].options.snapshot_rate_bytes_s = RATE_BYTES_S;
    group->nodes[0].options.snapshot_log_bytes = (uint64_t)VALUES * VALUE_BYTES;
    group_start(group, 0);
    group_expect(group, group_settle(group, 5 * SECOND_NS), "it serves");
    talk_open(talk, group, 0);
    for (uint32_t i = 0; i < VALUES; i++) {
        set_value(i, 'a');
    }
    group_run(group, SECOND_NS / 20);
    group_expect(group, node_figure(&apply_figures()->snapshot_running) == 1, "one is begun");
}

/* Runs until the snapshot is complete; a node alone may then be at rest for ever. */
static void complete(uint64_t limit_ns) {
    uint64_t until_ns = world_now_ns(group->world) + limit_ns;
    while (node_figure(&apply_figures()->snapshots) == 0 && world_now_ns(group->world) < until_ns &&
           group_step(group)) {
    }
    group_expect(group, node_figure(&apply_figures()->snapshots) == 1, "it comes to its end");
}

static void the_rate_is_kept_and_nobody_spins(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        begin_at_a_rate(920 + seed);
        group_run(group, RATE_SECONDS_MIN * SECOND_NS);
        group_expect(group, node_figure(&apply_figures()->snapshots) == 0, "it takes its time");
        uint32_t steps = 0; /* of the group, each of one core at work or one event */
        for (uint64_t until_ns = world_now_ns(group->world) + SECOND_NS / 4;
             world_now_ns(group->world) < until_ns && group_step(group); steps++) {
        }
        group_expect(group, steps < 2000, "its core sleeps in between");
        complete(3 * SECOND_NS);
        talk_close(talk);
        group_free(group);
    }
}

static void who_changes_what_is_not_in_it_yet_does_not_wait_for_the_rate(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        begin_at_a_rate(930 + seed);
        for (uint32_t i = 0; i < VALUES; i++) {
            set_value(VALUES - 1 - i, 'b');
        }
        complete(8 * SECOND_NS);
        talk_close(talk);
        group_crash(group, 0); /* what is there is the snapshot, and the log behind it */
        group_start(group, 0);
        group_expect(group, group_settle(group, 5 * SECOND_NS), "it serves");
        talk_open(talk, group, 0);
        talk_expect(talk, "STRLEN v0003", ":40960");
        talk_expect(talk, "DBSIZE", ":30");
        talk_close(talk);
        group_free(group);
    }
}

static void a_stop_does_not_wait_for_the_rate(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        begin_at_a_rate(940 + seed);
        talk_close(talk);
        uint64_t until_ns = world_now_ns(group->world) + SECOND_NS;
        sim_node_stop(group->nodes[0].node);
        while (!sim_node_ended(group->nodes[0].node) && world_now_ns(group->world) < until_ns &&
               group_step(group)) {
        }
        group_expect(group, sim_node_ended(group->nodes[0].node), "it ends");
        group_expect(group, node_figure(&apply_figures()->snapshots) == 1, "with the snapshot");
        group_free(group);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_a_member_needs_and_that_fails_is_begun_again_each_second),
        cmocka_unit_test(
            one_that_a_member_needs_and_there_is_no_memory_for_is_begun_again_each_second),
        cmocka_unit_test(the_rate_is_kept_and_nobody_spins),
        cmocka_unit_test(who_changes_what_is_not_in_it_yet_does_not_wait_for_the_rate),
        cmocka_unit_test(a_stop_does_not_wait_for_the_rate),
    };
    return cmocka_run_group_tests_name("sim_node_snapshot_faults", tests, NULL, NULL);
}
