#ifndef WEIR_STORAGE_IDENTITY_FORMAT_H
#define WEIR_STORAGE_IDENTITY_FORMAT_H

/*
 * The bytes of the file "identity": one block, written once.  Pure; see format.h.
 */

#include "storage/format.h"
#include "storage/identity.h"

/* The format, and the length of the file: always the same. */
enum { IDENTITY_FORMAT_VERSION = 1, IDENTITY_FILE_BYTES = 4096 };

/* Writes the file's IDENTITY_FILE_BYTES. */
void identity_format_write(uint8_t *out, const struct identity *identity);

/* Judges a file of length_bytes.  Errors: WEIR_ECORRUPT, WEIR_EVERSION; `out` is then unchanged. */
int identity_format_read(const uint8_t *image, uint64_t length_bytes, struct identity *out,
                         struct format_fault *fault);

/* True for a name of 1 to IDENTITY_NAME_BYTES_MAX printable ASCII characters, none a space. */
bool identity_name_is_valid(const char *name);

#endif
