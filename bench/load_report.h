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
};

/* Replies without an error in a second of the measured time. */
uint64_t load_report_throughput_per_second(const struct load_report *report);

/*
 * Whether the asked rate was held: at most one percent of the arrivals found no free connection or
 * no answer. Always true in closed loop.
 */
bool load_report_rate_held(const struct load_report *report);

/* Whether the run is a success: something was answered, without an error, and the rate held. */
bool load_report_succeeded(const struct load_report *report);

/* Prints the report for a person. */
void load_report_print_text(const struct load_report *report, FILE *out);

/* Prints one JSON object (RFC 8259) and a line feed. */
void load_report_print_json(const struct load_report *report, FILE *out);

#endif
