#ifndef WEIR_SIM_SWARM_EDIT_H
#define WEIR_SIM_SWARM_EDIT_H

/*
 * Smaller plans: what is taken away from the plan of a seed.
 *
 * An edit is data, so that a plan that was made smaller can be run again: the seed, the number of
 * founders if it was given, and the edit say everything.  Actions keep their numbers.
 */

#include <stdbool.h>
#include <stdint.h>

#include "sim/swarm.h"

/* Zeroed: nothing is taken away.  What is 0 or false stays as it was drawn. */
struct swarm_edit {
    bool left_out[SWARM_ACTIONS_MAX]; /* actions, by their place in the plan */
    uint64_t until_ms;                /* the safety phase ends here, if it is longer */
    uint32_t nodes;                   /* only the first so many are there */
    uint32_t clients;                 /* no more than so many */
    bool calm;  /* network, disks and clocks are those of a calm world, but for the actions */
    bool plain; /* the usual load, map and batches; no leases, no secret, no snapshots */
};

/*
 * Takes away from a plan that was drawn and not edited.  An action on a node that is not there any
 * more befalls another one; one whose ways are all gone, or that means nothing in a cluster of one,
 * is left out.
 */
void swarm_plan_edit(struct swarm_plan *plan, const struct swarm_edit *edit);

/* How many actions are left. */
uint32_t swarm_plan_actions(const struct swarm_plan *plan);

#endif
