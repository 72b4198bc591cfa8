/*
 * Both forms say the same. Without a knee they say why there is none, and what to do. Nothing can
 * fail but the output itself, which the caller checks.
 */
#include "bench/load_slo_report.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"

/* A client that is busier than that may be what is measured. */
#define CLIENT_BUSY_MAX 0.95

/* For one sentence. */
enum { SENTENCE_BYTES = 320 };

static double milliseconds(uint64_t time_ns) {
    return (double)time_ns / (double)CLOCK_NS_PER_MS;
}

static bool was_found(const struct load_slo *slo) {
    return slo->phase == LOAD_SLO_OVER && load_slo_knee(slo) > 0;
}

bool load_slo_report_succeeded(const struct load_slo_report *report) {
    ASSERT(report->half == NULL || was_found(report->slo));
    return was_found(report->slo) && report->failure == NULL;
}

/* The verdict of a try in words. */
static void say_why(const struct load_slo *slo, const struct load_slo_tried *tried, char *text,
                    size_t room_bytes) {
    const struct load_slo_measured *measured = &tried->measured;
    int length = 0;
    switch (tried->verdict) {
    case LOAD_SLO_HELD: length = snprintf(text, room_bytes, "held"); break;
    case LOAD_SLO_ERRORS:
        length = snprintf(text, room_bytes, "%" PRIu64 " errors, the first: %s", measured->errors,
                          measured->error);
        break;
    case LOAD_SLO_UNANSWERED:
        length =
            snprintf(text, room_bytes, "answered %.1f in 100",
                     100.0 * (double)measured->done_per_second / (double)tried->rate_per_second);
        break;
    case LOAD_SLO_LATE:
        length = snprintf(text, room_bytes, "%s above %g ms", slo->goal.percentile,
                          milliseconds(slo->goal.bound_ns));
        break;
    }
    ASSERT(length > 0 && (size_t)length < room_bytes);
    if (measured->client_busy > CLIENT_BUSY_MAX)
        (void)snprintf(text + length, room_bytes - (size_t)length,
                       "; the client is busy, try --threads");
}

/* The lowest of the judged percentiles: the best that the server did. */
static uint64_t best_judged_ns(const struct load_slo *slo) {
    ASSERT(slo->tried_count > 0);
    uint64_t best_ns = UINT64_MAX;
    for (uint32_t i = 0; i < slo->tried_count; i++) {
        if (slo->tried[i].measured.judged_ns < best_ns)
            best_ns = slo->tried[i].measured.judged_ns;
    }
    return best_ns;
}

