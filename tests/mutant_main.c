/* The main function of a test with planted defects: the first argument is the defect's name, or
 * "none"; the rest is the test's own.  Linked with --wrap=main. */

#include <stdio.h>
#include <string.h>

#include "base/mutant.h"

enum { USAGE_STATUS = 2 };

int __real_main(int argc, char **argv);
int __wrap_main(int argc, char **argv);

int __wrap_main(int argc, char **argv) {
    if (argc < 2 || (strcmp(argv[1], "none") != 0 && !mutant_choose(argv[1]))) {
        fprintf(stderr, "usage: %s none|DEFECT [argument ...]\nbase/mutant.h lists the defects\n",
                argv[0]);
        return USAGE_STATUS;
    }
    argv[1] = argv[0];
    return __real_main(argc - 1, argv + 1);
}
