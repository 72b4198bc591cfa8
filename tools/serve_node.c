/*
 * The sizes of a node, each with the arithmetic that gave it, and its identity.
 */

#include "tools/serve_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "stages/batch.h"
#include "tools/serve_cluster.h"

#define MEBIBYTE UINT64_C(1048576)

enum {
    /* Batches, and receive buffers: 16 MiB of the latter.  Fifty connections that each keep the
       limit below in flight use 400; more connections share. */
    NODE_BATCHES = 1024,
    /* Batches of one connection under way: two round trips of the pipeline at full speed. */
    NODE_CONNECTION_BATCHES = 8,
    /* 64 partitions: more than there will be shards of apply; a power of two (2^6). */
    NODE_PARTITION_BITS = 6,
};

/* A segment of the log, and its memory: 8 seconds of a disk that takes 8 MiB/s of small writes;
 * more where the largest entry needs it. */
#define NODE_LOG_BYTES_MIN                (64 * MEBIBYTE)
/* Zeros behind the log's end, written while it is idle: a segment, so each byte of the disk is
 * written twice at most.  50 clients of SET write 10 to 130 MB a second (docs/benchmarks.md). */
#define NODE_ZERO_AHEAD_BYTES             (64 * MEBIBYTE)
/* One write of the log: what a disk takes in a few milliseconds. */
#define NODE_LOG_WRITE_BYTES              MEBIBYTE
/* The largest entry is the largest value, and a buffer full of others beside it. */
#define NODE_ENTRY_EXTRA_BYTES            MEBIBYTE
/* Arenas: address space, used as needed. */
#define NODE_ARENA_BYTES_MIN              (256 * MEBIBYTE)
/* What one slow reader may leave unread. */
#define NODE_BACKLOG_CONNECTION_BYTES_MIN (64 * MEBIBYTE)

