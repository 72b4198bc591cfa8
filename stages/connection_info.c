/*
 * INFO: sections of "key:value" lines, in the format and, where the meaning is the same, under the
 * names that Redis uses.  What we do not know is left out rather than shown as 0.
 *
 * Everything is read from figures, options and the gauge file: one glance each.
 */

#include "stages/connection_replication.h"

#include <string.h>

#include "base/assert.h"
#include "queues/gauge.h"
#include "raft/raft.h"
#include "stages/map.h"
#include "stages/node_settings.h"
#include "stages/peers.h"

enum {
    /* Lines that do not depend on the map: about 130 of at most 100 bytes, and the longest texts
       (map, data directory, cluster name). */
    INFO_BYTES = 16 * 1024,
    INFO_TEXT_BYTES_MAX = 1024, /* of an option's text that is shown; longer ones are cut */
    /* A line for each ring, shard and core. */
    INFO_GAUGE_LINE_BYTES = 512,
};
_Static_assert(INFO_BYTES >= 130 * 100 + 3 * INFO_TEXT_BYTES_MAX, "the sum above");

/* What %llu wants. */
#define info_number unsigned long long

static info_number info_figure(const uint64_t *figure) {
    return node_figure(figure);
}

/* A counter that CONFIG RESETSTAT sets to zero. */
static info_number info_stat(const struct connection_run *run, enum node_stat stat) {
    return node_stat(run->node, stat);
}

/* "1.50M" of bytes, as Redis's _human fields. */
static void info_human(struct connection_text *text, const char *key, uint64_t bytes) {
    static const char units[] = {'B', 'K', 'M', 'G', 'T'};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit < sizeof(units) - 1) {
        value /= 1024;
        unit++;
    }
    connection_text_add(text, unit == 0 ? "%s:%.0f%c\r\n" : "%s:%.2f%c\r\n", key, value,
                        units[unit]);
}

/* The gauge file as a view; false if there is none yet. */
static bool info_gauges(const struct connection_run *run, struct gauge_view *view) {
    return run->node->gauges != NULL &&
           gauge_view_open(view, run->node->gauges, run->node->gauges_bytes, NULL) == 0;
}

static const char *info_durability(enum durability durability) {
    switch (durability) {
    case DURABILITY_FSYNC: return "fsync";
    case DURABILITY_WRITE: return "write";
    case DURABILITY_NONE: return "none";
    }
    UNREACHABLE("a durability mode");
}

/* ---- sections ------------------------------------------------------------------------------ */

static void info_server(struct connection_run *run) {
    const struct node_options *options = run->node->options;
    uint64_t now_ms = run->moment->wall_ms;
    uint64_t up_s =
        now_ms > options->started_wall_ms ? (now_ms - options->started_wall_ms) / 1000 : 0;
    /* The version whose commands, replies and errors ours are compared with: clients ask this
       field what they may send. */
    connection_text_add(&run->text, "redis_version:7.0.15\r\n");
    connection_text_add(&run->text, "redis_mode:standalone\r\n");
    connection_text_add(&run->text, "server_name:weir\r\nweir_version:%s\r\n", options->version);
    connection_text_add(&run->text, "arch_bits:%zu\r\n", sizeof(void *) * 8);
    connection_text_add(&run->text, "multiplexing_api:io_uring\r\n");
    struct gauge_view view;
    if (info_gauges(run, &view)) {
        connection_text_add(&run->text, "process_id:%llu\r\n", (info_number)view.identity.pid);
    }
    connection_text_add(&run->text, "tcp_port:%lu\r\n", node_figure(&run->node->read.listen_port));
    connection_text_add(&run->text, "server_time_usec:%llu\r\n", (info_number)now_ms * 1000);
    connection_text_add(&run->text, "uptime_in_seconds:%llu\r\nuptime_in_days:%llu\r\n",
                        (info_number)up_s, (info_number)(up_s / 86400));
}

static void info_clients(struct connection_run *run) {
    connection_text_add(&run->text,
                        "connected_clients:%llu\r\nmaxclients:%u\r\nblocked_clients:%llu\r\n",
                        info_figure(&run->node->read.connections), node_clients_max(run->node),
                        info_figure(&run->node->replicate.waiting));
}

