#ifndef WEIR_STORAGE_IDENTITY_UNFINISHED_H
#define WEIR_STORAGE_IDENTITY_UNFINISHED_H

/*
 * A data directory whose creation was cut, by SIGKILL or with the power.
 *
 * The identity is written last and nobody serves without one, so a directory without it was never
 * used, unless the file was removed from a directory that was.  What else is there tells the two
 * apart.  A node stores term 2 or a later one, in every durability mode, before its first vote,
 * campaign or append answer, and a table of incarnations before it takes part with others.  So a
 * directory was never used if and only if it has no identity and
 *
 *   - no snapshot and no segment but the first, and every file is a regular one;
 *   - each slot of the vote file is blank or holds the record of the creation: sequence 1, term 1,
 *     nobody;
 *   - the table of incarnations is blank;
 *   - the segment is blank, or has the header of a first one and at most one write behind it, and
 *     there is a vote file, which was synced before.
 *
 * Then nothing can have been promised, and the files are removed and made again.
 */

#include <stdbool.h>

#include "storage/format.h"

/*
 * Judges a directory (open, locked) that has files of weir's and no identity.  True if it was never
 * used; *owner is whom it was being made for, all zeros if no file says it.  Changes nothing.
 * False also if a file cannot be read.  Blocks, allocates; start-up and tools.
 */
bool identity_is_unfinished(struct io *io, int32_t directory, struct owner *owner);

/*
 * Removes the files of such a directory, the vote file last and after all others are gone for good,
 * so that a cut in between leaves one that was never used, too.  Blocks.
 * Errors: WEIR_ENOMEM, WEIR_ENOSPC, WEIR_EIO.
 */
int identity_unfinished_remove(struct io *io, int32_t directory, struct error_text *error);

#endif
