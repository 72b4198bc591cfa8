/*
 * Segments: the spare one, the switch to it, truncation, marks and removal.
 *
 * The spare segment is made ahead, as soon as the one before it became active:
 *
 *     ABSENT ──> CREATING ──> ALLOCATING ──> SYNCING ──> ENTERING ──> READY ──(adopted)──> ABSENT
 *                   │              │            │            │
 *                   │              └────────────┼────────────┘
 *                   │ no space, no descriptor   v no space
 *                   ├─────────────────────> REMOVING
 *                   │ no space                 │
 *                   └────> STARVED <───────────┘
 *                             └──── after a pause ────> CREATING
 *
 * The switch makes the spare segment the active one, because the active one is full (same
 * generation) or because entries were truncated (next generation):
 *
 *     NONE ──> WANTED ──(spare READY)──> HEADER ──> SEAL ──> NONE
 *
 * Nothing else is written meanwhile.  The header is durable before the seal is written, and the
 * seal before any entry of the new segment: so a sealed segment without a successor means that a
 * file is missing, and entries are only ever found behind a complete history.
 *
 * A truncation keeps the rule that nothing durable is overwritten: what remains of the queue is
 * written first, then the switch says after which entry the new generation begins.  A crash before
 * the header is durable leaves the log as if it had not been truncated; nothing was appended yet.
 *
 * A restart behind a snapshot is a truncation of everything: nothing of the queue is written any
 * more, and the new segment begins at the snapshot's last entry, which the old ones need not have.
 * The snapshot is durable before; so a crash before the header is leaves the old log, and the start
 * finds that it ends before the snapshot, or has another entry there, and begins it again itself.
 *
 * Failure modes: no space (the log goes on in the active segment; it is LOG_FULL from the first
 * entry that finds no room there until there is a spare); no file descriptor (the same; the file
 * may have been created before that turned out, so it is removed if it is there); any other failure
 * is final, except that an old segment which cannot be removed is only reported.
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/mutant.h"
#include "storage/log_internal.h"

#include <errno.h>
#include <string.h>

/* ---- the spare segment -------------------------------------------------------------------- */

/* Which states may follow each state: the drawing above, as data. */
static const uint16_t spare_transitions[] = {
    [SPARE_ABSENT] = 1 << SPARE_CREATING,
    [SPARE_CREATING] = 1 << SPARE_ALLOCATING | 1 << SPARE_REMOVING | 1 << SPARE_STARVED,
    [SPARE_ALLOCATING] = 1 << SPARE_SYNCING | 1 << SPARE_REMOVING,
    [SPARE_SYNCING] = 1 << SPARE_ENTERING | 1 << SPARE_REMOVING,
    [SPARE_ENTERING] = 1 << SPARE_READY | 1 << SPARE_REMOVING,
    [SPARE_READY] = 1 << SPARE_ABSENT,
    [SPARE_REMOVING] = 1 << SPARE_STARVED,
    [SPARE_STARVED] = 1 << SPARE_CREATING,
};

static void spare_move(struct log *log, enum spare_state to) {
    ASSERT(spare_transitions[log->spare] & 1 << to);
    ASSERT((to == SPARE_ALLOCATING || to == SPARE_READY) <= (log->spare_file >= 0));
    log->spare = to;
}

void segment_spare_start(struct log *log) {
    const bool is_needed = log->switching != SWITCH_NONE || log->truncate != TRUNCATE_NONE ||
                           (log->options.durability != DURABILITY_NONE && !log->stopping);
    const bool is_due = log->spare == SPARE_ABSENT ||
                        (log->spare == SPARE_STARVED && log->now_ns >= log->spare_retry_ns);
    if (!is_needed || !is_due || log->segment_count >= LOG_SEGMENTS_MAX)
        return;
    segment_name(log->spare_name, log->active.number + 1);
    log_set_busy(log, LOG_OPERATION_SPARE);
    spare_move(log, SPARE_CREATING);
    io_file_open(log->port, log->directory, log->spare_name,
                 IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT, log_user(LOG_OPERATION_SPARE));
}

