/*
 * A snapshot's bytes: see snapshot_format.h.
 *
 * Failure modes, all in reading: a checksum that does not match (which covers order and belonging
 * too), a length that is never written, bytes that should be zero and are not, a file that ends too
 * early or too late.
 */

#include "storage/snapshot_format.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/mutant.h"

/* "weirsnap" as a little-endian number. */
#define SNAPSHOT_MAGIC UINT64_C(0x70616e7372696577)

/* Offsets in the header; what is between is zero; the last 8 bytes are the checksum. */
enum {
    HEADER_MAGIC = 0,
    HEADER_VERSION = 8, /* u32 */
    HEADER_OWNER = 16,
    HEADER_TAIL = 40,                  /* index, term, log time, chain: u64 each */
    HEADER_HASH_SEED = 72,             /* u64 */
    HEADER_PARTITION_COUNT = 80,       /* u32 */
    HEADER_DIGEST_COUNT = 84,          /* u32 */
    HEADER_MACHINE_NAME = 88,          /* 32 bytes, filled up with zeros */
    HEADER_MACHINE_VERSION = 120,      /* u32 */
    HEADER_CONFIGURATION_LENGTH = 124, /* u32 */
    HEADER_CONFIGURATION = 128,
    HEADER_DIGESTS = 648,          /* u64 each */
    HEADER_SESSION_BYTES = 2696,   /* u64 */
    HEADER_SESSION_VERSION = 2704, /* u32 */
    HEADER_VALUE_BYTES_MAX = 2708, /* u32 */
    HEADER_CHECKSUM = SNAPSHOT_HEADER_BYTES - 8,
};
_Static_assert(HEADER_CONFIGURATION + (int)CONFIGURATION_BYTES_MAX == HEADER_DIGESTS,
               "the largest configuration fits");
_Static_assert(HEADER_DIGESTS + 8 * (int)ENTRY_PARTITIONS_MAX == HEADER_SESSION_BYTES,
               "all digests fit");

/* Offsets in a block's header. */
enum {
    BLOCK_CHECKSUM = 0, /* of all that follows up to the payload's end */
    BLOCK_NUMBER = 8,   /* u64 */
    BLOCK_PAYLOAD = 16, /* u32 */
    BLOCK_FLAGS = 20,   /* u32 */
    BLOCK_RESERVED = 24,
};
enum { BLOCK_FLAG_LAST = 1 };

uint64_t snapshot_header_write(uint8_t out[SNAPSHOT_HEADER_BYTES], const struct owner *owner,
                               const struct snapshot_meta *meta) {
    ASSERT(meta->digest_count <= ENTRY_PARTITIONS_MAX);
    ASSERT(meta->tail.index > 0);
    ASSERT((meta->session_bytes > 0) == (meta->session_version > 0));
    memset(out, 0, SNAPSHOT_HEADER_BYTES);
    bytes_put_u64(out + HEADER_MAGIC, SNAPSHOT_MAGIC);
    bytes_put_u32(out + HEADER_VERSION, SNAPSHOT_FORMAT_VERSION);
    bytes_put_u64(out + HEADER_TAIL, meta->tail.index);
    bytes_put_u64(out + HEADER_TAIL + 8, meta->tail.term);
    bytes_put_u64(out + HEADER_TAIL + 16, meta->tail.log_time_ms);
    bytes_put_u64(out + HEADER_TAIL + 24, meta->tail.chain);
    bytes_put_u64(out + HEADER_HASH_SEED, meta->genesis.hash_seed);
    bytes_put_u32(out + HEADER_PARTITION_COUNT, meta->genesis.partition_count);
    bytes_put_u32(out + HEADER_DIGEST_COUNT, meta->digest_count);
    memcpy(out + HEADER_MACHINE_NAME, meta->machine_name, SNAPSHOT_MACHINE_NAME_BYTES_MAX);
    bytes_put_u32(out + HEADER_MACHINE_VERSION, meta->machine_version);
    bytes_put_u32(out + HEADER_CONFIGURATION_LENGTH,
                  configuration_write(out + HEADER_CONFIGURATION, &meta->configuration));
    for (uint32_t i = 0; i < meta->digest_count; i++)
        bytes_put_u64(out + HEADER_DIGESTS + (size_t)8 * i, meta->digests[i]);
    bytes_put_u64(out + HEADER_SESSION_BYTES, meta->session_bytes);
    bytes_put_u32(out + HEADER_SESSION_VERSION, meta->session_version);
    bytes_put_u32(out + HEADER_VALUE_BYTES_MAX, meta->genesis.value_bytes_max);
    const uint64_t seed = checksum_64(out, HEADER_CHECKSUM, 0);
    owner_put(out + HEADER_OWNER, owner);
    bytes_put_u64(out + HEADER_CHECKSUM, checksum_64(out, HEADER_CHECKSUM, 0));
    return seed;
}

