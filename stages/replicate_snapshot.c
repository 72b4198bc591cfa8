/*
 * Snapshots between members, and the log behind this node's own.
 *
 * Sending.  The core's SNAPSHOT names a piece; it is read from the file, one read at a time, those
 * for other members wait, and goes out with the configuration that stands in the file's header.
 *
 * Receiving.  A piece is copied in the step that brought it, and written; when that is done, or it
 * was of no use, the core is told how much is there.  When all is there, and judged:
 *
 *     NONE ──INSTALL──> WAITING ──> PLACING ──> RESTORING ──> NONE
 *
 *   WAITING    for a vote on its way to the disk, and for whoever still reads the old log
 *   PLACING    the file gets its name; from here on every start restores it
 *   RESTORING  the log begins again behind it, and apply restores the machine, which comes to that
 *              behind everything it was handed before.  Nothing is handed on, stored or appended.
 *
 * Compaction.  Once a snapshot of this node's is complete, applied, and the log durable up to it,
 * the log before it goes.  As leader it is kept for members that are behind; but never further back
 * than the snapshot before the newest one, so that a member that is gone keeps no more than what
 * two snapshots are apart.  A follower keeps that much, since it may lead next.
 *
 * Old snapshots.  The two newest files are kept, and those that are being sent: at most one for
 * each member, also for one that does not answer.
 *
 * Failure modes: a piece that cannot be read, or for which there is no room in the ring: lost, the
 * core asks again.  No space for what is received, a failing disk, wrong bytes: told as 0 bytes,
 * and the transfer begins again; of no space, or no file descriptor, the core is told, as where the
 * log has none, until there is some or nothing comes any more.  While placing or restoring: final.
 * No space for the log's new segment: waits until there is.
 */

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "stages/replicate_internal.h"
#include "stages/sessions.h"
#include "storage/format.h"
#include "storage/snapshot_receive.h"
#include "storage/snapshot_source.h"

enum {
    /* The two newest, one for each member, and the one that is coming. */
    SNAPSHOT_FILES_MAX = PEERS_MAX + 3,
    SNAPSHOT_FILES_KEPT = 2,
    SNAPSHOT_LOOK_NS = 50 * 1000 * 1000, /* between two looks at what the core wants */
    SNAPSHOT_REMOVE_TAG = 0x57524d53,    /* "WRMS" */
    /* A leader sends a piece that is not answered, or is answered with 0, again after T.  Whoever
       hears none for so many T is sent none any more. */
    SNAPSHOT_OFFER_TIMEOUTS = 5,
};

enum install_step { INSTALL_NONE, INSTALL_WAITING, INSTALL_PLACING, INSTALL_RESTORING };

static const uint8_t install_transitions[] = {
    [INSTALL_NONE] = 1 << INSTALL_WAITING,
    [INSTALL_WAITING] = 1 << INSTALL_PLACING,
    [INSTALL_PLACING] = 1 << INSTALL_RESTORING,
    [INSTALL_RESTORING] = 1 << INSTALL_NONE,
};

struct replicate_snapshots {
    /* Sending.  NULL in a cluster of one, as the receiver is. */
    struct snapshot_source *source;
    struct raft_message wanted[PEERS_MAX]; /* at most one to each member */
    uint32_t wanted_count;
    struct raft_message reading; /* while the source is not idle */

    struct snapshot_receiver *receiver;
    uint64_t offered_ns; /* when a piece last came */

    enum install_step step;
    struct raft_snapshot installing;
    uint64_t epoch;

    /* Compaction: the newest snapshot, and the one before it. */
    struct snapshot_record newest;
    uint64_t before;
    struct snapshot_record coming; /* complete, and not yet covered by what is durable here */

    /* Files, ascending. */
    uint64_t files[SNAPSHOT_FILES_MAX];
    uint32_t file_count;
    bool removing;
    uint64_t removing_index;
    char name[FILE_NAME_BYTES];

    uint64_t look_ns; /* when next at what the core wants */
};

static void install_move(struct replicate_snapshots *snapshots, enum install_step to) {
    ASSERT(install_transitions[snapshots->step] & 1 << to);
    snapshots->step = to;
}

