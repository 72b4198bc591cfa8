#ifndef WEIR_TOOLS_SIM_MINIMIZE_H
#define WEIR_TOOLS_SIM_MINIMIZE_H

/*
 * Makes the plan of a run that breaks smaller: fewer faults, and a shorter run.
 *
 * Delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input",
 * 2002): parts of the list of actions are left out, larger ones first, for as long as the run
 * still breaks.  What remains may break in another way than the first run did: chance falls
 * differently once something is left out.  The outcome is printed with the plan.
 */

#include <stdbool.h>

#include "sim/swarm.h"

/*
 * Replaces the plan and its result by smaller ones, and prints the plan that is left.  Blocks: at
 * most some 400 runs.  False if a process for a run could not be had.
 */
bool sim_minimize(struct swarm_plan *plan, struct swarm_result *result);

#endif
