/*
 * Simulated clients on one simulated node: whatever they do, the checkers are content; and what is
 * wrong with their eyes is found, by themselves or by the checkers.
 *
 * WEIR_SIM_SEED runs one seed, WEIR_SIM_SEEDS more of them.
 */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "tests/sim/clients_session.h"
#include "tests/sim/node_group.h"

/* ---- Eyes that are wrong --------------------------------------------------------------------- */

/* How many of the runs with a reply spoilt are found wrong, of `runs`. */
static uint32_t found(enum cluster_clients_spoiling spoiling, uint32_t runs) {
    uint32_t count = 0;
    for (uint64_t seed = 1; seed <= runs; seed++) {
        struct session session;
        struct kv_model_text text = {0};
        session_begin(&session, seed, false);
        struct cluster_clients_options options = session_usual(seed, &session.node);
        options.clients = 3;
        options.batches_max = 100;
        options.spoiling = spoiling;
        options.spoiling_reply = 100 + 17 * seed;
        session_clients(&session, &options);
        session_run(&session, 4 * SECOND_NS);
        count += session_judge(session.clients, session.log, &text) == HISTORY_WRONG;
        kv_model_text_free(&text);
        session_end(&session);
    }
    return count;
}

static void replies_that_are_exchanged_are_found(void **state) {
    (void)state;
    const uint32_t count = found(CLUSTER_CLIENTS_SPOIL_SWAP, 20);
    print_message("exchanged: found in %u of 20 runs\n", count);
    assert_true(count >= 12); /* two replies may be alike, or none comes behind the one held */
}

static void a_reply_that_is_lost_is_found(void **state) {
    (void)state;
    const uint32_t count = found(CLUSTER_CLIENTS_SPOIL_DROP, 20);
    print_message("lost: found in %u of 20 runs\n", count);
    assert_true(count >= 14);
}

static void a_reply_that_comes_twice_is_found(void **state) {
    (void)state;
    const uint32_t count = found(CLUSTER_CLIENTS_SPOIL_DUPLICATE, 20);
    print_message("doubled: found in %u of 20 runs\n", count);
    assert_true(count >= 18);
}

/* ---- What they do ---------------------------------------------------------------------------- */

static void add_counts(struct cluster_clients_counts *sum, const struct cluster_clients *clients) {
    const struct cluster_clients_counts *counts = cluster_clients_counts(clients);
    sum->operations += counts->operations;
    sum->ok += counts->ok;
    sum->refused += counts->refused;
    sum->unknown += counts->unknown;
    sum->beside += counts->beside;
    sum->connections += counts->connections;
    sum->connections_failed += counts->connections_failed;
    sum->timeouts += counts->timeouts;
    sum->resets += counts->resets;
    sum->half_closes += counts->half_closes;
    sum->moved += counts->moved;
    sum->stale += counts->stale;
    sum->once_operations += counts->once_operations;
    sum->once_repeated += counts->once_repeated;
    sum->once_repeats += counts->once_repeats;
}

static void print_counts(const char *what, const struct cluster_clients_counts *sum) {
    const struct {
        const char *name;
        uint64_t count;
    } rows[] = {
        {"operations", sum->operations},
        {"ok", sum->ok},
        {"refused", sum->refused},
        {"unknown", sum->unknown},
        {"redirects", sum->moved},
        {"connections", sum->connections},
        {"refused", sum->connections_failed},
        {"reset", sum->resets},
        {"half-closed", sum->half_closes},
        {"timed out", sum->timeouts},
        {"under ONCE", sum->once_operations},
        {"repeated", sum->once_repeated},
        {"repetitions", sum->once_repeats},
        {"beside", sum->beside},
        {"stale", sum->stale},
    };
    print_message("%s:", what);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        print_message(" %llu %s%s", (unsigned long long)rows[i].count, rows[i].name,
                      i + 1 < ARRAY_COUNT(rows) ? "," : "\n");
}

static void the_checkers_are_content_with_a_node_that_is_right(void **state) {
    (void)state;
    struct cluster_clients_counts sum = {0};
    for (uint64_t seed = node_world_seed_first(1); seed <= node_world_seed_last(6); seed++) {
        struct session session;
        session_begin(&session, seed, seed % 2 == 0);
        const struct cluster_clients_options options = session_usual(seed, &session.node);
        session_clients(&session, &options);
        session_run(&session, 8 * SECOND_NS);
        session_drain(&session);
        session_expect_right(&session);
        assert_true(cluster_clients_counts(session.clients)->ok > 1000);
        add_counts(&sum, session.clients);
        session_end(&session);
    }
    print_counts("calm and rough", &sum);
    assert_true(sum.resets > 0 && sum.half_closes > 0 && sum.beside > 0 && sum.once_repeats > 0);
}

