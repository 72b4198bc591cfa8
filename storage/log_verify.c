/*
 * Judging a whole log: see log_verify.h for the rules.
 *
 * Happy path: the plan finds consecutive segments, each of which continues the one before; the walk
 * goes from write to write, checks each sector, then each entry against its predecessor, and ends
 * at zeros (last segment) or at the entry after which the next segment begins.
 *
 * Failure modes: a truncation left void entries (they are not looked at: the walk stops at the
 * limit); a torn tail (last segment only); everything else is a fault with file offset and reason.
 */

#include "storage/log_verify.h"

#include "base/assert.h"
#include "base/bytes.h"

/* ---- the plan ----------------------------------------------------------------------------- */

static bool tails_are_equal(const struct entry_tail *a, const struct entry_tail *b) {
    return a->index == b->index && a->term == b->term && a->chain == b->chain;
}

/* What must hold between the headers of two neighbours; NULL if it does. */
static const char *neighbours_judge(const struct segment_header *earlier,
                                    const struct segment_header *later) {
    if (later->number != earlier->number + 1)
        return "the segment before this one is missing";
    if (later->origin == SEGMENT_NEXT) {
        if (later->generation != earlier->generation)
            return "a segment that continues the one before it has another generation";
        if (later->before.index < earlier->before.index)
            return "a segment that continues the one before it begins at an earlier entry";
    } else {
        if (later->origin == SEGMENT_FIRST)
            return "the first segment of a log follows another one";
        if (later->generation != earlier->generation + 1)
            return "the generation of this segment does not follow the one before it";
    }
    return NULL;
}

int verify_plan(struct verify_segment *segments, uint32_t count, const struct entry_tail *start,
                uint32_t *first_live, uint32_t *faulty, struct format_fault *fault) {
    ASSERT(count > 0);
    for (uint32_t i = 1; i < count; i++) {
        const char *reason = neighbours_judge(&segments[i - 1].header, &segments[i].header);
        if (reason != NULL) {
            *faulty = i;
            return format_refuse(fault, WEIR_ECORRUPT, 0, reason);
        }
    }

    /* From the last to the first: nothing after the lowest later `before` counts. */
    struct entry_tail limit = {.index = UINT64_MAX};
    bool is_exact = false;
    bool is_restarted = false;
    for (uint32_t i = count; i-- > 0;) {
        struct verify_segment *segment = &segments[i];
        const struct segment_header *header = &segment->header;
        segment->last = i == count - 1;
        segment->limit = limit;
        segment->exact = is_exact;
        segment->end_expected = is_exact ? segments[i + 1].header.before_end.offset : 0;
        segment->live =
            !is_restarted && (is_exact || segment->last || limit.index > header->before.index);
        is_restarted = is_restarted || header->origin == SEGMENT_RESTART;
        is_exact = false;
        if (header->before.index <= limit.index) {
            limit = header->before;
            is_exact = segment->live && header->origin == SEGMENT_NEXT;
        }
    }

    uint32_t first = 0;
    while (!segments[first].live)
        first++; /* ends: the last one is live */
    *first_live = first;
    const struct entry_tail *before = &segments[first].header.before;
    *faulty = first;
    if (before->index > start->index)
        return format_refuse(fault, WEIR_ECORRUPT, 0,
                             start->index == 0
                                 ? "the log begins after entries that only a snapshot could hold, "
                                   "and there is no snapshot"
                                 : "there is a gap between the snapshot and the log");
    if (before->index == start->index && !tails_are_equal(before, start))
        return format_refuse(fault, WEIR_ECORRUPT, 0,
                             "the log does not continue the snapshot: their histories differ");
    return 0;
}

/* ---- the walk ----------------------------------------------------------------------------- */

