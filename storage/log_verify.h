#ifndef WEIR_STORAGE_LOG_VERIFY_H
#define WEIR_STORAGE_LOG_VERIFY_H

/*
 * Judging a whole log: which segments count, up to where, and whether each byte of them is right.
 *
 * Two steps, both pure.  verify_plan looks at the segments' headers only and decides what of each
 * segment is live: truncation and restart leave entries behind that no longer count.
 * verify_segment then walks the live part of one segment's image, in order, and judges every write
 * and every entry.  Opening a log, `weir inspect`, the tests and the fuzzer all use these two.
 *
 * Torn or corrupt.  Damage at the end of the last segment is a torn write if and only if
 *
 *   1. it lies at or above every durable end that any write of this generation records, and
 *   2. no valid write of this generation follows it (one write is in flight at a time, so a
 *      following write proves that this one had completed), and
 *   3. a sector of its write header reads as all zeros, or else the header is valid and every
 *      sector whose checksum fails reads as all zeros.
 *
 * Everything else is corruption: before it was written each sector read as zeros, and a sector is
 * written whole or not at all, so a sector that is neither zeros nor what its checksum says was
 * altered later, possibly after the write had been acknowledged.
 */

#include "storage/log_format.h"

/* One file of the log: its header, and what verify_plan concluded. */
struct verify_segment {
    struct segment_header header;
    /* Filled in by verify_plan: */
    bool live;               /* it holds, or may hold, entries that count */
    bool last;               /* no segment follows it */
    bool exact;              /* the next segment continues it: nothing may follow `limit` */
    struct entry_tail limit; /* entries after limit.index are void; index UINT64_MAX: none are */
    uint64_t end_expected;   /* with exact: the offset at which its entries end, or 0 */
};

/*
 * Decides what is live in `count` segments (ascending numbers, valid headers) of a log that is to
 * be read from `start` on.  *first_live is the first live one (count if none: the log is to be
 * begun again after start).  On a fault *faulty is the segment that the fault is about.
 * Errors: WEIR_ECORRUPT: a missing segment, a gap between start and the log, headers that
 * contradict each other.
 */
int verify_plan(struct verify_segment *segments, uint32_t count, const struct entry_tail *start,
                uint32_t *first_live, uint32_t *faulty, struct format_fault *fault);

/* Walks a log; what is found is in here. */
struct verify_walk {
    /* Set by the caller before the first segment: */
    struct entry_tail start; /* checked when the walk comes to that index */
    struct entry_tail tail;  /* the first live segment's `before`; then advanced by the walk */
    bool superseded;         /* false; true once the entry at start.index was found to be of another
                                term: the snapshot was installed, and the log not yet begun again */
    void (*on_write)(void *context, const struct write_header *write, uint64_t offset,
                     uint64_t stride_bytes);                                /* may be NULL */
    void (*on_entry)(void *context, const uint8_t *entry, uint64_t offset); /* may be NULL */
    void *context;

    /* Results, of the segment walked last: */
    uint64_t end_offset;             /* behind its last live write */
    struct log_position durable_end; /* the highest that its writes record */
    uint64_t write_bytes_max;        /* of all segments: the largest write */
    uint32_t entry_bytes_max;        /* of all segments: the largest entry */
    bool torn;                       /* a torn tail begins at end_offset */
    uint64_t torn_offset;            /* with torn: the sector that shows it */
    const char *torn_reason;
};

/*
 * Judges the live part of a segment whose whole file is at `image` (at least
 * header.segment_bytes).  Call in order for every live segment.
 * Errors, with the fault filled in: WEIR_ECORRUPT, WEIR_EIDENTITY, WEIR_EVERSION.
 */
int verify_segment(struct verify_walk *walk, const struct verify_segment *segment,
                   const uint8_t *image, struct format_fault *fault);

#endif
