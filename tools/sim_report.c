/* The words and numbers of `weir sim`.  See tools/sim_report.h. */

#include "tools/sim_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"

static double seconds(uint64_t ns) {
    return (double)ns / 1e9;
}

void sim_totals_add(struct sim_totals *totals, const struct swarm_result *result) {
    const struct swarm_counts *counts = &result->counts;
    totals->done++;
    totals->failed += result->failed;
    totals->time_ns += result->time_ns;
    totals->counts.ok += counts->ok;
    totals->counts.refused += counts->refused;
    totals->counts.unknown += counts->unknown;
    totals->counts.elections += counts->elections;
    totals->counts.committed += counts->committed;
    totals->counts.starts += counts->starts;
    totals->counts.configurations += counts->configurations;
    totals->counts.logs_full += counts->logs_full;
    totals->counts.refused_for_room += counts->refused_for_room;
    totals->counts.reads_at_once += counts->reads_at_once;
    totals->counts.disks_lost += counts->disks_lost;
    totals->counts.replays_undecided += counts->replays_undecided;
    totals->counts.keys_given_up += counts->keys_given_up;
    totals->counts.keys_not_judged += counts->keys_not_judged;
    for (uint32_t i = 0; i < SWARM_FAULTS; i++) {
        totals->counts.faults[i] += counts->faults[i];
    }
}

/* A text between quotes; ours have no control bytes but those of quoted replies. */
static void print_quoted(const char *text) {
    (void)putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            (void)printf("\\%c", *text);
        } else if ((unsigned char)*text < ' ') {
            (void)printf("\\u%04x", (unsigned)(unsigned char)*text);
        } else {
            (void)putchar(*text);
        }
    }
    (void)putchar('"');
}

void sim_report_failure(const struct swarm_result *result, const char *command, bool json) {
    ASSERT(result->failed && command != NULL);
    if (json) {
        (void)printf("{\"seed\": %" PRIu64 ", \"failed\": true, \"step\": %" PRIu64
                     ", \"time_s\": %.6f, \"finding\": ",
                     result->seed, result->step, seconds(result->time_ns));
        print_quoted(result->finding);
        (void)printf(", \"again\": ");
        print_quoted(command);
        (void)printf("}\n");
        return;
    }
    (void)printf("seed %" PRIu64 " BROKE at step %" PRIu64 ", %.6f s: %s\n"
                 "  again: %s --trace\n",
                 result->seed, result->step, seconds(result->time_ns), result->finding, command);
}

static void print_faults(const struct swarm_counts *counts) {
    const char *between = "";
    for (enum swarm_fault fault = 0; fault < SWARM_FAULTS; fault++) {
        if (counts->faults[fault] > 0) {
            (void)printf("%s%s %" PRIu64, between, swarm_fault_name(fault), counts->faults[fault]);
            between = ", ";
        }
    }
    (void)printf("%s\n", between[0] == '\0' ? "none" : "");
}

static void print_counts(const struct swarm_counts *counts) {
    (void)printf("operations  %" PRIu64 " ok, %" PRIu64 " refused, %" PRIu64 " unknown\n",
                 counts->ok, counts->refused, counts->unknown);
    (void)printf("elections   %" PRIu64 "; %" PRIu64 " entries committed; %" PRIu64
                 " starts of a process\n",
                 counts->elections, counts->committed, counts->starts);
    (void)printf("members     %" PRIu64 " configurations; %" PRIu64 " disks lost\n",
                 counts->configurations, counts->disks_lost);
    (void)printf("reads       %" PRIu64 " batches answered at once by a leader that has a lease\n",
                 counts->reads_at_once);
    (void)printf("room        %" PRIu64 " logs had none in the end, of those of full disks or "
                 "without descriptors; %" PRIu64 " commands were refused for want of it\n",
                 counts->logs_full, counts->refused_for_room);
    (void)printf("undecided   %" PRIu64 " by replay; key by key %" PRIu64 " given up, %" PRIu64
                 " with what it does not model: there replay judged\n",
                 counts->replays_undecided, counts->keys_given_up, counts->keys_not_judged);
    (void)printf("faults      ");
    print_faults(counts);
}