static void reads_that_may_be_stale_are_recorded_as_such_and_not_judged(void **state) {
    (void)state;
    struct session session;
    session_begin(&session, 11, false);
    struct cluster_clients_options options = session_usual(11, &session.node);
    options.readonly_share = 300;
    session_clients(&session, &options);
    session_run(&session, 4 * SECOND_NS);
    session_drain(&session);
    session_expect_right(&session);
    const struct history *history = cluster_clients_history(session.clients);
    uint64_t stale = 0;
    for (uint32_t i = 0; i < history->operation_count; i++) {
        static const char *const writes[] = {"SET",    "MSET", "INCR",   "DECR",    "INCRBY",
                                             "APPEND", "DEL",  "EXPIRE", "PEXPIRE", "PERSIST"};
        struct kv_model_word words[HISTORY_WORDS_MAX];
        (void)history_words(history, i, words);
        stale += history->operations[i].stale;
        for (size_t j = 0; history->operations[i].stale && j < ARRAY_COUNT(writes); j++)
            assert_false(history_word_is(&words[0], writes[j]));
    }
    const uint64_t counted = cluster_clients_counts(session.clients)->stale;
    assert_true(stale > 100 && stale == counted && stale < history->operation_count);
    session_end(&session);
}

static void clients_that_only_read_write_nothing_and_are_judged(void **state) {
    (void)state;
    struct session session;
    session_begin(&session, 12, false);
    struct cluster_clients_options options = session_usual(12, &session.node);
    options.reader_share = 1000;
    session_clients(&session, &options);
    session_run(&session, 4 * SECOND_NS);
    session_drain(&session);
    session_expect_right(&session);
    const struct history *history = cluster_clients_history(session.clients);
    uint64_t judged = 0;
    for (uint32_t i = 0; i < history->operation_count; i++) {
        static const char *const reads[] = {"GET",    "MGET",   "EXISTS", "TTL",  "PTTL",
                                            "STRLEN", "DBSIZE", "KEYS",   "SCAN", "TYPE"};
        struct kv_model_word words[HISTORY_WORDS_MAX];
        bool is_read = false;
        (void)history_words(history, i, words);
        for (size_t j = 0; j < ARRAY_COUNT(reads); j++)
            is_read = is_read || history_word_is(&words[0], reads[j]);
        if (!is_read)
            fail_msg("a client that only reads asks for %.*s", (int)words[0].length, words[0].data);
        judged += !history->operations[i].stale;
    }
    assert_true(judged > 200);
    session_end(&session);
}

static void unknown_writes_are_decided_and_once_is_once_over_power_cuts(void **state) {
    (void)state;
    struct cluster_clients_counts sum = {0};
    uint64_t snapshots = 0; /* runs in which the log's beginning was removed from the node */
    for (uint64_t seed = node_world_seed_first(21); seed <= node_world_seed_last(26); seed++) {
        struct session session;
        session_begin(&session, seed, false);
        session.node.options.snapshot_log_bytes = 16 * 1024;
        /* Slow, so that something is under way at any moment. */
        world_disk_delay(session.node.world, session.node.host, SECOND_NS / 1000, SECOND_NS / 50);
        struct cluster_clients_options options = session_usual(seed, &session.node);
        options.once_share = 500;
        options.long_share = 100;
        session_clients(&session, &options);
        for (uint32_t i = 0; i < 5; i++) {
            session_run(&session, SECOND_NS + seed * 1234567);
            session_power_cut(&session);
        }
        session_run(&session, SECOND_NS);
        session_drain(&session);
        session_expect_right(&session);
        snapshots +=
            node_figure(&sim_node_figures(session.node.load.node)->apply.snapshot_index) > 0;
        add_counts(&sum, session.clients);
        session_end(&session);
    }
    print_counts("power cuts", &sum);
    assert_true(sum.unknown > 10 && sum.once_repeats > 10 && sum.connections_failed > 0);
    assert_true(snapshots > 0);
}

/* Three power cuts in the load; at the end what clients saw is right. */
static void session_power_cuts_and_right(struct session *session, uint64_t seed) {
    for (uint32_t i = 0; i < 3; i++) {
        session_run(session, SECOND_NS + seed * 1234567);
        session_power_cut(session);
    }
    session_run(session, SECOND_NS);
    session_drain(session);
    session_expect_right(session);
}