static uint64_t greater(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* ---- identity ------------------------------------------------------------------------------ */

/* On entry *identity says for whom a creation was begun that was cut; zeros: for nobody. */
static int node_directory_new(struct io *io, const struct config *config, int32_t directory,
                              struct identity *identity, struct error_text *error) {
    struct configuration members = {.member_count = 1};
    members.members[0] = (struct configuration_member){
        .node_id = config->node_id == 0 ? 1 : config->node_id, .roles = CONFIGURATION_VOTER};
    if (identity->cluster_id != 0 &&
        identity->cluster_id != identity_cluster_id("weir", &members)) {
        error_text_set(error,
                       "the creation of the data directory %s was interrupted, and it was for "
                       "another cluster or id (node %llu): give that --id, run `weir init` again, "
                       "or choose another directory",
                       config->data_directory, (unsigned long long)identity->node_id);
        return WEIR_EIDENTITY;
    }
    int status = identity_create(io, directory, "weir", members.members[0].node_id, &members,
                                 identity, error);
    if (status == 0) {
        struct log_quoted path;
        log_info("directory_created", "dir=%s node=%llu",
                 log_quote(&path, config->data_directory, strlen(config->data_directory)),
                 (unsigned long long)identity->node_id);
    }
    return status;
}

static int node_identity_judge(const struct config *config, const struct identity *identity,
                               struct error_text *error) {
    if (config->node_id != 0 && config->node_id != identity->node_id) {
        error_text_set(error,
                       "the data directory %s belongs to node %llu of the cluster \"%s\", not to "
                       "node %llu: give the right --data or --id",
                       config->data_directory, (unsigned long long)identity->node_id,
                       identity->cluster_name, (unsigned long long)config->node_id);
        return WEIR_EIDENTITY;
    }
    return serve_cluster_judge(config, identity, error);
}

int serve_node_directory(struct io *io, const struct config *config, int32_t *directory,
                         struct identity *identity, struct error_text *error) {
    int32_t handle = -1;
    bool alone = config->peers.count == 0; /* and so makes its directory itself */
    int status = io_directory_open(io, config->data_directory, alone, &handle, error);
    if (status == WEIR_ENOENT && !alone) {
        serve_cluster_directory_missing(config, error);
        return WEIR_EIDENTITY;
    }
    if (status != 0) {
        return status;
    }
    status = io_directory_lock(io, handle, error);
    if (status != 0) {
        struct error_text reason = *error;
        error_text_set(error, "data directory %s: %s", config->data_directory, reason.text);
        goto opened;
    }
    status = identity_load(io, handle, identity, error);
    if (status == WEIR_ENOENT && alone) {
        status = node_directory_new(io, config, handle, identity, error);
    } else if (status == WEIR_ENOENT) {
        serve_cluster_directory_missing(config, error);
        status = WEIR_EIDENTITY;
    }
    if (status == 0) {
        status = node_identity_judge(config, identity, error);
    }
    if (status != 0) {
        goto opened;
    }
    *directory = handle;
    return 0;

opened:
    io_close(io, handle);
    return status;
}

/* ---- options ------------------------------------------------------------------------------- */

/* The items of CONFIG GET that are no keys of ours, but are asked for by clients: each is true. */
static uint32_t node_items_fixed(struct node_config_item *items, const struct config *config) {
    bool logs = config->durability != DURABILITY_NONE;
    const struct node_config_item fixed[] = {
        {.name = "appendonly", .value = logs ? "yes" : "no"},
        {.name = "appendfsync", .value = config->durability == DURABILITY_FSYNC ? "always" : "no"},
        {.name = "databases", .value = "1"},
        {.name = "maxmemory-policy", .value = "noeviction"},
        {.name = "save", .value = ""}, /* snapshots follow the log's growth, not the clock */
        {.name = "timeout", .value = "0"},
    };
    memcpy(items, fixed, sizeof(fixed));
    return ARRAY_COUNT(fixed);
}

static int node_items(struct node_options *options, const struct config *configured) {
    /* What is in force: chosen here where nothing was configured. */
    struct config in_force = *configured;
    const struct config *config = &in_force;
    in_force.node_id = options->identity.node_id;
    (void)snprintf(in_force.map, sizeof(in_force.map), "%s", options->map_text);
    struct node_config_item *items = calloc(NODE_CONFIG_ITEMS_MAX, sizeof(*items));
    if (items == NULL) {
        return WEIR_ENOMEM;
    }
    uint32_t count = node_items_fixed(items, config);
    ASSERT(count + config_key_count() <= NODE_CONFIG_ITEMS_MAX);
    for (uint32_t i = 0; i < config_key_count(); i++) {
        char value[CONFIG_PATH_BYTES_MAX + 1];
        if (!config_show(config, config_key(i), value, sizeof(value))) {
            continue;
        }
        char *kept = strdup(value);
        if (kept == NULL) {
            return WEIR_ENOMEM;
        }
        items[count++] = (struct node_config_item){
            .name = config_key(i),
            .value = kept,
            .limits_values = strcmp(config_key(i), "proto-max-bulk-len") == 0};
    }
    options->config_items = items;
    options->config_item_count = count;
    return 0;
}

static void node_sizes(struct node_options *options, const struct config *config) {
    uint64_t entry_bytes = config->bulk_bytes_max + NODE_ENTRY_EXTRA_BYTES;
    /* The log wants an entry to be less than half of its memory. */
    uint64_t log_bytes =
        greater(NODE_LOG_BYTES_MIN, ALIGN_UP(2 * entry_bytes + MEBIBYTE, MEBIBYTE));
    options->log = (struct log_options){.segment_bytes = log_bytes,
                                        .memory_bytes = log_bytes,
                                        .entry_bytes_max = (uint32_t)entry_bytes,
                                        .write_bytes_max = (uint32_t)NODE_LOG_WRITE_BYTES,
                                        .durability = config->durability,
                                        .zero_ahead_bytes = NODE_ZERO_AHEAD_BYTES};
    /* A value with its header takes a block of up to twice its size, and while it grows the old
       block is there beside the new one: 3 blocks, for 2 connections at a time, rounded up. */
    uint64_t arena_bytes = greater(NODE_ARENA_BYTES_MIN, 8 * (uint64_t)config->bulk_bytes_max);
    options->carry_bytes_max = arena_bytes;
    options->reply_bytes_max = arena_bytes;
    options->backlog_bytes_max = arena_bytes;
    options->backlog_connection_bytes_max =
        greater(NODE_BACKLOG_CONNECTION_BYTES_MIN, 2 * (uint64_t)config->bulk_bytes_max);
    ASSERT(options->backlog_connection_bytes_max <= options->backlog_bytes_max);
    resp_limits_default(&options->resp_limits);
    options->resp_limits.bulk_length_max = config->bulk_bytes_max;
    /* What exceeds this cannot become an entry, however its arguments are framed. */
    options->resp_limits.command_length_max = (uint32_t)(2 * entry_bytes);
    ASSERT(resp_limits_valid(&options->resp_limits));
    options->batch_count = NODE_BATCHES;
    options->connections_max = config->connections_max;
    options->connection_batches_max = NODE_CONNECTION_BATCHES;
}

_Static_assert(2 * (RESP_BULK_LENGTH_CEILING + NODE_ENTRY_EXTRA_BYTES) <=
                   RESP_COMMAND_LENGTH_CEILING,
               "the largest value configurable still has a command length");

/* Where clients reach this node: as configured, else where it listens, if that is one place. */
static int node_endpoints(struct node_options *options, const struct config *config) {
    const char *host = config->announced_host;
    if (host[0] == '\0' && !config_host_is_wildcard(config->host)) {
        host = config->host;
    }
    char *kept = strdup(host);
    if (kept == NULL) {
        return WEIR_ENOMEM;
    }
    ASSERT(strlen(kept) <= NODE_HOST_BYTES_MAX);
    options->endpoints[0] = (struct node_endpoint){
        .node_id = options->identity.node_id,
        .host = kept,
        .port = config->announced_port != 0 ? config->announced_port : config->port};
    options->endpoint_count = 1;
    return 0;
}

_Static_assert((int)CONFIG_HOST_BYTES_MAX == (int)NODE_HOST_BYTES_MAX, "a host fits");

int serve_node_options(struct node_options *options, const struct config *config,
                       const struct identity *identity, const struct map *map,
                       struct error_text *error) {
    const struct machine_operations *machine = machine_find(config->machine);
    ASSERT(machine != NULL);
    uint32_t bits_max = machine->partition_bits_max;
    *options = (struct node_options){
        .machine = machine,
        .machine_options = {.partition_bits =
                                bits_max < NODE_PARTITION_BITS ? bits_max : NODE_PARTITION_BITS,
                            .value_bytes_max = config->bulk_bytes_max},
        .identity = *identity,
        .durability = config->durability,
        .memory_bytes_max = config->memory_bytes_max,
        .io_features_allowed = config->io_features,
        .map_text = strdup(map->text),
        .data_directory = strdup(config->data_directory),
        .started_wall_ms = clock_wall_ms(),
        .version = WEIR_VERSION,
        .snapshot_log_bytes = config->snapshot_log_bytes,
        .snapshot_rate_bytes_s = config->snapshot_rate_bytes_s,
        .slow_from = config->slow_from,
        .slow_entries = config->slow_entries,
        .reads = config->reads,
        .leases = config->leases,
        .election_timeout_ms = config->election_timeout_ms,
        .append_messages_max = config->append_messages_max,
        .append_bytes_max = config->append_bytes_max,
        .log_time_jump_ms_max = config->log_time_jump_s_max * 1000,
    };
    memcpy(options->password, config->password, sizeof(options->password));
    node_sizes(options, config);
    if (options->map_text == NULL || options->data_directory == NULL ||
        node_items(options, config) != 0 || node_endpoints(options, config) != 0) {
        error_text_set(error, "no memory for the node's options");
        return WEIR_ENOMEM;
    }
    return serve_cluster_options(options, config, error);
}

int serve_node_create(struct node **out, const struct node_options *options,
                      struct error_text *error) {
    size_t records_bytes = options->connections_max * sizeof(struct node_record);
    struct node *node = aligned_alloc(CACHE_LINE_BYTES, sizeof(*node));
    struct node_record *records = aligned_alloc(CACHE_LINE_BYTES, records_bytes);
    if (node == NULL || records == NULL) {
        free(node);
        free(records);
        error_text_set(error, "no memory for the records of %u connections",
                       options->connections_max);
        return WEIR_ENOMEM;
    }
    memset(node, 0, sizeof(*node));
    memset(records, 0, records_bytes);
    node->options = options;
    node->records = records;
    *out = node;
    return 0;
}

void serve_node_destroy(struct node *node) {
    if (node != NULL) {
        free(node->records);
        free(node);
    }
}
