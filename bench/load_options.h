#ifndef WEIR_BENCH_LOAD_OPTIONS_H
#define WEIR_BENCH_LOAD_OPTIONS_H

/* What the operator asked `weir bench` for: the parsed command line, checked and complete. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "bench/key_picker.h"
#include "bench/load_slo.h"
#include "bench/load_targets.h"

enum {
    LOAD_OPTIONS_COMMANDS_MAX = 16,
    LOAD_OPTIONS_CONNECTIONS_MAX = 10000,
    LOAD_OPTIONS_DEPTH_MAX = 65536,
    LOAD_OPTIONS_THREADS_MAX = 64,
    /* Requests waiting in the client are at most depth of them on each connection. */
    LOAD_OPTIONS_DEPTH_CLOSED = 1,
    LOAD_OPTIONS_DEPTH_OPEN = 64,
    LOAD_OPTIONS_SERVERS_MAX = LOAD_TARGETS_MAX
};

/* Texts are borrowed from argv. Times are in nanoseconds. */
struct load_options {
    const char *host; /* of the first server; later of the one that was asked before the run */
    char port[LOAD_TARGET_PORT_BYTES];
    const char *servers;  /* "HOST:PORT,..."; NULL: host and port */
    const char *password; /* NULL: none */
    const char *mix;      /* NULL when commands are given */
    const char *commands[LOAD_OPTIONS_COMMANDS_MAX];
    uint32_t command_count;
    uint32_t connections;
    uint32_t depth;
    uint32_t threads;
    uint32_t value_bytes;
    uint64_t keys;
    enum key_distribution distribution;
    double zipf_theta;
    uint64_t duration_ns; /* 0: until `operations` are done */
    uint64_t operations;  /* 0: until `duration_ns` has passed, as always in open loop */
    uint64_t warmup_ns;
    uint64_t rate_per_second; /* 0: closed loop */
    struct load_slo_goal slo; /* with a percentile: the knee is searched for, in open loop */
    uint64_t seed;
    uint32_t resp;       /* 2 or 3 */
    uint64_t timeout_ns; /* with several servers: a connection that is silent so long is left */
    uint64_t gap_ns;     /* gaps of this length are listed, and the longest one */
    const char *history; /* file; NULL: none */
    uint64_t history_operations;
    bool read_back; /* each key, behind the run */
    bool json;
    bool help;
};

/*
 * Fills `options` from the command line, defaults included. Errors: WEIR_EINVAL with a sentence
 * (what, where, what to do) when an option is unknown, repeated against itself, has no value, or a
 * value out of its range. `options` then holds nothing useful. Does not allocate.
 */
int load_options_parse(struct load_options *options, int argc, char **argv,
                       struct error_text *error);

/* Prints the help text. */
void load_options_print_help(FILE *out, const char *name);

#endif
