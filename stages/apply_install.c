/*
 * The machine restored from a snapshot while the node runs.
 *
 *     NONE ──> FORSAKING ──> DESTROYING ──> FORGETTING ──> LOADING ──> NONE
 *                                                           ▲ │└──────> FAILED
 *                                                           │ ▼
 *                                                         STARVED
 *
 * Happy path: replicate has placed a snapshot that another member sent, and says so in the order of
 * entries.  Behind everything that was applied before, a snapshot of this node's own that is under
 * way is given up; the machine is given back in slices, then the sessions; a new machine is made of
 * the snapshot's genesis, and restored in slices as its blocks are read.  What apply knows of the
 * log's end is then what the snapshot says, and publishing it tells replicate.
 *
 * Meanwhile no entry comes.  Batches do: they are answered without the machine, for this node
 * follows.
 *
 * Failure modes: no file descriptor is left for the file: it is tried again after INSTALL_RETRY_NS.
 * The file cannot be read any more, no memory for the machine, digests that are not those of the
 * snapshot: final, since there is no machine to go back to.  The next start begins with the same
 * file.  The node stops: it is left as it is, for the same reason.
 */

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "stages/apply_internal.h"
#include "storage/snapshot_stream.h"

enum {
    INSTALL_SESSIONS_SLICE = 8,  /* removed in one go: 128 places each, some us */
    INSTALL_RESTORE_UNITS = 250, /* of a slice of sessions restored: 64 KiB, less than 50 us */
    /* Between two attempts to open the file when no descriptor is left; as the log has it. */
    INSTALL_RETRY_NS = 200 * 1000 * 1000,
};

static const uint8_t install_transitions[] = {
    [APPLY_INSTALL_NONE] = 1 << APPLY_INSTALL_FORSAKING,
    [APPLY_INSTALL_FORSAKING] = 1 << APPLY_INSTALL_DESTROYING,
    [APPLY_INSTALL_DESTROYING] = 1 << APPLY_INSTALL_FORGETTING,
    [APPLY_INSTALL_FORGETTING] = 1 << APPLY_INSTALL_LOADING,
    [APPLY_INSTALL_LOADING] =
        1 << APPLY_INSTALL_NONE | 1 << APPLY_INSTALL_FAILED | 1 << APPLY_INSTALL_STARVED,
    [APPLY_INSTALL_STARVED] = 1 << APPLY_INSTALL_LOADING,
    [APPLY_INSTALL_FAILED] = 0,
};

static void install_move(struct apply_shard *shard, enum apply_install_step to) {
    ASSERT(install_transitions[shard->install.step] & 1 << to);
    shard->install.step = to;
}

bool apply_installing(const struct apply_shard *shard) {
    return shard->install.step != APPLY_INSTALL_NONE;
}

void apply_install_begin(struct apply_shard *shard, uint64_t index) {
    ASSERT(!shard->work.active && index > shard->tail.index);
    ASSERT(shard->once.step == APPLY_ONCE_NONE);
    install_move(shard, APPLY_INSTALL_FORSAKING);
    shard->install.index = index;
    shard->install.session_slot = 0;
    shard->install.begun = false;
    shard->install.used_bytes = 0;
    snapshot_name(shard->install.name, index);
    shard->maintaining = false;
    apply_snapshot_forsake(shard);
    digest_hashes_clear(&shard->node->digest_hashes);
    log_info("snapshot_install", "index=%lu applied=%lu", index, shard->tail.index);
}

static void install_fail(struct apply_shard *shard, const char *what) {
    char text[ERROR_TEXT_BYTES];
    snprintf(text, sizeof(text),
             "the snapshot at index %lu that another member sent cannot be restored: %s; start "
             "again, and if that fails, too, run 'weir inspect'",
             shard->install.index, what);
    install_move(shard, APPLY_INSTALL_FAILED);
    node_fail(shard->node, text);
}

/* The machine is as the snapshot says; so is all that apply knows beside it. */
static void install_finish(struct apply_shard *shard) {
    const struct snapshot_meta *meta = snapshot_stream_meta(shard->install.stream);
    uint32_t partitions = UINT32_C(1) << shard->operations->partition_bits_max;
    if (shard->operations->restore_end(shard->machine) != WEIR_OK) {
        install_fail(shard, "it ends too early");
        return;
    }
    for (uint32_t i = 0; i < meta->digest_count && i < partitions; i++) {
        if (shard->operations->digest(shard->machine, i) != meta->digests[i]) {
            install_fail(shard, "what was restored does not have the digests that it names");
            return;
        }
    }
    shard->tail = meta->tail;
    shard->configuration = meta->configuration;
    shard->snapshot.log_bytes = 0;
    shard->snapshot.index = meta->tail.index;
    memset(&shard->digests, 0, sizeof(shard->digests));
    shard->deadline_told_ms = UINT64_MAX;
    shard->maintaining = true;
    log_info("snapshot_restored", "index=%lu bytes=%lu sessions=%u", meta->tail.index,
             meta->machine_bytes, sessions_count(shard->sessions));
    node_figure_set(&shard->node->apply.snapshot_index, meta->tail.index);
    node_figure_add(&shard->node->apply.snapshots_installed, 1);
    snapshot_stream_close(shard->install.stream);
    install_move(shard, APPLY_INSTALL_NONE);
    apply_publish(shard);
    apply_note_send(shard);
}

