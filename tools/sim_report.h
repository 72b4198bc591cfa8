#ifndef WEIR_TOOLS_SIM_REPORT_H
#define WEIR_TOOLS_SIM_REPORT_H

/* What `weir sim` says: of one seed, of all, and while it goes on. */

#include <stdbool.h>

#include "sim/swarm.h"

/* All runs together. */
struct sim_totals {
    uint64_t seeds; /* to be run */
    uint64_t done;
    uint64_t failed;
    uint64_t time_ns; /* simulated */
    uint64_t wall_ns;
    uint64_t cpu_ns; /* of all processes */
    struct swarm_counts counts;
};

/* Adds a result. */
void sim_totals_add(struct sim_totals *totals, const struct swarm_result *result);

/* A seed that broke: what, where, and the command that runs it again. */
void sim_report_failure(const struct swarm_result *result, const char *command, bool json);

/* A single seed that did not break. */
void sim_report_seed(const struct swarm_result *result, bool json);

/* The end of a range. */
void sim_report_totals(const struct sim_totals *totals, uint64_t first, uint64_t last, bool json);

/* One line on a terminal, over the last one; and away with it. */
void sim_report_progress(const struct sim_totals *totals);
void sim_report_progress_clear(void);

#endif
