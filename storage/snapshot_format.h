#ifndef WEIR_STORAGE_SNAPSHOT_FORMAT_H
#define WEIR_STORAGE_SNAPSHOT_FORMAT_H

/*
 * A snapshot's bytes: a header, then blocks.
 *
 *     | header, 4096 bytes | block | block | ... | block with the LAST flag |  end of file
 *
 * A block is 32 bytes of header, up to SNAPSHOT_PAYLOAD_BYTES_MAX of the sessions' and the
 * machine's bytes, and zeros to the next multiple of 4096.  Its checksum is seeded with the one
 * before it (the first one's with the header's): a block that is missing, repeated, moved, or of
 * another snapshot does not fit, and neither does a header that was replaced.  The first one's seed
 * is what the header's checksum would be if its owner were zeros: so a member that was sent the
 * file of another can make it its own without summing every block anew.
 *
 * Pure; see format.h.
 */

#include "storage/format.h"
#include "storage/snapshot.h"

enum {
    SNAPSHOT_FORMAT_VERSION = 4,
    /* From here on the header says the largest value; before it, there are zeros. */
    SNAPSHOT_FORMAT_VERSION_VALUE = 4,
    /* From here on the first block's seed does not depend on the owner; before it was the header's
       checksum itself. */
    SNAPSHOT_FORMAT_VERSION_SEED = 3,
    /* The oldest that is read: as 2, with zeros where 2 tells of client sessions. */
    SNAPSHOT_FORMAT_VERSION_MIN = 1,
    SNAPSHOT_HEADER_BYTES = 4096,
    SNAPSHOT_ALIGN_BYTES = 4096, /* of each block in the file: no disk has larger blocks */
    SNAPSHOT_BLOCK_HEADER_BYTES = 32,
    SNAPSHOT_PAYLOAD_BYTES_MAX = SNAPSHOT_BLOCK_BYTES - SNAPSHOT_BLOCK_HEADER_BYTES,
};
_Static_assert((int)SNAPSHOT_PAYLOAD_BYTES_MAX == (int)SNAPSHOT_RESERVE_BYTES_MAX,
               "what can be reserved fits into a block");

/* Writes the header; returns the seed of the first block. */
uint64_t snapshot_header_write(uint8_t out[SNAPSHOT_HEADER_BYTES], const struct owner *owner,
                               const struct snapshot_meta *meta);

/*
 * Judges the header of a file called snapshot `index`.  machine_bytes in *meta is 0 then.
 * `owner` may be NULL: any.  Errors: WEIR_ECORRUPT, WEIR_EIDENTITY, WEIR_EVERSION.
 */
int snapshot_header_read(const uint8_t *image, uint64_t available_bytes, const struct owner *owner,
                         uint64_t index, struct snapshot_meta *meta, uint64_t *seed,
                         struct format_fault *fault);

/* Whose file a header that snapshot_header_read has found valid belongs to. */
struct owner snapshot_header_owner(const uint8_t image[SNAPSHOT_HEADER_BYTES]);

/* Makes a valid header that of another owner.  Errors, unchanged: WEIR_EVERSION, the blocks of that
 * old version belong to their owner. */
int snapshot_header_adopt(uint8_t image[SNAPSHOT_HEADER_BYTES], const struct owner *owner);

/* What a block's header says. */
struct snapshot_block {
    uint64_t number; /* 0 for the first */
    uint32_t payload_bytes;
    bool last;
};

/* Bytes that a block occupies in the file. */
static inline uint32_t snapshot_block_stride(uint32_t payload_bytes) {
    return (SNAPSHOT_BLOCK_HEADER_BYTES + payload_bytes + SNAPSHOT_ALIGN_BYTES - 1) &
           ~(uint32_t)(SNAPSHOT_ALIGN_BYTES - 1);
}

/* Completes a block whose payload stands behind its header's place: header, checksum, zeros.
 * Returns the seed of the next block. */
uint64_t snapshot_block_seal(uint8_t *block, const struct snapshot_block *header, uint64_t seed);

/*
 * Judges the block number `number` at `block`, which is at `offset` of the file; available_bytes
 * may be read.  On success *seed becomes the next block's.  Errors: WEIR_ECORRUPT.
 */
int snapshot_block_read(const uint8_t *block, uint64_t available_bytes, uint64_t offset,
                        uint64_t number, uint64_t *seed, struct snapshot_block *out,
                        struct format_fault *fault);

/* Judges a whole file.  Errors as of the two above. */
int snapshot_verify(const uint8_t *image, uint64_t length_bytes, const struct owner *owner,
                    uint64_t index, struct snapshot_meta *meta, struct format_fault *fault);

#endif
