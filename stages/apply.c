/*
 * The apply stage: the work on one item, and the turn of a poll.  Reply room is in apply_replies.c,
 * snapshots are in apply_snapshot.c, digests in apply_digest.c, commands of client sessions in
 * apply_once.c, transactions in apply_exec.c, and the shard is made in apply_start.c.
 *
 * Happy path: an item is cut into runs, a run being consecutive machine commands of one batch, or
 * of one entry; the machine executes a run in one call.  When an item is finished its batch goes to
 * serialize, and the index applied is published for replicate.
 *
 * Failure modes: out of budget: gone on with at the next poll.  A reply without room: more room, or
 * a refusal.  A machine that cannot be made (no memory) fails the node.  The entry is damaged:
 * cannot be, it was checked when it was written or read; asserted.
 */

#include "stages/apply.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mutant.h"
#include "stages/apply_internal.h"
#include "stages/refusal.h"

enum { APPLY_TAKE_MAX = 64 };

/* ---- entries ------------------------------------------------------------------------------- */

static void units_spend(uint32_t *units, uint32_t spent) {
    *units -= *units < spent ? *units : spent;
}

/* Begins the next entry of the item. */
static void entry_begin(struct apply_shard *shard, uint32_t *units) {
    struct apply_work *work = &shard->work;
    work->header = entry_header_read(work->entry);
    ASSERT(work->header.index == shard->tail.index + 1 || MUTANT_IS(APPLIES_TWICE));
    work->entry_open = true;
    work->cursor = (struct entry_cursor){0};
    switch (work->header.kind) {
    case ENTRY_COMMANDS:
        ASSERT(shard->machine != NULL);
        if (!shard->digests.diverged) {
            entry_cursor_begin(&work->cursor, work->entry);
        }
        break;
    case ENTRY_GENESIS: {
        ASSERT(shard->machine == NULL);
        struct entry_genesis genesis = entry_genesis_read(work->entry + ENTRY_HEADER_BYTES);
        if (apply_machine_make(shard, &genesis) != WEIR_OK) {
            node_fail(shard->node, "no memory for the machine");
        }
        break;
    }
    case ENTRY_TIME: shard->maintaining = true; break;
    case ENTRY_DIGEST: units_spend(units, apply_digest_compare(shard)); break;
    case ENTRY_ADDRESS: {
        struct entry_address address;
        bool valid = entry_address_read(work->entry + ENTRY_HEADER_BYTES,
                                        work->header.length_bytes - ENTRY_HEADER_BYTES, &address);
        ASSERT(valid); /* it was checked when it came into the log */
        addresses_set(&shard->node->addresses, &address);
        break;
    }
    case ENTRY_CONFIGURATION: { /* the core's business, but snapshots tell it */
        int result = configuration_read(work->entry + ENTRY_HEADER_BYTES,
                                        work->header.length_bytes - ENTRY_HEADER_BYTES,
                                        &shard->configuration);
        ASSERT(result == WEIR_OK); /* the log has checked it */
        break;
    }
    default: break; /* no-op: the core's business */
    }
}

/* Whether the open entry is the first one behind the snapshot that the node has started from, and
 * is applied for the first time (for a planted defect). */
static bool is_first_after_snapshot(const struct apply_shard *shard) {
    const struct apply_work *work = &shard->work;
    uint64_t snapshot_index = shard->node->recovery.tail.index;
    return work->header.kind == ENTRY_COMMANDS && work->batch == NULL && snapshot_index > 0 &&
           work->header.index == snapshot_index + 1 && shard->tail.index == snapshot_index;
}

static void entry_end(struct apply_shard *shard, uint32_t *units) {
    struct apply_work *work = &shard->work;
    bool again = MUTANT(APPLIES_TWICE, is_first_after_snapshot(shard), false);
    shard->tail = (struct entry_tail){.index = work->header.index,
                                      .term = work->header.term,
                                      .log_time_ms = work->header.log_time_ms,
                                      .chain = work->header.chain};
    shard->tail_ns = shard->now_ns;
    shard->snapshot.log_bytes += work->header.length_bytes;
    work->entry_open = false;
    if (again) {
        return;
    }
    work->entries_left--;
    work->entry += entry_stride_bytes(work->header.length_bytes);
    units_spend(units, apply_digest_note(shard));
}

/* Goes on with the item; true when it is finished. */
static bool item_continue(struct apply_shard *shard, uint32_t *units) {
    struct apply_work *work = &shard->work;
    for (;;) {
        if (work->running) {
            if (!apply_run_continue(shard, units)) {
                return false;
            }
        } else if (work->collecting) {
            if (!apply_run_collect(shard, units)) {
                return false;
            }
        } else if (shard->exec.step != APPLY_EXEC_NONE) {
            apply_exec_on(shard, units);
        } else if (shard->once.step != APPLY_ONCE_NONE) {
            if (!apply_once_on(shard, units)) {
                return false;
            }
        } else if (work->entries_left > 0 && !work->entry_open) {
            entry_begin(shard, units);
        } else if (work->batch != NULL && apply_batch_next(shard, units)) {
            /* a canned reply, or a run to be collected */
        } else if (work->batch == NULL && work->entry_open && apply_entry_next(shard)) {
            /* likewise */
        } else if (work->entry_open) {
            entry_end(shard, units);
        } else {
            return true;
        }
        if (*units == 0) {
            return false;
        }
    }
}