/* Judges the entries of one valid write and advances the tail over those that are live. */
static int walk_entries(struct verify_walk *walk, const struct verify_segment *segment,
                        const struct write_header *write, const uint8_t *image, uint64_t offset,
                        struct format_fault *fault) {
    const uint64_t end = offset + write->length_bytes;
    uint64_t position = offset + (uint64_t)write->header_sectors * SECTOR_BYTES;
    struct entry_tail tail = walk->tail;
    if (!tails_are_equal(&write->before, &tail))
        return format_refuse(fault, WEIR_ECORRUPT, offset,
                             "the write does not continue the entries before it");
    for (uint32_t i = 0; i < write->entry_count; i++) {
        const enum entry_fault wrong =
            entry_check(image + position, end - position, UINT32_MAX - ENTRY_ALIGN_BYTES, &tail);
        if (wrong != ENTRY_VALID)
            return format_refuse(fault, WEIR_ECORRUPT, position, entry_fault_name(wrong));
        const uint32_t length_bytes = bytes_get_u32(image + position);
        const bool is_live = tail.index <= segment->limit.index;
        if (is_live && tail.index == walk->start.index && tail.term != walk->start.term)
            walk->superseded = true;
        else if (is_live && tail.index == walk->start.index &&
                 !tails_are_equal(&tail, &walk->start))
            return format_refuse(fault, WEIR_ECORRUPT, position,
                                 "the entry is not the one that the snapshot covers");
        if (is_live) {
            walk->tail = tail;
            if (length_bytes > walk->entry_bytes_max)
                walk->entry_bytes_max = length_bytes;
            if (walk->on_entry != NULL)
                walk->on_entry(walk->context, image + position, position);
        } else if (segment->exact) {
            return format_refuse(fault, WEIR_ECORRUPT, position,
                                 "an entry beyond the one after which the next segment begins");
        }
        position += entry_stride_bytes(length_bytes);
    }
    if (position != end)
        return format_refuse(fault, WEIR_ECORRUPT, position,
                             "the write is longer than its entries");
    return 0;
}

/* Judges what lies behind the live part of a segment that is not the last. */
static int closed_end_judge(const struct verify_walk *walk, const struct verify_segment *segment,
                            struct format_fault *fault) {
    if (walk->tail.index != segment->limit.index)
        return format_refuse(fault, WEIR_ECORRUPT, walk->end_offset,
                             "entries are missing: the next segment begins at a later one");
    if (!tails_are_equal(&walk->tail, &segment->limit))
        return format_refuse(fault, WEIR_ECORRUPT, walk->end_offset,
                             "the next segment does not continue these entries");
    if (segment->exact && segment->end_expected != walk->end_offset)
        return format_refuse(fault, WEIR_ECORRUPT, walk->end_offset,
                             "the segment does not end where the next one says");
    return 0;
}

/* What was found where the walk could not go on. */
struct damage {
    enum format_state header_state; /* of the write that should be there */
    struct write_sectors sectors;   /* with FORMAT_VALID */
    struct format_fault fault;      /* of its header, unless VALID or BLANK */
};

/*
 * True if the damage is such as a power cut leaves behind: rule 3 of log_verify.h.  Without its
 * whole header nothing can be said of a write's other sectors.
 */
static bool damage_is_loss(const struct damage *damage, const uint8_t *image) {
    switch (damage->header_state) {
    case FORMAT_VALID: return damage->sectors.failed_not_zero_count == 0;
    case FORMAT_BLANK: return true;
    case FORMAT_DAMAGED: return format_all_zero(image + damage->fault.offset, SECTOR_BYTES);
    case FORMAT_REFUSED: return false;
    }
    UNREACHABLE("a state that is none");
}

/*
 * Judges the end of the last segment: clean, torn or corrupt.  Looks at everything up to the end
 * of the file, since a write that follows the damage proves that the damaged one had completed.
 */
static int last_end_judge(struct verify_walk *walk, const struct verify_segment *segment,
                          const uint8_t *image, const struct damage *damage,
                          struct format_fault *fault) {
    const struct segment_header *header = &segment->header;
    const uint64_t end = walk->end_offset;
    const uint64_t rest_bytes = header->segment_bytes - end;
    const bool is_blank = damage->header_state == FORMAT_BLANK;
    uint64_t bad_offset = end;
    const char *reason = "the write was never completed";
    if (is_blank) {
        const uint64_t zero_bytes = format_zero_bytes(image + end, rest_bytes);
        if (zero_bytes == rest_bytes && walk->durable_end.offset <= end)
            return 0;
        bad_offset = zero_bytes == rest_bytes ? end : end + zero_bytes;
    } else if (damage->header_state == FORMAT_VALID) {
        bad_offset = damage->sectors.failed_not_zero_count > 0
                         ? damage->sectors.first_failed_not_zero_offset
                         : damage->sectors.first_failed_offset;
        reason = "the checksum of a sector does not match";
    } else {
        bad_offset = damage->fault.offset;
        reason = damage->fault.reason;
        if (damage->header_state == FORMAT_REFUSED)
            return format_refuse(fault, damage->fault.error, bad_offset, reason);
    }

    struct write_header follower;
    struct format_fault ignored;
    for (uint64_t at = end + header->block_bytes; at < header->segment_bytes;
         at += header->block_bytes) {
        if (write_header_read(image + at, header->segment_bytes - at, at, header, &follower,
                              &ignored) != FORMAT_VALID)
            continue;
        return format_refuse(fault, WEIR_ECORRUPT, is_blank ? end : bad_offset,
                             is_blank ? "a write is missing: a valid one follows it" : reason);
    }
    if (walk->durable_end.offset > end)
        return format_refuse(fault, WEIR_ECORRUPT, is_blank ? end : bad_offset,
                             is_blank ? "a write is missing below the recorded durable end"
                                      : reason);
    if (!damage_is_loss(damage, image))
        return format_refuse(fault, WEIR_ECORRUPT, bad_offset, reason);
    walk->torn = true;
    walk->torn_offset = bad_offset;
    walk->torn_reason = reason;
    return 0;
}

