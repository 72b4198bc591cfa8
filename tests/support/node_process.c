/*
 * Happy path: fork, exec, a thread that reads the log until the node has closed it, a pidfd that
 * says when it has ended.
 */

#include "tests/support/node_process.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/decimal.h"

enum { ARGUMENTS_MAX = 48, LOG_SHOWN_BYTES_MAX = 64 * 1024 };

bool node_process_create(struct node_process *node, const char *parent) {
    *node = (struct node_process){.pidfd = -1, .log_pipe = -1};
    pthread_mutex_init(&node->lock, NULL);
    pthread_cond_init(&node->changed, NULL);
    if (parent == NULL)
        parent = getenv("WEIR_BINARY_DIR");
    if (parent == NULL)
        parent = getenv("TMPDIR");
    if (parent == NULL)
        parent = "/tmp";
    snprintf(node->directory, sizeof(node->directory), "%s/node-XXXXXX", parent);
    if (mkdtemp(node->directory) == NULL) {
        fprintf(stderr, "cannot make a scratch directory in %s: %s\n", parent, strerror(errno));
        return false;
    }
    snprintf(node->data_directory, sizeof(node->data_directory), "%s/data", node->directory);
    return true;
}

/* ---- The log --------------------------------------------------------------------------------- */

/* Finds the line "... event=ready address=HOST:PORT ..." in what is there. */
static void log_look(struct node_process *node) {
    static const char event[] = "event=ready";
    const char *at = strstr(node->log, event);
    if (at == NULL || strchr(at, '\n') == NULL)
        return;
    const char *address = strstr(at, "address=");
    const char *end = address != NULL ? strchr(address, ' ') : NULL;
    const char *colon = NULL;
    for (const char *c = address; end != NULL && c < end; c++)
        colon = *c == ':' ? c : colon;
    if (colon == NULL)
        return;
    uint64_t port;
    if (decimal_parse_u64(colon + 1, (size_t)(end - colon - 1), &port) != 0)
        return;
    node->port = (uint16_t)port;
    node->is_ready = true;
}

static void *log_read(void *context) {
    struct node_process *node = context;
    char piece[4096];
    ssize_t length;
    while ((length = read(node->log_pipe, piece, sizeof(piece))) > 0) {
        pthread_mutex_lock(&node->lock);
        char *log = realloc(node->log, node->log_bytes + (size_t)length + 1);
        if (log != NULL) {
            memcpy(log + node->log_bytes, piece, (size_t)length);
            node->log = log;
            node->log_bytes += (size_t)length;
            log[node->log_bytes] = 0;
            if (!node->is_ready)
                log_look(node);
        }
        pthread_cond_broadcast(&node->changed);
        pthread_mutex_unlock(&node->lock);
    }
    pthread_mutex_lock(&node->lock);
    node->log_ended = true;
    pthread_cond_broadcast(&node->changed);
    pthread_mutex_unlock(&node->lock);
    return NULL;
}

void node_process_show_log(struct node_process *node, FILE *out) {
    pthread_mutex_lock(&node->lock);
    const size_t skipped =
        node->log_bytes > LOG_SHOWN_BYTES_MAX ? node->log_bytes - LOG_SHOWN_BYTES_MAX : 0;
    fprintf(out, "---- the node's log%s\n", skipped > 0 ? ", its end" : "");
    if (node->log != NULL)
        fwrite(node->log + skipped, 1, node->log_bytes - skipped, out);
    fprintf(out, "---- end of the node's log\n");
    pthread_mutex_unlock(&node->lock);
}

/* True once it is ready; false if its log ended or the time is over. */
static bool ready_wait(struct node_process *node) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += NODE_PROCESS_START_LIMIT_S;
    pthread_mutex_lock(&node->lock);
    int error = 0;
    while (!node->is_ready && !node->log_ended && error == 0)
        error = pthread_cond_timedwait(&node->changed, &node->lock, &until);
    const bool is_ready = node->is_ready;
    pthread_mutex_unlock(&node->lock);
    return is_ready;
}

/* ---- The process ----------------------------------------------------------------------------- */

