/*
 * Segment and write headers: to bytes and back.
 *
 * Happy path: segment_header_write and write_header_write when writing; segment_header_read,
 * write_header_read and write_sectors_check when reading back.
 *
 * Failure modes, all in reading: the sector reads as zeros (blank); its checksum fails (damaged);
 * the checksum is right and the content impossible, or of another place, owner or generation, so
 * that somebody copied it there (refused).
 */

#include "storage/log_format.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/mutant.h"

/* "weirseg1" and "writ" as little-endian numbers. */
#define SEGMENT_MAGIC UINT64_C(0x3167657372696577)
#define WRITE_MAGIC   UINT32_C(0x74697277)

/* Offsets in the first sector of a segment; its last 8 bytes are its checksum. */
enum {
    SEGMENT_OFFSET_MAGIC = 0,
    SEGMENT_OFFSET_VERSION = 8, /* u32 */
    SEGMENT_OFFSET_BLOCK = 12,  /* u32 */
    SEGMENT_OFFSET_OWNER = 16,
    SEGMENT_OFFSET_NUMBER = 40,
    SEGMENT_OFFSET_GENERATION = 48,
    SEGMENT_OFFSET_SEGMENT_BYTES = 56,
    SEGMENT_OFFSET_ORIGIN = 64,      /* u64 */
    SEGMENT_OFFSET_BEFORE = 72,      /* index, term, log time, chain: u64 each */
    SEGMENT_OFFSET_BEFORE_END = 104, /* segment, offset */
    SEGMENT_OFFSET_REST = 120,
};

/* Offsets in the first header sector of a write; its last 8 bytes are its checksum. */
enum {
    WRITE_OFFSET_MAGIC = 0,
    WRITE_OFFSET_VERSION = 4,        /* u8 */
    WRITE_OFFSET_KIND = 5,           /* u8 */
    WRITE_OFFSET_HEADER_SECTORS = 6, /* u16 */
    WRITE_OFFSET_OWNER = 8,
    WRITE_OFFSET_GENERATION = 32,
    WRITE_OFFSET_POSITION = 40,    /* segment, offset */
    WRITE_OFFSET_DURABLE = 56,     /* segment, offset */
    WRITE_OFFSET_LENGTH = 72,      /* u32 */
    WRITE_OFFSET_ENTRY_COUNT = 76, /* u32 */
    WRITE_OFFSET_BEFORE = 80,      /* index, term, log time, chain */
    WRITE_OFFSET_SUMS = 112,
};
_Static_assert((int)WRITE_OFFSET_SUMS == (int)WRITE_HEADER_FIXED_BYTES, "the table follows");

static void tail_put(uint8_t *out, const struct entry_tail *tail) {
    bytes_put_u64(out, tail->index);
    bytes_put_u64(out + 8, tail->term);
    bytes_put_u64(out + 16, tail->log_time_ms);
    bytes_put_u64(out + 24, tail->chain);
}

static struct entry_tail tail_get(const uint8_t *from) {
    return (struct entry_tail){.index = bytes_get_u64(from),
                               .term = bytes_get_u64(from + 8),
                               .log_time_ms = bytes_get_u64(from + 16),
                               .chain = bytes_get_u64(from + 24)};
}

static void position_put(uint8_t *out, struct log_position position) {
    bytes_put_u64(out, position.segment);
    bytes_put_u64(out + 8, position.offset);
}

static struct log_position position_get(const uint8_t *from) {
    return (struct log_position){.segment = bytes_get_u64(from), .offset = bytes_get_u64(from + 8)};
}

/* ---- segment header ----------------------------------------------------------------------- */

static bool block_is_valid(uint64_t block_bytes) {
    return IS_POWER_OF_TWO(block_bytes) && block_bytes >= SECTOR_BYTES &&
           block_bytes <= BLOCK_BYTES_MAX;
}