/* Restores on from the block that is there; false if that cannot be. */
static bool block_restore(struct apply_shard *shard, uint32_t *units) {
    struct apply_install *install = &shard->install;
    const struct snapshot_meta *meta = snapshot_stream_meta(install->stream);
    size_t length;
    const uint8_t *bytes = snapshot_stream_bytes(install->stream, &length);
    bytes += install->used_bytes;
    length -= install->used_bytes;
    size_t consumed = 0;
    int result;
    if (install->session_left > 0) {
        size_t taken = install->session_left < length ? (size_t)install->session_left : length;
        bool first = install->session_left == meta->session_bytes;
        result = apply_records_restore(shard, meta, first, bytes, taken, &consumed);
        install->session_left -= consumed;
        *units -= *units < INSTALL_RESTORE_UNITS ? *units : INSTALL_RESTORE_UNITS;
    } else {
        result = length == 0 ? (int)MACHINE_DONE
                             : shard->operations->restore(shard->machine, meta->machine_version,
                                                          bytes, length, &consumed, *units);
        *units = result == MACHINE_MORE ? 0 : *units - (*units < 16 ? *units : 16);
    }
    if (result < 0) {
        install_fail(shard, error_name(result));
        return false;
    }
    install->used_bytes += consumed;
    if (consumed == length) {
        install->used_bytes = 0;
        snapshot_stream_next(install->stream);
    }
    return true;
}

/* The first block is there, and with it the meta. */
static bool load_begin(struct apply_shard *shard) {
    const struct snapshot_meta *meta = snapshot_stream_meta(shard->install.stream);
    shard->install.begun = true;
    shard->install.session_left = meta->session_bytes;
    if (strcmp(meta->machine_name, shard->operations->name) != 0) {
        install_fail(shard, "it is of another machine");
        return false;
    }
    if (apply_machine_make(shard, &meta->genesis) != WEIR_OK) {
        install_fail(shard, "no memory for the machine");
        return false;
    }
    return true;
}

static void stream_failed(struct apply_shard *shard) {
    struct apply_install *install = &shard->install;
    const char *text;
    if (snapshot_stream_error(install->stream, &text) != WEIR_ELIMIT) {
        install_fail(shard, text);
        return;
    }
    ASSERT(!install->begun); /* it is what opening it says */
    log_warn_limited("snapshot_short_of_descriptors",
                     "snapshot=%s consequence=\"restoring it waits for a file descriptor\"",
                     install->name);
    snapshot_stream_close(install->stream);
    install->retry_ns = shard->now_ns + INSTALL_RETRY_NS;
    install_move(shard, APPLY_INSTALL_STARVED);
}

static void load_open(struct apply_shard *shard) {
    struct apply_install *install = &shard->install;
    install_move(shard, APPLY_INSTALL_LOADING);
    snapshot_stream_open(install->stream, install->name, install->index, false);
}

static bool load_on(struct apply_shard *shard, uint32_t *units) {
    struct apply_install *install = &shard->install;
    bool worked = false;
    while (*units > 0) {
        switch (snapshot_stream_state(install->stream)) {
        case SNAPSHOT_STREAM_BUSY: return worked;
        case SNAPSHOT_STREAM_FAILED: stream_failed(shard); return true;
        case SNAPSHOT_STREAM_END: install_finish(shard); return true;
        case SNAPSHOT_STREAM_BLOCK:
            worked = true;
            if ((!install->begun && !load_begin(shard)) || !block_restore(shard, units)) {
                return true;
            }
            break;
        case SNAPSHOT_STREAM_IDLE: UNREACHABLE("it is open while loading");
        }
    }
    return true;
}

bool apply_install_turn(struct apply_shard *shard, uint32_t *units) {
    struct apply_install *install = &shard->install;
    if (*units == 0 || atomic_load_relaxed_u32(&shard->node->signals.stopping) != 0) {
        return false; /* of no use any more: the next start restores it */
    }
    switch (install->step) {
    case APPLY_INSTALL_FORSAKING:
        if (!apply_snapshot_quiet(shard)) {
            return false;
        }
        install_move(shard, APPLY_INSTALL_DESTROYING);
        return true;
    case APPLY_INSTALL_DESTROYING:
        if (shard->machine != NULL) {
            if (shard->operations->destroy(shard->machine, *units) == MACHINE_MORE) {
                *units = 0;
                return true;
            }
            shard->machine = NULL;
        }
        install_move(shard, APPLY_INSTALL_FORGETTING);
        return true;
    case APPLY_INSTALL_FORGETTING:
        if (sessions_clear(shard->sessions, &install->session_slot, INSTALL_SESSIONS_SLICE)) {
            load_open(shard);
        }
        return true;
    case APPLY_INSTALL_LOADING: return load_on(shard, units);
    case APPLY_INSTALL_STARVED:
        if (shard->now_ns < install->retry_ns) {
            return false;
        }
        load_open(shard);
        return true;
    case APPLY_INSTALL_NONE:
    case APPLY_INSTALL_FAILED: return false;
    }
    UNREACHABLE("a step of the table");
}
