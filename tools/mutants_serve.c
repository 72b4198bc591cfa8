/*
 * weir-mutants-serve: `weir serve` with every planted defect in it, of which the command line
 * chooses one.  The cluster tests must find it in real processes (tests/cluster/planted.py).
 *
 *     weir-mutants-serve NAME [what weir serve takes]
 *
 * Happy path: the defect is chosen before anything else happens, and the node serves.
 *
 * Failure modes: no defect has that name: usage.
 */

#include <stdio.h>

#include "base/mutant.h"
#include "tools/serve.h"

enum { EXIT_USAGE = 2 };

int main(int argc, char **argv) {
    if (argc < 2 || !mutant_choose(argv[1])) {
        (void)fprintf(stderr, "usage: weir-mutants-serve NAME [what weir serve takes]; "
                              "'weir-mutants list' has the names\n");
        return EXIT_USAGE;
    }
    return serve_main(argc - 1, argv + 1);
}