static void print_counts_json(const struct swarm_counts *counts) {
    (void)printf("\"ok\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"unknown\": %" PRIu64
                 ", \"elections\": %" PRIu64 ", \"committed\": %" PRIu64 ", \"starts\": %" PRIu64
                 ", \"configurations\": %" PRIu64 ", \"disks_lost\": %" PRIu64
                 ", \"logs_full\": %" PRIu64 ", \"refused_for_room\": %" PRIu64
                 ", \"reads_at_once\": %" PRIu64 ", \"replays_undecided\": %" PRIu64
                 ", \"keys_given_up\": %" PRIu64 ", \"keys_not_judged\": %" PRIu64
                 ", \"faults\": {",
                 counts->ok, counts->refused, counts->unknown, counts->elections, counts->committed,
                 counts->starts, counts->configurations, counts->disks_lost, counts->logs_full,
                 counts->refused_for_room, counts->reads_at_once, counts->replays_undecided,
                 counts->keys_given_up, counts->keys_not_judged);
    for (enum swarm_fault fault = 0; fault < SWARM_FAULTS; fault++) {
        (void)printf("%s\"%s\": %" PRIu64, fault == 0 ? "" : ", ", swarm_fault_name(fault),
                     counts->faults[fault]);
    }
    (void)printf("}");
}

void sim_report_seed(const struct swarm_result *result, bool json) {
    ASSERT(!result->failed);
    if (json) {
        (void)printf("{\"seed\": %" PRIu64 ", \"failed\": false, \"step\": %" PRIu64
                     ", \"time_s\": %.6f, \"trace\": \"%016" PRIx64 "\", ",
                     result->seed, result->step, seconds(result->time_ns), result->trace_hash);
        print_counts_json(&result->counts);
        (void)printf("}\n");
        return;
    }
    (void)printf("seed %" PRIu64 ": nothing broke in %.3f s, %" PRIu64 " steps; trace %016" PRIx64
                 "\n",
                 result->seed, seconds(result->time_ns), result->step, result->trace_hash);
    print_counts(&result->counts);
}

void sim_report_totals(const struct sim_totals *totals, uint64_t first, uint64_t last, bool json) {
    double speed = totals->cpu_ns == 0 ? 0 : (double)totals->time_ns / (double)totals->cpu_ns;
    if (json) {
        (void)printf("{\"first\": %" PRIu64 ", \"last\": %" PRIu64 ", \"seeds\": %" PRIu64
                     ", \"broken\": %" PRIu64
                     ", \"time_s\": %.3f, \"wall_s\": %.3f, \"cpu_s\": %.3f, "
                     "\"times_real_time\": %.1f, ",
                     first, last, totals->done, totals->failed, seconds(totals->time_ns),
                     seconds(totals->wall_ns), seconds(totals->cpu_ns), speed);
        print_counts_json(&totals->counts);
        (void)printf("}\n");
        return;
    }
    (void)printf("seeds       %" PRIu64 " of %" PRIu64 "..%" PRIu64 ", %" PRIu64 " broke\n",
                 totals->done, first, last, totals->failed);
    (void)printf("time        %.1f s simulated in %.1f s: %.1f times real time on each core\n",
                 seconds(totals->time_ns), seconds(totals->wall_ns), speed);
    print_counts(&totals->counts);
}

void sim_report_progress(const struct sim_totals *totals) {
    (void)fprintf(stderr, "\r\x1b[K%" PRIu64 " of %" PRIu64 " seeds, %" PRIu64 " broke, %.0f s",
                  totals->done, totals->seeds, totals->failed, seconds(totals->time_ns));
    (void)fflush(stderr);
}

void sim_report_progress_clear(void) {
    (void)fprintf(stderr, "\r\x1b[K");
}