bool replicate_installing(const struct replicate_shard *shard) {
    return shard->snapshots->step != INSTALL_NONE;
}

/* A multiple of what blocks are made of: the receiver writes past the page cache. */
uint32_t replicate_snapshot_chunk_bytes(const struct replicate_shard *shard) {
    return shard->node->options->log.write_bytes_max / BLOCK_BYTES_MAX * BLOCK_BYTES_MAX;
}

int replicate_snapshots_create(struct replicate_shard *shard) {
    struct replicate_snapshots *snapshots = calloc(1, sizeof(*snapshots));
    if (snapshots == NULL) {
        return WEIR_ENOMEM;
    }
    shard->snapshots = snapshots;
    const struct node_recovery *recovery = &shard->node->recovery;
    snapshots->newest = (struct snapshot_record){.index = recovery->tail.index,
                                                 .term = recovery->tail.term,
                                                 .size_bytes = recovery->snapshot_bytes};
    snapshots->before = recovery->tail.index;
    if (recovery->tail.index != 0) {
        snapshots->files[snapshots->file_count++] = recovery->tail.index;
    }
    if (shard->links == NULL) {
        return WEIR_OK;
    }
    const struct identity *identity = &shard->node->options->identity;
    int result =
        snapshot_source_create(&snapshots->source, shard->io, shard->port, shard->directory,
                               identity, replicate_snapshot_chunk_bytes(shard));
    if (result == WEIR_OK) {
        result =
            snapshot_receiver_create(&snapshots->receiver, shard->io, shard->port, shard->directory,
                                     identity, replicate_snapshot_chunk_bytes(shard));
    }
    return result;
}

void replicate_snapshots_destroy(struct replicate_shard *shard) {
    if (shard->snapshots == NULL) {
        return;
    }
    snapshot_source_destroy(shard->snapshots->source);
    snapshot_receiver_destroy(shard->snapshots->receiver);
    free(shard->snapshots);
    shard->snapshots = NULL;
}

/* ---- sending ------------------------------------------------------------------------------- */

void replicate_snapshot_send(struct replicate_shard *shard, const struct raft_message *message) {
    struct replicate_snapshots *snapshots = shard->snapshots;
    if (replicate_dispute_open(shard)) {
        shard->peers->dropped++; /* its data may be wrong; the core will ask again */
        return;
    }
    uint32_t at = 0;
    while (at < snapshots->wanted_count && snapshots->wanted[at].to != message->to) {
        at++;
    }
    if (at == PEERS_MAX) {
        shard->peers->dropped++;
        return;
    }
    snapshots->wanted_count += at == snapshots->wanted_count;
    snapshots->wanted[at] = *message;
}

static bool still_leads(const struct replicate_shard *shard, const struct raft_message *message) {
    return raft_role(shard->raft) == RAFT_LEADER && raft_term(shard->raft) == message->term;
}

/* The piece that was read goes out. */
static uint32_t send_read(struct replicate_shard *shard) {
    struct replicate_snapshots *snapshots = shard->snapshots;
    struct snapshot_source_piece piece;
    if (!snapshot_source_result(snapshots->source, &piece)) {
        return 0;
    }
    struct raft_message *message = &snapshots->reading;
    if (piece.bytes == NULL || piece.file_bytes != message->snapshot.size_bytes) {
        log_warn_limited("snapshot_not_sent", "peer=%lu index=%lu error=\"%s\"", message->to,
                         message->snapshot.index,
                         piece.bytes == NULL ? error_name(piece.error) : "another length");
        return 1;
    }
    if (!still_leads(shard, message)) {
        return 1;
    }
    message->configuration = piece.configuration;
    bool sent = replicate_message_put(shard, message, NULL, piece.bytes,
                                      ALIGN_UP((uint64_t)message->length_bytes, UINT64_C(8)));
    node_figure_add(&shard->node->replicate.snapshot_chunks_sent, sent);
    return 1;
}

