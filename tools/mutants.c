/*
 * weir-mutants: `weir sim` with every planted defect in it, of which the command line chooses one.
 *
 *     weir-mutants list                         the defects, a line each: name, tab, sentence
 *     weir-mutants sim --mutant NAME [...]      as weir sim [...], with that defect
 *     weir-mutants sim [...]                    as weir sim [...], with none
 *
 * Happy path: the defect is chosen before anything else happens, and the command goes on as usual.
 * The runs are processes that are forked from this one, so they have it too.
 *
 * Failure modes: no defect has that name: usage.
 */

#include <stdio.h>
#include <string.h>

#include "base/mutant.h"
#include "tools/sim.h"

enum { EXIT_USAGE = 2 };

static int usage(const char *what, const char *value) {
    (void)fprintf(stderr,
                  "weir-mutants: %s \"%s\"\n"
                  "usage: weir-mutants list\n"
                  "       weir-mutants sim [--mutant NAME] [what weir sim takes]\n",
                  what, value);
    return EXIT_USAGE;
}

static int list(void) {
    for (int i = MUTANT_NONE + 1; i < MUTANT_COUNT; i++) {
        (void)printf("%s\t%s\n", mutant_name((enum mutant)i), mutant_sentence((enum mutant)i));
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        return list();
    }
    if (argc < 2 || strcmp(argv[1], "sim") != 0) {
        return usage("there is no command", argc < 2 ? "" : argv[1]);
    }
    if (argc < 4 || strcmp(argv[2], "--mutant") != 0) {
        return sim_main(argc - 1, argv + 1);
    }
    if (!mutant_choose(argv[3])) {
        return usage("there is no defect", argv[3]);
    }
    char command[256]; /* as it is to be typed again; a name that is known is shorter */
    (void)snprintf(command, sizeof(command), "weir-mutants sim --mutant %s", argv[3]);
    argv[3] = command;
    return sim_main(argc - 3, argv + 3);
}
