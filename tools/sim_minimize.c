/*
 * Smaller plans.  See tools/sim_minimize.h.
 *
 * Happy path: the run ends right after its break; the actions that begin last before it are kept,
 * as few as break; what is left of them is left out in parts; then fewer nodes, fewer clients, a
 * calm world, a plain load; and all of it again while something was found, since each makes the
 * others easier.
 *
 * Failure modes: a candidate does not break, or by another finding: it is not taken.  A bound is
 * reached: what has been found so far is the result.
 */

#include "tools/sim_minimize.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "tools/sim_child.h"

enum {
    /* A run that breaks behind its safety phase is shortened by halves, so often. */
    HALVES_MAX = 6,
    MS_NS = 1000 * 1000,
};

struct minimizing {
    const struct swarm_plan *drawn;
    struct swarm_edit *edit; /* the smallest that breaks */
    struct swarm_result *result;
    struct swarm_plan *plan;   /* what it makes of the plan */
    struct swarm_plan *tried;  /* scratch */
    struct swarm_result first; /* what is to be found */
    uint32_t runs;
    uint64_t begun_s;
    bool quiet;
    bool terminal;
    bool no_process;
};

static uint64_t now_s(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

/* ---- what is the same ----------------------------------------------------------------------- */

static const char *digits_skip(const char *text) {
    return text + strspn(text, "0123456789");
}

bool sim_same_finding(const struct swarm_result *a, const struct swarm_result *b) {
    const char *at = a->finding;
    const char *other = b->finding;
    ASSERT(a->failed && b->failed);
    if (a->kind_bytes != 0 || b->kind_bytes != 0) {
        const char *end = a->finding + a->kind_bytes;
        const char *other_end = b->finding + b->kind_bytes;
        while (at < end && other < other_end && *digits_skip(at) == *digits_skip(other)) {
            at = digits_skip(at) + 1;
            other = digits_skip(other) + 1;
        }
        return at >= end && other >= other_end;
    }
    while (*digits_skip(at) == *digits_skip(other)) {
        if (*digits_skip(at) == '\0') {
            return true;
        }
        at = digits_skip(at) + 1;
        other = digits_skip(other) + 1;
    }
    return false;
}

/* ---- one try -------------------------------------------------------------------------------- */

static void progress(const struct minimizing *minimizing) {
    if (minimizing->terminal) {
        (void)fprintf(stderr, "\r\x1b[Krun %u: %u actions, %u nodes, %u clients, %.3f s",
                      minimizing->runs, swarm_plan_actions(minimizing->plan),
                      minimizing->plan->node_count, minimizing->plan->clients.clients,
                      (double)minimizing->plan->safety_ns / 1e9);
        (void)fflush(stderr);
    }
}

static bool may_go_on(const struct minimizing *minimizing) {
    return minimizing->runs < SIM_MINIMIZE_RUNS_MAX && !minimizing->no_process &&
           now_s() - minimizing->begun_s < SIM_MINIMIZE_SECONDS_MAX;
}

/* Runs the plan with this edit; if it breaks by the same finding, it is the new one. */
static bool still_breaks(struct minimizing *minimizing, const struct swarm_edit *edit) {
    struct swarm_result result;
    if (!may_go_on(minimizing)) {
        return false;
    }
    minimizing->runs++;
    progress(minimizing);
    *minimizing->tried = *minimizing->drawn;
    swarm_plan_edit(minimizing->tried, edit);
    if (!sim_child_run(minimizing->tried, SIM_STORY_NONE, &result)) {
        minimizing->no_process = true;
        return false;
    }
    if (!result.failed || !sim_same_finding(&result, &minimizing->first)) {
        return false;
    }
    *minimizing->plan = *minimizing->tried;
    *minimizing->result = result;
    *minimizing->edit = *edit;
    for (uint32_t i = 0; i < minimizing->plan->action_count; i++) {
        minimizing->edit->left_out[i] = minimizing->plan->actions[i].left_out;
    }
    return true;
}

/* ---- fewer actions -------------------------------------------------------------------------- */

/* Leaves out all but the last `count` actions of those that are left. */
static bool last_ones_break(struct minimizing *minimizing, uint32_t count) {
    struct swarm_edit edit = *minimizing->edit;
    for (uint32_t i = minimizing->drawn->action_count; i-- > 0;) {
        if (!edit.left_out[i]) {
            edit.left_out[i] = count == 0;
            count -= count > 0;
        }
    }
    return still_breaks(minimizing, &edit);
}

/* Those that begin last before the break: 0, 1, 2, 4 ... of them. */
static void last_actions(struct minimizing *minimizing) {
    uint32_t all = swarm_plan_actions(minimizing->plan);
    bool breaks = all == 0 || last_ones_break(minimizing, 0);
    for (uint32_t count = 1; count < all && !breaks; count *= 2) {
        breaks = last_ones_break(minimizing, count);
    }
}

/* Leaves out `size` actions of those that are left, from the place *at on, which is set behind
 * them. */
static void leave_out(struct swarm_edit *edit, uint32_t action_count, uint32_t size, uint32_t *at) {
    while (*at < action_count && size > 0) {
        size -= !edit->left_out[*at];
        edit->left_out[*at] = true;
        (*at)++;
    }
}

static void fewer_actions(struct minimizing *minimizing) {
    uint32_t count = minimizing->drawn->action_count;
    for (uint32_t size = swarm_plan_actions(minimizing->plan); size > 0; size /= 2) {
        for (uint32_t at = 0; at < count && may_go_on(minimizing);) {
            struct swarm_edit edit = *minimizing->edit;
            leave_out(&edit, count, size, &at);
            if (memcmp(edit.left_out, minimizing->edit->left_out, sizeof(edit.left_out)) != 0) {
                (void)still_breaks(minimizing, &edit);
            }
        }
    }
}

/* ---- less of the rest ----------------------------------------------------------------------- */

static bool until_breaks(struct minimizing *minimizing, uint64_t ms) {
    struct swarm_edit edit = *minimizing->edit;
    edit.until_ms = ms;
    return ms > 0 && still_breaks(minimizing, &edit);
}

/* The safety phase ends right after the break, or, if the break comes later, as early as it can. */
static void shorter_run(struct minimizing *minimizing) {
    uint64_t break_ms = minimizing->result->time_ns / MS_NS + 1;
    uint64_t safety_ms = minimizing->plan->safety_ns / MS_NS;
    if (break_ms < safety_ms) {
        (void)until_breaks(minimizing, break_ms);
        return;
    }
    uint64_t low_ms = 0;
    for (uint32_t i = 0; i < HALVES_MAX && low_ms + 1 < safety_ms; i++) {
        uint64_t middle_ms = low_ms + (safety_ms - low_ms) / 2;
        if (until_breaks(minimizing, middle_ms)) {
            safety_ms = middle_ms;
        } else {
            low_ms = middle_ms;
        }
    }
}

static void fewer_nodes(struct minimizing *minimizing) {
    for (uint32_t nodes = 1; nodes < minimizing->plan->node_count; nodes++) {
        struct swarm_edit edit = *minimizing->edit;
        edit.nodes = nodes;
        if (still_breaks(minimizing, &edit)) {
            return;
        }
    }
}

static void fewer_clients(struct minimizing *minimizing) {
    for (uint32_t clients = 1; clients < minimizing->plan->clients.clients; clients *= 2) {
        struct swarm_edit edit = *minimizing->edit;
        edit.clients = clients;
        if (still_breaks(minimizing, &edit)) {
            return;
        }
    }
}

static void calmer(struct minimizing *minimizing) {
    struct swarm_edit edit = *minimizing->edit;
    edit.calm = true;
    if (!minimizing->edit->calm) {
        (void)still_breaks(minimizing, &edit);
    }
    edit = *minimizing->edit;
    edit.plain = true;
    if (!minimizing->edit->plain) {
        (void)still_breaks(minimizing, &edit);
    }
}

/* ---- all of it ------------------------------------------------------------------------------ */

struct step {
    const char *name;
    void (*run)(struct minimizing *minimizing);
};

/* The first round; the following ones, while they find something, begin with the second row. */
static const struct step steps[] = {
    {"time", shorter_run},
    {"last actions", last_actions},
    {"fewer actions", fewer_actions},
    {"fewer nodes", fewer_nodes},
    {"fewer clients", fewer_clients},
    {"calm and plain", calmer},
    {"time", shorter_run},
};

__attribute__((format(printf, 2, 3))) static void say(const struct minimizing *minimizing,
                                                      const char *format, ...) {
    va_list arguments;
    if (minimizing->quiet) {
        return;
    }
    if (minimizing->terminal) {
        (void)fprintf(stderr, "\r\x1b[K");
    }
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)fflush(stdout);
}

