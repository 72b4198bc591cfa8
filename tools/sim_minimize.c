/* Smaller plans.  See tools/sim_minimize.h. */

#include "tools/sim_minimize.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tools/sim_child.h"

enum { RUNS_MAX = 400 };

struct minimizing {
    struct swarm_plan *plan; /* the smallest that breaks */
    struct swarm_result *result;
    struct swarm_plan *tried;
    uint32_t runs;
    bool no_process;
};

/* Runs what was made in `tried`; if it breaks, it is the new plan. */
static bool still_breaks(struct minimizing *minimizing) {
    struct swarm_result result;
    if (minimizing->runs++ >= RUNS_MAX || minimizing->no_process) {
        return false;
    }
    if (!sim_child_run(minimizing->tried, SIM_STORY_NONE, &result)) {
        minimizing->no_process = true;
        return false;
    }
    if (!result.failed) {
        return false;
    }
    *minimizing->plan = *minimizing->tried;
    *minimizing->result = result;
    return true;
}

/* `tried` becomes the plan without the actions [first, first + count). */
static void leave_out(struct minimizing *minimizing, uint32_t first, uint32_t count) {
    struct swarm_plan *tried = minimizing->tried;
    *tried = *minimizing->plan;
    ASSERT(first + count <= tried->action_count);
    memmove(tried->actions + first, tried->actions + first + count,
            (tried->action_count - first - count) * sizeof(*tried->actions));
    tried->action_count -= count;
}

static void fewer_actions(struct minimizing *minimizing) {
    for (uint32_t size = minimizing->plan->action_count; size > 0; size = size / 2) {
        for (uint32_t at = 0; at < minimizing->plan->action_count;) {
            uint32_t left = minimizing->plan->action_count - at;
            leave_out(minimizing, at, size < left ? size : left);
            if (!still_breaks(minimizing)) {
                at += size;
            }
        }
    }
}

/* The safety phase ends right after the break, and then earlier and earlier. */
static void shorter_run(struct minimizing *minimizing) {
    *minimizing->tried = *minimizing->plan;
    minimizing->tried->safety_ns = minimizing->result->time_ns + 1;
    if (minimizing->tried->safety_ns < minimizing->plan->safety_ns) {
        (void)still_breaks(minimizing);
    }
    for (uint64_t part = 2; part <= 8; part *= 2) {
        *minimizing->tried = *minimizing->plan;
        minimizing->tried->safety_ns -= minimizing->plan->safety_ns / part;
        (void)still_breaks(minimizing);
    }
}

bool sim_minimize(struct swarm_plan *plan, struct swarm_result *result) {
    struct minimizing minimizing = {
        .plan = plan, .result = result, .tried = malloc(sizeof(*minimizing.tried))};
    struct kv_model_text text = {0};
    ASSERT(minimizing.tried != NULL && result->failed);
    uint32_t before = plan->action_count;
    uint64_t safety_ns = plan->safety_ns;
    fewer_actions(&minimizing);
    shorter_run(&minimizing);
    fewer_actions(&minimizing);
    swarm_plan_print(plan, &text);
    (void)printf("minimized in %u runs: %u of %u actions, %" PRIu64 " of %" PRIu64 " ms\n%.*s",
                 minimizing.runs, plan->action_count, before, plan->safety_ns / 1000000,
                 safety_ns / 1000000, (int)text.length, text.data);
    kv_model_text_free(&text);
    free(minimizing.tried);
    return !minimizing.no_process;
}
