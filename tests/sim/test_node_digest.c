/*
 * Replicas compare digests: a node that has come to other data than the log says stops, if it is
 * alone, or if the others have not (test_node_dispute.c has all about members that differ).
 *
 * The defect is one bit, so to speak: at one index one INCR counts down instead of up, in one
 * process.  The linker puts our machine_find in front of the real one (--wrap).
 *
 * WEIR_SIM_SEEDS multiplies the number of seeds, WEIR_SIM_SEED runs one.
 */

#include "tests/sim/node_group.h"

#include <stdio.h>
#include <string.h>

#include "stages/digest.h"

#define SECOND_NS UINT64_C(1000000000)

enum { ID_INCR = 5, ID_DECR = 6 };

static const char *const maps[] = {"fused", "pair", "split"};

/* ---- the defect ---------------------------------------------------------------------------- */

static struct {
    bool planted;       /* into the process that is started next */
    uint64_t at;        /* the first INCR from this index on; */
    uint64_t done;      /* its index; 0: none has come */
    uint64_t partition; /* of its key, */
    uint64_t before;    /* and what that had come to */
    bool is_open;       /* the run that it is in goes on */
    const struct machine_operations *real;
    struct machine_operations wrong;
} defect;

static uint64_t partition_of(const struct machine_operation *operation, uint32_t key) {
    return operation->key_hashes[key] >> 61; /* of eight */
}

/* Whether nothing else in the run can touch its partition. */
static bool is_alone(const struct machine_run *run, const struct machine_operation *operation) {
    for (uint32_t i = 0; i < run->count; i++) {
        const struct machine_operation *other = &run->operations[i];
        if (other->key_count == 0)
            return false;
        for (uint32_t key = 0; key < other->key_count && other != operation; key++)
            if (partition_of(other, key) == partition_of(operation, 0))
                return false;
    }
    return true;
}

/* Plants it into a run that has not begun, if there is where. */
static void run_spoil(const struct machine *machine, struct machine_run *run) {
    for (uint32_t i = 0; i < run->count && defect.done == 0; i++) {
        struct machine_operation *operation = &run->operations[i];
        if (operation->command_id != ID_INCR || !is_alone(run, operation))
            continue;
        operation->command_id = ID_DECR;
        operation->row = (uint16_t)machine_id_find(defect.real, ID_DECR);
        defect.done = run->moment.index;
        defect.partition = partition_of(operation, 0);
        defect.before = defect.real->digest(machine, (uint32_t)defect.partition);
        defect.is_open = true;
    }
}

static enum machine_progress execute_wrong(struct machine *machine, struct machine_run *run) {
    if (defect.done == 0 && run->moment.index >= defect.at && run->next == 0)
        run_spoil(machine, run);
    const enum machine_progress progress = defect.real->execute(machine, run);
    if (defect.is_open && progress == MACHINE_DONE) {
        defect.is_open = false;
        if (defect.real->digest(machine, (uint32_t)defect.partition) == defect.before)
            defect.done = 0; /* it was no number: nothing was done to it */
    }
    return progress;
}

const struct machine_operations *__real_machine_find(const char *name);
const struct machine_operations *__wrap_machine_find(const char *name);
const struct machine_operations *__wrap_machine_find(const char *name) {
    defect.real = __real_machine_find(name);
    if (!defect.planted)
        return defect.real;
    defect.planted = false;
    defect.wrong = *defect.real;
    defect.wrong.execute = execute_wrong;
    return &defect.wrong;
}

static void defect_plant(uint64_t index) {
    defect.planted = true;
    defect.at = index;
    defect.done = 0;
}

/* That the sentence names the partition and the interval in which the defect was. */
static void assert_told(const char *failure) {
    char partition[64];
    char range[64];
    assert_non_null(failure);
    assert_true(defect.done != 0);
    const uint64_t before = (defect.done - 1) / DIGEST_INTERVAL * DIGEST_INTERVAL;
    snprintf(partition, sizeof(partition), "in 1 of 8 partitions: partition %u has",
             (unsigned)defect.partition);
    snprintf(range, sizeof(range), "(%lu, %lu]", (unsigned long)before,
             (unsigned long)before + DIGEST_INTERVAL);
    if (strstr(failure, partition) == NULL || strstr(failure, range) == NULL)
        fail_msg("neither \"%s\" nor \"%s\" is to be missed in: %s", partition, range, failure);
}

