/*
 * weir sim.  See tools/sim.h.
 *
 * Happy path of a range: as many children as asked for run at once; each that ends gives its
 * result and its place to the next seed; then the totals.  Of a single seed: its plan, its story if
 * asked for, its result.
 *
 * Failure modes: wrong usage; no process to be had.  A seed that breaks is no failure of the
 * command: the others go on, and the exit status says that one did.
 */

#include "tools/sim.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "tools/sim_child.h"
#include "tools/sim_edit.h"
#include "tools/sim_minimize.h"
#include "tools/sim_report.h"

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    JOBS_MAX = 256,
    PROGRESS_MS = 200,
    COMMAND_BYTES = 2048, /* 160 numbers of up to 4 bytes with their commas, and the rest */
};

struct sim_options {
    uint64_t first;
    uint64_t last;
    bool single;
    bool minimize;
    bool json;
    bool until_broken;
    enum sim_story story;
    uint32_t nodes; /* 0: drawn */
    uint32_t jobs;
    const char *command;       /* the words that begin it: "weir sim" */
    uint64_t minimize_seconds; /* 0: as usual */
    struct swarm_edit edit;
};

static void print_usage(FILE *stream) {
    (void)fprintf(
        stream,
        "usage: weir sim --seed N [--trace] [--minimize] [what is taken away]\n"
        "       weir sim --seeds A..B [--jobs N] [--until-broken]\n\n"
        "Runs whole clusters under faults, simulated, each from one seed, and checks them.\n"
        "Nothing of this host is touched. The same seed gives the same run, event by event.\n\n"
        "  --seed N      one seed\n"
        "  --seeds A..B  all seeds from A to B\n"
        "  --nodes N     clusters of so many nodes, 1 to 7 (otherwise each seed draws it)\n"
        "  --trace       tells what happens: faults, elections, who sent what, what clients got\n"
        "  --trace-all   tells every event of network, disks and clocks, too\n"
        "  --minimize    of a seed that breaks: takes away what it does not need to break in the\n"
        "                same way; prints what is left, and the command\n"
        "  --seconds N   for so long at most; otherwise for 120\n"
        "  --jobs N      so many seeds at once, 1 to 256 (otherwise one for each CPU)\n"
        "  --until-broken  begins no more seeds once one has broken\n"
        "  --json        prints one JSON object a line\n"
        "  --help        this text\n\n"
        "Taken away from the plan of one seed (--minimize prints these):\n"
        "  --only LIST      all faults but these, by their numbers in --trace: 3,7..9 or none\n"
        "  --without LIST   these faults\n"
        "  --until SECONDS  what comes later: healing begins then\n"
        "  --first-nodes N  the other nodes\n"
        "  --clients N      the other clients\n"
        "  --calm           the delays of network and disks, and the drift of clocks\n"
        "  --plain          the unusual load, maps, batches, leases and snapshots\n\n"
        "Exit status: 0 nothing broke, 1 something did, 2 usage.\n");
}

static int usage_error(const char *what, const char *value) {
    (void)fprintf(stderr, "weir sim: %s \"%s\"; weir sim --help shows what it takes\n", what,
                  value);
    return EXIT_USAGE;
}

/* ---- options ------------------------------------------------------------------------------ */

static bool number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *number) {
    uint64_t value;
    if (decimal_parse_u64(text, strlen(text), &value) != 0 || value < min || value > max) {
        return false;
    }
    *number = value;
    return true;
}

/* "A..B", A <= B */
static bool range_parse(const char *text, uint64_t *first, uint64_t *last) {
    const char *dots = strstr(text, "..");
    return dots != NULL && decimal_parse_u64(text, (size_t)(dots - text), first) == 0 &&
           number_parse(dots + 2, *first, UINT64_MAX - 1, last);
}

/* An option with a value; 0, or EXIT_USAGE after saying why. */
static int value_parse(const char *name, const char *value, struct sim_options *options,
                       bool *is_given) {
    uint64_t number = 0;
    if (value == NULL) {
        return usage_error("a value is missing after", name);
    }
    if (strcmp(name, "--seed") == 0) {
        options->single = true;
        *is_given = number_parse(value, 0, UINT64_MAX - 1, &options->first);
        options->last = options->first;
        return *is_given ? 0 : usage_error("--seed takes a number, not", value);
    }
    if (strcmp(name, "--seeds") == 0) {
        options->single = false;
        *is_given = range_parse(value, &options->first, &options->last);
        return *is_given ? 0 : usage_error("--seeds takes A..B with A not above B, not", value);
    }
    if (strcmp(name, "--nodes") == 0) {
        if (!number_parse(value, 1, SWARM_NODES_MAX, &number)) {
            return usage_error("--nodes takes 1 to 7, not", value);
        }
        options->nodes = (uint32_t)number;
        return 0;
    }
    if (strcmp(name, "--seconds") == 0) {
        return number_parse(value, 1, SIM_MINIMIZE_SECONDS_MAX, &options->minimize_seconds)
                   ? 0
                   : usage_error("--seconds takes 1 to 86400, not", value);
    }
    if (strcmp(name, "--jobs") == 0) {
        if (!number_parse(value, 1, JOBS_MAX, &number)) {
            return usage_error("--jobs takes 1 to 256, not", value);
        }
        options->jobs = (uint32_t)number;
        return 0;
    }
    return usage_error("do not know the option", name);
}

