#ifndef WEIR_STORAGE_LOG_FORMAT_H
#define WEIR_STORAGE_LOG_FORMAT_H

/*
 * A segment's bytes: its header, and the writes that follow it.
 *
 *     0          4096                                                          segment_bytes
 *     | header   | write | write | mark | write ...            | seal | zeros ...        |
 *
 * A write starts on a multiple of the segment's block size.  It is one or more header sectors,
 * then entries, then zeros to the next block.  Its first header sector says who, where, what and
 * how long; all header sectors hold a table with a checksum of every sector after them; each
 * header sector carries its own checksum.  What cannot be told from a sector's content is so told
 * by the sector's header: that it was lost (reads as zeros, and should not), or altered.
 *
 * A mark is a write without entries: it records the durable end.  A seal is a mark that ends the
 * segment: it is written once the header of the next segment is durable, so a segment that has one
 * must have a successor, and a missing file is noticed.
 *
 * Pure; see format.h.
 */

#include "base/bytes.h"
#include "entry/entry.h"
#include "storage/format.h"

enum {
    LOG_FORMAT_VERSION = 1,
    SEGMENT_HEADER_BYTES = 4096,
    /* Bytes of the first header sector before its table; see log_format.c. */
    WRITE_HEADER_FIXED_BYTES = 112,
    /* Checksums in the first header sector, and in every further one. */
    WRITE_SUMS_FIRST = (SECTOR_CHECKSUM_OFFSET - WRITE_HEADER_FIXED_BYTES) / 4,
    WRITE_SUMS_NEXT = SECTOR_CHECKSUM_OFFSET / 4,
    WRITE_HEADER_SECTORS_MAX = UINT16_MAX,
};
_Static_assert(WRITE_SUMS_FIRST == 98 && WRITE_SUMS_NEXT == 126, "as docs/formats.md says");

/* A place in a generation of the log. */
struct log_position {
    uint64_t segment; /* number */
    uint64_t offset;  /* bytes from the start of that file */
};

/* True if a is before b. */
static inline bool log_position_less(struct log_position a, struct log_position b) {
    return a.segment != b.segment ? a.segment < b.segment : a.offset < b.offset;
}

/* Why a segment was begun. */
enum segment_origin {
    SEGMENT_FIRST = 1,    /* the first of a log */
    SEGMENT_NEXT = 2,     /* the one before it was full; same generation */
    SEGMENT_TRUNCATE = 3, /* entries after `before` are void; generation + 1 */
    SEGMENT_CUT = 4,      /* a torn tail was cut at start; generation + 1 */
    SEGMENT_RESTART = 5,  /* the log begins again after a snapshot beyond its end; generation + 1,
                             everything in earlier segments is void */
};

struct segment_header {
    struct owner owner;
    uint64_t number;     /* 1 for the first; every next one is one more */
    uint64_t generation; /* 1 for the first */
    uint64_t segment_bytes;
    uint32_t block_bytes;           /* power of two, [SECTOR_BYTES, BLOCK_BYTES_MAX] */
    uint8_t origin;                 /* enum segment_origin */
    struct entry_tail before;       /* its entries follow this one */
    struct log_position before_end; /* where the segment before it ended; {0, 0} if FIRST */
};

/* Writes a header of SEGMENT_HEADER_BYTES. */
void segment_header_write(uint8_t *out, const struct segment_header *header);

/*
 * Judges the first `available_bytes` of a file called segment `number`.  Missing bytes count as
 * zeros (a file created and not yet allocated is blank).  `owner` may be NULL: any.
 * Faults: WEIR_ECORRUPT, WEIR_EIDENTITY, WEIR_EVERSION.
 */
enum format_state segment_header_read(const uint8_t *image, uint64_t available_bytes,
                                      const struct owner *owner, uint64_t number,
                                      struct segment_header *out, struct format_fault *fault);

/* What a write is for. */
enum write_kind {
    WRITE_ENTRIES = 1,
    WRITE_MARK = 2,
    WRITE_SEAL = 3,
};

struct write_header {
    uint64_t generation;
    struct log_position position;    /* of this write */
    struct log_position durable_end; /* what was known when it was submitted */
    uint8_t kind;                    /* enum write_kind */
    uint16_t header_sectors;
    uint32_t length_bytes;    /* header sectors and entries, without the zeros behind them */
    uint32_t entry_count;     /* 0 unless WRITE_ENTRIES */
    struct entry_tail before; /* of its first entry; zeros unless WRITE_ENTRIES */
};

/* Data sectors whose checksums fit into so many header sectors. */
static inline uint32_t write_sums_count(uint32_t header_sectors) {
    return WRITE_SUMS_FIRST + (header_sectors - 1) * WRITE_SUMS_NEXT;
}

/* Bytes that a write of length_bytes occupies. */
static inline uint64_t write_stride_bytes(uint64_t length_bytes, uint32_t block_bytes) {
    return ALIGN_UP(length_bytes, (uint64_t)block_bytes);
}

/* Header sectors that a write with body_bytes of entries needs. */
uint32_t write_header_sectors(uint64_t body_bytes, uint32_t block_bytes);

/*
 * Completes a write at `write`, whose entries already stand behind header_sectors sectors: zeros
 * up to the block's end, the table, the header.
 */
void write_header_write(uint8_t *write, const struct segment_header *segment,
                        const struct write_header *header);

/*
 * The same in two steps, for a long write: the checksums of data sectors [from, to) go into the
 * table first, in any number of calls, from sector 0 on without gaps; their bytes must not change
 * any more.  write_header_finish does the rest, with `sums_ready` of them there.
 */
void write_sums_add(uint8_t *write, uint32_t header_sectors, uint32_t from, uint32_t to);
void write_header_finish(uint8_t *write, const struct segment_header *segment,
                         const struct write_header *header, uint32_t sums_ready);

/*
 * Judges the header (all its sectors) of the write at `write`, which is at `offset` of the
 * segment's file; available_bytes may be read.  It must be a write of this owner, generation,
 * segment and offset, and all of it must be available.  FORMAT_BLANK: its first sector reads as
 * zeros.  FORMAT_DAMAGED: the fault's offset is that of a sector that fails its checksum; of one
 * that reads as zeros, if there is any.
 */
enum format_state write_header_read(const uint8_t *write, uint64_t available_bytes, uint64_t offset,
                                    const struct segment_header *segment, struct write_header *out,
                                    struct format_fault *fault);

/* What the checksums say of the sectors behind a valid write header. */
struct write_sectors {
    uint32_t failed_count;
    uint32_t failed_not_zero_count; /* of them, those that do not read as zeros */
    uint64_t first_failed_offset;
    uint64_t first_failed_not_zero_offset;
};

/* Judges every sector behind the valid header of the write at `write`, at `offset` of the file. */
void write_sectors_check(const uint8_t *write, uint64_t offset,
                         const struct segment_header *segment, const struct write_header *header,
                         struct write_sectors *out);

#endif