/* One round of steps; whether anything became smaller. */
static bool round_run(struct minimizing *minimizing, uint32_t from) {
    struct swarm_edit before = *minimizing->edit;
    for (size_t i = from; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct swarm_edit step_before = *minimizing->edit;
        steps[i].run(minimizing);
        if (memcmp(&step_before, minimizing->edit, sizeof(step_before)) != 0) {
            const struct swarm_plan *plan = minimizing->plan;
            say(minimizing, "run %3u, %-14s: %3u actions, %u nodes, %2u clients, %.3f s%s%s\n",
                minimizing->runs, steps[i].name, swarm_plan_actions(plan), plan->node_count,
                plan->clients.clients, (double)plan->safety_ns / 1e9,
                minimizing->edit->calm ? ", calm" : "", minimizing->edit->plain ? ", plain" : "");
        }
    }
    /* A later break alone is no progress. */
    before.until_ms = minimizing->edit->until_ms;
    return memcmp(&before, minimizing->edit, sizeof(before)) != 0;
}

/* Runs what is left once more. */
static void confirm(struct minimizing *minimizing) {
    struct swarm_result again;
    if (!sim_child_run(minimizing->plan, SIM_STORY_NONE, &again)) {
        minimizing->no_process = true;
        return;
    }
    bool same = again.failed && again.step == minimizing->result->step &&
                again.time_ns == minimizing->result->time_ns &&
                strcmp(again.finding, minimizing->result->finding) == 0;
    ASSERT(same); /* the same plan gives the same run, or the simulation is not one */
}