static void info_memory(struct connection_run *run) {
    uint64_t used = node_figure(&run->node->apply.memory_bytes);
    uint64_t limit = node_memory_bytes_max(run->node);
    connection_text_add(&run->text, "used_memory:%llu\r\n", (info_number)used);
    info_human(&run->text, "used_memory_human", used);
    connection_text_add(&run->text, "maxmemory:%llu\r\n", (info_number)limit);
    info_human(&run->text, "maxmemory_human", limit);
    connection_text_add(&run->text, "maxmemory_policy:noeviction\r\n");
    connection_text_add(&run->text, "client_backlog_bytes:%llu\r\n",
                        info_figure(&run->node->write.backlog_bytes));
}

static void info_persistence(struct connection_run *run) {
    const struct node *node = run->node;
    connection_text_add(&run->text, "loading:%d\r\n",
                        atomic_load_relaxed_u32(&node->signals.serving) != 0 ? 0 : 1);
    connection_text_add(&run->text, "durability:%s\r\n",
                        info_durability(node->options->durability));
    connection_text_add(&run->text, "aof_enabled:%d\r\n",
                        node->options->durability == DURABILITY_NONE ? 0 : 1);
    connection_text_add(&run->text, "rdb_bgsave_in_progress:%llu\r\n",
                        info_figure(&node->apply.snapshot_running));
    connection_text_add(&run->text, "snapshots_completed:%llu\r\nsnapshots_failed:%llu\r\n",
                        info_figure(&node->apply.snapshots),
                        info_figure(&node->apply.snapshot_failures));
    connection_text_add(&run->text, "snapshot_last_index:%llu\r\n",
                        info_figure(&node->apply.snapshot_index));
    connection_text_add(&run->text, "digests_agreed:%llu\r\ndigest_last_index:%llu\r\n",
                        info_figure(&node->apply.digests_agreed),
                        info_figure(&node->apply.digest_index));
    connection_text_add(&run->text,
                        "digest_disputes:%llu\r\ndigests_upheld:%llu\r\n"
                        "digest_undecided_index:%llu\r\n",
                        info_figure(&node->replicate.digest_disputes),
                        info_figure(&node->replicate.digests_upheld),
                        info_figure(&node->replicate.digest_undecided));
    connection_text_add(&run->text, "log_writes:%llu\r\nlog_write_bytes:%llu\r\n",
                        info_figure(&node->replicate.log_writes),
                        info_figure(&node->replicate.log_write_bytes));
    uint64_t writes = node_figure(&node->replicate.log_writes);
    uint64_t total_ns = node_figure(&node->replicate.log_write_ns_total);
    connection_text_add(&run->text, "log_write_usec_mean:%llu\r\nlog_write_usec_max:%llu\r\n",
                        (info_number)(writes == 0 ? 0 : total_ns / writes / 1000),
                        (info_number)(node_figure(&node->replicate.log_write_ns_max) / 1000));
    connection_text_add(&run->text, "log_disk_full:%llu\r\nlog_disk_full_majority:%llu\r\n",
                        info_figure(&node->replicate.log_full),
                        info_figure(&node->replicate.majority_full));
}

static void info_stats(struct connection_run *run) {
    const struct node *node = run->node;
    connection_text_add(&run->text, "total_connections_received:%llu\r\n",
                        info_stat(run, NODE_STAT_ACCEPTED));
    connection_text_add(&run->text, "rejected_connections:%llu\r\n",
                        info_stat(run, NODE_STAT_REJECTED));
    connection_text_add(&run->text, "accept_errors:%llu\r\n",
                        info_stat(run, NODE_STAT_ACCEPT_ERRORS));
    connection_text_add(&run->text, "total_commands_processed:%llu\r\n",
                        info_stat(run, NODE_STAT_COMMANDS));
    connection_text_add(&run->text, "commands_refused:%llu\r\n", info_stat(run, NODE_STAT_REFUSED));
    connection_text_add(&run->text, "acl_access_denied_auth:%llu\r\n",
                        info_stat(run, NODE_STAT_AUTH_FAILURES));
    connection_text_add(&run->text, "machine_reads:%llu\r\nmachine_writes:%llu\r\n",
                        info_stat(run, NODE_STAT_MACHINE_READS),
                        info_stat(run, NODE_STAT_MACHINE_WRITES));
    connection_text_add(&run->text, "total_net_input_bytes:%llu\r\n",
                        info_stat(run, NODE_STAT_RECEIVED_BYTES));
    connection_text_add(&run->text, "total_net_output_bytes:%llu\r\n",
                        info_stat(run, NODE_STAT_SENT_BYTES));
    connection_text_add(&run->text, "total_sends:%llu\r\n", info_stat(run, NODE_STAT_SENDS));
    connection_text_add(&run->text, "receive_buffers_exhausted:%llu\r\n",
                        info_stat(run, NODE_STAT_BUFFERS_EXHAUSTED));
    connection_text_add(&run->text,
                        "slow_readers_closed:%llu\r\n"
                        "slow_readers_closed_for_others:%llu\r\n"
                        "reply_memory:%llu\r\n"
                        "replies_refused:%llu\r\n",
                        info_stat(run, NODE_STAT_SLOW_CUT), info_stat(run, NODE_STAT_HOG_CUT),
                        info_figure(&node->apply.reply_bytes),
                        info_stat(run, NODE_STAT_REPLIES_REFUSED));
    connection_text_add(
        &run->text,
        "sessions:%llu\r\n"
        "sessions_opened:%llu\r\n"
        "sessions_expired:%llu\r\n"
        "sessions_evicted:%llu\r\n"
        "session_unknown:%llu\r\n"
        "session_repeats:%llu\r\n"
        "session_replies_not_kept:%llu\r\n",
        info_figure(&node->apply.sessions), info_figure(&node->apply.sessions_opened),
        info_figure(&node->apply.sessions_expired), info_figure(&node->apply.sessions_evicted),
        info_figure(&node->apply.session_unknown), info_figure(&node->apply.session_repeats),
        info_figure(&node->apply.session_not_kept));
}

