#ifndef WEIR_TOOLS_CHECK_HISTORY_FILES_H
#define WEIR_TOOLS_CHECK_HISTORY_FILES_H

/* Histories from files into one, for weir check-history. */

#include <stdint.h>

#include "base/error.h"
#include "sim/history.h"

/* Files of one check: a client each, say. */
enum { CHECK_FILES_MAX = 1024 };

/* What came from one file, and where its numbers begin in the merged history. */
struct check_file {
    const char *name;
    uint32_t operation_first;
    uint32_t operation_count;
    uint32_t client_offset; /* added to each client's number */
    uint32_t connection_offset;
};

/*
 * Creates *history and loads the files [1, CHECK_FILES_MAX] into it, in order; files[i].name is
 * given. A file's own order of lines is free but for this: those of one connection have different
 * sequence numbers, and each is invoked no earlier than the one before it in that order. The
 * numbers of clients and connections are moved so that no two files share one. On success the
 * caller owns the history. Blocks; allocates.
 * Errors, with a sentence that names file and line where it can, and nothing held: WEIR_ENOENT (no
 * such file), WEIR_EIO, WEIR_ENOMEM, WEIR_EINVAL (a line is no operation, a connection's numbers
 * are wrong), WEIR_ELIMIT (more than HISTORY_OPERATIONS_MAX operations, or HISTORY_BYTES_MAX).
 */
int check_files_load(struct check_file *files, uint32_t count, struct history *history,
                     struct error_text *error);

#endif
