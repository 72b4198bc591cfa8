#ifndef WEIR_STORAGE_FORMAT_H
#define WEIR_STORAGE_FORMAT_H

/*
 * What all files of a data directory have in common: names, owner, faults.
 *
 * Every file carries in its first sector who it belongs to (cluster, node, incarnation) and a
 * checksum.  Judging bytes is separate from fetching them: everything in *_format.h and
 * log_verify.h is a pure function over bytes in memory, so the same code serves the opening of a
 * log, `weir inspect`, the fuzzer, and the test that flips every byte.
 *
 * docs/formats.md has the formats byte by byte.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/identity.h"

enum {
    /* What a disk writes whole or not at all; the unit of our checksums. */
    SECTOR_BYTES = 512,
    /* The largest block (alignment of direct writes) that we can use. */
    BLOCK_BYTES_MAX = 4096,
    /* The last 8 bytes of a sector that carries its own checksum. */
    SECTOR_CHECKSUM_OFFSET = SECTOR_BYTES - 8,
};

/* Names in a data directory. */
#define FILE_NAME_IDENTITY          "identity"
#define FILE_NAME_IDENTITY_PARTIAL  "identity.partial"
#define FILE_NAME_VOTE              "vote"
#define FILE_NAME_INCARNATIONS      "incarnations"
#define FILE_NAME_SEGMENT_PREFIX    "log-"
#define FILE_NAME_SNAPSHOT_PREFIX   "snapshot-"
#define FILE_NAME_SNAPSHOT_PARTIAL  "snapshot.partial"
#define FILE_NAME_SNAPSHOT_RECEIVED "snapshot.received"

/* Room for any of these names with its terminating zero. */
enum { FILE_NAME_BYTES = 32 };

/* "log-0000000000000007" for 7. */
void segment_name(char out[FILE_NAME_BYTES], uint64_t number);

/* The number in a segment's name; 0 if it is not one. */
uint64_t segment_name_number(const char *name);

/* "snapshot-0000000000001000" for a snapshot up to entry 1000. */
void snapshot_name(char out[FILE_NAME_BYTES], uint64_t index);

/* The index in a snapshot's name; 0 if it is not one. */
uint64_t snapshot_name_index(const char *name);

/* Whose file it is. */
struct owner {
    uint64_t cluster_id;
    uint64_t node_id;
    uint64_t incarnation;
};

/* Bytes of an owner in a file: cluster, node, incarnation, u64 each. */
enum { OWNER_BYTES = 24 };

/* The owner that an identity stands for. */
struct owner owner_of(const struct identity *identity);

/* Writes OWNER_BYTES. */
void owner_put(uint8_t *out, const struct owner *owner);

/* Reads OWNER_BYTES. */
struct owner owner_get(const uint8_t *from);

/* Which part of the owner differs, for a person: "cluster", "node" or "incarnation"; or NULL. */
const char *owner_difference(const struct owner *expected, const struct owner *found);

/* What judging a sector that has a checksum gives. */
enum format_state {
    FORMAT_VALID,
    FORMAT_BLANK,   /* the sector reads as zeros: nothing was ever written there, or it was lost */
    FORMAT_DAMAGED, /* a sector's checksum fails: it was altered, or one of several was lost */
    FORMAT_REFUSED, /* the checksums are right; what they cover must not be there */
};

/* Why bytes were refused and where.  `reason` is a string constant. */
struct format_fault {
    int error;       /* WEIR_ECORRUPT, WEIR_EIDENTITY or WEIR_EVERSION */
    uint64_t offset; /* in the file: the first byte, sector or field that is wrong */
    const char *reason;
};

/* Fills the fault and returns its error. */
int format_refuse(struct format_fault *fault, int error, uint64_t offset, const char *reason);

/* The fault of a file of another owner: WEIR_EIDENTITY at `offset`. */
int format_refuse_owner(struct format_fault *fault, uint64_t offset, const char *difference);

/* True if all bytes are zero; fast (recovery runs it over whole segments). */
bool format_all_zero(const uint8_t *bytes, size_t length_bytes);

/* Offset of the first byte that is not zero; length_bytes if there is none. */
size_t format_zero_bytes(const uint8_t *bytes, size_t length_bytes);

/* Puts the checksum of the first 504 bytes of a sector in its last 8. */
void sector_seal(uint8_t sector[SECTOR_BYTES], uint64_t seed);

/* True if the sector's last 8 bytes are the checksum of the others. */
bool sector_is_sealed(const uint8_t sector[SECTOR_BYTES], uint64_t seed);

#endif