static void arguments_list(const struct node_process *node,
                           const struct node_process_options *options,
                           const char *arguments[ARGUMENTS_MAX]) {
    const char *const fixed[] = {
        options->program, "serve",          "--data",     node->data_directory, "--listen",
        "127.0.0.1:0",    "--map",          options->map, "--durability",       options->durability,
        "--machine",      options->machine,
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        arguments[count++] = fixed[i];
    for (size_t i = 0; options->arguments != NULL && options->arguments[i] != NULL; i++)
        if (count < ARGUMENTS_MAX - 1)
            arguments[count++] = options->arguments[i];
    arguments[count] = NULL;
}

/* In the child: never returns. */
static void child_run(const struct node_process_options *options, const char *const *arguments,
                      int log_pipe, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
    dup2(log_pipe, STDERR_FILENO);
    dup2(log_pipe, STDOUT_FILENO);
    char *const *argv;
    memcpy(&argv, &arguments, sizeof(argv)); /* execv leaves them as they are */
    execv(options->program, argv);
    fprintf(stderr, "cannot execute %s: %s\n", options->program, strerror(errno));
    _exit(127);
}

/* Takes the exit status and ends the reader. */
static int process_reap(struct node_process *node) {
    int status = 0;
    while (waitpid(node->pid, &status, 0) < 0 && errno == EINTR) {
    }
    pthread_join(node->reader, NULL);
    close(node->log_pipe);
    close(node->pidfd);
    node->pid = 0;
    node->pidfd = -1;
    node->log_pipe = -1;
    return status;
}

bool node_process_start(struct node_process *node, const struct node_process_options *options) {
    const char *arguments[ARGUMENTS_MAX];
    int ends[2];
    arguments_list(node, options, arguments);
    free(node->log);
    node->log = NULL;
    node->log_bytes = 0;
    node->is_ready = false;
    node->log_ended = false;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    const pid_t parent = getpid();
    node->pid = fork();
    if (node->pid == 0)
        child_run(options, arguments, ends[1], parent);
    close(ends[1]);
    node->log_pipe = ends[0];
    if (node->pid < 0) {
        close(ends[0]);
        node->pid = 0;
        return false;
    }
    node->pidfd = (int)syscall(SYS_pidfd_open, node->pid, 0);
    pthread_create(&node->reader, NULL, log_read, node);
    if (ready_wait(node))
        return true;
    kill(node->pid, SIGKILL);
    (void)process_reap(node);
    fprintf(stderr, "the node did not become ready\n");
    node_process_show_log(node, stderr);
    return false;
}

/* True once it has ended; false if it has not within the time. */
static bool process_ends(const struct node_process *node, int limit_ms) {
    struct pollfd end = {.fd = node->pidfd, .events = POLLIN};
    int result;
    do {
        result = poll(&end, 1, limit_ms);
    } while (result < 0 && errno == EINTR);
    return result > 0;
}

bool node_process_stop(struct node_process *node, uint32_t limit_s) {
    kill(node->pid, SIGTERM);
    const bool in_time = process_ends(node, (int)limit_s * 1000);
    if (!in_time)
        kill(node->pid, SIGKILL);
    const int status = process_reap(node);
    if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (!in_time)
        fprintf(stderr, "the node did not stop within %u s of SIGTERM\n", limit_s);
    else if (WIFEXITED(status))
        fprintf(stderr, "the node exited with status %d\n", WEXITSTATUS(status));
    else
        fprintf(stderr, "the node was ended by signal %d\n", WTERMSIG(status));
    node_process_show_log(node, stderr);
    return false;
}

void node_process_kill(struct node_process *node) {
    kill(node->pid, SIGKILL);
    (void)process_reap(node);
}

bool node_process_runs(const struct node_process *node) {
    return node->pid != 0 && !process_ends(node, 0);
}

static int entry_remove(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void node_process_destroy(struct node_process *node, bool keep) {
    if (keep)
        fprintf(stderr, "the node's directory is kept: %s\n", node->directory);
    else
        nftw(node->directory, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
    free(node->log);
    pthread_cond_destroy(&node->changed);
    pthread_mutex_destroy(&node->lock);
    *node = (struct node_process){.pidfd = -1, .log_pipe = -1};
}
