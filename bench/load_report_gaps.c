/* What a failover looks like from outside. Nothing can fail but the output. */
#include <inttypes.h>

#include "base/assert.h"
#include "base/clock.h"
#include "bench/load_report.h"

/* Columns of the longest bar. */
enum { BAR_COLUMNS = 40 };

static double seconds_into(const struct load_report *report, uint64_t moment_ns) {
    if (moment_ns < report->measure_from_ns)
        return 0;
    return (double)(moment_ns - report->measure_from_ns) / (double)CLOCK_NS_PER_S;
}

static double milliseconds(const struct load_gap *gap) {
    ASSERT(gap->end_ns >= gap->begin_ns);
    return (double)(gap->end_ns - gap->begin_ns) / (double)CLOCK_NS_PER_MS;
}

static const char *what_is_served(const struct load_report *report) {
    return report->has_writes ? "an acknowledged write" : "an answered read";
}

static struct load_timeline_rows rows_of(const struct load_report *report,
                                         const struct load_gap *gap) {
    return load_timeline_around(&report->results->timeline, gap, report->measure_from_ns,
                                report->elapsed_ns);
}

static void print_timeline(const struct load_report *report, const struct load_gap *gap,
                           FILE *out) {
    const struct load_timeline_rows rows = rows_of(report, gap);
    uint32_t most = 1;
    for (uint32_t i = 0; i < rows.count; i++)
        most = rows.served[i] > most ? rows.served[i] : most;
    fprintf(out, "              served in each %" PRIu32 " ms:\n", rows.row_ms);
    for (uint32_t i = 0; i < rows.count; i++) {
        const uint32_t columns = (uint32_t)((uint64_t)rows.served[i] * BAR_COLUMNS / most);
        fprintf(out, "  %8.2f s  %8" PRIu32 "  ",
                (double)(rows.first + i) * (double)rows.row_ms / 1000, rows.served[i]);
        for (uint32_t column = 0; column < columns; column++)
            fputc('#', out);
        fputs(rows.served[i] == 0 ? "nothing\n" : "\n", out);
    }
}

/* Without other nodes only a gap that is worth it: the line above has said how long it was. */
static bool is_shown(const struct load_report *report, const struct load_gap *gap) {
    return report->follows || gap->end_ns - gap->begin_ns >= report->options->gap_ns;
}

/* Whether it is one of the longest. */
static bool is_drawn(const struct load_gaps *gaps, const struct load_gap *gap) {
    uint32_t longer = 0;
    for (uint32_t i = 0; i < gaps->count; i++)
        longer += milliseconds(&gaps->items[i]) > milliseconds(gap);
    return longer < LOAD_GAPS_DRAWN_MAX;
}

void load_report_print_gaps_text(const struct load_report *report, FILE *out) {
    const struct load_results *results = report->results;
    for (uint32_t i = 0; i < results->gaps.count; i++) {
        const struct load_gap *gap = &results->gaps.items[i];
        if (!is_shown(report, gap))
            continue;
        fprintf(out, "gap           %.1f ms without %s, from %.3f s to %.3f s\n", milliseconds(gap),
                what_is_served(report), seconds_into(report, gap->begin_ns),
                seconds_into(report, gap->end_ns));
        if (is_drawn(&results->gaps, gap))
            print_timeline(report, gap, out);
    }
    if (report->follows)
        fprintf(out,
                "failover      %" PRIu64 " redirects followed, %" PRIu64 " refused, %" PRIu64
                " of unknown outcome\n",
                results->redirects, results->refused, results->unknown);
    if (report->options->history != NULL)
        fprintf(out, "history       %s%s%s\n", report->options->history,
                report->history_full != NULL ? ": the run was ended early, since " : "",
                report->history_full != NULL ? report->history_full : "");
    if (report->options->read_back)
        fprintf(out, "read back     %" PRIu64 " of %" PRIu64 " keys\n", results->read_back,
                report->read_back_keys);
}

static void print_gap_json(const struct load_report *report, const struct load_gap *gap,
                           FILE *out) {
    const struct load_timeline_rows rows = rows_of(report, gap);
    fprintf(out,
            "{\"ms\": %.3f, \"start_s\": %.6f, \"end_s\": %.6f, \"start_ns\": %" PRIu64
            ", \"end_ns\": %" PRIu64 ", \"timeline\": {\"start_s\": %.3f, \"step_ms\": %" PRIu32
            ", \"served\": [",
            milliseconds(gap), seconds_into(report, gap->begin_ns),
            seconds_into(report, gap->end_ns), gap->begin_ns, gap->end_ns,
            (double)rows.first * (double)rows.row_ms / 1000, rows.row_ms);
    for (uint32_t i = 0; i < rows.count; i++)
        fprintf(out, "%s%" PRIu32, i > 0 ? ", " : "", rows.served[i]);
    fputs("]}}", out);
}

void load_report_print_gaps_json(const struct load_report *report, FILE *out) {
    const struct load_results *results = report->results;
    fprintf(out, "\"gaps_without\": \"%s\", \"gaps\": [", what_is_served(report));
    for (uint32_t i = 0; i < results->gaps.count; i++) {
        fputs(i > 0 ? ", " : "", out);
        print_gap_json(report, &results->gaps.items[i], out);
    }
    fprintf(out,
            "], \"follows\": %s, \"redirects\": %" PRIu64 ", \"refused\": %" PRIu64
            ", \"unknown\": %" PRIu64 ", \"read_back\": %" PRIu64 ", \"history_complete\": %s, ",
            report->follows ? "true" : "false", results->redirects, results->refused,
            results->unknown, results->read_back,
            report->options->history != NULL && report->history_full == NULL ? "true" : "false");
}
