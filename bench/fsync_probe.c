/*
 * fsync_probe: how long does a small append take until it is on stable storage?
 *
 *     fsync_probe DIRECTORY [--writes N] [--size BYTES] [--json]
 *
 * A durable server is never faster than this, so bench/compare prints it beside its figures. Each
 * variant appends N blocks (default 200 of 8192 bytes) to a file of its own, one after the other,
 * each made durable before the next:
 *
 *     extending    the file grows: every sync also writes its new length
 *     fallocated   space allocated ahead, never written: every sync converts an extent
 *     zeroed       space allocated and written ahead: the sync writes data only
 *     direct       as zeroed, by O_DIRECT|O_DSYNC: one call, no page cache
 *     direct-new   as fallocated, by O_DIRECT|O_DSYNC
 *
 * A file system that cannot do a variant (no O_DIRECT on tmpfs) has it left out, with the reason.
 * Exit status 0; 1 when no variant could be measured; 2 on wrong usage. The files are removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "bench/histogram.h"

enum { BLOCK_ALIGNMENT_BYTES = 4096, WRITES_MAX = 1000000, SIZE_MAX_BYTES = 64 << 20 };

enum preparation { PREPARE_NOTHING, PREPARE_ALLOCATE, PREPARE_ZERO };

static const struct variant {
    const char *name;
    enum preparation preparation;
    bool direct; /* O_DIRECT|O_DSYNC instead of fdatasync */
} VARIANTS[] = {
    {"extending", PREPARE_NOTHING, false},  {"fallocated", PREPARE_ALLOCATE, false},
    {"zeroed", PREPARE_ZERO, false},        {"direct", PREPARE_ZERO, true},
    {"direct-new", PREPARE_ALLOCATE, true},
};

struct probe {
    const char *directory;
    uint64_t writes;
    uint64_t size_bytes;
    bool json;
    uint8_t *block; /* size_bytes, aligned for O_DIRECT */
};

static bool write_whole(int file, const uint8_t *bytes, size_t length_bytes, off_t offset) {
    while (length_bytes > 0) {
        ssize_t written = pwrite(file, bytes, length_bytes, offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        length_bytes -= (size_t)written;
        offset += written;
    }
    return true;
}

static bool prepare(const struct probe *probe, enum preparation preparation, int file) {
    off_t total = (off_t)(probe->writes * probe->size_bytes);
    if (preparation == PREPARE_NOTHING)
        return true;
    if (fallocate(file, 0, 0, total) != 0)
        return false;
    memset(probe->block, 0, probe->size_bytes);
    for (uint64_t i = 0; preparation == PREPARE_ZERO && i < probe->writes; i++) {
        if (!write_whole(file, probe->block, probe->size_bytes, (off_t)(i * probe->size_bytes)))
            return false;
    }
    return fsync(file) == 0;
}

/* Measures one variant; false with errno when the file system does not take part. */
static bool measure(const struct probe *probe, const struct variant *variant,
                    struct histogram *histogram) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/fsync_probe.%ld.%s", probe->directory, (long)getpid(),
             variant->name);
    int flags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | (variant->direct ? O_DIRECT | O_DSYNC : 0);
    histogram_reset(histogram);
    int file = open(path, flags, 0600);
    if (file < 0)
        return false;
    bool good = prepare(probe, variant->preparation, file);
    memset(probe->block, 'w', probe->size_bytes);
    for (uint64_t i = 0; good && i < probe->writes; i++) {
        uint64_t begin_ns = clock_monotonic_ns();
        good = write_whole(file, probe->block, probe->size_bytes, (off_t)(i * probe->size_bytes)) &&
               (variant->direct || fdatasync(file) == 0);
        histogram_record(histogram, clock_monotonic_ns() - begin_ns, 1);
    }
    int reason = errno;
    close(file);
    unlink(path);
    errno = reason;
    return good;
}

static void print_row(const struct probe *probe, const char *name,
                      const struct histogram *histogram, bool first) {
    double p50 = (double)histogram_quantile_ns(histogram, HISTOGRAM_P50) / 1000;
    double p99 = (double)histogram_quantile_ns(histogram, HISTOGRAM_P99) / 1000;
    double mean = (double)histogram_mean_ns(histogram) / 1000;
    double maximum = (double)histogram->maximum_ns / 1000;
    if (probe->json)
        printf(
            "%s\"%s\": {\"p50_us\": %.1f, \"p99_us\": %.1f, \"mean_us\": %.1f, \"max_us\": %.1f}",
            first ? "" : ", ", name, p50, p99, mean, maximum);
    else
        printf("%-12s p50 %8.1f us   p99 %8.1f us   mean %8.1f us   max %8.1f us\n", name, p50, p99,
               mean, maximum);
}

static int run(const struct probe *probe) {
    static struct histogram histogram;
    uint32_t measured = 0;
    if (probe->json)
        printf("{\"directory\": \"%s\", \"writes\": %llu, \"size_bytes\": %llu, \"variants\": {",
               probe->directory, (unsigned long long)probe->writes,
               (unsigned long long)probe->size_bytes);
    for (size_t i = 0; i < ARRAY_COUNT(VARIANTS); i++) {
        if (!measure(probe, &VARIANTS[i], &histogram)) {
            fprintf(stderr, "fsync_probe: %s left out in %s: %s\n", VARIANTS[i].name,
                    probe->directory, strerror(errno));
            continue;
        }
        print_row(probe, VARIANTS[i].name, &histogram, measured == 0);
        measured++;
    }
    if (probe->json)
        puts("}}");
    return measured > 0 ? 0 : 1;
}

static bool parse_number(const char *text, uint64_t maximum, uint64_t *out) {
    uint64_t number = 0;
    if (!text || decimal_parse_u64(text, strlen(text), &number) != 0 || number == 0 ||
        number > maximum)
        return false;
    *out = number;
    return true;
}

/*
 * False when the arguments are wrong. The directory goes into JSON as it is, so it must be plain.
 */
static bool parse(struct probe *probe, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        bool good = true;
        if (strcmp(argv[i], "--json") == 0)
            probe->json = true;
        else if (strcmp(argv[i], "--writes") == 0)
            good = parse_number(argv[++i], WRITES_MAX, &probe->writes);
        else if (strcmp(argv[i], "--size") == 0)
            good = parse_number(argv[++i], SIZE_MAX_BYTES, &probe->size_bytes);
        else if (argv[i][0] != '-' && !probe->directory && !strpbrk(argv[i], "\"\\"))
            probe->directory = argv[i];
        else
            good = false;
        if (!good)
            return false;
    }
    return probe->directory && probe->size_bytes % BLOCK_ALIGNMENT_BYTES == 0;
}

int main(int argc, char **argv) {
    struct probe probe = {.writes = 200, .size_bytes = 8192};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        puts("usage: fsync_probe DIRECTORY [--writes N] [--size BYTES, multiple of 4096] [--json]");
        return 0;
    }
    if (!parse(&probe, argc, argv)) {
        fputs(
            "usage: fsync_probe DIRECTORY [--writes N] [--size BYTES, multiple of 4096] [--json]\n",
            stderr);
        return 2;
    }
    probe.block = aligned_alloc(BLOCK_ALIGNMENT_BYTES, probe.size_bytes);
    if (!probe.block) {
        fprintf(stderr, "fsync_probe: no memory for a block of %llu bytes\n",
                (unsigned long long)probe.size_bytes);
        return 1;
    }
    int status = run(&probe);
    free(probe.block);
    return status;
}
