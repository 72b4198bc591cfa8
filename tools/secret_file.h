#ifndef WEIR_TOOLS_SECRET_FILE_H
#define WEIR_TOOLS_SECRET_FILE_H

/*
 * The secret that the members of a cluster have in common, in a file: any bytes, but what is blank
 * or an end of line at its end does not count, so that an editor does no harm.  Whoever can read
 * it can be a member, so it must be a regular file that only its owner can read, and the owner has
 * to be the user who runs the node, or root.
 *
 * Both functions block; start-up and tools.
 */

#include "base/error.h"
#include "base/mac.h"

enum {
    SECRET_BYTES_MIN = 32,   /* as long as a tag: a shorter one is easier to guess than a tag */
    SECRET_BYTES_MAX = 1024, /* what is longer is some other file */
};

/*
 * Reads it and makes its key.  Errors, each with the path, what is wrong and what to do; *key
 * unchanged: WEIR_ENOENT, WEIR_EIO if it cannot be read; WEIR_EDENIED if others can read it or own
 * it; WEIR_EINVAL if it is no regular file, or too short or too long.
 */
int secret_file_read(const char *path, struct mac_key *key, struct error_text *error);

/*
 * Writes a new one: 32 unpredictable bytes as 64 hexadecimal digits, readable by its owner only.
 * Errors, with a sentence: WEIR_EEXISTS if something has that name, which is left as it is;
 * WEIR_EIO.
 */
int secret_file_create(const char *path, struct error_text *error);

#endif
