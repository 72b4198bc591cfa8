#ifndef WEIR_TESTS_SIM_DOOR_SIM_H
#define WEIR_TESTS_SIM_DOOR_SIM_H

/* The simulated world as a kind of door for the contract suite of tests/io. */

#include "tests/io/door_contract.h"

#include "sim/world.h"

/* Worlds of the next doors: the seed grows by one with each. */
void door_sim_configure(const char *name, uint64_t seed, const struct world_options *options);

extern struct door_kind door_sim;

#endif
