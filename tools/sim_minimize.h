#ifndef WEIR_TOOLS_SIM_MINIMIZE_H
#define WEIR_TOOLS_SIM_MINIMIZE_H

/*
 * Makes the plan of a run that breaks smaller: a shorter run, fewer actions, clients and nodes, a
 * calm world and a plain load.
 *
 * Actions are left out by delta debugging (Zeller and Hildebrandt, "Simplifying and isolating
 * failure-inducing input", 2002), after a first guess that those shortly before the break are what
 * matters.  What is left breaks by the same finding as the first run did: by the same sentence, but
 * for its numbers, since chance falls differently once something is left out.  Nothing else is
 * taken: every edit that is kept was run, and the last one is run twice.
 */

#include <stdbool.h>

#include "sim/swarm_edit.h"

/* Bounds of one minimization: so many runs, and no run is begun later than so many seconds, unless
 * somebody wants it otherwise. */
enum {
    SIM_MINIMIZE_RUNS_MAX = 2000,
    SIM_MINIMIZE_SECONDS = 120,
    SIM_MINIMIZE_SECONDS_MAX = 24 * 3600,
    SIM_MINIMIZE_JOBS_MAX = 64, /* edits that are tried at once */
};

/* How long it may take, and how it is told: on standard output a line for each step that made the
 * plan smaller, on standard error, if that is a terminal, each run. */
struct sim_minimize_options {
    bool quiet;           /* neither */
    uint32_t jobs;        /* so many runs at once, which changes nothing of what is left; 0: 1 */
    uint64_t seconds_max; /* no run is begun later; 0: SIM_MINIMIZE_SECONDS */
};

/*
 * `drawn` as the seed stands for it; *edit and *result: what was taken away already, and how that
 * broke (asserted).  Replaces both by what is left.  Blocks, within the bounds.  False if a process
 * for a run could not be had; *edit and *result are then still a run that broke.
 */
bool sim_minimize(const struct swarm_plan *drawn, const struct sim_minimize_options *options,
                  struct swarm_edit *edit, struct swarm_result *result);

/* Whether two findings are the same sentence but for numbers, and for details of a checker's
 * verdict.  Both have failed. */
bool sim_same_finding(const struct swarm_result *a, const struct swarm_result *b);

#endif
