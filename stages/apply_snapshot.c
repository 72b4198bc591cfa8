/*
 * Snapshots of the machine: restored at start, taken while applying.
 *
 * Happy path of taking one: the log has grown by the configured bytes; the machine fixes its state
 * between two items; at each poll it emits a slice into the writer's buffers as far as these have
 * room; after the last slice the writer seals the file, and replicate may drop the log before it.
 *
 * The rate.  Slices wait for it (storage/snapshot.h), but for those that a command waits for, which
 * changes what is not written yet: clients wait for the disk, never for the rate.
 *
 * Failure modes: the writer fails (disk full), or the machine has no memory for it: nothing
 * remains, the node goes on, the next one is tried when the log has grown again, or, if a member
 * needs it, a second later.  The data may be wrong, or are (apply_digest.c): none is begun, and the
 * one under way is given up.
 */

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mutant.h"
#include "stages/apply_internal.h"
#include "stages/node_settings.h"

enum {
    RESTORE_UNITS = 1 << 20, /* at start nobody waits */
    SNAPSHOT_TAKE_MAX = 8,
    /* One that a member needs and that failed, for want of room, is not tried again at once. */
    SNAPSHOT_RETRY_NS = 1000 * 1000 * 1000,
};

/* ---- taking -------------------------------------------------------------------------------- */

static uint8_t *sink_reserve(void *context, uint32_t length_bytes) {
    struct apply_snapshot *snapshot = context;
    uint8_t *room = snapshot_reserve(snapshot->writer, length_bytes);
    snapshot->starved = room == NULL;
    snapshot->full = room == NULL;
    return room;
}

static void sink_commit(void *context, uint32_t length_bytes) {
    snapshot_commit(((struct apply_snapshot *)context)->writer, length_bytes);
}

static struct machine_sink sink_of(struct apply_shard *shard) {
    return (struct machine_sink){
        .context = &shard->snapshot, .reserve = sink_reserve, .commit = sink_commit};
}

/* The addresses as they were at the beginning; false if there is no room yet. */
static bool addresses_emit(struct apply_shard *shard) {
    struct apply_snapshot *snapshot = &shard->snapshot;
    if (snapshot->address_bytes == 0) {
        return true;
    }
    uint8_t *out = sink_reserve(snapshot, snapshot->address_bytes);
    if (out == NULL) {
        return false;
    }
    memcpy(out, snapshot->address_record, snapshot->address_bytes);
    snapshot_commit(snapshot->writer, snapshot->address_bytes);
    snapshot->address_bytes = 0;
    return true;
}

bool apply_session_release(struct apply_shard *shard, uint32_t slot) {
    if (!sessions_needs_emit(shard->sessions, slot)) {
        return true;
    }
    ASSERT(shard->snapshot.emitting);
    if (!addresses_emit(shard)) {
        return false; /* they come first */
    }
    struct machine_sink sink = sink_of(shard);
    return sessions_emit(shard->sessions, slot, &sink);
}

/* Nothing came of it. */
static void snapshot_failed(struct apply_shard *shard, uint64_t now_ns) {
    struct apply_snapshot *snapshot = &shard->snapshot;
    node_figure_add(&shard->node->apply.snapshot_failures, 1);
    /* Whoever has asked for it still does. */
    snapshot->index = node_figure(&shard->node->apply.snapshot_index);
    snapshot->retry_ns = now_ns + SNAPSHOT_RETRY_NS;
}

