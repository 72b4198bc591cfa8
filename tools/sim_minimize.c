/*
 * Smaller plans.  See tools/sim_minimize.h.
 *
 * Happy path: the run ends right after its break; the actions that begin last before it are kept,
 * as few as break; then fewer nodes, fewer clients, a calm world, a plain load, since these make
 * all later runs cheaper; then what is left of the actions is left out in parts; and all of it
 * again while something was found, since each makes the others easier.
 *
 * Failure modes: a candidate does not break, or by another finding: it is not taken.  A bound is
 * reached: what has been found so far is the result.
 */

#include "tools/sim_minimize.h"

#include <inttypes.h>
#include <signal.h>
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
    /* 0, and powers of two below SWARM_ACTIONS_MAX (160) or CLUSTER_CLIENTS_MAX (64): 9 at most. */
    EDITS_MAX = 16,
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
    uint32_t jobs;
    uint64_t begun_s;
    uint64_t seconds_max;
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
           now_s() - minimizing->begun_s < minimizing->seconds_max;
}

/* This edit broke by the same finding: it is the new one. */
static void take(struct minimizing *minimizing, const struct swarm_edit *edit,
                 const struct swarm_result *result) {
    *minimizing->plan = *minimizing->drawn;
    swarm_plan_edit(minimizing->plan, edit);
    *minimizing->result = *result;
    *minimizing->edit = *edit;
    for (uint32_t i = 0; i < minimizing->plan->action_count; i++) {
        minimizing->edit->left_out[i] = minimizing->plan->actions[i].left_out;
    }
}

/* Runs some edits at once; the first of them that breaks, by its place, is taken: which one that is
 * does not depend on how many run at once.  Returns its place; count: none. */
static uint32_t batch_breaks(struct minimizing *minimizing, const struct swarm_edit *edits,
                             uint32_t count) {
    struct sim_child children[SIM_MINIMIZE_JOBS_MAX];
    uint32_t started = 0;
    uint32_t found = count;
    ASSERT(count <= SIM_MINIMIZE_JOBS_MAX);
    while (started < count && may_go_on(minimizing)) {
        *minimizing->tried = *minimizing->drawn;
        swarm_plan_edit(minimizing->tried, &edits[started]);
        minimizing->no_process =
            !sim_child_start(&children[started], minimizing->tried, SIM_STORY_NONE);
        started += !minimizing->no_process;
        minimizing->runs++;
    }
    progress(minimizing);
    for (uint32_t i = 0; i < started; i++) {
        struct swarm_result result;
        if (found != count) {
            (void)kill(children[i].pid, SIGKILL); /* nobody waits for it any more */
        }
        sim_child_finish(&children[i], &result);
        if (found == count && result.failed && sim_same_finding(&result, &minimizing->first)) {
            found = i;
            take(minimizing, &edits[i], &result);
        }
    }
    return found;
}

/* The same for any number of edits, in the order in which they are wanted. */
static uint32_t first_that_breaks(struct minimizing *minimizing, const struct swarm_edit *edits,
                                  uint32_t count) {
    for (uint32_t at = 0; at < count && may_go_on(minimizing);) {
        uint32_t left = count - at;
        uint32_t some = left < minimizing->jobs ? left : minimizing->jobs;
        uint32_t found = batch_breaks(minimizing, edits + at, some);
        if (found < some) {
            return at + found;
        }
        at += some;
    }
    return count;
}

/* ---- fewer actions -------------------------------------------------------------------------- */

/* Leaves out all but the last `count` actions of those that are left. */
static void keep_last(struct swarm_edit *edit, uint32_t action_count, uint32_t count) {
    for (uint32_t i = action_count; i-- > 0;) {
        if (!edit->left_out[i]) {
            edit->left_out[i] = count == 0;
            count -= count > 0;
        }
    }
}

/* Those that begin last before the break: 0, 1, 2, 4 ... of them. */
static void last_actions(struct minimizing *minimizing) {
    struct swarm_edit edits[EDITS_MAX];
    uint32_t all = swarm_plan_actions(minimizing->plan);
    uint32_t count = 0;
    for (uint32_t kept = 0; kept < all; kept = kept == 0 ? 1 : 2 * kept) {
        ASSERT(count < EDITS_MAX);
        edits[count] = *minimizing->edit;
        keep_last(&edits[count++], minimizing->drawn->action_count, kept);
    }
    (void)first_that_breaks(minimizing, edits, count);
}

