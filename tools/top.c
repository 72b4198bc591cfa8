/*
 * weir top.  See tools/top.h.
 *
 * Happy path: find the gauge file, map it read-only, validate it, take one reading or two, print
 * the difference.
 *
 * Failure modes: no node runs, or several do and none was named: says which there are.  The file
 * is not a gauge file, or was cut: gauge_view_open says what is wrong with it.
 */

#include "tools/top.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "queues/gauge.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, TOP_SHARDS_MAX = 64, TOP_PATH_BYTES = 320 };

static const char gauge_directory[] = "/dev/shm";
static const char gauge_prefix[] = "weir-";

struct top_options {
    const char *path;  /* --gauges */
    const char *pid;   /* --pid */
    double interval_s; /* 0: since the node's start */
    bool json;
    bool once;
};

/* What is shown of one shard. */
struct top_row {
    struct gauge_shard_reading where;
    char input[GAUGE_NAME_BYTES]; /* the ring that feeds it */
    uint32_t cpu;
    uint64_t items;
    uint64_t drains;
    uint64_t depth;
    uint64_t high_water;
    uint64_t regime_ns[GAUGE_SHARD_REGIMES];
    uint64_t longest_poll_ns;
};

struct top_reading {
    uint32_t row_count;
    struct top_row rows[TOP_SHARDS_MAX];
    uint64_t wall_ns; /* of all cores together, since they started */
    uint64_t idle_ns;
    uint64_t parks;
    uint64_t switches;
    uint64_t cpu_ns;
    uint64_t polls_over_limit; /* since the start, as longest_poll_ns */
};

static void print_usage(FILE *stream) {
    (void)fprintf(
        stream, "usage: weir top --once [--pid PID | --gauges FILE] [--interval S] [--json]\n\n"
                "Shows where the time of a node on this host goes: one row a stage.\n\n"
                "  --once        print once and end (the live screen is not there yet)\n"
                "  --pid PID     of the node; not needed if only one runs\n"
                "  --gauges FILE the node's gauge file, also of a node that has crashed\n"
                "  --interval S  figures of the next S seconds; otherwise since the start\n"
                "  --json        the same as JSON\n"
                "  --help        this text\n\n"
                "Columns: items taken from the stage before; batch: mean taken at a time; depth:\n"
                "waiting now (most ever); busy, blocked: share of the core's time.\n");
}

/* ---- finding and reading the file ---------------------------------------------------------- */

static bool process_lives(const char *name) {
    const char *dash = strrchr(name, '-');
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%s", dash == NULL ? "" : dash + 1);
    return dash != NULL && access(path, F_OK) == 0;
}

/* Finds the one gauge file of a living node (of process `pid`, if given). */
static bool find_file(const char *pid, char path[TOP_PATH_BYTES]) {
    DIR *directory = opendir(gauge_directory);
    if (directory == NULL) {
        (void)fprintf(stderr, "weir top: cannot read %s: %s\n", gauge_directory, strerror(errno));
        return false;
    }
    uint32_t found = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        const char *dash = strrchr(entry->d_name, '-');
        if (strncmp(entry->d_name, gauge_prefix, sizeof(gauge_prefix) - 1) != 0 ||
            !process_lives(entry->d_name) || (pid != NULL && strcmp(dash + 1, pid) != 0)) {
            continue;
        }
        if (++found == 1) {
            (void)snprintf(path, TOP_PATH_BYTES, "%s/%s", gauge_directory, entry->d_name);
        } else {
            (void)fprintf(stderr, "weir top: several nodes run here; name one: --pid %s\n",
                          dash + 1);
        }
    }
    (void)closedir(directory);
    if (found == 0) {
        (void)fprintf(stderr, "weir top: no node runs here%s; start one with weir serve\n",
                      pid == NULL ? "" : " under that pid");
    }
    return found == 1;
}

static const void *map_file(const char *path, size_t *length_bytes) {
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0 || status.st_size <= 0) {
        (void)fprintf(stderr, "weir top: cannot read %s: %s\n", path, strerror(errno));
        if (file >= 0) {
            (void)close(file);
        }
        return NULL;
    }
    *length_bytes = (size_t)status.st_size;
    void *memory = mmap(NULL, *length_bytes, PROT_READ, MAP_SHARED, file, 0);
    (void)close(file);
    return memory == MAP_FAILED ? NULL : memory;
}