static void snapshot_start(struct apply_shard *shard, uint64_t now_ns) {
    struct apply_snapshot *snapshot = &shard->snapshot;
    struct machine_moment moment = {.index = shard->tail.index,
                                    .log_time_ms = shard->tail.log_time_ms,
                                    .clock_ms = shard->tail.log_time_ms};
    snapshot->log_bytes = 0; /* also if it fails: try again when the log has grown again */
    if (shard->operations->snapshot_begin(shard->machine, &moment) != WEIR_OK) {
        log_warn_limited("snapshot_failed", "what=\"the machine has no memory for it\"");
        snapshot_failed(shard, now_ns);
        return;
    }
    ASSERT(shard->configuration.member_count > 0);
    struct snapshot_meta meta = {
        .tail = shard->tail,
        .configuration = shard->configuration,
        .genesis = shard->genesis,
        .machine_version = shard->operations->version,
        .digest_count = shard->genesis.partition_count,
        .session_bytes = MUTANT(FORGETS_SESSIONS, 0, sessions_snapshot_begin(shard->sessions))};
    struct peers *peers = pipeline_peers(shard->pipeline);
    if (peers != NULL) { /* who begins from it has no table of incarnations */
        peers_incarnations_fill(peers, &shard->node->options->identity, &meta.configuration);
    }
    snapshot->address_bytes = addresses_record_bytes(&shard->node->addresses);
    if (snapshot->address_bytes > 0) {
        addresses_record_write(&shard->node->addresses, snapshot->address_record);
        meta.session_bytes += snapshot->address_bytes;
    }
    meta.session_version = meta.session_bytes > 0 ? SESSION_SNAPSHOT_VERSION : 0;
    snprintf(meta.machine_name, sizeof(meta.machine_name), "%s", shard->operations->name);
    uint32_t partitions = UINT32_C(1) << shard->operations->partition_bits_max;
    for (uint32_t i = 0; i < meta.digest_count && i < partitions; i++) {
        meta.digests[i] = shard->operations->digest(shard->machine, i);
    }
    snapshot_begin(snapshot->writer, &meta);
    snapshot->index = shard->tail.index;
    snapshot->emitting = true;
    node_figure_set(&shard->node->apply.snapshot_running, 1);
    log_info("snapshot_begin", "index=%lu", snapshot->index);
}

static void snapshot_over(struct apply_shard *shard, bool complete, uint64_t now_ns) {
    struct apply_snapshot *snapshot = &shard->snapshot;
    if (snapshot->emitting) {
        shard->operations->snapshot_end(shard->machine);
    }
    sessions_snapshot_end(shard->sessions);
    snapshot->emitting = false;
    snapshot->sealing = false;
    node_figure_set(&shard->node->apply.snapshot_running, 0);
    if (complete) {
        node_figure_set(&shard->node->apply.snapshot_index, snapshot->index);
        node_figure_add(&shard->node->apply.snapshots, 1);
        snapshot->untold =
            (struct snapshot_record){.index = snapshot->index,
                                     .term = snapshot_writer_meta(snapshot->writer)->tail.term,
                                     .size_bytes = snapshot_writer_file_bytes(snapshot->writer)};
        log_info("snapshot_complete", "index=%lu bytes=%lu", snapshot->index,
                 snapshot_writer_meta(snapshot->writer)->machine_bytes);
    } else {
        log_warn("snapshot_failed", "index=%lu what=\"%s\"", snapshot->index,
                 snapshot_error(snapshot->writer));
        snapshot_failed(shard, now_ns);
    }
}

static bool take_completions(struct apply_shard *shard) {
    struct io_completion completions[SNAPSHOT_TAKE_MAX];
    uint32_t count = io_take(shard->port, completions, SNAPSHOT_TAKE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (completions[i].kind == IO_TIMER) {
            if (completions[i].result == 0) {
                shard->snapshot.timer_ns = 0;
            }
            continue;
        }
        bool taken = snapshot_completion(shard->snapshot.writer, &completions[i]) ||
                     snapshot_stream_completion(shard->install.stream, &completions[i]);
        ASSERT(taken);
    }
    return count > 0;
}

void apply_snapshot_forsake(struct apply_shard *shard) {
    struct apply_snapshot *snapshot = &shard->snapshot;
    if (snapshot->emitting) {
        shard->operations->snapshot_end(shard->machine);
    }
    if (snapshot->emitting || snapshot->sealing) {
        sessions_snapshot_end(shard->sessions);
        snapshot_abandon(snapshot->writer);
        snapshot->emitting = false;
        snapshot->sealing = false;
        node_figure_set(&shard->node->apply.snapshot_running, 0);
        log_warn("snapshot_given_up", "index=%lu", snapshot->index);
        /* Whoever has asked for it still does. */
        snapshot->index = node_figure(&shard->node->apply.snapshot_index);
    }
}

bool apply_snapshot_quiet(struct apply_shard *shard) {
    ASSERT(!shard->snapshot.emitting && !shard->snapshot.sealing);
    enum snapshot_state state = snapshot_poll(shard->snapshot.writer, shard->now_ns);
    return state != SNAPSHOT_WRITING && state != SNAPSHOT_SEALING;
}

/* A member needs one, and this node could give it. */
static bool snapshot_wanted(const struct apply_shard *shard) {
    uint64_t wanted = atomic_load_relaxed_u64(&shard->node->signals.snapshot_wanted);
    return wanted > shard->snapshot.index && wanted <= shard->tail.index;
}