/* ---- a node alone -------------------------------------------------------------------------- */

static uint64_t applied(const struct node_world *test) {
    return node_figure(&sim_node_figures(test->load.node)->apply.applied_index);
}

static uint64_t agreed(const struct node_world *test) {
    return node_figure(&sim_node_figures(test->load.node)->apply.digests_agreed);
}

static void begin(struct node_world *test, uint64_t seed) {
    node_world_init(test, seed, false);
    test->options.map = maps[seed % ARRAY_COUNT(maps)];
    test->load.options.value_bytes_max = 400;
}

static void run_up_to(struct node_world *test, uint64_t index) {
    while (applied(test) < index)
        node_world_expect(test, load_run(&test->load, 100), "commands are answered");
    node_world_expect(test, load_drain(&test->load), "every command is answered");
}

/* Starts a process that must come to its end by itself, before it serves; its sentence. */
static void start_expecting_failure(struct node_world *test, struct error_text *failure) {
    struct error_text error = {.text = ""};
    assert_int_equal(node_world_try_start(test, &error), 0);
    test->load.is_blind = true;
    const struct node *figures = sim_node_figures(test->load.node);
    uint64_t snapshots = 0;
    while (!sim_node_ended(test->load.node) && load_step(&test->load)) {
        assert_false(sim_node_serving(test->load.node));
        if (sim_node_failure(test->load.node) == NULL)
            snapshots = node_figure(&figures->apply.snapshots);
    }
    assert_true(node_figure(&figures->apply.snapshots) == snapshots); /* of wrong data: none */
    const char *sentence = sim_node_failure(test->load.node);
    if (sentence == NULL)
        fail_msg("seed %lu: it does not fail", (unsigned long)test->seed);
    error_text_set(failure, "%s", sentence);
    node_world_end(test);
}

static void a_replay_that_comes_to_other_data_than_were_logged_is_found(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(3); seed++) {
        struct node_world test;
        struct error_text failure;
        begin(&test, seed);
        node_world_start(&test);
        run_up_to(&test, 2 * DIGEST_INTERVAL + 200);
        node_world_expect(&test, agreed(&test) == 2, "two digests were compared");
        node_world_stop(&test);
        defect_plant(seed % 2 == 0 ? 100 : DIGEST_INTERVAL + 100);
        start_expecting_failure(&test, &failure);
        assert_told(failure.text);
        test.load.is_blind = false;
        node_world_start(&test); /* whose memory does not err */
        node_world_expect(&test, load_settle(&test.load), "nothing is lost");
        node_world_expect(&test, agreed(&test) == 2, "both agree again");
        node_world_stop(&test);
        node_world_free(&test);
    }
}

/* At whatever moment of the snapshots that it takes meanwhile; and, at seed 61, between two pieces
 * of the log, where replicate came to rest and then read the next one. */
static void a_replay_that_errs_comes_to_its_end_in_the_midst_of_snapshots(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(56); seed <= node_world_seed_last(61); seed++) {
        struct node_world test;
        struct error_text failure;
        begin(&test, seed);
        node_world_start(&test);
        run_up_to(&test, DIGEST_INTERVAL + 300);
        node_world_stop(&test);
        test.options.snapshot_log_bytes = 2048 * (seed % 8 + 1);
        defect_plant(100);
        start_expecting_failure(&test, &failure);
        assert_told(failure.text);
        node_world_free(&test);
    }
}

static void what_erred_while_it_ran_is_found_when_the_log_is_replayed(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(11); seed <= node_world_seed_last(13); seed++) {
        struct node_world test;
        struct error_text failure;
        begin(&test, seed);
        defect_plant(seed % 2 == 0 ? 100 : DIGEST_INTERVAL + 100);
        node_world_start(&test);
        test.load.is_blind = true; /* a client is told a wrong number, and hangs; others go on */
        while (applied(&test) < 2 * DIGEST_INTERVAL + 200)
            assert_true(load_run(&test.load, 50));
        node_world_expect(&test, agreed(&test) == 2, "alone it agrees with what it logs itself");
        node_world_stop(&test);
        start_expecting_failure(&test, &failure);
        assert_told(failure.text);
        node_world_free(&test);
    }
}

