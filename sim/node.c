/*
 * The simulated node.  See sim/node.h.
 *
 * The happy path follows `weir serve`: directory, lock, identity, options, pipeline, start; then
 * the caller steps it until it has ended, and destroys it.  The sizes are small, so that pools run
 * dry, segments fill and snapshots are due within a few hundred commands.
 *
 * Failure modes: whatever start-up finds wrong is undone in reverse order and said.  A failure
 * later is published by a stage; the node then stops itself, as the main thread would.
 */

#include "sim/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "stages/apply.h"
#include "stages/directory.h"
#include "stages/parse.h"
#include "stages/pipeline.h"
#include "stages/read.h"
#include "stages/replicate.h"
#include "stages/validate.h"

enum {
    /* The least that a log may have: a few dozen of the largest commands fill a segment. */
    SEGMENT_BYTES = 1024 * 1024,
    WRITE_BYTES_MAX = 64 * 1024,
    /* A batch's writes: an MSET of five of the largest values behind a full buffer. */
    ENTRY_BYTES_MAX = 320 * 1024,
    ARGUMENTS_MAX = 1024,
    /* Address space: no reply of a few dozen large values is ever refused. */
    ARENA_BYTES = 32 * 1024 * 1024,
    BATCHES_DEFAULT = 64,
    CONNECTIONS_DEFAULT = 32,
    /* Batches of one connection under way: few, so that the limit is reached. */
    CONNECTION_BATCHES = 4,
    PARTITION_BITS = 3,
};
_Static_assert(ENTRY_BYTES_MAX < SEGMENT_BYTES / 2, "what the log wants");

const char sim_node_directory[] = "data";

struct sim_node {
    struct world *world;
    uint32_t host;
    uint32_t budget_max;
    struct random random;
    struct io *io; /* the main thread's, for the directory and its lock */
    int32_t data_directory;
    uint32_t member_count;
    uint64_t node_id;
    struct map map;
    struct node_options options;
    char hosts[CONFIGURATION_MEMBERS_MAX][16]; /* of options.endpoints */
    char peer_addresses[CONFIGURATION_MEMBERS_MAX - 1][WORLD_ADDRESS_BYTES];
    char client_host[WORLD_ADDRESS_BYTES];
    struct mac_key secret;
    struct node *node;
    struct directory *directory;
    struct pipeline *pipeline;
    enum pipeline_step cores[MAP_THREADS_MAX]; /* what the last round of each said */
    bool stopping;

    struct read_options read_options;
    struct parse_options parse_options;
    struct validate_options validate_options;
    struct replicate_options replicate_options;
    struct apply_options apply_options;
};

/* ---- starting ---------------------------------------------------------------------------- */

/* Whose directory it is; a new one is made as a lone node makes its own. */
static int open_directory(struct sim_node *node, struct error_text *error) {
    struct identity *identity = &node->options.identity;
    int status =
        io_directory_open(node->io, sim_node_directory, true, &node->data_directory, error);
    if (status == 0) {
        status = io_directory_lock(node->io, node->data_directory, error);
    }
    if (status == 0) {
        status = identity_load(node->io, node->data_directory, identity, error);
    }
    if (status == WEIR_ENOENT) {
        struct configuration members = {.member_count = node->member_count};
        for (uint32_t i = 0; i < node->member_count; i++) {
            members.members[i] =
                (struct configuration_member){.node_id = i + 1, .roles = CONFIGURATION_VOTER};
        }
        status = (node->node_id > node->member_count ? identity_create_joining : identity_create)(
            node->io, node->data_directory, "weir", node->node_id, &members, identity, error);
    }
    return status;
}

static uint32_t or_default(uint32_t value, uint32_t usual) {
    return value == 0 ? usual : value;
}