/* The first ring that feeds a shard, in the order of the wiring, is the one of the requests' path:
 * what comes back to it (memory, notes) stands behind. */
static void read_input(const struct gauge_view *view, uint32_t shard, struct top_row *row) {
    for (uint32_t i = 0; i < view->counts.rings; i++) {
        struct gauge_ring_reading ring;
        gauge_view_ring(view, i, &ring);
        if (ring.consumer_shard == shard) {
            (void)snprintf(row->input, sizeof(row->input), "%s", ring.name);
            row->items = gauge_read(&view->rings[i].consumer.dequeued);
            row->drains = gauge_read(&view->rings[i].consumer.drains);
            row->depth = ring.depth;
            row->high_water = ring.high_water;
            return;
        }
    }
}

static void take_reading(const struct gauge_view *view, struct top_reading *reading) {
    *reading = (struct top_reading){0};
    for (uint32_t i = 0; i < view->counts.shards && i < TOP_SHARDS_MAX; i++) {
        struct top_row *row = &reading->rows[reading->row_count++];
        gauge_view_shard(view, i, &row->where);
        row->cpu =
            row->where.core == GAUGE_NONE ? GAUGE_NONE : view->core_rows[row->where.core].cpu;
        for (uint32_t regime = 0; regime < GAUGE_SHARD_REGIMES; regime++) {
            row->regime_ns[regime] = gauge_read(&view->shards[i].regime_ns[regime]);
        }
        row->longest_poll_ns = gauge_read(&view->shards[i].longest_poll_ns);
        read_input(view, i, row);
    }
    for (uint32_t i = 0; i < view->counts.cores; i++) {
        const struct gauge_core *core = &view->cores[i];
        for (uint32_t regime = 0; regime < GAUGE_REGIME_COUNT; regime++) {
            reading->wall_ns += gauge_read(&core->regime_ns[regime]);
        }
        reading->idle_ns += gauge_read(&core->regime_ns[GAUGE_IDLE]);
        reading->parks += gauge_read(&core->parks);
        reading->switches +=
            gauge_read(&core->switches_chosen) + gauge_read(&core->switches_forced);
        reading->cpu_ns += gauge_read(&core->cpu_ns);
        reading->polls_over_limit += gauge_read(&core->polls_over_limit);
    }
}

/* Makes `now` the figures of the time since `before`. */
static void subtract(struct top_reading *now, const struct top_reading *before) {
    ASSERT(now->row_count == before->row_count);
    for (uint32_t i = 0; i < now->row_count; i++) {
        now->rows[i].items -= before->rows[i].items;
        now->rows[i].drains -= before->rows[i].drains;
        for (uint32_t regime = 0; regime < GAUGE_SHARD_REGIMES; regime++) {
            now->rows[i].regime_ns[regime] -= before->rows[i].regime_ns[regime];
        }
    }
    now->wall_ns -= before->wall_ns;
    now->idle_ns -= before->idle_ns;
    now->parks -= before->parks;
    now->switches -= before->switches;
    now->cpu_ns -= before->cpu_ns;
}

/* ---- printing ------------------------------------------------------------------------------ */

static double share(uint64_t part_ns, uint64_t whole_ns) {
    return whole_ns == 0 ? 0.0 : 100.0 * (double)part_ns / (double)whole_ns;
}

static double mean_batch(const struct top_row *row) {
    return row->drains == 0 ? 0.0 : (double)row->items / (double)row->drains;
}

static void print_table(const struct gauge_view *view, const struct top_reading *reading) {
    uint64_t core_wall_ns = reading->wall_ns / (view->counts.cores == 0 ? 1 : view->counts.cores);
    (void)printf("stage       core  cpu        items   batch   depth  (most)    busy  blocked\n");
    for (uint32_t i = 0; i < reading->row_count; i++) {
        const struct top_row *row = &reading->rows[i];
        (void)printf("%-10s %5u %4u %12lu %7.1f %7lu %8lu %6.1f%% %7.1f%%\n", row->where.stage_name,
                     row->where.core, row->cpu, row->items, mean_batch(row), row->depth,
                     row->high_water, share(row->regime_ns[GAUGE_WORKING], core_wall_ns),
                     share(row->regime_ns[GAUGE_BLOCKED], core_wall_ns));
    }
    (void)printf("%u core%s, %.1f%% idle; %lu parks, %lu context switches\n", view->counts.cores,
                 view->counts.cores == 1 ? "" : "s", share(reading->idle_ns, reading->wall_ns),
                 reading->parks, reading->switches);
}

