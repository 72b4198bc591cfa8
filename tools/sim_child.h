#ifndef WEIR_TOOLS_SIM_CHILD_H
#define WEIR_TOOLS_SIM_CHILD_H

/*
 * One run of a swarm in a process of its own.
 *
 * The parent shares a page with the child, in which the run says where it is, and a pipe, through
 * which the result comes.  A child that dies without a result has failed an assertion, or worse:
 * the result is then made of the last line of its standard error and of where it was.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "sim/swarm.h"

/* What a child tells while it runs. */
enum sim_story {
    SIM_STORY_NONE,
    SIM_STORY_TOLD,   /* on standard output: what a person wants to read */
    SIM_STORY_EVENTS, /* and every event of the world */
};

/* A child; zeroed: none. */
struct sim_child {
    pid_t pid;
    int result_pipe; /* readable once there is a result, or never will be */
    int errors;      /* its standard error, a file in memory */
    uint64_t seed;
    struct swarm_position *position; /* shared */
};

/* Starts a child; false if the system has no process, pipe or memory for it. The plan is copied. */
bool sim_child_start(struct sim_child *child, const struct swarm_plan *plan, enum sim_story story);

/* Waits for its result and its end, and gives everything back. */
void sim_child_finish(struct sim_child *child, struct swarm_result *result);

/* Both; false as above. */
bool sim_child_run(const struct swarm_plan *plan, enum sim_story story,
                   struct swarm_result *result);

#endif