/* The connections between members: those that others have opened to this node, and its own. */
static void info_peers(struct connection_run *run) {
    const struct node_read_figures *read = &run->node->read;
    const struct node_parse_figures *parse = &run->node->parse;
    const struct node_write_figures *write = &run->node->write;
    connection_text_add(&run->text,
                        "peers_port:%llu\r\n"
                        "peers_in_open:%llu\r\n"
                        "peers_in_accepted:%llu\r\n"
                        "peers_in_rejected:%llu\r\n"
                        "peers_in_introduced:%llu\r\n"
                        "peers_in_refused:%llu\r\n"
                        "peers_in_unauthenticated:%llu\r\n"
                        "peers_in_replaced:%llu\r\n"
                        "peers_in_broken:%llu\r\n"
                        "peers_in_messages:%llu\r\n"
                        "peers_in_bytes:%llu\r\n",
                        info_figure(&read->peer_listen_port), info_figure(&read->peers_connections),
                        info_figure(&read->peers_accepted), info_figure(&read->peers_rejected),
                        info_figure(&parse->peers_introduced), info_figure(&parse->peers_refused),
                        info_figure(&parse->peers_unauthenticated),
                        info_figure(&parse->peers_replaced), info_figure(&parse->peers_broken),
                        info_figure(&parse->peer_messages), info_figure(&parse->peer_bytes));
    connection_text_add(&run->text,
                        "peers_out_open:%llu\r\n"
                        "peers_out_opened:%llu\r\n"
                        "peers_out_refused:%llu\r\n"
                        "peers_out_failed:%llu\r\n"
                        "peers_out_unresolved:%llu\r\n"
                        "peers_out_messages:%llu\r\n"
                        "peers_out_bytes:%llu\r\n"
                        "peers_out_unconnected:%llu\r\n"
                        "peers_dropped:%llu\r\n",
                        info_figure(&write->peers_open), info_figure(&write->peers_opened),
                        info_figure(&write->peers_refused), info_figure(&write->peers_failed),
                        info_figure(&write->peers_unresolved), info_figure(&write->peer_messages),
                        info_figure(&write->peer_bytes), info_figure(&write->peer_dropped),
                        info_figure(&run->node->replicate.peer_dropped));
}

/* 1: CLUSTER is answered, and -MOVED may be said; a client that is made for a cluster asks here
 * whether it may work at all.  redis_mode stays "standalone", for from "cluster" clients conclude
 * that the keys of one command must share a slot. */
static void info_cluster(struct connection_run *run) {
    connection_text_add(&run->text, "cluster_enabled:1\r\n");
}

static void info_cpu(struct connection_run *run) {
    struct gauge_view view;
    if (!info_gauges(run, &view)) {
        return;
    }
    uint64_t total_ns = 0;
    for (uint32_t i = 0; i < view.counts.cores; i++) {
        total_ns += gauge_read(&view.cores[i].cpu_ns);
    }
    connection_text_add(&run->text, "used_cpu_cores:%llu.%06llu\r\n",
                        (info_number)(total_ns / 1000000000),
                        (info_number)(total_ns % 1000000000 / 1000));
}