/* Why the walk of a segment went no further. */
enum walk_stop { WALK_LIMIT, WALK_SEAL, WALK_DAMAGE };

/* Goes from write to write; on WALK_DAMAGE *damage says what is at walk->end_offset. */
static int walk_writes(struct verify_walk *walk, const struct verify_segment *segment,
                       const uint8_t *image, enum walk_stop *stop, struct damage *damage,
                       struct format_fault *fault) {
    const struct segment_header *header = &segment->header;
    for (;;) {
        /* Behind the limit of a truncation everything is void, whatever it looks like. */
        *stop = WALK_LIMIT;
        if (!segment->exact && walk->tail.index == segment->limit.index)
            return 0;
        const uint64_t offset = walk->end_offset;
        struct write_header write;
        *stop = WALK_DAMAGE;
        damage->header_state = write_header_read(image + offset, header->segment_bytes - offset,
                                                 offset, header, &write, &damage->fault);
        if (damage->header_state != FORMAT_VALID)
            return 0;
        write_sectors_check(image + offset, offset, header, &write, &damage->sectors);
        if (damage->sectors.failed_count > 0)
            return 0;

        if (write.kind == WRITE_ENTRIES) {
            const int error = walk_entries(walk, segment, &write, image, offset, fault);
            if (error != 0)
                return error;
        }
        const uint64_t stride = write_stride_bytes(write.length_bytes, header->block_bytes);
        if (log_position_less(walk->durable_end, write.durable_end))
            walk->durable_end = write.durable_end;
        if (stride > walk->write_bytes_max)
            walk->write_bytes_max = stride;
        if (walk->on_write != NULL)
            walk->on_write(walk->context, &write, offset, stride);
        *stop = WALK_SEAL;
        if (write.kind == WRITE_SEAL)
            return 0; /* end_offset stays before it: the seal is not part of the entries */
        walk->end_offset = offset + stride;
    }
}

int verify_segment(struct verify_walk *walk, const struct verify_segment *segment,
                   const uint8_t *image, struct format_fault *fault) {
    ASSERT(segment->live);
    walk->end_offset = SEGMENT_HEADER_BYTES;
    walk->durable_end = (struct log_position){.segment = segment->header.number};
    walk->torn = false;
    walk->torn_reason = NULL;

    if (!tails_are_equal(&walk->tail, &segment->header.before))
        return format_refuse(fault, WEIR_ECORRUPT, 0,
                             "the segment does not continue the entries before it");
    enum walk_stop stop;
    struct damage damage;
    const int error = walk_writes(walk, segment, image, &stop, &damage, fault);
    if (error != 0)
        return error;
    if (segment->last) {
        if (stop == WALK_SEAL)
            return format_refuse(fault, WEIR_ECORRUPT, walk->end_offset,
                                 "the segment is sealed: the one that follows it is missing");
        ASSERT(stop == WALK_DAMAGE);
        return last_end_judge(walk, segment, image, &damage, fault);
    }
    if (stop == WALK_DAMAGE && damage.header_state == FORMAT_VALID)
        return format_refuse(fault, WEIR_ECORRUPT, damage.sectors.first_failed_offset,
                             "the checksum of a sector does not match");
    if (stop == WALK_DAMAGE && damage.header_state != FORMAT_BLANK)
        return format_refuse(fault, damage.fault.error, damage.fault.offset, damage.fault.reason);
    return closed_end_judge(walk, segment, fault);
}