static void print_json(const struct gauge_view *view, const struct top_reading *reading) {
    (void)printf("{\"cores\":%u,\"wall_ns\":%lu,\"idle_ns\":%lu,\"parks\":%lu,"
                 "\"context_switches\":%lu,\"cpu_ns\":%lu,\"polls_over_limit\":%lu,"
                 "\"stages\":[",
                 view->counts.cores, reading->wall_ns, reading->idle_ns, reading->parks,
                 reading->switches, reading->cpu_ns, reading->polls_over_limit);
    for (uint32_t i = 0; i < reading->row_count; i++) {
        const struct top_row *row = &reading->rows[i];
        (void)printf("%s{\"stage\":\"%s\",\"shard\":%u,\"core\":%u,\"cpu\":%u,\"items\":%lu,"
                     "\"drains\":%lu,\"depth\":%lu,\"high_water\":%lu,\"working_ns\":%lu,"
                     "\"blocked_ns\":%lu,\"housekeeping_ns\":%lu,\"longest_poll_ns\":%lu}",
                     i == 0 ? "" : ",", row->where.stage_name, row->where.number, row->where.core,
                     row->cpu, row->items, row->drains, row->depth, row->high_water,
                     row->regime_ns[GAUGE_WORKING], row->regime_ns[GAUGE_BLOCKED],
                     row->regime_ns[GAUGE_HOUSEKEEPING], row->longest_poll_ns);
    }
    (void)printf("]}\n");
}

/* ---- the command --------------------------------------------------------------------------- */

static int parse_options(int argc, char **argv, struct top_options *options) {
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_usage(stdout);
            return -1;
        }
        if (strcmp(argv[i], "--once") == 0) {
            options->once = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            options->json = true;
        } else if (value != NULL && strcmp(argv[i], "--pid") == 0) {
            options->pid = argv[++i];
        } else if (value != NULL && strcmp(argv[i], "--gauges") == 0) {
            options->path = argv[++i];
        } else if (value != NULL && strcmp(argv[i], "--interval") == 0) {
            char *end;
            options->interval_s = strtod(argv[++i], &end);
            if (*end != '\0' || !(options->interval_s > 0 && options->interval_s <= 3600)) {
                (void)fprintf(stderr, "weir top: --interval takes seconds, 0 to 3600, not \"%s\"\n",
                              argv[i]);
                return EXIT_USAGE;
            }
        } else {
            (void)fprintf(stderr,
                          "weir top: do not know \"%s\", or it lacks its value; see weir "
                          "top --help\n",
                          argv[i]);
            return EXIT_USAGE;
        }
    }
    if (!options->once) {
        (void)fprintf(stderr, "weir top: the live screen is not there yet; use --once\n");
        return EXIT_USAGE;
    }
    return 0;
}

static void wait_interval(double seconds) {
    struct timespec interval = {.tv_sec = (time_t)seconds};
    interval.tv_nsec = (long)((seconds - (double)interval.tv_sec) * 1e9);
    while (nanosleep(&interval, &interval) != 0 && errno == EINTR) {
    }
}

int top_main(int argc, char **argv) {
    struct top_options options = {0};
    int status = parse_options(argc, argv, &options);
    if (status != 0) {
        return status < 0 ? 0 : status;
    }
    char path[TOP_PATH_BYTES];
    if (options.path == NULL) {
        if (!find_file(options.pid, path)) {
            return EXIT_FAILED;
        }
        options.path = path;
    }
    size_t length_bytes;
    const void *memory = map_file(options.path, &length_bytes);
    if (memory == NULL) {
        return EXIT_FAILED;
    }
    struct gauge_view view;
    struct error_text error = {{0}};
    if (gauge_view_open(&view, memory, length_bytes, &error) != WEIR_OK) {
        (void)fprintf(stderr, "weir top: %s: %s\n", options.path, error.text);
        return EXIT_FAILED;
    }
    static struct top_reading before;
    static struct top_reading now;
    take_reading(&view, options.interval_s > 0 ? &before : &now);
    if (options.interval_s > 0) {
        wait_interval(options.interval_s);
        take_reading(&view, &now);
        subtract(&now, &before);
    }
    if (options.json) {
        print_json(&view, &now);
    } else {
        print_table(&view, &now);
    }
    return 0;
}
