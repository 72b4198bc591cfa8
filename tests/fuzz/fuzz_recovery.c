/*
 * Recovery, fed with arbitrary bytes: everything that judges what stands on a disk.
 *
 * The first byte says what the rest is:
 *
 *   0  a vote file        1  an identity        2  a snapshot       3  one segment file
 *   4  changes to a valid log of three segments: recovery must answer with a prefix of that log,
 *      or refuse; and it must refuse unless the last segment's end is as it was or has lost a whole
 *      sector (which then reads as zeros), since only that is how a write is torn
 *   5  the same, and then all checksums made right again: whoever wrote that is not a disk but an
 *      enemy; recovery may believe it, but must stay in bounds
 *   6  as 5, of a valid snapshot
 *
 * A change is 4 bytes: an offset (u24) and the byte to be put there.
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "storage/identity_format.h"
#include "storage/snapshot_format.h"
#include "storage/vote_format.h"
#include "tests/storage/images.h"

#include <stdlib.h>

enum {
    FUZZ_SEGMENT_BYTES = 16 * 1024,
    FUZZ_SEGMENTS = 3,
    FUZZ_ENTRIES_MAX = 64,
    FUZZ_SNAPSHOT_BYTES = 12 * 1024,
};

/* libFuzzer's own name for the target; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct owner owner = {.cluster_id = 11, .node_id = 1, .incarnation = 22};

/* The valid log, and its tail after each entry. */
struct valid_log {
    uint8_t *bytes; /* of all segments, one after the other */
    uint64_t last;
    struct entry_tail tails[FUZZ_ENTRIES_MAX];
};

/* ---- a valid log -------------------------------------------------------------------------- */

/* Of a write's entries this one is a digest, if there are so many. */
enum { FUZZ_DIGEST_PLACE = 2, FUZZ_PARTITIONS = 8 };

/* Writes the body of a digest behind the tail; its length. */
static uint32_t digest_make(uint8_t *body, const struct entry_tail *tail) {
    uint64_t digests[FUZZ_PARTITIONS];
    for (uint32_t i = 0; i < FUZZ_PARTITIONS; i++)
        digests[i] = tail->chain + i;
    entry_digest_write(body, tail->index, digests, FUZZ_PARTITIONS);
    return entry_digest_bytes(FUZZ_PARTITIONS);
}

/* Adds one write with `count` entries at *offset: of one argument each, and a digest. */
static void write_add(struct valid_log *log, uint8_t *image, const struct segment_header *segment,
                      uint64_t *offset, uint32_t count, uint32_t argument_bytes) {
    static uint8_t argument_memory[4096];
    struct entry_tail tail = log->tails[log->last];
    struct write_header header = {
        .generation = segment->generation,
        .position = {.segment = segment->number, .offset = *offset},
        .durable_end = {.segment = segment->number, .offset = *offset},
        .kind = count > 0 ? WRITE_ENTRIES : WRITE_MARK,
        .header_sectors = 1,
        .length_bytes = SECTOR_BYTES,
        .entry_count = count,
        .before = tail,
    };
    if (count == 0)
        header.before = (struct entry_tail){0};
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *entry = image + *offset + header.length_bytes;
        const struct entry_argument argument = {argument_memory, argument_bytes};
        const uint64_t key_hash = tail.index;
        const bool is_digest = i == FUZZ_DIGEST_PLACE;
        const uint32_t body = is_digest ? digest_make(entry + ENTRY_HEADER_BYTES, &tail)
                                        : entry_command_write(entry + ENTRY_HEADER_BYTES, 7,
                                                              &argument, 1, &key_hash, 1);
        const struct entry_header sealed = {.length_bytes = ENTRY_HEADER_BYTES + body,
                                            .kind = is_digest ? ENTRY_DIGEST : ENTRY_COMMANDS,
                                            .command_count = is_digest ? 0 : 1,
                                            .term = segment->generation,
                                            .log_time_ms = tail.index};
        entry_seal(entry, &sealed, &tail);
        header.length_bytes += entry_stride_bytes(sealed.length_bytes);
        log->tails[++log->last] = tail;
    }
    write_header_write(image + *offset, segment, &header);
    *offset += write_stride_bytes(header.length_bytes, segment->block_bytes);
}