static void item_begin(struct apply_shard *shard, const struct apply_item *item) {
    struct apply_work *work = &shard->work;
    ASSERT(!work->active);
    ASSERT(item->entry_count == 0 || !apply_installing(shard));
    *work = (struct apply_work){
        .active = true, .item = *item, .entry = item->entry, .entries_left = item->entry_count};
    if (item->batch != BATCH_NO_BLOCK) {
        work->batch = pipeline_batch(shard->pipeline, item->batch);
        ASSERT(work->batch->owner == STAGE_APPLY);
        ASSERT(item->entry_count <= 1);
        apply_replies_begin(work->batch);
        if (apply_digest_rejected(shard) || apply_installing(shard)) {
            apply_digest_refuse(work->batch);
        }
    }
}

static void item_end(struct apply_shard *shard) {
    struct apply_work *work = &shard->work;
    work->active = false;
    if (work->batch != NULL) {
        batch_hand_over(work->batch, STAGE_APPLY, STAGE_SERIALIZE);
        uint32_t taken = ring_u32_enqueue(shard->to_serialize, &work->batch->id, 1);
        ASSERT(taken == 1); /* as long as the pool */
    }
}

/* ---- the turn ------------------------------------------------------------------------------ */

void apply_note_send(struct apply_shard *shard) {
    uint32_t note = 0;
    (void)ring_u32_enqueue(shard->to_replicate, &note, 1); /* full: it is awake anyway */
}

void apply_publish(struct apply_shard *shard) {
    struct node_apply_figures *figures = &shard->node->apply;
    struct node_signals *signals = &shard->node->signals;
    if (shard->machine != NULL) {
        uint64_t deadline_ms = shard->operations->next_deadline_ms(shard->machine);
        node_figure_set(&figures->memory_bytes, shard->operations->memory_bytes(shard->machine));
        if (shard->operations->longest_bytes != NULL) {
            node_figure_set(&figures->longest_bytes,
                            shard->operations->longest_bytes(shard->machine));
        }
        node_figure_set(&figures->record_count, shard->operations->record_count(shard->machine));
        node_figure_set(&figures->next_deadline_ms, deadline_ms);
        /* Earlier than what it knows; or what it knows has passed, and its timer with it. */
        if (deadline_ms < shard->deadline_told_ms ||
            (deadline_ms > shard->deadline_told_ms &&
             shard->deadline_told_ms <= shard->tail.log_time_ms)) {
            apply_note_send(shard);
        }
        shard->deadline_told_ms = deadline_ms;
    }
    node_figure_set(&figures->sessions, sessions_count(shard->sessions));
    node_figure_set(&figures->applied_index, shard->tail.index);
    node_figure_set(&figures->applied_chain, shard->tail.chain);
    node_figure_set(&figures->log_time_ms, shard->tail.log_time_ms);
    node_applied_publish(signals, shard->tail.index);
    atomic_fence_full(); /* partner: the fence in replicate's want_applied */
    if (atomic_load_relaxed_u32(&signals->applied_wanted) != 0) {
        atomic_store_relaxed_u32(&signals->applied_wanted, 0);
        apply_note_send(shard);
    }
}

static void blocks_come_home(struct apply_shard *shard) {
    uint32_t blocks[APPLY_TAKE_MAX];
    uint32_t count;
    /* All of them, no more than there are batches: none may lie here while we sleep. */
    do {
        count = ring_u32_dequeue(shard->from_write, blocks, APPLY_TAKE_MAX);
        for (uint32_t i = 0; i < count; i++) {
            apply_replies_give(shard, blocks[i]);
        }
    } while (count == APPLY_TAKE_MAX);
}

/* Makes sure that there is an item to begin; false if there is none. */
static bool intake_fill(struct apply_shard *shard) {
    if (shard->intake_next == shard->intake_count) {
        shard->intake_next = 0;
        shard->intake_count =
            ring_apply_dequeue(shard->from_replicate, shard->intake, APPLY_INTAKE_MAX);
        for (uint32_t i = 0; i < shard->intake_count; i++) {
            __builtin_prefetch(shard->intake[i].entry);
        }
    }
    return shard->intake_next < shard->intake_count;
}

/* The clock by which TTL is answered: log time as it now is, if this node leads; otherwise as it
 * was in the last entry, and what has passed since that was applied, which is not more. */