static void info_keyspace(struct connection_run *run) {
    uint64_t records = node_figure(&run->node->apply.record_count);
    if (records > 0) {
        connection_text_add(&run->text, "db0:keys=%llu\r\n", (info_number)records);
    }
}

static void info_weir(struct connection_run *run) {
    const struct node_options *options = run->node->options;
    connection_text_add(&run->text, "cluster_name:%s\r\ncluster_id:%016llx\r\n",
                        options->identity.cluster_name, (info_number)options->identity.cluster_id);
    connection_text_add(&run->text, "node_id:%llu\r\nincarnation:%016llx\r\n",
                        (info_number)options->identity.node_id,
                        (info_number)options->identity.incarnation);
    connection_text_add(&run->text, "machine:%s\r\nmachine_version:%u\r\n", options->machine->name,
                        options->machine->version);
    connection_text_add(&run->text, "partitions:%u\r\n",
                        1u << options->machine_options.partition_bits);
    connection_text_add(&run->text, "map:%.*s\r\n", INFO_TEXT_BYTES_MAX,
                        options->map_text == NULL ? "" : options->map_text);
    connection_text_add(&run->text, "data_directory:%.*s\r\n", INFO_TEXT_BYTES_MAX,
                        options->data_directory == NULL ? "" : options->data_directory);
}

static void info_raft(struct connection_run *run) {
    static const char *const roles[] = {
        [RAFT_FOLLOWER] = "follower",
        [RAFT_PRE_CANDIDATE] = "pre-candidate",
        [RAFT_CANDIDATE] = "candidate",
        [RAFT_LEADER] = "leader",
    };
    const struct node *node = run->node;
    uint64_t role = node_figure(&node->replicate.role);
    ASSERT(role < sizeof(roles) / sizeof(roles[0]));
    connection_text_add(&run->text, "raft_role:%s\r\nraft_term:%llu\r\nraft_leader:%llu\r\n",
                        roles[role], info_figure(&node->replicate.term),
                        info_figure(&node->replicate.leader));
    connection_text_add(&run->text, "raft_members:%u\r\n",
                        node->options->identity.members.member_count);
    connection_text_add(
        &run->text,
        "raft_last_index:%llu\r\nraft_durable_index:%llu\r\n"
        "raft_commit_index:%llu\r\nraft_applied_index:%llu\r\n",
        info_figure(&node->replicate.last_index), info_figure(&node->replicate.durable_index),
        info_figure(&node->replicate.commit_index), info_figure(&node->apply.applied_index));
    connection_members_add(run);
    connection_heartbeats_add(run);
    connection_text_add(&run->text, "raft_log_time_ms:%llu\r\nraft_leases:%llu\r\n",
                        info_figure(&node->apply.log_time_ms),
                        info_figure(&node->replicate.leases));
    connection_text_add(&run->text, "raft_election_timeout_ms:%u\r\n",
                        node_election_timeout_ms(node->options));
    connection_text_add(&run->text, "reads:%s\r\n", read_mode_name(node_reads(node)));
    connection_text_add(&run->text, "reads_by_quorum:%llu\r\nreads_by_lease:%llu\r\n",
                        info_figure(&node->replicate.reads_asked),
                        info_figure(&node->replicate.reads_leased));
    connection_text_add(&run->text, "reads_stale:%llu\r\n",
                        info_figure(&node->replicate.reads_stale));
}

static void info_stages_shards(struct connection_run *run, const struct gauge_view *view) {
    for (uint32_t i = 0; i < view->counts.shards; i++) {
        const struct gauge_shard *shard = &view->shards[i];
        struct gauge_shard_reading place;
        gauge_view_shard(view, i, &place);
        connection_text_add(
            &run->text,
            "stage_%s_%u:core=%d,polls=%llu,worked=%llu,items=%llu,working_us=%llu,"
            "blocked_us=%llu,housekeeping_us=%llu,longest_poll_us=%llu,most_units=%llu\r\n",
            place.stage_name, place.number, place.core == GAUGE_NONE ? -1 : (int)place.core,
            (info_number)gauge_read(&shard->polls), (info_number)gauge_read(&shard->polls_worked),
            (info_number)gauge_read(&shard->items),
            (info_number)(gauge_read(&shard->regime_ns[GAUGE_WORKING]) / 1000),
            (info_number)(gauge_read(&shard->regime_ns[GAUGE_BLOCKED]) / 1000),
            (info_number)(gauge_read(&shard->regime_ns[GAUGE_HOUSEKEEPING]) / 1000),
            (info_number)(gauge_read(&shard->longest_poll_ns) / 1000),
            (info_number)gauge_read(&shard->most_units));
    }
}