/* The log has grown by so much since the last one, or a member needs one. */
static bool snapshot_due(const struct apply_shard *shard, uint64_t now_ns) {
    uint64_t trigger = node_snapshot_log_bytes(shard->node);
    if (shard->work.active || shard->machine == NULL ||
        atomic_load_relaxed_u32(&shard->node->signals.stopping) != 0) {
        return false;
    }
    return (trigger != 0 && shard->snapshot.log_bytes >= trigger) ||
           (snapshot_wanted(shard) && now_ns >= shard->snapshot.retry_ns);
}

/* Sees to it that the next turn comes in time, also if nothing else happens until then. */
static void timer_arm(struct apply_shard *shard, uint64_t now_ns) {
    struct apply_snapshot *snapshot = &shard->snapshot;
    uint64_t due_ns = UINT64_MAX;
    if (shard->install.step == APPLY_INSTALL_STARVED) {
        due_ns = shard->install.retry_ns;
    } else if (snapshot->emitting) {
        due_ns = snapshot_pace_ns(snapshot->writer);
    } else if (!snapshot->sealing && snapshot_wanted(shard)) {
        due_ns = snapshot->retry_ns;
    }
    if (snapshot->resting || due_ns <= now_ns || due_ns == UINT64_MAX) {
        return;
    }
    /* One that is set for something earlier finds the new deadline when it is due. */
    if (snapshot->timer_ns == 0 || due_ns < snapshot->timer_ns) {
        snapshot->timer_ns = due_ns;
        io_timer_set(shard->port, due_ns, 0);
    }
}

/* Whether the next slice has to wait for the rate: not if a command may wait for the slice, or the
 * machine's housekeeping, and not at a stop. */
static bool is_paced(const struct apply_shard *shard, uint64_t now_ns) {
    const struct apply_snapshot *snapshot = &shard->snapshot;
    return !snapshot->awaited && !shard->maintaining && !snapshot->resting &&
           now_ns < snapshot_pace_ns(snapshot->writer);
}

static bool snapshot_turn(struct apply_shard *shard, uint64_t now_ns) {
    struct apply_snapshot *snapshot = &shard->snapshot;
    bool worked = take_completions(shard);
    snapshot->full &= !worked;
    apply_digest_turn(shard);
    if (snapshot->untold.index != 0 &&
        snapshot_box_put(&shard->node->snapshots, &snapshot->untold)) {
        snapshot->untold.index = 0;
        apply_note_send(shard);
    }
    if (apply_digest_in_doubt(shard)) {
        apply_snapshot_forsake(shard);
        return worked;
    }
    if (apply_installing(shard)) {
        return worked;
    }
    if (!snapshot->emitting && !snapshot->sealing) {
        /* One that was given up may still have writes under way. */
        if (snapshot_due(shard, now_ns) && apply_snapshot_quiet(shard)) {
            snapshot_start(shard, now_ns);
            return true;
        }
        return worked;
    }
    enum snapshot_state state = snapshot_poll(snapshot->writer, now_ns);
    if (state == SNAPSHOT_FAILED || state == SNAPSHOT_COMPLETE) {
        snapshot_over(shard, state == SNAPSHOT_COMPLETE, now_ns);
        return true; /* and here again, to tell replicate */
    }
    if (snapshot->emitting && state == SNAPSHOT_WRITING && !is_paced(shard, now_ns)) {
        struct machine_sink sink = sink_of(shard);
        snapshot->starved = false;
        snapshot->awaited = false;
        /* These come first: what their section holds is over before the machine's begins. */
        if (!addresses_emit(shard) || sessions_emit_on(shard->sessions, &sink) == MACHINE_MORE) {
            return worked || !snapshot->starved;
        }
        enum machine_progress progress =
            shard->operations->snapshot_emit(shard->machine, &sink, APPLY_EMIT_UNITS);
        if (progress == MACHINE_DONE) {
            shard->operations->snapshot_end(shard->machine);
            snapshot->emitting = false;
            snapshot->sealing = true;
            snapshot_finish(snapshot->writer);
            snapshot->starved = false;
        }
        return worked || !snapshot->starved; /* a completion makes room, and wakes us */
    }
    return worked;
}

bool apply_snapshot_turn(struct apply_shard *shard, uint64_t now_ns) {
    bool worked = snapshot_turn(shard, now_ns);
    if (!worked) {
        timer_arm(shard, now_ns);
    }
    return worked;
}

