/*
 * A run in a process of its own.  See tools/sim_child.h.
 *
 * Happy path: shared page, pipe, file for errors, fork; the child runs and writes its result, which
 * is less than a pipe's buffer, and exits; the parent reads it and reaps the child.
 *
 * Failure modes: the child dies first: the read ends early, and the result is put together here.
 */

#include "tools/sim_child.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"

_Static_assert(sizeof(struct swarm_result) <= 4096, "one write to a pipe, whole or not at all");

enum { LARGE_BYTES = 128 * 1024 }; /* glibc's own at first, which it then raises */

static void line_print(void *context, const char *text) {
    (void)context;
    (void)puts(text);
}

static _Noreturn void child_main(const struct sim_child *child, const struct swarm_plan *plan,
                                 enum sim_story story, int result_pipe) {
    struct swarm_watch watch = {.position = child->position,
                                .line = story == SIM_STORY_NONE ? NULL : line_print,
                                .every_event = story == SIM_STORY_EVENTS};
    struct swarm_result result;
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* a line is out before an assertion ends it all */
    (void)dup2(child->errors, STDERR_FILENO);
    log_level_set(LOG_ERROR);
    /* Large blocks come from the kernel and go back to it: it gives zeroed pages as they are
       touched, and a started node touches little of what it asks for.  A tenth of the time. */
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    swarm_run(plan, &watch, &result);
    (void)fflush(stdout);
    ssize_t written = write(result_pipe, &result, sizeof(result));
    _exit(written == (ssize_t)sizeof(result) ? 0 : 1);
}

static void child_close(struct sim_child *child) {
    if (child->position != NULL) {
        (void)munmap(child->position, sizeof(*child->position));
    }
    if (child->errors > 0) {
        (void)close(child->errors);
    }
    if (child->result_pipe > 0) {
        (void)close(child->result_pipe);
    }
    *child = (struct sim_child){0};
}

bool sim_child_start(struct sim_child *child, const struct swarm_plan *plan, enum sim_story story) {
    int ends[2];
    *child = (struct sim_child){.seed = plan->seed};
    if (pipe(ends) != 0) {
        return false;
    }
    child->result_pipe = ends[0];
    child->errors = memfd_create("errors of a run", MFD_CLOEXEC);
    child->position = mmap(NULL, sizeof(*child->position), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (child->position == MAP_FAILED) {
        child->position = NULL;
    }
    if (child->errors >= 0 && child->position != NULL) {
        (void)fflush(stdout);
        (void)fflush(stderr);
        child->pid = fork();
        if (child->pid == 0) {
            child_main(child, plan, story, ends[1]);
        }
    }
    (void)close(ends[1]);
    if (child->pid <= 0) {
        child_close(child);
        return false;
    }
    return true;
}

/* The last line that the child wrote to its standard error. */
static void last_line(const struct sim_child *child, char *text, size_t text_bytes) {
    char tail[2048];
    off_t length = lseek(child->errors, 0, SEEK_END);
    off_t from = length > (off_t)sizeof(tail) - 1 ? length - (off_t)sizeof(tail) + 1 : 0;
    ssize_t got = length > 0 ? pread(child->errors, tail, sizeof(tail) - 1, from) : 0;
    tail[got > 0 ? got : 0] = '\0';
    while (got > 0 && tail[got - 1] == '\n') {
        tail[--got] = '\0';
    }
    const char *newline = strrchr(tail, '\n');
    (void)snprintf(text, text_bytes, "%s", newline == NULL ? tail : newline + 1);
}

/* The result of a child that died without one. */
static void died(const struct sim_child *child, int status, struct swarm_result *result) {
    char why[SWARM_TEXT_BYTES - 64];
    last_line(child, why, sizeof(why));
    *result = (struct swarm_result){.seed = child->seed,
                                    .failed = true,
                                    .step = child->position->step,
                                    .time_ns = child->position->time_ns};
    char whose[32] = "the process";
    if (child->position->node > 0) {
        (void)snprintf(whose, sizeof(whose), "node %u", child->position->node);
    }
    (void)snprintf(result->finding, sizeof(result->finding), "%s died (%s %d): %s", whose,
                   WIFSIGNALED(status) ? "signal" : "status",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                   why[0] == '\0' ? "it said nothing" : why);
}

void sim_child_finish(struct sim_child *child, struct swarm_result *result) {
    ASSERT(child->pid > 0);
    int status = 0;
    ssize_t got = read(child->result_pipe, result, sizeof(*result));
    (void)waitpid(child->pid, &status, 0);
    if (got != (ssize_t)sizeof(*result)) {
        died(child, status, result);
    }
    child_close(child);
}

bool sim_child_run(const struct swarm_plan *plan, enum sim_story story,
                   struct swarm_result *result) {
    struct sim_child child;
    if (!sim_child_start(&child, plan, story)) {
        return false;
    }
    sim_child_finish(&child, result);
    return true;
}