static void a_node_logs_digests_and_agrees_with_them_after_restarts(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(21); seed <= node_world_seed_last(24); seed++) {
        struct node_world test;
        begin(&test, seed);
        /* With snapshots what is before them is not compared; what comes behind them is. */
        test.options.snapshot_log_bytes = seed % 2 == 0 ? 64 * 1024 : 0;
        node_world_start(&test);
        for (uint64_t round = 1; round <= 4; round++) {
            run_up_to(&test, round * DIGEST_INTERVAL + 100);
            const uint64_t index =
                node_figure(&sim_node_figures(test.load.node)->apply.digest_index);
            node_world_expect(&test, index == round * DIGEST_INTERVAL, "the last one agreed");
            node_world_stop(&test);
            node_world_start(&test);
            if (test.options.snapshot_log_bytes == 0)
                node_world_expect(&test, agreed(&test) == round, "and all of them at a replay");
        }
        node_world_expect(&test, load_settle(&test.load), "nothing is lost");
        node_world_stop(&test);
        node_world_free(&test);
    }
}

static void a_digest_of_what_is_before_the_snapshot_is_not_compared(void **state) {
    (void)state;
    uint64_t not_compared = 0;
    for (uint64_t seed = node_world_seed_first(51); seed <= node_world_seed_last(74); seed++) {
        struct node_world test;
        begin(&test, seed);
        test.options.snapshot_log_bytes = 1; /* one after the other */
        node_world_start(&test);
        run_up_to(&test, DIGEST_INTERVAL - 50);
        const struct node *figures = sim_node_figures(test.load.node);
        while (node_figure(&figures->apply.snapshot_index) < DIGEST_INTERVAL || agreed(&test) == 0)
            node_world_expect(&test, load_run(&test.load, 1), "commands are answered");
        node_world_power_cut(&test, WORLD_KEEP_NOTHING);
        node_world_start(&test);
        not_compared += agreed(&test) == 0;
        node_world_expect(&test, load_settle(&test.load), "nothing is lost");
        node_world_stop(&test);
        node_world_free(&test);
    }
    assert_true(not_compared > 0);
}

static void who_has_nothing_to_do_logs_no_digests(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(31); seed <= node_world_seed_last(36); seed++) {
        struct node_world test;
        begin(&test, seed);
        node_world_start(&test);
        run_up_to(&test, DIGEST_INTERVAL + 1);
        node_world_expect(&test, load_settle(&test.load), "all is there");
        node_world_rest(&test, SECOND_NS);
        const struct node *figures = sim_node_figures(test.load.node);
        const uint64_t last = node_figure(&figures->replicate.last_index);
        node_world_rest(&test, 3600 * SECOND_NS);
        node_world_expect(&test, node_figure(&figures->replicate.last_index) == last,
                          "an hour adds nothing");
        node_world_stop(&test);
        /* Nor does a start, beyond the first entry of its term. */
        node_world_start(&test);
        node_world_rest(&test, 3600 * SECOND_NS);
        figures = sim_node_figures(test.load.node);
        node_world_expect(&test, node_figure(&figures->replicate.last_index) == last + 1,
                          "a start adds its own entry");
        node_world_stop(&test);
        node_world_free(&test);
    }
}

/* ---- a cluster ----------------------------------------------------------------------------- */

static struct group group[1];

static uint64_t group_agreed(uint32_t node) {
    return node_figure(&sim_node_figures(group->nodes[node].node)->apply.digests_agreed);
}