bool apply_maintain_turn(struct apply_shard *shard, uint32_t *units) {
    if (!shard->maintaining || shard->machine == NULL || *units == 0) {
        return false;
    }
    shard->maintaining = shard->operations->maintain(shard->machine, shard->tail.log_time_ms,
                                                     *units) == MACHINE_MORE;
    if (!shard->maintaining) {
        return true;
    }
    *units = 0;
    return !shard->snapshot.full; /* it may wait for an emit, and that for a completion */
}

bool apply_snapshot_rest(struct apply_shard *shard, uint64_t now_ns) {
    shard->snapshot.resting = true;
    if (shard->snapshot.timer_ns != 0) {
        shard->snapshot.timer_ns = 0;
        io_timer_stop(shard->port);
    }
    /* One under way is carried through: it is nearly always nearly done, and then it is of use. */
    if (shard->snapshot.emitting || shard->snapshot.sealing || apply_digest_in_doubt(shard)) {
        apply_snapshot_turn(shard, now_ns);
    } else {
        (void)take_completions(shard);
    }
    return !shard->snapshot.emitting && !shard->snapshot.sealing &&
           io_outstanding(shard->port) == 0;
}

/* ---- restoring ----------------------------------------------------------------------------- */

/* Says so if the largest value is not the one configured. */
static void tell_value_bytes_max(uint32_t agreed, uint32_t configured) {
    ASSERT(agreed <= ENTRY_VALUE_BYTES_MAX);
    ASSERT(configured > 0 && configured <= ENTRY_VALUE_BYTES_MAX);
    if (agreed == 0) {
        log_warn("largest_value_not_agreed",
                 "configured=%u what=\"the data directory is of a version that agreed on none: "
                 "proto-max-bulk-len must stay what it was, the same on all members\"",
                 configured);
    } else if (configured > agreed) {
        log_warn("largest_value",
                 "configured=%u in_force=%u what=\"the log has agreed on this for ever, at the "
                 "first start: no value becomes larger\"",
                 configured, agreed);
    } else if (configured < agreed) {
        log_warn("largest_value",
                 "configured=%u agreed=%u what=\"no argument here may be larger than what is "
                 "configured, but values become as large as is agreed; a member that is sent a "
                 "larger argument by the leader cannot follow it\"",
                 configured, agreed);
    }
}

int apply_machine_make(struct apply_shard *shard, const struct entry_genesis *genesis) {
    struct machine_options options = shard->node->options->machine_options;
    tell_value_bytes_max(genesis->value_bytes_max, options.value_bytes_max);
    options.hash_seed = genesis->hash_seed;
    if (genesis->value_bytes_max != 0) {
        options.value_bytes_max = genesis->value_bytes_max;
    }
    options.partition_bits = (uint32_t)__builtin_ctz(genesis->partition_count);
    if (options.partition_bits > shard->operations->partition_bits_max) {
        options.partition_bits = shard->operations->partition_bits_max;
    }
    shard->genesis = *genesis;
    return shard->operations->create(&shard->machine, &shard->host, &options);
}

int apply_records_restore(struct apply_shard *shard, const struct snapshot_meta *meta, bool first,
                          const uint8_t *bytes, size_t length_bytes, size_t *consumed) {
    if (meta->session_version == 0 || meta->session_version > SESSION_SNAPSHOT_VERSION) {
        return WEIR_EVERSION;
    }
    if (first && meta->session_version > 1 && addresses_record_is(bytes, length_bytes)) {
        return addresses_restore(&shard->node->addresses, bytes, length_bytes, consumed);
    }
    return sessions_restore_slice(shard->sessions, bytes, length_bytes, consumed);
}

/* The records of one block. */
static int restore_records(struct apply_shard *shard, const struct snapshot_meta *meta, bool first,
                           const uint8_t *bytes, size_t length_bytes) {
    int result = WEIR_OK;
    while (length_bytes > 0 && result == WEIR_OK) {
        size_t consumed = 0;
        result = apply_records_restore(shard, meta, first, bytes, length_bytes, &consumed);
        first = false;
        bytes += consumed;
        length_bytes -= consumed;
    }
    return result;
}

/* Restores what of a block is the sessions', of which *left bytes are to come; moves behind it. */
static int restore_sessions(struct apply_shard *shard, const struct snapshot_meta *meta,
                            uint64_t *left, const uint8_t **bytes, size_t *length,
                            struct error_text *error) {
    size_t taken = *left < *length ? (size_t)*left : *length;
    if (taken == 0) {
        return WEIR_OK;
    }
    int result = restore_records(shard, meta, *left == meta->session_bytes, *bytes, taken);
    if (result != WEIR_OK) {
        error_text_set(error,
                       "the client sessions in the snapshot at index %lu cannot be restored (%s): "
                       "run 'weir inspect'",
                       meta->tail.index, error_name(result));
    }
    *left -= taken;
    *bytes += taken;
    *length -= taken;
    return result;
}