static void spare_starve(struct log *log) {
    spare_move(log, SPARE_STARVED);
    log->spare_retry_ns = io_monotonic_ns(log->io) + LOG_SPACE_RETRY_NS;
    if (log->is_short_of_space)
        return;
    log->is_short_of_space = true;
    log_warn(
        "log_short_of_space",
        "segment=%s what=\"%s\" segment_bytes=%llu active_free_bytes=%llu consequence=\"writes are "
        "refused once the active segment is full\"",
        log->spare_name, log->is_short_of_descriptors ? "file descriptors" : "space",
        (unsigned long long)log->options.segment_bytes,
        (unsigned long long)(log->active.segment_bytes - log->active_offset));
}

void segment_space_ran_out(struct log *log) {
    if (!log->is_short_of_space || log->state != LOG_READY)
        return;
    log->state = LOG_FULL;
    if (log->is_short_of_descriptors)
        error_text_set(
            &log->error,
            "no file descriptor for the next log segment \"%s\" (%llu bytes): writes are "
            "refused until there is one",
            log->spare_name, (unsigned long long)log->options.segment_bytes);
    else
        error_text_set(&log->error,
                       "no space for the next log segment \"%s\" (%llu bytes): writes are refused "
                       "until there is room in the file system of the data directory",
                       log->spare_name, (unsigned long long)log->options.segment_bytes);
    log_warn("log_full", "segment=%s segment_bytes=%llu", log->spare_name,
             (unsigned long long)log->options.segment_bytes);
}

bool log_out_of_room(const struct log *log) {
    return log->state == LOG_FULL ||
           (log->state == LOG_READY && log->is_short_of_space && log_truncating(log));
}

static void spare_remove(struct log *log) {
    ASSERT((log->spare == SPARE_CREATING) == (log->spare_file < 0));
    if (log->spare_file >= 0)
        io_close(log->io, log->spare_file);
    log->spare_file = -1;
    spare_move(log, SPARE_REMOVING);
    log_set_busy(log, LOG_OPERATION_SPARE);
    io_file_remove(log->port, log->directory, log->spare_name, log_user(LOG_OPERATION_SPARE));
}

static void spare_created(struct log *log, int32_t file) {
    log->spare_file = file;
    log->spare_zeroed = SEGMENT_HEADER_BYTES;
    if (io_file_alignment_bytes(log->io, file) > log->memory.block_bytes) {
        log_fail(log, "opening with the block size of the log the segment", log->spare_name,
                 -EINVAL);
        return;
    }
    spare_move(log, SPARE_ALLOCATING);
    log_set_busy(log, LOG_OPERATION_SPARE);
    io_file_allocate(log->port, file, log->options.segment_bytes, log_user(LOG_OPERATION_SPARE));
}

static void spare_ready(struct log *log) {
    spare_move(log, SPARE_READY);
    if (!log->is_short_of_space)
        return;
    log->is_short_of_space = false;
    log_info("log_has_room_again", "segment=%s", log->spare_name);
    if (MUTANT(STAYS_FULL, true, log->state != LOG_FULL))
        return;
    log->state = LOG_READY;
    log->error.text[0] = '\0';
}

/* What was being prepared lacks space or a descriptor: nothing of it stays. */
static void spare_refused(struct log *log, bool of_descriptors) {
    log->is_short_of_descriptors = of_descriptors;
    if (log->spare == SPARE_CREATING && !of_descriptors)
        spare_starve(log); /* without space there is no file, either */
    else
        spare_remove(log);
}