/* What takes something away, and the rest. */
static int edit_parse(const char *name, const char *value, struct sim_options *options,
                      bool *is_given, bool *has_value) {
    switch (sim_edit_parse(name, value, &options->edit, has_value)) {
    case SIM_EDIT_TAKEN: return 0;
    case SIM_EDIT_VALUE_WRONG:
        return value == NULL ? usage_error("a value is missing after", name)
                             : usage_error("that is no value of such an option:", value);
    case SIM_EDIT_NOT_MINE: break;
    }
    *has_value = true;
    return value_parse(name, value, options, is_given);
}

static int options_parse(int argc, char **argv, struct sim_options *options) {
    bool is_given = false;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    ASSERT(argc >= 1 && argv[0] != NULL);
    *options = (struct sim_options){.command = strcmp(argv[0], "sim") == 0 ? "weir sim" : argv[0],
                                    .jobs = cpus < 1          ? 1
                                            : cpus > JOBS_MAX ? JOBS_MAX
                                                              : (uint32_t)cpus};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0) {
            options->story = SIM_STORY_TOLD;
        } else if (strcmp(argv[i], "--trace-all") == 0) {
            options->story = SIM_STORY_EVENTS;
        } else if (strcmp(argv[i], "--minimize") == 0) {
            options->minimize = true;
        } else if (strcmp(argv[i], "--until-broken") == 0) {
            options->until_broken = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            options->json = true;
        } else {
            const char *value = i + 1 < argc ? argv[i + 1] : NULL;
            bool has_value = true;
            int status = edit_parse(argv[i], value, options, &is_given, &has_value);
            if (status != 0) {
                return status;
            }
            i += has_value;
        }
    }
    if (!is_given) {
        return usage_error("the option is missing:", "--seed or --seeds");
    }
    if (!options->single && (options->minimize || options->story != SIM_STORY_NONE)) {
        return usage_error("only one seed can be told or minimized:", "--seeds");
    }
    if (!options->single && sim_edit_any(&options->edit)) {
        return usage_error("only from the plan of one seed something can be taken away:",
                           "--seeds");
    }
    return 0;
}

/* ---- one seed ----------------------------------------------------------------------------- */

static int process_error(void) {
    (void)fprintf(stderr, "weir sim: no process to be had for a run: raise the limits of "
                          "processes and open files, or lower --jobs\n");
    return EXIT_FAILED;
}

/* The command that runs this again. */
static void command_print(const struct sim_options *options, uint64_t seed,
                          const struct swarm_plan *drawn, const struct swarm_edit *edit, char *text,
                          size_t text_bytes) {
    char edits[COMMAND_BYTES] = "";
    char nodes[32] = "";
    if (options->nodes != 0) {
        (void)snprintf(nodes, sizeof(nodes), " --nodes %u", options->nodes);
    }
    if (edit != NULL) {
        sim_edit_print(edit, drawn, edits, sizeof(edits));
    }
    (void)snprintf(text, text_bytes, "%s --seed %" PRIu64 "%s%s", options->command, seed, nodes,
                   edits);
}

static void plan_print(const struct swarm_plan *plan) {
    struct kv_model_text text = {0};
    swarm_plan_print(plan, &text);
    (void)printf("%.*s\n", (int)text.length, text.data);
    kv_model_text_free(&text);
}

/* Makes what broke smaller, and tells what is left. */
static bool minimize(const struct sim_options *options, const struct swarm_plan *drawn,
                     struct swarm_edit *edit, struct swarm_plan *plan,
                     struct swarm_result *result) {
    struct sim_minimize_options how = {
        .quiet = options->json, .jobs = options->jobs, .seconds_max = options->minimize_seconds};
    bool started = sim_minimize(drawn, &how, edit, result);
    *plan = *drawn;
    swarm_plan_edit(plan, edit);
    if (!options->json) {
        plan_print(plan);
    }
    if (started && options->story != SIM_STORY_NONE) {
        started = sim_child_run(plan, options->story, result);
    }
    return started;
}