static void build_options(struct sim_node *node, const struct sim_node_options *asked) {
    struct node_options *options = &node->options;
    const struct machine_operations *machine =
        machine_find(asked->machine == NULL ? "kv" : asked->machine);
    ASSERT(machine != NULL);
    uint32_t bits_max = machine->partition_bits_max;
    options->machine = machine;
    options->machine_options = (struct machine_options){
        .partition_bits = bits_max < PARTITION_BITS ? bits_max : PARTITION_BITS,
        .value_bytes_max = SIM_NODE_BULK_BYTES_MAX};
    options->durability = asked->durability;
    options->batch_count = or_default(asked->batch_count, BATCHES_DEFAULT);
    options->connections_max = or_default(asked->connections_max, CONNECTIONS_DEFAULT);
    options->connection_batches_max = CONNECTION_BATCHES;
    resp_limits_default(&options->resp_limits);
    options->resp_limits.bulk_length_max = SIM_NODE_BULK_BYTES_MAX;
    options->resp_limits.argument_count_max = ARGUMENTS_MAX;
    options->resp_limits.command_length_max = 2 * ENTRY_BYTES_MAX;
    ASSERT(resp_limits_valid(&options->resp_limits));
    options->election_timeout_ms = asked->election_timeout_ms;
    options->append_messages_max = asked->append_messages_max;
    options->carry_bytes_max = or_default(asked->carry_bytes_max, ARENA_BYTES);
    options->reply_bytes_max = ARENA_BYTES;
    options->backlog_bytes_max = ARENA_BYTES;
    options->backlog_connection_bytes_max = ARENA_BYTES;
    options->log = (struct log_options){.segment_bytes = SEGMENT_BYTES,
                                        .memory_bytes = SEGMENT_BYTES,
                                        .entry_bytes_max = ENTRY_BYTES_MAX,
                                        .write_bytes_max = WRITE_BYTES_MAX,
                                        .durability = asked->durability,
                                        .zero_ahead_bytes = asked->zero_ahead_bytes};
    options->io_features_allowed = IO_FEATURES_ALL;
    options->map_text = node->map.text;
    options->data_directory = sim_node_directory;
    options->started_wall_ms = io_wall_ms(node->io);
    options->version = "simulated";
    options->snapshot_log_bytes = asked->snapshot_log_bytes;
    options->snapshot_rate_bytes_s = asked->snapshot_rate_bytes_s;
    options->reads = asked->reads;
    options->leases = asked->leases;
    options->log_time_jump_ms_max = asked->log_time_jump_ms_max;
    if (asked->secret != NULL) {
        mac_key_set(&node->secret, asked->secret, strlen(asked->secret));
        options->peer_secret = &node->secret;
    }
    for (uint32_t i = 0; asked->knows_addresses && i < node->member_count; i++) {
        (void)snprintf(node->hosts[i], sizeof(node->hosts[i]), "10.0.0.%u", (i + 1) & 0xff);
        options->endpoints[i] =
            (struct node_endpoint){.node_id = i + 1, .host = node->hosts[i], .port = SIM_NODE_PORT};
        options->endpoint_count = i + 1;
    }
}

static void create_node(struct sim_node *node) {
    size_t records_bytes = node->options.connections_max * sizeof(struct node_record);
    node->node = aligned_alloc(CACHE_LINE_BYTES, sizeof(*node->node));
    struct node_record *records = aligned_alloc(CACHE_LINE_BYTES, records_bytes);
    ASSERT(node->node != NULL && records != NULL);
    memset(node->node, 0, sizeof(*node->node));
    memset(records, 0, records_bytes);
    node->node->options = &node->options;
    node->node->records = records;
}

/* The other members, and where they are. */
static void build_address_book(struct sim_node *node, const struct sim_node_options *asked) {
    struct node_options *options = &node->options;
    const uint32_t *member_hosts = asked->member_hosts;
    uint32_t count = or_default(asked->member_hosts_count, node->member_count);
    ASSERT(count <= CONFIGURATION_MEMBERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (i + 1 == node->node_id) {
            continue;
        }
        char *address = node->peer_addresses[options->peer_count];
        if (member_hosts != NULL) {
            world_address(address, member_hosts[i], SIM_NODE_PEER_PORT);
        }
        struct peer_name *name = asked->member_names == NULL ? NULL : asked->member_names[i];
        options->peers[options->peer_count++] = (struct node_peer){
            .node_id = i + 1, .address = name == NULL ? address : NULL, .name = name};
    }
    if (member_hosts != NULL && options->peer_count > 0) {
        uint32_t own = member_hosts[node->node_id - 1];
        snprintf(node->client_host, sizeof(node->client_host), "10.0.0.%u", own + 1);
        options->endpoints[options->endpoint_count++] = (struct node_endpoint){
            .node_id = node->node_id, .host = node->client_host, .port = SIM_NODE_PORT};
        options->peer_listen_address = "0.0.0.0:7380";
    }
}

static int create_pipeline(struct sim_node *node, struct error_text *error) {
    node->read_options.listen_address = "127.0.0.1:7379";
    node->parse_options.directory = node->directory;
    node->validate_options.directory = node->directory;
    node->apply_options.directory = node->directory;
    struct pipeline_options options = {.node = node->node,
                                       .map = &node->map,
                                       .stage_options = {
                                           [STAGE_READ] = &node->read_options,
                                           [STAGE_PARSE] = &node->parse_options,
                                           [STAGE_VALIDATE] = &node->validate_options,
                                           [STAGE_REPLICATE] = &node->replicate_options,
                                           [STAGE_APPLY] = &node->apply_options,
                                       }};
    return pipeline_create(&node->pipeline, &options, error);
}

/* Gives back what start-up has made so far, or all of an ended process. */
static void tear_down(struct sim_node *node) {
    if (node->pipeline != NULL) {
        pipeline_destroy(node->pipeline);
    }
    directory_destroy(node->directory);
    if (node->node != NULL) {
        free(node->node->records);
        free(node->node);
    }
    if (node->data_directory >= 0) {
        io_close(node->io, node->data_directory);
    }
    io_destroy(node->io);
    free(node);
}