void segment_spare_completed(struct log *log, int32_t result) {
    const bool is_removed = log->spare == SPARE_REMOVING && (result == -ENOENT || result >= 0);
    const bool is_no_descriptor =
        log->spare == SPARE_CREATING && (result == -EMFILE || result == -ENFILE);
    const bool is_no_space =
        log->spare != SPARE_REMOVING && (result == -ENOSPC || result == -EDQUOT);
    if (log->state == LOG_FAILED) {
        if (log->spare == SPARE_CREATING && result >= 0)
            log->spare_file = result; /* log_close closes it */
        return;
    }
    if (is_no_space || is_no_descriptor) {
        spare_refused(log, is_no_descriptor);
        return;
    }
    if (result < 0 && !is_removed) {
        log_fail(log, "preparing the next segment", log->spare_name, result);
        return;
    }
    switch (log->spare) {
    case SPARE_CREATING: spare_created(log, result); break;
    case SPARE_ALLOCATING:
        spare_move(log, SPARE_SYNCING);
        log_set_busy(log, LOG_OPERATION_SPARE);
        io_file_sync(log->port, log->spare_file, log_user(LOG_OPERATION_SPARE));
        break;
    case SPARE_SYNCING:
        spare_move(log, SPARE_ENTERING);
        log_set_busy(log, LOG_OPERATION_SPARE);
        io_directory_sync(log->port, log->directory, log_user(LOG_OPERATION_SPARE));
        break;
    case SPARE_ENTERING: spare_ready(log); break;
    case SPARE_REMOVING: spare_starve(log); break;
    case SPARE_ABSENT:
    case SPARE_READY:
    case SPARE_STARVED: UNREACHABLE("no operation is under way in this state");
    }
}

/* ---- the switch --------------------------------------------------------------------------- */

static const uint8_t switch_transitions[] = {
    [SWITCH_NONE] = 1 << SWITCH_WANTED,
    [SWITCH_WANTED] = 1 << SWITCH_HEADER,
    [SWITCH_HEADER] = 1 << SWITCH_SEAL,
    [SWITCH_SEAL] = 1 << SWITCH_NONE,
};

static void switch_move(struct log *log, enum switch_state to) {
    ASSERT(switch_transitions[log->switching] & 1 << to);
    log->switching = to;
}

void segment_switch_start(struct log *log, enum segment_origin origin,
                          const struct entry_tail *before) {
    ASSERT(!log_is_busy(log, LOG_OPERATION_WRITE));
    const bool is_same_generation = origin == SEGMENT_NEXT;
    switch_move(log, SWITCH_WANTED);
    log->next = (struct segment_header){
        .owner = log->active.owner,
        .number = log->active.number + 1,
        .generation = log->active.generation + (is_same_generation ? 0 : 1),
        .segment_bytes = log->options.segment_bytes,
        .block_bytes = log->memory.block_bytes,
        .origin = (uint8_t)origin,
        .before = *before,
        .before_end = {.segment = log->active.number, .offset = log->active_offset},
    };
    segment_switch_pump(log);
}

void segment_switch_pump(struct log *log) {
    if (log->switching != SWITCH_WANTED || log->spare != SPARE_READY || log->retire_file >= 0)
        return;
    switch_move(log, SWITCH_HEADER);
    segment_header_write(log->blocks, &log->next);
    log_write_start(log, WRITING_HEADER, log->spare_file, log->blocks, SEGMENT_HEADER_BYTES, 0,
                    IO_SYNC);
}

void segment_mark_write(struct log *log, enum write_kind kind) {
    const uint32_t block_bytes = log->active.block_bytes;
    uint8_t *block = log->blocks + BLOCK_BYTES_MAX;
    /* For a seal there is always room: entries leave two blocks free, a mark one. */
    ASSERT(log->active_offset + block_bytes <= log->active.segment_bytes);
    log->flying = (struct write_header){
        .generation = log->active.generation,
        .position = {.segment = log->active.number, .offset = log->active_offset},
        .durable_end = log->durable_end,
        .kind = (uint8_t)kind,
        .header_sectors = 1,
        .length_bytes = SECTOR_BYTES,
    };
    write_header_write(block, &log->active, &log->flying);
    log->active_offset += block_bytes;
    if (kind == WRITE_MARK && !log->placed_in_spare)
        log->placed_offset += block_bytes;
    log_write_start(log, kind == WRITE_MARK ? WRITING_MARK : WRITING_SEAL, log->active_file, block,
                    block_bytes, log->flying.position.offset, IO_SYNC);
}

/* ---- zeros ahead -------------------------------------------------------------------------- */

/* The next piece to be filled with zeros, if there is one: first what follows in the active
 * segment, then the beginning of the spare one. */