static int run_one(const struct sim_options *options) {
    struct swarm_result result;
    struct swarm_edit edit = options->edit;
    struct swarm_plan *plans = malloc(2 * sizeof(*plans));
    ASSERT(plans != NULL);
    struct swarm_plan *drawn = &plans[0];
    struct swarm_plan *plan = &plans[1];
    swarm_plan_draw(drawn, options->first, options->nodes);
    *plan = *drawn;
    swarm_plan_edit(plan, &edit);
    enum sim_story story = options->minimize ? SIM_STORY_NONE : options->story;
    if (story != SIM_STORY_NONE) {
        plan_print(plan);
    }
    bool started = sim_child_run(plan, story, &result);
    if (started && result.failed && options->minimize) {
        started = minimize(options, drawn, &edit, plan, &result);
    }
    if (started && result.failed) {
        char command[COMMAND_BYTES];
        command_print(options, options->first, drawn, &edit, command, sizeof(command));
        sim_report_failure(&result, command, options->json);
    } else if (started) {
        sim_report_seed(&result, options->json);
    }
    free(plans);
    return !started ? process_error() : result.failed ? EXIT_FAILED : 0;
}

/* ---- many seeds --------------------------------------------------------------------------- */

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* CPU time of all children that have ended. */
static uint64_t children_cpu_ns(void) {
    struct rusage usage;
    (void)getrusage(RUSAGE_CHILDREN, &usage);
    return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) *
               UINT64_C(1000000000) +
           ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000;
}

struct sim_range {
    const struct sim_options *options;
    struct swarm_plan plan; /* scratch */
    struct sim_child children[JOBS_MAX];
    struct pollfd waited[JOBS_MAX];
    uint64_t next; /* seed */
    bool no_more;  /* one has broken, and the rest is not wanted */
    bool no_process;
    bool terminal; /* somebody watches standard error */
    struct sim_totals totals;
};

/* Fills the free places with the next seeds; returns how many children run. */
static uint32_t children_fill(struct sim_range *range) {
    uint32_t running = 0;
    for (uint32_t i = 0; i < range->options->jobs; i++) {
        struct sim_child *child = &range->children[i];
        bool wanted = range->next <= range->options->last && !range->no_more;
        if (child->pid == 0 && wanted && !range->no_process) {
            swarm_plan_draw(&range->plan, range->next, range->options->nodes);
            range->no_process = !sim_child_start(child, &range->plan, SIM_STORY_NONE);
            range->next += !range->no_process;
        }
        running += child->pid != 0;
        range->waited[i] =
            (struct pollfd){.fd = child->pid == 0 ? -1 : child->result_pipe, .events = POLLIN};
    }
    return running;
}

/* Takes the results that are there. */
static void children_reap(struct sim_range *range) {
    struct swarm_result result;
    for (uint32_t i = 0; i < range->options->jobs; i++) {
        if (range->waited[i].fd < 0 || range->waited[i].revents == 0) {
            continue;
        }
        sim_child_finish(&range->children[i], &result);
        sim_totals_add(&range->totals, &result);
        if (result.failed) {
            range->no_more = range->options->until_broken;
            if (range->terminal) {
                sim_report_progress_clear();
            }
            char command[COMMAND_BYTES];
            command_print(range->options, result.seed, NULL, NULL, command, sizeof(command));
            sim_report_failure(&result, command, range->options->json);
            (void)fflush(stdout);
        }
    }
}

static int run_many(const struct sim_options *options) {
    struct sim_range *range = calloc(1, sizeof(*range));
    ASSERT(range != NULL);
    uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC);
    range->options = options;
    range->terminal = isatty(STDERR_FILENO) != 0;
    range->next = options->first;
    range->totals.seeds = options->last - options->first + 1;
    while (children_fill(range) > 0) {
        (void)poll(range->waited, options->jobs, PROGRESS_MS);
        children_reap(range);
        if (range->terminal) {
            sim_report_progress(&range->totals);
        }
    }
    if (range->terminal) {
        sim_report_progress_clear();
    }
    range->totals.wall_ns = clock_ns(CLOCK_MONOTONIC) - begun_ns;
    range->totals.cpu_ns = children_cpu_ns();
    sim_report_totals(&range->totals, options->first, range->next - 1, options->json);
    int status = range->no_process ? process_error() : range->totals.failed > 0 ? EXIT_FAILED : 0;
    free(range);
    return status;
}

int sim_main(int argc, char **argv) {
    struct sim_options options;
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_usage(stdout);
        return 0;
    }
    int status = options_parse(argc, argv, &options);
    if (status != 0) {
        return status;
    }
    return options.single ? run_one(&options) : run_many(&options);
}
