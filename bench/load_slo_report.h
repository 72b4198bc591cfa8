#ifndef WEIR_BENCH_LOAD_SLO_REPORT_H
#define WEIR_BENCH_LOAD_SLO_REPORT_H

/* What a search for the knee has found: as text for a person, as JSON for a program. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/load_report.h"
#include "bench/load_slo.h"

/* Everything the report is made of; all borrowed. */
struct load_slo_report {
    const struct load_slo *slo;
    uint64_t try_ns;                /* measured time of a try */
    const struct load_report *half; /* at half of the knee; NULL: was not measured */
    const char *failure;            /* why the search could not go on; NULL: it could */
    bool interrupted;               /* by SIGINT, in the search or at half of the knee */
};

/* Whether the search came to its end and found a knee, and nothing failed behind it. */
bool load_slo_report_succeeded(const struct load_slo_report *report);

/* Prints the report for a person: every rate that was tried, the knee, and half of it in full. */
void load_slo_report_print_text(const struct load_slo_report *report, FILE *out);

/* Prints one JSON object (RFC 8259) and a line feed. */
void load_slo_report_print_json(const struct load_slo_report *report, FILE *out);

#endif