bool segment_zeros_wanted(const struct log *log, bool *in_spare, uint64_t *offset,
                          uint64_t *length_bytes) {
    const uint64_t ahead = log->options.zero_ahead_bytes;
    if (ahead == 0 || log->options.durability == DURABILITY_NONE)
        return false;
    const uint64_t rest = log->active.segment_bytes - log->active_offset;
    uint64_t from =
        log->active_zeroed > log->active_offset ? log->active_zeroed : log->active_offset;
    uint64_t to = log->active_offset + (ahead < rest ? ahead : rest);
    *in_spare = from >= to;
    if (*in_spare) {
        if (log->spare != SPARE_READY || ahead <= rest)
            return false;
        from = log->spare_zeroed;
        to = ahead - rest < log->options.segment_bytes ? ahead - rest : log->options.segment_bytes;
    }
    /* Whole pieces only, but for a segment's end: a log idle now and then writes no crumbs. */
    const uint64_t end = *in_spare ? log->options.segment_bytes : log->active.segment_bytes;
    const uint64_t wanted = to > from ? to - from : 0;
    *offset = from;
    *length_bytes = wanted < LOG_ZEROS_BYTES ? wanted : LOG_ZEROS_BYTES;
    return *length_bytes == LOG_ZEROS_BYTES || (*length_bytes > 0 && to == end);
}

void segment_zeros_write(struct log *log) {
    uint64_t offset;
    uint64_t length_bytes;
    if (!segment_zeros_wanted(log, &log->zeroing_spare, &offset, &length_bytes))
        return;
    ASSERT(log->zeroing_spare || offset >= log->active_offset);
    if (!log->zeroing_spare)
        log->active_zeroed = offset;
    /* As the one write to the log: whatever comes meanwhile cannot overlap it. */
    log_write_start(log, WRITING_ZEROS, log->zeroing_spare ? log->spare_file : log->active_file,
                    log->zeros, length_bytes, offset, IO_NO_SYNC);
}

void segment_zeros_completed(struct log *log) {
    log->counters.zero_bytes += log->flying_bytes;
    if (log->zeroing_spare)
        log->spare_zeroed += log->flying_bytes;
    else
        log->active_zeroed += log->flying_bytes;
}

/* ---- leaving a segment -------------------------------------------------------------------- */

/* Leaves the old file: at once, or after a sync if its data has not been synced. */
static void active_leave(struct log *log) {
    if (!log->active_unsynced) {
        io_close(log->io, log->active_file);
        return;
    }
    ASSERT(log->retire_file == -1);
    log->retire_file = log->active_file;
    log->retire_number = log->active.number;
    log->active_unsynced = false;
    log_set_busy(log, LOG_OPERATION_RETIRE);
    io_file_sync(log->port, log->retire_file, log_user(LOG_OPERATION_RETIRE));
}

void segment_retire_completed(struct log *log, int32_t result) {
    if (result < 0) {
        char name[FILE_NAME_BYTES];
        segment_name(name, log->retire_number);
        log_fail(log, "syncing", name, result);
        return;
    }
    io_close(log->io, log->retire_file);
    log->retire_file = -1;
    log->counters.syncs++;
    const struct log_position next = {.segment = log->retire_number + 1,
                                      .offset = SEGMENT_HEADER_BYTES};
    if (log_position_less(log->durable_end, next))
        log->durable_end = next;
}

void segment_adopt(struct log *log, const struct segment_header *header, int32_t file,
                   uint64_t offset) {
    ASSERT(log->segment_count < LOG_SEGMENTS_MAX);
    const struct log_position end = {.segment = header->number, .offset = offset};
    log->active = *header;
    log->active_file = file;
    log->active_offset = offset;
    log->segments[log->segment_count++] = (struct log_segment){.number = header->number,
                                                               .generation = header->generation,
                                                               .before = header->before,
                                                               .block_bytes = header->block_bytes};
    log->sample_bytes = log->sample_stride_bytes; /* each segment's first write is sampled */
    if (header->origin == SEGMENT_NEXT && log->retire_file >= 0)
        return; /* what precedes is not durable yet */
    log->durable_end = end;
    log->recorded_end = end;
    log->entries_end = end;
}

