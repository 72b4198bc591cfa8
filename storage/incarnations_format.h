#ifndef WEIR_STORAGE_INCARNATIONS_FORMAT_H
#define WEIR_STORAGE_INCARNATIONS_FORMAT_H

/*
 * The bytes of the file "incarnations": one sector that counts, written once.  Pure; see format.h.
 */

#include "storage/format.h"

/* The format, and the length of the file: always the same. */
enum { INCARNATIONS_FORMAT_VERSION = 1, INCARNATIONS_FILE_BYTES = BLOCK_BYTES_MAX };

/* Writes the file's INCARNATIONS_FILE_BYTES; every incarnation of the table is not 0 (asserted). */
void incarnations_format_write(uint8_t *out, const struct owner *owner,
                               const struct configuration *table);

/*
 * Judges a file of length_bytes (what is missing up to INCARNATIONS_FILE_BYTES is zero in `image`).
 * `owner` may be NULL: then any owner is right.  FORMAT_BLANK: no table was ever written.
 * FORMAT_VALID: ids and incarnations are in *out, with no roles.  Otherwise *fault, and *out is
 * unchanged: FORMAT_DAMAGED, or FORMAT_REFUSED (another owner's, another version).
 */
enum format_state incarnations_format_read(const uint8_t *image, uint64_t length_bytes,
                                           const struct owner *owner, struct configuration *out,
                                           struct format_fault *fault);

#endif