static uint32_t send_turn(struct replicate_shard *shard) {
    struct replicate_snapshots *snapshots = shard->snapshots;
    uint32_t work = send_read(shard);
    while (snapshots->wanted_count > 0 && snapshot_source_idle(snapshots->source)) {
        /* The first that came. */
        snapshots->reading = snapshots->wanted[0];
        snapshots->wanted_count--;
        memmove(&snapshots->wanted[0], &snapshots->wanted[1],
                snapshots->wanted_count * sizeof(snapshots->wanted[0]));
        const struct raft_message *message = &snapshots->reading;
        if (still_leads(shard, message)) {
            snapshot_source_read(snapshots->source, message->snapshot.index, message->offset,
                                 message->length_bytes);
        }
        work++;
    }
    return work;
}

/* ---- receiving ----------------------------------------------------------------------------- */

void replicate_snapshot_chunk(struct replicate_shard *shard, const struct raft_message *message) {
    const struct peer_message *decoded = &shard->peers->decoded;
    ASSERT(decoded->message.kind == RAFT_MESSAGE_SNAPSHOT && decoded->payload != NULL);
    ASSERT(decoded->payload_bytes == message->length_bytes && !replicate_installing(shard));
    struct snapshot_piece piece = {.index = message->snapshot.index,
                                   .term = message->snapshot.term,
                                   .size_bytes = message->snapshot.size_bytes,
                                   .offset = message->offset,
                                   .length_bytes = message->length_bytes};
    shard->snapshots->offered_ns = shard->now_ns;
    snapshot_receive(shard->snapshots->receiver, &piece, decoded->payload);
}

bool replicate_snapshot_out_of_room(const struct replicate_shard *shard) {
    const struct replicate_snapshots *snapshots = shard->snapshots;
    return raft_role(shard->raft) != RAFT_LEADER && snapshots->receiver != NULL &&
           snapshot_receiver_out_of_room(snapshots->receiver) &&
           shard->now_ns - snapshots->offered_ns <
               SNAPSHOT_OFFER_TIMEOUTS * shard->election_timeout_ns;
}

/* What is whole may still be something that this node cannot be; NULL: it can. */
static const char *whole_judge(const struct replicate_shard *shard) {
    const struct snapshot_meta *meta = snapshot_receiver_meta(shard->snapshots->receiver);
    const struct machine_operations *machine = shard->node->options->machine;
    if (strcmp(meta->machine_name, machine->name) != 0) {
        return "a member sends a snapshot of another machine: all members must run the same one";
    }
    if (meta->machine_version > machine->version ||
        meta->session_version > SESSION_SNAPSHOT_VERSION) {
        return "a member sends a snapshot of a newer version of weir: update this node";
    }
    if (shard->serving && meta->genesis.hash_seed != shard->genesis.hash_seed) {
        return "a member sends a snapshot of another history than this node's: run 'weir inspect' "
               "on both";
    }
    return NULL;
}

static uint32_t report(struct replicate_shard *shard) {
    struct replicate_snapshots *snapshots = shard->snapshots;
    struct snapshot_piece piece;
    bool whole;
    if (!snapshot_receiver_report(snapshots->receiver, &piece, &whole)) {
        return 0;
    }
    struct snapshot_receiver_counters counters;
    struct node_replicate_figures *figures = &shard->node->replicate;
    snapshot_receiver_counters(snapshots->receiver, &counters);
    node_figure_set(&figures->snapshot_chunks_received, counters.pieces);
    node_figure_set(&figures->snapshot_bytes_resumed, counters.resumed);
    if (counters.refused > node_figure(&figures->snapshots_refused) ||
        (piece.offset == 0 && snapshot_receiver_index(snapshots->receiver) == 0) ||
        snapshot_receiver_out_of_room(snapshots->receiver)) {
        log_warn_limited("snapshot_not_received", "what=\"%s\"",
                         snapshot_receiver_error(snapshots->receiver));
    }
    node_figure_set(&figures->snapshots_refused, counters.refused);
    const char *sentence = whole ? whole_judge(shard) : NULL;
    if (sentence != NULL) {
        replicate_fail(shard, sentence);
        return 1;
    }
    struct raft_event event = {
        .kind = RAFT_EVENT_SNAPSHOT_CHUNK,
        .snapshot = {.index = piece.index, .term = piece.term, .size_bytes = piece.size_bytes},
        .offset = piece.offset,
        .complete = whole};
    replicate_step(shard, &event);
    return 1;
}