/* GETSET, CAS and the like are judged; of sets, which come to be large and are popped, only the
 * digests that the log has are: a node that replays it must choose as it did. */
static void exchanges_and_sets_are_the_same_after_power_cuts(void **state) {
    (void)state;
    struct cluster_clients_counts sum = {0};
    uint64_t swaps = 0;
    for (uint64_t seed = node_world_seed_first(31); seed <= node_world_seed_last(32); seed++) {
        struct session session;
        session_begin(&session, seed, false);
        session.node.options.snapshot_log_bytes = 64 * 1024;
        struct cluster_clients_options options = session_usual(seed, &session.node);
        options.exchange_share = 500;
        options.set_share = 300;
        session_clients(&session, &options);
        session_power_cuts_and_right(&session, seed);
        const struct history *history = cluster_clients_history(session.clients);
        for (uint32_t i = 0; i < history->operation_count; i++) {
            struct kv_model_word words[HISTORY_WORDS_MAX];
            const struct kv_model_word reply = history_reply(history, i);
            (void)history_words(history, i, words);
            swaps += history_word_is(&words[0], "CAS") && reply.length == 4 &&
                     memcmp(reply.data, ":1\r\n", 4) == 0;
        }
        add_counts(&sum, session.clients);
        session_end(&session);
    }
    print_counts("exchanges and sets", &sum);
    print_message("  %llu values swapped\n", (unsigned long long)swaps);
    assert_true(sum.ok > 1000 && swaps > 20);
}

/* What SPOP took the checker is told; what nobody was told, and null for an EXEC, it decides. */
static void collections_and_transactions_are_judged_over_power_cuts(void **state) {
    (void)state;
    struct cluster_clients_counts sum = {0};
    uint64_t executed = 0;
    uint64_t refused = 0;
    uint64_t popped = 0;
    for (uint64_t seed = node_world_seed_first(41); seed <= node_world_seed_last(42); seed++) {
        struct session session;
        session_begin(&session, seed, false);
        session.node.options.snapshot_log_bytes = 64 * 1024;
        struct cluster_clients_options options = session_usual(seed, &session.node);
        options.collection_share = 400;
        options.transaction_share = 500;
        options.once_share = 400;
        options.keys = 2;
        session_clients(&session, &options);
        session_power_cuts_and_right(&session, seed);
        const struct history *history = cluster_clients_history(session.clients);
        for (uint32_t i = 0; i < history->operation_count; i++) {
            struct kv_model_word words[HISTORY_WORDS_MAX];
            const struct kv_model_word reply = history_reply(history, i);
            (void)history_words(history, i, words);
            if (history->operations[i].outcome != HISTORY_OK)
                continue;
            const bool is_null = reply.length == 5 && memcmp(reply.data + 1, "-1\r\n", 4) == 0;
            executed += history_word_is(&words[0], "EXEC") && !is_null;
            refused += history_word_is(&words[0], "EXEC") && is_null;
            popped += history_word_is(&words[0], "SPOP") && !is_null;
        }
        add_counts(&sum, session.clients);
        session_end(&session);
    }
    print_counts("collections and transactions", &sum);
    print_message("  %llu EXECs executed, %llu answered null, %llu members popped\n",
                  (unsigned long long)executed, (unsigned long long)refused,
                  (unsigned long long)popped);
    assert_true(sum.ok > 1000 && executed > 200 && refused > 5 && popped > 2);
}

/* ---- Of several nodes ------------------------------------------------------------------------ */

struct cluster {
    struct group group;
    struct cluster_clients *clients;
    struct committed_log *log;
};

static void cluster_run(struct cluster *cluster, uint64_t ns) {
    struct group *group = &cluster->group;
    const uint64_t until_ns = world_now_ns(group->world) + ns;
    while (world_now_ns(group->world) < until_ns && group->finding[0] == '\0' &&
           cluster_clients_finding(cluster->clients) == NULL) {
        (void)group_step(group);
        for (uint32_t i = 0; i < group->node_count; i++)
            if (group->nodes[i].node != NULL && !sim_node_ended(group->nodes[i].node))
                committed_log_look(cluster->log, group->nodes[i].node);
        (void)cluster_clients_poll(cluster->clients);
    }
    group_expect(group, true, "nothing is found");
}

