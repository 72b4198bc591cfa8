/* See clients_session.h. */

#include "tests/sim/clients_session.h"

#include "base/bytes.h"
#include "sim/linearizable.h"

/* The usual clients on a node whose pools and connections suffice. */
struct cluster_clients_options session_usual(uint64_t seed, const struct node_world *node) {
    struct cluster_clients_options options = cluster_clients_options_default();
    options.seed = seed;
    options.hosts[0] = node->host;
    options.port = SIM_NODE_PORT;
    return options;
}

/* A process, looked at from its first step on, until it serves. */
static void session_start(struct session *session) {
    struct node_world *test = &session->node;
    struct error_text error = {0};
    test->options.schedule_seed = test->seed * 31 + ++test->starts;
    const int status =
        sim_node_start(&test->load.node, test->world, test->host, &test->options, &error);
    if (status != 0)
        fail_msg("it does not start: %s", error.text);
    struct sim_node *node = test->load.node;
    committed_log_look(session->log, node);
    while (!sim_node_serving(node)) {
        if (sim_node_step(node))
            committed_log_look(session->log, node);
        else
            assert_true(world_step(test->world));
    }
}

/* A node and no clients yet. */
void session_begin(struct session *session, uint64_t seed, bool is_rough) {
    static const char *const maps[] = {"fused", "pair", "split"};
    node_world_init(&session->node, seed, is_rough);
    session->node.options.map = maps[seed % ARRAY_COUNT(maps)];
    session->clients = NULL;
    session->log = committed_log_create();
    random_seed(&session->random, seed);
    session_start(session);
}

void session_clients(struct session *session, const struct cluster_clients_options *options) {
    session->clients = cluster_clients_create(session->node.world, options);
}

void session_end(struct session *session) {
    if (session->clients != NULL)
        cluster_clients_destroy(session->clients);
    committed_log_destroy(session->log);
    if (session->node.load.node != NULL)
        node_world_stop(&session->node);
    node_world_free(&session->node);
}

/* One thing happens, not later than `until_ns`. Now and then that is the world's, although the node
 * could go on: a core that polls for what is not there yet would else stop the time. */
static void session_step(struct session *session, uint64_t until_ns) {
    struct sim_node *node = session->node.load.node;
    if (node != NULL && !sim_node_ended(node) && !random_chance(&session->random, 1, 16) &&
        sim_node_step(node)) {
        if (!sim_node_ended(node))
            committed_log_look(session->log, node);
        return;
    }
    const uint64_t deadline_ns = cluster_clients_deadline_ns(session->clients);
    (void)world_step_until(session->node.world, deadline_ns < until_ns ? deadline_ns : until_ns);
    (void)cluster_clients_poll(session->clients);
}

void session_run(struct session *session, uint64_t ns) {
    const uint64_t until_ns = world_now_ns(session->node.world) + ns;
    while (world_now_ns(session->node.world) < until_ns &&
           cluster_clients_finding(session->clients) == NULL)
        session_step(session, until_ns);
}

/* No more operations, until all are answered or a time has passed. */
void session_drain(struct session *session) {
    cluster_clients_begin(session->clients, false);
    for (uint32_t i = 0; i < 100 && !cluster_clients_all_answered(session->clients, 0); i++)
        session_run(session, SECOND_NS / 10);
}

/* What checkers and clients say: HISTORY_WRONG also if the clients found something. */
enum history_verdict session_judge(const struct cluster_clients *clients,
                                   const struct committed_log *log, struct kv_model_text *text) {
    const struct history *history = cluster_clients_history(clients);
    const char *finding = cluster_clients_finding(clients);
    if (finding == NULL)
        finding = committed_log_finding(log);
    if (finding != NULL) {
        history_print(text, "%s\n", finding);
        return HISTORY_WRONG;
    }
    if (!committed_log_complete(log)) {
        history_print(text, "the log has gaps\n");
        return HISTORY_UNDECIDED;
    }
    struct committed_commands commands;
    struct replay_report replay;
    struct linearizable_report linearizable;
    committed_log_commands(log, cluster_clients_once_operation, clients, &commands);
    assert_int_equal(
        replay_check(history, commands.commands, commands.count, SIM_NODE_BULK_BYTES_MAX, &replay),
        0);
    struct linearizable_options options = linearizable_options_default();
    options.value_bytes_max = SIM_NODE_BULK_BYTES_MAX;
    if (replay.verdict == HISTORY_RIGHT)
        options.never_applied = replay.never_applied;
    assert_int_equal(linearizable_check(history, &options, &linearizable), 0);
    enum history_verdict verdict = replay.verdict;
    if (linearizable.keys_wrong > 0)
        verdict = HISTORY_WRONG;
    else if (verdict == HISTORY_RIGHT && linearizable.keys_undecided > 0)
        verdict = HISTORY_UNDECIDED;
    if (verdict != HISTORY_RIGHT) {
        kv_model_text_append(text, replay.text.data, replay.text.length);
        kv_model_text_append(text, linearizable.text.data, linearizable.text.length);
    }
    kv_model_text_free(&linearizable.text);
    replay_free(&replay);
    committed_commands_free(&commands);
    return verdict;
}

/* Fails the test unless the run is right. */
void session_cluster_expect_right(uint64_t seed, const struct cluster_clients *clients,
                                  const struct committed_log *log) {
    struct kv_model_text text = {0};
    const enum history_verdict verdict = session_judge(clients, log, &text);
    if (verdict != HISTORY_RIGHT)
        print_error("seed %llu: %s\n%.*s", (unsigned long long)seed, history_verdict_name(verdict),
                    (int)text.length, text.data);
    kv_model_text_free(&text);
    assert_int_equal(verdict, HISTORY_RIGHT);
}

void session_expect_right(const struct session *session) {
    session_cluster_expect_right(session->node.seed, session->clients, session->log);
}

/* The power goes, and the process ends by itself, or because it is asked to; then it starts again
 * on what is left. */
void session_power_cut(struct session *session) {
    struct node_world *test = &session->node;
    world_disk_die_after(test->world, test->host, 0);
    sim_node_stop(test->load.node);
    while (!sim_node_ended(test->load.node))
        session_step(session, UINT64_MAX);
    world_crash(test->world, test->host, WORLD_KEEP_RANDOM);
    sim_node_destroy(test->load.node);
    test->load.node = NULL;
    session_run(session, SECOND_NS / 5);
    session_start(session);
}
