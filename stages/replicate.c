/*
 * The replicate stage: completions, events to the core, its actions, and the turn of a poll.
 * The order of batches is in replicate_order.c, log time in replicate_time.c.
 *
 * Happy path of a poll: completions first (they may make entries durable), then what other members
 * have said, the time, what apply has left, then new batches, one write submitted for all of them,
 * and last everything that may now be handed on.
 *
 * Failure modes: the log or the vote file fails: final; everything that waits is answered, the node
 * drains and exits.  The disk is full: writes are refused until there is room.  Apply is behind:
 * memory of the log runs out, and new batches wait here; the clients feel it as backpressure.
 */

#include "stages/replicate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/log.h"
#include "stages/pages.h"
#include "stages/replicate_internal.h"

enum {
    REPLICATE_TAKE_MAX = 64,
    /* What is due and could not be done is tried again after this. */
    REPLICATE_RETRY_NS = 20 * 1000 * 1000,
};

void replicate_pass_batch(struct replicate_shard *shard, struct batch *batch, const uint8_t *entry,
                          uint64_t index, uint64_t length_bytes) {
    struct apply_item item = {.entry = entry,
                              .first_index = index,
                              .entry_count = entry == NULL ? 0 : 1,
                              .batch = batch->id,
                              .length_bytes = length_bytes};
    if ((batch->flags & (BATCH_WAITS | BATCH_END)) != 0) {
        replicate_wait_batch(shard, batch);
    }
    batch_hand_over(batch, STAGE_REPLICATE, STAGE_APPLY);
    uint32_t taken = ring_apply_enqueue(shard->to_apply, &item, 1);
    ASSERT(taken == 1); /* half of the ring is as long as the pool */
}

void replicate_fail(struct replicate_shard *shard, const char *sentence) {
    if (shard->failed) {
        return;
    }
    shard->failed = true;
    struct log_quoted quoted;
    log_error("log_failed", "what=%s", log_quote(&quoted, sentence, strlen(sentence)));
    replicate_abandon(shard);
    replicate_change_end(shard);
    node_fail(shard->node, sentence);
}

/* ---- what happened outside ----------------------------------------------------------------- */

static uint32_t take_completions(struct replicate_shard *shard) {
    struct io_completion completions[REPLICATE_TAKE_MAX];
    uint32_t count = io_take(shard->port, completions, REPLICATE_TAKE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        bool stored = false;
        int failed = 0;
        if (completions[i].kind == IO_TIMER) {
            if (completions[i].result == 0) {
                shard->timer_ns = 0;
            }
        } else if (vote_completion(shard->vote, &completions[i], &stored, &failed)) {
            if (failed != 0) {
                replicate_fail(shard, "writing term and vote failed: nothing can be promised any "
                                      "more; check the disk, then start again");
            } else if (stored) {
                replicate_vote_stored(shard);
            }
        } else if (!replicate_members_completion(shard, &completions[i]) &&
                   !replicate_snapshot_completion(shard, &completions[i])) {
            bool taken = log_completion(shard->log, &completions[i]);
            ASSERT(taken);
        }
    }
    return count;
}

/* Tells the core what has become durable. */
static void tell_stored(struct replicate_shard *shard) {
    uint64_t durable = log_durable_index(shard->log);
    if (log_state(shard->log) == LOG_FAILED) {
        replicate_fail(shard, log_error_text(shard->log));
        return;
    }
    if (replicate_installing(shard)) {
        return;
    }
    if (durable > shard->stored || shard->stored_again) {
        shard->stored = durable;
        shard->stored_again = false;
        struct raft_event event = {
            .kind = RAFT_EVENT_STORED, .index = durable, .epoch = shard->log_epoch};
        replicate_step(shard, &event);
    }
}

void replicate_serve_if_due(struct replicate_shard *shard) {
    /* A leader when all that it found is applied; who follows, to say who leads, when the genesis
       record is: before that nothing can be hashed. */
    bool may_serve = raft_serving(shard->raft) ? shard->applied == raft_commit_index(shard->raft)
                                               : shard->links != NULL && shard->has_genesis &&
                                                     shard->genesis_index <= shard->applied;
    if (!shard->serving && may_serve &&
        atomic_load_acquire_u32(&shard->node->signals.failed) == 0) {
        shard->serving = true;
        shard->node->signals.hash_seed = shard->genesis.hash_seed;
        shard->node->signals.value_bytes_max = shard->genesis.value_bytes_max;
        shard->node->signals.partition_bits = shard->node->options->machine_options.partition_bits;
        /* Partner: read's acquire before it accepts. */
        atomic_store_release_u32(&shard->node->signals.serving, 1);
        pipeline_wake(shard->pipeline); /* read may sleep, and no ring of ours leads there */
        log_info("serving", "term=%lu applied=%lu", raft_term(shard->raft), shard->applied);
    }
}