/* What is there, or was, is of no use once so much is applied. */
static uint32_t receive_turn(struct replicate_shard *shard) {
    struct replicate_snapshots *snapshots = shard->snapshots;
    uint32_t work = report(shard);
    enum snapshot_receiver_state state = snapshot_receiver_state(snapshots->receiver);
    if (!replicate_installing(shard) && !shard->failed &&
        (state == SNAPSHOT_RECEIVER_OPEN || state == SNAPSHOT_RECEIVER_WHOLE) &&
        snapshot_receiver_index(snapshots->receiver) <= shard->applied) {
        snapshot_receiver_drop(snapshots->receiver);
        work++;
    }
    return work;
}

/* ---- installing ---------------------------------------------------------------------------- */

void replicate_snapshot_install(struct replicate_shard *shard, const struct raft_snapshot *snapshot,
                                uint64_t epoch) {
    struct replicate_snapshots *snapshots = shard->snapshots;
    ASSERT(snapshot_receiver_state(snapshots->receiver) == SNAPSHOT_RECEIVER_WHOLE);
    ASSERT(snapshot_receiver_index(snapshots->receiver) == snapshot->index);
    ASSERT(snapshot->index > shard->handed);
    install_move(snapshots, INSTALL_WAITING);
    snapshots->installing = *snapshot;
    snapshots->epoch = epoch;
    replicate_incoming_drop(shard);
    replicate_abandon(shard); /* a follower has nothing waiting but what is being encoded */
}

/* Nobody reads the old log, or is going to change it. */
static bool log_is_quiet(struct replicate_shard *shard) {
    if (shard->reader == READER_CATCH_UP) {
        uint64_t first_index;
        uint32_t count;
        size_t length_bytes;
        int error;
        if (!log_read_result(shard->log, &first_index, &count, &length_bytes, &error)) {
            return false;
        }
        shard->reader = READER_NOBODY; /* the snapshot has it */
    }
    return shard->reader == READER_NOBODY && !replicate_vote_pending(shard) &&
           !replicate_log_behind(shard) && shard->encode.batch == NULL;
}

/* The file has its name: the log and the machine follow. */
static bool restoring_begin(struct replicate_shard *shard) {
    struct replicate_snapshots *snapshots = shard->snapshots;
    /* Half of the ring is for the batches. */
    if (ring_depth(shard->to_apply) >= ring_capacity(shard->to_apply) / 2) {
        return false;
    }
    const struct snapshot_meta *meta = snapshot_receiver_meta(snapshots->receiver);
    ASSERT(meta->tail.index == snapshots->installing.index);
    shard->genesis = meta->genesis;
    shard->has_genesis = true;
    shard->genesis_index = 0;
    struct apply_item item = {.first_index = meta->tail.index, .batch = BATCH_NO_BLOCK};
    uint32_t taken = ring_apply_enqueue(shard->to_apply, &item, 1);
    ASSERT(taken == 1);
    node_figure_add(&shard->node->replicate.snapshots_placed, 1);
    install_move(snapshots, INSTALL_RESTORING);
    return true;
}

/* Apply has left the old log's memory when it has restored: only then is it used again. */
static void restoring_end(struct replicate_shard *shard) {
    struct replicate_snapshots *snapshots = shard->snapshots;
    uint64_t index = snapshots->installing.index;
    shard->handed = index;
    shard->applied = index;
    shard->stored = index;
    shard->compacted = index;
    shard->catch_up_last = 0;
    shard->log_epoch = snapshots->epoch;
    shard->stored_again = true;
    snapshots->before = index;
    snapshots->newest = (struct snapshot_record){.index = index,
                                                 .term = snapshots->installing.term,
                                                 .size_bytes = snapshots->installing.size_bytes};
    snapshots->coming.index = 0;
    snapshot_receiver_release(snapshots->receiver);
    install_move(snapshots, INSTALL_NONE);
    log_info("snapshot_installed", "index=%lu term=%lu bytes=%lu", index,
             snapshots->installing.term, snapshots->installing.size_bytes);
    node_figure_set(&shard->node->replicate.compacted_index, index);
    node_figure_set(&shard->node->replicate.commit_index, index);
    struct raft_event event = {.kind = RAFT_EVENT_SNAPSHOT_INSTALLED,
                               .snapshot = snapshots->installing};
    replicate_step(shard, &event);
    replicate_serve_if_due(shard);
}