bool sim_minimize(const struct swarm_plan *drawn, const struct sim_minimize_options *options,
                  struct swarm_edit *edit, struct swarm_result *result) {
    struct minimizing minimizing = {.drawn = drawn,
                                    .edit = edit,
                                    .result = result,
                                    .plan = malloc(sizeof(*minimizing.plan)),
                                    .tried = malloc(sizeof(*minimizing.tried)),
                                    .first = *result,
                                    .begun_s = now_s(),
                                    .quiet = options->quiet,
                                    .terminal = !options->quiet && isatty(STDERR_FILENO) != 0};
    ASSERT(result->failed && minimizing.plan != NULL && minimizing.tried != NULL);
    *minimizing.plan = *drawn;
    swarm_plan_edit(minimizing.plan, edit);
    say(&minimizing, "minimizing seed %" PRIu64 ": %s\n", drawn->seed, result->finding);
    bool smaller = round_run(&minimizing, 0);
    while (smaller && may_go_on(&minimizing)) {
        smaller = round_run(&minimizing, 2);
    }
    if (!minimizing.no_process) {
        confirm(&minimizing);
    }
    say(&minimizing, "%s after %u runs: %u of %u actions\n",
        may_go_on(&minimizing) ? "nothing more can be left out" : "a bound was reached",
        minimizing.runs, swarm_plan_actions(minimizing.plan), drawn->action_count);
    free(minimizing.plan);
    free(minimizing.tried);
    return !minimizing.no_process;
}