/* The sessions' bytes, then the machine's. */
static int restore_state(struct apply_shard *shard, struct snapshot_reader *reader,
                         const struct snapshot_meta *meta, const struct apply_options *options,
                         struct error_text *error) {
    if (apply_machine_make(shard, &meta->genesis) != WEIR_OK) {
        error_text_set(error, "no memory for the machine");
        return WEIR_ENOMEM;
    }
    uint64_t session_left = meta->session_bytes;
    uint64_t done = 0;
    for (;;) {
        const uint8_t *bytes;
        size_t length;
        int result = snapshot_read(reader, &bytes, &length, error);
        if (result != WEIR_OK) {
            return result;
        }
        if (length == 0) {
            break;
        }
        done += session_left < length ? session_left : length;
        result = restore_sessions(shard, meta, &session_left, &bytes, &length, error);
        if (result != WEIR_OK) {
            return result;
        }
        while (length > 0) {
            size_t consumed = 0;
            result = shard->operations->restore(shard->machine, meta->machine_version, bytes,
                                                length, &consumed, RESTORE_UNITS);
            if (result < 0) {
                error_text_set(error,
                               "the machine '%s' cannot restore the snapshot at index %lu "
                               "(%s): run 'weir inspect'",
                               shard->operations->name, meta->tail.index, error_name(result));
                return result;
            }
            bytes += consumed;
            length -= consumed;
            done += consumed;
        }
        if (options->progress != NULL) {
            options->progress(options->context, done, meta->machine_bytes);
        }
    }
    int result = shard->operations->restore_end(shard->machine);
    if (result != WEIR_OK) {
        error_text_set(error, "the snapshot at index %lu ends too early: run 'weir inspect'",
                       meta->tail.index);
    }
    return result;
}

int apply_restore(struct apply_shard *shard, const struct apply_options *options,
                  struct error_text *error) {
    struct node *node = shard->node;
    node->recovery = (struct node_recovery){.tail = entry_tail_origin()};
    shard->tail = entry_tail_origin();
    struct io *io = NULL;
    struct io_port *port = NULL;
    int32_t directory = -1;
    struct snapshot_reader *reader = NULL;
    struct io_options io_options = {.submissions_max = 64,
                                    .completions_max = 128,
                                    .features_allowed = node->options->io_features_allowed};
    int result = io_create(&io, &io_options, error);
    if (result != WEIR_OK) {
        return result;
    }
    io_adopt(io);
    result = io_port_create(io, &port, SNAPSHOT_OPERATIONS_MAX + 4);
    if (result == WEIR_OK) {
        result = io_directory_open(io, node->options->data_directory, false, &directory, error);
    }
    struct snapshot_meta meta = {0};
    if (result == WEIR_OK) {
        result =
            snapshot_open(&reader, io, port, directory, &node->options->identity, &meta, error);
    }
    if (result == WEIR_OK && reader != NULL) {
        if (strcmp(meta.machine_name, shard->operations->name) != 0) {
            error_text_set(error,
                           "the data in %s are of machine '%s', not '%s': start with "
                           "--machine %s",
                           node->options->data_directory, meta.machine_name,
                           shard->operations->name, meta.machine_name);
            result = WEIR_EINVAL;
        } else {
            result = restore_state(shard, reader, &meta, options, error);
        }
        shard->tail = meta.tail;
        shard->configuration = meta.configuration;
        shard->snapshot.index = meta.tail.index;
        node->recovery =
            (struct node_recovery){.tail = meta.tail,
                                   .has_genesis = true,
                                   .genesis = meta.genesis,
                                   .configuration = meta.configuration,
                                   .snapshot_bytes = snapshot_reader_file_bytes(reader)};
        node_figure_set(&node->apply.snapshot_index, meta.tail.index);
    }
    if (result == WEIR_OK && reader != NULL) {
        (void)snapshot_prune_behind(io, port, directory, meta.tail.index); /* or the next start */
    }
    if (reader != NULL) {
        snapshot_close(reader);
    }
    if (directory >= 0) {
        io_close(io, directory);
    }
    if (port != NULL) {
        io_port_destroy(port);
    }
    io_destroy(io);
    return result;
}
