/*
 * The keys, one row each, and the functions that take and show their values.
 */

#include "tools/config_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"
#include "io/io.h"
#include "machines/machine.h"
#include "stages/slowlog.h"
#include "wire/resp_parse.h"

enum {
    CONFIG_PORT_DEFAULT = 7379,
    CONFIG_CLIENTS_DEFAULT = 10000,
    CONFIG_CLIENTS_MAX = 65000, /* connection slots: some 600 bytes each in every table */
    CONFIG_BULK_MIN = 1024 * 1024,
    CONFIG_SLOW_US_DEFAULT = 10000, /* Redis's, and so are 128 entries */
    CONFIG_SLOW_ENTRIES_DEFAULT = 128,
    CONFIG_TYPO_MAX = 3, /* more edits than this make another word */
};

/* A hundred years: beyond that it is no limit. */
#define CONFIG_JUMP_S_MAX            (UINT64_C(100) * 366 * 24 * 3600)
/* 1 GiB of log between two snapshots: some seconds of replay. */
#define CONFIG_SNAPSHOT_LOG_DEFAULT  (UINT64_C(1) << 30)
/* 128 MiB a second: measured, docs/benchmarks.md, "Snapshots". */
#define CONFIG_SNAPSHOT_RATE_DEFAULT (UINT64_C(128) << 20)

/* ---- sorts of values ----------------------------------------------------------------------- */

bool config_take_text(char *out, size_t capacity, const char *value) {
    size_t length = strlen(value);
    if (length >= capacity) {
        return false;
    }
    memset(out, 0, capacity);
    memcpy(out, value, length);
    return true;
}

/* Digits and Redis's units: k kb m mb g gb, in any case; k is 1000 bytes, kb is 1024. */
bool config_take_bytes(uint64_t *out, const char *value) {
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        {"", 1},        {"b", 1},        {"k", 1000},       {"kb", 1024},
        {"m", 1000000}, {"mb", 1048576}, {"g", 1000000000}, {"gb", 1073741824},
    };
    size_t digits = strspn(value, "0123456789");
    uint64_t number = 0;
    if (decimal_parse_u64(value, digits, &number) != 0) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (strcasecmp(value + digits, units[i].name) == 0) {
            uint64_t bytes = 0;
            if (__builtin_mul_overflow(number, units[i].bytes, &bytes)) {
                return false;
            }
            *out = bytes;
            return true;
        }
    }
    return false;
}

bool config_take_number(uint64_t *out, const char *value, uint64_t min, uint64_t max) {
    uint64_t number = 0;
    if (decimal_parse_u64(value, strlen(value), &number) != 0 || number < min || number > max) {
        return false;
    }
    *out = number;
    return true;
}

void config_show_number(uint64_t number, char *out, size_t capacity) {
    (void)snprintf(out, capacity, "%llu", (unsigned long long)number);
}

/* ---- keys ---------------------------------------------------------------------------------- */

/* Whether a resolver would at least be asked for it: an address, with or without a zone, or a name,
 * which does not look like one. */
static bool host_is_possible(const char *host) {
    struct in_addr v4;
    struct in6_addr v6;
    if (strchr(host, ':') != NULL) {
        char address[CONFIG_HOST_BYTES_MAX + 1];
        (void)snprintf(address, sizeof(address), "%.*s", (int)strcspn(host, "%"), host);
        return inet_pton(AF_INET6, address, &v6) == 1;
    }
    bool numeric = host[strspn(host, "0123456789.")] == '\0';
    return !numeric || inet_pton(AF_INET, host, &v4) == 1;
}

/* One host, without brackets, into `out` of CONFIG_HOST_BYTES_MAX + 1; false if it is none. */
bool config_take_host(char *out, const char *value) {
    size_t length = strlen(value);
    bool bracketed = length >= 2 && value[0] == '[' && value[length - 1] == ']';
    if (length == 0 || strpbrk(value, " \t,") != NULL || length > CONFIG_HOST_BYTES_MAX) {
        return false;
    }
    char host[CONFIG_HOST_BYTES_MAX + 1];
    (void)snprintf(host, sizeof(host), "%.*s", (int)(bracketed ? length - 2 : length),
                   bracketed ? value + 1 : value);
    return host_is_possible(host) && config_take_text(out, sizeof(host), host);
}