static void cluster_open(struct cluster *cluster, uint64_t seed) {
    group_init(&cluster->group, seed, 3, seed % 2 == 0 ? "fused" : "pair");
    cluster->group.load_on = false;
    cluster->log = committed_log_create();
    struct cluster_clients_options options = cluster_clients_options_default();
    options.seed = seed;
    options.port = SIM_NODE_PORT;
    options.host_count = 3;
    options.timeout_ns = SECOND_NS;
    options.lease_share = 100;
    options.stale_share = 100;
    options.readonly_share = 100;
    for (uint32_t i = 0; i < 3; i++) {
        cluster->group.nodes[i].options.knows_addresses = true;
        options.hosts[i] = cluster->group.nodes[i].host;
        group_start(&cluster->group, i);
        committed_log_look(cluster->log, cluster->group.nodes[i].node);
    }
    cluster->clients = cluster_clients_create(cluster->group.world, &options);
}

static void cluster_close(struct cluster *cluster) {
    cluster_clients_destroy(cluster->clients);
    committed_log_destroy(cluster->log);
    group_free(&cluster->group);
}

static void the_checkers_are_content_with_a_cluster_that_loses_its_leaders(void **state) {
    (void)state;
    struct cluster_clients_counts sum = {0};
    for (uint64_t seed = node_world_seed_first(51); seed <= node_world_seed_last(53); seed++) {
        struct cluster cluster;
        cluster_open(&cluster, seed);
        for (uint32_t i = 0; i < 3; i++) {
            cluster_run(&cluster, 2 * SECOND_NS);
            const uint32_t leader = group_leader(&cluster.group);
            assert_int_not_equal(leader, UINT32_MAX);
            group_crash(&cluster.group, leader);
            cluster_run(&cluster, SECOND_NS);
            group_start(&cluster.group, leader);
        }
        cluster_run(&cluster, SECOND_NS);
        /* Alive: what is asked from here on is answered. */
        const uint64_t moment_ns = world_now_ns(cluster.group.world);
        cluster_run(&cluster, SECOND_NS);
        cluster_clients_begin(cluster.clients, false);
        cluster_run(&cluster, SECOND_NS);
        session_cluster_expect_right(seed, cluster.clients, cluster.log);
        struct cluster_clients_since since;
        cluster_clients_since(cluster.clients, moment_ns, &since);
        assert_true(since.ok > 50 && since.pending == 0);
        add_counts(&sum, cluster.clients);
        cluster_close(&cluster);
    }
    print_counts("a cluster", &sum);
    assert_true(sum.refused > 0 && sum.unknown > 0 && sum.once_repeats > 0 && sum.moved > 0);
    assert_true(sum.stale > 0);
}

/* Two nodes that are no cluster, taken for one. */
static void two_nodes_that_apply_different_entries_are_found(void **state) {
    (void)state;
    struct session one;
    struct session other;
    session_begin(&one, 61, false);
    session_begin(&other, 62, false);
    assert_null(committed_log_finding(one.log));
    committed_log_look(one.log, other.node.load.node);
    assert_non_null(committed_log_finding(one.log));
    session_end(&one);
    session_end(&other);
}

static void an_entry_that_nobody_saw_leaves_a_gap(void **state) {
    (void)state;
    struct session session;
    struct committed_log *late = committed_log_create();
    session_begin(&session, 63, false);
    committed_log_look(late, session.node.load.node);
    assert_true(committed_log_complete(session.log));
    assert_false(committed_log_complete(late));
    committed_log_destroy(late);
    session_end(&session);
}

/* ---- Of one node ----------------------------------------------------------------------------- */

static void a_node_that_stands_still_is_given_up_after_the_timeout(void **state) {
    (void)state;
    struct session session;
    session_begin(&session, 7, false);
    struct cluster_clients_options options = session_usual(7, &session.node);
    options.timeout_ns = SECOND_NS / 4;
    session_clients(&session, &options);
    session_run(&session, SECOND_NS);
    world_pause(session.node.world, session.node.host, true);
    session_run(&session, SECOND_NS);
    const uint64_t moment_ns = world_now_ns(session.node.world);
    world_pause(session.node.world, session.node.host, false);
    session_run(&session, 2 * SECOND_NS);
    session_drain(&session);
    session_expect_right(&session);
    const struct cluster_clients_counts *counts = cluster_clients_counts(session.clients);
    assert_true(counts->timeouts >= options.clients / 2 && counts->unknown > 0);
    /* The liveness phase asks just this; and of the time before it the answer is no. */
    struct cluster_clients_since since;
    cluster_clients_since(session.clients, moment_ns + SECOND_NS / 2, &since);
    assert_true(since.ok > 100);
    assert_false(cluster_clients_all_answered(session.clients, 0));
    session_end(&session);
}