/* Whether one more file may be noted.  Files may come faster than the disk removes them, one at a
 * time: then the next one waits. */
static bool file_has_room(const struct replicate_snapshots *snapshots) {
    return snapshots->file_count < SNAPSHOT_FILES_MAX;
}

static void file_noted(struct replicate_snapshots *snapshots, uint64_t index) {
    uint32_t count = snapshots->file_count;
    if (count > 0 && snapshots->files[count - 1] >= index) {
        return;
    }
    ASSERT(count < SNAPSHOT_FILES_MAX);
    snapshots->files[snapshots->file_count++] = index;
}

static uint32_t install_turn(struct replicate_shard *shard) {
    struct replicate_snapshots *snapshots = shard->snapshots;
    switch (snapshots->step) {
    case INSTALL_NONE: return 0;
    case INSTALL_WAITING:
        if (shard->stop_started || !log_is_quiet(shard)) {
            return 0;
        }
        install_move(snapshots, INSTALL_PLACING);
        snapshot_receiver_place(snapshots->receiver);
        return 1;
    case INSTALL_PLACING:
        if (snapshot_receiver_state(snapshots->receiver) == SNAPSHOT_RECEIVER_FAILED) {
            replicate_fail(shard, snapshot_receiver_error(snapshots->receiver));
            return 1;
        }
        if (snapshot_receiver_state(snapshots->receiver) != SNAPSHOT_RECEIVER_PLACED ||
            shard->stop_started || !file_has_room(snapshots) || !restoring_begin(shard)) {
            return 0;
        }
        file_noted(snapshots, snapshots->installing.index);
        log_restart(shard->log, &snapshot_receiver_meta(snapshots->receiver)->tail);
        return 1;
    case INSTALL_RESTORING:
        if (log_truncating(shard->log) ||
            node_applied_learn(&shard->node->signals) != snapshots->installing.index) {
            return 0;
        }
        restoring_end(shard);
        return 1;
    }
    UNREACHABLE("a step of the table");
}

/* ---- compaction ---------------------------------------------------------------------------- */

static void compact(struct replicate_shard *shard, uint64_t index) {
    struct replicate_snapshots *snapshots = shard->snapshots;
    ASSERT(index <= snapshots->newest.index);
    shard->compacted = index > shard->compacted ? index : shard->compacted;
    log_compact(shard->log, shard->compacted);
    node_figure_set(&shard->node->replicate.compacted_index, shard->compacted);
    struct raft_event event = {.kind = RAFT_EVENT_COMPACTED,
                               .index = shard->compacted,
                               .snapshot = {.index = snapshots->newest.index,
                                            .term = snapshots->newest.term,
                                            .size_bytes = snapshots->newest.size_bytes}};
    replicate_step(shard, &event);
}

/* Up to where the log may go: see above. */
static uint64_t compactable(const struct replicate_shard *shard) {
    const struct replicate_snapshots *snapshots = shard->snapshots;
    if (raft_role(shard->raft) != RAFT_LEADER) {
        return snapshots->before;
    }
    uint64_t needed = raft_needed_index(shard->raft);
    uint64_t index = needed > snapshots->newest.index ? snapshots->newest.index : needed - 1;
    return index > snapshots->before ? index : snapshots->before;
}

static uint32_t compact_turn(struct replicate_shard *shard) {
    struct replicate_snapshots *snapshots = shard->snapshots;
    struct snapshot_record record;
    if (file_has_room(snapshots) && snapshot_box_take(&shard->node->snapshots, &record)) {
        /* One that waited in the box may be older than what was installed meanwhile: it is not
         * needed any more, and the next start removes its file. */
        if (record.index > snapshots->newest.index) {
            snapshots->coming = record;
            file_noted(snapshots, record.index);
        }
    }
    if (snapshots->coming.index != 0 && snapshots->coming.index <= shard->applied &&
        snapshots->coming.index <= log_durable_index(shard->log)) {
        snapshots->before = snapshots->newest.index;
        snapshots->newest = snapshots->coming;
        snapshots->coming.index = 0;
        compact(shard, compactable(shard));
        return 1;
    }
    /* Who was behind has caught up: the rest may go, too. */
    if (shard->compacted < snapshots->newest.index &&
        compactable(shard) == snapshots->newest.index) {
        compact(shard, snapshots->newest.index);
        return 1;
    }
    return 0;
}