/* Learns how far apply is, and gives that memory back. */
static void learn_applied(struct replicate_shard *shard) {
    uint64_t applied = node_applied_learn(&shard->node->signals);
    if (replicate_installing(shard)) {
        if (applied <= shard->handed) {
            shard->applied = applied; /* the core is told of the snapshot, behind all of these */
        }
        return;
    }
    if (applied <= shard->applied) {
        return;
    }
    shard->applied = applied;
    struct raft_event event = {.kind = RAFT_EVENT_APPLIED, .index = applied};
    replicate_step(shard, &event);
    log_release(shard->log, applied);
    replicate_serve_if_due(shard);
}

static void publish(struct replicate_shard *shard) {
    struct node_replicate_figures *figures = &shard->node->replicate;
    struct log_counters counters;
    log_counters(shard->log, &counters);
    node_figure_set(&figures->last_index, log_last_index(shard->log));
    node_figure_set(&figures->durable_index, log_durable_index(shard->log));
    node_figure_set(&figures->log_writes, counters.writes);
    node_figure_set(&figures->log_write_bytes, counters.write_bytes);
    node_figure_set(&figures->log_entries, counters.entries);
    node_figure_set(&figures->log_write_ns_total, counters.write_ns_total);
    node_figure_set(&figures->log_write_ns_max, counters.write_ns_max);
    node_figure_set(&figures->log_full, log_state(shard->log) == LOG_FULL);
    if (shard->peers != NULL) {
        node_figure_set(&figures->peer_dropped, shard->peers->dropped);
        replicate_figures_publish(shard);
    }
    if (!log_truncating(shard->log)) {
        node_figure_set(&figures->log_time_ms, log_tail(shard->log)->log_time_ms);
    }
}

/* ---- the turn ------------------------------------------------------------------------------ */

static uint32_t take_batches(struct replicate_shard *shard, uint32_t budget, uint64_t now_ns,
                             bool *waiting) {
    uint32_t count = 0;
    if (shard->encode.batch != NULL) {
        count++;
        if (!replicate_take_on(shard)) {
            return count;
        }
    }
    if (shard->stalled != BATCH_NO_BLOCK) {
        struct batch *batch = pipeline_batch(shard->pipeline, shard->stalled);
        shard->stalled = BATCH_NO_BLOCK;
        if (!replicate_take(shard, batch, now_ns)) {
            *waiting = true;
            return count;
        }
        count++;
    }
    while (count < budget && shard->units > 0 && shard->encode.batch == NULL) {
        if (shard->intake_next == shard->intake_count) {
            shard->intake_next = 0;
            shard->intake_count =
                ring_u32_dequeue(shard->from_validate, shard->intake, REPLICATE_INTAKE_MAX);
            if (shard->intake_count == 0) {
                break;
            }
        }
        struct batch *batch = pipeline_batch(shard->pipeline, shard->intake[shard->intake_next++]);
        count++;
        if (!replicate_take(shard, batch, now_ns)) {
            *waiting = true;
            break;
        }
    }
    return count;
}

/* Sets the timer for the earliest of what the caller, the log and the core have to do next. */
static void timer_arm(struct replicate_shard *shard, uint64_t due_ns, uint64_t now_ns) {
    uint64_t log_due_ns = log_deadline_ns(shard->log);
    uint64_t raft_due_ns = shard->members.passive ? UINT64_MAX : raft_deadline_ns(shard->raft);
    due_ns = log_due_ns < due_ns ? log_due_ns : due_ns;
    due_ns = raft_due_ns < due_ns ? raft_due_ns : due_ns;
    if (due_ns == UINT64_MAX) {
        return;
    }
    if (due_ns <= now_ns) {
        due_ns = now_ns + REPLICATE_RETRY_NS;
    }
    /* One that is set for something earlier finds the new deadline when it is due. */
    if (shard->timer_ns == 0 || due_ns < shard->timer_ns) {
        shard->timer_ns = due_ns;
        io_timer_set(shard->port, due_ns, 0);
    }
}

/* Says that we wait for apply; true if it has moved on in the meantime after all. */
static bool want_applied(struct replicate_shard *shard) {
    atomic_store_relaxed_u32(&shard->node->signals.applied_wanted, 1);
    atomic_fence_full(); /* partner: the fence in apply's publication */
    return atomic_load_relaxed_u64(&shard->node->signals.applied_index) != shard->applied;
}

