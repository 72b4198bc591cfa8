#ifndef WEIR_STORAGE_FILES_H
#define WEIR_STORAGE_FILES_H

/*
 * Files, one step after the other: for start-up and tools.
 *
 * Each function starts one operation of the io door (files_read: several) and waits for it.  The
 * port must have nothing else outstanding.  A failure becomes a value of base/error.h and a
 * sentence; `text` may be NULL where that is allowed for error_text_set.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "io/io.h"

/* Operations that these functions have outstanding at most. */
enum { FILES_OPERATIONS_MAX = 4 };

/* Page-aligned zeroed memory of at least length_bytes (> 0); NULL if there is none. */
uint8_t *files_memory(size_t length_bytes);

/* Gives it back; NULL is allowed. */
void files_memory_free(uint8_t *memory, size_t length_bytes);

/* The same for what is written from begin to end at once and given back soon, of 1 MiB and more:
 * in huge pages of 2 MiB, if the kernel has some, which are made in an eighth of the time.  Given
 * back by files_memory_huge_free, with the same length_bytes; NULL is allowed. */
uint8_t *files_memory_huge(size_t length_bytes);
void files_memory_huge_free(uint8_t *memory, size_t length_bytes);

/* The value of base/error.h for a negative errno. */
int files_error(int32_t negative_errno);

/* Opens a file; `flags` as io_file_open.  Errors: WEIR_ENOENT, WEIR_EEXISTS, WEIR_ECORRUPT (not a
 * regular file), WEIR_EDENIED, WEIR_ENOSPC, WEIR_EIO. */
int files_open(struct io_port *port, int32_t directory, const char *name, uint32_t flags,
               int32_t *file, struct error_text *error);

/* Reads [offset, offset + length) with several reads in flight; the file must have these bytes.
 * Errors: WEIR_EIO (also if the file ends before). `name` is for the sentence. */
int files_read(struct io_port *port, int32_t file, const char *name, uint8_t *memory,
               size_t length_bytes, uint64_t offset, struct error_text *error);

/* Writes one piece.  Errors: WEIR_ENOSPC, WEIR_EIO. */
int files_write(struct io_port *port, int32_t file, const char *name, const uint8_t *memory,
                size_t length_bytes, uint64_t offset, enum io_sync sync, struct error_text *error);

/* Syncs a file.  Errors: WEIR_ENOSPC, WEIR_EIO. */
int files_sync(struct io_port *port, int32_t file, const char *name, struct error_text *error);

/* Makes a file so long, reading as zeros.  Errors: WEIR_ENOSPC, WEIR_EIO. */
int files_allocate(struct io_port *port, int32_t file, const char *name, uint64_t length_bytes,
                   struct error_text *error);

/* Renames; an existing target is replaced.  Errors: WEIR_ENOSPC, WEIR_EIO. */
int files_rename(struct io_port *port, int32_t directory, const char *from, const char *to,
                 struct error_text *error);

/* Removes a name; one that is not there is no error.  Errors: WEIR_EIO. */
int files_remove(struct io_port *port, int32_t directory, const char *name,
                 struct error_text *error);

/* Makes names durable.  Errors: WEIR_ENOSPC, WEIR_EIO. */
int files_directory_sync(struct io_port *port, int32_t directory, struct error_text *error);

#endif
