/*
 * The load generator as a program of its own, for the tests: `weir bench` without the rest of
 * weir.
 */
#include "bench/load.h"

int main(int argc, char **argv) {
    static char name[] = "weir bench";
    argv[0] = name;
    return load_main(argc, argv);
}
