#ifndef WEIR_TOOLS_SIM_H
#define WEIR_TOOLS_SIM_H

/*
 * `weir sim`: whole clusters under faults, simulated, each from one seed (sim/swarm.h).
 *
 * It runs the objects that `weir serve` runs, over a simulated network, disk and clock; nothing
 * touches the host.  A seed that breaks is printed with what broke, where, and the command that
 * shows it again, event by event the same.
 */

/*
 * Runs the command.  argv[0] is the words that begin it, as it is to be typed again; "sim" stands
 * for `weir sim`.  Each seed runs in a process of its own,
 * so an assertion inside a node is reported like everything else.
 *
 * Returns the exit status: 0, nothing broke; 1, something did, or a process could not be started;
 * 2, wrong usage.
 */
int sim_main(int argc, char **argv);

#endif
