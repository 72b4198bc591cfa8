/*
 * The start of the replicate stage: from what is on disk to a core that may begin.
 *
 * Happy path: the vote file is read, the log verified from the snapshot on, the table of
 * incarnations opened; what the log tells on the way (terms, configurations, the genesis record) is
 * what the core is created from.
 *
 * Failure modes: each error says what was found where; nothing was changed by then.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mutant.h"
#include "stages/replicate_internal.h"

enum {
    /* No two members' clocks differ in rate by more: crystals differ by 0.1, ntpd steers by 0.5, a
       virtual machine's clock that catches up may run some per cent fast.  It costs nothing: a
       lease is 180 ms then, and is renewed at every heartbeat. */
    REPLICATE_CLOCK_DRIFT_PER_MILLE = 100,
    /* More than the uncommitted entries there can be: one for each batch. */
    REPLICATE_WINDOW_ENTRIES = 65536,
};

/* What the log tells while it is verified: terms, configurations, the genesis record. */
struct recovered {
    struct replicate_shard *shard;
    uint32_t run_count;
    uint32_t configuration_count;
    uint32_t entry_bytes_largest;
    struct raft_term_run runs[RAFT_TERM_RUNS_MAX];
    struct raft_configuration_entry configurations[RAFT_CONFIGURATIONS_MAX];
};

static void configuration_found(struct recovered *recovered, uint64_t index,
                                const struct configuration *configuration) {
    if (recovered->configuration_count == RAFT_CONFIGURATIONS_MAX) {
        /* So many were never uncommitted at once: the oldest is. */
        memmove(&recovered->configurations[0], &recovered->configurations[1],
                (RAFT_CONFIGURATIONS_MAX - 1) * sizeof(recovered->configurations[0]));
        recovered->configuration_count--;
    }
    recovered->configurations[recovered->configuration_count++] =
        (struct raft_configuration_entry){.index = index, .configuration = *configuration};
}

static void on_entry(void *context, const uint8_t *entry) {
    struct recovered *recovered = context;
    struct entry_header header = entry_header_read(entry);
    if (header.length_bytes > recovered->entry_bytes_largest) {
        recovered->entry_bytes_largest = header.length_bytes;
    }
    if (recovered->run_count == 0 ||
        recovered->runs[recovered->run_count - 1].term != header.term) {
        if (recovered->run_count == RAFT_TERM_RUNS_MAX) {
            memmove(&recovered->runs[0], &recovered->runs[1],
                    (RAFT_TERM_RUNS_MAX - 1) * sizeof(recovered->runs[0]));
            recovered->run_count--;
        }
        recovered->runs[recovered->run_count++] =
            (struct raft_term_run){.first_index = header.index, .term = header.term};
    }
    if (header.kind == ENTRY_GENESIS) {
        recovered->shard->genesis = entry_genesis_read(entry + ENTRY_HEADER_BYTES);
        recovered->shard->has_genesis = true;
    } else if (header.kind == ENTRY_CONFIGURATION) {
        struct configuration configuration;
        int result = configuration_read(entry + ENTRY_HEADER_BYTES,
                                        header.length_bytes - ENTRY_HEADER_BYTES, &configuration);
        ASSERT(result == WEIR_OK); /* the log has checked it */
        configuration_found(recovered, header.index, &configuration);
    }
}

/* Where the log's verification stands: whoever started the pipeline may want to show it. */
static void on_progress(void *context, uint64_t bytes_done, uint64_t bytes_total) {
    const struct replicate_options *options = ((struct recovered *)context)->shard->options;
    if (options->progress != NULL) {
        options->progress(options->context, bytes_done, bytes_total);
    }
}

