/*
 * Both forms say the same. JSON numbers are whole or have fixed decimals; texts that came from
 * outside (options, the server's words) are escaped. Nothing can fail but the output itself, which
 * the caller checks with ferror.
 */
#include "bench/load_report.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"

uint64_t load_report_throughput_per_second(const struct load_report *report) {
    ASSERT(report->elapsed_ns > 0);
    double seconds = (double)report->elapsed_ns / (double)CLOCK_NS_PER_S;
    return (uint64_t)((double)report->results->replies_in_window / seconds + 0.5);
}

bool load_report_rate_held(const struct load_report *report) {
    const struct load_results *results = report->results;
    if (report->options->rate_per_second == 0)
        return true;
    uint64_t missed = results->unsent + results->unanswered + results->unknown;
    return results->scheduled > 0 && missed <= results->scheduled / 100;
}

bool load_report_succeeded(const struct load_report *report) {
    const struct load_results *results = report->results;
    return results->replies > 0 && results->errors.count == 0 && results->unanswered == 0 &&
           load_report_rate_held(report) && report->history_full == NULL &&
           results->read_back == (report->options->read_back ? report->read_back_keys : 0);
}

double load_report_client_busy(const struct load_report *report) {
    return (double)report->results->cpu_ns /
           ((double)report->elapsed_ns * (double)report->options->threads);
}

/* 1234567 as "1,234,567". */
static void print_grouped(FILE *out, uint64_t number) {
    if (number >= 1000) {
        print_grouped(out, number / 1000);
        fprintf(out, ",%03" PRIu64, number % 1000);
    } else {
        fprintf(out, "%" PRIu64, number);
    }
}

/* Three significant digits in the unit that suits. */
static void print_time(FILE *out, uint64_t time_ns) {
    if (time_ns < CLOCK_NS_PER_MS)
        fprintf(out, "%.1f us", (double)time_ns / (double)CLOCK_NS_PER_US);
    else if (time_ns < CLOCK_NS_PER_S)
        fprintf(out, "%.2f ms", (double)time_ns / (double)CLOCK_NS_PER_MS);
    else
        fprintf(out, "%.2f s", (double)time_ns / (double)CLOCK_NS_PER_S);
}

static const struct {
    const char *label;
    const char *json_key;
    uint32_t parts_per_million;
} QUANTILES[] = {
    {"p50", "p50", HISTOGRAM_P50},  {"p90", "p90", HISTOGRAM_P90},
    {"p99", "p99", HISTOGRAM_P99},  {"p99.9", "p99_9", HISTOGRAM_P999},
    {"max", "max", HISTOGRAM_P100},
};
enum { QUANTILE_COUNT = sizeof QUANTILES / sizeof *QUANTILES };

static void print_errors(const struct load_report *report, FILE *out) {
    const struct error_tally *errors = &report->results->errors;
    fprintf(out, "errors        ");
    print_grouped(out, errors->count);
    fputc('\n', out);
    for (uint32_t i = 0; i < errors->kinds_used; i++) {
        const struct error_kind *kind = &errors->kinds[i];
        fprintf(out, "              ");
        print_grouped(out, kind->count);
        fprintf(out, " %s%s%s\n", kind->name, kind->example[0] ? ", the first: " : "",
                kind->example);
    }
}

static void print_rate(const struct load_report *report, FILE *out) {
    const struct load_results *results = report->results;
    fprintf(out, "rate          %s: asked ",
            load_report_rate_held(report) ? "held" : "FAIL, missed");
    print_grouped(out, report->options->rate_per_second);
    fprintf(out, "/s, answered ");
    print_grouped(out, load_report_throughput_per_second(report));
    fprintf(out, "/s; of ");
    print_grouped(out, results->scheduled);
    fprintf(out, " scheduled ");
    print_grouped(out, results->unsent);
    fprintf(out, " never sent; sent at most ");
    print_time(out, results->send_lag_max_ns);
    fprintf(out, " late\n");
}

/* What the server's durability voids; NULL if nothing. */
static const char *durability_voids(const char *durability) {
    if (strncmp(durability, "write", 5) == 0)
        return "a power cut or a crash of the system loses some acknowledged writes";
    if (strncmp(durability, "none", 4) == 0)
        return "the end of the server loses acknowledged writes";
    return NULL;
}

void load_report_print_text(const struct load_report *report, FILE *out) {
    const struct load_options *options = report->options;
    const struct load_results *results = report->results;
    fprintf(out, "server        %s:%s, %s, durability %s\n", options->host, options->port,
            report->facts->version, report->facts->durability);
    const char *voided = durability_voids(report->facts->durability);
    if (voided != NULL)
        fprintf(out, "promise       %s\n", voided);
    fprintf(out,
            "load          %s loop, %u connections, depth %u, %u thread%s, %s%s, %u-byte values, ",
            options->rate_per_second > 0 ? "open" : "closed", options->connections, options->depth,
            options->threads, options->threads == 1 ? "" : "s", options->mix ? "mix " : "command ",
            options->mix ? options->mix : options->commands[0], options->value_bytes);
    print_grouped(out, options->keys);
    fprintf(out, " keys, RESP %u\n", options->resp);
    fprintf(out, "throughput    ");
    print_grouped(out, load_report_throughput_per_second(report));
    fprintf(out, " operations/s (");
    print_grouped(out, results->replies);
    fprintf(out, " in %.2f s)\n", (double)report->elapsed_ns / (double)CLOCK_NS_PER_S);
    fprintf(out, "latency       ");
    for (int i = 0; i < QUANTILE_COUNT; i++) {
        fprintf(out, "%s%s ", i > 0 ? "   " : "", QUANTILES[i].label);
        print_time(out, histogram_quantile_ns(&results->latency, QUANTILES[i].parts_per_million));
    }
    fprintf(out, "\nlongest gap   ");
    print_time(out, results->gap_max_ns);
    fprintf(out, " without a reply on any connection\n");
    load_report_print_gaps_text(report, out);
    if (options->rate_per_second > 0)
        print_rate(report, out);
    print_errors(report, out);
    if (results->unanswered > 0) {
        fprintf(out, "unanswered    ");
        print_grouped(out, results->unanswered);
        fprintf(out, " (in the latencies with the time waited)\n");
    }
    if (results->reconnects > 0)
        fprintf(out, "reconnects    %" PRIu64 "\n", results->reconnects);
    fprintf(out, "client        %.0f %% of %u core%s%s\n", 100 * load_report_client_busy(report),
            options->threads, options->threads == 1 ? "" : "s",
            load_report_client_busy(report) > 0.95 ? ": the client is the limit; try --threads"
                                                   : "");
}