void segment_header_write(uint8_t *out, const struct segment_header *header) {
    ASSERT(block_is_valid(header->block_bytes));
    ASSERT(header->number > 0 && header->generation > 0);
    memset(out, 0, SEGMENT_HEADER_BYTES);
    bytes_put_u64(out + SEGMENT_OFFSET_MAGIC, SEGMENT_MAGIC);
    bytes_put_u32(out + SEGMENT_OFFSET_VERSION, LOG_FORMAT_VERSION);
    bytes_put_u32(out + SEGMENT_OFFSET_BLOCK, header->block_bytes);
    owner_put(out + SEGMENT_OFFSET_OWNER, &header->owner);
    bytes_put_u64(out + SEGMENT_OFFSET_NUMBER, header->number);
    bytes_put_u64(out + SEGMENT_OFFSET_GENERATION, header->generation);
    bytes_put_u64(out + SEGMENT_OFFSET_SEGMENT_BYTES, header->segment_bytes);
    bytes_put_u64(out + SEGMENT_OFFSET_ORIGIN, header->origin);
    tail_put(out + SEGMENT_OFFSET_BEFORE, &header->before);
    position_put(out + SEGMENT_OFFSET_BEFORE_END, header->before_end);
    sector_seal(out, 0);
}

/* The fields of a sector whose checksum is right. */
static enum format_state segment_header_judge(const uint8_t *sector, const struct owner *owner,
                                              uint64_t number, struct segment_header *out,
                                              struct format_fault *fault) {
    const uint64_t origin = bytes_get_u64(sector + SEGMENT_OFFSET_ORIGIN);
    const struct segment_header header = {
        .owner = owner_get(sector + SEGMENT_OFFSET_OWNER),
        .number = bytes_get_u64(sector + SEGMENT_OFFSET_NUMBER),
        .generation = bytes_get_u64(sector + SEGMENT_OFFSET_GENERATION),
        .segment_bytes = bytes_get_u64(sector + SEGMENT_OFFSET_SEGMENT_BYTES),
        .block_bytes = bytes_get_u32(sector + SEGMENT_OFFSET_BLOCK),
        .origin = (uint8_t)origin,
        .before = tail_get(sector + SEGMENT_OFFSET_BEFORE),
        .before_end = position_get(sector + SEGMENT_OFFSET_BEFORE_END),
    };
    const char *difference = owner == NULL ? NULL : owner_difference(owner, &header.owner);
    if (difference != NULL) {
        format_refuse_owner(fault, SEGMENT_OFFSET_OWNER, difference);
    } else if (header.number != number) {
        format_refuse(fault, WEIR_ECORRUPT, SEGMENT_OFFSET_NUMBER,
                      "the segment's number is not the one in the file's name: it was renamed");
    } else if (header.generation == 0 || origin < SEGMENT_FIRST || origin > SEGMENT_RESTART) {
        format_refuse(fault, WEIR_ECORRUPT, SEGMENT_OFFSET_GENERATION,
                      "the segment's header holds a value that is never written");
    } else if (!block_is_valid(header.block_bytes) ||
               header.segment_bytes < SEGMENT_HEADER_BYTES + 2 * (uint64_t)header.block_bytes ||
               header.segment_bytes % header.block_bytes != 0) {
        format_refuse(fault, WEIR_ECORRUPT, SEGMENT_OFFSET_BLOCK,
                      "the segment's header holds a size that is never written");
    } else {
        *out = header;
        return FORMAT_VALID;
    }
    return FORMAT_REFUSED;
}