int sim_node_start(struct sim_node **out, struct world *world, uint32_t host,
                   const struct sim_node_options *options, struct error_text *error) {
    static const struct map_cpus cpus = {.count = 2, .cpu = {0, 1}};
    struct sim_node *node = calloc(1, sizeof(*node));
    ASSERT(node != NULL);
    node->world = world;
    node->host = host;
    node->budget_max = options->budget_max;
    node->member_count = or_default(options->member_count, 1);
    node->node_id = options->node_id == 0 ? 1 : options->node_id;
    node->data_directory = -1;
    node->io = world_io(world, host);
    random_seed(&node->random, options->schedule_seed);
    world_enter(world, host);
    int status = map_parse(&node->map, options->map, &cpus, error);
    ASSERT(status == 0);
    for (uint32_t stage = 0; stage < STAGE_COUNT; stage++) {
        node->map.shard_counts[stage] = (options->idle_shards >> stage & 1) != 0 ? 2 : 1;
    }
    status = open_directory(node, error);
    if (status == 0) {
        build_options(node, options);
        build_address_book(node, options);
        create_node(node);
        status = directory_create(&node->directory, node->options.machine, error);
    }
    if (status == 0) {
        status = create_pipeline(node, error);
    }
    if (status == 0) {
        status = pipeline_start_stepped(node->pipeline, error);
    }
    world_enter(NULL, 0);
    if (status != 0) {
        tear_down(node);
        return status;
    }
    *out = node;
    return 0;
}

/* ---- running ----------------------------------------------------------------------------- */

static bool core_can_go_on(const struct sim_node *node, uint32_t core) {
    switch (node->cores[core]) {
    case PIPELINE_WORKED: return true;
    case PIPELINE_ASLEEP: return world_io_ready(pipeline_core_io(node->pipeline, core));
    case PIPELINE_ENDED: return false;
    }
    UNREACHABLE("what a step says");
}

/* What the main thread does when a signal wakes it. */
static void look_at_signals(struct sim_node *node) {
    const struct node_signals *signals = &node->node->signals;
    if (!node->stopping && (atomic_load_acquire_u32(&signals->failed) != 0 ||
                            atomic_load_acquire_u32(&signals->shutdown_requested) != 0)) {
        sim_node_stop(node);
    }
}

bool sim_node_step(struct sim_node *node) {
    look_at_signals(node);
    uint32_t able[MAP_THREADS_MAX];
    uint32_t count = 0;
    for (uint32_t core = 0; core < pipeline_cores(node->pipeline); core++) {
        if (core_can_go_on(node, core)) {
            able[count++] = core;
        }
    }
    if (count == 0) {
        return false;
    }
    uint32_t core = able[random_below(&node->random, count)];
    uint32_t budget = node->budget_max == 0
                          ? PIPELINE_BUDGET
                          : 1 + (uint32_t)random_below(&node->random, node->budget_max);
    node->cores[core] = pipeline_step(node->pipeline, core, budget);
    return true;
}

void sim_node_stop(struct sim_node *node) {
    node->stopping = true;
    pipeline_stop(node->pipeline);
}

bool sim_node_ended(const struct sim_node *node) {
    for (uint32_t core = 0; core < pipeline_cores(node->pipeline); core++) {
        if (node->cores[core] != PIPELINE_ENDED) {
            return false;
        }
    }
    return true;
}

const char *sim_node_failure(const struct sim_node *node) {
    const struct node_signals *signals = &node->node->signals;
    return atomic_load_acquire_u32(&signals->failed) != 0 ? signals->failure : NULL;
}

bool sim_node_serving(const struct sim_node *node) {
    return atomic_load_acquire_u32(&node->node->signals.serving) != 0;
}

const struct node *sim_node_figures(const struct sim_node *node) {
    return node->node;
}

struct change_box *sim_node_changes(struct sim_node *node) {
    return &node->node->changes;
}

struct peers *sim_node_peers(struct sim_node *node) {
    return pipeline_peers(node->pipeline);
}

void sim_node_wake(struct sim_node *node) {
    pipeline_wake(node->pipeline);
}

const struct log *sim_node_log(const struct sim_node *node) {
    return replicate_look_log(pipeline_look(node->pipeline, STAGE_REPLICATE, 0));
}

const struct raft *sim_node_raft(const struct sim_node *node) {
    return replicate_look_raft(pipeline_look(node->pipeline, STAGE_REPLICATE, 0));
}

bool sim_node_in_step(const struct sim_node *node) {
    return replicate_look_in_step(pipeline_look(node->pipeline, STAGE_REPLICATE, 0));
}

bool sim_node_digest(const struct sim_node *node, uint64_t *index, uint64_t *digest) {
    return apply_look_digest(pipeline_look(node->pipeline, STAGE_APPLY, 0), index, digest);
}

void sim_node_destroy(struct sim_node *node) {
    ASSERT(sim_node_ended(node));
    struct error_text ignored;
    (void)pipeline_join(node->pipeline, &ignored);
    tear_down(node);
}