static uint64_t leader_clock_ms(const struct apply_shard *shard) {
    uint64_t clock_ns = node_figure(&shard->node->replicate.log_clock_ns);
    return clock_ns != 0 ? (clock_ns + shard->now_ns) / 1000000
                         : shard->tail.log_time_ms + (shard->now_ns - shard->tail_ns) / 1000000;
}

/* ---- housekeeping's share ------------------------------------------------------------------- */

/* Commands must not keep housekeeping waiting for good: what was deleted, or has expired, would
 * stay in memory until it is full.  So it has a share of what they take, whatever waits. */
static void maintain_share_note(struct apply_shard *shard, uint32_t units) {
    shard->maintain_units += units / APPLY_MAINTAIN_SHARE;
    if (shard->maintain_units > APPLY_MAINTAIN_UNITS_MAX) {
        shard->maintain_units = APPLY_MAINTAIN_UNITS_MAX;
    }
}

/* The machine's, between two items, the next of which waits until that has been spent.  Returns
 * whether it was at work. */
static bool maintain_share(struct apply_shard *shard, uint32_t *units) {
    ASSERT(!shard->work.active);
    if (shard->maintain_units < APPLY_MAINTAIN_UNITS_MIN || apply_installing(shard)) {
        return false;
    }
    uint32_t share = shard->maintain_units < *units ? shard->maintain_units : *units;
    uint32_t left = share;
    shard->maintaining = true;
    bool worked = apply_maintain_turn(shard, &left) && shard->maintaining;
    if (!worked) { /* there is nothing to do, or nothing that could be done now */
        shard->maintain_units = 0;
        return false;
    }
    shard->maintain_units -= share;
    *units -= share;
    return true;
}

/* The host's: also in the middle of an item, since that may free much, and take it again. */
static void trim_share(struct apply_shard *shard, uint32_t *units) {
    if (shard->maintain_units < APPLY_TRIM_UNITS || !machine_host_waits(shard->pages)) {
        return;
    }
    (void)machine_host_trim(shard->pages);
    shard->maintain_units -= APPLY_TRIM_UNITS;
    *units -= APPLY_TRIM_UNITS;
}

static struct stage_result apply_poll(void *state, const struct stage_moment *moment,
                                      uint32_t budget) {
    struct apply_shard *shard = state;
    struct stage_result result = {0};
    shard->now_ns = moment->monotonic_ns;
    shard->clock_ms = leader_clock_ms(shard);
    blocks_come_home(shard);
    uint32_t units = APPLY_POLL_UNITS;
    trim_share(shard, &units);
    while (result.work < budget && units > 0) {
        if (!shard->work.active) {
            result.work += maintain_share(shard, &units);
            if (units == 0 || !intake_fill(shard)) {
                break;
            }
            const struct apply_item *item = &shard->intake[shard->intake_next++];
            if (item->entry_count == 0 && item->batch == BATCH_NO_BLOCK) {
                result.work++;
                if (item->first_index != 0) {
                    apply_install_begin(shard, item->first_index);
                }
                continue; /* or only a nudge */
            }
            item_begin(shard, item);
        }
        shard->snapshot.starved = false;
        if (!item_continue(shard, &units)) {
            result.work += !shard->snapshot.starved; /* else the writer's completion wakes us */
            break;
        }
        result.work++;
        item_end(shard);
    }
    maintain_share_note(shard, APPLY_POLL_UNITS - units);
    bool worked = result.work > 0;
    if (apply_installing(shard)) {
        worked |= apply_install_turn(shard, &units);
    } else {
        shard->maintaining |= worked;
        worked |= apply_maintain_turn(shard, &units);
        worked |= apply_sessions_turn(shard);
    }
    if (units > 0 && machine_host_trim(shard->pages)) {
        units -= units < APPLY_TRIM_UNITS ? units : APPLY_TRIM_UNITS;
        worked = true; /* there is more */
    }
    if (worked) {
        apply_publish(shard);
    }
    worked |= apply_snapshot_turn(shard, moment->monotonic_ns);
    if (worked && result.work == 0) {
        result.work = 1; /* housekeeping that must go on */
    }
    if (!worked) {
        (void)arena_trim(shard->arena, moment->monotonic_ns);
    }
    uint32_t emitted = shard->snapshot.emitting ? (uint32_t)APPLY_EMIT_UNITS : 0;
    result.units = (APPLY_POLL_UNITS - units + emitted) * APPLY_STAGE_UNITS;
    return result;
}

static bool apply_drain(void *state, const struct stage_moment *moment) {
    struct apply_shard *shard = state;
    blocks_come_home(shard);
    return !shard->work.active && shard->intake_next == shard->intake_count &&
           ring_ready(shard->from_replicate, 1) == 0 && ring_ready(shard->from_write, 1) == 0 &&
           apply_snapshot_rest(shard, moment->monotonic_ns);
}

const struct stage stage_apply = {.id = STAGE_APPLY,
                                  .name = "apply",
                                  .init = apply_init,
                                  .start = apply_start,
                                  .poll = apply_poll,
                                  .drain = apply_drain,
                                  .fini = apply_fini};
