/*
 * Affinity and quota, read once at start, and the affinity set where the operator bounds it.
 *
 * What cannot be read does not limit: a host without cgroups has no quota, and a mask larger than
 * MAP_CPUS_MAX CPUs is cut there.  If even the affinity cannot be read, CPU 0 is assumed, which
 * is wrong only in being modest.
 */

#include "stages/map_cpus.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "base/error.h"
#include "stages/map.h"

enum {
    QUOTA_PATH_BYTES = 4096, /* the kernel's own limit of a path */
    QUOTA_LINE_BYTES = QUOTA_PATH_BYTES + 64,
};

/* The first line of a file without its newline; false if there is none. */
static bool quota_read_line(const char *path, char *line, size_t capacity) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool read = fgets(line, (int)capacity, file) != NULL;
    (void)fclose(file);
    if (read) {
        line[strcspn(line, "\n")] = '\0';
    }
    return read;
}

/* The number, or the two separated by a space (second not NULL), that the line is. */
static bool quota_numbers(const char *line, int64_t *first, int64_t *second) {
    size_t length = strcspn(line, " ");
    if (decimal_parse_i64(line, length, first) != WEIR_OK) {
        return false; /* "max": no limit */
    }
    if (second == NULL) {
        return line[length] == '\0';
    }
    const char *rest = line + length + (line[length] == ' ' ? 1 : 0);
    return decimal_parse_i64(rest, strlen(rest), second) == WEIR_OK;
}

/* The limit in this one directory, or 0. */
static double quota_of_directory(const char *directory, bool is_version_2) {
    char path[QUOTA_PATH_BYTES];
    char line[QUOTA_LINE_BYTES];
    int64_t quota_us = 0;
    int64_t period_us = 0;
    if (is_version_2) {
        int length = snprintf(path, sizeof(path), "%s/cpu.max", directory);
        if (length >= (int)sizeof(path) || !quota_read_line(path, line, sizeof(line)) ||
            !quota_numbers(line, &quota_us, &period_us)) {
            return 0;
        }
    } else {
        int length = snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", directory);
        if (length >= (int)sizeof(path) || !quota_read_line(path, line, sizeof(line)) ||
            !quota_numbers(line, &quota_us, NULL)) {
            return 0;
        }
        length = snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", directory);
        if (length >= (int)sizeof(path) || !quota_read_line(path, line, sizeof(line)) ||
            !quota_numbers(line, &period_us, NULL)) {
            return 0;
        }
    }
    return quota_us > 0 && period_us > 0 ? (double)quota_us / (double)period_us : 0;
}

/* The smaller of two limits of which 0 is none. */
static double quota_smaller(double a, double b) {
    if (a > 0 && b > 0) {
        return a < b ? a : b;
    }
    return a > 0 ? a : b;
}

/* The smallest limit from mount + group up to the mount itself. */
static double quota_of_hierarchy(const char *mount, const char *group, bool is_version_2) {
    char directory[QUOTA_PATH_BYTES];
    int length = snprintf(directory, sizeof(directory), "%s%s", mount, group);
    if (length >= (int)sizeof(directory)) {
        return 0;
    }
    double quota = 0;
    size_t mount_length = strlen(mount);
    for (;;) {
        quota = quota_smaller(quota, quota_of_directory(directory, is_version_2));
        char *slash = strrchr(directory, '/');
        if (strlen(directory) <= mount_length || slash == NULL) {
            return quota;
        }
        *slash = '\0';
        if (strlen(directory) < mount_length) {
            return quota;
        }
    }
}

/* Whether a v1 controller list ("cpu,cpuacct") has the controller cpu. */
static bool quota_lists_cpu(const char *controllers) {
    for (const char *at = controllers; *at != '\0';) {
        size_t length = strcspn(at, ",");
        if (length == 3 && memcmp(at, "cpu", 3) == 0) {
            return true;
        }
        at += length;
        at += *at == ',' ? 1 : 0;
    }
    return false;
}

/* The limit behind one line of /proc/self/cgroup, "id:controllers:/path". */
static double quota_of_line(const char *root, char *line) {
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL) {
        return 0;
    }
    *group++ = '\0';
    controllers++;
    /* The usual places of the hierarchies: all of them are tried, few exist. */
    static const char *const mounts_version_2[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    static const char *const mounts_version_1[] = {"/sys/fs/cgroup/cpu",
                                                   "/sys/fs/cgroup/cpu,cpuacct"};
    bool is_version_2 = *controllers == '\0';
    if (!is_version_2 && !quota_lists_cpu(controllers)) {
        return 0;
    }
    double quota = 0;
    for (size_t i = 0; i < 2; i++) {
        char mount[QUOTA_PATH_BYTES];
        int length = snprintf(mount, sizeof(mount), "%s%s", root,
                              is_version_2 ? mounts_version_2[i] : mounts_version_1[i]);
        if (length < (int)sizeof(mount)) {
            quota = quota_smaller(quota, quota_of_hierarchy(mount, group, is_version_2));
        }
    }
    return quota;
}

double map_quota_read(const char *root) {
    char path[QUOTA_PATH_BYTES];
    int length = snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    FILE *file = length < (int)sizeof(path) ? fopen(path, "re") : NULL;
    if (file == NULL) {
        return 0;
    }
    double quota = 0;
    char line[QUOTA_LINE_BYTES];
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        quota = quota_smaller(quota, quota_of_line(root, line));
    }
    (void)fclose(file);
    return quota;
}

void map_cpus_available(struct map_cpus *cpus) {
    *cpus = (struct map_cpus){0};
    cpu_set_t *mask = CPU_ALLOC(MAP_CPUS_MAX);
    size_t mask_bytes = CPU_ALLOC_SIZE(MAP_CPUS_MAX);
    if (mask != NULL && sched_getaffinity(0, mask_bytes, mask) == 0) {
        for (uint32_t cpu = 0; cpu < MAP_CPUS_MAX; cpu++) {
            if (CPU_ISSET_S(cpu, mask_bytes, mask)) {
                cpus->cpu[cpus->count++] = (uint16_t)cpu;
            }
        }
    }
    CPU_FREE(mask);
    if (cpus->count == 0) {
        cpus->count = 1;
    }
    cpus->quota = map_quota_read("");
    ASSERT(cpus->count <= MAP_CPUS_MAX && cpus->quota >= 0);
}

int map_cpus_confine(const struct map_cpus *cpus) {
    ASSERT(cpus->count > 0 && cpus->count <= MAP_CPUS_MAX);
    cpu_set_t *mask = CPU_ALLOC(MAP_CPUS_MAX);
    size_t mask_bytes = CPU_ALLOC_SIZE(MAP_CPUS_MAX);
    if (mask == NULL) {
        return WEIR_EIO;
    }
    CPU_ZERO_S(mask_bytes, mask);
    for (uint32_t i = 0; i < cpus->count; i++) {
        CPU_SET_S(cpus->cpu[i], mask_bytes, mask);
    }
    int status = sched_setaffinity(0, mask_bytes, mask) == 0 ? WEIR_OK : WEIR_EIO;
    CPU_FREE(mask);
    return status;
}
