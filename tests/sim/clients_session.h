#ifndef WEIR_TESTS_SIM_CLIENTS_SESSION_H
#define WEIR_TESTS_SIM_CLIENTS_SESSION_H

/* One simulated node, simulated clients of it, and the log that it commits; and the verdict of the
 * checkers over all that. */

#include "sim/cluster_clients.h"
#include "sim/committed_log.h"
#include "tests/sim/node_world.h"

#define SECOND_NS UINT64_C(1000000000)

struct session {
    struct node_world node; /* its load is not used */
    struct cluster_clients *clients;
    struct committed_log *log;
    struct random random; /* of what goes on next: the node or the world */
};

/* A node that serves, and no clients yet; and the end of everything. */
void session_begin(struct session *session, uint64_t seed, bool is_rough);
void session_end(struct session *session);

/* The usual clients of a node. */
struct cluster_clients_options session_usual(uint64_t seed, const struct node_world *node);
void session_clients(struct session *session, const struct cluster_clients_options *options);

/* Runs for so long, or until the clients have found something. */
void session_run(struct session *session, uint64_t ns);

/* No more operations, until all are answered or a time has passed. */
void session_drain(struct session *session);

/* The power goes, and the process ends by itself, or because it is asked to; then it starts again
 * on what is left. */
void session_power_cut(struct session *session);

/* What checkers and clients say: HISTORY_WRONG also if the clients found something. */
enum history_verdict session_judge(const struct cluster_clients *clients,
                                   const struct committed_log *log, struct kv_model_text *text);

/* Fails the test unless the run is right, of any cluster or of the session. */
void session_cluster_expect_right(uint64_t seed, const struct cluster_clients *clients,
                                  const struct committed_log *log);
void session_expect_right(const struct session *session);

#endif