/* Header and seal are durable: the new segment is the active one. */
static void switch_finish(struct log *log) {
    const bool is_restart = log->next.origin == SEGMENT_RESTART;
    const bool is_truncation = is_restart || log->next.origin == SEGMENT_TRUNCATE;
    ASSERT(is_truncation || log->placed_in_spare);
    active_leave(log);
    segment_adopt(log, &log->next, log->spare_file, SEGMENT_HEADER_BYTES);
    log->active_zeroed = log->spare_zeroed;
    log->spare_file = -1;
    spare_move(log, SPARE_ABSENT);
    switch_move(log, SWITCH_NONE);
    if (!log->placed_in_spare)
        log->placed_offset = SEGMENT_HEADER_BYTES; /* nothing is queued behind a truncation */
    log->placed_in_spare = false;
    if (is_truncation) {
        ASSERT(log->memory.writes_submit == log->memory.writes_end);
        log->truncate = TRUNCATE_NONE;
    }
    if (is_restart) {
        log->sample_count = 0; /* also what a write that was in flight has added */
        log->remove_count = log->segment_count - 1;
        log->remove_is_blocked = false;
    }
}

void segment_switch_completed(struct log *log) {
    if (log->switching == SWITCH_HEADER) {
        switch_move(log, SWITCH_SEAL);
        segment_mark_write(log, WRITE_SEAL);
    } else {
        switch_finish(log);
    }
}

/* ---- truncation --------------------------------------------------------------------------- */

/* The log's tail as it is after entry `index`; false if only the disk knows. */
static bool tail_at(const struct log *log, uint64_t index, struct entry_tail *tail) {
    const struct log_memory *memory = &log->memory;
    if (index >= memory->first_index) {
        const struct entry_header header = entry_header_read(log_memory_entry(memory, index));
        *tail = (struct entry_tail){.index = index,
                                    .term = header.term,
                                    .log_time_ms = header.log_time_ms,
                                    .chain = header.chain};
        return true;
    }
    /* From the newest on: what an earlier truncation made void has the same indices. */
    for (uint64_t i = memory->writes_end; i-- > memory->writes_begin;) {
        *tail = log_memory_write(memory, i)->before;
        if (tail->index == index)
            return true;
    }
    for (uint32_t i = log->segment_count; i-- > log->remove_count;) {
        *tail = log->segments[i].before;
        if (tail->index <= index)
            return tail->index == index;
    }
    return false;
}

/* Gives the writes that remain in the queue their places anew. */
static void places_renew(struct log *log) {
    const struct log_memory *memory = &log->memory;
    const uint64_t usable =
        segment_usable_bytes(log->active.segment_bytes, log->active.block_bytes);
    log->placed_in_spare = log->switching != SWITCH_NONE;
    log->placed_offset = log->placed_in_spare ? SEGMENT_HEADER_BYTES : log->active_offset;
    for (uint64_t i = memory->writes_submit; i < memory->writes_end; i++) {
        const struct log_write *write = log_memory_write(memory, i);
        const uint64_t stride = write_stride_bytes(write->length_bytes, memory->block_bytes);
        if (write->state == LOG_WRITE_OPEN)
            break; /* placed when it is closed */
        if (!log->placed_in_spare && log->placed_offset + stride > usable) {
            log->placed_in_spare = true;
            log->placed_offset = SEGMENT_HEADER_BYTES;
        }
        log->placed_offset += stride;
    }
}

static void terms_truncate(struct log *log, uint64_t index) {
    while (log->term_run_count > 0 && log->term_runs[log->term_run_count - 1].index > index)
        log->term_run_count--;
}