enum format_state segment_header_read(const uint8_t *image, uint64_t available_bytes,
                                      const struct owner *owner, uint64_t number,
                                      struct segment_header *out, struct format_fault *fault) {
    uint8_t header[SEGMENT_HEADER_BYTES] = {0};
    const size_t present_bytes =
        available_bytes < SEGMENT_HEADER_BYTES ? (size_t)available_bytes : SEGMENT_HEADER_BYTES;
    if (present_bytes > 0)
        memcpy(header, image, present_bytes);

    if (format_all_zero(header, sizeof(header)))
        return FORMAT_BLANK;
    if (bytes_get_u64(header + SEGMENT_OFFSET_MAGIC) != SEGMENT_MAGIC) {
        format_refuse(fault, WEIR_ECORRUPT, SEGMENT_OFFSET_MAGIC, "not the header of a segment");
        return FORMAT_DAMAGED;
    }
    if (!sector_is_sealed(header, 0)) {
        format_refuse(fault, WEIR_ECORRUPT, 0, "the segment header's checksum does not match");
        return FORMAT_DAMAGED;
    }
    if (bytes_get_u32(header + SEGMENT_OFFSET_VERSION) != LOG_FORMAT_VERSION) {
        format_refuse(fault, WEIR_EVERSION, SEGMENT_OFFSET_VERSION,
                      "written by a version of weir that this one cannot read");
        return FORMAT_REFUSED;
    }
    const size_t rest_bytes = SEGMENT_HEADER_BYTES - SECTOR_BYTES;
    const size_t rest_zero_bytes = format_zero_bytes(header + SECTOR_BYTES, rest_bytes);
    if (rest_zero_bytes != rest_bytes) {
        format_refuse(fault, WEIR_ECORRUPT, SECTOR_BYTES + rest_zero_bytes,
                      "not zero behind the segment's header");
        return FORMAT_DAMAGED;
    }
    return segment_header_judge(header, owner, number, out, fault);
}

/* ---- write header ------------------------------------------------------------------------- */

uint32_t write_header_sectors(uint64_t body_bytes, uint32_t block_bytes) {
    /* Padding to the block has checksums too: up to block - 1 sectors beyond the body. */
    uint64_t sectors = 1;
    for (;;) {
        const uint64_t stride =
            write_stride_bytes(sectors * SECTOR_BYTES + body_bytes, block_bytes);
        const uint64_t data_sectors = stride / SECTOR_BYTES - sectors;
        if (data_sectors <= WRITE_SUMS_FIRST + (sectors - 1) * WRITE_SUMS_NEXT)
            break;
        const uint64_t missing = data_sectors - WRITE_SUMS_FIRST - (sectors - 1) * WRITE_SUMS_NEXT;
        sectors += (missing + WRITE_SUMS_NEXT - 1) / WRITE_SUMS_NEXT;
    }
    ASSERT(sectors <= WRITE_HEADER_SECTORS_MAX);
    return (uint32_t)sectors;
}

/* Where the checksum of data sector `index` stands in the header at `write`. */
static size_t sum_offset(uint32_t index) {
    if (index < WRITE_SUMS_FIRST)
        return WRITE_OFFSET_SUMS + (size_t)4 * index;
    const uint32_t beyond = index - WRITE_SUMS_FIRST;
    return (size_t)SECTOR_BYTES * (1 + beyond / WRITE_SUMS_NEXT) +
           (size_t)4 * (beyond % WRITE_SUMS_NEXT);
}

static uint32_t data_sum(const uint8_t *sector) {
    return (uint32_t)checksum_64(sector, SECTOR_BYTES, 0);
}

/* A further header sector is bound to the first one, and so to its place. */
static uint64_t further_seed(const uint8_t *write, uint32_t sector) {
    return bytes_get_u64(write + SECTOR_CHECKSUM_OFFSET) + sector;
}

void write_sums_add(uint8_t *write, uint32_t header_sectors, uint32_t from, uint32_t to) {
    const size_t header_bytes = (size_t)header_sectors * SECTOR_BYTES;
    ASSERT(from <= to && to <= write_sums_count(header_sectors));
    if (from == 0)
        memset(write, 0, header_bytes);
    for (uint32_t i = from; i < to; i++)
        bytes_put_u32(write + sum_offset(i),
                      data_sum(write + header_bytes + (size_t)i * SECTOR_BYTES));
}

void write_header_write(uint8_t *write, const struct segment_header *segment,
                        const struct write_header *header) {
    write_header_finish(write, segment, header, 0);
}