static const char *take_bind(struct config *config, const char *value) {
    return config_take_host(config->host, value)
               ? TAKEN
               : "one address, such as 127.0.0.1, 0.0.0.0 or ::1, or a name";
}

static void show_bind(const struct config *config, char *out, size_t capacity) {
    (void)snprintf(out, capacity, "%s", config->host);
}

static const char *take_port(struct config *config, const char *value) {
    uint64_t port = 0;
    if (!config_take_number(&port, value, 0, UINT16_MAX)) {
        return "a port, 0 to 65535 (0: any that is free)";
    }
    config->port = (uint16_t)port;
    return TAKEN;
}

static void show_port(const struct config *config, char *out, size_t capacity) {
    config_show_number(config->port, out, capacity);
}

/* Cuts "HOST:PORT" in two: the host, with its brackets, and the port's digits, or NULL. */
const char *config_cut_port(char host[CONFIG_HOST_BYTES_MAX + 1], const char *value) {
    const char *colon = strrchr(value, ':');
    if (colon == NULL || colon == value || (size_t)(colon - value) > CONFIG_HOST_BYTES_MAX) {
        return NULL;
    }
    (void)snprintf(host, CONFIG_HOST_BYTES_MAX + 1, "%.*s", (int)(colon - value), value);
    /* Without brackets, a second colon leaves open where the address ends. */
    bool ambiguous = host[0] != '[' && strchr(host, ':') != NULL;
    return ambiguous ? NULL : colon + 1;
}

static const char *take_listen(struct config *config, const char *value) {
    char host[CONFIG_HOST_BYTES_MAX + 1];
    const char *port = config_cut_port(host, value);
    struct config changed = *config;
    if (port == NULL || take_port(&changed, port) != TAKEN) {
        return "HOST:PORT, such as 127.0.0.1:7379 or [::1]:7379";
    }
    if (take_bind(&changed, host) != TAKEN) {
        return "an address or a name before the port, such as 127.0.0.1:7379 or [::1]:7379";
    }
    *config = changed;
    return TAKEN;
}

static void show_listen(const struct config *config, char *out, size_t capacity) {
    char address[CONFIG_HOST_BYTES_MAX + 16];
    config_address(config, address);
    (void)snprintf(out, capacity, "%s", address);
}

static const char *take_dir(struct config *config, const char *value) {
    return value[0] != '\0' &&
                   config_take_text(config->data_directory, sizeof(config->data_directory), value)
               ? TAKEN
               : "a path of 1 to 4095 bytes";
}

static void show_dir(const struct config *config, char *out, size_t capacity) {
    (void)snprintf(out, capacity, "%s", config->data_directory);
}

static const char *take_map(struct config *config, const char *value) {
    /* Its syntax is judged by map_parse, which knows this machine's CPUs. */
    return value[0] != '\0' && config_take_text(config->map, sizeof(config->map), value)
               ? TAKEN
               : "fused, pair, split, or threads such as 0:read+parse,1:validate+replicate+apply,"
                 "0:serialize+write";
}

static void show_map(const struct config *config, char *out, size_t capacity) {
    (void)snprintf(out, capacity, "%s", config->map);
}

static const char *take_machine(struct config *config, const char *value) {
    return machine_find(value) != NULL &&
                   config_take_text(config->machine, sizeof(config->machine), value)
               ? TAKEN
               : "a built-in machine: kv or log (machines from a file are not in this version)";
}

static void show_machine(const struct config *config, char *out, size_t capacity) {
    (void)snprintf(out, capacity, "%s", config->machine);
}

static const char *const durability_names[] = {
    [DURABILITY_FSYNC] = "fsync", [DURABILITY_WRITE] = "write", [DURABILITY_NONE] = "none"};

static const char *take_durability(struct config *config, const char *value) {
    for (size_t i = 0; i < ARRAY_COUNT(durability_names); i++) {
        if (strcmp(durability_names[i], value) == 0) {
            config->durability = (enum durability)i;
            return TAKEN;
        }
    }
    return "fsync, write or none";
}

