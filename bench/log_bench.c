/*
 * log_bench: appends to the log as fast as it goes, through the real door.
 *
 *     log_bench [--data DIR] [--seconds S] [--window N] [--durability fsync|write|none]
 *               [--zero-ahead BYTES] [--recover yes]
 *
 * A closed loop as replicate has it: poll, take completions, append while fewer than `window`
 * entries wait to become durable, flush.  One row for each durability and number of commands an
 * entry (1, 16, 128; each with an argument of 100 bytes): entries and commands a second, bytes a
 * second, how large the writes became, and how long an entry took from its append until it was
 * durable.  Uses a directory of its own under DIR, which it removes.
 */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/decimal.h"
#include "bench/histogram.h"
#include "storage/log.h"

enum { WINDOW_MAX = 4096, ARGUMENT_BYTES = 100, EXIT_USAGE = 2 };

struct bench_options {
    const char *data;
    double seconds;
    uint32_t window;
    int durability; /* -1: all */
    uint64_t zero_ahead_bytes;
    bool recover; /* keep everything, and open it again */
};

struct bench {
    struct io *io;
    struct io_port *port;
    int32_t directory;
    struct log *log;
    uint32_t command_count;
    uint64_t appended_ns[WINDOW_MAX]; /* by index % WINDOW_MAX */
    uint64_t durable;                 /* entries whose latency was recorded */
    struct histogram latency;
};

static const char *const durability_names[] = {"fsync", "write", "none"};

static struct bench bench;

static _Noreturn void bench_fail(const char *what, const char *why) {
    (void)fprintf(stderr, "log_bench: %s: %s\n", what, why);
    exit(1);
}

/* Appends one entry; false if there is no room. */
static bool append_one(uint64_t now_ns) {
    static const uint8_t argument_bytes[ARGUMENT_BYTES] = "x";
    static const uint64_t key_hash = 1;
    const struct entry_argument argument = {argument_bytes, ARGUMENT_BYTES};
    const uint32_t record_bytes = entry_command_bytes(1, 1, ARGUMENT_BYTES, false);
    const uint32_t length_bytes = ENTRY_HEADER_BYTES + bench.command_count * record_bytes;
    uint8_t *entry = log_reserve(bench.log, length_bytes, false);
    if (entry == NULL)
        return false;
    uint8_t *record = entry + ENTRY_HEADER_BYTES;
    for (uint32_t i = 0; i < bench.command_count; i++)
        record += entry_command_write(record, 1, &argument, 1, &key_hash, 1);
    const struct entry_header header = {.length_bytes = length_bytes,
                                        .kind = ENTRY_COMMANDS,
                                        .command_count = (uint16_t)bench.command_count,
                                        .term = 1,
                                        .log_time_ms = 1};
    bench.appended_ns[log_append(bench.log, &header) % WINDOW_MAX] = now_ns;
    return true;
}

/* One round of the loop. */
static void turn(uint32_t window) {
    struct io_completion completions[16];
    io_poll(bench.io);
    const uint32_t count = io_take(bench.port, completions, 16);
    for (uint32_t i = 0; i < count; i++)
        (void)log_completion(bench.log, &completions[i]);
    const uint64_t now_ns = io_monotonic_ns(bench.io);
    const uint64_t durable = log_durable_index(bench.log);
    while (bench.durable < durable)
        histogram_record(&bench.latency, now_ns - bench.appended_ns[++bench.durable % WINDOW_MAX],
                         1);
    log_release(bench.log, durable);
    uint32_t appended = 0;
    while (log_last_index(bench.log) < durable + window && append_one(now_ns))
        appended++;
    log_flush(bench.log);
    log_maintain(bench.log, now_ns);
    if (log_state(bench.log) != LOG_READY)
        bench_fail("log", log_error_text(bench.log));
    if (appended == 0 && count == 0)
        io_park(bench.io, 1000000);
}