void write_header_finish(uint8_t *write, const struct segment_header *segment,
                         const struct write_header *header, uint32_t sums_ready) {
    const uint32_t header_sectors = header->header_sectors;
    const size_t header_bytes = (size_t)header_sectors * SECTOR_BYTES;
    const size_t stride = (size_t)write_stride_bytes(header->length_bytes, segment->block_bytes);
    const uint32_t data_sectors = (uint32_t)(stride / SECTOR_BYTES) - header_sectors;
    ASSERT(header_sectors > 0 && header->length_bytes >= header_bytes);
    ASSERT(data_sectors <= write_sums_count(header_sectors));
    ASSERT(header->position.offset % segment->block_bytes == 0);
    ASSERT((header->entry_count > 0) == (header->kind == WRITE_ENTRIES));

    ASSERT(sums_ready <= (header->length_bytes - header_bytes) / SECTOR_BYTES);

    memset(write + header->length_bytes, 0, stride - header->length_bytes);
    write_sums_add(write, header_sectors, sums_ready, data_sectors);

    bytes_put_u32(write + WRITE_OFFSET_MAGIC, WRITE_MAGIC);
    write[WRITE_OFFSET_VERSION] = LOG_FORMAT_VERSION;
    write[WRITE_OFFSET_KIND] = header->kind;
    bytes_put_u16(write + WRITE_OFFSET_HEADER_SECTORS, header->header_sectors);
    owner_put(write + WRITE_OFFSET_OWNER, &segment->owner);
    bytes_put_u64(write + WRITE_OFFSET_GENERATION, header->generation);
    position_put(write + WRITE_OFFSET_POSITION, header->position);
    position_put(write + WRITE_OFFSET_DURABLE, header->durable_end);
    bytes_put_u32(write + WRITE_OFFSET_LENGTH, header->length_bytes);
    bytes_put_u32(write + WRITE_OFFSET_ENTRY_COUNT, header->entry_count);
    tail_put(write + WRITE_OFFSET_BEFORE, &header->before);
    sector_seal(write, 0);
    for (uint32_t i = 1; i < header_sectors; i++)
        sector_seal(write + (size_t)i * SECTOR_BYTES, further_seed(write, i));
}

/* The fields of a first header sector whose checksum is right. */
static const char *write_header_judge(const struct write_header *header, const struct owner *owner,
                                      uint64_t available_bytes, uint64_t offset,
                                      const struct segment_header *segment) {
    const char *difference = owner_difference(&segment->owner, owner);
    if (difference != NULL)
        return difference;
    if (header->position.segment != segment->number || header->position.offset != offset)
        return "the write belongs to another place of the log: it was copied here";
    if (header->generation != segment->generation)
        return "the write belongs to another generation: it was copied here";

    const uint64_t header_bytes = (uint64_t)header->header_sectors * SECTOR_BYTES;
    const uint64_t stride = write_stride_bytes(header->length_bytes, segment->block_bytes);
    const bool has_entries = header->kind == WRITE_ENTRIES;
    if (header->kind < WRITE_ENTRIES || header->kind > WRITE_SEAL ||
        has_entries != (header->entry_count > 0) ||
        has_entries != (header->length_bytes > header_bytes))
        return "the write's header holds a kind or count that is never written";
    if (header->header_sectors == 0 || header->length_bytes < header_bytes ||
        stride > available_bytes ||
        stride / SECTOR_BYTES - header->header_sectors > write_sums_count(header->header_sectors))
        return "the write's header holds a length that is never written";
    if (!log_position_less(header->durable_end, header->position) &&
        (header->durable_end.segment != header->position.segment ||
         header->durable_end.offset != header->position.offset))
        return "the write's header says that what follows it was durable before it";
    return NULL;
}

/*
 * The header sectors behind the first one.  False if one of them fails its checksum: the fault is
 * the first that reads as zeros, since that one decides (see log_verify.h), or else the first.
 */