static void show_durability(const struct config *config, char *out, size_t capacity) {
    (void)snprintf(out, capacity, "%s", durability_names[config->durability]);
}

static const char *take_requirepass(struct config *config, const char *value) {
    return config_take_text(config->password, sizeof(config->password), value)
               ? TAKEN
               : "a password of at most 512 bytes";
}

static const char *take_maxclients(struct config *config, const char *value) {
    uint64_t count = 0;
    if (!config_take_number(&count, value, 1, CONFIG_CLIENTS_MAX)) {
        return "a number, 1 to 65000";
    }
    config->connections_max = (uint32_t)count;
    config->connections_max_given = true;
    return TAKEN;
}

static void show_maxclients(const struct config *config, char *out, size_t capacity) {
    config_show_number(config->connections_max, out, capacity);
}

static const char *take_cores(struct config *config, const char *value) {
    uint64_t count = 0;
    if (!config_take_number(&count, value, 0, MAP_CPUS_MAX)) {
        return "a number of processors, 0 (all that the process may use) to 1024";
    }
    config->cores_max = (uint32_t)count;
    return TAKEN;
}

static void show_cores(const struct config *config, char *out, size_t capacity) {
    config_show_number(config->cores_max, out, capacity);
}

static const char *take_maxmemory(struct config *config, const char *value) {
    return config_take_bytes(&config->memory_bytes_max, value)
               ? TAKEN
               : "a number of bytes, such as 0 (no limit), 100mb or 4gb";
}

static void show_maxmemory(const struct config *config, char *out, size_t capacity) {
    config_show_number(config->memory_bytes_max, out, capacity);
}

static const char *take_bulk(struct config *config, const char *value) {
    uint64_t bytes = 0;
    if (!config_take_bytes(&bytes, value) || bytes < CONFIG_BULK_MIN ||
        bytes > RESP_BULK_LENGTH_CEILING) {
        return "a number of bytes, 1mb to 512mb";
    }
    config->bulk_bytes_max = (uint32_t)bytes;
    return TAKEN;
}

static void show_bulk(const struct config *config, char *out, size_t capacity) {
    config_show_number(config->bulk_bytes_max, out, capacity);
}

static const char *take_snapshot(struct config *config, const char *value) {
    return config_take_bytes(&config->snapshot_log_bytes, value)
               ? TAKEN
               : "a number of bytes, such as 0 (never) or 1gb";
}

static void show_snapshot(const struct config *config, char *out, size_t capacity) {
    config_show_number(config->snapshot_log_bytes, out, capacity);
}

static const char *take_rate(struct config *config, const char *value) {
    return config_take_bytes(&config->snapshot_rate_bytes_s, value)
               ? TAKEN
               : "a number of bytes a second, such as 0 (no limit) or 64mb";
}

static void show_rate(const struct config *config, char *out, size_t capacity) {
    config_show_number(config->snapshot_rate_bytes_s, out, capacity);
}

static const char *take_reads(struct config *config, const char *value) {
    for (uint32_t i = 0; i < READ_MODES; i++) {
        if (strcmp(read_mode_name(i), value) == 0) {
            config->reads = (uint8_t)i;
            return TAKEN;
        }
    }
    return "quorum, lease or stale";
}

static void show_reads(const struct config *config, char *out, size_t capacity) {
    (void)snprintf(out, capacity, "%s", read_mode_name(config->reads));
}

static const char *const leases_names[] = {
    [NODE_LEASES_KEEP] = "keep", [NODE_LEASES_ON] = "on", [NODE_LEASES_OFF] = "off"};

static const char *take_leases(struct config *config, const char *value) {
    for (size_t i = 0; i < ARRAY_COUNT(leases_names); i++) {
        if (strcmp(leases_names[i], value) == 0) {
            config->leases = (enum node_leases)i;
            return TAKEN;
        }
    }
    return "keep, on or off";
}

static void show_leases(const struct config *config, char *out, size_t capacity) {
    (void)snprintf(out, capacity, "%s", leases_names[config->leases]);
}