/* Removes the oldest file that nobody needs, if there is one; one at a time. */
static void files_turn(struct replicate_shard *shard) {
    struct replicate_snapshots *snapshots = shard->snapshots;
    for (uint32_t i = 0; !snapshots->removing && i + SNAPSHOT_FILES_KEPT < snapshots->file_count;
         i++) {
        uint64_t index = snapshots->files[i];
        bool is_read = snapshots->source != NULL && !snapshot_source_idle(snapshots->source) &&
                       snapshots->reading.snapshot.index == index;
        if (index >= snapshots->newest.index || raft_snapshot_needed(shard->raft, index) ||
            is_read) {
            continue;
        }
        if (snapshots->source != NULL) {
            snapshot_source_forget(snapshots->source, index);
        }
        snapshots->removing = true;
        snapshots->removing_index = index;
        snapshot_name(snapshots->name, index);
        io_file_remove(shard->port, shard->directory, snapshots->name,
                       (uint64_t)SNAPSHOT_REMOVE_TAG << 32);
    }
}

static void file_removed(struct replicate_snapshots *snapshots, int32_t result) {
    snapshots->removing = false;
    if (result < 0) {
        log_warn("snapshot_not_removed", "snapshot=%s errno=%d", snapshots->name, -result);
    }
    uint32_t at = 0;
    while (at < snapshots->file_count && snapshots->files[at] != snapshots->removing_index) {
        at++;
    }
    ASSERT(at < snapshots->file_count);
    snapshots->file_count--; /* or the next start finds it */
    memmove(&snapshots->files[at], &snapshots->files[at + 1],
            (snapshots->file_count - at) * sizeof(snapshots->files[0]));
}

/* Asks apply for a snapshot, if the core wants one. */
static void wanted_turn(struct replicate_shard *shard) {
    struct replicate_snapshots *snapshots = shard->snapshots;
    if (shard->now_ns < snapshots->look_ns) {
        return;
    }
    snapshots->look_ns = shard->now_ns + SNAPSHOT_LOOK_NS;
    uint64_t wanted = raft_snapshot_wanted(shard->raft);
    uint64_t *signal = &shard->node->signals.snapshot_wanted;
    if (wanted == atomic_load_relaxed_u64(signal)) {
        return;
    }
    atomic_store_relaxed_u64(signal, wanted);
    if (wanted != 0 && ring_depth(shard->to_apply) < ring_capacity(shard->to_apply) / 2) {
        struct apply_item nudge = {.batch = BATCH_NO_BLOCK};
        (void)ring_apply_enqueue(shard->to_apply, &nudge, 1);
    }
}

/* ---- the turn ------------------------------------------------------------------------------ */

bool replicate_snapshot_completion(struct replicate_shard *shard,
                                   const struct io_completion *completion) {
    struct replicate_snapshots *snapshots = shard->snapshots;
    if (completion->user >> 32 == SNAPSHOT_REMOVE_TAG) {
        file_removed(snapshots, completion->result);
        return true;
    }
    return snapshots->source != NULL &&
           (snapshot_source_completion(snapshots->source, completion) ||
            snapshot_receiver_completion(snapshots->receiver, completion));
}

void replicate_snapshot_stop(struct replicate_shard *shard) {
    if (shard->snapshots->receiver != NULL) {
        snapshot_receiver_stop(shard->snapshots->receiver);
    }
}

uint32_t replicate_snapshot_turn(struct replicate_shard *shard) {
    if (shard->failed || shard->stop_started) {
        return 0;
    }
    uint32_t work = 0;
    if (shard->links != NULL) {
        work += receive_turn(shard);
        work += install_turn(shard);
        work += send_turn(shard);
        wanted_turn(shard);
    }
    if (!shard->failed && !replicate_installing(shard)) {
        work += compact_turn(shard);
        files_turn(shard);
    }
    return work;
}