static void nothing_is_pending_behind_the_end(void **state) {
    (void)state;
    struct session session;
    session_begin(&session, 8, false);
    const struct cluster_clients_options options = session_usual(8, &session.node);
    session_clients(&session, &options);
    session_run(&session, SECOND_NS);
    world_pause(session.node.world, session.node.host, true);
    session_run(&session, SECOND_NS / 2);
    struct cluster_clients_since since;
    cluster_clients_since(session.clients, 0, &since);
    assert_true(since.pending > 0);
    cluster_clients_end(session.clients);
    cluster_clients_since(session.clients, 0, &since);
    assert_int_equal(since.pending, 0);
    assert_true(since.unknown > 0);
    world_pause(session.node.world, session.node.host, false);
    session_run(&session, SECOND_NS);
    session_expect_right(&session);
    session_end(&session);
}

static void a_full_history_ends_the_operations(void **state) {
    (void)state;
    struct session session;
    session_begin(&session, 9, false);
    struct cluster_clients_options options = session_usual(9, &session.node);
    options.operations_max = 100;
    options.reset_share = 0; /* what a client breaks off itself is not answered */
    session_clients(&session, &options);
    session_run(&session, 4 * SECOND_NS);
    assert_true(cluster_clients_full(session.clients));
    assert_int_equal(cluster_clients_history(session.clients)->operation_count, 100);
    assert_true(cluster_clients_all_answered(session.clients, 0));
    session_expect_right(&session);
    session_end(&session);
}

/* ---- One seed, one history ------------------------------------------------------------------- */

static uint64_t history_hash(uint64_t seed, bool is_rough) {
    struct session session;
    session_begin(&session, seed, is_rough);
    const struct cluster_clients_options options = session_usual(seed, &session.node);
    session_clients(&session, &options);
    session_run(&session, 3 * SECOND_NS);
    session_power_cut(&session);
    session_run(&session, 2 * SECOND_NS);
    const uint64_t hash = cluster_clients_hash(session.clients);
    session_end(&session);
    return hash;
}

static void one_seed_gives_one_history(void **state) {
    (void)state;
    for (uint64_t seed = 31; seed <= 33; seed++)
        assert_int_equal(history_hash(seed, seed == 32), history_hash(seed, seed == 32));
    assert_int_not_equal(history_hash(31, false), history_hash(33, false));
}

static double real_seconds(void) {
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void two_hundred_operations_a_second_for_twenty_seconds_cost_little(void **state) {
    (void)state;
    struct session session;
    session_begin(&session, 40, false);
    session.node.options.map = "fused";
    const struct cluster_clients_options options = session_usual(40, &session.node);
    session_clients(&session, &options);
    const double begin = real_seconds();
    session_run(&session, 20 * SECOND_NS);
    session_drain(&session);
    const double ran = real_seconds();
    session_expect_right(&session);
    const double judged = real_seconds();
    const struct cluster_clients_counts *counts = cluster_clients_counts(session.clients);
    print_message("20 s, %llu operations: %.3f s of a CPU to run, %.3f s to judge\n",
                  (unsigned long long)counts->operations, ran - begin, judged - ran);
    assert_true(counts->ok > 20 * 200 * 7 / 10 && counts->ok < 20 * 200 * 13 / 10);
    session_end(&session);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_that_are_exchanged_are_found),
        cmocka_unit_test(a_reply_that_is_lost_is_found),
        cmocka_unit_test(a_reply_that_comes_twice_is_found),
        cmocka_unit_test(two_nodes_that_apply_different_entries_are_found),
        cmocka_unit_test(an_entry_that_nobody_saw_leaves_a_gap),
        cmocka_unit_test(the_checkers_are_content_with_a_cluster_that_loses_its_leaders),
        cmocka_unit_test(the_checkers_are_content_with_a_node_that_is_right),
        cmocka_unit_test(reads_that_may_be_stale_are_recorded_as_such_and_not_judged),
        cmocka_unit_test(clients_that_only_read_write_nothing_and_are_judged),
        cmocka_unit_test(unknown_writes_are_decided_and_once_is_once_over_power_cuts),
        cmocka_unit_test(exchanges_and_sets_are_the_same_after_power_cuts),
        cmocka_unit_test(collections_and_transactions_are_judged_over_power_cuts),
        cmocka_unit_test(a_node_that_stands_still_is_given_up_after_the_timeout),
        cmocka_unit_test(nothing_is_pending_behind_the_end),
        cmocka_unit_test(a_full_history_ends_the_operations),
        cmocka_unit_test(one_seed_gives_one_history),
        cmocka_unit_test(two_hundred_operations_a_second_for_twenty_seconds_cost_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