/* The seed of the first block behind a header whose checksum is right. */
static uint64_t header_seed(const uint8_t *image) {
    if (bytes_get_u32(image + HEADER_VERSION) < SNAPSHOT_FORMAT_VERSION_SEED)
        return bytes_get_u64(image + HEADER_CHECKSUM);
    uint8_t anybodys[SNAPSHOT_HEADER_BYTES];
    memcpy(anybodys, image, sizeof(anybodys));
    memset(anybodys + HEADER_OWNER, 0, OWNER_BYTES);
    return checksum_64(anybodys, HEADER_CHECKSUM, 0);
}

struct owner snapshot_header_owner(const uint8_t image[SNAPSHOT_HEADER_BYTES]) {
    ASSERT(bytes_get_u64(image + HEADER_MAGIC) == SNAPSHOT_MAGIC);
    return owner_get(image + HEADER_OWNER);
}

int snapshot_header_adopt(uint8_t image[SNAPSHOT_HEADER_BYTES], const struct owner *owner) {
    ASSERT(bytes_get_u64(image + HEADER_MAGIC) == SNAPSHOT_MAGIC);
    if (bytes_get_u32(image + HEADER_VERSION) < SNAPSHOT_FORMAT_VERSION_SEED)
        return WEIR_EVERSION;
    owner_put(image + HEADER_OWNER, owner);
    bytes_put_u64(image + HEADER_CHECKSUM, checksum_64(image, HEADER_CHECKSUM, 0));
    return 0;
}

/* The largest value that was agreed; older versions agreed on none. */
static uint32_t header_value_bytes_max(const uint8_t *image) {
    const uint32_t version = bytes_get_u32(image + HEADER_VERSION);
    ASSERT(version >= SNAPSHOT_FORMAT_VERSION_MIN && version <= SNAPSHOT_FORMAT_VERSION);
    return version < SNAPSHOT_FORMAT_VERSION_VALUE ? 0
                                                   : bytes_get_u32(image + HEADER_VALUE_BYTES_MAX);
}