static void a_follower_that_errs_stops_and_the_others_go_on(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(3); seed++) {
        group_init(group, 500 + seed, 3, maps[seed % ARRAY_COUNT(maps)]);
        for (uint32_t i = 0; i < 3; i++)
            group_start(group, i);
        group_run(group, SECOND_NS);
        const uint32_t victim = group_leader(group);
        group_expect(group, victim != UINT32_MAX, "somebody leads");
        group_crash(group, victim);
        group_run(group, SECOND_NS); /* another one leads */
        defect_plant(group->nodes[victim].applied_index + 100);
        group->nodes[victim].may_fail = true;
        group_start(group, victim);
        for (uint32_t i = 0; i < 60 && sim_node_failure(group->nodes[victim].node) == NULL; i++) {
            group_run(group, SECOND_NS);
            group_expect(group, group_leader(group) != victim, "it follows");
        }
        assert_told(sim_node_failure(group->nodes[victim].node));
        const uint64_t acked = group->counts.incr_acked;
        group_run(group, 2 * SECOND_NS);
        group_expect(group, sim_node_ended(group->nodes[victim].node), "it has stopped");
        group_expect(group, group->counts.incr_acked > acked + 50, "the others go on");
        group_crash(group, victim);
        group->nodes[victim].may_fail = false;
        group_start(group, victim); /* its log is right, and so is what it makes of it now */
        group_run(group, SECOND_NS);
        group->load_on = false;
        group_expect(group, group_settle(group, 10 * SECOND_NS), "all have applied everything");
        for (uint32_t i = 0; i < 3; i++)
            group_expect(group, group_agreed(i) > 0, "all agree");
        group_free(group);
    }
}

/* Makes the process with the planted defect the leader, before it errs. */
static void planted_leads(uint32_t planted) {
    for (uint32_t i = 0; i < 20 && group_leader(group) != planted; i++) {
        const uint32_t leader = group_leader(group);
        if (leader != UINT32_MAX) {
            group_crash(group, leader);
            group_run(group, SECOND_NS);
            group_start(group, leader);
        }
        group_run(group, SECOND_NS);
    }
    group_expect(group, group_leader(group) == planted, "it leads");
}

static void a_leader_whose_numbers_are_wrong_stops_and_nothing_acknowledged_is_lost(void **state) {
    (void)state;
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(3); seed++) {
        group_init(group, 800 + seed, 3, maps[seed % ARRAY_COUNT(maps)]);
        const uint32_t victim = (uint32_t)(seed % 3);
        defect_plant(UINT64_MAX);
        group_start(group, victim);
        for (uint32_t i = 1; i < 3; i++)
            group_start(group, (victim + i) % 3);
        group_run(group, SECOND_NS);
        planted_leads(victim);
        group->nodes[victim].may_fail = true;
        group->nodes[victim].may_lie = true; /* it tells clients what it has come to */
        defect.at =
            node_figure(&sim_node_figures(group->nodes[victim].node)->apply.applied_index) + 100;
        for (uint32_t i = 0; i < 600 && sim_node_failure(group->nodes[victim].node) == NULL; i++)
            group_run(group, SECOND_NS / 10);
        assert_told(sim_node_failure(group->nodes[victim].node));
        const uint64_t acked = group->counts.incr_acked;
        group_run(group, 3 * SECOND_NS);
        group_expect(group, group_leader(group) != victim, "another one leads");
        group_expect(group, group->counts.incr_acked > acked + 50, "the others go on");
        uint64_t count = 0;
        for (uint32_t key = 0; key < GROUP_KEYS; key++)
            count += group->acked[key]; /* as the others have counted */
        group_expect(group, count >= group->counts.incr_acked, "they have all that was answered");
        group_free(group);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replay_that_comes_to_other_data_than_were_logged_is_found),
        cmocka_unit_test(a_replay_that_errs_comes_to_its_end_in_the_midst_of_snapshots),
        cmocka_unit_test(what_erred_while_it_ran_is_found_when_the_log_is_replayed),
        cmocka_unit_test(a_follower_that_errs_stops_and_the_others_go_on),
        cmocka_unit_test(a_leader_whose_numbers_are_wrong_stops_and_nothing_acknowledged_is_lost),
        cmocka_unit_test(a_node_logs_digests_and_agrees_with_them_after_restarts),
        cmocka_unit_test(a_digest_of_what_is_before_the_snapshot_is_not_compared),
        cmocka_unit_test(who_has_nothing_to_do_logs_no_digests),
    };
    return cmocka_run_group_tests_name("sim_node_digest", tests, NULL, NULL);
}
