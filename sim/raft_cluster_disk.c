/*
 * The modelled disk, and logs.
 *
 * The happy path: an append puts a write under way that holds a copy of its entries; carried out,
 * they are in the disk's log, and the core hears up to where that now reaches and in which epoch.
 * Truncations and installations are writes of the same queue, so that what is on the disk is at
 * any moment what the log in memory once was.
 *
 * Failure modes: a crash loses the queue, or carries out its beginning without a word.  A write
 * that was put under way while a vote was being stored waits for that vote, so that no entry
 * outlives the term that it was accepted in.
 */

#include "sim/raft_cluster_internal.h"

#include "base/checksum.h"

_Static_assert((CLUSTER_LOG_ENTRIES_MAX & (CLUSTER_LOG_ENTRIES_MAX - 1)) == 0, "a ring's size");

/* ---- logs --------------------------------------------------------------------------------- */

void cluster_log_init(struct cluster_log *log) {
    *log = (struct cluster_log){
        .entries = cluster_allocate(CLUSTER_LOG_ENTRIES_MAX, sizeof(*log->entries))};
}

static struct cluster_entry *place(const struct cluster_log *log, uint64_t index) {
    return &log->entries[index & (CLUSTER_LOG_ENTRIES_MAX - 1)];
}

const struct cluster_entry *cluster_log_at(const struct cluster_log *log, uint64_t index) {
    return index > log->base_index && index <= log->last_index ? place(log, index) : NULL;
}

bool cluster_log_term(const struct cluster_log *log, uint64_t index, uint64_t *term) {
    const struct cluster_entry *entry = cluster_log_at(log, index);
    if (entry == NULL && index != log->base_index)
        return false;
    *term = entry != NULL ? entry->term : log->base_term;
    return true;
}

bool cluster_log_chain(const struct cluster_log *log, uint64_t index, uint64_t *chain) {
    const struct cluster_entry *entry = cluster_log_at(log, index);
    if (entry == NULL && index != log->base_index)
        return false;
    *chain = entry != NULL ? entry->chain : log->base_chain;
    return true;
}

void cluster_log_append(struct cluster_log *log, const struct cluster_entry *entry) {
    ASSERT(log->last_index - log->base_index < CLUSTER_LOG_ENTRIES_MAX);
    log->last_index++;
    *place(log, log->last_index) = *entry;
}

void cluster_log_truncate(struct cluster_log *log, uint64_t index) {
    ASSERT(index >= log->base_index);
    if (index < log->last_index)
        log->last_index = index;
}

void cluster_log_compact(struct cluster_log *log, uint64_t index) {
    ASSERT(index <= log->last_index);
    if (index <= log->base_index)
        return;
    log->base_term = place(log, index)->term;
    log->base_chain = place(log, index)->chain;
    log->base_index = index;
}

void cluster_log_reset(struct cluster_log *log, uint64_t index, uint64_t term, uint64_t chain) {
    log->base_index = index;
    log->base_term = term;
    log->base_chain = chain;
    log->last_index = index;
}

void cluster_log_copy(struct cluster_log *log, const struct cluster_log *other) {
    struct cluster_entry *entries = log->entries;
    *log = *other;
    log->entries = entries;
    for (uint64_t i = log->base_index + 1; i <= log->last_index; i++)
        *place(log, i) = *place(other, i);
}

void cluster_entry_chain(struct cluster_entry *entry, uint64_t index, uint64_t previous_chain) {
    uint8_t bytes[4 * 8 + CLUSTER_PAYLOAD_BYTES + CONFIGURATION_BYTES_MAX] = {0};
    bytes_put_u64(bytes, index);
    bytes_put_u64(bytes + 8, entry->term);
    bytes_put_u64(bytes + 16, entry->length_bytes);
    bytes_put_u64(bytes + 24, entry->configuration != NULL);
    memcpy(bytes + 32, entry->payload, strlen(entry->payload));
    size_t length = 32 + CLUSTER_PAYLOAD_BYTES;
    if (entry->configuration != NULL)
        length += configuration_write(bytes + length, entry->configuration);
    entry->chain = checksum_64(bytes, length, previous_chain);
}

const struct configuration *cluster_log_configuration(const struct cluster_log *log,
                                                      const struct cluster_snapshot *snapshot,
                                                      uint64_t *index) {
    for (uint64_t i = log->last_index; i > log->base_index && i > snapshot->id.index; i--) {
        if (place(log, i)->configuration != NULL) {
            if (index != NULL)
                *index = i;
            return place(log, i)->configuration;
        }
    }
    if (index != NULL)
        *index = snapshot->id.index;
    return snapshot->configuration;
}