static void info_stages(struct connection_run *run) {
    struct gauge_view view;
    if (!info_gauges(run, &view)) {
        return;
    }
    info_stages_shards(run, &view);
    for (uint32_t i = 0; i < view.counts.rings; i++) {
        struct gauge_ring_reading ring;
        gauge_view_ring(&view, i, &ring);
        connection_text_add(&run->text,
                            "ring_%s:depth=%llu,capacity=%u,high_water=%llu,enqueued=%llu,"
                            "drains=%llu,refusals=%llu\r\n",
                            ring.name, (info_number)ring.depth, ring.capacity,
                            (info_number)ring.high_water, (info_number)ring.enqueued,
                            (info_number)ring.drains, (info_number)ring.refusals);
    }
    for (uint32_t i = 0; i < view.counts.cores; i++) {
        const struct gauge_core *core = &view.cores[i];
        connection_text_add(
            &run->text,
            "core_%u:cpu=%d,working_us=%llu,idle_us=%llu,parks=%llu,gathers=%llu,wakes=%llu,"
            "longest_poll_us=%llu,longest_io_us=%llu,polls_over_limit=%llu\r\n",
            i, view.core_rows[i].cpu == GAUGE_NONE ? -1 : (int)view.core_rows[i].cpu,
            (info_number)(gauge_read(&core->regime_ns[GAUGE_WORKING]) / 1000),
            (info_number)(gauge_read(&core->regime_ns[GAUGE_IDLE]) / 1000),
            (info_number)gauge_read(&core->parks), (info_number)gauge_read(&core->gathers),
            (info_number)gauge_read(&core->wakes),
            (info_number)(gauge_read(&core->longest_poll_ns) / 1000),
            (info_number)(gauge_read(&core->longest_io_ns) / 1000),
            (info_number)gauge_read(&core->polls_over_limit));
    }
}

/* In the order shown.  All are shown by default. */
static const struct info_section {
    const char *name;
    const char *title;
    void (*add)(struct connection_run *run);
} sections[] = {
    {"server", "Server", info_server},
    {"clients", "Clients", info_clients},
    {"memory", "Memory", info_memory},
    {"persistence", "Persistence", info_persistence},
    {"stats", "Stats", info_stats},
    {"replication", "Replication", connection_replication_add},
    {"cpu", "CPU", info_cpu},
    {"cluster", "Cluster", info_cluster},
    {"weir", "Weir", info_weir},
    {"raft", "Raft", info_raft},
    {"peers", "Peers", info_peers},
    {"stages", "Stages", info_stages},
    {"keyspace", "Keyspace", info_keyspace},
};

/* ---- the command --------------------------------------------------------------------------- */

size_t connection_info_bytes(struct connection_run *run) {
    struct gauge_view view;
    size_t lines = info_gauges(run, &view)
                       ? (size_t)view.counts.rings + view.counts.shards + view.counts.cores
                       : 0;
    return INFO_BYTES + CONNECTION_REPLICATION_BYTES + lines * INFO_GAUGE_LINE_BYTES;
}

/* Whether a section was asked for, by its name or with all others. */
static bool info_wanted(const struct connection_run *run, const char *name) {
    uint32_t count = run->command->argument_count;
    for (uint32_t i = 1; i < count; i++) {
        if (connection_argument_is(run, i, name) || connection_argument_is(run, i, "all") ||
            connection_argument_is(run, i, "default") ||
            connection_argument_is(run, i, "everything")) {
            return true;
        }
    }
    return count == 1;
}

bool connection_info_compose(struct connection_run *run) {
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        if (info_wanted(run, sections[i].name)) {
            connection_text_add(&run->text, "%s# %s\r\n", run->text.used == 0 ? "" : "\r\n",
                                sections[i].title);
            sections[i].add(run);
        }
    }
    return true;
}

_Static_assert(CONNECTION_STATUS_BYTES >= INFO_BYTES + CONNECTION_REPLICATION_BYTES,
               "no section is longer there than here");

size_t connection_info_status(struct node *node, const struct stage_moment *moment, char *out,
                              size_t capacity) {
    struct connection_run run = {
        .node = node, .moment = moment, .text = {.begin = out, .capacity = capacity}};
    ASSERT(capacity >= CONNECTION_STATUS_BYTES);
    info_weir(&run);
    info_raft(&run);
    connection_replication_add(&run);
    info_peers(&run);
    return run.text.used;
}
