#ifndef WEIR_TESTS_SIM_SWARM_LISTENER_H
#define WEIR_TESTS_SIM_SWARM_LISTENER_H

/*
 * Somebody who listens to the story of a simulated run, for tests that want to know what was told
 * and in which order.  One thread; nothing allocates; each function fails the test by assertion.
 */

#include "sim/swarm.h"

enum { STORY_BYTES = 1 << 22 };

/* What was told in the last run: lines, each with its newline. */
extern char swarm_story[STORY_BYTES];

/* Runs the plan and keeps its story. */
void swarm_run_and_listen(const struct swarm_plan *plan, struct swarm_result *result);

#endif