static uint64_t lower_of(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

void log_truncate(struct log *log, uint64_t index) {
    ASSERT(index + 1 >= log_first_index(log) && index <= log->tail.index);
    ASSERT(log->truncate == TRUNCATE_NONE && !log->stopping && !log->appending);
    if (index == log->tail.index || log->state == LOG_FAILED)
        return;
    log->reserved_bytes = 0;
    const bool is_known = tail_at(log, index, &log->truncate_tail);
    const bool was_on_disk = index < log->submitted_index;
    ASSERT(is_known || was_on_disk); /* what was never submitted is still in memory */

    log_memory_truncate(&log->memory, index);
    terms_truncate(log, index);
    samples_truncate(log, index);
    log->durable_index = lower_of(log->durable_index, index);
    log->stored_index = lower_of(log->stored_index, index);
    log->released_index = lower_of(log->released_index, index);
    log->submitted_index = lower_of(log->submitted_index, index);
    log->reader.limit_index = lower_of(log->reader.limit_index, index);
    if (is_known)
        log->tail = log->truncate_tail;
    log->tail.index = index;
    places_renew(log);

    /* What never reached the disk is simply gone; otherwise the disk must be told. */
    log->truncate_origin = SEGMENT_TRUNCATE;
    if (was_on_disk && is_known) {
        log->truncate = TRUNCATE_PENDING;
        log_pump(log, true);
    } else if (was_on_disk) {
        log->truncate = TRUNCATE_SEEKING;
        reader_start(log, &log->seeker, index, log->seeker.buffer, log->seeker.buffer_bytes);
    }
}

void log_restart(struct log *log, const struct entry_tail *tail) {
    ASSERT(log->truncate == TRUNCATE_NONE && !log->stopping && !log->appending);
    ASSERT(tail->index > 0 && tail->term > 0);
    if (log->state == LOG_FAILED)
        return;
    log->reserved_bytes = 0;
    log_memory_truncate(&log->memory, 0);
    log->memory.first_index = tail->index + 1;
    log->term_run_count = 0;
    log->sample_count = 0;
    log->durable_index = tail->index;
    log->stored_index = tail->index;
    log->released_index = tail->index;
    log->submitted_index = tail->index;
    log->reader.limit_index = 0; /* what is being read is of no use */
    log_memory_free_done(&log->memory, tail->index);
    log->tail = *tail;
    log->truncate_tail = *tail;
    places_renew(log);
    log->truncate_origin = SEGMENT_RESTART;
    log->truncate = TRUNCATE_PENDING;
    log_pump(log, true);
}

/* ---- removal ------------------------------------------------------------------------------ */

void log_compact(struct log *log, uint64_t index) {
    ASSERT(index <= log->tail.index);
    /* The last live entry of a segment is the lowest `before` of the segments after it. */
    uint64_t last_live = UINT64_MAX;
    uint32_t removable = 0;
    for (uint32_t i = log->segment_count; i-- > 1;) {
        last_live = lower_of(last_live, log->segments[i].before.index);
        if (last_live <= index && removable < i)
            removable = i;
    }
    log->remove_is_blocked = false;
    if (removable > log->remove_count)
        log->remove_count = removable;
}

void segment_remove_pump(struct log *log) {
    if (log->remove_count == 0 || log->remove_is_blocked || log_is_busy(log, LOG_OPERATION_REMOVE))
        return;
    segment_name(log->remove_name, log->segments[0].number);
    log_set_busy(log, LOG_OPERATION_REMOVE);
    log->remove_is_syncing = false;
    io_file_remove(log->port, log->directory, log->remove_name, log_user(LOG_OPERATION_REMOVE));
}

void segment_remove_completed(struct log *log, int32_t result) {
    if (result < 0 && result != -ENOENT) {
        log_warn("segment_not_removed", "segment=%s error=\"%s\"", log->remove_name,
                 strerror(-result));
        log->remove_is_blocked = true; /* until the next snapshot */
        return;
    }
    if (!log->remove_is_syncing) {
        /* One at a time, oldest first, each synced: whatever a crash leaves is without a gap. */
        log->remove_is_syncing = true;
        log_set_busy(log, LOG_OPERATION_REMOVE);
        io_directory_sync(log->port, log->directory, log_user(LOG_OPERATION_REMOVE));
        return;
    }
    log->segment_count--;
    log->remove_count--;
    memmove(log->segments, log->segments + 1, log->segment_count * sizeof(*log->segments));
}