/* A row for each other member that is known, and memory for what goes to them. */
static int peers_prepare(struct replicate_shard *shard, const struct configuration *members) {
    if (shard->links == NULL) {
        return WEIR_OK;
    }
    for (uint32_t i = 0; i < members->member_count; i++) {
        uint64_t node_id = members->members[i].node_id;
        if (node_id != shard->node->options->identity.node_id) {
            struct peer_link *link = peers_row(shard->links, node_id);
            ASSERT(link != NULL); /* there are as many rows as members can be */
        }
    }
    struct replicate_peers *peers = calloc(1, sizeof(*peers));
    if (peers == NULL) {
        return WEIR_ENOMEM;
    }
    shard->peers = peers;
    peers->buffer_bytes = 2 * shard->catch_up_bytes; /* an entry, and the one before it */
    void *memory =
        mmap(NULL, peers->buffer_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    peers->buffer = memory == MAP_FAILED ? NULL : memory;
    return peers->buffer == NULL ? WEIR_ENOMEM : WEIR_OK;
}

static uint32_t inflight_messages_max(const struct replicate_shard *shard) {
    uint32_t configured = shard->node->options->append_messages_max;
    ASSERT(configured <= NODE_APPEND_MESSAGES_LIMIT);
    return configured == 0 ? NODE_APPEND_MESSAGES_DEFAULT : configured;
}

/* Of the log's memory a quarter, so that a member that is behind does not push out what others are
 * sent; and no more than its ring has room for.  Alone there is nobody to send to. */
static uint64_t inflight_bytes_max(const struct replicate_shard *shard) {
    uint64_t configured = shard->node->options->append_bytes_max;
    uint64_t bytes = shard->node->options->log.memory_bytes / 4;
    bytes = configured != 0 && configured < bytes ? configured : bytes;
    uint64_t of_ring = shard->links == NULL ? bytes : peers_inflight_bytes_max(shard->links);
    return of_ring < bytes ? of_ring : bytes;
}

static uint64_t election_timeout_ns(const struct replicate_shard *shard) {
    uint32_t timeout_ms = node_election_timeout_ms(shard->node->options);
    ASSERT(timeout_ms >= NODE_ELECTION_TIMEOUT_MS_MIN &&
           timeout_ms <= NODE_ELECTION_TIMEOUT_MS_MAX);
    return timeout_ms * RAFT_NS_PER_MS;
}

/* Makes the core of what was found on disk. */
static int core_create(struct replicate_shard *shard, const struct vote_record *vote,
                       struct recovered *recovered, struct error_text *error) {
    const struct node_options *options = shard->node->options;
    const struct entry_tail *snapshot = &shard->node->recovery.tail;
    if (recovered->configuration_count == 0) {
        configuration_found(recovered, 0, &options->identity.members);
    }
    struct raft_options raft_options = {
        .node_id = options->identity.node_id,
        .seed = options->identity.incarnation ^ io_monotonic_ns(shard->io),
        .now_ns = io_monotonic_ns(shard->io),
        .term = vote->term,
        .voted_for = MUTANT(FORGETS_VOTE, 0, vote->voted_for),
        .compacted_index = snapshot->index,
        .compacted_term = snapshot->term,
        .last_index = log_last_index(shard->log),
        .snapshot = {.index = snapshot->index,
                     .term = snapshot->term,
                     .size_bytes = shard->node->recovery.snapshot_bytes},
        .term_runs = recovered->runs,
        .term_run_count = recovered->run_count,
        .configurations = recovered->configurations,
        .configuration_count = recovered->configuration_count,
        .election_timeout_ns = shard->election_timeout_ns,
        .heartbeat_ns = shard->election_timeout_ns / REPLICATE_HEARTBEATS,
        .clock_drift_per_mille = REPLICATE_CLOCK_DRIFT_PER_MILLE,
        .inflight_messages_max = inflight_messages_max(shard),
        .inflight_bytes_max = inflight_bytes_max(shard),
        .message_bytes_max = options->log.write_bytes_max,
        .snapshot_chunk_bytes = replicate_snapshot_chunk_bytes(shard),
        /* The rest is for what is committed and not yet applied. */
        .uncommitted_bytes_max = options->log.memory_bytes / 2,
        .window_entries = REPLICATE_WINDOW_ENTRIES,
    };
    const struct raft_configuration_entry *last =
        &recovered->configurations[recovered->configuration_count - 1];
    if (last->configuration.member_count != 1 && shard->links == NULL) {
        error_text_set(error,
                       "this cluster has %u members, and nothing says where they are: name their "
                       "addresses with --peers",
                       last->configuration.member_count);
        return WEIR_EUNSUPPORTED;
    }
    int result = peers_prepare(shard, &last->configuration);
    if (result == WEIR_OK) {
        result = raft_create(&shard->raft, &raft_options);
    }
    if (result == WEIR_ENOMEM) {
        error_text_set(error, "no memory for the replicate stage");
    } else if (result != WEIR_OK) {
        error_text_set(error,
                       "term and vote (term %lu) do not fit the log (last term %lu) in %s: "
                       "run 'weir inspect'",
                       vote->term, log_tail(shard->log)->term, options->data_directory);
    }
    return result;
}

/* Written when a larger value was configured than now: there is no memory for such an entry. */
static int entries_fit(const struct replicate_shard *shard, const struct recovered *recovered,
                       struct error_text *error) {
    const struct node_options *options = shard->node->options;
    ASSERT(options->log.entry_bytes_max > ENTRY_HEADER_BYTES);
    if (recovered->entry_bytes_largest <= options->log.entry_bytes_max) {
        return WEIR_OK;
    }
    error_text_set(error,
                   "the log in %s holds an entry of %u bytes, and proto-max-bulk-len is too small "
                   "for it: set it to what it was when that was written",
                   options->data_directory, recovered->entry_bytes_largest);
    return WEIR_EINVAL;
}

int replicate_start(void *state, struct error_text *error) {
    struct replicate_shard *shard = state;
    const struct node_options *options = shard->node->options;
    const struct node_recovery *recovery = &shard->node->recovery;
    shard->election_timeout_ns = election_timeout_ns(shard);
    shard->has_genesis = recovery->has_genesis;
    shard->genesis = recovery->genesis;
    /* The log's, two writes of the vote, the table of incarnations, one timer that may be replaced
       while it is due; of snapshots one that is sent, one that comes, one that is removed. */
    int result = io_port_create(shard->io, &shard->port, LOG_OPERATIONS_MAX + 12);
    if (result != WEIR_OK) {
        error_text_set(error, "no memory for the replicate stage");
        return result;
    }
    result = io_directory_open(shard->io, options->data_directory, false, &shard->directory, error);
    if (result != WEIR_OK) {
        return result;
    }
    struct vote_record record;
    result = vote_open(&shard->vote, shard->io, shard->port, shard->directory, &options->identity,
                       &record, error);
    if (result != WEIR_OK) {
        return result;
    }
    struct recovered *recovered = calloc(1, sizeof(*recovered));
    if (recovered == NULL) {
        error_text_set(error, "no memory for the replicate stage");
        return WEIR_ENOMEM;
    }
    recovered->shard = shard;
    if (recovery->configuration.member_count > 0) {
        configuration_found(recovered, recovery->tail.index, &recovery->configuration);
    }
    struct log_start start = {.tail = recovery->tail};
    result = log_open(&shard->log, shard->io, shard->port, shard->directory, &options->identity,
                      &start, &options->log, on_progress, on_entry, recovered, error);
    if (result == WEIR_OK) {
        result = entries_fit(shard, recovered, error);
    }
    if (result == WEIR_OK) {
        replicate_standing_start(shard, record.term);
        result = replicate_members_start(shard, record.term, error);
    }
    if (result == WEIR_OK) {
        result = core_create(shard, &record, recovered, error);
    }
    free(recovered);
    if (result != WEIR_OK) {
        return result;
    }
    result = replicate_snapshots_create(shard);
    if (result != WEIR_OK) {
        error_text_set(error, "no memory for the replicate stage");
        return result;
    }
    shard->handed = recovery->tail.index;
    shard->applied = recovery->tail.index;
    shard->stored = log_durable_index(shard->log);
    shard->log_epoch = raft_log_epoch(shard->raft);
    shard->compacted = recovery->tail.index;
    replicate_members_follow(shard);
    return result;
}