static void print_row(const struct bench_options *options, enum durability durability,
                      double seconds) {
    struct log_counters counters;
    log_counters(bench.log, &counters);
    const double entries = (double)counters.entries / seconds;
    (void)printf(
        "%-6s %5u %7u %10.0f %10.0f %8.1f %9llu %8.1f %8.1f %8.1f\n", durability_names[durability],
        bench.command_count, options->window, entries, entries * bench.command_count,
        (double)counters.entry_bytes / seconds / 1e6,
        (unsigned long long)(counters.writes == 0 ? 0 : counters.write_bytes / counters.writes),
        counters.writes == 0 ? 0.0
                             : (double)counters.write_ns_total / (double)counters.writes / 1e3,
        (double)histogram_quantile_ns(&bench.latency, HISTOGRAM_P50) / 1e3,
        (double)histogram_quantile_ns(&bench.latency, HISTOGRAM_P99) / 1e3);
}

static void directory_remove(const char *path) {
    DIR *directory = opendir(path);
    if (directory == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
    }
    (void)closedir(directory);
    (void)rmdir(path);
}

static void note_progress(void *context, uint64_t bytes_done, uint64_t bytes_total) {
    (void)bytes_total;
    *(uint64_t *)context = bytes_done;
}

/* Opens the log again and says how fast that was. */
static void recover(const struct identity *identity, const struct log_options *log_options) {
    const struct log_start start = {.tail = entry_tail_origin()};
    struct error_text error = {{0}};
    uint64_t bytes = 0;
    const uint64_t begun_ns = io_monotonic_ns(bench.io);
    if (log_open(&bench.log, bench.io, bench.port, bench.directory, identity, &start, log_options,
                 note_progress, NULL, &bytes, &error) != 0)
        bench_fail("recovery", error.text);
    const double seconds = (double)(io_monotonic_ns(bench.io) - begun_ns) / 1e9;
    (void)printf("  recovered %llu entries, %.0f MB of segments in %.3f s: %.2f GB/s\n",
                 (unsigned long long)log_last_index(bench.log), (double)bytes / 1e6, seconds,
                 (double)bytes / seconds / 1e9);
    log_stop(bench.log);
    while (!log_stopped(bench.log)) {
        const struct io_completion completion = io_wait(bench.port);
        (void)log_completion(bench.log, &completion);
    }
    log_close(bench.log);
}

static void run(const struct bench_options *options, enum durability durability,
                uint32_t command_count) {
    static const struct configuration members = {
        .member_count = 1, .members = {{.node_id = 1, .roles = CONFIGURATION_VOTER}}};
    const struct log_options log_options = {
        .segment_bytes = UINT64_C(64) << 20,
        .memory_bytes = UINT64_C(32) << 20,
        .entry_bytes_max = 1 << 20,
        .write_bytes_max = 1 << 20,
        .durability = durability,
        .zero_ahead_bytes = options->zero_ahead_bytes,
    };
    const struct log_start start = {.tail = entry_tail_origin()};
    struct identity identity;
    struct error_text error = {{0}};
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/log_bench.XXXXXX", options->data);
    if (mkdtemp(path) == NULL)
        bench_fail(options->data, "cannot create a directory there");
    if (io_directory_open(bench.io, path, false, &bench.directory, &error) != 0 ||
        identity_create(bench.io, bench.directory, "bench", 1, &members, &identity, &error) != 0 ||
        log_open(&bench.log, bench.io, bench.port, bench.directory, &identity, &start, &log_options,
                 NULL, NULL, NULL, &error) != 0)
        bench_fail(path, error.text);
    bench.command_count = command_count;
    bench.durable = log_last_index(bench.log);
    histogram_reset(&bench.latency);

    /* Idle first, so that the next segment is there, and filled if that was asked for. */
    const uint64_t idle_until_ns = io_monotonic_ns(bench.io) + UINT64_C(1000000000);
    while (io_monotonic_ns(bench.io) < idle_until_ns)
        turn(0);
    const uint64_t begun_ns = io_monotonic_ns(bench.io);
    const uint64_t end_ns = begun_ns + (uint64_t)(options->seconds * 1e9);
    uint64_t now_ns = begun_ns;
    for (uint32_t i = 0; now_ns < end_ns; i++) {
        turn(options->window);
        /* A snapshot would have been taken: what is old may go, or the disk fills up. */
        if (!options->recover && i % 1000 == 0 && log_durable_index(bench.log) > 10000)
            log_compact(bench.log, log_durable_index(bench.log) - 10000);
        now_ns = io_monotonic_ns(bench.io);
    }
    print_row(options, durability, (double)(now_ns - begun_ns) / 1e9);
    log_stop(bench.log);
    while (!log_stopped(bench.log)) {
        const struct io_completion completion = io_wait(bench.port);
        (void)log_completion(bench.log, &completion);
    }
    log_close(bench.log);
    if (options->recover)
        recover(&identity, &log_options);
    io_close(bench.io, bench.directory);
    directory_remove(path);
}