/* As Redis has it: -1 for nothing. */
static const char *take_slow(struct config *config, const char *value) {
    uint64_t slow_us = 0;
    if (strcmp(value, "-1") == 0) {
        config->slow_from = 0;
        return TAKEN;
    }
    if (!config_take_number(&slow_us, value, 0, INT64_MAX)) {
        return "a number of microseconds, such as 10000, 0 (all commands) or -1 (none)";
    }
    config->slow_from = slow_us + 1;
    return TAKEN;
}

static void show_slow(const struct config *config, char *out, size_t capacity) {
    (void)snprintf(out, capacity, "%lld", (long long)(config->slow_from - 1));
}

static const char *take_slow_entries(struct config *config, const char *value) {
    return config_take_number(&config->slow_entries, value, 0, SLOWLOG_ENTRIES_MAX)
               ? TAKEN
               : "a number of commands, 0 to 1024";
}

static void show_slow_entries(const struct config *config, char *out, size_t capacity) {
    config_show_number(config->slow_entries, out, capacity);
}

static const char *take_jump(struct config *config, const char *value) {
    return config_take_number(&config->log_time_jump_s_max, value, 0, CONFIG_JUMP_S_MAX)
               ? TAKEN
               : "a number of seconds, such as 0 (no limit) or 3600";
}

static void show_jump(const struct config *config, char *out, size_t capacity) {
    config_show_number(config->log_time_jump_s_max, out, capacity);
}

static const struct {
    const char *name;
    enum log_level level;
} log_levels[] = {{"debug", LOG_DEBUG}, {"notice", LOG_INFO}, {"warning", LOG_WARN}};

static const char *take_loglevel(struct config *config, const char *value) {
    for (size_t i = 0; i < ARRAY_COUNT(log_levels); i++) {
        if (strcmp(log_levels[i].name, value) == 0) {
            config->log_level = log_levels[i].level;
            return TAKEN;
        }
    }
    return "debug, notice or warning";
}

static void show_loglevel(const struct config *config, char *out, size_t capacity) {
    for (size_t i = 0; i < ARRAY_COUNT(log_levels); i++) {
        if (log_levels[i].level == config->log_level) {
            (void)snprintf(out, capacity, "%s", log_levels[i].name);
        }
    }
}

/* What is newer than the oldest kernel that weir runs on can be switched off, to see whether it is
 * the cause of something. */
static const struct {
    const char *name;
    uint32_t features;
} feature_sets[] = {{"all", IO_FEATURES_ALL}, {"floor", 0}};

static const char *take_io_features(struct config *config, const char *value) {
    for (size_t i = 0; i < ARRAY_COUNT(feature_sets); i++) {
        if (strcmp(feature_sets[i].name, value) == 0) {
            config->io_features = feature_sets[i].features;
            return TAKEN;
        }
    }
    return "all (what the kernel has) or floor (what Linux 6.1 has)";
}

static void show_io_features(const struct config *config, char *out, size_t capacity) {
    (void)snprintf(out, capacity, "%s", config->io_features == 0 ? "floor" : "all");
}

static const struct config_row rows[] = {
    {"bind", take_bind, show_bind},
    {"cores", take_cores, show_cores},
    {"dir", take_dir, show_dir},
    {"durability", take_durability, show_durability},
    {"io-features", take_io_features, show_io_features},
    {"leases", take_leases, show_leases},
    {"listen", take_listen, show_listen},
    {"log-time-jump-max", take_jump, show_jump},
    {"loglevel", take_loglevel, show_loglevel},
    {"machine", take_machine, show_machine},
    {"map", take_map, show_map},
    {"maxclients", take_maxclients, show_maxclients},
    {"maxmemory", take_maxmemory, show_maxmemory},
    {"port", take_port, show_port},
    {"proto-max-bulk-len", take_bulk, show_bulk},
    {"reads", take_reads, show_reads},
    {"requirepass", take_requirepass, NULL},
    {"slowlog-log-slower-than", take_slow, show_slow},
    {"slowlog-max-len", take_slow_entries, show_slow_entries},
    {"snapshot-log-bytes", take_snapshot, show_snapshot},
    {"snapshot-rate", take_rate, show_rate},
};

/* ---- setting ------------------------------------------------------------------------------- */

