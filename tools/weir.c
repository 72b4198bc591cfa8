/*
 * The one binary: finds the subcommand and hands over.
 */

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "bench/load.h"
#include "tools/check_history.h"
#include "tools/init.h"
#include "tools/inspect.h"
#include "tools/serve.h"
#include "tools/sim.h"
#include "tools/status.h"
#include "tools/top.h"

enum { EXIT_USAGE = 2 };

static const struct {
    const char *name;
    const char *summary;
    int (*main)(int argc, char **argv);
} commands[] = {
    {"serve", "runs a node", serve_main},
    {"status", "shows what a node says of itself and of the other members", status_main},
    {"top", "shows where the time of a running node goes, stage by stage", top_main},
    {"bench", "generates load and measures throughput and latency", load_main},
    {"check-history", "says whether what clients have recorded can have happened",
     check_history_main},
    {"sim", "simulates whole clusters under faults, each from one seed", sim_main},
    {"init", "writes the files of a cluster; creates the data directory of a node", init_main},
    {"inspect", "prints and verifies log, snapshots, term and vote", inspect_main},
};

static void print_usage(FILE *stream) {
    (void)fprintf(stream, "usage: weir COMMAND [ARGUMENT]...\n\n");
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        (void)fprintf(stream, "  %-13s %s\n", commands[i].name, commands[i].summary);
    }
    (void)fprintf(stream,
                  "\n  --version     prints the version\n  --help        this text; after a "
                  "command: its own\n\nExit status: 0, 1 (failed), 2 (usage).\n");
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)printf("weir %s\n", WEIR_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(stdout);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        if (strcmp(commands[i].name, argv[1]) == 0) {
            char name[32]; /* what the command calls itself in its messages */
            (void)snprintf(name, sizeof(name), "weir %s", commands[i].name);
            argv[1] = name;
            return commands[i].main(argc - 1, argv + 1);
        }
    }
    (void)fprintf(stderr, "weir: do not know the command \"%s\"; weir --help lists them\n",
                  argv[1]);
    return EXIT_USAGE;
}