static bool further_sectors_judge(const uint8_t *write, uint32_t header_sectors, uint64_t offset,
                                  struct format_fault *fault) {
    bool is_good = true;
    for (uint32_t i = 1; i < header_sectors; i++) {
        const size_t at = (size_t)i * SECTOR_BYTES;
        if (sector_is_sealed(write + at, further_seed(write, i)))
            continue;
        const bool is_zero = format_all_zero(write + at, SECTOR_BYTES);
        if (is_good || is_zero)
            format_refuse(fault, WEIR_ECORRUPT, offset + at,
                          is_zero ? "a further sector of the write's header is missing"
                                  : "the checksum of a further sector of the write's header does "
                                    "not match");
        is_good = false;
        if (is_zero)
            break;
    }
    return is_good;
}

enum format_state write_header_read(const uint8_t *write, uint64_t available_bytes, uint64_t offset,
                                    const struct segment_header *segment, struct write_header *out,
                                    struct format_fault *fault) {
    ASSERT(offset % segment->block_bytes == 0);
    if (available_bytes < SECTOR_BYTES)
        return FORMAT_BLANK; /* the end of the file: nothing fits any more */
    if (format_all_zero(write, SECTOR_BYTES))
        return FORMAT_BLANK;
    if (bytes_get_u32(write + WRITE_OFFSET_MAGIC) != WRITE_MAGIC || !sector_is_sealed(write, 0)) {
        format_refuse(fault, WEIR_ECORRUPT, offset, "the write header's checksum does not match");
        return FORMAT_DAMAGED;
    }
    if (write[WRITE_OFFSET_VERSION] != LOG_FORMAT_VERSION) {
        format_refuse(fault, WEIR_EVERSION, offset + WRITE_OFFSET_VERSION,
                      "written by a version of weir that this one cannot read");
        return FORMAT_REFUSED;
    }
    const struct owner owner = owner_get(write + WRITE_OFFSET_OWNER);
    const struct write_header header = {
        .generation = bytes_get_u64(write + WRITE_OFFSET_GENERATION),
        .position = position_get(write + WRITE_OFFSET_POSITION),
        .durable_end = position_get(write + WRITE_OFFSET_DURABLE),
        .kind = write[WRITE_OFFSET_KIND],
        .header_sectors = bytes_get_u16(write + WRITE_OFFSET_HEADER_SECTORS),
        .length_bytes = bytes_get_u32(write + WRITE_OFFSET_LENGTH),
        .entry_count = bytes_get_u32(write + WRITE_OFFSET_ENTRY_COUNT),
        .before = tail_get(write + WRITE_OFFSET_BEFORE),
    };
    const char *reason = write_header_judge(&header, &owner, available_bytes, offset, segment);
    if (reason != NULL) {
        format_refuse(fault, WEIR_ECORRUPT, offset, reason);
        return FORMAT_REFUSED;
    }
    if (!further_sectors_judge(write, header.header_sectors, offset, fault))
        return FORMAT_DAMAGED;
    *out = header;
    return FORMAT_VALID;
}

void write_sectors_check(const uint8_t *write, uint64_t offset,
                         const struct segment_header *segment, const struct write_header *header,
                         struct write_sectors *out) {
    const uint64_t stride = write_stride_bytes(header->length_bytes, segment->block_bytes);
    const uint32_t data_sectors = (uint32_t)(stride / SECTOR_BYTES) - header->header_sectors;
    *out = (struct write_sectors){0};
    for (uint32_t i = 0; i < data_sectors; i++) {
        const size_t at = ((size_t)header->header_sectors + i) * SECTOR_BYTES;
        if (MUTANT(CHECKSUM_UNVERIFIED, true,
                   bytes_get_u32(write + sum_offset(i)) == data_sum(write + at)))
            continue;
        if (out->failed_count++ == 0)
            out->first_failed_offset = offset + at;
        if (!format_all_zero(write + at, SECTOR_BYTES) && out->failed_not_zero_count++ == 0)
            out->first_failed_not_zero_offset = offset + at;
    }
}