static int options_parse(int argc, char **argv, struct bench_options *options) {
    *options = (struct bench_options){.data = "/tmp", .seconds = 2, .window = 50, .durability = -1};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--data") == 0) {
            options->data = value;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            options->seconds = strtod(value, NULL);
        } else if (strcmp(argv[i], "--window") == 0) {
            uint64_t window;
            if (decimal_parse_u64(value, strlen(value), &window) != 0 || window >= WINDOW_MAX)
                return EXIT_USAGE;
            options->window = (uint32_t)window;
        } else if (strcmp(argv[i], "--zero-ahead") == 0) {
            if (decimal_parse_u64(value, strlen(value), &options->zero_ahead_bytes) != 0)
                return EXIT_USAGE;
        } else if (strcmp(argv[i], "--recover") == 0) {
            options->recover = strcmp(value, "yes") == 0;
        } else if (strcmp(argv[i], "--durability") == 0) {
            for (int mode = 0; mode < 3; mode++) {
                if (strcmp(value, durability_names[mode]) == 0)
                    options->durability = mode;
            }
            if (options->durability == -1)
                return EXIT_USAGE;
        } else {
            return EXIT_USAGE;
        }
    }
    const bool is_right = argc % 2 == 1 && options->seconds > 0 && options->window > 0;
    return is_right ? 0 : EXIT_USAGE;
}

int main(int argc, char **argv) {
    struct bench_options options;
    if (options_parse(argc, argv, &options) != 0) {
        (void)fprintf(stderr, "usage: log_bench [--data DIR] [--seconds S] [--window N (1..4095)] "
                              "[--durability fsync|write|none] [--zero-ahead BYTES] "
                              "[--recover yes]\n");
        return EXIT_USAGE;
    }
    const struct io_options io_options = {
        .submissions_max = 64, .completions_max = 128, .features_allowed = IO_FEATURES_ALL};
    struct error_text error = {{0}};
    if (io_create(&bench.io, &io_options, &error) != 0)
        bench_fail("io", error.text);
    if (io_port_create(bench.io, &bench.port, LOG_OPERATIONS_MAX) != 0)
        bench_fail("io", "no memory for a port");
    (void)printf("mode   cmds  window  entries/s commands/s     MB/s write_avg write_us  p50_us"
                 "   p99_us\n");
    static const uint32_t command_counts[] = {1, 16, 128};
    for (int mode = 0; mode < 3; mode++) {
        for (size_t i = 0; i < ARRAY_COUNT(command_counts); i++) {
            if (options.durability == -1 || options.durability == mode)
                run(&options, (enum durability)mode, command_counts[i]);
        }
    }
    io_port_destroy(bench.port);
    io_destroy(bench.io);
    return 0;
}