/* Three segments: the second continues the first, the third truncates the second. */
static void valid_log_make(struct valid_log *log) {
    *log = (struct valid_log){
        .bytes = calloc(FUZZ_SEGMENTS, FUZZ_SEGMENT_BYTES),
        .tails = {entry_tail_origin()},
    };
    ASSERT(log->bytes != NULL);
    struct segment_header segment = {.owner = owner,
                                     .generation = 1,
                                     .segment_bytes = FUZZ_SEGMENT_BYTES,
                                     .block_bytes = SECTOR_BYTES};
    uint64_t offset = 0;
    for (uint32_t i = 0; i < FUZZ_SEGMENTS; i++) {
        uint8_t *image = log->bytes + (size_t)i * FUZZ_SEGMENT_BYTES;
        segment.before_end = (struct log_position){.segment = segment.number, .offset = offset};
        segment.number = i + 1;
        segment.origin = (uint8_t)(SEGMENT_FIRST + i);
        if (segment.origin == SEGMENT_TRUNCATE) {
            segment.generation++;
            log->last -= 2;
        }
        segment.before = log->tails[log->last];
        segment_header_write(image, &segment);
        offset = SEGMENT_HEADER_BYTES;
        write_add(log, image, &segment, &offset, 3, 20);
        write_add(log, image, &segment, &offset, 1, 3000);
        write_add(log, image, &segment, &offset, 5, 100 * i);
        if (segment.origin == SEGMENT_TRUNCATE)
            write_add(log, image, &segment, &offset, 0, 0);
    }
}

/* ---- judging ------------------------------------------------------------------------------ */

static void changes_apply(uint8_t *bytes, size_t bytes_count, const uint8_t *data, size_t size) {
    for (; size >= 4; data += 4, size -= 4) {
        const size_t offset =
            ((size_t)data[0] << 16 | (size_t)data[1] << 8 | data[2]) % bytes_count;
        bytes[offset] = data[3];
    }
}

/* Makes the checksums of one segment right, as far as its headers can still be followed. */
static void segment_seal_again(uint8_t *image) {
    sector_seal(image, 0);
    for (size_t offset = SEGMENT_HEADER_BYTES; offset + SECTOR_BYTES <= FUZZ_SEGMENT_BYTES;) {
        const uint32_t length_bytes = bytes_get_u32(image + offset + 72);
        const uint16_t header_sectors = bytes_get_u16(image + offset + 6);
        const uint64_t stride = write_stride_bytes(length_bytes, SECTOR_BYTES);
        const uint64_t room = FUZZ_SEGMENT_BYTES - offset;
        if (header_sectors == 1 && length_bytes >= SECTOR_BYTES && stride <= room &&
            stride / SECTOR_BYTES - 1 <= WRITE_SUMS_FIRST) {
            for (uint32_t i = 1; i < stride / SECTOR_BYTES; i++)
                bytes_put_u32(image + offset + WRITE_HEADER_FIXED_BYTES + 4 * (size_t)(i - 1),
                              (uint32_t)checksum_64(image + offset + (size_t)i * SECTOR_BYTES,
                                                    SECTOR_BYTES, 0));
            /* The chain of the first entry: the others would need its value. */
            if (length_bytes >= SECTOR_BYTES + ENTRY_HEADER_BYTES) {
                uint8_t *entry = image + offset + SECTOR_BYTES;
                const uint32_t entry_bytes = bytes_get_u32(entry);
                if (entry_bytes >= ENTRY_HEADER_BYTES && entry_bytes <= stride - SECTOR_BYTES)
                    bytes_put_u64(entry + 32, entry_chain(entry, entry_bytes,
                                                          bytes_get_u64(image + offset + 104)));
            }
        }
        sector_seal(image + offset, 0);
        offset += stride > 0 && stride <= room ? stride : SECTOR_BYTES;
    }
}

/* Bytes of a segment up to the end of its last write. */
static size_t written_bytes(const uint8_t *image) {
    size_t end = FUZZ_SEGMENT_BYTES;
    while (end > 0 && image[end - 1] == 0)
        end--;
    return ALIGN_UP(end, (size_t)SECTOR_BYTES);
}

/* True if recovery may end the last segment at `end_offset`, when its writes were `before` and are
 * now `after`: nothing is changed from there on, or a whole sector is lost. */
static bool may_end_at(const uint8_t *before, const uint8_t *after, uint64_t end_offset) {
    const size_t end = written_bytes(before);
    if (end_offset >= end)
        return true;
    for (size_t at = (size_t)end_offset; at < end; at += SECTOR_BYTES) {
        if (!format_all_zero(before + at, SECTOR_BYTES) &&
            format_all_zero(after + at, SECTOR_BYTES))
            return true;
    }
    return false;
}