/* The fields of a header whose checksum is right; NULL, or what is wrong. */
static const char *header_fields_read(const uint8_t *image, uint64_t index,
                                      struct snapshot_meta *meta) {
    *meta = (struct snapshot_meta){
        .tail = {.index = bytes_get_u64(image + HEADER_TAIL),
                 .term = bytes_get_u64(image + HEADER_TAIL + 8),
                 .log_time_ms = bytes_get_u64(image + HEADER_TAIL + 16),
                 .chain = bytes_get_u64(image + HEADER_TAIL + 24)},
        .genesis = {.hash_seed = bytes_get_u64(image + HEADER_HASH_SEED),
                    .partition_count = bytes_get_u32(image + HEADER_PARTITION_COUNT),
                    .value_bytes_max = header_value_bytes_max(image)},
        .machine_version = bytes_get_u32(image + HEADER_MACHINE_VERSION),
        .digest_count = bytes_get_u32(image + HEADER_DIGEST_COUNT),
        .session_bytes = bytes_get_u64(image + HEADER_SESSION_BYTES),
        .session_version = bytes_get_u32(image + HEADER_SESSION_VERSION),
    };
    memcpy(meta->machine_name, image + HEADER_MACHINE_NAME, SNAPSHOT_MACHINE_NAME_BYTES_MAX);
    const uint32_t configuration_length = bytes_get_u32(image + HEADER_CONFIGURATION_LENGTH);
    if (meta->tail.index != index)
        return "the index is not the one in the file's name: it was renamed";
    if (meta->digest_count > ENTRY_PARTITIONS_MAX ||
        configuration_length > CONFIGURATION_BYTES_MAX ||
        meta->genesis.partition_count > ENTRY_PARTITIONS_MAX ||
        meta->genesis.value_bytes_max > ENTRY_VALUE_BYTES_MAX)
        return "a count is out of range";
    if ((meta->session_bytes > 0) != (meta->session_version > 0))
        return "the sessions' version and length do not fit each other";
    if (meta->machine_name[SNAPSHOT_MACHINE_NAME_BYTES_MAX - 1] != '\0')
        return "the machine's name is not terminated";
    if (configuration_read(image + HEADER_CONFIGURATION, configuration_length,
                           &meta->configuration) != 0)
        return "the configuration is not valid";
    for (uint32_t i = 0; i < meta->digest_count; i++)
        meta->digests[i] = bytes_get_u64(image + HEADER_DIGESTS + (size_t)8 * i);
    return NULL;
}

int snapshot_header_read(const uint8_t *image, uint64_t available_bytes, const struct owner *owner,
                         uint64_t index, struct snapshot_meta *meta, uint64_t *seed,
                         struct format_fault *fault) {
    if (available_bytes < SNAPSHOT_HEADER_BYTES)
        return format_refuse(fault, WEIR_ECORRUPT, available_bytes, "the file ends in its header");
    if (bytes_get_u64(image + HEADER_MAGIC) != SNAPSHOT_MAGIC)
        return format_refuse(fault, WEIR_ECORRUPT, HEADER_MAGIC, "not a snapshot");
    if (bytes_get_u64(image + HEADER_CHECKSUM) != checksum_64(image, HEADER_CHECKSUM, 0))
        return format_refuse(fault, WEIR_ECORRUPT, 0, "the header's checksum does not match");
    const uint32_t version = bytes_get_u32(image + HEADER_VERSION);
    if (version < SNAPSHOT_FORMAT_VERSION_MIN || version > SNAPSHOT_FORMAT_VERSION)
        return format_refuse(fault, WEIR_EVERSION, HEADER_VERSION,
                             "written by a version of weir that this one cannot read");
    const struct owner found = owner_get(image + HEADER_OWNER);
    const char *difference = owner == NULL ? NULL : owner_difference(owner, &found);
    if (difference != NULL)
        return format_refuse_owner(fault, HEADER_OWNER, difference);
    const char *reason = header_fields_read(image, index, meta);
    if (reason != NULL)
        return format_refuse(fault, WEIR_ECORRUPT, HEADER_TAIL, reason);
    *seed = header_seed(image);
    return 0;
}

uint64_t snapshot_block_seal(uint8_t *block, const struct snapshot_block *header, uint64_t seed) {
    const uint32_t end = SNAPSHOT_BLOCK_HEADER_BYTES + header->payload_bytes;
    ASSERT(header->payload_bytes <= SNAPSHOT_PAYLOAD_BYTES_MAX);
    ASSERT(header->payload_bytes > 0 || header->last);
    bytes_put_u64(block + BLOCK_NUMBER, header->number);
    bytes_put_u32(block + BLOCK_PAYLOAD, header->payload_bytes);
    bytes_put_u32(block + BLOCK_FLAGS, header->last ? BLOCK_FLAG_LAST : 0);
    bytes_put_u64(block + BLOCK_RESERVED, 0);
    memset(block + end, 0, snapshot_block_stride(header->payload_bytes) - end);
    const uint64_t checksum = checksum_64(block + BLOCK_NUMBER, end - BLOCK_NUMBER, seed);
    bytes_put_u64(block + BLOCK_CHECKSUM, checksum);
    return checksum;
}