/* ---- putting under way -------------------------------------------------------------------- */

struct cluster_write *cluster_write_add(struct cluster *cluster, struct cluster_node *node,
                                        enum cluster_write_kind kind) {
    struct cluster_disk *disk = &node->disk;
    (void)cluster;
    ASSERT(disk->write_count < CLUSTER_WRITES_MAX);
    struct cluster_write *write = &disk->writes[disk->write_count++];
    *write =
        (struct cluster_write){.kind = kind, .epoch = node->epoch, .barrier = node->vote_number};
    return write;
}

void cluster_write_add_entries(struct cluster *cluster, struct cluster_node *node, uint64_t first,
                               uint64_t last) {
    ASSERT(first <= last);
    ASSERT(first > node->log.base_index && last <= node->log.last_index);
    struct cluster_write *write = cluster_write_add(cluster, node, CLUSTER_WRITE_ENTRIES);
    write->first = first;
    write->last = last;
    write->entries = cluster_allocate(last - first + 1, sizeof(*write->entries));
    for (uint64_t i = first; i <= last; i++)
        write->entries[i - first] = *place(&node->log, i);
}

void cluster_vote_add(struct cluster *cluster, struct cluster_node *node, uint64_t term,
                      uint64_t node_id) {
    struct cluster_disk *disk = &node->disk;
    cluster_check_vote(cluster, node, term, node_id);
    ASSERT(disk->vote_count < CLUSTER_VOTES_MAX);
    disk->votes[disk->vote_count++] =
        (struct cluster_vote){.term = term, .node_id = node_id, .number = ++node->vote_number};
}

/* ---- carrying out ------------------------------------------------------------------------- */

/* The oldest vote is on the disk. */
static struct cluster_vote vote_land(struct cluster *cluster, struct cluster_node *node) {
    struct cluster_disk *disk = &node->disk;
    ASSERT(disk->vote_count > 0);
    disk->vote = disk->votes[0];
    disk->vote_count--;
    memmove(disk->votes, disk->votes + 1, disk->vote_count * sizeof(disk->votes[0]));
    cluster_check_vote_landed(cluster, node, disk->vote.term, disk->vote.node_id);
    return disk->vote;
}

/* Removes the oldest write from the queue; its entries are freed. */
static void write_pop(struct cluster_disk *disk) {
    free(disk->writes[0].entries);
    disk->write_count--;
    memmove(disk->writes, disk->writes + 1, disk->write_count * sizeof(disk->writes[0]));
}

/* Entries of a write, up to index, are in the disk's log. */
static void entries_land(struct cluster_disk *disk, struct cluster_write *write, uint64_t index) {
    ASSERT(disk->log.last_index + 1 == write->first);
    for (uint64_t i = write->first; i <= index; i++)
        cluster_log_append(&disk->log, &write->entries[i - write->first]);
    memmove(write->entries, write->entries + (index + 1 - write->first),
            (size_t)(write->last - index) * sizeof(*write->entries));
    write->first = index + 1;
}

/* An installed snapshot takes the place of the log. */
static void install_land(struct cluster_disk *disk, const struct cluster_write *write) {
    disk->snapshot = write->snapshot;
    cluster_log_reset(&disk->log, write->snapshot.id.index, write->snapshot.id.term,
                      write->snapshot.chain);
    disk->receiving = (struct raft_snapshot){0};
    disk->received_bytes = 0;
}

/* A chunk that continues what is there is kept; one of another snapshot begins anew. */
static void chunk_land(struct cluster_disk *disk, const struct cluster_write *write) {
    const struct raft_snapshot *id = &write->snapshot.id;
    /* Two nodes' snapshots of one state need not be the same bytes. */
    if (disk->receiving.index != id->index || disk->receiving.term != id->term ||
        disk->receiving.size_bytes != id->size_bytes) {
        disk->receiving = *id;
        disk->received_bytes = 0;
    }
    if (write->first <= disk->received_bytes && write->last > disk->received_bytes)
        disk->received_bytes = write->last;
}

static void write_land(struct cluster_disk *disk) {
    struct cluster_write *write = &disk->writes[0];
    switch (write->kind) {
    case CLUSTER_WRITE_ENTRIES: entries_land(disk, write, write->last); break;
    case CLUSTER_WRITE_TRUNCATE: cluster_log_truncate(&disk->log, write->last); break;
    case CLUSTER_WRITE_CHUNK: chunk_land(disk, write); break;
    case CLUSTER_WRITE_INSTALL: install_land(disk, write); break;
    }
    write_pop(disk);
}