/* Whether clients wait for a member's answer, ours or, where we follow, the leader's. */
static bool awaits_members(const struct replicate_shard *shard) {
    if (shard->peers == NULL) {
        return false;
    }
    return raft_role(shard->raft) != RAFT_LEADER || shard->writing.head != BATCH_NO_BLOCK ||
           shard->reading.head != BATCH_NO_BLOCK;
}

/* Behind what others have said: who did not run for a while shall not judge their silence by what
 * was there before. */
static uint32_t tick(struct replicate_shard *shard, uint64_t now_ns) {
    if (shard->members.passive || raft_deadline_ns(shard->raft) > now_ns) {
        return 0;
    }
    struct raft_event event = {.kind = RAFT_EVENT_TICK};
    replicate_lateness_ticked(shard, raft_deadline_ns(shard->raft));
    replicate_step(shard, &event);
    return 1;
}

static struct stage_result replicate_poll(void *state, const struct stage_moment *moment,
                                          uint32_t budget) {
    struct replicate_shard *shard = state;
    struct stage_result result = {0};
    uint64_t now_ns = moment->monotonic_ns;
    shard->now_ns = now_ns;
    uint32_t notes[REPLICATE_TAKE_MAX];
    result.work += ring_u32_dequeue(shard->from_apply, notes, REPLICATE_TAKE_MAX);
    result.work += ring_u32_dequeue(shard->from_parse, notes, REPLICATE_TAKE_MAX);
    result.work += take_completions(shard);
    result.work += replicate_receive(shard, budget);
    result.work += tick(shard, now_ns);
    learn_applied(shard);
    result.work += replicate_snapshot_turn(shard);
    bool waiting = false;
    shard->units = STAGE_POLL_UNITS;
    uint32_t taken = take_batches(shard, budget, now_ns, &waiting);
    replicate_send_appended(shard);
    result.work += taken;
    if (!shard->failed) {
        result.work += replicate_change_take(shard);
        result.work += replicate_append_wanted(shard);
        if (!shard->stop_started) {
            result.work += replicate_send_from_disk(shard);
        }
        uint64_t due_ns;
        if (replicate_time_entry(shard, now_ns, &due_ns)) {
            result.work++;
        }
        if (replicate_digest_entry(shard, now_ns, &due_ns)) {
            result.work++;
        }
        result.work += replicate_dispute_turn(shard, now_ns, &due_ns);
        if (replicate_leases_configure(shard, now_ns)) {
            result.work++;
        }
        if (replicate_address_entry(shard, now_ns)) {
            result.work++;
        }
        log_flush(shard->log);
        log_maintain(shard->log, now_ns);
        replicate_stalled_turn(shard, now_ns, &due_ns);
        result.work += replicate_wait_turn(shard, now_ns, &due_ns);
        if (!shard->stop_started) {
            timer_arm(shard, due_ns, now_ns);
        }
        tell_stored(shard);
    }
    result.work += replicate_hand_on(shard, &waiting);
    if (result.work > 0) {
        publish(shard);
    }
    result.blocked = waiting;
    result.awaits = awaits_members(shard);
    result.units = (uint32_t)(STAGE_POLL_UNITS - shard->units);
    bool behind = shard->applied < shard->handed;
    bool stopping = atomic_load_relaxed_u32(&shard->node->signals.stopping) != 0;
    if ((waiting || (behind && (stopping || !shard->serving))) && want_applied(shard)) {
        result.work++; /* poll again at once */
    }
    return result;
}

static bool replicate_drain(void *state, const struct stage_moment *moment) {
    struct replicate_shard *shard = state;
    if (!replicate_order_empty(shard) || ring_ready(shard->from_validate, 1) > 0) {
        return false;
    }
    if (!shard->stop_started) {
        if (!shard->failed && (vote_busy(shard->vote) || replicate_members_busy(shard) ||
                               shard->applied < shard->handed)) {
            return false;
        }
        shard->stop_started = true;
        replicate_snapshot_stop(shard);
        replicate_change_end(shard);
        shard->serving = false; /* no more time entries */
        if (!shard->failed) {
            log_stop(shard->log);
        }
        if (shard->timer_ns != 0) {
            shard->timer_ns = moment->monotonic_ns;
            io_timer_set(shard->port, shard->timer_ns, 0);
        }
    }
    if (shard->failed) {
        /* What is under way borrows memory of ours until it completes, successfully or not. */
        return io_outstanding(shard->port) == 0;
    }
    return log_stopped(shard->log) && io_outstanding(shard->port) == 0;
}

/* ---- making the shard ---------------------------------------------------------------------- */