void config_default(struct config *config) {
    *config = (struct config){.data_directory = "./weir-data",
                              .host = "127.0.0.1",
                              .port = CONFIG_PORT_DEFAULT,
                              .machine = "kv",
                              .durability = DURABILITY_FSYNC,
                              .io_features = IO_FEATURES_ALL,
                              .connections_max = CONFIG_CLIENTS_DEFAULT,
                              .election_timeout_ms = NODE_ELECTION_TIMEOUT_MS_DEFAULT,
                              .append_messages_max = NODE_APPEND_MESSAGES_DEFAULT,
                              .bulk_bytes_max = RESP_BULK_LENGTH_DEFAULT,
                              .snapshot_log_bytes = CONFIG_SNAPSHOT_LOG_DEFAULT,
                              .snapshot_rate_bytes_s = CONFIG_SNAPSHOT_RATE_DEFAULT,
                              .slow_from = CONFIG_SLOW_US_DEFAULT + 1,
                              .slow_entries = CONFIG_SLOW_ENTRIES_DEFAULT,
                              .log_level = LOG_INFO};
}

static const struct config_row *config_row_at(uint32_t index) {
    return index < ARRAY_COUNT(rows) ? &rows[index]
                                     : &config_cluster_rows[index - ARRAY_COUNT(rows)];
}

static const struct config_row *config_row_find(const char *key) {
    for (uint32_t i = 0; i < config_key_count(); i++) {
        if (strcasecmp(config_row_at(i)->key, key) == 0) {
            return config_row_at(i);
        }
    }
    return NULL;
}

/* Edits (insert, delete, replace) that turn one short word into another. */
static uint32_t config_edits(const char *a, const char *b) {
    enum { WORD_MAX = 32 };
    size_t length_a = strlen(a);
    size_t length_b = strlen(b);
    uint32_t row[WORD_MAX + 1];
    if (length_a > WORD_MAX || length_b > WORD_MAX) {
        return UINT32_MAX;
    }
    for (size_t j = 0; j <= length_b; j++) {
        row[j] = (uint32_t)j;
    }
    for (size_t i = 1; i <= length_a; i++) {
        uint32_t diagonal = row[0];
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= length_b; j++) {
            uint32_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            uint32_t shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replaced < shorter ? replaced : shorter;
        }
    }
    return row[length_b];
}

/* The key that was probably meant, or NULL. */
static const char *config_nearest(const char *key) {
    const char *nearest = NULL;
    uint32_t fewest = CONFIG_TYPO_MAX + 1;
    for (uint32_t i = 0; i < config_key_count(); i++) {
        const char *known = config_key(i);
        uint32_t edits = config_edits(key, known);
        /* A word of which less than half remains is another word. */
        if (edits < fewest && 2 * edits <= strlen(known)) {
            nearest = known;
            fewest = edits;
        }
    }
    return nearest;
}

int config_set(struct config *config, const char *key, const char *value, const char *where,
               struct error_text *error) {
    const struct config_row *row = config_row_find(key);
    if (row == NULL) {
        const char *nearest = config_nearest(key);
        error_text_set(error, "%s: unknown key \"%s\"%s%s%s", where, key,
                       nearest == NULL ? "; weir serve --help lists the keys" : "; did you mean \"",
                       nearest == NULL ? "" : nearest, nearest == NULL ? "" : "\"?");
        return WEIR_ENOENT;
    }
    const char *expected = row->take(config, value);
    if (expected != TAKEN) {
        /* A secret is not repeated in a log. */
        bool secret = row->show == NULL;
        error_text_set(error, "%s: %s \"%s\" is not possible; expected %s", where, row->key,
                       secret ? "..." : value, expected);
        return WEIR_EINVAL;
    }
    return 0;
}

bool config_show(const struct config *config, const char *key, char *out, size_t capacity) {
    const struct config_row *row = config_row_find(key);
    ASSERT(row != NULL && capacity > 0);
    if (row->show == NULL) {
        return false;
    }
    row->show(config, out, capacity);
    return true;
}

uint32_t config_key_count(void) {
    return ARRAY_COUNT(rows) + CONFIG_CLUSTER_ROWS;
}

const char *config_key(uint32_t index) {
    ASSERT(index < config_key_count());
    return config_row_at(index)->key;
}