void cluster_disk_crash(struct cluster *cluster, struct cluster_node *node, uint32_t votes_kept,
                        uint32_t writes_kept) {
    struct cluster_disk *disk = &node->disk;
    while (disk->vote_count > 0 && votes_kept > 0) {
        (void)vote_land(cluster, node);
        votes_kept--;
    }
    while (disk->write_count > 0 && writes_kept > 0 &&
           disk->writes[0].barrier <= disk->vote.number) {
        write_land(disk);
        writes_kept--;
    }
    while (disk->write_count > 0)
        write_pop(disk);
    disk->vote_count = 0;
}

/* ---- reporting ---------------------------------------------------------------------------- */

bool cluster_vote_store(struct cluster *cluster, uint64_t id) {
    struct cluster_node *node = cluster_node(cluster, id);
    if (!cluster_node_runs(node) || node->disk.vote_count == 0)
        return false;
    struct cluster_vote vote = vote_land(cluster, node);
    cluster_outbox_flush(cluster, node);
    struct raft_event event = {
        .kind = RAFT_EVENT_VOTE_STORED, .term = vote.term, .node_id = vote.node_id};
    cluster_step(cluster, node, &event);
    return true;
}

void cluster_report_stored(struct cluster *cluster, uint64_t id, uint64_t index, uint64_t epoch) {
    struct cluster_node *node = cluster_node(cluster, id);
    struct raft_event event = {.kind = RAFT_EVENT_STORED, .index = index, .epoch = epoch};
    cluster_step(cluster, node, &event);
}

/* May the oldest write be carried out now? */
static bool write_ready(const struct cluster_node *node) {
    const struct cluster_disk *disk = &node->disk;
    return cluster_node_runs(node) && disk->write_count > 0 &&
           disk->writes[0].barrier <= disk->vote.number;
}

/* True if every byte of a snapshot that was being received is there, and its sum is right. */
static bool received_all(const struct cluster_disk *disk) {
    return disk->received_bytes == disk->receiving.size_bytes;
}

static void report_chunk(struct cluster *cluster, struct cluster_node *node,
                         const struct raft_snapshot *id) {
    const struct cluster_disk *disk = &node->disk;
    struct raft_event event = {.kind = RAFT_EVENT_SNAPSHOT_CHUNK,
                               .snapshot = *id,
                               .offset = disk->received_bytes,
                               .complete = received_all(disk)};
    cluster_step(cluster, node, &event);
}

/* The machine has the snapshot's state, and everything before it is done. */
static void report_installed(struct cluster *cluster, struct cluster_node *node,
                             const struct cluster_snapshot *snapshot, uint64_t epoch) {
    if (node->applied_index < snapshot->id.index) {
        node->applied_index = snapshot->id.index;
        node->applied_chain = snapshot->chain;
    }
    node->installing = false;
    cluster->counts.installs++;
    cluster_check_applied(cluster, node);
    struct raft_event event = {.kind = RAFT_EVENT_SNAPSHOT_INSTALLED, .snapshot = snapshot->id};
    cluster_step(cluster, node, &event);
    if (cluster_node_runs(node))
        cluster_report_stored(cluster, node->id, node->disk.log.last_index, epoch);
}

bool cluster_write_store(struct cluster *cluster, uint64_t id) {
    struct cluster_node *node = cluster_node(cluster, id);
    if (!write_ready(node))
        return false;
    struct cluster_write write = node->disk.writes[0];
    write_land(&node->disk);
    write.entries = NULL; /* freed by now */
    switch (write.kind) {
    case CLUSTER_WRITE_ENTRIES:
    case CLUSTER_WRITE_TRUNCATE:
        if (!node->installing)
            cluster_report_stored(cluster, id, write.last, write.epoch);
        break;
    case CLUSTER_WRITE_CHUNK: report_chunk(cluster, node, &write.snapshot.id); break;
    case CLUSTER_WRITE_INSTALL:
        report_installed(cluster, node, &write.snapshot, write.epoch);
        break;
    }
    return true;
}

bool cluster_write_store_to(struct cluster *cluster, uint64_t id, uint64_t index) {
    struct cluster_node *node = cluster_node(cluster, id);
    if (!write_ready(node))
        return false;
    struct cluster_write *write = &node->disk.writes[0];
    if (write->kind != CLUSTER_WRITE_ENTRIES || index < write->first || index > write->last)
        return false;
    if (index == write->last)
        return cluster_write_store(cluster, id);
    uint64_t epoch = write->epoch;
    entries_land(&node->disk, write, index);
    cluster_report_stored(cluster, id, index, epoch);
    return true;
}