static int replicate_init(void **out, const struct stage_environment *environment,
                          struct error_text *error) {
    struct replicate_shard *shard = calloc(1, sizeof(*shard));
    if (shard == NULL) {
        error_text_set(error, "no memory for the replicate stage");
        return WEIR_ENOMEM;
    }
    struct pipeline *pipeline = environment->pipeline;
    shard->pipeline = pipeline;
    shard->node = pipeline_node(pipeline);
    shard->io = environment->io;
    shard->options = environment->options;
    shard->links = pipeline_peers(pipeline);
    shard->directory = -1;
    shard->from_validate = pipeline_ring(pipeline, STAGE_VALIDATE, 0, STAGE_REPLICATE, 0);
    shard->to_apply = pipeline_ring(pipeline, STAGE_REPLICATE, 0, STAGE_APPLY, 0);
    shard->from_apply = pipeline_ring(pipeline, STAGE_APPLY, 0, STAGE_REPLICATE, 0);
    shard->from_parse = pipeline_ring(pipeline, STAGE_PARSE, 0, STAGE_REPLICATE, 0);
    shard->to_parse = pipeline_ring(pipeline, STAGE_REPLICATE, 0, STAGE_PARSE, 0);
    shard->to_write = pipeline_ring(pipeline, STAGE_REPLICATE, 0, STAGE_WRITE, 0);
    shard->to_read = pipeline_ring(pipeline, STAGE_REPLICATE, 0, STAGE_READ, 0);
    shard->stalled = BATCH_NO_BLOCK;
    replicate_wait_init(shard);
    batch_queue_init(&shard->writing);
    batch_queue_init(&shard->reading);
    const struct node_options *options = shard->node->options;
    shard->connections = calloc(options->connections_max, sizeof(*shard->connections));
    shard->arguments =
        pages_create(options->resp_limits.argument_count_max, sizeof(*shard->arguments));
    /* One piece of catch-up must hold the largest entry; touched only as far as it is used. */
    shard->catch_up_bytes = ALIGN_UP((size_t)options->log.entry_bytes_max + 4096, (size_t)4096);
    if (shard->catch_up_bytes < 1024 * 1024) {
        shard->catch_up_bytes = 1024 * 1024;
    }
    void *memory = mmap(NULL, shard->catch_up_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (shard->connections == NULL || shard->arguments == NULL || memory == MAP_FAILED) {
        error_text_set(error, "no memory for the replicate stage");
        if (memory != MAP_FAILED) {
            munmap(memory, shard->catch_up_bytes);
        }
        free(shard->connections);
        pages_destroy(shard->arguments, options->resp_limits.argument_count_max,
                      sizeof(*shard->arguments));
        free(shard);
        return WEIR_ENOMEM;
    }
    shard->catch_up = memory;
    *out = shard;
    return WEIR_OK;
}

static void replicate_fini(void *state) {
    struct replicate_shard *shard = state;
    if (shard->raft != NULL) {
        raft_destroy(shard->raft);
    }
    replicate_snapshots_destroy(shard);
    if (shard->log != NULL) {
        log_close(shard->log);
    }
    if (shard->vote != NULL) {
        vote_close(shard->vote);
    }
    if (shard->members.file != NULL) {
        incarnations_close(shard->members.file);
    }
    if (shard->directory >= 0) {
        io_close(shard->io, shard->directory);
    }
    if (shard->port != NULL && io_outstanding(shard->port) == 0) {
        io_port_destroy(shard->port); /* after a failed write it may never come to rest */
    }
    if (shard->peers != NULL) {
        if (shard->peers->buffer != NULL) {
            munmap(shard->peers->buffer, shard->peers->buffer_bytes);
        }
        free(shard->peers);
    }
    munmap(shard->catch_up, shard->catch_up_bytes);
    free(shard->connections);
    pages_destroy(shard->arguments, shard->node->options->resp_limits.argument_count_max,
                  sizeof(*shard->arguments));
    free(shard);
}

const struct log *replicate_look_log(const void *state) {
    const struct replicate_shard *shard = state;
    ASSERT(shard->log != NULL);
    return shard->log;
}

const struct raft *replicate_look_raft(const void *state) {
    const struct replicate_shard *shard = state;
    ASSERT(shard->raft != NULL);
    return shard->raft;
}

bool replicate_look_in_step(const void *state) {
    const struct replicate_shard *shard = state;
    return !replicate_incoming_busy(shard);
}

const struct stage stage_replicate = {.id = STAGE_REPLICATE,
                                      .name = "replicate",
                                      .init = replicate_init,
                                      .start = replicate_start,
                                      .poll = replicate_poll,
                                      .drain = replicate_drain,
                                      .fini = replicate_fini};
