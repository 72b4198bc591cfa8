#ifndef WEIR_TESTS_SUPPORT_NODE_PROCESS_H
#define WEIR_TESTS_SUPPORT_NODE_PROCESS_H

/*
 * A node as a process of its own: `weir serve` on a scratch directory and a free port.
 *
 * The node chooses the port itself (it listens on 127.0.0.1:0) and is ready when its log says so.
 * Its log is kept in memory and shown when a test fails. It dies with the test. Nothing here sleeps
 * or guesses: a limit on time only turns a hang into a failure.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct node_process_options {
    const char *program; /* the weir binary */
    const char *map;
    const char *durability;
    const char *machine;
    const char *const *arguments; /* more of them, NULL-terminated; or NULL */
};

enum { NODE_PROCESS_PATH_BYTES = 1024, NODE_PROCESS_START_LIMIT_S = 60 };

struct node_process {
    char directory[NODE_PROCESS_PATH_BYTES]; /* the scratch directory; its data lies in data/ */
    char data_directory[NODE_PROCESS_PATH_BYTES + 8];
    uint16_t port;
    pid_t pid; /* 0: it does not run */
    int pidfd;
    /* The thread that reads its log, and what it shares under the lock. */
    pthread_t reader;
    int log_pipe;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_ready;
    bool log_ended;
    char *log;
    size_t log_bytes;
};

/*
 * Makes a scratch directory beneath `parent` (NULL: WEIR_BINARY_DIR, else TMPDIR, else /tmp) for a
 * node that node_process_start then starts, any number of times, one after the other. False with a
 * sentence on stderr if it cannot.
 */
bool node_process_create(struct node_process *node, const char *parent);

/* Starts it and waits until it is ready. False, with its log on stderr, if it does not become so;
 * it is stopped then. */
bool node_process_start(struct node_process *node, const struct node_process_options *options);

/* Sends SIGTERM and waits for its end: true if it exited with 0 in time. If not, its log is shown
 * on stderr, and it is killed if it still lives. */
bool node_process_stop(struct node_process *node, uint32_t limit_s);

/* Kills it at once (SIGKILL), for tests of what remains. */
void node_process_kill(struct node_process *node);

/* True while it runs; a node that ended by itself is a failure of most tests. */
bool node_process_runs(const struct node_process *node);

void node_process_show_log(struct node_process *node, FILE *out);

/* Removes the scratch directory and everything in it, unless `keep`. The node must not run. */
void node_process_destroy(struct node_process *node, bool keep);

#endif