static void log_judge(const uint8_t *data, size_t size, bool sealed_again) {
    struct valid_log log;
    valid_log_make(&log);
    uint8_t before[FUZZ_SEGMENT_BYTES]; /* of the last segment */
    memcpy(before, log.bytes + (size_t)(FUZZ_SEGMENTS - 1) * FUZZ_SEGMENT_BYTES, sizeof(before));
    changes_apply(log.bytes, (size_t)FUZZ_SEGMENTS * FUZZ_SEGMENT_BYTES, data, size);
    struct images images = {.count = FUZZ_SEGMENTS, .owner = owner};
    for (uint32_t i = 0; i < FUZZ_SEGMENTS; i++) {
        uint8_t *image = log.bytes + (size_t)i * FUZZ_SEGMENT_BYTES;
        if (sealed_again)
            segment_seal_again(image);
        images.numbers[i] = i + 1;
        images.length_bytes[i] = FUZZ_SEGMENT_BYTES;
        images.bytes[i] = malloc(FUZZ_SEGMENT_BYTES); /* of its own: a byte too far is seen */
        ASSERT(images.bytes[i] != NULL);
        memcpy(images.bytes[i], image, FUZZ_SEGMENT_BYTES);
    }
    const struct verdict verdict = images_judge(&images);
    if (verdict.error != 0)
        ASSERT(verdict.fault.reason != NULL && verdict.fault.offset <= FUZZ_SEGMENT_BYTES);
    else if (!sealed_again)
        ASSERT(verdict.tail.index <= log.last &&
               verdict.tail.chain == log.tails[verdict.tail.index].chain &&
               may_end_at(before, images.bytes[FUZZ_SEGMENTS - 1], verdict.end_offset));
    images_free(&images);
    free(log.bytes);
}

static void segment_judge(const uint8_t *data, size_t size) {
    struct images images = {.count = 1, .owner = owner, .numbers = {1}, .length_bytes = {size}};
    images.bytes[0] = malloc(size > 0 ? size : 1);
    ASSERT(images.bytes[0] != NULL);
    memcpy(images.bytes[0], data, size);
    (void)images_judge(&images);
    images_free(&images);
}

static void vote_judge(const uint8_t *data, size_t size) {
    uint8_t image[VOTE_FILE_BYTES] = {0};
    memcpy(image, data, size < sizeof(image) ? size : sizeof(image));
    struct vote_slot slot;
    struct format_fault fault;
    int repair_slot;
    const char *reason;
    const int result = vote_choose(image, &owner, &slot, &repair_slot, &reason, &fault);
    ASSERT(result != 0 || (slot.sequence > 0 && repair_slot >= -1 && repair_slot <= 1));
    ASSERT(result == 0 || fault.reason != NULL);
}

static void identity_judge(const uint8_t *data, size_t size) {
    struct identity identity;
    struct format_fault fault;
    const int result = identity_format_read(data, size, &identity, &fault);
    ASSERT(result == 0 || fault.reason != NULL);
    ASSERT(result != 0 || identity_name_is_valid(identity.cluster_name));
}

static void snapshot_judge(const uint8_t *data, size_t size) {
    struct snapshot_meta meta;
    struct format_fault fault;
    const int result = snapshot_verify(data, size, &owner, 9, &meta, &fault);
    ASSERT(result == 0 || (fault.reason != NULL && fault.offset <= size));
    ASSERT(result != 0 || meta.machine_bytes < size);
}

/* A snapshot of two blocks, changed, and its checksums made right again. */
static void snapshot_judge_sealed(const uint8_t *data, size_t size) {
    uint8_t *image = calloc(1, FUZZ_SNAPSHOT_BYTES);
    ASSERT(image != NULL);
    const struct snapshot_meta meta = {
        .tail = {.index = 9, .term = 1},
        .configuration = {.member_count = 1,
                          .members = {{.node_id = 1, .roles = CONFIGURATION_VOTER}}},
        .genesis = {.partition_count = 1},
    };
    snapshot_header_write(image, &owner, &meta);
    uint8_t *blocks[] = {image + SNAPSHOT_HEADER_BYTES,
                         image + SNAPSHOT_HEADER_BYTES + SNAPSHOT_ALIGN_BYTES};
    uint64_t seed = 0;
    for (uint32_t i = 0; i < 2; i++) {
        const struct snapshot_block block = {.number = i, .payload_bytes = 500, .last = i == 1};
        (void)snapshot_block_seal(blocks[i], &block, 0);
    }
    changes_apply(image, FUZZ_SNAPSHOT_BYTES, data, size);
    seed = checksum_64(image, SNAPSHOT_HEADER_BYTES - 8, 0);
    bytes_put_u64(image + SNAPSHOT_HEADER_BYTES - 8, seed);
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t payload_bytes = bytes_get_u32(blocks[i] + 16);
        if (payload_bytes > SNAPSHOT_ALIGN_BYTES - SNAPSHOT_BLOCK_HEADER_BYTES)
            break;
        seed = checksum_64(blocks[i] + 8, SNAPSHOT_BLOCK_HEADER_BYTES - 8 + payload_bytes, seed);
        bytes_put_u64(blocks[i], seed);
    }
    snapshot_judge(image, FUZZ_SNAPSHOT_BYTES);
    free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    switch (data[0] % 7) {
    case 0: vote_judge(data + 1, size - 1); break;
    case 1: identity_judge(data + 1, size - 1); break;
    case 2: snapshot_judge(data + 1, size - 1); break;
    case 3: segment_judge(data + 1, size - 1); break;
    case 4: log_judge(data + 1, size - 1, false); break;
    case 5: log_judge(data + 1, size - 1, true); break;
    default: snapshot_judge_sealed(data + 1, size - 1); break;
    }
    return 0;
}