/* Why there is no knee, and what to do. */
static void say_no_knee(const struct load_slo_report *report, char *text, size_t room_bytes) {
    static const char *const advice[] = {
        [LOAD_SLO_HELD] = "",
        [LOAD_SLO_ERRORS] = "requests fail: make them succeed without --slo first",
        [LOAD_SLO_UNANSWERED] =
            "too few are answered: give a longer --duration or more --connections",
        [LOAD_SLO_LATE] = "answers are late: give --slo a longer time",
    };
    const struct load_slo *slo = report->slo;
    if (report->failure != NULL || slo->phase != LOAD_SLO_OVER) {
        (void)snprintf(text, room_bytes, "the search was ended: %s",
                       report->failure != NULL ? report->failure : "interrupted");
        return;
    }
    ASSERT(load_slo_knee(slo) == 0 && slo->tried_count > 0);
    const struct load_slo_tried *last = &slo->tried[slo->tried_count - 1];
    (void)snprintf(text, room_bytes,
                   "%" PRIu64 " a second are not held with %s of at most %g ms (best %s: %.3f ms); "
                   "%s",
                   last->rate_per_second, slo->goal.percentile, milliseconds(slo->goal.bound_ns),
                   slo->goal.percentile, milliseconds(best_judged_ns(slo)), advice[last->verdict]);
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_table(const struct load_slo *slo, FILE *out) {
    const bool has_own_column =
        strcmp(slo->goal.percentile, "p50") != 0 && strcmp(slo->goal.percentile, "p99") != 0;
    fprintf(out, "%12s%12s%12s%12s", "rate/s", "done/s", "p50 ms", "p99 ms");
    if (has_own_column)
        fprintf(out, "%9s ms", slo->goal.percentile);
    fprintf(out, "\n");
    for (uint32_t i = 0; i < slo->tried_count; i++) {
        const struct load_slo_tried *tried = &slo->tried[i];
        char why[SENTENCE_BYTES];
        say_why(slo, tried, why, sizeof why);
        fprintf(out, "%12" PRIu64 "%12" PRIu64 "%12.3f%12.3f", tried->rate_per_second,
                tried->measured.done_per_second, milliseconds(tried->measured.p50_ns),
                milliseconds(tried->measured.p99_ns));
        if (has_own_column)
            fprintf(out, "%12.3f", milliseconds(tried->measured.judged_ns));
        fprintf(out, "  %s\n", why);
    }
}

void load_slo_report_print_text(const struct load_slo_report *report, FILE *out) {
    const struct load_slo *slo = report->slo;
    const uint64_t knee = load_slo_knee(slo);
    fprintf(out,
            "goal          %s of at most %g ms, %d in 100 answered, no error; %g s for each rate\n",
            slo->goal.percentile, milliseconds(slo->goal.bound_ns), LOAD_SLO_ANSWERED_PERCENT,
            (double)report->try_ns / (double)CLOCK_NS_PER_S);
    print_table(slo, out);
    if (!was_found(slo)) {
        char why[SENTENCE_BYTES];
        say_no_knee(report, why, sizeof why);
        fprintf(out, "knee          not found: %s\n", why);
        if (knee > 0)
            fprintf(out, "              held so far: %" PRIu64 " a second\n", knee);
        return;
    }
    fprintf(out, "knee          %" PRIu64 " a second%s\n", knee,
            load_slo_is_open_above(slo) ? ", the last rate that is tried: it may be higher" : "");
    if (report->failure != NULL)
        fprintf(out, "half of it    not measured: %s\n", report->failure);
    if (report->half == NULL)
        return;
    fprintf(out, "\nat half of the knee, for %.2f s%s:\n",
            (double)report->half->elapsed_ns / (double)CLOCK_NS_PER_S,
            report->interrupted ? " (interrupted)" : "");
    load_report_print_text(report->half, out);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void print_json_tried(const struct load_slo *slo, const struct load_slo_tried *tried,
                             FILE *out) {
    static const char *const verdicts[] = {[LOAD_SLO_HELD] = "held",
                                           [LOAD_SLO_ERRORS] = "errors",
                                           [LOAD_SLO_UNANSWERED] = "unanswered",
                                           [LOAD_SLO_LATE] = "late"};
    const struct load_slo_measured *measured = &tried->measured;
    char why[SENTENCE_BYTES];
    say_why(slo, tried, why, sizeof why);
    fprintf(out,
            "{\"rate_per_s\": %" PRIu64 ", \"done_per_s\": %" PRIu64 ", \"errors\": %" PRIu64
            ", \"p50_ms\": %.6f, \"p99_ms\": %.6f, \"judged_ms\": %.6f, \"client_busy\": %.4f, "
            "\"held\": %s, \"verdict\": \"%s\", \"why\": ",
            tried->rate_per_second, measured->done_per_second, measured->errors,
            milliseconds(measured->p50_ns), milliseconds(measured->p99_ns),
            milliseconds(measured->judged_ns), measured->client_busy,
            tried->verdict == LOAD_SLO_HELD ? "true" : "false", verdicts[tried->verdict]);
    load_report_print_json_text(out, why);
    fputc('}', out);
}

void load_slo_report_print_json(const struct load_slo_report *report, FILE *out) {
    const struct load_slo *slo = report->slo;
    fprintf(out,
            "{\"slo\": {\"percentile\": \"%s\", \"bound_ms\": %.6f}, \"answered_percent\": %d, "
            "\"try_s\": %.6f, \"tried\": [",
            slo->goal.percentile, milliseconds(slo->goal.bound_ns), LOAD_SLO_ANSWERED_PERCENT,
            (double)report->try_ns / (double)CLOCK_NS_PER_S);
    for (uint32_t i = 0; i < slo->tried_count; i++) {
        fputs(i > 0 ? ", " : "", out);
        print_json_tried(slo, &slo->tried[i], out);
    }
    fprintf(out, "], \"held_per_s\": %" PRIu64 ", \"knee_per_s\": ", load_slo_knee(slo));
    if (was_found(slo)) {
        fprintf(out, "%" PRIu64 ", \"open_above\": %s, ", load_slo_knee(slo),
                load_slo_is_open_above(slo) ? "true" : "false");
    } else {
        char why[SENTENCE_BYTES];
        say_no_knee(report, why, sizeof why);
        fputs("null, \"why\": ", out);
        load_report_print_json_text(out, why);
        fputs(", ", out);
    }
    if (report->failure != NULL) {
        fputs("\"failure\": ", out);
        load_report_print_json_text(out, report->failure);
        fputs(", ", out);
    }
    fputs("\"half\": ", out);
    if (report->half != NULL)
        load_report_print_json_object(report->half, out);
    else
        fputs("null", out);
    fprintf(out, ", \"interrupted\": %s, \"succeeded\": %s}\n",
            report->interrupted ? "true" : "false",
            load_slo_report_succeeded(report) ? "true" : "false");
}