void load_report_print_json_text(FILE *out, const char *text) {
    fputc('"', out);
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            fprintf(out, "\\%c", byte);
        else if (byte < 0x20)
            fprintf(out, "\\u%04x", byte);
        else
            fputc(byte, out);
    }
    fputc('"', out);
}

static void print_json_member(FILE *out, const char *key, const char *text) {
    fprintf(out, "\"%s\": ", key);
    load_report_print_json_text(out, text);
    fputs(", ", out);
}

static void print_json_options(const struct load_report *report, FILE *out) {
    static const char *const DISTRIBUTIONS[] = {
        [KEY_UNIFORM] = "uniform", [KEY_ZIPF] = "zipf", [KEY_SEQUENTIAL] = "sequential"};
    const struct load_options *options = report->options;
    print_json_member(out, "host", options->host);
    print_json_member(out, "port", options->port);
    print_json_member(out, "server_version", report->facts->version);
    print_json_member(out, "durability", report->facts->durability);
    print_json_member(out, "loop", options->rate_per_second > 0 ? "open" : "closed");
    fprintf(out, "\"commands\": [");
    if (options->mix)
        load_report_print_json_text(out, options->mix);
    for (uint32_t i = 0; i < options->command_count; i++) {
        fputs(i > 0 ? ", " : "", out);
        load_report_print_json_text(out, options->commands[i]);
    }
    fprintf(out,
            "], \"connections\": %u, \"depth\": %u, \"threads\": %u, \"value_bytes\": %u, "
            "\"keys\": %" PRIu64 ", \"distribution\": \"%s\", \"resp\": %u, \"seed\": %" PRIu64
            ", ",
            options->connections, options->depth, options->threads, options->value_bytes,
            options->keys, DISTRIBUTIONS[options->distribution], options->resp, options->seed);
}

static void print_json_latency(const struct histogram *latency, FILE *out) {
    uint64_t minimum_ns = latency->count > 0 ? latency->minimum_ns : 0;
    fprintf(out, "\"latency_us\": {\"min\": %.3f, \"mean\": %.3f", (double)minimum_ns / 1000,
            (double)histogram_mean_ns(latency) / 1000);
    for (int i = 0; i < QUANTILE_COUNT; i++) {
        uint64_t value_ns = histogram_quantile_ns(latency, QUANTILES[i].parts_per_million);
        fprintf(out, ", \"%s\": %.3f", QUANTILES[i].json_key, (double)value_ns / 1000);
    }
    fprintf(out, "}, ");
}

static void print_json_errors(const struct error_tally *errors, FILE *out) {
    fprintf(out, "\"errors\": %" PRIu64 ", \"errors_by_kind\": [", errors->count);
    for (uint32_t i = 0; i < errors->kinds_used; i++) {
        const struct error_kind *kind = &errors->kinds[i];
        fputs(i > 0 ? ", {" : "{", out);
        print_json_member(out, "kind", kind->name);
        print_json_member(out, "first", kind->example);
        fprintf(out, "\"count\": %" PRIu64 "}", kind->count);
    }
    fprintf(out, "], ");
}

void load_report_print_json_object(const struct load_report *report, FILE *out) {
    const struct load_options *options = report->options;
    const struct load_results *results = report->results;
    fputc('{', out);
    print_json_options(report, out);
    fprintf(out,
            "\"elapsed_s\": %.6f, \"operations\": %" PRIu64 ", \"throughput_per_s\": %" PRIu64 ", ",
            (double)report->elapsed_ns / (double)CLOCK_NS_PER_S, results->replies,
            load_report_throughput_per_second(report));
    print_json_latency(&results->latency, out);
    fprintf(out, "\"gap_max_ms\": %.3f, ", (double)results->gap_max_ns / (double)CLOCK_NS_PER_MS);
    load_report_print_gaps_json(report, out);
    print_json_errors(&results->errors, out);
    fprintf(out,
            "\"unanswered\": %" PRIu64 ", \"reconnects\": %" PRIu64 ", \"client_busy\": %.4f, ",
            results->unanswered, results->reconnects, load_report_client_busy(report));
    if (options->rate_per_second > 0)
        fprintf(out,
                "\"rate\": {\"asked_per_s\": %" PRIu64 ", \"scheduled\": %" PRIu64
                ", \"unsent\": %" PRIu64 ", \"send_lag_max_us\": %.3f, \"held\": %s}, ",
                options->rate_per_second, results->scheduled, results->unsent,
                (double)results->send_lag_max_ns / 1000,
                load_report_rate_held(report) ? "true" : "false");
    fprintf(out, "\"succeeded\": %s}", load_report_succeeded(report) ? "true" : "false");
}

void load_report_print_json(const struct load_report *report, FILE *out) {
    load_report_print_json_object(report, out);
    fputc('\n', out);
}
