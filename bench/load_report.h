#ifndef WEIR_BENCH_LOAD_REPORT_H
#define WEIR_BENCH_LOAD_REPORT_H

/* What a load run is said to have measured: as text for a person, as JSON for a program. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/load_greeting.h"
#include "bench/load_options.h"
#include "bench/load_worker.h"

/* Everything a report is made of; all borrowed. */
struct load_report {
    const struct load_options *options;
    const struct load_server_facts *facts;
    const struct load_results *results; /* of all workers together */
    uint64_t elapsed_ns;                /* of the measured time, at least 1 */
    uint64_t measure_from_ns;           /* when it began, by CLOCK_MONOTONIC */
    const char *history_full;           /* why not everything was recorded; NULL: it was */
    bool has_writes;                    /* served is an acknowledged write, otherwise a read */
    bool follows;                       /* several nodes of a cluster are known */
    uint64_t read_back_keys;            /* to be read at the end; 0: none */
};

/* Replies without an error in a second of the measured time. */
uint64_t load_report_throughput_per_second(const struct load_report *report);

/* The share of its cores that the client used while measuring, 0..1. */
double load_report_client_busy(const struct load_report *report);

/*
 * Whether the asked rate was held: at most one percent of the arrivals found no free connection or
 * no answer. Always true in closed loop.
 */
bool load_report_rate_held(const struct load_report *report);

/*
 * Whether the run is a success: something was answered, without an error, the rate held, all was
 * recorded that was to be, and every key read back. With several nodes, what was refused or is
 * unknown is no error.
 */
bool load_report_succeeded(const struct load_report *report);

/* Prints the report for a person. */
void load_report_print_text(const struct load_report *report, FILE *out);

/* Prints one JSON object (RFC 8259), without and with a line feed behind it. */
void load_report_print_json_object(const struct load_report *report, FILE *out);
void load_report_print_json(const struct load_report *report, FILE *out);

/* Prints a zero-terminated text as a JSON string, quotes included. */
void load_report_print_json_text(FILE *out, const char *text);

/* bench/load_report_gaps.c: the gaps, with a time line each, and what a failover cost. */
void load_report_print_gaps_text(const struct load_report *report, FILE *out);

/* The same as members of a JSON object, each with a comma behind it. */
void load_report_print_gaps_json(const struct load_report *report, FILE *out);

#endif