int snapshot_block_read(const uint8_t *block, uint64_t available_bytes, uint64_t offset,
                        uint64_t number, uint64_t *seed, struct snapshot_block *out,
                        struct format_fault *fault) {
    if (available_bytes < SNAPSHOT_BLOCK_HEADER_BYTES)
        return format_refuse(fault, WEIR_ECORRUPT, offset + available_bytes,
                             "the file ends before its last block");
    const uint32_t payload_bytes = bytes_get_u32(block + BLOCK_PAYLOAD);
    const uint32_t flags = bytes_get_u32(block + BLOCK_FLAGS);
    if (payload_bytes > SNAPSHOT_PAYLOAD_BYTES_MAX)
        return format_refuse(fault, WEIR_ECORRUPT, offset + BLOCK_PAYLOAD,
                             "the block's length is out of range");
    const uint32_t stride = snapshot_block_stride(payload_bytes);
    if (stride > available_bytes)
        return format_refuse(fault, WEIR_ECORRUPT, offset + available_bytes,
                             "the file ends within a block");
    const uint32_t end = SNAPSHOT_BLOCK_HEADER_BYTES + payload_bytes;
    const uint64_t checksum = checksum_64(block + BLOCK_NUMBER, end - BLOCK_NUMBER, *seed);
    if (MUTANT(CHECKSUM_UNVERIFIED, false, bytes_get_u64(block + BLOCK_CHECKSUM) != checksum))
        return format_refuse(fault, WEIR_ECORRUPT, offset, "the block's checksum does not match");
    if (bytes_get_u64(block + BLOCK_NUMBER) != number ||
        (flags & ~(uint32_t)BLOCK_FLAG_LAST) != 0 || bytes_get_u64(block + BLOCK_RESERVED) != 0)
        return format_refuse(fault, WEIR_ECORRUPT, offset + BLOCK_NUMBER,
                             "the block's header holds a value that is never written");
    const size_t zero_bytes = format_zero_bytes(block + end, stride - end);
    if (zero_bytes != stride - end)
        return format_refuse(fault, WEIR_ECORRUPT, offset + end + zero_bytes,
                             "not zero behind the block");
    *seed = checksum;
    *out = (struct snapshot_block){
        .number = number, .payload_bytes = payload_bytes, .last = (flags & BLOCK_FLAG_LAST) != 0};
    return 0;
}

int snapshot_verify(const uint8_t *image, uint64_t length_bytes, const struct owner *owner,
                    uint64_t index, struct snapshot_meta *meta, struct format_fault *fault) {
    uint64_t seed;
    int error = snapshot_header_read(image, length_bytes, owner, index, meta, &seed, fault);
    uint64_t offset = SNAPSHOT_HEADER_BYTES;
    struct snapshot_block block = {.last = false};
    for (uint64_t number = 0; error == 0 && !block.last; number++) {
        error = snapshot_block_read(image + offset, length_bytes - offset, offset, number, &seed,
                                    &block, fault);
        if (error != 0)
            return error;
        meta->machine_bytes += block.payload_bytes;
        offset += snapshot_block_stride(block.payload_bytes);
    }
    if (error == 0 && offset != length_bytes)
        return format_refuse(fault, WEIR_ECORRUPT, offset,
                             "the file goes on behind its last block");
    if (error == 0 && meta->session_bytes > meta->machine_bytes)
        return format_refuse(fault, WEIR_ECORRUPT, HEADER_SESSION_BYTES,
                             "it holds fewer bytes than its header says for the sessions");
    return error;
}