/* Leaves out `size` actions of those that are left, from the place *at on, which is set behind
 * them; whether there are any. */
static bool leave_out(struct swarm_edit *edit, uint32_t action_count, uint32_t size, uint32_t *at) {
    bool any = false;
    while (*at < action_count && size > 0) {
        any |= !edit->left_out[*at];
        size -= !edit->left_out[*at];
        edit->left_out[*at] = true;
        (*at)++;
    }
    return any;
}

/* Leaves out each part of this size for which the rest still breaks. */
static void fewer_of(struct minimizing *minimizing, uint32_t size) {
    struct swarm_edit edits[SIM_MINIMIZE_JOBS_MAX];
    uint32_t behind[SIM_MINIMIZE_JOBS_MAX]; /* where the part of each edit ends */
    uint32_t action_count = minimizing->drawn->action_count;
    for (uint32_t at = 0; at < action_count && may_go_on(minimizing);) {
        uint32_t count = 0;
        while (count < minimizing->jobs && at < action_count) {
            edits[count] = *minimizing->edit;
            if (leave_out(&edits[count], action_count, size, &at)) {
                behind[count++] = at;
            }
        }
        uint32_t found = batch_breaks(minimizing, edits, count);
        at = found < count ? behind[found] : at;
    }
}

static void fewer_actions(struct minimizing *minimizing) {
    for (uint32_t size = swarm_plan_actions(minimizing->plan); size > 0; size /= 2) {
        fewer_of(minimizing, size);
    }
}

/* ---- less of the rest ----------------------------------------------------------------------- */

static bool until_breaks(struct minimizing *minimizing, uint64_t ms) {
    struct swarm_edit edit = *minimizing->edit;
    edit.until_ms = ms;
    return ms > 0 && first_that_breaks(minimizing, &edit, 1) == 0;
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
    struct swarm_edit edits[SWARM_NODES_MAX];
    uint32_t count = 0;
    for (uint32_t nodes = 1; nodes < minimizing->plan->node_count; nodes++) {
        edits[count] = *minimizing->edit;
        edits[count++].nodes = nodes;
    }
    (void)first_that_breaks(minimizing, edits, count);
}

static void fewer_clients(struct minimizing *minimizing) {
    struct swarm_edit edits[EDITS_MAX];
    uint32_t count = 0;
    for (uint32_t clients = 1; clients < minimizing->plan->clients.clients; clients *= 2) {
        ASSERT(count < EDITS_MAX);
        edits[count] = *minimizing->edit;
        edits[count++].clients = clients;
    }
    (void)first_that_breaks(minimizing, edits, count);
}

/* Both, or one of them. */
static void calmer(struct minimizing *minimizing) {
    struct swarm_edit edits[3];
    uint32_t count = 0;
    for (uint32_t which = 3; which > 0; which--) {
        edits[count] = *minimizing->edit;
        edits[count].calm = edits[count].calm || (which & 1) != 0;
        edits[count].plain = edits[count].plain || (which & 2) != 0;
        count += edits[count].calm != minimizing->edit->calm ||
                 edits[count].plain != minimizing->edit->plain;
    }
    (void)first_that_breaks(minimizing, edits, count);
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
    {"fewer nodes", fewer_nodes}, /* few runs, and all later ones are cheaper */
    {"fewer clients", fewer_clients},
    {"calm and plain", calmer},
    {"fewer actions", fewer_actions},
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
    struct minimizing minimizing = {
        .drawn = drawn,
        .edit = edit,
        .result = result,
        .plan = malloc(sizeof(*minimizing.plan)),
        .tried = malloc(sizeof(*minimizing.tried)),
        .first = *result,
        .jobs = options->jobs < 1                       ? 1
                : options->jobs > SIM_MINIMIZE_JOBS_MAX ? SIM_MINIMIZE_JOBS_MAX
                                                        : options->jobs,
        .begun_s = now_s(),
        .seconds_max = options->seconds_max != 0 ? options->seconds_max : SIM_MINIMIZE_SECONDS,
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
